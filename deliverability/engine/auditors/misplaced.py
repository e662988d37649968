"""Records that stand where nobody looks for them. Few names are asked for, and only where a record is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from deliverability.core.facts.base import FactType, Unknown, Value
from deliverability.core.net.base import Failed, Found, unknown_from
from deliverability.core.protocols.dkim.key import looks_like_key
from deliverability.core.protocols.dmarc.record import is_dmarc
from deliverability.core.protocols.spf.record import select
from deliverability.core.protocols.text_record import parse_tags
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_QUESTIONS = 3
"""Names that are asked for beyond those that are asked for anyway."""

PROVIDES = tuple(
    spec(f"misplaced.{name}", type_, doc, optional=optional)
    for kind, what in (("dmarc", "DMARC records"), ("spf", "SPF records"), ("dkim", "DKIM keys"))
    for name, type_, doc, optional in (
        (
            kind,
            FactType.LIST_STR,
            f"Names at which {what} stand where nobody looks; only where one is missing.",
            False,
        ),
        (f"{kind}_record", FactType.STR, "The first of these records.", True),
    )
)


@auditor("misplaced", provides=PROVIDES, needs=("dmarc.author_domain", "dmarc.present", "spf.present"))
async def audit(ctx: Context) -> None:
    """Look at the domain itself, which is asked for anyway, and at the names to which consoles and people mistype."""
    domain, author = ctx.subject.domain, ctx.value("dmarc.author_domain")
    author = author if isinstance(author, str) else domain
    no_dmarc, no_spf = ctx.value("dmarc.present") is False, ctx.value("spf.present") is False
    dmarc = [f"_dmarc.{author}.{author}", f"dmarc.{author}", f"_dmarc._dmarc.{author}"]
    spf = [f"_spf.{domain}", f"{domain}.{domain}", f"www.{domain}"]
    left = MAX_QUESTIONS - 1 if no_dmarc and no_spf else MAX_QUESTIONS
    found_dmarc = await _found(ctx, [author, *dmarc[:left]], _is_dmarc) if no_dmarc else ()
    # At _dmarc nobody looks for SPF, but DMARC is asked for there.
    left = MAX_QUESTIONS - left if no_dmarc and no_spf else MAX_QUESTIONS
    found_spf = await _found(ctx, [f"_dmarc.{author}", *spf[:left]], _is_spf) if no_spf else ()
    found_keys = await _found(ctx, [domain, f"_domainkey.{domain}"], _is_key)
    # Where nobody knows whether the record is there, nobody knows either whether it stands elsewhere.
    open_dmarc, open_spf = ctx.value("dmarc.present"), ctx.value("spf.present")
    found_dmarc = open_dmarc if isinstance(open_dmarc, Unknown) else found_dmarc
    found_spf = open_spf if isinstance(open_spf, Unknown) else found_spf
    for kind, found in (("dmarc", found_dmarc), ("spf", found_spf), ("dkim", found_keys)):
        names: Value = found if isinstance(found, Unknown) else tuple(name for name, _ in found)
        record: Value = found if isinstance(found, Unknown) else next((text for _, text in found), None)
        ids = () if isinstance(found, Unknown) else tuple(dns_id(name, "TXT") for name, _ in found)
        ctx.put_all({f"misplaced.{kind}": names, f"misplaced.{kind}_record": record}, *ids)


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
