"""A report as it is kept: what names it, which days it is about, and which count where reports overlap."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any

from msgspec import Struct

from deliverability.core.model.observed import FeedbackKind, Trust

DAY = 86_400
_ONE_DAY = 26 * 3600  # a report of up to that many seconds is about one day
_TOUCHING = 600  # seconds by which periods of neighbours may overlap
_EPOCH = date(1970, 1, 1)
_RANKS = (Trust.PARTIAL, Trust.CLAIMED, Trust.FILE, Trust.AUTHENTICATED, Trust.VERIFIED)

WITH_ROWS, SUMMED, LEFT_OUT = 0, 1, 2
"""Where the rows of a report are: with it, in the sums of weeks, or gone, as it overlapped another."""


class StoredReport(Struct, frozen=True):
    """A row of the table obs_reports."""

    id: int
    key: bytes
    twin: bytes
    kind: FeedbackKind
    domain: str
    policy_domain: str
    reporter: str
    name: str
    report_id: str
    begin: int
    end: int
    trust: Trust
    intake: int
    copies: int = 1
    records: int = 0
    messages: int = 0
    unread: int = 0
    folded: int = WITH_ROWS
    data: str = "{}"

    @property
    def day(self) -> int:
        """The UTC day of its middle, in days since 1970-01-01."""
        return (self.begin + self.end) // 2 // DAY

    @property
    def days(self) -> range:
        """All days that it is about: one for up to 26 hours, else every day that it touches."""
        if self.end - self.begin <= _ONE_DAY:
            return range(self.day, self.day + 1)
        return range(self.begin // DAY, max(self.begin, self.end - 1) // DAY + 1)

    def is_mostly_in(self, first: int, last: int) -> bool:
        """Whether more than half of it lies in those days, both counted."""
        inside = min(self.end, (last + 1) * DAY) - max(self.begin, first * DAY)
        return first <= self.day <= last if len(self.days) == 1 else 2 * inside > self.end - self.begin

    @property
    def rank(self) -> int:
        """How far it is trusted: a higher one may take the place of a lower one."""
        return _RANKS.index(self.trust)

    def row(self) -> tuple[Any, ...]:
        """As the table has it, in the order of REPORT_COLUMNS."""
        row: tuple[Any, ...] = _row(self)
        return row

    @classmethod
    def of(cls, row: Any) -> StoredReport:
        """From a row of the table."""
        values = {name: getattr(row, name) for name in cls.__struct_fields__}
        return cls(**values | {"kind": FeedbackKind(row.kind), "trust": Trust(row.trust)})


REPORT_COLUMNS = (*StoredReport.__struct_fields__, "day")
"""Of the table obs_reports, as `StoredReport.row` gives them."""

_row = attrgetter(*REPORT_COLUMNS)


def key_of(kind: FeedbackKind, reporter: str, report_id: str, domain: str, begin: int, end: int) -> bytes:
    """The digest of what names a report; `domain`: its policy domain."""
    return _digest(kind.value, reporter, report_id, domain, begin, end)


def twin_of(kind: FeedbackKind, reporter: str, says: str, domain: str, begin: int, end: int) -> bytes:
    """The digest of what a report says, whatever its number; `says` stands for its rows."""
    return _digest(kind.value, reporter, says, domain, begin, end)


def _digest(*values: str | int) -> bytes:
    """Of the values as a list in JSON, put together here, as making an encoder takes longer than using it."""
    written = [encode_basestring_ascii(each) if isinstance(each, str) else str(each) for each in values]
    return hashlib.blake2b(f"[{', '.join(written)}]".encode(), digest_size=16).digest()


def as_date(day: int) -> date:
    """A day counted from 1970-01-01."""
    return _EPOCH + timedelta(days=day)


def spread(messages: int, days: range) -> Iterator[tuple[int, int]]:
    """Messages evenly over days: each day with its share, none of them left out."""
    before = 0
    for number, day in enumerate(days, 1):
        until = messages * number // len(days)
        if until > before:
            yield day, until - before
        before = until


class Counted(Struct, frozen=True):
    """Of reports those that enter sums; those that were sent twice under two numbers; those that overlap another."""

    reports: tuple[StoredReport, ...]
    doubles: tuple[StoredReport, ...]
    overlapping: tuple[StoredReport, ...]


def counted(reports: Iterable[StoredReport]) -> Counted:
    """Which reports enter sums, however they came in.

    Of the reports of one reporter on one policy domain whose periods overlap in part, one counts (RFC 9990: all or
    nothing): what is in sums already, then the further trusted, then the earlier one. Equal periods are parts of one
    report, unless they say the same.
    """
    taken: list[StoredReport] = []
    doubles: list[StoredReport] = []
    overlapping: list[StoredReport] = []
    twins: set[bytes] = set()
    periods: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for each in sorted(reports, key=lambda one: (one.folded != SUMMED, -one.rank, one.begin, one.end, one.key)):
        known = periods.setdefault((each.policy_domain, each.reporter), [])
        period = each.begin, max(each.begin + 1, each.end - _TOUCHING)
        at = bisect.bisect_left(known, period)
        same = at < len(known) and known[at] == period
        if each.twin in twins:
            doubles.append(each)
        elif not same and ((at > 0 and known[at - 1][1] > period[0]) or (at < len(known) and known[at][0] < period[1])):
            overlapping.append(each)
        else:
            if not same:
                known.insert(at, period)
            twins.add(each.twin)
            taken.append(each)
    return Counted(tuple(taken), tuple(doubles), tuple(overlapping))
