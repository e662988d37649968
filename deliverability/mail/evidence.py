"""Header fields and MIME parts as evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deliverability.mail.words import printable
from deliverability.model.facts import Evidence, EvidenceKind

if TYPE_CHECKING:
    from deliverability.mail.reader import HeaderField, Part

_MAX_SHOWN = 10_000


def header_evidence(field: HeaderField) -> Evidence:
    """The very lines of a header field; the id is ``header:NAME:NUMBER``, numbered from the top."""
    text = field.raw[:_MAX_SHOWN].decode("utf-8", "backslashreplace")
    lines = tuple(line.rstrip("\r") for line in text.rstrip("\r\n").split("\n"))
    if len(field.raw) > _MAX_SHOWN:
        lines += (f"... ({len(field.raw)} octets)",)
    return Evidence(f"header:{field.lower}:{field.number}", EvidenceKind.HEADER, f"{field.name} #{field.number}", lines)


def part_evidence(part: Part) -> Evidence:
    """A MIME part by its own Content- fields; the id is ``mime:PATH``."""
    shown = [
        printable(f"{each.name}: {each.value}")[:1000] for each in part.headers if each.lower.startswith("content-")
    ]
    got = (*shown[:10], f"{part.encoded_octets} octets as sent")
    return Evidence(f"mime:{part.path}", EvidenceKind.MIME, f"part {part.path}", got)
