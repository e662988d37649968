"""Octets to text: charsets as mailers really use them, RFC 2047 encoded-words, and values of header fields.

Of those dates (RFC 5322), main values and parameters (RFC 2045).
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct

# Aliases to the superset that mailers and browsers mean by the name.
_SUPERSETS = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "ms_kanji": "cp932",
    "windows-31j": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "iso-8859-8-i": "iso-8859-8",
    "utf8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-unknown": "us-ascii",
}
_ISO_2022_JP = frozenset(
    {"iso-2022-jp", "iso-2022-jp-ms", "iso-2022-jp-1", "cp50220", "cp50221", "cp50222", "csiso2022jp"}
)
# Python codecs that are no charsets of mail; some are slow or expand their input.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_CHARSET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
_ENCODED_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=")
_JIS_ESCAPE = re.compile(rb"\x1b(\$[@B]|\$\(D|\([BJI])")
_HEX_PAIR = re.compile(rb"=([0-9A-Fa-f]{2})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


class DecodedText(Struct, frozen=True):
    """Text read from octets.

    Attributes:
        text: never holds lone surrogates.
        known: the charset is one that we can read.
        clean: every octet meant a character in that charset; otherwise U+FFFD stands for those that did not.

    """

    text: str
    known: bool
    clean: bool


def decode_octets(octets: bytes, charset: str | None) -> DecodedText:
    """Read `octets` in `charset` (None: UTF-8 where it fits, else ISO-2022-JP by its escapes, else Windows-1252)."""
    if charset is None:
        return DecodedText(_guess(octets), True, True)
    name = charset.strip().lower()
    name = _SUPERSETS.get(name, name)
    if name in _ISO_2022_JP:
        return _iso_2022_jp(octets)
    codec = _codec(name)
    if codec is None:
        return DecodedText(_guess(octets), False, False)
    try:
        return DecodedText(_without_surrogates(octets.decode(codec)), True, True)
    except (UnicodeError, ValueError):
        pass
    try:
        # Declared as ASCII but with 8-bit octets: the guess is closer to what a reader sees than a row of U+FFFD.
        text = _guess(octets) if codec == "ascii" else octets.decode(codec, "replace")
    except (UnicodeError, ValueError):
        text = octets.decode("ascii", "replace")
    return DecodedText(_without_surrogates(text), True, False)


def check_octets(pieces: Iterable[bytes], charset: str) -> tuple[bool, bool]:
    """What `decode_octets` says of known and clean, for octets that come in pieces and are not kept."""
    codec = _piecewise_codec(charset)
    if codec is None:
        decoded = decode_octets(b"".join(pieces), charset)
        return decoded.known, decoded.clean
    return True, _is_clean(pieces, codec)


def decode_pieces(
    pieces: Callable[[], Iterable[bytes]], charset: str | None, *, clean: bool | None = None
) -> Iterator[str]:
    """The text of `decode_octets` in pieces, for octets that come in pieces; they are gone through twice and not kept.

    `clean`: what `check_octets` said of them, where that is known. What can only be read as a whole comes as one piece.
    """
    codec = _piecewise_codec(charset) if charset is not None else "utf-8"
    # Without a charset, escapes may make it ISO-2022-JP.
    if codec is None or (charset is None and any(b"\x1b" in piece for piece in pieces())):
        yield decode_octets(b"".join(pieces()), charset).text
    elif _is_clean(pieces(), codec) if clean is None else clean:
        yield from codecs.iterdecode(pieces(), codec)
    else:
        yield decode_octets(b"".join(pieces()), charset).text


def codec_of(charset: str) -> str | None:
    """Python's codec for a declared charset as mailers mean it, without any fallback; None where there is none."""
    name = charset.strip().lower()
    return "iso2022_jp" if name in _ISO_2022_JP else _codec(_SUPERSETS.get(name, name))


def decode_words(value: str, charset: str | None = None) -> str:
    """Decode the encoded-words of an unfolded header value (RFC 2047), leniently.

    Neighbouring words of one charset are joined before they are decoded, so that characters split over two words
    come out whole. Octets outside ASCII (surrogate escapes in `value`) are read in `charset`, or guessed.
    """
    pieces: list[str] = []
    pending = bytearray()
    pending_charset = ""
    end = 0

    def flush() -> None:
        if pending_charset:
            pieces.append(decode_octets(bytes(pending), pending_charset).text)
            pending.clear()

    for match in _ENCODED_WORD.finditer(value):
        between = value[end : match.start()]
        name = match[1].partition("*")[0].lower()  # RFC 2231 section 5: charset*language
        if not (pending_charset and not between.strip()):
            flush()
            pending_charset = ""
            pieces.append(_raw_text(between, charset))
        if name != pending_charset:
            flush()
            pending_charset = name
        pending += _word_octets(match[2], match[3])
        end = match.end()
    flush()
    pieces.append(_raw_text(value[end:], charset))
    return "".join(pieces)


class EncodedWord(Struct, frozen=True):
    """One RFC 2047 encoded-word.

    Attributes:
        source: as written, ``=?...?=``.
        charset: as written, in lower case, without a language.
        octets: the text in that charset.
        follows: nothing but white space parts it from the encoded-word before it.

    """

    source: str
    charset: str
    octets: bytes
    follows: bool


def encoded_words(value: str) -> Iterator[EncodedWord]:
    """The encoded-words of an unfolded header value, one by one."""
    end = -1
    for match in _ENCODED_WORD.finditer(value):
        follows = end >= 0 and not value[end : match.start()].strip()
        charset = match[1].partition("*")[0].lower()
        yield EncodedWord(match[0], charset, _word_octets(match[2], match[3]), follows)
        end = match.end()


def charset_codec(charset: str) -> str:
    """One name for all names of a charset that are read alike; the name itself in lower case where it is not known."""
    name = charset.strip().lower()
    name = _SUPERSETS.get(name, name)
    return "iso-2022-jp" if name in _ISO_2022_JP else _codec(name) or name


def has_encoded_word(value: str) -> bool:
    """Whether an RFC 2047 encoded-word stands anywhere in `value`."""
    return _ENCODED_WORD.search(value) is not None


def printable(value: str) -> str:
    r"""`value` fit for a fact or for evidence: raw UTF-8 octets become text, all others are shown as ``\xNN``."""
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def decode_base64(octets: bytes) -> tuple[bytes, bool]:
    """Decode base64 whatever it holds; the second value is False where it was not well-formed.

    Reading stops at the padding, as mail programs do.
    """
    stripped = octets.translate(None, _NOT_BASE64)
    spaces = sum(octets.count(space) for space in (b"\r", b"\n", b" ", b"\t"))
    good = len(stripped) + spaces == len(octets)
    digits, padding, rest = stripped.partition(b"=")
    if rest.strip(b"="):
        good = False
    remainder = len(digits) % 4
    if remainder == 1:
        digits = digits[:-1]
        good = False
    elif remainder:
        good = good and len(padding + rest) == 4 - remainder
        digits += b"=" * (4 - remainder)
    return binascii.a2b_base64(digits), good


def _piecewise_codec(charset: str) -> str | None:
    """The codec of a charset that can be read in pieces; None for all others and for charsets that are not known.

    Some look at the whole: a fallback for broken escapes, codecs of one call, a byte order mark that may lack, lone
    surrogates to be replaced.
    """
    name = charset.strip().lower()
    name = _SUPERSETS.get(name, name)
    codec = _codec(name)
    if name in _ISO_2022_JP or codec is None or codec in ("utf-7", "utf-16", "utf-32"):
        return None
    return codec if codecs.lookup(codec).incrementaldecoder else None


def _is_clean(pieces: Iterable[bytes], codec: str) -> bool:
    """Whether every octet means a character in that codec."""
    try:
        for _ in codecs.iterdecode(pieces, codec):
            pass
    except (UnicodeError, ValueError):
        return False
    return True


def _guess(octets: bytes) -> str:
    if b"\x1b$" in octets and octets.isascii():
        return _iso_2022_jp(octets).text
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")


def _raw_text(value: str, charset: str | None) -> str:
    if value.isascii() and "\x1b" not in value:
        return value
    return decode_octets(value.encode("utf-8", "surrogateescape"), charset).text


def _word_octets(encoding: str, text: str) -> bytes:
    octets = text.encode("utf-8", "surrogateescape")
    if encoding in "bB":
        return decode_base64(octets)[0]
    return _HEX_PAIR.sub(lambda pair: bytes.fromhex(pair[1].decode("ascii")), octets.replace(b"_", b" "))


def _codec(name: str) -> str | None:
    """The name of Python's codec for a charset, or None where there is none that mail may name."""
    if not _CHARSET_NAME.fullmatch(name):
        return None
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # The attribute is how bytes.decode itself tells text encodings from zlib, base64 and the like.
    if codec.name.replace("-", "_") in _NO_CHARSETS or not getattr(codec, "_is_text_encoding", True):
        return None
    return codec.name


def _without_surrogates(text: str) -> str:
    """UTF-7 and UTF-16 can smuggle lone surrogates, which no output can carry."""
    return _SURROGATE.sub("\ufffd", text) if _SURROGATE.search(text) else text


def _iso_2022_jp(octets: bytes) -> DecodedText:
    """ISO-2022-JP (RFC 1468); where that fails with the NEC and IBM characters and half-width kana of cp50221."""
    try:
        return DecodedText(octets.decode("iso2022_jp"), True, True)
    except UnicodeDecodeError:
        pass
    pieces: list[str] = []
    mode = b"(B"
    parts = _JIS_ESCAPE.split(octets)
    for index, part in enumerate(parts):
        if index % 2:
            mode = part
        elif mode in (b"$@", b"$B"):
            pieces.append(_jis_to_shift_jis(part).decode("cp932", "replace"))
        elif mode == b"(I":
            kana = bytes(octet | 0x80 if 0x21 <= octet <= 0x5F else octet for octet in part)
            pieces.append(kana.decode("cp932", "replace"))
        elif mode == b"$(D":
            pieces.append("\ufffd" * (len(part) // 2))
        else:
            pieces.append(_eight_bit_in_jis(part))
    text = "".join(pieces)
    return DecodedText(text, True, "\ufffd" not in text)


def _eight_bit_in_jis(octets: bytes) -> str:
    """The ASCII stretches of ISO-2022-JP; mailers that lie about the charset put UTF-8 or Shift_JIS there."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp932", "replace")


def _jis_to_shift_jis(octets: bytes) -> bytes:
    """Two-octet JIS X 0208 codes as the Shift_JIS codes of the same characters."""
    out = bytearray()
    index = 0
    while index < len(octets):
        first = octets[index]
        if not 0x21 <= first <= 0x7E or index + 1 == len(octets) or not 0x21 <= octets[index + 1] <= 0x7E:
            out.append(first if first < 0x21 else 0x3F)
            index += 1
            continue
        second = octets[index + 1]
        row = first - 0x21
        out.append((row >> 1) + (0x81 if row < 62 else 0xC1))
        out.append(second + 0x7E if row & 1 else second + (0x1F if second < 0x60 else 0x20))
        index += 2
    return bytes(out)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7}  # others: UTC
_DATE = re.compile(
    r"(?:[A-Za-z]{3,9}\s*+,?\s*+)?(\d{1,2})\s+([A-Za-z]{3})[a-z]{0,6}\s+(\d{2,4})\s+"
    r"(\d{1,2})\s*:\s*(\d{2})(?:\s*:\s*(\d{2}))?\s*+(?:([+-])\s?(\d{2}):?(\d{2})|([A-Za-z]{1,5}))?\s*+"
)
_COMMENT = re.compile(r"\([^()]*\)")
_MAX_LENGTH = 200


def parse_date(value: str) -> datetime | None:
    """The moment a Date or Received field names, with its zone; None where it cannot be read.

    Two- and three-digit years and zone names are read as RFC 5322 section 4.3 says; a missing or unknown zone is UTC.
    """
    match = _DATE.fullmatch(_COMMENT.sub(" ", value[:_MAX_LENGTH]).strip())
    if match is None or match[2].lower() not in _MONTHS:
        return None
    year = int(match[3])
    if len(match[3]) == 2:
        year += 2000 if year < 50 else 1900
    elif len(match[3]) == 3:
        year += 1900
    if match[7]:
        minutes = int(match[8]) * 60 + int(match[9])
        offset = timedelta(minutes=-minutes if match[7] == "-" else minutes)
    else:
        offset = timedelta(hours=_ZONES.get((match[10] or "").lower(), 0))
    if abs(offset) >= timedelta(hours=24):
        return None
    zone = timezone(offset) if offset else UTC
    second = min(int(match[6] or 0), 59)  # a leap second is written 60
    if int(match[6] or 0) > 60:
        return None
    try:
        month = _MONTHS.index(match[2].lower()) + 1
        return datetime(year, month, int(match[1]), int(match[4]), int(match[5]), second, tzinfo=zone)
    except ValueError:
        return None


_MAX_PARAMETERS_LENGTH = 1 << 16
_MAX_SECTIONS = 1000
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_NAME = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_NAMES_OF_FILES = ("name", "filename")


def parse_parameters(value: str, charset: str | None = None) -> tuple[str, dict[str, str]]:
    """Main value (lower case) and decoded parameters (names in lower case) of an unfolded header value.

    Of parameters given twice the first counts; the RFC 2231 form wins over the plain one. `charset` is for raw
    octets in values. At most 64 KiB are read.
    """
    pieces = _split(value[:_MAX_PARAMETERS_LENGTH])
    main = pieces[0].partition("(")[0].strip().lower() if pieces else ""
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for piece in pieces[1:]:
        name, equals, raw = piece.partition("=")
        match = _NAME.fullmatch(name.strip().lower())
        if not equals or match is None:
            continue
        base, number, star = match[1].strip(), match[2], match[3]
        raw = _value(raw.strip(), keep_spaces=base in _NAMES_OF_FILES)
        if number is None and not star:
            # A boundary is compared octet by octet, whatever it looks like.
            plain.setdefault(base, raw if base == "boundary" else decode_words(raw, charset))
        else:
            numbered = sections.setdefault(base, {})
            if len(numbered) < _MAX_SECTIONS:
                numbered.setdefault(int(number or 0), (bool(star), raw))
    extended = {base: _join_sections(numbered, charset) for base, numbered in sections.items()}
    return printable(main), plain | extended


def _split(value: str) -> list[str]:
    """Split at semicolons outside quoted strings; raw ISO-2022-JP inside quotes may hold quotes as half characters."""
    pieces: list[str] = []
    start = index = 0
    quoted = False
    while index < len(value):
        character = value[index]
        if quoted and character == "\\":
            index += 1
        elif character == '"':
            quoted = not quoted
        elif character == "\x1b" and value.startswith("\x1b$", index):
            end = value.find("\x1b(", index)
            index = len(value) if end < 0 else end + 1
        elif character == ";" and not quoted:
            pieces.append(value[start:index])
            start = index + 1
        index += 1
    pieces.append(value[start:])
    return pieces


def _value(raw: str, *, keep_spaces: bool) -> str:
    """A parameter value without its quotes, or without the comment after it."""
    if not raw.startswith('"'):
        # File names with spaces and parentheses are sent unquoted often enough to matter.
        return raw if keep_spaces else re.split(r"[\s(]", raw, maxsplit=1)[0]
    out: list[str] = []
    index = 1
    while index < len(raw):
        character = raw[index]
        if character == "\\" and raw[index + 1 : index + 2] in ('"', "\\"):
            index += 1
            out.append(raw[index])
        elif character == "\x1b" and raw.startswith("\x1b$", index):
            end = raw.find("\x1b(", index)
            end = len(raw) if end < 0 else end + 2
            out.append(raw[index:end])
            index = end
            continue
        elif character == '"':
            break
        else:
            out.append(character)
        index += 1
    return "".join(out)


def _join_sections(numbered: dict[int, tuple[bool, str]], charset: str | None) -> str:
    """Join the sections of one RFC 2231 parameter in order, as octets, and decode them once."""
    declared: str | None = None
    octets = bytearray()
    encoded = False
    for position, number in enumerate(sorted(numbered)):
        if number != position:
            break  # a missing section ends the value (RFC 2231 section 3)
        starred, raw = numbered[number]
        if starred:
            encoded = True
            if position == 0 and raw.count("'") >= 2:
                declared, _, raw = raw.split("'", 2)
            octets += _PERCENT.sub(
                lambda pair: bytes.fromhex(pair[1].decode("ascii")), raw.encode("utf-8", "surrogateescape")
            )
        else:
            octets += raw.encode("utf-8", "surrogateescape")
    if encoded:
        return decode_octets(bytes(octets), declared or charset).text
    return decode_words(octets.decode("utf-8", "surrogateescape"), charset)
