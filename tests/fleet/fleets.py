"""Small fleets for tests: domains with zones and vendors in common, and `deliv fleet` in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from deliverability.fleet.folder import opened
from deliverability.fleet.run import fleet_status
from deliverability.fleet.shards import FACTS, FleetRow, read_lines
from tests import ROOT

SMALL = 4
"""Domains a shard here."""
_ZONE = """$ORIGIN {name}.
$TTL 300
@ SOA ns1.{name}. admin.{name}. 1 2 3 4 5
@ NS ns1.{name}.
ns1 A 192.0.2.53
{rest}"""
_VENDOR = '@ TXT "v=spf1 ip4:192.0.2.0/24 -all"'


def zone_of(number: int) -> str:
    """What domain `number` has: most are in order, some are broken, and of some an include fails."""
    spf = (
        '@ TXT "v=spf1 include:vendor0.example -all"',
        '@ TXT "v=spf1 '
        + " ".join(f"include:vendor{n}.example" for n in range(6))
        + ' " "'
        + " ".join(f"include:vendor{n}.example" for n in range(6, 11))
        + ' -all"',
        "",
        '@ TXT "v=spf1 include:nowhere.test ?all"',
    )[number % 4]
    dmarc = '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:d@{name}"' if number % 3 else '_dmarc TXT "v=DMARC1; p=none"'
    return f"@ MX 10 mail\nmail A 192.0.2.{number % 250}\n{spf}\n{dmarc}\n"


def domain(number: int) -> str:
    return f"d{number:03}.example"


def write_world(folder: Path, domains: int) -> Path:
    """Zone files of so many domains and of what they include."""
    zones = folder / "zones"
    zones.mkdir(parents=True, exist_ok=True)
    every = {domain(number): zone_of(number) for number in range(domains)}
    every |= {f"vendor{number}.example": _VENDOR for number in range(11)} | {"example": ""}
    for name, rest in every.items():
        (zones / f"{name}.zone").write_text(_ZONE.format(name=name, rest=rest.replace("{name}", name)) + "\n")
    return zones


class Fleet(Struct):
    """A list, its zones, and the command over them."""

    folder: Path
    domains: int = 18
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.list.write_text("".join(f"{domain(number)}\n" for number in range(self.domains)))
        if not self.options:
            self.options = ("--zone", str(write_world(self.folder, self.domains)))

    @property
    def list(self) -> Path:
        return self.folder / "list.txt"

    def start(self, out: Path, *more: str) -> subprocess.Popen[str]:
        words = ["fleet", "run", str(self.list), "--output", str(out), *self.options, *more]
        return self.process(*words)

    def process(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.small", *words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"} | self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, out: Path, *more: str, code: int | None = None) -> Ended:
        return ended(self.start(out, *more), code)


class Ended(Struct, frozen=True):
    code: int
    out: str
    err: str


def ended(process: subprocess.Popen[str], code: int | None = None) -> Ended:
    out, err = process.communicate(timeout=600)
    assert "Traceback" not in err, err
    if code is not None:
        assert process.returncode == code, (process.returncode, out, err)
    return Ended(process.returncode, out, err)


def done_in(out: Path) -> int:
    """How many domains are done, as far as that can be told yet."""
    from sqlite3 import Error

    from deliverability.core.errors import InputError

    try:
        return fleet_status(out).done
    except (InputError, Error):
        return 0


def wait_for(process: subprocess.Popen[str], out: Path, done: int) -> bool:
    """Until so many domains are done; False where the process ended before."""
    while done_in(out) < done:
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return process.poll() is None


def kill_all(process: subprocess.Popen[str]) -> None:
    """The process and its workers at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes below it that do the work."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == process.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def digest_of(out: Path) -> str:
    return fleet_status(out).digest


def timeless(document: Any) -> Any:
    """A document of facts without when they were seen."""
    evidence = sorted((each["id"], json.dumps([each["asked"], each["got"]])) for each in document["evidence"])
    return document["subject"]["domain"], document["facts"], evidence


def numbers(rows: Iterator[Any] | Sequence[Any]) -> list[str]:
    return [each.domain for each in rows]


def read_findings(folder: Path) -> Iterator[FleetRow]:
    """The judgement of every domain that is done, in the order of the input. Raises InputError."""
    with opened(folder) as fleet:
        yield from fleet.rows()


def read_facts(folder: Path) -> Iterator[dict[str, Any]]:
    """The facts of every domain that is done, as JSON (see runs.saved), in the order of the input.

    Raises InputError.
    """
    with opened(folder) as fleet:
        for state in fleet.done:
            yield from read_lines(folder, FACTS, state.number, state.facts, state.domains)
