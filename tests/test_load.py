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


RECEIVER = """\
id: {ident}
name: {{en: {ident}, ja: {ident}}}
sources: [{{ref: rfc7208}}]
rules:
  {key}: {{severity: {severity}, effect: {effect}, sources: [{{ref: rfc7208}}]{more}}}
"""
ALL = "id: all\nname: {en: All, ja: 全部}\ncombines: COMBINES\nnote: {en: 'Hardest: {receivers}.', ja: '{receivers}'}\n"


def receiver(ident: str, key: str = "SPF-003", severity: str = "error", effect: str = "risk", more: str = "") -> str:
    return RECEIVER.format(ident=ident, key=key, severity=severity, effect=effect, more=more)


def folder_of(folder: Path, rule: str = RULE, **receivers: str) -> Path:
    """A folder of rules whose receiver files are named and filled as given."""
    (folder / "receivers").mkdir(parents=True)
    (folder / "sources.yaml").write_text(SOURCES, "utf-8")
    (folder / "spf.yaml").write_text(rule, "utf-8")
    for name, text in receivers.items():
        (folder / "receivers" / f"{name}.yaml").write_text(text, "utf-8")
    return folder


def refused(*folders: Path) -> str:
    with pytest.raises(RuleError) as caught:
        load_rules(folders, catalogue())
    return "\n".join(caught.value.problems)


def test_one_statement_may_be_for_several_rules(tmp_path: Path) -> None:
    second = RULE.replace("SPF-003", "SPF-004").replace("spf-lookup-limit", "spf-other")
    loaded = load_rules([folder_of(tmp_path, RULE + second, r=receiver("r", "SPF-003, SPF-004"))], catalogue())
    assert set(loaded.receivers["r"].rules) == {"SPF-003", "SPF-004"}


def test_a_rule_that_is_stated_twice_or_misspelt_is_told_with_its_line(tmp_path: Path) -> None:
    twice = receiver("r", "SPF-003, SPF-03") + "  SPF-003: {severity: info, effect: note, sources: [{ref: rfc7208}]}\n"
    told = refused(folder_of(tmp_path, r=twice))
    assert ":5: no rule SPF-03; did you mean SPF-003?" in told
    assert ":6: SPF-003 is there twice" in told


def test_a_combination_takes_the_hardest_of_each_reading(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        mild=receiver("mild", severity="warning", effect="note", more=", limits: {max_lookups: 5}, codes: ['1']"),
        hard=receiver("hard", effect="reject", more=", volume: bulk, codes: ['2'], since: '2024-02-01'"),
        whole=ALL.replace("COMBINES", "all"),
    )
    loaded = load_rules([folder], catalogue())
    assert list(loaded.receivers) == ["hard", "mild", "all"], "combinations come last"
    assert loaded.providers == ("hard", "mild")
    whole = loaded.receivers["all"]
    override = whole.rules["SPF-003"]
    assert whole.combines == ("hard", "mild")
    assert (override.severity.value, override.effect.value, override.volume.value) == ("error", "reject", "any")
    assert override.limits == {"max_lookups": 5}, "fewer lookups are the tighter limit"
    assert override.codes == ("2", "1")
    assert override.since == "2024-02-01"
    assert override.note == {"en": "Hardest: hard.", "ja": "hard"}


def test_where_more_is_asked_the_greater_limit_is_the_tighter_one(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        RULE.replace("le: $max_lookups", "ge: $max_lookups"),
        a=receiver("a", more=", limits: {max_lookups: 5}"),
        b=receiver("b", more=", limits: {max_lookups: 12}"),
        whole=ALL.replace("COMBINES", "[a, b]"),
    )
    assert load_rules([folder], catalogue()).receivers["all"].rules["SPF-003"].limits == {"max_lookups": 12}


def test_a_member_without_a_statement_reads_the_rule_as_it_stands(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        mild=receiver("mild", severity="info", effect="note", more=", limits: {max_lookups: 20}"),
        silent=receiver("silent").split("rules:")[0] + "rules: {}\n",
        whole=ALL.replace("COMBINES", "all"),
    )
    override = load_rules([folder], catalogue()).receivers["all"].rules["SPF-003"]
    assert (override.severity.value, override.effect.value) == ("error", "risk")
    assert override.limits == {"max_lookups": 10}


def test_limits_of_which_none_is_tighter_are_refused(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        RULE.replace("le: $max_lookups", "ne: $max_lookups"),
        a=receiver("a", more=", limits: {max_lookups: 5}"),
        b=receiver("b"),
        whole=ALL.replace("COMBINES", "all"),
    )
    assert "whole.yaml:3: SPF-003: cannot tell which max_lookups is the tightest of 5, 10" in refused(folder)


def test_a_users_folder_may_add_a_receiver_to_what_is_combined(tmp_path: Path) -> None:
    shipped = folder_of(tmp_path / "shipped", a=receiver("a"), whole=ALL.replace("COMBINES", "all"))
    own = tmp_path / "own" / "receivers"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(receiver("mine", effect="reject"), "utf-8")
    (own / "two.yaml").write_text(ALL.replace("COMBINES", "[mine]").replace("id: all", "id: two"), "utf-8")
    loaded = load_rules([shipped, own.parent], catalogue())
    assert loaded.receivers["all"].combines == ("a", "mine")
    assert loaded.receivers["all"].rules["SPF-003"].effect.value == "reject"
    assert loaded.receivers["two"].combines == ("mine",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALL.replace("COMBINES", "[b]"), "whole.yaml:3: all combines b: no such receiver"),
        (ALL.replace("COMBINES", "[all]"), "all combines all: it combines others itself"),
        (ALL.replace("COMBINES", "[]"), "combines names receivers, or is all"),
        (ALL.replace("COMBINES", "all\nbulk_from: 5"), "combines takes bulk_from from the receivers that it names"),
        ("id: all\nname: {en: All, ja: 全部}\n", "a receiver has sources and rules, or combines others"),
        (receiver("all").replace("[{ref: rfc7208}]\nrules", "[]\nrules"), "a receiver has at least one"),
        (receiver("all") + "note: {en: A, ja: B}\n", "note is for receivers that combine others"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(folder_of(tmp_path, a=receiver("a"), whole=text))
