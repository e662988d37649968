"""`deliv schedule`: what makes a machine run `deliv weekly`, and where a workflow gets deliv from."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
import zipfile
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.language import language
from deliverability.console.options import speaking_option
from deliverability.console.output import wrote
from deliverability.console.settings import NO_SETTINGS
from deliverability.console.types import OneOf, PathOf, settings_path
from deliverability.core.codes import VERBATIM, Code
from deliverability.core.errors import InputError, file_error
from deliverability.core.files import locate, write_whole
from deliverability.core.net.open import CONTRADICTION

if TYPE_CHECKING:
    from crontab import CronTab

NO_DELIV_SOURCE = Code("source-unknown", ("text", "git", "wheel"))
NOT_A_COMMIT = Code("source-no-commit", ("text", "git"))
NOT_PINNED = Code("source-not-pinned", ("text",))
WITH_PASSWORD = Code("source-password")
WHEEL_OUTSIDE = Code("source-wheel-outside", ("file", "folder"))
NO_WHEEL = Code("source-no-wheel", ("file",))

LOCKS = (
    "deliverability/data/requirements-build.lock",
    "deliverability/data/requirements-run.lock",
)
"""What builds, then what runs, with their hashes, as every wheel of deliv carries them."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_EXAMPLES = ("git+https://git.example.com/deliv.git@" + "0123456789" * 4, "tools/deliv-1.0.0-py3-none-any.whl")


class GitSource(Struct, frozen=True):
    """A commit of a repository; git itself checks that the files are those of the commit."""

    url: str
    commit: str


class WheelSource(Struct, frozen=True):
    """A wheel by its path in the repository that the workflow belongs to, and its SHA-256."""

    path: str
    sha256: str


PinnedSource = GitSource | WheelSource


def parse_source(text: str, folder: Path) -> PinnedSource:
    """``git+URL@COMMIT``, or the path of a wheel below `folder`, the user's repository. Raises InputError."""
    if text.startswith("git+"):
        return _git(text)
    if text.endswith(".whl"):
        return _wheel(text, folder)
    raise InputError(NO_DELIV_SOURCE(text=text, git=_EXAMPLES[0], wheel=_EXAMPLES[1]))


def examples() -> tuple[str, ...]:
    """Both forms; where this installation knows where it came from (PEP 610), that one first."""
    return (*dict.fromkeys((*own_origin(), *_EXAMPLES)),)


def own_origin() -> tuple[str, ...]:
    """The source of this installation, where it is one that can be named."""
    try:
        known = json.loads(distribution("deliv").read_text("direct_url.json") or "{}")
        url, vcs = str(known.get("url", "")), known.get("vcs_info") or {}
        if vcs.get("vcs") == "git" and _COMMIT.fullmatch(str(vcs.get("commit_id"))):
            return (f"git+{url}@{vcs['commit_id']}",)
        if url.startswith("file:") and url.endswith(".whl"):
            return (url2pathname(urlsplit(url).path),)
    except (PackageNotFoundError, ValueError, AttributeError, OSError):
        pass  # installed in another way, or by a tool that writes this file as it likes
    return ()


def _git(text: str) -> GitSource:
    url, at, commit = text.removeprefix("git+").rpartition("@")
    parts = urlsplit(url)
    if not at or parts.scheme not in ("https", "ssh") or not parts.hostname or not url.isprintable() or " " in url:
        raise InputError(NOT_A_COMMIT(text=text, git=_EXAMPLES[0]))
    if not _COMMIT.fullmatch(commit):
        raise InputError(NOT_PINNED(text=commit))
    if parts.password or (parts.scheme == "https" and parts.username):
        raise InputError(WITH_PASSWORD())
    return GitSource(url, commit)


def _wheel(text: str, folder: Path) -> WheelSource:
    path = Path(text)
    try:
        inside = (folder / path).resolve().relative_to(folder.resolve())
    except ValueError:
        raise InputError(WHEEL_OUTSIDE(file=text, folder=str(folder))) from None
    try:
        data = (folder / path).read_bytes()
        with zipfile.ZipFile(folder / path) as archive:
            for lock in LOCKS:
                archive.getinfo(lock)
    except OSError as error:
        raise InputError(file_error(text, error)) from None
    except (zipfile.BadZipFile, KeyError):
        raise InputError(NO_WHEEL(file=text)) from None
    return WheelSource(inside.as_posix(), hashlib.sha256(data).hexdigest())


MARK = "deliv weekly"
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

CONTROL_CHARACTER = Code("name-control-character", ("name",))
NOT_UTF8 = Code("name-not-utf8", ("name",))
NO_CRONTAB = Code("no-crontab")
CRONTAB_UNREADABLE = Code("crontab-unreadable", ("why",))
CRONTAB_UNWRITABLE = Code("crontab-unwritable", ("why",))


class ScheduleError(InputError):
    """A path that no line can hold, or a crontab that cannot be read or written; the text says what to do."""


class When(Struct, frozen=True):
    """A moment of the week in the machine's time zone; `day` counts from Sunday (0)."""

    day: int = 1
    hour: int = 6
    minute: int = 0

    @property
    def cron(self) -> str:
        """The five fields of a crontab line."""
        return f"{self.minute} {self.hour} * * {self.day}"

    def in_utc(self, offset: timedelta) -> When:
        """The same moment in UTC, where the clocks are ahead of it by `offset`."""
        minutes = (self.day * 24 + self.hour) * 60 + self.minute - round(offset / timedelta(minutes=1))
        hours, minute = divmod(minutes, 60)
        days, hour = divmod(hours, 24)
        return When(days % 7, hour, minute)

    @property
    def clock(self) -> str:
        """Day and time for people."""
        return f"{DAYS[self.day].title()} {self.hour:02}:{self.minute:02}"

    @property
    def calendar(self) -> str:
        """As systemd's OnCalendar= has it."""
        return f"{DAYS[self.day][:3].title()} *-*-* {self.hour:02}:{self.minute:02}:00"


def command_of(config: Path) -> list[str]:
    """The command to run, by absolute paths: cron and systemd know neither the folder nor the user's PATH.

    Raises ScheduleError where a path holds what would end the line, or is no text.
    """
    program = shutil.which("deliv")
    start = [str(Path(program).absolute())] if program else [sys.executable, "-m", "deliverability"]
    return [_in_one_line(word) for word in (*start, "weekly", "--config", str(config.absolute()))]


def _in_one_line(word: str) -> str:
    if len(word.splitlines()) > 1 or any(ord(char) < 32 or char in "\x7f\x85\u2028\u2029" for char in word):
        raise ScheduleError(CONTROL_CHARACTER(name=repr(word)))
    if any("\ud800" <= char <= "\udfff" for char in word):
        raise ScheduleError(NOT_UTF8(name=repr(word)))
    return word


def cron_line(config: Path, when: When) -> str:
    """One line for the crontab. `%` means a line end there, so it is escaped."""
    command = shlex.join(command_of(config)).replace("%", r"\%")
    return f"{when.cron} {command} # {MARK}"


def systemd_units(config: Path, when: When) -> dict[str, str]:
    """File name -> text of a service and its timer, for ``~/.config/systemd/user/`` or ``/etc/systemd/system/``."""
    command = " ".join(_systemd_word(word) for word in command_of(config))
    service = f"""[Unit]
Description=Weekly email deliverability audit
Documentation=man:systemd.timer(5)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
# 1: findings, 3: something could not be checked. Neither is a failure of the service.
SuccessExitStatus=1 3
Nice=10
"""
    timer = f"""[Unit]
Description=Weekly email deliverability audit

[Timer]
OnCalendar={when.calendar}
# A machine that was off at that time catches up; many machines do not ask at the same second.
Persistent=true
RandomizedDelaySec=10min

[Install]
WantedBy=timers.target
"""
    return {"deliv-weekly.service": service, "deliv-weekly.timer": timer}


def _systemd_word(word: str) -> str:
    """A word of ExecStart=, quoted as systemd.syntax(7) says; `%` and `$` stand for themselves when doubled."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if plain != word or any(char.isspace() for char in plain) or "'" in plain else plain


def github_workflow(config: Path, when: When, source: PinnedSource, offset: timedelta) -> str:
    """A workflow file for GitHub Actions; the history travels in the cache, the pages are an artifact.

    Args:
        config: the settings.
        when: local time; GitHub's is UTC, and knows no summer time.
        source: where deliv comes from.
        offset: by how much local time is ahead of UTC.

    Raises:
        ScheduleError: as `command_of`.

    """
    import jinja2

    # Delimiters of its own, because GitHub's expressions have those of Jinja2.
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, no HTML
        trim_blocks=True,
        keep_trailing_newline=True,
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
    )
    environment.filters["word"] = _word_in_block
    template = environment.from_string((locate("reports") / "github.yml").read_text("utf-8"))
    return template.render(
        config=config.name,
        local=when,
        utc=when.in_utc(offset),
        offset=_offset(offset),
        source=source,
        locks=LOCKS,
    )


def _word_in_block(word: str) -> str:
    """A word of a shell's line, in a block in which YAML reads every character as it is.

    GitHub's own expressions are spelled apart: it would put in what they stand for, quotes or not.
    """
    return shlex.quote(_in_one_line(word)).replace("${{", "$'{''{'")


def _offset(offset: timedelta) -> str:
    hours, minutes = divmod(abs(round(offset / timedelta(minutes=1))), 60)
    return f"UTC{'-' if offset < timedelta() else '+'}{hours}" + (f":{minutes:02}" if minutes else "")


def install(config: Path, when: When, *, tab: CronTab | None = None) -> str:
    """Put the line into the user's crontab, in the place of one that is there for the same settings; gives the line.

    Raises ScheduleError where there is no crontab program or it refuses.
    """
    opened = tab if tab is not None else _crontab()
    _drop(opened, config)
    job = opened.new(command=shlex.join(command_of(config)), comment=MARK)
    job.setall(when.cron)
    _write(opened)
    return cron_line(config, when)


def remove(config: Path, *, tab: CronTab | None = None) -> int:
    """Take the line for these settings out of the user's crontab; gives how many there were. Raises ScheduleError."""
    opened = tab if tab is not None else _crontab()
    count = _drop(opened, config)
    if count:
        _write(opened)
    return count


def _crontab() -> CronTab:
    from crontab import CronTab

    if shutil.which("crontab") is None:
        raise ScheduleError(NO_CRONTAB())
    try:
        return CronTab(user=True)
    except OSError as error:
        raise ScheduleError(CRONTAB_UNREADABLE(why=str(error))) from None


def _drop(tab: CronTab, config: Path) -> int:
    wanted = shlex.quote(str(config.absolute()))
    jobs = [job for job in tab.find_comment(MARK) if str(job.command).replace(r"\%", "%").rstrip().endswith(wanted)]
    for job in jobs:
        tab.remove(job)
    return len(jobs)


def _write(tab: CronTab) -> None:
    try:
        tab.write()
    except OSError as error:
        raise ScheduleError(CRONTAB_UNWRITABLE(why=str(error))) from None


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
@click.option("--config", type=PathOf("file"), metavar="FILE")
@speaking_option
def command(**params: Any) -> int:
    """Print or install what runs `deliv weekly`."""
    say = language().say
    config = settings_path(params["config"])
    when = When(_DAYS.index(params["day"]), *_clock(params["clock"]))
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
        count = remove(config)
        click.echo(say("cli.crontab-removed") if count else say("cli.crontab-nothing", file=str(config)))
    elif params["style"] == "cron":
        line = cron_line(config, when)
        click.echo(line)
        if params["install"]:
            if not params["yes"]:
                click.confirm(say("cli.crontab-confirm"), abort=True, err=True)
            install(config, when)
            click.echo(say("cli.crontab-installed"), err=True)
    elif params["style"] == "github":
        offset = datetime.now().astimezone().utcoffset() or timedelta()
        click.echo(github_workflow(config, when, _source(params["source"]), offset), nl=False)
    else:
        _systemd(systemd_units(config, when), params["output"])
    return 0


def _source(text: str | None) -> PinnedSource:

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
