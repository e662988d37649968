"""The words of a language: of the interface (reports/strings.*.yaml), and of the help (reports/help.*.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml
from msgspec import Struct

from deliverability._cache import cached
from deliverability._resources import locate
from deliverability.model.placeholders import fill


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
    # Every scalar as text; that no key is there twice, tests see to.
    return dict(_flat(yaml.load(path.read_text("utf-8"), yaml.CBaseLoader), ""))  # noqa: S506 (builds text only)


def _flat(node: object, prefix: str) -> Sequence[tuple[str, str]]:
    """Nested mappings as dotted keys. Raises TypeError where a leaf is not text."""
    if isinstance(node, Mapping):
        return [pair for key, value in node.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else str(key))]
    if not isinstance(node, str):
        raise TypeError(f"{prefix} is not text")
    return [(prefix, node)]
