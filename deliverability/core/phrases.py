"""The words of a language by key, texts with placeholders, codes with arguments in words, and days."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path

from msgspec import Struct

from deliverability.core.cache import cached
from deliverability.core.codes import NEEDS, VERBATIM, Arg, Detail
from deliverability.core.facts.base import EvidenceLine
from deliverability.core.files import locate

LANGUAGES = ("en", "ja")

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.\-\[\]]*)\}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with ``{name}`` replaced; doubled braces become single ones. KeyError for a name without a value."""
    pieces = list(_pieces(text))
    pieces[1::2] = [values[name] for name in pieces[1::2]]
    return "".join(pieces)


@lru_cache(maxsize=8192)
def _pieces(text: str) -> tuple[str, ...]:
    """What stands between the names in single braces, and every second one is a name."""
    pieces, end = [""], 0
    for match in _PLACEHOLDER.finditer(text):
        pieces[-1] += text[end : match.start()] + ("" if match[1] else match[0][0])
        pieces += [match[1], ""] if match[1] else []
        end = match.end()
    pieces[-1] += text[end:]
    return tuple(pieces)


@lru_cache(maxsize=8192)
def placeholders(text: str) -> frozenset[str]:
    """The names between single braces in `text`."""
    return frozenset(_pieces(text)[1::2])


class Phrases(Struct, frozen=True):
    """The interface words of one language, by dotted key (``verdict.rejected``)."""

    lang: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: str) -> str:
        """The phrase under `key`, its ``{name}`` placeholders filled. KeyError where there is no such phrase."""
        return fill(self.texts[key], values) if values else self.texts[key]

    def __contains__(self, key: str) -> bool:
        return key in self.texts

    def count(self, key: str, number: int, **values: str) -> str:
        """The phrase for that many: ``key.one`` or ``key.other``, with ``{n}`` and its other placeholders filled."""
        return self(f"{key}.one" if number == 1 else f"{key}.other", n=f"{number:,}", **values)


def joined(names: Sequence[str], say: Phrases, last: str = "") -> str:
    """Names within a sentence: "Gmail, iCloud and Yahoo". `last`: the phrase before the last one, where it differs."""
    if len(names) < 2:
        return "".join(names)
    last = last or ("punctuation.and" if len(names) == 2 else "punctuation.and-last")
    return say("punctuation.list").join(names[:-1]) + say(last) + names[-1]


@cache
def phrases(lang: str) -> Phrases:
    """The interface words of `lang` (en or ja). Raises FileNotFoundError for any other language."""
    return _read("strings", lang)


@cache
def help_words(lang: str) -> Phrases:
    """The words of the command line's help: ``COMMAND.short``, ``COMMAND.text``, ``COMMAND.options.NAME``."""
    return _read("help", lang)


def _read(name: str, lang: str) -> Phrases:
    path = locate("reports") / f"{name}.{lang}.yaml"
    return Phrases(lang, cached(f"{name}.{lang}", [path], lambda: _texts(path)))


def _texts(path: Path) -> dict[str, str]:
    import yaml  # a seventh of `deliv --help`, which finds the words in the cache

    # Every scalar as text; that no key is there twice, tests see to.
    return dict(_flat(yaml.load(path.read_text("utf-8"), yaml.CBaseLoader), ""))  # noqa: S506 (builds text only)


def _flat(node: object, prefix: str) -> Sequence[tuple[str, str]]:
    """Nested mappings as dotted keys. Raises TypeError where a leaf is not text."""
    if isinstance(node, Mapping):
        return [pair for key, value in node.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else str(key))]
    if not isinstance(node, str):
        raise TypeError(f"{prefix} is not text")
    return [(prefix, node)]


_DEEPEST = 20


def detail_words(detail: Detail, say: Phrases) -> str:
    """The words of a detail in the language of `say`. A code of another version of this program stands for itself."""
    return _words(detail, say, _DEEPEST)


def line_words(line: EvidenceLine, say: Phrases) -> str:
    """A line of evidence: text as it was seen, or the words of a detail."""
    return detail_words(line, say) if isinstance(line, Detail) else line


def _words(detail: Detail, say: Phrases, depth: int) -> str:
    args = {name: _arg(name, value, say, depth - 1) for name, value in detail.args} if depth else {}
    if detail.code == VERBATIM.name:
        return args.get("text", "")
    if detail.code == NEEDS.name and (key := f"input.{args.get('input')}") in say:
        return say(key)
    key = f"detail.{detail.code}"
    if key in say and placeholders(say.texts[key]) <= args.keys():
        return fill(say.texts[key], args)
    return f"{detail.code} ({say('value.separator').join(args.values())})" if args else detail.code


_AS_TYPED = ("bits", "column", "length", "line", "port", "version")
"""Arguments that are numbers and count nothing, or are written without separators in the field (2048 bits)."""
_DAYS = ("begin", "date", "day", "end")
_WHY = ("reason", "why")
"""Arguments that may be a code of why nothing was learned: DNS has its own word for some, the others get ours."""


def _arg(name: str, value: Arg, say: Phrases, depth: int) -> str:
    match value:
        case Detail():
            return _words(value, say, depth)
        case tuple():
            return say("value.separator").join(_arg(name, each, say, depth) for each in value)
        case int() if name not in _AS_TYPED:
            return f"{value:,}"
        case str() if name in _DAYS:
            return full_day_words(value, say)
        case str() if name in _WHY:
            keys = (f"response.{value}", f"reason.{value}")
            return next((say(key) for key in keys if key in say), value)
        case _:
            return str(value)


_LESS_EXACT = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2]))?")


def moment_words(at: str, say: Phrases) -> str:
    """An ISO 8601 moment: ``25 Nov 2026, 09:00 JST``. Anything else stands as it is."""
    local = _local(at)
    if local is None:
        return at
    return say("date.moment", **_parts(local, say), time=_clock(local, say), zone=zone_words(at))


def row_words(at: str, say: Phrases) -> str:
    """The same for a column of a table, whose head names the zone: ``25 Nov 2026 09:00``."""
    local = _local(at)
    return say("date.row", **_parts(local, say), time=_clock(local, say)) if local else at


def day_words(at: str, say: Phrases) -> str:
    """The day of a moment, or a day: ``25 Nov``."""
    local = _local(at)
    return say("date.day", **_parts(local, say)) if local else at


def full_day_words(at: str, say: Phrases) -> str:
    """The day with its year: ``25 Nov 2026``; of what is dated less exactly, the month or the year."""
    local = _local(at)
    if local:
        return say("date.full-day", **_parts(local, say))
    if read := _LESS_EXACT.fullmatch(at):
        year, month = read[1], read[2]
        if not month:
            return say("date.year", year=year)
        return say("date.year-month", year=year, month=say(f"date.month.{int(month)}"))
    return at


def zone_words(at: str) -> str:
    """The reader's time zone at that moment: its short name, or ``UTC+9``."""
    local = _local(at)
    name = (local.tzname() or "") if local else ""
    if local is None or name.isalpha():
        return name
    minutes = int((local.utcoffset() or local - local).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


def _parts(local: datetime, say: Phrases) -> dict[str, str]:
    return {"year": str(local.year), "month": say(f"date.month.{local.month}"), "day": str(local.day)}


def _clock(local: datetime, say: Phrases) -> str:
    """The time, in Japanese without a zero before the hour."""
    return f"{local.hour}:{local:%M}" if say.lang == "ja" else f"{local:%H:%M}"


def _local(at: str) -> datetime | None:
    """In the reader's zone; a day without a time is that day everywhere."""
    try:
        read = datetime.fromisoformat(at)
    except ValueError:
        return None
    return read.astimezone() if read.tzinfo else read
