"""Answers from a mapping written in code: for tests and what-if runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from deliverability.model.facts import Reason
from deliverability.ports.base import Absent, Answer, Failed, Found
from deliverability.ports.names import Alias, canonical, chase, impossible, labels_of

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
