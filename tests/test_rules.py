"""Every rule is tested by data: tests/rules/<topic>.yaml names fact maps and the outcome each must give."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet
from deliverability.core.model.report import Outcome
from deliverability.core.model.rules import Effect, Receiver, RuleSet, Severity, Statement
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.yaml import read
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests import ROOT, TESTS
from tests.facts_of import value_of
from tests.together import together

CASES = TESTS / "rules"


@cache
def rules() -> RuleSet:
    return load_rules()


@cache
def cases() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """rule id -> outcome -> fact maps."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for path in sorted(CASES.glob("*.yaml")):
        for rule_id, outcomes in read(path.read_text("utf-8")).data.items():
            assert rule_id not in found, f"{rule_id} has cases in two files"
            found[rule_id] = {outcome: maps if isinstance(maps, list) else [maps] for outcome, maps in outcomes.items()}
    return found


def fact_set(facts: dict[str, Any]) -> FactSet:
    known = catalogue()
    assert set(facts) <= set(known), f"no such facts: {set(facts) - set(known)}"
    return FactSet({path: Fact(path, value_of(path, value)) for path, value in facts.items()})


def raised(rule_id: str) -> RuleSet:
    """The rules; one that is silent until a receiver raises it gets such a receiver."""
    rule = rules().rules.get(rule_id)
    if rule is None or rule.severity is not Severity.NONE:
        return rules()
    statement = Statement(Severity.ERROR, Effect.REJECT, ())
    receiver = Receiver("strict", {"en": "Strict", "ja": "Strict"}, (), (), {rule_id: (statement,)})
    return replace(rules(), receivers={"strict": receiver})


@pytest.mark.parametrize("rule_id", cases())
def test_outcomes(rule_id: str) -> None:
    """The facts of each case give the outcome under which it is listed, for each item of an `each` rule."""
    among = raised(rule_id)
    with together() as case:
        for outcome, maps in cases()[rule_id].items():
            for number, facts in enumerate(maps, 1):
                with case(f"{outcome} {number}"):
                    findings = judge(fact_set(facts), among, catalogue(), Selection(select=(rule_id,)))
                    assert findings, f"{rule_id} was not judged"
                    base = [finding.outcome for finding in findings]
                    expected = [Outcome(outcome)] * len(findings)
                    assert base == expected, [(each.item, each.outcome, each.unknown) for each in findings]


def test_every_rule_has_a_met_an_unmet_and_an_unknown_case() -> None:
    tested = cases()
    lacking = {
        rule.id: sorted({"met", "unmet", "unknown"} - set(tested.get(rule.id, {})))
        for rule in rules().rules.values()
        if {"met", "unmet", "unknown"} - set(tested.get(rule.id, {}))
    }
    assert lacking == {}


def test_every_conditional_rule_has_a_not_applicable_case() -> None:
    tested = cases()
    conditional = [rule.id for rule in rules().rules.values() if rule.when is not None or rule.each is not None]
    assert [rule_id for rule_id in conditional if "not-applicable" not in tested.get(rule_id, {})] == []


def test_no_case_names_a_rule_that_there_is_not() -> None:
    assert set(cases()) - rules().rules.keys() == set()


def unfinished(root: Path) -> list[tuple[str, str]]:
    """What a skeleton of `make new-rule` has left to its author: file and line."""
    return [
        (path.relative_to(root).as_posix(), line)
        for folder in ("rules", "tests/rules")
        for path in sorted((root / folder).rglob("*.yaml"))
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\bTODO\b|\btodo-", line)
    ]


def test_no_rule_is_left_unfinished() -> None:
    assert unfinished(ROOT) == []


def test_there_are_enough_rules_in_each_area() -> None:
    prefixes = {rule_id.split("-")[0] for rule_id in rules().rules}
    assert {"SPF", "DKIM", "DMARC", "ALN", "SIZ", "MSG"} <= prefixes
    assert len(rules().rules) >= 45


def test_rule_files_give_no_warnings() -> None:
    assert rules().warnings == ()


def test_rules_that_no_receiver_raises_have_a_severity_of_their_own() -> None:
    raised = {rule_id for receiver in rules().receivers.values() for rule_id in receiver.rules}
    silent = {rule.id for rule in rules().rules.values() if rule.severity is Severity.NONE} - raised
    assert silent == set()
