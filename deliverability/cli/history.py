"""`deliv history`: what earlier weekly runs saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.cli.command import Command
from deliverability.cli.ending import told
from deliverability.cli.language import language
from deliverability.cli.options import config_option, lang_option, plain_errors
from deliverability.cli.types import Number
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
@click.option("--prune", type=Number(int, 1), metavar="N")
@click.option("--history", "url", metavar="URL")
@config_option
@lang_option
def command(
    domain: str | None, export: bool, prune: int | None, url: str | None, config: Path | None, lang: str
) -> int:
    """Show what earlier weekly runs saw, newest first."""
    from deliverability.cli.inputs import read_settings
    from deliverability.config import DEFAULT_FILE
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
            sentence, _ = told(error, say)
            lost.append(sentence)
            click.echo(say("cli.left-out", text=sentence), err=True)

        try:
            if prune:
                with history.held():
                    gone = history.prune(prune)
                click.echo(say.count("cli.forgotten", gone) + say.count("cli.kept", len(history.runs())))
            elif export:
                for snapshot in history.export(damaged):
                    if name is None or snapshot["domain"] == name:
                        click.echo(json_text(snapshot))
            else:
                _show(history, name, lang, damaged)
        finally:
            history.close()
    return 3 if lost else 0


def _show(history: History, domain: str | None, lang: str, damaged: Callable[[DamagedError], None]) -> None:
    from deliverability.words.sentences import phrases, visible

    say = phrases(lang)
    shown = 0
    for run, snapshot in history.snapshots(domain, damaged=damaged):
        shown += 1
        where = f"{snapshot.domain} ({visible(snapshot.source)})" if snapshot.source else snapshot.domain
        stands = "  ".join(
            [
                say("verdict.grade", grade=snapshot.assessment.grade),
                *(f"{each.receiver} {say(f'verdict.{each.verdict.value}')}" for each in snapshot.verdicts),
            ]
        )
        going = "" if run.finished else f"  [{say('history.unfinished')}]"
        click.echo(f"{run.started[:10]}  {where}{going}\n            {stands}")
    if not shown and domain is not None:
        known = tuple(dict.fromkeys(name for name, _ in history.subjects()))
        raise InputError(NO_RUN_OF(domain=domain, known=known) if known else NO_RUN_AT_ALL(domain=domain))
    if not shown:
        click.echo(say("history.empty"))
        return
    keys = history.keys(domain) if domain else ()
    if keys:
        click.echo(f"\n{say('history.keys')}")
        for key in keys:
            click.echo(
                "  "
                + say(
                    "history.key",
                    name=visible(f"{key.selector}._domainkey.{key.domain}"),
                    first=key.first_seen[:10],
                    last=key.last_seen[:10],
                )
            )
