"""Rule files that cannot be used are refused with file, line and a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.core.model.rules import Compare, Op
from deliverability.core.phrases import detail_words, phrases
from deliverability.core.rules.load import load_rules
from deliverability.core.rules.problems import RuleError
from deliverability.engine.base import catalogue
from deliverability.engine.remedies.records import REMEDIES

SOURCES = """\
rfc7208:
  {title: SPF, url: "https://example.org/7208", publisher: IETF, checked: "2026-11-24", read_as: original}
"""
RULE = """\
- id: SPF-003
  name: spf-lookup-limit
  since: "0.1"
  scope: delivery
  severity: error
  level: MUST
  effort: medium
  confidence: high
  when: {fact: spf.present, eq: true}
  require: {fact: spf.lookups, le: $max_lookups}
  limits: {max_lookups: 10}
  sources: [{ref: rfc7208, section: "4.6.4"}]
  text:
    en: {title: T, short: s, noun: n, met: M, unmet: "{spf.lookups} of {max_lookups}", why: W, fix: [one, two]}
    ja: {title: T, short: s, noun: n, met: M, unmet: "{max_lookups} {spf.lookups}", why: W, fix: [一, 二]}
"""


CASES_EN = '"{spf.lookups} of {max_lookups}"'


def problems(folder: Path, rule: str = RULE, receiver: str = "") -> tuple[str, ...]:
    (folder / "sources.yaml").write_text(SOURCES, "utf-8")
    (folder / "spf.yaml").write_text(rule, "utf-8")
    if receiver:
        (folder / "receivers").mkdir()
        (folder / "receivers" / "r.yaml").write_text(receiver, "utf-8")
    try:
        load_rules([folder], catalogue(), REMEDIES)
    except RuleError as error:
        return tuple(str(error).splitlines())
    return ()


def test_the_sample_rule_is_accepted(tmp_path: Path) -> None:
    """So that each refusal below is caused by its one change."""
    (tmp_path / "sources.yaml").write_text(SOURCES, "utf-8")
    (tmp_path / "spf.yaml").write_text(RULE, "utf-8")
    loaded = load_rules([tmp_path], catalogue(), REMEDIES)
    assert list(loaded.rules) == ["SPF-003"]
    assert loaded.rules["SPF-003"].topic == "spf"
    # spf.lookups may be absent; `when` guards spf.present only, so the author is told.
    assert "spf.lookups may be absent" in detail_words(loaded.warnings[0], phrases("en"))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("fact: spf.lookups,", "fact: spf.lookup,", 10, "no fact 'spf.lookup'; did you mean spf.lookups?"),
        ("le: $max_lookups", "le: $max_lookup", 10, "no limit 'max_lookup'; did you mean max_lookups?"),
        ("le: $max_lookups", "lte: 10", 10, "no operator 'lte'; did you mean lt?"),
        ("max_lookups: 10", "max_lookups: ten", 10, "le compares numbers"),
        ("eq: true", 'eq: "true"', 9, "'true' is not a bool"),
        ("fact: spf.present, eq: true", 'fact: spf.all, eq: "!"', 9, "'!' is not one of +, -, ~, ?"),
        ("fact: spf.present, eq: true", "fact: item.bits, ge: 1", 9, "available only in a rule with each"),
        ("fact: spf.present, eq: true", "fact: dkim.keys, eq: 1", 9, "use exists or empty"),
        ("  level: MUST\n", "", 1, "level is missing"),
        ("severity: error", "severity: fatal", 5, "severity"),
        ("scope: delivery", "scope: hygiene", 5, "only for delivery and security, not for hygiene"),
        ("scope: delivery", "scope: everything", 4, "scope"),
        ("  scope: delivery\n", "", 1, "scope is missing"),
        (
            "severity: error",
            "severity: error\n  remedy: spf-drop-ded",
            6,
            "no remedy 'spf-drop-ded'; did you mean spf-drop-dead?",
        ),
        ("severity: error", "severity: error\n  task: new-kee", 6, "no task 'new-kee'"),
        ("severity: error", "severity: error\n  service: signs", 6, "service: 'signs' is not one of sign, "),
        ("severity: error", "severity: error\n  colour: red", 6, "colour: unknown field"),
        ("ref: rfc7208", "ref: rfc7209", 12, "no source 'rfc7209' in sources.yaml; did you mean rfc7208?"),
        ("[一, 二]", "[一]", 15, "2 steps in English, 1 in Japanese"),
        ("[一, 二]", "[一, {when: {fact: spf.all, exists: true}, text: 二}]", 15, "distinguish different cases"),
        ("[one, two]", "[one, {when: {fact: spf.al, exists: true}, text: two}]", 14, "did you mean spf.all?"),
        ('unmet: "{max_lookups} {spf.lookups}"', 'unmet: "{max_lookups}"', 15, "different placeholders: spf.lookups"),
        ('"{spf.lookups} of {max', '"{spf.lookup} of {max', 14, "no fact 'spf.lookup'"),
        ("id: SPF-003", "id: SPF-3", 1, "id:"),
        ("en: {title: T, short: s,", "en: {title: T,", 14, "short is missing"),
        ('noun: n, met: M, unmet: "{spf', 'met: M, unmet: "{spf', 14, "noun is missing"),
        (
            "en: {title: T, short: s",
            f"en: {{title: T, short: {'s' * 61}",
            14,
            "61 columns wide without its values; at most 60",
        ),
        (
            "ja: {title: T, short: s",
            f"ja: {{title: T, short: {'長' * 31}",
            15,
            "62 columns wide without its values; at most 60",
        ),
        ("short: s, noun: n", f"short: s, noun: {'n' * 31}", 14, "31 columns wide without its values; at most 30"),
        ("short: s, noun: n", "short: s., noun: n", 14, "it must not end with a period or bracket"),
        (
            "ja: {title: T, short: s",
            "ja: {title: T, short: 長い（鍵）",
            15,
            "it must not end with a period or bracket",
        ),
        ("ja: {title: T, short: s", 'ja: {title: T, short: "{max_lookups}"', 15, "different placeholders: max_lookups"),
        ("short: s, noun: n", 'short: s, noun: "{spf.all}"', 14, "so it must not show a fact"),
        (CASES_EN, "[]", 14, "unmet: something is missing here"),
        (CASES_EN, "[{text: a}, {text: b}]", 14, "which covers all other cases, needs a when"),
        (CASES_EN, "[{when: {fact: spf.all, eq: x}, text: a}]", 14, "which covers all other cases, needs a when"),
        (CASES_EN, "[{when: {fact: spf.al, exists: true}, text: a}, {text: b}]", 14, "did you mean spf.all?"),
        (CASES_EN, "[{when: {fact: spf.all, exists: true}, text: a}, {text: b}]", 15, "distinguish different cases"),
        ("short: s, noun", "short: [{text: a}, {text: b}], noun", 14, "which covers all other cases, needs a when"),
    ],
)
def test_refusals(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in RULE
    found = problems(tmp_path, RULE.replace(old, new))
    assert any(text.startswith(f"{tmp_path / 'spf.yaml'}:{line}: ") and words in text for text in found), found


@pytest.mark.parametrize(
    ("read_as", "taken"),
    [
        ("original", True),
        ("archive 2026-06-15", True),
        ("archive 2026", True),
        ("archive undated", True),
        ("draft ietf-x-01", True),
        ("third party", True),
        ("not re-read", True),
        ("archive", False),
        ("archive of the page of 2026-06-15", False),
        ("yesterday", False),
    ],
)
def test_a_source_says_how_it_was_read(tmp_path: Path, read_as: str, taken: bool) -> None:
    (tmp_path / "sources.yaml").write_text(SOURCES.replace("read_as: original", f"read_as: {read_as}"), "utf-8")
    (tmp_path / "spf.yaml").write_text(RULE, "utf-8")
    if taken:
        assert load_rules([tmp_path], catalogue(), REMEDIES).sources["rfc7208"].read_as == read_as
    else:
        assert "read_as" in refused(tmp_path)


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
    loaded = load_rules([tmp_path / "shipped", tmp_path / "own"], catalogue(), REMEDIES)
    assert [rule.severity.value for rule in loaded.rules.values()] == ["warning"]


def test_an_empty_folder_and_broken_bytes_are_told(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no rule files"):
        load_rules([tmp_path], catalogue(), REMEDIES)
    (tmp_path / "spf.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match=r"spf\.yaml"):
        load_rules([tmp_path], catalogue(), REMEDIES)


RECEIVER = """\
id: {ident}
name: {{en: {ident}, ja: {ident}}}
sources: [{{ref: rfc7208}}]
rules:
  {key}: {{severity: {severity}, effect: {effect}, sources: [{{ref: rfc7208}}]{more}}}
"""
ALL = "id: all\nname: {en: All, ja: 全部}\ncombines: COMBINES\n"


def receiver(ident: str, key: str = "SPF-003", severity: str = "error", effect: str = "spam", more: str = "") -> str:
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
        load_rules(folders, catalogue(), REMEDIES)
    return str(caught.value)


def test_one_statement_may_be_for_several_rules(tmp_path: Path) -> None:
    second = RULE.replace("SPF-003", "SPF-004").replace("spf-lookup-limit", "spf-other")
    loaded = load_rules(
        [folder_of(tmp_path, RULE + second, r=receiver("r", "SPF-003, SPF-004"))], catalogue(), REMEDIES
    )
    assert set(loaded.receivers["r"].rules) == {"SPF-003", "SPF-004"}


def test_a_rule_that_is_stated_twice_or_misspelt_is_told_with_its_line(tmp_path: Path) -> None:
    twice = receiver("r", "SPF-003, SPF-03") + "  SPF-003: {severity: info, effect: note, sources: [{ref: rfc7208}]}\n"
    told = refused(folder_of(tmp_path, r=twice))
    assert ":5: no rule SPF-03; did you mean SPF-003?" in told
    assert ":6: SPF-003 appears twice" in told


def test_a_rule_may_have_several_statements_and_each_keeps_its_condition(tmp_path: Path) -> None:
    several = """\
id: r
name: {en: R, ja: R}
sources: [{ref: rfc7208}]
rules:
  SPF-003:
    - {severity: warning, effect: note, when: {fact: message.indirect, eq: true}, sources: [{ref: rfc7208}]}
    - {severity: error, effect: reject, volume: bulk, limits: {max_lookups: 5}, sources: [{ref: rfc7208}]}
    - {severity: error, effect: reject, contested: true, sources: [{ref: rfc7208}]}
"""
    said = load_rules([folder_of(tmp_path, r=several)], catalogue(), REMEDIES).receivers["r"].rules["SPF-003"]
    assert [(each.effect.value, each.volume.value, each.contested) for each in said] == [
        ("note", "any", False),
        ("reject", "bulk", False),
        ("reject", "any", True),
    ]
    assert [each.when for each in said] == [Compare("message.indirect", Op.EQ, True), None, None]
    assert [each.limits for each in said] == [{}, {"max_lookups": 5}, {}]


def test_a_statement_carries_the_words_that_it_rests_on(tmp_path: Path) -> None:
    text = receiver("r").replace(
        "effect: spam", 'effect: spam, contested: true, word: secondary, quote: "They send it to the spam folder."'
    )
    (said,) = load_rules([folder_of(tmp_path, r=text)], catalogue(), REMEDIES).receivers["r"].rules["SPF-003"]
    assert (said.word.value, said.quote) == ("secondary", "They send it to the spam folder.")


def test_a_statement_of_a_third_party_is_not_the_receivers_own_word(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, r=receiver("r"))
    (folder / "sources.yaml").write_text(SOURCES.replace("read_as: original", "read_as: third party"), "utf-8")
    assert "set word: quoted or word: secondary" in refused(folder)


@pytest.mark.parametrize(
    ("dated", "taken"), [("2026-03-21", True), ("2026-03", True), ("2026", True), ("March 2026", False)]
)
def test_a_source_may_tell_the_date_that_its_page_shows(tmp_path: Path, dated: str, taken: bool) -> None:
    text = SOURCES.replace("read_as: original", f'read_as: original, dated: "{dated}"')
    (tmp_path / "sources.yaml").write_text(text, "utf-8")
    (tmp_path / "spf.yaml").write_text(RULE, "utf-8")
    if taken:
        assert load_rules([tmp_path], catalogue(), REMEDIES).sources["rfc7208"].dated == dated
    else:
        assert "dated" in refused(tmp_path)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("severity: error, effect: note", "5: rules.SPF-003.0: effect note is at most a warning"),
        ("severity: error, effect: feature", "5: rules.SPF-003.0: effect feature is at most a warning"),
        ("severity: error, effect: risk", "effect"),
        ("severity: error, effect: reject, volume: many", "volume"),
        ("severity: error, effect: reject, when: {fact: spf.presen, eq: true}", "did you mean spf.present?"),
        ("severity: error, effect: reject, when: {fact: item.bits, ge: 1}", "available only in a rule with each"),
        ("severity: error, effect: reject, limits: {most: 5}", "5: SPF-003 has no limit most"),
        ("severity: error, effect: spam, word: secondary", "needs contested if it says that mail is stopped"),
        ("severity: error, effect: spam, word: quoted", "needs contested if it says that mail is stopped"),
        ("severity: error, effect: spam, word: hearsay", "word"),
        (f"severity: error, effect: spam, quote: {'so ' * 26}", "a quote can have at most 25 words"),
    ],
)
def test_statements_that_say_what_no_receiver_can_are_refused(tmp_path: Path, statement: str, words: str) -> None:
    text = receiver("r").replace("severity: error, effect: spam", statement)
    assert statement in text
    assert words in refused(folder_of(tmp_path, r=text))


def test_what_is_not_about_delivery_is_no_error_for_any_receiver(tmp_path: Path) -> None:
    rule = RULE.replace("scope: delivery\n  severity: error", "scope: reports\n  severity: warning")
    told = refused(folder_of(tmp_path, rule, r=receiver("r")))
    assert "r.yaml:5: SPF-003 is about reports: no receiver can make it an error" in told


def test_an_empty_list_of_statements_is_refused(tmp_path: Path) -> None:
    text = receiver("r").split("  SPF-003")[0] + "  SPF-003: []\n"
    assert "r.yaml:5: a list of statements needs at least one" in refused(folder_of(tmp_path, r=text))


def test_a_combination_comes_last_and_states_nothing_of_its_own(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        mild=receiver("mild", effect="spam"),
        hard=receiver("hard", effect="reject"),
        all=ALL.replace("COMBINES", "all"),
    )
    loaded = load_rules([folder], catalogue(), REMEDIES)
    assert list(loaded.receivers) == ["hard", "mild", "all"]
    assert loaded.providers == ("hard", "mild")
    whole = loaded.receivers["all"]
    assert (whole.combines, whole.rules) == (("hard", "mild"), {})
    assert [each.effect.value for each in loaded.statements(whole, "SPF-003")] == ["reject", "spam"]


def test_a_receiver_for_those_who_ask_is_not_among_the_providers(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, a=receiver("a"), b=receiver("b") + "default: false\n", all=ALL.replace("COMBINES", "all")
    )
    loaded = load_rules([folder], catalogue(), REMEDIES)
    assert loaded.providers == ("a",)
    assert loaded.receivers["all"].combines == ("a", "b"), "who satisfies all satisfies it too"


def test_a_users_folder_may_add_a_receiver_to_what_is_combined(tmp_path: Path) -> None:
    shipped = folder_of(tmp_path / "shipped", a=receiver("a"), whole=ALL.replace("COMBINES", "all"))
    own = tmp_path / "own" / "receivers"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(receiver("mine", effect="reject"), "utf-8")
    (own / "two.yaml").write_text(ALL.replace("COMBINES", "[mine]").replace("id: all", "id: two"), "utf-8")
    loaded = load_rules([shipped, own.parent], catalogue(), REMEDIES)
    assert loaded.receivers["all"].combines == ("a", "mine")
    assert loaded.receivers["two"].combines == ("mine",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALL.replace("COMBINES", "[b]"), "whole.yaml:3: all combines b: no such receiver"),
        (ALL.replace("COMBINES", "[all]"), "all combines all, which itself combines others"),
        (ALL.replace("COMBINES", "[]"), "combines must list receivers, or be all"),
        (ALL.replace("COMBINES", "all\nbulk_from: 5"), "combines takes bulk_from from the receivers that it lists"),
        (ALL.replace("COMBINES", "all\nregions: [jp]"), "combines takes regions from the receivers that it lists"),
        (ALL.replace("COMBINES", "all\ndomains: [a.example]"), "combines takes domains from the receivers that"),
        ("id: all\nname: {en: All, ja: 全部}\n", "a receiver needs sources, rules, or combines others"),
        (receiver("all").replace("[{ref: rfc7208}]\nrules", "[]\nrules"), "a receiver needs sources, or"),
        (receiver("all") + "note: {en: A, ja: B}\n", "note: unknown field"),
        (receiver("all") + "domains: [Mail.example]\n", "domains.0: "),
        (receiver("all") + "mx_suffixes: [.mx.example]\n", "mx_suffixes.0: "),
        (receiver("all") + "regions: [japan]\n", "regions.0: "),
    ],
)
def test_combinations_that_make_no_sense_are_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(folder_of(tmp_path, a=receiver("a"), whole=text))


GRADES = """\
bulk_from: 5000
grades: [{grade: F, verdicts: [rejected]}, {grade: B, unmet: warning}, {grade: A}]
parked: {open: D, closed: A}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("grade: F", "grade: E", 2, "grades.0.grade: 'E' is not one of A, B, C, D, F"),
        ("[rejected]", "[refused]", 2, "grades.0.verdicts.0: 'refused' is not one of"),
        (", {grade: A}", "", 1, "the last grade must have no condition; all others need one"),
        ("grade: F, verdicts: [rejected]", "grade: F", 1, "the last grade must have no condition; all others need one"),
        ("grade: F", "grade: B", 1, "list each grade once, from worst to best"),
        ("5000", "0", 1, "bulk_from: at least 1 is needed here"),
    ],
)
def test_what_is_refused_in_verdicts_yaml(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    (tmp_path / "verdicts.yaml").write_text(GRADES, "utf-8")
    assert problems(tmp_path) == ()
    (tmp_path / "verdicts.yaml").write_text(GRADES.replace(old, new, 1), "utf-8")
    (wrong,) = problems(tmp_path)
    assert wrong.startswith(f"{tmp_path / 'verdicts.yaml'}:{line}: ")
    assert words in wrong


def test_a_limit_may_be_a_list_of_file_types(tmp_path: Path) -> None:
    types = "vendor: {sources: [{ref: rfc7208}], types: [exe, js]}\n"
    (tmp_path / "attachments.yaml").write_text(types, "utf-8")
    rule = RULE.replace("{max_lookups: 10}", "{max_lookups: 10, refused: {attachments: vendor}}")
    assert problems(tmp_path, rule) == ()
    loaded = load_rules([tmp_path], catalogue(), REMEDIES)
    assert loaded.rules["SPF-003"].limits["refused"] == ("exe", "js")
    (wrong,) = problems(tmp_path, rule.replace("attachments: vendor", "attachments: vender"))
    assert "limits.refused: no list 'vender' in attachments.yaml; did you mean vendor?" in wrong
    (wrong,) = problems(tmp_path, rule.replace("attachments: vendor", "types: vendor"))
    assert "limits.refused: a value, or {attachments: LIST}" in wrong
    (tmp_path / "attachments.yaml").write_text(types.replace("rfc7208", "rfc7209"), "utf-8")
    assert "attachments.yaml:1: no source 'rfc7209'" in problems(tmp_path, rule)[0]


def test_a_later_folder_replaces_a_list_that_earlier_rules_name(tmp_path: Path) -> None:
    for name, types in (("one", "[exe]"), ("two", "[js]")):
        (tmp_path / name).mkdir()
        text = f"vendor: {{sources: [{{ref: rfc7208}}], types: {types}}}\n"
        (tmp_path / name / "attachments.yaml").write_text(text, "utf-8")
    rule = RULE.replace("{max_lookups: 10}", "{max_lookups: 10, refused: {attachments: vendor}}")
    assert problems(tmp_path / "one", rule) == ()
    loaded = load_rules([tmp_path / "one", tmp_path / "two"], catalogue(), REMEDIES)
    assert loaded.rules["SPF-003"].limits["refused"] == ("js",)


def test_a_receiver_may_bring_the_pages_that_only_it_cites(tmp_path: Path) -> None:
    page = '{title: T, url: "https://r.example/", publisher: R, checked: "2026-11-24", read_as: original}'
    text = receiver("r").replace("rfc7208", "r-page")
    assert "no source 'r-page' in sources.yaml" in refused(folder_of(tmp_path / "without", r=text))
    loaded = load_rules([folder_of(tmp_path / "with", r=f"{text}pages: {{r-page: {page}}}\n")], catalogue(), REMEDIES)
    assert loaded.sources["r-page"].publisher == "R"
    assert [each.ref for each in loaded.receivers["r"].sources] == ["r-page"]


PAGE = '{title: T, url: "https://r.example/", publisher: R, checked: "2026-11-24", read_as: original}'


def with_page(ident: str, key: str) -> str:
    return f"{receiver(ident)}pages:\n  {key}: {PAGE}\n"


def test_a_page_of_a_receiver_is_no_source_of_the_same_folder(tmp_path: Path) -> None:
    told = refused(folder_of(tmp_path, r=with_page("r", "rfc7208")))
    assert f"{tmp_path}/receivers/r.yaml:7: rfc7208 is already defined in {tmp_path}/sources.yaml:1" in told


def test_two_receivers_of_a_folder_have_no_page_of_one_name(tmp_path: Path) -> None:
    told = refused(folder_of(tmp_path, r=with_page("r", "page"), s=with_page("s", "page")))
    assert f"s.yaml:7: page is already defined in {tmp_path}/receivers/r.yaml:7" in told


def test_a_page_of_a_later_folder_replaces_none_but_that_of_the_same_receiver(tmp_path: Path) -> None:
    shipped = folder_of(tmp_path / "shipped", r=with_page("r", "page"))
    for ident, key, place in (("mine", "rfc7208", "sources.yaml:1"), ("mine", "page", "receivers/r.yaml:7")):
        own = tmp_path / key / "receivers"
        own.mkdir(parents=True)
        (own / "mine.yaml").write_text(with_page(ident, key), "utf-8")
        assert f"mine.yaml:7: {key} is already defined in {shipped}/{place}" in refused(shipped, own.parent)
    own = tmp_path / "own" / "receivers"
    own.mkdir(parents=True)
    (own / "r.yaml").write_text(with_page("r", "page").replace("title: T", "title: Mine"), "utf-8")
    assert load_rules([shipped, own.parent], catalogue(), REMEDIES).sources["page"].title == "Mine"


def test_a_later_folder_replaces_a_source_or_a_page_by_a_source(tmp_path: Path) -> None:
    shipped, own = folder_of(tmp_path / "shipped", r=with_page("r", "page")), tmp_path / "own"
    own.mkdir()
    (own / "sources.yaml").write_text(f"rfc7208: {PAGE}\npage: {PAGE.replace('title: T', 'title: Mine')}\n", "utf-8")
    loaded = load_rules([shipped, own], catalogue(), REMEDIES)
    assert (loaded.sources["rfc7208"].publisher, loaded.sources["page"].title) == ("R", "Mine")


@pytest.mark.parametrize("second", [receiver("r"), ALL.replace("id: all", "id: r").replace("COMBINES", "all")])
def test_a_receiver_is_in_one_file_of_a_folder(tmp_path: Path, second: str) -> None:
    told = refused(folder_of(tmp_path, r=receiver("r"), s=second))
    assert f"s.yaml:1: r is already defined in {tmp_path}/receivers/r.yaml:1" in told


TASK = """\
- code: new-key
  place: service
  what: {en: "Make a key at {service}", ja: "{service}で鍵を作成する"}
"""


def test_a_rule_names_a_task_of_any_folder_and_a_later_folder_replaces_it(tmp_path: Path) -> None:
    rule = RULE.replace("severity: error", "severity: error\n  task: new-key")
    first, second = folder_of(tmp_path / "a", rule), tmp_path / "b"
    second.mkdir()
    (first / "tasks.yaml").write_text(TASK, "utf-8")
    (second / "tasks.yaml").write_text(TASK.replace("place: service", "place: dns"), "utf-8")
    loaded = load_rules([first, second], catalogue(), REMEDIES)
    assert loaded.rules["SPF-003"].task == "new-key"
    assert loaded.tasks["new-key"].place == "dns"
    assert loaded.tasks["new-key"].text["ja"].what == "{service}で鍵を作成する"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("{service}で鍵", "鍵", 1, "different placeholders"),
        ("service}", "serwice}", 1, "no placeholder 'serwice'"),
        ("place: service", "place: somewhere", 2, "place"),
        ("- code", "- code: new-key\n  place: dns\n  what: {en: a, ja: b}\n- code", 4, "new-key appears twice"),
        ("place: service", "place: service\n  cause: [mx.hosts]", 1, "no list fact 'mx.hosts' with aligned or own"),
        ("place: service", "place: service\n  takes: terms", 1, "no fact 'senders.services[].terms'"),
        ("place: service", "place: service\n  done_by: {fact: spf.valid, eq: true}\n  otherwise: x", 1, "no task 'x'"),
        (
            "place: service",
            "place: service\n  done_by: {fact: spf.vallid, eq: true}\n  otherwise: new-key",
            3,
            "no fact",
        ),
        ("place: service", "place: service\n  gate: never", 3, "gate"),
    ],
)
def test_tasks_that_cannot_be_steps_are_refused(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    rule = RULE.replace("severity: error", "severity: error\n  task: new-key")
    folder = folder_of(tmp_path / "a", rule)
    (folder / "tasks.yaml").write_text(TASK.replace(old, new), "utf-8")
    found = refused(folder)
    assert any(f"tasks.yaml:{line}: " in each and words in each for each in found.splitlines()), found
    assert "no task 'new-key'" not in found, "a task that cannot be read is told once"
