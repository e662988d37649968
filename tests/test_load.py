"""Rule files that cannot be used are refused with file, line and a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.app import catalogue
from deliverability.judge.load import RuleError, load_rules

SOURCES = "rfc7208: {title: SPF, url: https://example.org/rfc7208, publisher: IETF, checked: '2026-11-24'}\n"
RULE = """\
- id: SPF-003
  name: spf-lookup-limit
  since: "0.1"
  severity: error
  level: MUST
  effort: medium
  confidence: high
  when: {fact: spf.present, eq: true}
  require: {fact: spf.lookups, le: $max_lookups}
  limits: {max_lookups: 10}
  sources: [{ref: rfc7208, section: "4.6.4"}]
  text:
    en: {title: T, met: "{spf.lookups}", unmet: "{spf.lookups} of {max_lookups}", why: W, fix: [one, two]}
    ja: {title: T, met: "{spf.lookups}", unmet: "{max_lookups} {spf.lookups}", why: W, fix: [一, 二]}
"""


def problems(folder: Path, rule: str = RULE, receiver: str = "") -> tuple[str, ...]:
    (folder / "sources.yaml").write_text(SOURCES, "utf-8")
    (folder / "spf.yaml").write_text(rule, "utf-8")
    if receiver:
        (folder / "receivers").mkdir()
        (folder / "receivers" / "r.yaml").write_text(receiver, "utf-8")
    try:
        load_rules([folder], catalogue())
    except RuleError as error:
        return error.problems
    return ()


def test_the_sample_rule_is_accepted(tmp_path: Path) -> None:
    """So that each refusal below is caused by its one change."""
    (tmp_path / "sources.yaml").write_text(SOURCES, "utf-8")
    (tmp_path / "spf.yaml").write_text(RULE, "utf-8")
    loaded = load_rules([tmp_path], catalogue())
    assert list(loaded.rules) == ["SPF-003"]
    assert loaded.rules["SPF-003"].topic == "spf"
    # spf.lookups may be absent; `when` guards spf.present only, so the author is told.
    assert "spf.lookups may be absent" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("fact: spf.lookups,", "fact: spf.lookup,", 9, "no fact 'spf.lookup'; did you mean spf.lookups?"),
        ("le: $max_lookups", "le: $max_lookup", 9, "no limit 'max_lookup'; did you mean max_lookups?"),
        ("le: $max_lookups", "lte: 10", 9, "no operator 'lte'; did you mean lt?"),
        ("max_lookups: 10", "max_lookups: ten", 9, "le compares numbers"),
        ("eq: true", 'eq: "true"', 8, "'true' is not a bool"),
        ("fact: spf.present, eq: true", 'fact: spf.all, eq: "!"', 8, "'!' is not one of +, -, ~, ?"),
        ("fact: spf.present, eq: true", "fact: item.bits, ge: 1", 8, "only there in a rule with each"),
        ("fact: spf.present, eq: true", "fact: dkim.keys, eq: 1", 8, "use exists or empty"),
        ("  level: MUST\n", "", 1, "level: Field required"),
        ("severity: error", "severity: fatal", 4, "severity"),
        ("severity: error", "severity: error\n  colour: red", 5, "colour: Extra inputs are not permitted"),
        ("ref: rfc7208", "ref: rfc7209", 11, "no source 'rfc7209' in sources.yaml; did you mean rfc7208?"),
        ("[一, 二]", "[一]", 14, "2 steps in English, 1 in Japanese"),
        ('unmet: "{max_lookups} {spf.lookups}"', 'unmet: "{max_lookups}"', 14, "different placeholders: spf.lookups"),
        ('"{spf.lookups} of {max', '"{spf.lookup} of {max', 13, "no fact 'spf.lookup'"),
        ("id: SPF-003", "id: SPF-3", 1, "id:"),
    ],
)
def test_refusals(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in RULE
    found = problems(tmp_path, RULE.replace(old, new))
    assert any(text.startswith(f"{tmp_path / 'spf.yaml'}:{line}: ") and words in text for text in found), found


def test_each_needs_a_list_of_records(tmp_path: Path) -> None:
    found = problems(tmp_path, RULE.replace("  require:", "  each: spf.includes\n  require:"))
    assert any("each needs a list of record" in text for text in found)


def test_a_field_of_an_item_is_checked(tmp_path: Path) -> None:
    rule = RULE.replace("  require: {fact: spf.lookups, le", "  each: dkim.keys\n  require: {fact: item.bit, le")
    assert any("dkim.keys has no field 'bit'; did you mean bits?" in text for text in problems(tmp_path, rule))


def test_the_same_id_twice_names_the_first_place(tmp_path: Path) -> None:
    assert any("already defined in" in text and "spf.yaml:1" in text for text in problems(tmp_path, RULE + RULE))


def test_a_receiver_may_only_name_rules_and_limits_that_exist(tmp_path: Path) -> None:
    receiver = """\
id: r
name: {en: R, ja: R}
sources: [{ref: rfc7208}]
rules:
  SPF-004: {severity: error, effect: reject, sources: [{ref: rfc7208}]}
  SPF-003: {severity: error, effect: reject, limits: {most: 5}, sources: [{ref: rfc7208}]}
"""
    found = problems(tmp_path, receiver=receiver)
    assert any(":5: no rule SPF-004; did you mean SPF-003?" in text for text in found), found
    assert any(":6: SPF-003 has no limit most" in text for text in found), found


def test_a_later_folder_replaces_rules_by_id(tmp_path: Path) -> None:
    for name, severity in (("shipped", "error"), ("own", "warning")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sources.yaml").write_text(SOURCES, "utf-8")
        (tmp_path / name / "spf.yaml").write_text(RULE.replace("severity: error", f"severity: {severity}"), "utf-8")
    loaded = load_rules([tmp_path / "shipped", tmp_path / "own"], catalogue())
    assert [rule.severity.value for rule in loaded.rules.values()] == ["warning"]


def test_an_empty_folder_and_broken_bytes_are_told(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no rule files"):
        load_rules([tmp_path], catalogue())
    (tmp_path / "spf.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match=r"spf\.yaml"):
        load_rules([tmp_path], catalogue())
