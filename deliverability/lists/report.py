"""A checked list as text for a terminal and as JSON for programs: sums only, never an address."""

from __future__ import annotations

from deliverability.core.codec import json_text, printable
from deliverability.core.model.observed import LIST_SCHEMA, ListSums, Segment
from deliverability.core.phrases import Phrases
from deliverability.core.report.paper import Paper
from deliverability.core.words.sentences import visible


def list_text(sums: ListSums, paper: Paper, say: Phrases) -> str:
    """For a terminal."""
    lines = paper.paragraph(say("list-check.title", name=visible(sums.name), entries=f"{sums.lines:,}"))
    width = max(len(f"{n:,}") for n in sums.segments.values())
    for segment in Segment:
        if segment is Segment.GOOD or sums.segments[segment]:
            number = f"{sums.segments[segment]:,}".rjust(width)
            lines += paper.paragraph(say(f"list-check.segment.{segment.value}"), width + 4, f"  {number}  ")
    for text in _remarks(sums, say):
        lines += ["", *paper.paragraph(text)]
    return paper.text(lines)


def _remarks(sums: ListSums, say: Phrases) -> list[str]:
    remarks: list[str] = []
    if sums.not_checked:
        remarks.append(say.count("list-check.not-checked", sums.not_checked))
    if not sums.columns["confirmed"]:
        remarks.append(say("list-check.no-confirmed"))
    if sums.inactive_days is None:
        remarks.append(say("list-check.no-inactive"))
    elif not sums.columns["active"]:
        remarks.append(say("list-check.no-active"))
    elif sums.without_date:
        remarks.append(say.count("list-check.without-date", sums.without_date))
    if not sums.suppressed_given:
        remarks.append(say("list-check.no-suppressed"))
    return remarks


def list_json(sums: ListSums) -> str:
    """For programs, and for `list_check` in the settings."""
    return (
        json_text(
            {
                "schema_version": LIST_SCHEMA,
                "list": printable(sums.name),
                "checked": sums.checked,
                "entries": sums.lines,
                "segments": {segment.value: sums.segments[segment] for segment in Segment},
                "domains": sums.domains,
                "domains_not_checked": sums.domains_not_checked,
                "not_checked": sums.not_checked,
                "columns": {name: [printable(each) for each in heads] for name, heads in sums.columns.items()},
                "inactive_days": sums.inactive_days,
                "without_date": sums.without_date,
                "suppressed_given": sums.suppressed_given,
            },
            indent=2,
        )
        + "\n"
    )
