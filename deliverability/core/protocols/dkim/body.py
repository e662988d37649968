"""Body canonicalization and hash in one linear pass over pieces (RFC 6376 section 3.4).

dkimpy's own is quadratic on runs of blanks and copies the body several times over; a message is hostile input.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from deliverability.core.mail.transfer import has_odd_line_end, with_crlf

_PIECE = 1 << 16
_LINES = b"\r\n" * (_PIECE // 2)
_TWO_BLANKS = re.compile(rb"  ")  # an expression finds the first pair among single blanks faster than `in`
_BLANKS = re.compile(rb"   +")


class BodyHash(Struct, frozen=True):
    """What came out of the pass.

    Attributes:
        digest: the hash of the canonicalized body, of its first `limit` octets where a limit was given.
        octets: length of the whole canonicalized body.

    """

    digest: bytes
    octets: int


class BodyHasher:
    """Takes a body piece by piece and hashes its canonical form; holds one piece, whatever the body is.

    Lone LF counts as a line end, because mails are often saved that way; lone CR does not.
    """

    def __init__(
        self, canonicalization: str, hash_name: str, limit: int | None = None, *, odd_line_ends: bool = True
    ) -> None:
        """`canonicalization` is simple or relaxed, `hash_name` sha1 or sha256, `limit` the octets of l=.

        `odd_line_ends`: there may be some, see `has_odd_line_end`.
        """
        self._odd = odd_line_ends
        self._relaxed = canonicalization == "relaxed"
        self._hash = hashlib.new(hash_name, usedforsecurity=False)
        self._left = limit
        self._octets = 0
        # What cannot be decided before the next piece: a CR that may belong to a line end, a blank that may end
        # its line, and line ends that may end the body.
        self._held_cr = False
        self._held_blank = False
        self._held_lines = 0

    def update(self, piece: bytes) -> None:
        """Take the next piece, best of some ten kilobytes."""
        if self._held_cr:
            piece = b"\r" + piece
        self._held_cr = piece.endswith(b"\r")
        if self._held_cr:
            piece = piece[:-1]
        odd = self._odd and has_odd_line_end(piece)
        if odd:
            piece = with_crlf(piece)
        if self._relaxed:
            piece = self._collapse(piece, odd)
        content = piece.rstrip(b"\r\n")
        lines = piece[len(content) :]
        if lines.endswith(b"\r"):
            content = piece
        elif lines.count(b"\r") != lines.count(b"\n"):
            # Lone CRs are content; behind the last of them there are only line ends.
            content = piece[: len(content) + lines.rfind(b"\r\r") + 1]
        self._content(content)
        self._held_lines += (len(piece) - len(content)) // 2

    def finish(self) -> BodyHash:
        """End the body. The last line gets its line end where the file lacks it; empty lines at the end go."""
        if self._held_cr:
            self._content(b" \r" if self._held_blank else b"\r")
        if self._octets or not self._relaxed:
            self._emit(b"\r\n")
        return BodyHash(self._hash.digest(), self._octets)

    def _collapse(self, text: bytes, odd: bool) -> bytes:
        """Every run of blanks as one, none before line ends (section 3.4.4), of which some may be `odd`."""
        if self._held_blank:
            text = b" " + text
        text = text.replace(b"\t", b" ")
        if b" " not in text:  # as in base64: the searches for two octets below take longer than all else
            self._held_blank = False
            return text
        if _TWO_BLANKS.search(text):
            # Pairs by themselves, because an expression takes four times as long for many short runs.
            text = _BLANKS.sub(b" ", text).replace(b"  ", b" ")
        if odd:
            text = text.replace(b" \r\n", b"\r\n")
        self._held_blank = text.endswith(b" ")
        return text[:-1] if self._held_blank else text

    def _content(self, content: bytes) -> None:
        """Take what ends in no line end; the line ends before it are no longer those that may end the body."""
        if not content:
            return
        while self._held_lines:
            some = min(self._held_lines, len(_LINES) // 2)
            self._emit(_LINES[: 2 * some])
            self._held_lines -= some
        self._emit(content)

    def _emit(self, canonical: bytes) -> None:
        self._octets += len(canonical)
        if self._left is None:
            self._hash.update(canonical)
        elif self._left:
            self._hash.update(canonical[: self._left])
            self._left = max(0, self._left - len(canonical))


def hash_body(
    message: bytes,
    start: int,
    canonicalization: str,
    hash_name: str,
    limit: int | None = None,
    *,
    odd_line_ends: bool = True,
) -> BodyHash:
    """Hash the body that begins at octet `start` of a message, without copying it; for the rest see BodyHasher."""
    hasher = BodyHasher(canonicalization, hash_name, limit, odd_line_ends=odd_line_ends)
    for offset in range(start, len(message), _PIECE):
        hasher.update(message[offset : offset + _PIECE])
    return hasher.finish()
