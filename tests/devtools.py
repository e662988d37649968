"""Headless Chromium, driven over its DevTools protocol: one browser for all tests of a process, a tab for each."""

from __future__ import annotations

import base64
import io
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

from PIL import Image
from pypdf import PdfReader

from tests.browser import headless

PATIENCE = 600.0
DESKTOP, PHONE = 1280, 390
# Nothing but this machine can be reached.
OFFLINE = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class Tab:
    """One tab, or the browser itself. Commands: https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, address: str, folder: Path) -> None:
        self.folder = folder  # for the pages that are shown
        self._shown = 0
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

    def show(self, html: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """A page that comes from no server, with whatever it embeds."""
        self._shown += 1
        page = self.folder / f"{self._shown}.html"
        page.write_text("\ufeff" + html, "utf-8")
        self.open(page.as_uri(), width, height, dark=dark)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def image(self) -> Image.Image:
        """What is seen, as its pixels."""
        return Image.open(io.BytesIO(self.picture())).convert("RGB")

    def printed(self) -> PdfReader:
        """The page on paper."""
        made = self.command("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return PdfReader(io.BytesIO(base64.b64decode(made["data"])))

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


class Browser:
    """A browser in a fresh profile, with as many tabs as are asked for."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port, self._folder, self._tabs = port, folder, 0
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/version", timeout=PATIENCE) as answer:
            self._itself = Tab(json.load(answer)["webSocketDebuggerUrl"], folder)

    @contextmanager
    def tab(self) -> Iterator[Tab]:
        """A tab that shares nothing with another."""
        self._tabs += 1
        folder = self._folder / f"tab-{self._tabs}"
        folder.mkdir()
        context = self._itself.command("Target.createBrowserContext")["browserContextId"]
        target = self._itself.command("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        made = Tab(f"ws://127.0.0.1:{self._port}/devtools/page/{target}", folder)
        try:
            made.command("Page.enable")
            yield made
        finally:
            made.close()
            self._itself.command("Target.disposeBrowserContext", browserContextId=context)

    def close(self) -> None:
        """Leave it."""
        self._itself.close()


@contextmanager
def browser(chromium: str, folder: Path, resolve: str = OFFLINE) -> Iterator[Browser]:
    """A browser in which names resolve as told."""
    profile = folder / "profile"
    # A sandboxed frame in a process of its own may be painted after the screenshot where the machine is busy.
    one_process = "--disable-features=IsolateSandboxedIframes"
    command = [*headless(chromium, profile, resolve), one_process, "--remote-debugging-port=0", "about:blank"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as running:
        try:
            ready = profile / "DevToolsActivePort"
            patiently(lambda: ready.is_file() and ready.read_text("utf-8").count("\n"), "the browser starts")
            made = Browser(int(ready.read_text("utf-8").split()[0]), folder)
            try:
                yield made
            finally:
                made.close()
        finally:
            os.killpg(running.pid, 9)


MEASURE = """(() => {
  const root = document.documentElement;
  const outside = [...document.body.querySelectorAll("*")].filter((each) => {
    const box = each.getBoundingClientRect();
    if (box.right <= root.clientWidth + 1 || !box.width || !box.height) return false;
    for (let up = each; up && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return false;
    return true;
  }).map((each) => each.outerHTML.slice(0, 200));
  return {
    overflow: root.scrollWidth - root.clientWidth,
    outside: outside.slice(0, 5),
    background: getComputedStyle(document.body).backgroundColor + getComputedStyle(root).backgroundColor,
    answer: document.querySelector(".answer")?.getBoundingClientRect().bottom,
    text: document.body.innerText,
    stops: [...document.querySelectorAll("a[href], button, summary, input, [tabindex='0']")].filter(
      (each) => each.checkVisibility() && each.getClientRects().length).length,
    broken: [...document.querySelectorAll("th, .badge, .does, summary b")].filter(
      (each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1 && each.clientWidth
        && (each.closest("thead")?.clientWidth ?? 2) > 1)
      .map((each) => each.outerHTML.slice(0, 200)),
    height: root.scrollHeight,
    scrolls: [...document.querySelectorAll(".scroll")].filter((each) => each.scrollWidth > each.clientWidth)
      .map((each) => each.outerHTML.slice(0, 200)),
    articles: [...document.querySelectorAll("article")].map((each) => each.getBoundingClientRect().height),
  };
})()"""


def measured(tab: Tab, html: str, width: int = DESKTOP, *, dark: bool = False) -> dict[str, Any]:
    """What of a page is too wide, how long it is, what is read on it, and in which colours."""
    tab.show(html, width, dark=dark)
    found = tab.run(MEASURE)
    assert isinstance(found, dict)
    return found


def violations(tab: Tab, axe: str, html: str, *, dark: bool = False) -> list[Any]:
    """What axe-core finds on a page with all of its folds open: [rule, elements] each."""
    tab.show(html, height=1000, dark=dark)
    return violations_shown(tab, axe)


def violations_shown(tab: Tab, axe: str) -> list[Any]:
    """Of the page that the tab shows."""
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    tab.run(f"{axe}; 0")
    passes, found = tab.run(
        "axe.run(document, {iframes: false, resultTypes: ['violations']}).then((found) => [found.passes.length,"
        " found.violations.map((each) => [each.id, each.nodes.slice(0, 3).map((node) => node.html)])])"
    )
    assert passes > 10
    assert isinstance(found, list)
    return found
