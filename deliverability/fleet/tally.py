"""Counts the rows of a fleet run as they come, in little memory, and what they come to."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Any

from msgspec import Struct

from deliverability.core.model.deliveries import Audience
from deliverability.core.model.report import GRADES, Outcome, VerdictKind
from deliverability.core.model.rules import Severity
from deliverability.core.protocols.psl import registered_domain
from deliverability.fleet.shards import FleetRow


class CauseKind(StrEnum):
    """What domains that break the same rule have in common.

    INCLUDE: an include or redirect of their SPF records; ``*.example.com`` stands for those of a vendor that has a name
    for each customer. SERVICE: a sending service (rules/senders). NAME_SERVERS: the registered domain of their name
    servers.
    """

    INCLUDE = "include"
    SERVICE = "service"
    NAME_SERVERS = "name-servers"


class RuleCount(Struct, frozen=True):
    """How many domains a rule is met, unmet and not to be checked at; those it does not apply to are left out.

    `severity`: the worst that it has at any domain; empty where it is unmet nowhere.
    """

    rule: str
    severity: str
    unmet: int
    met: int
    unchecked: int

    @property
    def applies(self) -> int:
        """Domains that it could be judged for."""
        return self.unmet + self.met


class IncludeCost(Struct, frozen=True):
    """An include, and the domains with more than ten look-ups.

    Attributes:
        target: the name.
        lookups: what it costs, the most that was seen.
        users: domains that include it.
        broken: of them, with more than ten look-ups.
        caused: of these, those that are put down to it: they mend without it, and of the includes of which that is so,
            it is the one whose users break most often. So every domain counts once.
        mends: ``mends[k - 1]``: domains that come down to ten if it costs k look-ups less, to the last of which it is
            taken away.

    """

    target: str
    lookups: int
    users: int
    broken: int
    caused: int
    mends: tuple[int, ...]


class LookupCauses(Struct, frozen=True):
    """Why domains have more than ten SPF look-ups.

    Attributes:
        known: domains whose look-ups could be counted.
        broken: of them, with more than ten.
        own: of these, put down to no single include: taking away any one of them is not enough.
        includes: the worst first; those that break no domain are left out.

    """

    known: int
    broken: int
    own: int
    includes: tuple[IncludeCost, ...]


class CauseGroup(Struct, frozen=True):
    """Domains that break one rule more often than others, and what they share.

    Attributes:
        rule: rule id.
        kind, name: what they share.
        users: domains that share it.
        unmet: of them, those that break the rule.
        elsewhere: of all other domains, those that break it.
        others: how many others there are.

    """

    rule: str
    kind: CauseKind
    name: str
    users: int
    unmet: int
    elsewhere: int
    others: int


class FreeName(Struct, frozen=True):
    """A name that somebody else could register (takeover.names), and how many domains rest on it.

    Attributes:
        name: the domain, or the name at a service.
        uses: what for, see takeover.names[].use.
        domains: how many.
        service: the service at which it would be taken; empty: it is registered at a registry.

    """

    name: str
    uses: tuple[str, ...]
    domains: int
    service: str = ""


class SharedKey(Struct, frozen=True):
    """A DKIM key that several owners publish: whoever has it signs for all of them.

    Attributes:
        name: where it stands at the first of the domains that have it.
        domains: how many.

    """

    name: str
    domains: int


class KeySizes(Struct, frozen=True):
    """RSA keys of a service ("": of no known one); `short` of them are below 2048 bits, at so many `domains`."""

    service: str
    keys: int
    short: int
    domains: int


class Silence(Struct, frozen=True):
    """Domains that could not be checked entirely for one reason.

    Attributes:
        name: whose servers fail: the registered domain of the name servers where these are known; else that of the
            name asked for, where several domains ask for it (a vendor's); "": their own, each another.
        reason: see model.facts.Reason.
        domains: how many.
        servers: the name servers, where known; at most three.

    """

    name: str
    reason: str
    domains: int
    servers: tuple[str, ...] = ()


class Expiring(Struct, frozen=True):
    """A waiver that ends within a month."""

    domain: str
    rule: str
    item: str
    until: str


UNDECIDED = frozenset({VerdictKind.CANNOT_TELL.value, VerdictKind.DNS_PARTLY.value, ""})
HINDERING = frozenset({VerdictKind.REJECTED.value, VerdictKind.DNS_NOT_READY.value})
"""Verdicts under which recipients get no mail."""


class FleetAudience(Struct, frozen=True):
    """Whom the mail of all domains goes to.

    Attributes:
        recipients: by receiver.
        domains: domains that cannot reach all of them: a receiver refuses their mail, or DNS stands in the way.
        most: the most recipients that one of these domains cannot reach.

    """

    recipients: Audience
    domains: int
    most: int


class DomainSummary(Struct, frozen=True):
    """How bad a domain is: its grade, how many rules of severity error and of warning it breaks, and its labels.

    `unreached`: the recipients of its mail at receivers that refuse it, or where DNS stands in the way; None: nobody
    said who they are, or none is known to be and not every receiver was decided.
    """

    domain: str
    grade: str
    errors: int
    warnings: int
    failed: bool
    labels: Mapping[str, str]
    unreached: int | None = None


class LabelValue(Struct, frozen=True):
    """The domains with one value of a label: how many, of them with an error, with each grade, not checked entirely."""

    value: str
    domains: int
    erring: int
    failed: int
    grades: Mapping[str, int]


class LabelTable(Struct, frozen=True):
    """The worst values of a label; `values` is how many there are in all."""

    label: str
    values: int
    worst: tuple[LabelValue, ...]


class RuleTrend(Struct, frozen=True):
    """Domains at which a rule is unmet now and was not before, and the other way round; of those in both runs."""

    rule: str
    new: int
    mended: int


class CauseTrend(Struct, frozen=True):
    """Domains that have come over ten look-ups by an include, or back below, and what it cost before and costs now.

    Cost None: nobody included it.
    """

    target: str
    new: int
    mended: int
    before: int | None
    now: int | None


class FleetTrend(Struct, frozen=True):
    """What changed since an older run.

    Attributes:
        both: domains that are in both runs.
        added, gone: domains that are in one only.
        rules: those that changed at any domain, most changes first.
        includes: see CauseTrend; most changes first.
        dead: includes that lead nowhere now and did not: name -> domains.
        revived: includes that led nowhere: name -> domains then.
        stages: (before, now) -> domains, where the DMARC stage changed.

    """

    both: int
    added: int
    gone: int
    rules: tuple[RuleTrend, ...]
    includes: tuple[CauseTrend, ...]
    dead: Mapping[str, int]
    revived: Mapping[str, int]
    stages: Mapping[tuple[str, str], int]


class FleetCauses(Struct, frozen=True):
    """A fleet in numbers.

    Attributes:
        domains: how many are done.
        failed: of them, those that could not be checked entirely.
        parked: of them, those that send nothing.
        grades: grade -> domains.
        stages: DMARC stage -> domains; "" where it could not be told.
        receivers: receiver id -> verdict -> domains.
        rules: those that apply anywhere, the most often unmet first.
        lookups: see LookupCauses.
        groups: see CauseGroup; the largest excess first.
        takeover: names that somebody else could register; what several domains rest on first.
        dead: include that leads nowhere -> domains; the most first.
        keys: by service, the most short ones first.
        shared_keys: keys that several owners publish themselves, those at the most domains first.
        silences: the most domains first.
        expiring: waivers that end within a month of `day`, the soonest first.
        labels: a table each.
        worst: the worst domains.
        day: the newest day of the run, ISO date.
        audience: see FleetAudience; None: nobody said whom the mail goes to.
        trend: against an older run; None where none was given.

    """

    domains: int
    failed: int
    parked: int
    grades: Mapping[str, int]
    stages: Mapping[str, int]
    receivers: Mapping[str, Mapping[str, int]]
    rules: tuple[RuleCount, ...]
    lookups: LookupCauses
    groups: tuple[CauseGroup, ...]
    takeover: tuple[FreeName, ...]
    dead: Mapping[str, int]
    keys: tuple[KeySizes, ...]
    shared_keys: tuple[SharedKey, ...]
    silences: tuple[Silence, ...]
    expiring: tuple[Expiring, ...]
    labels: tuple[LabelTable, ...]
    worst: tuple[DomainSummary, ...]
    day: str
    audience: FleetAudience | None = None
    trend: FleetTrend | None = None


LOOKUP_LIMIT = 10
"""RFC 7208 section 4.6.4."""
SHORT_KEY = 2048
"""RSA keys below this are short, bits."""
WORST = 50
"""Domains, and values of a label, that are listed."""

SpfCosts = tuple[int, tuple[tuple[str, int], ...]]
"""Look-ups of a record, and what each of its includes costs."""
Trait = tuple[CauseKind, str]


class Names:
    """Names by number, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def number(self, name: Any) -> int:
        """The number of a name, a new one where it is met for the first time."""
        return self._numbers.setdefault(name, len(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Any]:
        """In the order of the numbers."""
        return iter(self._numbers)


class Sets:
    """For each domain a set of small numbers, one after the other."""

    def __init__(self, code: str) -> None:
        self._values = array(code)
        self._ends = array("L")

    def add(self, values: Iterable[int]) -> None:
        """That of the next domain."""
        self._values.extend(values)
        self._ends.append(len(self._values))

    def __getitem__(self, domain: int) -> array[int]:
        return self._values[self._ends[domain - 1] if domain else 0 : self._ends[domain]]


class Tally:
    """What was counted so far. With `compared`, also what a comparison with another run needs."""

    def __init__(self, *, compared: bool = False, audience: Audience | None = None) -> None:
        self._compared = compared
        self._audience = audience
        self.hindered = self.most = 0
        self.domains: list[str] = []
        self.count = self.failed = self.parked = 0
        self.grades: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()
        self.receivers: dict[str, Counter[str]] = {}
        self.rules = Names()
        self.severities: dict[int, Severity] = {}
        self.met: Counter[int] = Counter()
        self.unmet: Counter[int] = Counter()
        self.unchecked: Counter[int] = Counter()
        self.traits = Names()
        self.traits_of = Sets("L")
        self.unmet_of, self.met_of, self.unchecked_of = Sets("H"), Sets("H"), Sets("H")
        self.lookups_known = 0
        self.users: Counter[str] = Counter()
        self.services_of: dict[str, set[str]] = {}
        self.costs: dict[str, int] = {}
        self.signatures: Counter[SpfCosts] = Counter()
        self.lookups_of: array[int] = array("h")
        self.signature_of: dict[int, SpfCosts] = {}
        self.stage_of: list[str] = []
        self.dead: Counter[str] = Counter()
        self.free: dict[str, tuple[str, set[str], list[int]]] = {}
        self.keys: dict[str, list[int]] = {}
        self.key_at: dict[int, tuple[str, str]] = {}
        self.shared_keys: dict[int, list[int]] = {}
        self.silences: dict[tuple[str, str], tuple[Counter[str], list[int]]] = {}
        self.waivers: list[Expiring] = []
        self.labels: dict[str, dict[str, list[int]]] = {}
        self._worst: list[tuple[tuple[int, int, int, int], DomainSummary]] = []

    def add(self, row: FleetRow) -> None:
        """Count one domain."""
        self.count += 1
        self.failed += row.failed
        self.parked += row.parked
        self.grades[row.grade] += 1
        for receiver, verdict in row.verdicts.items():
            self.receivers.setdefault(receiver, Counter())[verdict] += 1
        if unreached := self._unreached(row):
            self.hindered += 1
            self.most = max(self.most, unreached)
        stage = row.facts.get("dmarc.stage")
        stage = stage if isinstance(stage, str) else ""
        self.stages[stage] += 1
        self._rules(row)
        self._spf(row)
        self._free(row)
        self._keys(row)
        self._shared_keys(row)
        self._silence(row)
        for each in records(row, "subject.waivers"):
            if each.get("until") and not each.get("expired"):
                self.waivers.append(
                    Expiring(row.domain, str(each["rule"]), str(each.get("item") or ""), str(each["until"]))
                )
        if self._compared:
            self.domains.append(row.domain)
            self.stage_of.append(stage)

    @property
    def worst(self) -> tuple[DomainSummary, ...]:
        """The worst domains, the worst first."""
        return tuple(summary for _, summary in sorted(self._worst, reverse=True))

    def _unreached(self, row: FleetRow) -> int | None:
        if self._audience is None:
            return None
        found = {each: row.verdicts.get(each, "") for each in self._audience.receivers}
        unreached = sum(self._audience.receivers[each].recipients for each, kind in found.items() if kind in HINDERING)
        # None that is known to be out of reach is no good news where not everything was decided.
        return unreached or (None if UNDECIDED & set(found.values()) else 0)

    def _rules(self, row: FleetRow) -> None:
        number = self.rules.number
        unmet: set[int] = set()
        unchecked: set[int] = set()
        errors: set[int] = set()
        warnings: set[int] = set()
        for each in row.findings:
            rule = number(each.rule)
            if each.outcome != Outcome.UNMET:
                unchecked.add(rule)
            elif not each.waiver:
                unmet.add(rule)
                severity = Severity(each.severity)
                if severity.rank > self.severities.get(rule, Severity.NONE).rank:
                    self.severities[rule] = severity
                if severity is Severity.ERROR:
                    errors.add(rule)
                elif severity is Severity.WARNING:
                    warnings.add(rule)
        unchecked -= unmet
        met = set(map(number, row.met)) - unmet - unchecked
        self.unmet.update(unmet)
        self.unchecked.update(unchecked)
        self.met.update(met)
        self.unmet_of.add(unmet)
        if self._compared:
            self.met_of.add(met)
            self.unchecked_of.add(unchecked)
        rank = GRADES.find(row.grade) if row.grade else -1
        bad = (rank, len(errors), len(warnings), -self.count)
        if len(self._worst) < WORST or bad > self._worst[0][0]:
            numbers = (len(errors), len(warnings))
            summary = DomainSummary(row.domain, row.grade, *numbers, row.failed, row.labels, self._unreached(row))
            (heapq.heappush if len(self._worst) < WORST else heapq.heapreplace)(self._worst, (bad, summary))
        for label, value in row.labels.items():
            counts = self.labels.setdefault(label, {}).setdefault(value, [0] * (3 + len(GRADES)))
            counts[0] += 1
            counts[1] += bool(errors)
            counts[2] += row.failed
            if rank >= 0:
                counts[3 + rank] += 1

    def _spf(self, row: FleetRow) -> None:
        lookups = row.facts.get("spf.lookups")
        own = f".{row.domain}"
        costs: dict[str, int] = {}
        for each in records(row, "spf.include_costs"):
            target, cost = str(each["target"]), each["lookups"]
            if isinstance(cost, int) and not f".{target}".endswith(own):
                costs[target] = costs.get(target, 0) + cost
        known = lookups if isinstance(lookups, int) else -1
        if known >= 0:
            self.lookups_known += 1
            for target, cost in costs.items():
                self.users[target] += 1
                self.costs[target] = max(cost, self.costs.get(target, 0))
        if known > LOOKUP_LIMIT:
            signature = (known, tuple(sorted(costs.items())))
            self.signatures[signature] += 1
            if self._compared:
                self.signature_of[self.count - 1] = signature
        if self._compared:
            self.lookups_of.append(min(known, 0x7FFF))
        dead = row.facts.get("spf.broken_includes")
        if isinstance(dead, list):
            self.dead.update({str(each) for each in dead})
        traits = {(CauseKind.INCLUDE, target) for target in costs}
        for each in records(row, "senders.services"):
            traits.add((CauseKind.SERVICE, str(each["id"])))
            for term in each.get("spf_terms") or ():
                self.services_of.setdefault(str(term).partition(":")[2], set()).add(str(each["id"]))
        if row.name_servers:
            traits.add((CauseKind.NAME_SERVERS, owner(row.name_servers[0])))
        self.traits_of.add(map(self.traits.number, traits))

    def _free(self, row: FleetRow) -> None:
        """The names that somebody else could register; each counts once a domain, whatever it is used for."""
        seen: set[str] = set()
        for each in records(row, "takeover.names"):
            if each.get("free") is True:
                name = str(each["domain"])
                _, uses, domains = self.free.setdefault(name, (str(each.get("service") or ""), set(), [0]))
                uses.add(str(each["use"]))
                domains[0] += name not in seen
                seen.add(name)

    def _keys(self, row: FleetRow) -> None:
        services = {
            selector: str(each["id"])
            for each in records(row, "senders.services")
            for selector in each.get("selectors") or ()
        }
        seen: set[str] = set()
        for key in records(row, "dkim.keys"):
            bits = key.get("bits")
            if key.get("present") is not True or key.get("type") != "rsa" or not isinstance(bits, int):
                continue
            service = services.get(str(key["selector"]), "")
            counts = self.keys.setdefault(service, [0, 0, 0])
            counts[0] += 1
            if bits < SHORT_KEY:
                counts[1] += 1
                counts[2] += service not in seen
                seen.add(service)

    def _shared_keys(self, row: FleetRow) -> None:
        """Keys that were met at another owner's domain; what a service holds for its customers (CNAME) is its own."""
        seen: set[int] = set()
        for key in records(row, "dkim.keys"):
            text = key.get("fingerprint")
            if not isinstance(text, str) or key.get("alias") or key.get("revoked") or key.get("own") is not True:
                continue
            fingerprint = int(text[:16], 16)
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            name = f"{key['selector']}._domainkey.{key['domain']}"
            first, _ = self.key_at.setdefault(fingerprint, (row.domain, name))
            counts = self.shared_keys.get(fingerprint)
            if counts is not None:
                counts[0] += 1
            elif registered_domain(first) != registered_domain(row.domain):
                self.shared_keys[fingerprint] = [2]

    def _silence(self, row: FleetRow) -> None:
        """Whose servers failed: those of the domain itself, or of a name that it leads to."""
        if not row.failed:
            return
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for each in row.unchecked:
            name = each.asked.rpartition(" ")[2].rstrip(".").lower()
            if f".{name}".endswith(f".{row.domain}"):
                servers = row.name_servers or ()
                found[owner(servers[0]) if servers else "", each.reason] = servers
            else:
                found.setdefault((owner(name), each.reason), ())
        for key, servers in (found or {("", ""): ()}).items():
            named, domains = self.silences.setdefault(key, (Counter(), [0]))
            named.update(servers)
            domains[0] += 1


def records(row: FleetRow, path: str) -> list[Mapping[str, Any]]:
    """The records of a fact that was kept; none where it is unknown."""
    value = row.facts.get(path)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


@cache
def owner(name: str) -> str:
    """The registered domain of a name."""
    return registered_domain(name)
