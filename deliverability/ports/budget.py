"""Resolvers that stop asking: the time budget of one subject, an offline run, no domain at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from deliverability.model.facts import Reason
from deliverability.ports.base import (
    Answer,
    Failed,
    Fetched,
    HttpFetcher,
    NoMailHost,
    NoPage,
    Probed,
    Resolver,
    SmtpProber,
)
from deliverability.ports.names import canonical

T = TypeVar("T")


class Budget:
    """The time of one subject, over all that it asks and computes: it begins when it is first asked about."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: float | None = None

    @property
    def spent(self) -> bool:
        """Whether the time is over: whoever has much to compute looks here between the steps."""
        end = self._end()
        return asyncio.get_running_loop().time() >= end

    @property
    def detail(self) -> str:
        """What is said of that for which there was no time."""
        return f"time budget of {self._seconds:g} s used up"

    async def within(self, work: Awaitable[T]) -> T | None:
        """What `work` gives; None where the time is over before."""
        try:
            async with asyncio.timeout_at(self._end()):
                return await work
        except TimeoutError:
            return None

    def _end(self) -> float:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        return self._deadline


class BudgetResolver:
    """A resolver under a time budget: once that is spent everything is Failed(timeout).

    The base is shared with other domains: it goes on, and :meth:`close` leaves it open.
    """

    def __init__(self, base: Resolver, budget: Budget) -> None:
        self._base = base
        self._budget = budget

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask the base as long as there is time."""
        answer = None if self._budget.spent else await self._budget.within(self._base.query(name, rdtype))
        return answer or Failed(canonical(name), rdtype.upper(), Reason.TIMEOUT, self._budget.detail)

    async def close(self) -> None:
        """Nothing of its own to release."""


class BudgetFetcher:
    """A fetcher under a time budget."""

    def __init__(self, base: HttpFetcher, budget: Budget) -> None:
        self._base = base
        self._budget = budget

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """Get the file as long as there is time."""
        work = self._base.fetch(url, resolver, redirects=redirects)
        return await self._budget.within(work) or NoPage(url, Reason.TIMEOUT, self._budget.detail)

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """Post the form as long as there is time."""
        work = self._base.post(url, form, resolver)
        return await self._budget.within(work) or NoPage(url, Reason.TIMEOUT, self._budget.detail)


class BudgetProber:
    """A prober of mail servers under a time budget."""

    def __init__(self, base: SmtpProber, budget: Budget) -> None:
        self._base = base
        self._budget = budget

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """Look at the host as long as there is time."""
        work = self._base.probe(host, resolver)
        return await self._budget.within(work) or NoMailHost(host, Reason.TIMEOUT, self._budget.detail)


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
