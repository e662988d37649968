"""How many octets the message is on the wire, how heavy its HTML part is, and what that is made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import Attachments, Html, LinkHost, LinkMismatch
from deliverability.core.facts.message import Format, Weight
from deliverability.core.mail.addresses import canonical_ip, to_a_label
from deliverability.core.mail.html.accounting import CJK, MAX_CHARACTERS, Category, Link, link_host, shown_hosts
from deliverability.core.mail.html.markup import Token, minify
from deliverability.core.mail.parts import NESTED, Leaf, body_texts, leaves, part_evidence
from deliverability.core.mail.reader import Message, Part
from deliverability.core.mail.words import charset_codec, printable
from deliverability.core.model.topic import Cited, cite, if_known
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.base import Context, auditor

_ENCODED = ("base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue")


@auditor("weight", Weight, needs=(Format, Attachments), of_message=True)
async def weight_audit(ctx: Context) -> Weight:
    """How many octets the message is on the wire, and where they are."""
    message = ctx.the_message
    parts, attachments = ctx.of(Format).parts, ctx.of(Attachments).attachments
    lost = parts if isinstance(parts, Unknown) else attachments if isinstance(attachments, Unknown) else None
    decoded = {each.path: each.decoded_octets for each in if_known(parts) or ()}
    attached = {each.path for each in if_known(attachments) or ()}
    inline = {each.path for each in if_known(attachments) or () if each.inline}
    texts = [
        leaf.part
        for leaf in leaves(message)
        if leaf.part.media_type.startswith("text/") and leaf.part.path not in attached
    ]
    pages = [part for part in texts if part.media_type == "text/html"]
    plain = [part for part in texts if part.media_type == "text/plain"]
    images = [leaf.part for leaf in leaves(message) if leaf.part.media_type.startswith("image/")]
    files = [leaf.part for leaf in leaves(message) if leaf.part.path in attached]
    shown = [part for part in files if part.path in inline]
    return Weight(
        size_octets=message.size_octets,
        body_octets=message.body_octets,
        text_octets=lost or _as_sent(texts),
        plain_octets=lost or _as_sent(plain),
        html_octets=lost or _as_sent(pages),
        image_octets=lost or sum(decoded[part.path] for part in images),
        attachment_octets=lost or _as_sent(files),
        inline_octets=lost or _as_sent(shown),
        encoding_overhead_octets=lost or _overhead(message.root, decoded),
        evidence=Cited()
        if lost
        else cite(
            text_octets=_cite(ctx, texts),
            plain_octets=_cite(ctx, plain),
            html_octets=_cite(ctx, pages),
            image_octets=_cite(ctx, images),
            attachment_octets=_cite(ctx, files),
            inline_octets=_cite(ctx, shown),
        ),
    )


def _as_sent(parts: list[Part]) -> int:
    return sum(part.encoded_octets for part in parts)


def _overhead(part: Part, decoded: Mapping[str, int]) -> int:
    """What transfer encodings add below `part`; what is inside an encoded message was weighed with it."""
    if part.transfer_encoding in _ENCODED and not part.media_type.startswith("multipart/"):
        return part.encoded_octets - decoded[part.path]
    return sum(_overhead(child, decoded) for child in part.children)


def _cite(ctx: Context, parts: list[Part]) -> tuple[str, ...]:
    """Cite the first twenty of the parts."""
    return tuple(ctx.cite(part_evidence(part)) for part in parts[:20])


HTML_APART = Code("html-apart", ("n",))


_MAX_LISTED = 100
_MAX_SHOWN = 2000
_MAX_COMPARED = 200_000
_ADDRESS = re.compile(r"(?:https?://|mailto:|www\.)\S+", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


@auditor("html", Html, of_message=True)
async def audit(ctx: Context) -> Html:
    """How heavy the HTML part is and what it is made of."""
    message, html = ctx.the_message, ctx.the_pages
    pages = html.leaves
    if not pages and message.nesting_limited:
        return Html.lost(Unknown(Reason.LIMIT, NESTED()))
    cited = tuple(ctx.cite(part_evidence(leaf.part)) for leaf in pages[:20])
    if html.characters > MAX_CHARACTERS:
        return replace(
            Html.lost(Unknown(Reason.LIMIT, HTML_APART(n=MAX_CHARACTERS >> 20))),
            present=True,
            octets=sum(len(text.encode()) for text in html.texts),
            evidence=cite(present=cited, octets=cited),
        )
    account = html.account
    saved = account.total - sum(map(_minified, html.texts, html.tokens))
    plain, before = _alternative(message, pages)
    hosts = [host for link in account.links if (host := link_host(link.href))]
    octets = account.octets
    return Html(
        present=bool(pages),
        octets=account.total,
        markup_octets=octets[Category.MARKUP],
        inline_css_octets=octets[Category.INLINE_CSS],
        style_octets=octets[Category.STYLE],
        data_uri_octets=octets[Category.DATA_URI],
        comment_octets=octets[Category.COMMENT],
        script_octets=octets[Category.SCRIPT],
        conditional_comment_octets=account.conditional_octets,
        text_octets=octets[Category.TEXT],
        white_space_octets=account.white_space_octets,
        repeated_css_octets=account.repeated_css_octets,
        link_octets=account.link_octets,
        tracking_octets=account.tracking_octets,
        minify_saves_octets=saved,
        visible_words=account.visible_words,
        links=account.link_count,
        images=account.images,
        images_without_alt=account.images_without_alt,
        data_images=account.data_images,
        active_elements=account.active_elements,
        link_mismatches=_mismatches(account.links),
        link_hosts=_link_hosts(hosts),
        plain_http_links=sum(link.href[:5].lower() == "http:" for link in account.links),
        ip_links=tuple(dict.fromkeys(host.strip("[]") for host in hosts if canonical_ip(host)))[:_MAX_LISTED],
        hidden_text_octets=account.hidden_octets,
        external_sheets=tuple(map(printable, account.external_sheets)),
        external_fonts=tuple(map(printable, account.external_fonts)),
        base_href=printable(account.base_href[:_MAX_SHOWN]) if account.base_href is not None else None,
        meta_charset=account.meta_charset,
        charset_conflict=_conflict(pages, account.meta_charset),
        text_alternative=plain is not None,
        text_alternative_order=before,
        text_similarity=similarity(_beginning(plain), " ".join(account.text)) if plain else None,
        evidence=cite(*cited),
    )


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
    for place, part in enumerate(re.split(CJK, _ADDRESS.sub(" ", text).casefold())):
        if place % 2:  # the runs themselves
            found.update(part[index : index + 2] for index in range(max(len(part) - 1, 1)))
        else:
            found.update(_WORD.findall(part))
    return found


def _conflict(pages: list[Leaf], meta: str | None) -> bool:
    declared = pages[0].part.charset if pages else None
    return declared is not None and meta is not None and charset_codec(declared) != charset_codec(meta)


def _link_hosts(hosts: list[str]) -> tuple[LinkHost, ...]:
    counted = Counter(to_a_label(host) or printable(host[:255]) for host in hosts)
    return tuple(LinkHost(host=host, links=links) for host, links in list(counted.items())[:_MAX_LISTED])


def _mismatches(links: list[Link]) -> tuple[LinkMismatch, ...]:
    """Links whose text shows a host of another registrable domain than the target's."""
    found: dict[tuple[str, str], LinkMismatch] = {}
    for link in links:
        host = link_host(link.href)
        target = to_a_label(host) if host else None
        if target is None or len(found) >= _MAX_LISTED:
            continue
        for host in shown_hosts(link.text):
            shown = to_a_label(host)
            shown_domain = known_registrable_domain(shown) if shown else None
            if shown and shown_domain and shown_domain != known_registrable_domain(target):
                found[shown, target] = LinkMismatch(text=shown, target=target)
    return tuple(found.values())
