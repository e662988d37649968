"""Whether the next step of the DMARC policy is safe, as the findings of the gate's rules say."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from deliverability.model.facts import FactSet, Unknown, text_of
from deliverability.model.report import Finding, Outcome

TOPIC = "gate"
"""The rules that this topic's file holds are the gate."""


class GateKind(StrEnum):
    """SAFE: every condition is met. NOT_YET: one is not. CANNOT_TELL: one could not be checked, or waits for input."""

    SAFE = "safe"
    NOT_YET = "not-yet"
    CANNOT_TELL = "cannot-tell"


class GateAnswer(Struct, frozen=True):
    """The answer about one policy.

    Attributes:
        to: quarantine or reject.
        kind: see GateKind.
        missing: what is not met.
        open: what could not be checked, or waits.
        met: how many conditions are met.

    """

    to: str
    kind: GateKind
    missing: tuple[Finding, ...] = ()
    open: tuple[Finding, ...] = ()
    met: int = 0


def gate_of(facts: FactSet, findings: Iterable[Finding]) -> GateAnswer | None:
    """The answer; None where there is no next policy to ask about, or nothing was read that could tell."""
    to = text_of(facts.value("gate.to"))
    if not to or isinstance(facts.value("traffic.begin"), Unknown):
        return None
    ours = [each for each in findings if each.topic == TOPIC]
    missing = tuple(each for each in ours if each.outcome is Outcome.UNMET and each.waiver is None)
    unknown = tuple(each for each in ours if each.outcome is Outcome.UNKNOWN)
    met = sum(each.outcome is Outcome.MET for each in ours)
    kind = GateKind.NOT_YET if missing else GateKind.CANNOT_TELL if unknown or not met else GateKind.SAFE
    return GateAnswer(to, kind, missing, unknown, met)
