"""Facts about the DMARC record and verdict, alignment, and BIMI."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.facts.envelope import Aligned
from deliverability.core.model.topic import Domains, Fact, Labels, Maybe, Octets, OneOf, Topic, Unit

Policy = Annotated[str, OneOf("none quarantine reject")]
MAX_REPORT_DOMAINS = 20
"""Enough for any record, which can list thousands; receivers need not support more than two (RFC 7489 section 6.2)."""


class WalkStep(Record, frozen=True, kw_only=True):
    """A name that the DNS tree walk queried."""

    name: Annotated[str, Fact("Queried name.")]
    records: Annotated[Maybe[tuple[str, ...]], Fact("DMARC records at that name.")]


class ExternalReports(Record, frozen=True, kw_only=True):
    """A report domain of another organization."""

    host: Annotated[str, Fact("Domain of the report address.")]
    name: Annotated[str, Fact("Name of the authorization record.")]
    authorised: Annotated[Maybe[bool], Fact("The authorization record is published.")]
    same_organization_psl: Annotated[
        bool,
        Fact(
            "According to the public suffix list, the report domain belongs to the same organization, so receivers "
            "that follow RFC 7489 do not check its authorization."
        ),
    ]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this address.")]


class DmarcDiscovery(Topic, frozen=True, kw_only=True):
    """Discovery of the record."""

    topic = "dmarc"
    author_domain: Annotated[
        Maybe[str],
        Fact("Domain that the record was discovered for: the From domain of the message, or else the audited domain."),
    ]
    used: Annotated[
        Maybe[bool | None],
        Fact(
            "The given message is evaluated against this record; false if its From has a different domain. Absent "
            "without a message."
        ),
    ]
    walk: Annotated[Maybe[tuple[WalkStep, ...]], Fact("Names queried by the DNS tree walk, in order.", key=("name",))]
    organizational_domain: Annotated[
        Maybe[str], Fact("Organizational domain according to the DNS tree walk (RFC 9989).")
    ]
    organizational_domain_psl: Annotated[
        Maybe[str], Fact("Organizational domain according to the public suffix list (RFC 7489).")
    ]
    organizational_domains_agree: Annotated[
        Maybe[bool], Fact("The DNS tree walk and the public suffix list give the same organizational domain.")
    ]
    multiple_at: Annotated[
        Maybe[tuple[str, ...]], Fact("Domains with several DMARC records, all of which receivers ignore.")
    ]
    lookalikes: Annotated[
        Maybe[tuple[str, ...]], Fact("TXT records at _dmarc names that look like DMARC records but are ignored.")
    ]
    labels: Annotated[Maybe[Labels], Fact("Number of labels in the author domain.")]
    mail_from_organizational_domain: Annotated[
        Maybe[str | None], Fact("Organizational domain of the MAIL FROM domain.")
    ]
    helo_organizational_domain: Annotated[Maybe[str | None], Fact("Organizational domain of the HELO name.")]


class Dmarc(Topic, frozen=True, kw_only=True):
    """The DMARC record that applies to the author domain."""

    topic = "dmarc"
    present: Annotated[Maybe[bool], Fact("A valid DMARC record applies.")]
    record: Annotated[Maybe[str | None], Fact("The DMARC record that applies, or the one at dmarc.ignored_at.")]
    ignored_at: Annotated[
        Maybe[str | None],
        Fact(
            "Domain whose record would apply but has no valid policy and no usable rua; receivers act as if it had "
            "no record (RFC 9989 section 4.10.1)."
        ),
    ]
    location: Annotated[Maybe[str | None], Fact("Domain at which the record was found (without _dmarc).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("Errors in the record, for example p=rejct.")]
    policy: Annotated[Maybe[Policy | None], Fact("Policy as published (p=); absent if there is no p=.")]
    policy_published: Annotated[Maybe[bool | None], Fact("The record contains p=.")]
    subdomain_policy: Annotated[Maybe[Policy | None], Fact("Subdomain policy as published (sp=).")]
    nonexistent_policy: Annotated[Maybe[Policy | None], Fact("Policy for nonexistent subdomains as published (np=).")]
    weaker_subdomains: Annotated[
        Maybe[tuple[str, ...]], Fact("sp= and np= with a policy that is weaker than that in p=.")
    ]
    effective_policy: Annotated[
        Maybe[Policy | None],
        Fact("Policy that a receiver following RFC 9989 applies to this author domain, with t=y taken into account."),
    ]
    effective_policy_legacy: Annotated[
        Maybe[Policy | None],
        Fact("Policy that a receiver following RFC 7489 applies (with pct, without t)."),
    ]
    policy_tag: Annotated[
        Maybe[Annotated[str, OneOf("p sp np")] | None], Fact("Tag that the effective policy comes from.")
    ]
    stage: Annotated[
        Maybe[Annotated[str, OneOf("absent none testing quarantine reject")]],
        Fact("Progress of the DMARC deployment: no record (absent), none, testing, quarantine, reject."),
    ]
    testing: Annotated[Maybe[bool | None], Fact("Testing mode is on (t=y).")]
    pct: Annotated[Maybe[Annotated[int, Unit("percent")] | None], Fact("Percentage as published (pct=).")]
    psd: Annotated[Maybe[Annotated[str, OneOf("y n u")] | None], Fact("Public suffix domain flag as published (psd=).")]
    adkim: Annotated[Maybe[Annotated[str, OneOf("r s")] | None], Fact("DKIM alignment mode (adkim=).")]
    aspf: Annotated[Maybe[Annotated[str, OneOf("r s")] | None], Fact("SPF alignment mode (aspf=).")]
    obsolete_tags: Annotated[Maybe[tuple[str, ...]], Fact("Tags that RFC 9989 removed (pct, rf, ri, !size).")]
    unknown_tags: Annotated[Maybe[tuple[str, ...]], Fact("Tags that are not defined in any RFC.")]
    record_at_author: Annotated[Maybe[bool | None], Fact("The record is published at the author domain itself.")]


class DmarcReports(Topic, frozen=True, kw_only=True):
    """Where the record requests reports to be sent."""

    topic = "dmarc"
    rua: Annotated[Maybe[tuple[str, ...]], Fact("Addresses for aggregate reports.")]
    ruf: Annotated[Maybe[tuple[str, ...]], Fact("Addresses for failure reports.")]
    invalid_uris: Annotated[Maybe[tuple[str, ...]], Fact("Report addresses that cannot be used.")]
    rua_without_mx: Annotated[Maybe[tuple[str, ...]], Fact("Report domains that do not accept mail.")]
    report_domains_skipped: Annotated[
        Maybe[Domains],
        Fact(f"Number of report address domains beyond the first {MAX_REPORT_DOMAINS}, which were not checked."),
    ]
    external_reports: Annotated[
        Maybe[tuple[ExternalReports, ...]],
        Fact("Report domains of other organizations, and whether these authorize the reports.", key=("host",)),
    ]


class Alignment(Topic, frozen=True, kw_only=True):
    """Whether MAIL FROM, d= and HELO are aligned with the author domain."""

    topic = "alignment"
    author_domain: Annotated[
        Maybe[str | None],
        Fact("The author domain; if From has several, the one with the strictest policy among those that fail."),
    ]
    basis: Annotated[
        Maybe[Annotated[str, OneOf("policy public-suffix")] | None],
        Fact(
            "How organizational domains are determined: by the DMARC records (RFC 9989), or by the public suffix "
            "list if no record applies."
        ),
    ]
    spf: Annotated[Maybe[Aligned | None], Fact("Alignment of the MAIL FROM domain with the author domain.")]
    dkim: Annotated[
        Maybe[Aligned | None],
        Fact(
            "Alignment with the author domain of the best d= among the signatures that pass (among all signatures "
            "if none passes)."
        ),
    ]
    helo: Annotated[Maybe[Aligned | None], Fact("Alignment of the HELO name with the author domain.")]
    spf_pass: Annotated[Maybe[bool], Fact("SPF passes and is aligned in the mode that the record requires.")]
    dkim_pass: Annotated[
        Maybe[bool], Fact("A DKIM signature passes and is aligned in the mode that the record requires.")
    ]
    mail_from_domain: Annotated[Maybe[str | None], Fact("MAIL FROM domain.")]
    signing_domains: Annotated[Maybe[tuple[str, ...]], Fact("d= of all signatures.")]
    strict_breaks: Annotated[
        Maybe[tuple[str, ...]], Fact("Mechanisms that are not aligned only because of strict mode (spf, dkim).")
    ]


class AuthorPolicy(Topic, frozen=True, kw_only=True):
    """The policy that applies to the message: only that of the author domain."""

    topic = "alignment"
    policy_location: Annotated[
        Maybe[str | None],
        Fact(
            "Domain whose DMARC record applies to the message: the record found for the From domain, regardless of "
            "its owner."
        ),
    ]
    policy_record: Annotated[Maybe[str | None], Fact("The DMARC record that applies to the message.")]
    policy: Annotated[
        Maybe[Policy | None],
        Fact(
            "Policy that a receiver following RFC 9989 is asked to apply if the message fails DMARC, with t=y taken "
            "into account; absent if no record applies."
        ),
    ]
    policy_legacy: Annotated[
        Maybe[Policy | None],
        Fact("The same for a receiver following RFC 7489 (with pct, without t)."),
    ]
    policy_adkim: Annotated[
        Maybe[Annotated[str, OneOf("r s")] | None], Fact("DKIM alignment mode of that record (adkim=).")
    ]
    policy_aspf: Annotated[
        Maybe[Annotated[str, OneOf("r s")] | None], Fact("SPF alignment mode of that record (aspf=).")
    ]


class DmarcVerdict(Topic, frozen=True, kw_only=True):
    """The DMARC result of the message."""

    topic = "dmarc"
    result: Annotated[
        Maybe[Annotated[str, OneOf("pass fail none permerror temperror")]], Fact("DMARC result for the message.")
    ]


class Bimi(Topic, frozen=True, kw_only=True):
    """The logo that mailbox providers may display next to the domain's mail."""

    topic = "bimi"
    domain: Annotated[Maybe[str], Fact("Domain that the record was looked up for: that of the DMARC policy.")]
    selector: Annotated[Maybe[str], Fact("BIMI selector: that of BIMI-Selector in the message, or else `default`.")]
    present: Annotated[Maybe[bool], Fact("A BIMI record is published, valid or not.")]
    record: Annotated[Maybe[str | None], Fact("The BIMI record.")]
    name: Annotated[Maybe[str | None], Fact("Name at which the record is published.")]
    declined: Annotated[Maybe[bool], Fact("The record declines to publish a logo (empty l= and a=).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("Errors in the record, one item each.")]
    logo: Annotated[Maybe[str | None], Fact("Location of the logo (l=).")]
    certificate: Annotated[Maybe[str | None], Fact("Location of the certificate (a=).")]
    logo_octets: Annotated[Maybe[Octets | None], Fact("Size of the logo; known only if fetching it is allowed.")]
    logo_errors: Annotated[
        Maybe[tuple[Detail, ...]], Fact("Why the logo is not SVG Tiny PS; known only if fetching it is allowed.")
    ]
    certificate_found: Annotated[
        Maybe[bool | None],
        Fact(
            "There is a certificate in PEM format at the location in a=; it is not validated. Known only if "
            "fetching it is allowed."
        ),
    ]
