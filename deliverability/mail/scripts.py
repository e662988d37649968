"""Scripts of international domain labels, and when their mixture is suspicious (UTS 39)."""

from __future__ import annotations

import unicodedata

# What may stand together (UTS 39 section 5.2, "highly restrictive"): the scripts of Japanese, Chinese and Korean text.
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
# Names of Unicode characters begin with their script, with these exceptions among what IDNA allows in a label.
_OTHER_NAMES = {
    "々": "CJK",  # IDEOGRAPHIC ITERATION MARK
    "〆": "CJK",  # IDEOGRAPHIC CLOSING MARK
    "〇": "CJK",  # IDEOGRAPHIC NUMBER ZERO
}
# Letters of more than one script: the long vowel mark of both kana, the apostrophe of many languages.
_SHARED = frozenset("ーʼʻ・·")


def is_highly_restrictive(label: str) -> bool:
    """Whether a label (U-label, lower case) is at most of the level "highly restrictive" of UTS 39 section 5.2.

    That is: one script, or Latin with Han and kana, with Han and Bopomofo, or with Han and Hangul. Digits, hyphens and
    combining marks belong to every script. A name in one script that only looks like another one is not found.
    """
    scripts = {script for character in label if (script := _script(character)) is not None}
    return len(scripts) <= 1 or any(scripts <= allowed for allowed in _TOGETHER)


def _script(character: str) -> str | None:
    """The script in the words of Unicode's character names; None for what all or several scripts share."""
    if character in _SHARED or unicodedata.category(character)[0] not in "L":
        return None
    name = unicodedata.name(character, "")
    return _OTHER_NAMES.get(character) or name.partition(" ")[0].partition("-")[0] or character


MAX_LABEL = 63
"""Octets of a label (RFC 1035 section 2.3.4)."""


def unicode_labels(domain: str) -> tuple[str, ...]:
    """The labels of a domain as people see them; an A-label that does not decode stays as it is."""
    return tuple(_decoded(label) for label in domain.lower().split("."))


def _decoded(label: str) -> str:
    if not label.startswith("xn--") or len(label) > MAX_LABEL:  # decoding takes time in the square of the length
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label
