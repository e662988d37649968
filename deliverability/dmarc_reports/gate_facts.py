"""Which DMARC policy comes next, and what only the user can say before it does. Asks nothing."""

from __future__ import annotations

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import FactType, Purpose, Reason, Unknown, Value, records_of, texts_of
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec(
        "gate.to",
        FactType.STR,
        "The policy that is asked about: the one that the user named, else the next; none: there is no next.",
        optional=True,
        values=["quarantine", "reject"],
    ),
    spec("gate.rua_authorised", FactType.BOOL, "Every report address at another organization is agreed to there."),
    spec("gate.rare_missing", FactType.LIST_STR, "Runs of rare mail whose day the reports do not cover."),
    spec("gate.trust_sources", FactType.BOOL, "The user goes by the sources where there is little mail."),
)
NEEDS = (
    *("dmarc.stage", "dmarc.policy", "dmarc.external_reports"),
    *("subject.purpose", "traffic.begin", "traffic.end"),
)


@auditor("gate", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
    """State the policy that is asked about, and what is missing that reports do not tell."""
    ctx.put("gate.to", _next(ctx))
    hosts = ctx.value("dmarc.external_reports")
    agreed = [each.get("authorised") for each in records_of(hosts)]
    lost = hosts if isinstance(hosts, Unknown) else next((each for each in agreed if isinstance(each, Unknown)), None)
    ctx.put("gate.rua_authorised", False if False in agreed else lost if lost is not None else True)
    ctx.put("gate.rare_missing", _rare(ctx))
    ctx.put("gate.trust_sources", ctx.subject.trust_sources)


def _next(ctx: Context) -> Value:
    """One step on from the present stage; people's domains stay at quarantine (RFC 9989 section 7.4)."""
    if ctx.subject.gate_to:
        return ctx.subject.gate_to
    stage, policy, purpose = ctx.value("dmarc.stage"), ctx.value("dmarc.policy"), ctx.value("subject.purpose")
    if isinstance(stage, Unknown):
        return stage
    if purpose == Purpose.PARKED.value:
        return None if stage == "reject" else "reject"
    machines = purpose in (Purpose.BULK.value, Purpose.TRANSACTIONAL.value)
    if stage == "none" or (stage == "testing" and (policy == "quarantine" or not machines)):
        return "quarantine"
    return "reject" if stage in ("testing", "quarantine") and machines else None


def _rare(ctx: Context) -> Value:
    """The rare runs on days outside of what the reports cover; Unknown where nobody said whether there are any."""
    begin, end = ctx.value("traffic.begin"), ctx.value("traffic.end")
    if isinstance(begin, Unknown):
        return begin
    rare = ctx.subject.rare
    if rare is None:
        return Unknown(Reason.NOT_CONFIGURED, needs(Input.RARE_RUNS))
    return tuple(each for each in texts_of(rare) if not str(begin) <= each[:10] <= str(end))
