"""How mail travels: TLS of the hops, and how the domain protects mail to it (MTA-STS, TLS-RPT, DANE, DNSSEC).

STARTTLS of the MX hosts is not probed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from deliverability.core.facts.base import FactType, Reason, Unknown, Value, texts_of
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.received import parse_received
from deliverability.core.net.base import Answer
from deliverability.core.protocols.dane import DaneHost, discover_dane
from deliverability.core.protocols.dnssec import Verdict, zone_signing
from deliverability.core.protocols.mta_sts import MtaStsPolicy, discover_mta_sts
from deliverability.core.protocols.protection import protection
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.core.protocols.tls_rpt import discover_tls_rpt
from deliverability.engine.base import Context, auditor, dns_id, http_evidence, spec

MAX_HOPS = 100

PROVIDES = (
    spec("transport.hops", FactType.LIST_RECORD, "Hops of the message by its Received fields, the last first."),
    spec("transport.hops[].from_ip", FactType.STR, "Address of the client.", optional=True),
    spec("transport.hops[].by", FactType.STR, "The server.", optional=True),
    spec("transport.hops[].protocol", FactType.STR, "The with word.", optional=True),
    spec("transport.hops[].tls", FactType.BOOL, "It came over TLS; none where the hop does not tell.", optional=True),
    spec("transport.hops[].tls_version", FactType.STR, "Version, for example TLSv1.3.", optional=True),
    spec(
        "transport.delivery_tls_version",
        FactType.STR,
        "TLS version of the hop by which the message left its sender (envelope.ip), where the hop tells it.",
        optional=True,
        values=["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
    ),
    spec("dnssec.signed", FactType.BOOL, "The zone of the domain is signed with DNSSEC: the zone above says so."),
    spec(
        "dnssec.state",
        FactType.STR,
        "What validating the domain's MX records, or their absence, comes to, from the root's keys on (RFC 4033); "
        "unknown where it is indeterminate.",
        values=["secure", "insecure", "bogus"],
    ),
    spec(
        "dnssec.validated",
        FactType.LIST_RECORD,
        "Of signed zones, the answers whose signatures were checked.",
        key=["name", "type"],
    ),
    spec("dnssec.validated[].name", FactType.STR, "Name."),
    spec("dnssec.validated[].type", FactType.STR, "Type of the records."),
    spec("dnssec.validated[].state", FactType.STR, "As dnssec.state.", values=["secure", "insecure", "bogus"]),
    spec("dnssec.validated[].why", FactType.LIST_DETAIL, "Why it is not secure."),
    spec("mta_sts.present", FactType.BOOL, "An MTA-STS record (RFC 8461) is published, valid or not."),
    spec("mta_sts.record", FactType.STR, "That record (the first one).", optional=True),
    spec("mta_sts.errors", FactType.LIST_DETAIL, "What is wrong with it, one each."),
    spec("mta_sts.id", FactType.STR, "id=, which changes with the policy.", optional=True),
    spec("mta_sts.policy_url", FactType.STR, "Where the policy is published."),
    spec(
        "mta_sts.mode",
        FactType.STR,
        "mode of the policy; known only where it may be fetched.",
        optional=True,
        values=["enforce", "testing", "none"],
    ),
    spec("mta_sts.policy_mx", FactType.LIST_STR, "mx patterns of the policy; known only where it may be fetched."),
    spec("mta_sts.max_age", FactType.INT, "max_age of the policy.", unit="seconds", optional=True),
    spec("mta_sts.policy_errors", FactType.LIST_DETAIL, "What is wrong with the policy, one each."),
    spec("mta_sts.uncovered_mx", FactType.LIST_STR, "MX hosts that no pattern of the policy fits."),
    spec("tls_rpt.present", FactType.BOOL, "A TLS-RPT record (RFC 8460) is published, valid or not."),
    spec("tls_rpt.record", FactType.STR, "That record (the first one).", optional=True),
    spec("tls_rpt.errors", FactType.LIST_DETAIL, "What is wrong with it, one each."),
    spec("tls_rpt.rua", FactType.LIST_STR, "Where reports go."),
    spec("dane.hosts", FactType.LIST_RECORD, "MX hosts with TLSA records for port 25 (RFC 7672).", key=["host"]),
    spec("dane.hosts[].host", FactType.STR, "MX host."),
    spec("dane.hosts[].name", FactType.STR, "Name of the TLSA records."),
    spec("dane.hosts[].records", FactType.LIST_STR, "TLSA records."),
    spec(
        "dane.hosts[].signed",
        FactType.BOOL,
        "Their signatures are valid from the root on; without that senders do not use them.",
    ),
    spec("dane.hosts[].state", FactType.STR, "As dnssec.state.", values=["secure", "insecure", "bogus"]),
    spec("dane.hosts[].why", FactType.LIST_DETAIL, "Why they are not secure."),
    spec("dane.hosts[].errors", FactType.LIST_DETAIL, "Records that senders of mail cannot use, one each."),
    spec(
        "dane.hosts[].rollover",
        FactType.BOOL,
        "Two usable records of usage 3, or one each of usage 3 and 2: the certificate can be changed without a gap.",
    ),
    spec("dane.hosts[].evidence", FactType.LIST_STR, "Ids of the evidence for this host."),
    spec("dane.uncovered_mx", FactType.LIST_STR, "MX hosts without a TLSA record that senders can use."),
    spec("dane.unchecked_hosts", FactType.LIST_STR, "MX hosts whose TLSA records could not be asked for."),
)

_TLS_VERSION = re.compile(r"\b(?:SSL[ _]?v?([23])|TLS[ _]?v?1(?:[._]([0-3]))?)(?![0-9])", re.IGNORECASE)
# OpenSSL's old name for a family of ciphers, which says nothing about the version.
_CIPHER_FAMILY = re.compile(r"TLSv1/SSLv3", re.IGNORECASE)


@auditor("transport", provides=PROVIDES, needs=("envelope.ip", "envelope.passed_on_signs"))
async def audit(ctx: Context) -> None:
    """State the hops of the message; ask for the records of the domain at once, then for those of its MX hosts."""
    _hops(ctx)
    _, _, hosts, domain = await asyncio.gather(_mta_sts(ctx), _tls_rpt(ctx), _dane(ctx), _dnssec(ctx))
    checked = {("MX", ctx.subject.domain): domain} | {
        ("TLSA", each.name): each.verdict for each in hosts if each.zone.signed is True
    }
    listed = tuple(
        {"name": name, "type": rdtype, **_validated(verdict)}
        for (rdtype, name), verdict in checked.items()
        if verdict is not None
    )
    ctx.put("dnssec.validated", listed)


# --- the message ---------------------------------------------------------------------------------------------------


def _hops(ctx: Context) -> None:
    if ctx.message is None:
        missing = Unknown(Reason.NO_MESSAGE)
        ctx.put_all({"transport.hops": missing, "transport.delivery_tls_version": missing})
        return
    headers = ctx.message.fields("Received")[:MAX_HOPS]
    ids = [ctx.cite(header_evidence(header)) for header in headers[:10]]
    hops = []
    for header in headers:
        hop = parse_received(header.value)
        hops.append(
            {
                "from_ip": hop.ip,
                "by": hop.by,
                "protocol": hop.protocol,
                "tls": hop.tls,
                "tls_version": tls_version(header.value),
            }
        )
    ctx.put("transport.hops", tuple(hops), *ids)
    if ctx.subject.envelope is not None:
        # Seen by our own server, which the fact of the connection cites.
        seen = ctx.subject.envelope.tls if ctx.subject.envelope.public else None
        ctx.put("transport.delivery_tls_version", tls_version(seen or ""))
        return
    entry = delivery(ctx.message.headers, known_registrable_domain).hop
    field = entry[0] if entry else None
    if texts_of(ctx.value("envelope.passed_on_signs")):
        ip = ctx.value("envelope.ip")
        field = next((each for each in headers if parse_received(each.value).ip == ip), field)
    if field is None:
        ctx.put("transport.delivery_tls_version", None, *ids)
    else:
        ctx.put("transport.delivery_tls_version", tls_version(field.value), ctx.cite(header_evidence(field)))


def tls_version(received: str) -> str | None:
    """The TLS version that a Received value names, however it is spelt; None where it names none."""
    match = _TLS_VERSION.search(_CIPHER_FAMILY.sub("", received[:5000]))
    if match is None:
        return None
    return f"SSLv{match[1]}" if match[1] else f"TLSv1.{match[2] or 0}"


# --- the domain ----------------------------------------------------------------------------------------------------


async def _mta_sts(ctx: Context) -> None:
    found = await discover_mta_sts(ctx.subject.domain, ctx.ports.dns, ctx.ports.http)
    of_record, of_hosts = map(ctx.cite_answer, found.answers)
    of_policy = ctx.cite(http_evidence(found.page)) if found.page else of_record
    record, policy = found.record, found.policy
    ctx.put("mta_sts.policy_url", found.policy_url)
    if isinstance(record, Unknown):
        names = ("present", "record", "errors", "id")
        ctx.put_all(dict.fromkeys((f"mta_sts.{name}" for name in names), record), of_record)
    else:
        ctx.put_all(
            {
                "mta_sts.present": record is not None,
                "mta_sts.record": record.text if record else None,
                "mta_sts.errors": record.errors if record else (),
                "mta_sts.id": record.id if record else None,
            },
            of_record,
        )
    if isinstance(policy, Unknown):
        names = ("mode", "policy_mx", "max_age", "policy_errors")
        ctx.put_all(dict.fromkeys((f"mta_sts.{name}" for name in names), policy), of_policy)
    else:
        policy = policy or MtaStsPolicy()
        ctx.put_all(
            {
                "mta_sts.mode": policy.mode,
                "mta_sts.policy_mx": policy.mx,
                "mta_sts.max_age": policy.max_age,
                "mta_sts.policy_errors": policy.errors,
            },
            of_policy,
        )
    ctx.put("mta_sts.uncovered_mx", found.uncovered_mx, of_policy, *((of_hosts,) if found.page else ()))


async def _tls_rpt(ctx: Context) -> None:
    found = await discover_tls_rpt(ctx.subject.domain, ctx.ports.dns)
    own, record = ctx.cite_answer(found.answer), found.record
    if isinstance(record, Unknown):
        names = ("present", "record", "errors", "rua")
        ctx.put_all(dict.fromkeys((f"tls_rpt.{name}" for name in names), record), own)
        return
    ctx.put_all(
        {
            "tls_rpt.present": record is not None,
            "tls_rpt.record": record.text if record else None,
            "tls_rpt.errors": record.errors if record else (),
            "tls_rpt.rua": record.rua if record else (),
        },
        own,
    )


async def _dane(ctx: Context) -> tuple[DaneHost, ...]:
    found = await discover_dane(ctx.subject.domain, ctx.ports.dns, ctx.now)
    ids = _cited(ctx, found.answers)
    hosts = found.hosts
    ctx.put("dane.hosts", hosts if isinstance(hosts, Unknown) else tuple(_dane_host(ctx, each) for each in hosts), *ids)
    ctx.put("dane.uncovered_mx", found.uncovered, *ids)
    ctx.put("dane.unchecked_hosts", found.unchecked, *ids)
    return () if isinstance(hosts, Unknown) else hosts


def _dane_host(ctx: Context, host: DaneHost) -> dict[str, Value]:
    _cited(ctx, host.zone.answers)
    proof = _cited(ctx, host.zone.proof)
    return {
        "host": host.host,
        "name": host.name,
        "records": tuple(record.text for record in host.records),
        "signed": host.signed,
        **_validated(host.verdict),
        "errors": host.errors,
        "rollover": host.rollover,
        "evidence": (dns_id(host.name, "TLSA"), *proof),
    }


async def _dnssec(ctx: Context) -> Verdict | None:
    """State it; gives the verdict where the zone is signed, so that there was something to validate."""
    zone = await zone_signing(ctx.subject.domain, ctx.ports.dns)
    _cited(ctx, zone.answers)
    proof = _cited(ctx, zone.proof)
    ctx.put("dnssec.signed", zone.signed, *proof)
    verdict = await protection(ctx.subject.domain, "MX", zone, ctx.ports.dns, ctx.now)
    ctx.put("dnssec.state", _validated(verdict)["state"], *proof)
    return verdict if zone.signed is True else None


def _validated(verdict: Verdict) -> dict[str, Value]:
    known = verdict.protects
    return {
        "state": known if isinstance(known, Unknown) else verdict.state.value,
        "why": (verdict.why,) if verdict.why is not None else (),
    }


def _cited(ctx: Context, answers: Iterable[Answer]) -> list[str]:
    """Keep answers as evidence and give their ids."""
    return [ctx.cite_answer(answer) for answer in answers]
