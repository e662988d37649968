"""How mail travels: TLS of the hops, and how the domain protects mail to it (MTA-STS, TLS-RPT, DANE, DNSSEC).

STARTTLS of the MX hosts is not probed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deliverability.auditors.base import Context, auditor, dns_id, http_id, spec, unknown_from
from deliverability.auditors.mx import MAX_HOSTS, is_literal, mx_entries
from deliverability.mail.evidence import header_evidence
from deliverability.mail.hop import delivery
from deliverability.mail.received import parse_received
from deliverability.model.facts import FactType, Reason, Unknown, Value
from deliverability.ports.base import Answer, Failed, Found, NoPage, Page
from deliverability.ports.ports import NotAllowed
from deliverability.protocols.dmarc.psl import known_registrable_domain

MAX_HOPS = 100
MAX_POLICY_AGE = 31_557_600
MAX_FIELDS = 1000
"""Fields of one record that are read. Records this long are hostile: two or three are defined."""
"""Most seconds that max_age may say (RFC 8461 section 3.2)."""


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
        "TLS version of the hop over which the receiver got the message, where the hop tells it.",
        optional=True,
        values=["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
    ),
    spec("dnssec.signed", FactType.BOOL, "The zone of the domain is signed with DNSSEC."),
    spec("mta_sts.present", FactType.BOOL, "An MTA-STS record (RFC 8461) is published, valid or not."),
    spec("mta_sts.record", FactType.STR, "That record (the first one).", optional=True),
    spec("mta_sts.errors", FactType.LIST_STR, "What is wrong with it, one term each."),
    spec("mta_sts.id", FactType.STR, "id=, which changes with the policy.", optional=True),
    spec("mta_sts.policy_url", FactType.STR, "Where the policy is published."),
    spec(
        "mta_sts.mode",
        FactType.STR,
        "mode of the policy; known only with --fetch.",
        optional=True,
        values=["enforce", "testing", "none"],
    ),
    spec("mta_sts.policy_mx", FactType.LIST_STR, "mx patterns of the policy; known only with --fetch."),
    spec("mta_sts.max_age", FactType.INT, "max_age of the policy.", unit="seconds", optional=True),
    spec("mta_sts.policy_errors", FactType.LIST_STR, "What is wrong with the policy, one term each."),
    spec("mta_sts.uncovered_mx", FactType.LIST_STR, "MX hosts that no pattern of the policy fits."),
    spec("tls_rpt.present", FactType.BOOL, "A TLS-RPT record (RFC 8460) is published, valid or not."),
    spec("tls_rpt.record", FactType.STR, "That record (the first one).", optional=True),
    spec("tls_rpt.errors", FactType.LIST_STR, "What is wrong with it, one term each."),
    spec("tls_rpt.rua", FactType.LIST_STR, "Where reports go."),
    spec("dane.hosts", FactType.LIST_RECORD, "MX hosts with TLSA records for port 25 (RFC 7672).", key=["host"]),
    spec("dane.hosts[].host", FactType.STR, "MX host."),
    spec("dane.hosts[].name", FactType.STR, "Name of the TLSA records."),
    spec("dane.hosts[].records", FactType.LIST_STR, "TLSA records."),
    spec("dane.hosts[].signed", FactType.BOOL, "They are protected by DNSSEC, without which senders ignore them."),
    spec("dane.hosts[].errors", FactType.LIST_STR, "Records that senders of mail cannot use, one term each."),
    spec("dane.hosts[].evidence", FactType.LIST_STR, "Ids of the evidence for this host."),
    spec("dane.unchecked_hosts", FactType.LIST_STR, "MX hosts whose TLSA records could not be asked for."),
)

_TLS_VERSION = re.compile(r"\b(?:SSL[ _]?v?([23])|TLS[ _]?v?1(?:[._]([0-3]))?)(?![0-9])", re.IGNORECASE)
# OpenSSL's old name for a family of ciphers, which says nothing about the version.
_CIPHER_FAMILY = re.compile(r"TLSv1/SSLv3", re.IGNORECASE)
_STS_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+")
_MAX_ERRORS = 20
_MAX_PATTERNS = 100


@auditor("transport", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """State the hops of the message; ask for the records of the domain at once, then for those of its MX hosts."""
    _hops(ctx)
    await asyncio.gather(_mta_sts(ctx), _tls_rpt(ctx), _dane(ctx), _dnssec(ctx))


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
    entry = delivery(ctx.message.headers, known_registrable_domain).hop
    if entry is None:
        ctx.put("transport.delivery_tls_version", None, *ids)
    else:
        field = entry[0]
        ctx.put("transport.delivery_tls_version", tls_version(field.value), ctx.cite(header_evidence(field)))


def tls_version(received: str) -> str | None:
    """The TLS version that a Received value names, however it is spelt; None where it names none."""
    match = _TLS_VERSION.search(_CIPHER_FAMILY.sub("", received[:5000]))
    if match is None:
        return None
    return f"SSLv{match[1]}" if match[1] else f"TLSv1.{match[2] or 0}"


# --- MTA-STS and TLS-RPT -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A record of ``name=value`` fields as MTA-STS and TLS-RPT use it.

    Attributes:
        record: as published; None: there is none.
        fields: the first value by name, without those that cannot be read.
        errors: one term each.

    """

    record: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """The value of a field."""
        return self.fields.get(name)


def parse_mta_sts(values: Sequence[str]) -> TextRecord:
    """The MTA-STS record among TXT records (RFC 8461 section 3.1). Never raises."""
    found = _choose(values, "STSv1")
    errors = list(found.errors)
    identifier = found.get("id")
    if found.record is not None:
        if identifier is None:
            errors.append("no id=")
        elif not _STS_ID.fullmatch(identifier):
            errors.append(f"id={identifier[:60]}")
    return TextRecord(found.record, found.fields, tuple(errors))


def parse_tls_rpt(values: Sequence[str]) -> TextRecord:
    """The TLS-RPT record among TXT records (RFC 8460 section 3). Never raises."""
    found = _choose(values, "TLSRPTv1")
    errors = list(found.errors)
    if found.record is not None and not report_uris(found):
        errors.append("no rua=")
    errors += [f"rua={uri[:60]}" for uri in report_uris(found) if not _is_report_uri(uri)]
    return TextRecord(found.record, found.fields, tuple(errors[:_MAX_ERRORS]))


def report_uris(record: TextRecord) -> tuple[str, ...]:
    """The report addresses of a TLS-RPT record."""
    return tuple(uri for each in (record.get("rua") or "").split(",") if (uri := each.strip()))


def _is_report_uri(uri: str) -> bool:
    scheme, colon, rest = uri.partition(":")
    if not colon or any(character.isspace() for character in uri):
        return False
    if scheme.lower() == "mailto":
        return bool(rest.partition("@")[0]) and "." in rest.partition("@")[2]
    return scheme.lower() == "https" and rest.startswith("//") and len(rest) > 2


def _choose(values: Sequence[str], version: str) -> TextRecord:
    """The record meant: it begins with the version. Without any, one that was meant to is shown with its error."""
    proper = [value for value in values if re.match(rf"v\s*=\s*{version}\s*(?:;|$)", value)]
    meant = proper or [
        value for value in values if re.match(rf"[\s\"'“”]*v\s*=\s*{version[:-2]}", value, re.IGNORECASE)
    ]
    if not meant:
        return TextRecord()
    errors = [] if proper else [f"it does not begin with v={version};"]
    if len(meant) > 1:
        errors.append(f"{len(meant)} records; there may be one only")
    fields: dict[str, str] = {}
    specs = meant[0].split(";", MAX_FIELDS)
    if len(specs) > MAX_FIELDS and specs.pop().strip():
        errors.append(f"more than {MAX_FIELDS} fields, the rest is not read")
    for position, text in enumerate(specs):
        name, equals, value = (part.strip() for part in text.partition("="))
        if equals and name:
            if name in fields:
                errors.append(f"{name[:30]}= twice")
            fields.setdefault(name, value)
        elif text.strip() or position < len(specs) - 1:
            errors.append(f"not a field: {text.strip()[:60] or 'nothing between two semicolons'}")
    return TextRecord(meant[0], fields, tuple(errors[:_MAX_ERRORS]))


async def _mta_sts(ctx: Context) -> None:
    domain = ctx.subject.domain
    name = f"_mta-sts.{domain}"
    url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    ctx.put("mta_sts.policy_url", url)
    answer, mx = await asyncio.gather(ctx.query(name, "TXT"), ctx.query(domain, "MX"))
    own = dns_id(name, "TXT")
    of_policy = (
        "mta_sts.mode",
        "mta_sts.policy_mx",
        "mta_sts.max_age",
        "mta_sts.policy_errors",
        "mta_sts.uncovered_mx",
    )
    if isinstance(answer, Failed):
        lost = unknown_from(answer)
        of_record = ("mta_sts.present", "mta_sts.record", "mta_sts.errors", "mta_sts.id")
        ctx.put_all(dict.fromkeys((*of_record, *of_policy), lost), own)
        return
    record = parse_mta_sts(answer.values if isinstance(answer, Found) else ())
    ctx.put_all(
        {
            "mta_sts.present": record.record is not None,
            "mta_sts.record": record.record,
            "mta_sts.errors": record.errors,
            "mta_sts.id": record.get("id"),
        },
        own,
    )
    nothing: dict[str, Value] = {
        path: None if path in ("mta_sts.mode", "mta_sts.max_age") else () for path in of_policy
    }
    if record.record is None:
        ctx.put_all(nothing, own)
        return
    fetched = await ctx.fetch(url)
    evidence = http_id(url)
    if isinstance(fetched, NotAllowed):
        ctx.put_all(dict.fromkeys(of_policy, fetched.unknown), own)
    elif isinstance(fetched, NoPage) and not fetched.certain:
        ctx.put_all(dict.fromkeys(of_policy, Unknown(fetched.reason, f"{url}: {fetched.detail}")), evidence)
    elif isinstance(fetched, NoPage):
        ctx.put_all(nothing | {"mta_sts.policy_errors": (fetched.detail,)}, evidence)
    else:
        _policy_facts(ctx, parse_policy(fetched), mx, evidence)


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """An MTA-STS policy (RFC 8461 section 3.2); `errors` holds one term for everything that is wrong."""

    mode: str | None = None
    mx: tuple[str, ...] = ()
    max_age: int | None = None
    errors: tuple[str, ...] = ()


def parse_policy(page: Page) -> StsPolicy:
    """Read a fetched policy. Never raises. Senders follow no redirect and take only status 200 (section 3.3)."""
    if page.status != 200:
        return StsPolicy(errors=(f"HTTP status {page.status} instead of 200",))
    errors = []
    if page.content_type.partition(";")[0].strip().lower() != "text/plain":
        errors.append(f"type {page.content_type[:60] or 'missing'} instead of text/plain")
    found: dict[str, str] = {}
    patterns: list[str] = []
    text = page.body.decode("utf-8", "replace")
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not colon:
            errors.append(f"not a field: {line.strip()[:60]}")
        elif name == "mx":
            pattern = value.lower().rstrip(".")
            if len(pattern) <= 255 and _PATTERN.fullmatch(pattern):
                patterns.append(pattern)
            else:
                errors.append(f"mx: {value[:60]}")
        else:
            found.setdefault(name, value)  # of a field that stands twice the first counts
    if found.get("version") != "STSv1":
        errors.append("no version: STSv1")
    mode = found.get("mode")
    if mode not in ("enforce", "testing", "none"):
        errors.append(f"mode: {mode[:60]}" if mode else "no mode")
        mode = None
    age = found.get("max_age", "")
    max_age = int(age) if re.fullmatch(r"[0-9]{1,10}", age) else None
    if max_age is None or max_age > MAX_POLICY_AGE:
        errors.append(f"max_age: {age[:60]}" if age else "no max_age")
    if not patterns and mode in ("enforce", "testing"):
        errors.append("no mx")
    if not errors and (problem := _grammar_problem(text)):
        errors.append(problem)
    return StsPolicy(mode, tuple(patterns[:_MAX_PATTERNS]), max_age, tuple(errors[:_MAX_ERRORS]))


def _grammar_problem(text: str) -> str | None:
    """What checkdmarc's parser, which keeps to the letter of the grammar, refuses: stray CR, odd extension fields."""
    from checkdmarc.mta_sts import MTASTSPolicySyntaxError, parse_mta_sts_policy

    try:
        parse_mta_sts_policy(text)
    except MTASTSPolicySyntaxError as error:
        return str(error)[:120]
    return None


def fits(host: str, patterns: Sequence[str]) -> bool:
    """Whether a policy covers an MX host; a leading ``*.`` stands for exactly one label (RFC 8461 section 4.1)."""
    return any(host == each or (each.startswith("*.") and host.partition(".")[2] == each[2:]) for each in patterns)


def _policy_facts(ctx: Context, policy: StsPolicy, mx: Answer, evidence: str) -> None:
    uncovered: Value
    if isinstance(mx, Failed):
        uncovered = unknown_from(mx)
    elif policy.mode in ("enforce", "testing") and policy.mx:
        hosts = dict.fromkeys(host for _, host in mx_entries(mx) if host != ".")
        uncovered = tuple(host for host in hosts if not fits(host, policy.mx))
    else:
        uncovered = ()
    ctx.put_all(
        {
            "mta_sts.mode": policy.mode,
            "mta_sts.policy_mx": policy.mx,
            "mta_sts.max_age": policy.max_age,
            "mta_sts.policy_errors": policy.errors,
        },
        evidence,
    )
    ctx.put("mta_sts.uncovered_mx", uncovered, evidence, dns_id(ctx.subject.domain, "MX"))


async def _tls_rpt(ctx: Context) -> None:
    name = f"_smtp._tls.{ctx.subject.domain}"
    answer = await ctx.query(name, "TXT")
    paths = ("tls_rpt.present", "tls_rpt.record", "tls_rpt.errors", "tls_rpt.rua")
    if isinstance(answer, Failed):
        ctx.put_all(dict.fromkeys(paths, unknown_from(answer)), dns_id(name, "TXT"))
        return
    record = parse_tls_rpt(answer.values if isinstance(answer, Found) else ())
    values: tuple[Value, ...] = (record.record is not None, record.record, record.errors, report_uris(record))
    ctx.put_all(dict(zip(paths, values, strict=True)), dns_id(name, "TXT"))


# --- DNSSEC and DANE -----------------------------------------------------------------------------------------------


async def _dnssec(ctx: Context) -> None:
    signed, evidence = await _signed(ctx, ctx.subject.domain)
    ctx.put("dnssec.signed", signed, *evidence)


_MAX_ZONES = 4


async def _signed(ctx: Context, name: str) -> tuple[bool | Unknown, tuple[str, ...]]:
    """Whether the zone of a name is signed: its apex, the closest name with a SOA record, has DS in the zone above.

    Signatures are not checked. A resolver that validated the SOA answer (AD) proves as much by itself.
    """
    labels = name.split(".")
    zones = [".".join(labels[start:]) for start in range(len(labels) - 1)][-_MAX_ZONES:] or [name]
    soas, delegations = await asyncio.gather(
        asyncio.gather(*(ctx.query(zone, "SOA") for zone in zones)),
        asyncio.gather(*(ctx.query(zone, "DS") for zone in zones)),
    )
    for zone, soa, ds in zip(zones, soas, delegations, strict=True):
        evidence = (dns_id(zone, "SOA"), dns_id(zone, "DS"))
        if isinstance(ds, Found) or (isinstance(soa, Found) and soa.authenticated):
            return True, evidence
        if isinstance(soa, Failed):
            return unknown_from(soa), evidence
        if isinstance(soa, Found) and not soa.chain:
            return (unknown_from(ds) if isinstance(ds, Failed) else False), evidence
    # Only a public suffix is left above, or the name does not exist.
    return False, tuple(dns_id(zone, "SOA") for zone in zones)


async def _dane(ctx: Context) -> None:
    domain = ctx.subject.domain
    mx = await ctx.query(domain, "MX")
    own = dns_id(domain, "MX")
    if isinstance(mx, Failed):
        ctx.put_all(dict.fromkeys(("dane.hosts", "dane.unchecked_hosts"), unknown_from(mx)), own)
        return
    hosts = list(dict.fromkeys(host for _, host in mx_entries(mx) if host != "." and not is_literal(host)))[:MAX_HOSTS]
    answers = await asyncio.gather(*(ctx.query(_tlsa_name(host), "TLSA") for host in hosts))
    found = [(host, answer) for host, answer in zip(hosts, answers, strict=True) if isinstance(answer, Found)]
    unchecked = tuple(host for host, answer in zip(hosts, answers, strict=True) if isinstance(answer, Failed))
    items = await asyncio.gather(*(_tlsa(ctx, host, answer) for host, answer in found))
    ids = [dns_id(_tlsa_name(host), "TLSA") for host in hosts]
    failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
    ctx.put("dane.hosts", tuple(items) if items or failed is None else unknown_from(failed), own, *ids)
    ctx.put("dane.unchecked_hosts", unchecked, own, *ids)


def _tlsa_name(host: str) -> str:
    return f"_25._tcp.{host}"


async def _tlsa(ctx: Context, host: str, answer: Found) -> dict[str, Value]:
    name = _tlsa_name(host)
    evidence: tuple[str, ...] = (dns_id(name, "TLSA"),)
    signed: bool | Unknown = True
    if not answer.authenticated:
        signed, more = await _signed(ctx, host)
        evidence += more
    problems = [problem for record in answer.values if (problem := tlsa_problem(record))]
    usable = len(problems) < len(answer.values)
    return {
        "host": host,
        "name": name,
        "records": answer.values,
        "signed": signed,
        # One usable record is enough: senders pass over the others (RFC 7672 section 3.1.3).
        "errors": () if usable else tuple(problems[:_MAX_ERRORS]),
        "evidence": evidence,
    }


def tlsa_problem(record: str) -> str | None:
    """Why senders of mail cannot use a TLSA record (RFC 7672 section 3.1): they take DANE-TA(2) and DANE-EE(3)."""
    parts = record.split()
    if len(parts) < 4 or not all(re.fullmatch("[0-9]{1,3}", part) for part in parts[:3]):
        return f"not a TLSA record: {record[:60]}"
    usage, selector, matching = (int(part) for part in parts[:3])
    octets = len("".join(parts[3:])) // 2
    expected = {1: 32, 2: 64}.get(matching)
    if usage not in (2, 3) or selector not in (0, 1) or matching not in (0, 1, 2) or expected not in (None, octets):
        return " ".join(parts)[:60]
    return None
