"""What a receiver replied, to be quoted: its own words, when and how often, without the names of people."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime

from msgspec import Struct, field

from deliverability.feedback.explain import explain
from deliverability.mail.dates import parse_date
from deliverability.mail.mailbox import looks_like_message
from deliverability.mail.reader import read
from deliverability.mail.words import decode_octets
from deliverability.model.contacts import QuotedReply
from deliverability.model.replies import About, Explained, ReplyCatalogue, ReplyKind
from deliverability.model.rules import RuleSet

MAX_TEXT = 600
MAX_REPLIES = 20
_HEAD = 8_192
_OF_RECIPIENT = (About.ADDRESS, About.MAILBOX)  # with which no postmaster can help
_ADDRESS = re.compile(r"([^\s<>,;:\"'()\[\]@=]{1,64})@([^\s<>,;:\"'()\[\]@]{1,253})")
_STAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_SYSLOG = re.compile(r"[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}\b")


def masked(text: str, recipient: str = "") -> str:
    """`text` with the part before the @ of every address taken out but for its first letter; that of `recipient` also
    where it stands alone.
    """
    shown = _ADDRESS.sub(lambda found: f"{_hidden(found[1])}@{found[2]}", text)
    local = recipient.rpartition("@")[0]
    if len(local) >= 3:
        shown = re.sub(rf"(?<![\w.*-]){re.escape(local)}(?![\w*-])", _hidden(local), shown, flags=re.I)
    return shown


def _hidden(local: str) -> str:
    return f"{local[:1]}***"


class RepliesQuoted(Struct):
    """The replies of one receiver, added up.

    Attributes:
        receiver: receiver id.
        of_recipients: its replies that are about an address or mailbox, which are not quoted.

    """

    receiver: str
    of_recipients: int = 0
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _times: dict[tuple[str, str], tuple[datetime, datetime]] = field(default_factory=dict)
    _days: Counter[date] = field(default_factory=Counter)

    def take(self, octets: bytes, catalogue: ReplyCatalogue, rules: RuleSet, now: datetime) -> int:
        """Add the refusals and delays in `octets` that this receiver gave; how many replies of anybody were found."""
        found = 0
        for piece, when in _pieces(octets, now):
            for each in explain(piece, catalogue, rules).replies:
                found += each.count
                if each.receiver != self.receiver or each.reply.kind not in (ReplyKind.PERMANENT, ReplyKind.TEMPORARY):
                    continue
                if each.meaning is not None and each.meaning.about in _OF_RECIPIENT:
                    self.of_recipients += each.count
                else:
                    self._add(each, when)
        return found

    def _add(self, each: Explained, when: datetime | None) -> None:
        reply = each.reply
        words = " ".join(part for part in (reply.code, reply.enhanced, reply.text) if part)
        text = masked(words, reply.recipient)[:MAX_TEXT]
        key = (text, each.meaning.id if each.meaning else "")
        self._counts[key] += each.count
        if when is not None:
            first, last = self._times.get(key, (when, when))
            self._times[key] = (min(first, when), max(last, when))
            self._days[when.date()] += each.count

    def replies(self) -> tuple[QuotedReply, ...]:
        """The most frequent wordings first, no more than MAX_REPLIES."""
        found = []
        for key, count in self._counts.most_common(MAX_REPLIES):
            first, last = self._times.get(key, (None, None))
            found.append(QuotedReply(key[0], count, first, last, key[1]))
        return tuple(found)

    def days(self) -> Mapping[date, int]:
        """Replies by UTC day, as far as the input tells."""
        return dict(sorted(self._days.items()))

    def first(self) -> datetime | None:
        """When the first one came, as far as the input tells."""
        return min((first for first, _ in self._times.values()), default=None)


def _pieces(octets: bytes, now: datetime) -> Iterator[tuple[bytes, datetime | None]]:
    """What is read as one, with its time: a message, a stretch of log that begins with a time, or all of it."""
    if looks_like_message(octets[:_HEAD]):
        written = read(octets).first("date")
        moment = parse_date(written.value) if written else None
        yield octets, moment.astimezone(UTC) if moment else None
        return
    text = decode_octets(octets, None).text
    yield from _stretches(text.splitlines(keepends=True), now)


def _stretches(lines: Iterable[str], now: datetime) -> Iterator[tuple[bytes, datetime | None]]:
    collected: list[str] = []
    when: datetime | None = None
    for line in lines:
        began = _time_of(line, now)
        if began is not None and collected:
            yield "".join(collected).encode("utf-8", "replace"), when
            collected = []
        when = began or when
        collected.append(line)
    if collected:
        yield "".join(collected).encode("utf-8", "replace"), when


def _time_of(line: str, now: datetime) -> datetime | None:
    """The time that a line names: ISO 8601, or that of syslog, which has no year and no zone; in UTC.

    A time without a zone is that of this machine.
    """
    found = _STAMP.search(line[:2_000])
    try:
        if found:
            return datetime.fromisoformat(found[0]).astimezone(UTC)
        named = _SYSLOG.match(line)
        if named:
            read_at = datetime.strptime(f"{now.year} {named[0]}", "%Y %b %d %H:%M:%S").astimezone(UTC)
            return read_at if read_at <= now else read_at.replace(year=now.year - 1)
    except (ValueError, OverflowError):
        return None
    return None
