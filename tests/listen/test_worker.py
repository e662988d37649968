"""The process that audits: whatever a message does to it, the next one is served."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from deliverability.core.codes import Detail
from deliverability.core.errors import InputError
from deliverability.listen.service import SECONDS, TOOK_TOO_LONG, WORKER_DIED, CaptureRoom, ProcessWorker
from tests.listen.rooms import OFFLINE_ROOM

pytestmark = pytest.mark.long


async def die(room: CaptureRoom) -> None:
    os._exit(9)


async def hang(room: CaptureRoom) -> None:
    await asyncio.sleep(600)


async def process(room: CaptureRoom) -> int:
    return os.getpid()


@pytest.fixture
def worker(request: pytest.FixtureRequest) -> Iterator[ProcessWorker]:
    made = ProcessWorker(OFFLINE_ROOM, getattr(request, "param", SECONDS))
    yield made
    made.close()


async def told(worker: ProcessWorker, call: str) -> Detail:
    with pytest.raises(InputError) as error:
        await worker.run(f"{__name__}:{call}")
    return error.value.detail


async def test_a_call_that_ends_the_process_costs_itself_alone(worker: ProcessWorker) -> None:
    first, died, again = await asyncio.gather(
        worker.run(f"{__name__}:process"), told(worker, "die"), worker.run(f"{__name__}:process")
    )
    assert died == WORKER_DIED()
    assert len({os.getpid(), first, again}) == 3


@pytest.mark.parametrize("worker", [1.0], indirect=True)
async def test_a_call_that_does_not_end_is_ended(worker: ProcessWorker) -> None:
    assert await told(worker, "hang") == TOOK_TOO_LONG(n=1)
