"""check_host(): what a receiver decides about one sending address, with a trace (RFC 7208)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from deliverability.ports.base import Absent, Answer, Failed, Found, Resolver
from deliverability.protocols.spf.names import domain_problem, name_problem, target_name, to_ascii
from deliverability.protocols.spf.record import (
    LOOKUP_MECHANISMS,
    MacroExpand,
    MacroString,
    Mechanism,
    Record,
    SpfSyntaxError,
    parse,
    parse_macro_string,
    select,
)

MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
MAX_MX_HOSTS = 10
MAX_PTR_NAMES = 10
MAX_MACRO_VALUE = 512
"""Characters of HELO name and local part that macros see; SMTP allows 255 and 64 octets (RFC 5321 section 4.5.3.1)."""
MAX_EXPLANATION = 1000
"""Characters of an explanation that are kept; an SMTP reply line holds 512."""

Address = IPv4Address | IPv6Address


class SpfResult(StrEnum):
    """The seven results of section 2.6."""

    PASS = "pass"  # noqa: S105 - a result, not a secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


_BY_QUALIFIER = {
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}


class Outcome(StrEnum):
    """What became of one term."""

    MATCH = "match"
    NO_MATCH = "no-match"
    ERROR = "error"
    FOLLOWED = "followed"
    NOT_REACHED = "not-reached"
    DEAD = "dead"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One term of a record as the evaluation met it.

    Attributes:
        term: as written.
        outcome: see Outcome.
        detail: what was asked and found, or why it was not asked.
        lookups: what the term and all below it added to the look-up count.
        void_lookups: and to the void look-up count.
        nested: the record an include or redirect led to, or None.

    """

    term: str
    outcome: Outcome
    detail: str = ""
    lookups: int = 0
    void_lookups: int = 0
    nested: Trace | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One call of check_host(): the domain, its record (None where there is not exactly one), terms in order."""

    domain: str
    record: str | None
    result: SpfResult
    reason: str
    steps: tuple[TraceStep, ...] = ()


@dataclass(frozen=True, slots=True)
class SpfEvaluation:
    """What an evaluation came to.

    Attributes:
        result: one of pass, fail, softfail, neutral, none, permerror, temperror.
        explanation: the domain's own text for a fail (`exp`), or None.
        trace: how it came about.
        lookups: terms evaluated that ask DNS.
        void_lookups: terms whose look-up found nothing.
        reason: the matching term, or the error, in a few words.
        domain: the domain checked, as A-label.
        identity: ``mail-from``, or ``helo`` where MAIL FROM is the null reverse-path.
        failure: the DNS failure behind a temperror, or None.

    """

    result: SpfResult
    explanation: str | None
    trace: Trace
    lookups: int
    void_lookups: int
    reason: str
    domain: str
    identity: str
    failure: Failed | None = None


async def evaluate_spf(
    ip: str | Address,
    mail_from: str | None,
    helo: str | None,
    resolver: Resolver,
    *,
    receiver: str = "unknown",
    timestamp: int | None = None,
) -> SpfEvaluation:
    """Evaluate SPF as a receiver does (RFC 7208 section 4).

    Args:
        ip: the sending address; an IPv4-mapped IPv6 address counts as IPv4 (section 5).
        mail_from: the envelope sender; empty or None is the null reverse-path, checked as postmaster@HELO (2.4).
        helo: the HELO/EHLO name, for the null reverse-path and the macro ``%{h}``.
        resolver: answers the questions.
        receiver: host name of the receiver, for ``%{r}``.
        timestamp: seconds since 1970, for ``%{t}``; now by default.

    Raises:
        ValueError: `ip` is not an address.

    """
    address = ip if isinstance(ip, IPv4Address | IPv6Address) else ip_address(ip.strip().partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    helo = helo or ""
    identity = "mail-from" if mail_from else "helo"
    local, _, sender_domain = (mail_from or helo).rpartition("@") if mail_from else ("", "", helo)
    domain = to_ascii(sender_domain)
    check = _Check(
        address,
        (local or "postmaster")[:MAX_MACRO_VALUE],
        (sender_domain if sender_domain.isascii() else domain)[:MAX_MACRO_VALUE],
        helo[:MAX_MACRO_VALUE],
        resolver,
        receiver,
        int(time.time()) if timestamp is None else timestamp,
    )
    trace, explain = await check.check_host(domain)
    explanation = await check.explain(*explain) if explain and trace.result is SpfResult.FAIL else None
    failure = check.failure if trace.result is SpfResult.TEMPERROR else None
    return SpfEvaluation(
        trace.result,
        explanation,
        trace,
        check.lookups,
        check.void_lookups,
        trace.reason,
        domain,
        identity,
        failure,
    )


class _PermError(Exception):
    """The evaluation ends with permerror; the argument says why."""


class _TempError(Exception):
    """The evaluation ends with temperror, because of this answer."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(_failure(failed))
        self.failed = failed


@dataclass(slots=True)
class _Match:
    """What one mechanism came to."""

    matched: bool
    detail: str
    nested: Trace | None = None


class _NestedError(Exception):
    """An include or redirect that ends the evaluation, with its trace for the step."""

    def __init__(self, cause: _PermError | _TempError, nested: Trace) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.nested = nested


# The record whose `exp` explains a fail: its domain-spec and the domain it was found at.
_Explain = tuple[str, str]


class _Check:
    """One evaluation: the connection, and the counters that all records share (section 4.6.4)."""

    def __init__(
        self, ip: Address, local: str, sender_domain: str, helo: str, resolver: Resolver, receiver: str, timestamp: int
    ) -> None:
        self.ip = ip
        self.rdtype = "A" if ip.version == 4 else "AAAA"
        self.local = local
        self.sender_domain = sender_domain
        self.helo = helo
        self.resolver = resolver
        self.receiver = receiver
        self.timestamp = timestamp
        self.lookups = 0
        self.void_lookups = 0
        self.failure: Failed | None = None

    async def check_host(self, domain: str) -> tuple[Trace, _Explain | None]:
        """Sections 4.3 to 4.7 for one domain."""
        problem = domain_problem(domain)
        if problem:
            return Trace(domain, None, SpfResult.NONE, f"{domain or 'no domain'}: {problem}"), None
        answer = await self.resolver.query(domain, "TXT")
        match answer:
            case Failed():
                self.failure = answer
                return Trace(domain, None, SpfResult.TEMPERROR, _failure(answer)), None
            case Absent():
                reason = f"{domain} does not exist" if answer.nxdomain else f"{domain} has no TXT record"
                return Trace(domain, None, SpfResult.NONE, reason), None
        records = select(answer.values)
        if not records:
            return Trace(domain, None, SpfResult.NONE, f"{domain} has no SPF record"), None
        if len(records) > 1:
            reason = f"{domain} has {len(records)} SPF records"
            return Trace(domain, None, SpfResult.PERMERROR, reason), None
        record = parse(records[0])
        if record.errors:
            steps = tuple(TraceStep(bad.text, Outcome.ERROR, bad.problem) for bad in record.errors)
            reason = f"syntax error at {domain}: {record.errors[0]}"
            return Trace(domain, record.text, SpfResult.PERMERROR, reason, steps), None
        return await self._evaluate(domain, record)

    async def _evaluate(self, domain: str, record: Record) -> tuple[Trace, _Explain | None]:
        steps: dict[int, TraceStep] = {}

        def traced(result: SpfResult, reason: str) -> Trace:
            return Trace(domain, record.text, result, reason, _all_steps(record, steps))

        for mechanism in record.live:
            before = self.lookups, self.void_lookups
            stop: Exception | None = None
            nested = None
            try:
                match = await self._match(mechanism, domain)
                outcome = Outcome.MATCH if match.matched else Outcome.NO_MATCH
                detail, nested = match.detail, match.nested
            except (_PermError, _TempError) as error:
                stop, outcome, detail = error, Outcome.ERROR, str(error)
            except _NestedError as error:
                stop, outcome, detail, nested = error.cause, Outcome.ERROR, str(error.cause), error.nested
            steps[id(mechanism)] = TraceStep(
                mechanism.text, outcome, detail, self.lookups - before[0], self.void_lookups - before[1], nested
            )
            if stop:
                return traced(self._result_of(stop), f"{mechanism.text} at {domain}: {detail}"), None
            if outcome is Outcome.MATCH:
                result = _BY_QUALIFIER[mechanism.qualifier]
                explain = (record.exp.value, domain) if record.exp else None
                return traced(result, f"{mechanism.text} at {domain}"), explain
        redirect = record.redirect
        if redirect is None:
            return traced(SpfResult.NEUTRAL, f"no term of {domain} matches"), None
        before = self.lookups, self.void_lookups
        nested, explain = None, None
        try:
            self._count_lookup()
            target = await self._target(redirect.value, domain)
            nested, explain = await self.check_host(target)
            if nested.result is SpfResult.NONE:
                # Section 6.1: a redirect to a domain without SPF record, or to a malformed name.
                result, reason = SpfResult.PERMERROR, f"{redirect.text} at {domain}: {nested.reason}"
            else:
                result, reason = nested.result, nested.reason
            outcome, detail = Outcome.FOLLOWED, f"{target}: {nested.result.value}"
        except _PermError as error:
            result, outcome, detail = SpfResult.PERMERROR, Outcome.ERROR, str(error)
            reason = f"{redirect.text} at {domain}: {error}"
        steps[id(redirect)] = TraceStep(
            redirect.text, outcome, detail, self.lookups - before[0], self.void_lookups - before[1], nested
        )
        return traced(result, reason), explain

    def _result_of(self, stop: Exception) -> SpfResult:
        if isinstance(stop, _TempError):
            self.failure = stop.failed
            return SpfResult.TEMPERROR
        return SpfResult.PERMERROR

    async def _match(self, mechanism: Mechanism, domain: str) -> _Match:
        """Section 5. Raises _PermError, _TempError or _NestedError where the evaluation ends."""
        if mechanism.name == "all":
            return _Match(True, "matches every address")
        if mechanism.network is not None:
            return _Match(self.ip in mechanism.network, f"{self.ip} in {mechanism.network}?")
        if mechanism.name in LOOKUP_MECHANISMS:
            self._count_lookup()
        target = await self._target(mechanism.domain_spec, domain)
        match mechanism.name:
            case "include":
                return await self._include(target)
            case "ptr":
                return await self._ptr(target)
            case "mx":
                return await self._mx(mechanism, target)
            case "exists":
                return await self._exists(target)
            case _:
                return await self._a(mechanism, target)

    async def _include(self, target: str) -> _Match:
        trace, _ = await self.check_host(target)
        match trace.result:
            case SpfResult.TEMPERROR:
                assert self.failure is not None  # noqa: S101
                raise _NestedError(_TempError(self.failure), trace)
            case SpfResult.PERMERROR | SpfResult.NONE:
                raise _NestedError(_PermError(trace.reason), trace)
        return _Match(trace.result is SpfResult.PASS, f"{target}: {trace.result.value}", trace)

    async def _a(self, mechanism: Mechanism, target: str) -> _Match:
        answer = await self._ask(target, self.rdtype)
        found = _addresses(answer)
        return _Match(self._covered(found, mechanism), _shown(target, self.rdtype, answer))

    async def _mx(self, mechanism: Mechanism, target: str) -> _Match:
        """Section 5.4. Hosts are taken in order of preference; asking for an eleventh is the permerror of 4.6.4."""
        answer = await self._ask(target, "MX")
        hosts = _mx_hosts(answer)
        detail = _shown(target, "MX", answer)
        # All at once for speed; looked at in order, so that the result is that of a sequential receiver.
        answers = await asyncio.gather(*(self._ask_host(host) for host in hosts[:MAX_MX_HOSTS]))
        for host, addresses in zip(hosts, answers, strict=False):
            if isinstance(addresses, Failed):
                raise _TempError(addresses)
            if self._covered(_addresses(addresses), mechanism):
                return _Match(True, f"{detail}; {_shown(host, self.rdtype, addresses)}")
        if len(hosts) > MAX_MX_HOSTS:
            raise _PermError(f"{target} has {len(hosts)} MX hosts, more than {MAX_MX_HOSTS}")
        return _Match(False, detail)

    async def _exists(self, target: str) -> _Match:
        """Section 5.7: A records, whatever the version of the sending address."""
        answer = await self._ask(target, "A")
        return _Match(isinstance(answer, Found), _shown(target, "A", answer))

    async def _ptr(self, target: str) -> _Match:
        """Section 5.5. A DNS failure here only means that the mechanism does not match."""
        question = _reverse_name(self.ip)
        answer = await self.resolver.query(question, "PTR")
        if isinstance(answer, Absent):
            self._count_void(question, "PTR")
        names = await self._validated(answer)
        matched = any(name == target or name.endswith(f".{target}") for name in names)
        return _Match(matched, _shown(question, "PTR", answer) + f"; validated: {', '.join(names) or 'none'}")

    async def _validated(self, answer: Answer) -> tuple[str, ...]:
        """Names of a PTR answer that lead back to the sending address; names past the tenth are ignored (4.6.4)."""
        names = [to_ascii(value) for value in answer.values[:MAX_PTR_NAMES]] if isinstance(answer, Found) else []
        answers = await asyncio.gather(*(self._ask_host(name) for name in names))
        return tuple(
            name
            for name, addresses in zip(names, answers, strict=True)
            if any(address == self.ip for address in _addresses(addresses))
        )

    async def _ask_host(self, host: str) -> Answer:
        """Addresses of an MX host or PTR name; never a void look-up, for the question of the term itself found some."""
        if name_problem(host):
            return Absent(host, self.rdtype, nxdomain=True)
        return await self.resolver.query(host, self.rdtype)

    async def _ask(self, target: str, rdtype: str) -> Answer:
        """The question of a term itself. A name that cannot exist is not asked and matches nothing (4.8)."""
        if name_problem(target):
            return Absent(target, rdtype, nxdomain=True)
        answer = await self.resolver.query(target, rdtype)
        if isinstance(answer, Failed):
            raise _TempError(answer)
        if isinstance(answer, Absent):
            self._count_void(target, rdtype)
        return answer

    def _covered(self, addresses: list[Address], mechanism: Mechanism) -> bool:
        prefix = mechanism.prefix4 if self.ip.version == 4 else mechanism.prefix6
        return any(
            address.version == self.ip.version and self.ip in ip_network((address, prefix), strict=False)
            for address in addresses
        )

    def _count_lookup(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise _PermError(f"more than {MAX_LOOKUPS} DNS lookups")

    def _count_void(self, name: str, rdtype: str) -> None:
        self.void_lookups += 1
        if self.void_lookups > MAX_VOID_LOOKUPS:
            raise _PermError(f"more than {MAX_VOID_LOOKUPS} void lookups, the last being {rdtype} {name}")

    async def _target(self, domain_spec: str | None, domain: str) -> str:
        if domain_spec is None:
            return domain
        return target_name(await self._expand(parse_macro_string(domain_spec), domain))

    async def _expand(self, pieces: MacroString, domain: str) -> str:
        """Section 7.2 and 7.3."""
        used = {piece.letter for piece in pieces if isinstance(piece, MacroExpand)}
        values = {
            "s": f"{self.local}@{self.sender_domain}",
            "l": self.local,
            "o": self.sender_domain,
            "d": domain,
            "i": _dotted(self.ip),
            "p": await self._validated_name(domain) if "p" in used else "",
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": self.helo,
            "c": str(self.ip),
            "r": self.receiver,
            "t": str(self.timestamp),
        }
        return "".join(piece if isinstance(piece, str) else piece.apply(values[piece.letter]) for piece in pieces)

    async def _validated_name(self, domain: str) -> str:
        """Macro ``p``: the domain itself, else a name below it, else any validated name, else "unknown"."""
        names = await self._validated(await self.resolver.query(_reverse_name(self.ip), "PTR"))
        if domain in names:
            return domain
        below = [name for name in names if name.endswith(f".{domain}")]
        return (below or list(names) or ["unknown"])[0]

    async def explain(self, domain_spec: str, domain: str) -> str | None:
        """Section 6.2: the one TXT record at the target, expanded; None for anything but plain US-ASCII text."""
        target = await self._target(domain_spec, domain)
        if name_problem(target):
            return None
        answer = await self.resolver.query(target, "TXT")
        if not isinstance(answer, Found) or len(answer.values) != 1:
            return None
        try:
            pieces = parse_macro_string(answer.values[0], explanation=True)
        except SpfSyntaxError:
            return None
        text = (await self._expand(pieces, domain))[:MAX_EXPLANATION]
        return text if text.isascii() and text.isprintable() else None


def _all_steps(record: Record, steps: dict[int, TraceStep]) -> tuple[TraceStep, ...]:
    """A step for every term of the record: those evaluated, and the others with why they were not."""
    dead = {id(term) for term in record.dead}
    effective = {id(term) for term in (*record.live, record.redirect)}

    def step(term: object, text: str) -> TraceStep:
        if id(term) in steps:
            return steps[id(term)]
        if id(term) in dead:
            return TraceStep(text, Outcome.DEAD, "`all` comes first or beside it")
        if id(term) in effective:
            return TraceStep(text, Outcome.NOT_REACHED, "the result was decided before")
        return TraceStep(text, Outcome.IGNORED, "a modifier without part in the result")

    return tuple(step(term, term.text) for term in record.terms)


def _failure(failed: Failed) -> str:
    return f"{failed.rdtype} {failed.name}: {failed.detail or failed.reason.value}"


def _shown(name: str, rdtype: str, answer: Answer, most: int = 10) -> str:
    match answer:
        case Found():
            more = f" and {len(answer.values) - most} more" if len(answer.values) > most else ""
            return f"{rdtype} {name}: {', '.join(answer.values[:most])}{more}"
        case Absent():
            return f"{rdtype} {name}: {'no such name' if answer.nxdomain else 'no such record'}"
    return _failure(answer)


def _addresses(answer: Answer) -> list[Address]:
    addresses: list[Address] = []
    if isinstance(answer, Found):
        for value in answer.values:
            try:
                addresses.append(ip_address(value))
            except ValueError:
                continue
    return addresses


def _mx_hosts(answer: Answer) -> list[str]:
    """Host names in order of preference; a null MX (RFC 7505) names none."""
    if not isinstance(answer, Found):
        return []
    ranked: list[tuple[int, str]] = []
    for value in answer.values:
        preference, _, host = value.strip().partition(" ")
        host = to_ascii(host)
        if host and preference.isdecimal():
            ranked.append((int(preference[:6]), host))
    return [host for _, host in sorted(ranked, key=lambda item: item[0])]


def _reverse_name(ip: Address) -> str:
    return ip.reverse_pointer


def _dotted(ip: Address) -> str:
    """Macro ``i``: dotted quad, or 32 dotted nibbles (section 7.3)."""
    if isinstance(ip, IPv4Address):
        return str(ip)
    return ".".join(f"{int(ip):032X}")
