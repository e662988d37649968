"""Judging: outcomes per item and per receiver, and what a grade is capped by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deliverability.judge.engine import Selection, judge
from deliverability.judge.grade import graded, verdicts
from deliverability.model.codec import decode
from deliverability.model.facts import Fact, FactSet, FactSpec, FactType, Purpose, Reason, Unknown
from deliverability.model.report import Finding, Judgement, Outcome, Verdict, VerdictKind
from deliverability.model.rules import (
    Compare,
    Condition,
    Confidence,
    Effect,
    Effort,
    Level,
    LimitRef,
    Op,
    Override,
    Receiver,
    Rule,
    RuleSet,
    Severity,
    Texts,
    VolumeClass,
)

CATALOGUE = {
    spec.path: spec
    for spec in (
        FactSpec("size", FactType.INT, "Octets.", unit="octets"),
        FactSpec("present", FactType.BOOL, "There."),
        FactSpec("keys", FactType.LIST_RECORD, "Keys.", key=("selector",)),
        FactSpec("keys[].bits", FactType.INT, "Size."),
        FactSpec("subject.domain", FactType.STR, "Domain."),
        FactSpec("subject.purpose", FactType.STR, "Purpose."),
        FactSpec("subject.daily_volume", FactType.INT, "Volume."),
    )
}


def rule(require: Condition, *, severity: Severity = Severity.ERROR, each: str | None = None, **more: Any) -> Rule:
    text = Texts("title", "met", "unmet", "why", ("fix",))
    return Rule(
        id="X-001",
        name="x",
        topic="x",
        since="0.1",
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


def receiver(ident: str, override: Override | None = None, bulk_from: int | None = None) -> Receiver:
    return Receiver(ident, {"en": ident, "ja": ident}, (), (), {"X-001": override} if override else {}, bulk_from)


def judged(
    facts: dict[str, Any], the_rule: Rule, *receivers: Receiver
) -> tuple[tuple[Finding, ...], tuple[Verdict, ...]]:
    rules = RuleSet({the_rule.id: the_rule}, {r.id: r for r in receivers}, {}, "")
    known = FactSet({path: Fact(path, decode(value)) for path, value in facts.items()})
    findings = judge(known, rules, CATALOGUE, Selection())
    return findings, verdicts(findings, [r.id for r in receivers])


SMALL = Compare("size", Op.LE, LimitRef("most"))


def test_a_receiver_with_its_own_limit_gets_its_own_outcome() -> None:
    the_rule = rule(SMALL, severity=Severity.NONE, limits={"most": 50})
    strict = receiver("strict", Override(Severity.ERROR, Effect.REJECT, (), limits={"most": 20}))
    loose = receiver("loose", Override(Severity.ERROR, Effect.REJECT, ()))
    (finding,), (first, second) = judged({"size": 30}, the_rule, strict, loose)
    assert [j.outcome for j in finding.judgements] == [Outcome.UNMET, Outcome.MET]
    assert (first.verdict, second.verdict) == (VerdictKind.REJECTED, VerdictKind.ACCEPTED)
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


def test_bulk_requirements_wait_for_the_volume() -> None:
    the_rule = rule(Compare("present", Op.EQ, True), severity=Severity.WARNING)
    bulk = receiver("bulk", Override(Severity.ERROR, Effect.REJECT, (), volume=VolumeClass.BULK), bulk_from=5000)

    def verdict(**facts: Any) -> tuple[VerdictKind, tuple[str, ...]]:
        _, (found,) = judged({"present": False} | {f"subject.{k}": v for k, v in facts.items()}, the_rule, bulk)
        return found.verdict, found.waiting

    assert verdict() == (VerdictKind.ACCEPTED, ("X-001",))
    assert verdict(daily_volume=4999) == (VerdictKind.ACCEPTED, ())
    assert verdict(daily_volume=5000) == (VerdictKind.REJECTED, ())
    assert verdict(purpose="bulk") == (VerdictKind.REJECTED, ())
    assert verdict(purpose="parked") == (VerdictKind.ACCEPTED, ())


def test_where_a_receiver_names_no_number_many_messages_are_bulk_whatever_they_are_for() -> None:
    the_rule = rule(Compare("present", Op.EQ, True), severity=Severity.WARNING)
    unnumbered = receiver("r", Override(Severity.ERROR, Effect.REJECT, (), volume=VolumeClass.BULK))

    def verdict(**facts: Any) -> tuple[VerdictKind, tuple[str, ...]]:
        _, (found,) = judged({"present": False} | {f"subject.{k}": v for k, v in facts.items()}, the_rule, unnumbered)
        return found.verdict, found.waiting

    assert verdict(purpose="transactional", daily_volume=5000)[0] is VerdictKind.REJECTED
    assert verdict(purpose="transactional", daily_volume=4999) == (VerdictKind.ACCEPTED, ())
    assert verdict(daily_volume=4999) == (VerdictKind.ACCEPTED, ("X-001",)), "a small newsletter is bulk mail as well"
    assert verdict(daily_volume=5000)[0] is VerdictKind.REJECTED
    assert verdict(purpose="parked", daily_volume=5000)[0] is VerdictKind.ACCEPTED


def test_a_rule_for_another_purpose_does_not_apply() -> None:
    the_rule = rule(Compare("present", Op.EQ, True), purpose=(Purpose.BULK,))
    (other,), _ = judged({"present": False, "subject.purpose": "users"}, the_rule)
    assert other.outcome is Outcome.NOT_APPLICABLE
    (waiting,), _ = judged({"present": False}, the_rule)
    assert waiting.outcome is Outcome.UNKNOWN
    assert waiting.waits_for_input


def test_a_failed_lookup_of_a_decisive_rule_is_never_a_pass() -> None:
    the_rule = rule(Compare("present", Op.EQ, True))
    _, (verdict,) = judged({"present": {"unknown": "timeout"}}, the_rule, receiver("any"))
    assert (verdict.verdict, verdict.grade, verdict.complete) == (VerdictKind.CANNOT_TELL, "C", False)
    assert verdict.unknown == ("X-001",)


def test_without_a_message_nothing_is_promised_and_nothing_is_capped() -> None:
    the_rule = rule(Compare("present", Op.EQ, True))
    _, (verdict,) = judged({"present": {"unknown": "no-message"}}, the_rule, receiver("any"))
    assert (verdict.verdict, verdict.grade, verdict.waiting) == (VerdictKind.CANNOT_TELL, "A", ("X-001",))
    assert verdict.waits == {"message": ("X-001",)}


def test_the_grade_is_the_lowest_cap_and_says_why() -> None:
    for severity, effect, grade, kind in (
        (Severity.ERROR, Effect.REJECT, "F", VerdictKind.REJECTED),
        (Severity.ERROR, Effect.RISK, "D", VerdictKind.AT_RISK),
        (Severity.WARNING, Effect.RISK, "C", VerdictKind.AT_RISK),
        (Severity.ERROR, Effect.NOTE, "C", VerdictKind.ACCEPTED),
        (Severity.WARNING, Effect.NOTE, "B", VerdictKind.ACCEPTED),
        (Severity.INFO, Effect.NOTE, "A", VerdictKind.ACCEPTED),
    ):
        _, (verdict,) = judged(
            {"present": False},
            rule(Compare("present", Op.EQ, True), severity=Severity.INFO),
            receiver("r", Override(severity, effect, ())),
        )
        assert (verdict.grade, verdict.verdict) == (grade, kind)
        assert [cap.rule for cap in verdict.caps] == ([] if grade == "A" else ["X-001"])


def test_a_verdict_names_what_decides_it_and_the_replies_for_that() -> None:
    def finding(number: int, effect: Effect, code: str) -> Finding:
        judgement = Judgement("r", Outcome.UNMET, Severity.ERROR, effect, (code,))
        return Finding(f"X-00{number}", "", Outcome.UNMET, Severity.ERROR, {}, {}, (), (judgement,))

    findings = [finding(1, Effect.RISK, "450"), finding(2, Effect.REJECT, "550"), finding(3, Effect.NOTE, "250")]
    (rejected,) = verdicts(findings, ["r"])
    assert [cap.rule for cap in rejected.deciding] == ["X-002"]
    assert rejected.codes == ("550",)
    (at_risk,) = verdicts([findings[0], findings[2]], ["r"])
    assert [cap.rule for cap in at_risk.deciding] == ["X-001"]
    assert at_risk.codes == ("450",)
    (accepted,) = verdicts([findings[2]], ["r"])
    assert (accepted.deciding, accepted.codes) == ((), ())
    assert [cap.codes for cap in accepted.caps] == [("250",)]


RECEIVERS = ("p", "q")
JUDGEMENTS = st.builds(
    Judgement,
    receiver=st.just(""),
    outcome=st.sampled_from(Outcome),
    severity=st.sampled_from(Severity),
    effect=st.sampled_from(Effect),
    waits_for=st.sampled_from(["", "volume", "purpose"]),
)


@st.composite
def some_findings(draw: st.DrawFn) -> tuple[Finding, ...]:
    """Up to eight findings, each judged by some of the receivers in its own way."""
    made = []
    for number in range(draw(st.integers(0, 8))):
        judgements = tuple(replace(draw(JUDGEMENTS), receiver=each) for each in RECEIVERS if draw(st.booleans()))
        outcome = draw(st.sampled_from(Outcome))
        lost = draw(st.sampled_from([Reason.NO_MESSAGE, Reason.NOT_CONFIGURED, Reason.TIMEOUT]))
        unknown = Unknown(lost) if outcome is Outcome.UNKNOWN else None
        made.append(Finding(f"X-{number:03}", "", outcome, Severity.ERROR, {}, {}, (), judgements, unknown))
    return tuple(made)


@given(some_findings())
def test_gains_are_what_grading_again_with_that_finding_met_would_give(findings: tuple[Finding, ...]) -> None:
    def standings(of: tuple[Finding, ...]) -> dict[str, tuple[VerdictKind, str]]:
        return {each.receiver: (each.verdict, each.grade) for each in verdicts(of, RECEIVERS)}

    before = standings(findings)
    for index, finding in enumerate(graded(findings, ())[0]):
        told = {each.receiver: (each.before, each.before_grade, each.after, each.after_grade) for each in finding.gains}
        if finding.outcome is not Outcome.UNMET:
            assert told == {}
            continue
        judgements = tuple(replace(each, outcome=Outcome.MET) for each in finding.judgements)
        met = replace(finding, outcome=Outcome.MET, judgements=judgements)
        after = standings((*findings[:index], met, *findings[index + 1 :]))
        assert told == {each: (*before[each], *after[each]) for each in RECEIVERS if before[each] != after[each]}
