"""What an edit of an SPF, DMARC or other record changes, word by word.

The unit is what a person reads as one piece: a term of SPF (``include:a.example``), a tag of DMARC, DKIM, MTA-STS or
BIMI (``p=none``), else a word. Blanks and the semicolon in front of a piece belong to it: joining what is kept and
added gives the new text, octet for octet, and joining what is kept and removed the old one. Where words changed as
well, a piece that only has other blanks around it counts as kept, as it stands in the new text.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

MAX_PIECES = 400
"""Pieces of one text that are told apart; of a longer one the rest is one piece."""


class PieceKind(StrEnum):
    """What became of a piece."""

    SAME = "kept"
    REMOVED = "removed"
    ADDED = "added"


class Piece(NamedTuple):
    """A piece of the old or the new text, with the blanks in front of it."""

    kind: PieceKind
    text: str


_TAGGED = re.compile(r"\s*v\s*=\s*(?:DMARC1|DKIM1|STSv1|TLSRPTv1|BIMI1)\b|\s*[a-z]+\s*=[^;]*;", re.IGNORECASE)
_TAG = re.compile(r";\s*\Z|;?[^;]*")
_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+\Z")


def diff(old: str, new: str) -> tuple[Piece, ...]:
    """The pieces of both texts in reading order; of a place that changed, what was removed first."""
    from difflib import SequenceMatcher

    before, after = _pieces(old), _pieces(new)
    keys = [_without_blanks(each) for each in before], [_without_blanks(each) for each in after]
    if keys[0] == keys[1]:
        keys = before, after  # the blanks are all that changed
    found: list[Piece] = []
    for change, first, last, start, end in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if change == "equal":
            found += [Piece(PieceKind.SAME, text) for text in after[start:end]]
        else:
            found += [Piece(PieceKind.REMOVED, text) for text in before[first:last]]
            found += [Piece(PieceKind.ADDED, text) for text in after[start:end]]
    return tuple(found)


def _without_blanks(piece: str) -> str:
    return "".join(piece.split())


def _pieces(text: str) -> list[str]:
    """The text cut into pieces; nothing is lost."""
    pattern = _TAG if _TAGGED.match(text) else _WORD
    pieces: list[str] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None or len(pieces) == MAX_PIECES:
            pieces.append(text[position:])
            break
        pieces.append(match.group())
        position = match.end()
    return pieces
