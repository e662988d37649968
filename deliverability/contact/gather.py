"""Brings together what a receiver wants to be told: its replies, what sends, what to mend first and what was mended.

Also whom a sender can write to there, and what it replied, ready to be quoted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from deliverability.contact.values import (
    Company,
    Contact,
    ContactChannel,
    ContactPack,
    HostOrigin,
    QuotedReply,
    SendingHost,
)
from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.facts.base import FactSet
from deliverability.core.facts.deliveries import Snds
from deliverability.core.facts.envelope import Envelope, SendingHosts
from deliverability.core.facts.traffic import Traffic
from deliverability.core.mail.kinds import looks_like_message
from deliverability.core.mail.reader import read
from deliverability.core.mail.words import decode_octets, parse_date
from deliverability.core.model.observed import Observed
from deliverability.core.model.replies import About, Explained, ReplyCatalogue, ReplyKind
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import Effect, RuleSet
from deliverability.core.model.schema import nearest
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.model.topic import if_known
from deliverability.core.replies.explain import explain
from deliverability.core.yaml import DEFINED, NO_RULE, NO_SOURCE, FileLine, read_shape

if TYPE_CHECKING:
    from deliverability.core.store.store import History

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


MAX_HOSTS = 20
_RUNS = 60  # earlier ones that are looked at
_OWN = ("own", "own-gap")  # standings of sources that are the domain's own
_SNDS_OF = "outlook"  # the receiver that SNDS is of
_STOPS = (Effect.REJECT, Effect.DEFER, Effect.SPAM)


def contact_pack(
    report: Report,
    contact: Contact,
    company: Company,
    quotes: RepliesQuoted,
    since: date | None,
    history: History | None,
    today: date,
    *,
    heard: Collection[str] = (),
) -> ContactPack:
    """The pack for one audited domain. Raises HistoryError where earlier runs cannot be read.

    `heard`: addresses that the receiver itself reported.
    """
    stopping = [each for each in report.findings if _stops(each, contact)]
    first = [each for each in stopping if _outcome(each, contact.receiver) is Outcome.UNMET and each.waiver is None]
    open_ = [each for each in stopping if _outcome(each, contact.receiver) is Outcome.UNKNOWN]
    return ContactPack(
        domain=report.domain,
        contact=contact,
        company=company,
        hosts=tuple(_hosts(report.facts, contact.receiver, frozenset(heard))[:MAX_HOSTS]),
        replies=quotes.replies(),
        of_recipients=quotes.of_recipients,
        days=quotes.days(),
        started=since or quotes.first(),
        mended=tuple(_mended(report, history, today)) if history is not None else (),
        first=tuple(sorted(first, key=lambda each: (_hardness(each, contact.receiver), each.rule))),
        unchecked=tuple(each for each in open_ if not each.waits_for_input),
        waiting=tuple(dict.fromkeys(each.rule for each in open_ if each.waits_for_input and not each.waits_for_stored)),
    )


def _stops(finding: Finding, contact: Contact) -> bool:
    """Whether the receiver would refuse or file mail for it, or does not listen before it is met."""
    if finding.rule in contact.conditions:
        return True
    return finding.used is not False and _hardness(finding, contact.receiver) < len(_STOPS)


def _hardness(finding: Finding, receiver: str) -> int:
    """0: for this the receiver refuses mail; the larger, the less it does."""
    effect = next((each.effect for each in finding.judgements if each.receiver == receiver), None)
    return _STOPS.index(effect) if effect in _STOPS else len(_STOPS)


def _outcome(finding: Finding, receiver: str) -> Outcome:
    return next((each.outcome for each in finding.judgements if each.receiver == receiver), finding.outcome)


def reported_by(receiver: str, observed: Observed | None, reporters: Mapping[str, Reporter]) -> frozenset[str]:
    """The addresses from which this receiver itself reported mail, in reports that count."""
    rows = observed.rows if observed is not None else ()
    own = {
        name
        for name in {row.reporter for row in rows}
        if (known := reporter_named(name, reporters)) is not None and known.receiver == receiver
    }
    return frozenset(row.ip for row in rows if row.trusted and row.reporter in own)


def _hosts(facts: FactSet, receiver: str, heard: frozenset[str]) -> list[SendingHost]:
    """What sends, and how that is known: as the user or the message says, what reports show as own, what SNDS lists.

    Of the reports those of this receiver count; where it reported none of the domain's own addresses, those of others.
    """
    found: dict[str, SendingHost] = {}
    reported = list(_reported(facts))
    here = [each for each in reported if each[0] in heard]
    for ip, name, origin in (
        *_audited(facts),
        *((ip, name, HostOrigin.RECEIVER) for ip, name in here),
        *((ip, name, HostOrigin.REPORTS) for ip, name in reported if not here),
        *((ip, None, HostOrigin.SNDS) for ip in _in_snds(facts) if receiver == _SNDS_OF),
    ):
        known = found.get(ip, SendingHost(ip, None, ()))
        origins = tuple(dict.fromkeys((*known.known_by, origin)))
        found[ip] = SendingHost(ip, known.name or name, origins)
    return list(found.values())


def _audited(facts: FactSet) -> Iterator[tuple[str, str | None, HostOrigin]]:
    origin = HostOrigin.GIVEN if facts.of(Envelope).ip_source == "option" else HostOrigin.MESSAGE
    for each in if_known(facts.of(SendingHosts).ips) or ():
        yield each.ip, if_known(each.name), origin


def _reported(facts: FactSet) -> Iterator[tuple[str, str | None]]:
    """The addresses of the domain's own sources that sent most; a name where it can only be that of the address."""
    for each in if_known(facts.of(Traffic).sources) or ():
        if each.standing in _OWN:
            ips, names = each.examples, each.ptr
            yield from ((ip, names[0] if len(ips) == 1 and names else None) for ip in ips)


def _in_snds(facts: FactSet) -> Iterator[str]:
    return (each.ip for each in if_known(facts.of(Snds).addresses) or ())


def _mended(report: Report, history: History, today: date) -> Iterator[tuple[str, date]]:
    """Rules that an earlier run saw unmet and that are met ever since, with the first day on which they were; newest
    first.
    """
    met = {each.fingerprint: (each.rule, today) for each in report.findings if each.outcome is Outcome.MET}
    unmet = {each.rule for each in report.findings if each.outcome is Outcome.UNMET}
    days: dict[str, date] = {}
    for run, snapshot in history.snapshots(report.domain, newest=_RUNS, damaged=lambda _: None):
        for stored in snapshot.findings:
            if stored.fingerprint not in met:
                continue
            rule, _ = met[stored.fingerprint]
            if stored.outcome is Outcome.MET:
                met[stored.fingerprint] = (rule, date.fromisoformat(run.started[:10]))
            elif stored.outcome is Outcome.UNMET:
                _, since = met.pop(stored.fingerprint)
                if rule not in unmet:
                    days[rule] = max(since, days.get(rule, since))
    yield from sorted(days.items(), key=lambda each: each[1], reverse=True)
