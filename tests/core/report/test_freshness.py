"""How old a statement is, and that one without its words says so."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from deliverability.core.phrases import phrases
from deliverability.core.report.findings import basis_words
from deliverability.engine.rules import load_rules
from deliverability.rulebook import age_of

RULES = load_rules()
STATEMENT = RULES.receivers["gmx"].rules["DMARC-025"][0]


def test_a_statement_is_as_old_as_the_newest_reading_of_its_sources() -> None:
    assert age_of(STATEMENT, RULES, date(2026, 11, 30)) == 2
    (ref,) = STATEMENT.sources
    unread = {**RULES.sources, ref.ref: replace(RULES.sources[ref.ref], read_as="not re-read")}
    assert age_of(STATEMENT, replace(RULES, sources=unread), date(2026, 11, 30)) is None


@pytest.mark.parametrize(("lang", "words"), [("en", "no quotation stored"), ("ja", "引用文なし")])
def test_a_statement_whose_words_are_not_at_hand_says_so(lang: str, words: str) -> None:
    say = phrases(lang)
    assert STATEMENT.quote in basis_words(STATEMENT, RULES, say)
    assert words not in basis_words(STATEMENT, RULES, say)
    assert basis_words(replace(STATEMENT, quote=""), RULES, say).startswith(words)
