"""Bounces and complaints: what became of the mail to each recipient."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from msgspec import Struct

from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.reader import HeaderField, Message, Part, read
from deliverability.core.mail.words import decode_words, parse_date
from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.core.model.replies import Reply
from deliverability.core.replies.explain import replies_of
from deliverability.core.replies.limits import domain_of, field_group, second, word
from deliverability.core.replies.notice import is_bounce, read_notice, status_parts
from deliverability.core.replies.outcomes import Outcomes, why_of
from deliverability.core.replies.text import MAX_TEXT

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


_ACTION = re.compile(r"^action[ \t]*:[ \t]*([a-z]{1,20})", re.I | re.M)
_ARRIVED = frozenset({"delivered", "relayed", "expanded"})
_TO_US = ("delivered-to", "x-original-to", "to")


def bounces_of(message: Message, outcomes: Outcomes) -> tuple[DeliveryEvent, ...] | None:
    """What became of the mail to each recipient; None where the message is no bounce. Never raises for any message.

    A notice whose words nobody knows still is one bounce.
    """
    parts = status_parts(message)
    if not parts and not is_bounce(message):
        return None
    actions = {each.lower() for part in parts for each in _ACTION.findall(part.text()[:MAX_TEXT])}
    if actions and actions <= _ARRIVED:
        return ()
    content = read_notice(message)
    if content.problem == "auto-reply":
        return None
    replies = [each for each in replies_of(content, outcomes.catalogue) if not each.report]
    if not replies and not parts and content.problem != "notice":
        return None
    sender, at = content.sender_domain or _returned_to(message), moment_of(message)
    found: list[DeliveryEvent] = []
    for reply in _one_each(replies) or (Reply(""),):
        outcome = outcomes.of(reply, final=actions != {"delayed"})
        recipient = reply.recipient.lower()
        found.append(
            DeliveryEvent(
                outcome.result,
                at,
                DeliveryOrigin.BOUNCES,
                f"{message_key(message, recipient)} {outcome.result.value}",
                sender,
                outcome.receiver,
                outcome.meaning,
                recipient,
                why_of(outcome.result, outcome.why),
            )
        )
    return tuple(found)


def _one_each(replies: Sequence[Reply]) -> list[Reply]:
    """One reply for each recipient: the first that has a code, else the first; those of nobody only where all are."""
    best: dict[str, Reply] = {}
    for each in replies:
        name = each.recipient.lower()
        if name not in best or (each.code and not best[name].code):
            best[name] = each
    if len(best) > 1:
        best.pop("", None)
    return list(best.values())


def _returned_to(message: Message) -> str:
    """The domain that the bounce was sent to, which is that of MAIL FROM."""
    fields = (message.first(name) for name in _TO_US)
    return next((domain for each in fields if each and (domain := domain_of(each.value))), "")
