"""Test mailboxes, what is looked for in them, and what was found."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.model.report import VerdictKind
from deliverability.intake.imap import ImapAccess

HEADER = "X-Deliv-Seed"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{5,39}")
_MESSAGE_ID = re.compile(r"[!#-;=?-\[\]-~]{1,250}")  # printable; no quote, backslash, blank or bracket
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is easily taken for another
_LENGTH = 12

NO_TOKEN = Code("seeds-no-token", ("text",))
NO_MESSAGE_ID = Code("seeds-no-message-id", ("text",))


class Folder(StrEnum):
    """Where a test mail was found. UNREACHABLE: the mailbox could not be read, so nothing is known of the mail."""

    INBOX = "inbox"
    SPAM = "spam"
    OTHER = "other"
    MISSING = "missing"
    UNREACHABLE = "unreachable"


class Seed(Struct, frozen=True):
    """A test mailbox.

    Attributes:
        name: as the settings call it.
        receiver: id of the receiver of the rules; empty: none of them.
        address: where test mails are sent.
        host: of its IMAP server.
        access: says how to log in, asked anew for each connection. Raises InputError where there is no password.
        spam: the folder for spam, where the user names it.
        authserv: the hosts whose Authentication-Results are the receiver's own.
        unnamed: its own Authentication-Results name no host.
        fields: header fields of its filter, with the names in them whose values are shown.

    """

    name: str
    receiver: str
    address: str
    host: str
    access: Callable[[], ImapAccess]
    spam: str = ""
    authserv: tuple[str, ...] = ()
    unnamed: bool = False
    fields: Mapping[str, tuple[str, ...]] = {}


class Mark(Struct, frozen=True):
    """By what a test mail is known.

    Attributes:
        token: in the header field, behind a plus in the address, or in the subject; empty: none.
        message_id: without angle brackets; empty: none.
        sent: when it was sent, as far as the user tells; else when it began to be waited for.
        told: the user told when.

    """

    token: str
    message_id: str
    sent: datetime
    told: bool = False

    @property
    def test(self) -> str:
        """What the test is called."""
        return self.token or self.message_id


class Sighting(Struct, frozen=True):
    """A test mail in a mailbox.

    Attributes:
        folder: which kind of folder.
        header: of the mail.
        arrived: when, as the server says; None: it does not.
        tab: of Gmail's inbox; empty: not known.
        odd: no folder is named as that for spam.

    """

    folder: Folder
    header: bytes
    arrived: datetime | None
    tab: str = ""
    odd: bool = False

    def __repr__(self) -> str:  # asyncio writes out what a task returns
        return f"Sighting({self.folder.value!r})"


class Placed(Struct, frozen=True):
    """What came of a test in one mailbox.

    Attributes:
        test: what the test is called.
        receiver: id of the receiver; empty: none of the rules.
        mailbox: its name in the settings.
        domain: of the From address; empty: nothing arrived.
        sent: ISO time.
        found: ISO time of when it was found or given up.
        folder: where.
        tab: see Sighting.
        delay_s: seconds until it arrived; None: not known.
        auth: what the receiver itself recorded: spf, dkim, dmarc -> result.
        signs: what its filter wrote: name -> value.
        verdict: ours for this receiver; None: there is none.
        rules: ids of the rules that decide it.
        remarks: what has to be said beside that.

    """

    test: str
    receiver: str
    mailbox: str
    domain: str
    sent: str
    found: str
    folder: Folder
    tab: str = ""
    delay_s: int | None = None
    auth: Mapping[str, str] = field(default_factory=dict)
    signs: Mapping[str, str] = field(default_factory=dict)
    verdict: VerdictKind | None = None
    rules: tuple[str, ...] = ()
    remarks: tuple[Detail, ...] = ()


def new_token() -> str:
    """A token that stands in no other mail."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def parse_token(text: str) -> str:
    """A token in lower case. Raises InputError where that is none: it stands in searches and addresses."""
    if not _TOKEN.fullmatch(text):
        raise InputError(NO_TOKEN(text=text))
    return text.lower()  # addresses and searches do not tell cases apart


def parse_message_id(text: str) -> str:
    """A Message-ID without its brackets. Raises InputError."""
    bare = text.strip().removeprefix("<").removesuffix(">")
    if not _MESSAGE_ID.fullmatch(bare):
        raise InputError(NO_MESSAGE_ID(text=text))
    return bare


def tagged(address: str, token: str) -> str:
    """The address with the token behind a plus."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{token}@{domain}"
