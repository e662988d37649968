"""What the domain sends: as the user said, else as the message or the domain's own records show.

Asks nothing of DNS itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import FactType, Purpose, Reason, Unknown, Value
from deliverability.core.facts.paths import FactPath
from deliverability.core.mail.mass import bulk_signs
from deliverability.core.mail.parts import header_evidence
from deliverability.core.names import is_within
from deliverability.engine.base import Context, auditor, spec

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField

PROVIDES = (
    spec(
        "subject.purpose",
        FactType.STR,
        "What the domain sends: as declared, else bulk or parked where purpose_signs show it; unknown where nothing "
        "tells.",
        values=[p.value for p in Purpose],
    ),
    spec(
        "subject.purpose_basis",
        FactType.STR,
        "Whether the purpose was declared by the user or is inferred, an assumption to be told; none where it is "
        "neither.",
        optional=True,
        values=["declared", "inferred"],
    ),
    spec(
        "subject.purpose_signs",
        FactType.LIST_STR,
        "What an inferred purpose rests on. Bulk: list-unsubscribe, list-id, precedence-bulk, feedback-id; parked: "
        "spf-all-fails with null-mx or dmarc-reject.",
    ),
    spec(
        "subject.parked",
        FactType.BOOL,
        "The domain sends no mail: so declared (purpose parked), or inferred where nobody declared a purpose.",
    ),
    spec(
        "subject.sends",
        FactType.BOOL,
        "The domain is known to send mail: by a purpose other than parked, or a declared volume or sending address.",
    ),
)

_CLOSED: Mapping[FactPath, str] = {
    "spf.sends_nothing": "spf-all-fails",
    "domain.null_mx": "null-mx",
    "dmarc.effective_policy": "dmarc-reject",
}

NEEDS = (
    *("message.from_domain", "message.auto_submitted", "message.discussion", "message.list_owner"),
    *("envelope.mail_from_domain", "identity.sends_nothing", *_CLOSED),
)


@auditor("purpose", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
    """State the purpose, on what it rests, and what follows from it."""
    declared = ctx.subject.purpose
    says_it_sends = bool(ctx.subject.daily_volume) or bool(ctx.subject.sending_ips)
    bulk = _bulk_signs(ctx)
    if declared is not None:
        _state(ctx, declared, "declared", sends=declared is not Purpose.PARKED)
    elif bulk:
        fields = list(bulk.values())
        _state(ctx, Purpose.BULK, "inferred", tuple(bulk), [ctx.cite(header_evidence(each)) for each in fields])
    elif says_it_sends or _sent_from_it(ctx):
        _state(ctx, None, None, sends=says_it_sends)
    else:
        _infer_parked(ctx)


def _state(
    ctx: Context,
    purpose: Purpose | None,
    basis: str | None,
    signs: Value = (),
    evidence: list[str] | None = None,
    *,
    sends: bool | None = None,
) -> None:
    cited = evidence or []
    declared = purpose.value if purpose else Unknown(Reason.NOT_CONFIGURED, needs(Input.PURPOSE))
    ctx.put("subject.purpose", declared, *cited)
    ctx.put("subject.purpose_basis", basis, *cited)
    ctx.put("subject.purpose_signs", signs, *cited)
    ctx.put("subject.parked", purpose is Purpose.PARKED, *cited)
    ctx.put("subject.sends", purpose not in (None, Purpose.PARKED) if sends is None else sends, *cited)


def _bulk_signs(ctx: Context) -> dict[str, HeaderField]:
    """Marks of mail to many by code; a post to a list carries those of the list, which say nothing here."""
    message = ctx.message
    if message is None or ctx.value("message.discussion") is not False:
        return {}
    own_list = ctx.value("message.list_owner") == "own"
    return bulk_signs(message, own_list=own_list, automatic=ctx.value("message.auto_submitted") is not False)


def _sent_from_it(ctx: Context) -> bool:
    """Mail of the domain, or of a name below it, is at hand or its envelope was given: then it sends."""
    names = (ctx.value("message.from_domain"), ctx.value("envelope.mail_from_domain"))
    return any(isinstance(name, str) and is_within(name, ctx.subject.domain) for name in names)


def _infer_parked(ctx: Context) -> None:
    """Parked where the domain's records say so twice; what could not be looked up leaves it open."""
    parked = ctx.value("identity.sends_nothing")
    evidence = [ident for path in _CLOSED for ident in ctx.known[path].evidence]
    if isinstance(parked, Unknown):
        paths = ("subject.purpose", "subject.purpose_basis", "subject.purpose_signs", "subject.parked")
        ctx.put_all(dict.fromkeys(paths, parked), *evidence)
        ctx.put("subject.sends", False)
    elif parked is not True:
        _state(ctx, None, None)
    else:
        values = {path: ctx.value(path) for path in _CLOSED}
        lost = next((value for value in values.values() if isinstance(value, Unknown)), None)
        signs = tuple(code for path, code in _CLOSED.items() if values[path] in (True, "reject"))
        _state(ctx, Purpose.PARKED, "inferred", lost or signs, evidence)
