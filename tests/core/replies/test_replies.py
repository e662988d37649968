"""What `deliv explain` says of pasted replies, one row a reply: above all no wrong "take it off your lists".

The rows are the replies that were explained wrongly, vaguely or too surely, and those that nothing explained; receivers
say them as their own pages, senders or Sisimai's collection tell. Each row names the entry of the catalogue, whether
sending again helps, and how sure we are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from deliverability.core.model.replies import ANY, Explained, Explanation, ReplyCause, Retry
from deliverability.core.model.rules import Confidence
from deliverability.core.phrases import phrases
from deliverability.core.replies.explain import explain
from deliverability.core.replies.match import ReplyError, load_replies, says
from deliverability.core.replies.text import replies_in
from deliverability.engine.rules import rule_folders
from tests.corpus import corpus
from tests.growth import assert_linear, repeated
from tests.intake.readers import catalogue, rules

LATER, FIX, NO = Retry.LATER, Retry.AFTER_FIX, Retry.NO
HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
# Entries that say that the recipient's address is dead or given up.
OFF_THE_LIST = ("from your lists", "off your lists", "リストから外", "リストからすぐに外")
# Said with care: not because of this reply, only after more of them, or of addresses that did bounce.
CAREFULLY = (
    "bounces again",
    "not give",
    "give the address up after",
    "repeated bounces",
    "that bounced",
    "繰り返",
    "ないでください",
    "不達になった",
)


def explained(text: str) -> Explanation:
    return explain(text.encode(), catalogue(), rules())


def only(text: str) -> Explained:
    replies = explained(text).replies
    assert len(replies) == 1, replies
    return replies[0]


def said_by(host: str, reply: str) -> str:
    """The reply as a log or a notice quotes it; without a host, as somebody pastes it."""
    if reply.startswith("250"):
        return f"to=<a@example.jp>, relay={host}[192.0.2.1]:25, dsn=2.0.0, status=sent ({reply})"
    return f"host {host}[192.0.2.1] said: {reply}" if host else reply


class Row(NamedTuple):
    """One reply: its text, the host that says it (empty: pasted alone), and what must be made of it."""

    host: str
    reply: str
    meaning: str
    retry: Retry
    confidence: Confidence


GMX = "mx00.gmx.net"
SOFTBANK = "mx.softbank.ne.jp"
DOCOMO = "mfsmax.docomo.ne.jp"
AU = "mx.au.com"
APPLE = "mx01.mail.icloud.com"
OUTLOOK = "outlook-com.olc.protection.outlook.com"
M365 = "example-com.mail.protection.outlook.com"
ELSE = "mx.example.net"

ABOUT_THE_SENDER_OR_THE_MAIL = (
    # The sender's domain, not the recipient's address.
    Row(SOFTBANK, "553 bounce.shop.example.jp does not exist", "softbank-sender-domain", FIX, MEDIUM),
    Row("mx.i.softbank.jp", "553 shop.example.jp does not exist", "softbank-sender-domain", FIX, MEDIUM),
    Row("mx.jcom.home.ne.jp", "553 shop.example.jp does not exist", "jcom-sender-domain", FIX, MEDIUM),
    Row(ELSE, "553 shop.example.jp does not exist", "words-not-exist", FIX, MEDIUM),
    Row("", "550 5.2.0 From: Domain is invalid", "words-sender-domain", FIX, MEDIUM),
    # What many lines of GMX end with decides.
    Row(
        GMX,
        "550-Requested action not taken: mailbox unavailable\n550-Reject due to policy restrictions.\n"
        "550 For explanation visit https://postmaster.gmx.net/en/error-messages",
        *("gmx-policy", FIX, HIGH),
    ),
    Row(
        "mx-ha.web.de",
        "550-Requested action not taken: mailbox unavailable\n550 Reject due to policy restrictions.",
        *("gmx-policy", FIX, HIGH),
    ),
    # A line that nobody knows yet still decides that it is not the first one.
    Row(
        GMX,
        "550-Requested action not taken: mailbox unavailable\n550 Reject for another reason.",
        *("words-mailbox-unavailable", FIX, MEDIUM),
    ),
    Row(
        GMX,
        "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554-No SMTP service\n"
        "554-IP address is block listed.\n554 For explanation visit https://postmaster.gmx.net/en/case?c=r0201",
        *("gmx-block-list", FIX, HIGH),
    ),
    # X.2.0: the mailbox exists.
    Row("smtp-in.orange.fr", "550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506]", "laposte-spam", FIX, MEDIUM),
    Row("", "550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", "laposte-spam", FIX, MEDIUM),
    Row(ELSE, "550 5.2.0 Message Filtered", "code-x-2-0", FIX, MEDIUM),
    Row(ELSE, "550 5.2.0 Something that nobody understands", "code-x-2-0", FIX, MEDIUM),
    Row(ELSE, "550 5.2.0 User unknown", "code-x-2-0", FIX, MEDIUM),
    Row(ELSE, "550 5.2.1 User unknown", "code-x-2-1", FIX, MEDIUM),
    Row(ELSE, "550 5.2.2 User unknown", "code-x-2-2", LATER, HIGH),
    # Gmail tells a mailbox that is full from one that has been full for long, by the code alone.
    Row("", "452 4.2.2 The email account that you tried to reach is over quota", "gmail-quota", LATER, HIGH),
    Row("", "552 5.2.2 The email account that you tried to reach is over quota", "gmail-quota-long", LATER, HIGH),
    # Postfix writes "Recipient address rejected" before every reason; the reason is behind the colon.
    Row(
        ELSE,
        "451 4.3.5 <a@example.org>: Recipient address rejected: Server configuration problem",
        *("words-system", LATER, MEDIUM),
    ),
    Row(
        ELSE,
        "550 5.1.1 <a@example.org>: Recipient address rejected: Internal system error",
        *("words-system", LATER, MEDIUM),
    ),
    Row(ELSE, "554 5.7.1 <a@example.org>: Recipient address rejected: Access denied", "words-policy", FIX, LOW),
    Row(ELSE, "550 5.7.1 <a@example.org>: Recipient address rejected: Policy violation", "words-policy", FIX, LOW),
    Row(ELSE, "550 5.7.1 <a@example.org>: Recipient address rejected: Spam detected", "words-spam", FIX, MEDIUM),
    Row(ELSE, "550 <a@example.org>: Recipient address rejected", "reply-550", FIX, MEDIUM),
    Row(ELSE, "550 5.1.0 Address rejected", "code-x-1-0", FIX, HIGH),
    # "Try again": never "no".
    Row("", "Host or domain name not found. Name service error: Host not found, try again", "", LATER, HIGH),
    Row(ELSE, "450 4.1.1 <a@example.org>: Recipient address rejected: User unknown", "reply-450", LATER, MEDIUM),
    Row(ELSE, "550 5.7.1 User temporarily locked. Please try again later!", "words-locked-for-now", LATER, MEDIUM),
    Row(ELSE, "550 5.1.1 Mailbox not found, please try again later", "words-later", LATER, MEDIUM),
    # Said of the recipient's domain, not of the sender's.
    Row(ELSE, "550 5.1.2 No such domain at this location", "words-not-our-domain", FIX, HIGH),
    Row(
        ELSE,
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        *("words-not-our-domain", FIX, HIGH),
    ),
    Row("", "550 DNS Error: Domain name not found", "words-host-unknown", FIX, HIGH),
    # Full or large; the word "attachment" proves nothing.
    Row(
        ELSE,
        "552 5.2.2 This message is larger than the current system limit or the recipient's mailbox is full. Create a "
        "shorter message body or remove attachments and try sending it again.",
        *("words-full-or-large", LATER, MEDIUM),
    ),
    # Unknown, disabled or gone is somebody else than the recipient.
    Row(ELSE, "550 5.1.1 Sender unknown, user unknown", "words-sender-unknown", FIX, MEDIUM),
    Row(ELSE, "550 The sender's mailbox does not exist", "words-sender-unknown", FIX, MEDIUM),
    Row(
        ELSE,
        "550 5.7.1 <news@example.com>: Sender address rejected: User unknown in local recipient table",
        *("words-sender-domain", FIX, MEDIUM),
    ),
    Row(
        ELSE,
        "550-Verification failed for <news@example.com>\n550 Sender verify failed",
        "words-sender-domain",
        FIX,
        MEDIUM,
    ),
    Row(ELSE, "535 5.7.8 Authentication failed: user not found", "words-auth-required", FIX, HIGH),
    Row(ELSE, "535 user not found", "reply-523", FIX, MEDIUM),
    Row(ELSE, "554 Outgoing mail from your account has been suspended", "words-own-account", FIX, MEDIUM),
    Row(ELSE, "550 Relaying has been disabled", "words-own-account", FIX, MEDIUM),
    Row(ELSE, "554 This server does not accept mail from 192.0.2.1", "reply-554", FIX, MEDIUM),
    Row(ELSE, "550 192.0.2.1 is not a registered mail server", "reply-550", FIX, MEDIUM),
    Row(ELSE, "521 mx.example.net does not accept mail", "reply-521", FIX, MEDIUM),
    Row(ELSE, "554 5.5.1 Error: no valid recipients", "words-no-recipients", FIX, MEDIUM),
    Row(ELSE, "550 See the attachment of our notice", "reply-550", FIX, MEDIUM),
    Row(
        ELSE,
        "550 The account or domain may not exist, they may be blacklisted, or missing the proper dns entries.",
        *("words-several-causes", FIX, MEDIUM),
    ),
)

TOO_VAGUE = (
    Row(
        "",
        "550; 5.7.515 Access denied, sending domain example.com does not meet the required authentication level.",
        *("outlook-authentication-level", FIX, HIGH),
    ),
    Row(
        OUTLOOK,
        "550 5.7.511 Access denied, banned sender[192.0.2.1]. To request removal from this list please forward this "
        "message to delist@messaging.microsoft.com.",
        *("m365-banned-sender", FIX, MEDIUM),
    ),
    Row(M365, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "m365-banned", FIX, MEDIUM),
    Row(OUTLOOK, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "m365-banned", FIX, MEDIUM),
    Row(OUTLOOK, "550 5.7.509 Access denied, does not pass DMARC verification", "m365-dmarc", FIX, MEDIUM),
    Row(
        "gmail-smtp-in.l.google.com",
        "550 5.7.1 This message is not RFC 5322 compliant because the From: header has a non-compliant domain name.",
        *("gmail-from-domain", FIX, HIGH),
    ),
    Row(DOCOMO, "500 Line Too Long", "docomo-line", FIX, MEDIUM),
    Row(AU, "554 <a@@au.com>: Relay access denied", "au-relay", FIX, MEDIUM),
    Row(APPLE, "421 4.7.0 me.com Error: too many errors", "icloud-errors", LATER, MEDIUM),
    Row(APPLE, "554 smtpin001.me.com ESMTP not accepting connections", "icloud-blocked", FIX, MEDIUM),
)

CONTESTED = (
    Row(AU, "550 <a@ezweb.ne.jp>: User unknown", "au-unknown-user", FIX, MEDIUM),
    Row(AU, "550 a@ezweb.ne.jp: User unknown", "au-unknown-user", FIX, MEDIUM),
    Row(AU, "550 : User unknown", "au-filtered", FIX, MEDIUM),
    # Whatever stands between, a reply that names the address is none of those that name none.
    Row(AU, "550 5.1.1 <a@ezweb.ne.jp>: Recipient address rejected: User unknown", "au-unknown-user", FIX, MEDIUM),
    Row(AU, "550 5.1.1 : User unknown", "au-filtered", FIX, MEDIUM),
    Row(DOCOMO, "550 Unknown user a@docomo.ne.jp", "docomo-unknown-user", FIX, LOW),
    # The phase of the dialogue tells the address from the filter.
    Row(DOCOMO, "550 Unknown user a@docomo.ne.jp (in reply to RCPT TO command)", "docomo-unknown-at-rcpt", NO, MEDIUM),
    Row(DOCOMO, "550 Unknown user a@docomo.ne.jp (in reply to end of DATA command)", "docomo-filtered", FIX, MEDIUM),
    Row(DOCOMO, "552 Too much mail data", "docomo-too-much-data", LATER, MEDIUM),
    # Despite its words Microsoft's "not in the directory".
    Row(
        "",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
        *("m365-access-denied", NO, MEDIUM),
    ),
    Row(M365, "550 5.4.1 Recipient address rejected: Access denied.", "m365-access-denied", NO, MEDIUM),
    Row("", "550 5.4.1 Recipient address rejected: Access denied", "words-not-in-directory", NO, MEDIUM),
)

MISSING = (
    # By users and appliances, in Korea and Japan; and by Microsoft 365 about the mailbox or the endpoint.
    Row("", "453 Your E-Mail Address does not designate Permitted Sender Hosts(SPF)", "words-spf", FIX, HIGH),
    Row("", "550 You are registered as spammer (by user's reject list)", "words-own-list", FIX, MEDIUM),
    Row("", "550 sorry, we don't allow this mail. (#5.7.1)", "words-mailgates-dmarc", FIX, HIGH),
    Row(M365, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", "m365-mailbox-busy", LATER, HIGH),
    Row(
        M365,
        "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
        *("m365-not-signed-in", FIX, HIGH),
    ),
    Row(SOFTBANK, "550 Invalid recipient: <a@softbank.ne.jp>", "softbank-no-recipient", NO, MEDIUM),
    Row("mx.jcom.home.ne.jp", "421 #4.x.2 Too many messages for this session", "jcom-too-many", LATER, MEDIUM),
    Row("mx.jcom.home.ne.jp", "550 Invalid recipient <a@jcom.home.ne.jp>", "jcom-no-recipient", NO, MEDIUM),
    Row("smtp.laposte.net", "550 5.5.0 SPF: example.com is not allowed. LPN004_401", "laposte-spf", FIX, MEDIUM),
    Row("smtp.laposte.net", "552 5.1.1 Recipient overquota. LPN_417", "laposte-full", LATER, MEDIUM),
    Row("smtp-in.orange.fr", "421 ME Trop de connexions. OFR005_104 [104]", "laposte-later", LATER, MEDIUM),
    Row("smtp-in.orange.fr", "550 5.1.1 Invalid recipient. OFR_416 [416]", "laposte-no-recipient", NO, MEDIUM),
    Row(GMX, "550 <a@gmx.net>: Requested action not taken: mailbox unavailable", "gmx-no-mailbox", NO, MEDIUM),
    Row("mx1.comcast.net", "554 BL000001 Blocked - see the page", "comcast-block-list", FIX, MEDIUM),
    Row("mx.prodigy.net", "521 <192.0.2.1> is blocked.", "att-blocked", FIX, MEDIUM),
    Row(
        "eu-smtp-inbound-1.mimecast.com",
        "550 Administrative prohibition envelope blocked",
        "mimecast-policy",
        FIX,
        MEDIUM,
    ),
    Row("eu-smtp-inbound-1.mimecast.com", "550 Invalid Recipient", "mimecast-no-recipient", NO, MEDIUM),
    Row("mx3.qq.com", "550 Mailbox unavailable or access denined", "tencent-rate", LATER, MEDIUM),
    Row(
        "mx.zoho.com", "554 5.7.1 Email cannot be delivered. Reason: Email flagged as Spam.", "zoho-policy", FIX, MEDIUM
    ),
    Row("route1.mx.cloudflare.net", "554 192.0.2.1 found on one or more DNSBLs", "cloudflare-block-list", FIX, MEDIUM),
    Row(APPLE, "451 4.7.1 Service unavailable - try again later", "icloud-unavailable", LATER, MEDIUM),
    Row("", "550 5.7.1 [HM08] Message rejected due to local policy", "icloud-local-policy", FIX, MEDIUM),
    Row("", "550 5.7.1 [CS02] Message rejected due to local policy", "icloud-local-policy", FIX, MEDIUM),
    Row(
        APPLE,
        "550 5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL",
        *("icloud-spamhaus", FIX, MEDIUM),
    ),
    Row(
        APPLE,
        "550 5.7.1 Mail from IP 192.0.2.1 was rejected due to listing in Spamhaus SBL.",
        *("icloud-spamhaus", FIX, MEDIUM),
    ),
    Row(ELSE, "550 a is not a known user", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 no mail box available for this user", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 User not exist", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 not an active address", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 BAD_RECIPIENT", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 ユーザー a は Domino ディレクトリには見つかりません", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 Mailbox quota usage exceeded", "words-mailbox-full", LATER, HIGH),
    # Gmail's codes of the page of 2026-06-18.
    Row("gmail-smtp-in.l.google.com", "451 4.7.26 no DNS", "gmail-dmarc-dns", LATER, HIGH),
    Row("gmail-smtp-in.l.google.com", "451 4.7.23 no PTR", "gmail-ptr", FIX, HIGH),
    Row("gmail-smtp-in.l.google.com", "451 4.7.24 SPF", "gmail-spf-suspicious", FIX, HIGH),
    Row("gmail-smtp-in.l.google.com", "421 5.7.32 not aligned", "gmail-alignment", FIX, HIGH),
    # 250 is no delivery at the Japanese carriers.
    Row(AU, "250 2.0.0 OK", "au-accepted", FIX, MEDIUM),
    Row(DOCOMO, "250 OK", "docomo-accepted", FIX, MEDIUM),
    Row(SOFTBANK, "250 OK", "softbank-accepted", FIX, MEDIUM),
)

DEAD = (
    # High confidence: X.1.1 or X.1.10 and words that agree, or the receiver's own entry.
    Row(ELSE, "550 5.1.1 <a@example.org>: Recipient address rejected: User unknown", "words-user-unknown", NO, HIGH),
    Row(ELSE, "550 5.1.10 Recipient not found", "words-user-unknown", NO, HIGH),
    Row("gmail-smtp-in.l.google.com", "550-5.1.1 The account does not exist.", "gmail-no-account", NO, HIGH),
    # The words alone, or the code alone.
    Row(ELSE, "550 <a@example.org>: Recipient address rejected: User unknown", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 5.7.1 <a@example.org>: User unknown", "words-user-unknown-by-policy", NO, MEDIUM),
    # With the code of a policy the words have to be all that is said.
    Row(ELSE, "550 5.7.1 User not found in the list of those who take this", "code-x-7-1", FIX, HIGH),
    Row(ELSE, "550 5.1.1 Rejected", "code-x-1-1", NO, MEDIUM),
    Row(ELSE, "550 5.1.1 shop.example.org does not exist", "code-x-1-1", NO, MEDIUM),
    # The name of a mailbox is no evidence.
    Row(ELSE, "550 <spam@example.org>: Recipient address rejected: User unknown", "words-user-unknown", NO, MEDIUM),
    Row(ELSE, "550 <virus.infected@example.org>: no such user", "words-user-unknown", NO, MEDIUM),
)

ROWS = ABOUT_THE_SENDER_OR_THE_MAIL + TOO_VAGUE + CONTESTED + MISSING + DEAD


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.host}:{row.reply[:50]}")
def test_a_reply_means(row: Row) -> None:
    got = only(said_by(row.host, row.reply))
    assert got.meaning is not None
    assert (got.meaning.id, got.meaning.retry, got.meaning.confidence) == (
        row.meaning or got.meaning.id,
        row.retry,
        row.confidence,
    )


@pytest.mark.parametrize("row", [row for row in ROWS if row.retry is not NO], ids=lambda row: row.reply[:50])
def test_nobody_is_told_to_give_up_an_address_that_may_live(row: Row) -> None:
    meaning = only(said_by(row.host, row.reply)).meaning
    assert meaning is not None
    told = [step for steps in meaning.steps.values() for step in steps if any(each in step for each in OFF_THE_LIST)]
    assert all(any(careful in step for careful in CAREFULLY) for step in told), told


def test_the_reasons_to_give_an_address_up_are_few_and_none_is_generic_and_sure() -> None:
    """What many hosts say is sure only where a code bears it out, and never beside a code that says the opposite."""
    final = [each for each in catalogue().meanings if each.receiver == ANY and each.retry is NO]
    about_addresses = [each for each in final if not each.id.startswith(("report-", "reply-250"))]
    assert {each.id for each in about_addresses} == {
        *("words-not-in-directory", "words-disabled", "words-null-mx", "words-user-unknown", "words-address-rejected"),
        *("words-address-unknown", "words-address-unknown-wider", "words-not-verified-at-rcpt"),
        "words-user-unknown-by-policy",
        *("code-x-1-1", "code-x-1-6", "code-x-1-10"),
    }
    assert all(each.confidence is not HIGH for each in about_addresses)
    wordings = [each.id for each in catalogue().meanings if each.receiver == ANY and each.says]
    behind = wordings[wordings.index("words-user-unknown") + 1 :]
    assert behind == [
        *("words-user-unknown-by-policy", "words-not-verified-at-rcpt"),
        *("words-address-unknown", "words-address-unknown-wider"),
        *("words-unavailable-at-rcpt", "words-mailbox-unavailable", "words-not-exist", "words-no-recipients"),
    ], "only what is vaguer"


@pytest.mark.parametrize("code", ["421", "450", "451 4.1.1", "452 4.2.2", "450 4.2.1"])
@pytest.mark.parametrize("host", ["", GMX, SOFTBANK, DOCOMO, AU, APPLE, OUTLOOK, M365, "mx.google.com", "mx3.qq.com"])
@pytest.mark.parametrize("words", ["User unknown", "Mailbox not found", "Invalid recipient", "account is disabled"])
def test_a_temporary_code_is_never_a_no(code: str, host: str, words: str) -> None:
    meaning = only(said_by(host, f"{code} {words}")).meaning
    assert meaning is not None
    assert meaning.retry is not NO


@pytest.mark.parametrize(
    "words", ["550 5.1.1 <news@example.com>: User unknown", "550 <news@example.com>: no such user"]
)
def test_an_answer_to_mail_from_is_about_the_sender(words: str) -> None:
    """Some receivers ask back whether the sender's mailbox exists; what is unknown then is not the recipient."""
    meaning = only(f"host {ELSE}[192.0.2.1] said: {words} (in reply to MAIL FROM command)").meaning
    assert meaning is not None
    assert meaning.retry is not NO


def test_contested_readings_are_told_as_such() -> None:
    for host, reply in ((AU, "550 <a@ezweb.ne.jp>: User unknown"), (DOCOMO, "550 Unknown user a@docomo.ne.jp")):
        meaning = only(said_by(host, reply)).meaning
        assert meaning is not None
        assert meaning.contested


def test_the_rules_behind_a_domain_that_does_not_exist_are_those_of_the_return_path() -> None:
    assert only(said_by(SOFTBANK, "553 shop.example.jp does not exist")).rules == ("NET-019", "NET-013")
    assert "MSG-023" in only("550 5.7.1 the From: header has a non-compliant domain name. - gsmtp").rules
    assert {"SPF-014", "DKIM-001", "DMARC-001", "ALN-001"} <= set(only("550; 5.7.515 Access denied").rules)


@pytest.mark.parametrize(
    ("reply", "meaning", "origin", "next_try"),
    [
        ("550 5.7.26 the sender is unauthenticated - gsmtp", "gmail-unauthenticated", "authentication", "after-fix"),
        ("554 Client host [192.0.2.1] blocked using zen.spamhaus.org", "words-spamhaus-ip", "ip-block", "after-fix"),
        ("554 domain example.com listed in dbl.spamhaus.org", "words-spamhaus", "block", "after-fix"),
        (
            "554 Client host [192.0.2.1] blocked using zen.spamhaus.org; Error: open resolver",
            *("words-spamhaus-query", "receiver", "after-receiver"),
        ),
        (
            "550 5.7.515 Access denied. Spf= Fail , Dkim= Pass , DMARC= Pass",
            *("outlook-authentication-results", "authentication", "after-fix"),
        ),
        ("550 5.7.515 Access denied", "outlook-authentication-level", "authentication", "after-fix"),
        ("550 Unknown user taro@docomo.ne.jp", "docomo-unknown-user", "contested", "after-address"),
        ("452 4.2.2 Mailbox full", "words-mailbox-full", "full", "later"),
        ("550 rejected by user's reject list", "words-own-list", "recipient-rule", "after-recipient-rule"),
        ("550 5.2.1 no", "code-x-2-1", "mailbox", "after-mailbox"),
        ("550 no such domain at this location", "words-not-our-domain", "host", "after-host"),
    ],
)
def test_where_the_cause_lies_is_told_as_closely_as_it_is_known(
    reply: str, meaning: str, origin: str, next_try: str
) -> None:
    found = only(reply).meaning
    assert found is not None
    assert (found.id, found.origin, found.next_try) == (meaning, origin, next_try)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_there_are_words_for_where_every_cause_lies_and_for_the_next_try(lang: str) -> None:
    meanings = catalogue().meanings
    assert {each.cause for each in meanings} == {None, *ReplyCause}
    keys = {f"about-{each.origin}" for each in meanings} | {f"retry-{each.next_try}" for each in meanings}
    wanted = {f"explain.{part}{key}" for part in ("", "pile.") for key in keys}
    assert wanted - phrases(lang).texts.keys() == set()


def test_wording_may_have_to_end_the_reply() -> None:
    assert says("550 mailbox unavailable.", "mailbox unavailable$")
    assert not says("550 mailbox unavailable reject due to policy", "mailbox unavailable$")


# Notices


def notice(status: str, text: str, diagnostic: str = "", content_type: str = "") -> bytes:
    said = f"Diagnostic-Code: {diagnostic}\n" if diagnostic else ""
    shape = content_type or "multipart/report; report-type=delivery-status; boundary=b"
    return (
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.net\nSubject: Undelivered Mail Returned to Sender\n"
        f"MIME-Version: 1.0\nContent-Type: {shape}\n\n"
        f"--b\nContent-Type: text/plain\n\n{text}\n\n--b\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; a@example.org\nAction: failed\n"
        f"Status: {status}\n{said}\n"
        "--b\nContent-Type: message/rfc822\n\nFrom: news@example.com\nSubject: 550 User unknown\n\n"
        "550 5.7.1 a virus was found, mailbox full\n\n--b--\n"
    ).encode()


SCANNERS = (
    "This message has been scanned for all viruses and is believed to be clean.",
    "Este mensaje ha sido analizado con NOD32 antivirus system",
    "-- \nChecked by our antivirus: no virus found in this message.",
)


@pytest.mark.parametrize("footer", SCANNERS)
def test_the_status_counts_before_the_text_and_a_scanners_footer_is_no_evidence(footer: str) -> None:
    replies = explain(
        notice("5.1.1", f"Your message could not be delivered.\n\n{footer}"), catalogue(), rules()
    ).replies
    assert [each.meaning and each.meaning.id for each in replies] == ["code-x-1-1"]
    bare = explain(notice("5.0.0", f"Your message could not be delivered.\n\n{footer}"), catalogue(), rules()).replies
    assert [each.meaning and each.meaning.id for each in bare] == ["code-x-0-0"]


def test_words_of_the_diagnostic_count_before_the_text() -> None:
    data = notice("5.0.0", "The mailbox is full.", "smtp; 550 Message content rejected, UBE")
    (reply,) = explain(data, catalogue(), rules()).replies
    assert reply.meaning is not None
    assert reply.meaning.id == "words-spam"


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/report; report-type=delivery-status;\nboundary="b"',
        'multipart/mixed;\nboundary="another"',
        "multipart/report",
    ],
)
def test_a_notice_whose_structure_is_broken_is_read_as_text(content_type: str) -> None:
    """An unfolded boundary= line: the parts cannot be found, the words can, but not those of the returned mail."""
    data = notice("5.0.0", "550 - Requested action not taken: no such user here", content_type=content_type)
    (reply,) = explain(data, catalogue(), rules()).replies
    assert reply.meaning is not None
    assert (reply.meaning.id, reply.reply.code) == ("words-user-unknown", "550")


def test_a_broken_part_inside_a_sound_notice_is_read_as_text() -> None:
    data = (
        b"Return-Path: <>\nFrom: postmaster@example.net\nSubject: Undeliverable\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="a"\n\n--a\nContent-Type: multipart/alternative;\nboundary="b"\n\n'
        b"--b\nContent-Type: text/plain\n\n550 5.2.2 Mailbox full\n\n--b--\n\n--a--\n"
    )
    (reply,) = explain(data, catalogue(), rules()).replies
    assert reply.meaning is not None
    assert reply.meaning.id == "words-mailbox-full"


@pytest.mark.parametrize(
    "text",
    [
        # As Outlook and Exchange tell of a bounce to people and to administrators.
        "mx.example.net #<mx.example.net #5.1.1 smtp; 550 5.1.1 User unknown> #SMTP#",
        "a@example.org\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##",
        "Remote Server returned '550 5.1.1 <a@example.org>: User unknown'",
        "The rejected e-mail address was 'a@example.org'. Subject 'x', Account: 'y', Server: 'mx.example.net', "
        "Protocol: SMTP, Server Response: '550 5.1.1 User unknown', Port: 25, Server Error: 550",
        "2026-11-25T10:00:00.000Z,Outbound,08DD,12,192.0.2.9:25,192.0.2.1:25,<,550 5.1.1 User unknown,",
        "2026-11-25T10:00:00.000Z,Outbound,08DD,12,192.0.2.9:25,192.0.2.1:25,<,550 User unknown,",
        "2026.11.25 10:00:00 SMTP (mail.example.com): <rx> 550 5.1.1 User unknown",
    ],
)
def test_bounces_and_log_lines_in_the_style_of_outlook(text: str) -> None:
    replies = explained(text).replies
    assert [each.meaning and each.meaning.id for each in replies] == ["words-user-unknown"], replies


# The corpus of bounces

# What Sisimai's own tests call it where the address is gone, closed, or (filtered) refused by the recipient's settings.
GONE = {"userunknown", "hasmoved", "suspend", "filtered", "feedback"}
SAID_OTHERWISE = {
    "lhost-mfilter-04.eml": "rejected; 5.4.1 of Microsoft 365 is the directory's answer",
    "lhost-mailru-05.eml": "notaccept; the recipient's domain says in DNS that it takes no mail",
}


def test_no_living_address_of_the_corpus_is_given_up() -> None:
    """Wherever somebody else's parser found another reason than a dead address, nothing here says "never"."""
    expected = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    final, checked = {}, 0
    for name, results in expected.items():
        reasons = {each["reason"] for each in results}
        if reasons & GONE:
            continue
        checked += 1
        found = explain(corpus("bounces", "sisimai", name).read_bytes(), catalogue(), rules()).replies
        told = [each.meaning.id for each in found if each.meaning and each.meaning.retry is NO]
        if told:
            final[name] = told
    assert checked > 100
    assert final.keys() == SAID_OTHERWISE.keys(), final


def test_a_mailbox_of_the_corpus_that_is_full_is_never_given_up_nor_called_sure() -> None:
    expected = json.loads(corpus("bounces", "sisimai", "expected.json").read_text("utf-8"))
    full = [name for name, results in expected.items() if {each["reason"] for each in results} == {"mailboxfull"}]
    for name in full:
        for each in explain(corpus("bounces", "sisimai", name).read_bytes(), catalogue(), rules()).replies:
            assert each.meaning is not None, name
            assert each.meaning.retry is LATER, (name, each.meaning.id)
    assert len(full) > 15


def test_a_reply_may_begin_with_an_address_of_a_host() -> None:
    got = only("550 192.0.2.1 is not allowed to send from <example.com> per it's SPF Record.")
    assert (got.reply.code, got.meaning and got.meaning.id) == ("550", "words-spf")


@pytest.mark.parametrize(
    ("receiver", "reply", "meaning"),
    [
        ("google-workspace", "451 4.7.26 no DNS", "gmail-dmarc-dns"),
        ("orange", "550 5.2.0 Mail rejete. OFR_506", "laposte-spam"),
        ("outlook", "550 5.7.606 Access denied, banned sending IP", "m365-banned"),
        # Its own entries come first, and nobody else falls back.
        ("outlook", "451 4.7.650 rate limited", "outlook-rate"),
        ("docomo", "550 5.7.606 Access denied, banned sending IP", "words-block-list"),
    ],
)
def test_a_receiver_may_fall_back_to_the_entries_of_another(receiver: str, reply: str, meaning: str) -> None:
    (got,) = explain(reply.encode(), catalogue(), rules(), receiver).replies
    assert (got.receiver, got.meaning and got.meaning.id) == (receiver, meaning)


def test_a_fall_back_to_nobody_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "replies").mkdir()
    own = "receiver: example-net\nname: {en: Example, ja: 例}\nfalls_back: nobody\n"
    (tmp_path / "replies" / "own.yaml").write_text(own, "utf-8")
    with pytest.raises(ReplyError, match="no receiver nobody to fall back to"):
        load_replies((*rule_folders(), tmp_path), rules())


@pytest.mark.parametrize("shape", ["\t", " ", "\t>", ">", "> ", "\t\n", ">\n", "5", "550 ", "\t550 5.1.1 x\n"])
def test_texts_that_are_to_keep_it_busy_take_linear_time(shape: str) -> None:
    assert_linear(replies_in, repeated(shape, "> 550 5.1.1 "), shape)
