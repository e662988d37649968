"""What a heavy message costs, beside dkimpy and mailauth in the same run: targets G4, G5 and G6.

    python benchmarks/message.py                        all
    python benchmarks/message.py G4 G6                  some targets
    python benchmarks/message.py --json FILE            besides, a list of rows: target, case, measured, goal, peer, met
    python benchmarks/message.py --quick                a hundredth of the size, once: whether it runs

G4: verifying a DKIM signature. G5: all facts of a message (`gather_facts`), against the peers' verification alone, and
its memory. G6: hostile shapes against their double. Ratios are the peer's processor time by ours, so more is better;
those of memory are by the size of the message, and those of G6 by the time of half the message.

Every figure is taken in child processes, ours and the peers' in turns, after a run on a message of a few hundred
octets that loads the modules. Memory is the highest resident set (VmHWM, Linux) above what the process had
after that run.

mailauth needs Node.js (7.1.0: 22.19 or newer) and a folder with the package, outside the repository, which MAILAUTH
names; where it cannot be run its columns say that it is not there:

    npm install --prefix FOLDER mailauth@7.1.0 && MAILAUTH=FOLDER python benchmarks/message.py
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.shapes import SHAPES  # noqa: E402

ROUNDS = 3
QUICKLY = 100  # times smaller
NOT_THERE = "not installed"
MB = 1_000_000
KEY_NAME = "s1._domainkey.example.com"
_HEAD = (
    b"From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
)
_PLAIN = _HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"


class Row(Struct, frozen=True):
    """One line of the result; `met` is None where the peer is not there."""

    target: str
    case: str
    measured: float | str
    goal: str
    peer: str
    met: bool | None


def row(target: str, case: str, measured: float | None, goal: str, peer: str = "") -> Row:
    """A row, judged: the goal is "≥ 3" or "≤ 2.3", with a unit behind it or none."""
    if measured is None:
        return Row(target, case, NOT_THERE, goal, peer, None)
    sign, bound = goal.split()[:2]
    met = measured >= float(bound) if sign == "≥" else measured <= float(bound)
    return Row(target, case, round(measured, 2), goal, peer, met)


def attachment(size: int) -> bytes:
    """Nearly all of it one attachment in base64."""
    octets = random.Random(1).randbytes(size * 57 // 78)
    return (
        _HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>hello</p>\r\n"
        b'--b\r\nContent-Type: application/octet-stream; name="x.bin"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="x.bin"\r\n\r\n'
        + base64.encodebytes(octets).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


def blanks(size: int) -> bytes:
    """A text full of runs of blanks."""
    line = b"word" + b" " * 60 + b"word  \r\n"
    return _PLAIN + line * (size // len(line))


def prose(size: int) -> bytes:
    """A text of words, with an address here and there."""
    chance = random.Random(1)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(2000)]
    words += [b"https://www.example.com/a?b=c", "für".encode()]
    text = b"".join(b" ".join(chance.choices(words, k=11)) + b"\r\n" for _ in range(min(size, MB) // 75))
    return _PLAIN + text * (size // len(text))


class Case(Struct, frozen=True):
    """A message, and what is asked of us beside dkimpy and mailauth."""

    target: str
    work: str
    name: str
    make: Callable[[int], bytes]
    size: int
    dkimpy: str
    mailauth: str | None
    memory: str | None = None


CASES = (
    Case("G4", "verify", "base64, 100 KB", attachment, MB // 10, "≥ 4", None),
    Case("G4", "verify", "base64, 1 MB", attachment, MB, "≥ 8", "≥ 2.5"),
    Case("G4", "verify", "base64, 10 MB", attachment, 10 * MB, "≥ 8", "≥ 2.5"),
    Case("G4", "verify", "base64, 25 MB", attachment, 25 * MB, "≥ 8", "≥ 2.5"),
    Case("G4", "verify", "runs of blanks, 1 MB", blanks, MB, "≥ 4", "≥ 1.5"),
    Case("G4", "verify", "runs of blanks, 10 MB", blanks, 10 * MB, "≥ 4", "≥ 1.5"),
    Case("G4", "verify", "words, 10 MB", prose, 10 * MB, "≥ 4", "≥ 1.5"),
    Case("G5", "audit", "base64, 25 MB", attachment, 25 * MB, "≥ 3", "≥ 1", "≤ 1.2 × the message"),
    Case("G5", "audit", "words, 10 MB", prose, 10 * MB, "≥ 3", "≥ 1", "≤ 1.2 × the message"),
    Case("G5", "audit", "runs of blanks, 10 MB", blanks, 10 * MB, "≥ 3", "≥ 1", "≤ 1.2 × the message"),
)


def sign(message: bytes) -> tuple[bytes, str]:
    """The message with a DKIM signature on top, and the key record."""
    import dkim
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    field = dkim.sign(message, b"s1", b"example.com", pem, canonicalize=(b"relaxed", b"relaxed"))
    return field + message, "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()


def octets(path: Path) -> bytes:
    return path.read_bytes()


async def run_dkimpy(path: Path, record: str) -> None:
    import dkim

    assert dkim.verify(octets(path), dnsfunc=lambda *_args, **_more: record.encode())


async def run_verify(path: Path, record: str) -> None:
    from deliverability.core.net.static import StaticResolver
    from deliverability.core.protocols.dkim.verify import verify_dkim

    (found,) = await verify_dkim(octets(path), StaticResolver({(KEY_NAME, "TXT"): [record]}))
    assert found.result == "pass", found.details


async def run_audit(path: Path, record: str) -> None:
    from deliverability.core.inputs import Sample, Subject
    from deliverability.core.net.ports import Ports
    from deliverability.core.net.static import StaticResolver
    from deliverability.engine.audit import gather_facts

    dns = StaticResolver({(KEY_NAME, "TXT"): [record]} if record else {})
    job = Subject("example.com", Sample("message.eml", path=path))
    audited = await gather_facts(job, Ports(dns, sources=("static",)))
    assert not audited.crashes, audited.crashes
    assert not record or audited.facts.value("dkim.result") == "pass"


WORK = {"dkimpy": run_dkimpy, "verify": run_verify, "audit": run_audit}


def resident(name: str) -> int:
    """Octets by the kernel's account. Not ru_maxrss: a child process inherits that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


async def child(work: str, key: Path, paths: list[Path]) -> None:
    """Do one piece of work on each message; print the seconds of each, and the octets that the first took."""
    record, known = octets(key).decode(), octets(key.with_name("tiny.key")).decode()
    await WORK[work](key.with_name("tiny.eml"), known)
    before = resident("VmRSS")
    times, peak = [], 0
    for path in paths:
        begin = time.process_time()
        await WORK[work](path, record)
        times.append(time.process_time() - begin)
        peak = peak or resident("VmHWM") - before
    print(json.dumps([times, max(0, peak)]))


class Bench:
    """A folder for messages, the peers, and how thoroughly is measured."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.rounds, self.smaller = (1, QUICKLY) if quick else (ROUNDS, 1)
        self.message, self.half, self.key = (folder / name for name in ("message.eml", "half.eml", "message.key"))
        self.node, self.package = shutil.which("node"), os.environ.get("MAILAUTH", "")
        tiny, record = sign(attachment(100))
        (folder / "tiny.eml").write_bytes(tiny)
        (folder / "tiny.key").write_text(record)

    @cached_property
    def has_mailauth(self) -> bool:
        """Whether mailauth can be run, which an older Node cannot."""
        if not self.node or not self.package:
            return False
        load = "require(require.resolve('mailauth', { paths: [process.argv[1]] }))"
        return subprocess.run([self.node, "-e", load, self.package], capture_output=True).returncode == 0

    def put(self, message: bytes, record: str) -> None:
        """Lay a message ready, and the record of its key."""
        self.message.write_bytes(message)
        self.key.write_text(record)

    def measure(self, work: str, paths: list[Path]) -> tuple[list[float], int]:
        """Seconds of processor time for each message, and octets of memory for the first; mailauth has only one."""
        if work == "mailauth":
            script = str(ROOT / "benchmarks" / "mailauth.cjs")
            done = self._output([str(self.node), script, self.package, str(paths[0]), str(self.key), str(len(paths))])
            return json.loads(done), 0
        done = self._output([sys.executable, __file__, "--child", work, str(self.key), *map(str, paths)])
        times, peak = json.loads(done)
        return times, peak

    @staticmethod
    def _output(command: list[str]) -> str:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def compare(bench: Bench, case: Case) -> Iterator[Row]:
    message, record = sign(case.make(case.size // bench.smaller))
    bench.put(message, record)
    runs = [bench.message] * max(1, min(20, 4 * MB // case.size))
    peers = {"dkimpy": case.dkimpy}
    if case.mailauth:
        peers["mailauth"] = case.mailauth
    ratios: dict[str, list[float]] = {peer: [] for peer in peers}
    peaks = []
    for _ in range(bench.rounds):
        times, peak = bench.measure(case.work, runs)
        peaks.append(peak)
        for peer, found in ratios.items():
            if peer != "mailauth" or bench.has_mailauth:
                found.append(statistics.median(bench.measure(peer, runs)[0]) / statistics.median(times))
    for peer, goal in peers.items():
        yield row(case.target, case.name, statistics.median(ratios[peer]) if ratios[peer] else None, goal, peer)
    if case.memory:
        yield row(case.target, f"{case.name}, memory", max(peaks) / len(message), case.memory)


def double(bench: Bench, name: str) -> Iterator[Row]:
    """One hostile shape at about half a megabyte and one."""
    make = SHAPES[name]
    size = 1000 * MB // 2 // len(make(1000)) // bench.smaller
    bench.half.write_bytes(make(size))
    bench.put(message := make(2 * size), "")
    times, _ = bench.measure("audit", [bench.half, bench.message] * bench.rounds)
    once, twice = statistics.median(times[::2]), statistics.median(times[1::2])
    yield row("G6", f"{name}, doubled", twice / once, "≤ 2.3")
    yield row("G6", f"{name}, seconds per MB", twice * MB / len(message), "≤ 2 s")


def rows(bench: Bench, targets: list[str]) -> Iterator[Row]:
    for case in CASES:
        if case.target in targets:
            yield from compare(bench, case)
    if "G6" in targets:
        for name in SHAPES:
            yield from double(bench, name)


def shown(each: Row) -> str:
    measured = each.measured if isinstance(each.measured, str) else f"{each.measured:.2f}"
    met = {True: "met", False: "missed", None: "-"}[each.met]
    return f"{each.target}  {each.case:<40} {each.peer:<9} {measured:>13}  {each.goal:<20} {met}"


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        work, key, *paths = sys.argv[2:]
        asyncio.run(child(work, Path(key), list(map(Path, paths))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=("G4", "G5", "G6", []), metavar="TARGET")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    wanted = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        for each in rows(Bench(Path(name), quick=wanted.quick), wanted.targets or ["G4", "G5", "G6"]):
            found.append(each)
            print(shown(each), flush=True)
    if wanted.json:
        wanted.json.write_text(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
