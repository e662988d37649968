"""Message tracking logs of Exchange Server: what became of each mail that it handed to another host by SMTP."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.feedback.outcomes import MailOutcome, Outcomes, why_of
from deliverability.feedback.tables import rows_of
from deliverability.feedback.text import field_reply
from deliverability.feedback.values import domain_of, second
from deliverability.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.model.errors import each_of
from deliverability.model.replies import Reply

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
        if word == "sent":
            outcome = MailOutcome(DeliveryResult.DELIVERED, outcomes.receiver(to, host))
        else:
            found = field_reply(status) or Reply("", status="5.0.0" if word == "bounced" else "4.0.0")
            named = Reply(found.text, found.code, found.enhanced, found.status, found.host, to, found.command)
            outcome = outcomes.of(named, final=word == "bounced")
        result = DeliveryResult.DEFERRED if word == "deferred" else outcome.result
        ident = cells.get("message-id") or cells.get("internal-message-id", "")
        key = f"{ident} {to} {result.value} {at // 86_400 if at is not None else ''}"
        why = why_of(result, outcome.why)
        yield DeliveryEvent(result, at, DeliveryOrigin.LOG, key, sender, outcome.receiver, outcome.meaning, to, why)


def _statuses(cell: str, number: int) -> list[str]:
    """The status of each recipient; one alone, or text that cannot be divided, is that of all."""
    parts = cell.split(";")
    return parts if len(parts) == number and number > 1 and "{" not in cell else [cell] * number
