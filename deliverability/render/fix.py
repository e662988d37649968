"""`deliv fix`: the remedies of reports in words as plain text, their plans as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deliverability.model.answer import PlanStep
from deliverability.model.codec import json_text
from deliverability.model.report import Care, RecordEdit
from deliverability.render.answer import Json, step_json
from deliverability.render.paper import Paper
from deliverability.view.diff import PieceKind
from deliverability.view.fixes import FixView, up_to
from deliverability.view.parts import EditView, RemedyView
from deliverability.view.records import rdata, with_value
from deliverability.words.sentences import Phrases, visible
from deliverability.words.steps import step_words

SCHEMA_VERSION = "2.0"


def fix_text(fixes: FixView, paper: Paper) -> str:
    """What to publish, one remedy after the other, then what no record mends."""
    say = fixes.view.speaker.say
    lines = [fixes.view.domain, ""]
    if not fixes.remedies:
        empty = "fix.none" if fixes.by_hand else "fix.nothing" if fixes.view.complete else "fix.nothing-incomplete"
        lines += paper.paragraph(say(empty))
    for number, view in enumerate(fixes.remedies, 1):
        lines += [*_remedy(number, view, say, paper), ""]
    if fixes.by_hand:
        lines += ["", *paper.paragraph(say("fix.by-hand"))]
        for check in fixes.by_hand:
            lines += paper.hang(f"{check.headline} [{check.rule}]", "  - ")
        lines += paper.paragraph(say("fix.by-hand-rule", command=f"deliv rules {fixes.by_hand[0].rule}"))
        if fixes.wants_key:
            lines += paper.paragraph(say("fix.new-key", command=f"deliv dkim-keygen {fixes.view.domain}"))
    return paper.text(lines)


def _remedy(number: int, view: RemedyView, say: Phrases, paper: Paper) -> Iterator[str]:
    yield from paper.hang(f"{view.title} [{view.rule}]", f"{number}.".ljust(4))
    indent = "    "
    for headline in (words for _, words in view.mends):
        yield from paper.hang(say("fix.mends", finding=headline), indent)
    for lines in view.files:
        yield ""
        yield from (f"{indent}    {line}" for line in lines)
    for edit, shown in zip(view.remedy.edits, view.edits, strict=True):
        yield ""
        yield f"{indent}{shown.name} {shown.type}"
        yield from (f"{indent}- {value}" for value in shown.old)
        yield from (f"{indent}+ {value}" for value in shown.new)
        yield from _changed(shown, say, indent, paper)
        yield from _long(edit, say, indent, paper)
    yield ""
    for effect in view.effects:
        yield from paper.hang(effect, f"{indent}> ")
    yield from paper.hang(say("effect-of.named", name=view.care_label, change=view.care_words), indent)


def _changed(edit: EditView, say: Phrases, indent: str, paper: Paper) -> Iterator[str]:
    """The words that go and come, so that nobody has to compare two long lines."""
    for kind, key in ((PieceKind.REMOVED, "first.removed"), (PieceKind.ADDED, "first.added")):
        pieces = [piece.text.strip("; ") for piece in edit.changes if piece.kind is kind]
        kept = any(piece.kind is PieceKind.KEPT for piece in edit.changes)
        if kept and any(pieces):
            words = say("effect-of.named", name=say(key), change=" ".join(piece for piece in pieces if piece))
            yield from paper.hang(words, f"{indent}  ")


def _long(edit: RecordEdit, say: Phrases, indent: str, paper: Paper) -> Iterator[str]:
    """A value that one character-string does not hold, as it is written in a zone file."""
    for value in edit.new:
        written = rdata(edit.type, value)
        if edit.type == "TXT" and '" "' in written:
            yield from paper.hang(say("fix.strings"), indent)
            yield f"{indent}  {visible(written)}"


def fix_json(several: Sequence[FixView], care: Care) -> str:
    """The plan of each report with its words, and one final record for each name that its steps edit."""
    document: dict[str, Json] = {"schema_version": SCHEMA_VERSION, "plan": [], "records": []}
    plan: list[Json] = []
    records: list[Json] = []
    for fixes in several:
        report, speaker = fixes.view.report, fixes.view.speaker
        chosen = up_to(report.answer.plan, care)
        subject: dict[str, Json] = {
            "domain": visible(report.domain),
            "message": visible(report.message) or None,
        }
        for step in chosen:
            words = step_words(step, report, speaker)
            said: dict[str, Json] = {
                "what": words.what,
                "where": words.where,
                "how": list(words.how),
                "fields": list(words.fields),
                "files": ["\n".join(lines) + "\n" for lines in words.files],
                "hand_over": list(words.hand_over),
            }
            plan.append(subject | step_json(step) | said)
        records += (subject | each for each in _final_records(chosen))
    document |= {"plan": plan, "records": records}
    return json_text(document, indent=2) + "\n"


def _final_records(plan: Iterable[PlanStep]) -> Iterator[dict[str, Json]]:
    """What stands at each name once all steps are done, and what stands there now."""
    edits: dict[tuple[str, str], list[tuple[int, RecordEdit]]] = {}
    for step in plan:
        for edit in step.edits:
            edits.setdefault((edit.name, edit.type), []).append((step.number, edit))
    for (name, rdtype), steps in edits.items():
        yield {
            "name": name,
            "type": rdtype,
            "values": [with_value(rdtype, value) for value in steps[-1][1].new],
            "replaces": list(steps[0][1].old),
            "steps": [number for number, _ in steps],
        }
