"""`deliv explain`: replies read out of anything, named, matched, held against an audit; and the catalogue behind it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.cli import main
from deliverability.core.model.replies import ANY, Explained, Explanation, Fit, Reply, ReplyKind
from deliverability.core.phrases import phrases
from deliverability.core.replies.explain import explain
from deliverability.core.replies.match import ReplyError, fold, load_replies, parse_code, says
from deliverability.core.replies.notice import MAX_MESSAGES, find
from deliverability.engine.rules import rule_folders
from tests import ROOT
from tests.corpus import corpus
from tests.intake.readers import catalogue, rules
from tests.sampled import examples

pytestmark = pytest.mark.long

DEMO = ROOT / "deliverability" / "demo"
ZONE = ("--zone", str(DEMO / "example.zone"))
MESSAGE = ("--eml", str(DEMO / "newsletter.eml"))


def explained(data: str | bytes, receiver: str = "") -> Explanation:
    return explain(data if isinstance(data, bytes) else data.encode(), catalogue(), rules(), receiver)


def only(data: str | bytes, receiver: str = "") -> Explained:
    found = explained(data, receiver).replies
    assert len(found) == 1, found
    return found[0]


def reply(data: str | bytes) -> Reply:
    found = find(data if isinstance(data, bytes) else data.encode()).replies
    assert len(found) == 1, found
    return found[0]


# Reading plain text


def test_a_reply_of_several_lines_loses_the_codes_of_its_continuation_lines() -> None:
    got = reply("550-5.7.1 [192.0.2.1 13] Messages\n550-5.7.1 with many addresses\n550 5.7.1 are refused. - gsmtp")
    assert (got.code, got.enhanced) == ("550", "5.7.1")
    assert got.text == "[192.0.2.1 13] Messages with many addresses are refused. - gsmtp"


@pytest.mark.parametrize(
    ("text", "code", "enhanced", "words"),
    [
        ("550 User unknown", "550", "", "User unknown"),
        ("550 : User unknown", "550", "", ": User unknown"),
        ("550 #5.1.0 Address rejected.", "550", "5.1.0", "Address rejected."),
        ("554 554 5.7.1 Service unavailable", "554", "5.7.1", "Service unavailable"),
        ("5.3.0 - Other mail system problem 550-'Unknown user a@d.jp'", "550", "", "Unknown user a@d.jp"),
        ("Sorry, I wasn't able to connect. (#4.4.1)", "", "4.4.1", "Sorry, I wasn't able to connect. (#4.4.1)"),
        (
            ("Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'"),
            "550",
            "5.1.1",
            "RESOLVER.ADR.RecipNotFound; not found",
        ),
        ("5.7.25", "", "5.7.25", ""),
        ("550", "550", "", ""),
        ("250 2.0.0 OK 1234 - gsmtp", "250", "2.0.0", "OK 1234 - gsmtp"),
    ],
)
def test_codes_and_words(text: str, code: str, enhanced: str, words: str) -> None:
    got = reply(text)
    assert (got.code, got.enhanced, got.text) == (code, enhanced, words)


@pytest.mark.parametrize(
    "text",
    ["size=512 bytes, 450 messages at 10:51:450", "the 550 people", "port 25, version 5.7.1.2", "", "hello world"],
)
def test_numbers_that_are_no_reply(text: str) -> None:
    assert not find(text.encode()).replies


POSTFIX = (
    "Nov 25 10:00:00 mx postfix/smtp[9]: 4AB: to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.2]:25, "
    "dsn=5.7.26, status=bounced (host gmail-smtp-in.l.google.com[192.0.2.2] said: 550-5.7.26 Unauthenticated email "
    "from example.com is not accepted due to domain's 550 5.7.26 DMARC policy. - gsmtp (in reply to end of DATA "
    "command))"
)
EXIM = (
    "2026-11-25 10:00:00 1a-0-X ** a@gmail.com R=dnslookup T=remote_smtp H=gmail-smtp-in.l.google.com [192.0.2.2]: "
    "SMTP error from remote mail server after end of data: 550-5.7.26 Unauthenticated email from example.com is not "
    "accepted due to domain's\\n550 5.7.26 DMARC policy. - gsmtp"
)


@pytest.mark.parametrize("line", [POSTFIX, EXIM])
def test_a_log_line_tells_host_recipient_and_command(line: str) -> None:
    got = reply(line)
    assert (got.host, got.recipient, got.command) == ("gmail-smtp-in.l.google.com", "a@gmail.com", "end of DATA")
    assert got.text == "Unauthenticated email from example.com is not accepted due to domain's DMARC policy. - gsmtp"


@pytest.mark.parametrize(
    ("line", "code", "status", "host", "words"),
    [
        (
            "Nov 25 10:00:00 mx postfix/smtp[9]: 4AB: to=<a@example.org>, relay=none, dsn=4.4.1, status=deferred "
            "(connect to mx.example.org[192.0.2.1]:25: Connection timed out)",
            *("", "4.4.1", "mx.example.org", "connect to mx.example.org[192.0.2.1]:25: Connection timed out"),
        ),
        (
            "Nov 25 10:00:00 mx sm-mta[9]: 4AP: to=<a@example.org>, relay=mx.example.org. [192.0.2.1], dsn=5.1.1, "
            "stat=User unknown",
            *("", "5.1.1", "mx.example.org", "User unknown"),
        ),
        (
            "Nov 25 10:00:00 mx sm-mta[9]: 4AP: to=<a@icloud.com>, relay=mx01.mail.icloud.com. [192.0.2.1], dsn=4.0.0, "
            "stat=Deferred: 421 4.7.1 Messages to a@icloud.com deferred due to excessive volume.",
            *("421", "", "mx01.mail.icloud.com", "Messages to a@icloud.com deferred due to excessive volume."),
        ),
        (
            "@4000 delivery 12: failure: 192.0.2.1_does_not_like_recipient./Remote_host_said:_550_5.1.1_User_unknown/"
            "Giving_up_on_192.0.2.1./",
            *("550", "", "", "User unknown"),
        ),
        (
            "2026-11-25T10:00:00Z,,SMTP,FAIL,,a@contoso.com,[{LED=550 5.7.606 Access denied, banned sending IP "
            "[192.0.2.1]};{MSG=}]",
            *("550", "", "", "Access denied, banned sending IP [192.0.2.1]"),
        ),
    ],
)
def test_log_lines_of_other_servers(line: str, code: str, status: str, host: str, words: str) -> None:
    got = reply(line)
    assert (got.code, got.status, got.host, got.text) == (code, status, host, words)


def test_a_quoted_reply_may_be_wrapped_without_indentation() -> None:
    got = reply(
        "> host mx.example.com[1.2.3.4] said: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked\n"
        "> using zen.spamhaus.org (in reply to RCPT TO command)"
    )
    assert got.text == "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"
    assert (got.host, got.command) == ("mx.example.com", "RCPT TO")


def test_json_of_a_mailing_service_tells_each_recipient() -> None:
    event = {
        "notificationType": "Bounce",
        "bounce": {
            "bouncedRecipients": [
                {"emailAddress": "a@example.jp", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"},
                {
                    "emailAddress": "b@hotmail.com",
                    "status": "5.7.515",
                    "diagnosticCode": "smtp; 550 5.7.515 Access denied",
                },
            ]
        },
    }
    for text in (json.dumps(event), json.dumps({"Type": "Notification", "Message": json.dumps(event)})):
        found = find(text.encode())
        assert found.kind == "json"
        assert [(each.recipient, each.enhanced) for each in found.replies] == [
            ("a@example.jp", "5.1.1"),
            ("b@hotmail.com", "5.7.515"),
        ]


def test_a_code_beside_the_words_in_json() -> None:
    got = reply(json.dumps({"recipient": "a@gmail.com", "delivery-status": {"code": 550, "message": "5.7.26 Blocked"}}))
    assert (got.code, got.enhanced, got.text, got.recipient) == ("550", "5.7.26", "Blocked", "a@gmail.com")


def test_pasted_fields_of_a_notification() -> None:
    got = reply(
        "Final-Recipient: rfc822; a@gmail.com\nStatus: 5.7.26\nRemote-MTA: dns; gmail-smtp-in.l.google.com\n"
        "Diagnostic-Code: smtp; 550-5.7.26 This mail\n    550 5.7.26 has been blocked"
    )
    assert got.text == "This mail has been blocked"
    assert (got.recipient, got.host, got.status) == ("a@gmail.com", "gmail-smtp-in.l.google.com", "5.7.26")


def test_utf_16_as_a_shell_of_windows_writes_it() -> None:
    assert reply("550 5.1.1 <a@example.jp>: User unknown".encode("utf-16")).enhanced == "5.1.1"


# Messages


def notification(
    fields: str, original: str = "From: news@example.com\nSubject: x\n\n550 5.7.1 quoted in the mail\n"
) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\n\nSorry.\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
        f"{fields}\n--b\nContent-Type: message/rfc822\n\n{original}\n--b--\n\n"
    ).encode()


def test_a_notification_gives_its_recipients_and_the_domain_that_wrote() -> None:
    found = find(
        notification(
            "Final-Recipient: rfc822; a@icloud.com\nAction: failed\nStatus: 5.7.1\n"
            "Remote-MTA: dns; mx01.mail.icloud.com\n"
            "Diagnostic-Code: smtp; 554 5.7.1 Your message was rejected due to example.com's DMARC\n policy.\n\n"
            "Final-Recipient: rfc822; b@example.org\nAction: delivered\nStatus: 2.0.0\n"
        )
    )
    assert [(each.recipient, each.code, each.text) for each in found.replies] == [
        ("a@icloud.com", "554", "Your message was rejected due to example.com's DMARC policy.")
    ]
    assert found.sender_domain == "example.com"


def test_the_message_that_came_back_is_not_searched_for_replies() -> None:
    found = find(notification("Final-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 5.0.0\n"))
    assert all("quoted" not in each.text for each in (*found.replies, *found.notices))


def test_equal_replies_are_counted_and_different_ones_told_apart() -> None:
    line = (
        "to=<{0}>, relay=mx.example.org[192.0.2.1]:25, dsn=5.1.1, "
        "status=bounced (host mx.example.org[192.0.2.1] said: {1})"
    )
    log = "\n".join(
        [line.format(f"u{n}@example.org", "550 5.1.1 User unknown") for n in range(30)]
        + [line.format("x@example.org", "552 5.2.2 Mailbox full")]
    )
    first, second = explained(log).replies
    assert (first.count, len(first.recipients), second.count) == (30, 10, 1)
    assert second.meaning is not None
    assert second.meaning.id == "words-mailbox-full"


def test_a_mailbox_of_bounces_is_read_message_by_message() -> None:
    one = b"From MAILER-DAEMON Wed Nov 25 10:00:00 2026\n" + notification(
        "Final-Recipient: rfc822; a@example.org\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n"
    )
    found = explained(one * 3)
    assert (found.kind, [each.count for each in found.replies]) == ("mailbox", [3])
    many = find(b"From x\nFrom: a\n\n" * (MAX_MESSAGES + 5))
    assert many.kind == "mailbox"
    assert many.more == 5


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (bytes(range(256)) * 8, "binary"),
        (b"\x7fELF\x00\x01", "binary"),
        (b"From: a@example.com\nSubject: Sale\n\nCome and buy 550 things!\n", "message"),
        (b"From: a@example.com\nSubject: away\nAuto-Submitted: auto-replied\n\nI am away.\n", "auto-reply"),
        (b"From: MAILER-DAEMON@example.com\nSubject: Undeliverable\n\nIt did not work.\n", "notice"),
        (b"nothing here", "text"),
        (b'{"a": [1, 2]}', "text"),
    ],
)
def test_what_holds_no_reply_is_told_what_it_is(data: bytes, problem: str) -> None:
    found = explained(data)
    assert (found.replies, found.problem) == ((), problem)


PIECES = (
    *("550", "550-", "5.7.1", "421-4.7.0", "said:", "host mx.example [1.2.3.4]", "(in reply to", "\n", "\r\n", "dsn="),
    *(">", "<<<", ">>>", '{"reason":', "}", "[", "From:", "Status:", "Diagnostic-Code: smtp;", "status=bounced", "\\n"),
    *("Content-Type: multipart/report;boundary=b", "--b", "message/delivery-status", "<style", "</style", "#", "'"),
    *("\x00", "\x1b", "é", "\ud800", "𝟝𝟝𝟘", "５５０", "x" * 300),
)


@examples(150)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(
            st.sampled_from(PIECES),
            max_size=60,
        ).map(lambda parts: " ".join(parts).encode("utf-8", "surrogatepass")),
    )
)
def test_no_input_raises(data: bytes) -> None:
    found = explained(data)
    assert bool(found.replies) != bool(found.problem)
    for each in found.replies:
        assert len(each.reply.text) <= 2_000


@pytest.mark.parametrize(
    "data",
    [
        b"550 " * 200_000,
        b"host a.b said: 550-5.7.1 x\n" * 30_000,
        b"x: y\nFrom: a\nSubject: bounce\nContent-Type: text/html\n\n" + b"<style " * 100_000,
        b'{"a":' * 50_000,
        b"From x\n\n" * 50_000,
        b"Content-Type: message/delivery-status\n\n" + b"Status: 5.1.1\n\n" * 30_000,
        b"a." * 400_000 + b" [1",
    ],
)
def test_hostile_input_is_bounded(data: bytes) -> None:
    assert len(find(data).replies) <= 50_000


# Receivers and meanings


@pytest.mark.parametrize(
    ("text", "receiver", "known_by"),
    [
        ("host gmail-smtp-in.l.google.com[192.0.2.1] said: 550 5.1.1 no", "gmail", "host"),
        ("host example-com.mail.protection.outlook.com[192.0.2.1] said: 550 5.1.1 no", "microsoft365", "host"),
        ("host outlook-com.olc.protection.outlook.com[192.0.2.1] said: 550 5.1.1 no", "outlook", "host"),
        ("host mta5.am0.yahoodns.net[192.0.2.1] said: 550 5.1.1 no", "yahoo", "host"),
        ("host mfsmax.docomo.ne.jp[192.0.2.1] said: 550 Unknown user a@docomo.ne.jp", "docomo", "host"),
        ("550 5.1.1 no such user - gsmtp", "gmail", "wording"),
        ("550-5.7.26 Unauthenticated email from x.example is not accepted due to its policy.", "gmail", "wording"),
        ("550-5.7.1 [192.0.2.1 12] Our system has detected that this message is likely spam.", "gmail", "wording"),
        ("421 4.7.28 Gmail has detected an unusual rate of unsolicited mail.", "gmail", "wording"),
        ("451 4.7.1 [HM08] Message rejected due to local policy", "icloud", "wording"),
        ("554 Message not allowed - [PH01] Email not accepted for policy reasons.", "yahoo", "wording"),
        ("553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", "yahoo", "wording"),
        ("554 5.7.9 Message not accepted for policy reasons.", "yahoo", "wording"),
        ("550 SC-001 (A1-B2) Unfortunately, messages from 192.0.2.1 weren't sent.", "outlook", "wording"),
        ("550-5.7.26 …", "gmail", "code"),
        ("550 Unknown user a@docomo.ne.jp", "docomo", "recipient"),
        ("550 <a@ezweb.ne.jp>: User unknown", "au", "recipient"),
        ("550 a@ezweb.ne.jp: User unknown", "au", "recipient"),
        ("550 5.1.1 a@icloud.com: user does not exist", "icloud", "recipient"),
        ("550 5.1.1 <a@icloud.com>: user does not exist", "icloud", "recipient"),
        ("550 5.1.6 recipient no longer on server: a@icloud.com", "icloud", "recipient"),
        ("The message to a@icloud.com came back: 554 5.7.1 rejected", "icloud", "recipient"),
        # An address may be the sender's, or one to write to.
        ("550 5.7.1 a@icloud.com: Sender address rejected", "", ""),
        ("550 5.7.1 mail from a@gmail.com fails DMARC", "", ""),
        ("550 5.7.1 blocked, write to postmaster@icloud.com", "", ""),
        ("550 5.7.1 b@example.jp cannot forward to a@icloud.com", "", ""),
        ("550 Invalid recipient: <a@softbank.ne.jp>", "softbank", "recipient"),
        ("550 5.7.1 <a@gmail.com>: Sender address rejected", "", ""),
        ("550 5.7.515 Access denied", "outlook", "code"),
        ("550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", "microsoft365", "code"),
        ("host mx.example.net[192.0.2.1] said: 550 5.7.26 no", "", ""),
        ("550 5.7.25 no PTR", "", ""),
        ("to=<a@yahoo.co.jp>, dsn=5.0.0, status=bounced (said: 550 no)", "yahoo-japan", "recipient"),
        ("to=<a@notgmail.com>, dsn=5.0.0, status=bounced (said: 550 no)", "", ""),
        ("host mx.google.com.example.net[192.0.2.1] said: 550 5.1.1 no", "", ""),
    ],
)
def test_receivers_are_known_by_host_wording_or_recipient(text: str, receiver: str, known_by: str) -> None:
    got = only(text)
    assert (got.receiver, got.known_by) == (receiver, known_by)


def test_words_of_the_receiver_count_more_than_its_code_and_that_more_than_the_standard() -> None:
    words = only("550-5.7.26 The MAIL FROM domain [x.example] has an SPF record with a hard fail policy - gsmtp")
    code = only("550 5.7.26 no - gsmtp")
    standard = only("host mx.example.net[192.0.2.1] said: 550 5.7.26 no")
    assert [each.meaning and each.meaning.id for each in (words, code, standard)] == [
        "gmail-spf-hard-fail",
        "gmail-authentication",
        "code-x-7-26",
    ]
    assert [each.fit for each in (words, code, standard)] == [Fit.RECEIVER, Fit.RECEIVER, Fit.CODE]
    assert words.rules == ("SPF-014",)


def test_a_code_in_a_receivers_overlay_leads_to_its_rules() -> None:
    got = only("451 4.7.23 deferred - gsmtp")
    assert set(got.rules) == {"NET-001", "NET-002"}
    overlay = rules().receivers["gmail"].rules
    listed = {rule for rule, each in overlay.items() if any("550 5.7.26" in one.codes for one in each)}
    # The meaning also names what leads there, though the receiver's statement on it has another reply or none.
    assert set(only("550 5.7.26 no - gsmtp").rules) == listed | {
        "ALN-001",
        "ALN-005",
        "DMARC-026",
        "SPF-001",
        "DKIM-001",
        "DKIM-002",
        "DKIM-003",
        "DKIM-028",
    }


def test_what_the_sources_contradict_each_other_on_is_told_with_both_readings() -> None:
    got = only("550 5.7.40 no DMARC - gsmtp")
    assert got.meaning is not None
    assert got.meaning.contested
    assert all("4.7.31" in text and "5.7.40" in text for text in got.meaning.meaning.values())


def test_temporary_and_permanent() -> None:
    assert only("421 4.7.0 later").reply.kind is ReplyKind.TEMPORARY
    assert only("550 5.7.0 never").reply.kind is ReplyKind.PERMANENT
    assert only("250 2.0.0 OK").reply.kind is ReplyKind.ACCEPTED


# The catalogue


def test_every_meaning_explains_its_own_example() -> None:
    wrong = {}
    for meaning in catalogue().meanings:
        found = explained(meaning.example, "" if meaning.receiver == ANY else meaning.receiver).replies
        ids = [each.meaning.id for each in found if each.meaning]
        if meaning.id not in ids:
            wrong[meaning.id] = ids
    assert not wrong


def test_the_catalogue_is_complete() -> None:
    assert len(catalogue().meanings) > 120
    for meaning in catalogue().meanings:
        assert meaning.meaning.keys() == meaning.steps.keys() == {"en", "ja"}
        assert len(meaning.steps["en"]) == len(meaning.steps["ja"])
        assert re.search(r"[ぁ-んァ-ン一-龥]", meaning.meaning["ja"]), meaning.id
        assert not re.search(r"[ぁ-んァ-ン一-龥]", meaning.meaning["en"]), meaning.id
        assert all(parse_code(code) for code in meaning.codes)
        assert all(ref.ref in rules().sources for ref in meaning.sources)
        assert all(rule in rules().rules for rule in meaning.rules or ())


def test_every_code_of_every_receiver_is_explained() -> None:
    checked = 0
    for receiver in rules().receivers.values():
        codes: dict[str, set[str]] = {}
        for rule, statements in receiver.rules.items():
            for code in (code for each in statements for code in each.codes):
                codes.setdefault(code, set()).add(rule)
        for code, behind in codes.items():
            got = only(f"{code} refused", receiver.id)
            assert got.meaning is not None
            if got.fit is Fit.CODE or got.meaning.rules is None:
                assert behind <= set(got.rules), (receiver.id, code)
            else:
                assert behind & set(got.rules) or not got.meaning.rules, (receiver.id, code)
            checked += 1
    assert checked > 20


def test_wording_may_leave_out_what_varies() -> None:
    assert says(fold("There are  multiple Subject headers."), "there are multiple … headers")
    assert not says(fold("headers: there are multiple"), "there are multiple … headers")


def write(folder: Path, text: str) -> Path:
    (folder / "replies").mkdir(exist_ok=True)
    (folder / "replies" / "own.yaml").write_text(text, "utf-8")
    return folder


OWN = """receiver: example-net
name: {en: Example Net, ja: 例ネット}
hosts: [example.net]
replies:
  - id: example-net-closed
    codes: ["550"]
    says: ["we are closed"]
    example: "550 We are closed"
    retry: later
    about: host
    rules: [%s]
    sources: [{ref: rfc5321}]
    text:
      en: {means: Closed., do: [Wait.]}
      ja: {means: 閉まっています。, do: [待ってください。]}
"""


def test_folders_of_the_user_add_receivers_and_meanings(tmp_path: Path) -> None:
    own = load_replies((*rule_folders(), write(tmp_path, OWN % "NET-001")), rules())
    got = explain(b"host mx.example.net[192.0.2.1] said: 550 We are  CLOSED", own, rules()).replies[0]
    assert (got.receiver, got.meaning and got.meaning.id, got.rules) == (
        "example-net",
        "example-net-closed",
        ("NET-001",),
    )


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (OWN % "NOPE-001", "no rule NOPE-001"),
        (OWN.replace('codes: ["550"]', 'codes: ["55"]') % "", "'55' is not a code"),
        (OWN.replace("rfc5321", "rfc0") % "", "no source 'rfc0'"),
        (OWN.replace("name:", "nome:") % "", "own.yaml:2: nome"),
        (OWN.replace("[Wait.]", "[Wait., Again.]") % "", "2 steps in English, 1 in Japanese"),
        ("receiver: [", "own.yaml:"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_place(tmp_path: Path, text: str, trouble: str) -> None:
    with pytest.raises(ReplyError, match=re.escape(trouble)):
        load_replies((*rule_folders(), write(tmp_path, text)), rules())


def test_mistakes_in_reply_files_are_found_by_the_check_of_the_rules(deliv, tmp_path: Path) -> None:
    folder = write(tmp_path, OWN % "NOPE-001")
    done = deliv("550 no", "--rules", str(folder))
    assert (done.code, done.out) == (2, "")
    assert "own.yaml:5: example-net-closed: no rule NOPE-001" in done.err


# The corpus of bounces

EXPECTED = {  # file: reply code, enhanced code, receiver, meaning
    "sisimai/rhost-google-04.eml": ("550", "5.7.26", "gmail", "gmail-unauthenticated"),
    "sisimai/rhost-google-05.eml": ("552", "5.2.2", "gmail", "gmail-quota-long"),
    "sisimai/rhost-google-06.eml": ("550", "5.7.25", "gmail", "gmail-ptr-words"),
    "sisimai/rhost-google-07.eml": ("550", "5.2.1", "gmail", "gmail-disabled"),
    "sisimai/rhost-google-08.eml": ("550", "5.7.1", "gmail", "gmail-not-compliant"),
    "sisimai/lhost-postfix-70.eml": ("550", "5.7.26", "gmail", "gmail-dmarc-policy"),
    "sisimai/lhost-postfix-28.eml": ("550", "5.7.1", "gmail", "gmail-from"),
    "sisimai/lhost-postfix-59.eml": ("550", "5.2.1", "gmail", "gmail-recipient-rate"),
    "sisimai/lhost-sendmail-58.eml": ("550", "5.7.1", "gmail", "gmail-dmarc-policy"),
    "sisimai/lhost-sendmail-59.eml": ("550", "5.7.1", "gmail", "gmail-unauthenticated"),
    "sisimai/lhost-qmail-20.eml": ("550", "5.7.26", "gmail", "gmail-dmarc-policy"),
    "sisimai/rhost-apple-02.eml": ("554", "5.7.1", "icloud", "icloud-dmarc-policy"),
    "sisimai/rhost-yahooinc-01.eml": ("554", "5.7.9", "yahoo", "yahoo-policy"),
    "sisimai/rhost-microsoft-01.eml": ("550", "5.7.606", "microsoft365", "m365-banned"),
    "sisimai/rhost-microsoft-02.eml": ("550", "5.4.1", "microsoft365", "m365-access-denied"),
    "sisimai/rhost-microsoft-03.eml": ("550", "5.1.10", "microsoft365", "m365-no-recipient"),
    "sisimai/rhost-microsoft-05.eml": ("451", "4.7.650", "outlook", "outlook-rate"),
    "sisimai/rhost-nttdocomo-01.eml": ("550", "", "docomo", "docomo-filtered"),
    "sisimai/lhost-postfix-55.eml": ("552", "", "docomo", "docomo-too-many"),
    "sisimai/rhost-kddi-01.eml": ("550", "", "au", "au-filtered"),
    "sisimai/rhost-kddi-02.eml": ("550", "", "au", "au-unknown-user"),
    "sisimai/lhost-amazonses-02.eml": ("550", "", "docomo", "docomo-unknown-user"),
    "sisimai/lhost-exim-46.eml": ("554", "5.7.1", "", "words-ptr"),
    "sisimai/lhost-postfix-80.eml": ("550", "5.1.0", "", "words-spamhaus"),
    "sisimai/lhost-kddi-01.eml": ("", "", "", "words-mailbox-full"),
    "sisimai/lhost-x1-03.eml": ("", "", "", "words-user-unknown"),
    "sisimai/lhost-gmail-15.eml": ("", "", "", "words-connection"),
    "sisimai/arf-02.eml": ("", "", "", "report-abuse"),
    "sisimai/arf-22.eml": ("", "", "", "report-abuse"),
    "sisimai/arf-18.eml": ("", "", "", "report-auth-failure"),
    "kumomta/5.eml": ("552", "", "", "words-mailbox-full"),
    "enmime/dsn_with_multipart_alternative.raw": ("550", "5.1.10", "microsoft365", "m365-no-recipient"),
    "postal-mime/bounce.eml": ("550", "", "", "words-user-unknown"),
    "mikel-mail/multi_address_bounce1.eml": ("550", "5.1.1", "gmail", "gmail-no-account"),
}


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_a_bounce_of_the_corpus(name: str, expected: tuple[str, str, str, str]) -> None:
    got = explained(corpus("bounces", name).read_bytes()).replies[0]
    receiver = got.receiver if expected[2] else ""
    assert (got.reply.code, got.reply.enhanced, receiver, got.meaning and got.meaning.id) == expected


def test_nearly_every_bounce_of_the_corpus_is_explained() -> None:
    files = [path for path in sorted(corpus("bounces").rglob("*")) if path.suffix in (".eml", ".raw")]
    found = {path.name: explained(path.read_bytes()) for path in files}
    # With a code, or words that are known: everything but automatic answers, reports of odd shapes and notices
    # that tell nothing.
    without = {name for name, each in found.items() if not each.replies}
    assert len(files) == 328
    assert len(without) <= 8, sorted(without)
    assert all(each.meaning for got in found.values() for each in got.replies if each.reply.code)


def test_codes_agree_with_what_another_parser_read_out_of_the_same_bounces() -> None:
    """Sisimai's own expectations: where it names a reply code, the reply found here has it."""
    expected = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    agree, differ = 0, []
    for name, results in expected.items():
        codes = {each["replycode"] for each in results if each["replycode"]}
        if codes:
            got = {each.reply.code for each in explained(corpus("bounces", "sisimai", name).read_bytes()).replies}
            agree += bool(got & codes)
            differ += [] if got & codes else [(name, sorted(codes), sorted(got))]
    assert len(differ) <= agree // 20, differ


# The command


class Done:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def deliv(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("DELIV_LANG", raising=False)

    def run(*args: str, stdin: bytes = b"") -> Done:
        import io
        import sys

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        with pytest.raises(SystemExit) as left:
            main(["explain", *args])
        out, err = capsysbinary.readouterr()
        assert isinstance(left.value.code, int)
        return Done(left.value.code, out.decode(), err.decode())

    return run


GMAIL_ALIGNMENT = "421-4.7.32 Your email has been rate limited because the From: header is not aligned. - gsmtp"


def said(key: str, lang: str = "en") -> str:
    """A sentence of the command, up to the first value in it, as the terminal shows it."""
    return phrases(lang)(f"explain.{key}").partition("{")[0]


def test_a_reply_alone_is_explained_in_both_languages(deliv) -> None:
    english, japanese = deliv(GMAIL_ALIGNMENT), deliv(GMAIL_ALIGNMENT, "--lang", "ja")
    assert (english.code, japanese.code) == (0, 0)
    for words in (
        "Gmail deferred the message.",
        "421 4.7.32",
        "ALN-001",
        "deliv rules ALN-001",
        "accessed 24 Nov 2026",
    ):
        assert words in english.out
    for words in ("Gmail", "一時的なエラー", said("rules", "ja"), "出典"):
        assert words in japanese.out


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("452 4.2.2 Mailbox full", "Your server retries automatically"),
        ("552 5.2.2 Mailbox full", "Your server has stopped retrying"),
        ("550 5.1.1 User unknown", "No."),
    ],
)
def test_what_was_refused_for_good_is_tried_again_by_nobody(deliv, reply: str, words: str) -> None:
    text = " ".join(deliv(reply).out.split())
    assert f"Will retrying help? {words}" in text.replace("Perhaps. ", "").replace("Perhaps later. ", "")


def test_a_domain_and_its_message_are_held_against_the_rules(deliv) -> None:
    done = deliv(GMAIL_ALIGNMENT, "sakura-shop.example", *ZONE, *MESSAGE)
    assert done.code == 1
    assert "✗ ALN-001" in done.out
    assert "1) " in done.out


def test_rules_that_are_met_now_say_so(deliv) -> None:
    done = deliv("550 5.7.40 no DMARC - gsmtp", "sakura-shop.example", *ZONE)
    assert done.code == 0
    assert said("met")[:40] in done.out
    assert f"{said('now-met.one')}DMARC-001" in done.out


def test_what_could_not_be_checked_is_never_told_as_met_or_unmet(deliv) -> None:
    done = deliv("550 5.7.40 no DMARC - gsmtp", "sakura-shop.example", "--offline")
    assert done.code == 3
    assert "✗" not in done.out
    assert "✓" not in done.out
    assert "? DMARC-001" in done.out


def test_a_reply_without_rules_behind_it_says_that_nothing_was_checked(deliv) -> None:
    done = deliv("550 5.1.1 <a@example.org>: User unknown", "sakura-shop.example", *ZONE)
    assert done.code == 0
    assert said("no-rules") in done.err


def test_json_holds_both_languages_and_the_state_of_each_rule(deliv) -> None:
    done = deliv(GMAIL_ALIGNMENT, "sakura-shop.example", *ZONE, *MESSAGE, "--format", "json")
    assert done.code == 1
    (got,) = json.loads(done.out)["replies"]
    assert (got["code"], got["enhanced"], got["kind"]) == ("421", "4.7.32", "temporary")
    assert (got["receiver"]["id"], got["fit"]) == ("gmail", "receiver")
    assert got["meaning"]["text"].keys() == {"en", "ja"}
    states = {each["rule"]: each for each in got["now"][0]["rules"]}
    assert states["ALN-001"]["outcome"] == "unmet"
    assert states["ALN-001"]["findings"][0]["fix"]


def test_json_without_a_reply_is_still_json(deliv) -> None:
    done = deliv("hello", "--format", "json")
    assert done.code == 3
    assert json.loads(done.out)["problem"] == "text"


def test_a_bounce_from_standard_input_names_the_domain_to_check(deliv) -> None:
    done = deliv(
        "-", stdin=notification("Final-Recipient: rfc822; a@gmail.com\nDiagnostic-Code: smtp; 550 5.7.26 no\n")
    )
    assert done.code == 0
    assert 'deliv explain "REPLY" example.com' in done.out


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("",), 3, said("problem-empty")),
        (("hello world",), 3, said("paste")),
        (("550", "5.7.26", "blocked"), 2, "put the reply in quotes"),
        (("bounce.eml",), 2, "bounce.eml: no such file"),
        ((), 2, "specify a reply in quotes"),
        (("--mailbox", "nobody"), 2, "no mailbox nobody"),
        (("550 no", "--receiver", "nobody"), 2, "no such receiver; known: att, au"),
        (("-", "-"), 2, "read only once"),
        (("550 5.7.40 no - gsmtp", "not a domain", "--offline"), 2, "is not a domain"),
    ],
)
def test_unusable_input_is_told_with_what_to_do(deliv, args: tuple[str, ...], code: int, words: str) -> None:
    done = deliv(*args)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "Traceback" not in done.err


def test_nothing_of_the_input_steers_the_terminal(deliv) -> None:
    done = deliv("550 5.7.1 red \x1b[31m bell \x07 bidi \u202e <a@example.org>")
    assert done.code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", done.out)
    assert r"\x1b[31m" in done.out


def test_a_name_too_long_for_a_file_is_text(deliv) -> None:
    assert deliv("550 5.1.1 " + "x" * 5_000).code == 0
