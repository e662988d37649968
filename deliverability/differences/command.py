"""`deliv diff`: what a change of zones does to mail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from deliverability.console.command import MISSING, Command
from deliverability.console.inputs import ports_of, read_settings, sample_of, subject_given
from deliverability.console.judging import selection_of, speaker_of
from deliverability.console.options import (
    config_option,
    lang_option,
    mail_options,
    offline_option,
    resolver_option,
    rule_folders_option,
    timeout_option,
)
from deliverability.console.output import UNKNOWN_ENDING, put, show, terminal
from deliverability.console.progress import on_terminal, progress
from deliverability.console.settings import Settings
from deliverability.console.types import NamesOf, OneOf, PathOf
from deliverability.core.codes import Code
from deliverability.core.errors import NO_SUCH_FILE, InputError
from deliverability.core.inputs import Subject, parse_domain
from deliverability.core.net.clock import SECONDS, Budget, SystemClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.zones import FORMATS
from deliverability.core.net.zones.base import Reading
from deliverability.core.net.zones.over import reading_of
from deliverability.core.report.paper import Paper
from deliverability.differences.render import ENDINGS, renderers
from deliverability.differences.run import FAIL_ON, Diff, differences
from deliverability.differences.sides import Sides, base_of, of_git, of_paths, with_base
from deliverability.engine.rules import load_rules

TOO_MANY = Code("diff-too-many", ("n",))
STAGED_ALONE = Code("diff-staged")
BASE_AND_OFFLINE = Code("diff-base-servers")
_STYLES = ("text", "markdown", "json", "sarif", "junit")


@click.command("diff", cls=Command)
@click.argument("paths", metavar="[OLD NEW|PLAN|PATH]...", nargs=-1)
@click.option("--git", "rev", metavar="REV")
@click.option("--staged", is_flag=True)
@click.option("--domain", "domains", multiple=True, metavar="DOMAIN")
@click.option("--base", default="live", show_default=True, metavar="live|FILE|DIR")
@click.option("--zone-format", type=OneOf(FORMATS))
@click.option("--origin", multiple=True, metavar="ZONE")
@click.option("--zone-tag", metavar="TAG")
@resolver_option
@offline_option
@timeout_option
@mail_options
@click.option("--eml", multiple=True, metavar="FILE|-")
@click.option("--receiver", multiple=True, metavar="ID")
@click.option("--region", type=NamesOf(), metavar="jp|de|fr|kr|br|...")
@rule_folders_option
@click.option("--format", "style", type=OneOf(_STYLES))
@click.option("-o", "--output", multiple=True, type=PathOf("file"), metavar="FILE")
@click.option("--accept", "accepted", multiple=True, metavar="WAY")
@click.option("--fail-on", type=OneOf(FAIL_ON), default="worse", show_default=True)
@config_option
@lang_option
def command(
    paths: tuple[str, ...], style: str | None, output: tuple[Path, ...], fail_on: str, lang: str, **params: Any
) -> int:
    """Say what a change of zones does to mail, receiver by receiver, before it is published."""
    where = _where(style, output)
    settings = read_settings(params["config"])
    sides = _sides(paths, params)
    rules = load_rules(tuple(params["rules"]) or settings.rules)
    selection = selection_of(settings, rules, params)
    samples = [sample_of(each) for each in params["eml"]]
    domains = [parse_domain(each) for each in params["domains"]] or None
    ports = _ports(params, settings)

    def subject_of(name: str) -> Subject:
        return subject_given(params, settings, name)

    async def work(ready: Callable[[int], Callable[[], None]]) -> Diff:
        try:
            return await differences(
                sides,
                ports,
                rules,
                selection,
                subject_of,
                samples=samples,
                domains=domains,
                accepted=params["accepted"],
                ready=ready,
            )
        finally:
            await ports.close()

    with _shown() as ready:
        diff = asyncio.run(work(ready))
    speaker = speaker_of(tuple(params["rules"]) or settings.rules, lang)
    written = renderers(speaker, Paper.of_terminal(**terminal()), fail_on)
    in_file = renderers(speaker, Paper(100), fail_on)
    for name, path in where:
        if path is None:
            show(written[name](diff))
        else:
            put(in_file[name](diff), path)
    return diff.exit_code(fail_on)


def _where(style: str | None, output: Sequence[Path]) -> list[tuple[str, Path | None]]:
    """Formats, each with its file; None: standard output. Raises InputError on an unknown ending."""
    found: list[tuple[str, Path | None]] = []
    for path in output:
        ending = next((each for each in ENDINGS if path.name.lower().endswith(each)), None)
        if ending is None:
            raise InputError(UNKNOWN_ENDING(file=str(path), endings=tuple(dict.fromkeys(ENDINGS))))
        found.append((ENDINGS[ending], path))
    return [(style or "text", None), *found] if style or not found else found


def _sides(paths: Sequence[str], params: dict[str, Any]) -> Sides:
    """Raises InputError."""
    reading = reading_of(params["zone_format"], tuple(map(parse_domain, params["origin"])), params["zone_tag"])
    if params["rev"] is not None:
        return of_git(params["rev"], [Path(each) for each in paths], reading, staged=params["staged"])
    if params["staged"]:
        raise InputError(STAGED_ALONE())
    if not paths:
        raise InputError(MISSING(name="OLD NEW|PLAN", command=click.get_current_context().command_path))
    if len(paths) > 2:
        raise InputError(TOO_MANY(n=len(paths)))
    for path in paths:
        if not Path(path).exists():
            raise InputError(NO_SUCH_FILE(name=path))
    sides = of_paths(Path(paths[0]), Path(paths[1]) if len(paths) == 2 else None, reading)
    return with_base(sides, params["base"], _base_reading(params))


def _base_reading(params: dict[str, Any]) -> Reading:
    return reading_of(None, tuple(map(parse_domain, params["origin"])), params["zone_tag"])


def _ports(params: dict[str, Any], settings: Settings) -> Ports:
    """Whom to ask about all that the change does not hold. Raises InputError."""
    if params["base"] != "live":
        if params["resolver"]:
            raise InputError(BASE_AND_OFFLINE())
        zones = base_of(params["base"], _base_reading(params))
        assert zones is not None  # noqa: S101 - None is live DNS
        ports = Ports(zones, SystemClock(), sources=("zone",))
        return replace(ports, budget=Budget(params["timeout"] or settings.timeout or SECONDS))
    return ports_of({**params, "zone": ()}, settings)


@contextmanager
def _shown() -> Iterator[Callable[[int], Callable[[], None]]]:
    """Progress on a terminal, once it is known how many domains there are."""
    with ExitStack() as stack:

        def ready(total: int) -> Callable[[], None]:
            if not on_terminal() or total < 2:
                return lambda: None
            bar = stack.enter_context(progress(total))
            return lambda: bar.tick(time.monotonic())

        yield ready
