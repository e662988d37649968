"""One listener: what comes in is kept, audited by the worker, and told to who follows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from deliverability.core.codes import VERBATIM, Code, Detail
from deliverability.core.errors import InputError, set_aside
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.kinds import OWNER_HEAD_OCTETS, why_no_message
from deliverability.core.mail.reader import read
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.mail.words import decode_words, printable
from deliverability.listen.faults import Faults
from deliverability.listen.store import Capture, CaptureStore, Reservations
from deliverability.listen.worker import AuditWorker

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
