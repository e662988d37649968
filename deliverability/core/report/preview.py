"""The HTML of a message made harmless, to be shown in a sandboxed frame.

Three walls stand behind each other: what is written here is made anew from a list of allowed elements and attributes
(no address of any kind is among them); the document carries a policy that forbids every load; and the frame it goes
into has an empty ``sandbox``, so that it can run no script, send no form and lead nowhere. Images that the message
brings along may be shown, as they are part of it; images elsewhere only where the user asked for them this once.

No tree is built: parsers that build one as browsers do take quadratic time for hostile nesting. Tags are read one
after the other, and the browser that shows them makes a tree of what was let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from html import escape
from urllib.parse import unquote

from msgspec import Struct, field

from deliverability.core.mail.html.markup import unescape
from deliverability.core.words.sentences import visible

MAX_OCTETS = 100_000
_MAX_READ, _MAX_SHOWN = 1_000_000, 10_000_000
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SOURCES = ("img-src data:", "img-src data: https: http:")

_ELEMENTS = (
    "a abbr address article aside b big blockquote br caption center cite code col colgroup dd del dfn div dl dt em "
    "figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i ins kbd li main mark nav ol p pre q s samp section "
    "small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr"
)
_NAMES = (
    "align alt bgcolor border cellpadding cellspacing class color colspan dir face height hspace id lang nowrap "
    "reversed rowspan size span start style type valign value vspace width"
)
_ALLOWED = frozenset(_ELEMENTS.split())
_ATTRIBUTES = frozenset(_NAMES.split())
# Browsers read the content of these as text up to the end tag; it is not for readers.
_RAW = frozenset(
    ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext")
)
# These are left out with what is inside.
_DROPPED = frozenset(
    ("applet", "audio", "canvas", "frameset", "map", "math", "object", "portal", "select", "svg", "template", "video")
)
_TAG = re.compile(r"</?([A-Za-z][^\s/>\x00]*)")
_ATTRIBUTE = re.compile(r"""([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?""")
_BETWEEN = re.compile(r"[\s/=]*")
# Letters that a style sheet writes as escapes: \\75rl(...) is url(...) to a browser.
_ESCAPED = re.compile(r"\\(?:0{0,4}([46][1-9a-f]|[57][0-9a])(?![0-9a-f])[ \t\r\n\f]?|([g-zG-Z]))", re.IGNORECASE)
_IMPORTS = re.compile(r"@(?:import|charset|namespace)[^;{}]*;?", re.IGNORECASE)
_LOADS = re.compile(r"(?:image|image-set|url|src|element)\s*\([^)]*\)?", re.IGNORECASE)
_STEERING = re.compile(
    r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
# An address on the web that every browser reads alike, of a host with a public-looking name: opening a message must not
# ask the machines of the own network.
_REMOTE = re.compile(
    r"https?://(?:[a-z0-9_-]{1,63}\.){1,20}(?!(?:local|localhost|localdomain|internal|lan|home|arpa)"
    r"(?:[:/?#]|\Z))[a-z]{2,63}(?::[0-9]{1,5})?(?:[/?#][^\s\"'<>\\]{0,4000})?",
    re.IGNORECASE,
)
_WRITTEN = re.compile(r"data:image/(?:png|jpe?g|gif|webp|bmp|avif);base64,[a-z0-9+/=\s]*", re.IGNORECASE)
_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)", re.IGNORECASE)
_ALWAYS, _NEVER = "(min-width:0)", "(max-width:0)"
_INVERTED = "html{background:#fff;filter:invert(1) hue-rotate(180deg)}img{filter:invert(1) hue-rotate(180deg)}"
_CLIP = (
    ".deliv-clip{display:block;border-top:3px dashed #b3261e;color:#b3261e;background:#fff;"
    "font:bold 13px/1.5 sans-serif;text-align:center;margin:4px 0}"
)
_STYLE = (
    "html{color:#000}body{margin:8px;overflow-wrap:anywhere}a{text-decoration:underline;color:#0645ad}"
    # Without weight of its own: whatever the message says of its images counts before it.
    ":where(img[data-deliv]){display:inline-block;box-sizing:border-box;background:#eceff3;color:#4a525d;"
    "outline:1px dashed #9aa3af;outline-offset:-1px;overflow:hidden;font:12px/1.3 sans-serif;"
    "text-align:center;vertical-align:middle}"
)


class ColourScheme(StrEnum):
    """The colours of a preview."""

    LIGHT = "light"
    DARK = "dark"
    """The message's own dark colours; where it has none, inverted as many mail programs do it."""


class Showing(Struct, frozen=True):
    """How a preview of a page of its own is shown.

    Attributes:
        own: images written into the HTML are shown.
        images: the others that the message brings along, as ``data:`` addresses by their Content-ID.
        remote: images on the web are loaded.
        scheme: the colours; None: those of the browser that shows it.
        clipped_at: octets of the HTML after which a mark with the words `clip_mark` stands; None: no mark.
        most: octets of the document; what is larger is left out.

    """

    own: bool = True
    images: Mapping[str, str] = field(default_factory=dict)
    remote: bool = False
    scheme: ColourScheme | None = None
    clipped_at: int | None = None
    clip_mark: str = ""
    most: int = 64 << 20

    @property
    def policy(self) -> str:
        """What the document may load."""
        return f"{POLICY}; {_SOURCES[self.remote]}"


class Preview(Struct, frozen=True):
    """What the frame is given; empty where the HTML is too large to be embedded. `octets` is the size of the HTML.

    `own_dark`: the message has colours of its own for dark screens. `remote`: images that lie on the web. `policy`:
    what the document may load.
    """

    document: str
    octets: int
    own_dark: bool = False
    remote: int = 0
    policy: str = POLICY


def preview(html: str, showing: Showing | None = None) -> Preview:
    """A harmless document made from the HTML of a message, with what stands in place of the images that are not shown.

    Every input gives one; time is linear in its size. What is too large is left out. Without `showing` it is one to be
    embedded in a report, without any image.
    """
    size = len(html.encode("utf-8", "replace"))
    if size > (_MAX_SHOWN if showing else _MAX_READ):
        return Preview("", size)
    page = _Page(showing or Showing(own=False))
    page.read(html.replace("\x00", "").encode("utf-8", "replace").decode("utf-8"))
    sheets = "".join(page.sheets)
    own_dark = any(match[1].lower() == "dark" for match in _SCHEME.finditer(sheets))
    style = _STYLE + (_CLIP + _coloured(sheets, showing.scheme, own_dark=own_dark) if showing else sheets)
    policy = showing.policy if showing else POLICY
    document = (
        '<!doctype html><html><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>'
        f"<body{page.body}>{''.join(page.out)}</body></html>"
    )
    # Quotes and ampersands grow inside the attribute that carries the document.
    fits = len(document.encode()) <= showing.most if showing else len(escape(document).encode()) <= MAX_OCTETS
    return Preview(document if fits else "", size, own_dark, page.remote, policy)


def _coloured(sheets: str, scheme: ColourScheme | None, *, own_dark: bool) -> str:
    """The style sheets of the message with their conditions on the colour scheme settled."""
    if scheme is None:
        return sheets
    settled = _SCHEME.sub(lambda match: _ALWAYS if match[1].lower() == scheme.value else _NEVER, sheets)
    if scheme is ColourScheme.LIGHT:
        return f"{settled}html{{color-scheme:light}}"
    return settled if own_dark else settled + _INVERTED


class _Page:
    """What was let through: pieces of the body, style sheets, and the attributes of the body element."""

    def __init__(self, showing: Showing) -> None:
        self.out: list[str] = []
        self.remote = 0
        self._showing = showing
        self._clip: int | None = None
        self.sheets: list[str] = []
        self.body = ""
        self._dropped = ""
        self._depth = 0

    def read(self, html: str) -> None:
        """Read tag by tag; what is not closed at the end of the text is left out, as browsers do."""
        position = 0
        if (octets := self._showing.clipped_at) is not None:
            self._clip = len(html.encode()[:octets].decode("utf-8", "ignore"))
        while position >= 0:
            start = html.find("<", position)
            if self._clip is not None and position >= self._clip:
                self._mark(html[position:start] if start >= 0 else html[position:])
            self._text(html[position:start] if start >= 0 else html[position:])
            if start < 0:
                return
            if html.startswith("<!--", start):
                position = _after(html, "-->", start + 4)
            elif tag := _TAG.match(html, start):
                position = self._tag(html, tag)
            elif html.startswith(("<!", "<?", "</"), start):
                position = _after(html, ">", start)
            else:
                self._text("<")
                position = start + 1

    def _tag(self, html: str, tag: re.Match[str]) -> int:
        """Take one tag, and give where the text goes on; -1 where it does not."""
        attributes: dict[str, str] = {}
        position = _BETWEEN.match(html, tag.end()).end()  # type: ignore[union-attr]
        while match := _ATTRIBUTE.match(html, position):
            value = next((each for each in match.groups()[1:] if each is not None), "")
            attributes.setdefault(match[1].lower(), value)
            position = _BETWEEN.match(html, match.end()).end()  # type: ignore[union-attr]
        if position >= len(html):
            return -1
        position += 1
        name, opens = tag[1].lower(), html[tag.start() + 1] != "/"
        if not opens:
            self._close(name)
            return position
        if name in _RAW:
            end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(html, position)
            if end is None:
                return -1
            if name == "style" and not self._dropped:
                self.sheets.append(_css(html[position : end.start()]))
            return _after(html, ">", end.end())
        self._open(name, attributes)
        return position

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if self._dropped:
            self._depth += name == self._dropped
        elif name in _DROPPED:
            self._dropped, self._depth = name, 1
        elif name == "body":
            self.body = self.body or _written(attributes.items())
        elif name in ("img", "image"):
            self._image(attributes)
        elif name in _ALLOWED:
            self.out.append(f"<{name}{_written(attributes.items())}>")

    def _close(self, name: str) -> None:
        if self._dropped:
            self._depth -= name == self._dropped
            if not self._depth:
                self._dropped = ""
        elif name in _ALLOWED:
            self.out.append(f"</{name}>")

    def _image(self, attributes: dict[str, str]) -> None:
        address = unescape(attributes.get("src", "")).strip()
        shown = self._showing.images.get(unquote(address[4:])) if address[:4].lower() == "cid:" else None
        if self._showing.own and _WRITTEN.fullmatch(address):
            shown = address
        if _REMOTE.fullmatch(address):
            self.remote += 1
            shown = address if self._showing.remote else None
        if shown is None:
            # It stays an image, without an address, so that the message's style sheets make it fit.
            self.out.append(f"<img data-deliv{_written(attributes.items())}>")
            return
        self.out.append(f'<img src="{escape(shown)}"{_written(attributes.items())}>')

    def _mark(self, text: str) -> None:
        """Say that the rest is clipped, once, where the next words stand: elsewhere it could break a table."""
        if not self._dropped and text.strip():
            self.out.append(f'<span class="deliv-clip">{escape(self._showing.clip_mark)}</span>')
            self._clip = None

    def _text(self, text: str) -> None:
        if text and not self._dropped:
            self.out.append(escape(_clean(unescape(text)), quote=False))


def _after(html: str, mark: str, start: int) -> int:
    end = html.find(mark, start)
    return end + len(mark) if end >= 0 else -1


def _written(attributes: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f' {name}="{escape(_css(unescape(value)) if name == "style" else _clean(unescape(value)))}"'
        for name, value in attributes
        if name in _ATTRIBUTES
    )


def _css(text: str) -> str:
    """Style without what would load; no angle bracket is left that could end its element.

    What is taken out leaves a blank behind, so that its neighbours cannot join to something new.
    """
    plain = _ESCAPED.sub(lambda match: match[2] or chr(int(match[1], 16)), _clean(text))
    return _LOADS.sub("none", _IMPORTS.sub(" ", plain.replace("<", " ")))


def _clean(text: str) -> str:
    """Text that can be written, with what steers a terminal or the direction of reading written out.

    Zero-width characters stay: newsletters hide the rest of a preheader behind hundreds of them.
    """
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return _STEERING.sub(lambda match: visible(match[0]), whole)
