"""`deliv schedule`: what makes a machine run `deliv weekly`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability._files import write_whole
from deliverability.cli.command import Command
from deliverability.cli.language import language
from deliverability.cli.options import speaking_option
from deliverability.cli.output import wrote
from deliverability.cli.types import DEFAULT_FILE, OneOf, PathOf
from deliverability.config import NO_SETTINGS
from deliverability.model.codes import VERBATIM, Code
from deliverability.model.errors import InputError, file_error
from deliverability.ports.open import CONTRADICTION

if TYPE_CHECKING:
    from deliverability.runs.weekly.source import PinnedSource

CRONTAB_ONLY = Code("crontab-only")
GOES_WITH = Code("option-goes-with", ("option", "other"))
NO_SOURCE = Code("workflow-no-source")
NO_TIME = Code("no-time", ("text",))
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


@click.command("schedule", cls=Command)
@click.option("--cron", "style", flag_value="cron", default=True)
@click.option("--systemd", "style", flag_value="systemd")
@click.option("--github", "style", flag_value="github")
@click.option("--source", metavar="git+URL@COMMIT|WHEEL")
@click.option("--day", type=OneOf(_DAYS), default="monday", show_default=True)
@click.option("--time", "clock", default="06:00", show_default=True, metavar="HH:MM")
@click.option("--install", is_flag=True)
@click.option("--remove", is_flag=True)
@click.option("--yes", is_flag=True)
@click.option("-o", "--output", type=PathOf("folder"), metavar="DIR")
@click.option("--config", type=PathOf("file"), default=Path(DEFAULT_FILE), show_default=True, metavar="FILE")
@speaking_option
def command(**params: Any) -> int:
    """Print or install what runs `deliv weekly`."""
    from deliverability.runs.weekly import schedule

    say = language().say
    config: Path = params["config"]
    when = schedule.When(_DAYS.index(params["day"]), *_clock(params["clock"]))
    if (params["install"] or params["remove"]) and params["style"] != "cron":
        raise InputError(CRONTAB_ONLY())
    if params["install"] and params["remove"]:
        raise InputError(CONTRADICTION(names=("--install", "--remove")))
    if params["output"] and params["style"] != "systemd":
        raise InputError(GOES_WITH(option="-o", other="--systemd"))
    if params["source"] and params["style"] != "github":
        raise InputError(GOES_WITH(option="--source", other="--github"))
    if not params["remove"] and not config.is_file():
        raise InputError(NO_SETTINGS(file=str(config)))
    if params["remove"]:
        count = schedule.remove(config)
        click.echo(say("cli.crontab-removed") if count else say("cli.crontab-nothing", file=str(config)))
    elif params["style"] == "cron":
        line = schedule.cron_line(config, when)
        click.echo(line)
        if params["install"]:
            if not params["yes"]:
                click.confirm(say("cli.crontab-confirm"), abort=True, err=True)
            schedule.install(config, when)
            click.echo(say("cli.crontab-installed"), err=True)
    elif params["style"] == "github":
        offset = datetime.now().astimezone().utcoffset() or timedelta()
        click.echo(schedule.github_workflow(config, when, _source(params["source"]), offset), nl=False)
    else:
        _systemd(schedule.systemd_units(config, when), params["output"])
    return 0


def _source(text: str | None) -> PinnedSource:
    from deliverability.runs.weekly.source import examples, parse_source

    if not text:
        raise InputError(NO_SOURCE(), *(VERBATIM(text=f"--source {each}") for each in examples()))
    return parse_source(text, Path.cwd())


def _clock(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise InputError(NO_TIME(text=text))
    return int(hour), int(minute)


def _systemd(units: dict[str, str], folder: Path | None) -> None:
    for name, text in units.items():
        if folder is None:
            click.echo(f"# {name}\n{text}")
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, text)
        except OSError as error:
            raise InputError(file_error(folder / name, error)) from None
        wrote(folder / name)
    if folder is not None:
        click.echo(language().say("cli.systemd-next"), err=True)
