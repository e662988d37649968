"""How the HTML of a message shows its images: which ones, and how wide."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from msgspec import Struct, field

from deliverability._charrefs import unescape
from deliverability.mail.html.markup import Attribute, TokenKind, tokens

_PIXELS = re.compile(r"\s*+(\d{1,5})(?:\.\d{0,9})?\s*+(?:px)?\s*+")
_DECLARATION = re.compile(r"(?:^|;)\s{0,99}(width|max-width)\s{0,99}:([^;]{0,99})", re.IGNORECASE)
_CID = re.compile(r"cid:([^\s\"'()<>]{1,998})", re.IGNORECASE)


class References(Struct):
    """What the HTML parts refer to.

    Attributes:
        content_ids: Content-IDs named anywhere by ``cid:``.
        widths: Content-ID -> the largest width in CSS pixels at which it is shown; None where that is not certain.

    """

    content_ids: set[str] = field(default_factory=set)
    widths: dict[str, int | None] = field(default_factory=dict)
    _sources: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, pages: Iterable[str]) -> References:
        """Read the references of all pages."""
        found = cls()
        for page in pages:
            found._read(page)
        return found

    def names(self, filename: str) -> bool:
        """Whether a page names a file as such, without Content-ID."""
        return filename in self._sources

    def _read(self, page: str) -> None:
        shown: dict[str, int] = {}
        for match in _CID.finditer(page):
            name = _content_id(match[0])
            shown[name] = shown.get(name, 0) + 1
        for token in tokens(page):
            if token.kind is not TokenKind.START:
                continue
            given = {each.name: each for each in reversed(token.attributes)}
            for name in ("src", "background", "href"):
                if name in given:
                    self._sources.add(unquote(unescape(given[name].value)).strip())
            source = unescape(given["src"].value).strip() if token.name == "img" and "src" in given else ""
            if source[:4].lower() == "cid:":
                name = _content_id(source)
                shown[name] = shown.get(name, 1) - 1
                self._shown(name, _width(given))
        for name, elsewhere in shown.items():
            self.content_ids.add(name)
            if elsewhere > 0:  # in CSS, in VML for Outlook, as a background: stretched to who knows what
                self.widths[name] = None

    def _shown(self, name: str, width: int | None) -> None:
        self.content_ids.add(name)
        before = self.widths.get(name, 0)
        self.widths[name] = None if width is None or before is None else max(before, width)


def _content_id(source: str) -> str:
    return unquote(unescape(source)[4:]).strip().strip("<>")


def _width(given: dict[str, Attribute]) -> int | None:
    """The width of an <img> in pixels; None where its own attributes do not fix it."""
    style = unescape(given["style"].value) if "style" in given else ""
    css = {match[1].lower(): match[2] for match in _DECLARATION.finditer(style[:10_000])}
    for value in (css.get("max-width"), css.get("width")):
        pixels = _pixels(value.replace("!important", "")) if value is not None else None
        if pixels:
            return pixels
    if "width" in css and css["width"].strip().lower() != "auto":
        return None
    return _pixels(given["width"].value) if "width" in given and "width" not in css else None


def _pixels(value: str) -> int | None:
    match = _PIXELS.fullmatch(value)
    return int(match[1]) or None if match else None
