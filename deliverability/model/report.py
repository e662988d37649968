"""What judging gives: findings, verdicts and the report. Codes and values only, never prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from deliverability.model.facts import FactSet, Reason, Unknown, Value, Waiver
from deliverability.model.rules import Effect, RuleSet, Severity

# Of the JSON report (data/report-1.schema.json): the second number grows where something is added, the first where
# something that was there changes its meaning or goes.
SCHEMA_VERSION = "1.1"

GRADES = "ABCDF"
"""The grades, the best first."""


class Outcome(StrEnum):
    """What became of a rule. UNKNOWN: could not be checked, never a pass and never a failure."""

    MET = "met"
    UNMET = "unmet"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One rule under one receiver's eyes.

    Attributes:
        receiver: receiver id.
        outcome: may differ from the finding's where the receiver has its own limits.
        severity: for this receiver.
        effect: what the receiver does if unmet.
        codes: SMTP replies the sender would see.
        waits_for: ``volume`` or ``purpose`` where only that (not given) decides whether it counts; else empty.

    """

    receiver: str
    outcome: Outcome
    severity: Severity
    effect: Effect
    codes: tuple[str, ...] = ()
    waits_for: str = ""


class VerdictKind(StrEnum):
    """What a receiver would do with the mail."""

    ACCEPTED = "accepted"
    AT_RISK = "at-risk"
    REJECTED = "rejected"
    CANNOT_TELL = "cannot-tell"

    @property
    def rank(self) -> int:
        """The larger, the worse. What cannot be told is worse than being accepted: it may be anything."""
        return _BADNESS.index(self)


_BADNESS = (VerdictKind.ACCEPTED, VerdictKind.CANNOT_TELL, VerdictKind.AT_RISK, VerdictKind.REJECTED)


@dataclass(frozen=True, slots=True)
class Gain:
    """How one receiver's verdict and grade change, by mending one finding or by publishing one remedy."""

    receiver: str
    before: VerdictKind
    before_grade: str
    after: VerdictKind
    after_grade: str

    @property
    def worth(self) -> int:
        """How much better it becomes: a step of the verdict counts for more than all steps of a grade."""
        return 10 * (self.before.rank - self.after.rank) + (
            GRADES.index(self.before_grade) - GRADES.index(self.after_grade)
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's result for the subject, or for one item of it.

    Attributes:
        rule: rule id.
        item: names the item of an `each` rule (for example ``example.com/s1``), else empty.
        outcome: the worst over the base rule and the selected receivers.
        severity: the worst over the base rule and the selected receivers.
        observed: fact path -> value for the facts the rule looked at.
        limits: the limits it was held against.
        evidence: ids of the evidence behind the observed facts.
        judgements: per selected receiver.
        unknown: why it could not be checked; None unless the outcome is UNKNOWN.
        fingerprint: stable across runs: the same rule and item of the same domain.
        gains: for an unmet finding, the verdicts that mending it alone changes; empty where it changes none.
        waiver: for an unmet finding, why the user accepts it; None: they do not.

    """

    rule: str
    item: str
    outcome: Outcome
    severity: Severity
    observed: Mapping[str, Value]
    limits: Mapping[str, Value]
    evidence: tuple[str, ...]
    judgements: tuple[Judgement, ...]
    unknown: Unknown | None = None
    fingerprint: str = ""
    gains: tuple[Gain, ...] = ()
    waiver: Waiver | None = None

    @property
    def counts(self) -> bool:
        """Whether receivers act on it: a risk that the user accepts is still one, what does not apply is none."""
        return self.waiver is None or self.waiver.reason == "accepted-risk"

    @property
    def waits_for_input(self) -> bool:
        """Unknown only because the user gave no message or option."""
        return self.unknown is not None and self.unknown.reason.waits_for_input


@dataclass(frozen=True, slots=True)
class Cap:
    """A grade is never better than `grade` because `rule` (with `item`) is in `outcome`.

    `codes` are the SMTP replies that the receiver gives for it, where it names any; `effect` is what it does.
    """

    grade: str
    rule: str
    item: str
    outcome: Outcome
    codes: tuple[str, ...] = ()
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One receiver's verdict. `complete` is False where something that could lower the grade was not checked.

    Attributes:
        receiver: receiver id.
        verdict: what the receiver would do.
        grade: ``A`` to ``F``.
        complete: nothing failed to be checked and nothing waits.
        caps: what sets the grade, the worst first; each with the replies that the sender would see.
        unknown: rules that could not be checked and might decide.
        waiting: rules that wait for an input that was not given.
        waits: the same by input: ``volume``, ``purpose``, ``message`` or ``option``.

    """

    receiver: str
    verdict: VerdictKind
    grade: str
    complete: bool
    caps: tuple[Cap, ...]
    unknown: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    waits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def deciding(self) -> tuple[Cap, ...]:
        """The caps that make the verdict what it is; none where the mail is accepted."""
        if self.verdict is VerdictKind.CANNOT_TELL:
            return tuple(cap for cap in self.caps if cap.outcome is Outcome.UNKNOWN and cap.effect is not Effect.NOTE)
        effect = {VerdictKind.REJECTED: Effect.REJECT, VerdictKind.AT_RISK: Effect.RISK}.get(self.verdict)
        if effect is None:
            return ()
        return tuple(cap for cap in self.caps if cap.outcome is Outcome.UNMET and cap.effect is effect)

    @property
    def codes(self) -> tuple[str, ...]:
        """The SMTP replies that the sender would see in a bounce, for the unmet rules that decide the verdict."""
        unmet = (cap for cap in self.deciding if cap.outcome is Outcome.UNMET)
        return tuple(dict.fromkeys(code for cap in unmet for code in cap.codes))


class Care(StrEnum):
    """How careful one has to be with a remedy."""

    SAFE = "safe"
    CAREFUL = "careful"
    LAST_RESORT = "last-resort"


@dataclass(frozen=True, slots=True)
class RecordEdit:
    """One record set to publish, change or take away; the record set of one kind (SPF, DMARC, a key) at one name.

    Attributes:
        name: A-label, lower case, no trailing dot.
        type: ``TXT``, ``CNAME`` ...
        old: the values that stand there now, unquoted; empty: nothing does.
        new: the values to publish, unquoted, whole (writers split them into strings of 255 octets); empty: take away.

    """

    name: str
    type: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FactChange:
    """A fact that a remedy changes, as the rehearsal measured it."""

    path: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Remedy:
    """Records that mend a finding, rehearsed: audited as if they were published before they are shown.

    Attributes:
        rule: the rule that it is for.
        item: the item of the finding, or empty.
        code: what kind of remedy it is; picks the words (strings, ``remedies.<code>.*``).
        values: what those words name.
        edits: what to publish, in order.
        care: see Care.
        mends: rule ids (unmet before) that the rehearsal found met or no longer applicable.
        changes: the facts that matter and changed, for example ``spf.lookups`` 13 -> 7.
        gains: the verdicts that changed.
        opens: rules that are newly unmet, either of severity info (after ``p=none``: the next step) or what a more
            severe one about the same facts had kept from applying (10 lookups are many, 11 too many).

    """

    rule: str
    item: str
    code: str
    values: Mapping[str, Value]
    edits: tuple[RecordEdit, ...]
    care: Care = Care.SAFE
    mends: tuple[str, ...] = ()
    changes: tuple[FactChange, ...] = ()
    gains: tuple[Gain, ...] = ()
    opens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A plain remark about the run (for example: the author domain differs). `code` picks the sentence."""

    code: str
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """How the report came about. `started` is taken from the recording when a run is replayed."""

    version: str
    started: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer for one subject; renderers need nothing else.

    `facts` and `rules` travel with it so that a renderer can show evidence, trees and texts.
    """

    schema_version: str
    domain: str
    message: str
    inputs: Mapping[str, Value]
    facts: FactSet
    rules: RuleSet
    facts_digest: str
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[Note, ...]
    run: Run
    remedies: tuple[Remedy, ...] = ()

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Findings that could not be checked although everything needed was given."""
        return tuple(f for f in self.findings if f.unknown is not None and not f.waits_for_input)

    @property
    def bugs(self) -> tuple[Finding, ...]:
        """Findings lost to an error in this program."""
        return tuple(f for f in self.findings if f.unknown is not None and f.unknown.reason is Reason.BUG)
