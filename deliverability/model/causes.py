"""What a fleet run comes to: not findings but causes, as numbers and names. Made by runs.fleet.causes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


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


class DomainSummary(Struct, frozen=True):
    """How bad a domain is: its grade, how many rules of severity error and of warning it breaks, and its labels."""

    domain: str
    grade: str
    errors: int
    warnings: int
    failed: bool
    labels: Mapping[str, str]


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
        dead: include that leads nowhere -> domains; the most first.
        keys: by service, the most short ones first.
        silences: the most domains first.
        expiring: waivers that end within a month of `day`, the soonest first.
        labels: a table each.
        worst: the worst domains.
        day: the newest day of the run, ISO date.
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
    dead: Mapping[str, int]
    keys: tuple[KeySizes, ...]
    silences: tuple[Silence, ...]
    expiring: tuple[Expiring, ...]
    labels: tuple[LabelTable, ...]
    worst: tuple[DomainSummary, ...]
    day: str
    trend: FleetTrend | None = None
