"""How fast many domains are asked about: shares, turns, and what makes it slower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import DnsQuestion, Failed, Found, Get
from deliverability.core.net.clock import Budget
from deliverability.core.net.pace import _LEAST_RATE, LOOK_BACK, OWN_BURST, OWN_RATE, SLOW_START, Pace, Turns


class Known:
    """A resolver that knows some answers."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def knows(self, name: str, rdtype: str) -> bool:
        return name in self.names


class Time:
    """A clock that sleeping moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0

        async def sleep(seconds: float) -> None:
            self.now += seconds

        monkeypatch.setattr(asyncio, "sleep", sleep)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def owner(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def pace(time: Callable[[], float], rate: float = 0, share: int = 1) -> Pace:
    return Pace(rate, share, owner, Known(), time)


async def asked(paced: Pace, time: Time, names: list[str]) -> list[float]:
    """When the turns come, one after the other."""
    begun, turns = time.now, []
    own: dict[str, Turns] = {}
    for name in names:
        await paced.turn(name, own)
        turns.append(time.now - begun)
    return turns


async def test_one_domain_is_asked_twenty_times_a_second(time: Time) -> None:
    paced = pace(time)
    with paced.at_work("example.com"):
        turns = await asked(paced, time, [f"n{number}.example.com" for number in range(100)])
    assert max(turns[:OWN_BURST]) == 0, "what one audit asks passes"
    assert turns[-1] == pytest.approx((100 - 1 - OWN_BURST) / OWN_RATE, abs=0.1)


async def test_domains_below_one_registered_domain_wait_for_each_other(time: Time) -> None:
    paced = pace(time)
    with paced.at_work("a.example.com"), paced.at_work("b.example.com"):
        await asked(paced, time, ["a.example.com"] * OWN_BURST)
        assert await asked(paced, time, ["b.example.com"]) == [pytest.approx(1 / OWN_RATE, abs=0.1)]


async def test_others_do_not_wait_for_it(time: Time) -> None:
    paced = pace(time)
    await asked(paced, time, ["a.example.com"] * 60)
    assert await asked(paced, time, [f"a.d{number}.example" for number in range(500)]) == [0.0] * 500


async def test_a_vendor_is_asked_as_much_as_its_users_need_and_no_more(time: Time) -> None:
    paced = pace(time)
    for _ in range(50):
        assert max(await asked(paced, time, [f"tenant{n}.vendor.example" for n in range(OWN_BURST)])) == 0
    turns = await asked(paced, time, ["vendor.example"] * (OWN_BURST + 20))
    assert turns[-1] == pytest.approx(20 / OWN_RATE, abs=0.1)


async def test_the_rate_rises_slowly_to_what_is_wanted(time: Time) -> None:
    paced = pace(time, rate=100)
    assert paced.rate() == pytest.approx(10)
    turns = await asked(paced, time, [f"d{number}.example" for number in range(2000)])
    first, second = (sum(at < end for at in turns) for end in (SLOW_START, 2 * SLOW_START))
    assert first == pytest.approx(100 * SLOW_START * 0.55, rel=0.15)
    assert second - first == pytest.approx(100 * SLOW_START, rel=0.1)


async def test_a_resolver_of_ones_own_is_asked_as_fast_as_it_answers(time: Time) -> None:
    paced = pace(time, rate=0)
    assert await asked(paced, time, [f"d{number}.example" for number in range(5000)]) == [0.0] * 5000


def hear(paced: Pace, time: Time, failing: Callable[[int], bool], names: Callable[[int], str], count: int) -> None:
    for number in range(count):
        time.now += 0.01
        paced.heard(names(number), failed=failing(number))


def warm(time: Time, rate: float = 100) -> Pace:
    paced = pace(time, rate=rate)
    paced.rate()
    time.now += SLOW_START
    assert paced.rate() == rate
    return paced


def test_domains_that_answer_and_then_fail_halve_the_rate_which_recovers(time: Time) -> None:
    paced = warm(time)
    hear(paced, time, lambda number: False, lambda number: f"d{number % 50}.example", 100)
    assert paced.rate() == 100
    hear(paced, time, lambda number: number % 20 == 0, lambda number: f"d{number % 50}.example", 100)
    assert 45 <= paced.rate() < 60
    time.now += 30
    assert paced.rate() == 100


def test_dead_domains_are_no_reason_to_go_slower(time: Time) -> None:
    paced = warm(time)
    dead = lambda number: number % 10 == 0  # noqa: E731
    hear(paced, time, dead, lambda number: f"{'dead' if dead(number) else 'd'}{number}.example", 5000)
    assert paced.rate() == 100


def test_a_resolver_that_answers_nothing_is_asked_less_and_less_but_never_nothing(time: Time) -> None:
    paced = warm(time)
    hear(paced, time, lambda number: True, lambda number: f"d{number}.example", 2000)
    assert _LEAST_RATE <= paced.rate() < 30


def test_what_is_long_ago_does_not_count(time: Time) -> None:
    paced = warm(time)
    hear(paced, time, lambda number: False, lambda number: "d.example", 100)
    hear(paced, time, lambda number: number < 3, lambda number: "d.example", 90)
    time.now += LOOK_BACK * 2
    hear(paced, time, lambda number: number < 3, lambda number: "d.example", 90)
    assert paced.rate() == 100


# --- between a subject and its budget ---


@pytest.mark.long
async def test_waiting_for_a_turn_costs_a_subject_none_of_its_time() -> None:
    budget = Budget(1.0)
    paced = pace(asyncio.get_running_loop().time)
    layer = paced.of_subject(budget)

    async def answer() -> Found:
        return Found("n.example.com", "TXT", ("x",))

    async def ask(number: int) -> object:
        question = DnsQuestion(f"n{number}.example.com", "TXT")
        return await layer.ask(question, lambda: budget.ask(question, answer))

    found = await asyncio.gather(*(ask(number) for number in range(OWN_BURST + 30)))
    assert all(isinstance(each, Found) for each in found), "some waited 1.5 s"
    assert not budget.spent
    await asyncio.sleep(1.05)
    assert budget.spent


async def test_what_is_known_does_not_wait(time: Time) -> None:
    known = Known()
    known.names.add("n.example.com")
    layer = Pace(0, 1, owner, known, time).of_subject(Budget(5))
    begun = time.now

    async def answer() -> Found:
        return Found("n.example.com", "TXT", ("x",))

    for _ in range(200):
        await layer.ask(DnsQuestion("n.example.com", "TXT"), answer)
    assert time.now == begun


async def test_a_subject_whose_time_is_over_says_nothing_about_the_resolver(time: Time) -> None:
    paced = warm(time)
    budget = Budget(0)
    layer = paced.of_subject(budget)

    async def late() -> Failed:
        return Failed("n.example.com", "TXT", Reason.TIMEOUT)

    for _ in range(300):
        await layer.ask(DnsQuestion("n.example.com", "TXT"), late)
    assert paced.rate() == 100


async def test_one_connection_a_host() -> None:
    paced = pace(asyncio.get_running_loop().time)
    open_now, most = 0, 0

    async def visit() -> object:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        return object()

    layers = [paced.of_subject(Budget(5)) for _ in range(5)]
    await asyncio.gather(*(each.ask(Get("https://a.example/x"), visit) for each in layers))  # type: ignore[arg-type]
    assert most == 1
    hosts = zip(layers, "abcde", strict=True)
    await asyncio.gather(*(each.ask(Get(f"https://{host}.example/"), visit) for each, host in hosts))  # type: ignore[arg-type]
    assert most == 5
