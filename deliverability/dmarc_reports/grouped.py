"""The rows of a window as sources: what belongs together, and what it is to the domain. Pure."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import pairwise

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.traffic import SourceDay
from deliverability.core.model.observed import Facet, Observed, Rows, address_of
from deliverability.core.model.services import Service
from deliverability.dmarc_reports.standing import (
    SPF_COVERS,
    RowJudge,
    Setup,
    SourceStanding,
    network_of,
    written,
)

FEW = 16
"""Rows of a source that are added up anew each time: forged mail makes a million sources of one row."""
GOOD_PERCENT = 99.0
"""From this share of aligned mail on, a source of ours or a service is one that signs, and the rest its noise."""
STEADY_DAYS = 4
STEADY_SPAN = 14
MAX_SOURCES = 200
"""Sources of a standing that are listed; behind them as many that come again and again."""

OTHERS_ALIGNED = Code("by-others-aligned", ("name",))


class TrafficSource(Struct, dict=True):
    """Rows of reports that belong together: one sender, one standing.

    Attributes:
        table: the rows of the window.
        places: which of them are its own.
        messages: all of them together.
        many: how many sources it stands for: small foreign ones are added up, as a domain that is forged has more of
            them than anybody reads.

    """

    name: str
    service: Service | None
    standing: SourceStanding
    by_user: bool
    table: Rows
    places: array[int]
    reasons: tuple[Detail, ...] = ()
    messages: int = 0
    key: str = ""
    apart: bool = False
    many: int = 1

    @property
    def cells(self) -> Iterable[tuple[int, int, int]]:
        """Days (ordinals) with facets (numbers) and messages; each pair of them once where there are many."""
        if len(self.places) > FEW:
            return self._cells
        day, facet, messages = self.table.day, self.table.facet, self.table.messages
        return [(day[place], facet[place], messages[place]) for place in self.places]

    @cached_property
    def _cells(self) -> Sequence[tuple[int, int, int]]:
        day, facet, messages = self.table.day, self.table.facet, self.table.messages
        found: dict[tuple[int, int], int] = {}
        for place in self.places:
            cell = day[place], facet[place]
            found[cell] = found.get(cell, 0) + messages[place]
        return [(*cell, number) for cell, number in found.items()]

    def count(self, wanted: Callable[[Facet], bool] = lambda facet: True, since: date = date.min) -> int:
        """Its messages of some facets, since a day."""
        first, facets, found = since.toordinal(), self.table.facets, 0
        for day, facet, messages in self.cells:
            if day >= first and wanted(facets[facet]):
                found += messages
        return found

    def by_day(self, wanted: Callable[[Facet], bool]) -> Mapping[int, int]:
        """Messages of some facets by day (ordinal)."""
        facets = self.table.facets
        found: dict[int, int] = {}
        for day, facet, messages in self.cells:
            if wanted(facets[facet]):
                found[day] = found.get(day, 0) + messages
        return found

    def days_of(self, wanted: Callable[[Facet], bool]) -> list[date]:
        """The days on which it sent mail of some facets."""
        return [date.fromordinal(day) for day in self.by_day(wanted)]

    def failing_from(self, addresses: Container[str]) -> Counter[str]:
        """Messages that do not pass, by address, of some addresses."""
        table = self.table
        found: Counter[str] = Counter()
        for number, places in self.by_number():
            if (address := address_of(table.addresses[number])) in addresses:
                found[address] += sum(
                    table.messages[place] for place in places if not table.facets[table.facet[place]].aligned
                )
        return found

    @property
    def aligned(self) -> int:
        """Those that pass DMARC."""
        return self.count(lambda facet: facet.aligned)

    @property
    def by_facet(self) -> Mapping[Facet, int]:
        """Messages by facet, the most first."""
        found = Counter[int]()
        for _, facet, messages in self.cells:
            found[facet] += messages
        return {self.table.facets[facet]: found[facet] for facet in _most(found)}

    @property
    def days(self) -> frozenset[int]:
        """The days (ordinals) on which it sent."""
        return frozenset(day for day, _, _ in self.cells)

    @cached_property
    def by_address(self) -> Mapping[str, int]:
        """Messages by address, the most first."""
        found = Counter[int]()
        for number, places in self.by_number():
            found[number] = sum(self.table.messages[place] for place in places)
        return {address_of(self.table.addresses[number]): found[number] for number in _most(found)}

    def by_number(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Its addresses by number, each with the places of its rows."""
        if len(self.places) == 1:
            yield self.table.number_at(self.places[0]), self.places
            return
        starts, number, some = self.table.starts, -1, array("I")
        for place in sorted(self.places):
            if number < 0 or place >= starts[number + 1]:
                if some:
                    yield number, some
                number, some = self.table.number_at(place), array("I")
            some.append(place)
        if some:
            yield number, some

    @property
    def foreign(self) -> bool:
        """Whether its mail is known to be foreign, and the policy concerns it."""
        return not (self.standing.ours or self.standing.asks or self.apart)

    def by_cell(self) -> Iterator[SourceDay]:
        """What it sent by address, receiver and day."""
        table = self.table
        for number, places in self.by_number():
            address = address_of(table.addresses[number])
            sums: dict[tuple[int, int], list[int]] = {}
            for place in places:
                both = sums.setdefault((table.reporter[place], table.day[place]), [0, 0])
                both[0] += table.messages[place]
                both[1] += table.messages[place] if table.facets[table.facet[place]].aligned else 0
            for (who, day), (messages, aligned) in sums.items():
                yield SourceDay(
                    source=self.key,
                    address=address,
                    receiver=table.reporters[who][0],
                    day=date.fromordinal(day).isoformat(),
                    messages=messages,
                    aligned=aligned,
                )

    @property
    def steady(self) -> bool:
        """Whether it comes again and again: one address, the addresses of one network or those of one name."""
        if len(self.places) < STEADY_DAYS:
            return False
        days = self.days
        return len(days) >= STEADY_DAYS and max(days) - min(days) + 1 >= STEADY_SPAN

    def by_reporter(self, wanted: Callable[[Facet], bool] = lambda facet: True) -> Mapping[str, int]:
        """Messages of some facets by reporter, the most first."""
        table, found = self.table, Counter[int]()
        for place in self.places:
            if wanted(table.facets[table.facet[place]]):
                found[table.reporter[place]] += table.messages[place]
        return {self.table.reporters[number][0]: found[number] for number in _most(found)}

    def first_seen(self, facets: Sequence[int]) -> date:
        """The day on which mail of that kind from there was first reported, ever.

        `facets`: by number the ordinal of the day on which each was first reported; 0: not told.
        """
        table, first = self.table, date.max.toordinal()
        for number, places in self.by_number():
            since = table.since[number]
            for place in places:
                day = table.day[place]
                first = min(first, day, max(since, facets[table.facet[place]] or day))
        return date.fromordinal(first)


def _most(counts: Mapping[int, int]) -> list[int]:
    """The numbers, those with the most messages first."""
    return sorted(counts, key=lambda number: (-counts[number], number))


def picked(rows: Rows, domain: str) -> Iterator[tuple[int, Sequence[int]]]:
    """The addresses (by number) with the places of their rows that count, for a domain and the names below it."""
    below = f".{domain}"
    about = [each.header_from == domain or each.header_from.endswith(below) for each in rows.facets]
    return rows.picked([trusted for _, trusted in rows.reporters], about)


def sources_of(observed: Observed, domain: str, setup: Setup) -> tuple[TrafficSource, ...]:
    """The sources of the trusted rows for a domain and the names below it, by standing, the largest first."""
    made = _Grouping(observed.rows, RowJudge(setup, observed.rows.facets, observed.relays), domain, setup)
    for number, places in picked(observed.rows, domain):
        made.take(number, places)
    sources = list(made.sources())
    order = {standing: place for place, standing in enumerate(SourceStanding)}
    sources.sort(key=lambda each: (order[each.standing], each.many > 1, -each.messages, each.name))
    _name(sources)
    return tuple(sources)


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


REGULAR_PERCENT = 60
"""A kind of mail that comes on so many of the days on which its host sends is a job of its own, and no noise."""
REGULAR_DAYS = 4
REGULAR_WEEKDAYS = 3
WEEKLY_PERCENT = 75
"""Or on so many of the days of the week on which it comes at all, where these are few."""
ENDED_DAYS = 14
"""What came at equal distances and then not for so long may have been mended."""
BURST = 10
"""So many on one day are a run, however seldom it comes."""

_NEVER = date.max.toordinal()

_Kind = tuple[str, str, tuple[str, ...]]
_Group = tuple[str, bool, bool]  # its name, whether it is ours, whether it is apart


def _is_apart(name: str, domain: str, setup: Setup) -> bool:
    """Whether the policy of the domain does not concern a name below it."""
    if name == domain:
        return False
    parents = (name.split(".", number)[number] for number in range(name.count(".") - domain.count(".")))
    if any(each in setup.own_records for each in parents):
        return True
    if setup.apart_missing is None:
        return setup.apart
    missing = setup.missing.get(name)
    if missing is None:  # sp or np: nobody knows
        return setup.apart and setup.apart_missing
    return setup.apart_missing if missing else setup.apart


def _is_regular(on: Collection[int], sending: Collection[int]) -> bool:
    """Whether days (ordinals) are most of those with mail, or of a few days of the week, or equally far apart."""
    if len(on) < REGULAR_DAYS:
        return False
    weekdays = {day % 7 for day in on}
    could = [day for day in sending if day % 7 in weekdays]
    few = len(weekdays) <= REGULAR_WEEKDAYS
    weekly = len(weekdays) == 1 or (few and 100 * len(on) >= WEEKLY_PERCENT * len(could))
    apart = {after - before for before, after in pairwise(sorted(on))}
    ended = max(sending) - max(on) >= ENDED_DAYS
    return weekly or (len(apart) == 1 and not ended) or 100 * len(on) >= REGULAR_PERCENT * len(sending)


def _kind(facet: Facet) -> _Kind:
    """What tells the jobs of one host apart: author domain, Return-Path, and whose signatures it carries."""
    return facet.header_from, facet.spf_domain or facet.envelope_from, tuple(each.domain for each in facet.dkim)


class _Grouping:
    """Puts rows into groups, as they come by address: those of a service or a name are there to the end, those of a
    network are done when the next one begins.
    """

    def __init__(self, rows: Rows, judge: RowJudge, domain: str, setup: Setup) -> None:
        self._rows, self._judge = rows, judge
        self._apart = [_is_apart(each.header_from, domain, setup) for each in rows.facets]
        self._aligned = [each.aligned for each in rows.facets]
        self._kinds = [_kind(each) for each in rows.facets]
        self._told = array("I", bytes(4 * len(rows)))  # by row, what it is
        self._kept: dict[tuple[int, int], tuple[int, _Group]] = {}  # by host and facet, what `told` makes of it
        self._named: dict[_Group, array[int]] = {}
        self._here: dict[_Group, array[int]] = {}
        self._network = b""
        self._found: list[TrafficSource] = []
        self._small: dict[tuple[SourceStanding, bool], list[TrafficSource]] = defaultdict(list)
        self._rest: dict[tuple[SourceStanding, bool], TrafficSource] = {}
        self._floors: dict[tuple[SourceStanding, bool], int] = {}  # as many messages as the last that is listed has

    def take(self, number: int, places: Sequence[int]) -> None:
        """The rows of the next address."""
        facets, judge, packed = self._rows.facet, self._judge, self._rows.addresses[number]
        network = network_of(packed)
        if network != self._network:
            self._flush()
            self._network = network
        host = judge.host(packed, [facets[place] for place in places])
        for place in places:
            kind = host, facets[place]
            known = self._kept.get(kind)
            if known is None:
                known = self._kept[kind] = self._group(*kind)
            self._told[place], group = known
            groups = self._named if group[0] else self._here
            if group in groups:
                groups[group].append(place)
            else:
                groups[group] = array("I", (place,))

    def _group(self, host: int, facet: int) -> tuple[int, _Group]:
        told = self._judge.number(host, facet)
        found = self._judge.told[told]
        return told, (found.group, found.standing.ours, self._apart[facet])

    def sources(self) -> Iterator[TrafficSource]:
        """All of them, when everything was taken; what is small and foreign is added up."""
        self._flush()
        self._make(self._named)
        yield from self._found
        for each in self._small.values():
            yield from each
        yield from self._rest.values()

    def _flush(self) -> None:
        self._make(self._here)
        self._here.clear()

    def _make(self, groups: Mapping[_Group, array[int]]) -> None:
        for (_, ours, apart), places in groups.items():
            for source in self._of_ours(places) if ours else self._by_standing(places, apart=apart):
                source.apart = apart
                self._say_spf(source)
                self._keep(source)

    def _standing(self, place: int) -> SourceStanding:
        return self._judge.told[self._told[place]].standing

    def _by_standing(self, places: array[int], *, apart: bool) -> Iterator[TrafficSource]:
        parts = self._split(places) if len(places) > 1 else {self._standing(places[0]): places}
        for standing, each in parts.items():
            if self._is_small(each, self._floors.get((standing, apart), -1)):
                self._add_up(standing, each, apart=apart)
            else:
                yield self._source(each, standing)

    def _is_small(self, places: Sequence[int], floor: int) -> bool:
        """Whether it sent too little to be listed by itself: most of a million forged rows end here."""
        if floor < 0 or len(places) >= STEADY_DAYS:
            return False
        left = floor
        for place in places:
            left -= self._rows.messages[place]
            if left < 0 or self._judge.told[self._told[place]].by_user:
                return False
        return True

    def _split(self, places: Iterable[int]) -> dict[SourceStanding, array[int]]:
        found: dict[SourceStanding, array[int]] = {}
        for place in places:
            found.setdefault(self._standing(place), array("I")).append(place)
        return found

    def _of_ours(self, places: array[int]) -> list[TrafficSource]:
        """The sources of one host or service of ours.

        An address (of a service: a stream) that passes at other times is one source with what does not pass; what never
        passes is another.
        """
        told, rows = self._judge.told, self._rows
        service = told[self._told[places[0]]].service
        gap = SourceStanding.OWN_GAP if service is None else SourceStanding.SERVICE_GAP

        def part(place: int) -> str | int:
            return rows.number_at(place) if service is None else told[self._told[place]].stream

        signing = {part(place) for place in places if self._aligned[rows.facet[place]]}
        good = array("I", (place for place in places if part(place) in signing))
        rest = array("I", (place for place in places if part(place) not in signing))
        found = []
        mixed = False
        if lost := self._never_passing(good, host=service is None):
            never = array("I", (place for place in good if self._kinds[rows.facet[place]] in lost))
            good = array("I", (place for place in good if self._kinds[rows.facet[place]] not in lost))
            found.append(self._source(never, gap))
        if good:
            source = self._source(good, SourceStanding.OWN)
            mixed = source.aligned * 100 >= GOOD_PERCENT * source.messages
            source.standing = SourceStanding.OWN if mixed else gap
            found.append(source)
        for standing, each in self._split(rest).items():
            source = self._source(each, standing)
            if standing is SourceStanding.SERVICE_GAP and mixed and not told[self._told[each[0]]].by_user:
                source.standing = SourceStanding.SERVICE_MIXED
                source.reasons = _with(source.reasons, OTHERS_ALIGNED(name=source.name))
            found.append(source)
        return found

    def _never_passing(self, places: Sequence[int], *, host: bool) -> frozenset[_Kind]:
        """The kinds that never pass and are no noise: they come regularly, or from a host of ours many on one day.

        At a service many on one day may be another customer's. A host of which nothing passed until a kind had
        ended was mended then: its gap is the host's, as long as the window shows it.
        """
        days: dict[_Kind, Counter[int]] = defaultdict(Counter)
        passing: set[_Kind] = set()
        since = _NEVER  # the first day on which any passed
        rows = self._rows
        for place in places:
            facet = rows.facet[place]
            days[self._kinds[facet]][rows.day[place]] += rows.messages[place]
            if self._aligned[facet]:
                passing.add(self._kinds[facet])
                since = min(since, rows.day[place])
        sending = frozenset[int]().union(*days.values())
        return frozenset(
            kind
            for kind, on in days.items()
            if kind not in passing
            and not max(on) < since < _NEVER
            and (_is_regular(on, sending) or (host and max(on.values()) >= BURST))
        )

    def _source(self, places: array[int], standing: SourceStanding) -> TrafficSource:
        judge, rows = self._judge, self._rows
        counts: dict[int, int] = {}
        for place in places:
            told_of = self._told[place]
            counts[told_of] = counts.get(told_of, 0) + rows.messages[place]
        numbers = list(counts)
        if len(numbers) > 1:
            numbers.sort(key=lambda each: (-counts[each], str(judge.told[each])))
        told = [judge.told[number] for number in numbers]
        first = judge.told[self._told[places[0]]]
        return TrafficSource(
            first.name or self._network_name(places),
            first.service,
            standing,
            any(each.by_user for each in told),
            rows,
            places,
            tuple(dict.fromkeys(each.reason for each in told)),
            sum(counts.values()),
        )

    def _network_name(self, places: array[int]) -> str:
        """The address of rows; their network, where they are of several."""
        number = self._rows.number_at(places[0])
        packed = self._rows.addresses[number]
        return address_of(packed) if places[-1] < self._rows.starts[number + 1] else written(packed)

    def _say_spf(self, source: TrafficSource) -> None:
        """The domain's SPF record may list it already, whatever it is."""
        few = len(source.places) == 1 and self._told[source.places[0]] not in self._judge.listed
        if few or source.standing is SourceStanding.OWN:
            return
        if term := self._judge.listed_by({self._told[place] for place in source.places}):
            source.reasons = _with(source.reasons, SPF_COVERS(term=term))

    def _keep(self, source: TrafficSource) -> None:
        if source.standing.ours or source.standing.asks or source.by_user:
            self._found.append(source)
            return
        key = source.standing, source.apart
        small = self._small[key]
        small.append(source)
        if len(small) > 4 * MAX_SOURCES:
            small.sort(key=lambda each: -each.messages)
            steady = [each for each in small[MAX_SOURCES:] if each.steady][:MAX_SOURCES]
            kept = {id(each) for each in (*small[:MAX_SOURCES], *steady)}
            for each in small:
                if id(each) not in kept:
                    self._add_up(source.standing, each.places, apart=source.apart)
            small[:] = [each for each in small if id(each) in kept]
            self._floors[key] = small[MAX_SOURCES - 1].messages

    def _add_up(self, standing: SourceStanding, places: array[int], *, apart: bool) -> None:
        rest = self._rest.get((standing, apart))
        if rest is None:
            rest = TrafficSource(standing.value, None, standing, False, self._rows, array("I"), apart=apart, many=0)
            self._rest[standing, apart] = rest
        rest.places.extend(places)
        rest.messages += sum(self._rows.messages[place] for place in places)
        rest.many += 1


def _with(reasons: tuple[Detail, ...], another: Detail) -> tuple[Detail, ...]:
    return reasons if another in reasons else (*reasons, another)
