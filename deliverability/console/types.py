"""The types of options and arguments: what does not fit is told in the language of the run."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import IS_FOLDER, NO_SUCH_FILE, InputError

DEFAULT_FILE = "deliv.toml"
"""The settings file that `deliv init` writes."""
_DEFAULT_FILES = (DEFAULT_FILE, f".{DEFAULT_FILE}")


def settings_path(named: Path | None = None) -> Path:
    """The settings file of a run: the one that is named, else the nearest of the usual names.

    The search begins in the current folder and ends at the root of its repository; outside a repository nothing above
    the current folder is read. A file above it counts only if it belongs to the user or to root, because settings can
    name commands. Where there is none, this is where `deliv init` would write it.
    """
    if named is not None:
        return named
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return Path(DEFAULT_FILE)
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    for folder in (here, *here.parents):
        for name in _DEFAULT_FILES:
            if (folder / name).is_file() and (folder == here or _is_own(folder / name)):
                return Path(name) if folder == here else folder / name
        if folder == root:
            break
    return Path(DEFAULT_FILE)


def settings_folder(named: Path | None = None) -> Path:
    """The folder of that file, which relative places in it are meant from."""
    return settings_path(named).absolute().parent


def _is_own(file: Path) -> bool:
    return not hasattr(os, "getuid") or file.stat().st_uid in (os.getuid(), 0)


REPORT_IS_FOLDER = Code("report-is-folder", ("name",))
NOT_ONE_OF = Code("option-not-one-of", ("option", "text", "values"))
NOT_ONE_OF_NEAR = Code("option-not-one-of-near", ("option", "text", "values", "near"))
NO_NUMBER_FROM = Code("option-no-number-from", ("option", "text", "least"))
NO_NUMBER_WITHIN = Code("option-no-number-within", ("option", "text", "least", "most"))
NO_MESSAGES_A_DAY = Code("option-no-messages-a-day", ("option", "text"))
NO_DAY = Code("option-no-day", ("option", "text"))
NO_FOLDER = Code("option-no-folder", ("name",))
NO_ENGINE = Code("option-no-engine", ("option", "text"))
NO_HOST_PORT = Code("option-no-host-port", ("option", "text"))
NO_NAMES = Code("option-no-names", ("option",))
NO_SIZE = Code("option-no-size", ("option", "text"))
_LAST_PORT = 65_535
_MOST_OCTETS = 150_000_000  # what is read of a message at most


class OneOf(click.ParamType[str]):
    """One of several words, or another word for one of them."""

    name = "choice"

    def __init__(self, choices: Sequence[str], others: Mapping[str, str] | None = None) -> None:
        self.choices = tuple(choices)
        self._others = others or {}

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The words, as help texts show them."""
        return f"[{'|'.join(self.choices)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word. Raises InputError."""
        word = self._others.get(str(value).lower(), str(value).lower())
        if word in self.choices:
            return word
        near = difflib.get_close_matches(word, (*self.choices, *self._others), n=1)
        arguments = {"option": called(param), "text": value, "values": self.choices}
        raise InputError(NOT_ONE_OF_NEAR(**arguments, near=near[0]) if near else NOT_ONE_OF(**arguments))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The words that begin so."""
        return [CompletionItem(each) for each in self.choices if each.startswith(incomplete)]


class NumberType(click.ParamType[float]):
    """A number within bounds; `kind` is int for whole ones."""

    name = "number"

    def __init__(self, kind: type[int] | type[float], least: float, most: float | None = None) -> None:
        self._kind, self._least, self._most = kind, least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises InputError."""
        try:
            number = self._kind(value)
        except ValueError:
            number = None
        if number is None or not self._least <= number <= (float("inf") if self._most is None else self._most):
            raise InputError(self.problem(called(param), str(value)))
        return number

    def problem(self, option: str, text: str) -> Detail:
        """What is wrong with a text."""
        least = f"{self._least:g}"
        if self._most is None:
            return NO_NUMBER_FROM(option=option, text=text, least=least)
        return NO_NUMBER_WITHIN(option=option, text=text, least=least, most=f"{self._most:g}")


class MessagesADay(NumberType):
    """A number of messages a day."""

    def __init__(self) -> None:
        super().__init__(int, 0)

    def problem(self, option: str, text: str) -> Detail:
        """What is wrong with a text."""
        return NO_MESSAGES_A_DAY(option=option, text=text)


class DayType(click.ParamType[date]):
    """A day: ``2026-11-26``."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day. Raises InputError."""
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise InputError(NO_DAY(option=called(param), text=str(value))) from None


class EngineAddress(click.ParamType[str]):
    """Who does the work: empty for processes of this machine, else the address of a scheduler."""

    name = "engine"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address. Raises InputError."""
        text = str(value)
        if text == "processes":
            return ""
        if not re.fullmatch(r"dask://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}", text):
            raise InputError(NO_ENGINE(option=called(param), text=text))
        return text


class NamesOf(click.ParamType["tuple[str, ...]"]):
    """Several names, with commas between them; which there are, whoever looks them up knows."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, each once. Raises InputError where there is none."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(each for part in str(value).split(",") if (each := part.strip())))
        if not names:
            raise InputError(NO_NAMES(option=called(param)))
        return names


class HostPort(click.ParamType["tuple[str, int] | None"]):
    """Where to listen: ``127.0.0.1:25``, ``[::1]:25``, ``localhost:25``; `none` is a word for nowhere."""

    name = "address"

    def __init__(self, none: str = "") -> None:
        self._none = none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int] | None:
        """Host and port; None for nowhere. Raises InputError."""
        text = str(value).strip()
        if self._none and text.lower() == self._none:
            return None
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", text)
        if found is None or int(found[3]) > _LAST_PORT:
            raise InputError(NO_HOST_PORT(option=called(param), text=text))
        return found[1] or found[2], int(found[3])


class Size(click.ParamType[int]):
    """Octets: ``50MB``, ``500kB``, ``1000``; as receivers count them, a thousand each."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The octets. Raises InputError."""
        text = str(value).strip().lower()
        found = re.fullmatch(r"([0-9]{1,12})\s*(|k|m|g)b?", text)
        octets = int(found[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[found[2]] if found else 0
        if not 1 <= octets <= _MOST_OCTETS:
            raise InputError(NO_SIZE(option=called(param), text=str(value)))
        return octets


class PathOf(click.ParamType[Path]):
    """A path: of a file, a folder, or either; `exists` where it must be there."""

    name = "path"

    def __init__(self, kind: str = "file", *, exists: bool = False) -> None:
        self._kind, self._exists = kind, exists

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Raises InputError."""
        path = Path(value)
        try:
            there, folder = path.exists(), path.is_dir()
        except OSError as error:
            raise InputError(ABOUT(what=f"{called(param)} {value}", detail=error.strerror or str(error))) from None
        shown = f"{called(param)} {value}"
        if self._exists and not there:
            raise InputError(NO_SUCH_FILE(name=shown))
        if there and folder and self._kind == "file":
            raise InputError(IS_FOLDER(name=shown))
        if there and not folder and self._kind == "folder":
            raise InputError(NO_FOLDER(name=shown))
        return path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Left to the shell, which knows paths best."""
        return [CompletionItem(incomplete, type="dir" if self._kind == "folder" else "file")]


class Folder(Struct, frozen=True):
    """A folder for reports, given with a slash at its end; it need not be there."""

    path: Path


class ReportPath(click.ParamType["Path | Folder"]):
    """Where a report goes: a file, or a folder, which ends in a slash."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | Folder:
        """Raises InputError."""
        if isinstance(value, Folder) or not str(value).endswith(("/", os.sep)):
            if not isinstance(value, Folder) and Path(value).is_dir():
                raise InputError(REPORT_IS_FOLDER(name=f"{called(param)} {value}"))
            return value if isinstance(value, Folder) else PathOf("file").convert(value, param, ctx)
        return Folder(PathOf("folder").convert(value, param, ctx))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Left to the shell."""
        return PathOf("file").shell_complete(ctx, param, incomplete)


def called(param: click.Parameter | None) -> str:
    """How people call a parameter: its long option, or its name in the usage line."""
    if param is None:
        return ""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return (param.metavar or param.name or "").strip("[].")
