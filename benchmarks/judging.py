"""Where the processor time of one domain goes: gathering, judging, rehearsing remedies, and each kind of report.

Audits the corpus' sending domains from their zone files, so that no name server and no network plays a part, and prints
for each stage its milliseconds and its share of a domain, and for each report its share of a domain that is written in
that format: the aim is at most a quarter (P12). The JSON of a healthy domain is to have at most 60 kB. "findings" is
judging alone, as a fleet needs it; "judge" has the plan and the answer too.

    python benchmarks/judging.py [--rounds N] [--all] [--json FILE] [DOMAIN]...
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deliverability.core.inputs import Subject  # noqa: E402
from deliverability.core.model.report import Report  # noqa: E402
from deliverability.core.model.rules import RuleSet, Severity  # noqa: E402
from deliverability.core.net.ports import Ports  # noqa: E402
from deliverability.core.net.zone import ZoneResolver  # noqa: E402
from deliverability.core.report.formats.table import PRINTED, WriterOptions  # noqa: E402
from deliverability.core.report.report import ReportView  # noqa: E402
from deliverability.core.rules.judge import Selection  # noqa: E402
from deliverability.core.words.speaker import Speaker  # noqa: E402
from deliverability.engine.audit import Extras, full_report, gather_facts, judge_facts, make_report  # noqa: E402
from deliverability.engine.base import catalogue  # noqa: E402
from deliverability.engine.rules import load_rules  # noqa: E402
from tests.corpus import corpus_root  # noqa: E402

SHARE, OCTETS = 0.25, 60_000
REPORTS = ("text", "html", "json")

Times = dict[str, list[float]]


@contextmanager
def timed(stage: str, times: Times) -> Iterator[None]:
    """Processor time of all threads: judging is done in one of its own."""
    begin = time.process_time()
    yield
    times[stage].append(time.process_time() - begin)


async def audit(domain: str, ports: Ports, rules: RuleSet, speaker: Speaker, times: Times) -> tuple[Report, int]:
    """One domain; its report and the octets of the report as JSON."""
    with timed("gather", times):
        audited = await gather_facts(Subject(domain), ports, Extras(remedies=True), rules.knowledge)
    with timed("findings", times):
        judge_facts(audited.facts, rules, Selection())
    with timed("judge", times):
        make_report(audited, rules, Selection())
    with timed("judge and rehearse", times):
        report = (await full_report(audited, rules, Selection())).report
    times["rehearse"].append(times["judge and rehearse"][-1] - times["judge"][-1])
    size = 0
    for name in REPORTS:
        with timed(name, times):
            writer = PRINTED[name].writer(speaker, WriterOptions(1, trace=False, fail_on=Severity.ERROR, whole=False))
            text = writer.report(ReportView(report, speaker)) + writer.end()
        size = len(text.encode()) if name == "json" else size
    return report, size


def healthy(report: Report) -> bool:
    """Everything could be looked up, and nothing that counts for delivery is wrong."""
    return not report.failures and report.assessment.grade == "A"


async def measure(domains: list[str], zones: Path, rounds: int) -> tuple[Times, list[int]]:
    rules = load_rules()
    speaker = Speaker(rules, catalogue(), "en")
    resolver = ZoneResolver.load([zones])
    times: Times = defaultdict(list)
    sizes: dict[str, int] = {}
    for turn in range(rounds + 1):
        if turn == 1:  # the first round reads the zones, the templates and the words
            times.clear()
            gc.collect()
            gc.freeze()
        for domain in domains:
            ports = Ports(resolver, sources=("zone-file",))
            report, size = await audit(domain, ports, rules, speaker, times)
            if healthy(report):
                sizes[domain] = size
    return times, sorted(sizes.values())


def rows_of(times: Times, sizes: list[int]) -> list[dict[str, object]]:
    base = sum(sum(times[stage]) for stage in ("gather", "judge", "rehearse"))
    rows: list[dict[str, object]] = []
    for stage in ("gather", "judge", "rehearse"):
        share = sum(times[stage]) / base
        rows.append(row(f"{stage}: share of a domain's CPU without a report", share, "", None))
    for name in REPORTS:
        share = sum(times[name]) / (base + sum(times[name]))
        rows.append(row(f"{name} report: share of a domain's CPU", share, f"≤ {SHARE}", share <= SHARE))
    if sizes:
        largest = sizes[-1]
        rows.append(row("JSON of a healthy domain, octets, the median", statistics.median(sizes), "", None))
        rows.append(row("JSON of a healthy domain, octets, the largest", largest, f"≤ {OCTETS}", largest <= OCTETS))
    return rows


def row(case: str, measured: float, goal: str, met: bool | None) -> dict[str, object]:
    return {"target": "P12", "case": case, "measured": round(measured, 3), "goal": goal, "peer": "", "met": met}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--all", action="store_true", help="every zone, not those of senders only")
    options.add_argument("--json", type=Path, help="write the figures to this file")
    options.add_argument("domains", nargs="*")
    given = options.parse_args()
    root = corpus_root()
    if root is None:
        sys.exit("the corpus is not here; set DELIV_CORPUS to its folder")
    zones = root / "zones"
    index = [line.split("\t") for line in (zones / "index.tsv").read_text("utf-8").splitlines()[1:]]
    domains = given.domains or [each[0] for each in index if given.all or each[1] == "sender"]
    times, sizes = asyncio.run(measure(domains, zones, given.rounds))
    print(f"{len(domains)} domains, {given.rounds} rounds; CPU a domain in ms, mean and median")
    for stage in ("gather", "findings", "judge", "rehearse", *REPORTS):
        print(f"  {stage:<10}{statistics.mean(times[stage]) * 1e3:8.2f}{statistics.median(times[stage]) * 1e3:8.2f}")
    rows = rows_of(times, sizes)
    print(f"{len(sizes)} of them are healthy" if sizes else "none of them is healthy")
    for each in rows:
        state = {True: "met", False: "NOT MET", None: ""}[each["met"]]  # type: ignore[index]
        print(f"  {each['case']:<52}{each['measured']:>10}  {each['goal']:<8} {state}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
