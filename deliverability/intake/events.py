"""Events of sending services, and JSON as it stands in feedback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from deliverability.core.mail.words import decode_octets
from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.core.model.replies import Reply
from deliverability.core.replies import limits
from deliverability.core.replies.limits import NotReadError, domain_of, lines_of, second
from deliverability.core.replies.outcomes import MailOutcome, Outcomes, why_of
from deliverability.core.replies.text import field_reply, folded

_MAX_WRAPS = 5
_MAX_RECIPIENTS = 1_000
_MAX_WORDS = 2_000

_SES_NOT_TRIED = frozenset({"OnAccountSuppressionList", "Suppressed"})
"""Bounces that the service itself made: nothing was sent."""
_SES_SUBTYPES = {
    "NoEmail": DeliveryResult.HARD,
    "MailboxFull": DeliveryResult.SOFT,
    "MessageTooLarge": DeliveryResult.POLICY,
    "ContentRejected": DeliveryResult.POLICY,
    "AttachmentRejected": DeliveryResult.POLICY,
}
_SENDGRID_CLASSES = {
    "invalid address": DeliveryResult.HARD,
    "mailbox unavailable": DeliveryResult.SOFT,
    "reputation": DeliveryResult.POLICY,
    "content": DeliveryResult.POLICY,
    "frequency or volume too high": DeliveryResult.POLICY,
    "technical failure": DeliveryResult.SOFT,
}
_POSTMARK_TYPES = {
    "HardBounce": DeliveryResult.HARD,
    "BadEmailAddress": DeliveryResult.HARD,
    "SoftBounce": DeliveryResult.SOFT,
    "DnsError": DeliveryResult.SOFT,
    "Transient": DeliveryResult.SOFT,
    "Unknown": DeliveryResult.SOFT,
    "SpamNotification": DeliveryResult.POLICY,
    "Blocked": DeliveryResult.POLICY,
    "DMARCPolicy": DeliveryResult.POLICY,
    "VirusNotification": DeliveryResult.POLICY,
    "SpamComplaint": DeliveryResult.COMPLAINT,
}
_JSON = ("{", "[")


def is_event(value: Any) -> bool:
    """Whether a JSON value is an event, or holds some, by its keys."""
    return any(_service(each) for each in _unwrapped(value, 0))


def events_of(value: Any, outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    """What the events in a JSON value say became of mails; those about anything else are left out."""
    for each in _unwrapped(value, 0):
        service = _service(each)
        if service is DeliveryOrigin.SES:
            yield from _ses(each, outcomes)
        elif service is DeliveryOrigin.SENDGRID:
            yield from _sendgrid(each, outcomes)
        elif service is DeliveryOrigin.MAILGUN:
            yield from _mailgun(each, outcomes)
        elif service is DeliveryOrigin.POSTMARK:
            yield from _postmark(each, outcomes)


def _service(event: dict[str, Any]) -> DeliveryOrigin | None:
    if isinstance(event.get("mail"), dict) and ("eventType" in event or "notificationType" in event):
        return DeliveryOrigin.SES
    if "RecordType" in event and "MessageID" in event:
        return DeliveryOrigin.POSTMARK
    if isinstance(event.get("event"), str):
        if "sg_event_id" in event or "sg_message_id" in event:
            return DeliveryOrigin.SENDGRID
        if "recipient" in event and ("log-level" in event or "delivery-status" in event or "message" in event):
            return DeliveryOrigin.MAILGUN
    return None


def _unwrapped(value: Any, level: int) -> Iterator[dict[str, Any]]:
    """The objects that may be events, taken out of lists and of what carried them."""
    if level > _MAX_WRAPS:
        return
    if isinstance(value, list):
        for each in value:
            yield from _unwrapped(each, level + 1)
    elif isinstance(value, str):
        if value.lstrip()[:1] in _JSON:
            try:
                yield from _unwrapped(json.loads(value), level + 1)
            except (ValueError, RecursionError):
                return
    elif isinstance(value, dict):
        if _service(value):
            yield value
            return
        for key in ("Message", "Body", "body", "detail", "event-data", "items", "Bounces"):
            if isinstance(inner := value.get(key), (dict, list, str)):
                yield from _unwrapped(inner, level + 1)
        for record in _list(value, "Records"):
            if isinstance(record, dict):
                yield from _unwrapped(record.get("Sns") or record.get("body"), level + 1)


# --- Amazon SES ---


def _ses(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind = _text(event, "eventType") or _text(event, "notificationType")
    mail = event["mail"]
    ident = _text(mail, "messageId")
    common = mail.get("commonHeaders")
    authors = common.get("from") if isinstance(common, dict) else None
    author = authors[0] if isinstance(authors, list) and authors and isinstance(authors[0], str) else ""
    sender = domain_of(author) or domain_of(_text(mail, "source"))
    body = event.get({"DeliveryDelay": "deliveryDelay"}.get(kind, kind.lower()))
    body = body if isinstance(body, dict) else {}
    at = second(_text(body, "timestamp")) or second(_text(mail, "timestamp"))

    def made(result: DeliveryResult, to: str, outcome: MailOutcome | None = None) -> DeliveryEvent:
        reported = outcome or MailOutcome(result, outcomes.receiver(to))
        return _made(DeliveryOrigin.SES, result, at, ident, sender, reported, to)

    if kind == "Delivery":
        for each in _list(body, "recipients") or _list(mail, "destination"):
            if isinstance(each, str):
                yield made(DeliveryResult.DELIVERED, _bare(each))
    elif kind == "Complaint" and body.get("complaintFeedbackType") != "not-spam":
        # With "OnAccountSuppressionList" the service took the complaint itself: nothing was sent.
        if body.get("complaintSubType") not in _SES_NOT_TRIED:
            for recipient in _recipients(body, "complainedRecipients"):
                yield made(DeliveryResult.COMPLAINT, recipient)
    elif kind in ("Bounce", "DeliveryDelay") and body.get("bounceSubType") not in _SES_NOT_TRIED:
        final = kind == "Bounce"
        for each in _list(body, "bouncedRecipients" if final else "delayedRecipients"):
            if isinstance(each, dict):
                to = _bare(_text(each, "emailAddress"))
                heard = _read(outcomes, _text(each, "diagnosticCode"), _text(each, "status"), to, final=final)
                yield made(_ses_bounce(body, heard.result) if final else DeliveryResult.DEFERRED, to, heard.outcome)


def _ses_bounce(bounce: dict[str, Any], by_reply: DeliveryResult | None) -> DeliveryResult:
    """The kind of bounce: as the receiver's words tell, else as the service does."""
    listed = _SES_SUBTYPES.get(_text(bounce, "bounceSubType"))
    if listed is not None:
        return listed
    if by_reply is not None:
        return by_reply
    return DeliveryResult.HARD if bounce.get("bounceType") == "Permanent" else DeliveryResult.SOFT


# --- SendGrid ---


def _sendgrid(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind, to = _text(event, "event"), _bare(_text(event, "email"))
    outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to))
    if kind == "delivered":
        result = DeliveryResult.DELIVERED
    elif kind == "spamreport":
        result = DeliveryResult.COMPLAINT
    elif kind in ("deferred", "bounce"):
        words = _text(event, "reason") or _text(event, "response")
        heard = _read(outcomes, words, _text(event, "status"), to, final=kind == "bounce")
        outcome = heard.outcome
        result = DeliveryResult.DEFERRED if kind == "deferred" else _sendgrid_bounce(event, heard.result)
    else:
        return  # processed, opened, clicked; dropped: nothing was sent
    ident = _text(event, "sg_message_id") or _text(event, "sg_event_id")
    at, sender = second(event.get("timestamp")), domain_of(_text(event, "from"))
    yield _made(DeliveryOrigin.SENDGRID, result, at, ident, sender, outcome, to)


def _sendgrid_bounce(event: dict[str, Any], by_reply: DeliveryResult | None) -> DeliveryResult:
    """The kind of bounce: as the receiver's words tell, else as the service sorts it."""
    listed = _SENDGRID_CLASSES.get(_text(event, "bounce_classification").lower())
    blocked = DeliveryResult.POLICY if event.get("type") == "blocked" else DeliveryResult.HARD
    return by_reply or listed or blocked


# --- Mailgun ---


def _mailgun(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind, to = _text(event, "event"), _bare(_text(event, "recipient"))
    status = event.get("delivery-status")
    host = _text(status, "mx-host").lower().rstrip(".")
    outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to, host))
    if kind == "delivered":
        result = DeliveryResult.DELIVERED
    elif kind == "complained":
        result = DeliveryResult.COMPLAINT
    elif kind == "failed" and not _text(event, "reason").startswith("suppress-"):
        final = event.get("severity") != "temporary"
        code = status.get("code") if isinstance(status, dict) else None
        words = _text(status, "message") or _text(status, "description")
        if isinstance(code, int) and 400 <= code <= 599 and not words.startswith(str(code)):
            words = f"{code} {words}"
        heard = _read(outcomes, words, _text(status, "enhanced-code"), to, final=final, host=host)
        outcome = heard.outcome
        result = (heard.result or DeliveryResult.SOFT) if final else DeliveryResult.DEFERRED
    else:
        return  # accepted, opened, clicked, unsubscribed; suppressed: nothing was sent
    message = event.get("message")
    headers = message.get("headers") if isinstance(message, dict) else None
    sender = (
        domain_of(_text(headers, "from"))
        or domain_of(_text(event.get("envelope"), "sender"))
        or domain_of(f"x@{_text(event.get('domain'), 'name')}")
    )
    ident = _text(headers, "message-id") or _text(event, "id")
    yield _made(DeliveryOrigin.MAILGUN, result, second(event.get("timestamp")), ident, sender, outcome, to)


# --- Postmark ---


def _postmark(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind = _text(event, "RecordType")
    to = _bare(_text(event, "Recipient") or _text(event, "Email"))
    outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to))
    result: DeliveryResult | None = None
    if kind == "Delivery":
        result = DeliveryResult.DELIVERED
    elif kind == "SpamComplaint":
        result = DeliveryResult.COMPLAINT
    elif kind == "Bounce":
        result = _POSTMARK_TYPES.get(_text(event, "Type"))
        heard = _read(outcomes, _text(event, "Details"), "", to)
        outcome = heard.outcome
        if result in (DeliveryResult.SOFT, DeliveryResult.HARD):
            result = heard.result or result
    if result is None:
        return  # opened, clicked, subscriptions, automatic answers
    at = second(_text(event, "DeliveredAt") or _text(event, "BouncedAt"))
    ident, sender = _text(event, "MessageID"), domain_of(_text(event, "From"))
    yield _made(DeliveryOrigin.POSTMARK, result, at, ident, sender, outcome, to)


# --- All ---


class _Heard(Struct, frozen=True):
    """What the receiver's words tell of a mail; `known`: they tell something at all."""

    outcome: MailOutcome
    known: bool

    @property
    def result(self) -> DeliveryResult | None:
        return self.outcome.result if self.known else None


def _read(outcomes: Outcomes, words: str, status: str, recipient: str, *, final: bool = True, host: str = "") -> _Heard:
    """What the receiver's words tell."""
    text = words.partition(";")[2] if words.lower().startswith("smtp;") else words
    reply = field_reply(text[:_MAX_WORDS]) or Reply(folded(text[:_MAX_WORDS]))
    status = status if status[:2] in ("4.", "5.") else ""
    reply = Reply(
        reply.text, reply.code, reply.enhanced, reply.status or status, reply.host or host, recipient, reply.command
    )
    outcome = outcomes.of(reply, final=final)
    return _Heard(outcome, bool(reply.code or reply.enhanced or outcome.meaning))


def _made(
    origin: DeliveryOrigin,
    result: DeliveryResult,
    at: int | None,
    ident: str,
    sender: str,
    outcome: MailOutcome,
    to: str,
) -> DeliveryEvent:
    """An event; `ident`: what names the mail at the service; `outcome`: its receiver, and the meaning of its reply."""
    key = f"{ident} {to} {result.value}"
    why = why_of(result, outcome.why)
    return DeliveryEvent(result, at, origin, key, sender, outcome.receiver, outcome.meaning, to, why)


def _text(keys: Any, name: str) -> str:
    value = keys.get(name) if isinstance(keys, dict) else None
    return value[:_MAX_WORDS] if isinstance(value, str) else ""


def _list(keys: dict[str, Any], name: str) -> list[Any]:
    value = keys.get(name)
    return value[:_MAX_RECIPIENTS] if isinstance(value, list) else []


def _recipients(keys: dict[str, Any], name: str) -> Iterator[str]:
    for each in _list(keys, name):
        if isinstance(each, dict) and (address := _bare(_text(each, "emailAddress"))):
            yield address


def _bare(address: str) -> str:
    """An address without name and brackets, in lower case."""
    return address[:500].rpartition("<")[2].partition(">")[0].strip().lower()


_BRACKET = re.compile(r"[\[\]{}]")
_WHITE = re.compile(r"\s*")


def json_values(pieces: Iterator[bytes]) -> Iterator[Any]:
    """The values, in order; a line that is none, among lines that are, is left out.

    Raises NotReadError where there is no JSON, or more than is read.
    """
    lines = lines_of(pieces, limits.MAX_JSON + 1)
    first = next(lines, None)
    if first is None:
        raise NotReadError(limits.NOT_FEEDBACK())
    if len(first) > limits.MAX_JSON:
        raise NotReadError(limits.TOO_LARGE(octets=len(first), limit=limits.MAX_JSON))
    if first.lstrip()[:1] in (b"{", b"[") and _depth(first.decode("ascii", "replace")) > limits.MAX_JSON_DEPTH:
        raise NotReadError(limits.TOO_DEEP(limit=limits.MAX_JSON_DEPTH))
    value = _value(first)
    if value is not None:
        yield value
        for line in lines:
            if (value := _value(line)) is not None:
                yield value
        return
    collected, size = [first], len(first)
    for line in lines:
        size += len(line) + 1
        if size > limits.MAX_JSON:
            raise NotReadError(limits.TOO_LARGE(octets=size, limit=limits.MAX_JSON))
        collected.append(line)
    yield from _several(decode_octets(b"\n".join(collected), None).text.removeprefix("\ufeff"))


def _value(line: bytes) -> dict[str, Any] | list[Any] | None:
    """The object or array that a line is; None where it is none of these."""
    text = decode_octets(line, None).text.removeprefix("\ufeff").strip()
    if text[:1] not in ("{", "[") or _depth(text) > limits.MAX_JSON_DEPTH:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _several(text: str) -> Iterator[Any]:
    if _depth(text) > limits.MAX_JSON_DEPTH:
        raise NotReadError(limits.TOO_DEEP(limit=limits.MAX_JSON_DEPTH))
    decoder = json.JSONDecoder()
    position = begin = _end_of_white(text, 0)
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            first = position == begin
            raise NotReadError(limits.NOT_FEEDBACK() if first else limits.DAMAGED(what="JSON")) from None
        yield value
        position = _end_of_white(text, position)


def _end_of_white(text: str, position: int) -> int:
    match = _WHITE.match(text, position)
    return match.end() if match else position


def _depth(text: str) -> int:
    """How deep brackets are nested, those in strings counted too; reading stops beyond the limit."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
        if deepest > limits.MAX_JSON_DEPTH:
            break
    return deepest
