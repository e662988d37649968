"""The words of a language by key, texts with placeholders, and codes with arguments in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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

    def replace(match: re.Match[str]) -> str:
        return values[match[1]] if match[1] else match[0][0]

    return _PLACEHOLDER.sub(replace, text)


@lru_cache(maxsize=8192)
def placeholders(text: str) -> frozenset[str]:
    """The names between single braces in `text`."""
    return frozenset(match[1] for match in _PLACEHOLDER.finditer(text) if match[1])


class Phrases(Struct, frozen=True):
    """The interface words of one language, by dotted key (``verdict.rejected``)."""

    lang: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: str) -> str:
        """The phrase under `key`, its ``{name}`` placeholders filled. KeyError where there is no such phrase."""
        return fill(self.texts[key], values) if values else self.texts[key]

    def __contains__(self, key: str) -> bool:
        return key in self.texts

    def count(self, key: str, number: int) -> str:
        """The phrase for that many: ``key.one`` or ``key.other``, with ``{n}`` filled."""
        return self(f"{key}.one" if number == 1 else f"{key}.other", n=f"{number:,}")


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
