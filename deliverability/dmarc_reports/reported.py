"""What a window of reports adds up to: sources, sums, days, selectors, policies. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import islice, pairwise
from statistics import median

from msgspec import Struct, field

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Unknown
from deliverability.core.facts.traffic import (
    DayVolume,
    MessageSums,
    OwnMessages,
    PolicyHits,
    ReportPeriod,
    SeenPolicy,
    SeenReporter,
    SeenSelector,
    Source,
    Undecided,
    Unusable,
    Volume,
    WhoReported,
)
from deliverability.core.model.observed import Observed, ObservedReport, ObservedRow, Trust, at_least_percent, percent
from deliverability.core.model.services import Reporter, Service, reporter_named
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.dmarc_reports.standing import SPF_COVERS, ClassifiedRow, RowJudge, Setup, SourceStanding

GOOD_PERCENT = 99.0
"""From this share of aligned mail on, a source of ours or a service is one that signs, and the rest its noise."""

OTHERS_ALIGNED = Code("by-others-aligned", ("name",))


class TrafficSource(Struct):
    """Rows of reports that belong together: one sender, one standing."""

    name: str
    service: Service | None
    standing: SourceStanding
    by_user: bool
    reasons: dict[Detail, None] = field(default_factory=dict)
    rows: list[ObservedRow] = field(default_factory=list)
    key: str = ""
    apart: bool = False

    @property
    def messages(self) -> int:
        """All of its messages."""
        return sum(row.messages for row in self.rows)

    @property
    def aligned(self) -> int:
        """Those that pass DMARC."""
        return sum(row.messages for row in self.rows if row.facet.aligned)

    @property
    def by_address(self) -> Counter[str]:
        """Messages by address."""
        found: Counter[str] = Counter()
        for row in self.rows:
            found[row.ip] += row.messages
        return found


def sources_of(observed: Observed, domain: str, setup: Setup) -> tuple[TrafficSource, ...]:
    """The sources of the trusted rows for a domain and the names below it, by standing, the largest first."""
    rows = rows_of(observed, domain)
    judge = RowJudge(setup, rows, observed.relays)
    groups: dict[tuple[str, bool, bool], list[tuple[ObservedRow, ClassifiedRow]]] = {}
    for row in rows:
        found = judge.of(row.ip, row.facet)
        apart = setup.apart and row.facet.header_from != domain
        groups.setdefault((found.group, found.standing.ours, apart), []).append((row, found))
    sources = []
    for (_, ours, apart), each in groups.items():
        for source in _of_ours(each) if ours else _by_standing(each):
            source.apart = apart
            sources.append(source)
    for each in sources:
        term = next(filter(None, map(judge.listed_by, sorted({row.ip for row in each.rows}))), "")
        if term and each.standing is not SourceStanding.OWN:
            each.reasons[SPF_COVERS(term=term)] = None
    order = {standing: place for place, standing in enumerate(SourceStanding)}
    sources.sort(key=lambda each: (order[each.standing], -each.messages, each.name))
    _name(sources)
    return tuple(sources)


def rows_of(observed: Observed, domain: str) -> list[ObservedRow]:
    """The trusted rows about a domain and the names below it."""
    below = f".{domain}"
    return [
        row
        for row in observed.rows
        if row.trusted and (row.facet.header_from == domain or row.facet.header_from.endswith(below))
    ]


def _name(sources: Iterable[TrafficSource]) -> None:
    """A key for each: its name, with the standing where another source has the same name."""
    taken: set[str] = set()
    for each in sources:
        key = each.name if each.name not in taken else f"{each.name} ({each.standing.value})"
        number = 1
        while key in taken:
            number += 1
            key = f"{each.name} ({each.standing.value}, {number})"
        taken.add(key)
        each.key = key


# --- rows to sources ------------------------------------------------------------------------------------------------

_Rows = Sequence[tuple[ObservedRow, ClassifiedRow]]


def _by_standing(rows: _Rows) -> list[TrafficSource]:
    return [_source(each, standing) for standing, each in _split(rows, lambda one: one[1].standing).items()]


def _of_ours(rows: _Rows) -> list[TrafficSource]:
    """The sources of one host or service of ours.

    An address (of a service: a stream) that passes at other times is one source with what does not pass; what never
    passes is another.
    """
    service = rows[0][1].service
    of: Callable[[tuple[ObservedRow, ClassifiedRow]], str] = (
        (lambda one: one[0].ip) if service is None else (lambda one: one[1].stream)
    )
    signing = {of(one) for one in rows if one[0].facet.aligned}
    good = [one for one in rows if of(one) in signing]
    rest = [one for one in rows if of(one) not in signing]
    found = []
    mixed = False
    lost = _never_passing([row for row, _ in good])
    if lost:
        never = [one for one in good if _kind(one[0]) in lost]
        good = [one for one in good if _kind(one[0]) not in lost]
        found.append(_source(never, SourceStanding.OWN_GAP if service is None else SourceStanding.SERVICE_GAP))
    if good:
        standing = SourceStanding.OWN
        messages = sum(row.messages for row, _ in good)
        aligned = sum(row.messages for row, _ in good if row.facet.aligned)
        mixed = aligned * 100 >= GOOD_PERCENT * messages
        if not mixed:
            standing = SourceStanding.OWN_GAP if service is None else SourceStanding.SERVICE_GAP
        found.append(_source(good, standing))
    for standing, each in _split(rest, lambda one: one[1].standing).items():
        if standing is SourceStanding.SERVICE_GAP and mixed and not each[0][1].by_user:
            source = _source(each, SourceStanding.SERVICE_MIXED)
            source.reasons[OTHERS_ALIGNED(name=source.name)] = None
        else:
            source = _source(each, standing)
        found.append(source)
    return found


REGULAR_PERCENT = 60
"""A kind of mail that comes on so many of the days on which its host sends is a job of its own, and no noise."""
REGULAR_DAYS = 4

_Kind = tuple[str, str, tuple[str, ...]]


def _kind(row: ObservedRow) -> _Kind:
    """What tells the jobs of one host apart: author domain, Return-Path, and whose signatures it carries."""
    facet = row.facet
    return facet.header_from, facet.spf_domain or facet.envelope_from, tuple(each.domain for each in facet.dkim)


def _never_passing(rows: Sequence[ObservedRow]) -> frozenset[_Kind]:
    """The kinds that never pass and come regularly: on most days, or always on the same day of the week."""
    days: dict[_Kind, set[date]] = defaultdict(set)
    passing: set[_Kind] = set()
    for row in rows:
        days[_kind(row)].add(row.day)
        if row.facet.aligned:
            passing.add(_kind(row))
    sending = {row.day for row in rows}

    def regular(on: set[date]) -> bool:
        weekly = len({day.weekday() for day in on}) == 1
        return len(on) >= REGULAR_DAYS and (weekly or 100 * len(on) >= REGULAR_PERCENT * len(sending))

    return frozenset(kind for kind, on in days.items() if kind not in passing and regular(on))


def _split(
    rows: _Rows, by: Callable[[tuple[ObservedRow, ClassifiedRow]], SourceStanding]
) -> dict[SourceStanding, list[tuple[ObservedRow, ClassifiedRow]]]:
    found: dict[SourceStanding, list[tuple[ObservedRow, ClassifiedRow]]] = {}
    for one in rows:
        found.setdefault(by(one), []).append(one)
    return found


def _source(rows: _Rows, standing: SourceStanding) -> TrafficSource:
    first = rows[0][1]
    counts: Counter[Detail] = Counter()
    for row, each in rows:
        counts[each.reason] += row.messages
    reasons = dict.fromkeys(reason for reason, _ in counts.most_common())
    by_user = any(each.by_user for _, each in rows)
    ips = {row.ip for row, _ in rows}
    name = ips.pop() if len(ips) == 1 and "/" in first.name and first.service is None else first.name
    return TrafficSource(name, first.service, standing, by_user, reasons, [row for row, _ in rows])


def first_seen(source: TrafficSource, observed: Observed) -> date:
    """The day on which mail of that kind from there was first reported, ever."""
    ips, facets = observed.first_ips, observed.first_facets
    return min(min(row.day, max(ips.get(row.ip, row.day), facets.get(row.facet, row.day))) for row in source.rows)


RECENT_DAYS = 14
COVERING_DAYS = 4
"""On so many days somebody has to report to be one of the reporters."""
SILENT_DAYS = 4
SMALL = 10
"""Sources of fewer messages are counted together."""
STEADY_DAYS = 4
STEADY_SPAN = 14
LISTED = 5
MAX_SOURCES = 200
"""Sources that are listed; behind them as many that come again and again. The smallest forgers are left out."""
MAX_SELECTORS = 50


def share_of_own(part: int, own: int) -> float:
    """Percent of own messages; where there are none, anything is all of it."""
    return round(100 * part / own, 3) if own else (100.0 if part else 0.0)


def day_of(begin: int, end: int) -> date:
    """The UTC day of the middle of a period."""
    return datetime.fromtimestamp((begin + end) // 2, UTC).date()


def messages_in(rows: Iterable[ObservedRow]) -> int:
    """Their sum."""
    return sum(row.messages for row in rows)


class ReportWindow(Struct, frozen=True, dict=True):
    """The trusted rows of a window about one domain, as sources."""

    observed: Observed
    sources: tuple[TrafficSource, ...]
    catalogue: Mapping[str, Reporter] = field(default_factory=dict)

    @cached_property
    def rows(self) -> tuple[ObservedRow, ...]:
        """All of them."""
        return tuple(row for source in self.sources for row in source.rows)

    @cached_property
    def own(self) -> tuple[ObservedRow, ...]:
        """Those of the domain's own sources."""
        return self.of(*(each for each in SourceStanding if each.ours))

    @cached_property
    def own_messages(self) -> int:
        """Messages of the domain's own sources."""
        return messages_in(self.own)

    @cached_property
    def recent(self) -> date:
        """The first of the last 14 days."""
        return self.observed.end - timedelta(days=RECENT_DAYS - 1)

    def of(self, *standings: SourceStanding) -> tuple[ObservedRow, ...]:
        """The rows of sources of these standings that the policy of the domain concerns."""
        return tuple(
            row for source in self.sources if source.standing in standings and not source.apart for row in source.rows
        )

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
            untrusted_messages=messages_in(row for row in observed.rows if not row.trusted),
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
        own, rows = self.own, self.rows
        unclaimed_rows = self.of(SourceStanding.UNCLAIMED, SourceStanding.SERVICE_MIXED)
        forwarded = messages_in(self.of(SourceStanding.FORWARDER))
        altered = messages_in(self.of(SourceStanding.ALTERED))
        unclaimed = messages_in(unclaimed_rows)
        forged = messages_in(self.of(SourceStanding.FORGED))
        ours = self.own_messages + altered + forwarded
        lost = messages_in(row for row in (*own, *unclaimed_rows) if not row.facet.aligned)
        small = [each for each in self.sources if _is_small(each)]
        few = messages_in(row for each in small for row in each.rows if not row.facet.aligned)
        open_ = [each for each in self.sources if not each.apart and (each.standing.ours or each.standing.asks)]
        apart = [row for each in self.sources if each.apart for row in each.rows]
        enforced = [row for row in own if _enforced(row)]
        return MessageSums(
            messages=messages_in(rows),
            aligned=messages_in(row for row in rows if row.facet.aligned),
            dkim_aligned=messages_in(row for row in rows if row.facet.aligned_dkim),
            spf_aligned=messages_in(row for row in rows if row.facet.aligned_spf),
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
            apart=messages_in(apart),
            apart_failing=messages_in(row for row in apart if not row.facet.aligned),
            enforced_own=messages_in(enforced),
            enforced_own_recent=messages_in(row for row in enforced if row.day >= self.recent),
            evidence=cite(*cited),
        )

    def of_own(self, *cited: str) -> OwnMessages:
        """What passes of the domain's own messages."""
        own, total = self.own, self.own_messages
        aligned = messages_in(row for row in own if row.facet.aligned)
        by_dkim = messages_in(row for row in own if row.facet.aligned_dkim)
        spf_only = messages_in(row for row in own if row.facet.aligned_spf and not row.facet.aligned_dkim)
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
        sources = [each for each in self.sources if not each.apart and (each.standing.ours or each.standing.asks)]
        first = since or self.observed.begin
        days = [(each, [row for row in each.rows if row.day >= first]) for each in sources]
        hit = {
            each.key: [row for row in rows if not row.facet.aligned]
            for each, rows in days
            if in_force and each.standing is not SourceStanding.OWN
        }
        hit = {key: rows for key, rows in hit.items() if any(row.day >= self.recent for row in rows)}
        ours = {each.key for each in sources if each.standing.ours}
        lost = [row for rows in hit.values() for row in rows]
        every = messages_in(row for _, rows in days for row in rows)
        return PolicyHits(
            hit=messages_in(lost),
            hit_own=messages_in(row for key, rows in hit.items() if key in ours for row in rows),
            hit_of=every,
            hit_percent=share_of_own(messages_in(lost), every),
            hit_since=min((row.day for row in lost), default=first).isoformat(),
            evidence=cite(*cited),
        )

    def undecided(self, lost: Mapping[str, Unknown], *cited: str) -> Undecided:
        """What does not pass, from addresses whose reverse name could not be looked up: it may be ours."""
        rows = [
            row
            for source in self.sources
            if not source.standing.ours and not source.by_user
            for row in source.rows
            if row.ip in lost and not row.facet.aligned
        ]
        return Undecided(
            undecided=messages_in(rows),
            undecided_percent=share_of_own(messages_in(rows), self.own_messages),
            evidence=cite(*cited),
        )

    def listed(self, names: Mapping[str, tuple[str, ...]]) -> tuple[Source, ...]:
        """The sources, each with all that rules compare."""
        rest = (each for each in self.sources[MAX_SOURCES:] if _steady(each.rows))
        return tuple(self._item(each, names) for each in (*self.sources[:MAX_SOURCES], *islice(rest, MAX_SOURCES)))

    def _item(self, source: TrafficSource, names: Mapping[str, tuple[str, ...]]) -> Source:
        rows, end = source.rows, self.observed.end
        messages, aligned = source.messages, source.aligned
        addresses = source.by_address
        largest = messages if source.standing is SourceStanding.FORGED else max(addresses.values())
        recent = [row for row in rows if row.day >= self.recent]
        failing = [row.day for row in rows if not row.facet.aligned]
        first = first_seen(source, self.observed)
        examples = tuple(ip for ip, _ in addresses.most_common(LISTED))
        ptr = dict.fromkeys(name for ip in addresses for name in names.get(ip, ())[:1])
        signatures = [each for row in rows for each in row.facet.dkim if each.result == "pass"]
        selectors = dict.fromkeys(each.selector for each in signatures if each.selector)
        returns = Counter[str]()
        for row in rows:
            if name := row.facet.spf_domain or row.facet.envelope_from:
                returns[name] += row.messages
        return Source(
            key=source.key,
            name=source.name,
            service=source.service.id if source.service else None,
            standing=source.standing.value,
            standing_by=tuple(source.reasons),
            messages=messages,
            aligned=aligned,
            unaligned=messages - aligned,
            dkim_aligned=messages_in(row for row in rows if row.facet.aligned_dkim),
            spf_aligned=messages_in(row for row in rows if row.facet.aligned_spf),
            aligned_percent=percent(aligned, messages) or 0.0,
            aligned_low=at_least_percent(aligned, messages) or 0.0,
            recent_messages=messages_in(recent),
            recent_aligned_percent=percent(messages_in(r for r in recent if r.facet.aligned), messages_in(recent)),
            own_percent=share_of_own(messages, self.own_messages),
            addresses=len(addresses),
            largest_address=largest,
            largest_percent=share_of_own(largest, self.own_messages),
            examples=examples,
            ptr=tuple(ptr)[:LISTED],
            selectors=tuple(selectors)[:LISTED],
            return_domains=tuple(name for name, _ in returns.most_common(LISTED)),
            receivers=tuple(dict.fromkeys(row.reporter for row in rows)),
            first_seen=first.isoformat(),
            last_seen=max(row.day for row in rows).isoformat(),
            last_unaligned=max(failing).isoformat() if failing else None,
            days=len({row.day for row in rows}),
            age_days=(end - first).days + 1,
            new=first >= self.observed.begin and first != self.observed.first_report,
            steady=_steady(rows),
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
        own, aligned = _by_day(self.own), _by_day(row for row in self.own if row.facet.aligned)
        altered = _by_day(self.of(SourceStanding.ALTERED))
        unclaimed = _by_day(self.of(SourceStanding.UNCLAIMED, SourceStanding.SERVICE_MIXED))
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

    def volume(self, *cited: str) -> Volume:
        """How own messages of the last day compare with the 28 days before."""
        own = _by_day(self.own)
        before = [own[day] for day in self.days[-29:-1]]
        last, most = own[self.observed.end], max(before, default=0)
        return Volume(
            median=int(median(before)) if before else 0,
            maximum=most,
            last_day=last,
            jump=round(last / most, 3) if most else None,
            evidence=cite(*cited),
        )

    def selectors(self, home: str, published: Mapping[tuple[str, str], Maybe[bool]]) -> tuple[SeenSelector, ...]:
        """The domain's selectors that signed, and published ones that nothing signed with.

        Failures count at our own sources only: elsewhere mail is altered, or the signature is made up.
        """
        good, bad = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        last: dict[tuple[str, str], date] = {}
        for source in self.sources:
            for row in source.rows:
                for each in row.facet.dkim:
                    key = each.domain, each.selector
                    passes = each.result == "pass"
                    ours = is_within(each.domain, home)
                    if not ours or not each.selector or not (passes or source.standing.ours):
                        continue
                    (good if passes else bad)[key] += row.messages
                    last[key] = max(last.get(key, row.day), row.day)
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
            for row in source.rows:
                if row.facet.header_from != domain:
                    count = counts[row.facet.header_from]
                    count[0] += row.messages
                    count[1] += row.messages if source.standing.ours else 0
                    count[2] += row.messages if row.facet.aligned else 0
        found = [(name, all_, own, aligned) for name, (all_, own, aligned) in counts.items()]
        return sorted(found, key=lambda each: -each[1])


_TRUST = list(Trust)


def _enforced(row: ObservedRow) -> bool:
    """Whether a receiver quarantined or refused it because of the policy."""
    return (
        not row.facet.aligned
        and row.facet.disposition in ("quarantine", "reject")
        and "local_policy" not in row.facet.reason
    )


def _by_day(rows: Iterable[ObservedRow]) -> Counter[date]:
    found: Counter[date] = Counter()
    for row in rows:
        found[row.day] += row.messages
    return found


def _steady(rows: Sequence[ObservedRow]) -> bool:
    """Whether a source comes again and again: one address, the addresses of one network or those of one name."""
    days = {row.day for row in rows}
    return len(days) >= STEADY_DAYS and (max(days) - min(days)).days + 1 >= STEADY_SPAN


def _is_small(source: TrafficSource) -> bool:
    """Whether it is too small to be asked about by itself, and may be ours."""
    open_ = source.standing.ours or source.standing.asks
    return open_ and not source.apart and not source.by_user and source.messages < SMALL


def _match(source: TrafficSource, examples: tuple[str, ...], signs_as: str) -> tuple[str, ...]:
    """What a word of the user on this source would name."""
    if source.service is not None:
        return (f"service:{source.service.id}",)
    if any(char in source.name for char in "/:") or source.name in examples:
        few = len(source.by_address) <= len(examples)
        named = f"dkim:{signs_as}" if signs_as and source.standing is SourceStanding.UNCLAIMED else ""
        return (named,) if named else examples if few else (source.name,)
    return (f"ptr:{source.name}",)
