"""The templates of reports/ for whoever lays out a page."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from deliverability._resources import locate
from deliverability.view.segments import segments

if TYPE_CHECKING:
    import jinja2
    from jinja2.runtime import Macro
    from markupsafe import Markup

_MOST_PIECES = 8192


def _css_text(text: str) -> str:
    """A text as it may stand in a quoted string of a style sheet, whoever wrote it."""
    return "".join(char if char.isalnum() or char in " .-_·（）" else f"\\{ord(char):x} " for char in text)


def _unbroken(record: str) -> tuple[tuple[bool, str], ...]:
    """A record in pieces; True marks a ``?all`` that no line may end in: lines may break behind a question mark."""
    pieces = re.split(r"((?<!\S)\?\S{1,30}(?!\S))", record)
    return tuple((bool(number % 2), piece) for number, piece in enumerate(pieces) if piece)


def _named(text: str) -> tuple[tuple[bool, str], ...]:
    """A text in pieces; True marks a domain name."""
    pieces = re.split(r"((?:(?<![a-zA-Z0-9_*:@-])|(?=[:@]))[a-zA-Z0-9_*:@-]{1,255}+(?:\.[a-zA-Z0-9_*-]{1,63}+)+)", text)
    return tuple((bool(number % 2), piece) for number, piece in enumerate(pieces) if piece)


class _MarkupCache:
    """Pieces of markup that stand on many pages, by the macro that made them and what it was given."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], str] = {}

    def __call__(self, macro: Macro, lang: str, given: Iterable[object], *names: str) -> Markup:
        """What the macro makes of each; of one that cannot be a key itself `names` are the attributes that it shows."""
        from markupsafe import Markup

        tell = attrgetter(*names) if names else None
        found = []
        for each in given:
            key = (macro.name, lang, tell(each) if tell else each)
            if (made := self._made.get(key)) is None:
                if len(self._made) >= _MOST_PIECES:
                    self._made.clear()
                made = self._made[key] = macro(each)
            found.append(made)
        return Markup("").join(found)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of reports/, with escaping on for every one of them; they are read once."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(locate("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["css_text"] = _css_text
    made.globals["cached"] = _MarkupCache()
    made.filters["named"] = _named
    made.filters["segments"] = segments
    made.filters["unbroken"] = _unbroken
    return made
