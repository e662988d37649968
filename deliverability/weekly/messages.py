"""Sample messages of the settings: files as they are; of globs, folders and mailboxes the newest of each domain."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct

from deliverability.console.settings import kind_and_place
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, set_aside
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Sample
from deliverability.core.mail import kinds
from deliverability.core.mail.kinds import OWNER_HEAD_OCTETS, envelope_beside, message_files, own_domain, spans_in
from deliverability.core.mail.reader import read
from deliverability.core.mail.words import parse_date
from deliverability.core.names import is_within

MAX_LOOKED_AT = 20_000
_OLDEST = datetime.min.replace(tzinfo=UTC)


class Picked(Struct, frozen=True):
    """A sample message: where it comes from as the settings name it, and the octets or the file with its place there.

    `source` stays the same from week to week although a mailbox gives another message each time. `purpose`: what kind
    of mail it is, as the settings say it of the place.
    """

    source: str
    name: str
    path: Path | None = None
    data: bytes | None = None
    purpose: Purpose | None = None
    span: tuple[int, int] | None = None

    def sample(self) -> Sample:
        """The message to audit. Raises InputError where what our own server saw of it cannot be read."""
        envelope = envelope_beside(self.path) if self.path and not self.span else None
        return Sample(self.name, self.path, self.data, envelope, self.purpose, self.span)


MESSAGES_ABSENT = Code("messages-absent", ("place",))
MESSAGES_NO_MAIL = Code("messages-no-mail", ("place",))
MESSAGES_UNREADABLE = Code("messages-unreadable", ("place", "why"))


class NoMessages(InputError):
    """A place for messages that cannot be read, or does not exist."""


def pick(
    places: Sequence[str],
    domains: Sequence[str],
    folder: Path,
    lost: Callable[[Exception], None] = lambda error: None,
) -> dict[str, list[Picked]]:
    """The messages of each domain.

    Args:
        places: files, globs, folders, Maildirs and mbox files; what kind of mail it is may stand before each.
        domains: A-labels; a message belongs to the longest that its author domain is or lies below.
        folder: what `places` are named from in `Picked.source`.
        lost: is told of a message among several that cannot be read; the newest of the others counts.

    Raises:
        NoMessages: where a place does not exist, cannot be read, or is a file that is no e-mail.

    """
    found: dict[str, list[Picked]] = {domain: [] for domain in domains}
    for text in places:
        purpose, place = kind_and_place(text)
        source = _named(place, folder)
        single = _single(place)
        if single is not None:
            head = _head_of(single, source)
            if not head.mail:
                raise NoMessages(MESSAGES_NO_MAIL(place=source))
            domain = _fitting(head.domain, domains)
            # A file that is named for one domain is that domain's, whoever its author is.
            if domain is None and len(domains) == 1:
                domain = domains[0]
            if domain is not None:
                found[domain].append(Picked(source, single.name, path=single, purpose=purpose))
            continue
        for domain, head in _newest(_heads(place, source, lost), domains).items():
            found[domain].append(Picked(source, head.name, head.path, None, purpose, head.span))
    return found


class _Head(Struct, frozen=True):
    """What is known of a message from its beginning. `span`: its place in a mailbox; `mail`: it has a header."""

    name: str
    domain: str
    date: datetime
    path: Path
    span: tuple[int, int] | None = None
    mail: bool = True


def _named(place: str, folder: Path) -> str:
    try:
        return Path(place).relative_to(folder).as_posix()
    except ValueError:
        return place


def _single(place: str) -> Path | None:
    """The file of one message, or None where the place may hold several."""
    path = Path(place)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return None if file.read(5) == b"From " else path


def _heads(place: str, source: str, lost: Callable[[Exception], None]) -> Iterator[_Head]:
    path = Path(place)
    try:
        if path.is_file():
            yield from _of_mbox(path, lost)
            return
        files: Iterable[Path]
        if path.is_dir():
            files = message_files(path)
        else:
            files = [Path(each) for each in glob.glob(place, recursive=True) if Path(each).is_file()]  # noqa: PTH207
            if not files and not glob.has_magic(place):
                raise NoMessages(MESSAGES_ABSENT(place=source))
        # A mail program or listener that is running may have let go of some meanwhile.
        there = [(changed, each.name, each) for each in files if (changed := _changed(each)) is not None]
        for _, _, file in sorted(there, reverse=True)[:MAX_LOOKED_AT]:
            with set_aside(partial(_lost_file, file, lost)):
                yield _head_of(file, source)
    except OSError as error:
        raise NoMessages(MESSAGES_UNREADABLE(place=source, why=error.strerror or str(error))) from None


def _changed(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return None


def _lost_file(file: Path, lost: Callable[[Exception], None], error: Exception) -> None:
    """One of many that cannot be read, unless that is because it has gone."""
    if _changed(file) is not None:
        lost(error)


def _head_of(file: Path, source: str) -> _Head:
    try:
        with file.open("rb") as opened:
            octets = opened.read(OWNER_HEAD_OCTETS)
            changed = file.stat().st_mtime
    except OSError as error:
        raise NoMessages(MESSAGES_UNREADABLE(place=source, why=error.strerror or str(error))) from None
    domain, date = _read(octets)
    came = datetime.fromtimestamp(changed, UTC)
    # Of a test send counts when it was received, for what is sent again may bear an old date.
    when = came if date is None or envelope_beside(file) else date
    return _Head(file.name, domain, when, path=file, mail=kinds.kind_of(octets) == kinds.MESSAGE)


def _of_mbox(path: Path, lost: Callable[[Exception], None]) -> Iterator[_Head]:
    with path.open("rb") as file:
        for number, (begin, end) in enumerate(spans_in(path), 1):
            with set_aside(lost):
                file.seek(begin)
                domain, date = _read(file.read(min(end - begin, OWNER_HEAD_OCTETS)))
                yield _Head(f"{path.name} #{number}", domain, date or _OLDEST, path, (begin, end))


def _read(octets: bytes) -> tuple[str, datetime | None]:
    """The author domain and the Date of a message, from its beginning."""
    message = read(octets)
    dates = message.fields("date")
    return own_domain(message) or "", parse_date(dates[0].value) if dates else None


def _newest(heads: Iterable[_Head], domains: Sequence[str]) -> dict[str, _Head]:
    newest: dict[str, _Head] = {}
    for head in heads:
        domain = _fitting(head.domain, domains)
        if domain is not None and (domain not in newest or head.date > newest[domain].date):
            newest[domain] = head
    return newest


def _fitting(author: str, domains: Sequence[str]) -> str | None:
    fitting = [domain for domain in domains if is_within(author, domain)]
    return max(fitting, key=len) if fitting else None
