"""Complaints of recipients: feedback reports (RFC 5965), and those of Outlook.com (JMRP) in a form of their own."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from deliverability.feedback.outcomes import Outcomes, why_of
from deliverability.feedback.values import domain_of, field_group, second, word
from deliverability.mail.addresses import parse_addresses, to_a_label
from deliverability.mail.dates import parse_date
from deliverability.mail.reader import HeaderField, Message, Part, read
from deliverability.mail.words import decode_words
from deliverability.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult

COUNTED = frozenset({"abuse", "fraud", "virus", "other"})
"""Types of feedback that count as complaints (RFC 5965 section 3.1); ``not-spam`` is the opposite of one."""
KNOWN = COUNTED | {"not-spam", "opt-out"}

_MAX_TEXT = 64_000
_JMRP = "complaint about message from"
_HEADERS = ("text/rfc822-headers", "message/global-headers")
_FIELDS_OF_RECIPIENT = ("original-rcpt-to", "removal-recipient", "redacted-address")


class ComplaintReading(Struct, frozen=True):
    """A complaint. `kind`: type of feedback, in lower case; `event`: None where it does not count as one."""

    kind: str
    event: DeliveryEvent | None


def complaint_of(message: Message, outcomes: Outcomes) -> ComplaintReading | None:
    """The complaint that a message is; None where it is none. Never raises for any message."""
    parts = list(message.parts())
    for part in parts:
        if part.media_type == "message/feedback-report":
            fields = field_group(part.text()[:_MAX_TEXT])
            kind = word(fields.get("feedback-type", ""))
            return _reading(kind, fields, message, parts, outcomes) if kind in KNOWN else None
    subject = message.first("subject")
    if subject and decode_words(subject.value[:2_000]).strip().lower().startswith(_JMRP):
        return _reading("abuse", {}, message, parts, outcomes)
    return None


def _reading(
    kind: str, fields: dict[str, str], message: Message, parts: list[Part], outcomes: Outcomes
) -> ComplaintReading:
    if kind not in COUNTED:
        return ComplaintReading(kind, None)
    about = _original(parts)
    named = next((fields[name] for name in _FIELDS_OF_RECIPIENT if fields.get(name)), "")
    recipient = _address(named) or _address(about.get("x-hmxmroriginalrecipient", "")) or _only(about.get("to", ""))
    sender = (
        domain_of(about.get("from", ""))
        or to_a_label(fields.get("reported-domain", "").strip(". "))
        or domain_of(fields.get("original-mail-from", ""))
    )
    reporter = message.first("from")
    return ComplaintReading(
        kind,
        DeliveryEvent(
            DeliveryResult.COMPLAINT,
            _moment(message, fields),
            DeliveryOrigin.COMPLAINTS,
            message_key(message, recipient),
            sender or "",
            outcomes.receiver(reporter.value[:1_000].strip(" >") if reporter else "") or outcomes.receiver(recipient),
            recipient=recipient,
            why=why_of(DeliveryResult.COMPLAINT),
        ),
    )


def _original(parts: list[Part]) -> dict[str, str]:
    """The header of the message that the complaint is about, names in lower case; the first of each counts."""
    found: tuple[HeaderField, ...] | list[HeaderField] = ()
    for part in parts:
        if part.is_message and part.children:
            found = part.children[0].headers
            break
        if part.media_type in _HEADERS:
            found = read(part.decode()[:_MAX_TEXT]).headers
            break
    fields: dict[str, str] = {}
    for each in found:
        fields.setdefault(each.lower, each.value[:2_000])
    return fields


def message_key(message: Message, recipient: str) -> str:
    """What names a message that reports on one recipient: its Message-ID; without one, a digest of its header."""
    named = message.first("message-id")
    if named and named.value.strip():
        return f"{named.value.strip()[:500]} {recipient}"
    header = "\n".join(f"{each.lower}:{each.value}" for each in message.headers)
    return f"{hashlib.blake2b(header.encode('utf-8', 'replace'), digest_size=16).hexdigest()} {recipient}"


def moment_of(message: Message) -> int | None:
    """When a message was written, in seconds since 1970; None where it does not tell."""
    dated = message.first("date")
    moment = parse_date(dated.value) if dated else None
    return second(moment.timestamp()) if moment else None


def _moment(message: Message, fields: dict[str, str]) -> int | None:
    stated = moment_of(message)
    if stated is not None:
        return stated
    arrived = parse_date(fields.get("arrival-date") or fields.get("received-date", ""))
    return second(arrived.timestamp()) if arrived else None


def _address(text: str) -> str:
    """The one address in a field; empty where there is none."""
    found = text[:1_000].rpartition("<")[2].partition(">")[0].rpartition(";")[2].strip().lower()
    return found if domain_of(found) else ""


def _only(text: str) -> str:
    """The address in a field that holds one alone."""
    found = [each for each in parse_addresses(text) if each.domain]
    return _address(text) if len(found) == 1 else ""
