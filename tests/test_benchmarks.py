"""`make bench`: every script runs, and what they measure reaches the page whatever becomes of one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import SCRIPTS, Script, collect, filled, run, table
from tests.corpus import NO_CORPUS

ROW = {"target": "G3", "case": "fast | faster", "measured": 12.345, "goal": "≥ 7 ×", "peer": "53/s", "met": True}
PAGE = (bench.PAGE).read_text("utf-8")


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Script:
    monkeypatch.setattr(bench, "ROOT", folder)
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "fleet.py").write_text(text)
    return Script("fleet", ("G3", "S5"))


@pytest.mark.slow
@pytest.mark.parametrize("each", SCRIPTS, ids=lambda each: each.name)
def test_each_script_runs_with_tiny_sizes_and_tells_of_its_targets(each: Script):
    ran = run(each, quick=True, seconds=600)
    if ran.problem == bench.NEEDS_CORPUS:
        pytest.skip(NO_CORPUS)
    assert ran.problem == ""
    assert {row["target"] for row in ran.rows} - {bench.PAPER} == set(each.targets)
    for row in ran.rows:
        assert set(row) == {"target", "case", "measured", "goal", "peer", "met"}
        assert row["met"] in (True, False, None)
        assert (row["met"] is None) or row["goal"], row


def test_every_target_has_one_script_and_a_line_on_the_page():
    targets = {target for each in SCRIPTS for target in each.targets}
    guards = {f"G{number}" for number in range(1, 9)}
    assert guards <= targets
    assert targets - guards == {"S1", "S2", "S3", "S5", "S6", "S9", "S10"}
    assert all(PAGE.count(f"\n| {target} | ") >= 2 or target == "S3" for target in targets)


def test_rows_become_a_table_in_the_order_of_the_targets():
    later = {**ROW, "target": "S9", "met": False, "measured": 4321.0}
    text = table({"startup": {"rows": [later]}, "fleet": {"rows": [ROW, {**ROW, "target": "paper"}]}})
    assert "| G3 | fast \\| faster | ≥ 7 × | 12.3 | 53/s | yes |" in text
    assert "| S9 | fast \\| faster | ≥ 7 × | 4,321 | 53/s | **no** |" in text
    assert text.index("| G3 |") < text.index("| S9 |")
    assert "| S5 | `fleet.py`: not measured yet |" in text
    assert "paper" not in text


def test_the_page_keeps_what_stands_around_its_tables():
    measured = {"fleet": {"date": "2026-11-26", "machine": "2 cores", "rows": [ROW, {**ROW, "target": "paper"}]}}
    page = filled(PAGE, measured)
    assert filled(page, measured) == page
    assert "`fleet.py`: 2026-11-26, 2 cores." in page
    assert "| fast \\| faster | 12.3 |" in page
    assert page.startswith(PAGE.partition("<!--")[0])
    with pytest.raises(ValueError, match="no <!-- "):
        filled("nothing here", measured)


@pytest.mark.long
def test_a_script_that_fails_or_is_missing_is_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken = script(tmp_path, monkeypatch, "import sys\nsys.exit('no | such thing')\n")
    measured = collect([Script("gone", ("G6",)), broken], quick=False)
    assert measured["gone"]["problem"] == "not written yet"
    assert measured["fleet"]["problem"] == "failed: no | such thing"
    assert "| G3 | `fleet.py`: failed: no \\| such thing |" in table(measured)


@pytest.mark.parametrize(
    ("text", "problem", "seconds"),
    [
        ("import sys\nsys.exit('the corpus is not here; set DELIV_CORPUS')\n", bench.NEEDS_CORPUS, 600),
        ("pass\n", "wrote no rows: ", 600),
        ("import time\ntime.sleep(6000)\n", "not done after 1 seconds", 1),
    ],
)
def test_what_is_told_of_a_script_without_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str, seconds: float
):
    ran = run(script(tmp_path, monkeypatch, text), seconds=seconds)
    assert ran.rows == ()
    assert ran.problem.startswith(problem)


@pytest.mark.parametrize(
    ("loads", "runs"),
    [([0.2, 0.3], 1), ([1.6, 0.1, 0.1], 2), ([0.1, 1.6, 1.9], 2), ([None, None], 1)],
    ids=["quiet", "busy before", "busy to the end", "not told"],
)
def test_a_script_runs_once_more_where_the_machine_was_busy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loads: list[float | None],
    runs: int,
):
    told = iter(loads)
    monkeypatch.setattr(bench, "busy", lambda: next(told))
    text = f"import pathlib\npathlib.Path({str(tmp_path / 'runs')!r}).open('a').write('x')\n"
    given = script(tmp_path, monkeypatch, text)
    bench.repeated(given, quick=False)
    assert (tmp_path / "runs").read_text() == "x"  # it wrote no rows: what fails is not tried again
    (tmp_path / "runs").unlink()
    monkeypatch.setattr(bench, "run", lambda each, quick: ran.append(each) or bench.Ran((ROW,)))
    ran: list[Script] = []
    told = iter(loads)
    found, load = bench.repeated(given, quick=False)
    assert (len(ran), found.rows) == (runs, (ROW,))
    assert load == max((each for each in loads[-2:] if each is not None), default=None)
    assert ("once more" in capsys.readouterr().out) == (runs == 2)
