"""What a window of reports adds up to: sources, sums, days, selectors, policies. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import islice, pairwise

from msgspec import Struct, field

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.traffic import (
    DayVolume,
    LeftOut,
    MessageSums,
    OwnMessages,
    PolicyHits,
    ReportPeriod,
    SeenPolicy,
    SeenReporter,
    SeenSelector,
    Source,
    SourceDay,
    Undecided,
    Unusable,
    WhoReported,
)
from deliverability.core.model.observed import Facet, Observed, ObservedReport, Rows, Trust, at_least_percent, percent
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.dmarc_reports.grouped import GOOD_PERCENT, MAX_SOURCES, TrafficSource
from deliverability.dmarc_reports.standing import SourceStanding

RECENT_DAYS = 14
COVERING_DAYS = 4
"""On so many days somebody has to report to be one of the reporters."""
SILENT_DAYS = 4
SMALL = 10
"""Sources of fewer messages are counted together."""
LISTED = 5
MAX_SELECTORS = 50
DETAILED = 20
"""Addresses of a source that are told in detail."""
_ADDRESSES = 10
"""Addresses that are told of those whose name could not be looked up."""
_UNASKED = (Reason.OFFLINE, Reason.UNTOLD)
"""Nobody was asked: waiting changes nothing."""
MAX_DETAILS = 8_000


def share_of_own(part: int, own: int) -> float:
    """Percent of own messages; where there are none, anything is all of it."""
    return round(100 * part / own, 4) if own else (100.0 if part else 0.0)


def day_of(begin: int, end: int) -> date:
    """The UTC day of the middle of a period."""
    return datetime.fromtimestamp((begin + end) // 2, UTC).date()


class ReportWindow(Struct, frozen=True, dict=True):
    """The trusted rows of a window about one domain, as sources."""

    observed: Observed
    sources: tuple[TrafficSource, ...]
    catalogue: Mapping[str, Reporter] = field(default_factory=dict)

    def of(self, *standings: SourceStanding) -> tuple[TrafficSource, ...]:
        """The sources of these standings that the policy of the domain concerns."""
        return tuple(each for each in self.sources if each.standing in standings and not each.apart)

    @cached_property
    def own(self) -> tuple[TrafficSource, ...]:
        """The domain's own sources."""
        return self.of(*(each for each in SourceStanding if each.ours))

    @cached_property
    def unclaimed(self) -> tuple[TrafficSource, ...]:
        """Those that may be."""
        return self.of(*(each for each in SourceStanding if each.asks))

    @cached_property
    def own_messages(self) -> int:
        """Messages of the domain's own sources."""
        return _sum(self.own)

    @cached_property
    def recent(self) -> date:
        """The first of the last 14 days."""
        return self.observed.end - timedelta(days=RECENT_DAYS - 1)

    # Reports.

    @cached_property
    def trusted(self) -> tuple[ObservedReport, ...]:
        """The reports that count."""
        return tuple(each for each in self.observed.reports if each.trusted)

    def period(self, *cited: str) -> ReportPeriod:
        """The window, and how far reports fill it."""
        observed = self.observed
        days = {day_of(each.begin, each.end) for each in self.trusted}
        first = max(observed.begin, min(days, default=observed.end))
        span = (observed.end - first).days + 1 if days else 0
        months = {each.month for each in (first, observed.end, observed.end + timedelta(days=1))} if days else set()
        newest = max(observed.last_reports.values(), default=None)
        unread = sum(each.count for each in observed.problems)
        unlisted = [each for each in observed.reports if not each.listed]
        return ReportPeriod(
            begin=observed.begin.isoformat(),
            end=observed.end.isoformat(),
            days=len(days),
            span_days=span,
            month_end=len(months) > 1,
            reports=len(observed.reports),
            duplicates=observed.duplicates,
            last_report_days=None if newest is None else max(0, (observed.end - newest).days),
            untrusted_messages=_untrusted(observed.rows),
            unlisted_reporters=len({each.reporter for each in unlisted}),
            unlisted_messages=sum(each.messages for each in unlisted),
            unread_percent=percent(unread, unread + len(observed.reports)) or 0.0,
            problems=tuple(
                Unusable(kind=each.detail.code, reporter=each.reporter, detail=each.detail, count=each.count)
                for each in observed.problems
            ),
            evidence=cite(*cited),
        )

    def reporters(self, *cited: str) -> WhoReported:
        """Who reported."""
        by: dict[str, list[ObservedReport]] = defaultdict(list)
        for each in self.observed.reports:
            by[each.reporter].append(each)
        listed = sorted((self._reporter(*each) for each in by.items()), key=lambda each: -each.messages)
        covering = [each for each in listed if each.covers]
        seen = {each.policy.discovery for each in self.trusted if each.policy.discovery}
        return WhoReported(
            reporters=tuple(listed),
            verified_reporters=len(covering),
            known_reporters=sum(each.known for each in covering),
            discovery_differs=len(seen) > 1,
            evidence=cite(*cited),
        )

    def _reporter(self, ident: str, reports: Sequence[ObservedReport]) -> SeenReporter:
        """One of them, whether its reports cover the window, and whether it fell silent."""
        found = reporter_named(ident, self.catalogue)
        trusted = [each for each in reports if each.trusted]
        days = sorted({day_of(each.begin, each.end) for each in trusted})
        gaps = [(after - before).days for before, after in pairwise(days)]
        silent = (self.observed.end - days[-1]).days if days else 0
        return SeenReporter(
            id=ident,
            name=reports[-1].name,
            trust=min((each.trust for each in reports), key=_TRUST.index).value,
            receiver=(found.receiver or None) if found else None,
            days=len({day_of(each.begin, each.end) for each in reports}),
            messages=sum(each.messages for each in reports),
            known=found is not None,
            trusted=bool(trusted),
            covers=len(days) >= COVERING_DAYS,
            percent=share_of_own(sum(each.messages for each in trusted), sum(each.messages for each in self.trusted)),
            silent_days=silent,
            fell_silent=len(days) >= COVERING_DAYS and silent >= SILENT_DAYS and silent > 2 * max(gaps, default=1),
        )

    # Messages.

    def sums(self, *cited: str) -> MessageSums:
        """Messages by standing, and what a policy would do."""
        forwarded, altered = _sum(self.of(SourceStanding.FORWARDER)), _sum(self.of(SourceStanding.ALTERED))
        unclaimed, forged = _sum(self.unclaimed), _sum(self.of(SourceStanding.FORGED))
        ours = self.own_messages + altered + forwarded
        open_ = (*self.own, *self.unclaimed)
        lost = _sum(open_, _fails)
        few = _sum((each for each in open_ if _is_small(each)), _fails)
        apart = [each for each in self.sources if each.apart]
        return MessageSums(
            messages=_sum(self.sources),
            aligned=_sum(self.sources, _passes),
            dkim_aligned=_sum(self.sources, _by_dkim),
            spf_aligned=_sum(self.sources, _by_spf),
            yours=self.own_messages + unclaimed,
            forwarded=forwarded,
            altered=altered,
            unclaimed=unclaimed,
            forged=forged,
            forwarded_percent=share_of_own(forwarded, ours),
            altered_percent=share_of_own(altered, ours),
            unclaimed_percent=share_of_own(unclaimed, ours),
            forged_percent=share_of_own(forged, ours),
            would_fail=lost,
            would_fail_percent=share_of_own(lost, self.own_messages + unclaimed),
            small_failing=few,
            small_failing_percent=share_of_own(few, self.own_messages),
            sources_pass=all(100 * each.aligned >= GOOD_PERCENT * each.messages for each in open_),
            own_sources=sum(each.standing.ours for each in open_),
            unclaimed_sources=len(self.unclaimed),
            foreign_sources=sum(each.many for each in self.sources if each.foreign),
            apart=_sum(apart),
            apart_failing=_sum(apart, _fails),
            enforced_own=_sum(self.own, _enforced),
            enforced_own_recent=_sum(self.own, _enforced, self.recent),
            evidence=cite(*cited),
        )

    def of_own(self, *cited: str) -> OwnMessages:
        """What passes of the domain's own messages."""
        own, total = self.own, self.own_messages
        aligned, by_dkim = _sum(own, _passes), _sum(own, _by_dkim)
        spf_only = _sum(own, lambda facet: facet.aligned_spf and not facet.aligned_dkim)
        return OwnMessages(
            messages=total,
            aligned=aligned,
            dkim_aligned=by_dkim,
            aligned_percent=percent(aligned, total),
            aligned_low=at_least_percent(aligned, total),
            dkim_low=at_least_percent(by_dkim, total),
            spf_only_percent=percent(spf_only, total),
            evidence=cite(*cited),
        )

    def hits(self, stage: Maybe[str], since: date | None, *cited: str) -> PolicyHits:
        """What the policy in force hits of own and unclaimed mail: of the sources that failed in the last 14 days."""
        in_force = stage in ("quarantine", "reject")
        sources = (*self.own, *self.unclaimed)
        first = since or self.observed.begin
        hit = [
            each
            for each in sources
            if in_force and each.standing is not SourceStanding.OWN and each.count(_fails, max(first, self.recent))
        ]
        lost, every = _sum(hit, _fails, first), _sum(sources, since=first)
        days = [day for each in hit for day in each.days_of(_fails) if day >= first]
        return PolicyHits(
            hit=lost,
            hit_own=_sum((each for each in hit if each.standing.ours), _fails, first),
            hit_of=every,
            hit_percent=share_of_own(lost, every),
            hit_since=min(days, default=first).isoformat(),
            evidence=cite(*cited),
        )

    def undecided(self, lost: Mapping[str, Unknown], *cited: str) -> Undecided:
        """What does not pass, from addresses whose reverse name could not be looked up: it may be ours.

        Of a service that the user is asked about it would tell nothing: whose account it is does not show there.
        """
        sources = [each for each in self.sources if not (each.standing.ours or each.by_user or _is_asked_service(each))]
        failing: Counter[str] = Counter()
        for each in sources if lost else ():
            failing += each.failing_from(lost)
        messages = failing.total()
        return Undecided(
            undecided=messages,
            undecided_addresses=tuple(address for address, _ in failing.most_common(_ADDRESSES)),
            undecided_percent=share_of_own(messages, self.own_messages),
            undecided_offline=bool(lost) and all(each.reason in _UNASKED for each in lost.values()),
            evidence=cite(*cited),
        )

    def listed(self, names: Mapping[str, tuple[str, ...]]) -> tuple[Source, ...]:
        """The sources, each with all that rules compare."""
        return tuple(self._item(each, names) for each in self.most)

    def without(self) -> tuple[LeftOut, ...]:
        """What would be known without each of the reporters that count."""
        open_ = (*self.own, *self.unclaimed)
        all_, own, lost = (
            _by_reporter(sources, wanted) for sources, wanted in ((open_, _all), (self.own, _all), (open_, _fails))
        )
        good = _by_reporter(self.own, _passes)
        days: dict[str, set[date]] = defaultdict(set)
        for each in self.trusted:
            days[each.reporter].add(day_of(each.begin, each.end))
        found = []
        for ident in days:
            named = reporter_named(ident, self.catalogue)
            messages, failing = own.total() - own[ident], lost.total() - lost[ident]
            others = [each for name, each in days.items() if name != ident]
            found.append(
                LeftOut(
                    reporter=ident,
                    name=next(each.name for each in self.trusted if each.reporter == ident),
                    large=named is not None and named.large,
                    messages=messages,
                    aligned_low=at_least_percent(good.total() - good[ident], messages),
                    failing=failing,
                    failing_percent=share_of_own(failing, all_.total() - all_[ident]),
                    reporters=sum(len(each) >= COVERING_DAYS for each in others),
                    days=len(set().union(*others)),
                )
            )
        return tuple(found)

    @cached_property
    def first_facets(self) -> list[int]:
        """By number of a facet the ordinal of the day on which it was first reported; 0: not told."""
        known = self.observed.first_facets
        return [day.toordinal() if (day := known.get(each)) else 0 for each in self.observed.rows.facets]

    @cached_property
    def most(self) -> tuple[TrafficSource, ...]:
        """The sources that are listed: of each standing those that send most, and those that come again and again."""
        found: list[TrafficSource] = []
        by_standing: dict[SourceStanding, list[TrafficSource]] = defaultdict(list)
        for each in self.sources:
            if each.many == 1:
                by_standing[each.standing].append(each)
        for sources in by_standing.values():
            rest = (each for each in sources[MAX_SOURCES:] if each.steady)
            found += [*sources[:MAX_SOURCES], *islice(rest, MAX_SOURCES)]
        return tuple(found)

    def details(self) -> tuple[SourceDay, ...]:
        """What the listed sources sent by address, receiver and day: of each the addresses that sent most."""
        found: list[SourceDay] = []
        for source in self.most:
            most = set(islice(source.by_address, DETAILED))
            found += (each for each in source.by_cell() if each.address in most)
            if len(found) > MAX_DETAILS:
                break
        return tuple(found[:MAX_DETAILS])

    def _item(self, source: TrafficSource, names: Mapping[str, tuple[str, ...]]) -> Source:
        end, messages, aligned = self.observed.end, source.messages, source.aligned
        addresses = source.by_address
        largest = messages if source.standing is SourceStanding.FORGED else max(addresses.values())
        recent = source.count(since=self.recent)
        failing = source.days_of(_fails)
        first = source.first_seen(self.first_facets)
        examples = tuple(islice(addresses, LISTED))
        ptr = dict.fromkeys(name for ip in addresses for name in names.get(ip, ())[:1])
        signatures = [each for facet in source.by_facet for each in facet.dkim if each.result == "pass"]
        selectors = dict.fromkeys(each.selector for each in signatures if each.selector)
        returns = Counter[str]()
        for facet, number in source.by_facet.items():
            if name := facet.spf_domain or facet.envelope_from:
                returns[name] += number
        return Source(
            key=source.key,
            name=source.name,
            service=source.service.id if source.service else None,
            standing=source.standing.value,
            standing_by=tuple(source.reasons),
            messages=messages,
            aligned=aligned,
            unaligned=messages - aligned,
            dkim_aligned=source.count(_by_dkim),
            spf_aligned=source.count(_by_spf),
            aligned_percent=percent(aligned, messages) or 0.0,
            aligned_low=at_least_percent(aligned, messages) or 0.0,
            recent_messages=recent,
            recent_aligned_percent=percent(source.count(_passes, self.recent), recent),
            own_percent=share_of_own(messages, self.own_messages),
            addresses=len(addresses),
            largest_address=largest,
            largest_percent=share_of_own(largest, self.own_messages),
            examples=examples,
            ptr=tuple(ptr)[:LISTED],
            selectors=tuple(selectors)[:LISTED],
            return_domains=tuple(name for name, _ in returns.most_common(LISTED)),
            receivers=tuple(source.by_reporter()),
            failing_receivers=tuple(source.by_reporter(_fails)),
            first_seen=first.isoformat(),
            last_seen=date.fromordinal(max(source.days)).isoformat(),
            last_unaligned=max(failing).isoformat() if failing else None,
            days=len(source.days),
            age_days=(end - first).days + 1,
            new=first >= self.observed.begin and first != self.observed.first_report,
            steady=source.steady,
            said=source.by_user,
            apart=source.apart,
            match=_match(source, examples, signatures[0].domain if signatures else ""),
            used=False,
        )

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The days of the window."""
        begin, end = self.observed.begin, self.observed.end
        return tuple(begin + timedelta(days=number) for number in range((end - begin).days + 1))

    def by_day(self) -> tuple[DayVolume, ...]:
        """Messages by day."""
        own, aligned = _by_day(self.own), _by_day(self.own, _passes)
        altered = _by_day(self.of(SourceStanding.ALTERED))
        unclaimed = _by_day(self.unclaimed)
        forged = _by_day(self.of(SourceStanding.FORGED))
        forwarded = _by_day(self.of(SourceStanding.FORWARDER))
        return tuple(
            DayVolume(
                day=day.isoformat(),
                messages=own[day],
                aligned=aligned[day],
                altered=altered[day],
                unclaimed=unclaimed[day],
                forged=forged[day],
                forwarded=forwarded[day],
            )
            for day in self.days
        )

    def selectors(self, home: str, published: Mapping[tuple[str, str], Maybe[bool]]) -> tuple[SeenSelector, ...]:
        """The domain's selectors that signed, and published ones that nothing signed with.

        Failures count at our own sources only: elsewhere mail is altered, or the signature is made up.
        """
        good, bad = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        last: dict[tuple[str, str], date] = {}
        for source in self.sources:
            facets = source.table.facets
            for number, facet, messages in source.cells:
                for each in facets[facet].dkim:
                    key = each.domain, each.selector
                    passes = each.result == "pass"
                    if not (passes or source.standing.ours) or not each.selector or not is_within(each.domain, home):
                        continue
                    (good if passes else bad)[key] += messages
                    day = date.fromordinal(number)
                    last[key] = max(last.get(key, day), day)
        used = sorted(last, key=lambda key: -(good[key] + bad[key]))[:MAX_SELECTORS]
        unused = [key for key, there in published.items() if key not in last and there is True]
        return tuple(
            SeenSelector(
                domain=domain,
                selector=selector,
                pass_=good[domain, selector],
                fail=bad[domain, selector],
                messages=(n := good[domain, selector] + bad[domain, selector]),
                fail_percent=percent(bad[domain, selector], n) or 0.0,
                last_seen=last[domain, selector].isoformat() if (domain, selector) in last else None,
                last_days=(self.observed.end - last[domain, selector]).days if (domain, selector) in last else None,
                published=published.get((domain, selector)),
            )
            for domain, selector in (*used, *unused)
        )

    def policies(
        self, domain: str, policy: Maybe[str | None], since: date | None, no_history: Unknown
    ) -> tuple[SeenPolicy, ...]:
        """What the reporters saw published last, and for how long that has not been what DNS says now."""
        newest: dict[str, ObservedReport] = {}
        for each in self.trusted:
            if each.domain in ("", domain) and each.end >= newest.get(each.reporter, each).end:
                newest[each.reporter] = each
        found: list[SeenPolicy] = []
        for reporter, each in newest.items():
            seen = each.policy
            differs: Maybe[bool] = policy if isinstance(policy, Unknown) else bool(seen.p) and seen.p != policy
            hours: Maybe[int] = 0
            if differs is True and since is None:
                hours = no_history
            elif differs is True and since is not None:
                start = datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()
                hours = max(0, int(each.end - start) // 3600)
            elif isinstance(differs, Unknown):
                hours = differs
            found.append(
                SeenPolicy(
                    reporter=reporter,
                    name=each.name,
                    p=seen.p or None,
                    sp=seen.sp or None,
                    np=seen.np or None,
                    testing=seen.testing or None,
                    discovery=seen.discovery or None,
                    last=datetime.fromtimestamp(each.end, UTC).date().isoformat(),
                    differs=differs,
                    differs_hours=hours,
                )
            )
        return tuple(found)

    def subdomains(self, domain: str) -> list[tuple[str, int, int, int]]:
        """Names below the domain that mail is from, the largest first: name, messages, own messages, aligned ones."""
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for source in self.sources:
            for facet, messages in source.by_facet.items():
                if facet.header_from != domain:
                    count = counts[facet.header_from]
                    count[0] += messages
                    count[1] += messages if source.standing.ours else 0
                    count[2] += messages if facet.aligned else 0
        found = [(name, all_, own, aligned) for name, (all_, own, aligned) in counts.items()]
        return sorted(found, key=lambda each: -each[1])


_TRUST = list(Trust)


def _passes(facet: Facet) -> bool:
    return facet.aligned


def _fails(facet: Facet) -> bool:
    return not facet.aligned


def _by_dkim(facet: Facet) -> bool:
    return facet.aligned_dkim


def _by_spf(facet: Facet) -> bool:
    return facet.aligned_spf


def _enforced(facet: Facet) -> bool:
    """Whether a receiver quarantined or refused it because of the policy."""
    return not facet.aligned and facet.disposition in ("quarantine", "reject") and "local_policy" not in facet.reason


def _all(_: Facet) -> bool:
    return True


def _sum(sources: Iterable[TrafficSource], wanted: Callable[[Facet], bool] = _all, since: date = date.min) -> int:
    """Their messages of some facets, since a day."""
    if wanted is _all and since == date.min:
        return sum(each.messages for each in sources)
    return sum(each.count(wanted, since) for each in sources)


def _by_reporter(sources: Iterable[TrafficSource], wanted: Callable[[Facet], bool]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in sources:
        found.update(each.by_reporter(wanted))
    return found


def _untrusted(rows: Rows) -> int:
    """Messages of reports that do not count."""
    trusted = [sure for _, sure in rows.reporters]
    if all(trusted):
        return 0
    return sum(number for who, number in zip(rows.reporter, rows.messages, strict=True) if not trusted[who])


def _by_day(sources: Iterable[TrafficSource], wanted: Callable[[Facet], bool] = _all) -> Counter[date]:
    found: Counter[date] = Counter()
    for source in sources:
        for day, messages in source.by_day(wanted).items():
            found[date.fromordinal(day)] += messages
    return found


def _is_small(source: TrafficSource) -> bool:
    """Whether it is too small to be asked about by itself."""
    return not source.by_user and source.messages < SMALL


def _is_asked_service(source: TrafficSource) -> bool:
    """Whether the user is asked whose account at a service it is."""
    return source.standing.asks and source.service is not None and not (source.apart or _is_small(source))


def _match(source: TrafficSource, examples: tuple[str, ...], signs_as: str) -> tuple[str, ...]:
    """What a word of the user on this source would name."""
    if source.service is not None:
        return (f"service:{source.service.id}",)
    if any(char in source.name for char in "/:") or source.name in examples:
        few = len(source.by_address) <= len(examples)
        named = f"dkim:{signs_as}" if signs_as and source.standing is SourceStanding.UNCLAIMED else ""
        return (named,) if named else examples if few else (source.name,)
    return (f"ptr:{source.name}",)
