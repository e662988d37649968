"""What slimming changed, part by part: codes and octets, no prose."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class PartChange(StrEnum):
    """What was done with a part."""

    IMAGE = "image"
    """Saved again in the same format."""
    IMAGE_CONVERTED = "image-converted"
    """Saved in another format, its name and type changed to fit."""
    HTML = "html"
    """Comments, indentation and the like left out."""
    ENCODING = "encoding"
    """The same octets in a shorter transfer encoding."""


class Unchanged(StrEnum):
    """Why a part that could be lighter, or the whole message, was left as it is."""

    SIGNED = "signed"
    ENCRYPTED = "encrypted"
    ATTACHED = "attached"
    """An attached file or message: the original is what the sender wants to send."""
    ANIMATED = "animated"
    CHARSET = "charset"
    """The HTML does not decode in its charset, or could not be written in it again."""
    SMALL_GAIN = "small-gain"
    UNREADABLE = "unreadable"
    """Not what its type says, or its transfer encoding is broken."""
    UNSAFE = "unsafe"
    """The message is so broken that a change could lose something."""


class PartSaving(Struct, frozen=True):
    """One part that was, or could have been, changed.

    Attributes:
        path: position in the MIME tree, as in the facts.
        media_type: declared type of the original.
        filename: of the original, or None.
        before: octets of the body as sent.
        after: the same in the copy; equal to `before` where it was kept.
        change: what was done; None where it was kept.
        unchanged: why it was kept; None where it was changed.
        pixels_before: width and height of an image that was changed.
        pixels_after: the same in the copy.
        new_type: media type in the copy.

    """

    path: str
    media_type: str
    filename: str | None
    before: int
    after: int
    change: PartChange | None = None
    unchanged: Unchanged | None = None
    pixels_before: tuple[int, int] | None = None
    pixels_after: tuple[int, int] | None = None
    new_type: str = ""

    @property
    def saved(self) -> int:
        """Octets saved, as sent."""
        return self.before - self.after


class Slimmed(Struct, frozen=True):
    """The copy and what it saves.

    Attributes:
        data: octets of the copy; the original's very octets where nothing was changed.
        before: the original as sent.
        after: the copy as sent.
        parts: parts that were or could have been changed, in the order of the message.
        dropped: header fields that a change makes void and that were left out, with their number.
        refused: why nothing at all was changed; None where it was tried.

    """

    data: bytes
    before: int
    after: int
    parts: tuple[PartSaving, ...] = ()
    dropped: tuple[tuple[str, int], ...] = ()
    refused: Unchanged | None = None

    def __repr__(self) -> str:
        return f"Slimmed(before={self.before}, after={self.after})"

    @property
    def changes(self) -> tuple[PartSaving, ...]:
        """The parts that were changed, those that save most first."""
        return tuple(sorted((each for each in self.parts if each.change), key=lambda each: -each.saved))
