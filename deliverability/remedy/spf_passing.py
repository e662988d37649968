"""Whether everything that may send by one SPF record still may by another: IPv4 and IPv6 ranges, and what is no range.

The promise of a chain of remedies: nobody who may send today is lost but by a term that a remedy says it takes away. A
term that an earlier remedy dropped because another covers it holds that other one in place. What is asked is what the
records say, not what receivers make of a broken one: a record with too many look-ups lets nobody pass today, and still
says who should.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from msgspec import Struct

from deliverability.model.facts import FactSet, texts_of
from deliverability.model.report import Remedy
from deliverability.model.spf import SpfStatus
from deliverability.protocols.spf.record import BadTerm, Mechanism, Modifier, Term
from deliverability.protocols.spf.repair import term_of
from deliverability.remedy.spf_facts import SpfFacts
from deliverability.remedy.spf_terms import Span, Words, end_of, joined, key_of, minus, spans

_LETS_NOBODY_PASS = frozenset(
    {
        *(SpfStatus.VOID, SpfStatus.BROKEN, SpfStatus.LOOP, SpfStatus.INVALID_NAME, SpfStatus.OVERFLOW),
        *(SpfStatus.SYNTAX_ERROR, SpfStatus.IGNORED),
    }
)
"""Statuses with which a term lets nobody pass, or ends the check with an error."""

_EVERYBODY: tuple[Span, ...] = ((4, 0, (1 << 32) - 1), (6, 0, (1 << 128) - 1))


class Passing(Struct, frozen=True):
    """Who may send by a record.

    Attributes:
        ranges: disjoint ranges of addresses in order, both IP versions.
        names: terms whose addresses are not known or depend on the mail, in a form that is equal for equal terms, each
            with the ranges that terms before it deny.
        anybody: ``+all`` lets pass whatever no term before it denied; `ranges` holds that too.

    """

    ranges: tuple[Span, ...] = ()
    names: frozenset[tuple[object, tuple[Span, ...]]] = frozenset()
    anybody: bool = False

    def without(self, other: Passing) -> Passing:
        """Who may send by this and not by the other."""
        names = frozenset() if other.anybody else frozenset(each for each in self.names if not other._lets(*each))
        return Passing(tuple(minus(self.ranges, other.ranges)), names)

    def _lets(self, name: object, denied: tuple[Span, ...]) -> bool:
        """Whether whoever passes by that term, where these ranges are denied before it, passes here too."""
        return any(other == name and not tuple(minus(before, denied)) for other, before in self.names)

    def __bool__(self) -> bool:
        return bool(self.ranges or self.names)


class Earlier(Struct, frozen=True, dict=True):
    """What drafting builds on: the facts before the first remedy, and the remedies so far, in order."""

    facts: FactSet
    remedies: tuple[Remedy, ...]

    def owed(self, taken: Iterable[str] = ()) -> Passing:
        """Who has to pass still: by the record of the first facts, less what remedies, and `taken`, take away."""
        if any(each.code.startswith("spf-park") for each in self.remedies):
            return Passing()
        gone = [word for each in self.remedies for word in texts_of(each.values.get("taken"))]
        return required(self._spf, _words(self._spf), (*gone, *taken))

    @cached_property
    def _spf(self) -> SpfFacts:
        return SpfFacts(self.facts)


def lost(first: FactSet, last: FactSet, remedies: Sequence[Remedy], taken: Iterable[str] = ()) -> Passing:
    """Who may send by the record of the first facts and no longer by that of the last, but for what remedies say.

    Empty: everything that may send today still may once all these remedies are published. `taken`: terms that go from
    the last record as well, and are meant to.
    """
    spf = SpfFacts(last)
    gone = frozenset(taken)
    words = tuple(word for word in _words(spf) if word not in gone)
    return Earlier(first, tuple(remedies)).owed(gone).without(provided(spf, words))


def required(spf: SpfFacts, words: Words, taken: Iterable[str]) -> Passing:
    """Who may send by these words, less the terms taken away on purpose."""
    gone = {key_of(term_of(word)) for word in taken}
    remaining = tuple(word for word in words if key_of(term_of(word)) not in gone)
    return _passing(spf, remaining, inner=False)


def provided(spf: SpfFacts, words: Words) -> Passing:
    """Who may send by these words for sure; the records that their includes reach are named besides."""
    return _passing(spf, words, inner=True)


def _words(spf: SpfFacts) -> Words:
    """The terms of the one record that counts; several let nobody pass."""
    records = texts_of(spf.facts.value("spf.records"))
    return tuple(word for word in records[0].split(" ")[1:] if word) if len(records) == 1 else ()


def _passing(spf: SpfFacts, words: Words, *, inner: bool) -> Passing:
    ranges: list[Span] = []
    names: set[tuple[object, tuple[Span, ...]]] = set()
    denied: list[Span] = []
    end = end_of(words)
    for word in words if end is None else words[: end + 1]:
        term = term_of(word)
        if term is None or isinstance(term, BadTerm) or (isinstance(term, Modifier) and term.name != "redirect"):
            continue
        if isinstance(term, Modifier) and end is not None:
            continue
        lets = not isinstance(term, Mechanism) or term.qualifier == "+"
        if isinstance(term, Mechanism) and term.name == "all":
            if lets:
                ranges += minus(_EVERYBODY, denied)
                return Passing(tuple(joined(ranges)), frozenset(names), anybody=True)
            continue
        networks = spf.ranges(word) if lets else None
        if not lets:
            denied += spans(spf.denied(word))
        elif networks is not None:
            ranges += minus(spans(networks), denied)
        elif spf.status(word) not in _LETS_NOBODY_PASS and not spf.faulty(word):
            names.add((_name(spf, word, term), tuple(joined(denied))))
        if lets and inner:
            before = tuple(joined(denied))
            names |= {(("record", target), before) for target in (spf.target(word), *spf.reached(word)) if target}
    return Passing(tuple(joined(ranges)), frozenset(names))


def _name(spf: SpfFacts, word: str, term: Term) -> object:
    """What an include or redirect leads to, else the term itself."""
    if not isinstance(term, BadTerm) and term.name in ("include", "redirect") and spf.target(word):
        return "record", spf.target(word)
    return key_of(term)
