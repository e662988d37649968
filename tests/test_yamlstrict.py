"""The strict YAML reader: no surprises in types, no repeated keys, lines kept."""

from __future__ import annotations

import pytest

from deliverability.core.yaml import YamlError, read


def test_only_true_false_null_and_numbers_are_special() -> None:
    text = "a: yes\nb: on\nc: 12:30\nd: 2026-11-24\ne: 0x1F\nf: 010\ng: true\nh: null\ni: -7\nj: 1.5\nk: '5'\nl: .5\n"
    assert read(text).data == {
        "a": "yes",
        "b": "on",
        "c": "12:30",
        "d": "2026-11-24",
        "e": "0x1F",
        "f": "010",
        "g": True,
        "h": None,
        "i": -7,
        "j": 1.5,
        "k": "5",
        "l": ".5",
    }


def test_lines_are_kept_for_every_value() -> None:
    document = read("- id: A\n  text:\n    en: x\n- id: B\n")
    assert document.line((0, "text", "en")) == 3
    assert document.line((1,)) == 4
    assert document.line((0, "nowhere", "deeper")) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a: &x [1]\nb: *x\n", 1, "anchors"),
        ("a: !!python/object:os.system x\n", 1, "tags"),
        ("a: 1\n---\nb: 2\n", 2, "more than one document"),
        ("a: [1, 2\nb: 3\n", 2, "did not find"),
        ("? [a, b]\n: 1\n", 1, "plain word"),
        ("a: \x01\n", 1, "control characters"),
    ],
)
def test_what_it_refuses_names_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(YamlError, match=words) as caught:
        read(text)
    assert caught.value.line == line


def test_nesting_is_bounded() -> None:
    with pytest.raises(YamlError, match="nested deeper"):
        read("[" * 200 + "]" * 200)


def test_an_empty_text_is_nothing() -> None:
    assert read("").data is None
