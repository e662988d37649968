"""DMARC failure reports (RFC 9991, RFC 6591): what failed and from where, and nothing personal."""

from __future__ import annotations

import re

from deliverability.feedback.values import field_group, packed_address, selector
from deliverability.mail.addresses import parse_addresses, to_a_label
from deliverability.mail.dates import parse_date
from deliverability.mail.reader import Message
from deliverability.model.observed import FailureReport, SignatureSeen

_MAX_TEXT = 64_000
_AUTH_FAILURE = "auth-failure"
# Exim and others send words alone.
_PLAIN = "a message claiming to be from you has failed"
_HEADER_FROM = re.compile(r"\bheader\.from=([^\s;]{1,253})")


def failure_report(message: Message) -> FailureReport | None:
    """The failure report that a message is; None where it is none. Never raises for any message."""
    for part in message.parts():
        if part.media_type == "message/feedback-report":
            fields = field_group(part.text()[:_MAX_TEXT])
            if fields.get("feedback-type", "").lower() == _AUTH_FAILURE:
                return _of_fields(fields, message)
    for part in message.parts():
        if part.media_type == "text/plain" and _PLAIN in (text := part.text()[:_MAX_TEXT])[:2_000].lower():
            return _of_text(text, message)
    return None


def _of_fields(fields: dict[str, str], message: Message) -> FailureReport:
    """The machine-readable part (RFC 6591 section 3)."""
    named = _HEADER_FROM.search(fields.get("authentication-results", "")[:4_000])
    domain = to_a_label(fields.get("reported-domain", "")) or to_a_label(named[1] if named else "") or ""
    signer = to_a_label(fields.get("dkim-domain", ""))
    signature = SignatureSeen(signer, selector(fields.get("dkim-selector", "")), "") if signer else None
    failed = {each.strip().lower() for each in fields.get("identity-alignment", "").split(",")} & {"dkim", "spf"}
    arrived = parse_date(fields.get("arrival-date", ""))
    return FailureReport(
        reporter=_reporter(message),
        domain=domain,
        ip=packed_address(fields.get("source-ip", "").strip("[]")) or b"",
        signature=signature,
        failed=",".join(sorted(failed)),
        arrived=int(arrived.timestamp()) if arrived else None,
    )


def _of_text(text: str, message: Message) -> FailureReport:
    """What a notice in words says line by line, up to the header of the message that failed."""
    fields = {
        name.strip().lower(): value.strip()
        for name, colon, value in (each.partition(":") for each in text.split("------", 1)[0].splitlines())
        if colon
    }
    failed = [each for each in ("dkim", "spf") if fields.get(f"{each} alignment", "").lower() == "no"]
    arrived = parse_date(fields.get("received date", ""))
    return FailureReport(
        reporter=_reporter(message),
        domain=to_a_label(fields.get("sender domain", "")) or "",
        ip=packed_address(fields.get("sender ip address", "")) or b"",
        signature=None,
        failed=",".join(failed),
        arrived=int(arrived.timestamp()) if arrived else None,
    )


def _reporter(message: Message) -> str:
    author = message.first("from")
    return next((each.domain for each in parse_addresses(author.value) if each.domain), "") if author else ""
