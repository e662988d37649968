"""The time of one subject."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from deliverability.model.codes import Code
from deliverability.model.facts import Reason
from deliverability.ports.base import PortQuestion

SECONDS = 15.0
USED_UP = Code("budget", ("n",))

T = TypeVar("T")


class Budget:
    """The time of one subject, over all that it asks and computes: it begins when it is first asked about.

    Between a subject and its ports it answers, once it is spent, every question with a time-out.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._deadline: float | None = None
        self._waiting = 0
        self._stopped_at = 0.0

    @property
    def spent(self) -> bool:
        """Whether the time is over: whoever has much to compute looks here between the steps."""
        end = self._end()
        return asyncio.get_running_loop().time() >= end

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While the subject waits for its turn among others, its time stands still."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._end()
            self._stopped_at = loop.time()
        self._waiting += 1
        try:
            yield
        finally:
            end = self._end()
            self._waiting -= 1
            if not self._waiting:
                self._deadline = end

    async def within(self, work: Awaitable[T]) -> T | None:
        """What `work` gives; None where the time is over before."""
        try:
            async with asyncio.timeout_at(self._end()):
                return await work
        except TimeoutError:
            return None

    async def ask(self, question: PortQuestion[T], below: Callable[[], Awaitable[T]]) -> T:
        """The answer of `below`, as long as there is time."""
        answer = None if self.spent else await self.within(below())
        return answer or question.lost(Reason.TIMEOUT, USED_UP(n=f"{self.seconds:g}"))

    def _end(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self.seconds
        return self._deadline + (now - self._stopped_at if self._waiting else 0.0)
