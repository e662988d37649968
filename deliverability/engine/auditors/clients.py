"""Which mail programs show the HTML as meant: the features it uses against caniemail's data.

The data is vendored (deliverability/data/caniemail.json); nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from msgspec import Struct, field, json

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import Clients, UsedFeature
from deliverability.core.files import PACKAGE
from deliverability.core.mail.html.accounting import CSS_IMPORT, is_font_service
from deliverability.core.mail.html.markup import (
    Attribute,
    Declaration,
    Prelude,
    Token,
    TokenKind,
    read_attribute,
    read_sheet,
    tokens,
    unescape,
)
from deliverability.core.mail.parts import part_evidence
from deliverability.core.model.topic import cite
from deliverability.engine.base import Context, auditor

HTML_COMPARED = Code("html-compared", ("n",))


_DATA = PACKAGE / "data" / "caniemail.json"
_MAX_CHARACTERS = 2 << 20  # twenty times what Gmail shows
_MAX_DECLARATIONS = 200_000

# Elements by the feature that covers them, where that is not simply html-NAME.
_ELEMENTS = {
    **dict.fromkeys(
        ("article", "aside", "details", "figcaption", "figure", "footer", "header", "main", "mark", "nav", "section",
         "summary", "time"),
        "html-semantics",
    ),
    "map": "html-image-maps",
}  # fmt: skip
_PLAIN_ELEMENTS = frozenset(
    """
    abbr acronym audio base bdi dialog form marquee meter object picture progress rp rt ruby select svg textarea video
    wbr
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = {
    "srcset": "html-srcset",
    "loading": "html-loading-attribute",
    "required": "html-required",
    "hidden": "html-hidden",
    "popover": "html-popover",
}

_IMAGE = re.compile(r"\.(webp|svg|avif|heic|heif|apng|tiff?|bmp|ico|mp4)(?:[?#]|$)", re.IGNORECASE)


_IMAGE_FEATURES = {"heic": "heif", "tif": "tiff"}
_PROPERTIES = {
    **dict.fromkeys(("grid-template-columns", "grid-template-rows", "grid-template-areas"), "css-grid-template"),
    **dict.fromkeys(("column-gap", "row-gap", "gap", "grid-gap"), "css-gap"),
    **dict.fromkeys(("columns", "column-count", "column-width"), "css-column-count"),
    **dict.fromkeys(("block-size", "inline-size"), "css-block-inline-size"),
    **dict.fromkeys(("margin-inline", "margin-block"), "css-margin-inline-block"),
    **dict.fromkeys(("margin-inline-start", "margin-inline-end"), "css-margin-inline-start-end"),
    **dict.fromkeys(("margin-block-start", "margin-block-end"), "css-margin-block-start-end"),
    **dict.fromkeys(("padding-inline", "padding-block"), "css-padding-inline-block"),
    **dict.fromkeys(("padding-inline-start", "padding-inline-end"), "css-padding-inline-start-end"),
    **dict.fromkeys(("padding-block-start", "padding-block-end"), "css-padding-block-start-end"),
}
_PLAIN_PROPERTIES = frozenset(
    """
    accent-color align-items animation aspect-ratio backdrop-filter background-blend-mode background-clip
    background-image background-size border-image border-radius box-shadow box-sizing clip-path filter flex-direction
    flex-wrap float font-kerning hyphens inset justify-content letter-spacing list-style-image mask-image max-height
    min-height mix-blend-mode object-fit object-position opacity outline-offset overflow shape-outside table-layout
    text-align-last text-decoration-color text-decoration-thickness text-emphasis text-justify text-overflow
    text-shadow text-underline-offset text-wrap transform transition user-select visibility word-break word-spacing
    writing-mode z-index
    """.split()  # noqa: SIM905
)

_VALUES = (
    (re.compile(r"(?<![\w-])calc\(", re.IGNORECASE), "css-unit-calc"),
    (re.compile(r"(?<![\w-])clamp\(", re.IGNORECASE), "css-function-clamp"),
    (re.compile(r"(?<![\w-])min\(", re.IGNORECASE), "css-function-min"),
    (re.compile(r"(?<![\w-])max\(", re.IGNORECASE), "css-function-max"),
    (re.compile(r"(?<![\w-])var\(", re.IGNORECASE), "css-variables"),
    (re.compile(r"linear-gradient\(", re.IGNORECASE), "css-linear-gradient"),
    (re.compile(r"radial-gradient\(", re.IGNORECASE), "css-radial-gradient"),
    (re.compile(r"conic-gradient\(", re.IGNORECASE), "css-conic-gradient"),
    (re.compile(r"(?<![\w-])(?:ok)?l(?:ch|ab)\(", re.IGNORECASE), "css-modern-color"),
    (re.compile(r"(?<![\w-])light-dark\(", re.IGNORECASE), "css-function-light-dark"),
    (re.compile(r"(?<![\w-])rgba\(", re.IGNORECASE), "css-rgba"),
    (re.compile(r"(?<![\w.-])[\d.]{1,20}(rem|vh|vw|vmin|vmax|ch)(?![\w%])", re.IGNORECASE), "css-unit-{}"),
    (re.compile(r"(?<![\w-])(?:fit|min|max)-content(?![\w-])", re.IGNORECASE), "css-intrinsic-size"),
)


_DISPLAY = {"flex": "css-display-flex", "inline-flex": "css-display-flex", "grid": "css-display-grid",
            "inline-grid": "css-display-grid"}  # fmt: skip

_PSEUDO = re.compile(
    r":(:?(?:before|after|first-letter|first-line|marker|placeholder)|checked|has|not|nth-child|nth-of-type|"
    r"nth-last-child|nth-last-of-type|first-child|last-child|first-of-type|last-of-type|only-child|only-of-type|"
    r"target|focus|active|lang)(?![\w-])",
    re.IGNORECASE,
)


_PSEUDO_ELEMENTS = frozenset({"before", "after", "first-letter", "first-line", "marker", "placeholder"})
_MEDIA = {
    "prefers-color-scheme": "css-at-media-prefers-color-scheme",
    "prefers-reduced-motion": "css-at-media-prefers-reduced-motion",
    "orientation": "css-at-media-orientation",
    "device-pixel-ratio": "css-at-media-device-pixel-ratio",
    "hover": "css-at-media-hover",
}
_AT_RULES = {
    "@font-face": "css-at-font-face",
    "@import": "css-at-import",
    "@keyframes": "css-at-keyframes",
    "@supports": "css-at-supports",
}
_ONE_NUMBER = re.compile(r"[-+]?[\d.]+[a-z%]*$", re.IGNORECASE)


class _Support(Struct, frozen=True):
    """The vendored data."""

    date: str
    clients: tuple[str, ...]
    features: Mapping[str, tuple[str, str]]  # title and one letter a client


class Uses(Struct):
    """How often features are used, and how often of that under no condition."""

    all: dict[str, int] = field(default_factory=dict)
    plain: dict[str, int] = field(default_factory=dict)

    def add(self, feature: str, *, conditional: bool = False) -> None:
        """Count one use."""
        self.all[feature] = self.all.get(feature, 0) + 1
        if not conditional:
            self.plain[feature] = self.plain.get(feature, 0) + 1

    def add_all(self, others: Uses) -> None:
        """Count all of others."""
        for mine, theirs in ((self.all, others.all), (self.plain, others.plain)):
            for feature, count in theirs.items():
                mine[feature] = mine.get(feature, 0) + count


@auditor("clients", Clients, of_message=True)
async def audit(ctx: Context) -> Clients:
    """Which mail programs show the HTML as meant."""
    pages = ctx.the_pages
    support = _support()
    if pages.characters > _MAX_CHARACTERS:
        lost = Unknown(Reason.LIMIT, HTML_COMPARED(n=_MAX_CHARACTERS >> 20))
        return Clients(features=lost, programs=len(support.clients), data_date=support.date)
    uses = Uses()
    for text, cut in zip(pages.texts, pages.tokens, strict=True):
        collect(text, uses, cut)
    return Clients(
        features=_records(uses, support, ctx.knowledge.features),
        programs=len(support.clients),
        data_date=support.date,
        evidence=cite(features=tuple(ctx.cite(part_evidence(leaf.part)) for leaf in pages.leaves[:20])),
    )


def _records(uses: Uses, support: _Support, kinds: Mapping[str, str]) -> tuple[UsedFeature, ...]:
    records: list[UsedFeature] = []
    for feature, count in uses.all.items():
        if feature not in support.features:
            continue
        title, marks = support.features[feature]
        unsupported = tuple(each for each, mark in zip(support.clients, marks, strict=True) if mark == "n")
        partial = tuple(each for each, mark in zip(support.clients, marks, strict=True) if mark == "a")
        if not unsupported and not partial:
            continue
        records.append(
            UsedFeature(
                feature=feature,
                title=title.strip(),
                kind=kinds.get(feature, "look"),
                uses=count,
                conditional=feature not in uses.plain,
                unsupported=unsupported,
                unsupported_count=len(unsupported),
                partial=partial,
            )
        )
    return tuple(sorted(records, key=lambda each: (-each.unsupported_count, each.feature)))


@cache
def _support() -> _Support:
    data: dict[str, Any] = json.decode(_DATA.read_bytes())
    features = {slug: (str(title), str(marks)) for slug, (title, marks) in data["features"].items()}
    return _Support(str(data["last_update"]), tuple(data["clients"]), features)


def collect(html: str, uses: Uses, cut: Iterable[Token] | None = None) -> None:
    """Count the features that an HTML text uses. Takes any text, in linear time.

    `cut` are its tokens, where somebody has them already.
    """
    left = _MAX_DECLARATIONS
    tags: dict[str, tuple[Uses, int]] = {}  # start tags seen, with their uses and declarations; most mails repeat a few
    for token in tokens(html) if cut is None else cut:
        if token.kind is TokenKind.RAW and token.name == "style":
            names: set[str] = set()  # properties of the rule being read
            for each in read_sheet(html[token.start : token.end]):
                left -= 1
                if left < 0:
                    return
                if isinstance(each, Prelude):
                    names = set()
                _sheet(each, uses, names)
        elif token.kind is TokenKind.START:
            source = html[token.start : token.end]
            if source not in tags:
                own = Uses()
                tags[source] = own, _tag(token, own, _MAX_DECLARATIONS)
            own, declarations = tags[source]
            if declarations > left:
                _tag(token, uses, left)
                return
            left -= declarations
            uses.add_all(own)


def _tag(token: Token, uses: Uses, most: int) -> int:
    """Count what a start tag uses, with at most that many declarations; gives how many there were, one more if cut."""
    values: dict[str, str] = {}
    for attribute in token.attributes:
        values.setdefault(attribute.name, attribute.value)
    _element(token.name, values, uses)
    _attributes(token.attributes, uses)
    names: set[str] = set()
    count = 0
    for declaration in read_attribute(unescape(values["style"])) if "style" in values else ():
        count += 1
        if count > most:
            break
        _declaration(declaration, uses, names)
    return count


def _sheet(each: Declaration | Prelude, uses: Uses, names: set[str]) -> None:
    if isinstance(each, Declaration):
        # The descriptors of a font are no properties of the page.
        if not each.block.lower().startswith("@font-face"):
            _declaration(each, uses, names)
        return
    text = each.text.lower()
    if text.startswith("@"):
        name = text.split(None, 1)[0].partition("(")[0].replace("@-webkit-", "@").replace("@-moz-", "@")
        font = CSS_IMPORT.match(each.text)
        if font and is_font_service(font[1]):
            uses.add("css-at-font-face", conditional=each.conditional)
        elif name in _AT_RULES:
            uses.add(_AT_RULES[name], conditional=each.conditional)
        elif name == "@media":
            uses.add("css-at-media", conditional=True)
            for word, feature in _MEDIA.items():
                if word in text:
                    uses.add(feature, conditional=True)
        return
    if each.nested:
        uses.add("css-nesting", conditional=each.conditional)
    for match in _PSEUDO.finditer(text[:5000]):
        name = match[1].lower().lstrip(":")
        kind = "element" if name in _PSEUDO_ELEMENTS else "class"
        uses.add(f"css-pseudo-{kind}-{name}", conditional=each.conditional)


def _declaration(each: Declaration, uses: Uses, names: set[str]) -> None:
    """Count what a declaration uses; `names` are the properties declared before it in the same rule."""
    name = each.name
    provided = each.conditional or name in names
    names.add(name)
    value = each.value.lower()[:5000]
    if name.startswith("--"):
        uses.add("css-variables", conditional=each.conditional)
        return
    if name.startswith(("-", "mso-")) or value.startswith("none"):
        return
    feature = _PROPERTIES.get(name) or (f"css-{name}" if name in _PLAIN_PROPERTIES else None)
    if feature:
        uses.add(feature, conditional=each.conditional)
    elif name == "display":
        if (word := value.partition("!")[0].strip()) in _DISPLAY:
            uses.add(_DISPLAY[word], conditional=provided)
    elif name == "position":
        if value.startswith(("absolute", "fixed", "sticky")):
            uses.add("css-position", conditional=each.conditional)
    elif name == "background" and "url(" in value:
        uses.add("css-background-image", conditional=each.conditional)
    if _ONE_NUMBER.match(value) and value[-1:].isdigit():
        return
    for pattern, slug in _VALUES:
        if match := pattern.search(value):
            uses.add(slug.format(match[1].lower()) if "{}" in slug else slug, conditional=provided)


def _element(tag: str, values: Mapping[str, str], uses: Uses) -> None:
    for feature in _element_features(tag, values):
        uses.add(feature)


def _element_features(tag: str, values: Mapping[str, str]) -> Iterator[str]:
    if tag in _ELEMENTS:
        yield _ELEMENTS[tag]
    elif tag in _PLAIN_ELEMENTS:
        yield f"html-{tag}"
    elif tag == "link":
        if "stylesheet" in values.get("rel", "").lower():
            yield "css-at-font-face" if is_font_service(unescape(values.get("href", "")).strip()) else "html-link"
    elif tag == "input":
        yield f"html-input-{values.get('type', 'text').strip().lower()}"
    elif tag == "button":
        yield f"html-button-{values.get('type', 'submit').strip().lower()}"
    elif tag == "a" and values.get("href", "").strip().startswith("#") and len(values["href"].strip()) > 1:
        yield "html-anchor-links"
    if tag in ("img", "source"):
        address = unescape(values.get("src", "")).strip().lower()
        if address.startswith("data:"):
            yield "image-base64"
        elif match := _IMAGE.search(address[-300:]):
            ending = match[1].lower()
            yield f"image-{_IMAGE_FEATURES.get(ending, ending)}"


def _attributes(attributes: tuple[Attribute, ...], uses: Uses) -> None:
    for attribute in attributes:
        feature = _ATTRIBUTES.get(attribute.name)
        if feature:
            uses.add(feature)
