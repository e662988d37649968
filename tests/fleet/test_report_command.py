"""`deliv fleet report` and `deliv fleet query`: over folders as a run leaves them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from deliverability.fleet import tables
from deliverability.fleet.shards import FleetRow, Unchecked
from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture
from tests.fleet.rows import row, write_fleet

pytestmark = pytest.mark.long

HOSTILE = "<script>alert(1)</script>"


def fleet_rows(cost: int = 6) -> list:
    vendor = {"_spf.vendor.example": cost, "_spf.mail.example": 5}
    return [
        *(
            row(f"v{n}.example", includes=vendor, unmet=["SPF-003"], grade="D", labels={"tier": "pro"})
            for n in range(7)
        ),
        *(row(f"fine{n}.example", includes={"_spf.mail.example": 5}, grade="A", met=["SPF-003"]) for n in range(200)),
        row(
            "odd.example",
            includes={f"{HOSTILE}.example": 12},
            failed=True,
            labels={"customer": "=1+1", HOSTILE: HOSTILE},
            facts={"spf.broken_includes": [HOSTILE], "dmarc.stage": "none"},
            name_servers=(f"ns1.{HOSTILE}.example",),
            verdicts={"gmail": "dns-not-ready"},
        ),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_fleet(tmp_path / "fleet", fleet_rows())


# --- report ---


def test_the_answer_is_printed_where_no_file_is_named(deliv: Deliv, folder: Path) -> None:  # noqa: F811
    done = deliv("fleet", "report", str(folder))
    assert done.code == 0
    assert done.out.startswith("208 domains\nMore than ten SPF lookups: 8 domains (4%).")
    assert "7 domains: _spf.vendor.example costs 6 lookups. One fewer lookup there fixes 7 domains. " in done.out


def test_the_answer_speaks_japanese(deliv: Deliv, folder: Path) -> None:  # noqa: F811
    done = deliv("fleet", "report", str(folder), "--lang", "ja")
    assert "7ドメイン：_spf.vendor.exampleのDNS参照は6回です。" in done.out


def test_each_file_is_written_by_its_ending(deliv: Deliv, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    files = [tmp_path / f"out.{ending}" for ending in ("html", "json", "csv")]
    done = deliv("fleet", "report", str(folder), *(part for file in files for part in ("-o", str(file))))
    assert (done.code, done.out) == (0, "")
    page, data, rows = (file.read_text("utf-8") for file in files)
    assert "<h1>208 domains</h1>" in page
    assert json.loads(data)["lookups"]["includes"][0]["target"] == "_spf.vendor.example"
    table = list(csv.DictReader(io.StringIO(rows.removeprefix("\ufeff"))))
    first = next(each for each in table if each["section"] == "lookups")
    assert (first["name"], first["domains"], first["of"]) == ("_spf.vendor.example", "7", "8")
    assert "'=1+1" in {each["name"] for each in table}, "a spreadsheet calculates nothing"


def test_names_of_strangers_are_no_markup(deliv: Deliv, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    for lang in ("en", "ja"):
        deliv("fleet", "report", str(folder), "-o", str(tmp_path / "out.html"), "--lang", lang)
        page = (tmp_path / "out.html").read_text("utf-8")
        assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in page
        assert "<script" not in page


def test_an_older_run_is_compared(deliv: Deliv, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    older = write_fleet(tmp_path / "older", fleet_rows(cost=4))
    out = tmp_path / "out.json"
    assert deliv("fleet", "report", str(folder), "--compare", str(older), "-o", str(out)).code == 0
    (moved,) = json.loads(out.read_text("utf-8"))["trend"]["includes"]
    assert (moved["target"], moved["new"], moved["before"], moved["now"]) == ("_spf.vendor.example", 7, 4, 6)


def test_what_cannot_be_done_is_told(deliv: Deliv, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        ((str(folder), "-o", str(tmp_path / "out.pdf")), ".html"),
        ((str(tmp_path / "empty"),), "empty"),
        ((str(folder), "--compare", str(tmp_path / "empty")), "empty"),
    ):
        done = deliv("fleet", "report", *arguments)
        assert done.code == 2
        assert said in done.err


def test_a_damaged_file_is_told_by_name(deliv: Deliv, folder: Path) -> None:  # noqa: F811
    (folder / "findings" / "00001.jsonl.gz").write_bytes(b"no gzip")
    done = deliv("fleet", "report", str(folder))
    assert done.code == 3
    assert "00001.jsonl.gz" in done.err


# --- query ---

ENGINES = ("duckdb", "sqlite")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(tables, "has_duckdb", lambda: request.param == "duckdb")
    return str(request.param)


def test_a_query_is_answered_by_either_engine(deliv: Deliv, folder: Path, engine: str) -> None:  # noqa: F811
    sql = "SELECT rule, count(*) AS n FROM findings WHERE outcome = 'unmet' GROUP BY rule"
    done = deliv("fleet", "query", str(folder), sql)
    assert (done.code, done.out) == (0, "rule     n\n-------  -\nSPF-003  7\n")
    assert (folder / ("tables" if engine == "duckdb" else "tables.sqlite3")).exists()


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_has_its_columns(deliv: Deliv, folder: Path, engine: str, name: str) -> None:  # noqa: F811
    done = deliv("fleet", "query", str(folder), f"SELECT * FROM {name}", "--format", "csv")
    assert done.out.splitlines()[0] == ",".join(tables.TABLES[name])


def test_what_is_not_known_is_null_and_no_text(deliv: Deliv, folder: Path, engine: str) -> None:  # noqa: F811
    sql = (
        "SELECT domain, dmarc_stage, spf_lookups FROM domains WHERE domain IN ('odd.example', 'v0.example') ORDER BY 1"
    )
    done = deliv("fleet", "query", str(folder), sql, "--format", "json")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"domain": "odd.example", "dmarc_stage": "none", "spf_lookups": 12},
        {"domain": "v0.example", "dmarc_stage": None, "spf_lookups": 11},
    ]


def test_tables_follow_the_run(deliv: Deliv, folder: Path, engine: str, tmp_path: Path) -> None:  # noqa: F811
    def count() -> str:
        return deliv("fleet", "query", str(folder), "SELECT count(*) FROM domains").out.split()[-1]

    assert count() == "208"
    other = write_fleet(tmp_path / "other", fleet_rows()[:5], at="2026-11-27T09:00:00Z")
    for path in ("manifest.sqlite3", "findings/00000.jsonl.gz"):
        (folder / path).write_bytes((other / path).read_bytes())
    assert count() == "5"


def test_a_query_that_cannot_be_answered_names_the_tables(deliv: Deliv, folder: Path, engine: str) -> None:  # noqa: F811
    for sql in ("SELECT nothing FROM domains", "SELECT", "DELETE FROM domains"):
        done = deliv("fleet", "query", str(folder), sql)
        assert done.code == 2, sql
        assert "findings" in done.err


def test_control_characters_reach_no_terminal(deliv: Deliv, tmp_path: Path, engine: str) -> None:  # noqa: F811
    asked = (Unchecked("TXT a\x1b[31m.example", "timeout"),)
    folder = write_fleet(tmp_path / "fleet", [FleetRow("a.example", failed=True, unchecked=asked)])
    for style in ("text", "json"):
        done = deliv("fleet", "query", str(folder), "SELECT asked FROM unchecked", "--format", style)
        assert "\x1b" not in done.out
        assert "example" in done.out


def test_parquet_says_what_it_needs(deliv: Deliv, folder: Path, engine: str) -> None:  # noqa: F811
    done = deliv("fleet", "report", str(folder), "--parquet")
    if engine == "duckdb":
        assert done.code == 0
        assert (folder / "tables" / "findings.parquet").stat().st_size > 0
        assert not list((folder / "tables").glob("*.jsonl"))
    else:
        assert done.code == 2
        assert "fleet extra" in done.err
