"""Reads an exported list row by row: which charset it is in, what separates its columns, which column is what.

UTF-8 with and without U+FEFF, UTF-16 with it, Shift_JIS in Microsoft's form (CP932) and ISO-2022-JP; commas,
semicolons or tabs (RFC 4180 otherwise); with a row of heads or without. One row is held at a time.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.errors import AT_LINE, InputError, file_error
from deliverability.lists.catalogue import ListData

EMPTY_LIST = Code("list-empty", ("name",))
NO_COLUMN = Code("list-no-column", ("name", "column", "heads"))
NO_ADDRESSES = Code("list-no-addresses", ("name", "heads"))
NOT_READABLE = Code("list-not-readable", ("why",))
NO_TABLE = Code("list-no-table", ("name",))
WORKBOOK = Code("list-workbook", ("name", "kind"))

_CHUNK = 1 << 20
_HEAD = 4_096
_SEPARATORS = ",;\t"
_MAX_LINE = 1_000_000  # characters
_HEADS_SHOWN = 20
_SIGN = re.compile(r"[\W_]+")
_DOMAIN = re.compile(r"[^\s@/.:]+(\.[^\s@/.:]+)+")
_ESCAPES = (b"\x1b$@", b"\x1b$B", b"\x1b(J", b"\x1b(I")  # how Japanese text begins in ISO-2022-JP (RFC 1468)


class ListTable(Struct, frozen=True):
    """How a list is to be read.

    Attributes:
        path: the file.
        charset: as Python calls it.
        separator: between columns.
        heads: names of the columns; empty: it has no row of heads.
        address: place of the column of addresses.
        confirmed: places of the columns that say when or whether somebody confirmed.
        active: places of the columns of last openings and clicks.
        number: place of a column that says for how many recipients a row stands; None: for one.

    """

    path: Path
    charset: str
    separator: str
    heads: tuple[str, ...]
    address: int
    confirmed: tuple[int, ...] = ()
    active: tuple[int, ...] = ()
    number: int | None = None

    def called(self, places: Sequence[int]) -> tuple[str, ...]:
        """The heads of columns; without heads their numbers from 1."""
        return tuple(self.heads[place] if place < len(self.heads) else str(place + 1) for place in places)

    def rows(self) -> Iterator[list[str]]:
        """The entries, without the heads and without empty rows. Raises InputError with the line."""
        with _reader(self.path, self.charset, self.separator) as rows:
            for number, row in enumerate(_checked_rows(rows, self.path)):
                if (number or not self.heads) and any(cell.strip() for cell in row):
                    yield row

    def cell(self, row: Sequence[str], place: int) -> str:
        """A cell without the white space around it; empty where the row is too short."""
        return row[place].strip(" \t\r\n\u3000\ufeff") if place < len(row) else ""


def open_list(path: Path, data: ListData, column: str | None = None, *, domains: bool = False) -> ListTable:
    """Look at a list. Raises InputError.

    Args:
        path: the file.
        data: how its columns may be called.
        column: the head of the column of addresses, or its number from 1.
        domains: where no column has addresses, one of domains does.

    """
    try:
        if path.is_dir():
            raise InputError(NO_TABLE(name=str(path)))
        if kind := _workbook(path):
            raise InputError(WORKBOOK(name=str(path), kind=kind))
        charset = _charset(path)
        separator = _separator(path, charset)
    except OSError as error:
        raise InputError(file_error(path, error)) from None
    with _reader(path, charset, separator) as rows:
        first = next((row for row in _checked_rows(rows, path)), [])
        second = next((row for row in _checked_rows(rows, path) if any(row)), [])
    if not any(cell.strip() for cell in first):
        raise InputError(EMPTY_LIST(name=str(path)))
    begun = any(map(_has_at, first)) or (domains and any(map(_is_domain, first)))
    heads = () if begun else tuple(cell.strip(" \t\u3000\ufeff") for cell in first)
    row = first if begun else second
    if domains and column is None and not any(map(_has_at, row)):
        place = next(iter(_places(heads, data.columns["domain"])), None)
        if place is None:
            place = next((place for place, cell in enumerate(row) if _is_domain(cell)), None)
        if place is not None:
            return ListTable(path, charset, separator, heads, place, number=_number(heads, row, data))
    return ListTable(
        path,
        charset,
        separator,
        heads,
        _address(path, heads, row, data, column),
        _places(heads, data.columns["confirmed"]),
        _places(heads, data.columns["active"]),
    )


def folded_head(head: str) -> str:
    """The name of a column as it is compared: NFKC, lower case, without spaces and signs."""
    return _SIGN.sub("", unicodedata.normalize("NFKC", head).lower())


def _address(path: Path, heads: tuple[str, ...], row: Sequence[str], data: ListData, column: str | None) -> int:
    """The place of the column of addresses: the one that was said, that is called so, or the first that has one."""
    if column is not None:
        wanted = folded_head(column)
        named = [place for place, head in enumerate(heads) if wanted and folded_head(head) == wanted]
        if named:
            return named[0]
        if column.isdecimal() and 1 <= int(column) <= max(len(heads), len(row)):
            return int(column) - 1
        raise InputError(NO_COLUMN(name=str(path), column=column, heads=heads[:_HEADS_SHOWN]))
    called = _places(heads, data.columns["address"])
    having = [place for place, cell in enumerate(row) if _has_at(cell)]
    found = [place for place in called if place in having] or list(called) or having
    if not found:
        raise InputError(NO_ADDRESSES(name=str(path), heads=heads[:_HEADS_SHOWN]))
    return found[0]


def _is_domain(cell: str) -> bool:
    return _DOMAIN.fullmatch(cell.strip(" \t\u3000\ufeff")) is not None


def _number(heads: tuple[str, ...], row: Sequence[str], data: ListData) -> int | None:
    """The place of the column of numbers: the one that is called so, or without heads the first that has one."""
    if heads:
        return next(iter(_places(heads, data.columns["number"])), None)
    return next((place for place, cell in enumerate(row) if cell.strip().isdecimal()), None)


def _has_at(cell: str) -> bool:
    """Whether it may hold an address, also one with a full-width sign."""
    return "@" in cell or "\uff20" in cell


def _places(heads: tuple[str, ...], names: frozenset[str]) -> tuple[int, ...]:
    return tuple(place for place, head in enumerate(heads) if folded_head(head) in names)


def _workbook(path: Path) -> str:
    """The kind of workbook that a file is, by its first octets; empty: none. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "Excel, .xls"
    if not head.startswith(b"PK\x03\x04"):
        return ""
    if b"opendocument.spreadsheet" in head:
        return "OpenDocument, .ods"
    return "Excel, .xlsx" if b"xl/" in head or b"[Content_Types].xml" in head else "ZIP"


def _charset(path: Path) -> str:
    """The charset of all octets of the file: the first that they all fit. Raises OSError."""
    utf8, cp932 = (codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp932"))
    fits = {"utf-8": True, "cp932": True}
    escapes = False
    with path.open("rb") as file:
        head = file.read(4)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        marked = head.startswith(codecs.BOM_UTF8)
        file.seek(0)
        while piece := file.read(_CHUNK):
            escapes = escapes or any(each in piece for each in _ESCAPES)
            for name, decoder in (("utf-8", utf8), ("cp932", cp932)):
                if fits[name]:
                    fits[name] = _decodes(decoder, piece)
    if escapes and fits["utf-8"]:
        return "iso2022_jp_ext"
    if fits["utf-8"]:
        return "utf-8-sig" if marked else "utf-8"
    return "cp932" if fits["cp932"] else "utf-8"


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes) -> bool:
    try:
        decoder.decode(piece)
    except UnicodeDecodeError:
        return False
    return True


def _separator(path: Path, charset: str) -> str:
    """What stands most often in the first line outside quotation marks; a comma where none does. Raises OSError."""
    with path.open("rb") as file:
        text = codecs.getincrementaldecoder(charset)("replace").decode(file.read(_CHUNK >> 4))
    line = re.sub(r'"[^"]*"', "", next((each for each in text.splitlines() if each.strip()), ""))
    return max(_SEPARATORS, key=lambda each: (line.count(each), -_SEPARATORS.index(each)))


@contextmanager
def _reader(path: Path, charset: str, separator: str) -> Iterator[Iterator[list[str]]]:
    """Raises InputError."""
    try:
        with path.open("rb") as file:
            text = io.TextIOWrapper(file, encoding=charset, errors="replace", newline="")
            yield csv.reader(_lines(text), delimiter=separator)
    except OSError as error:
        raise InputError(file_error(path, error)) from None


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a file, their ends included. Raises csv.Error where one is no line of a list any more."""
    while line := text.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise csv.Error(f"a line of more than {_MAX_LINE:,} characters")
        yield line


def _checked_rows(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    """The rows. Raises InputError with the line where one cannot be read, as where a quotation mark is not closed."""
    try:
        yield from rows
    except csv.Error as error:
        line = getattr(rows, "line_num", 0)
        raise InputError(AT_LINE(file=str(path), line=line, detail=NOT_READABLE(why=str(error)))) from None
