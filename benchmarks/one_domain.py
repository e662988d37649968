"""One domain after the other against a loopback name server that takes 20 ms for every answer.

Prints, over the corpus' sending domains, time / (dependent round trips x 20 ms): the aim is at most 1.3 in the median.
The dependent round trips are those that no client can avoid: the SPF tree level by level with the addresses of its
leaves, and DMARC with the consent of its report addresses.

    python benchmarks/one_domain.py [DOMAIN]...
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deliverability.model.facts import FactSet  # noqa: E402
from deliverability.model.spf import SpfTree, spf_tree  # noqa: E402
from deliverability.ports.dns import LiveResolver  # noqa: E402
from deliverability.ports.ports import Ports  # noqa: E402
from deliverability.ports.servers import parse_server  # noqa: E402
from deliverability.ports.zone import ZoneResolver  # noqa: E402
from deliverability.runs.engine import gather_facts  # noqa: E402
from deliverability.runs.job import Job  # noqa: E402
from tests.corpus import corpus_root  # noqa: E402
from tests.dnsserver import DnsServer  # noqa: E402

DELAY = 0.020


class Rehearsed(DnsServer):
    """Answers a question it has seen before from memory, so that the server's own work does not count."""

    def __init__(self, source: ZoneResolver) -> None:
        super().__init__(source)
        self._known: dict[tuple[bytes, str], list[bytes]] = {}

    async def _replies(self, wire: bytes, transport: str) -> list[bytes]:
        key = (wire[2:], transport)
        if key not in self._known:
            self._known[key] = await super()._replies(wire, transport)
        await asyncio.sleep(DELAY)
        return [wire[:2] + reply[2:] for reply in self._known[key]]


def serve(zones: Path, pipe: Connection) -> None:
    """The name server, in a process of its own so that it does not share the client's time."""

    async def run() -> None:
        async with Rehearsed(ZoneResolver.load([zones])) as server:
            pipe.send(server.port)
            await asyncio.Event().wait()

    asyncio.run(run())


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
    external = facts.value("dmarc.rua") or facts.value("dmarc.ruf")
    return max(spf_depth(spf_tree(facts.value("spf.tree"))), 2 if external else 1)


async def measure(domains: list[str], port: int) -> list[tuple[str, int, float]]:
    rows: list[tuple[str, int, float]] = []
    for domain in [*domains, *domains]:  # the first time is the rehearsal; the client's caches are new every time
        ports = Ports(LiveResolver([parse_server(f"127.0.0.1:{port}")]), sources=("live",))
        begin = time.perf_counter()
        audited = await gather_facts(Job(domain), ports)
        rows.append((domain, round_trips(audited.facts), time.perf_counter() - begin))
        await ports.close()
    return rows[len(domains) :]


def main() -> None:
    root = corpus_root()
    if root is None:
        sys.exit("the corpus is not here; set DELIV_CORPUS to its folder")
    zones = root / "zones"
    index = [line.split("\t") for line in (zones / "index.tsv").read_text("utf-8").splitlines()[1:]]
    domains = sys.argv[1:] or [row[0] for row in index if row[1] == "sender"]
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(zones, theirs), daemon=True)
    server.start()
    rows = asyncio.run(measure(domains, ours.recv()))
    server.terminate()
    for domain, trips, seconds in rows if sys.argv[1:] else ():
        print(f"{domain:<40} {trips} round trips {seconds * 1000:7.1f} ms  ratio {seconds / (trips * DELAY):.2f}")
    ratios = sorted(seconds / (trips * DELAY) for _, trips, seconds in rows)
    print(
        f"{len(rows)} domains, round trips median {statistics.median(trips for _, trips, _ in rows)}: "
        f"time / (round trips x {DELAY * 1000:.0f} ms) median {statistics.median(ratios):.2f}, "
        f"p90 {ratios[int(len(ratios) * 0.9)]:.2f}, max {ratios[-1]:.2f}"
    )


if __name__ == "__main__":
    main()
