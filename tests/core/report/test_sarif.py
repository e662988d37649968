"""SARIF: valid by the schema of the standard, and what its readers need."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from jsonschema import Draft4Validator
from msgspec.structs import replace

from deliverability.core.facts.base import FactSet
from deliverability.core.model.report import Outcome, Report
from deliverability.core.model.rules import Severity
from deliverability.core.report.formats.sarif import semantic_version
from tests import TESTS
from tests.fixtures_report import FINDINGS, make_report, speaker
from tests.shown import CASES, waived, with_remedies
from tests.speaking import written
from tests.test_golden import CASES as GOLDEN_CASES
from tests.test_golden import audited as golden

SCHEMA = json.loads((TESTS / "schemas" / "sarif-2.1.0-rtm.5.json").read_text("utf-8"))
VALIDATOR = Draft4Validator(SCHEMA, format_checker=Draft4Validator.FORMAT_CHECKER)


def log_of(*reports: Report, lang: str = "en") -> Any:
    log = json.loads(written("sarif", reports, speaker(lang)))
    assert [f"{list(each.path)}: {each.message[:200]}" for each in VALIDATOR.iter_errors(log)] == []
    return log["runs"][0]


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("case", CASES)
def test_every_log_is_valid(case: str, lang: str) -> None:
    run = log_of(*CASES[case], lang=lang)
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert run["language"] == lang


def test_the_validator_sees_what_is_wrong() -> None:
    log = json.loads(written("sarif", make_report(), speaker("en")))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not VALIDATOR.is_valid(log)


def test_results_are_what_needs_attention() -> None:
    results = log_of(make_report())["results"]
    assert [(each["ruleId"], each["kind"], each["level"]) for each in results] == [
        ("SPF-003", "fail", "error"),
        ("DKIM-002", "fail", "warning"),
        ("DMARC-006", "fail", "note"),
        ("NET-001", "open", "none"),
    ]


def test_a_finding_that_counts_for_nobody_is_no_result() -> None:
    ignored = replace(FINDINGS[0], severity=Severity.NONE, outcome=Outcome.UNMET)
    assert log_of(make_report(findings=(ignored,)))["results"] == []


def test_a_result_says_where_and_what() -> None:
    result = log_of(with_remedies())["results"][1]
    assert result["message"]["text"] == "The key has 1024 bits."
    place = result["locations"][0]
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "example.com/s1"
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "welcome.eml"
    assert result["partialFingerprints"] == {"finding/v1": "fp-DKIM-002"}


def test_a_result_carries_the_record_to_publish_and_the_replies() -> None:
    properties = log_of(with_remedies())["results"][0]["properties"]
    assert properties["records"] == ['example.com TXT "v=spf1 include:_spf.google.com ~all"']
    assert properties["receivers"]["icloud"] == {"effect": "reject", "codes": ["554 5.7.1"]}


# --- what GitHub takes ---


def refused_by_github(log: Any) -> list[str]:
    """What makes GitHub refuse the whole file, by its own messages: all results need a file of the repository."""
    found = []
    for result in log["results"]:
        locations = result.get("locations", [])
        if not locations:
            found.append("expected at least one location")
        for location in locations:
            physical = location.get("physicalLocation")
            uri = (physical or {}).get("artifactLocation", {}).get("uri")
            if uri is None:
                found.append("expected a physical location")
                continue
            parts = urlsplit(uri)
            if parts.scheme or parts.netloc:
                found.append(f"unrecognized SARIF location URI scheme: {uri}")
            if uri.startswith("/") or not uri or ".." in unquote(uri).split("/"):
                found.append(f"not in the repository: {uri}")
            if not re.fullmatch(r"[A-Za-z0-9/._~!$&'()*+,;=@%-]+", uri):
                found.append(f"not a URI: {uri}")
            if physical.get("region", {}).get("startLine", 0) < 1:
                found.append("expected a line")
    return found


def test_its_rules_are_seen() -> None:
    good = {"physicalLocation": {"artifactLocation": {"uri": "a/b.zone"}, "region": {"startLine": 3}}}
    assert refused_by_github({"results": [{"locations": [good]}]}) == []
    for wrong in (
        {},
        {"locations": []},
        {"locations": [{"logicalLocations": [{"name": "x"}]}]},
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "https://x/"}, "region": {"startLine": 1}}}]},
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "/tmp/x"}, "region": {"startLine": 1}}}]},
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "../x"}, "region": {"startLine": 1}}}]},
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "a b"}, "region": {"startLine": 1}}}]},
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "a"}}}]},
    ):
        assert refused_by_github({"results": [wrong]}) != []


@pytest.mark.parametrize(
    "message", ["", "-", "a b.eml", "/tmp/x:y.eml", "../../up.eml", "C:\\mails\\a.eml", "..", "\udcff.eml"]
)
@pytest.mark.parametrize("case", CASES)
def test_every_result_is_in_the_repository(case: str, message: str) -> None:
    run = log_of(*(replace(each, message=message) for each in CASES[case]))
    assert refused_by_github(run) == []


@pytest.mark.parametrize("subject", sorted({name.split(".")[0] for name in GOLDEN_CASES}))
def test_golden_reports_are_taken(subject: str) -> None:
    assert refused_by_github(log_of(golden(subject))) == []


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("a b.eml", "a%20b.eml"),
        ("見.eml", "%E8%A6%8B.eml"),
        ("a:b.eml", "a%3Ab.eml"),
        ("./mails/../a.eml", "a.eml"),
        ("/repo/mails/x:y.eml", "mails/x%3Ay.eml"),
        ("/tmp/x.eml", "x.eml"),
        ("../x.eml", "x.eml"),
        ("mails\\x.eml", "mails/x.eml"),
        ("C:\\mails\\x.eml", "x.eml"),
        ("-", "dns/example.com/TXT"),
        ("", "dns/example.com/TXT"),
    ],
)
def test_a_file_is_named_from_the_folder_of_the_run(name: str, uri: str) -> None:
    report = make_report(message=name)
    log = json.loads(written("sarif", report, speaker("en"), folder="/repo"))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == (uri, {"startLine": 1})


def test_the_settings_say_where_a_domain_is_named() -> None:
    log = written("sarif", make_report(message=""), speaker("en"), places={"example.com": "mail/deliv.toml:12"})
    place = json.loads(log)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("mail/deliv.toml", 12)


def test_a_record_in_a_zone_comes_before_all() -> None:
    report = make_report(message="welcome.eml")
    placed = {ident: replace(each, place="zones/example.com.zone:14") for ident, each in report.facts.evidence.items()}
    there = replace(report, facts=FactSet({fact.path: fact for fact in report.facts}, placed))
    log = json.loads(written("sarif", there, speaker("en"), places={"example.com": "deliv.toml:2"}))
    places = {
        (each["artifactLocation"]["uri"], each["region"]["startLine"])
        for result in log["runs"][0]["results"]
        for each in [result["locations"][0]["physicalLocation"]]
    }
    assert ("zones/example.com.zone", 14) in places
    assert refused_by_github(log["runs"][0]) == []


def test_a_rule_explains_itself() -> None:
    rule = log_of(make_report(), lang="ja")["tool"]["driver"]["rules"][0]
    assert rule["shortDescription"]["text"] == "SPFのDNS参照が上限の10回を超えている"
    assert rule["helpUri"] == "https://www.rfc-editor.org/rfc/rfc7208"
    assert "SPFに合格しません" in rule["help"]["text"]
    assert rule["defaultConfiguration"]["level"] == "error"


def test_failures_of_the_run_are_notifications() -> None:
    invocation = log_of(make_report())["invocations"][0]
    assert invocation["executionSuccessful"] is True
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["level"] == "warning"
    assert "did not answer in time" in notification["message"]["text"]
    assert log_of(*CASES["hostile"])["invocations"][0]["executionSuccessful"] is False, "a bug is no success"


def test_nothing_in_a_hostile_name_steers() -> None:
    text = written("sarif", CASES["hostile"], speaker("en"))
    assert not any(char in text for char in "\x00\x1b\u202e")
    assert "\\u001b" not in text, "written out for people, not only for JSON"


def test_what_the_user_accepts_is_suppressed() -> None:
    first, second, *_ = log_of(waived())["results"]
    assert first["suppressions"][0]["justification"].startswith("handled-elsewhere: =x")
    assert second["suppressions"] == []


@pytest.mark.parametrize(
    ("version", "semantic"), [("1.0.0", "1.0.0"), ("1.0.0rc1", "1.0.0-rc.1"), ("0.2.10b12", "0.2.10-b.12")]
)
def test_a_version_is_a_semantic_one(version: str, semantic: str) -> None:
    assert semantic_version(version) == semantic
