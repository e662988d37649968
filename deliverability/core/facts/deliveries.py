"""Facts about what became of the mail: bounces, providers' exports, recipients, the warm-up plan."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Addresses, Day, Days, Fact, Maybe, Messages, OneOf, Percent, Topic, Unit


class MailToReceiver(Record, frozen=True, kw_only=True):
    """How mail to a receiver fared."""

    receiver: Annotated[str, Fact("Its id; other: all that have none.")]
    delivered: Annotated[Messages, Fact("Mails that were delivered.")]
    deferred: Annotated[Messages, Fact("Mails put off, each once a day.")]
    hard: Annotated[Messages, Fact("Mails refused for good: there is no such address or domain.")]
    soft: Annotated[Messages, Fact("Mails that came back for another reason.")]
    policy: Annotated[Messages, Fact("Mails refused for the sender, the content or the rate.")]
    complaints: Annotated[Messages, Fact("Complaints of recipients.")]
    ended: Annotated[Messages, Fact("Mails delivered, returned or refused.")]
    attempted: Annotated[Messages, Fact("The same and those put off.")]
    hard_percent: Annotated[Maybe[Percent], Fact("Refused for good, of those ended.")]
    complaint_percent: Annotated[Maybe[Percent], Fact("Complaints, of those delivered.")]
    days: Annotated[Days, Fact("Days with any result.")]
    origins: Annotated[tuple[str, ...], Fact("Where that is known from.")]
    rate_percent: Annotated[
        Maybe[Percent],
        Fact("Mails put off for the rate, of those attempted on that day; of the day with the largest share."),
    ]
    rate_messages: Annotated[Messages, Fact("Mails attempted on that day.")]
    rate_day: Annotated[Day | None, Fact("That day; none: nothing was put off for the rate.")]


class BounceCause(Record, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Why mail was not delivered."""

    meaning: Annotated[str, Fact("Id in the catalogue of replies.")]
    receiver: Annotated[str, Fact("Receiver; other: one without an id.")]
    class_: Annotated[Annotated[str, OneOf("deferred hard soft policy")], Fact("What it came to.")]
    count: Annotated[Messages, Fact("Mails.")]
    last: Annotated[Day, Fact("Last day with one.")]
    about: Annotated[
        Annotated[str, OneOf("address mailbox host message sender rate unknown")],
        Fact("What the reply is about."),
    ]
    retry: Annotated[Annotated[str, OneOf("later after-fix no")], Fact("Whether sending again helps.")]
    rules: Annotated[tuple[str, ...], Fact("Rules behind it.")]
    unmet: Annotated[
        Maybe[tuple[str, ...] | None], Fact("Those of them that are unmet now; known once all others are judged.")
    ]
    used: Annotated[bool, Fact("False: it is about the domain, not about the mail at hand.")]


class CampaignFared(Record, frozen=True, kw_only=True):
    """How the mail of one campaign fared, as events of services tell."""

    name: Annotated[str, Fact("As the sender calls it at the service: a campaign, tag or category.")]
    origins: Annotated[tuple[str, ...], Fact("The services.")]
    delivered: Annotated[Messages, Fact("Mails that were delivered.")]
    ended: Annotated[Messages, Fact("Mails delivered, returned or refused.")]
    hard: Annotated[Messages, Fact("Mails refused for good: there is no such address or domain.")]
    complaints: Annotated[Messages, Fact("Complaints of recipients.")]
    hard_percent: Annotated[Percent, Fact("Refused for good, of those ended.")]
    complaint_percent: Annotated[Percent, Fact("Complaints, of those delivered.")]
    hard_rest_percent: Annotated[
        Percent | None, Fact("Refused for good of all other mail that events tell of; absent where there is none.")
    ]
    complaint_rest_percent: Annotated[
        Percent | None, Fact("Complaints about all other mail that events tell of; absent where there is none.")
    ]
    hard_times: Annotated[
        Annotated[float, Unit("times")] | None,
        Fact("hard_percent as a multiple of that of all other mail, in which one counts at least."),
    ]
    complaint_times: Annotated[
        Annotated[float, Unit("times")] | None,
        Fact("complaint_percent as a multiple of that of all other mail, in which one counts at least."),
    ]
    last: Annotated[Day, Fact("Last day with mail of it (ISO date).")]


class Deliveries(Topic, frozen=True, kw_only=True):
    """What became of the mail of the domain."""

    topic = "deliveries"
    begin: Annotated[Maybe[Day], Fact("First day of the window (ISO date, UTC).")]
    end: Annotated[Maybe[Day], Fact("Its last day: the newest that was over.")]
    days: Annotated[Maybe[Days], Fact("Days with any result of a mail.")]
    known: Annotated[Maybe[bool], Fact("It is known how many mails were delivered.")]
    delivered: Annotated[Maybe[Messages], Fact("Mails that were delivered.")]
    deferred: Annotated[Maybe[Messages], Fact("Mails put off, each once a day.")]
    hard: Annotated[Maybe[Messages], Fact("Mails refused for good: there is no such address or domain.")]
    soft: Annotated[Maybe[Messages], Fact("Mails that came back for another reason.")]
    policy: Annotated[Maybe[Messages], Fact("Mails refused for the sender, the content or the rate.")]
    complaints: Annotated[Maybe[Messages], Fact("Complaints of recipients.")]
    ended: Annotated[Maybe[Messages], Fact("Mails delivered, returned or refused.")]
    hard_percent: Annotated[Maybe[Percent | None], Fact("Mails refused for good, of those.")]
    to_suppress: Annotated[
        Maybe[Addresses],
        Fact(
            "Addresses that `deliv suppress` takes off a list now, before it asks DNS; of all domains together. "
            "Unknown where no file of addresses is kept."
        ),
    ]
    loops: Annotated[
        Maybe[tuple[str, ...]], Fact("Receivers whose complaints or numbers were read: gmail, outlook, yahoo.")
    ]
    receivers: Annotated[Maybe[tuple[MailToReceiver, ...]], Fact("How mail to each receiver fared.", key=("receiver",))]
    bounces: Annotated[
        Maybe[tuple[BounceCause, ...]],
        Fact("Why mail was not delivered, the most frequent first.", key=("meaning", "receiver", "class")),
    ]
    campaigns: Annotated[
        Maybe[tuple[CampaignFared, ...]],
        Fact(
            "How the mail of each campaign fared, those with most dead addresses and complaints first.", key=("name",)
        ),
    ]


class Compliance(Record, frozen=True, kw_only=True):
    """A requirement of Gmail, and whether it is met."""

    requirement: Annotated[str, Fact("Its name, for example one-click-unsubscribe.")]
    status: Annotated[Literal["compliant", "needs-work"], Fact("Whether it is met.")]
    since: Annotated[Day, Fact("First day of the window on which that was told, without a change since.")]
    last: Annotated[Day, Fact("Last day on which it was told.")]


class GmailRates(Topic, frozen=True, kw_only=True):
    """The spam rate that Postmaster Tools tell."""

    topic = "gmail"
    spam_rate_latest: Annotated[Maybe[Percent], Fact("Spam rate of the newest day that has one.")]
    spam_rate_day: Annotated[Maybe[Day], Fact("That day (ISO date).")]
    spam_rate_worst_7d: Annotated[Maybe[Percent], Fact("The highest of the seven days that end with it.")]
    spam_rate_worst_day: Annotated[Maybe[Day], Fact("The day of that.")]
    spam_rate_days: Annotated[Maybe[Days], Fact("Days of the window that have a rate.")]
    spam_rate_days_below_0_3: Annotated[
        Maybe[Days],
        Fact("Days in a row that end with it and had no rate of 0.3% or more; days without any rate count."),
    ]


class GmailCompliance(Topic, frozen=True, kw_only=True):
    """How the domain meets what Gmail requires."""

    topic = "gmail"
    compliance: Annotated[Maybe[tuple[Compliance, ...]], Fact("State of each requirement.", key=("requirement",))]


class SndsAddress(Record, frozen=True, kw_only=True):
    """What SNDS says of an address."""

    ip: Annotated[str, Fact("Address.")]
    day: Annotated[Day, Fact("Newest day that is told of (ISO date).")]
    recipients: Annotated[Messages | None, Fact("Messages of that day.")]
    result: Annotated[Annotated[str, OneOf("green yellow red")] | None, Fact("Filter result of it.")]
    red_days: Annotated[Days, Fact("Red ones among the seven days that end with it.")]
    bad_days: Annotated[Days, Fact("Red and yellow ones among them.")]
    traps: Annotated[Messages, Fact("Hits of spam traps in them.")]
    complaints_low: Annotated[Percent | None, Fact("Highest complaint rate in them, at least.")]
    complaints_high: Annotated[Percent | None, Fact("And at most.")]
    blocked: Annotated[bool | None, Fact("Outlook.com takes no mail from it; none: not told.")]


class Snds(Topic, frozen=True, kw_only=True):
    """What SNDS of Outlook.com says of the addresses of the domain."""

    topic = "snds"
    addresses: Annotated[
        Maybe[tuple[SndsAddress, ...]],
        Fact("What is said of each address that sends for the domain.", key=("ip",)),
    ]


class Recipients(Topic, frozen=True, kw_only=True):
    """What the last check of the list of recipients found."""

    topic = "recipients"
    checked: Annotated[Maybe[Day], Fact("The UTC day on which the list of recipients was last checked.")]
    checked_days: Annotated[Maybe[Days], Fact("Days since then.")]
    entries: Annotated[Maybe[Addresses], Fact("Entries of the list.")]
    undeliverable: Annotated[
        Maybe[Addresses], Fact("Entries that are no address, or at a domain that does not exist or takes no mail.")
    ]
    undeliverable_percent: Annotated[Maybe[Percent], Fact("Their share of the entries.")]
    suppressed: Annotated[
        Maybe[Addresses | None],
        Fact("Entries that bounced or complained before; absent where they were not compared."),
    ]
    unconfirmed: Annotated[
        Maybe[Addresses | None],
        Fact("Entries whose sign-up was not confirmed; absent where no column of the list tells."),
    ]
    inactive: Annotated[
        Maybe[Addresses | None],
        Fact("Entries that opened and clicked nothing for long; absent where that was not looked for."),
    ]
    inactive_percent: Annotated[Maybe[Percent | None], Fact("Their share of the entries; absent likewise.")]
    inactive_days: Annotated[
        Maybe[Days | None],
        Fact("From how many days on somebody counts as inactive; absent where that was not looked for."),
    ]


class WarmUp(Topic, frozen=True, kw_only=True):
    """What was sent against the plan of warm-up."""

    topic = "warm_up"
    day: Annotated[
        Maybe[Day | None],
        Fact(
            "The day with the most mail beside the plan, of the last 7 full ones (ISO date, UTC); absent where "
            "the plan covers none of them."
        ),
    ]
    planned: Annotated[Maybe[Messages | None], Fact("Messages of the plan's step for it.")]
    sent: Annotated[Maybe[Messages | None], Fact("Messages sent on it.")]
    percent: Annotated[Maybe[Percent | None], Fact("Messages sent, of those planned.")]
    last_day: Annotated[Maybe[Day | None], Fact("Day of the plan's last step (ISO date).")]
