"""The changes that would make a message lighter, the most effective first.

Everything is said in octets as sent, since these are what limits are about: what a part that travels in base64 loses
as a file counts 78/57 times (4/3 for the encoding, 78/76 for a line end after every 76 characters). A part in another
encoding, or in one that is not known, counts as it is, which is the least it can save. What is Unknown is left out,
never taken for 0: a ranking names what was measured and is silent about the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.content import Attachments, Html, ImageFiles, PdfFiles
from deliverability.core.facts.message import Format, MessagePart, Weight
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases
from deliverability.core.words.sentences import octets, shortened, visible

SHOWN = 3
# Together the changes shown save at least this much and this share of the message; a single one at least the third.
MIN_OCTETS = 5_000
MIN_SHARE = 0.02
MIN_CHANGE = 1_000
# A share link is asked for only above the size recommended for all, and for files that matter there.
LARGE_MESSAGE = 10_000_000
LARGE_FILE = 1_000_000

_ENCODED, _RAW = 78, 57
_SLIM = ("image", "attached-image", "minify")


class WeightSaving(Struct, frozen=True):
    """One change.

    Attributes:
        kind: image, attached-image, pdf, file, minify, css or data; also the phrase that says what to do.
        octets: what it saves of the message as sent.
        path: position of the part in the MIME tree; empty for the HTML.
        name: the file's name; empty where there is none.
        form: for an image, the format that saves it (jpeg, png).

    """

    kind: str
    octets: int
    path: str = ""
    name: str = ""
    form: str = ""


class WeightSavingView(Struct, frozen=True):
    """A change in words; `percent` of the whole message is the length of its bar."""

    kind: str
    words: str
    saves: str
    percent: float


class SavingsView(Struct, frozen=True):
    """The changes shown, what they save together, and how to make them (empty where `deliv slim` makes none)."""

    changes: tuple[WeightSavingView, ...]
    total: str
    how: str


def changes(facts: FactSet) -> tuple[WeightSaving, ...]:
    """Every change that saves something, the largest first. No octet is counted by two of them."""
    parts = {part.path: part for part in if_known(facts.of(Format).parts) or ()}
    found = [*_files(facts, parts), *_images(facts, parts), *_pdfs(facts, parts), *_html(facts, parts)]
    return tuple(sorted((each for each in found if each.octets > 0), key=lambda each: (-each.octets, each.path)))


def savings(facts: FactSet, say: Phrases) -> SavingsView | None:
    """The three changes that save most; None without a message, or where they are not worth the work."""
    whole = if_known(facts.of(Weight).size_octets)
    if not whole:
        return None
    shown = [each for each in changes(facts)[:SHOWN] if each.octets >= MIN_CHANGE]
    total = sum(each.octets for each in shown)
    if total < MIN_OCTETS or total < MIN_SHARE * whole:
        return None
    estimated = any(each.kind == "pdf" for each in shown)
    how = ""
    if any(each.kind in _SLIM for each in shown):
        attached = any(each.kind == "attached-image" for each in shown)
        how = say("savings.how-attached" if attached else "savings.how")
    return SavingsView(
        changes=tuple(
            WeightSavingView(
                kind=each.kind,
                words=_words(each, say),
                saves=_amount("savings.estimate" if each.kind == "pdf" else "savings.saves", each.octets, whole, say),
                percent=min(100.0, round(100 * each.octets / whole, 1)),
            )
            for each in shown
        ),
        total=_amount("savings.total-estimate" if estimated else "savings.total", total, whole, say)
        if len(shown) > 1
        else "",
        how=how,
    )


def _images(facts: FactSet, parts: Mapping[str, MessagePart]) -> Iterator[WeightSaving]:
    for image in if_known(facts.of(ImageFiles).images) or ():
        saved, path = if_known(image.saving_octets), image.path
        form = if_known(image.best_format)
        if saved and form:
            kind = "image" if image.inline else "attached-image"
            yield WeightSaving(kind, _as_sent(saved, parts.get(path)), path, image.filename, form)


def _pdfs(facts: FactSet, parts: Mapping[str, MessagePart]) -> Iterator[WeightSaving]:
    for pdf in if_known(facts.of(PdfFiles).pdfs) or ():
        saved, path = pdf.saving_octets, pdf.path
        if saved:
            yield WeightSaving("pdf", _as_sent(saved, parts.get(path)), path, pdf.filename)


def _files(facts: FactSet, parts: Mapping[str, MessagePart]) -> Iterator[WeightSaving]:
    whole = if_known(facts.of(Weight).size_octets)
    if not whole or whole <= LARGE_MESSAGE:
        return
    # The single file of an encrypted message is the message.
    if any(_is_encrypted(part.media_type) for part in parts.values()):
        return
    lighter = {
        *(each.path for each in if_known(facts.of(ImageFiles).images) or ()),
        *(each.path for each in if_known(facts.of(PdfFiles).pdfs) or ()),
    }
    for file in if_known(facts.of(Attachments).attachments) or ():
        path, sent = file.path, file.encoded_octets
        types = (file.media_type, file.true_type or "")
        shrinks = path in lighter or any(each.startswith("image/") or each == "application/pdf" for each in types)
        if sent >= LARGE_FILE and not file.inline and not shrinks:
            yield WeightSaving("file", sent, path, file.filename)


def _html(facts: FactSet, parts: Mapping[str, MessagePart]) -> Iterator[WeightSaving]:
    """Minifying, repeated styles, and data: addresses, which neither of the others touches.

    Minifying also shortens style attributes, and no fact says by how much: all of it may lie in the repeated ones, so
    these count only as far as they save more.
    """
    pages = [part for part in parts.values() if part.media_type == "text/html"]
    # The HTML facts do not say which part they are of; where encodings differ, none is assumed.
    encoded = bool(pages) and all(part.transfer_encoding == "base64" for part in pages)
    minify = if_known(facts.of(Html).minify_saves_octets) or 0
    repeated = if_known(facts.of(Html).repeated_css_octets) or 0
    data = if_known(facts.of(Html).data_uri_octets) or 0
    for kind, saved in (("minify", minify), ("css", repeated - minify), ("data", data)):
        if saved > 0:
            yield WeightSaving(kind, saved * _ENCODED // _RAW if encoded else saved)


def _as_sent(saved: int, part: MessagePart | None) -> int:
    """What `saved` octets of a file are in the message; never more than its part has."""
    if part is None:
        return saved
    sent = part.encoded_octets
    grown = saved * _ENCODED // _RAW if part.transfer_encoding == "base64" else saved
    return min(grown, sent)


def _is_encrypted(media_type: str) -> bool:
    return media_type in ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


def _words(change: WeightSaving, say: Phrases) -> str:
    name = visible(shortened(change.name)) or say("savings.part", path=visible(shortened(change.path)))
    if change.form:
        return say(f"savings.{change.kind}", name=name, format=visible(shortened(change.form)).upper())
    if change.kind in ("pdf", "file"):
        return say(f"savings.{change.kind}", name=name)
    return say(f"savings.{change.kind}")


def _amount(key: str, number: int, whole: int, say: Phrases) -> str:
    share = 100 * min(number, whole) / whole
    return say(key, size=octets(number, say), percent=f"{share:.1f}" if share < 10 else f"{share:.0f}")
