"""`deliv sources`: who sends as you, as text, page, table or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from deliverability.console.command import Command
from deliverability.console.inputs import observed_inputs
from deliverability.console.judging import run_reports, speaker_of
from deliverability.console.language import columns
from deliverability.console.options import (
    input_options,
    lang_option,
    rule_folders_option,
    text_or_json_option,
)
from deliverability.console.output import UNKNOWN_ENDING, put, show
from deliverability.console.types import NumberType, PathOf
from deliverability.core.codec import encode, json_text
from deliverability.core.errors import InputError
from deliverability.core.facts.base import FactSet
from deliverability.core.facts.traffic import Traffic
from deliverability.core.model.report import Report
from deliverability.core.phrases import Phrases
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.formats.html import sources_page
from deliverability.core.report.formats.json import Json
from deliverability.core.report.paper import Paper
from deliverability.core.report.sources import GroupView, SourcesView, SourceView, sources_view
from deliverability.core.report.wrap import pad, width_of
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Audited, Extras

SCHEMA_VERSION = "1.0"
MAX_LINES = 40
REASONS = 3
ENDINGS = (".html", ".csv", ".json")


def sources_text(view: SourcesView, paper: Paper, *, whole: bool = False) -> str:
    """What needs an answer first, then what is the domain's, then all that is foreign in a line: at most 40 lines.

    `whole`: each source in full.
    """
    say = view.say
    lines = [paper.ink(view.domain, "bold"), *paper.paragraph(view.summary)]
    if view.period:
        lines += paper.paragraph(view.period, style="dim")
    if not view.known:
        return paper.text(lines)
    if whole:
        for group in view.groups:
            lines += _heading(group, paper, say)
            for source in group.sources:
                lines += _source(source, paper, say)
        pasted = [each for each in view.sources if each.asks]
        lines += _paste(pasted, paper, say)
        return paper.text(lines)
    groups = {each.key: each for each in view.groups}
    settled = [*_yours(groups.get("yours"), paper, say), *_foreign(groups.get("foreign"), say)]
    how = ["", *paper.paragraph(say("sources.more-how", domain=view.domain), style="dim")]
    asking = groups.get("answer")
    paste = _paste_some(asking, 0, paper, say)
    tail = len(settled) + len(paste) + len(how)
    for group in (groups[key] for key in ("answer", "fix") if key in groups):
        lines += _heading(group, paper, say)
        lines += _as_many(group, MAX_LINES - len(lines) - tail - _reserve(group, groups), paper, say)
    lines += settled
    return paper.text([*lines, *_paste_some(asking, MAX_LINES - len(lines) - len(how), paper, say), *how])


def _reserve(group: GroupView, groups: Any) -> int:
    """Lines that the group behind it needs at least: its heading, a source and how many there are more."""
    return 9 if group.key == "answer" and "fix" in groups else 0


def _heading(group: GroupView, paper: Paper, say: Phrases) -> list[str]:
    return ["", *paper.paragraph(f"{group.heading}{say('punctuation.colon')}{group.count}", style="bold")]


def _as_many(group: GroupView, room: int, paper: Paper, say: Phrases) -> Iterator[str]:
    """As many sources as there is room for, in full, else in a line, with where they send from if all of them then fit;
    and how many there are more.
    """
    left = len(group.sources) + group.hidden
    whole = True
    for source in group.sources:
        lines = list(_source(source, paper, say))
        whole = whole and len(lines) + (left > 1) <= room
        if not whole:
            lines = paper.hang(_head(source, say), f"{paper.symbol(source.tone)} ")
            where = paper.paragraph(_where(source, say), 4, style="dim")
            lines += where if left * (len(lines) + len(where)) <= room else []
        if len(lines) + (left > 1) > room:
            break
        yield from lines
        room -= len(lines)
        left -= 1
    if left:
        yield f"  {say.count('sources.left', left)}"


def _yours(group: GroupView | None, paper: Paper, say: Phrases) -> Iterator[str]:
    """The domain's own sources, a line each."""
    if group is None:
        return
    yield from _heading(group, paper, say)
    shown = group.sources[:5] if len(group.sources) > 6 else group.sources
    for each in shown:
        text = f"{each.name}{say('punctuation.colon')}{each.passing}"
        yield from paper.hang(text, f"{paper.symbol(each.tone)} ")
    if left := len(group.sources) + group.hidden - len(shown):
        yield f"  {say.count('sources.left', left)}"


def _foreign(group: GroupView | None, say: Phrases) -> Iterator[str]:
    if group is not None:
        yield ""
        yield say("sources.foreign-line", text=group.count)


def _source(row: SourceView, paper: Paper, say: Phrases) -> Iterator[str]:
    yield from paper.hang(_head(row, say), f"{paper.symbol(row.tone)} ")
    reasons = say("punctuation.clauses").join(row.reasons[:REASONS])
    more = say("value.more", n=f"{len(row.reasons) - REASONS:,}") if len(row.reasons) > REASONS else ""
    yield from paper.paragraph(say("punctuation.clauses").join((reasons + more, _where(row, say))), 4, style="dim")
    yield from paper.paragraph(row.advice, 4)


def _where(row: SourceView, say: Phrases) -> str:
    if row.addresses == row.name:
        return say("sources.since", since=row.since)
    return say("sources.where", addresses=row.addresses, since=row.since)


def _head(row: SourceView, say: Phrases) -> str:
    return say("sources.head", name=row.name, standing=row.label, aligned=row.passing)


def _paste_some(group: GroupView | None, room: int, paper: Paper, say: Phrases) -> list[str]:
    """The lines to paste for as many sources as there is room for, at least one; and how many more need an answer."""
    if group is None:
        return []
    every, lines = len(group.sources) + group.hidden, list[str]()
    for shown in range(1, len(group.sources) + 1):
        left = ["", f"  {say.count('sources.left', every - shown)}"] if shown < every else []
        more = [*_paste(group.sources[:shown], paper, say), *left]
        if lines and len(more) > room:
            break
        lines = more
    return lines


def _paste(rows: Sequence[SourceView], paper: Paper, say: Phrases) -> Iterator[str]:
    if rows:
        yield ""
        yield from paper.paragraph(say("sources.paste"), style="bold")
    for place, row in enumerate(rows):
        yield from ["", *row.paste] if place else row.paste


def overview_text(views: Sequence[SourcesView], paper: Paper, say: Phrases) -> str:
    """A line a domain, what needs attention first."""
    heads = [say(f"sources.overview.{key}") for key in ("domain", "messages", "share", "waiting", "gate", "change")]
    rows = [heads, *(overview_row(each) for each in views)]
    widths = [max(width_of(row[place]) for row in rows) for place in range(len(heads))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            pad(cell, width) if place in (0, 4) else " " * (width - width_of(cell)) + cell
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(paper.ink("  ".join(cells), "bold") if not number else "  ".join(cells))
    lines += ["", *paper.paragraph(say("sources.overview.how"), style="dim")]
    return paper.text(lines)


def overview_row(view: SourcesView) -> list[str]:
    """Domain, own and unclaimed messages, how much of it passes, what waits, gate, change."""
    sums = view.sums
    numbers = [f"{sums.yours:,}", view.share, f"{sums.classes['unclaimed']:,}"] if sums is not None else ["", "", ""]
    return [view.domain, *numbers, view.gate, view.change]


def sources_json(several: Sequence[tuple[Report, SourcesView]]) -> str:
    """The sources as the facts have them, with the sums, the words and the lines to paste."""
    shape: list[Json] = [_domain_json(report.domain, report.facts, view) for report, view in several]
    return json_text({"schema_version": SCHEMA_VERSION, "domains": shape}, indent=2) + "\n"


def _domain_json(domain: str, facts: FactSet, view: SourcesView) -> Json:
    return {
        "domain": domain,
        "classes": dict(view.sums.classes) if view.sums is not None else None,
        "aligned": view.sums.aligned if view.sums is not None else None,
        "summary": view.summary,
        "gate": view.gate or None,
        "sources": encode(facts.of(Traffic).sources),
        "details": encode(facts.of(Traffic).details),
        "words": [
            {
                "source": row.name,
                "standing": row.label,
                "group": row.group,
                "reasons": list(row.reasons),
                "advice": row.advice,
                "paste": "\n".join(row.paste),
            }
            for row in view.sources
        ],
    }


_COLUMNS = ("domain", "source", "standing", "group", "address", "receiver", "day", "messages", "aligned", "reasons")


def sources_csv(several: Sequence[tuple[Report, SourcesView]]) -> str:
    """A row for each day on which a receiver reported an address; of sources without details a row each."""
    written = [csv_row(_COLUMNS)]
    for report, view in several:
        details: dict[str, list[tuple[str, str, str, int, int]]] = {}
        traffic = report.facts.of(Traffic)
        for each in traffic.details if isinstance(traffic.details, tuple) else ():
            line = each.address, each.receiver, each.day, each.messages, each.aligned
            details.setdefault(each.source, []).append(line)
        by_name = {each.name: each for each in view.sources}
        for source in traffic.sources if isinstance(traffic.sources, tuple) else ():
            row = by_name.get(source.key)
            group, reasons = (row.group, "; ".join(row.reasons)) if row is not None else ("", "")
            head = (view.domain, source.key, source.standing, group)
            lines = details.get(source.key, [])
            if rest := source.messages - sum(each[3] for each in lines):  # of addresses that are not told one by one
                lines = [*lines, ("", "", "", rest, source.aligned - sum(each[4] for each in lines))]
            for address, receiver, day, messages, aligned in lines:
                written.append(csv_row((*head, address, receiver, day, str(messages), str(aligned), reasons)))
    return "".join(written)


@click.command("sources", cls=Command)
@input_options
@click.option("--days", type=NumberType(int, 1), metavar="N")
@click.option("--history", metavar="URL")
@click.option("--all", "whole", is_flag=True)
@click.option("-o", "--output", multiple=True, type=PathOf("file"), metavar="FILE")
@rule_folders_option
@text_or_json_option
@lang_option
def command(
    days: int | None,
    whole: bool,
    output: tuple[Path, ...],
    rules: tuple[Path, ...],
    style: str,
    lang: str,
    **params: Any,
) -> int:
    """List who sends as your domain by what receivers reported, what each is, and what to do about it."""
    wrong = next((each for each in output if each.suffix.lower() not in ENDINGS), None)
    if wrong is not None:
        raise InputError(UNKNOWN_ENDING(file=str(wrong), endings=ENDINGS))
    inputs = observed_inputs(params, days=days)
    inputs = replace(inputs, subjects=[replace(each, source_details=bool(output)) for each in inputs.subjects])
    speaker = speaker_of(rules or inputs.settings.rules, lang)

    def each(_: Audited, report: Report) -> tuple[Report, SourcesView]:
        return report, sources_view(report, speaker)

    found = run_reports(inputs, speaker.rules, Selection(select=("RPT", "GATE")), each, Extras())
    found.sort(key=lambda one: one[1].rank)
    views = [view for _, view in found]
    written = {
        ".html": lambda: sources_page(views, speaker),
        ".csv": lambda: sources_csv(found),
        ".json": lambda: sources_json(found),
    }
    for path in output:
        put(written[path.suffix.lower()](), path)
    paper = Paper.of_terminal(columns())
    if style == "json":
        show(sources_json(found))
    elif len(views) > 1 and not whole:
        show(overview_text(views, paper, speaker.say))
    elif not output:
        show("\n".join(sources_text(view, paper, whole=whole) for view in views))
    else:
        show("".join(f"{view.domain}{speaker.say('punctuation.colon')}{view.summary}\n" for view in views))
    return 3 if any(not view.known for view in views) else inputs.code
