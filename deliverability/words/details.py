"""Codes with arguments in words: why something could not be checked, what is wrong with a term, how it came about."""

from __future__ import annotations

from deliverability.model.codes import NEEDS, VERBATIM, Arg, Detail
from deliverability.model.facts import EvidenceLine
from deliverability.model.placeholders import fill, placeholders
from deliverability.words.phrases import Phrases

_DEEPEST = 20


def detail_words(detail: Detail, say: Phrases) -> str:
    """The words of a detail in the language of `say`. A code of another version of this program stands for itself."""
    return _words(detail, say, _DEEPEST)


def line_words(line: EvidenceLine, say: Phrases) -> str:
    """A line of evidence: text as it was seen, or the words of a detail."""
    return detail_words(line, say) if isinstance(line, Detail) else line


def _words(detail: Detail, say: Phrases, depth: int) -> str:
    args = {name: _arg(value, say, depth - 1) for name, value in detail.args} if depth else {}
    if detail.code == VERBATIM.name:
        return args.get("text", "")
    if detail.code == NEEDS.name and (key := f"input.{args.get('input')}") in say:
        return say(key)
    key = f"detail.{detail.code}"
    if key in say and placeholders(say.texts[key]) <= args.keys():
        return fill(say.texts[key], args)
    return f"{detail.code} ({say('value.separator').join(args.values())})" if args else detail.code


def _arg(value: Arg, say: Phrases, depth: int) -> str:
    match value:
        case Detail():
            return _words(value, say, depth)
        case tuple():
            return say("value.separator").join(_arg(each, say, depth) for each in value)
        case _:
            return str(value)
