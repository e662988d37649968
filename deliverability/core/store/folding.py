"""What becomes of observations with time: rows of long ago become sums of weeks, and the oldest are forgotten."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from deliverability.core.model.observed import FeedbackKind
from deliverability.core.store import tables
from deliverability.core.store.deliveries import forget_deliveries
from deliverability.core.store.facets import LABELLED, in_portions, next_id
from deliverability.core.store.reports import DAY, LEFT_OUT, SUMMED, WITH_ROWS, StoredReport, counted
from deliverability.core.store.tables import obs_reports, obs_rows
from deliverability.core.store.tables import obs_rows as rows
from deliverability.core.store.tables import obs_sums as sums
from deliverability.core.store.tables import obs_weeks as weeks

FOLD_DAYS = 90
WEEK = 7
_MONDAY = 4  # 1970-01-05


def week_of(day: int) -> int:
    """The Monday of a day's week, both in days since 1970-01-01."""
    return day - (day - _MONDAY) % WEEK


def fold(connection: Connection, today: int) -> None:
    """Let the rows of reports that are older than 90 days become sums of weeks."""
    table = obs_reports
    old = (table.c.kind == FeedbackKind.AGGREGATE.value) & (table.c.day < week_of(today - FOLD_DAYS))
    waiting = select(table.c.domain).distinct().where(old, table.c.folded == WITH_ROWS)
    for domain in connection.execute(waiting).scalars().all():
        rows = connection.execute(select(table).where(old, table.c.domain == domain, table.c.folded != LEFT_OUT))
        found = counted(map(StoredReport.of, rows.all()))
        for each in found.reports:
            if each.folded == WITH_ROWS:
                add(connection, each, each.id, 1)
        for state, reports in ((SUMMED, found.reports), (LEFT_OUT, (*found.doubles, *found.overlapping))):
            for some in in_portions([each.id for each in reports if each.folded == WITH_ROWS]):
                connection.execute(update(table).where(table.c.id.in_(some)).values(folded=state))
                connection.execute(obs_rows.delete().where(obs_rows.c.report.in_(some)))


def add(connection: Connection, report: StoredReport, rows_of: int, sign: int) -> None:
    """Add rows (those of the report of that id) to the week of a report, or take them out of it (`sign` -1)."""
    place = {
        "domain": report.domain,
        "week": week_of(report.day),
        "reporter": report.reporter,
        "trust": report.trust.value,
    }
    week = connection.execute(
        select(weeks.c.id).where(*(weeks.c[name] == each for name, each in place.items()))
    ).scalar()
    if week is None:
        week = next_id(connection, weeks.c.id)
        connection.execute(insert(weeks).values(id=week, **place))
    summed = select(literal(week), rows.c.ip, rows.c.facet, sign * func.sum(rows.c.messages))
    summed = summed.where(rows.c.report == rows_of).group_by(rows.c.ip, rows.c.facet)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    into = dialect.insert(sums).from_select(["week", "ip", "facet", "messages"], summed)
    both = {"messages": sums.c.messages + into.excluded.messages}
    connection.execute(into.on_conflict_do_update(index_elements=["week", "ip", "facet"], set_=both))
    if sign < 0:
        connection.execute(sums.delete().where(sums.c.week == week, sums.c.messages <= 0))


def forget(connection: Connection, before: int) -> int:
    """Delete what was reported of days before that one; gives how many reports went."""
    run = connection.execute
    reports, rows = tables.obs_reports, tables.obs_rows
    going = run(select(reports.c.id).where(reports.c.end < before * DAY)).scalars().all()
    for some in in_portions(going):
        run(delete(rows).where(rows.c.report.in_(some)))
        run(delete(reports).where(reports.c.id.in_(some)))
    weeks, sums = tables.obs_weeks, tables.obs_sums
    past = run(select(weeks.c.id).where(weeks.c.week + WEEK <= before)).scalars().all()
    for some in in_portions(past):
        run(delete(sums).where(sums.c.week.in_(some)))
        run(delete(weeks).where(weeks.c.id.in_(some)))
    forget_deliveries(connection, before)
    run(delete(tables.obs_problems).where(tables.obs_problems.c.day < before))
    run(delete(tables.obs_items).where(tables.obs_items.c.day < before))
    intakes = tables.obs_intakes
    run(delete(intakes).where(intakes.c.started < before * DAY, intakes.c.finished > 0))
    if going or past:
        facets, labels = tables.obs_facets, tables.obs_labels
        used = select(rows.c.facet).union(select(sums.c.facet))
        run(delete(facets).where(facets.c.id.not_in(used)))
        named = [select(facets.c[each]) for each in LABELLED]
        run(delete(labels).where(labels.c.id.not_in(named[0].union(*named[1:]))))
    return len(going)
