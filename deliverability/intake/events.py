"""Events of sending services, and JSON as it stands in feedback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from deliverability.core.mail.words import decode_octets
from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult, SuppressClass
from deliverability.core.replies import limits
from deliverability.core.replies.limits import NotReadError, domain_of, lines_of, second
from deliverability.core.replies.outcomes import MailOutcome, Outcomes
from deliverability.intake.services import (
    SERVICES,
    bare,
    campaigns_of,
    event_of,
    heard_of,
    list_of,
    reader_of,
    recipients_of,
    text_of,
)

_MAX_WRAPS = 5

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
_CARRIERS = (
    *("Message", "Body", "body", "detail", "event-data", "items", "Bounces"),
    *("mandrill_events", "msys", "message_event", "results", "events", "event"),
)


def is_event(value: Any) -> bool:
    """Whether a JSON value is an event, or holds some, by its keys."""
    return any(_service(each) for each in _unwrapped(value, 0))


def events_of(value: Any, outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    """What the events in a JSON value say became of mails; those about anything else are left out."""
    for each in _told_by(value, outcomes):
        # A service that calls a bounce hard without the receiver's words cannot tell a filter from a dead address.
        doubted = each.why is SuppressClass.ADDRESS and not each.meaning and outcomes.doubts(each.receiver)
        yield replace(each, why=SuppressClass.DOUBTED) if doubted else each


def _told_by(value: Any, outcomes: Outcomes) -> Iterator[DeliveryEvent]:
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
        elif (more := reader_of(each)) is not None:
            yield from SERVICES[more](each, outcomes)


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
    return reader_of(event)


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
        for key in _CARRIERS:
            if isinstance(inner := value.get(key), (dict, list, str)):
                yield from _unwrapped(inner, level + 1)
        for record in list_of(value, "Records"):
            if isinstance(record, dict):
                yield from _unwrapped(record.get("Sns") or record.get("body"), level + 1)


# --- Amazon SES ---


def _ses(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind = text_of(event, "eventType") or text_of(event, "notificationType")
    mail = event["mail"]
    ident = text_of(mail, "messageId")
    common = mail.get("commonHeaders")
    authors = common.get("from") if isinstance(common, dict) else None
    author = authors[0] if isinstance(authors, list) and authors and isinstance(authors[0], str) else ""
    sender = domain_of(author) or domain_of(text_of(mail, "source"))
    body = event.get({"DeliveryDelay": "deliveryDelay"}.get(kind, kind.lower()))
    body = body if isinstance(body, dict) else {}
    at = second(text_of(body, "timestamp")) or second(text_of(mail, "timestamp"))
    campaigns = _ses_campaigns(mail.get("tags"))

    def made(result: DeliveryResult, to: str, outcome: MailOutcome | None = None) -> DeliveryEvent:
        reported = outcome or MailOutcome(result, outcomes.receiver(to))
        return event_of(DeliveryOrigin.SES, result, at, ident, sender, reported, to, campaigns)

    if kind == "Delivery":
        for each in list_of(body, "recipients") or list_of(mail, "destination"):
            if isinstance(each, str):
                yield made(DeliveryResult.DELIVERED, bare(each))
    elif kind == "Complaint" and body.get("complaintFeedbackType") != "not-spam":
        # With "OnAccountSuppressionList" the service took the complaint itself: nothing was sent.
        if body.get("complaintSubType") not in _SES_NOT_TRIED:
            for recipient in recipients_of(body, "complainedRecipients"):
                yield made(DeliveryResult.COMPLAINT, recipient)
    elif kind in ("Bounce", "DeliveryDelay") and body.get("bounceSubType") not in _SES_NOT_TRIED:
        final = kind == "Bounce"
        for each in list_of(body, "bouncedRecipients" if final else "delayedRecipients"):
            if isinstance(each, dict):
                to = bare(text_of(each, "emailAddress"))
                heard = heard_of(outcomes, text_of(each, "diagnosticCode"), text_of(each, "status"), to, final=final)
                yield made(_ses_bounce(body, heard.result) if final else DeliveryResult.DEFERRED, to, heard.outcome)


def _ses_campaigns(tags: Any) -> tuple[str, ...]:
    """The values of the sender's own tags; where one is called campaign, that one."""
    own = {name.lower(): value for name, value in tags.items() if ":" not in name} if isinstance(tags, dict) else {}
    named = [own[each] for each in ("campaign", "campaign_name", "campaignname", "campaign_id") if each in own]
    return campaigns_of(*(named[:1] or own.values()))


def _ses_bounce(bounce: dict[str, Any], by_reply: DeliveryResult | None) -> DeliveryResult:
    """The kind of bounce: as the receiver's words tell, else as the service does."""
    listed = _SES_SUBTYPES.get(text_of(bounce, "bounceSubType"))
    if listed is not None:
        return listed
    if by_reply is not None:
        return by_reply
    return DeliveryResult.HARD if bounce.get("bounceType") == "Permanent" else DeliveryResult.SOFT


# --- SendGrid ---


def _sendgrid(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind, to = text_of(event, "event"), bare(text_of(event, "email"))
    outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to))
    if kind == "delivered":
        result = DeliveryResult.DELIVERED
    elif kind == "spamreport":
        result = DeliveryResult.COMPLAINT
    elif kind in ("deferred", "bounce"):
        words = text_of(event, "reason") or text_of(event, "response")
        heard = heard_of(outcomes, words, text_of(event, "status"), to, final=kind == "bounce")
        outcome = heard.outcome
        result = DeliveryResult.DEFERRED if kind == "deferred" else _sendgrid_bounce(event, heard.result)
    else:
        return  # processed, opened, clicked; dropped: nothing was sent
    ident = text_of(event, "sg_message_id") or text_of(event, "sg_event_id")
    at, sender = second(event.get("timestamp")), domain_of(text_of(event, "from"))
    named = event.get("marketing_campaign_name") or event.get("singlesend_name")
    campaigns = campaigns_of(named or event.get("category"))
    yield event_of(DeliveryOrigin.SENDGRID, result, at, ident, sender, outcome, to, campaigns)


def _sendgrid_bounce(event: dict[str, Any], by_reply: DeliveryResult | None) -> DeliveryResult:
    """The kind of bounce: as the receiver's words tell, else as the service sorts it."""
    listed = _SENDGRID_CLASSES.get(text_of(event, "bounce_classification").lower())
    blocked = DeliveryResult.POLICY if event.get("type") == "blocked" else DeliveryResult.HARD
    return by_reply or listed or blocked


# --- Mailgun ---


def _mailgun(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind, to = text_of(event, "event"), bare(text_of(event, "recipient"))
    status = event.get("delivery-status")
    host = text_of(status, "mx-host").lower().rstrip(".")
    outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to, host))
    if kind == "delivered":
        result = DeliveryResult.DELIVERED
    elif kind == "complained":
        result = DeliveryResult.COMPLAINT
    elif kind == "failed" and not text_of(event, "reason").startswith("suppress-"):
        final = event.get("severity") != "temporary"
        code = status.get("code") if isinstance(status, dict) else None
        words = text_of(status, "message") or text_of(status, "description")
        if isinstance(code, int) and 400 <= code <= 599 and not words.startswith(str(code)):
            words = f"{code} {words}"
        heard = heard_of(outcomes, words, text_of(status, "enhanced-code"), to, final=final, host=host)
        outcome = heard.outcome
        result = (heard.result or DeliveryResult.SOFT) if final else DeliveryResult.DEFERRED
    else:
        return  # accepted, opened, clicked, unsubscribed; suppressed: nothing was sent
    message = event.get("message")
    headers = message.get("headers") if isinstance(message, dict) else None
    sender = (
        domain_of(text_of(headers, "from"))
        or domain_of(text_of(event.get("envelope"), "sender"))
        or domain_of(f"x@{text_of(event.get('domain'), 'name')}")
    )
    ident = text_of(headers, "message-id") or text_of(event, "id")
    campaigns = campaigns_of(event.get("campaigns") or event.get("tags"))
    at = second(event.get("timestamp"))
    yield event_of(DeliveryOrigin.MAILGUN, result, at, ident, sender, outcome, to, campaigns)


# --- Postmark ---


def _postmark(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind = text_of(event, "RecordType")
    to = bare(text_of(event, "Recipient") or text_of(event, "Email"))
    outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to))
    result: DeliveryResult | None = None
    if kind == "Delivery":
        result = DeliveryResult.DELIVERED
    elif kind == "SpamComplaint":
        result = DeliveryResult.COMPLAINT
    elif kind == "Bounce":
        result = _POSTMARK_TYPES.get(text_of(event, "Type"))
        heard = heard_of(outcomes, text_of(event, "Details"), "", to)
        outcome = heard.outcome
        if result in (DeliveryResult.SOFT, DeliveryResult.HARD):
            result = heard.result or result
    if result is None:
        return  # opened, clicked, subscriptions, automatic answers
    at = second(text_of(event, "DeliveredAt") or text_of(event, "BouncedAt"))
    ident, sender = text_of(event, "MessageID"), domain_of(text_of(event, "From"))
    campaigns = campaigns_of(event.get("Tag"))
    yield event_of(DeliveryOrigin.POSTMARK, result, at, ident, sender, outcome, to, campaigns)


# --- JSON ---

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
