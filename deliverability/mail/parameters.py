"""Content-Type and Content-Disposition values: main value and parameters.

RFC 2045 section 5.1, RFC 2231, and what mailers send instead of it: encoded-words and raw octets in file names,
unquoted values with spaces and parentheses.
"""

from __future__ import annotations

import re

from deliverability.mail.words import decode_octets, decode_words, printable

_MAX_LENGTH = 1 << 16
_MAX_SECTIONS = 1000
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_NAME = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_NAMES_OF_FILES = ("name", "filename")


def parse_parameters(value: str, charset: str | None = None) -> tuple[str, dict[str, str]]:
    """Main value (lower case) and decoded parameters (names in lower case) of an unfolded header value.

    Of parameters given twice the first counts; the RFC 2231 form wins over the plain one. `charset` is for raw
    octets in values. At most 64 KiB are read.
    """
    pieces = _split(value[:_MAX_LENGTH])
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
