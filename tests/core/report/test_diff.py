"""The word-level difference of two records: pieces as people read them, and nothing of either text lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.report.records import diff


def shown(old: str, new: str) -> str:
    marks = {"kept": "", "removed": "-", "added": "+"}
    return "|".join(f"{marks[piece.kind]}{piece.text}" for piece in diff(old, new))


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        ("v=spf1 a mx -all", "v=spf1 mx ~all", "v=spf1|- a| mx|- -all|+ ~all"),
        ("v=spf1 a -all", "v=spf1 a -all", "v=spf1| a| -all"),
        ("", "v=spf1 -all", "+v=spf1|+ -all"),
        ("v=spf1 -all", "", "-v=spf1|- -all"),
        ("v=DMARC1; p=none; pct=5", "v=DMARC1; p=reject", "v=DMARC1|-; p=none|-; pct=5|+; p=reject"),
        ("v=DMARC1; p=none", "v=DMARC1; p=none; rua=mailto:a@b.example", "v=DMARC1|; p=none|+; rua=mailto:a@b.example"),
        ("v=spf1  a", "v=spf1 a", "v=spf1|-  a|+ a"),
        ("v=spf1  a mx  -all", "v=spf1 a -all", "v=spf1| a|- mx| -all"),
    ],
)
def test_pieces(old: str, new: str, pieces: str) -> None:
    assert shown(old, new) == pieces


@given(st.text(alphabet="v=spf1 DMARC;a\t\u3042", max_size=80), st.text(alphabet="v=spf1 DMARC;a\n", max_size=80))
def test_both_texts_can_be_put_together_again(old: str, new: str) -> None:
    pieces = diff(old, new)
    assert squeezed("".join(each.text for each in pieces if each.kind != "added")) == squeezed(old)
    assert "".join(each.text for each in pieces if each.kind != "removed") == new


def test_a_hostile_text_is_cut_into_few_pieces() -> None:
    old, new = "a b " * 50_000, "b a " * 50_000
    pieces = diff(old, new)
    assert len(pieces) < 2_000
    assert squeezed("".join(each.text for each in pieces if each.kind != "added")) == squeezed(old)
