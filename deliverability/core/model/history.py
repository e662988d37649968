"""What is kept of a run, and what changed since the one before: codes and values, never prose."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from deliverability.core.facts.base import EvidenceLine, FactSet, Value
from deliverability.core.model.report import Assessment, FactChange, GateKind, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import Severity


class StoredFinding(Struct, frozen=True):
    """What a run keeps of a finding: enough to say later whether it is new, still there or mended.

    `failed`: a look-up failed that it, or what a receiver says about it, rests on.
    """

    rule: str
    item: str
    fingerprint: str
    outcome: Outcome
    severity: Severity
    waived: bool = False
    failed: bool = False


class GateSeen(Struct, frozen=True):
    """The answer of the gate in a run: the policy that is asked about, and the answer."""

    to: str
    answer: GateKind


class Snapshot(Struct, frozen=True):
    """One audited subject of one run.

    Attributes:
        domain: A-label.
        source: where its message comes from, as the settings name it (a file, glob, Maildir or mbox); empty: none.
        started: when the audit began, ISO 8601 in UTC.
        inputs: what the user said about the domain (selectors, purpose ...), and of what is judged at all the
            `receivers`, `select` and `ignore`.
        facts: the facts, with evidence; texts of the message are left out of the evidence.
        findings: in rule order.
        assessment: the verdicts and the grade.
        rules_digest: of the rules that judged.
        gate: the answer of the gate; None: nothing was asked.

    """

    domain: str
    source: str
    started: str
    inputs: Mapping[str, Value]
    facts: FactSet
    findings: tuple[StoredFinding, ...]
    assessment: Assessment
    rules_digest: str
    gate: GateSeen | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One a receiver; none for a parked domain."""
        return self.assessment.verdicts


class State(Struct, frozen=True):
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
    TRAFFIC: what receivers reported did. CLOCK: nothing but time (a certificate, signature or waiver ran out). UNCLEAR:
    could not be compared.
    """

    OWN_DNS = "own-dns"
    VENDOR = "vendor"
    MAIL = "mail"
    RULES = "rules"
    SETTINGS = "settings"
    TRAFFIC = "traffic"
    CLOCK = "clock"
    UNCLEAR = "unclear"


class ChangeKind(StrEnum):
    """What became of a finding since the run before.

    GONE: it was unmet and does not apply any more. RATED: it is unmet as it was, and its severity is another.
    UNCHECKED: it could be checked before and could not now; the last known outcome stands.
    """

    NEW = "new"
    MENDED = "mended"
    GONE = "gone"
    RATED = "rated"
    STILL = "still"
    UNCHECKED = "unchecked"


class RecordKind(StrEnum):
    """A record that much else follows from."""

    SPF = "spf"
    DMARC = "dmarc"
    KEY = "key"


class RecordChange(Struct, frozen=True):
    """A DNS record set (or other evidence) that is not what it was.

    Attributes:
        cause: whose it is.
        removed: the record that stood there and does not any more; None: none did, or it only changed.

    """

    asked: str
    old: tuple[EvidenceLine, ...]
    new: tuple[EvidenceLine, ...]
    cause: Cause = Cause.UNCLEAR
    removed: RecordKind | None = None


class FindingChange(Struct, frozen=True):
    """One finding beside what it was.

    Attributes:
        before: the last known outcome; None where there was none.
        after: the outcome now.
        since: start of the run in which the known outcome was first seen.
        checked: for UNCHECKED, start of the last run that could check it.
        was: the severity before, where it is another (RATED).
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
    was: Severity | None = None


class VerdictChange(Struct, frozen=True):
    """A receiver's verdict beside what it was, the likely causes, and the records that changed and that it rests on."""

    receiver: str
    before: VerdictKind
    after: VerdictKind
    causes: tuple[Cause, ...] = ()
    records: tuple[RecordChange, ...] = ()


class Comparison(Struct, frozen=True):
    """A snapshot beside the one before it.

    Attributes:
        previous: when that run began; empty for the first run of a subject.
        changes: of the findings.
        verdicts: those that are not what they were.
        records: all DNS records that are not what they were.
        settings: what the user says otherwise: names of `Snapshot.inputs`, and ``waivers``.

    """

    domain: str
    source: str
    previous: str
    changes: tuple[FindingChange, ...]
    verdicts: tuple[VerdictChange, ...]
    records: tuple[RecordChange, ...] = ()
    settings: tuple[str, ...] = ()

    def of(self, kind: ChangeKind) -> tuple[FindingChange, ...]:
        """The changes of one kind."""
        return tuple(each for each in self.changes if each.kind is kind)
