"""What judging gives: findings, verdicts, the gate, a second opinion, and the report. Codes, never prose."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property

from msgspec import Struct, field

from deliverability.core.codec import digest, encode_facts
from deliverability.core.codes import NEEDS, Input
from deliverability.core.facts.base import FactSet, Reason, Unknown, Value, Waiver
from deliverability.core.model.answer import FindingId, Reach, ReportAnswer
from deliverability.core.model.claims import Lack
from deliverability.core.model.deliveries import Audience
from deliverability.core.model.profiles import ProfileResult
from deliverability.core.model.rules import Effect, Scope, Selection, Severity, VolumeClass

SECTIONS: Mapping[str, tuple[str, str]] = {
    "spf-version-case": ("RFC 7208", "12"),
    "spf-same-record-twice": ("RFC 7208", "4.5"),
    "spf-syntax-anywhere": ("RFC 7208", "4.6, 12"),
    "spf-slash-in-name": ("RFC 7208", "7.1, 12"),
    "spf-temperror": ("RFC 7208", "2.6.6, 5.2"),
    "spf-void-ptr": ("RFC 7208", "4.6.4, 5.5"),
    "spf-void-terms": ("RFC 7208", "4.6.4, 5, 5.7"),
    "spf-macro-target": ("RFC 7208", "7.2"),
    "dmarc-unrelated": ("RFC 9989", "4.10"),
    "dmarc-rest-counts": ("RFC 9989", "4.7"),
    "dmarc-no-policy": ("RFC 9989", "4.10.1"),
    "dmarc-nonexistent": ("RFC 9989", "4.10"),
    "dkim-sha1": ("RFC 8301", "3.1"),
    "dkim-key-tags": ("RFC 6376", "3.6.1, 6.1.2"),
    "dkim-expiry": ("RFC 6376", "3.5"),
    "dkim-length": ("RFC 6376", "3.5"),
    "dkim-key-multiple": ("RFC 6376", "3.6.2.2"),
    "dkim-from": ("RFC 6376", "5.4, 6.1.1"),
}
"""Code of a known reason (strings, ``opinion.reason``) -> the standard and its sections that decide for us."""


class Difference(Struct, frozen=True):
    """One point on which another program says something else than this audit, on the same answers and octets.

    Attributes:
        topic: ``spf``, ``dmarc``, ``dkim``, ``mta-sts`` or ``tls-rpt``; tells which program it is.
        subject: the domain or signature (``domain/selector``) that it is about.
        aspect: what is said of it: ``status``, ``lookups``, ``policy`` ... (strings, ``opinion.aspect``).
        ours: what this audit says.
        theirs: what the other program says.
        reason: code of the known reason (strings, ``opinion.reason``); None: nobody has explained it yet.
        said: the other program's own words, where it gave any.

    """

    topic: str
    subject: str
    aspect: str
    ours: Value
    theirs: Value
    reason: str | None = None
    said: str = ""


class Unheard(Struct, frozen=True):
    """What the other program could not be asked about; `why`: ``time``, ``dns``, ``size`` or ``crash``."""

    topic: str
    subject: str
    why: str


class SecondOpinion(Struct, frozen=True):
    """What other programs make of the same answers and octets. `compared`: how many points were."""

    compared: int
    differences: tuple[Difference, ...] = ()
    unheard: tuple[Unheard, ...] = ()


# Of the JSON report (data/report-4.schema.json): the second number grows where something is added, the first where
# something that was there changes its meaning or goes.
SCHEMA_VERSION = "4.0"

GRADES = "ABCDF"
"""The grades, the best first."""

DMARC_STAGES = ("absent", "none", "testing", "quarantine", "reject")
"""Where a domain stands with DMARC (the fact dmarc.stage), the weakest first."""


class Outcome(StrEnum):
    """What became of a rule. UNKNOWN: could not be checked, never a pass and never a failure."""

    MET = "met"
    UNMET = "unmet"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Judgement(Struct, frozen=True):
    """One rule under the eyes of a receiver that has a statement about it.

    Attributes:
        receiver: receiver id.
        outcome: may differ from the finding's where the receiver has its own limits.
        severity: for this receiver.
        effect: what the receiver does if unmet.
        codes: SMTP replies the sender would see.
        contested: see Statement.
        volume: the class of senders that it counts for, where both are possible and are judged differently.
        unknown: why this receiver's statement is undecided, where the rule itself is decided.

    """

    receiver: str
    outcome: Outcome
    severity: Severity
    effect: Effect
    codes: tuple[str, ...] = ()
    contested: bool = False
    volume: VolumeClass = VolumeClass.ANY
    unknown: Unknown | None = None


class VerdictKind(StrEnum):
    """What a receiver would do with the mail, or without a message whether DNS stands in the way of any."""

    REJECTED = "rejected"
    AT_RISK = "at-risk"
    DEPENDS = "depends"
    CANNOT_TELL = "cannot-tell"
    ACCEPTED = "accepted"
    DNS_NOT_READY = "dns-not-ready"
    DNS_PARTLY = "dns-partly"
    DNS_READY = "dns-ready"

    @property
    def rank(self) -> int:
        """The larger, the worse. What cannot be told is worse than being accepted: it may be anything."""
        return _BADNESS[self]

    @property
    def number(self) -> int:
        """For machines: 2 refused, 1 at risk, 0 no known obstacle; -1, below every threshold: cannot be told."""
        return _NUMBERS[self]


_BADNESS = {
    VerdictKind.ACCEPTED: 0,
    VerdictKind.DNS_READY: 0,
    VerdictKind.DNS_PARTLY: 1,
    VerdictKind.CANNOT_TELL: 1,
    VerdictKind.DEPENDS: 2,
    VerdictKind.AT_RISK: 3,
    VerdictKind.DNS_NOT_READY: 3,
    VerdictKind.REJECTED: 4,
}

_NUMBERS = {
    VerdictKind.CANNOT_TELL: -1,
    VerdictKind.DNS_PARTLY: -1,
    VerdictKind.ACCEPTED: 0,
    VerdictKind.DNS_READY: 0,
    VerdictKind.DEPENDS: 1,
    VerdictKind.AT_RISK: 1,
    VerdictKind.DNS_NOT_READY: 1,
    VerdictKind.REJECTED: 2,
}


EXIT_0 = "exit-0"
"""The claim that exit code 0 is."""

FINE = frozenset({VerdictKind.ACCEPTED, VerdictKind.DNS_READY})
"""The verdicts that are good news."""


class Gain(Struct, frozen=True):
    """How one receiver's verdict changes, by mending one finding or by publishing one remedy."""

    receiver: str
    before: VerdictKind
    after: VerdictKind

    @property
    def worth(self) -> int:
        """By how many steps it becomes better."""
        return self.before.rank - self.after.rank


class Finding(Struct, frozen=True):
    """One rule's result for the subject, or for one item of it.

    Attributes:
        rule: rule id.
        item: names the item of an `each` rule (for example ``example.com/s1``), else empty.
        outcome: the worst over the base rule and the selected receivers.
        severity: the worst over the base rule and the selected receivers.
        observed: fact path -> value for the facts the rule looked at; empty where it does not apply.
        limits: the limits it was held against; empty where it does not apply.
        evidence: ids of the evidence behind the observed facts.
        judgements: per selected receiver that has a statement about the rule.
        name, topic, guide, scope: of the rule; for outputs without words, which know no rules.
        used: this mail rests on the item that was judged (its record, its key); False: only other mail of the domain
            does; None: no message was given, or the rule is about no such item.
        unknown: why it could not be checked; None unless the outcome is UNKNOWN.
        fingerprint: stable across runs: the same rule and item of the same domain.
        gains: for an unmet finding, the verdicts that mending it alone changes; empty where it changes none.
        waiver: for an unmet finding, why the user accepts it; None: they do not.
        remedy: of the rule.

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
    name: str = ""
    topic: str = ""
    guide: tuple[str, ...] = ()
    scope: Scope = Scope.DELIVERY
    used: bool | None = None
    remedy: str = ""

    @property
    def counts(self) -> bool:
        """Whether receivers act on it: a risk that the user accepts is still one, what does not apply is none."""
        return self.waiver is None or self.waiver.reason == "accepted-risk"

    @property
    def waits_for_input(self) -> bool:
        """Unknown only because the user gave no message or option."""
        return self.unknown is not None and self.unknown.reason.waits_for_input

    @property
    def waits_for_stored(self) -> bool:
        """Unknown only because nothing is kept between audits that would tell: reports, earlier runs."""
        detail = self.unknown.detail if self.unknown is not None and self.waits_for_input else None
        return detail is not None and NEEDS.matches(detail) and detail.arg("input") in _STORED


_STORED = frozenset(each.value for each in Input if each.stored)


class Consequence(Struct, frozen=True):
    """What a receiver does about one rule that is unmet (or, with `outcome` UNKNOWN, might do).

    `codes` are the SMTP replies that the sender would see; `contested`: the receiver "may" do it, see Statement.
    """

    rule: str
    item: str
    effect: Effect
    codes: tuple[str, ...] = ()
    contested: bool = False
    outcome: Outcome = Outcome.UNMET


class Requirements(Struct, frozen=True):
    """How many rules a receiver names that apply here, by what became of them. ``named = met + unmet + open``."""

    named: int = 0
    met: int = 0
    unmet: int = 0
    open: int = 0


class Case(Struct, frozen=True):
    """A receiver's verdict for senders of one volume."""

    verdict: VerdictKind
    effects: tuple[Consequence, ...]


class Verdict(Struct, frozen=True):
    """One receiver's verdict: what its own published requirements say about this mail, or this domain.

    Attributes:
        receiver: receiver id.
        verdict: what the receiver would do.
        effects: what makes it so, the worst first; empty where nothing is known to stand in the way.
        requirements: how many of its published requirements were judged.
        remarks: what is asked for and unmet, and changes nothing about the mail's arrival.
        open: what could not be checked though everything needed was given, and might decide.
        if_small, if_bulk: the verdicts by volume; only where they differ.
        missing: without a message, the rules for which no record was found under the names that could be tried.
        lacks: what keeps it from being accepted, or ready, where no requirement does; see rules/claims.yaml.

    """

    receiver: str
    verdict: VerdictKind
    effects: tuple[Consequence, ...] = ()
    requirements: Requirements = Requirements()
    remarks: tuple[Consequence, ...] = ()
    open: tuple[Consequence, ...] = ()
    if_small: Case | None = None
    if_bulk: Case | None = None
    missing: tuple[str, ...] = ()
    lacks: tuple[Lack, ...] = ()

    @property
    def deciding(self) -> tuple[Consequence, ...]:
        """The effects that make the verdict what it is."""
        if self.verdict is VerdictKind.REJECTED:
            return tuple(each for each in self.effects if each.effect is Effect.REJECT and not each.contested)
        if self.verdict is VerdictKind.CANNOT_TELL:
            return self.open
        return self.effects

    @property
    def codes(self) -> tuple[str, ...]:
        """The SMTP replies that the sender would see in a bounce, for the unmet rules that decide the verdict."""
        return tuple(
            dict.fromkeys(code for each in self.deciding if each.outcome is Outcome.UNMET for code in each.codes)
        )


class Assessment(Struct, frozen=True):
    """The answer for one subject.

    Attributes:
        verdicts: one a receiver of which every rule was judged; none for a parked domain.
        grade: ``A`` to ``F``, one for the subject; empty: none can be given, see `ungraded`.
        open: checks that could not be made and could lower the grade.
        dns: without a message, the headline over all receivers; else None.
        closed: for a parked domain, whether nobody can pass as it; None where that could not be told, or not parked.
        ways: for a parked domain, the rules by which somebody could.
        parked: the domain sends nothing, as declared or by its own records.
        ungraded: what keeps the subject from having a grade; None: it has one.

    """

    verdicts: tuple[Verdict, ...]
    grade: str
    open: int = 0
    dns: VerdictKind | None = None
    closed: bool | None = None
    ways: tuple[str, ...] = ()
    parked: bool = False
    ungraded: Lack | None = None


class Care(StrEnum):
    """How careful one has to be with a remedy."""

    SAFE = "safe"
    CAREFUL = "careful"
    LAST_RESORT = "last-resort"


class RecordEdit(Struct, frozen=True):
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


class FactChange(Struct, frozen=True):
    """A fact that a remedy changes, as the rehearsal measured it."""

    path: str
    before: Value
    after: Value


class Remedy(Struct, frozen=True):
    """Records that mend a finding, rehearsed: audited as if they were published before they are shown.

    Attributes:
        rule: the rule that it is for.
        item: the item of the finding, or empty.
        code: what kind of remedy it is; picks the words (strings, ``remedies.<code>.*``).
        values: what those words name.
        edits: what to publish, in order.
        care: see Care.
        mends: rule ids (unmet before) that the rehearsal found met.
        settles: the findings behind that, item by item; also of rules that stay unmet for another item.
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
    settles: tuple[FindingId, ...] = ()
    changes: tuple[FactChange, ...] = ()
    gains: tuple[Gain, ...] = ()
    opens: tuple[str, ...] = ()
    lowers: bool = False


class Note(Struct, frozen=True):
    """A plain remark about the run (for example: the author domain differs). `code` picks the sentence."""

    code: str
    values: Mapping[str, Value] = field(default_factory=dict)


class Run(Struct, frozen=True):
    """How the report came about. `started` is taken from the recording when a run is replayed."""

    version: str
    started: str
    sources: tuple[str, ...] = ()


class Report(Struct, frozen=True, dict=True):
    """The whole answer for one subject.

    `facts` travel with it so that a renderer can show evidence and trees. The rules it was judged by do not: whoever
    puts it into words is handed them, and `rules_digest` tells which they were.
    `second_opinion` is None where it was not asked for. `answer` has the verdicts grouped, the findings turned into
    steps, and what the user did not say and both rest on. `selection` is which rules and receivers were judged.
    `audience`: whom the mail goes to, where the user said that.
    `profiles` are the baselines it was held against, which no verdict and no grade knows of.
    """

    schema_version: str
    domain: str
    message: str
    inputs: Mapping[str, Value]
    facts: FactSet
    rules_digest: str
    findings: tuple[Finding, ...]
    assessment: Assessment
    notes: tuple[Note, ...]
    run: Run
    remedies: tuple[Remedy, ...] = ()
    second_opinion: SecondOpinion | None = None
    answer: ReportAnswer = field(default_factory=ReportAnswer)
    selection: Selection = Selection()
    audience: Audience | None = None
    profiles: tuple[ProfileResult, ...] = ()

    @cached_property
    def facts_digest(self) -> str:
        """SHA-256 (hex) of the facts as JSON; worked out when it is asked for."""
        return digest(encode_facts(self.facts))

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One a receiver; none for a parked domain."""
        return self.assessment.verdicts

    @property
    def verdict_code(self) -> int:
        """The exit code as far as verdicts go: 0 where that claim may be made, 1 where what it lacks is known
        not to hold (mail that is not authenticated), 3 where it could not be told.
        """
        if EXIT_0 in self.answer.earned or self.answer.reach is Reach.NONE:
            return 0
        lacks = (lack for verdict in self.verdicts for lack in verdict.lacks)
        return 1 if any(lack.unknown is None for lack in lacks) else 3

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Findings that could not be checked although everything needed was given."""
        return tuple(f for f in self.findings if f.unknown is not None and not f.waits_for_input)

    @property
    def bugs(self) -> tuple[Finding, ...]:
        """Findings lost to an error in this program."""
        return tuple(f for f in self.findings if f.unknown is not None and f.unknown.reason is Reason.BUG)


TOPIC = "gate"
"""The rules that this topic's file holds are the gate."""


class GateKind(StrEnum):
    """SAFE: all that the claim requires (rules/claims.yaml). NOT_YET: a condition is not met. CANNOT_TELL: else.

    HITS: before any next one is asked about, the policy that is in force hits mail that is or may be the domain's own.
    """

    HITS = "hits"
    SAFE = "safe"
    NOT_YET = "not-yet"
    CANNOT_TELL = "cannot-tell"

    @property
    def number(self) -> int:
        """For machines: 1 safe, 0 not yet, -1 cannot tell, -2 the policy in force hits own mail."""
        return _GATES[self]


_GATES = {GateKind.HITS: -2, GateKind.CANNOT_TELL: -1, GateKind.NOT_YET: 0, GateKind.SAFE: 1}


class GateAnswer(Struct, frozen=True):
    """The answer about one policy.

    Attributes:
        to: quarantine or reject; of HITS the policy that is in force.
        kind: see GateKind.
        missing: what is not met.
        open: what could not be checked, waits, or is not met and set aside by the user.
        met: how many conditions are met.
        hinge: the reporter that is not among the large ones and alone reports what is wrong; empty: there is none.

    """

    to: str
    kind: GateKind
    missing: tuple[Finding, ...] = ()
    open: tuple[Finding, ...] = ()
    met: int = 0
    hinge: str = ""
