"""An admin with a mailbox of reports: three commands, no settings file, and a page with every source.

The records are those of real reports in the corpus, with the dates of the last weeks; the mails are signed as the
reporters sign theirs.
"""

from __future__ import annotations

import csv
import io
import json
import mailbox
import re
from email import message_from_bytes
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from tests.corpus import corpus
from tests.dmarc_reports.test_strangers import GOOGLE, MICROSOFT, ZONE, mailed, passing
from tests.signing import ed25519_key, published

pytestmark = pytest.mark.long

REAL = (
    "parsedmarc/aggregate__protection.outlook.com!example.com!1711756800!1711843200.xml",
    "parsedmarc/aggregate__veeam.com!example.com!1530133200!1530219600.xml",
    "parsedmarc/aggregate__usssa.com!example.com!1538784000!1538870399.xml",
    "parsedmarc/aggregate__addisonfoods.com!example.com!1536105600!1536191999.xml",
    "parsedmarc/aggregate__example.net!example.com!1529366400!1529452799.xml",
    "parsedmarc/aggregate__!example.com!1538204542!1538463818.xml",
    "parsedmarc/aggregate__!large-example.com!1711897200!1711983600.xml",
    "parsedmarc/extract_report__nice-input.xml",
)
MOST = 60
"""Records of one of them."""
DAYS = 40


def real_records() -> list[str]:
    """The records of real reports about example.com."""
    found = []
    for name in REAL:
        text = corpus("reports", name).read_text("utf-8", "replace")
        found += re.findall(r"<record>.*?</record>", text, re.DOTALL)[:MOST]
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder and an empty home: nothing is set, nothing was ever read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "example.zone").write_text(ZONE + f's1._domainkey IN TXT "{published(ed25519_key())}"\n')
    for each in ("google.com", "microsoft.com"):
        lines = [f"$ORIGIN {each}.", "$TTL 3600", "@ IN SOA ns hostmaster 1 7200 3600 1209600 300", "@ IN NS ns"]
        lines += [f's1._domainkey IN TXT "{published(ed25519_key())}"', '_dmarc IN TXT "v=DMARC1; p=reject"']
        (tmp_path / f"{each}.zone").write_text("\n".join(lines) + "\n")
    return tmp_path


def deliver(folder: Path, records: list[str]) -> None:
    """A mailbox with a report of two receivers for each of the last days; the real records come on some of them."""
    box = mailbox.mbox(folder / "reports.mbox")
    for back in range(1, DAYS + 1):
        own = [passing(count=400)]
        some = records[back % 3 :: 3] if back % 2 else []
        for sender, name in ((GOOGLE, "google.com"), (MICROSOFT, "Enterprise Outlook")):
            octets = mailed(sender, *own, *some, name=name, ident=f"{name.split()[0]}-{back}", back=back)
            box.add(mailbox.mboxMessage(message_from_bytes(octets)))
    box.close()


def run(*args: str) -> Result:
    return CliRunner().invoke(deliv, list(args), standalone_mode=False)


def test_from_a_mailbox_to_what_is_missing_and_a_page(folder: Path) -> None:
    records = real_records()
    assert len(records) > 20
    deliver(folder, records)
    zones = [word for each in ("google.com", "microsoft.com") for word in ("--zone", f"{each}.zone")]
    taken = run("intake", "reports.mbox", *zones)
    assert taken.return_value == 0, taken.output
    gate = run("gate", "example.com", "--zone", "example.zone")
    assert gate.return_value == 1, gate.output
    assert "Not yet" in gate.output
    assert "What's missing" in gate.output
    assert "deliv intake" not in gate.output
    done = run("sources", "example.com", "--zone", "example.zone", "-o", "sources.html")
    assert done.return_value == 0, done.output
    page = (folder / "sources.html").read_text()
    listed = json.loads(run("sources", "example.com", "--zone", "example.zone", "--format", "json").output)
    (domain,) = listed["domains"]
    assert len(domain["sources"]) > 5
    for each in domain["sources"]:
        assert each["name"] in page
        assert each["examples"][0] in page
    assert "[[source]]" in page
    assert "google" in page
    assert "<script" not in page
    audit = run("audit", "example.com", "--zone", "example.zone", "-o", "audit.html")
    assert audit.exception is None, audit.output
    assert 'id="senders"' in (folder / "audit.html").read_text()


@pytest.mark.slow
def test_from_a_mailbox_to_the_record(folder: Path) -> None:
    deliver(folder, [])
    zones = [word for each in ("google.com", "microsoft.com") for word in ("--zone", f"{each}.zone")]
    run("intake", "reports.mbox", *zones)
    gate = run("gate", "example.com", "--zone", "example.zone", "--no-rare", "--days", "40")
    text = " ".join(gate.output.split())
    assert gate.return_value == 0, text
    assert "32,000 of 32,000 messages pass DMARC." in text
    assert "Safe: example.com can move to p=quarantine." in text
    assert "+ v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com" in text


def test_the_terminal_shows_at_most_forty_lines(folder: Path) -> None:
    deliver(folder, real_records())
    zones = [word for each in ("google.com", "microsoft.com") for word in ("--zone", f"{each}.zone")]
    run("intake", "reports.mbox", *zones)
    for lang in ("en", "ja"):
        done = run("sources", "example.com", "--zone", "example.zone", "--lang", lang)
        assert len(done.output.splitlines()) <= 40, done.output
    whole = run("sources", "example.com", "--zone", "example.zone", "--all")
    assert len(whole.output.splitlines()) > 40


def test_a_table_has_a_row_for_each_day(folder: Path) -> None:
    deliver(folder, real_records())
    zones = [word for each in ("google.com", "microsoft.com") for word in ("--zone", f"{each}.zone")]
    run("intake", "reports.mbox", *zones)
    run("sources", "example.com", "--zone", "example.zone", "-o", "s.csv", "-o", "s.json")
    rows = list(csv.DictReader(io.StringIO((folder / "s.csv").read_text())))
    (domain,) = json.loads((folder / "s.json").read_text())["domains"]
    assert sum(int(row["messages"]) for row in rows) == sum(domain["classes"].values())
    own = [row for row in rows if row["address"] == "198.51.100.10" and row["receiver"] == "google"]
    assert len({row["day"] for row in own}) == 28
    wrong = run("sources", "example.com", "--zone", "example.zone", "-o", "s.pdf")
    assert wrong.exception is not None
