"""`deliv fix` from the command line: records, forms, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import deliverability.demo
from deliverability.cli import deliv
from deliverability.words.sentences import phrases

DEMO = Path(deliverability.demo.__file__).parent
FINE = """$ORIGIN example.com.
$TTL 3600
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
@ IN NS ns
ns IN A 192.0.2.1
@ IN TXT "v=spf1 -all"
@ IN MX 0 .
_dmarc IN TXT "v=DMARC1; p=reject"
"""


def fix(*args: str) -> Result:
    return CliRunner().invoke(deliv, ["fix", *args], standalone_mode=False)


def demo(*args: str) -> Result:
    where = ("--zone", str(DEMO / "example.zone"), "--eml", str(DEMO / "newsletter.eml"))
    return fix("sakura-shop.example", *where, "--purpose", "bulk", *args)


def test_text_names_the_record_what_it_replaces_and_what_it_changes() -> None:
    result = demo()
    assert result.return_value == 0
    assert "  sakura-shop.example TXT\n" in result.output
    assert "\n    - v=spf1 a mx include:_spf.mailer.example" in result.output
    assert "\n    + v=spf1 a mx include:_spf.mailer.example" in result.output
    assert "SPF lookups: 11 → 10" in result.output
    assert "removed: include:_spf.oldvendor.example" in result.output
    assert "deliv rules " in result.output
    assert "deliv dkim-keygen sakura-shop.example" in result.output  # its key has 1024 bits


def test_json_is_the_plan_of_the_report_with_the_same_numbers() -> None:
    fixed = json.loads(demo("--format", "json").output)
    where = ("--zone", str(DEMO / "example.zone"), "--eml", str(DEMO / "newsletter.eml"), "--purpose", "bulk")
    result = CliRunner().invoke(
        deliv, ["audit", "sakura-shop.example", *where, "--format", "json"], standalone_mode=False
    )
    plan = json.loads(result.output)["answer"]["plan"]
    assert [{key: each[key] for key in step} for each, step in zip(fixed["plan"], plan, strict=True)] == plan
    assert all(each["what"] and each["where"] for each in fixed["plan"])
    assert {each["task"] is None for each in fixed["plan"]} == {True, False}


def test_json_has_one_final_record_a_name_and_it_settles_all_of_its_steps() -> None:
    fixed = json.loads(demo("--format", "json").output)
    names = [(each["name"], each["type"]) for each in fixed["records"]]
    assert len(names) == len(set(names))
    assert any(len(each["steps"]) > 1 for each in fixed["records"])
    own = [each for each in fixed["records"] if each["name"].endswith("sakura-shop.example")]
    proposals = [f"{each['name']} {each['type']} {value}" for each in own for value in each["values"]]
    where = ("--zone", str(DEMO / "example.zone"), "--eml", str(DEMO / "newsletter.eml"), "--purpose", "bulk")
    result = CliRunner().invoke(
        deliv,
        ["audit", "sakura-shop.example", *where, "--no-remedies", "--format", "json"]
        + [part for each in proposals for part in ("--with", each)],
        standalone_mode=False,
    )
    still = {(f["rule"], f["item"]) for f in json.loads(result.output)["findings"] if f["outcome"] == "unmet"}
    settled = [(each["rule"], each["item"]) for step in fixed["plan"] if step["edits"] for each in step["settles"]]
    assert settled
    assert still.isdisjoint(settled)


def test_json_leaves_out_what_needs_more_care_and_keeps_the_numbers() -> None:
    every, safe = (json.loads(demo("--format", "json", *more).output)["plan"] for more in ((), ("--care", "safe")))
    assert {each["care"] for each in safe} == {"safe"}
    assert safe == [each for each in every if each["number"] in {one["number"] for one in safe}]
    assert 0 < len(safe) < len(every)


def test_japanese() -> None:
    result = demo("--lang", "ja")
    assert phrases("ja")("fix.by-hand") in result.output
    assert "11 → 10" in result.output


def test_what_needs_care_is_left_out_of_what_is_made_to_be_applied() -> None:
    safe, all_ = demo("--format", "zone").output, demo("--format", "zone", "--care", "last-resort").output
    assert "_mta-sts.sakura-shop.example. 3600" not in safe
    assert "; " + phrases("en")("fix.left-out", title="").strip() in safe
    assert "_mta-sts.sakura-shop.example. 3600" in all_
    assert safe.count("\nsakura-shop.example. 3600 IN TXT") == 1


@pytest.mark.parametrize("style", ["zone", "terraform", "route53", "cloudflare"])
def test_every_form_names_every_safe_record(style: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert demo("--format", style, "-o", str(out)).output == ""
    text = out.read_text("utf-8")
    for name in ("sakura-shop.example", "_dmarc.sakura-shop.example", "_smtp._tls.sakura-shop.example"):
        assert name in text


def test_nothing_to_fix(tmp_path: Path) -> None:
    (tmp_path / "example.com.zone").write_text(FINE)
    result = fix("example.com", "--zone", str(tmp_path), "--purpose", "parked")
    assert result.return_value == 0
    say = phrases("en")
    assert any(say(f"fix.{key}") in result.output for key in ("nothing", "nothing-incomplete", "none"))
    args = ("example.com", "--zone", str(tmp_path), "--purpose", "parked", "--format", "json")
    assert json.loads(fix(*args).output)["records"] == []


def test_a_failed_look_up_is_told_by_the_exit_code() -> None:
    assert fix("example.com", "--offline").return_value == 3


def test_findings_only() -> None:
    where = ("--zone", str(DEMO / "example.zone"))
    args = ["audit", "sakura-shop.example", *where, "--format", "json"]
    runner = CliRunner()
    plain = json.loads(runner.invoke(deliv, [*args, "--no-remedies"], standalone_mode=False).output)
    full = json.loads(runner.invoke(deliv, args, standalone_mode=False).output)
    assert plain["findings"] == full["findings"]
    assert not plain.get("remedies")
    assert full["remedies"]
