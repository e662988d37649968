"""`deliv warm-up`: from what a domain sends to what it wants to send, step by step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.console.command import Command
from deliverability.console.inputs import read_settings
from deliverability.console.judging import speaker_of
from deliverability.console.options import (
    config_option,
    file_option,
    lang_option,
    plain_errors,
    rule_folders_option,
    rule_problems,
    text_or_json_option,
)
from deliverability.console.output import put, terminal
from deliverability.console.types import DayType, NumberType, OneOf, settings_path
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.inputs import parse_domain
from deliverability.core.model.services import reporters_listed
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.report.paper import Paper
from deliverability.core.store.deliveries import deliveries_of
from deliverability.core.store.store import History, missing_file
from deliverability.core.store.window import window
from deliverability.warm_up import report as render
from deliverability.warm_up.plan import warm_up_plan
from deliverability.warm_up.report import warm_up_view

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.services import Reporter
    from deliverability.core.model.warm_up import WarmUpNumbers, WarmUpPlan
    from deliverability.core.store.store import History
    from deliverability.core.words.speaker import Speaker

NOT_THIS_FORM = Code("warm-up-form", ("file", "forms"))
PAST = Code("warm-up-past", ("day",))
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
    with plain_errors():
        now = datetime.now(UTC)
        if output is not None and output.suffix.lower() not in _FORMS:
            raise InputError(NOT_THIS_FORM(file=str(output), forms=_FORMS))
        if start is not None and start < now.date():
            raise InputError(PAST(day=start.isoformat()))
        settings = read_settings(config)
        with rule_problems():
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
    folder = settings_path(config).absolute().parent
    where = url or settings.history
    if missing_file(where, folder=folder) is not None:
        return "", {}
    history = History.open(where, folder=folder)
    try:
        sent = _sent(history, domain, stream, numbers.days, now)
        if sent:
            return "deliveries", sent
        return "reports", _reported(history, domain, stream, numbers.days, settings.feedback.trust, listed, now)
    finally:
        history.close()


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
        return render.warm_up_json(plan)
    if suffix == ".csv":
        return render.warm_up_csv(plan)
    if suffix == ".ics":
        return render.warm_up_calendar(plan, view, now)
    shown = terminal()
    paper = Paper(80) if output else Paper.of_terminal(shown["width"], unicode=shown["unicode"])
    return render.warm_up_text(view, paper)
