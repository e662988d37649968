"""Facts about transport: TLS of the hops, MTA-STS, TLS-RPT, DANE, and how MX hosts respond."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Connections, Fact, Maybe, OneOf, Reports, Seconds, Topic

State = Annotated[str, OneOf("secure insecure bogus")]


class Hop(Record, frozen=True, kw_only=True):
    """A hop of the message, according to its Received field."""

    from_ip: Annotated[str | None, Fact("Client address.")]
    by: Annotated[str | None, Fact("Host name of the server.")]
    protocol: Annotated[str | None, Fact('Protocol in the "with" clause.')]
    tls: Annotated[bool | None, Fact("The message arrived over TLS; absent if the hop does not state it.")]
    tls_version: Annotated[str | None, Fact("TLS version, for example TLSv1.3.")]


class DaneHost(Record, frozen=True, kw_only=True):
    """An MX host with TLSA records."""

    host: Annotated[str, Fact("MX host.")]
    name: Annotated[str, Fact("Name of the TLSA records.")]
    records: Annotated[tuple[str, ...], Fact("TLSA records.")]
    signed: Annotated[
        Maybe[bool], Fact("The records' signatures validate up to the root; otherwise senders do not use the records.")
    ]
    state: Annotated[Maybe[State], Fact("Validation state, as in dnssec.state.")]
    why: Annotated[tuple[Detail, ...], Fact("Why the records are not secure.")]
    rollover: Annotated[
        Maybe[bool],
        Fact(
            "There are two usable records of usage 3, or one each of usage 3 and 2, so the certificate can be "
            "changed without interruption."
        ),
    ]
    errors: Annotated[tuple[Detail, ...], Fact("Records that sending mail servers cannot use, one item each.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this host.")]


class Hops(Topic, frozen=True, kw_only=True):
    """The hops of the message."""

    topic = "transport"
    hops: Annotated[
        Maybe[tuple[Hop, ...]], Fact("Hops of the message according to its Received fields, the last first.")
    ]
    delivery_tls_version: Annotated[
        Maybe[Annotated[str, OneOf("SSLv2 SSLv3 TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3")] | None],
        Fact("TLS version of the hop by which the message left its sender (envelope.ip), if the hop states it."),
    ]


class Validated(Record, frozen=True, kw_only=True):
    """A DNS answer whose signatures were checked."""

    name: Annotated[str, Fact("Queried name.")]
    type: Annotated[str, Fact("Record type.")]
    state: Annotated[Maybe[State], Fact("Validation state, as in dnssec.state.")]
    why: Annotated[tuple[Detail, ...], Fact("Why the answer is not secure.")]


class Dnssec(Topic, frozen=True, kw_only=True):
    """Whether the zone is signed, and whether its signatures are valid."""

    topic = "dnssec"
    signed: Annotated[Maybe[bool], Fact("The domain's zone is signed with DNSSEC, according to its parent zone.")]
    state: Annotated[
        Maybe[State],
        Fact(
            "Result of validating the domain's MX records, or their absence, from the root keys (RFC 4033); unknown "
            "if it is indeterminate."
        ),
    ]
    validated: Annotated[
        Maybe[tuple[Validated, ...]],
        Fact("Answers from signed zones whose signatures were checked.", key=("name", "type")),
    ]


class MtaSts(Topic, frozen=True, kw_only=True):
    """The MTA-STS record."""

    topic = "mta_sts"
    present: Annotated[Maybe[bool], Fact("An MTA-STS record (RFC 8461) is published, valid or not.")]
    record: Annotated[Maybe[str | None], Fact("The MTA-STS record (the first one if there are several).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("Errors in the record, one item each.")]
    id: Annotated[Maybe[str | None], Fact("Policy ID (id=), which changes with the policy.")]
    policy_url: Annotated[Maybe[str], Fact("URL of the policy.")]
    host_found: Annotated[Maybe[bool | None], Fact("The policy host has a public address; absent without a record.")]


class MtaStsRules(Topic, frozen=True, kw_only=True):
    """The MTA-STS policy; known only if fetching it is allowed."""

    topic = "mta_sts"
    mode: Annotated[
        Maybe[Annotated[str, OneOf("enforce testing none")] | None],
        Fact("Mode of the policy; known only if fetching it is allowed."),
    ]
    policy_mx: Annotated[
        Maybe[tuple[str, ...]], Fact("`mx` patterns of the policy; known only if fetching it is allowed.")
    ]
    max_age: Annotated[Maybe[Seconds | None], Fact("max_age of the policy; known only if fetching it is allowed.")]
    policy_errors: Annotated[Maybe[tuple[Detail, ...]], Fact("Errors in the policy, one item each.")]
    uncovered_mx: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts that match no pattern of the policy.")]
    id_kept: Annotated[
        Maybe[bool | None],
        Fact(
            "An earlier run read another policy with the same id, which senders may still have cached; absent if no "
            "earlier run read a policy."
        ),
    ]


class TlsRpt(Topic, frozen=True, kw_only=True):
    """The TLS-RPT record."""

    topic = "tls_rpt"
    present: Annotated[Maybe[bool], Fact("A TLS-RPT record (RFC 8460) is published, valid or not.")]
    record: Annotated[Maybe[str | None], Fact("The TLS-RPT record (the first one if there are several).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("Errors in the record, one item each.")]
    rua: Annotated[Maybe[tuple[str, ...]], Fact("Addresses that reports are sent to.")]


class Dane(Topic, frozen=True, kw_only=True):
    """The TLSA records of the MX hosts."""

    topic = "dane"
    hosts: Annotated[
        Maybe[tuple[DaneHost, ...]], Fact("MX hosts with TLSA records for port 25 (RFC 7672).", key=("host",))
    ]
    uncovered_mx: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts without a usable TLSA record.")]
    unchecked_hosts: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts whose TLSA records could not be looked up.")]


class CalledHost(Record, frozen=True, kw_only=True):
    """An MX host and its response."""

    host: Annotated[str, Fact("MX host.")]
    address: Annotated[Maybe[str], Fact("Address that was connected to.")]
    reachable: Annotated[Maybe[bool], Fact("The host accepts connections; false if it refuses them.")]
    starttls: Annotated[Maybe[bool | None], Fact("The host offers STARTTLS.")]
    tls_version: Annotated[
        Maybe[Annotated[str, OneOf("SSLv3 TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3")] | None],
        Fact("TLS version negotiated with a client that supports all of these; absent if TLS could not be negotiated."),
    ]
    tls_problem: Annotated[Maybe[str | None], Fact("Why TLS could not be negotiated although the host offers it.")]
    certificate_valid: Annotated[
        Maybe[bool | None],
        Fact(
            "The certificate is from a known authority, within its validity period, and names the host; absent "
            "without TLS."
        ),
    ]
    certificate_problem: Annotated[Maybe[str | None], Fact("Why the certificate is not valid.")]
    certificate_names: Annotated[Maybe[tuple[str, ...]], Fact("Host names in the certificate.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this host.")]


class DaneCertificate(Record, frozen=True, kw_only=True):
    """An MX host with TLSA records, and its certificate."""

    host: Annotated[str, Fact("MX host.")]
    name: Annotated[str, Fact("Name of the TLSA records.")]
    matches: Annotated[
        Maybe[bool | None],
        Fact("A TLSA record matches the certificate that the host presents; absent if it presents none."),
    ]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this host.")]


class MxTls(Topic, frozen=True, kw_only=True):
    """Responses of the MX hosts on port 25."""

    topic = "transport"
    mx_tls: Annotated[
        Maybe[tuple[CalledHost, ...]],
        Fact(
            "Responses of the 5 most preferred MX hosts on port 25; known only if connecting to them is allowed.",
            key=("host",),
        ),
    ]


class DaneCertificates(Topic, frozen=True, kw_only=True):
    """Whether the TLSA records match the certificates."""

    topic = "dane"
    certificates: Annotated[
        Maybe[tuple[DaneCertificate, ...]],
        Fact(
            "MX hosts with TLSA records, and whether a record matches the certificate; known only if connecting to "
            "them is allowed.",
            key=("host",),
        ),
    ]


class TlsFailure(Record, frozen=True, kw_only=True):
    """One type of TLS connection failure."""

    type: Annotated[str, Fact("Result type (RFC 8460 section 4.3).")]
    mx: Annotated[str | None, Fact("MX host; absent if not reported.")]
    count: Annotated[Connections, Fact("Number of connections.")]
    policy: Annotated[str, Fact("Policy type: sts, tlsa or no-policy-found.")]


class TlsReports(Topic, frozen=True, kw_only=True):
    """Results of TLS connections to the domain's mail servers, according to the TLS reports."""

    topic = "tls_reports"
    reports: Annotated[Maybe[Reports], Fact("Number of TLS reports.")]
    sessions: Annotated[Maybe[Connections], Fact("Reported TLS connections.")]
    failed: Annotated[Maybe[Connections], Fact("Failed TLS connections.")]
    failures: Annotated[
        Maybe[tuple[TlsFailure, ...]], Fact("Types of failure, the most frequent first.", key=("type", "mx"))
    ]
