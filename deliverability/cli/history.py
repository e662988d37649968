"""`deliv history`: what earlier weekly runs saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.cli.options import config_option, lang_option, plain_errors
from deliverability.model.codec import json_text

if TYPE_CHECKING:
    from deliverability.history.store import DamagedError, History


@click.command("history")
@click.argument("domain", required=False)
@click.option("--export", is_flag=True, help="Everything as JSON, one snapshot a line.")
@click.option("--prune", type=click.IntRange(min=1), metavar="N", help="Forget all but the newest N runs.")
@click.option("--history", "url", metavar="URL", help="sqlite:///FILE or postgresql+psycopg://... [default: settings].")
@config_option
@lang_option
def command(
    domain: str | None, export: bool, prune: int | None, url: str | None, config: Path | None, lang: str
) -> int:
    """Show what earlier weekly runs saw, newest first.

    Kept are findings, verdicts, DNS records, names of domains and hosts, dates and numbers; of the words of a message
    (subject, names, addresses, Message-ID, file names, links) only digests and lengths.

    \b
      deliv history                    every run, each domain with its verdicts
      deliv history example.com        one domain, with the age of its DKIM keys
      deliv history --export > all.jsonl
      deliv history --prune 52
    """
    from deliverability.cli.inputs import read_settings
    from deliverability.config import DEFAULT_FILE
    from deliverability.history.store import History, HistoryError
    from deliverability.inputs import parse_domain

    with plain_errors():
        settings = read_settings(config)
        name = parse_domain(domain) if domain else None
        folder = (config or Path(DEFAULT_FILE)).absolute().parent
        try:
            history = History.open(url or settings.history, folder=folder)
        except HistoryError as error:
            raise click.ClickException(str(error)) from None
        lost: list[str] = []

        def damaged(error: DamagedError) -> None:
            lost.append(str(error))
            click.echo(f"left out: {error}", err=True)

        try:
            if prune:
                with history.held():
                    gone = history.prune(prune)
                click.echo(f"{gone} run{'' if gone == 1 else 's'} forgotten, {len(history.runs())} kept.")
            elif export:
                for snapshot in history.export(damaged):
                    if name is None or snapshot["domain"] == name:
                        click.echo(json_text(snapshot))
            else:
                _show(history, name, lang, damaged)
        except HistoryError as error:
            raise click.ClickException(str(error)) from None
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
    if not shown:
        click.echo(say("history.empty") if domain is None else say("history.empty-domain", domain=domain))
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
