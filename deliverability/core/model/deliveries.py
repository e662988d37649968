"""Whom a sender writes to, what became of that mail, and why an address would go off a list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from msgspec import Struct, field


class Recipients(Struct, frozen=True):
    """The recipients of a list, or domains that were named; never an address.

    Attributes:
        counts: recipients by their domain (A-label, lower case); of domains that were named, 1 each.
        counted: whether these are recipients; False: domains that were named, nobody knows with how many recipients.
        unreadable: entries of the list that are no address.

    """

    counts: Mapping[str, int] = field(default_factory=dict)
    counted: bool = True
    unreadable: int = 0


class Part(Struct, frozen=True):
    """A part of an audience: so many recipients at so many domains."""

    recipients: int = 0
    domains: int = 0

    def __add__(self, other: Part) -> Part:
        """Both together."""
        return Part(self.recipients + other.recipients, self.domains + other.domains)


NOBODY = Part()


class Audience(Struct, frozen=True):
    """The recipients by receiver. All parts together are all recipients.

    Attributes:
        counted: see Recipients.
        receivers: receiver id -> its part, the largest first.
        elsewhere: at receivers that no file describes.
        no_mail: at domains that do not exist or take no mail (Null MX, RFC 7505).
        failed: at domains whose MX could not be looked up.
        not_asked: at domains beyond the most that are looked up.
        unreadable: see Recipients; none of them is counted above.

    """

    counted: bool = True
    receivers: Mapping[str, Part] = field(default_factory=dict)
    elsewhere: Part = NOBODY
    no_mail: Part = NOBODY
    failed: Part = NOBODY
    not_asked: Part = NOBODY
    unreadable: int = 0

    @property
    def all(self) -> Part:
        """All recipients, and all their domains."""
        return sum(self.receivers.values(), self.elsewhere + self.no_mail + self.failed + self.not_asked)

    @property
    def complete(self) -> bool:
        """Whether every domain could be looked up."""
        return not self.failed.domains and not self.not_asked.domains


class SuppressClass(StrEnum):
    """Why an address would go on a suppression list.

    COMPLAINT: its owner marked a mail as spam or opted out. ADDRESS: it does not exist. DOUBTED: it does not exist, it
    was said, but a filter of its owner may say the same. DISABLED: its mailbox is there and closed. FULL: its mailbox
    takes no mail for now. HOST: its domain takes no mail, or is gone.
    """

    COMPLAINT = "complaint"
    ADDRESS = "address"
    DOUBTED = "doubted"
    DISABLED = "disabled"
    FULL = "full"
    HOST = "host"


class AddressEvent(Struct, frozen=True):
    """One bounce or complaint about one address.

    Attributes:
        address: the recipient, as it stood there.
        kind: see SuppressClass.
        at: seconds since 1970.
        receiver: id of the receiver, or empty.
        meaning: id of the meaning in the reply catalogue, or empty.
        origin: what told it; see DeliveryOrigin.

    """

    address: str
    kind: SuppressClass
    at: int
    receiver: str = ""
    meaning: str = ""
    origin: str = "bounces"


class AddressRecord(Struct, frozen=True):
    """What was seen of one address, for one of the reasons.

    Attributes:
        address: lower case in its domain.
        domain: behind the @, A-label, lower case.
        kind: see SuppressClass.
        first, last: of its bounces, seconds since 1970.
        count: how many there were.
        receiver, meaning, origin: of the last one; see AddressEvent.
        delivered: when something was last delivered to it after a bounce; None: not known to be.
        answered: when the user last said that its owner answered or signed up again; None: never.

    """

    address: str
    domain: str
    kind: SuppressClass
    first: int
    last: int
    count: int
    receiver: str
    meaning: str
    origin: str
    delivered: int | None = None
    answered: int | None = None


class Decision(StrEnum):
    """What becomes of an address, the most telling first.

    OFF: it goes on the suppression list. AGAIN: it was off for long, and may be tried again. NOT_CHECKED: whether its
    domain is gone could not be looked up. NOT_YET: it bounced too seldom, or too shortly. ANSWERED: its owner answered
    since. DELIVERED: mail reached it since. UNPROVEN: only mail speaks of it that proves no answer to ours.
    """

    OFF = "off"
    AGAIN = "again"
    NOT_CHECKED = "not-checked"
    NOT_YET = "not-yet"
    ANSWERED = "answered"
    DELIVERED = "delivered"
    UNPROVEN = "unproven"


LIFTED = (Decision.ANSWERED, Decision.DELIVERED)
"""Decisions about an address that bounced or complained and stays on lists for what came later."""


class DeliveryResult(StrEnum):
    """What became of one mail to one recipient.

    DELIVERED: the receiver took it. DEFERRED: not yet, the sending server tries again. HARD: refused for ever, there is
    no such address or domain. SOFT: refused; it may work another time. POLICY: refused because of the sender, the
    message or the rate, which says nothing of the address. COMPLAINT: the recipient called it spam.
    """

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    HARD = "hard"
    SOFT = "soft"
    POLICY = "policy"
    COMPLAINT = "complaint"


class DeliveryOrigin(StrEnum):
    """Where it is known from."""

    BOUNCES = "bounces"
    COMPLAINTS = "complaints"
    SES = "ses"
    SENDGRID = "sendgrid"
    MAILGUN = "mailgun"
    POSTMARK = "postmark"
    MANDRILL = "mandrill"
    BREVO = "brevo"
    SPARKPOST = "sparkpost"
    MAILJET = "mailjet"
    RESEND = "resend"
    HUBSPOT = "hubspot"
    AZURE = "azure"
    BLASTENGINE = "blastengine"
    LOG = "log"
    GMAIL = "gmail"
    SNDS = "snds"


EVENTS = frozenset(DeliveryOrigin) - {
    *(DeliveryOrigin.BOUNCES, DeliveryOrigin.COMPLAINTS),
    *(DeliveryOrigin.LOG, DeliveryOrigin.GMAIL, DeliveryOrigin.SNDS),
}
"""Services that send, and tell of it by events."""


class DeliveryEvent(Struct, frozen=True):
    """One result of one mail to one recipient.

    Attributes:
        result: see DeliveryResult.
        at: when, in seconds since 1970; None: it is not told.
        origin: where it is known from.
        key: what makes it this event; the same key in the same origin is the same event, told again.
        sender: domain of the author or of MAIL FROM, as A-label; empty: not told.
        receiver: id of the receiver; empty: none that is known.
        meaning: id of the entry of the reply catalogue that explains it; empty: none does.
        recipient: the address. It is for a file of addresses that the user asks for, and is kept nowhere else.
        why: why that address would go off a list; None: this is no reason.
        campaigns: what the sender calls the mailing at the service: names, tags or categories, shortened.

    """

    result: DeliveryResult
    at: int | None
    origin: DeliveryOrigin
    key: str
    sender: str = ""
    receiver: str = ""
    meaning: str = ""
    recipient: str = ""
    why: SuppressClass | None = None
    campaigns: tuple[str, ...] = ()


class PublishedValue(Struct, frozen=True):
    """A number that a receiver publishes about a domain or an address on one day.

    Attributes:
        subject: A-label of the domain or the IP address that it is about; empty: not told.
        day: days since 1970-01-01; None: not told, so that it is of the day on which it is read.
        origin: GMAIL or SNDS.
        metric: what it is, see the readers.
        low: the value, or the least that it can be.
        high: the most that it can be.

    """

    subject: str
    day: int | None
    origin: DeliveryOrigin
    metric: str
    low: float
    high: float


class DeliveryDay(Struct, frozen=True):
    """Mails of one UTC day by receiver, sending domain and origin; each counts once a day for each result.

    `receiver`: empty: none that is known. `sender`: empty: not told.
    """

    day: date
    receiver: str
    sender: str
    origin: DeliveryOrigin
    delivered: int = 0
    deferred: int = 0
    hard: int = 0
    soft: int = 0
    policy: int = 0
    complaints: int = 0

    @property
    def sent(self) -> int:
        """Mails that were sent: none where only bounces tell of them. One put off counts with what became of it."""
        return self.delivered + self.hard + self.soft + self.policy if self.delivered else 0


class CampaignDay(Struct, frozen=True):
    """Mails of one UTC day that the sender gave the same name at a service, by sending domain and origin."""

    day: date
    sender: str
    origin: DeliveryOrigin
    campaign: str
    delivered: int = 0
    deferred: int = 0
    hard: int = 0
    soft: int = 0
    policy: int = 0
    complaints: int = 0


class CauseDay(Struct, frozen=True):
    """Mails of one UTC day with the same meaning and result, by receiver, sending domain and origin."""

    day: date
    receiver: str
    sender: str
    origin: DeliveryOrigin
    meaning: str
    result: DeliveryResult
    count: int


class CauseSeen(Struct, frozen=True):
    """What is known of a meaning at a receiver, in words of the catalogue of replies.

    `about`: what it is about; `retry`: whether sending again helps; `rules`: those behind it.
    """

    about: str
    retry: str
    rules: tuple[str, ...]


class ValueDay(Struct, frozen=True):
    """A number that a receiver published: see PublishedValue."""

    day: date
    subject: str
    metric: str
    low: float
    high: float


class Deliveries(Struct, frozen=True):
    """What became of the mail of an organizational domain in a window of whole UTC days.

    Attributes:
        begin: first day.
        end: last day: the newest that is over.
        days: by day.
        causes: why mail was not delivered, by day.
        campaigns: what became of the mail of each campaign, by day.
        gmail: what Postmaster Tools say of the domain and of names below it.
        snds: what SNDS says of addresses, whoever uses them.
        known: of causes by their meaning and receiver.
        to_suppress: addresses that `deliv suppress` takes off now without asking DNS, whichever domain wrote to them;
            None: no file of addresses is kept, or it cannot be read.

    """

    begin: date
    end: date
    days: tuple[DeliveryDay, ...] = ()
    causes: tuple[CauseDay, ...] = ()
    campaigns: tuple[CampaignDay, ...] = ()
    gmail: tuple[ValueDay, ...] = ()
    snds: tuple[ValueDay, ...] = ()
    known: Mapping[tuple[str, str], CauseSeen] = field(default_factory=dict)
    to_suppress: int | None = None


COUNTS: Mapping[DeliveryResult, str] = {
    each: "complaints" if each is DeliveryResult.COMPLAINT else each.value for each in DeliveryResult
}
"""In which count of a DeliveryDay each result stands."""
