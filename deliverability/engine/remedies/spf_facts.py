"""What the facts tell of a domain's SPF: its terms as words and ranges, what each costs, whom it lets pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, is_absence, texts
from deliverability.core.facts.domain import Domain, Senders
from deliverability.core.facts.spf import Spf, SpfStatus, SpfTerm, SpfVerdict, decided_by
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import Severity
from deliverability.core.model.services import Service, ServiceKind
from deliverability.core.model.topic import if_known
from deliverability.core.names import Network, is_address
from deliverability.core.protocols.spf.record import LOOKUP_MECHANISMS, BadTerm, Mechanism, Modifier, Term
from deliverability.core.protocols.spf.repair import term_of
from deliverability.core.senders.recognise import by_spf
from deliverability.engine.remedies.records import RemedyName

_SECOND_LEVEL = frozenset({"ac", "co", "com", "ed", "edu", "go", "gov", "gr", "ne", "net", "or", "org"})
Words = tuple[str, ...]
Span = tuple[int, int, int]
"""Addresses from the first to the last: IP version, first, last."""


def is_term(term: Term | None, name: str) -> bool:
    """Whether the term is a readable mechanism or modifier of that name."""
    return term is not None and not isinstance(term, BadTerm) and term.name == name


def is_ipv4(address: str) -> bool:
    """Whether an address, which is known to be one, is of IPv4."""
    return ":" not in address


def lets_pass(term: Mechanism) -> bool:
    """Whether what matches passes; `all` names no sender."""
    return term.qualifier == "+" and term.name != "all"


def names_sender(word: str) -> bool:
    """Whether the word lets somebody pass, or may have been meant to."""
    term = term_of(word)
    return not isinstance(term, (Mechanism, Modifier)) or (
        lets_pass(term) if isinstance(term, Mechanism) else term.name == "redirect"
    )


def ip_word(address: str) -> str:
    """The mechanism for one address."""
    return f"ip{4 if is_ipv4(address) else 6}:{address}"


def key_of(term: Term | None) -> object:
    """Equal for terms that say the same."""
    if not isinstance(term, Mechanism):
        return term.text.lower() if term else ""
    domain = term.domain_spec.lower().removesuffix(".") if term.domain_spec else None
    return term.qualifier, term.name, domain, term.network, term.prefix4, term.prefix6


def without(words: Words, indexes: Iterable[int]) -> Words:
    """The words but for those at these places."""
    gone = set(indexes)
    return tuple(word for index, word in enumerate(words) if index not in gone)


def end_of(words: Words) -> int | None:
    """Index of the first `all`."""
    return next((index for index, word in enumerate(words) if is_term(term_of(word), "all")), None)


def has_redirect(words: Words) -> bool:
    """Whether one of them is a redirect."""
    return any(is_term(term_of(word), "redirect") for word in words)


def dead_terms(words: Words) -> list[int]:
    """Terms that are never evaluated: mechanisms behind `all`, a redirect beside it."""
    end = end_of(words)
    if end is None:
        return []
    terms = [term_of(word) for word in words]
    return [
        index
        for index, term in enumerate(terms)
        if (index > end and isinstance(term, Mechanism)) or is_term(term, "redirect")
    ]


def plain_include(word: str) -> bool:
    """Whether it is an include that lets pass."""
    term = term_of(word)
    return isinstance(term, Mechanism) and term.name == "include" and term.qualifier == "+"


def shortened(words: Words) -> Words:
    """Ranges that lie in one another or side by side as one. Terms that deny keep all as it is: order counts then."""
    terms = [term_of(word) for word in words]
    end = end_of(words)
    last = len(words) if end is None else end
    if any(isinstance(term, Mechanism) and term.qualifier != "+" and term.name != "all" for term in terms):
        return words
    own: dict[int, Network] = {
        index: term.network
        for index, term in enumerate(terms)
        if index < last and isinstance(term, Mechanism) and term.network is not None
    }
    unions = collapsed(own.values())
    written = {network: words[index] for index, network in reversed(own.items())}
    result: list[str] = []
    placed: set[Network] = set()
    for index, word in enumerate(words):
        if index not in own:
            result.append(word)
            continue
        union = next(each for each in unions if _within(own[index], each))
        if union not in placed:
            placed.add(union)
            result.append(written.get(union) or _network_word(union))
    return tuple(result)


def collapsed(networks: Iterable[Network]) -> list[Network]:
    """The same ranges in as few as possible, IPv4 first."""
    each = list(networks)
    fours = [network for network in each if isinstance(network, IPv4Network)]
    sixes = [network for network in each if isinstance(network, IPv6Network)]
    return [*collapse_addresses(fours), *collapse_addresses(sixes)]


def _within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _network_word(network: Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return f"ip{network.version}:{network.network_address if single else network}"


def before_modifiers(words: Words, word: str) -> Words:
    """The words with one more at the end, in front of the modifiers that stand there."""
    place = len(words)
    while place and isinstance(term_of(words[place - 1]), Modifier):
        place -= 1
    return (*words[:place], word, *words[place:])


def spans(networks: Iterable[Network]) -> list[Span]:
    """Networks as spans in order, those that touch put together."""
    return joined((each.version, int(each.network_address), int(each.broadcast_address)) for each in networks)


def joined(found: Iterable[Span]) -> list[Span]:
    """Spans in order, those that overlap or touch put together."""
    merged: list[Span] = []
    for version, first, last in sorted(found):
        if merged and merged[-1][0] == version and first <= merged[-1][2] + 1:
            merged[-1] = (version, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((version, first, last))
    return merged


def minus(found: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What the first spans hold and the others do not, in order."""
    rest: list[Span] = []
    holes = joined(others)
    place = 0
    for version, start, last in joined(found):
        while place < len(holes) and holes[place][::2] < (version, start):
            place += 1
        first = start
        for hole in range(place, len(holes)):
            other, low, high = holes[hole]
            if (other, low) > (version, last):
                break
            if low > first:
                rest.append((version, first, low - 1))
            first = high + 1
        if first <= last:
            rest.append((version, first, last))
    return rest


def replaced(words: Words, word: str, networks: Iterable[Network]) -> Words:
    """The words with ranges in the place of one of them; what other ip4 and ip6 terms hold already is left out."""
    place = words.index(word)
    rest = tuple(each for each in words if each != word)
    known = [each for other in rest if (term := term_of(other)) for each in _network_of(term)]
    fresh = [_network_word(each) for each in networks if not any(_within(each, other) for other in known)]
    return (*rest[:place], *fresh, *rest[place:])


def organisation(name: str) -> str:
    """The registered part of a service's name, as well as it can be told without the public suffix list."""
    labels = name.split(".")
    count = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-count:])


def _network_of(term: Term) -> Iterator[Network]:
    if isinstance(term, Mechanism) and term.network is not None and term.qualifier == "+":
        yield term.network


MAX_LOOKUPS = 10
NEAR_LOOKUPS = 9
MAX_NODES = 500
"""Includes below one include that are looked at; the auditor follows 50."""
MAX_RANGES = 4000
"""Terms and addresses of one tree that are compared; what lies beyond counts as not known. Real trees have hundreds."""
_SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.INFO, Severity.NONE)
_CARRIES_USERS_MAIL = frozenset({ServiceKind.MAILBOX, ServiceKind.HOSTING, ServiceKind.GATEWAY})
_SAYS_NOTHING = frozenset({SpfStatus.DEAD, SpfStatus.IGNORED, SpfStatus.VOID})


class SpfFacts:
    """The facts and findings that drafting rests on."""

    def __init__(
        self, facts: FactSet, findings: Sequence[Finding] = (), services: Mapping[str, Service] | None = None
    ) -> None:
        self.facts = facts
        self.services = services or {}
        self.domain = if_known(facts.of(Spf).domain) or ""
        self.unmet_items: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.outcome is Outcome.UNMET and finding.remedy.startswith("spf-"):
                self.unmet_items.setdefault(finding.remedy, []).append(finding)
        self._ranges: dict[str, tuple[Network, ...] | None] = {}
        self._denied: dict[str, tuple[Network, ...]] = {}
        self._reached: dict[str, set[str]] = {}
        self._left = MAX_RANGES
        tree = if_known(facts.of(Spf).tree)
        self.terms: dict[str, SpfTerm] = {}
        for term in tree.terms if tree else ():
            # Of two equal terms one may stand behind `all`; what is known of the other holds.
            if term.text not in self.terms or term.status is not SpfStatus.DEAD:
                self.terms[term.text] = term

    def wants(self, *remedies: RemedyName) -> bool:
        """Whether an unmet finding asks for one of these remedies."""
        return any(remedy in self.unmet_items for remedy in remedies)

    def worst(self, remedies: Iterable[RemedyName]) -> Finding | None:
        """The worst of the unmet findings that ask for one of these remedies."""
        found = (finding for remedy in remedies for finding in self.unmet_items.get(remedy, ()))
        return min(found, key=_rank, default=None)

    @property
    def doubtful(self) -> frozenset[str]:
        """Terms of services whose place in the record is in question: by another finding they may go any day.

        So none of them stands in for a term that goes.
        """
        services = if_known(self.facts.of(Senders).services) or ()
        return frozenset(
            term
            for each in services
            if each.include_needed is False or (each.has_key is not True and each.receives is not True)
            for term in each.spf_terms
        )

    @property
    def allowed(self) -> int:
        """Look-ups that the record may cost: the limit, or below the warning where it is under the limit already."""
        near = self.wants("spf-drop-spare") and not self.wants("spf-fewer-lookups")
        return NEAR_LOOKUPS - 1 if near else MAX_LOOKUPS

    def status(self, word: str) -> SpfStatus | None:
        """What became of a term; None where it was not looked at."""
        known = self.terms.get(word)
        return known.status if known else None

    def faulty(self, word: str) -> bool:
        """Whether the record that an include or redirect leads to has a syntax error, which ends every check."""
        known = self.terms.get(word)
        return known is not None and known.tree is not None and known.tree.status is SpfStatus.SYNTAX_ERROR

    def target(self, word: str) -> str:
        """The name that a term asks for."""
        known = self.terms.get(word)
        return known.target or "" if known else ""

    def lookups(self, words: Words) -> int:
        """Look-ups of these terms; one that the tree does not know counts as the one it costs at least."""
        return sum(self.cost(word) for word in words)

    def cost(self, word: str) -> int:
        """Look-ups of one term, everything below it counted."""
        known = self.terms.get(word)
        if known and known.status is not SpfStatus.DEAD:
            return known.total_lookups
        term = term_of(word)
        costs = (isinstance(term, Mechanism) and term.name in LOOKUP_MECHANISMS) or is_term(term, "redirect")
        return int(costs)

    def ranges(self, word: str) -> tuple[Network, ...] | None:
        """Every range that a term lets pass, includes followed; None where it is not known or depends on the mail."""
        if word not in self._ranges:
            self._ranges[word] = self._measure(word, self.terms.get(word))
        return self._ranges[word]

    def denied(self, word: str) -> tuple[Network, ...]:
        """The ranges that a term keeps from passing (``-``, ``~`` or ``?``), as far as they are known."""
        if word not in self._denied:
            known = self.terms.get(word)
            passing = self._measure(word.lstrip("-~?"), known and replace(known, text=word.lstrip("-~?")))
            self._denied[word] = passing or ()
        return self._denied[word]

    def _measure(self, word: str, known: SpfTerm | None) -> tuple[Network, ...] | None:
        term = term_of(word)
        if isinstance(term, Mechanism) and term.network is not None:
            return (term.network,) if term.qualifier == "+" else None
        found: list[Network] = []
        return tuple(found) if known and self._collect(known, found) else None

    def _collect(self, known: SpfTerm, found: list[Network]) -> bool:
        """Add the ranges of one term of the tree; False where they cannot be told for sure."""
        self._left -= 1
        term = term_of(known.text)
        if self._left < 0 or isinstance(term, BadTerm) or term is None:
            return False
        if known.status in _SAYS_NOTHING or is_term(term, "exp"):
            return True
        if known.status is not SpfStatus.OK:
            return False
        if isinstance(term, Mechanism) and term.name == "all":
            return term.qualifier != "+"
        if isinstance(term, Mechanism) and term.qualifier != "+":
            return False
        if isinstance(term, Mechanism) and term.network is not None:
            found.append(term.network)
            return True
        if isinstance(term, Mechanism) and term.name in ("a", "mx"):
            addresses = self.addresses(known)
            if addresses is None:
                return False
            self._left -= len(addresses)
            found += [ip_network((ip, term.prefix4 if is_ipv4(ip) else term.prefix6), strict=False) for ip in addresses]
            return True
        if is_term(term, "include") or is_term(term, "redirect"):
            if known.tree is None or known.tree.status is not SpfStatus.OK:
                return False
            return all(self._collect(below, found) for below in known.tree.terms)
        return False

    def carries_mailboxes(self, word: str) -> bool:
        """Whether the term lets those send who host the domain's mailboxes, or through whom their mail goes out.

        Without it every user's mail would lose SPF: what people send from their mailboxes carries the domain itself as
        MAIL FROM, and nobody can move that to a subdomain. The catalogue tells, whatever the MX hosts are called: an MX
        of a filter or gateway hides who hosts the mailboxes. MX hosts of the same owner tell too, for a host that the
        catalogue does not know. An include of the domain's own counts as what it reaches.
        """
        target = self.target(word)
        if not target:
            return False
        owner = organisation(target)
        if any(f".{host.lower()}".endswith(f".{owner}") for host in if_known(self.facts.of(Domain).mx) or ()):
            return True
        own = f".{target}".endswith(f".{self.domain}")
        names = (target, *(self.reached(word) if own else ()))
        found = [by_spf(name, self.services) for name in names]
        return any(service is not None and service.kind in _CARRIES_USERS_MAIL for service in found)

    def reached(self, word: str) -> set[str]:
        """Targets of the includes below a term."""
        if word not in self._reached:
            self._reached[word] = _reached(self.terms.get(word))
        return self._reached[word]

    def addresses(self, term: SpfTerm) -> tuple[str, ...] | None:
        """Addresses behind an a or mx term, or None where one of its hosts could not be asked for."""
        hosts: Words = (term.target or "",)
        if term.mechanism == "mx":
            hosts = tuple(host for each in term.addresses if (host := each.partition(" ")[2]) not in ("", "."))
        found: list[str] = []
        for host in hosts:
            for rdtype in ("A", "AAAA"):
                seen = self.facts.evidence.get(f"dns:{rdtype}:{host.rstrip('.').lower()}")
                if seen is None:
                    return None
                addresses = [line for line in texts(seen.got) if is_address(line)]
                if not addresses and not is_absence(seen.got):
                    return None
                found += addresses
        return tuple(dict.fromkeys(found))

    def sending(self, *, passing: bool | None = None) -> tuple[tuple[str, str], ...]:
        """Sending addresses with the term that decided; those of another domain's record are left out."""
        if self.facts.of(SpfVerdict).result_domain != self.domain:
            return ()
        return tuple(
            (each.ip, decided_by(each.reason))
            for each in if_known(self.facts.of(SpfVerdict).results) or ()
            if is_address(each.ip) and (passing is None or (each.result == "pass") is passing)
        )


def _rank(finding: Finding) -> tuple[int, str]:
    """The worst finding has the least."""
    return _SEVERITIES.index(finding.severity), finding.rule


def _reached(term: SpfTerm | None) -> set[str]:
    """Targets of the includes below a term that every mail reaches that reaches the term, as long as none matches."""
    found: set[str] = set()
    queue = [term.tree] if term and term.status is SpfStatus.OK else []
    while queue and len(found) < MAX_NODES:
        tree = queue.pop()
        if tree is None or tree.status is not SpfStatus.OK:
            continue
        for below in tree.terms:
            if below.qualifier not in ("+", None):
                break
            target, include = below.target or "", below.mechanism == "include" and below.status is SpfStatus.OK
            if include and target not in found:
                found.add(target)
                queue.append(below.tree)
    return found
