"""Databases for tests: a SQLite file, and a PostgreSQL server of our own on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct


def _program(name: str) -> str | None:
    """A program of the newest PostgreSQL; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(Struct, frozen=True):
    """A PostgreSQL server that can be stopped and started again."""

    url: str
    control: tuple[str, ...]
    options: tuple[str, ...]
    folder: str

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._do(*self.options, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``fast`` closes every connection, ``immediate`` is as a crash."""
        self._do("-m", mode, "stop")

    def _do(self, *words: str) -> None:
        subprocess.run([*self.control, *words], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """A server with an empty database that lives as long as the block. It does not run as root."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        told = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail(told)
        pytest.skip(told)
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="deliv-pg-") as folder:
        if as_user:
            shutil.chown(folder, "postgres")
        data, port = f"{folder}/data", _free_port()
        made = [*as_user, initdb, "-D", data, "-A", "trust", "-U", "deliv", "-E", "UTF8"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        server = Server(
            f"postgresql+psycopg://deliv@127.0.0.1:{port}/postgres",
            (*as_user, pg_ctl, "-D", data),
            ("-l", f"{folder}/log", "-o", options),
            folder,
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database of a server that lives as long as the block."""
    with postgresql_server() as server:
        yield server.url


def empty(url: str) -> None:
    """Forget all that a PostgreSQL database holds."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
