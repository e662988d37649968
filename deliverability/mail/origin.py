"""Whose mail a message is, when nobody named a domain."""

from __future__ import annotations

from deliverability.mail.addresses import parse_addresses
from deliverability.mail.reader import Message, read

HEAD_OCTETS = 65_536
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
    return own_domain(read(octets[:HEAD_OCTETS]))
