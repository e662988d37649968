"""What a message is that tells of another one: bounces in every form, complaints, reports; and what only looks so."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.core.mail.reader import read
from deliverability.core.replies.notice import NoticeKind, notice_kind
from tests.corpus import corpus

BACK = "Return-Path: <>\n"
OWN = "Return-Path: <shop@example.com>\n"


def kind(raw: str) -> NoticeKind | None:
    return notice_kind(read(raw.encode()))


@pytest.mark.parametrize(
    "raw",
    [
        # Exim, qmail, Postfix without MIME, Exchange, Domino, IMail, Google, MMS gateways, docomo and au.
        "X-Failed-Recipients: a@example.com\nFrom: Mail Delivery System <Mailer-Daemon@h.example>\n\nunrouteable",
        "From: MAILER-DAEMON@h.example\nSubject: failure notice\n\nHi. This is the qmail-send program at h.example.",
        BACK + "From: MAILER-DAEMON (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\n\nx",
        BACK + "From: System Administrator <postmaster@h.example>\nSubject: Undeliverable: News\n\nYour message",
        "Return-Path: <MAILER-DAEMON@h.example>\nFrom: Postmaster@h.example\nSubject: DELIVERY FAILURE: User x\n\nx",
        "From: <postmaster@h.example>\nSubject: Undeliverable Mail\n\nInvalid\n\nOriginal message follows.\n",
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nSubject: Delivery Status Notification\n\nx",
        BACK + "From: MMSC <admin@mms.example>\nSubject: Undeliverable Message\n\nMessage could not be delivered",
        BACK + "From: Postmaster@docomo.ne.jp\nSubject: Mail System Error - Returned Mail\n\n550 Unknown user",
        BACK + "From: x@ezweb.ne.jp\nSubject: Re\n\n<x@ezweb.ne.jp>: host lsean.ezweb.ne.jp said: 550 <x@ezweb.ne.jp>: "
        "User unknown",
        "From: no-reply@h.example\nSubject: =?utf-8?b?44Oh44O844Or44Ko44Op44O86YCa55+l?=\n"
        'Content-Type: multipart/mixed; boundary="b"\n\n--b\n\nx\n--b\n'
        "Content-Type: message/rfc822\n\nFrom: a@example.com\n\nx\n--b--\n",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\nFrom: x@h.example\n\n--b\n\nx\n--b\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; h\n\nFinal-Recipient: rfc822; a@h\n"
        "Action: delayed\nStatus: 4.4.7\n--b--\n",
    ],
)
def test_bounces(raw: str) -> None:
    assert kind(raw) is NoticeKind.BOUNCE


@pytest.mark.parametrize(
    "raw",
    [
        OWN + "From: Shop <postmaster@example.com>\nSubject: Our new prices\n\nx",
        OWN + "From: no-reply@example.com\nSubject: Delivery status of your parcel\n\nIt was not delivered today.",
        OWN + "From: no-reply@example.com\nSubject: Your delivery failed\n\nNobody was at home.",
        OWN + "From: shop@example.com\nSubject: 配信エラーのお詫び\n\n先日のメールマガジンについて",
        OWN + "From: Bounce House Rentals <hi@example.com>\nSubject: Bounce into summer\n\nx",
        # A password reset, an answer from a holiday, a receipt: null sender, and nothing that was not delivered.
        BACK + "From: no-reply@example.com\nSubject: Reset your password\n\nYour code is 550123.",
        BACK + "From: ann@example.com\nSubject: Out of office\nAuto-Submitted: auto-replied\n\nI am away.",
        BACK + "From: shop@example.com\nSubject: Delivery notification\n\nYour parcel has left our house.",
        # Somebody asks about a bounce, and quotes it.
        OWN + "From: ann@example.com\nSubject: Undeliverable mail\n\nI got this:\n> 550 5.1.1 User unknown",
    ],
)
def test_ordinary_mail(raw: str) -> None:
    assert kind(raw) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Subject: Report Domain: example.com Submitter: h.example Report-ID: 1\n\nx", NoticeKind.REPORT),
        ("Content-Type: multipart/report; report-type=tlsrpt; boundary=b\n\n--b\n\nx\n--b--\n", NoticeKind.REPORT),
        ("Subject: complaint about message from 192.0.2.1\n\nx", NoticeKind.COMPLAINT),
        (
            "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nx\n--b\n"
            "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\n--b--\n",
            NoticeKind.COMPLAINT,
        ),
    ],
)
def test_reports(raw: str, expected: NoticeKind) -> None:
    assert kind(raw) is expected


AUTO_REPLIES = {"arf-26.eml", "rfc3834-05.eml"}
BOUNCES_AMONG_MAILS = {
    "fixtures__delivery-status.eml",
    "mime_emails__raw_email_with_mimepart_without_content_type.eml",
    "mimetools-testmsgs__badbound.msg",
    "messages__bounce.txt",
    "messages__delivery-status.anonymized.eml",
    "messages__delivery-status.txt",
    "messages__feedback-report.txt",
}


def _notices(folder: str) -> dict[str, bool]:
    files = sorted(each for each in corpus(folder).rglob("*") if each.is_file() and each.suffix not in (".md", ".json"))
    return {each.name: notice_kind(read(Path(each).read_bytes())) is not None for each in files}


def test_every_bounce_of_the_corpus_is_one() -> None:
    assert {name for name, found in _notices("bounces").items() if not found} == AUTO_REPLIES


def test_no_ordinary_mail_of_the_corpus_is_one() -> None:
    assert {name for name, found in _notices("mails").items() if found} == BOUNCES_AMONG_MAILS
