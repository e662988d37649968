"""Header fields and body as DKIM sees them (RFC 6376 section 3.4), and which field was changed after signing.

A body is canonicalized and hashed in one linear pass over pieces. dkimpy's own is quadratic on runs of blanks and
copies the body several times over; a message is hostile input.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.mail.received import parse_received
from deliverability.core.mail.transfer import has_odd_line_end, with_crlf
from deliverability.core.protocols.dkim.key import Check, KeyRecord, check
from deliverability.core.protocols.text_record import without_white_space

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField
    from deliverability.core.protocols.dkim.signature import Signature

_LINE_END = re.compile(rb"\r?\n")
_BLANKS = re.compile(rb"[\t ]+")


def value_on_the_wire(field: HeaderField) -> bytes:
    """The octets after the colon, folding kept, every line end as CRLF, the last one included."""
    value = field.raw.partition(b":")[2].replace(b"\r\n", b"\n").removesuffix(b"\n")
    return value.replace(b"\n", b"\r\n") + b"\r\n"


def select_fields(fields: Sequence[HeaderField], names: Iterable[str], without: int) -> list[HeaderField]:
    """The fields that h= names, each name taking the next instance from the bottom up (RFC 6376 section 5.4.2).

    A name with no instance left stands for an empty field and gives nothing. `without` is the index of the
    signature's own field, which h= never means.
    """
    remaining: dict[str, list[HeaderField]] = {}
    for index, field in enumerate(fields):
        if index != without:
            remaining.setdefault(field.lower, []).append(field)
    return [instances.pop() for name in names if (instances := remaining.get(name))]


def signed_data(fields: Sequence[HeaderField], names: Iterable[str], signature: int, relaxed: bool) -> bytes:
    """What a signature signs: the fields of h= and the signature's own field with b= empty (section 3.7)."""
    pairs = [(_label(field), value_on_the_wire(field)) for field in select_fields(fields, names, signature)]
    own = fields[signature]
    pairs.append((_label(own), empty_b(value_on_the_wire(own))))
    if relaxed:
        pairs = [relaxed_field(label, value) for label, value in pairs]
    return b"".join(label + b":" + value for label, value in pairs).removesuffix(b"\r\n")


def relaxed_field(label: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field in the relaxed form (section 3.4.2): name in lower case, one line, runs of blanks as one space.

    As dkimpy has it, whose package loads a whole DNS client.
    """
    return label.lower().rstrip(), _BLANKS.sub(b" ", _LINE_END.sub(b"", value)).strip() + b"\r\n"


def empty_b(value: bytes) -> bytes:
    """A DKIM-Signature value with the value of b= removed, surrounding white space included."""
    specs = value.split(b";")
    for index, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip() == b"b":
            specs[index] = name + equals
            break
    return b";".join(specs)


def received_at(fields: Iterable[HeaderField]) -> datetime | None:
    """When the last hop took the message, by the topmost Received field; None where it does not tell."""
    top = next((field for field in fields if field.lower == "received"), None)
    return parse_received(top.value).date if top else None


def _label(field: HeaderField) -> bytes:
    """The octets before the colon, as written."""
    return field.raw.partition(b":")[0]


_MAX_GUESSES = 20
_MAX_FIELDS = 500
_MAX_OCTETS = 100_000
_SUBJECT_PREFIX = re.compile(rb"(?<=:)[ \t]*(?:\r?\n[ \t]+)?\[[^\]\r\n]{1,80}\](?=[ \t\r\n])")


def changed_fields(
    fields: Sequence[HeaderField], position: int, signature: Signature, key: KeyRecord
) -> tuple[str, ...]:
    """Names (lower case) of signed fields that were changed or added after signing; empty where nobody can tell.

    `position` is the index of the signature's own field. Huge headers are left alone.
    """
    if len(fields) > _MAX_FIELDS or sum(len(field.raw) for field in fields) > _MAX_OCTETS:
        return ()
    copied = _differing_copies(fields, signature)
    if copied:
        return copied
    relaxed = signature.header_canonicalization == "relaxed"
    for name, guess in _guesses(fields, position, signature):
        data = signed_data(guess, signature.signed_headers, position, relaxed)
        if check(key, signature.hash_name, signature.value, data) is Check.GOOD:
            return (name,)
    return ()


def _differing_copies(fields: Sequence[HeaderField], signature: Signature) -> tuple[str, ...]:
    """Fields whose value in z= is no longer in the message, white space aside."""
    present: dict[str, set[str]] = {}
    for field in fields:
        present.setdefault(field.lower, set()).add(without_white_space(field.value))
    return tuple(
        dict.fromkeys(
            name
            for name, value in signature.copied
            if name in signature.signed_headers and without_white_space(value) not in present.get(name, ())
        )
    )


def _guesses(
    fields: Sequence[HeaderField], position: int, signature: Signature
) -> Iterator[tuple[str, list[HeaderField]]]:
    """Headers as they may have been when they were signed, with the name of the field that differs."""
    tried = 0
    for index, field in enumerate(fields):
        if index == position or field.lower not in signature.signed_headers:
            continue
        if field.lower == "subject" and (shorter := _SUBJECT_PREFIX.sub(b"", field.raw, count=1)) != field.raw:
            yield field.lower, [*fields[:index], replace(field, raw=shorter), *fields[index + 1 :]]
        if tried < _MAX_GUESSES:
            tried += 1
            yield field.lower, [*fields[:index], replace(field, lower=""), *fields[index + 1 :]]


_PIECE = 1 << 16
_LINES = b"\r\n" * (_PIECE // 2)
_TWO_BLANKS = re.compile(rb"  ")  # an expression finds the first pair among single blanks faster than `in`
_MORE_BLANKS = re.compile(rb"   +")


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
            text = _MORE_BLANKS.sub(b" ", text).replace(b"  ", b" ")
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
