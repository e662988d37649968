"""The chain of drafts that edit a domain's SPF record one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from deliverability.model.facts import Value
from deliverability.model.report import Care, RecordEdit, Remedy
from deliverability.protocols.spf.record import parse, select
from deliverability.protocols.spf.repair import MAX_OCTETS
from deliverability.remedy.names import RemedyName
from deliverability.remedy.spf_facts import SpfFacts
from deliverability.remedy.spf_passing import Earlier, provided, required
from deliverability.remedy.spf_terms import Words, lets_pass

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
