"""The answer of a report as values: what decides at whom, what the records show, what to do and in which order.

Everything that a renderer would otherwise have to judge is settled here: grouping, order, what is folded, which change
is a gain. Codes and values only; words are made of them in `words`, lines and pages in `render`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from deliverability.core.codes import Input
from deliverability.core.facts.base import Unknown, Value
from deliverability.core.model.claims import Lack
from deliverability.core.model.rules import Effect, Place, Scope, Severity

if TYPE_CHECKING:
    from deliverability.core.model.report import Care, FactChange, GateAnswer, RecordEdit, VerdictKind


class Reach(StrEnum):
    """Whether look-ups were answered. NONE: not one question of the run, neither by a record nor by its absence."""

    ALL = "all"
    PARTLY = "partly"
    NONE = "none"


class FindingId(Struct, frozen=True):
    """One rule, or one item of it: what a finding is about."""

    rule: str
    item: str = ""


class Assumed(Struct, frozen=True):
    """What the user did not say and the answer rests on.

    Attributes:
        input: what it is, and so what overrides it: PURPOSE, DAILY_VOLUME, MAIL_FROM, HELO, SENDING_IP.
        value: what was assumed; for DAILY_VOLUME ``small-or-bulk`` (both classes were judged, no number was given) or
            ``bulk-or-not`` (a number was given; some receiver leaves open who counts as bulk).
        because: codes of the reasons: signs of a purpose (``list-unsubscribe``, ``null-mx``: words ``assumed.sign.*``),
            the place where a part of the envelope was read (``return-path``, ``received``: words
            ``envelope-source.*``); empty for DAILY_VOLUME.

    """

    input: Input
    value: Value
    because: tuple[str, ...] = ()


class ReceiverEffect(Struct, frozen=True):
    """What a receiver does, in its own terms. `contested`: it "may" do it (a contested reject: "may refuse")."""

    effect: Effect
    contested: bool = False


class ReceiverGroup(Struct, frozen=True):
    """Receivers of which the same is true for the same reasons; groups stand worst first.

    Attributes:
        kind: what becomes of the mail; without a message one of the ``dns-*`` kinds.
        effects: the effects that make it so, the worst first; none where it is accepted or cannot be told.
        receivers: ids in their display order.
        deciding: the findings that decide, the one to name first first (that which the earliest step settles); for
            CANNOT_TELL what could not be checked, for DNS_PARTLY what was not found; none where it is accepted.
        codes: SMTP replies of the rules that decide; of all its receivers, each once.
        steps: numbers of the steps that help these receivers; of a verdict that gets better, all that it takes.
        same_cause: the first cause of this group is that of the group above, and so are its steps: say so instead of
            repeating it.
        small, bulk: for DEPENDS, what happens below and from `bulk_from` a day; `effects` and `deciding` are then
            those of the worse of the two.
        bulk_from: for DEPENDS, the number of the receivers, or None where none is published.
        bulk_only: without a message, what decides counts for bulk senders only.
        checked: how many published requirements could be checked, over all receivers of the group.
        met: how many of these are met.
        remarks: how many lesser things are asked for and unmet (different rules).
        lacks: what keeps the mail from being accepted, or DNS from being ready, where no finding does.

    """

    kind: VerdictKind
    effects: tuple[ReceiverEffect, ...] = ()
    receivers: tuple[str, ...] = ()
    deciding: tuple[FindingId, ...] = ()
    codes: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    same_cause: bool = False
    small: VerdictKind | None = None
    bulk: VerdictKind | None = None
    bulk_from: int | None = None
    bulk_only: bool = False
    checked: int = 0
    met: int = 0
    remarks: int = 0
    lacks: tuple[Lack, ...] = ()


class TileTopic(StrEnum):
    """What of the domain's records has a tile, in the order in which they stand."""

    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    MX = "mx"
    TLS_RPT = "tls-rpt"
    MTA_STS = "mta-sts"
    BIMI = "bimi"
    DANE = "dane"
    PTR = "ptr"


class TileState(StrEnum):
    """The mark of a tile: ✗ an unmet error, ▲ an unmet warning, ✓ all that it rests on holds (rules/claims.yaml), • it
    is published and no more is known, ? no answer, – nothing there.
    """

    BROKEN = "broken"
    FLAWED = "flawed"
    FINE = "fine"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"
    NOTHING = "nothing"

    @property
    def rank(self) -> int:
        """The larger, the worse; for the mark of a row of many domains."""
        return _TILE_RANKS[self]


_TILE_RANKS = {
    TileState.NOTHING: 0,
    TileState.FINE: 1,
    TileState.NEUTRAL: 2,
    TileState.UNKNOWN: 3,
    TileState.FLAWED: 4,
    TileState.BROKEN: 5,
}


class Tile(Struct, frozen=True):
    """The state of one kind of record. BIMI and DANE only where something is published, PTR only with an address.

    Attributes:
        facts: fact path -> value, what the tile shows (``spf.record``, ``spf.lookups``, ``dmarc.stage``, ...).
        services: names of the services behind it: that SPF lets send, whose keys or MX these are (ids).
        findings: the unmet findings that colour it, the worst first.
        step: number of the first step that settles one of them.
        why: for UNKNOWN, why there is no answer (or which names were tried in vain).
        inbound: it is about mail that the domain receives, and is drawn in grey.
        lack: for NEUTRAL, what keeps it from being in order.

    """

    topic: TileTopic
    state: TileState
    facts: Mapping[str, Value] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    findings: tuple[FindingId, ...] = ()
    step: int | None = None
    why: Unknown | None = None
    inbound: bool = False
    lack: Lack | None = None


class Chip(Struct, frozen=True):
    """What a step gains at some receivers, measured by judging again with it and the steps above it done.

    Attributes:
        receivers: ids, in display order.
        before: what becomes of the mail now.
        effects: what the receivers do about it now (the words of `before` where it is at risk).
        after: what becomes of it then, always known and better; None: the step takes a reason away and what becomes
            of the mail is not known then ("no longer a reason for spam; a message says more").
        after_effects: what they still do then, where `after` is at risk.
        with_steps: numbers of later steps that it takes as well.

    """

    receivers: tuple[str, ...]
    before: VerdictKind
    effects: tuple[ReceiverEffect, ...]
    after: VerdictKind | None
    after_effects: tuple[ReceiverEffect, ...] = ()
    with_steps: tuple[int, ...] = ()


class PlanStep(Struct, frozen=True):
    """One thing to do: a remedy (records) or a task (a setting, a header field, a file). Words: ``words/steps.py``.

    Attributes:
        number: 1, 2, 3 ... over the whole plan; the same in every output.
        task: code of the task (rules/tasks.yaml); empty where it is a remedy.
        remedy: code of the remedy (strings ``remedies.<code>.*``); empty where it is a task. Both are empty where a
            rule of the user's own names neither: the step is what the rule advises.
        values: what the words name, by placeholder.
        place: where it is done.
        at: more precisely: id of the sending service, the domain of somebody else, the address; may be empty.
        services: ids of the services whose settings it is about; the first is `at` where `place` is SERVICE.
        findings: what it settles, the one that it is for first, without what a step above settles.
        rules: the rules of those findings, each once.
        edits: the records, in order; empty for a task.
        gains: what changes for receivers, the best first.
        changes: facts that it changes (SPF look-ups 11 to 10): a grey line, no chip.
        care: see Care.
        condition: code of what has to be true first (``read-reports``; ``reports-say-safe``: it is; ``senders-lost``:
            mail that passes SPF by what it takes away passes otherwise; ``sends-nothing``); empty: nothing.
        follows: numbers of the steps to do before it: whose record it continues, and which have the mail of a service
            pass without what it takes out of SPF.
        scope: what it touches; INBOUND stands in a fold of its own, last.
        severity: of the worst finding that it settles.
        beside: this mail does not use what it mends: it is not the reason for this mail.
        checked_at: where `beside`, the domain that this mail was checked at instead; may be empty.
        folded: not among those shown at first.

    """

    number: int
    place: Place
    findings: tuple[FindingId, ...]
    care: Care
    scope: Scope
    severity: Severity
    task: str = ""
    remedy: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    at: str = ""
    services: tuple[str, ...] = ()
    edits: tuple[RecordEdit, ...] = ()
    gains: tuple[Chip, ...] = ()
    changes: tuple[FactChange, ...] = ()
    condition: str = ""
    follows: tuple[int, ...] = ()
    beside: bool = False
    checked_at: str = ""
    folded: bool = False

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that it settles, each once."""
        return tuple(dict.fromkeys(each.rule for each in self.findings))

    @property
    def code(self) -> str:
        """The code of the remedy or task, whichever it is."""
        return self.remedy or self.task

    @property
    def inbound(self) -> bool:
        """Whether it is about mail that the domain receives."""
        return self.scope is Scope.INBOUND


class PolicyWait(StrEnum):
    """What comes before the next DMARC stage, in this order; no step offers it then.

    ADDRESS: the record names no address for reports. HITS: the one in force hits own mail. NOT_YET: by what receivers
    report it is not safe yet. CANNOT_TELL: their reports do not tell yet. PASSES: the message at hand does not pass
    DMARC. MESSAGE: no message shows that mail passes. REHEARSAL: something would get worse, or it could not be
    rehearsed.
    """

    ADDRESS = "address"
    HITS = "hits"
    NOT_YET = "not-yet"
    CANNOT_TELL = "cannot-tell"
    PASSES = "passes"
    MESSAGE = "message"
    REHEARSAL = "rehearsal"


class GuideState(StrEnum):
    """Where a step of the guide stands. NOTHING_HERE: nothing here is of the kind that it is about."""

    DONE = "done"
    TO_DO = "to-do"
    NOTHING_HERE = "nothing-here"
    NOT_KNOWN = "not-known"


class Because(StrEnum):
    """Why a step of the guide stands where it does.

    SEEN: what it asks for was observed (done). NEEDLESS: there is nothing here that it is about (nothing here). UNMET:
    a finding is open (to do). WAIVED: the user waived what is open (not known). WAITS: something was not given, see
    `unknown` (not known). FAILED: a look-up was not answered (not known). UNSEEN: only the reader can tell (not known).
    LEFT_OUT: rules that would tell were not judged (not known).
    """

    SEEN = "seen"
    NEEDLESS = "needless"
    UNMET = "unmet"
    WAIVED = "waived"
    WAITS = "waits"
    FAILED = "failed"
    UNSEEN = "unseen"
    LEFT_OUT = "left-out"


class GuideStep(Struct, frozen=True):
    """A step of the user's guide (rules/guide.yaml, by `key`), and where this domain or mail stands.

    Attributes:
        steps: numbers of the steps of the plan that settle `findings`, each once; none does where it is empty.
        findings: what is open, the worst first.
        unknown: for WAITS and FAILED, what was missing.

    """

    key: str
    state: GuideState
    because: Because
    steps: tuple[int, ...] = ()
    findings: tuple[FindingId, ...] = ()
    unknown: Unknown | None = None


class Unanswered(Struct, frozen=True):
    """A question to DNS without an answer, and why."""

    type: str
    name: str
    unknown: Unknown


class Waits(Struct, frozen=True):
    """How many findings wait for something that only the user can give. `input` None: for a message."""

    input: Input | None
    findings: int


class MailKind(Struct, frozen=True):
    """For which kind of mail the verdicts hold.

    Attributes:
        purpose: ``users``, ``bulk``, ``transactional`` or ``parked``; None: nothing tells, and the mail is judged as
            mail to individual people.
        basis: ``declared`` or ``inferred``; None where nothing tells.
        signs: by which it was inferred (words ``assumed.sign.*``).
        as_bulk: where nothing tells of a message, the receivers that would do worse to a newsletter, worst first; None:
            not asked.

    """

    purpose: str | None = None
    basis: str | None = None
    signs: tuple[str, ...] = ()
    as_bulk: tuple[ReceiverGroup, ...] | None = None


class ReportAnswer(Struct, frozen=True):
    """The answer for one subject. Empty for a report that nobody judged.

    Attributes:
        assumed: on what it rests beside what the user said.
        mail: for which kind of mail the verdicts hold.
        groups: what becomes of the mail, by receivers, worst first; none for a parked domain or where `reach` is none.
        tiles: the records of the domain, in order; none where `reach` is none.
        plan: all steps by number: shown, folded, then those for mail received; never one that a waiver settles.
        policy_waits: why the plan does not offer the next DMARC stage; empty where it does, or there is none.
        guide: the sixteen steps; none for a parked domain or where `reach` is none.
        reach: whether look-ups were answered.
        unanswered: the questions that were not, each once.
        waits: what could be checked if more were given, what most findings wait for first.
        sends_nothing: SPF lets nobody send as the domain, and it does not count as parked: all its mail fails SPF.
        numbered: the numbers are those that `deliv fix` gives; without a rehearsal of the records they are others, and
            not shown.
        gate: whether the next DMARC policy is safe; None: there is none to ask about, or nothing was read.
        earned: keys of the claims about the whole subject that may be made (rules/claims.yaml).
        lacks: of those that may not, what the first of them lacks.

    """

    assumed: tuple[Assumed, ...] = ()
    groups: tuple[ReceiverGroup, ...] = ()
    tiles: tuple[Tile, ...] = ()
    plan: tuple[PlanStep, ...] = ()
    policy_waits: tuple[PolicyWait, ...] = ()
    guide: tuple[GuideStep, ...] = ()
    reach: Reach = Reach.ALL
    unanswered: tuple[Unanswered, ...] = ()
    waits: tuple[Waits, ...] = ()
    sends_nothing: bool = False
    numbered: bool = True
    gate: GateAnswer | None = None
    earned: frozenset[str] = frozenset()
    lacks: Mapping[str, Lack] = field(default_factory=dict)
    mail: MailKind = MailKind()

    @property
    def shown(self) -> tuple[PlanStep, ...]:
        """The steps that stand open."""
        return tuple(each for each in self.plan if not each.folded and not each.inbound)

    @property
    def folded(self) -> tuple[PlanStep, ...]:
        """The rest that is worth doing."""
        return tuple(each for each in self.plan if each.folded and not each.inbound)

    @property
    def for_received(self) -> tuple[PlanStep, ...]:
        """The steps for mail that the domain receives; they are not counted among the steps."""
        return tuple(each for each in self.plan if each.inbound)

    def settles(self, finding: FindingId) -> int | None:
        """The number of the step that settles a finding; None: no step does."""
        return next((each.number for each in self.plan if finding in each.findings), None)
