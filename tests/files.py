"""Small files built by hand for the tests of attachments: 7z, RAR, PDF, OLE2, Office, images, and mails around them."""

from __future__ import annotations

import base64
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from deliverability.core.facts.base import FactSet, Value, records_of
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors import attachments
from deliverability.engine.auditors import format as form
from deliverability.engine.auditors.html import weight_audit
from deliverability.engine.base import gather
from tests.engine.auditors.test_message import DeadResolver

AUDITORS = (form.audit, attachments.attachments_audit, weight_audit, attachments.images_audit, attachments.audit)


def mail(*files: tuple[str, str, bytes], html: str = "") -> bytes:
    """A message with those attachments (name, declared type, octets) in base64; `inline:NAME` has a Content-ID."""
    pieces = [b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"]
    pieces.append(f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n".encode())
    for name, media_type, octets in files:
        shown = name.removeprefix("inline:")
        how = f"inline\r\nContent-ID: <{shown}>" if shown != name else f'attachment; filename="{shown}"'
        head = f"--b\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n"
        head += f"Content-Disposition: {how}\r\n\r\n"
        pieces += [head.encode(), base64.encodebytes(octets).replace(b"\n", b"\r\n")]
    return b"".join([*pieces, b"--b--\r\n"])


async def audit(raw: bytes) -> FactSet:
    """The facts about what the message carries; no auditor may crash."""
    gathered = await gather(
        AUDITORS,
        Subject("example.com", sample=Sample("", data=raw)),
        Ports(DeadResolver(), FixedClock(datetime(2026, 11, 24, tzinfo=UTC))),
        read(raw),
    )
    assert gathered.crashes == ()
    return gathered.facts


async def attached(
    octets: bytes, name: str = "file", media_type: str = "application/octet-stream"
) -> Mapping[str, Value]:
    """The record of a single attachment."""
    value = (await audit(mail((name, media_type, octets)))).value("message.attachments")
    (item,) = records_of(value)
    return item


def zip_of(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
    return written.getvalue()


def zip_with_flags(name: str, flags: int, method: int = 0, extra: bytes = b"") -> bytes:
    """An archive with one entry of five octets whose headers bear those flags, method and extra field."""
    encoded = name.encode()
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 51, flags, method, 0, 0, 0, 5, 5, len(encoded), len(extra))
    local += encoded + extra + b"12345"
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        *(b"PK\x01\x02", 51, 51, flags, method, 0, 0, 0, 5, 5, len(encoded), len(extra), 0, 0, 0, 0, 0),
    )
    entry += encoded + extra
    return local + entry + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)


AES_7Z, LZMA_7Z, COPY_7Z = b"\x06\xf1\x07\x01", b"\x03\x01\x01", b"\x00"


def seven_zip(header: bytes, packed: bytes = b"12345") -> bytes:
    """A 7z file: signature header, packed streams, header (7zFormat.txt)."""
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + packed + header


def streams_7z(coder: bytes, size: int = 5) -> bytes:
    """StreamsInfo of one packed stream of `size` octets and one folder with one coder."""
    folder = bytes([1, len(coder)]) + coder
    return bytes([6, 0, 1, 9, size, 0]) + b"\x07\x0b\x01\x00" + folder + bytes([12, size, 0]) + b"\x00"


def header_7z(name: str, coder: bytes) -> bytes:
    """A plain header that names one file in one folder."""
    names = b"\x00" + (name + "\0").encode("utf-16-le")
    return b"\x01\x04" + streams_7z(coder) + b"\x05\x01\x11" + bytes([len(names)]) + names + b"\x00\x00"


def rar4(name: str, *, encrypted: bool = False, hidden: bool = False) -> bytes:
    main = struct.pack("<HBHHHI", 0, 0x73, 0x80 if hidden else 0, 13, 0, 0)
    encoded = name.encode()
    flags = 0x8000 | (0x4 if encrypted else 0)
    file = struct.pack("<HBHHIIBIIBBHI", 0, 0x74, flags, 32 + len(encoded), 5, 5, 2, 0, 0, 29, 0x30, len(encoded), 0)
    return b"Rar!\x1a\x07\x00" + main + file + encoded + b"12345" + struct.pack("<HBHH", 0, 0x7B, 0, 7)


def rar5(name: str, *, encrypted: bool = False, hidden: bool = False) -> bytes:
    def block(content: bytes) -> bytes:
        return bytes(4) + bytes([len(content)]) + content

    encoded = name.encode()
    extra = bytes([2, 1, 0]) if encrypted else b""
    file = bytes([2, 0x2 | (0x1 if extra else 0)]) + (bytes([len(extra)]) if extra else b"") + bytes([5])
    file += bytes([0, 5, 0, 0, 0, len(encoded)]) + encoded + extra
    lock = block(bytes([4, 0, 0, 0, 15]) + bytes(16)) if hidden else b""
    return b"Rar!\x1a\x07\x01\x00" + lock + block(bytes([1, 0, 0])) + block(file) + b"12345" + block(bytes([5, 0, 0]))


def pdf_of(*streams: tuple[bytes, bytes], trailer: bytes = b"") -> bytes:
    """A PDF with stream objects (dictionary, content) and what else its trailer says."""
    objects = b"".join(
        b"%d 0 obj\n<< %s /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (number, head, len(content), content)
        for number, (head, content) in enumerate(streams, 4)
    )
    return (
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
        + objects
        + b"trailer\n<< /Root 1 0 R "
        + trailer
        + b" >>\nstartxref\n9\n%%EOF\n"
    )


def ole(streams: Mapping[str, bytes], storages: Sequence[str] = ()) -> bytes:
    """An OLE2 file ([MS-CFB]) with those streams, and empty storages beside them, in sectors of 512 octets."""
    free, end_of_chain, no_stream = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF
    # Streams below 4,096 octets would need the mini stream; padding keeps the file simple.
    contents = {name: octets.ljust(4096, b"\0") for name, octets in streams.items()}
    entries = [("Root Entry", 5, end_of_chain, 0)]
    fat: list[int] = []
    sectors = b""
    for name, octets in contents.items():
        count = -(-len(octets) // 512)
        entries.append((name, 2, len(fat), len(octets)))
        fat += [*range(len(fat) + 1, len(fat) + count), end_of_chain]
        sectors += octets.ljust(512 * count, b"\0")
    entries += [(name, 1, 0, 0) for name in storages]
    directory = len(fat)
    count = -(-len(entries) // 4)
    fat += [*range(directory + 1, directory + count), end_of_chain]
    table = len(fat)
    fat.append(0xFFFFFFFD)
    listed = b""
    for index, (name, kind, start, size) in enumerate(entries):
        encoded = (name + "\0").encode("utf-16-le")
        # All children in one chain of right siblings, which readers accept.
        right = index + 1 if 0 < index < len(entries) - 1 else no_stream
        child = 1 if index == 0 and len(entries) > 1 else no_stream
        listed += encoded.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ", len(encoded), kind, 1, no_stream, right, child, bytes(16), 0, 0, 0, start, size
        )
    listed = listed.ljust(512 * count, b"\0")
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack(
        "<HHHHHHIIIIIIIIII", 62, 3, 0xFFFE, 9, 6, 0, 0, 0, 1, directory, 0, 4096, end_of_chain, 0, end_of_chain, 0
    )
    header += struct.pack("<109I", table, *[free] * 108)
    return header + sectors + listed + struct.pack("<128I", *fat, *[free] * (128 - len(fat)))


def office(main: str, macros: bool = False) -> bytes:
    """An OOXML package whose main part is `main`, for example word/document.xml."""
    folder = main.partition("/")[0]
    return zip_of(
        {"[Content_Types].xml": b"<Types/>", main: b"<x/>", **({f"{folder}/vbaProject.bin": b"x"} if macros else {})}
    )


def photograph(width: int, height: int) -> bytes:
    """Octets of a PNG with soft shapes under noise, as a camera makes it."""
    from PIL import Image, ImageFilter

    ramp = Image.linear_gradient("L").resize((width, height))
    grain = Image.frombytes("L", (width, height), random.Random(1).randbytes(width * height))
    grain = grain.filter(ImageFilter.GaussianBlur(1))
    bands = (Image.blend(grain, ramp, 0.6), Image.blend(grain, ramp.rotate(90), 0.6), Image.blend(grain, ramp, 0.3))
    return encoded_image(Image.merge("RGB", bands), "PNG")


def drawing(width: int, height: int, *, transparent: bool = False) -> bytes:
    """Octets of a PNG with flat areas, stored without compression."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA" if transparent else "RGB", (width, height), (0, 0, 0, 0) if transparent else "white")
    ImageDraw.Draw(image).ellipse((5, 5, width // 2, height - 5), fill=(200, 30, 40))
    return encoded_image(image, "PNG", compress_level=0)


def encoded_image(image: object, kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)  # type: ignore[attr-defined]
    return written.getvalue()
