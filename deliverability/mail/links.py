"""The lines of a plain text that stand near a web or mail address."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

LONGEST_LINE = 5000  # characters of a line that are looked at
LINES_NEAR = 2

# Literal first: the search goes from colon to colon.
_SCHEME = re.compile(r":(?:(?<=http:)|(?<=https:)|(?<=mailto:))", re.IGNORECASE)
_OTHER_LINE_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # of str.splitlines; CR and CRLF are read as one with LF


def near_links(pieces: Iterable[str]) -> Iterator[str]:
    """Stretches of whole lines that hold all lines with ``http:``, ``https:`` or ``mailto:`` and two on either side.

    Lines end in LF, whatever ends them in `pieces`. A line may come twice, and may lack what is beyond LONGEST_LINE.
    Some pieces are held at a time, however long the text and its lines are.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    held, seen = "", 0  # lines before that may still be near to something, and up to where they were looked through
    for piece in pieces:
        text = held + _with_lf(newlines.decode(piece))
        limit = _back(text, len(text), LINES_NEAR + 1)  # all lines near to what stands before it are there
        yield from _stretches(text, seen, limit)
        begin = _back(text, limit - 1, LINES_NEAR) if limit else 0
        seen = max(seen, limit) - begin
        last = text.rfind("\n") + 1
        held = text[begin : last + LONGEST_LINE]
    text = held + _with_lf(newlines.decode("", final=True))
    yield from _stretches(text, seen, len(text))


def _with_lf(text: str) -> str:
    for each in _OTHER_LINE_ENDS:
        if each in text:
            text = text.replace(each, "\n")
    return text


def _stretches(text: str, position: int, limit: int) -> Iterator[str]:
    """Those of the links from `position` to `limit`; neighbours that overlap are one."""
    start = end = 0
    while match := _SCHEME.search(text, position, limit):
        first = _back(text, match.start(), LINES_NEAR + 1)
        position = _forward(text, match.start(), 1)  # one link of a line is enough
        if first > end or not end:
            if end:
                yield text[start:end]
            start = first
        end = _forward(text, position, LINES_NEAR)
    if end:
        yield text[start:end]


def _back(text: str, position: int, line_ends: int) -> int:
    """Where the line begins behind the LF that is that many before `position`."""
    for _ in range(line_ends):
        position = text.rfind("\n", 0, position)
        if position < 0:
            return 0
    return position + 1


def _forward(text: str, position: int, line_ends: int) -> int:
    """Where the line begins behind that many LF at or after `position`."""
    for _ in range(line_ends):
        position = text.find("\n", position) + 1
        if not position:
            return len(text)
    return position
