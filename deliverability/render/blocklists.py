"""`deliv blocklists` as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.model.codec import json_text
from deliverability.render.answer import Json
from deliverability.render.paper import Paper
from deliverability.view.blocklists import ListView
from deliverability.words.phrases import Phrases

SCHEMA_VERSION = "1.0"


def lists_text(lists: Sequence[ListView], paper: Paper, say: Phrases, *, whole: bool) -> str:
    """The lists, a paragraph each; `whole`: with all that is known of them."""
    lines: list[str] = []
    for each in lists:
        lines += paper.hang(say("blocklists.head", id=each.id, name=each.name), f"{paper.symbol(each.tone)} ")
        lines += paper.paragraph(each.about, 4, style="dim")
        lines += paper.paragraph(each.answer, 4) if each.answer else []
        lines += [*_rest(each, paper, say), ""] if whole else []
    return paper.text(lines)


def _rest(each: ListView, paper: Paper, say: Phrases) -> Iterator[str]:
    for label, value in each.facts:
        yield from paper.paragraph(f"{label}{say('punctuation.colon')}{value}", 4)
    parts = {
        "codes": [f"{answer}{say('punctuation.colon')}{text}" for answer, text in each.codes],
        "remove": [f"{number}. {step}" for number, step in enumerate(each.remove, 1)],
        "sources": list(each.sources),
    }
    for name, rows in parts.items():
        if rows:
            yield ""
            yield from paper.paragraph(say(f"blocklists.label.{name}"), 4, style="bold")
            for row in rows:
                yield from paper.paragraph(row, 6)


def lists_json(lists: Sequence[ListView], health: Sequence[tuple[str, Json] | None]) -> str:
    """The same for programs; `health`: of each list how it answers and why, where it was asked."""
    shape: list[Json] = [
        {
            "id": each.id,
            "name": each.name,
            "about": each.about,
            "facts": dict(each.facts),
            "codes": dict(each.codes),
            "remove": list(each.remove),
            "sources": list(each.sources),
            "health": found[0] if found else None,
            "reason": found[1] if found else None,
        }
        for each, found in zip(lists, health, strict=True)
    ]
    return json_text({"schema_version": SCHEMA_VERSION, "lists": shape}, indent=2) + "\n"
