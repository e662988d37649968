"""Whether a file that somebody gives as a message can be one, and else what it is, from its beginning."""

from __future__ import annotations

import re

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
