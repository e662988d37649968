"""How a command ends: one sentence and an exit code, whatever happened. Imports click and nothing of ours."""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

DEBUG = "--debug"
_FILE_ERROR = 2
_NOT_CHECKED = 3
_INTERRUPTED = 128 + signal.SIGINT
_STOPS = ("SIGTERM", "SIGHUP")


def ended(command: Callable[[list[str]], Any], args: list[str]) -> NoReturn:
    """Run a command and leave with its exit code.

    What the user can mend and what the machine lacks (a file, a database, room on the disk) give 2, a fault of ours 3,
    for then nothing was checked; a signal gives 128 and its number, as shells have it.
    """
    debug = DEBUG in args
    stopped: list[int] = []
    _standing_streams()
    try:
        with _stoppable(stopped):
            result = command([each for each in args if each != DEBUG])
        code = result if isinstance(result, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        _tell("Aborted.")
        code = _INTERRUPTED
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        code = _FILE_ERROR
    except BrokenPipeError:
        # A reader that has seen enough (`| head`) is no error.
        forget_output()
        code = 0
    except Exception as error:
        if _interrupts(error):
            sys.exit(128 + stopped[0] if stopped else _INTERRUPTED)
        if debug:
            _tell(traceback.format_exc().rstrip())
        sentence, code = told(error)
        _tell(f"Error: {sentence}" if debug or code == _FILE_ERROR else f"Error: {sentence} ({DEBUG} shows where)")
        forget_output()
    sys.exit(128 + stopped[0] if stopped else code)


def told(error: BaseException) -> tuple[str, int]:
    """An error in one sentence, and the exit code that it gives."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return told(error.exceptions[0])
    home = type(error).__module__.partition(".")[0]
    if isinstance(error, OSError):
        if error.errno == errno.EBADF and error.filename is None:
            return "a standard stream that is needed is closed", _FILE_ERROR
        where = f"{error.filename}: " if error.filename is not None else ""
        return visible(f"{where}{error.strerror or error}"), _FILE_ERROR
    if home == "deliverability":
        return visible(str(error)), _FILE_ERROR
    if home in ("sqlalchemy", "sqlite3", "psycopg"):
        return visible(str(getattr(error, "orig", None) or error)), _FILE_ERROR
    if isinstance(error, MemoryError):
        return "there is not enough memory", _NOT_CHECKED
    return visible(f"internal error, please report it: {type(error).__name__}: {error}"), _NOT_CHECKED


def visible(text: str) -> str:
    """A text in one line; what is no printable character is written out."""
    shown = " ".join(text.split())[:2000]
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, err=True)


def _interrupts(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: Python itself makes another of it while a class is being made."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or _interrupts(error.__cause__) or _interrupts(error.__context__)
    )


@contextlib.contextmanager
def _stoppable(stopped: list[int]) -> Iterator[None]:
    """A signal to stop does what Ctrl-C does, so that nothing half-written stays; its number goes into `stopped`."""

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        # Python's, or that of a loop of asyncio, which cancels its tasks.
        on_interrupt = signal.getsignal(signal.SIGINT)
        if callable(on_interrupt):
            on_interrupt(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    def lost(error: sys.UnraisableHookArgs) -> None:
        # It came while something was being cleared away, where Python drops every error: it comes again.
        if isinstance(error.exc_value, KeyboardInterrupt):
            _thread.interrupt_main()
        else:
            hook(error)

    before = {}
    hook, sys.unraisablehook = sys.unraisablehook, lost
    for name in _STOPS:
        # Not in a thread, where no handler can be set; and what `nohup` ignores stays ignored.
        with contextlib.suppress(AttributeError, ValueError):
            number = getattr(signal, name)
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _standing_streams() -> None:
    """Where a standard stream was closed, something stands in its place, so that no file of ours gets its number.

    To read from input or to write to output is an error then; what goes to the error stream is lost.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                made = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
                if made != number:
                    os.dup2(made, number)
                    os.close(made)
                setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def forget_output() -> None:
    """What is still buffered goes nowhere, so that closing at the end finds no fault either."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
