"""What became of mail: bounces and complaints of the corpus, events of sending services, logs, numbers of receivers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from deliverability.core.model.deliveries import DeliveryEvent, PublishedValue, SuppressClass
from deliverability.core.model.observed import FailureReport
from deliverability.intake.readings import FoundEvents, FoundReport, UnusedPart
from tests import TESTS
from tests.corpus import corpus
from tests.intake.readers import events, found, values
from tests.intake.reports import record
from tests.intake.reports import report as aggregate
from tests.sampled import examples


@cache
def expected() -> Mapping[str, Any]:
    said: Mapping[str, Any] = yaml.safe_load((TESTS / "core" / "replies" / "deliveries.yaml").read_text("utf-8"))
    return said


def results(name: str) -> list[str]:
    return [each.result.value for each in events(corpus("bounces", *name.split("/")))]


# --- Complaints ---


def test_every_complaint_of_the_corpus() -> None:
    for name, (kind, sender, receiver, recipient) in expected()["complaints"].items():
        (told,) = found(corpus("bounces", *name.split("/")))
        assert isinstance(told, FoundEvents), name
        (event,) = told.events
        said = (told.kind, event.sender, event.receiver or None, event.recipient or None)
        assert said == (kind, sender, receiver, recipient), name
        assert (event.result.value, event.origin.value, event.why) == (
            "complaint",
            "complaints",
            SuppressClass.COMPLAINT,
        )
    for name in expected()["failures"]:
        (failure,) = found(corpus("bounces", *name.split("/")))
        assert isinstance(failure, FoundReport)
        assert isinstance(failure.report, FailureReport)
    for name in expected()["nothing"]:
        (nothing,) = found(corpus("bounces", *name.split("/")))
        assert isinstance(nothing, UnusedPart)
        assert not nothing.is_report


ARF = """From: fbl@receiver.example
Date: Mon, 24 Nov 2025 10:00:00 +0900
Message-ID: <1@receiver.example>
Content-Type: multipart/report; report-type=feedback-report; boundary=x

--x
Content-Type: message/feedback-report

Feedback-Type: {kind}
Version: 1
Original-Rcpt-To: <a@docomo.ne.jp>

--x
Content-Type: text/rfc822-headers

From: "Shop" <news@news.example.com>
To: b@example.net

--x--
"""


@pytest.mark.parametrize(
    ("kind", "counted"),
    [("abuse", True), ("fraud", True), ("virus", True), ("other", True), ("not-spam", False), ("opt-out", False)],
)
def test_types_of_feedback(kind: str, counted: bool) -> None:
    (told,) = found(ARF.format(kind=kind))
    assert isinstance(told, FoundEvents)
    assert told.kind == kind
    got = list(told.events)
    assert len(got) == counted
    if counted:
        (event,) = got
        assert (event.sender, event.receiver, event.recipient) == ("news.example.com", "docomo", "a@docomo.ne.jp")
        assert event.at == datetime(2025, 11, 24, 1, tzinfo=UTC).timestamp()


def test_an_unknown_type_of_feedback_is_left_alone() -> None:
    (told,) = found(ARF.format(kind="curious"))
    assert isinstance(told, UnusedPart)


# --- Bounces ---


def test_every_bounce_of_the_other_sets() -> None:
    assert {name: results(name) for name in expected()["bounces"]} == expected()["bounces"]


def test_the_bounces_of_sisimai_are_of_the_class_that_it_expects() -> None:
    reasons, differs = expected()["reasons"], expected()["differs"]
    said = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    other, bounces = {}, 0
    for name, wanted in said.items():
        if name.startswith("arf-") or f"sisimai/{name}" in expected()["nothing"]:
            continue
        bounces += 1
        got = results(f"sisimai/{name}")
        fitting = {each for one in wanted for each in reasons[one["reason"]]}
        hard = any(one["hardbounce"] for one in wanted)
        fits = bool(got) and set(got) <= fitting and ("hard" in got or not hard)
        if not fits:
            other[name] = got
    assert other == {name: got for name, (got, _) in differs.items()}
    assert bounces == 261
    assert len(other) <= 17, "of the 261, each with its reason in the file"


def test_a_notice_that_mail_arrived_is_no_bounce() -> None:
    notice = corpus("bounces", "enmime", "simple_dsn.raw").read_bytes()
    assert events(notice.replace(b"Action: failed", b"Action: delivered")) == []
    assert [each.result.value for each in events(notice.replace(b"Action: failed", b"Action: delayed"))] == ["deferred"]


def test_a_letter_about_a_bounce_is_none() -> None:
    letter = "From: a@example.com\nSubject: Help\n\nI got this: 550 5.1.1 <b@example.net>: user unknown\n"
    (told,) = found(letter)
    assert isinstance(told, UnusedPart)


# --- Events ---


def ses(kind: str, said: Mapping[str, Any], name: str = "eventType") -> dict[str, Any]:
    mail = {
        "messageId": "m1",
        "timestamp": "2025-11-24T10:00:00.000Z",
        "source": "bounce@mail.example.com",
        "destination": ["a@gmail.com", "b@example.net"],
        "commonHeaders": {"from": ["Shop <news@news.example.com>"]},
    }
    return {name: kind, kind[0].lower() + kind[1:]: {"timestamp": "2025-11-24T10:00:05.000Z", **said}, "mail": mail}


def bounced(kind: str, sub: str, words: str = "", status: str = "") -> dict[str, Any]:
    recipient = {"emailAddress": "A <a@gmail.com>", "diagnosticCode": words, "status": status}
    return ses("Bounce", {"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [recipient]})


def sendgrid(event: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "email": "a@yahoo.com", "timestamp": 1_763_978_400, "sg_message_id": "m1.x", **more}


def mailgun(event: str, **more: Any) -> dict[str, Any]:
    message = {"headers": {"message-id": "m1@example.com", "from": "Shop <news@example.com>"}}
    said = {"event": event, "recipient": "a@outlook.com", "timestamp": 1_763_978_400.5, "id": "i1", "log-level": "info"}
    return {"signature": {}, "event-data": {**said, "message": message, **more}}


def postmark(kind: str, **more: Any) -> dict[str, Any]:
    said = {"RecordType": kind, "MessageID": "m1", "From": "news@example.com", "MessageStream": "outbound"}
    return {**said, "Email": "a@docomo.ne.jp", "BouncedAt": "2025-11-24T10:00:00.0000000Z", **more}


GMAIL_UNKNOWN = "smtp; 550-5.1.1 The email account that you tried to reach does not exist."
DOCOMO_UNKNOWN = "smtp;550 Unknown user a@docomo.ne.jp"
BLOCKED = "550 5.7.1 Our system has detected that this message is likely unsolicited mail. - gsmtp"
OF_EVENTS = [
    (ses("Delivery", {"recipients": ["a@gmail.com"]}), ["delivered gmail"]),
    (ses("Delivery", {}, "notificationType"), ["delivered gmail", "delivered "]),
    (ses("Send", {}), []),
    (ses("Complaint", {"complainedRecipients": [{"emailAddress": "a@gmail.com"}]}), ["complaint gmail"]),
    (
        ses("Complaint", {"complaintFeedbackType": "not-spam", "complainedRecipients": [{"emailAddress": "a@x.org"}]}),
        [],
    ),
    (
        ses("DeliveryDelay", {"delayedRecipients": [{"emailAddress": "a@gmail.com", "status": "4.4.7"}]}),
        ["deferred gmail"],
    ),
    (bounced("Permanent", "General", GMAIL_UNKNOWN, "5.1.1"), ["hard gmail"]),
    (bounced("Permanent", "General"), ["hard gmail"]),
    (bounced("Permanent", "NoEmail"), ["hard gmail"]),
    # The receiver's own words say more than the service does.
    (bounced("Permanent", "General", f"smtp; {BLOCKED}", "5.7.1"), ["policy gmail"]),
    (bounced("Permanent", "OnAccountSuppressionList"), []),
    (bounced("Transient", "MailboxFull"), ["soft gmail"]),
    (bounced("Transient", "General"), ["soft gmail"]),
    (bounced("Transient", "ContentRejected"), ["policy gmail"]),
    (bounced("Undetermined", "Undetermined"), ["soft gmail"]),
    (sendgrid("processed"), []),
    (sendgrid("delivered"), ["delivered yahoo"]),
    (sendgrid("deferred", response="421 4.7.0 [TSS04] Messages temporarily deferred"), ["deferred yahoo"]),
    (
        sendgrid("bounce", type="bounce", reason="554 delivery error: dd This user doesn't have a yahoo.com account"),
        ["hard yahoo"],
    ),
    (sendgrid("bounce", type="bounce", bounce_classification="Invalid Address"), ["hard yahoo"]),
    (sendgrid("bounce", type="blocked", reason=""), ["policy yahoo"]),
    (sendgrid("dropped", reason="Bounced Address"), []),
    (sendgrid("spamreport"), ["complaint yahoo"]),
    (sendgrid("open"), []),
    (mailgun("delivered", **{"delivery-status": {"code": 250, "mx-host": "mx.example.net"}}), ["delivered outlook"]),
    (mailgun("failed", severity="temporary", reason="generic"), ["deferred outlook"]),
    (
        mailgun(
            "failed",
            severity="permanent",
            **{
                "delivery-status": {
                    "code": 550,
                    "message": "5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
                }
            },
        ),
        ["hard outlook"],
    ),
    (mailgun("failed", severity="permanent", reason="suppress-bounce"), []),
    (mailgun("complained"), ["complaint outlook"]),
    (mailgun("opened"), []),
    (postmark("Delivery", Recipient="a@docomo.ne.jp", DeliveredAt="2025-11-24T10:00:00Z"), ["delivered docomo"]),
    (postmark("Bounce", Type="HardBounce", Details=DOCOMO_UNKNOWN), ["soft docomo"]),  # or a filter
    (postmark("Bounce", Type="HardBounce"), ["hard docomo"]),
    (postmark("Bounce", Type="SoftBounce"), ["soft docomo"]),
    (postmark("Bounce", Type="SpamNotification"), ["policy docomo"]),
    (postmark("Bounce", Type="AutoResponder"), []),
    (postmark("SpamComplaint"), ["complaint docomo"]),
    (postmark("SubscriptionChange"), []),
]


@pytest.mark.parametrize(("event", "wanted"), OF_EVENTS)
def test_what_an_event_says(event: dict[str, Any], wanted: list[str]) -> None:
    got = events(json.dumps(event))
    assert [f"{each.result.value} {each.receiver}" for each in got] == wanted
    for each in got:
        assert each.at is not None
        assert datetime.fromtimestamp(each.at, UTC).date().isoformat() == "2025-11-24"
        assert each.sender in ("news.example.com", "example.com", "")


def test_what_carries_events() -> None:
    """Arrays, one a line, one after the other, SNS, SQS, Lambda, EventBridge: the same events."""
    one, two = (json.dumps(each) for each in (bounced("Permanent", "NoEmail"), ses("Delivery", {})))
    plain = [("hard", "a@gmail.com"), ("delivered", "a@gmail.com"), ("delivered", "b@example.net")]
    forms = [
        f"[{one},{two}]",
        f"{one}\n{two}\n",
        f"{one}\r\n\r\n{two}",
        f"{one}\n{two[:-5]}\n{two}",  # a line that was cut off
        json.dumps(json.loads(one), indent=2) + "\n" + json.dumps(json.loads(two), indent=2),
        "\n".join(json.dumps({"Type": "Notification", "Message": each}) for each in (one, two)),
        "\n".join(json.dumps({"Body": json.dumps({"Type": "Notification", "Message": each})}) for each in (one, two)),
        json.dumps({"Records": [{"Sns": {"Message": each}} for each in (one, two)]}),
        json.dumps([{"source": "aws.ses", "detail": json.loads(each)} for each in (one, two)]),
    ]
    for form in forms:
        assert [(each.result.value, each.recipient) for each in events(form)] == plain, form
        assert len({each.key for each in events(form)}) == 3
    assert {each.key for each in events(forms[0])} == {each.key for each in events(forms[5])}


def test_json_of_something_else_is_left_alone() -> None:
    for other in ('{"a": 1}', "[1, 2]", '{"event": "click"}', "{", "[" * 100, '{"a":' * 40 + "1" + "}" * 40):
        assert all(isinstance(each, UnusedPart) for each in found(other)), other


# --- Logs ---


def log(name: str) -> str:
    """A log as the mail server of that name writes it."""
    return (TESTS / "intake" / "logs" / f"{name}.log").read_text("utf-8")


POSTFIX = log("postfix")
EXIM = log("exim")
SENDMAIL = log("sendmail")
QMAIL = log("qmail")
EXCHANGE = log("exchange")
OF_LOGS = [
    (POSTFIX, "news.example.com", ["delivered gmail a", "hard gmail b", "deferred gmail c", "deferred gmail c"]),
    (EXIM, "example.com", ["delivered gmail a", "delivered gmail b", "hard gmail c", "deferred yahoo-japan d"]),
    (SENDMAIL, "example.com", ["delivered gmail a", "hard gmail b", "deferred  c"]),
    (QMAIL, "example.com", ["delivered gmail a", "hard  b"]),
    (EXCHANGE, "example.com", ["delivered gmail a", "delivered gmail e", "hard gmail b", "deferred  c"]),
]


@pytest.mark.parametrize(
    ("lines", "sender", "wanted"), OF_LOGS, ids=["postfix", "exim", "sendmail", "qmail", "exchange"]
)
def test_what_a_log_says(lines: str, sender: str, wanted: list[str]) -> None:
    got = events(lines)
    assert [f"{each.result.value} {each.receiver} {each.recipient.partition('@')[0]}" for each in got] == wanted
    assert {each.sender for each in got} == {sender}
    days = {datetime.fromtimestamp(each.at or 0, UTC).date().isoformat() for each in got}
    assert days == {"2025-11-24"}


def test_a_mail_that_waits_counts_once_a_day() -> None:
    got = [each for each in events(POSTFIX) if each.result.value == "deferred"]
    assert len(got) == 2
    assert len({each.key for each in got}) == 1
    assert got[0].meaning, "why it waits is known"
    tomorrow = events(POSTFIX.replace("Nov 24 10:20", "Nov 25 10:20"))
    assert len({each.key for each in tomorrow if each.result.value == "deferred"}) == 2


def test_a_log_of_something_else_is_left_alone() -> None:
    (told,) = found("Nov 24 10:00:00 host sshd[1]: Accepted publickey for root\n" * 50)
    assert isinstance(told, UnusedPart)


def test_a_date_without_a_year_is_never_to_come() -> None:
    line = POSTFIX.splitlines()[1].replace("Nov 24", "Dec  3")
    (event,) = events(line)
    assert datetime.fromtimestamp(event.at or 0, UTC).date().isoformat() == "2024-12-03"


# --- Numbers of receivers ---


def day(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1)).days


def told(got: list[PublishedValue]) -> list[tuple[str, int | None, str, float, float]]:
    return [(each.subject, each.day, each.metric, each.low, each.high) for each in got]


def test_the_spam_rate_of_postmaster_tools() -> None:
    stats = [
        {
            "name": "domains/example.com/domainStats/1",
            "metric": "my_spam_rate",
            "value": value,
            "date": {"year": 2025, "month": 11, "day": 20 + number},
        }
        for number, value in enumerate(
            [{"doubleValue": 0.0012}, {"floatValue": 0.004}, {"intValue": 0}, {"doubleValue": 7}]
        )
    ]
    stats.append({"name": "domains/example.com/domainStats/2", "metric": "tls", "value": {"doubleValue": 1.0}})
    assert told(values(json.dumps({"domainStats": stats}))) == [
        ("example.com", day("2025-11-20"), "spam-rate", 0.12, 0.12),
        ("example.com", day("2025-11-21"), "spam-rate", 0.4, 0.4),
        ("example.com", day("2025-11-22"), "spam-rate", 0.0, 0.0),
    ]


@pytest.mark.parametrize(
    "table",
    [
        "Date,User Reported Spam Rate\n2025-11-20,0.12%\n2025-11-21,0.3%\nx,y\n",
        "Date,Spam rate (%)\n11/20/2025,0.12\n11/21/2025,0.3\n",
        '\ufeff"日付","迷惑メール率"\r\n"2025/11/20","0.0012"\r\n"2025/11/21","0.003"\r\n',
        "Domain,Date,spam_rate\n,20251120,0.0012\n,20251121,0.003\n",
    ],
)
def test_the_exports_of_postmaster_tools(table: str) -> None:
    assert told(values(table)) == [
        ("", day("2025-11-20"), "spam-rate", 0.12, 0.12),
        ("", day("2025-11-21"), "spam-rate", 0.3, 0.3),
    ]


def test_the_compliance_of_postmaster_tools() -> None:
    said = {
        "name": "domains/news.example.com/complianceStatus",
        "complianceData": {
            "domainId": "example.com",
            "rowData": [
                {"requirement": "SPF", "status": {"status": "COMPLIANT"}},
                {"requirement": "DMARC_POLICY", "status": {"status": "NEEDS_WORK"}},
                {"requirement": "DKIM", "status": {"status": "STATE_UNSPECIFIED"}},
            ],
            "oneClickUnsubscribeVerdict": {"status": {"status": "NEEDS_WORK"}, "reason": "NO_UNSUB_GENERAL"},
        },
        "subdomainComplianceData": {
            "domainId": "news.example.com",
            "rowData": [{"requirement": "DNS_RECORDS", "status": {"status": "COMPLIANT"}}],
        },
    }
    assert told(values(json.dumps(said, indent=1))) == [
        ("example.com", None, "compliance:spf", 0, 0),
        ("example.com", None, "compliance:dmarc-policy", 1, 1),
        ("example.com", None, "compliance:one-click-unsubscribe", 1, 1),
        ("news.example.com", None, "compliance:dns-records", 0, 0),
    ]


def test_the_tables_of_snds() -> None:
    period = "11/20/2025 1:00 AM,11/21/2025 1:00 AM"
    data = f"192.0.2.1,{period},1001,1000,998,YELLOW,< 0.1%,{period},2,mx.example.com,a@example.com,\n"
    day_ = day("2025-11-20")
    assert told(values(data)) == [
        ("192.0.2.1", day_, "recipients", 998, 998),
        ("192.0.2.1", day_, "result", 1, 1),
        ("192.0.2.1", day_, "traps", 2, 2),
        ("192.0.2.1", day_, "complaints", 0, 0.1),
    ]
    status = "192.0.2.1,192.0.2.1,Yes,Blocked due to user complaints or other evidence of spamming\n"
    assert told(values(status)) == [("192.0.2.1", None, "blocked", 1, 1)]
    assert not any("a@example.com" in str(each) for each in values(data))


@pytest.mark.parametrize("table", ["a,b,c,d\n1,2,3,4\n", "192.0.2.1,x\n", "Date,Opens\n2025-11-20,4\n", "x" * 5000])
def test_other_tables_are_left_alone(table: str) -> None:
    (told_,) = found(table)
    assert isinstance(told_, UnusedPart)


# --- Hostile ---

_SHAPES = [
    *(json.dumps(event).encode() for event, _ in OF_EVENTS[::5]),
    *(lines.encode() for lines, _, _ in OF_LOGS),
    ARF.format(kind="abuse").encode(),
    b"Date,Spam rate\n2025-11-20,0.1%\n",
    b"192.0.2.1,11/20/2025 1:00 AM,,1,1,1,RED,0.1%,,,0,,,\n",
]


@examples(300, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.long
def test_any_octets_never_raise(data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(_SHAPES)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(octets)))
        end = data.draw(st.integers(at, min(len(octets), at + 20)))
        octets[at:end] = data.draw(
            st.binary(max_size=12) | st.sampled_from([b"\xff", b"\0", b"{" * 40, b'"', b"\n", b"@"])
        )
    assert all(isinstance(each, DeliveryEvent) for each in events(bytes(octets)))
    values(bytes(octets))


_KEYS = [
    *("mail", "eventType", "bounce", "Message", "event", "email", "recipient", "event-data", "delivery-status"),
    *("message", "RecordType", "MessageID", "domainStats", "complianceData", "sg_event_id", "bouncedRecipients"),
    *("timestamp", "Type", "value", "date"),
]


@examples(100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "mail",
                        "eventType",
                        "bounce",
                        "Message",
                        "event",
                        "email",
                        "recipient",
                        "event-data",
                        "delivery-status",
                        "message",
                        "RecordType",
                        "MessageID",
                        "domainStats",
                        "complianceData",
                        "sg_event_id",
                        "bouncedRecipients",
                        "timestamp",
                        "Type",
                        "value",
                        "date",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=25,
    )
)
@pytest.mark.long
def test_any_json_never_raises(value: Any) -> None:
    events(json.dumps(value))
    values(json.dumps(value))


# --- Once ---

POSTMASTER = (
    "From: {sender}\nTo: dmarc@example.com\nSubject: Report domain: example.com Submitter: mx.example.org\n"
    "Message-ID: <r1@mx.example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    "--x\nContent-Type: text/plain\n\nThis is an aggregate report.\n\n"
    "--x\nContent-Type: application/xml; name=r.xml\nContent-Disposition: attachment; filename=r.xml\n\n{xml}\n--x--\n"
)


@pytest.mark.parametrize("sender", ["postmaster@mx.example.org", "MAILER-DAEMON@mx.example.org", "noreply@example.org"])
def test_a_mail_that_carries_a_report_is_no_bounce_whoever_sends_it(sender: str) -> None:
    mail = POSTMASTER.format(sender=sender, xml=aggregate(record()).decode()).encode()
    assert [type(each).__name__ for each in found(mail)] == ["FoundReport"]


@pytest.mark.parametrize("kind", ["disposition-notification", "tlsrpt", "feedback-report"])
def test_a_multipart_report_of_another_type_is_no_bounce(kind: str) -> None:
    receipt = (
        f"From: postmaster@example.org\nTo: news@example.com\nSubject: Read: News\n"
        f"Content-Type: multipart/report; report-type={kind}; boundary=x\n\n"
        "--x\nContent-Type: text/plain\n\nYour message was read.\n\n--x\n"
        "Content-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; a@example.org\n\n--x--\n"
    )
    assert [each for each in found(receipt) if isinstance(each, FoundEvents)] == []
