"""What the user said about the domain, as facts (what it sends: see purpose)."""

from __future__ import annotations

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import FactType, Reason, Unknown
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec("subject.domain", FactType.STR, "The audited domain as A-label."),
    spec("subject.daily_volume", FactType.INT, "Messages sent a day, as declared.", unit="messages"),
    spec(
        "subject.waivers",
        FactType.LIST_RECORD,
        "Findings that the user accepts, as the settings file names them for this domain.",
        key=["rule", "item"],
    ),
    spec("subject.waivers[].rule", FactType.STR, "Rule id that is waived."),
    spec("subject.waivers[].item", FactType.STR, "Item of the rule that is waived; none: every item.", optional=True),
    spec(
        "subject.waivers[].reason",
        FactType.STR,
        "Why the finding is accepted.",
        values=["accepted-risk", "handled-elsewhere", "not-applicable", "false-positive"],
    ),
    spec("subject.waivers[].note", FactType.STR, "A remark of the user.", optional=True),
    spec("subject.waivers[].until", FactType.STR, "Last day on which the waiver counts (ISO date).", optional=True),
    spec("subject.waivers[].expired", FactType.BOOL, "That day is over."),
    spec(
        "subject.waivers[].used",
        FactType.BOOL,
        "A finding is unmet that the waiver covers (or would, had it not run out); known once all others are judged.",
        optional=True,
    ),
)


@auditor("subject", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """State the subject's own fields; what was not given is Unknown(not-configured)."""
    subject = ctx.subject
    ctx.put("subject.domain", subject.domain)
    ctx.put(
        "subject.daily_volume",
        Unknown(Reason.NOT_CONFIGURED, needs(Input.DAILY_VOLUME))
        if subject.daily_volume is None
        else subject.daily_volume,
    )
    today = ctx.now.date().isoformat()
    ctx.put(
        "subject.waivers",
        tuple(
            {
                "rule": waiver.rule,
                "item": waiver.item or None,
                "reason": waiver.reason,
                "note": waiver.note or None,
                "until": waiver.until or None,
                "expired": bool(waiver.until) and waiver.until < today,
                "used": None,
            }
            for waiver in subject.waivers
            if waiver.domain in ("", subject.domain)
        ),
    )
