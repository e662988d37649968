"""Changes of zones, for programs: `diff` in its own words, and `read_zone`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from deliverability.api import given
from deliverability.core.inputs import parse_domain
from deliverability.core.model.rules import RuleSet, Selection
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.net.zones.base import Reading, ZoneInput
from deliverability.core.net.zones.over import read_zone as read
from deliverability.differences.run import Diff, differences
from deliverability.differences.sides import Sides, base_of, of_inputs, of_paths, with_base

PathGiven = str | os.PathLike[str]
ZoneGiven = PathGiven | ZoneInput

LIVE, OFFLINE = "live", "offline"


def read_zone(path_or_text: PathGiven, *, format: str | None = None, origin: str | None = None) -> ZoneInput:  # noqa: A002
    """Read a zone or plan of any of the seven formats into one normal form.

    Args:
        path_or_text: where it stands: a file, or a folder of octoDNS; or itself, as a text of JSON or of several lines.
        format: ``bind``, ``octodns``, ``octodns-plan``, ``dnscontrol``, ``terraform-plan``, ``route53`` or
            ``cloudflare``; None: as its content shows.
        origin: the zone, where the file does not say it.

    Raises InputError where it cannot be used, with what to give instead.

    """
    with given.input_errors():
        name = None if format is None else given.text("format", format)
        zone = None if origin is None else given.text("origin", origin)
        is_text = isinstance(path_or_text, str) and ("\n" in path_or_text or path_or_text.lstrip()[:1] in ("{", "["))
        return read(path_or_text if is_text else given.path("path_or_text", path_or_text), format=name, origin=zone)


async def compared(
    old: object,
    new: object,
    base: object,
    domains: object,
    message: object,
    accept: object,
    *,
    ports: Ports,
    rules: RuleSet,
) -> Diff:
    """What `Session.diff_async` gives; `ports` are asked where `base` is ``live``. Raises InputError."""
    base = given.text("base", base) if isinstance(base, str) else base
    sides = await asyncio.to_thread(_sides, old, new)
    names = None if domains is None else given.many("domains", domains, given.text, str)
    with given.about("domains"):
        wanted = None if names is None else [parse_domain(each) for each in names]
    accepted = given.many("accept", accept, given.text, str)
    samples = [] if message is None else [given.message("message", message)]
    below = ports if isinstance(base, str) and base == LIVE else await asyncio.to_thread(_ports, base)
    if not (isinstance(base, str) and base in (LIVE, OFFLINE)):
        sides = await asyncio.to_thread(with_base, sides, given.path("base", base), Reading())
    try:
        return await differences(sides, below, rules, Selection(), samples=samples, domains=wanted, accepted=accepted)
    finally:
        if below is not ports:
            await below.close()


def _sides(old: object, new: object) -> Sides:
    if isinstance(old, ZoneInput) or isinstance(new, ZoneInput):
        return of_inputs(_input("old", old), None if new is None else _input("new", new))
    return of_paths(given.path("old", old), None if new is None else given.path("new", new), Reading())


def _input(name: str, value: object) -> ZoneInput:
    return value if isinstance(value, ZoneInput) else read(given.path(name, value))


def _ports(base: object) -> Ports:
    if isinstance(base, str) and base == OFFLINE:
        return open_ports(PortSettings(offline=True))
    path: Path = given.path("base", base)
    zones = base_of(path, Reading())
    assert zones is not None  # noqa: S101 - None is live DNS
    return Ports(zones, SystemClock(), sources=("zone",))
