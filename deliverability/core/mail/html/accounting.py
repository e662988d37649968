"""HTML taken apart once for all who look at it: where the octets are, what a reader sees, where links lead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct, field

from deliverability.core.mail.html.markup import (
    VOID_ELEMENTS,
    Attribute,
    Prelude,
    Token,
    TokenKind,
    read_sheet,
    tokens,
    unescape,
)
from deliverability.core.mail.parts import body_texts

if TYPE_CHECKING:
    from deliverability.core.mail.html.markup import Token
    from deliverability.core.mail.reader import Message

_CSS_DATA_URI = re.compile(r"""url\(\s*(?:["']|&quot;|&#39;)?(data:[^)"']*)""", re.IGNORECASE)
# An element of these kinds ends an open one of its own kind.
_CLOSES_ITSELF = frozenset({"p", "li", "td", "th", "tr", "option", "dt", "dd"})
_UNSEEN = frozenset({"title", "textarea", "iframe", "noembed", "noframes"})
_ACTIVE = ("script", "form", "iframe", "object", "embed")

CJK = r"([\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]+)"
"""The pattern of a run of letters that are written without spaces between words."""

_WORD = re.compile(r"[^\W_]")
_HIDING = re.compile(r"display:none|visibility:hidden")
# A size of zero holds for what is inside until an element there has an absolute size of its own: what MJML makes has
# zero on every cell, against gaps, and the size of the text on the element within.
_SIZE = re.compile(
    r"font-size:(?P<zero>0(?:\.0*)?(?:px|pt|em|rem|ex|%|;|!|$))|font-size:(?:\d+(?:\.\d*)?|\.\d+)(?:px|pt|rem|cm|mm|in|pc)"
    r"|font-size:(?:xx?-)?(?:small|large)|font-size:medium|(?:^|;)font:[^;]*?[1-9][\d.]*(?:px|pt|rem)"
)
# Fillers that senders put after a preheader; they are neither text nor hidden text.
_FILLER = dict.fromkeys(map(ord, "\u00ad\u034f\u061c\u200b\u200c\u200d\u200e\u200f\u2007\u2060\ufeff"))
_PREHEADER = 300
_MAX_LINK_TEXT = 500
_MAX_LINKS = 10_000
_MAX_DEPTH = 10_000  # browsers stop at 512; deeper elements are not tracked, their octets still count
_PHRASING = frozenset({"a", "span", "b", "i", "em", "strong", "font", "u"})  # do not part words
_BREAKS = frozenset({"br", "hr"})
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。!?|]")
_FONT_SERVICES = frozenset({"typekit.net", "fontawesome.com", "fast.fonts.net", "cloud.typography.com"})
_CONTEXT = 60  # characters of text around a link
_MAX_LISTED = 100
_SPACE = " \t\n\r\f"
_LONG_SPACES = re.compile(r"[ \t\n\r\f]{2,}")


# Parameters that tell a web shop where a visit came from, and no page needs to be shown.
_TRACKING = re.compile(
    r"(?:[?&]|&amp;)(?:utm_\w{1,40}|mc_[ce]id|fbclid|gclid|dclid|msclkid|yclid|mkt_tok|_hsenc|_hsmi|hsCtaTracking|vero_id|"
    r"trk_\w{1,40}|oly_enc_id|oly_anon_id|_openstat|igshid|ml_subscriber\w{0,20}|wickedid|s_cid|elqTrack\w{0,20})=[^&#\s]*",
    re.IGNORECASE,
)

_CONDITIONAL_COMMENT = re.compile(r"<!--(?:\[if|<!\[endif)", re.IGNORECASE)
_META_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})", re.IGNORECASE)
_CSS_URL = re.compile(r"""url\(\s*+["']?([^)"']{1,2000})""", re.IGNORECASE)
CSS_IMPORT = re.compile(r"""@import\s{1,20}(?:url\()?\s{0,20}["']?([^)"';\s]{1,2000})""", re.IGNORECASE)


class Category(StrEnum):
    """What an octet of HTML belongs to; every octet belongs to exactly one."""

    MARKUP = "markup"
    INLINE_CSS = "inline-css"
    STYLE = "style"
    DATA_URI = "data-uri"
    COMMENT = "comment"
    SCRIPT = "script"
    TEXT = "text"


_SHEETS = {"style": Category.STYLE, "script": Category.SCRIPT}


class Link(Struct, frozen=True):
    """A link as a reader meets it.

    Attributes:
        href: its target, character references decoded.
        text: the text a reader sees, at most 500 characters.
        label: texts for those who do not see it: alt of images inside, title, aria-label.
        before: up to 60 characters of the text before it, in the same sentence and behind the link before.
        after: up to 60 characters of the text after it, in the same sentence and before the next link.
        octets: of the HTML in UTF-8 up to where it begins.
        hidden: it stands in hidden text.

    """

    href: str
    text: str
    label: str = ""
    before: str = ""
    after: str = ""
    octets: int = 0
    hidden: bool = False


class _OpenLink(Struct):
    """A link whose end is not known yet; `begin` and `end` are places in the text a reader sees."""

    href: str
    labels: list[str]
    octets: int
    hidden: bool
    begin: int
    end: int = 0


class HtmlAccount(Struct):
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
    conditional_octets: int = 0  # conditional comments, part of Category.COMMENT
    white_space_octets: int = 0  # part of Category.TEXT
    repeated_css_octets: int = 0  # part of Category.INLINE_CSS
    link_octets: int = 0  # part of Category.MARKUP
    tracking_octets: int = 0  # of these
    external_sheets: dict[str, None] = field(default_factory=dict)  # addresses, the first 100
    external_fonts: dict[str, None] = field(default_factory=dict)
    base_href: str | None = None
    meta_charset: str | None = None
    text: list[str] = field(default_factory=list)  # what a reader sees, part by part

    @property
    def total(self) -> int:
        """All octets."""
        return sum(self.octets.values())

    @property
    def active_elements(self) -> tuple[str, ...]:
        """Names of the active elements seen, in a fixed order."""
        return tuple(name for name in _ACTIVE if name in self.active)

    def add(self, text: str, cut: Iterable[Token] | None = None) -> None:
        """Account for the HTML of one part. Takes any text, in time linear to its length.

        `cut` are its tokens, where somebody has them already.
        """
        reader = _HtmlReader(text, self)
        reader.read(tokens(text) if cut is None else cut)
        visible = reader.visible
        self.text.append(visible)
        cjk = sum(map(len, re.findall(CJK, visible)))
        rest = re.sub(CJK, " ", visible)
        self.visible_words += (cjk + 1) // 2 + sum(1 for word in rest.split() if _WORD.search(word))
        self.hidden_octets += reader.hidden_octets


class _HtmlReader:
    """Reads one HTML text: its tokens, and a stack of open elements for what is hidden."""

    def __init__(self, text: str, account: HtmlAccount) -> None:
        self.source = text
        self.is_ascii = text.isascii()
        self.account = account
        self.octets = account.total  # counted so far
        self.stack: list[tuple[str, bool, bool]] = []  # name, whether it hides, whether text was of size zero outside
        self.open: dict[str, int] = {}
        self.hidden_depth = 0
        self.size_zero = False
        self.hidden_blocks: list[int] = []
        self.seen: list[str] = []
        self.seen_length = 0
        self.link: _OpenLink | None = None
        self.links: list[_OpenLink] = []
        self.styles: set[str] = set()
        self.hiding: dict[str, tuple[bool, bool | None]] = {}  # of style attributes seen, see _hides

    def read(self, cut: Iterable[Token]) -> None:
        for token in cut:
            self._token(token)
        self._end_link()
        visible = self.visible
        # The text beside a link is its own: it begins behind the link before and ends at the link after.
        ends = [0, *(each.end for each in self.links)]
        begins = [*(each.begin for each in self.links[1:]), len(visible)]
        for each, left, right in zip(self.links, ends, begins, strict=False):
            self.account.links.append(_finished(each, visible, left, right))

    @property
    def visible(self) -> str:
        return "".join(self.seen)

    @property
    def hidden_octets(self) -> int:
        """Hidden text, without the first hidden block where it is short enough to be a preheader."""
        blocks = self.hidden_blocks
        return sum(blocks) - (blocks[0] if blocks and blocks[0] <= _PREHEADER else 0)

    def _count(self, category: Category, start: int, end: int) -> int:
        octets = end - start
        if not self.is_ascii:
            octets = len(self.source[start:end].encode("utf-8", "surrogatepass"))
        self.account.octets[category] += octets
        self.octets += octets
        return octets

    def _token(self, token: Token) -> None:
        kind, begin, end, name, attributes, _ = token
        # Those that are frequent first.
        if kind is TokenKind.START:
            if name in _SHEETS:
                self._count(_SHEETS[name], begin, end)
                self.account.active.update({name} & {"script"})
            else:
                at = self.octets
                self._account_tag(attributes, begin, end)
                self._open(name, attributes, at)
        elif kind is TokenKind.TEXT:
            self._characters(begin, end)
        elif kind is TokenKind.END:
            if name in _SHEETS:
                self._count(_SHEETS[name], begin, end)
            else:
                self._count(Category.MARKUP, begin, end)
                self._close(name)
        elif kind is TokenKind.COMMENT:
            octets = self._count(Category.COMMENT, begin, end)
            if _CONDITIONAL_COMMENT.match(self.source, begin):
                self.account.conditional_octets += octets
        elif kind is TokenKind.DECLARATION:
            conditional = self.source.startswith("<![", begin)
            octets = self._count(Category.COMMENT if conditional else Category.MARKUP, begin, end)
            self.account.conditional_octets += octets if conditional else 0
        else:
            self._raw(name, begin, end)

    def _account_tag(self, attributes: tuple[Attribute, ...], begin: int, end: int) -> None:
        """Split a tag: style attributes, data: URIs, and the rest."""
        position = begin
        for each in attributes:
            if each.name == "style":
                self._count(Category.MARKUP, position, each.start)
                octets = self._css(Category.INLINE_CSS, each.start, each.end)
                if len(each.value) > 1 and each.value in self.styles:
                    self.account.repeated_css_octets += octets
                self.styles.add(each.value)
                position = each.end
            elif each.value.lstrip()[:5].lower() == "data:":
                self._count(Category.MARKUP, position, each.value_start)
                self._count(Category.DATA_URI, each.value_start, each.value_end)
                position = each.value_end
        self._count(Category.MARKUP, position, end)

    def _css(self, category: Category, begin: int, end: int) -> int:
        """Count CSS apart from the data: URIs in it; gives the octets of the rest."""
        position = begin
        octets = 0
        for match in _CSS_DATA_URI.finditer(self.source, begin, end):
            octets += self._count(category, position, match.start(1))
            self._count(Category.DATA_URI, match.start(1), match.end(1))
            position = match.end(1)
        return octets + self._count(category, position, end)

    def _raw(self, tag: str, begin: int, end: int) -> None:
        """Content that holds no markup."""
        if tag == "style":
            self._css(Category.STYLE, begin, end)
            self._sheet(self.source[begin:end])
        elif tag == "script":
            self._count(Category.SCRIPT, begin, end)
        elif tag in _UNSEEN:
            self._count(Category.TEXT, begin, end)
        else:
            self._characters(begin, end)

    def _sheet(self, css: str) -> None:
        """Note the fonts and sheets that a style sheet loads."""
        if "@import" not in css.lower() and "@font-face" not in css.lower():
            return
        for each in read_sheet(css):
            if isinstance(each, Prelude):
                if match := CSS_IMPORT.match(each.text):
                    self._external(match[1])
            elif each.name == "src" and each.block.lower().startswith("@font-face"):
                for match in _CSS_URL.finditer(each.value):
                    _note(self.account.external_fonts, match[1])

    def _external(self, address: str) -> None:
        fonts = is_font_service(address)
        _note(self.account.external_fonts if fonts else self.account.external_sheets, address)

    def _characters(self, begin: int, end: int) -> None:
        self._count(Category.TEXT, begin, end)
        source = self.source[begin:end]
        if not source.strip(_SPACE):
            self.account.white_space_octets += len(source)
        else:
            self.account.white_space_octets += sum(len(run) - 1 for run in _LONG_SPACES.findall(source))
        content = unescape(source)
        if self._hidden:
            squeezed = " ".join(content.translate(_FILLER).split())
            self.hidden_blocks[-1] += len(squeezed.encode("utf-8", "replace"))
            return
        self._see(content)

    def _see(self, content: str) -> None:
        self.seen.append(content)
        self.seen_length += len(content)

    def _open(self, tag: str, attributes: tuple[Attribute, ...], at: int) -> None:
        values: dict[str, str] = {}
        for each in attributes:
            values.setdefault(each.name, each.value)
        if tag in _ACTIVE:
            self.account.active.add(tag)
        if tag == "a":
            self._end_link()
            if "href" in values:
                self._begin_link(values, at)
        elif tag in ("img", "meta", "link", "base"):
            self._note_element(tag, values)
        if tag in _BREAKS:
            self._see(" ")
        if tag in VOID_ELEMENTS or len(self.stack) >= _MAX_DEPTH:
            return
        if tag in _CLOSES_ITSELF and self.stack and self.stack[-1][0] == tag:
            self._pop()
        hides, zero = self._hides(values.get("style", "")) if values else (False, None)
        hides = hides or "hidden" in values
        self.stack.append((tag, hides, self.size_zero))
        self.open[tag] = self.open.get(tag, 0) + 1
        before = self._hidden
        self.hidden_depth += hides
        self.size_zero = self.size_zero if zero is None else zero
        if self._hidden and not before:
            self.hidden_blocks.append(0)
        if tag not in _PHRASING:
            self._see(" ")

    @property
    def _hidden(self) -> bool:
        return self.hidden_depth > 0 or self.size_zero

    def _hides(self, style: str) -> tuple[bool, bool | None]:
        """Whether a style hides all inside, and whether text is of size zero from here on; None: as outside."""
        if style not in self.hiding:
            plain = "".join(unescape(style).lower().split())
            sizes = list(_SIZE.finditer(plain))
            zero = sizes[-1]["zero"] is not None if sizes else None
            self.hiding[style] = (_HIDING.search(plain) is not None, zero)
        return self.hiding[style]

    def _note_element(self, tag: str, values: dict[str, str]) -> None:
        account = self.account
        if tag == "img":
            account.images += 1
            account.images_without_alt += "alt" not in values
            account.data_images += values.get("src", "").lstrip()[:5].lower() == "data:"
            if self.link is not None and values.get("alt"):
                self.link.labels.append(unescape(values["alt"])[:_MAX_LINK_TEXT])
        elif tag == "link":
            if "stylesheet" in values.get("rel", "").lower().split() and values.get("href"):
                self._external(unescape(values["href"]).strip())
        elif tag == "base":
            if account.base_href is None and values.get("href"):
                account.base_href = unescape(values["href"]).strip()
        elif account.meta_charset is None:
            match = _META_CHARSET.search(
                f"charset={values['charset']}" if "charset" in values else values.get("content", "")
            )
            if match and ("charset" in values or values.get("http-equiv", "").lower() == "content-type"):
                account.meta_charset = match[1].lower()

    def _close(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
        if not self.open.get(tag):
            return  # the count spares a search through the stack for an end tag without start
        while self._pop() != tag:
            pass
        if tag not in _PHRASING:
            self._see(" ")

    def _pop(self) -> str:
        tag, hides, self.size_zero = self.stack.pop()
        self.open[tag] -= 1
        self.hidden_depth -= hides
        return tag

    def _begin_link(self, values: dict[str, str], at: int) -> None:
        href = values["href"]
        self.account.link_octets += len(href.encode("utf-8", "surrogatepass"))
        self.account.tracking_octets += sum(len(match[0].encode()) for match in _TRACKING.finditer(href))
        labels = [unescape(values[name])[:_MAX_LINK_TEXT] for name in ("title", "aria-label") if values.get(name)]
        self.link = _OpenLink(unescape(href).strip(), labels, at, self._hidden, self.seen_length)

    def _end_link(self) -> None:
        if self.link is not None:
            self.account.link_count += 1
            self.link.end = self.seen_length
            if len(self.account.links) + len(self.links) < _MAX_LINKS:
                self.links.append(self.link)
        self.link = None


def _finished(link: _OpenLink, visible: str, left: int, right: int) -> Link:
    shown = visible[link.begin : min(link.end, link.begin + 2 * _MAX_LINK_TEXT)]
    return Link(
        link.href,
        _squeezed(shown)[:_MAX_LINK_TEXT],
        _squeezed(" ".join(link.labels[:10])),
        _SENTENCE_END.split(_squeezed(visible[max(link.begin - 2 * _CONTEXT, left) : link.begin]))[-1][-_CONTEXT:],
        _SENTENCE_END.split(_squeezed(visible[link.end : min(link.end + 2 * _CONTEXT, right)]))[0][:_CONTEXT],
        link.octets,
        link.hidden,
    )


def _squeezed(text: str) -> str:
    return " ".join(text.translate(_FILLER).split())


def _note(addresses: dict[str, None], address: str) -> None:
    if len(addresses) < _MAX_LISTED:
        addresses[address] = None


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


def is_font_service(address: str) -> bool:
    """Whether a style sheet at that address only brings fonts."""
    host = link_host(address if "://" in address else f"https:{address}") or ""
    return host.startswith("fonts.") or host.removeprefix("use.").removeprefix("p.") in _FONT_SERVICES


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


MAX_CHARACTERS = 10 << 20
"""Longer HTML is not accounted for; it is a hundred times what receivers show."""


class ShownHtml:
    """The text/html body parts of a message; each thing is worked out when it is first asked for, and kept.

    Attributes:
        leaves: the parts, in the order of the file.

    """

    def __init__(self, message: Message) -> None:
        """Nothing is decoded yet."""
        self.leaves = body_texts(message, "text/html")

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What is in each part."""
        return tuple(leaf.part.text() for leaf in self.leaves)

    @cached_property
    def characters(self) -> int:
        """Characters of all of them."""
        return sum(map(len, self.texts))

    @cached_property
    def tokens(self) -> tuple[tuple[Token, ...], ...]:
        """The tokens of each text."""
        return tuple(tuple(tokens(text)) for text in self.texts)

    @cached_property
    def account(self) -> HtmlAccount:
        """What all of them are made of."""
        account = HtmlAccount()
        for text, cut in zip(self.texts, self.tokens, strict=True):
            account.add(text, cut)
        return account
