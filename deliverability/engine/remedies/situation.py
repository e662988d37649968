"""What remedies are drafted from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.model.report import Finding, GateAnswer
from deliverability.core.model.services import Service

if TYPE_CHECKING:
    from deliverability.engine.remedies.spf_passing import Earlier


class Situation(Struct, frozen=True):
    """The facts and (at least the unmet) findings of an audit, and the sending services that are known.

    `earlier`: the remedies that these build on, where `facts` are those that the earlier ones lead to. `gate`: whether
    the next DMARC policy is safe by what receivers report, as the domain is now; None where no reports were read.
    """

    facts: FactSet
    findings: Sequence[Finding]
    services: Mapping[str, Service]
    earlier: Earlier | None = None
    gate: GateAnswer | None = None
