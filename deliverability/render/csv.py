"""Findings as CSV (RFC 4180), for spreadsheets: a row for each."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from deliverability.model.report import Report
from deliverability.view.findings import Told, as_tuple, new_records, tell
from deliverability.words.sentences import visible
from deliverability.words.speaker import Speaker

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
)
# Spreadsheets take a cell that begins so for a formula; in Japanese input methods the wide forms are typed as easily.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def render_csv(reports: Report | Sequence[Report], speaker: Speaker, *, bom: bool = False) -> str:
    """One table for one report or several."""
    writer = CsvWriter(speaker, bom=bom)
    return "".join(writer.report(each) for each in as_tuple(reports)) + writer.end()


class CsvWriter:
    """The same piece by piece; nothing is kept.

    With `bom` the text begins with U+FEFF: without it a spreadsheet reads a UTF-8 file in the charset of its country
    (Japanese becomes garbage); files get it, pipes do not.
    """

    def __init__(self, speaker: Speaker, *, bom: bool) -> None:
        self._speaker = speaker
        self._head = ("\ufeff" if bom else "") + _row(COLUMNS)

    def report(self, report: Report) -> str:
        """The rows of the next report."""
        told = tell(report, self._speaker)
        return self._begin() + "".join(_row(_cells(each, report)) for each in told)

    def end(self) -> str:
        """The head, where there was no report."""
        return self._begin()

    def _begin(self) -> str:
        head, self._head = self._head, ""
        return head


def _cells(told: Told, report: Report) -> Sequence[str]:
    effects = told.effects().items()
    receivers = [f"{name}: {' '.join((effect.value, *codes))}" for name, (effect, codes) in effects]
    return (
        visible(report.domain),
        visible(report.message),
        told.rule.id,
        told.rule.name,
        told.rule.topic,
        told.item,
        told.state,
        told.finding.severity.value,
        told.waived,
        told.words.title,
        told.words.message,
        "; ".join(receivers),
        "\n".join(told.words.fix) if told.is_unmet else "",
        "\n".join(new_records(told, report)),
        told.finding.fingerprint,
    )


def _row(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_guarded(cell) for cell in cells])
    return out.getvalue()


def _guarded(cell: str) -> str:
    """A cell that is text: an apostrophe in front of what a spreadsheet would calculate."""
    return f"'{cell}" if cell.lstrip(" \u3000").startswith(_FORMULA) else cell
