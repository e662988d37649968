"""The glossary (glossary.yaml): one plain-language note for each term of the reports.

The wording test holds all texts to the preferred forms, and finds the forms that are to be avoided.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from deliverability import _yamlstrict as yamlstrict
from deliverability._cache import kept
from deliverability.judge.files import RuleError
from deliverability.model.placeholders import LANGUAGES

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_KEYS = frozenset({"id", "term", "text", "avoid", "see"})


class GlossaryTerm(Struct, frozen=True):
    """One term and its one meaning.

    Attributes:
        id: the term's name in addresses and links, in kebab-case.
        term: the preferred form by language, as it is written in the texts.
        text: what it means, by language: one or two sentences for a reader who does not run servers.
        avoid: forms that the texts do not use for it, by language.
        see: ids of related terms.

    """

    id: str
    term: Mapping[str, str]
    text: Mapping[str, str]
    avoid: Mapping[str, tuple[str, ...]]
    see: tuple[str, ...] = ()


def load_glossary(folders: Sequence[Path]) -> tuple[GlossaryTerm, ...]:
    """The terms of every folder that has a glossary.yaml, in file order; a later folder replaces terms of the same id.

    Raises RuleError with every problem found, ``file:line: what``.
    """
    paths = [path for folder in folders if (path := folder / "glossary.yaml").is_file()]
    return kept("glossary", paths, lambda: _terms(paths))


def _terms(paths: Sequence[Path]) -> tuple[GlossaryTerm, ...]:
    terms: dict[str, GlossaryTerm] = {}
    problems: list[str] = []
    for path in paths:
        terms |= _file(path, problems)
    for term in terms.values():
        problems += [
            f"glossary: {term.id}: see names {each!r}, which is no term" for each in term.see if each not in terms
        ]
    problems += _doubled(terms)
    if problems:
        raise RuleError(problems)
    return tuple(terms.values())


def _file(path: Path, problems: list[str]) -> dict[str, GlossaryTerm]:
    document = yamlstrict.read_file(path, problems)
    if document is None:
        return {}
    if not isinstance(document.data, list):
        problems.append(f"{path}:1: a glossary is a list of terms")
        return {}
    terms: dict[str, GlossaryTerm] = {}
    for index, entry in enumerate(document.data):
        where = f"{path}:{document.line((index,))}"
        trouble = _trouble(entry)
        if trouble:
            problems.append(f"{where}: {trouble}")
        elif entry["id"] in terms:
            problems.append(f"{where}: the term {entry['id']} stands here twice")
        else:
            avoid = entry.get("avoid") or {}
            terms[entry["id"]] = GlossaryTerm(
                id=entry["id"],
                term=dict(entry["term"]),
                text=dict(entry["text"]),
                avoid={lang: tuple(avoid.get(lang, ())) for lang in LANGUAGES},
                see=tuple(entry.get("see") or ()),
            )
    return terms


def _trouble(entry: Any) -> str:
    """What is wrong with the shape of one entry, or an empty text."""
    if not isinstance(entry, dict) or not {"id", "term", "text"} <= set(entry):
        return "a term has id, term and text"
    if odd := set(entry) - _KEYS:
        return f"unknown key {sorted(odd)[0]!r}"
    if not isinstance(entry["id"], str) or not _ID.match(entry["id"]):
        return f"the id {entry['id']!r} is not in kebab-case"
    for key in ("term", "text"):
        words = entry[key]
        if not isinstance(words, dict) or set(words) != set(LANGUAGES):
            return f"{entry['id']}: {key} needs en and ja"
        if not all(isinstance(each, str) and each.strip() for each in words.values()):
            return f"{entry['id']}: {key} must be words"
    avoid = entry.get("avoid") or {}
    if not isinstance(avoid, dict) or not set(avoid) <= set(LANGUAGES) or not all(map(_words, avoid.values())):
        return f"{entry['id']}: avoid holds lists of words under en and ja"
    return "" if _words(entry.get("see") or []) else f"{entry['id']}: see is a list of ids"


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)


def _doubled(terms: Mapping[str, GlossaryTerm]) -> list[str]:
    """Terms that share a form, and forms that are preferred here and avoided there: then a term has two meanings."""
    problems = []
    for lang in LANGUAGES:
        owner: dict[str, str] = {}
        for term in terms.values():
            form = term.term[lang].casefold()
            if form in owner:
                problems.append(f"glossary: {term.id} and {owner[form]} have the same form {term.term[lang]!r}")
            owner[form] = term.id
        problems += [
            f"glossary: {term.id} avoids {form!r}, the form of {owner[form.casefold()]}"
            for term in terms.values()
            for form in term.avoid[lang]
            if form.casefold() in owner and owner[form.casefold()] != term.id
        ]
    return problems
