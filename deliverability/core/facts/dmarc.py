"""Facts about the DMARC record and verdict, alignment, and BIMI."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.facts.envelope import Aligned
from deliverability.core.model.topic import Domains, Fact, Labels, Maybe, Octets, OneOf, Topic, Unit

Policy = Annotated[str, OneOf("none quarantine reject")]
MAX_REPORT_DOMAINS = 20
"""Nobody needs more, and a record can name thousands; receivers need not serve more than two (RFC 7489 section 6.2)."""


class WalkStep(Record, frozen=True, kw_only=True):
    """A name that the tree walk asked."""

    name: Annotated[str, Fact("Name asked.")]
    records: Annotated[Maybe[tuple[str, ...]], Fact("DMARC records there.")]


class ExternalReports(Record, frozen=True, kw_only=True):
    """A report domain of another organization."""

    host: Annotated[str, Fact("Domain of the report address.")]
    name: Annotated[str, Fact("Name of the authorization record.")]
    authorised: Annotated[Maybe[bool], Fact("The authorization record is there.")]
    same_organization_psl: Annotated[
        bool,
        Fact(
            "By the public suffix list it is our own organization, whose consent receivers by RFC 7489 do not ask for."
        ),
    ]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this address.")]


class DmarcDiscovery(Topic, frozen=True, kw_only=True):
    """Where the record is looked for."""

    topic = "dmarc"
    author_domain: Annotated[
        Maybe[str], Fact("Domain it was discovered for: the From domain of the message, else the audited domain.")
    ]
    used: Annotated[
        Maybe[bool | None],
        Fact(
            "The message at hand is judged by this record; false where its From lies elsewhere. None without a message."
        ),
    ]
    walk: Annotated[Maybe[tuple[WalkStep, ...]], Fact("Names asked by the tree walk, in order.", key=("name",))]
    organizational_domain: Annotated[Maybe[str], Fact("Organizational domain by the tree walk (RFC 9989).")]
    organizational_domain_psl: Annotated[
        Maybe[str], Fact("Organizational domain by the public suffix list (RFC 7489).")
    ]
    organizational_domains_agree: Annotated[
        Maybe[bool], Fact("Tree walk and public suffix list give the same organizational domain.")
    ]
    multiple_at: Annotated[
        Maybe[tuple[str, ...]], Fact("Domains with several DMARC records, all of which receivers discard.")
    ]
    lookalikes: Annotated[
        Maybe[tuple[str, ...]], Fact("TXT records at _dmarc names that were meant as DMARC but are ignored.")
    ]
    labels: Annotated[Maybe[Labels], Fact("Labels of the author domain.")]
    mail_from_organizational_domain: Annotated[
        Maybe[str | None], Fact("Organizational domain of the MAIL FROM domain.")
    ]
    helo_organizational_domain: Annotated[Maybe[str | None], Fact("Organizational domain of the HELO name.")]


class Dmarc(Topic, frozen=True, kw_only=True):
    """The DMARC record that counts for an author domain."""

    topic = "dmarc"
    present: Annotated[Maybe[bool], Fact("A valid DMARC record applies.")]
    record: Annotated[Maybe[str | None], Fact("That record, or the one at dmarc.ignored_at.")]
    ignored_at: Annotated[
        Maybe[str | None],
        Fact(
            "Domain whose record would apply, but has no valid policy and no usable rua: receivers act as if "
            "there were none (RFC 9989 section 4.10.1)."
        ),
    ]
    location: Annotated[Maybe[str | None], Fact("Domain at which it was found (without _dmarc).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("What is wrong in the record, for example p=rejct.")]
    policy: Annotated[Maybe[Policy | None], Fact("p= as published; none where p= is absent.")]
    policy_published: Annotated[Maybe[bool | None], Fact("p= is in the record.")]
    subdomain_policy: Annotated[Maybe[Policy | None], Fact("sp= as published.")]
    nonexistent_policy: Annotated[Maybe[Policy | None], Fact("np= as published.")]
    weaker_subdomains: Annotated[Maybe[tuple[str, ...]], Fact("sp= or np= with a weaker policy than p=.")]
    effective_policy: Annotated[
        Maybe[Policy | None],
        Fact("What a receiver by RFC 9989 applies to this author domain, t=y taken into account."),
    ]
    effective_policy_legacy: Annotated[
        Maybe[Policy | None],
        Fact("What a receiver by RFC 7489 applies (pct counts, t does not)."),
    ]
    policy_tag: Annotated[Maybe[Annotated[str, OneOf("p sp np")] | None], Fact("The tag the policy was taken from.")]
    stage: Annotated[
        Maybe[Annotated[str, OneOf("absent none testing quarantine reject")]],
        Fact("Where the domain is on the way: no record, none, testing, quarantine, reject."),
    ]
    testing: Annotated[Maybe[bool | None], Fact("t=y.")]
    pct: Annotated[Maybe[Annotated[int, Unit("percent")] | None], Fact("pct=, where published.")]
    psd: Annotated[Maybe[Annotated[str, OneOf("y n u")] | None], Fact("psd=.")]
    adkim: Annotated[Maybe[Annotated[str, OneOf("r s")] | None], Fact("DKIM alignment mode.")]
    aspf: Annotated[Maybe[Annotated[str, OneOf("r s")] | None], Fact("SPF alignment mode.")]
    obsolete_tags: Annotated[Maybe[tuple[str, ...]], Fact("Tags that RFC 9989 dropped (pct, rf, ri, !size).")]
    unknown_tags: Annotated[Maybe[tuple[str, ...]], Fact("Tags that no RFC defines.")]
    record_at_author: Annotated[Maybe[bool | None], Fact("The record stands at the author domain itself.")]


class DmarcReports(Topic, frozen=True, kw_only=True):
    """Where the record asks reports to be sent."""

    topic = "dmarc"
    rua: Annotated[Maybe[tuple[str, ...]], Fact("Aggregate report addresses.")]
    ruf: Annotated[Maybe[tuple[str, ...]], Fact("Failure report addresses.")]
    invalid_uris: Annotated[Maybe[tuple[str, ...]], Fact("Report addresses that cannot be used.")]
    rua_without_mx: Annotated[Maybe[tuple[str, ...]], Fact("Report domains that take no mail.")]
    report_domains_skipped: Annotated[
        Maybe[Domains],
        Fact(f"Domains of report addresses beyond the first {MAX_REPORT_DOMAINS}, which nothing was asked about."),
    ]
    external_reports: Annotated[
        Maybe[tuple[ExternalReports, ...]],
        Fact("Report addresses at other organizations and whether these agreed.", key=("host",)),
    ]


class Alignment(Topic, frozen=True, kw_only=True):
    """Whether MAIL FROM, d= and HELO belong to the author domain."""

    topic = "alignment"
    author_domain: Annotated[
        Maybe[str | None],
        Fact("The author domain; where From names several, the one whose policy is the strictest of those that fail."),
    ]
    basis: Annotated[
        Maybe[Annotated[str, OneOf("policy public-suffix")] | None],
        Fact(
            "What organizational domains are told by: the DMARC records (RFC 9989), or where none applies the "
            "public suffix list."
        ),
    ]
    spf: Annotated[Maybe[Aligned | None], Fact("MAIL FROM domain against the author domain.")]
    dkim: Annotated[
        Maybe[Aligned | None],
        Fact("Best d= of the signatures that pass (of all, where none passes) against the author domain."),
    ]
    helo: Annotated[Maybe[Aligned | None], Fact("HELO name against the author domain.")]
    spf_pass: Annotated[Maybe[bool], Fact("SPF passes and is aligned in the mode the record asks for.")]
    dkim_pass: Annotated[Maybe[bool], Fact("A DKIM signature passes and is aligned in the mode the record asks for.")]
    mail_from_domain: Annotated[Maybe[str | None], Fact("MAIL FROM domain.")]
    signing_domains: Annotated[Maybe[tuple[str, ...]], Fact("d= of all signatures.")]
    strict_breaks: Annotated[
        Maybe[tuple[str, ...]], Fact("Mechanisms that only strict mode keeps from being aligned (spf, dkim).")
    ]


class AuthorPolicy(Topic, frozen=True, kw_only=True):
    """The policy that decides about the message: that of the author domain and nobody else's."""

    topic = "alignment"
    policy_location: Annotated[
        Maybe[str | None],
        Fact("Domain whose DMARC record decides about the message: found for the domain in From, whosever that is."),
    ]
    policy_record: Annotated[Maybe[str | None], Fact("That record.")]
    policy: Annotated[
        Maybe[Policy | None],
        Fact(
            "What a receiver by RFC 9989 is asked to do with the message where it fails DMARC, t=y taken into "
            "account; none given where no record applies."
        ),
    ]
    policy_legacy: Annotated[
        Maybe[Policy | None],
        Fact("The same for a receiver by RFC 7489 (pct counts, t does not)."),
    ]
    policy_adkim: Annotated[Maybe[Annotated[str, OneOf("r s")] | None], Fact("DKIM alignment mode of that record.")]
    policy_aspf: Annotated[Maybe[Annotated[str, OneOf("r s")] | None], Fact("SPF alignment mode of that record.")]


class DmarcVerdict(Topic, frozen=True, kw_only=True):
    """The DMARC result of the message."""

    topic = "dmarc"
    result: Annotated[
        Maybe[Annotated[str, OneOf("pass fail none permerror temperror")]], Fact("DMARC result for the message.")
    ]


class Bimi(Topic, frozen=True, kw_only=True):
    """The logo that mailboxes may show beside the mail of the domain."""

    topic = "bimi"
    domain: Annotated[Maybe[str], Fact("Domain it was looked up for: that of the DMARC policy.")]
    selector: Annotated[Maybe[str], Fact("Selector: that of BIMI-Selector in the message, else default.")]
    present: Annotated[Maybe[bool], Fact("A BIMI record is published, valid or not.")]
    record: Annotated[Maybe[str | None], Fact("That record.")]
    name: Annotated[Maybe[str | None], Fact("Name at which it stands.")]
    declined: Annotated[Maybe[bool], Fact("The record says that no logo is to be shown (empty l= and a=).")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("What is wrong with the record, one each.")]
    logo: Annotated[Maybe[str | None], Fact("l=, where the logo is.")]
    certificate: Annotated[Maybe[str | None], Fact("a=, where the certificate is.")]
    logo_octets: Annotated[Maybe[Octets | None], Fact("Size of the logo; only where it may be fetched.")]
    logo_errors: Annotated[
        Maybe[tuple[Detail, ...]], Fact("Why the logo is no SVG Tiny PS; only where it may be fetched.")
    ]
    certificate_found: Annotated[
        Maybe[bool | None],
        Fact("A certificate in PEM form is where a= says; it is not validated. Only where it may be fetched."),
    ]
