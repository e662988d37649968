"""The history in a database: SQLite by default, PostgreSQL by URL.

Texts of the message are never kept, only their digests and lengths: see history.texts.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import sqlalchemy
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import URL, Connection, Engine, delete, insert, inspect, select, text, update
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, OperationalError, SQLAlchemyError

from deliverability.core.codec import decode_facts, encode, encode_facts
from deliverability.core.codes import ABOUT, Code
from deliverability.core.errors import InputError, file_error
from deliverability.core.facts.base import FactSet, KeySeen
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.traffic import Traffic
from deliverability.core.files import PRIVATE_FOLDER, default_history, private
from deliverability.core.model.history import Snapshot, State
from deliverability.core.model.report import Assessment, Outcome
from deliverability.core.model.topic import if_known
from deliverability.core.store.facets import OCTETS, in_portions, key_beside, key_file, key_within
from deliverability.core.store.pieces import (
    Packed,
    Seen,
    assessment_json,
    clear_rows,
    finding_json,
    gate_json,
    keep_rows,
    prune_rows,
    read_assessment,
    read_findings,
    read_gate,
    take_back_rows,
    unpacked,
)
from deliverability.core.store.tables import blobs, runs, snapshots, states
from deliverability.core.store.tables import dkim_keys as keys

P = ParamSpec("P")
T = TypeVar("T")

_NO_FACTS = FactSet({}, {})
_KNOWN = (Outcome.MET, Outcome.UNMET, Outcome.NOT_APPLICABLE)
_BUSY_SECONDS = 30
_LOCK_KEY = 0x64656C6976  # of PostgreSQL's advisory lock: the octets of "deliv"
_MIGRATION_KEY = _LOCK_KEY + 1  # held only while the tables change, so that it never waits for a whole run
_VERSION_TABLE = "deliv_schema"

NO_HISTORY_URL = Code("no-history-url", ("text",))
OTHER_DATABASE = Code("other-database", ("name",))
NO_DRIVER = Code("no-driver", ("why",))
HISTORY_BUSY = Code("history-busy")
NO_RUN_NUMBER = Code("no-run-number")
NEWER_HISTORY = Code("newer-history")
HISTORY_DAMAGED = Code("history-damaged", ("domain",))


_DRIVERS = frozenset({"sqlite3", "psycopg"})
_OF_DATABASE = frozenset({"OperationalError", "DatabaseError", "InternalError"})
"""Errors of the drivers (PEP 249) that say nothing of what was to be kept."""


class HistoryError(InputError):
    """The history cannot be opened or written."""


class DamagedError(HistoryError):
    """What a run kept of a subject cannot be read any more."""


class _LostError(HistoryError):
    """The connection broke: the server was stopped or restarted."""


def twice(method: Callable[P, T]) -> Callable[P, T]:
    """Once more where the connection broke. For what may be done twice: all of it is there, or nothing."""

    @functools.wraps(method)
    def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except _LostError:
            return method(*args, **kwargs)

    return tried


def default_url() -> str:
    """The history in the user's state folder (XDG Base Directory Specification)."""
    return f"sqlite:///{default_history()}"


class HistoryRun(Struct, frozen=True):
    """One run. `finished` is empty while it is not complete."""

    id: int
    started: str
    finished: str
    version: str


class SubjectDigest(Struct, frozen=True):
    """A subject in one run in short: when it was audited, by which rules, and the digest of all that was found."""

    started: str
    rules_digest: str
    digest: str


class Point(Struct, frozen=True):
    """A subject in one run, in short: for trends."""

    run: HistoryRun
    assessment: Assessment
    facts: FactSet


class History:
    """An open history. One process writes at a time; readers may look at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock: Connection | None = None
        self._key = b""
        self._shown = str(engine.url.database) if engine.dialect.name == "sqlite" else _shown(engine.url)

    @classmethod
    def open(cls, url: str = "", *, folder: Path | None = None) -> History:
        """Open a history, make it where there is none, and bring its tables up to date.

        Args:
            url: ``sqlite:///FILE`` or ``postgresql+psycopg://...``; empty: `default_url`.
            folder: the folder a relative FILE is meant from.

        Raises:
            HistoryError: where that cannot be done.

        """
        address, file = _address(url, folder)
        shown = str(file) if file else _shown(address)
        failed = contextlib.ExitStack()
        try:
            if file:
                _prepare(file)
            # Asks first whether a connection still stands: the server may have been restarted since.
            engine = sqlalchemy.create_engine(address, pool_pre_ping=address.get_backend_name() == "postgresql")
            failed.callback(engine.dispose)
            if engine.dialect.name == "sqlite":
                sqlalchemy.event.listen(engine, "connect", _set_up_sqlite)
                sqlalchemy.event.listen(engine, "begin", _begin_sqlite)
            _migrate(engine, shown)
            failed.pop_all()
        except HistoryError:
            raise
        except ModuleNotFoundError as error:
            raise HistoryError(ABOUT(what=shown, detail=NO_DRIVER(why=str(error)))) from None
        except OSError as error:
            raise HistoryError(file_error(shown, error)) from None
        except (ValueError, SQLAlchemyError) as error:  # ValueError: an option that the driver does not take
            raise HistoryError(ABOUT(what=shown, detail=_plain(error))) from None
        finally:
            failed.close()
        return cls(engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def key(self) -> bytes:
        """What digests of words of messages are made with, made where there is none yet. Raises HistoryError."""
        if self._key:
            return self._key
        name = self._engine.url.database
        if self._engine.dialect.name != "sqlite":
            with self._writing() as connection:
                self._key = key_within(connection)
        elif not name or name == ":memory:":
            self._key = os.urandom(OCTETS)
        else:
            try:
                self._key = key_beside(Path(name))
            except OSError as error:
                raise HistoryError(file_error(key_file(Path(name)), error)) from None
            except InputError as error:
                raise HistoryError(*error.details) from None
        return self._key

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the history for the runs of this process alone. Raises HistoryError where another process does."""
        if self._engine.dialect.name == "postgresql":
            self._lock = self._take_lock()
            try:
                yield
            finally:
                self._drop_lock()
            return
        name = self._engine.url.database
        with contextlib.ExitStack() as stack:
            if name and name != ":memory:":
                try:
                    lock = stack.enter_context(open(f"{name}.lock", "a", opener=private))
                except OSError as error:
                    raise HistoryError(file_error(f"{name}.lock", error)) from None
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise HistoryError(HISTORY_BUSY()) from None
            yield

    def _take_lock(self) -> Connection:
        """A connection that holds PostgreSQL's advisory lock. Raises HistoryError where another process has it."""
        with self._database_errors():
            connection = self._connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}).scalar():
                return connection
            connection.close()
        raise HistoryError(HISTORY_BUSY())

    def _drop_lock(self) -> None:
        """Give the lock back; where the connection broke, it went with it."""
        if self._lock is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})
            self._lock.close()
            self._lock = None

    def _keep_lock(self) -> None:
        """Take the lock again where the server was restarted. Raises HistoryError where another process was faster."""
        if self._lock is None:
            return
        try:
            self._lock.execute(text("SELECT 1"))
        except DBAPIError:
            self._drop_lock()
            self._lock = self._take_lock()

    def _connect(self) -> Connection:
        """A connection; a server that is just being restarted is waited for."""
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return self._engine.connect()
            except OperationalError:
                if self._engine.dialect.name == "sqlite" or time.monotonic() > give_up:
                    raise
                time.sleep(0.5)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection to read from. Raises HistoryError."""
        with self._database_errors(), self._connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that is to write. Raises HistoryError."""
        with self._database_errors():
            self._keep_lock()
            with _writing(self._connect()) as connection:
                yield connection

    @contextlib.contextmanager
    def _database_errors(self) -> Iterator[None]:
        """Turn what the database says into HistoryError, but for a value that cannot be kept: another one can."""
        try:
            yield
        except DataError:
            raise
        except SQLAlchemyError as error:
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            raise (_LostError if lost else HistoryError)(ABOUT(what=self._shown, detail=_plain(error))) from error
        except Exception as error:
            if type(error).__name__ not in _OF_DATABASE or type(error).__module__.partition(".")[0] not in _DRIVERS:
                raise
            raise HistoryError(ABOUT(what=self._shown, detail=str(error))) from error

    def reading(self) -> contextlib.AbstractContextManager[Connection]:
        """A connection to read what else is kept here. Raises HistoryError."""
        return self._reading()

    def writing(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction to write what else is kept here. Raises HistoryError."""
        return self._writing()

    # --- Runs ---

    @twice
    def begin(self, started: str, version: str) -> HistoryRun:
        """The run to go on with: the newest where it is not finished (its process was killed), else a new one."""
        with self._writing() as connection:
            newest = connection.execute(select(runs).order_by(runs.c.id.desc()).limit(1)).first()
            if newest is not None and not newest.finished:
                return HistoryRun(newest.id, newest.started, "", newest.version)
            made = connection.execute(insert(runs).values(started=started, version=version, finished=""))
            key = made.inserted_primary_key
            if key is None:
                raise HistoryError(NO_RUN_NUMBER())
            return HistoryRun(int(key[0]), started, "", version)

    @twice
    def restart(self, run: HistoryRun, started: str) -> HistoryRun:
        """Begin an unfinished run anew: what it kept is no longer what is so, and was told to nobody."""
        with self._writing() as connection:
            connection.execute(delete(snapshots).where(snapshots.c.run == run.id))
            take_back_rows(connection, run.id)
            connection.execute(delete(states).where(states.c.since == run.started))
            connection.execute(update(runs).where(runs.c.id == run.id).values(started=started))
        return HistoryRun(run.id, started, "", run.version)

    @twice
    def finish(self, run: HistoryRun, finished: str) -> None:
        """Mark a run as complete."""
        with self._writing() as connection:
            connection.execute(update(runs).where(runs.c.id == run.id).values(finished=finished))

    @twice
    def runs(self) -> tuple[HistoryRun, ...]:
        """All runs, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(select(runs).order_by(runs.c.id))
            return tuple(HistoryRun(row.id, row.started, row.finished, row.version) for row in rows)

    # --- Snapshots ---

    @twice
    def record(
        self,
        run: HistoryRun,
        packed: Packed,
        gone: Collection[str] = (),
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Keep a subject of a run: all of it or, where the process dies, nothing. Once recorded, it stays.

        `gone`: fingerprints of findings that no longer occur; should one come back, it is new. `renamed`: fingerprint
        in earlier runs -> now; what was known under the former goes on under the latter.
        """
        snapshot = packed.snapshot
        subject = {"domain": snapshot.domain, "source": snapshot.source}
        with self._writing() as connection:
            there = select(snapshots.c.id).where(
                snapshots.c.run == run.id,
                snapshots.c.domain == snapshot.domain,
                snapshots.c.source == snapshot.source,
            )
            if connection.execute(there).first() is not None:
                return
            _keep_blobs(connection, packed.texts)
            connection.execute(
                insert(snapshots).values(
                    run=run.id,
                    started=snapshot.started,
                    rules_digest=snapshot.rules_digest,
                    manifest=packed.digest,
                    **subject,
                )
            )
            _keep_states(connection, snapshot, run.started, renamed)
            for some in in_portions(tuple(gone), 100):
                of_subject = (states.c.domain == snapshot.domain) & (states.c.source == snapshot.source)
                connection.execute(delete(states).where(of_subject, states.c.fingerprint.in_(some)))
            _keep_keys(connection, snapshot, run.started)
            keep_rows(connection, Seen.of(run.id, run.started, snapshot))

    @twice
    def recorded(self, run: HistoryRun) -> frozenset[tuple[str, str]]:
        """The subjects (domain, source) that a run has already kept."""
        with self._reading() as connection:
            rows = connection.execute(select(snapshots.c.domain, snapshots.c.source).where(snapshots.c.run == run.id))
            return frozenset((row.domain, row.source) for row in rows)

    def snapshots(
        self,
        domain: str | None = None,
        source: str | None = None,
        *,
        before: HistoryRun | None = None,
        newest: int | None = None,
        damaged: Callable[[DamagedError], None] | None = None,
    ) -> Iterator[tuple[HistoryRun, Snapshot]]:
        """Snapshots with their runs, newest first; `before` leaves out that run and later ones.

        One that cannot be read is told to `damaged` and left out. Raises HistoryError; without `damaged` DamagedError.
        """
        wanted = select(snapshots, runs.c.started.label("run_started"), runs.c.finished, runs.c.version).join_from(
            snapshots, runs
        )
        if domain is not None:
            wanted = wanted.where(snapshots.c.domain == domain)
        if source is not None:
            wanted = wanted.where(snapshots.c.source == source)
        if before is not None:
            wanted = wanted.where(snapshots.c.run < before.id)
        wanted = wanted.order_by(snapshots.c.run.desc(), snapshots.c.id)
        with self._reading() as connection:
            for row in connection.execute(wanted.limit(newest) if newest else wanted).all():
                run = HistoryRun(row.run, row.run_started, row.finished, row.version)
                read = functools.partial(_read, connection, row)
                if (snapshot := _unless_damaged(read, row.domain, damaged)) is not None:
                    yield run, snapshot

    def earlier(
        self, run: HistoryRun, packed: Packed, *, newest: int, damaged: Callable[[DamagedError], None]
    ) -> Iterator[Snapshot]:
        """What the subject of `packed` was in the `newest` runs before that one, newest first, each state once.

        What says the same as `packed` is not read again. One that cannot be read is told to `damaged` and left out.
        """
        now = packed.snapshot
        wanted = (
            select(snapshots)
            .where(snapshots.c.domain == now.domain, snapshots.c.source == now.source, snapshots.c.run < run.id)
            .order_by(snapshots.c.run.desc())
            .limit(newest)
        )
        seen: set[tuple[str, str]] = set()
        with self._reading() as connection:
            for row in connection.execute(wanted).all():
                if (row.manifest, row.rules_digest) in seen:
                    continue
                seen.add((row.manifest, row.rules_digest))
                if row.manifest == packed.digest:
                    yield replace(now, started=row.started, rules_digest=row.rules_digest)
                    continue
                read = functools.partial(_read, connection, row)
                if (snapshot := _unless_damaged(read, row.domain, damaged)) is not None:
                    yield snapshot

    @twice
    def states_of(self, run: HistoryRun) -> Mapping[tuple[str, str], SubjectDigest]:
        """In short what each subject (domain, source) of a run was."""
        wanted = select(
            snapshots.c.domain, snapshots.c.source, snapshots.c.started, snapshots.c.rules_digest, snapshots.c.manifest
        ).where(snapshots.c.run == run.id)
        with self._reading() as connection:
            return {(row.domain, row.source): SubjectDigest(*row[2:]) for row in connection.execute(wanted)}

    @twice
    def grades(self, *, newest: int) -> Mapping[tuple[str, str], tuple[Point, ...]]:
        """As `follow` without facts, for all subjects at once: of the `newest` runs, the newest first."""
        last = select(runs.c.id).order_by(runs.c.id.desc()).limit(newest)
        wanted = (
            select(snapshots.c.domain, snapshots.c.source, snapshots.c.run, snapshots.c.manifest)
            .where(snapshots.c.run.in_(last))
            .order_by(snapshots.c.run.desc())
        )
        by_id = {each.id: each for each in self.runs()}
        found: dict[tuple[str, str], list[Point]] = {}
        graded: dict[str, Assessment | None] = {}
        with self._reading() as connection:
            for row in connection.execute(wanted).all():
                if row.manifest not in graded:
                    graded[row.manifest] = None
                    with contextlib.suppress(DamagedError), _readable(row.domain):
                        verdicts = _pieces(connection, row.manifest, ("verdicts",))["verdicts"]
                        graded[row.manifest] = read_assessment(verdicts)
                if (known := graded[row.manifest]) is not None:
                    point = Point(by_id[row.run], known, _NO_FACTS)
                    found.setdefault((row.domain, row.source), []).append(point)
        return {subject: tuple(points) for subject, points in found.items()}

    @twice
    def follow(self, domain: str, source: str, *, newest: int, topics: Sequence[str] = ()) -> tuple[Point, ...]:
        """The verdicts of a subject and its facts of some topics (``spf``, ``dmarc`` ...), newest run first.

        Reads far less than `snapshots`, and what stayed the same only once; leaves out runs that cannot be read.
        """
        wanted = (
            select(snapshots.c.manifest, runs.c.id, runs.c.started, runs.c.finished, runs.c.version)
            .join_from(snapshots, runs)
            .where(snapshots.c.domain == domain, snapshots.c.source == source)
            .order_by(snapshots.c.run.desc())
            .limit(newest)
        )
        names = [f"facts.{topic}" for topic in topics]
        with self._reading() as connection:
            rows = connection.execute(wanted).all()
            seen: dict[str, tuple[Assessment, FactSet]] = {}
            points = []
            for row in rows:
                with contextlib.suppress(DamagedError), _readable(domain):
                    if row.manifest not in seen:
                        pieces = _pieces(connection, row.manifest, ("verdicts", *names))
                        facts = {path: body for name in names for path, body in pieces.get(name, {}).items()}
                        fact_set, verdicts = decode_facts({"facts": facts, "evidence": []}), pieces["verdicts"]
                        seen[row.manifest] = read_assessment(verdicts), fact_set
                    run = HistoryRun(row.id, row.started, row.finished, row.version)
                    points.append(Point(run, *seen[row.manifest]))
        return tuple(points)

    @twice
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """All subjects (domain, source) that any run has kept."""
        wanted = select(snapshots.c.domain, snapshots.c.source).distinct()
        with self._reading() as connection:
            rows = connection.execute(wanted.order_by(snapshots.c.domain, snapshots.c.source))
            return tuple((row.domain, row.source) for row in rows)

    @twice
    def states(self, domain: str, source: str, *, before: HistoryRun | None = None) -> Mapping[str, State]:
        """What is known of each finding of a subject over all runs, by fingerprint; `before`: not from that run."""
        wanted = select(states).where(states.c.domain == domain, states.c.source == source)
        if before is not None:
            wanted = wanted.where(states.c.since != before.started)
        with self._reading() as connection:
            return {
                row.fingerprint: State(Outcome(row.outcome), row.since, row.checked)
                for row in connection.execute(wanted)
            }

    @twice
    def keys(self, domain: str | None = None) -> tuple[KeySeen, ...]:
        """The DKIM keys of a domain (or of all), by selector and then by when they were first seen."""
        wanted = select(keys).order_by(keys.c.domain, keys.c.selector, keys.c.first_seen, keys.c.fingerprint)
        if domain is not None:
            wanted = wanted.where(keys.c.domain == domain)
        with self._reading() as connection:
            return tuple(KeySeen(*row) for row in connection.execute(wanted))

    @twice
    def prune(self, keep: int) -> int:
        """Forget all but the newest `keep` finished runs, and what only they held; gives how many runs went."""
        with self._writing() as connection:
            finished = select(runs.c.id).where(runs.c.finished != "").order_by(runs.c.id.desc())
            going = [row.id for row in connection.execute(finished)][keep:]
            for number in going:
                connection.execute(delete(snapshots).where(snapshots.c.run == number))
                connection.execute(delete(runs).where(runs.c.id == number))
            if going:
                prune_rows(connection, max(going))
                needed = {row.manifest for row in connection.execute(select(snapshots.c.manifest).distinct())}
                for some in in_portions(tuple(needed), 100):
                    for row in connection.execute(select(blobs.c.data).where(blobs.c.digest.in_(some))):
                        with contextlib.suppress(DamagedError), _readable(""):  # what it named is out of reach
                            needed.update(_manifest(row.data).values())
                unneeded = [
                    row.digest for row in connection.execute(select(blobs.c.digest)) if row.digest not in needed
                ]
                for some in in_portions(unneeded, 100):
                    connection.execute(delete(blobs).where(blobs.c.digest.in_(some)))
            return len(going)

    @twice
    def rebuild(self, damaged: Callable[[DamagedError], None]) -> int:
        """Make the tables for SQL anew from the snapshots, all or nothing; gives of how many. `damaged`: see above."""
        wanted = select(snapshots, runs.c.started.label("run_started")).join_from(snapshots, runs)
        wanted = wanted.order_by(snapshots.c.run, snapshots.c.id)
        number = 0
        with self._writing() as connection:
            clear_rows(connection)
            for row in connection.execute(wanted.execution_options(yield_per=1_000)):
                try:
                    with _readable(row.domain):
                        seen = _seen_again(connection, row)
                    number += 1
                except DamagedError as error:
                    damaged(error)
                    seen = Seen(row.run, _day_of(row), row.domain, row.source)  # nothing is known of it in that run
                keep_rows(connection, seen)
        return number

    def export(self, damaged: Callable[[DamagedError], None] | None = None) -> Iterator[dict[str, Any]]:
        """Everything as JSON values: a snapshot each, by run, domain and source; `damaged` as for `snapshots`."""
        for run in self.runs():
            for snapshot in self._of_run(run, damaged):
                yield {
                    "run": {"started": run.started, "finished": run.finished, "version": run.version},
                    "domain": snapshot.domain,
                    "source": snapshot.source,
                    "started": snapshot.started,
                    "rules_digest": snapshot.rules_digest,
                    "inputs": encode(snapshot.inputs),
                    **encode_facts(snapshot.facts),
                    "findings": [finding_json(each) for each in snapshot.findings],
                    "assessment": assessment_json(snapshot.assessment),
                    **({"gate": gate_json(snapshot.gate)} if snapshot.gate else {}),
                }

    def _of_run(self, run: HistoryRun, damaged: Callable[[DamagedError], None] | None) -> Iterator[Snapshot]:
        with self._reading() as connection:
            wanted = select(snapshots).where(snapshots.c.run == run.id).order_by(snapshots.c.domain, snapshots.c.source)
            for row in connection.execute(wanted).all():
                read = functools.partial(_read, connection, row)
                if (snapshot := _unless_damaged(read, row.domain, damaged)) is not None:
                    yield snapshot


# --- Opening ---


def _shown(address: URL) -> str:
    """An address without anything secret; options may hold a password as well."""
    return address.set(query={}).render_as_string(hide_password=True)


def _masked(url: str) -> str:
    """What cannot be read as an address, without what may be a password: all between the user and the last @."""
    scheme, slashes, rest = url.partition("?")[0].partition("//")
    user, _, host = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{scheme}{slashes}{name}:***@{host}" if colon else f"{scheme}{slashes}{rest}"


def _address(url: str, folder: Path | None) -> tuple[URL, Path | None]:
    """The address of a history, as `History.open` is given it, and its file where it is one. Raises HistoryError."""
    try:
        address = sqlalchemy.make_url(url or default_url())
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        raise HistoryError(NO_HISTORY_URL(text=_masked(url))) from None
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise HistoryError(OTHER_DATABASE(name=address.get_backend_name()))
    if address.get_backend_name() == "postgresql" or address.database in (None, "", ":memory:"):
        return address, None
    file = Path(folder or ".", str(address.database)).absolute()
    return address.set(database=str(file)), file


def missing_file(url: str = "", *, folder: Path | None = None) -> Path | None:
    """The file of a history that nothing was kept in yet; None where there is one. Raises HistoryError."""
    _, file = _address(url, folder)
    return file if file is not None and not file.exists() else None


@contextlib.contextmanager
def kept(url: str, folder: Path | None) -> Iterator[History | None]:
    """The history, to be read; None where nothing was kept in it yet: to open it would make it. Raises HistoryError."""
    if missing_file(url, folder=folder) is not None:
        yield None
    else:
        with History.open(url, folder=folder) as history:
            yield history


def _prepare(file: Path) -> None:
    """The folder and the file, for the user only: what a domain lacks is nobody else's business."""
    file.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if not file.exists():
        os.close(private(str(file), os.O_CREAT | os.O_WRONLY))


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # Python's module would commit before each CREATE TABLE; left to itself, it begins and commits nothing.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    # FULL: a run that is marked as finished, and whose letters go out, is finished also after a power cut.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("deliv_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _writing(connection: Connection) -> Iterator[Connection]:
    """A transaction that is to write: on SQLite it waits for another writer here, where waiting helps, or never."""
    with connection.execution_options(deliv_writes=True), connection.begin():
        yield connection


def _migrate(engine: Engine, shown: str) -> None:
    """Bring the tables up to date: in one transaction, so that a process that dies leaves them as they were.

    Raises HistoryError where a newer version of deliv made them.
    """
    if _made_by(engine) == _newest():
        return  # without loading what changes tables
    from deliverability.core.store.migrations import is_newer, migrate  # Alembic takes longer than all the rest

    with engine.connect() as connection:
        newer = is_newer(connection, _VERSION_TABLE)
    if newer:
        raise HistoryError(ABOUT(what=shown, detail=NEWER_HISTORY()))
    with _writing(engine.connect()) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_KEY})
        migrate(connection)


def _made_by(engine: Engine) -> str:
    """The revision of the tables; empty where there are none."""
    with engine.connect() as connection:
        if not inspect(connection).has_table(_VERSION_TABLE):
            return ""
        found = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalars().all()  # noqa: S608
        return str(found[0]) if len(found) == 1 else ""


def _newest() -> str:
    """The newest revision; the file of each begins with it."""
    steps = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
    return max(each.name.partition("_")[0] for each in steps)


def _plain(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


@contextlib.contextmanager
def _readable(domain: str) -> Iterator[None]:
    """Turn what is wrong with kept pieces into DamagedError."""
    try:
        yield
    except (zlib.error, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedError(HISTORY_DAMAGED(domain=domain)) from error


def _unless_damaged(
    read: Callable[[], Snapshot], domain: str, damaged: Callable[[DamagedError], None] | None
) -> Snapshot | None:
    """What was read; where it cannot be, that is told to `damaged`, or raised without it."""
    try:
        with _readable(domain):
            return read()
    except DamagedError as error:
        if damaged is None:
            raise
        damaged(error)
        return None


def _read(connection: Connection, row: Any) -> Snapshot:
    """The snapshot of a row. Raises what `_readable` turns into DamagedError."""
    return unpacked(_pieces(connection, row.manifest), row.domain, row.source, row.started, row.rules_digest)


def _pieces(connection: Connection, manifest: str, only: Collection[str] = ()) -> dict[str, Any]:
    """The pieces of a manifest; all, or those of these names that there are. Raises as `_read`."""
    found = connection.execute(select(blobs.c.data).where(blobs.c.digest == manifest)).first()
    if found is None:
        raise LookupError(manifest)
    digests = _manifest(found.data)
    wanted = {name: digest for name, digest in digests.items() if not only or name in only}
    texts = _read_blobs(connection, wanted.values())
    return {name: json.loads(texts[digest]) for name, digest in wanted.items()}


def _seen_again(connection: Connection, row: Any) -> Seen:
    """What becomes rows, from a few pieces of a snapshot. Raises as `_read`."""
    topic = Traffic.topic
    pieces = _pieces(connection, row.manifest, ("verdicts", "findings", "gate", f"facts.{topic}"))
    facts = decode_facts({"facts": pieces.get(f"facts.{topic}", {}), "evidence": []})
    return Seen(
        row.run,
        _day_of(row),
        row.domain,
        row.source,
        read_assessment(pieces["verdicts"]).verdicts,
        read_findings(pieces["findings"]),
        if_known(facts.of(Traffic).volume) or (),
        read_gate(pieces),
    )


def _day_of(row: Any) -> date:
    return date.fromisoformat(row.run_started[:10])


def _manifest(data: bytes) -> dict[str, str]:
    """Name and digest of each piece. Raises as `_read`."""
    digests = json.loads(zlib.decompress(data))
    if not isinstance(digests, dict) or not all(isinstance(each, str) for each in digests.values()):
        raise TypeError("no manifest")
    return digests


def _keep_blobs(connection: Connection, texts: Mapping[str, str]) -> None:
    known = {row.digest: row.data for row in connection.execute(select(blobs).where(blobs.c.digest.in_(texts)))}
    fresh = [{"digest": digest, "data": _squeezed(text)} for digest, text in texts.items() if digest not in known]
    if fresh:
        connection.execute(insert(blobs), fresh)
    for digest, data in known.items():
        if not _holds(data, texts[digest]):  # damaged: mended now that the same was seen again
            connection.execute(update(blobs).where(blobs.c.digest == digest).values(data=_squeezed(texts[digest])))


def _squeezed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "backslashreplace"), 6)


def _holds(data: bytes, text: str) -> bool:
    with contextlib.suppress(zlib.error):
        return zlib.decompress(data) == text.encode("utf-8", "backslashreplace")
    return False


def _read_blobs(connection: Connection, digests: Iterable[str]) -> dict[str, str]:
    rows = connection.execute(select(blobs).where(blobs.c.digest.in_(list(digests))))
    return {row.digest: zlib.decompress(row.data).decode("utf-8") for row in rows}


# --- What is known over all runs ---


def _keep_states(connection: Connection, snapshot: Snapshot, started: str, renamed: Mapping[str, str]) -> None:
    """Known outcomes move on; what could not be checked leaves the last known outcome as it stands."""
    of_subject = (states.c.domain == snapshot.domain) & (states.c.source == snapshot.source)
    columns = select(states.c.fingerprint, states.c.outcome)
    known: dict[str, str] = {row.fingerprint: row.outcome for row in connection.execute(columns.where(of_subject))}
    for former, today in renamed.items():
        if former in known and today not in known:
            known[today] = known.pop(former)
            this = of_subject & (states.c.fingerprint == former)
            connection.execute(update(states).where(this).values(fingerprint=today))
    fresh: list[dict[str, str]] = []
    same: list[str] = []
    for finding in {each.fingerprint: each for each in snapshot.findings}.values():
        if finding.outcome not in _KNOWN:
            continue
        outcome = finding.outcome.value
        if finding.fingerprint not in known:
            fresh.append(
                {
                    "domain": snapshot.domain,
                    "source": snapshot.source,
                    "fingerprint": finding.fingerprint,
                    "outcome": outcome,
                    "since": started,
                    "checked": started,
                }
            )
        elif known[finding.fingerprint] == outcome:
            same.append(finding.fingerprint)
        else:
            connection.execute(
                update(states)
                .where(of_subject, states.c.fingerprint == finding.fingerprint)
                .values(outcome=outcome, since=started, checked=started)
            )
    if fresh:
        connection.execute(insert(states), fresh)
    for some in in_portions(same, 100):
        connection.execute(update(states).where(of_subject, states.c.fingerprint.in_(some)).values(checked=started))


def _keep_keys(connection: Connection, snapshot: Snapshot, started: str) -> None:
    found = (each for each in (if_known(snapshot.facts.of(Dkim).keys) or ()) if isinstance(each.fingerprint, str))
    for domain, selector, fingerprint in dict.fromkeys(
        (each.domain, each.selector, each.fingerprint) for each in found
    ):
        this = (keys.c.domain == domain) & (keys.c.selector == selector) & (keys.c.fingerprint == fingerprint)
        if connection.execute(select(keys.c.domain).where(this)).first() is None:
            connection.execute(
                insert(keys).values(
                    domain=domain, selector=selector, fingerprint=fingerprint, first_seen=started, last_seen=started
                )
            )
        else:
            connection.execute(update(keys).where(this).values(last_seen=started))
