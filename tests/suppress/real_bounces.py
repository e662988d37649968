"""Bounces as they come: replies of mail servers inside what the sending server makes of them, notices and log lines.

Five sets, `real/*.tsv`, each written down on 2026-11-29 before anything was run on it; after each the rules were
mended by classes of wording. What was found at first sight, and how many living addresses would have gone off by one
reply:

    A  130 of 146 hard,  0 of 136 living
    B   71 of  76 hard,  5 of  71 living
    C   73 of  75 hard,  6 of  62 living (these and the five of B were made up to look like "user unknown")
    D                   28 of  50 living (all made up so: what else can be unknown, invalid or not found)
    E   27 of  44 hard,  6 of  40 living (odd wordings without an enhanced code, made up)

A: systems that people write to, with the weights of the real world; wording from Sisimai (rhost and reason of
sisimai/go-sisimai and rb-sisimai), zone-eu/zone-mta (config/bounces.txt) and pages of receivers. B: lists for
administrators: puffinknight.tistory.com/102 and oliveit.tistory.com/39 (Korea), dbmailserver.com, emailhost.com.cn
(China), sitepackage.de, ionos.de (Germany), moneytimes.jp/archives/185548 (Japan), phplist, dada-mail, issues of
Mailu, ezmlm-idx and Sisimai. C: bounces that people quoted (Linux kernel), texts of mail servers' sources, other
languages, and near misses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

_STATUS = re.compile(r"\A[245][0-9]{2}[- ]#?([245]\.[0-9]{1,3}\.[0-9]{1,3})")

_REPORT = """\
From: {sender}
To: news@example.com
Subject: {subject}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{text}

--b
Content-Type: message/delivery-status; charset=utf-8
Content-Transfer-Encoding: 8bit

Reporting-MTA: dns; out.example.com
Arrival-Date: Fri, 20 Nov 2026 09:00:00 +0900

Final-Recipient: rfc822; {to}
Action: failed
Status: {status}
{fields}
--b
Content-Type: message/rfc822

From: news@example.com
To: {to}
Subject: No user unknown: mailbox full of offers

Hello
--b--
"""


def _report(to: str, status: str, text: str, fields: str, sender: str = "MAILER-DAEMON@out.example.com") -> bytes:
    subject = "Undelivered Mail Returned to Sender"
    report = _REPORT.format(sender=sender, subject=subject, to=to, status=status, text=text, fields=fields)
    return report.encode()


def _status(reply: str, otherwise: str) -> str:
    match = _STATUS.match(reply)
    return match[1] if match else otherwise


def _postfix(host: str, to: str, reply: str, command: str) -> bytes:
    """Bounce of Postfix: bounce(8), smtp_chat.c."""
    said = f"<{to}>: host {host}[192.0.2.25] said: {reply} (in reply to {command} command)"
    text = f"This is the mail system at host out.example.com.\n\n{said}"
    fields = f"Remote-MTA: dns; {host}\nDiagnostic-Code: smtp; {reply}\n"
    return _report(to, _status(reply, reply[:1] + ".0.0"), text, fields)


def _postfix_log(host: str, to: str, reply: str, command: str) -> bytes:
    status = _status(reply, reply[:1] + ".0.0")
    return (
        f"Nov 20 09:00:00 out postfix/smtp[123]: 4F1A22C0: to=<{to}>, relay={host}[192.0.2.25]:25, delay=1.2, "
        f"delays=0.1/0/0.6/0.5, dsn={status}, status=bounced (host {host}[192.0.2.25] said: {reply} "
        f"(in reply to {command} command))\n"
    ).encode()


def _exim(host: str, to: str, reply: str, stage: str) -> bytes:
    text = (
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its recipients. This is a permanent error. "
        f"The following address(es) failed:\n\n  {to}\n    host {host} [192.0.2.25]\n"
        f"    SMTP error from remote mail server after {stage}:\n    {reply}\n"
    )
    head = (
        "From: Mail Delivery System <Mailer-Daemon@out.example.com>\nTo: news@example.com\n"
        f"X-Failed-Recipients: {to}\nAuto-Submitted: auto-replied\n"
        "Subject: Mail delivery failed: returning message to sender\n"
        'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n\n'
    )
    return f"{head}{text}\n------ This is a copy of the message, including all the headers. ------\n\n".encode()


def _sendmail(host: str, to: str, reply: str, command: str) -> bytes:
    asked = f"RCPT To:<{to}>" if command.startswith("RCPT") else "DATA"
    text = (
        "   ----- The following addresses had permanent fatal errors -----\n"
        f"<{to}>\n    (reason: {reply})\n\n   ----- Transcript of session follows -----\n"
        f"... while talking to {host}.:\n>>> {asked}\n<<< {reply}\n"
        + (f"550 5.1.1 <{to}>... User unknown\n" if asked != "DATA" else "554 5.0.0 Service unavailable\n")
    )
    status = _status(reply, "5.1.1" if asked != "DATA" else "5.0.0")
    fields = f"Remote-MTA: DNS; {host}\nDiagnostic-Code: SMTP; {reply}\nLast-Attempt-Date: Fri, 20 Nov 2026 09:00:01\n"
    return _report(to, status, text, fields)


def _qmail(host: str, to: str, reply: str, command: str) -> bytes:
    said = (
        f"192.0.2.25 does not like recipient.\nRemote host said: {reply}\nGiving up on 192.0.2.25."
        if command.startswith("RCPT")
        else f"192.0.2.25 failed after I sent the message.\nRemote host said: {reply}"
    )
    return (
        "From: MAILER-DAEMON@out.example.com\nTo: news@example.com\nSubject: failure notice\n\n"
        "Hi. This is the qmail-send program at out.example.com.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        f"This is a permanent error; I've given up. Sorry it didn't work out.\n\n<{to}>:\n{said}\n\n"
        "--- Below this line is a copy of the message.\n\nReturn-Path: <news@example.com>\n"
    ).encode()


def _google(host: str, to: str, reply: str, command: str) -> bytes:
    """The notice of Gmail and Google Workspace does not say which command was answered."""
    text = (
        f"** Address not found **\n\nYour message wasn't delivered to {to} because the address couldn't be found, or "
        f"is unable to receive mail.\n\nThe response from the remote server was:\n{reply}\n"
    )
    fields = (
        f"Remote-MTA: dns; {host}. (192.0.2.25, the server for the domain {to.rpartition('@')[2]}.)\n"
        f"Diagnostic-Code: smtp; {reply}\nLast-Attempt-Date: Fri, 20 Nov 2026 09:00:01 -0800 (PST)\n"
    )
    sender = "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
    return _report(to, _status(reply, reply[:1] + ".0.0"), text, fields, sender)


def _office(host: str, to: str, reply: str, command: str) -> bytes:
    """The notice of Exchange and Microsoft 365 does not say which command was answered either."""
    text = (
        f"Your message to {to} couldn't be delivered.\n\nRemote Server returned '{reply}'\n\n"
        f"Original message headers:\n\nReceived: from out.example.com\n"
    )
    fields = f"Diagnostic-Code: smtp;{reply}\nRemote-MTA: dns;{host}\n"
    return _report(to, _status(reply, reply[:1] + ".0.0"), text, fields, "postmaster@example.com")


def _plain(host: str, to: str, reply: str, command: str) -> bytes:
    return f"host {host}[192.0.2.25] said: {reply} (in reply to {command} command)".encode()


Shape = Callable[[str, str, str], bytes]
RCPT, DATA = "RCPT TO", "end of DATA"

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "postfix": lambda host, to, reply: _postfix(host, to, reply, RCPT),
        "postfix-data": lambda host, to, reply: _postfix(host, to, reply, DATA),
        "log": lambda host, to, reply: _postfix_log(host, to, reply, RCPT),
        "log-data": lambda host, to, reply: _postfix_log(host, to, reply, DATA),
        "exim": lambda host, to, reply: _exim(host, to, reply, f"RCPT TO:<{to}>"),
        "exim-data": lambda host, to, reply: _exim(host, to, reply, "end of data"),
        "sendmail": lambda host, to, reply: _sendmail(host, to, reply, RCPT),
        "sendmail-data": lambda host, to, reply: _sendmail(host, to, reply, "DATA"),
        "qmail": lambda host, to, reply: _qmail(host, to, reply, RCPT),
        "qmail-data": lambda host, to, reply: _qmail(host, to, reply, "DATA"),
        "google": lambda host, to, reply: _google(host, to, reply, ""),
        "office": lambda host, to, reply: _office(host, to, reply, ""),
        "reply": lambda host, to, reply: _plain(host, to, reply, RCPT),
        "reply-data": lambda host, to, reply: _plain(host, to, reply, DATA),
    }
)
"""By name; the arguments are the host that replied, the recipient and the reply."""


def _notice(text: str, charset: str) -> bytes:
    """A notice in plain words, without a part for programs."""
    head = (
        "Return-Path: <>\nFrom: Mail System <MAILER-DAEMON@mx.example.org>\nTo: news@example.com\n"
        f"Subject: Undelivered Mail\nMIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\n"
        "Content-Transfer-Encoding: 8bit\n\n"
    )
    return head.encode() + text.encode(charset)


def bounces(name: str, kind: str) -> Iterator[tuple[str, bytes]]:
    """Those of a set that are ``hard`` (no such address), ``domain`` (no such domain) or ``living``, with their text.

    A line has the kind, the shape, the host that replied, the recipient and the reply; of a notice its charset, text.
    """
    table = Path(__file__).with_name("real") / f"{name}.tsv"
    for line in table.read_text("utf-8").splitlines():
        of, shape, host, to, text = line.split("\t")
        reply = text.replace("\\n", "\n")
        if of != kind:
            continue
        if shape == "notice":
            yield text, _notice(reply, host)
        elif shape == "line":
            yield text, reply.encode()
        else:
            yield f"{shape} {host}: {text}", SHAPES[shape](host, to, reply)
