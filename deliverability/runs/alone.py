"""One run at a time in an output folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from deliverability._files import PRIVATE_FOLDER, private
from deliverability.model.codes import Code
from deliverability.model.errors import InputError, file_error

LOCK = ".lock"
RUN_BUSY = Code("run-busy", ("folder",))


class Busy(InputError):
    """Another run is going on in the same output folder."""


@contextlib.contextmanager
def only_one(output: Path, *, lock: str = LOCK, public: bool = False) -> Iterator[None]:
    """Hold the output folder for this process alone. Raises Busy, or InputError where it cannot be made.

    A folder that is made here is the user's alone; with `public` others may look into it, also where it was there.
    Runs that get on with each other there have locks of their own.
    """
    import fcntl

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            output.mkdir(PRIVATE_FOLDER)
        if public and output.stat().st_uid == os.geteuid():
            output.chmod(output.stat().st_mode | 0o055)
        file = open(output / lock, "a", opener=private)  # noqa: SIM115
    except OSError as error:
        raise InputError(file_error(output, error)) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(RUN_BUSY(folder=str(output))) from None
        yield


def is_held(output: Path, lock: str = LOCK) -> bool:
    """Whether a run is going on there."""
    import fcntl

    try:
        with (output / lock).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
