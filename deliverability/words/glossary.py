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
from deliverability._cache import cached
from deliverability._yamlstrict import NO_SUCH_FIELD, NOT_ALLOWED, TWICE
from deliverability.judge.files import RuleError
from deliverability.model.codes import ABOUT, Code, Detail
from deliverability.model.placeholders import LANGUAGES

TERMS_LIST = Code("glossary-list")
TERM_FIELDS = Code("glossary-fields")
TERM_BOTH = Code("glossary-both", ("id", "key"))
TERM_AVOID = Code("glossary-avoid", ("id",))
TERM_SEE = Code("glossary-see", ("id",))
TERM_SEE_UNKNOWN = Code("glossary-see-unknown", ("id", "name"))
TERM_SAME_FORM = Code("glossary-same-form", ("one", "other", "form"))
TERM_AVOIDS = Code("glossary-avoids", ("one", "other", "form"))
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
    return cached("glossary", paths, lambda: _terms(paths))


def _terms(paths: Sequence[Path]) -> tuple[GlossaryTerm, ...]:
    terms: dict[str, GlossaryTerm] = {}
    problems: list[Detail] = []
    for path in paths:
        terms |= _file(path, problems)
    for term in terms.values():
        problems += [TERM_SEE_UNKNOWN(id=term.id, name=each) for each in term.see if each not in terms]
    problems += _doubled(terms)
    if problems:
        raise RuleError(*problems)
    return tuple(terms.values())


def _file(path: Path, problems: list[Detail]) -> dict[str, GlossaryTerm]:
    document = yamlstrict.read_file(path, problems)
    if document is None:
        return {}
    if not isinstance(document.data, list):
        problems.append(document.at().problem(TERMS_LIST()))
        return {}
    terms: dict[str, GlossaryTerm] = {}
    for index, entry in enumerate(document.data):
        trouble = _trouble(entry)
        if trouble is None and entry["id"] in terms:
            trouble = TWICE(name=entry["id"])
        if trouble is not None:
            problems.append(document.at(index).problem(trouble))
            continue
        avoid = entry.get("avoid") or {}
        terms[entry["id"]] = GlossaryTerm(
            id=entry["id"],
            term=dict(entry["term"]),
            text=dict(entry["text"]),
            avoid={lang: tuple(avoid.get(lang, ())) for lang in LANGUAGES},
            see=tuple(entry.get("see") or ()),
        )
    return terms


def _trouble(entry: Any) -> Detail | None:
    """What is wrong with the shape of one entry."""
    if not isinstance(entry, dict) or not {"id", "term", "text"} <= set(entry):
        return TERM_FIELDS()
    if odd := set(entry) - _KEYS:
        return ABOUT(what=str(sorted(odd)[0]), detail=NO_SUCH_FIELD())
    if not isinstance(entry["id"], str) or not _ID.match(entry["id"]):
        return ABOUT(what="id", detail=NOT_ALLOWED(value=str(entry["id"])))
    ident = entry["id"]
    for key in ("term", "text"):
        words = entry[key]
        both = isinstance(words, dict) and set(words) == set(LANGUAGES)
        if not both or not all(isinstance(each, str) and each.strip() for each in words.values()):
            return TERM_BOTH(id=ident, key=key)
    avoid = entry.get("avoid") or {}
    if not isinstance(avoid, dict) or not set(avoid) <= set(LANGUAGES) or not all(map(_words, avoid.values())):
        return TERM_AVOID(id=ident)
    return None if _words(entry.get("see") or []) else TERM_SEE(id=ident)


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)


def _doubled(terms: Mapping[str, GlossaryTerm]) -> list[Detail]:
    """Terms that share a form, and forms that are preferred here and avoided there: then a term has two meanings."""
    problems = []
    for lang in LANGUAGES:
        owner: dict[str, str] = {}
        for term in terms.values():
            form = term.term[lang].casefold()
            if form in owner:
                problems.append(TERM_SAME_FORM(one=term.id, other=owner[form], form=term.term[lang]))
            owner[form] = term.id
        problems += [
            TERM_AVOIDS(one=term.id, other=owner[form.casefold()], form=form)
            for term in terms.values()
            for form in term.avoid[lang]
            if form.casefold() in owner and owner[form.casefold()] != term.id
        ]
    return problems
