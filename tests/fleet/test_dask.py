"""A fleet on a Dask cluster: a real scheduler and two workers, all on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.fleet.fleets import Fleet, digest_of, read_facts, timeless

pytestmark = pytest.mark.system
DOMAINS = 24


def dask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / f"{words[0]}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers."""
    if importlib.util.find_spec("distributed") is None:
        told = "dask.distributed is not installed (extra dask)"
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail(told)
        pytest.skip(told)
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    local = ("--scheduler-file", str(file), "--no-dashboard")
    running = [dask(folder, "scheduler", "--host", "127.0.0.1", "--port", "0", *local)]
    try:
        for _ in range(2):
            words = ("--host", "127.0.0.1", "--nthreads", "2", "--no-nanny", "--death-timeout", "60")
            running.append(dask(folder, "worker", *words, *local))
        while not (file.exists() and file.read_text()):
            assert running[0].poll() is None
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"].replace("tcp://", "dask://")
    finally:
        for each in running:
            os.killpg(each.pid, signal.SIGKILL)
            each.wait()


def test_a_cluster_finds_the_same(cluster: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, DOMAINS)
    fleet.run(tmp_path / "here", code=3)
    done = fleet.run(tmp_path / "there", "--engine", cluster, code=3)
    assert f"{DOMAINS} of {DOMAINS} domains audited" in done.out
    assert digest_of(tmp_path / "there") == digest_of(tmp_path / "here")
    here, there = (map(timeless, read_facts(tmp_path / each)) for each in ("here", "there"))
    assert list(here) == list(there)


def test_nobody_at_the_address_is_told(tmp_path: Path) -> None:
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("dask.distributed is not installed (extra dask)")
    fleet = Fleet(tmp_path, 2)
    done = fleet.run(tmp_path / "out", "--engine", "dask://127.0.0.1:9", code=2)
    assert "no Dask scheduler answers at dask://127.0.0.1:9" in done.err
