"""The guide (docs/*.md) as pages of the site."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from msgspec import Struct

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# The pages in the order of a reader's needs; others follow by name.
_ORDER = (
    *("installing", "auditing", "reading", "fixing", "bounces", "reports", "watch", "doctor"),
    *("weekly", "formats", "settings", "python", "architecture"),
)
_COMMENT = ("<!--", "-->")


class GuidePage(Struct, frozen=True):
    """A page of the guide.

    Attributes:
        name: of the page, without an ending.
        title: its first heading.
        text: what a search looks at, without marks.
        html: all of it but that heading.

    """

    name: str
    title: str
    text: str
    html: Markup


def guide_pages(folder: Path) -> tuple[GuidePage, ...]:
    """The pages of a folder in reading order. Raises ModuleNotFoundError where nothing here reads Markdown."""
    from markdown_it import MarkdownIt

    # Marks of HTML are words, so that no page can bring any along.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("table_open", _table_open)
    reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    texts = {path.stem: path.read_text("utf-8") for path in folder.glob("*.md") if path.stem.islower()}
    names = sorted(texts, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return tuple(_page(name, texts[name], texts, reader) for name in names)


def _without_comments(text: str) -> str:
    """Markdown without comments, and without the line end behind each."""
    begin, end = _COMMENT
    first, *others = text.split(begin)
    pieces = [first]
    for each in others:
        inside, closed, after = each.partition(end)
        pieces.append(after.removeprefix("\n") if closed else begin + inside)
    return "".join(pieces)


def _page(name: str, text: str, known: Collection[str], reader: MarkdownIt) -> GuidePage:
    opening, heading, closing, *tokens = reader.parse(_without_comments(text))
    if (opening.type, opening.tag, closing.type) != ("heading_open", "h1", "heading_close"):
        raise ValueError(f"{name}.md does not begin with its title")
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = _anchor(tokens[place + 1].content)
        if token.children is not None:
            token.children = _linked(token.children, known)
    words = " ".join(token.content for token in tokens if token.content)
    return GuidePage(name, heading.content, words, Markup(reader.renderer.render(tokens, reader.options, {})))  # noqa: S704


def _anchor(heading: str) -> str:
    """The id of a heading, as hosts of Markdown make it: links in the pages are written for these."""
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
    return kept.strip().replace(" ", "-")


def _linked(tokens: Sequence[Token], known: Collection[str]) -> list[Token]:
    """Links to other pages of the guide lead to their HTML; those to what is not on the site are words only."""
    result: list[Token] = []
    open_link = False
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrs["href"])
            page, hash_sign, anchor = href.partition("#")
            open_link = "://" in href or page.removesuffix(".md") in known
            if "://" not in href:
                token.attrs["href"] = f"{page.removesuffix('.md')}.html{hash_sign}{anchor}"
        if not token.type.startswith("link_") or open_link:
            result.append(token)
    return result


def _table_open(renderer: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    """A table that may be wider than the screen: it scrolls by itself, can be focused, and its head is its name."""
    head = next((token.content for token in tokens[index:] if token.type == "inline"), "")
    return str(Markup('<div class="scroll" role="region" aria-label="{}" tabindex="0"><table>\n').format(head))
