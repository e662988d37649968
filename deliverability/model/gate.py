"""Whether the next step of the DMARC policy is safe, as the findings of the gate's rules say."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from deliverability.model.report import Finding

TOPIC = "gate"
"""The rules that this topic's file holds are the gate."""


class GateKind(StrEnum):
    """SAFE: all that the claim requires (rules/claims.yaml). NOT_YET: a condition is not met. CANNOT_TELL: else."""

    SAFE = "safe"
    NOT_YET = "not-yet"
    CANNOT_TELL = "cannot-tell"


class GateAnswer(Struct, frozen=True):
    """The answer about one policy.

    Attributes:
        to: quarantine or reject.
        kind: see GateKind.
        missing: what is not met.
        open: what could not be checked, waits, or is not met and set aside by the user.
        met: how many conditions are met.

    """

    to: str
    kind: GateKind
    missing: tuple[Finding, ...] = ()
    open: tuple[Finding, ...] = ()
    met: int = 0
