"""The pieces that a report is shown in, as plain values in words of one language.

`view` makes them of a report; text, Markdown and HTML lay them out.
"""

from __future__ import annotations

from dataclasses import dataclass

from deliverability.model.report import Remedy
from deliverability.view.diff import Piece


@dataclass(frozen=True, slots=True)
class SourceView:
    """Where a requirement comes from; `url` may be empty. `checked`: when it was read and in which form, in words."""

    title: str
    section: str
    url: str
    publisher: str
    checked: str


@dataclass(frozen=True, slots=True)
class EffectView:
    """What one receiver does about an unmet requirement; `only`: for senders of which volume, where that decides."""

    receiver: str
    effect: str
    words: str
    codes: tuple[str, ...]
    only: str


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One raw observation with hidden characters written out; `more` lines were left out."""

    anchor: str
    kind: str
    asked: str
    lines: tuple[str, ...]
    more: int
    at: str
    ttl: str


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One finding of a check: the item it is about and what was found there."""

    item: str
    message: str
    observed: tuple[tuple[str, str], ...]
    evidence: tuple[EvidenceView, ...]


@dataclass(frozen=True, slots=True)
class CheckView:
    """All findings of one rule that share outcome and words.

    `title` is the requirement. `headline` says what is wrong where it is unmet, since a requirement as the heading of a
    problem would read as if all were well; it only names what could not be checked. `clause` is the same within a
    sentence. `found` is what was found, beside what the headline says; where it would not tell of what, or there are
    several, `shows_instances` asks for the findings to be listed. `effect_lines` has receivers with the same effect
    together. `notes` is what receivers say about the rule; `readings` those of them whose own pages contradict each
    other.
    """

    anchor: str
    rule: str
    topic: str
    outcome: str
    outcome_label: str
    severity: str
    severity_label: str
    title: str
    headline: str
    clause: str
    found: str
    why: str
    fix: tuple[str, ...]
    instances: tuple[InstanceView, ...]
    effects: tuple[EffectView, ...]
    effort: str
    level: str
    confidence: str
    contested: bool
    sources: tuple[SourceView, ...]
    notes: tuple[str, ...]
    readings: tuple[str, ...]
    shows_instances: bool
    gains: tuple[str, ...] = ()
    gain: int = 0
    waiver: str = ""
    guide: tuple[str, ...] = ()
    effect_lines: tuple[str, ...] = ()

    @property
    def evidence(self) -> tuple[EvidenceView, ...]:
        """The evidence of all instances, each piece once."""
        return tuple({each.anchor: each for instance in self.instances for each in instance.evidence}.values())

    @property
    def to_do(self) -> bool:
        """It asks for something to be done."""
        return self.outcome == "unmet" and self.severity != "none"


@dataclass(frozen=True, slots=True)
class ReasonView:
    """A finding that decides a verdict: what is wrong, or the name of what could not be checked."""

    title: str
    rule: str
    anchor: str
    codes: tuple[str, ...]
    unknown: bool


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A receiver's verdict in words.

    Attributes:
        receiver: display name.
        kind: as in VerdictKind.
        label: the badge: what happens to the mail.
        sentence: the same as a sentence; with both cases where it depends on the volume.
        checked: how many published requirements were judged, and how many of them are met.
        reasons: the findings that decide, the worst first.
        codes: replies that the sender would see for them.
        unknown: checks that could not be made and might decide.
        remarks: requirements that are not met and change nothing about the arrival.
        about: what a sender should know about the receiver.

    """

    receiver: str
    kind: str
    label: str
    sentence: str
    checked: str
    reasons: tuple[ReasonView, ...]
    codes: tuple[str, ...]
    unknown: int
    remarks: tuple[ReasonView, ...]
    about: str


@dataclass(frozen=True, slots=True)
class VerdictGroupView:
    """What receivers that decide alike do; `checked` is empty where it differs between them."""

    kind: str
    sentence: str
    checked: str
    reasons: tuple[ReasonView, ...]


@dataclass(frozen=True, slots=True)
class EditView:
    """One record set to publish: `new` as it is pasted; `changes` from the old value to the new one, where both are."""

    name: str
    type: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    changes: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class RemedyView:
    """A remedy in words.

    Attributes:
        remedy: what it puts into words.
        anchor: where it stands on a page.
        rule: the rule it is for, with the item.
        item: names the item of the rule, or is empty.
        title: what to do.
        files: texts to publish beside the records, line by line, for example a policy file.
        edits: the records.
        care: safe, careful or last-resort.
        care_label: the same in words.
        care_words: what to look out for.
        effects: what it changes.
        mends: anchor and headline of every finding that it settles.
        gain: how much better the verdicts become.

    """

    remedy: Remedy
    anchor: str
    rule: str
    item: str
    title: str
    files: tuple[tuple[str, ...], ...]
    edits: tuple[EditView, ...]
    care: str
    care_label: str
    care_words: str
    effects: tuple[str, ...]
    mends: tuple[tuple[str, str], ...]
    gain: int


@dataclass(frozen=True, slots=True)
class StepView:
    """One of the things to do first: the finding, and the remedy where there is one."""

    check: CheckView
    remedy: RemedyView | None


@dataclass(frozen=True, slots=True)
class GuideStepView:
    """A step of the user's guide and where the domain stands."""

    key: str
    title: str
    text: str
    state: str
    label: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UncheckedView:
    """One reason, and the names of what could not be checked because of it (name, rule id, anchor)."""

    reason: str
    rules: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """A point on which another program says something else, why, and its own words (or empty)."""

    text: str
    reason: str
    said: str


@dataclass(frozen=True, slots=True)
class OpinionView:
    """What other programs make of the same: in one sentence, where they differ, and what was not compared."""

    lead: str
    differences: tuple[DifferenceView, ...]
    unheard: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitingView:
    """An input that was not given, the names of what waits for it, and how many checks these are."""

    words: str
    names: tuple[str, ...]
    checks: int
