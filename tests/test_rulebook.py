"""`deliv rules --stale`: which statements of receivers were not read again for so many days."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from deliverability.engine.rules import load_rules
from deliverability.rulebook import aged_statements
from tests.console.test_cli import Deliv, deliv  # noqa: F401

TODAY = date(2026, 11, 28)


def test_a_statement_is_as_old_as_the_newest_of_its_sources() -> None:
    rules = load_rules()
    said = rules.receivers["laposte"]
    (refs,) = {tuple(ref.ref for ref in each.sources) for several in said.rules.values() for each in several}
    old = replace(rules.sources["laposte"], checked="2026-09-01")
    alone = replace(rules, receivers={"laposte": said}, sources={**rules.sources, "laposte": old})
    (aged,) = aged_statements(alone, TODAY, 60)
    assert (aged.receiver, aged.sources, aged.read, aged.days) == ("laposte", refs, "2026-09-01", 88)
    assert set(aged.rules) == set(said.rules)
    assert not aged_statements(alone, TODAY, 88)


def test_what_was_never_read_again_is_always_named_and_first() -> None:
    rules = load_rules()
    unread = replace(rules.sources["laposte"], read_as="not re-read")
    rules = replace(rules, sources={**rules.sources, "laposte": unread})
    (aged,) = aged_statements(rules, TODAY, 3650)
    assert (aged.receiver, aged.read, aged.days) == ("laposte", None, None)
    assert aged_statements(rules, TODAY, 0)[0] == aged


@pytest.mark.parametrize(("lang", "words"), [("en", "days ago"), ("ja", "日前")])
def test_the_command_lists_them(deliv: Deliv, lang: str, words: str) -> None:  # noqa: F811
    done = deliv("rules", "--stale", "0", "--lang", lang)
    assert done.code == 0
    assert words in done.out
    assert "gmail" in {each["receiver"] for each in deliv("rules", "--stale", "0", "--format", "json").json}


def test_days_are_a_number(deliv: Deliv) -> None:  # noqa: F811
    assert deliv("rules", "--stale", "soon").code == 2
