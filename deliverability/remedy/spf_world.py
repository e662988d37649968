"""What the facts tell of a domain's SPF: its terms, what each costs and which addresses it lets pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network

from deliverability.model.facts import FactSet, Value, records_of, text_of, texts_of
from deliverability.model.report import Finding, Outcome
from deliverability.model.rules import Severity
from deliverability.protocols.spf.names import is_address
from deliverability.protocols.spf.record import LOOKUP_MECHANISMS, BadTerm, Mechanism
from deliverability.protocols.spf.repair import term_of
from deliverability.remedy.names import RemedyName
from deliverability.remedy.spf_terms import Network, Words, is_ipv4, is_term, organisation
from deliverability.senders.catalogue import ServiceKind, services
from deliverability.senders.recognise import by_spf

MAX_LOOKUPS = 10
NEAR_LOOKUPS = 9
MAX_NODES = 500
"""Includes below one include that are looked at; the auditor follows 50."""
MAX_RANGES = 4000
"""Terms and addresses of one tree that are compared; what lies beyond counts as not known. Real trees have hundreds."""
_SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.INFO, Severity.NONE)
_CARRIES_USERS_MAIL = frozenset({ServiceKind.MAILBOX, ServiceKind.HOSTING, ServiceKind.GATEWAY})
Item = Mapping[str, Value]


class World:
    """The facts and findings that drafting rests on."""

    def __init__(self, facts: FactSet, findings: Sequence[Finding]) -> None:
        self.facts = facts
        self.domain = text_of(facts.value("spf.domain"))
        self.unmet_items: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.outcome is Outcome.UNMET and finding.remedy.startswith("spf-"):
                self.unmet_items.setdefault(finding.remedy, []).append(finding)
        self._ranges: dict[str, tuple[Network, ...] | None] = {}
        self._reached: dict[str, set[str]] = {}
        self._left = MAX_RANGES
        tree = facts.value("spf.tree")
        terms = tree.get("terms") if isinstance(tree, Mapping) else ()
        self.entries: dict[str, Item] = {}
        for entry in records_of(terms):
            # Of two equal terms one may stand behind `all`; what is known of the other holds.
            if text_of(entry.get("text")) not in self.entries or entry.get("status") != "dead":
                self.entries[text_of(entry.get("text"))] = entry

    def wants(self, *remedies: RemedyName) -> bool:
        """Whether an unmet finding asks for one of these remedies."""
        return any(remedy in self.unmet_items for remedy in remedies)

    def worst(self, remedies: Iterable[RemedyName]) -> Finding | None:
        """The worst of the unmet findings that ask for one of these remedies."""
        found = (finding for remedy in remedies for finding in self.unmet_items.get(remedy, ()))
        return min(found, key=_rank, default=None)

    @property
    def allowed(self) -> int:
        """Look-ups that the record may cost: the limit, or below the warning where it is under the limit already."""
        near = self.wants("spf-drop-spare") and not self.wants("spf-fewer-lookups")
        return NEAR_LOOKUPS - 1 if near else MAX_LOOKUPS

    def status(self, word: str) -> str:
        """What became of a term (see spf.tree); empty where it was not looked at."""
        entry = self.entries.get(word)
        return text_of(entry.get("status")) if entry else ""

    def faulty(self, word: str) -> bool:
        """Whether the record that an include or redirect leads to has a syntax error, which ends every check."""
        entry = self.entries.get(word)
        tree = entry.get("tree") if entry else None
        return isinstance(tree, Mapping) and tree.get("status") == "syntax-error"

    def target(self, word: str) -> str:
        """The name that a term asks for."""
        entry = self.entries.get(word)
        return text_of(entry.get("target")) if entry else ""

    def lookups(self, words: Words) -> int:
        """Look-ups of these terms; one that the tree does not know counts as the one it costs at least."""
        return sum(self.cost(word) for word in words)

    def cost(self, word: str) -> int:
        """Look-ups of one term, everything below it counted."""
        entry = self.entries.get(word)
        total = entry.get("total_lookups") if entry and entry.get("status") != "dead" else None
        if isinstance(total, int):
            return total
        term = term_of(word)
        costs = (isinstance(term, Mechanism) and term.name in LOOKUP_MECHANISMS) or is_term(term, "redirect")
        return int(costs)

    def ranges(self, word: str) -> tuple[Network, ...] | None:
        """Every range that a term lets pass, includes followed; None where it is not known or depends on the mail."""
        if word not in self._ranges:
            self._ranges[word] = self._measure(word)
        return self._ranges[word]

    def denied(self, word: str) -> tuple[Network, ...]:
        """The ranges that a term keeps from passing (``-``, ``~`` or ``?``), as far as they are known."""
        term, entry = term_of(word), self.entries.get(word)
        if isinstance(term, Mechanism) and term.network is not None:
            return (term.network,)
        found: list[Network] = []
        known = entry is not None and self._collect({**entry, "text": word.lstrip("-~?")}, found)
        return tuple(found) if known else ()

    def _measure(self, word: str) -> tuple[Network, ...] | None:
        entry = self.entries.get(word)
        term = term_of(word)
        if isinstance(term, Mechanism) and term.network is not None:
            return (term.network,) if term.qualifier == "+" else None
        if entry is None:
            return None
        found: list[Network] = []
        return tuple(found) if self._collect(entry, found) else None

    def _collect(self, entry: Item, found: list[Network]) -> bool:
        """Add the ranges of one term of the tree; False where they cannot be told for sure."""
        self._left -= 1
        status, term = entry.get("status"), term_of(text_of(entry.get("text")))
        if self._left < 0 or isinstance(term, BadTerm) or term is None:
            return False
        if status in ("dead", "ignored", "void") or is_term(term, "exp"):
            return True
        if status != "ok":
            return False
        if isinstance(term, Mechanism) and term.name == "all":
            return term.qualifier != "+"
        if isinstance(term, Mechanism) and term.qualifier != "+":
            return False
        if isinstance(term, Mechanism) and term.network is not None:
            found.append(term.network)
            return True
        if isinstance(term, Mechanism) and term.name in ("a", "mx"):
            addresses = self.addresses(entry, term.name)
            if addresses is None:
                return False
            self._left -= len(addresses)
            found += [ip_network((ip, term.prefix4 if is_ipv4(ip) else term.prefix6), strict=False) for ip in addresses]
            return True
        if is_term(term, "include") or is_term(term, "redirect"):
            tree = entry.get("tree")
            if not isinstance(tree, Mapping) or tree.get("status") != "ok":
                return False
            return all(self._collect(below, found) for below in records_of(tree.get("terms")))
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
        if any(f".{host.lower()}".endswith(f".{owner}") for host in texts_of(self.facts.value("domain.mx"))):
            return True
        own = f".{target}".endswith(f".{self.domain}")
        names = (target, *(self.reached(word) if own else ()))
        found = [by_spf(name, services()) for name in names]
        return any(service is not None and service.kind in _CARRIES_USERS_MAIL for service in found)

    def reached(self, word: str) -> set[str]:
        """Targets of the includes below a term."""
        if word not in self._reached:
            self._reached[word] = _reached(self.entries.get(word))
        return self._reached[word]

    def addresses(self, entry: Item, name: str) -> tuple[str, ...] | None:
        """Addresses behind an a or mx term, or None where one of its hosts could not be asked for."""
        listed = texts_of(entry.get("addresses"))
        hosts: Words = (text_of(entry.get("target")),)
        if name == "mx":
            hosts = tuple(host for each in listed if (host := each.partition(" ")[2]) not in ("", "."))
        found: list[str] = []
        for host in hosts:
            for rdtype in ("A", "AAAA"):
                seen = self.facts.evidence.get(f"dns:{rdtype}:{host.rstrip('.').lower()}")
                if seen is None:
                    return None
                addresses = [line for line in seen.got if is_address(line)]
                if not addresses and not any(line.startswith(("NXDOMAIN:", "NODATA:")) for line in seen.got):
                    return None
                found += addresses
        return tuple(dict.fromkeys(found))

    def sending(self, *, passing: bool | None = None) -> tuple[tuple[str, str], ...]:
        """Sending addresses with what decided their result; those of another domain's record are left out."""
        if self.facts.value("spf.result_domain") != self.domain:
            return ()
        return tuple(
            (text_of(each.get("ip")), text_of(each.get("reason")))
            for each in records_of(self.facts.value("spf.results"))
            if is_address(text_of(each.get("ip"))) and (passing is None or (each.get("result") == "pass") is passing)
        )


def _rank(finding: Finding) -> tuple[int, str]:
    """The worst finding has the least."""
    return _SEVERITIES.index(finding.severity), finding.rule


def _reached(entry: Item | None) -> set[str]:
    """Targets of the includes below a term that every mail reaches that reaches the term, as long as none matches."""
    found: set[str] = set()
    queue = [entry.get("tree")] if entry and entry.get("status") == "ok" else []
    while queue and len(found) < MAX_NODES:
        node = queue.pop()
        if not isinstance(node, Mapping) or node.get("status") != "ok":
            continue
        for below in records_of(node.get("terms")):
            if below.get("qualifier") not in ("+", None):
                break
            include = below.get("mechanism") == "include" and below.get("status") == "ok"
            if include and text_of(below.get("target")) not in found:
                found.add(text_of(below.get("target")))
                queue.append(below.get("tree"))
    return found
