"""What a store of observations holds, whatever the order in which it came in."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sqlalchemy import select

from deliverability.core.store.facets import OCTETS, key_file, read_facets
from deliverability.core.store.store import History
from deliverability.core.store.tables import (
    obs_campaigns,
    obs_causes,
    obs_days,
    obs_events,
    obs_facets,
    obs_items,
    obs_labels,
    obs_metrics,
    obs_reports,
    obs_rows,
    obs_sums,
    obs_weeks,
)

_KEY = bytes(range(OCTETS))


def with_known_key(file: Path) -> Path:
    """The file of a history that is to be compared with others: it hides things with the same key as they do."""
    file.parent.mkdir(parents=True, exist_ok=True)
    key_file(file).write_bytes(_KEY)
    return file


_OF_THE_WAY = ("id", "intake")  # what depends on the order


def contents(history: History) -> list[str]:
    """Reports, rows, sums, items, results of mails and numbers as text, with facets written out."""
    with history.reading() as connection:
        facets = read_facets(connection, connection.execute(select(obs_facets.c.id)).scalars().all())
        labels = sorted(connection.execute(select(obs_labels.c.text)).scalars())
        found = [f"label {each}" for each in labels] + [f"facet {each}" for each in sorted(map(str, facets.values()))]
        keys = {}
        reports = []
        for row in connection.execute(select(obs_reports)).mappings():
            keys[row["id"]] = bytes(row["key"]).hex()
            reports.append(str(sorted((k, _plain(v)) for k, v in row.items() if k not in _OF_THE_WAY)))
        found += sorted(reports)
        rows = connection.execute(select(obs_rows).order_by(obs_rows.c.report, obs_rows.c.number))
        found += sorted(
            f"{keys[row.report]} {row.number:9} {bytes(row.ip).hex()} {row.messages} {facets[row.facet]}"
            for row in rows
        )
        found += sorted(
            f"{row.domain} {row.week} {row.reporter} {row.trust} {bytes(row.ip).hex()} {row.messages}"
            f" {facets[row.facet]}"
            for row in connection.execute(
                select(obs_weeks, obs_sums).join_from(obs_weeks, obs_sums, obs_sums.c.week == obs_weeks.c.id)
            )
        )
        for table in (obs_campaigns, obs_causes, obs_days, obs_events, obs_metrics):
            every = connection.execute(select(table)).mappings()
            found += sorted(f"{table.name} {sorted((k, _plain(v)) for k, v in row.items())}" for row in every)
        found += sorted(f"{bytes(row.digest).hex()} {row.state}" for row in connection.execute(select(obs_items)))
        return found


def digest(history: History) -> str:
    """A digest of the contents."""
    return hashlib.sha256("\n".join(contents(history)).encode()).hexdigest()


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
