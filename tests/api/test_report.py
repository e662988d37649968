"""A report as programs see it: values that cannot be changed, equal to what they are written as and read from."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import deliverability
from deliverability import InputError, Outcome, Purpose, Report, Severity, StaticResolver, Verdict, audit
from deliverability.core.report.formats.json import SCHEMA
from tests.api.worlds import RECORDS, SIGNED, WORLD, ZONE
from tests.test_golden import CASES
from tests.test_golden import audited as golden

DEMO = Path(deliverability.__file__).parent / "demo"


@cache
def report() -> Report:
    """Of a mail whose DKIM key is not published."""
    without_key = {key: records for key, records in RECORDS.items() if "_domainkey" not in key[0]}
    return audit(message=SIGNED.replace(b"\n", b"\r\n"), resolver=StaticResolver(without_key), purpose="bulk")


def test_a_mail_that_is_rejected() -> None:
    found = audit(
        message=DEMO / "newsletter.eml",
        zones=DEMO / "example.zone",
        purpose="bulk",
        daily_volume=20_000,
        remedies=False,
    )
    assert found.verdicts["gmail"] is Verdict.REJECTED
    assert found.verdicts.gmail == "rejected"
    assert found.verdicts.yahoo_japan == found.verdicts["yahoo-japan"]
    assert "gmail" in found.refused
    assert set(found.refused).isdisjoint(found.at_risk)
    gmail = found.receivers["gmail"]
    assert (gmail.verdict, gmail.effects[0].effect) == (Verdict.REJECTED, "reject")
    assert gmail.codes
    first = found.findings[0]
    assert (first.rule, first.outcome, first.severity) == ("ALN-001", Outcome.UNMET, Severity.ERROR)
    assert first in found.unmet
    assert "gmail" in first.receivers
    assert first.title() == first.title("en") != first.title("ja")
    assert all(each.severity is not None for each in found.unmet)


def test_without_a_message_what_dns_lacks_is_at_risk() -> None:
    found = audit("example.com", resolver=StaticResolver({("example.com", "MX"): ["10 mail.example.com"]}))
    assert found.dns is Verdict.DNS_NOT_READY
    assert "gmail" in found.at_risk
    assert found.refused == ()


def test_it_is_the_json_report_and_back() -> None:
    text = report().to_json()
    again = Report.from_json(text)
    assert again == report()
    assert hash(again) == hash(report())
    assert again.to_json() == text
    assert Report.from_json(text.encode()) == again
    assert Report.from_json(json.dumps(report().to_dict())) == again
    assert [each.title("ja") for each in again.findings] == [each.title("ja") for each in report().findings]
    assert not list(Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).iter_errors(report().to_dict()))


@pytest.mark.parametrize("subject", sorted({name.split(".")[0] for name in CASES}))
@pytest.mark.long
def test_golden_reports_go_round(subject: str) -> None:
    from deliverability.core.report.formats.json import render_json

    text = render_json(golden(subject))
    read = Report.from_json(text)
    assert read.to_json() == text
    findings = json.loads(text)["findings"]
    assert [(each.rule, each.item, each.outcome) for each in read.findings] == [
        (each["rule"], each["item"], each["outcome"]) for each in findings
    ]


def test_nothing_in_it_can_be_changed() -> None:
    found = report()
    with pytest.raises(FrozenInstanceError):
        found.domain = "other.example"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        found.findings[0].rule = "X"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.verdicts["gmail"] = Verdict.ACCEPTED  # type: ignore[index]
    with pytest.raises(AttributeError):
        found.verdicts.gmail = Verdict.ACCEPTED
    with pytest.raises(TypeError):
        found.unmet[0].observed["x"] = 1  # type: ignore[index]
    for each in found.unmet:
        for value in each.observed.values():
            assert not isinstance(value, list | dict)
    before = found.to_json()
    found.to_dict()["findings"].clear()
    assert found.to_json() == before


def test_it_can_be_copied_and_sent_to_another_process() -> None:
    for twin in (copy.copy(report()), copy.deepcopy(report()), pickle.loads(pickle.dumps(report()))):
        assert twin == report()
        assert twin.findings[0].title("ja") == report().findings[0].title("ja")
        assert twin.verdicts == report().verdicts


def test_reports_differ_where_what_was_found_does() -> None:
    one, other = (audit("example.com", resolver=WORLD, offline=False, purpose=purpose) for purpose in ("bulk", "users"))
    assert one != other
    assert one != "a report"


BROKEN: Mapping[str, Any] = {
    "no JSON": "x",
    "half of it": '{"schema_version": "4.0"',
    "another type": "3",
    "several": "[{}, {}]",
    "nan": '{"schema_version": NaN}',
    "deep": "[" * 100_000,
    "deep but closed": '{"a":' * 500 + "1" + "}" * 500,
    "a long number": '{"schema_version": ' + "1" * 5000 + "}",
    "nothing": "",
    "no octets of UTF-8": b"\xff\xfe{",
    "another major version": '{"schema_version": "5.0"}',
    "an older version": '{"schema_version": "3.2"}',
    "no version": "{}",
    "a wrong version": '{"schema_version": 4}',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_no_report_says_why(text: str | bytes) -> None:
    with pytest.raises(InputError, match=r"^report: ") as caught:
        Report.from_json(text)
    assert caught.value.text("ja").startswith("report：")


def wrecked(value: Any) -> Any:
    """One wreck after the other: each value of the report's top levels as another type."""
    for key in value:
        for other in (None, 5, "x", [], {}, [None], [{}]):
            yield key, {**value, key: other}


@pytest.mark.long
def test_every_damaged_part_is_an_input_error_or_no_damage() -> None:
    document = report().to_dict()
    for _, broken in wrecked(document):
        try:
            read = Report.from_json(json.dumps(broken))
        except InputError:
            continue
        assert json.loads(read.to_json()) == broken
    for index, finding in enumerate(document["findings"][:40:4]):
        for _, broken in wrecked(finding):
            findings = [*document["findings"][:index], broken, *document["findings"][index + 1 :]]
            try:
                Report.from_json(json.dumps({**document, "findings": findings}))
            except InputError as error:
                assert error.code == "not-a-report"  # noqa: PT017 - others of its values are no damage


def test_a_later_minor_version_is_read() -> None:
    document = report().to_dict() | {"schema_version": "4.99", "added": {"x": [1]}}
    read = Report.from_json(json.dumps(document))
    assert read.to_dict() == document


OWN_RULE = """
- id: OWN-001
  name: sends-mail
  since: "0.1"
  severity: info
  scope: display
  level: heuristic
  effort: low
  confidence: high
  require: {fact: subject.parked, eq: false}
  sources: [{ref: rfc7208}]
  text:
    en:
      title: Mail is signed twice
      short: It is not signed twice
      noun: signatures
      met: Signed twice.
      unmet: Signed once.
      why: It is a test.
      fix: [Sign it again.]
    ja:
      title: メールに署名が2つある
      short: 署名が2つない
      noun: 署名
      met: 署名が2つあります。
      unmet: 署名は1つです。
      why: テストです。
      fix: [もう一度署名してください。]
"""


def test_titles_are_those_of_the_rules_that_judged(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN_RULE, "utf-8")
    found = audit("example.com", resolver=WORLD, rules=tmp_path, remedies=False)
    own = next(each for each in found.findings if each.rule == "OWN-001")
    assert (own.title(), own.title("ja")) == ("Mail is signed twice", "メールに署名が2つある")
    read = Report.from_json(found.to_json(), rules=tmp_path, lang="ja")
    assert next(each for each in read.findings if each.rule == "OWN-001").title() == "メールに署名が2つある"
    unknown = Report.from_json(found.to_json())
    assert next(each for each in unknown.findings if each.rule == "OWN-001").title() == "OWN-001"
    with pytest.raises(InputError, match="lang: 'fr' is not a language"):
        own.title("fr")


# --- messages of every usual type ---


def made() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "ann@example.com"
    message["To"] = "bob@example.net"
    message["Bcc"] = "hidden@example.net"
    message["Subject"] = "Fresh bread " * 12
    message.set_content("Fresh bread from today on. お待ちしています。\n")
    return message


def test_messages_of_every_usual_type_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.eml"
    file.write_bytes(SIGNED)
    text = SIGNED.decode()
    several = [SIGNED, bytearray(SIGNED), memoryview(SIGNED), file, str(file), text]
    found = [audit(message=each, resolver=WORLD, remedies=False) for each in several]  # type: ignore[arg-type]
    assert [each.message for each in found] == ["message"] * 3 + [str(file)] * 2 + ["message"]
    results = [
        [(finding.rule, finding.item, finding.outcome) for finding in each.findings if finding.topic != "x"]
        for each in found
    ]
    assert all(each == results[0] for each in results)


def test_a_message_object_is_audited_as_smtplib_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import smtplib

    from deliverability.api.given import message

    sent: list[bytes] = []
    client = smtplib.SMTP()
    monkeypatch.setattr(client, "ehlo_or_helo_if_needed", lambda: None)
    monkeypatch.setattr(client, "sendmail", lambda sender, to, octets, *options: sent.append(octets) or {})
    for each in (made(), message_from_bytes(SIGNED), message_from_bytes(SIGNED, policy=default)):
        client.send_message(each)
        assert message("message", each).data == sent.pop()
    assert audit(message=made(), resolver=WORLD, purpose=Purpose.USERS).domain == "example.com"


def test_paths_of_every_usual_type(tmp_path: Path) -> None:
    file = tmp_path / "example.com.zone"
    file.write_text(ZONE)

    class Where:
        def __fspath__(self) -> str:
            return str(file)

    for zones in (file, str(file), Where(), [file], (str(file),), {file}, iter([file]), tmp_path):
        assert audit("example.com", zones=zones, remedies=False).to_dict()["run"]["sources"] == ["zone"]
