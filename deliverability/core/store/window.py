"""What receivers reported about a domain in a window of days, from what is kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from deliverability.core.codec import decode
from deliverability.core.codes import Code, Detail
from deliverability.core.model.observed import (
    CountedRow,
    Facet,
    FailureReport,
    FeedbackKind,
    FirstSeen,
    Observed,
    ObservedProblem,
    ObservedReport,
    PolicySeen,
    Rows,
    SignatureSeen,
    TlsFailure,
    TlsPolicyResult,
    TlsReport,
    Trust,
    address_of,
)
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.replies.limits import utc_day
from deliverability.core.store.facets import read_facets
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
        rows = Rows.counted(
            _rows(connection, domain, taken, first, last, counts, named),
            _since(_firsts(connection, domain, "ip", first, counts)),
            partial(_facets, connection),
        )
        heard = trusted | {Trust.FILE}
        newest = _newest(connection, domain, heard)
        return Observed(
            begin=as_date(first),
            end=as_date(last),
            rows=rows,
            reports=tuple(
                _observed(each, counts, named)
                for each in sorted(taken, key=lambda each: (each.begin, each.end, each.key))
            ),
            duplicates=sum(each.copies - 1 for each in here)
            + sum(each.is_mostly_in(first, last) for each in found.doubles),
            problems=_problems(connection, domain, first, last, found),
            first_facets=_first_facets(connection, domain, first, counts, rows),
            first_report=_first_report(connection, domain, _Counts(heard, counts.reporters)),
            last_reports=_last_reports(newest, named),
            tls=tuple(_tls_report(each) for each in _sure(reports[FeedbackKind.TLS], first, last, trusted)),
            relays=frozenset(map(address_of, _relays(connection, first, counts))),
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


def _rows(
    connection: Connection,
    domain: str,
    reports: Iterable[StoredReport],
    first: int,
    last: int,
    counts: _Counts,
    named: Mapping[str, str],
) -> Iterator[CountedRow]:
    """The rows by address, spread over their days in the window, those that are summed up by weeks too.

    They are read one after the other: a large domain has millions.
    """
    by_id = {each.id: each for each in reports if each.folded == WITH_ROWS}
    half = WEEK // 2
    of_reports = select(obs_rows.c.ip, obs_rows.c.facet, func.sum(obs_rows.c.messages), obs_rows.c.report)
    of_reports = of_reports.group_by(func.length(obs_rows.c.ip), obs_rows.c.ip, obs_rows.c.facet, obs_rows.c.report)
    of_reports = of_reports.join_from(obs_rows, obs_reports, obs_reports.c.id == obs_rows.c.report).where(
        obs_reports.c.domain == domain,
        obs_reports.c.kind == FeedbackKind.AGGREGATE.value,
        obs_reports.c.day.between(first - _LONGEST, last + _LONGEST),
    )
    of_weeks = select(sums.c.ip, sums.c.facet, sums.c.messages, weeks.c.week, weeks.c.reporter, weeks.c.trust)
    of_weeks = of_weeks.join_from(weeks, sums, sums.c.week == weeks.c.id)
    of_weeks = of_weeks.where(weeks.c.domain == domain, weeks.c.week.between(first - half, last - half))
    origins = {
        each.id: (
            range(max(each.days.start, first), min(each.days.stop, last + 1)),
            named.get(each.reporter, each.reporter),
            counts.takes(each.reporter, each.trust),
        )
        for each in by_id.values()
    }

    def kept() -> Iterator[tuple[bytes, int, int, tuple[range, str, bool]]]:
        for ip, facet, messages, report in _by_address(connection, of_reports, obs_rows.c.ip, obs_rows.c.facet):
            if report in origins:
                yield ip, facet, messages, origins[report]

    def summed() -> Iterator[tuple[bytes, int, int, tuple[range, str, bool]]]:
        for ip, facet, messages, week, reporter, trust in _by_address(connection, of_weeks, sums.c.ip):
            days = range(max(week, first), min(week + WEEK, last + 1))
            yield ip, facet, messages, (days, named.get(reporter, reporter), counts.takes(reporter, Trust(trust)))

    for ip, facet, messages, (days, reporter, sure) in merge(kept(), summed(), key=_address_order):
        for day, share in spread(messages, days):
            yield bytes(ip), day + _EPOCH, reporter, sure, facet, share


_EPOCH = as_date(0).toordinal()


def _by_address(
    connection: Connection, wanted: Select[Any], ip: ColumnElement[Any], *by: ColumnElement[Any]
) -> Iterable[Any]:
    """The rows in the order of addresses, those of IPv4 first, one after the other."""
    return connection.execute(wanted.order_by(func.length(ip), ip, *by).execution_options(stream_results=True))


def _address_order(row: Any) -> tuple[int, bytes]:
    return len(row[0]), bytes(row[0])


def _facets(connection: Connection, keys: Sequence[int]) -> list[Facet]:
    found = read_facets(connection, set(keys))
    return [found[key] for key in keys]


_First = tuple[Any, int | None, int | None]
"""An address or a facet, and since when it is reported: by reports that count, by others."""


def _firsts(connection: Connection, domain: str, name: str, first: int, counts: _Counts) -> Iterator[_First]:
    """Since when each address (``ip``) or facet is reported, of what was reported before the window; in order."""
    of_domain = (obs_reports.c.domain == domain) & (obs_reports.c.kind == FeedbackKind.AGGREGATE.value)
    ip, summed = obs_rows.c[name], obs_sums.c[name]

    def by(column: ColumnElement[Any], *more: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        return [*([func.length(column)] if name == "ip" else []), column, *more]

    of_rows = select(ip, obs_reports.c.trust, obs_reports.c.reporter, func.min(obs_reports.c.day))
    of_rows = of_rows.select_from(obs_rows.join(obs_reports, obs_reports.c.id == obs_rows.c.report))
    grouped = by(ip, obs_reports.c.trust, obs_reports.c.reporter)
    of_rows = of_rows.where(of_domain, obs_reports.c.day < first).group_by(*grouped).order_by(*grouped)
    of_weeks = select(summed, obs_weeks.c.trust, obs_weeks.c.reporter, func.min(obs_weeks.c.week))
    of_weeks = of_weeks.join_from(obs_weeks, obs_sums, obs_sums.c.week == obs_weeks.c.id)
    grouped = by(summed, obs_weeks.c.trust, obs_weeks.c.reporter)
    of_weeks = of_weeks.where(obs_weeks.c.domain == domain, obs_weeks.c.week < first)
    of_weeks = of_weeks.group_by(*grouped).order_by(*grouped)
    streams = (connection.execute(each.execution_options(stream_results=True)) for each in (of_rows, of_weeks))
    order = _address_order if name == "ip" else itemgetter(0)
    for key, each in groupby(merge(*streams, key=order), key=itemgetter(0)):
        days: tuple[list[int], list[int]] = ([], [])
        for _, trust, reporter, day in each:
            days[counts.takes(reporter, Trust(trust))].append(day + _EPOCH)
        yield key, min(days[True], default=None), min(days[False], default=None)


def _since(firsts: Iterator[_First]) -> FirstSeen:
    """What is asked for one address after the other, in their order."""
    held: list[_First] = []

    def since(address: bytes) -> tuple[int | None, int | None]:
        wanted = len(address), address
        while not held or _address_order(held[0]) < wanted:
            held[:] = [next(firsts, (b"\xff" * 17, None, None))]
        return held[0][1:] if bytes(held[0][0]) == address else (None, None)

    return since


def _first_facets(connection: Connection, domain: str, first: int, counts: _Counts, rows: Rows) -> Mapping[Facet, date]:
    """Since when each facet of the rows is reported; by reports that do not count only where no other tells."""
    sure: dict[Facet, int] = {}
    others: dict[Facet, int] = {}
    trusted = [each for _, each in rows.reporters]
    seen: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for day, who, number in zip(rows.day, rows.reporter, rows.facet, strict=True):
        into = seen[trusted[who]]
        if day < into.get(number, day + 1):
            into[number] = day
    before = {key: (ever, maybe) for key, ever, maybe in _firsts(connection, domain, "facet", first, counts)}
    known = {each: before[key] for key, each in read_facets(connection, before).items()}
    for number, facet in enumerate(rows.facets):
        for days, here, old in zip((others, sure), seen, known.get(facet, (None, None))[::-1], strict=True):
            told = [each for each in (here.get(number), old) if each is not None]
            if told:
                days[facet] = min(told)
    return {facet: date.fromordinal(day) for facet, day in (others | sure).items()}


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


def _relays(connection: Connection, first: int, counts: _Counts) -> Collection[bytes]:
    """The addresses that bring aligned DKIM mail of many organizational domains since that day."""
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
    return [bytes(ip) for ip in connection.execute(wanted).scalars()]


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
