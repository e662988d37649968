"""A weekly run as Prometheus metrics, for the textfile collector of the node exporter."""

from __future__ import annotations

from datetime import UTC, datetime

from deliverability.model.gate import GateKind
from deliverability.model.report import GRADES
from deliverability.model.weekly import Summary, WeeklyEntry
from deliverability.render.exposition import Gauges

_HELP = {
    "deliv_weekly_run_timestamp_seconds": "When the newest run began.",
    "deliv_weekly_new_findings": "Findings that are new since the run before.",
    "deliv_weekly_mended_findings": "Findings mended since the run before.",
    "deliv_weekly_grade": "Grade: 4 is A, 0 is F.",
    "deliv_weekly_unmet": "Findings by severity.",
    "deliv_weekly_could_not_check": "Findings that could not be checked.",
    "deliv_traffic_messages": "Messages that receivers reported, by the standing of their source, in the window.",
    "deliv_traffic_aligned_ratio": "Share of own messages that pass DMARC, in the window.",
    "deliv_gate": "Whether the next DMARC policy is safe: -1 cannot tell, 0 not yet, 1 safe.",
    "deliv_last_report_timestamp_seconds": "The day of the newest report, by reporter of the catalogue, or other.",
}
_GATE = {GateKind.CANNOT_TELL: -1, GateKind.NOT_YET: 0, GateKind.SAFE: 1}


def weekly_metrics(summary: Summary) -> str:
    """The metrics of a run."""
    gauges = Gauges(_HELP)
    gauges.set("deliv_weekly_run_timestamp_seconds", datetime.fromisoformat(summary.started).timestamp())
    gauges.set("deliv_weekly_new_findings", summary.count_new)
    gauges.set("deliv_weekly_mended_findings", summary.count_mended)
    for entry in summary.entries:
        subject = {"domain": entry.domain, "source": entry.source}
        if entry.grade:
            gauges.set("deliv_weekly_grade", GRADES[::-1].index(entry.grade), **subject)
        for severity, count in entry.counts.items():
            gauges.set("deliv_weekly_unmet", count, **subject, severity=severity)
        gauges.set("deliv_weekly_could_not_check", entry.failures, **subject)
        _traffic(entry, gauges)
    return gauges.text()


def _traffic(entry: WeeklyEntry, gauges: Gauges) -> None:
    """What was reported of the domain. Labels are closed sets: no name of a source, and no address."""
    domain = {"domain": entry.domain}
    if (week := entry.traffic) is not None:
        for standing, messages in sorted(week.standings.items()):
            gauges.set("deliv_traffic_messages", messages, **domain, standing=standing)
        if week.own:
            gauges.set("deliv_traffic_aligned_ratio", week.aligned / week.own, **domain)
        for reporter, day in week.last_reports.items():
            at = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
            gauges.set("deliv_last_report_timestamp_seconds", at, **domain, reporter=reporter)
    if entry.gate is not None:
        gauges.set("deliv_gate", _GATE[entry.gate.kind], **domain, to=entry.gate.to)
