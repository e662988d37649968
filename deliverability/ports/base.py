"""The protocols through which auditors see the world, and the plain values these answer with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deliverability.model.facts import Reason


@dataclass(frozen=True, slots=True)
class Found:
    r"""The name has records of the asked type.

    Attributes:
        name: the name asked, lower case, no trailing dot.
        rdtype: the type asked, upper case.
        values: one string a record, in answer order: TXT with its strings joined, MX as ``10 host``,
            names lower case without trailing dot, the root as ``.``. Octets outside UTF-8 are shown as ``\xNN``.
        ttl: seconds.
        chain: names the answer was reached through by CNAME, the asked name not included.
        string_octets: for TXT, the length in octets of each character-string of each record.
        at: when it was answered, ISO 8601 in UTC.
        server: who answered, for the evidence.

    """

    name: str
    rdtype: str
    values: tuple[str, ...]
    ttl: int = 0
    chain: tuple[str, ...] = ()
    string_octets: tuple[tuple[int, ...], ...] = ()
    at: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """An authoritative "there is none": the name does not exist (`nxdomain`) or has no such records."""

    name: str
    rdtype: str
    nxdomain: bool
    ttl: int = 0
    chain: tuple[str, ...] = ()
    at: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nobody could say. Never to be treated as Absent."""

    name: str
    rdtype: str
    reason: Reason
    detail: str = ""
    at: str = ""
    server: str = ""


Answer = Found | Absent | Failed


class Resolver(Protocol):
    """Answers DNS questions. Never raises for what DNS can answer; a bad name is Absent(nxdomain)."""

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask for `rdtype` records at `name` (A-labels, with or without trailing dot)."""
        ...

    async def close(self) -> None:
        """Release sockets. The resolver is not used afterwards."""
        ...


class Clock(Protocol):
    """The time, so that a replayed run sees the recorded one."""

    def now(self) -> datetime:
        """The current time, timezone-aware, UTC."""
        ...
