"""What the user said about the domain, as facts (what it sends: see purpose)."""

from __future__ import annotations

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Reason, Unknown, Waiver
from deliverability.core.facts.domain import AcceptedFinding, Declared
from deliverability.engine.base import Context, auditor


@auditor("subject", Declared)
async def audit(ctx: Context) -> Declared:
    """State the subject's own fields; what was not given is Unknown(not-configured)."""
    subject = ctx.subject
    today = ctx.now.date().isoformat()
    volume = subject.daily_volume
    return Declared(
        domain=subject.domain,
        daily_volume=Unknown(Reason.NOT_CONFIGURED, needs(Input.DAILY_VOLUME)) if volume is None else volume,
        waivers=tuple(_accepted(each, today) for each in subject.waivers if each.domain in ("", subject.domain)),
    )


def _accepted(waiver: Waiver, today: str) -> AcceptedFinding:
    return AcceptedFinding(
        rule=waiver.rule,
        item=waiver.item or None,
        reason=waiver.reason,
        note=waiver.note or None,
        until=waiver.until or None,
        expired=bool(waiver.until) and waiver.until < today,
        used=None,
    )
