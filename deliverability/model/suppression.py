"""Addresses that bounced or complained: why each would go off a list, and what was seen of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class SuppressClass(StrEnum):
    """Why an address would go on a suppression list.

    COMPLAINT: its owner marked a mail as spam or opted out. ADDRESS: it does not exist. DISABLED: its mailbox is there
    and closed. FULL: its mailbox takes no mail for now. HOST: its domain takes no mail, or is gone.
    """

    COMPLAINT = "complaint"
    ADDRESS = "address"
    DISABLED = "disabled"
    FULL = "full"
    HOST = "host"


class AddressEvent(Struct, frozen=True):
    """One bounce or complaint about one address.

    Attributes:
        address: the recipient, as it stood there.
        kind: see SuppressClass.
        at: seconds since 1970.
        receiver: id of the receiver, or empty.
        meaning: id of the meaning in the reply catalogue, or empty.
        origin: what told it: ``bounce``, ``complaint``, ``event`` or ``log``.

    """

    address: str
    kind: SuppressClass
    at: int
    receiver: str = ""
    meaning: str = ""
    origin: str = "bounce"


class AddressRecord(Struct, frozen=True):
    """What was seen of one address, for one of the reasons.

    Attributes:
        address: lower case in its domain.
        domain: behind the @, A-label, lower case.
        kind: see SuppressClass.
        first, last: of its bounces, seconds since 1970.
        count: how many there were.
        receiver, meaning, origin: of the last one; see AddressEvent.
        delivered: when something was last delivered to it after a bounce; None: not known to be.

    """

    address: str
    domain: str
    kind: SuppressClass
    first: int
    last: int
    count: int
    receiver: str
    meaning: str
    origin: str
    delivered: int | None = None


class Decision(StrEnum):
    """What becomes of an address.

    OFF: it goes on the suppression list. NOT_YET: it bounced too seldom, or too shortly. DELIVERED: mail reached it
    since. AGAIN: it was off for long, and may be tried again. NOT_CHECKED: whether its domain is gone could not be
    looked up.
    """

    OFF = "off"
    NOT_YET = "not-yet"
    DELIVERED = "delivered"
    AGAIN = "again"
    NOT_CHECKED = "not-checked"
