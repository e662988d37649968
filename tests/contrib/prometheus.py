"""A Prometheus server on loopback, fed with metrics of the past and of now."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from msgspec import Struct

_PATIENCE = 120  # seconds; it is up in five where nothing else runs
_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
storage: {{tsdb: {{out_of_order_time_window: 200d}}}}
scrape_configs:
  - job_name: deliv
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus(Struct, frozen=True):
    """A server that answers queries."""

    url: str

    def ask(self, path: str, **asked: Any) -> Any:
        """The data of an answer."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(asked)}", timeout=_PATIENCE) as answer:
            return json.load(answer)["data"]

    def series(self, expr: str, **asked: Any) -> list[dict[str, Any]]:
        """The series of a query; with `start` and `end` over a range."""
        found: list[dict[str, Any]] = self.ask("query_range" if "start" in asked else "query", query=expr, **asked)[
            "result"
        ]
        return found

    def wait(self, what: Callable[[], bool]) -> None:
        """Until it is so."""
        give_up = time.monotonic() + _PATIENCE
        while not _holds(what):
            assert time.monotonic() < give_up, "Prometheus did not come to that"
            time.sleep(0.2)


def _holds(what: Callable[[], bool]) -> bool:
    try:
        return what()
    except OSError:
        return False


def _program() -> str:
    found = shutil.which("prometheus")
    if found is None:
        told = "Prometheus is not installed (Debian: apt-get install prometheus)"
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail(told)
        pytest.skip(told)
    return found


@contextmanager
def _pages(texts: Mapping[str, str]) -> Iterator[int]:
    """The port of a page that first shows `past`, then `now`."""
    asked = threading.Event()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = texts["now" if asked.is_set() else "past"].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)
            asked.set()

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(rules: Path, past: str, now: str) -> Iterator[Prometheus]:
    """A server with these rules; `past`: metrics with timestamps, `now`: without."""
    program = _program()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="deliv-prom-") as folder, _pages({"past": past, "now": now}) as page:
        config = Path(folder, "prometheus.yml")
        config.write_text(_CONFIG.format(rules=rules, port=page))
        words = [program, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        words += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", "--storage.tsdb.retention.time=400d"]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        try:
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            server.terminate()
            server.wait()
