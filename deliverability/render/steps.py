"""A step of the plan as lines for a terminal; the terminal report and `deliv fix` show the same."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.render.paper import Paper
from deliverability.view.diff import PieceKind
from deliverability.view.plan import PlanStepView, RecordView
from deliverability.words.sentences import Phrases

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
        yield from (f"{' ' * indent}{paper.ink(line, 'code')}" for line in lines)
    for line in step.lines:
        yield f"{' ' * indent}{paper.ink(line, 'code')}"
    for record in step.records:
        yield from record_lines(record, indent, paper, say, whole=level == FULL)
    if level <= SHORT and step.entry:
        yield from paper.step(step.entry, " " * indent)
    for chip in step.chips[: 1 if level >= BARE else None]:
        yield from paper.paragraph(chip.text, indent, style="met")
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
    stop = say("punctuation.stop")
    parts = [step.where + stop, *how, step.reason, step.condition]
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
