"""`deliv history`: what earlier weekly runs saw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.cli.command import Command
from deliverability.cli.ending import error_text
from deliverability.cli.language import language
from deliverability.cli.options import config_option, lang_option, plain_errors
from deliverability.cli.types import DayType, NumberType
from deliverability.model.codec import json_text
from deliverability.model.codes import Code
from deliverability.model.errors import InputError

if TYPE_CHECKING:
    from deliverability.history.store import DamagedError, History

NO_RUN_OF = Code("no-run-of", ("domain", "known"))
NO_RUN_AT_ALL = Code("no-run-at-all", ("domain",))


@click.command("history", cls=Command)
@click.argument("domain", metavar="[DOMAIN]", required=False)
@click.option("--export", is_flag=True)
@click.option("--forget-before", "before", type=DayType(), metavar="DATE")
@click.option("--prune", type=NumberType(int, 1), metavar="N")
@click.option("--history", "url", metavar="URL")
@config_option
@lang_option
def command(
    domain: str | None,
    export: bool,
    before: date | None,
    prune: int | None,
    url: str | None,
    config: Path | None,
    lang: str,
) -> int:
    """Show what earlier weekly runs saw, newest first."""
    from deliverability.cli.inputs import read_settings
    from deliverability.cli.types import DEFAULT_FILE
    from deliverability.history.store import History
    from deliverability.inputs import parse_domain

    with plain_errors():
        settings = read_settings(config)
        name = parse_domain(domain) if domain else None
        folder = (config or Path(DEFAULT_FILE)).absolute().parent
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
    from deliverability.history.observations import Observations

    with history.held():
        gone = Observations(history).forget((before - date(1970, 1, 1)).days)
    click.echo(language().say.count("cli.reports-forgotten", gone))


def _show(history: History, domain: str | None, lang: str, damaged: Callable[[DamagedError], None]) -> None:
    from deliverability.cli.output import terminal
    from deliverability.history.rows import run_rows, subject_rows
    from deliverability.render.history import history_text
    from deliverability.render.paper import Paper
    from deliverability.view.history import run_table, subject_table
    from deliverability.words.phrases import phrases
    from deliverability.words.sentences import visible

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
