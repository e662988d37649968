"""Body canonicalization and hash in one linear pass over pieces (RFC 6376 section 3.4).

dkimpy's own is quadratic on runs of blanks and copies the body several times over; a message is hostile input.
"""

from __future__ import annotations

import hashlib

from deliverability._values import dataclass

_PIECE = 1 << 16
_LINES = b"\r\n" * (_PIECE // 2)


@dataclass(frozen=True, slots=True)
class BodyHash:
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

    def __init__(self, canonicalization: str, hash_name: str, limit: int | None = None) -> None:
        """`canonicalization` is simple or relaxed, `hash_name` sha1 or sha256, `limit` the octets of l=."""
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
        self._take(piece.replace(b"\r\n", b"\n"))

    def finish(self) -> BodyHash:
        """End the body. The last line gets its line end where the file lacks it; empty lines at the end go."""
        if self._held_cr:
            self._take(b"\r")
        if self._octets or not self._relaxed:
            self._emit(b"\r\n")
        return BodyHash(self._hash.digest(), self._octets)

    def _take(self, text: bytes) -> None:
        """Take text whose line ends are LF."""
        if self._relaxed:
            if self._held_blank:
                text = b" " + text
            text = text.replace(b"\t", b" ")
            # Every pass halves the runs, so that even a piece of nothing but blanks takes few.
            while b"  " in text:
                text = text.replace(b"  ", b" ")
            text = text.replace(b" \n", b"\n")
            self._held_blank = text.endswith(b" ")
            if self._held_blank:
                text = text[:-1]
        content = text.rstrip(b"\n")
        if content:
            lines = self._held_lines
            while lines:
                some = min(lines, len(_LINES) // 2)
                self._emit(_LINES[: 2 * some])
                lines -= some
            self._held_lines = 0
            self._emit(content.replace(b"\n", b"\r\n"))
        self._held_lines += len(text) - len(content)

    def _emit(self, canonical: bytes) -> None:
        self._octets += len(canonical)
        if self._left is None:
            self._hash.update(canonical)
        elif self._left:
            self._hash.update(canonical[: self._left])
            self._left = max(0, self._left - len(canonical))


def hash_body(message: bytes, start: int, canonicalization: str, hash_name: str, limit: int | None = None) -> BodyHash:
    """Hash the body that begins at octet `start` of a message, without copying it."""
    hasher = BodyHasher(canonicalization, hash_name, limit)
    for offset in range(start, len(message), _PIECE):
        hasher.update(message[offset : offset + _PIECE])
    return hasher.finish()
