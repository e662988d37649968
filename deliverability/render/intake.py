"""What an intake did and what reports say: text for a terminal, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs, to_builtins

from deliverability.model.codec import encode, json_text
from deliverability.model.deliveries import DeliveryResult
from deliverability.model.intake import IntakeResult
from deliverability.model.observed import (
    AggregateReport,
    AggregateRow,
    FailureReport,
    FeedbackKind,
    TlsReport,
    address_of,
)
from deliverability.render.history import history_text
from deliverability.render.paper import Paper
from deliverability.view.intake import IntakeView
from deliverability.words.details import detail_words
from deliverability.words.phrases import Phrases

_KINDS = {
    AggregateReport: FeedbackKind.AGGREGATE,
    FailureReport: FeedbackKind.FAILURE,
    TlsReport: FeedbackKind.TLS,
}


def intake_text(view: IntakeView, paper: Paper, say: Phrases) -> str:
    """For a terminal."""
    parts = [paper.text(line for each in view.sentences for line in paper.paragraph(each))]
    if view.table is not None:
        parts.append(history_text(view.table, paper, say))
    if view.problems:
        lines: list[str] = []
        for each in view.problems:
            lines += paper.paragraph(each.words)
            lines += [line for name in each.names for line in paper.paragraph(name, 2)]
        parts.append(paper.text(lines))
    return "\n".join(parts)


def intake_json(result: IntakeResult, say: Phrases) -> str:
    """For programs."""
    return json_text(
        {
            "items": result.items,
            "seen": result.seen,
            "without_report": result.others,
            "too_old": result.old,
            "new": sum(each.new for each in result.tallies.values()),
            "duplicates": sum(each.known for each in result.tallies.values()),
            "reports": [
                {"kind": kind.value, "reporter": reporter, **structs.asdict(tally)}
                for (kind, reporter), tally in sorted(result.tallies.items())
            ],
            "results": {each.value: result.results[each] for each in DeliveryResult if result.results[each]},
            "problems": [
                {
                    "name": each.name,
                    "code": each.detail.code,
                    "detail": encode(each.detail),
                    "text": detail_words(each.detail, say),
                    "lost": each.lost,
                }
                for each in result.problems
            ],
            "more_problems": result.more_problems,
        }
    )


def report_json(report: AggregateReport | TlsReport | FailureReport, rows: Sequence[AggregateRow]) -> dict[str, Any]:
    """A report as values for JSON."""
    kind = _KINDS[type(report)]
    data = to_builtins(report)
    data["problems"] = [encode(each) for each in getattr(report, "problems", ())]
    if isinstance(report, FailureReport):
        data["ip"] = address_of(report.ip) if report.ip else ""
        data["signature"] = report.signature._asdict() if report.signature else None
        del data["problems"]
    if isinstance(report, AggregateReport):
        data["rows"] = [
            {
                "ip": address_of(row.ip),
                "messages": row.messages,
                **row.facet._asdict(),
                "dkim": [each._asdict() for each in row.facet.dkim],
                "aligned": row.facet.aligned,
            }
            for row in rows
        ]
    return {"kind": kind.value, **data}
