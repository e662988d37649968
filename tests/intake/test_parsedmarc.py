"""The sums of our reading and of parsedmarc's, over every report of the corpus; benchmarks/feedback_sums.py wrote its.

Whole periods are compared: parsedmarc spreads one that is longer than a day over days, which we do for charts alone.
"""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.model.observed import AggregateReport, TlsReport
from deliverability.intake.readings import UnusedPart, reports_in
from tests.corpus import corpus
from tests.intake.reports import NOW, Rows

SUMS = json.loads((Path(__file__).parent / "parsedmarc-sums.json").read_text("utf-8"))
"""By parsedmarc 11.1.0."""
THEIRS: dict[str, dict[str, Any]] = SUMS["files"]

WE_SAY: dict[str, dict[str, Any]] = {
    # Both refuse them, in their own words: the one is a text, the other has nothing in it.
    "avvertix/fixtures__plain.txt": {"none": "not-feedback"},
    "parsedmarc/samples__empty.xml": {"none": "not-feedback"},
    # The sum says one failed session, its details name two, each with another HTTP status. We tell the larger
    # number: details say of which kind a session was, so each of them was one.
    "parsedmarc/smtp_tls__mail.ru.json": {"tls": [0, 2]},
    # gzip inside gzip, which parsedmarc opens once. The sums are those of the same report unpacked, testdata__test.xml.
    "tierpod/testdata__test.xml.gz.gz": THEIRS["tierpod/testdata__test.xml"],
    # The only record has no address: parsedmarc gives the report up, we the record.
    "tierpod/testdata__test_empty.xml": {"aggregate": {}},
}
"""Where the two differ: what we read instead, and why that is right."""


def ours(name: str) -> dict[str, Any]:
    """What we read in a file, as the sums have it."""
    (found,) = reports_in(corpus("reports", name).read_bytes(), name, Rows, NOW)
    if isinstance(found, UnusedPart):
        return {"none": found.detail.code}
    report = found.report
    if isinstance(report, TlsReport):
        return {"tls": [sum(each.succeeded for each in report.policies), sum(each.failed for each in report.policies)]}
    if not isinstance(report, AggregateReport):
        return {"failure": str(ipaddress.ip_address(report.ip))}
    assert found.rows is not None
    return {"aggregate": sums_of(found.rows)}


def sums_of(rows: Rows) -> dict[str, int]:
    """Messages by what is told of them."""
    sums: Counter[str] = Counter()
    for ip, messages, facet in rows.rows:
        dkim, spf = ("pass" if each else "fail" for each in (facet.aligned_dkim, facet.aligned_spf))
        sums[f"{ipaddress.ip_address(ip)} dkim={dkim} spf={spf} {facet.disposition}"] += messages
    return dict(sorted(sums.items()))


@pytest.mark.parametrize("name", THEIRS)
def test_sums_are_those_of_parsedmarc(name: str) -> None:
    assert ours(name) == WE_SAY.get(name, THEIRS[name])


def test_every_report_is_compared() -> None:
    folder = corpus("reports")
    files = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} - {"README.md"}
    assert set(THEIRS) == files


def test_what_differs_does_differ() -> None:
    assert set(WE_SAY) <= set(THEIRS)
    assert [name for name, said in WE_SAY.items() if said == THEIRS[name]] == []
