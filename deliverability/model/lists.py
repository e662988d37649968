"""A checked list of recipients: its segments and sums, never an address."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

LIST_SCHEMA = "1.0"


class Segment(StrEnum):
    """What an address of a list is; it stands in the first that fits, and in GOOD where none does.

    SYNTAX: no e-mail address. DUPLICATE: it stood in the list before. ROLE: of a task, not of a person. DISPOSABLE: at
    a service for mailboxes that live for minutes. TYPO: most likely a typing error of a well-known domain.
    TAKES_NO_MAIL: DNS says that its domain does not exist or takes no mail. UNCONFIRMED: whoever entered it did not
    confirm. INACTIVE: no opening or click for long. SUPPRESSED: it bounced or complained.
    """

    GOOD = "good"
    SYNTAX = "syntax"
    DUPLICATE = "duplicate"
    ROLE = "role"
    DISPOSABLE = "disposable"
    TYPO = "typo"
    TAKES_NO_MAIL = "takes-no-mail"
    UNCONFIRMED = "unconfirmed"
    INACTIVE = "inactive"
    SUPPRESSED = "suppressed"


class ListSums(Struct, frozen=True):
    """What a check of a list found.

    Attributes:
        name: of the file, without its folder.
        checked: when, ISO 8601 in UTC.
        lines: entries of the list; empty ones do not count.
        segments: how many entries are in each.
        domains: how many different ones were asked about.
        domains_not_checked: of these, how many DNS could not be asked about.
        not_checked: entries at such domains; they stand in the segment that would fit otherwise.
        columns: what was taken for what: address, confirmed, active -> the heads of the columns.
        inactive_days: from how many days on without activity somebody is inactive; None: not asked for.
        without_date: entries without a date of activity that could be read, where that was asked for.
        suppressed_given: a file of suppressed addresses was given.

    """

    name: str
    checked: str
    lines: int
    segments: Mapping[Segment, int]
    domains: int
    domains_not_checked: int
    not_checked: int
    columns: Mapping[str, tuple[str, ...]]
    inactive_days: int | None = None
    without_date: int = 0
    suppressed_given: bool = False
