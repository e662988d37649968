"""`diff` and `diff_async`: the comparison for programs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from deliverability.core.codes import Code
from deliverability.core.errors import NO_SUCH_FILE, InputError
from deliverability.core.inputs import Sample, parse_domain
from deliverability.core.net.base import Resolver
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.net.zones.base import Reading, ZoneInput
from deliverability.core.net.zones.inputs import read_zone
from deliverability.core.rules.judge import Selection
from deliverability.differences.run import Diff, differences
from deliverability.differences.sides import Sides, base_of, of_inputs, of_paths
from deliverability.engine.rules import load_rules

USE_ASYNC = Code("diff-use-async")
NOT_A_ZONE = Code("diff-not-a-zone", ("kind",))

PathGiven = str | os.PathLike[str]
ZoneGiven = PathGiven | ZoneInput


class HasResolver(Protocol):
    """A session: what it asks is asked here as well."""

    @property
    def resolver(self) -> Resolver:
        """What the session asks."""
        ...


def diff(
    old: ZoneGiven,
    new: ZoneGiven | None = None,
    *,
    base: PathGiven = "live",
    domains: Iterable[str] | None = None,
    message: bytes | PathGiven | None = None,
    session: HasResolver | None = None,
) -> Diff:
    """Say what a change of zones does to mail, receiver by receiver.

    Args:
        old: the zone as it is: a file, a folder, or what `read_zone` gave; or a plan, which has both sides.
        new: the zone as it will be; None: `old` is a plan.
        base: what is asked about all else: ``live``, ``offline``, or zone files.
        domains: these only; None: all whose mail the change may touch.
        message: a message, its octets or its file, which is audited with its domain.
        session: whose resolver is asked in place of the system's, where `base` is ``live``.

    Raises InputError where something cannot be used, and within an event loop, where `diff_async` has to be used.

    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        work = diff_async(old, new, base=base, domains=domains, message=message, session=session)
    else:
        raise InputError(USE_ASYNC())
    return asyncio.run(work)


async def diff_async(
    old: ZoneGiven,
    new: ZoneGiven | None = None,
    *,
    base: PathGiven = "live",
    domains: Iterable[str] | None = None,
    message: bytes | PathGiven | None = None,
    session: HasResolver | None = None,
) -> Diff:
    """The same within an event loop."""
    sides = await asyncio.to_thread(_sides, old, new)
    names = [domains] if isinstance(domains, str) else domains
    wanted = None if names is None else [parse_domain(each) for each in names]
    samples = [] if message is None else [_sample(message)]
    rules = await asyncio.to_thread(load_rules)
    ports = _ports(base, session)
    try:
        return await differences(sides, ports, rules, Selection(), samples=samples, domains=wanted)
    finally:
        if session is None or base != "live":
            await ports.close()


def _sides(old: ZoneGiven, new: ZoneGiven | None) -> Sides:
    if isinstance(old, ZoneInput) or isinstance(new, ZoneInput):
        return of_inputs(_input(old), None if new is None else _input(new))
    return of_paths(_path(old), None if new is None else _path(new), Reading())


def _input(given: ZoneGiven) -> ZoneInput:
    return given if isinstance(given, ZoneInput) else read_zone(_path(given))


def _path(given: object) -> Path:
    """Raises InputError."""
    if not isinstance(given, str | os.PathLike):
        raise InputError(NOT_A_ZONE(kind=type(given).__name__))
    try:
        path = Path(given)
        there = path.exists()
    except (TypeError, ValueError, OSError):
        raise InputError(NO_SUCH_FILE(name=str(given)[:200])) from None
    if not there:
        raise InputError(NO_SUCH_FILE(name=str(path)))
    return path


def _sample(message: bytes | PathGiven) -> Sample:
    if isinstance(message, bytes):
        return Sample("message", data=message)
    path = _path(message)
    return Sample(str(path), path=path)


def _ports(base: PathGiven, session: HasResolver | None) -> Ports:
    if str(base) == "offline":
        return open_ports(PortSettings(offline=True))
    zones = base_of(base, Reading())
    if zones is not None:
        return Ports(zones, SystemClock(), sources=("zone",))
    if session is not None:
        return Ports(session.resolver, SystemClock(), sources=("resolver",))
    return open_ports(PortSettings())
