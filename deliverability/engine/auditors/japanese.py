"""Character sets as mail from Japan shows them at their worst: declared wrongly, mixed, cut in mid-character."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from deliverability.core.facts.base import FactType, Value
from deliverability.core.mail.parts import header_evidence, leaves, part_evidence
from deliverability.core.mail.reader import HeaderField, Message, Part
from deliverability.core.mail.words import EncodedWord, charset_codec, decode_octets, encoded_words
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec("charset.body", FactType.LIST_STR, "Charsets of the body text as declared, lower case, each once."),
    spec("charset.header", FactType.LIST_STR, "Charsets of the encoded-words in the header, lower case, each once."),
    spec(
        "charset.header_differs",
        FactType.BOOL,
        "The header has encoded-words and none of their charsets is one of the body's; false where either has none.",
    ),
    spec("charset.parts", FactType.LIST_RECORD, "Text parts of the body, the first 100.", key=["path"]),
    spec("charset.parts[].path", FactType.STR, "Position of the part."),
    spec("charset.parts[].media_type", FactType.STR, "Its type."),
    spec(
        "charset.parts[].declared",
        FactType.STR,
        "Charset declared; US-ASCII counts where there is none.",
        optional=True,
    ),
    spec(
        "charset.parts[].found",
        FactType.STR,
        "Charset that the octets fit, where that is not the one declared.",
        optional=True,
        values=["utf-8", "iso-2022-jp", "shift_jis", "euc-jp", "other"],
    ),
    spec(
        "charset.lossy_headers",
        FactType.LIST_STR,
        "Fields with encoded-words whose octets mean nothing in their charset, or whose charset is unknown.",
    ),
    spec(
        "charset.split_characters",
        FactType.LIST_STR,
        "Fields with a character that begins in one encoded-word and ends in the next, or with ISO-2022-JP that does "
        "not return to ASCII at the end of a word.",
    ),
    spec("charset.longest_word_octets", FactType.INT, "Longest encoded-word; 0 without any.", unit="octets"),
    spec(
        "charset.longest_word_line_octets",
        FactType.INT,
        "Longest header line that holds an encoded-word; 0 without any.",
        unit="octets",
    ),
    spec(
        "charset.half_width_kana",
        FactType.LIST_STR,
        "Places (header fields, paths of parts) with half-width katakana in ISO-2022-JP, which has none.",
    ),
    spec(
        "charset.machine_dependent",
        FactType.LIST_STR,
        "Characters in ISO-2022-JP text that it does not define (NEC and IBM extensions such as circled digits), each "
        "once, the first 100.",
    ),
    spec("charset.machine_dependent_places", FactType.LIST_STR, "Header fields and paths of parts that hold them."),
)

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


@auditor("japanese", provides=PROVIDES, of_message=True)
async def audit(ctx: Context) -> None:
    """Character sets of header and body: declared, mixed, broken."""
    message, findings = ctx.the_message, _Findings({}, {}, {})
    header, ids = _header(ctx, message, findings)
    body, part_ids = _body(ctx, message, findings)
    ctx.put("charset.header", tuple(header), *ids)
    ctx.put("charset.body", tuple(body), *part_ids)
    alike = {charset_codec(each) for each in header} & {charset_codec(each) for each in body}
    ctx.put("charset.header_differs", bool(header and body and not alike), *ids, *part_ids)
    both = (*ids, *part_ids)
    ctx.put("charset.half_width_kana", tuple(findings.half_width), *both)
    ctx.put("charset.machine_dependent", tuple(findings.characters)[:_MAX_LISTED], *both)
    ctx.put("charset.machine_dependent_places", tuple(findings.places)[:_MAX_LISTED], *both)


def _header(ctx: Context, message: Message, findings: _Findings) -> tuple[list[str], tuple[str, ...]]:
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
    ctx.put("charset.lossy_headers", tuple(lossy), *cited)
    ctx.put("charset.split_characters", tuple(split), *cited)
    ctx.put("charset.longest_word_octets", longest, *cited)
    ctx.put("charset.longest_word_line_octets", longest_line, *cited)
    return list(charsets), tuple(cited)


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


def _body(ctx: Context, message: Message, findings: _Findings) -> tuple[list[str], tuple[str, ...]]:
    charsets: dict[str, None] = {}
    records: list[Value] = []
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
            records.append({"path": part.path, "media_type": part.media_type, "declared": part.charset, "found": found})
        if part.charset is not None and charset_codec(part.charset) == _JIS:
            findings.look(part.path, part.decode())
    ctx.put("charset.parts", tuple(records), *cited)
    return list(charsets), tuple(cited)


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
