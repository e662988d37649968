"""Records that stand where nobody looks for them. Few names are asked for, and only where a record is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import zip_longest

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Dmarc, DmarcDiscovery
from deliverability.core.facts.domain import Misplaced
from deliverability.core.facts.spf import Spf
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Failed, Found, unknown_from
from deliverability.core.protocols.dkim.key import looks_like_key
from deliverability.core.protocols.dmarc.record import is_meant
from deliverability.core.protocols.spf.record import select
from deliverability.core.protocols.text_record import parse_tags
from deliverability.engine.base import Context, auditor, dns_id

MAX_QUESTIONS = 3
"""Names that are asked for beyond those that are asked for anyway."""


@auditor("misplaced", Misplaced, needs=(DmarcDiscovery, Dmarc, Spf, Dkim))
async def audit(ctx: Context) -> Misplaced:
    """Look at the domain itself, which is asked for anyway, and at the names to which consoles and people mistype."""
    domain, has_dmarc, has_spf = ctx.subject.domain, ctx.of(Dmarc).present, ctx.of(Spf).present
    author = if_known(ctx.of(DmarcDiscovery).author_domain)
    author = domain if author is None else author
    no_dmarc, no_spf, selector = has_dmarc is False, has_spf is False, _lost_selector(ctx)
    # The likeliest of each first.
    doubled = f"{domain}.{domain}"
    dmarc = [f"_dmarc.{author}.{author}", f"dmarc.{author}", f"_dmarc._dmarc.{author}"] if no_dmarc else []
    spf = [f"_spf.{domain}", f"www.{domain}", doubled] if no_spf else []
    below = (f"{selector}._domainkey.{doubled}", f"{selector}.{domain}", f"{selector}.domainkey.{domain}")
    keys = list(below) if selector else []
    asked = []
    if sum(map(bool, (dmarc, spf, keys))) > 1:
        # Where several are missing, one answer may stand for all names below it (RFC 8020).
        asked, answer = [doubled], await ctx.ports.dns.query(doubled, "TXT")
        if isinstance(answer, Absent) and answer.nxdomain:
            dmarc, spf, keys = (_outside(doubled, names) for names in (dmarc, spf, keys))
    turns = [name for turn in zip_longest(dmarc, spf, keys) for name in turn if name and name not in asked]
    asked += turns[: MAX_QUESTIONS - len(asked)]
    dmarc, spf, keys = ([name for name in names if name in asked] for names in (dmarc, spf, keys))
    # What is asked for at these names for one record may be another.
    at_dmarc, at_keys = f"_dmarc.{author}", f"_domainkey.{domain}"
    found_dmarc = await _found(ctx, [author, at_keys, *dmarc], is_meant) if no_dmarc else ()
    found_spf = await _found(ctx, [at_dmarc, at_keys, *spf], _is_spf) if no_spf else ()
    found_keys = await _found(ctx, [domain, at_keys, at_dmarc, *keys], _is_key)
    # Where nobody knows whether the record is there, nobody knows either whether it stands elsewhere.
    of_dmarc = _names(has_dmarc if isinstance(has_dmarc, Unknown) else found_dmarc)
    of_spf = _names(has_spf if isinstance(has_spf, Unknown) else found_spf)
    of_keys = _names(found_keys)
    cited = {
        name: tuple(dns_id(each, "TXT") for each in if_known(names) or ())
        for kind, (names, _) in (("dmarc", of_dmarc), ("spf", of_spf), ("dkim", of_keys))
        for name in (kind, f"{kind}_record")
    }
    return Misplaced(
        dmarc=of_dmarc[0],
        dmarc_record=of_dmarc[1],
        spf=of_spf[0],
        spf_record=of_spf[1],
        dkim=of_keys[0],
        dkim_record=of_keys[1],
        evidence=cite(**cited),
    )


def _outside(zone: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if not is_within(name, zone)]


def _names(found: Maybe[tuple[tuple[str, str], ...]]) -> tuple[Maybe[tuple[str, ...]], Maybe[str | None]]:
    """The names, and the first record."""
    if isinstance(found, Unknown):
        return found, found
    return tuple(name for name, _ in found), next((text for _, text in found), None)


async def _found(
    ctx: Context, names: Sequence[str], fits: Callable[[str], bool]
) -> tuple[tuple[str, str], ...] | Unknown:
    """The names with such a record, and the record; Unknown where there is none at those that answered."""
    answers = await asyncio.gather(*(ctx.ports.dns.query(name, "TXT") for name in names))
    found = tuple(
        (name, text)
        for name, answer in zip(names, answers, strict=True)
        if isinstance(answer, Found)
        for text in answer.values
        if fits(text)
    )
    for answer in answers:
        if isinstance(answer, Found):
            ctx.cite_answer(answer)
    lost = next((unknown_from(answer) for answer in answers if isinstance(answer, Failed)), None)
    return found or lost or ()


def _lost_selector(ctx: Context) -> str:
    """A selector that was named and has no key; empty where there is none."""
    for key in if_known(ctx.of(Dkim).keys) or ():
        if key.present is False and key.found_by != "probe" and key.domain == ctx.subject.domain:
            return key.selector
    return ""


def _is_spf(text: str) -> bool:
    """One that allows nobody says so of its own name: it is no record of another."""
    return bool(select((text,))) and text.split()[1:] not in (["-all"], ["~all"])


def _is_key(text: str) -> bool:
    names = {name.lower() for name in parse_tags(text).tags}
    return looks_like_key(text) and "p" in names and not names.isdisjoint({"v", "k"})
