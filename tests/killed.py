"""Processes that die: work in a child that is killed at its n-th step, or whose disk is full."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MOST = 2000  # steps; no work that is killed takes as many

Step = Callable[[], None]


def in_child(work: Callable[[], Any]) -> int:
    """Do the work in a child of this process; gives its exit code, or the number of its signal as a negative."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = int(work() or 0)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def dying_at(number: int) -> Step:
    """A step to be called before each write: at the `number`-th (from 0) the process is killed."""
    left = [number]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    return step


def killed_at_every(work: Callable[[Step], Any], apart: int = 1) -> Iterator[int]:
    """Do the work again and again, each time killed a step later, until it lives; gives the number of each kill.

    With `apart`, only at some of its steps, by chance but the same ones in each run of the tests, so many steps from
    one to the next on average.
    """
    chance = random.Random(apart)
    number = chance.randrange(apart)
    while number < MOST:
        code = in_child(lambda number=number: work(dying_at(number)))  # type: ignore[misc]
        if code == 0:
            return
        assert code == -signal.SIGKILL, f"step {number}: the work left with {code}"
        yield number
        number += chance.randint(1, 2 * apart - 1)
    raise AssertionError(f"the work still died at step {MOST}")


def with_full_disk(octets: int) -> None:
    """From now on this process cannot make any file longer than so many octets (Python ignores SIGXFSZ)."""
    sys.dont_write_bytecode = True  # a module cut short would be left for whoever imports it next
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, octets))


WRITES = ("fsync", "fchmod", "chmod", "link", "symlink", "replace", "rename", "unlink", "mkdir", "rmdir")


def stepping(step: Step, calls: Sequence[str] = WRITES) -> None:
    """Take a step before each such call of `os`, and before each statement and commit of any database."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def before(*_: Any) -> None:
        step()

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", before)
    for name in calls:
        original = getattr(os, name)

        def call(*args: Any, original: Any = original, **kwargs: Any) -> Any:
            step()
            return original(*args, **kwargs)

        setattr(os, name, call)
