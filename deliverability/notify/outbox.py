"""What is to be sent and was not yet taken: kept in files, tried again at each run, never lost.

A letter is two files in the outbox: NAME.json says how to send it, NAME.body is what is sent, octet by octet. The
first is written last and removed first, so that a letter is either there or not. What was refused for good moves to
``refused/`` with the reason, and what cannot be read to ``damaged/``, for a person to look at.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from deliverability._files import HALF_WRITTEN, PRIVATE, PRIVATE_FOLDER, move, write_whole
from deliverability.model.codec import json_text

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
        """What waits, oldest first; files that are no letters are left out."""
        for head in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(DamagedLetterError, OSError):
                yield _read(head)

    def set_aside(self) -> tuple[str, ...]:
        """Move letters that cannot be read to ``damaged/``; gives one sentence for each, and for what cannot be opened.

        Raises OSError where the folder cannot be written.
        """
        told = []
        for head in sorted(self.folder.glob("*.json")):
            try:
                _read(head)
            except DamagedLetterError as error:
                damaged = self.folder / "damaged"
                damaged.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                for file in (head.with_suffix(".body"), head):
                    with contextlib.suppress(FileNotFoundError):
                        move(file, damaged / file.name)
                told.append(f"the letter {head.name} is damaged ({error}); it lies in {damaged}")
            except OSError as error:
                told.append(
                    f"the letter {head.name} cannot be read ({error.strerror or error}); the next run tries again"
                )
        return tuple(told)

    def flush(self, carriers: dict[Kind, Carrier]) -> list[tuple[Letter, Attempt]]:
        """Try every letter once; gives what each attempt met. A kind without a carrier is left where it is."""
        met = []
        for half_written in self.folder.glob(HALF_WRITTEN):
            half_written.unlink(missing_ok=True)
        for letter in list(self.letters()):
            carrier = carriers.get(letter.kind)
            if carrier is None:
                continue
            try:
                attempt = carrier.send(letter)
            except Exception as error:
                attempt = Attempt(letter.to, problem=f"{type(error).__name__}: {error}")
            tried = replace(letter, attempts=letter.attempts + 1, problem=attempt.problem)
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
                    self._drop(letter.name)
            except OSError as error:  # a full disk: the letter stands as it stood, and the others are tried
                problem = "; ".join(filter(None, (problem, f"{self.folder}: {error.strerror or error}")))
            met.append((tried, Attempt(later, refused, problem)))
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
    return json_text(head, indent=2).encode()


class DamagedLetterError(Exception):
    """A file is no letter, or not a whole one; the text says why."""


def _read(head: Path) -> Letter:
    """Raises DamagedLetterError, or OSError where a file is there and cannot be read."""
    try:
        data = json.loads(head.read_bytes())
    except (ValueError, RecursionError):
        raise DamagedLetterError("no JSON") from None
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
            raise DamagedLetterError("not what a letter has")
    try:
        body = head.with_suffix(".body").read_bytes()
    except FileNotFoundError:
        raise DamagedLetterError(f"{head.stem}.body is missing") from None
    return Letter(head.stem, kind, tuple(to), created, body, attempts, problem)
