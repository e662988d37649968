"""How fast questions are put: so many at a time to a server, a polite share for each domain, what block lists expect.

Many subjects are audited at a time, and the server must not get all their questions in one burst. So questions wait for
a place, and each subject with questions waiting gets one in turn. What the server is slow to answer, while it answers
what was sent later, gives its place back: the slow or silent servers behind a resolver are no reason to keep the others
waiting. Each one so passed over may be one that the server lost, so there are fewer places after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import Reason
from deliverability.core.model.blocklists import ListKeys, key_label
from deliverability.core.net.base import (
    A,
    Answer,
    DnsQuestion,
    Failed,
    Found,
    Get,
    PortQuestion,
    Post,
    Probe,
    Resolver,
    SignedQuestion,
)
from deliverability.core.net.clock import Budget
from deliverability.core.net.names import signed_type

FIRST = 100
"""Places at the beginning, and the fewest later; with each reply there is one more, until there are all."""
_FEWER = 4
"""Places fewer for each question that is passed over: a busy server drops what its buffer cannot hold."""
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
        self._places = self._fewest = min(most, FIRST)
        self._go = go
        self._drop = drop
        self._waiting: dict[Lane, deque[P]] = {}
        self._queued: set[P] = set()
        self._placed: OrderedDict[P, float] = OrderedDict()  # since when
        self._usual = _SHORTEST / _USUAL  # seconds that a reply takes
        self._newest = 0.0  # when the latest question that is answered was sent
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
            self._places = min(self._places + 1, self._most)
            if since is not None:
                self._newest = max(self._newest, since)
                self._usual += (min(self._loop.time() - since, 2 * self._usual + 0.01) - self._usual) / 8
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
        while self._waiting and self._has_place():
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

    def _has_place(self) -> bool:
        """Whether one more may be sent; questions that are slow, where one sent later has a reply, make room for it.

        Where the server is slow to answer all, it replies in order: that is no reason to send it more.
        """
        patience = min(_LONGEST, max(_SHORTEST, _USUAL * self._usual))
        while len(self._placed) >= self._places:
            passenger, since = next(iter(self._placed.items()))
            if self._newest < since or self._loop.time() < since + patience:
                return False
            del self._placed[passenger]
            self._places = max(self._fewest, self._places - _FEWER)
        return True


OWN_RATE = 20.0
"""Questions a second toward one registered domain, once those of OWN_BURST are put."""
OWN_BURST = 60
"""As many at once: what one audit asks of a domain passes, what hammers it waits."""
SLOW_START = 5.0
"""Seconds in which the rate rises from a tenth to the whole: hundreds at once lose datagrams."""
LOOK_BACK = 10.0
"""Seconds of answers that are looked at for trouble."""
TROUBLE = 0.03
"""Share of failures among names whose domain has answered before, above which the rate is halved."""
DEAF = 0.5
"""Share of failures among all answers above which it is halved: then nobody has answered before."""
_LEAST_ANSWERS = 50  # fewer say nothing
_LEAST_RATE = 5.0
_RECOVERY = 20.0  # seconds in which a rate of nothing would be whole again
_KNOWN = 50_000  # domains whose answering is remembered


class Knows(Protocol):
    """A resolver that can tell whether an answer costs a question."""

    def knows(self, name: str, rdtype: str) -> bool:
        """Whether the answer is there, or on its way."""
        ...


class Turns(Struct):
    """When the next question may be put; after a pause, as many at once as come due in `slack` seconds."""

    slack: float
    next: float = float("-inf")

    def take(self, now: float, rate: float) -> float:
        """Take a turn; gives when it is."""
        at = max(self.next, now - self.slack)
        self.next = at + 1 / rate
        return max(at, now)


class Pace:
    """The pace of one process.

    Args:
        rate: questions a second in all; 0: as many as the resolver takes.
        share: of how many processes this is one.
        owner: the registered domain of a name.
        known: the resolver that is asked.
        monotonic: seconds.

    """

    def __init__(
        self,
        rate: float,
        share: int,
        owner: Callable[[str], str],
        known: Knows,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = rate
        self._share = share
        self._owner = owner
        self._known = known
        self._now = monotonic
        self._begun: float | None = None
        self._all = Turns(slack=0.05)
        self._each: dict[str, Turns] = {}
        self._own: Counter[str] = Counter()
        self._hosts: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._rate = rate
        self._raised = 0.0
        self._answered: OrderedDict[str, None] = OrderedDict()
        # When, of a domain that has answered before, failed.
        self._heard: deque[tuple[float, bool, bool]] = deque()

    @contextlib.contextmanager
    def at_work(self, domain: str) -> Iterator[None]:
        """The domain is audited: subjects below the same registered domain wait for each other."""
        owner = self._owner(domain)
        self._own[owner] += 1
        try:
            yield
        finally:
            self._own[owner] -= 1
            if not self._own[owner]:
                del self._own[owner]

    def of_subject(self, budget: Budget) -> _Paced:
        """What stands between one subject and its budget."""
        return _Paced(self, budget)

    def rate(self) -> float:
        """Questions a second that are put now; 0: as many as the resolver takes."""
        if not self._most:
            return 0.0
        now = self._now()
        if self._begun is None:
            self._begun = self._raised = now
        self._rate = min(self._most, self._rate + (now - self._raised) * self._most / _RECOVERY)
        self._raised = now
        begun = min(1.0, max(0.1, (now - self._begun) / SLOW_START))
        return max(_LEAST_RATE / self._share, self._rate * begun)

    async def turn(self, name: str, own: dict[str, Turns]) -> None:
        """Wait for the turn of a question.

        `own` are the turns of its subject alone. They count toward what nobody audits where the resolver is the user's
        own: a vendor is asked on behalf of each of its users, and must take what these are.
        """
        owner = self._owner(_below_underscores(name))
        each = self._each if self._most or owner in self._own else own
        turns = each.get(owner)
        if turns is None:
            turns = each[owner] = Turns(slack=OWN_BURST / OWN_RATE)
        await self._until(turns.take(self._now(), OWN_RATE))
        if rate := self.rate():
            await self._until(self._all.take(self._now(), rate))
        if len(self._each) > _KNOWN:
            now = self._now()
            self._each = {name: each for name, each in self._each.items() if each.next > now - SLOW_START}

    async def _until(self, at: float) -> None:
        if (wait := at - self._now()) > 0:
            await asyncio.sleep(wait)

    def heard(self, name: str, *, failed: bool) -> None:
        """A question was answered, or nobody could say; where that is too often, the rate is halved.

        A domain that never answers is dead: that says nothing about the resolver.
        """
        if not self._most:
            return
        owner = self._owner(name)
        before = owner in self._answered
        if not failed:
            self._answered[owner] = None
            self._answered.move_to_end(owner)
            if len(self._answered) > _KNOWN:
                self._answered.popitem(last=False)
        now = self._now()
        self._heard.append((now, before, failed))
        while self._heard[0][0] < now - LOOK_BACK:
            self._heard.popleft()
        if failed and self._in_trouble():
            self._rate = max(_LEAST_RATE / self._share, self.rate() / 2)
            self._heard.clear()

    def _in_trouble(self) -> bool:
        spoke = [failed for _, before, failed in self._heard if before]
        every = [failed for _, _, failed in self._heard]
        return any(
            len(answers) >= _LEAST_ANSWERS and sum(answers) > len(answers) * share
            for answers, share in ((spoke, TROUBLE), (every, DEAF))
        )

    def host(self, name: str) -> asyncio.Lock:
        """Held while a web or mail server is spoken to: one connection at a time."""
        return self._hosts.setdefault(name, asyncio.Lock())

    def knows(self, question: DnsQuestion | SignedQuestion) -> bool:
        """Whether the answer costs no question."""
        rdtype = question.rdtype if isinstance(question, DnsQuestion) else signed_type(question.rdtype)
        return self._known.knows(question.name, rdtype)


def _below_underscores(name: str) -> str:
    """``example.com`` of ``s1._domainkey.example.com``: names without end have few owners, and these are remembered."""
    tail = name.rpartition("_")[2]
    return name if len(tail) == len(name) else tail.partition(".")[2] or name


class _Paced(Struct, frozen=True):
    """The pace under the budget of one subject, see net.base.Between."""

    pace: Pace
    budget: Budget
    turns: dict[str, Turns] = field(default_factory=dict)

    async def ask(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        """The answer of `below`, when it is this question's turn."""
        if not isinstance(question, DnsQuestion | SignedQuestion):
            return await self._visit(question, below)
        if self.budget.spent or self.pace.knows(question):
            return await below()
        with self.budget.stopped():
            await self.pace.turn(question.name, self.turns)
        answer = await below()
        lost = isinstance(answer, Failed) and answer.reason in (Reason.TIMEOUT, Reason.SERVFAIL)
        if not (lost and self.budget.spent):  # whose time is over may have heard nothing for that
            self.pace.heard(question.name, failed=lost)
        return answer

    async def _visit(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        host = ""
        if isinstance(question, Get | Post):
            host = question.url.partition("://")[2].partition("/")[0].lower()
        elif isinstance(question, Probe):
            host = question.host
        lock = self.pace.host(host)
        with self.budget.stopped():
            await lock.acquire()
        try:
            return await below()
        finally:
            lock.release()


LIST_RATE = 2.0
"""Questions a second to the lists of one operator."""


class ListResolver(Struct, frozen=True):
    """Asks a resolver about block lists.

    Attributes:
        below: the resolver that is asked.
        keys: those that are put in.
        known: knows which answers cost no question; None: every question is local, and none waits.
        budget: the time of the subject, which stands still while a question waits for its turn.
        turns: when each operator may be asked next, for all subjects of a run.

    """

    below: Resolver
    keys: ListKeys = ListKeys()
    known: Knows | None = None
    budget: Budget | None = None
    turns: dict[str, Turns] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic

    def of_subject(self, domain: str, budget: Budget) -> ListResolver:
        """The same for one of many subjects: they wait for each other at every list."""
        return replace(self, budget=budget)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask when it is the turn of this question."""
        real = self._with_keys(name)
        if self.known is not None and not self.known.knows(real.lower().rstrip("."), rdtype.upper()):
            await self._turn(name)
        answer = await self.below.query(real, rdtype)
        if real == name:
            return answer
        hidden = replace(answer, name=self._without_keys(answer.name))
        if isinstance(hidden, Found):
            # A TXT record may repeat the question.
            texts = tuple(map(self._without_keys, hidden.values))
            return replace(hidden, values=texts, chain=tuple(map(self._without_keys, hidden.chain)))
        return hidden

    async def close(self) -> None:
        """Release sockets."""
        await self.below.close()

    async def _turn(self, name: str) -> None:
        """Wait for it; lists of one registered domain share theirs."""
        operator = ".".join(name.rstrip(".").rsplit(".", 2)[-2:])
        turns = self.turns.setdefault(operator, Turns(slack=0))
        wait = turns.take(self.monotonic(), LIST_RATE) - self.monotonic()
        if wait <= 0:
            return
        if self.budget is None:
            await asyncio.sleep(wait)
            return
        with self.budget.stopped():
            await asyncio.sleep(wait)

    def _with_keys(self, name: str) -> str:
        for each, key in self.keys.pairs:
            name = name.replace(f".{key_label(each)}.", f".{key}.")
        return name

    def _without_keys(self, text: str) -> str:
        for each, key in self.keys.pairs:
            text = text.replace(key, key_label(each)).replace(key.lower(), key_label(each))
        return text
