"""Events of services as their own documentation shows them, and what each comes to."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability.core.model.deliveries import DeliveryEvent, SuppressClass
from deliverability.core.replies.outcomes import Outcomes
from deliverability.intake.events import events_of, is_event
from deliverability.intake.readings import UnusedPart
from tests.intake.readers import catalogue, found

UNKNOWN = "550 5.1.1 The email account that you tried to reach does not exist."
FULL = "552 5.2.2 Mailbox full"
SPAM = "550 5.7.1 Message rejected as spam"
AT = 1_763_978_400  # 2025-11-24T10:00:00Z
OFF = SuppressClass.ADDRESS


def mandrill(kind: str, **more: Any) -> Any:
    message = {"_id": "m1", "email": "a@example.org", "sender": "news@example.com", **more}
    return {"mandrill_events": [{"event": kind, "ts": AT, "_id": "m1", "msg": message}]}


def brevo(kind: str, **more: Any) -> Any:
    return {"event": kind, "email": "a@example.org", "message-id": "<m1@example.com>", "ts_event": AT, "id": 7, **more}


def sparkpost(kind: str, **more: Any) -> Any:
    said = {"type": kind, "rcpt_to": "a@example.org", "timestamp": str(AT), "message_id": "m1", **more}
    return [{"msys": {"message_event": {"friendly_from": "Shop <news@example.com>", **said}}}]


def mailjet(kind: str, **more: Any) -> Any:
    return [
        {
            "event": kind,
            "time": AT,
            "MessageID": 19421777835146490,
            "email": "a@example.org",
            "mj_contact_id": 0,
            **more,
        }
    ]


def resend(kind: str, **bounce: Any) -> Any:
    data = {"email_id": "m1", "from": "Shop <news@example.com>", "to": ["a@example.org"]}
    return {"type": kind, "created_at": "2025-11-24T10:00:00.000Z", "data": {**data, "bounce": bounce}}


def hubspot(kind: str, **more: Any) -> Any:
    said = {"type": kind, "recipient": "a@example.org", "created": AT * 1_000, "id": "m1", "portalId": 62515, **more}
    return {"hasMore": False, "offset": "x", "events": [said]}


def azure(status: str, message: str = "") -> Any:
    data = {"sender": "news@example.com", "recipient": "a@example.org", "messageId": "m1", "status": status}
    details = {"statusMessage": message, "recipientMailServerHostName": "mx.example.org"}
    data |= {"deliveryStatusDetails": details, "deliveryAttemptTimeStamp": "2025-11-24T10:00:00.2855749+00:00"}
    return [{"eventType": "Microsoft.Communication.EmailDeliveryReportReceived", "data": data, "dataVersion": "1.0"}]


def blastengine(kind: str, code: str, message: str) -> Any:
    detail = {
        "mailaddress": "a@example.org",
        "subject": "x",
        "error_code": code,
        "error_message": message,
        "delivery_id": 1,
    }
    return {"events": [{"event": {"type": kind, "datetime": "2025-11-24T19:00:00+09:00", "detail": detail}}]}


def read(value: Any) -> list[DeliveryEvent]:
    return list(events_of(value, Outcomes(catalogue())))


@pytest.mark.parametrize(
    ("event", "wanted", "why"),
    [
        (mandrill("delivered"), "delivered", None),
        (
            mandrill("deferral", smtp_events=[{"diag": "451 4.3.5 Temporarily unavailable, try again later."}]),
            "deferred",
            None,
        ),
        (mandrill("hard_bounce", bounce_description="bad_mailbox", diag=f"smtp;{UNKNOWN}"), "hard", OFF),
        (mandrill("hard_bounce", bounce_description="bad_mailbox", diag=f"smtp;{SPAM}"), "policy", None),
        (mandrill("soft_bounce", diag=f"smtp;{FULL}"), "soft", SuppressClass.FULL),
        (mandrill("spam"), "complaint", SuppressClass.COMPLAINT),
        (brevo("delivered"), "delivered", None),
        (brevo("hard_bounce", reason=UNKNOWN), "hard", OFF),
        (brevo("hardBounces", reason=FULL), "soft", SuppressClass.FULL),
        (brevo("soft_bounce", reason="server is down"), "soft", None),
        (brevo("spam"), "complaint", SuppressClass.COMPLAINT),
        (sparkpost("delivery"), "delivered", None),
        (sparkpost("bounce", bounce_class="10", raw_reason=UNKNOWN), "hard", OFF),
        (sparkpost("bounce", bounce_class="51"), "policy", None),
        (sparkpost("bounce", bounce_class="22", raw_reason=FULL), "soft", SuppressClass.FULL),
        (sparkpost("delay", raw_reason="421 4.7.0 try again later"), "deferred", None),
        (sparkpost("spam_complaint"), "complaint", SuppressClass.COMPLAINT),
        (mailjet("sent", smtp_reply="sent (250 2.0.0 OK)"), "delivered", None),
        (mailjet("bounce", hard_bounce=True, error_related_to="recipient", error="user unknown"), "hard", OFF),
        (mailjet("bounce", hard_bounce=True, error_related_to="recipient", error="mailbox inactive"), "soft", None),
        (mailjet("blocked", error_related_to="spam", error="content blocked"), "policy", None),
        (mailjet("spam", source="JMRPP"), "complaint", SuppressClass.COMPLAINT),
        (resend("email.delivered"), "delivered", None),
        (
            resend("email.bounced", type="Permanent", subType="General", message="The provider sent a hard bounce."),
            "hard",
            OFF,
        ),
        (resend("email.bounced", type="Transient", subType="MailboxFull", message=""), "soft", None),
        (resend("email.bounced", type="Permanent", subType="ContentRejected", message=""), "policy", None),
        (resend("email.complained"), "complaint", SuppressClass.COMPLAINT),
        (hubspot("DELIVERED"), "delivered", None),
        (hubspot("BOUNCE", category="UNKNOWN_USER", response=UNKNOWN, status="5.1.1"), "hard", OFF),
        (hubspot("BOUNCE", category="MAILBOX_FULL", response=FULL, status="5.2.2"), "soft", SuppressClass.FULL),
        (hubspot("BOUNCE", category="SPAM", status="5.0.0"), "policy", None),
        (hubspot("SPAMREPORT"), "complaint", SuppressClass.COMPLAINT),
        (azure("Delivered"), "delivered", None),
        (azure("Bounced", UNKNOWN), "hard", OFF),
        (azure("Failed", "550 5.7.1 Message rejected as spam"), "policy", None),
        (azure("Quarantined"), "policy", None),
        (blastengine("HARDERROR", "550(errors)", "ユーザーが存在しません"), "hard", OFF),
        (blastengine("SOFTERROR", "552(errors)", "メールボックスの容量を超えています"), "soft", SuppressClass.FULL),
    ],
)
def test_what_an_event_of_a_service_comes_to(event: Any, wanted: str, why: SuppressClass | None) -> None:
    (each,) = read(event)
    assert (each.result.value, each.why) == (wanted, why)
    assert (each.recipient, each.at) == ("a@example.org", AT)
    assert each.key


@pytest.mark.parametrize(
    "event",
    [
        mandrill("open"),
        mandrill("reject"),
        brevo("request"),
        brevo("unique_opened"),
        brevo("blocked"),
        sparkpost("injection"),
        sparkpost("bounce", bounce_class="25"),
        mailjet("blocked", error_related_to="mailjet", error="preblocked"),
        mailjet("open"),
        resend("email.opened"),
        resend("email.bounced", type="Permanent", subType="OnAccountSuppressionList"),
        hubspot("DROPPED", dropReason="PREVIOUSLY_BOUNCED"),
        azure("Suppressed"),
        azure("Expanded"),
        blastengine("DROP", "554(errors)", "エラー停止リストに含まれる宛先"),
    ],
)
def test_what_was_not_tried_or_is_no_result_does_not_count(event: Any) -> None:
    assert is_event(event)
    assert read(event) == []


def test_a_hard_bounce_without_words_is_doubted_where_a_filter_says_the_same() -> None:
    """docomo answers "Unknown user" for its filters as well, and the service cannot know which it was."""
    (each,) = read({**brevo("hard_bounce"), "email": "a@docomo.ne.jp"})
    assert (each.result.value, each.why) == ("hard", SuppressClass.DOUBTED)


def test_what_is_no_event_of_a_service_is_none() -> None:
    for value in ({"event": "bounce"}, {"type": "email.bounced"}, {"events": [{"event": "x"}]}, {"msys": {}}, [1], {}):
        assert not is_event(value), value


def test_json_of_no_service_names_those_that_are_read() -> None:
    (told,) = found(b'{"event": "bounce", "to": "a@example.org"}')
    assert isinstance(told, UnusedPart)
    assert "Brevo" in str(told.detail)
    assert "blastengine" in str(told.detail)


def ses(tags: Any) -> Any:
    mail = {"messageId": "m1", "source": "news@example.com", "timestamp": "2025-11-24T10:00:00Z", "tags": tags}
    return {"eventType": "Delivery", "mail": mail, "delivery": {"recipients": ["a@example.org"]}}


def sendgrid(**more: Any) -> Any:
    return [{"event": "delivered", "email": "a@example.org", "sg_message_id": "m1", "timestamp": AT, **more}]


def mailgun(**more: Any) -> Any:
    said = {"event": "delivered", "recipient": "a@example.org", "timestamp": AT, "log-level": "info", "id": "m1"}
    return {"event-data": {**said, **more}}


def postmark(tag: Any) -> Any:
    return {"RecordType": "Delivery", "MessageID": "m1", "Recipient": "a@example.org", "Tag": tag}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (ses({"ses:caller-identity": ["app"], "campaign": ["spring"], "team": ["x"]}), ("spring",)),
        (ses({"ses:caller-identity": ["app"], "team": ["x", "y"]}), ("x", "y")),
        (sendgrid(category="spring"), ("spring",)),
        (sendgrid(category=["spring", "jp"]), ("spring", "jp")),
        (sendgrid(category="x", singlesend_name="Spring sale"), ("Spring sale",)),
        (mailgun(tags=["spring"], campaigns=[]), ("spring",)),
        (mailgun(tags=["x"], campaigns=[{"id": "fpwj", "name": "Spring sale"}]), ("Spring sale",)),
        (postmark("welcome"), ("welcome",)),
        (mandrill("delivered", tags=["welcome"]), ("welcome",)),
        (brevo("delivered", tags=["welcome"]), ("welcome",)),
        (brevo("delivered", **{"campaign name": "Spring sale", "camp_id": 7}), ("Spring sale",)),
        (sparkpost("delivery", campaign_id="spring"), ("spring",)),
        (mailjet("sent", customcampaign="spring", mj_campaign_id=7), ("spring",)),
        (mailjet("sent", customcampaign="", mj_campaign_id=7), ("7",)),
        (hubspot("DELIVERED", emailCampaignId=13), ("13",)),
        (postmark(""), ()),
        (postmark(None), ()),
        (mailgun(tags=["a@example.org", ""]), ()),
        (postmark("a\x1b[31m\u202ered\n b"), ("a [31m red b",)),
        (postmark("x" * 99), ("x" * 59 + "…",)),
        (mailgun(tags=["1", "2", "3", "4"]), ("1", "2", "3")),
        (mailgun(tags={"name": {"x": 1}}), ()),
        (mailgun(tags=[[["deep"]], {"name": ["x"]}, True]), ()),
    ],
)
def test_the_campaign_is_told_as_the_sender_named_it(value: Any, names: tuple[str, ...]) -> None:
    """Shortened, without what a terminal would act on, and never with a recipient in it."""
    (event,) = read(value)
    assert event.campaigns == names


def test_tags_of_resend() -> None:
    value = resend("email.delivered")
    value["data"] |= {"tags": [{"name": "category", "value": "welcome"}], "broadcast_id": "b-1"}
    assert read(value)[0].campaigns == ("welcome",)
    del value["data"]["tags"]
    assert read(value)[0].campaigns == ("b-1",)
