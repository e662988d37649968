"""`deliv rules --stale`: what receivers, profiles, services and consoles rest on and nobody read for so many days."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from deliverability.core.model.knowledge import Knowledge
from deliverability.engine.rules import load_rules
from deliverability.rulebook import aged
from tests.console.test_cli import Deliv, deliv  # noqa: F401
from tests.speaking import raw

TODAY = date(2026, 11, 28)


def test_a_statement_is_as_old_as_the_newest_of_its_sources() -> None:
    rules = load_rules()
    said = rules.receivers["laposte"]
    (refs,) = {tuple(ref.ref for ref in each.sources) for several in said.rules.values() for each in several}
    old = replace(rules.sources["laposte"], checked="2026-09-01")
    alone = replace(rules, receivers={"laposte": said}, sources={**rules.sources, "laposte": old}, profiles={})
    alone = replace(alone, knowledge=Knowledge())
    (found,) = aged(alone, TODAY, 60)
    assert (found.of, found.name, found.sources) == ("receiver", "laposte", refs)
    assert (found.read, found.days) == ("2026-09-01", 88)
    assert set(found.items) == set(said.rules)
    assert not aged(alone, TODAY, 88)


@pytest.mark.parametrize(
    ("of", "name", "items"),
    [
        ("receiver", "laposte", {"DKIM-001", "SPF-014"}),
        ("profile", "nz-sge", {"dmarc-reject"}),
        ("service", "sendgrid", set()),
        ("dns-provider", "cloudflare", set()),
    ],
)
def test_whatever_was_read_somewhere_is_listed_once_it_is_old(of: str, name: str, items: set[str]) -> None:
    later = date(2027, 6, 1)
    found = [each for each in aged(load_rules(), later, 60) if (each.of, each.name) == (of, name)]
    assert found
    assert items <= {item for each in found for item in each.items}
    assert all(each.sources for each in found)


def test_what_was_never_read_again_is_always_named_and_first() -> None:
    rules = load_rules()
    unread = replace(rules.sources["laposte"], read_as="not re-read")
    rules = replace(rules, sources={**rules.sources, "laposte": unread})
    always = aged(rules, TODAY, 3650)
    assert "laposte" in {each.name for each in always}
    assert {(each.read, each.days) for each in always} == {(None, None)}
    assert aged(rules, TODAY, 0)[: len(always)] == always


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ["days ago", "receiver gmail", "profile nz-sge", "sending service ", "DNS console "]),
        ("ja", ["日前", "受信サービスgmail", "基準nz-sge", "配信サービス", "DNSの管理画面"]),
    ],
)
def test_the_command_lists_them(deliv: Deliv, lang: str, words: list[str]) -> None:  # noqa: F811
    done = deliv("rules", "--stale", "0", "--lang", lang)
    assert done.code == 0
    assert [each for each in words if each not in done.out] == []
    assert raw(done.out) == []
    assert "—" not in done.out
    found = deliv("rules", "--stale", "0", "--format", "json").json
    assert {each["of"] for each in found} == {"receiver", "profile", "service", "dns-provider"}
    assert "gmail" in {each["name"] for each in found}


def test_days_are_a_number(deliv: Deliv) -> None:  # noqa: F811
    assert deliv("rules", "--stale", "soon").code == 2
