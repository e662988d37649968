"""Character references as browsers read them, whatever somebody writes behind ``&#``."""

from __future__ import annotations

import pytest

from deliverability.core.mail.html.markup import unescape


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("&amp;&#65;&#x41;&lt", "&AA<"),
        ("&#0000000000065;", "A"),
        ("&#00000000;", "\ufffd"),
        ("&#128512;", "\U0001f600"),
        ("&#1114112;", "\ufffd"),
        ("&#" + "9" * 5000, "\ufffd"),
        ("a&#" + "9" * 5000 + ";b", "a\ufffdb"),
        ("&#x" + "f" * 5000 + ";", "\ufffd"),
        ("&#;&#", "&#;&#"),
    ],
)
def test_references(text: str, read: str) -> None:
    assert unescape(text) == read
