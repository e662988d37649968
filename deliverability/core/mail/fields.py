"""Values of header fields: dates (RFC 5322), main values and parameters (RFC 2045)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from deliverability.core.mail.words import decode_octets, decode_words, printable

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
