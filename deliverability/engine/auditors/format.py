"""Whether the message keeps to the Internet message format (RFC 5322, RFC 2045-2047)."""

from __future__ import annotations

import re

from deliverability.core.facts.message import Format, MessagePart
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.parts import header_evidence, part_evidence
from deliverability.core.mail.reader import HeaderField, Message, Part
from deliverability.core.mail.words import has_encoded_word
from deliverability.core.model.topic import cite
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.auditors.message import cite_fields
from deliverability.engine.base import Context, auditor

# RFC 5322 section 3.6, and the MIME fields of RFC 2045.
_ONCE = (
    "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject",
    "mime-version", "content-type", "content-transfer-encoding", "content-id", "content-description",
    "content-disposition",
)  # fmt: skip
_ADDRESS_FIELDS = ("from", "sender", "reply-to", "to", "cc", "bcc", "return-path")
_IDENTIFIER_FIELDS = ("message-id", "in-reply-to", "references", "content-id", "date")
_MAY_BE_LARGE = ("to", "cc", "references")
_SMTPUTF8 = re.compile(r"\bUTF8E?(?:SMTP|LMTP)S?A?\b|\bSMTPUTF8\b", re.IGNORECASE)
_IDENTITY = ("7bit", "8bit", "binary")


@auditor("format", Format, of_message=True)
async def audit(ctx: Context) -> Format:
    """Whether the message keeps to the Internet message format (RFC 5322, RFC 2045-2047)."""
    message = ctx.the_message
    by_name: dict[str, list[HeaderField]] = {}
    for each in message.headers:
        by_name.setdefault(each.lower, []).append(each)
    repeated = [each for name in _ONCE if len(fields := by_name.get(name, ())) > 1 for each in fields]
    international = _international(message)
    raw = [each for each in message.headers if not each.raw.isascii() and (not international or not _is_utf8(each.raw))]
    misplaced = [each for each in message.headers if _is_misplaced(each)]
    others = [each for each in message.headers if each.lower not in _MAY_BE_LARGE]
    largest = max(others, key=lambda each: each.octets, default=None)
    of_largest = (ctx.cite(header_evidence(largest)),) if largest else ()
    versions = by_name.get("mime-version", [])
    mime = [*versions, *(each for each in message.headers if each.lower.startswith("content-"))]
    defects, parts, of_parts = _parts(ctx, message)
    return Format(
        duplicate_headers=_names(repeated),
        longest_line_octets=message.lines.longest,
        bare_cr=message.lines.bare_cr,
        bare_lf=message.lines.bare_lf,
        nul_octets=message.lines.nul,
        smtputf8=bool(international),
        raw_8bit_headers=_names(raw),
        misplaced_encoded_words=_names(misplaced),
        header_octets=message.header_octets,
        header_count=len(message.headers),
        largest_header=largest.name if largest else None,
        largest_header_octets=largest.octets if largest else 0,
        mime_version_present=bool(versions),
        is_mime=bool(mime),
        nesting_depth=message.nesting_depth,
        nesting_limited=message.nesting_limited,
        defects=defects,
        parts=parts,
        evidence=cite(
            duplicate_headers=cite_fields(ctx, repeated),
            smtputf8=cite_fields(ctx, international),
            raw_8bit_headers=cite_fields(ctx, raw),
            misplaced_encoded_words=cite_fields(ctx, misplaced),
            largest_header=of_largest,
            largest_header_octets=of_largest,
            mime_version_present=cite_fields(ctx, versions),
            is_mime=cite_fields(ctx, mime),
            defects=of_parts,
            parts=of_parts,
        ),
    )


def _international(message: Message) -> list[HeaderField]:
    """The Received fields of the receiver, down to the hop from outside, that say SMTPUTF8 (RFC 6531 section 4.3)."""
    hop = delivery(message.headers, known_registrable_domain).hop
    found = []
    for field in message.fields("Received") if hop else ():
        if _SMTPUTF8.search(field.value[:5000]):
            found.append(field)
        if hop and field is hop[0]:
            return found
    return []


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _names(fields: list[HeaderField]) -> tuple[str, ...]:
    """The names of the fields, each once as written first."""
    names: dict[str, str] = {}
    for each in fields:
        names.setdefault(each.lower, each.name)
    return tuple(names.values())


def _is_misplaced(field: HeaderField) -> bool:
    """Whether an encoded-word stands inside an address or identifier (forbidden by RFC 2047 section 5)."""
    if not has_encoded_word(field.value):
        return False
    if field.lower in _IDENTIFIER_FIELDS:
        return True
    if field.lower not in _ADDRESS_FIELDS:
        return False
    boxes = parse_addresses(field.value)
    return any(
        has_encoded_word(box.address)
        # The whole of "Name <user@example.com>" encoded leaves no address to read.
        or (not box.address and "@" in box.display and "@" not in field.value)
        for box in boxes
    )


def _parts(ctx: Context, message: Message) -> tuple[tuple[str, ...], tuple[MessagePart, ...], tuple[str, ...]]:
    """The defects of the message and its parts, the parts, and the evidence for the defects."""
    defects = dict.fromkeys(message.defects)
    records: list[MessagePart] = []
    cited: list[str] = []
    for part in message.parts():
        decoded, found = _examine(part)
        defects |= dict.fromkeys(found)
        if found and len(cited) < 20:
            cited.append(ctx.cite(part_evidence(part)))
        records.append(
            MessagePart(
                path=part.path,
                media_type=part.media_type,
                charset=part.charset,
                transfer_encoding=part.transfer_encoding,
                filename=part.filename,
                disposition=part.disposition,
                encoded_octets=part.encoded_octets,
                decoded_octets=decoded,
            )
        )
    return tuple(defects), tuple(records), tuple(cited)


def _examine(part: Part) -> tuple[int, tuple[str, ...]]:
    """Decoded octets of a part, and the defects that only decoding shows."""
    is_text = part.media_type.startswith("text/")
    if not is_text and (part.transfer_encoding in _IDENTITY or part.media_type.startswith("multipart/")):
        return part.encoded_octets, ()  # nothing to decode, and containers would be copied at every level
    octets, found = (part.encoded_octets, ()) if part.transfer_encoding in _IDENTITY else part.measure()
    defects = list(found)
    if is_text and part.charset is not None:
        known, clean = part.check_charset()
        if not known:
            defects.append("unknown-charset")
        elif not clean:
            defects.append("undecodable-charset")
    return octets, tuple(defects)
