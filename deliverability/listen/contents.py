"""What pages show of a caught message: body texts, its own images, and its row in the list."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from msgspec import Struct

from deliverability.core.codes import Detail
from deliverability.core.mail.files.images import sniff
from deliverability.core.mail.html.markup import TokenKind, tokens, unescape
from deliverability.core.mail.parts import body_texts
from deliverability.core.mail.reader import Message, read
from deliverability.core.mail.words import decode_words, printable
from deliverability.core.net.names import octets_text
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.words.sentences import moment_words, octets, shortened, visible
from deliverability.listen.look import MessageContents
from deliverability.listen.store import Capture

_TEXT, _HEADER, _SOURCE = 200_000, 100_000, 200_000
_IMAGES = 20_000_000  # octets of all images together
_FIELDS = 500
_PAGE = 2_000_000  # characters of HTML whose words are compared
_BLOCKS = frozenset(
    (
        *("address", "article", "blockquote", "body", "br", "center", "dd", "div", "dt", "footer", "h1", "h2", "h3"),
        *("h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"),
    )
)
_SHOWN = frozenset({"jpeg", "png", "gif", "webp", "bmp", "avif"})


def contents_of(raw: bytes) -> MessageContents:
    """Never raises; what is too long is cut."""
    message = read(raw)
    html, plain = (body_texts(message, media_type) for media_type in ("text/html", "text/plain"))
    text = plain[0].part.text() if plain else ""
    header, body = raw[message.start : message.body_offset], raw[message.body_offset :]
    page = html[0].part.text() if html else ""
    return MessageContents(
        html=page,
        html_text=_words_of(page),
        images=_images(message),
        text=text[:_TEXT],
        text_cut=len(text[_TEXT:].encode("utf-8", "replace")),
        fields=tuple((printable(each.name), _unfolded(each.value)) for each in message.headers[:_FIELDS]),
        header=octets_text(header[:_HEADER]),
        source=octets_text(body[:_SOURCE]),
        source_cut=max(0, len(header) - _HEADER) + max(0, len(body) - _SOURCE),
    )


def _unfolded(value: str) -> str:
    """A field as it is read: where it was folded with a tab, a space."""
    return printable(decode_words(value.replace("\t", " ")))


def _words_of(html: str) -> str:
    """What the HTML says, a line for each block or cell."""
    lines = [""]
    for token in tokens(html[:_PAGE]):
        if token.kind is TokenKind.TEXT:
            lines[-1] += unescape(html[token.start : token.end])
        elif token.name in _BLOCKS and lines[-1]:
            lines.append("")
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _images(message: Message) -> dict[str, str]:
    """What the HTML can refer to, in formats that browsers read as pictures and nothing else."""
    found: dict[str, str] = {}
    left = _IMAGES
    for part in message.parts():
        if part.content_id is None or part.content_id in found or part.encoded_octets > left * 4 // 3 + 100:
            continue
        if part.media_type.startswith(("image/", "application/octet-stream")) and sniff(part.head(64)) in _SHOWN:
            data = part.decode()
            left -= len(data)
            found[part.content_id] = f"data:image/{sniff(data)};base64,{base64.b64encode(data).decode('ascii')}"
    return found


_LENGTH = 120


class CaptureRow(Struct, frozen=True):
    """A caught message in the words of one language.

    Attributes:
        id: of the capture.
        subject: its Subject, or that there is none.
        sender: From.
        route: how it came: to whom over SMTP, or from which file.
        at: when, in ISO 8601.
        moment: the same in words.
        size: as sent.
        tone: good, bad, risk, unknown or none; wait: its audit is not finished.
        verdict: the answer in a line, or that it is being checked, or what went wrong.
        grade: of the subject; empty: none.
        audited: there is a report.

    """

    id: str
    subject: str
    sender: str
    route: str
    at: str
    moment: str
    size: str
    tone: str
    verdict: str
    grade: str
    audited: bool


def capture_row(
    ident: str,
    at: str,
    size: int,
    say: Phrases,
    *,
    subject: str = "",
    sender: str = "",
    recipients: Sequence[str] = (),
    name: str = "",
    tone: str = "",
    lead: str = "",
    grade: str = "",
    problems: Sequence[Detail] = (),
) -> CaptureRow:
    """A row. `tone` and `lead` are the answer's, empty while there is none; `problems` are why there will be none."""
    route = ""
    if recipients:
        rest = len(recipients) - 1
        route = say("listen.to", to=_short(recipients[0]) + (say("value.more", n=f"{rest:,}") if rest else ""))
    elif name:
        route = say("listen.file", file=_short(name))
    wrong = say("value.separator").join(_short(detail_words(each, say)) for each in problems)
    audited = bool(lead)
    return CaptureRow(
        id=ident,
        subject=_short(subject) or say("listen.no-subject"),
        sender=_short(sender),
        route=route,
        at=at,
        moment=moment_words(at, say),
        size=octets(size, say),
        tone=tone if audited else "unknown" if problems else "wait",
        verdict=visible(lead) if audited else wrong or say("listen.checking"),
        grade=say("verdict.grade", grade=grade) if grade and audited else "",
        audited=audited,
    )


def _short(text: str) -> str:
    return visible(shortened(text, _LENGTH))


def row_of(capture: Capture, say: Phrases) -> CaptureRow:
    """The capture in the words of a language."""
    summary = capture.summary
    return capture_row(
        capture.id,
        capture.at,
        capture.octets,
        say,
        subject=capture.subject,
        sender=capture.author,
        recipients=capture.envelope.rcpt if capture.envelope else (),
        name=capture.name,
        tone=summary.tone if summary else "",
        lead=summary.leads.get(say.lang, "") if summary else "",
        grade=(summary.grade or "") if summary else "",
        problems=capture.problems,
    )
