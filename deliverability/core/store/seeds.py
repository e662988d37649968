"""Where test mails landed, in the history: a row a test and mailbox."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from sqlalchemy import ColumnElement, delete, insert, select

from deliverability.core.store.store import History
from deliverability.core.store.tables import seeds as table

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
            this = (table.c.test == row.test) & (table.c.mailbox == row.mailbox)
            known = connection.execute(select(table.c.folder).where(this)).first() is not None
            if known and row.folder == UNREACHABLE:
                continue
            values = {name: getattr(row, name) for name in SeedRow.__struct_fields__}
            values |= {name: json.dumps(values[name]) for name in _JSON}
            connection.execute(delete(table).where(this))
            connection.execute(insert(table).values(values))


def read_on(history: History, day: str) -> frozenset[str]:
    """The tests that were read on that day (ISO, UTC). Raises HistoryError."""
    with history.reading() as connection:
        found = connection.execute(select(table.c.test).where(table.c.found.startswith(day)).distinct())
        return frozenset(found.scalars())


def seeds_since(history: History, moment: str) -> tuple[SeedRow, ...]:
    """What was found since then (ISO), in the order of time. Raises HistoryError."""
    return _rows(history, table.c.found >= moment)


def seeds_of(history: History, tests: Collection[str]) -> tuple[SeedRow, ...]:
    """What was found of these tests, in the order of time. Raises HistoryError."""
    return _rows(history, table.c.test.in_(tests))


def _rows(history: History, which: ColumnElement[bool]) -> tuple[SeedRow, ...]:
    wanted = select(*(table.c[name] for name in SeedRow.__struct_fields__)).where(which)
    with history.reading() as connection:
        found = connection.execute(wanted.order_by(table.c.found, table.c.test, table.c.mailbox)).mappings().all()
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
