"""Sessions: the rules are read once, sockets stay open, and one question goes out once however many audits ask it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable
from enum import StrEnum
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace

from deliverability.api import changes, given
from deliverability.api.answers import Explanation, Gate, explanation_of, gate_of
from deliverability.api.report import Report, language, report_of
from deliverability.console.judging import selection_of
from deliverability.console.settings import Settings
from deliverability.core.codes import VERBATIM, Code
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose, Reason
from deliverability.core.inputs import Subject, is_plain, parse_domain, parse_ip, parse_mail_from, parse_selector
from deliverability.core.model.rules import RuleSet, Selection
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver
from deliverability.core.net.clock import SECONDS
from deliverability.core.net.names import canonical
from deliverability.core.net.open import CONTRADICTION, PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.replies.match import load_replies
from deliverability.core.report.formats.json import report_json
from deliverability.differences.run import Diff
from deliverability.engine.audit import NO_SUBJECT, Extras, report_on
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.observing import observing, with_observed

P = ParamSpec("P")
T = TypeVar("T")

USE_ASYNC = Code("use-async", ("name",))
CLOSED = Code("session-closed")
OF_SESSION = Code("of-session", ("names",))
NOT_AN_ANSWER = Code("resolver-not-an-answer", ("given",))

MOST_SECONDS = 86_400.0
MOST_DAILY = 10**12
MOST_REPLY = 10_000_000  # characters

ResolverGiven = Resolver | given.TextsGiven


def _blocking(
    work: Callable[Concatenate[Session, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Session, P], T]:
    """The twin of a method for callers without an event loop, which it would hold up."""

    @functools.wraps(work)
    def twin(self: Session, /, *args: P.args, **kwargs: P.kwargs) -> T:
        _no_loop(work.__name__)
        return self._in_worker(work(self, *args, **kwargs))

    twin.__name__ = work.__name__.removesuffix("_async")
    return twin


class Session:
    """Audits with the same rules over the same DNS; for several threads and event loops at a time.

    Args:
        zones: zone files, or folders of them, in place of live DNS.
        records: proposed records, ``NAME TYPE VALUE``, laid over what DNS answers.
        rules: folders of rule files, merged over those that are shipped.
        resolver: a `Resolver`, or the addresses of name servers (``1.1.1.1``, ``tls://9.9.9.9``, ``https://…``).
        offline: nobody is asked.
        timeout: seconds for one domain.
        lang: the language of titles: ``en`` or ``ja``.

    Used with ``with`` or ``async with``, or closed by `close`; sockets are released then. Raises InputError where a
    value cannot be used; RuleError, at the first audit, where a rule folder cannot be.
    """

    def __init__(
        self,
        *,
        zones: given.PathsGiven = (),
        records: given.TextsGiven = (),
        rules: given.PathsGiven = (),
        resolver: ResolverGiven | None = None,
        offline: bool = False,
        timeout: float = SECONDS,
        lang: str = "en",
    ) -> None:
        with given.input_errors():
            self._resolver, servers = given.resolver("resolver", resolver)
            self._settings = PortSettings(
                zones=given.many("zones", zones, given.path, given.PATH),
                servers=servers,
                offline=given.flag("offline", offline),
                proposals=given.many("records", records, given.text, str),
                seconds=given.number("timeout", timeout, 0.1, MOST_SECONDS),
            )
            if self._resolver is not None and (self._settings.zones or self._settings.offline):
                other = "zones" if self._settings.zones else "offline"
                raise InputError(CONTRADICTION(names=("resolver", other)))
            self._folders = given.many("rules", rules, given.path, given.PATH)
            self._lang = language("lang", lang)
            self._spare: Ports | None = self._open()
        self._lock = threading.Lock()
        self._ports: dict[asyncio.AbstractEventLoop, Ports] = {}
        self._worker: _Worker | None = None
        self._rules: RuleSet | None = None
        self._closed = False

    # --- audits ---

    async def audit_async(
        self,
        domain: str | None = None,
        *,
        message: given.MessageGiven | None = None,
        purpose: Purpose | str | None = None,
        daily_volume: int | None = None,
        ip: given.AddressGiven | Iterable[given.AddressGiven] = (),
        mail_from: str | None = None,
        helo: str | None = None,
        selectors: given.TextsGiven = (),
        receivers: given.TextsGiven | None = None,
        remedies: bool = True,
    ) -> Report:
        """Audit a domain, a message, or both together: see `deliverability.audit`."""
        with given.input_errors():
            subject = subject_of(domain, message, purpose, daily_volume, ip, mail_from, helo, selectors)
            wanted = given.many("receivers", receivers, given.text, str)
            extras = Extras(remedies=given.flag("remedies", remedies))
            ports = self._here()
            rules = await asyncio.to_thread(self._loaded)
            selection = selection_of(Settings(receivers=wanted), rules)
            reported = await report_on(subject, ports, rules, selection, extras)
            document: dict[str, Any] = await asyncio.to_thread(report_json, reported.report)
            return report_of(document, rules, self._folders, self._lang)

    audit = _blocking(audit_async)

    # --- changes ---

    async def diff_async(
        self,
        old: changes.ZoneGiven,
        new: changes.ZoneGiven | None = None,
        *,
        base: changes.PathGiven = changes.LIVE,
        domains: given.TextsGiven | None = None,
        message: given.MessageGiven | None = None,
        accept: given.TextsGiven = (),
    ) -> Diff:
        """Say what a change of zones does to mail: see `deliverability.diff`."""
        with given.input_errors():
            rules = await asyncio.to_thread(self._loaded)
            return await changes.compared(old, new, base, domains, message, accept, ports=self._here(), rules=rules)

    diff = _blocking(diff_async)

    # --- replies ---

    def explain(self, reply: str, *, receiver: str | None = None) -> Explanation:
        """Say what a receiver's reply means: see `deliverability.explain`."""
        with given.input_errors():
            if not isinstance(reply, str):
                raise given.wrong_type("reply", "str", reply)
            if len(reply) > MOST_REPLY:
                raise given.wrong("reply", given.TOO_LONG(n=len(reply), most=MOST_REPLY))
            ident = given.text("receiver", receiver) if receiver is not None else ""
            rules = self._loaded()
            return explanation_of(reply, load_replies(rule_folders(self._folders), rules), rules, ident, self._lang)

    async def explain_async(self, reply: str, *, receiver: str | None = None) -> Explanation:
        """The same, without holding up an event loop."""
        return await asyncio.to_thread(self.explain, reply, receiver=receiver)

    # --- the gate ---

    async def gate_async(self, domain: str, *, to: str | None = None, history: str | None = None) -> Gate:
        """Say whether the next DMARC policy of a domain is safe, by what receivers reported.

        Args:
            domain: whose policy it is.
            to: the policy: ``quarantine`` or ``reject``; None: the next one.
            history: the history that `deliv intake` and `deliv weekly` keep, as a URL (``sqlite:///FILE``); None: the
                one in the user's state folder.

        """
        with given.input_errors():
            with given.about("domain"):
                subject = Subject(parse_domain(given.text("domain", domain)))
            policy = None if to is None else given.word("to", _Policy, to).value
            url = None if history is None else given.text("history", history)
            ports = self._here()
            rules = await asyncio.to_thread(self._loaded)
            how = observing(Settings(rules=self._folders), None, history=url)
            found = await asyncio.to_thread(lambda: list(with_observed([subject], how, ports.clock.now())))
            asked = replace(found[0], gate_to=policy)
            reported = await report_on(asked, ports, rules, Selection(), Extras(remedies=True))
            return await asyncio.to_thread(gate_of, reported.report, rules, self._lang)

    gate = _blocking(gate_async)

    # --- DNS ---

    @property
    def resolver(self) -> Resolver:
        """What the session asks, for `evaluate_spf` and the other protocols; awaited in any event loop."""
        return _Here(self)

    # --- inside ---

    def _open(self) -> Ports:
        ports = open_ports(self._settings)
        if self._resolver is None:
            return ports
        sources = tuple(each for each in ports.sources if each != "live")
        return replace(ports, dns=_Checked(self._resolver), sources=("resolver", *sources))

    def _loaded(self) -> RuleSet:
        if self._rules is None:
            self._rules = load_rules(self._folders)
        return self._rules

    def _here(self) -> Ports:
        """The ports of the event loop that runs."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise InputError(CLOSED())
            if loop not in self._ports:
                self._ports = {each: ports for each, ports in self._ports.items() if not each.is_closed()}
                self._ports[loop], self._spare = self._spare or self._open(), None
            return self._ports[loop]

    def _in_worker(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closed:
                work.close()
                raise InputError(CLOSED())
            if self._worker is None or self._worker.process != os.getpid():  # a fork has no threads
                self._worker = _Worker()
                weakref.finalize(self, self._worker.stop)
            future = asyncio.run_coroutine_threadsafe(work, self._worker.loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise InputError(CLOSED()) from None
        finally:
            future.cancel()

    def close(self) -> None:
        """Release threads and sockets; audits that are under way end with an InputError."""
        worker = self._shut()
        if worker is not None:
            worker.stop()
            worker.join()

    async def aclose(self) -> None:
        """The same within an event loop."""
        with self._lock:
            own = self._ports.pop(asyncio.get_running_loop(), None)
        if own is not None:
            await own.close()
        await asyncio.to_thread(self.close)

    def _shut(self) -> _Worker | None:
        with self._lock:
            ports, self._ports, self._closed = self._ports, {}, True
            worker, self._worker = self._worker, None
        for loop, each in ports.items():
            if loop.is_running():  # what an event loop leaves behind ends with it
                asyncio.run_coroutine_threadsafe(each.close(), loop)
        return worker

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()


class _Policy(StrEnum):
    """What `gate` may be asked about."""

    QUARANTINE = "quarantine"
    REJECT = "reject"


class _Worker:
    """A thread with an event loop, for callers that have none."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="deliv-session", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(_cancelled(asyncio.all_tasks(self.loop)))
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()

    def stop(self) -> None:
        """Let it end; who waits for its work is told."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.loop.stop)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    several = list(tasks)
    for task in several:
        task.cancel()
    await asyncio.gather(*several, return_exceptions=True)


class _Checked:
    """A resolver of the caller: whatever goes wrong in it is a failed question, as with any other."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask it."""
        try:
            answer: object = await self._resolver.query(name, rdtype)
        except Exception as error:
            return Failed(canonical(name), rdtype.upper(), Reason.SERVFAIL, VERBATIM(text=_told(error)))
        if isinstance(answer, Found | Absent | Failed):
            return answer
        given_type = type(answer).__name__
        return Failed(canonical(name), rdtype.upper(), Reason.SERVFAIL, NOT_AN_ANSWER(given=given_type))

    async def close(self) -> None:
        """It is the caller's."""


class _Here:
    """The resolver of a session in whatever event loop it is awaited."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask."""
        with given.input_errors():
            return (
                await self._session._here()
                .of_subject()
                .dns.query(given.text("name", name), given.text("rdtype", rdtype))
            )

    async def close(self) -> None:
        """The session closes it."""


def _told(error: Exception) -> str:
    with contextlib.suppress(Exception):
        return f"{type(error).__name__}: {error}"[:200]
    return type(error).__name__


def _no_loop(instead: str) -> None:
    """Raises InputError where an event loop runs, which a call that waits would hold up."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InputError(USE_ASYNC(name=instead))


def subject_of(
    domain: object,
    message: object,
    purpose: object,
    daily_volume: object,
    ip: object,
    mail_from: object,
    helo: object,
    selectors: object,
) -> Subject:
    """What is audited. Raises InputError."""
    name, taken_from = "", None
    if domain is not None:
        with given.about("domain"):
            told = given.text("domain", domain)
            name = parse_domain(told)
            taken_from = None if is_plain(told, name) else told.strip()
    sample = None if message is None else given.message("message", message)
    if not name and sample is None:
        raise InputError(NO_SUBJECT())
    return Subject(
        domain=name,
        sample=sample,
        selectors=given.many("selectors", selectors, _each(parse_selector), str),
        sending_ips=given.many("ip", ip, _address, given.ADDRESS),
        mail_from=None if mail_from is None else _each(parse_mail_from)("mail_from", mail_from),
        helo=None if helo is None else given.text("helo", helo),
        purpose=None if purpose is None else given.word("purpose", Purpose, purpose),
        daily_volume=None
        if daily_volume is None
        else int(given.number("daily_volume", daily_volume, 0, MOST_DAILY, whole=True)),
        taken_from=taken_from,
    )


def _each(parse: Callable[[str], str]) -> Callable[[str, object], str]:
    """Reads one value of a parameter."""

    def read(name: str, value: object) -> str:
        with given.about(name):
            return parse(given.text(name, value))

    return read


def _address(name: str, value: object) -> str:
    with given.about(name):
        return parse_ip(given.address(name, value))


def audit(
    domain: str | None = None,
    *,
    message: given.MessageGiven | None = None,
    zones: given.PathsGiven = (),
    records: given.TextsGiven = (),
    purpose: Purpose | str | None = None,
    daily_volume: int | None = None,
    ip: given.AddressGiven | Iterable[given.AddressGiven] = (),
    mail_from: str | None = None,
    helo: str | None = None,
    selectors: given.TextsGiven = (),
    receivers: given.TextsGiven | None = None,
    rules: given.PathsGiven = (),
    resolver: ResolverGiven | None = None,
    offline: bool = False,
    timeout: float = SECONDS,
    remedies: bool = True,
    session: Session | None = None,
) -> Report:
    """Audit a domain, a message, or both together.

    Args:
        domain: also taken out of an address or a web address; without it the author domain of the message.
        message: its octets, its text, an `email.message.Message` (as `smtplib` sends it), or the path of a file. A str
            is a path unless it has several lines.
        zones: zone files, or folders of them, in place of live DNS.
        records: proposed records, ``NAME TYPE VALUE``, laid over what DNS answers.
        purpose: what the domain sends: ``users``, ``bulk``, ``transactional`` or ``parked``.
        daily_volume: messages a day.
        ip: addresses that send for the domain.
        mail_from: envelope sender; ``<>`` is the null sender.
        helo: the name that the sending host gives.
        selectors: DKIM selectors to look up beside those of the message.
        receivers: ids of the receivers to judge for; ``all``: every one.
        rules: folders of rule files, merged over those that are shipped.
        resolver: a `Resolver`, or the addresses of name servers (``1.1.1.1``, ``tls://9.9.9.9``, ``https://…``).
        offline: nobody is asked.
        timeout: seconds for all of it.
        remedies: draft records that put findings right, and audit each as if it were published.
        session: to audit in; it says where answers come from.

    Raises InputError where a value cannot be used, RuleError (also an InputError) where a rule folder cannot be. What
    DNS answers, or does not, is never an error but a part of the report.

    """
    _no_loop("audit_async")
    with _session_of(session, zones, records, rules, resolver, offline, timeout) as used:
        return used.audit(
            domain,
            message=message,
            purpose=purpose,
            daily_volume=daily_volume,
            ip=ip,
            mail_from=mail_from,
            helo=helo,
            selectors=selectors,
            receivers=receivers,
            remedies=remedies,
        )


async def audit_async(
    domain: str | None = None,
    *,
    message: given.MessageGiven | None = None,
    zones: given.PathsGiven = (),
    records: given.TextsGiven = (),
    purpose: Purpose | str | None = None,
    daily_volume: int | None = None,
    ip: given.AddressGiven | Iterable[given.AddressGiven] = (),
    mail_from: str | None = None,
    helo: str | None = None,
    selectors: given.TextsGiven = (),
    receivers: given.TextsGiven | None = None,
    rules: given.PathsGiven = (),
    resolver: ResolverGiven | None = None,
    offline: bool = False,
    timeout: float = SECONDS,  # noqa: ASYNC109 - as of audit, and of what is asked, not of the call
    remedies: bool = True,
    session: Session | None = None,
) -> Report:
    """The same as `audit` within an event loop."""
    async with _session_of(session, zones, records, rules, resolver, offline, timeout) as used:
        return await used.audit_async(
            domain,
            message=message,
            purpose=purpose,
            daily_volume=daily_volume,
            ip=ip,
            mail_from=mail_from,
            helo=helo,
            selectors=selectors,
            receivers=receivers,
            remedies=remedies,
        )


def explain(reply: str, *, receiver: str | None = None) -> Explanation:
    """Say what a receiver's reply means, and what to do.

    Args:
        reply: the reply, lines of a log that hold some, or a whole bounce as text.
        receiver: id of the receiver that said it, where the text does not tell.

    """
    with Session(offline=True) as session:
        return session.explain(reply, receiver=receiver)


async def explain_async(reply: str, *, receiver: str | None = None) -> Explanation:
    """The same as `explain`, without holding up an event loop."""
    return await asyncio.to_thread(explain, reply, receiver=receiver)


def diff(
    old: changes.ZoneGiven,
    new: changes.ZoneGiven | None = None,
    *,
    base: changes.PathGiven = changes.LIVE,
    domains: given.TextsGiven | None = None,
    message: given.MessageGiven | None = None,
    accept: given.TextsGiven = (),
    session: Session | None = None,
) -> Diff:
    """Say what a change of zones does to mail, receiver by receiver.

    Args:
        old: the zone as it is: a file, a folder, or what `read_zone` gave; or a plan, which has both sides.
        new: the zone as it will be; None: `old` is a plan.
        base: what is asked about all else: ``live`` (what the session asks), ``offline``, or zone files.
        domains: these only; None: all whose mail the change may touch.
        message: a message, which is audited with its domain on both sides.
        accept: ways of sending, or services, that are meant to go or change, as `WayChange.way` names them.
        session: whose rules judge, and whose DNS is asked.

    """
    _no_loop("diff_async")
    with _session_of(session, (), (), (), None, False, SECONDS) as used:
        return used.diff(old, new, base=base, domains=domains, message=message, accept=accept)


async def diff_async(
    old: changes.ZoneGiven,
    new: changes.ZoneGiven | None = None,
    *,
    base: changes.PathGiven = changes.LIVE,
    domains: given.TextsGiven | None = None,
    message: given.MessageGiven | None = None,
    accept: given.TextsGiven = (),
    session: Session | None = None,
) -> Diff:
    """The same as `diff` within an event loop."""
    async with _session_of(session, (), (), (), None, False, SECONDS) as used:
        return await used.diff_async(old, new, base=base, domains=domains, message=message, accept=accept)


def _session_of(
    session: object,
    zones: given.PathsGiven,
    records: given.TextsGiven,
    rules: given.PathsGiven,
    resolver: ResolverGiven | None,
    offline: bool,
    timeout: float,
) -> Session | contextlib.nullcontext[Session]:
    """The session that was given, or one for this call, which ends with it."""
    if session is None:
        return Session(zones=zones, records=records, rules=rules, resolver=resolver, offline=offline, timeout=timeout)
    if not isinstance(session, Session):
        raise given.wrong_type("session", "Session", session)
    told: dict[str, object] = {"zones": zones, "records": records, "rules": rules, "resolver": resolver}
    unsaid = {name for name, value in told.items() if value is None or (type(value) in (tuple, list) and not value)}
    names = [name for name in told if name not in unsaid]
    names += ["offline"] if offline is not False else []
    names += ["timeout"] if type(timeout) not in (int, float) or timeout != SECONDS else []
    if names:
        raise InputError(OF_SESSION(names=tuple(names)))
    return contextlib.nullcontext(session)
