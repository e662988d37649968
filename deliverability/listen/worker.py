"""A process that audits beside the listener, and what it does with a caught message."""

from __future__ import annotations

import asyncio
import functools
import importlib
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.inputs import Subject, parse_domain
from deliverability.core.model.rules import Severity
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.formats.table import FORMAT_OF, WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.rules.judge import Selection
from deliverability.core.rules.problems import load_guide
from deliverability.core.words.speaker import Speaker
from deliverability.engine.audit import Extras, Reported, document_of, report_on
from deliverability.engine.base import catalogue
from deliverability.engine.rules import exit_code, load_rules, rule_folders
from deliverability.listen.store import AuditSummary, CaughtMail

if TYPE_CHECKING:
    from deliverability.core.model.rules import RuleSet
    from deliverability.core.rules.judge import Selection

_MOST_REPORTS = 32


class CaptureRoom:
    """Audits, and the newest of what they gave. In a process of its own, for one call at a time."""

    def __init__(self, settings: RoomSettings) -> None:
        self.settings = settings
        self.rules, self.selection = settings.judging()
        self._reported: OrderedDict[str, Reported] = OrderedDict()

    async def ready(self) -> None:
        """Nothing: that there is a room means that its settings can be used."""

    async def audit(self, mail: CaughtMail) -> tuple[dict[str, Any], AuditSummary]:
        """The facts as `deliv facts` writes them, and the summary. Raises InputError where it cannot be read."""
        self._reported.pop(mail.capture.id, None)
        reported = await self.reported(mail)
        return document_of(reported.audited), self._summary(reported)

    async def reported(self, mail: CaughtMail) -> Reported:
        """The report, made now where it is not at hand. Raises InputError where the message cannot be read."""
        if mail.capture.id not in self._reported:
            made = await self._report_on(replace(self.settings.subject, sample=mail.sample))
            self._reported[mail.capture.id] = made
            while len(self._reported) > _MOST_REPORTS:
                self._reported.popitem(last=False)
        self._reported.move_to_end(mail.capture.id)
        return self._reported[mail.capture.id]

    async def report(self, mail: CaughtMail, ending: str, lang: str) -> str:
        """The report in the format of a file ending, exactly as `deliv audit -o` writes it."""
        return self.written(await self.reported(mail), ending, lang)

    async def domain_report(self, domain: str, ending: str, lang: str) -> str:
        """The report of a domain without a message. Raises InputError where it cannot be one."""
        subject = replace(self.settings.subject, domain=parse_domain(domain))
        return self.written(await self._report_on(subject), ending, lang)

    async def _report_on(self, subject: Subject) -> Reported:
        ports = open_ports(self.settings.ports)
        try:
            wanted = Extras(remedies=True, html=subject.sample is not None)
            return await report_on(subject, ports, self.rules, self.selection, wanted)
        finally:
            await ports.close()

    def written(self, reported: Reported, ending: str, lang: str) -> str:
        """A report in the format of a file ending. Raises KeyError where there is none of it."""
        form = FORMAT_OF[f".{ending}"]
        writer = form.writer(self.speaker(lang), WriterOptions(1, False, self.settings.fail_on, file=True))
        html = reported.audited.html if form.previews else None
        return writer.report(ReportView(reported.report, self.speaker(lang), key="", html=html or "")) + writer.end()

    @cache  # noqa: B019 - there is one room in a process, and it stays
    def speaker(self, lang: str) -> Speaker:
        """What speaks that language."""
        return Speaker(self.rules, catalogue(), lang, load_guide(rule_folders(self.settings.folders)))

    def _summary(self, reported: Reported) -> AuditSummary:
        report = reported.report
        answers = {lang: ReportView(report, self.speaker(lang), key="").answer for lang in LANGUAGES}
        leads = {lang: answer.lead for lang, answer in answers.items()}
        code, tone = exit_code(report, self.settings.fail_on), next(iter(answers.values())).tone
        return AuditSummary(report.assessment.grade, code, report.domain, leads, tone)


WORKER_DIED = Code("audit-worker-died")
TOOK_TOO_LONG = Code("audit-took-too-long", ("n",))
SECONDS = 300.0  # of a call; audits have their own, much shorter, budgets for what they wait for


def shipped_rules() -> tuple[RuleSet, Selection]:
    """The shipped rules, all of them for all receivers."""
    return load_rules(), Selection()


class RoomSettings(Struct, frozen=True):
    """How messages are audited: what `deliv audit` would be told. All of it travels to another process.

    Attributes:
        subject: what every message is audited for; without a domain: for its own.
        ports: where answers come from.
        folders: the rule folders of the user.
        judging: loads the rules and says which of them and which receivers count.
        fail_on: from which severity on a finding gives exit code 1; None: none does.
        history: where tests with mailboxes of the user are kept, as the settings name it.
        home: the folder that a relative file of it is meant from; None: no history is looked at.

    """

    subject: Subject = Subject()
    ports: PortSettings = field(default_factory=PortSettings)
    folders: tuple[Path, ...] = ()
    judging: Callable[[], tuple[RuleSet, Selection]] = shipped_rules
    fail_on: Severity | None = Severity.ERROR
    history: str = ""
    home: Path | None = None


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
