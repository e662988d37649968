"""The evidence for a terminal: the guide's table, how it was checked, each receiver's own list, all checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.render.paper import Paper
from deliverability.view.checks import CheckView
from deliverability.view.evidence import ReceiverListView, TopicView
from deliverability.view.guide import GuideRow
from deliverability.view.parts import OpinionView
from deliverability.view.report import ReportView
from deliverability.view.savings import SavingsView
from deliverability.view.segments import segments
from deliverability.view.trace import SignatureTrace, SpfTrace
from deliverability.words.sentences import Phrases

_MARKS = {"match": ("met", "met"), "error": ("error", "rejected"), "followed": ("info", "bullet")}


def asked_lines(view: ReportView, paper: Paper, *, trace: bool) -> Iterator[str]:
    """What is shown also without the rest, because it was asked for: the evaluation, the second opinion."""
    say = view.speaker.say
    if trace:
        yield from _traces(view.traces.spf, view.traces.dkim, paper, say)
    if view.opinion:
        yield from _opinion(view.opinion, paper, say)


def evidence_lines(view: ReportView, paper: Paper, *, trace: bool) -> Iterator[str]:
    """What stands between the plan and the summary; `trace`: how SPF and DKIM were evaluated, term by term."""
    say = view.speaker.say
    if view.guide_table.rows:
        yield from paper.heading(view.guide_table.heading)
        for row in view.guide_table.rows:
            yield from _guide(row, paper, say)
    if view.plan.policy:
        yield ""
        yield from paper.paragraph(view.plan.policy, 0)
    yield from _how(view, paper, trace=trace)
    if view.still_spam:
        yield from paper.heading(say("still-spam.title"))
        for name, offers, address in view.still_spam:
            yield from paper.hang(f"{name}{say('punctuation.colon')}{offers}", f"{paper.symbol('bullet')} ")
            yield from [f"  {address}"] if address else []
    if view.receiver_lists:
        yield from paper.heading(say("text.receivers"))
        for each in view.receiver_lists:
            yield from _receiver(each, paper, say)
    yield from paper.heading(say("text.all-checks"))
    for topic in view.topic_views:
        yield from _topic(topic, paper, say)
    if view.waived:
        yield from paper.heading(say("section.waived"))
        for check in view.waived:
            yield from paper.paragraph(f"{check.headline} [{check.rule}]", 2, paper.symbol("bullet") + " ")
            yield from paper.paragraph(check.waiver, 2, style="dim")
    if view.opinion:
        yield from _opinion(view.opinion, paper, say)


def _guide(row: GuideRow, paper: Paper, say: Phrases) -> Iterator[str]:
    lead = f"{paper.ink(paper.symbol(row.tone), row.tone)} {row.key:<4}"
    yield from paper.paragraph(row.title, 6, lead)
    parts = [row.state, row.step_words, row.because]
    yield from paper.paragraph(say("value.separator").join(filter(None, parts)), 6, style="dim")


def _how(view: ReportView, paper: Paper, *, trace: bool) -> Iterator[str]:
    say, traces = view.speaker.say, view.traces
    yield from paper.heading(say("text.how"))
    for text in (*view.answer.waits, *view.remarks, say("label.tool", version=view.version)):
        yield from paper.step(text, f"{paper.symbol('bullet')} ")
    shown = (traces.spf if trace or (traces.spf and not traces.spf.passed) else None, traces.dkim)
    yield from _traces(*shown, paper, say, whole=trace)
    if view.savings:
        yield from _savings(view.savings, paper, say)


def _traces(
    spf: SpfTrace | None, dkim: Sequence[SignatureTrace], paper: Paper, say: Phrases, *, whole: bool = True
) -> Iterator[str]:
    if spf:
        yield from _spf_trace(spf, whole, paper, say)
    if dkim:
        yield from _dkim_trace(dkim, paper, say)


def _receiver(each: ReceiverListView, paper: Paper, say: Phrases) -> Iterator[str]:
    mark = paper.ink(paper.symbol(each.tone), each.tone)
    yield from paper.hang("  ".join(filter(None, (each.name, each.label, each.count))), f"{mark} ")
    for row in each.rows:
        style = "unknown" if row.outcome == "waiting" else row.outcome
        state = f"{say('punctuation.colon')}{row.state}" if row.outcome != "met" else ""
        lead = f"  {paper.ink(paper.symbol(style), style)} "
        yield from paper.hang(f"{row.name}{state} [{row.rule}]", lead)


def _topic(topic: TopicView, paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.paragraph(f"{paper.ink(topic.name, 'bold')}  {topic.summary}", 0)
    for check in topic.todo:
        yield from _check(check, paper, say)
    for each in topic.open:
        lead = f"{paper.ink(paper.symbol('unknown'), 'unknown')} "
        names = say("value.separator").join(f"{check.headline} [{check.rule}]" for check in each.checks)
        yield from paper.hang(f"{each.reason}{say('punctuation.colon')}{names}", lead)
    for check in topic.met:
        lead = f"{paper.ink(paper.symbol('met'), 'met')} "
        items = [each.item for each in check.instances if each.item]
        aside = say("punctuation.aside", text=say("value.separator").join(items)) if items else ""
        words = check.instances[0].message if len(check.instances) == 1 else check.title
        yield from paper.hang(f"{words}{aside} [{check.rule}]", lead)
    if topic.idle:
        yield from paper.paragraph(topic.idle, 2, style="dim")


def _check(check: CheckView, paper: Paper, say: Phrases) -> Iterator[str]:
    style = check.severity
    lead = f"{paper.ink(paper.symbol('unmet'), style)} "
    yield from paper.hang(f"{check.headline} [{check.rule}] {check.severity_label}", lead)
    if check.found and not check.shows_instances:
        yield from paper.paragraph(check.found, 4)
    if check.shows_instances:
        for each in check.instances:
            text = f"{each.item}{say('punctuation.colon')}{each.message}" if each.item else each.message
            yield from paper.paragraph(text, 4)
    yield from paper.paragraph(check.why, 4, style="dim")
    for effect in check.effect_lines:
        yield from paper.paragraph(effect, 4)
    if check.contested:
        yield from paper.paragraph(say("label.contested"), 4, style="warning")
        for reading in check.readings:
            yield from paper.paragraph(reading, 4)


def _savings(savings: SavingsView, paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.heading(say("section.savings"))
    for number, change in enumerate(savings.changes, 1):
        yield from paper.paragraph(say("savings.line", change=change.words, saves=change.saves), 4, f"{number}.")
    for text in (savings.total, savings.how):
        if text:
            yield from paper.paragraph("".join(piece for _, piece in segments(text)), 0)


def _spf_trace(trace: SpfTrace, whole: bool, paper: Paper, say: Phrases) -> Iterator[str]:
    """Term by term; what lies inside an include that did not match only where the `whole` of it is wanted."""
    yield from paper.heading(trace.title)
    yield from paper.paragraph(trace.checked, 0)
    if trace.record:
        yield f"  {paper.ink(trace.record, 'code')}"
    for line in trace.lines:
        if line.detail and not whole:
            continue
        style, name = _MARKS.get(line.mark, ("dim", "bullet"))
        cost = say("punctuation.aside", text=line.cost) if line.cost else ""
        text = f"{line.term}{say('punctuation.colon')}{line.words}{cost}"
        indent = 2 + 2 * min(line.depth, 8)
        lead = " " * (indent - 2) + paper.ink(paper.symbol(name), style) + " "
        yield from paper.paragraph(text, indent, lead, style="dim" if line.mark == "skipped" else "")
    if trace.more:
        yield from paper.paragraph(say.count("trace.more", trace.more), 2, style="dim")
    yield from paper.paragraph(trace.conclusion, 0)


def _dkim_trace(traces: Sequence[SignatureTrace], paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.heading(say("trace.dkim-title"))
    for each in traces:
        name = {"good": "met", "bad": "rejected"}.get(each.state, "unknown")
        lead = paper.ink(paper.symbol(name), name) + " "
        yield from paper.paragraph(f"{each.name}{say('punctuation.colon')}{each.result}", 2, lead)
        for words in each.words:
            yield from paper.paragraph(words, 4)


def _opinion(opinion: OpinionView, paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.heading(say("section.opinion"))
    yield from paper.paragraph(opinion.lead, 0)
    for difference in opinion.differences:
        yield from paper.paragraph(difference.text, 2, paper.symbol("bullet") + " ")
        yield from paper.paragraph(difference.reason, 2)
        if difference.words:
            yield from paper.paragraph(difference.words, 2, style="dim")
    for text in opinion.unheard:
        yield from paper.paragraph(text, 2, paper.ink(paper.symbol("unknown"), "unknown") + " ")
