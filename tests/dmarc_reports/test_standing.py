"""The standing of sources: labelled traffic of twelve and more kinds of actors over 60 days."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

import pytest
from msgspec import Struct

from deliverability.core.facts.base import Unknown, records_of
from deliverability.core.model.observed import Addresses, SourceOwner, SourceWord
from deliverability.dmarc_reports.grouped import MAX_SOURCES, sources_of
from deliverability.dmarc_reports.standing import Setup, SourceStanding
from tests import traffic
from tests.traffic import END, FORGED, SIGNED, UNSIGNED, Mail, World, facet, facts_for, named, signature, stream


class Actor(Struct, frozen=True):
    """Somebody whose mail reports show: what it is, and by which standings it may be sorted."""

    mails: Sequence[Mail]
    standings: frozenset[str]
    world: World


def actors(seed: int) -> Mapping[str, Actor]:
    chance = random.Random(seed)
    days = traffic.days_until()
    found: dict[str, Actor] = {}

    def actor(name: str, mails: Iterator[Mail], *standings: str, world: World | None = None) -> None:
        found[name] = Actor(list(mails), frozenset(standings), world or {})

    def at(ip: str, kind: traffic.Facet, few: int = 5, many: int = 40) -> Iterator[Mail]:
        return stream(ip, kind, (few, many), chance, days)

    sendgrid = facet(signature(selector="s1"), signature("sendgrid.net", "smtpapi"), spf="em1.example.com")
    foreign = facet(signature("sendgrid.net", "smtpapi"), spf="sendgrid.net")
    broken = facet(signature(result="fail"), spf="list.example.net")
    actor("own-host", at("198.51.100.10", SIGNED), "own")
    actor(
        "own-host-without-spf",
        at("203.0.113.10", facet(signature(), spf="x.invalid", spf_result="none")),
        "own",
        world=named("203.0.113.10", "mail2.example.com"),
    )
    actor("unsigned-in-spf", at("198.51.100.20", UNSIGNED), "own-gap")
    actor(
        "unsigned-with-name",
        at("203.0.113.20", UNSIGNED),
        "own-gap",
        world=named("203.0.113.20", "billing.example.com"),
    )
    actor("unsigned-without-mark", at("203.0.113.30", UNSIGNED, 1, 3), "forged")
    actor("service", at("167.89.1.1", sendgrid), "own")
    actor("strange-service", at("205.201.128.9", facet(signature("mcsv.net", "k1"), spf="mail9.mcsv.net")), "unclaimed")
    actor("plain-forwarder", at("192.0.2.40", facet(signature(), spf=traffic.DOMAIN, spf_result="fail")), "forwarder")
    actor("rewriting-forwarder", at("192.0.2.50", facet(signature(), spf="srs.example.net")), "forwarder")
    actor("mailing-list", at("192.0.2.60", broken), "altered")
    actor(
        "gateway", at("192.0.2.61", facet(signature(result="fail"), spf=traffic.DOMAIN, spf_result="fail")), "altered"
    )
    actor(
        "list-by-reason",
        at("192.0.2.62", facet(spf="l.example.net", spf_result="none", reason="mailing_list")),
        "altered",
    )
    actor("stripping-forwarder", at("192.0.2.70", facet(spf="srs2.example.net")), "unclaimed")
    actor("forger", traffic.forgers(0.05, 1000, chance, days), "forged")
    actor(
        "authenticated-stranger",
        at("192.0.2.80", facet(signature("spam.example.org", "x"), spf="spam.example.org")),
        "unclaimed",
    )
    actor("other-customer", at("167.89.9.9", foreign, 1, 4), "service-mixed")
    return found


ACTORS = list(actors(0))


@pytest.mark.parametrize("seed", range(3))
async def test_each_actor_is_what_it_is(seed: int) -> None:
    """All of the volume is sorted right, where report, DNS and catalogue can tell."""
    everybody = actors(seed)
    world = {key: value for each in everybody.values() for key, value in each.world.items()}
    mails = [mail for each in everybody.values() for mail in each.mails]
    facts = await facts_for(traffic.observed(mails, days=60), world)
    sources = records_of(facts.value("traffic.sources"))
    total = Counter[str]()
    for each in sources:
        total[str(each["standing"])] += int(str(each["messages"]))
    expected = Counter[str]()
    for each_actor in everybody.values():
        (standing,) = each_actor.standings
        expected[standing] += sum(mail.messages for mail in each_actor.mails)
    assert total == expected


async def standing_of(mails: Sequence[Mail], world: World | None = None, **subject: object) -> dict[str, str]:
    facts = await facts_for(traffic.observed(mails), world, **subject)
    return {str(each["key"]): str(each["standing"]) for each in records_of(facts.value("traffic.sources"))}


def month(ip: str, kind: traffic.Facet, number: int = 10) -> list[Mail]:
    return [Mail(day, ip, kind, number) for day in traffic.days_until(number=28)]


async def test_a_host_that_mostly_passes_is_one_source_with_its_noise() -> None:
    noisy = [*month("198.51.100.10", SIGNED, 1000), Mail(END, "198.51.100.10", UNSIGNED, 5)]
    assert await standing_of(noisy) == {"198.51.100.10": "own"}
    bad = [*month("198.51.100.10", SIGNED, 10), *month("198.51.100.10", UNSIGNED, 10)]
    assert await standing_of(bad) == {"198.51.100.10": "own", "198.51.100.10 (own-gap)": "own-gap"}, "a job of its own"


async def test_a_service_that_never_signs_for_us_is_a_gap_and_not_a_question() -> None:
    foreign = facet(signature("sendgrid.net", "smtpapi"), spf="sendgrid.net")
    assert await standing_of(month("167.89.200.1", foreign)) == {"SendGrid": "service-gap"}


@pytest.mark.parametrize(
    ("owner", "aligned", "unaligned"),
    [
        (SourceOwner.OURS, "own", "own-gap"),
        (SourceOwner.FORWARDER, "forwarder", "altered"),
        (SourceOwner.NOT_OURS, "forged", "forged"),
    ],
)
async def test_the_user_s_word_wins(owner: SourceOwner, aligned: str, unaligned: str) -> None:
    word = SourceWord(("192.0.2.0/24",), owner, "Billing")
    passing = facet(signature(), spf="srs.example.net")
    for kind, standing in ((passing, aligned), (FORGED, unaligned)):
        assert await standing_of(month("192.0.2.9", kind), source_words=(word,)) == {"Billing": standing}
    over = SourceWord(("192.0.2.0/24",), owner, "Billing", until="2026-11-01")
    assert await standing_of(month("192.0.2.9", FORGED), source_words=(over,)) == {"192.0.2.9": "forged"}
    other = SourceWord(("192.0.2.0/24",), owner, "Billing", domain="example.net")
    assert await standing_of(month("192.0.2.9", FORGED), source_words=(other,)) == {"192.0.2.9": "forged"}


@pytest.mark.parametrize("match", ["ptr:out.example.net", "dkim:spam.example.org", "192.0.2.80"])
async def test_what_a_word_may_name(match: str) -> None:
    kind = facet(signature("a.spam.example.org", "x"), spf="b.spam.example.org")
    world = named("192.0.2.80", "a.out.example.net")
    word = SourceWord((match,), SourceOwner.NOT_OURS)
    assert list((await standing_of(month("192.0.2.80", kind), world, source_words=(word,))).values()) == ["forged"]


async def test_an_address_of_many_domains_is_a_forwarder() -> None:
    mails = month("192.0.2.9", FORGED)
    seen = traffic.observed(mails)
    from msgspec.structs import replace

    facts = await facts_for(replace(seen, relays=frozenset({"192.0.2.9"})))
    assert [each["standing"] for each in records_of(facts.value("traffic.sources"))] == ["forwarder"]


async def test_without_reports_everything_waits_for_them() -> None:
    facts = await facts_for(None)
    for fact in facts:
        if fact.path.startswith("traffic."):
            assert isinstance(fact.value, Unknown)
            assert fact.value.reason.waits_for_input


async def test_without_the_own_spf_record_nobody_knows_who_is_who() -> None:
    facts = await facts_for(traffic.observed(month("198.51.100.10", SIGNED)), {(traffic.DOMAIN, "TXT"): "timeout"})
    sources = facts.value("traffic.sources")
    assert isinstance(sources, Unknown)
    assert not sources.reason.waits_for_input
    assert facts.value("traffic.days") == 28


@pytest.mark.parametrize("answer", ["timeout", "offline"])
async def test_a_reverse_name_that_nobody_answers_for_leaves_its_mail_undecided(answer: str) -> None:
    world = {("9.2.0.192.in-addr.arpa", "PTR"): answer}
    facts = await facts_for(traffic.observed([*month("198.51.100.10", SIGNED), *month("192.0.2.9", FORGED)]), world)
    assert facts.value("traffic.undecided") == 280
    assert facts.value("traffic.undecided_addresses") == ("192.0.2.9",)
    assert facts.value("traffic.undecided_offline") is (answer == "offline")


async def test_of_a_service_that_the_user_is_asked_about_a_reverse_name_would_tell_nothing() -> None:
    """Whose account it is does not show there; what nothing else identifies stays undecided."""
    service = facet(signature("mcsv.net", "k1"), spf="mail9.mcsv.net")
    mails = [*month("198.51.100.10", SIGNED), *month("205.201.128.9", service), *month("192.0.2.9", FORGED)]
    world = {(f"{name}.in-addr.arpa", "PTR"): "offline" for name in ("9.128.201.205", "9.2.0.192")}
    facts = await facts_for(traffic.observed(mails), world)
    assert [each["service"] for each in records_of(facts.value("traffic.sources")) if each["standing"] == "unclaimed"]
    assert facts.value("traffic.undecided_addresses") == ("192.0.2.9",)


async def test_a_service_too_small_to_be_asked_about_stays_undecided() -> None:
    service = facet(signature("mcsv.net", "k1"), spf="mail9.mcsv.net")
    mails = [*month("198.51.100.10", SIGNED), Mail(END, "205.201.128.9", service, 7)]
    facts = await facts_for(traffic.observed(mails), {("9.128.201.205.in-addr.arpa", "PTR"): "offline"})
    assert facts.value("traffic.undecided") == 7


async def test_the_numbers_of_a_small_month() -> None:
    mails = [*month("198.51.100.10", SIGNED, 100), *month("192.0.2.40", facet(signature(), spf="srs.example.net"), 5)]
    facts = await facts_for(traffic.observed([*mails, Mail(END, "203.0.113.1", FORGED, 7)]))
    value = facts.value
    assert (value("traffic.own.messages"), value("traffic.forwarded"), value("traffic.forged")) == (2800, 140, 7)
    assert (value("traffic.would_fail"), value("traffic.days"), value("traffic.month_end")) == (0, 28, True)
    assert value("traffic.own.aligned_low") == pytest.approx(99.9, abs=0.1)


async def test_selectors_of_reports_end_the_guessing() -> None:
    kind = facet(signature(selector="odd-name"), spf=traffic.DOMAIN)
    gone = facet(signature(selector="old-name"), spf=traffic.DOMAIN)
    early = Mail(END - timedelta(days=20), "198.51.100.10", gone, 10)
    mails = [*month("198.51.100.10", kind), early]
    facts = await facts_for(traffic.observed(mails), {(f"odd-name._domainkey.{traffic.DOMAIN}", "TXT"): [traffic.KEY]})
    found = {str(each["selector"]): each["found_by"] for each in records_of(facts.value("dkim.keys"))}
    assert found["odd-name"] == "report"
    assert "old-name" not in found
    assert facts.value("dkim.unpublished") == (f"old-name._domainkey.{traffic.DOMAIN}",)
    published = {str(each["selector"]): each["published"] for each in records_of(facts.value("traffic.selectors"))}
    assert published == {"odd-name": True, "old-name": False, "s1": True}


def test_every_actor_is_named_once() -> None:
    assert len(ACTORS) == len(set(ACTORS)) >= 12
    assert date(2026, 10, 31) in traffic.days_until()


def test_of_very_many_forged_networks_the_largest_are_listed_and_all_are_added_up() -> None:
    chance = random.Random(26)
    counts = {f"100.{64 + n // 250}.{n % 250}.7": chance.randint(1, 400) for n in range(12 * MAX_SOURCES)}
    steady = "203.0.113.9"  # small, and comes again and again
    mails = [Mail(END - timedelta(days=n % 9), ip, FORGED, number) for n, (ip, number) in enumerate(counts.items())]
    mails += [Mail(END - timedelta(days=back), steady, FORGED, 1) for back in range(0, 28, 4)]
    sources = sources_of(traffic.observed(mails), traffic.DOMAIN, Setup(traffic.DOMAIN))
    assert {each.standing for each in sources} == {SourceStanding.FORGED}
    assert sum(each.messages for each in sources) == sum(counts.values()) + 7
    assert sum(each.many for each in sources) == len(counts) + 1
    listed = {each.name: each.messages for each in sources if each.many == 1}
    assert listed.pop(steady) == 7
    assert all(counts[ip] == number for ip, number in listed.items())
    largest = sorted(counts.values(), reverse=True)[:MAX_SOURCES]
    assert sorted(listed.values(), reverse=True)[:MAX_SOURCES] == largest


def test_addresses_in_one_piece_are_what_was_put_in() -> None:
    packed = [bytes([192, 0, 2, n]) for n in range(3)] + [bytes([32, 1, *range(n, n + 14)]) for n in range(2)]
    made = Addresses()
    for each in packed:
        made.append(each)
    assert (list(made), len(made), made[-1], list(made[1:4])) == (packed, 5, packed[-1], packed[1:4])
    with pytest.raises(IndexError):
        made[5]
