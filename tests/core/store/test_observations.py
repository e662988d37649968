"""What receivers report is kept once, in whatever order and however often it comes; SQLite and PostgreSQL alike."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.model.observed import (
    AggregateReport,
    AggregateRow,
    Facet,
    FailureReport,
    Observed,
    PolicySeen,
    Rows,
    SignatureSeen,
    TlsFailure,
    TlsPolicyResult,
    TlsReport,
    Trust,
)
from deliverability.core.model.services import Reporter
from deliverability.core.rules.knowledge import shipped
from deliverability.core.store.observations import Observations, Taken
from deliverability.core.store.reports import DAY
from deliverability.core.store.store import History
from deliverability.core.store.window import OVERLAP, window
from tests.observations import contents, digest
from tests.sampled import sampled

pytestmark = pytest.mark.long

NOW = 1_764_000_000  # 2025-11-24, a Monday
YESTERDAY = NOW // DAY * DAY - DAY
KEEP = 400
OURS = Facet(
    "example.com", "", (SignatureSeen("example.com", "s1", "pass"),), "b.example.net", "pass", True, False, "none", ""
)
FORGED = Facet("example.com", "x.example", (), "x.example", "fail", False, False, "reject", "local_policy/arc")
ROWS = (AggregateRow(b"\xc0\0\2\1", 7, OURS), AggregateRow(b"\xc0\0\2\2", 2, FORGED), AggregateRow(bytes(16), 1, OURS))


def report(
    number: str = "1", begin: int = YESTERDAY, end: int = YESTERDAY + 86399, **changes: object
) -> AggregateReport:
    made = AggregateReport(
        "Receiver", "receiver.example", number, "example.com", begin, end, PolicySeen(p="none"), 3, 10, 0, "d1", True
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def take(
    history: History,
    *reports: AggregateReport,
    trust: Trust = Trust.VERIFIED,
    rows: Sequence[AggregateRow] = ROWS,
    item: bytes | None = None,
    now: int = NOW,
) -> list[Taken]:
    """An intake of these reports, each in an item of its own."""
    store = Observations(history)
    intake = store.begin(now)
    kept = []
    with store.batch(intake, now, KEEP) as batch:
        for number, each in enumerate(reports):
            named = item or hashlib.md5(f"{each} {trust} {number} {intake}".encode()).digest()
            batch.seen(named)
            sink = batch.rows()
            sink.take(rows)
            kept.append(batch.aggregate(named, each, sink, "example.com", "receiver", trust))
            batch.item(named)
    store.finish(intake, now, KEEP)
    return kept


LISTED = {"receiver": Reporter("receiver", ("receiver",), ("receiver.example",))}


def seen(history: History, days: int = 28, trust: str = "verified", now: int = NOW) -> Observed:
    return window(history, "example.com", days, trust, now, LISTED)


def messages(observed: Observed) -> int:
    return sum(row.messages for row in observed.rows)


def test_what_was_taken_comes_back(history: History) -> None:
    assert take(history, report()) == [Taken.NEW]
    found = seen(history)
    assert [(row.ip, row.messages, row.facet, row.trusted, row.reporter) for row in found.rows] == [
        ("192.0.2.1", 7, OURS, True, "receiver"),
        ("192.0.2.2", 2, FORGED, True, "receiver"),
        ("::", 1, OURS, True, "receiver"),
    ]
    day = date(2025, 11, 23)
    assert {row.day for row in found.rows} == {day}
    assert (found.begin, found.end) == (date(2025, 10, 27), day)
    assert found.first_report == day
    assert found.last_reports == {"receiver": day}
    assert list(found.rows.since) == [day.toordinal()] * 3
    assert found.first_facets == {OURS: day, FORGED: day}
    (told,) = found.reports
    assert (told.name, told.trust, told.messages, told.policy) == ("Receiver", Trust.VERIFIED, 10, PolicySeen(p="none"))
    assert len(window(history, "other.example", 28, "verified", NOW, LISTED).rows) == 0


def test_the_same_report_counts_once(history: History) -> None:
    take(history, report())
    once = digest(history)
    assert take(history, report()) == [Taken.DUPLICATE], "sent once more, in another mail"
    assert messages(seen(history)) == 10
    assert seen(history).duplicates == 1
    assert digest(history) != once, "that it came twice is known"
    item = b"the very same......"[:16]
    take(history, report(), item=item)
    before = digest(history)
    take(history, report(), item=item)
    assert digest(history) == before, "the same file read again adds nothing"


def test_other_rows_under_the_same_name_do_not_count(history: History) -> None:
    take(history, report())
    assert take(history, report(digest="d2"), rows=ROWS[:1]) == [Taken.CONFLICTING]
    assert messages(seen(history)) == 10


def test_the_same_rows_under_two_names_count_once(history: History) -> None:
    assert take(history, report("1"), report("2")) == [Taken.NEW, Taken.DOUBLE]
    assert messages(seen(history)) == 10
    assert seen(history).duplicates == 1


def test_parts_of_one_period_add_up(history: History) -> None:
    take(history, report("1"), report("2", digest="d2"))
    assert messages(seen(history)) == 20


@pytest.mark.parametrize("shift", [3 * 3600, -3 * 3600])
def test_periods_that_overlap_in_part_count_once(history: History, shift: int) -> None:
    begin = YESTERDAY - DAY
    take(history, report("1", begin, begin + DAY), report("2", begin + shift, begin + shift + DAY, digest="d2"))
    found = seen(history)
    assert messages(found) == 10
    (problem,) = found.problems
    assert OVERLAP.matches(problem.detail)


def test_neighbours_that_share_a_second_both_count(history: History) -> None:
    begin = YESTERDAY - DAY
    take(history, report("1", begin, begin + DAY), report("2", begin + DAY, begin + 2 * DAY - 1, digest="d2"))
    assert messages(seen(history)) == 20


@pytest.mark.parametrize("order", sampled([[*each] for each in itertools.permutations(range(4))], 5))
def test_a_forged_report_cannot_take_the_place_of_a_real_one(tmp_path: Path, order: Sequence[int]) -> None:
    """Whether it comes first or last: under the same name, over the same time, or with the same rows."""
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    forged = [
        report("1", digest="forged"),
        report("9", YESTERDAY - 7200, YESTERDAY + 7200, digest="over it"),
        report("8"),
    ]
    steps = [(report("1"), Trust.VERIFIED), *((each, Trust.CLAIMED) for each in forged)]
    for number in order:
        made, trust = steps[number]
        take(history, made, trust=trust, rows=ROWS if trust is Trust.VERIFIED else ROWS[1:2])
    found = seen(history)
    assert sum(row.messages for row in found.rows if row.trusted) == 10
    assert not [row for row in found.rows if not row.trusted]
    history.close()


def test_what_was_claimed_is_raised_by_proof(history: History) -> None:
    take(history, report(), trust=Trust.CLAIMED)
    assert not any(row.trusted for row in seen(history).rows)
    assert seen(history).last_reports == {}, "a heartbeat that anybody can forge is none"
    assert all(row.trusted for row in seen(history, trust="any").rows)
    assert take(history, report(), trust=Trust.VERIFIED) == [Taken.RAISED]
    assert all(row.trusted for row in seen(history).rows)
    assert messages(seen(history)) == 10
    assert take(history, report(), trust=Trust.CLAIMED) == [Taken.DUPLICATE]
    assert all(row.trusted for row in seen(history).rows), "and not lowered again"


def test_a_report_that_was_cut_off_is_never_trusted(history: History) -> None:
    take(history, report(complete=False))
    assert not any(row.trusted for row in seen(history, trust="any").rows)


def test_order_does_not_matter(tmp_path: Path) -> None:
    """Not for what is kept, and not for what it comes to."""
    made = [
        report("1"),
        report("2"),
        report("3", digest="d3"),
        report("4", YESTERDAY - DAY, YESTERDAY + 40_000, digest="d4"),
        report("5", YESTERDAY - 120 * DAY, YESTERDAY - 119 * DAY, digest="d5"),
        report("6", YESTERDAY - 121 * DAY + 40_000, YESTERDAY - 120 * DAY + 40_000, digest="d6"),
    ]
    found = set()
    for number, order in enumerate([made, made[::-1], made[3:] + made[:3]]):
        history = History.open(f"sqlite:///{tmp_path / f'{number}.db'}")
        store = Observations(history)
        intake = store.begin(NOW)
        for each in order:
            with store.batch(intake, NOW, KEEP) as batch:
                sink = batch.rows()
                sink.take(ROWS)
                item = each.report_id.encode().ljust(16)
                batch.aggregate(item, each, sink, "example.com", "receiver", Trust.VERIFIED)
                batch.item(item)
        store.finish(intake, NOW, KEEP)
        both = (seen(history), seen(history, 200))
        told = [(sorted(each.rows), str(replace(each, rows=Rows()))) for each in both]
        found.add((digest(history), str(told)))
        history.close()
    assert len(found) == 1


def test_rows_of_long_ago_become_weeks_and_say_the_same(history: History) -> None:
    begin = YESTERDAY - 100 * DAY
    made = [report(str(day), begin + day * DAY, begin + (day + 1) * DAY - 1, digest=f"d{day}") for day in range(20)]
    early = NOW - 80 * DAY
    take(history, *made, now=early)
    before = seen(history, 300, now=early)
    assert messages(before) == 200
    take(history, now=NOW)
    after = seen(history, 300)
    assert messages(after) == 200
    assert {(row.ip, row.facet, row.trusted) for row in after.rows} == {
        (row.ip, row.facet, row.trusted) for row in before.rows
    }
    assert any(each.startswith("example.com ") for each in contents(history))
    assert messages(seen(history, 95)) < 200, "weeks that lie outside are left out"
    assert take(history, made[0], now=NOW) == [Taken.DUPLICATE], "for ever"


def test_what_went_into_weeks_can_still_be_raised(history: History) -> None:
    long_ago = report("1", YESTERDAY - 120 * DAY, YESTERDAY - 119 * DAY - 1)
    take(history, long_ago, trust=Trust.FILE)
    assert [row.trusted for row in seen(history, 150).rows] == [False] * len(seen(history, 150).rows)
    assert take(history, long_ago, trust=Trust.VERIFIED) == [Taken.RAISED]
    found = seen(history, 150)
    assert messages(found) == 10
    assert all(row.trusted for row in found.rows)


def test_what_is_too_old_is_not_kept(history: History) -> None:
    old = report("1", YESTERDAY - 500 * DAY, YESTERDAY - 499 * DAY)
    assert take(history, old) == [Taken.OLD]
    assert seen(history, 366).reports == ()
    take(history, report("2", YESTERDAY - 300 * DAY, YESTERDAY - 299 * DAY, digest="d2"))
    assert messages(seen(history, 366)) == 10
    take(history, now=NOW + 401 * DAY)
    assert messages(seen(history, 366, now=NOW + 200 * DAY)) == 0
    assert not contents(history), "nothing of it is left"


def test_all_before_a_day_can_be_forgotten(history: History) -> None:
    take(history, report("1", YESTERDAY - 10 * DAY, YESTERDAY - 9 * DAY - 1, digest="d0"), report("2"))
    assert Observations(history).forget((YESTERDAY - 5 * DAY) // DAY) == 1
    assert messages(seen(history)) == 10


def test_a_week_in_one_report_is_spread_over_its_days(history: History) -> None:
    take(history, report("1", YESTERDAY - 6 * DAY, YESTERDAY + DAY - 1))
    found = seen(history)
    assert messages(found) == 10
    assert len({row.day for row in found.rows}) == 7
    assert messages(seen(history, 3)) == 0, "more than half of it lies outside"
    assert messages(seen(history, 4)) == 10, "all of it or nothing"


def test_a_large_report_that_is_known_leaves_no_rows(history: History) -> None:
    many = [AggregateRow(number.to_bytes(4, "big"), 1, OURS) for number in range(25_000)]
    take(history, report(messages=25_000, records=25_000), rows=many)
    before = contents(history)
    assert messages(seen(history)) == 25_000
    assert take(history, report(messages=25_000, records=25_000), rows=many) == [Taken.DUPLICATE]
    assert len(contents(history)) == len(before) + 1, "but for the item"


def test_tls_and_failure_reports(history: History) -> None:
    failures = (TlsFailure("certificate-expired", "mx.example.com", 3),)
    policies = (TlsPolicyResult("example.com", "sts", 10, 3, failures),)
    tls = TlsReport("Receiver", "t1", YESTERDAY, YESTERDAY + 86399, policies)
    failed = FailureReport(
        "receiver.example", "example.com", b"\xc0\0\2\1", SignatureSeen("a.example", "s", ""), "dkim", None
    )
    store = Observations(history)
    intake = store.begin(NOW)
    with store.batch(intake, NOW, KEEP) as batch:
        assert batch.tls(b"1" * 16, tls, policies, "example.com", "receiver", Trust.VERIFIED) is Taken.NEW
        assert batch.tls(b"2" * 16, tls, policies, "example.com", "receiver", Trust.VERIFIED) is Taken.DUPLICATE
        for number in range(2):
            item = bytes([number]) * 16
            assert batch.failure(item, failed, "example.com", YESTERDAY + 5, Trust.VERIFIED) is Taken.NEW
    found = seen(history)
    assert found.tls == (tls,)
    assert found.failures == ((failed, 2),)


def test_a_reporter_that_is_known_has_one_name(history: History) -> None:
    store = Observations(history)
    intake = store.begin(NOW)
    with store.batch(intake, NOW, KEEP) as batch:
        for name in ("outlook.com", "enterprise outlook", "somebody"):
            sink = batch.rows()
            sink.take(ROWS)
            item = hashlib.md5(name.encode()).digest()
            batch.aggregate(item, report(name, digest=name), sink, "example.com", name, Trust.VERIFIED)
    found = window(history, "example.com", 28, "verified", NOW, shipped().reporters)
    assert {(row.reporter, row.trusted) for row in found.rows} == {("microsoft", True), ("somebody", False)}
    assert {(each.reporter, each.listed) for each in found.reports} == {("microsoft", True), ("somebody", False)}
    assert set(found.last_reports) == {"microsoft", "somebody"}
    assert [(each.reporter, each.domain) for each in found.reports].count(("microsoft", "example.com")) == 2


def test_an_address_that_brings_mail_of_many_owners_is_a_relay(history: History) -> None:
    store = Observations(history)
    intake = store.begin(NOW)
    with store.batch(intake, NOW, KEEP) as batch:
        for number in range(5):
            domain = "example.com" if number == 0 else f"example{number}.net"
            sink = batch.rows()
            sink.take([ROWS[0], ROWS[1], ROWS[2]] if number < 4 else ROWS[:2])
            item = bytes([number]) * 16
            batch.aggregate(item, report(str(number), domain=domain), sink, domain, "receiver", Trust.VERIFIED)
    assert seen(history).relays == {"192.0.2.1"}, "not one of four owners, and not what only forges"


def test_problems_of_the_domain_and_of_nobody_known(history: History) -> None:
    broken = Code("broken", ("what",))(what="x")
    store = Observations(history)
    intake = store.begin(NOW)
    with store.batch(intake, NOW, KEEP) as batch:
        batch.problem(broken, "a.gz")
        batch.problem(broken, "b.gz", "example.com", "receiver")
        batch.problem(broken, "c.gz", "other.example", "receiver")
    assert [(each.detail, each.reporter, each.count) for each in seen(history).problems] == [
        (broken, "", 1),
        (broken, "receiver", 1),
    ]


def test_a_batch_is_kept_whole_or_not_at_all(history: History) -> None:
    store = Observations(history)
    intake = store.begin(NOW)

    def fail() -> None:
        with store.batch(intake, NOW, KEEP) as batch:
            sink = batch.rows()
            sink.take(ROWS * 5000)
            batch.aggregate(b"1" * 16, report(), sink, "example.com", "receiver", Trust.VERIFIED)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not contents(history)
    assert take(history, report()) == [Taken.NEW], "what was numbered in it is numbered anew"
    assert messages(seen(history)) == 10


def test_marks_of_a_mailbox(history: History) -> None:
    store = Observations(history)
    intake = store.begin(NOW)
    assert store.mark("box", 7) == 0
    with store.batch(intake, NOW, KEEP) as batch:
        batch.mark("box", 7, 12, [(3, "done"), (5, "again")])
    with store.batch(intake, NOW + DAY, KEEP) as batch:
        batch.mark("box", 7, 14, [(5, "again")])
    assert store.mark("box", 7) == 14
    assert [(each.uid, each.what, each.day) for each in store.owed("box", 7)] == [
        (3, "done", NOW // DAY),
        (5, "again", NOW // DAY),
    ], "it is known since when"
    store.settle("box", [3])
    assert [each.uid for each in store.owed("box", 7)] == [5]
    assert store.mark("box", 8) == 0, "the mailbox was made anew"
    with store.batch(intake, NOW, KEEP) as batch:
        batch.mark("box", 8, 1)
    assert store.owed("box", 7) == ()
