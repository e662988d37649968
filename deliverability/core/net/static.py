"""Answers without a network: from a mapping written in code, or from nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import (
    Absent,
    Answer,
    DnsQuestion,
    Failed,
    Fetched,
    Found,
    Get,
    Post,
    Probe,
    Probed,
    Resolver,
    Signed,
    SignedQuestion,
)
from deliverability.core.net.names import Alias, canonical, chase, impossible, labels_of

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


Strings = str | list[str] | tuple[str | int, ...]
Records = Sequence[Strings] | str

_FAILURES = {each.value: each for each in (Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE)}
_NXDOMAIN = "nxdomain"
_TTL = 3600


class _Entry(Struct, frozen=True):
    values: tuple[str, ...]
    string_octets: tuple[tuple[int, ...], ...] = ()


class StaticResolver:
    """A resolver over ``{(name, type): records}``.

    The records of a question are a list of values as Found.values writes them (a TXT value may also be a list or tuple
    of its character-strings), or one of the words "timeout", "servfail", "refused", "offline" and "nxdomain". A name
    that occurs with any type, or above such a name, exists: other types are NODATA there. Everything else is NXDOMAIN,
    impossible names (an empty label, one over 63 octets) included. An MX value may also be (preference, host).

    Raises:
        ValueError: an unknown word in place of records.

    """

    def __init__(self, records: Mapping[tuple[str, str], Records]) -> None:
        self._entries: dict[tuple[str, str], _Entry | str] = {}
        self._names: set[str] = set()
        for (name, rdtype), value in records.items():
            if labels_of(name) is None:
                continue  # nobody can publish such a name: questions for it are NXDOMAIN anyway
            key = canonical(name)
            self._entries[key, rdtype.upper()] = _entry(value, rdtype.upper())
            if value != _NXDOMAIN:
                parts = key.split(".")
                self._names.update(".".join(parts[start:]) for start in range(len(parts)))

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the mapping."""
        if labels_of(name) is None:
            return impossible(name, rdtype)
        return chase(canonical(name), rdtype.upper(), self._look_up)

    async def close(self) -> None:
        """Nothing to release."""

    def _look_up(self, name: str, rdtype: str) -> Answer | Alias:
        entry = self._entries.get((name, rdtype))
        alias = self._entries.get((name, "CNAME"))
        if entry is None and isinstance(alias, _Entry) and alias.values:
            return Alias(canonical(alias.values[0]), _TTL)
        if isinstance(entry, str):
            if entry == _NXDOMAIN:
                return Absent(name, rdtype, nxdomain=True, server="static")
            return Failed(name, rdtype, _FAILURES[entry], server="static")
        if entry is not None and entry.values:
            return Found(name, rdtype, entry.values, _TTL, string_octets=entry.string_octets, server="static")
        return Absent(name, rdtype, nxdomain=name not in self._names, server="static")


def _entry(value: Records, rdtype: str) -> _Entry | str:
    if isinstance(value, str):
        if value not in _FAILURES and value != _NXDOMAIN:
            raise ValueError(f"{value!r} is neither a list of records nor one of {', '.join([*_FAILURES, _NXDOMAIN])}")
        return value
    if rdtype == "TXT":
        strings = [(item,) if isinstance(item, str) else tuple(map(str, item)) for item in value]
        return _Entry(
            tuple("".join(parts) for parts in strings),
            tuple(tuple(len(part.encode()) for part in parts) for parts in strings),
        )
    plain = [item if isinstance(item, str) else " ".join(map(str, item)) for item in value]
    return _Entry(tuple(_plain(item, rdtype) for item in plain))


def _plain(value: str, rdtype: str) -> str:
    """A value in the spelling of Found.values, so that tests may write ``10 MX.Example.COM.``."""
    if rdtype in ("CNAME", "NS", "PTR"):
        return canonical(value)
    if rdtype == "MX":
        preference, _, host = value.partition(" ")
        return f"{preference} {canonical(host.strip())}"
    return value
