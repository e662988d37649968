"""Reports for the terminal: the answer, the plan, the evidence, and the summary of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.core.phrases import Phrases, joined
from deliverability.core.report.answer import AnswerView, ChainView, GroupView, LinkView, TileView
from deliverability.core.report.audience import AudienceView
from deliverability.core.report.checks import CheckView
from deliverability.core.report.domains import DomainRow, DomainsView, domain_row, domains_view
from deliverability.core.report.evidence import GuideRow, ReceiverListView, TopicView
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.paper import Paper
from deliverability.core.report.parts import OpinionView, segments
from deliverability.core.report.plan import PlanStepView, PlanView, RecordView
from deliverability.core.report.profiles import ProfileView
from deliverability.core.report.records import PieceKind
from deliverability.core.report.report import ReportView
from deliverability.core.report.savings import SavingsView
from deliverability.core.report.trace import SignatureTrace, SpfTrace
from deliverability.core.report.wrap import pad, width_of
from deliverability.core.words.speaker import Speaker

FULL, SHORTER, SHORT, BARE, NAMED = range(5)
"""How much of a step is shown: all; the first sentence of how it is done; none of that;
records and the first gain; its name."""


def step_lines(step: PlanStepView, level: int, paper: Paper, say: Phrases) -> Iterator[str]:
    """One step, its number in front."""
    lead = (step.mark or paper.symbol("bullet")).ljust(3)
    if len(lead) < 3 or not lead.endswith(" "):
        lead += " "
    indent = len(lead)
    yield from paper.paragraph(step.what, indent, lead, style="bold")
    if level >= NAMED:
        return
    yield from _explained(step, level, indent, paper, say)
    for lines in step.files if level <= SHORT else ():
        yield " " * indent + say("hand-over.file")
        yield from (f"{' ' * (indent + 2)}{paper.ink(line, 'code')}" for line in lines)
    for line in step.lines:
        yield f"{' ' * indent}{paper.ink(line, 'code')}"
    for record in step.records:
        yield from record_lines(record, indent, paper, say, whole=level == FULL)
    if level <= SHORT and step.entry:
        yield from paper.step(step.entry, " " * indent)
    brief = level >= BARE and len(step.chips) > _CHIPS
    for chip in step.chips[: 1 if brief else None]:
        left = sum(len(each.receivers) for each in step.chips[1:]) if brief else 0
        yield from paper.paragraph(chip.text + (say.count("chip.more", left) if left else ""), indent, style="met")
    if level <= SHORTER and step.changes:
        yield from paper.paragraph(step.changes, indent, style="dim")
    if level <= SHORT and step.settles_count:
        yield from paper.paragraph(step.settles_count, indent, style="dim")
    if step.care_label:
        yield from paper.paragraph(
            f"{step.care_label}{say('punctuation.colon')}{step.care_words}", indent, style="warning"
        )


def _explained(step: PlanStepView, level: int, indent: int, paper: Paper, say: Phrases) -> Iterator[str]:
    """Where it is done and how; a record within it has a line of its own."""
    how = step.how if level == FULL else step.how[:1] if level == SHORTER else ()
    parts = [step.where_sentence, *how, step.reason, step.condition, step.builds]
    yield from paper.step(say("punctuation.gap").join(filter(None, parts)), " " * indent)
    if step.hand_over_hint and not step.records and level <= SHORT:
        yield from paper.paragraph(step.hand_over_hint, indent)


def record_lines(record: RecordView, indent: int, paper: Paper, say: Phrases, *, whole: bool = True) -> Iterator[str]:
    """A record set: old and new values whole, each on a line of its own, and the words that go and come."""
    space = " " * indent
    yield f"{space}{record.name} {record.type}"
    yield from (f"{space}{paper.ink(f'- {value}', 'rejected')}" for value in record.old)
    yield from (f"{space}{paper.ink(f'+ {value}', 'met')}" for value in record.new)
    for kind, key in ((PieceKind.REMOVED, "first.removed"), (PieceKind.ADDED, "first.added")):
        pieces = [piece.text.strip("; ") for piece in record.pieces if piece.kind is kind]
        if whole and any(pieces) and any(piece.kind is PieceKind.SAME for piece in record.pieces):
            words = say("effect-of.named", name=say(key), change=" ".join(filter(None, pieces)))
            yield from paper.paragraph(words, indent + 2, style="dim")
    for strings in record.strings if whole else ():
        yield from paper.paragraph(say("fix.strings"), indent)
        yield f"{space}  {strings}"


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
        yield from paper.hang(f"{names}{say('punctuation.colon')}{each.reason}", lead)
    for check in topic.met:
        lead = f"{paper.ink(paper.symbol('met'), 'met')} "
        yield from paper.hang(f"{_met(check, say)} [{check.rule}]", lead)
    if topic.idle:
        yield from paper.paragraph(topic.idle, 2, style="dim")


def _met(check: CheckView, say: Phrases) -> str:
    """What is met; in brackets before the full stop, what that is about or, where it is several, what was checked."""
    alone = len(check.instances) == 1
    words = check.instances[0].message if alone else check.title
    items = [each.item for each in check.instances if each.item] if check.shows_instances else []
    if not items:
        return words
    stop = say("punctuation.stop")
    aside = say("punctuation.aside", text=items[0]) if alone else say("text.checked", items=joined(items, say))
    return f"{words.removesuffix(stop)}{aside}{stop if words.endswith(stop) else ''}"


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
        yield from paper.paragraph(check.contested_label, 4, style="warning")
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
        words = say("trace.separator").join(filter(None, (line.words, line.cost)))
        text = f"{line.term}{say('punctuation.colon')}{words}"
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


LINES = 38
"""Lines of a report, each counted once however it wraps, so that every language and width shows the same steps."""
_UNBROKEN = Paper(10_000)
_GAP = 2
_CODES = 3
_CHIPS = 2
_NOTE = 18  # columns that the last column of the table needs


def writer(speaker: Speaker, options: WriterOptions) -> TextWriter:
    """The writer of this format."""
    return TextWriter(speaker, options)


class TextWriter:
    """One report, or a table of several; with `options.whole` the evidence too, and each of several in full.

    `options.width` is the terminal's (lines stay within 40 to 100 columns, unbreakable records excepted). Escape
    sequences appear only with `color`. Without `unicode` the symbols are ASCII; the words stay in their language.
    """

    def __init__(self, speaker: Speaker, options: WriterOptions) -> None:
        self._say = speaker.say
        self._options = options
        self._paper = Paper.of_terminal(options.width, color=options.color, unicode=options.unicode)
        self._rows: list[DomainRow] = []
        self._meta: tuple[str, ...] = ()
        self._whole: list[str] = []

    def report(self, view: ReportView) -> str:
        """The next report; of several, nothing before the table."""
        text = self._paper.text(_report(view, self._options, self._paper)) if self._one or self._options.whole else ""
        if self._one:
            return text
        self._rows.append(domain_row(view))
        self._meta = self._meta or view.answer.meta[1:]  # without the name of a message
        self._whole += [text] if text else []
        return ""

    def end(self) -> str:
        """The table, where there are several reports, and what stands below it."""
        if self._one or not self._rows:
            return ""
        table = self._paper.text(_many(domains_view(self._rows, self._say), self._meta, self._paper, self._say))
        return "\n".join((table, *self._whole))

    @property
    def _one(self) -> bool:
        return self._options.subjects == 1


def _report(view: ReportView, options: WriterOptions, paper: Paper) -> Iterator[str]:
    say, answer = view.speaker.say, view.answer

    def head(paper: Paper) -> Iterator[str]:
        yield from _head(answer, paper)
        yield from _answer(answer, paper, say)
        yield from _audience(view.audience, paper, say)

    yield from head(paper)
    if not answer.reached and not view.message:
        yield from _profiles(view.profiles, paper, say)
        return
    used = 0 if options.whole else len([*head(_UNBROKEN), *_tail(view, options, _UNBROKEN)])
    yield from _plan(view.plan, LINES - used, options, paper, say)
    yield from _tail(view, options, paper)


# --- the answer ---


def _head(answer: AnswerView, paper: Paper) -> Iterator[str]:
    meta = [part for part in (paper.ink(answer.domain, "bold"), *answer.meta) if part]
    yield from paper.hang(_dots(meta), "")
    for assumed in answer.assumed:
        yield from paper.paragraph(assumed, 0, style="dim")
    for remark in answer.remarks:
        yield from paper.paragraph(remark, 2, paper.ink("!", "warning") + " ")


def _dots(parts: Sequence[str]) -> str:
    return " · ".join(parts)


def _answer(answer: AnswerView, paper: Paper, say: Phrases) -> Iterator[str]:
    if len(answer.groups) > 1 or (answer.groups and answer.tone != "good"):
        yield ""
        yield from _groups(answer.groups, paper, say)
    else:
        mark = paper.ink(paper.symbol(answer.tone), answer.tone)
        yield from paper.paragraph(answer.lead, 2, f"{mark} ", style="bold")
    if answer.hint:
        yield from paper.step(answer.hint, "  ")
    if answer.unanswered:
        yield from paper.paragraph(answer.unanswered, 2, paper.ink("?", "unknown") + " ")
    if answer.chain:
        yield ""
        yield from _chain(answer.chain, paper, say)
    if not answer.groups:
        yield from _tiles(answer.tiles, paper)
        for waits in answer.waits if answer.reached else ():
            yield from paper.step(waits, "")


def _groups(groups: Sequence[GroupView], paper: Paper, say: Phrases) -> Iterator[str]:
    """Who does what, worst first; what several have as their cause is told once, below the last of them.

    Where another cause came between, a group further down repeats its own.
    """
    lines = [f"{paper.symbol(each.tone)} {each.line}" for each in groups]
    rights = [_right(each, paper.width - _GAP - width_of(line), say) for each, line in zip(groups, lines, strict=True)]
    # As far right as the longest line asks for, and the longest of what stands there allows.
    rooms = [paper.width - _GAP - width_of(right) for right in rights if right]
    column = min((*rooms, max(map(width_of, lines))), default=0)
    cause, step, last_cause = "", "", ""
    for place, each in enumerate(groups):
        line, right = lines[place], rights[place]
        style = each.tone
        if right and width_of(line) + _GAP + width_of(right) <= paper.width:
            yield paper.ink(pad(line, column), style) + " " * _GAP + right
        else:
            yield from paper.paragraph(each.line, 2, paper.ink(paper.symbol(each.tone), style) + " ", style=style)
            yield from paper.paragraph(right, 4) if right else ()
        cause, step = each.clause or cause, each.step_words or step
        follows = place + 1 < len(groups) and groups[place + 1].same_cause
        if cause and not follows:
            words = say("group.same-cause") if cause == last_cause else cause
            last_cause = cause
            yield from paper.paragraph(words + (say("text.to-step", step=step) if step else ""), 2)
        if not follows:
            cause, step = "", ""


def _right(group: GroupView, width: int, say: Phrases) -> str:
    """Replies, as many as a line holds; where there are none the notes, or the last of them where that alone fits."""
    shown = group.codes[:_CODES]
    if len(group.codes) > len(shown):
        return say.count(
            "group.codes",
            len(group.codes),
            codes=_dots((*shown, say("group.more-codes", n=f"{len(group.codes) - len(shown):,}"))),
        )
    codes = say.count("group.codes", len(shown), codes=_dots(shown)) if shown else ""
    notes = () if group.same_cause else group.notes
    whole = codes or _dots(notes)
    return notes[-1] if not shown and notes and width_of(whole) > width >= width_of(notes[-1]) else whole


def _result(link: LinkView, say: Phrases) -> str:
    """The result of SPF or of a signature; a pass that does not count says why."""
    unaligned = link.result == "pass" and link.tone == "bad"
    return say("chain.unaligned", result=link.result) if unaligned else link.result


def _chain(chain: ChainView, paper: Paper, say: Phrases) -> Iterator[str]:
    """Whose name people see, and who vouches for it."""
    head = f"  {say('text.from')} {chain.author} "
    line = paper.symbol("rule")
    names = max((width_of(each.name) for each in chain.links), default=0)
    links = [
        f"{line}{paper.ink(paper.symbol(each.tone), each.tone)}{line} "
        + (f"{pad(each.name, names)}  {each.domain}" if each.domain else each.label)
        + (say("punctuation.aside", text=_result(each, say)) if each.result else "")
        for each in chain.links
    ]
    end = f"{paper.symbol('so')} {paper.ink(chain.conclusion, chain.tone)}"
    if width_of(head) + max(map(width_of, links), default=0) > paper.width:
        yield head.rstrip()
        head = "    "
    for number, link in enumerate(links):
        last = number + 1 == len(links)
        start = head if number == 0 else " " * width_of(head)
        if last and width_of(f"{start}{link}   {end}") <= paper.width:
            yield f"{start}{link}   {end}"
            return
        yield from paper.hang(link, start)
    yield " " * width_of(head) + end


def _tiles(tiles: Sequence[TileView], paper: Paper) -> Iterator[str]:
    """The records, each with its mark; a record that does not fit its line stands whole on the next."""
    names = max((width_of(each.name) for each in tiles), default=0)
    small: list[str] = []
    for each in tiles:
        mark = paper.ink(paper.symbol(each.tone), each.tone)
        if each.tone == "none" and not each.records and not each.problem:
            small.append(f"{each.name} {paper.symbol('none')}")
            continue
        lead = f"{pad(each.name, names)} {mark} "
        words = "  ".join(filter(None, (each.value, each.services)))
        problem = each.problem and each.problem + (
            f" {paper.symbol('to')} {each.step_words}" if each.step_words else ""
        )
        one_line = len(each.records) == 1 and width_of(f"{lead}{words}  {each.records[0]}") <= paper.width
        if one_line:
            yield f"{lead}{'  '.join(filter(None, (words, paper.ink(each.records[0], 'code'))))}"
        else:
            yield from paper.hang(words, lead) if words or each.records or not problem else ()
            yield from (f"{' ' * width_of(lead)}{paper.ink(record, 'code')}" for record in each.records)
        if problem:
            # Where there is nothing else to show, what is wrong stands beside the mark.
            first = "" if one_line or words or each.records else lead
            yield from paper.paragraph(problem, width_of(lead), first, style=each.tone)
    if small:
        yield from paper.paragraph("   ".join(small), 0, style="dim")


def _audience(audience: AudienceView | None, paper: Paper, say: Phrases) -> Iterator[str]:
    """Whom the mail goes to: the sentence, and a line for each part."""
    if audience is None:
        return
    yield ""
    yield from paper.paragraph(audience.lead, 0, style="bold")
    shares = max(width_of(row.share) for row in audience.rows)
    for row in audience.rows:
        mark = paper.ink(paper.symbol(row.tone), row.tone)
        share = " " * (shares - width_of(row.share)) + row.share
        yield from paper.hang(row.line + say("punctuation.aside", text=row.number), f"{mark} {share}  ")
    if audience.note:
        yield from paper.paragraph(audience.note, 2, style="dim")


# --- the plan ---


def _plan(plan: PlanView, lines: int, options: WriterOptions, paper: Paper, say: Phrases) -> Iterator[str]:
    """The steps; so much of each, the last ones shortened first, that all of it fits."""
    if not plan.steps:
        yield ""
        yield paper.ink(plan.heading, "bold")
        return
    shown = [FULL] * len(plan.steps)

    def made(paper: Paper) -> list[str]:
        every = [step_lines(step, level, paper, say) for step, level in zip(plan.steps, shown, strict=True)]
        return ["", _heading(plan.heading, paper), *(line for step in every for line in step)]

    for level in range(FULL + 1, NAMED + 1):
        for place in reversed(range(len(shown))):
            if options.whole or len(made(_UNBROKEN)) <= lines:
                break
            shown[place] = min(level, BARE) if place == 0 else level
    yield from made(paper)


def _heading(text: str, paper: Paper) -> str:
    return paper.heading(text)[1]


# --- what follows ---


def _tail(view: ReportView, options: WriterOptions, paper: Paper) -> Iterator[str]:
    say, plan = view.speaker.say, view.plan
    short = []
    if plan.more:
        short.append(say("text.named", what=plan.more, names=plan.more_names))
    if plan.received:
        short.append(say("text.named", what=plan.received_heading, names=plan.received_names))
    if options.whole:
        for heading, steps in ((plan.more, plan.folded), (plan.received_heading, plan.received)):
            yield from _more_steps(heading, steps, paper, say)

        yield from evidence_lines(view, paper, trace=options.trace)
        if view.default_set:
            yield ""
            yield from paper.paragraph(view.default_set, 0, style="dim")
    else:
        yield ""
        for text in short:
            yield from paper.paragraph(text, 0)
        if view.guide_table.rows:
            yield from paper.paragraph(say("text.guide", summary=view.guide_table.summary), 0)
        yield from paper.paragraph(_dots(list(filter(None, (say("text.more"), view.default_set)))), 0, style="dim")
        if options.trace or view.opinion:
            yield from asked_lines(view, paper, trace=options.trace)
    yield from _profiles(view.profiles, paper, say)
    yield ""
    yield from paper.paragraph(view.summary, 0, style="bold")


def _profiles(profiles: Sequence[ProfileView], paper: Paper, say: Phrases) -> Iterator[str]:
    """Each baseline: what it is, then a line for each clause with what was found, or what would tell."""
    for profile in profiles:
        yield from paper.heading(profile.name)
        for line in profile.about:
            yield from paper.paragraph(line, 0, style="dim")
        yield ""
        names = max(width_of(each.id) for each in profile.clauses)
        for each in profile.clauses:
            lead = f"{paper.ink(paper.symbol(each.tone), each.tone)} {pad(each.id, names)}  "
            yield from paper.hang(say("profiles.line", state=each.state, asks=each.asks), lead)
            for remark in each.remarks:
                yield from paper.paragraph(remark, width_of(lead), style="dim")
        yield ""
        yield from paper.paragraph(profile.counts, 0)


def _more_steps(heading: str, steps: Sequence[PlanStepView], paper: Paper, say: Phrases) -> Iterator[str]:
    if steps:
        yield ""
        yield _heading(heading, paper)
        for step in steps:
            yield from step_lines(step, FULL, paper, say)


# --- several ---


def _many(view: DomainsView, meta: Sequence[str], paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.hang(_dots((paper.ink(view.heading, "bold"), *meta)), "")
    yield ""
    heads = [say("domains.refused"), say("domains.at-risk")] if view.with_messages else []
    heads += view.columns
    names = [f"{row.domain} {row.message}" if row.message else row.domain for row in view.rows]
    longest = max(map(width_of, names))
    widths = [width_of(head) for head in heads]
    cells = sum(width + _GAP for width in widths)
    fits = longest + 2 + cells + _GAP <= paper.width
    first = longest + 2 if fits else 2
    notes = first + cells + _GAP + _NOTE <= paper.width
    line = pad("", first) + "".join(f"{'':{_GAP}}{head}" for head in heads)
    yield line + (f"{'':{_GAP}}{say('domains.first')}" if notes else "")
    for name, row in zip(names, view.rows, strict=True):
        mark = paper.ink(paper.symbol(row.tone), row.tone)
        values = [row.refused, row.at_risk] if view.with_messages else []
        values += [paper.ink(paper.symbol(each.tone), each.tone) if each.tone else "" for each in row.cells]
        columns = "".join(" " * _GAP + _centred(value, width) for value, width in zip(values, widths, strict=True))
        if not fits:
            yield f"{mark} {name}"
        start = f"{mark} {pad(name, longest)}{columns}" if fits else f"  {columns}"
        if row.first and notes:
            yield from paper.hang(row.first, start + " " * _GAP)
        else:
            yield start
            yield from paper.paragraph(row.first, 4) if row.first else ()
    yield ""
    yield from paper.step(say("domains.one-in-full"), "")
    yield from paper.paragraph(view.summary, 0, style="bold")


def _centred(text: str, width: int) -> str:
    left = (width - width_of(text)) // 2
    return pad(" " * left + text, width)
