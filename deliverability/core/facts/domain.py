"""Facts about the domain: what it sends and by which services, whether it exists, its hosts, owners, block lists."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Purpose, Record
from deliverability.core.model.topic import Day, Fact, Lists, Lookups, Maybe, Messages, OneOf, Subjects, Topic


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


class UsedService(Record, frozen=True, kw_only=True):
    """A sending service or mailbox host that the domain is set up for."""

    id: Annotated[str, Fact("Name in the catalogue of services (rules/senders/).")]
    name: Annotated[str, Fact("Its name.")]
    kind: Annotated[
        Annotated[str, OneOf("mailbox hosting transactional newsletter crm helpdesk shop gateway other")],
        Fact("What it is used for."),
    ]
    seen_by: Annotated[tuple[str, ...], Fact("What shows it (spf: include:sendgrid.net).")]
    authorised: Annotated[bool, Fact("SPF of the domain lets it send.")]
    spf_terms: Annotated[tuple[str, ...], Fact("Terms of SPF that stand for it.")]
    spf_lookups: Annotated[
        Lookups | None,
        Fact(
            "Look-ups that those terms cost, everything below them counted; none where several SPF records make "
            "no tree."
        ),
    ]
    selectors: Annotated[tuple[str, ...], Fact("Selectors of its keys that are published.")]
    usual_selectors: Annotated[
        tuple[str, ...], Fact("Selectors that it asks for; empty where it asks everybody for others.")
    ]
    has_key: Annotated[
        Maybe[bool | None],
        Fact(
            "A key of it is published; none where it has no usual selectors by which to tell, or these were not "
            "asked for."
        ),
    ]
    receives: Annotated[bool, Fact("MX leads to it.")]
    include_needed: Annotated[
        Maybe[bool | None],
        Fact(
            "SPF of this domain has to list it; false where its Return-Path lies elsewhere; none where nobody "
            "could say."
        ),
    ]
    alignment: Annotated[
        Annotated[str, OneOf("from-domain custom-return-path none")] | None,
        Fact("How its mail can pass SPF in alignment with From."),
    ]
    confidence: Annotated[Annotated[str, OneOf("high medium low")], Fact("How sure the entry of the catalogue is.")]


class Senders(Topic, frozen=True, kw_only=True):
    """Which services the domain uses."""

    topic = "senders"
    services: Annotated[
        Maybe[tuple[UsedService, ...]],
        Fact("Sending services and mailbox hosts that the domain is set up for, by SPF, DKIM and MX.", key=("name",)),
    ]
    complete: Annotated[Maybe[bool], Fact("SPF, MX and the selectors could all be looked at, so none was missed.")]
    unknown_includes: Annotated[Maybe[tuple[str, ...]], Fact("Includes of SPF that lead to nobody in the catalogue.")]


class MessageSender(Topic, frozen=True, kw_only=True):
    """Which service sent the message."""

    topic = "senders"
    message_service: Annotated[Maybe[str | None], Fact("Name in the catalogue of what sent the message.")]
    message_service_name: Annotated[Maybe[str | None], Fact("Its name.")]
    message_seen_by: Annotated[Maybe[str | None], Fact("What shows it.")]
    spf_alignment_impossible: Annotated[
        Maybe[bool],
        Fact(
            "The service that sent the message, as its Return-Path or key shows, cannot align SPF with From in "
            "its usual setup, and did not here."
        ),
    ]
    signs_fixed_fields: Annotated[
        Maybe[bool],
        Fact("A signature of the From domain is that of a service whose list of signed fields no customer can change."),
    ]


class AskedList(Record, frozen=True, kw_only=True):
    """A block list that was asked for."""

    id: Annotated[str, Fact("Id of the catalogue, or file: and the name of a file.")]
    name: Annotated[str, Fact("What it is called.")]
    operator: Annotated[str, Fact("Id of whoever runs it; private for a file.")]
    kind: Annotated[Annotated[str, OneOf("ip4 ip6 name any")], Fact("What it lists.")]
    health: Annotated[
        Annotated[str, OneOf("healthy refused dead rewritten unreachable not-asked")],
        Fact("Whether its answers mean anything."),
    ]
    reason: Annotated[Detail | None, Fact("Why it is not healthy.")]
    asked: Annotated[Subjects, Fact("Addresses and names that it was asked about.")]
    answered: Annotated[tuple[str, ...], Fact("Those of them of which it said whether they are on it.")]
    listed: Annotated[Maybe[tuple[str, ...]], Fact("Those on it because of mail from there.")]
    policy: Annotated[Maybe[tuple[str, ...]], Fact("Those on it from which no mail should come directly.")]
    informational: Annotated[Maybe[tuple[str, ...]], Fact("Those on it in a way that few act on.")]
    named_by: Annotated[tuple[str, ...], Fact("Receivers that say that they use it.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this list.")]


class Listing(Record, frozen=True, kw_only=True):
    """An address or name that is on a list."""

    list: Annotated[str, Fact("Id of the list.")]
    subject: Annotated[str, Fact("Address or name.")]
    kind: Annotated[Annotated[str, OneOf("sending-ip from mail-from dkim links ptr")], Fact("What it is to the mail.")]
    codes: Annotated[tuple[str, ...], Fact("What the list answered.")]
    meaning: Annotated[str, Fact("Key of the catalogue; private for a file.")]
    weight: Annotated[Annotated[str, OneOf("listing policy informational")], Fact("How much that weighs.")]
    text: Annotated[str | None, Fact("What the list says of it, at most 200 characters.")]
    first_seen: Annotated[Day | None, Fact("Day since when runs have seen it.")]


class Blocklists(Topic, frozen=True, kw_only=True):
    """Whether the addresses and names of the mail are on block lists."""

    topic = "blocklists"
    asked: Annotated[Maybe[bool], Fact("Block lists were asked for, and there are any.")]
    subjects: Annotated[Maybe[tuple[str, ...]], Fact("Addresses (at most 50) and names (at most 20).")]
    healthy: Annotated[Maybe[Lists], Fact("Lists that answered as a list should.")]
    lists: Annotated[Maybe[tuple[AskedList, ...]], Fact("The lists that were asked for.", key=("id",))]
    listings: Annotated[Maybe[tuple[Listing, ...]], Fact("What is on a list.", key=("list", "subject"))]
    began: Annotated[Maybe[tuple[str, ...]], Fact("Listings that the run before did not see, as SUBJECT (LIST).")]
    ended: Annotated[Maybe[tuple[str, ...]], Fact("Listings that the run before saw and that are gone, alike.")]
