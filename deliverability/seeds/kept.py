"""What tests have shown, in the history, and what it comes to: verdicts against folders, by receiver."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from deliverability.core.errors import InputError
from deliverability.core.mail.reader import read
from deliverability.core.mail.words import decode_words
from deliverability.core.model.report import VerdictKind
from deliverability.core.net.clock import stamp
from deliverability.core.store.deliveries import SeedRow, keep_seeds, read_on, seeds_of, seeds_since
from deliverability.core.store.store import History, missing_file
from deliverability.seeds.values import HEADER, Folder, Placed, parse_token

_Z = 1.959964  # of the normal distribution, for 95 percent
DAYS = 90
OTHERS = "-"  # in place of a receiver: none of the rules


class Said(StrEnum):
    """What our verdict comes to."""

    NO_OBSTACLE = "no-obstacle"
    AT_RISK = "at-risk"
    REFUSED = "refused"
    CANNOT_TELL = "cannot-tell"


_SAID: Mapping[VerdictKind | None, Said] = {
    VerdictKind.ACCEPTED: Said.NO_OBSTACLE,
    VerdictKind.DNS_READY: Said.NO_OBSTACLE,
    VerdictKind.AT_RISK: Said.AT_RISK,
    VerdictKind.DEPENDS: Said.AT_RISK,
    VerdictKind.DNS_NOT_READY: Said.AT_RISK,
    VerdictKind.REJECTED: Said.REFUSED,
    VerdictKind.CANNOT_TELL: Said.CANNOT_TELL,
    VerdictKind.DNS_PARTLY: Said.CANNOT_TELL,
    None: Said.CANNOT_TELL,
}


class Share(Struct, frozen=True):
    """So many of so many, with the bounds between which the true share lies (Wilson, 95 percent); None of none."""

    k: int
    n: int
    low: float | None
    high: float | None


class Matrix(Struct, frozen=True):
    """How often what we said and where it landed came together.

    Attributes:
        receiver: whose, OTHERS for those that are none of the rules; empty: of all.
        cells: what we said -> folder -> how often.
        yet_inbox: of those that we called refused or at risk, those in the inbox. We saw too much.
        yet_spam: of those that we saw no obstacle for, those in spam or missing. No published rule explains them.

    """

    receiver: str
    cells: Mapping[Said, Mapping[Folder, int]]
    yet_inbox: Share
    yet_spam: Share

    @property
    def n(self) -> int:
        """All of them, those in mailboxes that could not be read as well."""
        return sum(sum(row.values()) for row in self.cells.values())


def said(verdict: VerdictKind | None) -> Said:
    """What a verdict comes to."""
    return _SAID[verdict]


def is_unexplained(each: Placed) -> bool:
    """Whether no published rule explains where it landed."""
    return said(each.verdict) is Said.NO_OBSTACLE and each.folder in (Folder.SPAM, Folder.MISSING)


def wilson(k: int, n: int) -> Share:
    """The share with Wilson's bounds, which hold for few cases too."""
    if not n:
        return Share(k, n, None, None)
    share, spread = k / n, _Z * _Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    # At the ends the bounds are exact, and their sums are not.
    return Share(k, n, 0.0 if k == 0 else max(0.0, middle - half), 1.0 if k == n else min(1.0, middle + half))


def matrices(rows: Iterable[Placed]) -> tuple[Matrix, ...]:
    """One for each receiver, by its id, and last the one of all; none where there are no rows."""
    by_receiver: dict[str, list[Placed]] = {}
    for row in rows:
        by_receiver.setdefault(row.receiver or OTHERS, []).append(row)
    if not by_receiver:
        return ()
    every = [row for several in by_receiver.values() for row in several]
    return (*(_matrix(name, by_receiver[name]) for name in sorted(by_receiver)), _matrix("", every))


def _matrix(receiver: str, rows: Sequence[Placed]) -> Matrix:
    cells = {kind: dict.fromkeys(Folder, 0) for kind in Said}
    for row in rows:
        cells[said(row.verdict)][row.folder] += 1

    def of(kinds: tuple[Said, ...], folders: tuple[Folder, ...]) -> int:
        return sum(cells[kind][folder] for kind in kinds for folder in folders)

    known = tuple(folder for folder in Folder if folder is not Folder.UNREACHABLE)
    bad, good = (Said.REFUSED, Said.AT_RISK), (Said.NO_OBSTACLE,)
    return Matrix(
        receiver,
        cells,
        wilson(of(bad, (Folder.INBOX,)), of(bad, known)),
        wilson(of(good, (Folder.SPAM, Folder.MISSING)), of(good, known)),
    )


class SeedHistory:
    """The tests that a history keeps."""

    def __init__(self, history: History) -> None:
        self._history = history

    def keep(self, rows: Sequence[Placed]) -> None:
        """Keep a test; what was known of one of its mailboxes is replaced, unless now it cannot be read.

        Raises HistoryError.
        """
        keep_seeds(self._history, [_row(each) for each in rows])

    def of_day(self, now: datetime) -> frozenset[str]:
        """The tests that were read on the same day (UTC). Raises HistoryError."""
        return read_on(self._history, stamp(now)[:10])

    def since(self, now: datetime, days: int = DAYS) -> tuple[Placed, ...]:
        """What was found in so many days, in the order of time. Raises HistoryError."""
        return tuple(map(_placed, seeds_since(self._history, stamp(now - timedelta(days=days)))))

    def of_message(self, octets: bytes) -> tuple[Placed, ...]:
        """What became of a message, as it was sent, by the marks that it has. Raises HistoryError."""
        return tuple(map(_placed, seeds_of(self._history, marks_of(octets))))


def _row(each: Placed) -> SeedRow:
    return SeedRow(
        each.test,
        each.mailbox,
        each.receiver,
        each.domain,
        each.sent,
        each.found,
        each.folder.value,
        each.tab,
        each.delay_s,
        each.auth,
        each.signs,
        each.verdict.value if each.verdict is not None else "",
        each.rules,
    )


def _placed(row: SeedRow) -> Placed:
    return Placed(
        row.test,
        row.receiver,
        row.mailbox,
        row.domain,
        row.sent,
        row.found,
        Folder(row.folder),
        row.tab,
        row.delay_s,
        row.auth,
        row.signs,
        VerdictKind(row.verdict_before) if row.verdict_before else None,
        row.rules,
    )


def kept_of_message(url: str, folder: Path, octets: bytes) -> tuple[Placed, ...]:
    """What the history there keeps of a message as it was sent; none where there is no history yet.

    Raises HistoryError.
    """
    if missing_file(url, folder=folder) is not None:
        return ()
    with closing(History.open(url, folder=folder)) as history:
        return SeedHistory(history).of_message(octets)


def token_of(octets: bytes) -> str:
    """The token in the header field of a message as it was sent; empty: there is none that could be one."""
    field = read(octets).first(HEADER)
    with suppress(InputError):
        return parse_token(field.value.strip()) if field is not None else ""
    return ""


def marks_of(octets: bytes) -> tuple[str, ...]:
    """What tests of this message may be called."""
    message = read(octets)
    found = [each.value.strip().lower() for each in message.fields(HEADER)]
    found += [each.value.strip().removeprefix("<").removesuffix(">") for each in message.fields("Message-ID")]
    for name in ("To", "Cc", "Delivered-To"):
        found += [
            tag for each in message.fields(name) for tag in re.findall(r"\+([a-z0-9-]{6,40})@", each.value.lower())
        ]
    for each in message.fields("Subject"):
        found += re.findall(r"[a-z0-9-]{6,40}", decode_words(each.value).lower())
    return tuple(dict.fromkeys(each for each in found if each))[:50]
