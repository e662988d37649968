"""Facts about sending services and block lists."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Day, Fact, Lists, Lookups, Maybe, OneOf, Subjects, Topic


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
