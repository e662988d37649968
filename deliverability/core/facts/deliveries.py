"""Facts about the results of the mail: bounces, providers' exports, recipients, the warm-up plan."""

from __future__ import annotations

from typing import Annotated, Literal

from deliverability.core.facts.base import Record
from deliverability.core.model.topic import Addresses, Day, Days, Fact, Maybe, Messages, OneOf, Percent, Topic, Unit


class MailToReceiver(Record, frozen=True, kw_only=True):
    """Results of the mail to one receiver."""

    receiver: Annotated[str, Fact("ID of the receiver; other: all receivers without an ID.")]
    delivered: Annotated[Messages, Fact("Delivered messages.")]
    deferred: Annotated[Messages, Fact("Deferred messages, each counted once per day.")]
    hard: Annotated[Messages, Fact("Hard bounces: the address or domain does not exist.")]
    soft: Annotated[Messages, Fact("Soft bounces: messages that were returned for another reason.")]
    policy: Annotated[Messages, Fact("Messages rejected because of the sender, the content or the sending rate.")]
    complaints: Annotated[Messages, Fact("Complaints from recipients.")]
    ended: Annotated[Messages, Fact("Messages with a final result: delivered, bounced or rejected.")]
    attempted: Annotated[Messages, Fact("Messages with a final result, plus deferred messages.")]
    hard_percent: Annotated[Maybe[Percent], Fact("Hard bounces as a percentage of messages with a final result.")]
    complaint_percent: Annotated[Maybe[Percent], Fact("Complaints as a percentage of delivered messages.")]
    days: Annotated[Days, Fact("Number of days with a result.")]
    origins: Annotated[tuple[str, ...], Fact("Where these numbers come from.")]
    rate_percent: Annotated[
        Maybe[Percent],
        Fact(
            "Messages deferred because of the sending rate, as a percentage of those attempted on the same day; for "
            "the day with the largest share."
        ),
    ]
    rate_messages: Annotated[Messages, Fact("Messages attempted on that day.")]
    rate_day: Annotated[
        Day | None, Fact("Day with the largest share; absent if no message was deferred because of the sending rate.")
    ]


class BounceCause(Record, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A reason why mail was not delivered."""

    meaning: Annotated[str, Fact("ID in the catalog of replies.")]
    receiver: Annotated[str, Fact("ID of the receiver; other: a receiver without an ID.")]
    class_: Annotated[Annotated[str, OneOf("deferred hard soft policy")], Fact("Result for the messages.")]
    count: Annotated[Messages, Fact("Number of messages.")]
    last: Annotated[Day, Fact("Last day with such a message.")]
    about: Annotated[
        Annotated[str, OneOf("address mailbox host message sender rate unknown")],
        Fact("What the reply is about."),
    ]
    retry: Annotated[Annotated[str, OneOf("later after-fix no")], Fact("Whether sending again helps.")]
    rules: Annotated[tuple[str, ...], Fact("Rules behind the reply.")]
    unmet: Annotated[
        Maybe[tuple[str, ...] | None],
        Fact("Which of those rules are unmet now; known once all other rules are judged."),
    ]
    used: Annotated[bool, Fact("Always false: the finding is about the domain, not about the given message.")]


class CampaignFared(Record, frozen=True, kw_only=True):
    """Results of the mail of one campaign, according to the events of services."""

    name: Annotated[str, Fact("Name that the sender uses at the service: a campaign, tag or category.")]
    origins: Annotated[tuple[str, ...], Fact("Services that reported the events.")]
    delivered: Annotated[Messages, Fact("Delivered messages.")]
    ended: Annotated[Messages, Fact("Messages with a final result: delivered, bounced or rejected.")]
    hard: Annotated[Messages, Fact("Hard bounces: the address or domain does not exist.")]
    complaints: Annotated[Messages, Fact("Complaints from recipients.")]
    hard_percent: Annotated[Percent, Fact("Hard bounces as a percentage of messages with a final result.")]
    complaint_percent: Annotated[Percent, Fact("Complaints as a percentage of delivered messages.")]
    hard_rest_percent: Annotated[
        Percent | None, Fact("`hard_percent` of all other mail in the services' events; absent if there is none.")
    ]
    complaint_rest_percent: Annotated[
        Percent | None, Fact("`complaint_percent` of all other mail in the services' events; absent if there is none.")
    ]
    hard_times: Annotated[
        Annotated[float, Unit("times")] | None,
        Fact("`hard_percent` as a multiple of `hard_rest_percent`, which is computed with at least one hard bounce."),
    ]
    complaint_times: Annotated[
        Annotated[float, Unit("times")] | None,
        Fact(
            "`complaint_percent` as a multiple of `complaint_rest_percent`, which is computed with at least one "
            "complaint."
        ),
    ]
    last: Annotated[Day, Fact("Last day with mail of the campaign (ISO date).")]


class Deliveries(Topic, frozen=True, kw_only=True):
    """Results of the domain's mail."""

    topic = "deliveries"
    begin: Annotated[Maybe[Day], Fact("First day of the window (ISO date, UTC).")]
    end: Annotated[Maybe[Day], Fact("Last day of the window: the newest complete day.")]
    days: Annotated[Maybe[Days], Fact("Number of days with the result of at least one message.")]
    known: Annotated[Maybe[bool], Fact("The number of delivered messages is known.")]
    delivered: Annotated[Maybe[Messages], Fact("Delivered messages.")]
    deferred: Annotated[Maybe[Messages], Fact("Deferred messages, each counted once per day.")]
    hard: Annotated[Maybe[Messages], Fact("Hard bounces: the address or domain does not exist.")]
    soft: Annotated[Maybe[Messages], Fact("Soft bounces: messages that were returned for another reason.")]
    policy: Annotated[
        Maybe[Messages], Fact("Messages rejected because of the sender, the content or the sending rate.")
    ]
    complaints: Annotated[Maybe[Messages], Fact("Complaints from recipients.")]
    ended: Annotated[Maybe[Messages], Fact("Messages with a final result: delivered, bounced or rejected.")]
    hard_percent: Annotated[
        Maybe[Percent | None], Fact("Hard bounces as a percentage of messages with a final result.")
    ]
    to_suppress: Annotated[
        Maybe[Addresses],
        Fact(
            "Addresses that `deliv suppress` would suppress now, before it queries DNS; for all domains together. "
            "Unknown if no address file is kept."
        ),
    ]
    loops: Annotated[
        Maybe[tuple[str, ...]], Fact("Receivers whose complaints or statistics were read: gmail, outlook, yahoo.")
    ]
    receivers: Annotated[
        Maybe[tuple[MailToReceiver, ...]], Fact("Results of the mail to each receiver.", key=("receiver",))
    ]
    bounces: Annotated[
        Maybe[tuple[BounceCause, ...]],
        Fact("Reasons why messages were not delivered, the most frequent first.", key=("meaning", "receiver", "class")),
    ]
    campaigns: Annotated[
        Maybe[tuple[CampaignFared, ...]],
        Fact(
            "Results of the mail of each campaign, those with the most hard bounces and complaints first.",
            key=("name",),
        ),
    ]


class Compliance(Record, frozen=True, kw_only=True):
    """A Gmail requirement, and whether it is met."""

    requirement: Annotated[str, Fact("Name of the requirement, for example one-click-unsubscribe.")]
    status: Annotated[Literal["compliant", "needs-work"], Fact("Whether the requirement is met.")]
    since: Annotated[Day, Fact("First day in the window since which Gmail has reported this status unchanged.")]
    last: Annotated[Day, Fact("Last day on which Gmail reported this status.")]


class GmailRates(Topic, frozen=True, kw_only=True):
    """The spam rate in Postmaster Tools."""

    topic = "gmail"
    spam_rate_latest: Annotated[Maybe[Percent], Fact("Spam rate on the newest day that has one.")]
    spam_rate_day: Annotated[Maybe[Day], Fact("The newest day with a spam rate (ISO date).")]
    spam_rate_worst_7d: Annotated[
        Maybe[Percent], Fact("Highest spam rate in the seven days that end with `spam_rate_day`.")
    ]
    spam_rate_worst_day: Annotated[Maybe[Day], Fact("Day of that highest rate.")]
    spam_rate_days: Annotated[Maybe[Days], Fact("Number of days in the window that have a spam rate.")]
    spam_rate_days_below_0_3: Annotated[
        Maybe[Days],
        Fact(
            "Consecutive days up to `spam_rate_day` without a rate of 0.3% or more; days that have no rate are "
            "included."
        ),
    ]


class GmailCompliance(Topic, frozen=True, kw_only=True):
    """Whether the domain meets Gmail's requirements."""

    topic = "gmail"
    compliance: Annotated[Maybe[tuple[Compliance, ...]], Fact("Status of each requirement.", key=("requirement",))]


class SndsAddress(Record, frozen=True, kw_only=True):
    """SNDS data for one address."""

    ip: Annotated[str, Fact("Address.")]
    day: Annotated[Day, Fact("Newest day with data (ISO date).")]
    recipients: Annotated[Messages | None, Fact("Messages on that day.")]
    result: Annotated[Annotated[str, OneOf("green yellow red")] | None, Fact("Filter result on that day.")]
    red_days: Annotated[Days, Fact("Days with a red result among the seven days that end with `day`.")]
    bad_days: Annotated[Days, Fact("Days with a red or yellow result among those seven days.")]
    traps: Annotated[Messages, Fact("Spam trap hits on those seven days.")]
    complaints_low: Annotated[Percent | None, Fact("Lower bound of the highest complaint rate on those seven days.")]
    complaints_high: Annotated[Percent | None, Fact("Upper bound of the highest complaint rate on those seven days.")]
    blocked: Annotated[
        bool | None, Fact("Outlook.com accepts no mail from the address; absent if SNDS does not state it.")
    ]


class Snds(Topic, frozen=True, kw_only=True):
    """SNDS data of Outlook.com for the domain's addresses."""

    topic = "snds"
    addresses: Annotated[
        Maybe[tuple[SndsAddress, ...]],
        Fact("SNDS data for each address that sends for the domain.", key=("ip",)),
    ]


class Recipients(Topic, frozen=True, kw_only=True):
    """Results of the last check of the recipient list."""

    topic = "recipients"
    checked: Annotated[Maybe[Day], Fact("Day (UTC) on which the recipient list was last checked.")]
    checked_days: Annotated[Maybe[Days], Fact("Days since that check.")]
    entries: Annotated[Maybe[Addresses], Fact("Entries in the list.")]
    undeliverable: Annotated[
        Maybe[Addresses],
        Fact("Entries that are not valid addresses, or whose domain does not exist or does not accept mail."),
    ]
    undeliverable_percent: Annotated[Maybe[Percent], Fact("Share of undeliverable entries.")]
    suppressed: Annotated[
        Maybe[Addresses | None],
        Fact("Entries that bounced or complained earlier; absent if the list was not compared with them."),
    ]
    unconfirmed: Annotated[
        Maybe[Addresses | None],
        Fact("Entries whose sign-up was not confirmed; absent if no column of the list states it."),
    ]
    inactive: Annotated[
        Maybe[Addresses | None],
        Fact("Entries without an open or click for a long time; absent if this was not checked."),
    ]
    inactive_percent: Annotated[
        Maybe[Percent | None], Fact("Share of inactive entries; absent if this was not checked.")
    ]
    inactive_days: Annotated[
        Maybe[Days | None],
        Fact("Number of days after which a recipient counts as inactive; absent if this was not checked."),
    ]


class WarmUp(Topic, frozen=True, kw_only=True):
    """Messages sent, compared with the warm-up plan."""

    topic = "warm_up"
    day: Annotated[
        Maybe[Day | None],
        Fact(
            "The day among the last 7 complete ones with the most mail compared with the plan (ISO date, UTC); "
            "absent if the plan covers none of them."
        ),
    ]
    planned: Annotated[Maybe[Messages | None], Fact("Messages planned for that day.")]
    sent: Annotated[Maybe[Messages | None], Fact("Messages sent on that day.")]
    percent: Annotated[Maybe[Percent | None], Fact("Messages sent as a percentage of those planned.")]
    last_day: Annotated[Maybe[Day | None], Fact("Day of the plan's last step (ISO date).")]
