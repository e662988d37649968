"""Reads the pages that receivers' statements rest on, and lists what changed: `make sources`. It needs the network.

A statement rests on a passage: the block of the page, from a heading or a paragraph to the next, in which its quote
stands. Kept is a digest of each passage, and of each page from which nothing is quoted. `make sources WRITE=1` keeps
those of today, once somebody has read what changed and put the rules right.
"""

from __future__ import annotations

import argparse
import codecs
import hashlib
import json
import re
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import httpx2
from msgspec import Struct

from deliverability.core.model.rules import RuleSet
from deliverability.engine.rules import load_rules

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".ci" / "sources.json"
MOST_OCTETS = 5_000_000
SECONDS = 20.0
MOST_SECONDS = 60.0
"""For all of a page; SECONDS is for one answer of the server."""
FOR_GOOD = (301, 308)
FULL_PAGE = 1000
"""Characters; a page with fewer may be the frame of one that a script fills."""
STATES = ("stands", "new", "changed", "gone", "unread", "moved")
HIDDEN = frozenset({"script", "style", "noscript", "template", "svg"})
INLINE = frozenset(
    {
        *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "font", "i", "kbd", "mark", "q", "s"),
        *("samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr"),
    }
)
SIGNS = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "\u2011": "-", "\u00ad": None}
PLAIN = str.maketrans(SIGNS)
GAP = "…"


class Quoted(Struct, frozen=True):
    """A quote, whose it is, the rules that rest on it, and the pages on one of which it stands."""

    receiver: str
    text: str
    rules: tuple[str, ...]
    urls: tuple[str, ...]

    @property
    def key(self) -> str:
        """Under which the digest of its passage is kept."""
        return f"{self.receiver} {digest(folded(self.text))[:16]}"


class Page(Struct, frozen=True):
    """A page as it is today.

    Attributes:
        blocks: the text of its blocks.
        octets: digest of what has no text to look in (a PDF, a picture).
        why: why it could not be read, or why a quote that is not found may stand there all the same.
        moved: where it is for good now; empty: where it was.

    """

    blocks: tuple[str, ...] = ()
    octets: str = ""
    why: str = ""
    moved: str = ""


class _Text(HTMLParser):
    """The text of a page, block by block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks = [""]
        self.unscripted = ""
        self._hidden = 0
        self._noscript = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """An element that is no part of a line begins a block; what nobody sees is left out."""
        self._hidden += tag in HIDDEN
        self._noscript += tag == "noscript"
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        """The end of it begins another one."""
        self._hidden = max(0, self._hidden - (tag in HIDDEN))
        self._noscript = max(0, self._noscript - (tag == "noscript"))
        self._part(tag)

    def handle_data(self, data: str) -> None:
        """Text goes on in its block; what is said to those without scripts is kept apart."""
        if not self._hidden:
            self.blocks[-1] += data
        elif self._noscript:
            self.unscripted += data

    def _part(self, tag: str) -> None:
        if tag not in INLINE and self.blocks[-1].strip():
            self.blocks.append("")


def folded(text: str) -> str:
    """A text as it is compared: without differences of width, case, quotation marks, dashes and white space."""
    plain = unicodedata.normalize("NFKC", text.translate(PLAIN)).casefold()
    return re.sub(r"\s+", " ", plain).strip()


def digest(text: str) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def blocks_of(text: str, kind: str) -> tuple[str, ...]:
    """The folded blocks of a page; of plain text its paragraphs."""
    if "html" not in kind:
        return tuple(filter(None, map(folded, re.split(r"\n\s*\n", text))))
    return tuple(filter(None, map(folded, _parsed(text).blocks)))


def _parsed(text: str) -> _Text:
    parser = _Text()
    parser.feed(text)
    parser.close()
    return parser


def made_by_script(text: str, blocks: Sequence[str]) -> bool:
    """Whether a page has hardly any text, and asks those without scripts to allow them."""
    return sum(map(len, blocks)) < FULL_PAGE and "javascript" in folded(_parsed(text).unscripted)


_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CALLED = {"shift_jis": "cp932", "x-sjis": "cp932", "iso-8859-1": "cp1252", "us-ascii": "cp1252"}


def decoded(data: bytes, said: str | None) -> str:
    """The text of a page: by its byte order mark, its Content-Type, its own <meta>, or UTF-8. Raises LookupError."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    meta = _META.search(data[:4096])
    name = (said or (meta[1].decode("ascii") if meta else "utf-8")).lower()
    return data.decode(_CALLED.get(name, name), "replace")


def passage(quote: str, blocks: Sequence[str]) -> str | None:
    """The blocks from the first to the last in which the parts of a quote stand, in their order; None: they do not."""
    first: int | None = None
    place, offset = 0, 0
    for part in filter(None, map(folded, quote.replace("...", GAP).split(GAP))):
        while place < len(blocks) and (found := blocks[place].find(part, offset)) < 0:
            place, offset = place + 1, 0
        if place == len(blocks):
            return None
        first = place if first is None else first
        offset = found + len(part)
    return None if first is None else "\n".join(blocks[first : place + 1])


def quotes_of(rules: RuleSet) -> tuple[Quoted, ...]:
    """Every quote once for each receiver, with all the rules that it is for."""
    found: dict[tuple[str, str, tuple[str, ...]], dict[str, None]] = {}
    for receiver in rules.receivers.values():
        for rule, statements in receiver.rules.items():
            for each in statements:
                urls = tuple(filter(None, (rules.sources[ref.ref].url for ref in each.sources)))
                if each.quote:
                    found.setdefault((receiver.id, each.quote, urls), {})[rule] = None
    return tuple(Quoted(ident, text, tuple(named), urls) for (ident, text, urls), named in found.items())


def silent_of(rules: RuleSet, quoted: Sequence[Quoted]) -> tuple[str, ...]:
    """Pages that statements cite without quoting them."""
    cited = {
        rules.sources[ref.ref].url
        for receiver in rules.receivers.values()
        for statements in receiver.rules.values()
        for each in statements
        for ref in each.sources
    }
    return tuple(sorted(filter(None, cited - {url for each in quoted for url in each.urls})))


def fetch(url: str, client: httpx2.Client) -> Page:
    """A page of today; whatever keeps it from being read is told as the reason."""
    until = time.monotonic() + MOST_SECONDS
    try:
        with client.stream("GET", url) as answer:
            answer.raise_for_status()
            moved = str(answer.url) if any(each.status_code in FOR_GOOD for each in answer.history) else ""
            data = b""
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > MOST_OCTETS:
                    return Page(why=f"more than {MOST_OCTETS:,} octets")
                if time.monotonic() > until:
                    return Page(why=f"more than {MOST_SECONDS:g} seconds")
            kind = answer.headers.get("content-type", "text/html").lower()
            if not kind.startswith(("text/", "application/xhtml")):
                return Page(octets=digest(data.decode("latin-1")), why=f"no text: {kind}", moved=moved)
            text = decoded(data, answer.charset_encoding)
    except (httpx2.HTTPError, httpx2.InvalidURL, LookupError) as error:
        return Page(why=str(error).splitlines()[0] if str(error) else type(error).__name__)
    blocks = blocks_of(text, kind)
    if not blocks:
        return Page(why="no text")
    return Page(blocks, why="made by a script" if made_by_script(text, blocks) else "", moved=moved)


class Found(Struct, frozen=True):
    """What became of a passage or page: stands, new, changed, gone, unread or moved. `kept`: its digest of today."""

    state: str
    key: str
    line: str
    kept: str = ""


def compared(
    quoted: Sequence[Quoted], silent: Sequence[str], pages: Mapping[str, Page], kept: Mapping[str, str]
) -> Iterator[Found]:
    """Every passage and every page from which nothing is quoted, against what is kept."""
    for each in quoted:
        line = f"{each.receiver} {', '.join(each.rules)}: “{each.text}” ({', '.join(each.urls)})"
        passages = (passage(each.text, pages[url].blocks) for url in each.urls)
        text = next((found for found in passages if found is not None), None)
        if text is not None:
            yield _against(each.key, digest(text), line, kept)
        else:
            unread = [f"{url}: {pages[url].why}" for url in each.urls if pages[url].why]
            # A page that could not be read may still say it.
            yield Found("unread" if unread or not each.urls else "gone", each.key, "; ".join((line, *unread)))
    for url in silent:
        page = pages[url]
        if page.octets:
            yield _against(url, page.octets, f"{url} (nothing is quoted from it)", kept)
        elif page.why:
            yield Found("unread", url, f"{url}: {page.why}")
        else:
            yield _against(url, digest("\n".join(page.blocks)), f"{url} (nothing is quoted from it)", kept)
    for url, page in pages.items():
        if page.moved:
            yield Found("moved", url, f"{url} is for good at {page.moved}")


def _against(key: str, today: str, line: str, kept: Mapping[str, str]) -> Found:
    state = "new" if key not in kept else "stands" if kept[key] == today else "changed"
    return Found(state, key, line, today)


def main(arguments: Sequence[str]) -> int:
    """0 where all of it stands, 1 where something changed or is gone, 3 where pages could not be read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rules", type=Path, action="append", default=[], help="a folder laid over the shipped rules")
    parser.add_argument("--receiver", action="append", default=[], help="only this receiver (repeatable)")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where the digests are kept")
    parser.add_argument("--write", action="store_true", help="keep the digests of today")
    given = parser.parse_args(arguments)
    rules = load_rules(tuple(given.rules))
    quoted, silent = quotes_of(rules), silent_of(rules, quotes_of(rules))
    if given.receiver:
        quoted, silent = tuple(each for each in quoted if each.receiver in given.receiver), ()
    kept: dict[str, str] = json.loads(given.kept.read_text("utf-8")) if given.kept.exists() else {}
    urls = dict.fromkeys((*(url for each in quoted for url in each.urls), *silent))
    with httpx2.Client(follow_redirects=True, timeout=SECONDS, headers={"User-Agent": "deliv-sources"}) as client:
        pages = {url: fetch(url, client) for url in urls}
    found = tuple(compared(quoted, silent, pages, kept))
    for each in found:
        if each.state != "stands":
            print(f"{each.state:8} {each.line}")
    states = [each.state for each in found]
    print(", ".join(f"{states.count(state)} {state}" for state in STATES))
    if given.write:
        # What could not be read keeps the digest that it had.
        kept |= {each.key: each.kept for each in found if each.kept}
        given.kept.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")
    if "changed" in states or "gone" in states:
        return 1
    return 3 if "unread" in states else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
