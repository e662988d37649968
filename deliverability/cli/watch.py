"""`deliv watch`: is a record that was just published visible yet?"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.cli.command import Command
from deliverability.cli.options import (
    config_option,
    lang_option,
    plain_errors,
    resolver_option,
    rule_problems,
)
from deliverability.cli.types import NumberType
from deliverability.model.codes import Code
from deliverability.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deliverability.model.watch import Look, WatchedServer, Zone
    from deliverability.ports.base import Resolver
    from deliverability.ports.overlay import Proposal
    from deliverability.words.phrases import Phrases

UNDELEGATED = Code("watch-undelegated", ("name",))


@click.command("watch", cls=Command)
@click.argument("name", metavar="NAME")
@click.argument("rdtype", metavar="TYPE")
@click.argument("value", metavar="VALUE", nargs=-1, required=True)
@click.option("--timeout", type=NumberType(float, 0, 86_400), default=600.0, metavar="SECONDS")
@resolver_option
@config_option
@lang_option
def command(
    name: str,
    rdtype: str,
    value: tuple[str, ...],
    timeout: float,
    resolver: tuple[str, ...],
    config: Path | None,
    lang: str,
) -> int:
    """Wait until a record that was published is visible: at all authoritative servers, then at public resolvers."""
    with plain_errors(), rule_problems():
        from deliverability.cli.inputs import read_settings
        from deliverability.model.watch import WatchedServer
        from deliverability.ports.overlay import parse_record
        from deliverability.runs.rules import load_rules
        from deliverability.words.phrases import phrases

        settings = read_settings(config)
        say = phrases(lang)
        record = parse_record(name, rdtype, " ".join(value))
        known = load_rules(settings.rules).knowledge.outside.resolvers.items()
        public = [WatchedServer(each, each) for each in resolver] or [WatchedServer(*each) for each in known]
        return asyncio.run(_watch(record, timeout, public, tuple(resolver or settings.resolvers), say))


def ask(address: str) -> Resolver:
    """Asks one server and forgets the answer, so that the next look sees what is there then. Raises InputError."""
    from deliverability.ports.dns import LiveResolver
    from deliverability.ports.servers import parse_server

    return LiveResolver([parse_server(address)], cache_size=0)


async def _watch(
    record: Proposal, seconds: float, public: Sequence[WatchedServer], resolvers: Sequence[str], say: Phrases
) -> int:
    from deliverability.cli.inputs import opened
    from deliverability.ports.clock import SystemClock
    from deliverability.runs.watch import UndelegatedError, WallTimer, Watch, find_zone
    from deliverability.words.details import detail_words

    ports = opened(servers=resolvers)
    try:
        zone = await find_zone(record.name, ports.dns)
    except UndelegatedError as error:
        if error.detail is None:
            raise InputError(UNDELEGATED(name=record.name)) from None
        click.echo(say("watch.no-zone", name=record.name, why=detail_words(error.detail, say)), err=True)
        return 3
    finally:
        await ports.close()
    printer = _Printer(zone, public, say)
    printer.begin()
    async for look in Watch(record, ask, SystemClock(), WallTimer()).looks(zone, public, seconds):
        printer.show(look)
    return printer.end()


class _Printer:
    """Prints who is asked, then the line of each server, again only where it has changed."""

    def __init__(self, zone: Zone, public: Sequence[WatchedServer], say: Phrases) -> None:
        from deliverability.cli.output import terminal

        self._zone, self._public, self._say = zone, public, say
        self._unicode: bool = terminal()["unicode"]
        self._lines: dict[WatchedServer, str] = {}
        self._there = 0
        self._waiting = ""

    def begin(self) -> None:
        """Name everybody before anybody is asked."""
        from deliverability.render.watch import server_names

        say = self._say
        _line(say("watch.authoritative", zone=self._zone.name, servers=server_names(self._zone.servers, say)))
        _line(say("watch.public", servers=server_names(self._public, say)))

    def show(self, look: Look) -> None:
        """Print what has changed, and on a terminal how long the wait is."""
        from deliverability.model.watch import SightState
        from deliverability.render.watch import sight_line
        from deliverability.words.sentences import duration

        click.echo(_blank(self._waiting), err=True, nl=False)
        self._waiting = ""
        for sight in look.sights:
            shown = sight_line(sight, self._say, authoritative=look.authoritative, unicode=self._unicode)
            if self._lines.get(sight.server) != shown:
                _line(shown)
            self._lines[sight.server] = shown
        if look.authoritative:
            self._there = sum(each.state is SightState.VISIBLE for each in look.sights)
        if look.wait and sys.stderr.isatty():
            self._waiting = self._say("watch.waiting", span=duration(look.wait, self._say))
            click.echo(self._waiting, err=True, nl=False)

    def end(self) -> int:
        """The last line, and the exit code."""
        all_of_them = len(self._zone.servers)
        if self._there == all_of_them:
            _line(self._say.count("watch.done", all_of_them))
            return 0
        _line(self._say("watch.time-up", n=str(self._there), all=str(all_of_them)))
        return 3


def _line(text: str) -> None:
    from deliverability.cli.output import show

    show(f"{text}\n")


def _blank(text: str) -> str:
    """What wipes a line of a terminal that holds the text; wide characters take two columns."""
    return f"\r{' ' * (2 * len(text))}\r" if text else ""
