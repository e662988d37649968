"""What receivers report about a domain, the shares of it, and the sums of a checked list."""

from __future__ import annotations

import socket
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from ipaddress import ip_address
from itertools import groupby, pairwise
from math import floor, sqrt
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, overload

from msgspec import Struct, field

from deliverability.core.codes import Detail


class Trust(StrEnum):
    """Why a report is believed to come from who it says.

    VERIFIED: the mail that carried it passes DMARC by our own check, for a domain of that reporter (RFC 9990 asks
        for it). AUTHENTICATED: a trusted host's Authentication-Results say so. FILE: a bare file; the user vouches for
        it. CLAIMED: a mail that proves nothing. PARTIAL: cut off or repaired.
    """

    VERIFIED = "verified"
    AUTHENTICATED = "authenticated"
    FILE = "file"
    CLAIMED = "claimed"
    PARTIAL = "partial"


class FeedbackKind(StrEnum):
    """Kinds of feedback that are read."""

    AGGREGATE = "aggregate"
    FAILURE = "failure"
    TLS = "tls"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    EVENT = "event"
    LOG = "log"
    NUMBERS = "numbers"


class SignatureSeen(NamedTuple):
    """One DKIM signature as a receiver reports it: A-label, selector (empty: not told), result in lower case."""

    domain: str
    selector: str
    result: str


class Facet(NamedTuple):
    """What rows of reports have in common, all of them names as A-labels and words in lower case.

    Attributes:
        header_from: the author domain; empty where what stands there is no name.
        envelope_from: domain of MAIL FROM as told; empty: null reverse-path or not told.
        dkim: at most three: the first aligned pass, the first failure of the author's organizational domain, the first
            other pass.
        spf_domain: domain that SPF was evaluated for; empty: none.
        spf_result: its result; empty: none.
        aligned_dkim: the receiver's DMARC result by DKIM.
        aligned_spf: and by SPF.
        disposition: none, pass, quarantine, reject, or what else is written.
        reason: why the receiver did otherwise: a type of RFC 9990 or RFC 7489, ``local_policy/arc`` where its comment
            tells that ARC passed; several by commas; empty: none.

    """

    header_from: str
    envelope_from: str
    dkim: tuple[SignatureSeen, ...]
    spf_domain: str
    spf_result: str
    aligned_dkim: bool
    aligned_spf: bool
    disposition: str
    reason: str

    @property
    def aligned(self) -> bool:
        """Whether DMARC passed."""
        return self.aligned_dkim or self.aligned_spf


class AggregateRow(NamedTuple):
    """One record of an aggregate report: packed address (4 or 16 octets), messages, and the rest."""

    ip: bytes
    messages: int
    facet: Facet


def address_of(packed: bytes) -> str:
    """The address that 4 or 16 octets are, as text."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


class PolicySeen(Struct, frozen=True):
    """The policy that a reporter saw (RFC 9990 policy_published); empty text: not told."""

    p: str = ""
    sp: str = ""
    np: str = ""
    adkim: str = ""
    aspf: str = ""
    testing: str = ""
    discovery: str = ""


class AggregateReport(Struct, frozen=True):
    """An aggregate report without its rows (RFC 9990 section 3, RFC 7489 appendix C).

    Attributes:
        reporter: organisation as it names itself, at most 253 characters.
        email: domain of the address that it gives, as A-label; empty: none.
        report_id: as written, at most 255 characters.
        domain: policy domain, as A-label.
        begin: seconds since 1970, UTC.
        end: the last second, inclusive as reporters write it.
        policy: what the reporter saw published.
        records: rows read.
        messages: their sum.
        unread: records that could not be used.
        digest: SHA-256 over the rows in their order, hexadecimal: the same rows, the same digest.
        complete: False where the document was cut off or repaired in its records.
        problems: what was wrong with it, each once.

    """

    reporter: str
    email: str
    report_id: str
    domain: str
    begin: int
    end: int
    policy: PolicySeen
    records: int
    messages: int
    unread: int
    digest: str
    complete: bool
    problems: tuple[Detail, ...] = ()


class TlsFailure(Struct, frozen=True):
    """One kind of failed TLS connections (RFC 8460 section 4.3): result type, MX host, connections."""

    type: str
    mx: str
    count: int


class TlsPolicyResult(Struct, frozen=True):
    """How TLS to one policy domain went: connections that succeeded and failed, and how they failed."""

    domain: str
    type: str
    succeeded: int
    failed: int
    failures: tuple[TlsFailure, ...] = ()


class TlsReport(Struct, frozen=True):
    """A TLS report (RFC 8460 section 4). Times are seconds since 1970, UTC."""

    reporter: str
    report_id: str
    begin: int
    end: int
    policies: tuple[TlsPolicyResult, ...]
    problems: tuple[Detail, ...] = ()


class FailureReport(Struct, frozen=True):
    """A failure report (RFC 9991) without anything personal.

    Attributes:
        reporter: domain of the address that sent it, as A-label; empty: none.
        domain: the domain that the report is about, as A-label.
        ip: packed address of the source (4 or 16 octets), or empty where it is not told.
        signature: DKIM domain and selector that it names, without a result; None: none named.
        failed: what failed: dkim, spf, both as "dkim,spf", or empty where it is not told.
        arrived: seconds since 1970, UTC; None: not told.

    """

    reporter: str
    domain: str
    ip: bytes
    signature: SignatureSeen | None
    failed: str
    arrived: int | None


class ObservedRow(NamedTuple):
    """Messages of one UTC day, reporter and source address with the same facet.

    `trusted`: whether the report has at least the trust that gates and verdicts rest on, and its reporter is listed.
    """

    day: date
    reporter: str
    trusted: bool
    ip: str
    facet: Facet
    messages: int


T = TypeVar("T")

CountedRow = tuple[bytes, int, str, bool, Any, int]
"""Packed address, day (ordinal), reporter, whether it counts, the facet or its key, messages."""
FirstSeen = Callable[[bytes], "tuple[int | None, int | None]"]
"""Of an address the ordinals of the days on which it was first reported before: by reports that count, by others."""


class Addresses(Sequence[bytes]):
    """Packed addresses in their order, those of IPv4 first, in one piece: a million objects take much more."""

    def __init__(self) -> None:
        """Without any."""
        self._octets = bytearray()
        self._four = 0  # how many are of IPv4

    def append(self, packed: bytes) -> None:
        """The next one."""
        self._octets += packed
        self._four += len(packed) == 4

    def __len__(self) -> int:
        """How many there are."""
        return self._four + (len(self._octets) - 4 * self._four) // 16

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        """One of them, or some."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            place = range(len(self))[place]
        four = self._four
        start, size = (4 * place, 4) if place < four else (4 * four + 16 * (place - four), 16)
        return bytes(self._octets[start : start + size])


class Rows(Sequence[ObservedRow]):
    """Messages by address, day, reporter and facet, in the order of addresses.

    Attributes:
        addresses: packed, each once, those of IPv4 first.
        since: by address, the ordinal of the day on which it was first reported, ever.
        reporters: with whether their reports count.
        facets: each once.
        starts: by address, where its rows begin; one more at the end.
        day, reporter, facet, messages: the columns; of the second and the third the numbers of reporters and facets.

    """

    def __init__(self) -> None:
        """Without any rows."""
        self.addresses = Addresses()
        self.since = array("i")
        self.reporters: list[tuple[str, bool]] = []
        self.facets: list[Facet] = []
        self.starts = array("I", [0])
        self.day, self.reporter, self.facet = array("i"), array("I"), array("I")
        self.messages = array("Q")

    @classmethod
    def of(cls, rows: Iterable[ObservedRow], first_seen: Mapping[str, date] | None = None) -> Rows:
        """From rows in any order; `first_seen`: the day on which an address was first reported, if before these."""
        known = {ip_address(ip).packed: day.toordinal() for ip, day in (first_seen or {}).items()}
        packed = ((ip_address(row.ip).packed, row.day.toordinal(), *row[1:3], *row[4:]) for row in rows)
        ordered = sorted(packed, key=lambda row: (len(row[0]), row[0]))
        return cls.counted(ordered, lambda address: (known.get(address), None), list)

    @classmethod
    def counted(
        cls, rows: Iterable[CountedRow], before: FirstSeen, facets_of: Callable[[Sequence[Any]], list[Facet]]
    ) -> Rows:
        """From rows in the order of addresses; those that are alike are added up.

        `facets_of`: the facets of these keys, in their order.
        """
        made = cls()
        reporters: dict[tuple[str, bool], int] = {}
        facets: dict[Any, int] = {}
        for address, each in groupby(rows, key=itemgetter(0)):
            sums: dict[tuple[int, int, int], int] = {}
            sure: list[int] = []
            for _, day, reporter, trusted, facet, messages in each:
                who = reporters.setdefault((reporter, trusted), len(reporters))
                cell = day, who, facets.setdefault(facet, len(facets))
                sums[cell] = sums.get(cell, 0) + messages
                if trusted:
                    sure.append(day)
            for cell in sorted(sums) if len(sums) > 1 else sums:
                made.day.append(cell[0])
                made.reporter.append(cell[1])
                made.facet.append(cell[2])
                made.messages.append(sums[cell])
            made.addresses.append(address)
            made.starts.append(len(made.day))
            ever, maybe = before(address)
            if ever is not None:
                sure.append(ever)
            if not sure:
                sure = [day for day, _, _ in sums] if maybe is None else [maybe, *(day for day, _, _ in sums)]
            made.since.append(min(sure))
        made.reporters, made.reporter = _in_order(list(reporters), made.reporter)
        made.facets, made.facet = _in_order(facets_of(list(facets)), made.facet)
        return made

    def __eq__(self, other: object) -> bool:
        """Whether they hold the same rows."""
        return isinstance(other, Rows) and sorted(self) == sorted(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """How many they are: there may be a million."""
        return f"Rows of {len(self.addresses)} addresses: {len(self)}"

    def __len__(self) -> int:
        """How many there are."""
        return len(self.day)

    @overload
    def __getitem__(self, place: int) -> ObservedRow: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ObservedRow]: ...
    def __getitem__(self, place: int | slice) -> ObservedRow | Sequence[ObservedRow]:
        """A row, or some of them."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        return self._row(place, address_of(self.addresses[self.number_at(place)]))

    def number_at(self, place: int) -> int:
        """The number of the address of a row."""
        return bisect_right(self.starts, place) - 1

    def __iter__(self) -> Iterator[ObservedRow]:
        """All of them, by address."""
        for number, packed in enumerate(self.addresses):
            address = address_of(packed)
            for place in range(self.starts[number], self.starts[number + 1]):
                yield self._row(place, address)

    def _row(self, place: int, address: str) -> ObservedRow:
        name, trusted = self.reporters[self.reporter[place]]
        day = date.fromordinal(self.day[place])
        return ObservedRow(day, name, trusted, address, self.facets[self.facet[place]], self.messages[place])

    def by_facet(self) -> Mapping[Facet, int]:
        """Messages of reports that count, by facet."""
        trusted = [each for _, each in self.reporters]
        found: dict[int, int] = {}
        for who, facet, messages in zip(self.reporter, self.facet, self.messages, strict=True):
            if trusted[who]:
                found[facet] = found.get(facet, 0) + messages
        return {self.facets[facet]: messages for facet, messages in found.items()}

    def picked(self, reporters: Sequence[bool], facets: Sequence[bool]) -> Iterator[tuple[int, Sequence[int]]]:
        """Addresses by number, each with the places of its rows of these reporters and facets; none without."""
        by, what, every = self.reporter, self.facet, all(reporters) and all(facets)
        for number, (start, stop) in enumerate(pairwise(self.starts)):
            here = range(start, stop)
            places = here if every else [each for each in here if reporters[by[each]] and facets[what[each]]]
            if places:
                yield number, places


def _in_order(values: Sequence[T], numbers: array[int]) -> tuple[list[T], array[int]]:
    """The values sorted, and their numbers accordingly: whatever came first, the same rows get the same numbers."""
    order = [place for _, place in sorted((value, place) for place, value in enumerate(values))]
    new = {old: place for place, old in enumerate(order)}
    return [values[each] for each in order], array("I", map(new.__getitem__, numbers))


class ObservedReport(Struct, frozen=True):
    """A report of the window: who sent it, when, how far it is trusted, messages, and the policy it saw.

    Attributes:
        trusted: it has at least the trust that gates and verdicts rest on, and its reporter is listed.
        domain: the policy domain that it is about; empty: the organizational domain of the window.
        listed: its reporter stands in the catalogue of reporters or in the user's settings.

    """

    reporter: str
    name: str
    begin: int
    end: int
    trust: Trust
    messages: int
    policy: PolicySeen
    trusted: bool = True
    domain: str = ""
    listed: bool = True


class ObservedProblem(Struct, frozen=True):
    """Something in the window that could not be used: the code with arguments, whose report, how often."""

    detail: Detail
    reporter: str
    count: int


class Observed(Struct, frozen=True):
    """What receivers reported about one organizational domain in a window of whole UTC days.

    Attributes:
        begin: first day.
        end: last day: the newest that is over.
        rows: summed up by day, reporter, trust, address and facet.
        reports: the aggregate reports behind them, oldest first.
        duplicates: reports that came more than once, counted once.
        problems: what could not be used.
        first_facets: the day on which a facet of `rows` was first reported, ever.
        first_report: day of the oldest report in the store; None: there is none.
        last_reports: day of the newest report by reporter, ever.
        tls: TLS reports of the window.
        failures: failure reports of the window, with how many were alike.
        relays: addresses that bring aligned DKIM mail of five or more unrelated organizational domains of the store.

    """

    begin: date
    end: date
    rows: Rows = field(default_factory=Rows)
    reports: tuple[ObservedReport, ...] = ()
    duplicates: int = 0
    problems: tuple[ObservedProblem, ...] = ()
    first_facets: Mapping[Facet, date] = field(default_factory=dict)
    first_report: date | None = None
    last_reports: Mapping[str, date] = field(default_factory=dict)
    tls: tuple[TlsReport, ...] = ()
    failures: tuple[tuple[FailureReport, int], ...] = ()
    relays: frozenset[str] = frozenset()


class SourceOwner(StrEnum):
    """Whose a source is, in the user's word."""

    OURS = "ours"
    FORWARDER = "forwarder"
    NOT_OURS = "not-ours"


class SourceWord(Struct, frozen=True):
    """The user's word on a source; it wins over everything that is inferred.

    Attributes:
        match: what it is about, any of them: an address or range, ``ptr:NAME``, ``dkim:NAME`` or ``service:ID``; a name
            stands for itself and all below it.
        owner: see SourceOwner.
        name: how the source is called; empty: as it would be without the word.
        domain: A-label of the organizational domain it counts for; empty: every domain.
        until: ISO date of the last day on which it counts; empty: it never ends.

    """

    match: tuple[str, ...]
    owner: SourceOwner
    name: str = ""
    domain: str = ""
    until: str = ""


Z = 1.645
"""One-sided, at 95 %."""


def percent(part: int, whole: int) -> float | None:
    """The share in percent; None of nothing."""
    return _shown(100 * part / whole) if whole else None


def at_least_percent(good: int, all_: int) -> float | None:
    """The Wilson lower bound of a share, one-sided at 95 %; None of nothing."""
    if not all_:
        return None
    share, squared = good / all_, Z * Z
    middle = share + squared / (2 * all_)
    spread = Z * sqrt(share * (1 - share) / all_ + squared / (4 * all_ * all_))
    return _shown(max(0.0, 100 * (middle - spread) / (1 + squared / all_)))


def _shown(share: float) -> float:
    """Two decimals, cut off: what is short of a limit is shown short of it."""
    return floor(share * 100 + 1e-9) / 100


LIST_SCHEMA = "1.0"


class Segment(StrEnum):
    """What an address of a list is; it stands in the first that fits, and in GOOD where none does.

    SYNTAX: no e-mail address. DUPLICATE: it stood in the list before. ROLE: of a task, not of a person. DISPOSABLE: at
    a service for mailboxes that live for minutes. TYPO: most likely a typing error of a well-known domain.
    TAKES_NO_MAIL: DNS says that its domain does not exist or takes no mail. UNCONFIRMED: whoever entered it did not
    confirm. INACTIVE: no opening or click for long. SUPPRESSED: it bounced or complained. NOT_CHECKED: nothing is known
    against it, but its domain could not be looked up.
    """

    GOOD = "good"
    NOT_CHECKED = "not-checked"
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
