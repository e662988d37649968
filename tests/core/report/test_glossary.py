"""Terms of the glossary are found where a page first uses them, and nowhere inside of other words."""

from __future__ import annotations

import pytest

from deliverability.core.report.templates import GlossaryTerm, Glosser

TERMS = tuple(
    GlossaryTerm(ident, {"en": en, "ja": ja}, {"en": "x", "ja": "x"}, {"en": (), "ja": ()})
    for ident, en, ja in (
        ("spf", "SPF", "SPF"),
        ("spf-record", "SPF record", "SPFレコード"),
        ("selector", "selector", "セレクター"),
        ("reject", "reject", "拒否"),
    )
)


def found(*texts: str, lang: str = "en") -> list[tuple[str, str]]:
    glosser = Glosser(TERMS, lang)
    return [piece for text in texts for piece in glosser.pieces(text) if piece[0]]


def test_only_the_first_use_is_marked_and_nothing_is_lost() -> None:
    glosser = Glosser(TERMS, "en")
    pieces = glosser.pieces("SPF, and SPF again; selectors.")

    assert [ident for ident, _ in pieces if ident] == ["spf", "selector"]
    assert "".join(text for _, text in pieces) == "SPF, and SPF again; selectors."
    assert [term.id for term in glosser.used] == ["spf", "selector"]


def test_the_longest_term_wins() -> None:
    assert found("An SPF record, by SPF.") == [("spf-record", "SPF record"), ("spf", "SPF")]


@pytest.mark.parametrize("text", ["spf", "_SPF-x", "p=reject", "rejected", "a.selector.example", "xSPF"])
def test_parts_of_names_and_values_are_no_terms(text: str) -> None:
    assert found(text) == []


def test_japanese_terms_need_no_blanks() -> None:
    assert found("新しいセレクターで公開します。", lang="ja") == [("selector", "セレクター")]


def test_without_terms_text_stays_as_it_is() -> None:
    assert Glosser((), "en").pieces("SPF") == (("", "SPF"),)
