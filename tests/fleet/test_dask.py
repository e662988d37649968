"""A fleet on a Dask cluster: a real scheduler and two workers, all on loopback."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cluster import cluster
from tests.fleet.fleets import Fleet, digest_of, read_facts, timeless

pytestmark = pytest.mark.system
DOMAINS = 24


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers."""
    if importlib.util.find_spec("distributed") is None:
        told = "dask.distributed is not installed (extra dask)"
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail(told)
        pytest.skip(told)
    with cluster(tmp_path_factory.mktemp("dask")) as address:
        yield address


@pytest.mark.slow
def test_a_cluster_finds_the_same(engine: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, DOMAINS)
    fleet.run(tmp_path / "here", code=3)
    done = fleet.run(tmp_path / "there", "--engine", engine, code=3)
    assert f"{DOMAINS} of {DOMAINS} domains audited" in done.out
    assert digest_of(tmp_path / "there") == digest_of(tmp_path / "here")
    here, there = (map(timeless, read_facts(tmp_path / each)) for each in ("here", "there"))
    assert list(here) == list(there)


@pytest.mark.slow
def test_nobody_at_the_address_is_told(tmp_path: Path) -> None:
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("dask.distributed is not installed (extra dask)")
    fleet = Fleet(tmp_path, 2)
    done = fleet.run(tmp_path / "out", "--engine", "dask://127.0.0.1:9", code=2)
    assert "no Dask scheduler answers at dask://127.0.0.1:9" in done.err
