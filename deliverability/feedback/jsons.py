"""JSON as it stands in feedback: one value, several after each other, or one a line; read within limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from deliverability.feedback import limits
from deliverability.feedback.limits import NotReadError
from deliverability.feedback.values import lines_of
from deliverability.mail.words import decode_octets

_BRACKET = re.compile(r"[\[\]{}]")
_WHITE = re.compile(r"\s*")


def json_values(pieces: Iterator[bytes]) -> Iterator[Any]:
    """The values, in order; a line that is none, among lines that are, is left out.

    Raises NotReadError where there is no JSON, or more than is read.
    """
    lines = lines_of(pieces, limits.MAX_JSON + 1)
    first = next(lines, None)
    if first is None:
        raise NotReadError(limits.NOT_FEEDBACK())
    if len(first) > limits.MAX_JSON:
        raise NotReadError(limits.TOO_LARGE(octets=len(first), limit=limits.MAX_JSON))
    if first.lstrip()[:1] in (b"{", b"[") and _depth(first.decode("ascii", "replace")) > limits.MAX_JSON_DEPTH:
        raise NotReadError(limits.TOO_DEEP(limit=limits.MAX_JSON_DEPTH))
    value = _value(first)
    if value is not None:
        yield value
        for line in lines:
            if (value := _value(line)) is not None:
                yield value
        return
    collected, size = [first], len(first)
    for line in lines:
        size += len(line) + 1
        if size > limits.MAX_JSON:
            raise NotReadError(limits.TOO_LARGE(octets=size, limit=limits.MAX_JSON))
        collected.append(line)
    yield from _several(decode_octets(b"\n".join(collected), None).text.removeprefix("\ufeff"))


def _value(line: bytes) -> dict[str, Any] | list[Any] | None:
    """The object or array that a line is; None where it is none of these."""
    text = decode_octets(line, None).text.removeprefix("\ufeff").strip()
    if text[:1] not in ("{", "[") or _depth(text) > limits.MAX_JSON_DEPTH:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _several(text: str) -> Iterator[Any]:
    if _depth(text) > limits.MAX_JSON_DEPTH:
        raise NotReadError(limits.TOO_DEEP(limit=limits.MAX_JSON_DEPTH))
    decoder = json.JSONDecoder()
    position = begin = _end_of_white(text, 0)
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            first = position == begin
            raise NotReadError(limits.NOT_FEEDBACK() if first else limits.DAMAGED(what="JSON")) from None
        yield value
        position = _end_of_white(text, position)


def _end_of_white(text: str, position: int) -> int:
    match = _WHITE.match(text, position)
    return match.end() if match else position


def _depth(text: str) -> int:
    """How deep brackets are nested, those in strings counted too; reading stops beyond the limit."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
        if deepest > limits.MAX_JSON_DEPTH:
            break
    return deepest
