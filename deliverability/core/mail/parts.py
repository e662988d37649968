"""What mail programs show of a MIME tree, and header fields and parts as evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import Evidence, EvidenceKind, EvidenceLine
from deliverability.core.mail.reader import Message, Part
from deliverability.core.mail.words import printable

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField, Part

_MAX_SHOWN = 10_000


def header_evidence(field: HeaderField) -> Evidence:
    """The very lines of a header field; the id is ``header:NAME:NUMBER``, numbered from the top."""
    text = field.raw[:_MAX_SHOWN].decode("utf-8", "backslashreplace")
    lines: tuple[EvidenceLine, ...] = tuple(line.rstrip("\r") for line in text.rstrip("\r\n").split("\n"))
    if len(field.raw) > _MAX_SHOWN:
        lines += (CUT(octets=len(field.raw)),)
    return Evidence(f"header:{field.lower}:{field.number}", EvidenceKind.HEADER, f"{field.name} #{field.number}", lines)


def part_evidence(part: Part) -> Evidence:
    """A MIME part by its own Content- fields; the id is ``mime:PATH``."""
    shown = [
        printable(f"{each.name}: {each.value}")[:1000] for each in part.headers if each.lower.startswith("content-")
    ]
    got: tuple[EvidenceLine, ...] = (*shown[:10], AS_SENT(octets=part.encoded_octets))
    return Evidence(f"mime:{part.path}", EvidenceKind.MIME, f"part {part.path}", got)


CUT = Code("evidence-cut", ("octets",))
AS_SENT = Code("evidence-as-sent", ("octets",))
NESTED = Code("nested")  # parts nested too deeply were not read


class Leaf(Struct, frozen=True):
    """A part that is shown or attached, with the multiparts it stands in, outermost first."""

    part: Part
    within: tuple[Part, ...]

    @property
    def is_attachment(self) -> bool:
        """Whether it is a file of its own: a file name, ``attachment``, an attached message, or no text at all."""
        part = self.part
        if part.disposition == "attachment" or part.is_message:
            return True
        if part.media_type.startswith("text/"):
            # Some mailers name the body text itself; only a name with a disposition makes a file of it then.
            return part.filename is not None and (part.disposition is not None or not self._is_body_place)
        # Machine-readable parts of reports (RFC 3464, RFC 5965) and broken multiparts are not files.
        return part.filename is not None or not part.media_type.startswith(("multipart/", "message/"))

    @property
    def is_inline(self) -> bool:
        """Whether it is shown in the text: ``inline``, or with a Content-ID for the HTML to refer to."""
        part = self.part
        if part.disposition == "inline":
            return True
        related = any(each.media_type == "multipart/related" for each in self.within)
        return part.content_id is not None and (part.disposition is None or related)

    @property
    def alternatives(self) -> Part | None:
        """The innermost multipart/alternative it stands in, or None."""
        return next((each for each in reversed(self.within) if each.media_type == "multipart/alternative"), None)

    @property
    def _is_body_place(self) -> bool:
        return not self.within or self.within[-1].media_type == "multipart/alternative"


def leaves(message: Message) -> Iterator[Leaf]:
    """All leaves in the order of the file; an attached message is one leaf, whatever is inside."""
    yield from _leaves(message.root, ())


def _leaves(part: Part, within: tuple[Part, ...]) -> Iterator[Leaf]:
    if not part.is_multipart:
        yield Leaf(part, within)
        return
    for child in part.children:
        yield from _leaves(child, (*within, part))


def body_texts(message: Message, media_type: str) -> list[Leaf]:
    """Leaves of that type that are body text, not attached files."""
    return [leaf for leaf in leaves(message) if leaf.part.media_type == media_type and not leaf.is_attachment]
