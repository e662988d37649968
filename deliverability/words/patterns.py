"""Short remarks of ours (what was asked, what is wrong with a term) in the language of the report.

Facts hold such remarks in English, because they are data. The phrases ``detail.*`` of English are the patterns by which
a remark is known, and those of the report's language say the same. A remark that no pattern fits stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from deliverability.words.phrases import Phrases

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PREFIX = "detail."
_OPEN = frozenset({"what", "why", "found", "text"})  # they may hold a remark with a colon of its own
_NO_COLON = "(?:(?!: ).)"
_OF_CODES = frozenset(
    f"detail.{name}"
    for name in (
        *("asked", "about", "selector", "tag-value", "field-value", "svg-reference", "arc-set"),
        *("dmarc-value", "dmarc-odd", "dmarc-twice"),
    )
)
_CONVERTED = ("detail.spf-", "detail.dns-", "detail.name-", "detail.seen-")
_LONGEST = 400
_DEEPEST = 4


def told(remark: str, english: Phrases, say: Phrases) -> str:
    """`remark` in the language of `say`; what is before a colon, and what a pattern leaves open, is told likewise."""
    if say.lang == english.lang or not remark or len(remark) > _LONGEST:
        return remark
    return _told(remark, english, say, 0)


def _told(remark: str, english: Phrases, say: Phrases, depth: int) -> str:
    if depth > _DEEPEST:
        return remark
    for key, pattern in _patterns(tuple(english.texts.items())):
        if (match := pattern.fullmatch(remark)) and key in say.texts:
            pieces = _PLACEHOLDER.split(say.texts[key])
            pieces[1::2] = [_told(match[name], english, say, depth + 1) for name in pieces[1::2]]
            return "".join(pieces)
    head, colon, tail = remark.partition(": ")
    if colon and (said := _told(tail, english, say, depth + 1)) != tail:
        return f"{_told(head, english, say, depth + 1)}{say.texts['punctuation.colon']}{said}"
    return remark


@lru_cache(maxsize=2)
def _patterns(texts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Every known remark as a pattern, the one with most words of its own first."""
    known = [
        (key, text)
        for key, text in texts
        if key.startswith(_PREFIX) and not (key in _OF_CODES or key.startswith(_CONVERTED))
    ]
    known.sort(key=lambda each: -len(_PLACEHOLDER.sub("", each[1])))
    return tuple((key, re.compile(_pattern(text), re.DOTALL)) for key, text in known)


def _pattern(text: str) -> str:
    pieces = _PLACEHOLDER.split(text)
    pieces[::2] = map(re.escape, pieces[::2])
    pieces[1::2] = [f"(?P<{name}>{'.' if name in _OPEN else _NO_COLON}+?)" for name in pieces[1::2]]
    return "".join(pieces)
