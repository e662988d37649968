"""Metrics in Prometheus' text format: of reports, and for node_exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.model.report import DMARC_STAGES, GRADES, Outcome, Report
from deliverability.core.model.rules import Selection, Severity
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker


class Gauges:
    """Samples by metric; everything is written at the end, because those of a metric have to stand together.

    A series appears once: of two samples with the same labels the later one counts. A metric without samples is not
    written: what is not known is an absent series, never a zero.
    """

    def __init__(self, meanings: Mapping[str, str]) -> None:
        """`meanings`: every metric with its help text, in the order in which they are written."""
        self._meanings = meanings
        self._samples: dict[str, dict[str, float]] = {name: {} for name in meanings}

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a sample; labels are shown in the order in which they are given."""
        self._samples[name][",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())] = value

    def text(self) -> str:
        """All metrics that have samples, each with its help and type once."""
        lines: list[str] = []
        for name, samples in self._samples.items():
            if samples:
                lines += [f"# HELP {name} {self._meanings[name]}", f"# TYPE {name} gauge"]
                lines += [f"{name}{labels and f'{{{labels}}}'} {value:.15g}" for labels, value in samples.items()]
        return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    """A label value: line ends and the like written out, backslashes and quotes escaped as the format demands."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')


MOST_RULES = 40
"""Series of unmet rules of a subject: a database of metrics pays for each. The severest come first."""
_LOOKUP_LIMIT = 10  # RFC 7208 section 4.6.4

METRICS = {
    "deliv_verdict": "-1 cannot tell, 0 no known obstacle, 1 at risk, depends on volume or DNS not ready, 2 rejected.",
    "deliv_grade": "The grade: 4 is A, 3 B, 2 C, 1 D, 0 F; no series if not everything was judged.",
    "deliv_open_checks": "Checks that could not be completed and could lower the grade.",
    "deliv_findings": "Findings by severity and outcome (unmet, waived, unknown, waiting, met).",
    "deliv_finding": "Always 1; a rule that is unmet and not waived: up to 40 for each subject, the most severe first.",
    "deliv_spf_lookups": "DNS lookups that the SPF record needs; ten are allowed.",
    "deliv_spf_lookups_limit": "Most DNS lookups that receivers allow for an SPF record.",
    "deliv_spf_void_lookups": "DNS lookups of the SPF record that find nothing; two are allowed.",
    "deliv_dmarc_stage": "The DMARC policy: 0 no record, 1 none, 2 testing, 3 quarantine, 4 reject.",
    "deliv_message_octets": "Size of the audited message as sent.",
    "deliv_last_run_timestamp_seconds": "Start of the audit, in seconds since 1970.",
    "deliv_info": "Always 1; the version of deliv, and the filters of the audit (judged; empty: none).",
}
_NUMBERS: Mapping[str, str] = {
    "deliv_spf_lookups": "spf.lookups",
    "deliv_spf_void_lookups": "spf.void_lookups",
    "deliv_message_octets": "message.size_octets",
}


def writer(speaker: Speaker, options: WriterOptions) -> PrometheusWriter:
    """The writer of this format."""
    return PrometheusWriter()


class PrometheusWriter:
    """Everything is written at the end; only numbers are kept. Of two reports on the same subject the later counts."""

    def __init__(self) -> None:
        self._gauges = Gauges(METRICS)

    def report(self, view: ReportView) -> str:
        """Take the next report; nothing is written yet."""
        report = view.report
        for name, labels, value in _measure(report):
            self._gauges.set(name, value, domain=report.domain, message=report.message, **labels)
        self._gauges.set("deliv_spf_lookups_limit", _LOOKUP_LIMIT)
        return ""

    def end(self) -> str:
        """All metrics that have samples."""
        return self._gauges.text()


def _measure(report: Report) -> Iterator[tuple[str, dict[str, str], float]]:
    for verdict in report.verdicts:
        receiver = {"receiver": verdict.receiver}
        yield "deliv_verdict", receiver, verdict.verdict.number
    if report.assessment.grade:
        yield "deliv_grade", {}, GRADES[::-1].index(report.assessment.grade)
    yield "deliv_open_checks", {}, report.assessment.open
    # Zeros as well: an alert on a series that only appears with the first finding would not see it come.
    counts = {
        (severity.value, outcome): 0
        for severity in (Severity.ERROR, Severity.WARNING, Severity.INFO)
        for outcome in ("unmet", "waived", "unknown", "waiting", "met")
    }
    for finding in report.findings:
        outcome = "waiting" if finding.waits_for_input else "waived" if finding.waiver else finding.outcome.value
        key = (finding.severity.value, outcome)
        if key in counts and finding.outcome is not Outcome.NOT_APPLICABLE:
            counts[key] += 1
    for (severity, outcome), number in counts.items():
        yield "deliv_findings", {"severity": severity, "outcome": outcome}, number
    yield from _unmet_rules(report)
    for name, path in _NUMBERS.items():
        value = report.facts.value(path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, {}, value
    stage = report.facts.of(Dmarc).stage
    if stage in DMARC_STAGES:
        yield "deliv_dmarc_stage", {}, DMARC_STAGES.index(stage)
    started = _seconds(report.run.started)
    if started is not None:
        yield "deliv_last_run_timestamp_seconds", {}, started
    yield "deliv_info", {"version": report.run.version, "judged": _judged(report.selection)}, 1


def _unmet_rules(report: Report) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each rule once, however many items it is not met for, with the worst of their severities."""
    worst: dict[str, Severity] = {}
    for each in report.findings:
        counts = each.outcome is Outcome.UNMET and each.waiver is None and each.severity is not Severity.NONE
        if counts and each.severity.rank > worst.get(each.rule, Severity.NONE).rank:
            worst[each.rule] = each.severity
    for rule, severity in sorted(worst.items(), key=lambda item: -item[1].rank)[:MOST_RULES]:
        yield "deliv_finding", {"rule": rule, "severity": severity.value}, 1


def _judged(selection: Selection) -> str:
    """The filters of the run, as its options name them; empty: everything was judged."""
    parts = {"select": selection.select, "ignore": selection.ignore, "receiver": selection.receivers}
    return " ".join(f"{name}={','.join(values)}" for name, values in parts.items() if values)


def _seconds(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):
        return None
