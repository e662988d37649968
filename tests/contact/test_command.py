"""`deliv contact`: what a receiver's postmaster wants to be told; whole packs, and the command line."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from deliverability.contact.gather import RepliesQuoted, contact_pack, load_contacts
from deliverability.contact.report import contact_text, contact_view
from deliverability.contact.values import AskedFor, Company, ContactChannel
from deliverability.core.phrases import LANGUAGES
from deliverability.core.replies.match import load_replies
from deliverability.core.report.paper import Paper
from deliverability.core.report.report import ReportView
from deliverability.engine.rules import load_rules, rule_folders
from tests.intake.reports import metadata, record
from tests.intake.reports import report as aggregate
from tests.sampled import sampled
from tests.speaking import shipped
from tests.test_golden import DEMO, GOLDEN, audited

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 25, tzinfo=UTC)
REPLIES = GOLDEN / "contact" / "replies.log"
COMPANY = Company("Good Example KK", "Taro Suzuki <postmaster@good.example>", "+81-3-0000-0000")
RECEIVERS = ("icloud", "gmail", "yahoo", "outlook", "docomo", "au", "softbank", "yahoo-japan")
PACKS = tuple(f"contact/{receiver}.{lang}.txt" for receiver in RECEIVERS for lang in LANGUAGES)


def pack_text(name: str) -> str:
    """The pack that the golden file of this name holds: of a sender in order, written whatever is to be mended."""
    receiver, lang, _ = Path(name).name.split(".")
    rules, report = load_rules(), audited("good")
    quotes = RepliesQuoted(receiver)
    quotes.take(REPLIES.read_bytes(), load_replies(rule_folders(), rules), rules, NOW)
    contact = load_contacts(rule_folders(), rules)[receiver]
    pack = contact_pack(report, contact, COMPANY, quotes, None, None, NOW.date())
    return contact_text(contact_view(pack, ReportView(report, shipped(lang)), anyway=True), Paper(80))


@pytest.mark.parametrize("name", PACKS)
def test_the_pack_is_the_golden_one(name: str) -> None:
    assert pack_text(name) == (GOLDEN / name).read_text("utf-8"), "python -m tests.renew_golden, if this is meant"


@pytest.mark.parametrize("receiver", sampled([*RECEIVERS], 4))
def test_no_pack_claims_a_contact_without_a_source_and_every_recipient_is_masked(receiver: str) -> None:
    rules = load_rules()
    contact = load_contacts(rule_folders(), rules)[receiver]
    assert contact.sources
    assert all(rules.sources[each.ref].checked for each in contact.sources)
    for lang in LANGUAGES:
        text = pack_text(f"contact/{receiver}.{lang}.txt")
        assert not re.search(r"(?:taro\.yamada|hanako|someone)@", text)
        assert ("Dear postmaster" in text) == (contact.channel is ContactChannel.MAIL)


def test_apple_is_told_its_five_items() -> None:
    contact = load_contacts(rule_folders(), load_rules())["icloud"]
    five = {
        AskedFor.COMPANY,
        AskedFor.DOMAIN,
        AskedFor.ADDRESSES,
        AskedFor.REPLIES,
        AskedFor.DESCRIPTION,
        AskedFor.STARTED,
    }
    assert (contact.address, set(contact.asks)) == ("icloudadmin@apple.com", five)
    text = pack_text("contact/icloud.en.txt")
    for line in (
        "Company: Good Example KK",
        "Mail domain: good.example",
        "SMTP errors: 554 5.7.1 [HM08] Message rejected due to local policy.",
        "(2 replies, 20 Nov 2026 00:12 UTC / 20 Nov 2026 09:12 JST to 22 Nov 2026 12:40 UTC / 22 Nov 2026 21:40 JST)",
        "Problem started: 20 Nov 2026 00:12 UTC / 20 Nov 2026 09:12 JST",
        "Description: Your servers responded to mail from good.example with the errors quoted above (2 replies, since",
        "Taro Suzuki <postmaster@good.example>",
    ):
        assert line in text
    assert re.search(r"^Sending IP addresses: [0-9.]+ \(mx\.good\.example\)$", text, re.M)


# --- the command ---


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "deliv.toml").write_text('[sender]\ncompany = "Sakura KK"\ncontact = "Taro"\nphone = "03-0000-0000"\n')
    (tmp_path / "replies.log").write_bytes(REPLIES.read_bytes())
    return tmp_path


def run(*args: str) -> Result:
    zone = ("--zone", str(GOLDEN / "good.zone")) if "good.example" in args else ("--zone", str(GOLDEN / "broken.zone"))
    return CliRunner().invoke(deliv, ["contact", *args, *zone], standalone_mode=False)


def test_what_is_to_be_mended_comes_first_and_the_letter_waits_for_it(folder: Path) -> None:
    given = ("icloud", "broken.example", "--bounces", "replies.log", "--eml", str(GOLDEN / "broken.eml"))
    done = run(*given)
    assert done.return_value == 1
    assert "Fix these first: " in done.output
    assert "Dear postmaster" not in done.output
    assert "Dear postmaster" in run(*given, "--anyway").output


@pytest.mark.parametrize(
    ("suffix", "holds"), [("md", "## The request"), ("html", "<h2>The request</h2>"), ("txt", "Dear")]
)
def test_a_pack_is_written_in_the_form_that_its_name_asks_for(folder: Path, suffix: str, holds: str) -> None:
    out = folder / f"pack.{suffix}"
    run("icloud", "good.example", "--eml", str(GOLDEN / "good.eml"), "--anyway", "-o", str(out))
    assert holds in out.read_text("utf-8")


def test_json_holds_the_values_and_the_letter(folder: Path) -> None:
    run("icloud", "good.example", "--bounces", "replies.log", "--since", "2026-11-19", "--anyway", "-o", "pack.json")
    told = json.loads((folder / "pack.json").read_text("utf-8"))
    assert (told["receiver"], told["channel"], told["started"]) == ("icloud", "mail", "2026-11-19")
    assert told["days"] == {"2026-11-20": 1, "2026-11-22": 1}
    assert "Company: Sakura KK" in told["letter"]["text"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nobody", "good.example"), "no contact is known for nobody; known: icloud, "),
        (("icloud", "good.example", "other.example"), "one domain at a time"),
        (("icloud", "good.example", "-o", "pack.pdf"), "needs one of these file extensions: .txt, .md"),
        (("icloud", "good.example", "--bounces", "absent.log"), "absent.log"),
    ],
)
def test_wrong_input_is_told_in_a_sentence(folder: Path, args: tuple[str, ...], message: str) -> None:
    with pytest.raises(Exception, match=re.escape(message)):
        raise run(*args).exception or AssertionError("nothing was wrong")


def test_replies_of_others_are_no_evidence_and_that_is_said(folder: Path) -> None:
    (folder / "other.log").write_text("host mx.example.net[192.0.2.1] said: 550 5.1.1 no such user\n")
    done = run("icloud", "good.example", "--bounces", "other.log", "--anyway")
    assert "All replies in it are from other receivers." in done.output
    assert "[the replies, word for word, with their times]" in done.output


# --- what sends ---

CLOSED = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
SHOP = """$ORIGIN shop.example.
$TTL 3600
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
@ IN NS ns
ns IN A 192.0.2.1
@ IN MX 10 mx
mx IN A 192.0.2.1
@ IN TXT "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 -all"
_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:d@shop.example"
"""


def reported(folder: Path, reporter: str, *ips: str) -> None:
    """A report of yesterday, on unsigned mail of shop.example from these addresses."""
    begin = int((CLOSED - timedelta(days=1)).timestamp())
    fails = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
    nothing = "<spf><domain>host.invalid</domain><result>none</result></spf>"
    rows = (record(ip=ip, count=100, author="shop.example", evaluated=fails, results=nothing) for ip in ips)
    policy = "<policy_published><domain>shop.example</domain><p>none</p></policy_published>"
    head = metadata(f"{reporter}-1", reporter=reporter, begin=begin, end=begin + 86_399)
    (folder / f"{reporter}.xml").write_bytes(aggregate(*rows, head=head, policy=policy))


def known(folder: Path, receiver: str, *args: str) -> dict[str, list[str]]:
    """The addresses of a pack and how they are known, with the store of the folder."""
    given = ["contact", receiver, "shop.example", "--zone", "shop.zone", "--anyway", "-o", "pack.json", *args]
    done = CliRunner().invoke(deliv, given, standalone_mode=False)
    assert done.exception is None, done.output
    hosts = json.loads((folder / "pack.json").read_text("utf-8"))["hosts"]
    return {each["ip"]: each["known_by"] for each in hosts}


@pytest.fixture
def store(folder: Path) -> Path:
    """Google saw one own host, others two; a stranger sends as well; SNDS shows an own address."""
    (folder / "shop.zone").write_text(SHOP)
    (folder / "deliv.toml").write_text('history = "sqlite:///h.db"\n[[domain]]\nname = "shop.example"\n')
    reported(folder, "google.com", "192.0.2.1", "203.0.113.66")
    reported(folder, "mail.ru", "192.0.2.1", "198.51.100.7")
    day = f"{CLOSED - timedelta(days=1):%m/%d/%Y}"
    (folder / "snds.csv").write_text(f"192.0.2.9,{day} 1:00 AM,,9,9,900,GREEN,0.0%,,,0,,,\n")
    places = ["google.com.xml", "mail.ru.xml", "snds.csv"]
    done = CliRunner().invoke(deliv, ["intake", *places, "--trust", "--offline"], standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0), done.output
    return folder


def test_own_hosts_in_reports_are_named_as_the_receiver_saw_them_else_as_others_did(store: Path) -> None:
    assert known(store, "gmail") == {"192.0.2.1": ["receiver"]}
    assert known(store, "icloud") == {"192.0.2.1": ["reports"], "198.51.100.7": ["reports"]}
    assert known(store, "outlook") == {
        "192.0.2.1": ["reports"],
        "198.51.100.7": ["reports"],
        "192.0.2.9": ["snds"],
    }


def test_what_the_user_names_comes_first_and_each_address_once(store: Path) -> None:
    assert known(store, "gmail", "--ip", "192.0.2.1", "--ip", "192.0.2.77") == {
        "192.0.2.1": ["given", "receiver"],
        "192.0.2.77": ["given"],
    }


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "192.0.2.1: Gmail reported your mail from this address (DMARC)"),
        ("ja", "192.0.2.1：GmailのDMARCレポート"),
    ],
)
def test_the_pack_says_how_an_address_is_known(store: Path, lang: str, said: str) -> None:
    given = ["contact", "gmail", "shop.example", "--zone", "shop.zone", "--anyway", "--lang", lang]
    assert said in CliRunner().invoke(deliv, given, standalone_mode=False).output


# --- what was mended ---


def test_what_earlier_runs_saw_unmet_is_told_as_mended_with_its_day(folder: Path) -> None:
    zone, mended = folder / "zone", folder / "mended.zone"
    text = (DEMO / "example.zone").read_text("utf-8")
    mended.write_text(text)
    broken = re.sub(r"^_dmarc\b.*$", "", text, flags=re.M)
    assert broken != text
    zone.write_text(broken)
    (folder / "deliv.toml").write_text(
        'domains = ["sakura-shop.example"]\noutput = "pages"\nhistory = "sqlite:///h.db"\n'
    )
    weekly = CliRunner().invoke(deliv, ["weekly", "--zone", str(zone)], standalone_mode=False)
    assert weekly.exception is None, weekly.output
    done = CliRunner().invoke(
        deliv,
        ["contact", "gmail", "sakura-shop.example", "--anyway", "--zone", str(mended), "-o", "pack.json"],
        standalone_mode=False,
    )
    assert done.exception is None, done.output
    told = json.loads((folder / "pack.json").read_text("utf-8"))["mended"]
    assert {"rule": "DMARC-001", "day": date.today().isoformat()} in told
