"""The reports in a file or mail, whatever they are: aggregate, failure and TLS reports, by their content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from deliverability.feedback import limits
from deliverability.feedback.limits import NotReadError
from deliverability.feedback.rua import RowSink, read_aggregate
from deliverability.feedback.ruf import failure_report
from deliverability.feedback.tlsrpt import read_tls_report
from deliverability.feedback.unpack import DocumentKind, Enclosed, Unreadable, documents
from deliverability.mail.reader import Message
from deliverability.model.codes import Detail
from deliverability.model.observed import AggregateReport, FailureReport, TlsReport

SinkT = TypeVar("SinkT", bound=RowSink)


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


class UnusedPart(Struct, frozen=True):
    """Something that cannot be used, and why. `is_report`: it is meant to be a report, as far as that can be seen."""

    name: str
    detail: Detail
    is_report: bool = True


def reports_in(
    content: bytes | Path, name: str, sink: Callable[[], SinkT], now: int
) -> Iterator[FoundReport[SinkT] | UnusedPart]:
    """Every report of a file or mail, in order; where it holds none, one UnusedPart says so.

    Args:
        content: the octets, or the file that has them.
        name: how the file is called.
        sink: makes what takes the rows of an aggregate report; what it took has to be forgotten where an UnusedPart
            follows, and is: its `restart` is called.
        now: seconds since 1970.

    Never raises for any content.

    """
    found = False
    for document in documents(content, name):
        if isinstance(document, Unreadable):
            if not limits.NOT_FEEDBACK.matches(document.detail):
                found = True
                yield UnusedPart(document.name, document.detail)
            continue
        each = _read(document, sink, now)
        if each is not None:
            found = True
            yield each
    if not found:
        yield UnusedPart(name, limits.NOT_FEEDBACK(), is_report=False)


def _read(document: Enclosed, sink: Callable[[], SinkT], now: int) -> FoundReport[SinkT] | UnusedPart | None:
    """The report that a document is; None where it is none."""
    rows: SinkT | None = None
    report: AggregateReport | TlsReport | FailureReport | None
    try:
        if document.kind is DocumentKind.MAIL:
            report = failure_report(document.mail) if document.mail else None
        elif document.kind is DocumentKind.JSON:
            report = read_tls_report(document.pieces(), now)
        else:
            rows = sink()
            report = read_aggregate(document.pieces, rows, now)
    except NotReadError as error:
        if rows is not None:
            rows.restart()
        return None if limits.NOT_FEEDBACK.matches(error.detail) else UnusedPart(document.name, error.detail)
    if report is None:
        return None
    if not isinstance(report, FailureReport) and (wrong := _period(report)) is not None:
        if rows is not None:
            rows.restart()
        return UnusedPart(document.name, wrong)
    return FoundReport(report, rows, document.mail, document.name)


def _period(report: AggregateReport | TlsReport) -> Detail | None:
    """Why it cannot be told which days a report is about."""
    return next((each for each in report.problems if limits.BAD_PERIOD.matches(each)), None)
