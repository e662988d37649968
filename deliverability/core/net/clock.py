"""The time, real or fixed."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


class FixedClock(Struct, frozen=True):
    """A clock that stands still at `moment` (timezone-aware)."""

    moment: datetime

    def now(self) -> datetime:
        """Always the same time, in UTC."""
        return self.moment.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """A time as the reports write it: ISO 8601, UTC, whole seconds, ``Z``."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
