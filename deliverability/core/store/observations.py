"""Keeps what receivers report: each report once, whoever sends it again, and its rows in bulk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, delete, insert, select, text, update

from deliverability.core.codec import encode
from deliverability.core.codes import Detail
from deliverability.core.model.deliveries import DeliveryEvent, PublishedValue
from deliverability.core.model.observed import (
    AggregateReport,
    AggregateRow,
    FailureReport,
    FeedbackKind,
    PolicySeen,
    TlsPolicyResult,
    TlsReport,
    Trust,
)
from deliverability.core.store import folding
from deliverability.core.store.deliveries import CountedEvents, DeliverySums
from deliverability.core.store.facets import Facets, in_portions, next_id
from deliverability.core.store.reports import DAY, REPORT_COLUMNS, SUMMED, StoredReport, key_of, twin_of
from deliverability.core.store.store import History
from deliverability.core.store.tables import obs_intakes, obs_items, obs_marks, obs_owed, obs_problems, obs_reports
from deliverability.core.store.tables import obs_marks as marks
from deliverability.core.store.tables import obs_owed as owed

_BUFFERED = 4_000  # rows that wait in memory to be written
_LARGE = 200_000  # rows of a transaction
_MOST_FAILURES = 100  # kinds of a TLS policy
_LOCK_KEY = 0x6F6273  # of PostgreSQL: the octets of "obs"


class Taken(StrEnum):
    """What became of a report.

    NEW: it is counted. RAISED: it was known, and is trusted further now. DUPLICATE: it was known. CONFLICTING: another
    report of that name says something else; that one stays. DOUBLE: the same rows under another name; counted once.
    OLD: older than what is kept.
    """

    NEW = "new"
    RAISED = "raised"
    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    DOUBLE = "double"
    OLD = "old"


class ItemState(IntEnum):
    """What a file or mail was found to be.

    UNSETTLED: reports; who sent them could not be verified, so that it is to be read once more. TAKEN: reports.
    NO_REPORT: nothing of ours. UNUSED: reports that cannot be used.
    """

    UNSETTLED = 0
    TAKEN = 1
    NO_REPORT = 2
    UNUSED = 3


class IntakeCount(Struct):
    """How many items an intake read, how many reports of them were new and how many known."""

    items: int = 0
    new: int = 0
    duplicates: int = 0


class OwedMail(Struct, frozen=True):
    """A mail that was read and is not done with: what is still to be done, and the day since when."""

    uid: int
    what: str
    day: int


class ReportRows(Struct):
    """Takes the rows of one report; beyond some thousands they go to the database at once."""

    batch: Batch
    report: int
    written: int = 0
    held: list[AggregateRow] = field(default_factory=list)

    def take(self, rows: Sequence[AggregateRow]) -> None:
        """The next rows, in their order."""
        self.held.extend(rows)
        if len(self.held) >= _BUFFERED:
            self.write()

    def restart(self) -> None:
        """Forget the rows so far."""
        self.held.clear()
        if self.written:
            self.batch.drop_rows(self.report)
            self.written = 0

    def write(self) -> None:
        """Hand over what is held."""
        self.batch.add_rows(self.report, self.written, self.held)
        self.written += len(self.held)
        self.held = []


class Observations:
    """What receivers reported, in an open history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._facets = Facets()

    @contextlib.contextmanager
    def batch(self, intake: int, now: int, keep_days: int) -> Iterator[Batch]:
        """A transaction that takes some items: all of them or, where the process dies, none. Raises HistoryError."""
        key = self._history.key
        with self._history.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            try:
                batch = Batch(connection, self._facets, intake, now, keep_days, key)
                yield batch
                batch.flush()
            except BaseException:
                self._facets.forget()  # what was new among them is not in the database
                raise

    def begin(self, now: int) -> int:
        """The number of a new intake. Raises HistoryError."""
        with self._history.writing() as connection:
            number = next_id(connection, obs_intakes.c.id)
            row = {"id": number, "started": now, "finished": 0, "items": 0, "new": 0, "duplicates": 0}
            connection.execute(insert(obs_intakes).values(row))
        return number

    def finish(self, intake: int, now: int, keep_days: int) -> None:
        """End an intake: old rows become weeks, and what is older than `keep_days` goes. Raises HistoryError."""
        today = now // DAY
        with self._history.writing() as connection:
            folding.fold(connection, today)
            folding.forget(connection, today - keep_days)
            this = obs_intakes.c.id == intake
            connection.execute(update(obs_intakes).where(this).values(finished=now))
        self._facets.forget()

    def forget(self, before: int) -> int:
        """Delete all that was reported of days before that one (counted from 1970-01-01); gives how many reports went.

        Raises HistoryError.
        """
        with self._history.writing() as connection:
            gone = folding.forget(connection, before)
        self._facets.forget()
        return gone

    def mark(self, mailbox: str, uidvalidity: int) -> int:
        """Up to which UID a mailbox was read; 0: never, or it was made anew. Raises HistoryError."""
        with self._history.reading() as connection:
            wanted = select(marks.c.uid).where(marks.c.mailbox == mailbox, marks.c.uidvalidity == uidvalidity)
            return int(connection.execute(wanted).scalar() or 0)

    def owed(self, mailbox: str, uidvalidity: int) -> tuple[OwedMail, ...]:
        """Mails of a mailbox that are not done with, by UID. Raises HistoryError."""
        wanted = select(owed.c.uid, owed.c.what, owed.c.day).order_by(owed.c.uid)
        wanted = wanted.where(owed.c.mailbox == mailbox, owed.c.uidvalidity == uidvalidity)
        with self._history.reading() as connection:
            return tuple(OwedMail(*row) for row in connection.execute(wanted))

    def settle(self, mailbox: str, uids: Sequence[int]) -> None:
        """What was owed to these mails is done. Raises HistoryError."""
        with self._history.writing() as connection:
            for some in in_portions(uids):
                connection.execute(delete(owed).where(owed.c.mailbox == mailbox, owed.c.uid.in_(some)))


class Batch:
    """Items that become part of the store together."""

    def __init__(
        self, connection: Connection, facets: Facets, intake: int, now: int, keep_days: int, key: bytes
    ) -> None:
        self._connection = connection
        self._cursor: Any = connection.connection.cursor()
        self._facets = facets
        self._intake = intake
        self._today = now // DAY
        self._oldest = self._today - keep_days
        self._next_report = next_id(connection, obs_reports.c.id)
        self._next_problem = next_id(connection, obs_problems.c.id)
        self._rows: list[tuple[int, int, AggregateRow]] = []  # report, number in it, row
        self._reports: dict[bytes, StoredReport] = {}  # by key, not yet written
        self._many = 0  # rows written
        self._twins: set[bytes] = set()
        self._changed: set[int] = set()  # reports that may be in the table as they were
        self._items: dict[bytes, ItemState] = {}
        self._known: dict[bytes, ItemState] = {}
        self._problems: dict[tuple[str, ...], dict[str, Any]] = {}
        self._sums = DeliverySums(connection, self._today, self._oldest, key)
        self.count = IntakeCount()

    @property
    def is_large(self) -> bool:
        """Whether so many rows are in it that it had better end."""
        return self._many > _LARGE

    # --- Deliveries ---

    def events(self, events: Sequence[DeliveryEvent]) -> CountedEvents:
        """Count what became of mails; each event once, however often it is told."""
        counted = self._sums.take(events)
        self._many += len(counted.new)
        self.count.new += len(counted.new)
        self.count.duplicates += counted.known
        return counted

    def values(self, values: Sequence[PublishedValue]) -> int:
        """Keep numbers that a receiver publishes; gives how many of them are older than what is kept."""
        old = self._sums.values(values)
        self.count.new += len(values) - old
        return old

    # --- Items ---

    def seen(self, item: bytes) -> ItemState | None:
        """What an item of that digest was when it was read; None: never."""
        if item in self._items:
            return self._items[item]
        found = self._one("SELECT state FROM obs_items WHERE digest = ?", item)
        if found is None:
            return None
        self._known[item] = ItemState(found[0])
        return self._known[item]

    def item(self, digest: bytes, state: ItemState = ItemState.TAKEN) -> None:
        """An item was read."""
        self._items[digest] = state
        self.count.items += 1

    def mark(self, mailbox: str, uidvalidity: int, uid: int, owed: Sequence[tuple[int, str]] = ()) -> None:
        """A mailbox was read up to that UID; `owed`: of UIDs what is still to be done, empty: nothing."""
        run = self._connection.execute
        run(delete(obs_marks).where(obs_marks.c.mailbox == mailbox))
        run(insert(obs_marks).values(mailbox=mailbox, uidvalidity=uidvalidity, uid=uid))
        run(delete(obs_owed).where(obs_owed.c.mailbox == mailbox, obs_owed.c.uidvalidity != uidvalidity))
        here = {"mailbox": mailbox, "uidvalidity": uidvalidity}
        for number, what in owed:
            this = (obs_owed.c.mailbox == mailbox) & (obs_owed.c.uid == number)
            since = run(delete(obs_owed).where(this).returning(obs_owed.c.day)).scalar()
            if what:
                day = self._today if since is None else since
                run(insert(obs_owed).values(uid=number, what=what, day=day, **here))

    # --- Reports ---

    def rows(self) -> ReportRows:
        """What takes the rows of the next aggregate report."""
        self._next_report += 1
        return ReportRows(self, self._next_report - 1)

    def aggregate(
        self, item: bytes, report: AggregateReport, rows: ReportRows, owner: str, reporter: str, trust: Trust
    ) -> Taken:
        """Keep an aggregate report; `owner`: the organizational domain of its policy domain."""
        made = self._report(
            rows,
            FeedbackKind.AGGREGATE,
            (owner, report.domain),
            (reporter, report.reporter, report.report_id),
            (report.begin, report.end),
            trust if report.complete else Trust.PARTIAL,
            says=report.digest,
            data=_policy(report.policy),
            records=report.records,
            messages=report.messages,
            unread=report.unread,
        )
        return self._keep(item, made, rows)

    def tls(
        self,
        item: bytes,
        report: TlsReport,
        policies: Sequence[TlsPolicyResult],
        owner: str,
        reporter: str,
        trust: Trust,
    ) -> Taken:
        """Keep of a TLS report what is about one organizational domain: `policies`."""
        data = json.dumps([_tls(each) for each in policies], separators=(",", ":"))
        rows = self.rows()
        made = self._report(
            rows,
            FeedbackKind.TLS,
            (owner, owner),
            (reporter, report.reporter, report.report_id),
            (report.begin, report.end),
            trust,
            says=data,
            data=data,
            messages=sum(each.succeeded + each.failed for each in policies),
        )
        return self._keep(item, made, rows)

    def failure(self, item: bytes, report: FailureReport, owner: str, arrived: int, trust: Trust) -> Taken:
        """Keep a failure report; where it tells no time, that of its mail counts (`arrived`: seconds since 1970)."""
        signature = report.signature
        data = {
            "ip": report.ip.hex(),
            "signature": [signature.domain, signature.selector] if signature else [],
            "failed": report.failed,
        }
        at = arrived if report.arrived is None else report.arrived
        rows = self.rows()
        made = self._report(
            rows,
            FeedbackKind.FAILURE,
            (owner, report.domain),
            (report.reporter, report.reporter, item.hex()),
            (at, at),
            trust,
            says=item.hex(),
            data=json.dumps(data, separators=(",", ":")),
            messages=1,
        )
        return self._keep(item, made, rows)

    def problem(self, detail: Detail, name: str, domain: str = "", reporter: str = "", day: int | None = None) -> None:
        """Something could not be used: what of it (`name`: its file or mail), whose report it was, and of which day."""
        text, name = _storable(json.dumps(encode(detail), ensure_ascii=False)), _storable(name)
        self._problems.setdefault(
            (text, name, domain, reporter),
            {
                "intake": self._intake,
                "domain": domain,
                "reporter": reporter[:253],
                "day": self._today if day is None else day,
                "name": name[:200],
                "detail": text[:1000],
            },
        )

    def _report(
        self,
        rows: ReportRows,
        kind: FeedbackKind,
        domains: tuple[str, str],
        names: tuple[str, str, str],
        period: tuple[int, int],
        trust: Trust,
        *,
        says: str,
        data: str,
        messages: int,
        records: int = 0,
        unread: int = 0,
    ) -> StoredReport:
        """A report as it is to be kept; `domains`: organizational and of the policy; `names`: see StoredReport."""
        reporter, name, report_id = names[0][:253], names[1][:253], names[2]
        return StoredReport(
            rows.report,
            key_of(kind, reporter, report_id, domains[1], *period),
            twin_of(kind, reporter, says, domains[1], *period),
            kind,
            *domains,
            reporter,
            name,
            report_id,
            *period,
            trust,
            self._intake,
            records=records,
            messages=messages,
            unread=unread,
            data=data,
        )

    def _keep(self, item: bytes, report: StoredReport, rows: ReportRows) -> Taken:
        taken = self._decide(item, report, rows)
        if taken is Taken.NEW:
            self.count.new += 1
        elif taken is not Taken.OLD:
            self.count.duplicates += 1
        return taken

    def _decide(self, item: bytes, report: StoredReport, rows: ReportRows) -> Taken:
        if report.end // DAY < self._oldest:
            rows.restart()
            return Taken.OLD
        there = self._reports.get(report.key)
        known = report.twin in self._twins
        statement = "SELECT 1 FROM obs_reports WHERE key = ? OR twin = ?"
        if there is None and self._one(statement, report.key, report.twin) is not None:
            there, known = self._stored(report.key), True
        if there is None:
            self._add(report, rows)
            return Taken.DOUBLE if known else Taken.NEW
        again = item in self._known or item in self._items  # the same item and no further copy
        copies = there.copies + (not again)
        same = there.twin == report.twin
        if report.rank > there.rank and (same or there.folded != SUMMED):
            self._take_place(there, rows)
            self._add(replace(report, copies=copies), rows)
            return Taken.RAISED if same else Taken.CONFLICTING
        rows.restart()
        if same and not again:
            self._reports[report.key] = replace(there, copies=copies)
            self._changed.add(there.id)
        return Taken.DUPLICATE if same else Taken.CONFLICTING

    def _add(self, report: StoredReport, rows: ReportRows) -> None:
        rows.write()
        self._twins.add(report.twin)
        self._reports[report.key] = report

    def _take_place(self, there: StoredReport, rows: ReportRows) -> None:
        """Make room for a report that is trusted further; of weeks what it brought to them is taken back."""
        if there.folded == SUMMED:
            rows.write()
            self._write_rows()
            folding.add(self._connection, there, rows.report, -1)
        self._reports.pop(there.key, None)
        self._run("DELETE FROM obs_reports WHERE id = ?", there.id)
        self.drop_rows(there.id)

    # --- Writing ---

    def add_rows(self, report: int, first: int, rows: Sequence[AggregateRow]) -> None:
        """Rows of a report, the first of them with that number."""
        self._rows.extend([(report, number, row) for number, row in enumerate(rows, first)])
        if len(self._rows) >= _BUFFERED:
            self._write_rows()

    def drop_rows(self, report: int) -> None:
        """Take all rows of a report out again."""
        self._rows = [row for row in self._rows if row[0] != report]
        self._run("DELETE FROM obs_rows WHERE report = ?", report)

    def flush(self) -> None:
        """Write what waits in memory."""
        run = self._connection.execute
        self._write_rows()
        self._sums.write()
        for some in in_portions(sorted(self._changed)):
            run(delete(obs_reports).where(obs_reports.c.id.in_(some)))
        self._insert("obs_reports", REPORT_COLUMNS, [each.row() for each in self._reports.values()])
        for items in in_portions(list(self._items)):
            if again := [each for each in items if each in self._known]:
                run(delete(obs_items).where(obs_items.c.digest.in_(again)))
        rows = [(digest, self._today, state.value) for digest, state in self._items.items()]
        self._insert("obs_items", ("digest", "day", "state"), rows)
        if self._problems:
            numbered = enumerate(self._problems.values(), self._next_problem)
            run(insert(obs_problems), [{"id": number, **each} for number, each in numbered])
        this = obs_intakes.c.id == self._intake
        run(
            update(obs_intakes)
            .where(this)
            .values(
                items=obs_intakes.c["items"] + self.count.items,
                new=obs_intakes.c.new + self.count.new,
                duplicates=obs_intakes.c.duplicates + self.count.duplicates,
            )
        )

    def _write_rows(self) -> None:
        if not self._rows:
            return
        self._many += len(self._rows)
        ids = self._facets.ids(self._connection, [row.facet for _, _, row in self._rows])
        rows = [(report, at, ip, n, facet) for (report, at, (ip, n, _)), facet in zip(self._rows, ids, strict=True)]
        columns = ("report", "number", "ip", "messages", "facet")
        if self._connection.dialect.name == "postgresql":
            into = f"COPY obs_rows ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
            with self._cursor.copy(into) as copy:
                copy.set_types(["int4", "int4", "bytea", "int4", "int4"])
                for row in rows:
                    copy.write_row(row)
        else:
            self._insert("obs_rows", columns, rows)
        self._rows = []

    def _stored(self, key: bytes) -> StoredReport | None:
        """The report of that name in the database."""
        found = self._connection.execute(select(obs_reports).where(obs_reports.c.key == key)).one_or_none()
        return None if found is None else StoredReport.of(found)

    # Each item is looked up, so the way to the database is short.

    def _run(self, statement: str, *values: object) -> None:
        self._cursor.execute(self._written(statement), values)

    def _one(self, statement: str, *values: object) -> Any:
        self._cursor.execute(self._written(statement), values)
        return self._cursor.fetchone()

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if not rows:
            return
        names = ", ".join(f'"{each}"' for each in columns)
        statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        self._cursor.executemany(self._written(statement), rows)

    def _written(self, statement: str) -> str:
        return statement.replace("?", "%s") if self._connection.dialect.name == "postgresql" else statement


def _storable(text: str) -> str:
    """A text that every database takes: names of files may hold octets that are no UTF-8, and errors whatever."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


@lru_cache(64)
def _policy(policy: PolicySeen) -> str:
    """As it is kept: reports of one domain are about the same one."""
    fields = {name: value for name, value in asdict(policy).items() if value}
    return json.dumps(fields, separators=(",", ":"))


def _tls(policy: TlsPolicyResult) -> list[Any]:
    kinds = [[each.type, each.mx, each.count] for each in policy.failures[:_MOST_FAILURES]]
    return [policy.domain, policy.type, policy.succeeded, policy.failed, kinds]
