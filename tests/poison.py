"""Items that fail in every way that one of many can: what injects them, and the ways."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

WAYS: tuple[Exception, ...] = (
    LookupError("unknown encoding: x-made-up"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    OSError(5, "Input/output error"),
    struct.error("unpack requires a buffer of 4 bytes"),
    zlib.error("Error -3 while decompressing data"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    UnicodeError("label too long"),
    OverflowError("Python int too large to convert to SQLite INTEGER"),
    AssertionError(),
    StopIteration(),
)
"""What a reader, a library or the machine may raise at an item, whatever the item is."""

every_way = pytest.mark.parametrize(
    "error",
    [*WAYS[:3], *(pytest.param(each, marks=pytest.mark.slow) for each in WAYS[3:])],
    ids=lambda error: type(error).__name__,
)
some_ways = pytest.mark.parametrize("error", WAYS[:3], ids=lambda error: type(error).__name__)
"""For whole commands, and of the rest in `make test`: an odd input, a limit of Python, a limit of the machine."""


def poisoned(
    patch: pytest.MonkeyPatch, place: Any, name: str, is_poison: Callable[..., bool], error: Exception
) -> None:
    """The function of that name raises `error` where `is_poison` of its arguments, and is as it was for all others."""
    real = getattr(place, name)

    def either(*args: Any, **how: Any) -> Any:
        if is_poison(*args, **how):
            raise error
        return real(*args, **how)

    patch.setattr(place, name, either)
