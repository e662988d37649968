"""Whom a sender can write to at a receiver, and the pack of what that receiver wants to be told.

Codes and values only; the words in two languages are those of the catalogue (rules/contacts.yaml) and of the interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Struct, field

from deliverability.core.model.report import Finding
from deliverability.core.model.rules import Confidence, SourceRef
from deliverability.core.model.schema import Field, Text, Words, lower

PACK_SCHEMA = "1.0"


class ContactChannel(StrEnum):
    """How a receiver is written to. PAGE: read first, the way leads on from there. NONE: no contact was found."""

    MAIL = "mail"
    FORM = "form"
    PAGE = "page"
    NONE = "none"


class AskedFor(StrEnum):
    """What a receiver wants to be told."""

    COMPANY = "company"
    DOMAIN = "domain"
    ADDRESSES = "addresses"
    REPLIES = "replies"
    STARTED = "started"
    DESCRIPTION = "description"
    VOLUME = "volume"
    STEPS = "steps"


class Contact(Struct, frozen=True):
    """One receiver's contact for senders.

    Attributes:
        receiver: receiver id.
        channel: see ContactChannel.
        address: mail address, or the address of the page.
        language: of the letter, ``en`` or ``ja``.
        asks: what it wants to be told, in its order; empty where there is no contact.
        conditions: rules that must be met before it listens, besides those for which it refuses mail.
        scope: it answers for mail to these domains only; empty: for all of its own.
        note: by language, what else its page says.
        recipients: by language, what the recipient of the mail can do; may be empty.
        sources: where that was read.
        confidence: how sure it is.

    """

    receiver: Annotated[str, Field(pattern="[a-z0-9-]+")]
    channel: ContactChannel
    address: Text
    language: Literal["en", "ja"]
    note: Words
    sources: Annotated[tuple[SourceRef, ...], Field(filled=True)]
    asks: tuple[AskedFor, ...] = ()
    conditions: tuple[str, ...] = ()
    scope: Annotated[tuple[str, ...], Field(after=lower)] = ()
    recipients: Words = field(default_factory=dict)
    confidence: Confidence = Confidence.HIGH


class Company(Struct, frozen=True):
    """Who writes, as the settings say it; empty: not said."""

    name: str = ""
    contact: str = ""
    phone: str = ""


class HostOrigin(StrEnum):
    """How an address is known to send.

    GIVEN: the user named it. MESSAGE: the message came from it. RECEIVER: this receiver reported own mail from there
    (DMARC). REPORTS: others did. SNDS: Outlook.com shows it in SNDS.
    """

    GIVEN = "given"
    MESSAGE = "message"
    RECEIVER = "receiver"
    REPORTS = "reports"
    SNDS = "snds"


class SendingHost(Struct, frozen=True):
    """An address that sends for the domain.

    Attributes:
        ip: the address.
        name: its reverse name; None: it has none, or it is not known.
        known_by: how it is known to send.

    """

    ip: str
    name: str | None
    known_by: tuple[HostOrigin, ...]


class QuotedReply(Struct, frozen=True):
    """One wording of the receiver, recipients masked.

    Attributes:
        text: the words with their codes.
        count: how often it came.
        first, last: when, in UTC; None: the input does not tell.
        meaning: id of its meaning in the catalogue, or empty.

    """

    text: str
    count: int
    first: datetime | None = None
    last: datetime | None = None
    meaning: str = ""


class ContactPack(Struct, frozen=True):
    """What `deliv contact` found together.

    Attributes:
        domain: A-label.
        contact: of the receiver.
        company: who writes.
        hosts: what sends.
        replies: of this receiver, the most frequent first.
        of_recipients: its replies about addresses and mailboxes, with which a postmaster cannot help.
        days: replies by UTC day.
        started: when the trouble began: as the user said, else the first reply.
        mended: rules that were unmet once and are met now, with the day of the first run that saw it, newest first.
        first: unmet findings to mend before writing, the hardest first.
        unchecked: findings that could not be checked and may stand in the way.
        waiting: rules of that kind that only wait for an input.

    """

    domain: str
    contact: Contact
    company: Company
    hosts: tuple[SendingHost, ...]
    replies: tuple[QuotedReply, ...]
    of_recipients: int
    days: Mapping[date, int]
    started: datetime | date | None
    mended: tuple[tuple[str, date], ...]
    first: tuple[Finding, ...]
    unchecked: tuple[Finding, ...]
    waiting: tuple[str, ...]
