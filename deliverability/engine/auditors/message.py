"""Message: who it says it is from, its identity headers and its structure, and how its addresses are written.

Addresses and domains are looked at for characters and scripts that receivers refuse.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import Message, WrittenAddresses
from deliverability.core.mail.addresses import (
    FROM_COLON,
    Mailbox,
    addresses_in_text,
    parse_addresses,
    to_a_label,
    unusual_forms,
)
from deliverability.core.mail.marks import is_automatic
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.reader import HeaderField
from deliverability.core.mail.received import parse_received
from deliverability.core.mail.words import decode_words, parse_date, printable
from deliverability.core.model.topic import cite, if_known
from deliverability.core.protocols.psl import known_registrable_domain, registrable_domain
from deliverability.engine.base import Context, auditor

if TYPE_CHECKING:
    from deliverability.core.mail.reader import Message as ParsedMessage

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
async def addresses_audit(ctx: Context) -> WrittenAddresses:
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


_REPLY = re.compile(
    r"\s*(?:re|fwd?|aw|wg|sv|vs|tr|返信|転送|回复|答复|转发)(?:\s?\[\d+\]|\^\d+)?\s*[:：]", re.IGNORECASE
)
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>", re.ASCII)
_ARC_INSTANCE = re.compile(r"(?:^|;)\s{0,100}i\s{0,100}=\s{0,100}(\d{1,4})")
_WORD = re.compile(r"[^\W\d_]{3,64}")
_SPACED = re.compile(rb"[^:\r\n]*[ \t]:")
_MAX_DISPLAY = 2000
_MIN_NAME = 3  # characters; shorter names are in other words by chance
# Scripts that are written without spaces: a name in Latin letters begins and ends at them.
_CJK = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uac00", "\ud7a3"), ("\uf900", "\ufaff"))
_NAME_ENDS = r"(?![a-z0-9@]|-[a-z0-9-]{0,63}\.)"
_HOST_NAME = re.compile(
    r"(?<![\w.@-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}(?:xn--[a-z0-9-]{2,59}|[a-z]{2,24})" + _NAME_ENDS,
    re.IGNORECASE,
)
_IDN = re.compile(
    r"(?<![\w.@-])(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_](?:[\w-]{0,61}[^\W_])?" + _NAME_ENDS, re.IGNORECASE
)
_DOT = re.compile(r"(?<=[a-z0-9])[\u3002\uff61\u2024](?=[a-z0-9])", re.IGNORECASE)
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_FILE_ENDINGS = frozenset({"md", "mov", "pl", "ps", "py", "rs", "sh", "zip"})  # top-level domains that files end with
_TITLES = frozenset({"co", "dr", "inc", "jr", "ltd", "mr", "mrs", "ms", "no", "prof", "sr", "st", "vol"})
_PRODUCTS = frozenset({"ado.net", "asp.net", "ml.net", "socket.io", "vb.net"})  # named so, whoever has that domain
# Pictographs, dingbats with the check marks, stars, squares with a tick: what passes for a badge.
_SYMBOL = re.compile("[\u2600-\u27bf\u2b50\u2b55\u2611\u2705\u3297\u3299\U0001f000-\U0001faff]")


@auditor("message", Message)
async def audit(ctx: Context) -> Message:
    """Message: who it says it is from, its identity headers and its structure."""
    message = ctx.message
    if message is None:
        return replace(Message.lost(Unknown(Reason.NO_MESSAGE)), present=False)

    froms, recipients = message.fields("From"), message.fields("To")
    boxes = [box for each in froms for box in parse_addresses(each.value)]
    named = [box for box in boxes if box.address]
    first = named[0] if named else None
    display = _display(first, boxes)
    forms = [unusual_forms(each.value) for each in froms[:10]]
    faults = tuple(dict.fromkeys(each for _, wrong in forms for each in wrong))
    senders = message.fields("Sender")
    subject = message.first("Subject")
    title = decode_words(subject.value) if subject else None
    references = [each for name in ("References", "In-Reply-To") for each in message.fields(name) if each.value]
    ident = message.first("Message-ID")
    written = printable(ident.value) if ident else None
    dates = message.fields("Date")
    date = parse_date(dates[0].value) if dates else None
    arrival = _arrival(message)
    return_path = message.first("Return-Path")
    automatic = message.fields("Auto-Submitted")
    seals = message.fields("ARC-Seal")
    instances = {match[1] for each in seals if (match := _ARC_INSTANCE.search(each.value[:1000]))}
    of_author = cite_fields(ctx, froms)
    of_subject = cite_fields(ctx, [subject] if subject else [])
    of_ident = cite_fields(ctx, [ident] if ident else [])
    of_date = cite_fields(ctx, dates)
    return Message(
        present=True,
        headers_only=bool(message.headers) and message.body_octets == 0,
        from_count=len(froms),
        from_addresses=tuple(box.address for box in named),
        from_address_count=len(named),
        from_rare=tuple(dict.fromkeys(each for rare, _ in forms for each in rare)),
        from_faults=(*faults, *([FROM_COLON()] if any(map(_SPACED.match, (each.raw for each in froms))) else [])),
        from_domain=first.domain if first else None,
        from_domains=tuple(dict.fromkeys(box.domain for box in named if box.domain)),
        from_display=display,
        display_name_address=_other_address(display, first),
        display_name_recipient=_shown_recipient(display, first, recipients),
        display_name_symbols=tuple(dict.fromkeys(_SYMBOL.findall((display or "")[:_MAX_DISPLAY]))),
        sender_present=bool(senders),
        subject=title,
        subject_claims_reply=bool(title and _REPLY.match(title[:200])),
        references_present=bool(references),
        message_id=written,
        message_id_valid=written is not None and _MESSAGE_ID.fullmatch(written) is not None,
        message_id_octets=len(ident.value.encode("utf-8", "surrogateescape")) if ident else None,
        date=date.isoformat() if date else None,
        date_count=len(dates),
        date_valid=len(dates) == 1 and date is not None,
        date_skew_seconds=round((date - arrival[0]).total_seconds()) if date and arrival else None,
        auto_submitted=is_automatic(message),
        arc_sets=len(instances),
        evidence=cite(
            *of_author,
            present=(),
            headers_only=(),
            display_name_recipient=cite_fields(ctx, [*froms, *recipients]),
            sender_present=cite_fields(ctx, senders),
            subject=of_subject,
            subject_claims_reply=of_subject,
            references_present=cite_fields(ctx, references),
            message_id=of_ident,
            message_id_valid=of_ident,
            message_id_octets=of_ident,
            date=of_date,
            date_count=of_date,
            date_valid=of_date,
            date_skew_seconds=(*of_date, *cite_fields(ctx, [arrival[1]] if arrival else [])),
            auto_submitted=cite_fields(ctx, [*automatic, return_path] if return_path else automatic),
            arc_sets=cite_fields(ctx, seals),
        ),
    )


def _display(first: Mailbox | None, boxes: list[Mailbox]) -> str | None:
    """The display name of the first address, or the name that stands where an address is missing."""
    box = first or (boxes[0] if boxes else None)
    return box.display or None if box else None


def _other_address(display: str | None, first: Mailbox | None) -> str | None:
    if not display:
        return None
    own = first.address.lower() if first else ""
    shown = addresses_in_text(display[:_MAX_DISPLAY])
    other = next((each for each in shown if each.lower() != own), None)
    return other or _other_domain(display, first)


def _other_domain(display: str, first: Mailbox | None) -> str | None:
    """A domain name in the display name that is not of the sender's organization, in the form that a reader sees.

    The same name under another suffix is its own (Amazon.co.jp of amazon.com), and names of files and people are none.
    """
    own = registrable_domain(first.domain) if first and first.domain else ""
    shown = _UNSEEN.sub("", unicodedata.normalize("NFKC", display[:_MAX_DISPLAY]))
    shown = _DOT.sub(".", shown)
    if "xn--" in own:
        shown = shown.replace(".".join(unicode_labels(own)), " ")
    names = [each[0] for each in _HOST_NAME.finditer("".join(" " if _is_cjk(each) else each for each in shown))]
    names += [each[0] for each in _IDN.finditer(shown) if not each[0].isascii() and not _runs_on(each[0])]
    return next((each for each in names if _is_foreign(each, own)), None)


def _is_cjk(char: str) -> bool:
    return any(first <= char <= last for first, last in _CJK)


def _runs_on(name: str) -> bool:
    """Whether letters or digits of ASCII stand right beside such a script: text around a name, not a name."""
    return any(
        (_is_cjk(one) and other.isascii() and other.isalnum()) or (_is_cjk(other) and one.isascii() and one.isalnum())
        for one, other in pairwise(name)
    )


def _is_foreign(name: str, own: str) -> bool:
    """Whether a text that looks like a domain name is one, and of another organization."""
    plain = to_a_label(name)
    found = known_registrable_domain(plain) if plain else None
    if found is None or found.partition(".")[0] == own.partition(".")[0] or plain in _PRODUCTS:
        return False
    begin, _, end = name.rpartition(".")
    if "." not in begin and (begin.lower() in _TITLES or (len(begin) == 1 and end.istitle())):
        return False  # Dr.House, J.Law
    sentence = len(end) > 3 and end.istitle() and not begin.isupper()  # Acme Inc.Support
    return not sentence and found.rpartition(".")[2] not in _FILE_ENDINGS


def _shown_recipient(display: str | None, first: Mailbox | None, fields: tuple[HeaderField, ...]) -> str | None:
    """The name or address of a recipient inside the sender's display name."""
    if not display or first is None:
        return None
    shown = f" {' '.join(display[:_MAX_DISPLAY].casefold().split())} "
    for field in fields[:10]:
        for box in parse_addresses(field.value)[:100]:
            if _one_organization(first, box) or _same_person(first, box):
                continue
            name = " ".join(box.display.casefold().split())
            # A whole name only: "Ann" is in "Annual report" and no recipient.
            named = len(name) >= _MIN_NAME and (f" {name} " in shown or (not name.isascii() and name in shown))
            if box.address and (named or box.address.casefold() in shown):
                return box.display if named else box.address
    return None


def _one_organization(one: Mailbox, other: Mailbox) -> bool:
    if one.domain is None or other.domain is None:
        return one.address.casefold() == other.address.casefold()
    return registrable_domain(one.domain) == registrable_domain(other.domain)


def _same_person(sender: Mailbox, recipient: Mailbox) -> bool:
    """The same name, and the sender's address bears it out: taro@ writes to taro.yamada@, or test@lindsaar.net.

    The name alone is no proof, because showing the recipient his own name is what deceptive mail does.
    """
    names = [" ".join(box.display.casefold().split()) for box in (sender, recipient)]
    if names[0] != names[1]:
        return False
    local, _, domain = sender.address.casefold().rpartition("@")
    shared = set(_WORD.findall(local)) & set(_WORD.findall(recipient.address.casefold().rpartition("@")[0]))
    return bool(shared) or any(word in local or word in domain for word in _WORD.findall(names[0]))


def _arrival(message: ParsedMessage) -> tuple[datetime, HeaderField] | None:
    """When the first hop received it, and where that stands."""
    # Hops are written top down, so the first one is the lowest.
    for hop in reversed(message.fields("Received")):
        arrived = parse_received(hop.value).date
        if arrived is not None:
            return arrived, hop
    return None


def cite_fields(ctx: Context, fields: Sequence[HeaderField]) -> tuple[str, ...]:
    """Cite the first ten of the fields."""
    return tuple(ctx.cite(header_evidence(each)) for each in fields[:10])
