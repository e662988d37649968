"""What each positive statement rests on: the table of rules/claims.yaml, walked both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain

import pytest

from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value
from deliverability.core.model.claims import GROUNDS, JUDGED, About, Claim, Lack, Requirement
from deliverability.core.model.report import Outcome
from deliverability.core.model.rules import All, Any, Compare, Condition, Not, Op
from deliverability.core.phrases import phrases
from deliverability.core.rules.claims import NOT_LISTED, Claims, Outcomes, claims_of
from deliverability.core.rules.conditions import evaluate, paths_of
from deliverability.engine.rules import load_rules
from tests.facts_of import value_of

RULES = load_rules()
CLAIMS = claims_of(RULES)
LOST = Unknown(Reason.TIMEOUT)

# --- from the table to the statement: each single requirement counts --------------------------------------------------

Values = Mapping[str, Value]

_HOLDS: Mapping[Op, object] = {
    Op.EQ: lambda operand: operand,
    Op.GT: lambda operand: operand + 1,
    Op.GE: lambda operand: operand,
    Op.LT: lambda operand: operand - 1,
    Op.LE: lambda operand: operand,
    Op.IN: lambda operand: operand[0],
    Op.EMPTY: lambda operand: () if operand else ({},),
    Op.MATCHES: lambda _: "v=spf1 exists:%{i}.example -all",
}
_FAILS: Mapping[Op, object] = {
    Op.EQ: lambda operand: (not operand) if isinstance(operand, bool) else "else" if isinstance(operand, str) else 1,
    Op.GT: lambda operand: operand,
    Op.GE: lambda operand: operand - 1,
    Op.LT: lambda operand: operand,
    Op.LE: lambda operand: operand + 1,
    Op.IN: lambda _: "else",
    Op.EMPTY: lambda operand: ("something",) if operand else (),
    Op.MATCHES: lambda _: "v=spf1 -all",
}


def _value(compare: Compare, by: Mapping[Op, object]) -> Value:
    made: Value = by[compare.op](compare.operand)  # type: ignore[operator]
    return made


def _ways(condition: Condition) -> Iterator[dict[str, Compare]]:
    """Each set of comparisons that together suffice."""
    match condition:
        case Compare():
            yield {condition.fact: condition}
        case All():
            found: list[dict[str, Compare]] = [{}]
            for each in condition.of:
                found = [{**one, **way} for one in found for way in _ways(each)]
            yield from found
        case Any():
            yield from chain.from_iterable(map(_ways, condition.of))
        case Not():
            raise AssertionError("no requirement is told by what is not")


def _with_each(requirement: Requirement, values: Values) -> Values:
    """Fields of an item become a list with that item."""
    if not requirement.each:
        return values
    item = {path.removeprefix("item."): value for path, value in values.items() if path.startswith("item.")}
    return {requirement.each: (item,)}


def _lack(claim: str, values: Values, outcomes: Outcomes) -> Lack | None:
    grounds = {path: value for path, value in values.items() if path.startswith(JUDGED)}
    facts = FactSet(
        {path: Fact(path, value_of(path, value)) for path, value in values.items() if not path.startswith(JUDGED)}
    )
    return CLAIMS.lack(claim, grounds, facts, outcomes)


def _all_holds(claim: Claim) -> tuple[dict[str, Value], dict[str, Outcome | Unknown]]:
    """Facts, counts and outcomes by which all that it requires holds, by the first way of each."""
    values: dict[str, Value] = {}
    outcomes: dict[str, Outcome | Unknown] = {}
    for each in claim.requires:
        if each.holds is not None:
            way = next(_ways(each.holds))
            values |= _with_each(each, {path: _value(compare, _HOLDS) for path, compare in way.items()})
        outcomes |= dict.fromkeys(each.met, Outcome.MET)
    return values, outcomes


CASES = [
    pytest.param(claim, each, id=f"{claim.key}-{each.key}")
    for claim in RULES.claims.values()
    for each in claim.requires
]


@pytest.mark.parametrize(("claim", "requirement"), CASES)
def test_a_claim_is_made_by_each_way_in_which_a_requirement_holds(claim: Claim, requirement: Requirement) -> None:
    values, outcomes = _all_holds(claim)
    assert _lack(claim.key, values, outcomes) is None
    for way in _ways(requirement.holds) if requirement.holds is not None else ():
        own = set(paths_of(requirement.holds))
        others = {path: value for path, value in values.items() if path not in own}
        held = _with_each(requirement, {path: _value(compare, _HOLDS) for path, compare in way.items()})
        shared = {path for each in claim.requires if each is not requirement for path in paths_of(each.holds)} & own
        if not shared:
            assert _lack(claim.key, {**others, **held}, outcomes) is None


@pytest.mark.parametrize(("claim", "requirement"), CASES)
def test_a_claim_is_gone_where_one_requirement_is_removed_fails_or_is_unknown(
    claim: Claim, requirement: Requirement
) -> None:
    values, outcomes = _all_holds(claim)
    for rule in requirement.met:
        assert _lack(claim.key, values, {**outcomes, rule: Outcome.UNMET}) == Lack(
            claim.key, requirement.key, None, (rule,)
        )
        assert _lack(claim.key, values, {**outcomes, rule: LOST}) == Lack(claim.key, requirement.key, LOST)
    if requirement.met:
        left = {rule: outcome for rule, outcome in outcomes.items() if rule not in requirement.met}
        assert _lack(claim.key, values, left) == Lack(claim.key, requirement.key), "not judged, or it does not apply"
        return
    assert requirement.holds is not None
    way = next(_ways(requirement.holds))
    for path, compare in way.items():
        for broken in (_value(compare, _FAILS), LOST):
            changed = {**{each: _value(one, _HOLDS) for each, one in way.items()}, path: broken}
            if evaluate(requirement.holds, changed.get, {}) is True:
                continue  # it holds in another way
            found = _lack(claim.key, {**values, **_with_each(requirement, changed)}, outcomes)
            assert found is not None, f"{path}: {broken}"
        where = requirement.each or path
        removed = {each: value for each, value in values.items() if each != where}
        assert _lack(claim.key, removed, outcomes) is not None, f"without {where}"


def test_of_a_list_there_has_to_be_an_item_and_each_has_to_hold() -> None:
    values, outcomes = _all_holds(RULES.claims["tile-dane"])
    good = {"signed": True, "errors": ()}
    for hosts, holds in (((), False), ((good,), True), ((good, {**good, "signed": False}), False), (LOST, False)):
        assert (_lack("tile-dane", {**values, "dane.hosts": hosts}, outcomes) is None) is holds


def test_a_claim_that_no_file_lists_is_never_made() -> None:
    assert Claims(RULES).lack("all-is-well", {}, FactSet({}), {}) == Lack("all-is-well", NOT_LISTED)


def test_what_is_not_counted_is_not_known() -> None:
    """A caller that forgets to count something does not make the claim true."""
    lack = CLAIMS.lack("nothing-but-waived", {}, FactSet({}), {})
    assert lack is not None
    assert lack.unknown is not None


def test_every_count_is_asked_for_and_of_every_kind_there_is_a_claim() -> None:
    read = {path for claim in RULES.claims.values() for each in claim.requires for path in paths_of(each.holds)}
    assert set(GROUNDS) <= read
    assert {claim.about for claim in RULES.claims.values()} == set(About)


# --- from the words to the table: no good word without an entry -------------------------------------------------------

GOOD = re.compile(
    r"✓|no (known )?obstacle|\bdone\b|\bsafe\b|nothing (more )?to (fix|do|correct|mend)|\bready\b|\bin order\b"
    r"|needs fixing|\bprotected\b|no DNS problem|nothing changed|\bpass(es)?\b|\bstay there\b|nothing urgent"
    r"|all (domains were|could be) checked|\bare met\b"
    r"|nothing against|\bmet\b|\bhealthy\b|\bgrade\b|nothing above a note|\ball (is )?well\b",
    re.IGNORECASE,
)
BAD = re.compile(
    r"\bnot (\w+ )?(protected|safe|met|ready|pass)|not enough data|no longer (be called )?(safe|protected|passes)"
    r"|do(es)?n't pass"
    r"|\bno mail passes|too little mail|\bcannot|could not|\bcan be told|is unmet|not be checked|Do this only"
    r"|\bStill\b|still ",
    re.IGNORECASE,
)
NO_CLAIMS: Mapping[str, str] = {
    "detail": "errors, and how a source of mail is known",
    "coded": "names of defects",
    "scope": "names of scopes",
    "confidence": "how sure a source is",
    "cli": "what a program did, or asks for",
    "help": "help",
    "diff.way": "what a change makes of the records, of both sides as they are",
    "site": "explains rules and verdicts, says nothing of a subject",
    "opinion": "what other programs say",
    "profiles": "a clause of a published text, by its own condition; the values stand beside it",
    "remedies": "what a record does once it is published",
    "hand-over": "a request to somebody else",
    "care": "how careful one has to be with a step",
    "intake": "numbers read from a report, with their total",
    "explain": "a reply of a receiver",
    "seeds": "where messages landed, with their total, beside the verdict of the audit, whose claims are its own",
    "news.gate.unconfirmed": "bad news",
    "sends.policy-now.unconfirmed": "bad news",
    "sends.new": "numbers read from reports",
    "weekly.worst": "the worst grade of earlier runs",
    "weekly.standing": "the grades of earlier runs",
    "weekly.regraded": "how grades came about",
    "weekly.trend": "the name of a chart",
    "fleet-report.worst": "an order",
    "fleet-report.column": "a heading",
    "fleet-report.lead-audience": "bad news",
    "fleet-report.trend-none": "a comparison of numbers, which stand beside it",
    "chain.passes": "the result of a protocol, for the domain that stands beside it",
    "verdict.checked": "numbers",
    "verdict.no-grade": "that there is none",
    "verdict.no-grade-judged": "that there is none",
    "answer.dns-not-ready": "bad news",
    "audience.lead.dns-not-ready": "bad news",
    "contact.mend-first": "bad news",
    "plan.condition.read-reports": "a condition",
    "plan.condition.senders-lost": "a condition",
    "plan.policy": "a condition",
    "plan.not-known": "that it is not known",
    "news.body.dns": "bad news",
    "news.body.quiet": "what is still wrong; the good one is a claim",
    "news.subject.quiet": "what is still wrong; the good one is a claim",
    "sends.opened": "bad news",
    "sends.closed": "numbers of two windows, which are claims of their rules",
    "sends.gone": "numbers of two windows, which are claims of their rules",
    "sends.earliest": "a day to come, with what it takes until then",
    "sends.policy.cannot-tell": "that there is not enough data",
    "sends.policy-now.cannot-tell": "that there is not enough data",
    "gate.earliest": "a day to come, with what it takes until then",
    "weekly.no-grade": "that there is none",
    "weekly.legend-no-grade": "that there is none",
    "weekly.last-grade": "an earlier grade, with its day",
    "mcp.how-replies": "what to do about an input that is too long",
    "sends.lane": "the name of a row of numbers",
    "sources": "advice on one source, by its numbers in the reports, which stand beside it",
    "list-check": "an address of a list, by the checks that are listed beside it",
    "mcp.no-change": "that a proposed record changes no verdict",
    "mcp.nothing-changed": "what the history has, since a day that is named",
    "checks.receivers": "the heading of numbers that stand beside it",
    "summary.open": "the number of checks that are not completed",
    "diff.grade": "the grades before and after, which stand beside it",
    "guide-table.done": "the number of steps that are done, each of which is a claim",
    "guide-table.first.done": "the same, of all steps",
}


def _covers(name: str, key: str) -> bool:
    name = name.removesuffix(".*")
    return key == name or key.startswith(f"{name}.")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_good_word_belongs_to_a_claim(lang: str) -> None:
    words = [name for claim in RULES.claims.values() for name in claim.words]
    texts = phrases("en").texts
    good = {key for key, text in texts.items() if GOOD.search(text) and not BAD.search(text)}
    assert len(good) > 80, "the expressions find what they are for"
    if lang == "ja":
        plain = re.compile(r"✓|支障なし|妨げなし|問題なし|対応は?不要|安全|済み$|対策済み|見つかりません")
        good = {key for key, text in phrases("ja").texts.items() if plain.search(text)} & good
    without = sorted(key for key in good if not any(_covers(name, key) for name in (*words, *NO_CLAIMS)))
    assert without == []


def test_every_word_of_a_claim_is_there() -> None:
    texts = phrases("en").texts
    for claim in RULES.claims.values():
        for name in claim.words:
            assert any(_covers(name, key) for key in texts), f"{claim.key}: {name}"
