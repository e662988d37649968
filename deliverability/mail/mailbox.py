"""Mailboxes in mbox format (RFC 4155), and octets that look like a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

_BOM_AND_SPACE = b"\xef\xbb\xbf \r\n"
_FIELD = re.compile(rb"[!-9;-~]{1,70}[ \t]*:")
_KNOWN_FIELD = re.compile(
    rb"(?:Return-Path|Received|From|To|Subject|Date|Message-ID|MIME-Version|Content-Type|Delivered-To|"
    rb"Authentication-Results|DKIM-Signature|Auto-Submitted)[ \t]*:",
    re.I,
)
_SEPARATOR = re.compile(rb"(?:\A|\n\r?\n)From [^\r\n]{1,300}\r?\n")
_FROM_LINE = re.compile(rb"From [^\r\n]{1,300}\r?\n")
_MAX_LINES = 200
_LINE = 1 << 16  # octets; a longer line is read in parts


def looks_like_message(head: bytes) -> bool:
    """Whether the first octets of a file are header fields, at least one of them of mail."""
    begin = head.lstrip(_BOM_AND_SPACE)
    return _FIELD.match(begin) is not None and any(
        _KNOWN_FIELD.match(line) for line in begin.split(b"\n", _MAX_LINES)[:_MAX_LINES]
    )


def is_mailbox(octets: bytes) -> bool:
    """Whether the octets begin as a mailbox does, or hold more than one separator line of one."""
    if octets.startswith(b"From "):
        return True
    separators = _SEPARATOR.finditer(octets)
    return b"\nFrom " in octets and next(separators, None) is not None and next(separators, None) is not None


def messages_of(octets: bytes) -> Iterator[bytes]:
    """The messages of a mailbox, one after the other; octets without a separator line are one message."""
    begin: int | None = None
    for match in _SEPARATOR.finditer(octets):
        if begin is not None:
            yield octets[begin : match.start()]
        begin = match.end()
    yield octets if begin is None else octets[begin:]


def messages_in(file: BinaryIO, most: int) -> Iterator[bytes | int]:
    """The messages of a mailbox that is too large to be held: each as octets, or its length where it is over `most`.

    `file` is at its beginning, where a separator line stands.
    """
    lines: list[bytes] = []
    size = -1  # of the message; -1: none has begun
    blank = True
    for line in iter(lambda: file.readline(_LINE), b""):
        if blank and _FROM_LINE.fullmatch(line):
            if size >= 0:
                yield b"".join(lines) if size <= most else size
            lines.clear()
            size = 0
        elif size >= 0:
            size += len(line)
            if size <= most:
                lines.append(line)
            else:
                lines.clear()
        blank = line in (b"\n", b"\r\n")
    if size >= 0:
        yield b"".join(lines) if size <= most else size
