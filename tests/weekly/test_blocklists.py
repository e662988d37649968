"""Weeks in which an address goes on a blocklist and off it: what began, since when, and what ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Purpose, Value, records_of
from deliverability.core.inputs import Subject
from deliverability.core.model.blocklists import ListingSeen, ListsWanted
from deliverability.core.model.history import ChangeKind
from deliverability.core.protocols.dnsbl import read_private_list
from deliverability.core.store.store import History
from deliverability.observing import with_lists_seen
from tests.weekly.test_stories import Life, news

pytestmark = pytest.mark.long

IP = "192.0.2.1"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield Life(tmp_path, history)
    history.close()


def listing(text: str) -> Subject:
    """What the settings say of the mail, with a list of the user's own."""
    wanted = ListsWanted(files=(read_private_list("file:own", text, "own"),))
    return Subject(purpose=Purpose.USERS, selectors=("s1",), sending_ips=(IP,), lists_wanted=wanted)


def kept(life: Life, path: str) -> Value:
    (point,) = life.history.follow("shop.example", "", newest=1, topics=("blocklists",))
    return point.facts.value(path)


async def test_a_listing_begins_and_ends(life: Life) -> None:
    life.options = listing("")
    await life.week()
    assert ("REP-005", ChangeKind.NEW) not in news(await life.week())

    life.options = listing(IP)
    began = await life.week()
    assert {("REP-005", ChangeKind.NEW), ("REP-014", ChangeKind.NEW)} <= set(news(began))
    assert kept(life, "blocklists.began") == (f"{IP} (own)",)

    await life.week()
    assert kept(life, "blocklists.began") == ()
    (found,) = records_of(kept(life, "blocklists.listings"))
    assert found["first_seen"] == "2026-10-19", "the third week, in which it began"

    life.options = listing("")
    ended = await life.week()
    assert ("REP-005", ChangeKind.MENDED) in news(ended)
    assert kept(life, "blocklists.ended") == (f"{IP} (own)",)


async def test_a_run_that_asked_nobody_breaks_nothing_off(life: Life) -> None:
    life.options = listing(IP)
    await life.week()
    asking = life.options
    life.options = replace(asking, lists_wanted=None)
    await life.week()
    wanted = with_lists_seen(replace(asking, domain="shop.example"), life.history).lists_wanted
    assert wanted is not None
    assert wanted.seen is not None
    assert wanted.seen.listings == (ListingSeen("file:own", IP, "2026-10-05"),)
    assert ("file:own", "shop.example") in wanted.seen.asked


async def test_without_lists_or_runs_there_is_nothing_to_compare(life: Life) -> None:
    assert with_lists_seen(Subject("shop.example"), life.history) == Subject("shop.example")
    wanted = with_lists_seen(replace(listing(IP), domain="shop.example"), life.history).lists_wanted
    assert wanted is not None
    assert wanted.seen is None
