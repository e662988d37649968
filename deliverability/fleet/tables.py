"""A fleet run as tables for SQL: in SQLite, or as Parquet read by DuckDB where that is installed (extra fleet).

They are written beside the run when they are first asked for, and anew when the run has changed::

    tables.sqlite3             without DuckDB
    tables/findings.parquet    with it, a file a table; tables/digest says of which state
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.errors import InputError, set_aside
from deliverability.core.files import PRIVATE_FOLDER, move, private
from deliverability.core.model.report import Outcome
from deliverability.fleet.folder import FleetFolder
from deliverability.fleet.shards import FleetRow
from deliverability.fleet.tally import records

BAD_QUERY = Code("fleet-bad-query", ("why", "tables"))
NO_DUCKDB = Code("fleet-no-duckdb")

_TEXT, _NUMBER, _BOOL = "VARCHAR", "INTEGER", "BOOLEAN"
_Row = tuple[Any, ...]


class _Table(Struct, frozen=True):
    """A table: its columns with their types, and what a domain gives it."""

    columns: tuple[tuple[str, str], ...]
    rows: Callable[[FleetRow], Iterable[_Row]]


def _domain(row: FleetRow) -> Iterable[_Row]:
    unmet = [each.severity for each in row.findings if each.outcome == Outcome.UNMET and not each.waiver]
    lookups, stage, policy = (row.facts.get(path) for path in ("spf.lookups", "dmarc.stage", "dmarc.policy"))
    yield (
        *(row.domain, row.grade, row.dns, row.parked, row.failed),
        stage if isinstance(stage, str) else None,
        policy if isinstance(policy, str) else None,
        lookups if isinstance(lookups, int) else None,
        *(unmet.count("error"), unmet.count("warning")),
        " ".join(row.name_servers) if row.name_servers else None,
    )


def _findings(row: FleetRow) -> Iterable[_Row]:
    for each in row.findings:
        yield row.domain, each.rule, each.item, each.outcome, each.severity, each.fingerprint, each.waiver or None


def _of_records(path: str, *fields: str) -> Callable[[FleetRow], Iterable[_Row]]:
    def rows(row: FleetRow) -> Iterable[_Row]:
        for each in records(row, path):
            yield row.domain, *(_plain(each.get(name)) for name in fields)

    return rows


def _plain(value: Any) -> Any:
    return None if isinstance(value, dict) else " ".join(map(str, value)) if isinstance(value, list) else value


_OF = ("domain", _TEXT)
_TABLES = {
    "domains": _Table(
        (
            *(_OF, ("grade", _TEXT), ("dns", _TEXT), ("parked", _BOOL), ("failed", _BOOL), ("dmarc_stage", _TEXT)),
            *(("dmarc_policy", _TEXT), ("spf_lookups", _NUMBER), ("errors", _NUMBER), ("warnings", _NUMBER)),
            ("name_servers", _TEXT),
        ),
        _domain,
    ),
    "labels": _Table(
        (_OF, ("label", _TEXT), ("value", _TEXT)),
        lambda row: ((row.domain, label, value) for label, value in row.labels.items()),
    ),
    "findings": _Table(
        (
            *(_OF, ("rule", _TEXT), ("item", _TEXT), ("outcome", _TEXT), ("severity", _TEXT)),
            *(("fingerprint", _TEXT), ("waiver", _TEXT)),
        ),
        _findings,
    ),
    "verdicts": _Table(
        (_OF, ("receiver", _TEXT), ("verdict", _TEXT)),
        lambda row: ((row.domain, receiver, verdict) for receiver, verdict in row.verdicts.items()),
    ),
    "clauses": _Table(
        (_OF, ("profile", _TEXT), ("clause", _TEXT), ("state", _TEXT)),
        lambda row: (
            (row.domain, profile, clause, state)
            for profile, clauses in row.profiles.items()
            for clause, state in clauses.items()
        ),
    ),
    "includes": _Table(
        (_OF, ("target", _TEXT), ("lookups", _NUMBER), ("void_lookups", _NUMBER)),
        _of_records("spf.include_costs", "target", "lookups", "void_lookups"),
    ),
    "services": _Table(
        (_OF, ("service", _TEXT), ("authorised", _BOOL), ("lookups", _NUMBER), ("selectors", _TEXT)),
        _of_records("senders.services", "id", "authorised", "spf_lookups", "selectors"),
    ),
    "keys": _Table(
        (
            *(_OF, ("key_domain", _TEXT), ("selector", _TEXT), ("present", _BOOL), ("type", _TEXT)),
            *(("bits", _NUMBER), ("alias", _TEXT)),
        ),
        _of_records("dkim.keys", "domain", "selector", "present", "type", "bits", "alias"),
    ),
    "unchecked": _Table(
        (_OF, ("asked", _TEXT), ("reason", _TEXT), ("server", _TEXT)),
        lambda row: ((row.domain, each.asked, each.reason, each.server) for each in row.unchecked),
    ),
}
TABLES = {name: tuple(column for column, _ in table.columns) for name, table in _TABLES.items()}
"""The tables and their columns."""


def has_duckdb() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("duckdb") is not None


@contextmanager
def query(fleet: FleetFolder, sql: str) -> Iterator[tuple[Sequence[str], Iterator[_Row]]]:
    """The columns and rows that a query gives. Raises InputError where it cannot be answered, OSError."""
    with ExitStack() as stack:
        connection, wrong = _duck(fleet) if has_duckdb() else _lite(fleet)
        stack.callback(connection.close)
        try:
            found = connection.execute(sql)
            columns = [each[0] for each in found.description or ()]
            yield columns, iter(found.fetchone, None) if columns else iter(())
        except wrong as error:
            raise InputError(BAD_QUERY(why=str(error), tables=tuple(TABLES))) from None


# --- SQLite -------------------------------------------------------------------------------------------------------


def _lite(fleet: FleetFolder) -> tuple[Any, tuple[type[Exception], ...]]:
    path = fleet.folder / "tables.sqlite3"
    if _state_of(path) != fleet.state:
        _write_lite(path, fleet)
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True), (sqlite3.Error, sqlite3.Warning)


def _state_of(path: Path) -> str:
    state = ""
    if path.exists():
        base = sqlite3.connect(path)
        with set_aside(lambda error: None), closing(base):  # whatever it is, it is made again
            state = str(base.execute("SELECT state FROM made_from").fetchone()[0])
    return state


def _write_lite(path: Path, fleet: FleetFolder) -> None:
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(private(str(made), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        base = sqlite3.connect(made, isolation_level=None)
        try:
            # Nothing is lost if it breaks off: it is made again.
            base.execute("PRAGMA journal_mode = OFF")
            base.execute("PRAGMA synchronous = OFF")
            base.execute("BEGIN")
            inserts = {}
            for name, table in _TABLES.items():
                columns = ", ".join(f"{column} {kind}" for column, kind in table.columns)
                base.execute(f"CREATE TABLE {name} ({columns})")
                inserts[name] = f"INSERT INTO {name} VALUES ({', '.join('?' * len(table.columns))})"  # noqa: S608
            for row in fleet.rows():
                for name, table in _TABLES.items():
                    base.executemany(inserts[name], table.rows(row))
            base.execute("CREATE TABLE made_from (state TEXT)")
            base.execute("INSERT INTO made_from VALUES (?)", (fleet.state,))
            base.execute("COMMIT")
        finally:
            base.close()
        move(made, path)
    finally:
        made.unlink(missing_ok=True)


# --- DuckDB -------------------------------------------------------------------------------------------------------


def _duck(fleet: FleetFolder) -> tuple[Any, tuple[type[Exception], ...]]:
    import duckdb

    folder = write_parquet(fleet)
    base = duckdb.connect()
    for name in _TABLES:
        file = _quoted(folder / f"{name}.parquet")
        base.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({file})")  # noqa: S608 - our own names
    return base, (duckdb.Error,)


def write_parquet(fleet: FleetFolder) -> Path:
    """The tables as Parquet; gives their folder. Raises InputError where the extra is not installed, OSError."""
    if not has_duckdb():
        raise InputError(NO_DUCKDB())
    folder = fleet.folder / "tables"
    state = folder / "digest"
    if state.exists() and state.read_bytes() == fleet.state.encode():
        return folder
    made = folder.with_name(f".tables.{secrets.token_hex(4)}.part")
    made.mkdir(PRIVATE_FOLDER)
    try:
        _write_parquet(made, fleet)
        (made / "digest").write_text(fleet.state, "utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        move(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _write_parquet(folder: Path, fleet: FleetFolder) -> None:
    """By way of JSON lines: DuckDB reads them faster than it takes rows one by one."""
    import duckdb

    lines = {name: folder / f"{name}.jsonl" for name in _TABLES}
    with ExitStack() as stack:
        files = {name: stack.enter_context(path.open("w", encoding="utf-8")) for name, path in lines.items()}
        for row in fleet.rows():
            for name, table in _TABLES.items():
                files[name].writelines(
                    json.dumps(dict(zip(TABLES[name], each, strict=True))) + "\n" for each in table.rows(row)
                )
    base = duckdb.connect(config={"memory_limit": "200MB", "threads": 1, "temp_directory": str(folder)})
    try:
        for name, table in _TABLES.items():
            columns = ", ".join(f"{column}: '{kind}'" for column, kind in table.columns)
            source = f"read_json({_quoted(lines[name])}, columns={{{columns}}}, format='newline_delimited')"
            target = _quoted(folder / f"{name}.parquet")
            base.execute(f"COPY (SELECT * FROM {source}) TO {target} (FORMAT parquet, COMPRESSION zstd)")  # noqa: S608
            lines[name].unlink()
    finally:
        base.close()


def _quoted(path: Path) -> str:
    """A path as SQL has texts."""
    return "'" + str(path).replace("'", "''") + "'"
