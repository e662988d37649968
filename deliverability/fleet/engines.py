"""Who does the shards of a fleet run: processes of this machine, or the machines of a Dask cluster (extra `dask`).

A worker of a cluster needs this program in the same version, the rule folders and zone files of the run under the same
paths, and nothing else: no disk is shared, and the files of a shard come back over the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.fleet.shards import write_shard
from deliverability.fleet.work import FleetPlan, ShardDone, ShardTask, Workshop

NO_WORKERS = Code("fleet-no-workers")
OPEN_SHARDS = 3
"""Shards that one worker is at work on at most: the next is begun while the last, slow domains of another come in."""
_GENERATION = 50_000  # new objects before the collector looks at them: work leaves few cycles


class Engine(Protocol):
    """Does shards."""

    def map(self, shards: Iterator[ShardTask]) -> Generator[ShardDone]:
        """Do the shards, each begun when it is taken, and give them back in any order, their files written.

        Once `shards` ends, those begun are finished; when the generator is closed, they are given up. Raises OSError
        where files cannot be written, InputError where the workers cannot do it.
        """
        ...


def default_workers() -> int:
    """As many as this process may use of the cores, but for one; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


class _Worker(Struct):
    """A process, and what it is at work on."""

    process: SpawnProcess
    line: Connection
    alone: bool = False
    tasks: dict[int, ShardTask] = field(default_factory=dict)
    begun: bool = False


class Processes:
    """Processes of this machine, each with an event loop, a resolver and a cache of its own."""

    def __init__(self, plan: FleetPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._again: list[ShardTask] = []
        self._died: set[int] = set()

    def map(self, shards: Iterator[ShardTask]) -> Generator[ShardDone]:
        """See Engine. A shard whose worker died is done once more, by a worker that does nothing else."""
        try:
            first = next(shards, None)
            if first is None:
                return
            waiting = self._chain(first, shards)
            self._workers = [self._start() for _ in range(self._plan.workers)]
            while self._workers:
                for ready in wait([each.line for each in self._workers]):
                    worker = next(each for each in self._workers if each.line is ready)
                    yield from self._heard(worker, waiting)
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                worker.process.join()
                worker.line.close()
            self._workers = []

    @staticmethod
    def _chain(first: ShardTask, rest: Iterator[ShardTask]) -> Iterator[ShardTask]:
        yield first
        yield from rest

    def _start(self, *, alone: bool = False) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(self._plan, self._folder, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, alone)

    def _heard(self, worker: _Worker, waiting: Iterator[ShardTask]) -> Iterator[ShardDone]:
        """What a worker says: None where it wants a shard, an error, or what it has done; its end where it died."""
        try:
            message = worker.line.recv()
        except (EOFError, OSError):
            yield from self._lost(worker)
            return
        if isinstance(message, Exception):
            raise message
        if isinstance(message, ShardDone):
            del worker.tasks[message.number]
            yield replace(message, died=message.number in self._died)
            return
        worker.begun = True
        task = self._next(worker, waiting)
        if task is not None:
            worker.tasks[task.number] = task
        with contextlib.suppress(OSError):  # it died meanwhile: that is heard next
            worker.line.send(task)

    def _next(self, worker: _Worker, waiting: Iterator[ShardTask]) -> ShardTask | None:
        if not worker.alone:
            return next(waiting, None)
        return self._again.pop() if self._again and not worker.tasks else None

    def _lost(self, worker: _Worker) -> Iterator[ShardDone]:
        """A worker is gone: it had nothing to do any more, or it died."""
        self._workers.remove(worker)
        worker.process.join()
        worker.line.close()
        if worker.process.exitcode and not worker.begun:
            raise InputError(NO_WORKERS())
        for number, task in worker.tasks.items():
            if number in self._died:
                yield ShardDone(number, None, died=True)
            else:
                self._died.add(number)
                self._again.append(task)
        if worker.process.exitcode and not worker.alone:
            self._workers.append(self._start())
        if self._again and not any(each.alone for each in self._workers):
            self._workers.append(self._start(alone=True))


# --- in the worker ---


def work(plan: FleetPlan, folder: Path, line: Connection) -> None:
    """Be a worker, until there is nothing more to do or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        asyncio.run(_serve(plan, folder, line))
    except BaseExceptionGroup as group:
        line.send(_first(group))
    except Exception as error:
        line.send(error)


def _end_with_parent() -> None:
    """What an orphan wrote could meet what the next run writes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve(plan: FleetPlan, folder: Path, line: Connection) -> None:
    workshop = Workshop(plan)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GENERATION, 20, 20)
    places = asyncio.Semaphore(OPEN_SHARDS)

    async def do(task: ShardTask) -> None:
        try:
            done = await workshop.shard(task)
            await asyncio.to_thread(write_shard, folder, task.number, done.pieces)
            line.send(replace(done, pieces={}))
        finally:
            places.release()

    try:
        async with asyncio.TaskGroup() as group:
            while True:
                await places.acquire()
                await workshop.hungry()
                line.send(None)
                task = await asyncio.to_thread(line.recv)
                if task is None:
                    break
                group.create_task(do(task))
                await asyncio.sleep(0)  # it takes its places before another is asked for
    finally:
        await workshop.close()


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
