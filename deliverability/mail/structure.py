"""What mail programs show of a MIME tree: body text, attachments, alternatives."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from deliverability.mail.reader import Message, Part
from deliverability.model.codes import Code

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
