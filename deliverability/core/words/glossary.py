"""The glossary (glossary.yaml): one plain-language note for each term of the reports.

The wording test holds all texts to the preferred forms, and finds the forms that are to be avoided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Struct, field

from deliverability.core import yaml as yamlstrict
from deliverability.core.cache import cached
from deliverability.core.codes import Code, Detail
from deliverability.core.model.schema import Field, Text, Words
from deliverability.core.phrases import LANGUAGES
from deliverability.core.rules.problems import RuleError
from deliverability.core.yaml import TWICE, read_shape

TERM_SEE_UNKNOWN = Code("glossary-see-unknown", ("id", "name"))
TERM_SAME_FORM = Code("glossary-same-form", ("one", "other", "form"))
TERM_AVOIDS = Code("glossary-avoids", ("one", "other", "form"))


def _of_both(forms: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    return {lang: forms.get(lang, ()) for lang in LANGUAGES}


class GlossaryTerm(Struct, frozen=True):
    """One term and its one meaning.

    Attributes:
        id: the term's name in addresses and links, in kebab-case.
        term: the preferred form by language, as it is written in the texts.
        text: what it means, by language: one or two sentences for a reader who does not run servers.
        avoid: forms that the texts do not use for it, by language.
        see: ids of related terms.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    term: Words
    text: Words
    avoid: Annotated[
        Mapping[str, tuple[str, ...]],
        Field(written=Mapping[Literal["en", "ja"], tuple[Text, ...]], after=_of_both),
    ] = field(default_factory=lambda: _of_both({}))
    see: tuple[Text, ...] = ()


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
    terms: dict[str, GlossaryTerm] = {}
    for index in range(len(read_shape(document, tuple[Any, ...], problems) or ())):
        term = read_shape(document, GlossaryTerm, problems, index)
        if term is not None and term.id in terms:
            problems.append(document.at(index).problem(TWICE(name=term.id)))
        elif term is not None:
            terms[term.id] = term
    return terms


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
