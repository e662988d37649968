"""`deliv schedule`: what makes a machine run `deliv weekly`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability._files import write_whole
from deliverability.cli.options import plain_errors
from deliverability.config import DEFAULT_FILE

if TYPE_CHECKING:
    from deliverability.runs.weekly.source import PinnedSource

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


@click.command("schedule")
@click.option("--cron", "style", flag_value="cron", default=True, help="A crontab line (the default).")
@click.option("--systemd", "style", flag_value="systemd", help="A systemd service and its timer.")
@click.option("--github", "style", flag_value="github", help="A workflow file for GitHub Actions; needs --source.")
@click.option(
    "--source",
    metavar="git+URL@COMMIT|WHEEL",
    help="With --github: where the workflow gets deliv from; a commit by its 40 digits, or a wheel in your repository.",
)
@click.option("--day", type=click.Choice(_DAYS), default="monday", show_default=True, help="Day of the week.")
@click.option("--time", "clock", default="06:00", show_default=True, metavar="HH:MM", help="Time of that day, local.")
@click.option("--install", is_flag=True, help="Put the line into your crontab, after showing it.")
@click.option("--remove", is_flag=True, help="Take the line out of your crontab.")
@click.option("--yes", is_flag=True, help="With --install: do not ask.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="With --systemd: write the two files into this folder.",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(DEFAULT_FILE),
    show_default=True,
    metavar="FILE",
    help="The settings the weekly run is to use.",
)
def command(**params: Any) -> int:
    """Print the crontab line, the systemd units or the workflow that run `deliv weekly`.

    \b
      deliv schedule                          the crontab line
      deliv schedule --install                put it into your crontab
      deliv schedule --systemd -o ~/.config/systemd/user
      deliv schedule --github --source tools/deliv-0.1.0-py3-none-any.whl > .github/workflows/deliv.yml
    """
    from deliverability.runs.weekly import schedule

    config: Path = params["config"]
    when = schedule.When(_DAYS.index(params["day"]), *_clock(params["clock"]))
    if (params["install"] or params["remove"]) and params["style"] != "cron":
        raise click.UsageError("--install and --remove are for the crontab line")
    if params["install"] and params["remove"]:
        raise click.UsageError("--install and --remove contradict each other; give one of them")
    if params["output"] and params["style"] != "systemd":
        raise click.UsageError("-o goes with --systemd")
    if params["source"] and params["style"] != "github":
        raise click.UsageError("--source goes with --github")
    if not params["remove"] and not config.is_file():
        raise click.ClickException(f"{config}: no such file; `deliv init` writes one")
    try:
        if params["remove"]:
            count = schedule.remove(config)
            click.echo("Removed from your crontab." if count else f"Your crontab has no line for {config}.")
        elif params["style"] == "cron":
            line = schedule.cron_line(config, when)
            click.echo(line)
            if params["install"]:
                if not params["yes"]:
                    click.confirm("Put this line into your crontab?", abort=True, err=True)
                schedule.install(config, when)
                click.echo("Installed. `crontab -l` shows it; `deliv schedule --remove` takes it out.", err=True)
        elif params["style"] == "github":
            offset = datetime.now().astimezone().utcoffset() or timedelta()
            click.echo(schedule.github_workflow(config, when, _source(params["source"]), offset), nl=False)
        else:
            _systemd(schedule.systemd_units(config, when), params["output"])
    except schedule.ScheduleError as error:
        raise click.ClickException(str(error)) from None
    return 0


def _source(text: str | None) -> PinnedSource:
    from deliverability.runs.weekly.source import examples, parse_source

    if not text:
        forms = "".join(f"\n  --source {each}" for each in examples())
        raise click.UsageError(f"--github needs --source, where the workflow gets deliv from:{forms}")
    with plain_errors():
        return parse_source(text, Path.cwd())


def _clock(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise click.UsageError(f"--time {text}: write the time as HH:MM, for example 06:00")
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
            raise click.ClickException(f"{folder / name}: {error.strerror or error}") from None
        click.echo(f"Written: {folder / name}")
    if folder is not None:
        click.echo("Now: systemctl --user daemon-reload && systemctl --user enable --now deliv-weekly.timer", err=True)
