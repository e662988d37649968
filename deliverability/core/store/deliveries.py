"""Keeps what became of mail as sums by day, each event counted once, and the numbers that receivers publish.

Also where test mails landed: a row a test and mailbox.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, case, delete, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from deliverability.core.model.deliveries import (
    COUNTS,
    CampaignDay,
    CauseDay,
    Deliveries,
    DeliveryDay,
    DeliveryEvent,
    DeliveryOrigin,
    DeliveryResult,
    PublishedValue,
    ValueDay,
)
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.store import tables
from deliverability.core.store.facets import in_portions
from deliverability.core.store.reports import DAY, as_date
from deliverability.core.store.store import History
from deliverability.core.store.tables import obs_campaigns, obs_causes, obs_days, obs_metrics, seeds

EVERY = ""
"""Instead of a domain: numbers of addresses, which may be anybody's."""

_COLUMNS = tuple(COUNTS.values())
MAX_CAMPAIGNS = 200
"""Of a domain and day that are kept."""
_DIGEST = 12  # octets; among a thousand million events two that differ share one with a chance of 1 in 10^11


class CountedEvents(Struct, frozen=True):
    """What became of events: those that were new, how many were known, and how many are older than what is kept."""

    new: tuple[DeliveryEvent, ...]
    known: int
    old: int


class DeliverySums:
    """Sums of a transaction that wait to be written."""

    def __init__(self, connection: Connection, today: int, oldest: int, key: bytes) -> None:
        self._key = key
        self._connection = connection
        self._today = today
        self._oldest = oldest
        self._days: Counter[tuple[str, int, str, str, str, str]] = Counter()
        self._causes: Counter[tuple[str, int, str, str, str, str, str]] = Counter()
        self._campaigns: Counter[tuple[str, int, str, str, str, str]] = Counter()
        self._values: dict[tuple[str, str, int, str, str], tuple[float, float]] = {}

    def take(self, events: Sequence[DeliveryEvent]) -> CountedEvents:
        """Count events that were not counted before. Those without a time, or with one to come, are of today."""
        fresh: dict[bytes, tuple[DeliveryEvent, int]] = {}
        known = old = 0
        for each in events:
            day = self._day(None if each.at is None else each.at // DAY)
            digest = _digest(each, self._key)
            if day < self._oldest:
                old += 1
            elif digest in fresh:
                known += 1
            else:
                fresh[digest] = each, day
        there = self._there(fresh)
        new = {digest: each for digest, each in fresh.items() if digest not in there}
        self._remember(new)
        for event, day in new.values():
            place = (registrable_domain(event.sender), day, event.receiver, event.sender, event.origin.value)
            self._days[*place, COUNTS[event.result]] += 1
            if event.meaning:
                self._causes[*place, event.meaning, event.result.value] += 1
            for name in event.campaigns:
                self._campaigns[place[0], day, event.sender, event.origin.value, name, COUNTS[event.result]] += 1
        return CountedEvents(tuple(event for event, _ in new.values()), known + len(there), old)

    def values(self, given: Iterable[PublishedValue]) -> int:
        """Keep numbers; gives how many are older than what is kept. Told twice, the worse one of a day counts."""
        old = 0
        for each in given:
            day = self._day(each.day)
            if day < self._oldest:
                old += 1
                continue
            domain = registrable_domain(each.subject) if each.origin is DeliveryOrigin.GMAIL else EVERY
            key = (domain, each.subject, day, each.origin.value, each.metric)
            low, high = self._values.get(key, (each.low, each.high))
            self._values[key] = max(low, each.low), max(high, each.high)
        return old

    def write(self) -> None:
        """Add what waits to what is there."""
        names = ("domain", "day", "receiver", "stream", "origin")
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for (*place, column), count in self._days.items():
            empty = {**dict(zip(names, place, strict=True)), **dict.fromkeys(_COLUMNS, 0)}
            rows.setdefault(tuple(place), empty)[column] += count
        self._upsert(obs_days, names, list(rows.values()), _COLUMNS, "+")
        named = (*names, "meaning", "result")
        causes = [{**dict(zip(named, key, strict=True)), "messages": count} for key, count in self._causes.items()]
        self._upsert(obs_causes, named, causes, ("messages",), "+")
        self._write_campaigns()
        of_value = ("domain", "subject", "day", "origin", "metric")
        numbers = [
            {**dict(zip(of_value, key, strict=True)), "value_low": low, "value_high": high}
            for key, (low, high) in self._values.items()
        ]
        self._upsert(obs_metrics, of_value, numbers, ("value_low", "value_high"), "max")
        self._days.clear()
        self._causes.clear()
        self._campaigns.clear()
        self._values.clear()

    def _write_campaigns(self) -> None:
        """Add them up. A domain whose mails each have a name of their own keeps those of a day that came first."""
        names = ("domain", "day", "stream", "origin", "campaign")
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        known: dict[tuple[str, int], set[str]] = {}
        for (domain, day, stream, origin, campaign, column), count in self._campaigns.items():
            if (there := known.get((domain, day))) is None:
                of_day = (obs_campaigns.c.domain == domain, obs_campaigns.c.day == day)
                there = set(self._connection.execute(select(obs_campaigns.c.campaign).where(*of_day)).scalars())
                known[domain, day] = there
            if campaign not in there and len(there) >= MAX_CAMPAIGNS:
                continue
            there.add(campaign)
            place = (domain, day, stream, origin, campaign)
            empty = {**dict(zip(names, place, strict=True)), **dict.fromkeys(_COLUMNS, 0)}
            rows.setdefault(place, empty)[column] += count
        self._upsert(obs_campaigns, names, list(rows.values()), _COLUMNS, "+")

    def _day(self, stated: int | None) -> int:
        return self._today if stated is None or stated > self._today + 1 else stated

    def _there(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of them that were counted before."""
        there: set[bytes] = set()
        with contextlib.closing(self._connection.connection.cursor()) as cursor:
            for some in in_portions(list(digests)):
                places = ", ".join([self._mark] * len(some))
                cursor.execute(f"SELECT digest FROM obs_events WHERE digest IN ({places})", some)  # noqa: S608
                there.update(bytes(row[0]) for row in cursor.fetchall())
        return there

    def _remember(self, new: dict[bytes, tuple[DeliveryEvent, int]]) -> None:
        with contextlib.closing(self._connection.connection.cursor()) as cursor:
            statement = f"INSERT INTO obs_events (digest, day) VALUES ({self._mark}, {self._mark})"  # noqa: S608
            cursor.executemany(statement, [(digest, day) for digest, (_, day) in new.items()])

    @property
    def _mark(self) -> str:
        return "%s" if self._connection.dialect.name == "postgresql" else "?"

    def _upsert(
        self, table: Any, names: Sequence[str], rows: list[dict[str, Any]], columns: Sequence[str], how: str
    ) -> None:
        """Write rows; of one that is there, the columns are added up, or the larger one stays."""
        if not rows:
            return
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        into = dialect.insert(table)
        both = {}
        for name in columns:
            there, given = table.c[name], into.excluded[name]
            both[name] = there + given if how == "+" else case((there > given, there), else_=given)
        statement = into.on_conflict_do_update(index_elements=list(names), set_=both)
        self._connection.execute(statement, rows)


def deliveries_of(history: History, domain: str, days: int, now: int) -> Deliveries | None:
    """What became of the mail of an organizational domain in the days that end with the newest full one (UTC).

    None where nothing at all is kept of it. `now`: seconds since 1970. Raises HistoryError.
    """
    last = now // DAY - 1
    first = last - days + 1
    with history.reading() as connection:
        within = obs_days.c.day.between(first, last)
        sums = connection.execute(select(obs_days).where(obs_days.c.domain == domain, within)).mappings().all()
        within = obs_causes.c.day.between(first, last)
        causes = connection.execute(select(obs_causes).where(obs_causes.c.domain == domain, within)).mappings().all()
        within = obs_campaigns.c.day.between(first, last)
        named = select(obs_campaigns).where(obs_campaigns.c.domain == domain, within)
        campaigns = connection.execute(named).mappings().all()
        # Numbers are published for the day that goes on, too.
        within = obs_metrics.c.day.between(first, last + 1)
        ours = or_(obs_metrics.c.domain == domain, obs_metrics.c.origin == DeliveryOrigin.SNDS.value)
        numbers = connection.execute(select(obs_metrics).where(ours, within)).mappings().all()
    if not (sums or causes or numbers):
        return None
    values: dict[DeliveryOrigin, list[ValueDay]] = {DeliveryOrigin.GMAIL: [], DeliveryOrigin.SNDS: []}
    for row in numbers:
        columns = (as_date(row["day"]), row["subject"], row["metric"], row["value_low"], row["value_high"])
        values[DeliveryOrigin(row["origin"])].append(ValueDay(*columns))
    by_day = [
        DeliveryDay(
            as_date(row["day"]),
            row["receiver"],
            row["stream"],
            DeliveryOrigin(row["origin"]),
            **{name: row[name] for name in _COLUMNS},
        )
        for row in sums
    ]
    by_cause = [
        CauseDay(
            as_date(row["day"]),
            row["receiver"],
            row["stream"],
            DeliveryOrigin(row["origin"]),
            row["meaning"],
            DeliveryResult(row["result"]),
            row["messages"],
        )
        for row in causes
    ]
    by_campaign = [
        CampaignDay(
            as_date(row["day"]),
            row["stream"],
            DeliveryOrigin(row["origin"]),
            row["campaign"],
            **{name: row[name] for name in _COLUMNS},
        )
        for row in campaigns
    ]
    return Deliveries(
        begin=as_date(first),
        end=as_date(last),
        days=tuple(sorted(by_day, key=repr)),
        causes=tuple(sorted(by_cause, key=repr)),
        campaigns=tuple(sorted(by_campaign, key=repr)),
        gmail=tuple(sorted(values[DeliveryOrigin.GMAIL], key=repr)),
        snds=tuple(sorted(values[DeliveryOrigin.SNDS], key=repr)),
    )


def fared_domains(history: History) -> frozenset[str]:
    """The organizational domains of which anything is kept; `EVERY` where something may be about any.

    Raises HistoryError.
    """
    wanted = select(obs_days.c.domain).union(select(obs_metrics.c.domain))
    with history.reading() as connection:
        return frozenset(connection.execute(wanted).scalars())


def forget_deliveries(connection: Connection, before: int) -> None:
    """Delete what is of days before that one, counted from 1970-01-01."""
    for table in (tables.obs_events, tables.obs_days, tables.obs_causes, tables.obs_campaigns, tables.obs_metrics):
        connection.execute(delete(table).where(table.c.day < before))


def _digest(event: DeliveryEvent, key: bytes) -> bytes:
    """Of what names an event, an address among it: with the key of the history, so that no guess can be compared."""
    named = json.dumps((event.origin.value, event.key)).encode()
    return hashlib.blake2b(named, digest_size=_DIGEST, key=key).digest()


UNREACHABLE = "unreachable"


class SeedRow(Struct, frozen=True):
    """What is known of a test in one mailbox; see the table. `folder` UNREACHABLE: nothing is."""

    test: str
    mailbox: str
    receiver: str
    domain: str
    sent: str
    found: str
    folder: str
    tab: str
    delay_s: int | None
    auth: Mapping[str, str]
    signs: Mapping[str, str]
    verdict_before: str
    rules: tuple[str, ...]


_JSON = ("auth", "signs", "rules")


def keep_seeds(history: History, rows: Sequence[SeedRow]) -> None:
    """Keep a test; what was known of one of its mailboxes is replaced, unless now nothing is. Raises HistoryError."""
    with history.writing() as connection:
        for row in rows:
            this = (seeds.c.test == row.test) & (seeds.c.mailbox == row.mailbox)
            known = connection.execute(select(seeds.c.folder).where(this)).first() is not None
            if known and row.folder == UNREACHABLE:
                continue
            values = {name: getattr(row, name) for name in SeedRow.__struct_fields__}
            values |= {name: json.dumps(values[name]) for name in _JSON}
            connection.execute(delete(seeds).where(this))
            connection.execute(insert(seeds).values(values))


def read_on(history: History, day: str) -> frozenset[str]:
    """The tests that were read on that day (ISO, UTC). Raises HistoryError."""
    with history.reading() as connection:
        found = connection.execute(select(seeds.c.test).where(seeds.c.found.startswith(day)).distinct())
        return frozenset(found.scalars())


def seeds_since(history: History, moment: str) -> tuple[SeedRow, ...]:
    """What was found since then (ISO), in the order of time. Raises HistoryError."""
    return _rows(history, seeds.c.found >= moment)


def seeds_of(history: History, tests: Collection[str]) -> tuple[SeedRow, ...]:
    """What was found of these tests, in the order of time. Raises HistoryError."""
    return _rows(history, seeds.c.test.in_(tests))


def _rows(history: History, which: ColumnElement[bool]) -> tuple[SeedRow, ...]:
    wanted = select(*(seeds.c[name] for name in SeedRow.__struct_fields__)).where(which)
    with history.reading() as connection:
        found = connection.execute(wanted.order_by(seeds.c.found, seeds.c.test, seeds.c.mailbox)).mappings().all()
    return tuple(
        SeedRow(
            **{
                **each,
                "auth": json.loads(each["auth"]),
                "signs": json.loads(each["signs"]),
                "rules": tuple(json.loads(each["rules"])),
            }
        )
        for each in found
    )
