"""Logs of mail servers: what became of each mail that was handed to another one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

from msgspec.structs import replace

from deliverability.core.errors import each_of
from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.core.model.replies import Reply
from deliverability.core.replies.limits import domain_of, lines_of, second
from deliverability.core.replies.outcomes import MailOutcome, Outcomes, why_of
from deliverability.core.replies.text import field_reply, replies_in
from deliverability.intake.providers import rows_of

_MAX_LINE = 8_000
_MAX_WAITING = 200_000  # mails whose sender is remembered
_HEAD_LINES = 60
_MARKS = (b"=", b"deliver", b"msg ", b"*")  # one of them is in every line that counts

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) ([ \d]?\d) (\d\d):(\d\d):(\d\d) ")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d{1,9})? ?(Z|[+-]\d\d:?\d\d)? ")
_TAI = re.compile(r"@4[0-9a-f]{7}([0-9a-f]{8})[0-9a-f]{8} ")
_TAI_OFFSET = 10  # seconds between TAI64 labels and UTC that every writer of them adds
_QUEUED = re.compile(r"(?P<program>[\w./-]{1,60})(?:\[\d{1,10}\])?: (?P<queue>[0-9A-Za-z]{6,24}): (?P<rest>.*)", re.S)
_FROM = re.compile(r"from=<?(?P<from>[^\s,<>]{0,320})>?,")
_TO = re.compile(r"to=<?(?P<to>[^\s,<>]{3,320})>?,")
_RELAY = re.compile(r"relay=(?P<host>[^\s,\[]{1,255})\.?,? ?(?:\[(?P<ip>[0-9a-fA-F.:]{2,45})\])?")
_STATUS = re.compile(r"\b(?:status=(?P<postfix>sent|deferred|bounced|expired)|stat=(?P<sendmail>[A-Za-z]{2,12}))\b")
_DSN = re.compile(r"\bdsn=([245])\.")
_EXIM = re.compile(
    r"(?:\[\d{1,10}\] )?(?P<queue>[0-9A-Za-z]{6,8}-[0-9A-Za-z]{6,12}-[0-9A-Za-z]{2,4}) "
    r"(?P<sign><=|[=-]>|\*\*|==|>>) (?P<rest>.*)",
    re.S,
)
_EXIM_HOST = re.compile(r" H=(?P<host>[^\s\[]{1,255}) \[(?P<ip>[0-9a-fA-F.:]{2,45})\]")
_EXIM_ADDRESS = re.compile(r"(?:\S{1,320} (?:\([^)]{0,320}\) )?<(?P<inner>[^\s<>]{3,320})>|(?P<bare>[^\s:<>]{3,320}))")
_QMAIL = re.compile(r"(?:\binfo msg|\bdelivery) \d{1,12}: ")
_QMAIL_FROM = re.compile(r"info msg (\d{1,12}): bytes \d{1,12} from <([^<>\s]{0,320})>")
_QMAIL_START = re.compile(r"starting delivery (\d{1,12}): msg (\d{1,12}) to (local|remote) (\S{3,320})")
_QMAIL_END = re.compile(r"delivery (\d{1,12}): (success|failure|deferral): (\S{0,4000})")
_OUTSIDE = frozenset({"smtp", "relay", "smtp-out", "error"})  # Postfix programs; others deliver on the machine
_OWN_NETWORKS = tuple(
    ip_network(each)
    for each in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")
)


def looks_like_log(head: bytes) -> bool:
    """Whether among the first lines of a file is one that a mail server may have logged."""
    for line in head.splitlines()[:_HEAD_LINES]:
        text = line[:200].decode("ascii", "replace")
        if _SYSLOG.match(text) or _ISO.match(text) or _TAI.match(text):
            return True
    return False


def log_events(pieces: Iterator[bytes], outcomes: Outcomes, now: int) -> Iterator[DeliveryEvent]:
    """What the lines of a log say became of mails. `now`: seconds since 1970, for times without a year.

    Times without a zone are taken for UTC. Raises NotReadError where the stream does, and at the end what a line did.
    """
    log = _Log(outcomes, now)
    wanted = (each for each in lines_of(pieces, _MAX_LINE) if any(mark in each for mark in _MARKS))
    yield from each_of(wanted, lambda octets: log.line(octets.decode("utf-8", "replace")))


class _Log:
    """What is known of mails from the lines so far."""

    def __init__(self, outcomes: Outcomes, now: int) -> None:
        self._outcomes = outcomes
        self._now = datetime.fromtimestamp(now, UTC)
        self._senders: dict[str, str] = {}
        self._deliveries: dict[str, tuple[str, str]] = {}

    def line(self, line: str) -> Iterator[DeliveryEvent]:
        clock, at_end = self._clock(line)
        if clock is None:
            return
        rest = line[at_end:]
        if match := _EXIM.match(rest) or _EXIM.search(rest[:200]):
            yield from self._exim(clock, match)
        elif _QMAIL.search(rest):
            yield from self._qmail(clock, rest, line)
        elif match := _QUEUED.search(rest):
            yield from self._queued(clock, match, line)

    def _clock(self, line: str) -> tuple[Callable[[], int | None] | None, int]:
        """What tells the time of a line, and where that ends; the time is worked out only for lines that count."""
        if match := _SYSLOG.match(line):
            return lambda found=match: self._syslog(found), match.end()
        if match := _ISO.match(line):
            return lambda found=match: second(f"{found[1]}T{found[2]}{found[3] or ''}"), match.end()
        if match := _TAI.match(line):
            return lambda found=match: second(int(found[1], 16) - _TAI_OFFSET), match.end()
        return None, 0

    def _syslog(self, match: re.Match[str]) -> int | None:
        """A time without a year: the newest that is not to come."""
        month = _MONTHS.get(match[1])
        if month is None:
            return None
        for year in (self._now.year + 1, self._now.year, self._now.year - 1, self._now.year - 4):
            try:
                found = datetime(
                    year, month, int(match[2]), int(match[3]), int(match[4]), int(match[5]) % 60, tzinfo=UTC
                )
            except ValueError:
                continue
            if found <= self._now + timedelta(days=1):
                return int(found.timestamp())
        return None

    # --- Postfix and sendmail ---

    def _queued(self, clock: Callable[[], int | None], match: re.Match[str], line: str) -> Iterator[DeliveryEvent]:
        queue, rest, program = match["queue"], match["rest"], match["program"].rpartition("/")[2]
        if author := _FROM.match(rest):
            self._remember(queue, author["from"])
            return
        status, to = _STATUS.search(rest), _TO.match(rest)
        if status is None or to is None:
            return
        relay = _RELAY.search(rest)
        if status["postfix"]:
            if program not in _OUTSIDE:
                return
            word = status["postfix"]
        else:
            word = {"sent": "sent", "deferred": "deferred"}.get(status["sendmail"].lower(), "bounced")
            dsn = _DSN.search(rest)
            if word == "sent" and relay is None:
                return  # to a mailbox of this machine
            if word == "bounced" and (dsn is None or dsn[1] == "2"):
                return
            if word == "bounced" and dsn is not None and dsn[1] == "4":
                word = "deferred"
        if relay is not None and _is_own(relay["ip"]):
            return
        host = relay["host"].lower().rstrip(".") if relay else ""
        yield self._made(clock, queue, to["to"], host, word, line)

    # --- Exim ---

    def _exim(self, clock: Callable[[], int | None], match: re.Match[str]) -> Iterator[DeliveryEvent]:
        queue, sign, rest = match["queue"], match["sign"], match["rest"]
        address = _EXIM_ADDRESS.match(rest)
        if sign == "<=":
            self._remember(queue, rest.split(" ", 1)[0])
            return
        if address is None or sign == ">>":
            return
        host = _EXIM_HOST.search(rest)
        if (host is None and sign in ("=>", "->")) or (host is not None and _is_own(host["ip"])):
            return
        word = {"**": "bounced", "==": "deferred"}.get(sign, "sent")
        to = address["inner"] or address["bare"]
        yield self._made(clock, queue, to, host["host"].lower() if host else "", word, rest)

    # --- qmail ---

    def _qmail(self, clock: Callable[[], int | None], rest: str, line: str) -> Iterator[DeliveryEvent]:
        if author := _QMAIL_FROM.search(rest):
            self._remember(author[1], author[2])
        elif start := _QMAIL_START.search(rest):
            if start[3] == "remote" and len(self._deliveries) < _MAX_WAITING:
                self._deliveries[start[1]] = start[2], start[4]
        elif end := _QMAIL_END.search(rest):
            message, to = self._deliveries.pop(end[1], ("", ""))
            if to:
                word = {"success": "sent", "deferral": "deferred"}.get(end[2], "bounced")
                yield self._made(clock, message, to, "", word, line)

    # --- All ---

    def _remember(self, queue: str, address: str) -> None:
        if len(self._senders) >= _MAX_WAITING:
            # The oldest are done with by now.
            for old in list(self._senders)[: _MAX_WAITING // 2]:
                del self._senders[old]
        self._senders[queue] = domain_of(address)

    def _made(
        self, clock: Callable[[], int | None], queue: str, recipient: str, host: str, word: str, line: str
    ) -> DeliveryEvent:
        to = recipient.lower()
        reply = None if word == "sent" else next(iter(replies_in(line, recipient=to, most=1)), None)
        return _event(self._outcomes, word, clock(), queue, self._senders.get(queue, ""), to, host, reply)


def _event(
    outcomes: Outcomes, word: str, at: int | None, ident: str, sender: str, to: str, host: str, reply: Reply | None
) -> DeliveryEvent:
    """What became of a mail by the word of a log: sent, bounced or deferred, and the reply where it holds one."""
    if word == "sent":
        outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to, host))
    else:
        reply = reply or Reply("", status="5.0.0" if word == "bounced" else "4.0.0")
        outcome = outcomes.of(replace(reply, host=reply.host or host, recipient=to), final=word != "deferred")
    result = DeliveryResult.DEFERRED if word == "deferred" else outcome.result
    # Queue ids are used again, and a mail that waits is tried many times a day.
    key = f"{ident} {to} {result.value} {at // 86_400 if at is not None else ''}"
    why = why_of(result, outcome.why)
    return DeliveryEvent(result, at, DeliveryOrigin.LOG, key, sender, outcome.receiver, outcome.meaning, to, why)


def _is_own(ip: str | None) -> bool:
    """Whether it is an address of this machine or of a private network."""
    if not ip:
        return False
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in _OWN_NETWORKS)


_FIELDS = "#fields: "
_EVENTS = {"SEND": "sent", "FAIL": "bounced", "DEFER": "deferred"}
_MAX_RECIPIENTS = 1_000
_HEAD = 2_000


def looks_like_tracking(head: bytes) -> bool:
    """Whether a file begins as such a log does."""
    begin = head[:_HEAD].lower()
    return b"#fields: date-time," in begin and b"event-id" in begin and b"recipient-status" in begin


def tracking_events(pieces: Iterator[bytes], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    """What the rows say became of mails. Raises NotReadError where the stream does, and at the end what a row did."""
    yield from each_of(_entries(rows_of(pieces)), lambda cells: _row(cells, outcomes))


def _entries(rows: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    """The cells of each row that is about another host, by the names that the last head gave them."""
    places: dict[str, int] = {}
    for row in rows:
        if row and row[0].lower().startswith(_FIELDS):
            names = [row[0][len(_FIELDS) :], *row[1:]]
            places = {name.strip().lower(): place for place, name in enumerate(names)}
        elif row and not row[0].startswith("#"):
            cells = {name: row[place] for name, place in places.items() if place < len(row)}
            if cells.get("source") == "SMTP" or cells.get("event-id") != "SEND":
                yield cells


def _row(cells: dict[str, str], outcomes: Outcomes) -> Iterator[DeliveryEvent]:
    word = _EVENTS.get(cells.get("event-id", ""))
    if word is None:
        return
    at, sender = second(cells.get("date-time", "")), domain_of(cells.get("sender-address", ""))
    host = cells.get("server-hostname", "").lower() if word == "sent" else ""
    recipients = cells.get("recipient-address", "").split(";")[:_MAX_RECIPIENTS]
    statuses = _statuses(cells.get("recipient-status", ""), len(recipients))
    for each, status in zip(recipients, statuses, strict=True):
        to = each.strip().lower()
        if not domain_of(to):
            continue
        ident = cells.get("message-id") or cells.get("internal-message-id", "")
        yield _event(outcomes, word, at, ident, sender, to, host, field_reply(status) if word != "sent" else None)


def _statuses(cell: str, number: int) -> list[str]:
    """The status of each recipient; one alone, or text that cannot be divided, is that of all."""
    parts = cell.split(";")
    return parts if len(parts) == number and number > 1 and "{" not in cell else [cell] * number
