"""XML documents as UTF-8, whatever encoding they are written in (XML 1.0 section 4.3.3 and appendix F).

expat itself reads a few encodings and ends with errors of many kinds at the others; Python's codecs read those of Asia,
too. A declaration that the octets contradict, as "utf-16" over text in UTF-8, or that nobody knows, is passed over.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterable, Iterator

from deliverability.mail.words import codec_of

_HEAD = 512  # octets in which a declaration ends
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose BOM it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEGINNINGS = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
WIDE = tuple(octets for octets, name in (*_BOMS, *_BEGINNINGS) if name != "utf-8")
"""How documents begin that are written in UTF-16 or UTF-32."""
_DECLARATION = re.compile(
    rb"""\s{0,20}<\?xml\s[^<>]{0,200}?\bencoding\s{0,20}=\s{0,20}["']([A-Za-z0-9._:+-]{1,40})["']"""
)
_NO_XML = frozenset({"utf-7", "ascii"})  # the first is held whole until it ends, the second is UTF-8


def as_utf8(pieces: Iterable[bytes], errors: str = "strict") -> Iterator[bytes]:
    """The document in UTF-8, in pieces; one in UTF-8 as it is, and not looked through.

    Raises UnicodeDecodeError where octets mean nothing in its encoding, unless `errors` says otherwise.
    """
    rest = iter(pieces)
    head = b""
    for piece in rest:
        head += piece
        if len(head) >= _HEAD:
            break
    name = encoding_of(head)
    if name == "utf-8":
        yield head.removeprefix(codecs.BOM_UTF8)
        yield from rest
    else:
        for text in codecs.iterdecode(itertools.chain((head,), rest), name, errors):
            yield text.encode("utf-8", "replace")


def encoding_of(head: bytes) -> str:
    """Python's name of the encoding of a document, by its first octets."""
    for octets, name in (*_BOMS, *_BEGINNINGS):
        if head.startswith(octets):
            return name
    declared = _DECLARATION.match(head)
    codec = codec_of(declared[1].decode("ascii", "replace")) if declared else None
    if declared is None or codec is None or codec in _NO_XML:
        return "utf-8"
    try:
        fits = declared[0].decode(codec) == declared[0].decode("ascii")
    except UnicodeError:
        fits = False
    return codec if fits else "utf-8"
