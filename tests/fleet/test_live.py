"""A fleet over a name server on loopback that fails: what failed is asked again, and what is known stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deliverability.core.net.static import StaticResolver
from deliverability.fleet.run import fleet_status
from tests.dnsserver import DnsServer
from tests.fleet.fleets import Fleet, domain, read_facts, read_findings

pytestmark = pytest.mark.long

DOMAINS = 6
WORLD = StaticResolver(
    {
        (name, rdtype): values
        for number in range(DOMAINS)
        for name, rdtype, values in (
            (domain(number), "NS", [f"ns1.{domain(number)}"]),
            (domain(number), "MX", [f"10 mail.{domain(number)}"]),
            (domain(number), "TXT", ["v=spf1 include:vendor.example -all"]),
            (f"mail.{domain(number)}", "A", ["192.0.2.1"]),
            (f"_dmarc.{domain(number)}", "TXT", ["v=DMARC1; p=reject"]),
        )
    }
    | {("vendor.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"]}
)


@contextmanager
def served(script: dict[str, str]) -> Iterator[DnsServer]:
    """A name server in a thread of its own; `script` may change while it runs."""
    server = DnsServer(WORLD, script)
    server._script = script
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_what_failed_is_asked_again_and_what_is_known_stays_as_stale(tmp_path: Path) -> None:
    script = {domain(1): "servfail", domain(5): "servfail"}
    out = tmp_path / "out"
    with served(script) as server:
        fleet = Fleet(tmp_path, DOMAINS, ("--resolver", str(server.server), "--rate", "0"))
        done = fleet.run(out, code=3)
        assert "2 of them with failed lookups" in done.out
        assert [row.domain for row in read_findings(out) if row.failed] == [domain(1), domain(5)]
        before = {each["subject"]["domain"]: each for each in read_facts(out)}

        # One is mended; of the other SPF is found now, and DMARC, which was known, fails.
        script.clear()
        script[f"_dmarc.{domain(5)}"] = "servfail"
        asked = len(server.log)
        done = fleet.run(out, "--retry-failed", code=3)  # whether all names that mail rests on exist is not known
        assert {name for name, _, _ in server.log[asked:] if name.endswith(domain(0))} == set(), (
            "the others are not asked"
        )
        after = {each["subject"]["domain"]: each for each in read_facts(out)}
        assert after[domain(0)] == before[domain(0)]
        assert after[domain(1)]["facts"]["spf.present"]["value"] is True
        assert after[domain(1)]["subject"]["stale"] == []
        stale = after[domain(5)]["subject"]["stale"]
        assert "dmarc.policy" in stale
        assert "spf.present" not in stale
        assert after[domain(5)]["facts"]["dmarc.policy"] == before[domain(5)]["facts"]["dmarc.policy"]
        assert after[domain(5)]["facts"]["spf.present"]["value"] is True
        assert [row.stale for row in read_findings(out) if row.domain == domain(5)] == [tuple(stale)]
        assert fleet_status(out).failed == 1


def test_names_in_common_are_asked_for_once(tmp_path: Path) -> None:
    with served({}) as server:
        fleet = Fleet(tmp_path, DOMAINS, ("--resolver", str(server.server), "--rate", "0"))
        fleet.run(tmp_path / "out", "--workers", "1", code=0)
        assert [each for each in server.log if each[:2] == ("vendor.example", "TXT")] == [
            ("vendor.example", "TXT", "udp")
        ]
        asked = {name.rpartition(".")[0].rpartition(".")[2] for name, _, _ in server.log}
        assert not [name for name in asked if "spamhaus" in name or "dnsbl" in name]
