"""What became of mail is counted once, in whatever order and however often it is told; SQLite and PostgreSQL alike.

Where test mails landed is kept alike in both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.model.deliveries import (
    CauseDay,
    Deliveries,
    DeliveryDay,
    DeliveryEvent,
    DeliveryOrigin,
    DeliveryResult,
    PublishedValue,
    ValueDay,
)
from deliverability.core.store.deliveries import (
    MAX_CAMPAIGNS,
    UNREACHABLE,
    CountedEvents,
    SeedRow,
    deliveries_of,
    keep_seeds,
    read_on,
    seeds_of,
    seeds_since,
)
from deliverability.core.store.observations import Observations
from deliverability.core.store.reports import DAY
from deliverability.core.store.store import History
from deliverability.seeds.values import Folder
from tests.observations import digest, with_known_key

pytestmark = pytest.mark.long

NOW = 1_764_000_000  # 2025-11-24, a Monday
YESTERDAY = NOW // DAY * DAY - DAY // 2
THEN = date(2025, 11, 23)
KEEP = 400
LOG, BOUNCES = DeliveryOrigin.LOG, DeliveryOrigin.BOUNCES
DELIVERED, HARD = DeliveryResult.DELIVERED, DeliveryResult.HARD


def event(key: str, result: DeliveryResult = DELIVERED, **how: object) -> DeliveryEvent:
    values: dict[str, object] = {
        "at": YESTERDAY,
        "origin": LOG,
        "sender": "news.example.com",
        "receiver": "gmail",
        **how,
    }
    return DeliveryEvent(result=result, key=key, recipient="somebody@gmail.com", **values)  # type: ignore[arg-type]


def take(
    history: History, *events: DeliveryEvent, values: Sequence[PublishedValue] = (), now: int = NOW
) -> CountedEvents:
    store = Observations(history)
    intake = store.begin(now)
    with store.batch(intake, now, KEEP) as batch:
        kept = batch.events(events)
        batch.values(values)
    store.finish(intake, now, KEEP)
    return kept


def seen(history: History, domain: str = "example.com", days: int = 28) -> Deliveries:
    found = deliveries_of(history, domain, days, NOW)
    assert found is not None
    return found


def test_events_are_summed_up_by_day_receiver_sender_and_origin(history: History) -> None:
    kept = take(
        history,
        event("1"),
        event("2"),
        event("3", HARD, meaning="gmail-no-account"),
        event("4", HARD, origin=BOUNCES, meaning="gmail-no-account"),
        event("5", receiver="", sender="example.com", at=YESTERDAY - 3 * DAY),
        event("6", sender="example.net"),
    )
    assert (len(kept.new), kept.known, kept.old) == (6, 0, 0)
    found = seen(history)
    assert (found.begin, found.end) == (date(2025, 10, 27), THEN)
    assert set(found.days) == {
        DeliveryDay(date(2025, 11, 20), "", "example.com", LOG, delivered=1),
        DeliveryDay(THEN, "gmail", "news.example.com", LOG, delivered=2, hard=1),
        DeliveryDay(THEN, "gmail", "news.example.com", BOUNCES, hard=1),
    }
    assert set(found.causes) == {
        CauseDay(THEN, "gmail", "news.example.com", origin, "gmail-no-account", HARD, 1) for origin in (LOG, BOUNCES)
    }
    assert deliveries_of(history, "other.example", 28, NOW) is None


def test_an_event_counts_once(history: History) -> None:
    take(history, event("1"), event("2"))
    before = digest(history)
    again = take(history, event("1"), event("2"), event("2"))
    assert (again.new, again.known) == ((), 3)
    assert digest(history) == before
    more = take(history, event("2"), event("3"))
    assert [each.key for each in more.new] == ["3"]
    assert [each.delivered for each in seen(history).days] == [3]
    assert len(take(history, event("1", origin=BOUNCES)).new) == 1, "another origin tells of something else"


def test_order_and_portions_do_not_matter(tmp_path: Path) -> None:
    made = [event("1"), event("2", HARD, meaning="m"), event("1"), event("3", at=YESTERDAY - DAY)]
    found = set()
    for number, order in enumerate(itertools.permutations(made)):
        history = History.open(f"sqlite:///{with_known_key(tmp_path / f'{number}.db')}")
        if number % 2:
            take(history, *order)
        else:
            for each in order:
                take(history, each)
        found.add(digest(history))
        history.close()
    assert len(found) == 1


@pytest.mark.parametrize(
    ("at", "day"),
    [(None, date(2025, 11, 24)), (NOW + 9 * DAY, date(2025, 11, 24)), (NOW - 40 * DAY, date(2025, 10, 15))],
    ids=["not told", "to come", "past"],
)
def test_the_day_of_an_event(history: History, at: int | None, day: date) -> None:
    take(history, event("1", at=at))
    found = deliveries_of(history, "example.com", 60, NOW + DAY)
    assert found is not None
    assert [each.day for each in found.days] == [day]


def test_what_is_too_old_is_not_kept_and_what_gets_old_goes(history: History) -> None:
    assert take(history, event("1", at=NOW - (KEEP + 1) * DAY)).old == 1
    old = PublishedValue("192.0.2.1", (NOW - 30 * DAY) // DAY, DeliveryOrigin.SNDS, "traps", 1, 1)
    take(history, event("1", at=NOW - 30 * DAY), event("2", at=NOW - 2 * DAY), values=[old])
    Observations(history).forget((NOW - 20 * DAY) // DAY)
    found = seen(history, days=300)
    assert [each.delivered for each in found.days] == [1]
    assert found.snds == ()
    assert len(take(history, event("1", at=NOW - 30 * DAY)).new) == 1, "its digest is gone, too"
    take(history, now=NOW + KEEP * DAY)
    assert deliveries_of(history, "example.com", 3000, NOW + KEEP * DAY) is None


def test_of_numbers_told_twice_the_worse_one_counts(history: History) -> None:
    day = NOW // DAY - 1

    def number(subject: str, metric: str, low: float, high: float, origin: DeliveryOrigin) -> PublishedValue:
        return PublishedValue(subject, day, origin, metric, low, high)

    gmail, snds = DeliveryOrigin.GMAIL, DeliveryOrigin.SNDS
    take(
        history, values=[number("example.com", "spam-rate", 0.2, 0.2, gmail), number("192.0.2.1", "result", 1, 1, snds)]
    )
    before = digest(history)
    take(
        history, values=[number("example.com", "spam-rate", 0.1, 0.1, gmail), number("192.0.2.1", "result", 1, 1, snds)]
    )
    assert digest(history) == before
    take(
        history,
        values=[number("192.0.2.1", "result", 2, 2, snds), number("news.example.com", "spam-rate", 0, 0, gmail)],
    )
    found = seen(history)
    assert set(found.gmail) == {
        ValueDay(THEN, "example.com", "spam-rate", 0.2, 0.2),
        ValueDay(THEN, "news.example.com", "spam-rate", 0, 0),
    }
    assert found.snds == (ValueDay(THEN, "192.0.2.1", "result", 2, 2),)
    other = deliveries_of(history, "other.example", 28, NOW)
    assert other is not None, "what SNDS says is of addresses; whose they are is seen later"
    assert (other.gmail, other.snds) == ((), found.snds)


def test_no_address_of_anybody_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = History.open(f"sqlite:///{path}")
    take(history, event("1 somebody@gmail.com", HARD, meaning="gmail-no-account"))
    history.close()
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"gmail-no-account" in kept
    assert b"somebody" not in kept


def test_campaigns_are_summed_up_by_their_names_and_days(history: History) -> None:
    spring: dict[str, object] = {"origin": DeliveryOrigin.SES, "campaigns": ("spring",)}
    take(history, event("1", **spring), event("2", HARD, **spring), event("3", origin=DeliveryOrigin.SES))
    take(history, event("1", **spring), event("4", HARD, origin=DeliveryOrigin.SES, campaigns=("spring", "jp")))
    assert [(each.campaign, each.delivered, each.hard) for each in seen(history).campaigns] == [
        ("jp", 0, 1),
        ("spring", 1, 2),
    ]


def test_names_of_single_mails_do_not_fill_the_history(history: History) -> None:
    """A day keeps those that came first, and goes on to count them."""
    take(history, *(event(str(number), campaigns=(f"c{number}",)) for number in range(MAX_CAMPAIGNS + 50)))
    take(history, *(event(f"x{number}", campaigns=(f"c{number}",)) for number in range(0, MAX_CAMPAIGNS + 50, 100)))
    kept = seen(history).campaigns
    assert len(kept) == MAX_CAMPAIGNS
    assert sum(each.delivered for each in kept) == MAX_CAMPAIGNS + 2


ROW = SeedRow(
    test="k3m9xq2pw7ab",
    mailbox="箱 " + "x" * 500,
    receiver="gmail",
    domain="example.com",
    sent="2026-11-29T08:00:00Z",
    found="2026-11-29T08:00:41Z",
    folder="spam",
    tab="",
    delay_s=41,
    auth={"spf": "pass", "dkim": "\0odd"},
    signs={"SCL": "5"},
    verdict_before="at-risk",
    rules=("ALN-001",),
)


def test_a_row_is_read_as_it_was_kept(history: History) -> None:
    open_ended = replace(ROW, mailbox="g2", delay_s=None, auth={}, signs={}, rules=(), verdict_before="")
    keep_seeds(history, [ROW, open_ended])
    found = seeds_since(history, "2026-11-29T00:00:00Z")
    assert {each.mailbox: each for each in found} == {ROW.mailbox: ROW, "g2": open_ended}
    assert seeds_since(history, "2026-11-30T00:00:00Z") == ()
    assert seeds_of(history, ("another",)) == ()
    assert {each.mailbox for each in seeds_of(history, (ROW.test, "another"))} == {"g2", ROW.mailbox}
    assert read_on(history, "2026-11-29") == {ROW.test}
    assert read_on(history, "2026-11-28") == frozenset()


def test_what_is_known_is_replaced_by_what_is_known_and_by_nothing_else(history: History) -> None:
    keep_seeds(history, [replace(ROW, folder="missing")])
    keep_seeds(history, [ROW])
    keep_seeds(history, [replace(ROW, folder=UNREACHABLE)])
    assert seeds_of(history, (ROW.test,)) == (ROW,)


def test_nothing_known_is_the_folder_that_is_unreachable() -> None:
    assert Folder.UNREACHABLE.value == UNREACHABLE
