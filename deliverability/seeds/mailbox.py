"""A test mailbox over IMAP: the folders that count, and whether a test mail is in one of them yet.

Nothing is changed there: folders are opened with EXAMINE, and of a mail only the header is read, with BODY.PEEK.
RFC 9051; special-use folders: RFC 6154; Gmail's own commands: developers.google.com/gmail/imap/imap-extensions.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import imaplib
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec import Struct

from deliverability import __version__
from deliverability.core.codes import Arg, Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.mail.reader import Message, read
from deliverability.core.mail.words import decode_words
from deliverability.core.net.base import Clock
from deliverability.core.net.exchange import Exchange
from deliverability.intake.imap import (
    IMAP_FAILED,
    IMAP_LOGIN,
    NONSENSE,
    BusyError,
    ImapAccess,
    ImapClient,
    ImapError,
    answered,
    folder_name,
    logged_in,
    why,
)
from deliverability.seeds.values import HEADER, Folder, Mark, Seed, Sighting

_SECONDS = 60.0  # for one look at all folders
_PATIENCE = 30.0  # for each octet
_MAX_OCTETS = 20_000_000
_MAX_LINES = 100_000
_MOST_FOLDERS = 200  # one more cannot be looked at
_MOST_MAILS = 5  # that a search finds, and that are read to see whether they are meant
_HEADER_OCTETS = 1_000_000
_DIGITS = 10  # of a UID
_NAME_OCTETS = 1_000
_LINE = re.compile(rb'\((?P<flags>[^()]*)\) (?:"(?:\\.|[^"\\])*"|NIL) (?P<name>.*)', re.DOTALL | re.IGNORECASE)
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
# Copies of one's own, drafts, and views of what lies elsewhere.
_LEFT_OUT = frozenset({b"\\sent", b"\\drafts", b"\\flagged", b"\\important", b"\\noselect", b"\\nonexistent"})
_TABS = ("promotions", "social", "updates", "forums")
_GMAIL, _PRIMARY = "X-GM-EXT-1", "primary"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

NO_TLS = Code("seeds-no-tls", ("why",))
NO_SPAM_FOLDER = Code("seeds-no-spam-folder", ("name",))
UNSEEN_FOLDER = Code("seeds-unseen-folder", ("name",))


class SeedError(Exception):
    """A mailbox cannot be read; `detail` says why. `final`: it makes no sense to try again."""

    def __init__(self, detail: Detail, *, final: bool) -> None:
        super().__init__(detail.code)
        self.detail, self.final = detail, final


class _Places(Struct, frozen=True):
    """The folders of a mailbox, as the server writes their names. `spam` None: nothing says which one it is."""

    spam: bytes | None
    others: tuple[bytes, ...]


class SeedMailbox:
    """One connection to a test mailbox; it is made anew where it was lost."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._client: ImapClient | None = None
        self._places = _Places(None, ())
        self._secret: tuple[str, ...] = ()

    def look(self, mark: Mark, *, everywhere: bool) -> Sighting | None:
        """The test mail, in the inbox and the folder for spam, and where `everywhere` in all others; None: in none.

        Raises SeedError, also where it was not found and a folder could not be looked at: it may be there.
        """
        exchange = Exchange(_SECONDS, patience=_PATIENCE, octets=_MAX_OCTETS, lines=_MAX_LINES)
        try:
            client = self._ready(exchange)
            unseen: bytes | None = None
            for number, (folder, name) in enumerate(self._folders(everywhere=everywhere)):
                if number < _MOST_FOLDERS and client.select(_quoted(name), readonly=True)[0] == "OK":
                    if (found := self._within(client, folder, mark)) is not None:
                        return found
                else:
                    unseen = unseen or name
            if unseen is not None:
                raise SeedError(UNSEEN_FOLDER(name=unseen.decode("ascii")), final=False)
        except SeedError:
            self.close()
            raise
        except (BusyError, imaplib.IMAP4.error, OSError, *NONSENSE) as error:
            self.close()
            raise SeedError(self._without_secret(IMAP_FAILED, error), final=False) from None
        return None

    def close(self) -> None:
        """Leave; nothing is expunged, for no folder is open for writing."""
        client, self._client = self._client, None
        if client is not None:
            client.shutdown()

    def _ready(self, exchange: Exchange) -> ImapClient:
        if self._client is None:
            self._client = client = self._opened(exchange)
            if "ID" in client.capabilities:  # whom a server may turn to (RFC 2971)
                with _refusable():
                    client.xatom("ID", f'("name" "deliv" "version" "{__version__}")')
            self._places = _places(client, self._seed.spam)
        self._client.within(exchange)
        return self._client

    def _opened(self, exchange: Exchange) -> ImapClient:
        try:
            access = self._seed.access()
        except InputError as error:
            raise SeedError(error.detail, final=True) from None
        self._secret = _forms(access)
        try:
            return logged_in(access, exchange)
        except ImapError as error:
            final = IMAP_LOGIN.matches(error.detail)
            raise SeedError(_redacted(error.detail, self._secret), final=final) from None
        except ssl.SSLError as error:
            raise SeedError(self._without_secret(NO_TLS, error), final=True) from None
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            if access.security == "starttls" and "STARTTLS" in str(error):
                raise SeedError(self._without_secret(NO_TLS, error), final=True) from None
            raise

    def _folders(self, *, everywhere: bool) -> Iterator[tuple[Folder, bytes]]:
        yield Folder.INBOX, b"INBOX"
        if self._places.spam is not None:
            yield Folder.SPAM, self._places.spam
        if everywhere:
            yield from ((Folder.OTHER, name) for name in self._places.others)

    def _within(self, client: ImapClient, folder: Folder, mark: Mark) -> Sighting | None:
        """The test mail in the folder that is open."""
        refused: imaplib.IMAP4.error | None = None
        for search in _searches(mark):
            try:
                uids = _found(client, search)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:  # not every server searches every field
                refused = error
                continue
            for uid in uids[-_MOST_MAILS:]:
                fetched = _fetched(client, uid)
                if fetched is not None and is_meant(read(fetched[0]), mark):
                    header, arrived = fetched
                    tab = _tab(client, uid, header) if folder is Folder.INBOX else ""
                    odd = folder is Folder.OTHER and self._places.spam is None
                    return Sighting(folder, header, arrived, tab, odd)
        if refused is not None:  # it may be there all the same
            raise refused
        return None

    def _without_secret(self, code: Code, error: BaseException) -> Detail:
        return _redacted(code(why=why(error)), self._secret)


def is_meant(message: Message, mark: Mark) -> bool:
    """Whether it is the test mail: by the header field, the Message-ID, the plus address, or the subject, never by
    its text.
    """
    token = mark.token.lower()
    if token and any(each.value.strip().lower() == token for each in message.fields(HEADER)):
        return True
    if mark.message_id and any(each.value.strip() == f"<{mark.message_id}>" for each in message.fields("Message-ID")):
        return True
    if not token:
        return False
    addressed = [each.value.lower() for name in ("To", "Cc", "Delivered-To") for each in message.fields(name)]
    if any(f"+{token}@" in each for each in addressed):
        return True
    words = (decode_words(each.value) for each in message.fields("Subject"))
    return any(token in re.findall(r"[a-z0-9-]+", each.lower()) for each in words)


def _searches(mark: Mark) -> Iterator[tuple[str, ...]]:
    """What to search for, in the order in which a mail is known; some that only look alike are found, too."""
    # Servers count days in their own time.
    since = mark.sent.astimezone(UTC) - timedelta(days=2)
    day = ("SINCE", f"{since.day}-{_MONTHS[since.month - 1]}-{since.year}")
    if mark.token:
        yield (*day, "HEADER", HEADER, f'"{mark.token}"')
    if mark.message_id:
        yield (*day, "HEADER", "Message-ID", f'"{mark.message_id}"')
    if mark.token:
        yield (*day, "TO", f'"+{mark.token}@"')
        yield (*day, "SUBJECT", f'"{mark.token}"')


def _found(client: ImapClient, search: tuple[str, ...]) -> list[str]:
    """The UIDs that a search finds. Raises BusyError, and imaplib's error where the server refuses it."""
    words = [line for line in answered(client.uid("SEARCH", *search)) if isinstance(line, bytes)]
    return [uid.decode() for line in words for uid in line.split() if uid.isdigit() and len(uid) <= _DIGITS]


def _fetched(client: ImapClient, uid: str) -> tuple[bytes, datetime | None] | None:
    """The header of a mail, and when it arrived; None where it is gone."""
    lines = answered(client.uid("FETCH", uid, "(UID INTERNALDATE BODY.PEEK[HEADER])"))
    for number, each in enumerate(lines):
        # What stands behind the header comes as an item of its own; between them may be what nobody asked for.
        if isinstance(each, tuple) and len(each) > 1 and b"BODY[HEADER]" in bytes(each[0]).upper():
            behind = lines[number + 1] if number + 1 < len(lines) else b""
            about = bytes(each[0]) + b" " + (behind if isinstance(behind, bytes) else b"")
            of, date = _UID.search(about), _DATE.search(about)
            if each[1] and of is not None and of[1].decode() == uid:
                arrived = _moment(date[1].decode("ascii", "replace")) if date else None
                return bytes(each[1])[:_HEADER_OCTETS], arrived
    return None


def _moment(text: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, TypeError, LookupError):
        found = parsedate_to_datetime(text.strip())
        return found.astimezone(UTC) if found.tzinfo else None
    return None


def _tab(client: ImapClient, uid: str, header: bytes) -> str:
    """The tab of Gmail's inbox: no label tells it over IMAP, a search does."""
    if _GMAIL not in client.capabilities:
        return ""
    ids = read(header).fields("Message-ID")
    bare = ids[0].value.strip().strip("<>") if ids else ""
    if not re.fullmatch(r"[!#-\[\]-~]{1,250}", bare):
        return ""
    for tab in _TABS:
        words = answered(client.uid("SEARCH", "X-GM-RAW", f'"category:{tab} rfc822msgid:{bare}"'))
        if any(uid.encode() in line.split() for line in words if isinstance(line, bytes)):
            return tab
    return _PRIMARY


@contextlib.contextmanager
def _refusable() -> Iterator[None]:
    """For a command that a server may refuse."""
    try:
        yield
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        pass


def _places(client: ImapClient, spam: str) -> _Places:
    """Which folder is which: by special use, else by the settings, never by its name."""
    lines: Sequence[object] = []
    if {"SPECIAL-USE", "LIST-EXTENDED"} <= set(client.capabilities):
        with _refusable():
            client.xatom("LIST", '""', '"*"', "RETURN", "(SPECIAL-USE)")
            lines = client.response("LIST")[1] or []
    if not any(each for each in lines if each):
        lines = answered(client.list('""', '"*"'))
    named = folder_name(spam)[1:-1].replace('\\"', '"').replace("\\\\", "\\").encode() if spam else None
    found: bytes | None = None
    every: bytes | None = None
    trash: list[bytes] = []
    others = []
    for flags, name in _listed(lines):
        if name.upper() == b"INBOX" or flags & _LEFT_OUT:
            continue
        if name == named or (named is None and b"\\junk" in flags):
            found = name
        elif b"\\all" in flags:
            every = name
        elif b"\\trash" in flags:
            trash.append(name)
        else:
            others.append(name)
    if named is not None and found is None:
        raise SeedError(NO_SPAM_FOLDER(name=spam), final=True)
    # Whatever is neither in the inbox nor in spam or trash is in this one too.
    return _Places(found, (*((every,) if every is not None else others), *trash))


def _listed(lines: Sequence[object]) -> Iterator[tuple[frozenset[bytes], bytes]]:
    """The attributes, in lower case, and the name of each folder that a LIST tells."""
    for each in lines:
        text, literal = (each[0], each[1]) if isinstance(each, tuple) and len(each) > 1 else (each, None)
        match = _LINE.match(text) if isinstance(text, bytes) else None
        if match is None:
            continue
        name = literal if isinstance(literal, bytes) else match["name"]
        if literal is None and name.startswith(b'"'):
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        if 0 < len(name) <= _NAME_OCTETS and all(0x20 <= octet < 0x7F for octet in name):
            yield frozenset(match["flags"].lower().split()), name


def _quoted(name: bytes) -> str:
    return '"' + name.decode("ascii").replace("\\", "\\\\").replace('"', '\\"') + '"'


def _forms(access: ImapAccess) -> tuple[str, ...]:
    """What logs in, in every form in which it is sent."""
    bare = access.password
    escaped = bare.replace("\\", "\\\\").replace('"', '\\"')
    sasl = (f"\0{access.username}\0{bare}", f"user={access.username}\1auth=Bearer {bare}\1\1")
    coded = (base64.b64encode(each.encode()).decode() for each in sasl)
    return tuple(each for each in (escaped, bare, *coded) if each)


def _redacted(detail: Detail, forms: tuple[str, ...]) -> Detail:
    """The same without what logs in, should the server repeat it."""

    def clean(value: Arg) -> Arg:
        if isinstance(value, str):
            for form in forms:
                value = value.replace(form, "***")
            return value
        if isinstance(value, tuple):
            return tuple(map(clean, value))
        return _redacted(value, forms) if isinstance(value, Detail) else value

    return Detail(detail.code, tuple((name, clean(value)) for name, value in detail.args))


FIRST_WAIT, LONGEST_WAIT, _SLOWER = 20.0, 60.0, 1.5  # seconds between looks, and by how much each wait is longer


class Outcome(Struct, frozen=True):
    """How waiting ended for one mailbox.

    Attributes:
        seed: the mailbox.
        folder: where the mail is; MISSING only where the last look, after the time was up, saw all folders.
        at: when that was known.
        sighting: of the mail; None: it was not found.
        detail: why the mailbox could not be read; None: it could.

    """

    seed: Seed
    folder: Folder
    at: datetime
    sighting: Sighting | None = None
    detail: Detail | None = None


async def await_mail(
    seeds: Sequence[Seed],
    mark: Mark,
    until: datetime,
    clock: Clock,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Look into every mailbox again and again; what is known of one is told at once. In the order of the seeds."""
    ended: dict[str, Outcome] = {}
    boxes = {seed.name: (seed, SeedMailbox(seed)) for seed in seeds}
    number, wait = 0, FIRST_WAIT
    try:
        while True:
            number += 1
            last = clock.now() >= until
            # All folders are many: they are looked at ever more seldom, and at the end.
            everywhere = last or number & (number - 1) == 0
            open_ones = [each for name, each in boxes.items() if name not in ended]
            looks = (_look(seed, box, mark, clock, everywhere=everywhere, last=last) for seed, box in open_ones)
            for outcome in await asyncio.gather(*looks):
                if outcome is not None:
                    ended[outcome.seed.name] = outcome
                    tell(outcome)
            if len(ended) == len(boxes):
                return [ended[seed.name] for seed in seeds]
            await sleep(max(0.0, min(wait, (until - clock.now()) / timedelta(seconds=1))))
            wait = min(LONGEST_WAIT, wait * _SLOWER)
    finally:
        for _, box in boxes.values():
            box.close()


async def _look(
    seed: Seed, box: SeedMailbox, mark: Mark, clock: Clock, *, everywhere: bool, last: bool
) -> Outcome | None:
    """What one look ends with; None: nothing yet."""
    try:
        sighting = await asyncio.to_thread(box.look, mark, everywhere=everywhere)
    except SeedError as error:
        if error.final or last:
            return Outcome(seed, Folder.UNREACHABLE, clock.now(), detail=error.detail)
        return None
    if sighting is not None:
        box.close()
        return Outcome(seed, sighting.folder, clock.now(), sighting)
    return Outcome(seed, Folder.MISSING, clock.now()) if last else None
