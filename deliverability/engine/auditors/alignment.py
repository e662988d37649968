"""Whether MAIL FROM, d= and HELO belong to the author domain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Alignment, AuthorPolicy, DmarcDiscovery, DmarcVerdict
from deliverability.core.facts.envelope import Aligned, Envelope
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import SpfVerdict
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
async def audit(ctx: Context) -> tuple[Alignment, AuthorPolicy, DmarcVerdict]:
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
