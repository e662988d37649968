"""Who sends a message, where that is, and how to refuse it: what its text says, by the signs of rules/imprint.

States what was found and never what a law makes of it. The plain text and the HTML are both read: what stands in one of
them is there. Images and linked pages are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import Imprint
from deliverability.core.mail.html.accounting import ShownHtml
from deliverability.core.mail.parts import body_texts, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.core.mail.words import printable
from deliverability.core.model.knowledge import Expressions, ImprintSigns
from deliverability.core.model.topic import cite
from deliverability.engine.base import Context, auditor

NO_TEXT = Code("imprint-no-text")
_BEGIN, _END = 10_000, 30_000  # characters of a text that are looked at: its head and its foot
_LISTED = 10
_EXCERPT = 90
_BEFORE = 40  # characters before an address that may say whose it is
_FEW = 60  # characters of text beside which images say everything
_MAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}")
_DEAF = re.compile(r"(?i)^(?:no-?_?reply|do-?not-?reply|bounces?|unsub|list-?unsub|optout)")
_QUOTED = re.compile(r"^\s*(?:>|[-_]{3,} ?(?:Original|Forwarded|転送|元の))")


class _Patterns(NamedTuple):
    names: Expressions
    postal: Expressions
    not_postal: Expressions
    phone: Expressions
    contact: Expressions
    opt_out: Expressions
    pages: Expressions


@lru_cache(maxsize=8)
def _patterns(signs: ImprintSigns) -> _Patterns:
    return _Patterns(*(Expressions(getattr(signs, name)) for name in _Patterns._fields))


@auditor("imprint", Imprint, of_message=True)
async def audit(ctx: Context) -> Imprint:
    """State what the text says of its sender."""
    message, pages = ctx.the_message, ctx.the_pages
    texts = list(_texts(message, pages))
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in (*pages.leaves, *body_texts(message, "text/plain"))[:20]]
    if sum(map(len, texts)) < _FEW and pages.leaves and pages.account.images:
        # What such a message says is in its images.
        return Imprint.lost(Unknown(Reason.LIMIT, NO_TEXT()), *cited)
    known = _patterns(ctx.knowledge.imprint)
    links = [_folded(link.text or link.label) for link in pages.account.links if not link.hidden]
    mailtos = [link.href[7:] for link in pages.account.links if link.href.lower().startswith("mailto:")]
    return Imprint(
        names=_listed(_all(known.names, texts)),
        postal_addresses=_listed(_addresses(known, texts)),
        phones=_listed(_all(known.phone, texts)),
        contact_mails=_listed(_mails([*texts, *mailtos])),
        contacts=_listed(_all(known.contact, texts)),
        opt_out=_listed(_all(known.opt_out, texts)),
        linked_pages=_listed(link for link in links if known.pages.search(link)),
        evidence=cite(*cited),
    )


def _texts(message: Message, pages: ShownHtml) -> Iterator[str]:
    """What a reader sees of each part: its head and its foot, in one width and with single spaces."""
    for text in pages.account.text:
        yield _folded(text_ends([text]))
    for leaf in body_texts(message, "text/plain"):
        lines = text_ends(leaf.part.text_pieces()).splitlines()
        yield _folded(" ".join(line for line in lines if not _QUOTED.match(line)))


def text_ends(pieces: Iterable[str]) -> str:
    """The text of these pieces; of a long one its head and its foot, without the whole ever in memory."""
    head, foot = "", ""
    for piece in pieces:
        if len(head) <= _BEGIN + _END:
            head += piece
        else:
            foot = (foot + piece)[-_END:]
    if len(head) <= _BEGIN + _END:
        return head
    return f"{head[:_BEGIN]}\n|\n{(head[_BEGIN:] + foot)[-_END:]}"


def _folded(text: str) -> str:
    return " ".join((text if text.isascii() else normalize("NFKC", text)).split())


def _all(pattern: Expressions, texts: Iterable[str]) -> Iterator[str]:
    return (match[0] for text in texts for match in pattern.finditer(text))


def _addresses(known: _Patterns, texts: Iterable[str]) -> Iterator[str]:
    """Postal addresses, but for those of a shop, a venue or a delivery; what follows is shown with them."""
    for text in texts:
        for match in known.postal.finditer(text):
            if not known.not_postal.search(text[max(match.start() - _BEFORE, 0) : match.start()]):
                yield text[match.start() : max(match.end(), match.start() + _BEFORE)]


def _mails(texts: Iterable[str]) -> Iterator[str]:
    return (match[0] for text in texts for match in _MAIL.finditer(text) if not _DEAF.match(match[0]))


def _listed(values: Iterable[str]) -> tuple[str, ...]:
    """Each once, shortened, the first of them."""
    found: dict[str, None] = {}
    for each in values:
        if len(found) == _LISTED:
            break
        if text := printable(each.strip(" ,.|·")[:_EXCERPT]):
            found[text] = None
    return tuple(found)
