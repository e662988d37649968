"""What judging gives: findings, verdicts and the report. Codes and values only, never prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from deliverability.model.facts import FactSet, Reason, Unknown, Value
from deliverability.model.rules import Effect, RuleSet, Severity

SCHEMA_VERSION = "1.0"


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
        waits_for: ``volume`` where only the (not given) volume decides whether it counts; else empty.

    """

    receiver: str
    outcome: Outcome
    severity: Severity
    effect: Effect
    codes: tuple[str, ...] = ()
    waits_for: str = ""


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

    @property
    def waits_for_input(self) -> bool:
        """Unknown only because the user gave no message or option."""
        return self.unknown is not None and self.unknown.reason.waits_for_input


class VerdictKind(StrEnum):
    """What a receiver would do with the mail."""

    ACCEPTED = "accepted"
    AT_RISK = "at-risk"
    REJECTED = "rejected"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True)
class Cap:
    """A grade is never better than `grade` because `rule` (with `item`) is in `outcome`."""

    grade: str
    rule: str
    item: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """One receiver's verdict. `complete` is False where something that could lower the grade was not checked."""

    receiver: str
    verdict: VerdictKind
    grade: str
    complete: bool
    caps: tuple[Cap, ...]
    unknown: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


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

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Findings that could not be checked although everything needed was given."""
        return tuple(f for f in self.findings if f.unknown is not None and not f.waits_for_input)

    @property
    def bugs(self) -> tuple[Finding, ...]:
        """Findings lost to an error in this program."""
        return tuple(f for f in self.findings if f.unknown is not None and f.unknown.reason is Reason.BUG)
