"""Prometheus: read by the official parser, and no number where nothing was looked up."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.report import Outcome, Report
from deliverability.core.model.rules import Severity
from deliverability.core.protocols.spf.record import MAX_LOOKUPS
from deliverability.core.report.formats.prometheus import MOST_RULES
from tests.fixtures_report import FACTS, FINDINGS, facts, make_report, speaker
from tests.shown import CASES, HOSTILE, waived
from tests.speaking import written


def samples(*reports: Report) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = written("prometheus", reports, speaker())
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type == "gauge" for family in families)
    names = Counter(line.split()[2] for line in text.splitlines() if line.startswith("# TYPE"))
    assert set(names.values()) <= {1}, "type and help stand once"
    found = [
        (each.name, tuple(sorted(each.labels.items())), each.value) for family in families for each in family.samples
    ]
    assert len({each[:2] for each in found}) == len(found), "no series stands twice"
    assert len(found) == sum(not line.startswith("#") for line in text.splitlines())
    return {(name, labels): value for name, labels, value in found}


def values(name: str, *reports: Report, **labels: str) -> list[float]:
    wanted = set(labels.items())
    return [value for (each, given), value in samples(*reports).items() if each == name and wanted <= set(given)]


@pytest.mark.parametrize("case", CASES)
def test_every_exposition_is_read_by_the_official_parser(case: str) -> None:
    assert samples(*CASES[case])


def test_no_subject_gives_nothing() -> None:
    assert written("prometheus", [], speaker()) == ""


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("deliv_verdict", {"receiver": "icloud"}, 2),
        ("deliv_verdict", {"receiver": "gmail"}, 1),
        ("deliv_grade", {}, 0),
        ("deliv_open_checks", {}, 1),
        ("deliv_findings", {"severity": "error", "outcome": "unmet"}, 1),
        ("deliv_findings", {"severity": "error", "outcome": "unknown"}, 1),
        ("deliv_findings", {"severity": "error", "outcome": "waiting"}, 1),
        ("deliv_findings", {"severity": "warning", "outcome": "unknown"}, 0),
        ("deliv_finding", {"rule": "SPF-003", "severity": "error"}, 1),
        ("deliv_spf_lookups", {}, 12),
        ("deliv_spf_void_lookups", {}, 1),
        ("deliv_dmarc_stage", {}, 1),
        ("deliv_message_octets", {}, 12_345_678),
        ("deliv_last_run_timestamp_seconds", {}, 1_795_514_400),
        ("deliv_info", {"version": "0.1.0"}, 1),
    ],
)
def test_the_numbers(name: str, labels: dict[str, str], value: float) -> None:
    assert values(name, make_report(), domain="example.com", message="welcome.eml", **labels) == [value]


@pytest.mark.parametrize("value", [None, Unknown(Reason.TIMEOUT)])
def test_what_is_absent_or_unknown_is_no_number(value: Any) -> None:
    report = make_report(facts=facts({**FACTS, "spf.lookups": value, "dmarc.stage": value}))
    assert values("deliv_spf_lookups", report) == values("deliv_dmarc_stage", report) == []


def test_a_label_says_what_a_reader_would_see() -> None:
    shown = {dict(labels)["message"] for _, labels in samples(*CASES["hostile"]) if labels}
    assert len(shown) == 1, "the later report on the same subject counts"
    assert HOSTILE.split("\r")[0] in shown.pop()


def test_what_the_user_accepts_is_counted_apart() -> None:
    assert values("deliv_findings", waived(), severity="error", outcome="waived") == [1]
    assert values("deliv_findings", waived(), severity="error", outcome="unmet") == [0]


def rules_of(report: Report) -> list[tuple[str, str]]:
    """Rule and severity of each series that names an unmet rule, as they stand in the text."""
    named = [labels for name, labels in samples(report) if name == "deliv_finding"]
    assert set(values("deliv_finding", report)) <= {1}
    return [(dict(labels)["rule"], dict(labels)["severity"]) for labels in named]


def test_an_unmet_rule_has_one_series_however_many_items_it_is_about() -> None:
    first = replace(FINDINGS[0], outcome=Outcome.UNMET, rule="DKIM-001", item="one", severity=Severity.INFO)
    items = (first, replace(first, item="two", severity=Severity.ERROR), replace(first, item="x", outcome=Outcome.MET))
    assert rules_of(make_report(findings=items)) == [("DKIM-001", "error")]


def test_what_is_met_unknown_waived_or_of_no_severity_is_not_named() -> None:
    assert "SPF-003" in dict(rules_of(make_report()))
    assert "SPF-003" not in dict(rules_of(waived()))
    for outcome in set(Outcome) - {Outcome.UNMET}:
        assert rules_of(make_report(findings=(replace(FINDINGS[0], outcome=outcome),))) == []
    assert rules_of(make_report(findings=(replace(FINDINGS[0], severity=Severity.NONE),))) == []


def test_of_many_unmet_rules_the_severest_are_named() -> None:
    order = (Severity.INFO, Severity.WARNING, Severity.ERROR)
    many = [replace(FINDINGS[0], rule=f"X-{n:03}", severity=order[n // 30]) for n in range(90)]
    found = rules_of(make_report(findings=tuple(many)))
    assert len(found) == MOST_RULES == 40
    assert [severity for _, severity in found] == ["error"] * 30 + ["warning"] * 10


def test_the_limit_of_lookups_stands_once_without_labels() -> None:
    reports = CASES["several"]
    assert {labels: value for (name, labels), value in samples(*reports).items() if name.endswith("_limit")} == {
        (): MAX_LOOKUPS
    }
