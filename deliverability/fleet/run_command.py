"""`deliv fleet run`: audit all domains of a list into a folder, or go on with that."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import asdict

from deliverability.blocklists.setup import NOT_FOR_FLEETS, ListSetup, free_lists
from deliverability.console.command import MISSING, Command
from deliverability.console.ending import visible
from deliverability.console.inputs import (
    in_our_words,
    list_ports,
    lists_of,
    port_settings,
    read_settings,
)
from deliverability.console.judging import selection_of, with_audience
from deliverability.console.language import language
from deliverability.console.options import (
    blocklists_option,
    config_option,
    judging_options,
    offline_option,
    resolver_option,
    speaking_option,
    timeout_option,
    zone_option,
)
from deliverability.console.progress import CLEAR, Progress, on_terminal
from deliverability.console.types import EngineAddress, NumberType, PathOf, called
from deliverability.core.codec import digest
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.files import PACKAGE
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.phrases import detail_words
from deliverability.engine.rules import load_rules
from deliverability.fleet.engines import Dask, Engine, Processes, default_workers
from deliverability.fleet.folder_commands import status_lines
from deliverability.fleet.lists import FleetList, subject_of
from deliverability.fleet.manifest import FleetPart
from deliverability.fleet.run import FleetEnd, FleetJob, Stop, fleet
from deliverability.fleet.work import FleetPlan, judged_by
from deliverability.lists.audience import audience_given

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.blocklists import ListsWanted
    from deliverability.fleet.shards import FleetStatus

UNBOUND = PACKAGE / "data" / "unbound.conf"
NO_PART = Code("option-no-part", ("option", "text"))
_MOST_PARTS = 10_000
_RATE = 500.0
_SHOWN = 20


class PartOf(click.ParamType[FleetPart]):
    """One of several equal parts: ``2/3``."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FleetPart:
        """The part. Raises InputError."""
        number, slash, of = str(value).partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= _MOST_PARTS):
            raise InputError(NO_PART(option=called(param), text=str(value)))
        return FleetPart(int(number), int(of))


@click.command("fleet-run", cls=Command)
@click.argument("file", metavar="FILE|-", required=False)
@click.option("-o", "--output", "out", type=PathOf("folder"), metavar="DIR")
@click.option("--workers", type=NumberType(int, 1, 1024), metavar="N")
@click.option("--shard", "part", type=PartOf(), metavar="I/N")
@click.option("--engine", type=EngineAddress(), metavar="processes|dask://HOST:PORT")
@click.option("--rate", type=NumberType(float, 0), metavar="N")
@click.option("--retry-failed", is_flag=True)
@click.option("--rejudge", is_flag=True)
@click.option("--to", metavar="FILE|DOMAIN,...")
@click.option("--explain-resolver", is_flag=True)
@zone_option
@resolver_option
@offline_option
@click.option("--fetch", is_flag=True)
@click.option("--probe-smtp", is_flag=True)
@timeout_option
@blocklists_option
@config_option
@judging_options
@speaking_option
def command(file: str | None, out: Path | None, explain_resolver: bool, **params: Any) -> int:
    """Audit all domains of a list into a folder, or go on where that was broken off."""
    if explain_resolver:
        click.echo(UNBOUND.read_text("utf-8"), nl=False)
        return 0
    for name, value in (("FILE", file), ("--output", out)):
        if value is None:
            raise InputError(MISSING(name=name, command=click.get_current_context().command_path))
    assert file is not None  # noqa: S101 - mypy
    assert out is not None  # noqa: S101 - mypy
    with _input(file) as domains:
        job, plan = _planned(domains, out, params)
        ended = _done(job, plan, params["engine"] or "")
    _tell(ended, retried=params["retry_failed"])
    looked_up = job.audience is None or job.audience.complete
    return 0 if ended.complete and looked_up else 3


@contextlib.contextmanager
def _input(name: str) -> Iterator[FleetList]:
    """The list; from standard input by way of a file, for it is read more than once."""
    if name != "-":
        found = FleetList.of(Path(name))
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        while part := sys.stdin.buffer.read(1 << 20):
            file.write(part)
        found = FleetList(file, name)
    try:
        yield found
    finally:
        found.close()


def _planned(domains: FleetList, out: Path, params: dict[str, Any]) -> tuple[FleetJob, FleetPlan]:
    """Raises InputError and RuleError."""
    settings = read_settings(params["config"])
    lists = _lists(params, settings)
    with in_our_words():
        ports = PortSettings(**port_settings(params, settings), **list_ports(lists))
        if not ports.zones:  # which each worker reads for itself
            open_ports(ports)
    folders = tuple(params["rules"]) or settings.rules
    rules = load_rules(folders)
    selection = selection_of(settings, rules, params)
    audience = audience_given(params, settings, rules, folders)
    if audience is not None:
        selection = with_audience(selection, audience, rules)
    judged = judged_by(rules, selection)
    wanted = lists.wanted if lists else None
    asked = partial(subject_of, settings=settings, lists=wanted)
    job = FleetJob(
        domains, out, _described(ports, settings, wanted), judged, asked, audience=audience, **_wanted(params)
    )
    rate = _RATE if params["rate"] is None else params["rate"]
    rate *= len(ports.servers) or 1
    return job, FleetPlan(ports, folders, selection, judged, rate, params["workers"] or default_workers())


def _wanted(params: dict[str, Any]) -> dict[str, Any]:
    wanted = {"rejudge": params["rejudge"], "retry": params["retry_failed"]}
    return wanted | ({"part": params["part"]} if params["part"] else {})


def _lists(params: dict[str, Any], settings: Settings) -> ListSetup | None:
    """The blocklists of the option. Raises InputError for those that are free for small users only."""
    setup = lists_of(params, settings, params["blocklists"] or ())
    if setup is None:
        return None
    known = load_rules(tuple(params["rules"]) or settings.rules).knowledge.blocklists
    if free := free_lists(setup, known):
        raise InputError(NOT_FOR_FLEETS(names=free))
    return setup


def _described(ports: Any, settings: Settings, lists: ListsWanted | None) -> dict[str, str]:
    """What facts depend on beside DNS, by the names of options and of the settings file."""
    mail = [asdict(settings.of("")), [asdict(each) for each in settings.domain], [*map(asdict, settings.waivers)]]
    return {
        "--zone": " ".join(map(str, ports.zones)),
        "--offline": "yes" if ports.offline else "",
        "--fetch": "yes" if ports.permissions.fetch else "",
        "--probe-smtp": "yes" if ports.permissions.probe_smtp else "",
        **({"--blocklists": " ".join((*lists.lists, *(each.id for each in lists.files)))} if lists else {}),
        "deliv.toml": digest(mail),
    }


def _done(job: FleetJob, plan: FleetPlan, address: str) -> FleetEnd:
    stop = Stop()
    with _interruptible(stop), contextlib.closing(_RunListener()) as listener:
        return fleet(job, _engine(plan, job.folder, address), listener, stop)


def _engine(plan: FleetPlan, folder: Path, address: str) -> Engine:
    if address:
        return Dask(plan, folder, address)
    return Processes(plan, folder)


@contextlib.contextmanager
def _interruptible(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C lets the shards in flight end, the second breaks off."""
    say = language().say

    def interrupted(number: int, frame: Any) -> None:
        key = "cli.fleet-cut-off" if stop.wanted else "cli.fleet-stopping"
        # Not by way of Python's stream, which may be just in use.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{say(key)}\n".encode())
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _RunListener:
    """Tells on the error stream how a run goes on; a line of progress on a terminal only."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._refused = 0
        self._crashes = 0

    def close(self) -> None:
        """The line of progress goes."""
        if self._progress is not None:
            click.echo(CLEAR, err=True, nl=False)

    def begun(self, left: int, before: FleetStatus) -> None:
        say = language().say
        if self._refused > _SHOWN:
            self._line(say("cli.more-problems", n=f"{self._refused - _SHOWN:,}"))
        if before.duplicates:
            self._line(say.count("cli.fleet-duplicates", before.duplicates))
        if before.done:
            self._line(say("cli.fleet-resumed", done=f"{before.done:,}", all=f"{before.domains:,}"))
        if on_terminal() and left:
            self._progress = Progress(left, time.monotonic())

    def refused(self, line: int, why: Detail) -> None:
        self._refused += 1
        if self._refused <= _SHOWN:
            say = language().say
            self._line(say("cli.fleet-refused", line=str(line), text=detail_words(why, say)))

    def damaged(self, why: Detail) -> None:
        say = language().say
        self._line(say("cli.warning", text=detail_words(why, say)))

    def done(self, domains: int) -> None:
        if self._progress is not None:
            self._progress.tick(time.monotonic(), domains)

    def crashed(self, trace: str) -> None:
        self._crashes += 1
        if self._crashes <= _SHOWN:
            what, _, rest = trace.partition(":\n")
            self._line(f"{language().say('cli.internal', what=what)}\n{rest}")

    def died(self, shard: int, *, lost: bool) -> None:
        self._line(language().say("cli.fleet-lost" if lost else "cli.fleet-died", shard=str(shard)))

    def _line(self, text: str) -> None:
        before = CLEAR if self._progress is not None else ""
        click.echo(before + "\n".join(map(visible, text.splitlines())), err=True)


def _tell(ended: FleetEnd, *, retried: bool) -> None:
    for line in status_lines(ended.status):
        click.echo(line)
    if ended.stopped:
        click.echo(language().say("cli.fleet-stopped"))
    elif ended.status.failed and not retried:
        click.echo(language().say("cli.fleet-retry"))
