"""Keeps caught messages, and reserves addresses for tests."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct, convert
from msgspec import json as plain_json
from msgspec.structs import replace

from deliverability.core.codec import decode_detail, encode, json_text
from deliverability.core.codes import Detail
from deliverability.core.errors import set_aside
from deliverability.core.files import PRIVATE, PRIVATE_FOLDER, move, write_whole
from deliverability.core.inputs import Sample
from deliverability.core.mail.kinds import META, RAW
from deliverability.core.mail.received import SmtpEnvelope

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


FACTS = "facts.json"
KEEP, KEEP_DAYS = 200, 30
_IDENT = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{17}")
_HALF = re.compile(rf"\.{_IDENT.pattern}\.part")


class AuditSummary(Struct, frozen=True):
    """What the audit of a message came to, in short, for lists.

    Attributes:
        grade: of the subject; None where there is none.
        exit: the exit code that `deliv audit` gives.
        domain: that was audited; empty where the message names none.
        leads: the answer in a line, by language.
        tone: of the answer: good, bad, risk, unknown or none.

    """

    grade: str | None
    exit: int
    domain: str
    leads: dict[str, str]
    tone: str = "none"


class Capture(Struct, frozen=True, rename={"author": "from"}):
    """One caught message, without its octets.

    Attributes:
        id: unguessable; ids sort by the time of reception.
        at: when it came, ISO 8601 in UTC.
        octets: its size.
        name: file name of an upload; empty: it came over SMTP.
        envelope: what our SMTP server saw; None: it was uploaded.
        subject: its Subject, decoded, for lists; empty where there is none.
        author: its From, decoded, for lists.
        problems: what went wrong with it here: it could not be audited, and why.
        summary: what its audit came to; None: it is not finished, or failed.

    """

    id: str
    at: str
    octets: int
    name: str
    envelope: SmtpEnvelope | None
    subject: str = ""
    author: str = ""
    problems: tuple[Detail, ...] = ()
    summary: AuditSummary | None = None

    @property
    def waits(self) -> bool:
        """Whether its audit is still to come."""
        return self.summary is None and not self.problems

    def document(self) -> dict[str, Any]:
        """As JSON: what meta.json and the API say."""
        plain: dict[str, Any] = plain_json.decode(plain_json.encode(replace(self, problems=())))
        return plain | {"problems": [encode(each) for each in self.problems]}

    @classmethod
    def of(cls, document: Any) -> Capture:
        """The reverse of `document`. Raises ValueError on anything else."""
        try:
            if datetime.fromisoformat(document["at"]).tzinfo is None:
                raise ValueError("the time has no zone")
            return cls(
                str(document["id"]),
                str(document["at"]),
                int(document["octets"]),
                str(document["name"]),
                SmtpEnvelope.of(document["envelope"]) if document["envelope"] is not None else None,
                str(document["subject"]),
                str(document["from"]),
                tuple(each for each in map(decode_detail, document["problems"]) if each),
                convert(document["summary"], AuditSummary | None),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no capture: {error!r}") from None


class CaughtMail(Struct, frozen=True):
    """A capture and its octets, or the folder that has them: what travels to who audits it."""

    capture: Capture
    folder: Path | None = None
    data: bytes | None = None

    def __repr__(self) -> str:
        return f"CaughtMail({self.capture!r})"

    @property
    def sample(self) -> Sample:
        """The message as an audit takes it. In its report it is called what it is called from within the folder."""
        name = self.capture.name or f"{self.capture.id}/{RAW}"
        path = self.folder / self.capture.id / RAW if self.folder else None
        return Sample(name, path, self.data, self.capture.envelope)

    def octets(self) -> bytes:
        """The message; empty where its file has gone meanwhile."""
        if self.folder is None:
            return self.data or b""
        try:
            return (self.folder / self.capture.id / RAW).read_bytes()
        except OSError:
            return b""


class CaptureStore:
    """The captures of one folder; without a folder, of memory.

    Args:
        folder: made where it is missing; None: nothing is written.
        keep: how many stay; the oldest go first.
        days: how long one stays.
        memory: octets of all messages that are held where there is no folder; the newest one stays whatever its size.

    Raises OSError where the folder cannot be made or read.

    """

    def __init__(
        self, folder: Path | None, *, keep: int = KEEP, days: float = KEEP_DAYS, memory: int = 50_000_000
    ) -> None:
        self.folder = folder
        self._keep, self._days, self._memory = max(keep, 1), days, memory
        self._captures: dict[str, Capture] = {}
        self._raw: dict[str, bytes] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            self._read(folder)

    def _read(self, folder: Path) -> None:
        """Take up what an earlier run kept, and clear away what it left half-written."""
        for path in sorted(folder.iterdir()):
            if _HALF.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
            elif _IDENT.fullmatch(path.name):
                with set_aside(lambda error: None):  # not ours, or by hand: left alone
                    found = Capture.of(json.loads((path / META).read_text("utf-8")))
                    if found.id == path.name:
                        self._captures[found.id] = found

    def add(
        self, octets: bytes, envelope: SmtpEnvelope | None, at: datetime, *, name: str = "", subject: str = "",
        author: str = "",
    ) -> Capture:  # fmt: skip
        """Keep a message, then let go of what is too much or too old. Raises OSError where it cannot be written."""
        moment = at.astimezone(UTC).replace(tzinfo=None)
        # Microseconds in hexadecimal, then what cannot be guessed.
        ident = f"{moment:%Y%m%dT%H%M%S}-{moment.microsecond:05x}{secrets.token_hex(6)}"
        made = Capture(ident, f"{moment.isoformat(timespec='seconds')}Z", len(octets), name, envelope, subject, author)
        if self.folder is None:
            self._raw[ident] = octets
        else:
            half = self.folder / f".{ident}.part"
            half.mkdir(mode=PRIVATE_FOLDER)
            try:
                write_whole(half / RAW, octets, mode=PRIVATE)
                write_whole(half / META, json_text(made.document(), indent=2), mode=PRIVATE)
                move(half, self.folder / ident)
            except OSError:
                shutil.rmtree(half, ignore_errors=True)
                raise
        self._captures[ident] = made
        self.prune(at)
        return made

    def __len__(self) -> int:
        return len(self._captures)

    def __iter__(self) -> Iterator[Capture]:
        """The newest first."""
        return iter(sorted(self._captures.values(), key=lambda each: (each.at, each.id), reverse=True))

    def get(self, ident: str) -> Capture | None:
        """The capture of that id, or none; any text may be asked."""
        return self._captures.get(ident)

    def raw(self, ident: str) -> bytes | None:
        """The octets; None where there is no such capture, or its file has gone."""
        if ident not in self._captures:
            return None
        if self.folder is None:
            return self._raw.get(ident)
        try:
            return (self.folder / ident / RAW).read_bytes()
        except OSError:
            return None

    def mail(self, ident: str) -> CaughtMail | None:
        """A capture as who audits it takes it; None where there is no such capture, or its file has gone."""
        capture = self._captures.get(ident)
        if capture is None:
            return None
        if self.folder is not None:
            return CaughtMail(capture, self.folder) if (self.folder / ident / RAW).is_file() else None
        data = self._raw.get(ident)
        return None if data is None else CaughtMail(capture, data=data)

    def facts(self, ident: str) -> dict[str, Any] | None:
        """What `deliv facts` writes of it; None where it is not (yet) audited."""
        if ident not in self._captures:
            return None
        if self.folder is None:
            return self._facts.get(ident)
        try:
            found = json.loads((self.folder / ident / FACTS).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def audited(self, ident: str, facts: dict[str, Any], summary: AuditSummary) -> Capture | None:
        """Keep what an audit found; None where the message has gone meanwhile. Raises OSError."""
        if ident not in self._captures:
            return None
        if self.folder is None:
            self._facts[ident] = facts
        else:
            write_whole(self.folder / ident / FACTS, json_text(facts, compact=True), mode=PRIVATE, lasting=False)
        return self._changed(replace(self._captures[ident], summary=summary, problems=()))

    def failed(self, ident: str, problems: Sequence[Detail]) -> Capture | None:
        """Keep why it could not be audited; None where the message has gone meanwhile. Raises OSError."""
        if ident not in self._captures:
            return None
        return self._changed(replace(self._captures[ident], problems=tuple(problems)))

    def _changed(self, capture: Capture) -> Capture:
        if self.folder is not None:
            text = json_text(capture.document(), indent=2)
            write_whole(self.folder / capture.id / META, text, mode=PRIVATE, lasting=False)
        self._captures[capture.id] = capture
        return capture

    def delete(self, ident: str) -> bool:
        """Remove a capture and all that is kept of it; False where there is none. Raises OSError."""
        if self._captures.pop(ident, None) is None:
            return False
        self._raw.pop(ident, None)
        self._facts.pop(ident, None)
        if self.folder is not None:
            # Out of sight at once, so that nobody reads half of it.
            half = self.folder / f".{ident}.part"
            try:
                os.rename(self.folder / ident, half)  # noqa: PTH104 - as in _files, no Path made
            except FileNotFoundError:
                return True
            shutil.rmtree(half)
        return True

    def prune(self, now: datetime) -> tuple[str, ...]:
        """Let go of what is too much or too old; gives the ids. Raises OSError."""
        oldest = now.astimezone(UTC) - timedelta(days=self._days)
        held, gone = 0, []
        for place, each in enumerate(self):
            held += each.octets
            full = self.folder is None and place > 0 and held > self._memory
            if place >= self._keep or full or datetime.fromisoformat(each.at) < oldest:
                gone.append(each.id)
        for ident in gone:
            self.delete(ident)
        return tuple(gone)
