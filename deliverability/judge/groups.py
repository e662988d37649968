"""Receivers of which the same is true for the same reasons, worst first."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from deliverability.judge.plan import effects_of, holders
from deliverability.model.answer import FindingId, PlanStep, ReceiverGroup
from deliverability.model.report import Consequence, Outcome, Report, Verdict, VerdictKind
from deliverability.model.rules import RuleSet, VolumeClass


def groups(report: Report, rules: RuleSet, plan: Sequence[PlanStep]) -> tuple[ReceiverGroup, ...]:
    """The groups of a report. The finding that the earliest step settles is named first."""
    settled = {each: step.number for step in reversed(plan) for each in step.findings}
    together: dict[ReceiverGroup, list[Verdict]] = {}
    for verdict in report.verdicts:
        together.setdefault(_alike(verdict, report, rules, settled), []).append(verdict)
    found = [_group(alike, verdicts, settled, plan) for alike, verdicts in together.items()]
    # Stable: receivers stand in their display order.
    found.sort(
        key=lambda each: (each.kind.rank, max((one.effect.rank for one in each.effects), default=0)), reverse=True
    )
    return tuple(
        replace(
            each, same_cause=bool(number and each.deciding[:1] and each.deciding[:1] == found[number - 1].deciding[:1])
        )
        for number, each in enumerate(found)
    )


def _alike(verdict: Verdict, report: Report, rules: RuleSet, settled: dict[FindingId, int]) -> ReceiverGroup:
    """What a receiver has in common with the others of its group."""
    deciding, small, bulk, number = _deciding(verdict), None, None, None
    if verdict.if_small is not None and verdict.if_bulk is not None:
        small, bulk = verdict.if_small.verdict, verdict.if_bulk.verdict
        number = rules.receivers[verdict.receiver].bulk_from
    first = {ident: place for place, ident in enumerate(dict.fromkeys(FindingId(e.rule, e.item) for e in deciding))}
    last = len(settled) + 1
    return ReceiverGroup(
        verdict.verdict,
        effects_of(replace(verdict, effects=deciding)) if verdict.verdict not in _WITHOUT_EFFECT else (),
        deciding=tuple(sorted(first, key=lambda each: (settled.get(each, last), first[each])))
        or tuple(FindingId(rule) for rule in verdict.missing if verdict.verdict is VerdictKind.DNS_PARTLY)
        or tuple(FindingId(rule) for each in verdict.lacks for rule in each.rules),
        small=small,
        bulk=bulk,
        bulk_from=number,
        bulk_only=_for_bulk_only(verdict, report),
        lacks=verdict.lacks if verdict.verdict is VerdictKind.DEPENDS or not deciding else (),
    )


_WITHOUT_EFFECT = frozenset({VerdictKind.CANNOT_TELL})


def _deciding(verdict: Verdict) -> tuple[Consequence, ...]:
    """What makes a verdict what it is; where it depends on the volume, what makes the worse one."""
    if verdict.if_small is None or verdict.if_bulk is None:
        return verdict.deciding
    worse = max(verdict.if_bulk, verdict.if_small, key=lambda case: case.verdict.rank)
    return replace(verdict, verdict=worse.verdict, effects=worse.effects).deciding


def _group(
    alike: ReceiverGroup, verdicts: Sequence[Verdict], settled: dict[FindingId, int], plan: Sequence[PlanStep]
) -> ReceiverGroup:
    receivers = tuple(each.receiver for each in verdicts)
    codes = (
        code
        for verdict in verdicts
        for each in _deciding(verdict)
        if each.outcome is Outcome.UNMET
        for code in each.codes
    )
    counted = [each.requirements for each in verdicts]
    held = frozenset[FindingId]().union(*(holders(each) for each in verdicts))
    helping = [
        step.number for step in plan if set(receivers) & {name for chip in step.gains for name in chip.receivers}
    ]
    helping += [settled[each] for each in held if each in settled]
    return replace(
        alike,
        receivers=receivers,
        codes=tuple(dict.fromkeys(codes)),
        step=min(helping, default=None),
        checked=sum(each.met + each.unmet for each in counted),
        met=sum(each.met for each in counted),
        remarks=len({each.rule for verdict in verdicts for each in verdict.remarks}),
    )


def _for_bulk_only(verdict: Verdict, report: Report) -> bool:
    """Whether DNS stands in the way of bulk senders only, where neither volume nor purpose tell which this one is."""
    if verdict.verdict is not VerdictKind.DNS_NOT_READY or not verdict.effects:
        return False
    deciding = holders(verdict)
    return all(
        judgement.volume is VolumeClass.BULK
        for finding in report.findings
        if finding.outcome is Outcome.UNMET and FindingId(finding.rule, finding.item) in deciding
        for judgement in finding.judgements
        if judgement.receiver == verdict.receiver and judgement.outcome is Outcome.UNMET and judgement.effect.hinders
    )
