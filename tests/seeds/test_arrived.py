"""A test mail as it arrived: only what its receiver recorded counts, and the way that it really took is audited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read
from deliverability.core.model.report import VerdictKind
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.rules import load_rules
from deliverability.intake.imap import ImapAccess
from deliverability.seeds.arrived import Auditing, placed, recorded_by, signs_of, subject_of_arrived
from deliverability.seeds.mailbox import Outcome
from deliverability.seeds.values import Folder, Mark, Placed, Seed, Sighting
from tests import ROOT

DEMO = ROOT / "deliverability" / "demo"
NOW = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
MARK = Mark("t", "", NOW)
RECEIVED = "Received: from mail.example.com ([192.0.2.1]) by mx.example.net with ESMTP; Sun, 29 Nov 2026 08:00:10 +0000"


def never() -> ImapAccess:
    raise AssertionError("nobody logs in here")


def box(receiver: str = "", host: str = "imap.example.net", **how: object) -> Seed:
    known = shipped().seeds.get(receiver)
    if known is not None:
        how = {"authserv": known.authserv, "unnamed": known.unnamed, "fields": known.fields, **how}
    return Seed("box", receiver, "me@example.net", host, never, **how)  # type: ignore[arg-type]


def header(*fields: str) -> bytes:
    return "".join(f"{each}\r\n" for each in (*fields, "From: News <news@example.com>", "")).encode()


def recorded(seed: Seed, *fields: str) -> dict[str, str]:
    return recorded_by(seed, read(header(*fields)))


GOOGLE = (
    "Received: by 2002:a05:6870:1234:b0:1 with SMTP id x; Sun, 29 Nov 2026 00:00:12 -0800 (PST)",
    "Received: from mail.example.com (mail.example.com. [192.0.2.1]) by mx.google.com with ESMTPS id y "
    "for <me@gmail.com>; Sun, 29 Nov 2026 00:00:11 -0800 (PST)",
    "Authentication-Results: mx.google.com; dkim=pass header.i=@example.com; "
    "spf=pass (google.com: 192.0.2.1 is permitted) smtp.mailfrom=news@example.com; dmarc=pass header.from=example.com",
)
ALL_PASS = {"spf": "pass", "dkim": "pass", "dmarc": "pass"}


def test_gmail_s_own_results() -> None:
    assert recorded(box("gmail"), *GOOGLE) == ALL_PASS


def test_results_that_came_with_the_mail_are_not_the_receiver_s() -> None:
    """Anybody can write a field in Google's name; it stands below what the receiver wrote."""
    forged = GOOGLE[2]
    assert recorded(box("gmail"), *GOOGLE[:2], "Received: from a (b [192.0.2.9]) by c; x", forged) == {}
    assert recorded(box("yahoo", "imap.mail.yahoo.com"), RECEIVED, forged) == {}


def test_results_of_a_gateway_before_it_are_not_the_receiver_s() -> None:
    gateway = "Authentication-Results: filter.example.org; spf=pass smtp.mailfrom=example.com; dmarc=pass"
    assert recorded(box("gmail"), gateway, RECEIVED) == {}
    assert recorded(box(authserv=("example.org",)), gateway, RECEIVED) == {"spf": "pass", "dmarc": "pass"}


def test_microsoft_s_own_field_names_no_host() -> None:
    field = (
        "Authentication-Results: spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; dkim=pass "
        "(signature was verified) header.d=example.com;dmarc=pass action=none header.from=example.com;compauth=pass"
    )
    assert recorded(box("outlook", "outlook.office365.com"), field, RECEIVED) == ALL_PASS
    assert recorded(box(), field, RECEIVED) == {}, "of others nobody knows who wrote such a field"


def test_without_a_list_the_home_of_the_imap_server_decides() -> None:
    field = "Authentication-Results: atlas1.mail.ne1.yahoo.com; dkim=pass header.i=@example.com; spf=fail; dmarc=none"
    wanted = {"spf": "fail", "dkim": "pass", "dmarc": "none"}
    assert recorded(box("yahoo", "imap.mail.yahoo.com"), field, RECEIVED) == wanted
    assert recorded(box("yahoo", "imap.example.net"), field, RECEIVED) == {}


def test_what_a_filter_wrote_is_told_as_it_stands() -> None:
    report = "X-Forefront-Antispam-Report: CIP:192.0.2.1;CTRY:JP;LANG:ja;SCL:5;SRV:;IPV:NLI;SFV:SPM;CAT:SPM;DIR:INB;"
    forged = "X-Forefront-Antispam-Report: SCL:-1;SFV:SKN"
    outlook = box("outlook", "outlook.office365.com")
    assert signs_of(outlook, read(header(report, RECEIVED, forged))) == {"SCL": "5", "SFV": "SPM", "CAT": "SPM"}
    assert signs_of(outlook, read(header("X-Forefront-Antispam-Report: SCL:<b>;SFV:" + "x" * 50))) == {}
    assert signs_of(box("gmail"), read(header(report))) == {}


def auditing(**how: object) -> Auditing:
    ports = open_ports(PortSettings(zones=(DEMO / "example.zone",)))
    return Auditing(load_rules(), ports, Subject, **how)  # type: ignore[arg-type]


def arrived(seed: Seed, octets: bytes, at: datetime | None, *, folder: Folder = Folder.INBOX) -> Outcome:
    return Outcome(seed, folder, NOW + timedelta(minutes=1), Sighting(folder, octets, at))


async def came(octets: bytes, at: datetime | None = NOW, mark: Mark = MARK, **how: object) -> Placed:
    return await placed(arrived(box("gmail"), octets, at), mark, auditing(**how))


@pytest.mark.parametrize(
    ("date", "mark", "at", "delay"),
    [
        ("Sun, 29 Nov 2026 08:00:00 +0000", Mark("t", "", NOW), timedelta(seconds=41), 41),
        ("Sun, 29 Nov 2026 17:00:00 +0900", Mark("t", "", NOW), timedelta(seconds=41), 41),
        ("Sun, 29 Nov 2026 08:00:00 +0000", Mark("t", "", NOW - timedelta(seconds=9), told=True), timedelta(0), 9),
        ("Sun, 29 Nov 2026 08:00:30 +0000", Mark("t", "", NOW), timedelta(0), 0),
        ("Sun, 29 Nov 2026 12:00:00 +0000", Mark("t", "", NOW), timedelta(0), None),
        ("yesterday", Mark("t", "", NOW), timedelta(seconds=5), 5),
    ],
    ids=["by its Date", "in another zone", "as told", "clocks differ a little", "clocks contradict", "no date"],
)
async def test_how_long_it_took(date: str, mark: Mark, at: timedelta, delay: int | None) -> None:
    assert (await came(header(*GOOGLE, f"Date: {date}"), NOW + at, mark)).delay_s == delay


async def test_a_server_that_tells_no_time_leaves_the_delay_open() -> None:
    assert (await came(header(*GOOGLE), None)).delay_s is None


async def test_without_the_message_the_domain_and_the_real_way_are_judged() -> None:
    """The text in the mailbox is not read, so a signature cannot be checked: nothing is said of it."""
    signature = "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1; h=from; bh=AAAA; b=BBBB"
    octets = header("Return-Path: <bounce@news.example.com>", *GOOGLE, signature)
    subject, remark = subject_of_arrived(box("gmail"), read(octets), auditing(), "example.com")
    assert subject.sample is None
    assert (subject.sending_ips, subject.mail_from, subject.selectors) == (
        ("192.0.2.1",),
        "bounce@news.example.com",
        ("s1",),
    )
    assert remark is not None
    assert remark.code == "seeds-no-body"
    found = await came(octets)
    assert found.verdict in (VerdictKind.DNS_READY, VerdictKind.DNS_NOT_READY, VerdictKind.DNS_PARTLY)
    assert [each.code for each in found.remarks] == ["seeds-no-body"]


def sent() -> bytes:
    return (DEMO / "newsletter.eml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def split(octets: bytes) -> tuple[bytes, bytes]:
    head, _, body = octets.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


async def test_with_the_message_as_it_was_sent_all_of_it_is_judged() -> None:
    head, body = split(sent())
    found = await came("".join(f"{each}\r\n" for each in GOOGLE).encode() + head, sent=read(head + body))
    assert found.verdict is not None
    assert not found.verdict.value.startswith("dns-")
    assert found.rules
    assert found.remarks == ()


def test_the_way_that_the_mail_took_counts_and_not_the_one_that_the_settings_expect() -> None:
    head, _ = split(sent())
    expected = Subject("sakura-shop.example", sending_ips=("203.0.113.9",), mail_from="a@b.example", helo="x.example")
    how = replace(auditing(sent=read(sent())), subject_of=lambda _: expected)
    subject, _ = subject_of_arrived(box("gmail"), read(head), how, "sakura-shop.example")
    assert subject.sample is not None
    assert (subject.sending_ips, subject.mail_from, subject.helo) == ((), None, None)
    bare, _ = subject_of_arrived(box("gmail"), read(header()), how, "sakura-shop.example")
    assert (bare.sending_ips, bare.mail_from) == (("203.0.113.9",), "a@b.example"), "where the header tells nothing"


def test_a_server_is_known_only_where_pages_of_the_receiver_itself_say_all_of_it() -> None:
    """No carrier is among them, nor a provider whose pages leave out how its folder for spam is found."""
    known = {ident: each for ident, each in shipped().seeds.items() if each.host}
    assert known.keys() == {"gmail", "google-workspace"}
    for each in known.values():
        assert all(source.url.startswith("https://developers.google.com/") for source in each.sources)


async def test_a_body_that_was_not_signed_is_not_put_below_the_header() -> None:
    """A sending service changed its links: for us alone DKIM would fail, and the verdict would be wrong."""
    head, body = split(sent())
    found = await came(head, sent=read(head + body.replace(b"--=_mixed", b"--=_other", 1)))
    assert "seeds-body-differs" in [each.code for each in found.remarks]
    assert found.verdict is None or found.verdict.value.startswith("dns-")


async def test_what_cannot_be_read_has_no_verdict() -> None:
    for folder in (Folder.MISSING, Folder.UNREACHABLE):
        found = await placed(Outcome(box("gmail"), folder, NOW), MARK, auditing())
        assert (found.folder, found.verdict, found.auth, found.delay_s) == (folder, None, {}, None)


async def test_what_is_missing_is_judged_as_it_arrived_elsewhere_or_was_sent() -> None:
    """Else no mail that is missing could ever be held against a verdict."""
    head, _ = split(sent())
    missing = Outcome(box("gmail"), Folder.MISSING, NOW)
    elsewhere = await placed(missing, MARK, auditing(elsewhere=read(head)))
    assert (elsewhere.domain, elsewhere.auth, elsewhere.delay_s) == ("sakura-shop.example", {}, None)
    assert elsewhere.verdict is not None
    as_sent = await placed(missing, MARK, auditing(sent=read(sent())))
    assert as_sent.verdict is not None
    assert not as_sent.verdict.value.startswith("dns-")
    lost = await placed(Outcome(box("gmail"), Folder.UNREACHABLE, NOW), MARK, auditing(elsewhere=read(head)))
    assert lost.verdict is None, "nothing is known of it, so there is nothing to hold it against"


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no From": b"Subject: x\r\n\r\n",
    "NUL": b"From: \x00@\x00\r\n\r\n",
    "8-bit": b"From: \xff\xfe <a@ex\xffample.com>\r\nDate: \xff\r\n\r\n",
    "many": b"Authentication-Results: mx.google.com; spf=pass\r\n" * 5000 + b"\r\n",
    "signatures": b"DKIM-Signature: v=1; bh==; s=..; d=..\r\n" * 100 + b"From: a@example.com\r\n\r\n",
    "odd selector": b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=a b; bh=A; b=B\r\nFrom: a@example.com\r\n\r\n",
    "odd way": b"Return-Path: <<>>\r\nReceived: from x ([999.1.1.1]) by y; z\r\nFrom: a@example.com\r\n\r\n",
    "path without domain": b"Return-Path: <postmaster>\r\nFrom: a@example.com\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_a_header_holds_it_is_told(name: str) -> None:
    found = await came(HOSTILE[name])
    assert found.folder is Folder.INBOX
