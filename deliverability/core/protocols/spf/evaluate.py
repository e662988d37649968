"""check_host(): what a receiver decides about one sending address, with a trace (RFC 7208)."""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec import Struct

from deliverability.core.codes import ABOUT, ASKED, Code, Detail
from deliverability.core.errors import DetailError
from deliverability.core.facts.base import FAILED, NO_NAME, NO_RECORD
from deliverability.core.facts.spf import SPF_AT, SpfResult, StepOutcome, Trace, TraceStep
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver
from deliverability.core.protocols.spf.record import (
    LOOKUP_MECHANISMS,
    MAX_LOOKUPS,
    MAX_VOID_LOOKUPS,
    MacroExpand,
    MacroString,
    Mechanism,
    Record,
    SpfSyntaxError,
    domain_problem,
    name_problem,
    parse,
    parse_macro_string,
    select,
    target_name,
    to_ascii,
)

MAX_MX_HOSTS = 10
MAX_PTR_NAMES = 10
MAX_MACRO_VALUE = 512
"""Characters of HELO name and local part that macros see; SMTP allows 255 and 64 octets (RFC 5321 section 4.5.3.1)."""
MAX_EXPLANATION = 1000
"""Characters of an explanation that are kept; an SMTP reply line holds 512."""

TOO_MANY_LOOKUPS = Code("spf-lookups", ("n",))
TOO_MANY_VOID = Code("spf-void", ("n", "question"))
TOO_MANY_HOSTS = Code("spf-mx", ("name", "n", "limit"))
NO_MATCH = Code("spf-no-match", ("domain",))
NO_DOMAIN = Code("spf-no-domain", ("domain",))
NO_TXT = Code("spf-no-txt", ("domain",))
NO_SPF = Code("spf-none", ("domain",))
SEVERAL = Code("spf-several", ("domain", "n"))
SYNTAX = Code("spf-syntax", ("domain", "what"))
FOUND = Code("spf-found", ("question", "values"))
FOUND_MORE = Code("spf-found-more", ("question", "values", "n"))
OF_HOST = Code("spf-of-host", ("hosts", "addresses"))
VALIDATED = Code("spf-validated", ("found", "names"))
VALIDATED_NONE = Code("spf-validated-none", ("found",))
NOT_VALIDATED = Code("spf-not-validated", ("found",))  # a lookup failed, which only means no match (section 5.5)

Address = IPv4Address | IPv6Address

_BY_QUALIFIER = {
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}


class SpfEvaluation(Struct, frozen=True):
    """What an evaluation came to.

    Attributes:
        result: one of pass, fail, softfail, neutral, none, permerror, temperror.
        explanation: the domain's own text for a fail (`exp`), or None.
        trace: how it came about.
        lookups: terms evaluated that ask DNS.
        void_lookups: terms whose look-up found nothing.
        reason: the matching term, or the error.
        domain: the domain checked, as A-label.
        identity: ``mail-from``, or ``helo`` where MAIL FROM is the null reverse-path.
        failure: the DNS failure behind a temperror, or one without which the result might be another: the lookups of
            ``ptr`` and ``%{p}`` count as no match where they fail, so that receivers may differ. Else None.

    """

    result: SpfResult
    explanation: str | None
    trace: Trace
    lookups: int
    void_lookups: int
    reason: Detail
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
    failure = check.failure if trace.result is SpfResult.TEMPERROR else check.doubt(trace.result)
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


class _PermError(DetailError):
    """The evaluation ends with permerror; `detail` says why."""


class _TempError(Exception):
    """The evaluation ends with temperror, because of this answer."""

    def __init__(self, failed: Failed) -> None:
        self.detail = _failure(failed)
        super().__init__(self.detail.code)
        self.failed = failed


class _Match(Struct):
    """What one mechanism came to."""

    matched: bool
    detail: Detail | None = None
    nested: Trace | None = None


class _NestedError(Exception):
    """An include or redirect that ends the evaluation, with its trace for the step."""

    def __init__(self, cause: _PermError | _TempError, nested: Trace) -> None:
        super().__init__(cause.detail.code)
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
        self._includes: list[str] = []  # qualifiers of those that are being evaluated
        self._passed_over: dict[SpfResult | None, Failed] = {}
        """Failed lookups that counted as no match, by the result of a match; None: it may be any."""

    def doubt(self, result: SpfResult) -> Failed | None:
        """A failed lookup without which the result might not be this one."""
        return next((failed for other, failed in self._passed_over.items() if other is not result), None)

    async def check_host(self, domain: str) -> tuple[Trace, _Explain | None]:
        """Sections 4.3 to 4.7 for one domain."""
        problem = domain_problem(domain)
        if problem:
            reason = ABOUT(what=domain, detail=problem) if domain else problem
            return Trace(domain, None, SpfResult.NONE, reason), None
        answer = await self.resolver.query(domain, "TXT")
        match answer:
            case Failed():
                self.failure = answer
                return Trace(domain, None, SpfResult.TEMPERROR, _failure(answer)), None
            case Absent():
                missing = NO_DOMAIN if answer.nxdomain else NO_TXT
                return Trace(domain, None, SpfResult.NONE, missing(domain=domain)), None
        records = select(answer.values)
        if not records:
            return Trace(domain, None, SpfResult.NONE, NO_SPF(domain=domain)), None
        if len(records) > 1:
            return Trace(domain, None, SpfResult.PERMERROR, SEVERAL(domain=domain, n=len(records))), None
        record = parse(records[0])
        if record.errors:
            steps = tuple(TraceStep(bad.text, StepOutcome.ERROR, bad.problem) for bad in record.errors)
            reason = SYNTAX(domain=domain, what=record.errors[0].detail)
            return Trace(domain, record.text, SpfResult.PERMERROR, reason, steps), None
        return await self._evaluate(domain, record)

    async def _evaluate(self, domain: str, record: Record) -> tuple[Trace, _Explain | None]:
        steps: dict[int, TraceStep] = {}

        def traced(result: SpfResult, reason: Detail) -> Trace:
            return Trace(domain, record.text, result, reason, _all_steps(record, steps))

        for mechanism in record.live:
            before = self.lookups, self.void_lookups
            stop: _PermError | _TempError | None = None
            nested = None
            at = SPF_AT(term=mechanism.text, domain=domain)
            try:
                match = await self._match(mechanism, domain)
                outcome = StepOutcome.MATCH if match.matched else StepOutcome.NO_MATCH
                detail, nested = match.detail, match.nested
            except (_PermError, _TempError) as error:
                stop = error
            except _NestedError as error:
                stop, nested = error.cause, error.nested
            if stop:
                outcome, detail = StepOutcome.ERROR, stop.detail
            steps[id(mechanism)] = TraceStep(
                mechanism.text, outcome, detail, self.lookups - before[0], self.void_lookups - before[1], nested
            )
            if stop:
                return traced(self._result_of(stop), ABOUT(what=at, detail=stop.detail)), None
            if outcome is StepOutcome.MATCH:
                result = _BY_QUALIFIER[mechanism.qualifier]
                explain = (record.exp.value, domain) if record.exp else None
                return traced(result, at), explain
        redirect = record.redirect
        if redirect is None:
            return traced(SpfResult.NEUTRAL, NO_MATCH(domain=domain)), None
        before = self.lookups, self.void_lookups
        nested, explain, detail = None, None, None
        at = SPF_AT(term=redirect.text, domain=domain)
        try:
            self._count_lookup()
            target = await self._target(redirect.value, domain)
            nested, explain = await self.check_host(target)
            if nested.result is SpfResult.NONE:
                # Section 6.1: a redirect to a domain without SPF record, or to a malformed name.
                result, reason = SpfResult.PERMERROR, ABOUT(what=at, detail=nested.reason)
            else:
                result, reason = nested.result, nested.reason
            outcome = StepOutcome.FOLLOWED
        except _PermError as error:
            result, outcome, detail = SpfResult.PERMERROR, StepOutcome.ERROR, error.detail
            reason = ABOUT(what=at, detail=detail)
        steps[id(redirect)] = TraceStep(
            redirect.text, outcome, detail, self.lookups - before[0], self.void_lookups - before[1], nested
        )
        return traced(result, reason), explain

    def _result_of(self, stop: _PermError | _TempError) -> SpfResult:
        if isinstance(stop, _TempError):
            self.failure = stop.failed
            return SpfResult.TEMPERROR
        return SpfResult.PERMERROR

    async def _match(self, mechanism: Mechanism, domain: str) -> _Match:
        """Section 5. Raises _PermError, _TempError or _NestedError where the evaluation ends."""
        if mechanism.name == "all":
            return _Match(True)
        if mechanism.network is not None:
            return _Match(self.ip in mechanism.network)
        if mechanism.name in LOOKUP_MECHANISMS:
            self._count_lookup()
        target = await self._target(mechanism.domain_spec, domain)
        match mechanism.name:
            case "include":
                self._includes.append(mechanism.qualifier)
                match = await self._include(target)
                self._includes.pop()
                return match
            case "ptr":
                # Within an include a match may lead to anything, unless all of them pass.
                plain = not self._includes or {*self._includes, mechanism.qualifier} == {"+"}
                return await self._ptr(target, _BY_QUALIFIER[mechanism.qualifier] if plain else None)
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
        return _Match(trace.result is SpfResult.PASS, nested=trace)

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
                return _Match(True, OF_HOST(hosts=detail, addresses=_shown(host, self.rdtype, addresses)))
        if len(hosts) > MAX_MX_HOSTS:
            raise _PermError(TOO_MANY_HOSTS(name=target, n=len(hosts), limit=MAX_MX_HOSTS))
        return _Match(False, detail)

    async def _exists(self, target: str) -> _Match:
        """Section 5.7: A records, whatever the version of the sending address."""
        answer = await self._ask(target, "A")
        return _Match(isinstance(answer, Found), _shown(target, "A", answer))

    async def _ptr(self, target: str, result: SpfResult | None) -> _Match:
        """Section 5.5. A DNS failure here only means that the mechanism does not match.

        `result`: of the evaluation, if it does match; None: it may be any.
        """
        question = _reverse_name(self.ip)
        answer = await self.resolver.query(question, "PTR")
        if isinstance(answer, Absent):
            self._count_void(question, "PTR")
        names, failures = await self._validated(answer)
        found = _shown(question, "PTR", answer)
        if any(is_within(name, target) for name in names):
            return _Match(True, VALIDATED(found=found, names=names))
        lost = next((failed for name, failed in failures.items() if not name or is_within(name, target)), None)
        if lost is not None:
            self._passed_over.setdefault(result, lost)
            return _Match(False, NOT_VALIDATED(found=found if lost is answer else _shown(lost.name, lost.rdtype, lost)))
        return _Match(False, VALIDATED(found=found, names=names) if names else VALIDATED_NONE(found=found))

    async def _validated(self, answer: Answer) -> tuple[tuple[str, ...], dict[str, Failed]]:
        """Names of a PTR answer that lead back to the sending address; names past the tenth are ignored (4.6.4).

        Also the lookups that failed, by name; that of the PTR record itself has the name "".
        """
        if isinstance(answer, Failed):
            return (), {"": answer}
        names = [to_ascii(value) for value in answer.values[:MAX_PTR_NAMES]] if isinstance(answer, Found) else []
        answers = dict(zip(names, await asyncio.gather(*(self._ask_host(name) for name in names)), strict=True))
        return (
            tuple(name for name in names if self.ip in _addresses(answers[name])),
            {name: each for name, each in answers.items() if isinstance(each, Failed)},
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
            raise _PermError(TOO_MANY_LOOKUPS(n=MAX_LOOKUPS))

    def _count_void(self, name: str, rdtype: str) -> None:
        self.void_lookups += 1
        if self.void_lookups > MAX_VOID_LOOKUPS:
            raise _PermError(TOO_MANY_VOID(n=MAX_VOID_LOOKUPS, question=ASKED(type=rdtype, name=name)))

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
        names, failures = await self._validated(await self.resolver.query(_reverse_name(self.ip), "PTR"))
        for failed in failures.values():
            self._passed_over.setdefault(None, failed)
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
    """A step for every term of the record: those evaluated, and the others, each with why it was not."""
    dead = {id(term) for term in record.dead}
    effective = {id(term) for term in (*record.live, record.redirect)}

    def step(term: object, text: str) -> TraceStep:
        if id(term) in steps:
            return steps[id(term)]
        if id(term) in dead:
            return TraceStep(text, StepOutcome.DEAD)
        if id(term) in effective:
            return TraceStep(text, StepOutcome.NOT_REACHED)
        return TraceStep(text, StepOutcome.IGNORED)

    return tuple(step(term, term.text) for term in record.terms)


def _failure(failed: Failed) -> Detail:
    return failed.question if failed.detail else ABOUT(what=failed.question, detail=FAILED(reason=failed.reason.value))


def _shown(name: str, rdtype: str, answer: Answer, most: int = 10) -> Detail:
    question = ASKED(type=rdtype, name=name)
    match answer:
        case Found(values=values) if len(values) > most:
            return FOUND_MORE(question=question, values=values[:most], n=len(values) - most)
        case Found():
            return FOUND(question=question, values=answer.values)
        case Absent():
            return ABOUT(what=question, detail=NO_NAME() if answer.nxdomain else NO_RECORD(type=rdtype))
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
