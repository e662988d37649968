"""Unsubscribing: the header fields (RFC 2369, RFC 8058), their signature, and the link in the text."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote

from msgspec import Struct

from deliverability.core.codes import ABOUT, ASKED, Code, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import OneClickRequest, Unsubscribe, UnsubscribeLink
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.mail.html.accounting import MAX_CHARACTERS, Link, ShownHtml
from deliverability.core.mail.parts import body_texts, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.core.mail.words import printable
from deliverability.core.model.knowledge import Expressions, UnsubscribeWords
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.net.base import NoPage
from deliverability.engine.auditors.message import cite_fields
from deliverability.engine.base import Context, auditor, http_id

LONGEST_LINE = 5000  # characters of a line that are looked at
LINES_NEAR = 2

# Literal first: the search goes from colon to colon.
_SCHEME = re.compile(r":(?:(?<=http:)|(?<=https:)|(?<=mailto:))", re.IGNORECASE)
_OTHER_LINE_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # of str.splitlines; CR and CRLF are read as one with LF


def near_links(pieces: Iterable[str]) -> Iterator[str]:
    """Stretches of whole lines that hold all lines with ``http:``, ``https:`` or ``mailto:`` and two on either side.

    Lines end in LF, whatever ends them in `pieces`. A line may come twice, and may lack what is beyond LONGEST_LINE.
    Some pieces are held at a time, however long the text and its lines are.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    held, seen = "", 0  # lines before that may still be near to something, and up to where they were looked through
    for piece in pieces:
        text = held + _with_lf(newlines.decode(piece))
        limit = _back(text, len(text), LINES_NEAR + 1)  # all lines near to what stands before it are there
        yield from _stretches(text, seen, limit)
        begin = _back(text, limit - 1, LINES_NEAR) if limit else 0
        seen = max(seen, limit) - begin
        last = text.rfind("\n") + 1
        held = text[begin : last + LONGEST_LINE]
    text = held + _with_lf(newlines.decode("", final=True))
    yield from _stretches(text, seen, len(text))


def _with_lf(text: str) -> str:
    for each in _OTHER_LINE_ENDS:
        if each in text:
            text = text.replace(each, "\n")
    return text


def _stretches(text: str, position: int, limit: int) -> Iterator[str]:
    """Those of the links from `position` to `limit`; neighbours that overlap are one."""
    start = end = 0
    while match := _SCHEME.search(text, position, limit):
        first = _back(text, match.start(), LINES_NEAR + 1)
        position = _forward(text, match.start(), 1)  # one link of a line is enough
        if first > end or not end:
            if end:
                yield text[start:end]
            start = first
        end = _forward(text, position, LINES_NEAR)
    if end:
        yield text[start:end]


def _back(text: str, position: int, line_ends: int) -> int:
    """Where the line begins behind the LF that is that many before `position`."""
    for _ in range(line_ends):
        position = text.rfind("\n", 0, position)
        if position < 0:
            return 0
    return position + 1


def _forward(text: str, position: int, line_ends: int) -> int:
    """Where the line begins behind that many LF at or after `position`."""
    for _ in range(line_ends):
        position = text.find("\n", position) + 1
        if not position:
            return len(text)
    return position


_FIELDS = ("list-unsubscribe", "list-unsubscribe-post")
_URI = re.compile(r"<([^<>]{1,4000})>")
_ONE_CLICK = "List-Unsubscribe=One-Click"
NEED_PROBE = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_UNSUBSCRIBE))
TEXT_SEARCHED = Code("text-searched", ("n",))
_TOO_LONG = Unknown(Reason.LIMIT, TEXT_SEARCHED(n=MAX_CHARACTERS >> 20))
_MAX_URIS = 20
_MAX_WORDS = 10


class Patterns(NamedTuple):
    """The words of `rules/unsubscribe-words.yaml`, for folded text; the first that fits counts.

    They are looked for in lower case (`_folded`): without regard to case it would take three times as long.

    Attributes:
        in_link: in the text of a link.
        beside_link: in the text before and behind it.
        in_address: in the address that it leads to.

    """

    in_link: Expressions
    beside_link: Expressions
    in_address: Expressions


@lru_cache(maxsize=8)
def patterns(words: UnsubscribeWords) -> Patterns:
    """Each compiled when the first link is met: a mail without links needs none."""
    return Patterns(*(Expressions(getattr(words, name)) for name in Patterns._fields))


SAME_ADDRESS = "List-Unsubscribe"
"""Stands for the word by which a link was known, where it leads to an address of that field."""
_TO_ASCII = str.maketrans("\u0130\u0131\u017f\u212a", "iisk")

_TEXT_ADDRESS = re.compile(r"https?://[^\s<>\"]{3,2000}|mailto:\S{3,500}", re.IGNORECASE)


@auditor("unsubscribe", Unsubscribe, OneClickRequest, UnsubscribeLink, needs=(Dkim,), of_message=True)
async def audit(ctx: Context) -> tuple[Unsubscribe, OneClickRequest, UnsubscribeLink]:
    """Unsubscribing: the header fields, their signature, and the link in the text."""
    message, pages = ctx.the_message, ctx.the_pages
    header, address = _header(ctx, message)
    return header, await _post(ctx, address), _body(ctx, message, pages, patterns(ctx.knowledge.unsubscribe))


def _header(ctx: Context, message: Message) -> tuple[Unsubscribe, str | None]:
    """The facts of the header, and the address that a receiver may post to, if there is one."""
    lists = message.fields("List-Unsubscribe")
    posts = message.fields("List-Unsubscribe-Post")
    uris = [uri for each in lists for uri in unsubscribe_uris(each.value)]
    schemes = [uri.partition(":")[0].lower() for uri in uris]
    ids = cite_fields(ctx, lists)
    post_ids = cite_fields(ctx, posts)
    signed = cite_fields(ctx, message.fields("DKIM-Signature"))
    # RFC 8058 section 3.1 gives the field this one value; receivers compare it without regard to case.
    valid = len(posts) == 1 and "".join(posts[0].value.split()).lower() == _ONE_CLICK.lower()
    stated = Unsubscribe(
        present=bool(lists),
        fields=len(lists),
        uris=tuple(map(printable, uris[:_MAX_URIS])),
        https_count=schemes.count("https"),
        http_count=schemes.count("http"),
        mailto_count=schemes.count("mailto"),
        one_click=printable(posts[0].value[:500]) if posts else None,
        post_field_valid=valid,
        dkim_covered=_covered(ctx.of(Dkim).signatures) if lists and posts else None,
        evidence=cite(*ids, one_click=post_ids, post_field_valid=post_ids, dkim_covered=(*ids, *post_ids, *signed)),
    )
    address = uris[schemes.index("https")] if valid and schemes.count("https") == 1 else None
    # A URL is printable ASCII (RFC 3986 section 2); anything else is not sent to.
    return stated, address if address is not None and address.isascii() and address.isprintable() else None


async def _post(ctx: Context, address: str | None) -> OneClickRequest:
    """Unsubscribe as a receiver does on one click (RFC 8058 section 3.2): no cookies, no redirects."""
    if not ctx.ports.permissions.one_click:
        return OneClickRequest.lost(NEED_PROBE)
    if address is None:
        return OneClickRequest(post_status=None, post_redirects=None)
    answer = await ctx.post(address, _ONE_CLICK)
    cited = http_id(address, "POST")
    if isinstance(answer, NoPage):
        asked = ASKED(type="POST", name=printable(address))
        return OneClickRequest.lost(Unknown(answer.reason, ABOUT(what=asked, detail=answer.detail)), cited)
    return OneClickRequest(post_status=answer.status, post_redirects=300 <= answer.status < 400, evidence=cite(cited))


def unsubscribe_uris(value: str) -> list[str]:
    """The addresses in angle brackets of a List-Unsubscribe value (RFC 2369 section 2), white space taken out."""
    return ["".join(match[1].split()) for match in _URI.finditer(value)]


def _covered(signatures: Maybe[tuple[DkimSignature, ...]]) -> bool | Unknown:
    """Whether a passing signature covers both fields; Unknown where one that does could not be verified."""
    if isinstance(signatures, Unknown):
        return signatures
    unverified: Unknown | None = None
    for each in signatures:
        if set(_FIELDS) <= set(each.signed_headers):
            if each.result == "pass":
                return True
            lost = each.settled if isinstance(each.settled, Unknown) else each.bits
            unverified = lost if isinstance(lost, Unknown) else unverified
    return unverified or False


def _body(ctx: Context, message: Message, pages: ShownHtml, known: Patterns) -> UnsubscribeLink:
    addresses = {
        _address(uri) for each in message.fields("List-Unsubscribe") for uri in unsubscribe_uris(each.value)[:_MAX_URIS]
    }
    shown = pages.leaves or body_texts(message, "text/plain")
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in shown[:20]]
    # The octets as sent are looked at first: a text of 25 MB is not decoded only to find that it is too long.
    if sum(leaf.part.encoded_octets for leaf in shown) > 2 * MAX_CHARACTERS or pages.characters > MAX_CHARACTERS:
        return UnsubscribeLink.lost(_TOO_LONG)
    words: dict[str, None] = {}
    octets: int | None = None
    if pages.leaves:
        for link in pages.account.links:
            found = link_word(link, known, addresses)
            if found:
                octets = link.octets if octets is None else octets
                words[found] = None
    else:
        allowance = _Allowance(MAX_CHARACTERS)
        for leaf in shown:
            words |= dict.fromkeys(_words_in_text(allowance.take(leaf.part.text_pieces()), known, addresses))
        if allowance.left < 0:
            return UnsubscribeLink.lost(_TOO_LONG)
    return UnsubscribeLink(
        body_link=bool(words),
        body_link_words=tuple(words)[:_MAX_WORDS],
        body_link_octets=octets,
        evidence=cite(*cited),
    )


class _Allowance(Struct):
    """Characters of plain text that may still be looked at."""

    left: int

    def take(self, pieces: Iterable[str]) -> Iterator[str]:
        """The pieces, as far as they are not too many; else less than nothing is left."""
        for piece in pieces:
            self.left -= len(piece)
            if self.left < 0:
                return
            yield piece


def link_word(link: Link, known: Patterns, addresses: Collection[str] = ()) -> str | None:
    """The word by which a visible link is known to be for unsubscribing, or None.

    `addresses`: those of List-Unsubscribe. A link to one of them is one whatever it says.
    """
    if link.hidden or not link.href.lower().startswith(("http:", "https:", "mailto:")):
        return None
    if _address(link.href) in addresses:
        return SAME_ADDRESS
    if not (link.text or link.label):
        return None
    match = (
        known.in_link.search(_folded(link.text))
        or known.in_link.search(_folded(link.label))
        or known.beside_link.search(_folded(link.before))
        or known.beside_link.search(_folded(link.after))
        or known.in_address.search(_folded(link.href[:4000]))
    )
    return match[0] if match else None


def _address(uri: str) -> str:
    """A URI as it is compared: the host in any case, without a fragment; of a mailto the address alone."""
    uri = uri.strip()
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "mailto":
        return f"mailto:{unquote(rest.partition('?')[0]).lower()}"
    host, slash, path = rest.removeprefix("//").partition("#")[0].partition("/")
    return f"{scheme.lower()}://{host.lower()}/{path if slash else ''}"


def _folded(text: str) -> str:
    """`text` in one width and lower case; the letters that are i, s or k but for case are these."""
    return (text if text.isascii() else normalize("NFKC", text.translate(_TO_ASCII))).lower()


def _words_in_text(pieces: Iterable[str], known: Patterns, addresses: Collection[str]) -> list[str]:
    """Unsubscribe words of a plain text with a web or mail address in the same line or at most two lines off."""
    found: dict[str, None] = {}
    for stretch in near_links(pieces):
        written = [line[:LONGEST_LINE] for line in stretch.split("\n")]
        links = [[_address(each[0].rstrip(".,;)>")) for each in _TEXT_ADDRESS.finditer(line)] for line in written]
        if any(each in addresses for line in links for each in line):
            found[SAME_ADDRESS] = None
        lines = [line[:LONGEST_LINE] for line in _folded(stretch).split("\n")]
        joined = "\n".join(lines)
        if not any(words.search(joined) for words in (known.beside_link, known.in_address, known.in_link)):
            continue  # most links are no such links
        near = [bool(_TEXT_ADDRESS.search(line)) for line in lines]
        for index, line in enumerate(lines):
            if any(near[max(index - LINES_NEAR, 0) : index + LINES_NEAR + 1]):
                match = (
                    known.beside_link.search(line) or known.in_address.search(line) or known.in_link.search(line[:200])
                )
                if match:
                    found[match[0]] = None
    return list(found)
