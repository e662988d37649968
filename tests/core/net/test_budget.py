"""`--timeout` holds whatever DNS and the web answer: each audit ends within its time and a second.

Time is that of a clock of the test's own: the processor time of this process, and every wait at once. So a busy machine
counts for nothing, computing counts in full, and a server that is silent for a minute costs the test nothing.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.net.base import Absent, Answer, Failed, Fetched, Found, NoPage, Probed, Resolver
from deliverability.core.net.clock import USED_UP, Budget, FixedClock
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, gather_facts, make_report
from deliverability.engine.base import catalogue
from deliverability.engine.rehearse import Rehearsal, remedies
from deliverability.engine.rules import load_rules
from tests.auditing import audit
from tests.sampled import sampled

pytestmark = pytest.mark.long

DOMAIN = "example.com"
SECONDS = 1.0
CLOCK = FixedClock(datetime(2026, 11, 24, tzinfo=UTC))
Records = Callable[[str, str], Answer | str | list[str] | None]


class Loop(asyncio.SelectorEventLoop):
    """An event loop on that clock."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.threads = 0
        super().__init__(Selector(self))

    def time(self) -> float:
        return time.process_time() + self.skipped

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, _: object) -> None:
        self.threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as asyncio has it
        """Without the time limit that Python has from 3.12 on: on this clock it would be over at once."""
        if executor := self._default_executor:
            executor.shutdown(wait=True)


class Selector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """Passes over the wait for the next timer, unless a thread is computing meanwhile."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self.loop.threads:
            return super().select(timeout if timeout is None else min(timeout, 0.002))
        self.loop.skipped += timeout
        return []


def on_our_clock(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the coroutine gives, and the seconds that it took."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = runner.get_loop()
        start = loop.time()
        return runner.run(work()), loop.time() - start


class Shape(Struct):
    """A resolver with hostile answers to some questions and those of a quiet domain to all others."""

    hostile: Records
    delay: float = 0.0

    async def query(self, name: str, rdtype: str) -> Answer:
        if self.delay:
            await asyncio.sleep(self.delay)
        name = name.rstrip(".").lower()
        value = self.hostile(name, rdtype) or QUIET.get((name, rdtype))
        if value is None:
            return Absent(name, rdtype, nxdomain=False)
        if isinstance(value, str | list):
            return Found(name, rdtype, (value,) if isinstance(value, str) else tuple(value), ttl=300)
        return value

    async def close(self) -> None:
        pass


QUIET: Mapping[tuple[str, str], str] = {
    (DOMAIN, "A"): "192.0.2.1",
    (DOMAIN, "MX"): "10 mx.example.com",
    ("mx.example.com", "A"): "192.0.2.1",
    (DOMAIN, "TXT"): "v=spf1 mx -all",
    ("_dmarc.example.com", "TXT"): "v=DMARC1; p=none; rua=mailto:a@example.com",
}
LONG = 64_000


def at(place: str, value: str | list[str], rdtype: str = "TXT") -> Records:
    return lambda name, asked: value if (name, asked) == (place, rdtype) else None


def spf_everywhere(make: Callable[[str], str], longest: int = 200) -> Records:
    """An SPF record at every name below the domain that asks for the next ones."""
    return lambda name, rdtype: (
        make(name)
        if rdtype == "TXT" and name.endswith(DOMAIN) and not name.startswith("_") and len(name) < longest
        else None
    )


def each(form: str, count: int, separator: str = " ") -> str:
    """`form` with the numbers from 0 on for # and, in two octets, for ##."""
    return separator.join(form.replace("##", f"{n // 256}.{n % 256}").replace("#", str(n)) for n in range(count))


def filled(piece: str, head: str = "", tail: str = "") -> str:
    return head + piece * ((LONG - len(head) - len(tail)) // len(piece)) + tail


def by_type(**values: str | list[str]) -> Records:
    return lambda _, rdtype: values.get(rdtype)


WIDE = spf_everywhere(lambda name: "v=spf1 " + each(f"include:x#.{name}", 150) + " -all")
MANY_MX: Records = lambda name, rdtype: (  # noqa: E731
    each("# mx#.example.com", 3000, "|").split("|")
    if (name, rdtype) == (DOMAIN, "MX")
    else each("192.0.2.#", 200).split()
    if rdtype == "A"
    else None
)
MANY_RUA = at("_dmarc.example.com", "v=DMARC1; p=none; rua=" + each("mailto:a@r#.example.net", 2600, ","))

SHAPES: dict[str, Shape] = {
    "a chain of includes": Shape(spf_everywhere(lambda name: f"v=spf1 include:i.{name} -all")),
    "a chain of redirects": Shape(spf_everywhere(lambda name: f"v=spf1 redirect=r.{name}")),
    "a record that includes itself": Shape(at(DOMAIN, filled("include:example.com ", "v=spf1 "))),
    "a wide tree of includes": Shape(WIDE),
    "a wide tree of includes, slow": Shape(WIDE, 0.3),
    "a wide tree of wide records": Shape(
        spf_everywhere(lambda name: "v=spf1 " + each("ip4:10.##.0/25", 900) + each(f" include:x#.{name}", 90))
    ),
    "includes of everything": Shape(
        lambda name, rdtype: "v=spf1 " + each(f"include:#.{name}", 900) if rdtype == "TXT" and len(name) < 200 else None
    ),
    "thousands of ranges": Shape(at(DOMAIN, "v=spf1 " + each("ip4:10.##.0/24", 3500) + " -all")),
    "thousands of ranges of IPv6": Shape(at(DOMAIN, "v=spf1 " + each("ip6:2001:db8:#::/48", 2500) + " -all")),
    "hundreds of names with hundreds of addresses": Shape(
        lambda name, rdtype: (
            "v=spf1 " + each("a:h#.example.com", 990)
            if (name, rdtype) == (DOMAIN, "TXT")
            else each("192.0.2.#", 250).split()
            if rdtype == "A"
            else None
        )
    ),
    "hundreds of macros": Shape(at(DOMAIN, "v=spf1 " + each("exists:%{ir}.%{l1r-}.h#.%{d}", 900))),
    "thousands of SPF records": Shape(at(DOMAIN, ["v=spf1 -all"] * 4000)),
    "thousands of records meant as SPF": Shape(at(DOMAIN, [f"v = spf1 x{n}" for n in range(4000)])),
    "thousands of other texts": Shape(at(DOMAIN, ["x" * 16] * 3000)),
    "nothing but spaces": Shape(lambda _, rdtype: filled(" ") if rdtype == "TXT" else None),
    "spaces in SPF": Shape(at(DOMAIN, filled(" ", "v=spf1 ", "-all"))),
    "thousands of mail servers": Shape(MANY_MX),
    "thousands of mail servers, slow": Shape(MANY_MX, 0.3),
    "thousands of report addresses": Shape(MANY_RUA),
    "thousands of report addresses, slow": Shape(MANY_RUA, 0.3),
    "thousands of tags": Shape(at("_dmarc.example.com", "v=DMARC1; p=none" + each("; x#=y", 5000, ""))),
    "thousands of DMARC records": Shape(at("_dmarc.example.com", ["v=DMARC1; p=none"] * 3500)),
    "thousands of fields of TLS-RPT": Shape(at("_smtp._tls.example.com", "v=TLSRPTv1; " + each("a#=b;", 8000))),
    "thousands of fields of MTA-STS": Shape(at("_mta-sts.example.com", "v=STSv1; " + each("a#=b;", 8000))),
    "thousands of tags of BIMI": Shape(at("default._bimi.example.com", "v=BIMI1; " + each("a#=b;", 8000))),
    "a long key at every selector": Shape(
        lambda name, rdtype: filled("a=b;", "v=DKIM1; p=") if rdtype == "TXT" and "_domainkey" in name else None
    ),
    "a key of 300,000 bits at every selector": Shape(
        lambda name, rdtype: filled("MIIBIjANBgkq", "v=DKIM1; p=") if rdtype == "TXT" and "_domainkey" in name else None
    ),
    "long texts at every name": Shape(by_type(TXT=filled("a b;"), A="192.0.2.1", MX="10 a.example.com")),
    "chains of aliases": Shape(
        lambda name, rdtype: (
            Found(name, rdtype, ("v=spf1 -all",), chain=tuple(f"c{n}.{'a.' * 60}{name}" for n in range(8)))
            if rdtype == "TXT"
            else None
        )
    ),
    "thousands of addresses": Shape(by_type(A=each("192.0.##", 4000).split(), AAAA=each("2001:db8::#", 2000).split())),
    "thousands of names of an address": Shape(by_type(PTR=each("h#.example.com", 3000).split(), A=["192.0.2.1"] * 900)),
    "thousands of TLSA records": Shape(by_type(TLSA=["3 1 1 " + "ab" * 32] * 1500)),
    "odd values of every type": Shape(lambda *_: each("x#", 2000).split()),
    "servers that never answer": Shape(lambda *_: None, 60.0),
    "servers that need half of the time": Shape(lambda *_: None, SECONDS / 2),
    "servers that fail": Shape(lambda name, rdtype: Failed(name, rdtype, Reason.SERVFAIL)),
}


@pytest.fixture(scope="module")
def rules() -> Any:
    loaded = load_rules()
    on_our_clock(lambda: audited(Shape(lambda *_: None), loaded))  # what is imported at the first audit counts for none
    return loaded


async def audited(shape: Resolver, rules: Any, **others: Any) -> Any:
    ports = Ports(shape, CLOCK, sources=("live",), budget=Budget(SECONDS), **others)
    return await audit(Subject(DOMAIN, sending_ips=("192.0.2.1",)), ports=ports, rules=rules)


@pytest.mark.parametrize("name", sampled([*SHAPES], 6))
def test_an_audit_ends_in_time(name: str, rules: Any) -> None:
    report, seconds = on_our_clock(lambda: audited(SHAPES[name], rules))
    assert seconds <= SECONDS + 1
    assert report.domain == DOMAIN
    assert not report.bugs


class Silent(Struct):
    """A web server and a mail server that never say anything."""

    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        self.asked.append(url)
        await asyncio.sleep(60)
        raise AssertionError("nobody waits for this")

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        return await self.fetch(url, resolver)

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        await self.fetch(host, resolver)
        raise AssertionError("nobody waits for this")


@pytest.mark.parametrize(
    ("allowed", "path"),
    [(Permissions(fetch=True), "mta_sts.mode"), (Permissions(probe_smtp=True), "transport.mx_tls")],
    ids=["web", "mail servers"],
)
def test_the_time_is_one_for_dns_the_web_and_mail_servers(allowed: Permissions, path: str, rules: Any) -> None:
    silent = Silent()
    shape = Shape(at("_mta-sts.example.com", "v=STSv1; id=1"), 0.1)
    report, seconds = on_our_clock(lambda: audited(shape, rules, http=silent, smtp=silent, permissions=allowed))
    assert seconds <= SECONDS + 1
    assert len(silent.asked) == 1, "once the time is over nobody else is asked"
    found = report.facts.value(path)
    lost = found[0].reachable if isinstance(found, tuple) else found
    assert isinstance(lost, Unknown)
    assert lost.reason is Reason.TIMEOUT


def test_once_the_time_is_over_nothing_more_is_rehearsed(rules: Any) -> None:
    async def work() -> Any:
        ports = Ports(Shape(lambda *_: None), CLOCK, sources=("live",))
        found = await gather_facts(Subject(DOMAIN), ports, Extras(remedies=True))
        assert found.basis is not None
        report = make_report(found, rules, Selection())
        late = replace(found.basis, ports=replace(found.basis.ports, budget=Budget(0)))
        in_time, too_late = (Rehearsal(each, rules, catalogue(), Selection()) for each in (found.basis, late))
        return await remedies(in_time, report), await remedies(too_late, report)

    ((kept, complete), (none, finished)), _ = on_our_clock(work)
    assert (bool(kept), complete) == (True, True)
    assert (none, finished) == ((), False)


def test_what_was_not_rehearsed_for_lack_of_time_is_said(rules: Any) -> None:
    """A resolver whose answers cost the whole time, but come: the findings stand, and a note says what is missing."""

    class Slow(Shape):
        async def query(self, name: str, rdtype: str) -> Answer:
            asyncio.get_running_loop().skipped += SECONDS / 20  # as computing would, which nobody can interrupt
            return await super().query(name, rdtype)

    report, _ = on_our_clock(lambda: audited(Slow(lambda *_: None), rules))
    assert "remedies-unfinished" in {note.code for note in report.notes}


def test_a_budget_begins_when_it_is_asked_first() -> None:
    async def work() -> list[bool]:
        budget = Budget(1)
        await asyncio.sleep(10)
        seen = [budget.spent]
        await asyncio.sleep(0.5)
        seen.append(budget.spent)
        await asyncio.sleep(0.6)
        return [*seen, budget.spent]

    assert on_our_clock(work)[0] == [False, False, True]


def test_whoever_asks_the_web_is_told_that_time_is_over() -> None:
    ports = Ports(OFFLINE, http=Silent(), permissions=Permissions(one_click=True)).under(Budget(1))
    got, seconds = on_our_clock(lambda: ports.http.post("https://a/", "b", ports.dns))
    assert got == NoPage("https://a/", Reason.TIMEOUT, USED_UP(n="1"))
    assert seconds < 2
