"""No regular expression of the package may take more than linear time on a text that somebody wrote to keep it busy."""

from __future__ import annotations

import re
from functools import cache

import pytest

from deliverability.core.net.zones.other import kinds
from deliverability.core.rules.knowledge import shipped
from tests.backtracking import GROWTH, slowest
from tests.regexes import Expression, divided, expressions
from tests.sampled import some, some_or_every

MADE_AT_RUN_TIME = {
    "core/rules/conditions.py: operand",  # of rule files, which their user trusts
    "core/rules/load.py: value",  # the same, when rule files are read
    "core/report/templates.py: '|'.join((_bounded(",  # words, without any repeat
    "core/model/services.py: expression",  # over names of 253 octets at most
    "core/senders/recognise.py: '|'.join((f'(?:{pa",  # the same, all in one
    "core/net/zones/other.py: each.pattern.encode(",  # of a table of ours, looked at below
    "core/net/zones/configured.py: str(settings['r",  # of the user's configuration, over names of 253 octets at most
    "core/model/schema.py: field.pattern",  # of a Struct of ours
    "core/model/knowledge.py: '|'.join(scoped) or ",  # of a rule file, looked at below
    "core/model/knowledge.py: text",  # the same, when it is read
    "slim/message.py: b'(?i)' + re.escape(part.med",  # without any repeat
    "slim/message.py: b'(?i)\\\\.' + re.escape(endin",  # without any repeat
}


@cache
def ours() -> tuple[list[Expression], list[str]]:
    return expressions()


@pytest.mark.long
@some_or_every(16, "expression")
def test_no_two_repeats_divide_a_text_among_them(apart: int) -> None:
    found, unread = ours()
    assert len(found) > 250
    assert {each.place: each.text for each in some(found, apart) if divided(each)} == {}
    assert set(unread) == MADE_AT_RUN_TIME


def test_nor_do_those_of_the_words_for_unsubscribing() -> None:
    words = shipped().unsubscribe
    for text in (*words.in_link, *words.beside_link, *words.in_address):
        assert divided(Expression("", text, 0)) == [], text


def test_nor_do_those_that_tell_what_a_file_is() -> None:
    table = kinds()
    for each in (*table.first, *table.then, *table.objects, *table.lists):
        assert divided(Expression("", each.pattern, re.MULTILINE)) == [], each.pattern


@pytest.mark.long
@some_or_every(24, "expression")
def test_twice_the_text_takes_twice_the_steps_by_the_methods_that_are_called(apart: int) -> None:
    found, _ = ours()
    grown = {each.place: slowest(each, each.methods) for each in some(found, apart)}
    assert {place: how for place, how in grown.items() if how[0] > GROWTH} == {}
    assert {method for each in found for method in each.methods} >= {"match", "search", "sub", "split", "finditer"}


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (r"[ \t]*+>(?!>>)[ \t]?", "sub"),
        (r"[ \t]*+>(?!>>)[ \t]?", "search"),
        (r"\s+$", "search"),
        (r"\s+x", "split"),
        (r"<!--.*?-->", "finditer"),
        (r"\w+@x", "findall"),
        (r"//[^@]*@", "subn"),
        (r"(?:ab)+c", "search"),
        (r"[=:][^\s/]+/", "search"),
        (r"(a*)*b", "match"),
        (r"\s*\s*x", "fullmatch"),
    ],
)
def test_what_begins_anew_at_each_place_is_found(text: str, method: str) -> None:
    growth, where = slowest(Expression("", text, re.DOTALL), [method])
    assert growth > GROWTH, where


@pytest.mark.parametrize(
    ("text", "method"),
    [
        (r"[ \t]*+>(?!>>)[ \t]?", "match"),
        (r"\s+$", "match"),
        (r"\s+", "sub"),
        (r"\s{1,99}x", "split"),
        (r"(?<!\w)\w++@x", "findall"),
        (r"\b\w++@x", "findall"),
        (r"\A\s+x", "search"),
        (r"<[^<>]*>", "finditer"),
        (r"(?:ab)*+c", "match"),
    ],
)
def test_what_does_not_is_let_pass(text: str, method: str) -> None:
    growth, where = slowest(Expression("", text, 0), [method])
    assert growth <= GROWTH, where


@pytest.mark.parametrize(
    "text",
    [
        r"\s*\s*x",
        r"\s*[\"']?\s*v",
        r"\s*(?:,|;)?\s*v",
        r"(?:a+)*b",
        r"(?:a|b*)*c",
        r"(?:\s*x?\s*)*y",
        r"[a-z]+[a-z0-9]*!",
        r"\w+\d+!",
        r".*?\s*!",
        r"a*(?i:A)*!",
        r"a{1,999}a{0,999}!",
        r"\s*(?=\s*x)y",
        r"\s*\s*+x",
        r"(a*)(b?)(?:a*|c)!",
        rb"[\x00-\x20]*\s+x",
    ],
)
def test_repeats_that_divide_a_text_are_found(text: str | bytes) -> None:
    assert divided(Expression("", text, 0))


@pytest.mark.parametrize(
    "text",
    [
        r"\s*+\s*+x",
        r"\s*+[\"']?\s*+v",
        r"\s*,\s*v",
        r"(?>\s*),?(?>\s*)v",
        r"(?:a+b)*c",
        r"[a-z]*[0-9]*!",
        r"a?a?a?b",
        r"\s{0,9}\s{0,9}x",
        r"(?:\.[a-z]+)*!",
    ],
)
def test_others_are_let_pass(text: str) -> None:
    assert not divided(Expression("", text, 0))


def test_a_repeat_that_ignores_case_takes_both_cases() -> None:
    assert divided(Expression("", "a*A*b", re.IGNORECASE))
    assert not divided(Expression("", "a*A*b", 0))
