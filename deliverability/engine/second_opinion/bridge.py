"""Lets synchronous code be answered by our resolver, and collects what it says point by point."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import threading
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset

from deliverability.core.errors import stop_if_interrupt
from deliverability.core.facts.base import Value
from deliverability.core.model.report import Difference, SecondOpinion, Unheard
from deliverability.core.net.base import Absent, Failed, Found, Resolver

UNSURE = "temperror"
"""What either says where a look-up failed."""


class Points:
    """The points that were compared so far, and where the two differ."""

    def __init__(self) -> None:
        self.compared = 0
        self.differences: list[Difference] = []
        self.unheard: list[Unheard] = []

    def compare(
        self, topic: str, subject: str, aspect: str, ours: Value, theirs: Value, reason: str | None, words: str = ""
    ) -> bool:
        """Note one point; `reason` is only kept where the two differ. True where they say the same."""
        self.compared += 1
        if ours == theirs:
            return True
        self.differences.append(Difference(topic, subject, aspect, ours, theirs, reason, words))
        return False

    def not_heard(self, topic: str, subject: str, why: str) -> None:
        """Note that the other program could not be asked about something."""
        self.unheard.append(Unheard(topic, subject, why))

    def opinion(self) -> SecondOpinion:
        """All of it as a value."""
        return SecondOpinion(self.compared, tuple(self.differences), tuple(self.unheard))


ASKED = ("TXT", "A", "AAAA", "MX")
"""What is asked for. The rest (SPF type, CNAME, DNSSEC) only leads to warnings that nobody compares: it is refused."""

MAX_TEXT = 4096
"""Octets of a TXT record that are handed on: other people's grammars take their time over longer ones."""

_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")


class Bridge:
    """Questions out of a thread, answered by the resolver of the audit, on its loop.

    Attributes:
        seconds: for one question at the most.
        failed: a look-up failed; what is concluded from it says nothing about the records.
        cut: a record was too long to be handed on.
    """

    def __init__(self, resolver: Resolver, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._resolver = resolver
        self._loop = loop
        self.seconds = seconds
        self._closed = threading.Event()
        self.failed = False
        self.cut = False

    def close(self) -> None:
        """Answer no more: nobody waits for the result."""
        self._closed.set()

    def ask(self, name: str, rdtype: str) -> Found | Absent | None:
        """The answer; None where it failed, or nobody waits for it any more. Only outside of the loop's thread."""
        if self._closed.is_set():
            return None
        pending = asyncio.run_coroutine_threadsafe(self._resolver.query(name, rdtype), self._loop)
        try:
            answer = pending.result(self.seconds)
        except (TimeoutError, concurrent.futures.CancelledError):
            pending.cancel()
            self.failed = True
            return None
        if isinstance(answer, Failed):
            self.failed = True
            return None
        if isinstance(answer, Found) and rdtype == "TXT" and any(len(each) > MAX_TEXT for each in answer.values):
            self.cut = True
            return None
        return answer

    def texts(self, name: str) -> tuple[bytes, ...] | None:
        """The TXT records at a name, in octets; None where the look-up failed."""
        answer = self.ask(name, "TXT")
        if answer is None:
            return None
        return tuple(b"".join(strings) for strings in _strings(answer)) if isinstance(answer, Found) else ()


class BridgedNameserver(dns.nameserver.Nameserver):
    """What dnspython takes for a name server. It opens no socket; without a bridge it refuses everything."""

    def __init__(self, bridge: Bridge | None) -> None:
        self._bridge = bridge

    def __str__(self) -> str:
        return "the answers of this audit"

    def kind(self) -> str:
        """A name for the kind of transport."""
        return "bridge"

    def is_always_max_size(self) -> bool:
        """No answer is ever truncated."""
        return True

    def answer_nameserver(self) -> str:
        """What stands for an address."""
        return str(self)

    def answer_port(self) -> int:
        """There is none."""
        return 0

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """The answer as a message: SERVFAIL for what failed, REFUSED for what is not asked for us."""
        question = request.question[0]
        response = dns.message.make_response(request, recursion_available=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        if self._bridge is None or kind not in ASKED:
            response.set_rcode(dns.rcode.REFUSED)
            return response
        answer = self._bridge.ask(question.name.to_text(omit_final_dot=True), kind)
        if answer is None:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        if isinstance(answer, Absent) and answer.nxdomain:
            response.set_rcode(dns.rcode.NXDOMAIN)
        for each in _rrsets(question.name, answer):
            rrset = response.find_rrset(response.answer, each.name, each.rdclass, each.rdtype, create=True)
            rrset.update(each)  # type: ignore[no-untyped-call]
        return response


def bridged_resolver(bridge: Bridge | None) -> dns.resolver.Resolver:
    """A resolver of dnspython that is answered over the bridge alone; without one it fails at once."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [BridgedNameserver(bridge)]
    resolver.lifetime = bridge.seconds if bridge else 1.0
    return resolver


def _rrsets(name: dns.name.Name, answer: Found | Absent) -> Iterator[dns.rrset.RRset]:
    for alias in answer.chain:
        target = dns.name.from_text(alias)
        yield dns.rrset.from_text(name, answer.ttl, "IN", "CNAME", target.to_text())
        name = target
    if isinstance(answer, Found):
        records = list(_rdatas(answer))
        if records:
            yield dns.rrset.from_rdata_list(name, answer.ttl, records)


def _rdatas(answer: Found) -> Iterator[dns.rdata.Rdata]:
    if answer.rdtype == "TXT":
        from dns.rdtypes.ANY.TXT import TXT

        yield from (TXT(dns.rdataclass.IN, dns.rdatatype.TXT, each) for each in _strings(answer))
        return
    for value in answer.values:
        try:
            yield dns.rdata.from_text("IN", answer.rdtype, value, origin=dns.name.root)
        except dns.exception.DNSException as error:
            stop_if_interrupt(error)
            continue  # a name that no record in text form can hold


def _strings(answer: Found) -> Iterator[tuple[bytes, ...]]:
    """The character-strings of each TXT record, in octets."""
    for place, value in enumerate(answer.values):
        lengths = answer.string_octets[place] if place < len(answer.string_octets) else ()
        octets = value.encode("utf-8", "surrogateescape")
        if lengths and sum(lengths) != len(octets):
            octets = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), octets)
        if sum(lengths) != len(octets) or max(lengths, default=0) > 255:
            lengths = tuple(len(octets[start : start + 255]) for start in range(0, len(octets), 255)) or (0,)
        strings, start = [], 0
        for length in lengths:
            strings.append(octets[start : start + length])
            start += length
        yield tuple(strings)
