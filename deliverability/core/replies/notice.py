"""Replies read out of whatever the user has: a message, a mailbox, JSON, a log, plain text.

Delivery status notifications are read by RFC 3464 (fields of message/delivery-status), complaint and failure reports
by RFC 5965 (message/feedback-report); everything else as text for people. The message that came back inside a notice
is never searched for replies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.mail.html.markup import unescape
from deliverability.core.mail.kinds import (
    STATUS_TYPES,
    is_mailbox,
    looks_like_message,
    may_be_notice,
    messages_of,
    outer_parts,
)
from deliverability.core.mail.reader import Message, Part, read
from deliverability.core.mail.words import decode_octets, decode_words
from deliverability.core.model.replies import AFTER_DATA, Phase, Reply
from deliverability.core.replies.limits import field_group
from deliverability.core.replies.text import MAX_REPLIES, MAX_TEXT, accepted, blocks, field_reply, folded, replies_in

MAX_MESSAGES = 1_000
MAX_LOG = 20_000_000
MAX_LOG_REPLIES = 50_000
_MAX_JSON_NODES = 100_000
_MAX_NOTICES = 200

_HEADER_TYPES = ("text/rfc822-headers", "message/global-headers")
_DSN_LINE = re.compile(r"^[ \t]*(?:Diagnostic[- ]Code|Final-Recipient|Remote-MTA|Status)[ \t]*:", re.I | re.M)
_CODE = re.compile(r"[245][0-5][0-9]")
_STATUS = re.compile(r"\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_TYPED = re.compile(r"\s*([A-Za-z0-9_-]{1,40})\s*;(.*)\Z", re.S)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.I)
_ADDRESS = re.compile(r"[^\s<>,;\"'()]{1,64}@[^\s<>,;\"'()]{1,253}")
_ORIGINAL = re.compile(
    r"^[ \t>]*(?:-{2,}[ \t]*(?:Below this line is a copy|This is a copy of|Original message|Returned message|"
    r"The header of the original|Unsent message|Message header follows|Transcript of original|Forwarded message)|"
    r"(?:Original message follows|Original message headers|Received: (?:from|by|\(qmail)|Return-Path: <|"
    r"Content-Type:[ \t]*(?:message/rfc822|text/rfc822-headers)))",
    re.I | re.M,
)
# What stands behind a signature line, and what a scanner says of itself, is about no reply.
_SIGNATURE = re.compile(r"^-- ?$", re.M)
_SCANNER = re.compile(
    r"\bscanned\b|\banti-?virus\b|\bvirus[- ]?(?:free|scan)|\bchecked (?:by|for)\b|\banaliza|\bNOD32\b|\bMailScanner\b",
    re.I,
)
_TAG_LINE = re.compile(r"<(?:br|/p|/div|/tr|/td|/li|/h[1-6])\b[^<>]{0,200}>", re.I)
_TAG = re.compile(r"<[a-z!/?][^<>]{0,5000}>", re.I)
# m-FILTER names the command in a section of its own, below the reply.
_SMTP_COMMAND = re.compile(r"^-{3,}[ ]*SMTP command[ ]*\r?\n\s*([A-Z]{4}(?: (?:TO|FROM))?)\b", re.M)
_SUBJECT = re.compile(
    r"undeliver|not delivered|delivery (?:status|failure|failed|notification|report|problem)|mail delivery|"
    r"returned mail|returning message|failure notice|mail failure|bounce|不達|エラー|届きません|送信でき",
    re.I,
)
_SENDER = re.compile(r"mailer-?daemon|postmaster|mail delivery|mail ?system|<>", re.I)
_DAEMON = re.compile(r"mailer-?daemon|mail delivery (?:sub)?system", re.I)
_ROBOT = re.compile(r"\bno-?reply|\bdo-?not-?reply", re.I)
# What a parcel service or a newsletter does not write above its own mail.
_FAILED = re.compile(
    r"undeliver|not delivered|could(?: not|n.t) be delivered|failed delivery|"
    r"delivery (?:status notification|failure|failed|has failed)|returned mail|returning message|failure notice|"
    r"mail failure|mail system error|bounce|不達|エラー|届きません|送信でき|配信でき|配達でき",
    re.I,
)
_AGGREGATE = re.compile(r"^\s*report domain:.{1,300}submitter:", re.I | re.S)
_WORDS_OF_JSON = (
    *("diagnosticcode", "diagnostic_code", "diagnostic", "reason", "response", "smtp_response", "smtpresponse"),
    *("smtp-response", "message", "description", "error", "errormessage", "error_message", "details", "detail"),
    *("bounce_reason", "raw_reason", "reply", "text", "msg"),
)
_RECIPIENT_OF_JSON = (
    *("emailaddress", "email_address", "recipient", "rcpt", "rcpt_to", "rcptto", "email", "to", "final_recipient"),
)
_HOST_OF_JSON = (
    *("mx-host", "mxhost", "mx_host", "remotemta", "remote_mta", "remote-mta", "remote_host", "smtp_host", "host"),
)
_STATUS_OF_JSON = ("status", "enhanced_code", "enhanced-code", "enhancedcode", "dsn")


class NoticeKind(StrEnum):
    """What a message is that tells about another one.

    BOUNCE: it was not delivered, not yet, or was. COMPLAINT: somebody called it spam, or it failed a check. REPORT:
    sums of many (DMARC, TLS).
    """

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    REPORT = "report"


class NoticeContent(Struct, frozen=True):
    """What stands in an input.

    Attributes:
        kind: text, json, message or mailbox.
        replies: with a code each.
        notices: pieces of text of a notice without reply codes; what they mean only their wording can tell.
        problem: what the input is where it holds nothing of all that; see model.replies.Explanation.
        sender_domain: author domain of the message that came back, or empty.
        more: messages or replies that were not read.
        cut: the text is longer than what was read.

    """

    kind: str
    replies: tuple[Reply, ...] = ()
    notices: tuple[Reply, ...] = ()
    problem: str = ""
    sender_domain: str = ""
    more: int = 0
    cut: bool = False


def find(data: bytes) -> NoticeContent:
    """Read `data`, whatever it is. Never raises for any octets."""
    head = data[:8_192]
    if not data.strip():
        return NoticeContent("text", problem="empty")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data[:MAX_LOG].decode("utf-16", "replace").encode("utf-8", "replace")
        head = data[:8_192]
    if data.startswith(b"From ") or (looks_like_message(head) and is_mailbox(data)):
        return _mailbox(data)
    if looks_like_message(head):
        return read_notice(read(data))
    if _is_binary(head):
        return NoticeContent("text", problem="binary")
    text = decode_octets(data[:MAX_LOG], None).text.removeprefix("\ufeff")
    found = _json_text(text) if text.lstrip()[:1] in ("{", "[") else None
    return replace(found or _text(text), cut=len(data) > MAX_LOG)


def _is_binary(head: bytes) -> bool:
    odd = sum(octet < 9 or 13 < octet < 27 or 27 < octet < 32 for octet in head)
    return b"\0" in head or odd * 20 > len(head)


def _text(text: str) -> NoticeContent:
    replies: list[Reply] = []
    if _DSN_LINE.search(text):
        replies += _of_fields(text[:MAX_TEXT])
    if not replies:
        replies += replies_in(text, most=MAX_LOG_REPLIES)
    if not replies and _CODE.fullmatch(text.strip()):
        replies.append(Reply("", text.strip()))
    if not replies and (reply := accepted(text)) is not None:
        replies.append(reply)
    notices = () if replies else tuple(_notices(text))
    return NoticeContent("text", tuple(replies), notices, "" if replies else "text")


def _notices(text: str) -> Iterator[Reply]:
    for number, block in enumerate(blocks(text)):
        if number >= _MAX_NOTICES:
            return
        if not _SCANNER.search(block.text):
            yield Reply(folded(block.text)[:2_000], host=block.host, recipient=block.recipient)


def _mailbox(data: bytes) -> NoticeContent:
    """Every message of a mailbox in mbox format (RFC 4155); one message alone counts as such."""
    messages = list(messages_of(data))
    if len(messages) == 1:
        return read_notice(read(data))
    found = [read_notice(read(each)) for each in messages[:MAX_MESSAGES]]
    replies = [reply for each in found for reply in each.replies]
    notices = [notice for each in found if not each.replies for notice in each.notices]
    return NoticeContent(
        "mailbox",
        tuple(replies[:MAX_REPLIES]),
        tuple(notices[:_MAX_NOTICES]),
        "" if replies else "message",
        next((each.sender_domain for each in found if each.sender_domain), ""),
        max(0, len(messages) - MAX_MESSAGES) + max(0, len(replies) - MAX_REPLIES),
    )


def read_notice(message: Message) -> NoticeContent:
    """A delivery status notification, a report, a notice in plain words, or a message that is none of these."""
    outer = list(outer_parts(message.root))
    sender = _sender_domain(outer)
    reports = [reply for part in outer if part.media_type == "message/feedback-report" for reply in _report(part)]
    reports += _complaint(message)
    if reports:
        return NoticeContent("message", tuple(reports), sender_domain=sender)
    texts = [text for part in outer if (text := _readable(part))]
    in_texts = [reply for text in texts for reply in _of_notice(text, message)]
    replies = [reply for part in outer if _is_status(part) for reply in _of_fields(part.text()[:MAX_TEXT])]
    if any(reply.code for reply in replies):
        replies = [_as_asked(_longer(reply, in_texts)) for reply in replies]
    elif any(reply.code or not replies for reply in in_texts):
        replies = in_texts
    if any(reply.code for reply in replies):
        return NoticeContent("message", tuple(replies[:MAX_REPLIES]), sender_domain=sender)
    notices: tuple[Reply, ...] = ()
    bounce = is_bounce(message) or any(part.is_message for part in outer)
    if bounce:
        recipient = _failed_recipient(message)
        notices = tuple(
            replace(each, recipient=each.recipient or recipient)
            for text in texts
            for each in _notices(_SIGNATURE.split(_own(text))[0])
        )[:_MAX_NOTICES]
    automatic = message.first("auto-submitted")
    answered = automatic is not None and automatic.value.lower().startswith("auto-replied")
    problem = "" if replies else "notice" if bounce else "auto-reply" if answered else "message"
    return NoticeContent("message", tuple(replies), notices, problem, sender)


def _is_status(part: Part) -> bool:
    return part.media_type in STATUS_TYPES


def _readable(part: Part) -> str:
    if part.children or part.is_message or part.media_type in _HEADER_TYPES or part.disposition == "attachment":
        return ""
    if part.media_type == "text/html":
        page = _without_styles(part.text()[:MAX_TEXT])
        return unescape(_TAG.sub(" ", _TAG_LINE.sub("\n", page)))
    # A multipart whose parts cannot be found is still to be read by people.
    return part.text()[:MAX_TEXT] if part.media_type.startswith(("text/", "multipart/")) else ""


def _without_styles(page: str) -> str:
    """The page without its style sheets and scripts; what is not closed goes to the end."""
    for name in ("style", "script"):
        folded_page = page.lower()
        if len(folded_page) != len(page):
            return page
        pieces, position = [], 0
        while (begin := folded_page.find(f"<{name}", position)) >= 0:
            pieces.append(page[position:begin])
            end = folded_page.find(f"</{name}", begin)
            position = end if end >= 0 else len(page)
        page = "".join((*pieces, page[position:]))
    return page


def _own(text: str) -> str:
    """The notice without the message that some systems append as text."""
    marker = _ORIGINAL.search(text)
    return text[: marker.start()] if marker else text


def _of_notice(text: str, message: Message) -> Sequence[Reply]:
    own = _own(text)
    recipient = _failed_recipient(message)
    fields = list(_of_fields(own)) if _DSN_LINE.search(own) else []
    if any(reply.code for reply in fields):
        return [reply for reply in fields if reply.code]
    # Some notices hold the whole of an older notice, header included, and the reply stands only there.
    found = replies_in(own, recipient=recipient) or fields
    if (command := _SMTP_COMMAND.search(own)) is not None:
        # It does not tell whether the message was sent already.
        asked = command[1].replace("DATA", AFTER_DATA)
        found = [replace(each, command=each.command or asked) for each in found]
    return found if found or own == text else replies_in(text, recipient=recipient)


def _failed_recipient(message: Message) -> str:
    failed = message.first("x-failed-recipients")
    match = _ADDRESS.search(failed.value[:2_000]) if failed else None
    return match[0] if match else ""


def _longer(reply: Reply, others: Sequence[Reply]) -> Reply:
    """Some systems put only the first line of a reply into Diagnostic-Code; the notice has all of it, and the host."""
    begin = reply.text[:20].lower()
    same = [each for each in others if each.code == reply.code and each.text.lower().startswith(begin)]
    if not same:
        return reply
    longest = max(same, key=lambda each: len(each.text))
    return replace(
        reply,
        text=longest.text if len(longest.text) > len(reply.text) + 20 else reply.text,
        host=reply.host or longest.host,
        command=reply.command or next((each.command for each in same if each.command), ""),
    )


def _as_asked(reply: Reply) -> Reply:
    """Sendmail shows DATA as the last command where it sent RCPT TO and DATA together (RFC 2920).

    The status tells: for a reply without an enhanced code it sets 5.1.1 or 5.1.6 only where the recipient was refused,
    else 5.2.0.
    """
    together = reply.phase is Phase.DATA and not reply.enhanced and reply.status in ("5.1.1", "5.1.6")
    return replace(reply, command="RCPT TO") if together else reply


def _of_fields(text: str) -> Iterator[Reply]:
    """The replies of delivery status fields: groups of fields divided by empty lines (RFC 3464 section 2.1)."""
    per_message: dict[str, str] = {}
    for group in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))[: 4 * MAX_REPLIES]:
        fields = field_group(group)
        if "status" not in fields and "diagnostic-code" not in fields and "final-recipient" not in fields:
            per_message |= fields
            continue
        if (reply := _of_recipient(per_message | fields)) is not None:
            yield reply


def _of_recipient(fields: Mapping[str, str]) -> Reply | None:
    """The reply of one recipient (RFC 3464 section 2.3), or None where delivery succeeded and nothing went wrong."""
    recipient = fields.get("final-recipient") or fields.get("original-recipient") or ""
    address = _ADDRESS.search(decode_words(recipient[:2_000]))
    status = _STATUS.match(fields.get("status", ""))
    code = status[1] if status else ""
    action = fields.get("action", "").strip().lower()
    if action in ("delivered", "relayed", "expanded") or code.startswith("2."):
        return None
    remote = _TYPED.match(fields.get("remote-mta", ""))
    named = _NAME.match((remote[2] if remote else fields.get("remote-mta", "")).strip(" <[")[:300])
    host = named[0].lower() if named and "." in named[0] else ""
    diagnostic = fields.get("diagnostic-code", "")
    typed = _TYPED.match(diagnostic)
    words = (typed[2] if typed else diagnostic).strip()
    reply = field_reply(words)
    if reply is None or (not reply.code and not reply.enhanced):
        comment = fields.get("status", "")[status.end() :].strip(" ()") if status else ""
        reply = Reply(folded(words or comment)[:2_000])
    if not reply.text and not code:
        return None
    return replace(
        reply,
        status=code,
        host=reply.host or ("" if host.replace(".", "").isdigit() else host),
        recipient=address[0] if address else reply.recipient,
    )


def _report(part: Part) -> Iterator[Reply]:
    """A complaint (RFC 5965) or a failure report (RFC 6591), told as the type of its feedback."""
    fields = field_group(part.text()[:MAX_TEXT])
    kind = fields.get("feedback-type", "").strip().lower()
    if kind:
        recipient = _ADDRESS.search(fields.get("original-rcpt-to", "")[:2_000])
        yield Reply(f"Feedback-Type: {kind}"[:200], recipient=recipient[0] if recipient else "", report=True)


def _complaint(message: Message) -> list[Reply]:
    """The complaints of Outlook.com (JMRP), which have no machine-readable part but a subject of their own."""
    subject = message.first("subject")
    text = folded(decode_words(subject.value[:2_000])) if subject else ""
    return [Reply(text[:200], report=True)] if text.lower().startswith("complaint about message from") else []


def status_parts(message: Message) -> list[Part]:
    """The delivery status parts (RFC 3464) of the notice itself."""
    return [part for part in outer_parts(message.root) if _is_status(part)]


def is_bounce(message: Message) -> bool:
    """Whether a message reports on another one, as far as its header tells."""
    if message.first("x-failed-recipients"):
        return True
    if message.root.media_type == "multipart/report":
        # Others are read receipts, TLS and DMARC reports. What has no type is what its parts and its header tell.
        kind = message.root.parameters.get("report-type", "").lower()
        if kind or status_parts(message):
            return kind in ("", "delivery-status")
    author, subject = message.first("from"), message.first("subject")
    named = author is not None and _SENDER.search(author.value[:1_000]) is not None
    return named or (subject is not None and _SUBJECT.search(decode_words(subject.value[:2_000])) is not None)


def notice_kind(message: Message) -> NoticeKind | None:
    """Whether a message is surely such a notice, by its parts, or where its header and its text agree; None: it is not.

    A sender's own mail may say "delivery report" in its subject or come from postmaster: one sign alone is none.
    """
    if not may_be_notice(message):
        return None
    outer = list(outer_parts(message.root))
    types = {part.media_type for part in outer}
    subject = message.first("subject")
    title = decode_words(subject.value[:2_000]) if subject else ""
    report = message.root.parameters.get("report-type", "").lower()
    if report == "tlsrpt" or "application/tlsrpt+gzip" in types or _AGGREGATE.search(title):
        return NoticeKind.REPORT
    if "message/feedback-report" in types or _complaint(message):
        return NoticeKind.COMPLAINT
    if status_parts(message) or message.first("x-failed-recipients"):
        return NoticeKind.BOUNCE
    path, author = message.first("return-path"), message.first("from")
    sender = author.value[:1_000] if author else ""
    back = path.value.strip() if path else "unknown"
    if _DAEMON.search(sender):
        return NoticeKind.BOUNCE
    null = back in ("<>", "< >") or _DAEMON.search(back[:1_000]) is not None
    office = _SENDER.search(sender) is not None or _ROBOT.search(sender) is not None
    amazon = message.first("x-amz-sns-message-id") is not None
    if not (null or office or amazon):
        return None
    failed = _FAILED.search(title) is not None
    coded = any(reply.code or reply.status for reply in read_notice(message).replies)
    returned = any(
        part.is_message or part.media_type in _HEADER_TYPES or _ORIGINAL.search(_readable(part)) for part in outer
    )
    sure = (null and (coded or returned or failed)) or (office and failed and (coded or returned)) or (amazon and coded)
    return NoticeKind.BOUNCE if sure else None


def _sender_domain(parts: Sequence[Part]) -> str:
    """Author domain of the message that came back, where it or its header is attached."""
    for part in parts:
        if part.is_message and part.children:
            headers = [each.value for each in part.children[0].headers if each.lower == "from"]
        elif part.media_type in _HEADER_TYPES:
            headers = [each.value for each in read(part.decode()).headers if each.lower == "from"]
        else:
            continue
        for value in headers[:1]:
            match = re.search(r"@([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+)", value[:2_000], re.I)
            if match:
                return match[1].lower()
    return ""


def _json_text(text: str) -> NoticeContent | None:
    """Replies in the values of JSON, or of JSON lines; None where it is no JSON."""
    values: list[Any] = []
    try:
        values.append(json.loads(text))
    except (ValueError, RecursionError):
        for line in text.splitlines()[: 10 * MAX_REPLIES]:
            if line.strip():
                try:
                    values.append(json.loads(line))
                except (ValueError, RecursionError):
                    return None
    replies = [reply for value in values for reply in _of_json(value)]
    return NoticeContent("json", tuple(replies[:MAX_REPLIES]), problem="" if replies else "text")


def _of_json(value: Any) -> Iterator[Reply]:
    """Every reply of a JSON value; the keys beside it name host and recipient."""
    waiting: list[tuple[Any, str, str]] = [(value, "", "")]
    nodes = 0
    while waiting and nodes < _MAX_JSON_NODES:
        node, host, recipient = waiting.pop(0) if len(waiting) < 1_000 else waiting.pop()
        nodes += 1
        if isinstance(node, list):
            waiting.extend((each, host, recipient) for each in node[:_MAX_JSON_NODES])
        elif isinstance(node, str) and node.lstrip()[:1] == "{":
            # A notification inside a notification (SNS wraps the event as text).
            try:
                waiting.append((json.loads(node), host, recipient))
            except (ValueError, RecursionError):
                continue
        elif isinstance(node, dict):
            keys = {str(key).lower(): each for key, each in node.items()}
            host = _first_text(keys, _HOST_OF_JSON) or host
            recipient = _first_text(keys, _RECIPIENT_OF_JSON) or recipient
            yield from _of_object(keys, host, recipient)
            waiting.extend(
                (each, host, recipient)
                for each in keys.values()
                if isinstance(each, (dict, list)) or (isinstance(each, str) and each.lstrip()[:1] == "{")
            )


def _of_object(keys: Mapping[str, Any], host: str, recipient: str) -> Iterator[Reply]:
    status = _STATUS.match(_first_text(keys, _STATUS_OF_JSON))
    code = next((each for name in ("code", "smtp_code", "replycode") if _is_code(each := keys.get(name))), None)
    for name in _WORDS_OF_JSON:
        words = keys.get(name)
        if not isinstance(words, str) or not words.strip() or words.lstrip()[:1] == "{":
            continue
        reply = field_reply(words.partition(";")[2] if words.lower().startswith("smtp;") else words)
        if reply is None and code is not None:
            reply = field_reply(f"{int(code)} {words}")
        elif reply is not None and not reply.code and code is not None:
            reply = replace(reply, code=str(int(code)))
        if reply is None and status and name in ("diagnosticcode", "reason", "description"):
            reply = Reply(folded(words)[:2_000])
        if reply is not None:
            yield replace(
                reply,
                status=status[1] if status else reply.status,
                host=reply.host or host.lower(),
                recipient=recipient or reply.recipient,
            )
            return


def _is_code(value: Any) -> bool:
    return isinstance(value, (int, str)) and str(value).isascii() and str(value).isdigit() and 400 <= int(value) <= 599


def _first_text(keys: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        value = keys.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()[:1_000]
    return ""
