"""The receivers as shipped: every file loads, and what they do with a mail is what their pages say.

tests/receivers.yaml holds the cases: whole mails with all verdicts, and every statement by which a receiver that is
named there stops, delays or marks mail. One that is not is held to its own file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet, Value
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Assessment, Finding, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import (
    Compare,
    Confidence,
    Effect,
    Op,
    Receiver,
    RuleSet,
    Severity,
    Statement,
    VolumeClass,
    Word,
)
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.rules.grade import assess, assessed
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.audit import gather_facts
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.rulebook import rule_page
from tests import TESTS
from tests.facts_of import value_of
from tests.named_receivers import DATA, KINDS, NAMED, named_rules
from tests.sampled import sampled
from tests.test_rules import cases as rule_cases
from tests.together import together

GOLDEN = TESTS / "golden"
NOW = datetime(2026, 11, 25, 0, 0, 4, tzinfo=UTC)
DEFAULT = ("icloud", "gmail", "yahoo", "outlook", "docomo", "au", "softbank", "yahoo-japan")
MAILS: dict[str, dict[str, Any]] = DATA["mails"]


@cache
def rules() -> RuleSet:
    return load_rules()


# All that are shipped; all but the first are judged where they are asked for.
SHIPPED = tuple(rules().receivers)
PROVIDERS = tuple(each.id for each in rules().receivers.values() if not each.combines)
# Those that the data name.
ORDER = tuple(named_rules().receivers)
UNNAMED = tuple(each for each in PROVIDERS if each not in NAMED)
BY_NAME: dict[str, dict[str, list[dict[str, Any]]]] = DATA["by-name"]


@cache
def in_order() -> FactSet:
    """The facts of a mail with everything in order; neither purpose nor volume is given."""
    ports = replace(open_ports(PortSettings(zones=[GOLDEN / "good.zone"])), clock=FixedClock(NOW))
    return asyncio.run(gather_facts(Subject("good.example", Sample("good.eml", path=GOLDEN / "good.eml")), ports)).facts


def laid_over(given: Mapping[str, Any]) -> FactSet:
    """The facts of a mail with everything in order but for those that are given."""
    assert set(given) <= set(catalogue()), f"no such facts: {set(given) - set(catalogue())}"
    base = in_order()
    return replace(
        base, facts={**base.facts, **{path: Fact(path, value_of(path, value)) for path, value in given.items()}}
    )


# --- Who they are --------------------------------------------------------------------------------------------------


def test_the_receivers_are_there_in_the_order_in_which_they_are_shown() -> None:
    assert PROVIDERS[: len(DEFAULT)] == rules().providers == DEFAULT, "the others are judged where they are asked for"
    assert (*PROVIDERS, "strict") == SHIPPED
    assert rules().receivers["strict"].combines == PROVIDERS


def test_the_data_name_whoever_is_judged_by_default_and_nobody_who_is_not_there() -> None:
    assert set(DEFAULT) <= NAMED <= set(SHIPPED)


@pytest.mark.parametrize("ident", SHIPPED)
def test_every_receiver_says_who_it_is_in_both_languages(ident: str) -> None:
    receiver = rules().receivers[ident]
    assert all(receiver.name[lang] and receiver.about[lang] for lang in ("en", "ja"))
    assert receiver.combines or (receiver.sources and receiver.rules)
    assert receiver.domains or ident not in DEFAULT


def statements() -> Iterator[tuple[Receiver, str, int, Statement]]:
    """All that is stated, with its place among the statements of the receiver about the rule."""
    for ident in PROVIDERS:
        receiver = rules().receivers[ident]
        for rule_id, said in receiver.rules.items():
            for place, each in enumerate(said):
                yield receiver, rule_id, place, each


def test_every_statement_is_explained_and_sure_enough_for_its_effect() -> None:
    with together() as case:
        for receiver, rule_id, place, statement in statements():
            with case(f"{receiver.id} {rule_id} {place}"):
                assert statement.note["en"], "each statement is told in the receiver's terms"
                assert statement.note["ja"], "each statement is told in the receiver's terms"
                assert statement.sources
                assert statement.severity is not Severity.NONE
                if statement.effect is Effect.REJECT and not statement.contested:
                    assert statement.severity is Severity.ERROR, "refused mail is an error"
                    assert statement.confidence is not Confidence.LOW, "nobody is said to refuse mail on hearsay"
                if statement.volume is not VolumeClass.ANY and receiver.id in NAMED:
                    publish_them = ("icloud", "gmail", "yahoo", "outlook")
                    assert receiver.id in publish_them, "the others publish no bulk requirements"


def test_every_statement_rests_on_words_of_a_page_that_was_read_on_a_day() -> None:
    """The words, where they stand, when and in which form they were read; an own word on a page of the receiver."""
    with together() as case:
        for receiver, rule_id, place, statement in statements():
            with case(f"{receiver.id} {rule_id} {place}"):
                assert statement.quote.strip(), "what no page says is no statement"
                pages = [rules().sources[each.ref] for each in statement.sources]
                assert all(page.url.startswith(("https://", "http://")) for page in pages)
                assert all(date.fromisoformat(page.checked) for page in pages)
                assert any(page.read_as != "not re-read" for page in pages), "somebody has read one of them"
                others = all(page.read_as == "third party" for page in pages)
                assert statement.word is not Word.OWN or not others, "its own word stands on a page of its own"
                assert (
                    statement.word is Word.OWN
                    or statement.contested
                    or not statement.effect.hinders
                    or (statement.word is Word.QUOTED)
                ), "hearsay never decides for certain"


def hinders(ident: str) -> list[tuple[str, int, Statement]]:
    """What a receiver states by which it stops, delays or marks mail."""
    return [
        (rule_id, place, each)
        for receiver, rule_id, place, each in statements()
        if receiver.id == ident and each.effect.hinders
    ]


def test_of_several_statements_none_is_out_of_reach() -> None:
    """One for everybody without a condition ends the list."""
    for receiver in rules().receivers.values():
        for rule_id, said in receiver.rules.items():
            for former, latter in pairwise(said):
                ends = former.when is None and former.volume in (VolumeClass.ANY, latter.volume)
                assert not ends, f"{receiver.id} {rule_id}"


FAILS = Compare("spf.result", Op.EQ, "fail")
# Rules that keep silent where another one speaks of the same thing, so that one fault is told once.
YIELDS = {
    "DKIM-002": (
        "DKIM-003",
        "DKIM-004",
        "DKIM-006",
        "DKIM-008",
        "DKIM-012",
        "DKIM-014",
        "DKIM-015",
        "DKIM-024",
        "DKIM-025",
    ),
    "DMARC-026": ("DMARC-025",),
    "MSG-002": ("MSG-001",),
    "NET-002": ("NET-001",),
    "NET-003": ("NET-001",),
    "NET-018": ("NET-007", "NET-008"),
    "NET-019": ("NET-013",),
    "SPF-014": ("SPF-002", "SPF-003", "SPF-004", "SPF-005", "SPF-010", "SPF-011", "SPF-018", "SPF-019"),
}


@pytest.mark.parametrize("ident", PROVIDERS)
def test_who_names_a_rule_that_yields_names_those_that_speak_in_its_place(ident: str) -> None:
    """Else a fault that a receiver minds were no obstacle to it wherever it is told under the other name."""
    said = rules().receivers[ident].rules
    for rule_id, others in YIELDS.items():
        # Of fail SPF-014 always speaks itself; what it leaves to others are errors of the record.
        minds = [each for each in said.get(rule_id, ()) if each.effect.hinders and each.when != FAILS]
        if minds:
            lost = [other for other in others if not any(each.effect.hinders for each in said.get(other, ()))]
            assert not lost, f"{ident} minds {rule_id}, but not {lost}"


def test_contradictions_are_contested_and_both_readings_are_told() -> None:
    outlook, gmail = rules().receivers["outlook"].rules, rules().receivers["gmail"].rules

    def hindering(said: tuple[Statement, ...]) -> Statement:
        (found,) = (each for each in said if each.effect.hinders)
        return found

    for rule_id in ("SPF-001", "SPF-014", "DKIM-001", "DMARC-001", "ALN-001"):
        statement = hindering(outlook[rule_id])
        assert statement.contested
        assert "rejected" in statement.note["en"]
        assert "Junk first" in statement.note["en"]
        assert "ブログ" in statement.note["ja"]
        assert "ポリシーのページ" in statement.note["ja"]
    for rule_id in ("DMARC-001", "DMARC-002", "DMARC-003", "DMARC-004", "DMARC-017"):
        statement = hindering(gmail[rule_id])
        assert statement.contested
        assert "4.7.31" in statement.note["en"]
        assert "4.7.40" in statement.note["ja"]


@pytest.mark.parametrize(("lang", "words"), [("en", "sources disagree"), ("ja", "食い違い")])
def test_a_rules_page_says_that_a_receiver_contradicts_itself(lang: str, words: str) -> None:
    page = "".join(rule_page(rules().rules["DKIM-028"], rules(), lang).split("\n"))
    others, _, outlook = page.rpartition("Outlook.com: ")
    assert words in outlook
    assert words not in others


def test_a_reply_is_named_wherever_the_big_receivers_refuse_for_authentication() -> None:
    for receiver, rule_id, _, statement in statements():
        if receiver.id in ("icloud", "gmail", "outlook") and rule_id.startswith(("SPF", "DKIM", "DMARC", "ALN")):
            assert statement.codes or statement.effect is not Effect.REJECT, f"{receiver.id} {rule_id}"


# --- Whole mails ---------------------------------------------------------------------------------------------------


def judged(
    case: str, receivers: tuple[str, ...] = ORDER, **more: Any
) -> tuple[tuple[Finding, ...], Assessment, FactSet]:
    """Findings and answer where the facts of the case differ from those of a mail with everything in order."""
    facts = laid_over({**MAILS[case]["facts"], **more})
    among = named_rules() if NAMED.issuperset(receivers) else rules()
    findings = judge(facts, among, catalogue(), Selection(receivers=receivers))
    return findings, assess(findings, receivers, facts, among), facts


def expected(case: str) -> Iterator[tuple[str, str, Any]]:
    """receiver -> its verdict and the rules that decide it; who is not named accepts the mail."""
    named: set[str] = set()
    for kind in KINDS:
        told = MAILS[case].get(kind, {})
        named |= set(told)
        yield from ((ident, kind, told[ident] if isinstance(told, dict) else []) for ident in told)
    yield from ((ident, "accepted", []) for ident in ORDER if ident not in named)


@cache
def verdicts_of_all(case: str) -> Mapping[str, Verdict]:
    """What each provider does with the mail of a case, asked together."""
    return {each.receiver: each for each in judged(case, PROVIDERS)[1].verdicts}


def deciding(verdict: Verdict) -> list[str]:
    return sorted({each.rule for each in verdict.deciding})


@pytest.mark.long
@pytest.mark.parametrize("mail", sampled([*MAILS], 2))
def test_verdicts(mail: str) -> None:
    with together() as case:
        for ident, kind, by in expected(mail):
            with case(ident):
                (verdict,) = judged(mail, (ident,))[1].verdicts
                assert verdict.verdict.value == kind, verdict.effects
                if kind == "depends":
                    assert verdict.if_small is not None
                    assert verdict.if_bulk is not None
                    assert (verdict.if_small.verdict.value, verdict.if_bulk.verdict.value) == (by["small"], by["bulk"])
                assert deciding(verdict) == (by["by"] if kind == "depends" else by)
                if ident in MAILS[mail].get("codes", {}):
                    assert sorted(verdict.codes) == sorted(MAILS[mail]["codes"][ident])


@pytest.mark.parametrize("mail", [name for name, mail in MAILS.items() if "by-name" in mail])
def test_verdicts_of_those_who_are_asked_for_by_name(mail: str) -> None:
    by_name = {"others": "accepted", **MAILS[mail]["by-name"]}
    others = by_name.pop("others")
    told = {each: (kind, by) for kind, several in by_name.items() for each, by in several.items()}
    with together() as case:
        for ident in BY_NAME:
            with case(ident):
                verdict = verdicts_of_all(mail)[ident]
                found = (verdict.verdict.value, deciding(verdict))
                assert found == told.get(ident, (others, [])), verdict.effects


def test_a_mail_with_everything_in_order_is_accepted() -> None:
    verdicts = verdicts_of_all("everything-right")
    assert {
        ident: verdicts[ident].effects for ident in PROVIDERS if verdicts[ident].verdict is not VerdictKind.ACCEPTED
    } == {}


@pytest.mark.parametrize("case", MAILS)
def test_every_case_names_a_receiver_once_and_has_its_grade(case: str) -> None:
    assert set(MAILS[case]) <= {"facts", "grade", "codes", "by-name", *KINDS}
    assert sorted(ident for ident, _, _ in expected(case)) == sorted(ORDER)
    assert judged(case, DEFAULT)[1].grade == MAILS[case]["grade"]


@pytest.mark.parametrize("case", MAILS)
@pytest.mark.parametrize("volume", [None, 10, 20_000])
def test_strict_is_never_milder_than_any_of_its_members(case: str, volume: int | None) -> None:
    more = {} if volume is None else {"subject.daily_volume": volume}
    *members, strict = judged(case, **more)[1].verdicts
    worst = max((each.if_bulk.verdict if each.if_bulk else each.verdict for each in members), key=lambda k: k.rank)
    assert strict.verdict.rank >= worst.rank
    assert strict.verdict is not VerdictKind.DEPENDS, "what counts for bulk senders counts at any volume"


@pytest.mark.parametrize("case", MAILS)
@pytest.mark.parametrize("volume", [None, 20_000])
def test_gains_are_what_judging_again_with_the_finding_met_gives(case: str, volume: int | None) -> None:
    findings, before, facts = judged(case, **({} if volume is None else {"subject.daily_volume": volume}))
    standing = {each.receiver: each.verdict for each in before.verdicts}
    told, _ = assessed(findings, ORDER, facts, rules())
    for old, finding in zip(findings, told, strict=True):
        gains = {each.receiver: (each.before, each.after) for each in finding.gains}
        if finding.outcome is not Outcome.UNMET:
            assert not gains
            continue
        judgements = tuple(replace(each, outcome=Outcome.MET) for each in old.judgements)
        met = replace(old, outcome=Outcome.MET, judgements=judgements)
        again = assess([met if each is old else each for each in findings], ORDER, facts, rules())
        after = {each.receiver: each.verdict for each in again.verdicts}
        assert gains == {each: (standing[each], after[each]) for each in ORDER if after[each] is not standing[each]}


# --- Each statement ------------------------------------------------------------------------------------------------

_VOLUMES = {VolumeClass.SMALL: 50, VolumeClass.BULK: 20_000}


class Deed(Struct, frozen=True, order=True):
    """What a receiver does with mail that does not meet a rule; read from ``may reject 421 4.7.27, 550 5.7.27``."""

    certain: bool
    rank: int
    effect: str
    codes: tuple[str, ...]

    @classmethod
    def of(cls, effect: Effect, contested: bool, codes: tuple[str, ...]) -> Deed:
        return cls(not contested, effect.rank, effect.value, codes)

    @classmethod
    def parse(cls, text: str) -> Deed:
        contested = text.startswith("may ")
        effect, _, codes = text.removeprefix("may ").partition(" ")
        return cls.of(Effect(effect), contested, tuple(each.strip() for each in codes.split(",") if each))


class Case(Struct, frozen=True):
    """A rule that is unmet, for senders of one volume, and who minds of those that the data name."""

    rule: str
    number: int
    volume: VolumeClass
    facts: Mapping[str, Any]
    item: Mapping[str, Any]
    expected: Mapping[str, Deed]

    @property
    def name(self) -> str:
        return f"{self.rule}-{self.number}-{self.volume.value}"


def statement_cases() -> Iterator[Case]:
    for names, several in DATA["statements"].items():
        for rule_id in names.split(", "):
            for number, each in enumerate(several, 1):
                assert set(each) <= {"facts", "item", "any", "small", "bulk"}, (names, set(each))
                assert "any" not in each or not {"small", "bulk"} & set(each), names
                for volume in _VOLUMES:
                    told = each.get("any") or each.get(volume.value) or {}
                    deeds = {ident: Deed.parse(text) for ident, text in told.items()}
                    yield Case(rule_id, number, volume, each.get("facts", {}), each.get("item", {}), deeds)
    # Of what others alone speak, the first case of the rule has to do.
    named = {rule_id for names in DATA["statements"] for rule_id in names.split(", ")}
    known = NAMED.union(BY_NAME)
    for rule_id in dict.fromkeys(rule_id for receiver, rule_id, *_ in statements() if receiver.id not in known):
        if rule_id not in named:
            yield from (Case(rule_id, 0, volume, {}, {}, {}) for volume in _VOLUMES)


CASES = list(statement_cases())
RULES_WITH_CASES = tuple(dict.fromkeys(each.rule for each in CASES))


def unmet_facts(case: Case) -> FactSet:
    """A mail in order but for the rule, by its first case in tests/rules/, and for what the case says itself."""
    first = rule_cases()[case.rule]["unmet"][0]
    each = rules().rules[case.rule].each
    if case.item:
        assert each is not None
        first = {**first, each: [{**item, **case.item} for item in first[each]]}
    sender: dict[str, Value] = {"subject.purpose": "users", "subject.daily_volume": _VOLUMES[case.volume]}
    return laid_over({**sender, **first, **case.facts})


@cache
def found(index: int, receivers: tuple[str, ...]) -> tuple[bool, dict[str, Deed]]:
    """Whether the rule is unmet in the case, and what each receiver does."""
    case = CASES[index]
    among = named_rules() if NAMED.issuperset(receivers) else rules()
    findings = judge(unmet_facts(case), among, catalogue(), Selection(select=(case.rule,), receivers=receivers))
    deeds = {
        judgement.receiver: Deed.of(judgement.effect, judgement.contested, judgement.codes)
        for finding in findings
        for judgement in finding.judgements
        if judgement.outcome is Outcome.UNMET and judgement.effect.hinders
    }
    return any(each.outcome is Outcome.UNMET for each in findings), deeds


CASES_OF = {rule_id: [n for n, each in enumerate(CASES) if each.rule == rule_id] for rule_id in RULES_WITH_CASES}


@pytest.mark.parametrize("rule_id", RULES_WITH_CASES)
def test_every_receiver_that_minds_does_what_it_says_and_no_other(rule_id: str) -> None:
    rule = rules().rules[rule_id]
    with together() as case:
        for index in CASES_OF[rule_id]:
            with case(CASES[index].name):
                unmet, deeds = found(index, PROVIDERS)
                deeds = {ident: deed for ident, deed in deeds.items() if ident in NAMED}
                assert deeds == CASES[index].expected
                silent = rule.severity is Severity.NONE and not deeds
                assert unmet or silent or rule.purpose, "the case shows nothing"


@pytest.mark.parametrize("rule_id", RULES_WITH_CASES)
def test_strict_does_the_hardest_of_what_they_all_do(rule_id: str) -> None:
    with together() as case:
        for index in CASES_OF[rule_id]:
            if CASES[index].volume is not VolumeClass.BULK:
                continue
            with case(CASES[index].name):
                _, deeds = found(index, ("strict",))
                hardest = max(CASES[index].expected.values(), default=None)
                if hardest is None:
                    assert deeds == {}
                else:
                    assert (deeds["strict"].certain, deeds["strict"].effect) == (hardest.certain, hardest.effect)


@pytest.mark.parametrize("ident", [each for each in PROVIDERS if each not in BY_NAME and hinders(each)])
def test_every_statement_that_hinders_mail_has_a_case_that_shows_it_and_one_where_it_does_not_apply(ident: str) -> None:
    with together() as case:
        for rule_id, place, statement in hinders(ident):
            with case(f"{rule_id} {place}"):
                deed = Deed.of(statement.effect, statement.contested, statement.codes)
                about = CASES_OF.get(rule_id, [])
                told = {n: (CASES[n].expected if ident in NAMED else found(n, PROVIDERS)[1]) for n in about}
                shown = [CASES[index] for index in about if told[index].get(ident) == deed]
                assert [each for each in shown if statement.volume in (VolumeClass.ANY, each.volume)], (
                    "no case shows it"
                )
                if ident in NAMED and (place or statement.when is not None or statement.volume is not VolumeClass.ANY):
                    assert len(shown) < len(about), "no case where the rule is unmet and this statement does not count"
                # One for everybody never applies where the rule is met, as in the mail with everything in order.
                assert rule_id not in deciding_at_all("everything-right", ident)


def asked_by_name() -> Iterator[tuple[str, Case]]:
    for ident, rules_said in BY_NAME.items():
        for names, several in rules_said.items():
            for rule_id in names.split(", "):
                for number, each in enumerate(several, 1):
                    assert set(each) <= {"facts", "item", "any", "small", "bulk"}, (ident, names, set(each))
                    for volume in _VOLUMES:
                        text = each.get("any") or each.get(volume.value)
                        deeds = {ident: Deed.parse(text)} if text else {}
                        item = each.get("item", {}) if rules().rules[rule_id].each else {}
                        yield ident, Case(rule_id, number, volume, each.get("facts", {}), item, deeds)


ASKED = list(asked_by_name())


def found_by_name(ident: str, case: Case) -> dict[str, Deed]:
    """What the receiver of a case does where it alone is asked for."""
    selection = Selection(select=(case.rule,), receivers=(ident,))
    findings = judge(unmet_facts(case), rules(), catalogue(), selection)
    return {
        judgement.receiver: Deed.of(judgement.effect, judgement.contested, judgement.codes)
        for finding in findings
        for judgement in finding.judgements
        if judgement.outcome is Outcome.UNMET and judgement.effect.hinders
    }


@pytest.mark.parametrize("ident", dict.fromkeys(ident for ident, _ in ASKED))
def test_a_receiver_that_is_asked_for_by_name_does_what_its_pages_say(ident: str) -> None:
    with together() as case:
        for each, asked in ASKED:
            if each == ident:
                with case(asked.name):
                    assert found_by_name(ident, asked) == asked.expected


@pytest.mark.parametrize("ident", BY_NAME)
def test_every_statement_by_which_it_hinders_mail_has_its_case(ident: str) -> None:
    assert ident not in NAMED
    shown = {(case.rule, deed) for each, case in ASKED if each == ident for deed in case.expected.values()}
    said = {(rule_id, Deed.of(each.effect, each.contested, each.codes)) for rule_id, _, each in hinders(ident)}
    assert shown == said
    assert not {rule_id for rule_id, _ in said} & deciding_at_all("everything-right", ident)


def deciding_at_all(case: str, ident: str) -> frozenset[str]:
    return frozenset(each.rule for each in verdicts_of_all(case)[ident].effects)
