"""Chooses where answers come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.model.blocklists import ListKeys
from deliverability.core.net.base import HttpFetcher, Resolver, SmtpProber
from deliverability.core.net.clock import SECONDS, Budget, FixedClock, SystemClock
from deliverability.core.net.overlay import parse_proposal
from deliverability.core.net.pace import ListResolver
from deliverability.core.net.ports import Journal, Permissions, Ports
from deliverability.core.net.servers import parse_server
from deliverability.core.net.static import OFFLINE

T = TypeVar("T")

CONTRADICTION = Code("settings-contradict", ("names",))


class SettingError(InputError):
    """Settings that cannot be used: `names` are fields of PortSettings and Permissions.

    `problem` is what is the matter with the first of them; None: they contradict each other.
    """

    def __init__(self, names: Sequence[str], problem: Detail | None = None) -> None:
        super().__init__(ABOUT(what=names[0], detail=problem) if problem else CONTRADICTION(names=tuple(names)))
        self.names = tuple(names)
        self.problem = problem

    def named(self, called: Mapping[str, str]) -> SettingError:
        """The same, its settings called as the user knows them."""
        return SettingError([called[name] for name in self.names], self.problem)


class PortSettings(Struct, frozen=True):
    """Where the answers of a run come from: live DNS, unless zone files, a recording or nothing at all are named.

    Attributes:
        zones: zone files and plans, or folders of them; parts of zones lie over the whole ones, else over live DNS.
        servers: resolvers to ask, as `parse_server` reads them; without any, those of this machine.
        offline: ask nobody; with zone files it goes without saying.
        replay: a recording to answer from.
        proposals: proposed records, as ports.overlay.parse_proposal reads them, laid over the answers.
        record: keep all answers, so that ports.recording can write them down.
        seconds: time budget of one subject.
        permissions: what else may be asked.
        lists: block lists will be asked.
        list_server: the resolver that is asked about them; empty: the one that is asked about the rest.
        list_keys: keys of block lists.
        keep_zones: what zone files hold is kept in the user's cache folder, see zone.ZoneResolver.
        zone_format: what the zone files are, one of zones.FORMATS; empty: as their content shows.
        zone_origins: the zones of names that a file has without theirs.
        zone_tag: which of several views of one zone in a file.
        other_servers: resolvers below parts of zones, where `servers` names none.

    Raises:
        SettingError: where two of them cannot hold together.

    """

    zones: Sequence[Path] = ()
    servers: Sequence[str] = ()
    offline: bool = False
    replay: Path | None = None
    proposals: Sequence[str] = ()
    record: bool = False
    seconds: float = SECONDS
    permissions: Permissions = field(default_factory=Permissions)
    lists: bool = False
    list_server: str = ""
    list_keys: ListKeys = ListKeys()
    keep_zones: bool = False
    zone_format: str = ""
    zone_origins: Sequence[str] = ()
    zone_tag: str = ""
    other_servers: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        given = {"zones": self.zones, "servers": self.servers, "offline": self.offline, "replay": self.replay}
        places = tuple(name for name, value in given.items() if value)
        # A part of a zone lies over what servers answer; whether zones are whole only their files say.
        if len(places) > 1 and places not in (("zones", "offline"), ("zones", "servers")):
            raise SettingError(places)
        if self.record and self.replay:
            raise SettingError(("record", "replay"))
        if self.offline:
            self.refuse_permissions("offline")

    def refuse_permissions(self, place: str) -> None:
        """Raises SettingError where something may be asked though all answers come from `place`."""
        for name in ("fetch", "probe_smtp", "one_click"):
            if getattr(self.permissions, name):
                raise SettingError((name, place))


def open_ports(settings: PortSettings | None = None) -> Ports:
    """The ports of a run. Raises InputError where a file, a resolver or a proposed record cannot be used."""
    settings = settings or PortSettings()
    ports = replace(_opened(settings), budget=Budget(settings.seconds))
    if settings.proposals:
        proposals = _each(parse_proposal, settings.proposals, "proposals")
        ports = replace(ports, proposals=proposals, sources=tuple(dict.fromkeys((*ports.sources, "with"))))
    if settings.record:
        # The clock of a recorded run stands still at the moment that the recording carries.
        ports = replace(ports, journal=Journal(), clock=FixedClock(ports.clock.now()))
    return ports


def _each(parse: Callable[[str], T], texts: Sequence[str], name: str) -> tuple[T, ...]:
    try:
        return tuple(parse(text) for text in texts)
    except InputError as error:
        raise SettingError((name,), error.detail) from None


def _opened(settings: PortSettings) -> Ports:
    if settings.replay:
        from deliverability.core.net.recording import replaying

        ports = replaying(settings.replay)
        return replace(ports, permissions=ports.permissions | settings.permissions)
    if settings.zones:
        from deliverability.core.net.zones.over import open_zones, reading_of

        reading = reading_of(settings.zone_format, settings.zone_origins, settings.zone_tag)
        zones = open_zones(settings.zones, reading, keep=settings.keep_zones)
        if zones.whole is not None and settings.servers:
            raise SettingError(("zones", "servers"))
        if zones.whole is not None:
            settings.refuse_permissions("zones")
            lists = _keyed(zones.whole, settings.list_keys) if settings.list_keys.pairs else None
            ports = Ports(zones.whole, sources=("zone",), zones=zones.whole, lists=lists)
        else:
            below = settings if settings.servers else replace(settings, zones=(), servers=settings.other_servers)
            ports = Ports(OFFLINE, sources=("offline",)) if settings.offline else _live(below)
        if zones.parts:
            ports = replace(ports, dns=zones.over(ports.dns), sources=(*ports.sources, "plan"))
        return replace(ports, remarks=zones.remarks)
    if settings.offline:
        return Ports(OFFLINE, sources=("offline",))
    return _live(settings)


def _live(settings: PortSettings) -> Ports:
    from deliverability.core.net.dns import LiveResolver

    clock = SystemClock()
    dns = LiveResolver(_each(parse_server, settings.servers, "servers") or None, clock=clock)
    http: HttpFetcher = OFFLINE
    smtp: SmtpProber = OFFLINE
    if settings.permissions.fetch or settings.permissions.one_click:
        from deliverability.core.net.http import WebFetcher

        http = WebFetcher(clock)
    if settings.permissions.probe_smtp:
        from deliverability.core.net.smtp import LiveProber

        smtp = LiveProber(clock)
    lists: Resolver | None = None
    if settings.lists:
        server = _each(parse_server, [settings.list_server], "list_server") if settings.list_server else None
        asked = LiveResolver(server, clock=clock) if server else dns
        lists = ListResolver(asked, settings.list_keys, known=asked)
    return Ports(dns, clock, http, smtp, settings.permissions, ("live",), lists=lists)


def _keyed(zones: Resolver, keys: ListKeys) -> Resolver:
    return ListResolver(zones, keys)
