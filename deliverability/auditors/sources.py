"""Which sources send as a domain by what receivers report. Pure over what it is handed.

Rows are judged one by one (see standing) and then put together to sources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from msgspec import Struct, field

from deliverability.auditors.standing import ClassifiedRow, RowJudge, Setup, SourceStanding
from deliverability.model.codes import Code, Detail
from deliverability.model.observed import Observed, ObservedRow
from deliverability.model.senders import Service

GOOD_PERCENT = 99.0
"""From this share of aligned mail on, a source of ours or a service is one that signs, and the rest its noise."""

OTHERS_ALIGNED = Code("by-others-aligned", ("name",))


class TrafficSource(Struct):
    """Rows of reports that belong together: one sender, one standing."""

    name: str
    service: Service | None
    standing: SourceStanding
    by_user: bool
    reasons: dict[Detail, None] = field(default_factory=dict)
    rows: list[ObservedRow] = field(default_factory=list)
    key: str = ""

    @property
    def messages(self) -> int:
        """All of its messages."""
        return sum(row.messages for row in self.rows)

    @property
    def aligned(self) -> int:
        """Those that pass DMARC."""
        return sum(row.messages for row in self.rows if row.facet.aligned)

    @property
    def by_address(self) -> Counter[str]:
        """Messages by address."""
        found: Counter[str] = Counter()
        for row in self.rows:
            found[row.ip] += row.messages
        return found


def sources_of(observed: Observed, domain: str, setup: Setup) -> tuple[TrafficSource, ...]:
    """The sources of the trusted rows for a domain and the names below it, by standing, the largest first."""
    rows = rows_of(observed, domain)
    judge = RowJudge(setup, rows, observed.relays)
    groups: dict[tuple[str, bool], list[tuple[ObservedRow, ClassifiedRow]]] = {}
    for row in rows:
        found = judge.of(row.ip, row.facet)
        groups.setdefault((found.group, found.standing.ours), []).append((row, found))
    sources = [
        source for (_, ours), each in groups.items() for source in (_of_ours(each) if ours else _by_standing(each))
    ]
    order = {standing: place for place, standing in enumerate(SourceStanding)}
    sources.sort(key=lambda each: (order[each.standing], -each.messages, each.name))
    _name(sources)
    return tuple(sources)


def rows_of(observed: Observed, domain: str) -> list[ObservedRow]:
    """The trusted rows about a domain and the names below it."""
    below = f".{domain}"
    return [
        row
        for row in observed.rows
        if row.trusted and (row.facet.header_from == domain or row.facet.header_from.endswith(below))
    ]


def _name(sources: Iterable[TrafficSource]) -> None:
    """A key for each: its name, with the standing where another source has the same name."""
    taken: set[str] = set()
    for each in sources:
        key = each.name if each.name not in taken else f"{each.name} ({each.standing.value})"
        number = 1
        while key in taken:
            number += 1
            key = f"{each.name} ({each.standing.value}, {number})"
        taken.add(key)
        each.key = key


# --- rows to sources ------------------------------------------------------------------------------------------------

_Rows = Sequence[tuple[ObservedRow, ClassifiedRow]]


def _by_standing(rows: _Rows) -> list[TrafficSource]:
    return [_source(each, standing) for standing, each in _split(rows, lambda one: one[1].standing).items()]


def _of_ours(rows: _Rows) -> list[TrafficSource]:
    """The sources of one host or service of ours.

    An address (of a service: a stream) that passes at other times is one source with what does not pass; what never
    passes is another.
    """
    service = rows[0][1].service
    of: Callable[[tuple[ObservedRow, ClassifiedRow]], str] = (
        (lambda one: one[0].ip) if service is None else (lambda one: one[1].stream)
    )
    signing = {of(one) for one in rows if one[0].facet.aligned}
    good = [one for one in rows if of(one) in signing]
    rest = [one for one in rows if of(one) not in signing]
    found = []
    mixed = False
    if good:
        standing = SourceStanding.OWN
        messages = sum(row.messages for row, _ in good)
        aligned = sum(row.messages for row, _ in good if row.facet.aligned)
        mixed = aligned * 100 >= GOOD_PERCENT * messages
        if not mixed:
            standing = SourceStanding.OWN_GAP if service is None else SourceStanding.SERVICE_GAP
        found.append(_source(good, standing))
    for standing, each in _split(rest, lambda one: one[1].standing).items():
        if standing is SourceStanding.SERVICE_GAP and mixed and not each[0][1].by_user:
            source = _source(each, SourceStanding.SERVICE_MIXED)
            source.reasons[OTHERS_ALIGNED(name=source.name)] = None
        else:
            source = _source(each, standing)
        found.append(source)
    return found


def _split(
    rows: _Rows, by: Callable[[tuple[ObservedRow, ClassifiedRow]], SourceStanding]
) -> dict[SourceStanding, list[tuple[ObservedRow, ClassifiedRow]]]:
    found: dict[SourceStanding, list[tuple[ObservedRow, ClassifiedRow]]] = {}
    for one in rows:
        found.setdefault(by(one), []).append(one)
    return found


def _source(rows: _Rows, standing: SourceStanding) -> TrafficSource:
    first = rows[0][1]
    counts: Counter[Detail] = Counter()
    for row, each in rows:
        counts[each.reason] += row.messages
    reasons = dict.fromkeys(reason for reason, _ in counts.most_common())
    by_user = any(each.by_user for _, each in rows)
    ips = {row.ip for row, _ in rows}
    name = ips.pop() if len(ips) == 1 and "/" in first.name and first.service is None else first.name
    return TrafficSource(name, first.service, standing, by_user, reasons, [row for row, _ in rows])


def first_seen(source: TrafficSource, observed: Observed) -> date:
    """The day on which mail of that kind from there was first reported, ever."""
    ips, facets = observed.first_ips, observed.first_facets
    return min(min(row.day, max(ips.get(row.ip, row.day), facets.get(row.facet, row.day))) for row in source.rows)
