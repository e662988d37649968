"""Unsubscribing: the header fields (RFC 2369, RFC 8058), their signature, and the link in the text.

Links are read, never followed; only where the user permits it, the one-click request is sent to the address in the
header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from msgspec import Struct

from deliverability._patterns import regex
from deliverability.auditors.base import Context, MissingFact, auditor, http_id, spec
from deliverability.auditors.message import cite_fields
from deliverability.mail.evidence import part_evidence
from deliverability.mail.html.accounting import Link
from deliverability.mail.html.pages import MAX_CHARACTERS, ShownHtml
from deliverability.mail.links import LINES_NEAR, LONGEST_LINE, near_links
from deliverability.mail.reader import Message
from deliverability.mail.structure import body_texts
from deliverability.mail.words import printable
from deliverability.model.codes import ABOUT, ASKED, Code, Input, needs
from deliverability.model.dkim import signatures_of
from deliverability.model.facts import FactType, Reason, Unknown, Value
from deliverability.ports.base import NoPage

PROVIDES = (
    spec("unsubscribe.present", FactType.BOOL, "A List-Unsubscribe field is present."),
    spec("unsubscribe.fields", FactType.INT, "List-Unsubscribe fields.", unit="fields"),
    spec("unsubscribe.uris", FactType.LIST_STR, "Addresses in List-Unsubscribe, the first 20."),
    spec("unsubscribe.https_count", FactType.INT, "Of these, https addresses.", unit="addresses"),
    spec("unsubscribe.http_count", FactType.INT, "Of these, plain http addresses.", unit="addresses"),
    spec("unsubscribe.mailto_count", FactType.INT, "Of these, mailto addresses.", unit="addresses"),
    spec("unsubscribe.one_click", FactType.STR, "List-Unsubscribe-Post as written.", optional=True),
    spec(
        "unsubscribe.post_field_valid",
        FactType.BOOL,
        "Exactly one List-Unsubscribe-Post field, with the value that RFC 8058 defines: List-Unsubscribe=One-Click.",
    ),
    spec(
        "unsubscribe.dkim_covered",
        FactType.BOOL,
        "A passing DKIM signature signs List-Unsubscribe and List-Unsubscribe-Post; none where either is absent.",
        optional=True,
    ),
    spec(
        "unsubscribe.post_status",
        FactType.INT,
        "HTTP status of the answer to the one-click request (RFC 8058 section 3.2), known only where "
        "it may be sent; none where the header has no single https address or no valid List-Unsubscribe-Post.",
        optional=True,
    ),
    spec(
        "unsubscribe.post_redirects",
        FactType.BOOL,
        "That answer is a redirect, which is not followed; none where there is none to ask for.",
        optional=True,
    ),
    spec("unsubscribe.body_link", FactType.BOOL, "The visible text has a link for unsubscribing."),
    spec(
        "unsubscribe.body_link_words",
        FactType.LIST_STR,
        "Words by which such links were known (in the link, beside it, or in its address), the first 10.",
    ),
    spec(
        "unsubscribe.body_link_octets",
        FactType.INT,
        "Octets of the HTML (decoded, as UTF-8) before the first such link; none where it is not in HTML.",
        unit="octets",
        optional=True,
    ),
)

_FIELDS = ("list-unsubscribe", "list-unsubscribe-post")
_URI = regex(r"<([^<>]{1,4000})>")
_ONE_CLICK = "List-Unsubscribe=One-Click"
NEED_PROBE = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_UNSUBSCRIBE))
TEXT_SEARCHED = Code("text-searched", ("n",))
_MAX_URIS = 20
_MAX_WORDS = 10


# What follows is looked for in lower case (`_folded`): without regard to case it would take three times as long.
# In the text of a link, or as its alternative text.
@cache
def _in_link() -> re.Pattern[str]:
    return re.compile(
        r"unsubscri\w*|opt[\s-]?out|sign[\s-]off|remove me|stop (?:receiving|these) e?-?mails?|"
        r"(?:e-?mail|communication|notification|subscription)s?\s(?:preferences|settings|options)|"
        r"(?:manage|update|change)(?: your| my)? (?:e-?mail )?(?:preferences|subscriptions?)|"
        r"(?:メール)?配信(?:を|の)?(?:停止|解除|中止)|購読(?:を|の)?(?:停止|解除|中止)|登録(?:を|の)?解除|配信不要|解除|退会|"
        r"オプトアウト|受信設定|配信設定|"
        r"se désabonner|désabonne\w*|désinscri\w*|abmelden|abbestellen|darse de baja|cancelar (?:la )?suscripción|"
        r"disiscriv\w*|annulla (?:l')?iscrizione|afmelden|uitschrijven|descadastr\w*|cancelar inscrição|"
        r"取消订阅|退订|取消訂閱|수신\s?거부|구독\s?취소"
    )


# Beside a link such as "click here": only words that can mean nothing else.
@cache
def _beside_link() -> re.Pattern[str]:
    return re.compile(
        r"unsubscri\w*|opt[\s-]?out|(?:no longer|don't|do not) (?:wish|want|like) to receive|stop receiving|"
        r"配信(?:を|の)?(?:ご)?(?:停止|解除|中止|不要)|購読(?:を|の)?(?:ご)?(?:停止|解除|中止)|登録(?:を|の)?(?:ご)?解除|"
        r"(?:受信|配信)を(?:ご)?希望(?:さ|し)れ?(?:ない|ません)|オプトアウト|désabonn\w*|désinscri\w*|abmelden|abbestellen|"
        r"取消订阅|退订|取消訂閱|수신\s?거부"
    )


@cache
def _in_address() -> re.Pattern[str]:
    return re.compile(
        r"unsub(?:scribe)?(?![a-z])|opt-?_?out(?![a-z])|(?<![a-z])haishin-?_?teishi|(?<![a-z])taikai(?![a-z])"
    )


def known_words() -> tuple[re.Pattern[str], ...]:
    """By which a text is known to be about unsubscribing; the first that fits counts."""
    return _beside_link(), _in_address(), _in_link()


# Looking for them takes a tenth of the time.
MARKS = (
    *("unsub", "opt", "out", "sign", "remove", "receiv", "stop", "preferences", "settings", "subscription"),
    *("停止", "解除", "中止", "不要", "退会", "オプトアウト", "設定", "希望", "haishin", "taikai"),
    *("désabonn", "désinscri", "abmelden", "abbestellen", "darse", "suscripción", "disiscriv", "iscrizione"),
    *("afmelden", "uitschrijven", "descadastr", "inscrição", "取消", "退订", "거부", "구독"),
)
"""One of these is in whatever `known_words` find."""
_TO_ASCII = str.maketrans("\u0130\u0131\u017f\u212a", "iisk")


@cache
def _text_address() -> re.Pattern[str]:
    return re.compile(r"https?://[^\s<>\"]{3,2000}|mailto:\S{3,500}", re.IGNORECASE)


@auditor("unsubscribe", provides=PROVIDES, needs=("dkim.signatures",), of_message=True)
async def audit(ctx: Context) -> None:
    """Unsubscribing: the header fields, their signature, and the link in the text."""
    message, pages = ctx.the_message, ctx.the_pages
    address = _header(ctx, message)
    await _post(ctx, address)
    _body(ctx, message, pages)


def _header(ctx: Context, message: Message) -> str | None:
    """State the facts of the header, and give the address that a receiver may post to, if there is one."""
    lists = message.fields("List-Unsubscribe")
    posts = message.fields("List-Unsubscribe-Post")
    uris = [uri for each in lists for uri in unsubscribe_uris(each.value)]
    schemes = [uri.partition(":")[0].lower() for uri in uris]
    ids = cite_fields(ctx, lists)
    ctx.put("unsubscribe.present", bool(lists), *ids)
    ctx.put("unsubscribe.fields", len(lists), *ids)
    ctx.put("unsubscribe.uris", tuple(map(printable, uris[:_MAX_URIS])), *ids)
    for scheme in ("https", "http", "mailto"):
        ctx.put(f"unsubscribe.{scheme}_count", schemes.count(scheme), *ids)
    post_ids = cite_fields(ctx, posts)
    ctx.put("unsubscribe.one_click", printable(posts[0].value[:500]) if posts else None, *post_ids)
    # RFC 8058 section 3.1 gives the field this one value; receivers compare it without regard to case.
    valid = len(posts) == 1 and "".join(posts[0].value.split()).lower() == _ONE_CLICK.lower()
    ctx.put("unsubscribe.post_field_valid", valid, *post_ids)
    covered = _covered(ctx.value("dkim.signatures")) if lists and posts else None
    signed = cite_fields(ctx, message.fields("DKIM-Signature"))
    ctx.put("unsubscribe.dkim_covered", covered, *ids, *post_ids, *signed)
    address = uris[schemes.index("https")] if valid and schemes.count("https") == 1 else None
    # A URL is printable ASCII (RFC 3986 section 2); anything else is not sent to.
    return address if address is not None and address.isascii() and address.isprintable() else None


async def _post(ctx: Context, address: str | None) -> None:
    """Unsubscribe as a receiver does on one click (RFC 8058 section 3.2): no cookies, no redirects."""
    paths = ("unsubscribe.post_status", "unsubscribe.post_redirects")
    if not ctx.ports.permissions.one_click:
        ctx.put_all(dict.fromkeys(paths, NEED_PROBE))
        return
    if address is None:
        ctx.put_all(dict.fromkeys(paths))
        return
    answer = await ctx.post(address, _ONE_CLICK)
    cited = http_id(address, "POST")
    if isinstance(answer, NoPage):
        asked = ASKED(type="POST", name=printable(address))
        lost = Unknown(answer.reason, ABOUT(what=asked, detail=answer.detail))
        ctx.put_all(dict.fromkeys(paths, lost), cited)
        return
    ctx.put(paths[0], answer.status, cited)
    ctx.put(paths[1], 300 <= answer.status < 400, cited)


def unsubscribe_uris(value: str) -> list[str]:
    """The addresses in angle brackets of a List-Unsubscribe value (RFC 2369 section 2), white space taken out."""
    return ["".join(match[1].split()) for match in _URI.finditer(value)]


def _covered(signatures: Value) -> bool | Unknown:
    """Whether a passing signature covers both fields; Unknown where one that does could not be verified."""
    if isinstance(signatures, Unknown):
        return signatures
    unverified: Unknown | None = None
    for each in signatures_of(signatures):
        if set(_FIELDS) <= set(each.signed):
            if each.result == "pass":
                return True
            lost = each.settled if isinstance(each.settled, Unknown) else each.bits
            unverified = lost if isinstance(lost, Unknown) else unverified
    return unverified or False


def _body(ctx: Context, message: Message, pages: ShownHtml) -> None:
    shown = pages.leaves or body_texts(message, "text/plain")
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in shown[:20]]
    # The octets as sent are looked at first: a text of 25 MB is not decoded only to find that it is too long.
    if sum(leaf.part.encoded_octets for leaf in shown) > 2 * MAX_CHARACTERS or pages.characters > MAX_CHARACTERS:
        raise _too_long()
    words: dict[str, None] = {}
    octets: int | None = None
    if pages.leaves:
        for link in pages.account.links:
            found = link_word(link)
            if found:
                octets = link.octets if octets is None else octets
                words[found] = None
    else:
        allowance = _Allowance(MAX_CHARACTERS)
        for leaf in shown:
            words |= dict.fromkeys(_words_in_text(allowance.take(leaf.part.text_pieces())))
    ctx.put("unsubscribe.body_link", bool(words), *cited)
    ctx.put("unsubscribe.body_link_words", tuple(words)[:_MAX_WORDS], *cited)
    ctx.put("unsubscribe.body_link_octets", octets, *cited)


class _Allowance(Struct):
    """Characters of plain text that may still be looked at."""

    left: int

    def take(self, pieces: Iterable[str]) -> Iterator[str]:
        """The pieces. Raises MissingFact where they are too many."""
        for piece in pieces:
            self.left -= len(piece)
            if self.left < 0:
                raise _too_long()
            yield piece


def _too_long() -> MissingFact:
    unknown = Unknown(Reason.LIMIT, TEXT_SEARCHED(n=MAX_CHARACTERS >> 20))
    return MissingFact("unsubscribe.body_link", unknown)


def link_word(link: Link) -> str | None:
    """The word by which a visible link is known to be for unsubscribing, or None."""
    if link.hidden or not (link.text or link.label):
        return None
    if not link.href.lower().startswith(("http:", "https:", "mailto:")):
        return None
    match = (
        _in_link().search(_folded(link.text))
        or _in_link().search(_folded(link.label))
        or _beside_link().search(_folded(link.before))
        or _beside_link().search(_folded(link.after))
        or _in_address().search(_folded(link.href[:4000]))
    )
    return match[0] if match else None


def _folded(text: str) -> str:
    """`text` in lower case, character by character: the letters that are i, s or k but for case are these."""
    return (text if text.isascii() else text.translate(_TO_ASCII)).lower()


def _words_in_text(pieces: Iterable[str]) -> list[str]:
    """Unsubscribe words of a plain text with a web or mail address in the same line or at most two lines off."""
    found: dict[str, None] = {}
    for stretch in near_links(pieces):
        folded = _folded(stretch)
        if not any(map(folded.__contains__, MARKS)):
            continue  # most links are no such links
        lines = [line[:LONGEST_LINE] for line in folded.split("\n")]
        if not any(words.search("\n".join(lines)) for words in known_words()):
            continue
        near = [bool(_text_address().search(line)) for line in lines]
        for index, line in enumerate(lines):
            if any(near[max(index - LINES_NEAR, 0) : index + LINES_NEAR + 1]):
                match = _beside_link().search(line) or _in_address().search(line) or _in_link().search(line[:200])
                if match:
                    found[match[0]] = None
    return list(found)
