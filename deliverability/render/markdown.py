"""Reports as Markdown (GFM), for issues and chat.

Values come from strangers' DNS and mail: they cannot end a cell, a block or a code span, become a link or an image, or
call somebody by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from deliverability.render.formats import WriterOptions
from deliverability.view.checks import source_line
from deliverability.view.findings import record_lines
from deliverability.view.parts import RemedyView, StepView
from deliverability.view.report import ReportView
from deliverability.view.segments import segments
from deliverability.words.sentences import Phrases, visible
from deliverability.words.speaker import Speaker

_SYMBOLS = {
    "accepted": "✅",
    "dns-ready": "✅",
    "at-risk": "⚠️",
    "depends": "⚠️",
    "rejected": "❌",
    "dns-not-ready": "❌",
    "cannot-tell": "❔",
    "dns-partly": "❔",
}
_REASONS_SHOWN = 3
_SPECIAL = re.compile(r"[\\`*_\[\]#|~$]")
# What makes a list or a heading of a line that begins with it.
_OPENING = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")
# An invisible break keeps hosts from making links of addresses and mentions of names; the text reads the same.
_BREAK = "&#8203;"
_LINKED = re.compile(r"\b(www|gh)(?=[.-])", re.IGNORECASE)


def writer(speaker: Speaker, options: WriterOptions) -> MarkdownWriter:
    """The writer of this format."""
    return MarkdownWriter(speaker)


class MarkdownWriter:
    """One report after the other, each below a heading of its own; nothing is kept."""

    def __init__(self, speaker: Speaker) -> None:
        self._say = speaker.say
        self._begun = False

    def report(self, view: ReportView) -> str:
        """The next report."""
        blocks = [block for block in _blocks(view, self._say) if block]
        lead = "\n---\n\n" if self._begun else ""
        self._begun = True
        return lead + "\n\n".join(blocks) + "\n"

    def end(self) -> str:
        """Nothing: every report stands for itself."""
        return ""


def plain(text: str) -> str:
    """`text` as running text: nothing in it is markup, a link, an image, a mention or a reference to an issue."""
    text = _SPECIAL.sub(r"\\\g<0>", visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
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


def _blocks(view: ReportView, say: Phrases) -> Iterator[str]:
    yield f"# {plain(view.domain)}"
    about = (plain(view.message) or say("label.no-message"), view.started, say("label.tool", version=view.version))
    yield " · ".join(part for part in about if part)
    yield "\n>\n".join(f"> {plain(note)}" for note in view.notes)
    yield f"## {say('section.verdict')}"
    yield "\n".join(plain(text) for text in (*view.assumed, view.lead, view.grade) if text)
    if view.verdicts:
        yield _verdicts(view, say)
    if view.records:
        yield f"## {say('section.records')}"
        found = [(code(name), "<br>".join(map(code, lines))) for name, lines in view.records]
        yield _table([say("first.name"), say("markdown.record")], found)
    yield f"## {say('section.todo')}"
    if not view.todo:
        yield plain(say("todo.none" if view.complete else "todo.none-incomplete"))
    for number, step in enumerate(view.first, 1):
        yield from _first(number, step, say)
    begun = {step.check.anchor for step in view.first}
    rest = [check for check in view.todo if check.anchor not in begun]
    if rest:
        yield _table(
            (say("markdown.severity"), say("markdown.rule"), say("markdown.found")),
            [(plain(each.severity_label), code(each.rule), plain(each.headline)) for each in rest],
        )
    if view.information:
        yield plain(say("todo.information"))
        yield "\n".join(f"- {plain(each.headline)} {code(each.rule)}" for each in view.information)
    if view.unchecked:
        yield f"## {say('section.unchecked')}"
        yield say("unchecked.lead")
        for group in view.unchecked:
            rules = say("value.separator").join(
                code(rule) for rule in dict.fromkeys(rule for _, rule, _ in group.rules)
            )
            yield f"- {plain(group.reason)} {rules}"
    if view.waiting:
        yield f"## {say('section.waiting')}"
        yield "\n".join(f"- {plain(each.words)} ({say.count('label.checks', each.checks)})" for each in view.waiting)
    if view.opinion:
        yield f"## {say('section.opinion')}"
        yield plain(view.opinion.lead)
        items = [
            "<br>".join(plain(text) for text in (each.text, each.reason, each.said) if text)
            for each in view.opinion.differences
        ]
        yield "\n".join(f"- {text}" for text in (*items, *map(plain, view.opinion.unheard)))
    if view.guide and not view.parked:
        yield f"## {say('section.guide')}"
        rows = [(plain(step.key), plain(step.title), plain(step.label)) for step in view.guide]
        yield _table([say(f"markdown.{key}") for key in ("step", "guide", "state")], rows)
    yield say.count("met.lead", view.counts["met"])


def _verdicts(view: ReportView, say: Phrases) -> str:
    rows = []
    for each in view.verdicts:
        shown, rest = each.reasons[:_REASONS_SHOWN], len(each.reasons) - _REASONS_SHOWN
        codes = dict.fromkeys(code(reply) for reason in shown for reply in reason.codes)
        reasons = [f"{plain(reason.title)} ({code(reason.rule)})" for reason in shown]
        reasons += [plain(say.count("verdict.more", rest))] if rest > 0 else []
        reasons = reasons or [plain(each.checked)]
        label = f"{_SYMBOLS.get(each.kind, '')} {plain(each.label)}".strip()
        rows.append((plain(each.receiver), label, "<br>".join(reasons), "<br>".join(codes)))
    keys = ("receiver", "verdict", "because", "codes")
    return _table([say(f"markdown.{key}") for key in keys], rows)


def _first(number: int, step: StepView, say: Phrases) -> Iterator[str]:
    check = step.check
    yield f"### {number}. {plain(check.headline)}"
    yield " · ".join((plain(check.severity_label), code(check.rule), *map(plain, check.guide)))
    if check.found:
        yield plain(check.found)
    if check.shows_instances:
        yield "\n".join(
            f"- {code(each.item)} {plain(each.message)}" if each.item else f"- {plain(each.message)}"
            for each in check.instances
        )
    yield plain(check.why)
    if step.remedy:
        yield from _remedy(step.remedy)
    yield "\n".join(_step(index, text) for index, text in enumerate(check.fix, 1))
    if check.contested:
        yield "\n".join((plain(say("label.contested")), *(f"- {plain(each)}" for each in check.readings)))
    for source in check.sources[:1]:
        link = f" <{source.url}>" if re.fullmatch(r"https?://[^\s<>\\]+", source.url) else ""
        yield f"{say('label.source')}: {plain(source_line(source, say))}{link}"


def _remedy(remedy: RemedyView) -> Iterator[str]:
    """The records as a diff, and what they change."""
    yield plain(remedy.title)
    for edit in remedy.edits:
        old = (f"- {line}" for line in record_lines(edit.name, edit.type, edit.old))
        new = (f"+ {line}" for line in record_lines(edit.name, edit.type, edit.new))
        yield block([*old, *new], "diff")
    for lines in remedy.files:
        yield block(lines)
    if remedy.care != "safe":
        yield plain(f"{remedy.care_label} · {remedy.care_words}")
    yield "\n".join(f"- {plain(effect)}" for effect in remedy.effects)


def _step(number: int, step: str) -> str:
    """A step of a list; a whole record gets a block of its own, indented so that it stays in the list."""
    lead = f"{number}. "
    indent = " " * len(lead)
    text = ""
    for is_code, piece in segments(step):
        if is_code and len(piece) > 24 and " " in piece:
            text = text.rstrip() + "\n\n" + "\n".join(indent + line for line in block([piece]).split("\n")) + "\n\n"
        elif text.endswith("\n"):
            text += indent + (code(piece) if is_code else plain(piece.strip()))
        else:
            text += code(piece) if is_code else plain(piece)
    return lead + text.strip()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar inside a code span has to be escaped here, and only here."""
    lines = [head, ["---"] * len(head), *([re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
