"""Facts about the domain: what it sends and by which services, whether it exists, its hosts, owners, blocklists."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Purpose, Record
from deliverability.core.model.topic import Day, Fact, Lists, Lookups, Maybe, Messages, OneOf, Subjects, Topic


class AcceptedFinding(Record, frozen=True, kw_only=True):
    """A finding that the user accepts."""

    rule: Annotated[str, Fact("ID of the waived rule.")]
    item: Annotated[str | None, Fact("Waived item of the rule; absent: every item.")]
    reason: Annotated[
        str,
        OneOf("accepted-risk handled-elsewhere not-applicable false-positive"),
        Fact("Why the finding is accepted."),
    ]
    note: Annotated[str | None, Fact("The user's remark.")]
    until: Annotated[Day | None, Fact("Last day on which the waiver applies (ISO date).")]
    expired: Annotated[bool, Fact("The day in `until` has passed.")]
    used: Annotated[
        bool | None,
        Fact(
            "The waiver covers an unmet finding, or would if it had not expired; known once all other rules are judged."
        ),
    ]


class Declared(Topic, frozen=True, kw_only=True):
    """What the user declared about the domain."""

    topic = "subject"
    domain: Annotated[Maybe[str], Fact("The audited domain as an A-label.")]
    daily_volume: Annotated[Maybe[Messages], Fact("Messages sent per day, as declared.")]
    waivers: Annotated[
        Maybe[tuple[AcceptedFinding, ...]],
        Fact("Findings that the user accepts, as listed for this domain in the settings file.", key=("rule", "item")),
    ]


class Sending(Topic, frozen=True, kw_only=True):
    """What the domain sends."""

    topic = "subject"
    purpose: Annotated[
        Maybe[Purpose],
        Fact(
            "What the domain sends: as declared, or else bulk or parked if purpose_signs show it; unknown if there "
            "is no indication."
        ),
    ]
    purpose_basis: Annotated[
        Maybe[Literal["declared", "inferred"] | None],
        Fact(
            "Whether the user declared the purpose or it is inferred, which is an assumption that reports must "
            "state; absent if neither."
        ),
    ]
    purpose_signs: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "What an inferred purpose is based on. Bulk: list-unsubscribe, list-id, precedence-bulk, feedback-id; "
            "parked: spf-all-fails with null-mx or dmarc-reject."
        ),
    ]
    parked: Annotated[
        Maybe[bool],
        Fact("The domain sends no mail: declared as such (purpose parked), or inferred if no purpose is declared."),
    ]
    sends: Annotated[
        Maybe[bool],
        Fact(
            "The domain is known to send mail, by a purpose other than parked, a declared volume or a declared "
            "sending address."
        ),
    ]


MAX_REPLY_DOMAINS = 10
"""Maximum number of Reply-To domains to check; no sender intends replies to go to more."""


class ReplyToDomain(Record, frozen=True, kw_only=True):
    """A domain that replies go to."""

    domain: Annotated[str, Fact("Domain of a Reply-To address.")]
    accepts: Annotated[Maybe[bool], Fact("The domain can receive mail, as in domain.accepts_mail.")]
    names_server: Annotated[
        Maybe[bool],
        Fact("The domain has an MX host, or an address and no MX, whether or not the addresses are public."),
    ]
    author: Annotated[bool, Fact("The domain is also the From domain.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this domain.")]


class Domain(Topic, frozen=True, kw_only=True):
    """Whether the audited domain exists and accepts mail."""

    topic = "domain"
    exists: Annotated[Maybe[bool], Fact("The audited domain exists in DNS.")]
    existing_parent: Annotated[
        Maybe[str | None],
        Fact(
            "If the audited domain does not exist: the nearest existing name above it, up to its organizational domain."
        ),
    ]
    mx: Annotated[Maybe[tuple[str, ...]], Fact("MX hosts in order of preference; a null MX is '.'.")]
    null_mx: Annotated[Maybe[bool], Fact("The domain publishes a null MX (RFC 7505).")]
    accepts_mail: Annotated[
        Maybe[bool],
        Fact("The domain can receive mail: an MX host, or the domain itself if it has no MX, has a public address."),
    ]


class DomainZone(Topic, frozen=True, kw_only=True):
    """The domain's DNS zone and who serves it."""

    topic = "domain"
    zone: Annotated[
        Maybe[str | None],
        Fact("DNS zone of the domain: the nearest name with NS records, up to its organizational domain."),
    ]
    name_servers: Annotated[Maybe[tuple[str, ...]], Fact("Name servers of that zone.")]
    dns_provider: Annotated[
        Maybe[str | None],
        Fact(
            "ID of the DNS provider where the domain's records are edited: as given, or else the one that all name "
            "servers belong to."
        ),
    ]


class AuthorDomain(Topic, frozen=True, kw_only=True):
    """The From domain or, without a message, the audited domain."""

    topic = "domain"
    author_accepts_mail: Annotated[
        Maybe[bool | None],
        Fact("The From domain (without a message, the audited domain) can receive mail, as in domain.accepts_mail."),
    ]
    author_names_server: Annotated[
        Maybe[bool | None],
        Fact("The From domain has an MX host, or an address and no MX, whether or not the addresses are public."),
    ]


class MailFromDomain(Topic, frozen=True, kw_only=True):
    """The domain of the envelope sender."""

    topic = "domain"
    mail_from_exists: Annotated[Maybe[bool | None], Fact("The MAIL FROM domain exists in DNS.")]
    mail_from_has_records: Annotated[
        Maybe[bool | None],
        Fact("The MAIL FROM domain has at least one MX, A, AAAA, TXT, NS, SOA or CNAME record."),
    ]
    mail_from_accepts: Annotated[
        Maybe[bool | None], Fact("The MAIL FROM domain can receive mail, as in domain.accepts_mail.")
    ]
    mail_from_names_server: Annotated[
        Maybe[bool | None],
        Fact("The MAIL FROM domain has an MX host, or an address and no MX, whether or not the addresses are public."),
    ]


class ReplyToDomains(Topic, frozen=True, kw_only=True):
    """The domains that replies go to."""

    topic = "domain"
    reply_to_domains: Annotated[
        Maybe[tuple[ReplyToDomain, ...]],
        Fact(f"Domains of the Reply-To addresses, at most {MAX_REPLY_DOMAINS}.", key=("domain",)),
    ]


class MxHost(Record, frozen=True, kw_only=True):
    """The host in an MX record."""

    host: Annotated[str, Fact("Host name in the MX record.")]
    preference: Annotated[int | None, Fact("Preference; lower values are tried first.")]
    addresses: Annotated[Maybe[tuple[str, ...]], Fact("IPv4 and IPv6 addresses of the host.")]
    alias: Annotated[Maybe[str | None], Fact("CNAME target, if the host is an alias.")]
    literal: Annotated[bool, Fact("The MX record contains an IP address instead of a host name.")]
    has_address: Annotated[Maybe[bool], Fact("The host has an address.")]
    has_ip6: Annotated[Maybe[bool], Fact("The host has an IPv6 address that is not an IPv4-mapped address.")]
    unreachable: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Addresses of the host that cannot be reached over the internet: private, local, reserved, for "
            "documentation."
        ),
    ]
    public: Annotated[
        Maybe[bool],
        Fact("The MX record contains a host name that has at least one address that is public or for documentation."),
    ]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this host.")]


class Mx(Topic, frozen=True, kw_only=True):
    """Where mail for the domain goes."""

    topic = "mx"
    hosts: Annotated[
        Maybe[tuple[MxHost, ...]], Fact("MX hosts, the most preferred first; empty for a null MX.", key=("host",))
    ]
    duplicates: Annotated[Maybe[tuple[str, ...]], Fact("Hosts that appear in more than one MX record.")]
    null_beside_others: Annotated[
        Maybe[bool], Fact("There is a null MX next to MX records with a host (RFC 7505 section 3).")
    ]


class Ownership(Topic, frozen=True, kw_only=True):
    """Owners of the domains and hosts."""

    topic = "ownership"
    domain: Annotated[
        Maybe[Annotated[str, OneOf("own foreign")]],
        Fact(
            "Owner of the audited domain: foreign if both the From domain of the given message and the audited "
            "domain belong to mailbox providers; otherwise own."
        ),
    ]
    author: Annotated[
        Maybe[Annotated[str, OneOf("own provider foreign unknown")] | None],
        Fact(
            "Owner of the From domain. own: a name of the audited organization (public suffix list). foreign: a "
            "mailbox provider or another organization, and neither SPF nor DKIM shows that the mail may use the "
            "domain. If SPF or DKIM shows it: provider for a mailbox provider, and unknown for another "
            "organization, which may be the sender's as well."
        ),
    ]
    author_mailbox: Annotated[
        Maybe[bool],
        Fact("The From domain is one where a provider or carrier gives addresses to its customers."),
    ]
    mail_from: Annotated[
        Maybe[Annotated[str, OneOf("own service receiving foreign")] | None],
        Fact(
            "Owner of the MAIL FROM domain: own; service: the recognized sending service; receiving: the host or "
            "list that forwarded the mail and rewrote MAIL FROM; foreign: another organization."
        ),
    ]
    sending_host: Annotated[
        Maybe[Annotated[str, OneOf("own service unknown")] | None],
        Fact(
            "Owner of the host that sent the mail: own according to ownership.addresses; service: the recognized "
            "sending service; unknown if there is no indication."
        ),
    ]
    addresses: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Sending addresses known to belong to the organization: those given by the user, and those with a "
            "confirmed reverse DNS name, or a HELO name that resolves to them, in the organization."
        ),
    ]


def _at(what: str) -> Fact:
    return Fact(f"Names where receivers do not look, but that have {what}.")


_FirstRecord = Annotated[Maybe[str | None], Fact("The first of these records.")]


class Misplaced(Topic, frozen=True, kw_only=True):
    """Records at names where receivers do not look for them."""

    topic = "misplaced"
    dmarc: Annotated[Maybe[tuple[str, ...]], _at("a DMARC record; checked only if none applies")]
    dmarc_record: _FirstRecord
    spf: Annotated[Maybe[tuple[str, ...]], _at("an SPF record; checked only if there is none")]
    spf_record: _FirstRecord
    dkim: Annotated[Maybe[tuple[str, ...]], _at("a DKIM key; most are checked only if a named key is missing")]
    dkim_record: _FirstRecord


class FreeName(Record, frozen=True, kw_only=True):
    """A domain of others that the mail setup depends on through a name that does not exist."""

    use: Annotated[
        Annotated[str, OneOf("spf dkim dmarc-policy dmarc-reports mx return-path mta-sts tls-reports bimi")],
        Fact("What the domain is used for."),
    ]
    domain: Annotated[
        str,
        Fact("What someone else could register: the domain at a registry, or the name at the service that assigns it."),
    ]
    names: Annotated[tuple[str, ...], Fact("Names at or below the domain that do not exist.")]
    by: Annotated[tuple[str, ...], Fact("What refers to these names, each with the name at which it is published.")]
    own: Annotated[
        bool,
        Fact(
            "At least one reference is in a record of the audited domain's owner; false if all are in records of "
            "others."
        ),
    ]
    free: Annotated[
        Maybe[bool],
        Fact("The domain is not registered: the zone above it exists and denies it (NXDOMAIN for NS and SOA)."),
    ]
    service: Annotated[str | None, Fact("Service at which the name could be claimed.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this domain.")]


class Takeover(Topic, frozen=True, kw_only=True):
    """Names that the mail setup depends on and that someone else could register."""

    topic = "takeover"
    names: Annotated[
        Maybe[tuple[FreeName, ...]],
        Fact(
            "Domains of others that the mail setup depends on through a name that does not exist.",
            key=("use", "domain"),
        ),
    ]


class UsedService(Record, frozen=True, kw_only=True):
    """A sending service or mailbox host that the domain is set up for."""

    id: Annotated[str, Fact("ID in the catalog of services (rules/senders/).")]
    name: Annotated[str, Fact("Name of the service.")]
    kind: Annotated[
        Annotated[str, OneOf("mailbox hosting transactional newsletter crm helpdesk shop gateway other")],
        Fact("Kind of service."),
    ]
    seen_by: Annotated[tuple[str, ...], Fact("What identifies the service (spf: include:sendgrid.net).")]
    authorised: Annotated[bool, Fact("The domain's SPF record authorizes the service.")]
    spf_terms: Annotated[tuple[str, ...], Fact("SPF terms that refer to the service.")]
    spf_lookups: Annotated[
        Lookups | None,
        Fact(
            "DNS lookups that those terms cost, including everything below them; absent if several SPF records "
            "prevent an include tree."
        ),
    ]
    selectors: Annotated[tuple[str, ...], Fact("Selectors of its published keys.")]
    usual_selectors: Annotated[
        tuple[str, ...], Fact("Selectors that the service requires; empty if they differ for each customer.")
    ]
    has_key: Annotated[
        Maybe[bool | None],
        Fact(
            "A key of the service is published; absent if the service has no usual selectors to check, or if these "
            "were not queried."
        ),
    ]
    receives: Annotated[bool, Fact("The domain's MX records point to the service.")]
    include_needed: Annotated[
        Maybe[bool | None],
        Fact(
            "This domain's SPF record has to include the service; false if the service's Return-Path is at another "
            "domain; absent if this cannot be determined."
        ),
    ]
    alignment: Annotated[
        Annotated[str, OneOf("from-domain custom-return-path none")] | None,
        Fact("How the service's mail can pass SPF aligned with From."),
    ]
    confidence: Annotated[Annotated[str, OneOf("high medium low")], Fact("Confidence of the catalog entry.")]


class Senders(Topic, frozen=True, kw_only=True):
    """Which services the domain uses."""

    topic = "senders"
    services: Annotated[
        Maybe[tuple[UsedService, ...]],
        Fact(
            "Sending services and mailbox hosts that the domain is set up for, according to SPF, DKIM and MX.",
            key=("name",),
        ),
    ]
    complete: Annotated[Maybe[bool], Fact("SPF, MX and the selectors could all be checked, so no service was missed.")]
    unknown_includes: Annotated[Maybe[tuple[str, ...]], Fact("SPF includes that match no service in the catalog.")]


class MessageSender(Topic, frozen=True, kw_only=True):
    """Which service sent the message."""

    topic = "senders"
    message_service: Annotated[Maybe[str | None], Fact("ID in the catalog of the service that sent the message.")]
    message_service_name: Annotated[Maybe[str | None], Fact("Name of that service.")]
    message_seen_by: Annotated[Maybe[str | None], Fact("What identifies that service.")]
    spf_alignment_impossible: Annotated[
        Maybe[bool],
        Fact(
            "The service that sent the message, according to its Return-Path or key, cannot align SPF with From in "
            "its usual setup, and did not align it here."
        ),
    ]
    signs_fixed_fields: Annotated[
        Maybe[bool],
        Fact(
            "A signature of the From domain comes from a service whose list of signed fields customers cannot change."
        ),
    ]


class AskedList(Record, frozen=True, kw_only=True):
    """A requested blocklist."""

    id: Annotated[str, Fact("ID in the catalog, or `file:` and the name of a file.")]
    name: Annotated[str, Fact("Name of the list.")]
    operator: Annotated[str, Fact("ID of the list's operator; private for a file.")]
    kind: Annotated[Annotated[str, OneOf("ip4 ip6 name any")], Fact("Kind of entries that the list contains.")]
    health: Annotated[
        Annotated[str, OneOf("healthy refused dead rewritten unreachable not-asked")],
        Fact("Whether the list's answers can be used."),
    ]
    reason: Annotated[Detail | None, Fact("Why the list is not healthy.")]
    asked: Annotated[Subjects, Fact("Number of addresses and names that were looked up in the list.")]
    answered: Annotated[
        tuple[str, ...], Fact("Addresses and names for which the list gave a usable answer, listed or not.")
    ]
    listed: Annotated[
        Maybe[tuple[str, ...]], Fact("Addresses and names that are listed because of mail that they sent.")
    ]
    policy: Annotated[
        Maybe[tuple[str, ...]], Fact("Addresses and names that are listed because they should not send mail directly.")
    ]
    informational: Annotated[
        Maybe[tuple[str, ...]], Fact("Addresses and names that are listed in a way that few receivers act on.")
    ]
    named_by: Annotated[tuple[str, ...], Fact("Receivers that state that they use the list.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this list.")]


class Listing(Record, frozen=True, kw_only=True):
    """An address or name that is listed."""

    list: Annotated[str, Fact("ID of the list.")]
    subject: Annotated[str, Fact("Listed address or name.")]
    kind: Annotated[
        Annotated[str, OneOf("sending-ip from mail-from dkim links ptr")],
        Fact("Role of the address or name in the mail."),
    ]
    codes: Annotated[tuple[str, ...], Fact("Answers of the list.")]
    meaning: Annotated[str, Fact("Key of the answer's meaning in the catalog; private for a file.")]
    weight: Annotated[Annotated[str, OneOf("listing policy informational")], Fact("Weight of the listing.")]
    text: Annotated[str | None, Fact("The list's own explanation, at most 200 characters.")]
    first_seen: Annotated[Day | None, Fact("Day since which runs have seen the listing.")]


class Blocklists(Topic, frozen=True, kw_only=True):
    """Whether the addresses and names in the mail are on blocklists."""

    topic = "blocklists"
    asked: Annotated[Maybe[bool], Fact("Blocklist lookups were requested, and there is at least one list.")]
    subjects: Annotated[Maybe[tuple[str, ...]], Fact("Addresses (at most 50) and names (at most 20) to look up.")]
    healthy: Annotated[Maybe[Lists], Fact("Number of lists that work as expected.")]
    lists: Annotated[Maybe[tuple[AskedList, ...]], Fact("Requested lists.", key=("id",))]
    listings: Annotated[
        Maybe[tuple[Listing, ...]], Fact("Addresses and names that are listed.", key=("list", "subject"))
    ]
    began: Annotated[Maybe[tuple[str, ...]], Fact("Listings that the previous run did not see, as SUBJECT (LIST).")]
    ended: Annotated[
        Maybe[tuple[str, ...]], Fact("Listings that the previous run saw but that no longer exist, as SUBJECT (LIST).")
    ]
