"""HTML text cut into tokens, style sheets read as far as an audit needs them, and HTML without what no reader sees.

Minified, it is safe rather than small: elements, attributes that mean something, text and conditional comments stay as
they are. Where white space may show (pre, textarea, white-space: pre, inline-block columns) it stays or shrinks to one
character.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
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


_SPACES = re.compile(r"[ \t\n\r\f]+")
_SPACE = " \t\n\r\f"
_NOT_ONE_SPACE = re.compile(r"[ \t\n\r\f]{2,}|[\t\r\f]")  # runs that do not stay as they are
# Between tags of these elements white space is not shown, unless CSS makes them stand in a line.
_BLOCKS = frozenset(
    """
    address article aside base blockquote body caption center col colgroup dd div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 head header hr html li link main meta nav ol p section style table tbody td tfoot th
    thead title tr ul
    """.split()  # noqa: SIM905
)
# An end tag does not reach an element outside these (HTML standard, 13.2.4.2), except one that is of them.
_BOUNDARIES = frozenset({"table", "caption", "td", "th", "html", "template", "marquee", "object", "applet"})
_TABLE_PARTS = _BOUNDARIES | {"tr", "tbody", "thead", "tfoot"}
# Parsers open these again after the block in which they were left open, so their end is not where it seems.
_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())  # noqa: SIM905
_CONDITIONAL_COMMENT = re.compile(r"\[if|\[endif", re.IGNORECASE)
_KEEPS_SPACE = re.compile(r"white-space(?:-collapse)?\s*:\s*(?:pre|break|-moz-pre)|whitespace", re.IGNORECASE)
_IN_LINE = re.compile(r"display\s*:\s*(?:inline|contents|run-in)", re.IGNORECASE)
_KEEPERS = frozenset({"pre", "listing", "plaintext", "svg", "math"})
_DROPPED_WHERE_EMPTY = ("class", "id", "style")
_DEFAULT_TYPES = {"style": "text/css", "script": "text/javascript"}
_MAX_SEARCH = 512  # levels; browsers nest no deeper

_CSS_PIECE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*(?:"|\Z|(?=\n))|'(?:[^'\\\n]|\\.)*(?:'|\Z|(?=\n))|url\([^)]*(?:\)|\Z)""",
    re.DOTALL | re.IGNORECASE,
)
_CSS_AROUND = re.compile(r" ?([{};,]) ?")
_CSS_AFTER_PROPERTY = re.compile(r"(?<![-\w])([-\w]{1,60}): ")
_CSS_PROPERTY_START = "{;("


def minify(html: str, cut: Sequence[Token] | None = None) -> str:
    """`html` in fewer characters, with equal text and structure for a reader. Takes any text, in linear time.

    `cut` are its tokens, where somebody has them already.
    """
    return _Minifier(html, tuple(tokens(html)) if cut is None else cut).run()


def minify_css(css: str) -> str:
    """A style sheet without comments and needless white space; unchanged where it holds what is not closed."""
    if "<!--" in css or "\0" in css:
        return css  # hidden from the browsers of the nineties, or broken: not worth a risk
    out: list[str] = []
    position = 0
    protected: list[str] = []
    for piece in _CSS_PIECE.finditer(css):
        out.append(css[position : piece.start()])
        position = piece.end()
        text = piece[0]
        if text.startswith("/*"):
            if len(text) < 4 or not text.endswith("*/"):
                return css
            out.append(" ")
        else:
            if text[-1] not in "\"')" or len(text) < 2:
                return css
            out.append(f"\0{len(protected)}\0")
            protected.append(text)
    out.append(css[position:])
    text = _SPACES.sub(" ", "".join(out))
    text = _CSS_AROUND.sub(r"\1", text).strip(" ")
    text = _after_properties(text).replace(";}", "}")
    return re.sub("\0(\\d+)\0", lambda match: protected[int(match[1])], text)


def _after_properties(css: str) -> str:
    """Drop the blank after the colon of a declaration or media feature; in a selector a blank has a meaning."""

    def shorten(match: re.Match[str]) -> str:
        begins = match.start() == 0 or css[match.start() - 1] in _CSS_PROPERTY_START
        return f"{match[1]}:" if begins else match[0]

    return _CSS_AFTER_PROPERTY.sub(shorten, css)


class _Minifier:
    def __init__(self, html: str, cut: Sequence[Token]) -> None:
        self.html = html
        self.tokens = cut
        sheets = [
            html[each.start : each.end] for each in self.tokens if each.kind is TokenKind.RAW and each.name == "style"
        ]
        self.sheets = "\n".join(sheets)
        # Any rule may reach any element: not worth a look at the selectors.
        self.keeps_all = _KEEPS_SPACE.search(self.sheets) is not None
        self.may_drop = _IN_LINE.search(self.sheets) is None and not any(
            _IN_LINE.search(attribute.value)
            for each in self.tokens
            if each.name in _BLOCKS
            for attribute in each.attributes
            if attribute.name == "style"
        )
        self.out: list[str] = []
        self.text: list[str] = []
        self.before = ""  # name of the tag before the pending text; "" at the beginning
        self.stack: list[tuple[str, bool]] = []
        self.open: dict[str, list[int]] = {}  # where in the stack each element is
        self.boundaries: list[int] = []
        self.keeping = 0
        self.written: dict[str, str] = {}  # start tags seen; most mails repeat a few

    def run(self) -> str:
        html = self.html
        for index, token in enumerate(self.tokens):
            kind, name = token.kind, token.name
            source = html[token.start : token.end]
            if kind is TokenKind.TEXT:
                self.text.append(source)
            elif kind is TokenKind.START:
                self._flush(name)
                if source not in self.written:
                    self.written[source] = self._written(token, source)
                self.out.append(self.written[source])
                self.before = name
                if name not in VOID_ELEMENTS:
                    self._nest(token)
            elif kind is TokenKind.END:
                self._flush(name)
                self.out.append(source)
                self.before = name
                self._close(name)
            elif kind is not TokenKind.COMMENT or not self._is_needless(token, source, index):
                self._flush("!")
                self.out.append(minify_css(source) if kind is TokenKind.RAW and name == "style" else source)
                self.before = name or "!"
        self._flush("")
        return "".join(self.out)

    def _is_needless(self, token: Token, source: str, index: int) -> bool:
        """A comment for nobody, without which the text before and after does not grow together to something else."""
        if not token.closed or _CONDITIONAL_COMMENT.search(source):
            return False
        before = self.text[-1][-1] if self.text else " "
        following = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
        joins = following is not None and following.kind is TokenKind.TEXT and self.html[following.start] not in _SPACE
        return before in _SPACE or not joins

    def _flush(self, following: str) -> None:
        """Write the text before the tag `following` ("" at the end, "!" before what is no tag)."""
        if not self.text:
            return
        text = "".join(self.text)
        self.text = []
        if not (self.keeps_all or self.keeping):
            between = self.before in _BLOCKS and following in _BLOCKS and self.may_drop
            at_edge = not self.out or not following
            if (between or at_edge) and not text.strip(_SPACE):
                return
            text = _NOT_ONE_SPACE.sub(_one_space, text)
        self.out.append(text)

    def _written(self, token: Token, source: str) -> str:
        """A start tag without what is redundant in it."""
        if not token.closed:
            return source
        attributes = [each for each in token.attributes if not self._is_redundant(token.name, each)]
        name = self.html[token.start : token.start + 1 + len(token.name)]
        pieces = [name, *(self._attribute(each) for each in attributes)]
        closing = ">"
        if source.endswith("/>") and token.name not in VOID_ELEMENTS:
            closing = "/>" if not attributes or pieces[-1].endswith(('"', "'")) else " />"
        written = " ".join(pieces) + closing
        # An unquoted value that ends in "/" would swallow what follows; such tags stay.
        return written if len(written) < len(source) else source

    def _attribute(self, attribute: Attribute) -> str:
        source = self.html[attribute.start : attribute.end]
        quote = source[-1:]
        # A reference holds ";", and braces do not belong into a style attribute.
        if attribute.name != "style" or quote not in ("'", '"') or any(each in attribute.value for each in "&{}"):
            return source
        return f"{source[:5]}={quote}{minify_css(attribute.value).rstrip(';')}{quote}"

    def _is_redundant(self, tag: str, attribute: Attribute) -> bool:
        if f"[{attribute.name}" in self.sheets:
            return False
        if attribute.name == "type":
            return attribute.value.strip().lower() == _DEFAULT_TYPES.get(tag)
        return attribute.name in _DROPPED_WHERE_EMPTY and not attribute.value.strip(_SPACE)

    def _nest(self, token: Token) -> None:
        """Follow which elements are open, as far as white space depends on it."""
        tag = token.name
        keeps = tag in _KEEPERS or any(
            each.name == "style" and _KEEPS_SPACE.search(each.value) for each in token.attributes
        )
        if keeps and tag in _FORMATTING:
            self.keeps_all = True
        self.open.setdefault(tag, []).append(len(self.stack))
        if tag in _BOUNDARIES:
            self.boundaries.append(len(self.stack))
        self.stack.append((tag, keeps))
        self.keeping += keeps

    def _close(self, tag: str) -> None:
        if not self.open.get(tag):
            return
        place = self.open[tag][-1]
        if len(self.stack) - place > _MAX_SEARCH:
            return
        if tag not in _TABLE_PARTS and self.boundaries and self.boundaries[-1] > place:
            return
        while len(self.stack) > place:
            name, keeps = self.stack.pop()
            self.open[name].pop()
            if name in _BOUNDARIES:
                self.boundaries.pop()
            self.keeping -= keeps


def _one_space(match: re.Match[str]) -> str:
    """One character for a run: a line end where there was one, which keeps lines short."""
    return "\n" if "\n" in match[0] else " "
