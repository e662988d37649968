"""`deliv fix` from the command line: records, forms, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import deliverability.demo
from deliverability.cli import deliv
from deliverability.console.options import RefusedError
from deliverability.core.phrases import phrases
from tests import TESTS

pytestmark = pytest.mark.long

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


def audited(*args: str) -> str:
    where = ("--zone", str(DEMO / "example.zone"), "--eml", str(DEMO / "newsletter.eml"), "--purpose", "bulk")
    return CliRunner().invoke(deliv, ["audit", "sakura-shop.example", *where, *args], standalone_mode=False).output


def steps_in(text: str) -> dict[int, str]:
    """Number -> first line of every step."""
    return {int(match[1]): match[2] for match in re.finditer(r"^(\d+) +(\S.*)$", text, re.MULTILINE)}


def test_the_plan_says_how_a_record_is_entered_at_the_dns_provider() -> None:
    assert "Most DNS consoles add sakura-shop.example to the name automatically" in " ".join(demo().output.split())
    text = " ".join(demo("--dns-provider", "cloudflare").output.split())
    assert "Where: at your DNS provider, Cloudflare." in text
    assert "Most DNS consoles" not in text
    steps = json.loads(demo("--dns-provider", "cloudflare", "--format", "json").output)["plan"]
    entries = [step["entry"] for step in steps if step["edits"]]
    assert entries[0][0] == "In the console: Cloudflare dashboard → the domain → DNS → Records → Add record."
    assert all(any("Field Name" in each for each in entry) for entry in entries)


def test_an_unknown_dns_provider_is_refused_with_those_that_are_known() -> None:
    refused = demo("--dns-provider", "nobody").exception
    assert isinstance(refused, RefusedError)
    assert "No DNS provider is called 'nobody'; known: onamae, muumuu, xserver" in refused.message


def test_text_names_the_record_what_it_replaces_and_what_it_changes() -> None:
    result = demo()
    assert result.return_value == 0
    assert "   sakura-shop.example TXT\n" in result.output
    assert "\n   - v=spf1 a mx include:_spf.mailer.example" in result.output
    assert "\n   + v=spf1 a mx include:_spf.mailer.example" in result.output
    assert "SPF lookups: 11 → 10" in result.output
    assert "removed: include:_spf.oldvendor.example" in result.output
    assert "deliv dkim-keygen sakura-shop.example" in result.output  # its key has 1024 bits


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_step_of_the_report_has_the_same_number_and_words(lang: str) -> None:
    fixed = steps_in(demo("--lang", lang).output)
    shown = {number: words for number, words in steps_in(audited("--lang", lang)).items() if words in fixed.values()}
    whole = steps_in(audited("--lang", lang, "--all").split(phrases(lang)("guide-table.heading"))[0])
    assert list(fixed) == list(range(1, len(fixed) + 1)), "all of them, in order"
    assert len(shown) >= 3
    assert shown.items() <= fixed.items()
    assert whole == fixed


def test_no_step_or_sentence_stands_twice() -> None:
    lines = [line.strip() for line in demo().output.splitlines() if len(line.strip()) > 60 and "=" not in line]
    care = phrases("en")("care.careful-hint")
    lines = [line for line in lines if not line.startswith(("At your", "In the message", "Caution"))]
    lines = [line for line in lines if line not in care]
    assert len(lines) == len(set(lines))


def test_the_text_to_hand_over_names_the_step() -> None:
    result = demo("--hand-over", "1")
    assert result.return_value == 0
    assert "sakura-shop.example" in result.output
    assert "deliv audit sakura-shop.example" in result.output
    assert len(result.output.splitlines()) <= 15
    assert demo("--hand-over", "1", "--lang", "ja").output != result.output


def test_the_text_to_hand_over_has_both_records_and_how_to_verify_without_deliv() -> None:
    replaced, published, *others = demo("--hand-over", "3").output.splitlines()[1:]
    assert replaced.startswith("Replace: sakura-shop.example TXT v=spf1 ")
    assert replaced.endswith(" include:_spf.oldvendor.example ?all")
    assert published == replaced.replace("Replace: ", "With: ").replace(" include:_spf.oldvendor.example", "")
    assert "To verify: dig +short TXT sakura-shop.example" in others


def test_without_a_record_the_text_to_hand_over_says_how() -> None:
    zone, mail = (str(TESTS / "golden" / name) for name in ("broken.zone", "broken.eml"))
    first, how, why, _ = fix("broken.example", "--zone", zone, "--eml", mail, "--hand-over", "13").output.splitlines()
    change = "Replace the ptr mechanism in broken.example's SPF record"
    assert first == f"Please make this change for broken.example: {change}."
    assert how.startswith("How: Remove the `ptr` mechanism, and list the sending hosts")
    assert why.startswith("Why: broken.example's SPF record")


def test_a_file_to_publish_is_in_the_text_and_nothing_depends_on_what_is_not_there_yet() -> None:
    number = next(number for number, words in steps_in(demo().output).items() if words.startswith("Set up MTA-STS"))
    lines = demo("--hand-over", str(number)).output.splitlines()
    assert lines[1].startswith("How: First publish the policy file at https://mta-sts.sakura-shop.example/")
    assert lines[2] == "Content of the file:"
    assert lines[3:7] == ["version: STSv1", "mode: testing", "mx: mx.sakura-shop.example", "max_age: 86400"]
    assert lines[7].startswith("Publish: _mta-sts.sakura-shop.example TXT v=STSv1; id=")
    step = " ".join(demo().output.split(" Set up MTA-STS")[1].split())
    assert phrases("en")("care.careful-new-hint") in step
    assert "current setting" not in step


def test_a_header_is_asked_for_with_all_that_is_wrong_with_it() -> None:
    number = next(number for number, words in steps_in(demo().output).items() if words.startswith("Add one-click"))
    why = next(line for line in demo("--hand-over", str(number)).output.splitlines() if line.startswith("Why: "))
    assert "The message has no List-Unsubscribe-Post field." in why
    assert "List-Unsubscribe has no https URL." in why


def test_others_are_asked_for_the_change_without_the_condition_that_only_the_reader_knows() -> None:
    zone, mail = (str(TESTS / "golden" / name) for name in ("good.zone", "good.eml"))
    arguments = ("good.example", "--zone", zone, "--eml", mail, "--purpose", "bulk")
    step = next(
        number for number, words in steps_in(fix(*arguments).output).items() if "change the DMARC policy" in words
    )
    asked = fix(*arguments, "--hand-over", str(step)).output.splitlines()[0]
    assert asked == "Please make this change for good.example: Change p in the DMARC record to reject."


def test_what_to_make_sure_of_is_that_of_the_record() -> None:
    text = " ".join(demo().output.split())
    assert phrases("en")("care.careful-spf-hint") in text.split("End the SPF record with ~all")[1]


def test_a_repeated_from_field_is_fixed_by_one_step() -> None:
    zone, mail = (str(TESTS / "golden" / name) for name in ("broken.zone", "broken.eml"))
    output = fix("broken.example", "--zone", zone, "--eml", mail).output
    about_from = [words for words in steps_in(output).values() if "From" in words]
    assert about_from == ["Remove duplicate From fields"]
    assert "also fixes 1 other finding" in output.split(about_from[0])[1].split("Add a valid Message-ID")[0]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_where_a_condition_says_what_comes_first_the_caution_says_what_to_watch(lang: str) -> None:
    """The record without ptr lacks the terms that are to take its place; only the reader knows them."""
    say, zone = phrases(lang), str(TESTS / "golden" / "broken.zone")
    output = fix("broken.example", "--zone", zone, "--lang", lang).output
    step = "".join(
        output.split(say("remedies.spf-drop-ptr.title", terms="ptr").rstrip(".。"))[1].split("\n\n")[0].split()
    )
    assert "".join(say("remedies.spf-drop-ptr.condition").split()) in step
    assert "".join(say("care.then").split()) in step
    assert "".join(say("care.careful-spf-hint").split()) not in step


def test_a_step_by_hand_names_the_step_that_edits_the_same_record_before_it() -> None:
    zone, mail = (str(TESTS / "golden" / name) for name in ("broken.zone", "broken.eml"))
    text = " ".join(fix("broken.example", "--zone", zone, "--eml", mail).output.split())
    by_hand = text.split("Reduce the DNS lookups in broken.example's SPF record")[1]
    assert "First do step 4 (same record)." in by_hand[:900].replace("\u00a0", " ")


def test_a_step_that_edits_a_record_again_names_the_step_before() -> None:
    zone = str(TESTS / "golden" / "broken.zone")
    text = " ".join(fix("broken.example", "--zone", zone).output.split())
    last = text.split("4 End the SPF record with ~all")[1].split("5 ")[0]
    assert "First do step 2 (same record)." in last.replace("\u00a0", " ")


def test_what_only_a_message_shows_is_verified_with_a_new_one() -> None:
    """A DKIM signature isn't in DNS; a record is, whether a message was audited or not."""
    assert (
        demo("--hand-over", "1").output.splitlines()[-1].endswith("deliv audit sakura-shop.example --eml message.eml")
    )
    assert demo("--hand-over", "3").output.splitlines()[-1] == "To verify: deliv audit sakura-shop.example"


@pytest.mark.parametrize(
    ("number", "words"), [("99", "no such step; the plan has steps 1 to"), ("2", "changes your own settings")]
)
def test_a_step_that_nobody_else_has_to_do_has_no_such_text(number: str, words: str) -> None:
    assert words in str(demo("--hand-over", number).exception)


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
    assert "有効なSPFレコードがない参照先を削除" in result.output
    assert "11 → 10" in result.output


def test_what_is_left_out_of_what_is_made_to_be_applied_is_told_beside_it() -> None:
    safe, all_ = demo("--format", "zone"), demo("--format", "zone", "--care", "last-resort")
    assert "_mta-sts.sakura-shop.example. 3600" not in safe.stdout
    assert "_mta-sts.sakura-shop.example. 3600" in all_.stdout
    assert safe.stdout.count("\nsakura-shop.example. 3600 IN TXT") == 1
    assert re.search(r"left out .*\(no record\); .*\(needs care: --care\)", safe.stderr)
    assert "needs care" not in all_.stderr
    plan = json.loads(demo("--format", "json").stdout)["plan"]
    told = {int(number) for number in re.findall(r"\d+", safe.stderr)}
    written = {int(number) for number in re.findall(r"^; (\d+) ", safe.stdout, re.MULTILINE)}
    assert told | written == {each["number"] for each in plan}
    assert told.isdisjoint(written)


@pytest.mark.parametrize("style", ["zone", "terraform", "route53", "cloudflare"])
def test_every_form_names_every_safe_record(style: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert demo("--format", style, "-o", str(out)).stdout == ""
    text = out.read_text("utf-8")
    for name in ("sakura-shop.example", "_dmarc.sakura-shop.example", "_smtp._tls.sakura-shop.example"):
        assert name in text


def test_nothing_to_fix(tmp_path: Path) -> None:
    (tmp_path / "example.com.zone").write_text(FINE)
    result = fix("example.com", "--zone", str(tmp_path), "--purpose", "parked")
    assert result.return_value == 0
    say = phrases("en")
    assert any(say(key) in result.output for key in ("plan.none", "fix.nothing-incomplete"))
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
