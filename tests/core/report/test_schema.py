"""The JSON Schema of the JSON report: it fits every report there is, and nothing else."""

from __future__ import annotations

import asyncio
import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Subject
from deliverability.core.model.report import SCHEMA_VERSION, Report
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.report.formats.json import SCHEMA, render_json
from deliverability.engine.rules import load_rules
from tests.auditing import audit
from tests.corpus import corpus
from tests.sampled import sampled
from tests.shown import CASES, with_remedies
from tests.test_corpus_smoke import mails, senders
from tests.test_golden import CASES as GOLDEN_CASES
from tests.test_golden import audited as golden

pytestmark = pytest.mark.long

RULES = load_rules()
DOCUMENT = json.loads(SCHEMA.read_text("utf-8"))
# The parts for one report and for several apart, so that errors name their place and not only "neither fits".
ONE = Draft202012Validator({"$ref": "#/$defs/report", "$defs": DOCUMENT["$defs"]})
EITHER = Draft202012Validator(DOCUMENT)


def problems(data: Any) -> list[str]:
    return [f"{'/'.join(map(str, each.absolute_path))}: {each.message[:200]}" for each in ONE.iter_errors(data)]


def as_json(report: Report) -> Any:
    return json.loads(render_json(report))


def test_it_is_a_schema_and_names_the_version_of_the_reports() -> None:
    Draft202012Validator.check_schema(DOCUMENT)
    assert DOCUMENT["title"].endswith(f"version {SCHEMA_VERSION}")
    assert SCHEMA.name == f"report-{SCHEMA_VERSION.split('.')[0]}.schema.json"


def test_every_object_names_all_it_may_hold() -> None:
    for name, part in DOCUMENT["$defs"].items():
        if "properties" in part:
            assert part["additionalProperties"] is False, name


@pytest.mark.parametrize("subject", sorted({name.split(".")[0] for name in GOLDEN_CASES}))
def test_the_golden_reports_fit(subject: str) -> None:
    assert problems(as_json(golden(subject))) == []


def test_several_reports_fit_as_an_array() -> None:
    several = json.loads(render_json([golden("good"), golden("broken")]))
    EITHER.validate(several)
    EITHER.validate(several[0])
    EITHER.validate([])


@pytest.mark.parametrize("case", ["hostile", "usual", "waived"])
def test_reports_by_hand_fit(case: str) -> None:
    assert problems(as_json(replace(CASES[case][0], schema_version=SCHEMA_VERSION))) == []


@cache
def _zones() -> Any:
    return open_ports(PortSettings(zones=[corpus("zones")]))


def _audit(domain: str, ports: Any) -> Report:
    options = Subject(selectors=("s1",), mail_from="", helo="mx.example", purpose=Purpose.BULK, daily_volume=1)
    return asyncio.run(audit(replace(options, domain=domain), ports=ports, rules=RULES))


@pytest.mark.parametrize("domain", sampled(senders()[::8], 4))
def test_audits_of_the_corpus_fit(domain: str) -> None:
    assert problems(as_json(_audit(domain, _zones()))) == []


@pytest.mark.parametrize("domain", ["aarhus.dk", "vejle.dk"])
def test_the_report_of_a_healthy_domain_is_small(domain: str) -> None:
    report = asyncio.run(audit(domain, ports=_zones(), rules=RULES))
    assert (report.assessment.grade, report.failures) == ("A", ())
    assert len(render_json(report).encode()) <= 61_000


@pytest.mark.parametrize("mail", sampled(mails()[::40], 6), ids=lambda path: path.name)
def test_audits_of_mails_fit_without_any_option(mail: Path) -> None:
    report = asyncio.run(audit(message=mail.read_bytes(), ports=_zones(), rules=RULES))
    assert problems(as_json(report)) == []


def test_what_waits_for_the_purpose_is_judged_for_no_receiver_and_fits() -> None:
    message = b"From: a@example.com\r\nTo: b@example.net\r\nSubject: x\r\n\r\nx\r\n"
    data = as_json(asyncio.run(audit(message=message, ports=replace(open_ports(), dns=OFFLINE), rules=RULES)))
    (waiting,) = (each for each in data["findings"] if each["rule"] == "UNS-005")
    assert (waiting["outcome"], waiting["receivers"]) == ("unknown", [])
    assert waiting["unknown"]["detail"] == {"code": "needs", "args": {"input": "purpose"}}
    assert problems(data) == []


def test_an_audit_that_could_look_at_nothing_fits() -> None:
    ports = replace(open_ports(PortSettings(offline=True)), dns=OFFLINE)
    data = as_json(_audit("example.com", ports))
    assert problems(data) == []
    assert any(finding.get("unknown", {}).get("unknown") == "offline" for finding in data["findings"])


def test_a_parked_domain_has_an_answer_of_its_own_that_fits() -> None:
    ports = replace(open_ports(PortSettings(offline=True)), dns=OFFLINE)
    options = Subject(purpose=Purpose.PARKED)
    data = as_json(asyncio.run(audit(replace(options, domain="example.com"), ports=ports, rules=RULES)))
    assert problems(data) == []
    assert ("verdicts" in data, data["closed"], data["open"]) == (False, None, []), "nothing could be looked at"


@cache
def _sound() -> Any:
    data = as_json(with_remedies())
    assert problems(data) == []
    return data


def _changed(path: str, value: Any) -> Any:
    data = copy.deepcopy(_sound())
    *way, last = path.split("/")
    place = data
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", 1),
        ("subject/surprise", 1),
        ("findings/0/surprise", 1),
        ("remedies/0/edits/0/surprise", 1),
        ("verdicts/0/effects/0/surprise", 1),
        ("schema_version", "1.0"),
        ("schema_version", None),
        ("remedies", None),
        ("findings/0/outcome", "passed"),
        ("findings/0/gains", None),
        ("findings/0/gains/0/after", "fine"),
        ("findings/5/unknown", None),
        ("findings/0/unknown", {"unknown": "timeout"}),
        ("findings/5/unknown", {"unknown": "because"}),
        ("grade", "E"),
        ("grade_open", None),
        ("verdicts/0/verdict", "perhaps"),
        ("verdicts/0/effects/0/effect", "risk"),
        ("verdicts/0/requirements/named", None),
        ("findings/0/scope", "everything"),
        ("findings/0/used", "yes"),
        # Names of version 1: one grade a subject, none a receiver.
        ("verdicts/0/grade", "A"),
        ("verdicts/0/caps", []),
        ("remedies/0/care", "bold"),
        ("remedies/0/edits/0/new", "v=spf1"),
        ("run/started", 5),
        ("findings/0/waiver", {"reason": "tired", "note": "", "until": None}),
        ("findings/4/waiver", {"reason": "accepted-risk", "note": "", "until": None}),
    ],
)
def test_what_is_not_a_report_does_not_fit(path: str, value: Any) -> None:
    assert problems(_changed(path, value)) != []
