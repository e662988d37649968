"""`deliv watch`: is a record that was just published visible yet?"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import click
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.inputs import opened, read_settings
from deliverability.console.options import config_option, lang_option, resolver_option
from deliverability.console.output import show, terminal
from deliverability.console.types import NumberType
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.net.base import Clock, Failed, Found, Resolver
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.overlay import Proposal, parse_record
from deliverability.core.net.public import NoAnswerError, address_of, is_public
from deliverability.core.net.servers import parse_server
from deliverability.core.phrases import Phrases, detail_words, phrases
from deliverability.core.protocols.psl import is_public_suffix
from deliverability.core.words.sentences import duration, shortened, visible
from deliverability.engine.rules import load_rules


class WatchedServer(Struct, frozen=True):
    """Whom to ask: its name, and its address or URL; where it has none that can be asked, why."""

    name: str
    address: str = ""
    problem: Detail | None = None


class Zone(Struct, frozen=True):
    """The zone that a name is in, and its authoritative servers."""

    name: str
    servers: tuple[WatchedServer, ...]


class SightState(StrEnum):
    """What a server has: the record; other ones of the type; a CNAME instead; none; or it could not be told."""

    VISIBLE = "visible"
    OTHER = "other"
    ALIAS = "alias"
    NONE = "none"
    UNKNOWN = "unknown"


class Sight(Struct, frozen=True):
    """What one server answered.

    Attributes:
        server: who.
        state: what it has.
        values: the records beside the one that is looked for; with ALIAS the names it leads to.
        ttl: seconds for which caches keep this answer.
        until: when that ends.
        problem: why it could not be told.

    """

    server: WatchedServer
    state: SightState
    values: tuple[str, ...] = ()
    ttl: int = 0
    until: datetime | None = None
    problem: Detail | None = None


class Look(Struct, frozen=True):
    """All servers of a kind, asked at the same time.

    Attributes:
        sights: what each answered.
        authoritative: whether they are those of the zone; else they are public resolvers.
        wait: seconds until the next look; 0: there is none.

    """

    sights: tuple[Sight, ...]
    authoritative: bool
    wait: float = 0.0

    @property
    def visible(self) -> bool:
        """Whether every server has the record."""
        return all(each.state is SightState.VISIBLE for each in self.sights)


FIRST_WAIT = 5.0  # seconds between looks at first, then twice as long each time up to
LONGEST_WAIT = 60.0

Ask = Callable[[str], Resolver]
"""Gives a resolver that asks the server at that address, and keeps no answers."""


class Timer(Protocol):
    """Time that passes, so that tests need not wait for it."""

    def seconds(self) -> float:
        """Seconds since some moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class WallTimer:
    """The time of this machine."""

    def seconds(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class UndelegatedError(Exception):
    """No zone holds the name: `detail` is how DNS failed; None: the domain does not exist."""

    def __init__(self, detail: Detail | None) -> None:
        super().__init__(detail.code if detail else "")
        self.detail = detail


async def find_zone(name: str, resolver: Resolver) -> Zone:
    """The zone of a name and its servers: that of the nearest name above, or itself, which has NS records.

    Args:
        name: in the spelling of answers.
        resolver: whom to ask for them.

    Raises:
        UndelegatedError: there is none, or only one that belongs to a registry.

    """
    labels = name.split(".")
    failed: Detail | None = None
    for start in range(len(labels)):
        zone = ".".join(labels[start:])
        if is_public_suffix(zone):
            break
        answer = await resolver.query(zone, "NS")
        if isinstance(answer, Failed):
            failed = failed or answer.question
        # Behind a CNAME these are the servers of another zone.
        if isinstance(answer, Found) and not answer.chain:
            hosts = sorted(answer.values)
            return Zone(zone, tuple(await asyncio.gather(*(_server(host, resolver) for host in hosts))))
    raise UndelegatedError(failed)


async def _server(host: str, resolver: Resolver) -> WatchedServer:
    # DNS chooses the address, perhaps to lead us into a network of ours.
    try:
        return WatchedServer(host, await address_of(host, resolver, is_public))
    except NoAnswerError as error:
        return WatchedServer(host, problem=error.detail)


class Watch(Struct, frozen=True):
    """A record, and how its servers are asked.

    Attributes:
        record: what is to become visible.
        ask: see Ask.
        clock: for the moments at which caches forget.
        timer: for the time that passes.

    """

    record: Proposal
    ask: Ask
    clock: Clock
    timer: Timer

    async def looks(self, zone: Zone, resolvers: Sequence[WatchedServer], seconds: float) -> AsyncIterator[Look]:
        """Look until every authoritative server has the record or the time is up, then once at the resolvers.

        The resolvers are asked only where all servers have it: a resolver that asks too early keeps the old answer, and
        then it is we who made it late.
        """
        end = self.timer.seconds() + seconds
        wait = FIRST_WAIT
        while True:
            sights = await self._all(zone.servers)
            left = end - self.timer.seconds()
            look = Look(sights, authoritative=True)
            if look.visible or left <= 0:
                yield look
                break
            pause = min(wait, left)
            yield Look(sights, authoritative=True, wait=pause)
            await self.timer.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT)
        if look.visible and resolvers:
            yield Look(await self._all(resolvers), authoritative=False)

    async def _all(self, servers: Sequence[WatchedServer]) -> tuple[Sight, ...]:
        return tuple(await asyncio.gather(*(self._sight(each) for each in servers)))

    async def _sight(self, server: WatchedServer) -> Sight:
        if server.problem is not None:
            return Sight(server, SightState.UNKNOWN, problem=server.problem)
        resolver = self.ask(server.address)
        try:
            return await self._look_at(server, resolver)
        finally:
            await resolver.close()

    async def _look_at(self, server: WatchedServer, resolver: Resolver) -> Sight:
        name, rdtype, value = self.record.name, self.record.rdtype, self.record.value
        answer = await resolver.query(name, rdtype)
        state = SightState.NONE
        values: tuple[str, ...] = ()
        if isinstance(answer, Found):
            state = SightState.VISIBLE if value in answer.values else SightState.OTHER
            values = tuple(each for each in answer.values if each != value)
        elif isinstance(answer, Failed) or answer.chain:
            # A server knows no more of a CNAME into another zone than where it leads.
            alias = await resolver.query(name, "CNAME") if rdtype != "CNAME" else answer
            if isinstance(alias, Found):
                answer, state, values = alias, SightState.ALIAS, alias.values
        if isinstance(answer, Failed):
            return Sight(server, SightState.UNKNOWN, problem=answer.question)
        return Sight(server, state, values, answer.ttl, self.clock.now() + timedelta(seconds=answer.ttl))


_MARKS = {
    SightState.VISIBLE: ("✓", "+"),
    SightState.OTHER: ("✗", "x"),
    SightState.ALIAS: ("✗", "x"),
    SightState.NONE: ("✗", "x"),
    SightState.UNKNOWN: ("?", "?"),
}


def server_name(server: WatchedServer, say: Phrases) -> str:
    """A server with its address."""
    name = visible(server.name)
    apart = server.address not in ("", server.name)
    return name + (say("punctuation.aside", text=visible(server.address)) if apart else "")


def server_names(servers: Sequence[WatchedServer], say: Phrases) -> str:
    """Servers as a list."""
    return say("value.separator").join(server_name(each, say) for each in servers)


def sight_line(sight: Sight, say: Phrases, *, authoritative: bool, unicode: bool) -> str:
    """One server: its mark and what it has; a resolver's old answer with the time at which it ends, local time."""
    fancy, plain = _MARKS[sight.state]
    values = say("value.separator").join(visible(shortened(each, 120)) for each in sight.values)
    if sight.state is SightState.VISIBLE and values:
        text = say("watch.sight.visible-among", values=values)
    else:
        why = visible(detail_words(sight.problem, say)) if sight.problem else ""
        text = say(f"watch.sight.{sight.state.value}", values=values, why=why)
    if sight.state in (SightState.OTHER, SightState.ALIAS, SightState.NONE) and sight.until is not None:
        time = {"span": duration(sight.ttl, say), "time": sight.until.astimezone().strftime("%H:%M")}
        text += say("punctuation.aside", text=say("watch.kept" if authoritative else "watch.until", **time))
    return f"{fancy if unicode else plain} {server_name(sight.server, say)}{say('punctuation.colon')}{text}"


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
    settings = read_settings(config)
    say = phrases(lang)
    record = parse_record(name, rdtype, " ".join(value))
    known = load_rules(settings.rules).knowledge.outside.resolvers.items()
    public = [WatchedServer(each, each) for each in resolver] or [WatchedServer(*each) for each in known]
    return asyncio.run(_watch(record, timeout, public, tuple(resolver or settings.resolvers), say))


def ask(address: str) -> Resolver:
    """Asks one server and forgets the answer, so that the next look sees what is there then. Raises InputError."""
    return LiveResolver([parse_server(address)], cache_size=0)


async def _watch(
    record: Proposal, seconds: float, public: Sequence[WatchedServer], resolvers: Sequence[str], say: Phrases
) -> int:
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
        self._zone, self._public, self._say = zone, public, say
        self._unicode: bool = terminal()["unicode"]
        self._lines: dict[WatchedServer, str] = {}
        self._there = 0
        self._waiting = ""

    def begin(self) -> None:
        """Name everybody before anybody is asked."""
        say = self._say
        _line(say("watch.authoritative", zone=self._zone.name, servers=server_names(self._zone.servers, say)))
        _line(say("watch.public", servers=server_names(self._public, say)))

    def show(self, look: Look) -> None:
        """Print what has changed, and on a terminal how long the wait is."""
        if self._waiting:  # it is wiped; wide characters take two columns
            click.echo(f"\r{' ' * (2 * len(self._waiting))}\r", err=True, nl=False)
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
        _line(self._say("watch.time-up", n=f"{self._there:,}", all=f"{all_of_them:,}"))
        return 3


def _line(text: str) -> None:
    show(f"{text}\n")
