"""Rules made ready once: what is remembered of other subjects, and what is judged again, changes no finding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet, Purpose, Reason, Unknown, Value
from deliverability.core.inputs import Subject
from deliverability.core.model.rules import (
    All,
    Compare,
    Effect,
    LimitRef,
    Not,
    Op,
    RuleSet,
    Severity,
    Statement,
    VolumeClass,
)
from deliverability.core.model.rules import Any as AnyOf
from deliverability.core.rules.judge import Judge, Selection, judge_of
from deliverability.engine.audit import gather_facts
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.core.rules.test_engine import CATALOGUE, GRADING, receiver, rule
from tests.facts_of import value_of
from tests.test_corpus_smoke import senders, zones

pytestmark = pytest.mark.long

RULES = load_rules()
WAITS, FAILED = Unknown(Reason.NO_MESSAGE), Unknown(Reason.TIMEOUT)


def _rules() -> RuleSet:
    small = Compare("size", Op.LE, LimitRef("most"))
    made = {
        "X-001": rule(small, limits={"most": 50}),
        "X-002": rule(AnyOf((small, Compare("present", Op.EQ, True))), limits={"most": 20}),
        "X-003": rule(All((Compare("present", Op.EXISTS, True), Not(Compare("size", Op.EQ, 1))))),
        "X-004": rule(Compare("item.bits", Op.GE, 2048), each="keys"),
        "X-005": rule(Compare("size", Op.EXISTS, True), purpose=(Purpose.BULK,), severity=Severity.NONE),
    }
    rules = {ident: replace(each, id=ident, reads=("size", "present")) for ident, each in made.items()}
    rules["X-004"] = replace(rules["X-004"], reads=("item.bits", "size"))
    said = (
        Statement(Severity.ERROR, Effect.REJECT, (), when=Compare("present", Op.EQ, True), limits={"most": 10}),
        Statement(Severity.WARNING, Effect.SPAM, (), volume=VolumeClass.BULK),
    )
    receivers = [receiver("one", bulk_from=100), receiver("two"), receiver("three", bulk_from=5000)]
    receivers = [replace(each, rules=dict.fromkeys(rules, said[place % 2 :])) for place, each in enumerate(receivers)]
    return RuleSet(rules, {each.id: each for each in receivers}, {}, "", grading=GRADING)


# 1 and True are equal in Python, and so are their hashes; to a rule they are two values.
VALUES: st.SearchStrategy[Value] = st.sampled_from([None, True, False, 0, 1, 15, 30, 99, "", "x" * 200, WAITS, FAILED])
KEYS = st.lists(
    st.fixed_dictionaries({"selector": st.sampled_from(["a", "b"]), "bits": VALUES}, optional={"used": st.booleans()}),
    max_size=3,
).map(tuple)


@st.composite
def subjects(draw: st.DrawFn) -> FactSet:
    values: dict[str, Any] = {
        "subject.domain": draw(st.sampled_from(["example.com", "example.net"])),
        "subject.purpose": draw(st.sampled_from([WAITS, "bulk", "users"])),
        "subject.daily_volume": draw(st.sampled_from([None, 50, 10_000])),
        "size": draw(VALUES),
        "present": draw(VALUES),
        "keys": draw(KEYS | st.sampled_from([WAITS, FAILED])),
    }
    evidence = ("dns:TXT:example.com",) if draw(st.booleans()) else ()
    return FactSet({path: Fact(path, value_of(path, value), evidence) for path, value in values.items()})


@given(st.lists(subjects(), min_size=2, max_size=6))
def test_a_judge_of_many_finds_of_each_what_a_judge_of_one_finds(several: list[FactSet]) -> None:
    rules = _rules()
    shared = Judge(rules, CATALOGUE, Selection(receivers=tuple(rules.receivers)))
    for facts in several:
        alone = Judge(rules, CATALOGUE, Selection(receivers=tuple(rules.receivers)))
        # Compared as text too, for True equals 1.
        assert repr(shared.findings(facts)) == repr(alone.findings(facts))


@given(subjects(), subjects())
def test_judging_only_what_changed_finds_what_judging_all_finds(before: FactSet, after: FactSet) -> None:
    rules = _rules()
    judge = Judge(rules, CATALOGUE, Selection(receivers=tuple(rules.receivers)))
    # Of the same domain, as it is in a rehearsal: fingerprints tell domains apart.
    after = FactSet(after.facts | {"subject.domain": before.facts["subject.domain"]})
    assert judge.again(after, before, judge.findings(before)) == judge.findings(after)


@pytest.mark.parametrize("domain", senders()[::6])
async def test_what_other_domains_left_behind_changes_nothing(domain: str) -> None:
    options = Subject(purpose=[None, *Purpose][len(domain) % 5], daily_volume=[None, 10, 9000][len(domain) % 3])
    facts = (await gather_facts(replace(options, domain=domain), zones())).facts
    shared = judge_of(RULES, catalogue(), Selection())
    assert shared is judge_of(RULES, catalogue(), Selection())
    assert shared.findings(facts) == Judge(RULES, catalogue(), Selection()).findings(facts)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliverability.core.rules.ready._MAX_DECISIONS", 4)
    monkeypatch.setattr("deliverability.core.rules.ready._MAX_TOKENS", 4)
    rules = _rules()
    shared = Judge(rules, CATALOGUE, Selection(receivers=("one",)))
    for number in range(40):
        unknown = Unknown(list(Reason)[number % len(Reason)])
        values: dict[str, Value] = {"subject.domain": "example.com", "size": number, "present": unknown, "keys": ()}
        values |= {"subject.purpose": "bulk", "subject.daily_volume": None}
        facts = FactSet({path: Fact(path, value_of(path, value)) for path, value in values.items()})
        assert shared.findings(facts) == Judge(rules, CATALOGUE, Selection(receivers=("one",))).findings(facts)
    assert all(len(each._decided) <= 4 for each in shared._ready)
