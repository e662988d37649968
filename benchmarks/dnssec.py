"""What validating DNSSEC costs a healthy domain among many: questions and processor time, with it and without (S10).

    python benchmarks/dnssec.py [--domains N] [--rounds N] [--json FILE]

Signed domains of a world from the root on, each with an MX host of its own without TLSA records, and as many that are
not signed, are gathered and judged one after another; the answers come from memory, and every question counts once, as
in the cache of a fleet. Without validation the same answers come from a resolver that hands out no signatures: that a
zone is signed is then still found out. Rounds with and without it take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deliverability.core.inputs import Subject
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.base import Answer, Failed, Resolver, Signed
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.protocols import validation
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, gather_facts, judge_facts
from deliverability.engine.rules import load_rules
from tests.signedzones import Plan, World, Zone

MOST_QUESTIONS, MOST_CPU = 2, 0.05
KEY = "v=DKIM1; k=ed25519; p=yi50DjK5O9pqbFpNHklsv9lqaS0ArSYu02qp1S0DW1Y="
HEALTHY = (
    "@ MX 10 mail",
    '@ TXT "v=spf1 mx -all"',
    "mail A 62.1.2.3",
    '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:d@{0}"',
    f'default._domainkey TXT "{KEY}"',
)


class Kept:
    """Every answer once; counts the questions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers: dict[tuple[str, str], Answer] = {}

    async def query(self, name: str, rdtype: str) -> Answer:
        """As the world answers."""
        key = (name, rdtype)
        if key not in self._answers:
            self._answers[key] = await self._world.query(name, rdtype)
        return self._answers[key]

    @property
    def questions(self) -> int:
        """How many were asked."""
        return len(self._answers)

    async def close(self) -> None:
        """Nothing is open."""


class Signing(Kept):
    """With signatures."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._signed: dict[tuple[str, str], Signed | Failed] = {}

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """The reply with its signatures."""
        key = (name, rdtype)
        if key not in self._signed:
            self._signed[key] = await self._world.signed(name, rdtype)
        return self._signed[key]

    @property
    def questions(self) -> int:
        """Those with signatures as well."""
        return len(self._answers) + len(self._signed)


async def passes(domains: Sequence[str], resolver: Resolver, rules: RuleSet, now: datetime) -> float:
    """The processor time of all domains."""
    begin = time.process_time()
    for domain in domains:
        audited = await gather_facts(Subject(domain), Ports(resolver, FixedClock(now)), Extras(), rules.knowledge)
        judge_facts(audited.facts, rules, Selection())
    return time.process_time() - begin


async def measure(count: int, rounds: int) -> list[dict[str, Any]]:
    """For signed domains and for others: questions and processor time a domain, with validation and without."""
    rules, now = load_rules(), datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for kind, plan in (("signed", Plan()), ("not signed", Plan(signed=False, ds="none"))):
        domains = [f"d{number}.com" for number in range(count)]
        zones = [
            Zone(each, Plan(plan.signed, plan.ds, records=tuple(line.format(each) for line in HEALTHY)), usual=False)
            for each in domains
        ]
        world = World([Zone(".", usual=False), Zone("com", usual=False), *zones])
        with_it, without = Signing(world), Kept(world)
        times: dict[Kept, list[float]] = {with_it: [], without: []}
        anchors = world.anchors
        with patch.object(validation, "root_anchors", return_value=anchors):
            for turn in range(rounds + 1):
                for resolver in times:
                    # No domain of a fleet is met twice; those above it are.
                    for cache in (validation._message, validation._is_valid, validation._names):
                        cache.cache_clear()
                    spent = await passes(domains, resolver, rules, now)
                    if turn:  # the first round fills the caches
                        times[resolver].append(spent / count)
        cpu, base = (statistics.median(times[each]) for each in (with_it, without))
        more = (with_it.questions - without.questions) / count
        share = (cpu - base) / base
        rows += [
            row(f"{kind}: more queries per domain", round(more, 2), f"≤ {MOST_QUESTIONS}", met=more <= MOST_QUESTIONS),
            row(f"{kind}: more CPU", round(share, 3), f"≤ {MOST_CPU}", met=share <= MOST_CPU),
            row(f"{kind}: CPU per domain, ms", round(cpu * 1e3, 2), "", met=None),
        ]
    return rows


def row(case: str, measured: float, goal: str, *, met: bool | None) -> dict[str, Any]:
    return {"target": "S10", "case": f"DNSSEC, {case}", "measured": measured, "goal": goal, "peer": "", "met": met}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--domains", type=int, default=100)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path, help="write the figures to this file")
    given = options.parse_args()
    rows = asyncio.run(measure(given.domains, given.rounds))
    for each in rows:
        print(each["case"], each["measured"], each["goal"], {True: "met", False: "NOT MET", None: ""}[each["met"]])
    if given.json:
        given.json.write_text(json.dumps(rows), "utf-8")


if __name__ == "__main__":
    main()
