"""The one table of what goes on a suppression list: dead addresses and complaints, never what is about the sender.

No standard says when to stop. A missing address is taken off at once by everybody; for mailboxes that are full, several
bounces over two weeks are what M3AAWG is quoted with and mailing services do; a host is given up after a few bounces,
since DNS breaks locally. A refusal for policy, content, size or rate says nothing about the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from deliverability.model.replies import About, Meaning, Reply, ReplyKind, Retry
from deliverability.model.suppression import AddressRecord, Decision, SuppressClass

_DAY = 86_400


class _When(Struct, frozen=True):
    """When an address goes on the list.

    Attributes:
        bounces: that many at least.
        days: between the first and the last of them, at least.
        again: after so many days without another one it is offered again; 0: never.
        gone: or at once where the domain is gone from DNS.

    """

    bounces: int = 1
    days: int = 0
    again: int = 0
    gone: bool = False


TABLE: Mapping[SuppressClass, _When] = MappingProxyType(
    {
        SuppressClass.COMPLAINT: _When(),
        SuppressClass.ADDRESS: _When(),
        SuppressClass.DISABLED: _When(again=180),
        SuppressClass.FULL: _When(bounces=3, days=14),
        SuppressClass.HOST: _When(bounces=3, days=7, gone=True),
    }
)


def class_of(reply: Reply, meaning: Meaning | None) -> SuppressClass | None:
    """Why the recipient of a reply would go off a list; None: this reply is no reason.

    A reply that says "later" is none for an address, and makes a mailbox one that is full at most.
    """
    if meaning is None or reply.kind is ReplyKind.ACCEPTED:
        return None
    temporary = reply.kind is ReplyKind.TEMPORARY
    match meaning.about:
        case About.ADDRESS if reply.kind is ReplyKind.REPORT:
            return SuppressClass.COMPLAINT
        case About.ADDRESS:
            return None if temporary else SuppressClass.ADDRESS
        case About.MAILBOX:
            later = temporary or meaning.retry is Retry.LATER
            return SuppressClass.FULL if later else SuppressClass.DISABLED
        case About.HOST:
            return SuppressClass.HOST
        case _:
            return None


def decide(record: AddressRecord, now: int, gone: bool | None) -> Decision:
    """What becomes of an address.

    Args:
        record: what was seen of it.
        now: seconds since 1970.
        gone: whether DNS says now that its domain does not exist or takes no mail (Null MX, RFC 7505); None: DNS
            could not be asked. It counts for SuppressClass.HOST only.

    """
    when = TABLE[record.kind]
    if record.kind is not SuppressClass.COMPLAINT and record.delivered is not None and record.delivered > record.last:
        return Decision.DELIVERED
    if when.again and now - record.last >= when.again * _DAY:
        return Decision.AGAIN
    often = record.count >= when.bounces and record.last - record.first >= when.days * _DAY
    if often or (when.gone and gone):
        return Decision.OFF
    return Decision.NOT_CHECKED if when.gone and gone is None else Decision.NOT_YET
