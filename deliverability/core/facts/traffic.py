"""Facts about who sends as the domain by DMARC reports, and the gate before the next policy."""

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
    """Something in reports that could not be used."""

    kind: Annotated[str, Fact("The code of it.")]
    reporter: Annotated[str, Fact("Whose report it was.")]
    detail: Annotated[Detail, Fact("What it was.")]
    count: Annotated[Times, Fact("How often.")]


class SeenReporter(Record, frozen=True, kw_only=True):
    """Who reported."""

    id: Annotated[str, Fact("Who.")]
    name: Annotated[str, Fact("As it names itself.")]
    trust: Annotated[
        Annotated[str, OneOf("verified authenticated file claimed partial")],
        Fact("How far its best report is trusted."),
    ]
    receiver: Annotated[str | None, Fact("The receiver that it is.")]
    days: Annotated[Days, Fact("Days that it reported on.")]
    messages: Annotated[Messages, Fact("Messages that it reported.")]
    known: Annotated[bool, Fact("It stands in the catalogue of reporters.")]
    trusted: Annotated[bool, Fact("Some of its reports are trusted far enough to count.")]
    covers: Annotated[bool, Fact("These are about at least four days.")]
    percent: Annotated[Percent, Fact("Its messages in percent of those that count.")]
    silent_days: Annotated[Days, Fact("Days at the end of the window without them.")]
    fell_silent: Annotated[bool, Fact("That is longer than it ever was silent before.")]


class LeftOut(Record, frozen=True, kw_only=True):
    """What would be known without one of those whose reports count."""

    reporter: Annotated[str, Fact("Who.")]
    name: Annotated[str, Fact("As it names itself.")]
    large: Annotated[bool, Fact("So much mail is sent there that an answer may rest on its reports alone.")]
    messages: Annotated[Messages, Fact("Own messages that the others report.")]
    aligned_low: Annotated[Percent | None, Fact("What share of them passes at least (Wilson bound).")]
    failing: Annotated[Messages, Fact("Own and unclaimed messages that do not pass, by the others.")]
    failing_percent: Annotated[Percent, Fact("The same in percent of own and unclaimed ones.")]
    reporters: Annotated[Reporters, Fact("The others, as far as their reports are about several days.")]
    days: Annotated[Days, Fact("Days on which they reported.")]


class Source(Record, frozen=True, kw_only=True):
    """Who sends as the domain."""

    key: Annotated[str, Fact("Its name, with the standing where another source has the same name.")]
    name: Annotated[str, Fact("Service, host, domain or range of addresses.")]
    service: Annotated[str | None, Fact("Name in the catalogue of services.")]
    standing: Annotated[
        Annotated[str, OneOf("own own-gap service-gap service-mixed unclaimed altered forwarder forged")],
        Fact("What it is."),
    ]
    standing_by: Annotated[tuple[Detail, ...], Fact("Why, the most messages first.")]
    messages: Annotated[Messages, Fact("Messages.")]
    aligned: Annotated[Messages, Fact("Those that pass DMARC.")]
    unaligned: Annotated[Messages, Fact("Those that do not.")]
    dkim_aligned: Annotated[Messages, Fact("Those that pass by DKIM.")]
    spf_aligned: Annotated[Messages, Fact("Those that pass by SPF.")]
    aligned_percent: Annotated[Percent, Fact("Share that passes.")]
    aligned_low: Annotated[Percent, Fact("What it is at least (Wilson bound).")]
    recent_messages: Annotated[Messages, Fact("Messages of the last 14 days.")]
    recent_aligned_percent: Annotated[Percent | None, Fact("Share of those that passes.")]
    own_percent: Annotated[Percent, Fact("Its messages in percent of own messages.")]
    addresses: Annotated[Addresses, Fact("Addresses.")]
    largest_address: Annotated[
        Messages, Fact("Messages of the one that sent most; of a forged source of its network or name.")
    ]
    largest_percent: Annotated[Percent, Fact("The same in percent of own messages.")]
    examples: Annotated[tuple[str, ...], Fact("The addresses that sent most.")]
    ptr: Annotated[tuple[str, ...], Fact("Confirmed reverse names.")]
    selectors: Annotated[tuple[str, ...], Fact("Selectors of signatures that pass.")]
    return_domains: Annotated[tuple[str, ...], Fact("Domains of Return-Path.")]
    receivers: Annotated[tuple[str, ...], Fact("Who reported it.")]
    failing_receivers: Annotated[tuple[str, ...], Fact("Who reported mail of it that does not pass.")]
    first_seen: Annotated[Day, Fact("Day on which it was first reported.")]
    last_seen: Annotated[Day, Fact("And last.")]
    last_unaligned: Annotated[Day | None, Fact("Last day with mail that did not pass.")]
    days: Annotated[Days, Fact("Days on which it sent.")]
    age_days: Annotated[Days, Fact("Days since it was first reported.")]
    new: Annotated[bool, Fact("It was first reported in this window, and others were before.")]
    steady: Annotated[bool, Fact("It came on at least 4 days over at least 14.")]
    said: Annotated[bool, Fact("The user said whose it is.")]
    apart: Annotated[bool, Fact("It sends for names below the domain that sp=none or np=none leaves alone.")]
    match: Annotated[tuple[str, ...], Fact("What a [[source]] table about it would match.")]
    used: Annotated[bool, Fact("False: it is about the domain, not about the mail at hand.")]


class SourceDay(Record, frozen=True, kw_only=True):
    """What one address of a source sent on a day, as one receiver reports it."""

    source: Annotated[str, Fact("Key of the source.")]
    address: Annotated[str, Fact("IP address.")]
    receiver: Annotated[str, Fact("Who reported it.")]
    day: Annotated[Day, Fact("Day (ISO date, UTC).")]
    messages: Annotated[Messages, Fact("Messages.")]
    aligned: Annotated[Messages, Fact("Those that pass DMARC.")]


class SeenSelector(Record, frozen=True, kw_only=True, rename={"pass_": "pass"}):
    """A DKIM selector that signed, or is published."""

    domain: Annotated[str, Fact("Signing domain.")]
    selector: Annotated[str, Fact("Selector.")]
    pass_: Annotated[Messages, Fact("Messages whose signature passes.")]
    fail: Annotated[Messages, Fact("Own messages whose signature fails.")]
    messages: Annotated[Messages, Fact("Both.")]
    fail_percent: Annotated[Percent, Fact("Share that fails.")]
    last_seen: Annotated[Day | None, Fact("Last day on which it signed.")]
    last_days: Annotated[Days | None, Fact("Days since then.")]
    published: Annotated[Maybe[bool | None], Fact("Its key is published; none where nobody asked.")]


class SeenPolicy(Record, frozen=True, kw_only=True):
    """What a reporter saw published last."""

    reporter: Annotated[str, Fact("Who.")]
    p: Annotated[str | None, Fact("p=.")]
    sp: Annotated[str | None, Fact("sp=.")]
    np: Annotated[str | None, Fact("np=.")]
    testing: Annotated[str | None, Fact("t=.")]
    discovery: Annotated[str | None, Fact("How it found the policy.")]
    last: Annotated[Day, Fact("Last day of that report.")]
    differs: Annotated[Maybe[bool], Fact("p= is not what DNS says now.")]
    differs_hours: Annotated[Maybe[Hours], Fact("For how long that was so at the end of the report.")]


class Subdomain(Record, frozen=True, kw_only=True):
    """A name below the domain that mail is from."""

    name: Annotated[str, Fact("Name.")]
    messages: Annotated[Messages, Fact("Messages.")]
    own: Annotated[Messages, Fact("Those of own sources.")]
    aligned: Annotated[Messages, Fact("Those that pass DMARC.")]
    own_record: Annotated[Maybe[bool | None], Fact("It has a DMARC record; none where nobody asked.")]
    weaker: Annotated[
        Maybe[str | None],
        Fact("The tag that counts for it (sp, or np where DNS has no such name), if weaker than p; none: none does."),
    ]


class DayVolume(Record, frozen=True, kw_only=True):
    """The messages of a day."""

    day: Annotated[Day, Fact("Day (ISO date, UTC).")]
    messages: Annotated[Messages, Fact("Own messages.")]
    aligned: Annotated[Messages, Fact("Those that pass DMARC.")]
    altered: Annotated[Messages, Fact("Altered messages.")]
    unclaimed: Annotated[Messages, Fact("Unclaimed messages.")]
    forged: Annotated[Messages, Fact("Forged messages.")]
    forwarded: Annotated[Messages, Fact("Forwarded messages.")]


class ReportPeriod(Topic, frozen=True, kw_only=True):
    """The window, and how far reports fill it."""

    topic = "traffic"
    begin: Annotated[Maybe[Day], Fact("First day of the window (ISO date, UTC).")]
    end: Annotated[Maybe[Day], Fact("Its last day: the newest that was over.")]
    days: Annotated[Maybe[Days], Fact("Days with at least one report.")]
    span_days: Annotated[Maybe[Days], Fact("Days from the first of them to the end of the window.")]
    month_end: Annotated[Maybe[bool], Fact("These hold the last day of a month.")]
    reports: Annotated[Maybe[Reports], Fact("Aggregate reports.")]
    duplicates: Annotated[Maybe[Reports], Fact("Reports that came again and count once.")]
    last_report_days: Annotated[Maybe[Days | None], Fact("Days at the end of the window that no report is about.")]
    untrusted_messages: Annotated[Maybe[Messages], Fact("Messages of reports that do not count.")]
    unlisted_reporters: Annotated[Maybe[Reporters], Fact("Reporters of those that are nowhere listed.")]
    unlisted_messages: Annotated[Maybe[Messages], Fact("Messages that these report.")]
    unread_percent: Annotated[Maybe[Percent], Fact("Reports of which something could not be used.")]
    problems: Annotated[Maybe[tuple[Unusable, ...]], Fact("What could not be used.", key=("kind", "reporter"))]


class WhoReported(Topic, frozen=True, kw_only=True):
    """Who reported."""

    topic = "traffic"
    reporters: Annotated[Maybe[tuple[SeenReporter, ...]], Fact("Who reported, by messages.", key=("id",))]
    verified_reporters: Annotated[Maybe[Reporters], Fact("Reporters whose reports count, and are about several days.")]
    known_reporters: Annotated[Maybe[Reporters], Fact("Those of them in the catalogue.")]
    discovery_differs: Annotated[Maybe[bool], Fact("Reporters found the policy in different ways (psl, treewalk).")]


class StageSince(Topic, frozen=True, kw_only=True):
    """Since when the stage and the address for reports have been there."""

    topic = "traffic"
    stage_since: Annotated[Maybe[Day], Fact("Day since when earlier runs have seen the present DMARC stage.")]
    stage_days: Annotated[Maybe[Days], Fact("Days since then.")]
    rua_days: Annotated[Maybe[Days], Fact("Days since earlier runs first saw an address for reports.")]


class MessageSums(Topic, frozen=True, kw_only=True):
    """Messages by standing, and what a policy would do."""

    topic = "traffic"
    messages: Annotated[Maybe[Messages], Fact("Messages of the reports that count.")]
    aligned: Annotated[Maybe[Messages], Fact("Those that pass DMARC.")]
    dkim_aligned: Annotated[Maybe[Messages], Fact("Those that pass by DKIM.")]
    spf_aligned: Annotated[Maybe[Messages], Fact("Those that pass by SPF.")]
    yours: Annotated[Maybe[Messages], Fact("Own and unclaimed messages: all that is not known to be foreign.")]
    forwarded: Annotated[Maybe[Messages], Fact("Messages passed on unchanged.")]
    altered: Annotated[Maybe[Messages], Fact("Messages changed on their way.")]
    unclaimed: Annotated[Maybe[Messages], Fact("Messages of which only the user can say whose they are.")]
    forged: Annotated[Maybe[Messages], Fact("Messages of which nothing passes and nothing ties them to us.")]
    forwarded_percent: Annotated[Maybe[Percent], Fact("The same in percent of own, altered and forwarded.")]
    altered_percent: Annotated[Maybe[Percent], Fact("The same in percent of own, altered and forwarded.")]
    unclaimed_percent: Annotated[Maybe[Percent], Fact("The same in percent of own, altered and forwarded.")]
    forged_percent: Annotated[Maybe[Percent], Fact("The same in percent of own, altered and forwarded.")]
    would_fail: Annotated[Maybe[Messages], Fact("Own and unclaimed messages that do not pass.")]
    would_fail_percent: Annotated[Maybe[Percent], Fact("The same in percent of own and unclaimed ones.")]
    small_failing: Annotated[Maybe[Messages], Fact("Those of them of sources of fewer than ten messages.")]
    small_failing_percent: Annotated[Maybe[Percent], Fact("The same in percent of own messages.")]
    sources_pass: Annotated[Maybe[bool], Fact("Every source that is ours or may be ours passes.")]
    own_sources: Annotated[Maybe[Sources], Fact("The domain's own sources.")]
    unclaimed_sources: Annotated[Maybe[Sources], Fact("Sources of which only the user can say whose they are.")]
    foreign_sources: Annotated[Maybe[Sources], Fact("Sources that are known to be foreign.")]
    apart: Annotated[Maybe[Messages], Fact("Messages of names below the domain that sp=none or np=none leaves alone.")]
    apart_failing: Annotated[Maybe[Messages], Fact("Those of them that do not pass.")]
    enforced_own: Annotated[Maybe[Messages], Fact("Own messages already quarantined or refused by policy.")]
    enforced_own_recent: Annotated[Maybe[Messages], Fact("Those of the last 14 days.")]


class PolicyHits(Topic, frozen=True, kw_only=True):
    """What the policy in force hits of own and unclaimed mail."""

    topic = "traffic"
    hit: Annotated[Maybe[Messages], Fact("Own and unclaimed messages that the policy in force hits.")]
    hit_own: Annotated[Maybe[Messages], Fact("Those of them of own sources.")]
    hit_of: Annotated[Maybe[Messages], Fact("Own and unclaimed messages since the policy is in force.")]
    hit_percent: Annotated[Maybe[Percent], Fact("Share of these that it hits.")]
    hit_since: Annotated[Maybe[Day], Fact("First day of the window on which it did.")]


class OwnMessages(Topic, frozen=True, kw_only=True):
    """Messages of the domain's own sources."""

    topic = "traffic.own"
    messages: Annotated[Maybe[Messages], Fact("Messages of the domain's own sources.")]
    aligned: Annotated[Maybe[Messages], Fact("Those that pass DMARC.")]
    dkim_aligned: Annotated[Maybe[Messages], Fact("Those that pass by DKIM.")]
    aligned_percent: Annotated[Maybe[Percent | None], Fact("Share that passes.")]
    aligned_low: Annotated[Maybe[Percent | None], Fact("What that share is at least (Wilson bound, one-sided, 95 %).")]
    dkim_low: Annotated[Maybe[Percent | None], Fact("The same of what passes by DKIM.")]
    spf_only_percent: Annotated[Maybe[Percent | None], Fact("Share that passes by SPF only.")]


class Undecided(Topic, frozen=True, kw_only=True):
    """What does not pass and may be ours."""

    topic = "traffic"
    undecided: Annotated[Maybe[Messages], Fact("Messages of addresses whose reverse name nobody answered for.")]
    undecided_percent: Annotated[Maybe[Percent], Fact("The same in percent of own messages.")]


class Traffic(Topic, frozen=True, kw_only=True):
    """Sources, selectors, policies, names and days."""

    topic = "traffic"
    sources: Annotated[Maybe[tuple[Source, ...]], Fact("Who sends as the domain.", key=("key",))]
    without: Annotated[
        Maybe[tuple[LeftOut, ...]],
        Fact("What would be known without one of those whose reports count.", key=("reporter",)),
    ]
    details: Annotated[
        Maybe[tuple[SourceDay, ...]],
        Fact(
            "What they sent by address, receiver and day; empty unless it is asked for.",
            key=("source", "address", "receiver", "day"),
        ),
    ]
    selectors: Annotated[
        Maybe[tuple[SeenSelector, ...]],
        Fact("DKIM selectors that signed, and published ones.", key=("domain", "selector")),
    ]
    policies: Annotated[
        Maybe[tuple[SeenPolicy, ...]], Fact("What each reporter saw published last.", key=("reporter",))
    ]
    subdomains: Annotated[
        Maybe[tuple[Subdomain, ...]], Fact("Names below the domain that mail is from.", key=("name",))
    ]
    volume: Annotated[Maybe[tuple[DayVolume, ...]], Fact("Messages by day.", key=("day",))]


class SourceVolume(Record, frozen=True, kw_only=True):
    """The day of the last seven that rose most over the days before it, as one source tells of them."""

    source: Annotated[Annotated[str, OneOf("dmarc-reports mail-log events")], Fact("What tells how much was sent.")]
    services: Annotated[tuple[str, ...], Fact("The sending services whose events these are.")]
    day: Annotated[Day, Fact("The day (ISO date, UTC).")]
    messages: Annotated[Messages, Fact("Messages of that day.")]
    maximum: Annotated[Messages, Fact("The most of a day among those before it.")]
    median: Annotated[Messages, Fact("Their median.")]
    days_before: Annotated[Days, Fact("How many these are since the first with any: 28 at most.")]
    jump: Annotated[Annotated[float, Unit("times")] | None, Fact("The day as a multiple of that maximum.")]


class Volume(Topic, frozen=True, kw_only=True):
    """How the last days compare with those before them."""

    topic = "volume"
    sources: Annotated[
        Maybe[tuple[SourceVolume, ...]], Fact("How much was sent, by what tells of it.", key=("source",))
    ]


class Gate(Topic, frozen=True, kw_only=True):
    """Which DMARC policy comes next, and what only the user can say before it does."""

    topic = "gate"
    to: Annotated[
        Maybe[Annotated[str, OneOf("quarantine reject")] | None],
        Fact("The policy that is asked about: the one that the user named, else the next; none: there is no next."),
    ]
    rua_authorised: Annotated[Maybe[bool], Fact("Every report address at another organization is agreed to there.")]
    rare_missing: Annotated[Maybe[tuple[str, ...]], Fact("Runs of rare mail whose day the reports do not cover.")]
    trust_sources: Annotated[Maybe[bool], Fact("The user goes by the sources where there is little mail.")]
