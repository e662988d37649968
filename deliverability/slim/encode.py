"""Writes a body in the transfer encoding that suits it (RFC 2045 section 6)."""

from __future__ import annotations

import binascii

from deliverability.mail.transfer import BASE64, QUOTED_PRINTABLE, Body

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
