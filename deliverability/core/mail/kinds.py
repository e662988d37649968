"""What somebody gives as a message: a mailbox, a message, a caught one, or something else; and whose mail it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from deliverability.core.codes import Code, Detail
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.files.images import sniff
from deliverability.core.mail.files.types import identify
from deliverability.core.mail.reader import Message, Part, read
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.mail.words import decode_words

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


def spans_in(path: Path) -> Iterator[tuple[int, int]]:
    """Where each message of a mailbox file begins and ends. Raises OSError."""
    begin, position, blank = -1, 0, True
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_LINE), b""):
            following = position + len(line)
            if blank and _FROM_LINE.fullmatch(line):
                if begin >= 0:
                    yield begin, position
                begin = following
            position = following
            blank = line in (b"\n", b"\r\n")
    if begin >= 0:
        yield begin, position


def message_files(folder: Path) -> list[Path]:
    """The files with messages in a folder, by name: of a Maildir all, else `.eml` and what `deliv listen` received.

    Raises OSError.
    """
    maildir = [part for name in ("cur", "new") if (part := folder / name).is_dir()]
    files = [each for part in maildir or [folder] for each in part.iterdir()]
    if not maildir:
        files = [*(each for each in files if each.suffix.lower() == ".eml"), *folder.glob(f"[!.]*/{RAW}")]
    return sorted(each for each in files if each.is_file())


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


HEAD_OCTETS = 1_000_000
"""Of the beginning, which is looked at."""
NO_MAIL = Code("no-mail", ("name",))
NO_MESSAGES = Code("no-messages", ("name",))
NO_MAIL_BUT = Code("no-mail-but", ("name", "kind"))
ZONE_FOR_MAIL = Code("zone-for-mail", ("name",))
MBOX_FOR_MAIL = Code("mbox-for-mail", ("name",))
EMPTY_FOR_MAIL = Code("empty-for-mail", ("name",))
KIND_IMAGE = Code("kind-image", ("format",))
KIND_OUTLOOK = Code("kind-outlook")
KIND_FILE = Code("kind-file", ("type",))

MESSAGE, MBOX, ZONE, EMPTY, OUTLOOK, IMAGE, UNKNOWN = "message", "mbox", "zone", "empty", "outlook", "image", ""

_FIELD_START = re.compile(
    rb"(?:^|[\r\n])(?:arc-seal|authentication-results|b?cc|content-transfer-encoding|content-type|date|delivered-to"
    rb"|dkim-signature|from|importance|in-reply-to|list-[a-z-]+|message-id|mime-version|organization|precedence"
    rb"|priority|received|received-spf|references|reply-to|resent-[a-z-]+|return-path|sender|subject|to|user-agent"
    rb"|x-[!-9;-~]+)[ \t]*:",
    re.IGNORECASE,
)
_BODY = re.compile(rb"\r?\n\r?\n|\r\r")
_NEXT = re.compile(rb"\n\r?\nFrom [^\r\n]+\r?\n[!-9;-~]+:")
_RECORD = re.compile(
    rb"^(?:\$(?:ORIGIN|TTL)[ \t]|[^\s;:]*[ \t]+(?:\d+[ \t]+)?(?:IN[ \t]+)?(?:SOA|NS|A|AAAA|MX|TXT|CNAME|SRV|CAA)[ \t])",
    re.MULTILINE | re.IGNORECASE,
)


def kind_of(octets: bytes) -> str:
    """One of the names above, or that of a type (pdf, zip); a message has a known field before the first empty line."""
    text = octets.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not text.strip():
        return EMPTY
    if text.startswith(b"From ") and _NEXT.search(text):
        return MBOX
    if _FIELD_START.search(_BODY.split(text, maxsplit=1)[0]):
        return MESSAGE
    if sniff(octets):
        return IMAGE
    kind = identify(octets).kind or UNKNOWN
    if kind in ("msg", "ole"):
        return OUTLOOK
    return ZONE if not kind and b"\0" not in text and _RECORD.search(text) else kind


def why_no_message(name: str, octets: bytes) -> Detail | None:
    """What the octets, called `name`, are instead of a message, with the way out; None: they can be one."""
    kind = kind_of(octets[:HEAD_OCTETS])
    if kind == MESSAGE:
        return None
    named = {ZONE: ZONE_FOR_MAIL, MBOX: MBOX_FOR_MAIL, EMPTY: EMPTY_FOR_MAIL, UNKNOWN: NO_MAIL}
    if kind in named:
        return named[kind](name=name)
    what = KIND_OUTLOOK() if kind == OUTLOOK else KIND_FILE(type=kind.upper())
    if kind == IMAGE:
        what = KIND_IMAGE(format=(sniff(octets) or "").upper())
    return NO_MAIL_BUT(name=name, kind=what)


STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_NOTICE_TYPES = frozenset({*STATUS_TYPES, "message/feedback-report", "application/tlsrpt+gzip"})
_NOTICE_FIELDS = ("x-failed-recipients", "x-amz-sns-message-id")
_NOTICE_SENDER = re.compile(
    r"mailer-?daemon|postmaster|mail delivery|mail ?system|<>|\bno-?reply|\bdo-?not-?reply", re.IGNORECASE
)


def outer_parts(part: Part) -> Iterator[Part]:
    """A part and those in it, but not those of a message that stands in it."""
    yield part
    if not part.is_message:
        for child in part.children:
            yield from outer_parts(child)


def may_be_notice(message: Message) -> bool:
    """Whether it has any sign of a bounce, a complaint or a report; most mails have none (`replies.notice` is sure)."""
    if message.root.parameters.get("report-type", "").lower() == "tlsrpt" or any(map(message.first, _NOTICE_FIELDS)):
        return True
    path, author, subject = map(message.first, ("return-path", "from", "subject"))
    title = decode_words(subject.value[:2_000]).lower() if subject else ""
    back = path.value.strip()[:1_000].lower() if path else ""
    return (
        (author is not None and _NOTICE_SENDER.search(author.value[:1_000]) is not None)
        or back in ("<>", "< >")
        or any(sign in back for sign in ("daemon", "mail delivery"))
        or any(sign in title for sign in ("report domain:", "complaint"))
        or any(part.media_type in _NOTICE_TYPES for part in outer_parts(message.root))
    )


OWNER_HEAD_OCTETS = 65_536
"""Of a message, where only its header is wanted."""


def own_domain(message: Message) -> str | None:
    """The author domain (From), else the domain of the Return-Path, as A-label; None where neither names one."""
    for name in ("from", "return-path"):
        for header in message.fields(name):
            for mailbox in parse_addresses(header.value):
                if mailbox.domain:
                    return mailbox.domain
    return None


def domain_of_head(octets: bytes) -> str | None:
    """The same, where only the beginning of a message has to be read."""
    return own_domain(read(octets[:OWNER_HEAD_OCTETS]))


RAW, META = "raw.eml", "meta.json"
_MAX_OCTETS = 1_000_000


def envelope_beside(message: Path) -> SmtpEnvelope | None:
    """What our own server saw of the message in that file; None where it is no file of `deliv listen`."""
    if message.name != RAW:
        return None
    try:
        with (message.parent / META).open("rb") as file:
            found = json.loads(file.read(_MAX_OCTETS))
        return SmtpEnvelope.of(found["envelope"]) if found["envelope"] is not None else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
