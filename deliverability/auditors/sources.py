"""Which sources send as a domain by what receivers report, and the standing of each. Pure over what it is handed.

Rows are judged one by one and then put together to sources. Whoever passes DMARC is never a gap; what nothing ties to
the domain is never its own. Report, DNS and catalogue together cannot tell a customer's forgotten account from somebody
else's: such a source is unclaimed, and only the user's word settles it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from ipaddress import ip_address, ip_network

from deliverability.model.codes import Code, Detail
from deliverability.model.observed import Facet, Observed, ObservedRow, SourceOwner, SourceWord
from deliverability.model.senders import Service
from deliverability.protocols.dmarc.psl import registrable_domain
from deliverability.protocols.spf.coverage import Group
from deliverability.senders.recognise import Key, MessageMarks, ServiceCatalogue, by_message

GOOD_PERCENT = 99.0
"""From this share of aligned mail on, a source of ours or a service is one that signs, and the rest its noise."""

SAID = Code("by-said", ("owner",))
SPF_ALIGNED = Code("by-spf-aligned")
SPF_COVERS = Code("by-spf-covers", ("term",))
SENDING_IP = Code("by-sending-ip")
OWN_PTR = Code("by-own-ptr", ("name",))
OWN_SERVICE = Code("by-own-service", ("name",))
DKIM_ONLY = Code("by-dkim-only")
MANY_DOMAINS = Code("by-many-domains")
ALIGNED_ELSEWHEN = Code("by-aligned-elsewhen")
BROKEN_SIGNATURE = Code("by-broken-signature", ("selector", "domain"))
RECEIVER_SAYS = Code("by-receiver-says", ("reason",))
OTHERS_ALIGNED = Code("by-others-aligned", ("name",))
STRANGE_SERVICE = Code("by-strange-service", ("name",))
PASSES_AS = Code("by-passes-as", ("name",))
NOTHING_PASSES = Code("by-nothing-passes")

_FORWARDED = ("mailing_list", "trusted_forwarder", "forwarded", "local_policy/arc")


class Standing(StrEnum):
    """What a source is to the domain, in the order in which sources are listed.

    OWN: ours, and it passes. OWN_GAP: our host, without passing. SERVICE_GAP: a service of ours that does not pass for
    us. SERVICE_MIXED: the same, while the service's other mail for us passes: another customer of it, or a stream of
    ours. UNCLAIMED: somebody who authenticates as somebody else. ALTERED: our mail, changed on its way. FORWARDER: our
    mail, passed on unchanged. FORGED: nothing passes, and nothing ties it to us.
    """

    OWN = "own"
    OWN_GAP = "own-gap"
    SERVICE_GAP = "service-gap"
    SERVICE_MIXED = "service-mixed"
    UNCLAIMED = "unclaimed"
    ALTERED = "altered"
    FORWARDER = "forwarder"
    FORGED = "forged"

    @property
    def ours(self) -> bool:
        """Whether its mail counts as the domain's own."""
        return self in (Standing.OWN, Standing.OWN_GAP, Standing.SERVICE_GAP)

    @property
    def asks(self) -> bool:
        """Whether only the user can say whose it is."""
        return self in (Standing.SERVICE_MIXED, Standing.UNCLAIMED)


@dataclass(frozen=True, slots=True)
class Setup:
    """What ties addresses to the domain.

    Attributes:
        home: its organizational domain.
        groups: the terms of its SPF record with their ranges.
        sending_ips: addresses that the user named.
        used: ids of the services that it is set up for.
        aliases: CNAME target by (domain, selector) of its DKIM keys.
        services: the catalogue.
        words: the user's words that count for it today.
        names: confirmed reverse names by address.

    """

    home: str
    groups: Sequence[Group] = ()
    sending_ips: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    services: ServiceCatalogue = field(default_factory=dict)
    words: Sequence[SourceWord] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Source:
    """Rows of reports that belong together: one sender, one standing."""

    name: str
    service: Service | None
    standing: Standing
    said: bool
    reasons: dict[Detail, None] = field(default_factory=dict)
    rows: list[ObservedRow] = field(default_factory=list)
    key: str = ""

    @property
    def messages(self) -> int:
        """All of its messages."""
        return sum(row.messages for row in self.rows)

    @property
    def aligned(self) -> int:
        """Those that pass DMARC."""
        return sum(row.messages for row in self.rows if row.facet.aligned)

    @property
    def by_address(self) -> Counter[str]:
        """Messages by address."""
        found: Counter[str] = Counter()
        for row in self.rows:
            found[row.ip] += row.messages
        return found


def sources_of(observed: Observed, domain: str, setup: Setup) -> tuple[Source, ...]:
    """The sources of the trusted rows for a domain and the names below it, by standing, the largest first."""
    rows = rows_of(observed, domain)
    judge = _RowJudge(setup, rows, observed.relays)
    told: dict[tuple[str, bool], list[tuple[ObservedRow, _Told]]] = {}
    for row in rows:
        found = judge.told(row.ip, row.facet)
        told.setdefault((found.group, found.standing.ours), []).append((row, found))
    sources = [
        source for (_, ours), each in told.items() for source in (_of_ours(each) if ours else _by_standing(each))
    ]
    order = {standing: place for place, standing in enumerate(Standing)}
    sources.sort(key=lambda each: (order[each.standing], -each.messages, each.name))
    _name(sources)
    return tuple(sources)


def rows_of(observed: Observed, domain: str) -> list[ObservedRow]:
    """The trusted rows about a domain and the names below it."""
    below = f".{domain}"
    return [
        row
        for row in observed.rows
        if row.trusted and (row.facet.header_from == domain or row.facet.header_from.endswith(below))
    ]


def _name(sources: Iterable[Source]) -> None:
    """A key for each: its name, with the standing where another source has the same name."""
    taken: set[str] = set()
    for each in sources:
        key = each.name if each.name not in taken else f"{each.name} ({each.standing.value})"
        number = 1
        while key in taken:
            number += 1
            key = f"{each.name} ({each.standing.value}, {number})"
        taken.add(key)
        each.key = key


# --- one row --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """What one kind of mail from one address is: its standing with the reason, and the group it belongs to.

    `stream`: what tells streams of one service apart: whose Return-Path it carries.
    """

    standing: Standing
    reason: Detail
    group: str
    name: str
    service: Service | None
    said: bool = False
    stream: str = ""


class _RowJudge:
    """Judges rows; what is the same for many of them is worked out once."""

    def __init__(self, setup: Setup, rows: Iterable[ObservedRow], relays: frozenset[str]) -> None:
        self._setup, self._relays = setup, relays
        self._told: dict[tuple[str, Facet], _Told] = {}
        self._own_marks: dict[str, Detail | None] = {}
        rows = list(rows)
        self._passing = {
            (each.domain, each.selector)
            for facet in {row.facet for row in rows}
            for each in facet.dkim
            if each.result == "pass" and self._is_ours(each.domain)
        }
        self._signing: set[str] = set()
        self._signing = {
            row.ip
            for row in rows
            if row.facet.aligned
            and self._delivered_by(row.ip, row.facet) is None
            and self.told(row.ip, row.facet).standing is Standing.OWN
        }
        self._told.clear()

    def told(self, ip: str, facet: Facet) -> _Told:
        """What mail of that kind from that address is."""
        key = ip, facet
        if key not in self._told:
            self._told[key] = self._tell(ip, facet)
        return self._told[key]

    def _tell(self, ip: str, facet: Facet) -> _Told:
        service = self._service(ip, facet)
        word = self._word(ip, facet, service)
        if word is not None:
            standing, reason = _said(word, service, aligned=facet.aligned)
        else:
            standing, reason = self._aligned(ip, facet) if facet.aligned else self._unaligned(ip, facet, service)
        if standing in (Standing.FORWARDER, Standing.ALTERED):
            service = self._delivered_by(ip, facet)
        group = self._group(ip, service)
        name = (word.name if word else "") or group
        if service is not None:
            name = (word.name if word else "") or service.name["en"]
        stream = registrable_domain(facet.spf_domain or facet.envelope_from) if service else ""
        return _Told(standing, reason, name if word and word.name else group, name, service, word is not None, stream)

    def _aligned(self, ip: str, facet: Facet) -> tuple[Standing, Detail]:
        if facet.aligned_spf:
            return Standing.OWN, SPF_ALIGNED()
        if (mark := self._own_mark(ip)) is not None:
            return Standing.OWN, mark
        if (group := self._covering(ip, own=False)) is not None:
            return Standing.OWN, SPF_COVERS(term=group.term)
        service = self._delivered_by(ip, facet)
        if service is not None and service.id in self._setup.used:
            return Standing.OWN, OWN_SERVICE(name=service.name["en"])
        return Standing.FORWARDER, MANY_DOMAINS() if ip in self._relays else DKIM_ONLY()

    def _unaligned(self, ip: str, facet: Facet, service: Service | None) -> tuple[Standing, Detail]:
        if (mark := self._own_mark(ip)) is not None:
            return Standing.OWN_GAP, mark
        if ip in self._signing and self._delivered_by(ip, facet) is None:
            return Standing.OWN_GAP, ALIGNED_ELSEWHEN()
        for each in facet.dkim:
            if each.result != "pass" and (each.domain, each.selector) in self._passing:
                return Standing.ALTERED, BROKEN_SIGNATURE(selector=each.selector, domain=each.domain)
        for reason in facet.reason.split(","):
            if reason.strip() in _FORWARDED:
                return Standing.ALTERED, RECEIVER_SAYS(reason=reason.strip())
        if ip in self._relays:
            return Standing.FORWARDER, MANY_DOMAINS()
        if service is not None:
            name = service.name["en"]
            used = service.id in self._setup.used
            return (Standing.SERVICE_GAP, OWN_SERVICE(name=name)) if used else (
                Standing.UNCLAIMED,
                STRANGE_SERVICE(name=name),
            )
        if stranger := self._stranger(facet):
            return Standing.UNCLAIMED, PASSES_AS(name=stranger)
        return Standing.FORGED, NOTHING_PASSES()

    # What ties an address to the domain.

    def _own_mark(self, ip: str) -> Detail | None:
        """What shows that a host is the domain's own, whatever it sends."""
        if ip not in self._own_marks:
            self._own_marks[ip] = self._find_own_mark(ip)
        return self._own_marks[ip]

    def _find_own_mark(self, ip: str) -> Detail | None:
        if ip in self._setup.sending_ips:
            return SENDING_IP()
        if name := next(filter(self._is_ours, self._setup.names.get(ip, ())), ""):
            return OWN_PTR(name=name)
        group = self._covering(ip, own=True)
        return None if group is None else SPF_COVERS(term=group.term)

    def _covering(self, ip: str, *, own: bool) -> Group | None:
        """The SPF term that lets the address pass; a range of everything (`+all`) ties nobody to anything."""
        address = ip_address(ip)
        for group in self._setup.groups:
            if own and group.include is not None:
                continue
            if any(network.prefixlen and address in network for _, network in group.ranges):
                return group
        return None

    def _is_ours(self, name: str) -> bool:
        return name == self._setup.home or name.endswith(f".{self._setup.home}")

    # Who it is otherwise.

    def _service(self, ip: str, facet: Facet) -> Service | None:
        """The service of the most telling mark that passes: a key, the Return-Path, its own signature, the host."""
        aliases = self._setup.aliases
        keys = tuple(
            Key(each.domain, each.selector, aliases.get((each.domain, each.selector)))
            for each in facet.dkim
            if each.result == "pass"
        )
        return self._sighted(ip, facet, keys)

    def _delivered_by(self, ip: str, facet: Facet) -> Service | None:
        """The service that handed it over; a signature may have come from further away."""
        return self._sighted(ip, facet, ())

    def _sighted(self, ip: str, facet: Facet, keys: tuple[Key, ...]) -> Service | None:
        passes = facet.spf_domain if facet.spf_result == "pass" else None
        names = self._setup.names.get(ip, ())
        marks = MessageMarks(keys, facet.header_from, passes, names[0] if names else None, used=self._setup.used)
        found = by_message(marks, self._setup.services)
        return found.service if found else None

    def _stranger(self, facet: Facet) -> str:
        """Whom mail passes as that is not the author; empty: nobody."""
        for each in facet.dkim:
            if each.result == "pass" and not self._is_ours(each.domain):
                return each.domain
        spf = facet.spf_domain if facet.spf_result == "pass" else ""
        return "" if self._is_ours(spf) else spf

    def _group(self, ip: str, service: Service | None) -> str:
        if service is not None:
            return f"service:{service.id}"
        names = self._setup.names.get(ip, ())
        if name := next(filter(self._is_ours, names), ""):
            return name
        if names:
            return registrable_domain(names[0])
        return str(ip_network((ip, 24 if ip_address(ip).version == 4 else 48), strict=False))

    def _word(self, ip: str, facet: Facet, service: Service | None) -> SourceWord | None:
        """The first of the user's words that is about it."""
        for word in self._setup.words:
            if any(self._meant(each, ip, facet, service) for each in word.match):
                return word
        return None

    def _meant(self, match: str, ip: str, facet: Facet, service: Service | None) -> bool:
        kind, _, name = match.partition(":")
        match kind:
            case "service":
                return service is not None and service.id == name
            case "ptr":
                return any(_below(each, name) for each in self._setup.names.get(ip, ()))
            case "dkim":
                return any(each.result == "pass" and _below(each.domain, name) for each in facet.dkim)
            case "spf":
                return facet.spf_result == "pass" and _below(facet.spf_domain, name)
        try:
            return ip_address(ip) in ip_network(match, strict=False)
        except ValueError:
            return False


def _below(name: str, other: str) -> bool:
    return name == other or name.endswith(f".{other}")


def _said(word: SourceWord, service: Service | None, *, aligned: bool) -> tuple[Standing, Detail]:
    """The standing by the user's word."""
    reason = SAID(owner=word.owner.value)
    match word.owner:
        case SourceOwner.OURS:
            gap = Standing.OWN_GAP if service is None else Standing.SERVICE_GAP
            return (Standing.OWN if aligned else gap), reason
        case SourceOwner.FORWARDER:
            return (Standing.FORWARDER if aligned else Standing.ALTERED), reason
        case SourceOwner.NOT_OURS:
            return Standing.FORGED, reason


# --- rows to sources ------------------------------------------------------------------------------------------------

_Rows = Sequence[tuple[ObservedRow, _Told]]


def _by_standing(told: _Rows) -> list[Source]:
    return [_source(each, standing) for standing, each in _split(told, lambda one: one[1].standing).items()]


def _of_ours(told: _Rows) -> list[Source]:
    """The sources of one host or service of ours.

    An address (of a service: a stream) that passes at other times is one source with what does not pass; what never
    passes is another.
    """
    service = told[0][1].service
    of: Callable[[tuple[ObservedRow, _Told]], str] = (
        (lambda one: one[0].ip) if service is None else (lambda one: one[1].stream)
    )
    signing = {of(one) for one in told if one[0].facet.aligned}
    good = [one for one in told if of(one) in signing]
    rest = [one for one in told if of(one) not in signing]
    found = []
    mixed = False
    if good:
        standing = Standing.OWN
        messages = sum(row.messages for row, _ in good)
        aligned = sum(row.messages for row, _ in good if row.facet.aligned)
        mixed = aligned * 100 >= GOOD_PERCENT * messages
        if not mixed:
            standing = Standing.OWN_GAP if service is None else Standing.SERVICE_GAP
        found.append(_source(good, standing))
    for standing, each in _split(rest, lambda one: one[1].standing).items():
        if standing is Standing.SERVICE_GAP and mixed and not each[0][1].said:
            source = _source(each, Standing.SERVICE_MIXED)
            source.reasons[OTHERS_ALIGNED(name=source.name)] = None
        else:
            source = _source(each, standing)
        found.append(source)
    return found


def _split(
    told: _Rows, by: Callable[[tuple[ObservedRow, _Told]], Standing]
) -> dict[Standing, list[tuple[ObservedRow, _Told]]]:
    found: dict[Standing, list[tuple[ObservedRow, _Told]]] = {}
    for one in told:
        found.setdefault(by(one), []).append(one)
    return found


def _source(told: _Rows, standing: Standing) -> Source:
    first = told[0][1]
    counts: Counter[Detail] = Counter()
    for row, each in told:
        counts[each.reason] += row.messages
    reasons = dict.fromkeys(reason for reason, _ in counts.most_common())
    said = any(each.said for _, each in told)
    return Source(first.name, first.service, standing, said, reasons, [row for row, _ in told])


def first_seen(source: Source, observed: Observed) -> date:
    """The day on which mail of that kind from there was first reported, ever."""
    ips, facets = observed.first_ips, observed.first_facets
    return min(min(row.day, max(ips.get(row.ip, row.day), facets.get(row.facet, row.day))) for row in source.rows)
