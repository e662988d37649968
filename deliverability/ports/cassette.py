"""Record every outside answer of a run in one JSON file, and answer a later run from it. May import model and ports."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from deliverability.model.facts import Reason
from deliverability.ports.base import Absent, Answer, Clock, Failed, Found, Resolver
from deliverability.ports.clock import FixedClock
from deliverability.ports.names import canonical

FORMAT = "deliv-recording"
SCHEMA_VERSION = 1
MAX_FILE = 256 * 1024 * 1024  # octets
# Sections for the answers of ports that are not DNS. They are written empty until those ports exist.
_OTHER_SECTIONS = ("http", "smtp")

_Store = dict[tuple[str, str], Answer]


class CassetteError(Exception):
    """A recording cannot be written or used. The text is one plain sentence."""


class Recorder:
    """A resolver that keeps every answer it passes on.

    A question asked again gets the recorded answer, so that the run sees exactly what a replay will see. Use
    :attr:`clock` as the run's clock: it stands still at the moment that the recording carries.
    """

    def __init__(self, base: Resolver, clock: Clock) -> None:
        self._base = base
        self._answers: _Store = {}
        self.clock = FixedClock(clock.now())

    def over(self, base: Resolver) -> Recorder:
        """A recorder over another resolver that writes into the same recording (one resolver a domain, one file)."""
        other = Recorder(base, self.clock)
        other._answers = self._answers
        return other

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the recording so far, else from the base."""
        key = (canonical(name), rdtype.upper())
        if key not in self._answers:
            answer = await self._base.query(name, rdtype)
            # Two may have waited for the same answer: the first one counts.
            self._answers.setdefault(key, answer)
        return self._answers[key]

    async def close(self) -> None:
        """Close the base. The recording can still be saved."""
        await self._base.close()

    def save(self, path: str | Path) -> None:
        """Write the recording; the same answers give the same bytes.

        Raises:
            CassetteError: the file cannot be written.

        """
        dns: dict[str, dict[str, Any]] = {}
        for (name, rdtype), answer in self._answers.items():
            dns.setdefault(name, {})[rdtype] = _to_json(answer)
        document = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "now": self.clock.now().isoformat(),
            "dns": dns,
            **{section: {} for section in _OTHER_SECTIONS},
        }
        text = json.dumps(document, sort_keys=True, indent=1) + "\n"
        try:
            Path(path).write_text(text, encoding="ascii", newline="\n")
        except OSError as error:
            raise CassetteError(f"{path}: the recording cannot be written ({error.strerror})") from None


class Replayer:
    """A resolver that answers from a recording. A question that is not in it is Failed(offline)."""

    def __init__(self, answers: _Store, now: datetime) -> None:
        self._answers = answers
        self.clock = FixedClock(now)

    @classmethod
    def load(cls, path: str | Path) -> Replayer:
        """Read a recording.

        Raises:
            CassetteError: the file cannot be read, is no recording, or is one of another version.

        """
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
        except OSError as error:
            raise CassetteError(f"{path}: the recording cannot be read ({error.strerror})") from None
        if len(data) > MAX_FILE:
            raise CassetteError(f"{path}: the recording is over {MAX_FILE // 1024 // 1024} MiB")
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise CassetteError(f"{path} is not a recording: it is not valid JSON") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise CassetteError(f"{path} is not a recording made with --record")
        version = document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise CassetteError(
                f"{path} is a recording of version {version}; this program reads version {SCHEMA_VERSION}"
            )
        try:
            now = datetime.fromisoformat(document["now"])
            if now.tzinfo is None:
                raise ValueError("now has no time zone")
            answers = {
                (name, rdtype): _from_json(name, rdtype, entry)
                for name, entries in document["dns"].items()
                for rdtype, entry in entries.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CassetteError(f"{path} is a damaged recording ({type(error).__name__}: {error})") from None
        return cls(answers, now)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the recording."""
        key = (canonical(name), rdtype.upper())
        return self._answers.get(key) or Failed(*key, Reason.OFFLINE, "not in the recording")

    async def close(self) -> None:
        """Nothing to release."""


def _to_json(answer: Answer) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": answer.at, "server": answer.server}
    if isinstance(answer, Failed):
        return entry | {"status": "failed", "reason": answer.reason.value, "detail": answer.detail}
    entry |= {"ttl": answer.ttl, "chain": list(answer.chain)}
    if isinstance(answer, Absent):
        return entry | {"status": "nxdomain" if answer.nxdomain else "nodata"}
    octets = [list(lengths) for lengths in answer.string_octets]
    return entry | {"status": "found", "values": list(answer.values), "string_octets": octets}


def _from_json(name: str, rdtype: str, entry: dict[str, Any]) -> Answer:
    status = entry["status"]
    at, server = _text(entry["at"]), _text(entry["server"])
    if status == "failed":
        return Failed(name, rdtype, Reason(entry["reason"]), _text(entry["detail"]), at, server)
    ttl, chain = _count(entry["ttl"]), tuple(_text(link) for link in entry["chain"])
    if status in ("nxdomain", "nodata"):
        return Absent(name, rdtype, status == "nxdomain", ttl, chain, at, server)
    if status != "found" or not entry["values"]:
        raise ValueError(f"{name} {rdtype}: unknown status {status!r} or no values")
    values = tuple(_text(value) for value in entry["values"])
    octets = tuple(tuple(_count(length) for length in lengths) for lengths in entry["string_octets"])
    if octets and len(octets) != len(values):
        raise ValueError(f"{name} {rdtype}: string_octets does not match the values")
    return Found(name, rdtype, values, ttl, chain, octets, at, server)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} should be a count")
    return value
