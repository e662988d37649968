"""How a command ends: one sentence and an exit code, whatever happened. Imports nothing of ours before it is needed."""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from deliverability.console.language import Language
from deliverability.core.errors import is_interrupt
from deliverability.core.phrases import Phrases, detail_words

DEBUG = "--debug"
_FILE_ERROR = 2
_NOT_CHECKED = 3
_INTERRUPTED = 128 + signal.SIGINT
_STOPS = ("SIGTERM", "SIGHUP")
_GRACE = 5.0
"""Seconds in which a command may end by itself after a signal; then it is broken off, whatever it waits for."""
_LEAST_FILES = 32
"""Open files that a command needs; with fewer, it would stop at any place, in our code or in that of others."""
_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def ended(command: Callable[[list[str]], Any], args: list[str]) -> NoReturn:
    """Run a command and leave with its exit code; what goes wrong is told in the language of the run.

    What the user can mend and what the machine lacks (a file, a database, room on the disk) give 2, a fault of ours 3,
    for then nothing was checked; a signal gives 128 and its number, as shells have it.
    """
    debug = DEBUG in args
    stopped: list[int] = []
    _fill_streams()
    if (files := _files()) is not None:
        text = _phrase(_say(args), "cli.files", _FEW_FILES, n=str(files), least=str(_LEAST_FILES))
        _tell(_phrase(_say(args), "cli.error", "Error: {text}", text=text))
        sys.exit(_FILE_ERROR)
    try:
        with _stoppable(stopped):
            result = command([each for each in args if each != DEBUG])
        code = result if isinstance(result, int) else 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        _tell(_phrase(_say(args), "cli.aborted", "Aborted."))
        code = _INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        with contextlib.suppress(OSError):
            error.show()
        code = _FILE_ERROR
    except click.ClickException as error:
        code = _INTERRUPTED if is_interrupt(error) else _FILE_ERROR
        if code == _FILE_ERROR:
            _tell(_phrase(_say(args), "cli.error", "Error: {text}", text=error.format_message()))
    except BrokenPipeError:
        # A reader that has seen enough (`| head`) is no error.
        forget_output()
        code = 0
    except Exception as error:
        if is_interrupt(error):
            sys.exit(128 + stopped[0] if stopped else _INTERRUPTED)
        if debug:
            with contextlib.suppress(OSError, ValueError):
                sys.excepthook(type(error), error, error.__traceback__)
        say = _say(args)
        sentence, code = error_text(error, say)
        shown = _phrase(say, "cli.error", "Error: {text}", text=sentence)
        hint = _phrase(say, "cli.debug", " ({option} shows where)", option=DEBUG)
        _tell(shown if debug or code == _FILE_ERROR else shown + hint)
        if not debug and lacks(error):
            _say_no_more()
        forget_output()
    sys.exit(128 + stopped[0] if stopped else code)


_FEW_FILES = "this machine lets deliv open {n} files, and it needs {least}; raise the limit (ulimit -n)"


def _files() -> int | None:
    """How many files may be open, where that is too few and cannot be raised."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _LEAST_FILES:
        return None
    if hard == resource.RLIM_INFINITY or hard >= _LEAST_FILES:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_LEAST_FILES, hard))
            return None
    return soft


def lacks(error: BaseException) -> bool:
    """Whether the machine lacks something that every command needs: memory, or files that may be open."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(lacks, error.exceptions))
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LACKS)


def _say_no_more() -> None:
    """What is cleared away from now on, half-made as it is, has nothing to add to what was said."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


def _say(args: list[str]) -> Phrases | None:
    """The words of the run; None where the installation lacks them, which may be what is to be told."""
    with contextlib.suppress(OSError, MemoryError):
        return Language(args).say
    return None


def _phrase(say: Phrases | None, key: str, english: str, **values: str) -> str:
    return say(key, **values) if say is not None else english.format(**values)


def error_text(error: BaseException, say: Phrases | None) -> tuple[str, int]:
    """An error in one sentence, and the exit code that it gives."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return error_text(error.exceptions[0], say)
    home = type(error).__module__.partition(".")[0]
    if isinstance(error, OSError):
        if error.errno == errno.EBADF and error.filename is None:
            return _phrase(say, "cli.closed", "a standard stream that is needed is closed"), _FILE_ERROR
        where = f"{error.filename}: " if error.filename is not None else ""
        return visible(f"{where}{error.strerror or error}"), _FILE_ERROR
    details = getattr(error, "details", ())
    if details and say is not None:
        return "\n".join(visible(detail_words(each, say)) for each in details), _FILE_ERROR
    if home == "deliverability":
        return visible(str(error)), _FILE_ERROR
    if home in ("sqlalchemy", "sqlite3", "psycopg"):
        return visible(str(getattr(error, "orig", None) or error)), _FILE_ERROR
    if isinstance(error, MemoryError):
        return _phrase(say, "cli.memory", "there is not enough memory"), _NOT_CHECKED
    what = f"{type(error).__name__}: {error}"
    return visible(_phrase(say, "cli.internal", "internal error, to be reported: {what}", what=what)), _NOT_CHECKED


def visible(text: str) -> str:
    """A text in one line; what is no printable character is written out."""
    shown = " ".join(text.split())[:2000]
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, err=True)


@contextlib.contextmanager
def _stoppable(stopped: list[int]) -> Iterator[None]:
    """A signal to stop does what Ctrl-C does, so that nothing half-written stays; its number goes into `stopped`."""

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        if number in before and hasattr(signal, "setitimer"):
            # A loop of asyncio only cancels its tasks, and a task may wait for a server where nothing cancels it.
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, _GRACE, _GRACE)
        # Where Ctrl-C is ignored (in the background), no loop handles it, and its tasks would end with complaints.
        if (loops := sys.modules.get("asyncio.log")) is not None:  # no command that has none loads it for this
            loops.logger.disabled = True
        # Python's, or that of a loop of asyncio, which cancels its tasks.
        on_interrupt = signal.getsignal(signal.SIGINT)
        if callable(on_interrupt):
            on_interrupt(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    def lost(error: sys.UnraisableHookArgs) -> None:
        # It came while something was being cleared away, where Python drops every error: it comes again, but not at
        # once, or it would be raised in here and be dropped, too.
        if isinstance(error.exc_value, KeyboardInterrupt):
            import threading

            again = threading.Timer(0.01, _thread.interrupt_main)
            again.daemon = True
            again.start()
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
        if stopped and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _fill_streams() -> None:
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
