"""What a reader of the site can look up: the entries, their order from A to Z, and the index of its search."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from deliverability.model.codec import json_text

INDEX = "search-index.js"


class EntryKind(StrEnum):
    """What an entry is, in the order of the page from A to Z."""

    GUIDE = "guide"
    RULE = "rule"
    RECEIVER = "receiver"
    REPLY = "reply"
    SERVICE = "service"
    TERM = "term"


class SearchEntry(Struct, frozen=True):
    """Something to be found.

    Attributes:
        title: as it is shown.
        href: where it is, from the folder of the language.
        names: ids, codes and other words that mean just this.
        words: what else it says.

    """

    kind: EntryKind
    title: str
    href: str
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def folded(text: str) -> str:
    """A text as search compares it, in the script likewise: one width of letters (NFKC), no capitals, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def from_a_to_z(entries: Iterable[SearchEntry]) -> list[tuple[EntryKind, list[SearchEntry]]]:
    """Every entry below its kind, by title."""
    by_title = sorted(entries, key=lambda entry: (folded(entry.title), entry.href))
    return [(kind, found) for kind in EntryKind if (found := [each for each in by_title if each.kind is kind])]


def index(entries: Sequence[SearchEntry], kinds: dict[EntryKind, str]) -> str:
    """The entries as a script beside the pages: a page that is opened from a folder can load nothing else.

    Of each: the word for its kind, title, address, folded title, folded names, folded words.
    """
    rows = [
        [
            kinds[each.kind],
            each.title,
            each.href,
            folded(each.title),
            [folded(name) for name in each.names],
            folded(" ".join(each.words)),
        ]
        for each in entries
    ]
    lines = ",\n".join(json_text(row) for row in rows)
    return f"globalThis.delivIndex = [\n{lines}\n];\n"
