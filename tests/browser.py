"""A real browser for tests: headless Chromium in a fresh profile, with the network out of reach."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REQUIRED = os.environ.get("DELIV_REQUIRE_SYSTEM") == "1"
QUIET = ("background-networking", "component-update", "sync", "default-apps", "extensions", "gpu", "dev-shm-usage")


def require(found: str | None, what: str) -> str:
    """What was found; without it the test is skipped, or fails where DELIV_REQUIRE_SYSTEM=1."""
    if found is not None:
        return found
    if REQUIRED:
        pytest.fail(f"no {what}, and DELIV_REQUIRE_SYSTEM=1 demands it")
    pytest.skip(f"no {what} on this machine")


def find_chromium() -> str:
    """The browser's program, or a skipped test."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return require(next(filter(None, map(shutil.which, names)), None), "chromium (Debian: apt-get install chromium)")


def find_axe() -> str:
    """The script of axe-core, from the file that DELIV_AXE names, which .ci/run fetches; or a skipped test."""
    name = os.environ.get("DELIV_AXE")
    found = name if name and Path(name).is_file() else None
    return Path(require(found, "axe-core (npm pack axe-core; DELIV_AXE=axe.min.js)")).read_text("utf-8")


def headless(chromium: str, profile: Path, resolve: str) -> list[str]:
    """The command for a browser without a window, in which names resolve as told."""
    return [
        chromium,
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        "--hide-scrollbars",
        *(f"--disable-{feature}" for feature in QUIET),
        f"--user-data-dir={profile}",
        f"--host-resolver-rules={resolve}",
    ]


def browse(chromium: str, folder: Path, page: Path, *args: str) -> None:
    """Load a page in a fresh, offline browser of its own."""
    command = [
        *headless(chromium, folder / "profile", "MAP * ~NOTFOUND"),
        "--virtual-time-budget=10000",
        "--dump-dom",
        *args,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
