"""MTA-STS (RFC 8461): record, policy, and whether it covers the MX hosts; TLS-RPT (RFC 8460): where TLS is reported."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from msgspec import Struct

from deliverability.core.codes import ABOUT, VERBATIM, Code, Detail, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.names import is_example, unreachable_among
from deliverability.core.net.base import (
    Absent,
    Answer,
    Failed,
    Fetched,
    Found,
    HttpFetcher,
    Page,
    Resolver,
    unknown_from,
    was_asked,
)
from deliverability.core.protocols.mx import mx_names
from deliverability.core.protocols.text_record import FIELD_ODD, MAX_ERRORS, TAG_MISSING, TAG_VALUE, choose_record

MAX_POLICY_AGE = 31_557_600
"""Most seconds that max_age may say (RFC 8461 section 3.2)."""

NOT_200 = Code("not-200", ("n",))
CONTENT_TYPE = Code("content-type", ("type",))
CONTENT_TYPE_MISSING = Code("content-type-missing")
FIELD_VALUE = Code("field-value", ("name", "value"))  # a value that the field cannot have
NO_VERSION = Code("no-version")
NO_MODE = Code("no-mode")
NO_MAX_AGE = Code("no-max-age")
NO_MX = Code("no-mx")

_MAX_PATTERNS = 100
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+")


class MtaStsRecord(Struct, frozen=True):
    """The record (RFC 8461 section 3.1).

    Attributes:
        text: as published.
        id: id=, which changes with the policy; valid or not.
        errors: what is wrong, one each.

    """

    text: str
    id: str | None = None
    errors: tuple[Detail, ...] = ()


class MtaStsPolicy(Struct, frozen=True):
    """The policy (RFC 8461 section 3.2).

    Attributes:
        mode: enforce, testing or none; None where it says none of them.
        mx: patterns for the names of MX hosts, lower case.
        max_age: seconds for which senders keep it; None where that is no number.
        errors: what is wrong with it, or with the site that should hand it out, one each.

    """

    mode: str | None = None
    mx: tuple[str, ...] = ()
    max_age: int | None = None
    errors: tuple[Detail, ...] = ()


class MtaStsDiscovery(Struct, frozen=True):
    """What a domain says about TLS to its MX hosts.

    Attributes:
        domain: A-label, lower case.
        policy_url: where the policy is published (section 3.3).
        record: None: there is none; Unknown: could not be looked up.
        policy: None without a record; Unknown: not fetched, for no fetcher was given or only we could not look.
        uncovered_mx: MX hosts that no pattern of the policy fits, and that senders with MTA-STS do not use (section
            4.1); empty where the policy asks for nothing.
        answers: the DNS answers for the record and the MX hosts.
        page: what the site answered; None where it was not asked.
        host_found: the host of the policy has a public address; None without a record.
        of_host: the DNS answers for it.

    """

    domain: str
    policy_url: str
    record: MtaStsRecord | Unknown | None
    policy: MtaStsPolicy | Unknown | None
    uncovered_mx: tuple[str, ...] | Unknown
    answers: tuple[Answer, Answer]
    page: Fetched | None = None
    host_found: bool | Unknown | None = None
    of_host: tuple[Answer, ...] = ()


async def discover_mta_sts(domain: str, resolver: Resolver, http: HttpFetcher | None = None) -> MtaStsDiscovery:
    """Find record and policy of a domain (an A-label). Never raises for what DNS and the site can hold.

    The policy is fetched through `http`; without it only DNS is asked, and the policy stays unknown.
    """
    domain = domain.rstrip(".").lower()
    host = f"mta-sts.{domain}"
    url = f"https://{host}/.well-known/mta-sts.txt"
    answer, mx = await asyncio.gather(resolver.query(f"_mta-sts.{domain}", "TXT"), resolver.query(domain, "MX"))
    if isinstance(answer, Failed):
        lost = unknown_from(answer)
        return MtaStsDiscovery(domain, url, lost, lost, lost, (answer, mx), host_found=lost)
    record = parse_mta_sts(answer.values) if isinstance(answer, Found) else None
    if record is None:
        return MtaStsDiscovery(domain, url, None, None, (), (answer, mx))
    host_found, of_host = await _host(host, resolver)
    # Senders follow no redirect (section 3.3).
    fetched = await http.fetch(url, resolver) if http else None
    page = fetched if fetched and was_asked(fetched) else None
    policy = _policy(page)
    uncovered = policy if isinstance(policy, Unknown) else _uncovered(policy, mx)
    return MtaStsDiscovery(domain, url, record, policy, uncovered, (answer, mx), page, host_found, of_host)


async def _host(host: str, resolver: Resolver) -> tuple[bool | Unknown, tuple[Answer, ...]]:
    """Whether the host can be reached, by IPv4 or else by IPv6, and the answers."""
    answers: list[Answer] = []
    for rdtype in ("A", "AAAA"):
        answer = await resolver.query(host, rdtype)
        answers.append(answer)
        values = answer.values if isinstance(answer, Found) else ()
        if len(unreachable_among(values, example=is_example(host))) < len(values):
            return True, tuple(answers)
        if isinstance(answer, Absent) and answer.nxdomain:  # there is no such name, whatever the type
            break
    lost = next((unknown_from(each) for each in answers if isinstance(each, Failed)), None)
    return lost or False, tuple(answers)


def parse_mta_sts(values: Sequence[str]) -> MtaStsRecord | None:
    """The MTA-STS record among TXT records (RFC 8461 section 3.1). Never raises."""
    found = choose_record(values, "STSv1")
    if found is None:
        return None
    errors = list(found.errors)
    identifier = found.fields.get("id")
    if identifier is None:
        errors.append(TAG_MISSING(name="id"))
    elif not _ID.fullmatch(identifier):
        errors.append(TAG_VALUE(name="id", value=identifier[:60]))
    return MtaStsRecord(found.text, identifier, tuple(errors))


def _policy(page: Fetched | None) -> MtaStsPolicy | Unknown:
    if page is None:
        return Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH))
    if isinstance(page, Page):
        return parse_mta_sts_policy(page)
    why = page.detail
    return MtaStsPolicy(errors=(why,)) if page.certain else Unknown(page.reason, ABOUT(what=page.url, detail=why))


def parse_mta_sts_policy(page: Page) -> MtaStsPolicy:
    """Read a fetched policy. Never raises. Senders take only status 200 (RFC 8461 section 3.3)."""
    if page.status != 200:
        return MtaStsPolicy(errors=(NOT_200(n=page.status),))
    errors: list[Detail] = []
    if page.content_type.partition(";")[0].strip().lower() != "text/plain":
        errors.append(CONTENT_TYPE(type=page.content_type[:60]) if page.content_type else CONTENT_TYPE_MISSING())
    found: dict[str, str] = {}
    patterns: list[str] = []
    text = page.body.decode("utf-8", "replace")
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not colon:
            errors.append(FIELD_ODD(text=line.strip()[:60]))
        elif name == "mx":
            pattern = value.lower().rstrip(".")
            if len(pattern) <= 255 and _PATTERN.fullmatch(pattern):
                patterns.append(pattern)
            else:
                errors.append(FIELD_VALUE(name="mx", value=value[:60]))
        else:
            found.setdefault(name, value)  # of a field that stands twice the first counts
    if found.get("version") != "STSv1":
        errors.append(NO_VERSION())
    mode = found.get("mode")
    if mode not in ("enforce", "testing", "none"):
        errors.append(FIELD_VALUE(name="mode", value=mode[:60]) if mode else NO_MODE())
        mode = None
    age = found.get("max_age", "")
    max_age = int(age) if re.fullmatch(r"[0-9]{1,10}", age) else None
    if max_age is None or max_age > MAX_POLICY_AGE:
        errors.append(FIELD_VALUE(name="max_age", value=age[:60]) if age else NO_MAX_AGE())
    if not patterns and mode in ("enforce", "testing"):
        errors.append(NO_MX())
    if not errors and (problem := _grammar_problem(text)):
        errors.append(problem)
    return MtaStsPolicy(mode, tuple(patterns[:_MAX_PATTERNS]), max_age, tuple(errors[:MAX_ERRORS]))


def _grammar_problem(text: str) -> Detail | None:
    """What checkdmarc's parser, which keeps to the letter of the grammar, refuses: stray CR, odd extension fields."""
    from checkdmarc.mta_sts import MTASTSPolicySyntaxError, parse_mta_sts_policy

    try:
        parse_mta_sts_policy(text)
    except MTASTSPolicySyntaxError as error:
        return VERBATIM(text=str(error)[:120])
    return None


def covers(patterns: Sequence[str], host: str) -> bool:
    """Whether a policy covers an MX host; a leading ``*.`` stands for exactly one label (RFC 8461 section 4.1)."""
    return any(host == each or (each.startswith("*.") and host.partition(".")[2] == each[2:]) for each in patterns)


def _uncovered(policy: MtaStsPolicy, mx: Answer) -> tuple[str, ...] | Unknown:
    if isinstance(mx, Failed):
        return unknown_from(mx)
    if policy.mode not in ("enforce", "testing") or not policy.mx:
        return ()
    return tuple(host for host in mx_names(mx) if not covers(policy.mx, host))


class TlsRptRecord(Struct, frozen=True):
    """The record (RFC 8460 section 3).

    Attributes:
        text: as published.
        rua: where reports go, usable or not.
        errors: what is wrong, one each.

    """

    text: str
    rua: tuple[str, ...] = ()
    errors: tuple[Detail, ...] = ()


class TlsRptDiscovery(Struct, frozen=True):
    """What a domain says about reports.

    Attributes:
        domain: A-label, lower case.
        record: None: there is none; Unknown: could not be looked up.
        answer: the DNS answer that it comes from.

    """

    domain: str
    record: TlsRptRecord | Unknown | None
    answer: Answer


async def discover_tls_rpt(domain: str, resolver: Resolver) -> TlsRptDiscovery:
    """Find the TLS-RPT record of a domain (an A-label). Never raises for what DNS can hold."""
    domain = domain.rstrip(".").lower()
    answer = await resolver.query(f"_smtp._tls.{domain}", "TXT")
    if isinstance(answer, Failed):
        return TlsRptDiscovery(domain, unknown_from(answer), answer)
    return TlsRptDiscovery(domain, parse_tls_rpt(answer.values) if isinstance(answer, Found) else None, answer)


def parse_tls_rpt(values: Sequence[str]) -> TlsRptRecord | None:
    """The TLS-RPT record among TXT records (RFC 8460 section 3). Never raises."""
    found = choose_record(values, "TLSRPTv1")
    if found is None:
        return None
    rua = tuple(uri for each in found.fields.get("rua", "").split(",") if (uri := each.strip()))
    errors = list(found.errors)
    if not rua:
        errors.append(TAG_MISSING(name="rua"))
    errors += [TAG_VALUE(name="rua", value=uri[:60]) for uri in rua if not _is_report_uri(uri)]
    return TlsRptRecord(found.text, rua, tuple(errors[:MAX_ERRORS]))


def _is_report_uri(uri: str) -> bool:
    scheme, colon, rest = uri.partition(":")
    if not colon or any(character.isspace() for character in uri):
        return False
    if scheme.lower() == "mailto":
        return bool(rest.partition("@")[0]) and "." in rest.partition("@")[2]
    return scheme.lower() == "https" and rest.startswith("//") and len(rest) > 2
