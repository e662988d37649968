"""Which lists a run asks, whom it asks by, and how a hundred of them answer over a wire that loses much."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.blocklists.setup import free_lists, is_shared, list_setup, states_of
from deliverability.console.settings import ReputationKey, ReputationSettings
from deliverability.core.errors import InputError
from deliverability.core.model.blocklists import BlockList, ListAccess, ListCode, ListsWanted, ListWeight
from deliverability.core.net.base import Found
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.pace import ListResolver
from deliverability.core.net.ports import Ports
from deliverability.core.net.servers import parse_server
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.dnsbl import ListHealth
from deliverability.core.rules.knowledge import shipped
from tests.dnsserver import DnsServer

NONE = ReputationSettings()
KEYED = ReputationSettings(keys={"spamhaus": ReputationKey(env="DQS_KEY")})


def ids(*names: str, settings: ReputationSettings = NONE) -> tuple[str, ...]:
    return list_setup(names, settings, shipped()).wanted.lists


def test_all_are_those_that_live_and_need_no_registration() -> None:
    every = ids("all")
    assert every[:2] == ("spamhaus-zen", "spamhaus-dbl"), "those first that receivers name"
    assert not set(every) & {"sorbs", "ahbl", "barracuda"}
    assert {"spamcop", "psbl", "mailspike", "surbl", "uribl", "uceprotect-1", "backscatterer"} <= set(every)
    assert ids("barracuda", "sorbs", "barracuda") == ("barracuda", "sorbs")


def test_the_lists_of_the_settings() -> None:
    assert ids("settings", "spamcop", settings=ReputationSettings(lists=("psbl",))) == ("psbl", "spamcop")


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DQS_KEY", raising=False)
    with pytest.raises(InputError) as told:
        list_setup(["x", "spamhaus-zen", "y"], KEYED, shipped())
    assert [each.code for each in told.value.details] == [
        "no-such-blocklist",
        "no-such-blocklist",
        "blocklist-key-not-set",
    ]


@pytest.mark.parametrize("key", ["short", "with.dot.in.it", "with space", "x" * 64, "日本語のキーです"])
def test_what_cannot_be_a_label_is_no_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("DQS_KEY", key)
    with pytest.raises(InputError) as told:
        list_setup(["spamhaus-zen"], KEYED, shipped())
    assert told.value.detail.code == "blocklist-key-bad"
    assert key not in str(told.value)


def test_a_key_is_asked_for_only_where_its_list_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DQS_KEY", raising=False)
    assert list_setup(["spamcop"], KEYED, shipped()).keys.pairs == ()


@pytest.mark.parametrize(
    ("server", "shared"),
    [
        ("8.8.8.8", True),
        ("1.1.1.2", True),
        ("9.9.9.11", True),
        ("208.67.222.222", True),
        ("2001:4860:4860::8888", True),
        ("https://dns.google/dns-query", True),
        ("https://mozilla.cloudflare-dns.com/dns-query", True),
        ("tls://1.0.0.1#cloudflare-dns.com", True),
        ("127.0.0.1", False),
        ("192.0.2.53", False),
        ("https://dns.example.com/q", False),
        ("https://notdns.google.example/q", False),
    ],
)
def test_public_resolvers_are_known_by_address_or_host(server: str, shared: bool) -> None:
    assert is_shared(parse_server(server), shipped().outside.public_resolvers) is shared


def test_who_is_asked_about_lists_decides() -> None:
    public = [parse_server("8.8.8.8")]
    assert list_setup(["spamcop"], NONE, shipped(), public).wanted.public_resolver == "8.8.8.8"
    own = ReputationSettings(resolver="127.0.0.1")
    setup = list_setup(["spamcop"], own, shipped(), public)
    assert (setup.wanted.public_resolver, setup.server) == ("", "127.0.0.1")


def test_what_is_free_for_small_users_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DQS_KEY", "abcdefghijklmnop")
    known = shipped().blocklists
    setup = list_setup(["spamhaus-zen", "spamcop", "sorbs"], KEYED, shipped())
    assert free_lists(setup, known) == ("spamcop",)


SPAM = ListCode("spam", ListWeight.LISTING, {"en": "spam", "ja": "迷惑メール"})


def made(number: int) -> BlockList:
    return BlockList(
        f"l{number}",
        f"L{number}",
        f"l{number}",
        f"l{number}.example",
        access=ListAccess.PUBLIC,
        codes={"127.0.0.2": SPAM},
        test_listed="2.0.0.127",
        test_unlisted="1.0.0.127",
    )


@pytest.mark.long
async def test_a_hundred_lists_over_a_wire_that_loses_a_fifth() -> None:
    """The silent ones are unreachable, all others healthy: no loss makes a list look dead, refused or clean."""
    lists = [made(number) for number in range(100)]
    records: dict[tuple[str, str], Any] = {(f"2.0.0.127.{each.zone}", "A"): ["127.0.0.2"] for each in lists}
    silent = {f"2.0.0.127.{each.zone}": "silent" for each in lists[::5]}
    lossy = {f"1.0.0.127.{each.zone}": "silent-once" for each in lists[1::5]}
    async with DnsServer(StaticResolver(records), {**silent, **lossy}) as server:
        dns = LiveResolver([server.server], timeout=1.5, retries=1)
        ports = Ports(dns, lists=ListResolver(dns))
        states = await states_of(lists, ListsWanted(), ports)
        await ports.close()
    expected = [ListHealth.UNREACHABLE if number % 5 == 0 else ListHealth.HEALTHY for number in range(100)]
    assert [each.health for each in states] == expected
    assert max(server.asked(name) for name in silent) == 2, "each question once more, and then no more"


async def test_lists_are_asked_by_the_resolver_that_the_settings_name() -> None:
    blocklist = made(1)
    entry = {(f"2.0.0.127.{blocklist.zone}", "A"): ["127.0.0.2"]}
    async with DnsServer(StaticResolver(entry)) as own, DnsServer(StaticResolver({})) as rest:
        names = [f"127.0.0.1:{each.server.port}" for each in (own, rest)]
        ports = open_ports(PortSettings(servers=[names[1]], lists=True, list_server=names[0]))
        (state,) = await states_of([blocklist], ListsWanted(), ports)
        await ports.close()
    assert state.health is ListHealth.HEALTHY
    assert rest.asked(f"2.0.0.127.{blocklist.zone}") == 0


async def test_a_resolver_that_makes_answers_up_spoils_every_list() -> None:
    """As some providers answer for names that do not exist: with the address of their search page."""

    class Rewriting(StaticResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            answer = await super().query(name, rdtype)
            made_up = StaticResolver({(name, "A"): ["203.0.113.9"]})
            return answer if isinstance(answer, Found) else await made_up.query(name, "A")

    lists = [replace(each, test_listed="2.0.0.127") for each in map(made, range(5))]
    records: dict[tuple[str, str], Any] = {(f"2.0.0.127.{each.zone}", "A"): ["127.0.0.2"] for each in lists}
    states = await states_of(lists, ListsWanted(), Ports(Rewriting(records)))
    assert {each.health for each in states} == {ListHealth.REWRITTEN}
