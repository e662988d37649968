"""`deliv list-check`: what a list of recipients holds, without sending anything; sums only, never an address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, read_settings, run_over
from deliverability.console.options import (
    dns_options,
    lang_option,
    rule_folders_option,
    text_or_json_option,
)
from deliverability.console.output import paper_for, show, wrote
from deliverability.console.progress import counted
from deliverability.console.types import NumberType, PathOf
from deliverability.core.codec import json_text, printable
from deliverability.core.errors import InputError, file_error
from deliverability.core.files import PRIVATE, write_whole
from deliverability.core.model.observed import LIST_SCHEMA, ListSums, Segment
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.report.paper import Paper
from deliverability.core.words.sentences import visible
from deliverability.engine.rules import rule_folders
from deliverability.lists.catalogue import load_list_data
from deliverability.lists.run import ListPlan, check_list
from deliverability.lists.table import open_list

if TYPE_CHECKING:
    pass

SUMS = "sums.json"


@click.command("list-check", cls=Command)
@click.argument("file", metavar="LIST.csv", type=PathOf("file", exists=True))
@click.option("--column", metavar="NAME")
@click.option("--suppressed", type=PathOf("file", exists=True), metavar="FILE")
@click.option("--inactive", type=NumberType(int, 1), metavar="DAYS")
@click.option("-o", "--output", "folder", type=PathOf("folder"), metavar="DIR/")
@click.option("--force", is_flag=True)
@dns_options
@rule_folders_option
@text_or_json_option
@lang_option
def command(
    file: Path,
    column: str | None,
    suppressed: Path | None,
    inactive: int | None,
    folder: Path | None,
    force: bool,
    config: Path | None,
    rules: tuple[Path, ...],
    style: str,
    lang: str,
    **params: Any,
) -> int:
    """Check a list of recipients: nothing is sent, stored or changed."""
    settings = read_settings(config)
    data = load_list_data(rule_folders(rules or settings.rules))
    plan = ListPlan(open_list(file, data, column), data, suppressed, inactive, folder, force)
    ports = ports_of(params, settings)
    with counted("list-check.asked") as tick:
        sums = run_over(ports, check_list(plan, ports, tick))
    _show(sums, folder, style, lang, next((each for each in ("offline", "zone") if each in ports.sources), "dns"))
    if sums.domains_not_checked or sums.not_checked:
        return 3
    return 0 if sums.segments[Segment.GOOD] == sums.lines else 1


def _show(sums: ListSums, folder: Path | None, style: str, lang: str, lookups: str) -> None:
    """Print the sums, and write them beside the segments. Raises InputError."""
    if folder is not None:
        try:
            write_whole(folder / SUMS, list_json(sums), mode=PRIVATE)
        except OSError as error:
            raise InputError(file_error(folder / SUMS, error)) from None
        wrote(folder)
    if style == "json":
        show(list_json(sums))
    else:
        show(list_text(sums, paper_for(), phrases(lang), lookups))


def list_text(sums: ListSums, paper: Paper, say: Phrases, lookups: str) -> str:
    """For a terminal. `lookups`: where domains were looked up: ``dns``, ``zone`` files, or ``offline``, nowhere."""
    lines = paper.paragraph(say.count("list-check.title", sums.lines, name=visible(sums.name)))
    width = max(len(f"{n:,}") for n in sums.segments.values())
    for segment in Segment:
        if segment is Segment.GOOD or sums.segments[segment]:
            number = f"{sums.segments[segment]:,}".rjust(width)
            lines += paper.paragraph(
                say.count(
                    f"list-check.segment.{segment.value}", sums.segments[segment], days=f"{sums.inactive_days or 0:,}"
                ),
                width + 4,
                f"  {number}  ",
            )
    for text in _remarks(sums, say, lookups):
        lines += ["", *paper.paragraph(text)]
    return paper.text(lines)


def _remarks(sums: ListSums, say: Phrases, lookups: str) -> list[str]:
    remarks: list[str] = []
    if sums.not_checked:
        remarks.append(say.count(f"list-check.not-checked.{lookups}", sums.not_checked))
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
