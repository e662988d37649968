"""What `deliv watch` sees: a record at one server after the other."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from deliverability.model.codes import Detail


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
