"""Facts about the domain: what it sends, whether it exists, its MX hosts, whose things are."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.facts.base import Purpose, Record
from deliverability.core.model.topic import Day, Fact, Maybe, Messages, OneOf, Topic


class AcceptedFinding(Record, frozen=True, kw_only=True):
    """A finding that the user accepts."""

    rule: Annotated[str, Fact("Rule id that is waived.")]
    item: Annotated[str | None, Fact("Item of the rule that is waived; none: every item.")]
    reason: Annotated[
        str,
        OneOf("accepted-risk handled-elsewhere not-applicable false-positive"),
        Fact("Why the finding is accepted."),
    ]
    note: Annotated[str | None, Fact("A remark of the user.")]
    until: Annotated[Day | None, Fact("Last day on which the waiver counts (ISO date).")]
    expired: Annotated[bool, Fact("That day is over.")]
    used: Annotated[
        bool | None,
        Fact(
            "A finding is unmet that the waiver covers (or would, had it not run out); known once all others are "
            "judged."
        ),
    ]


class Declared(Topic, frozen=True, kw_only=True):
    """What the user said about the domain."""

    topic = "subject"
    domain: Annotated[Maybe[str], Fact("The audited domain as A-label.")]
    daily_volume: Annotated[Maybe[Messages], Fact("Messages sent a day, as declared.")]
    waivers: Annotated[
        Maybe[tuple[AcceptedFinding, ...]],
        Fact("Findings that the user accepts, as the settings file names them for this domain.", key=("rule", "item")),
    ]


class Sending(Topic, frozen=True, kw_only=True):
    """What the domain sends."""

    topic = "subject"
    purpose: Annotated[
        Maybe[Purpose],
        Fact(
            "What the domain sends: as declared, else bulk or parked where purpose_signs show it; unknown where "
            "nothing tells."
        ),
    ]
    purpose_basis: Annotated[
        Maybe[Literal["declared", "inferred"] | None],
        Fact(
            "Whether the purpose was declared by the user or is inferred, an assumption to be told; none where it"
            " is neither."
        ),
    ]
    purpose_signs: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "What an inferred purpose rests on. Bulk: list-unsubscribe, list-id, precedence-bulk, feedback-id; "
            "parked: spf-all-fails with null-mx or dmarc-reject."
        ),
    ]
    parked: Annotated[
        Maybe[bool],
        Fact("The domain sends no mail: so declared (purpose parked), or inferred where nobody declared a purpose."),
    ]
    sends: Annotated[
        Maybe[bool],
        Fact(
            "The domain is known to send mail: by a purpose other than parked, or a declared volume or sending address."
        ),
    ]


MAX_REPLY_DOMAINS = 10
"""So many domains of Reply-To are looked at; a reply to more people than that is nobody's intention."""


class ReplyToDomain(Record, frozen=True, kw_only=True):
    """A domain to which answers go."""

    domain: Annotated[str, Fact("Domain of a Reply-To address.")]
    accepts: Annotated[Maybe[bool], Fact("Mail can reach it: as domain.accepts_mail.")]
    names_server: Annotated[Maybe[bool], Fact("It has an MX host, or an address and no MX, whatever the addresses.")]
    author: Annotated[bool, Fact("It is the From domain as well.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this domain.")]


class Domain(Topic, frozen=True, kw_only=True):
    """Whether the audited domain exists and takes mail."""

    topic = "domain"
    exists: Annotated[Maybe[bool], Fact("The audited domain exists in DNS.")]
    existing_parent: Annotated[
        Maybe[str | None],
        Fact("Where it does not: the nearest name above it, up to its organizational domain, that does."),
    ]
    mx: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts in order of preference, the null MX as '.'.")]
    null_mx: Annotated[Maybe[bool], Fact("The domain publishes a null MX (RFC 7505).")]
    accepts_mail: Annotated[
        Maybe[bool], Fact("Mail can reach it: an MX host, or without MX the domain itself, has a public address.")
    ]


class DomainZone(Topic, frozen=True, kw_only=True):
    """Where the zone of the domain begins, and who serves it."""

    topic = "domain"
    zone: Annotated[
        Maybe[str | None],
        Fact("The zone that the domain stands in: the nearest name with NS records, up to its organizational domain."),
    ]
    name_servers: Annotated[Maybe[tuple[str, ...]], Fact("The name servers of that zone.")]
    dns_provider: Annotated[
        Maybe[str | None],
        Fact(
            "Id of the DNS provider where its records are edited: as given, else the one that all name servers "
            "belong to."
        ),
    ]


class AuthorDomain(Topic, frozen=True, kw_only=True):
    """The From domain; the audited domain without a message."""

    topic = "domain"
    author_accepts_mail: Annotated[
        Maybe[bool | None],
        Fact("Mail can reach the From domain (the audited domain without a message): as domain.accepts_mail."),
    ]
    author_names_server: Annotated[
        Maybe[bool | None],
        Fact("The From domain has an MX host, or an address and no MX, whatever the addresses."),
    ]


class MailFromDomain(Topic, frozen=True, kw_only=True):
    """The domain of the envelope sender."""

    topic = "domain"
    mail_from_exists: Annotated[Maybe[bool | None], Fact("The MAIL FROM domain exists in DNS.")]
    mail_from_has_records: Annotated[
        Maybe[bool | None],
        Fact("The MAIL FROM domain has a record of some kind: MX, A, AAAA, TXT, NS, SOA or CNAME."),
    ]
    mail_from_accepts: Annotated[
        Maybe[bool | None], Fact("Mail can reach the MAIL FROM domain: as domain.accepts_mail.")
    ]
    mail_from_names_server: Annotated[
        Maybe[bool | None],
        Fact("The MAIL FROM domain has an MX host, or an address and no MX, whatever the addresses."),
    ]


class ReplyToDomains(Topic, frozen=True, kw_only=True):
    """The domains to which answers go."""

    topic = "domain"
    reply_to_domains: Annotated[
        Maybe[tuple[ReplyToDomain, ...]],
        Fact(f"Domains of the Reply-To addresses, at most {MAX_REPLY_DOMAINS}.", key=("domain",)),
    ]


class MxHost(Record, frozen=True, kw_only=True):
    """A host of an MX record."""

    host: Annotated[str, Fact("Name in the MX record.")]
    preference: Annotated[int | None, Fact("Preference; less is tried first.")]
    addresses: Annotated[Maybe[tuple[str, ...]], Fact("Its IPv4 and IPv6 addresses.")]
    alias: Annotated[Maybe[str | None], Fact("Target, where the host is a CNAME.")]
    literal: Annotated[bool, Fact("An IP address stands where a name belongs.")]
    has_address: Annotated[Maybe[bool], Fact("The host has an address.")]
    has_ip6: Annotated[Maybe[bool], Fact("The host has an IPv6 address that is no IPv4 address in disguise.")]
    unreachable: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Its addresses to which nothing can be sent over the internet: private, local, reserved, for documentation."
        ),
    ]
    public: Annotated[
        Maybe[bool], Fact("It is a host name with at least one address that is public, or for documentation.")
    ]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this host.")]


class Mx(Topic, frozen=True, kw_only=True):
    """Where mail for the domain goes."""

    topic = "mx"
    hosts: Annotated[
        Maybe[tuple[MxHost, ...]], Fact("MX hosts, most preferred first; empty for a null MX.", key=("host",))
    ]
    duplicates: Annotated[Maybe[tuple[str, ...]], Fact("Hosts that stand in more than one MX record.")]
    null_beside_others: Annotated[
        Maybe[bool], Fact("A null MX stands beside MX records with a host (RFC 7505 section 3).")
    ]


class Ownership(Topic, frozen=True, kw_only=True):
    """Whose the domains and hosts are."""

    topic = "ownership"
    domain: Annotated[
        Maybe[Annotated[str, OneOf("own foreign")]],
        Fact(
            "The audited domain: foreign where a message at hand has its From at a mailbox provider and the "
            "domain is that one."
        ),
    ]
    author: Annotated[
        Maybe[Annotated[str, OneOf("own provider foreign unknown")] | None],
        Fact(
            "The domain in From: own is a name of the audited organization (public suffix list); foreign belongs "
            "to a mailbox provider or another organization, and neither SPF nor DKIM shows that the mail may use "
            "it. Where one does, it is the provider's, or unknown: the other organization may be the sender's as "
            "well."
        ),
    ]
    author_mailbox: Annotated[
        Maybe[bool],
        Fact("The domain in From is one at which a provider or carrier gives addresses to its customers."),
    ]
    mail_from: Annotated[
        Maybe[Annotated[str, OneOf("own service receiving foreign")] | None],
        Fact(
            "The domain of MAIL FROM: own; of the sending service that was recognized; of who passed the mail on,"
            " and rewrote it; else of another organization."
        ),
    ]
    sending_host: Annotated[
        Maybe[Annotated[str, OneOf("own service unknown")] | None],
        Fact(
            "The host that the mail was sent from: own as ownership.addresses tells it, or of the sending service"
            " that was recognized; unknown where nothing tells."
        ),
    ]
    addresses: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Sending addresses known to be the organization's: named by the user, or with a confirmed reverse "
            "name, or a HELO name that leads to them, of the organization."
        ),
    ]


def _at(what: str) -> Fact:
    return Fact(f"Names at which {what} stand where nobody looks; only where one is missing.")


_FirstRecord = Annotated[Maybe[str | None], Fact("The first of these records.")]


class Misplaced(Topic, frozen=True, kw_only=True):
    """Records that stand where nobody looks for them."""

    topic = "misplaced"
    dmarc: Annotated[Maybe[tuple[str, ...]], _at("DMARC records")]
    dmarc_record: _FirstRecord
    spf: Annotated[Maybe[tuple[str, ...]], _at("SPF records")]
    spf_record: _FirstRecord
    dkim: Annotated[Maybe[tuple[str, ...]], _at("DKIM keys")]
    dkim_record: _FirstRecord


class FreeName(Record, frozen=True, kw_only=True):
    """A domain of others that mail rests on by a name that does not exist."""

    use: Annotated[
        Annotated[str, OneOf("spf dkim dmarc-policy dmarc-reports mx return-path mta-sts tls-reports bimi")],
        Fact("What for."),
    ]
    domain: Annotated[
        str,
        Fact("What would be registered: the domain at a registry, or the name at the service that gives it out."),
    ]
    names: Annotated[tuple[str, ...], Fact("The names below it that do not exist.")]
    by: Annotated[tuple[str, ...], Fact("What leads there, each with the name at which it stands.")]
    own: Annotated[
        bool,
        Fact("Some of it stands in records of the domain's owner; false where all is in the records of others."),
    ]
    free: Annotated[
        Maybe[bool],
        Fact("The domain is not registered: the zone above it exists and denies it (NXDOMAIN for NS and SOA)."),
    ]
    service: Annotated[str | None, Fact("The service at which the name would be taken.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this domain.")]


class Takeover(Topic, frozen=True, kw_only=True):
    """Names that mail rests on, and that somebody else could register."""

    topic = "takeover"
    names: Annotated[
        Maybe[tuple[FreeName, ...]],
        Fact("Domains of others that mail rests on by a name that does not exist.", key=("use", "domain")),
    ]
