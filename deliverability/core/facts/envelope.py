"""Facts about the path of the message: envelope, hosts, forwarding, streams, what receivers recorded."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Fact, Maybe, OneOf, Topic


class Envelope(Topic, frozen=True, kw_only=True):
    """The SMTP envelope and the hop by which the message arrived."""

    topic = "envelope"
    mail_from: Annotated[
        Maybe[str],
        Fact(
            "MAIL FROM address, or only its domain if the source gives nothing more; empty for the null reverse-path."
        ),
    ]
    mail_from_domain: Annotated[
        Maybe[str | None],
        Fact(
            "MAIL FROM domain as an A-label (the HELO name for a null reverse-path); absent if it is not a domain name."
        ),
    ]
    mail_from_source: Annotated[
        Maybe[Annotated[str, OneOf("option smtp return-path srs received-spf authentication-results")]],
        Fact("Source of envelope.mail_from."),
    ]
    helo: Annotated[Maybe[str], Fact("HELO or EHLO name of the sending host.")]
    helo_source: Annotated[
        Maybe[Annotated[str, OneOf("option smtp received received-spf authentication-results")]],
        Fact("Source of envelope.helo."),
    ]
    helo_fqdn: Annotated[Maybe[bool], Fact("The HELO name is a fully qualified domain name or an address literal.")]
    ip: Annotated[
        Maybe[str],
        Fact(
            "Address that sent the mail to the receiver, as recorded by the receiver if it did so. If the mail was "
            "forwarded afterwards, the address of the hop before that. Unknown if somebody passed the mail on and "
            "nothing shows who, or if it was only submitted."
        ),
    ]
    connecting_ip: Annotated[
        Maybe[str | None],
        Fact("Address that the last receiver got the mail from; differs from envelope.ip if the mail was forwarded."),
    ]
    passed_on_by: Annotated[
        Maybe[str | None],
        Fact("Host that forwarded the mail after the hop that is evaluated; absent if the mail was not forwarded."),
    ]
    passed_on_signs: Annotated[
        Maybe[
            tuple[
                Annotated[str, OneOf("other-recipient gateway")],
                ...,
            ]
        ],
        Fact(
            "What shows that: gateway (the server that took the mail in is an MX host of the last recipient's domain, "
            "or belongs to who runs these or to the domain), other-recipient (the same for another recipient, who "
            "forwards). SPF that passes at an earlier hop doesn't show it."
        ),
    ]
    ip_source: Annotated[
        Maybe[Annotated[str, OneOf("option smtp received received-spf authentication-results")]],
        Fact("Source of envelope.ip."),
    ]
    tls: Annotated[Maybe[bool | None], Fact("The receiving hop states that the mail arrived over TLS.")]


class Forwarding(Topic, frozen=True, kw_only=True):
    """Whether the mail came directly from its sender."""

    topic = "message"
    list_owner: Annotated[
        Maybe[Literal["own", "other"] | None],
        Fact(
            "Owner of the list in List-Id, by the public suffix list: the author domain's organization (own) or "
            "another; absent without a List-Id that is a domain name."
        ),
    ]
    list_post: Annotated[
        Maybe[bool],
        Fact(
            "The message is a post to a mailing list of an organization other than the author's. Either its "
            "List-Post contains an address there, its List-Id is there and it is addressed to the list or marked by "
            "list software, or its Return-Path is the owner- or -bounces address of a list there that it is "
            "addressed to."
        ),
    ]
    discussion: Annotated[
        Maybe[bool],
        Fact(
            "The message is a post to a list that its members write to, regardless of the owner: a post to another "
            "organization's list as in message.list_post, a List-Post with an address, or list software that put "
            "the list into From. It is not bulk mail."
        ),
    ]
    forward_signs: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Signs that the message was forwarded: resent, x-forwarded, delivered-to, rewritten-sender (SRS), "
            "passed-on (envelope.passed_on_signs)."
        ),
    ]
    forwarded: Annotated[Maybe[bool], Fact("The message has at least one of these signs.")]
    indirect: Annotated[
        Maybe[bool],
        Fact(
            "The message is a post to another organization's list, or was forwarded and the hop before that is not "
            "known. Unknown if somebody passed the mail on and nothing shows who."
        ),
    ]


Aligned = Literal["strict", "relaxed", "none"]
"""Alignment of a name with the author domain."""


class SendingAddress(Record, frozen=True, kw_only=True):
    """A sending address and its reverse DNS."""

    ip: Annotated[str, Fact("Sending address.")]
    version: Annotated[int, Fact("IP version: 4 or 6.")]
    reverse_name: Annotated[str, Fact("Name of the PTR record.")]
    ptr: Annotated[Maybe[tuple[str, ...]], Fact("Names in its PTR records.")]
    name: Annotated[Maybe[str | None], Fact("The PTR name that resolves to the address, or else the first PTR name.")]
    confirmed: Annotated[
        Maybe[bool], Fact("A PTR name has an A or AAAA record with the address (forward-confirmed reverse DNS).")
    ]
    generic: Annotated[
        Maybe[bool], Fact("The name looks derived from the address, or contains a word such as static or customer.")
    ]
    dynamic: Annotated[Maybe[bool], Fact("The name looks like that of a dial-up or home connection.")]
    helo_matches: Annotated[
        Maybe[bool | None], Fact("The HELO name resolves to the address, or is its confirmed PTR name.")
    ]
    aligned: Annotated[Maybe[Aligned | None], Fact("Alignment of the name with the author domain.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this address.")]


class SendingHosts(Topic, frozen=True, kw_only=True):
    """Names of the sending hosts: HELO and reverse DNS."""

    topic = "identity"
    ips: Annotated[
        Maybe[tuple[SendingAddress, ...]], Fact("All sending addresses, with their reverse DNS.", key=("ip",))
    ]
    helo_resolves: Annotated[
        Maybe[bool | None],
        Fact("The HELO name has an address record; absent for an address literal or a name without a dot."),
    ]


Kind = Literal["users", "bulk", "transactional"]


class StreamSample(Record, frozen=True, kw_only=True):
    """One of several messages of the domain."""

    name: Annotated[str, Fact("Name of the message in the report or the settings.")]
    purpose: Annotated[
        Kind | None,
        Fact("Kind of mail; absent if it is not declared and the message has no signs of it."),
    ]
    basis: Annotated[
        Literal["declared", "inferred"] | None,
        Fact(
            "Whether the user declared the kind of mail (declared) or the message has signs of it (inferred); "
            "absent if neither."
        ),
    ]
    signs: Annotated[
        tuple[str, ...],
        Fact(
            "Signs of the kind of mail. Bulk: list-unsubscribe, list-id, precedence-bulk, feedback-id; "
            "transactional: auto-generated."
        ),
    ]
    address: Annotated[
        str | None, Fact("Address that the receiver got the message from; absent if the message does not state it.")
    ]
    signers: Annotated[tuple[str, ...], Fact("Domains of the message's DKIM signatures (d=).")]


class Streams(Topic, frozen=True, kw_only=True):
    """What newsletters and transactional mail share."""

    topic = "streams"
    samples: Annotated[
        Maybe[tuple[StreamSample, ...]],
        Fact("Messages of the domain in this run, if there are several.", key=("name",)),
    ]
    bulk: Annotated[Maybe[tuple[str, ...]], Fact("Names of the samples that are bulk mail.")]
    transactional: Annotated[Maybe[tuple[str, ...]], Fact("Names of the samples that are transactional mail.")]
    shared_addresses: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Addresses that sent both bulk and transactional mail; unknown without a message of each kind that "
            "states its sending address."
        ),
    ]
    shared_signers: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Domains of the audited domain's organization that signed both bulk and transactional mail; unknown "
            "without a message of each kind."
        ),
    ]


Role = Literal["author-domain", "mail-from", "helo", "dkim", "ptr"]


class Link(Record, frozen=True, kw_only=True):
    """An identity of the mail, and how it is authenticated."""

    role: Annotated[Role, Fact("Kind of identity.")]
    name: Annotated[Maybe[str | None], Fact("Domain or host name.")]
    aligned: Annotated[
        Maybe[Aligned | None],
        Fact("Alignment with the author domain; absent for the author domain itself."),
    ]
    authenticated: Annotated[
        Maybe[str | None],
        Fact(
            "Authentication result: DMARC for the author domain, SPF for MAIL FROM, the signature for d=, forward "
            "confirmation (pass or fail) for HELO and PTR."
        ),
    ]
    by: Annotated[str | None, Fact("What the result comes from: dmarc, spf, dkim or dns.")]


class Identities(Topic, frozen=True, kw_only=True):
    """All identities of a mail side by side."""

    topic = "identity"
    chain: Annotated[
        Maybe[tuple[Link, ...]],
        Fact(
            "All identities of the mail, each with its alignment with the author domain and its authentication result.",
            key=("role", "name"),
        ),
    ]
    sends_nothing: Annotated[
        Maybe[bool],
        Fact(
            "The domain declares in two ways that it sends no mail: its SPF record authorizes no senders, and it "
            "has a null MX or p=reject."
        ),
    ]


class ContraryResult(Record, frozen=True, kw_only=True):
    """A method for which our result differs from the receiver's."""

    method: Annotated[Annotated[str, OneOf("spf dkim dmarc")], Fact("Authentication method.")]
    recorded: Annotated[str, Fact("Result that the receiver recorded.")]
    ours: Annotated[str, Fact("Our result.")]
    reason: Annotated[
        Annotated[str, OneOf("forwarded record-changed key-rotated other-identity unknown")],
        Fact(
            "Likely reason for the difference: the message was changed at a later hop, DNS now has another record "
            "or key, or another identity was evaluated."
        ),
    ]


class Recorded(Topic, frozen=True, kw_only=True):
    """SPF, DKIM and DMARC results that the receiving system recorded."""

    topic = "recorded"
    by: Annotated[
        Maybe[str | None],
        Fact(
            "Source of the recorded results: the authserv-id, or else the receiver in Received-SPF, or else the "
            "server that accepted the mail."
        ),
    ]
    spf: Annotated[Maybe[str | None], Fact("SPF result that the receiver recorded, in lower case.")]
    dkim: Annotated[
        Maybe[str | None],
        Fact(
            "DKIM result that the receiver recorded, in lower case; pass if it recorded that for at least one "
            "signature."
        ),
    ]
    dmarc: Annotated[Maybe[str | None], Fact("DMARC result that the receiver recorded, in lower case.")]
    compauth: Annotated[Maybe[str | None], Fact("Microsoft's composite authentication result, in lower case.")]
    spf_domain: Annotated[Maybe[str | None], Fact("Domain that the receiver evaluated SPF for, as an A-label.")]
    ip: Annotated[Maybe[str | None], Fact("Sending address that the receiver recorded.")]
    differences: Annotated[
        Maybe[tuple[ContraryResult, ...]],
        Fact("Methods for which our result differs from the one that the receiver recorded.", key=("method",)),
    ]
