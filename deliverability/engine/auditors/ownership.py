"""Whose the things are that a report speaks of, and all identities of a mail side by side. Asks nothing of its own.

The domain, From, MAIL FROM and the sending host, from what the other auditors found.
"""

from __future__ import annotations

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.facts.dmarc import Alignment, Dmarc, DmarcVerdict
from deliverability.core.facts.domain import Domain, MessageSender, Ownership
from deliverability.core.facts.envelope import (
    Aligned,
    Envelope,
    Forwarding,
    Identities,
    Link,
    Role,
    SendingAddress,
    SendingHosts,
)
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import Spf, SpfVerdict
from deliverability.core.mail.addresses import to_a_label
from deliverability.core.model.topic import Maybe, if_known
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor

OWN, SERVICE, PROVIDER, RECEIVING = "own", "service", "provider", "receiving"
FOREIGN, UNKNOWN = "foreign", "unknown"


@auditor("ownership", Ownership, needs=(Message, Forwarding, Envelope, SendingHosts, MessageSender, Alignment))
async def audit(ctx: Context) -> Ownership:
    """Decide for each of them whose it is."""
    author = ctx.of(Message).from_domain
    waits = isinstance(author, Unknown) and author.reason.waits_for_input
    mailbox = author if isinstance(author, Unknown) and not waits else _is_mailbox(ctx, author)
    taken = mailbox is True and _is_mailbox(ctx, ctx.subject.domain)
    addresses = _addresses(ctx)
    return Ownership(
        domain=FOREIGN if taken else OWN,
        author=OWN if waits else _author(ctx, author, mailbox),
        author_mailbox=mailbox,
        mail_from=_mail_from(ctx),
        sending_host=_host(ctx, addresses),
        addresses=addresses,
    )


def _is_mailbox(ctx: Context, domain: Maybe[str | None]) -> bool:
    return isinstance(domain, str) and domain in ctx.knowledge.mailboxes


def _is_home(ctx: Context, domain: str) -> bool:
    """Whether it is a name of the audited organization."""
    home = ctx.subject.domain
    return bool(home) and registrable_domain(domain) == registrable_domain(home)


def _author(ctx: Context, author: Maybe[str | None], mailbox: Maybe[bool]) -> Maybe[str | None]:
    if not isinstance(author, str):
        return author
    if mailbox is False and _is_home(ctx, author):
        return OWN
    if True not in (ctx.of(Alignment).spf_pass, ctx.of(Alignment).dkim_pass):
        return FOREIGN
    return PROVIDER if mailbox is True else UNKNOWN


def _mail_from(ctx: Context) -> Maybe[str | None]:
    domain = ctx.of(Envelope).mail_from_domain
    if not isinstance(domain, str):
        return domain
    if _is_home(ctx, domain) and not _is_mailbox(ctx, domain):
        return OWN
    passed = ctx.of(Forwarding)
    if "rewritten-sender" in (if_known(passed.forward_signs) or ()) or passed.list_post is True:
        return RECEIVING
    service = ctx.knowledge.services.get(if_known(ctx.of(MessageSender).message_service) or "")
    ours = service is not None and any(each.fits(domain) for each in service.return_path.domains)
    return SERVICE if ours else FOREIGN


def _addresses(ctx: Context) -> Maybe[tuple[str, ...]]:
    """The user's word counts, and what DNS says of an address; never that it stands in a header."""
    ips, envelope = ctx.of(SendingHosts).ips, ctx.of(Envelope)
    if isinstance(ips, Unknown):
        return ips
    if envelope.ip_source == "option":
        return tuple(each.ip for each in ips)
    helo = to_a_label(if_known(envelope.helo) or "")
    ours = helo is not None and "." in helo and _is_home(ctx, helo)
    judged = [(each.ip, _is_ours(ctx, each, helo_is_ours=ours)) for each in ips]
    open_ = next((is_ours for _, is_ours in judged if isinstance(is_ours, Unknown)), None)
    return open_ or tuple(ip for ip, is_ours in judged if is_ours is True)


def _is_ours(ctx: Context, address: SendingAddress, *, helo_is_ours: bool) -> bool | Unknown:
    """Unknown where neither the reverse name nor HELO shows it and a look-up behind one of them failed."""
    name, confirmed, matches = address.name, address.confirmed, address.helo_matches
    home = isinstance(name, str) and bool(name) and _is_home(ctx, name)
    if (home and confirmed is True) or (helo_is_ours and matches is True):
        return True
    signs = [*([confirmed] if home else [name]), *([matches] if helo_is_ours else [])]
    return next((each for each in signs if isinstance(each, Unknown)), False)


def _host(ctx: Context, addresses: Maybe[tuple[str, ...]]) -> Maybe[str]:
    ip = ctx.of(Envelope).ip
    if not isinstance(ip, str):
        return ip
    if isinstance(addresses, tuple) and ip in addresses:
        return OWN
    return SERVICE if isinstance(ctx.of(MessageSender).message_service, str) else UNKNOWN


@auditor(
    "chain",
    Identities,
    needs=(Alignment, Envelope, Dkim, Spf, SpfVerdict, DmarcVerdict, Dmarc, Domain, SendingHosts),
)
async def chain_audit(ctx: Context) -> Identities:
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
