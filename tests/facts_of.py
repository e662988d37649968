"""Run a few auditors on given facts of the others, so that one topic is tested alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deliverability.core.codec import decode
from deliverability.core.facts.base import FactSet, FactSpec, FactType
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import Message
from deliverability.core.net.base import Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.base import Auditor, Context, auditor, gather

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def stating(facts: Mapping[str, Any], *readers: Auditor) -> Auditor:
    """An auditor that states these facts (JSON values); what else the readers need is not configured."""
    promised = {path for each in readers for path in each.promised}
    needed = {path for each in readers for path in each.needs} - promised
    whole = {path: {"unknown": "not-configured"} for path in sorted(needed)} | dict(facts)

    @auditor("given", provides=[FactSpec(path, FactType.STR, "given") for path in whole])
    async def stated(ctx: Context) -> None:
        for path, value in whole.items():
            ctx.put(path, decode(value))

    return stated


async def facts_of(
    auditors: Sequence[Auditor],
    resolver: Resolver,
    given: Mapping[str, Any],
    domain: str = "example.com",
    message: Message | None = None,
    **subject: Any,
) -> FactSet:
    """The facts of `auditors` where everything else they need is `given` (JSON values) or Unknown(no-message).

    `subject`: what else the user said.
    """
    promised = {path for each in auditors for path in each.promised}
    needed = {path for each in auditors for path in each.needs} - promised
    assert set(given) <= needed, f"nobody reads {set(given) - needed}"

    stated = {path: given.get(path, {"unknown": "no-message"}) for path in sorted(needed)}
    gathered = await gather(
        [stating(stated), *auditors], Subject(domain, **subject), Ports(resolver, FixedClock(NOW)), message
    )
    assert gathered.crashes == ()
    return gathered.facts
