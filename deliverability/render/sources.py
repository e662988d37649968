"""`deliv sources` as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.model.codec import encode, json_text
from deliverability.model.facts import FactSet
from deliverability.render.answer import Json
from deliverability.render.paper import Paper
from deliverability.view.sources import SourceRow
from deliverability.words.phrases import Phrases

SCHEMA_VERSION = "1.0"


def sources_text(domain: str, rows: Sequence[SourceRow], summary: str, paper: Paper, say: Phrases) -> str:
    """The table of sources, each with its reasons and what to do, and the lines to paste."""
    lines = [paper.ink(domain, "bold"), *paper.paragraph(summary), ""]
    for row in rows:
        lines += _source(row, paper, say)
    pasted = [row for row in rows if row.paste]
    if pasted:
        lines += paper.heading(say("sources.paste"))
        lines += paper.paragraph(say("sources.paste-how"))
        for row in pasted:
            lines += ["", f"# {row.name}", *row.paste]
    return paper.text(lines)


def _source(row: SourceRow, paper: Paper, say: Phrases) -> Iterator[str]:
    head = say("sources.head", name=row.name, standing=row.label, aligned=row.aligned)
    yield from paper.hang(head, f"{paper.symbol(row.tone)} ")
    yield from paper.paragraph(say("punctuation.clauses").join(row.reasons), 4, style="dim")
    yield from paper.paragraph(say("sources.where", addresses=row.addresses, since=row.since), 4, style="dim")
    yield from paper.paragraph(row.advice.replace("`", ""), 4)


def sources_json(several: Sequence[tuple[str, FactSet, Sequence[SourceRow]]]) -> str:
    """The sources as the facts have them, with the words and the lines to paste."""
    shape: list[Json] = [
        {
            "domain": domain,
            "sources": encode(facts.value("traffic.sources")),
            "words": [
                {
                    "source": row.name,
                    "standing": row.label,
                    "reasons": list(row.reasons),
                    "advice": row.advice,
                    "paste": "\n".join(row.paste) or None,
                }
                for row in rows
            ],
        }
        for domain, facts, rows in several
    ]
    return json_text({"schema_version": SCHEMA_VERSION, "domains": shape}, indent=2) + "\n"
