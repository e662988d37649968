"""A page of plain text for a terminal: paragraphs in a width, records that can be copied, colour only if asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from deliverability.render.wrap import typewritten, width_of, wrap
from deliverability.view.segments import segments

MIN_WIDTH, MAX_WIDTH = 40, 100
_SHORT = 24  # a record that is no longer stays in its line

_COLOURS = {
    "rejected": "31",
    "error": "31",
    "at-risk": "33",
    "warning": "33",
    "accepted": "32",
    "met": "32",
    "depends": "33",
    "dns-not-ready": "31",
    "dns-partly": "36",
    "dns-ready": "32",
    "cannot-tell": "36",
    "unknown": "36",
    "info": "34",
    "bold": "1",
    "dim": "2",
    "code": "36",
    "bad": "31",
    "risk": "33",
    "good": "32",
}
_SYMBOLS = {
    "accepted": ("✓", "+"),
    "at-risk": ("▲", "!"),
    "rejected": ("✗", "x"),
    "depends": ("▲", "!"),
    "dns-not-ready": ("✗", "x"),
    "dns-partly": ("?", "?"),
    "dns-ready": ("✓", "+"),
    "cannot-tell": ("?", "?"),
    "rule": ("─", "-"),
    "bullet": ("•", "-"),
    "met": ("✓", "+"),
    "unmet": ("✗", "x"),
    "unknown": ("?", "?"),
    "not-applicable": ("–", "-"),
    "bad": ("✗", "x"),
    "risk": ("▲", "!"),
    "good": ("✓", "+"),
    "none": ("–", "-"),
    "so": ("⇒", "=>"),
    "to": ("→", "->"),
    "worse": ("▲", "^"),
    "better": ("▼", "v"),
}


class Paper(Struct, frozen=True):
    """How to write: width, colour, and symbols or ASCII."""

    width: int
    color: bool = False
    unicode: bool = True

    @classmethod
    def of_terminal(cls, width: int, *, color: bool = False, unicode: bool = True) -> Paper:
        """A page as wide as the terminal, between 40 and 100 columns."""
        return cls(max(MIN_WIDTH, min(width, MAX_WIDTH)), color, unicode)

    def ink(self, text: str, style: str) -> str:
        """`text` in a colour."""
        code = _COLOURS.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code else text

    def symbol(self, name: str) -> str:
        """The sign for a verdict, an outcome or a piece of layout."""
        return _SYMBOLS[name][0 if self.unicode else 1]

    def paragraph(self, text: str, indent: int = 0, first: str = "", style: str = "") -> list[str]:
        """`text` wrapped behind `indent` columns; `first` (already part of the indent) opens the first line."""
        pieces = wrap(text, self.width - indent) or [""]
        lead = first + " " * (indent - width_of(first))
        return [
            (lead if index == 0 else " " * indent) + (self.ink(piece, style) if style else piece)
            for index, piece in enumerate(pieces)
        ]

    def hang(self, text: str, lead: str) -> list[str]:
        """`text` wrapped behind the width of `lead`, which opens the first line."""
        return self.paragraph(text, width_of(lead), lead)

    def step(self, step: str, lead: str) -> Iterator[str]:
        """A step; a record in it has a line of its own and is never broken, so that it can be copied as it is."""
        indent = width_of(lead)
        text = ""
        for code, piece in segments(step):
            if not code or len(piece) <= _SHORT or " " not in piece:
                text += piece
                continue
            if text.strip():
                yield from self.paragraph(" ".join(text.split()), indent, lead)
                lead = " " * indent
            yield lead + self.ink(piece, "code")
            lead, text = " " * indent, ""
        if text.strip():
            yield from self.paragraph(" ".join(text.split()), indent, lead)

    def heading(self, text: str) -> list[str]:
        """A heading with a line behind it."""
        line = self.symbol("rule") * (self.width - width_of(text) - 1)
        return ["", " ".join([self.ink(text, "bold"), *([self.ink(line, "dim")] if line else [])]), ""]

    def text(self, lines: Iterable[str]) -> str:
        """The lines as a text that ends with a line end."""
        text = "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"
        return text if self.unicode else typewritten(text)
