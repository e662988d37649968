"""unbound on loopback, an ordinary resolver: it asks the name server of a benchmark, caches and rotates."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query

_WAIT = 60  # seconds until it answers

_SETTINGS = """server:
    interface: 127.0.0.1
    port: {port}
    directory: "{folder}"
    pidfile: "{folder}/pid"
    chroot: ""
    username: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    do-ip6: no
    do-not-query-localhost: no
    module-config: "iterator"
    qname-minimisation: no
    unblock-lan-zones: yes
    insecure-lan-zones: yes
    local-zone: "test." nodefault
    local-zone: "invalid." nodefault
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{upstream}
"""


def unbound_program() -> str:
    """Where unbound is; empty: nowhere."""
    return shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin") or ""


@contextmanager
def unbound(upstream: int, folder: Path) -> Iterator[str]:
    """A running unbound that asks the server at port `upstream`, as `--resolver` takes it.

    It rotates record sets, as it does by default. Raises TimeoutError where it does not answer.
    """
    folder.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "unbound.conf").write_text(_SETTINGS.format(port=port, folder=folder, upstream=upstream))
    process = subprocess.Popen([unbound_program(), "-c", str(folder / "unbound.conf")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + _WAIT
    while time.monotonic() < until:
        try:
            dns.query.udp(dns.message.make_query("example", "SOA"), "127.0.0.1", timeout=0.5, port=port)
        except (dns.exception.Timeout, OSError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("unbound does not answer")
