"""What is to be sent and was not yet taken: kept in files, tried again at each run, never lost.

A notification is two files in the outbox: NAME.json says how to send it, NAME.body is what is sent, octet by octet.
The first is written last and removed first, so that a notification is either there or not. What was refused for good
moves to ``refused/`` with the reason, and what cannot be read to ``damaged/``, for a person to look at.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codec import json_text
from deliverability.core.codes import VERBATIM, Code, Detail
from deliverability.core.errors import DetailError
from deliverability.core.files import HALF_WRITTEN, PRIVATE, PRIVATE_FOLDER, move, write_whole

MAX_ATTEMPTS = 12
SECONDS = 600.0
"""For all notifications of a run together."""

NotificationKind = Literal["email", "webhook"]

DAMAGED = Code("notification-damaged", ("name", "problem", "folder"))
UNREADABLE = Code("notification-unreadable", ("name", "problem"))
NO_JSON = Code("no-json")
NO_NOTIFICATION = Code("no-notification")
FILE_MISSING = Code("file-missing", ("name",))


class Notification(Struct, frozen=True):
    """Something to send.

    Attributes:
        name: of its files.
        kind: how it is sent.
        to: mail addresses still to be reached, or the address of the webhook.
        created: ISO 8601 in UTC.
        body: a whole message, or a JSON document.
        attempts: how often it was tried.
        problem: what the last attempt met.

    """

    name: str
    kind: NotificationKind
    to: tuple[str, ...]
    created: str
    body: bytes
    attempts: int = 0
    problem: str = ""


class Attempt(Struct, frozen=True):
    """What one attempt met: who is still to be reached later, and who refused for good; both empty: all took it."""

    later: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    problem: str = ""


class Channel(Protocol):
    """Sends notifications of one kind. Raises nothing: an attempt says what it met."""

    def send(self, notification: Notification, seconds: float) -> Attempt:
        """Try once, for so many seconds at most."""
        ...


class Outbox(Struct, frozen=True):
    """A folder of notifications."""

    folder: Path

    def put(self, notification: Notification) -> None:
        """Keep a notification. Raises OSError where the folder cannot be written."""
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        write_whole(self.folder / f"{notification.name}.body", notification.body, mode=PRIVATE)
        write_whole(self.folder / f"{notification.name}.json", _head(notification), mode=PRIVATE)

    def waiting(self) -> Iterator[Notification]:
        """What waits, oldest first; files that are no notifications are left out."""
        for head in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(DamagedNotificationError, OSError):
                yield _read(head)

    def set_aside(self) -> tuple[Detail, ...]:
        """Move what cannot be read to ``damaged/``; gives each, and each that cannot be opened.

        Raises OSError where the folder cannot be written.
        """
        found = []
        for head in sorted(self.folder.glob("*.json")):
            try:
                _read(head)
            except DamagedNotificationError as error:
                damaged = self.folder / "damaged"
                damaged.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                for file in (head.with_suffix(".body"), head):
                    with contextlib.suppress(FileNotFoundError):
                        move(file, damaged / file.name)
                found.append(DAMAGED(name=head.name, problem=error.detail, folder=str(damaged)))
            except OSError as error:
                found.append(UNREADABLE(name=head.name, problem=VERBATIM(text=error.strerror or str(error))))
        return tuple(found)

    def flush(
        self,
        channels: dict[NotificationKind, Channel],
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> list[tuple[Notification, Attempt]]:
        """Try every notification once; gives what each attempt met. A kind without a channel is left where it is.

        What cannot be tried within `seconds` waits, and that is no attempt of it.
        """
        met = []
        end = monotonic() + seconds
        for half_written in self.folder.glob(HALF_WRITTEN):
            half_written.unlink(missing_ok=True)
        for notification in list(self.waiting()):
            channel = channels.get(notification.kind)
            if channel is None:
                continue
            left = end - monotonic()
            if left <= 0:
                problem = f"not tried: the {seconds:g} s for notifications are over"
                met.append((notification, Attempt(notification.to, problem=problem)))
                continue
            try:
                attempt = channel.send(notification, left)
            except Exception as error:
                attempt = Attempt(notification.to, problem=f"{type(error).__name__}: {error}")
            tried = replace(notification, attempts=notification.attempts + 1, problem=attempt.problem)
            later, refused = attempt.later, attempt.refused
            if later and tried.attempts >= MAX_ATTEMPTS:
                later, refused = (), (*refused, *later)
            problem = attempt.problem
            try:
                if refused:
                    Outbox(self.folder / "refused").put(replace(tried, to=refused))
                if later:
                    self.put(replace(tried, to=later))
                else:
                    self._drop(notification.name)
            except OSError as error:  # a full disk: the notification stands as it stood, and the others are tried
                problem = "; ".join(filter(None, (problem, f"{self.folder}: {error.strerror or error}")))
            met.append((tried, Attempt(later, refused, problem)))
        return met

    def _drop(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        (self.folder / f"{name}.body").unlink(missing_ok=True)


def _head(notification: Notification) -> bytes:
    head: dict[str, Any] = {
        "kind": notification.kind,
        "to": list(notification.to),
        "created": notification.created,
        "attempts": notification.attempts,
        "problem": notification.problem,
    }
    return json_text(head, indent=2).encode()


class DamagedNotificationError(DetailError):
    """A file is no notification, or not a whole one; `detail` says why."""


def _read(head: Path) -> Notification:
    """Raises DamagedNotificationError, or OSError where a file is there and cannot be read."""
    try:
        data = json.loads(head.read_bytes())
    except (ValueError, RecursionError):
        raise DamagedNotificationError(NO_JSON()) from None
    match data:
        case {
            "kind": "email" | "webhook" as kind,
            "to": [str(), *_] as to,
            "created": str(created),
            "attempts": int(attempts),
            "problem": str(problem),
        } if all(isinstance(each, str) for each in to):
            pass
        case _:
            raise DamagedNotificationError(NO_NOTIFICATION())
    try:
        body = head.with_suffix(".body").read_bytes()
    except FileNotFoundError:
        raise DamagedNotificationError(FILE_MISSING(name=f"{head.stem}.body")) from None
    return Notification(head.stem, kind, tuple(to), created, body, attempts, problem)
