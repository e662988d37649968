"""Ports that ask nobody: an offline run, no domain at all."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from deliverability.model.codes import Code, Detail
from deliverability.model.facts import Reason
from deliverability.ports.base import (
    Answer,
    DnsQuestion,
    Failed,
    Fetched,
    Get,
    Post,
    Probe,
    Probed,
    Resolver,
    Signed,
    SignedQuestion,
)
from deliverability.ports.names import canonical

NOT_ASKED = Code("offline")
NONE_NAMED = Code("no-domain")


class Nobody(Struct, frozen=True):
    """Answers every question in the same way: that nobody was asked, and why."""

    reason: Reason
    detail: Detail

    async def query(self, name: str, rdtype: str) -> Answer:
        """No look-up."""
        return DnsQuestion(canonical(name), rdtype.upper()).lost(self.reason, self.detail)

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """No look-up."""
        return SignedQuestion(canonical(name), rdtype.upper()).lost(self.reason, self.detail)

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """No file."""
        return Get(url).lost(self.reason, self.detail)

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """Nothing is sent."""
        return Post(url).lost(self.reason, self.detail)

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """No connection."""
        return Probe(host).lost(self.reason, self.detail)

    async def close(self) -> None:
        """Nothing to release."""


OFFLINE: Final = Nobody(Reason.OFFLINE, NOT_ASKED())
"""For a run that must not ask anybody."""

NO_DOMAIN: Final = Nobody(Reason.NOT_CONFIGURED, NONE_NAMED())
"""For a message without a usable author domain, where the user named no domain either."""
