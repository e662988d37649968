"""JUnit: well-formed for any content, and failing exactly where the exit code does."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.report import Outcome, Report
from deliverability.core.model.rules import Severity
from deliverability.engine.rules import exit_code
from tests.fixtures_report import finding, make_report, speaker
from tests.shown import CASES, waived
from tests.speaking import written


def suites(*reports: Report, lang: str = "en", fail_on: Severity | None = Severity.ERROR) -> list[ElementTree.Element]:
    text = written("junit", reports, speaker(lang), fail_on=fail_on)
    # Characters that XML 1.0 cannot carry, not even as references.
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", text)
    root = ElementTree.fromstring(text.encode("utf-8"))
    assert root.tag == "testsuites"
    return list(root)


def results(suite: ElementTree.Element) -> dict[str, str]:
    return {case.attrib["name"].split()[0]: case[0].tag if len(case) else "passed" for case in suite}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("case", CASES)
def test_every_document_is_well_formed_and_its_counts_are_right(case: str, lang: str) -> None:
    found = suites(*CASES[case], lang=lang)
    assert len(found) == len(CASES[case])
    for suite in found:
        for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[count]) == len(suite.findall(f"testcase/{kind}"))
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))


def test_no_subject_gives_an_empty_document() -> None:
    assert suites() == []


def test_what_becomes_of_an_outcome() -> None:
    (suite,) = suites(replace(make_report(), findings=make_report().findings[:2] + make_report().findings[3:]))
    assert results(suite) == {
        "SPF-003": "failure",
        "DKIM-002": "system-out",  # a warning, below the threshold
        "DMARC-006": "system-out",
        "SIZ-001": "passed",
        "NET-001": "error",
        "MSG-010": "skipped",
    }


@pytest.mark.parametrize("fail_on", [Severity.ERROR, Severity.WARNING, None])
@pytest.mark.parametrize(
    "findings",
    [
        (finding("SPF-003", Outcome.UNMET),),
        (finding("DKIM-002", Outcome.UNMET),),
        (finding("DMARC-006", Outcome.UNMET),),
        (finding("SPF-003", Outcome.MET), finding("NET-001", Outcome.NOT_APPLICABLE)),
        (finding("NET-001", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT)),),
        (finding("DMARC-006", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT)),),
        (finding("DMARC-006", Outcome.UNKNOWN, unknown=Unknown(Reason.BUG)),),
        (finding("NET-001", Outcome.UNKNOWN, unknown=Unknown(Reason.NO_MESSAGE)),),
    ],
    ids=lambda found: " ".join(f"{each.rule}-{each.outcome}" for each in found),
)
def test_a_build_fails_exactly_where_the_exit_code_does(findings: tuple, fail_on: Severity | None) -> None:
    report = make_report(findings=findings)
    (suite,) = suites(report, fail_on=fail_on)
    bad = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    assert bool(bad) == bool(exit_code(report, fail_on))


def test_a_failure_says_what_to_do() -> None:
    (suite,) = suites(make_report(), lang="ja")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == "SPFのDNS参照が12回あります。上限は10回です。"
    assert "1. 送信に使っていないサービスのincludeを削除します。" in (failure.text or "")
    assert "icloud: reject 554 5.7.1" in (failure.text or "")


def test_what_the_user_accepts_fails_no_build() -> None:
    (suite,) = suites(waived())
    assert results(suite)["SPF-003"] == "skipped"
    assert suite.attrib["failures"] == "0"
    assert exit_code(waived(), Severity.ERROR) == 3, "what could not be checked still counts"
    assert suite.attrib["errors"] == "1"
