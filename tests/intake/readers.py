"""The readers of feedback with the shipped knowledge, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from deliverability.core.model.deliveries import DeliveryEvent, PublishedValue
from deliverability.core.model.observed import AggregateRow
from deliverability.core.model.replies import ReplyCatalogue
from deliverability.core.model.rules import RuleSet
from deliverability.core.replies.limits import NotReadError
from deliverability.core.replies.match import load_replies
from deliverability.core.replies.outcomes import Outcomes
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.intake.readings import FoundEvents, FoundReport, FoundValues, UnusedPart, feedback_in

NOW = 1_764_072_000  # 2025-11-25 12:00 UTC


class NoRows:
    """Takes rows and forgets them."""

    def take(self, rows: Sequence[AggregateRow]) -> None:
        """Nothing."""

    def restart(self) -> None:
        """Nothing."""


@cache
def rules() -> RuleSet:
    """The shipped ones."""
    return load_rules()


@cache
def catalogue() -> ReplyCatalogue:
    """The shipped replies."""
    return load_replies(rule_folders(), rules())


@cache
def outcomes() -> Outcomes:
    """By the shipped replies."""
    return Outcomes(catalogue())


def found(content: bytes | Path | str) -> list[FoundReport[NoRows] | FoundEvents | FoundValues | UnusedPart]:
    """All feedback of some octets; events are to be read before anything else is asked for, so they are read here."""
    octets = content.encode() if isinstance(content, str) else content
    told: list[FoundReport[NoRows] | FoundEvents | FoundValues | UnusedPart] = []
    for each in feedback_in(octets, "it", NoRows, NOW, outcomes=outcomes()):
        if isinstance(each, FoundEvents):
            told.append(FoundEvents(each.kind, iter(_all(each)), each.mail, each.name))
        else:
            told.append(each)
    return told


def _all(found: FoundEvents) -> list[DeliveryEvent]:
    """The events, up to where the file turns out to be damaged."""
    kept: list[DeliveryEvent] = []
    with contextlib.suppress(NotReadError):
        kept.extend(found.events)
    return kept


def events(content: bytes | Path | str) -> list[DeliveryEvent]:
    """What became of mails."""
    return [event for each in found(content) if isinstance(each, FoundEvents) for event in each.events]


def values(content: bytes | Path | str) -> list[PublishedValue]:
    """What a receiver publishes."""
    return [value for each in found(content) if isinstance(each, FoundValues) for value in each.values]
