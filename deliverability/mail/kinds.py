"""Whether what somebody gives as a message can be one, and else what it is, from its beginning."""

from __future__ import annotations

import re

from deliverability.model.codes import Code, Detail

HEAD_OCTETS = 1_000_000
"""Of the beginning, which is looked at."""
NO_MAIL = Code("no-mail", ("name",))
NO_MAIL_BUT = Code("no-mail-but", ("name", "kind"))
ZONE_FOR_MAIL = Code("zone-for-mail", ("name",))
MBOX_FOR_MAIL = Code("mbox-for-mail", ("name",))
EMPTY_FOR_MAIL = Code("empty-for-mail", ("name",))
KIND_IMAGE = Code("kind-image", ("format",))
KIND_OUTLOOK = Code("kind-outlook")
KIND_FILE = Code("kind-file", ("type",))

MESSAGE, MBOX, ZONE, EMPTY, OUTLOOK, IMAGE, UNKNOWN = "message", "mbox", "zone", "empty", "outlook", "image", ""

_FIELD = re.compile(
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
    if _FIELD.search(_BODY.split(text, maxsplit=1)[0]):
        return MESSAGE
    from deliverability.mail.files.images import sniff
    from deliverability.mail.files.types import identify

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
        from deliverability.mail.files.images import sniff

        what = KIND_IMAGE(format=(sniff(octets) or "").upper())
    return NO_MAIL_BUT(name=name, kind=what)
