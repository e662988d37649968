"""Is the next DMARC policy safe, in words: the answer, what it would have done, what is missing, the record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from msgspec import Struct

from deliverability.model.facts import FactSet, Unknown, text_of
from deliverability.model.gate import GateAnswer, GateKind
from deliverability.model.report import Finding
from deliverability.view.findings import FindingView, finding_views
from deliverability.view.plan import PlanStepView
from deliverability.view.report import ReportView
from deliverability.view.traffic import would_words
from deliverability.words.dates import full_day_words
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import visible


class ConditionView(Struct, frozen=True):
    """A condition that is not met, or could not be checked: what was found and what to do first."""

    rule: str
    tone: str
    text: str
    do: tuple[str, ...]


class GateView(Struct, frozen=True):
    """The answer about one domain.

    Attributes:
        domain: safe to show.
        to: quarantine, reject, or empty where there is no next policy.
        kind: safe, not-yet, cannot-tell; where there is no next policy stay (what is published hits none of your mail),
            hits (it does) or cannot-tell.
        tone: good, bad, risk or unknown.
        headline: the answer.
        would: what the policy would have done in the window; empty where nothing was read.
        conditions: what is missing, then what could not be checked.
        earliest: when it can be safe at the earliest; empty: no day can be told.
        earliest_day: the same as a date.
        step: the record to publish, where it is safe and was rehearsed.

    """

    domain: str
    to: str
    kind: str
    tone: str
    headline: str
    would: str = ""
    conditions: tuple[ConditionView, ...] = ()
    earliest: str = ""
    earliest_day: date | None = None
    step: PlanStepView | None = None


def gate_view(view: ReportView, answer: GateAnswer | None, day: date | None) -> GateView:
    """The answer in words. `day`: the earliest."""
    say, facts = view.speaker.say, view.report.facts
    domain = visible(view.report.domain)
    if answer is None:
        return _without(view, domain, facts, say)
    kind = answer.kind.value
    step = _step(view, answer) if answer.kind is GateKind.SAFE else None
    asked = {"domain": domain, "policy": answer.to}
    headline = say(f"gate.{kind}", **asked)
    if answer.kind is GateKind.SAFE and step is None:
        headline += say("punctuation.gap") + say("gate.no-record")
    missing = [*_conditions(view, answer.missing, "bad"), *_conditions(view, answer.open, "unknown")]
    earliest = ""
    if answer.kind is GateKind.NOT_YET:
        earliest = say("gate.earliest", day=full_day_words(day.isoformat(), say)) if day else say("gate.no-day")
    tone = {GateKind.SAFE: "good", GateKind.NOT_YET: "bad", GateKind.CANNOT_TELL: "unknown"}[answer.kind]
    would = would_words(facts, answer.to, say)
    return GateView(domain, answer.to, kind, tone, headline, would, tuple(missing), earliest, day, step)


def _without(view: ReportView, domain: str, facts: FactSet, say: Phrases) -> GateView:
    """Where there is nothing to ask, or nothing was read: what the policy that is published does, as far as known."""
    stage = facts.value("dmarc.stage")
    if isinstance(stage, Unknown):
        return GateView(domain, "", "cannot-tell", "unknown", say("gate.no-dns", domain=domain))
    if stage == "absent":
        return GateView(domain, "", "not-yet", "bad", say("gate.no-record-yet", domain=domain))
    to = text_of(facts.value("gate.to"))
    if not to:
        policy = text_of(facts.value("dmarc.effective_policy")) or text_of(facts.value("dmarc.policy"))
        if "gate-stay" in view.report.answer.earned:
            would = would_words(facts, policy, say)
            return GateView(domain, "", "stay", "good", say(f"gate.last.{stage}", domain=domain), would)
        headline = say("gate.at", domain=domain, policy=policy)
        if not facts.value("traffic.yours"):
            return GateView(domain, "", "cannot-tell", "unknown", headline + say("gate.at-unread"))
        return GateView(domain, "", "hits", "risk", headline + say("gate.at-hits"), would_words(facts, policy, say))
    return GateView(domain, to, "cannot-tell", "unknown", say("gate.no-reports", domain=domain, policy=to))


def _conditions(view: ReportView, findings: Iterable[Finding], tone: str) -> Iterator[ConditionView]:
    wanted = {(each.rule, each.item) for each in findings}
    for each in finding_views(view.report, view.speaker):
        if (each.finding.rule, each.finding.item) in wanted:
            yield _condition(each, tone)


def _condition(each: FindingView, tone: str) -> ConditionView:
    failed = tone == "unknown"
    text = f"{each.words.heading}: {each.words.message}" if failed else each.words.message
    return ConditionView(each.finding.rule, tone, text, () if failed else each.words.fix)


def _step(view: ReportView, answer: GateAnswer) -> PlanStepView | None:
    """The step of the plan that publishes the policy."""
    numbers = [
        step.number
        for step in view.report.answer.plan
        for edit in step.edits
        if edit.name.startswith("_dmarc.") and any(f"p={answer.to}" in value for value in edit.new)
    ]
    return next((step for step in view.plan.all if step.number in numbers), None)
