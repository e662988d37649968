"""Whether the message keeps to the Internet message format (RFC 5322, RFC 2045-2047)."""

from __future__ import annotations

import re

from deliverability.core.facts.base import FactType, Value
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.parts import header_evidence, part_evidence
from deliverability.core.mail.reader import HeaderField, Message, Part
from deliverability.core.mail.words import has_encoded_word
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.auditors.message import cite_fields
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec("message.duplicate_headers", FactType.LIST_STR, "Fields that may occur once but occur more often."),
    spec("message.longest_line_octets", FactType.INT, "Longest line without its line end.", unit="octets"),
    spec("message.bare_cr", FactType.INT, "Carriage returns without a line feed.", unit="occurrences"),
    spec(
        "message.bare_lf",
        FactType.INT,
        "Line feeds without a carriage return in a message that otherwise uses CRLF.",
        unit="occurrences",
    ),
    spec("message.nul_octets", FactType.INT, "NUL octets.", unit="octets"),
    spec(
        "message.smtputf8",
        FactType.BOOL,
        "It was handed over as internationalized mail (RFC 6531): the receiver says so in its Received field. Header "
        "fields and addresses in UTF-8 are right there.",
    ),
    spec(
        "message.raw_8bit_headers",
        FactType.LIST_STR,
        "Header fields with unencoded non-ASCII octets; of internationalized mail only those that are no UTF-8.",
    ),
    spec(
        "message.misplaced_encoded_words",
        FactType.LIST_STR,
        "Fields with an encoded-word inside an address or identifier.",
    ),
    spec(
        "message.header_octets",
        FactType.INT,
        "All header fields together as sent, with the empty line that ends them.",
        unit="octets",
    ),
    spec("message.header_count", FactType.INT, "Number of header fields.", unit="fields"),
    spec(
        "message.largest_header",
        FactType.STR,
        "Name of the largest header field other than To, Cc and References.",
        optional=True,
    ),
    spec("message.largest_header_octets", FactType.INT, "Octets of that field.", unit="octets"),
    spec("message.mime_version_present", FactType.BOOL, "MIME-Version is present."),
    spec("message.is_mime", FactType.BOOL, "The message uses MIME fields (Content-Type, ...)."),
    spec("message.nesting_depth", FactType.INT, "Levels of MIME nesting; 1 is a message without parts.", unit="levels"),
    spec("message.nesting_limited", FactType.BOOL, "Deeper levels than the limit exist and were not read."),
    spec(
        "message.defects",
        FactType.LIST_STR,
        "Defects of form as codes. part-limit: more than 10,000 parts; header-limit: more than 100,000 fields; "
        "mbox-line: the file begins with a mailbox's From line; leading-junk: a byte order mark or white space before "
        "the first field.",
        values=[
            *("missing-boundary", "unclosed-multipart", "empty-multipart", "bad-base64", "bad-quoted-printable"),
            *("unknown-charset", "undecodable-charset", "bad-content-type", "bad-transfer-encoding"),
            *("bad-header-line", "no-header", "no-body", "nesting-limit", "part-limit", "header-limit", "mbox-line"),
            "leading-junk",
        ],
    ),
    spec("message.parts", FactType.LIST_RECORD, "Every part of the MIME tree.", key=["path"]),
    spec("message.parts[].path", FactType.STR, "Position, for example 1.2; the whole message is 1."),
    spec("message.parts[].media_type", FactType.STR, "Declared type, for example text/html."),
    spec("message.parts[].charset", FactType.STR, "Declared charset.", optional=True),
    spec("message.parts[].transfer_encoding", FactType.STR, "Content-Transfer-Encoding, lower case."),
    spec("message.parts[].filename", FactType.STR, "Decoded file name.", optional=True),
    spec("message.parts[].disposition", FactType.STR, "inline or attachment.", optional=True),
    spec("message.parts[].encoded_octets", FactType.INT, "Octets of the body as sent.", unit="octets"),
    spec("message.parts[].decoded_octets", FactType.INT, "Octets after decoding the transfer encoding.", unit="octets"),
)

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


@auditor("format", provides=PROVIDES, of_message=True)
async def audit(ctx: Context) -> None:
    """Whether the message keeps to the Internet message format (RFC 5322, RFC 2045-2047)."""
    message = ctx.the_message
    _lines(ctx, message)
    _header(ctx, message)
    _parts(ctx, message)


def _lines(ctx: Context, message: Message) -> None:
    lines = message.lines
    ctx.put("message.longest_line_octets", lines.longest)
    ctx.put("message.bare_cr", lines.bare_cr)
    ctx.put("message.bare_lf", lines.bare_lf)
    ctx.put("message.nul_octets", lines.nul)


def _header(ctx: Context, message: Message) -> None:
    by_name: dict[str, list[HeaderField]] = {}
    for each in message.headers:
        by_name.setdefault(each.lower, []).append(each)
    repeated = [by_name[name] for name in _ONCE if len(by_name.get(name, ())) > 1]
    _names(ctx, "message.duplicate_headers", [each for fields in repeated for each in fields])
    international = _international(message)
    ctx.put("message.smtputf8", bool(international), *cite_fields(ctx, international))
    raw = [each for each in message.headers if not each.raw.isascii()]
    _names(ctx, "message.raw_8bit_headers", [each for each in raw if not international or not _is_utf8(each.raw)])
    _names(ctx, "message.misplaced_encoded_words", [each for each in message.headers if _is_misplaced(each)])
    ctx.put("message.header_octets", message.header_octets)
    ctx.put("message.header_count", len(message.headers))
    others = [each for each in message.headers if each.lower not in _MAY_BE_LARGE]
    largest = max(others, key=lambda each: each.octets, default=None)
    ids = (ctx.cite(header_evidence(largest)),) if largest else ()
    ctx.put("message.largest_header", largest.name if largest else None, *ids)
    ctx.put("message.largest_header_octets", largest.octets if largest else 0, *ids)
    versions = by_name.get("mime-version", [])
    mime = [*versions, *(each for each in message.headers if each.lower.startswith("content-"))]
    ctx.put("message.mime_version_present", bool(versions), *cite_fields(ctx, versions))
    ctx.put("message.is_mime", bool(mime), *cite_fields(ctx, mime))


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


def _names(ctx: Context, path: str, fields: list[HeaderField]) -> None:
    """State the names of the fields, each once as written first, and cite them."""
    names: dict[str, str] = {}
    for each in fields:
        names.setdefault(each.lower, each.name)
    ctx.put(path, tuple(names.values()), *cite_fields(ctx, fields))


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


def _parts(ctx: Context, message: Message) -> None:
    defects = dict.fromkeys(message.defects)
    records: list[Value] = []
    cited: list[str] = []
    for part in message.parts():
        decoded, found = _examine(part)
        defects |= dict.fromkeys(found)
        if found and len(cited) < 20:
            cited.append(ctx.cite(part_evidence(part)))
        records.append(
            {
                "path": part.path,
                "media_type": part.media_type,
                "charset": part.charset,
                "transfer_encoding": part.transfer_encoding,
                "filename": part.filename,
                "disposition": part.disposition,
                "encoded_octets": part.encoded_octets,
                "decoded_octets": decoded,
            }
        )
    ctx.put("message.nesting_depth", message.nesting_depth)
    ctx.put("message.nesting_limited", message.nesting_limited)
    ctx.put("message.defects", tuple(defects), *cited)
    ctx.put("message.parts", tuple(records), *cited)


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
