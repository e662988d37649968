"""HTML taken apart for accounting: where the octets are, what a reader sees, where links lead. Imports nothing of ours.

A tokenizer of our own, because every octet must be counted exactly once, and because a tree built from hostile markup
can be deeper than any recursion. It follows the tokenization rules of the HTML standard as far as mail needs them,
in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from html import unescape

_TAG_START = re.compile(r"<(?=[A-Za-z!?]|/[A-Za-z])")  # any other "<" is text
_TAG_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_BETWEEN_ATTRIBUTES = re.compile(r"[\s/]*")
_CSS_DATA_URI = re.compile(r"""url\(\s*(?:["']|&quot;|&#39;)?(data:[^)"']*)""", re.IGNORECASE)
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("style", "script", "title", "textarea", "iframe", "xmp", "noembed", "noframes")
}
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
# An element of these kinds ends an open one of its own kind.
_CLOSES_ITSELF = frozenset({"p", "li", "td", "th", "tr", "option", "dt", "dd"})
_UNSEEN = frozenset({"title", "textarea", "iframe", "noembed", "noframes"})
_ACTIVE = ("script", "form", "iframe", "object", "embed")
_CJK = re.compile(
    r"[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_WORD = re.compile(r"[^\W_]")
_HIDING = re.compile(r"display:none|visibility:hidden|font-size:0(?:\.0*)?(?:px|pt|em|rem|ex|%|;|!|$)")
# Fillers that senders put after a preheader; they are neither text nor hidden text.
_FILLER = dict.fromkeys(map(ord, "\u00ad\u034f\u061c\u200b\u200c\u200d\u200e\u200f\u2007\u2060\ufeff"))
_PREHEADER = 300
_MAX_LINK_TEXT = 500
_MAX_LINKS = 10_000
_MAX_DEPTH = 10_000  # browsers stop at 512; deeper elements are not tracked, their octets still count
_PHRASING = frozenset({"a", "span", "b", "i", "em", "strong", "font", "u"})  # do not part words


class Category(Enum):
    """What an octet of HTML belongs to; every octet belongs to exactly one."""

    MARKUP = "markup"
    INLINE_CSS = "inline-css"
    STYLE = "style"
    DATA_URI = "data-uri"
    COMMENT = "comment"
    SCRIPT = "script"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its target with character references decoded, and the text a reader sees (at most 500 characters)."""

    href: str
    text: str


@dataclass(slots=True)
class HtmlAccount:
    """What one or several HTML parts are made of. `octets` are those of the text in UTF-8."""

    octets: dict[Category, int] = field(default_factory=lambda: dict.fromkeys(Category, 0))
    links: list[Link] = field(default_factory=list)  # the first 10,000
    link_count: int = 0
    images: int = 0
    images_without_alt: int = 0
    data_images: int = 0
    active: set[str] = field(default_factory=set)
    visible_words: int = 0
    hidden_octets: int = 0

    @property
    def total(self) -> int:
        """All octets."""
        return sum(self.octets.values())

    @property
    def active_elements(self) -> tuple[str, ...]:
        """Names of the active elements seen, in a fixed order."""
        return tuple(name for name in _ACTIVE if name in self.active)

    def add(self, text: str) -> None:
        """Account for the HTML of one part. Takes any text, in time linear to its length."""
        reader = _HtmlReader(text, self)
        reader.read()
        cjk = len(_CJK.findall(reader.visible))
        rest = _CJK.sub(" ", reader.visible)
        self.visible_words += (cjk + 1) // 2 + sum(1 for word in rest.split() if _WORD.search(word))
        self.hidden_octets += reader.hidden_octets


@dataclass(frozen=True, slots=True)
class _Attribute:
    name: str
    value: str  # as written, without quotes
    start: int
    end: int
    value_start: int
    value_end: int


class _HtmlReader:
    """Reads one HTML text: a scanner, and a stack of open elements for what is hidden."""

    def __init__(self, text: str, account: HtmlAccount) -> None:
        self.text = text
        self.account = account
        self.stack: list[tuple[str, bool]] = []
        self.open: dict[str, int] = {}
        self.hidden_depth = 0
        self.hidden_blocks: list[int] = []
        self.seen: list[str] = []
        self.link: str | None = None
        self.link_text: list[str] = []
        self.link_length = 0

    def read(self) -> None:
        text = self.text
        position = 0
        while position < len(text):
            start = _TAG_START.search(text, position)
            begin = start.start() if start else len(text)
            if begin > position:
                self._characters(position, begin)
            if begin == len(text):
                break
            position = self._markup(begin)
        self._end_link()

    @property
    def visible(self) -> str:
        return "".join(self.seen)

    @property
    def hidden_octets(self) -> int:
        """Hidden text, without the first hidden block where it is short enough to be a preheader."""
        blocks = self.hidden_blocks
        return sum(blocks) - (blocks[0] if blocks and blocks[0] <= _PREHEADER else 0)

    def _count(self, category: Category, start: int, end: int) -> None:
        self.account.octets[category] += _utf8(self.text, start, end)

    def _markup(self, begin: int) -> int:
        text = self.text
        if text.startswith("<!--", begin):
            # "<!-->" and "<!--->" are whole comments (HTML standard, 13.2.5.43).
            end = text.find("-->", begin + 2)
            end = len(text) if end < 0 else end + 3
            self._count(Category.COMMENT, begin, end)
            return end
        if text.startswith(("<!", "<?"), begin):
            end = text.find(">", begin)
            end = len(text) if end < 0 else end + 1
            conditional = text.startswith("<![", begin)
            self._count(Category.COMMENT if conditional else Category.MARKUP, begin, end)
            return end
        closing = text.startswith("</", begin)
        name = _TAG_NAME.match(text, begin)
        assert name is not None, "a tag start is followed by a letter"  # noqa: S101
        attributes, end = self._attributes(name.end())
        tag = name[1].lower()
        if closing:
            self._count(Category.MARKUP, begin, end)
            self._close(tag)
            return end
        if tag in ("style", "script"):
            return self._style_or_script(tag, begin, end)
        self._account_tag(attributes, begin, end)
        self._open(tag, attributes)
        if tag in _RAW_TEXT:
            return self._raw_text(tag, end)
        return end

    def _attributes(self, position: int) -> tuple[list[_Attribute], int]:
        text = self.text
        found: list[_Attribute] = []
        while True:
            gap = _BETWEEN_ATTRIBUTES.match(text, position)
            position = gap.end() if gap else position
            if position >= len(text):
                return found, len(text)
            if text[position] == ">":
                return found, position + 1
            match = _ATTRIBUTE.match(text, position)
            assert match is not None, "neither space, slash nor >"  # noqa: S101
            value = match[2] or ""
            quotes = 1 if value[:1] in ("'", '"') and len(value) > 1 and value[0] == value[-1] else 0
            at = match.start(2) if match[2] is not None else match.end()
            found.append(
                _Attribute(
                    match[1].lower(),
                    value[quotes : len(value) - quotes],
                    match.start(),
                    match.end(),
                    at + quotes,
                    at + len(value) - quotes,
                )
            )
            position = match.end()

    def _account_tag(self, attributes: list[_Attribute], begin: int, end: int) -> None:
        """Split a tag: style attributes, data: URIs, and the rest."""
        position = begin
        for each in attributes:
            if each.name == "style":
                self._count(Category.MARKUP, position, each.start)
                self._css(Category.INLINE_CSS, each.start, each.end)
                position = each.end
            elif each.value.lstrip()[:5].lower() == "data:":
                self._count(Category.MARKUP, position, each.value_start)
                self._count(Category.DATA_URI, each.value_start, each.value_end)
                position = each.value_end
        self._count(Category.MARKUP, position, end)

    def _css(self, category: Category, begin: int, end: int) -> None:
        position = begin
        for match in _CSS_DATA_URI.finditer(self.text, begin, end):
            self._count(category, position, match.start(1))
            self._count(Category.DATA_URI, match.start(1), match.end(1))
            position = match.end(1)
        self._count(category, position, end)

    def _style_or_script(self, tag: str, begin: int, end: int) -> int:
        """The whole element, tags included."""
        close = _RAW_TEXT[tag].search(self.text, end)
        if close:
            _, end = self._attributes(close.end())
        else:
            end = len(self.text)
        if tag == "style":
            self._css(Category.STYLE, begin, end)
        else:
            self.account.active.add("script")
            self._count(Category.SCRIPT, begin, end)
        return end

    def _raw_text(self, tag: str, begin: int) -> int:
        """Content that holds no markup: up to its end tag, which is read next."""
        close = _RAW_TEXT[tag].search(self.text, begin)
        end = close.start() if close else len(self.text)
        if tag in _UNSEEN:
            self._count(Category.TEXT, begin, end)
        else:
            self._characters(begin, end)
        return end

    def _characters(self, begin: int, end: int) -> None:
        self._count(Category.TEXT, begin, end)
        content = unescape(self.text[begin:end])
        if self.hidden_depth:
            squeezed = " ".join(content.translate(_FILLER).split())
            self.hidden_blocks[-1] += len(squeezed.encode("utf-8", "replace"))
            return
        self.seen.append(content)
        if self.link is not None and self.link_length < _MAX_LINK_TEXT:
            self.link_text.append(content[:_MAX_LINK_TEXT])
            self.link_length += len(content)

    def _open(self, tag: str, attributes: list[_Attribute]) -> None:
        values: dict[str, str] = {}
        for each in attributes:
            values.setdefault(each.name, each.value)
        if tag in _ACTIVE:
            self.account.active.add(tag)
        if tag == "img":
            self.account.images += 1
            self.account.images_without_alt += "alt" not in values
            self.account.data_images += values.get("src", "").lstrip()[:5].lower() == "data:"
        elif tag == "a":
            self._end_link()
            if "href" in values:
                self.link = unescape(values["href"]).strip()
        if tag in _VOID or len(self.stack) >= _MAX_DEPTH:
            return
        if tag in _CLOSES_ITSELF and self.stack and self.stack[-1][0] == tag:
            self._pop()
        hides = "hidden" in values or _hides(values.get("style", ""))
        self.stack.append((tag, hides))
        self.open[tag] = self.open.get(tag, 0) + 1
        if hides:
            if not self.hidden_depth:
                self.hidden_blocks.append(0)
            self.hidden_depth += 1
        if tag not in _PHRASING:
            self.seen.append(" ")

    def _close(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
        if not self.open.get(tag):
            return  # the count spares a search through the stack for an end tag without start
        while self._pop() != tag:
            pass
        if tag not in _PHRASING:
            self.seen.append(" ")

    def _pop(self) -> str:
        tag, hides = self.stack.pop()
        self.open[tag] -= 1
        self.hidden_depth -= hides
        return tag

    def _end_link(self) -> None:
        if self.link is not None:
            self.account.link_count += 1
            if len(self.account.links) < _MAX_LINKS:
                shown = " ".join("".join(self.link_text).translate(_FILLER).split())
                self.account.links.append(Link(self.link, shown[:_MAX_LINK_TEXT]))
        self.link = None
        self.link_text = []
        self.link_length = 0


def _utf8(text: str, start: int, end: int) -> int:
    return len(text[start:end].encode("utf-8", "surrogatepass"))


def _hides(style: str) -> bool:
    return bool(style) and _HIDING.search("".join(unescape(style).lower().split())) is not None


def shown_hosts(text: str) -> Iterator[str]:
    """Host names that link text shows: a URL, or text that is nothing but a host name (with or without path)."""
    for word in text.split():
        lower = word.lower().lstrip("<([{\"'")
        if lower.startswith(("http://", "https://")):
            yield _host(lower.partition("://")[2])
    if " " not in text and "@" not in text and "://" not in text:
        host = _host(text.lower())
        if "." in host.strip("."):
            yield host


def link_host(href: str) -> str | None:
    """The host of an http or https link, lower case; None for other links."""
    scheme, separator, rest = href.replace("\n", "").replace("\t", "").replace("\r", "").partition(":")
    if not separator or scheme.lower() not in ("http", "https"):
        return None
    return _host(rest.lstrip("/\\"))


def _host(rest: str) -> str:
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0].rpartition("@")[2].lower()
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].rstrip(".,;!)\"'>")
