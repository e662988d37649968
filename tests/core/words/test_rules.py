"""Texts of rules about no domain: every gap has a name that a reader understands."""

from __future__ import annotations

import re

import pytest

from deliverability.core.phrases import phrases, placeholders
from deliverability.core.words.steps import filled, filled_texts, rule_title
from deliverability.engine.rules import load_rules

RULES = load_rules().rules


def gaps() -> set[str]:
    """The facts that stand in the texts of our rules."""
    found: set[str] = set()
    for rule in RULES.values():
        for texts in rule.text.values():
            cases = [each.text for each in (*texts.short, *texts.unmet, *texts.fix)]
            every = (texts.title, texts.noun, texts.met, texts.why, *cases)
            found |= {name for text in every for name in placeholders(text)} - set(rule.limits)
    return found


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_gap_has_a_name_and_no_name_is_left_over(lang: str) -> None:
    named = {key.removeprefix("gap.") for key in phrases(lang).texts if key.startswith("gap.")}
    assert named == gaps() | {"other"}


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_text_shows_the_path_of_a_fact(lang: str) -> None:
    path = re.compile(r"‹[^›]*[._][^›]*›|\{[a-z]")
    for rule in RULES.values():
        texts = filled_texts(rule, lang)
        for text in (texts.title, texts.met, *(each.text for each in texts.unmet), texts.why, *texts.steps):
            assert not path.search(text), rule.id


def test_limits_are_values_and_facts_are_names() -> None:
    rule = RULES["SPF-003"]
    assert "10" in rule_title(rule, "en")
    assert filled("{item.record} {max_lookups}", rule, phrases("ja")) == "‹レコード› 10"


def test_a_fact_that_only_a_rule_of_the_user_names_is_a_value() -> None:
    assert filled("{message.subject}", RULES["SPF-003"], phrases("en")) == "‹value›"
