"""The file of addresses that bounced or complained, and what of them goes off a list now."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_VERSION = 1
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TABLE = """
CREATE TABLE addresses (
    address TEXT NOT NULL, kind TEXT NOT NULL, domain TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, receiver TEXT NOT NULL, meaning TEXT NOT NULL, origin TEXT NOT NULL, delivered INTEGER,
    PRIMARY KEY (address, kind)
) WITHOUT ROWID
"""
# An event that is not newer than the last one, nor older than the first, was counted before, or may have been.
_TAKE = """
INSERT INTO addresses VALUES (:address, :kind, :domain, :at, :at, 1, :receiver, :meaning, :origin, NULL)
ON CONFLICT (address, kind) DO UPDATE SET
    count = count + (excluded.last > last OR excluded.first < first),
    receiver = iif(excluded.last > last, excluded.receiver, receiver),
    meaning = iif(excluded.last > last, excluded.meaning, meaning),
    origin = iif(excluded.last > last, excluded.origin, origin),
    first = min(first, excluded.first), last = max(last, excluded.last)
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
        if application or version or tables:
            raise InputError(NOT_ADDRESSES(name=str(self._path)))
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(_TABLE)
            self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def take(self, events: Iterable[AddressEvent], delivered: Iterable[tuple[str, int]] = ()) -> None:
        """Keep events, all or none of them, and remember deliveries until `settle`; the same again changes nothing.

        Addresses are as feedback.suppress.plain_address writes them; times are seconds since 1970.
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

    def domains(self, kind: SuppressClass) -> list[str]:
        """The domains of the addresses that are here for this reason."""
        with self._errors():
            found = self._database.execute("SELECT DISTINCT domain FROM addresses WHERE kind = ?", (kind.value,))
            return sorted(domain for (domain,) in found)

    def forget(self, addresses: Iterable[str]) -> int:
        """Delete what is kept of these addresses; how many of them were there."""
        return self._delete("address = ?", [(each,) for each in addresses])

    def forget_before(self, second: int) -> int:
        """Delete the addresses of which nothing was heard since then; how many there were."""
        return self._delete("last < ?", [(second,)])

    def _delete(self, where: str, values: Iterable[tuple[str] | tuple[int]]) -> int:
        """Raises InputError. `where` is ours."""
        gone = 0
        with self._writing():
            for each in values:
                wanted = f"SELECT count(DISTINCT address) FROM addresses WHERE {where}"  # noqa: S608
                gone += self._database.execute(wanted, each).fetchone()[0]
                self._database.execute(f"DELETE FROM addresses WHERE {where}", each)  # noqa: S608
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
    """How many addresses became what, each counted once with the reason that decides.

    `again`: those that were off for long and may be tried again; few, since only closed mailboxes come to that.
    """

    decided: Counter[tuple[Decision, SuppressClass]] = field(default_factory=Counter)
    again: list[AddressRecord] = field(default_factory=list)

    def of(self, decision: Decision) -> int:
        """How many addresses became that."""
        return sum(n for (each, _), n in self.decided.items() if each is decision)


def addresses_into(addresses: AddressFile, now: int) -> TakesEvents:
    """What an intake gives its events to, so that their addresses are addresses; see AddressFile.settle.

    `now`, seconds since 1970, is when an event was that does not tell.
    """

    def take(events: Sequence[DeliveryEvent]) -> None:
        named = [(address, each) for each in events if (address := plain_address(each.recipient))]
        addresses.take(
            (
                AddressEvent(address, each.why, _at(each, now), each.receiver, each.meaning, each.origin.value)
                for address, each in named
                if each.why is not None
            ),
            ((address, _at(each, now)) for address, each in named if each.result is DeliveryResult.DELIVERED),
        )

    return take


def _at(event: DeliveryEvent, now: int) -> int:
    return now if event.at is None else min(event.at, now)


async def suppressed(addresses: AddressFile, ports: Ports, sums: SuppressSums) -> Iterator[AddressRecord]:
    """The addresses that go on the list, in their order and one at a time; `sums` is filled as they are taken.

    DNS is asked about the domains that bounced as unknown, each once. Raises InputError, also while they are taken.
    """
    gone = await takes_no_mail(addresses.domains(SuppressClass.HOST), ports)
    now = int(ports.clock.now().timestamp())

    def each() -> Iterator[AddressRecord]:
        for record, decision in _decided(addresses, now, gone):
            sums.decided[decision, record.kind] += 1
            if decision is Decision.OFF:
                yield record
            elif decision is Decision.AGAIN:
                sums.again.append(record)

    return each()


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
