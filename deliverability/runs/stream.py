"""Many subjects side by side: the one loop over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

J = TypeVar("J")
T = TypeVar("T")

IN_FLIGHT = 50
"""Subjects that are begun and not given back yet, so that neither sockets nor memory grow with their number."""


async def stream(
    jobs: Sequence[J],
    work: Callable[[J], Coroutine[Any, Any, T]],
    *,
    ordered: bool = True,
    lost: Callable[[J, Exception], None] | None = None,
) -> AsyncIterator[tuple[J, T]]:
    """Each job with its result, as soon as it is there; or, `ordered`, in the order of the jobs.

    A job that fails is told to `lost`, and the others go on; without it, its error ends all. What is still at work when
    nobody asks for more is cancelled.
    """
    tasks: dict[int, asyncio.Task[T]] = {}
    begun = 0
    try:
        for turn in range(len(jobs)):
            while begun < len(jobs) and len(tasks) < IN_FLIGHT:
                tasks[begun] = asyncio.create_task(work(jobs[begun]))
                begun += 1
            number = turn if ordered else await _first(tasks)
            try:
                result = await tasks.pop(number)
            except Exception as error:
                if lost is None:
                    raise
                lost(jobs[number], error)
                continue
            yield jobs[number], result
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _first(tasks: dict[int, asyncio.Task[T]]) -> int:
    """The job that is done, or will be before the others."""
    await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
    return next(number for number, task in tasks.items() if task.done())
