"""Where the processor time of one domain goes: gathering, judging, rehearsing remedies, and each kind of report.

Audits the corpus' sending domains from their zone files, so that no name server and no network plays a part, and prints
for each stage its milliseconds. A warm domain with its text is S6, its page as HTML S3. "findings" is judging alone, as
a fleet needs it; "judge" has the plan and the answer too.

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

WARM, PAGE, PAGE_OCTETS = 20, 9, 70_000
"""Milliseconds of a domain with its text, and of its page; octets of the page."""
REPORTS = ("text", "html", "json")

Times = dict[str, list[float]]


@contextmanager
def timed(stage: str, times: Times) -> Iterator[None]:
    """Processor time of all threads: judging is done in one of its own."""
    begin = time.process_time()
    yield
    times[stage].append(time.process_time() - begin)


Sizes = dict[str, list[int]]


async def audit(domain: str, ports: Ports, rules: RuleSet, speaker: Speaker, times: Times) -> dict[str, int]:
    """One domain; the octets of its report in each format."""
    with timed("gather", times):
        audited = await gather_facts(Subject(domain), ports, Extras(remedies=True), rules.knowledge)
    with timed("findings", times):
        judge_facts(audited.facts, rules, Selection())
    with timed("judge", times):
        make_report(audited, rules, Selection())
    with timed("judge and rehearse", times):
        report = (await full_report(audited, rules, Selection())).report
    times["rehearse"].append(times["judge and rehearse"][-1] - times["judge"][-1])
    sizes = {}
    for name in REPORTS:
        with timed(name, times):
            writer = PRINTED[name].writer(speaker, WriterOptions(1, trace=False, fail_on=Severity.ERROR, whole=False))
            text = writer.report(ReportView(report, speaker)) + writer.end()
        sizes[name] = len(text.encode())
    return sizes


async def measure(domains: list[str], zones: Path, rounds: int) -> tuple[Times, Sizes]:
    gc.set_threshold(100_000, 20, 20)  # as `deliv` does for an audit, which is over before much is to be collected
    rules = load_rules()
    speaker = Speaker(rules, catalogue(), "en")
    resolver = ZoneResolver.load([zones])
    times: Times = defaultdict(list)
    sizes: Sizes = defaultdict(list)
    for turn in range(rounds + 1):
        if turn == 1:  # the first round reads the zones, the templates and the words
            times.clear()
            sizes.clear()
            gc.collect()
            gc.freeze()
        for domain in domains:
            gc.collect()
            ports = Ports(resolver, sources=("zone-file",))
            for name, size in (await audit(domain, ports, rules, speaker, times)).items():
                sizes[name].append(size)
    return times, sizes


def rows_of(times: Times, sizes: Sizes) -> list[dict[str, object]]:
    """S6 and S3; of stages the mean, since what one domain does not need another does."""
    each = {stage: 1000 * statistics.mean(spent) for stage, spent in times.items()}
    warm = sum(each[stage] for stage in ("gather", "judge and rehearse", "text"))
    page, octets = each["html"], statistics.median(sizes["html"])
    parts = ("gather", "findings", "judge", "rehearse", "text")
    return [
        row("S6", "one warm domain with its text: CPU, ms", warm, f"≤ {WARM}", warm <= WARM),
        *(row("S6", f"of this, {stage}: CPU, ms", each[stage]) for stage in parts),
        row("S3", "HTML of a domain: CPU, ms", page, f"≤ {PAGE}", page <= PAGE),
        row("S3", "HTML of a domain, bytes, median", octets, f"≤ {PAGE_OCTETS:,}", octets <= PAGE_OCTETS),
        row("S3", "JSON of a domain: CPU, ms", each["json"]),
        row("S3", "JSON of a domain, bytes, median", statistics.median(sizes["json"])),
    ]


def row(target: str, case: str, measured: float, goal: str = "", met: bool | None = None) -> dict[str, object]:
    return {"target": target, "case": case, "measured": round(measured, 3), "goal": goal, "peer": "", "met": met}


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
    print(f"{len(domains)} domains, {given.rounds} rounds; CPU per domain in ms, mean and median")
    for stage in ("gather", "findings", "judge", "rehearse", *REPORTS):
        print(f"  {stage:<10}{statistics.mean(times[stage]) * 1e3:8.2f}{statistics.median(times[stage]) * 1e3:8.2f}")
    rows = rows_of(times, sizes)
    for each in rows:
        state = {True: "met", False: "NOT MET", None: ""}[each["met"]]  # type: ignore[index]
        print(f"  {each['case']:<52}{each['measured']:>10}  {each['goal']:<8} {state}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
