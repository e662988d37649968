"""`deliv suppress`: the list in each format, sums without addresses, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deliverability.core.model.deliveries import AddressEvent, SuppressClass
from deliverability.intake.addresses import AddressFile
from tests.console.test_cli import Deliv, deliv, one_line_saying

pytestmark = pytest.mark.long

__all__ = ["deliv"]

DAY = 86_400
ZONES = {"gone-not.example": "10 mx", "null.example": "0 ."}
OFF = ["complained@example.org", "dead@example.org", "full@example.org", "old@null.example"]
LEFT = ["alive@example.org", "closed@example.org", "waits@gone-not.example", "once@example.org"]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """An address of each kind: four to take off, four to leave."""
    path = tmp_path / "addresses.sqlite3"
    now = int(time.time())

    def event(address: str, kind: SuppressClass, days: int) -> AddressEvent:
        return AddressEvent(address, kind, now - days * DAY, "gmail", "some-meaning")

    file = AddressFile(path)
    file.take(
        [
            event("dead@example.org", SuppressClass.ADDRESS, 2),
            event("complained@example.org", SuppressClass.ADDRESS, 2),
            event("complained@example.org", SuppressClass.COMPLAINT, 2),
            event("alive@example.org", SuppressClass.ADDRESS, 2),
            event("closed@example.org", SuppressClass.DISABLED, 200),
            event("old@null.example", SuppressClass.HOST, 1),
            event("waits@gone-not.example", SuppressClass.HOST, 1),
            event("once@example.org", SuppressClass.FULL, 1),
            *(event("full@example.org", SuppressClass.FULL, days) for days in (20, 9, 1)),
        ],
        [("alive@example.org", now)],
    )
    file.settle()
    file.close()
    (tmp_path / "zone").mkdir()
    for name, mx in ZONES.items():
        text = f"$ORIGIN {name}.\n@ 3600 IN SOA ns. host. 1 1 1 1 1\n@ IN MX {mx}\n"
        (tmp_path / "zone" / f"{name}.zone").write_text(text, "utf-8")
    return path


def test_without_a_file_there_are_sums_and_no_address(deliv: Deliv, kept: Path) -> None:
    done = deliv("suppress", "--addresses", str(kept), "--zone", "zone")
    assert done.code == 0, done.err
    assert done.out.startswith("4 addresses go on the suppression list.")
    assert "@" not in done.out
    done = deliv("suppress", "--addresses", str(kept), "--zone", "zone", "--lang", "ja")
    assert done.out.startswith("送信停止リストに載せるアドレス：4件")
    done = deliv("suppress", "--addresses", str(kept), "--zone", "zone", "--format", "json")
    sums = json.loads(done.out)["sums"]
    assert sums["off"] == {"complaint": 1, "address": 1, "full": 1, "host": 1}
    assert sums["again"] == {"disabled": 1}
    assert sums["delivered"] == {"address": 1}
    assert "@" not in done.out


def listed(style: str, text: str) -> list[str]:
    """The addresses of a list, as the service would read it."""
    match style:
        case "csv":
            return [row["address"] for row in csv.DictReader(io.StringIO(text))]
        case "mailgun":
            rows = list(csv.DictReader(io.StringIO(text)))
            assert list(rows[0]) == ["address", "code", "error", "created_at"]
            return [row["address"] for row in rows]
        case "json":
            document = json.loads(text)
            assert [each["address"] for each in document["again"]] == ["closed@example.org"]
            return [each["address"] for each in document["addresses"]]
        case "ses":
            lines = [line.split(",") for line in text.splitlines()]
            assert dict(lines)["complained@example.org"] == "COMPLAINT"
            assert dict(lines)["dead@example.org"] == "BOUNCE"
            return [address for address, _ in lines]
        case "sendgrid":
            return [str(each) for each in json.loads(text)["recipient_emails"]]
        case _:
            documents = [json.loads(line) for line in text.splitlines()]
            return [each["EmailAddress"] for document in documents for each in document["Suppressions"]]


@pytest.mark.parametrize("style", ["csv", "json", "ses", "sendgrid", "mailgun", "postmark"])
def test_each_format_has_the_same_addresses_and_its_file_is_private(deliv: Deliv, kept: Path, style: str) -> None:
    done = deliv("suppress", "--addresses", str(kept), "--zone", "zone", "--format", style, "-o", "off")
    assert done.code == 0, done.err
    assert listed(style, Path("off").read_text("utf-8")) == OFF
    assert stat.S_IMODE(Path("off").stat().st_mode) == 0o600
    assert not any(address in done.out + done.err for address in OFF + LEFT)


def test_a_domain_that_dns_did_not_answer_for_is_not_checked(deliv: Deliv, kept: Path) -> None:
    done = deliv("suppress", "--addresses", str(kept), "--offline")
    assert done.code == 3
    assert "2 addresses were not checked" in done.out


def test_a_file_that_is_there_stays_unless_it_is_said(deliv: Deliv, kept: Path) -> None:
    Path("list.csv").write_text("mine", "utf-8")
    one_line_saying(deliv("suppress", "--addresses", str(kept), "-o", "list.csv"), "list.csv", "--force")
    assert Path("list.csv").read_text("utf-8") == "mine"
    assert deliv("suppress", "--addresses", str(kept), "--zone", "zone", "-o", "list.csv", "--force").code == 0


def test_without_a_file_of_addresses_it_says_how_to_get_one(deliv: Deliv) -> None:
    one_line_saying(deliv("suppress"), "addresses", "[feedback]")
    Path("deliv.toml").write_text('[feedback]\naddresses = "kept.sqlite3"\n', "utf-8")
    one_line_saying(deliv("suppress"), "kept.sqlite3", "deliv intake")


def test_an_address_is_forgotten_however_it_is_spelt(deliv: Deliv, kept: Path) -> None:
    done = deliv("suppress", "--addresses", str(kept), "--forget", "Dead@EXAMPLE.org")
    assert (done.code, done.out) == (0, "1 address deleted.\n")
    done = deliv("suppress", "--addresses", str(kept), "--forget-before", "2000-01-01")
    assert done.out == "0 addresses deleted.\n"
    one_line_saying(deliv("suppress", "--addresses", str(kept), "--forget", "nobody"), "'nobody'")


def test_an_answer_releases_an_address_and_the_list_says_when_and_why(deliv: Deliv, kept: Path) -> None:
    file = AddressFile(kept)
    file.doubt([("bounces 1", AddressEvent("framed@example.org", SuppressClass.ADDRESS, 1_700_000_000))])
    file.close()
    done = deliv("suppress", "--addresses", str(kept), "--answered", "Complained@example.org", "--lang", "en")
    assert (done.code, done.out) == (0, "1 address lifted.\n")
    one_line_saying(deliv("suppress", "--addresses", str(kept), "--answered", "nobody"), "'nobody'")
    done = deliv(
        "suppress", "--addresses", str(kept), "--zone", "zone", "--format", "json", "-o", "off", "--lang", "en"
    )
    told = json.loads(Path("off").read_text("utf-8"))
    assert [each["address"] for each in told["addresses"]] == [each for each in OFF if "complained" not in each]
    today = datetime.now(UTC).date().isoformat()
    assert {each["address"]: (each["lifted"], each["lifted_by"]) for each in told["lifted"]} == {
        "alive@example.org": (today, "delivered"),
        "complained@example.org": (today, "answered"),
    }
    assert [each["address"] for each in told["unproven"]] == ["framed@example.org"]
    said = " ".join(done.out.split())
    assert "1 address stays on your list because its owner answered." in said
    assert (
        "1 address stays on your list because nothing proves that its bounces or complaints are about your mail."
        in said
    )


def test_postmark_gets_fifty_addresses_a_document(deliv: Deliv, tmp_path: Path) -> None:
    path = tmp_path / "many.sqlite3"
    file = AddressFile(path)
    file.take(AddressEvent(f"a{n:03}@example.org", SuppressClass.ADDRESS, 1_700_000_000) for n in range(120))
    file.close()
    assert deliv("suppress", "--addresses", str(path), "--format", "postmark", "-o", "off").code == 0
    sizes = [len(json.loads(line)["Suppressions"]) for line in Path("off").read_text("utf-8").splitlines()]
    assert sizes == [50, 50, 20]


POSTFIX = (
    "{day} mx postfix/smtp[9]: {key}: to=<{to}>, relay=mx.example.org[192.0.2.1]:25, "
    "dsn={dsn}, status={status} ({text})"
)
GONE = ("5.1.1", "bounced", "host mx.example.org[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command)")
TAKEN = ("2.0.0", "sent", "250 2.0.0 Ok")
SPAM = ("5.7.1", "bounced", "host mx.example.org[192.0.2.1] said: 550 5.7.1 message contains spam (in reply to DATA)")


def log(*lines: tuple[str, int, tuple[str, str, str]]) -> str:
    """A log of Postfix: who, how many days ago, what became of it."""
    made = []
    for number, (to, days, (dsn, status, text)) in enumerate(lines):
        moment = datetime.now(UTC) - timedelta(days=days)
        day = moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
        made.append(POSTFIX.format(day=day, key=f"4A{number:04X}", to=to, dsn=dsn, status=status, text=text))
    return "\n".join(made) + "\n"


def test_an_intake_fills_the_file_and_keeps_nobody_without_one(deliv: Deliv, tmp_path: Path) -> None:
    lines = [
        ("Alive@example.org", 2, TAKEN),  # read before its bounce of an earlier day
        *(("dead@example.org", 3, GONE), ("alive@example.org", 4, GONE), ("filtered@example.org", 3, SPAM)),
    ]
    Path("mail.log").write_text(log(*lines), "utf-8")
    taken = ("intake", "mail.log", "--domain", "example.com", "--offline")
    done = deliv(*taken, "--history", "sqlite:///without.db")
    assert done.code == 0, done.out + done.err
    assert {path.name for path in tmp_path.iterdir()} == {"mail.log", "without.db", "without.db.key", "without.db.lock"}
    Path("deliv.toml").write_text('history = "sqlite:///h.db"\n[feedback]\naddresses = "kept.sqlite3"\n', "utf-8")
    assert deliv(*taken, "--dry-run").code == 0
    assert not Path("kept.sqlite3").exists()
    for _ in range(2):
        assert deliv(*taken).code == 0
    assert stat.S_IMODE(Path("kept.sqlite3").stat().st_mode) == 0o600
    done = deliv("suppress", "-o", "off.csv", "--offline")
    assert done.code == 0, done.err
    assert listed("csv", Path("off.csv").read_text("utf-8")) == ["dead@example.org"]
    assert "1 address received mail after a bounce" in done.out
    for database in ("without.db", "h.db"):
        assert b"dead@" not in Path(database).read_bytes()
