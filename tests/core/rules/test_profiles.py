"""Profile files: each mistake is told with its line, and with the nearest known name."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.core.phrases import detail_words, phrases
from deliverability.core.rules.problems import RuleError
from deliverability.engine.rules import read_rules
from tests.sampled import sampled

pytestmark = pytest.mark.long

PROFILE = """id: house
name: {en: House rules, ja: 社内基準}
title: House rules
issuer: {en: We, ja: 自社}
bound: {en: Everybody here, ja: 社内の全員}
force: voluntary
scope: baseline
sources:
  wiki: {url: "https://example.com/wiki", checked: "2026-11-29", read_as: original}
clauses:
  - id: dmarc
    asks: {en: p=reject, ja: p=reject}
    source: wiki
    require: {fact: dmarc.policy, eq: reject}
"""


def problems(folder: Path, text: str) -> list[str]:
    """What is wrong with a profile, in words."""
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / "house.yaml").write_text(text)
    with pytest.raises(RuleError) as raised:
        read_rules([folder])
    return [detail_words(each, phrases("en")).replace(f"{folder}/", "") for each in raised.value.details]


def test_a_profile_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "house.yaml").write_text(PROFILE)
    found = read_rules([tmp_path]).profiles
    assert found["house"].clauses[0].id == "dmarc"
    assert "internet-nl" in found


def test_a_later_folder_replaces_the_profile_of_the_same_id(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "own.yaml").write_text(PROFILE.replace("id: house", "id: pci-dss"))
    assert read_rules([tmp_path]).profiles["pci-dss"].title == "House rules"


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    sampled([
        ("eq: reject}", "eq: rejected}", 14, "'rejected'"),
        ("dmarc.policy", "dmarc.polcy", 14, "dmarc.policy"),
        ("source: wiki", "source: wicki", 13, "wiki"),
        ("force: voluntary", "force: voluntery", 6, "voluntery"),
        ("scope: baseline", "scope: baseline\nreceiver: gmial", 8, "gmail"),
        ("scope: baseline", "scope: baseline\ncontradicts: [nz-sg]", 8, "nz-sge"),
        ("    require: {fact: dmarc.policy, eq: reject}\n", "", 11, "dmarc"),
        ("    require: {fact: dmarc.policy, eq: reject}\n", "    rules: [DMARC-0001]\n", 14, "DMARC-001"),
        ("    require:", "    each: mx.host\n    require:", 14, "mx.hosts"),
        ("    require:", "    which: {fact: dmarc.present, eq: true}\n    require:", 14, "which needs each"),
        ("asks: {en: p=reject, ja: p=reject}", "asks: {en: p=reject}", 12, "ja"),
        ("    source: wiki", "    sourc: wiki\n    source: wiki", 13, "sourc"),
        ('checked: "2026-11-29"', 'checked: "yesterday"', 9, "sources.wiki.checked: 'yesterday'"),
    ], 3),
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, word: str, tmp_path: Path) -> None:
    found = problems(tmp_path, PROFILE.replace(old, new))
    assert len(found) == 1
    assert word in found[0]
    assert found[0].startswith(f"profiles/house.yaml:{line}:")


def test_two_clauses_of_one_id_are_told(tmp_path: Path) -> None:
    clause = PROFILE[PROFILE.index("  - id: dmarc") :]
    (found,) = problems(tmp_path, PROFILE + clause)
    assert found.startswith("profiles/house.yaml:15:")
