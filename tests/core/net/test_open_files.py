"""A machine that lets a process open few files: answers come later, and none is lost."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import deliverability
from deliverability.core.net import transports
from deliverability.core.net.base import Found
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.transports import Streams
from tests.dnsserver import DnsServer
from tests.speaking import english

pytestmark = pytest.mark.long

NAMES = [f"d{number}.example" for number in range(60)]
RECORDS = {
    key: values
    for name in NAMES
    for key, values in {
        (name, "TXT"): [f"v=spf1 include:_spf.{name} -all"],
        (f"_spf.{name}", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
        (f"_dmarc.{name}", "TXT"): ["v=DMARC1; p=reject"],
        (name, "MX"): [f"10 mx.{name}"],
        (f"mx.{name}", "A"): ["192.0.2.1"],
    }.items()
}


# The program, which waits for a reply as long as a busy machine may need.
PATIENT = """
from deliverability.__main__ import run
from deliverability.core.net.dns import LiveResolver
LiveResolver.__init__.__kwdefaults__["timeout"] = 10.0
run()
"""


@pytest.mark.parametrize("count", [20, pytest.param(60, marks=pytest.mark.slow)])
async def test_many_domains_with_sixty_four_files(tmp_path: Path, count: int) -> None:
    """Before, 58 of 60 were unknown: "Too many open files" was taken for a server that is not there."""
    names = NAMES[:count]
    async with DnsServer(StaticResolver(RECORDS), delay=0.1) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PATIENT, "facts", "--resolver", f"127.0.0.1:{server.port}"),
            *("--timeout", "300", *names),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(deliverability.__file__).parents[1])},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        )
        out, err = await asyncio.wait_for(process.communicate(), 300)
    assert err == b""
    assert process.returncode == 0, "nothing failed"
    documents = json.loads(out)
    assert [each["subject"]["domain"] for each in documents] == names
    assert {each["facts"]["spf.lookups"]["value"] for each in documents} == {1}


class Scarce:
    """Stands for socket.socket: so many times there is no file for another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: float) -> None:
        self.refused = 0
        self._times = times
        self._open = socket.socket
        monkeypatch.setattr(transports.socket, "socket", self)

    def __call__(self, *args: Any) -> socket.socket:
        if self.refused < self._times:
            self.refused += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._open(*args)


async def test_files_that_run_out_on_the_way_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsServer(StaticResolver(RECORDS)) as server:
        resolver = LiveResolver([server.server])
        scarce = Scarce(monkeypatch, 3)
        answers = await asyncio.gather(*(resolver.query(name, "TXT") for name in NAMES))
        await resolver.close()
    assert all(isinstance(each, Found) for each in answers)
    assert scarce.refused == 3


async def test_connections_that_find_no_file_are_made_later_and_fewer_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with DnsServer(StaticResolver(RECORDS), dict.fromkeys(NAMES, "truncated")) as server:
        streams = Streams(3.0)
        most, send, refused = streams.most_open, streams._send, []

        async def scarce(*args: Any) -> Any:
            if len(refused) < 30:
                refused.append(args)
                raise OSError(errno.EMFILE, "Too many open files")
            return await send(*args)

        monkeypatch.setattr(streams, "_send", scarce)
        monkeypatch.setattr("deliverability.core.net.dns.Streams", lambda _: streams)
        resolver = LiveResolver([server.server])
        answers = await asyncio.gather(*(resolver.query(name, "TXT") for name in NAMES))
        await resolver.close()
    assert all(isinstance(each, Found) for each in answers)
    assert streams.most_open == most - 30
    assert len(refused) == 30


async def test_files_that_never_come_free_end_as_a_failure_and_not_in_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsServer(StaticResolver(RECORDS)) as server:
        resolver = LiveResolver([server.server], timeout=0.2)
        Scarce(monkeypatch, float("inf"))
        answer = await resolver.query(NAMES[0], "TXT")
        await resolver.close()
    assert "Too many open files" in english(answer.detail)  # type: ignore[union-attr]
