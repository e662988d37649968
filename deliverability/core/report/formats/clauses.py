"""Clauses of baselines as CSV (RFC 4180), for auditors: a row for each clause of each domain."""

from __future__ import annotations

from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.profiles import COLUMNS, clause_rows
from deliverability.core.report.report import ReportView
from deliverability.core.words.speaker import Speaker


def writer(speaker: Speaker, options: WriterOptions) -> ClausesWriter:
    """The writer of this format."""
    return ClausesWriter(bom=options.file)


class ClausesWriter:
    """A row for each clause; with `bom` the text begins with U+FEFF, as `render.csv` explains."""

    def __init__(self, *, bom: bool) -> None:
        self._head = ("\ufeff" if bom else "") + csv_row(COLUMNS)

    def report(self, view: ReportView) -> str:
        """The rows of the next report."""
        report = view.report
        rows = clause_rows(report.domain, report.message, report.profiles, view.speaker)
        return self._begin() + "".join(map(csv_row, rows))

    def end(self) -> str:
        """The head, where there was no report."""
        return self._begin()

    def _begin(self) -> str:
        head, self._head = self._head, ""
        return head
