"""What one kind of mail from one address is to a domain, by the table of standings. Pure over what it is handed.

Whoever passes DMARC is never a gap; what nothing ties to the domain is never its own. Report, DNS and catalogue
together cannot tell a forgotten account of ours from somebody else's: such mail is unclaimed, and only the user's word
settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from msgspec import Struct, field

from deliverability.core.codes import Code, Detail
from deliverability.core.model.observed import Facet, ObservedRow, SourceOwner, SourceWord
from deliverability.core.model.services import Service
from deliverability.core.names import is_within
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.senders.recognise import Key, MessageMarks, ServiceCatalogue, by_message

if TYPE_CHECKING:
    from deliverability.core.protocols.spf.coverage import Group

BY_USER = Code("by-said", ("owner",))
SPF_ALIGNED = Code("by-spf-aligned")
SPF_COVERS = Code("by-spf-covers", ("term",))
SENDING_IP = Code("by-sending-ip")
OWN_PTR = Code("by-own-ptr", ("name",))
OWN_SERVICE = Code("by-own-service", ("name",))
DKIM_ONLY = Code("by-dkim-only")
MANY_DOMAINS = Code("by-many-domains")
ALIGNED_ELSEWHEN = Code("by-aligned-elsewhen")
LOST_KEY = Code("by-lost-key", ("selector", "domain"))
BROKEN_SIGNATURE = Code("by-broken-signature", ("selector", "domain"))
RECEIVER_SAYS = Code("by-receiver-says", ("reason",))
STRANGE_SERVICE = Code("by-strange-service", ("name",))
PASSES_AS = Code("by-passes-as", ("name",))
NOTHING_PASSES = Code("by-nothing-passes")

_FORWARDED = ("mailing_list", "trusted_forwarder", "forwarded", "local_policy/arc")


_KEY_ERRORS = ("permerror", "temperror")
"""Results of a signature whose key could not be used: it is not the way of the mail that broke it."""


class SourceStanding(StrEnum):
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
        return self in (SourceStanding.OWN, SourceStanding.OWN_GAP, SourceStanding.SERVICE_GAP)

    @property
    def asks(self) -> bool:
        """Whether only the user can say whose it is."""
        return self in (SourceStanding.SERVICE_MIXED, SourceStanding.UNCLAIMED)


class Setup(Struct, frozen=True):
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
        lost_keys: (domain, selector) of signatures whose key is not in DNS.
        apart: its DMARC record asks for nothing of the names below it (sp=none), so that they are not concerned.

    """

    home: str
    groups: Sequence[Group] = ()
    sending_ips: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    services: ServiceCatalogue = field(default_factory=dict)
    words: Sequence[SourceWord] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lost_keys: frozenset[tuple[str, str]] = frozenset()
    apart: bool = False


class _Ranges:
    """Which term of an SPF record lets an address pass; a range of everything (`+all`) ties nobody to anything."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._terms: dict[tuple[int, int], dict[int, str]] = {}
        for group in groups:
            for _, network in group.ranges:
                if network.prefixlen:
                    terms = self._terms.setdefault((network.version, network.max_prefixlen - network.prefixlen), {})
                    terms.setdefault(int(network.network_address), group.term)

    def covering(self, ip: str) -> str:
        """The term; empty: none does."""
        address = ip_address(ip)
        number, version = int(address), address.version
        found = (
            terms.get(number >> bits << bits, "") for (family, bits), terms in self._terms.items() if family == version
        )
        return next(filter(None, found), "")


class ClassifiedRow(Struct, frozen=True):
    """What one kind of mail from one address is: its standing with the reason, and the group it belongs to.

    `stream`: what tells streams of one service apart: whose Return-Path it carries.
    """

    standing: SourceStanding
    reason: Detail
    group: str
    name: str
    service: Service | None
    by_user: bool = False
    stream: str = ""


class RowJudge:
    """Judges rows; what is the same for many of them is worked out once."""

    def __init__(self, setup: Setup, rows: Iterable[ObservedRow], relays: frozenset[str]) -> None:
        self._setup, self._relays = setup, relays
        self._known: dict[tuple[str, Facet], ClassifiedRow] = {}
        self._own_marks: dict[str, Detail | None] = {}
        self._ours = _Ranges(group for group in setup.groups if group.include is None)
        self._all = _Ranges(setup.groups)
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
            and self.of(row.ip, row.facet).standing is SourceStanding.OWN
        }
        self._known.clear()

    def of(self, ip: str, facet: Facet) -> ClassifiedRow:
        """What mail of that kind from that address is."""
        key = ip, facet
        if key not in self._known:
            self._known[key] = self._tell(ip, facet)
        return self._known[key]

    def _tell(self, ip: str, facet: Facet) -> ClassifiedRow:
        service = self._service(ip, facet)
        word = self._word(ip, facet, service)
        if word is not None:
            standing, reason = _by_word(word, service, aligned=facet.aligned)
        else:
            standing, reason = self._aligned(ip, facet) if facet.aligned else self._unaligned(ip, facet, service)
        if standing in (SourceStanding.FORWARDER, SourceStanding.ALTERED):
            service = self._delivered_by(ip, facet)
        group = self._group(ip, service)
        name = (word.name if word else "") or group
        if service is not None:
            name = (word.name if word else "") or service.name["en"]
        stream = registrable_domain(facet.spf_domain or facet.envelope_from) if service else ""
        return ClassifiedRow(
            standing, reason, name if word and word.name else group, name, service, word is not None, stream
        )

    def _aligned(self, ip: str, facet: Facet) -> tuple[SourceStanding, Detail]:
        if facet.aligned_spf:
            return SourceStanding.OWN, SPF_ALIGNED()
        if (mark := self._own_mark(ip)) is not None:
            return SourceStanding.OWN, mark
        if term := self._all.covering(ip):
            return SourceStanding.OWN, SPF_COVERS(term=term)
        service = self._delivered_by(ip, facet)
        if service is not None and service.id in self._setup.used:
            return SourceStanding.OWN, OWN_SERVICE(name=service.name["en"])
        return SourceStanding.FORWARDER, MANY_DOMAINS() if ip in self._relays else DKIM_ONLY()

    def _unaligned(self, ip: str, facet: Facet, service: Service | None) -> tuple[SourceStanding, Detail]:
        if (mark := self._own_mark(ip)) is not None:
            return SourceStanding.OWN_GAP, mark
        if ip in self._signing and self._delivered_by(ip, facet) is None:
            return SourceStanding.OWN_GAP, ALIGNED_ELSEWHEN()
        delivered = self._delivered_by(ip, facet)
        if delivered is not None and delivered.id in self._setup.used:
            return SourceStanding.SERVICE_GAP, OWN_SERVICE(name=delivered.name["en"])
        if (service is None or service.id in self._setup.used) and (term := self._all.covering(ip)):
            return SourceStanding.SERVICE_GAP, SPF_COVERS(term=term)
        for each in facet.dkim:
            key = each.domain, each.selector
            if not self._is_ours(each.domain) or each.result == "pass":
                continue
            if each.result in _KEY_ERRORS or key in self._setup.lost_keys:
                return SourceStanding.UNCLAIMED, LOST_KEY(selector=each.selector, domain=each.domain)
            if each.result == "fail" and key in self._passing:
                return SourceStanding.ALTERED, BROKEN_SIGNATURE(selector=each.selector, domain=each.domain)
        for reason in facet.reason.split(","):
            if reason.strip() in _FORWARDED:
                return SourceStanding.ALTERED, RECEIVER_SAYS(reason=reason.strip())
        if ip in self._relays:
            return SourceStanding.FORWARDER, MANY_DOMAINS()
        if service is not None:
            name = service.name["en"]
            used = service.id in self._setup.used
            return (
                (SourceStanding.SERVICE_GAP, OWN_SERVICE(name=name))
                if used
                else (
                    SourceStanding.UNCLAIMED,
                    STRANGE_SERVICE(name=name),
                )
            )
        if stranger := self._stranger(facet):
            return SourceStanding.UNCLAIMED, PASSES_AS(name=stranger)
        return SourceStanding.FORGED, NOTHING_PASSES()

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
        term = self._ours.covering(ip)
        return SPF_COVERS(term=term) if term else None

    def listed_by(self, ip: str) -> str:
        """The term of the domain's SPF record, or of one that it includes, that lists the address; empty: none."""
        return self._all.covering(ip)

    def _is_ours(self, name: str) -> bool:
        return is_within(name, self._setup.home)

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
        return str(ip_network((ip, 24 if ip_address(ip).version == 4 else 64), strict=False))

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
                return any(is_within(each, name) for each in self._setup.names.get(ip, ()))
            case "dkim":
                return any(each.result == "pass" and is_within(each.domain, name) for each in facet.dkim)
        try:
            return ip_address(ip) in ip_network(match, strict=False)
        except ValueError:
            return False


def _by_word(word: SourceWord, service: Service | None, *, aligned: bool) -> tuple[SourceStanding, Detail]:
    """The standing by the user's word."""
    reason = BY_USER(owner=word.owner.value)
    match word.owner:
        case SourceOwner.OURS:
            gap = SourceStanding.OWN_GAP if service is None else SourceStanding.SERVICE_GAP
            return (SourceStanding.OWN if aligned else gap), reason
        case SourceOwner.FORWARDER:
            return (SourceStanding.FORWARDER if aligned else SourceStanding.ALTERED), reason
        case SourceOwner.NOT_OURS:
            return SourceStanding.FORGED, reason
