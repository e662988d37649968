"""Remarks that facts hold in English, such as what is wrong with a term, in the language of the report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import deliverability
from deliverability.model.facts import FactSpec, FactType, Reason, Unknown
from deliverability.words.sentences import format_value, phrases, remark, unknown_sentence

JA, EN = phrases("ja"), phrases("en")
PACKAGE = Path(deliverability.__file__).parent


@pytest.mark.parametrize(
    ("said", "japanese"),
    [
        (
            "TXT a.example: a.example is outside the given zones",
            "TXT a.example：a.exampleは指定されたゾーンの外にあります",
        ),
        ("no id=", "id=がありません"),
    ],
)
def test_a_remark_is_told_in_japanese(said, japanese):
    assert remark(said, JA) == japanese
    assert remark(said, EN) == said


@pytest.mark.parametrize(
    "text", ["", "v=spf1 -all", "a: b: c: d: e: f", "x" * 500, "{name}", "{{", " at ", ": ", "\x1b[31m"]
)
def test_what_is_no_remark_of_ours_stays_as_it_is(text):
    assert remark(text, JA) == text


def test_hostile_text_costs_little():
    text = (" is an IPv6 address: use ip " * 20)[:400]
    assert isinstance(remark(text, JA), str)


def test_unknown_reasons_and_errors_of_records_are_told():
    unknown = Unknown(Reason.OFFLINE, "TXT a.example: not in the recording")
    assert "TXT a.example：記録に含まれていません" in unknown_sentence(unknown, JA)
    spec = FactSpec("tls_rpt.errors", FactType.LIST_STR, "")
    assert format_value(("no rua=", "v=x"), spec, JA) == "rua=がありません、v=x"
    assert format_value(("no rua=",), FactSpec("message.subject", FactType.STR, ""), JA) == "no rua="


def test_english_patterns_and_japanese_words_have_the_same_names():
    keys = [key for key in EN.texts if key.startswith("detail.")]
    assert keys
    for key in keys:
        found = [sorted(set(re.findall(r"\{(\w+)\}", say(key)))) for say in (EN, JA)]
        assert found[0] == found[1], key
