"""How mail travels: TLS of the hops, and how the domain protects mail to it (MTA-STS, TLS-RPT, DANE, DNSSEC).

STARTTLS of the MX hosts is not probed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.transport import (
    Dane,
    DaneHost,
    Dnssec,
    Hop,
    Hops,
    MtaSts,
    MtaStsRules,
    TlsRpt,
    Validated,
)
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.received import parse_received
from deliverability.core.model.topic import Maybe, Topic, cite, if_known
from deliverability.core.net.base import Answer
from deliverability.core.protocols.dane import DaneDiscovery, discover_dane, reached
from deliverability.core.protocols.dane import DaneHost as FoundHost
from deliverability.core.protocols.dnssec import Verdict, ZoneSigning, protection, zone_signing
from deliverability.core.protocols.mta_sts import MtaStsPolicy, discover_mta_sts, discover_tls_rpt
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.base import Context, auditor, dns_id, http_evidence

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField, Message

MAX_HOPS = 100


_TLS_VERSION = re.compile(r"\b(?:SSL[ _]?v?([23])|TLS[ _]?v?1(?:[._]([0-3]))?)(?![0-9])", re.IGNORECASE)
# OpenSSL's old name for a family of ciphers, which says nothing about the version.
_CIPHER_FAMILY = re.compile(r"TLSv1/SSLv3", re.IGNORECASE)


@auditor("transport", Hops, Dnssec, Dane, needs=(Envelope,))
async def audit(ctx: Context) -> tuple[Topic, ...]:
    """State the hops of the message; ask for the records of the domain at once, then for those of its MX hosts."""
    (dane, found), (dnssec, zone, domain) = await asyncio.gather(_dane(ctx), _dnssec(ctx))
    hosts = () if isinstance(found.hosts, Unknown) else found.hosts
    others = await reached(found, zone, ctx.ports.dns, ctx.now)
    for other in others:
        _cited(ctx, other.zone.proof)
    checked = (
        {("MX", ctx.subject.domain): domain}
        | {("TLSA", each.name): each.verdict for each in hosts if each.zone.signed is True}
        | {(each.rdtype, each.host): each.verdict for each in others}
    )
    listed = tuple(
        Validated(name=name, type=rdtype, state=_state(verdict), why=_why(verdict))
        for (rdtype, name), verdict in checked.items()
        if verdict is not None
    )
    return _hops(ctx), replace(dnssec, validated=listed), dane


# --- the message ---------------------------------------------------------------------------------------------------


def _hops(ctx: Context) -> Hops:
    if ctx.message is None:
        return Hops.lost(Unknown(Reason.NO_MESSAGE))

    headers = ctx.message.fields("Received")[:MAX_HOPS]
    ids = tuple(ctx.cite(header_evidence(header)) for header in headers[:10])
    hops = []
    for header in headers:
        hop = parse_received(header.value)
        hops.append(
            Hop(
                from_ip=hop.ip,
                by=hop.by,
                protocol=hop.protocol,
                tls=hop.tls,
                tls_version=tls_version(header.value),
            )
        )
    version, of_version = _delivery(ctx, ctx.message, headers, ids)
    return Hops(hops=tuple(hops), delivery_tls_version=version, evidence=cite(*ids, delivery_tls_version=of_version))


def _delivery(
    ctx: Context, message: Message, received: Sequence[HeaderField], ids: tuple[str, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """The TLS version of the hop by which the message left its sender, and what tells it."""
    if ctx.subject.envelope is not None:
        # Seen by our own server, which the fact of the connection cites.
        seen = ctx.subject.envelope.tls if ctx.subject.envelope.public else None
        return tls_version(seen or ""), ()
    entry = delivery(message.headers, known_registrable_domain).hop
    field = entry[0] if entry else None
    envelope = ctx.of(Envelope)
    if if_known(envelope.passed_on_signs):
        field = next((each for each in received if parse_received(each.value).ip == envelope.ip), field)
    return (None, ids) if field is None else (tls_version(field.value), (ctx.cite(header_evidence(field)),))


def tls_version(received: str) -> str | None:
    """The TLS version that a Received value names, however it is spelt; None where it names none."""
    match = _TLS_VERSION.search(_CIPHER_FAMILY.sub("", received[:5000]))
    if match is None:
        return None
    return f"SSLv{match[1]}" if match[1] else f"TLSv1.{match[2] or 0}"


# --- the domain ----------------------------------------------------------------------------------------------------


@auditor("mta_sts", MtaSts, MtaStsRules)
async def mta_sts_audit(ctx: Context) -> tuple[MtaSts, MtaStsRules]:
    """Look up the record, and the policy where fetching is allowed."""
    found = await discover_mta_sts(ctx.subject.domain, ctx.ports.dns, ctx.ports.http)
    of_record, of_hosts = map(ctx.cite_answer, found.answers)
    of_host = tuple(_cited(ctx, found.of_host))
    of_policy = ctx.cite(http_evidence(found.page)) if found.page else of_record
    record, policy = found.record, found.policy
    if isinstance(record, Unknown):
        stated = replace(MtaSts.lost(record), policy_url=found.policy_url, evidence=cite(of_record, policy_url=()))
    else:
        stated = MtaSts(
            present=record is not None,
            record=record.text if record else None,
            errors=record.errors if record else (),
            id=record.id if record else None,
            policy_url=found.policy_url,
            host_found=found.host_found,
            evidence=cite(of_record, policy_url=(), host_found=(of_record, *of_host)),
        )
    lost = policy if isinstance(policy, Unknown) else None
    fetched = policy if isinstance(policy, MtaStsPolicy) else MtaStsPolicy()
    rules = MtaStsRules(
        mode=lost or fetched.mode,
        policy_mx=lost or fetched.mx,
        max_age=lost or fetched.max_age,
        policy_errors=lost or fetched.errors,
        uncovered_mx=found.uncovered_mx,
        id_kept=lost or _id_kept(ctx, stated, fetched),
        evidence=cite(of_policy, uncovered_mx=(of_policy, *((of_hosts,) if found.page else ()))),
    )
    return stated, rules


def _id_kept(ctx: Context, record: MtaSts, policy: MtaStsPolicy) -> bool | None:
    """Whether the policy was another beside the same id, and senders may still go by that."""
    seen = ctx.subject.policies_seen
    if not seen or policy.mode is None or not isinstance(record.id, str):
        return None
    now = (record.id, policy.mode, policy.mx, policy.max_age)
    return any(
        each.id == record.id
        and (each.id, each.mode, each.mx, each.max_age) != now
        and ctx.now - datetime.fromisoformat(each.seen) <= timedelta(seconds=each.max_age)
        for each in seen
    )


@auditor("tls_rpt", TlsRpt)
async def tls_rpt_audit(ctx: Context) -> TlsRpt:
    """Look up the record."""
    found = await discover_tls_rpt(ctx.subject.domain, ctx.ports.dns)
    own, record = ctx.cite_answer(found.answer), found.record
    if isinstance(record, Unknown):
        return TlsRpt.lost(record, own)
    return TlsRpt(
        present=record is not None,
        record=record.text if record else None,
        errors=record.errors if record else (),
        rua=record.rua if record else (),
        evidence=cite(own),
    )


async def _dane(ctx: Context) -> tuple[Dane, DaneDiscovery]:
    """What is stated, and what was found."""
    found = await discover_dane(ctx.subject.domain, ctx.ports.dns, ctx.now)
    ids = _cited(ctx, found.answers)
    hosts = found.hosts
    stated = Dane(
        hosts=hosts if isinstance(hosts, Unknown) else tuple(_dane_host(ctx, each) for each in hosts),
        uncovered_mx=found.uncovered,
        unchecked_hosts=found.unchecked,
        evidence=cite(*ids),
    )
    return stated, found


def _dane_host(ctx: Context, host: FoundHost) -> DaneHost:
    _cited(ctx, host.zone.answers)
    proof = _cited(ctx, host.zone.proof)
    return DaneHost(
        host=host.host,
        name=host.name,
        records=tuple(record.text for record in host.records),
        signed=host.signed,
        state=_state(host.verdict),
        why=_why(host.verdict),
        rollover=host.rollover,
        errors=host.errors,
        evidence=(dns_id(host.name, "TLSA"), *proof),
    )


async def _dnssec(ctx: Context) -> tuple[Dnssec, ZoneSigning, Verdict | None]:
    """What is stated, the zone, and the verdict where it is signed, so that there was something to validate."""
    zone = await zone_signing(ctx.subject.domain, ctx.ports.dns)
    _cited(ctx, zone.answers)
    proof = _cited(ctx, zone.proof)
    verdict = await protection(ctx.subject.domain, "MX", zone, ctx.ports.dns, ctx.now)
    stated = Dnssec(signed=zone.signed, state=_state(verdict), validated=(), evidence=cite(*proof, validated=()))
    return stated, zone, verdict if zone.signed is True else None


def _state(verdict: Verdict) -> Maybe[str]:
    protected = verdict.protects
    return protected if isinstance(protected, Unknown) else verdict.state.value


def _why(verdict: Verdict) -> tuple[Detail, ...]:
    return (verdict.why,) if verdict.why is not None else ()


def _cited(ctx: Context, answers: Iterable[Answer]) -> list[str]:
    """Keep answers as evidence and give their ids."""
    return [ctx.cite_answer(answer) for answer in answers]
