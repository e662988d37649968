"""SPF as it travels from auditor to remedy and view: the include tree of a record, the course of an evaluation.

Both are facts (``spf.tree``, ``spf.trace``). `spf_tree` and `spf_trace` read stored ones, which are plain mappings.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.facts.base import Unknown, Value, texts_of
from deliverability.core.model.topic import Record

T = TypeVar("T")

SPF_AT = Code("spf-at", ("term", "domain"))
"""The term of a record that decided."""

_DEEPEST = 100
"""Records inside one another that are read; an audit follows 20."""


class SpfResult(StrEnum):
    """The seven results of RFC 7208 section 2.6."""

    PASS = "pass"  # noqa: S105 - a result, not a secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


class SpfStatus(StrEnum):
    """What became of a record or of a term.

    Of both: OK, SYNTAX_ERROR, FAILED (could not be asked for). Of a record: NONE (there is none), SEVERAL. Of a term:
    VOID (nothing found, whatever the family), BROKEN (target without exactly one record), LOOP, MACRO (target depends
    on the mail), ADDRESS (ptr: depends on the sending address), OVERFLOW (more than ten MX hosts), INVALID_NAME (no
    name that DNS can hold), LIMIT (not followed: the tree is too big), DEAD (never evaluated), IGNORED (unknown
    modifier).
    """

    OK = "ok"
    SYNTAX_ERROR = "syntax-error"
    FAILED = "failed"
    NONE = "none"
    SEVERAL = "several"
    VOID = "void"
    BROKEN = "broken"
    LOOP = "loop"
    MACRO = "macro"
    ADDRESS = "address"
    OVERFLOW = "overflow"
    INVALID_NAME = "invalid-name"
    LIMIT = "limit"
    DEAD = "dead"
    IGNORED = "ignored"


class SpfTerm(Record, frozen=True):
    """A term of a record and what was found for it.

    Attributes:
        text: as written.
        status: what became of it.
        qualifier: of a mechanism; else None.
        mechanism: name of the mechanism or modifier; None where it cannot be read.
        lookups: its own cost, 0 or 1.
        total_lookups: its own cost and that of everything its target leads to.
        target: the name that it asks for, or None.
        addresses: what an a or mx found: addresses, or MX records.
        problem: what is wrong where it cannot be read, or why it could not be asked.
        tree: the record that it leads to, where it was followed.

    """

    text: str
    status: SpfStatus = SpfStatus.OK
    qualifier: str | None = None
    mechanism: str | None = None
    lookups: int = 0
    total_lookups: int = 0
    target: str | None = None
    addresses: tuple[str, ...] = ()
    problem: Detail | Unknown | None = None
    tree: SpfTree | None = None


class SpfTree(Record, frozen=True):
    """The record of a domain, what its terms cost and where they lead. The counts cover everything below.

    A receiver asks an `a` term for A or AAAA, as the sending address is, and counts a look-up that finds nothing (RFC
    7208 section 4.6.4). `void_lookups` are those of every sender, whatever the family. The counts are what is known.
    """

    domain: str
    status: SpfStatus = SpfStatus.OK
    record: str | None = None
    lookups: int = 0
    void_lookups: int = 0
    terms: tuple[SpfTerm, ...] = ()

    @classmethod
    def read(cls, value: Value) -> SpfTree | None:
        """As `spf_tree`."""
        return spf_tree(value)


class StepOutcome(StrEnum):
    """What became of one term in an evaluation."""

    MATCH = "match"
    NO_MATCH = "no-match"
    ERROR = "error"
    FOLLOWED = "followed"
    NOT_REACHED = "not-reached"
    DEAD = "dead"
    IGNORED = "ignored"


class TraceStep(Record, frozen=True):
    """One term of a record as the evaluation met it.

    Attributes:
        term: as written.
        outcome: see StepOutcome.
        detail: what was asked and found, or what ended the check; None where outcome and `nested` say all.
        lookups: what the term and all below it added to the look-up count.
        void_lookups: and to the void look-up count.
        nested: the record an include or redirect led to, or None.

    """

    term: str
    outcome: StepOutcome
    detail: Detail | None = None
    lookups: int = 0
    void_lookups: int = 0
    nested: Trace | None = None


class Trace(Record, frozen=True):
    """One call of check_host(): the domain, its record (None where there is not exactly one), terms in order."""

    domain: str
    record: str | None
    result: SpfResult
    reason: Detail
    steps: tuple[TraceStep, ...] = ()

    @classmethod
    def read(cls, value: Value) -> Trace | None:
        """As `spf_trace`."""
        return spf_trace(value)


def decided_by(reason: Value) -> str:
    """The term that decided a result, with an error or without; empty where it was none."""
    at = reason.arg("what") if isinstance(reason, Detail) and ABOUT.matches(reason) else reason
    term = at.arg("term") if isinstance(at, Detail) and SPF_AT.matches(at) else ""
    return term if isinstance(term, str) else ""


def spf_tree(value: Value) -> SpfTree | None:
    """The tree that a fact's value holds; None where it is unknown, absent or no tree."""
    return value if isinstance(value, SpfTree) else _read(_tree, value)


def spf_trace(value: Value) -> Trace | None:
    """The trace that a fact's value holds; None where it is unknown, absent or no trace."""
    return value if isinstance(value, Trace) else _read(_trace, value)


def _read(read: Callable[[Value, int], T], value: Value) -> T | None:
    try:
        return read(value, _DEEPEST)
    except ValueError:
        return None


def _tree(value: Value, left: int) -> SpfTree:
    match value:
        case {
            "domain": str(domain),
            "status": str(status),
            "record": None | str() as record,
            "lookups": int(lookups),
            "void_lookups": int(void),
            "terms": tuple(terms),
        } if left:
            each = tuple(_term(term, left - 1) for term in terms)
            return SpfTree(domain, SpfStatus(status), record, lookups, void, each)
    raise ValueError("no SPF tree")


def _term(value: Value, left: int) -> SpfTerm:
    match value:
        case {
            "text": str(text),
            "status": str(status),
            "qualifier": None | str() as qualifier,
            "mechanism": None | str() as mechanism,
            "lookups": int(lookups),
            "total_lookups": int(total),
            "target": None | str() as target,
            "addresses": addresses,
            "problem": problem,
            "tree": below,
        }:
            tree = None if below is None else _tree(below, left)
            wrong = problem if isinstance(problem, Unknown) else _detail(problem)
            found = texts_of(addresses)
            return SpfTerm(text, SpfStatus(status), qualifier, mechanism, lookups, total, target, found, wrong, tree)
    raise ValueError("no term of an SPF tree")


def _trace(value: Value, left: int) -> Trace:
    match value:
        case {
            "domain": str(domain),
            "record": None | str() as record,
            "result": str(result),
            "reason": reason,
            "steps": tuple(steps),
        } if left and (detail := _detail(reason)):
            return Trace(domain, record, SpfResult(result), detail, tuple(_step(each, left - 1) for each in steps))
    raise ValueError("no SPF trace")


def _step(value: Value, left: int) -> TraceStep:
    match value:
        case {
            "term": str(term),
            "outcome": str(outcome),
            "detail": detail,
            "lookups": int(lookups),
            "void_lookups": int(void),
            "nested": below,
        }:
            nested = None if below is None else _trace(below, left)
            return TraceStep(term, StepOutcome(outcome), _detail(detail), lookups, void, nested)
    raise ValueError("no step of an SPF trace")


def _detail(value: Value) -> Detail | None:
    return value if isinstance(value, Detail) else None
