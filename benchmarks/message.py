"""What a heavy message costs: ours against dkimpy and email.parser, and hostile shapes against their double.

    python benchmarks/message.py            all
    python benchmarks/message.py 25         one size, in megabytes

Every figure is taken in a child process of its own. Memory is the highest resident set of the process (VmHWM, Linux)
above what it had after the same work on a message of a few hundred octets, in units of the message. Aims: at 25 MB at
most 1.2 messages for the whole audit, and at most the time of dkimpy's own verification; doubling a hostile shape
takes at most 2.3 times.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.shapes import SHAPES

SIZES = {"100 KB": 100_000, "1 MB": 1_000_000, "10 MB": 10_000_000, "25 MB": 25_000_000}
ROUNDS = 3
KEY_NAME = "s1._domainkey.example.com"


def attached(size: int) -> bytes:
    """A signed-looking message whose octets are nearly all one attachment in base64."""
    octets = random.Random(1).randbytes(size * 57 // 78)
    body = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    return (
        b"From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>hello</p>\r\n"
        b'--b\r\nContent-Type: application/octet-stream; name="x.bin"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="x.bin"\r\n\r\n' + body + b"--b--\r\n"
    )


def spaced(size: int) -> bytes:
    """A text full of runs of blanks, which make dkimpy's relaxed body canonicalization slow."""
    line = b"word" + b" " * 60 + b"word  \r\n"
    return (
        b"From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        + line
        * (size // len(line))
    )


SHAPE_SIZE = 10_000


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


def run_dkimpy(path: Path, record: str) -> None:
    import dkim

    assert dkim.verify(path.read_bytes(), dnsfunc=lambda *_args, **_more: record.encode())


def run_email(path: Path, record: str) -> None:
    from email.parser import BytesParser

    BytesParser().parsebytes(path.read_bytes())


def run_read(path: Path, record: str) -> None:
    from deliverability.mail.reader import read

    read(path.read_bytes())


def run_audit(path: Path, record: str) -> None:
    from deliverability.ports.ports import Ports
    from deliverability.ports.static import StaticResolver
    from deliverability.runs.engine import gather_facts
    from deliverability.runs.job import Job, Options, Sample

    dns = StaticResolver({(KEY_NAME, "TXT"): [record]} if record else {})
    job = Job("example.com", Sample("message.eml", path=path), Options())
    audited = asyncio.run(gather_facts(job, Ports(dns, sources=("static",))))
    assert not audited.crashes, audited.crashes
    assert not record or audited.facts.value("dkim.result") == "pass"


WORK = {"dkimpy verify": run_dkimpy, "email.parser": run_email, "ours: read": run_read, "ours: audit": run_audit}


def resident(name: str) -> int:
    """Octets by the kernel's account. Not ru_maxrss: a child process inherits that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def child(work: str, path: str, record: str) -> None:
    """Do one piece of work and print what it took; the first run, on a tiny message, loads the modules."""
    tiny = Path(path).with_name("tiny.eml")
    if tiny.exists():
        WORK[work](tiny, record and tiny.with_suffix(".key").read_text())
    before = resident("VmRSS")
    begin = time.process_time()
    WORK[work](Path(path), record)
    taken = time.process_time() - begin
    print(json.dumps([taken, max(0, resident("VmHWM") - before)]))


def measured(work: str, path: Path, record: str) -> tuple[float, float]:
    """Seconds of processor time (median) and octets of memory (largest) of a piece of work."""
    times, peaks = [], []
    for _ in range(ROUNDS):
        done = subprocess.run(
            [sys.executable, __file__, "--child", work, str(path), record], check=True, capture_output=True
        )
        taken, peak = json.loads(done.stdout)
        times.append(taken)
        peaks.append(peak)
    return statistics.median(times), max(peaks)


def compare(folder: Path, label: str, size: int) -> None:
    for kind, make in (("attachment", attached), ("runs of blanks", spaced)):
        message, record = sign(make(size))
        path = folder / "message.eml"
        path.write_bytes(message)
        rows = {work: measured(work, path, record) for work in WORK}
        base = rows["dkimpy verify"][0]
        for work, (seconds, peak) in rows.items():
            print(
                f"{label:>7}  {kind:<15} {work:<14} {seconds * 1000:9.1f} ms  {seconds / base:6.2f} x dkimpy   "
                f"{peak / len(message):5.2f} x the message",
                flush=True,
            )


def double(folder: Path) -> None:
    for name, make in SHAPES.items():
        times = []
        for size in (SHAPE_SIZE, 2 * SHAPE_SIZE):
            path = folder / "shape.eml"
            path.write_bytes(make(size))
            times.append(measured("ours: audit", path, "")[0])
        once, twice = (taken * 1000 for taken in times)
        print(f"doubled: {name:<26} {once:9.1f} ms -> {twice:9.1f} ms  {twice / once:5.2f} x", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:5])
        return
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny, record = sign(attached(100))
        (folder / "tiny.eml").write_bytes(tiny)
        (folder / "tiny.key").write_text(record)
        for label, size in SIZES.items():
            if not wanted or label.split()[0] in wanted:
                compare(folder, label, size)
        if not wanted or "shapes" in wanted:
            double(folder)


if __name__ == "__main__":
    main()
