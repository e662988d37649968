"""Sends letters: mail by SMTP submission, JSON by POST to a webhook.

Whatever a server does, an attempt ends in time and says what it met: a letter is tried again later unless it was
refused for good (an SMTP reply 5xx, RFC 5321 section 4.2.1; an HTTP status 4xx other than 408, 425 and 429).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path

from deliverability.config import EmailSettings, WebhookSettings
from deliverability.notify.outbox import Attempt, Letter

TIMEOUT_SECONDS = 30.0
"""For each answer of a server."""
TOTAL_SECONDS = 300.0
"""For a letter, however many answers come, and however slowly."""
_FOR_SETTINGS = frozenset({530, 534, 535, 538})
"""Refusals that a login or TLS mends (RFC 4954 section 6), not another letter."""
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_TRY_LATER = frozenset({408, 425, 429})


class SecretError(Exception):
    """A password or key that the settings name cannot be read; the text says which."""


def secret(variable: str, file: str, folder: Path) -> str:
    """A secret from an environment variable or a file; empty where the settings name neither. Raises SecretError."""
    if variable:
        value = os.environ.get(variable)
        if not value:
            raise SecretError(f"the environment variable {variable} is not set")
        return value
    if file:
        try:
            return (folder / file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    return ""


@dataclass(frozen=True, slots=True)
class SmtpCarrier:
    """Submits mail as the settings say. `password` is empty where no login is wanted."""

    settings: EmailSettings
    password: str

    def send(self, letter: Letter) -> Attempt:
        """Try once; recipients that were taken are never tried again."""
        try:
            message = message_from_bytes(letter.body, policy=policy.SMTP.clone(cte_type="7bit"))
            server = self._server()
            watch = threading.Timer(TOTAL_SECONDS, _break_off, (server,))
            watch.daemon = True
            watch.start()
            try:
                # What is refused before the letter begins is mended in the settings or at the server: it waits.
                try:
                    self._greet(server)
                except smtplib.SMTPResponseException as error:
                    return Attempt(letter.to, problem=_reply(error.smtp_code, error.smtp_error))
                return self._deliver(server, message, letter)
            finally:
                _leave(server)
                watch.cancel()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return Attempt(letter.to, problem=_words(error, self.settings.host))

    def _deliver(self, server: smtplib.SMTP, message: Message, letter: Letter) -> Attempt:
        try:
            met = server.send_message(message, self.settings.sender, list(letter.to))
            untold: tuple[str, ...] = ()
        except smtplib.SMTPRecipientsRefused as error:
            # Nobody got it; with a 421 the server left before all were named.
            met = error.recipients
            untold = tuple(address for address in letter.to if address not in met)
        except smtplib.SMTPResponseException as error:
            reply = _reply(error.smtp_code, error.smtp_error)
            for_good = error.smtp_code >= 500 and error.smtp_code not in _FOR_SETTINGS
            return Attempt(refused=letter.to, problem=reply) if for_good else Attempt(letter.to, problem=reply)
        later = tuple(address for address, (code, _) in met.items() if code < 500)
        refused = tuple(address for address, (code, _) in met.items() if code >= 500)
        problem = "; ".join(f"{address}: {_reply(*reply)}" for address, reply in met.items())
        return Attempt((*later, *untold), refused, problem or ("the server broke off" if untold else ""))

    def _server(self) -> smtplib.SMTP:
        """A client that is not connected yet, so that it can be broken off from its first moment on."""
        if self.settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(timeout=TIMEOUT_SECONDS)
        # The name that the certificate is checked against; smtplib sets it only where it connects at once.
        server._host = self.settings.host  # type: ignore[attr-defined]
        return server

    def _greet(self, server: smtplib.SMTP) -> None:
        """Connect, protect the connection and log in. Raises OSError and SMTPException."""
        wanted = self.settings
        code, text = server.connect(wanted.host, wanted.port or _PORTS[wanted.security])
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if wanted.security == "starttls":
            # Never in clear text where TLS was asked for: without STARTTLS this raises.
            server.starttls(context=ssl.create_default_context())
        if wanted.username:
            server.login(wanted.username, self.password)
        server.ehlo_or_helo_if_needed()


@dataclass(frozen=True, slots=True)
class WebhookCarrier:
    """Posts JSON. With a key, each request is signed so that the receiver can tell that it is ours and fresh.

    ``X-Deliv-Timestamp`` is seconds since 1970; ``X-Deliv-Signature`` is ``sha256=`` and the HMAC-SHA-256 (hex) of the
    timestamp, a dot, and the body.
    """

    settings: WebhookSettings
    key: str

    def send(self, letter: Letter) -> Attempt:
        """Try once."""
        import httpx

        headers = {"Content-Type": "application/json", **signature(self.key, letter.body, int(time.time()))}
        try:
            # The answer's body is not read: it may be long, and slow to come.
            with httpx.stream(
                "POST",
                self.settings.url,
                content=letter.body,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
            ) as reply:
                pass
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Attempt(letter.to, problem=f"{type(error).__name__}: {error}")
        if reply.is_success:
            return Attempt()
        problem = f"HTTP {reply.status_code}"
        if 400 <= reply.status_code < 500 and reply.status_code not in _TRY_LATER:
            return Attempt(refused=letter.to, problem=problem)
        return Attempt(letter.to, problem=problem)


def signature(key: str, body: bytes, at: int) -> Mapping[str, str]:
    """The signature's header fields; none without a key."""
    if not key:
        return {}
    signed = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Deliv-Timestamp": str(at), "X-Deliv-Signature": f"sha256={signed}"}


def _break_off(server: smtplib.SMTP) -> None:
    if server.sock is not None:
        with contextlib.suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye. What the server says to that changes nothing of what it took or refused before."""
    with contextlib.suppress(OSError, smtplib.SMTPException, ValueError):
        server.quit()
    server.close()


def _reply(code: int, text: bytes | str) -> str:
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(shown.split())}"[:500]


def _words(error: Exception, host: str) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return f"{host} did not answer within {TIMEOUT_SECONDS:g} seconds"
    return f"{host}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
