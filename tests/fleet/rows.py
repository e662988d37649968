"""Rows of a fleet run for tests, and a folder that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from deliverability.fleet.manifest import FleetPart, ListLine, Manifest, ShardState
from deliverability.fleet.shards import (
    FACTS,
    FINDINGS,
    SHARD,
    FleetFinding,
    FleetRow,
    FleetSubject,
    Lines,
    file_digest,
    write_shard,
)


def row(
    domain: str,
    *,
    unmet: Sequence[str] = (),
    lost: Sequence[str] = (),
    met: Sequence[str] = (),
    severity: str = "error",
    includes: Mapping[str, int] | None = None,
    lookups: int | None = None,
    services: Mapping[str, Sequence[str]] | None = None,
    facts: Mapping[str, Any] | None = None,
    **more: Any,
) -> FleetRow:
    """A domain; `lost`: rules that could not be checked; `services`: id -> terms of SPF.

    Look-ups are those of its includes unless others are named.
    """
    costs = includes or {}
    return FleetRow(
        domain,
        findings=(
            *(FleetFinding(rule, "", "unmet", severity, f"{domain}/{rule}") for rule in unmet),
            *(FleetFinding(rule, "", "unknown", severity, f"{domain}/{rule}") for rule in lost),
        ),
        met=tuple(met),
        facts={
            "spf.lookups": sum(costs.values()) if lookups is None else lookups,
            "spf.include_costs": [{"target": name, "lookups": cost, "void_lookups": 0} for name, cost in costs.items()],
            "senders.services": [
                {"id": name, "spf_terms": list(terms), "selectors": [name[:2]]}
                for name, terms in (services or {}).items()
            ],
            **(facts or {}),
        },
        **more,
    )


def write_fleet(folder: Path, rows: Iterable[FleetRow], at: str = "2026-11-26T09:00:00Z") -> Path:
    """A folder as a run leaves it, but for the facts."""
    every = list(rows)
    folder.mkdir()
    manifest = Manifest(folder, FleetPart())
    manifest.begin((ListLine(n, FleetSubject(each.domain)) for n, each in enumerate(every)), "raw", {})
    for number in range(-(-len(every) // SHARD)):
        lines = Lines()
        some = every[number * SHARD :][:SHARD]
        for place, each in enumerate(some):
            lines.put(place, json.dumps(to_builtins(each)).encode())
        pieces = {FACTS: b"", FINDINGS: lines.packed()}
        write_shard(folder, number, pieces)
        sums = (file_digest(pieces[FACTS]), file_digest(pieces[FINDINGS]))
        manifest.finish(ShardState(number, len(some), 0, False, "judged", f"digest {number}", at, *sums))
    manifest.close()
    return folder
