"""Events of more services, each by the keys that its own documentation names (looked up on 2026-11-29).

Mailchimp Transactional (Mandrill): "Webhooks format", the examples that the service posts. Brevo: developers.brevo.com,
"Transactional webhooks". SparkPost: "Webhook event reference" and "Bounce classification codes". Mailjet: "Event API",
"Possible values for errors". Resend: resend.com/docs/webhooks, "email.bounced". HubSpot: developers.hubspot.com, "Email
events" (v1). Azure Communication Services: learn.microsoft.com, "Email events" of Event Grid. blastengine:
blastengine.jp/webhook. SendGrid in Japan sends what SendGrid sends.

First what all readers of events share: the fields of a JSON object, and the words of a receiver in one of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.core.model.replies import Reply
from deliverability.core.replies.limits import domain_of, second
from deliverability.core.replies.outcomes import MailOutcome, Outcomes, why_of
from deliverability.core.replies.text import field_reply, folded

_MAX_RECIPIENTS = 1_000
_MAX_WORDS = 2_000
_MAX_CAMPAIGNS = 3
_MAX_NAME = 60


class Heard(Struct, frozen=True):
    """What the receiver's words tell of a mail; `known`: they tell something at all."""

    outcome: MailOutcome
    known: bool

    @property
    def result(self) -> DeliveryResult | None:
        """What became of the mail; None where the words do not tell."""
        return self.outcome.result if self.known else None


def heard_of(
    outcomes: Outcomes, words: str, status: str, recipient: str, *, final: bool = True, host: str = ""
) -> Heard:
    """What the receiver's words tell."""
    text = words.partition(";")[2] if words.lower().startswith("smtp;") else words
    reply = field_reply(text[:_MAX_WORDS]) or Reply(folded(text[:_MAX_WORDS]))
    status = status if status[:2] in ("4.", "5.") else ""
    reply = Reply(
        reply.text, reply.code, reply.enhanced, reply.status or status, reply.host or host, recipient, reply.command
    )
    outcome = outcomes.of(reply, final=final)
    return Heard(outcome, bool(reply.code or reply.enhanced or outcome.meaning))


def event_of(
    origin: DeliveryOrigin,
    result: DeliveryResult,
    at: int | None,
    ident: str,
    sender: str,
    outcome: MailOutcome,
    to: str,
    campaigns: tuple[str, ...] = (),
) -> DeliveryEvent:
    """An event; `ident`: what names the mail at the service; `outcome`: its receiver, and the meaning of its reply."""
    key = f"{ident} {to} {result.value}"
    why = why_of(result, outcome.why)
    return DeliveryEvent(result, at, origin, key, sender, outcome.receiver, outcome.meaning, to, why, campaigns)


def text_of(keys: Any, name: str) -> str:
    """The text under a name; empty where there is none."""
    value = keys.get(name) if isinstance(keys, dict) else None
    return value[:_MAX_WORDS] if isinstance(value, str) else ""


def list_of(keys: dict[str, Any], name: str) -> list[Any]:
    """The array under a name; empty where there is none."""
    value = keys.get(name)
    return value[:_MAX_RECIPIENTS] if isinstance(value, list) else []


def recipients_of(keys: dict[str, Any], name: str) -> Iterator[str]:
    """The addresses in an array of objects."""
    for each in list_of(keys, name):
        if isinstance(each, dict) and (address := bare(text_of(each, "emailAddress"))):
            yield address


def bare(address: str) -> str:
    """An address without name and brackets, in lower case."""
    return address[:500].rpartition("<")[2].partition(">")[0].strip().lower()


def campaigns_of(*values: Any) -> tuple[str, ...]:
    """The names that a sender gave a mailing, out of texts, numbers, lists of them, and pairs of name and value.

    Who put an address into one has named a recipient: that is left out.
    """
    found: dict[str, None] = {}
    for value in values:
        for each in value[:_MAX_CAMPAIGNS] if isinstance(value, list) else [value]:
            text = each.get("value") or each.get("name") if isinstance(each, dict) else each
            text = str(text) if isinstance(text, (str, int)) and not isinstance(text, bool) and text else ""
            shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[:_MAX_WORDS])
            name = " ".join(shown.split())
            if name and "@" not in name:
                found[name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"] = None
    return tuple(found)[:_MAX_CAMPAIGNS]


_AZURE = "Microsoft.Communication.EmailDeliveryReportReceived"
_CODED = re.compile(r"(?<![0-9])[45][0-9]{2}[ -]|(?<![0-9.])[45]\.[0-9]\.[0-9]")
_DELIVERED, _DEFERRED, _HARD = DeliveryResult.DELIVERED, DeliveryResult.DEFERRED, DeliveryResult.HARD
_SOFT, _POLICY, _COMPLAINT = DeliveryResult.SOFT, DeliveryResult.POLICY, DeliveryResult.COMPLAINT

# What each service says itself; what is not here is no result of a mail (opened, clicked, dropped before it was sent).
_MANDRILL = {
    **{"delivered": _DELIVERED, "deferral": _DEFERRED},
    **{"hard_bounce": _HARD, "soft_bounce": _SOFT, "spam": _COMPLAINT},
}
_BREVO = {
    **{"delivered": _DELIVERED, "deferred": _DEFERRED, "hard_bounce": _HARD, "soft_bounce": _SOFT},
    **{"invalid_email": _HARD, "error": _SOFT, "spam": _COMPLAINT, "complaint": _COMPLAINT},
    **{"hardbounces": _HARD, "softbounces": _SOFT, "invalid": _HARD},
}
_SPARKPOST = {
    **{"delivery": _DELIVERED, "delay": _DEFERRED, "bounce": _SOFT, "out_of_band": _SOFT},
    "spam_complaint": _COMPLAINT,
}
_SPARKPOST_CLASSES = {
    **dict.fromkeys(("10", "30"), _HARD),
    **dict.fromkeys(("23", "50", "51", "52", "53", "54"), _POLICY),
}
_SPARKPOST_NOT_TRIED = frozenset({"25", "26", "60", "80", "90", "100"})
_MAILJET = {"sent": _DELIVERED, "bounce": _SOFT, "blocked": _SOFT, "spam": _COMPLAINT}
_MAILJET_ERRORS = {
    **{"user unknown": _HARD, "invalid domain": _HARD, "sender blocked": _POLICY, "content blocked": _POLICY},
    **{"policy issue": _POLICY, "relay/access denied": _POLICY},
}
_MAILJET_NOT_TRIED = frozenset({"preblocked", "duplicate in campaign"})
_RESEND = {
    **{"email.delivered": _DELIVERED, "email.delivery_delayed": _DEFERRED, "email.bounced": _SOFT},
    "email.complained": _COMPLAINT,
}
_RESEND_SUBTYPES = {
    **dict.fromkeys(("MessageTooLarge", "ContentRejected", "AttachmentRejected"), _POLICY),
    "MailboxFull": _SOFT,
}
_HUBSPOT = {"DELIVERED": _DELIVERED, "DEFERRED": _DEFERRED, "BOUNCE": _SOFT, "SPAMREPORT": _COMPLAINT}
_HUBSPOT_CATEGORIES = {
    "UNKNOWN_USER": _HARD,
    **dict.fromkeys(("CONTENT", "SPAM", "POLICY", "DMARC", "IP_REPUTATION", "DOMAIN_REPUTATION"), _POLICY),
}
_AZURE_STATES = {
    **{"Delivered": _DELIVERED, "Bounced": _HARD, "Failed": _SOFT},
    **{"FilteredSpam": _POLICY, "Quarantined": _POLICY},
}
_BLASTENGINE = {"SOFTERROR": _SOFT, "HARDERROR": _HARD}


SERVICE_NAMES = (
    *("Amazon SES", "SendGrid (SendGrid Japan)", "Mailgun", "Postmark", "Mailchimp Transactional (Mandrill)", "Brevo"),
    *("SparkPost", "Mailjet", "Resend", "HubSpot", "Azure Communication Services", "blastengine"),
)
"""All services whose events are read, as they call themselves."""


def reader_of(event: Mapping[str, Any]) -> DeliveryOrigin | None:
    """The service that an object is an event of; None: none of these."""
    kind = event.get("event")
    if isinstance(kind, str):
        if isinstance(event.get("msg"), dict) and "email" in event["msg"]:
            return DeliveryOrigin.MANDRILL
        if "email" in event and any(name in event for name in ("mj_campaign_id", "mj_contact_id", "mj_message_id")):
            return DeliveryOrigin.MAILJET
        if "email" in event and ("message-id" in event or "ts_event" in event or "messageId" in event):
            return DeliveryOrigin.BREVO
    kind = event.get("type")
    if _AZURE in (kind, event.get("eventType")) and isinstance(event.get("data"), dict):
        return DeliveryOrigin.AZURE
    if isinstance(kind, str):
        data = event.get("data")
        if kind.startswith("email.") and isinstance(data, dict) and "email_id" in data:
            return DeliveryOrigin.RESEND
        if "rcpt_to" in event:
            return DeliveryOrigin.SPARKPOST
        if "recipient" in event and ("portalId" in event or "emailCampaignId" in event):
            return DeliveryOrigin.HUBSPOT
        if isinstance(detail := event.get("detail"), dict) and "mailaddress" in detail:
            return DeliveryOrigin.BLASTENGINE
    return None


def _told(
    origin: DeliveryOrigin,
    said: DeliveryResult,
    outcomes: Outcomes,
    *,
    to: str,
    at: int | None,
    ident: str,
    sender: str,
    words: str = "",
    status: str = "",
    host: str = "",
    campaigns: tuple[str, ...] = (),
) -> DeliveryEvent:
    """An event: as the receiver's words tell; where they tell nothing, as the service says itself."""
    outcome = MailOutcome(said, outcomes.receiver(to, host))
    result = said
    if said not in (_DELIVERED, _COMPLAINT) and words:
        heard = heard_of(outcomes, words, status, to, final=said is not _DEFERRED, host=host)
        outcome = heard.outcome
        result = said if said is _DEFERRED else heard.result or said
    return event_of(origin, result, at, ident, sender, outcome, to, campaigns)


def _mandrill(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    said = _MANDRILL.get(text_of(event, "event"))
    if said is None:
        return
    message = event["msg"]
    tries = list_of(message, "smtp_events")
    words = text_of(message, "diag") or (text_of(tries[-1], "diag") if tries else "")
    yield _told(
        DeliveryOrigin.MANDRILL,
        said,
        outcomes,
        to=bare(text_of(message, "email")),
        at=second(event.get("ts")),
        ident=text_of(message, "_id") or text_of(event, "_id"),
        sender=domain_of(text_of(message, "sender")),
        words=words,
        campaigns=campaigns_of(message.get("tags")),
    )


def _brevo(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    said = _BREVO.get(text_of(event, "event").lower())
    if said is None:
        return
    yield _told(
        DeliveryOrigin.BREVO,
        said,
        outcomes,
        to=bare(text_of(event, "email")),
        at=second(event.get("ts_event")) or second(event.get("ts")) or second(event.get("date")),
        ident=text_of(event, "message-id") or text_of(event, "messageId"),
        sender=domain_of(text_of(event, "sender_email") or text_of(event, "from")),
        words=_coded(text_of(event, "reason")),
        campaigns=campaigns_of(event.get("campaign name") or event.get("tags") or event.get("tag")),
    )


def _sparkpost(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    kind, sort = text_of(event, "type"), str(event.get("bounce_class", ""))
    said = _SPARKPOST.get(kind)
    if said is None or (kind in ("bounce", "out_of_band") and sort in _SPARKPOST_NOT_TRIED):
        return
    stamp = event.get("timestamp")
    yield _told(
        DeliveryOrigin.SPARKPOST,
        _SPARKPOST_CLASSES.get(sort, said) if said is _SOFT else said,
        outcomes,
        to=bare(text_of(event, "rcpt_to") or text_of(event, "raw_rcpt_to")),
        at=second(int(stamp)) if isinstance(stamp, str) and stamp.isdecimal() else second(stamp),
        ident=text_of(event, "message_id") or text_of(event, "event_id"),
        sender=domain_of(text_of(event, "friendly_from")) or domain_of(text_of(event, "msg_from")),
        words=text_of(event, "raw_reason") or text_of(event, "reason"),
        campaigns=campaigns_of(event.get("campaign_id")),
    )


def _mailjet(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    said, error = _MAILJET.get(text_of(event, "event")), text_of(event, "error")
    if said is None or error in _MAILJET_NOT_TRIED:
        return
    if said is _SOFT:
        said = _MAILJET_ERRORS.get(error, _SOFT)
    ident = event.get("MessageID") or event.get("mj_message_id") or ""
    yield _told(
        DeliveryOrigin.MAILJET,
        said,
        outcomes,
        to=bare(text_of(event, "email")),
        at=second(event.get("time")),
        ident=str(ident)[:100],
        sender="",
        words=_coded(text_of(event, "comment")),
        campaigns=campaigns_of(event.get("customcampaign") or event.get("mj_campaign_id")),
    )


def _resend(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    said, data = _RESEND.get(text_of(event, "type")), event["data"]
    bounce = data.get("bounce")
    bounce = bounce if isinstance(bounce, dict) else {}
    sub = text_of(bounce, "subType")
    if said is None or sub in ("Suppressed", "OnAccountSuppressionList"):
        return
    if said is _SOFT:
        said = _RESEND_SUBTYPES.get(sub, _HARD if text_of(bounce, "type") == "Permanent" else _SOFT)
    codes = [each for each in list_of(bounce, "diagnosticCode") if isinstance(each, str)]
    words = codes[0] if codes else _coded(text_of(bounce, "message"))
    to = [each for each in list_of(data, "to") if isinstance(each, str)] or [text_of(data, "to")]
    for each in to:
        yield _told(
            DeliveryOrigin.RESEND,
            said,
            outcomes,
            to=bare(each),
            at=second(text_of(event, "created_at")) or second(text_of(data, "created_at")),
            ident=text_of(data, "email_id"),
            sender=domain_of(text_of(data, "from")),
            words=words,
            campaigns=campaigns_of(data.get("tags") or data.get("broadcast_id")),
        )


def _hubspot(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    said = _HUBSPOT.get(text_of(event, "type"))
    if said is None:
        return
    if said is _SOFT:
        said = _HUBSPOT_CATEGORIES.get(text_of(event, "category"), _SOFT)
    created = event.get("created")
    sent = event.get("sentBy")
    yield _told(
        DeliveryOrigin.HUBSPOT,
        said,
        outcomes,
        to=bare(text_of(event, "recipient")),
        at=second(created / 1_000) if isinstance(created, int) else second(created),
        ident=text_of(sent, "id") or text_of(event, "id"),
        sender=domain_of(text_of(event, "from")),
        words=text_of(event, "response"),
        status=text_of(event, "status"),
        campaigns=campaigns_of(event.get("emailCampaignId")),
    )


def _azure(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    data = event["data"]
    said = _AZURE_STATES.get(text_of(data, "status"))
    if said is None:
        return
    details = data.get("deliveryStatusDetails")
    stamp = text_of(data, "deliveryAttemptTimeStamp") or text_of(data, "deliveryAttemptTimestamp")
    yield _told(
        DeliveryOrigin.AZURE,
        said,
        outcomes,
        to=bare(text_of(data, "recipient")),
        at=second(stamp) or second(text_of(event, "eventTime") or text_of(event, "time")),
        ident=text_of(data, "messageId"),
        sender=domain_of(text_of(data, "sender")),
        words=_coded(text_of(details, "statusMessage")),
        host=text_of(details, "recipientMailServerHostName").lower().rstrip("."),
    )


def _blastengine(event: dict[str, Any], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    said, detail = _BLASTENGINE.get(text_of(event, "type")), event["detail"]
    if said is None:
        return
    code = re.match(r"[45][0-9]{2}", text_of(detail, "error_code"))
    yield _told(
        DeliveryOrigin.BLASTENGINE,
        said,
        outcomes,
        to=bare(text_of(detail, "mailaddress")),
        at=second(text_of(event, "datetime")),
        ident=str(detail.get("delivery_id", ""))[:100],
        sender="",
        # The words are the service's own; what it makes of the code counts with them.
        words=f"{code[0]} {text_of(detail, 'error_message')}" if code and said is _SOFT else "",
    )


def _coded(words: str) -> str:
    """The words of a receiver, which have a code; what the service says in its own is none."""
    return words if _CODED.search(words) else ""


SERVICES: Mapping[DeliveryOrigin, Callable[[dict[str, Any], Outcomes], Iterator[DeliveryEvent]]] = MappingProxyType(
    {
        DeliveryOrigin.MANDRILL: _mandrill,
        DeliveryOrigin.BREVO: _brevo,
        DeliveryOrigin.SPARKPOST: _sparkpost,
        DeliveryOrigin.MAILJET: _mailjet,
        DeliveryOrigin.RESEND: _resend,
        DeliveryOrigin.HUBSPOT: _hubspot,
        DeliveryOrigin.AZURE: _azure,
        DeliveryOrigin.BLASTENGINE: _blastengine,
    }
)
