"""HTML text cut into tokens, character references resolved, style sheets read as far as an audit needs them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple

from msgspec import Struct

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


_PIECE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*(?:"|\Z|(?=\n))|'(?:[^'\\\n]|\\.)*(?:'|\Z|(?=\n))|url\([^)]*(?:\)|\Z)""",
    re.DOTALL | re.IGNORECASE,
)
_MARK = re.compile(r"[{};]")
_MARKS_IN_STRINGS = str.maketrans("{};", "___")
_CONDITIONAL = ("@media", "@supports", "@container")


class Declaration(Struct, frozen=True):
    """``name: value`` in a rule or style attribute; the name in lower case.

    Attributes:
        conditional: it counts only under a condition (@media, @supports, a selector with a state is not looked at).
        block: what the rule applies to: its selector, or the at-rule it stands in directly.

    """

    name: str
    value: str
    conditional: bool = False
    block: str = ""


class Prelude(Struct, frozen=True):
    """What stands before a block (a selector or an at-rule), or an at-rule without block such as @import."""

    text: str
    conditional: bool
    nested: bool  # a style rule inside a style rule


def read_sheet(css: str) -> Iterator[Declaration | Prelude]:
    """The rules of a style sheet, in order: each prelude, then its declarations."""
    text = _PIECE.sub(_tame, css)
    stack: list[str] = []
    conditions = 0
    position = 0
    for mark in _MARK.finditer(text):
        chunk = text[position : mark.start()].strip().removeprefix("<!--").removeprefix("-->").strip()
        position = mark.end()
        if mark[0] == "{":
            nested = bool(stack) and not stack[-1].startswith("@") and not chunk.startswith("@")
            yield Prelude(chunk, conditions > 0, nested)
            stack.append(chunk)
            conditions += chunk.lower().startswith(_CONDITIONAL)
            continue
        if chunk.startswith("@"):
            yield Prelude(chunk, conditions > 0, nested=False)
        elif chunk and stack:
            declaration = _declaration(chunk, conditions > 0, stack[-1])
            if declaration:
                yield declaration
        if mark[0] == "}" and stack:
            conditions -= stack.pop().lower().startswith(_CONDITIONAL)


def read_attribute(style: str) -> Iterator[Declaration]:
    """The declarations of a style attribute (character references decoded)."""
    for chunk in _PIECE.sub(_tame, style).split(";"):
        declaration = _declaration(chunk.strip(), conditional=False, block="")
        if declaration:
            yield declaration


def _tame(match: re.Match[str]) -> str:
    """A comment as a blank; a string or address without the characters that part rules."""
    return " " if match[0].startswith("/*") else match[0].translate(_MARKS_IN_STRINGS)


def _declaration(chunk: str, conditional: bool, block: str) -> Declaration | None:
    name, colon, value = chunk.partition(":")
    if not colon or not name.strip():
        return None
    return Declaration(name.strip().lower(), value.strip(), conditional, block)


_LONG = re.compile(r"&#([0-9]{8,});?")
_MOST_DIGITS = 7  # U+10FFFF is 1114111


def unescape(text: str) -> str:
    """`text` with its character references replaced, in the way of HTML 5; takes any text.

    Python refuses to read numbers of thousands of digits; here they are no character, as browsers have it.
    """
    if "&" not in text:
        return text
    return html.unescape(_LONG.sub(_shortened, text))


def _shortened(match: re.Match[str]) -> str:
    digits = match[1].lstrip("0")
    return f"&#{digits or 0};" if len(digits) <= _MOST_DIGITS else "\ufffd"
