"""Whether the message keeps to the Internet message format (RFC 5322, RFC 2045-2047), and to its character sets.

Mail from Japan shows these at their worst: declared wrongly, mixed, cut in mid-character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from deliverability.core.facts.message import Charsets, Format, MessagePart, TextPart
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.parts import header_evidence, leaves, part_evidence
from deliverability.core.mail.reader import HeaderField, Message, Part
from deliverability.core.mail.words import EncodedWord, charset_codec, decode_octets, encoded_words, has_encoded_word
from deliverability.core.model.topic import cite
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.auditors.message import cite_fields
from deliverability.engine.base import Context, auditor

# RFC 5322 section 3.6, and the MIME fields of RFC 2045.
_ONCE = (
    "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject",
    "mime-version", "content-type", "content-transfer-encoding", "content-id", "content-description",
    "content-disposition",
)  # fmt: skip
_ADDRESS_FIELDS = ("from", "sender", "reply-to", "to", "cc", "bcc", "return-path")
_IDENTIFIER_FIELDS = ("message-id", "in-reply-to", "references", "content-id", "date")
_MAY_BE_LARGE = ("to", "cc", "references")
_SMTPUTF8 = re.compile(r"\bUTF8E?(?:SMTP|LMTP)S?A?\b|\bSMTPUTF8\b", re.IGNORECASE)
_IDENTITY = ("7bit", "8bit", "binary")


@auditor("format", Format, of_message=True)
async def audit(ctx: Context) -> Format:
    """Whether the message keeps to the Internet message format (RFC 5322, RFC 2045-2047)."""
    message = ctx.the_message
    by_name: dict[str, list[HeaderField]] = {}
    for each in message.headers:
        by_name.setdefault(each.lower, []).append(each)
    repeated = [each for name in _ONCE if len(fields := by_name.get(name, ())) > 1 for each in fields]
    international = _international(message)
    raw = [each for each in message.headers if not each.raw.isascii() and (not international or not _is_utf8(each.raw))]
    misplaced = [each for each in message.headers if _is_misplaced(each)]
    others = [each for each in message.headers if each.lower not in _MAY_BE_LARGE]
    largest = max(others, key=lambda each: each.octets, default=None)
    of_largest = (ctx.cite(header_evidence(largest)),) if largest else ()
    versions = by_name.get("mime-version", [])
    mime = [*versions, *(each for each in message.headers if each.lower.startswith("content-"))]
    defects, parts, of_parts = _parts(ctx, message)
    return Format(
        duplicate_headers=_names(repeated),
        longest_line_octets=message.lines.longest,
        bare_cr=message.lines.bare_cr,
        bare_lf=message.lines.bare_lf,
        nul_octets=message.lines.nul,
        smtputf8=bool(international),
        raw_8bit_headers=_names(raw),
        misplaced_encoded_words=_names(misplaced),
        header_octets=message.header_octets,
        header_count=len(message.headers),
        largest_header=largest.name if largest else None,
        largest_header_octets=largest.octets if largest else 0,
        mime_version_present=bool(versions),
        is_mime=bool(mime),
        nesting_depth=message.nesting_depth,
        nesting_limited=message.nesting_limited,
        defects=defects,
        parts=parts,
        evidence=cite(
            duplicate_headers=cite_fields(ctx, repeated),
            smtputf8=cite_fields(ctx, international),
            raw_8bit_headers=cite_fields(ctx, raw),
            misplaced_encoded_words=cite_fields(ctx, misplaced),
            largest_header=of_largest,
            largest_header_octets=of_largest,
            mime_version_present=cite_fields(ctx, versions),
            is_mime=cite_fields(ctx, mime),
            defects=of_parts,
            parts=of_parts,
        ),
    )


def _international(message: Message) -> list[HeaderField]:
    """The Received fields of the receiver, down to the hop from outside, that say SMTPUTF8 (RFC 6531 section 4.3)."""
    came = delivery(message.headers, known_registrable_domain)
    # Who submits a mail tells its server that it is of this kind as well.
    last = came.hop[0] if came.hop else came.border if came.submitted else None
    found = []
    for field in message.fields("Received") if last else ():
        if _SMTPUTF8.search(field.value[:5000]):
            found.append(field)
        if field is last:
            return found
    return []


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _names(fields: list[HeaderField]) -> tuple[str, ...]:
    """The names of the fields, each once as written first."""
    names: dict[str, str] = {}
    for each in fields:
        names.setdefault(each.lower, each.name)
    return tuple(names.values())


def _is_misplaced(field: HeaderField) -> bool:
    """Whether an encoded-word stands inside an address or identifier (forbidden by RFC 2047 section 5)."""
    if not has_encoded_word(field.value):
        return False
    if field.lower in _IDENTIFIER_FIELDS:
        return True
    if field.lower not in _ADDRESS_FIELDS:
        return False
    boxes = parse_addresses(field.value)
    return any(
        has_encoded_word(box.address)
        # The whole of "Name <user@example.com>" encoded leaves no address to read.
        or (not box.address and "@" in box.display and "@" not in field.value)
        for box in boxes
    )


def _parts(ctx: Context, message: Message) -> tuple[tuple[str, ...], tuple[MessagePart, ...], tuple[str, ...]]:
    """The defects of the message and its parts, the parts, and the evidence for the defects."""
    defects = dict.fromkeys(message.defects)
    records: list[MessagePart] = []
    cited: list[str] = []
    for part in message.parts():
        decoded, found = _examine(part)
        defects |= dict.fromkeys(found)
        if found and len(cited) < 20:
            cited.append(ctx.cite(part_evidence(part)))
        records.append(
            MessagePart(
                path=part.path,
                media_type=part.media_type,
                charset=part.charset,
                transfer_encoding=part.transfer_encoding,
                filename=part.filename,
                disposition=part.disposition,
                encoded_octets=part.encoded_octets,
                decoded_octets=decoded,
            )
        )
    return tuple(defects), tuple(records), tuple(cited)


def _examine(part: Part) -> tuple[int, tuple[str, ...]]:
    """Decoded octets of a part, and the defects that only decoding shows."""
    is_text = part.media_type.startswith("text/")
    if not is_text and (part.transfer_encoding in _IDENTITY or part.media_type.startswith("multipart/")):
        return part.encoded_octets, ()  # nothing to decode, and containers would be copied at every level
    octets, found = (part.encoded_octets, ()) if part.transfer_encoding in _IDENTITY else part.measure()
    defects = list(found)
    if is_text and part.charset is not None:
        known, clean = part.check_charset()
        if not known:
            defects.append("unknown-charset")
        elif not clean:
            defects.append("undecodable-charset")
    return octets, tuple(defects)


_MAX_OCTETS = 10 << 20  # of one part
_MAX_FIELDS = 1000
_MAX_LISTED = 100
_ESCAPE = re.compile(rb"\x1b(\$[@B]|\$\(D|\([BJI])")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_JIS = "iso-2022-jp"


class _Findings(Struct):
    """What is collected over header and body."""

    half_width: dict[str, None]
    characters: dict[str, None]
    places: dict[str, None]

    def look(self, place: str, octets: bytes) -> None:
        """Look through ISO-2022-JP text."""
        text, beyond = _read_jis(octets)
        if _HALF_WIDTH.search(text):
            self.half_width[place] = None
        if beyond:
            self.places[place] = None
            self.characters |= dict.fromkeys(beyond)


@auditor("japanese", Charsets, of_message=True)
async def japanese_audit(ctx: Context) -> Charsets:
    """Character sets of header and body: declared, mixed, broken."""
    message, findings = ctx.the_message, _Findings({}, {}, {})
    header = _header(ctx, message, findings)
    body, parts, of_parts = _body(ctx, message, findings)
    alike = {charset_codec(each) for each in header.charsets} & {charset_codec(each) for each in body}
    both = (*header.cited, *of_parts)
    return Charsets(
        body=body,
        header=header.charsets,
        header_differs=bool(header.charsets and body and not alike),
        parts=parts,
        lossy_headers=header.lossy,
        split_characters=header.split,
        longest_word_octets=header.longest,
        longest_word_line_octets=header.longest_line,
        half_width_kana=tuple(findings.half_width),
        machine_dependent=tuple(findings.characters)[:_MAX_LISTED],
        machine_dependent_places=tuple(findings.places)[:_MAX_LISTED],
        evidence=cite(
            *header.cited,
            body=of_parts,
            parts=of_parts,
            header_differs=both,
            half_width_kana=both,
            machine_dependent=both,
            machine_dependent_places=both,
        ),
    )


class _Header(Struct, frozen=True):
    """What the encoded-words of the header show."""

    charsets: tuple[str, ...]
    lossy: tuple[str, ...]
    split: tuple[str, ...]
    longest: int
    longest_line: int
    cited: tuple[str, ...]


def _header(ctx: Context, message: Message, findings: _Findings) -> _Header:
    charsets: dict[str, None] = {}
    lossy: dict[str, None] = {}
    split: dict[str, None] = {}
    longest = longest_line = 0
    cited: list[str] = []
    for field in message.headers[:_MAX_FIELDS]:
        words = list(encoded_words(field.value)) if "=?" in field.value else []
        if not words:
            continue
        if len(cited) < 20:
            cited.append(ctx.cite(header_evidence(field)))
        charsets |= dict.fromkeys(word.charset for word in words)
        longest = max(longest, *(len(word.source) for word in words))
        longest_line = max(longest_line, *_lines_with_words(field))
        for run in _runs(words):
            joined = b"".join(word.octets for word in run)
            text = decode_octets(joined, run[0].charset)
            if not (text.known and text.clean):
                lossy[field.name] = None
            elif any(not decode_octets(word.octets, word.charset).clean or _open_ended(word) for word in run):
                split[field.name] = None
            if charset_codec(run[0].charset) == _JIS:
                findings.look(field.name, joined)
    return _Header(tuple(charsets), tuple(lossy), tuple(split), longest, longest_line, tuple(cited))


def _lines_with_words(field: HeaderField) -> Iterator[int]:
    """Octets of the lines of a field that hold an encoded-word."""
    yield 0
    for line in field.raw.split(b"\n"):
        if b"=?" in line and b"?=" in line:
            yield len(line.rstrip(b"\r"))


def _runs(words: list[EncodedWord]) -> Iterator[list[EncodedWord]]:
    """Neighbouring words of one charset, which readers join before they decode them."""
    run: list[EncodedWord] = []
    for word in words:
        if run and not (word.follows and word.charset == run[-1].charset):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _open_ended(word: EncodedWord) -> bool:
    """Whether ISO-2022-JP text does not return to ASCII at the end of the word, as RFC 1468 and RFC 2047 ask."""
    if charset_codec(word.charset) != _JIS:
        return False
    escapes = _ESCAPE.findall(word.octets)
    return bool(escapes) and escapes[-1] not in (b"(B", b"(J")


def _body(
    ctx: Context, message: Message, findings: _Findings
) -> tuple[tuple[str, ...], tuple[TextPart, ...], tuple[str, ...]]:
    charsets: dict[str, None] = {}
    records: list[TextPart] = []
    cited: list[str] = []
    for leaf in leaves(message):
        part = leaf.part
        if not part.media_type.startswith("text/") or leaf.is_attachment or part.encoded_octets > _MAX_OCTETS:
            continue
        if part.charset:
            charsets[part.charset] = None
        if len(cited) < 20:
            cited.append(ctx.cite(part_evidence(part)))
        if len(records) < _MAX_LISTED:
            found = _found_instead(part)
            records.append(TextPart(path=part.path, media_type=part.media_type, declared=part.charset, found=found))
        if part.charset is not None and charset_codec(part.charset) == _JIS:
            findings.look(part.path, part.decode())
    return tuple(charsets), tuple(records), tuple(cited)


def _found_instead(part: Part) -> str | None:
    """The charset of the octets where it is not the one declared."""
    is_ascii = all(map(bytes.isascii, part.pieces()))
    declared = charset_codec(part.charset) if part.charset else "ascii"
    if is_ascii:
        # Without escapes it is what it says; a text of megabytes is not held to see that.
        if declared == _JIS or not any(b"\x1b" in piece for piece in part.pieces()):
            return None
        octets = part.decode()
        escapes = b"\x1b$" in octets and _ESCAPE.search(octets) is not None
        return _JIS if escapes and decode_octets(octets, _JIS).clean and not declared.startswith("iso2022") else None
    # A charset in <meta> does not help the readers who go by the header, as RFC 2046 section 4.1.2 has it.
    if part.charset is None or declared in ("ascii", _JIS):
        return _guess(part.decode())
    known, clean = part.check_charset()
    return _guess(part.decode()) if known and not clean else None


def _guess(octets: bytes) -> str:
    """Which charset 8-bit octets fit; the strictest first, since Shift_JIS takes nearly anything."""
    for name, codec in (("utf-8", "utf-8"), ("euc-jp", "euc_jp"), ("shift_jis", "cp932")):
        try:
            text = octets.decode(codec)
        except UnicodeDecodeError:
            continue
        if name != "shift_jis" or _looks_japanese(text):
            return name
    return "other"


def _looks_japanese(text: str) -> bool:
    """Whether full-width kana or ideographs outweigh the half-width kana that any 8-bit octet is in Shift_JIS."""
    wide = sum("\u3040" <= char <= "\u30ff" or "\u4e00" <= char <= "\u9fff" for char in text[:100_000])
    return wide > len(_HALF_WIDTH.findall(text[:100_000]))


def _read_jis(octets: bytes) -> tuple[str, list[str]]:
    """ISO-2022-JP as text, and its characters that JIS X 0208 does not define (rows 9 to 15 and 85 to 94)."""
    beyond: dict[bytes, None] = {}
    pieces = _ESCAPE.split(octets)
    for index in range(1, len(pieces) - 1, 2):
        if pieces[index] in (b"$B", b"$@"):
            text = pieces[index + 1]
            for at in range(0, len(text) - 1, 2):
                if 0x29 <= text[at] <= 0x2F or 0x75 <= text[at] <= 0x7E:
                    beyond[text[at : at + 2]] = None
    characters = [decode_octets(b"\x1b$B" + pair + b"\x1b(B", _JIS).text for pair in list(beyond)[:_MAX_LISTED]]
    return decode_octets(octets, _JIS).text, [each for each in characters if each != "\ufffd"]
