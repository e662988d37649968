"""Which language a run speaks, and how wide the terminal is."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import click

from deliverability.console.types import settings_path
from deliverability.core.phrases import LANGUAGES, Phrases, phrases
from deliverability.core.report.formats.table import PEOPLE

BOTH = "both"
"""`--lang both`: reports in each language; what else the run says is in that of its settings or its user."""
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")


class Language:
    """The language of one run, found when it is first needed: of its words, its help, its errors and its progress.

    It is read from the arguments as they were typed, because help and errors come before these are parsed.
    """

    def __init__(self, args: Sequence[str] = ()) -> None:
        self._args = tuple(args)

    @cached_property
    def programs(self) -> str:
        """For formats that programs read: what this run or its settings ask for, never what the machine is set to."""
        return self._typed("--lang") or self._of_settings() or "en"

    @cached_property
    def people(self) -> str:
        """For everything that people read."""
        return self._typed("--lang") or self._of_settings() or _of_environment() or "en"

    def of(self, style: str) -> str:
        """For a format by its name."""
        return self.people if style in PEOPLE else self.programs

    @property
    def say(self) -> Phrases:
        """The phrases for people."""
        return phrases(self.people)

    def _typed(self, option: str) -> str:
        """The last value of an option, as far as it can be one."""
        values = [each.partition("=")[2] for each in self._args if each.startswith(f"{option}=")]
        values += [after for each, after in zip(self._args, self._args[1:], strict=False) if each == option]
        return next((each for each in reversed(values) if option != "--lang" or each in LANGUAGES), "")

    def _of_settings(self) -> str:
        """What the settings say, be the rest of them right or wrong."""
        typed = self._typed("--config")
        try:
            file = settings_path(Path(typed) if typed else None)
            if not file.is_file():
                return ""
            import tomllib

            from deliverability.console.settings import MAX_OCTETS

            if file.stat().st_size > MAX_OCTETS:
                return ""
            lang = tomllib.loads(file.read_text("utf-8")).get("lang")
        except (OSError, ValueError):
            return ""
        return lang if lang in LANGUAGES else ""


def language() -> Language:
    """That of the running command."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Language) if context is not None else None
    return found or Language()


def _of_environment() -> str:
    locale = next((value for name in _LOCALE if (value := os.environ.get(name))), "")
    wanted = (os.environ.get("DELIV_LANG", ""), locale)
    return next((lang for each in wanted for lang in LANGUAGES if each.replace("-", "_").split("_")[0] == lang), "")


def columns() -> int:
    """As `shutil.get_terminal_size` has it, whose module loads four compressors; 80 where it cannot be told."""
    setting = os.environ.get("COLUMNS", "")
    if setting.isdecimal() and int(setting):
        return int(setting)
    if sys.__stdout__ is None:
        return 80
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
