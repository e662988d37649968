"""Whom a sender can write to, and what a receiver replied, ready to be quoted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct, field

from deliverability.contact.values import Contact, ContactChannel, QuotedReply
from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.mail.fields import parse_date
from deliverability.core.mail.kinds import looks_like_message
from deliverability.core.mail.reader import read
from deliverability.core.mail.words import decode_octets
from deliverability.core.model.replies import About, Explained, ReplyCatalogue, ReplyKind
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.schema import nearest
from deliverability.core.replies.explain import explain
from deliverability.core.yaml import DEFINED, NO_RULE, NO_SOURCE, FileLine, read_shape

FILE = "contacts.yaml"

NO_RECEIVER = Code("contact-no-receiver", ("receiver",))
ASKS = Code("contact-asks")
NO_ADDRESS = Code("contact-no-address", ("address", "channel"))


class ContactError(FilesError):
    """A file of contacts that cannot be used."""


def load_contacts(folders: Iterable[Path], rules: RuleSet) -> Mapping[str, Contact]:
    """The contacts of every folder by receiver id; a later one replaces an earlier one.

    Raises ContactError with every problem.
    """
    found: dict[str, Contact] = {}
    problems: list[Detail] = []
    for folder in folders:
        path = folder / FILE
        if not path.is_file():
            continue
        document = yamlstrict.read_file(path, problems)
        contacts = read_shape(document, tuple[Contact, ...], problems) if document else None
        if document is None or contacts is None:
            continue
        taken: dict[str, FileLine] = {}
        for index, each in enumerate(contacts):
            where = document.at(index)
            if each.receiver in taken:
                problems.append(where.problem(DEFINED(name=each.receiver, place=str(taken[each.receiver]))))
            taken.setdefault(each.receiver, where)
            problems.extend(map(where.problem, _troubles(each, rules)))
            found[each.receiver] = each
    if problems:
        raise ContactError(*problems)
    return found


def _troubles(contact: Contact, rules: RuleSet) -> Iterable[Detail]:
    if (name := contact.receiver) not in rules.receivers:
        yield nearest(NO_RECEIVER(receiver=name), name, rules.receivers)
    for rule in contact.conditions:
        if rule not in rules.rules:
            yield nearest(NO_RULE(rule=rule), rule, rules.rules)
    for source in contact.sources:
        if source.ref not in rules.sources:
            yield nearest(NO_SOURCE(name=source.ref), source.ref, rules.sources)
    if (contact.channel is ContactChannel.NONE) == bool(contact.asks):
        yield ASKS()
    if (contact.channel is ContactChannel.MAIL) != ("@" in contact.address and "//" not in contact.address):
        yield NO_ADDRESS(address=contact.address, channel=contact.channel.value)


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
