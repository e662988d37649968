"""What goes on a suppression list: the table, row by row, and what it makes of the corpus of bounces.

Sisimai's own tests say of each of its 262 bounces why it came back; nobody here wrote them.
"""

from __future__ import annotations

import json

import pytest

from deliverability.core.model.deliveries import AddressRecord, Decision, SuppressClass
from deliverability.core.replies.explain import explain
from deliverability.core.replies.outcomes import class_of, decide, plain_address
from tests.corpus import corpus
from tests.intake.readers import catalogue, rules
from tests.suppress import held_out, real_bounces, wordings

DAY = 86_400
NOW = 1_790_000_000
ADDRESS, DOUBTED, DISABLED, FULL, HOST, COMPLAINT = (
    SuppressClass.ADDRESS,
    SuppressClass.DOUBTED,
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
        # A server that was asked for the address alone knows its mailboxes; later a filter may say so.
        ("host mx.example.org said: 550 No such user (in reply to RCPT TO command)", ADDRESS),
        ("host mx.example.org said: 550 No such user (in reply to end of DATA command)", DOUBTED),
        ("host mx.example.org said: 550 5.1.1 No such user (in reply to end of DATA command)", DOUBTED),
        ("host mx.example.org said: 550 No such user (in reply to MAIL FROM command)", None),
        ("550 No such user", DOUBTED),
        ("host mfsmax.docomo.ne.jp said: 550 Unknown user a@docomo.ne.jp (in reply to RCPT TO command)", ADDRESS),
        ("host mfsmax.docomo.ne.jp said: 550 Unknown user a@docomo.ne.jp (in reply to end of DATA command)", None),
        ("host mfsmax.docomo.ne.jp said: 550 Unknown user a@docomo.ne.jp", DOUBTED),
        ("host mx.au.com said: 550 <a@ezweb.ne.jp>: User unknown (in reply to RCPT TO command)", DOUBTED),
        ("host mx.example.org said: 550 5.2.1 User unknown (in reply to RCPT TO command)", DOUBTED),
        # Words win over codes.
        ("host mx.example.org said: 550 5.1.1 max message size exceeded (in reply to RCPT TO command)", None),
        ("host mx.example.org said: 550 5.1.1 message filtered (in reply to RCPT TO command)", None),
        ("host mx.example.org said: 550 5.1.1 迷惑メールと判定されました (in reply to RCPT TO command)", None),
        ("host mx.example.org said: 550 受信拒否設定により拒否されました (in reply to RCPT TO command)", None),
        ("host mx.example.org said: 550 5.1.1 mailfolder is full (in reply to RCPT TO command)", FULL),
        ("host mx.example.org said: 550 5.1.1 メールボックスの容量を超えています (in reply to RCPT TO command)", FULL),
        ("host mx.example.org said: 550 No such domain (in reply to RCPT TO command)", HOST),
        ("host mx.example.org said: 550 User [a] does not exist (in reply to RCPT TO command)", ADDRESS),
        ("host mx.example.org said: 550 Rcpt <a@example.org> does not exist (in reply to RCPT TO command)", ADDRESS),
        ("host mx.example.org said: 550 #5.1.0 Address rejected. (in reply to RCPT TO command)", ADDRESS),
        ("host mx.example.org said: 550 宛先不明です (in reply to RCPT TO command)", ADDRESS),
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
        (DOUBTED, (0,), None, Decision.NOT_YET),
        (DOUBTED, (14, 5, 0), None, Decision.OFF),
        (DISABLED, (0,), None, Decision.NOT_YET),
        (DISABLED, (200, 190, 179), None, Decision.OFF),
        (DISABLED, (200, 190, 180), None, Decision.AGAIN),
        (DISABLED, (400, 300, 10), None, Decision.OFF),
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


# The corpus of bounces, by what its recipients would come to after this one reply.

# What is about the sender, the mail or its rate, in Sisimai's words.
NEVER = {
    *("policyviolation", "authfailure", "spamdetected", "virusdetected", "mesgtoobig", "exceedlimit", "toomanyconn"),
    *("speeding", "blocked", "badreputation", "requireptr", "notcompliantrfc", "securityerror", "norelaying"),
    *("rejected", "contenterror", "ratelimited", "syntaxerror", "systemerror", "mailererror", "networkerror"),
}
MISSED = {
    "lhost-exim-37.eml": "the domain that does not exist is that of the sender (neko.example.com)",
    "rfc3464-06.eml": "the reply is '554 Service unavailable'; the user is unknown in the words of a local program",
    "lhost-powermta-03.eml": "550 5.2.1, a closed mailbox, with the words User Unknown and no phase",
}
AT_ONCE_THOUGH_SOFT = {
    "lhost-receivingses-02.eml": "filtered, says Sisimai; the reply is 550 5.1.1 Mailbox does not exist",
}


def test_of_the_corpus_every_hard_bounce_is_found_and_no_living_address_goes_off_at_once() -> None:
    """Sisimai calls "filtered" what says "user unknown" after DATA, or without a sign of the phase."""
    expected = {
        name: results
        for name, results in json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8")).items()
        if {each["reason"] for each in results} != {"feedback"}
    }
    assert len(expected) == 262
    hard = {name for name, results in expected.items() if any(each["hardbounce"] for each in results)}
    found = {name: classes(corpus("bounces", "sisimai", name).read_bytes()) for name in expected}

    assert len(hard) == 80
    assert {name for name in hard if not found[name] & {ADDRESS, DOUBTED, HOST}} == MISSED.keys()
    assert {name for name, each in found.items() if ADDRESS in each} - hard == AT_ONCE_THOUGH_SOFT.keys()


def test_the_corpus_of_bounces_nothing_for_policy_size_content_or_rate() -> None:
    expected = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    only = [name for name, results in expected.items() if {each["reason"] for each in results} <= NEVER]
    wrong = {
        name: found
        for name in only
        if (found := {*SuppressClass} & classes(corpus("bounces", "sisimai", name).read_bytes()))
    }
    assert len(only) > 80
    assert wrong == {"lhost-mfilter-04.eml": {DOUBTED}}, "Microsoft's 5.4.1, no such address, after DATA"


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


def test_what_a_feedback_loop_puts_in_place_of_a_recipient_is_no_address() -> None:
    assert plain_address("redacted@example.org") == ""
    assert plain_address("Redacted-3f2a@example.org") == ""
    assert plain_address("redactedson@example.org") == "redactedson@example.org"


def test_other_servers_wordings_are_found() -> None:
    """At least 97 of a hundred hard bounces, whatever server wrote them."""
    said = {each: f"host mx.example.org said: {each}{wordings.RCPT}".encode() for each in wordings.HARD}
    missed = [each for each, reply in said.items() if classes(reply) != {ADDRESS}]
    assert len(missed) <= 0.03 * len(wordings.HARD), missed


@pytest.mark.parametrize("reply", wordings.LIVING)
def test_no_living_address_goes_off_by_one_reply(reply: str) -> None:
    found = classes(f"host mx.example.org said: {reply}".encode())
    assert ADDRESS not in found
    assert HOST not in found


@pytest.mark.parametrize("reply", wordings.HARD)
def test_after_the_message_no_wording_is_enough(reply: str) -> None:
    """A filter may say the same."""
    assert ADDRESS not in classes(f"host mx.example.org said: {reply}{wordings.DATA}".encode())


def test_of_wordings_that_others_collected_most_hard_ones_are_found_and_no_living_address_goes_off() -> None:
    """Before any rule was written for them 35 of these 72 were found, and none of the 102 living addresses went off."""
    said = {each: f"host mx.example.org said: {each}{held_out.RCPT}".encode() for each in held_out.HARD}
    missed = [each for each, data in said.items() if ADDRESS not in classes(data)]
    assert len(missed) <= 4, missed
    off = [each for each in held_out.LIVING if ADDRESS in classes(f"host mx.example.org said: {each}".encode())]
    assert off == []


@pytest.mark.parametrize("reply", held_out.HARD)
def test_after_the_message_no_wording_of_others_is_enough(reply: str) -> None:
    assert ADDRESS not in classes(f"host mx.example.org said: {reply}{held_out.DATA}".encode())


KNOWN_DOUBTS = {
    "a": {
        "dd Not a valid recipient": "Yahoo says it after the message, and no page of Yahoo explains it",
        "Unrouteable address": "Exim's own router says it of an unknown user and of a domain that has no mail server",
        "<taro@ezweb.ne.jp>: User unknown": "au's filter says the same, and the notice does not tell what was answered",
    }
}


@pytest.mark.parametrize("name", ["a", "b", "c", "e"])
def test_of_bounces_as_they_come_97_of_a_hundred_hard_ones_are_found(name: str) -> None:
    """By one reply, whatever server and language wrote it; of the others it is known why they are doubted."""
    hard = [(text, classes(data), {ADDRESS, HOST}) for text, data in real_bounces.bounces(name, "hard")]
    hard += [(text, classes(data), {HOST}) for text, data in real_bounces.bounces(name, "domain")]
    missed = [text for text, found, wanted in hard if not found & wanted]
    doubts = KNOWN_DOUBTS.get(name, {})
    assert [text for text in missed if not any(each in text for each in doubts)] == []
    assert len(missed) == len(doubts) <= 0.03 * len(hard)


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e"])
def test_of_bounces_as_they_come_no_living_address_goes_off_by_one_reply(name: str) -> None:
    living = {text: classes(data) for text, data in real_bounces.bounces(name, "living")}
    assert len(living) >= 40
    assert [text for text, found in living.items() if found & {ADDRESS, HOST, COMPLAINT}] == []


def test_what_the_receiver_itself_explains_counts_after_the_message_too() -> None:
    """Yahoo knows its mailboxes only then; and a server that rejects DATA itself has not seen the message."""
    at_yahoo = "host mta5.am0.yahoodns.net said: 554 delivery error: dd This user doesn't have a yahoo.com account"
    assert classes(f"{at_yahoo}{held_out.DATA}".encode()) == {ADDRESS}
    assert classes(f"{at_yahoo.replace('mta5.am0.yahoodns.net', 'mx.example.org')}{held_out.DATA}".encode()) == {
        DOUBTED
    }
    at_data = "host mx.example.org said: 550 5.1.1 User Unknown (in reply to DATA command)"
    assert classes(at_data.encode()) == {ADDRESS}
    assert classes(at_data.replace("5.1.1 ", "").encode()) == {DOUBTED}
    assert classes(at_data.replace("to DATA", "to end of DATA").encode()) == {DOUBTED}


def test_a_link_is_no_wording() -> None:
    link = "http://mail.example.com/help/help_spam_16.htm"
    assert classes(f"host mx.example.org said: 550 {link} User not exist{held_out.RCPT}".encode()) == {ADDRESS}
    assert classes(f"host mx.example.org said: 550 see http://www.spamhaus.org/x{held_out.RCPT}".encode()) == {None}


def test_one_wording_of_the_standard_for_two_things_is_doubted() -> None:
    reply = "550 Requested action not taken: mailbox unavailable"
    assert classes(f"host mx.example.org said: {reply}{held_out.RCPT}".encode()) == {DOUBTED}
    assert classes(f"host mx.example.org said: {reply}{held_out.DATA}".encode()) == {None}
    assert classes(f"host mx00.ionos.de said: {reply}{held_out.RCPT}".encode()) == {ADDRESS}


def test_exim_names_the_command_when_it_was_pipelined_too() -> None:
    said = "SMTP error from remote mail server after pipelined RCPT TO:<a@example.org>:\n    550 No Such User Here"
    assert classes(f"a@example.org\n    host mx.example.org [192.0.2.1]\n    {said}".encode()) == {ADDRESS}


def test_what_the_sending_server_says_of_a_domain_that_it_takes_for_its_own_is_doubted() -> None:
    """Seen in the wild: a hosting server that took yahoo.de for local."""
    notice = "X-Failed-Recipients: a@yahoo.de\nSubject: Mail delivery failed: returning message to sender\n\n"
    assert classes(f"{notice}The following address(es) failed:\n\n  a@yahoo.de\n    No Such User Here\n".encode()) == {
        DOUBTED
    }
