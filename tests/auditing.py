"""An audit of a subject over ports, as the engine makes it: its report as renderers and rules see it."""

from __future__ import annotations

from msgspec.structs import replace

from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Report
from deliverability.core.model.rules import RuleSet, Selection
from deliverability.core.net.ports import Ports
from deliverability.engine.audit import Extras, report_on
from deliverability.engine.rules import load_rules


async def audit(
    subject: Subject | str = "",
    *,
    message: bytes | None = None,
    ports: Ports,
    rules: RuleSet | None = None,
    remedies: bool = True,
    second_opinion: bool = False,
) -> Report:
    asked = Subject(subject) if isinstance(subject, str) else subject
    if message is not None:
        asked = replace(asked, sample=Sample("message", data=message))
    extras = Extras(remedies, second_opinion)
    return (await report_on(asked, ports, rules or load_rules(), Selection(), extras)).report
