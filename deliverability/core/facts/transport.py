"""Facts about transport: TLS of the hops, MTA-STS, TLS-RPT, DANE, and what MX hosts show."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Connections, Fact, Maybe, OneOf, Reports, Seconds, Topic

State = Annotated[str, OneOf("secure insecure bogus")]


class Hop(Record, frozen=True, kw_only=True):
    """A hop of the message, as its Received field tells it."""

    from_ip: Annotated[str | None, Fact("Address of the client.")]
    by: Annotated[str | None, Fact("The server.")]
    protocol: Annotated[str | None, Fact("The with word.")]
    tls: Annotated[bool | None, Fact("It came over TLS; none where the hop does not tell.")]
    tls_version: Annotated[str | None, Fact("Version, for example TLSv1.3.")]


class DaneHost(Record, frozen=True, kw_only=True):
    """An MX host with TLSA records."""

    host: Annotated[str, Fact("MX host.")]
    name: Annotated[str, Fact("Name of the TLSA records.")]
    records: Annotated[tuple[str, ...], Fact("TLSA records.")]
    signed: Annotated[
        Maybe[bool], Fact("Their signatures are valid from the root on; without that senders do not use them.")
    ]
    state: Annotated[Maybe[State], Fact("As dnssec.state.")]
    why: Annotated[tuple[Detail, ...], Fact("Why they are not secure.")]
    rollover: Annotated[
        Maybe[bool],
        Fact(
            "Two usable records of usage 3, or one each of usage 3 and 2: the certificate can be changed without a gap."
        ),
    ]
    errors: Annotated[tuple[Detail, ...], Fact("Records that senders of mail cannot use, one each.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this host.")]


class Hops(Topic, frozen=True, kw_only=True):
    """How the message travelled."""

    topic = "transport"
    hops: Annotated[Maybe[tuple[Hop, ...]], Fact("Hops of the message by its Received fields, the last first.")]
    delivery_tls_version: Annotated[
        Maybe[Annotated[str, OneOf("SSLv2 SSLv3 TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3")] | None],
        Fact("TLS version of the hop by which the message left its sender (envelope.ip), where the hop tells it."),
    ]


class Validated(Record, frozen=True, kw_only=True):
    """An answer whose signatures were checked."""

    name: Annotated[str, Fact("Name.")]
    type: Annotated[str, Fact("Type of the records.")]
    state: Annotated[Maybe[State], Fact("As dnssec.state.")]
    why: Annotated[tuple[Detail, ...], Fact("Why it is not secure.")]


class Dnssec(Topic, frozen=True, kw_only=True):
    """Whether the zone is signed, and what its signatures are worth."""

    topic = "dnssec"
    signed: Annotated[Maybe[bool], Fact("The zone of the domain is signed with DNSSEC: the zone above says so.")]
    state: Annotated[
        Maybe[State],
        Fact(
            "What validating the domain's MX records, or their absence, comes to, from the root's keys on (RFC 4033); "
            "unknown where it is indeterminate."
        ),
    ]
    validated: Annotated[
        Maybe[tuple[Validated, ...]],
        Fact("Of signed zones, the answers whose signatures were checked.", key=("name", "type")),
    ]


class MtaSts(Topic, frozen=True, kw_only=True):
    """The MTA-STS record."""

    topic = "mta_sts"
    present: Annotated[Maybe[bool], Fact("An MTA-STS record (RFC 8461) is published, valid or not.")]
    record: Annotated[Maybe[str | None], Fact("That record (the first one).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("What is wrong with it, one each.")]
    id: Annotated[Maybe[str | None], Fact("id=, which changes with the policy.")]
    policy_url: Annotated[Maybe[str], Fact("Where the policy is published.")]
    host_found: Annotated[
        Maybe[bool | None], Fact("The host of the policy has a public address; none without a record.")
    ]


class MtaStsRules(Topic, frozen=True, kw_only=True):
    """The policy of MTA-STS; known only where it may be fetched."""

    topic = "mta_sts"
    mode: Annotated[
        Maybe[Annotated[str, OneOf("enforce testing none")] | None],
        Fact("mode of the policy; known only where it may be fetched."),
    ]
    policy_mx: Annotated[Maybe[tuple[str, ...]], Fact("mx patterns of the policy; known only where it may be fetched.")]
    max_age: Annotated[Maybe[Seconds | None], Fact("max_age of the policy.")]
    policy_errors: Annotated[Maybe[tuple[Detail, ...]], Fact("What is wrong with the policy, one each.")]
    uncovered_mx: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts that no pattern of the policy fits.")]
    id_kept: Annotated[
        Maybe[bool | None],
        Fact(
            "An earlier run read another policy, which senders may still keep, beside the same id; none: none read one."
        ),
    ]


class TlsRpt(Topic, frozen=True, kw_only=True):
    """The TLS-RPT record."""

    topic = "tls_rpt"
    present: Annotated[Maybe[bool], Fact("A TLS-RPT record (RFC 8460) is published, valid or not.")]
    record: Annotated[Maybe[str | None], Fact("That record (the first one).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("What is wrong with it, one each.")]
    rua: Annotated[Maybe[tuple[str, ...]], Fact("Where reports go.")]


class Dane(Topic, frozen=True, kw_only=True):
    """The TLSA records of the MX hosts."""

    topic = "dane"
    hosts: Annotated[
        Maybe[tuple[DaneHost, ...]], Fact("MX hosts with TLSA records for port 25 (RFC 7672).", key=("host",))
    ]
    uncovered_mx: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts without a TLSA record that senders can use.")]
    unchecked_hosts: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts whose TLSA records could not be asked for.")]


class CalledHost(Record, frozen=True, kw_only=True):
    """An MX host as it answered."""

    host: Annotated[str, Fact("MX host.")]
    address: Annotated[Maybe[str], Fact("Address that was called.")]
    reachable: Annotated[Maybe[bool], Fact("It takes connections; false: it refuses them.")]
    starttls: Annotated[Maybe[bool | None], Fact("It offers STARTTLS.")]
    tls_version: Annotated[
        Maybe[Annotated[str, OneOf("SSLv3 TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3")] | None],
        Fact("Version that came about with a client that speaks them all; none where no TLS came about."),
    ]
    tls_problem: Annotated[Maybe[str | None], Fact("Why no TLS came about though offered.")]
    certificate_valid: Annotated[
        Maybe[bool | None],
        Fact("Its certificate is of a known authority, in date, and names the host; none without TLS."),
    ]
    certificate_problem: Annotated[Maybe[str | None], Fact("Why it is not valid.")]
    certificate_names: Annotated[Maybe[tuple[str, ...]], Fact("Host names in the certificate.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this host.")]


class DaneCertificate(Record, frozen=True, kw_only=True):
    """An MX host with TLSA records, and its certificate."""

    host: Annotated[str, Fact("MX host.")]
    name: Annotated[str, Fact("Name of the TLSA records.")]
    matches: Annotated[
        Maybe[bool | None], Fact("A TLSA record fits the certificate that the host shows; none where it showed none.")
    ]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this host.")]


class MxTls(Topic, frozen=True, kw_only=True):
    """What the MX hosts show when called."""

    topic = "transport"
    mx_tls: Annotated[
        Maybe[tuple[CalledHost, ...]],
        Fact(
            "The 5 most preferred MX hosts as they answered on port 25; known only where they may be called.",
            key=("host",),
        ),
    ]


class DaneCertificates(Topic, frozen=True, kw_only=True):
    """Whether the TLSA records fit the certificates."""

    topic = "dane"
    certificates: Annotated[
        Maybe[tuple[DaneCertificate, ...]],
        Fact(
            "MX hosts with TLSA records, and whether one fits the certificate; known only where they may be called.",
            key=("host",),
        ),
    ]


class TlsFailure(Record, frozen=True, kw_only=True):
    """One way in which TLS connections failed."""

    type: Annotated[str, Fact("Result type of RFC 8460 section 4.3.")]
    mx: Annotated[str | None, Fact("MX host; none: not told.")]
    count: Annotated[Connections, Fact("Connections.")]
    policy: Annotated[str, Fact("Type of the policy: sts, tlsa or no-policy-found.")]


class TlsReports(Topic, frozen=True, kw_only=True):
    """How TLS to the mail servers of the domain went, by the reports that were read."""

    topic = "tls_reports"
    reports: Annotated[Maybe[Reports], Fact("TLS reports.")]
    sessions: Annotated[Maybe[Connections], Fact("TLS connections that they tell of.")]
    failed: Annotated[Maybe[Connections], Fact("Those that failed.")]
    failures: Annotated[Maybe[tuple[TlsFailure, ...]], Fact("How they failed, the most first.", key=("type", "mx"))]
