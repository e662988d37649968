"""Block lists over DNS: in no world of broken lists is anybody called listed or clean who is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.blocklists import BlockList, ListAccess, ListCode, ListedKind, ListWeight, key_label
from deliverability.core.net.base import Answer
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.dnsbl import (
    MAX_SILENT,
    ListAnswers,
    ListEntry,
    ListHealth,
    absent_name,
    ask_list,
    not_asked,
    question,
    zone_of,
)
from deliverability.core.rules.knowledge import load_knowledge, shipped
from deliverability.core.senders.recognise import CatalogueError

ZONE = "bl.example.net"
DAY = "2026-11-26"
BAD, GOOD = "192.0.2.10", "192.0.2.20"
SPAM = ListCode("spam", ListWeight.LISTING, {"en": "spam", "ja": "迷惑メール"})
LIST = BlockList(
    "test", "Test", "test", ZONE, codes={"127.0.0.2": SPAM}, test_listed="2.0.0.127", test_unlisted="1.0.0.127"
)
ENTRY = {(f"2.0.0.127.{ZONE}", "A"): ["127.0.0.2"]}
LISTED = {(f"10.2.0.192.{ZONE}", "A"): ["127.0.0.2"]}

Records = Mapping[tuple[str, str], Any]


class Everything(StaticResolver):
    """Answers one thing to every question under a zone, as a wildcard or a rewriting resolver does."""

    def __init__(self, records: Records, otherwise: Any) -> None:
        super().__init__(records)
        self._otherwise = otherwise

    async def query(self, name: str, rdtype: str) -> Answer:
        answer = await super().query(name, rdtype)
        if type(answer).__name__ != "Absent" or rdtype != "A":
            return answer
        return await StaticResolver({(name, rdtype): self._otherwise}).query(name, rdtype)


async def asked(resolver: StaticResolver, blocklist: BlockList = LIST, subjects: tuple[str, ...] = (BAD, GOOD)) -> Any:
    return await ask_list(blocklist, blocklist.zone, subjects, DAY, resolver.query)


async def test_a_healthy_list_lists_and_does_not_list() -> None:
    found: ListAnswers = await asked(StaticResolver({**ENTRY, **LISTED}))
    assert found.state.health is ListHealth.HEALTHY
    assert found.subjects == {BAD: ListEntry(("127.0.0.2",), (SPAM,)), GOOD: None}


WORLDS: dict[str, tuple[StaticResolver, ListHealth, str]] = {
    "public resolver": (Everything({}, ["127.255.255.254"]), ListHealth.REFUSED, "blocklist-refusal"),
    "too many questions": (Everything(ENTRY, ["127.255.255.255"]), ListHealth.REFUSED, "blocklist-refusal"),
    "typing error": (Everything(ENTRY, ["127.255.255.252"]), ListHealth.REFUSED, "blocklist-refusal"),
    "rewritten": (Everything(ENTRY, ["198.51.100.9"]), ListHealth.REWRITTEN, "blocklist-rewritten"),
    "domain of another owner": (Everything({}, ["198.51.100.9"]), ListHealth.REWRITTEN, "blocklist-rewritten"),
    "wildcard": (Everything({}, ["127.0.0.2"]), ListHealth.DEAD, "blocklist-lists-all"),
    "wildcard that spares 127.0.0.1": (
        Everything({(f"1.0.0.127.{ZONE}", "A"): "nxdomain"}, ["127.0.0.2"]),
        ListHealth.DEAD,
        "blocklist-lists-all",
    ),
    "unknown code for everybody": (Everything(ENTRY, ["127.0.0.1"]), ListHealth.DEAD, "blocklist-lists-all"),
    "empty": (StaticResolver({(ZONE, "SOA"): ["x"]}), ListHealth.DEAD, "blocklist-no-test-entry"),
    "only AAAA": (
        StaticResolver({(f"2.0.0.127.{ZONE}", "AAAA"): ["::ffff:127.0.0.2"]}),
        ListHealth.DEAD,
        "blocklist-no-test-entry",
    ),
    "silent": (Everything({}, "timeout"), ListHealth.UNREACHABLE, "asked"),
    "servfail": (Everything(ENTRY, "servfail"), ListHealth.UNREACHABLE, "asked"),
    "refused by the resolver": (Everything({}, "refused"), ListHealth.UNREACHABLE, "asked"),
    "offline": (Everything({}, "offline"), ListHealth.NOT_ASKED, "asked"),
}


@pytest.mark.parametrize("world", WORLDS)
async def test_a_list_that_does_not_work_says_nothing_about_anybody(world: str) -> None:
    resolver, health, code = WORLDS[world]
    found = await asked(resolver)
    assert (found.state.health, found.state.reason.code) == (health, code)
    assert all(isinstance(each, Unknown) for each in found.subjects.values())


async def test_a_code_that_nobody_knows_is_neither_a_listing_nor_none() -> None:
    """Hostkarma answers 127.0.0.1 for hosts that it trusts."""
    found = await asked(StaticResolver({**ENTRY, (f"10.2.0.192.{ZONE}", "A"): ["127.0.0.1"]}))
    unknown = found.subjects[BAD]
    assert isinstance(unknown, Unknown)
    assert unknown.reason is Reason.LIMIT
    assert unknown.detail is not None
    assert unknown.detail.code == "blocklist-unknown-answer"
    assert found.subjects[GOOD] is None
    assert found.state.health is ListHealth.HEALTHY


@pytest.mark.parametrize("answer", [["127.255.255.255"], ["127.0.0.2", "127.255.255.255"], ["203.0.113.1"]])
async def test_a_list_that_begins_to_refuse_is_not_asked_any_more(answer: list[str]) -> None:
    found = await asked(StaticResolver({**ENTRY, (f"10.2.0.192.{ZONE}", "A"): answer}))
    assert found.state.health in (ListHealth.REFUSED, ListHealth.REWRITTEN)
    assert all(isinstance(each, Unknown) for each in found.subjects.values())


async def test_one_answer_that_is_lost_is_no_clean_address() -> None:
    found = await asked(StaticResolver({**ENTRY, (f"10.2.0.192.{ZONE}", "A"): "timeout"}))
    assert isinstance(found.subjects[BAD], Unknown)
    assert found.subjects[GOOD] is None


async def test_a_list_that_falls_silent_is_given_up() -> None:
    names = tuple(f"192.0.2.{n}" for n in range(1, 40))
    silent = {(question(LIST, ZONE, each), "A"): "timeout" for each in names}
    count = 0
    resolver = StaticResolver({**ENTRY, **silent})

    async def ask(name: str, rdtype: str) -> Answer:
        nonlocal count
        count += 1
        return await resolver.query(name, rdtype)

    found = await ask_list(LIST, ZONE, names, DAY, ask)
    assert count == 3 + MAX_SILENT
    assert all(isinstance(each, Unknown) for each in found.subjects.values())


BITS = replace(
    LIST,
    kind=ListedKind.NAME,
    codes={},
    bits={8: SPAM, 64: replace(SPAM, key="abuse")},
    refusals=("127.0.0.1",),
    test_listed="test",
    test_unlisted="invalid",
)
NAME_ENTRY = {(f"test.{ZONE}", "A"): ["127.0.0.254"]}


@pytest.mark.parametrize(
    ("answer", "keys"),
    [("127.0.0.8", ["spam"]), ("127.0.0.72", ["spam", "abuse"]), ("127.0.0.66", ["abuse"]), ("127.0.0.2", None)],
)
async def test_bits_are_told_apart(answer: str, keys: list[str] | None) -> None:
    records = {**NAME_ENTRY, (f"shop.example.{ZONE}", "A"): [answer]}
    found = (await asked(StaticResolver(records), BITS, ("shop.example",))).subjects["shop.example"]
    assert (isinstance(found, ListEntry) and [code.key for code in found.codes]) == (keys or False)
    assert keys or isinstance(found, Unknown)


async def test_a_list_may_refuse_by_a_code_of_its_own() -> None:
    found = await asked(Everything({}, ["127.0.0.1"]), BITS, ("shop.example",))
    assert found.state.health is ListHealth.REFUSED


def test_addresses_are_asked_for_backwards() -> None:
    six = replace(LIST, kind=ListedKind.IP6)
    assert question(LIST, ZONE, "192.0.2.99") == f"99.2.0.192.{ZONE}"
    assert question(six, ZONE, "2001:db8::1") == f"1.{'0.' * 23}8.b.d.0.1.0.0.2.{ZONE}"
    assert question(BITS, ZONE, "shop.example") == f"shop.example.{ZONE}"


def test_the_name_that_nobody_has_is_one_for_a_day_and_a_list() -> None:
    names = {absent_name(zone, day) for zone in (ZONE, "other.example") for day in (DAY, "2026-11-27")}
    assert len(names) == 4


FREE = replace(LIST, access=ListAccess.OWN, key="acme", keyed_zone="{key}.dq.example.net")


@pytest.mark.parametrize(
    ("blocklist", "keys", "public", "code"),
    [
        (FREE, (), "", None),
        (FREE, (), "8.8.8.8", "blocklist-public-resolver"),
        (FREE, ("acme",), "8.8.8.8", None),
        (replace(FREE, access=ListAccess.KEY), (), "", "blocklist-needs-key"),
        (replace(FREE, access=ListAccess.KEY), ("acme",), "", None),
        (replace(FREE, access=ListAccess.PUBLIC), (), "8.8.8.8", None),
        (replace(FREE, dead={"en": "x", "ja": "x"}), ("acme",), "", "blocklist-retired"),
    ],
)
def test_whether_a_list_may_be_asked(blocklist: BlockList, keys: Any, public: str, code: str | None) -> None:
    state = not_asked(blocklist, frozenset(keys), public)
    assert (state and state.reason and state.reason.code) == code
    assert state is None or state.unknown is not None


def test_a_key_is_put_in_by_the_port_alone() -> None:
    assert zone_of(FREE, frozenset({"acme"})) == f"{key_label('acme')}.dq.example.net"
    assert zone_of(FREE, frozenset()) == ZONE


# --- the catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ident", shipped().blocklists)
async def test_every_list_of_the_catalogue_can_be_asked(ident: str) -> None:
    """It is healthy where it answers as its entry says, and each of its codes is a listing."""
    blocklist = shipped().blocklists[ident]
    if blocklist.dead is not None:
        assert not_asked(blocklist, frozenset(), "") is not None
        return
    subject = "shop.example" if blocklist.kind is ListedKind.NAME else BAD
    answers = [*blocklist.codes, *(f"127.0.0.{bit}" for bit in blocklist.bits)]
    for answer in answers:
        records = {
            (f"{blocklist.test_listed}.{blocklist.zone}", "A"): [answers[0]],
            (question(blocklist, blocklist.zone, subject), "A"): [answer],
        }
        found = await asked(StaticResolver(records), blocklist, (subject,))
        assert isinstance(found.subjects[subject], ListEntry), answer
    for refusal in blocklist.refusals:
        assert (await asked(Everything({}, [refusal]), blocklist, (subject,))).state.health is ListHealth.REFUSED


@pytest.mark.long
def test_whoever_is_said_to_name_a_list_is_a_receiver_that_says_what_it_does_about_it() -> None:
    """And nobody else minds a listing: the catalogue and the receivers say the same."""
    from deliverability.engine.rules import load_rules

    receivers = load_rules().receivers
    by_name = {ListedKind.IP4: "REP-001", ListedKind.NAME: "REP-003"}
    named = {(who, by_name[each.kind]) for each in shipped().blocklists.values() for who in each.named_by}
    minding = {(who, rule) for who, each in receivers.items() for rule in by_name.values() if rule in each.rules}
    assert named == minding


ENTRY_YAML = """
- id: acme
  name: Acme
  operator: acme
  zone: bl.acme.example
  codes: {{127.0.0.2: {{key: spam, weight: listing, text: spam}}}}
  remove: {{en: [Stop.], ja: [止めます。]}}
  sources: [{{url: "https://acme.example", checked: "2026-11-26", read_as: original}}]
  {more}
"""


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("access: key", "blocklist-key-missing"),
        ("kind: name", "blocklist-kind-asks"),
        ("keyed_zone: '{key}.x.example'", "blocklist-keyed-zone"),
        ("bits: {3: {key: x, weight: listing, text: x}}", "blocklist-no-bits"),
        ("refusals: [198.51.100.1]", "value-cannot-stand"),
    ],
)
def test_an_entry_that_cannot_be_used_is_told_with_its_line(tmp_path: Any, more: str, problem: str) -> None:
    (tmp_path / "blocklists").mkdir()
    path = tmp_path / "blocklists" / "own.yaml"
    path.write_text(ENTRY_YAML.format(more=more))
    with pytest.raises(CatalogueError) as told:
        load_knowledge([tmp_path])
    assert all(dict(each.args).get("file") == str(path) for each in told.value.details)
    assert problem in repr(told.value.details)


@pytest.mark.long
def test_a_folder_of_ones_own_adds_and_replaces(tmp_path: Any) -> None:
    (tmp_path / "blocklists").mkdir()
    text = ENTRY_YAML.format(more="")
    (tmp_path / "blocklists" / "own.yaml").write_text(text + text.replace("id: acme", "id: spamcop"))
    from deliverability.engine.rules import load_rules

    known = load_rules([tmp_path]).knowledge.blocklists
    assert (known["acme"].zone, known["spamcop"].name) == ("bl.acme.example", "Acme")
    assert known["spamhaus-zen"].named_by


async def test_a_hundred_lists_of_which_some_are_silent_end(caplog: pytest.LogCaptureFixture) -> None:
    """Every third list loses its answers; the others are not kept waiting, and none of the lost is clean."""

    async def one(number: int) -> ListAnswers:
        blocklist = replace(LIST, id=str(number), zone=f"l{number}.example.net")
        entry = {(f"2.0.0.127.{blocklist.zone}", "A"): ["127.0.0.2"]}
        resolver = Everything({}, "timeout") if number % 3 == 0 else StaticResolver(entry)
        return await ask_list(blocklist, blocklist.zone, (BAD,), DAY, resolver.query)

    found = await asyncio.gather(*map(one, range(100)))
    assert [each.state.health is ListHealth.HEALTHY for each in found] == [number % 3 != 0 for number in range(100)]
    assert [each.subjects[BAD] is None for each in found] == [number % 3 != 0 for number in range(100)]
