"""Fixtures for all tests: the network is refused, loopback excepted, and the machine speaks English."""

from __future__ import annotations

import atexit
import ipaddress
import os
import shutil
import socket
import tempfile
import time
from typing import Any

import hypothesis
import pytest

# A busy machine is no fault: an example may take as long as it takes.
hypothesis.settings.register_profile("deliv", deadline=None)
hypothesis.settings.load_profile("deliv")
os.environ["TZ"] = "UTC"  # texts tell moments in the reader's zone
# What is kept from run to run is kept apart from the user's own; processes that tests start share it.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="deliv-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
time.tzset()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
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

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the language of this machine is."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("DELIV_LANG", raising=False)
