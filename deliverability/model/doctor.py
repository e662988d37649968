"""What `deliv doctor` found: one check of this machine each."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from deliverability.model.codes import Detail


class CheckState(StrEnum):
    """How a check ended.

    LIMITED: audits are as good as ever, but something that is asked for apart fails. UNKNOWN: it could not be told.
    SPARED: nothing here needs it.
    """

    GOOD = "good"
    LIMITED = "limited"
    BAD = "bad"
    UNKNOWN = "unknown"
    SPARED = "spared"


class MachineCheck(Struct, frozen=True):
    """One check. Words: ``doctor.name.NAME`` what it is about, ``doctor.do.NAME`` what to do where it is not good.

    Attributes:
        name: for example ``port-25``.
        state: how it ended.
        met: what was tried, and what came of it.

    """

    name: str
    state: CheckState
    met: Detail
