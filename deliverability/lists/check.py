"""Puts an address of a list into its segment, by its spelling and by what is known of names and domains."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from msgspec import Struct

from deliverability.lists.catalogue import ListData

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
