"""Whether a bounce or complaint answers mail of ours: by the signature of the message that came back in it.

Anybody can write a bounce. What nobody else can write is a header that our own key signed (RFC 6376 section 3.7): it
holds whatever was cut off the body, and says to whom the message went.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from msgspec import Struct

from deliverability.core.facts.dkim import DkimReason
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.kinds import outer_parts
from deliverability.core.mail.reader import Head, Message, read_head
from deliverability.core.net.base import Resolver
from deliverability.core.protocols.dkim.canonical import value_on_the_wire
from deliverability.core.protocols.dkim.signature import Signature, parse_signature
from deliverability.core.protocols.dkim.verify import DkimResult, verify_message
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.replies.outcomes import plain_address

_HEADERS = ("text/rfc822-headers", "message/global-headers")
_MOST = 3  # messages that came back in one mail
_NOT_OF_THE_HEADER = {DkimReason.BODY_CHANGED, DkimReason.EXPIRED}  # often cut off, and answered late


class Returned(Struct, frozen=True):
    """What came back in a mail that reports on another one.

    Attributes:
        proved: by address, what names the message that we sent to it and to nobody else.
        settled: a later check can give nothing else; False where a look-up failed.

    """

    proved: dict[str, str]
    settled: bool = True


async def returned_in(mail: Message, own: Collection[str], resolver: Resolver, now: datetime) -> Returned:
    """Which messages of ours came back. `own`: our organizational domains. Never raises for what a mail can hold.

    One that was addressed to several people proves nothing of any of them: each could send it in the other's name.
    """
    proved: dict[str, str] = {}
    settled = True
    for head in _returned(mail):
        recipient = _recipient(head)
        if not recipient or not _is_signed_by(head, own):
            continue
        for each in await verify_message(head, resolver, now):
            if not _is_of(each.signature, own):
                continue
            settled &= DkimReason.DNS_FAILURE not in each.reasons
            if _holds(each):
                proved.setdefault(recipient, each.signature.value.hex())
    return Returned(proved, settled or bool(proved))


def _returned(mail: Message) -> Iterator[Head]:
    parts = [each for each in outer_parts(mail.root) if each.is_message or each.media_type in _HEADERS]
    return (read_head(each.decode()) for each in parts[:_MOST])


def _recipient(head: Head) -> str:
    """The only one that a message is addressed to, as it is kept; empty: there is none, or are several."""
    fields = [each for each in head.headers if each.lower in ("to", "cc")]
    if len(fields) != 1 or fields[0].lower != "to":
        return ""
    named = {each.address for each in parse_addresses(fields[0].value)}
    return plain_address(named.pop()) if len(named) == 1 else ""


def _is_signed_by(head: Head, own: Collection[str]) -> bool:
    """Whether a signature claims to be ours, so that DNS is worth asking."""
    fields = (each for each in head.headers if each.lower == "dkim-signature")
    return any(_is_of(parse_signature(value_on_the_wire(each)), own) for each in fields)


def _is_of(signature: Signature, own: Collection[str]) -> bool:
    return signature.domain is not None and registrable_domain(signature.domain) in own


def _holds(found: DkimResult) -> bool:
    """Whether our key signed who wrote the message and to whom."""
    signed = {"from", "to"} <= set(found.signature.signed_headers)
    return signed and found.headers_match is True and set(found.reasons) <= _NOT_OF_THE_HEADER
