"""How much of what users hand in is read, and how its values are checked."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

from deliverability.core.codes import Code
from deliverability.core.errors import DetailError
from deliverability.core.mail.addresses import to_a_label

MAX_COMPRESSED = 50_000_000  # octets of one file or mail
MAX_UNPACKED = 1_000_000_000  # octets of one decompressed stream
MAX_RATIO = 400  # decompressed : compressed, after the first octets; genuine reports reach 103
RATIO_FREE = 4_000_000
MAX_NESTING = 3
MAX_ENTRIES = 50
MAX_JSON = 50_000_000
MAX_JSON_DEPTH = 32
MAX_DEPTH = 16
MAX_TEXT = 4096  # characters of an element that are kept
MAX_RECORDS = 5_000_000
MAX_SIGNATURES = 100  # of a record
MAX_COUNT = 1_000_000_000
MAX_PERIOD = 8 * 86400  # seconds
EARLIEST = 1_293_840_000  # 2011-01-01: no report is older than DMARC

NOT_FEEDBACK = Code("not-feedback")
EVENTS_UNKNOWN = Code("events-unknown", ("services",))
NOT_OPENED = Code("feedback-not-opened", ("why",))
REPAIRED = Code("repaired", ("what",))
CUT_OFF = Code("report-cut-off", ("records",))
TOO_LARGE = Code("feedback-too-large", ("octets", "limit"))
BOMB = Code("feedback-bomb", ("octets",))
TOO_NESTED = Code("feedback-nested", ("limit",))
TOO_MANY_ENTRIES = Code("feedback-entries", ("limit",))
ENCRYPTED = Code("feedback-encrypted", ("name",))
DAMAGED = Code("feedback-damaged", ("what",))
DOCTYPE = Code("report-doctype")
TOO_DEEP = Code("report-depth", ("limit",))
TOO_MANY_RECORDS = Code("report-records", ("limit",))
TOO_MANY_SIGNATURES = Code("report-signatures", ("limit",))
BAD_COUNT = Code("report-count", ("value",))
BAD_ADDRESS = Code("report-address", ("value",))
BAD_NAME = Code("report-name", ("value",))
BAD_PERIOD = Code("report-period", ("begin", "end"))
NO_EVALUATION = Code("report-evaluation")
NOT_STATED = Code("report-not-told", ("what",))


class NotReadError(DetailError):
    """It cannot be used; `detail` is the code of why."""


_V4_IN_V6 = bytes(10) + b"\xff\xff"
_WORD = re.compile(r"[a-z0-9_-]{1,40}")
_SELECTOR = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_FIELD = re.compile(r"[ \t]*([A-Za-z][A-Za-z0-9 -]{1,40}?)[ \t]*:(.*)\Z", re.S)
_TOMORROW = 2 * 86400
_LATEST = 4_102_444_800  # 2100-01-01


def packed_address(text: str) -> bytes | None:
    """An IP address as 4 or 16 octets, IPv4 inside IPv6 as IPv4; None where it is none."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_V4_IN_V6) else packed


def word(text: str) -> str:
    """A keyword in lower case; empty where it can be none."""
    lower = text.lower()
    return lower if _WORD.fullmatch(lower) else ""


def selector(text: str) -> str:
    """A DKIM selector in lower case; empty where it can be none."""
    lower = text.strip().rstrip(".").lower()
    return lower if _SELECTOR.fullmatch(lower) else ""


def line(text: str, most: int) -> str:
    """Text without control characters and halves of surrogate pairs, at most that many characters."""
    return _CONTROL.sub("", text).strip()[:most]


def shown(text: str) -> str:
    """What stood there instead of a value, short enough for a problem."""
    return _CONTROL.sub("\ufffd", text)[:80]


def utc_day(second: int) -> str:
    """The UTC day of a time as ISO 8601, for a problem; a time that no calendar has, as the number it is."""
    try:
        return datetime.fromtimestamp(second, UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return str(second)


def lines_of(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """The lines of a stream that are not empty, without their ends; of a longer line its first `most` octets.

    Takes time and memory linear in what is read, whatever its shape.
    """
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        first, *rest = piece.split(b"\n")
        for number, part in enumerate((first, *rest)):
            if number:
                if line := b"".join(held).strip(b"\r"):
                    yield line
                held, size = [], 0
            if size < most:
                held.append(part[: most - size])
                size += len(part)
    if line := b"".join(held).strip(b"\r"):
        yield line


def domain_of(address: str) -> str:
    """The domain of an address, with or without a name and angle brackets, as A-label; empty where it has none."""
    text = address[:2_000].rpartition("<")[2].partition(">")[0].strip()
    local, at, name = text.rpartition("@")
    return (to_a_label(name.strip(". ")) or "") if at and local else ""


def second(value: object) -> int | None:
    """A time as seconds since 1970, or of RFC 3339 (seconds and zone may be left out, then UTC); None where it is none.

    Times before 1970 and after the year 2100 are none.
    """
    found: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str) and len(value) <= 40:
        try:
            moment = datetime.fromisoformat(value)
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    return int(found) if found is not None and 0 <= found < _LATEST else None


def is_period(begin: int, end: int, now: int) -> bool:
    """Whether a report can be about that time: seconds since 1970."""
    return EARLIEST <= begin <= end <= now + _TOMORROW and end - begin <= MAX_PERIOD


def field_group(group: str) -> dict[str, str]:
    """The fields of one group, names in lower case, values unfolded; the first of each name counts."""
    fields: dict[str, str] = {}
    name = ""
    for text in group.splitlines():
        match = _FIELD.match(text[:20_000])
        indented = text[:1] in (" ", "\t")
        if match and not (indented and name == "diagnostic-code"):
            name = match[1].strip().lower().replace(" ", "-")
            if name in fields:
                name = ""
            else:
                fields[name] = match[2].strip()
        elif indented and name:
            fields[name] += f" {text.strip()}"
    return fields
