"""What was given and cannot be used; and how one item of many that cannot be used never costs the others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

from deliverability.core.codes import ABOUT, VERBATIM, Arg, Code, Detail
from deliverability.core.phrases import LANGUAGES, detail_words, phrases

T = TypeVar("T")
U = TypeVar("U")

NO_SUCH_FILE = Code("no-such-file", ("name",))
NO_SUCH_FOLDER = Code("no-such-folder", ("name",))
FILE_EXISTS = Code("file-exists", ("file",))
IS_FOLDER = Code("is-folder", ("name",))
FILE_TOO_LARGE = Code("file-too-large", ("file", "n"))
AT_LINE = Code("at-line", ("file", "line", "detail"))
NO_MEMORY = Code("no-memory")
NO_UTF8 = Code("file-no-utf8")
UNEXPECTED = Code("run-internal", ("kind", "text"))
_SHOWN = 300  # characters of what an unexpected error says


class DelivError(ValueError):
    """What programs catch: every error of deliv that its caller can do something about."""


class InputError(DelivError):
    """What was given cannot be used; each of its details says what to give instead.

    As text it speaks English, for programs that show what they caught. `code`, `place` and `values` are for programs
    that decide by it: they are those of the first detail.
    """

    def __init__(self, *details: Detail) -> None:
        super().__init__(*details)
        self.details = details

    @property
    def detail(self) -> Detail:
        """The first of them."""
        return self.details[0]

    @property
    def code(self) -> str:
        """What is wrong, as a word that does not change: ``not-a-domain``."""
        return _innermost(self.detail)[1].code

    @property
    def place(self) -> str:
        """Where: the name of the parameter, ``file:line``, or both; empty where nothing tells."""
        return _innermost(self.detail)[0]

    @property
    def values(self) -> Mapping[str, Arg]:
        """What the code is about, by name."""
        return MappingProxyType(dict(_innermost(self.detail)[1].args))

    def text(self, lang: str = "en") -> str:
        """A line for each detail, in English (``en``) or Japanese (``ja``)."""
        return "\n".join(detail_words(each, phrases(lang if lang in LANGUAGES else "en")) for each in self.details)

    def __str__(self) -> str:
        return self.text()


def _innermost(detail: Detail) -> tuple[str, Detail]:
    """The places that stand around a detail, and the detail."""
    places: list[str] = []
    while "detail" in (args := dict(detail.args)):
        if ABOUT.matches(detail) and isinstance(args["what"], str):
            places.append(args["what"])
        elif AT_LINE.matches(detail):
            places.append(f"{args['file']}:{args['line']}")
        inner = args["detail"]
        if not isinstance(inner, Detail):
            return ": ".join(places), VERBATIM(text=str(inner)) if ABOUT.matches(detail) else detail
        detail = inner
    return ": ".join(places), detail


class FilesError(InputError):
    """Files that cannot be used, with every problem found and its place."""


class DetailError(Exception):
    """What a module says to its callers: something cannot be done or used, and `detail` says why."""

    def __init__(self, detail: Detail) -> None:
        super().__init__(detail.code)
        self.detail = detail


def not_written(name: object, error: OSError) -> Detail:
    """Why a file cannot be written."""
    return NO_SUCH_FOLDER(name=str(name)) if isinstance(error, FileNotFoundError) else file_error(name, error)


def file_error(name: object, error: OSError | ValueError) -> Detail:
    """What the system says about a file, or what is wrong with what it holds."""
    if isinstance(error, FileNotFoundError):
        return NO_SUCH_FILE(name=str(name))
    if isinstance(error, UnicodeDecodeError):
        return ABOUT(what=str(name), detail=NO_UTF8())
    return ABOUT(what=str(name), detail=getattr(error, "strerror", None) or str(error))


# --- One of many ---


def reason_of(error: Exception) -> Detail:
    """Why something cannot be used, from whatever was raised: what that says, or that it is an error of ours."""
    if isinstance(error, DetailError | InputError) and isinstance(error.detail, Detail):
        return error.detail
    if isinstance(error, OSError):
        return VERBATIM(text=error.strerror or str(error) or type(error).__name__)
    if isinstance(error, MemoryError):
        return NO_MEMORY()
    return UNEXPECTED(kind=type(error).__name__, text=str(error)[:_SHOWN])


# What CPython raises instead where Ctrl-C comes while it writes the text of an ImportError (PyErr_SetImportError).
_NO_MESSAGE = "expected a message argument"


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: Python itself makes another of it while a class is made or a name imported."""
    behind: list[BaseException | None] = [error]
    seen: set[int] = set()  # an error may stand behind itself
    while behind:
        each = behind.pop()
        if each is None or id(each) in seen:
            continue
        if isinstance(each, KeyboardInterrupt) or (type(each) is TypeError and each.args == (_NO_MESSAGE,)):
            return True
        seen.add(id(each))
        behind += [each.__cause__, each.__context__]
    return False


def stop_if_interrupt(error: BaseException) -> None:
    """Raise KeyboardInterrupt where Ctrl-C is behind an error: parsers of dnspython make another of it."""
    if is_interrupt(error):
        raise KeyboardInterrupt from error


@contextlib.contextmanager
def set_aside(lost: Callable[[Exception], None], *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Around the work on one item of many: whatever is raised goes to `lost`, and the loop takes the next item.

    `but`: errors of what all items share, as a history that is gone, which end the loop.
    """
    try:
        yield
    except but:
        raise
    except Exception as error:
        if is_interrupt(error):
            raise
        lost(error)


def each_of(items: Iterable[T], work: Callable[[T], Iterable[U]]) -> Iterator[U]:
    """All that `work` gives for each item; one that it fails at costs no other, for its error is raised at the end.

    Where there are several of these, the first is.
    """
    lost: list[Exception] = []
    for item in items:
        found: Iterable[U] = ()
        with set_aside(lost.append):
            found = work(item)
        yield from until_lost(found, lost.append)
        del lost[1:]
    if lost:
        raise lost[0]


def until_lost(
    items: Iterable[T], lost: Callable[[Exception], None], *, but: tuple[type[Exception], ...] = ()
) -> Iterator[T]:
    """The items of what makes them one after another; where it breaks, `lost` is told why and they end.

    What is raised by the work on an item does not come by here.
    """
    source = iter(items)
    while True:
        found: list[T] = []
        with set_aside(lost, but=but):
            found.extend(islice(source, 1))
        if not found:
            return
        yield found[0]
