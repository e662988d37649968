"""Drafts of SPF edits one after the other, and whether everything that may send still may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field

from deliverability.core.facts.base import FactSet, Value, texts_of
from deliverability.core.facts.spf import Spf, SpfStatus
from deliverability.core.model.report import Care, RecordEdit, Remedy
from deliverability.core.model.topic import if_known
from deliverability.core.protocols.spf.record import BadTerm, Mechanism, Modifier, Term, parse, select
from deliverability.core.protocols.spf.repair import MAX_OCTETS, term_of
from deliverability.engine.remedies.records import RemedyName
from deliverability.engine.remedies.spf_facts import (
    Span,
    SpfFacts,
    Words,
    end_of,
    joined,
    key_of,
    lets_pass,
    minus,
    spans,
)

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
    records = if_known(spf.facts.of(Spf).records) or ()
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


TAKES_SENDERS = frozenset(
    {
        *("spf-close-open", "spf-drop-ptr", "spf-replace-ptr", "spf-narrow"),
        *("spf-drop-unneeded", "spf-drop-unmatched", "spf-subdomain"),
    }
)
"""Steps that say of the terms they name that nobody passes by them any longer. No other step may lose anybody."""
_SAVING = frozenset({"spf-drop-spare", "spf-drop-covered", "spf-drop-unneeded", "spf-addresses"})


Steps = tuple[tuple[str, Words], ...]
"""Kinds of edit and the terms that each is about."""


def taken_by(steps: Iterable[tuple[str, Words]]) -> tuple[str, ...]:
    """The terms that the steps take away from those who pass by them."""
    return tuple(term for code, terms in steps if code in TAKES_SENDERS for term in terms)


class Chain(Struct):
    """The record as far as it is edited, and the remedies so far.

    `pending` are the steps that no remedy shows yet: kind of step, remedies that it is part of, terms it names.
    `earlier` is what remedies before this chain rest on.
    """

    spf: SpfFacts
    old: tuple[str, ...]
    version: str
    words: Words
    shown: tuple[str, ...]
    least: Care = Care.SAFE
    earlier: Earlier | None = None
    remedies: list[Remedy] = field(default_factory=list)
    pending: list[tuple[str, tuple[RemedyName, ...], Words]] = field(default_factory=list)
    _held: list[Words] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def keeps(self, words: Words, taken: Iterable[str] = ()) -> bool:
        """Whether all who may send by the record, as it was at any step, still may by `words`.

        But for those who pass by terms that a step takes away on purpose; so a term that justified an earlier drop
        stays, whatever a later step would like.
        """
        gone = {*self._taken, *taken}
        allowed = provided(self.spf, words)
        owed = [required(self.spf, each, gone) for each in dict.fromkeys((*self._held, self.words))]
        owed += [self.earlier.owed(gone)] if self.earlier else []
        return not any(each.without(allowed) for each in owed)

    def take(self, steps: Steps, words: Words, remedies: tuple[RemedyName, ...]) -> None:
        """Note several steps at once that lead to `words`, which were found to keep who may send."""
        self._held.append(self.words)
        self.words = words
        self.pending += [(code, remedies, terms) for code, terms in steps if terms]
        self._taken.update(taken_by(steps))

    def back(self, words: Words) -> None:
        """Give up the pending steps; the record is `words` again."""
        self.words = words
        self.pending.clear()

    def step(self, code: str, remedies: tuple[RemedyName, ...], words: Words, terms: Iterable[str]) -> bool:
        """Note an edit: the record becomes `words`. Says whether it was noted.

        One that changes nothing is not, nor one that somebody would be lost by whom no step takes away.
        """
        steps: Steps = ((code, tuple(terms)),)
        if words == self.words or not self.keeps(words, taken_by(steps)):
            return False
        self._held.append(self.words)
        self.words = words
        self.pending.append((code, remedies, steps[0][1]))
        self._taken.update(taken_by(steps))
        return True

    def show(self, care: Care, *, values: Mapping[str, Value] | None = None, more: tuple[RecordEdit, ...] = ()) -> None:
        """Make a remedy of the pending steps; one that is not fit to be published waits for the next step."""
        text = " ".join((self.version, *self.words))
        finding = self.spf.worst(each for _, remedies, _ in self.pending for each in remedies)
        if finding is None or not _publishable(text) or (not more and self.shown == (text,)):
            return
        code = self._code(care)
        own = tuple(term for each, _, terms in self.pending if each == code for term in terms)
        every = tuple(term for _, _, terms in self.pending for term in terms)
        terms = tuple(dict.fromkeys(own or every))
        taken = tuple(dict.fromkeys(taken_by((each, terms) for each, _, terms in self.pending)))
        named: dict[str, Value] = {
            "domain": self.spf.domain,
            "terms": terms,
            "also": tuple(term for term in dict.fromkeys(every) if term not in terms),
            **({"taken": taken} if taken else {}),
            **(values or {}),
        }
        cause = self.spf.worst(name for each, names, _ in self.pending if each == code for name in names) or finding
        edit = RecordEdit(self.spf.domain, "TXT", self.old, (text,))
        strictest = max(care, self.least, key=tuple(Care).index)
        self.remedies.append(Remedy(cause.rule, cause.item, code, named, (*more, edit), strictest))
        self.shown = (text,)
        self.pending.clear()

    def _code(self, care: Care) -> str:
        """The kind of remedy that the pending steps make together."""
        codes = tuple(dict.fromkeys(code for code, _, _ in self.pending))
        if len(codes) > 1 and set(codes) <= _SAVING:
            return "spf-fewer-lookups"
        # The last step is what a careful remedy is about; what waited goes with it.
        return codes[-1] if care is not Care.SAFE or len(codes) == 1 else "spf-tidy"


def _publishable(text: str) -> bool:
    """Whether a receiver can read the record and it lets at least one sender pass."""
    if len(text) > MAX_OCTETS or not text.isascii() or not text.isprintable() or len(select([text])) != 1:
        return False
    record = parse(text)
    return not record.errors and (record.redirect is not None or any(lets_pass(term) for term in record.live))
