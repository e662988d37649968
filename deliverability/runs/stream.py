"""Many subjects side by side: the one loop over them."""

from __future__ import annotations

import asyncio
import gc
import statistics
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

J = TypeVar("J")
T = TypeVar("T")

IN_FLIGHT = 50
"""Subjects that are at work, so that neither sockets nor memory grow with their number."""
MOST_BEGUN = 500
"""Subjects that are begun and not given back yet, with those that only wait for servers, or for their turn."""
_SLOW = 4  # times as long as most take: then it only waits, and another may begin
_SHORTEST = 1.0  # seconds that are never slow
_UNKNOWN = 5.0  # seconds, as long as nothing is known of how long they take
_RECENT = 50
_COLLECT_AFTER = 100_000


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Meanwhile look for garbage seldom, and not among what is there already: rules, modules, tables.

    Many subjects are many objects that are gone soon, and counting is enough to be rid of nearly all of them.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def stream(
    jobs: Sequence[J],
    work: Callable[[J], Coroutine[Any, Any, T]],
    *,
    ordered: bool = True,
    lost: Callable[[J, Exception], None] | None = None,
) -> AsyncIterator[tuple[J, T]]:
    """Each job with its result, as soon as it is there; or, `ordered`, in the order of the jobs.

    A job that takes much longer than most holds up neither the jobs that are not begun, nor, unless the order counts,
    the results of others. A job that fails is told to `lost`, and the others go on; without it, its error ends all.
    What is still at work when nobody asks for more is cancelled.
    """
    crew = _Crew(jobs, work)
    try:
        for turn in range(len(jobs)):
            number = await crew.next(turn if ordered else None)
            try:
                result = crew.tasks.pop(number).result()
            except Exception as error:
                if lost is None:
                    raise
                lost(jobs[number], error)
                continue
            yield jobs[number], result
    finally:
        for task in crew.tasks.values():
            task.cancel()
        await asyncio.gather(*crew.tasks.values(), return_exceptions=True)


class _Crew(Generic[J, T]):
    """The jobs begun: which are at work, which only wait, and which are done."""

    def __init__(self, jobs: Sequence[J], work: Callable[[J], Coroutine[Any, Any, T]]) -> None:
        self.tasks: dict[int, asyncio.Task[T]] = {}
        self._jobs = jobs
        self._work = work
        self._begun = 0
        self._at_work: dict[int, float] = {}  # since when
        self._slow: dict[int, float] = {}
        self._done: deque[int] = deque()
        self._recent: deque[float] = deque(maxlen=_RECENT)  # seconds
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def next(self, wanted: int | None) -> int:
        """The number of a job that is done: of the wanted one, or of the first that is."""
        while True:
            wait = self._begin()
            if wanted is None and self._done:
                return self._done.popleft()
            if wanted is not None and wanted in self.tasks and self.tasks[wanted].done():
                return wanted
            self._news.clear()
            timer = self._loop.call_later(wait, self._news.set) if wait is not None else None
            try:
                await self._news.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _begin(self) -> float | None:
        """Begin what there is room for; give the seconds until there may be more, None: when something is done."""
        now = self._loop.time()
        patience = max(_SHORTEST, _SLOW * statistics.median(self._recent)) if self._recent else _UNKNOWN
        while self._begun < len(self._jobs) and len(self.tasks) < MOST_BEGUN:
            if len(self._at_work) >= IN_FLIGHT:
                oldest, since = next(iter(self._at_work.items()))
                if now < since + patience:
                    return since + patience - now
                del self._at_work[oldest]
                self._slow[oldest] = since
            number = self._begun
            self._begun += 1
            self._at_work[number] = now
            self.tasks[number] = task = asyncio.create_task(self._work(self._jobs[number]))
            task.add_done_callback(lambda _, number=number: self._ended(number))  # type: ignore[misc]
        return None

    def _ended(self, number: int) -> None:
        since = self._at_work.pop(number, None)
        if since is None:
            since = self._slow.pop(number)
        self._recent.append(self._loop.time() - since)
        self._done.append(number)
        self._news.set()
