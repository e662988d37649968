"""What a page shows of a caught message, read from its octets: body texts, its own images, header and source."""

from __future__ import annotations

import base64

from deliverability._charrefs import unescape
from deliverability.mail.files.images import sniff
from deliverability.mail.html.markup import TokenKind, tokens
from deliverability.mail.reader import Message, read
from deliverability.mail.structure import body_texts
from deliverability.mail.words import decode_words, printable
from deliverability.ports.names import octets_text
from deliverability.view.look import MessageContents

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
