"""Bodies without their transfer encoding, a piece at a time (RFC 2045 section 6).

A message can be tens of megabytes, nearly all of them one attachment: what only counts, hashes or looks at the
beginning never holds a decoded copy. Every function reads `buffer[start:end]` in place.
"""

from __future__ import annotations

import binascii
import io
import re
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

BASE64 = "base64"
QUOTED_PRINTABLE = "quoted-printable"
UUENCODE = ("x-uuencode", "uuencode", "x-uue")

_PIECE = 1 << 16
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_BASE64_AND_SPACES = _BASE64 + b"\r\n \t"
_BAD_QUOTED_PRINTABLE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|[ \t]*\Z)")
_LONE_LF = re.compile(rb"\n(?<!\r\n)")
_ODD_LINE_END = re.compile(rb"\n(?<![^ \t]\r\n)")
_SPACE_AT_LINE_END = re.compile(rb"[ \t](?:\r?\n|\Z)")


class Body(Struct, frozen=True):
    """The body `buffer[start:end]` and its transfer encoding in lower case; unknown encodings change nothing.

    Of one that `is_crlf` all line ends are known to be CRLF.
    """

    buffer: bytes
    start: int
    end: int
    encoding: str
    is_crlf: bool = False

    def pieces(self, problems: set[str] | None = None) -> Iterator[bytes]:
        """The decoded octets in pieces of some ten kilobytes; a line that is longer makes a longer piece.

        Text saved with LF gets CRLF, as on the wire. Defects (bad-base64, bad-quoted-printable) are put into
        `problems` as they are met.
        """
        problems = set() if problems is None else problems
        for raw, _, _ in self._cuts(self.start, b"", problems):
            yield self._decode(raw)

    def measure(self) -> tuple[int, tuple[str, ...]]:
        """How many octets it decodes to, and its defects."""
        problems: set[str] = set()
        octets = sum(self._length(raw) for raw, _, _ in self._cuts(self.start, b"", problems))
        return octets, tuple(problems)

    def decode(self, problems: set[str] | None = None) -> bytes:
        """All decoded octets."""
        whole = io.BytesIO()
        for piece in self.pieces(problems):
            whole.write(piece)
        return whole.getvalue()

    def open(self) -> DecodedFile:
        """The decoded octets as a file that can be read at any place, while only one piece is held."""
        return DecodedFile(self)

    def _cuts(self, position: int, carry: bytes, problems: set[str]) -> Iterator[tuple[bytes, int, bytes]]:
        """Encoded pieces from `position` on; each with what is needed to go on behind it: position and carry."""
        if self.encoding == BASE64:
            return self._base64(position, carry, problems)
        if self.encoding == QUOTED_PRINTABLE:
            return self._lines(position, problems)
        if self.encoding in UUENCODE:
            return iter([(self.buffer[position : self.end], self.end, b"")])
        return self._plain(position)

    def _base64(self, position: int, carry: bytes, problems: set[str]) -> Iterator[tuple[bytes, int, bytes]]:
        """Digits in whole groups of four. Reading stops at the padding, as mail programs do."""
        padding = 0
        while position < self.end:
            following = min(position + _PIECE, self.end)
            piece = self.buffer[position:following]
            position = following
            stripped = piece.translate(None, _NOT_BASE64)
            if piece.translate(None, _BASE64_AND_SPACES):
                problems.add("bad-base64")
            if padding:
                digits, rest = b"", stripped
            else:
                digits, equals, rest = stripped.partition(b"=")
                padding = len(equals)
            padding += rest.count(b"=")
            if rest.strip(b"="):
                problems.add("bad-base64")
            digits = carry + digits
            whole = len(digits) & ~3
            carry = digits[whole:]
            if whole:
                yield digits[:whole], position, carry
        if len(carry) == 1:
            problems.add("bad-base64")
        elif carry:
            if padding != 4 - len(carry):
                problems.add("bad-base64")
            yield carry + b"=" * (4 - len(carry)), self.end, b""

    def _lines(self, position: int, problems: set[str]) -> Iterator[tuple[bytes, int, bytes]]:
        """Whole lines: nothing that quoted-printable says goes over the end of a line."""
        while position < self.end:
            found = self.buffer.find(b"\n", min(position + _PIECE, self.end), self.end)
            following = self.end if found < 0 else found + 1
            piece = self.buffer[position:following]
            position = following
            if _BAD_QUOTED_PRINTABLE.search(piece):
                problems.add("bad-quoted-printable")
            yield piece, position, b""

    def _plain(self, position: int) -> Iterator[tuple[bytes, int, bytes]]:
        while position < self.end:
            following = min(position + _PIECE, self.end)
            if following < self.end and self.buffer[following] == 0x0A:
                following += 1  # a line end stays in one piece
            yield self.buffer[position:following], following, b""
            position = following

    def _decode(self, raw: bytes) -> bytes:
        if self.encoding == BASE64:
            return binascii.a2b_base64(raw)
        if self.encoding == QUOTED_PRINTABLE:
            return binascii.a2b_qp(_trim_lines(with_crlf(raw)))
        if self.encoding in UUENCODE:
            return _decode_uu(raw)
        return raw if self.is_crlf else with_crlf(raw)

    def _length(self, raw: bytes) -> int:
        if self.encoding == BASE64:
            return len(raw) // 4 * 3 - raw.count(b"=", len(raw) - 2)
        return len(self._decode(raw))


class DecodedFile(io.RawIOBase):
    """A decoded body as a read-only file. It notes where its pieces begin, so that going back costs one piece."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._body = body
        self._starts = [0]  # decoded offset of each piece seen
        self._resume = [(body.start, b"")]  # and how to decode from there
        self._size: int | None = None
        self._position = 0
        self._held = (0, b"")  # the piece read last

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Any place can be read; seeking from the end measures the body first."""
        return True

    def tell(self) -> int:
        """Where it is read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an octet, in the manner of io.IOBase. Raises ValueError before the beginning."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        target = offset + (self.size if base is None else base)
        if target < 0:
            raise ValueError("before the beginning of the file")
        self._position = target
        return target

    @property
    def size(self) -> int:
        """Octets of the decoded body."""
        if self._size is None:
            self._survey(None)
        return self._size or 0

    def readinto(self, target: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill `target` with what comes next, as far as one piece goes; 0 at the end."""
        start, piece = self._held
        if not start <= self._position < start + len(piece):
            self._survey(self._position)
            if self._size is not None and self._position >= self._size:
                return 0
            index = bisect_right(self._starts, self._position) - 1
            start = self._starts[index]
            raw, _, _ = next(self._body._cuts(*self._resume[index], set()))
            piece = self._body._decode(raw)
            self._held = (start, piece)
        some = piece[self._position - start : self._position - start + len(target)]
        target[: len(some)] = some
        self._position += len(some)
        return len(some)

    def _survey(self, wanted: int | None) -> None:
        """Note the pieces up to the one that holds octet `wanted`, or (None) all."""
        if self._size is not None or (wanted is not None and wanted < self._starts[-1]):
            return
        total = self._starts[-1]
        for raw, position, carry in self._body._cuts(*self._resume[-1], set()):
            total += self._body._length(raw)
            if total > self._starts[-1]:
                self._starts.append(total)
                self._resume.append((position, carry))
            else:
                self._resume[-1] = (position, carry)
            if wanted is not None and wanted < total:
                return
        self._size = total


def has_lone_lf(octets: bytes) -> bool:
    """Whether a line feed stands without a carriage return before it."""
    # Literal first: the search goes from LF to LF, which takes less than half the time of a count of pairs.
    return _LONE_LF.search(octets) is not None


def has_odd_line_end(octets: bytes) -> bool:
    """Whether a line ends with LF alone or has a blank at its end, or the octets begin with a line end."""
    return _ODD_LINE_END.search(octets) is not None


def with_crlf(body: bytes) -> bytes:
    """`body` with every line ended by CRLF, as it is sent."""
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if has_lone_lf(body) else body


def _trim_lines(body: bytes) -> bytes:
    """Drop white space at line ends, which transport may have added (RFC 2045 section 6.7 rule 3)."""
    if not _SPACE_AT_LINE_END.search(body):
        return body
    return b"\r\n".join(line.rstrip(b" \t") for line in body.split(b"\r\n"))


def _decode_uu(body: bytes) -> bytes:
    out: list[bytes] = []
    inside = False
    for line in body.splitlines():
        if line.startswith(b"begin "):
            inside = True
        elif line.strip() == b"end":
            break
        elif inside and line:
            try:
                out.append(binascii.a2b_uu(line))
            except binascii.Error:
                continue  # one broken line does not cost the others
    return b"".join(out)
