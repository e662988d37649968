"""What the user said about the domain, as facts. May import auditors.base and model."""

from __future__ import annotations

from deliverability.auditors.base import Context, auditor, spec
from deliverability.model.facts import FactType, Purpose, Reason, Unknown

PROVIDES = (
    spec("subject.domain", FactType.STR, "The audited domain as A-label."),
    spec(
        "subject.purpose",
        FactType.STR,
        "What the domain sends, as declared; unknown where the user did not say.",
        values=[p.value for p in Purpose],
    ),
    spec(
        "subject.parked",
        FactType.BOOL,
        "The user declared that the domain sends no mail (purpose parked); false where no purpose was declared.",
    ),
    spec("subject.daily_volume", FactType.INT, "Messages sent a day, as declared.", unit="messages"),
)


@auditor("subject", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """State the subject's own fields; what was not given is Unknown(not-configured)."""
    subject = ctx.subject
    ctx.put("subject.domain", subject.domain)
    ctx.put(
        "subject.purpose",
        subject.purpose.value if subject.purpose else Unknown(Reason.NOT_CONFIGURED, "--purpose"),
    )
    ctx.put("subject.parked", subject.purpose is Purpose.PARKED)
    ctx.put(
        "subject.daily_volume",
        Unknown(Reason.NOT_CONFIGURED, "--daily-volume") if subject.daily_volume is None else subject.daily_volume,
    )
