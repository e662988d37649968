"""What the settings ask a weekly run to do: domains with their sample messages.

Files are taken as they are; of globs, folders and mailboxes the newest message of each domain.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deliverability.console.settings import Settings, kind_and_place
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import InputError, reason_of, set_aside
from deliverability.core.facts.base import Purpose, SampleSeen
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail import kinds
from deliverability.core.mail.kinds import OWNER_HEAD_OCTETS, envelope_beside, message_files, own_domain, spans_in
from deliverability.core.mail.reader import read
from deliverability.core.mail.words import parse_date
from deliverability.core.names import is_within
from deliverability.engine.samples import MAX_SAMPLES, sample_seen, several

MAX_LOOKED_AT = 20_000
_OLDEST = datetime.min.replace(tzinfo=UTC)

DEFAULT_OUTPUT = "deliv-reports"
_MOST_PROBLEMS = 20  # of one place that are told
NO_DOMAINS = Code("no-domains")


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


class WeeklySubject(Struct, frozen=True):
    """A domain of the settings with one of its messages, or without any; `asked` has no message yet."""

    asked: Subject
    picked: Picked | None = None
    problems: tuple[Detail, ...] = ()

    @property
    def domain(self) -> str:
        """The domain that is audited."""
        return self.asked.domain

    @property
    def source(self) -> str:
        """Where the message comes from, as the settings name it; empty: none."""
        return self.picked.source if self.picked else ""


def subjects(
    settings: Settings, folder: Path, domain_of: Callable[[str], str], subject_of: Callable[[str], Subject]
) -> tuple[WeeklySubject, ...]:
    """Every domain of the settings with each of its messages, or alone where it has none.

    A place of messages that cannot be read is told in the report of its domain; the domain is audited without it.

    Args:
        settings: the file.
        folder: what places of messages are named from in the history.
        domain_of: a name as written -> A-label; may raise InputError.
        subject_of: A-label -> what is to be audited; may raise InputError.

    Raises:
        InputError: where there is no domain, or one is wrong.

    """
    domains = list(dict.fromkeys(domain_of(name) for name in settings.names))
    if not domains:
        raise InputError(NO_DOMAINS())
    own = {domain_of(table.name): table.messages for table in settings.domain if table.messages}
    common, problems = _pick(settings.messages, [each for each in domains if each not in own], folder)
    planned: list[WeeklySubject] = []
    for domain in domains:
        picked, wrong = common.get(domain, []), problems
        if domain in own:
            found, wrong = _pick(own[domain], [domain], folder)
            picked = found.get(domain, [])
        subject = subject_of(domain)
        subject = replace(subject, samples=_samples(picked, subject.purpose))
        if not picked:
            planned.append(WeeklySubject(subject, problems=wrong))
        planned += [WeeklySubject(subject, each, wrong) for each in picked]
    return tuple(planned)


def _samples(picked: Sequence[Picked], purpose: Purpose | None) -> tuple[SampleSeen, ...]:
    """What the messages of a domain tell of each other, by their places; one that cannot be read tells nothing, and is
    told where it is audited.
    """
    seen: list[SampleSeen] = []
    for each in picked[:MAX_SAMPLES]:
        with set_aside(lambda error: None):
            seen.append(sample_seen(each.source, each.sample(), purpose))
    return several(seen)


def _pick(
    places: Sequence[str], domains: Sequence[str], folder: Path
) -> tuple[dict[str, list[Picked]], tuple[Detail, ...]]:
    """The messages of each domain from all places that can be read, and what is the matter with the others."""
    found: dict[str, list[Picked]] = {}
    problems: list[Detail] = []
    for place in places:
        lost: list[Exception] = []
        with set_aside(lost.append):
            for domain, messages in pick([place], domains, folder, lost.append).items():
                found.setdefault(domain, []).extend(messages)
        problems += (
            reason_of(each) if isinstance(each, NoMessages) else ABOUT(what=place, detail=reason_of(each))
            for each in lost[:_MOST_PROBLEMS]
        )
    return found, tuple(problems)
