"""Whether a record that was just published is visible: at the authoritative servers first, then at public resolvers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from deliverability.model.codes import Detail
from deliverability.model.watch import Look, Sight, SightState, WatchedServer, Zone
from deliverability.ports.base import Clock, Failed, Found, Resolver
from deliverability.ports.hosts import NoAnswerError, address_of
from deliverability.ports.overlay import Proposal
from deliverability.ports.public import is_public
from deliverability.protocols.dmarc.psl import is_public_suffix

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


async def find_zone(name: str, resolver: Resolver, *, allowed: Callable[[str], bool] = is_public) -> Zone:
    """The zone of a name and its servers: that of the nearest name above, or itself, which has NS records.

    Args:
        name: in the spelling of answers.
        resolver: whom to ask for them.
        allowed: which addresses may be asked; DNS chooses them, perhaps to lead us into a network of ours.

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
            return Zone(zone, tuple(await asyncio.gather(*(_server(host, resolver, allowed) for host in hosts))))
    raise UndelegatedError(failed)


async def _server(host: str, resolver: Resolver, allowed: Callable[[str], bool]) -> WatchedServer:
    try:
        return WatchedServer(host, await address_of(host, resolver, allowed))
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
