"""Runs the servers of `deliv listen`: mail comes in, pages and API go out, until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from deliverability.core.codes import Code
from deliverability.core.errors import InputError, set_aside
from deliverability.core.mail.received import SmtpEnvelope, is_internal
from deliverability.listen.api import api_routes
from deliverability.listen.guard import LOCAL_NAMES, Door, DoorLimits, Entrant, Guard, GuardSettings
from deliverability.listen.pages import not_there, page_routes, refused
from deliverability.listen.receive import NoMailError, ReceivedMail, ReceiveLimits, SmtpReceiver
from deliverability.listen.service import CaptureChange, CaptureNews, CaptureService
from deliverability.listen.store import CaughtMail


def create_app(service: CaptureService, guard: GuardSettings) -> Starlette:
    """The application. Handlers find the service as ``request.app.state.service``."""
    guarded = Middleware(Guard, settings=guard, refused=refused)
    app = Starlette(
        routes=[*api_routes(), *page_routes()], middleware=[guarded], exception_handlers={HTTPException: not_there}
    )
    app.state.service = service
    return app


CANNOT_LISTEN = Code("cannot-listen", ("address", "why"))
BAD_CERTIFICATE = Code("bad-certificate", ("name", "why"))
A_MINUTE = 10
_GRACE_SECONDS = 1
_OF_ONE = 30  # connections to the pages of one peer


class ListenAddress(Struct, frozen=True):
    """A host (name or address) and a port; 0: any that is free."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PublicListener(Struct, frozen=True):
    """What a listener that others reach has to have.

    Attributes:
        hostname: of the MX record, and of the addresses of tests.
        cert: file with the certificate and its chain, for STARTTLS and for pages that others reach.
        key: file with its key.
        token: that pages and API ask for.

    """

    hostname: str
    cert: Path
    key: Path
    token: str


class ListenSettings(Struct, frozen=True):
    """Where to listen. `web` None: no pages and no API. `public` None: for this machine alone."""

    smtp: ListenAddress
    web: ListenAddress | None
    public: PublicListener | None = None


class Listening(Struct, frozen=True):
    """What is listened at, with the ports that were found."""

    smtp: ListenAddress
    web: ListenAddress | None
    tls: bool

    @property
    def url(self) -> str:
        """Of the pages; empty where there are none."""
        return f"http{'s' if self.tls else ''}://{self.web}/" if self.web else ""


async def listen(
    service: CaptureService,
    settings: ListenSettings,
    begun: Callable[[Listening], None],
    news: Callable[[CaptureNews], None],
) -> None:
    """Serve until cancelled. Raises InputError where an address or the certificate cannot be used.

    Args:
        service: what takes the mail; it is closed at the end.
        settings: where to listen.
        begun: is told once where that is.
        news: is told what happens.

    """
    try:
        async with receiving(service, settings) as smtp, _serving(service, settings) as web:
            service.smtp, service.public = str(smtp), settings.public is not None
            tls = bool(settings.public and settings.web and not settings.web.is_local)
            await service.call("ready")
            begun(Listening(smtp, web, tls))
            service.resume()
            async with service.feed.follow() as feed:
                async for each in feed:
                    with set_aside(lambda error: None, but=(OSError,)):  # a line that cannot be shown
                        news(each)
    finally:
        await service.close()


@asynccontextmanager
async def receiving(
    service: CaptureService, settings: ListenSettings, grace: float = 0.0
) -> AsyncIterator[ListenAddress]:
    """Receive mail meanwhile; senders have `grace` seconds to take their leave. Raises InputError as `listen` does."""
    public = settings.public

    async def deliver(mail: ReceivedMail) -> str:
        seen = public is not None and not is_internal(mail.peer)
        envelope = SmtpEnvelope(mail.peer, mail.helo, mail.mail_from, mail.rcpt, mail.tls, seen)
        try:
            return (await service.take(mail.octets, envelope, mail.at)).id
        except InputError:
            raise NoMailError from None

    def takes(address: str) -> bool:
        return public is None or service.reservations.takes(address, datetime.now(UTC))

    limits = ReceiveLimits(octets=service.max_octets, a_minute=A_MINUTE if public else None)
    tls = _context(public) if public else None
    receiver = SmtpReceiver(public.hostname if public else "localhost", deliver, takes, limits, tls, service.faults)
    with _listen_errors(settings.smtp):
        port = await receiver.start(settings.smtp.host, settings.smtp.port)
    try:
        yield ListenAddress(settings.smtp.host, port)
    finally:
        await receiver.close(grace)


@contextmanager
def _listen_errors(address: ListenAddress) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(CANNOT_LISTEN(address=str(address), why=why)) from None


def _context(public: PublicListener) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(public.cert, public.key)
    except (OSError, ssl.SSLError) as error:
        name = f"{public.cert}, {public.key}"
        raise InputError(BAD_CERTIFICATE(name=name, why=error.strerror or str(error))) from None
    return context


class _Web(uvicorn.Server):
    """uvicorn behind our door, with signals left to the command line."""

    def __init__(self, config: uvicorn.Config, limits: DoorLimits) -> None:
        super().__init__(config)
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; what uvicorn does for sockets, but for who is let in."""
        await self.lifespan.startup()

        def make() -> H11Protocol:
            return H11Protocol(self.config, self.server_state, self.lifespan.state)

        door = Door(make, self._limits, self.config.ssl)
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(lambda: Entrant(door), sock=each, backlog=self.config.backlog)
            for each in sockets or ()
        ]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _serving(service: CaptureService, settings: ListenSettings) -> AsyncIterator[ListenAddress | None]:
    """Serve pages and API meanwhile."""
    if settings.web is None:
        yield None
        return
    public, address = settings.public, settings.web
    # A token over a connection that others can read would be theirs.
    secure = None if address.is_local else public
    config = uvicorn.Config(
        create_app(service, guard_of(settings, service.max_octets)),
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=str(secure.cert) if secure else None,
        ssl_keyfile=str(secure.key) if secure else None,
    )
    with _listen_errors(address), contextlib.ExitStack() as opened:
        infos = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, place = infos[0]
        listening = socket.create_server(place[:2], family=family, backlog=256)
        opened.callback(listening.close)
        web = _Web(config, DoorLimits(of_one=None if address.is_local else _OF_ONE))
        serving = asyncio.create_task(web.serve([listening]))
        opened.pop_all()
    try:
        yield ListenAddress(address.host, listening.getsockname()[1])
    finally:
        service.feed.close()
        web.should_exit = True
        await asyncio.shield(serving)


def guard_of(settings: ListenSettings, max_octets: int) -> GuardSettings:
    """Who is let in at the web address."""
    public = settings.public
    names = dict.fromkeys(LOCAL_NAMES)
    if public is not None:
        names[public.hostname.lower()] = None
    return GuardSettings(
        tuple(names),
        public.token if public else None,
        max_octets,
        (f"https://{public.hostname.lower()}",) if public else (),
    )


async def caught(
    service: CaptureService, settings: ListenSettings, number: int, seconds: float, begun: Callable[[Listening], None]
) -> list[CaughtMail]:
    """Receive until that many messages have come, or the time is up; nothing is served. Raises InputError."""
    mails: list[CaughtMail] = []
    async with receiving(service, settings, _GRACE_SECONDS) as smtp, service.feed.follow() as feed:
        begun(Listening(smtp, None, tls=False))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(mails) < number:
                    news = await anext(feed)
                    mail = service.store.mail(news.id) if news.change is CaptureChange.CAME else None
                    mails += [mail] if mail else []
    return mails
