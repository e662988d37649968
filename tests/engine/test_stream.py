"""Many subjects side by side: a bounded number at once, as they come or in order, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from deliverability.engine import stream as under_test
from deliverability.engine.stream import IN_FLIGHT, collecting_seldom, stream

JOBS = list(range(2 * IN_FLIGHT + 5))


class Worker:
    """Counts how many are at work; each job waits until `release` names it, or no longer than a turn of the loop."""

    def __init__(self, *held: int) -> None:
        self.held = {number: asyncio.Event() for number in held}
        self.at_work = self.most = self.begun = 0

    async def __call__(self, job: int) -> int:
        self.at_work += 1
        self.begun += 1
        self.most = max(self.most, self.at_work)
        try:
            await asyncio.sleep(0)
            if job in self.held:
                await self.held[job].wait()
            return -job
        finally:
            self.at_work -= 1


@pytest.mark.parametrize("ordered", [True, False])
async def test_every_job_has_its_result_and_only_so_many_are_at_work(ordered: bool) -> None:
    work = Worker()
    got = [each async for each in stream(JOBS, work, ordered=ordered)]
    assert sorted(got) == [(job, -job) for job in JOBS]
    assert work.most == IN_FLIGHT
    assert not ordered or got == sorted(got)


async def test_a_slow_job_holds_up_the_others_only_where_the_order_counts() -> None:
    work = Worker(0)
    got = []
    async for job, _ in stream(JOBS, work, ordered=False):
        got.append(job)
        if len(got) == len(JOBS) - 1:
            work.held[0].set()
    assert got[-1] == 0
    assert sorted(got) == JOBS

    work = Worker(0)
    following = asyncio.ensure_future(anext(stream(JOBS, work)))
    for _ in range(30):
        await asyncio.sleep(0)
    assert work.at_work == 1, "all others are done and wait for it"
    assert work.most == IN_FLIGHT
    work.held[0].set()
    assert await following == (0, 0)


async def test_results_that_wait_for_their_turn_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MOST_BEGUN", IN_FLIGHT + 10)
    work = Worker(0)
    found = stream(JOBS, work)
    following = asyncio.ensure_future(anext(found))
    for _ in range(30):
        await asyncio.sleep(0)
    assert work.begun == IN_FLIGHT + 10
    work.held[0].set()
    await following
    assert [job async for job, _ in found] == JOBS[1:]


@pytest.mark.parametrize("ordered", [True, False])
async def test_while_results_wait_to_be_taken_no_job_begins(ordered: bool) -> None:
    """A report is large, and to write its pages takes longer than to gather its facts."""
    jobs = list(range(6 * IN_FLIGHT))
    work = Worker()
    got, most = [], 0
    async for job, _ in stream(jobs, work, ordered=ordered):
        got.append(job)
        for _ in range(10):
            await asyncio.sleep(0)
        most = max(most, work.begun - len(got))
    assert sorted(got) == jobs
    assert most <= 2 * IN_FLIGHT, "those at work when the limit was reached, and those that waited"


@pytest.mark.parametrize("ordered", [True, False])
async def test_jobs_that_only_wait_leave_room_for_others(ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may be at work never end: the others are done all the same, and no more than that are at work."""
    monkeypatch.setattr(under_test, "_UNKNOWN", 0.05)
    monkeypatch.setattr(under_test, "_SHORTEST", 0.05)
    silent = range(3, 3 + IN_FLIGHT)
    work = Worker(*silent)
    got = []

    async def collect() -> None:
        async for job, _ in stream(JOBS, work, ordered=ordered):
            got.append(job)

    collecting = asyncio.ensure_future(collect())
    async with asyncio.timeout(60):
        while work.begun < len(JOBS) or work.at_work > IN_FLIGHT:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    assert got == [0, 1, 2] if ordered else sorted(got) == [job for job in JOBS if job not in silent]
    assert work.most <= 2 * IN_FLIGHT
    for event in work.held.values():
        event.set()
    await collecting
    assert sorted(got) == JOBS


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.long
@pytest.mark.slow
def test_the_collector_works_as_before_when_all_is_done(
    monkeypatch: pytest.MonkeyPatch, counted_frozen: Callable[[], int], *, frozen: bool
) -> None:
    """Who froze what there was before, as the program does with its modules, finds it frozen."""
    monkeypatch.setattr(gc, "get_freeze_count", counted_frozen)
    before = gc.get_threshold()
    (gc.freeze if frozen else gc.unfreeze)()
    with collecting_seldom():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert (gc.get_freeze_count() > 0) is frozen
    gc.freeze()  # so that no later test looks through all others for garbage


async def failing(job: int) -> int:
    await asyncio.sleep(0)
    if job == 1:
        raise ValueError("no such thing")
    return job


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_job_that_fails_is_told_and_the_others_go_on(ordered: bool) -> None:
    told: list[tuple[int, str]] = []
    found = stream([0, 1, 2], failing, ordered=ordered, lost=lambda job, error: told.append((job, str(error))))
    assert [job async for job, _ in found] == [0, 2]
    assert told == [(1, "no such thing")]


@pytest.mark.parametrize("ordered", [True, False])
async def test_without_anybody_to_tell_a_failure_ends_all_and_leaves_nothing_behind(ordered: bool) -> None:
    with pytest.raises(ValueError, match="no such thing"):
        async for _ in stream(JOBS, failing, ordered=ordered):
            pass
    assert len(asyncio.all_tasks()) == 1


async def test_what_nobody_waits_for_any_more_is_cancelled() -> None:
    work = Worker(*JOBS[1:])
    found = stream(JOBS, work)
    assert await anext(found) == (0, 0)
    await found.aclose()
    assert work.at_work == 0
    assert len(asyncio.all_tasks()) == 1
