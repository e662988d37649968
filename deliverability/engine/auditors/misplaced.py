"""Records that stand where nobody looks for them. Few names are asked for, and only where a record is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dmarc import Dmarc, DmarcDiscovery
from deliverability.core.facts.domain import Misplaced
from deliverability.core.facts.spf import Spf
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.net.base import Failed, Found, unknown_from
from deliverability.core.protocols.dkim.key import looks_like_key
from deliverability.core.protocols.dmarc.record import is_dmarc
from deliverability.core.protocols.spf.record import select
from deliverability.core.protocols.text_record import parse_tags
from deliverability.engine.base import Context, auditor, dns_id

MAX_QUESTIONS = 3
"""Names that are asked for beyond those that are asked for anyway."""


@auditor("misplaced", Misplaced, needs=(DmarcDiscovery, Dmarc, Spf))
async def audit(ctx: Context) -> Misplaced:
    """Look at the domain itself, which is asked for anyway, and at the names to which consoles and people mistype."""
    domain, has_dmarc, has_spf = ctx.subject.domain, ctx.of(Dmarc).present, ctx.of(Spf).present
    author = if_known(ctx.of(DmarcDiscovery).author_domain)
    author = domain if author is None else author
    no_dmarc, no_spf = has_dmarc is False, has_spf is False
    dmarc = [f"_dmarc.{author}.{author}", f"dmarc.{author}", f"_dmarc._dmarc.{author}"]
    spf = [f"_spf.{domain}", f"{domain}.{domain}", f"www.{domain}"]
    left = MAX_QUESTIONS - 1 if no_dmarc and no_spf else MAX_QUESTIONS
    found_dmarc = await _found(ctx, [author, *dmarc[:left]], _is_dmarc) if no_dmarc else ()
    # At _dmarc nobody looks for SPF, but DMARC is asked for there.
    left = MAX_QUESTIONS - left if no_dmarc and no_spf else MAX_QUESTIONS
    found_spf = await _found(ctx, [f"_dmarc.{author}", *spf[:left]], _is_spf) if no_spf else ()
    found_keys = await _found(ctx, [domain, f"_domainkey.{domain}"], _is_key)
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


def _is_dmarc(text: str) -> bool:
    return is_dmarc(text.strip().strip('"'))


def _is_spf(text: str) -> bool:
    """One that allows nobody says so of its own name: it is no record of another."""
    return bool(select((text,))) and text.split()[1:] not in (["-all"], ["~all"])


def _is_key(text: str) -> bool:
    return looks_like_key(text) and parse_tags(text).tags.keys() >= {"v", "p"}
