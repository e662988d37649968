"""The pieces that a report is shown in, as plain values in words of one language.

`view` makes them of a report; text, Markdown and HTML lay them out.
"""

from __future__ import annotations

from deliverability._values import dataclass


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
