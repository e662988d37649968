"""What block lists say of a mail: whom they are asked about, what a listing states, and what is never claimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from deliverability.blocklists import facts as blocklists
from deliverability.blocklists.facts import MAX_ADDRESSES, MAX_NAMES, PRIVATE
from deliverability.core.facts.base import FactSet, Unknown, records_of
from deliverability.core.model.blocklists import ListingSeen, ListsSeen, ListsWanted
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.dnsbl import read_private_list
from tests.facts_of import facts_of

ZEN = "zen.spamhaus.org"
ENTRY = {(f"2.0.0.127.{ZEN}", "A"): ["127.0.0.2", "127.0.0.4", "127.0.0.10"]}
DBL = {("dbltest.com.dbl.spamhaus.org", "A"): ["127.0.1.2"]}
IP = "192.0.2.10"
NAME = f"10.2.0.192.{ZEN}"
MAIL = {
    "identity.ips": [{"ip": IP, "name": "out.mailer.example"}],
    "message.from_domain": "shop.example",
    "envelope.mail_from_domain": "bounce.mailer.example",
    "dkim.signatures": [{"domain": "mailer.example"}, {"domain": None}],
    "html.link_hosts": [{"host": "www.shop.example"}, {"host": "192.0.2.77"}],
    "html.ip_links": ["192.0.2.77"],
}


async def audit(
    records: Mapping[tuple[str, str], Any], *lists: str, mail: Mapping[str, Any] = MAIL, **more: Any
) -> FactSet:
    wanted = ListsWanted(lists, **more)
    return await facts_of([blocklists.audit], StaticResolver(records), mail, "shop.example", lists_wanted=wanted)


def the_list(facts: FactSet, ident: str = "spamhaus-zen") -> Mapping[str, Any]:
    return next(each for each in records_of(facts.value("blocklists.lists")) if each["id"] == ident)


async def test_nobody_is_asked_where_the_user_did_not_want_it() -> None:
    class Nobody(StaticResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            raise AssertionError(name)

    for wanted in (None, ListsWanted()):
        facts = await facts_of([blocklists.audit], Nobody({}), MAIL, lists_wanted=wanted)
        assert facts.value("blocklists.asked") is False
        assert facts.value("blocklists.lists") == ()


async def test_a_listing_states_what_the_list_says() -> None:
    url = "https://www.spamhaus.org/query/ip/192.0.2.10"
    records = {**ENTRY, (NAME, "A"): ["127.0.0.3"], (NAME, "TXT"): [url]}
    facts = await audit(records, "spamhaus-zen")
    (listing,) = records_of(facts.value("blocklists.listings"))
    assert dict(listing) == {
        "list": "spamhaus-zen",
        "subject": IP,
        "kind": "sending-ip",
        "codes": ("127.0.0.3",),
        "meaning": "css",
        "weight": "listing",
        "text": url,
        "first_seen": None,
    }
    found = the_list(facts)
    assert (found["listed"], found["policy"], found["informational"]) == ((IP,), (), ())
    assert (found["health"], found["asked"], found["answered"]) == ("healthy", 1, (IP,))
    assert set(found["named_by"]) == {"yahoo", "outlook", "icloud", "gmx", "orange"}
    assert f"dns:TXT:{NAME}" in facts.evidence
    assert facts.value("blocklists.healthy") == 1


async def test_an_address_may_be_listed_in_two_ways() -> None:
    found = the_list(await audit({**ENTRY, (NAME, "A"): ["127.0.0.11", "127.0.0.4"]}, "spamhaus-zen"))
    assert (found["listed"], found["policy"]) == ((IP,), (IP,))


async def test_a_refusal_is_neither_a_listing_nor_clean() -> None:
    refusing = {(name, "A"): ["127.255.255.254"] for name in (f"2.0.0.127.{ZEN}", f"1.0.0.127.{ZEN}", NAME)}
    facts = await audit(refusing, "spamhaus-zen")
    found = the_list(facts)
    assert found["health"] == "refused"
    assert all(isinstance(found[kind], Unknown) for kind in ("listed", "policy", "informational"))
    assert facts.value("blocklists.listings") == ()
    assert facts.value("blocklists.healthy") == 0


async def test_what_one_answer_left_open_is_open_and_what_was_found_stays_found() -> None:
    mail = {**MAIL, "identity.ips": [{"ip": IP}, {"ip": "192.0.2.11"}]}
    other = f"11.2.0.192.{ZEN}"
    lost = the_list(await audit({**ENTRY, (other, "A"): "timeout"}, "spamhaus-zen", mail=mail))
    assert isinstance(lost["listed"], Unknown)
    assert lost["answered"] == (IP,)
    both = the_list(
        await audit({**ENTRY, (NAME, "A"): ["127.0.0.2"], (other, "A"): "timeout"}, "spamhaus-zen", mail=mail)
    )
    assert both["listed"] == (IP,)
    assert isinstance(both["policy"], Unknown)


async def test_names_are_those_that_the_mail_is_sent_with() -> None:
    facts = await audit(DBL, "spamhaus-dbl")
    assert facts.value("blocklists.subjects") == (
        IP,
        *("shop.example", "bounce.mailer.example", "mailer.example", "out.mailer.example", "www.shop.example"),
    )
    assert the_list(facts, "spamhaus-dbl")["asked"] == 5


async def test_a_list_of_registered_domains_is_asked_about_these() -> None:
    """URIBL lists domains of links and From, without the hosts below them."""
    records = {
        ("test.uribl.com.multi.uribl.com", "A"): ["127.0.0.14"],
        ("shop.example.multi.uribl.com", "A"): ["127.0.0.4"],
    }
    facts = await audit(records, "uribl")
    assert the_list(facts, "uribl")["answered"] == ("shop.example",)
    assert the_list(facts, "uribl")["informational"] == ("shop.example",)


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "192.168.1.1", "100.64.0.1", "fe80::1", "fd00::1", "::1"])
async def test_addresses_of_a_network_behind_are_told_to_nobody(address: str) -> None:
    facts = await audit({}, "spamhaus-zen", mail={**MAIL, "identity.ips": [{"ip": address}]})
    assert address not in facts.value("blocklists.subjects")  # type: ignore[operator]
    assert the_list(facts)["asked"] == 0


async def test_there_is_an_end_to_addresses_and_names() -> None:
    mail = {
        **MAIL,
        "identity.ips": [{"ip": f"198.51.{n // 250}.{n % 250}"} for n in range(300)],
        "html.link_hosts": [{"host": f"h{n}.example"} for n in range(300)],
    }
    facts = await audit({**ENTRY, **DBL}, "spamhaus-zen", "spamhaus-dbl", mail=mail)
    assert the_list(facts)["asked"] == MAX_ADDRESSES
    assert the_list(facts, "spamhaus-dbl")["asked"] == MAX_NAMES
    assert len(facts.evidence) == 2 * 11, "each list's test entry, and ten of those that are not there"


async def test_without_a_sending_address_the_list_waits_for_one() -> None:
    waiting = {"unknown": "not-configured", "detail": {"code": "needs", "args": {"input": "sending-ip"}}}
    found = the_list(await audit(ENTRY, "spamhaus-zen", mail={**MAIL, "identity.ips": waiting}))
    assert found["health"] == "not-asked"
    assert found["reason"].code == "blocklist-nothing-to-ask"
    assert found["listed"].reason.waits_for_input


async def test_nobody_asks_a_list_that_is_no_more_or_through_a_public_resolver() -> None:
    facts = await audit(ENTRY, "sorbs", "spamhaus-zen", public_resolver="8.8.8.8")
    assert the_list(facts, "sorbs")["health"] == "dead"
    assert the_list(facts)["health"] == "not-asked"
    assert facts.evidence == {}


async def test_with_a_key_the_list_is_asked_under_a_placeholder() -> None:
    zone = "key-spamhaus.zen.dq.spamhaus.net"
    records = {(f"2.0.0.127.{zone}", "A"): ["127.0.0.2"], (f"10.2.0.192.{zone}", "A"): ["127.0.0.2"]}
    facts = await audit(records, "spamhaus-zen", keys=frozenset({"spamhaus"}), public_resolver="8.8.8.8")
    assert the_list(facts)["listed"] == (IP,)


OWN = read_private_list("file:own", "192.0.2.0/24 our own\n.mailer.example\n", "own")


async def test_a_list_of_ones_own_asks_nobody() -> None:
    facts = await audit({}, files=(OWN,))
    found = the_list(facts, "file:own")
    assert found["listed"] == (IP, "bounce.mailer.example", "mailer.example", "out.mailer.example")
    assert (found["operator"], found["health"]) == (PRIVATE, "healthy")
    assert records_of(facts.value("blocklists.listings"))[0]["text"] == "our own"
    assert facts.evidence == {}


# --- since the run before ---------------------------------------------------------------------------------------------

PAIR = ("spamhaus-zen", IP)


@pytest.mark.parametrize(
    ("before", "now", "began", "ended"),
    [
        ([], True, (f"{IP} (Spamhaus ZEN)",), ()),
        (["2026-11-01"], True, (), ()),
        (["2026-11-01"], False, (), (f"{IP} (Spamhaus ZEN)",)),
        ([], False, (), ()),
    ],
)
async def test_what_began_and_what_ended(before: list[str], now: bool, began: Any, ended: Any) -> None:
    seen = ListsSeen(frozenset({PAIR}), tuple(ListingSeen(*PAIR, since) for since in before))
    records = {**ENTRY, **({(NAME, "A"): ["127.0.0.2"]} if now else {})}
    facts = await audit(records, "spamhaus-zen", seen=seen)
    assert (facts.value("blocklists.began"), facts.value("blocklists.ended")) == (began, ended)
    since = [each["first_seen"] for each in records_of(facts.value("blocklists.listings"))]
    assert since == ([*before, None][:1] if now else [])


async def test_what_one_of_the_runs_could_not_ask_neither_begins_nor_ends() -> None:
    new = await audit({**ENTRY, (NAME, "A"): ["127.0.0.2"]}, "spamhaus-zen", seen=ListsSeen(frozenset()))
    assert new.value("blocklists.began") == ()
    seen = ListsSeen(frozenset({PAIR}), (ListingSeen(*PAIR, "2026-11-01"),))
    lost = await audit({(f"2.0.0.127.{ZEN}", "A"): "timeout"}, "spamhaus-zen", seen=seen)
    assert lost.value("blocklists.ended") == ()


async def test_without_a_history_changes_wait_for_one() -> None:
    facts = await audit(ENTRY, "spamhaus-zen")
    began = facts.value("blocklists.began")
    assert isinstance(began, Unknown)
    assert began.reason.waits_for_input
