"""Addresses for tests: ``t-TOKEN@HOST``, each reserved for a while. A public listener takes mail to no other."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

from msgspec import Struct

LIFE = timedelta(hours=1)
MAX_RESERVED = 10_000
_LOCAL = re.compile(r"t-([0-9a-z]{26})", re.IGNORECASE)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Reservation(Struct, frozen=True):
    """An address that takes mail until `until`."""

    address: str
    until: datetime


class Reservations:
    """Who may be written to at one host. Tokens have 130 bits, and mail servers may fold their case."""

    def __init__(self, host: str) -> None:
        self.host = host.lower()
        self._until: dict[str, datetime] = {}

    def reserve(self, now: datetime) -> Reservation | None:
        """A new address; None where too many are reserved already."""
        self._forget(now)
        if len(self._until) >= MAX_RESERVED:
            return None
        token = "".join(secrets.choice(_ALPHABET) for _ in range(26))
        self._until[token] = now.astimezone(UTC) + LIFE
        return Reservation(f"t-{token}@{self.host}", self._until[token])

    def takes(self, address: str, now: datetime) -> bool:
        """Whether the address is reserved."""
        local, _, host = address.rpartition("@")
        found = _LOCAL.fullmatch(local)
        if found is None or host.lower() != self.host:
            return False
        return self._until.get(found[1].lower(), now) > now

    def _forget(self, now: datetime) -> None:
        for token in [token for token, until in self._until.items() if until <= now]:
            del self._until[token]
