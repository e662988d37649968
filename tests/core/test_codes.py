"""Codes and their words: each declared code has words in both languages with its arguments, and none lie idle."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import pytest

import deliverability
from deliverability.core.codec import decode, encode
from deliverability.core.codes import ABOUT, ASKED, NEEDS, VERBATIM, Code, Detail, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.spf import SPF_AT
from deliverability.core.net.zones.other import kinds
from deliverability.core.phrases import LANGUAGES, detail_words, phrases, placeholders
from deliverability.core.protocols.spf.evaluate import FOUND_MORE, NO_SPF, SYNTAX, TOO_MANY_LOOKUPS
from deliverability.core.protocols.spf.record import parse
from tests.together import together


@cache
def declared() -> dict[str, Code]:
    """Every code that a module of the package declares, by name."""
    found: dict[str, Code] = {}
    for module in pkgutil.walk_packages(deliverability.__path__, "deliverability."):
        if module.name.endswith(("__main__", ".testing.django")) or ".migrations" in module.name:
            continue  # the second is imported by Django alone
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Code):
                assert found.setdefault(value.name, value) is value, f"{value.name} is declared twice"
    for row in (*kinds().first, *kinds().then, *kinds().objects, *kinds().lists):
        code = Code(row.code, row.args)
        assert found.setdefault(row.code, code) == code, f"{row.code} has other arguments elsewhere"
    return found


WITHOUT_WORDS = {VERBATIM.name, NEEDS.name}  # the words of others; the words of the input


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_code_has_words_with_its_arguments(lang: str) -> None:
    say = phrases(lang)
    with together() as case:
        for name in sorted(declared().keys() - WITHOUT_WORDS):
            with case(name):
                assert f"detail.{name}" in say
                assert placeholders(say.texts[f"detail.{name}"]) == set(declared()[name].args)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_words_without_a_code(lang: str) -> None:
    words = {key.removeprefix("detail.") for key in phrases(lang).texts if key.startswith("detail.")}
    assert words - declared().keys() == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_input_has_words(lang: str) -> None:
    say = phrases(lang)
    assert {key.removeprefix("input.") for key in say.texts if key.startswith("input.")} == {
        each.value for each in Input
    }
    for each in Input:
        assert detail_words(needs(each), say) == say(f"input.{each.value}")


def test_details_are_told_within_each_other() -> None:
    detail = ABOUT(what=ASKED(type="TXT", name="example.com"), detail=VERBATIM(text="connection reset"))
    assert detail_words(detail, phrases("en")) == "TXT example.com: connection reset"


@pytest.mark.parametrize(
    ("detail", "english", "japanese"),
    [
        (TOO_MANY_LOOKUPS(n=10), "more than 10 DNS lookups", "DNS参照が10回を超えました"),
        (
            SYNTAX(domain="a.example", what=parse("v=spf1 ipv4:192.0.2.1").errors[0].detail),
            "syntax error at a.example: ipv4:192.0.2.1: unknown mechanism 'ipv4'; did you mean ip4?",
            "a.exampleの記述に誤りがあります：ipv4:192.0.2.1：「ipv4」という項目はありません。ip4の誤りではありませんか",
        ),
        (
            ABOUT(what=SPF_AT(term="include:b.example", domain="a.example"), detail=NO_SPF(domain="b.example")),
            "include:b.example at a.example: b.example has no SPF record",
            "a.exampleのinclude:b.example：b.exampleにSPFレコードがありません",
        ),
        (
            FOUND_MORE(question=ASKED(type="A", name="a.example"), values=("192.0.2.1", "192.0.2.2"), n=3),
            "A a.example: 192.0.2.1, 192.0.2.2 and 3 more",
            "A a.example：192.0.2.1、192.0.2.2（ほか3件）",
        ),
    ],
)
def test_what_spf_says_is_told_in_both_languages(detail: Detail, english: str, japanese: str) -> None:
    assert (detail_words(detail, phrases("en")), detail_words(detail, phrases("ja"))) == (english, japanese)


def test_the_deepest_chain_of_includes_is_told_to_its_end() -> None:
    detail = TOO_MANY_LOOKUPS(n=10)
    for number in range(10):
        detail = ABOUT(what=SPF_AT(term=f"include:d{number}.example", domain="a.example"), detail=detail)
    assert detail_words(detail, phrases("en")).endswith("more than 10 DNS lookups")


def test_a_code_of_another_version_stands_for_itself() -> None:
    assert detail_words(Detail("never-heard-of", (("n", 3),)), phrases("ja")) == "never-heard-of (3)"


def test_arguments_are_those_declared() -> None:
    with pytest.raises(TypeError, match="asked takes type, name"):
        ASKED(type="TXT")


def test_details_travel_as_json() -> None:
    unknown = Unknown(Reason.TIMEOUT, ABOUT(what=ASKED(type="TXT", name="example.com"), detail=VERBATIM(text="late")))
    assert decode(encode(unknown)) == unknown
    assert encode(needs(Input.HELO)) == {"code": "needs", "args": {"input": "helo"}}


@pytest.mark.parametrize("detail", ["TXT example.com: timed out", ["late"], 7, {"reason": "late"}])
def test_what_is_no_code_with_arguments_is_no_detail(detail: object) -> None:
    with pytest.raises(ValueError, match="expected a code"):
        decode({"unknown": "timeout", "detail": detail})
