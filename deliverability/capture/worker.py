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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from deliverability.inputs import Subject
from deliverability.model.codes import Code
from deliverability.model.errors import InputError
from deliverability.model.rules import Severity
from deliverability.ports.open import PortSettings

if TYPE_CHECKING:
    from deliverability.capture.room import CaptureRoom
    from deliverability.judge.engine import Selection
    from deliverability.model.rules import RuleSet

WORKER_DIED = Code("audit-worker-died")
TOOK_TOO_LONG = Code("audit-took-too-long", ("n",))
SECONDS = 300.0  # of a call; audits have their own, much shorter, budgets for what they wait for


def shipped_rules() -> tuple[RuleSet, Selection]:
    """The shipped rules, all of them for all receivers."""
    from deliverability.judge.engine import Selection
    from deliverability.runs.rules import load_rules

    return load_rules(), Selection()


class RoomSettings(Struct, frozen=True):
    """How messages are audited: what `deliv audit` would be told. All of it travels to another process.

    Attributes:
        subject: what every message is audited for; without a domain: for its own.
        ports: where answers come from.
        folders: the rule folders of the user.
        judging: loads the rules and says which of them and which receivers count.
        fail_on: from which severity on a finding gives exit code 1; None: none does.

    """

    subject: Subject = Subject()
    ports: PortSettings = field(default_factory=PortSettings)
    folders: tuple[Path, ...] = ()
    judging: Callable[[], tuple[RuleSet, Selection]] = shipped_rules
    fail_on: Severity | None = Severity.ERROR


class AuditWorker(Protocol):
    """Runs calls on a CaptureRoom."""

    async def run(self, call: str, *args: Any) -> Any:
        """What a coroutine of the worker gives: ``method`` of CaptureRoom, or ``package.module:function``.

        The function takes the room first. Arguments and result travel between processes.

        Raises what it raises, and InputError where the worker died of it or took too long.
        """
        ...

    def close(self) -> None:
        """End it; what is under way is given up."""
        ...


class ProcessWorker:
    """One process, started with the first call, and again after it died. See AuditWorker."""

    def __init__(self, settings: RoomSettings, seconds: float = SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds
        self._pool: ProcessPoolExecutor | None = None
        # Messages in memory travel with their call: not more than one of them waits in the pipe.
        self._turn = asyncio.Semaphore(1)

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
                async with asyncio.timeout(self._seconds) as limit:
                    return await asyncio.get_running_loop().run_in_executor(self._running(), work)
            except BrokenProcessPool:
                self.close()
                raise InputError(WORKER_DIED()) from None
            except TimeoutError:
                if not limit.expired():
                    raise
                self.close()
                raise InputError(TOOK_TOO_LONG(n=round(self._seconds))) from None

    def close(self) -> None:
        """See AuditWorker."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


# --- in the worker ---

_settings: RoomSettings | None = None


def _begin(settings: RoomSettings) -> None:
    global _settings
    _settings = settings
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()


@cache
def _room() -> CaptureRoom:
    """The room; made by the first call, which is told what is wrong with its settings."""
    from deliverability.capture.room import CaptureRoom

    assert _settings is not None  # noqa: S101 - _begin ran
    return CaptureRoom(_settings)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _call(call: str, *args: Any) -> Any:
    room = _room()
    module, _, function = call.rpartition(":")
    if module:
        return asyncio.run(getattr(importlib.import_module(module), function)(room, *args))
    return asyncio.run(getattr(room, function)(*args))
