"""One domain after the other against a loopback name server that takes 20 ms for every answer, nothing cached (S6).

    python benchmarks/one_domain.py [--domains N] [--json FILE] [DOMAIN]...

Prints, over the corpus' sending domains, time / (dependent round trips x 20 ms), for gathering and for everything:
rules, remedies with their rehearsals and the report as text. The dependent round trips are those that no client can
avoid: the SPF tree level by level with the addresses of its leaves, the addresses of the MX hosts, and DMARC with the
consent of its report addresses. Both are measured for a domain before the next one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.nameserver import serving  # noqa: E402
from deliverability.core.facts.base import FactSet, records_of  # noqa: E402
from deliverability.core.facts.spf import SpfTree  # noqa: E402
from deliverability.core.inputs import Subject  # noqa: E402
from deliverability.core.model.rules import RuleSet, Severity  # noqa: E402
from deliverability.core.net.dns import LiveResolver  # noqa: E402
from deliverability.core.net.ports import Ports  # noqa: E402
from deliverability.core.net.servers import parse_server  # noqa: E402
from deliverability.core.net.zone import ZoneResolver  # noqa: E402
from deliverability.core.report.formats.table import PRINTED, WriterOptions  # noqa: E402
from deliverability.core.report.report import ReportView  # noqa: E402
from deliverability.core.rules.judge import Selection  # noqa: E402
from deliverability.core.words.speaker import Speaker  # noqa: E402
from deliverability.engine.audit import Extras, gather_facts, report_on  # noqa: E402
from deliverability.engine.base import catalogue  # noqa: E402
from deliverability.engine.rules import load_rules  # noqa: E402
from tests.corpus import corpus_root  # noqa: E402

DELAY = 0.020
GATHER, ALL = "gathering alone", "everything, with remedies and report"

Ratios = dict[str, list[float]]


def spf_depth(tree: SpfTree | None) -> int:
    """Round trips of an include tree: its record, then the deepest of its terms."""
    below = 0
    for term in tree.terms if tree else ():
        if term.tree:
            below = max(below, spf_depth(term.tree))
        elif term.mechanism in ("a", "exists") and term.lookups:
            below = max(below, 1)
        elif term.mechanism == "mx" and term.lookups:
            below = max(below, 2)
    return 1 + below


def round_trips(facts: FactSet) -> int:
    """How many answers have to come one after the other."""
    external = facts.value("dmarc.rua") or facts.value("dmarc.ruf")
    hosts = records_of(facts.value("mx.hosts"))
    tree = facts.value("spf.tree")
    return max(spf_depth(tree if isinstance(tree, SpfTree) else None), 2 if external or hosts else 1)


async def audit(domain: str, ports: Ports, rules: RuleSet, speaker: Speaker) -> None:
    """One domain as `deliv audit` does it, up to the text of its report."""
    report = (await report_on(Subject(domain), ports, rules, Selection(), Extras(remedies=True))).report
    writer = PRINTED["text"].writer(speaker, WriterOptions(1, trace=False, fail_on=Severity.ERROR, whole=False))
    if not writer.report(ReportView(report, speaker)) + writer.end():
        raise ValueError("an empty report")


async def measure(domains: list[str], port: int) -> tuple[Ratios, list[int]]:
    rules = load_rules()
    speaker = Speaker(rules, catalogue(), "en")
    ratios: Ratios = {GATHER: [], ALL: []}
    trips = []
    for turn in range(2):  # the first one reads tables and templates, and the name server the zones
        for domain in domains:
            taken = {}
            for name in ratios:
                ports = Ports(LiveResolver([parse_server(f"127.0.0.1:{port}")]), sources=("live",))
                begin = time.perf_counter()
                if name == GATHER:
                    audited = await gather_facts(Subject(domain), ports, knowledge=rules.knowledge)
                else:
                    await audit(domain, ports, rules, speaker)
                taken[name] = time.perf_counter() - begin
                await ports.close()
            if turn:
                trips.append(round_trips(audited.facts))
                for name, seconds in taken.items():
                    ratios[name].append(seconds / (trips[-1] * DELAY))
    return ratios, trips


def rows_of(ratios: Ratios) -> list[dict[str, Any]]:
    rows = []
    for name, each in ratios.items():
        ordered = sorted(each)
        for which, value in (
            ("median", statistics.median(ordered)),
            ("90th percentile", ordered[int(len(ordered) * 0.9)]),
        ):
            rows.append(
                {
                    "target": "S6",
                    "case": f"{name}: {which}",
                    "measured": value,
                    "goal": "",
                    "peer": "dependent round trips",
                    "met": None,
                }
            )
    return rows


def main() -> None:
    root = corpus_root()
    if root is None:
        sys.exit("the corpus is not here; set DELIV_CORPUS to its folder")
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--domains", type=int, help="so many of the corpus")
    parser.add_argument("--json", type=Path)
    parser.add_argument("domain", nargs="*")
    given = parser.parse_args()
    zones = root / "zones"
    index = [line.split("\t") for line in (zones / "index.tsv").read_text("utf-8").splitlines()[1:]]
    domains = given.domain or [row[0] for row in index if row[1] == "sender"][: given.domains]
    with serving(partial(ZoneResolver.load, [zones]), delay=DELAY) as server:
        ratios, trips = asyncio.run(measure(domains, server.port))
    for number, domain in enumerate(given.domain):
        each = ", ".join(f"{name} {ratios[name][number]:.2f}" for name in ratios)
        print(f"{domain:<40} {trips[number]} round trips: {each}")
    rows = rows_of(ratios)
    print(f"{len(domains)} domains, round trips median {statistics.median(trips)}; time / (round trips x 20 ms):")
    for row in rows:
        print(f"{row['case']:<50} {row['measured']:5.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
