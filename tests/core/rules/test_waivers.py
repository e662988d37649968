"""Findings that the user accepts: they fail no run, stay visible, and come back when the time is over."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Finding, Outcome, Report, VerdictKind
from deliverability.core.model.rules import Severity
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Audited, make_report
from deliverability.engine.base import catalogue
from deliverability.engine.rules import exit_code, load_rules
from tests.facts_of import value_of

RULES = load_rules()


def lookups(number: Value, at_least: int) -> dict[str, Value]:
    item = {"domain": "example.com", "used": None, "present": True, "lookups": number, "lookups_at_least": at_least}
    return {"spf.identities": (item,)}


LOOKUPS = lookups(11, 11)


def report(facts: dict[str, Value], *waivers: dict[str, Value], select: tuple[str, ...] = ("SPF-003", "WAI")) -> Report:
    known = {**facts, "subject.domain": "example.com", "subject.waivers": waivers}
    made = FactSet({path: Fact(path, value_of(path, value)) for path, value in known.items()})
    return make_report(Audited(Subject("example.com"), made, "", ()), RULES, Selection(select=select))


def waiver(**more: Value) -> dict[str, Value]:
    plain: dict[str, Value] = {"rule": "SPF-003", "item": None, "reason": "accepted-risk", "note": None}
    return {**plain, "until": None, "expired": False, "used": None, **more}


def of(made: Report, rule: str) -> Finding:
    (finding,) = [each for each in made.findings if each.rule == rule]
    return finding


def test_a_waived_finding_stays_unmet_and_fails_no_run() -> None:
    assert exit_code(report(LOOKUPS), Severity.ERROR) == 1
    made = report(LOOKUPS, waiver(note="the provider is being changed"))
    finding = of(made, "SPF-003")
    assert finding.outcome is Outcome.UNMET
    assert finding.waiver is not None
    assert finding.waiver.note == "the provider is being changed"
    assert exit_code(made, Severity.ERROR) == 0
    assert of(made, "WAI-002").outcome is Outcome.MET


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("accepted-risk", VerdictKind.DNS_NOT_READY),
        ("handled-elsewhere", VerdictKind.CANNOT_TELL),
        ("not-applicable", VerdictKind.CANNOT_TELL),
        ("false-positive", VerdictKind.CANNOT_TELL),
    ],
)
def test_receivers_do_not_know_what_the_user_accepts(reason: str, kind: VerdictKind) -> None:
    """A risk that is accepted is still one; what the user sets aside is not judged, and never good news."""
    only = {ident: each for ident, each in RULES.rules.items() if ident.startswith(("SPF-003", "WAI"))}
    known = {
        **LOOKUPS,
        "spf.authorises_nobody": False,
        "subject.domain": "example.com",
        "subject.waivers": (waiver(reason=reason),),
    }
    facts = FactSet({path: Fact(path, value_of(path, value)) for path, value in known.items()})
    made = make_report(Audited(Subject("example.com"), facts, "", ()), replace(RULES, rules=only), Selection())
    assert made.assessment.grade == ("D" if kind is VerdictKind.DNS_NOT_READY else "")
    (gmail,) = [each for each in made.verdicts if each.receiver == "gmail"]
    assert gmail.verdict is kind


def test_one_that_ran_out_covers_nothing_and_is_a_finding() -> None:
    made = report(LOOKUPS, waiver(until="2026-01-01", expired=True))
    assert of(made, "SPF-003").waiver is None
    assert of(made, "WAI-001").outcome is Outcome.UNMET
    assert of(made, "WAI-002").outcome is Outcome.MET
    assert exit_code(made, Severity.ERROR) == 1


def test_one_that_covers_nothing_is_a_finding() -> None:
    made = report(lookups(9, 9), waiver())
    assert of(made, "WAI-002").outcome is Outcome.UNMET


def test_what_could_not_be_checked_leaves_it_open_whether_a_waiver_is_needed() -> None:
    made = report(lookups(Unknown(Reason.TIMEOUT), 1), waiver())
    unneeded = of(made, "WAI-002")
    assert unneeded.outcome is Outcome.UNKNOWN
    assert unneeded.unknown is not None
    assert unneeded.unknown.reason is Reason.TIMEOUT, "a look-up failed: nothing waits for the user"
    assert of(made, "SPF-003").waiver is None


def test_of_a_rule_that_was_not_judged_nothing_is_said() -> None:
    not_judged = report(LOOKUPS, waiver(rule="DKIM-001"))
    assert of(not_judged, "WAI-002").outcome is Outcome.NOT_APPLICABLE


def test_only_the_named_item() -> None:
    keys: Value = (
        {
            "domain": "example.com",
            "selector": "a",
            "found_by": "probe",
            "own": True,
            "present": True,
            "testing": True,
            "valid": True,
        },
        {
            "domain": "example.com",
            "selector": "b",
            "found_by": "probe",
            "own": True,
            "present": True,
            "testing": True,
            "valid": True,
        },
    )
    rule = next(
        each
        for each in RULES.rules.values()
        if each.each == "dkim.keys" and each.name == "dkim-published-key-not-testing"
    )
    made = report({"dkim.keys": keys}, waiver(rule=rule.id, item="example.com/a"), select=(rule.id, "WAI"))
    covered = {each.item: each.waiver is not None for each in made.findings if each.rule == rule.id}
    assert covered == {"example.com/a": True, "example.com/b": False}


def test_every_rule_of_the_catalogue_can_be_waived() -> None:
    assert catalogue()["subject.waivers"].key == ("rule", "item")


# --- From the settings file ---


def test_from_the_settings_file_to_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from click.testing import CliRunner

    from deliverability.cli import deliv

    monkeypatch.chdir(tmp_path)
    zone = "$ORIGIN a.example.\n@ 300 IN SOA n h 1 2 3 4 5\n@ 300 IN NS n\n"
    Path("a.zone").write_text(zone + '@ 300 IN TXT "v=spf1 +all"\n')
    asked = ["audit", "a.example", "--zone", "a.zone", "--select", "SPF", "--select", "WAI", "--format", "json"]

    def run() -> tuple[int, dict[str, str | None]]:
        done = CliRunner().invoke(deliv, asked)
        told = json.loads(done.output)
        unmet = [each for each in told["findings"] if each["outcome"] == "unmet" and each["severity"] == "error"]
        return done.exit_code, {each["rule"]: (each.get("waiver") or {}).get("reason") for each in unmet}

    code, unmet = run()
    assert code in (1, None) or unmet
    text = "".join(f'[[waiver]]\nrule = "{rule}"\nreason = "accepted-risk"\n' for rule in unmet)
    Path("deliv.toml").write_text(text)
    _, waived = run()
    assert waived == dict.fromkeys(unmet, "accepted-risk")
    Path("deliv.toml").write_text(text.replace('"accepted-risk"\n', '"accepted-risk"\ndomain = "other.example"\n'))
    assert run()[1] == dict.fromkeys(unmet)
