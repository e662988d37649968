"""PDF files: whether they are encrypted, and where their octets are.

The octets are scanned once for objects instead of following references: nothing is unpacked, nothing can loop, and
files that readers refuse are weighed as well. Streams stand in the open whatever else is packed (ISO 32000-2, 7.5).
"""

from __future__ import annotations

import re

from msgspec import Struct

# What a page of A4 or letter is wide at 150 dpi, enough to read and to print in an office.
TARGET_WIDTH = 1240
# Octets per pixel of a JPEG of middle quality.
_JPEG_DENSITY = 0.25

_STREAM = re.compile(rb"stream(?:\r\n|\n|\r)")
_ENCRYPT = re.compile(rb"/Encrypt\s{0,20}(?:\d{1,10}\s{1,20}\d{1,5}\s{1,20}R|<<)")
_IMAGE = re.compile(rb"/Subtype\s{0,20}/Image\b")
_FONT = re.compile(rb"/Length1\s{1,20}\d|/Subtype\s{0,20}/(?:Type1C|CIDFontType0C|OpenType)\b")
_WIDTH = re.compile(rb"/Width\s{1,20}(\d{1,6})\b")
_HEIGHT = re.compile(rb"/Height\s{1,20}(\d{1,6})\b")
_BILEVEL = re.compile(rb"/(?:CCITTFaxDecode|JBIG2Decode)\b|/ImageMask\s{0,20}true|/BitsPerComponent\s{1,20}1\b")
_TRAILER = re.compile(rb"\btrailer\s{0,20}<<")
_OUTSIDE = re.compile(rb"startxref|\bobj\b|stream")
_XREF = re.compile(rb"/Type\s{0,20}/XRef\b")
_WINDOW = 4096
_MATCHES = 200


class PdfFacts(Struct, frozen=True):
    """Where the octets of a PDF are.

    Attributes:
        octets: of the file.
        images: number of images.
        image_octets: their streams, as stored.
        font_octets: embedded fonts.
        other_octets: everything else: text, drawings, structure.
        saving_octets: an estimate of what scaling images down to 150 dpi of a full page would save.
        encrypted: has an encryption dictionary.

    """

    octets: int
    images: int
    image_octets: int
    font_octets: int
    other_octets: int
    saving_octets: int
    encrypted: bool


def is_pdf(octets: bytes) -> bool:
    """Whether there is a PDF header within the first 1,024 octets, as readers accept it."""
    return b"%PDF-" in octets[:1024]


def weigh(octets: bytes) -> PdfFacts | None:
    """Where the octets of the PDF are; None where it is none. Never raises; one pass."""
    if not is_pdf(octets):
        return None
    images = image_octets = font_octets = 0
    saving = 0.0
    at = 0
    while match := _STREAM.search(octets, at):
        end = octets.find(b"endstream", match.end())
        if end < 0:
            break
        begin = max(at, match.start() - _WINDOW)
        head = octets[max(begin, octets.rfind(b"obj", begin, match.start())) : match.start()]
        size = end - match.end()
        if _IMAGE.search(head):
            images += 1
            image_octets += size
            saving += _saving(head, size)
        elif _FONT.search(head):
            font_octets += size
        at = end + len(b"endstream")
    rest = len(octets) - image_octets - font_octets
    return PdfFacts(len(octets), images, image_octets, font_octets, rest, int(saving), is_encrypted(octets))


def is_encrypted(octets: bytes) -> bool:
    """Whether a trailer or a cross-reference stream names an encryption dictionary (ISO 32000-2, 7.6.2).

    Text that merely holds the word does not count: it must stand in the dictionary after ``trailer``, or in
    that of an object of type XRef.
    """
    for number, match in enumerate(_ENCRYPT.finditer(octets)):
        if number >= _MATCHES:
            break
        before = octets[max(0, match.start() - _WINDOW) : match.start()]
        trailers = list(_TRAILER.finditer(before))
        if trailers and not _OUTSIDE.search(before, trailers[-1].end()):
            return True
        # The dictionary of the object that the match stands in: from its beginning to its stream.
        beginning = before[max(before.rfind(b"obj"), 0) :]
        rest = octets[match.start() : match.start() + _WINDOW].partition(b"stream")[0]
        if b"stream" not in beginning and _XREF.search(beginning + rest):
            return True
    return False


def _saving(head: bytes, size: int) -> float:
    """What an image of `size` octets would lose at most; images of one bit a pixel (scanned fax) are left alone."""
    width, height = _WIDTH.search(head), _HEIGHT.search(head)
    if width is None or height is None or _BILEVEL.search(head):
        return 0.0
    pixels = int(width[1]) * int(height[1])
    # A landscape page is as wide at 150 dpi as a portrait page is high; the shorter side decides.
    side = min(int(width[1]), int(height[1]))
    factor = min(1.0, TARGET_WIDTH / side) if side else 1.0
    return max(0.0, size - pixels * factor * factor * _JPEG_DENSITY) if pixels else 0.0
