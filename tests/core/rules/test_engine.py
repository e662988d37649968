"""Judging: outcomes per item and per receiver, and what a grade is capped by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet, FactSpec, FactType, Purpose, Reason, Unknown
from deliverability.core.model.report import Assessment, Finding, Judgement, Outcome, Requirements, VerdictKind
from deliverability.core.model.rules import (
    Compare,
    Condition,
    Confidence,
    Effect,
    Effort,
    Level,
    LimitRef,
    Op,
    Receiver,
    Rule,
    RuleSet,
    Scope,
    Sentence,
    Severity,
    Statement,
    Texts,
    VolumeClass,
)
from deliverability.core.rules.grade import assess, assessed
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.rules import load_rules
from tests.facts_of import value_of

CATALOGUE = {
    spec.path: spec
    for spec in (
        FactSpec("size", FactType.INT, "Octets.", unit="octets"),
        FactSpec("present", FactType.BOOL, "There."),
        FactSpec("keys", FactType.LIST_RECORD, "Keys.", key=("selector",)),
        FactSpec("keys[].bits", FactType.INT, "Size."),
        FactSpec("keys[].used", FactType.BOOL, "Used by this mail."),
        FactSpec("subject.domain", FactType.STR, "Domain."),
        FactSpec("subject.purpose", FactType.STR, "Purpose."),
        FactSpec("subject.daily_volume", FactType.INT, "Volume."),
    )
}

GRADING = load_rules().grading
# What claims require of the counts; the rules here know nothing of what else they rest on.
COUNTED = {"every-rule", "nothing-hinders", "nothing-waived", "nothing-open", "nothing-missing", "no-way-in"} | {
    "grade-settled"
}
CLAIMS = {
    key: replace(claim, requires=tuple(each for each in claim.requires if each.key in COUNTED))
    for key, claim in load_rules().claims.items()
}

ANY = RuleSet({}, {}, {}, "", grading=GRADING, claims=CLAIMS)


def rule(
    require: Condition,
    *,
    severity: Severity = Severity.ERROR,
    each: str | None = None,
    scope: Scope = Scope.DELIVERY,
    **more: Any,
) -> Rule:
    text = Texts("title", (Sentence("short"),), "noun", "met", (Sentence("unmet"),), "why", (Sentence("fix"),))
    return Rule(
        id="X-001",
        name="x",
        topic="x",
        since="0.1",
        scope=scope,
        severity=severity,
        level=Level.MUST,
        effort=Effort.LOW,
        confidence=Confidence.HIGH,
        require=require,
        sources=(),
        text={"en": text, "ja": text},
        each=each,
        **more,
    )


def receiver(ident: str, *said: Statement, bulk_from: int | None = None) -> Receiver:
    return Receiver(ident, {"en": ident, "ja": ident}, (), (), {"X-001": said} if said else {}, bulk_from)


REFUSES = Statement(Severity.ERROR, Effect.REJECT, ())
MESSAGE = {"message.present": True}


def judged(facts: dict[str, Any], the_rule: Rule, *receivers: Receiver) -> tuple[tuple[Finding, ...], Assessment]:
    """The findings and the answer for a message, unless `facts` say that there is none."""
    rules = RuleSet({the_rule.id: the_rule}, {r.id: r for r in receivers}, {}, "", grading=GRADING, claims=CLAIMS)
    known = FactSet({path: Fact(path, value_of(path, value)) for path, value in (MESSAGE | facts).items()})
    findings = judge(known, rules, CATALOGUE, Selection(receivers=tuple(r.id for r in receivers)))
    return findings, assess(findings, [r.id for r in receivers], known, rules)


SMALL = Compare("size", Op.LE, LimitRef("most"))


def test_a_receiver_with_its_own_limit_gets_its_own_outcome() -> None:
    the_rule = rule(SMALL, severity=Severity.NONE, limits={"most": 50})
    tight = receiver("tight", replace(REFUSES, limits={"most": 20}))
    (finding,), found = judged({"size": 30}, the_rule, tight, receiver("loose", REFUSES))
    assert [j.outcome for j in finding.judgements] == [Outcome.UNMET, Outcome.MET]
    assert [each.verdict for each in found.verdicts] == [VerdictKind.REJECTED, VerdictKind.ACCEPTED]
    assert finding.outcome is Outcome.UNMET


def test_a_rule_without_severity_is_silent_where_no_receiver_raises_it() -> None:
    findings, _ = judged({"size": 99}, rule(SMALL, severity=Severity.NONE, limits={"most": 50}), receiver("other"))
    assert findings == ()


def test_each_gives_one_finding_an_item_with_readable_names() -> None:
    the_rule = rule(Compare("item.bits", Op.GE, 2048), each="keys")
    keys = [
        {"selector": "a", "bits": 2048},
        {"selector": "b", "bits": 1024},
        {"selector": "b", "bits": {"unknown": "timeout"}},
    ]
    findings, _ = judged({"keys": keys}, the_rule)
    assert [(f.item, f.outcome.value) for f in findings] == [("a", "met"), ("b", "unmet"), ("b#2", "unknown")]
    assert len({f.fingerprint for f in findings}) == 3


def test_each_over_nothing_and_over_unknown() -> None:
    the_rule = rule(Compare("item.bits", Op.GE, 2048), each="keys")
    assert [f.outcome for f in judged({"keys": []}, the_rule)[0]] == [Outcome.NOT_APPLICABLE]
    (lost,), _ = judged({"keys": {"unknown": "servfail"}}, the_rule)
    assert (lost.outcome, lost.unknown) == (Outcome.UNKNOWN, Unknown(Reason.SERVFAIL))


PRESENT = Compare("present", Op.EQ, True)
FOR_BULK = replace(REFUSES, volume=VolumeClass.BULK)


def verdict_of(who: Receiver, **facts: Any) -> VerdictKind:
    _, found = judged({"present": False} | {f"subject.{k}": v for k, v in facts.items()}, rule(PRESENT), who)
    return found.verdicts[0].verdict


def test_where_the_number_decides_and_none_is_given_both_classes_are_judged() -> None:
    bulk = receiver("bulk", FOR_BULK, bulk_from=5000)
    assert verdict_of(bulk) is VerdictKind.DEPENDS
    assert verdict_of(bulk, daily_volume=4999) is VerdictKind.ACCEPTED
    assert verdict_of(bulk, daily_volume=5000) is VerdictKind.REJECTED
    assert verdict_of(bulk, daily_volume=4999, purpose="bulk") is VerdictKind.ACCEPTED, "a newsletter of 200 a day"
    assert verdict_of(bulk, purpose="bulk", purpose_basis="declared") is VerdictKind.REJECTED
    assert verdict_of(bulk, purpose="bulk", purpose_basis="inferred") is VerdictKind.DEPENDS
    assert verdict_of(bulk, purpose="transactional") is VerdictKind.DEPENDS
    _, found = judged({"present": False}, rule(PRESENT), bulk)
    (verdict,) = found.verdicts
    assert verdict.if_small is not None
    assert (verdict.if_small.verdict, verdict.if_small.effects) == (VerdictKind.ACCEPTED, ())
    assert verdict.if_bulk is not None
    assert [each.rule for each in verdict.if_bulk.effects] == ["X-001"]
    assert found.grade == "C"


def test_where_a_receiver_names_no_number_many_messages_are_bulk_whatever_they_are_for() -> None:
    unnumbered = receiver("r", FOR_BULK)
    assert verdict_of(unnumbered, purpose="transactional", daily_volume=5000) is VerdictKind.REJECTED
    assert verdict_of(unnumbered, purpose="transactional", daily_volume=4999) is VerdictKind.ACCEPTED
    assert verdict_of(unnumbered, daily_volume=4999) is VerdictKind.DEPENDS, "a small newsletter is bulk mail as well"
    assert verdict_of(unnumbered, purpose="bulk", purpose_basis="inferred") is VerdictKind.REJECTED


def test_of_several_statements_the_first_that_counts_is_the_one() -> None:
    forwarded = Statement(Severity.WARNING, Effect.NOTE, (), when=Compare("size", Op.EQ, 1))
    who = receiver("r", forwarded, FOR_BULK, replace(REFUSES, effect=Effect.SPAM), bulk_from=5000)
    for size, volume, kind in (
        (1, 9000, VerdictKind.ACCEPTED),
        (2, 9000, VerdictKind.REJECTED),
        (2, 1, VerdictKind.AT_RISK),
    ):
        _, found = judged({"present": False, "size": size, "subject.daily_volume": volume}, rule(PRESENT), who)
        assert found.verdicts[0].verdict is kind
    _, found = judged({"present": False, "size": {"unknown": "timeout"}}, rule(PRESENT), receiver("r", forwarded))
    assert found.verdicts[0].verdict is VerdictKind.ACCEPTED, "what would only be noted decides nothing"


def test_where_it_cannot_be_told_which_statement_counts_nothing_is_claimed_and_nothing_excused() -> None:
    exempt = Statement(Severity.WARNING, Effect.NOTE, (), when=Compare("size", Op.EQ, 1))
    lost = {"present": False, "size": {"unknown": "timeout"}}
    (finding,), found = judged(lost, rule(PRESENT), receiver("r", exempt, REFUSES))
    assert finding.outcome is Outcome.UNMET, "the rule itself is decided"
    assert found.verdicts[0].verdict is VerdictKind.CANNOT_TELL
    assert [each.effect for each in found.verdicts[0].open] == [Effect.REJECT]


def test_a_statement_that_hangs_on_a_missing_input_waits_for_it_and_one_on_a_failed_lookup_was_not_checked() -> None:
    marks = Statement(Severity.WARNING, Effect.SPAM, (), when=Compare("present", Op.EQ, True))
    facts = {"size": 99, "present": {"unknown": "not-configured"}}
    (finding,), found = judged(facts, rule(SMALL, limits={"most": 50}), receiver("one", marks))
    assert finding.judgements[0].unknown == Unknown(Reason.NOT_CONFIGURED)
    assert found.verdicts[0].verdict is VerdictKind.CANNOT_TELL
    facts["present"] = {"unknown": "servfail"}
    _, found = judged(facts, rule(SMALL, limits={"most": 50}), receiver("one", marks))
    assert found.verdicts[0].verdict is VerdictKind.CANNOT_TELL


def test_a_condition_on_the_message_does_not_hold_where_there_is_none() -> None:
    exempt = Statement(Severity.WARNING, Effect.NOTE, (), when=Compare("size", Op.EQ, 1))
    alone = {"message.present": False, "present": False, "size": {"unknown": "no-message"}}
    _, found = judged(alone, rule(PRESENT), receiver("r", exempt, REFUSES))
    assert found.verdicts[0].verdict is VerdictKind.DNS_NOT_READY
    assert [each.effect for each in found.verdicts[0].effects] == [Effect.REJECT]


NOTES = Statement(Severity.WARNING, Effect.NOTE, ())
FILES = replace(REFUSES, effect=Effect.SPAM)
MAY_REFUSE = replace(REFUSES, contested=True)


@pytest.mark.parametrize(
    ("one", "other", "kind", "contested"),
    [
        (NOTES, FOR_BULK, VerdictKind.REJECTED, False),
        (MAY_REFUSE, REFUSES, VerdictKind.REJECTED, False),
        (MAY_REFUSE, FILES, VerdictKind.AT_RISK, False),
        (NOTES, MAY_REFUSE, VerdictKind.AT_RISK, True),
        # One asks for it without effect, of the other it cannot be told whether it refuses.
        (NOTES, replace(REFUSES, when=Compare("size", Op.EQ, 1)), VerdictKind.CANNOT_TELL, False),
    ],
)
def test_a_combination_is_the_hardest_of_its_members_at_any_volume(
    one: Statement, other: Statement, kind: VerdictKind, contested: bool
) -> None:
    for members in ((receiver("a", one), receiver("b", other)), (receiver("a", other), receiver("b", one))):
        both = replace(receiver("strict"), combines=("a", "b"))
        rules = RuleSet(
            {"X-001": rule(PRESENT)}, {r.id: r for r in (*members, both)}, {}, "", grading=GRADING, claims=CLAIMS
        )
        values = {"present": False, "message.present": True, "size": Unknown(Reason.TIMEOUT)}
        facts = FactSet({path: Fact(path, value) for path, value in values.items()})
        findings = judge(facts, rules, CATALOGUE, Selection(receivers=("strict",)))
        (verdict,) = assess(findings, ["strict"], facts, rules).verdicts
        assert verdict.verdict is kind
        assert [each.contested for each in verdict.deciding] == [contested]
        assert rules.providers == ("a", "b")


def test_what_a_receiver_does_not_name_never_enters_its_verdict() -> None:
    (finding,), found = judged({"present": False}, rule(PRESENT), receiver("silent"))
    assert (finding.outcome, finding.severity, finding.judgements) == (Outcome.UNMET, Severity.ERROR, ())
    assert found.verdicts[0].verdict is VerdictKind.ACCEPTED
    assert found.verdicts[0].requirements.named == 0
    assert found.grade == "C", "an error all the same"


def test_what_is_not_about_delivery_is_counted_but_never_enters_a_verdict() -> None:
    the_rule = rule(PRESENT, severity=Severity.WARNING, scope=Scope.REPORTS)
    _, found = judged({"present": False}, the_rule, receiver("r", replace(REFUSES, severity=Severity.WARNING)))
    (verdict,) = found.verdicts
    assert (verdict.verdict, found.grade) == (VerdictKind.ACCEPTED, "A")
    assert verdict.requirements == Requirements(named=1, unmet=1)


def test_what_this_mail_does_not_use_is_held_against_nobody() -> None:
    the_rule = rule(Compare("item.bits", Op.GE, 2048), each="keys")
    keys = [{"selector": "a", "bits": 1024, "used": False}, {"selector": "b", "bits": 2048, "used": True}]
    findings, found = judged({"keys": keys}, the_rule, receiver("r", REFUSES))
    assert [(each.outcome, each.used) for each in findings] == [(Outcome.UNMET, False), (Outcome.MET, True)]
    assert found.verdicts[0].verdict is VerdictKind.ACCEPTED
    assert found.grade == "C", "an error of the domain that this mail does not touch"


def test_a_rule_for_another_purpose_does_not_apply() -> None:
    the_rule = rule(Compare("present", Op.EQ, True), purpose=(Purpose.BULK,))
    (other,), _ = judged({"present": False, "subject.purpose": "users"}, the_rule)
    assert other.outcome is Outcome.NOT_APPLICABLE
    (waiting,), _ = judged({"present": False}, the_rule)
    assert waiting.outcome is Outcome.UNKNOWN
    assert waiting.waits_for_input


def test_a_failed_lookup_of_a_decisive_rule_is_never_a_pass() -> None:
    _, found = judged({"present": {"unknown": "timeout"}}, rule(PRESENT), receiver("any", REFUSES))
    assert (found.verdicts[0].verdict, found.grade, found.open) == (VerdictKind.CANNOT_TELL, "", 1)
    assert [each.rule for each in found.verdicts[0].open] == ["X-001"]


def test_an_input_that_was_not_given_leaves_open_what_would_stop_or_mark_the_mail() -> None:
    for effect, kind in (
        (Effect.REJECT, VerdictKind.CANNOT_TELL),
        (Effect.SPAM, VerdictKind.CANNOT_TELL),
        (Effect.NOTE, VerdictKind.ACCEPTED),
    ):
        said = replace(REFUSES, severity=Severity.WARNING, effect=effect)
        _, found = judged({"present": {"unknown": "not-configured"}}, rule(PRESENT), receiver("any", said))
        assert found.verdicts[0].verdict is kind


def test_without_a_message_the_answer_is_about_dns() -> None:
    alone = {"message.present": False}
    who = receiver("any", FOR_BULK, bulk_from=5000)
    for value, kind, grade in (
        (True, VerdictKind.DNS_READY, "A"),
        (False, VerdictKind.DNS_NOT_READY, "D"),
        ({"unknown": "no-message"}, VerdictKind.DNS_READY, "A"),
        ({"unknown": "not-configured"}, VerdictKind.DNS_READY, "A"),
        ({"unknown": "not-found"}, VerdictKind.DNS_PARTLY, ""),
        ({"unknown": "servfail"}, VerdictKind.CANNOT_TELL, ""),
    ):
        _, found = judged(alone | {"present": value}, rule(PRESENT), who)
        assert (found.verdicts[0].verdict, found.dns, found.grade) == (kind, kind, grade)
        assert found.verdicts[0].missing == (("X-001",) if kind is VerdictKind.DNS_PARTLY else ())


def test_a_parked_domain_is_closed_or_open() -> None:
    parked = {"message.present": False, "subject.parked": True}
    for value, closed, grade in ((True, True, "A"), (False, False, "D"), ({"unknown": "timeout"}, None, "")):
        _, found = judged(parked | {"present": value}, rule(PRESENT), receiver("any", REFUSES))
        assert (found.closed, found.grade, found.verdicts, found.parked) == (closed, grade, (), True)
        assert found.ways == (("X-001",) if closed is False else ())


def test_what_a_receiver_says_decides_verdict_and_grade() -> None:
    for severity, effect, contested, grade, kind in (
        (Severity.ERROR, Effect.REJECT, False, "F", VerdictKind.REJECTED),
        (Severity.ERROR, Effect.REJECT, True, "C", VerdictKind.AT_RISK),
        (Severity.ERROR, Effect.DEFER, False, "D", VerdictKind.AT_RISK),
        (Severity.ERROR, Effect.SPAM, False, "D", VerdictKind.AT_RISK),
        (Severity.WARNING, Effect.WARN, False, "D", VerdictKind.AT_RISK),
        (Severity.WARNING, Effect.FEATURE, False, "B", VerdictKind.ACCEPTED),
        (Severity.INFO, Effect.NOTE, False, "A", VerdictKind.ACCEPTED),
    ):
        said = Statement(severity, effect, (), contested=contested)
        _, found = judged({"present": False}, rule(PRESENT, severity=Severity.INFO), receiver("r", said))
        (verdict,) = found.verdicts
        assert (found.grade, verdict.verdict) == (grade, kind), (severity, effect, contested)
        told = verdict.effects if effect.hinders else verdict.remarks
        assert [each.rule for each in told] == ["X-001"]
        assert (verdict.requirements.named, verdict.requirements.unmet) == (1, 1)


def test_a_verdict_names_what_decides_it_and_the_replies_for_that() -> None:
    def finding(number: int, effect: Effect, code: str) -> Finding:
        judgement = Judgement("r", Outcome.UNMET, Severity.ERROR, effect, (code,))
        return Finding(f"X-00{number}", "", Outcome.UNMET, Severity.ERROR, {}, {}, (), (judgement,))

    facts = FactSet({"message.present": Fact("message.present", True)})
    findings = [finding(1, Effect.SPAM, "450"), finding(2, Effect.REJECT, "550"), finding(3, Effect.NOTE, "250")]
    (rejected,) = assess(findings, ["r"], facts, ANY).verdicts
    assert [each.rule for each in rejected.deciding] == ["X-002"]
    assert [each.rule for each in rejected.effects] == ["X-002", "X-001"]
    assert rejected.codes == ("550",)
    (at_risk,) = assess([findings[0], findings[2]], ["r"], facts, ANY).verdicts
    assert [each.rule for each in at_risk.deciding] == ["X-001"]
    assert at_risk.codes == ("450",)
    (accepted,) = assess([findings[2]], ["r"], facts, ANY).verdicts
    assert (accepted.deciding, accepted.codes) == ((), ())
    assert [each.codes for each in accepted.remarks] == [("250",)]


RECEIVERS = ("p", "q")
JUDGEMENTS = st.builds(
    Judgement,
    receiver=st.just(""),
    outcome=st.sampled_from(Outcome),
    severity=st.sampled_from(Severity),
    effect=st.sampled_from(Effect),
    contested=st.booleans(),
    volume=st.sampled_from(VolumeClass),
)


@st.composite
def some_findings(draw: st.DrawFn) -> tuple[Finding, ...]:
    """Up to eight findings, each judged by some of the receivers in its own way."""
    made = []
    for number in range(draw(st.integers(0, 8))):
        judgements = tuple(replace(draw(JUDGEMENTS), receiver=each) for each in RECEIVERS if draw(st.booleans()))
        outcome = draw(st.sampled_from(Outcome))
        lost = draw(st.sampled_from([Reason.NO_MESSAGE, Reason.NOT_CONFIGURED, Reason.NOT_FOUND, Reason.TIMEOUT]))
        unknown = Unknown(lost) if outcome is Outcome.UNKNOWN else None
        used = draw(st.sampled_from([True, False, None]))
        scope = draw(st.sampled_from([Scope.DELIVERY, Scope.REPORTS]))
        finding = Finding(f"X-{number:03}", "", outcome, Severity.ERROR, {}, {}, (), judgements, unknown)
        made.append(replace(finding, used=used, scope=scope))
    return tuple(made)


@given(some_findings(), st.booleans())
def test_gains_are_what_judging_again_with_that_finding_met_would_give(
    findings: tuple[Finding, ...], message: bool
) -> None:
    facts = FactSet({"message.present": Fact("message.present", message)})

    def standings(of: tuple[Finding, ...]) -> dict[str, VerdictKind]:
        return {each.receiver: each.verdict for each in assess(of, RECEIVERS, facts, ANY).verdicts}

    before = standings(findings)
    for index, finding in enumerate(assessed(findings, RECEIVERS, facts, ANY)[0]):
        told = {each.receiver: (each.before, each.after) for each in finding.gains}
        if finding.outcome is not Outcome.UNMET:
            assert told == {}
            continue
        judgements = tuple(replace(each, outcome=Outcome.MET) for each in finding.judgements)
        met = replace(finding, outcome=Outcome.MET, judgements=judgements)
        after = standings((*findings[:index], met, *findings[index + 1 :]))
        # Refused from some volume on and at risk below becomes at risk for all: no step up that could be told.
        up = [each for each in RECEIVERS if after[each].rank < before[each].rank]
        assert told == {each: (before[each], after[each]) for each in up}
