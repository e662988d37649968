"""A machine that lets a process open few files: answers come later, and none is lost."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import sys
from pathlib import Path

import pytest

import deliverability
from deliverability.ports.base import Found
from deliverability.ports.dns import LiveResolver
from deliverability.ports.static import StaticResolver
from tests.dnsserver import DnsServer
from tests.speaking import english

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


async def test_sixty_domains_with_sixty_four_files(tmp_path: Path) -> None:
    """Before, 58 of them were unknown: "Too many open files" was taken for a server that is not there."""
    async with DnsServer(StaticResolver(RECORDS), delay=0.1) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deliverability", "facts", "--resolver", f"127.0.0.1:{server.port}"),
            *("--timeout", "300", *NAMES),
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
    assert [each["subject"]["domain"] for each in documents] == NAMES
    assert {each["facts"]["spf.lookups"]["value"] for each in documents} == {1}


async def test_files_that_run_out_on_the_way_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsServer(StaticResolver(RECORDS)) as server:
        resolver = LiveResolver([server.server], in_flight=20)
        send, refused = resolver._send, []

        async def scarce(*args: object) -> object:
            if len(refused) < 30:
                refused.append(args)
                raise OSError(errno.EMFILE, "Too many open files")
            return await send(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(resolver, "_send", scarce)
        answers = await asyncio.gather(*(resolver.query(name, "TXT") for name in NAMES))
        await resolver.close()
    assert all(isinstance(each, Found) for each in answers)
    assert resolver._in_flight == 4, "it asks more slowly now"
    assert len(refused) == 30


async def test_files_that_never_come_free_end_as_a_failure_and_not_in_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsServer(StaticResolver(RECORDS)) as server:
        resolver = LiveResolver([server.server], timeout=0.2)

        async def none(*_: object) -> object:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(resolver, "_send", none)
        answer = await resolver.query(NAMES[0], "TXT")
        await resolver.close()
    assert "Too many open files" in english(answer.detail)  # type: ignore[union-attr]
