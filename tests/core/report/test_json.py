"""The JSON report: its shape, and that equal reports give equal bytes."""

from __future__ import annotations

import json

from msgspec.structs import replace

from deliverability.core.codes import ASKED
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.report import Outcome
from deliverability.core.report.formats.json import render_json
from tests.fixtures_report import finding, make_report
from tests.shown import with_remedies


def test_one_subject_gives_an_object_and_several_an_array():
    one = json.loads(render_json(make_report()))

    assert json.loads(render_json([make_report()])) == one
    assert json.loads(render_json([make_report(), make_report()])) == [one, one]


def test_the_top_level_names_are_stable():
    assert list(json.loads(render_json(make_report()))) == [
        "schema_version",
        "subject",
        "grade",
        "grade_open",
        "ungraded",
        "judged",
        "verdicts",
        "answer",
        "findings",
        "remedies",
        "evidence",
        "notes",
        "facts_digest",
        "rules_digest",
        "run",
    ]


def test_subject_holds_domain_message_and_inputs():
    assert json.loads(render_json(make_report()))["subject"] == {
        "domain": "example.com",
        "message": "welcome.eml",
        "ip": ["192.0.2.10"],
        "purpose": None,
    }


def test_a_verdict_names_its_caps_and_what_is_open():
    assert json.loads(render_json(make_report()))["verdicts"][1] == {
        "receiver": "gmail",
        "verdict": "at-risk",
        "effects": [
            {"rule": "SPF-003", "item": "", "effect": "spam", "codes": [], "contested": False},
            {"rule": "DKIM-002", "item": "example.com/s1", "effect": "spam", "codes": [], "contested": False},
        ],
        "requirements": {"named": 4, "met": 1, "unmet": 2, "open": 1},
        "remarks": [{"rule": "DMARC-006", "item": "", "effect": "note", "codes": [], "contested": False}],
        "open": [{"rule": "NET-001", "item": "", "effect": "spam", "codes": [], "contested": False}],
        "codes": [],
        "lacks": [],
    }


def test_a_finding_carries_values_limits_evidence_and_judgements():
    found = json.loads(render_json(make_report()))["findings"][1]

    assert found == {
        "rule": "DKIM-002",
        "name": "rule-dkim-002",
        "topic": "dkim",
        "item": "example.com/s1",
        "outcome": "unmet",
        "severity": "warning",
        "scope": "delivery",
        "used": None,
        "guide": ["G2"],
        "observed": {"item.bits": 1024},
        "limits": {},
        "evidence": ["header:dkim-signature:1"],
        "judgements": [
            {
                "receiver": "gmail",
                "outcome": "unmet",
                "severity": "warning",
                "effect": "spam",
                "codes": [],
                "contested": False,
                "volume": "any",
            }
        ],
        "fingerprint": "fp-DKIM-002",
        "gains": [],
    }


def test_what_is_met_does_not_apply_or_waits_is_told_in_short():
    def told(outcome: Outcome, unknown: Unknown | None = None):
        one = replace(make_report().findings[1], outcome=outcome, unknown=unknown)
        return json.loads(render_json(make_report(findings=(one,))))["findings"][0]

    brief = {"rule": "DKIM-002", "item": "example.com/s1", "receivers": ["gmail"]}
    assert told(Outcome.MET) == brief | {"outcome": "met"}
    assert told(Outcome.NOT_APPLICABLE) == brief | {"outcome": "not-applicable"}
    waits = told(Outcome.UNKNOWN, Unknown(Reason.NO_MESSAGE))
    assert waits == brief | {"outcome": "unknown", "unknown": {"unknown": "no-message"}}


def test_what_failed_to_be_checked_is_told_in_full():
    one = replace(make_report().findings[1], outcome=Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT))
    found = json.loads(render_json(make_report(findings=(one,))))["findings"][0]
    assert found["judgements"]
    assert found["evidence"] == ["header:dkim-signature:1"]


def test_each_finding_and_each_step_has_a_line():
    report = with_remedies()
    lines = [line.strip().rstrip(",") for line in render_json(report).splitlines()]
    told = json.loads(render_json(report))
    for each in (*told["findings"], *told["remedies"], *told["answer"]["plan"]):
        assert json.dumps(each, ensure_ascii=False, separators=(",", ":")) in lines


def test_a_remedy_holds_its_edits_and_what_they_change():
    report = json.loads(render_json(with_remedies()))
    gain = {"receiver": "gmail", "before": "at-risk", "after": "accepted"}

    assert report["findings"][0]["gains"] == [gain]
    assert report["remedies"] == [
        {
            "rule": "SPF-003",
            "item": "",
            "code": "spf-shorter",
            "values": {"domain": "example.com"},
            "care": "careful",
            "edits": [
                {
                    "name": "example.com",
                    "type": "TXT",
                    "old": ["v=spf1 include:_spf.google.com include:mail.vendor.example a mx ~all"],
                    "new": ["v=spf1 include:_spf.google.com ~all"],
                }
            ],
            "mends": ["SPF-003"],
            "opens": [],
            "changes": [{"fact": "spf.lookups", "before": 12, "after": 4}],
            "gains": [gain],
        }
    ]


def test_unknown_is_said_with_its_reason_at_any_depth():
    lost = Unknown(Reason.SERVFAIL, ASKED(type="TXT", name="example.com"))
    report = make_report(
        findings=(finding("SPF-003", Outcome.UNKNOWN, unknown=lost, observed={"spf.tree": {"terms": (lost,)}}),)
    )
    found = json.loads(render_json(report))["findings"][0]

    asked = {"code": "asked", "args": {"type": "TXT", "name": "example.com"}}
    assert found["unknown"] == {"unknown": "servfail", "detail": asked}
    assert found["observed"] == {"spf.tree": {"terms": [{"unknown": "servfail", "detail": asked}]}}


def test_findings_that_were_checked_have_no_unknown():
    assert "unknown" not in json.loads(render_json(make_report()))["findings"][0]


def test_the_order_of_observations_does_not_show_in_the_bytes():
    report = make_report()
    first, *rest = report.findings
    turned = replace(first, observed=dict(reversed(first.observed.items())))

    assert render_json(replace(report, findings=(turned, *rest))) == render_json(report)


def test_text_stays_readable_and_always_fits_utf_8():
    report = make_report(message="見積\udc80.eml")

    text = render_json(report)
    assert "見積\\\\udc80.eml" in text
    text.encode("utf-8")
