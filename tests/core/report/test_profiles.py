"""Profiles on the command line: sections, rows and JSON, and what they leave alone."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from deliverability.cli import deliv
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.report.formats.json import SCHEMA
from tests import ROOT

pytestmark = pytest.mark.long

ZONE = """$ORIGIN example.com.
@ 3600 IN SOA ns1 hostmaster 1 7200 3600 1209600 3600
@ IN NS ns1
@ IN MX 10 mx
mx IN A 192.0.2.1
@ IN TXT "v=spf1 mx -all"
_dmarc IN TXT "v=DMARC1; p=quarantine; rua=mailto:d@example.com"
"""


@pytest.fixture
def zone(tmp_path: Path) -> str:
    """The zone of example.com as a file."""
    path = tmp_path / "example.com.zone"
    path.write_text(ZONE)
    return str(path)


def audit(zone: str, *args: str) -> Result:
    """An audit of example.com."""
    return CliRunner().invoke(deliv, ["audit", "example.com", "--zone", zone, *args])


def test_a_profile_has_a_section_of_its_own_and_changes_nothing_else(zone: str) -> None:
    without, held = audit(zone), audit(zone, "--profile", "nz-sge")
    assert held.exit_code == without.exit_code
    assert held.output.splitlines()[-1] == without.output.splitlines()[-1]
    section = held.output[held.output.index("New Zealand Secure Government Email") :]
    assert "✗ dmarc-reject      not met: DMARC is set to p=reject" in section
    assert "DMARC policy: quarantine" in " ".join(section.split())
    assert "✓ spf-fail          met:" in section
    assert "? dkim              can't be checked from outside:" in section
    assert "(--eml FILE)" in " ".join(section.split())
    assert "This list is not part of any verdict or grade." in section


def test_it_speaks_japanese(zone: str) -> None:
    found = audit(zone, "--profile", "jp-dmarc-guide", "--lang", "ja").output
    assert "DMARC導入ガイドライン" in found
    assert "2.4 ポリシー" in found
    assert "適合：ポリシーをquarantineまたはrejectに強化すること" in "".join(found.split("\n"))


def test_an_unknown_profile_is_told_with_the_known_and_the_nearest(zone: str) -> None:
    wrong = audit(zone, "--profile", "nz-sg")
    assert wrong.exit_code == 2
    assert "--profile nz-sg: unknown profile. Known: apple-senders, " in wrong.output
    assert "did you mean nz-sge?" in wrong.output


def test_the_settings_name_profiles_and_the_option_wins(zone: str, tmp_path: Path) -> None:
    settings = tmp_path / "deliv.toml"
    settings.write_text('profiles = ["uk-gov"]\n')
    rows = list(csv.DictReader(io.StringIO(audit(zone, "--config", str(settings), "--format", "clauses").output)))
    assert {row["profile"] for row in rows} == {"uk-gov"}
    args = ("--config", str(settings), "--profile", "m3aawg", "--format", "clauses")
    assert {row["profile"] for row in csv.DictReader(io.StringIO(audit(zone, *args).output))} == {"m3aawg"}
    settings.write_text('profiles = ["uk-go"]\n')
    assert "profiles uk-go: unknown profile" in audit(zone, "--config", str(settings)).output


def test_auditors_get_a_row_for_each_clause_with_its_source(zone: str, tmp_path: Path) -> None:
    file = tmp_path / "evidence.clauses.csv"
    audit(zone, "--profile", "nz-sge", "-o", str(file))
    rows = {row["clause"]: row for row in csv.DictReader(io.StringIO(file.read_text("utf-8-sig")))}
    assert rows["dmarc-reject"]["state"] == "not-met"
    assert rows["dmarc-reject"]["found"] == 'dmarc.record_at_author=true; dmarc.policy="quarantine"'
    assert rows["dmarc-reject"]["read_as"] == "third party"
    assert rows["dmarc-alignment"]["state"] == "not-confirmed"
    assert len(rows) == 12


def test_the_json_report_has_the_profiles_and_keeps_to_its_schema(zone: str) -> None:
    report = json.loads(audit(zone, "--profile", "internet-nl", "--format", "json").output)
    jsonschema.validate(report, json.loads(SCHEMA.read_text("utf-8")))
    (profile,) = report["profiles"]
    states = {clause["clause"]: clause["state"] for clause in profile["clauses"]}
    assert states["auth-2"] == "met"
    assert states["auth-3"] == "not-met"
    assert "profiles" not in json.loads(audit(zone, "--format", "json").output)


def test_the_page_has_a_section_with_links_to_the_sources(zone: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    audit(zone, "--profile", "uk-gov", "-o", str(page))
    text = page.read_text()
    assert 'id="profile-uk-gov"' in text
    assert 'href="https://www.gov.uk/guidance/set-up-government-email-services-securely"' in text


def test_filters_do_not_change_a_profile(zone: str) -> None:
    def states(*args: str) -> object:
        report = json.loads(audit(zone, "--profile", "gmail-senders", "--format", "json", *args).output)
        return report["profiles"]

    assert states("--select", "SIZ", "--receiver", "icloud") == states()


def test_a_law_never_says_more_than_not_found_in_the_text(zone: str, tmp_path: Path) -> None:
    mail = tmp_path / "news.eml"
    mail.write_text(
        "From: news@example.com\nTo: a@example.net\nSubject: Sale\nList-Unsubscribe: <mailto:u@example.com>\n"
        "Date: Tue, 24 Nov 2026 09:00:00 +0000\nMessage-ID: <1@example.com>\n\n"
        + "Everything is half the price this week, in every shop of ours and for everybody.\n"
    )
    found = audit(zone, "--eml", str(mail), "--profile", "law-us-can-spam").output
    flat = " ".join(found.split())
    assert "– (a)(5) address not found in the text: Valid physical postal address" in flat
    assert "This is not legal advice" in flat
    assert not any(word in flat.lower() for word in ("illegal", "violation", "unlawful", "compliant"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_fact_that_a_clause_rests_on_has_a_name(lang: str) -> None:
    say = phrases(lang)
    paths = {
        path
        for file in (ROOT / "rules" / "profiles").glob("*.yaml")
        for path in re.findall(r"fact: ([a-z_]+\.\w+)", file.read_text("utf-8"))
        if not path.startswith("item.")
    }
    assert len(paths) > 60
    assert {path for path in paths if f"fact.{path}" not in say and f"profiles.fact-name.{path}" not in say} == set()
