"""The file of addresses that bounced or complained: an SQLite file of its own, which only its owner may read.

Nothing of it ever goes into the history, a report or a page. What is forgotten is overwritten in the file.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from deliverability._files import PRIVATE
from deliverability.model.codes import Code
from deliverability.model.errors import InputError, file_error
from deliverability.model.suppression import AddressEvent, AddressRecord, SuppressClass

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
        try:
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
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise self._error(error) from None
        except InputError:
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
            {
                **{"address": each.address, "kind": each.kind.value, "domain": each.address.rpartition("@")[2]},
                **{"at": each.at, "receiver": each.receiver, "meaning": each.meaning, "origin": each.origin},
            }
            for each in sorted(events, key=lambda each: each.at)
        ]
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(_TAKE, rows)
                self._database.executemany(
                    "INSERT INTO temp.delivered VALUES (?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
                    delivered,
                )
        except sqlite3.Error as error:
            raise self._error(error) from None

    def settle(self) -> None:
        """Note at the addresses that are here when mail was last delivered to them, and forget all other deliveries."""
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute(_DELIVERED)
                self._database.execute("DELETE FROM temp.delivered")
        except sqlite3.Error as error:
            raise self._error(error) from None

    def records(self) -> Iterator[AddressRecord]:
        """All of them, by address; none is held."""
        try:
            with closing(self._database.execute("SELECT * FROM addresses ORDER BY address, kind")) as rows:
                for row in rows:
                    address, kind, domain, first, last, count, receiver, meaning, origin, delivered = row
                    yield AddressRecord(
                        *(address, domain, SuppressClass(kind), first, last, count),
                        *(receiver, meaning, origin, delivered),
                    )
        except (sqlite3.Error, ValueError) as error:
            raise self._error(error) from None

    def domains(self, kind: SuppressClass) -> list[str]:
        """The domains of the addresses that are here for this reason."""
        try:
            found = self._database.execute("SELECT DISTINCT domain FROM addresses WHERE kind = ?", (kind.value,))
            return sorted(domain for (domain,) in found)
        except sqlite3.Error as error:
            raise self._error(error) from None

    def forget(self, addresses: Iterable[str]) -> int:
        """Delete what is kept of these addresses; how many of them were there."""
        return self._delete("address = ?", [(each,) for each in addresses])

    def forget_before(self, second: int) -> int:
        """Delete the addresses of which nothing was heard since then; how many there were."""
        return self._delete("last < ?", [(second,)])

    def _delete(self, where: str, values: Iterable[tuple[str] | tuple[int]]) -> int:
        """Raises InputError. `where` is ours."""
        gone = 0
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                for each in values:
                    wanted = f"SELECT count(DISTINCT address) FROM addresses WHERE {where}"  # noqa: S608
                    gone += self._database.execute(wanted, each).fetchone()[0]
                    self._database.execute(f"DELETE FROM addresses WHERE {where}", each)  # noqa: S608
        except sqlite3.Error as error:
            raise self._error(error) from None
        return gone

    def close(self) -> None:
        """It is not used afterwards."""
        self._database.close()

    def _error(self, error: Exception) -> InputError:
        if isinstance(error, OSError):
            return InputError(file_error(self._path, error))
        if isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            return InputError(NOT_ADDRESSES(name=str(self._path)))
        return InputError(file_error(self._path, OSError(0, str(error))))
