"""The shards of a fleet on the machines of a Dask cluster (extra `dask`); their files come back over the network.

A worker needs this program in the same version, the rule folders and zone files of the run under the same paths, and
nothing else: no disk is shared.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Generator, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.fleet.shards import write_shard
from deliverability.fleet.work import FleetPlan, ShardDone, ShardTask, Workshop

NO_DASK = Code("fleet-no-dask")
NO_SCHEDULER = Code("fleet-no-scheduler", ("address",))
NO_DASK_WORKERS = Code("fleet-no-dask-workers", ("address",))
_SECONDS = 10
_AHEAD = 2  # shards in flight for each thread of the cluster, so that none waits for the next


class Dask:
    """An Engine, see there. Its address is ``dask://HOST:PORT`` of the scheduler."""

    def __init__(self, plan: FleetPlan, folder: Path, address: str) -> None:
        self._plan = plan
        self._folder = folder
        self._address = address

    def map(self, shards: Iterator[ShardTask]) -> Generator[ShardDone]:
        """See Engine. The scheduler gives the shards of a worker that died to another one."""
        try:
            distributed: Any = importlib.import_module("distributed")  # an extra
        except ModuleNotFoundError:
            raise InputError(NO_DASK()) from None
        try:
            client = distributed.Client(
                self._address.replace("dask://", "tcp://"), timeout=_SECONDS, set_as_default=False
            )
        except (OSError, TimeoutError):
            raise InputError(NO_SCHEDULER(address=self._address)) from None
        with client:
            threads = client.nthreads()
            if not threads:
                raise InputError(NO_DASK_WORKERS(address=self._address))
            plan = replace(self._plan, workers=len(threads))
            numbers: dict[str, int] = {}
            running = distributed.as_completed(loop=client.loop)

            def submit(task: ShardTask | None) -> None:
                if task is not None:
                    future = client.submit(do, plan, task, pure=False)
                    numbers[future.key] = task.number
                    running.add(future)

            for _ in range(_AHEAD * sum(threads.values())):
                submit(next(shards, None))
            for future in running:
                number = numbers.pop(future.key)
                try:
                    done: ShardDone = future.result()
                except distributed.KilledWorker:
                    yield ShardDone(number, None, died=True)
                else:
                    write_shard(self._folder, number, done.pieces)
                    yield replace(done, pieces={})
                submit(next(shards, None))


# --- in a worker of the cluster ---


def do(plan: FleetPlan, task: ShardTask) -> ShardDone:
    """Do one shard, in whatever thread of the worker; all of them share one event loop, resolver and cache."""
    return _bench(plan).do(task)


@lru_cache(maxsize=1)
def _bench(plan: FleetPlan) -> _Bench:
    return _Bench(plan)


class _Bench:
    """A workshop with an event loop in a thread of its own."""

    def __init__(self, plan: FleetPlan) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._workshop = asyncio.run_coroutine_threadsafe(self._opened(plan), self._loop).result()

    @staticmethod
    async def _opened(plan: FleetPlan) -> Workshop:
        return Workshop(plan)

    def do(self, task: ShardTask) -> ShardDone:
        return asyncio.run_coroutine_threadsafe(self._workshop.shard(task), self._loop).result()
