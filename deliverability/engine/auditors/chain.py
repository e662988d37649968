"""All identities of a mail side by side, from what the other auditors found; asks nothing."""

from __future__ import annotations

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.facts.dmarc import Alignment, Dmarc, DmarcVerdict
from deliverability.core.facts.domain import Domain
from deliverability.core.facts.envelope import Aligned, Envelope, Identities, Link, Role, SendingHosts
from deliverability.core.facts.spf import Spf, SpfVerdict
from deliverability.core.model.topic import Maybe, if_known
from deliverability.engine.base import Context, auditor


@auditor(
    "chain",
    Identities,
    needs=(Alignment, Envelope, Dkim, Spf, SpfVerdict, DmarcVerdict, Dmarc, Domain, SendingHosts),
)
async def audit(ctx: Context) -> Identities:
    """Put the identities side by side; asks nothing but what was answered already."""
    return Identities(chain=_chain(ctx), sends_nothing=_sends_nothing(ctx))


def _chain(ctx: Context) -> Maybe[tuple[Link, ...]]:
    alignment, envelope, spf = ctx.of(Alignment), ctx.of(Envelope), ctx.of(SpfVerdict)
    author = alignment.author_domain
    if isinstance(author, Unknown):
        return author
    ips = if_known(ctx.of(SendingHosts).ips) or ()
    links = [_link("author-domain", author, None, ctx.of(DmarcVerdict).result, "dmarc")]
    if not _waits(envelope.mail_from_domain):
        result = spf.result if spf.result_identity in ("mail-from", "helo") else None
        links.append(_link("mail-from", envelope.mail_from_domain, alignment.spf, result, "spf"))
    if not _waits(envelope.helo):
        confirmed = next((each.helo_matches for each in ips), None)
        links.append(_link("helo", envelope.helo, alignment.helo, _verdict(confirmed), "dns"))
    for signature in if_known(ctx.of(Dkim).signatures) or ():
        aligned = _signed(author, signature)
        links.append(_link("dkim", signature.domain, aligned, signature.result, "dkim"))
    links += [_link("ptr", each.name, each.aligned, _verdict(each.confirmed), "dns") for each in ips]
    return tuple(link for link in links if link.name is not None)


def _link(
    role: Role,
    name: Maybe[str | None],
    aligned: Maybe[Aligned | None],
    authenticated: Maybe[str | None],
    by: str,
) -> Link:
    return Link(role=role, name=name, aligned=aligned, authenticated=authenticated, by=by)


def _waits(value: object) -> bool:
    """Nobody told it: then it is no link of the chain, known or unknown."""
    return isinstance(value, Unknown) and value.reason.waits_for_input


def _signed(author: str | None, signature: DkimSignature) -> Maybe[Aligned | None]:
    if signature.domain == author:
        return "strict"
    aligned = signature.aligned
    return ("relaxed" if aligned else "none") if isinstance(aligned, bool) else aligned


def _verdict(confirmed: Maybe[bool | None]) -> Maybe[str | None]:
    return ("pass" if confirmed else "fail") if isinstance(confirmed, bool) else confirmed


def _sends_nothing(ctx: Context) -> bool | Unknown:
    """One certain no is enough for no; SPF alone could be a mistake, a second declaration makes it a decision."""
    spf, null_mx = ctx.of(Spf).sends_nothing, ctx.of(Domain).null_mx
    policy = ctx.of(Dmarc).effective_policy
    if spf is False:
        return False
    second = null_mx is True or policy == "reject"
    if second:
        return spf if isinstance(spf, Unknown) else True
    return next((each for each in (null_mx, policy) if isinstance(each, Unknown)), False)
