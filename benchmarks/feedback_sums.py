"""What parsedmarc reads in a folder of reports, which tests/intake/test_parsedmarc.py holds ours against.

    make bench ONLY=feedback                                         makes an environment that has parsedmarc
    .venv-bench/bin/python benchmarks/feedback_sums.py FOLDER        writes tests/intake/parsedmarc-sums.json

FOLDER is `reports` of the test corpus. Of an aggregate report: the messages by address, alignment (DKIM, SPF) and
disposition, over the days that parsedmarc spreads a long period over. Of a TLS report: sessions that succeeded and
failed. Of a failure report: the address. Of what it refuses: its error.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from parsedmarc import ParserError, __version__, parse_report_file

WRITTEN = Path(__file__).resolve().parents[1] / "tests" / "intake" / "parsedmarc-sums.json"

ORIGINS = {
    "avvertix": "github.com/avvertix/dmarc-report-parser, MIT",
    "parsedmarc": "github.com/domainaware/parsedmarc, Apache-2.0",
    "tierpod": "github.com/tierpod/dmarc-report-converter, MIT",
}
"""Who made the reports, by folder, and under which licence."""


def aggregate(report: Any) -> dict[str, int]:
    """Messages by what is told of them."""
    sums: Counter[str] = Counter()
    for each in report["records"]:
        dkim, spf = ("pass" if each["alignment"][name] else "fail" for name in ("dkim", "spf"))
        disposition = each["policy_evaluated"]["disposition"]
        sums[f"{each['source']['ip_address']} dkim={dkim} spf={spf} {disposition}"] += each["count"]
    return dict(sorted(sums.items()))


def read(path: Path) -> dict[str, Any]:
    """What parsedmarc says of a file."""
    try:
        found: Any = parse_report_file(str(path), offline=True)
    except ParserError as error:
        return {"none": str(error)}
    report = found["report"]
    if found["report_type"] == "aggregate":
        return {"aggregate": aggregate(report)}
    if found["report_type"] == "failure":
        return {"failure": report["source"]["ip_address"]}
    counts = ("successful_session_count", "failed_session_count")
    return {"tls": [sum(each[name] for each in report["policies"]) for name in counts]}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    files = sorted(each for each in folder.rglob("*") if each.is_file() and each.name != "README.md")
    found = {each.relative_to(folder).as_posix(): read(each) for each in files}
    written = json.dumps({"parsedmarc": __version__, "reports": ORIGINS, "files": found}, ensure_ascii=False, indent=1)
    WRITTEN.write_text(written + "\n", "utf-8")


if __name__ == "__main__":
    main()
