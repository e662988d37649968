"""Whether a report comes from who it says: by the mail that carried it (RFC 9990 section 3.5.1).

Anybody can mail a report in another's name. What counts is that the mail passes DMARC by our own check, and for a
domain of the reporter; or that a host which the user trusts wrote that it did.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import DkimReason
from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.reader import Message
from deliverability.core.mail.received import parse_authentication_results
from deliverability.core.model.observed import Trust
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.net.base import Resolver
from deliverability.core.protocols.dkim.verify import DkimResult, verify_message
from deliverability.core.protocols.dmarc.evaluate import DmarcEvaluation, Result, evaluate_dmarc
from deliverability.core.protocols.psl import registrable_domain

KEY_GONE = Code("key-gone", ("name",))
NOT_AUTHENTICATED = Code("mail-not-authenticated", ("domain",))
NO_AUTHOR = Code("mail-no-author")
NOT_VERIFIED_NOW = Code("mail-not-verified-now", ("domain",))
ANOTHERS_MAIL = Code("mail-of-another", ("domain", "reporter"))

_MAX_HEADERS = 20  # Authentication-Results fields looked at, from the top


class MailProof(Struct, frozen=True):
    """What the mail that carried a report proves.

    Attributes:
        level: VERIFIED, AUTHENTICATED or CLAIMED.
        address: of its From field, in lower case, the domain as A-label; empty: it has no single one.
        domain: of that address.
        detail: why it proves nothing; None where it does.
        settled: a later check can give nothing else; False where a look-up failed.

    """

    level: Trust
    address: str
    domain: str
    detail: Detail | None = None
    settled: bool = True


class ReportNames(Struct, frozen=True):
    """Whom a report names as its sender.

    Attributes:
        reporter: organization as it calls itself.
        email: domain of the address in the report, as A-label; empty: none.

    """

    reporter: str
    email: str = ""


async def mail_proof(mail: Message, resolver: Resolver, authserv: Collection[str], now: datetime) -> MailProof:
    """Check the mail that carried reports; `authserv`: hosts whose Authentication-Results are believed.

    Never raises for what a mail or DNS can hold.
    """
    address = _author(mail)
    domain = address.rpartition("@")[2]
    if not domain:
        return MailProof(Trust.CLAIMED, "", "", NO_AUTHOR())
    signatures = await verify_message(mail, resolver, now)
    results: list[tuple[Result, Result]] = [(_result(each), each.signature.domain) for each in signatures]
    found = await evaluate_dmarc(domain, None, results, resolver)
    if found.dkim_pass is True:
        return MailProof(Trust.VERIFIED, address, domain)
    if _is_recorded(mail, domain, authserv):
        return MailProof(Trust.AUTHENTICATED, address, domain)
    unknown = found.dkim_pass if isinstance(found.dkim_pass, Unknown) else None
    if unknown is not None:
        settled = unknown.reason is Reason.NO_MESSAGE
        return MailProof(Trust.CLAIMED, address, domain, NOT_VERIFIED_NOW(domain=domain), settled=settled)
    gone = _key_gone(signatures, found)
    detail = KEY_GONE(name=gone) if gone else NOT_AUTHENTICATED(domain=domain)
    return MailProof(Trust.CLAIMED, address, domain, detail)


class ReportTrust(Struct, frozen=True):
    """How far a report is trusted, under which name its reporter is kept, and why it is trusted no further.

    Of a mail that proves where it comes from the name is the id of the reporter that sends from there, else the address
    itself: what a report says of itself makes nobody known.
    """

    level: Trust
    reporter: str
    doubt: Detail | None = None


def trust_of(
    proof: MailProof | None, names: ReportNames, known: Mapping[str, Reporter], *, vouched: bool = False
) -> ReportTrust:
    """Whose report it is, and how sure that is.

    Args:
        proof: of the mail that carried it; None: it came as a bare file.
        names: whom the report names.
        known: the reporters that are known.
        vouched: the user says that bare files come from who they say.

    """
    claimed = _claimed(names, known)
    if proof is None:
        return ReportTrust(Trust.VERIFIED if vouched else Trust.FILE, claimed)
    if proof.level is Trust.CLAIMED:
        return ReportTrust(Trust.CLAIMED, claimed, proof.detail)
    if not _is_theirs(proof, names, known):
        return ReportTrust(Trust.CLAIMED, claimed, ANOTHERS_MAIL(domain=proof.domain, reporter=names.reporter))
    listed = reporter_named(proof.address, known)
    return ReportTrust(proof.level, listed.id if listed else proof.address)


def _claimed(names: ReportNames, known: Mapping[str, Reporter]) -> str:
    """Whom a report names: the id of one that is known, else as it calls itself, else its domain."""
    name = names.reporter.rpartition("@")[2].strip().casefold() or registrable_domain(names.email)
    listed = reporter_named(name, known)
    return listed.id if listed else name


def _is_theirs(proof: MailProof, names: ReportNames, known: Mapping[str, Reporter]) -> bool:
    """Whether that mail may bring reports of who is named in them: in a listed reporter's name only its own may."""
    listed = reporter_named(names.reporter, known)
    return listed is None or listed.sends_from(proof.address)


def _author(mail: Message) -> str:
    """The one address of the From field; empty where there are several, or none."""
    fields = mail.fields("from")
    found = {
        (each.address.rpartition("@")[0], each.domain) for field in fields for each in parse_addresses(field.value)
    }
    local, domain = found.pop() if len(found) == 1 and len(fields) == 1 else ("", None)
    return f"{local.lower()}@{domain}" if domain else ""


def _result(signature: DkimResult) -> Result:
    return signature.unsettled or signature.result.value


def _is_recorded(mail: Message, domain: str, authserv: Collection[str]) -> bool:
    """Whether the topmost Authentication-Results of a host that is believed says that DMARC passed for the domain."""
    hosts = {each.lower() for each in authserv}
    for field in mail.fields("authentication-results")[:_MAX_HEADERS] if hosts else ():
        found = parse_authentication_results(field.value)
        if found.server.lower() in hosts:
            return any(
                each.method == "dmarc"
                and each.result == "pass"
                and to_a_label(each.properties.get("header.from", "")) == domain
                for each in found.results
            )
    return False


def _key_gone(signatures: Sequence[DkimResult], found: DmarcEvaluation) -> str:
    """The name of a key that is no longer there, of a signature that would count with it."""
    aligned = [each.alignment in ("strict", "relaxed") for each in found.identifiers]
    for signature, counts in zip(signatures, aligned, strict=True):
        if counts and signature.reason in (DkimReason.KEY_MISSING, DkimReason.KEY_REVOKED):
            return signature.signature.key_name or ""
    return ""
