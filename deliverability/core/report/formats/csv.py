"""Findings as CSV (RFC 4180), for spreadsheets: a row for each."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from deliverability.core.model.report import Report
from deliverability.core.report.findings import FindingView
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker

COLUMNS = (
    "domain",
    "message",
    "rule",
    "name",
    "topic",
    "item",
    "outcome",
    "severity",
    "waived",
    "requirement",
    "found",
    "receivers",
    "steps",
    "records",
    "fingerprint",
    "judged",
)
# Spreadsheets take a cell that begins so for a formula; in Japanese input methods the wide forms are typed as easily.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def writer(speaker: Speaker, options: WriterOptions) -> CsvWriter:
    """The writer of this format."""
    return CsvWriter(bom=options.file)


class CsvWriter:
    """A row for each finding; nothing is kept.

    With `bom` the text begins with U+FEFF: without it a spreadsheet reads a UTF-8 file in the charset of its country
    (Japanese becomes garbage); files get it, pipes do not.
    """

    def __init__(self, *, bom: bool) -> None:
        self._head = ("\ufeff" if bom else "") + csv_row(COLUMNS)

    def report(self, view: ReportView) -> str:
        """The rows of the next report."""
        return self._begin() + "".join(csv_row((*_cells(each, view.report), view.judged)) for each in view.findings)

    def end(self) -> str:
        """The head, where there was no report."""
        return self._begin()

    def _begin(self) -> str:
        head, self._head = self._head, ""
        return head


def _cells(view: FindingView, report: Report) -> Sequence[str]:
    effects = view.effects().items()
    receivers = [f"{name}: {' '.join((effect.value, *codes))}" for name, (effect, codes) in effects]
    return (
        visible(report.domain),
        visible(report.message),
        view.rule.id,
        view.rule.name,
        view.rule.topic,
        view.item,
        view.state,
        view.finding.severity.value,
        view.waived,
        view.words.title,
        view.words.message,
        "; ".join(receivers),
        "\n".join(view.words.fix) if view.is_unmet else "",
        "\n".join(view.records),
        view.finding.fingerprint,
    )


def csv_row(cells: Sequence[str]) -> str:
    """A row, harmless where a spreadsheet opens it."""
    out = io.StringIO()
    csv.writer(out).writerow([_guarded(cell) for cell in cells])
    return out.getvalue()


def _guarded(cell: str) -> str:
    """A cell that is text: an apostrophe in front of what a spreadsheet would calculate."""
    return f"'{cell}" if cell.lstrip(" \u3000").startswith(_FORMULA) else cell
