"""Several receivers taken as one: for each rule the hardest reading that any of them has.

May import model and judge.conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deliverability.judge.conditions import comparisons_of
from deliverability.model.facts import Value
from deliverability.model.rules import Confidence, Effect, LimitRef, Op, Override, Receiver, Rule, Severity, VolumeClass

_HARDEST_EFFECT = (Effect.NOTE, Effect.RISK, Effect.REJECT)
_SUREST = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
_SMALLER_IS_TIGHTER = (Op.LE, Op.LT)
_GREATER_IS_TIGHTER = (Op.GE, Op.GT)


class CombineError(Exception):
    """Two receivers have limits of which neither is the tighter one."""


def hardest(
    members: Sequence[Receiver], rules: Mapping[str, Rule], note: Mapping[str, str]
) -> Iterator[tuple[str, Override]]:
    """Rule id and the hardest reading of it, for every rule that a member has a statement of its own on.

    Severity, effect and limits are each the hardest that any member has; a member without a statement reads the rule
    as it stands. What counts for bulk senders only counts here for everybody: who satisfies the combination satisfies
    each member at any volume. Codes and sources are joined. `note` is the sentence, by language, that names the
    members whose reading it is, in place of ``{receivers}``. Raises CombineError.
    """
    for rule in rules.values():
        stated = [(member, member.rules[rule.id]) for member in members if rule.id in member.rules]
        if stated:
            yield rule.id, _hardest(rule, stated, len(stated) < len(members), note)


def base_effect(rule: Rule) -> Effect:
    """What a receiver without a statement of its own does about the rule."""
    return rule.effect or (Effect.RISK if rule.severity is Severity.ERROR else Effect.NOTE)


def _hardest(
    rule: Rule, stated: Sequence[tuple[Receiver, Override]], as_it_stands: bool, note: Mapping[str, str]
) -> Override:
    overrides = [override for _, override in stated]
    severities = [each.severity for each in overrides]
    effects = [each.effect for each in overrides]
    limits = [{**rule.limits, **each.limits} for each in overrides]
    if as_it_stands and rule.severity is not Severity.NONE:
        severities.append(rule.severity)
        effects.append(base_effect(rule))
        limits.append(dict(rule.limits))
    effect = max(effects, key=_HARDEST_EFFECT.index)
    decisive = [(member, override) for member, override in stated if override.effect is effect]
    return Override(
        severity=max(severities, key=lambda each: each.rank),
        effect=effect,
        sources=tuple(dict.fromkeys(source for each in overrides for source in each.sources)),
        volume=VolumeClass.ANY,
        limits={name: _tightest(rule, name, [each[name] for each in limits]) for name in rule.limits},
        since=min((each.since for _, each in decisive if each.since), default=""),
        codes=tuple(dict.fromkeys(code for each in overrides for code in each.codes)),
        confidence=max((each.confidence for _, each in decisive), key=_SUREST.index, default=rule.confidence),
        contested=any(each.contested for each in overrides),
        note={
            lang: template.replace("{receivers}", _SEPARATOR.get(lang, ", ").join(m.name[lang] for m, _ in decisive))
            for lang, template in note.items()
            if decisive
        },
    )


_SEPARATOR = {"ja": "、"}


def _tightest(rule: Rule, name: str, values: Sequence[Value]) -> Value:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    operators = {
        each.op
        for each in comparisons_of(rule.require)
        if isinstance(each.operand, LimitRef) and each.operand.name == name
    }
    numbers = [value for value in distinct if isinstance(value, (int, float))]
    if len(numbers) == len(distinct) and operators:
        if operators <= set(_SMALLER_IS_TIGHTER):
            return min(numbers)
        if operators <= set(_GREATER_IS_TIGHTER):
            return max(numbers)
    raise CombineError(f"{rule.id}: cannot tell which {name} is the tightest of {', '.join(map(str, distinct))}")
