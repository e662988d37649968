"""The input of a fleet run, read line by line: a list of domains, or a table of them (CSV)."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from deliverability.console.inputs import subject_of_settings
from deliverability.console.settings import Settings
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error, reason_of, set_aside
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import NO_DOMAIN, Subject, parse_domain, parse_selector
from deliverability.core.model.blocklists import ListsWanted
from deliverability.fleet.manifest import ListLine
from deliverability.fleet.shards import FleetSubject

NO_DOMAIN_COLUMN = Code("fleet-no-domain-column", ("known",))
COLUMN_TWICE = Code("fleet-column-twice", ("name",))
NO_PURPOSE = Code("fleet-no-purpose", ("text", "known"))
NO_VOLUME_IN_CELL = Code("fleet-no-volume", ("text",))
CELLS_OVER = Code("fleet-cells-over", ("n",))
LINE_BROKEN = Code("fleet-line-broken", ("why",))
_DELIMITERS = (",", ";", "\t")
_OTHER_PURPOSES = {"newsletter": Purpose.BULK}
_MOST_OCTETS = 4_000  # of a line of a list: far beyond any domain
_SHOWN = 80


class FleetList:
    """An input that can be read again. Raises InputError where it cannot be opened, and while it is read."""

    def __init__(self, file: io.BufferedReader | io.BufferedRandom, name: str) -> None:
        self._file = file
        self._name = name

    @classmethod
    def of(cls, path: Path) -> FleetList:
        """Of a file."""
        try:
            return cls(path.open("rb"), str(path))
        except OSError as error:
            raise InputError(file_error(path, error)) from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def raw(self) -> str:
        """SHA-256 (hex) of its octets."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def lines(self) -> Iterator[ListLine]:
        """Each line that is not empty and no remark (``#``); duplicates as well."""
        self._file.seek(0)
        encoding = "utf-16" if self._file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding, errors="backslashreplace", newline="")
        try:
            yield from _lines(text)
        except OSError as error:
            raise InputError(file_error(self._name, error)) from None
        finally:
            text.detach()  # else the file would be closed with it


def _lines(text: io.TextIOWrapper) -> Iterator[ListLine]:
    """As `FleetList.lines`, of a list or of a table, which the first line tells."""
    before, number = "", 0
    while not before.strip() or before.lstrip().startswith("#"):
        before = text.readline(_MOST_OCTETS)
        if not before:
            return
        number += 1
    delimiter = next((each for each in _DELIMITERS if each in before), None)
    names = [each.strip().lower() for each in next(csv.reader([before], delimiter=delimiter or ","))]
    rest = _whole_lines(text)
    if delimiter is None and names != ["domain"]:
        yield from _list(itertools.chain([before], rest), number)
        return
    if "domain" not in names:
        raise InputError(NO_DOMAIN_COLUMN(known=tuple(names)[:20]))
    twice = next((each for each in names if each and names.count(each) > 1), None)
    if twice is not None:
        raise InputError(COLUMN_TWICE(name=twice))
    yield from _table(rest, number, names, delimiter or ",")


def _whole_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines; of one that is far too long, its beginning, so that no file without line ends is held in memory."""
    while line := text.readline(_MOST_OCTETS * 16):
        beginning = line
        while line and not line.endswith(("\n", "\r")):
            line = text.readline(_MOST_OCTETS * 16)
        yield beginning


def _list(lines: Iterable[str], number: int) -> Iterator[ListLine]:
    for place, line in enumerate(lines, number):
        name = line.strip()
        if name and not name.startswith("#"):
            yield _line(place, lambda name=name: FleetSubject(_domain(name)))  # type: ignore[misc]


def _table(lines: Iterable[str], number: int, names: Sequence[str], delimiter: str) -> Iterator[ListLine]:
    """Each line is a row of its own, so that a quote which is not closed costs one domain and not all that follow."""
    for place, line in enumerate(lines, number + 1):
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            yield ListLine(place, LINE_BROKEN(why=str(error)))
            continue
        if any(each.strip() for each in cells) and not cells[0].startswith("#"):
            yield _line(place, lambda cells=cells: _of_row(names, cells))  # type: ignore[misc]


def _line(number: int, make: Callable[[], FleetSubject]) -> ListLine:
    wrong: list[Exception] = []
    with set_aside(wrong.append):
        return ListLine(number, make())
    return ListLine(number, reason_of(wrong[0]))


def _of_row(names: Sequence[str], cells: Sequence[str]) -> FleetSubject:
    """Raises InputError where a cell cannot be used."""
    if len(cells) > len(names) and any(each.strip() for each in cells[len(names) :]):
        raise InputError(CELLS_OVER(n=len(names)))
    row = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if name}
    domain = _domain(row.pop("domain", ""))
    purpose, volume = row.pop("purpose", ""), row.pop("daily_volume", "")
    selectors = row.pop("selectors", "").replace(",", " ").replace(";", " ").split()
    return FleetSubject(
        domain,
        _purpose(purpose) if purpose else None,
        _volume(volume) if volume else None,
        tuple(dict.fromkeys(map(parse_selector, selectors))),
        {name: cell for name, cell in row.items() if cell},
    )


def _domain(text: str) -> str:
    try:
        return parse_domain(text)
    except InputError:
        raise InputError(NO_DOMAIN(text=_cut(text))) from None


def _purpose(text: str) -> Purpose:
    word = text.lower()
    if word in _OTHER_PURPOSES:
        return _OTHER_PURPOSES[word]
    try:
        return Purpose(word)
    except ValueError:
        raise InputError(NO_PURPOSE(text=_cut(text), known=tuple(Purpose))) from None


def _volume(text: str) -> int:
    """Messages a day; a comma, blank or underscore may part the thousands."""
    plain = text.replace(",", "").replace("_", "").replace(" ", "")
    if not (plain.isascii() and plain.isdigit() and len(plain) <= 12):
        raise InputError(NO_VOLUME_IN_CELL(text=_cut(text)))
    return int(plain)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def subject_of(row: FleetSubject, settings: Settings, lists: ListsWanted | None = None) -> Subject:
    """What the table says of a domain's mail, filled up from the settings. Raises InputError."""
    general = subject_of_settings(settings, row.domain)
    return replace(
        general,
        selectors=row.selectors or general.selectors,
        purpose=row.purpose or general.purpose,
        daily_volume=general.daily_volume if row.daily_volume is None else row.daily_volume,
        lists_wanted=lists,
    )
