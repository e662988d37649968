"""`deliv fleet status`: how far the run of a folder is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.console.command import Command
from deliverability.console.ending import visible
from deliverability.console.language import language
from deliverability.console.options import plain_errors, speaking_option, text_or_json_option
from deliverability.console.running import clock
from deliverability.console.types import PathOf
from deliverability.core.codec import encode, json_text
from deliverability.core.phrases import detail_words
from deliverability.fleet.run import fleet_status

if TYPE_CHECKING:
    from deliverability.core.codes import Detail
    from deliverability.fleet.shards import FleetStatus

_SHOWN = 20


@click.command("fleet-status", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@text_or_json_option
@speaking_option
def command(folder: Path, style: str) -> int:
    """Say how far the run of a folder is."""
    with plain_errors():
        status = fleet_status(folder)
    if style == "json":
        click.echo(json_text(_as_json(status), indent=2))
    else:
        click.echo("\n".join(status_lines(status)))
    tell_damaged(status.damaged)
    return 3 if status.damaged else 0


def tell_damaged(damaged: Sequence[Detail]) -> None:
    """Name the files of shards that are not as they were written."""
    say = language().say
    for each in damaged[:_SHOWN]:
        click.echo(say("cli.warning", text=visible(detail_words(each, say))), err=True)
    if len(damaged) > _SHOWN:
        click.echo(say("cli.more-problems", n=f"{len(damaged) - _SHOWN:,}"), err=True)


def _as_json(status: FleetStatus) -> dict[str, object]:
    return {
        "domains": status.domains,
        "done": status.done,
        "failed": status.failed,
        "left": status.left,
        "duplicates": status.duplicates,
        "refused": status.refused,
        "running": status.running,
        "seconds": round(status.seconds, 3),
        "rate": round(status.rate, 3),
        "seconds_left": None if status.seconds_left is None else round(status.seconds_left, 3),
        "digest": status.digest,
        "damaged": [encode(each) for each in status.damaged],
    }


def status_lines(status: FleetStatus) -> Iterator[str]:
    """The same for people."""
    say = language().say
    counts = {"done": f"{status.done:,}", "all": f"{status.domains:,}", "failed": f"{status.failed:,}"}
    yield say("cli.fleet-status", **counts)
    if status.refused:
        yield say.count("cli.fleet-refused-lines", status.refused)
    if status.rate:
        yield say("cli.fleet-rate", rate=f"{status.rate:,.1f}", elapsed=clock(status.seconds))
    if status.left and status.running and status.seconds_left is not None:
        yield say("cli.fleet-left", left=f"{status.left:,}", time=clock(status.seconds_left))
    elif status.left and not status.running:
        yield say("cli.fleet-idle", left=f"{status.left:,}")
