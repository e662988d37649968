"""Every clause of the shipped profiles, held against whole domains and mails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import cache

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet, Value
from deliverability.core.model.profiles import ClauseState, ProfileScope
from deliverability.core.rules.clauses import judge_profile
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.core.rules.scenes import GOOD, SCENES
from tests.together import together

RULES = load_rules()
PROFILES = RULES.profiles
JUDGED = [(profile.id, clause.id) for profile in PROFILES.values() for clause in profile.clauses if clause.judged]
OTHERS = [(profile.id, clause.id) for profile in PROFILES.values() for clause in profile.clauses if not clause.judged]
MET, NOT_MET, CANNOT_TELL = ClauseState.MET, ClauseState.NOT_MET, ClauseState.CANNOT_TELL


@cache
def scene_facts(name: str) -> FactSet:
    """The facts of a scene, gathered once."""
    return asyncio.run(SCENES[name].facts())


def states_of(facts: FactSet) -> Iterator[tuple[tuple[str, str], ClauseState]]:
    """What became of each clause of all profiles."""
    for profile in PROFILES.values():
        for each in judge_profile(profile, facts, RULES, catalogue()).clauses:
            yield (profile.id, each.clause), each.state


@cache
def states(scene: str) -> Mapping[tuple[str, str], ClauseState]:
    """The same of a scene."""
    return dict(states_of(scene_facts(scene)))


def scenes_where(clause: tuple[str, str], state: ClauseState) -> set[str]:
    """The scenes in which a clause is in that state."""
    return {name for name in SCENES if states(name)[clause] is state}


# Nothing in a scene is signed, so that nobody can tell there whether TLSA records are protected, or signatures valid.
SIGNED: Mapping[tuple[str, str], tuple[str, Value, Value]] = {
    ("de-tr03108", "05-M"): ("dane.uncovered_mx", (), ("mx.example.com",)),
    ("internet-nl", "tls-17"): ("dane.uncovered_mx", (), ("mx.example.com",)),
    ("internet-nl", "sec-2"): ("dnssec.state", "secure", "bogus"),
}


@pytest.mark.parametrize("clause", sorted(SIGNED), ids=":".join)
def test_a_clause_about_signed_records_is_met_where_they_are_and_not_met_where_not(clause: tuple[str, str]) -> None:
    known = scene_facts("good")
    path, good, bad = SIGNED[clause]
    assert dict(states_of(known))[clause] is CANNOT_TELL
    for value, state in ((good, MET), (bad, NOT_MET)):
        assert dict(states_of(FactSet({**known.facts, path: Fact(path, value)}, known.evidence)))[clause] is state


def test_a_domain_meets_each_clause_and_another_does_not() -> None:
    with together() as case:
        for clause in JUDGED:
            with case(clause):
                assert scenes_where(clause, MET) or clause in SIGNED
                assert scenes_where(clause, NOT_MET) or clause in SIGNED


def test_what_is_not_judged_is_never_met_and_never_not_met() -> None:
    with together() as case:
        for clause in OTHERS:
            with case(clause):
                assert not scenes_where(clause, MET)
                assert not scenes_where(clause, NOT_MET)


def test_a_good_domain_breaks_only_what_contradicts_the_others() -> None:
    # M3AAWG asks for ~all, New Zealand and CISA for -all: nobody meets all three.
    assert [clause for clause, state in states("good").items() if state is NOT_MET] == [("m3aawg", "spf")]
    assert [clause for clause, state in states("soft").items() if state is NOT_MET] == [
        ("nz-sge", "spf-fail"),
        ("us-scuba", "MS.EXO.2.2v2"),
    ]


def test_where_no_name_server_answers_nothing_is_not_met() -> None:
    assert [clause for clause, state in states("failing").items() if state is NOT_MET] == []
    of_dns = [clause for clause, state in states("failing").items() if state is MET]
    # What the mail itself shows is known all the same.
    assert all(PROFILES[profile].scope is ProfileScope.LAW or clause in _OF_THE_MAIL for profile, clause in of_dns)


_OF_THE_MAIL = {
    *("dkim", "unsubscribe", "tls", "format", "bulk-dkim", "bulk-one-click", "bulk-link", "bulk-unsubscribe"),
    *("tls-send", "4", "no-gmail-from"),
}


@pytest.mark.parametrize("lost", sorted(GOOD), ids="/".join)
def test_one_answer_that_fails_makes_nothing_not_met(lost: tuple[str, str]) -> None:
    scene = replace(SCENES["good"], zone={**GOOD, lost: "servfail"})
    before = states("good")
    worse = [c for c, state in states_of(asyncio.run(scene.facts())) if state is NOT_MET and before[c] is not NOT_MET]
    assert worse == []


def test_without_a_message_and_permission_nothing_about_them_is_not_met() -> None:
    assert [clause for clause, state in states("dns-only").items() if state is NOT_MET] == [("m3aawg", "spf")]
    open_there = {clause for clause, state in states("dns-only").items() if state is CANNOT_TELL}
    assert {
        ("nz-sge", "dkim"),
        ("nz-sge", "tls"),
        ("nz-sge", "mta-sts"),
        ("gmail-senders", "spf-or-dkim"),
    } <= open_there


def test_laws_on_advertising_do_not_concern_other_mail() -> None:
    laws = {profile.id for profile in PROFILES.values() if profile.scope is ProfileScope.LAW}
    judged = [c for c, state in states("transactional").items() if c[0] in laws and state in (MET, NOT_MET)]
    assert laws
    assert judged == []


def test_an_address_may_stand_on_a_linked_page_where_the_law_allows_it() -> None:
    facts = asyncio.run(replace(SCENES["bad"], message=_linking(SCENES["good"].message or b"")).facts())
    found = {each.clause: each for each in judge_profile(PROFILES["law-jp-email"], facts, RULES, catalogue()).clauses}
    assert found["施行規則9条2号"].state is CANNOT_TELL
    assert found["施行規則9条2号"].elsewhere
    assert found["4条2号"].state is NOT_MET


def _linking(message: bytes) -> bytes:
    head, _, _ = message.partition(b"\r\n\r\n")
    page = '<p>秋のセールのご案内です。すべての商品が今だけ20%引きになります。</p><a href="https://example.com/about">会社概要</a>'
    return head + b"\r\n\r\n" + page.encode() + b"\r\n"


def test_a_clause_about_some_items_of_a_list_is_open_where_there_are_none() -> None:
    about_some = {c for c in JUDGED if any(e.id == c[1] and e.which for e in PROFILES[c[0]].clauses)}
    assert {("gmail-senders", "bulk-honored"), ("yahoo-senders", "spam-rate"), ("m3aawg", "rotation")} <= about_some
    # "soft" has no numbers of any receiver, and keys of which nobody knows the age.
    assert {states("soft")[clause] for clause in about_some} == {CANNOT_TELL}
