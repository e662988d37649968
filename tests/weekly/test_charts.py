"""Trends as drawings: nothing that runs, a gap where nothing is known, and no trace left in the interpreter."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from deliverability.weekly.sends import line, spark

pytestmark = pytest.mark.long

DATES = ("2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23")


def drawn(values: tuple[int | None, ...], limit: int | None = None) -> str:
    return line(DATES, values, name="lookups", write=str, limit=limit)


def test_a_gap_is_no_point_and_breaks_the_line() -> None:
    whole, broken = drawn((9, 9, 10, 11)), drawn((9, None, 10, 11))
    assert (whole.count("<circle"), broken.count("<circle")) == (4, 3)


def test_the_limit_is_a_line_of_its_own() -> None:
    assert "serie-1" in drawn((9, 9, 10, 11), limit=10)
    assert "serie-1" not in drawn((9, 9, 10, 11))


def test_it_is_hidden_from_screen_readers_and_runs_nothing() -> None:
    for svg in (drawn((1, 2, 3, 4)), spark((1, 2, None, 4), top=4)):
        assert 'aria-hidden="true"' in svg
        assert "<script" not in svg
        assert "<style" not in svg
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_dates_and_numbers_stand_at_the_axes() -> None:
    svg = line(DATES, (1, 2, 3, 4), name="n", write=lambda value: f"{value:g} x")
    assert "11-02" in svg
    assert " x<" in svg


def test_imports_that_find_nothing_are_as_before() -> None:
    drawn((1, 2, 3, 4))
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == "pygal"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("no_such_module_here")


def test_a_chart_is_drawn_whatever_else_is_installed(tmp_path: Path) -> None:
    lxml = tmp_path / "lxml"
    lxml.mkdir()
    (lxml / "__init__.py").touch()
    (lxml / "etree.py").write_text("def __getattr__(name): raise RuntimeError('lxml was asked for ' + name)\n")
    drawing = """
from deliverability.weekly.sends import line, spark
print(line("ab", (1, 2), name="x", write=str), spark((1, 2), top=2))
"""
    paths = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
    done = subprocess.run(
        [sys.executable, "-c", drawing], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.stdout.count("<svg") == 2, done.stderr


def test_the_first_charts_may_be_drawn_side_by_side() -> None:
    drawing = """
import sys
from concurrent.futures import ThreadPoolExecutor
from deliverability.weekly.sends import line
sys.setswitchinterval(1e-5)
with ThreadPoolExecutor(8) as pool:
    for svg in pool.map(lambda _: line("ab", (1, 2), name="x", write=str), range(8)):
        print(svg[:4])
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", drawing], capture_output=True, text=True)
        assert done.stdout.split() == ["<svg"] * 8, done.stderr
