"""`deliv history`: what earlier weekly runs saw, as tables in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.console.command import Command
from deliverability.console.ending import error_text
from deliverability.console.inputs import read_settings
from deliverability.console.language import language
from deliverability.console.options import config_option, lang_option
from deliverability.console.output import terminal
from deliverability.console.types import DayType, NumberType, settings_path
from deliverability.core.codec import json_text
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.facts.base import KeySeen
from deliverability.core.inputs import parse_domain
from deliverability.core.model.report import DMARC_STAGES
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.report.paper import HistoryCellView, Paper, TableView, history_text
from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History, HistoryRun
from deliverability.core.words.sentences import full_day_words, octets, row_words, visible, zone_words
from deliverability.weekly.news import record_news
from deliverability.weekly.trend import RunRow, SubjectRow, run_rows, subject_rows

if TYPE_CHECKING:
    from deliverability.core.store.store import DamagedError, History

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
    more = [say("history.more", n=f"{len(news) - _NEWS:,}")] if len(news) > _NEWS else []
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


NO_RUN_OF = Code("no-run-of", ("domain", "known"))
NO_RUN_AT_ALL = Code("no-run-at-all", ("domain",))


@click.command("history", cls=Command)
@click.argument("domain", metavar="[DOMAIN]", required=False)
@click.option("--export", is_flag=True)
@click.option("--forget-before", "before", type=DayType(), metavar="DATE")
@click.option("--prune", type=NumberType(int, 1), metavar="N")
@click.option("--rebuild-tables", "rebuild", is_flag=True)
@click.option("--history", "url", metavar="URL")
@config_option
@lang_option
def command(
    domain: str | None,
    export: bool,
    rebuild: bool,
    before: date | None,
    prune: int | None,
    url: str | None,
    config: Path | None,
    lang: str,
) -> int:
    """Show what earlier weekly runs saw, newest first."""
    settings = read_settings(config)
    name = parse_domain(domain) if domain else None
    folder = settings_path(config).absolute().parent
    history = History.open(url or settings.history, folder=folder)
    say = language().say
    lost: list[str] = []

    def damaged(error: DamagedError) -> None:
        sentence, _ = error_text(error, say)
        lost.append(sentence)
        click.echo(say("cli.left-out", text=sentence), err=True)

    try:
        if prune:
            with history.held():
                gone = history.prune(prune)
            click.echo(say.count("cli.forgotten", gone) + say.count("cli.kept", len(history.runs())))
        elif rebuild:
            with history.held():
                made = history.rebuild(damaged)
            click.echo(say.count("cli.tables-rebuilt", made))
        elif before:
            _forget(history, before)
        elif export:
            for snapshot in history.export(damaged):
                if name is None or snapshot["domain"] == name:
                    click.echo(json_text(snapshot))
        else:
            _show(history, name, lang, damaged)
    finally:
        history.close()
    return 3 if lost else 0


def _forget(history: History, before: date) -> None:
    """Delete the reports of receivers on the days before that one."""
    with history.held():
        gone = Observations(history).forget((before - date(1970, 1, 1)).days)
    click.echo(language().say.count("cli.reports-forgotten", gone))


def _show(history: History, domain: str | None, lang: str, damaged: Callable[[DamagedError], None]) -> None:
    say = phrases(lang)
    known = history.subjects()
    names = say("value.separator").join(dict.fromkeys(visible(name) for name, _ in known))
    if not known:
        if domain is not None:
            raise InputError(NO_RUN_AT_ALL(domain=domain))
        click.echo(say("history.empty"))
        return
    paper = Paper.of_terminal(**terminal())
    subjects = [each for each in known if domain in (None, each[0])]
    if not subjects:
        raise InputError(NO_RUN_OF(domain=str(domain), known=tuple(dict.fromkeys(name for name, _ in known))))
    found = [tuple(subject_rows(history.snapshots(*each, damaged=damaged))) for each in subjects]
    if domain is None:
        runs = run_rows(row for rows in found for row in rows)
        texts = [history_text(run_table(runs, say), paper, say)] if runs else []
        texts.append(paper.text(paper.paragraph(say("history.names", names=names))))
    else:
        keys = history.keys(domain)
        texts = [history_text(subject_table(rows, keys, say), paper, say) for rows in found if rows]
    click.echo("\n".join(texts), nl=False)
