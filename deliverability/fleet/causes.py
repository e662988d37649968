"""From counts to causes: what the domains that break a rule have in common, and what one change would mend."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from datetime import date, timedelta

from deliverability.core.model.deliveries import Audience
from deliverability.core.model.report import GRADES
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.fleet.shards import FleetRow
from deliverability.fleet.tally import (
    LOOKUP_LIMIT,
    WORST,
    CauseGroup,
    CauseKind,
    CauseTrend,
    Expiring,
    FleetAudience,
    FleetCauses,
    FleetTrend,
    FreeName,
    IncludeCost,
    KeySizes,
    LabelTable,
    LabelValue,
    LookupCauses,
    RuleCount,
    RuleTrend,
    SharedKey,
    Silence,
    SpfCosts,
    Tally,
    Trait,
    owner,
)

_SHARED = 3  # users from which on an include is a name that customers share
_DOUBT = 5  # users that break nothing, added to every include: of few users little is known
_ROUNDS = 10
_LEAST = 5  # domains of a group
_GROUPS_A_RULE = 5
_GROUPS = 100
_LISTED = 100  # includes, silences, changes
_MONTH = timedelta(days=31)


def causes(
    rows: Iterable[FleetRow],
    rules: RuleSet,
    day: str,
    older: Iterable[FleetRow] | None = None,
    audience: Audience | None = None,
) -> FleetCauses:
    """The causes of a run; `day` (ISO date) is the newest of it. Rows are read once, as they come."""
    tally = Tally(compared=older is not None, audience=audience)
    for row in rows:
        tally.add(row)
    blame = _Blame(tally)
    trend = None
    if older is not None:
        before = Tally(compared=True)
        for row in older:
            before.add(row)
        trend = _trend(before, tally, blame)
    return FleetCauses(
        domains=tally.count,
        failed=tally.failed,
        parked=tally.parked,
        grades={grade: tally.grades[grade] for grade in GRADES if tally.grades[grade]},
        stages=dict(tally.stages),
        receivers={receiver: dict(verdicts) for receiver, verdicts in tally.receivers.items()},
        rules=_rules(tally),
        lookups=_lookups(tally, blame),
        groups=_groups(tally, blame, rules),
        takeover=_takeover(tally),
        dead=dict(tally.dead.most_common(_LISTED)),
        keys=_keys(tally),
        shared_keys=_shared_keys(tally),
        silences=_silences(tally),
        expiring=_expiring(tally, day),
        labels=tuple(_label(label, values) for label, values in tally.labels.items()),
        worst=tally.worst,
        day=day,
        audience=None if audience is None else FleetAudience(audience, tally.hindered, tally.most),
        trend=trend,
    )


def _rules(tally: Tally) -> tuple[RuleCount, ...]:
    made = [
        RuleCount(rule, tally.severities.get(n, ""), tally.unmet[n], tally.met[n], tally.unchecked[n])
        for n, rule in enumerate(tally.rules)
    ]
    return tuple(sorted(made, key=lambda each: (-each.unmet, -each.unchecked, each.rule)))


# --- more than ten look-ups -----------------------------------------------------------------------------------------


class _Blame:
    """Which include a domain with too many look-ups is put down to."""

    def __init__(self, tally: Tally) -> None:
        self._called = {target: _called(target, users) for target, users in tally.users.items()}
        self.users: Counter[str] = Counter()
        self.costs: dict[str, int] = {}
        for target, users in tally.users.items():
            name = self._called[target]
            self.users[name] += users
            self.costs[name] = max(self.costs.get(name, 0), tally.costs[target])
        self.broken: Counter[str] = Counter()
        for (_, costs), domains in tally.signatures.items():
            for name in {self._called[target] for target, _ in costs}:
                self.broken[name] += domains
        self._weights: dict[str, float] = dict.fromkeys(self.broken, 1.0)
        for _ in range(_ROUNDS):
            self._weigh(tally)
        self.caused: Counter[str] = Counter()
        for signature, domains in tally.signatures.items():
            self.caused[self.of(signature)] += domains

    def _weigh(self, tally: Tally) -> None:
        """One round of expectation and maximization: each domain is shared out among the includes that are enough.

        Their weights tell by how much, and what an include gets tells its weight. An include that many have, sound
        domains too, so loses what vendors account for that few others have.
        """
        got: dict[str, float] = {}
        for (lookups, costs), domains in tally.signatures.items():
            enough = [name for name, _ in self._enough(lookups, costs)]
            total = sum(self._weights[name] for name in enough)
            for name in enough if total else ():
                got[name] = got.get(name, 0.0) + domains * self._weights[name] / total
        self._weights = {name: got.get(name, 0.0) / (self.users[name] + _DOUBT) for name in self.broken}

    def _enough(self, lookups: int, costs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """The includes without which so many look-ups come down to ten, and what they cost."""
        return [(self.name(target), cost) for target, cost in costs if lookups - cost <= LOOKUP_LIMIT]

    def name(self, target: str) -> str:
        """What an include is called: itself, or what its vendor's names have in common."""
        return self._called.get(target) or _called(target, 0)

    def of(self, signature: SpfCosts) -> str:
        """The include that a domain is put down to; empty where no single one is enough."""
        enough = self._enough(*signature)
        return max(enough, key=lambda each: (self._weights.get(each[0], 0), each[1], each[0]), default=("", 0))[0]


def _called(target: str, users: int) -> str:
    """``*.example.com`` for names that are made for one customer each."""
    return target if users >= _SHARED else f"*.{owner(target)}"


def _lookups(tally: Tally, blame: _Blame) -> LookupCauses:
    mends: dict[str, list[int]] = {}
    for signature, domains in tally.signatures.items():
        lookups, costs = signature
        for target, cost in costs:
            needed = lookups - LOOKUP_LIMIT
            saved = mends.setdefault(blame.name(target), [])
            saved += [0] * (cost - len(saved))
            for less in range(needed, cost + 1):
                saved[less - 1] += domains
    includes = [
        IncludeCost(name, blame.costs[name], blame.users[name], broken, blame.caused[name], _growing(mends[name]))
        for name, broken in blame.broken.items()
    ]
    includes.sort(key=lambda each: (-each.caused, -each.broken, each.target))
    return LookupCauses(
        tally.lookups_known, sum(tally.signatures.values()), blame.caused[""], tuple(includes[:_LISTED])
    )


def _growing(mends: Iterable[int]) -> tuple[int, ...]:
    """Who mends with k look-ups less mends with more, also where the include costs others less than that."""
    found: list[int] = []
    for each in mends:
        found.append(max(each, found[-1] if found else 0))
    return tuple(found)


# --- what breaks rules together -------------------------------------------------------------------------------------


def _groups(tally: Tally, blame: _Blame, rules: RuleSet) -> tuple[CauseGroup, ...]:
    traits, numbers = _shared_traits(tally, blame)
    services: dict[str, set[str]] = {}
    for target, known in tally.services_of.items():
        services.setdefault(blame.name(target), set()).update(known)
    named = {*tally.dead, *(name for name, caused in blame.caused.items() if caused >= _LEAST)}
    width = len(tally.rules)
    users = [0] * len(traits)
    counts = array("L", bytes(array("L").itemsize * len(traits) * width))
    for domain in range(tally.count):
        unmet = tally.unmet_of[domain]
        for trait in {numbers[each] for each in tally.traits_of[domain]} - {-1}:
            users[trait] += 1
            start = trait * width
            for rule in unmet:
                counts[start + rule] += 1
    found: list[tuple[float, CauseGroup]] = []
    for number, rule in enumerate(tally.rules):
        severity = tally.severities.get(number, Severity.NONE)
        if severity.rank >= Severity.WARNING.rank and not (rule in rules.rules and rules.rules[rule].information):
            unmet_by = [counts[trait * width + number] for trait in range(len(traits))]
            of_rule = _groups_of(rule, tally.unmet[number], tally.count, traits, users, unmet_by)
            found += _once(of_rule, services, named)[:_GROUPS_A_RULE]
    found.sort(key=lambda each: -each[0])
    return tuple(group for _, group in found[:_GROUPS])


def _shared_traits(tally: Tally, blame: _Blame) -> tuple[list[Trait], list[int]]:
    """What several domains share, and for each number of the tally its place there, or -1."""
    named = [(kind, blame.name(name) if kind is CauseKind.INCLUDE else name) for kind, name in tally.traits]
    users: Counter[Trait] = Counter()
    for domain in range(tally.count):
        users.update({named[each] for each in tally.traits_of[domain]})
    traits = [trait for trait, count in users.items() if count >= _LEAST]
    places = {trait: place for place, trait in enumerate(traits)}
    return traits, [places.get(trait, -1) for trait in named]


def _groups_of(
    rule: str, total: int, domains: int, traits: list[Trait], users: list[int], unmet: list[int]
) -> list[tuple[float, CauseGroup]]:
    """The groups of one rule with how many more domains break it than would if they were as the others are."""
    found: list[tuple[float, CauseGroup]] = []
    for (kind, name), sharing, breaking in zip(traits, users, unmet, strict=True):
        others, elsewhere = domains - sharing, total - breaking
        if breaking < max(_LEAST, total // 200) or not others:
            continue
        usual = elsewhere / others
        excess = breaking - sharing * usual
        # Of thousands of pairs some stand out by chance alone.
        if breaking / sharing >= max(2 * usual, 0.1) and excess >= 4 + 4 * math.sqrt(sharing * usual):
            found.append((excess, CauseGroup(rule, kind, name, sharing, breaking, elsewhere, others)))
    found.sort(key=lambda each: -each[0])
    return found


def _once(
    found: list[tuple[float, CauseGroup]], services: Mapping[str, Set[str]], named: Set[str]
) -> list[tuple[float, CauseGroup]]:
    """Without includes that the report tells of elsewhere (`named`), or that are a service of another group."""
    known = {group.name for _, group in found if group.kind is CauseKind.SERVICE}
    return [
        (excess, group)
        for excess, group in found
        if group.kind is not CauseKind.INCLUDE or not (group.name in named or known & services.get(group.name, set()))
    ]


# --- the rest -------------------------------------------------------------------------------------------------------


def _takeover(tally: Tally) -> tuple[FreeName, ...]:
    made = [
        FreeName(name, tuple(sorted(uses)), domains, service)
        for name, (service, uses, (domains,)) in tally.free.items()
    ]
    return tuple(sorted(made, key=lambda each: (-each.domains, each.name))[:_LISTED])


def _keys(tally: Tally) -> tuple[KeySizes, ...]:
    made = [KeySizes(service, keys, short, domains) for service, (keys, short, domains) in tally.keys.items()]
    return tuple(sorted(made, key=lambda each: (-each.short, -each.keys, each.service)))


def _shared_keys(tally: Tally) -> tuple[SharedKey, ...]:
    made = [SharedKey(tally.key_at[key][1], domains) for key, (domains,) in tally.shared_keys.items()]
    return tuple(sorted(made, key=lambda each: (-each.domains, each.name))[:_LISTED])


def _silences(tally: Tally) -> tuple[Silence, ...]:
    made = [
        Silence(name, reason, domains, tuple(server for server, _ in servers.most_common(3)))
        for (name, reason), (servers, (domains,)) in tally.silences.items()
    ]
    return tuple(sorted(made, key=lambda each: (-each.domains, each.name, each.reason))[:_LISTED])


def _expiring(tally: Tally, day: str) -> tuple[Expiring, ...]:
    if not tally.waivers:
        return ()
    last = (date.fromisoformat(day) + _MONTH).isoformat()
    return tuple(sorted((each for each in tally.waivers if each.until <= last), key=lambda each: each.until)[:_LISTED])


def _label(label: str, values: Mapping[str, list[int]]) -> LabelTable:
    made = [
        LabelValue(value, domains, erring, failed, {g: n for g, n in zip(GRADES, grades, strict=True) if n})
        for value, (domains, erring, failed, *grades) in values.items()
    ]
    made.sort(key=lambda each: (-each.erring, -each.failed, each.value))
    return LabelTable(label, len(made), tuple(made[:WORST]))


# --- against an older run -------------------------------------------------------------------------------------------


def _trend(before: Tally, now: Tally, blame: _Blame) -> FleetTrend:
    older = _Blame(before)
    places = {domain: place for place, domain in enumerate(before.domains)}
    old_rules, rules = list(before.rules), list(now.rules)
    new: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    over: Counter[str] = Counter()
    under: Counter[str] = Counter()
    stages: Counter[tuple[str, str]] = Counter()
    both = 0
    for place, domain in enumerate(now.domains):
        old = places.get(domain)
        if old is None:
            continue
        both += 1
        was = {old_rules[each] for each in before.unmet_of[old]}
        unsure = {old_rules[each] for each in before.unchecked_of[old]}
        new.update({rules[each] for each in now.unmet_of[place]} - was - unsure)
        mended.update(was & {rules[each] for each in now.met_of[place]})
        if before.stage_of[old] and now.stage_of[place] and before.stage_of[old] != now.stage_of[place]:
            stages[before.stage_of[old], now.stage_of[place]] += 1
        had, has = before.lookups_of[old], now.lookups_of[place]
        if 0 <= had <= LOOKUP_LIMIT < has:
            over[blame.of(now.signature_of[place])] += 1
        elif 0 <= has <= LOOKUP_LIMIT < had:
            under[older.of(before.signature_of[old])] += 1
    changed = sorted({*new, *mended}, key=lambda rule: (-new[rule] - mended[rule], rule))
    includes = sorted({*over, *under}, key=lambda name: (-over[name] - under[name], name))
    return FleetTrend(
        both=both,
        added=now.count - both,
        gone=before.count - both,
        rules=tuple(RuleTrend(rule, new[rule], mended[rule]) for rule in changed),
        includes=tuple(
            CauseTrend(name, over[name], under[name], older.costs.get(name), blame.costs.get(name))
            for name in includes[:_LISTED]
        ),
        dead={name: count for name, count in now.dead.most_common(_LISTED) if name not in before.dead},
        revived={name: count for name, count in before.dead.most_common(_LISTED) if name not in now.dead},
        stages=dict(stages.most_common()),
    )
