"""The news of a weekly run: who refuses now, the cause, what stands as it did, and subjects that fit."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import NO_NAME
from deliverability.core.model.answer import ReceiverEffect
from deliverability.core.model.history import (
    Cause,
    ChangeKind,
    Comparison,
    FindingChange,
    RecordChange,
    RecordKind,
    VerdictChange,
)
from deliverability.core.model.report import FactChange, GateKind, Outcome, VerdictKind
from deliverability.core.model.rules import Effect, RuleSet, Severity
from deliverability.core.phrases import phrases
from deliverability.core.report.traffic import CLASSES
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.weekly.news import RunNews, run_news
from deliverability.weekly.sends import gate_words, sends_view
from deliverability.weekly.values import (
    FindingText,
    GateWeek,
    ReceiverVerdict,
    SourceChange,
    SourceNote,
    Summary,
    TrafficWeek,
    WeeklyEntry,
)
from deliverability.weekly.view import entry_view, run_view

AT, BEFORE = "2026-11-25T00:00:00Z", "2026-11-18T00:00:00Z"
REJECTED, AT_RISK, FINE, OPEN = (
    VerdictKind.REJECTED,
    VerdictKind.AT_RISK,
    VerdictKind.ACCEPTED,
    VerdictKind.CANNOT_TELL,
)
DMARC = "v=DMARC1; p=reject"
GONE = RecordChange("TXT _dmarc.good.example", (DMARC,), (NO_NAME(),), Cause.OWN_DNS, RecordKind.DMARC)
OUT = RecordChange("TXT shop.example", ("v=spf1 include:dead.example -all",), ("v=spf1 -all",), Cause.OWN_DNS)


@functools.cache
def rules() -> RuleSet:
    return load_rules()


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def entry(domain: str, *verdicts: tuple[str, VerdictKind, VerdictKind], **more: Any) -> WeeklyEntry:
    """A domain with receivers and their verdicts before and now."""
    records = more.pop("records", ())
    changes = tuple(
        VerdictChange(ident, before, after, (Cause.OWN_DNS,), records)
        for ident, before, after in verdicts
        if before is not after
    )
    comparison = Comparison(domain, "", more.pop("previous", BEFORE), more.pop("changes", ()), changes, records)
    effects = {REJECTED: (ReceiverEffect(Effect.REJECT),), AT_RISK: (ReceiverEffect(more.pop("effect", Effect.SPAM)),)}
    now = tuple(ReceiverVerdict(ident, after, effects.get(after, ())) for ident, _, after in verdicts)
    return WeeklyEntry(domain, "", "", now, comparison=comparison, **more)


def news(*entries: WeeklyEntry, lang: str = "en", previous: str = BEFORE, removed: tuple[str, ...] = ()) -> RunNews:
    return run_news(Summary(AT, previous, entries, 0, removed=removed), rules(), phrases(lang))


def sentences(*entries: WeeklyEntry, lang: str = "en", **more: Any) -> list[str]:
    return [each.sentence for each in news(*entries, lang=lang, **more).sentences]


def unchecked(told: WeeklyEntry) -> str:
    return entry_view(told, phrases("en"), rules(), catalogue()).unchecked_words


def subject(*entries: WeeklyEntry, lang: str = "en", **more: Any) -> str:
    return news(*entries, lang=lang, **more).subject(AT, phrases(lang))


WORSE = entry("good.example", ("gmail", FINE, REJECTED), ("outlook", FINE, REJECTED), records=(GONE,))
BETTER = entry("shop.example", *((ident, REJECTED, FINE) for ident in ("gmail", "icloud", "yahoo")), records=(OUT,))
STILL = entry("still.example", ("gmail", REJECTED, REJECTED), ("icloud", REJECTED, REJECTED))
CALM = entry("calm.example", ("gmail", FINE, FINE))


def test_became_worse() -> None:
    assert sentences(WORSE) == ["good.example: Gmail and Outlook.com now reject its mail (DMARC record removed)"]
    assert sentences(WORSE, lang="ja") == [
        "good.example：GmailとOutlook.comが拒否するようになりました（DMARCレコードの消失）"
    ]
    assert subject(WORSE) == "deliv: Gmail and Outlook.com now reject good.example (DMARC record removed) · 25 Nov"
    assert (
        subject(WORSE, lang="ja") == "deliv：GmailとOutlook.comがgood.exampleを拒否（DMARCレコードの消失）（11月25日）"
    )


def test_what_others_could_do_in_the_domains_name_stands_above_all() -> None:
    """On the day it happens, in a domain that is new as well; not where the user accepts it, and not every week."""
    title = "anybody can register dead.com and pass SPF as you"

    def taken(kind: ChangeKind = ChangeKind.NEW, **more: Any) -> FindingChange:
        return FindingChange(
            kind, "SEC-001", "spf/dead.com", "f", Severity.ERROR, Outcome.MET, Outcome.UNMET, AT, **more
        )

    texts = {"en": {"f": FindingText(title, "", "")}}
    for previous in (BEFORE, ""):
        found = entry("shop.example", ("gmail", FINE, FINE), changes=(taken(),), texts=texts, previous=previous)
        told = news(CALM, WORSE, found)
        assert [each.domain for each in told.sentences] == ["shop.example", "good.example"]
        assert (told.sentences[0].sentence, told.tone) == (f"shop.example: {title}", "bad")
        assert told.subject(AT, phrases("en")).startswith(f"deliv: shop.example: {title}, and 1 more")
    first = news(CALM, entry("shop.example", changes=(taken(),), texts=texts, previous=""), previous="")
    assert first.sentences[0].sentence == f"shop.example: {title}"
    for change in (taken(waived=True), taken(ChangeKind.STILL)):
        quiet = entry("shop.example", ("gmail", FINE, FINE), changes=(change,), texts=texts)
        assert title not in " ".join(sentences(quiet, WORSE))


@pytest.mark.long
def test_became_better_is_green_and_last() -> None:
    told = news(BETTER, WORSE)
    assert [each.domain for each in told.sentences] == ["good.example", "shop.example"]
    assert told.sentences[1].sentence == (
        "shop.example: no known obstacle now at 3 receivers (include:dead.example removed from the SPF record)"
    )
    assert [each.tone for each in told.sentences] == ["bad", "good"]
    assert told.tone == "bad"
    assert told.subject(AT, phrases("en")).startswith("deliv: Gmail and Outlook.com now reject good.example")
    assert ", and 1 more" in told.subject(AT, phrases("en"))


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Effect.SPAM, "now sends its mail to the spam folder"),
        (Effect.WARN, "now shows a warning"),
        (Effect.DEFER, "now delays its mail"),
        (Effect.REJECT, "may now reject its mail"),
    ],
)
def test_at_risk_says_what_happens(effect: Effect, words: str) -> None:
    assert sentences(entry("a.example", ("gmail", FINE, AT_RISK), effect=effect)) == [f"a.example: Gmail {words}"]


def test_a_record_that_changed_without_a_verdict() -> None:
    vendor = RecordChange("TXT v.example", ("v=spf1 a -all",), ("v=spf1 a mx a:b.v.example -all",), Cause.VENDOR)
    grown = FindingChange(
        ChangeKind.NEW,
        "SPF-003",
        "",
        "f",
        Severity.ERROR,
        Outcome.MET,
        Outcome.UNMET,
        since=AT,
        records=(vendor,),
        facts=(FactChange("spf.lookups", 9, 11),),
    )
    told = entry("a.example", ("gmail", FINE, FINE), records=(vendor,), changes=(grown,))
    assert sentences(told) == ["a.example: v.example's SPF record changed, SPF lookups 9 → 11"]


def test_a_fact_that_is_no_more_is_told_by_its_state() -> None:
    key = FindingChange(
        ChangeKind.NEW,
        "DKIM-026",
        "",
        "f",
        Severity.ERROR,
        Outcome.MET,
        Outcome.UNMET,
        since=AT,
        facts=(FactChange("dkim.published", True, False),),
    )
    told = entry("a.example", changes=(key,))
    views = [entry_view(told, phrases(lang), rules(), catalogue()) for lang in ("en", "ja")]
    assert [each.groups[0].facts for each in views] == [
        ("DKIM keys: published → not published",),
        ("DKIMの鍵：公開済み → 公開なし",),
    ]


def test_words_of_one_topic_that_change_alike_are_told_once() -> None:
    paths = ("dmarc.effective_policy", "spf.result")
    new = FindingChange(
        *(ChangeKind.NEW, "DMARC-009", "", "f", Severity.ERROR, Outcome.MET, Outcome.UNMET),
        since=AT,
        facts=tuple(FactChange(path, "none", "pass") for path in paths),
    )
    mended = replace(new, kind=ChangeKind.MENDED, facts=(FactChange("dmarc.stage", "none", "pass"),))
    told = entry_view(entry("a.example", changes=(new, mended)), phrases("en"), rules(), catalogue())
    assert told.groups[0].facts == ("DMARC policy that applies: none → pass", "SPF result: none → pass")


def test_silence_makes_no_policy_unsafe_but_a_gap_does() -> None:
    silent = TrafficWeek("2026-10-25", "2026-11-21", 9, dict.fromkeys(CLASSES, 0), 0, silent_since="2026-11-15")
    gate = GateWeek("quarantine", GateKind.NOT_YET, GateKind.SAFE)
    gap = replace(silent, gaps=(SourceNote("192.0.2.1", 9, 9),))
    said = [gate_words(gate, week, phrases("en")) for week in (silent, gap)]
    assert said == [
        "Without new reports, we can't confirm that p=quarantine is safe.",
        "p=quarantine is no longer safe.",
    ]


def test_a_new_source_says_whether_it_passes_and_a_reporter_who_it_is() -> None:
    changes = tuple(SourceNote(name, 9, lost, SourceChange.NEW) for name, lost in (("a", 0), ("b", 2)))
    silent = {"Yahoo": "2026-11-15", "r.example": ""}
    week = TrafficWeek("2026-10-25", "2026-11-21", 9, dict.fromkeys(CLASSES, 0), 0, changes=changes, silent=silent)
    told = sends_view(entry("a.example", traffic=week), phrases("ja"), rules())
    assert told is not None
    assert [each.words for each in told.lines] == [
        "aは新しい送信元です。送られた9通は、すべてDMARCに合格しています。",
        "bは新しい送信元です。送られた9通のうち2通が、DMARCに不合格です。",
        "米国Yahooからのレポートが届いていません（最後は2026年11月15日）。",
        "r.exampleからのレポートが届かなくなりました。",
    ]


def test_quiet_weeks_name_what_is_still_refused_and_are_green_only_where_all_is_well() -> None:
    told = news(CALM, STILL)
    assert [each.sentence for each in told.sentences] == [
        "Nothing changed. Still rejected: still.example at 2 receivers"
    ]
    assert told.tone == "none"
    assert told.still == ("still.example is still rejected by Gmail and iCloud",)
    assert subject(CALM, STILL) == "deliv: nothing changed, still.example still rejected by 2 receivers · 25 Nov"
    assert subject(STILL, lang="ja") == "deliv：変化なし、still.exampleは引き続き2サービスが拒否（11月25日）"
    well = news(CALM, entry("b.example", ("gmail", FINE, FINE)))
    assert [each.sentence for each in well.sentences] == ["Nothing changed. 2 domains, nothing to fix"]
    assert well.tone == "good"
    assert subject(CALM, lang="ja") == "deliv：変化なし、1ドメイン、対応不要（11月25日）"


def test_what_could_not_be_checked_says_since_when() -> None:
    lost = FindingChange(
        ChangeKind.UNCHECKED,
        "SPF-003",
        "",
        "f",
        Severity.ERROR,
        Outcome.MET,
        Outcome.UNKNOWN,
        since=BEFORE,
        checked=BEFORE,
    )
    told = entry("a.example", ("gmail", OPEN, OPEN), changes=(lost,), failures=1)
    assert sentences(told) == ["a.example could not be checked (last checked on 18 Nov 2026)"]
    assert sentences(told, lang="ja") == ["a.exampleは確認できていません（最後に確認できた日：2026年11月18日）"]
    assert unchecked(told) == "1 check could not be completed. It was last completed on 18 Nov 2026."
    older = replace(lost, rule="SPF-004", fingerprint="g", checked="2026-11-11T06:00:00Z")
    told = entry("a.example", ("gmail", OPEN, OPEN), changes=(older, lost), failures=2)
    assert sentences(told) == ["a.example could not be checked (last checked on 18 Nov 2026 or earlier)"]
    assert unchecked(told) == "2 checks could not be completed. They were last completed on 18 Nov 2026 or earlier."
    assert subject(told) == "deliv: a.example could not be checked · 25 Nov"
    error = WeeklyEntry("b.example", "", "", problems=(VERBATIM(text="no such message"),))
    assert sentences(error) == ["b.example could not be checked (no such message)"]


def test_the_first_run_and_domains_that_come_and_go() -> None:
    assert sentences(CALM, STILL, previous="") == [
        "First report for 2 domains. Mail rejected: still.example at 2 receivers"
    ]
    assert subject(CALM, STILL, previous="") == "deliv: first report, 2 domains · 25 Nov"
    fresh = entry("new.example", ("gmail", FINE, FINE), previous="")
    assert sentences(CALM, fresh, removed=("old.example",)) == [
        "new.example: first report",
        "old.example is no longer audited",
    ]


def test_findings_alone_are_told_by_what_is_wrong() -> None:
    texts = {"en": {"f": FindingText("The key s1 is 365 days old", "", "")}}
    old = FindingChange(
        ChangeKind.NEW, "DKIM-016", "", "f", Severity.INFO, Outcome.MET, Outcome.UNMET, since=AT, causes=(Cause.CLOCK,)
    )
    told = entry("a.example", ("gmail", FINE, FINE), changes=(old,), texts=texts)
    assert sentences(told) == ["a.example: The key s1 is 365 days old"]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_subjects_fit_and_have_no_full_stop(lang: str) -> None:
    """The cause goes first, then the names of the receivers."""
    many = entry(
        "a-very-long-name-of-a-domain.marketing.example",
        *((ident, FINE, REJECTED) for ident in ("gmail", "outlook")),
        records=(OUT,),
    )
    every = (WORSE, BETTER, STILL, CALM, many)
    for told in ((each,) for each in every):
        for previous in (BEFORE, ""):
            line = subject(*told, lang=lang, previous=previous)
            assert not line.rstrip("）)").endswith((".", "。"))
            columns = sum(2 if ord(char) > 0x2FFF else 1 for char in line)
            assert columns <= {"en": 90, "ja": 100}[lang], line
    assert "SPF" not in subject(many, lang=lang)


def test_the_worst_stands_first_and_a_deleted_record_is_to_be_published_again() -> None:
    view = run_view(Summary(AT, BEFORE, (BETTER, WORSE), 1), phrases("en"), rules(), catalogue())
    assert [each.domain for each in view.changed] == ["good.example", "shop.example"]
    block = view.changed[0].block
    assert block.record is not None
    assert block.record.deleted == "deleted: the name no longer exists"
    assert {piece.kind.value for piece in block.record.pieces} == {"removed"}
    assert block.action == f'Publish it again: _dmarc.good.example TXT "{DMARC}"'
