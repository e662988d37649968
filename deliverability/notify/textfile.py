"""A weekly run as Prometheus metrics, for the textfile collector of the node exporter."""

from __future__ import annotations

from datetime import datetime

from deliverability.model.report import GRADES
from deliverability.model.weekly import Summary
from deliverability.render.exposition import Gauges

_HELP = {
    "deliv_weekly_run_timestamp_seconds": "When the newest run began.",
    "deliv_weekly_new_findings": "Findings that are new since the run before.",
    "deliv_weekly_mended_findings": "Findings mended since the run before.",
    "deliv_weekly_grade": "Grade: 4 is A, 0 is F.",
    "deliv_weekly_unmet": "Findings by severity.",
    "deliv_weekly_could_not_check": "Findings that could not be checked.",
}


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
    return gauges.text()
