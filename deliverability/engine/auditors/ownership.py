"""Whose the identities of a mail are: alignment, all side by side, and whose the things that a report speaks of.

Alignment is whether MAIL FROM, d= and HELO belong to the author domain. The rest asks nothing of its own: the domain,
From, MAIL FROM and the sending host, from what the other auditors found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.facts.dmarc import Alignment, AuthorPolicy, Dmarc, DmarcDiscovery, DmarcVerdict
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
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.net.static import NONE_NAMED
from deliverability.core.protocols.dmarc.evaluate import (
    PUBLIC_SUFFIX,
    DmarcEvaluation,
    Identifier,
    either,
    evaluate_dmarc,
    listed_home_of,
    relation,
)
from deliverability.core.protocols.dmarc.record import POLICIES, parse
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, dns_id

MAX_AUTHORS = 5
"""Domains in one From field that are looked at; receivers refuse mail with several."""


@auditor(
    "alignment",
    Alignment,
    AuthorPolicy,
    DmarcVerdict,
    needs=(Message, Envelope, DmarcDiscovery, SpfVerdict, Dkim),
)
async def alignment_audit(ctx: Context) -> tuple[Alignment, AuthorPolicy, DmarcVerdict]:
    """Compare the identities by name, then join names and results as DMARC does (RFC 9989 section 4.4)."""
    message, envelope = ctx.of(Message), ctx.of(Envelope)
    author = message.from_domain
    if isinstance(author, Unknown) and author.reason is Reason.NO_MESSAGE:
        author = ctx.subject.domain
    mail_from = envelope.mail_from_domain
    spf, stated = ctx.of(SpfVerdict), ctx.of(Dkim).signatures
    missing = stated if isinstance(stated, Unknown) else None
    signatures = if_known(stated) or ()
    signers = tuple(dict.fromkeys(each.domain for each in signatures if each.domain is not None))
    if not isinstance(author, str):
        lost = author if isinstance(author, Unknown) else None
        # Without an author domain there is a policy, and nobody can tell whose.
        policy = AuthorPolicy.lost(lost or Unknown(Reason.NOT_CONFIGURED, NONE_NAMED()))
        return _unaligned(lost, mail_from, missing or signers), policy, DmarcVerdict(result=lost or "permerror")
    # SPF of a domain that only stands in for MAIL FROM says nothing about alignment.
    checked = spf.result if spf.result_identity != "domain" else mail_from
    authors = tuple(dict.fromkeys((author, *(if_known(message.from_domains) or ()))))[:MAX_AUTHORS]
    found = _deciding(
        await asyncio.gather(
            *(
                evaluate_dmarc(
                    each,
                    (checked, mail_from),
                    [(one.settled, one.domain) for one in signatures],
                    ctx.ports.dns,
                )
                for each in authors
            )
        )
    )
    author = found.author_domain
    policy = await _policy(ctx, found)
    of_spf, signed = found.identifiers[0], found.identifiers[1:]
    helo = envelope.helo
    by_list = found.basis == PUBLIC_SUFFIX
    helo_home = listed_home_of(helo) if by_list else ctx.of(DmarcDiscovery).helo_organizational_domain
    dkim_pass = missing or found.dkim_pass
    pairs = (
        ("spf", of_spf.passes("r"), found.spf_pass),
        ("dkim", missing or either(each.passes("r") for each in signed), dkim_pass),
    )
    alignment = Alignment(
        author_domain=author,
        basis=found.basis,
        spf=of_spf.alignment,
        dkim=missing or _best(signed),
        helo=relation(author, found.organizational_domain, helo, helo_home),
        spf_pass=found.spf_pass,
        dkim_pass=dkim_pass,
        mail_from_domain=mail_from,
        signing_domains=missing or signers,
        strict_breaks=tuple(name for name, loose, hard in pairs if loose is True and hard is False),
    )
    if missing is not None and found.result == "fail":  # a signature that is not known may still pass
        return alignment, policy, DmarcVerdict(result=missing)
    return alignment, policy, DmarcVerdict(result=found.failure or found.result)


def _unaligned(lost: Unknown | None, mail_from: Maybe[str | None], signers: Maybe[tuple[str, ...]]) -> Alignment:
    """Without an author domain there is nothing to align with."""
    return Alignment(
        author_domain=lost,
        basis=lost,
        spf=lost,
        dkim=lost,
        helo=lost,
        spf_pass=lost or False,
        dkim_pass=lost or False,
        mail_from_domain=mail_from,
        signing_domains=signers,
        strict_breaks=lost or (),
    )


def _deciding(found: Sequence[DmarcEvaluation]) -> DmarcEvaluation:
    """Of several author domains the one that fails with the strictest policy (RFC 7489 section 6.6.1), else the first.

    RFC 9989 leaves such mail out of DMARC; who evaluates it all the same does not take the mildest.
    """
    failing = [each for each in found if each.result == "fail" and isinstance(each.policy, str)]
    return max(failing, key=lambda each: POLICIES.index(str(each.policy)), default=found[0])


async def _policy(ctx: Context, found: DmarcEvaluation) -> AuthorPolicy:
    place = found.location if isinstance(found.location, str) else found.author_domain
    shown = await ctx.query(f"_dmarc.{place}", "TXT")
    record = parse(found.record) if found.record else None
    lost = found.location if isinstance(found.location, Unknown) else None
    return AuthorPolicy(
        policy_location=found.location,
        policy_record=lost or found.record,
        policy=found.policy,
        policy_legacy=found.legacy_policy,
        policy_adkim=lost or (record.adkim if record else None),
        policy_aspf=lost or (record.aspf if record else None),
        evidence=cite(dns_id(shown.name, "TXT")),
    )


def _best(signed: Sequence[Identifier]) -> Maybe[Aligned | None]:
    """The closest relation among the signatures that pass, or among all where none passes."""
    relations = [each.alignment for each in signed if each.result == "pass"] or [each.alignment for each in signed]
    if "strict" in relations or "relaxed" in relations:
        return "strict" if "strict" in relations else "relaxed"
    return next((each for each in relations if isinstance(each, Unknown)), "none" if relations else None)


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
