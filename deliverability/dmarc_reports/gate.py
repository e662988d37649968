"""`deliv gate`: is the next DMARC policy safe, in words, as text and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from deliverability.console.command import Command
from deliverability.console.inputs import observed_inputs
from deliverability.console.judging import run_reports, speaker_of
from deliverability.console.language import columns
from deliverability.console.options import (
    input_options,
    lang_option,
    rule_folders_option,
    text_or_json_option,
)
from deliverability.console.output import show
from deliverability.console.types import NumberType, OneOf
from deliverability.core.codec import encode, json_text
from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.traffic import Gate, MessageSums, OwnMessages, ReportPeriod, Traffic, WhoReported
from deliverability.core.model.report import Finding, GateAnswer, GateKind, Report
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.topic import if_known, path_of
from deliverability.core.phrases import Phrases
from deliverability.core.report.findings import FindingView, finding_views
from deliverability.core.report.formats.json import Json
from deliverability.core.report.formats.text import record_lines
from deliverability.core.report.paper import Paper
from deliverability.core.report.plan import PlanStepView
from deliverability.core.report.report import ReportView
from deliverability.core.report.traffic import hits_words, sums_of, sums_words, would_words
from deliverability.core.rules.gate import earliest
from deliverability.core.rules.judge import Selection
from deliverability.core.words.sentences import full_day_words, visible
from deliverability.engine.audit import Audited, Extras

_MOSTLY = 80
"""From so many percent of the messages on it is said whose reports they are."""
_NAMED = 12
"""Sources that a note names."""
_POLICY = re.compile(r"(;\s*s?p\s*=\s*)[a-z]+", re.IGNORECASE)


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
        sums: the messages by class; empty where nothing was read.
        would: what the policy would have done in the window; empty where nothing was read.
        notes: what else is to be known: the sources where numbers cannot tell, mail that is not concerned.
        unlisted: whose reports do not count as nobody lists them; empty: there are none.
        conditions: what is missing, then what could not be checked.
        earliest: when it can be safe at the earliest, and what could make it sooner; empty: no day can be told.
        earliest_day: the same as a date.
        step: the record to publish, where it is safe and was rehearsed.
        back: where the policy in force hits own mail: name of the record, as it is, and without a policy.

    """

    domain: str
    to: str
    kind: str
    tone: str
    headline: str
    sums: str = ""
    would: str = ""
    notes: tuple[str, ...] = ()
    unlisted: str = ""
    conditions: tuple[ConditionView, ...] = ()
    earliest: str = ""
    earliest_day: date | None = None
    step: PlanStepView | None = None
    back: tuple[str, str, str] | None = None


def gate_view(view: ReportView, answer: GateAnswer | None, day: date | None) -> GateView:
    """The answer in words. `day`: the earliest."""
    say, facts = view.speaker.say, view.report.facts
    domain = visible(view.report.domain)
    if answer is None:
        return _without(view, domain, facts, say)
    kind = answer.kind.value
    if answer.kind is GateKind.HITS:
        headline = hits_words(facts, domain, answer.to, say)
        found = tuple(_conditions(view, answer.missing, "bad"))
        unlisted, back = _unlisted(facts, say), _step_back(facts)
        return GateView(
            domain, "", kind, "bad", headline, _sums(facts, say), unlisted=unlisted, conditions=found, back=back
        )
    step = _step(view, answer) if answer.kind is GateKind.SAFE else None
    asked = {"domain": domain, "policy": answer.to}
    headline = say(f"gate.{kind}", **asked)
    if answer.kind is GateKind.SAFE and step is None:
        headline += say("punctuation.gap") + say("gate.no-record")
    missing = [*_conditions(view, answer.missing, "bad"), *_conditions(view, answer.open, "unknown")]
    earliest = ""
    if answer.kind is GateKind.NOT_YET:
        too_soon = answer.to == "reject" and facts.of(Dmarc).stage in ("absent", "none")
        no_day = say("gate.no-day-yet" if too_soon else "gate.no-day")
        earliest = say("gate.earliest", day=full_day_words(day.isoformat(), say)) if day else no_day
        earliest += say("gate.earlier") if day and _lacks_days(view, answer) else ""
    tone = {GateKind.SAFE: "good", GateKind.NOT_YET: "bad", GateKind.CANNOT_TELL: "unknown"}[answer.kind]
    would = would_words(facts, answer.to, say)
    return GateView(
        domain,
        answer.to,
        kind,
        tone,
        headline,
        _sums(facts, say),
        would,
        tuple(_notes(view, answer)),
        _unlisted(facts, say),
        tuple(missing),
        earliest,
        day,
        step,
    )


def _lacks_days(view: ReportView, answer: GateAnswer) -> bool:
    """Whether a condition isn't met because days in the past have no report, which may still arrive."""
    period, rules = view.report.facts.of(ReportPeriod), view.speaker.rules.rules
    gap = (if_known(period.span_days) or 0) > (if_known(period.days) or 0)
    return gap and any(path_of(ReportPeriod, "days") in rules[each.rule].reads for each in answer.missing)


def _sums(facts: FactSet, say: Phrases) -> str:
    sums = sums_of(facts)
    return sums_words(sums, say) if sums is not None else ""


def _step_back(facts: FactSet) -> tuple[str, str, str] | None:
    """The name of the record, as it is and as it would be without a policy; None where it is not known."""
    dmarc = facts.of(Dmarc)
    name, record = if_known(dmarc.location), if_known(dmarc.record)
    if not name or not record:
        return None
    return f"_dmarc.{name}", record, _POLICY.sub(r"\1none", record)


def _notes(view: ReportView, answer: GateAnswer) -> Iterator[str]:
    """The sources, where all of them pass and there is too little mail to tell; and mail that is not concerned."""
    say, facts, rules = view.speaker.say, view.report.facts, view.speaker.rules.rules
    little = any(rules[each.rule].amount for each in answer.missing)
    sources = [
        visible(each.name)
        for each in if_known(facts.of(Traffic).sources) or ()
        if each.standing == "own" and not each.apart
    ]
    sums = facts.of(MessageSums)
    if answer.kind is GateKind.CANNOT_TELL and little and sums.sources_pass is True and sources:
        shown = say("value.separator").join(sources[:_NAMED])
        shown += say("value.more", n=f"{len(sources) - _NAMED:,}") if len(sources) > _NAMED else ""
        days = str(if_known(facts.of(ReportPeriod).span_days) or 0)
        yield say("gate.by-sources", n=f"{len(sources):,}", days=days, sources=shown)
    if answer.hinge:
        yield say("gate.hinge", reporter=visible(answer.hinge))
    elif answer.kind is GateKind.SAFE:
        yield from _mostly(facts, say)
    if apart := if_known(sums.apart):
        yield say.count("gate.apart", apart, lost=f"{if_known(sums.apart_failing) or 0:,}")


def _mostly(facts: FactSet, say: Phrases) -> Iterator[str]:
    """The large reporter that nearly all of the numbers are from."""
    for each in if_known(facts.of(WhoReported).reporters) or ():
        if each.trusted and each.percent >= _MOSTLY:
            yield say("gate.mostly", reporter=visible(each.name), percent=f"{each.percent:.0f}")


def _unlisted(facts: FactSet, say: Phrases) -> str:
    """Reporters that do not count, as they stand nowhere: whoever owns a domain can send reports."""
    period = facts.of(ReportPeriod)
    reporters = if_known(period.unlisted_reporters)
    if not reporters:
        return ""
    which = "one" if reporters == 1 else "other"
    return say(f"gate.unlisted.{which}", n=f"{reporters:,}", messages=f"{if_known(period.unlisted_messages) or 0:,}")


def _without(view: ReportView, domain: str, facts: FactSet, say: Phrases) -> GateView:
    """Where there is nothing to ask, or nothing was read: what the policy that is published does, as far as known."""
    dmarc = facts.of(Dmarc)
    stage = dmarc.stage
    if isinstance(stage, Unknown):
        return GateView(domain, "", "cannot-tell", "unknown", say("gate.no-dns", domain=domain))
    if stage == "absent":
        return GateView(domain, "", "not-yet", "bad", say("gate.no-record-yet", domain=domain))
    to = if_known(facts.of(Gate).to)
    if not to:
        policy = if_known(dmarc.effective_policy) or if_known(dmarc.policy) or ""
        if "gate-stay" in view.report.answer.earned:
            would = would_words(facts, policy, say)
            headline = say(f"gate.last.{stage}", domain=domain)
            return GateView(domain, "", "stay", "good", headline, _sums(facts, say), would)
        headline = say("gate.at", domain=domain, policy=policy)
        yours = facts.of(MessageSums).yours
        if isinstance(yours, Unknown) and yours.reason is not Reason.NOT_CONFIGURED:
            headline += say("punctuation.gap") + say("sources.no-dns")
            return GateView(domain, "", "cannot-tell", "unknown", headline)
        if not if_known(yours):
            return GateView(domain, "", "cannot-tell", "unknown", headline + say("gate.at-unread"))
        headline += say("gate.at-hits")
        return GateView(domain, "", "hits", "risk", headline, _sums(facts, say), would_words(facts, policy, say))
    return GateView(domain, to, "cannot-tell", "unknown", say("gate.no-reports", domain=domain, policy=to))


def _conditions(view: ReportView, findings: Iterable[Finding], tone: str) -> Iterator[ConditionView]:
    wanted = {(each.rule, each.item) for each in findings}
    for each in finding_views(view.report, view.speaker):
        if (each.finding.rule, each.finding.item) in wanted:
            yield _condition(each, tone, view.speaker.say)


def _condition(each: FindingView, tone: str, say: Phrases) -> ConditionView:
    failed = tone == "unknown"
    text = say("punctuation.colon").join((each.words.heading, each.words.message)) if failed else each.words.message
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


SCHEMA_VERSION = "1.0"
_COUNTS = tuple(
    path_of(topic, name)
    for topic, names in (
        (ReportPeriod, ("begin", "end", "days", "span_days", "reports")),
        (MessageSums, ("messages", "yours", "would_fail", "unclaimed", "forged", "forwarded", "altered", "apart")),
        (OwnMessages, ("messages", "aligned", "aligned_percent", "aligned_low", "dkim_low")),
    )
    for name in names
)


def gate_text(view: GateView, paper: Paper, say: Phrases) -> str:
    """One domain: the answer, what the policy would have done, what is missing and what to do, or the record."""
    lines = [*paper.hang(view.headline, f"{paper.symbol(view.tone)} ")]
    for text in filter(None, (view.sums, view.would)):
        lines += ["", *paper.paragraph(text, 2)]
    for note in view.notes:
        lines += ["", *paper.paragraph(note, 2)]
    if view.unlisted:
        lines += ["", *paper.paragraph(view.unlisted, 2, style="dim")]
    if view.conditions:
        lines += paper.heading(say("gate.missing" if view.back is None else "gate.to-mend"))
    for each in view.conditions:
        lines += [*paper.hang(f"{each.text} [{each.rule}]", f"{paper.symbol(each.tone)} ")]
        for step in each.do:
            lines += [*paper.step(step, f"  {paper.symbol('to')} ")]
    if view.earliest:
        lines += ["", *paper.paragraph(view.earliest, 2)]
    if view.back is not None:
        name, old, new = view.back
        lines += paper.heading(say("gate.step-back"))
        lines += paper.paragraph(say("gate.step-back-how"), 2)
        lines += ["", f"  {visible(name)} TXT", f"  - {visible(old)}", f"  + {visible(new)}"]
    if view.step is not None:
        lines += paper.heading(say("gate.publish"))
        for record in view.step.records:
            lines += record_lines(record, 2, paper, say)
    return paper.text(lines)


def gates_text(views: Iterable[GateView], paper: Paper) -> str:
    """Many domains, a line each."""
    return paper.text(line for view in views for line in paper.hang(view.headline, f"{paper.symbol(view.tone)} "))


def gates_json(several: Sequence[tuple[GateView, GateAnswer | None, FactSet]]) -> str:
    """The answers with their numbers, codes and words."""
    shape: dict[str, Json] = {"schema_version": SCHEMA_VERSION, "gates": [_gate(*each) for each in several]}
    return json_text(shape, indent=2) + "\n"


def _gate(view: GateView, answer: GateAnswer | None, facts: FactSet) -> Json:
    findings = (*answer.missing, *answer.open) if answer is not None else ()
    return {
        "domain": view.domain,
        "to": view.to or None,
        "answer": view.kind or None,
        "text": view.headline,
        "sums": view.sums or None,
        "would": view.would or None,
        "step_back": dict(zip(("name", "old", "new"), view.back, strict=True)) if view.back else None,
        "hinge": (answer.hinge or None) if answer is not None else None,
        "notes": list(view.notes),
        "earliest": view.earliest_day.isoformat() if view.earliest_day else None,
        "traffic": {path.removeprefix("traffic."): encode(facts.value(path)) for path in _COUNTS},
        "missing": [
            {
                "rule": each.rule,
                "item": each.item or None,
                "outcome": each.outcome.value,
                "observed": {path: encode(value) for path, value in each.observed.items()},
                "limits": {name: encode(value) for name, value in each.limits.items()},
                "unknown": encode(each.unknown) if each.unknown is not None else None,
            }
            for each in findings
        ],
        "words": [{"rule": each.rule, "text": each.text, "do": list(each.do)} for each in view.conditions],
        "records": [
            {"name": record.name, "type": record.type, "values": list(record.new), "replaces": list(record.old)}
            for record in (view.step.records if view.step is not None else ())
        ],
    }


_CODES = {"safe": 0, "stay": 0, "hits": 1, "not-yet": 1, "cannot-tell": 3}


def _rehearsed(view: GateView, params: dict[str, Any], facts: FactSet, rules: RuleSet) -> GateView:
    """The view with a record to step back to only if an audit with that record finds the policy gone."""
    if view.back is None:
        return view
    name, _, new = view.back
    domain = if_known(facts.of(Dmarc).location) or ""
    given = {**params, "domains": (domain,), "eml": (), "record": None}
    again = observed_inputs({**given, "proposals": (*params["proposals"], f"{name} TXT {new}")})

    def works(_: Audited, report: Report) -> bool:
        gate, dmarc = report.answer.gate, report.facts.of(Dmarc)
        return dmarc.stage == "none" and dmarc.policy == "none" and (gate is None or gate.kind is not GateKind.HITS)

    return view if all(run_reports(again, rules, Selection(), works, Extras())) else replace(view, back=None)


@click.command("gate", cls=Command)
@input_options
@click.option("--to", type=OneOf(["quarantine", "reject"]))
@click.option("--days", type=NumberType(int, 1), metavar="N")
@click.option("--history", metavar="URL")
@click.option("--all", "every", is_flag=True)
@click.option("--no-rare", is_flag=True)
@rule_folders_option
@text_or_json_option
@lang_option
def command(
    to: str | None,
    days: int | None,
    every: bool,
    no_rare: bool,
    rules: tuple[Path, ...],
    style: str,
    lang: str,
    **params: Any,
) -> int:
    """Say whether the next DMARC policy is safe, by what receivers reported; else what is missing, and until when."""
    inputs = observed_inputs(params, days=days, to=to, every=every)
    if no_rare:
        inputs = replace(inputs, subjects=[replace(each, rare=()) for each in inputs.subjects])
    speaker = speaker_of(rules or inputs.settings.rules, lang)

    def each(_: Audited, report: Report) -> tuple[GateView, GateAnswer | None, FactSet]:
        answer = report.answer.gate
        today = date.fromisoformat(report.run.started[:10])
        day = earliest(answer, report.facts, speaker.rules, today=today) if answer is not None else None
        return gate_view(ReportView(report, speaker), answer, day), answer, report.facts

    answers = run_reports(inputs, speaker.rules, Selection(), each, Extras(remedies=True))
    if not every:
        answers = [(_rehearsed(view, params, facts, speaker.rules), answer, facts) for view, answer, facts in answers]
    views = [view for view, _, _ in answers]
    paper = Paper.of_terminal(columns())
    if style == "json":
        show(gates_json(answers))
    elif every:
        show(gates_text(views, paper))
    else:
        show("\n".join(gate_text(view, paper, speaker.say) for view in views))
    codes = {_CODES[view.kind] for view in views} | {inputs.code}
    return next((code for code in (1, 3) if code in codes), 0)
