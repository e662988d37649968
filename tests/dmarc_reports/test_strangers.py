"""Whoever owns a domain or a free mailbox can send signed reports. From the command line: none of them moves a gate."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from tests.intake.reports import POLICY, metadata, record, report
from tests.sampled import sampled
from tests.signing import ed25519_key, published, sign

pytestmark = pytest.mark.long

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = 40
ZONE = """$ORIGIN example.com.
$TTL 3600
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
@ IN NS ns
ns IN A 198.51.100.1
@ IN MX 10 mx
mx IN A 198.51.100.2
@ IN TXT "v=spf1 ip4:198.51.100.0/25 -all"
_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com"
"""
SIGNERS = ("google.com", "microsoft.com", "evil.example", "yahoo.com", "gmx.net", "web.de", "mail.ru", "fastmail.com")
GOOGLE, MICROSOFT = "noreply-dmarc-support@google.com", "dmarcreport@microsoft.com"
FAIL = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
NOTHING = "<spf><domain>example.com</domain><result>fail</result></spf>"


def passing(ip: str = "198.51.100.10", count: int = 50) -> str:
    return record(ip=ip, count=count)


def failing(ip: str = "198.51.100.20", count: int = 10) -> str:
    return record(ip=ip, count=count, evaluated=FAIL, results=NOTHING)


def mailed(sender: str, *rows: str, name: str, ident: str, back: int = 1, days: int = 1, p: str = "none") -> bytes:
    """A report in a mail that its sender's domain has signed."""
    begin = int((TODAY - timedelta(days=back)).timestamp())
    head = metadata(ident, reporter=name, begin=begin, end=begin + days * 86_400 - 1)
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, "dmarc@example.com"
    mail["Subject"] = f"Report Domain: example.com Submitter: {name.split()[0]} Report-ID: {ident}"
    mail.set_content("A report.")
    octets = gzip.compress(report(*rows, head=head, policy=POLICY.replace("none", p)), mtime=0)
    mail.add_attachment(octets, maintype="application", subtype="gzip", filename=f"{ident}.xml.gz")
    plain = mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return sign(plain, ed25519_key(), domain=sender.partition("@")[2], algorithm="ed25519-sha256")


def run(*args: str) -> Result:
    return CliRunner().invoke(deliv, list(args), standalone_mode=False)


def took_in(folder: Path, name: str, mails: list[bytes]) -> None:
    (folder / name).mkdir()
    for number, each in enumerate(mails):
        (folder / name / f"{number}.eml").write_bytes(each)
    zones = [word for each in SIGNERS for word in ("--zone", f"{each}.zone")]
    done = run("intake", name, *zones)
    assert done.return_value == 0, done.output


def gate(*more: str) -> dict[str, Any]:
    done = run("gate", "example.com", "--zone", "example.zone", "--days", "40", "--format", "json", *more)
    (found,) = json.loads(done.output)["gates"]
    return {
        **found,
        "traffic": {k: v for k, v in found["traffic"].items() if k != "reports"},
        "code": done.return_value,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.zone").write_text(ZONE)
    for each in SIGNERS:
        lines = [f"$ORIGIN {each}.", "$TTL 3600", "@ IN SOA ns hostmaster 1 7200 3600 1209600 300", "@ IN NS ns"]
        lines += [f's1._domainkey IN TXT "{published(ed25519_key())}"', '_dmarc IN TXT "v=DMARC1; p=reject"']
        (tmp_path / f"{each}.zone").write_text("\n".join(lines) + "\n")
    (tmp_path / "deliv.toml").write_text('history = "sqlite:///h.db"\n[[domain]]\nname = "example.com"\nrare = []\n')
    return tmp_path


def month(folder: Path, *more: str) -> None:
    """What Google and Microsoft report: own mail that passes, and `more` in the last five days."""
    mails = [
        mailed(sender, passing(), *(more if back <= 5 else ()), name=name, ident=f"{name}-{back}", back=back)
        for back in range(1, DAYS + 1)
        for sender, name in ((GOOGLE, "google.com"), (MICROSOFT, "Outlook.com"))
    ]
    took_in(folder, "month", mails)


EVIL = "dmarc@evil.example"
MANY = [passing(f"198.51.100.{host}", 2_000_000) for host in range(11, 22)]
SHAPES: dict[str, list[bytes]] = {
    "millions of invented rows that pass": [
        mailed(EVIL, *MANY, name="Evil Mail", ident=f"e{back}", back=back) for back in range(1, 29)
    ],
    "invented failures of our own hosts": [
        mailed(EVIL, failing(count=9_000), failing("198.51.100.10", 9_000), name="Evil Mail", ident="f1")
    ],
    "one message under another policy": [mailed(EVIL, passing(count=1), name="Evil Mail", ident="p1", p="reject")],
    "Google's name, a stranger's signature": [
        mailed(EVIL, failing(count=900), name="google.com", ident=f"google.com-{back}", back=back) for back in (1, 2)
    ],
    "mailboxes at providers, in the provider's name": [
        mailed(f"somebody@{domain}", failing(count=900), name=name, ident=f"m-{domain}")
        for domain, name in (
            ("yahoo.com", "Yahoo"),
            ("gmx.net", "GMX"),
            ("web.de", "WEB.DE"),
            ("mail.ru", "Mail.Ru"),
            ("fastmail.com", "fastmail.com"),
            ("google.com", "google.com"),
        )
    ],
    "mailboxes at providers, each as a reporter of its own": [
        mailed(f"u{number}@{domain}", *MANY, name=f"Reporter {number}", ident=f"n-{domain}")
        for number, domain in enumerate(("yahoo.com", "gmx.net", "web.de", "mail.ru", "fastmail.com"))
    ],
    "the same numbers under new ids": [
        mailed(EVIL, passing(count=500_000), name="Evil Mail", ident=f"again-{number}") for number in range(9)
    ],
    "periods that overlap, and one to come": [
        mailed(EVIL, failing(count=900), name="Outlook.com", ident="o1", back=6, days=7),
        mailed(EVIL, failing(count=900), name="Evil Mail", ident="o2", back=6, days=7),
        mailed(EVIL, failing(count=900), name="Evil Mail", ident="o3", back=-1),
    ],
}


@pytest.mark.parametrize("start", sampled(["safe", "not-yet"], 2))
def test_strangers_move_no_gate_in_either_direction(folder: Path, start: str) -> None:
    """All shapes one after the other, and each time the same answer with the same numbers."""
    month(folder, *(() if start == "safe" else (failing(count=100),)))
    before = gate()
    assert before["answer"] == start
    for number, (shape, mails) in enumerate(SHAPES.items()):
        took_in(folder, f"shape{number}", mails)
        assert gate() == before, shape


def test_what_is_not_counted_is_shown(folder: Path) -> None:
    month(folder)
    took_in(folder, "more", [mailed(EVIL, passing(count=31), name="Evil Mail", ident="1")])
    options = ("gate", "example.com", "--zone", "example.zone", "--days", "40")
    assert "The gate doesn't count 1 unlisted reporter (31 messages) because anyone can send a report." in " ".join(
        run(*options).output.split()
    )
    assert "一覧にない報告元1件（31通）は、判定に使っていません。" in run(*options, "--lang", "ja").output


@pytest.mark.slow
def test_a_reporter_that_the_user_names_counts(folder: Path) -> None:
    """By its exact address: another mailbox of the same domain stays a stranger."""
    month(folder)
    mails = [mailed(sender, failing(count=900), name="Partner", ident=sender) for sender in (EVIL, "x@evil.example")]
    took_in(folder, "more", mails)
    assert gate()["answer"] == "safe"
    settings = folder / "deliv.toml"
    named = settings.read_text() + '[[reporter]]\nname = "Partner"\nfrom = ["dmarc@evil.example"]\n'
    settings.write_text(named)
    counted = gate()
    assert counted["answer"] != "safe"
    assert counted["traffic"]["messages"] == DAYS * 100 + 900


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('from = ["dmarc@evil.example"]', "[[reporter]] needs name"),
        ('name = "Partner"', "[[reporter]] needs from"),
        ('name = "Partner"\nfrom = ["evil.example"]', "evil.example"),
    ],
)
def test_a_reporter_without_an_exact_address_is_refused(folder: Path, table: str, words: str) -> None:
    with (folder / "deliv.toml").open("a") as file:
        file.write(f"[[reporter]]\n{table}\n")
    done = run("gate", "example.com", "--zone", "example.zone")
    assert done.exception is not None
    assert words in str(done.exception) + done.output
