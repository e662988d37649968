"""Message: who it says it is from, its identity headers and its structure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.mail.addresses import Mailbox, addresses_in_text, parse_addresses
from deliverability.core.mail.fields import parse_date
from deliverability.core.mail.mass import is_automatic
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.received import parse_received
from deliverability.core.mail.words import decode_words, printable
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, spec

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField, Message

PROVIDES = (
    spec("message.present", FactType.BOOL, "A sample message was given."),
    spec("message.headers_only", FactType.BOOL, "The file holds header fields but no body."),
    spec("message.from_count", FactType.INT, "Number of From header fields.", unit="fields"),
    spec("message.from_addresses", FactType.LIST_STR, "Addresses of all From fields, in order."),
    spec("message.from_address_count", FactType.INT, "Addresses in all From fields.", unit="addresses"),
    spec(
        "message.from_domain",
        FactType.STR,
        "Domain of the first From address (the author domain) as A-label.",
        optional=True,
    ),
    spec("message.from_domains", FactType.LIST_STR, "Domains of all From addresses, each once, as A-labels."),
    spec("message.from_display", FactType.STR, "Decoded display name of the first From address.", optional=True),
    spec(
        "message.display_name_address",
        FactType.STR,
        "An email address inside the display name that differs from the From address.",
        optional=True,
    ),
    spec(
        "message.display_name_recipient",
        FactType.STR,
        "Name or address of a recipient (To) that the display name of the sender shows; left out are mail to oneself, "
        "under another address as well, and mail within one organization.",
        optional=True,
    ),
    spec(
        "message.display_name_symbols",
        FactType.LIST_STR,
        "Emoji and signs such as check marks in the display name, each once.",
    ),
    spec("message.sender_present", FactType.BOOL, "A Sender field is present."),
    spec("message.subject", FactType.STR, "Decoded Subject.", optional=True),
    spec(
        "message.subject_claims_reply", FactType.BOOL, "The Subject begins with Re: or Fwd: (or a Japanese equivalent)."
    ),
    spec("message.references_present", FactType.BOOL, "References or In-Reply-To is present."),
    spec("message.message_id", FactType.STR, "Message-ID as written.", optional=True),
    spec("message.message_id_valid", FactType.BOOL, "Message-ID has the form <left@right>; false where it is missing."),
    spec("message.message_id_octets", FactType.INT, "Length of the Message-ID.", unit="octets", optional=True),
    spec("message.date", FactType.STR, "Date as ISO 8601, where it can be read.", optional=True),
    spec("message.date_count", FactType.INT, "Number of Date fields.", unit="fields"),
    spec("message.date_valid", FactType.BOOL, "Exactly one Date field that can be read."),
    spec(
        "message.date_skew_seconds",
        FactType.INT,
        "Date minus the time of the first Received hop; positive: in the future.",
        unit="seconds",
        optional=True,
    ),
    spec("message.auto_submitted", FactType.BOOL, "Auto-Submitted or a null Return-Path marks an automatic message."),
    spec("message.arc_sets", FactType.INT, "Number of ARC sets.", unit="sets"),
)

_REPLY = re.compile(
    r"\s*(?:re|fwd?|aw|wg|sv|vs|tr|返信|転送|回复|答复|转发)(?:\s?\[\d+\]|\^\d+)?\s*[:：]", re.IGNORECASE
)
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>", re.ASCII)
_ARC_INSTANCE = re.compile(r"(?:^|;)\s{0,100}i\s{0,100}=\s{0,100}(\d{1,4})")
_WORD = re.compile(r"[^\W\d_]{3,64}")
_MAX_DISPLAY = 2000
_MIN_NAME = 3  # characters; shorter names are in other words by chance
# Pictographs, dingbats with the check marks, stars, squares with a tick: what passes for a badge.
_SYMBOL = re.compile("[\u2600-\u27bf\u2b50\u2b55\u2611\u2705\u3297\u3299\U0001f000-\U0001faff]")


@auditor("message", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """Message: who it says it is from, its identity headers and its structure."""
    message = ctx.message
    ctx.put("message.present", message is not None)
    if message is None:
        for each in PROVIDES[1:]:
            ctx.put(each.path, Unknown(Reason.NO_MESSAGE))
        return
    ctx.put("message.headers_only", bool(message.headers) and message.body_octets == 0)
    _author(ctx, message)
    _subject(ctx, message)
    _message_id(ctx, message)
    _date(ctx, message)
    return_path = message.first("Return-Path")
    automatic = message.fields("Auto-Submitted")
    cited = [*automatic, return_path] if return_path else list(automatic)
    ctx.put("message.auto_submitted", is_automatic(message), *cite_fields(ctx, cited))
    seals = message.fields("ARC-Seal")
    instances = {match[1] for each in seals if (match := _ARC_INSTANCE.search(each.value[:1000]))}
    ctx.put("message.arc_sets", len(instances), *cite_fields(ctx, seals))


def _author(ctx: Context, message: Message) -> None:
    fields = message.fields("From")
    boxes = [box for each in fields for box in parse_addresses(each.value)]
    named = [box for box in boxes if box.address]
    first = named[0] if named else None
    display = _display(first, boxes)
    values: dict[str, Value] = {
        "message.from_count": len(fields),
        "message.from_addresses": tuple(box.address for box in named),
        "message.from_address_count": len(named),
        "message.from_domain": first.domain if first else None,
        "message.from_domains": tuple(dict.fromkeys(box.domain for box in named if box.domain)),
        "message.from_display": display,
        "message.display_name_address": _other_address(display, first),
        "message.display_name_symbols": tuple(dict.fromkeys(_SYMBOL.findall((display or "")[:_MAX_DISPLAY]))),
    }
    ctx.put_all(values, *cite_fields(ctx, fields))
    recipients = message.fields("To")
    shown = _shown_recipient(display, first, recipients)
    ctx.put("message.display_name_recipient", shown, *cite_fields(ctx, [*fields, *recipients]))
    senders = message.fields("Sender")
    ctx.put("message.sender_present", bool(senders), *cite_fields(ctx, senders))


def _display(first: Mailbox | None, boxes: list[Mailbox]) -> str | None:
    """The display name of the first address, or the name that stands where an address is missing."""
    box = first or (boxes[0] if boxes else None)
    return box.display or None if box else None


def _other_address(display: str | None, first: Mailbox | None) -> str | None:
    if not display:
        return None
    own = first.address.lower() if first else ""
    return next((each for each in addresses_in_text(display[:_MAX_DISPLAY]) if each.lower() != own), None)


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


def _subject(ctx: Context, message: Message) -> None:
    field = message.first("Subject")
    subject = decode_words(field.value) if field else None
    ids = cite_fields(ctx, [field] if field else [])
    ctx.put("message.subject", subject, *ids)
    ctx.put("message.subject_claims_reply", bool(subject and _REPLY.match(subject[:200])), *ids)
    references = [each for name in ("References", "In-Reply-To") for each in message.fields(name) if each.value]
    ctx.put("message.references_present", bool(references), *cite_fields(ctx, references))


def _message_id(ctx: Context, message: Message) -> None:
    field = message.first("Message-ID")
    written = printable(field.value) if field else None
    values: dict[str, Value] = {
        "message.message_id": written,
        "message.message_id_valid": written is not None and _MESSAGE_ID.fullmatch(written) is not None,
        "message.message_id_octets": len(field.value.encode("utf-8", "surrogateescape")) if field else None,
    }
    ctx.put_all(values, *cite_fields(ctx, [field] if field else []))


def _date(ctx: Context, message: Message) -> None:
    fields = message.fields("Date")
    date = parse_date(fields[0].value) if fields else None
    ids = cite_fields(ctx, fields)
    ctx.put("message.date", date.isoformat() if date else None, *ids)
    ctx.put("message.date_count", len(fields), *ids)
    ctx.put("message.date_valid", len(fields) == 1 and date is not None, *ids)
    skew: int | None = None
    # Hops are written top down, so the first one is the lowest.
    for hop in reversed(message.fields("Received")):
        arrived = parse_received(hop.value).date
        if arrived is not None:
            ids = (*ids, *cite_fields(ctx, [hop]))
            skew = round((date - arrived).total_seconds()) if date else None
            break
    ctx.put("message.date_skew_seconds", skew, *ids)


def cite_fields(ctx: Context, fields: Sequence[HeaderField]) -> tuple[str, ...]:
    """Cite the first ten of the fields."""
    return tuple(ctx.cite(header_evidence(each)) for each in fields[:10])
