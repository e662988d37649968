"""`deliv fleet run` beside checkdmarc on the domains of benchmarks/lab.py: domains a second, processor time, memory.

    python benchmarks/fleet.py [--domains N] [--peers N] [--rounds N] [--json FILE]

S5: the sound domains of the laboratory, all rules judged, by one worker on one core, beside checkdmarc on the same one;
the two take turns. G3: `--domains` of all kinds, those that never answer among them, against a run of a thousand; ten
thousand unless said otherwise, 50,000 take ten minutes. Whole processes are measured, and of each the start is taken
off, as a run of one domain shows it: or checkdmarc, which gets fewer domains, would look worse than it is. What "of
this" says are the parts of a domain's processor time, each measured by itself in this process: see `parts`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.lab import SEED, Kind, Lab  # noqa: E402
from benchmarks.nameserver import Load, Serving, serving  # noqa: E402
from deliverability.core.facts.base import Reason  # noqa: E402
from deliverability.core.inputs import Subject  # noqa: E402
from deliverability.core.model.rules import RuleSet  # noqa: E402
from deliverability.core.net.base import Answer, DnsQuestion, Failed  # noqa: E402
from deliverability.core.net.dns import LiveResolver  # noqa: E402
from deliverability.core.net.open import PortSettings, open_ports  # noqa: E402
from deliverability.core.net.ports import Journal, Ports  # noqa: E402
from deliverability.core.net.servers import parse_server  # noqa: E402
from deliverability.core.rules.judge import Selection  # noqa: E402
from deliverability.engine.audit import document_of, gather_facts  # noqa: E402
from deliverability.engine.rules import load_rules  # noqa: E402
from deliverability.engine.stream import collecting_seldom  # noqa: E402
from deliverability.fleet.shards import Lines, compact, facts_line  # noqa: E402
from deliverability.fleet.work import row_of  # noqa: E402

ROUNDS = 3
CPU = 12
"""Milliseconds of processor time that a domain is to take."""
FEW = 1000  # domains of the run that a long one is compared with
MANY = 10_000  # of the long one; two minutes on two cores
_MANY = 10_000_000


class Cost(Struct, frozen=True):
    """What a process and those that it started took: seconds, of processor time as well; octets of the largest."""

    domains: int
    seconds: float
    cpu: float
    memory: int
    load: Load

    @property
    def rate(self) -> float:
        """Domains a second."""
        return self.domains / self.seconds

    def after(self, start: Cost) -> Cost:
        """What the domains beyond that of `start` took."""
        seconds, cpu = self.seconds - start.seconds, self.cpu - start.cpu
        load = Load(self.load.questions - start.load.questions, self.load.seconds - start.load.seconds)
        return Cost(self.domains - start.domains, seconds, cpu, self.memory, load)


def measured(command: Sequence[str], server: Serving, domains: int, *, cores: Iterable[int] = ()) -> Cost:
    """Run a command to its end, where `cores` are named on these alone. Ends the program where it fails."""
    wanted = set(cores)
    before, load = resource.getrusage(resource.RUSAGE_CHILDREN), server.load()
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=output,
            preexec_fn=(lambda: os.sched_setaffinity(0, wanted)) if wanted else None,
        )
        watch = _Memory(process.pid)
        code = process.wait()
        watch.stop()
        output.seek(0)
        errors = output.read().decode()
        # 3: some could not be checked, as the laboratory has it; a fault of ours ends with 3, too.
        if code not in (0, 3) or "internal error" in errors:
            sys.exit(f"{' '.join(command[:5])} left with {code}: {errors[-500:]}")
    seconds = time.perf_counter() - begin
    after, done = resource.getrusage(resource.RUSAGE_CHILDREN), server.load()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    asked = Load(done.questions - load.questions, done.seconds - load.seconds)
    return Cost(domains, seconds, cpu, watch.largest, asked)


class _Memory:
    """Looks now and then at the largest resident set of a process and of those below it (Linux; elsewhere 0)."""

    def __init__(self, pid: int) -> None:
        self.largest = 0
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            for pid in _family(self._pid):
                self.largest = max(self.largest, _peak(pid))


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except (OSError, ValueError):
                continue
    return found


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


# --- what is run ---------------------------------------------------------------------------------------------------


def ours(folder: Path, domains: Sequence[str], *, server: Serving, workers: int, cores: Iterable[int] = ()) -> Cost:
    """One `deliv fleet run` into a new folder."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        listed = Path(name) / "domains.txt"
        listed.write_text("\n".join(domains) + "\n")
        command = [
            *(
                sys.executable,
                "-m",
                "deliverability",
                "fleet",
                "run",
                str(listed),
                "--output",
                str(Path(name) / "fleet"),
            ),
            *("--workers", str(workers), "--rate", "0", "--resolver", server.resolver),
        ]
        return measured(command, server, len(domains), cores=cores)


def theirs(domains: Sequence[str], *, server: Serving, cores: Iterable[int] = ()) -> Cost:
    """Checkdmarc in a process of its own."""
    command = [sys.executable, __file__, "--child", str(server.port), *domains]
    return measured(command, server, len(domains), cores=cores)


def child(port: int, domains: Sequence[str]) -> None:
    """What `theirs` starts: checkdmarc over its library, as its command line calls it."""
    import checkdmarc
    from dns.nameserver import Do53Nameserver

    servers = [Do53Nameserver("127.0.0.1", port)]
    for domain in domains:
        checkdmarc.check_domains([domain], nameservers=servers)


# --- the figures ---------------------------------------------------------------------------------------------------


def row(
    target: str, case: str, value: float | str, goal: str = "", peer: str = "", met: bool | None = None
) -> dict[str, Any]:
    if isinstance(value, float):
        value = float(f"{value:.4g}")
    return {"target": target, "case": case, "measured": value, "goal": goal, "peer": peer, "met": met}


def wrote(rows: Sequence[dict[str, Any]], file: Path | None) -> None:
    """Show the rows; write them to a file as well."""
    for each in rows:
        state = {True: "met", False: "NOT MET"}.get(each["met"], "")
        print(f"{each['target']:<6}{each['case']:<70}{each['measured']:>10} {each['goal']:<8} {each['peer']} {state}")
    if file:
        file.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


def beside(folder: Path, lab: Lab, count: int, peers: int, rounds: int) -> list[dict[str, Any]]:
    """S5."""
    sound = [lab.name(n) for n in range(lab.domains) if lab.truth(n).kind not in (Kind.SILENT, Kind.SERVFAIL)]
    core = sorted(os.sched_getaffinity(0))[:1]
    mine, others = [], []
    with serving(partial(Lab, lab.domains, lab.seed)) as server:
        run, peer = (
            partial(ours, folder, server=server, workers=1, cores=core),
            partial(theirs, server=server, cores=core),
        )
        starts = run(sound[:1]), peer(sound[:1])
        for turn in range(rounds):
            others.append(peer(sound[turn * peers :][:peers]).after(starts[1]))
            mine.append(run(sound[:count]).after(starts[0]))
    cpu = [statistics.median(1000 * each.cpu / each.domains for each in costs) for costs in (mine, others)]
    asked = [statistics.median(each.load.questions / each.domains for each in costs) for costs in (mine, others)]
    return [
        row("S5", "CPU per domain, one worker, ms", cpu[0], f"≤ {CPU}", f"checkdmarc {cpu[1]:.3g}", cpu[0] <= CPU),
        row("S5", "queries per domain", asked[0], "", f"checkdmarc {asked[1]:.3g}"),
    ]


class _Answers:
    """Gives every answer that was recorded at once; who asks something else gets none."""

    def __init__(self, known: Mapping[tuple[str, str], Answer]) -> None:
        self._known = known

    async def query(self, name: str, rdtype: str) -> Answer:
        """One of them."""
        return self._known.get((name, rdtype)) or Failed(name, rdtype, Reason.OFFLINE)

    async def close(self) -> None:
        """There is nothing to release."""


def parts(lab: Lab, count: int) -> list[dict[str, Any]]:
    """Where the processor time of a domain goes, in ms: what a profile of a run would be read for.

    The same domains are asked about once for their answers; then their questions are put to the server by the DNS
    client alone, their facts gathered from the kept answers, and these judged, encoded and packed.
    """
    sound = [lab.name(n) for n in range(lab.domains) if lab.truth(n).kind not in (Kind.SILENT, Kind.SERVFAIL)][:count]
    rules, selection = load_rules(), Selection()
    with serving(partial(Lab, lab.domains, lab.seed)) as server, collecting_seldom():
        spent = asyncio.run(_parts(sound, rules, selection, server.resolver))
    return [row("S5", f"of this, in one process: {name}", 1000 * each / len(sound)) for name, each in spent.items()]


async def _parts(domains: Sequence[str], rules: RuleSet, selection: Selection, resolver: str) -> dict[str, float]:
    asked: dict[str, dict[tuple[str, str], Answer]] = {}
    for _ in range(2):  # the first time tables are read and conditions decided
        for domain in domains:
            ports = replace(open_ports(PortSettings(servers=(resolver,))), journal=Journal())
            await gather_facts(Subject(domain), ports, knowledge=rules.knowledge)
            await ports.close()
            journal = ports.journal or ()
            asked[domain] = {(q.name, q.rdtype): answer for q, answer in journal if isinstance(q, DnsQuestion)}
    live = LiveResolver([parse_server(resolver)])
    spent: dict[str, float] = {}
    with _spending(spent, "its queries, by the DNS client alone"):
        # As in a run, whoever asks first is answered for all.
        for each in asked.values():
            await asyncio.gather(*(live.query(*question) for question in each))
    await live.close()
    audited = []
    with _spending(spent, "its facts, from known answers"):
        for domain, answers in asked.items():
            audited.append(await gather_facts(Subject(domain), Ports(_Answers(answers)), knowledge=rules.knowledge))
    with _spending(spent, "its judgment"):
        rows = [row_of(each.subject.domain, each.facts, rules, selection, {}, ()) for each in audited]
    lines = Lines()
    with _spending(spent, "its lines, encoded, hashed and compressed"):
        for place, (done, judged) in enumerate(zip(audited, rows, strict=True)):
            facts, timeless = facts_line(document_of(done))
            hashlib.sha256(timeless + compact(to_builtins(judged)).encode()).digest()
            lines.put(place, facts)
        lines.packed()
    return spent


@contextmanager
def _spending(spent: dict[str, float], name: str) -> Iterator[None]:
    """Seconds of processor time that are spent within."""
    begin = time.process_time()
    yield
    spent[name] = time.process_time() - begin


def growth(folder: Path, lab: Lab) -> list[dict[str, Any]]:
    """G3, and what the same cost comes to for more domains."""
    names = list(lab.names())
    few = names[: min(FEW, len(names))]
    workers = len(os.sched_getaffinity(0))
    with serving(partial(Lab, lab.domains, lab.seed)) as server:
        run = partial(ours, folder, server=server, workers=workers)
        start, less, more = run(few[:1]), run(few), run(names)
    each = [cost.after(start).cpu / (cost.domains - 1) for cost in (less, more)]
    grown = each[1] / each[0]
    megabytes = more.memory / 1e6
    share = more.load.seconds / (more.load.seconds + more.cpu)
    label = f"{len(names):,} domains of all kinds"
    rows = [
        row("G3", f"CPU per domain, {len(names):,} domains against {len(few):,}", grown, "≤ 1.2 ×", "", grown <= 1.2),
        row("G3", f"{label}: resident memory of the largest process, MB", megabytes, "≤ 150", "", megabytes <= 150),
        row("G3", f"{label}: CPU per domain, ms", 1000 * each[1]),
        row("G3", f"{label}: minutes, start to end", more.seconds / 60),
        row("G3", f"{label}: queries per domain", more.load.questions / len(names)),
        row("G3", "of that, share of the name server in all processor time", share),
    ]
    hours = each[1] * _MANY / 3600
    questions = more.load.questions / len(names) * _MANY
    rows += [
        row("paper", "10 million domains: core-hours", hours),
        row("paper", f"10 million domains: hours on {workers} cores, without the name server", hours / workers),
        row("paper", "10 million domains: queries, in millions", questions / 1e6),
        row("paper", "10 million domains: queries per second that this takes", questions / (hours / workers * 3600)),
        row("paper", "100,000 domains: minutes on this machine", 1e5 / more.rate / 60),
    ]
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--domains", type=int, default=MANY)
    parser.add_argument("--peers", type=int, default=100, help="domains of a round that checkdmarc gets at 0 ms")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    lab = Lab(given.domains, given.seed)
    with tempfile.TemporaryDirectory() as name:
        rows = beside(Path(name), lab, min(FEW, given.domains), given.peers, given.rounds)
        rows += parts(lab, min(FEW, given.domains))
        rows += growth(Path(name), lab)
    wrote(rows, given.json)


if __name__ == "__main__":
    main()
