"""Many subjects side by side, and one run at a time in an output folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import statistics
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error, is_interrupt
from deliverability.core.files import PRIVATE_FOLDER, private

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

    Many subjects are many objects that are gone soon, and counting is enough to be rid of nearly all of them. What the
    caller has frozen stays so.
    """
    before, ours = gc.get_threshold(), not gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if ours:
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
    What is still at work when nobody asks for more is cancelled. Where results wait for whoever takes them, no more
    than twice IN_FLIGHT of them are there or coming: results can be large.
    """
    ended: set[int] = set()  # and not given back yet
    given = 0  # back
    news = asyncio.Event()

    def is_enough(at_work: int) -> bool:
        return len(ended) + at_work >= 2 * IN_FLIGHT and (not ordered or given in ended)

    places = Places(is_enough)

    async def placed(number: int) -> T:
        async with places.taken():
            try:
                return await work(jobs[number])
            finally:
                ended.add(number)
                news.set()

    tasks: dict[int, asyncio.Task[T]] = {}
    begun = 0

    try:
        while given < len(jobs):
            while True:
                while begun < len(jobs) and len(tasks) < MOST_BEGUN:
                    tasks[begun] = asyncio.create_task(placed(begun))
                    begun += 1
                if given in ended if ordered else ended:
                    break
                news.clear()
                await news.wait()
            number = given if ordered else next(iter(ended))
            ended.remove(number)
            given += 1
            places.offer()
            try:
                result = await tasks.pop(number)
            except Exception as error:
                if lost is None or is_interrupt(error):
                    raise
                lost(jobs[number], error)
                continue
            yield jobs[number], result
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


class Places:
    """Places for those at work, given in the order in which they were asked for.

    Who takes much longer than most only waits for servers that are slow or silent, and gives the place back meanwhile.
    Nobody is given one while `is_enough`, which is asked with how many are at work; whoever ends that says `offer`.
    """

    def __init__(self, is_enough: Callable[[int], bool] = lambda at_work: False) -> None:
        self._is_enough = is_enough
        self._at_work: dict[asyncio.Future[None], float] = {}  # since when
        self._recent: deque[float] = deque(maxlen=_RECENT)  # seconds
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a place, and keep it until all is done, unless that takes long."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        self.offer()
        begun = loop.time()
        try:
            if not turn.done():
                await turn
                begun = loop.time()
            yield
            self._recent.append(loop.time() - begun)
        finally:
            turn.cancel()
            self._at_work.pop(turn, None)
            self.offer()

    def offer(self) -> None:
        """Give the places that are free."""
        self._go_on(asyncio.get_running_loop())

    def _wait(self, loop: asyncio.AbstractEventLoop) -> float:
        """Seconds until a place may be given back; 0: one is free."""
        if len(self._at_work) < IN_FLIGHT:
            return 0.0
        patience = max(_SHORTEST, _SLOW * statistics.median(self._recent)) if self._recent else _UNKNOWN
        oldest, since = next(iter(self._at_work.items()))
        if (wait := since + patience - loop.time()) > 0:
            return wait
        del self._at_work[oldest]
        return 0.0

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next ones begin, as many as there are places for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue and not self._is_enough(len(self._at_work)):
            if wait := self._wait(loop):
                self._timer = loop.call_later(wait, self._go_on, loop)
                return
            turn = self._queue.popleft()
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                self._at_work[turn] = loop.time()


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
    try:
        with (output / lock).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
