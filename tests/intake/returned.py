"""Bounces and complaints that return a message of ours, and what strangers make of them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.signing import TableResolver, ed25519_key, published, sign

KEYS = TableResolver({"s1._domainkey.example.com": published(ed25519_key())})
OWN = frozenset({"example.com"})
UNKNOWN = "550-5.1.1 The email account that you tried to reach does not exist."


def ours(to: str, number: int = 0, *, more: str = "", domain: str = "example.com") -> str:
    """A message of ours, signed by the key of that domain."""
    head = f"From: Shop <news@{domain}>\r\nTo: {to}\r\n{more}Subject: News\r\nMessage-ID: <{number}@{domain}>\r\n"
    octets = sign(f"{head}\r\nHello\r\n".encode(), ed25519_key(), domain=domain, headers=("from", "to", "message-id"))
    return octets.decode().replace("\r\n", "\n")


def bounce(
    to: str,
    back: str,
    number: int = 0,
    *,
    words: str = UNKNOWN,
    status: str = "5.1.1",
    day: int = 24,
    whole: bool = False,
) -> str:
    """A notice that the mail to an address failed, with what comes back in it: the header, or all of it."""
    part = "message/rfc822" if whole else "text/rfc822-headers"
    back = back if whole else back.partition("\n\n")[0] + "\n"
    return f"""From: MAILER-DAEMON@mx.example.com
To: news@example.com
Date: Mon, {day} Nov 2025 10:00:00 +0000
Message-ID: <b{number}@mx.example.com>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=x

--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {to}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {words}

--x
Content-Type: {part}

{back}
--x--
"""


def complaint(to: str, back: str) -> str:
    """A complaint about a message, which comes back."""
    return f"""From: fbl@receiver.example
Date: Mon, 24 Nov 2025 10:00:00 +0900
Message-ID: <1@receiver.example>
Content-Type: multipart/report; report-type=feedback-report; boundary=x

--x
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1
Original-Rcpt-To: <{to}>

--x
Content-Type: message/rfc822

{back}
--x--
"""


def with_attachment(name: str, content: str, kinds: Sequence[str] = ("application/json",)) -> str:
    """A mail that brings files."""
    parts = "".join(
        f"--x\nContent-Type: {kind}\nContent-Disposition: attachment; filename={name}\n\n{content}\n" for kind in kinds
    )
    return f"From: a@stranger.example\nSubject: Events\nContent-Type: multipart/mixed; boundary=x\n\n{parts}--x--\n"
