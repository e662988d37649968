"""`deliv fix`: the remedies of reports in words, as plain text or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deliverability.model.codec import encode, json_text
from deliverability.model.report import RecordEdit
from deliverability.render.json import gain_json
from deliverability.render.paper import Paper
from deliverability.view.diff import PieceKind
from deliverability.view.fixes import FixView
from deliverability.view.parts import EditView, RemedyView
from deliverability.view.records import rdata, with_value
from deliverability.words.sentences import Phrases, visible

SCHEMA_VERSION = "1.0"


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


def fix_json(several: Sequence[FixView]) -> str:
    """All remedies in one list, each with its domain, and the findings that no record mends."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "remedies": [
            {"domain": visible(fixes.view.report.domain), "message": visible(fixes.view.report.message) or None}
            | _as_json(view)
            for fixes in several
            for view in fixes.remedies
        ],
        "by_hand": [
            {
                "domain": visible(fixes.view.report.domain),
                "message": visible(fixes.view.report.message) or None,
                "rule": check.rule,
                "title": check.headline,
            }
            for fixes in several
            for check in fixes.by_hand
        ],
    }
    return json_text(document, indent=2) + "\n"


def _as_json(view: RemedyView) -> dict[str, Any]:
    """`name`, `type` and `value` are the record that mends the finding, for most remedies the only one.

    `records` are all, in the order in which to publish them: what a sender that moves needs first, what it leaves last.
    """
    remedy = view.remedy
    main = next((edit for edit in reversed(remedy.edits) if edit.old), remedy.edits[0])
    return {
        "rule": remedy.rule,
        "item": visible(remedy.item) or None,
        "code": remedy.code,
        "title": view.title,
        "name": main.name,
        "type": main.type,
        "value": with_value(main.type, main.new[0]),
        "old": main.old[0] if main.old else None,
        "effect": "; ".join(view.effects) or "; ".join(words for _, words in view.mends),
        "care": remedy.care.value,
        "note": view.care_words,
        "files": ["\n".join(lines) + "\n" for lines in view.files],
        "records": [
            {"name": edit.name, "type": edit.type, "value": with_value(edit.type, value)}
            for edit in remedy.edits
            for value in edit.new
        ],
        "replaces": [
            {"name": edit.name, "type": edit.type, "value": value} for edit in remedy.edits for value in edit.old
        ],
        "mends": list(remedy.mends),
        "opens": list(remedy.opens),
        "changes": [
            {"fact": each.path, "before": encode(each.before), "after": encode(each.after)} for each in remedy.changes
        ],
        "gains": [gain_json(each) for each in remedy.gains],
    }
