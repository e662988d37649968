"""Resolvers that stop asking: the time budget of one subject, an offline run, no domain at all.

May import model and ports.
"""

from __future__ import annotations

import asyncio

from deliverability.model.facts import Reason
from deliverability.ports.base import Answer, Failed, Resolver
from deliverability.ports.names import canonical


class BudgetResolver:
    """A time budget over a resolver, for one domain: `seconds` after the first question everything is Failed(timeout).

    The base is shared with other domains: it goes on, and :meth:`close` leaves it open.
    """

    def __init__(self, base: Resolver, seconds: float) -> None:
        self._base = base
        self._seconds = seconds
        self._deadline: float | None = None

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask the base as long as there is time."""
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._seconds
        if now < self._deadline:
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await self._base.query(name, rdtype)
            except TimeoutError:
                pass
        detail = f"time budget of {self._seconds:g} s used up"
        return Failed(canonical(name), rdtype.upper(), Reason.TIMEOUT, detail)

    async def close(self) -> None:
        """Nothing of its own to release."""


class RefusingResolver:
    """Asks nobody: every question is Failed for one reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self._reason = reason
        self._detail = detail

    async def query(self, name: str, rdtype: str) -> Answer:
        """Say that nobody was asked, and why."""
        return Failed(canonical(name), rdtype.upper(), self._reason, self._detail)

    async def close(self) -> None:
        """Nothing to release."""


def offline_resolver() -> RefusingResolver:
    """For a run that must not ask anybody."""
    return RefusingResolver(Reason.OFFLINE, "not asked: offline")


def domainless_resolver() -> RefusingResolver:
    """For a message without a usable author domain, where the user named no domain either."""
    return RefusingResolver(Reason.NOT_CONFIGURED, "no domain: the message names none and none was given")
