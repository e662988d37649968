"""How heavy the HTML part is and what it is made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from deliverability.core.codes import Code
from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.mail.addresses import canonical_ip, to_a_label
from deliverability.core.mail.html.accounting import MAX_CHARACTERS, Category, Link, link_host, shown_hosts
from deliverability.core.mail.html.markup import Token
from deliverability.core.mail.html.minify import minify
from deliverability.core.mail.parts import NESTED, Leaf, body_texts, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.core.mail.words import charset_codec, printable
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.base import Context, MissingFact, auditor, spec

HTML_APART = Code("html-apart", ("n",))

PROVIDES = (
    spec("html.present", FactType.BOOL, "The message has a text/html body part."),
    spec(
        "html.octets",
        FactType.INT,
        "The HTML after decoding transfer encoding, re-encoded as UTF-8; 0 without HTML.",
        unit="octets",
    ),
    spec(
        "html.markup_octets",
        FactType.INT,
        "Tags and attributes other than style attributes and data: URIs.",
        unit="octets",
    ),
    spec("html.inline_css_octets", FactType.INT, "style attributes.", unit="octets"),
    spec("html.style_octets", FactType.INT, "<style> elements.", unit="octets"),
    spec("html.data_uri_octets", FactType.INT, "data: URIs.", unit="octets"),
    spec("html.comment_octets", FactType.INT, "Comments, conditional comments included.", unit="octets"),
    spec(
        "html.conditional_comment_octets",
        FactType.INT,
        "Conditional comments (for Outlook), part of the comments.",
        unit="octets",
    ),
    spec("html.script_octets", FactType.INT, "<script> elements.", unit="octets"),
    spec("html.text_octets", FactType.INT, "Text.", unit="octets"),
    spec(
        "html.white_space_octets",
        FactType.INT,
        "White space that stands alone between tags or goes on beyond one character, part of the text.",
        unit="octets",
    ),
    spec(
        "html.repeated_css_octets",
        FactType.INT,
        "style attributes that repeat an earlier one to the letter, part of the inline CSS.",
        unit="octets",
    ),
    spec("html.link_octets", FactType.INT, "Addresses of links, part of the markup.", unit="octets"),
    spec(
        "html.tracking_octets",
        FactType.INT,
        "Tracking parameters (utm_..., mc_eid, fbclid and the like) in them.",
        unit="octets",
    ),
    spec(
        "html.minify_saves_octets",
        FactType.INT,
        "What minifying saves, measured by doing it: comments, white space and empty attributes go, text, elements and "
        "conditional comments stay.",
        unit="octets",
    ),
    spec(
        "html.visible_words",
        FactType.INT,
        "Words a reader sees (CJK text counts two characters as a word).",
        unit="words",
    ),
    spec("html.links", FactType.INT, "Links (<a href>).", unit="links"),
    spec("html.images", FactType.INT, "Images (<img>).", unit="images"),
    spec("html.images_without_alt", FactType.INT, "Images without an alt attribute.", unit="images"),
    spec("html.data_images", FactType.INT, "Images given as data: URI.", unit="images"),
    spec("html.active_elements", FactType.LIST_STR, "Active elements present: script, form, iframe, object, embed."),
    spec(
        "html.link_mismatches",
        FactType.LIST_RECORD,
        "Links whose text shows one domain and whose target is another.",
        key=["text"],
    ),
    spec("html.link_mismatches[].text", FactType.STR, "The domain shown."),
    spec("html.link_mismatches[].target", FactType.STR, "The domain linked to."),
    spec("html.link_hosts", FactType.LIST_RECORD, "Hosts linked to, the first 100.", key=["host"]),
    spec("html.link_hosts[].host", FactType.STR, "Host name, lower case, as A-label where it is a domain name."),
    spec("html.link_hosts[].links", FactType.INT, "Links to it.", unit="links"),
    spec("html.plain_http_links", FactType.INT, "Links with http:, not https:.", unit="links"),
    spec("html.ip_links", FactType.LIST_STR, "Link targets that are bare IP addresses."),
    spec(
        "html.hidden_text_octets",
        FactType.INT,
        "Text hidden by display:none, visibility:hidden, zero font size or the hidden attribute, a first preheader "
        "block of at most 300 octets left out.",
        unit="octets",
    ),
    spec("html.external_sheets", FactType.LIST_STR, "Style sheets loaded from elsewhere (<link>, @import)."),
    spec("html.external_fonts", FactType.LIST_STR, "Fonts loaded from elsewhere (@font-face, font services)."),
    spec("html.base_href", FactType.STR, "Address in <base>.", optional=True),
    spec("html.meta_charset", FactType.STR, "Charset in <meta>, lower case.", optional=True),
    spec(
        "html.charset_conflict",
        FactType.BOOL,
        "<meta> and Content-Type name different charsets; false where either names none.",
    ),
    spec("html.text_alternative", FactType.BOOL, "A text/plain part stands beside the HTML."),
    spec(
        "html.text_alternative_order",
        FactType.BOOL,
        "text/plain comes before text/html, as RFC 2046 asks; false where there is no alternative.",
    ),
    spec(
        "html.text_similarity",
        FactType.INT,
        "How much the words of text/plain and HTML are the same (Dice coefficient; addresses left out); none without "
        "both.",
        unit="percent",
        optional=True,
    ),
)

_MAX_LISTED = 100
_MAX_SHOWN = 2000
_MAX_COMPARED = 200_000
_ADDRESS = re.compile(r"(?:https?://|mailto:|www\.)\S+", re.IGNORECASE)
_CJK_RANGES = r"\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"


@cache
def _cjk() -> re.Pattern[str]:
    return re.compile(f"[{_CJK_RANGES}]")


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[{_CJK_RANGES}]+|[^\W_{_CJK_RANGES}]+")


@auditor("html", provides=PROVIDES, of_message=True)
async def audit(ctx: Context) -> None:
    """How heavy the HTML part is and what it is made of."""
    message, html = ctx.the_message, ctx.the_pages
    pages = html.leaves
    if not pages and message.nesting_limited:
        raise MissingFact("html.present", Unknown(Reason.LIMIT, NESTED()))
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in pages[:20]]
    if html.characters > MAX_CHARACTERS:
        ctx.put("html.present", True, *cited)
        ctx.put("html.octets", sum(len(text.encode()) for text in html.texts), *cited)
        raise MissingFact("html.octets", Unknown(Reason.LIMIT, HTML_APART(n=MAX_CHARACTERS >> 20)))
    account = html.account
    saved = account.total - sum(map(_minified, html.texts, html.tokens))
    plain, before = _alternative(message, pages)
    hosts = [host for link in account.links if (host := link_host(link.href))]
    octets = account.octets
    values: dict[str, Value] = {
        "html.present": bool(pages),
        "html.octets": account.total,
        "html.markup_octets": octets[Category.MARKUP],
        "html.inline_css_octets": octets[Category.INLINE_CSS],
        "html.style_octets": octets[Category.STYLE],
        "html.data_uri_octets": octets[Category.DATA_URI],
        "html.comment_octets": octets[Category.COMMENT],
        "html.script_octets": octets[Category.SCRIPT],
        "html.conditional_comment_octets": account.conditional_octets,
        "html.text_octets": octets[Category.TEXT],
        "html.white_space_octets": account.white_space_octets,
        "html.repeated_css_octets": account.repeated_css_octets,
        "html.link_octets": account.link_octets,
        "html.tracking_octets": account.tracking_octets,
        "html.minify_saves_octets": saved,
        "html.visible_words": account.visible_words,
        "html.links": account.link_count,
        "html.images": account.images,
        "html.images_without_alt": account.images_without_alt,
        "html.data_images": account.data_images,
        "html.active_elements": account.active_elements,
        "html.link_mismatches": _mismatches(account.links),
        "html.link_hosts": _link_hosts(hosts),
        "html.plain_http_links": sum(link.href[:5].lower() == "http:" for link in account.links),
        "html.ip_links": tuple(dict.fromkeys(host.strip("[]") for host in hosts if canonical_ip(host)))[:_MAX_LISTED],
        "html.hidden_text_octets": account.hidden_octets,
        "html.external_sheets": tuple(map(printable, account.external_sheets)),
        "html.external_fonts": tuple(map(printable, account.external_fonts)),
        "html.base_href": printable(account.base_href[:_MAX_SHOWN]) if account.base_href is not None else None,
        "html.meta_charset": account.meta_charset,
        "html.charset_conflict": _conflict(pages, account.meta_charset),
        "html.text_alternative": plain is not None,
        "html.text_alternative_order": before,
        "html.text_similarity": similarity(_beginning(plain), " ".join(account.text)) if plain else None,
    }
    ctx.put_all(values, *cited)


def _minified(text: str, cut: Sequence[Token]) -> int:
    """How many octets are left of one text."""
    return len(minify(text, cut).encode())


def _alternative(message: Message, pages: list[Leaf]) -> tuple[Leaf | None, bool]:
    """The text/plain beside the first HTML in a multipart/alternative, and whether it comes first."""
    if not pages or pages[0].alternatives is None:
        return None, False
    order = [part.path for part in message.parts()]
    texts = [leaf for leaf in body_texts(message, "text/plain") if pages[0].alternatives in leaf.within]
    if not texts:
        return None, False
    return texts[0], order.index(texts[0].part.path) < order.index(pages[0].part.path)


def _beginning(leaf: Leaf) -> str:
    """As much of a text as is compared."""
    found = ""
    for piece in leaf.part.text_pieces():
        found += piece
        if len(found) >= _MAX_COMPARED:
            break
    return found


def similarity(first: str, second: str) -> int | None:
    """How much two texts hold the same words, in percent; None where either has no words.

    The Dice coefficient of their words, with pairs of characters for Chinese and Japanese. Web addresses are left
    out: text versions write them, HTML hides them. Only the first 200,000 characters are compared.
    """
    words = [_words(text[:_MAX_COMPARED]) for text in (first, second)]
    total = sum(counter.total() for counter in words)
    if not all(words):
        return None
    return round(200 * (words[0] & words[1]).total() / total)


def _words(text: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for word in _word().findall(_ADDRESS.sub(" ", text).casefold()):
        if _cjk().match(word):
            found.update(word[index : index + 2] for index in range(max(len(word) - 1, 1)))
        else:
            found[word] += 1
    return found


def _conflict(pages: list[Leaf], meta: str | None) -> bool:
    declared = pages[0].part.charset if pages else None
    return declared is not None and meta is not None and charset_codec(declared) != charset_codec(meta)


def _link_hosts(hosts: list[str]) -> tuple[Value, ...]:
    counted = Counter(to_a_label(host) or printable(host[:255]) for host in hosts)
    return tuple({"host": host, "links": links} for host, links in list(counted.items())[:_MAX_LISTED])


def _mismatches(links: list[Link]) -> tuple[Value, ...]:
    """Links whose text shows a host of another registrable domain than the target's."""
    found: dict[tuple[str, str], Value] = {}
    for link in links:
        host = link_host(link.href)
        target = to_a_label(host) if host else None
        if target is None or len(found) >= _MAX_LISTED:
            continue
        for host in shown_hosts(link.text):
            shown = to_a_label(host)
            shown_domain = known_registrable_domain(shown) if shown else None
            if shown and shown_domain and shown_domain != known_registrable_domain(target):
                found[shown, target] = {"text": shown, "target": target}
    return tuple(found.values())
