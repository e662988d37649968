"""Rules by a word that people use: in their ids and names, their titles, and all their texts in both languages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from deliverability.model.rules import Rule

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
