"""What a fleet run has to do and what of it is done: ``manifest.sqlite3`` in its folder.

Tables::

    about     one row: format, part and parts (of `I/N`; 1 and 1 for the whole), raw (SHA-256 of the input's octets),
              list (SHA-256 of its subjects), settings (JSON: what facts depend on beside DNS), duplicates, size
              (domains a shard)
    subject   number from 0 in the order of the input, domain, about (JSON, see FleetSubject; empty: nothing)
    refused   lines of the input that name no domain: line, why (JSON of a detail)
    shard     of each that is done: number, domains, failed (of them, with a look-up that failed), retried (1: those
              were asked again), judged (digest of program, rules and selection), digest (runs.fleet.shards), at, and
              facts and findings (SHA-256 of the octets of its files)
    session   each time that somebody worked on it: started, seconds, domains done

A shard is done once it stands here; its files are in place before. The journal of SQLite is a file only while
something is being written, so that a manifest can be copied when nobody works on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from deliverability.core.codec import decode_detail, encode
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose
from deliverability.core.files import private
from deliverability.fleet.shards import SHARD, FleetSubject

FORMAT = 1
NEWER_FLEET = Code("fleet-newer", ("file",))
DAMAGED_MANIFEST = Code("fleet-manifest-damaged", ("file", "why"))
OTHER_LIST = Code("fleet-other-list", ("folder", "new", "gone", "other"))
_NAME = re.compile(r"manifest(?:-(\d+)-of-(\d+))?\.sqlite3")
_SCHEMA = """
CREATE TABLE about (
    format INTEGER NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, raw TEXT NOT NULL, list TEXT NOT NULL,
    settings TEXT NOT NULL, duplicates INTEGER NOT NULL, size INTEGER NOT NULL
);
CREATE TABLE subject (number INTEGER PRIMARY KEY, domain TEXT NOT NULL UNIQUE, about TEXT NOT NULL);
CREATE TABLE refused (line INTEGER PRIMARY KEY, why TEXT NOT NULL);
CREATE TABLE shard (
    number INTEGER PRIMARY KEY, domains INTEGER NOT NULL, failed INTEGER NOT NULL, retried INTEGER NOT NULL,
    judged TEXT NOT NULL, digest TEXT NOT NULL, at TEXT NOT NULL, facts TEXT NOT NULL, findings TEXT NOT NULL
);
CREATE TABLE session (started TEXT NOT NULL, seconds REAL NOT NULL, domains INTEGER NOT NULL);
"""


_MARKS = ", ".join("?" * 9)  # of the table of shards


class FleetPart(Struct, frozen=True):
    """Every `of`-th shard, from the `number`-th on (counted from 1)."""

    number: int = 1
    of: int = 1

    def has(self, shard: int) -> bool:
        """Whether the shard belongs to it."""
        return shard % self.of == self.number - 1

    @property
    def file(self) -> str:
        """The name of its manifest."""
        return "manifest.sqlite3" if self.of == 1 else f"manifest-{self.number}-of-{self.of}.sqlite3"


class ShardState(Struct, frozen=True):
    """A shard that is done; see the table."""

    number: int
    domains: int
    failed: int
    retried: bool
    judged: str
    digest: str
    at: str
    facts: str
    findings: str


class ListLine(Struct, frozen=True):
    """A line of the input: the domain that it names, or why it names none."""

    number: int
    found: FleetSubject | Detail


def parts_in(folder: Path) -> list[FleetPart]:
    """The manifests of a folder, that of a whole run first."""
    found = [match for path in folder.glob("manifest*.sqlite3") if (match := _NAME.fullmatch(path.name))]
    return sorted(
        (FleetPart(int(each[1] or 1), int(each[2] or 1)) for each in found), key=lambda each: (each.of, each.number)
    )


class Manifest:
    """An open manifest. Raises InputError where the file is none or damaged, or a newer version wrote it."""

    def __init__(self, folder: Path, part: FleetPart) -> None:
        self.part = part
        self.path = folder / part.file
        # Autocommit: transactions are begun where they are meant.
        if not self.path.exists():
            os.close(private(str(self.path), os.O_CREAT | os.O_WRONLY))
        self._base = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        try:
            self._base.execute("PRAGMA synchronous = FULL")
            if self.begun:
                if self._one("format") > FORMAT:
                    raise InputError(NEWER_FLEET(file=str(self.path)))
                self._check()
        except InputError:
            self.close()
            raise
        except Exception as error:  # what SQLite, JSON and text say of octets that are not what was written
            self.close()
            why = str(error) or type(error).__name__
            raise InputError(DAMAGED_MANIFEST(file=str(self.path), why=why)) from None

    def _check(self) -> None:
        """Raises ValueError, or whatever SQLite does, where it is not as it was written."""
        sums = _Read()
        place = -1
        for place, (number, domain, about) in enumerate(self._base.execute("SELECT * FROM subject ORDER BY number")):
            if number != place:
                raise ValueError(f"subject {place} is missing")
            sums.add(domain, about)
        sound = (
            sums.digest == self.list_digest
            and all(isinstance(each, str) for each in self.settings.values())
            and self.size > 0
            and self.duplicates >= 0
            and (self._one("part"), self._one("parts")) == (self.part.number, self.part.of)
            and all(each.number in self.shards and 0 <= each.failed <= each.domains for each in self.done())
        )
        if not sound:
            raise ValueError("it is not as it was written")
        for _ in self.refused():
            pass
        self.newest_session()

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def _one(self, column: str) -> Any:
        return self._base.execute(f"SELECT {column} FROM about").fetchone()[0]  # noqa: S608 - our own word

    # --- what there is to do ---

    @property
    def begun(self) -> bool:
        """Whether the input has been read; a run that was killed before leaves nothing."""
        return bool(self._base.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone())

    def begin(self, lines: Iterable[ListLine], raw: str, settings: Mapping[str, str]) -> None:
        """Take in the input, all of it or nothing. `raw`: SHA-256 of its octets."""
        base = self._base
        base.execute("BEGIN IMMEDIATE")
        try:
            for statement in _SCHEMA.split(";"):
                base.execute(statement)
            read = self._fill("subject", lines)
            base.executemany("INSERT INTO refused VALUES (?, ?)", read.refused)
            base.execute(
                "INSERT INTO about VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (FORMAT, self.part.number, self.part.of, raw, read.digest, _text(settings), read.duplicates, SHARD),
            )
        except BaseException:
            base.execute("ROLLBACK")
            raise
        base.execute("COMMIT")

    def _fill(self, table: str, lines: Iterable[ListLine]) -> _Read:
        read = _Read()
        insert = f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)"  # noqa: S608 - our own word
        for line in lines:
            if isinstance(line.found, Detail):
                read.refused.append((line.number, _text(encode(line.found))))
                continue
            about = _about(line.found)
            if not self._base.execute(insert, (read.domains, line.found.domain, about)).rowcount:
                read.duplicates += 1
                continue
            read.add(line.found.domain, about)
        return read

    def compare(self, lines: Iterable[ListLine]) -> None:
        """Raises InputError, with how many domains differ, where this is another input than that which was begun."""
        base = self._base
        base.execute("CREATE TEMP TABLE again (number INTEGER PRIMARY KEY, domain TEXT NOT NULL UNIQUE, about TEXT)")
        try:
            if self._fill("again", lines).digest == self._one("list"):
                return
            new, gone, other = (
                base.execute(f"SELECT count(*) FROM {query}").fetchone()[0]  # noqa: S608 - our own words
                for query in (
                    "again WHERE domain NOT IN (SELECT domain FROM subject)",
                    "subject WHERE domain NOT IN (SELECT domain FROM again)",
                    "subject JOIN again USING (domain) WHERE subject.number != again.number"
                    " OR subject.about != again.about",
                )
            )
        finally:
            base.execute("DROP TABLE again")
        raise InputError(OTHER_LIST(folder=str(self.path.parent), new=new, gone=gone, other=other))

    @property
    def raw(self) -> str:
        """SHA-256 (hex) of the octets of the input."""
        return str(self._one("raw"))

    @property
    def list_digest(self) -> str:
        """SHA-256 (hex) of the subjects."""
        return str(self._one("list"))

    @property
    def settings(self) -> dict[str, str]:
        """What the facts depend on beside DNS."""
        settings: dict[str, str] = json.loads(self._one("settings"))
        return settings

    @property
    def duplicates(self) -> int:
        """Lines of the input that name a domain again."""
        return int(self._one("duplicates"))

    @property
    def domains(self) -> int:
        """How many subjects the input has, of all parts."""
        return int(self._base.execute("SELECT coalesce(max(number) + 1, 0) FROM subject").fetchone()[0])

    @property
    def shards(self) -> range:
        """The numbers of all shards, of all parts."""
        return range(-(-self.domains // self.size))

    @property
    def size(self) -> int:
        """Domains a shard; the last one may have fewer."""
        return int(self._one("size"))

    def size_of(self, shard: int) -> int:
        """Domains in this one."""
        return min(self.size, self.domains - shard * self.size)

    def refused(self) -> Iterator[tuple[int, Detail]]:
        """The lines of the input that name no domain, and why."""
        for line, why in self._base.execute("SELECT line, why FROM refused ORDER BY line"):
            detail = decode_detail(json.loads(why))
            if detail is not None:
                yield line, detail

    def subjects(self, shard: int) -> tuple[FleetSubject, ...]:
        """Those of one shard, of whatever part."""
        first = shard * self.size
        query = "SELECT domain, about FROM subject WHERE number >= ? AND number < ? ORDER BY number"
        return tuple(_subject(*row) for row in self._base.execute(query, (first, first + self.size)))

    def shard_of(self, domain: str) -> int | None:
        """The shard that a domain (A-label) is in."""
        row = self._base.execute("SELECT number FROM subject WHERE domain = ?", (domain,)).fetchone()
        return None if row is None else int(row[0]) // self.size

    def place_of(self, domain: str) -> int:
        """The line of a domain (A-label) of the list in the files of its shard, counted from 0."""
        row = self._base.execute("SELECT number FROM subject WHERE domain = ?", (domain,)).fetchone()
        return int(row[0]) % self.size

    # --- what is done ---

    def done(self) -> Iterator[ShardState]:
        """The shards that are done, in order."""
        columns = "number, domains, failed, retried, judged, digest, at, facts, findings"
        for row in self._base.execute(f"SELECT {columns} FROM shard ORDER BY number"):  # noqa: S608 - our own words
            number, domains, failed, retried, *others = row
            yield ShardState(number, domains, failed, bool(retried), *others)

    def finish(self, state: ShardState) -> None:
        """A shard is done: its files are in their place."""
        values = (*astuple(state)[:3], int(state.retried), *astuple(state)[4:])
        self._base.execute(f"INSERT OR REPLACE INTO shard VALUES ({_MARKS})", values)  # noqa: S608

    def forget(self, shard: int) -> None:
        """A shard is to be done again: its files are not as they were written."""
        self._base.execute("DELETE FROM shard WHERE number = ?", (shard,))

    def adopt(self, states: Iterable[ShardState]) -> None:
        """Take over what other parts have done, all or nothing; what is done here already stays."""
        values = [(*astuple(each)[:3], int(each.retried), *astuple(each)[4:]) for each in states]
        self._base.execute("BEGIN IMMEDIATE")
        self._base.executemany(f"INSERT OR IGNORE INTO shard VALUES ({_MARKS})", values)  # noqa: S608
        self._base.execute("COMMIT")

    # --- who worked on it ---

    def session(self, started: str) -> int:
        """Somebody begins to work on it; gives the number of the session."""
        return int(self._base.execute("INSERT INTO session VALUES (?, 0, 0)", (started,)).lastrowid or 0)

    def worked(self, session: int, seconds: float, domains: int) -> None:
        """How long a session has taken, and how many domains it has done."""
        self._base.execute("UPDATE session SET seconds = ?, domains = ? WHERE rowid = ?", (seconds, domains, session))

    def newest_session(self) -> tuple[float, int]:
        """How long the newest session that has done something took, and how many domains it has done."""
        query = "SELECT seconds, domains FROM session WHERE domains > 0 ORDER BY rowid DESC LIMIT 1"
        row = self._base.execute(query).fetchone()
        return (0.0, 0) if row is None else (float(row[0]), int(row[1]))


class _Read:
    """What is known of an input while it is read."""

    def __init__(self) -> None:
        self.domains = 0
        self.duplicates = 0
        self.refused: list[tuple[int, str]] = []
        self._sum = hashlib.sha256()

    def add(self, domain: str, about: str) -> None:
        self.domains += 1
        self._sum.update(f"{domain}\t{about}\n".encode())

    @property
    def digest(self) -> str:
        return self._sum.hexdigest()


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _about(subject: FleetSubject) -> str:
    values = {
        "purpose": subject.purpose.value if subject.purpose else None,
        "daily_volume": subject.daily_volume,
        "selectors": subject.selectors,
        "labels": dict(subject.labels),
    }
    given = {name: value for name, value in values.items() if value not in (None, (), {})}
    return _text(given) if given else ""


def _subject(domain: str, about: str) -> FleetSubject:
    if not about:
        return FleetSubject(domain)
    given = json.loads(about)
    return FleetSubject(
        domain,
        Purpose(given["purpose"]) if "purpose" in given else None,
        given.get("daily_volume"),
        tuple(given.get("selectors", ())),
        given.get("labels", {}),
    )
