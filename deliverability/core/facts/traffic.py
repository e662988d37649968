"""Facts about who sends as the domain according to DMARC reports, and the gate before the next policy."""

from __future__ import annotations

from typing import Annotated

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Record
from deliverability.core.model.topic import (
    Addresses,
    Day,
    Days,
    Fact,
    Hours,
    Maybe,
    Messages,
    OneOf,
    Percent,
    Reporters,
    Reports,
    Sources,
    Times,
    Topic,
    Unit,
)


class Unusable(Record, frozen=True, kw_only=True):
    """A problem in reports because of which something could not be used."""

    kind: Annotated[str, Fact("Code of the problem.")]
    reporter: Annotated[str, Fact("Reporter that sent the report.")]
    detail: Annotated[Detail, Fact("Description of the problem.")]
    count: Annotated[Times, Fact("Number of occurrences.")]


class SeenReporter(Record, frozen=True, kw_only=True):
    """A reporter."""

    id: Annotated[str, Fact("ID of the reporter.")]
    name: Annotated[str, Fact("Name that the reporter states in its reports.")]
    trust: Annotated[
        Annotated[str, OneOf("verified authenticated file claimed partial")],
        Fact("Highest trust level of its reports."),
    ]
    receiver: Annotated[str | None, Fact("Receiver that the reporter belongs to.")]
    days: Annotated[Days, Fact("Number of days that its reports cover.")]
    messages: Annotated[Messages, Fact("Messages in its reports.")]
    known: Annotated[bool, Fact("The catalog of reporters contains it.")]
    trusted: Annotated[bool, Fact("At least one of its reports is trusted enough to count.")]
    covers: Annotated[bool, Fact("Its trusted reports cover at least four days.")]
    percent: Annotated[Percent, Fact("Its trusted messages as a percentage of all trusted messages.")]
    silent_days: Annotated[Days, Fact("Days at the end of the window without a trusted report from it.")]
    fell_silent: Annotated[
        bool, Fact("It has been silent for at least four days, and for more than twice as long as ever before.")
    ]


class LeftOut(Record, frozen=True, kw_only=True):
    """What would be known without one of the trusted reporters."""

    reporter: Annotated[str, Fact("ID of the reporter.")]
    name: Annotated[str, Fact("Name that the reporter states in its reports.")]
    large: Annotated[bool, Fact("The reporter receives so much mail that an answer may rest on its reports alone.")]
    messages: Annotated[Messages, Fact("Own messages that the other reporters report.")]
    aligned_low: Annotated[
        Percent | None, Fact("Lower bound of the share of those messages that pass DMARC (Wilson bound).")
    ]
    failing: Annotated[Messages, Fact("Own and unclaimed messages that fail DMARC, according to the other reporters.")]
    failing_percent: Annotated[Percent, Fact("The same as a percentage of own and unclaimed messages.")]
    reporters: Annotated[Reporters, Fact("Number of other reporters whose reports cover several days.")]
    days: Annotated[Days, Fact("Days that the other reporters' reports cover.")]


class Source(Record, frozen=True, kw_only=True):
    """A source that sends mail as the domain."""

    key: Annotated[str, Fact("Name of the source, with its standing if another source has the same name.")]
    name: Annotated[str, Fact("Service, host, domain or address range.")]
    service: Annotated[str | None, Fact("ID in the catalog of services.")]
    standing: Annotated[
        Annotated[str, OneOf("own own-gap service-gap service-mixed unclaimed altered forwarder forged")],
        Fact("What the source is to the domain."),
    ]
    standing_by: Annotated[tuple[Detail, ...], Fact("Reasons for that standing, those with the most messages first.")]
    messages: Annotated[Messages, Fact("Messages from the source.")]
    aligned: Annotated[Messages, Fact("Messages that pass DMARC.")]
    unaligned: Annotated[Messages, Fact("Messages that fail DMARC.")]
    dkim_aligned: Annotated[Messages, Fact("Messages that pass DMARC by DKIM.")]
    spf_aligned: Annotated[Messages, Fact("Messages that pass DMARC by SPF.")]
    aligned_percent: Annotated[Percent, Fact("Share of messages that pass DMARC.")]
    aligned_low: Annotated[Percent, Fact("Lower bound of that share (Wilson bound).")]
    recent_messages: Annotated[Messages, Fact("Messages of the last 14 days.")]
    recent_aligned_percent: Annotated[
        Percent | None, Fact("Share of the messages of the last 14 days that pass DMARC.")
    ]
    own_percent: Annotated[Percent, Fact("Messages from the source as a percentage of own messages.")]
    addresses: Annotated[Addresses, Fact("Number of addresses.")]
    largest_address: Annotated[
        Messages,
        Fact("Messages from the address that sent the most; for a forged source, from its whole network or name."),
    ]
    largest_percent: Annotated[Percent, Fact("The same as a percentage of own messages.")]
    examples: Annotated[tuple[str, ...], Fact("Addresses that sent the most.")]
    ptr: Annotated[tuple[str, ...], Fact("Confirmed reverse DNS names.")]
    selectors: Annotated[tuple[str, ...], Fact("Selectors of the signatures that pass.")]
    return_domains: Annotated[tuple[str, ...], Fact("Return-Path domains.")]
    receivers: Annotated[tuple[str, ...], Fact("Reporters that reported the source.")]
    failing_receivers: Annotated[
        tuple[str, ...], Fact("Reporters that reported mail from the source that fails DMARC.")
    ]
    first_seen: Annotated[Day, Fact("First day on which the source was reported.")]
    last_seen: Annotated[Day, Fact("Last day on which the source was reported.")]
    last_unaligned: Annotated[Day | None, Fact("Last day with mail that failed DMARC.")]
    days: Annotated[Days, Fact("Number of days on which the source sent mail.")]
    age_days: Annotated[Days, Fact("Days since the source was first reported.")]
    new: Annotated[bool, Fact("The source was first reported in this window, and other sources were reported earlier.")]
    steady: Annotated[bool, Fact("The source sent mail on at least 4 days, over a span of at least 14 days.")]
    said: Annotated[bool, Fact("The user declared who the source belongs to.")]
    apart: Annotated[bool, Fact("The source sends for subdomains that sp=none or np=none exempts from the policy.")]
    match: Annotated[tuple[str, ...], Fact("What a [[source]] table for this source would match.")]
    used: Annotated[bool, Fact("Always false: the finding is about the domain, not about the given message.")]


class SourceDay(Record, frozen=True, kw_only=True):
    """What one address of a source sent on a day, according to one reporter."""

    source: Annotated[str, Fact("Key of the source.")]
    address: Annotated[str, Fact("IP address.")]
    receiver: Annotated[str, Fact("Reporter.")]
    day: Annotated[Day, Fact("Day (ISO date, UTC).")]
    messages: Annotated[Messages, Fact("Messages from that address.")]
    aligned: Annotated[Messages, Fact("Messages that pass DMARC.")]


class SeenSelector(Record, frozen=True, kw_only=True, rename={"pass_": "pass"}):
    """A DKIM selector that signed mail or is published."""

    domain: Annotated[str, Fact("Signing domain.")]
    selector: Annotated[str, Fact("Selector.")]
    pass_: Annotated[Messages, Fact("Messages whose signature passes.")]
    fail: Annotated[Messages, Fact("Own messages whose signature fails.")]
    messages: Annotated[Messages, Fact("Sum of `pass` and `fail`.")]
    fail_percent: Annotated[Percent, Fact("Share of those messages whose signature fails.")]
    last_seen: Annotated[Day | None, Fact("Last day on which the selector signed mail.")]
    last_days: Annotated[Days | None, Fact("Days since `last_seen`, to the end of the window.")]
    published: Annotated[Maybe[bool | None], Fact("The selector's key is published; absent if it was not queried.")]


class SeenPolicy(Record, frozen=True, kw_only=True):
    """The policy that a reporter last saw."""

    reporter: Annotated[str, Fact("ID of the reporter.")]
    name: Annotated[str, Fact("Name that the reporter states in its reports.")]
    p: Annotated[str | None, Fact("Reported policy (p=).")]
    sp: Annotated[str | None, Fact("Reported subdomain policy (sp=).")]
    np: Annotated[str | None, Fact("Reported policy for nonexistent subdomains (np=).")]
    testing: Annotated[str | None, Fact("Reported testing mode (t=).")]
    discovery: Annotated[str | None, Fact("How the reporter discovered the policy.")]
    last: Annotated[Day, Fact("Last day of the report.")]
    differs: Annotated[Maybe[bool], Fact("The reported p= differs from the one in DNS now.")]
    differs_hours: Annotated[
        Maybe[Hours],
        Fact("How long the current policy had been in DNS at the end of the report; 0 if p= does not differ."),
    ]


class Subdomain(Record, frozen=True, kw_only=True):
    """A subdomain that mail is from."""

    name: Annotated[str, Fact("Name of the subdomain.")]
    messages: Annotated[Messages, Fact("Messages from the subdomain.")]
    own: Annotated[Messages, Fact("Messages from own sources.")]
    aligned: Annotated[Messages, Fact("Messages that pass DMARC.")]
    own_record: Annotated[
        Maybe[bool | None], Fact("The subdomain has its own DMARC record; absent if it was not queried.")
    ]
    weaker: Annotated[
        Maybe[str | None],
        Fact(
            "The tag that applies to the subdomain (sp, or np if the name does not exist in DNS), if its policy is "
            "weaker than p; otherwise absent."
        ),
    ]


class DayVolume(Record, frozen=True, kw_only=True):
    """The messages of one day."""

    day: Annotated[Day, Fact("Day (ISO date, UTC).")]
    messages: Annotated[Messages, Fact("Own messages.")]
    aligned: Annotated[Messages, Fact("Own messages that pass DMARC.")]
    altered: Annotated[Messages, Fact("Altered messages.")]
    unclaimed: Annotated[Messages, Fact("Unclaimed messages.")]
    forged: Annotated[Messages, Fact("Forged messages.")]
    forwarded: Annotated[Messages, Fact("Forwarded messages.")]

    @property
    def reported(self) -> bool:
        """Whether reports show any mail of this day."""
        return any((self.messages, self.altered, self.unclaimed, self.forged, self.forwarded))


class ReportPeriod(Topic, frozen=True, kw_only=True):
    """The window, and how much of it the reports cover."""

    topic = "traffic"
    begin: Annotated[Maybe[Day], Fact("First day of the window (ISO date, UTC).")]
    end: Annotated[Maybe[Day], Fact("Last day of the window: the newest complete day.")]
    days: Annotated[Maybe[Days], Fact("Number of days with at least one trusted report.")]
    span_days: Annotated[Maybe[Days], Fact("Days from the first day with a trusted report to the end of the window.")]
    month_end: Annotated[Maybe[bool], Fact("That span includes the last day of a month.")]
    reports: Annotated[Maybe[Reports], Fact("Number of aggregate reports.")]
    duplicates: Annotated[Maybe[Reports], Fact("Reports that were received more than once and are counted once.")]
    last_report_days: Annotated[Maybe[Days | None], Fact("Days at the end of the window that no report covers.")]
    untrusted_messages: Annotated[Maybe[Messages], Fact("Messages in reports that are not trusted enough to count.")]
    unlisted_reporters: Annotated[
        Maybe[Reporters], Fact("Number of reporters that are neither in the catalog nor in the user's settings.")
    ]
    unlisted_messages: Annotated[Maybe[Messages], Fact("Messages in the reports of unlisted reporters.")]
    unread_percent: Annotated[Maybe[Percent], Fact("Share of reports that could not be used in full.")]
    problems: Annotated[
        Maybe[tuple[Unusable, ...]], Fact("Parts of reports that could not be used.", key=("kind", "reporter"))
    ]


class WhoReported(Topic, frozen=True, kw_only=True):
    """The reporters."""

    topic = "traffic"
    reporters: Annotated[
        Maybe[tuple[SeenReporter, ...]], Fact("Reporters, those with the most messages first.", key=("id",))
    ]
    verified_reporters: Annotated[
        Maybe[Reporters], Fact("Number of reporters whose trusted reports cover several days.")
    ]
    known_reporters: Annotated[Maybe[Reporters], Fact("Number of those reporters that the catalog contains.")]
    discovery_differs: Annotated[
        Maybe[bool], Fact("Reporters discovered the policy in different ways (psl, treewalk).")
    ]


class StageSince(Topic, frozen=True, kw_only=True):
    """How long the stage and the report address have been published."""

    topic = "traffic"
    stage_since: Annotated[Maybe[Day], Fact("Day since which earlier runs have seen the current DMARC stage.")]
    stage_days: Annotated[Maybe[Days], Fact("Days since `stage_since`.")]
    rua_days: Annotated[Maybe[Days], Fact("Days since earlier runs first saw a report address (rua).")]


class MessageSums(Topic, frozen=True, kw_only=True):
    """Messages by standing of their source, and what a policy would affect."""

    topic = "traffic"
    messages: Annotated[Maybe[Messages], Fact("Messages in trusted reports.")]
    aligned: Annotated[Maybe[Messages], Fact("Messages that pass DMARC.")]
    dkim_aligned: Annotated[Maybe[Messages], Fact("Messages that pass DMARC by DKIM.")]
    spf_aligned: Annotated[Maybe[Messages], Fact("Messages that pass DMARC by SPF.")]
    yours: Annotated[Maybe[Messages], Fact("Own and unclaimed messages: all that are not known to be foreign.")]
    forwarded: Annotated[Maybe[Messages], Fact("Messages forwarded without changes.")]
    altered: Annotated[Maybe[Messages], Fact("Messages changed in transit.")]
    unclaimed: Annotated[Maybe[Messages], Fact("Messages whose owner only the user can identify.")]
    forged: Annotated[
        Maybe[Messages], Fact("Messages that fail all authentication and that nothing ties to the domain.")
    ]
    forwarded_percent: Annotated[
        Maybe[Percent], Fact("Forwarded messages as a percentage of own, altered and forwarded messages.")
    ]
    altered_percent: Annotated[
        Maybe[Percent], Fact("Altered messages as a percentage of own, altered and forwarded messages.")
    ]
    unclaimed_percent: Annotated[
        Maybe[Percent], Fact("Unclaimed messages as a percentage of own, altered and forwarded messages.")
    ]
    forged_percent: Annotated[
        Maybe[Percent], Fact("Forged messages as a percentage of own, altered and forwarded messages.")
    ]
    would_fail: Annotated[Maybe[Messages], Fact("Own and unclaimed messages that fail DMARC.")]
    would_fail_percent: Annotated[Maybe[Percent], Fact("The same as a percentage of own and unclaimed messages.")]
    small_failing: Annotated[
        Maybe[Messages], Fact("The part of `would_fail` from sources with fewer than ten messages.")
    ]
    small_failing_percent: Annotated[Maybe[Percent], Fact("The same as a percentage of own messages.")]
    sources_pass: Annotated[
        Maybe[bool], Fact("At least 99% of the messages from every own and unclaimed source pass DMARC.")
    ]
    own_sources: Annotated[Maybe[Sources], Fact("Number of the domain's own sources.")]
    unclaimed_sources: Annotated[Maybe[Sources], Fact("Number of sources whose owner only the user can identify.")]
    foreign_sources: Annotated[Maybe[Sources], Fact("Number of sources known to be foreign.")]
    apart: Annotated[Maybe[Messages], Fact("Messages from subdomains that sp=none or np=none exempts from the policy.")]
    apart_failing: Annotated[Maybe[Messages], Fact("The part of `apart` that fails DMARC.")]
    enforced_own: Annotated[
        Maybe[Messages], Fact("Own messages that receivers already quarantined or rejected because of the policy.")
    ]
    enforced_own_recent: Annotated[Maybe[Messages], Fact("The part of `enforced_own` from the last 14 days.")]


class PolicyHits(Topic, frozen=True, kw_only=True):
    """Own and unclaimed mail that the current policy affects."""

    topic = "traffic"
    hit: Annotated[Maybe[Messages], Fact("Own and unclaimed messages that the current policy affects.")]
    hit_own: Annotated[Maybe[Messages], Fact("The part of `hit` from own sources.")]
    hit_of: Annotated[Maybe[Messages], Fact("Own and unclaimed messages since the current policy took effect.")]
    hit_percent: Annotated[Maybe[Percent], Fact("Share of `hit_of` that the policy affects.")]
    hit_since: Annotated[Maybe[Day], Fact("First day of the window on which the policy affected such messages.")]


class OwnMessages(Topic, frozen=True, kw_only=True):
    """Messages of the domain's own sources."""

    topic = "traffic.own"
    messages: Annotated[Maybe[Messages], Fact("Messages of the domain's own sources.")]
    aligned: Annotated[Maybe[Messages], Fact("Own messages that pass DMARC.")]
    dkim_aligned: Annotated[Maybe[Messages], Fact("Own messages that pass DMARC by DKIM.")]
    aligned_percent: Annotated[Maybe[Percent | None], Fact("Share of own messages that pass DMARC.")]
    aligned_low: Annotated[Maybe[Percent | None], Fact("Lower bound of that share (Wilson bound, one-sided, 95%).")]
    dkim_low: Annotated[Maybe[Percent | None], Fact("The same lower bound for messages that pass DMARC by DKIM.")]
    spf_only_percent: Annotated[Maybe[Percent | None], Fact("Share of own messages that pass DMARC by SPF only.")]


class Undecided(Topic, frozen=True, kw_only=True):
    """Messages that fail DMARC but may be the domain's own."""

    topic = "traffic"
    undecided: Annotated[
        Maybe[Messages], Fact("Messages that fail DMARC from addresses whose reverse DNS name could not be looked up.")
    ]
    undecided_addresses: Annotated[
        Maybe[tuple[str, ...]], Fact("Those addresses, at most ten, the ones with most failing messages first.")
    ]
    undecided_percent: Annotated[Maybe[Percent], Fact("The same as a percentage of own messages.")]
    undecided_offline: Annotated[
        Maybe[bool], Fact("None of those reverse DNS names was looked up, because the run didn't use live DNS.")
    ]


class Traffic(Topic, frozen=True, kw_only=True):
    """Sources, selectors, policies, subdomains and days."""

    topic = "traffic"
    sources: Annotated[Maybe[tuple[Source, ...]], Fact("Sources that send mail as the domain.", key=("key",))]
    without: Annotated[
        Maybe[tuple[LeftOut, ...]],
        Fact("What would be known without each of the trusted reporters.", key=("reporter",)),
    ]
    details: Annotated[
        Maybe[tuple[SourceDay, ...]],
        Fact(
            "What the sources sent by address, receiver and day; empty unless requested.",
            key=("source", "address", "receiver", "day"),
        ),
    ]
    selectors: Annotated[
        Maybe[tuple[SeenSelector, ...]],
        Fact("DKIM selectors that signed mail or are published.", key=("domain", "selector")),
    ]
    policies: Annotated[Maybe[tuple[SeenPolicy, ...]], Fact("Policy that each reporter last saw.", key=("reporter",))]
    subdomains: Annotated[Maybe[tuple[Subdomain, ...]], Fact("Subdomains that mail is from.", key=("name",))]
    volume: Annotated[Maybe[tuple[DayVolume, ...]], Fact("Messages by day.", key=("day",))]


class SourceVolume(Record, frozen=True, kw_only=True):
    """Of the last seven days, the one with the steepest rise over the days before it, according to one source."""

    source: Annotated[Annotated[str, OneOf("dmarc-reports mail-log events")], Fact("Source of the data.")]
    services: Annotated[tuple[str, ...], Fact("Sending services that provided the events.")]
    day: Annotated[
        Day, Fact("Of the last seven days, the one with the steepest rise over the days before it (ISO date, UTC).")
    ]
    messages: Annotated[Messages, Fact("Messages on that day.")]
    maximum: Annotated[Messages, Fact("Highest daily count in the days before it.")]
    median: Annotated[Messages, Fact("Median daily count in the days before it.")]
    days_before: Annotated[
        Days, Fact("Number of those days before it, starting with the first that has messages: at most 28.")
    ]
    jump: Annotated[Annotated[float, Unit("times")] | None, Fact("Messages on that day as a multiple of `maximum`.")]


class Volume(Topic, frozen=True, kw_only=True):
    """How the volume of the last days compares with that of the days before."""

    topic = "volume"
    sources: Annotated[Maybe[tuple[SourceVolume, ...]], Fact("Sending volume, by source of the data.", key=("source",))]


class Gate(Topic, frozen=True, kw_only=True):
    """The next DMARC policy, and what only the user can decide before it."""

    topic = "gate"
    to: Annotated[
        Maybe[Annotated[str, OneOf("quarantine reject")] | None],
        Fact(
            "Policy that the gate checks: the one that the user named, or else the next one; absent if there is no "
            "next one."
        ),
    ]
    rua_authorised: Annotated[Maybe[bool], Fact("Every report address at another organization is authorized there.")]
    rare_missing: Annotated[Maybe[tuple[str, ...]], Fact("Infrequent mailings whose day the reports do not cover.")]
    trust_sources: Annotated[Maybe[bool], Fact("The user chose to decide by sources if there is little mail.")]
