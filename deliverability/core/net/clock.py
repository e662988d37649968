"""The time, real or fixed, and the time of one subject."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import PortQuestion


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


class FixedClock(Struct, frozen=True):
    """A clock that stands still at `moment` (timezone-aware)."""

    moment: datetime

    def now(self) -> datetime:
        """Always the same time, in UTC."""
        return self.moment.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """A time as the reports write it: ISO 8601, UTC, whole seconds, ``Z``."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


SECONDS = 15.0
USED_UP = Code("budget", ("n",))

T = TypeVar("T")


class Budget:
    """The time of one subject, over all that it asks and computes: it begins when it is first asked about.

    Between a subject and its ports it answers, once it is spent, every question with a time-out. What the subject's
    questions wait behind those of others does not count.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._deadline: float | None = None
        self._paused = 0
        self._paused_at = 0.0
        self._waits: set[_Wait] = set()
        self._waiters: set[asyncio.Future[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def spent(self) -> bool:
        """Whether the time is over: whoever has much to compute looks here between the steps."""
        loop = asyncio.get_running_loop()
        end = self._end(loop) if self._paused or self._deadline is None else self._deadline
        return loop.time() >= end

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While the subject waits for its turn among others, its time stands still."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    async def within(self, work: Awaitable[T]) -> T | None:
        """What `work` gives; None where the time is over before."""
        # As asyncio.timeout_at does it, but with one timer for all that waits.
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be kept from waiting longer")
        wait = _Wait(task)
        self._waits.add(wait)
        if self._timer is None:
            self._set(asyncio.get_running_loop())
        try:
            return await work
        except asyncio.CancelledError:
            if wait.over and wait.task.uncancel() <= wait.cancelling:
                return None
            raise
        finally:
            self._waits.discard(wait)

    async def ask(self, question: PortQuestion[T], below: Callable[[], Awaitable[T]]) -> T:
        """The answer of `below`, as long as there is time."""
        answer = None if self.spent else await self.within(below())
        return answer or question.lost(Reason.TIMEOUT, self.used_up)

    async def answer(self, waiter: asyncio.Future[T | None]) -> T | None:
        """What somebody gives to `waiter`; None where the time is over before. It is for this waiter alone."""
        self._waiters.add(waiter)
        if self._timer is None:
            self._set(asyncio.get_running_loop())
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    @property
    def used_up(self) -> Detail:
        """That the time is over."""
        return USED_UP(n=f"{self.seconds:g}")

    def pause(self) -> None:
        """Questions of the subject begin to wait behind those of others."""
        if not self._paused:
            self._paused_at = asyncio.get_running_loop().time()
        self._paused += 1

    def resume(self) -> None:
        """They wait no more."""
        self._paused -= 1
        if not self._paused and self._deadline is not None:
            self._deadline += asyncio.get_running_loop().time() - self._paused_at

    def _end(self, loop: asyncio.AbstractEventLoop) -> float:
        now = loop.time()
        if self._deadline is None:
            self._deadline = now + self.seconds
        return self._deadline + (now - self._paused_at if self._paused else 0)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(self._end(loop), self._over, loop)

    def _over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        end = self._end(loop)
        if loop.time() < end:  # it was paused meanwhile
            self._set(loop)
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        for wait in self._waits:
            wait.over = True
            wait.task.cancel()


class _Wait:
    """A task that waits for something, and how often it had been cancelled before."""

    __slots__ = ("cancelling", "over", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.cancelling = task.cancelling()
        self.over = False
