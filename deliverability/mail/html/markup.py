"""HTML text cut into tokens: tags with their attributes, text, comments, raw text.

It follows the tokenization rules of the HTML standard (section 13.2.5) as far as mail needs them, in one pass and in
time linear to the text. Tokens stand one after the other and cover every character, so that every octet can be
counted exactly once; no tree is built, since a tree of hostile markup can be deeper than any recursion.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from deliverability._regex import re
from deliverability._values import dataclass

_TAG_START = re.compile(r"<(?=[A-Za-z!?]|/[A-Za-z])")  # any other "<" is text
_TAG_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_BETWEEN_ATTRIBUTES = re.compile(r"[\s/]*")
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("style", "script", "title", "textarea", "iframe", "xmp", "noembed", "noframes")
}
VOID_ELEMENTS = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)


class TokenKind(Enum):
    """What a token is."""

    TEXT = "text"
    START = "start tag"
    END = "end tag"
    COMMENT = "comment"
    DECLARATION = "declaration"  # <!DOCTYPE ...>, <![if ...]>, <?xml ...>
    RAW = "raw text"  # the content of style, script, title, textarea and the like


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a start tag. Offsets are characters of the whole text; those of the value leave quotes out."""

    name: str  # lower case
    value: str  # as written, without quotes; character references are not decoded
    start: int
    end: int
    value_start: int
    value_end: int


@dataclass(frozen=True, slots=True)
class Token:
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
        start = _TAG_START.search(text, position)
        begin = start.start() if start else len(text)
        if begin > position:
            yield Token(TokenKind.TEXT, position, begin)
        if begin == len(text):
            return
        token = _markup(text, begin)
        yield token
        position = token.end
        if token.kind is TokenKind.START and token.name in _RAW_TEXT and position < len(text):
            close = _RAW_TEXT[token.name].search(text, position)
            end = close.start() if close else len(text)
            if end > position:
                yield Token(TokenKind.RAW, position, end, token.name)
            position = end


def _markup(text: str, begin: int) -> Token:
    if text.startswith("<!--", begin):
        # "<!-->" and "<!--->" are whole comments (HTML standard, 13.2.5.43).
        end = text.find("-->", begin + 2)
        return Token(TokenKind.COMMENT, begin, len(text) if end < 0 else end + 3, closed=end >= 0)
    if text.startswith(("<!", "<?"), begin):
        end = text.find(">", begin)
        return Token(TokenKind.DECLARATION, begin, len(text) if end < 0 else end + 1, closed=end >= 0)
    name = _TAG_NAME.match(text, begin)
    assert name is not None, "a tag start is followed by a letter"  # noqa: S101
    attributes, end, closed = _attributes(text, name.end())
    kind = TokenKind.END if text.startswith("</", begin) else TokenKind.START
    return Token(kind, begin, end, name[1].lower(), attributes, closed)


def _attributes(text: str, position: int) -> tuple[tuple[Attribute, ...], int, bool]:
    found: list[Attribute] = []
    while True:
        gap = _BETWEEN_ATTRIBUTES.match(text, position)
        position = gap.end() if gap else position
        if position >= len(text):
            return tuple(found), len(text), False
        if text[position] == ">":
            return tuple(found), position + 1, True
        match = _ATTRIBUTE.match(text, position)
        assert match is not None, "neither space, slash nor >"  # noqa: S101
        value = match[2] or ""
        quotes = 1 if value[:1] in ("'", '"') and len(value) > 1 and value[0] == value[-1] else 0
        at = match.start(2) if match[2] is not None else match.end()
        found.append(
            Attribute(
                match[1].lower(),
                value[quotes : len(value) - quotes],
                match.start(),
                match.end(),
                at + quotes,
                at + len(value) - quotes,
            )
        )
        position = match.end()
