"""`deliv gate` and `deliv sources` from the command line: from reports in a folder to the record to publish."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.phrases import full_day_words, phrases
from deliverability.core.report.traffic import would_words
from deliverability.core.rules.knowledge import shipped
from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History
from deliverability.dmarc_reports import gate
from deliverability.intake.run import IntakePlan, take_in
from tests.intake.reports import metadata, record, report
from tests.traffic import FORGED, KEY, SIGNED, UNSIGNED, Mail, days_until, facts_for, named, observed

pytestmark = pytest.mark.long

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
DAYS = 60
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def signed(ip: str, count: int) -> str:
    return record(ip=ip, count=count)


def unsigned(ip: str, count: int) -> str:
    evaluated = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
    return record(
        ip=ip,
        count=count,
        evaluated=evaluated,
        results="<spf><domain>example.com</domain><result>fail</result></spf>",
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "example.zone").write_text(ZONE)
    (tmp_path / "deliv.toml").write_text('history = "sqlite:///h.db"\n[[domain]]\nname = "example.com"\nrare = []\n')
    return tmp_path


def read_in(folder: Path, *more: str, vouched: bool = True, own: int = 50, silent: int = 0) -> None:
    """Sixty days of reports of two receivers but for the last ones; `more` records are in those of the last five."""
    for back in range(silent + 1, DAYS + 1):
        begin = int((TODAY - timedelta(days=back)).timestamp())
        for name in ("google.com", "Outlook.com"):
            head = metadata(f"{name}-{back}", reporter=name, begin=begin, end=begin + 86_399)
            rows = [signed("198.51.100.10", own), *(more if back <= 5 else ())]
            (folder / f"{name}-{back}.xml").write_bytes(report(*rows, head=head))
    history = History.open("sqlite:///h.db", folder=folder)
    plan = IntakePlan(
        Ports(StaticResolver({}), FixedClock(datetime.now(UTC))),
        [str(folder / "*.xml")],
        reporters=shipped().reporters,
        vouched=vouched,
    )
    asyncio.run(take_in(plan, Observations(history)))
    history.close()


def run(*args: str) -> Result:
    return CliRunner().invoke(deliv, [*args, "--zone", "example.zone"], standalone_mode=False)


def test_a_safe_step_ends_with_the_record(folder: Path) -> None:
    read_in(folder)
    done = run("gate", "example.com", "--days", "60")
    assert done.return_value == 0, done.output
    text = " ".join(done.output.split())
    assert "Safe: example.com can move to p=quarantine." in text
    assert "6,000 of 6,000 messages pass DMARC." in text
    assert "p=quarantine would have affected none of the 6,000 reported messages that are or may be yours" in text
    assert "+ v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com" in text
    assert run("gate", "--all", "--days", "60").output == "✓ Safe: example.com can move to p=quarantine.\n"
    japanese = run("gate", "example.com", "--days", "60", "--lang", "ja").output
    assert "安全：example.comはp=quarantineに進めます。" in japanese


def test_what_is_missing_is_told_with_its_amount_and_day(folder: Path) -> None:
    read_in(folder, unsigned("198.51.100.20", 10))
    done = run("gate", "example.com", "--days", "60", "--format", "json")
    assert done.return_value == 1
    (gate,) = json.loads(done.output)["gates"]
    assert gate["answer"] == "not-yet"
    assert "GATE-005" in [each["rule"] for each in gate["missing"]]
    assert "100 of 6,100 reported messages that are or may be yours, all from 198.51.100.20" in gate["would"]
    assert gate["earliest"] > TODAY.date().isoformat()
    assert gate["records"] == []
    text = run("gate", "example.com", "--days", "60").output
    assert "can be safe on" in text
    assert "still arrive" not in text, "no day is missing"


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (
            ("203.0.113.20",),
            "28 of 28,028 reported messages that are or may be yours, all from host0.",
        ),
        (
            ("203.0.113.20", "198.51.100.200"),
            "56 of 28,056 reported messages that are or may be yours: 28 from host0 and 28 from host1.",
        ),
    ],
)
async def test_what_would_be_lost_is_told_by_source(hosts: tuple[str, ...], words: str) -> None:
    days, world = days_until(number=28), {}
    mails = [Mail(day, "198.51.100.10", SIGNED, 1000) for day in days]
    for number, ip in enumerate(hosts):
        mails += [Mail(day, ip, UNSIGNED, 1) for day in days]
        world |= named(ip, f"host{number}.example.com")
    facts = await facts_for(observed(mails), world)
    assert would_words(facts, "quarantine", phrases("en")).replace(".example.com", "").endswith(words)


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (("203.0.113.20",), "inboxes. They count as forged unless you claim 203.0.113.20 in deliv.toml."),
        (
            ("203.0.113.20", "192.0.2.200"),
            "inboxes. 28 of them count as forged unless you claim 203.0.113.20 in deliv.toml.",
        ),
    ],
)
async def test_what_counts_as_forged_until_the_user_answers_is_told(hosts: tuple[str, ...], words: str) -> None:
    """One host sends every day, as a forgotten one may; the other sent once."""
    days = days_until(number=28)
    mails = [Mail(day, "198.51.100.10", SIGNED, 1000) for day in days]
    mails += [Mail(day, hosts[0], FORGED, 1) for day in days]
    mails += [Mail(days[-1], ip, FORGED, 3) for ip in hosts[1:]]
    told = would_words(await facts_for(observed(mails)), "quarantine", phrases("en"))
    assert words in told
    assert told.endswith("If they are yours, the policy would have affected them, too.")
    assert phrases("en")("gate.risk") not in told, "something may link them to the user"


def test_days_without_a_report_leave_the_window_first(folder: Path) -> None:
    """A month later all of them have; sooner only if the missing ones still come in."""
    read_in(folder, silent=14)
    (gate,) = json.loads(run("gate", "example.com", "--format", "json").output)["gates"]
    assert gate["earliest"] == (TODAY.date() + timedelta(days=27)).isoformat()
    text = " ".join(run("gate", "example.com").output.split())
    assert (
        "That date assumes that the missing reports for past days don't arrive. If they do, it may be earlier." in text
    )
    run("sources", "example.com", "-o", "sources.html")
    days = [TODAY.date() - timedelta(days=back) for back in (28, 15)]
    begin, end = (full_day_words(day.isoformat(), phrases("en")) for day in days)
    assert f"28 reports cover mail from {begin} to {end}." in Path("sources.html").read_text()


@pytest.mark.parametrize(
    ("lang", "says"),
    [
        (
            "en",
            "p=quarantine must be in force for 28 days before p=reject (our rule of thumb), but the domain isn't at p=",
        ),
        ("ja", "rejectの前に、quarantineを28日続ける必要がありますが（delivの目安）、まだ"),
    ],
)
def test_a_stage_of_unknown_length_is_not_told_in_days(folder: Path, lang: str, says: str) -> None:
    read_in(folder)
    done = run("gate", "example.com", "--to", "reject", "--days", "60", "--lang", lang)
    text = " ".join(done.output.split())
    assert says in text.replace("\n", "")
    assert "could not be checked days" not in text
    assert "確認できませんでした日" not in text


@pytest.mark.parametrize(
    ("lang", "reason", "sums", "others"),
    [
        (
            "en",
            "none of them counts because deliv couldn't verify who sent the reports",
            "No report that counts shows mail from you.",
            ("No mail from you was reported", "Fix the sources", "0 of your messages", "is not safe"),
        ),
        (
            "ja",
            "レポートの真正性を確認できないため、判断に使えません。",
            "判断に使えるレポートに、自社のメールはありません。",
            ("自社のメールは報告されていません", "送信元の設定を直します", "自社のメールは0通"),
        ),
    ],
)
def test_reports_that_nobody_vouches_for_are_named_as_the_reason(
    folder: Path, lang: str, reason: str, sums: str, others: tuple[str, ...]
) -> None:
    """Mail was reported, but nothing shows by whom: neither "none was reported" nor "correct the sources" is true."""
    read_in(folder, vouched=False)
    done = run("gate", "example.com", "--to", "reject", "--lang", lang)
    text = (" " if lang == "en" else "").join(done.output.split())
    assert reason in text, done.output
    assert sums in text, done.output
    assert not [each for each in others if each in text], done.output
    assert "—%" not in text
    assert done.return_value == 3


def test_without_own_mail_no_source_is_to_be_corrected(folder: Path) -> None:
    read_in(folder, own=0)
    (gate,) = json.loads(run("gate", "example.com", "--format", "json").output)["gates"]
    missing = {each["rule"] for each in gate["missing"]}
    assert "GATE-003" in missing
    assert "GATE-004" not in missing


def test_the_plan_and_the_report_go_by_the_same_answer(folder: Path) -> None:
    (folder / "example.zone").write_text(ZONE + f's1._domainkey IN TXT "{KEY}"\n')
    read_in(folder, unsigned("198.51.100.20", 60))
    plan = run("fix", "example.com").output
    assert "Set up or repair DKIM signing for example.com at 198.51.100.20" in " ".join(plan.split())
    assert "p=quarantine" not in plan
    answer = json.loads(run("audit", "example.com", "--format", "json").output)["answer"]
    assert answer["policy_waits"] == ["not-yet"]


def test_without_reports_it_cannot_tell(folder: Path) -> None:
    done = run("gate", "example.com")
    assert done.return_value == 3
    assert "No reports were imported." in done.output
    listed = run("sources", "example.com")
    assert listed.return_value == 3
    assert "No reports were imported." in listed.output
    assert "SPF" not in listed.output
    assert "レポートをまだ取り込んでいません。" in run("sources", "example.com", "--lang", "ja").output


def test_without_reports_nothing_is_known_to_meet_the_policy_in_force(folder: Path) -> None:
    (folder / "example.zone").write_text(ZONE.replace("p=none", "p=reject"))
    done = run("gate", "example.com")
    assert done.return_value == 3
    assert "No reports were imported, so the effect of this policy on your mail is unknown." in " ".join(
        done.output.split()
    )


def test_without_spf_nothing_is_known_to_meet_the_policy_in_force(folder: Path) -> None:
    """The reports are there; whose mail they are about is open."""
    read_in(folder, unsigned("198.51.100.20", 100))
    (folder / "example.zone").write_text(
        ZONE.replace("p=none", "p=reject").replace(
            '"v=spf1 ip4:198.51.100.0/25 -all"', '"v=spf1 include:else.example -all"'
        )
    )
    done = run("gate", "example.com", "--days", "60")
    assert (done.return_value, "The SPF record could not be looked up" in " ".join(done.output.split())) == (3, True)
    japanese = "".join(run("gate", "example.com", "--days", "60", "--lang", "ja").output.split())
    assert "SPFレコードを確認できませんでした" in japanese


def test_without_spf_nobody_can_say_whose_the_sources_are(folder: Path) -> None:
    """The reports are there; it is DNS that did not answer."""
    read_in(folder)
    done = CliRunner().invoke(deliv, ["sources", "example.com", "--offline"], standalone_mode=False)
    assert done.return_value == 3
    assert "The SPF record could not be looked up" in done.output
    assert "No reports were" not in done.output


@pytest.mark.parametrize("command", ["gate", "sources"])
def test_another_history_can_be_named(folder: Path, command: str) -> None:
    read_in(folder)
    (folder / "h.db").rename(folder / "other.db")
    assert run(command, "example.com").return_value == 3
    assert run(command, "example.com", "--days", "60", "--history", "sqlite:///other.db").return_value == 0


def test_sources_with_the_lines_to_paste(folder: Path) -> None:
    read_in(folder, unsigned("198.51.100.20", 10), unsigned("203.0.113.9", 30))
    done = run("sources", "example.com", "--days", "60")
    assert done.return_value == 0
    text = " ".join(done.output.split())
    assert "198.51.100.10: 6,000 of 6,000 messages pass" in text
    assert "198.51.100.20: yours, fails DMARC (0 of 100 messages pass)" in text
    assert "203.0.113.9: forged or yours (0 of 300 messages pass)" in text
    assert '[[source]] match = ["203.0.113.9"] is = "ours" # or "not-ours"' in text
    found = json.loads(run("sources", "example.com", "--format", "json", "--lang", "ja").output)
    words = {each["source"]: each["standing"] for each in found["domains"][0]["words"]}
    assert words["203.0.113.9"] == "なりすましの疑い・要確認"


@pytest.mark.parametrize(("policy", "row"), [("reject", "own"), ("quarantine", "own"), ("reject", "unclaimed")])
def test_the_policy_in_force_is_asked_about_first(folder: Path, policy: str, row: str) -> None:
    """What it hits and since when, what to mend, and the record to step back to, whatever policy would come next."""
    (folder / "example.zone").write_text(ZONE.replace("p=none;", f"p={policy}; sp={policy};"))
    foreign = record(
        ip="203.0.113.9",
        count=400,
        evaluated="<disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf>",
        results="<dkim><domain>vendor.example</domain><selector>x</selector><result>pass</result></dkim>"
        "<spf><domain>vendor.example</domain><result>pass</result></spf>",
    )
    read_in(folder, unsigned("198.51.100.20", 100) if row == "own" else foreign)
    lost, all_ = ("1,000", "7,000") if row == "own" else ("4,000", "10,000")
    done = run("gate", "example.com", "--days", "60")
    assert done.return_value == 1
    text = " ".join(done.output.split())
    assert f"✗ example.com: p={policy} has affected {lost} of {all_} messages that are or may be yours since" in text
    assert "Still to fix" in text
    assert f"- v=DMARC1; p={policy}; sp={policy}; rua=mailto:dmarc@example.com" in text
    assert "+ v=DMARC1; p=none; sp=none; rua=mailto:dmarc@example.com" in text
    every = run("gate", "--all", "--days", "60")
    assert (every.return_value, every.output.startswith(f"✗ example.com: p={policy} has affected")) == (1, True)
    (gate,) = json.loads(run("gate", "example.com", "--days", "60", "--format", "json").output)["gates"]
    assert (gate["answer"], gate["step_back"]["new"][:15]) == ("hits", "v=DMARC1; p=non")
    japanese = "".join(run("gate", "example.com", "--days", "60", "--lang", "ja").output.split())
    assert f"メール{all_}通のうち{lost}通が、p={policy}の影響を受けています。" in japanese
    assert "直るまでポリシーを戻す" in japanese
    audit = run("audit", "example.com")
    assert audit.return_value == 1
    assert f"p={policy} has affected" in " ".join(audit.output.split())


@pytest.mark.parametrize(("record", "shown"), [("v=DMARC1; p=none", True), ("v=DMARC1; p=reject; sp=none", False)])
def test_the_record_to_step_back_to_is_rehearsed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, record: str, shown: bool
) -> None:
    """What would not do what it is for is not shown."""
    (folder / "example.zone").write_text(ZONE.replace("p=none;", "p=reject;"))
    read_in(folder, unsigned("198.51.100.20", 100))
    drafted = ("_dmarc.example.com", "v=DMARC1; p=reject", record)
    monkeypatch.setattr(gate, "_step_back", lambda facts: drafted)
    text = run("gate", "example.com", "--days", "60").output
    assert (f"+ {record}" in text) is shown


def test_a_little_noise_is_no_alarm(folder: Path) -> None:
    (folder / "example.zone").write_text(ZONE.replace("p=none", "p=reject"))
    broken = record(
        ip="198.51.100.10",
        count=1,
        evaluated="<disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf>",
        results="<dkim><domain>example.com</domain><selector>s1</selector><result>fail</result></dkim>",
    )
    read_in(folder, broken)
    done = run("gate", "example.com", "--days", "60")
    assert done.return_value == 0, done.output
    assert "the last policy" in done.output


@pytest.mark.parametrize("args", [("--to", "none"), ("--days", "0")])
def test_wrong_usage(folder: Path, args: tuple[str, ...]) -> None:
    assert run("gate", "example.com", *args).exception is not None


def test_an_audit_goes_on_without_a_history_that_cannot_be_read(folder: Path) -> None:
    (folder / "h.db").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    assert "is not safe" not in run("audit", "example.com").output
    assert run("audit", "example.com").exception is None
    assert run("gate", "example.com").exception is not None
