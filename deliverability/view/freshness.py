"""Which statements of receivers nobody has read again for long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from msgspec import Struct

from deliverability.model.rules import RuleSet, Source

_UNREAD = "not re-read"


class Aged(Struct, frozen=True):
    """Statements of one receiver that rest on the same sources.

    Attributes:
        read: ISO date on which the newest of the sources was read; None: none of them was read again.
        days: days since then; None likewise.

    """

    receiver: str
    rules: tuple[str, ...]
    sources: tuple[str, ...]
    read: str | None
    days: int | None


def aged_statements(rules: RuleSet, today: date, days: int) -> tuple[Aged, ...]:
    """Those that were not read within so many days, the oldest first; what was never read again before them."""
    found = [each for each in _all_of(rules, today) if each.days is None or each.days > days]
    return tuple(sorted(found, key=lambda each: (each.read or "", each.receiver)))


def _all_of(rules: RuleSet, today: date) -> Iterator[Aged]:
    for receiver in rules.receivers.values():
        by_sources: defaultdict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
        for rule_id, statements in receiver.rules.items():
            for statement in statements:
                by_sources[tuple(ref.ref for ref in statement.sources)][rule_id] = None
        for refs, named in by_sources.items():
            read = _last_read(rules.sources[ref] for ref in refs)
            age = None if read is None else (today - date.fromisoformat(read)).days
            yield Aged(receiver.id, tuple(named), refs, read, age)


def _last_read(sources: Iterator[Source]) -> str | None:
    return max((each.checked for each in sources if each.read_as != _UNREAD), default=None)
