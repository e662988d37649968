"""Reports for the terminal: plain text in a given width, colour only if asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deliverability.render.formats import WriterOptions
from deliverability.render.paper import Paper
from deliverability.render.wrap import pad, width_of, wrap
from deliverability.view.checks import source_line
from deliverability.view.parts import CheckView, ReasonView
from deliverability.view.report import ReportView
from deliverability.view.savings import SavingsView
from deliverability.view.segments import segments
from deliverability.view.trace import SignatureTrace, SpfTrace
from deliverability.words.sentences import Phrases
from deliverability.words.speaker import Speaker

_REASONS_SHOWN = 3
_MET_SHOWN = 200
_REMEDIES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Row:
    """What the summary keeps of a report."""

    domain: str
    problems: str
    verdicts: str


def writer(speaker: Speaker, options: WriterOptions) -> TextWriter:
    """The writer of this format."""
    return TextWriter(speaker, width=options.width, color=options.color, unicode=options.unicode, trace=options.trace)


class TextWriter:
    """One report after the other, and a summary at the end where there are several; only a row of each is kept.

    `width` is the terminal's (lines stay within 40 to 100 columns, unbreakable records excepted). Escape sequences
    appear only with `color`. Without `unicode` the symbols are ASCII; the words stay in their language. How SPF and
    DKIM were evaluated is shown where they do not pass; with `trace` always, and every term of it.
    """

    def __init__(
        self,
        speaker: Speaker,
        *,
        width: int,
        color: bool,
        unicode: bool,
        trace: bool = False,
    ) -> None:
        self._say = speaker.say
        self._trace = trace
        self._paper = Paper.of_terminal(width, color=color, unicode=unicode)
        self._rows: list[_Row] = []

    def report(self, view: ReportView) -> str:
        """The next report."""
        self._rows.append(_row(view, self._say))
        begin = "\n" if len(self._rows) > 1 else ""
        return begin + self._paper.text(_report(view, self._trace, self._paper, self._say))

    def end(self) -> str:
        """The summary, where there was more than one report."""
        if len(self._rows) < 2:
            return ""
        return self._paper.text(_summary(self._rows, self._paper, self._say))


def _report(view: ReportView, whole: bool, paper: Paper, say: Phrases) -> Iterator[str]:
    yield paper.ink(view.domain, "bold")
    about = [view.message or say("label.no-message"), view.started, say("label.tool", version=view.version)]
    yield from paper.paragraph(" · ".join(part for part in about if part) if paper.unicode else ", ".join(about), 0)
    for note in view.notes:
        yield ""
        yield from paper.paragraph(note, 2, paper.ink("!", "warning") + " ")
    yield from _verdicts(view, paper, say)
    if view.records:
        yield from paper.heading(say("section.records"))
        for name, lines in view.records:
            yield from paper.paragraph(name, 0, style="dim")
            for line in lines:
                yield from paper.paragraph(line, 2)
    if view.remedies:
        yield from _publish(view, paper, say)
    yield from _todo(view, paper, say)
    if view.savings:
        yield from _savings(view.savings, paper, say)
    traces = view.traces
    if traces.spf and (whole or not traces.spf.passed):
        yield from _spf_trace(traces.spf, whole, paper, say)
    if traces.dkim and (whole or any(each.state != "good" for each in traces.dkim)):
        yield from _dkim_trace(traces.dkim, paper, say)
    if view.unchecked:
        yield from paper.heading(say("section.unchecked"))
        yield from paper.paragraph(say("unchecked.lead"), 0)
        yield ""
        for unchecked in view.unchecked:
            yield from paper.paragraph(unchecked.reason, 2, paper.ink(paper.symbol("unknown"), "unknown") + " ")
            for title, rule, _ in unchecked.rules:
                yield from paper.paragraph(f"{title} [{rule}]", 4, f"  {paper.symbol('bullet')} ")
    if view.waiting:
        yield from paper.heading(say("section.waiting"))
        for waiting in view.waiting:
            text = waiting.words + say("punctuation.aside", text=say.count("label.checks", waiting.checks))
            yield from paper.paragraph(text, 2, paper.symbol("bullet") + " ")
    if view.waived:
        yield from paper.heading(say("section.waived"))
        for check in view.waived:
            yield from paper.paragraph(f"{check.headline} [{check.rule}]", 2, paper.symbol("bullet") + " ")
            yield from paper.paragraph(check.waiver, 2, style="dim")
    if view.opinion:
        yield from paper.heading(say("section.opinion"))
        yield from paper.paragraph(view.opinion.lead, 0)
        for difference in view.opinion.differences:
            yield from paper.paragraph(difference.text, 2, paper.symbol("bullet") + " ")
            yield from paper.paragraph(difference.reason, 2)
            if difference.said:
                yield from paper.paragraph(difference.said, 2, style="dim")
        for text in view.opinion.unheard:
            yield from paper.paragraph(text, 2, paper.ink(paper.symbol("unknown"), "unknown") + " ")
    if view.guide and not view.parked:
        yield from paper.heading(say("section.guide"))
        for step in view.guide:
            yield from paper.paragraph(f"{step.title}{say('punctuation.colon')}{step.label}", 4, f"{step.key:<4}")
    if view.met:
        yield from paper.heading(say("section.met"))
        for check in view.met[:_MET_SHOWN]:
            lead = paper.ink(paper.symbol("met"), "met") + " "
            if len(check.instances) == 1:
                found = check.instances[0]
                yield from paper.paragraph(found.message + _item(found.item, say), 2, lead)
            else:
                items = say("site_separator").join(each.item for each in check.instances)
                yield from paper.paragraph(check.title + say("punctuation.aside", text=items), 2, lead)


def _verdicts(view: ReportView, paper: Paper, say: Phrases) -> Iterator[str]:
    """The answer, what it assumes, and each receiver: once for those that decide alike."""
    yield from paper.heading(say("answer.title-parked" if view.parked else "section.verdict"))
    for text in view.assumed:
        yield from paper.paragraph(text, 0, style="dim")
    if view.lead:
        yield from paper.paragraph(view.lead, 0, style="bold")
    names = max((width_of(each.receiver) for each in view.verdicts), default=0)
    for verdict in view.verdicts:
        symbol = paper.symbol(verdict.kind)
        if names + width_of(verdict.label) + 4 <= paper.width:
            yield f"{pad(verdict.receiver, names)}  {paper.ink(f'{symbol} {verdict.label}', verdict.kind)}"
        else:
            yield from paper.paragraph(verdict.receiver, 0)
            line, *others = wrap(verdict.label, paper.width - 4)
            yield f"  {paper.ink(f'{symbol} {line}', verdict.kind)}"
            yield from (f"    {paper.ink(each, verdict.kind)}" for each in others)
    groups = view.verdict_groups
    if view.lead and len(groups) == 1 and groups[0].kind == "dns-ready":
        groups = ()  # The answer has said so.
    for group in groups:
        yield ""
        yield from paper.paragraph(group.sentence, 0)
        if group.checked:
            yield from paper.paragraph(group.checked, 2, style="dim")
        yield from _reasons(group.reasons, paper, say)
    yield ""
    yield from paper.paragraph(view.grade, 0)


def _reasons(reasons: Sequence[ReasonView], paper: Paper, say: Phrases) -> Iterator[str]:
    shown, rest = reasons[:_REASONS_SHOWN], len(reasons) - _REASONS_SHOWN
    for reason in shown:
        codes = f" {say('verdict.codes')} {' / '.join(reason.codes)}" if reason.codes and not reason.unknown else ""
        text = f"{reason.title} [{reason.rule}]{codes}"
        yield from paper.paragraph(text, 4, f"  {paper.symbol('unknown' if reason.unknown else 'bullet')} ")
    if rest > 0:
        yield from paper.paragraph(say.count("verdict.more", rest), 4, style="dim")


def _todo(view: ReportView, paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.heading(say("section.todo"))
    if not view.todo:
        yield from paper.paragraph(say("todo.none" if view.complete else "todo.none-incomplete"), 0)
        yield from _information(view, paper, say)
        return
    counts = [say.count(f"todo.{level}s", view.counts[level]) for level in ("error", "warning", "info")]
    shown = [text for text, level in zip(counts, ("error", "warning", "info"), strict=True) if view.counts[level]]
    yield from paper.paragraph(say("site_separator").join(shown), 0)
    minor = False
    for number, check in enumerate(view.todo, 1):
        if check.severity != "info":
            yield ""
            yield from _check(check, number, paper, say)
            continue
        if not minor:
            yield ""
            yield from paper.paragraph(say("todo.minor"), 0, style="info")
            minor = True
        yield from _minor(check, number, paper)
    yield from _information(view, paper, say)


def _information(view: ReportView, paper: Paper, say: Phrases) -> Iterator[str]:
    """What is good to know, one line each."""
    if view.information:
        yield ""
        yield from paper.paragraph(say("todo.information"), 0, style="dim")
    for check in view.information:
        yield from paper.paragraph(f"{check.headline} [{check.rule}]", 2, f"{paper.symbol('bullet')} ")


def _minor(check: CheckView, number: int, paper: Paper) -> Iterator[str]:
    """What could be improved takes two or three lines: the step that matters most, and where to read on."""
    yield from paper.paragraph(f"{check.headline} [{check.rule}]", 4, f"{number}.")
    for step in check.fix[:1]:
        yield from paper.step(step, "    ")


def _check(check: CheckView, number: int, paper: Paper, say: Phrases) -> Iterator[str]:
    lead = f"{number}."
    yield from paper.paragraph(check.headline, 4, lead, style="bold")
    label = (" · " if paper.unicode else ", ").join((check.severity_label, check.rule, *check.guide))
    yield from paper.paragraph(label, 4, style=check.severity)
    if check.found:
        yield from paper.paragraph(check.found, 4)
    if check.shows_instances:
        for instance in check.instances:
            text = _pair(instance.item, instance.message, say) if instance.item else instance.message
            yield from paper.paragraph(text, 4)
    yield from paper.paragraph(check.why, 4, style="dim")
    for index, step in enumerate(check.fix, 1):
        yield from paper.step(step, f"    {index}) ")
    for effect in check.effect_lines:
        yield from paper.paragraph(effect, 4)
    if check.contested:
        yield from paper.paragraph(say("label.contested"), 4, style="warning")
        for reading in check.readings:
            yield from paper.paragraph(reading, 4)
    yield from paper.paragraph(_pair(say("label.effort"), check.effort, say), 4, style="dim")
    for source in check.sources[:1]:
        yield from paper.paragraph(_pair(say("label.source"), source_line(source, say), say), 4, style="dim")
        if source.url:
            yield "    " + paper.ink(source.url, "dim")


def _publish(view: ReportView, paper: Paper, say: Phrases) -> Iterator[str]:
    """The first remedies, each record on a line of its own so that it can be copied; `deliv fix` has all of it."""
    yield from paper.heading(say("publish.title"))
    for number, remedy in enumerate(view.remedies[:_REMEDIES_SHOWN], 1):
        yield from paper.paragraph(f"{remedy.title} [{remedy.rule}]", 4, f"{number}.")
        for edit in remedy.edits:
            yield f"    {edit.name} {edit.type}"
            yield from (f"    {paper.ink(value, 'code')}" for value in edit.new)
        for effect in remedy.effects:
            yield from paper.paragraph(effect, 6, "    > ", style="dim")
        if remedy.care != "safe":
            yield from paper.paragraph(f"{remedy.care_label}: {remedy.care_words}", 4, style="warning")
        yield ""
    rest = max(0, len(view.remedies) - _REMEDIES_SHOWN)
    key = "publish.more" if rest else "publish.all"
    yield from paper.paragraph(say(key, n=str(rest), command=f"deliv fix {view.domain}"), 0)


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
        text = _pair(line.term, line.words, say) + (say("punctuation.aside", text=line.cost) if line.cost else "")
        indent = 2 + 2 * min(line.depth, 8)
        lead = " " * (indent - 2) + paper.ink(paper.symbol(name), style) + " "
        yield from paper.paragraph(text, indent, lead, style="dim" if line.mark == "skipped" else "")
    if trace.more:
        yield from paper.paragraph(say.count("trace.more", trace.more), 2, style="dim")
    yield from paper.paragraph(trace.conclusion, 0)


_MARKS = {"match": ("met", "met"), "error": ("error", "rejected"), "followed": ("info", "bullet")}


def _dkim_trace(traces: Sequence[SignatureTrace], paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.heading(say("trace.dkim-title"))
    for each in traces:
        name = {"good": "met", "bad": "rejected"}.get(each.state, "unknown")
        yield from paper.paragraph(_pair(each.name, each.result, say), 2, paper.ink(paper.symbol(name), name) + " ")
        for words in each.words:
            yield from paper.paragraph(words, 4)


def _row(view: ReportView, say: Phrases) -> _Row:
    verdicts = say("site_separator").join(f"{each.receiver} {each.label}" for each in view.verdicts)
    return _Row(view.domain, view.problems, verdicts)


def _summary(rows: Sequence[_Row], paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.heading(say("section.summary"))
    names = max(width_of(row.domain) for row in rows)
    for row in rows:
        yield f"{pad(row.domain, names)}  {row.problems}"
        yield from paper.paragraph(row.verdicts, 2)


def _item(item: str, say: Phrases) -> str:
    return say("punctuation.aside", text=item) if item else ""


def _pair(name: str, value: str, say: Phrases) -> str:
    """A label and what it is about, with the colon of the language."""
    return f"{name}{say('punctuation.colon')}{value}"
