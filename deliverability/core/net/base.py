"""The protocols through which auditors see the world, what they are asked, and the plain values they answer with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from deliverability.core.codes import Detail, failed_question
from deliverability.core.facts.base import Reason, Unknown

if TYPE_CHECKING:
    from deliverability.core.net.clock import Budget


class Found(Struct, frozen=True):
    r"""The name has records of the asked type.

    Attributes:
        name: the name asked, lower case, no trailing dot.
        rdtype: the type asked, upper case.
        values: one string a record, in answer order: TXT with its strings joined, MX as ``10 host``,
            names lower case without trailing dot, the root as ``.``. Octets outside UTF-8 are shown as ``\xNN``.
        ttl: seconds.
        chain: names the answer was reached through by CNAME, the asked name not included.
        string_octets: for TXT, the length in octets of each character-string of each record.
        at: when it was answered, ISO 8601 in UTC.
        server: who answered, for the evidence.
        authenticated: the resolver says that it validated the answer with DNSSEC (AD, RFC 4035 section 3.2.3). False
            also where it does not validate or cannot tell.
        place: of a zone file, ``file:line`` of the first of the records; else empty.

    """

    name: str
    rdtype: str
    values: tuple[str, ...]
    ttl: int = 0
    chain: tuple[str, ...] = ()
    string_octets: tuple[tuple[int, ...], ...] = ()
    at: str = ""
    server: str = ""
    authenticated: bool = False
    place: str = ""


class Absent(Struct, frozen=True):
    """An authoritative "there is none": the name does not exist (`nxdomain`) or has no such records.

    `place`: of a zone file, ``file:line`` where its zone begins; else empty.
    """

    name: str
    rdtype: str
    nxdomain: bool
    ttl: int = 0
    chain: tuple[str, ...] = ()
    at: str = ""
    server: str = ""
    place: str = ""


class Failed(Struct, frozen=True):
    """Nobody could say. Never to be treated as Absent."""

    name: str
    rdtype: str
    reason: Reason
    detail: Detail | None = None
    at: str = ""
    server: str = ""

    @property
    def question(self) -> Detail:
        """What was asked, and how it failed where that is known."""
        return failed_question(self.rdtype, self.name, self.detail)


Answer = Found | Absent | Failed


class Signed(Struct, frozen=True):
    """A reply with the signatures in it, as it came: nobody has validated it.

    Attributes:
        name: the name asked, lower case, no trailing dot.
        rdtype: the type asked, upper case.
        octets: the whole DNS message.
        at: when it was answered, ISO 8601 in UTC.
        server: who answered.

    """

    name: str
    rdtype: str
    octets: bytes
    at: str = ""
    server: str = ""


def unknown_from(answer: Failed) -> Unknown:
    """The Unknown a failed DNS answer leads to, naming the question."""
    return Unknown(answer.reason, answer.question)


class Resolver(Protocol):
    """Answers DNS questions. Never raises for what DNS can answer; a bad name is Absent(nxdomain)."""

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask for `rdtype` records at `name` (A-labels, with or without trailing dot)."""
        ...

    async def close(self) -> None:
        """Release sockets. The resolver is not used afterwards."""
        ...


@runtime_checkable
class SigningResolver(Protocol):
    """A resolver that also gives replies with their signatures (DO), whether or not they are valid (CD)."""

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """Ask for `rdtype` records at `name` with what DNSSEC adds to them."""
        ...


@runtime_checkable
class SharedResolver(Protocol):
    """A resolver that shares out fairly what may be asked at a time."""

    def of_subject(self, domain: str, budget: Budget) -> Resolver:
        """The same for one of many subjects, within its time; waiting behind the questions of others costs it none."""
        ...


class Page(Struct, frozen=True):
    """What a web server answered.

    Attributes:
        url: the address asked (before redirects).
        status: HTTP status of the last answer.
        content_type: as sent, or empty.
        body: the octets, never more than the fetcher's limit.
        at: when, ISO 8601 in UTC.
        server: the IP address that answered, for the evidence.
        date: what the server's clock said (Date), as sent; empty where it says nothing, and in recordings.

    """

    url: str
    status: int
    content_type: str
    body: bytes
    at: str = ""
    server: str = ""
    date: str = ""


class NoPage(Struct, frozen=True):
    """Nothing that could be used.

    Attributes:
        url: the address asked.
        reason: why.
        detail: what went wrong, in particular.
        certain: the site itself is at fault and every visitor would see the same (no such host, wrong certificate, too
            large); False where only we could not look.
        at: when, ISO 8601 in UTC.

    """

    url: str
    reason: Reason
    detail: Detail
    certain: bool = False
    at: str = ""


Fetched = Page | NoPage


def was_asked(fetched: Fetched) -> bool:
    """Whether anybody was asked, which the user may not have allowed."""
    return isinstance(fetched, Page) or fetched.reason is not Reason.NOT_CONFIGURED


class HttpFetcher(Protocol):
    """Asks web servers, only where the user asked for that. Never raises for what a site can do."""

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """GET an https URL, its host looked up through `resolver`; follow at most `redirects`, on the same host."""
        ...

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """POST an encoded form to an https URL, without following redirects; the body of the answer is not read."""
        ...


class MailHost(Struct, frozen=True):
    """What a mail server offers to a sender before any message is handed over.

    Attributes:
        host: its name.
        address: the IP address connected to.
        reachable: it takes connections on port 25; False: it actively refuses them.
        greeting: its first line, cut.
        starttls: it offers STARTTLS; None where it is not reachable.
        tls_version: for example ``TLSv1.3``; None where no TLS came about.
        tls_problem: why it offers STARTTLS but no TLS came about; empty where that did not happen.
        certificate: its own certificate (DER); None without TLS.
        certificate_problem: why the certificate is not valid for the host; empty where it is. Senders deliver all the
            same unless DANE or MTA-STS demands a valid one.
        at: when, ISO 8601 in UTC.

    """

    host: str
    address: str
    reachable: bool
    greeting: str = ""
    starttls: bool | None = None
    tls_version: str | None = None
    tls_problem: str = ""
    certificate: bytes | None = None
    certificate_problem: str = ""
    at: str = ""


class NoMailHost(Struct, frozen=True):
    """We could not look: no address, no connection in time, an address that is not public, no SMTP."""

    host: str
    reason: Reason
    detail: Detail
    at: str = ""


Probed = MailHost | NoMailHost


class SmtpProber(Protocol):
    """Looks at mail servers, only where the user asked for that. Never raises for what a server can do."""

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """Connect to port 25 of `host`, look at STARTTLS and the certificate, and leave without sending anything."""
        ...


# --- questions ------------------------------------------------------------------------------------------------------

A_co = TypeVar("A_co", covariant=True)
A = TypeVar("A")


class PortQuestion(Protocol[A_co]):
    """What can be asked of the outside world; a value, so that answers can be kept by it."""

    def lost(self, reason: Reason, detail: Detail) -> A_co:
        """The answer where nobody answers."""
        ...


class DnsQuestion(Struct, frozen=True):
    """The records of a type at a name, both in the spelling of answers."""

    name: str
    rdtype: str

    def lost(self, reason: Reason, detail: Detail) -> Answer:
        """Nobody could say."""
        return Failed(self.name, self.rdtype, reason, detail)


class SignedQuestion(Struct, frozen=True):
    """The records of a type at a name with their signatures, both in the spelling of answers."""

    name: str
    rdtype: str

    def lost(self, reason: Reason, detail: Detail) -> Signed | Failed:
        """Nobody could say."""
        return Failed(self.name, self.rdtype, reason, detail)


class Get(Struct, frozen=True):
    """The file at a URL."""

    url: str

    def lost(self, reason: Reason, detail: Detail) -> Fetched:
        """No file came."""
        return NoPage(self.url, reason, detail)


class Post(Struct, frozen=True):
    """What a URL answers to a form. It is posted once, so that the form is no part of the question."""

    url: str

    def lost(self, reason: Reason, detail: Detail) -> Fetched:
        """Nothing was answered."""
        return NoPage(self.url, reason, detail)


class Probe(Struct, frozen=True):
    """How a mail server greets."""

    host: str

    def lost(self, reason: Reason, detail: Detail) -> Probed:
        """It was not seen."""
        return NoMailHost(self.host, reason, detail)


class Between(Protocol):
    """Stands between who asks and who answers: passes a question on, or answers it itself."""

    async def ask(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        """The answer, where needed that of `below`."""
        ...


class Clock(Protocol):
    """The time, so that a replayed run sees the recorded one."""

    def now(self) -> datetime:
        """The current time, timezone-aware, UTC."""
        ...
