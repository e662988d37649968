"""Widths of characters, and where text may be parted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from deliverability.core.report import wrap
from deliverability.core.report.paper import _SYMBOLS


@pytest.mark.parametrize("char", sorted(wrap._NARROW))
def test_what_is_taken_for_narrow_is(char: str) -> None:
    assert wcwidth(char) == 1


def test_no_symbol_of_a_report_needs_the_tables() -> None:
    assert {char for symbols in _SYMBOLS.values() for symbol in symbols for char in symbol} <= wrap._NARROW


@given(st.text(st.sampled_from(" ab.,)([“”‘’…→-1é"), min_size=1, max_size=30))
def test_text_of_narrow_characters_is_parted_as_by_the_rules_of_all(text: str) -> None:
    assert list(wrap._units(text, 30)) == list(wrap._phrases(text, 30))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("切り替え", "設定を切り替えてから、受信側の担当者に連絡してください。"),
        ("問い合わせ", "受信側のpostmasterに問い合わせてください。"),
        ("取り込み", "受信側から届いたレポートを取り込みます。"),
        ("受け付け", "レポートを受け付けるアドレスを公開してください。"),
        ("置き換え", "いまのレコードを、次のレコードで置き換えてください。"),
        ("そろう", "28日分のレポートがそろうまで、ポリシーを変更しません。"),
        ("貼り付け", "管理画面に貼り付けるだけで公開できます。"),
        ("読み取り", "メールのファイルを読み取りました。"),
    ],
)
def test_no_line_ends_within_a_japanese_word(word: str, text: str) -> None:
    for columns in range(30, 60):
        lines = wrap.wrap(text, columns)
        assert any(word in line for line in lines), lines
        assert "".join(lines) == text
        assert all(wrap.width_of(line) <= columns for line in lines)


def test_a_list_of_endings_is_parted_between_them() -> None:
    """A full stop begins no line, but the dot of an ending does; else nothing parts such a list but force."""
    text = "形式は拡張子で決まります：.txt、.json、.html、.pdf、.md、.csv、.clauses.csv、.sarif、.xml、.prom。"
    assert wrap.wrap(text, 42) == [
        "形式は拡張子で決まります：.txt、.json、",
        ".html、.pdf、.md、.csv、.clauses.csv、",
        ".sarif、.xml、.prom。",
    ]
    english = "Its extension sets the format: .txt, .json, .html, .pdf, .md, .csv, .clauses.csv, .sarif, .xml, .prom."
    assert wrap.wrap(english, 30) == [
        "Its extension sets the format:",
        ".txt, .json, .html, .pdf, .md,",
        ".csv, .clauses.csv, .sarif,",
        ".xml, .prom.",
    ]


@pytest.mark.parametrize("text", ["See {}, which names the form.", "フォームは{}を参照してください。", "{}"])
def test_a_link_is_never_cut(text: str) -> None:
    """One that is longer than the line has a line of its own: in two pieces it leads nowhere."""
    link = "https://support.example.com/articles/Troubleshooting-of-mail-that-does-not-arrive"
    lines = wrap.wrap(text.format(link), 40)
    assert sum(link in line for line in lines) == 1, lines
    assert all(wrap.width_of(line) <= 40 for line in lines if link not in line)
