"""Whether the next step of the DMARC policy is safe, and when it can be at the earliest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from math import ceil

from deliverability.core.facts.base import FactSet, Unknown, Value, text_of
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.traffic import Gate, LeftOut, MessageSums, ReportPeriod, Traffic
from deliverability.core.model.observed import at_least_percent
from deliverability.core.model.report import TOPIC, Finding, GateAnswer, GateKind, Outcome
from deliverability.core.model.rules import All, Any, Compare, Condition, LimitRef, Op, RuleSet, Selection
from deliverability.core.model.topic import if_known
from deliverability.core.rules.claims import claims_of, left_out

_EVERYTHING = Selection()
_HIT = "traffic.hit"


def gate_of(
    facts: FactSet, findings: Iterable[Finding], rules: RuleSet, selection: Selection = _EVERYTHING
) -> GateAnswer | None:
    """The answer; None where there is no next policy to ask about, or nothing was read that could tell.

    The first question is whether the policy that is in force is safe.
    """
    findings = tuple(findings)
    if claims_of(rules).lack("policy-hits", {}, facts, {}) is None:
        about = [each for each in findings if each.outcome is Outcome.UNMET and _HIT in rules.rules[each.rule].reads]
        policy, hinge = if_known(facts.of(Dmarc).policy) or "", _hinge((), facts, rules)
        return GateAnswer(policy, GateKind.CANNOT_TELL if hinge else GateKind.HITS, tuple(about), hinge=hinge)
    to = if_known(facts.of(Gate).to)
    if not to or isinstance(facts.of(ReportPeriod).begin, Unknown):
        return None
    ours = [each for each in findings if each.topic == TOPIC]
    unmet = [each for each in ours if each.outcome is Outcome.UNMET]
    missing = tuple(each for each in unmet if each.waiver is None)
    unknown = tuple(each for each in ours if each.outcome is Outcome.UNKNOWN or each.waiver is not None)
    met = sum(each.outcome is Outcome.MET for each in ours)
    grounds: dict[str, Value] = {
        "judged.left_out": left_out((each.id for each in rules.rules.values() if each.topic == TOPIC), selection),
        "judged.met": met,
        "judged.open": len(unknown),
        "judged.hindering": len(missing),
    }
    lack = claims_of(rules).lack("gate-safe", grounds, facts, {})
    wrong = [each for each in missing if not rules.rules[each.rule].amount]
    read = if_known(facts.of(MessageSums).messages) != 0  # else no report counts, and nothing is known to be unsafe
    kind = GateKind.SAFE if lack is None else GateKind.NOT_YET if wrong and read else GateKind.CANNOT_TELL
    hinge = _hinge(wrong, facts, rules) if kind is GateKind.NOT_YET else ""
    return GateAnswer(to, GateKind.CANNOT_TELL if hinge else kind, missing, unknown, met, hinge)


_FEW = 10
"""Fewer messages that fail, by all reporters but one, are noise."""
_FAILING = frozenset(
    {"traffic.would_fail_percent", "traffic.own.aligned_low", "traffic.own.dkim_low", "traffic.small_failing"}
)


def _hinge(wrong: Sequence[Finding], facts: FactSet, rules: RuleSet) -> str:
    """The reporter that is not among the large ones and alone reports all that is wrong; empty: there is none."""
    traffic = facts.of(Traffic)
    seen = {each.key: each.failing_receivers for each in if_known(traffic.sources) or ()}
    for each in if_known(traffic.without) or ():
        few = each.reporters > 0 and each.messages > 0 and (bool(wrong) or each.failing < _FEW)

        def gone(finding: Finding, left: LeftOut = each) -> bool:
            rule = rules.rules[finding.rule]
            if rule.each == "traffic.sources":
                return seen.get(finding.item) == (left.reporter,)
            return left.failing < _FEW and not _FAILING.isdisjoint(rule.reads)

        if few and not each.large and all(map(gone, wrong)):
            return each.name
    return ""


def earliest(answer: GateAnswer, facts: FactSet, rules: RuleSet, *, today: date | None = None) -> date | None:
    """The first day on which all that is missing can be there, if it is corrected today; None: in no window this long.

    Assumes a report for each day from now on, and no late report for a day that is over. Never before `today`: the
    window ends with a day that is over. Time alone corrects what counts days. A share grows as days with failures
    leave the window; what only the user can answer takes no time.
    """
    end = if_known(facts.of(ReportPeriod).end) or ""
    if not end or not answer.missing:
        return None
    last = date.fromisoformat(end)
    coverage, days = dict.fromkeys(_COVERAGE, 0.0), [_rare_days(facts, last), 0]
    for each in answer.missing:
        if each.rule not in rules.rules:
            continue
        for path, wanted in _wanted(rules.rules[each.rule].require, answer.to, each.limits):
            if path in coverage and isinstance(wanted, (int, float)):
                coverage[path] = max(coverage[path], wanted)
            elif (needed := _days(path, wanted, each, facts)) is None:
                return None
            else:
                days.append(needed)
    if (covered := _until_covered(facts, coverage, max(days))) is None:
        return None
    day = last + timedelta(days=covered)
    return max(day, today or day)


def _wanted(condition: Condition, to: str, limits: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """The facts that have to reach something, where the policy `to` is asked about, and what."""
    match condition:
        case Compare(fact, Op.GE | Op.IN, operand):
            yield fact, limits.get(operand.name) if isinstance(operand, LimitRef) else operand
        case All(parts) | Any(parts):
            others = (each for each in parts if isinstance(each, Compare) and each.fact == "gate.to")
            if all(each.operand == to for each in others):
                for each in parts:
                    yield from _wanted(each, to, limits)


def _days(path: str, wanted: Value, finding: Finding, facts: FactSet) -> int | None:
    """Days until a fact reaches what is wanted; 0 where time does nothing for it, or it is there; None: never."""
    if isinstance(wanted, tuple):  # a stage, which comes by no waiting
        return 0 if facts.value(path) in wanted else None
    if not isinstance(wanted, (int, float)) or isinstance(wanted, bool):
        return 0
    now = finding.observed.get(path, facts.value(path) if not path.startswith("item.") else None)
    have = now if isinstance(now, (int, float)) else 0
    if have >= wanted:
        return 0
    if path in _BY_DAY:
        return ceil(wanted - have)
    if path == "traffic.own.messages":
        days, window = facts.of(ReportPeriod).span_days, len(if_known(facts.of(Traffic).volume) or ())
        rate = have / days if isinstance(days, int) and days else 0
        return ceil((wanted - have) / rate) if rate * window >= wanted else None
    if path == "item.recent_aligned_percent":
        last = text_of(finding.observed.get("item.last_unaligned"))
        end = if_known(facts.of(ReportPeriod).end) or ""
        return 14 - (date.fromisoformat(end) - date.fromisoformat(last)).days if last else 14
    if path == "traffic.own.aligned_low":
        return _until_share(facts, float(wanted))
    return 0


_COVERAGE = ("traffic.span_days", "traffic.days")
_BY_DAY = ("traffic.stage_days", "item.age_days")


def _until_covered(facts: FactSet, wanted: Mapping[str, float], least: int) -> int | None:
    """Days, `least` or more, until as much of the window as `wanted` has reports; None: the window is too short.

    Days with a report also leave the window as it moves on.
    """
    reported = [each.reported for each in if_known(facts.of(Traffic).volume) or ()]
    span, days = (wanted[path] for path in _COVERAGE)
    for passed in range(least, least + len(reported) + 1):
        window = [*reported, *[True] * passed][-len(reported) :]
        first = window.index(True) if True in window else len(window)
        if len(window) - first >= span and sum(window) >= days:
            return passed
    return None if span or days else least


def _until_share(facts: FactSet, wanted: float) -> int | None:
    """Days until the failures of own mail have left the window far enough, if nothing fails from now on."""
    volume = if_known(facts.of(Traffic).volume) or ()
    days = [(each.messages, each.aligned) for each in volume]
    total = sum(messages for messages, _ in days)
    each_day = total // max(1, sum(1 for messages, _ in days if messages))
    for passed in range(1, len(days) + 1):
        left = days[passed:]
        messages = sum(one for one, _ in left) + each_day * passed
        failed = sum(one - aligned for one, aligned in left)
        if (at_least_percent(messages - failed, messages) or 0) >= wanted:
            return passed
    return None


def _rare_days(facts: FactSet, last: date) -> int:
    """Days until the last of the rare runs that are still to come has been reported."""
    missing = facts.of(Gate).rare_missing
    dates = [date.fromisoformat(str(each)[:10]) for each in missing] if isinstance(missing, tuple) else []
    return max(((each - last).days for each in dates), default=0)
