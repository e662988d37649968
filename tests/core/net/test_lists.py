"""DNS for block lists: keys are on the wire only, and questions wait for their turn at no cost to the subject."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from deliverability.core.inputs import Subject
from deliverability.core.model.blocklists import ListKeys
from deliverability.core.net.base import Answer, Failed, Found
from deliverability.core.net.clock import Budget
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.pace import LIST_RATE, ListResolver
from deliverability.core.net.ports import Journal, Ports
from deliverability.core.net.static import StaticResolver

KEY = "aBcDeFgHiJkLmNoP"
KEYS = ListKeys((("spamhaus", KEY),))
ASKED = "2.0.0.127.key-spamhaus.zen.dq.spamhaus.net"
REAL = f"2.0.0.127.{KEY.lower()}.zen.dq.spamhaus.net"


class Noting(StaticResolver):
    """Notes what it is asked; `known`: what costs no question."""

    def __init__(self, records: Mapping[tuple[str, str], Any], *, known: bool = False) -> None:
        super().__init__(records)
        self.asked: list[str] = []
        self._known = known

    async def query(self, name: str, rdtype: str) -> Answer:
        self.asked.append(name)
        return await super().query(name, rdtype)

    def knows(self, name: str, rdtype: str) -> bool:
        return self._known


async def test_a_key_goes_out_and_never_comes_back() -> None:
    below = Noting({(REAL, "A"): ["127.0.0.2"], (REAL, "TXT"): [f"see {REAL}"]})
    lists = ListResolver(below, KEYS)
    for rdtype in ("A", "TXT", "AAAA"):
        answer = await lists.query(ASKED, rdtype)
        assert KEY.lower() not in repr(answer).lower()
        assert answer.name == ASKED
    assert all(KEY in name for name in below.asked)


async def test_what_fails_does_not_tell_the_key() -> None:
    answer = await ListResolver(StaticResolver({(REAL, "A"): "timeout"}), KEYS).query(ASKED, "A")
    assert isinstance(answer, Failed)
    assert KEY.lower() not in repr((answer, answer.question)).lower()


async def test_a_recording_holds_no_key() -> None:
    journal = Journal()
    lists = ListResolver(StaticResolver({(REAL, "A"): ["127.0.0.2"]}), KEYS)
    ports = Ports(StaticResolver({}), journal=journal, lists=lists).of_subject()
    assert ports.lists is not None
    assert isinstance(await ports.lists.query(ASKED, "A"), Found)
    assert [question.name for question, _ in journal] == [ASKED]
    assert KEY.lower() not in repr(list(journal)).lower()


def test_settings_do_not_show_keys() -> None:
    settings = PortSettings(offline=True, lists=True, list_keys=KEYS)
    assert KEY not in repr(settings)
    assert KEY not in repr(ListResolver(StaticResolver({}), KEYS))
    assert KEY not in repr(Subject("example.com"))


class Watch:
    """A clock that sleeping moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def test_a_list_gets_two_questions_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, times = Watch(monkeypatch), []
    below = Noting({})
    lists = ListResolver(below, known=below, monotonic=lambda: watch.now)
    for number in range(10):
        await lists.query(f"{number}.bl.example.net", "A")
        times.append(watch.now)
    assert all(later - before >= 1 / LIST_RATE - 1e-9 for before, later in itertools.pairwise(times))
    # Another operator has a pace of its own.
    before = watch.now
    await lists.query("1.bl.example.org", "A")
    assert watch.now == before


async def test_subjects_share_the_pace_of_a_list_and_waiting_costs_none_of_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, below = Watch(monkeypatch), Noting({})
    lists = ListResolver(below, known=below, monotonic=lambda: watch.now)

    class Stopping(Budget):
        paused = 0

        def pause(self) -> None:
            super().pause()
            self.paused += 1

    one, two = Stopping(), Stopping()
    await lists.of_subject("a.example", one).query("1.bl.example.net", "A")
    await lists.of_subject("b.example", two).query("2.bl.example.net", "A")
    assert (one.paused, two.paused) == (0, 1)
    assert watch.slept == [pytest.approx(1 / LIST_RATE)]


async def test_what_is_known_or_local_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    known = Noting({}, known=True)
    for lists in (ListResolver(known, known=known), ListResolver(Noting({}))):
        for number in range(5):
            await lists.query(f"{number}.bl.example.net", "A")
    assert watch.slept == []


async def test_zone_files_answer_with_keys_too(tmp_path: Any) -> None:
    zone = tmp_path / "dq.zone"
    zone.write_text(f"$ORIGIN {KEY}.zen.dq.spamhaus.net.\n@ 300 IN SOA a. b. 1 1 1 1 1\n2.0.0.127 IN A 127.0.0.2\n")
    ports = open_ports(PortSettings(zones=[zone], lists=True, list_keys=KEYS)).of_subject()
    assert ports.lists is not None
    assert isinstance(await ports.lists.query(ASKED, "A"), Found)
    await ports.close()
