"""HTML text cut into tokens: tags with their attributes, text, comments, raw text.

It follows the tokenization rules of the HTML standard (section 13.2.5) as far as mail needs them, in one pass and in
time linear to the text. Tokens stand one after the other and cover every character, so that every octet can be
counted exactly once; no tree is built, since a tree of hostile markup can be deeper than any recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple

# Any other "<" is text. Most tags have no attributes and are read whole.
_BEGIN = re.compile(r"<(?:(/?)([A-Za-z][^\s/>]*)(>?)|[!?])")
# The groups: name; value in double quotes, in single quotes, without; the end of the tag.
_ATTRIBUTE = re.compile(r"""[\s/]*(?:([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?|(>)|\Z)""")
_NAME, _TAG_END = 1, 5
_RAW_TEXT = frozenset({"style", "script", "title", "textarea", "iframe", "xmp", "noembed", "noframes"})
VOID_ELEMENTS = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)


@cache
def _end_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)


class TokenKind(Enum):
    """What a token is."""

    TEXT = "text"
    START = "start tag"
    END = "end tag"
    COMMENT = "comment"
    DECLARATION = "declaration"  # <!DOCTYPE ...>, <![if ...]>, <?xml ...>
    RAW = "raw text"  # the content of style, script, title, textarea and the like


class Attribute(NamedTuple):
    """An attribute of a start tag. Offsets are characters of the whole text; those of the value leave quotes out."""

    name: str  # lower case
    value: str  # as written, without quotes; character references are not decoded
    start: int
    end: int
    value_start: int
    value_end: int


class Token(NamedTuple):
    """A piece of the text from `start` to `end` (characters).

    Attributes:
        name: of the element in lower case, for tags and raw text; else empty.
        attributes: of a start tag, in order, repeated ones included.
        closed: False for a tag, comment or declaration that the end of the text cuts off.

    """

    kind: TokenKind
    start: int
    end: int
    name: str = ""
    attributes: tuple[Attribute, ...] = ()
    closed: bool = True


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`, in order and without gaps."""
    position = 0
    while position < len(text):
        start = _BEGIN.search(text, position)
        begin = start.start() if start else len(text)
        if begin > position:
            yield Token(TokenKind.TEXT, position, begin)
        if start is None:
            return
        slash, name, closed = start.groups()
        if name is None:
            token = _comment_or_declaration(text, begin)
        else:
            kind = TokenKind.END if slash else TokenKind.START
            name = name.lower()
            token = (
                Token(kind, begin, start.end(), name)
                if closed
                else Token(kind, begin, *_attributes(text, start.end(), name))
            )
        yield token
        position = token.end
        if name in _RAW_TEXT and not slash and position < len(text):
            close = _end_of(name).search(text, position)
            end = close.start() if close else len(text)
            if end > position:
                yield Token(TokenKind.RAW, position, end, name)
            position = end


def _comment_or_declaration(text: str, begin: int) -> Token:
    if text.startswith("<!--", begin):
        # "<!-->" and "<!--->" are whole comments (HTML standard, 13.2.5.43).
        kind, end, octets = TokenKind.COMMENT, text.find("-->", begin + 2), 3
    else:
        kind, end, octets = TokenKind.DECLARATION, text.find(">", begin), 1
    return Token(kind, begin, len(text) if end < 0 else end + octets, closed=end >= 0)


def _attributes(text: str, position: int, name: str) -> tuple[int, str, tuple[Attribute, ...], bool]:
    """What a token has behind its beginning, for the tag `name` whose attributes begin at `position`."""
    found: list[Attribute] = []
    while True:
        match = _ATTRIBUTE.match(text, position)
        assert match is not None, "an attribute, an end, or nothing more"  # noqa: S101
        position = match.end()
        group = match.lastindex
        if group is None or group == _TAG_END:
            return position, name, tuple(found), group is not None
        start, stop = match.span(group) if group > _NAME else (position, position)
        found.append(Attribute(match[_NAME].lower(), text[start:stop], match.start(_NAME), position, start, stop))
