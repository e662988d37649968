"""Character references of HTML, from whoever wrote it."""

from __future__ import annotations

import re

_LONG = re.compile(r"&#([0-9]{8,});?")
_MOST_DIGITS = 7  # U+10FFFF is 1114111


def unescape(text: str) -> str:
    """`text` with its character references replaced, in the way of HTML 5; takes any text.

    Python refuses to read numbers of thousands of digits; here they are no character, as browsers have it.
    """
    if "&" not in text:
        return text
    import html  # with the table of all their names

    return html.unescape(_LONG.sub(_shortened, text))


def _shortened(match: re.Match[str]) -> str:
    digits = match[1].lstrip("0")
    return f"&#{digits or 0};" if len(digits) <= _MOST_DIGITS else "\ufffd"
