"""The pieces that a report is shown in, as plain values in words of one language.

`view` makes them of a report; text, Markdown and HTML lay them out.
"""

from __future__ import annotations

from msgspec import Struct


class SourceView(Struct, frozen=True):
    """Where a requirement comes from; `url` may be empty. `checked`: when it was read and in which form, in words."""

    title: str
    section: str
    url: str
    publisher: str
    checked: str


class EffectView(Struct, frozen=True):
    """What one receiver does about an unmet requirement; `only`: for senders of which volume, where that decides."""

    receiver: str
    effect: str
    words: str
    codes: tuple[str, ...]
    only: str


class EvidenceView(Struct, frozen=True):
    """One raw observation with hidden characters written out; `more` lines were left out."""

    anchor: str
    kind: str
    asked: str
    lines: tuple[str, ...]
    more: int
    at: str
    ttl: str


class InstanceView(Struct, frozen=True):
    """One finding of a check: the item it is about and what was found there."""

    item: str
    message: str
    observed: tuple[tuple[str, str], ...]
    evidence: tuple[EvidenceView, ...]


class DifferenceView(Struct, frozen=True):
    """A point on which another program says something else, why, and its own words (or empty)."""

    text: str
    reason: str
    words: str


class OpinionView(Struct, frozen=True):
    """What other programs make of the same: in one sentence, where they differ, and what was not compared."""

    lead: str
    differences: tuple[DifferenceView, ...]
    unheard: tuple[str, ...]
