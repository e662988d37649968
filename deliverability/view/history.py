"""What earlier runs saw, as tables in words: the runs of a subject with its trend, or all runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from deliverability.history.rows import RunRow, SubjectRow
from deliverability.history.store import HistoryRun
from deliverability.model.facts import KeySeen
from deliverability.model.report import DMARC_STAGES
from deliverability.view.tables import HistoryCellView, TableView
from deliverability.words.changes import record_news
from deliverability.words.dates import full_day_words, row_words, zone_words
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import octets, visible

_LOOKUP_LIMIT = 10
_NEWS = 3


def subject_table(rows: Sequence[SubjectRow], keys: Iterable[KeySeen], say: Phrases) -> TableView:
    """The runs of one subject, and its DKIM keys with their ages at the newest of them."""
    first = rows[0]
    title = visible(first.domain) + (say("punctuation.aside", text=visible(first.source)) if first.source else "")
    made = [
        (
            HistoryCellView(_when(row.run, say)),
            _count(row, before, "refused"),
            _count(row, before, "at-risk"),
            _stage(row, before, say),
            _lookups(row, before),
            HistoryCellView(octets(int(row.octets), say) if row.octets is not None else ""),
            HistoryCellView(_changes(row, say)),
        )
        for row, before in zip(rows, (*rows[1:], None), strict=True)
    ]
    names = ("when", "refused", "at-risk", "dmarc", "spf", "size", "changed")
    used = [place for place in range(len(names)) if any(row[place].text for row in made)]
    return TableView(
        say("history.title", subject=title, runs=say.count("history.runs", len(rows))),
        say("history.times", zone=zone_words(first.run.started)),
        tuple(say(f"history.head.{names[place]}") for place in used),
        tuple(tuple(row[place] for place in used) for row in made),
        tuple(_key(each, first.run.started, say) for each in keys),
    )


def run_table(rows: Sequence[RunRow], say: Phrases) -> TableView:
    """All runs, a row each."""
    made = []
    for row, before in zip(rows, (*rows[1:], None), strict=True):
        counts = [
            HistoryCellView(str(row.count(group)), _trend(row.count(group), before.count(group) if before else None))
            for group in ("refused", "at-risk", "not-checked")
        ]
        news = [
            f"{visible(each.domain)}{say('punctuation.colon')}{_changes(each, say)}"
            for each in row.subjects
            if _changes(each, say) and not each.first
        ]
        if all(each.first for each in row.subjects):
            news = [say("history.first")]
        made.append(
            (HistoryCellView(_when(row.run, say)), HistoryCellView(str(len(row.domains))), *counts, _some(news, say))
        )
    heads = ("when", "domains", "refused", "at-risk", "not-checked", "changed")
    zone = say("history.times", zone=zone_words(rows[0].run.started))
    title = say.count("history.all-runs", len(rows))
    return TableView(title, zone, tuple(say(f"history.head.{name}") for name in heads), tuple(made))


def _some(news: Sequence[str], say: Phrases) -> HistoryCellView:
    more = [say("history.more", n=str(len(news) - _NEWS))] if len(news) > _NEWS else []
    return HistoryCellView(say("history.separator").join([*news[:_NEWS], *more]))


def _when(run: HistoryRun, say: Phrases) -> str:
    words = row_words(run.started, say)
    return words if run.finished else words + say("punctuation.aside", text=say("history.unfinished"))


def _trend(now: float | None, before: float | None) -> str:
    if now is None or before is None or now == before:
        return ""
    return "worse" if now > before else "better"


def _count(row: SubjectRow, before: SubjectRow | None, group: str) -> HistoryCellView:
    if not row.kinds:
        return HistoryCellView("")
    return HistoryCellView(str(row.count(group)), _trend(row.count(group), before.count(group) if before else None))


def _stage(row: SubjectRow, before: SubjectRow | None, say: Phrases) -> HistoryCellView:
    if row.stage not in DMARC_STAGES:
        return HistoryCellView("")
    places = [
        -DMARC_STAGES.index(each.stage) if each and each.stage in DMARC_STAGES else None for each in (row, before)
    ]
    return HistoryCellView(say(f"weekly.stage.{row.stage}"), _trend(*places))


def _lookups(row: SubjectRow, before: SubjectRow | None) -> HistoryCellView:
    if row.lookups is None:
        return HistoryCellView("")
    return HistoryCellView(f"{row.lookups:g}/{_LOOKUP_LIMIT}", _trend(row.lookups, before.lookups if before else None))


def _changes(row: SubjectRow, say: Phrases) -> str:
    """What changed: records by name; else, where something else did, what that was."""
    if row.first:
        return say("history.first")
    news = list(dict.fromkeys(record_news(each, row.domain, say) for each in row.records))
    if row.settings:
        names = say("value.separator").join(say(f"weekly.setting.{each}") for each in row.settings)
        news.append(say("history.settings", names=names))
    if not news and row.message:
        news.append(say("history.message"))
    if not news and row.rules:
        news.append(say("history.rules"))
    return _some(news, say).text


def _key(key: KeySeen, now: str, say: Phrases) -> tuple[str, str]:
    """The selector, and since when the key was seen; or until when, where it is gone."""
    first = full_day_words(key.first_seen, say)
    if key.last_seen >= now:
        return visible(key.selector), say("history.key-since", date=first, days=_days(key.first_seen, now, say))
    return visible(key.selector), say("history.key-until", date=first, last=full_day_words(key.last_seen, say))


def _days(first: str, last: str, say: Phrases) -> str:
    return say.count("unit.day", (datetime.fromisoformat(last) - datetime.fromisoformat(first)).days)
