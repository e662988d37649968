"""The lines that make a machine run `deliv weekly`: crontab, systemd, GitHub Actions."""

from __future__ import annotations

import shlex
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability._resources import locate
from deliverability.model.codes import Code
from deliverability.model.errors import InputError
from deliverability.runs.weekly.source import LOCKS, PinnedSource

if TYPE_CHECKING:
    from crontab import CronTab

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
