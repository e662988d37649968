"""What goes on a suppression list: the table, row by row, and what it makes of the corpus of bounces.

Sisimai's own tests say of each of its 262 bounces why it came back; nobody here wrote them.
"""

from __future__ import annotations

import json

import pytest

from deliverability.core.model.deliveries import AddressRecord, Decision, SuppressClass
from deliverability.core.replies.explain import explain
from deliverability.core.replies.outcomes import class_of, decide
from tests.corpus import corpus
from tests.intake.readers import catalogue, rules

DAY = 86_400
NOW = 1_790_000_000
ADDRESS, DISABLED, FULL, HOST, COMPLAINT = (
    SuppressClass.ADDRESS,
    SuppressClass.DISABLED,
    SuppressClass.FULL,
    SuppressClass.HOST,
    SuppressClass.COMPLAINT,
)


def classes(data: bytes) -> set[SuppressClass | None]:
    return {class_of(each.reply, each.meaning) for each in explain(data, catalogue(), rules()).replies}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550 5.1.1 <a@example.org>: user unknown", ADDRESS),
        ("450 4.1.1 <a@example.org>: user unknown, try again later", None),
        ("250 2.1.5 OK", None),
        ("550 5.2.1 The email account that you tried to reach is disabled. - gsmtp", DISABLED),
        ("452 4.2.1 mailbox disabled for now", FULL),
        ("552 5.2.2 mailbox full", FULL),
        ("452 4.2.2 mailbox full", FULL),
        ("550 5.1.2 host unknown", HOST),
        ("Feedback-Type: not-spam", None),
        ("Feedback-Type: auth-failure", None),
        # Of the sender, of this mail, of its rate: never.
        ("550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy", None),
        ("550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using Spamhaus", None),
        ("552 5.3.4 message size exceeds fixed maximum message size", None),
        ("554 5.7.1 message contains spam", None),
        ("421 4.7.28 our system has detected an unusual rate of unsolicited mail - gsmtp", None),
        ("550 permanent failure", None),
        ("what nobody ever said", None),
    ],
)
def test_what_a_reply_is_a_reason_for(reply: str, expected: SuppressClass | None) -> None:
    assert classes(reply.encode()) <= {expected}


def record(kind: SuppressClass, days: tuple[float, ...], delivered: float | None = None) -> AddressRecord:
    """An address that bounced so many days ago, the newest last; a delivery likewise."""
    first, last = (int(NOW - each * DAY) for each in (days[0], days[-1]))
    reached = None if delivered is None else int(NOW - delivered * DAY)
    return AddressRecord("a@example.org", "example.org", kind, first, last, len(days), "", "", "bounce", reached)


@pytest.mark.parametrize(
    ("kind", "days", "gone", "expected"),
    [
        (ADDRESS, (0,), None, Decision.OFF),
        (COMPLAINT, (400,), None, Decision.OFF),
        (DISABLED, (179,), None, Decision.OFF),
        (DISABLED, (180,), None, Decision.AGAIN),
        (DISABLED, (400, 10), None, Decision.OFF),
        (FULL, (0,), None, Decision.NOT_YET),
        (FULL, (30, 20), None, Decision.NOT_YET),
        (FULL, (13, 5, 0), None, Decision.NOT_YET),
        (FULL, (14, 5, 0), None, Decision.OFF),
        (HOST, (0,), True, Decision.OFF),
        (HOST, (0,), False, Decision.NOT_YET),
        (HOST, (0,), None, Decision.NOT_CHECKED),
        (HOST, (6, 3, 0), False, Decision.NOT_YET),
        (HOST, (7, 3, 0), False, Decision.OFF),
        (HOST, (7, 3, 0), None, Decision.OFF),
    ],
)
def test_the_table(kind: SuppressClass, days: tuple[float, ...], gone: bool | None, expected: Decision) -> None:
    assert decide(record(kind, days), NOW, gone) is expected


def test_a_delivery_after_the_last_bounce_takes_an_address_off_and_one_before_it_does_not() -> None:
    assert decide(record(ADDRESS, (3,), delivered=2), NOW, None) is Decision.DELIVERED
    assert decide(record(ADDRESS, (3,), delivered=4), NOW, None) is Decision.OFF
    assert decide(record(FULL, (20, 10, 3), delivered=1), NOW, None) is Decision.DELIVERED


def test_who_complained_stays_off_whatever_was_delivered_later() -> None:
    assert decide(record(COMPLAINT, (3,), delivered=2), NOW, None) is Decision.OFF


# The corpus of bounces. A domain that a bounce calls unknown is one that DNS does not know either.

AT_ONCE = {ADDRESS, DISABLED, HOST, COMPLAINT}
# "filtered": Sisimai's word for "user unknown" after DATA; "suspend": an account that is closed.
ALSO_RIGHT = {"filtered", "suspend"}
# What is about the sender, the mail or its rate, in Sisimai's words.
NEVER = {
    *("policyviolation", "authfailure", "spamdetected", "virusdetected", "mesgtoobig", "exceedlimit", "toomanyconn"),
    *("speeding", "blocked", "badreputation", "requireptr", "notcompliantrfc", "securityerror", "norelaying"),
    *("rejected", "contenterror", "ratelimited", "syntaxerror", "systemerror", "mailererror", "networkerror"),
}
MISSED = {
    "lhost-exim-37.eml": "the domain that does not exist is that of the sender (neko.example.com)",
    "rfc3464-06.eml": "the reply is '554 Service unavailable'; the user is unknown in the words of a local program",
}
TOO_MUCH = {
    "lhost-mfilter-04.eml": "rejected, says Sisimai; 5.4.1 of Microsoft 365 is its directory's answer: no such address",
    "lhost-x3-02.eml": "expired, says Sisimai; the notice says that the host is unknown, and here DNS agrees",
}


def test_the_corpus_of_bounces_recall_and_precision() -> None:
    expected = {
        name: results
        for name, results in json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8")).items()
        if {each["reason"] for each in results} != {"feedback"}
    }
    assert len(expected) == 262
    hard = {name for name, results in expected.items() if any(each["hardbounce"] for each in results)}
    right = {name for name, results in expected.items() if ALSO_RIGHT & {each["reason"] for each in results}} | hard
    off = {name for name in expected if AT_ONCE & classes(corpus("bounces", "sisimai", name).read_bytes())}

    assert (hard - off, off - right) == (MISSED.keys(), TOO_MUCH.keys())
    assert len(hard) == 80
    assert len(hard & off) / len(hard) >= 0.97
    assert len(off & right) / len(off) >= 0.97


def test_the_corpus_of_bounces_nothing_for_policy_size_content_or_rate() -> None:
    expected = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    only = [name for name, results in expected.items() if {each["reason"] for each in results} <= NEVER]
    wrong = {
        name: found
        for name in only
        if (found := {*SuppressClass} & classes(corpus("bounces", "sisimai", name).read_bytes()))
    }
    assert len(only) > 80
    assert wrong.keys() == {"lhost-mfilter-04.eml"}, wrong


def test_complaints_of_the_corpus_are_taken_off_and_failure_reports_are_not() -> None:
    expected = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    reports = {name: results[0].get("feedbacktype") for name, results in expected.items() if name.startswith("arf-")}
    assert len(reports) == 9
    # An unsubscription by mail (mailto: in List-Unsubscribe), which names nobody but its sender, and no report.
    assert reports.pop("arf-26.eml") == "opt-out"
    assert classes(corpus("bounces", "sisimai", "arf-26.eml").read_bytes()) == set()
    for name, kind in reports.items():
        found = classes(corpus("bounces", "sisimai", name).read_bytes())
        assert found == ({COMPLAINT} if kind == "abuse" else {None}), name
