"""The file of addresses that bounced or complained, and what of them goes off a list now."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import asdict

from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error
from deliverability.core.files import PRIVATE
from deliverability.core.model.deliveries import (
    AddressEvent,
    AddressRecord,
    Decision,
    DeliveryEvent,
    DeliveryResult,
    SuppressClass,
)
from deliverability.core.net.ports import Ports
from deliverability.core.replies.outcomes import decide, plain_address
from deliverability.engine.mailable import takes_no_mail

if TYPE_CHECKING:
    from deliverability.intake.run import TakesEvents

TOO_OPEN = Code("addresses-too-open", ("name", "mode"))
NOT_ADDRESSES = Code("addresses-not-a-file", ("name",))
NO_ADDRESSES = Code("addresses-absent", ("name",))

_APPLICATION = 0x64656C76  # "delv": what SQLite writes into the file to tell what it is
_VERSION = 2
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TABLE = """
CREATE TABLE addresses (
    address TEXT NOT NULL, kind TEXT NOT NULL, domain TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, receiver TEXT NOT NULL, meaning TEXT NOT NULL, origin TEXT NOT NULL, delivered INTEGER,
    answered INTEGER, PRIMARY KEY (address, kind)
) WITHOUT ROWID
"""
_UNPROVEN_TABLE = """
CREATE TABLE unproven (
    key BLOB PRIMARY KEY, address TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL, receiver TEXT NOT NULL,
    meaning TEXT NOT NULL, origin TEXT NOT NULL
) WITHOUT ROWID
"""
# An event that is not newer than the last one, nor older than the first, was counted before, or may have been. What
# comes after an answer of the person begins anew, and what was before it counts no more.
_TAKE = """
INSERT INTO addresses VALUES (:address, :kind, :domain, :at, :at, 1, :receiver, :meaning, :origin, NULL, NULL)
ON CONFLICT (address, kind) DO UPDATE SET
    count = iif(
        last <= answered AND excluded.last > answered, 1,
        count + (excluded.last > last OR (excluded.first < first AND excluded.first > coalesce(answered, 0)))
    ),
    receiver = iif(excluded.last > last, excluded.receiver, receiver),
    meaning = iif(excluded.last > last, excluded.meaning, meaning),
    origin = iif(excluded.last > last, excluded.origin, origin),
    first = iif(
        last <= answered AND excluded.last > answered, excluded.first,
        iif(excluded.first > coalesce(answered, 0), min(first, excluded.first), first)
    ),
    last = max(last, excluded.last)
"""
_DOUBT = """
INSERT INTO unproven VALUES (:key, :address, :kind, :at, :receiver, :meaning, :origin) ON CONFLICT DO NOTHING
"""
# Of each reason, and of addresses of which nothing was proved.
_DOUBTED = """
SELECT address, kind, min(at), max(at), count(*), receiver, meaning, origin FROM unproven
WHERE address NOT IN (SELECT address FROM addresses) GROUP BY address, kind ORDER BY address, kind
"""


_DELIVERED = """
UPDATE addresses SET delivered = max(coalesce(addresses.delivered, 0), new.at)
FROM temp.delivered AS new WHERE new.address = addresses.address
"""


class AddressFile:
    """The addresses, kept between runs. Its methods raise InputError where the file cannot be used any more.

    Of a delivery nothing is kept but when the last one was, of addresses that are here. Since a log may be read before
    the bounces that came earlier, all deliveries of a run stand in a temporary file without a name until `settle`.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open it, or make it. Raises InputError; also where others than its owner may read or write it."""
        self._path = path
        with self._errors():
            if not path.exists():
                if not create:
                    raise InputError(NO_ADDRESSES(name=str(path)))
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise InputError(NOT_ADDRESSES(name=str(path)))
            if os.name == "posix" and mode & _OTHERS:
                raise InputError(TOO_OPEN(name=str(path), mode=f"{stat.S_IMODE(mode):04o}"))
            self._database = sqlite3.connect(path, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self) -> None:
        """Raises InputError where it is a database of another program, or of a later version of this one."""
        self._database.execute("PRAGMA secure_delete = ON")
        self._database.execute("PRAGMA busy_timeout = 10000")
        self._database.execute("CREATE TEMP TABLE delivered (address TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID")
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if (application, version) == (_APPLICATION, _VERSION):
            return
        earlier = (application, version) == (_APPLICATION, 1)
        if not earlier and (application or version or tables):
            raise InputError(NOT_ADDRESSES(name=str(self._path)))
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("ALTER TABLE addresses ADD COLUMN answered INTEGER" if earlier else _TABLE)
            self._database.execute(_UNPROVEN_TABLE)
            self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def take(self, events: Iterable[AddressEvent], delivered: Iterable[tuple[str, int]] = ()) -> None:
        """Keep events, all or none of them, and remember deliveries until `settle`; the same again changes nothing.

        Addresses are as `plain_address` writes them; times are seconds since 1970.
        """
        rows = [
            {**asdict(each), "domain": each.address.rpartition("@")[2]}
            for each in sorted(events, key=lambda each: each.at)
        ]
        with self._writing():
            self._database.executemany(_TAKE, rows)
            self._database.executemany(
                "INSERT INTO temp.delivered VALUES (?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
                delivered,
            )

    def doubt(self, events: Iterable[tuple[str, AddressEvent]]) -> None:
        """Keep events that nothing proves, each with what makes it this event; the same again changes nothing."""
        rows = [{**asdict(each), "key": hashlib.blake2b(key.encode(), digest_size=16).digest()} for key, each in events]
        with self._writing():
            self._database.executemany(_DOUBT, rows)

    def settle(self) -> None:
        """Note at the addresses that are here when mail was last delivered to them, and forget all other deliveries."""
        with self._writing():
            self._database.execute(_DELIVERED)
            self._database.execute("DELETE FROM temp.delivered")

    def records(self) -> Iterator[AddressRecord]:
        """All of them, by address; none is held."""
        wanted = "SELECT * FROM addresses ORDER BY address, kind"
        with self._errors(), closing(self._database.execute(wanted)) as rows:
            for address, kind, domain, *rest in rows:
                yield AddressRecord(address, domain, SuppressClass(kind), *rest)

    def unproven(self) -> Iterator[AddressRecord]:
        """The addresses of which only mail speaks that proves nothing, by address; none is held."""
        with self._errors(), closing(self._database.execute(_DOUBTED)) as rows:
            for address, kind, *rest in rows:
                yield AddressRecord(address, address.rpartition("@")[2], SuppressClass(kind), *rest)

    def answered(self, addresses: Iterable[str], at: int) -> int:
        """Note that the owners of these addresses answered then, in seconds since 1970; how many of them were there.

        What was told of them before, proved or not, counts no more.
        """
        there = 0
        with self._writing():
            for each in addresses:
                known = "UPDATE addresses SET answered = ? WHERE address = ? RETURNING 1"
                found = self._database.execute(known, (at, each)).fetchall()
                found += self._database.execute(
                    "DELETE FROM unproven WHERE address = ? RETURNING 1", (each,)
                ).fetchall()
                there += bool(found)
        return there

    def domains(self, kind: SuppressClass) -> list[str]:
        """The domains of the addresses that are here for this reason."""
        with self._errors():
            found = self._database.execute("SELECT DISTINCT domain FROM addresses WHERE kind = ?", (kind.value,))
            return sorted(domain for (domain,) in found)

    def forget(self, addresses: Iterable[str]) -> int:
        """Delete what is kept of these addresses; how many of them were there."""
        return self._delete("address = ?", "address = ?", [(each,) for each in addresses])

    def forget_before(self, second: int) -> int:
        """Delete the addresses of which nothing was heard since then; how many there were."""
        return self._delete("last < ?", "at < ?", [(second,)])

    def _delete(self, where: str, doubted: str, values: Iterable[tuple[str] | tuple[int]]) -> int:
        """Raises InputError. `where` and `doubted` (for what is unproven) are ours."""
        gone = 0
        with self._writing():
            for each in values:
                deleted = set(self._database.execute(f"DELETE FROM addresses WHERE {where} RETURNING address", each))  # noqa: S608
                deleted.update(self._database.execute(f"DELETE FROM unproven WHERE {doubted} RETURNING address", each))  # noqa: S608
                gone += len(deleted)
        return gone

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all of it or nothing."""
        with self._errors(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises InputError for what SQLite, the file or what is in it raises."""
        try:
            yield
        except (OSError, sqlite3.Error, ValueError) as error:
            if isinstance(error, OSError):
                raise InputError(file_error(self._path, error)) from None
            if isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise InputError(NOT_ADDRESSES(name=str(self._path))) from None
            raise InputError(file_error(self._path, OSError(0, str(error)))) from None

    def close(self) -> None:
        """It is not used afterwards."""
        self._database.close()


class SuppressSums(Struct):
    """How many addresses became what, each counted once with the reason that decides."""

    decided: Counter[tuple[Decision, SuppressClass]] = field(default_factory=Counter)

    def of(self, decision: Decision) -> int:
        """How many addresses became that."""
        return sum(n for (each, _), n in self.decided.items() if each is decision)


def addresses_into(addresses: AddressFile, now: int) -> TakesEvents:
    """What an intake gives its events to, so that their addresses are addresses; see AddressFile.settle.

    `now`, seconds since 1970, is when an event was that does not tell.
    """

    def take(events: Sequence[DeliveryEvent]) -> None:
        addresses.take(
            (about for _, about in _reasons(events, now)),
            (
                (address, _at(each, now))
                for each in events
                if each.result is DeliveryResult.DELIVERED and (address := plain_address(each.recipient))
            ),
        )

    return take


def unproven_into(addresses: AddressFile, now: int) -> TakesEvents:
    """What an intake gives the events to that nothing proves; `now` as above."""

    def take(events: Sequence[DeliveryEvent]) -> None:
        addresses.doubt((f"{event.origin.value} {event.key}", about) for event, about in _reasons(events, now))

    return take


def _reasons(events: Iterable[DeliveryEvent], now: int) -> Iterator[tuple[DeliveryEvent, AddressEvent]]:
    """The events for which an address may go off a list, and what they say of it."""
    for each in events:
        if each.why is not None and (address := plain_address(each.recipient)):
            at = _at(each, now)
            yield each, AddressEvent(address, each.why, at, each.receiver, each.meaning, each.origin.value)


def _at(event: DeliveryEvent, now: int) -> int:
    return now if event.at is None else min(event.at, now)


DecidedOf = Callable[[], Iterator[tuple[AddressRecord, Decision]]]
"""Gives all addresses that are kept with what becomes of them, in their order and one at a time; each time anew."""


async def decided_of(addresses: AddressFile, ports: Ports) -> DecidedOf:
    """What becomes of each address; those of which nothing is proved come last.

    DNS is asked about the domains that bounced as unknown, each once. Raises InputError, also while they are taken.
    """
    gone = await takes_no_mail(addresses.domains(SuppressClass.HOST), ports)
    now = int(ports.clock.now().timestamp())

    def each() -> Iterator[tuple[AddressRecord, Decision]]:
        yield from _decided(addresses, now, gone)
        for _, same in groupby(addresses.unproven(), key=lambda record: record.address):
            yield min(((record, Decision.UNPROVEN) for record in same), key=_first)

    return each


def to_suppress(file: Path, now: int) -> int | None:
    """How many addresses go on the list whatever DNS says, which is not asked; None where the file cannot be read.

    `now`: seconds since 1970.
    """
    try:
        with closing(AddressFile(file, create=False)) as addresses:
            return sum(decision is Decision.OFF for _, decision in _decided(addresses, now, {}))
    except InputError:  # `deliv intake` and `deliv suppress` say what is the matter with it
        return None


def _decided(
    addresses: AddressFile, now: int, gone: Mapping[str, bool | None]
) -> Iterator[tuple[AddressRecord, Decision]]:
    """What becomes of each address, and of several reasons the one that decides; `gone`: see `takes_no_mail`."""
    for _, same in groupby(addresses.records(), key=lambda record: record.address):
        yield min(((record, decide(record, now, gone.get(record.domain))) for record in same), key=_first)


def _first(decided: tuple[AddressRecord, Decision]) -> tuple[int, int]:
    """What decides about an address that bounced for several reasons: what takes it off, a complaint before all."""
    record, decision = decided
    return list(Decision).index(decision), list(SuppressClass).index(record.kind)
