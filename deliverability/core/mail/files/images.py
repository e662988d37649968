"""Images: pixel size, frames, metadata, and what re-encoding saves, measured by doing it in memory.

Pillow does the work and is imported when the first image is looked at.

Whatever the octets are: the number of pixels is read from the header and held against limits before anything is
decoded, only the common formats of mails are opened, and the work is bounded in pixels rather than in seconds, so
that two runs over one message state the same facts.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from PIL.Image import Image

# Decoded in full at most (JPEG is decoded at a reduced size where the display width allows it).
MAX_PIXELS = 40_000_000
MAX_OCTETS = 40_000_000
# What is encoded for a measurement: WebP and PNG take about a second for each of these.
MAX_ENCODED_PIXELS = 8_000_000
# Below this there is nothing to gain that a reader of mail would notice.
MIN_OCTETS = 10_000
# Saving less than a tenth is not worth another loss of quality; and so a second pass changes nothing.
_WORTHWHILE = 0.9
JPEG_QUALITY = 82
WEBP_QUALITY = 80
# Formats that every mail program shows; WebP is measured, but older Outlook for Windows cannot show it.
SAFE_FORMATS = ("jpeg", "png")

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
_MAX_FRAMES = 10_000
_TILE = 64
# Pillow warns by the warnings module, whose filters belong to the whole process; and one decoded image at a time
# keeps the memory of a run over many messages bounded.
_LOCK = threading.Lock()


class Saving(Struct, frozen=True):
    """One way to save the image smaller: `format` is jpeg, png or webp; `octets` what it then weighs."""

    format: str
    octets: int
    width: int
    height: int


class ImageFacts(Struct, frozen=True):
    """What is known of an image.

    Attributes:
        format: jpeg, png, gif, webp, bmp, tiff or avif, by content.
        width: pixels; None where the header claims more than can be a real image (`refused` is then "pixels").
        height: pixels, as `width`.
        frames: 1 for a still image; counted up to 10,000.
        octets: of the file.
        metadata_octets: EXIF, XMP, IPTC, previews and comments; colour profiles are not counted, they change the look.
        photo: looks like a photograph (heuristic: many shades, few equal neighbours); False where not decoded.
        savings: ways to save it at least a tenth smaller, the smallest first; empty where there is none, for
            animations, and for images below `MIN_OCTETS`.
        refused: why it was not decoded and nothing is said of `savings`: "pixels", "octets" or "broken"; else empty.

    """

    format: str
    width: int | None
    height: int | None
    frames: int
    octets: int
    metadata_octets: int
    photo: bool
    savings: tuple[Saving, ...]
    refused: str = ""


def measure(data: bytes, display_width: int | None = None, *, savings: bool = True) -> ImageFacts | None:
    """What the image is and what re-encoding saves; None where the octets are no image that can be read.

    `display_width` is the width in pixels at which the mail shows it: wider than twice that is scaled down. With
    None the pixels are kept. `savings=False` reads the header only. Never raises.
    """
    if sniff(data) is None:
        return None
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _measure(data, display_width, savings)


def recompress(
    data: bytes,
    display_width: int | None = None,
    formats: Sequence[str] = SAFE_FORMATS,
    quality: int = JPEG_QUALITY,
) -> tuple[bytes, str]:
    """The image in the smallest of `formats`, and its format; the octets as given where none is a tenth smaller.

    Orientation and colour profile are kept, other metadata is dropped; animations and images beyond the limits stay
    as they are. Where the octets are no image, the format is empty. `quality` is that of JPEG, 1 to 95. Never raises.
    """
    kind = sniff(data)
    if kind is None:
        return data, ""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoded = _recompressed(data, display_width, formats, quality)
    if not encoded:
        return data, kind
    best = min(encoded, key=lambda each: len(each[0]))
    return best[0], best[1].format


def sniff(data: bytes) -> str | None:
    """The format of an image by its first octets, or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM" and data[6:10] == bytes(4):
        return "bmp"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "tiff"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "avif"
    return None


def _measure(data: bytes, display_width: int | None, savings: bool) -> ImageFacts | None:
    from PIL import Image

    kind = sniff(data) or ""
    metadata, frames = _container(data, kind)

    def stated(size: tuple[int, int] | None, photo: bool, ways: tuple[Saving, ...], refused: str = "") -> ImageFacts:
        width, height = size or (None, None)
        return ImageFacts(kind, width, height, frames, len(data), metadata, photo, ways, refused)

    if len(data) > MAX_OCTETS:
        return stated(None, False, (), "octets")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        return stated(None, False, (), "pixels")
    except Exception:
        # Pillow raises UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error and others.
        return None
    size = image.size
    if size[0] * size[1] > MAX_PIXELS:
        return stated(size, False, (), "pixels")
    if not savings:
        return stated(size, False, ())
    try:
        pixels = _decoded(image, display_width)
        photo = _looks_like_photo(pixels)
        if frames > 1 or len(data) < MIN_OCTETS or pixels.mode not in _MODES:
            return stated(size, photo, ())
        encoded = _encoded(pixels, kind, display_width, photo, ("jpeg", "png", "webp"), len(data))
    except Exception:
        return stated(size, False, (), "broken")
    ways = sorted((way for _, way in encoded), key=lambda way: way.octets)
    return stated(size, photo, tuple(ways))


def _recompressed(
    data: bytes, display_width: int | None, formats: Sequence[str], quality: int
) -> list[tuple[bytes, Saving]]:
    from PIL import Image

    kind = sniff(data) or ""
    if len(data) > MAX_OCTETS or _container(data, kind)[1] > 1:
        return []
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.size[0] * image.size[1] > MAX_PIXELS:
            return []
        pixels = _decoded(image, display_width)
        if pixels.mode not in _MODES:
            return []
        return _encoded(pixels, kind, display_width, _looks_like_photo(pixels), formats, len(data), quality)
    except Exception:
        return []


def _decoded(image: Image, display_width: int | None) -> Image:
    """The pixels, upright. JPEG is decoded at a half, a quarter or an eighth where that is still wide enough."""
    from PIL import ImageOps

    if image.format == "JPEG" and display_width:
        # Either side may become the width when the orientation is applied.
        side = 2 * display_width
        factor = max(1, min(image.size) // side)
        image.draft(None, (max(1, image.size[0] // factor), max(1, image.size[1] // factor)))
    image.load()
    return ImageOps.exif_transpose(image)


def _encoded(
    image: Image,
    kind: str,
    display_width: int | None,
    photo: bool,
    formats: Sequence[str],
    octets: int,
    quality: int = JPEG_QUALITY,
) -> list[tuple[bytes, Saving]]:
    """The image in those `formats` that suit it and make it at least a tenth smaller than `octets`."""
    # A profile of grey shades means nothing once the image is saved with colours.
    profile = None if image.mode in ("1", "L", "LA") else image.info.get("icc_profile")
    transparent = _has_transparency(image)
    suited = ["webp"]
    if not transparent and (photo or kind == "jpeg"):
        suited.append("jpeg")
    if transparent or not (photo or kind == "jpeg"):
        suited.append("png")
    width, height = image.size
    scaled = image
    if display_width and width > 2 * display_width:
        width, height = 2 * display_width, max(1, round(height * 2 * display_width / width))
        scaled = _smooth(image, transparent).resize((width, height))
    if width * height > MAX_ENCODED_PIXELS:
        suited = [each for each in suited if each == "jpeg"]
    found: list[tuple[bytes, Saving]] = []
    for name in suited:
        if name not in formats:
            continue
        written = io.BytesIO()
        if name == "jpeg":
            pixels = scaled if scaled.mode in ("L", "RGB") else scaled.convert("RGB")
            pixels.save(written, "JPEG", quality=quality, optimize=True, progressive=True, icc_profile=profile)
        elif name == "webp":
            pixels = scaled if scaled.mode in ("RGB", "RGBA") else scaled.convert("RGBA" if transparent else "RGB")
            pixels.save(written, "WEBP", quality=WEBP_QUALITY, icc_profile=profile)
        else:
            scaled.save(written, "PNG", optimize=True, icc_profile=profile)
        if written.tell() < _WORTHWHILE * octets:
            found.append((written.getvalue(), Saving(name, written.tell(), width, height)))
    return found


def _smooth(image: Image, transparent: bool) -> Image:
    """The image in a mode that can be scaled smoothly."""
    if image.mode == "L" and not transparent:
        return image
    return image.convert("RGBA" if transparent else "RGB")


def _has_transparency(image: Image) -> bool:
    """Whether any pixel lets the ground shine through; an alpha channel that is opaque all over does not count."""
    if not image.has_transparency_data:
        return False
    alpha = image.convert("RGBA").getchannel("A")
    low, _ = alpha.getextrema()
    return isinstance(low, int | float) and low < 255


def _looks_like_photo(image: Image) -> bool:
    """A heuristic over nine tiles: luminance of more than five bits of entropy, few pixels equal to the next.

    Drawings, logos and screenshots have flat areas; photographs have noise.
    """
    from PIL import ImageChops

    width, height = image.size
    if width < _TILE + 1 or height < _TILE + 1:
        return False
    histogram = [0] * 256
    equal = 0
    for column in range(3):
        for row in range(3):
            left, top = (width - _TILE - 1) * column // 2, (height - _TILE - 1) * row // 2
            tile, beside, below = (
                image.crop((left + x, top + y, left + x + _TILE, top + y + _TILE)).convert("RGB").convert("L")
                for x, y in ((0, 0), (1, 0), (0, 1))
            )
            histogram = [sum(pair) for pair in zip(histogram, tile.histogram(), strict=True)]
            equal += ImageChops.difference(tile, beside).histogram()[0]
            equal += ImageChops.difference(tile, below).histogram()[0]
    pixels = 9 * _TILE * _TILE
    entropy = -sum(count / pixels * math.log2(count / pixels) for count in histogram if count)
    return entropy > 5 and equal / (2 * pixels) < 0.5


def _container(data: bytes, kind: str) -> tuple[int, int]:
    """Octets of metadata, and the number of frames, by walking over the blocks of the file."""
    match kind:
        case "jpeg":
            return _jpeg_metadata(data), 1
        case "png":
            return _png_chunks(data)
        case "gif":
            return _gif_blocks(data)
        case "webp":
            return _webp_chunks(data)
    return 0, 1


def _jpeg_metadata(data: bytes) -> int:
    """APP and COM segments before the scan, but for JFIF (APP0), colour profiles (APP2) and Adobe's mark (APP14)."""
    at, found = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0xD9, 0xDA):
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xE2, 0xEE)) or marker == 0xFE:
            found += min(size, len(data) - at)
        at += max(size, 4)
    return found


def _png_chunks(data: bytes) -> tuple[int, int]:
    at, found, frames = 8, 0, 1
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"):
            found += min(size + 12, len(data) - at)
        elif name == b"acTL":
            frames = max(1, min(_MAX_FRAMES, int.from_bytes(data[at + 8 : at + 12], "big")))
        elif name == b"IEND":
            break
        at += size + 12
    return found, frames


def _webp_chunks(data: bytes) -> tuple[int, int]:
    at, found, frames = 12, 0, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name in (b"EXIF", b"XMP "):
            found += min(size + 8, len(data) - at)
        frames += name == b"ANMF"
        at += 8 + size + size % 2
    return found, max(1, min(_MAX_FRAMES, frames))


def _gif_blocks(data: bytes) -> tuple[int, int]:
    """Comment and application blocks (but for the loop count), and image descriptors."""
    at = 13 + _gif_palette(data, 10)
    found = frames = 0
    while at < len(data) and frames < _MAX_FRAMES:
        start = at
        if data[at] == 0x21:
            label = data[at + 1 : at + 2]
            loops = data[at + 3 : at + 14] == b"NETSCAPE2.0"
            at = _gif_data(data, at + 2)
            if label == b"\xfe" or (label == b"\xff" and not loops):
                found += min(at, len(data)) - start
        elif data[at] == 0x2C:
            frames += 1
            at = _gif_data(data, at + 11 + _gif_palette(data, at + 9))
        else:
            break
    return found, max(1, frames)


def _gif_palette(data: bytes, at: int) -> int:
    """Octets of the colour table that the flags at `at` announce."""
    flags = data[at] if at < len(data) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_data(data: bytes, at: int) -> int:
    """The offset after a run of sub-blocks."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
