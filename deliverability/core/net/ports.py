"""The outside world as one value: whom a run, or one subject of it, asks and what the user allowed.

What was asked and answered is kept in a journal: to be written down, given back in a replay, or remembered for a
rehearsal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import Code, Detail, Input, needs
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import (
    A,
    Answer,
    Between,
    Clock,
    DnsQuestion,
    Failed,
    Fetched,
    Get,
    HttpFetcher,
    PortQuestion,
    Post,
    Probe,
    Probed,
    Resolver,
    SharedResolver,
    Signed,
    SignedQuestion,
    SigningResolver,
    SmtpProber,
)
from deliverability.core.net.clock import Budget, FixedClock, SystemClock
from deliverability.core.net.names import canonical
from deliverability.core.net.overlay import OverlayResolver
from deliverability.core.net.static import NO_DOMAIN, NOT_ASKED, OFFLINE

if TYPE_CHECKING:
    from deliverability.core.net.overlay import Proposal
    from deliverability.core.net.pace import Pace
    from deliverability.core.net.zone import ZoneResolver

NOT_RECORDED = Code("not-recorded")
IN_REHEARSAL = Code("rehearsal")


class Journal:
    """Gives to a question asked again the first answer; new questions are passed on while the journal is open to them.

    So a run sees exactly what a replay of it will see, and a rehearsal what the audit saw.
    """

    def __init__(self) -> None:
        self._answers: dict[PortQuestion[Any], Any] = {}
        self._closed: tuple[type, ...] = ()
        self._missing = (Reason.NOT_CONFIGURED, IN_REHEARSAL())

    async def ask(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        """The answer as it is kept, else that of `below`."""
        known: A | None = self._answers.get(question)
        if known is None:
            if isinstance(question, self._closed):
                return question.lost(*self._missing)
            # Two may have waited for the same answer: the first one counts.
            known = self._answers.setdefault(question, await below())
        return known

    def keep(self, question: PortQuestion[A], answer: A) -> None:
        """Write an answer down that was given elsewhere."""
        self._answers[question] = answer

    def close(self) -> None:
        """From now on nobody is asked: what is not here was not recorded."""
        self._closed = (DnsQuestion, SignedQuestion, Get, Post, Probe)
        self._missing = (Reason.OFFLINE, NOT_RECORDED())

    def close_to_servers(self) -> None:
        """From now on only DNS is asked: nobody's web or mail server is bothered for a rehearsal."""
        self._closed = (Get, Post, Probe)
        self._missing = (Reason.NOT_CONFIGURED, IN_REHEARSAL())

    def __iter__(self) -> Iterator[tuple[PortQuestion[Any], Any]]:
        """Each question with its answer, in the order in which they came."""
        return iter(self._answers.items())


class Permissions(Struct, frozen=True):
    """What is asked only where the user wants it; between auditors and ports, nothing else gets through.

    Attributes:
        fetch: files from the web that records name.
        probe_smtp: connections to the MX hosts.
        one_click: the unsubscribe address of the message, as a receiver would on one click.

    """

    fetch: bool = False
    probe_smtp: bool = False
    one_click: bool = False

    def __or__(self, other: Permissions) -> Permissions:
        """What one of them allows."""
        return Permissions(
            self.fetch or other.fetch, self.probe_smtp or other.probe_smtp, self.one_click or other.one_click
        )

    async def ask(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        """The answer of `below` where the user allows to ask; else, that nobody was asked (not configured)."""
        match question:
            case Get() if not self.fetch:
                wanted = Input.PERMISSION_FETCH
            case Post() if not self.one_click:
                wanted = Input.PERMISSION_UNSUBSCRIBE
            case Probe() if not self.probe_smtp:
                wanted = Input.PERMISSION_PROBE_SMTP
            case _:
                return await below()
        return question.lost(Reason.NOT_CONFIGURED, needs(wanted))


class Ports(Struct, frozen=True):
    """Where answers come from, and what may be asked.

    Attributes:
        dns: answers DNS questions.
        clock: the time.
        http: gets files from the web and posts forms.
        smtp: looks at mail servers.
        permissions: which of these the user allows.
        sources: how the report names where answers come from, for example ``zone`` or ``live``.
        proposals: proposed records, laid over what DNS answers.
        zones: the zone files, to parse those of a domain before it is audited; None where there are none.
        budget: the time for one subject, over all that it asks.
        pace: makes every question of a subject wait for its turn; None where few subjects are audited.
        journal: what is recorded of all subjects, None where nothing is; of one subject what it was answered.
        lists: answers DNS questions about block lists where that needs a resolver, a pace or keys of its own.
        remarks: what has to be told of the zone files and plans.

    """

    dns: Resolver
    clock: Clock = field(default_factory=SystemClock)
    http: HttpFetcher = OFFLINE
    smtp: SmtpProber = OFFLINE
    permissions: Permissions = field(default_factory=Permissions)
    sources: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    zones: ZoneResolver | None = None
    budget: Budget = field(default_factory=Budget)
    pace: Pace | None = None
    journal: Journal | None = None
    lists: Resolver | None = None
    remarks: tuple[Detail, ...] = ()

    def under(self, between: Between) -> Ports:
        """These ports, with every question going through `between`."""
        layer = _Layer(self.dns, self.http, self.smtp, between)
        lists = None if self.lists is None else _Layer(self.lists, self.http, self.smtp, between)
        return replace(self, dns=layer, http=layer, smtp=layer, lists=lists)

    def allowed(self) -> Ports:
        """These ports, with nothing asked that the user does not allow; DNS everybody allows."""
        layer = _Layer(self.dns, self.http, self.smtp, self.permissions)
        return replace(self, http=layer, smtp=layer)

    def of_subject(self, domain: str = "") -> Ports:
        """The ports of one subject: with a time budget and a journal of its own, and one time for all of it."""
        budget, journal = Budget(self.budget.seconds), Journal()
        lists = self.lists.of_subject(domain, budget) if isinstance(self.lists, SharedResolver) else self.lists
        ports = replace(self, lists=lists).under(budget)
        if isinstance(self.dns, SharedResolver):
            ports = replace(ports, dns=self.dns.of_subject(domain, budget))
        if self.pace is not None:
            ports = ports.under(self.pace.of_subject(budget))
        if self.proposals:
            ports = replace(ports, dns=OverlayResolver(ports.dns, self.proposals))
        if self.journal is not None:
            ports = ports.under(self.journal)
        return replace(ports.under(journal), journal=journal, budget=budget, clock=FixedClock(self.clock.now()))

    def without_domain(self) -> Ports:
        """The ports of a message that names no usable domain, where the user named none either: they ask nobody."""
        return Ports(NO_DOMAIN, FixedClock(self.clock.now()), sources=self.sources, budget=Budget(self.budget.seconds))

    async def close(self) -> None:
        """Release sockets. The ports are not used afterwards."""
        await self.dns.close()
        if self.lists is not None:
            await self.lists.close()

    async def __aenter__(self) -> Ports:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Layer(Struct, frozen=True):
    """The three ports over others, with `between` on the way."""

    dns: Resolver
    http: HttpFetcher
    smtp: SmtpProber
    between: Between

    async def query(self, name: str, rdtype: str) -> Answer:
        return await self.answer(DnsQuestion(canonical(name), rdtype.upper()), name)

    def answer(self, question: DnsQuestion, name: str) -> Awaitable[Answer]:
        """The answer to a question that was asked with `name`; through several layers it stays the same question."""
        below = self.dns
        if isinstance(below, _Layer):
            return self.between.ask(question, lambda: below.answer(question, name))
        return self.between.ask(question, lambda: below.query(name, question.rdtype))

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        question, below = SignedQuestion(canonical(name), rdtype.upper()), self.dns

        async def ask() -> Signed | Failed:
            if isinstance(below, SigningResolver):
                return await below.signed(name, rdtype)
            return question.lost(Reason.OFFLINE, NOT_ASKED())

        return await self.between.ask(question, ask)

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        return await self.between.ask(Get(url), lambda: self.http.fetch(url, resolver, redirects=redirects))

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        return await self.between.ask(Post(url), lambda: self.http.post(url, form, resolver))

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        return await self.between.ask(Probe(host), lambda: self.smtp.probe(host, resolver))

    async def close(self) -> None:
        await self.dns.close()
