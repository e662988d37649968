"""Reports as metrics in Prometheus' text format, for node_exporter's textfile collector.

What could not be looked up gives no sample: an absent series, never a zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from deliverability.model.paths import FactPath
from deliverability.model.report import GRADES, Outcome, Report, VerdictKind
from deliverability.model.rules import Severity
from deliverability.view.findings import as_tuple
from deliverability.words.sentences import visible

# The larger, the worse; -1 lies below every threshold.
VERDICTS = {
    VerdictKind.CANNOT_TELL: -1,
    VerdictKind.DNS_PARTLY: -1,
    VerdictKind.ACCEPTED: 0,
    VerdictKind.DNS_READY: 0,
    VerdictKind.DEPENDS: 1,
    VerdictKind.AT_RISK: 1,
    VerdictKind.DNS_NOT_READY: 1,
    VerdictKind.REJECTED: 2,
}
_GRADES = {grade: number for number, grade in enumerate(reversed(GRADES))}
STAGES = {"absent": 0, "none": 1, "testing": 2, "quarantine": 3, "reject": 4}

_HELP = {
    "deliv_verdict": "-1 cannot tell, 0 no known obstacle, 1 at risk, by volume or DNS not ready, 2 refused.",
    "deliv_grade": "The grade: 4 is A, 3 B, 2 C, 1 D, 0 F.",
    "deliv_open_checks": "Checks that could lower the grade and could not be made.",
    "deliv_findings": "Findings by severity and outcome (unmet, waived, unknown, waiting, met).",
    "deliv_spf_lookups": "DNS lookups that the SPF record needs; ten are allowed.",
    "deliv_spf_void_lookups": "DNS lookups of the SPF record that find nothing; two are allowed.",
    "deliv_dmarc_stage": "The DMARC policy: 0 no record, 1 none, 2 testing, 3 quarantine, 4 reject.",
    "deliv_message_octets": "Size of the audited message as sent.",
    "deliv_last_run_timestamp_seconds": "When the audit ran, in seconds since 1970.",
    "deliv_info": "Always 1; the version that made the audit.",
}
_NUMBERS: Mapping[str, FactPath] = {
    "deliv_spf_lookups": "spf.lookups",
    "deliv_spf_void_lookups": "spf.void_lookups",
    "deliv_message_octets": "message.size_octets",
}
Labels = tuple[tuple[str, str], ...]


def render_prometheus(reports: Report | Sequence[Report]) -> str:
    """One exposition for one report or several."""
    writer = PrometheusWriter()
    return "".join(writer.report(each) for each in as_tuple(reports)) + writer.end()


class PrometheusWriter:
    """Everything is written at the end: the samples of a metric have to stand together. Only numbers are kept.

    Of two reports on the same domain and message the later one counts; a series may appear only once.
    """

    def __init__(self) -> None:
        self._samples: dict[str, dict[Labels, float]] = {name: {} for name in _HELP}

    def report(self, report: Report) -> str:
        """Take the next report; nothing is written yet."""
        subject = {"domain": report.domain, "message": report.message}
        for name, labels, value in _measure(report):
            self._samples[name][tuple((subject | labels).items())] = value
        return ""

    def end(self) -> str:
        """All metrics that have samples, each with its help and type once."""
        lines: list[str] = []
        for name, samples in self._samples.items():
            if samples:
                lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
                lines += [f"{name}{{{_labels(labels)}}} {value:.15g}" for labels, value in samples.items()]
        return "".join(f"{line}\n" for line in lines)


def _measure(report: Report) -> Iterator[tuple[str, dict[str, str], float]]:
    for verdict in report.verdicts:
        receiver = {"receiver": verdict.receiver}
        yield "deliv_verdict", receiver, VERDICTS[verdict.verdict]
    yield "deliv_grade", {}, _GRADES[report.assessment.grade]
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
    for name, path in _NUMBERS.items():
        value = report.facts.value(path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, {}, value
    stage = report.facts.value("dmarc.stage")
    if isinstance(stage, str) and stage in STAGES:
        yield "deliv_dmarc_stage", {}, STAGES[stage]
    started = _seconds(report.run.started)
    if started is not None:
        yield "deliv_last_run_timestamp_seconds", {}, started
    yield "deliv_info", {"version": report.run.version}, 1


def _seconds(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):
        return None


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(text: str) -> str:
    """A label value: line ends and the like written out, backslashes and quotes escaped as the format demands."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')
