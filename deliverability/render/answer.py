"""The answer of a report as JSON: the part `answer` of reports, and the steps of its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deliverability.model.answer import (
    FindingId,
    GuideStep,
    PlanStep,
    ReceiverEffect,
    ReceiverGroup,
    ReportAnswer,
    Tile,
)
from deliverability.model.claims import Lack
from deliverability.model.codec import encode, printable
from deliverability.model.facts import Value
from deliverability.model.report import RecordEdit

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def answer_json(answer: ReportAnswer) -> Json:
    """The answer in the shape of the report's schema."""
    return {
        "reach": answer.reach.value,
        "unanswered": [
            {"type": each.type, "name": printable(each.name), "unknown": encode(each.unknown)}
            for each in answer.unanswered
        ],
        "assumed": [
            {"input": each.input.value, "value": encode(each.value), "because": list(each.because)}
            for each in answer.assumed
        ],
        "groups": [_group(each) for each in answer.groups],
        "tiles": [_tile(each) for each in answer.tiles],
        "plan": [step_json(each) for each in answer.plan],
        "policy_waits": [each.value for each in answer.policy_waits],
        "guide": [_guide(each) for each in answer.guide],
        "waits": [
            {"input": each.input.value if each.input else "message", "findings": each.findings} for each in answer.waits
        ],
        "sends_nothing": answer.sends_nothing,
        "earned": [*sorted(answer.earned)],
    }


def step_json(step: PlanStep) -> dict[str, Json]:
    """A step of the plan."""
    return {
        "number": step.number,
        "task": step.task or None,
        "remedy": step.remedy or None,
        "place": step.place.value,
        "at": printable(step.at) or None,
        "services": list(step.services),
        "settles": _findings(step.findings),
        "values": encode(in_order(step.values)),
        "edits": [edit_json(each) for each in step.edits],
        "gains": [
            {
                "receivers": list(each.receivers),
                "before": each.before.value,
                "effects": _effects(each.effects),
                "after": each.after.value if each.after else None,
                "after_effects": _effects(each.after_effects),
                "with_steps": list(each.with_steps),
            }
            for each in step.gains
        ],
        "changes": [
            {"fact": each.path, "before": encode(each.before), "after": encode(each.after)} for each in step.changes
        ],
        "care": step.care.value,
        "condition": step.condition or None,
        "follows": list(step.follows),
        "scope": step.scope.value,
        "severity": step.severity.value,
        "beside": step.beside,
        "checked_at": printable(step.checked_at) or None,
        "folded": step.folded,
    }


def edit_json(edit: RecordEdit) -> Json:
    """A record set before and after."""
    return {
        "name": printable(edit.name),
        "type": edit.type,
        "old": [printable(value) for value in edit.old],
        "new": [printable(value) for value in edit.new],
    }


def _group(group: ReceiverGroup) -> Json:
    shape: dict[str, Json] = {
        "kind": group.kind.value,
        "effects": _effects(group.effects),
        "receivers": list(group.receivers),
        "deciding": _findings(group.deciding),
        "codes": list(group.codes),
        "step": group.step,
        "same_cause": group.same_cause,
        "bulk_only": group.bulk_only,
        "requirements": {"checked": group.checked, "met": group.met, "remarks": group.remarks},
        "lacks": [lack_json(each) for each in group.lacks],
    }
    if group.small is not None and group.bulk is not None:
        shape |= {"small": group.small.value, "bulk": group.bulk.value, "bulk_from": group.bulk_from}
    return shape


def _tile(tile: Tile) -> Json:
    shape: dict[str, Json] = {
        "topic": tile.topic.value,
        "state": tile.state.value,
        "facts": encode(in_order(tile.facts)),
        "services": list(tile.services),
        "findings": _findings(tile.findings),
        "step": tile.step,
        "inbound": tile.inbound,
    }
    if tile.lack is not None:
        shape["lack"] = lack_json(tile.lack)
    return shape | {"why": encode(tile.why)} if tile.why is not None else shape


def lack_json(lack: Lack) -> Json:
    """What keeps a good statement from being made."""
    shape: dict[str, Json] = {"claim": lack.claim, "requirement": lack.requirement, "rules": list(lack.rules)}
    return shape | {"unknown": encode(lack.unknown)} if lack.unknown is not None else shape


def _guide(step: GuideStep) -> Json:
    shape: dict[str, Json] = {
        "key": step.key,
        "state": step.state.value,
        "because": step.because.value,
        "steps": list(step.steps),
        "findings": _findings(step.findings),
    }
    return shape | {"unknown": encode(step.unknown)} if step.unknown is not None else shape


def _findings(findings: Iterable[FindingId]) -> list[Json]:
    return [{"rule": each.rule, "item": printable(each.item)} for each in findings]


def _effects(effects: Iterable[ReceiverEffect]) -> list[Json]:
    return [{"effect": each.effect.value, "contested": each.contested} for each in effects]


def in_order(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """The same, sorted by name."""
    return {key: values[key] for key in sorted(values)}
