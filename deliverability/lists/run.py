"""Checks a list of recipients without sending anything: read twice, row by row; each domain is asked about once.

An address is put into its segment by its spelling and by what is known of names and domains.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
import secrets
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from deliverability.core.errors import FILE_EXISTS, InputError, file_error, set_aside
from deliverability.core.files import PRIVATE, PRIVATE_FOLDER, WholeFile
from deliverability.core.model.observed import ListSums, Segment
from deliverability.core.net.ports import Ports
from deliverability.engine.mailable import MOST_DOMAINS, takes_no_mail
from deliverability.lists.catalogue import ListData
from deliverability.lists.table import ListTable, open_list

_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_%+'-]+(?:\.[A-Za-z0-9_%+'-]+)*")
_ANY_DOTS = re.compile(r"[A-Za-z0-9_%+.'-]+")
_MAX_LOCAL = 64
_MAX_TEXT = 1_000
# What a Japanese keyboard types in place of ASCII: full-width forms, the ideographic full stop and blank.
_WIDE = re.compile("[\uff01-\uff61\u3000\u3002]")
_STOPS = str.maketrans({"\u3002": "."})
_SHORTEST_TYPO = 8
_DAY = re.compile(r"(\d{4})\s?[-/.年]\s?(\d{1,2})\s?[-/.月]\s?(\d{1,2})")
_SECONDS = re.compile(r"1\d{9}")


class ListAddress(Struct, frozen=True):
    """An address that can be one: as it is compared (lower case, A-label), its local part and its domain."""

    address: str
    local: str
    domain: str


class Addresses:
    """Reads addresses; what is slow is done once for each domain."""

    def __init__(self, data: ListData) -> None:
        self._data = data
        self._domain = lru_cache(maxsize=100_000)(_domain)
        self._typo = lru_cache(maxsize=100_000)(self._find_typo)
        self._disposable = lru_cache(maxsize=100_000)(self._find_disposable)

    def read(self, text: str) -> ListAddress | None:
        """The address that `text` is; None where it can be none."""
        local, at, domain = text.rpartition("@")
        if not at or len(text) > _MAX_TEXT:
            return None
        name = self._domain(domain)
        if name is None:
            return None
        plain = _PLAIN_LOCAL.fullmatch(local) or (name in self._data.any_dots and _ANY_DOTS.fullmatch(local))
        if plain and len(local) <= _MAX_LOCAL:
            return ListAddress(f"{local}@{name}".lower(), local.lower(), name)
        # What the quick look cannot tell: quoted, internationalised and rare local parts.
        return _validated(text)

    def narrow_of(self, text: str) -> str:
        """The address that was meant by one with full-width characters (＠, digits); empty where it has none."""
        if not _WIDE.search(text) or len(text) > _MAX_TEXT:
            return ""
        narrow = unicodedata.normalize("NFKC", text).translate(_STOPS).replace(" ", "")
        found = self.read(narrow) if narrow != text else None
        return found.address if found and found.address.isascii() else ""

    def is_role(self, found: ListAddress) -> bool:
        """Whether it belongs to a task and not to a person."""
        return found.local.partition("+")[0] in self._data.roles

    def is_disposable(self, found: ListAddress) -> bool:
        """Whether its domain, or one above it, gives mailboxes for minutes.

        Lists of such domains hold typing errors, too, which others have registered; for whoever signed up it is one.
        """
        return self._disposable(found.domain) and not self._typo(found.domain)

    def typo_of(self, found: ListAddress) -> str:
        """The domain that was most likely meant; empty where this one may well be."""
        return self._typo(found.domain)

    def _find_disposable(self, domain: str) -> bool:
        labels = domain.split(".")
        return any(".".join(labels[first:]) in self._data.disposable for first in range(len(labels) - 1))

    def _find_typo(self, domain: str) -> str:
        data = self._data
        if domain in data.typos:
            return data.typos[domain]
        if domain in data.well_known or domain in data.not_typos:
            return ""
        near = (each for each in data.well_known if len(each) >= _SHORTEST_TYPO and one_edit_apart(domain, each))
        return next(near, "")


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one character too many, missing or wrong, or two swapped neighbours, make one text of the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, wanted = one[start:], other[start:]
    if len(rest) == len(wanted):
        swapped = rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:]
        return rest[1:] == wanted[1:] or swapped
    return rest[1:] == wanted or rest == wanted[1:]


def is_confirmed(cells: list[str], no: frozenset[str]) -> bool:
    """Whether any cell of the columns of confirmations says so: a time, a mark, anything but nothing and "no"."""
    return any(cell and cell.lower() not in no for cell in cells)


def last_active(cells: list[str]) -> date | None:
    """The latest day in cells that hold one (ISO 8601, 2026/11/25, 2026年11月25日, seconds since 1970), or None.

    Days written as 11/25/2026 or 25/11/2026 are not read: which is the month cannot be told.
    """
    days = [day for cell in cells if (day := _day(cell)) is not None]
    return max(days, default=None)


def is_inactive(last: date, today: date, days: int) -> bool:
    """Whether nothing was opened or clicked for so many days."""
    return today - last >= timedelta(days=days)


def _day(cell: str) -> date | None:
    try:
        if match := _DAY.match(cell):
            return date(int(match[1]), int(match[2]), int(match[3]))
        return datetime.fromtimestamp(int(cell), UTC).date() if _SECONDS.fullmatch(cell) else None
    except ValueError:
        return None


def _domain(domain: str) -> str | None:
    """The A-label of a domain that an address can be at, in lower case; None where it can be none."""
    found = _validated(f"a@{domain}")
    return found.domain if found else None


def _validated(text: str) -> ListAddress | None:
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(
            text, check_deliverability=False, allow_smtputf8=True, allow_quoted_local=True, globally_deliverable=True
        )
    except (EmailNotValidError, UnicodeError, ValueError):
        return None
    domain = found.ascii_domain.lower()
    local = found.local_part.lower()
    if len(local.encode("utf-8", "surrogatepass")) > _MAX_LOCAL:
        return None
    return ListAddress(f"{local}@{domain}", local, domain)


SUGGESTION = "suggestion"
"""Head of the column that the segment of typos has besides: the domain, or the address, that was most likely meant."""


class ListPlan(Struct, frozen=True):
    """What is to be checked.

    Attributes:
        table: the list.
        data: what its addresses are held against.
        suppressed: list of addresses that bounced or complained; None: none was given.
        inactive_days: from how many days without activity on somebody is inactive; None: not asked.
        folder: where a file a segment is written; None: nowhere.
        force: overwrite files that are there.

    """

    table: ListTable
    data: ListData
    suppressed: Path | None = None
    inactive_days: int | None = None
    folder: Path | None = None
    force: bool = False


async def check_list(plan: ListPlan, ports: Ports, tick: Callable[[], None] = lambda: None) -> ListSums:
    """Check a list; its segments are written all or not at all. Raises InputError."""
    now = ports.clock.now().astimezone(UTC)
    addresses = Addresses(plan.data)
    with _Segments(plan) as segments, SeenAddresses() as seen:
        if plan.suppressed is not None:
            seen.suppress(_suppressed(plan, addresses))
        domains = _domains(plan.table, addresses)
        closed = await takes_no_mail(domains, ports, tick)
        sums = _Sorter(plan, addresses, closed, seen, now.date()).sort(segments)
        segments.keep()
    table = plan.table
    columns = {"address": table.called((table.address,)), "confirmed": table.called(table.confirmed)}
    return ListSums(
        name=table.path.name,
        checked=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        lines=sum(sums.segments.values()),
        segments={segment: sums.segments[segment] for segment in Segment},
        domains=len(domains),
        domains_not_checked=sum(each is None for each in closed.values()),
        not_checked=sums.not_checked,
        columns=columns | {"active": table.called(table.active)},
        inactive_days=plan.inactive_days,
        without_date=sums.without_date,
        suppressed_given=plan.suppressed is not None,
    )


def _suppressed(plan: ListPlan, addresses: Addresses) -> Iterator[str]:
    """Raises InputError."""
    if plan.suppressed is not None:
        table = open_list(plan.suppressed, plan.data)
        for row in table.rows():
            # Spreadsheets need an apostrophe before "+": it is not part of the address.
            text = table.cell(row, table.address)
            found = None
            with set_aside(lambda error: None):
                found = addresses.read(text[1:] if text[:2] in ("'+", "'-", "'=") else text)
            if found is not None:
                yield found.address


def _domains(table: ListTable, addresses: Addresses) -> Sequence[str]:
    """The domains of a list, as many as are asked about. Raises InputError."""
    domains: dict[str, None] = {}
    for row in table.rows():
        with set_aside(lambda error: None):  # told when the rows are sorted
            found = addresses.read(table.cell(row, table.address))
            if found is not None and len(domains) < MOST_DOMAINS:
                domains[found.domain] = None
    return list(domains)


class _Sums(Struct):
    segments: Counter[Segment]
    not_checked: int = 0
    without_date: int = 0


class _Sorter:
    """Puts the rows of a list into segments, and counts them."""

    def __init__(
        self,
        plan: ListPlan,
        addresses: Addresses,
        closed: Mapping[str, bool | None],
        seen: SeenAddresses,
        today: date,
    ) -> None:
        self._plan, self._addresses, self._closed, self._seen, self._today = plan, addresses, closed, seen, today
        self._sums = _Sums(Counter())

    def sort(self, segments: _Segments) -> _Sums:
        """Raises InputError."""
        table = self._plan.table
        for row in table.rows():
            segment, more = Segment.SYNTAX, tuple[str, ...]()  # also of a row at which anything fails
            with set_aside(lambda error: None, but=(InputError, sqlite3.Error)):
                segment, more = self._sorted(row)
            self._sums.segments[segment] += 1
            segments.write(segment, [*row, *more])
        return self._sums

    def _sorted(self, row: Sequence[str]) -> tuple[Segment, tuple[str, ...]]:
        """The segment of a row, and what its file has besides."""
        table = self._plan.table
        text = table.cell(row, table.address)
        if narrow := self._addresses.narrow_of(text):
            return Segment.TYPO, (narrow,)
        found = self._addresses.read(text)
        segment = self._segment(row, found)
        return segment, (self._addresses.typo_of(found),) if segment is Segment.TYPO and found else ()

    def _segment(self, row: Sequence[str], found: ListAddress | None) -> Segment:
        plan, table = self._plan, self._plan.table
        if found is None:
            return Segment.SYNTAX
        if self._seen.before(found.address):
            return Segment.DUPLICATE
        if self._addresses.is_role(found):
            return Segment.ROLE
        if self._addresses.is_disposable(found):
            return Segment.DISPOSABLE
        if self._addresses.typo_of(found):
            return Segment.TYPO
        closed = self._closed.get(found.domain)
        if closed:
            return Segment.TAKES_NO_MAIL
        self._sums.not_checked += closed is None
        if table.confirmed and not is_confirmed([table.cell(row, each) for each in table.confirmed], plan.data.no):
            return Segment.UNCONFIRMED
        if plan.inactive_days is not None:
            last = last_active([table.cell(row, each) for each in table.active])
            self._sums.without_date += last is None
            if last is not None and is_inactive(last, self._today, plan.inactive_days):
                return Segment.INACTIVE
        if self._seen.is_suppressed(found.address):
            return Segment.SUPPRESSED
        return Segment.NOT_CHECKED if closed is None else Segment.GOOD


class SeenAddresses:
    """Which addresses were seen, and which are suppressed, by digests with a key that nobody has; on disk, not held."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file without a name
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE seen (digest INTEGER PRIMARY KEY)",
            "CREATE TABLE suppressed (digest INTEGER PRIMARY KEY)",
            "BEGIN",
        ):
            self._database.execute(statement)
        self._any = False

    def __enter__(self) -> SeenAddresses:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def before(self, address: str) -> bool:
        """Whether it was asked about before."""
        done = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", self._digest(address))
        return done.rowcount == 0

    def suppress(self, addresses: Iterable[str]) -> None:
        """These are suppressed."""
        self._database.executemany("INSERT OR IGNORE INTO suppressed VALUES (?)", map(self._digest, addresses))
        self._any = True

    def is_suppressed(self, address: str) -> bool:
        """Whether it is."""
        if not self._any:
            return False
        found = self._database.execute("SELECT 1 FROM suppressed WHERE digest = ?", self._digest(address))
        return found.fetchone() is not None

    def _digest(self, address: str) -> tuple[int]:
        octets = blake2b(address.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).digest()
        return (int.from_bytes(octets, "big", signed=True),)


class _Segments:
    """A file a segment, in the charset and with the heads of the list; empty ones are not made."""

    def __init__(self, plan: ListPlan) -> None:
        """Raises InputError where a file is there already."""
        self._table, self._folder, self._force = plan.table, plan.folder, plan.force
        self._files: dict[Segment, tuple[WholeFile, Callable[[Sequence[str]], object]]] = {}
        if self._folder is None:
            return
        for segment in Segment:
            place = self._place(self._folder, segment)
            if place.exists() and (not plan.force or place.samefile(plan.table.path)):
                raise InputError(FILE_EXISTS(file=str(place)))

    def __enter__(self) -> _Segments:
        return self

    def __exit__(self, *_: object) -> None:
        for file, _row in self._files.values():
            file.drop()

    def write(self, segment: Segment, row: Sequence[str]) -> None:
        """Append an entry. Raises InputError."""
        if self._folder is None:
            return
        with self._write_errors(self._folder):
            if segment not in self._files:
                self._files[segment] = self._begun(self._folder, segment)
            self._files[segment][1](row)

    def keep(self) -> None:
        """Put the files in place; files of segments that have nothing any more go. Raises InputError."""
        if self._folder is None:
            return
        with self._write_errors(self._folder):
            for segment in Segment:
                if segment in self._files:
                    self._files[segment][0].keep(replace=self._force)
                elif self._force:
                    self._place(self._folder, segment).unlink(missing_ok=True)

    def _begun(self, folder: Path, segment: Segment) -> tuple[WholeFile, Callable[[Sequence[str]], object]]:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        file = WholeFile(self._place(folder, segment), PRIVATE)
        charset = self._table.charset
        if charset in ("utf-16", "utf-8-sig"):
            file.write(codecs.BOM_UTF8)
            charset = "utf-8"
        rows = csv.writer(_Encoded(file, charset), delimiter=self._table.separator)
        if self._table.heads:
            rows.writerow([*self._table.heads, *((SUGGESTION,) if segment is Segment.TYPO else ())])
        return file, rows.writerow

    def _place(self, folder: Path, segment: Segment) -> Path:
        return folder / f"{segment.value}.csv"

    @contextmanager
    def _write_errors(self, folder: Path) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            raise InputError(FILE_EXISTS(file=os.fsdecode(error.filename or folder))) from None
        except OSError as error:
            raise InputError(file_error(folder, error)) from None


class _Encoded:
    """A file of octets that takes text."""

    def __init__(self, file: WholeFile, charset: str) -> None:
        self._file, self._charset = file, charset

    def write(self, text: str) -> None:
        """Raises OSError."""
        self._file.write(text.encode(self._charset, "replace"))
