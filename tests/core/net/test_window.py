"""Places on the wire: bounded, given in turn to those who ask, and given back by what only waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import Struct, field

from deliverability.core.net import pace as under_test
from deliverability.core.net.pace import Window


class Asker(Struct):
    """One who asks."""

    told: list[str] = field(default_factory=list)

    def __hash__(self) -> int:
        return id(self)

    def wait(self) -> None:
        self.told.append("wait")

    def go(self) -> None:
        self.told.append("go")


class Asked(Struct):
    """A question."""

    text: str
    lanes: list[Asker]
    wanted: bool = True

    def __hash__(self) -> int:
        return id(self)


class Clock:
    """Stands for the loop: its time moves when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Clock:
        self.timers.append(call)
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        timers, self.timers = self.timers, []
        for timer in timers:
            timer()


class World(Struct):
    """A window of so many places, and what went through it."""

    window: Window[Asked]
    clock: Clock
    gone: list[Asked]
    dropped: list[Asked]

    @property
    def sent(self) -> str:
        return " ".join(each.text for each in self.gone)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], World]:
    clock = Clock()
    monkeypatch.setattr(under_test.asyncio, "get_running_loop", lambda: clock)

    def make(most: int) -> World:
        gone: list[Asked] = []
        dropped: list[Asked] = []
        return World(Window(most, gone.append, dropped.append), clock, gone, dropped)

    return make


def test_those_who_ask_much_and_little_take_turns(world: Callable[[int], World]) -> None:
    here = world(1)
    much, little = Asker(), Asker()
    for number in range(4):
        here.window.enter(Asked(f"m{number}", [much]))
    here.window.enter(Asked("l0", [little]))
    for _ in range(4):
        here.window.leave(here.gone[-1], replied=False)
    assert here.sent == "m0 m1 l0 m2 m3"


def test_there_are_more_places_with_each_reply_up_to_the_most(world: Callable[[int], World]) -> None:
    here = world(under_test.FIRST + 2)
    asker = Asker()
    for number in range(2 * under_test.FIRST):
        here.window.enter(Asked(str(number), [asker]))
    assert len(here.gone) == under_test.FIRST, "no burst at the beginning"
    for each in here.gone[:5]:
        here.window.leave(each, replied=True)
    assert len(here.gone) == under_test.FIRST + 2 + 5


def test_a_question_of_two_goes_with_whoever_is_first(world: Callable[[int], World]) -> None:
    here = world(1)
    crowded, other = Asker(), Asker()
    for number in range(5):
        here.window.enter(Asked(f"c{number}", [crowded]))
    shared = Asked("shared", [crowded])
    here.window.enter(shared)
    here.window.join(shared, other)
    for _ in range(7):
        here.window.leave(here.gone[-1], replied=False)
    assert here.sent == "c0 c1 shared c2 c3 c4"


def test_what_nobody_waits_for_any_more_is_not_sent(world: Callable[[int], World]) -> None:
    here = world(1)
    asker = Asker()
    here.window.enter(Asked("first", [asker]))
    late = Asked("late", [asker])
    here.window.enter(late)
    here.window.enter(Asked("next", [asker]))
    late.wanted = False
    here.window.leave(here.gone[0], replied=True)
    assert (here.sent, here.dropped) == ("first next", [late])


def test_who_asks_is_told_when_questions_wait_and_when_none_does_any_more(world: Callable[[int], World]) -> None:
    here = world(1)
    asker = Asker()
    for number in range(3):
        here.window.enter(Asked(str(number), [asker]))
    assert asker.told == ["wait"]
    here.window.leave(here.gone[0], replied=True)
    here.window.leave(here.gone[1], replied=True)
    assert asker.told == ["wait", "go"]


def test_what_a_server_is_slow_to_answer_gives_its_place_to_others(world: Callable[[int], World]) -> None:
    here = world(2)
    silent, quick = Asker(), Asker()
    slow = Asked("slow", [silent])
    here.window.enter(slow)
    here.clock.pass_(0.01)
    here.window.enter(Asked("q0", [quick]))
    here.window.enter(Asked("q1", [quick]))
    here.window.enter(Asked("q2", [quick]))
    here.window.leave(here.gone[1], replied=True)
    assert here.sent == "slow q0 q1", "q2 waits: it is too early to call a question slow"
    here.clock.pass_(0.6)
    assert here.sent == "slow q0 q1 q2"
    here.window.leave(slow, replied=False)
    here.window.enter(Asked("q3", [quick]))
    here.window.enter(Asked("q4", [quick]))
    assert here.sent == "slow q0 q1 q2 q3", "that of q1, slow by now; one given back is not free a second time"


def test_where_the_server_answers_nobody_no_place_is_given_back(world: Callable[[int], World]) -> None:
    here = world(2)
    asker = Asker()
    for number in range(4):
        here.window.enter(Asked(str(number), [asker]))
    here.clock.pass_(10)
    assert here.sent == "0 1"


def test_where_the_server_is_slow_to_answer_all_no_place_is_given_back(world: Callable[[int], World]) -> None:
    """Replies come in order, and late: it has more to do than it can, and must not get more still."""
    here = world(2)
    asker = Asker()
    here.window.enter(Asked("0", [asker]))
    here.clock.pass_(0.01)
    for number in range(1, 5):
        here.window.enter(Asked(str(number), [asker]))
    here.clock.pass_(3)
    here.window.leave(here.gone[0], replied=True)
    here.clock.pass_(3)
    assert here.sent == "0 1 2"


def test_what_is_passed_over_leaves_fewer_places_but_not_fewer_than_at_first(world: Callable[[int], World]) -> None:
    here = world(under_test.FIRST + 8)
    asker = Asker()
    first = [Asked(f"early{number}", [asker]) for number in range(under_test.FIRST)]
    for each in first:
        here.window.enter(each)
    for each in first[:8]:
        here.window.leave(each, replied=True)
    here.clock.pass_(0.01)
    for number in range(2 * under_test.FIRST):
        here.window.enter(Asked(f"late{number}", [asker]))
    assert len(here.gone) == under_test.FIRST + 16, "all places are taken"
    here.window.leave(here.gone[-1], replied=True)
    sent = len(here.gone)
    here.clock.pass_(1)
    assert len(here.gone) == sent + under_test.FIRST, "of eight more than that, all passed over"
