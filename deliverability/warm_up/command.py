"""`deliv warm-up`: from what a domain sends to what it wants to send, as text, CSV, calendar (RFC 5545) and JSON."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.inputs import read_settings
from deliverability.console.judging import speaker_of
from deliverability.console.options import (
    config_option,
    file_option,
    lang_option,
    rule_folders_option,
    text_or_json_option,
)
from deliverability.console.output import paper_for, put
from deliverability.console.types import DayType, NumberType, OneOf, settings_folder
from deliverability.core.codec import json_text
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.inputs import parse_domain
from deliverability.core.model.services import Reporter, reporters_listed
from deliverability.core.model.warm_up import WARM_UP_SCHEMA, WarmUpNumbers, WarmUpPlan
from deliverability.core.phrases import Phrases
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.report.findings import receiver_short
from deliverability.core.report.paper import Paper
from deliverability.core.report.wrap import width_of
from deliverability.core.store.deliveries import deliveries_of
from deliverability.core.store.store import History, kept
from deliverability.core.store.window import window
from deliverability.core.words.sentences import full_day_words, visible
from deliverability.core.words.speaker import Speaker, cited
from deliverability.warm_up.facts import warm_up_plan

if TYPE_CHECKING:
    from deliverability.console.settings import Settings

_SHOWN = 4  # receivers with a column of their own


class WarmUpView(Struct, frozen=True):
    """The plan, safe to show.

    Attributes:
        title: what it is.
        basis: what it begins from.
        head: of the table.
        rows: a step each: its day, messages, and those to the receivers of the head.
        stops: when to hold or to go back.
        caution: whose numbers these are.
        sources: where their direction comes from.

    """

    title: str
    basis: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    stops: tuple[str, ...]
    caution: str
    sources: tuple[str, ...]


def warm_up_view(plan: WarmUpPlan, speaker: Speaker) -> WarmUpView:
    """The plan in the language of the speaker."""
    say = speaker.say
    named = tuple(name for name in plan.steps[0].receivers if name)[:_SHOWN]
    names = tuple(receiver_short(name, speaker) for name in named)
    rows = tuple(
        (
            full_day_words(step.day.isoformat(), say),
            f"{step.messages:,}",
            *(f"{step.receivers[name]:,}" for name in named),
        )
        for step in plan.steps
    )
    about = plan.stream or plan.domain
    return WarmUpView(
        title=say("warm-up.title", domain=visible(about), n=say.count("warm-up.messages", plan.target)),
        basis=_basis(plan, say),
        head=(say("warm-up.day"), say("warm-up.all"), *names),
        rows=rows,
        stops=tuple(
            say(f"warm-up.stop.{key}", hold=f"{stop.hold:g}", back=f"{stop.back:g}")
            for key, stop in plan.numbers.stops.items()
        ),
        caution=say("warm-up.caution"),
        sources=tuple(
            say("punctuation.colon").join((shown.title, shown.url))
            for shown in (cited(speaker.rules.sources[each.ref], say) for each in plan.numbers.sources)
        ),
    )


def _basis(plan: WarmUpPlan, say: Phrases) -> tuple[str, ...]:
    first, last = plan.steps[0], plan.steps[-1]
    if plan.origin:
        known = say(
            f"warm-up.known.{plan.origin}",
            days=say.count("unit.day", plan.days),
            median=f"{plan.median:,}",
            highest=f"{plan.highest:,}",
        )
    else:
        known = say("warm-up.unknown", n=f"{first.messages:,}")
    if len(plan.steps) == 1:
        return known, say("warm-up.there")
    factor = plan.numbers.factors[plan.every]
    steps = say.count("warm-up.steps", len(plan.steps))
    until = full_day_words(last.day.isoformat(), say)
    return known, say(f"warm-up.pace.{plan.every}", factor=f"{factor:g}", steps=steps, day=until)


_LINE = 75  # octets, RFC 5545 section 3.1


def warm_up_text(view: WarmUpView, paper: Paper) -> str:
    """The table with what stands around it."""
    lines = [paper.ink(view.title, "bold"), ""]
    for text in view.basis:
        lines += paper.paragraph(text)
    table = [view.head, *view.rows]
    widths = [max(width_of(row[column]) for row in table) for column in range(len(view.head))]
    lines.append("")
    for row in table:
        cells = [row[0] + " " * (widths[0] - width_of(row[0]))]
        cells += [" " * (widths[at] - width_of(row[at])) + row[at] for at in range(1, len(row))]
        lines.append("  ".join(cells))
    lines.append("")
    for text in view.stops:
        lines += paper.hang(text, f"{paper.symbol('bullet')} ")
    lines += ["", *paper.paragraph(view.caution, style="dim")]
    for text in view.sources:
        lines += paper.hang(text, f"{paper.symbol('bullet')} ")
    return paper.text(lines)


def warm_up_csv(plan: WarmUpPlan) -> str:
    """A step a line: day, messages, and a column a receiver; `other`: receivers without a name."""
    names = list(plan.steps[0].receivers)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["day", "messages", *(name or "other" for name in names)])
    for step in plan.steps:
        writer.writerow([step.day.isoformat(), step.messages, *(step.receivers[name] for name in names)])
    return out.getvalue()


def warm_up_calendar(plan: WarmUpPlan, view: WarmUpView, made: datetime) -> str:
    """An all-day event a step. `made`: when the plan was, which calendars ask for."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//deliv//warm-up//EN", "CALSCALE:GREGORIAN"]
    about = plan.stream or plan.domain
    for step, row in zip(plan.steps, view.rows, strict=True):
        parts = [f"{name} {count}" for name, count in zip(view.head[2:], row[2:], strict=True)]
        lines += [
            "BEGIN:VEVENT",
            f"UID:{step.day:%Y%m%d}.warm-up.{about}",
            f"DTSTAMP:{made.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{step.day:%Y%m%d}",
            f"DTEND;VALUE=DATE:{step.day + timedelta(days=1):%Y%m%d}",
            f"SUMMARY:{_escaped(f'{about}: {step.messages:,}')}",
            f"DESCRIPTION:{_escaped(chr(10).join((*parts, *view.stops)))}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def _escaped(text: str) -> str:
    """A text value, RFC 5545 section 3.3.11."""
    for sign in ("\\", ";", ","):
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """The line in pieces of at most 75 octets, no character torn."""
    piece, room = "", _LINE
    for char in line:
        octets = len(char.encode())
        if octets > room:
            yield piece
            piece, room = " ", _LINE - 1
        piece += char
        room -= octets
    yield piece


def warm_up_json(plan: WarmUpPlan) -> str:
    """The plan with its numbers."""
    numbers = plan.numbers
    shape = {
        "schema_version": WARM_UP_SCHEMA,
        "domain": plan.domain,
        "stream": plan.stream or None,
        "target": plan.target,
        "every": plan.every,
        "known": {"from": plan.origin or None, "days": plan.days, "median": plan.median, "highest": plan.highest},
        "numbers": {
            "least": numbers.least,
            "days": numbers.days,
            "factor": numbers.factors[plan.every],
            "most": numbers.most,
            "stops": {key: {"hold": each.hold, "back": each.back} for key, each in numbers.stops.items()},
        },
        "steps": [
            {
                "day": step.day.isoformat(),
                "messages": step.messages,
                "receivers": {name or "other": count for name, count in step.receivers.items()},
            }
            for step in plan.steps
        ],
    }
    return json_text(shape, indent=2) + "\n"


NOT_THIS_FORM = Code("warm-up-form", ("file", "forms"))
PAST = Code("warm-up-past", ("text",))
_FORMS = (".txt", ".csv", ".ics", ".json")

_Volumes = Mapping[date, Mapping[str, int]]


@click.command("warm-up", cls=Command)
@click.argument("domain", metavar="DOMAIN")
@click.option("--to", "target", type=NumberType(int, 1, 1_000_000_000), required=True, metavar="N")
@click.option("--stream", metavar="DOMAIN")
@click.option("--start", type=DayType(), metavar="DATE")
@click.option("--every", type=OneOf(["day", "week"]), default="day", show_default=True)
@click.option("--history", "url", metavar="URL")
@config_option
@rule_folders_option
@text_or_json_option
@file_option
@lang_option
def command(
    domain: str,
    target: int,
    stream: str | None,
    start: date | None,
    every: str,
    url: str | None,
    config: Path | None,
    rules: tuple[Path, ...],
    style: str,
    output: Path | None,
    lang: str,
) -> int:
    """Plan how to raise the volume of a domain, step by step."""
    now = datetime.now(UTC)
    if output is not None and output.suffix.lower() not in _FORMS:
        raise InputError(NOT_THIS_FORM(file=str(output), forms=_FORMS))
    if start is not None and start < now.date():
        raise InputError(PAST(text=start.isoformat()))
    settings = read_settings(config)
    speaker = speaker_of(rules or settings.rules, lang)
    numbers = speaker.rules.knowledge.warm_up
    if numbers is None:  # a folder of the user replaces the file, and never takes it away
        raise AssertionError
    name, part = parse_domain(domain), parse_domain(stream) if stream else ""
    listed = reporters_listed(speaker.rules.knowledge.reporters, settings.reporters)
    origin, volumes = _known(name, part, numbers, settings, listed, url, config, now)
    plan = warm_up_plan(
        name,
        volumes,
        target,
        start=start or now.date() + timedelta(days=1),
        every=every,
        numbers=numbers,
        stream=part,
        origin=origin,
    )
    put(_shown(plan, speaker, style, output, now), output)
    return 0


def _known(
    domain: str,
    stream: str,
    numbers: WarmUpNumbers,
    settings: Settings,
    listed: Mapping[str, Reporter],
    url: str | None,
    config: Path | None,
    now: datetime,
) -> tuple[str, _Volumes]:
    """Where the domain's own volume is known from, and its messages by day and receiver."""
    with kept(url or settings.history, settings_folder(config)) as history:
        if history is None:
            return "", {}
        sent = _sent(history, domain, stream, numbers.days, now)
        if sent:
            return "deliveries", sent
        return "reports", _reported(history, domain, stream, numbers.days, settings.feedback.trust, listed, now)


def _sent(history: History, domain: str, stream: str, days: int, now: datetime) -> _Volumes:
    """Messages that were sent, as logs and events tell."""
    known = deliveries_of(history, registrable_domain(domain), days, int(now.timestamp()))
    found: defaultdict[date, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in known.days if known is not None else ():
        if each.sent and (not stream or stream == each.sender):
            found[each.day][each.receiver] += each.sent
    return found


def _reported(
    history: History, domain: str, stream: str, days: int, trust: str, listed: Mapping[str, Reporter], now: datetime
) -> _Volumes:
    """Messages that passed DMARC, as trusted reports tell."""
    seen = window(history, registrable_domain(domain), days, trust, int(now.timestamp()), listed)
    found: defaultdict[date, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in seen.rows:
        names = {row.facet.header_from, row.facet.envelope_from}
        if row.trusted and row.facet.aligned and (not stream or stream in names):
            found[row.day][listed[row.reporter].receiver or row.reporter] += row.messages
    return found


def _shown(plan: WarmUpPlan, speaker: Speaker, style: str, output: Path | None, now: datetime) -> str:
    suffix = output.suffix.lower() if output else ""
    view = warm_up_view(plan, speaker)
    if suffix == ".json" or (not suffix and style == "json"):
        return warm_up_json(plan)
    if suffix == ".csv":
        return warm_up_csv(plan)
    if suffix == ".ics":
        return warm_up_calendar(plan, view, now)
    return warm_up_text(view, paper_for(output))
