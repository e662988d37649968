"""CSV: RFC 4180, one row a finding, and no cell that a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io

import pytest

from deliverability.core.report.formats.csv import COLUMNS
from tests.fixtures_report import make_report, speaker
from tests.shown import CASES, waived, with_remedies
from tests.speaking import written


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("case", CASES)
def test_every_finding_has_a_row_with_all_columns(case: str, lang: str) -> None:
    text = written("csv", CASES[case], speaker(lang))
    rows = rows_of(text)
    assert len(rows) == sum(len(report.findings) for report in CASES[case])
    assert all(tuple(row) == COLUMNS and None not in row.values() for row in rows)
    assert text.endswith("\r\n")


def test_the_head_stands_once_also_without_rows() -> None:
    head = ",".join(COLUMNS) + "\r\n"
    assert written("csv", [], speaker("en")) == head
    assert written("csv", [make_report()] * 2, speaker("en")).count("domain,message") == 1


def test_no_cell_is_a_formula() -> None:
    for row in rows_of(written("csv", CASES["hostile"], speaker("en"))):
        assert not any(cell.lstrip().startswith(tuple("=+-@\t\r＝＋－＠")) for cell in row.values())
    report = make_report(domain="=1+1", message="＝cmd.eml")
    row = rows_of(written("csv", report, speaker("ja")))[0]
    assert (row["domain"], row["message"]) == ("'=1+1", "'＝cmd.eml")


def test_a_row_in_full() -> None:
    row = rows_of(written("csv", with_remedies(), speaker("en")))[0]
    assert row["rule"] == "SPF-003"
    assert (row["outcome"], row["severity"]) == ("unmet", "error")
    assert row["found"] == "SPF needs 12 DNS lookups; 10 are allowed."
    assert row["receivers"] == "icloud: reject 554 5.7.1; gmail: spam"
    assert row["records"] == 'example.com TXT "v=spf1 include:_spf.google.com ~all"'
    assert row["steps"].splitlines()[0] == "Remove the includes of services that no longer send for you."


def test_what_the_user_accepts_is_told() -> None:
    accepted, other, *_ = rows_of(written("csv", waived(), speaker("en")))
    assert accepted["waived"].startswith("handled-elsewhere: =x")
    assert (accepted["outcome"], other["waived"]) == ("unmet", "")


def test_what_waits_is_told_from_what_failed() -> None:
    rows = {row["rule"]: row for row in rows_of(written("csv", make_report(), speaker("en")))}
    assert rows["NET-001"]["outcome"] == "unknown"
    assert rows["MSG-010"]["outcome"] == "waiting"


def test_the_byte_order_mark_is_for_files() -> None:
    assert written("csv", make_report(), speaker("ja"), file=True).startswith("\ufeffdomain,")
    assert written("csv", make_report(), speaker("ja")).startswith("domain,")
