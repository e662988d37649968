"""What is to be sent and was not yet taken: kept in files, tried again at each run, never lost. May import _files.

A letter is two files in the outbox: NAME.json says how to send it, NAME.body is what is sent, octet by octet. The
first is written last and removed first, so that a letter is either there or not. What was refused for good moves to
``refused/`` with the reason, for a person to look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from deliverability._files import HALF_WRITTEN, PRIVATE, PRIVATE_FOLDER, write_whole

MAX_ATTEMPTS = 12

Kind = Literal["email", "webhook"]


@dataclass(frozen=True, slots=True)
class Letter:
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
    kind: Kind
    to: tuple[str, ...]
    created: str
    body: bytes
    attempts: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt met: who is still to be reached later, and who refused for good; both empty: all took it."""

    later: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    problem: str = ""


class Carrier(Protocol):
    """Sends letters of one kind. Raises nothing: an attempt says what it met."""

    def send(self, letter: Letter) -> Attempt:
        """Try once."""
        ...


@dataclass(frozen=True, slots=True)
class Outbox:
    """A folder of letters."""

    folder: Path

    def put(self, letter: Letter) -> None:
        """Keep a letter. Raises OSError where the folder cannot be written."""
        self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        write_whole(self.folder / f"{letter.name}.body", letter.body, mode=PRIVATE)
        write_whole(self.folder / f"{letter.name}.json", _head(letter), mode=PRIVATE)

    def letters(self) -> Iterator[Letter]:
        """What waits, oldest first; files that are no letters are left alone."""
        for head in sorted(self.folder.glob("*.json")):
            letter = _read(head)
            if letter is not None:
                yield letter

    def flush(self, carriers: dict[Kind, Carrier]) -> list[tuple[Letter, Attempt]]:
        """Try every letter once; gives what each attempt met. A kind without a carrier is left where it is."""
        met = []
        for half_written in self.folder.glob(HALF_WRITTEN):
            half_written.unlink(missing_ok=True)
        for letter in list(self.letters()):
            carrier = carriers.get(letter.kind)
            if carrier is None:
                continue
            attempt = carrier.send(letter)
            tried = replace(letter, attempts=letter.attempts + 1, problem=attempt.problem)
            later, refused = attempt.later, attempt.refused
            if later and tried.attempts >= MAX_ATTEMPTS:
                later, refused = (), (*refused, *later)
            if refused:
                Outbox(self.folder / "refused").put(replace(tried, to=refused))
            if later:
                self.put(replace(tried, to=later))
            else:
                self._drop(letter.name)
            met.append((tried, Attempt(later, refused, attempt.problem)))
        return met

    def _drop(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        (self.folder / f"{name}.body").unlink(missing_ok=True)


def _head(letter: Letter) -> bytes:
    head: dict[str, Any] = {
        "kind": letter.kind,
        "to": list(letter.to),
        "created": letter.created,
        "attempts": letter.attempts,
        "problem": letter.problem,
    }
    return json.dumps(head, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")


def _read(head: Path) -> Letter | None:
    try:
        data = json.loads(head.read_bytes())
        body = head.with_suffix(".body").read_bytes()
        return Letter(
            head.stem, data["kind"], tuple(data["to"]), data["created"], body, data["attempts"], data["problem"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
