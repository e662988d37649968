"""One listener: what comes in is kept, audited by a process beside it, and told to who follows."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import VERBATIM, Code, Detail
from deliverability.core.errors import InputError, set_aside
from deliverability.core.inputs import Subject, parse_domain
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.kinds import OWNER_HEAD_OCTETS, why_no_message
from deliverability.core.mail.reader import read
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.mail.words import decode_words, printable
from deliverability.core.model.rules import RuleSet, Severity
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
from deliverability.listen.faults import Faults
from deliverability.listen.store import AuditSummary, Capture, CaptureStore, CaughtMail, Reservations

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
        async with open_ports(self.settings.ports) as ports:
            wanted = Extras(remedies=True, html=subject.sample is not None)
            return await report_on(subject, ports, self.rules, self.selection, wanted)

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


_WAITING = 1000


class CaptureChange(StrEnum):
    """What happened to a capture."""

    CAME = "came"
    AUDITED = "audited"
    GONE = "gone"


class CaptureNews(Struct, frozen=True):
    """One change of one capture."""

    change: CaptureChange
    id: str


class CaptureFeed:
    """Hands each piece of news to all who follow. One that does not read misses the oldest."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[CaptureNews | None]] = set()

    def tell(self, change: CaptureChange, ident: str) -> None:
        """Say what happened."""
        self._put(CaptureNews(change, ident))

    def close(self) -> None:
        """End everybody's following."""
        self._put(None)

    def _put(self, news: CaptureNews | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[CaptureNews]]:
        """News from now on, until the feed is closed."""
        queue: asyncio.Queue[CaptureNews | None] = asyncio.Queue(_WAITING)
        self._queues.add(queue)

        async def news() -> AsyncIterator[CaptureNews]:
            while (each := await queue.get()) is not None:
                yield each

        try:
            yield news()
        finally:
            self._queues.discard(queue)


NO_AUDITS = Code("listen-no-audits")
AUDIT_CRASHED = Code("audit-crashed", ("detail",))
_SHOWN = 200


class CaptureService(Struct):
    """What the SMTP server, the API and the pages share.

    Attributes:
        store: the captures.
        worker: audits them and writes their reports; None: they are only kept.
        lang: in which the user is spoken to where a request does not say.
        reservations: the addresses of tests.
        max_octets: of one message.
        public: mail is taken to reserved addresses alone.
        smtp: where mail is taken, as users are told; empty: nowhere.
        feed: what happens.
        faults: what goes wrong on demand; None: nothing does, as on a public listener.

    """

    store: CaptureStore
    worker: AuditWorker | None
    lang: str = "en"
    reservations: Reservations = field(default_factory=lambda: Reservations("localhost"))
    max_octets: int = 50_000_000
    public: bool = False
    smtp: str = ""
    feed: CaptureFeed = field(default_factory=CaptureFeed)
    faults: Faults | None = None
    _audits: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(
        self, octets: bytes, envelope: SmtpEnvelope | None, at: datetime | None = None, name: str = ""
    ) -> Capture:
        """Keep a message and have it audited; gives it as soon as it is kept.

        Raises OSError, and InputError where it is no message: that is not kept.
        """
        moment = at or datetime.now(UTC)
        wrong = await asyncio.to_thread(why_no_message, name, octets)
        if wrong is not None:
            raise InputError(wrong)
        subject = author = ""
        with set_aside(lambda error: None):  # its audit says what is the matter with it
            subject, author = await asyncio.to_thread(described, octets)
        async with self._writing:
            before = {each.id for each in self.store}
            made = await asyncio.to_thread(
                self.store.add, octets, envelope, moment, name=name, subject=subject, author=author
            )
        for gone in before - {each.id for each in self.store}:
            self.feed.tell(CaptureChange.GONE, gone)
        self.feed.tell(CaptureChange.CAME, made.id)
        self._begin_audit(made.id)
        return made

    def resume(self) -> None:
        """Let go of what has become too old, and audit what an earlier run has not come to. Raises OSError."""
        self.store.prune(datetime.now(UTC))
        for each in self.store:
            if each.waits:
                self._begin_audit(each.id)

    def _begin_audit(self, ident: str) -> None:
        # One that comes while the listener is still starting waits already when the earlier ones are taken up.
        if self.worker is not None and ident not in self._audits:
            task = asyncio.create_task(self._audit(ident))
            self._audits[ident] = task
            task.add_done_callback(lambda _: self._audits.pop(ident, None))

    async def _audit(self, ident: str) -> None:
        async with self._turn:  # a message in memory is held by none that only waits, and may go meanwhile
            mail = self.store.mail(ident)
            if mail is None:
                return
            lost: list[Exception] = []
            with set_aside(lost.append):
                facts, summary = await self.call("audit", mail)
                self.store.audited(ident, facts, summary)
            for error in lost:
                self._failed(ident, *(error.details if isinstance(error, InputError) else (_crash(error),)))
        self.feed.tell(CaptureChange.AUDITED, ident)

    def _failed(self, ident: str, *problems: Detail) -> None:
        with contextlib.suppress(OSError):  # a full disk, say: then it is audited when the listener is started again
            self.store.failed(ident, problems)

    async def call(self, call: str, *args: Any) -> Any:
        """What the worker gives, see AuditWorker."""
        if self.worker is None:
            raise InputError(NO_AUDITS())
        return await self.worker.run(call, *args)

    async def report(self, ident: str, ending: str, lang: str) -> str | None:
        """The report as `deliv audit` writes it; None where there is no such capture.

        Raises InputError where the message cannot be audited.
        """
        mail = self.store.mail(ident)
        return None if mail is None else str(await self.call("report", mail, ending, lang))

    async def domain_report(self, domain: str, ending: str, lang: str) -> str:
        """The report of a domain without a message. Raises InputError where it cannot be one."""
        return str(await self.call("domain_report", domain, ending, lang))

    async def delete(self, ident: str) -> bool:
        """Remove a capture; False where there is none. Raises OSError."""
        async with self._writing:
            found = self.store.delete(ident)
        if found:
            self.feed.tell(CaptureChange.GONE, ident)
        return found

    async def close(self) -> None:
        """End everything that is under way."""
        self.feed.close()
        audits = list(self._audits.values())
        for task in audits:
            task.cancel()
        await asyncio.gather(*audits, return_exceptions=True)
        if self.worker is not None:
            self.worker.close()


def _crash(error: Exception) -> Detail:
    return AUDIT_CRASHED(detail=VERBATIM(text=f"{type(error).__name__}: {error}"[:_SHOWN]))


def described(octets: bytes) -> tuple[str, str]:
    """Subject and author of a message, decoded and cut, as lists show them."""
    head = read(octets[:OWNER_HEAD_OCTETS])
    subject = head.first("Subject")
    authors = [each for line in head.fields("From") for each in parse_addresses(line.value)]
    shown = " ".join(decode_words(subject.value).split()) if subject else ""
    named = (
        f"{each.display} <{each.address}>" if each.display and each.address else each.address or each.display
        for each in authors
    )
    return printable(shown)[:_SHOWN], printable(", ".join(named))[:_SHOWN]
