"""Where the terms of the glossary are first used on a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy

from deliverability.words.glossary import GlossaryTerm


class Glosser:
    """Finds the first use of every term on a page; what has been used can be listed at its end."""

    def __init__(self, terms: Sequence[GlossaryTerm], lang: str) -> None:
        self._terms = terms
        self._by_words = {_folded(form): term for term in terms for form in _forms(term.term[lang])}
        forms = sorted({form for term in terms for form in _forms(term.term[lang])}, key=len, reverse=True)
        self._pattern = re.compile("|".join(_bounded(form) for form in forms)) if forms else None
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
        for match in self._pattern.finditer(text) if self._pattern else ():
            term = self._by_words.get(_folded(match[0]))
            if term is None or term.id in self._used:
                continue
            self._used.add(term.id)
            found.extend([("", text[end : match.start()]), (term.id, match[0])])
            end = match.end()
        return (*found, ("", text[end:]))

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
