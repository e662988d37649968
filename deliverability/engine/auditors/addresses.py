"""The addresses and domains of a mail as they are written: characters and scripts that receivers refuse."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import WrittenAddresses
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.reader import HeaderField
from deliverability.core.model.topic import cite, if_known
from deliverability.engine.base import Context, auditor

# What may stand together (UTS 39 section 5.2, "highly restrictive"): the scripts of Japanese, Chinese and Korean text.
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
# Names of Unicode characters begin with their script, with these exceptions among what IDNA allows in a label.
_OTHER_NAMES = {
    "々": "CJK",  # IDEOGRAPHIC ITERATION MARK
    "〆": "CJK",  # IDEOGRAPHIC CLOSING MARK
    "〇": "CJK",  # IDEOGRAPHIC NUMBER ZERO
}
# Letters of more than one script: the long vowel mark of both kana, the apostrophe of many languages.
_SHARED = frozenset("ーʼʻ・·")


def is_highly_restrictive(label: str) -> bool:
    """Whether a label (U-label, lower case) is at most of the level "highly restrictive" of UTS 39 section 5.2.

    That is: one script, or Latin with Han and kana, with Han and Bopomofo, or with Han and Hangul. Digits, hyphens and
    combining marks belong to every script. A name in one script that only looks like another one is not found.
    """
    scripts = {script for character in label if (script := _script(character)) is not None}
    return len(scripts) <= 1 or any(scripts <= allowed for allowed in _TOGETHER)


def _script(character: str) -> str | None:
    """The script in the words of Unicode's character names; None for what all or several scripts share."""
    if character in _SHARED or unicodedata.category(character)[0] not in "L":
        return None
    name = unicodedata.name(character, "")
    return _OTHER_NAMES.get(character) or name.partition(" ")[0].partition("-")[0] or character


MAX_LABEL = 63
"""Octets of a label (RFC 1035 section 2.3.4)."""


def unicode_labels(domain: str) -> tuple[str, ...]:
    """The labels of a domain as people see them; an A-label that does not decode stays as it is."""
    return tuple(_decoded(label) for label in domain.lower().split("."))


def _decoded(label: str) -> str:
    if not label.startswith("xn--") or len(label) > MAX_LABEL:  # decoding takes time in the square of the length
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


_FORBIDDEN = frozenset(",$%?{}<>")
_FIELDS = ("from", "sender", "reply-to")
_MAX_FIELDS = 10
_MAX_ADDRESSES = 100  # of one field that are read


@auditor("addresses", WrittenAddresses, needs=(Envelope, Dkim), of_message=True)
async def audit(ctx: Context) -> WrittenAddresses:
    """Read the addresses as written."""
    message = ctx.the_message
    fields = [field for name in _FIELDS for field in message.fields(name)[:_MAX_FIELDS]]
    boxes = [(field, box) for field in fields for box in parse_addresses(field.value)[:_MAX_ADDRESSES]]

    refused: dict[str, HeaderField | None] = {
        box.address: field for field, box in boxes if not _FORBIDDEN.isdisjoint(_local(box.address))
    }
    mail_from = if_known(ctx.of(Envelope).mail_from) or ""
    if not _FORBIDDEN.isdisjoint(_local(mail_from)):
        refused.setdefault(mail_from, message.first("Return-Path"))

    mixed: dict[str, HeaderField | None] = {}
    for field, box in boxes:
        if field.lower != "sender" and box.domain and _mixes(box.domain):
            mixed.setdefault(box.domain, field)
    for name in _others(ctx):
        if _mixes(name):
            mixed.setdefault(name, None)
    return WrittenAddresses(
        forbidden_address_characters=tuple(refused),
        mixed_script_domains=tuple(mixed),
        evidence=cite(
            forbidden_address_characters=_cite(ctx, refused),
            mixed_script_domains=_cite(ctx, mixed),
        ),
    )


def _local(address: str) -> str:
    return address.rpartition("@")[0]


def _others(ctx: Context) -> Iterator[str]:
    """The MAIL FROM domain and all d=."""
    yield if_known(ctx.of(Envelope).mail_from_domain) or ""
    for signature in if_known(ctx.of(Dkim).signatures) or ():
        yield signature.domain or ""


def _mixes(domain: str) -> bool:
    return not all(is_highly_restrictive(label) for label in unicode_labels(domain))


def _cite(ctx: Context, found: dict[str, HeaderField | None]) -> tuple[str, ...]:
    """Cite the fields of the first ten, where they stand in a field."""
    return tuple(ctx.cite(header_evidence(each)) for each in list(found.values())[:10] if each is not None)
