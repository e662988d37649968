"""Which DMARC policy comes next, and what only the user can say before it does. Asks nothing."""

from __future__ import annotations

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Purpose, Reason, Unknown
from deliverability.core.facts.dmarc import Dmarc, DmarcReports
from deliverability.core.facts.domain import Sending
from deliverability.core.facts.traffic import Gate, ReportPeriod
from deliverability.core.model.topic import Maybe, if_known
from deliverability.engine.base import Context, auditor


@auditor("gate", Gate, needs=(Dmarc, DmarcReports, Sending, ReportPeriod))
async def audit(ctx: Context) -> Gate:
    """State the policy that is asked about, and what is missing that reports do not tell."""
    hosts = ctx.of(DmarcReports).external_reports
    agreed = [each.authorised for each in if_known(hosts) or ()]
    lost = hosts if isinstance(hosts, Unknown) else next((each for each in agreed if isinstance(each, Unknown)), None)
    return Gate(
        to=_next(ctx),
        rua_authorised=False if False in agreed else lost if lost is not None else True,
        rare_missing=_rare(ctx),
    )


def _next(ctx: Context) -> Maybe[str | None]:
    """One step on from the present stage; people's domains stay at quarantine (RFC 9989 section 7.4)."""
    if ctx.subject.gate_to:
        return ctx.subject.gate_to
    stage, policy, purpose = ctx.of(Dmarc).stage, ctx.of(Dmarc).policy, ctx.of(Sending).purpose
    if isinstance(stage, Unknown):
        return stage
    if purpose == Purpose.PARKED:
        return None if stage == "reject" else "reject"
    machines = purpose in (Purpose.BULK, Purpose.TRANSACTIONAL)
    if stage == "none" or (stage == "testing" and (policy == "quarantine" or not machines)):
        return "quarantine"
    return "reject" if stage in ("testing", "quarantine") and machines else None


def _rare(ctx: Context) -> Maybe[tuple[str, ...]]:
    """The rare runs on days outside of what the reports cover; Unknown where nobody said whether there are any."""
    period = ctx.of(ReportPeriod)
    begin, end = period.begin, period.end
    if isinstance(begin, Unknown):
        return begin
    rare = ctx.subject.rare
    if rare is None:
        return Unknown(Reason.NOT_CONFIGURED, needs(Input.RARE_RUNS))
    return tuple(each for each in rare if not str(begin) <= each[:10] <= str(end))
