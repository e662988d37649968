"""The DNS engine against a thin asyncio client (G2), and what silent domains cost the others (G8).

    python benchmarks/questions.py [--json FILE] [--questions N] [--domains N]

G2 asks the same questions, 46 a domain in three dependent rounds, of a loopback name server in a process of its own:
through a thin client (one socket, a dictionary of ids, the data of answers as it stands), through the engine alone, and
through the whole stack as an audit of many domains asks (journal, time budget, shares). Compared are questions a second
of processor time, of the client's process, in rounds that take turns.

G8 gathers the facts of many domains of benchmarks/lab.py, of which every twentieth has name servers that never answer,
and of as many that all do; compared are the times that both take, and counted the domains that answer and of which a
fact could not be found out, because a question got no reply. The last silent domain costs its whole time-out, 6
seconds, at whose end nobody else is left to wait for: so the ratio says something of runs that take long.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.lab import Kind, Lab
from benchmarks.nameserver import serving
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.names import labels_of
from deliverability.core.net.ports import Ports
from deliverability.core.net.servers import parse_server
from deliverability.core.net.wire import query
from deliverability.engine.audit import Audited, gather_facts
from deliverability.engine.base import _Listening
from deliverability.engine.stream import collecting_seldom, stream

ROUNDS = 5
EVERY = 20
SILENT = "-silent.invalid"
WAVES = (30, 10, 6)
"""Questions of one domain, in rounds that depend on each other."""

Ask = Callable[[str, str], Awaitable[Any]]


class Silenced(Lab):
    """The laboratory, with domains besides whose name servers never answer."""

    async def query(self, name: str, rdtype: str) -> Answer:
        """As the laboratory answers."""
        return Failed(name, rdtype, Reason.TIMEOUT) if name.endswith(SILENT) else self.answer(name, rdtype)


# --- G2: questions a second -----------------------------------------------------------------------------------------


def _records_of(reply: bytes) -> list[bytes]:
    """The data of the answers as it stands, where each owner is a pointer."""
    position = reply.index(b"\0", 12) + 5
    found = []
    for _ in range(int.from_bytes(reply[6:8], "big")):
        start = position + 12
        position = start + int.from_bytes(reply[start - 2 : start], "big")
        found.append(reply[start:position])
    return found


class Thin(asyncio.DatagramProtocol):
    """The least that asks DNS at all: it believes what it hears, and waits for ever."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[list[bytes]]] = {}
        self.ident = 0

    def connection_made(self, transport: Any) -> None:
        """Keep it to send through."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Give it to who waits for its id."""
        self.waiting.pop(int.from_bytes(data[:2], "big")).set_result(_records_of(data))

    async def ask(self, name: str, rdtype: str) -> list[bytes]:
        """The answers; nothing is asked again."""
        self.ident = self.ident + 1 & 0xFFFF
        waiter: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self.waiting[self.ident] = waiter
        self.transport.sendto(query(labels_of(name) or (), rdtype, edns=True, ident=self.ident).wire)
        return await waiter


def questions(domain: str) -> list[list[tuple[str, str]]]:
    """What is asked of one domain, by rounds."""
    names = [(domain, kind) for kind in ("TXT", "MX", "A", "AAAA", "NS", "SOA")]
    names += [(f"{each}.{domain}", "TXT") for each in ("_dmarc", "_mta-sts", "_smtp._tls", "default._bimi")]
    names += [(f"selector{n}._domainkey.{domain}", "TXT") for n in range(sum(WAVES) - len(names))]
    cut = [sum(WAVES[:n]) for n in range(len(WAVES) + 1)]
    return [names[start:end] for start, end in itertools.pairwise(cut)]


async def domain_through(ask: Ask, domain: str) -> None:
    for wave in questions(domain):
        await asyncio.gather(*(ask(*each) for each in wave))


async def through_thin(port: int, domains: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    transport, thin = await loop.create_datagram_endpoint(Thin, remote_addr=("127.0.0.1", port))
    await many(domains, lambda domain: domain_through(thin.ask, domain))
    transport.close()


async def through_engine(port: int, domains: Sequence[str]) -> None:
    resolver = LiveResolver([parse_server(f"127.0.0.1:{port}")])
    await many(domains, lambda domain: domain_through(resolver.query, domain))
    await resolver.close()


async def through_stack(port: int, domains: Sequence[str]) -> None:
    ports = Ports(LiveResolver([parse_server(f"127.0.0.1:{port}")]))
    asked = lambda domain: ports.of_subject(domain).allowed().under(_Listening()).dns.query  # noqa: E731
    await many(domains, lambda domain: domain_through(asked(domain), domain))
    await ports.close()


async def many(domains: Sequence[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Five at a time, so that no burst is more than a socket's buffer holds: the thin client never asks again."""
    left = iter(domains)

    async def worker() -> None:
        for domain in left:
            await work(domain)

    await asyncio.gather(*(worker() for _ in range(5)))


CLIENTS = {"thin client": through_thin, "engine alone": through_engine, "engine in a fleet": through_stack}


def speed(port: int, count: int) -> list[dict[str, Any]]:
    taken: dict[str, list[float]] = {name: [] for name in CLIENTS}
    each = max(1, count // sum(WAVES))
    names = [f"d{number}.invalid" for number in range(each)]
    asyncio.run(through_thin(port, names))  # the server remembers its replies
    for _ in range(ROUNDS):
        for name, client in CLIENTS.items():
            begin = time.process_time()
            asyncio.run(client(port, names))
            taken[name].append((time.process_time() - begin) / (each * sum(WAVES)))
    rows = []
    for name in CLIENTS:
        ratios = [thin / own for thin, own in zip(taken["thin client"], taken[name], strict=True)]
        ratio, micro = statistics.median(ratios), statistics.median(taken[name]) * 1e6
        print(f"G2   {name:<20} {micro:6.1f} us a question   {ratio:5.2f} x the thin client's questions a second")
        if name != "thin client":
            rows.append(row("G2", name, ratio, "≥ 0.5", "thin asyncio client", met=ratio >= 0.5))
    return rows


# --- G8: silent domains --------------------------------------------------------------------------------------------


def left_open(audited: Audited) -> bool:
    """Whether a fact could not be found out, because a question got no answer."""
    return any(isinstance(fact.value, Unknown) and fact.value.reason is Reason.TIMEOUT for fact in audited.facts)


async def fleet(port: int, domains: Sequence[str]) -> tuple[float, int]:
    """Seconds, and healthy domains with something left open."""
    ports = Ports(LiveResolver([parse_server(f"127.0.0.1:{port}")]), sources=("live",))
    begin, open_ = time.perf_counter(), 0
    jobs = [Subject(domain) for domain in domains]
    async for job, audited in stream(jobs, lambda job: gather_facts(job, ports), ordered=False):
        open_ += not str(job.domain).endswith(SILENT) and left_open(audited)
    await ports.close()
    return time.perf_counter() - begin, open_


def silence(port: int, lab: Lab, count: int) -> list[dict[str, Any]]:
    kinds = (Kind.SILENT, Kind.SERVFAIL)
    answering = (lab.name(number) for number in range(lab.domains) if lab.truth(number).kind not in kinds)
    healthy = list(itertools.islice(answering, count))
    mixed = [f"d{n}{SILENT}" if n % EVERY == EVERY // 3 else name for n, name in enumerate(healthy)]
    asyncio.run(fleet(port, healthy[:20]))  # modules and tables are loaded
    base = slow = float("inf")
    lost = 0
    for _ in range(2):  # in turn; the quicker one was disturbed less
        base = min(base, asyncio.run(fleet(port, healthy))[0])
        seconds, open_ = asyncio.run(fleet(port, mixed))
        slow, lost = min(slow, seconds), max(lost, open_)
    print(f"G8  {count} domains: {base:.1f} s, {slow:.1f} s where 1 in {EVERY} never answers: {slow / base:.2f} x")
    print(f"G8  answering domains with something left open: {lost}")
    case = f"1 of {EVERY} of {count} domains silent"
    return [
        row("G8", f"{case}: time", slow / base, "≤ 1.3", "all answer", met=slow / base <= 1.3),
        row("G8", f"{case}: others left open", lost, "0", "all answer", met=lost == 0),
    ]


def row(target: str, case: str, measured: float, goal: str, peer: str, *, met: bool) -> dict[str, Any]:
    return {"target": target, "case": case, "measured": measured, "goal": goal, "peer": peer, "met": met}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--domains", type=int, default=2000)
    options = parser.parse_args()
    lab = Silenced(options.domains * 2)
    with serving(partial(Silenced, lab.domains)) as server, collecting_seldom():  # as commands for many domains do
        rows = speed(server.port, options.questions)
        rows += silence(server.port, lab, options.domains)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
