"""`deliv watch`: name servers on loopback, which get the record while somebody waits for it."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from click.testing import CliRunner
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability import watch
from deliverability import watch as command
from deliverability.cli import deliv
from deliverability.core.codes import Detail
from deliverability.core.net.base import Answer, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.overlay import Proposal, parse_record
from deliverability.core.net.static import Records, StaticResolver
from deliverability.core.phrases import phrases
from deliverability.watch import (
    Look,
    Sight,
    SightState,
    UndelegatedError,
    Watch,
    WatchedServer,
    Zone,
    find_zone,
    sight_line,
)
from tests import ROOT
from tests.dnsserver import DnsServer
from tests.speaking import english

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NAME, TYPE = "_dmarc.shop.example", "TXT"
OLD, NEW = "v=DMARC1; p=none", "v=DMARC1; p=reject"
RECORD = parse_record(NAME, TYPE, NEW)
PUBLIC = {"Google Public DNS": "8.8.8.8", "Cloudflare": "1.1.1.1", "Quad9": "9.9.9.9"}
PARENT: dict[tuple[str, str], Records] = {
    ("shop.example", "NS"): ["ns2.shop.example", "ns1.shop.example"],
    ("ns1.shop.example", "A"): ["11.0.0.1"],
    ("ns2.shop.example", "AAAA"): ["2001:500::2"],
}


class Published:
    """A resolver whose records change: `publish` is what a zone's owner does."""

    def __init__(self, *values: str, name: str = NAME, rdtype: str = TYPE) -> None:
        self.publish(*values, name=name, rdtype=rdtype)

    def publish(self, *values: str, name: str = NAME, rdtype: str = TYPE) -> None:
        self._records = StaticResolver({(name, rdtype): list(values)} if values else {})

    async def query(self, name: str, rdtype: str) -> Answer:
        return await self._records.query(name, rdtype)

    async def close(self) -> None:
        pass


class Timer(Struct):
    """Time that passes only while somebody sleeps; `meanwhile` says what happens then."""

    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def seconds(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()


class Servers(Struct):
    """Servers on loopback by the address under which they are known."""

    stack: AsyncExitStack
    running: dict[str, DnsServer] = field(default_factory=dict)

    async def start(self, address: str, source: Resolver, **script: str) -> WatchedServer:
        names = {name.replace("__", "."): behaviour for name, behaviour in script.items()}
        self.running[address] = await self.stack.enter_async_context(DnsServer(source, names))
        return WatchedServer(f"server of {address}", address)

    def ask(self, address: str) -> Resolver:
        return LiveResolver([self.running[address].server], cache_size=0, timeout=1.5, retries=0)

    def asked(self, address: str) -> int:
        return len(self.running[address].log)


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(stack)


async def looks(
    servers: Servers,
    authoritative: list[WatchedServer],
    public: list[WatchedServer],
    *,
    seconds: float = 60,
    timer: Timer | None = None,
    record: Proposal = RECORD,
) -> list[Look]:
    watching = Watch(record, servers.ask, FixedClock(NOW), timer or Timer())
    return [each async for each in watching.looks(Zone("shop.example", tuple(authoritative)), public, seconds)]


def states(look: Look) -> list[SightState]:
    return [each.state for each in look.sights]


# --- The zone ---


@pytest.mark.parametrize("name", [NAME, "shop.example", "s1._domainkey.mail.shop.example"])
async def test_the_zone_is_the_nearest_name_above_with_servers(name: str) -> None:
    zone = await find_zone(name, StaticResolver(PARENT))
    assert zone.name == "shop.example"
    assert [(each.name, each.address) for each in zone.servers] == [
        ("ns1.shop.example", "11.0.0.1"),
        ("ns2.shop.example", "2001:500::2"),
    ]


async def test_a_delegated_name_below_is_a_zone_of_its_own() -> None:
    below: dict[tuple[str, str], Records] = {**PARENT, ("mail.shop.example", "NS"): ["ns1.shop.example"]}
    assert (await find_zone("x.mail.shop.example", StaticResolver(below))).name == "mail.shop.example"


async def test_servers_behind_a_cname_are_those_of_another_zone() -> None:
    away: dict[tuple[str, str], Records] = {
        **PARENT,
        (NAME, "CNAME"): ["vendor.example"],
        ("vendor.example", "NS"): ["ns.vendor.example"],
    }
    assert (await find_zone(NAME, StaticResolver(away))).name == "shop.example"


async def test_a_registry_is_not_asked_for_a_domain_that_nobody_registered() -> None:
    registry = StaticResolver({("co.uk", "NS"): ["ns.nic.uk"], ("uk", "NS"): ["ns.nic.uk"]})
    with pytest.raises(UndelegatedError) as told:
        await find_zone("_dmarc.not-there.co.uk", registry)
    assert told.value.detail is None


async def test_dns_that_fails_is_no_word_about_the_domain() -> None:
    failing = StaticResolver({(NAME, "NS"): "servfail", ("shop.example", "NS"): "timeout"})
    with pytest.raises(UndelegatedError) as told:
        await find_zone(NAME, failing)
    assert english(told.value.detail) == f"NS {NAME}"


async def test_dns_cannot_lead_us_into_a_network_of_our_own() -> None:
    inside: dict[tuple[str, str], Records] = {**PARENT, ("ns1.shop.example", "A"): ["10.0.0.1"]}
    zone = await find_zone(NAME, StaticResolver(inside))
    assert zone.servers[0].address == ""
    assert "not a public address" in english(zone.servers[0].problem)


# --- Looking ---


async def test_it_looks_until_every_server_has_the_record_and_then_at_the_resolvers(servers: Servers) -> None:
    zone_1, zone_2, cache = Published(NEW), Published(OLD), Published(OLD)
    first = await servers.start("11.0.0.1", zone_1)
    second = await servers.start("2001:500::2", zone_2)
    public = await servers.start("9.9.9.9", cache)
    before: list[int] = []

    def publish() -> None:
        before.append(servers.asked("9.9.9.9"))
        zone_2.publish(NEW)

    timer = Timer([lambda: None, publish])
    seen = await looks(servers, [first, second], [public], timer=timer)
    assert [states(each) for each in seen] == [
        [SightState.VISIBLE, SightState.OTHER],
        [SightState.VISIBLE, SightState.OTHER],
        [SightState.VISIBLE, SightState.VISIBLE],
        [SightState.OTHER],
    ]
    assert [each.authoritative for each in seen] == [True, True, True, False]
    assert timer.slept == [watch.FIRST_WAIT, 2 * watch.FIRST_WAIT]
    assert before == [0], "a resolver that is asked too early keeps the old answer"
    (sight,) = seen[-1].sights
    assert (sight.values, sight.ttl, sight.until) == ((OLD,), 3600, NOW + timedelta(hours=1))


async def test_when_the_time_is_up_the_resolvers_are_left_alone(servers: Servers) -> None:
    slow = await servers.start("11.0.0.1", Published(OLD))
    public = await servers.start("9.9.9.9", Published(OLD))
    timer = Timer()
    seen = await looks(servers, [slow], [public], seconds=12, timer=timer)
    assert timer.slept == [5.0, 7.0], "the last look is at the end of the time"
    assert [each.wait for each in seen] == [5.0, 7.0, 0.0]
    assert not seen[-1].visible
    assert servers.asked("9.9.9.9") == 0


async def test_no_time_means_one_look(servers: Servers) -> None:
    assert len(await looks(servers, [await servers.start("11.0.0.1", Published())], [], seconds=0)) == 1


@pytest.mark.parametrize(
    ("source", "script", "state", "values"),
    [
        (Published(), {}, SightState.NONE, ()),
        (Published(OLD, NEW), {}, SightState.VISIBLE, (OLD,)),
        (Published(NEW), {"_dmarc__shop__example": "silent"}, SightState.UNKNOWN, ()),
        (Published(NEW), {"_dmarc__shop__example": "refused"}, SightState.UNKNOWN, ()),
        (Published("v.example", rdtype="CNAME"), {"v__example": "refused"}, SightState.ALIAS, ("v.example",)),
    ],
)
async def test_what_a_server_has_is_told_apart(
    servers: Servers, source: Published, script: dict[str, str], state: SightState, values: tuple[str, ...]
) -> None:
    server = await servers.start("11.0.0.1", source, **script)
    (look,) = await looks(servers, [server], [], seconds=0)
    assert (look.sights[0].state, look.sights[0].values) == (state, values)


async def test_a_text_in_several_strings_is_compared_as_a_whole(servers: Servers) -> None:
    key = "v=DKIM1; p=" + "A" * 400
    record = parse_record(NAME, "txt", f'"{key[:255]}" "{key[255:]}"')
    server = await servers.start("11.0.0.1", StaticResolver({(NAME, TYPE): [(key[:100], key[100:300], key[300:])]}))
    (look,) = await looks(servers, [server], [], seconds=0, record=record)
    assert look.visible


async def test_names_are_those_of_dns(servers: Servers) -> None:
    record = parse_record("www.例え.example.", "mx", "10 MX.Shop.Example.")
    source = StaticResolver({("www.xn--r8jz45g.example", "MX"): ["10 mx.shop.example"]})
    (look,) = await looks(servers, [await servers.start("11.0.0.1", source)], [], seconds=0, record=record)
    assert look.visible


# --- Words ---


@pytest.mark.parametrize(
    ("lang", "authoritative", "line"),
    [
        ("en", True, f"✗ Quad9 (9.9.9.9): still {OLD} (resolvers that query now cache this for 1 hour)"),
        ("en", False, f"✗ Quad9 (9.9.9.9): still {OLD} (the cached answer expires in 1 hour, at 22:00)"),
        ("ja", False, f"✗ Quad9（9.9.9.9）：以前の値のまま：{OLD}（キャッシュの期限は1時間後の22:00）"),
    ],
)
async def test_an_old_value_has_an_end(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, lang: str, authoritative: bool, line: str
) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        await servers.start("9.9.9.9", Published(OLD))
        (look,) = await looks(servers, [WatchedServer("Quad9", "9.9.9.9")], [], seconds=0)
        shown = sight_line(look.sights[0], phrases(lang), authoritative=authoritative, unicode=True)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert shown == line


async def test_what_a_server_says_cannot_steer_the_terminal(servers: Servers) -> None:
    server = await servers.start("11.0.0.1", Published("\x1b[2Jgone"))
    (look,) = await looks(servers, [server], [], seconds=0)
    assert "\x1b" not in sight_line(look.sights[0], phrases("en"), authoritative=True, unicode=True)


# --- The command ---


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., tuple[int | None, str]]:
    """Runs it in an empty folder, with the servers of the zone and the public resolver as StaticResolvers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DELIV_LANG", raising=False)

    def go(*args: str, source: Resolver | None = None, parent: Resolver | None = None) -> tuple[int | None, str]:
        class Found(Struct):
            dns: Resolver = parent or StaticResolver(PARENT)
            remarks: tuple[Detail, ...] = ()

            async def close(self) -> None:
                pass

        monkeypatch.setattr("deliverability.console.inputs.open_ports", lambda settings: Found())
        monkeypatch.setattr(command, "ask", lambda address: source or Published(NEW))
        done = CliRunner().invoke(deliv, ["watch", *args], standalone_mode=False)
        if done.exception is not None:
            assert isinstance(done.exception, click.ClickException), done.exception
            return None, done.exception.format_message()
        return done.return_value, done.output

    return go


def test_everybody_is_named_and_then_has_a_line(run: Callable[..., tuple[int | None, str]]) -> None:
    code, output = run(NAME, TYPE, NEW)
    assert (code, output.splitlines()) == (
        0,
        [
            "Authoritative servers of shop.example: ns1.shop.example (11.0.0.1), ns2.shop.example (2001:500::2)",
            "Public resolvers, queried after all authoritative servers have the record: "
            "Google Public DNS (8.8.8.8), Cloudflare (1.1.1.1), Quad9 (9.9.9.9)",
            "✓ ns1.shop.example (11.0.0.1): visible",
            "✓ ns2.shop.example (2001:500::2): visible",
            "✓ Google Public DNS (8.8.8.8): visible",
            "✓ Cloudflare (1.1.1.1): visible",
            "✓ Quad9 (9.9.9.9): visible",
            "All 2 authoritative servers have the record.",
        ],
    )


def test_a_record_that_does_not_come_gives_3(run: Callable[..., tuple[int | None, str]]) -> None:
    code, output = run(NAME, TYPE, NEW, "--timeout", "0", "--lang", "ja", source=Published(OLD))
    assert code == 3
    assert output.splitlines()[-1].startswith("制限時間になりました。レコードが反映された権威サーバーは2台中0台です。")
    assert "8.8.8.8" not in "".join(output.splitlines()[2:])


def test_other_resolvers_take_the_place_of_the_public_ones(run: Callable[..., tuple[int | None, str]]) -> None:
    _, output = run(NAME, TYPE, NEW, "--resolver", "192.0.2.53")
    assert "Public resolvers, queried after all authoritative servers have the record: 192.0.2.53\n" in output
    assert "✓ 192.0.2.53: visible" in output
    assert "8.8.8.8" not in output


def test_a_value_may_come_in_several_words(run: Callable[..., tuple[int | None, str]]) -> None:
    assert run("shop.example", "MX", "10", "mx", source=Published("10 mx", name="shop.example", rdtype="MX"))[0] == 0


def test_dns_that_does_not_answer_gives_3(run: Callable[..., tuple[int | None, str]]) -> None:
    failing = StaticResolver({(NAME, "NS"): "timeout", ("shop.example", "NS"): "timeout"})
    code, output = run(NAME, TYPE, NEW, parent=failing)
    assert (code, output) == (3, f"The authoritative servers of {NAME} could not be found: NS {NAME}\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("a b", TYPE, NEW), "'a b' is not a domain name"),
        ((NAME, "FROB", "x"), "the types are A, AAAA, CNAME, MX"),
        ((NAME, "A", "192.0.2.256"), "is not an IPv4 address"),
        (("_dmarc.not-there.example", TYPE, NEW), "is not in a registered domain"),
        ((NAME, TYPE), "VALUE is missing"),
        ((NAME, TYPE, NEW, "--timeout", "soon"), "'soon' is not a number"),
    ],
)
def test_bad_input_is_told(run: Callable[..., tuple[int | None, str]], args: tuple[str, ...], words: str) -> None:
    code, message = run(*args)
    assert code is None
    assert words in message


def test_a_wrong_resolver_is_told_by_its_option() -> None:
    done = CliRunner().invoke(deliv, ["watch", NAME, TYPE, NEW, "--resolver", "nowhere"])
    assert "--resolver: 'nowhere' is not a resolver" in done.output


def test_a_terminal_is_told_how_long_the_wait_is_and_gets_rid_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    server = WatchedServer("ns1.shop.example", "11.0.0.1")
    waiting = Look((Sight(server, SightState.NONE),), authoritative=True, wait=5)
    printer = command._Printer(Zone("shop.example", (server,)), [], phrases("en"))
    for error in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", error)
        printer.show(waiting)
        printer.show(replace(waiting, wait=0))
    assert error.getvalue().startswith("Checking again in 5 seconds\r  ")
    assert error.getvalue().endswith("  \r")


@pytest.mark.parametrize(("page", "lang"), [("docs/watch.md", "en"), ("docs/ja/watch.md", "ja")])
def test_the_page_shows_what_it_prints(page: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = WatchedServer("ns1.example.net", "192.0.2.1"), WatchedServer("ns2.example.net", "192.0.2.2")
    public = [WatchedServer(name, address) for name, address in PUBLIC.items()]
    printer = command._Printer(Zone("example.com", (first, second)), public, phrases(lang))
    printer._unicode = True
    until = datetime(2026, 11, 25, 14, 5).astimezone()  # the time of day is that of the machine
    kept = ((second, 3600), (public[1], 720))
    old = {server: Sight(server, SightState.OTHER, (OLD,), seconds, until) for server, seconds in kept}
    there = {server: Sight(server, SightState.VISIBLE) for server in (first, second, *public)}
    printer.begin()
    printer.show(Look((there[first], old[second]), authoritative=True))
    printer.show(Look((there[first], there[second]), authoritative=True))
    printer.show(Look((there[public[0]], old[public[1]], there[public[2]]), authoritative=False))
    assert printer.end() == 0
    assert f"\n{capsys.readouterr().out}```\n" in (ROOT / page).read_text("utf-8")
