"""`deliv show-report`: what reports of receivers say, as tables; nothing is kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.console.command import Command
from deliverability.console.language import language
from deliverability.console.options import lang_option, plain_errors, text_or_json_option
from deliverability.console.output import terminal
from deliverability.core.codec import json_text
from deliverability.core.errors import NO_SUCH_FILE, InputError, reason_of, set_aside, until_lost
from deliverability.core.model.observed import AggregateReport, TlsReport
from deliverability.core.phrases import detail_words, phrases
from deliverability.core.report.paper import Paper, history_text
from deliverability.core.words.sentences import visible
from deliverability.intake.places import UnreadPlace, items
from deliverability.intake.readings import UnusedPart, reports_in
from deliverability.intake.report import aggregate_table, failure_table, report_json, tls_table

if TYPE_CHECKING:
    from deliverability.core.model.observed import AggregateRow
    from deliverability.intake.readings import FoundReport, UnusedPart

_ROWS = 25


class _Held:
    """Keeps the rows of one report."""

    def __init__(self) -> None:
        self.rows: list[AggregateRow] = []

    def restart(self) -> None:
        self.rows.clear()

    def take(self, rows: Sequence[AggregateRow]) -> None:
        self.rows.extend(rows)


@click.command("show-report", cls=Command)
@click.argument("files", metavar="FILE|DIR|-...", nargs=-1, required=True)
@click.option("--all", "whole", is_flag=True)
@text_or_json_option
@lang_option
def command(files: tuple[str, ...], whole: bool, style: str, lang: str) -> int:
    """Show what reports say: aggregate, failure and TLS reports, as they come (gzip, zip, mail)."""
    say = language().say
    lost = False
    first = True
    with plain_errors():
        for name in files:
            if name != "-" and not Path(name).exists():
                raise InputError(NO_SUCH_FILE(name=name))
    for where, found in _found(files):
        if isinstance(found, UnusedPart):
            lost = True
            click.echo(say("punctuation.colon").join((visible(where), detail_words(found.detail, say))), err=True)
            continue
        broken: list[Exception] = []
        with set_aside(broken.append, but=(OSError,)):  # the reader of our output is gone
            rows = found.rows.rows if found.rows else ()
            if style == "json":
                click.echo(json_text({"file": where, **report_json(found.report, rows)}))
            else:
                click.echo(("" if first else "\n") + _text(found, rows, whole, lang), nl=False)
            first = False
        lost |= bool(broken)
        for detail in (*map(reason_of, broken), *getattr(found.report, "problems", ())):
            click.echo(say("punctuation.colon").join((visible(where), detail_words(detail, say))), err=True)
    return 3 if lost else 0


def _found(files: Sequence[str]) -> Iterator[tuple[str, FoundReport[_Held] | UnusedPart]]:
    """Every report of every file; of a folder, what is no report is passed over."""
    now = int(time.time())
    for name in files:
        broken: list[Exception] = []
        for item in until_lost(items(name, sys.stdin.buffer), broken.append):
            if isinstance(item, UnreadPlace):
                yield item.name, UnusedPart(item.name, item.detail)
                continue
            for each in reports_in(item.content, item.name, _Held, now):
                if item.alone or not isinstance(each, UnusedPart) or each.is_report:
                    yield item.name, each
        for error in broken:
            yield name, UnusedPart(name, reason_of(error))


def _text(found: FoundReport[_Held], rows: Sequence[AggregateRow], whole: bool, lang: str) -> str:
    say = phrases(lang)
    report = found.report
    if isinstance(report, AggregateReport):
        table = aggregate_table(report, rows, 0 if whole else _ROWS, say)
    else:
        table = tls_table(report, say) if isinstance(report, TlsReport) else failure_table(report, say)
    return history_text(table, Paper.of_terminal(**terminal()), say)
