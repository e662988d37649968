"""Fixtures for all tests: the network is refused, loopback excepted, and the machine speaks English."""

from __future__ import annotations

import atexit
import gc
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import hypothesis
import pytest

from deliverability.core import cache as kept
from tests.browser import find_axe, find_chromium
from tests.corpus import NO_CORPUS, corpus_root
from tests.databases import empty, postgresql
from tests.devtools import Browser, Tab, browser
from tests.sampled import WHOLE

# A busy machine is no fault: an example may take as long as it takes. Only "deep" tries other ones each time.
_PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("part", max_examples=WHOLE // 6, derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("whole", max_examples=WHOLE, derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("deep", max_examples=20 * WHOLE, print_blob=True, **_PATIENT)
hypothesis.settings.load_profile("part")
os.environ["TZ"] = "UTC"  # texts tell moments in the reader's zone
# What is kept from run to run is kept apart from the user's own; the processes of the tests share it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    for _folder in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        os.environ[_folder] = tempfile.mkdtemp(prefix="deliv-tests-")
        atexit.register(shutil.rmtree, os.environ[_folder], ignore_errors=True)
# Tests start hundreds of processes; where modules are compiled anew for each, that is half of their time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
time.tzset()


gc.disable()  # while tests are collected there is none


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs whole commands is long."""
    for item in items:
        if "deliv" in getattr(item, "fixturenames", ()):
            item.add_marker("long")


def pytest_collection_finish() -> None:
    """Leave the tests themselves out of every search for garbage: they are more than what any test makes."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each core that may be used, and two that work while others wait; each takes up to a gigabyte."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 2, 8)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once what is left out where there is no corpus, not for each test."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = (NO_CORPUS, *(() if corpus_root() else ("got empty parameter set",)))
    without = [each for each in skipped if any(reason in str(each.longrepr) for reason in reasons)]
    if without:
        terminalreporter.stats["skipped"] = [each for each in skipped if each not in without]
        terminalreporter.section("corpus")
        terminalreporter.line(f"{len(without)} tests were left out: {NO_CORPUS}.")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection and datagram that would leave this machine."""

    def guarded(original: Any) -> Any:
        def call(self: socket.socket, *args: Any) -> Any:
            address = args[-1]
            if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
                try:
                    loopback = ipaddress.ip_address(address[0]).is_loopback
                except ValueError:
                    loopback = address[0] == "localhost"
                if not loopback:
                    raise AssertionError(f"a test tried to reach {address[0]}")
            return original(self, *args)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def english() -> Iterator[None]:
    """Whatever the language of this machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.delenv("DELIV_LANG", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Rules and catalogues are values: what a file of the cache holds is read once a process, not once a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "_unpickle", lru_cache(maxsize=32)(kept._unpickle))
        yield


@pytest.fixture(scope="session", autouse=True)
def counted_frozen() -> Iterator[Callable[[], int]]:
    """To count a million frozen objects takes longer than most of what asks whether there are any. Gives who counts."""
    counted = gc.get_freeze_count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "get_freeze_count", lambda: 1)
        yield counted


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server of our own, the same for all tests of a process."""
    with postgresql() as url:
        yield url


@pytest.fixture
def database(postgresql_url: str) -> str:
    """The URL of a PostgreSQL database in which nothing is yet."""
    empty(postgresql_url)
    return postgresql_url


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that reaches nothing but this machine, the same for all tests of a process."""
    with browser(find_chromium(), tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    """A tab of it that has seen nothing yet."""
    with chromium.tab() as made:
        yield made


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    return find_axe()
