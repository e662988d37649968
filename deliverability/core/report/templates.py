"""The templates of reports/, and the glossary (glossary.yaml): where its terms are first used on a page.

The wording test holds all texts to the preferred forms of the glossary, and finds the forms that are to be avoided.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Struct, field

from deliverability.core import yaml as yamlstrict
from deliverability.core.cache import cached
from deliverability.core.codes import Code, Detail
from deliverability.core.files import locate
from deliverability.core.model.schema import Field, Text, Words
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.parts import laid_out
from deliverability.core.rules.problems import RuleError
from deliverability.core.yaml import TWICE, read_shape

if TYPE_CHECKING:
    import jinja2

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


_TEXTS_KEPT = 4096


def _css_text(text: str) -> str:
    """A text as it may stand in a quoted string of a style sheet, whoever wrote it."""
    return "".join(char if char.isalnum() or char in " .-_·（）" else f"\\{ord(char):x} " for char in text)


def _unbroken(record: str) -> tuple[tuple[bool, str], ...]:
    """A record in pieces; True marks a ``?all`` that no line may end in: lines may break behind a question mark."""
    pieces = re.split(r"((?<!\S)\?\S{1,30}(?!\S))", record)
    return tuple((bool(number % 2), piece) for number, piece in enumerate(pieces) if piece)


def _named(text: str) -> tuple[tuple[bool, str], ...]:
    """A text in pieces; True marks a domain name."""
    pieces = re.split(r"((?:(?<![a-zA-Z0-9_*:@-])|(?=[:@]))[a-zA-Z0-9_*:@-]{1,255}+(?:\.[a-zA-Z0-9_*-]{1,63}+)+)", text)
    return tuple((bool(number % 2), piece) for number, piece in enumerate(pieces) if piece)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of reports/, with escaping on for every one of them; they are read once."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(locate("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["css_text"] = _css_text
    made.filters["named"] = _named
    made.filters["laid_out"] = laid_out
    made.filters["unbroken"] = _unbroken
    return made


class Glosser:
    """Finds the first use of every term on a page; what has been used can be listed at its end."""

    def __init__(self, terms: Sequence[GlossaryTerm], lang: str) -> None:
        self._terms = terms
        self._by_words = {_folded(form): term for term in terms for form in _forms(term.term[lang])}
        forms = sorted({form for term in terms for form in _forms(term.term[lang])}, key=len, reverse=True)
        self._pattern = re.compile("|".join(_bounded(form) for form in forms)) if forms else None
        self._found = functools.lru_cache(_TEXTS_KEPT)(self._find)  # the same sentences stand on many pages
        self._used: set[str] = set()

    def for_page(self) -> Glosser:
        """The same for another page, on which no term has been used yet."""
        made = copy(self)
        made._used = set()
        return made

    def pieces(self, text: str) -> tuple[tuple[str, str], ...]:
        """`text` in pieces of (term id or empty, words); an id marks the first use of that term on the page."""
        found: list[tuple[str, str]] = []
        end = 0
        for term, start, stop in self._found(text):
            if term in self._used:
                continue
            self._used.add(term)
            found.extend([("", text[end:start]), (term, text[start:stop])])
            end = stop
        return (*found, ("", text[end:]))

    def _find(self, text: str) -> tuple[tuple[str, int, int], ...]:
        """Each place of a term: its id, where it begins and where it ends."""
        matches = self._pattern.finditer(text) if self._pattern else ()
        places = ((self._by_words.get(_folded(each[0])), each.start(), each.end()) for each in matches)
        return tuple((term.id, start, stop) for term, start, stop in places if term is not None)

    @property
    def used(self) -> tuple[GlossaryTerm, ...]:
        """The terms that were found so far, in the order of the glossary."""
        return tuple(term for term in self._terms if term.id in self._used)


def _forms(term: str) -> tuple[str, ...]:
    """A term as it is written, and "A (B)" as either of the two."""
    match = re.fullmatch(r"([^((]+)[((](.+)[))]", term)
    return (match[1].rstrip(), match[2]) if match else (term,)


def _folded(text: str) -> str:
    return text if text.isupper() else text.lower().removesuffix("s")


def _bounded(form: str) -> str:
    """Words of Latin letters stand alone, may be plural, and may begin a sentence; others are found anywhere."""
    if not re.fullmatch(r"[\x20-\x7e]+", form):
        return re.escape(form)
    pattern = re.escape(form)
    if form[0].isalpha() and not form.isupper():
        pattern = f"[{form[0].upper()}{form[0].lower()}]{re.escape(form[1:])}"
    return rf"(?<![A-Za-z0-9._=-]){pattern}(?:{'' if form.endswith('s') else 's?'})(?![A-Za-z0-9_=-])"
