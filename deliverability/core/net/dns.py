"""Live DNS: questions to resolvers over UDP, TCP, TLS and HTTPS.

Messages are written and read by ports.wire. Nothing asks the system's resolver library behind our back, except for the
address of a DNS-over-HTTPS server that is named rather than numbered.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason
from deliverability.core.net import wire
from deliverability.core.net.base import Absent, Answer, Clock, DnsQuestion, Failed, Found, Signed
from deliverability.core.net.clock import Budget, SystemClock, stamp
from deliverability.core.net.names import (
    CNAME_LOOP,
    CNAME_MANY,
    MAX_CHAIN,
    Labels,
    impossible,
    is_plain,
    labels_of,
    name_text,
    signed_type,
)
from deliverability.core.net.pace import Window
from deliverability.core.net.public import NoAnswerError
from deliverability.core.net.servers import Server, system_servers
from deliverability.core.net.transports import (  # not later: then there may be no file left to open
    MALFORMED,
    Sent,
    Streams,
    UdpServer,
)

MAX_TTL = 86400  # seconds a positive or negative answer is kept at most
FAILED_TTL = 5  # seconds a failure is kept, so that one run does not ask a dead server again and again
SIGNED_TTL = 600  # seconds a reply with signatures is kept; those of the root and of TLDs are asked for again and again
NO_SOA_TTL = 60  # seconds an absence without SOA is kept
SILENT_TTL = 30  # seconds a server that kept silent is asked only after the others; so long silence is remembered
ENOUGH = 8
"""Questions about a domain without any reply, after which one more, asked again in vain, says that there are none."""
IN_FLIGHT = 400
"""Questions on the wire to one server at once."""
_FILTERED = frozenset({4, 15, 16, 17, 18})
"""Extended errors of an answer that is not that of the zone: forged, blocked, censored, filtered, prohibited."""


CNAME_UNASKABLE = Code("cname-unaskable", ("name",))
NO_SERVER = Code("no-server")
REFERS = Code("server-refers", ("server",))
CUT = Code("server-cut", ("server",))
OFF_TOPIC = Code("server-off-topic", ("server",))
CONTRADICTS = Code("server-contradicts", ("server",))
UNPROVEN = Code("server-unproven", ("server",))
FILTERS = Code("server-filters", ("server", "n"))  # the extended error
ANSWERED = Code("server-answered", ("server", "code"))

_Reply = wire.Response | NoAnswerError
_Step = tuple["_Peer", Labels, str, bool]
"""A question to one server: the name and the type asked, and whether with EDNS."""
_Steps = Generator[_Step, _Reply, Answer]


class _Peer:
    """A server, what it is called in answers, and how it is reached."""

    __slots__ = ("name", "server", "silent_until", "udp", "window")

    def __init__(self, server: Server, window: Window[_Flight], timeout: float) -> None:
        self.server = server
        self.name = str(server)
        self.window = window
        self.udp = UdpServer(server, timeout) if server.transport == "udp" else None
        self.silent_until = float("-inf")


class LiveResolver:
    """Asks real resolvers.

    Every question goes out once, however many wait for it, and its answer is kept for its TTL. A server that fails or
    keeps silent is followed by the next one; what nobody answers is Failed, never Absent.

    Args:
        servers: whom to ask, in this order; None takes the system's.
        timeout: seconds to wait for one reply.
        retries: how many more times to ask after silence.
        in_flight: questions on the wire to one server at once, over all domains.
        cache_size: answers kept; the least recently used goes first. What vendors publish is asked for by many domains
            and stays; what a domain publishes nobody asks for again, and many of these only make memory slow to reach.
        clock: for the time stamps in answers.
        monotonic: seconds, for the age of cached answers.

    """

    def __init__(
        self,
        servers: Sequence[Server] | None = None,
        *,
        timeout: float = 3.0,
        retries: int = 2,
        in_flight: int = IN_FLIGHT,
        cache_size: int = 5_000,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = tuple(servers) if servers is not None else None
        self._timeout = timeout
        self._retries = retries
        self._in_flight = in_flight
        self._cache: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._cache_size = cache_size
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._signed: OrderedDict[tuple[str, str], tuple[float, Signed | Failed]] = OrderedDict()
        self._signing: dict[tuple[str, str], asyncio.Task[Signed | Failed]] = {}
        self._clock: Clock = clock or SystemClock()
        self._monotonic = monotonic
        self._sent: OrderedDict[_Flight, Sent] = OrderedDict()  # over UDP
        self._timer: asyncio.TimerHandle | None = None
        self._peers: tuple[_Peer, ...] | None = None
        self._stamped = (0, "")
        self._streams: Streams | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._own = Share(self, "", Budget(math.inf))

    def of_subject(self, domain: str, budget: Budget) -> Share:
        """The same for one of many subjects: it gets its share of what may be on the wire."""
        return Share(self, domain, budget)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask, or answer from what is known."""
        key = _key(name, rdtype)
        if key is None:
            return impossible(name, rdtype, self.now())
        return self.cached(key) or await self.ask(key, self._own) or _lost(key, self._own.budget)

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """The reply with its signatures; always over a stream, as it is long, and seldom asked for."""
        key = _key(name, rdtype)
        if key is None:
            return Failed(name, rdtype, Reason.NOT_FOUND, at=self.now())
        known = self._signed.get(key)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        task = self._signing.get(key)
        if task is None:
            task = self._signing[key] = asyncio.ensure_future(self._ask_signed(key))
            task.add_done_callback(lambda _: self._signing.pop(key, None))
        # Several subjects may wait for it: one that has no time left takes it from none of the others.
        return await asyncio.shield(task)

    async def _ask_signed(self, key: tuple[str, str]) -> Signed | Failed:
        if self._peers is None:
            self._peers = self._reached()
        if self._streams is None:
            self._streams = Streams(self._timeout)
        query = wire.query(labels_of(key[0]) or (), key[1], edns=True, signed=True)
        broken = NoAnswerError(Reason.REFUSED, NO_SERVER())
        answer: Signed | Failed | None = None
        for peer in self._in_order(self._peers):
            try:
                octets = await self._streams.octets(peer.server, query)
            except NoAnswerError as error:
                broken = error
                continue
            if wire.answers(octets, query):
                answer = Signed(*key, octets, self.now(), peer.name)
                break
            broken = NoAnswerError(Reason.SERVFAIL, MALFORMED(server=peer.name))
        ttl = SIGNED_TTL
        if answer is None:
            answer, ttl = self._failed(*key, broken.reason, broken.detail), FAILED_TTL
        if self._cache_size:
            self._signed[key] = (self._monotonic() + ttl, answer)
            if len(self._signed) > self._cache_size:
                self._signed.popitem(last=False)
        return answer

    @property
    def servers(self) -> int:
        """How many servers there are to ask."""
        return len(self._peers or ())

    def knows(self, name: str, rdtype: str) -> bool:
        """Whether the answer is kept, or on its way: then nobody is asked for it. Both as answers spell them."""
        key = (name, rdtype)
        if key in self._flights or self.cached(key) is not None:
            return True
        if not rdtype.endswith(signed_type("")):
            return False
        key = (name, rdtype.removesuffix(signed_type("")))
        return key in self._signing or (key in self._signed and self._monotonic() < self._signed[key][0])

    def now(self) -> str:
        """The time for answers. It is the same text for a second."""
        now = self._clock.now()
        second = int(now.timestamp())
        if self._stamped[0] != second:
            self._stamped = second, stamp(now)
        return self._stamped[1]

    async def close(self) -> None:
        """Stop what is under way and close connections."""
        for flight in self._flights.values():
            flight.cancel()
        self._flights.clear()
        tasks = [*self._tasks, *self._signing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for peer in self._peers or ():
            peer.window.close()
            if peer.udp is not None:
                peer.udp.close()
        self._sent.clear()
        self._peers = None
        if self._streams is not None:
            await self._streams.close()
            self._streams = None

    # --- cache -----------------------------------------------------------------------------------------------------

    def cached(self, key: tuple[str, str]) -> Answer | None:
        """What is known, and not too old."""
        entry = self._cache.get(key)
        if entry is None:
            return None
        expires, answer = entry
        if self._monotonic() >= expires:
            del self._cache[key]
            return None
        self._cache.move_to_end(key)
        return answer

    def _keep(self, key: tuple[str, str], answer: Answer) -> None:
        if isinstance(answer, Failed):
            ttl = SILENT_TTL if answer.reason is Reason.TIMEOUT else FAILED_TTL
        else:
            ttl = min(answer.ttl, MAX_TTL)
        if not self._cache_size:
            return
        self._cache.pop(key, None)
        self._cache[key] = (self._monotonic() + ttl, answer)
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    # --- one question ----------------------------------------------------------------------------------------------

    def ask(self, key: tuple[str, str], subject: Share) -> asyncio.Future[Answer | None]:
        """The answer to come; the question, its name spelt as in answers, goes out unless it has already."""
        flight = self._flights.get(key)
        if flight is not None:
            if subject not in flight.lanes:
                flight.lanes.append(subject)
                flight.peer.window.join(flight, subject)
            return flight.waiter()
        steps: _Steps | None = None
        if self._peers is not None and len(self._peers) == 1:
            step = (self._peers[0], labels_of(key[0]) or (), key[1], True)
        else:
            steps = self._resolve(*key)
            try:
                step = next(steps)
            except StopIteration as end:
                return _done(end.value)
        flight = self._flights[key] = _Flight(self, key, subject, steps, step)
        answer = flight.waiter()
        self.proceed(flight)
        return answer

    def advance(self, flight: _Flight, reply: _Reply) -> None:
        """Go on with a question after the reply to its step."""
        flight.peer.window.leave(flight, replied=isinstance(reply, wire.Response))
        self._sent.pop(flight, None)
        flight.subject.answered(flight, reply)
        try:
            if flight.steps is None:
                if (answer := self._at_once(flight, reply)) is not None:
                    self._land(flight, answer)
                    return
                flight.steps = self._resolve(*flight.key)
                next(flight.steps)  # that is what was asked
            flight.step = flight.steps.send(reply)
        except StopIteration as end:
            self._land(flight, end.value)
        except Exception as error:
            self._fail(flight, error)
        else:
            self.proceed(flight)

    def proceed(self, flight: _Flight) -> None:
        """Ask the next step, when its server has a place for it; nothing that nobody waits for any more."""
        if not flight.wanted:
            self._drop(flight)
        elif flight.subject.may_ask(flight):
            flight.peer.window.enter(flight)

    def _land(self, flight: _Flight, answer: Answer) -> None:
        self._flights.pop(flight.key, None)
        self._keep(flight.key, answer)
        flight.land(answer)
        flight.subject.landed(flight, answer)

    def _fail(self, flight: _Flight, error: Exception) -> None:
        self._flights.pop(flight.key, None)
        flight.peer.window.leave(flight, replied=False)
        flight.fail(error)
        flight.subject.landed(flight, None)

    def _drop(self, flight: _Flight) -> None:
        """Nobody waits for it any more, and it is not on the wire."""
        self._flights.pop(flight.key, None)
        flight.cancel()
        flight.subject.landed(flight, None)

    # --- on the wire -----------------------------------------------------------------------------------------------

    def _send(self, flight: _Flight) -> None:
        peer, labels, rdtype, edns = flight.step
        server = peer.udp
        if server is None:
            self._start(self._over_stream(flight))
            return
        try:
            sent = server.send(labels, rdtype, edns=edns, waiting=flight)
        except ValueError as error:  # there is no such type
            self._fail(flight, error)
            return
        if sent is None:
            server.when_open(lambda broken: self._send(flight) if broken is None else self.advance(flight, broken))
            return
        self._sent[flight] = sent
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._look_for_silence)

    def _look_for_silence(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._sent:
            flight, sent = next(iter(self._sent.items()))
            if sent.at + self._timeout > loop.time():
                self._timer = loop.call_at(sent.at + self._timeout, self._look_for_silence)
                return
            self.advance(flight, sent.silence(self._timeout))

    def heard(self, flight: _Flight, reply: _Reply) -> None:
        """The reply came over UDP; what was truncated is asked for again over TCP."""
        if isinstance(reply, wire.Response) and reply.truncated:
            self._sent.pop(flight, None)
            self._start(self._over_stream(flight))
        else:
            self.advance(flight, reply)

    async def _over_stream(self, flight: _Flight) -> None:
        peer, labels, rdtype, edns = flight.step
        if self._streams is None:
            self._streams = Streams(self._timeout)
        reply: _Reply
        try:
            query = wire.query(labels, rdtype, edns=edns)
            reply = await self._streams.exchange(peer.server, query)
        except NoAnswerError as broken:
            reply = broken
        except Exception as error:
            self._fail(flight, error)
            return
        self.advance(flight, reply)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the steps -------------------------------------------------------------------------------------------------

    def _resolve(self, name: str, rdtype: str) -> _Steps:
        """Ask and follow CNAME, across replies where the servers do not follow it themselves."""
        labels = labels_of(name) or ()
        chain: list[str] = []
        ttl = MAX_TTL
        current = name
        authenticated = True
        while True:
            try:
                hop, server = yield from self._ask(labels, current, rdtype)
            except NoAnswerError as broken:
                return self._failed(name, rdtype, broken.reason, broken.detail)
            for target in hop.chain:
                if target == name or target in chain:
                    return self._failed(name, rdtype, Reason.ALIAS, CNAME_LOOP(name=target))
                chain.append(target)
            if len(chain) > MAX_CHAIN:
                return self._failed(name, rdtype, Reason.ALIAS, CNAME_MANY(n=MAX_CHAIN))
            ttl = min(ttl, hop.ttl)
            authenticated = authenticated and hop.authenticated
            if not hop.unfinished:
                break
            current = chain[-1]
            if "\\x" in current:
                # Its text cannot be turned back into its labels for sure, and another name must not answer for it.
                return self._failed(name, rdtype, Reason.SERVFAIL, CNAME_UNASKABLE(name=current))
            labels = labels_of(current) or ()
        hop.ttl, hop.authenticated = ttl, authenticated
        return self._answer(name, rdtype, hop, tuple(chain), server)

    def _at_once(self, flight: _Flight, reply: _Reply) -> Answer | None:
        """The answer, where the first reply gives it without more ado: nearly always, so it need not take steps."""
        if isinstance(reply, NoAnswerError) or reply.rcode not in (wire.NOERROR, wire.NXDOMAIN):
            return None
        name, rdtype = flight.key
        hop = _read(reply, name, rdtype)
        return None if hop.chain or hop.wrong else self._answer(name, rdtype, hop, (), flight.peer.name)

    def _answer(self, name: str, rdtype: str, hop: _Hop, chain: tuple[str, ...], server: str) -> Answer:
        if not hop.values:
            return Absent(name, rdtype, hop.nxdomain, hop.ttl, chain, self.now(), server)
        octets = hop.string_octets
        return Found(name, rdtype, hop.values, hop.ttl, chain, octets, self.now(), server, hop.authenticated)

    def _failed(self, name: str, rdtype: str, reason: Reason, detail: Detail) -> Failed:
        return Failed(name, rdtype, reason, detail, at=self.now())

    def _ask(self, labels: Labels, name: str, rdtype: str) -> Generator[_Step, _Reply, tuple[_Hop, str]]:
        """Put one question to the servers until one gives a usable reply; also say which one.

        `name` is the text of `labels`.

        Raises:
            NoAnswerError: nobody did; the gravest reason met (servfail, then refused, then timeout).

        """
        if self._peers is None:
            self._peers = self._reached()
        if not self._peers:
            raise NoAnswerError(Reason.REFUSED, NO_SERVER())
        failures: dict[Reason, Detail] = {}
        waiting = self._in_order(self._peers)
        for _ in range(max(self._retries + 1, len(waiting))):
            if not waiting:
                break
            peer = waiting.pop(0)
            try:
                return (yield from _exchange(peer, labels, name, rdtype)), peer.name
            except NoAnswerError as broken:
                failures.setdefault(broken.reason, broken.detail)
                if broken.reason is Reason.TIMEOUT:
                    waiting.append(peer)  # others first; one that spoke or is not there would not change its mind
                    peer.silent_until = self._monotonic() + SILENT_TTL
        for reason in (Reason.SERVFAIL, Reason.REFUSED, Reason.TIMEOUT):
            if reason in failures:
                raise NoAnswerError(reason, failures[reason])
        raise AssertionError("unreachable: no attempt was made")

    def _reached(self) -> tuple[_Peer, ...]:
        servers = system_servers() if self._servers is None else self._servers
        return tuple(
            _Peer(each, Window(self._in_flight, self._send, self._drop), self._timeout)
            for each in dict.fromkeys(servers)
        )

    def _in_order(self, peers: Sequence[_Peer]) -> list[_Peer]:
        """Those that kept silent of late come last."""
        if len(peers) == 1:
            return [*peers]
        now = self._monotonic()
        return sorted(peers, key=lambda peer: peer.silent_until > now)


def _exchange(peer: _Peer, labels: Labels, name: str, rdtype: str) -> Generator[_Step, _Reply, _Hop]:
    """One question to one server, again without EDNS where the server does not know EDNS (RFC 6891 section 7).

    Raises:
        NoAnswerError: no reply, or one that answers nothing.

    """
    for edns in (True, False):
        got = yield peer, labels, rdtype, edns
        if isinstance(got, NoAnswerError):
            raise got
        reply = got
        if edns and reply.rcode in (wire.FORMERR, wire.NOTIMP, wire.BADVERS):
            continue
        if reply.rcode in (wire.NOERROR, wire.NXDOMAIN):
            hop = _read(reply, name, rdtype)
            if hop.wrong is None:
                return hop
            reason = Reason.REFUSED if hop.wrong in (REFERS, FILTERS) else Reason.SERVFAIL
            filtered = next((each for each in reply.errors if each in _FILTERED), 0)
            arguments = {"n": filtered} if hop.wrong is FILTERS else {}
            raise NoAnswerError(reason, hop.wrong(server=peer.name, **arguments))
        break
    if reply.rcode == wire.REFUSED:
        raise NoAnswerError(Reason.REFUSED, ANSWERED(server=peer.name, code="REFUSED"))
    from dns.rcode import Rcode
    from dns.rcode import to_text as rcode_text

    raise NoAnswerError(Reason.SERVFAIL, ANSWERED(server=peer.name, code=rcode_text(Rcode.make(reply.rcode))))


class _Hop(Struct):
    """What one reply says: the names it leads through, and either records or their absence at the end.

    `unfinished` is True where the reply ends at a CNAME and does not say for certain what its target has; `wrong`
    where nothing can be taken from the reply.
    """

    chain: list[str]
    ttl: int
    values: tuple[str, ...] = ()
    string_octets: tuple[tuple[int, ...], ...] = ()
    nxdomain: bool = False
    unfinished: bool = False
    authenticated: bool = False
    wrong: Code | None = None


def _read(reply: wire.Response, name: str, rdtype: str) -> _Hop:
    """Compare a reply of NOERROR or NXDOMAIN with its question. Whatever it leaves open is not taken for an absence."""
    hop = _Hop([], MAX_TTL, authenticated=reply.authenticated)
    if reply.truncated:
        hop.wrong = CUT  # what was truncated over UDP has been asked again
    elif reply.errors and not _FILTERED.isdisjoint(reply.errors):
        hop.wrong = FILTERS
    if hop.wrong is not None:
        return hop
    hop.nxdomain = reply.rcode == wire.NXDOMAIN
    current = name
    while (records := reply.answers.get((current, rdtype))) is None:
        alias = reply.answers.get((current, "CNAME"))
        if alias is None or len(hop.chain) > MAX_CHAIN:  # the caller refuses loops and long chains
            break
        if len(alias.values) > 1:
            hop.wrong = CONTRADICTS
            return hop
        hop.ttl = min(hop.ttl, alias.ttl)
        current = alias.values[0]
        hop.chain.append(current)
    if records is not None:
        hop.wrong = CONTRADICTS if hop.nxdomain else None
        hop.ttl = min(hop.ttl, records.ttl)
        hop.values = records.values
        hop.string_octets = records.string_octets if rdtype == "TXT" else ()
        return hop
    doubt = _doubt(reply, current, len(hop.chain))
    if hop.chain and (doubt is not None or reply.soa is None):
        hop.unfinished, hop.nxdomain = True, False
    else:
        hop.wrong = doubt
        hop.ttl = min(hop.ttl, NO_SOA_TTL if reply.negative_ttl is None else reply.negative_ttl)
    return hop


def _doubt(reply: wire.Response, name: str, aliases: int) -> Code | None:
    """Why a reply without the records that were asked for does not show that there are none; None: it does.

    An absence is shown by the SOA record of a zone that the name is in (RFC 2308 section 2). Many resolvers leave it
    out of what they answer from their cache, and an absence without it counts as well: but only from a server that
    resolves or knows the zone, as an empty reply of any other says that it cannot answer.
    """
    if reply.referral and reply.rcode == wire.NOERROR:
        return REFERS
    if reply.others or len(reply.answers) > aliases:
        return OFF_TOPIC
    if reply.trailing:
        return UNPROVEN
    if reply.soa is None:
        return None if reply.responsible else UNPROVEN
    if reply.rcode == wire.NXDOMAIN and reply.soa == name:
        return CONTRADICTS  # there is a zone of that name
    if reply.soa == ".":
        # The root zone has names of one label only.
        return UNPROVEN if reply.rcode == wire.NOERROR and "." in name.removesuffix(".") else None
    return None if name == reply.soa or name.endswith(f".{reply.soa}") else UNPROVEN


def _done(answer: Answer) -> asyncio.Future[Answer | None]:
    future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
    future.set_result(answer)
    return future


class _Flight:
    """A question under way, and who waits for its answer."""

    __slots__ = ("_resolver", "_waiters", "key", "lanes", "silences", "step", "steps", "subject")

    def __init__(
        self, resolver: LiveResolver, key: tuple[str, str], subject: Share, steps: _Steps | None, step: _Step
    ) -> None:
        self._resolver = resolver
        self._waiters: list[asyncio.Future[Answer | None]] = []
        self.key = key
        self.subject = subject
        self.lanes = [subject]
        self.steps = steps
        self.step = step
        self.silences = 0

    @property
    def peer(self) -> _Peer:
        """The server that its step asks."""
        return self.step[0]

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not all(each.done() for each in self._waiters)

    def waiter(self) -> asyncio.Future[Answer | None]:
        """One more waits. Whose time is up takes the answer from nobody else."""
        waiter: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def heard(self, reply: _Reply) -> None:
        """The reply to its step came over UDP."""
        self._resolver.heard(self, reply)

    def land(self, answer: Answer) -> None:
        """Give the answer to all who wait."""
        for each in self._waiters:
            if not each.done():
                each.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Raise with all who wait."""
        for each in self._waiters:
            if not each.done():
                each.set_exception(error)

    def cancel(self) -> None:
        """Nobody gets an answer."""
        for each in self._waiters:
            each.cancel()


def _key(name: str, rdtype: str) -> tuple[str, str] | None:
    """A question as answers spell it; None where there can be no such name."""
    if not is_plain(name):
        labels = labels_of(name)
        if labels is None:
            return None
        name = name_text(labels)
    return name, rdtype.upper()


def _lost(key: tuple[str, str], budget: Budget) -> Answer:
    """The answer where the time is over before there is one."""
    return DnsQuestion(*key).lost(Reason.TIMEOUT, budget.used_up)


class Share:
    """One of the subjects that share a resolver, and what it has learnt of the servers of its domain.

    While nothing at all is heard of the domain, only one of its questions is asked again after silence: what comes of
    that one comes of all. Where many wait for it, it is asked again once, or once of each server. So a domain without
    name servers costs its own time, and not that of the others.
    """

    def __init__(self, resolver: LiveResolver, domain: str, budget: Budget) -> None:
        self._resolver = resolver
        self._domain = domain
        self._below = f".{domain}"
        self.budget = budget
        self._heard = not domain
        self._silence: NoAnswerError | None = None  # for certain
        self._scout: _Flight | None = None
        self._held: list[_Flight] = []

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask, or answer from what is known."""
        key = _key(name, rdtype)
        if key is None:
            return impossible(name, rdtype, self._resolver.now())
        if self.budget.spent:
            return _lost(key, self.budget)
        known = self._resolver.cached(key)
        return known or await self.budget.answer(self._resolver.ask(key, self)) or _lost(key, self.budget)

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """As `query`, with the signatures."""
        lost = Failed(name, rdtype, Reason.TIMEOUT, self.budget.used_up)
        if self.budget.spent:
            return lost
        return await self.budget.within(self._resolver.signed(name, rdtype)) or lost

    async def close(self) -> None:
        """The resolver is not this subject's to close."""

    def wait(self) -> None:
        """Questions wait for a place behind those of others: its time stands still."""
        self.budget.pause()

    def go(self) -> None:
        """None of them does any more."""
        self.budget.resume()

    def may_ask(self, flight: _Flight) -> bool:
        """Whether the step may be asked now; else it is answered later, or was at once."""
        if self._heard or not self._owns(flight):
            return True
        if self._silence is not None:
            self._resolver.advance(flight, self._silence)
            return False
        if not flight.silences or self._scout in (None, flight):
            if flight.silences:
                self._scout = flight
            return True
        self._held.append(flight)
        return False

    def answered(self, flight: _Flight, reply: _Reply) -> None:
        """What came of a step."""
        if isinstance(reply, NoAnswerError) and reply.reason is Reason.TIMEOUT:
            flight.silences += 1
            tried = flight.silences >= max(2, self._resolver.servers)
            if flight is self._scout and tried and len(self._held) >= ENOUGH:
                self._silence = reply
                for each in self._take_held():
                    self._resolver.advance(each, reply)
        elif not self._heard and self._owns(flight):
            self._heard = True
            for each in self._take_held():
                self._resolver.proceed(each)

    def landed(self, flight: _Flight, answer: Answer | None) -> None:
        """What came of a question; None: it was given up."""
        if flight is not self._scout:
            return
        self._scout = None
        if isinstance(answer, Failed) and answer.reason is Reason.TIMEOUT and answer.detail is not None:
            self._silence = NoAnswerError(Reason.TIMEOUT, answer.detail)
        for each in self._take_held():
            if self._silence is not None:
                self._resolver.advance(each, self._silence)
            else:
                self._resolver.proceed(each)

    def _owns(self, flight: _Flight) -> bool:
        name = flight.key[0]
        return name == self._domain or name.endswith(self._below)

    def _take_held(self) -> list[_Flight]:
        held, self._held = self._held, []
        return held
