"""The interface words (reports/strings.*.yaml): what is used is there, and what is there is used.

Keys are written out in the code, or made there from a prefix and a code (``verdict.{kind}``). A key of the second kind
is used where the code itself stands somewhere: as a string of the program, a fact, a topic or a value of a fact.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from deliverability.core.codes import Detail
from deliverability.core.errors import AT_LINE
from deliverability.core.facts.base import FAILED, FactType
from deliverability.core.phrases import LANGUAGES, detail_words, phrases
from deliverability.core.protocols.dkim.verify import SMALL_KEY
from deliverability.core.replies.limits import BAD_PERIOD, TOO_MANY_RECORDS
from deliverability.core.words.sentences import state_words
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.parsed import PACKAGE, trees

pytestmark = pytest.mark.long

REPORTS = PACKAGE.parent / "reports"
SENTENCE = re.compile(r"[^\w.\-]")
GAP = "\0"
# Remarks of the auditors, the words of remedies and the gaps of rules have tests of their own.
ELSEWHERE = ("detail.", "remedies.", "gap.")
SIDES = ("us", "them", "either")  # of a symptom in handout.*.yaml
# Classes that the library for charts writes.
CHARTS = re.compile(r"serie-\d+")


@cache
def written() -> frozenset[str]:
    """Every string of the program and its templates that could be a key or a part of one, with its gaps."""
    found: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(str(each.value) if isinstance(each, ast.Constant) else GAP for each in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    for path in REPORTS.glob("*.html"):
        text = path.read_text("utf-8")
        found |= set(re.findall(r'"([\w.\-]*)"', text))
        for code in re.findall(r"\{[{%](.*?)[%}]\}", text, re.DOTALL):
            for chain in re.findall(r'"[\w.\-]+" ~ [\w.]+(?: ~ "[\w.\-]+")?', code):
                found.add("".join(each.strip('"') if each.startswith('"') else GAP for each in chain.split(" ~ ")))
    return frozenset(each for each in found if not SENTENCE.search(each.replace(GAP, "")))


@cache
def patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Keys with gaps, and how each begins; those that begin with a gap tell nothing."""
    gaps = (each for each in written() if GAP in each and "." in each and not each.startswith(GAP))
    return tuple(
        (each.partition(GAP)[0], re.compile(re.escape(each).replace(re.escape(GAP), r"(.+)"))) for each in gaps
    )


@cache
def codes() -> frozenset[str]:
    """What may fill a gap."""
    facts = catalogue()
    values = {value for spec in facts.values() for value in spec.values}
    fields = {path.rpartition(".")[2] for path in facts}
    topics = {rule.topic for rule in load_rules().rules.values()}
    return frozenset({*written(), *facts, *fields, *values, *topics, *SIDES})


def is_code(part: str) -> bool:
    """A code as it is, the name of an option, a number or a grade, or a code made of a prefix and another."""
    if part in codes() or f"--{part}" in written() or part.isdigit() or len(part) == 1:
        return True
    cuts = [(part[:at], part[at + 1 :]) for at, sign in enumerate(part) if sign == "-"]
    return any(f"{head}-{GAP}" in written() and tail in codes() for head, tail in cuts)


def is_used(key: str) -> bool:
    bare = re.sub(r"\.(one|other)\Z", "", key)
    if key in written() or bare in written():
        return True
    return any(
        match is not None and all(map(is_code, match.groups()))
        for start, pattern in patterns()
        if key.startswith(start)
        for name in {key, bare}
        for match in [pattern.fullmatch(name)]
    )


def test_every_phrase_is_used() -> None:
    assert [key for key in phrases("en").texts if not key.startswith(ELSEWHERE) and not is_used(key)] == []


@cache
def asked() -> list[str]:
    """Keys that are written out where a phrase is asked for: say("verdict.grade"), say.count("met.lead", n)."""
    found: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = ast.unparse(node.func)
                if re.fullmatch(r"(self\.)?_?say(\.count)?", called) and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value + (".other" if called.endswith("count") else ""))
    for path in REPORTS.glob("*.html"):
        text = path.read_text("utf-8")
        found |= set(re.findall(r'\bsay\("([\w.\-]+)"(?! ~)', text))
        found |= {f"{key}.other" for key in re.findall(r'\bsay\.count\("([\w.\-]+)"(?! ~)', text)}
    return sorted(found)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_phrase_that_is_asked_for_is_there(lang: str) -> None:
    assert len(asked()) > 300
    assert [key for key in asked() if key not in phrases(lang)] == []


def test_every_topic_has_a_name() -> None:
    assert {f"topic.{rule.topic}" for rule in load_rules().rules.values()} <= phrases("en").texts.keys()


def test_names_of_facts_are_names_of_facts() -> None:
    named = {key.removeprefix("fact.") for key in phrases("en").texts if key.startswith("fact.")}
    assert named - set(catalogue()) == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_change_between_yes_and_no_is_told_by_its_states(lang: str) -> None:
    """ "SPF record: not published → published" says what "no → yes" does not."""
    say = phrases(lang)
    facts = [key.removeprefix("fact.") for key in say.texts if key.startswith("fact.")]
    decided = [each for each in facts if catalogue()[each].type is FactType.BOOL]
    assert len(decided) >= 5
    assert [each for each in decided for value in (True, False) if not state_words(each, value, say)] == []


# --- style sheets ---


def style_classes(name: str) -> set[str]:
    css = re.sub(r"/\*.*?\*/", "", (REPORTS / name).read_text("utf-8"), flags=re.DOTALL)
    return set(re.findall(r"\.([a-zA-Z][\w-]*)(?=[^{}]*\{)", css))


@cache
def named_classes() -> tuple[frozenset[str], frozenset[str]]:
    """The words of templates and program, and what a class may begin with: class="e-{{ kind }}", f"spark-{number}"."""
    text = "\n".join(path.read_text("utf-8") for path in [*REPORTS.glob("*.html"), *PACKAGE.rglob("*.py")])
    return frozenset(re.findall(r"[\w-]+", text)), frozenset(re.findall(r"\b([\w-]+-)\{", text))


@pytest.mark.parametrize("name", [path.name for path in sorted(REPORTS.glob("*.css"))])
def test_every_class_of_a_style_sheet_is_used(name: str) -> None:
    words, made = named_classes()
    assert [
        each
        for each in sorted(style_classes(name))
        if each not in words and not CHARTS.fullmatch(each) and not any(each.startswith(prefix) for prefix in made)
    ] == []


def test_japanese_steps_of_the_plan_are_named_in_one_form() -> None:
    """A remedy and a task stand in one list: 「…を公開する」, not 「…を公開します。」 beside it."""
    remedies = {
        key: text for key, text in phrases("ja").texts.items() if re.fullmatch(r"remedies\.[a-z0-9-]+\.title", key)
    }
    tasks = {code: task.text["ja"].what for code, task in load_rules().tasks.items()}
    assert len(remedies) > 50
    polite = {key: text for key, text in (remedies | tasks).items() if re.search(r"(です|ます)(：|（|$)|。", text)}
    assert polite == {}


@pytest.mark.parametrize(
    ("detail", "en", "ja"),
    [
        (
            BAD_PERIOD(begin="2017-10-24", end="2020-10-24"),
            "its period, 24 Oct 2017 to 24 Oct 2020, is not plausible",
            "期間（2017年10月24日〜2020年10月24日）が正しくありません",
        ),
        (TOO_MANY_RECORDS(limit=12_345), "it has more than 12,345 records", "レコードが12,345件を超えています"),
        (AT_LINE(file="a.csv", line=12_345, detail="x"), "a.csv:12345: x", "a.csv:12345：x"),
        (SMALL_KEY(bits=1024), "RSA key of 1024 bits", "1024ビットのRSA鍵です"),
        (FAILED(reason="servfail"), "SERVFAIL", "SERVFAIL"),
        (FAILED(reason="timeout"), "timeout", "timeout"),
    ],
)
def test_a_detail_writes_numbers_days_and_response_codes_as_people_do(detail: Detail, en: str, ja: str) -> None:
    """But not the numbers of lines, ports and versions, nor the bits of a key."""
    assert (detail_words(detail, phrases("en")), detail_words(detail, phrases("ja"))) == (en, ja)


# Values of phrases that may be written as they are: paths, addresses, and numbers that are names.
AS_THEY_ARE = {"file", "folder", "address", "path", "line", "shard", "bits", "value"}


def test_a_number_is_put_into_a_phrase_with_its_separators() -> None:
    """A phrase takes texts, and `str` of a number has no separators."""
    plain = [
        f"{ast.unparse(node.func)}: {word.arg}={ast.unparse(word.value)}"
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("say")
        for word in node.keywords
        if isinstance(word.value, ast.Call) and ast.unparse(word.value.func) == "str" and word.arg not in AS_THEY_ARE
    ]
    assert plain == []
