"""Message octets to the octets of a lighter copy, with the saving of each part."""

from __future__ import annotations

import binascii
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from urllib.parse import unquote

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.mail.files.images import JPEG_QUALITY, measure, recompress, sniff
from deliverability.core.mail.html.markup import Attribute, TokenKind, minify, tokens, unescape
from deliverability.core.mail.parts import leaves
from deliverability.core.mail.reader import HeaderField, Message, Part, read
from deliverability.core.mail.transfer import BASE64, QUOTED_PRINTABLE, Body
from deliverability.core.mail.words import codec_of


class PartChange(StrEnum):
    """What was done with a part."""

    IMAGE = "image"
    """Saved again in the same format."""
    IMAGE_CONVERTED = "image-converted"
    """Saved in another format, its name and type changed to fit."""
    HTML = "html"
    """Comments, indentation and the like left out."""
    ENCODING = "encoding"
    """The same octets in a shorter transfer encoding."""


class Unchanged(StrEnum):
    """Why a part that could be lighter, or the whole message, was left as it is."""

    SIGNED = "signed"
    ENCRYPTED = "encrypted"
    ATTACHED = "attached"
    """An attached file or message: the original is what the sender wants to send."""
    ANIMATED = "animated"
    CHARSET = "charset"
    """The HTML does not decode in its charset, or could not be written in it again."""
    SMALL_GAIN = "small-gain"
    UNREADABLE = "unreadable"
    """Not what its type says, or its transfer encoding is broken."""
    UNSAFE = "unsafe"
    """The message is so broken that a change could lose something."""


class PartSaving(Struct, frozen=True):
    """One part that was, or could have been, changed.

    Attributes:
        path: position in the MIME tree, as in the facts.
        media_type: declared type of the original.
        filename: of the original, or None.
        before: octets of the body as sent.
        after: the same in the copy; equal to `before` where it was kept.
        change: what was done; None where it was kept.
        unchanged: why it was kept; None where it was changed.
        pixels_before: width and height of an image that was changed.
        pixels_after: the same in the copy.
        new_type: media type in the copy.

    """

    path: str
    media_type: str
    filename: str | None
    before: int
    after: int
    change: PartChange | None = None
    unchanged: Unchanged | None = None
    pixels_before: tuple[int, int] | None = None
    pixels_after: tuple[int, int] | None = None
    new_type: str = ""

    @property
    def saved(self) -> int:
        """Octets saved, as sent."""
        return self.before - self.after


class Slimmed(Struct, frozen=True):
    """The copy and what it saves.

    Attributes:
        data: octets of the copy; the original's very octets where nothing was changed.
        before: the original as sent.
        after: the copy as sent.
        parts: parts that were or could have been changed, in the order of the message.
        dropped: header fields that a change makes void and that were left out, with their number.
        refused: why nothing at all was changed; None where it was tried.

    """

    data: bytes
    before: int
    after: int
    parts: tuple[PartSaving, ...] = ()
    dropped: tuple[tuple[str, int], ...] = ()
    refused: Unchanged | None = None

    def __repr__(self) -> str:
        return f"Slimmed(before={self.before}, after={self.after})"

    @property
    def changes(self) -> tuple[PartSaving, ...]:
        """The parts that were changed, those that save most first."""
        return tuple(sorted((each for each in self.parts if each.change), key=lambda each: -each.saved))


_PIXELS = re.compile(r"\s*+(\d{1,5})(?:\.\d{0,9})?\s*+(?:px)?\s*+")
_DECLARATION = re.compile(r"(?:^|;)\s{0,99}(width|max-width)\s{0,99}:([^;]{0,99})", re.IGNORECASE)
_CID = re.compile(r"cid:([^\s\"'()<>]{1,998})", re.IGNORECASE)


class References(Struct):
    """What the HTML parts refer to.

    Attributes:
        content_ids: Content-IDs named anywhere by ``cid:``.
        widths: Content-ID -> the largest width in CSS pixels at which it is shown; None where that is not certain.

    """

    content_ids: set[str] = field(default_factory=set)
    widths: dict[str, int | None] = field(default_factory=dict)
    _sources: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, pages: Iterable[str]) -> References:
        """Read the references of all pages."""
        found = cls()
        for page in pages:
            found._read(page)
        return found

    def names(self, filename: str) -> bool:
        """Whether a page names a file as such, without Content-ID."""
        return filename in self._sources

    def _read(self, page: str) -> None:
        shown: dict[str, int] = {}
        for match in _CID.finditer(page):
            name = _content_id(match[0])
            shown[name] = shown.get(name, 0) + 1
        for token in tokens(page):
            if token.kind is not TokenKind.START:
                continue
            given = {each.name: each for each in reversed(token.attributes)}
            for name in ("src", "background", "href"):
                if name in given:
                    self._sources.add(unquote(unescape(given[name].value)).strip())
            source = unescape(given["src"].value).strip() if token.name == "img" and "src" in given else ""
            if source[:4].lower() == "cid:":
                name = _content_id(source)
                shown[name] = shown.get(name, 1) - 1
                self._shown(name, _width(given))
        for name, elsewhere in shown.items():
            self.content_ids.add(name)
            if elsewhere > 0:  # in CSS, in VML for Outlook, as a background: stretched to who knows what
                self.widths[name] = None

    def _shown(self, name: str, width: int | None) -> None:
        self.content_ids.add(name)
        before = self.widths.get(name, 0)
        self.widths[name] = None if width is None or before is None else max(before, width)


def _content_id(source: str) -> str:
    return unquote(unescape(source)[4:]).strip().strip("<>")


def _width(given: dict[str, Attribute]) -> int | None:
    """The width of an <img> in pixels; None where its own attributes do not fix it."""
    style = unescape(given["style"].value) if "style" in given else ""
    css = {match[1].lower(): match[2] for match in _DECLARATION.finditer(style[:10_000])}
    for value in (css.get("max-width"), css.get("width")):
        pixels = _pixels(value.replace("!important", "")) if value is not None else None
        if pixels:
            return pixels
    if "width" in css and css["width"].strip().lower() != "auto":
        return None
    return _pixels(given["width"].value) if "width" in given and "width" not in css else None


def _pixels(value: str) -> int | None:
    match = _PIXELS.fullmatch(value)
    return int(match[1]) or None if match else None


MAX_LINE = 998
"""Octets of a line without its end, at most (RFC 5322 section 2.1.1)."""

_COLUMNS = 76
_OCTETS_A_LINE = _COLUMNS // 4 * 3


def base64_body(octets: bytes, line_end: bytes) -> bytes:
    """`octets` in base64, 76 columns, the lines separated by `line_end`."""
    return line_end.join(
        binascii.b2a_base64(octets[at : at + _OCTETS_A_LINE], newline=False)
        for at in range(0, len(octets), _OCTETS_A_LINE)
    )


def text_body(octets: bytes, encoding: str, line_end: bytes) -> tuple[bytes, str]:
    """Text in the shortest body that gives back its very octets, and the transfer encoding of that.

    7bit and 8bit stay where they were declared (`encoding`) and the lines allow it; then they are the shortest.
    """
    if encoding in ("7bit", "8bit") and _is_plain(octets, eight_bit=encoding == "8bit"):
        return octets.replace(b"\r\n", line_end), encoding
    candidates = [(base64_body(octets, line_end), BASE64), (_quoted_printable(octets, line_end), QUOTED_PRINTABLE)]
    # Of two equal ones that which a person can read.
    candidates.sort(key=lambda each: (len(each[0]), each[1] == BASE64))
    return next(each for each in candidates if Body(each[0], 0, len(each[0]), each[1]).decode() == octets)


def _is_plain(octets: bytes, *, eight_bit: bool) -> bool:
    """Whether the octets can be sent as they are: whole lines that are short enough, no NUL."""
    lone = octets.replace(b"\r\n", b"")
    if b"\n" in lone or b"\r" in lone or b"\0" in lone or not (eight_bit or octets.isascii()):
        return False
    return max(map(len, octets.split(b"\r\n"))) <= MAX_LINE


def _quoted_printable(octets: bytes, line_end: bytes) -> bytes:
    """Quoted-printable that keeps CRLF as line ends; any other CR or LF is data."""
    lines = (binascii.b2a_qp(line, istext=False).replace(b"=\n", b"=\r\n") for line in octets.split(b"\r\n"))
    return b"\r\n".join(lines).replace(b"\r\n", line_end)


MAX_HTML = 10 << 20
"""Octets of an HTML part that is read; larger ones are no mail."""

_IMAGE_GAIN = 0.10
_HTML_GAIN = 0.02
# Formats whose look every mail program keeps; others (GIF, WebP, AVIF) are left as they are.
_FORMATS = {"jpeg": ("jpeg",), "png": ("png", "jpeg"), "bmp": ("png", "jpeg"), "tiff": ("png", "jpeg")}
_ENDINGS = {"jpeg": "jpg", "png": "png"}
_OLD_ENDINGS = ("png", "bmp", "dib", "tif", "tiff")
_TYPES = {"image/jpeg": "jpeg", "image/jpg": "jpeg", "image/pjpeg": "jpeg", "image/png": "png", "image/x-png": "png"}
_SIGNATURES = ("dkim-signature", "arc-seal", "arc-message-signature", "arc-authentication-results")
_SEALED = {"multipart/signed": Unchanged.SIGNED, "multipart/encrypted": Unchanged.ENCRYPTED}
_PKCS7 = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_DEFECTS = ("part-limit", "header-limit", "nesting-limit")
_ENCODING_VALUE = re.compile(rb"(?i)(content-transfer-encoding[ \t]*:)(?:[^\r\n]|\r?\n[ \t])*")
_TEXT_ENCODINGS = ("7bit", "8bit", "binary", QUOTED_PRINTABLE, BASE64)


class Wish(Struct, frozen=True):
    """What to slim: images shown in the text, images that are attached as files, the HTML; and the quality of JPEG."""

    images: bool = True
    attached_images: bool = False
    html: bool = True
    jpeg_quality: int = JPEG_QUALITY


class _New(Struct, frozen=True):
    """The new body of a part, its transfer encoding, and header fields to exchange."""

    saving: PartSaving
    body: bytes
    encoding: str
    fields: tuple[tuple[HeaderField, bytes], ...] = ()


def slim(raw: bytes, wish: Wish | None = None) -> Slimmed:
    """A lighter copy of a message. Never raises; a message that cannot be changed safely comes back as it was.

    Nothing is lost: all parts, their order, names and Content-IDs stay, and so does every text. DKIM and ARC fields
    go where anything was changed, because they no longer hold.
    """
    message = read(raw)
    untouched = Slimmed(raw, message.size_octets, message.size_octets)
    refused = _refusal(message)
    if refused:
        return replace(untouched, refused=refused)
    work = _Work(message, wish or Wish())
    found = list(work.run())
    news = [each for each in found if isinstance(each, _New)]
    savings = tuple(each.saving if isinstance(each, _New) else each for each in found)
    if not news:
        return replace(untouched, parts=savings)
    data = _spliced(message, news)
    copy = read(data)
    if copy.size_octets >= message.size_octets or not _is_equal(message, copy, news):
        return replace(untouched, refused=Unchanged.UNSAFE)
    counts = Counter(field.name for field in message.headers if field.lower in _SIGNATURES)
    return Slimmed(data, message.size_octets, copy.size_octets, savings, tuple(counts.items()))


def _refusal(message: Message) -> Unchanged | None:
    """Why the message as a whole is left alone."""
    root = message.root
    if root.media_type in _SEALED:
        return _SEALED[root.media_type]
    if root.media_type in _PKCS7:
        return _pkcs7(root)
    if not message.headers or message.nesting_limited or any(code in message.defects for code in _DEFECTS):
        return Unchanged.UNSAFE
    return None


def _pkcs7(part: Part) -> Unchanged:
    """S/MIME: signed where it says so; enveloped, or silent about it, otherwise (RFC 8551 section 3.2.2)."""
    return Unchanged.SIGNED if "signed" in part.parameters.get("smime-type", "") else Unchanged.ENCRYPTED


class _Work:
    """Goes through the leaves of a message and makes what is lighter."""

    def __init__(self, message: Message, wish: Wish) -> None:
        self.message = message
        self.wish = wish
        self.line_end = b"\r\n" if b"\r\n" in message.raw[: message.body_offset] else b"\n"
        self.leaves = list(leaves(message))
        self.references = References.of(
            leaf.part.text()
            for leaf in self.leaves
            if leaf.part.media_type == "text/html" and leaf.part.encoded_octets <= MAX_HTML
        )

    def run(self) -> Iterator[_New | PartSaving]:
        sealed: set[str] = set()
        for leaf in self.leaves:
            part = leaf.part
            around = next((each for each in leaf.within if each.media_type in _SEALED), None)
            if around is not None:
                if around.path not in sealed:
                    sealed.add(around.path)
                    yield _unchanged(around, _SEALED[around.media_type])
            elif part.media_type in _PKCS7:
                yield _unchanged(part, _pkcs7(part))
            elif part.media_type == "text/html":
                if self.wish.html and part.disposition != "attachment" and part.encoded_octets <= MAX_HTML:
                    yield self._html(part)
            elif part.media_type.startswith("image/") or part.content_id in self.references.content_ids:
                shown = part.content_id in self.references.content_ids
                inline = shown or (leaf.is_inline and part.disposition != "attachment")
                if self.wish.images if inline else self.wish.attached_images:
                    yield self._image(part)
                elif self.wish.images:
                    yield _unchanged(part, Unchanged.ATTACHED)

    def _html(self, part: Part) -> _New | PartSaving:
        decoded = part.decoded()
        if decoded.defects or part.transfer_encoding not in _TEXT_ENCODINGS or _has(part, "content-md5"):
            return _unchanged(part, Unchanged.UNREADABLE)
        octets = _minified(decoded.octets, part.charset)
        if octets is None:
            return _unchanged(part, Unchanged.CHARSET)
        change = PartChange.HTML
        if len(octets) > len(decoded.octets) * (1 - _HTML_GAIN):
            octets, change = decoded.octets, PartChange.ENCODING
        if self._is_root(part) and not octets.endswith(b"\r\n"):
            octets += b"\r\n"  # a file ends with a line end
        body, encoding = text_body(octets, part.transfer_encoding, self.line_end)
        if encoding == part.transfer_encoding and change is PartChange.ENCODING:
            return _unchanged(part, Unchanged.SMALL_GAIN)
        return self._changed(part, _New(_saving(part, change), body, encoding), _HTML_GAIN)

    def _image(self, part: Part) -> _New | PartSaving:
        decoded = part.decoded()
        kind = sniff(decoded.octets)
        if decoded.defects or kind is None or part.transfer_encoding != BASE64 or _has(part, "content-md5"):
            return _unchanged(part, Unchanged.UNREADABLE)
        facts = measure(decoded.octets, savings=False)
        if facts is None or facts.refused:
            return _unchanged(part, Unchanged.UNREADABLE)
        if facts.frames > 1:
            return _unchanged(part, Unchanged.ANIMATED)
        formats = _FORMATS.get(kind, ())
        formats = tuple(each for each in formats if each == kind or self._may_become(part, kind, each))
        width = self.references.widths.get(part.content_id or "")
        octets, new_kind = decoded.octets, kind
        if formats:
            octets, new_kind = recompress(decoded.octets, width, formats, self.wish.jpeg_quality)
        if len(octets) > len(decoded.octets) * (1 - _IMAGE_GAIN):
            return _unchanged(part, Unchanged.SMALL_GAIN)
        after = measure(octets, savings=False)
        saving = _saving(part, PartChange.IMAGE)
        saving = replace(saving, pixels_before=_size_of(facts.width, facts.height))
        saving = replace(saving, pixels_after=_size_of(after.width, after.height) if after else None)
        fields: tuple[tuple[HeaderField, bytes], ...] = ()
        if new_kind != kind:
            fields = _renamed(part, new_kind) or ()
            saving = replace(saving, change=PartChange.IMAGE_CONVERTED, new_type=f"image/{new_kind}")
        body = base64_body(octets, self.line_end)
        return self._changed(part, _New(saving, body, BASE64, fields), 0)

    def _may_become(self, part: Part, kind: str, other: str) -> bool:
        """Whether the format may change: type and name can say so, and no page names the file by its ending."""
        named = part.filename is not None and self.references.names(part.filename)
        declared = _TYPES.get(part.media_type, part.media_type.removeprefix("image/"))
        return (
            declared == kind and not named and not _has(part, "content-location") and _renamed(part, other) is not None
        )

    def _changed(self, part: Part, new: _New, gain: float) -> _New | PartSaving:
        """`new` with its size as sent, or why it is not worth it."""
        body = new.body
        # In base64 a last line end means nothing, elsewhere it would be text.
        if self._is_root(part) or (new.encoding == BASE64 and part.raw_body.endswith(b"\n")):
            body = body if body.endswith(b"\n") else body + self.line_end
        if body == part.raw_body:
            return _unchanged(part, Unchanged.SMALL_GAIN)
        after = len(body) + body.count(b"\n") - body.count(b"\r\n")
        added = 40 if new.encoding != part.transfer_encoding else 0  # a header field may be added
        if after + added > part.encoded_octets * (1 - gain):
            return _unchanged(part, Unchanged.SMALL_GAIN)
        return replace(new, body=body, saving=replace(new.saving, after=after))

    def _is_root(self, part: Part) -> bool:
        return part is self.message.root


def _unchanged(part: Part, why: Unchanged) -> PartSaving:
    size = part.encoded_octets
    return PartSaving(part.path, part.media_type, part.filename, size, size, unchanged=why, new_type=part.media_type)


def _saving(part: Part, change: PartChange) -> PartSaving:
    size = part.encoded_octets
    return PartSaving(part.path, part.media_type, part.filename, size, size, change, new_type=part.media_type)


def _size_of(width: int | None, height: int | None) -> tuple[int, int] | None:
    return (width, height) if width is not None and height is not None else None


def _has(part: Part, lower: str) -> bool:
    return any(each.lower == lower for each in part.headers)


def _minified(octets: bytes, charset: str | None) -> bytes | None:
    """The HTML minified, in its own charset; None where that cannot be done without loss.

    Undeclared, it may be in any charset, but what decodes as UTF-8 hides no markup inside of its characters.
    """
    codec = codec_of(charset) if charset is not None else None if b"\x1b" in octets else "utf-8"
    if codec is None or b"\0" in octets:
        return None
    try:
        text = minify(octets.decode(codec))
        written = text.encode(codec)
        return written if written.decode(codec) == text else None
    except (UnicodeError, ValueError):
        return None


def _renamed(part: Part, kind: str) -> tuple[tuple[HeaderField, bytes], ...] | None:
    """The part's fields with the type and the file name's ending of another image format; None where in doubt.

    Encoded names hide their ending; then the image keeps its format.
    """
    stem, dot, ending = (part.filename or "").rpartition(".")
    rename = bool(dot) and ending.lower() in _OLD_ENDINGS
    old_type = re.compile(rb"(?i)" + re.escape(part.media_type.encode("ascii", "replace")))
    old_ending = re.compile(rb"(?i)\." + re.escape(ending.encode("utf-8", "replace")) + rb"(?=[\"'; \t\r\n]|\Z)")
    changes: dict[HeaderField, bytes] = {}
    for each in part.headers:
        raw = each.raw
        if each.lower == "content-type":
            raw = old_type.sub(f"image/{kind}".encode(), raw, count=1)
        if rename and each.lower in ("content-type", "content-disposition"):
            raw = old_ending.sub(b"." + _ENDINGS[kind].encode(), raw)
        if raw != each.raw:
            changes[each] = raw
    root = read(b"".join(changes.get(each, each.raw) for each in part.headers) + b"\r\n").root
    wanted = f"{stem}.{_ENDINGS[kind]}" if rename else part.filename
    return tuple(changes.items()) if (root.media_type, root.filename) == (f"image/{kind}", wanted) else None


def _spliced(message: Message, news: list[_New]) -> bytes:
    """The message with new bodies and header fields, without the signatures that no longer hold."""
    raw = message.raw
    edits: list[tuple[int, int, bytes]] = []
    by_path = {part.path: part for part in message.parts()}
    for new in news:
        part = by_path[new.saving.path]
        start, end = part.span
        edits.append((start, end, new.body))
        exchanged = dict(new.fields)
        if new.encoding != part.transfer_encoding:
            exchanged |= _with_encoding(part, new.encoding, exchanged)
        edits += _field_edits(raw, start, part.headers, exchanged)
    signatures = {field: b"" for field in message.headers if field.lower in _SIGNATURES}
    edits += _field_edits(raw, message.body_offset, message.headers, signatures)
    out: list[bytes] = []
    position = 0
    for start, end, octets in sorted(edits, key=lambda each: each[0]):
        out += (raw[position:start], octets)
        position = end
    out.append(raw[position:])
    return b"".join(out)


def _with_encoding(part: Part, encoding: str, exchanged: dict[HeaderField, bytes]) -> dict[HeaderField, bytes]:
    """The field that declares the transfer encoding, changed; where there is none, it follows Content-Type."""
    for each in part.headers:
        if each.lower == "content-transfer-encoding":
            return {each: _ENCODING_VALUE.sub(rb"\1 " + encoding.encode(), each.raw, count=1)}
    for each in part.headers:
        if each.lower == "content-type":
            line_end = b"\r\n" if each.raw.endswith(b"\r\n") else b"\n"
            return {each: exchanged.get(each, each.raw) + b"Content-Transfer-Encoding: " + encoding.encode() + line_end}
    return {}


def _field_edits(
    raw: bytes, end: int, fields: tuple[HeaderField, ...], exchanged: dict[HeaderField, bytes]
) -> Iterator[tuple[int, int, bytes]]:
    """Where the fields to exchange stand; they lie before `end` in their order, found from the last one up."""
    if not exchanged:
        return
    position = end
    for each in reversed(fields):
        position = raw.rfind(each.raw, 0, position)
        if position < 0:
            return
        if each in exchanged:
            yield position, position + len(each.raw), exchanged[each]


def _is_equal(message: Message, copy: Message, news: list[_New]) -> bool:
    """Whether the copy holds the same parts in the same order, changed ones as meant and all others as they were."""
    changed = {new.saving.path: new for new in news}
    before, after = list(message.parts()), list(copy.parts())
    if len(before) != len(after) or copy.defects != message.defects:
        return False
    for old, new in zip(before, after, strict=True):
        meant = changed.get(old.path)
        fixed = (old.path, old.content_id, old.disposition, old.charset)
        if fixed != (new.path, new.content_id, new.disposition, new.charset):
            return False
        if meant is not None:
            wanted = (meant.saving.new_type, meant.encoding, meant.body)
            if wanted != (new.media_type, new.transfer_encoding, new.raw_body):
                return False
        elif (old.media_type, old.filename, old.transfer_encoding) != (
            new.media_type,
            new.filename,
            new.transfer_encoding,
        ) or (not old.children and old.raw_body != new.raw_body):
            return False
    return _other_fields(message) == _other_fields(copy)


def _other_fields(message: Message) -> list[bytes]:
    """The header fields that slimming must not touch."""
    return [
        each.raw
        for each in message.headers
        if each.lower not in _SIGNATURES
        and each.lower != "content-transfer-encoding"
        and not (each.lower == "content-type" and message.root.media_type.startswith("image/"))
    ]
