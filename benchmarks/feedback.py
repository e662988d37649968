"""What reading reports costs, beside parsedmarc in the same run: target G7.

    python benchmarks/feedback.py                    all: some minutes
    python benchmarks/feedback.py --json FILE        besides, a list of rows: target, case, measured, goal, peer, met
    python benchmarks/feedback.py --quick            a hundredth of the size, once: whether it runs

Ours is an intake into a history in SQLite: unpacking, checking, keeping and what follows at its end. parsedmarc parses
and keeps nothing, offline. Ratios are processor time by processor time, of child processes in turns, the median of
three, after one small report that loads the modules. Memory is the highest resident set of our process, with
Python and all modules.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # and not this folder, whose dns.py would stand in the place of a package

ROUNDS = 3
QUICKLY = 100  # times smaller
NOT_THERE = "not installed"
MB = 1_000_000
YESTERDAY = int(time.time()) // 86_400 * 86_400 - 86_400


class Row(Struct, frozen=True):
    """One line of the result; `met` is None where the peer is not there."""

    target: str
    case: str
    measured: float | str
    goal: str
    peer: str
    met: bool | None


def row(case: str, measured: float | None, goal: str, peer: str = "") -> Row:
    """A row, judged: the goal is "≥ 10 ×" or "≤ 60 MB"."""
    if measured is None:
        return Row("G7", case, NOT_THERE, goal, peer, None)
    sign, bound = goal.split()[:2]
    met = measured >= float(bound) if sign == "≥" else measured <= float(bound)
    return Row("G7", case, round(measured, 2), goal, peer, met)


# --- reports -------------------------------------------------------------------------------------------------------


def record(chance: random.Random, kinds: int = 40) -> str:
    """A record as large receivers write it: of a few services, a few selectors, many addresses."""
    number = chance.randrange(kinds)
    passed = "pass" if number % 40 < 30 else "fail"
    return (
        f"<record><row><source_ip>{chance.randrange(1, 224)}.{chance.randrange(256)}.{chance.randrange(256)}."
        f"{chance.randrange(256)}</source_ip><count>{chance.randrange(1, 50)}</count><policy_evaluated>"
        f"<disposition>none</disposition><dkim>{passed}</dkim><spf>fail</spf></policy_evaluated></row><identifiers>"
        f"<envelope_from>bounce.service{number}.example</envelope_from><header_from>example.com</header_from>"
        f"</identifiers><auth_results><dkim><domain>example.com</domain><selector>s{number % 4}</selector>"
        f"<result>{passed}</result></dkim><spf><domain>bounce.service{number}.example</domain><result>pass</result>"
        "</spf></auth_results></record>\n"
    )


def report(records: int, number: int, kinds: int = 40) -> Iterator[bytes]:
    """An aggregate report, piece by piece."""
    chance = random.Random(number)
    yield (
        '<?xml version="1.0" encoding="UTF-8"?><feedback><report_metadata><org_name>receiver.example</org_name>'
        f"<email>dmarc@receiver.example</email><report_id>{number}</report_id><date_range><begin>{YESTERDAY}</begin>"
        f"<end>{YESTERDAY + 86_399}</end></date_range></report_metadata><policy_published><domain>example.com</domain>"
        "<adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct></policy_published>\n"
    ).encode()
    for _ in range(records):
        yield record(chance, kinds).encode()
    yield b"</feedback>\n"


def written(folder: Path, sizes: list[int], start: int = 0, kinds: int = 40) -> Path:
    """A folder with a gzip file for each number of records; reports are numbered from `start`."""
    folder.mkdir()
    for number, records in enumerate(sizes, start):
        name = f"receiver.example!example.com!{YESTERDAY}!{YESTERDAY + 86_399}!{number}.xml.gz"
        with gzip.open(folder / name, "wb", compresslevel=6) as file:
            file.writelines(report(records, number, kinds))
    return folder


# --- in children ---------------------------------------------------------------------------------------------------


def ours(folder: Path, history_file: Path) -> dict[str, float]:
    """An intake of the folder."""
    import asyncio

    from deliverability.core.net.ports import Ports
    from deliverability.core.net.static import OFFLINE
    from deliverability.core.store.observations import Observations
    from deliverability.core.store.store import History
    from deliverability.intake.run import IntakePlan, take_in

    history = History.open(f"sqlite:///{history_file}")
    store = Observations(history)
    first = IntakePlan(Ports(OFFLINE), [str(next(folder.parent.glob("first")))])
    asyncio.run(take_in(first, store))
    plan = IntakePlan(Ports(OFFLINE), [str(folder)])  # bare files are not verified, so nobody is asked
    begin = time.process_time()
    result = asyncio.run(take_in(plan, store))
    used = time.process_time() - begin
    history.close()
    if result.lost or sum(each.new for each in result.tallies.values()) != len(list(folder.iterdir())):
        sys.exit(f"not all was read: {result}")
    return {"seconds": used}


def parsedmarc(folder: Path, _: Path) -> dict[str, float]:
    """What parsedmarc takes to parse them."""
    from parsedmarc import parse_report_file

    parse_report_file(str(next(folder.parent.glob("first/*"))), offline=True)
    begin = time.process_time()
    for path in sorted(folder.iterdir()):
        parse_report_file(str(path), offline=True)
    return {"seconds": time.process_time() - begin}


def child(which: str, folder: Path) -> dict[str, float] | None:
    """What one of them took, in a process of its own; None where it is not installed."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "h.db")
        if which == "ours":
            from deliverability.core.store.store import History

            History.open(f"sqlite:///{file}").close()  # makes its tables, as only the first run ever does
        command = [sys.executable, __file__, "--child", which, str(folder), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "No module named 'parsedmarc'" in done.stderr:
            return None
        if done.returncode:
            sys.exit(done.stderr or done.stdout)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        if which == "ours":
            found["database"] = file.stat().st_size / MB
        return found


def median_of(runs: list[dict[str, float]], name: str) -> float:
    """The median of a figure."""
    return statistics.median(each[name] for each in runs)


def compared(case: str, folder: Path, records: int, goal: str, rounds: int) -> tuple[Row, list[dict[str, float]]]:
    """Both in turns; the row, and our runs."""
    mine: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(rounds):
        if (found := child("ours", folder)) is not None:
            mine.append(found)
        if (found := child("parsedmarc", folder)) is not None:
            theirs.append(found)
    seconds = median_of(mine, "seconds")
    if not theirs:
        return row(case, None, goal), mine
    other = median_of(theirs, "seconds")
    peer = f"parsedmarc {records / other:,.0f}/s, ours {records / seconds:,.0f}/s"
    return row(case, other / seconds, goal, peer), mine


def measure(smaller: int, rounds: int) -> list[Row]:
    """All rows, with sizes divided by `smaller`."""
    chance = random.Random(7)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder / "first", [1], start=1_000_000)
        last: list[dict[str, float]] = []
        for records in (10_000, 100_000):
            place = written(folder / str(records), [records // smaller])
            result, last = compared(
                f"records per second, with storage: one report of {records:,}",
                place,
                records // smaller,
                "≥ 10 ×",
                rounds,
            )
            rows.append(result)
            print(result, flush=True)
        small = [chance.randrange(1, 12) for _ in range(2_000 // smaller)]
        place = written(folder / "small", small)
        result, _ = compared("files per second: 2,000 small gzip files", place, len(small), "≥ 8 ×", rounds)
        rows.append(result)
        print(result, flush=True)
        memory = max(each["memory"] for each in last)
        rows.append(row("peak memory at 100,000 records", memory, "≤ 60 MB"))
        many = child("ours", written(folder / "kinds", [100_000 // smaller], kinds=20_000 // smaller))
        assert many is not None
        rows.append(row("peak memory at 100,000 records of 20,000 kinds", many["memory"], "≤ 90 MB"))
        rows.append(row("database for 100,000 rows", last[0]["database"], "≤ 3 MB"))
        million = child("ours", written(folder / "million", [1_000_000 // smaller]))
        assert million is not None
        rows.append(row("more memory at 1,000,000 records", max(0.0, million["memory"] - memory), "≤ 10 MB"))
        for each in rows[-4:]:
            print(each, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, once")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        which, folder, file = given.child
        found = {"ours": ours, "parsedmarc": parsedmarc}[which](Path(folder), Path(file))
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB
        print(json.dumps(found))
        return
    rows = measure(QUICKLY if given.quick else 1, 1 if given.quick else ROUNDS)
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in rows], ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main()
