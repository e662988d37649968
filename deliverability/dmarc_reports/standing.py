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
from msgspec.structs import replace

from deliverability.core.codes import Code, Detail
from deliverability.core.model.observed import Facet, SourceOwner, SourceWord, address_of
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
        apart_missing: the same of names below it that DNS does not have (np=none); None: np says nothing of them.
        missing: whether DNS does not have a name; names that nobody could or did ask for are left out.
        own_records: names below it that have a DMARC record of their own, so that its policy does not concern them.

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
    apart_missing: bool | None = None
    missing: Mapping[str, bool] = field(default_factory=dict)
    own_records: frozenset[str] = frozenset()


class _Ranges:
    """Which term of an SPF record lets an address pass; a range of everything (`+all`) ties nobody to anything."""

    def __init__(self, groups: Iterable[Group]) -> None:
        found: dict[int, dict[int, dict[int, str]]] = {4: {}, 16: {}}  # by octets of an address, then by bits left out
        for group in groups:
            for _, network in group.ranges:
                if network.prefixlen:
                    bits = network.max_prefixlen - network.prefixlen
                    terms = found[network.max_prefixlen // 8].setdefault(bits, {})
                    terms.setdefault(int(network.network_address), group.term)
        self._terms = {size: tuple(by_bits.items()) for size, by_bits in found.items()}

    def covering(self, packed: bytes) -> str:
        """The term; empty: none does."""
        number = int.from_bytes(packed)
        for bits, terms in self._terms[len(packed)]:
            if term := terms.get(number >> bits << bits):
                return term
        return ""


class Host(Struct, frozen=True):
    """What is known of an address, whatever it sends.

    Attributes:
        mark: what shows that it is the domain's own; None: nothing does.
        term: of the domain's SPF record, or of one that it includes, that lists it; empty: none.
        names: confirmed reverse names.
        relay: it brings mail of many unrelated domains.
        meant: which addresses and ranges in the user's words it is in.
        signing: it is the domain's own, as other mail from it shows.

    """

    mark: Detail | None = None
    term: str = ""
    names: tuple[str, ...] = ()
    relay: bool = False
    meant: tuple[str, ...] = ()
    signing: bool = False


class ClassifiedRow(Struct, frozen=True):
    """What one kind of mail from one address is: its standing with the reason, and the group it belongs to.

    Attributes:
        group: empty: its network.
        name: of the group; empty: as the network is written.
        stream: what tells streams of one service apart: whose Return-Path it carries.

    """

    standing: SourceStanding
    reason: Detail
    group: str
    name: str
    service: Service | None
    by_user: bool = False
    stream: str = ""


class RowJudge:
    """Judges kinds of mail from addresses. What it makes of one depends on its facet and on what is known of the
    address; most addresses have nothing of their own, so that there is little to work out.
    """

    def __init__(self, setup: Setup, facets: Sequence[Facet], relays: frozenset[str]) -> None:
        """`facets`: those that rows are of; what passes in them tells which keys are in use."""
        self._setup, self._facets = setup, facets
        self._relays = frozenset(_packed(each) for each in relays)
        self._names = {_packed(ip): names for ip, names in setup.names.items()}
        self._sending = frozenset(_packed(each) for each in setup.sending_ips)
        self._networks = tuple(filter(None, (_network(each) for word in setup.words for each in word.match)))
        self._ours = _Ranges(group for group in setup.groups if group.include is None)
        self._all = _Ranges(setup.groups)
        self._hosts: dict[Host, int] = {}
        self._by_number: list[Host] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._own_shown: dict[tuple[int, int], bool] = {}
        self._of: list[int] = []  # by place in `told`: the host
        self.told: list[ClassifiedRow] = []
        self.listed: set[int] = set()  # places in `told` of hosts that the SPF record lists
        self._plain = self._number(Host())
        self._passing = {
            (each.domain, each.selector)
            for facet in facets
            for each in facet.dkim
            if each.result == "pass" and self._is_ours(each.domain)
        }

    def host(self, packed: bytes, facets: Iterable[int]) -> int:
        """The number of what is known of an address that sends mail of these facets (by number)."""
        names = self._names.get(packed, ())
        meant = tuple(text for text, network, bits, size in self._networks if _is_in(packed, network, bits, size))
        term = self._all.covering(packed)
        if names or meant or term or packed in self._relays or packed in self._sending:
            number = self._number(Host(self._own_mark(packed, names), term, names, packed in self._relays, meant))
        else:
            number = self._plain  # nearly all addresses of forged mail
        for facet in facets:
            if self._shows_own(number, facet):
                return self._number(replace(self._by_number[number], signing=True))
        return number

    def _number(self, host: Host) -> int:
        if host not in self._hosts:
            self._hosts[host] = len(self._by_number)
            self._by_number.append(host)
        return self._hosts[host]

    def _shows_own(self, host: int, facet: int) -> bool:
        """Whether mail of that kind shows that the host itself is ours, where nothing else does."""
        key = host, facet
        if key not in self._own_shown:
            self._own_shown[key] = self._by_number[host].mark is None and self._passes_as_own(host, facet)
        return self._own_shown[key]

    def _passes_as_own(self, host: int, facet: int) -> bool:
        if not self._facets[facet].aligned or self.told[self.number(host, facet)].standing is not SourceStanding.OWN:
            return False
        return self._delivered_by(self._by_number[host], self._facets[facet]) is None

    def listed_by(self, told: Iterable[int]) -> str:
        """The term of the domain's SPF record, or of one that it includes, that lists a host of these; empty: none.

        `told`: places in it.
        """
        hosts = [self._of[each] for each in self.listed.intersection(told)]
        return self._by_number[min(hosts)].term if hosts else ""

    def number(self, host: int, facet: int) -> int:
        """What mail of that facet from such a host is, as the place in `told`; both by number."""
        key = host, facet
        if key not in self._numbers:
            self._numbers[key] = len(self.told)
            self._of.append(host)
            if self._by_number[host].term:
                self.listed.add(self._numbers[key])
            self.told.append(self._tell(self._by_number[host], self._facets[facet]))
        return self._numbers[key]

    def _tell(self, host: Host, facet: Facet) -> ClassifiedRow:
        service = self._service(host, facet)
        word = self._word(host, facet, service)
        if word is not None:
            standing, reason = _by_word(word, service, aligned=facet.aligned)
        else:
            standing, reason = self._aligned(host, facet) if facet.aligned else self._unaligned(host, facet, service)
        if standing in (SourceStanding.FORWARDER, SourceStanding.ALTERED):
            service = self._delivered_by(host, facet)
        group = self._group(host, service)
        name = (word.name if word else "") or group
        if service is not None:
            name = (word.name if word else "") or service.name["en"]
        stream = registrable_domain(facet.spf_domain or facet.envelope_from) if service else ""
        return ClassifiedRow(
            standing, reason, name if word and word.name else group, name, service, word is not None, stream
        )

    def _aligned(self, host: Host, facet: Facet) -> tuple[SourceStanding, Detail]:
        if facet.aligned_spf:
            return SourceStanding.OWN, SPF_ALIGNED()
        if host.mark is not None:
            return SourceStanding.OWN, host.mark
        if host.term:
            return SourceStanding.OWN, SPF_COVERS(term=host.term)
        service = self._delivered_by(host, facet)
        if service is not None and service.id in self._setup.used:
            return SourceStanding.OWN, OWN_SERVICE(name=service.name["en"])
        return SourceStanding.FORWARDER, MANY_DOMAINS() if host.relay else DKIM_ONLY()

    def _unaligned(self, host: Host, facet: Facet, service: Service | None) -> tuple[SourceStanding, Detail]:
        if host.mark is not None:
            return SourceStanding.OWN_GAP, host.mark
        delivered = self._delivered_by(host, facet)
        if host.signing and delivered is None:
            return SourceStanding.OWN_GAP, ALIGNED_ELSEWHEN()
        if delivered is not None and delivered.id in self._setup.used:
            return SourceStanding.SERVICE_GAP, OWN_SERVICE(name=delivered.name["en"])
        if (service is None or service.id in self._setup.used) and host.term:
            return SourceStanding.SERVICE_GAP, SPF_COVERS(term=host.term)
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
        if host.relay:
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

    def _own_mark(self, packed: bytes, names: Sequence[str]) -> Detail | None:
        """What shows that a host is the domain's own, whatever it sends."""
        if packed in self._sending:
            return SENDING_IP()
        if name := next(filter(self._is_ours, names), ""):
            return OWN_PTR(name=name)
        term = self._ours.covering(packed)
        return SPF_COVERS(term=term) if term else None

    def _is_ours(self, name: str) -> bool:
        return is_within(name, self._setup.home)

    # Who it is otherwise.

    def _service(self, host: Host, facet: Facet) -> Service | None:
        """The service of the most telling mark that passes: a key, the Return-Path, its own signature, the host."""
        aliases = self._setup.aliases
        keys = tuple(
            Key(each.domain, each.selector, aliases.get((each.domain, each.selector)))
            for each in facet.dkim
            if each.result == "pass"
        )
        return self._sighted(host, facet, keys)

    def _delivered_by(self, host: Host, facet: Facet) -> Service | None:
        """The service that handed it over; a signature may have come from further away."""
        return self._sighted(host, facet, ())

    def _sighted(self, host: Host, facet: Facet, keys: tuple[Key, ...]) -> Service | None:
        passes = facet.spf_domain if facet.spf_result == "pass" else None
        names = host.names
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

    def _group(self, host: Host, service: Service | None) -> str:
        if service is not None:
            return f"service:{service.id}"
        if name := next(filter(self._is_ours, host.names), ""):
            return name
        return registrable_domain(host.names[0]) if host.names else ""

    def _word(self, host: Host, facet: Facet, service: Service | None) -> SourceWord | None:
        """The first of the user's words that is about it."""
        for word in self._setup.words:
            if any(self._meant(each, host, facet, service) for each in word.match):
                return word
        return None

    def _meant(self, match: str, host: Host, facet: Facet, service: Service | None) -> bool:
        kind, _, name = match.partition(":")
        match kind:
            case "service":
                return service is not None and service.id == name
            case "ptr":
                return any(is_within(each, name) for each in host.names)
            case "dkim":
                return any(each.result == "pass" and is_within(each.domain, name) for each in facet.dkim)
        return match in host.meant


def _packed(address: str) -> bytes:
    return ip_address(address).packed


def _network(match: str) -> tuple[str, int, int, int] | None:
    """A match that is an address or a range: as it is written, its first address, the bits below it, octets."""
    try:
        network = ip_network(match, strict=False)
    except ValueError:
        return None
    size = network.max_prefixlen
    return match, int(network.network_address), size - network.prefixlen, size // 8


def _is_in(packed: bytes, network: int, bits: int, size: int) -> bool:
    return len(packed) == size and int.from_bytes(packed) >> bits == network >> bits


def network_of(packed: bytes) -> bytes:
    """The first octets of the network that stands for an address: /24 of IPv4, /64 of IPv6."""
    return packed[:3] if len(packed) == 4 else packed[:8]


def written(packed: bytes) -> str:
    """That network as it is written."""
    size = len(packed)
    return address_of(network_of(packed).ljust(size, b"\0")) + ("/24" if size == 4 else "/64")


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
