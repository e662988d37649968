"""What receivers reported about a domain in a window of days, from what is kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from deliverability.core.codec import decode
from deliverability.core.codes import Code, Detail
from deliverability.core.model.observed import (
    FailureReport,
    FeedbackKind,
    Observed,
    ObservedProblem,
    ObservedReport,
    ObservedRow,
    PolicySeen,
    SignatureSeen,
    TlsFailure,
    TlsPolicyResult,
    TlsReport,
    Trust,
    address_of,
)
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.replies.limits import utc_day
from deliverability.core.store.facets import in_portions, read_facets
from deliverability.core.store.folding import WEEK
from deliverability.core.store.reports import DAY, WITH_ROWS, Counted, StoredReport, as_date, counted, spread
from deliverability.core.store.store import History, twice
from deliverability.core.store.tables import obs_facets, obs_problems, obs_reports, obs_rows, obs_sums, obs_weeks
from deliverability.core.store.tables import obs_sums as sums
from deliverability.core.store.tables import obs_weeks as weeks

RELAY_DOMAINS = 5
_LONGEST = 9  # days of a report, and one for its ends
TRUSTED: Mapping[str, frozenset[Trust]] = {
    "verified": frozenset({Trust.VERIFIED}),
    "authenticated": frozenset({Trust.VERIFIED, Trust.AUTHENTICATED}),
    "any": frozenset(Trust) - {Trust.PARTIAL},
}
"""By the setting `trust`: which reports gates and verdicts may rest on."""

OVERLAP = Code("report-overlap", ("begin", "end"))


class _Counts(NamedTuple):
    """Which reports count: how far they have to be trusted, and under which names the reporters are kept."""

    trust: frozenset[Trust]
    reporters: frozenset[str]

    def takes(self, reporter: str, trust: Trust) -> bool:
        """Whether a report of that reporter and trust counts."""
        return trust in self.trust and reporter in self.reporters


_Rows = Counter[tuple[int, str, bool, bytes, int]]
"""Messages by day, reporter, trust, address and facet."""


@twice
def window(
    history: History,
    domain: str,
    days: int,
    trust: str,
    now: int,
    reporters: Mapping[str, Reporter],
) -> Observed:
    """The window of so many days that ends with the newest full day (UTC).

    Of what is trusted only the reports of `reporters` count: whoever owns a domain can send reports that pass DMARC.

    Args:
        history: it is only read.
        domain: an organizational domain, as A-label.
        days: its length.
        trust: which reports count, see `TRUSTED`.
        now: seconds since 1970.
        reporters: those that count; reports of one that calls itself by several names are told as its.

    Raises HistoryError.

    """
    last = now // DAY - 1
    first = last - days + 1
    trusted = TRUSTED[trust]
    with history.reading() as connection:
        reports = _reports(connection, domain, first, last)
        here = [each for each in reports[FeedbackKind.AGGREGATE] if each.is_mostly_in(first, last)]
        # What overlaps a report of the window may lie outside of it.
        found = counted(reports[FeedbackKind.AGGREGATE])
        taken = [each for each in found.reports if each.is_mostly_in(first, last)]
        every = connection.execute(select(obs_reports.c.reporter).union(select(weeks.c.reporter))).scalars()
        named = {name: each.id for name in every if (each := reporter_named(name, reporters)) is not None}
        counts = _Counts(trusted, frozenset(named))
        rows = _rows(connection, taken, first, last, counts)
        rows.update(_weeks(connection, domain, first, last, counts))
        facets = read_facets(connection, {row[4] for row in rows})
        first_ips, first_facets = _firsts(connection, domain, counts)
        heard = trusted | {Trust.FILE}
        newest = _newest(connection, domain, heard)
        return Observed(
            begin=as_date(first),
            end=as_date(last),
            rows=tuple(
                sorted(
                    ObservedRow(as_date(day), named.get(who, who), sure, address_of(ip), facets[facet], messages)
                    for (day, who, sure, ip, facet), messages in rows.items()
                )
            ),
            reports=tuple(
                _observed(each, counts, named)
                for each in sorted(taken, key=lambda each: (each.begin, each.end, each.key))
            ),
            duplicates=sum(each.copies - 1 for each in here)
            + sum(each.is_mostly_in(first, last) for each in found.doubles),
            problems=_problems(connection, domain, first, last, found),
            first_ips={address_of(ip): as_date(first_ips[ip]) for _, _, _, ip, _ in rows if ip in first_ips},
            first_facets={facets[each]: as_date(day) for each, day in first_facets.items() if each in facets},
            first_report=_first_report(connection, domain, _Counts(heard, counts.reporters)),
            last_reports=_last_reports(newest, named),
            tls=tuple(_tls_report(each) for each in _sure(reports[FeedbackKind.TLS], first, last, trusted)),
            relays=frozenset(map(address_of, _relays(connection, {row[3] for row in rows}, first, counts))),
            failures=_failures(_sure(reports[FeedbackKind.FAILURE], first, last, trusted)),
        )


@twice
def reported_domains(history: History) -> frozenset[str]:
    """The organizational domains that there are reports of. Raises HistoryError."""
    table = obs_reports
    with history.reading() as connection:
        return frozenset(connection.execute(select(table.c.domain).distinct()).scalars())


def _reports(connection: Connection, domain: str, first: int, last: int) -> Mapping[FeedbackKind, list[StoredReport]]:
    table = obs_reports
    wanted = select(table).where(table.c.domain == domain, table.c.day.between(first - _LONGEST, last + _LONGEST))
    found: dict[FeedbackKind, list[StoredReport]] = defaultdict(list)
    for row in connection.execute(wanted.order_by(table.c.begin, table.c.end, table.c.key)):
        report = StoredReport.of(row)
        found[report.kind].append(report)
    return found


def _sure(reports: Iterable[StoredReport], first: int, last: int, trusted: frozenset[Trust]) -> list[StoredReport]:
    return [each for each in counted(reports).reports if each.trust in trusted and each.is_mostly_in(first, last)]


def _rows(connection: Connection, reports: Iterable[StoredReport], first: int, last: int, counts: _Counts) -> _Rows:
    """The rows of reports that have them, spread over their days in the window."""
    table = obs_rows
    by_id = {each.id: each for each in reports if each.folded == WITH_ROWS}
    found: _Rows = Counter()
    for some in in_portions(list(by_id)):
        wanted = select(table.c.report, table.c.ip, table.c.facet, func.sum(table.c.messages))
        wanted = wanted.where(table.c.report.in_(some)).group_by(table.c.report, table.c.ip, table.c.facet)
        for ident, ip, facet, messages in connection.execute(wanted):
            report = by_id[ident]
            days = range(max(report.days.start, first), min(report.days.stop, last + 1))
            for day, share in spread(messages, days):
                found[day, report.reporter, counts.takes(report.reporter, report.trust), bytes(ip), facet] += share
    return found


def _weeks(connection: Connection, domain: str, first: int, last: int, counts: _Counts) -> _Rows:
    """The sums of weeks of which more than half lies in the window."""
    half = WEEK // 2
    wanted = select(weeks.c.week, weeks.c.reporter, weeks.c.trust, sums.c.ip, sums.c.facet, sums.c.messages)
    wanted = wanted.join_from(weeks, sums, sums.c.week == weeks.c.id)
    wanted = wanted.where(weeks.c.domain == domain, weeks.c.week.between(first - half, last - half))
    found: _Rows = Counter()
    for week, reporter, trust, ip, facet, messages in connection.execute(wanted):
        for day, share in spread(messages, range(max(week, first), min(week + WEEK, last + 1))):
            found[day, reporter, counts.takes(reporter, Trust(trust)), bytes(ip), facet] += share
    return found


def _firsts(connection: Connection, domain: str, counts: _Counts) -> tuple[Mapping[bytes, int], Mapping[int, int]]:
    """Since when each address and each facet is reported; by reports that do not count only where no other tells."""
    of_domain = (obs_reports.c.domain == domain) & (obs_reports.c.kind == FeedbackKind.AGGREGATE.value)
    join = obs_rows.join(obs_reports, obs_reports.c.id == obs_rows.c.report)

    def of_rows(column: ColumnElement[Any]) -> Select[Any]:
        by = column, obs_reports.c.trust, obs_reports.c.reporter
        return select(*by, func.min(obs_reports.c.day)).select_from(join).where(of_domain).group_by(*by)

    def of_weeks(column: ColumnElement[Any]) -> Select[Any]:
        by = column, obs_weeks.c.trust, obs_weeks.c.reporter
        wanted = select(*by, func.min(obs_weeks.c.week))
        wanted = wanted.join_from(obs_weeks, obs_sums, obs_sums.c.week == obs_weeks.c.id)
        return wanted.where(obs_weeks.c.domain == domain).group_by(*by)

    found = []
    for name in ("ip", "facet"):
        statements = of_rows(obs_rows.c[name]), of_weeks(obs_sums.c[name])
        days: tuple[dict[Any, int], dict[Any, int]] = ({}, {})
        for statement in statements:
            for what, trust, reporter, day in connection.execute(statement):
                into = days[counts.takes(reporter, Trust(trust))]
                into[what] = min(day, into.get(what, day))
        found.append(days[0] | days[1])
    return found[0], found[1]


def _newest(connection: Connection, domain: str, heard: frozenset[Trust]) -> Mapping[str, date]:
    table = obs_reports
    wanted = select(table.c.reporter, func.max(table.c.day)).where(*_heard(domain, heard)).group_by(table.c.reporter)
    return {reporter: as_date(day) for reporter, day in connection.execute(wanted)}


def _first_report(connection: Connection, domain: str, heard: _Counts) -> date | None:
    """The day of the oldest report that counts; of the oldest one at all where none does."""
    table = obs_reports
    wanted = select(table.c.reporter, func.min(table.c.day)).where(*_heard(domain, heard.trust))
    days: dict[str, int] = dict(map(tuple, connection.execute(wanted.group_by(table.c.reporter))))
    listed = [day for name, day in days.items() if name in heard.reporters]
    day = min(listed or days.values(), default=None)
    return None if day is None else as_date(day)


def _heard(domain: str, heard: frozenset[Trust]) -> tuple[Any, ...]:
    table = obs_reports
    names = [each.value for each in heard]
    return table.c.domain == domain, table.c.kind == FeedbackKind.AGGREGATE.value, table.c.trust.in_(names)


def _problems(
    connection: Connection, domain: str, first: int, last: int, found: Counted
) -> tuple[ObservedProblem, ...]:
    """What could not be used: told at intake, of the domain or of nobody that is known; and reports that overlap."""
    table = obs_problems
    wanted = select(table.c.detail, table.c.reporter, func.count()).where(
        table.c.domain.in_((domain, "")), table.c.day.between(first, last + 1)
    )
    counts: Counter[tuple[Detail, str]] = Counter()
    for text, reporter, number in connection.execute(wanted.group_by(table.c.detail, table.c.reporter)):
        detail = decode(json.loads(text))
        if isinstance(detail, Detail):
            counts[detail, reporter] += number
    for each in found.overlapping:
        if each.is_mostly_in(first, last):
            counts[OVERLAP(begin=utc_day(each.begin), end=utc_day(each.end)), each.reporter] += 1
    return tuple(ObservedProblem(*what, number) for what, number in sorted(counts.items(), key=str))


def _last_reports(days: Mapping[str, date], named: Mapping[str, str]) -> Mapping[str, date]:
    found: dict[str, date] = {}
    for name, day in days.items():
        ident = named.get(name, name)
        found[ident] = max(day, found.get(ident, day))
    return found


def _relays(connection: Connection, ips: Collection[bytes], first: int, counts: _Counts) -> Collection[bytes]:
    """Of these addresses those that bring aligned DKIM mail of many organizational domains since that day."""
    domains = func.count(obs_reports.c.domain.distinct())
    recent = (
        obs_reports.c.kind == FeedbackKind.AGGREGATE.value,
        obs_reports.c.day >= first,
        obs_reports.c.trust.in_([each.value for each in counts.trust]),
        obs_reports.c.reporter.in_(counts.reporters),
    )
    if connection.execute(select(domains).where(*recent)).scalar_one() < RELAY_DOMAINS:
        return ()
    wanted = select(obs_rows.c.ip).join_from(obs_rows, obs_reports, obs_reports.c.id == obs_rows.c.report)
    wanted = wanted.join(obs_facets, obs_facets.c.id == obs_rows.c.facet).where(*recent, obs_facets.c.aligned_dkim == 1)
    wanted = wanted.group_by(obs_rows.c.ip).having(domains >= RELAY_DOMAINS)
    return [bytes(ip) for ip in connection.execute(wanted).scalars() if bytes(ip) in ips]


def _observed(report: StoredReport, counts: _Counts, named: Mapping[str, str]) -> ObservedReport:
    policy = PolicySeen(**json.loads(report.data))
    return ObservedReport(
        named.get(report.reporter, report.reporter),
        report.name,
        report.begin,
        report.end,
        report.trust,
        report.messages,
        policy,
        trusted=counts.takes(report.reporter, report.trust),
        domain=report.policy_domain,
        listed=report.reporter in counts.reporters,
    )


def _tls_report(report: StoredReport) -> TlsReport:
    policies = tuple(
        TlsPolicyResult(domain, kind, succeeded, failed, tuple(TlsFailure(*each) for each in kinds))
        for domain, kind, succeeded, failed, kinds in json.loads(report.data)
    )
    return TlsReport(report.name, report.report_id, report.begin, report.end, policies)


def _failures(reports: Iterable[StoredReport]) -> tuple[tuple[FailureReport, int], ...]:
    """Failure reports without their times; how many are alike."""

    def read(report: StoredReport) -> FailureReport:
        data = json.loads(report.data)
        signature = SignatureSeen(data["signature"][0], data["signature"][1], "") if data["signature"] else None
        ip = bytes.fromhex(data["ip"])
        return FailureReport(report.reporter, report.policy_domain, ip, signature, data["failed"], None)

    return tuple(Counter(map(read, reports)).most_common())
