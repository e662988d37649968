"""A plan that raises the volume of a domain step by step, and the numbers that it is made by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from msgspec import Struct

from deliverability.core.model.rules import SourceRef
from deliverability.core.model.schema import Field

WARM_UP_SCHEMA = "1.0"


_Percent = Annotated[float, Field(above=0, most=100)]


class StopRule(Struct, frozen=True):
    """From how many percent on the volume is held, and from how many it goes back by a step."""

    hold: _Percent
    back: _Percent


class WarmUpNumbers(Struct, frozen=True):
    """How volume is raised (rules/warm-up.yaml); all of it heuristic.

    Attributes:
        least: messages of the first step, at least.
        days: how far back one's own volume counts.
        factors: by how often mail is sent (``day``, ``week``): how many times the step before a step may be.
        most: how many times the highest day a step may be.
        stops: by what is watched: ``spam``, ``hard``, ``deferred``.
        sources: where its direction comes from.

    """

    least: Annotated[int, Field(least=1)]
    days: Annotated[int, Field(least=7, most=366)]
    factors: Annotated[Mapping[str, Annotated[float, Field(above=1, most=2)]], Field(keys=("day", "week"))]
    most: Annotated[float, Field(least=1)]
    stops: Mapping[Literal["spam", "hard", "deferred"], StopRule]
    sources: Annotated[tuple[SourceRef, ...], Field(filled=True)]


class WarmUpStep(Struct, frozen=True):
    """One sending: its day, its messages, and those to each receiver (empty: not known)."""

    day: date
    messages: int
    receivers: Mapping[str, int]


class WarmUpPlan(Struct, frozen=True):
    """The whole plan.

    Attributes:
        domain: A-label.
        stream: the sending domain that it is for; empty: all mail of the domain.
        target: messages of a sending to be reached.
        every: ``day`` or ``week``.
        origin: where one's own volume is known from: ``deliveries``, ``reports``, or empty: nowhere.
        median, highest: of the days on which mail was sent; 0: none.
        days: those days.
        steps: in order; the last one reaches the target.
        numbers: see WarmUpNumbers.

    """

    domain: str
    stream: str
    target: int
    every: str
    origin: str
    median: int
    highest: int
    days: int
    steps: tuple[WarmUpStep, ...]
    numbers: WarmUpNumbers
