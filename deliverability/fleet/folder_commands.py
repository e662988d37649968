"""`deliv fleet status`, `report`, `query` and `open`: what a fleet's folder holds, and the report on it.

The report is a page (reports/fleet.html), JSON or CSV.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins
from msgspec.structs import asdict

from deliverability.console import ending
from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, read_settings
from deliverability.console.judging import Judging
from deliverability.console.language import language
from deliverability.console.options import (
    dns_options,
    judging_options,
    lang_option,
    output_options,
    rule_folders_option,
    speaking_option,
    text_or_json_option,
)
from deliverability.console.output import UNKNOWN_ENDING, put, show
from deliverability.console.progress import clock
from deliverability.console.types import OneOf, PathOf
from deliverability.core.codec import encode_fields, json_text
from deliverability.core.errors import InputError, not_written
from deliverability.core.files import locate
from deliverability.core.inputs import parse_domain
from deliverability.core.phrases import detail_words
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.formats.html import CONTENT_SECURITY_POLICY
from deliverability.core.report.templates import environment
from deliverability.core.report.wrap import width_of
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker
from deliverability.engine.audit import audited_of
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.fleet.causes import causes
from deliverability.fleet.folder import opened
from deliverability.fleet.lists import subject_of
from deliverability.fleet.run import fleet_status
from deliverability.fleet.tables import query, write_parquet
from deliverability.fleet.tally import DomainSummary, FleetCauses
from deliverability.fleet.view import fleet_view
from deliverability.fleet.work import reopened

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.codes import Detail
    from deliverability.core.net.ports import Ports
    from deliverability.fleet.folder import FleetFolder
    from deliverability.fleet.shards import FleetStatus
    from deliverability.fleet.view import FleetView
    from deliverability.fleet.work import Reopened

FORMAT = "1.0"
"""Of the JSON: the second number grows where something is added, the first where something changes or goes."""
COLUMNS = ("section", "rule", "kind", "name", "domains", "of", "detail")


def report_page(causes: FleetCauses, speaker: Speaker) -> str:
    """A page of its own, without script; every name comes from outside and is escaped."""
    css = "".join((locate("reports") / name).read_text("utf-8") for name in ("style.css", "fleet.css"))
    page = environment().get_template("fleet.html")
    return page.render(
        say=speaker.say,
        lang=speaker.lang,
        view=fleet_view(causes, speaker),
        css=re.sub(r"\n\s*", "\n", css),
        policy=CONTENT_SECURITY_POLICY,
    )


def report_json(causes: FleetCauses, speaker: Speaker) -> str:
    """All numbers and names, nothing in words."""
    data = asdict(causes)
    if causes.trend is not None:
        stages = [[*stages, count] for stages, count in causes.trend.stages.items()]
        data["trend"] = asdict(causes.trend) | {"stages": stages}
    return json_text({"format": FORMAT, **to_builtins(data)}, indent=2) + "\n"


def report_table(causes: FleetCauses, speaker: Speaker) -> str:
    """The causes as CSV, one a line: how many domains, of how many, and what else is to be said as `name=value`."""
    return "\ufeff" + csv_row(COLUMNS) + "".join(csv_row([str(cell) for cell in row]) for row in _rows(causes))


def _rows(causes: FleetCauses) -> Iterator[tuple[Any, ...]]:
    every = causes.domains
    for free in causes.takeover:
        detail = " ".join((f"uses={','.join(free.uses)}", *((f"service={free.service}",) if free.service else ())))
        yield "takeover", "", "name", free.name, free.domains, every, detail
    for each in causes.rules:
        if each.unmet:
            yield "rules", each.rule, each.severity, "", each.unmet, each.applies, f"unchecked={each.unchecked}"
    for include in causes.lookups.includes:
        detail = (
            f"lookups={include.lookups} users={include.users} broken={include.broken} "
            f"mends-one={include.mends[0]} mends-all={include.mends[-1]}"
        )
        yield "lookups", "", "include", include.target, include.caused, causes.lookups.broken, detail
    for group in causes.groups:
        detail = f"elsewhere={group.elsewhere} others={group.others}"
        yield "groups", group.rule, group.kind.value, group.name, group.unmet, group.users, detail
    for name, count in causes.dead.items():
        yield "dead", "", "include", name, count, every, ""
    for stage, count in causes.stages.items():
        yield "stages", "", "dmarc", stage, count, every, ""
    for receiver, verdicts in causes.receivers.items():
        for verdict, count in verdicts.items():
            yield "receivers", "", receiver, verdict, count, sum(verdicts.values()), _recipients(causes, receiver)
    for keys in causes.keys:
        yield "keys", "", "service", keys.service, keys.domains, every, f"short={keys.short} keys={keys.keys}"
    for shared in causes.shared_keys:
        yield "shared-keys", "", "key", shared.name, shared.domains, every, ""
    for silence in causes.silences:
        yield "silences", "", silence.reason, silence.name, silence.domains, every, " ".join(silence.servers)
    for due in causes.expiring:
        yield "expiring", due.rule, due.item, due.domain, 1, every, f"until={due.until}"
    for label in causes.labels:
        for value in label.worst:
            yield "labels", "", label.label, value.value, value.erring, value.domains, f"failed={value.failed}"
    for bad in causes.worst:
        yield "worst", "", bad.grade, bad.domain, 1, every, _detail_of(bad)
    trend = causes.trend
    if trend is not None:
        for change in trend.rules:
            yield "trend", change.rule, "new", "", change.new, trend.both, f"mended={change.mended}"
        for moved in trend.includes:
            detail = f"mended={moved.mended} before={moved.before} now={moved.now}"
            yield "trend", "", "include", moved.target, moved.new, trend.both, detail


def _recipients(causes: FleetCauses, receiver: str) -> str:
    found = causes.audience.recipients.receivers.get(receiver) if causes.audience else None
    return f"recipients={found.recipients}" if found else ""


def _detail_of(bad: DomainSummary) -> str:
    unreached = "" if bad.unreached is None else f" unreached={bad.unreached}"
    return f"errors={bad.errors} warnings={bad.warnings}{unreached}"


FORMATS = {".html": report_page, ".htm": report_page, ".json": report_json, ".csv": report_table}
"""By the ending of the file."""


_SHOWN = 20


@click.command("fleet-status", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@text_or_json_option
@speaking_option
def status_command(folder: Path, style: str) -> int:
    """Say how far the run of a folder is."""
    status = fleet_status(folder)
    if style == "json":
        click.echo(json_text(_as_json(status), indent=2))
    else:
        click.echo("\n".join(status_lines(status)))
    tell_damaged(status.damaged)
    return 3 if status.damaged else 0


def tell_damaged(damaged: Sequence[Detail]) -> None:
    """Name the files of shards that are not as they were written."""
    say = language().say
    for each in damaged[:_SHOWN]:
        click.echo(say("cli.warning", text=ending.visible(detail_words(each, say))), err=True)
    if len(damaged) > _SHOWN:
        click.echo(say("cli.more-problems", n=f"{len(damaged) - _SHOWN:,}"), err=True)


def _as_json(status: FleetStatus) -> dict[str, object]:
    return {
        **encode_fields(status, "domains", "done", "failed", "left", "duplicates", "refused", "running"),
        "seconds": round(status.seconds, 3),
        "rate": round(status.rate, 3),
        "seconds_left": None if status.seconds_left is None else round(status.seconds_left, 3),
        **encode_fields(status, "digest", "damaged"),
    }


def status_lines(status: FleetStatus) -> Iterator[str]:
    """The same for people."""
    say = language().say
    counts = {"done": f"{status.done:,}", "all": f"{status.domains:,}", "failed": f"{status.failed:,}"}
    yield say("cli.fleet-status", **counts)
    if status.refused:
        yield say.count("cli.fleet-refused-lines", status.refused)
    if status.rate:
        yield say("cli.fleet-rate", rate=f"{status.rate:,.1f}", elapsed=clock(status.seconds))
    if status.left and status.running and status.seconds_left is not None:
        yield say("cli.fleet-left", left=f"{status.left:,}", time=clock(status.seconds_left))
    elif status.left and not status.running:
        yield say("cli.fleet-idle", left=f"{status.left:,}")


@click.command("fleet-report", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@click.option("-o", "--output", multiple=True, type=PathOf("file"), metavar="FILE")
@click.option("--compare", type=PathOf("folder", exists=True), metavar="OLDDIR")
@click.option("--parquet", is_flag=True)
@rule_folders_option
@lang_option
def report_command(folder: Path, output: tuple[Path, ...], compare: Path | None, parquet: bool, **params: Any) -> int:
    """Say what the findings of a fleet have in common."""
    for path in output:
        if path.suffix.lower() not in FORMATS:
            raise InputError(UNKNOWN_ENDING(file=str(path), endings=tuple(FORMATS)))
    rules = load_rules(params["rules"])
    with ExitStack() as stack:
        fleet = stack.enter_context(opened(folder))
        damaged = fleet.check()
        older = None
        if compare:
            before = stack.enter_context(opened(compare))
            damaged += before.check()
            older = before.rows()
        found = causes(fleet.rows(), rules, fleet.day, older, fleet.audience)
        if parquet:
            try:
                tables = write_parquet(fleet)
            except OSError as error:
                raise InputError(not_written(str(folder / "tables"), error)) from None
            click.echo(language().say("cli.written", file=str(tables)), err=True)
        left = fleet.status(running=False).left
    speaker = Speaker(rules, catalogue(), language().people)
    for path in output:
        put(FORMATS[path.suffix.lower()](found, speaker), path)
    if not output:
        show("\n".join(_lines(fleet_view(found, speaker))) + "\n")
    tell_damaged(damaged)
    if left:
        click.echo(language().say("cli.fleet-idle", left=f"{left:,}"), err=True)
    return 3 if damaged else 0


def _lines(view: FleetView) -> Iterator[str]:
    """The answer, and what concerns most domains."""
    yield view.heading
    yield from view.lead
    if view.actions:
        yield ""
        yield language().say("fleet-report.actions")
        for each in view.actions:
            yield f"  {each.count}{language().say('punctuation.colon')}{each.what}"


SHOWN = 1000
"""Rows of a text: more are for programs."""


@click.command("fleet-query", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@click.argument("sql", metavar="SQL")
@click.option("--format", "style", type=OneOf(["text", "csv", "json"]), default="text", show_default=True)
@speaking_option
def query_command(folder: Path, sql: str, style: str) -> int:
    """Answer an SQL query over the findings of a fleet."""
    try:
        with opened(folder) as fleet:
            damaged = fleet.check()
            with query(fleet, sql) as (columns, rows):
                for piece in {"text": _text, "csv": _csv, "json": _json}[style](columns, rows):
                    show(piece)
    except OSError as error:
        raise InputError(not_written(str(folder), error)) from None
    tell_damaged(damaged)
    return 3 if damaged else 0


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield csv_row(columns)
    for row in rows:
        yield csv_row(["" if cell is None else str(cell) for cell in row])


def _json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """An object a line."""
    for row in rows:
        cells = (cell if isinstance(cell, str | int | float | None) else str(cell) for cell in row)
        yield json_text(dict(zip(columns, cells, strict=True))) + "\n"


def _text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Columns side by side, numbers to the right."""
    every = iter(rows)
    some = list(itertools.islice(every, SHOWN))
    shown = [["" if cell is None else visible(str(cell)) for cell in row] for row in some]
    widths = [max(map(width_of, (name, *(row[place] for row in shown)))) for place, name in enumerate(columns)]
    right = [
        bool(some) and all(isinstance(row[place], int | float | None) for row in some) for place in range(len(columns))
    ]

    def line(cells: Sequence[str]) -> str:
        pads = [" " * (width - width_of(cell)) for cell, width in zip(cells, widths, strict=True)]
        made = (pad + cell if flush else cell + pad for cell, pad, flush in zip(cells, pads, right, strict=True))
        return "  ".join(made).rstrip() + "\n"

    yield line(columns)
    yield "  ".join("-" * width for width in widths) + "\n"
    yield from map(line, shown)
    if next(every, None) is not None:
        yield language().say("fleet-report.cut", n=f"{SHOWN:,}") + "\n"


@click.command("fleet-open", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@click.argument("domain", metavar="DOMAIN")
@dns_options
@judging_options
@output_options
def open_command(folder: Path, domain: str, **params: Any) -> int:
    """Write the full report of one domain of a fleet."""
    settings = read_settings(params["config"])
    judging = Judging.of(params, settings)
    with opened(folder) as fleet:
        audited = audited_of(fleet.facts_of(parse_domain(domain)))
        outputs = judging.outputs(1)
        found = _reopened(fleet, audited, settings, judging, params)
    code = judging.write(audited, found.report, outputs)
    outputs.end()
    if found.changed:
        click.echo(language().say.count("cli.fleet-changed", found.changed), err=True)
    return code


def _reopened(
    fleet: FleetFolder, audited: Any, settings: Settings, judging: Judging, params: dict[str, Any]
) -> Reopened:
    subject = subject_of(fleet.subject(audited.subject.domain), settings)
    ports = _ports(fleet, settings, params)

    async def work() -> Reopened:
        try:
            return await reopened(audited, subject, ports, judging.rules, judging.selection)
        finally:
            if ports is not None:
                await ports.close()

    return asyncio.run(work())


def _ports(fleet: FleetFolder, settings: Settings, params: dict[str, Any]) -> Ports | None:
    """Whom to ask for remedies: nobody where the run asked no live DNS and nothing else is named now."""
    live = not any(fleet.settings.get(each) for each in ("--zone", "--offline"))
    if params["offline"] or not (live or params["zone"] or params["resolver"]):
        return None
    return ports_of(params, settings)
