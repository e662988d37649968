"""Facts about the way of the message: envelope, hosts, forwarding, streams, what receivers recorded."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Fact, Maybe, OneOf, Topic


class Envelope(Topic, frozen=True, kw_only=True):
    """The SMTP envelope and the hop by which the message came."""

    topic = "envelope"
    mail_from: Annotated[
        Maybe[str],
        Fact("MAIL FROM address (only its domain where the source tells no more); empty for the null reverse-path."),
    ]
    mail_from_domain: Annotated[
        Maybe[str | None],
        Fact("Its domain as A-label (the HELO name for a null reverse-path); none where it is no domain name."),
    ]
    mail_from_source: Annotated[
        Maybe[Annotated[str, OneOf("option smtp return-path srs received-spf authentication-results")]],
        Fact("Where it was read."),
    ]
    helo: Annotated[Maybe[str], Fact("HELO/EHLO name of the sending host.")]
    helo_source: Annotated[
        Maybe[Annotated[str, OneOf("option smtp received received-spf authentication-results")]],
        Fact("Where it was read."),
    ]
    helo_fqdn: Annotated[Maybe[bool], Fact("The HELO name is a fully qualified name or address literal.")]
    ip: Annotated[
        Maybe[str],
        Fact(
            "Address the mail was sent from to the receiver: the one that the receiver recorded, where it did. "
            "Where the mail was passed on afterwards, the one of the hop before that."
        ),
    ]
    connecting_ip: Annotated[
        Maybe[str | None],
        Fact("Address the last receiver got the mail from; another than envelope.ip where it was passed on."),
    ]
    passed_on_by: Annotated[
        Maybe[str | None],
        Fact("Host that passed the mail on after the hop that is judged; none where nobody did."),
    ]
    passed_on_signs: Annotated[
        Maybe[
            tuple[
                Annotated[
                    str,
                    OneOf("original-results arc earlier-results other-recipient resent gateway spf-pass"),
                ],
                ...,
            ]
        ],
        Fact(
            "What shows that: original-results (named by a field for it), arc, earlier-results, other-recipient "
            "(the hop before was for somebody at another organization), resent (delivered and sent anew), gateway"
            " (a known one before a mail system), spf-pass (SPF of MAIL FROM passes there, and not at the last "
            "hop)."
        ),
    ]
    ip_source: Annotated[
        Maybe[Annotated[str, OneOf("option smtp received received-spf authentication-results")]],
        Fact("Where it was read."),
    ]
    tls: Annotated[Maybe[bool | None], Fact("The receiving hop says that it came over TLS.")]


class Forwarding(Topic, frozen=True, kw_only=True):
    """Whether the mail came straight from its sender."""

    topic = "message"
    list_owner: Annotated[
        Maybe[Literal["own", "other"] | None],
        Fact(
            "Whose list List-Id names, by the public suffix list: the author domain's organization or another; "
            "none without a List-Id that is a name."
        ),
    ]
    list_post: Annotated[
        Maybe[bool],
        Fact(
            "The message is a post to a mailing list of another organization than the author's: its List-Post "
            "names an address there, its List-Id lies there and it is addressed to the list or marked by list "
            "software, or its Return-Path is the owner- or -bounces address of a list there that it is addressed "
            "to."
        ),
    ]
    discussion: Annotated[
        Maybe[bool],
        Fact(
            "The message is a post to a list that its members write to, whoever's: such a post to another "
            "organization's list, a List-Post with an address, or list software that put the list into From. It "
            "is no bulk mail."
        ),
    ]
    forward_signs: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "What shows that it was forwarded: resent, x-forwarded, delivered-to, rewritten-sender (SRS), arc or "
            "earlier-spf-pass, where an earlier receiver recorded another address than the connecting one, and "
            "passed-on (envelope.passed_on_signs)."
        ),
    ]
    forwarded: Annotated[Maybe[bool], Fact("There is such a sign: somebody passed the message on.")]
    indirect: Annotated[
        Maybe[bool],
        Fact("A post to another organization's list, or forwarded, and the hop before that is not known."),
    ]


Aligned = Literal["strict", "relaxed", "none"]
"""How a name stands to the author domain."""


class SendingAddress(Record, frozen=True, kw_only=True):
    """An address that sends, and its reverse DNS."""

    ip: Annotated[str, Fact("Sending address.")]
    version: Annotated[int, Fact("IP version, 4 or 6.")]
    reverse_name: Annotated[str, Fact("Name at which the PTR record stands.")]
    ptr: Annotated[Maybe[tuple[str, ...]], Fact("Names that its PTR records give.")]
    name: Annotated[Maybe[str | None], Fact("The PTR name that leads back to it, else the first one.")]
    confirmed: Annotated[
        Maybe[bool], Fact("A PTR name has an A or AAAA record with this address (forward-confirmed reverse DNS).")
    ]
    generic: Annotated[Maybe[bool], Fact("The name looks made from the address or says static, customer ...")]
    dynamic: Annotated[Maybe[bool], Fact("The name looks like one of a dial-up or home connection.")]
    helo_matches: Annotated[
        Maybe[bool | None], Fact("The HELO name leads to this address, or is its confirmed PTR name.")
    ]
    aligned: Annotated[Maybe[Aligned | None], Fact("The name against the author domain.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this address.")]


class SendingHosts(Topic, frozen=True, kw_only=True):
    """Who the sending hosts say they are."""

    topic = "identity"
    ips: Annotated[Maybe[tuple[SendingAddress, ...]], Fact("Every sending address and its reverse DNS.", key=("ip",))]
    helo_resolves: Annotated[Maybe[bool | None], Fact("The HELO name has an address; none for an address literal.")]


Kind = Literal["users", "bulk", "transactional"]


class StreamSample(Record, frozen=True, kw_only=True):
    """One of several messages of the domain."""

    name: Annotated[str, Fact("The message, as the report or the settings name it.")]
    purpose: Annotated[
        Kind | None,
        Fact("What kind of mail it is; none where nobody said so and its marks do not tell."),
    ]
    basis: Annotated[
        Literal["declared", "inferred"] | None,
        Fact("Whether the user says so (declared) or its marks show it (inferred); none where neither does."),
    ]
    signs: Annotated[
        tuple[str, ...],
        Fact(
            "Those marks. Bulk: list-unsubscribe, list-id, precedence-bulk, feedback-id; transactional: auto-generated."
        ),
    ]
    address: Annotated[str | None, Fact("Address that its receiver took it from; none where it does not tell.")]
    signers: Annotated[tuple[str, ...], Fact("Domains of its signatures (d=).")]


class Streams(Topic, frozen=True, kw_only=True):
    """What newsletters and transactional mail share."""

    topic = "streams"
    samples: Annotated[
        Maybe[tuple[StreamSample, ...]],
        Fact("The messages of the domain in this run, where there are several.", key=("name",)),
    ]
    bulk: Annotated[Maybe[tuple[str, ...]], Fact("Those that are bulk mail, by name.")]
    transactional: Annotated[Maybe[tuple[str, ...]], Fact("Those that are transactional mail, by name.")]
    shared_addresses: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Addresses that sent both bulk and transactional mail; unknown without a message of each that tells "
            "its own."
        ),
    ]
    shared_signers: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Domains of the domain's own organization that signed both bulk and transactional mail; unknown "
            "without a message of each."
        ),
    ]


Role = Literal["author-domain", "mail-from", "helo", "dkim", "ptr"]


class Link(Record, frozen=True, kw_only=True):
    """An identity of the mail, and what vouches for it."""

    role: Annotated[Role, Fact("Which identity.")]
    name: Annotated[Maybe[str | None], Fact("Domain or host name.")]
    aligned: Annotated[
        Maybe[Aligned | None],
        Fact("How it stands to the author domain; none given for the author domain itself."),
    ]
    authenticated: Annotated[
        Maybe[str | None],
        Fact(
            "Result of what checks it: DMARC for the author domain, SPF for MAIL FROM, the signature for d=, "
            "forward confirmation (pass or fail) for HELO and PTR."
        ),
    ]
    by: Annotated[str | None, Fact("What checked it: dmarc, spf, dkim or dns.")]


class Identities(Topic, frozen=True, kw_only=True):
    """All identities of a mail side by side."""

    topic = "identity"
    chain: Annotated[
        Maybe[tuple[Link, ...]],
        Fact(
            "Who is who: every identity of the mail, how it stands to the author domain, and what vouches for it.",
            key=("role", "name"),
        ),
    ]
    sends_nothing: Annotated[
        Maybe[bool],
        Fact(
            "The domain says in two ways that it sends no mail: SPF authorizes nobody, and it has a null MX or "
            "p=reject."
        ),
    ]


class ContraryResult(Record, frozen=True, kw_only=True):
    """A method for which we get another result than the receiver."""

    method: Annotated[Annotated[str, OneOf("spf dkim dmarc")], Fact("Method.")]
    recorded: Annotated[str, Fact("Result that the receiver recorded.")]
    ours: Annotated[str, Fact("Our result.")]
    reason: Annotated[
        Annotated[str, OneOf("forwarded record-changed key-rotated other-identity unknown")],
        Fact(
            "Why they likely differ: changed on a later way, another DNS record or key now, another identity evaluated."
        ),
    ]


class Recorded(Topic, frozen=True, kw_only=True):
    """What the receiving system recorded of SPF, DKIM and DMARC."""

    topic = "recorded"
    by: Annotated[
        Maybe[str | None],
        Fact(
            "Who recorded it: the authserv-id, else the receiver of Received-SPF, else the server that took the mail."
        ),
    ]
    spf: Annotated[Maybe[str | None], Fact("SPF result that the receiver recorded, in lower case.")]
    dkim: Annotated[
        Maybe[str | None],
        Fact("DKIM result that the receiver recorded, in lower case: pass where it recorded that of one signature."),
    ]
    dmarc: Annotated[Maybe[str | None], Fact("DMARC result that the receiver recorded, in lower case.")]
    compauth: Annotated[Maybe[str | None], Fact("Microsoft's composite authentication result, in lower case.")]
    spf_domain: Annotated[Maybe[str | None], Fact("Domain the receiver evaluated SPF for, as A-label.")]
    ip: Annotated[Maybe[str | None], Fact("Address the receiver recorded the mail to have come from.")]
    differences: Annotated[
        Maybe[tuple[ContraryResult, ...]],
        Fact("Methods for which we get another result than the receiver recorded.", key=("method",)),
    ]
