"""Weeks in which reports of receivers arrive: what the run tells of them, and what it names as the cause.

The domain is shop.example; its hosts are MAIN and BESIDE in one range, BILLING and SHOP.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from deliverability.console.settings import EmailSettings
from deliverability.core.model.history import Cause, ChangeKind
from deliverability.core.model.observed import SourceOwner, SourceWord
from deliverability.core.model.report import GateKind
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.rules.problems import load_guide
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import rule_folders
from deliverability.weekly import run as weekly_run
from deliverability.weekly.notify.mail import compose
from deliverability.weekly.notify.notifier import weekly_metrics
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.values import GateWeek, Summary, TrafficWeek, WeeklyEntry, from_json, to_json
from deliverability.weekly.view import run_view
from tests import TESTS
from tests.intake.reports import metadata, record, report
from tests.killed import Step, killed_at_every, stepping
from tests.sampled import some_or_every
from tests.weekly.test_quiet import Counted
from tests.weekly.test_stories import FIRST, Life, NoPages, changes, shipped

pytestmark = pytest.mark.long

DOMAIN = "shop.example"
SPF = "v=spf1 mx ip4:192.0.2.9 ip4:203.0.113.5 ip6:2001:db8::6 include:spf.vendor.example -all"
POLICY = f"<policy_published><domain>{DOMAIN}</domain><p>none</p></policy_published>"
EPOCH = date(1970, 1, 1)
MAIN, BESIDE, BILLING, SHOP = "192.0.2.1", "192.0.2.9", "203.0.113.5", "2001:db8::6"
GOOGLE, OUTLOOK, YAHOO = "google.com", "Outlook.com", "Yahoo"


def signed(ip: str, count: int) -> str:
    signature = f"<dkim><domain>{DOMAIN}</domain><selector>s1</selector><result>pass</result></dkim>"
    return record(ip=ip, count=count, author=DOMAIN, results=signature)


def unsigned(ip: str, count: int) -> str:
    evaluated = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
    nothing = "<spf><domain>host.invalid</domain><result>none</result></spf>"
    return record(ip=ip, count=count, author=DOMAIN, evaluated=evaluated, results=nothing)


def inbox(life: Life) -> Path:
    """The folder that the run reads reports from."""
    assert life.reports is not None
    return life.reports


def arrive(life: Life, days: Sequence[date], reporters: Sequence[str], *rows: str) -> None:
    """A report of each reporter on each day."""
    folder = inbox(life)
    for day in days:
        begin = (day - EPOCH).days * 86_400
        for name in reporters:
            head = metadata(f"{name}-{day}", reporter=name, begin=begin, end=begin + 86_399)
            (folder / f"{name}-{day}-{len(list(folder.iterdir()))}.xml").write_bytes(
                report(*rows, head=head, policy=POLICY)
            )


def until(day: date, number: int = 7) -> list[date]:
    """So many days before that one, oldest first."""
    return [day - timedelta(days=back) for back in range(number, 0, -1)]


def week_before(number: int) -> list[date]:
    """The seven days before the run of that week."""
    return until((FIRST + timedelta(weeks=number - 1)).date())


def opened(folder: Path, url: str = "", **how: Any) -> Life:
    folder.mkdir(exist_ok=True)
    life = Life(folder, History.open(url or f"sqlite:///{folder / 'h.db'}"), **how)
    life.spf, life.dmarc = SPF, f"v=DMARC1; p=none; rua=mailto:r@{DOMAIN}"
    life.options = replace(life.options, rare=())
    life.reports = folder / "reports"
    life.reports.mkdir(exist_ok=True)
    return life


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    made = opened(tmp_path)
    yield made
    made.history.close()


def entry_of(summary: Summary, domain: str = DOMAIN) -> WeeklyEntry:
    (entry,) = [each for each in summary.entries if each.domain == domain]
    assert from_json(to_json(entry)) == entry, "it is read as it was written"
    return entry


def told(summary: Summary) -> tuple[TrafficWeek, GateWeek]:
    entry = entry_of(summary)
    assert entry.traffic is not None
    assert entry.gate is not None
    return entry.traffic, entry.gate


def sources(summary: Summary) -> list[tuple[str, str]]:
    return [(each.change.value, each.name) for each in told(summary)[0].changes if each.change]


def sentences(summary: Summary, lang: str = "en") -> list[str]:
    view = run_view(summary, phrases(lang), shipped(), catalogue())
    return [each.sentence for each in view.news.sentences]


def gaps_of(summary: Summary) -> list[tuple[str, str, str]]:
    """What became of findings about gaps: the kind of change, the source, and since when it is so."""
    comparison = entry_of(summary).comparison
    assert comparison is not None
    return [(each.kind.value, each.item, each.since) for each in comparison.changes if each.rule == "RPT-001"]


def causes(summary: Summary, rule: str, kind: ChangeKind) -> tuple[Cause, ...]:
    (change,) = [each for each in changes(summary) if (each.rule, each.kind) == (rule, kind)]
    return change.causes


# --- A season ---


async def season(life: Life) -> list[Summary]:
    """Eight weeks; what each must tell is asserted on the way."""
    week: list[Summary] = []

    arrive(life, until(FIRST.date(), 21), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    arrive(life, until(FIRST.date(), 21), (YAHOO,), signed(MAIN, 10))
    week.append(await life.week())
    traffic, gate = told(week[0])
    assert (traffic.sums.classes["own"], traffic.sums.aligned, traffic.reports) == (4410, 4410, 63)
    assert (traffic.begin, traffic.end) == ("2026-09-07", "2026-10-04")
    assert [(each.aligned, each.unaligned) for each in traffic.days][6:8] == [(0, 0), (210, 0)]
    assert not traffic.has_news, "of a first run, nothing is news"
    assert (gate.to, gate.kind, gate.before) == ("quarantine", GateKind.NOT_YET, None)
    assert "GATE-001" in gate.missing
    assert gate.earliest == "2026-10-11"

    arrive(life, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    week.append(await life.week())
    _, gate = told(week[1])
    assert (gate.kind, gate.before, gate.missing) == (GateKind.SAFE, GateKind.NOT_YET, ())
    (sentence,) = sentences(week[1])
    assert sentence == (
        "shop.example: p=quarantine is safe now. To see the record to publish, run `deliv gate shop.example`."
    )
    assert not [each for each in changes(week[1]) if each.rule.startswith("GATE")], "the gate is told by its answer"

    arrive(life, week_before(3), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    week.append(await life.week())
    traffic, gate = told(week[2])
    assert sources(week[2]) == [("opened", BILLING)]
    assert (traffic.changes[0].messages, traffic.changes[0].unaligned) == (560, 560)
    assert (gate.kind, gate.before) == (GateKind.NOT_YET, GateKind.SAFE)
    assert causes(week[2], "RPT-001", ChangeKind.NEW) == (Cause.TRAFFIC,)
    (sentence,) = sentences(week[2])
    assert sentence == f"shop.example: p=quarantine is no longer safe ({BILLING} sends your mail without passing DMARC)"

    arrive(life, week_before(4), (GOOGLE, OUTLOOK), signed(MAIN, 100), signed(BILLING, 40))
    week.append(await life.week())
    assert sources(week[3]) == []
    assert [each.name for each in told(week[3])[0].gaps] == [BILLING], "it was mended, and the window does not show yet"

    arrive(life, week_before(5), (GOOGLE, OUTLOOK), signed(MAIN, 100), signed(BILLING, 40), signed(SHOP, 30))
    week.append(await life.week())
    traffic, _ = told(week[4])
    assert sources(week[4]) == [("new", SHOP)]
    assert causes(week[4], "RPT-008", ChangeKind.NEW) == (Cause.TRAFFIC,)
    assert dict(traffic.silent) == {"Yahoo": "2026-10-04"}, "it was in the window before, and is not in this one"
    assert traffic.silent_since is None

    for number in (6, 7):
        arrive(life, week_before(number), (GOOGLE, OUTLOOK), signed(MAIN, 100), signed(BILLING, 40), signed(SHOP, 30))
        week.append(await life.week())
    assert not told(week[5])[0].silent, "that was told a week ago"
    traffic, gate = told(week[6])
    assert sources(week[6]) == [("closed", BILLING)]
    assert causes(week[6], "RPT-001", ChangeKind.MENDED) == (Cause.TRAFFIC,)
    assert (gate.kind, gate.before) == (GateKind.SAFE, GateKind.NOT_YET)

    week.append(await life.week())
    traffic, gate = told(week[7])
    assert traffic.silent_since == "2026-11-15"
    assert causes(week[7], "RPT-006", ChangeKind.NEW) == (Cause.TRAFFIC,)
    assert 3 not in {each.code for each in week}
    return week


MAILS = tuple(f"weekly/season.{lang}.txt" for lang in LANGUAGES)


@cache
def season_mails() -> tuple[tuple[Summary, ...], dict[str, str]]:
    """The season, and the mails of its weeks by the name of the golden file."""
    with TemporaryDirectory() as folder:
        life = opened(Path(folder))
        weeks = asyncio.run(season(life))
        life.history.close()
    texts = {name: "\n".join(mail(each, name.split(".")[1]) for each in weeks) for name in MAILS}
    return tuple(weeks), texts


def season_text(name: str) -> str:
    """What the golden file of this name holds."""
    return season_mails()[1][name]


@pytest.mark.parametrize("name", MAILS)
def test_a_season_in_the_words_of_its_mails(name: str) -> None:
    assert season_text(name) == (TESTS / "golden" / name).read_text("utf-8"), "python -m tests.renew_golden, if meant"


@pytest.mark.system
@pytest.mark.slow
async def test_the_same_season_on_postgresql_tells_the_same(tmp_path: Path, database: str) -> None:
    first, _ = await asyncio.to_thread(season_mails)
    life = opened(tmp_path, database)
    second = await season(life)
    life.history.close()
    assert [to_json(entry_of(each)) for each in first] == [to_json(entry_of(each)) for each in second]


# --- Causes ---


async def test_a_source_that_is_another_as_spf_changed_is_first_of_our_dns_then_of_the_reports(life: Life) -> None:
    life.spf = SPF.replace("ip4:203.0.113.5 ", "")
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    arrive(life, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    before = await life.week()
    assert entry_of(before).traffic is not None
    assert told(before)[0].sums.classes["forged"] == 28 * 2 * 40, "nothing ties it to the domain"
    life.spf = SPF
    after = await life.week()
    assert causes(after, "RPT-001", ChangeKind.NEW) == (Cause.OWN_DNS, Cause.TRAFFIC)
    (change,) = [each for each in changes(after) if each.rule == "RPT-001"]
    assert [each.asked for each in change.records] == [f"TXT {DOMAIN}"]


async def test_the_users_word_on_a_source_is_first_of_the_settings(life: Life) -> None:
    for days in (until(FIRST.date(), 28), week_before(2)):
        arrive(life, days, (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned("45.1.2.3", 40))
    await life.week()
    life.words = (SourceWord(("45.1.2.3",), SourceOwner.OURS, "The old host"),)
    after = await life.week()
    (change,) = [each for each in changes(after) if each.rule == "RPT-001"]
    assert (change.item, change.causes) == ("The old host", (Cause.SETTINGS, Cause.TRAFFIC))
    comparison = entry_of(after).comparison
    assert comparison is not None
    assert comparison.settings == ("sources",)


async def test_the_first_week_with_reports_opens_no_gap_that_was_there_all_the_time(life: Life) -> None:
    await life.week()
    arrive(life, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    after = await life.week()
    traffic, gate = told(after)
    assert traffic.first
    assert (traffic.changes, [each.name for each in traffic.gaps]) == ((), [BILLING])
    assert gate.before is None
    assert causes(after, "RPT-001", ChangeKind.NEW) == (Cause.TRAFFIC,)
    third = await life.week()
    assert not told(third)[0].first


async def test_a_source_that_gets_another_name_is_no_gap_that_closed_and_opened(life: Life) -> None:
    """Hosts without a reverse name go by their range as soon as there are several in it."""
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), unsigned(MAIN, 100))
    first = await life.week()
    arrive(life, week_before(2), (GOOGLE, OUTLOOK), unsigned(MAIN, 100), unsigned(BESIDE, 100))
    after = await life.week()
    assert [each.name for each in told(after)[0].gaps] == ["192.0.2.0/24"]
    assert sources(after) == []
    assert gaps_of(after) == [("still", "192.0.2.0/24", first.started)]
    assert not [each for each in sentences(after) if "192.0.2" in each]
    quiet = await life.week()
    assert gaps_of(quiet) == [("still", "192.0.2.0/24", first.started)], "what is known goes on under the new name"
    for number in range(4, 8):
        arrive(life, week_before(number), (GOOGLE, OUTLOOK), unsigned(MAIN, 100))
        last = await life.week()
    assert gaps_of(last) == [("still", MAIN, first.started)], "one alone is left in the window"
    arrive(life, week_before(8), (GOOGLE, OUTLOOK), unsigned(MAIN, 100), unsigned(BILLING, 40))
    assert sources(await life.week()) == [("opened", BILLING)], "a host elsewhere is a source of its own"


async def test_the_reverse_name_of_a_forger_is_nobodys_news(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was asked for, and is another one each week."""
    for days in (until(FIRST.date(), 28), week_before(2)):
        arrive(life, days, (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned("45.1.2.3", 4))
    names = iter(("one.invalid", "two.invalid"))

    def zones(self: Life) -> list[Path]:
        folder = self.folder / "zones"
        folder.mkdir(exist_ok=True)
        found = plain(self)
        (folder / "45.zone").write_text(
            "$ORIGIN 45.in-addr.arpa.\n@ 300 IN SOA ns.a. h.a. 1 2 3 4 5\n@ 300 IN NS ns.a.\n"
            f"3.2.1 300 IN PTR {next(names)}.\n"
        )
        return sorted({*found, folder / "45.zone"})

    plain = Life._zones
    monkeypatch.setattr(Life, "_zones", zones)
    await life.week()
    after = entry_of(await life.week())
    assert after.comparison is not None
    assert after.comparison.records == ()


# --- The intake ---


async def test_what_cannot_be_read_is_told_and_the_domains_are_audited(life: Life) -> None:
    (inbox(life) / "broken.xml").write_bytes(b"<feedback><report_metadata>")
    arrive(life, week_before(1), (GOOGLE,), signed(MAIN, 100))
    summary = await life.week()
    assert [str(each.args[0][1]).rpartition("/")[2] for each in summary.unread] == ["broken.xml"]
    assert summary.code == 3
    assert told(summary)[0].sums.classes["own"] == 700
    read = weekly_run.read_summary(life.folder / "out" / summary.folder / "summary.json")
    assert read.unread == summary.unread
    for lang, words in (("en", "Some reports could not be read: "), ("ja", "読み取れなかったレポートがあります：")):
        assert run_view(summary, phrases(lang), shipped(), catalogue()).unread.startswith(words)
        assert words in mail(summary, lang)
    again = await life.week()
    assert (again.unread, again.code) == ((), 0), "it was read, and is not told twice"


async def test_an_intake_that_fails_altogether_stops_no_audit(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("by the test")

    monkeypatch.setattr(weekly_run, "take_in", fails)
    summary = await life.week()
    assert [each.code for each in summary.unread] == ["run-internal"]
    assert (summary.code, entry_of(summary).problems) == (3, ())


@some_or_every(40)
def test_killed_at_any_step_it_goes_on_and_counts_each_report_once(tmp_path: Path, apart: int) -> None:
    """The intake is a part of the run; what could not be read by a run that was killed is told by the one after it."""

    def made(folder: Path) -> Path:
        life = opened(folder, pages=NoPages())
        arrive(life, week_before(1)[:2], (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
        life.history.close()
        return folder

    def run(folder: Path) -> Summary:
        life = opened(folder, pages=NoPages())
        try:
            return asyncio.run(life.week())
        finally:
            life.history.close()

    whole = run(made(tmp_path / "whole"))
    assert told(whole)[0].sums.classes["own"] == 2 * 2 * 140
    places = iter(range(1000))
    current = [made(tmp_path / str(next(places)))]

    def work(step: Step) -> None:
        stepping(step)
        run(current[0])

    kills = 0
    for _ in killed_at_every(work, apart):
        kills += 1
        assert to_json(entry_of(run(current[0]))) == to_json(entry_of(whole))
        current[0] = made(tmp_path / str(next(places)))
    assert kills >= 50 / apart


# --- What it costs ---


async def test_only_domains_with_new_reports_are_written_anew(life: Life) -> None:
    """Reports of one domain cost the others nothing; the same reports again, nothing at all."""
    life.domains, life.pages = (DOMAIN, "other.example"), Counted()
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    for _ in range(3):
        await life.week(FIRST)
    life.pages.written = []
    await life.week(FIRST)
    assert life.pages.written == [], "the window is the same, and so is the page"
    await life.week(FIRST + timedelta(days=7))
    assert sorted(life.pages.written) == [f"{DOMAIN} en", f"{DOMAIN} ja"]


async def test_what_was_told_an_hour_ago_is_not_told_again(life: Life) -> None:
    """The reports are the same and the facts as well, but the answer of the gate is no news any more."""
    arrive(life, until(FIRST.date(), 21), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    await life.week()
    arrive(life, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    at = FIRST + timedelta(weeks=1)
    assert told(await life.week(at))[1].has_news
    assert not told(await life.week(at + timedelta(hours=1)))[1].has_news


# --- Pages, mail, metrics ---


def mail(summary: Summary, lang: str = "en") -> str:
    settings = EmailSettings(to=("me@shop.example",), sender="deliv@shop.example")
    now = datetime.fromisoformat(summary.started.replace("Z", "+00:00"))
    message = compose(settings, summary, shipped(), catalogue(), lang, now, Path("/nowhere"))
    body = message.get_body(("plain",))
    assert body is not None
    return f"{message['Subject']}\n{body.get_content()}".replace("\r\n", "\n")


async def test_the_mail_has_one_line_on_it_and_what_is_news(life: Life) -> None:
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    quiet = mail(await life.week())
    assert "DMARC reports for the last 28 days: 5,600 of 5,600 messages pass DMARC." in quiet
    assert len(quiet.splitlines()) <= 15
    arrive(life, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    summary = await life.week()
    news = mail(summary)
    assert news.splitlines()[0].startswith("deliv: shop.example: ")
    assert f"DMARC reports: {BILLING} now fails DMARC (560 of 560 messages). p=quarantine is no longer safe." in news
    assert (
        "DMARC reports for the last 28 days: 5,600 of 6,160 messages pass DMARC; 560 of your messages do not." in news
    )
    assert f"DMARCレポート：{BILLING}からのメールがDMARCに不合格になりました（560通のうち560通）。p=" in mail(
        summary, "ja"
    )


@pytest.mark.parametrize("lang", ["en", "ja"])
async def test_the_picture_by_day_is_told_in_words_and_as_a_table(life: Life, lang: str) -> None:
    life.pages = HtmlPages(shipped(), catalogue(), load_guide(rule_folders()))
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    arrive(life, until(FIRST.date(), 1), (YAHOO,), unsigned(BILLING, 40))
    summary = await life.week()
    for page in ("index", DOMAIN):
        name = f"{page}.html" if lang == "en" else f"{page}.{lang}.html"
        html = (life.folder / "out" / summary.folder / name).read_text()
        (figure,) = re.findall(r'<figure class="w-lanes".*?</figure>', html, re.DOTALL)
        drawings = re.findall(r"<svg.*?</svg>", figure)
        assert [each.count("M") - 1 for each in drawings] == [28, 1, 0, 0, 0, 0], "a bar a day that has any"
        assert all('aria-hidden="true"' in each for each in drawings)
        words = re.findall(r'<dd class="w-words">(.*?)</dd>', figure)
        assert (
            words[:2]
            == {
                "en": ["5,600, at most 200 a day", "40, at most 40 a day"],
                "ja": ["5,600通（1日最大200通）", "40通（1日最大40通）"],
            }[lang]
        )
        rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", figure)
        assert len(rows) == 28
        assert re.findall(r"<td[^>]*>(.*?)</td>", rows[-1]) == ["200", "40", "0", "0", "0", "0"]
        if page == "index":
            assert html.index('id="sends"') < html.index('id="domains"')
        else:
            gate = told(summary)[1]
            answer = phrases(lang)(f"gate.{gate.kind.value}", domain=DOMAIN, policy=gate.to)
            assert answer in html, "the ladder goes by the same answer"


@pytest.mark.parametrize("lang", ["en", "ja"])
async def test_the_top_line_leads_to_each_source_its_addresses_receivers_and_days(life: Life, lang: str) -> None:
    life.pages = HtmlPages(shipped(), catalogue(), load_guide(rule_folders()))
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    summary = await life.week()
    index, page = ((f"{name}.html" if lang == "en" else f"{name}.{lang}.html") for name in ("index", DOMAIN))
    start = (life.folder / "out" / summary.folder / index).read_text()
    assert re.search(rf'<p><a href="{page}#senders">[^<]*5,600', start), "the sum on top is the link"
    html = (life.folder / "out" / summary.folder / page).read_text()
    senders = html[html.index('id="senders"') :]
    address = re.search(
        rf'<details class="src-address"><summary><code>{re.escape(BILLING)}</code>.*?</table>', senders, re.S
    )
    assert address is not None, "each source opens to its addresses"
    assert re.search(f"<summary>({GOOGLE}|{OUTLOOK})", address[0]), "these to the receivers that reported them"
    assert re.findall(r"<td>(\d+)</td><td>(\d+)</td>", address[0])[:28] == [("40", "0")] * 28, "and these to the days"
    (point, *_) = life.history.follow(DOMAIN, "", newest=1, topics=("traffic",))
    assert point.facts.value("traffic.details") == (), "they stand in the reports, and in no snapshot once more"


async def test_metrics_have_closed_labels(life: Life) -> None:
    arrive(life, until(FIRST.date(), 28), (GOOGLE, "odd.invalid"), signed(MAIN, 100), unsigned("45.1.2.3", 1))
    text = weekly_metrics(await life.week())
    found = {
        (each.name, *(value for name, value in sorted(each.labels.items()) if name != "domain")): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }
    assert found["deliv_traffic_messages", "own"] == 2800
    assert found["deliv_traffic_messages", "forged"] == 28
    assert found["deliv_traffic_failing_messages",] == 0, "an alert sees it come"
    assert found["deliv_traffic_aligned_ratio",] == 1.0
    assert found["deliv_gate", "quarantine"] in (-1, 0, 1)
    newest = (date(2026, 10, 4) - EPOCH).days * 86_400
    assert found["deliv_last_report_timestamp_seconds", "google"] == newest
    assert found["deliv_last_report_timestamp_seconds", "other"] == newest
    assert "invalid" not in text


async def test_a_jump_of_the_volume_is_news_with_its_source(life: Life) -> None:
    """Told in the week in which it came, and not again while the mail stays at the new height."""
    arrive(life, until(FIRST.date(), 28), (GOOGLE, OUTLOOK), signed(MAIN, 1_000))
    assert not [each for each in changes(await life.week()) if each.rule == "REP-008"]
    arrive(life, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 2_500))
    grown = await life.week()
    (change,) = [each for each in changes(grown) if each.rule == "REP-008"]
    assert (change.kind, change.item) == (ChangeKind.NEW, "dmarc-reports")
    assert sentences(grown) == [f"{DOMAIN}: its mail is now at risk at Gmail (according to the DMARC reports)"]
    assert sentences(grown, "ja") == [f"{DOMAIN}：Gmailで要注意になりました（DMARCレポートの集計結果の変化）"], (
        "and DNS is not to blame"
    )
    arrive(life, week_before(3), (GOOGLE, OUTLOOK), signed(MAIN, 2_500))
    (change,) = [each for each in changes(await life.week()) if each.rule == "REP-008"]
    assert change.kind is ChangeKind.MENDED
