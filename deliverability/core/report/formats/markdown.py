"""Reports as Markdown (GFM), for issues and chat.

Values come from strangers' DNS and mail: they cannot end a cell, a block or a code span, become a link or an image, or
call somebody by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from deliverability.core.phrases import Phrases
from deliverability.core.report.answer import GroupView, TileView
from deliverability.core.report.audience import AudienceView
from deliverability.core.report.domains import DomainRow, domain_row, domains_view
from deliverability.core.report.findings import record_lines
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.parts import OpinionView, segments
from deliverability.core.report.plan import PlanStepView, PlanView
from deliverability.core.report.profiles import ProfileView
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker

_SYMBOLS = {"bad": "❌", "risk": "⚠️", "unknown": "❔", "good": "✅", "none": ""}
LINES = 60
"""Lines of a report, beside the table of the guide."""
_SPECIAL = re.compile(r"[\\`*_\[\]#|~$]")
# What makes a list or a heading of a line that begins with it.
_OPENING = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")
# An invisible break keeps hosts from making links of addresses and mentions of names; the text reads the same.
_BREAK = "&#8203;"
_LINKED = re.compile(r"\b(www|gh)(?=[.-])", re.IGNORECASE)


def writer(speaker: Speaker, options: WriterOptions) -> MarkdownWriter:
    """The writer of this format."""
    return MarkdownWriter(speaker, options)


class MarkdownWriter:
    """One report, or a table of several and each below a heading of its own."""

    def __init__(self, speaker: Speaker, options: WriterOptions) -> None:
        self._say = speaker.say
        self._many = options.subjects != 1
        self._rows: list[DomainRow] = []
        self._meta: tuple[str, ...] = ()
        self._texts: list[str] = []

    def report(self, view: ReportView) -> str:
        """The next report; of several, nothing before the table."""
        text = _report(view, self._say)
        if not self._many:
            return text
        self._rows.append(domain_row(view))
        self._meta = self._meta or view.answer.meta[1:]
        self._texts.append(text)
        return ""

    def end(self) -> str:
        """The table and the reports, where there are several."""
        if not self._rows:
            return ""
        return "\n---\n\n".join((_several(self._rows, self._meta, self._say), *self._texts))


def _several(rows: Sequence[DomainRow], meta: Sequence[str], say: Phrases) -> str:
    """The table of several reports, the worst on top."""
    view = domains_view(rows, say)
    counted = ["topic.message", "domains.refused", "domains.at-risk"] if view.with_messages else []
    heads = [say(key) for key in ("label.domain", *counted)] + [*view.columns, say("domains.first")]
    cells = []
    for row in view.rows:
        counts = [plain(row.message), row.refused, row.at_risk] if view.with_messages else []
        marks = [_SYMBOLS.get(each.tone, "") for each in row.cells]
        cells.append([f"{_SYMBOLS[row.tone]} {plain(row.domain)}", *counts, *marks, plain(row.first)])
    blocks = (f"# {plain(view.heading)}", " · ".join(map(plain, meta)), _table(heads, cells), plain(view.summary))
    return "\n\n".join(filter(None, blocks)) + "\n"


def plain(text: str) -> str:
    """`text` as running text: nothing in it is markup, a link, an image, a mention or a reference to an issue."""
    unbroken = text.replace("\u00a0", " ")  # which no host of Markdown keeps
    text = _SPECIAL.sub(r"\\\g<0>", visible(unbroken).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    opening = _OPENING.match(text)
    if opening:
        # A number is not escaped itself, but the dot or bracket behind it.
        place = opening.end(2) if opening[2].isdigit() else opening.start(2)
        text = f"{text[:place]}\\{text[place:]}"
    text = text.replace("@", f"@{_BREAK}").replace("\\#", f"\\#{_BREAK}").replace("://", f":{_BREAK}//")
    return _LINKED.sub(rf"\1{_BREAK}", text)


def code(text: str) -> str:
    """`text` as a code span."""
    text = visible(text)
    fence = "`" * (_longest_run(text) + 1)
    padded = f" {text} " if text.startswith("`") or text.endswith("`") or not text.strip() else text
    return f"{fence}{padded}{fence}"


def block(lines: Sequence[str], kind: str = "") -> str:
    """Lines as a fenced block whose fence nothing in them can close."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, _longest_run("\n".join(shown)) + 1)
    return "\n".join((fence + kind, *shown, fence))


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _report(view: ReportView, say: Phrases) -> str:
    """All of it; of the last steps only their names, where it would be longer than LINES."""
    for whole in range(len(view.plan.steps), -1, -1):
        blocks = [block for block in _blocks(view, whole, say) if block]
        text = "\n\n".join(blocks) + "\n"
        clauses = sum(len(each.clauses) + len(each.about) + 8 for each in view.profiles)
        if text.count("\n") - len(view.guide_table.rows) - clauses <= LINES:
            break
    return text


def _blocks(view: ReportView, whole: int, say: Phrases) -> Iterator[str]:
    answer = view.answer
    yield f"# {plain(answer.domain)}"
    meta = (*answer.meta, view.default_set, say("label.tool", version=view.version))
    yield " · ".join(map(plain, filter(None, meta)))
    yield "\n".join(map(plain, answer.assumed))
    yield "\n>\n".join(f"> {plain(note)}" for note in answer.remarks)
    yield f"{_SYMBOLS[answer.tone]} **{plain(answer.lead)}**".strip()
    yield _marked(answer.hint)
    if not answer.reached and not view.message:
        return
    if len(answer.groups) > 1 or answer.tone != "good":
        yield "\n".join(_group(each, say) for each in answer.groups)
    yield plain(answer.unanswered)
    if view.audience is not None:
        yield from _audience(view.audience, say)
    if answer.chain:
        yield plain(answer.chain.text)
    elif answer.tiles:
        tiles = [_tile(each) for each in answer.tiles]
        yield _table([say("markdown.topic"), say("markdown.state"), say("markdown.record")], tiles)
    if not answer.groups:
        yield from map(_marked, answer.waits)
    yield from _plan(view.plan, whole, say)
    if view.opinion:
        yield from _opinion(view.opinion, say)
    if view.guide_table.rows:
        yield f"## {plain(view.guide_table.heading)}"
        yield plain(view.guide_table.summary)
        rows = [
            (plain(row.key), plain(row.title), plain(row.state), plain(row.step_words or row.because))
            for row in view.guide_table.rows
        ]
        yield _table([say(f"markdown.{key}") for key in ("step", "guide", "state", "because")], rows)
    yield from _profiles(view.profiles, say)
    yield plain(view.summary)


def _profiles(profiles: Sequence[ProfileView], say: Phrases) -> Iterator[str]:
    """A table for each baseline."""
    for profile in profiles:
        yield f"## {plain(profile.name)}"
        yield "\n".join(f"- {plain(line)}" for line in profile.about)
        heads = [say(f"profiles.head.{key}") for key in ("clause", "asks", "state", "remarks")]
        rows = [
            (plain(each.id), plain(each.asks), f"{_SYMBOLS[each.tone]} {plain(each.state)}".strip(), plain(remarks))
            for each in profile.clauses
            for remarks in [say("punctuation.gap").join(each.remarks)]
        ]
        yield _table(heads, rows)
        yield plain(profile.counts)


def _group(group: GroupView, say: Phrases) -> str:
    """Who does what and why, in a line of a list."""
    because = "" if group.in_lead else group.clause
    codes = " · ".join(map(code, group.codes))
    codes = say.count("group.codes", len(group.codes), codes=codes) if codes else ""
    remarks = " · ".join(filter(None, (codes, *map(plain, (*group.notes, because)))))
    step = plain(say("text.to-step", step=group.step_words)) if group.step_words else ""
    return f"- {_SYMBOLS[group.tone]} {plain(group.line)}" + (f" · {remarks}" if remarks else "") + step


def _audience(audience: AudienceView, say: Phrases) -> Iterator[str]:
    """Whom the mail goes to."""
    yield f"**{plain(audience.lead)}**"
    rows = [(f"{_SYMBOLS[row.tone]} {plain(row.line)}", plain(row.share), plain(row.number)) for row in audience.rows]
    yield _table([plain(audience.heading), say("markdown.share"), say("markdown.recipients")], rows)
    yield plain(audience.note)


def _tile(tile: TileView) -> tuple[str, str, str]:
    parts = [plain(text) for text in (tile.value, tile.services, tile.problem, tile.step_words) if text]
    state = f"{_SYMBOLS[tile.tone]} {' · '.join(parts)}".strip()
    return plain(tile.name), state, " ".join(map(code, tile.records))


def _plan(plan: PlanView, whole: int, say: Phrases) -> Iterator[str]:
    yield f"## {plain(plan.heading)}"
    for step in plan.steps[:whole]:
        yield from _step(step, say)
    rest = (f"{_lead(step)}{plain(step.what)}" for step in plan.steps[whole:])
    yield "\n".join(rest)
    more = [(plan.more, plan.more_names)] if plan.more else []
    if plan.received:
        more.append((plan.received_heading, plan.received_names))
    yield "\n".join(f"- {plain(say('text.named', what=what, names=names))}" for what, names in more)


def _lead(step: PlanStepView, otherwise: str = "- ") -> str:
    """The number with its dot; `otherwise` where it has none to show."""
    return f"{step.mark}. " if step.mark else otherwise


def _step(step: PlanStepView, say: Phrases) -> Iterator[str]:
    """What, where and how; the records as a diff; what changes."""
    yield f"### {_lead(step, '')}{plain(step.what)}"
    sentences = [step.where_sentence, *step.how[:1], step.reason, step.condition, step.builds]
    yield _marked(say("punctuation.gap").join(filter(None, sentences)))
    if step.care_label:
        yield plain(f"{step.care_label}{say('punctuation.colon')}{step.care_words}")
    for lines in step.files:
        yield block(lines)
    if step.lines:
        yield block(step.lines)
    for record in step.records:
        old = (f"- {line}" for line in record_lines(record.name, record.type, record.old))
        new = (f"+ {line}" for line in record_lines(record.name, record.type, record.new))
        yield block([*old, *new], "diff")
    yield _marked(step.entry)
    yield "\n".join(f"- {plain(each.text)}" for each in step.chips)


def _marked(text: str) -> str:
    """A sentence whose records and commands are code."""
    return "".join(code(piece) if is_code else plain(piece) for is_code, piece in segments(text))


def _opinion(opinion: OpinionView, say: Phrases) -> Iterator[str]:
    yield f"## {say('section.opinion')}"
    yield plain(opinion.lead)
    gap = say("punctuation.gap")
    items = [gap.join(map(plain, filter(None, (each.text, each.reason, each.words)))) for each in opinion.differences]
    yield "\n".join(f"- {text}" for text in (*items, *map(plain, opinion.unheard)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar inside a code span has to be escaped here, and only here."""
    lines = [head, ["---"] * len(head), *([re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
