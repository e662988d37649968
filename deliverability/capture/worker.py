"""A process that audits beside the listener, which so stays small and quick, whatever a message is like.

The listener never judges or renders reports itself: rules, words and parsers of attachments are loaded in the worker.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Protocol

from deliverability.model.codes import Code
from deliverability.model.errors import InputError

if TYPE_CHECKING:
    from deliverability.capture.room import CaptureRoom, RoomSettings

WORKER_DIED = Code("audit-worker-died")


class AuditWorker(Protocol):
    """Runs calls on a CaptureRoom."""

    async def run(self, call: str, *args: Any) -> Any:
        """What a coroutine of the worker gives: ``method`` of CaptureRoom, or ``package.module:function``.

        The function takes the room first. Arguments and result travel between processes.

        Raises what it raises, and InputError where the worker died of it.
        """
        ...

    def close(self) -> None:
        """End it; what is under way is given up."""
        ...


class ProcessWorker:
    """One process, started with the first call, and again after it died. See AuditWorker."""

    def __init__(self, settings: RoomSettings) -> None:
        self._settings = settings
        self._pool: ProcessPoolExecutor | None = None
        # Messages in memory travel with their call: not more than one of them waits in the pipe.
        self._turn = asyncio.Semaphore(1)

    def start(self) -> None:
        """Load what audits need, so that the first one does not wait for it."""
        self._running().submit(_nothing)

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self._settings,))
        return self._pool

    async def run(self, call: str, *args: Any) -> Any:
        """See AuditWorker."""
        async with self._turn:
            work = functools.partial(_call, call, *args)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._running(), work)
            except BrokenProcessPool:
                self.close()
                raise InputError(WORKER_DIED()) from None

    def close(self) -> None:
        """See AuditWorker."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


# --- in the worker ---

_room: CaptureRoom | None = None


def _begin(settings: RoomSettings) -> None:
    global _room
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from deliverability.capture.room import CaptureRoom

    _room = CaptureRoom(settings)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _nothing() -> None:
    pass


def _call(call: str, *args: Any) -> Any:
    assert _room is not None  # noqa: S101 - _begin ran
    module, _, function = call.rpartition(":")
    if module:
        return asyncio.run(getattr(importlib.import_module(module), function)(_room, *args))
    return asyncio.run(getattr(_room, function)(*args))
