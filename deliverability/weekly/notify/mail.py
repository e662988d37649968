"""The weekly mail: what it says, and how it is submitted by SMTP.

Whatever a server does, an attempt ends in time and says what it met: a mail is tried again later unless it was refused
for good (a reply 5xx, RFC 5321 section 4.2.1).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes, policy
from email.header import Header
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from deliverability.console.settings import EmailSettings
from deliverability.core.facts.base import Catalogue
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.exchange import Exchange, LineReader
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.report.formats.table import START, page_name
from deliverability.core.report.templates import environment
from deliverability.weekly.entries import EntryView
from deliverability.weekly.notify.outbox import Attempt, Notification
from deliverability.weekly.values import Summary
from deliverability.weekly.view import RunView, run_view

if TYPE_CHECKING:
    import socket

TIMEOUT_SECONDS = 30.0
"""For each octet of a server."""
TOTAL_SECONDS = 300.0
"""For a mail, however many answers come, and however slowly."""
MAX_ANSWERS = 1_000_000
"""Octets of all that a server says to a mail; each recipient gets an answer."""
MAX_LINES = 20_000
CHECK_SECONDS = 30.0
"""For a look at the server."""
_FOR_SETTINGS = frozenset({530, 534, 535, 538})
"""Refusals that a login or TLS mends (RFC 4954 section 6), not another mail."""
_PORTS = {"starttls": 587, "tls": 465, "none": 25}

MAX_OCTETS = 60_000
"""The whole weekly mail stays below this, attachment excepted."""
_SHOWN = (40, 20, 10, 5, 2)  # domains in the mail: as many as fit


def compose(
    settings: EmailSettings,
    summary: Summary,
    rules: RuleSet,
    catalogue: Catalogue,
    lang: str,
    now: datetime,
    pages: Path,
) -> EmailMessage:
    """The weekly mail: text and HTML, below 60 KB however many domains there are; a quiet week has one too."""
    say = phrases(lang)
    view = run_view(summary, say, rules, catalogue)
    domain = settings.sender.rpartition("@")[2].strip("<> ") or "localhost"
    link = f"{settings.pages.rstrip('/')}/{page_name(START, lang)}" if settings.pages else ""
    where = link or say("weekly.pages", folder=view.folder)
    message = EmailMessage(policy=SMTP)
    for shown in _SHOWN:
        message = EmailMessage(policy=SMTP)
        message["From"] = settings.sender
        message["To"] = ", ".join(settings.to)
        _set_subject(message, view.news.subject(summary.started, say))
        message["Date"] = format_datetime(now)
        message["Message-ID"] = make_msgid(idstring=view.date, domain=domain)
        message["List-Id"] = f"deliv weekly <weekly.deliv.{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(_text(view, say, shown, where), cte="base64" if lang == "ja" else None)
        message.add_alternative(_html(view, say, shown, where, link), subtype="html", cte="base64")
        if len(message.as_bytes()) < MAX_OCTETS:
            break
    if settings.attach:
        for entry in summary.entries:
            page = pages / entry.pages.get(lang, "")
            if page.is_file():
                message.add_attachment(page.read_bytes(), maintype="text", subtype="html", filename=page.name)
    return message


def _set_subject(message: EmailMessage, subject: str) -> None:
    """Encoded as a whole where it must be: word by word, the library doubles the blanks between encoded and plain."""
    if subject.isascii():
        message["Subject"] = subject
    else:
        message.set_raw("Subject", Header(subject, "utf-8", header_name="Subject").encode(linesep="\r\n"))


def _text(view: RunView, say: Phrases, shown: int, where: str) -> str:
    rows = [f"{say('weekly.title')} {view.day}", "", *(each.sentence for each in view.news.sentences[:shown])]
    if len(view.news.sentences) > shown:
        rows.append(say.count("weekly.more-domains", len(view.news.sentences) - shown))
    rows += view.audience
    rows += [*([view.sends] if view.sends else []), *([view.unread] if view.unread else [])]
    for entry in view.changed[:shown]:
        source = say("punctuation.aside", text=entry.source) if entry.source else ""
        rows += ["", f"== {entry.domain}{source}", *_block(entry, say)]
    if view.news.still:
        rows += ["", *view.news.still[:shown][:_STILL]]
        if len(view.news.still) > min(shown, _STILL):
            rows.append(say.count("weekly.more-still", len(view.news.still) - min(shown, _STILL)))
    rows += ["", where, ""]
    return "\n".join(rows)


_STILL = 5  # domains that are refused or at risk as they were
_MARKS = {"bad": "✗", "risk": "▲", "unknown": "?", "good": "✓", "none": "•"}
_CHIPS = 3  # lines of verdicts that changed


def _block(entry: EntryView, say: Phrases) -> Iterator[str]:
    """At most ten lines of a domain: what changed at whom, why, the record, and what to do first."""
    block = entry.block
    if entry.error:
        yield f"! {entry.error}"
    if entry.unchecked:
        yield f"? {entry.unchecked_words}"
    yield from (f"{_MARKS[each.tone]} {each.words}" for each in block.chips[:_CHIPS])
    if block.cause:
        yield f"{say('weekly.why')}{say('punctuation.gap')}{block.cause}"
    if block.record:
        yield block.record.asked
        yield from (f"- {line}" for line in block.record.old[:1])
        yield from (f"+ {line}" for line in block.record.new[:1])
        yield from [block.record.deleted] if block.record.deleted else []
    if block.action:
        yield f"{say('weekly.step')}{say('punctuation.gap')}{block.action}"
    yield from block.findings
    if entry.sends and entry.sends.line:
        yield f"{say('sends.mail-title')}{say('punctuation.colon')}{entry.sends.line}"


def _html(view: RunView, say: Phrases, shown: int, where: str, link: str) -> str:
    template = environment().get_template("weekly_mail.html")
    page: str = template.render(
        say=say, lang=say.lang, view=view, shown=shown, where=where, link=link, still=_STILL, marks=_MARKS
    )
    return re.sub(r"\n\s+", "\n", page)


class SmtpChannel(Struct, frozen=True):
    """Submits mail as the settings say. `password` is empty where no login is wanted."""

    settings: EmailSettings
    password: str

    @property
    def port(self) -> int:
        """Where the server listens."""
        return self.settings.port or _PORTS[self.settings.security]

    def problem(self) -> str:
        """What keeps the server from being talked to, TLS included; empty: nothing. No login, and no mail."""
        exchange = _exchange(CHECK_SECONDS)
        try:
            with self._session(exchange) as server:
                self._connect(server)
        except smtplib.SMTPResponseException as error:
            return _reply(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return _problem(error, self.settings.host, exchange)
        return ""

    def send(self, notification: Notification, seconds: float) -> Attempt:
        """Try once; recipients that were taken are never tried again."""
        exchange = _exchange(min(TOTAL_SECONDS, seconds))
        try:
            message = message_from_bytes(notification.body, policy=policy.SMTP.clone(cte_type="7bit"))
            with self._session(exchange) as server:
                # What is refused before the notification begins is mended in the settings or at the server: it waits.
                try:
                    self._connect(server)
                    if self.settings.username:
                        server.login(self.settings.username, self.password)
                except smtplib.SMTPResponseException as error:
                    return Attempt(notification.to, problem=_reply(error.smtp_code, error.smtp_error))
                return self._deliver(server, message, notification)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return Attempt(notification.to, problem=_problem(error, self.settings.host, exchange))

    @contextlib.contextmanager
    def _session(self, exchange: Exchange) -> Iterator[smtplib.SMTP]:
        """A client that is not connected yet; it takes leave at the end."""
        server = _Client(self.settings.host, exchange, tls=self.settings.security == "tls")
        try:
            yield server
        finally:
            _leave(server)

    def _deliver(self, server: smtplib.SMTP, message: Message, notification: Notification) -> Attempt:
        try:
            met = server.send_message(message, self.settings.sender, list(notification.to))
            unnamed: tuple[str, ...] = ()
        except smtplib.SMTPRecipientsRefused as error:
            # Nobody got it; with a 421 the server left before all were named.
            met = error.recipients
            unnamed = tuple(address for address in notification.to if address not in met)
        except smtplib.SMTPResponseException as error:
            reply = _reply(error.smtp_code, error.smtp_error)
            for_good = error.smtp_code >= 500 and error.smtp_code not in _FOR_SETTINGS
            return (
                Attempt(refused=notification.to, problem=reply) if for_good else Attempt(notification.to, problem=reply)
            )
        later = tuple(address for address, (code, _) in met.items() if code < 500)
        refused = tuple(address for address, (code, _) in met.items() if code >= 500)
        problem = "; ".join(f"{address}: {_reply(*reply)}" for address, reply in met.items())
        return Attempt((*later, *unnamed), refused, problem)

    def _connect(self, server: smtplib.SMTP) -> None:
        """Connect, protect the connection and greet. Raises OSError and SMTPException."""
        code, text = server.connect(self.settings.host, self.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if self.settings.security == "starttls":
            # Never in clear text where TLS was asked for: without STARTTLS this raises.
            server.starttls(context=ssl.create_default_context())
        server.ehlo_or_helo_if_needed()


class _Client(smtplib.SMTP):
    """smtplib's client, within the limits of an exchange from its first moment on."""

    def __init__(self, host: str, exchange: Exchange, *, tls: bool) -> None:
        super().__init__()
        # The name that the certificate is checked against; smtplib sets it only where it connects at once.
        self._host = host
        self._exchange = exchange
        self._tls = tls

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = self._exchange.connect(host, port)
        if not self._tls:
            return connection
        return self._exchange.secure(connection, ssl.create_default_context(), host)

    def send(self, s: Any) -> None:
        """Send; a server that does not read has all the time of the exchange. Raises OSError."""
        if self.sock is None:
            return super().send(s)
        with self._exchange.wait(self.sock, patient=True):
            return super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """The next reply. Raises smtplib.SMTPServerDisconnected."""
        if self.file is None and self.sock is not None:  # also after STARTTLS, without what came before it
            self.file = LineReader(self.sock, self._exchange)
        return super().getreply()


def _exchange(seconds: float) -> Exchange:
    return Exchange(seconds, patience=TIMEOUT_SECONDS, octets=MAX_ANSWERS, lines=MAX_LINES)


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye. What the server says to that changes nothing of what it took or refused before."""
    with contextlib.suppress(OSError, smtplib.SMTPException, ValueError):
        server.quit()
    server.close()


def _reply(code: int, text: bytes | str) -> str:
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(shown.split())}"[:500]


def _problem(error: Exception, host: str, exchange: Exchange) -> str:
    if exchange.problem:
        return f"{host}: {exchange.problem}"
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return f"{host}: timed out ({TIMEOUT_SECONDS:g} s)"
    return f"{host}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
