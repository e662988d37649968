"""What is kept of a run, and what changed since the one before: codes and values, never prose. Imports model only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from deliverability.model.facts import FactSet, Value
from deliverability.model.report import Assessment, FactChange, Gain, Outcome, Verdict
from deliverability.model.rules import Severity


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run keeps of a finding: enough to say later whether it is new, still there or mended."""

    rule: str
    item: str
    fingerprint: str
    outcome: Outcome
    severity: Severity
    waived: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One audited subject of one run.

    Attributes:
        domain: A-label.
        source: where its message comes from, as the settings name it (a file, glob, Maildir or mbox); empty: none.
        started: when the audit began, ISO 8601 in UTC.
        inputs: what the user said about the domain (selectors, purpose ...).
        facts: the facts, with evidence; texts of the message are left out of the evidence.
        findings: in rule order.
        assessment: the verdicts and the grade.
        rules_digest: of the rules that judged.

    """

    domain: str
    source: str
    started: str
    inputs: Mapping[str, Value]
    facts: FactSet
    findings: tuple[Kept, ...]
    assessment: Assessment
    rules_digest: str

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One a receiver; none for a parked domain."""
        return self.assessment.verdicts


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a finding over all runs: its last known outcome, since when, and when it was last checked.

    `since` and `checked` are the starts of runs (ISO 8601 in UTC). A run that could not check it changes nothing here.
    """

    outcome: Outcome
    since: str
    checked: str


class Cause(StrEnum):
    """Why a finding or verdict changed.

    OWN_DNS: a record of the domain changed. VENDOR: a record outside of the domain did (an include that grew).
    MAIL: the sample message did. RULES: our rules did. SETTINGS: what the user said about the domain did.
    CLOCK: nothing but time (a certificate, signature or waiver ran out). UNCLEAR: could not be compared.
    """

    OWN_DNS = "own-dns"
    VENDOR = "vendor"
    MAIL = "mail"
    RULES = "rules"
    SETTINGS = "settings"
    CLOCK = "clock"
    UNCLEAR = "unclear"


class ChangeKind(StrEnum):
    """What became of a finding since the run before.

    GONE: it was unmet and does not apply any more. UNCHECKED: it could be checked before and could not now; the last
    known outcome stands.
    """

    NEW = "new"
    MENDED = "mended"
    GONE = "gone"
    STILL = "still"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A DNS record set (or other evidence) that is not what it was. `cause` says whose it is."""

    asked: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    cause: Cause = Cause.UNCLEAR


@dataclass(frozen=True, slots=True)
class Change:
    """One finding beside what it was.

    Attributes:
        before: the last known outcome; None where there was none.
        after: the outcome now.
        since: start of the run in which the known outcome was first seen.
        checked: for UNCHECKED, start of the last run that could check it.
        causes: the likely causes, the decisive one first; empty for STILL and UNCHECKED.
        records: evidence that changed and that the finding rests on.
        facts: facts that changed and that the finding looked at.

    """

    kind: ChangeKind
    rule: str
    item: str
    fingerprint: str
    severity: Severity
    before: Outcome | None
    after: Outcome
    since: str
    checked: str = ""
    causes: tuple[Cause, ...] = ()
    records: tuple[RecordChange, ...] = ()
    facts: tuple[FactChange, ...] = ()
    waived: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A snapshot beside the one before it. `previous` is empty for the first run of a subject."""

    domain: str
    source: str
    previous: str
    changes: tuple[Change, ...]
    verdicts: tuple[Gain, ...]
    records: tuple[RecordChange, ...] = ()

    def of(self, kind: ChangeKind) -> tuple[Change, ...]:
        """The changes of one kind."""
        return tuple(each for each in self.changes if each.kind is kind)
