"""Who may ask a server next: a bounded number of questions on the wire, shared fairly by those who ask.

Many subjects are audited at a time, and the server must not get all their questions in one burst. So questions wait for
a place, and each subject with questions waiting gets one in turn. What the server is slow to answer, while it answers
others, gives its place back: the slow or silent servers behind a resolver are no reason to keep the others waiting.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

FIRST = 100
"""Places at the beginning; with each reply there is one more, until there are all."""
_SHORTEST, _LONGEST = 0.05, 0.5  # seconds for which a question keeps its place, between these by what replies take
_USUAL = 4  # times what a reply usually takes


class Lane(Protocol):
    """One of those who ask."""

    def wait(self) -> None:
        """Its questions begin to wait for a place."""

    def go(self) -> None:
        """None of them waits any more."""


class Passenger(Protocol):
    """A question that wants a place."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """Who asks it: it goes with whoever is first."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for the answer."""
        ...


P = TypeVar("P", bound=Passenger)


class Window(Generic[P]):
    """The places on the wire to one server.

    Args:
        most: how many there are.
        go: sends a question that has a place.
        drop: forgets a question that nobody wants any more, before it was sent.

    """

    def __init__(self, most: int, go: Callable[[P], None], drop: Callable[[P], None]) -> None:
        self._most = most
        self._places = min(most, FIRST)
        self._go = go
        self._drop = drop
        self._waiting: dict[Lane, deque[P]] = {}
        self._queued: set[P] = set()
        self._placed: OrderedDict[P, float] = OrderedDict()  # since when
        self._usual = _SHORTEST / _USUAL  # seconds that a reply takes
        self._last_reply = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def enter(self, passenger: P) -> None:
        """Send the question when there is a place."""
        if len(self._placed) < self._places and not self._queued:
            self._place(passenger)
            return
        self._queued.add(passenger)
        for lane in passenger.lanes:
            self._queue(passenger, lane)
        self._fill()

    def join(self, passenger: P, lane: Lane) -> None:
        """Another one asks the same: where the question still waits, it may go in its turn, too."""
        if passenger in self._queued:
            self._queue(passenger, lane)

    def leave(self, passenger: P, *, replied: bool) -> None:
        """The question is answered, or given up: its place is free."""
        since = self._placed.pop(passenger, None)
        if replied:
            self._last_reply = now = self._loop.time()
            self._places = min(self._places + 1, self._most)
            if since is not None:
                self._usual += (min(now - since, 2 * self._usual + 0.01) - self._usual) / 8
        if self._queued:
            self._fill()

    def close(self) -> None:
        """Let nobody wait any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self._queued.clear()

    def _place(self, passenger: P) -> None:
        self._placed[passenger] = self._loop.time()
        self._go(passenger)

    def _queue(self, passenger: P, lane: Lane) -> None:
        queue = self._waiting.get(lane)
        if queue is None:
            queue = self._waiting[lane] = deque()
            lane.wait()
        queue.append(passenger)

    def _fill(self) -> None:
        while self._waiting and (len(self._placed) < self._places or self._free_slow()):
            lane, queue = next(iter(self._waiting.items()))
            passenger = queue.popleft()
            del self._waiting[lane]  # and back to the end, so that all get their turn
            if queue:
                self._waiting[lane] = queue
            else:
                lane.go()
            if passenger in self._queued:  # else it went in another's turn
                self._queued.remove(passenger)
                if passenger.wanted:
                    self._place(passenger)
                else:
                    self._drop(passenger)
        if self._queued and self._timer is None:
            self._timer = self._loop.call_later(_SHORTEST, self._again)

    def _again(self) -> None:
        self._timer = None
        self._fill()

    def _free_slow(self) -> bool:
        """Whether the place of the oldest question was given back: the server replied to others, but slowly to it."""
        passenger, since = next(iter(self._placed.items()))
        patience = min(_LONGEST, max(_SHORTEST, _USUAL * self._usual))
        if self._last_reply < since or self._loop.time() < since + patience:
            return False
        del self._placed[passenger]
        return True
