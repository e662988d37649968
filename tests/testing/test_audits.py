"""What tests of other programs hand over, and what they are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from deliverability import InputError
from deliverability.testing.audits import AuditSettings, MailAuditor, MailAudits, TestReport
from tests import ROOT

ORDER = b"""\
From: Shop <orders@shop.example>
To: Ann <ann@gmail.com>
Subject: Your order 42
Date: Sun, 29 Nov 2026 06:00:00 +0000
Message-ID: <42@shop.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Thank you for your order 42. It is on its way to you and will arrive tomorrow.
"""
SIGNED = b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s1; h=from; bh=AA==; b=AA==\n" + ORDER
ZONE = """\
$ORIGIN shop.example.
$TTL 3600
@ SOA ns.shop.example. h.shop.example. 1 1 1 1 1
@ NS ns.shop.example.
@ MX 10 mx.shop.example.
@ TXT "{spf}"
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:d@shop.example"
mx A 192.0.2.10
ns A 192.0.2.11
"""


@pytest.fixture(scope="module")
def audits() -> Iterator[MailAudits]:
    made = MailAudits(AuditSettings(lang="en"))
    yield made
    made.close()


@pytest.fixture
def deliv_audit(audits: MailAudits) -> MailAuditor:
    return audits.auditor("test_x.py::test_order", {})


def refusal(report: TestReport, *receivers: str, **options: Any) -> str:
    """What the test is told that fails."""
    with pytest.raises(AssertionError) as caught:
        report.assert_accepted(*receivers, **options)
    return str(caught.value)


class Django:
    """As `django.core.mail.EmailMessage`."""

    def message(self) -> EmailMessage:
        return message_from_bytes(ORDER, EmailMessage)  # type: ignore[arg-type]


class FlaskMail:
    """As `flask_mail.Message`; its `_message` is its own matter."""

    def as_bytes(self) -> bytes:
        return ORDER


class Envelope:
    """As `aiosmtpd.smtp.Envelope`."""

    def __init__(self, content: bytes | str) -> None:
        self.original_content = self.content = content


@pytest.mark.parametrize(
    "message",
    [
        ORDER,
        bytearray(ORDER),
        ORDER.decode(),
        message_from_bytes(ORDER),
        Django(),
        FlaskMail(),
        Envelope(ORDER),
        Envelope(ORDER.decode()),
    ],
    ids=lambda message: type(message).__name__,
)
@pytest.mark.long
def test_every_mail_library_has_its_message_taken(deliv_audit: MailAuditor, message: object) -> None:
    report = deliv_audit(message, purpose="transactional")
    assert report.report.domain == "shop.example"
    report.assert_accepted()
    assert "UNS-005" in refusal(deliv_audit(message, purpose="bulk")), "it is this mail that was read"


def test_a_path_is_read(deliv_audit: MailAuditor, tmp_path: Path) -> None:
    file = tmp_path / "order.eml"
    file.write_bytes(ORDER)
    for each in (file, str(file)):
        assert deliv_audit(each).report.domain == "shop.example"


class Broken:
    """What hands over anything but a message."""

    def __init__(self, gives: object) -> None:
        self.gives = gives

    def message(self) -> object:
        return self.gives


@pytest.mark.parametrize("message", [None, 42, [ORDER], object(), Broken(None), Broken(7), b"", "no such file.eml"])
def test_what_is_no_message_is_said_and_leads_nowhere_else(deliv_audit: MailAuditor, message: object) -> None:
    with pytest.raises(InputError) as caught:
        deliv_audit(message)
    files = [each.path for each in caught.traceback]
    assert len(files) == 2, "the test's own line, and that of the fixture, which pytest hides"


def test_a_failure_names_the_receiver_the_rule_and_the_change(deliv_audit: MailAuditor) -> None:
    lines = refusal(deliv_audit(ORDER, purpose="bulk"), "yahoo").splitlines()
    assert lines[0] == "deliv: Yahoo may reject this mail or move it to spam (1 of 1 receivers object)."
    assert "  ✗ UNS-001  The message has no List-Unsubscribe field. (Yahoo)" in lines
    assert any("List-Unsubscribe-Post: List-Unsubscribe=One-Click" in line for line in lines)


def test_a_failure_is_short_however_much_is_wrong(deliv_audit: MailAuditor) -> None:
    wrong = b"From: a@shop.example, b@other.example\nFrom: c@shop.example\nSubject: x\nSubject: y\n\n" + b"x" * 5000
    text = refusal(deliv_audit(wrong, domain="shop.example", purpose="bulk", signed=True))
    assert 5 < len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) <= 201
    assert re.search(r"and \d+ more rules? (is|are) not met", text)


def test_the_signature_that_a_server_adds_later_is_no_fault_of_the_program(deliv_audit: MailAuditor) -> None:
    """A mail that a server has passed on, and one that is signed, are judged whole."""
    report = deliv_audit(ORDER, purpose="transactional")
    assert report.report.at_risk, "the report itself leaves nothing out"
    report.assert_accepted()
    assert "DKIM-001" in refusal(deliv_audit(ORDER, signed=True), "gmail")
    received = b"Received: from a by b; Sun, 29 Nov 2026 06:00:00 +0000\n" + ORDER
    assert "DKIM-001" in refusal(deliv_audit(received), "gmail")
    assert deliv_audit(SIGNED).signed
    assert not deliv_audit(ORDER + b"\nDKIM-Signature: in the text\n").signed


def test_what_is_allowed_is_accepted_and_nothing_else(deliv_audit: MailAuditor) -> None:
    report = deliv_audit(ORDER, purpose="bulk")
    assert "UNS-001" in refusal(report, allow=["UNS-005"])
    assert "UNS-005" not in refusal(report, allow=["UNS-005"])
    report.assert_accepted(allow=["UNS"])
    deliv_audit(ORDER, purpose="bulk", ignore=["UNS"]).assert_accepted()


@pytest.mark.parametrize("spf", ["v=spf1 ip4:192.0.2.10 -all", "v=spf1 ip4:192.0.2.99 -all"])
def test_a_zone_answers_and_nobody_else(audits: MailAudits, tmp_path: Path, spf: str) -> None:
    """With the address that will send the mail SPF is judged as well."""
    zone = tmp_path / "shop.zone"
    zone.write_text(ZONE.format(spf=spf))
    report = audits.auditor("", {"zone": zone, "ip": "192.0.2.10"})(ORDER, mail_from="orders@shop.example")
    found = {each.rule: each.outcome for each in report.report.findings}
    assert found["SPF-014"] == ("met" if "2.10" in spf else "unmet")
    assert report.report.to_dict()["run"]["sources"] != ["live"]


def test_without_a_zone_dns_waits(deliv_audit: MailAuditor) -> None:
    findings = {each.rule: each for each in deliv_audit(ORDER).report.findings}
    assert (findings["SPF-001"].outcome, findings["SPF-001"].unknown) == ("unknown", "offline")


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ({"purpose": "bulkk"}, "bulk"),
        ({"receivers": ["gmial"]}, "gmail"),
        ({"ip": "1.2.3"}, "ip"),
        ({"select": ["NOPE-1"]}, "NOPE-1"),
        ({"domain": "no domain"}, "domain"),
        ({"signed": "yes"}, "signed"),
        ({"zone": "no-such.zone"}, "no-such.zone"),
    ],
)
def test_a_wrong_value_is_named(deliv_audit: MailAuditor, call: dict[str, Any], names: str) -> None:
    with pytest.raises(InputError, match=re.escape(names)):
        deliv_audit(ORDER, **call)


def test_a_receiver_that_was_not_judged_and_a_rule_that_is_not_there_are_named(deliv_audit: MailAuditor) -> None:
    report = deliv_audit(ORDER, receivers=["gmail"], purpose="transactional")
    with pytest.raises(InputError, match=r"docomo.*known: gmail"):
        report.assert_accepted("docomo")
    with pytest.raises(InputError, match="NOPE"):
        report.assert_accepted(allow="NOPE-001")


def test_a_domain_that_sends_no_mail_is_not_accepted_in_silence(deliv_audit: MailAuditor, tmp_path: Path) -> None:
    zone = tmp_path / "parked.zone"
    zone.write_text(ZONE.format(spf="v=spf1 -all").replace("10 mx.shop.example.", "0 ."))
    assert "Outlook.com would reject this mail" in refusal(deliv_audit(ORDER, zone=zone, purpose="parked"))


def test_japanese(tmp_path: Path) -> None:
    audits = MailAudits(AuditSettings(lang="ja", folder=tmp_path / "reports"))
    text = refusal(audits.auditor("test_x.py::test_注文[a/b]", {})(ORDER, purpose="bulk"), "yahoo")
    audits.close()
    assert text.startswith("deliv：このメールは")
    assert "  ✗ UNS-001  List-Unsubscribeヘッダーがありません。（米国Yahoo）" in text.splitlines()
    (page,) = (tmp_path / "reports").iterdir()
    assert str(page) in text
    assert re.fullmatch(r"test_-a-b-[0-9a-f]{6}\.html", page.name)
    assert 'lang="ja"' in page.read_text("utf-8")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    audits = MailAudits(AuditSettings(lang="en", folder=tmp_path / "file"))
    with pytest.raises(InputError, match="file"):
        audits.auditor("test_x.py::test_y", {})(ORDER)
    audits.close()


async def test_it_is_called_within_an_event_loop_as_well(deliv_audit: MailAuditor) -> None:
    deliv_audit(ORDER, purpose="transactional").assert_accepted()


def test_the_rules_of_this_project_name_what_is_left_to_a_signature() -> None:
    """The facts by which that is told are those of the rules."""
    text = "".join(each.read_text("utf-8") for each in (ROOT / "rules").rglob("dkim*.yaml"))
    assert "dkim.signature_count" in text
