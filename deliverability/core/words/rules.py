"""Rules in words by themselves, about no domain, and found by a word that people use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from deliverability.core.facts.base import Value
from deliverability.core.model.rules import All, Any, Compare, Condition, LimitRef, Not, Rule, Texts
from deliverability.core.phrases import Phrases, fill, phrases, placeholders
from deliverability.core.words.sentences import capital, format_value, limit_spec

GAP = "‹›"
"""What stands around the name of a fact where the text of a rule has no value for it."""


def rule_noun(rule: Rule, lang: str) -> str:
    """What the rule looks at, as a heading."""
    return filled(capital(rule.text[lang].noun), rule, phrases(lang))


def rule_short(rule: Rule, lang: str) -> str:
    """What is wrong where the rule is unmet, as a heading."""
    return filled(capital(rule.text[lang].short), rule, phrases(lang))


def rule_title(rule: Rule, lang: str) -> str:
    """The requirement in one line, its limits filled in and its facts shown by name."""
    return filled(rule.text[lang].title, rule, phrases(lang))


def filled_texts(rule: Rule, lang: str) -> Texts:
    """All of a rule's words, its limits filled in and its facts shown by name."""
    say, texts = phrases(lang), rule.text[lang]
    title, short, noun, met, why = (
        filled(text, rule, say) for text in (texts.title, texts.short, texts.noun, texts.met, texts.why)
    )
    unmet = tuple(replace(each, text=filled(each.text, rule, say)) for each in texts.unmet)
    return Texts(title, short, noun, met, unmet, why, tuple(filled(step, rule, say) for step in texts.fix))


def filled(text: str, rule: Rule, say: Phrases) -> str:
    """Limits by value, facts by name: a page is about the rule, not about one domain."""
    shown = {name: _limit_or_name(name, rule, say) for name in placeholders(text)}
    return " ".join(fill(text, shown).split())


def _limit_or_name(name: str, rule: Rule, say: Phrases) -> str:
    if name in rule.limits:
        return format_value(rule.limits[name], limit_spec(name), say)
    key = f"gap.{name}"
    return GAP[0] + say(key if key in say else "gap.other") + GAP[1]


def condition_words(condition: Condition, rule: Rule) -> str:
    """A condition in one line, with the limits of the rule."""
    match condition:
        case Compare():
            operand = condition.operand
            value = rule.limits[operand.name] if isinstance(operand, LimitRef) else operand
            return f"{condition.fact} {condition.op.value} {_operand(value)}"
        case Not():
            return f"not ({condition_words(condition.of, rule)})"
        case All():
            return "(" + " and ".join(condition_words(each, rule) for each in condition.of) + ")"
        case Any():
            return "(" + " or ".join(condition_words(each, rule) for each in condition.of) + ")"


def _operand(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        shown = ", ".join(_operand(each) for each in value[:12])
        return f"[{shown}, … {len(value) - 12} more]" if len(value) > 12 else f"[{shown}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


_BEST, _GOOD, _FAIR = 4, 2, 1
_HEADINGS = ("title", "short", "noun")


def search(text: str, rules: Iterable[Rule]) -> list[Rule]:
    """The rules that hold every word of `text`, best first: by id and name, then by title, then by other texts."""
    words = text.casefold().split()
    scored = [(sum(scores), rule) for rule in rules if all(scores := [_score(word, rule) for word in words])]
    return [rule for _, rule in sorted(scored, key=lambda each: -each[0])]


def nearest(text: str, rules: Iterable[Rule]) -> tuple[str, ...]:
    """Up to three words that rules hold and that are spelt like `text`."""
    known = {word for rule in rules for _, part in _texts(rule) for word in re.findall(r"[^\W_]{3,}", part.casefold())}
    return tuple(difflib.get_close_matches(text.casefold(), sorted(known), n=3))


def _score(word: str, rule: Rule) -> int:
    return max((weight for weight, text in _texts(rule) if word in text.casefold()), default=0)


def _texts(rule: Rule) -> Iterator[tuple[int, str]]:
    """What a rule says, each with how much it tells what the rule is about."""
    yield _BEST, f"{rule.id} {rule.name}"
    for texts in rule.text.values():
        for name in texts.__struct_fields__:
            text = getattr(texts, name)
            weight = _GOOD if name in _HEADINGS else _FAIR
            yield weight, text if isinstance(text, str) else " ".join(map(str, text or ()))
