"""SPF as it travels from auditor to remedy and view: the include tree of a record, the course of an evaluation.

Both are facts (``spf.tree``, ``spf.trace``).
"""

from __future__ import annotations

from enum import StrEnum

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.facts.base import Record, Unknown, Value

SPF_AT = Code("spf-at", ("term", "domain"))
"""The term of a record that decided."""


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


def decided_by(reason: Value) -> str:
    """The term that decided a result, with an error or without; empty where it was none."""
    at = reason.arg("what") if isinstance(reason, Detail) and ABOUT.matches(reason) else reason
    term = at.arg("term") if isinstance(at, Detail) and SPF_AT.matches(at) else ""
    return term if isinstance(term, str) else ""
