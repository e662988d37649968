"""The receivers as shipped: every file loads, and verdicts on sets of facts are what their pages say.

tests/receivers.yaml holds the cases: facts that differ from those of a mail with everything in order, and for each
receiver the verdict, rules that decide it, its replies, and rules that wait for an input.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deliverability._yamlstrict import read
from deliverability.app import Job, Sample, catalogue, gather_facts, load_rules, open_world
from deliverability.judge.engine import Selection, judge
from deliverability.judge.grade import graded, verdicts
from deliverability.model.codec import decode
from deliverability.model.facts import Fact, FactSet
from deliverability.model.report import Finding, Outcome, Verdict, VerdictKind
from deliverability.model.rules import Confidence, Effect, Receiver, RuleSet, Severity, VolumeClass
from deliverability.ports.clock import FixedClock
from deliverability.render.rulepage import rule_page

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 25, 0, 0, 4, tzinfo=UTC)
ORDER = ("icloud", "gmail", "yahoo", "outlook", "docomo", "au", "softbank", "yahoo-japan", "strict")
CASES: dict[str, dict[str, Any]] = read(Path(__file__).with_name("receivers.yaml").read_text("utf-8")).data


@cache
def rules() -> RuleSet:
    return load_rules()


@cache
def in_order() -> FactSet:
    """The facts of a mail with everything in order; neither purpose nor volume is given."""
    world = replace(open_world(zones=[GOLDEN / "good.zone"]), clock=FixedClock(NOW))
    return asyncio.run(gather_facts(Job("good.example", Sample("good.eml", path=GOLDEN / "good.eml")), world)).facts


def judged(case: str, receivers: tuple[str, ...] = ORDER, **more: Any) -> tuple[tuple[Finding, ...], list[Verdict]]:
    """Findings and verdicts where the facts of the case differ from those of a mail with everything in order."""
    given = {**CASES[case]["facts"], **more}
    assert set(given) <= set(catalogue()), f"no such facts: {set(given) - set(catalogue())}"
    base = in_order()
    facts = {**base.facts, **{path: Fact(path, decode(value)) for path, value in given.items()}}
    findings = judge(replace(base, facts=facts), rules(), catalogue(), Selection(receivers=receivers))
    return findings, list(verdicts(findings, receivers))


def test_the_receivers_are_there_in_the_order_in_which_they_are_shown() -> None:
    assert tuple(rules().receivers) == ORDER
    assert rules().providers == ORDER[:-1]


@pytest.mark.parametrize("ident", ORDER)
def test_every_receiver_says_who_it_is_in_both_languages(ident: str) -> None:
    receiver = rules().receivers[ident]
    assert all(receiver.name[lang] and receiver.about[lang] for lang in ("en", "ja"))
    assert receiver.combines or (receiver.mx_suffixes and receiver.sources and receiver.rules)


def overrides() -> list[Any]:
    return [
        pytest.param(rules().receivers[ident], rule_id, id=f"{ident}-{rule_id}")
        for ident in rules().providers
        for rule_id in rules().receivers[ident].rules
    ]


@pytest.mark.parametrize(("receiver", "rule_id"), overrides())
def test_every_statement_is_explained_dated_and_sure_enough_for_its_effect(receiver: Receiver, rule_id: str) -> None:
    override = receiver.rules[rule_id]
    assert override.note["en"], "each statement is told in the receiver's terms"
    assert override.note["ja"], "each statement is told in the receiver's terms"
    assert override.severity is not Severity.NONE
    if override.effect is Effect.REJECT:
        assert override.severity is Severity.ERROR, "refused mail is an error"
        assert override.confidence is not Confidence.LOW, "nobody is said to refuse mail on hearsay"
    if override.volume is VolumeClass.BULK:
        assert receiver.id in ("icloud", "gmail", "yahoo", "outlook"), "the others publish no bulk requirements"


def test_contradictions_are_contested_and_both_readings_are_told() -> None:
    outlook = rules().receivers["outlook"].rules
    for rule_id in ("SPF-001", "SPF-014", "DKIM-001", "DMARC-001", "ALN-001"):
        assert outlook[rule_id].contested
        assert "rejected" in outlook[rule_id].note["en"]
        assert "Junk first" in outlook[rule_id].note["en"]
        assert "ブログ" in outlook[rule_id].note["ja"]
        assert "ポリシーのページ" in outlook[rule_id].note["ja"]
    gmail = rules().receivers["gmail"].rules
    for rule_id in ("DMARC-001", "DMARC-002", "DMARC-003", "DMARC-004"):
        assert gmail[rule_id].contested
        assert "4.7.31" in gmail[rule_id].note["en"]
        assert "4.7.40" in gmail[rule_id].note["ja"]
    assert rules().receivers["strict"].rules["DMARC-001"].contested


@pytest.mark.parametrize(("lang", "words"), [("en", "sources contradict"), ("ja", "食い違い")])
def test_a_rules_page_says_that_a_receiver_contradicts_itself(lang: str, words: str) -> None:
    page = "".join(rule_page(rules().rules["SPF-014"], rules(), lang).split("\n"))
    outlook, others = page.split("Outlook.com")[1:3], page.split("Outlook.com")[0]
    assert words in "".join(outlook)
    assert words not in others


ALL = [
    pytest.param(case, ident, expected, id=f"{case}-{ident}")
    for case, content in CASES.items()
    for ident, expected in content["verdicts"].items()
]


@pytest.mark.parametrize(("case", "ident", "expected"), ALL)
def test_verdicts(case: str, ident: str, expected: dict[str, Any]) -> None:
    _, (verdict,) = judged(case, (ident,))
    assert verdict.verdict.value == expected["verdict"], list(verdict.caps)
    deciding = {cap.rule for cap in verdict.deciding}
    assert set(expected.get("by", [])) <= deciding
    for code in expected.get("codes", []):
        assert code in verdict.codes
    if "grade" in expected:
        assert verdict.grade == expected["grade"]
    for name, waiting in expected.get("waits", {}).items():
        assert set(waiting) <= set(verdict.waits[name])


def test_every_case_is_stated_for_every_receiver() -> None:
    assert {case: set(content["verdicts"]) for case, content in CASES.items()} == {case: set(ORDER) for case in CASES}


def test_a_reply_is_named_wherever_the_big_receivers_refuse_for_authentication() -> None:
    for ident in ("icloud", "gmail", "outlook"):
        for rule_id, override in rules().receivers[ident].rules.items():
            if override.effect is Effect.REJECT and rule_id.startswith(("SPF", "DKIM", "DMARC", "ALN")):
                assert override.codes, f"{ident} {rule_id}"


KINDS = [VerdictKind.ACCEPTED, VerdictKind.CANNOT_TELL, VerdictKind.AT_RISK, VerdictKind.REJECTED]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("volume", [None, 10, 20_000])
def test_strict_is_never_milder_than_any_of_its_members(case: str, volume: int | None) -> None:
    more = {} if volume is None else {"subject.daily_volume": volume}
    _, (*members, strict) = judged(case, **more)
    assert KINDS.index(strict.verdict) >= max(KINDS.index(each.verdict) for each in members)
    assert strict.grade >= max(each.grade for each in members)
    assert "volume" not in strict.waits, "what counts for bulk senders counts at any volume"


def test_strict_has_the_hardest_reading_of_every_statement() -> None:
    strict = rules().receivers["strict"]
    rank = [Effect.NOTE, Effect.RISK, Effect.REJECT]
    for ident in strict.combines:
        for rule_id, override in rules().receivers[ident].rules.items():
            hardest = strict.rules[rule_id]
            assert hardest.severity.rank >= override.severity.rank
            assert rank.index(hardest.effect) >= rank.index(override.effect)
            assert set(override.codes) <= set(hardest.codes)
            assert set(override.sources) <= set(hardest.sources)
            assert hardest.volume is VolumeClass.ANY
    assert strict.rules["SIZ-002"].note["en"] == "The hardest reading is that of Apple iCloud Mail."


def regraded_without(findings: tuple[Finding, ...], mended: Finding) -> dict[str, tuple[VerdictKind, str]]:
    """The verdicts as if the finding were met, by grading everything again."""
    met = replace(
        mended,
        outcome=Outcome.MET,
        judgements=tuple(replace(each, outcome=Outcome.MET) for each in mended.judgements),
    )
    again = [met if each is mended else each for each in findings]
    return {each.receiver: (each.verdict, each.grade) for each in verdicts(again, ORDER)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("volume", [None, 20_000])
def test_gains_are_what_grading_again_with_the_finding_met_gives(case: str, volume: int | None) -> None:
    findings, given = judged(case, **({} if volume is None else {"subject.daily_volume": volume}))
    before = {each.receiver: (each.verdict, each.grade) for each in given}
    told = graded(findings, ())[0]
    for old, finding in zip(findings, told, strict=True):
        gains = {each.receiver: (each.after, each.after_grade) for each in finding.gains}
        if finding.outcome is not Outcome.UNMET:
            assert not gains
            continue
        after = regraded_without(findings, old)
        assert gains == {ident: after[ident] for ident in ORDER if after[ident] != before[ident]}
        assert all((each.before, each.before_grade) == before[each.receiver] for each in finding.gains)
