"""A tab of headless Chromium, driven over its DevTools protocol: for pages that come from a server."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.browser import headless

PATIENCE = 60.0


class Tab:
    """One tab. Commands: https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        self._number = 0

    def command(self, method: str, **params: Any) -> Any:
        """The result of a command."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, script: str) -> Any:
        """What an expression comes to."""
        found = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Go to a page and wait until it and its frames are there."""
        self.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.command("Page.navigate", url=url)
        self.wait_for(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def size(self, width: int, height: int) -> None:
        """Another size of the window."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        patiently(lambda: self.run(condition), condition)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """Leave it."""
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        data, mask = json.dumps(message).encode(), secrets.token_bytes(4)
        size = len(data)
        head = b"\x81" + (
            bytes([0x80 | size])
            if size < 126
            else b"\xfe" + struct.pack(">H", size)
            if size < 1 << 16
            else b"\xff" + struct.pack(">Q", size)
        )
        key = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        self._socket.sendall(head + mask + masked)

    def _receive(self) -> dict[str, Any]:
        data, last = b"", False
        while not last:
            first, size = self._read(2)
            last, size = bool(first & 0x80), size & 0x7F
            if size > 125:
                size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
            data += self._read(size)
        found = json.loads(data)
        assert isinstance(found, dict)
        return found

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            assert piece, "the browser has gone"
            data += piece
        return bytes(data)


def patiently(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; however slow the machine, what never comes fails."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


@contextmanager
def tab(chromium: str, folder: Path, resolve: str = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1") -> Iterator[Tab]:
    """A tab of a fresh browser, in which names resolve as told: by default nothing but this machine can be reached."""
    profile = folder / "profile"
    command = [*headless(chromium, profile, resolve), "--remote-debugging-port=0", "about:blank"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as browser:
        try:
            ready = profile / "DevToolsActivePort"
            patiently(lambda: ready.is_file() and ready.read_text("utf-8").count("\n"), "the browser starts")
            port = ready.read_text("utf-8").split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE) as answer:
                address = next(each["webSocketDebuggerUrl"] for each in json.load(answer) if each["type"] == "page")
            made = Tab(address)
            try:
                made.command("Page.enable")
                yield made
            finally:
                made.close()
        finally:
            os.killpg(browser.pid, 9)
