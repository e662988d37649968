"""The feedback in a file or mail, by its content: reports, bounces, complaints, events, logs, numbers of receivers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from msgspec import Struct

from deliverability.core.codes import Detail
from deliverability.core.errors import each_of, is_interrupt, reason_of, until_lost
from deliverability.core.mail.reader import Message
from deliverability.core.model.deliveries import DeliveryEvent, PublishedValue
from deliverability.core.model.observed import AggregateReport, FailureReport, TlsReport
from deliverability.core.replies import limits
from deliverability.core.replies.outcomes import Outcomes
from deliverability.intake.bounces import bounces_of, complaint_of
from deliverability.intake.events import events_of, is_event, json_values
from deliverability.intake.logs import log_events, looks_like_log, looks_like_tracking, tracking_events
from deliverability.intake.places import DocumentKind, Enclosed, Unreadable, documents
from deliverability.intake.providers import csv_values, postmaster_values, rows_of, snds_values
from deliverability.intake.records import RowSink, SeenRecords
from deliverability.intake.reports import failure_report, is_tls_report, read_aggregate, tls_report
from deliverability.intake.services import SERVICE_NAMES

SinkT = TypeVar("SinkT", bound=RowSink)

_HEAD_VALUES = 20  # JSON values among which one has to be known


class FoundReport(Struct, Generic[SinkT], frozen=True):
    """A report.

    Attributes:
        report: without its rows.
        rows: what took them; None where the report has none.
        mail: the message that carried it; None for a bare file.
        name: the file that it was, inside of mail or archive.

    """

    report: AggregateReport | TlsReport | FailureReport
    rows: SinkT | None
    mail: Message | None
    name: str


class FoundEvents(Struct, frozen=True):
    """What became of mails.

    Attributes:
        kind: ``bounce``, or the type of a complaint; empty: they stand in a file.
        events: in order, to be read once and before anything that follows. Raises NotReadError where the file turns out
            to be more than is read, and at the end what reading one of them raised; what came before counts.
        mail: the message that it was, or that carried it; None for a file.
        name: the file that it was, inside of mail or archive.

    """

    kind: str
    events: Iterator[DeliveryEvent]
    mail: Message | None
    name: str


class FoundValues(Struct, frozen=True):
    """Numbers that a receiver publishes; `mail` and `name` as for FoundReport."""

    values: Sequence[PublishedValue]
    mail: Message | None
    name: str


class UnusedPart(Struct, frozen=True):
    """Something that cannot be used, and why. `is_report`: it is meant to be a report, as far as that can be seen."""

    name: str
    detail: Detail
    is_report: bool = True


def feedback_in(
    content: bytes | Path,
    name: str,
    sink: Callable[[], SinkT],
    now: int,
    seen: SeenRecords | None = None,
    outcomes: Outcomes | None = None,
    *,
    any_period: bool = False,
) -> Iterator[FoundReport[SinkT] | FoundEvents | FoundValues | UnusedPart]:
    """All feedback of a file or mail, in order; where it holds none, one UnusedPart says so.

    Args:
        content: the octets, or the file that has them.
        name: how the file is called.
        sink: makes what takes the rows of an aggregate report; what it took has to be forgotten where an UnusedPart
            follows, and is: its `restart` is called.
        now: seconds since 1970.
        seen: the records of files and mails that were read before.
        outcomes: tells what replies mean; None: only reports are looked for.
        any_period: reports are taken of which it cannot be told which days they are about; their problems say so.

    Never raises for any content, but for `FoundEvents.events`.

    """
    found = False
    unknown = False
    bounced: FoundEvents | None = None
    broken: list[Exception] = []
    for document in until_lost(documents(content, name), broken.append):
        if isinstance(document, Unreadable):
            if not limits.NOT_FEEDBACK.matches(document.detail):
                found = True
                yield UnusedPart(document.name, document.detail)
            continue
        each = _read(document, sink, now, seen, outcomes, any_period=any_period)
        if bounced is not None and document.mail is not bounced.mail:
            yield bounced
            bounced = None
        if each is None:
            unknown |= document.kind is DocumentKind.JSON and outcomes is not None
            continue
        found = True
        if document.kind is DocumentKind.MAIL and isinstance(each, FoundEvents) and each.kind == "bounce":
            bounced = each  # unless a report is found in the same mail: its sender may be a postmaster
            continue
        if bounced is not None and not isinstance(each, FoundEvents):
            bounced = None
        yield each
    if bounced is not None:
        yield bounced
    for error in broken:
        found = True
        yield UnusedPart(name, reason_of(error))
    if not found:
        known = limits.EVENTS_UNKNOWN(services=tuple(SERVICE_NAMES))
        yield UnusedPart(name, known if unknown else limits.NOT_FEEDBACK(), is_report=False)


def reports_in(
    content: bytes | Path, name: str, sink: Callable[[], SinkT], now: int
) -> Iterator[FoundReport[SinkT] | UnusedPart]:
    """Every report of a file or mail, in order, whatever period it states; see `feedback_in`."""
    for each in feedback_in(content, name, sink, now, any_period=True):
        if isinstance(each, (FoundReport, UnusedPart)):
            yield each


def _read(
    document: Enclosed,
    sink: Callable[[], SinkT],
    now: int,
    seen: SeenRecords | None,
    outcomes: Outcomes | None,
    *,
    any_period: bool,
) -> FoundReport[SinkT] | FoundEvents | FoundValues | UnusedPart | None:
    """The feedback that a document is; None where it is none."""
    rows: SinkT | None = None
    report: AggregateReport | TlsReport | FailureReport | None = None
    try:
        if document.kind is DocumentKind.MAIL:
            report = failure_report(document.mail) if document.mail else None
            if report is None:
                return _of_mail(document, outcomes)
        elif document.kind is DocumentKind.TEXT:
            return _of_text(document, now, outcomes)
        elif document.kind is DocumentKind.JSON:
            values = json_values(document.pieces())
            first = next(values, None)
            if not is_tls_report(first):
                return _of_json(document, itertools.chain((first,), values), outcomes)
            report = tls_report(first, now)
        else:
            rows = sink()
            report = read_aggregate(document.pieces, rows, now, seen)
    except Exception as error:  # whatever a hostile one triggers: it is set aside, and the others are read
        if is_interrupt(error):
            raise
        if rows is not None:
            rows.restart()
        why = reason_of(error)
        return None if limits.NOT_FEEDBACK.matches(why) else UnusedPart(document.name, why)
    if not any_period and not isinstance(report, FailureReport) and (wrong := _period(report)) is not None:
        if rows is not None:
            rows.restart()
        return UnusedPart(document.name, wrong)
    return FoundReport(report, rows, document.mail, document.name)


def _of_mail(document: Enclosed, outcomes: Outcomes | None) -> FoundEvents | None:
    """The complaint or bounce that a mail is."""
    mail = document.mail
    if mail is None or outcomes is None:
        return None
    complaint = complaint_of(mail, outcomes)
    if complaint is not None:
        counted = (complaint.event,) if complaint.event else ()
        return FoundEvents(complaint.kind, iter(counted), mail, document.name)
    bounced = bounces_of(mail, outcomes)
    return None if bounced is None else FoundEvents("bounce", iter(bounced), mail, document.name)


def _of_json(document: Enclosed, values: Iterator[Any], outcomes: Outcomes | None) -> FoundEvents | FoundValues | None:
    """Events of a service, or numbers of Postmaster Tools; one of the first values tells. Raises NotReadError."""
    if outcomes is None:
        return None
    head: list[Any] = []
    for value in values:
        head.append(value)
        published = postmaster_values(value)
        if published is not None:
            more = (postmaster_values(each) or () for each in values)
            return FoundValues((*published, *itertools.chain.from_iterable(more)), document.mail, document.name)
        if is_event(value):
            events = each_of(itertools.chain(head, values), lambda each: events_of(each, outcomes))
            return FoundEvents("", events, document.mail, document.name)
        if len(head) >= _HEAD_VALUES:
            break
    return None


def _of_text(document: Enclosed, now: int, outcomes: Outcomes | None) -> FoundEvents | FoundValues | None:
    """A log of a mail server, or a table of Postmaster Tools or SNDS. Raises NotReadError."""
    if outcomes is None:
        return None
    head = next(document.pieces(), b"")
    tracked = looks_like_tracking(head)
    if tracked or looks_like_log(head):
        pieces = document.pieces()
        events = tracking_events(pieces, outcomes) if tracked else log_events(pieces, outcomes, now)
        first = next(events, None)
        return (
            None if first is None else FoundEvents("", itertools.chain((first,), events), document.mail, document.name)
        )
    for values in (csv_values, snds_values):
        found = values(rows_of(document.pieces()))
        if found is not None:
            return FoundValues(found, document.mail, document.name)
    return None


def _period(report: AggregateReport | TlsReport) -> Detail | None:
    """Why it cannot be told which days a report is about."""
    return next((each for each in report.problems if limits.BAD_PERIOD.matches(each)), None)
