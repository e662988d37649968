"""Block lists: asked over DNS (RFC 5782), and the user's own read from files."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import idna
from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import AT_LINE, FILE_TOO_LARGE, InputError, file_error
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.blocklists import (
    BlockList,
    ListAccess,
    ListCode,
    ListedKind,
    PrivateEntry,
    PrivateList,
    key_label,
)
from deliverability.core.names import is_address
from deliverability.core.net.base import Absent, Answer, Failed, Found, unknown_from

ANSWERED_REFUSAL = Code("blocklist-refusal", ("answer",))
NOT_AN_ANSWER = Code("blocklist-rewritten", ("answer",))
LISTS_ALL = Code("blocklist-lists-all", ("name",))
NO_TEST_ENTRY = Code("blocklist-no-test-entry", ("name",))
UNKNOWN_ANSWER = Code("blocklist-unknown-answer", ("answer",))
RETIRED = Code("blocklist-retired")
NEEDS_A_KEY = Code("blocklist-needs-key", ("key",))
PUBLIC_RESOLVER = Code("blocklist-public-resolver", ("resolver",))
NOTHING_TO_ASK = Code("blocklist-nothing-to-ask")

MAX_SILENT = 3
"""Questions in a row that nobody answers, after which a list is not asked any more."""

_LISTED = ip_network("127.0.0.0/8")
_REFUSED = ip_network("127.255.255.0/24")  # what Spamhaus began with, and others do alike

AskDns = Callable[[str, str], Awaitable[Answer]]
"""Asks DNS for the records of a type at a name."""


class ListHealth(StrEnum):
    """Whether the answers of a list mean anything.

    REFUSED: it does not answer us. DEAD: it lists everything, or lacks the entry that every list has. REWRITTEN: what
    came is no answer of a list. UNREACHABLE: nobody answered. NOT_ASKED: there was a reason not to.
    """

    HEALTHY = "healthy"
    REFUSED = "refused"
    DEAD = "dead"
    REWRITTEN = "rewritten"
    UNREACHABLE = "unreachable"
    NOT_ASKED = "not-asked"


_REASONS = {
    ListHealth.REFUSED: Reason.REFUSED,
    ListHealth.DEAD: Reason.LIMIT,
    ListHealth.REWRITTEN: Reason.LIMIT,
    ListHealth.NOT_ASKED: Reason.NOT_CONFIGURED,
}
_WORST = (ListHealth.REFUSED, ListHealth.REWRITTEN, ListHealth.NOT_ASKED, ListHealth.UNREACHABLE)


class ListState(Struct, frozen=True):
    """How a list is: its health, why it is not healthy, and what facts that rest on it are then."""

    health: ListHealth
    reason: Detail | None = None
    unknown: Unknown | None = None

    @classmethod
    def of(cls, health: ListHealth, reason: Detail) -> ListState:
        """Not healthy for that reason."""
        return cls(health, reason, Unknown(_REASONS[health], reason))


class ListEntry(Struct, frozen=True):
    """An entry: what was answered, and what it means."""

    answers: tuple[str, ...]
    codes: tuple[ListCode, ...]


class ListAnswers(Struct, frozen=True):
    """What a list said: how it is, and of each subject its listing, None where it has none, or why nobody knows."""

    state: ListState
    subjects: dict[str, ListEntry | Unknown | None]


HEALTHY = ListState(ListHealth.HEALTHY)


def not_asked(blocklist: BlockList, keys: frozenset[str], public_resolver: str) -> ListState | None:
    """Why a list must not be asked; None where it may be."""
    if blocklist.dead is not None:
        return ListState.of(ListHealth.DEAD, RETIRED())
    if blocklist.key and blocklist.key in keys:
        return None
    if blocklist.access is ListAccess.KEY:
        return ListState.of(ListHealth.NOT_ASKED, NEEDS_A_KEY(key=blocklist.key))
    if public_resolver and blocklist.access is not ListAccess.PUBLIC:
        return ListState.of(ListHealth.NOT_ASKED, PUBLIC_RESOLVER(resolver=public_resolver))
    return None


def zone_of(blocklist: BlockList, keys: frozenset[str]) -> str:
    """Where it is asked; a placeholder stands for the key, see ports.lists."""
    if blocklist.key and blocklist.key in keys:
        return blocklist.keyed_zone.replace("{key}", key_label(blocklist.key))
    return blocklist.zone


def question(blocklist: BlockList, zone: str, subject: str) -> str:
    """The name to ask for: the octets or nibbles of an address backwards, or the name itself (RFC 5782 section 2)."""
    if blocklist.kind is ListedKind.NAME:
        return f"{subject}.{zone}"
    pointer = ip_address(subject).reverse_pointer
    return f"{pointer.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def absent_name(zone: str, day: str) -> str:
    """A name that no list has: of a day, so that a run asks once for it and a replay finds it."""
    return f"{hashlib.sha256(f'{zone} {day}'.encode()).hexdigest()[:24]}.{zone}"


async def ask_list(blocklist: BlockList, zone: str, subjects: Sequence[str], day: str, ask: AskDns) -> ListAnswers:
    """Probe a list, and where it is healthy ask it about each subject; whatever goes wrong on the way ends that."""
    state = await probe(blocklist, zone, day, ask)
    found: dict[str, ListEntry | Unknown | None] = {}
    silent = 0
    for subject in subjects:
        if state.health is not ListHealth.HEALTHY:
            found[subject] = state.unknown
            continue
        read = read_answer(blocklist, await ask(question(blocklist, zone, subject), "A"))
        if not isinstance(read, ListState):
            silent, found[subject] = 0, read
            continue
        found[subject] = read.unknown
        silent = silent + 1 if read.health is ListHealth.UNREACHABLE else 0
        if read.health in (ListHealth.REFUSED, ListHealth.REWRITTEN) or silent >= MAX_SILENT:
            state = read
    return ListAnswers(state, found)


async def probe(blocklist: BlockList, zone: str, day: str, ask: AskDns) -> ListState:
    """How a list is: what must be listed is, what must not be is not, and a name that nobody has is absent."""
    listed, unlisted = f"{blocklist.test_listed}.{zone}", f"{blocklist.test_unlisted}.{zone}"
    names = (listed, unlisted, absent_name(zone, day))
    read = {name: read_answer(blocklist, await ask(name, "A")) for name in names}
    troubles = [each for each in read.values() if isinstance(each, ListState)]
    for health in _WORST:
        if (found := next((each for each in troubles if each.health is health), None)) is not None:
            return found
    for name in names[1:]:
        if read[name] is not None:  # what it says there, it says of all
            return ListState.of(ListHealth.DEAD, LISTS_ALL(name=name))
    if read[listed] is None:
        return ListState.of(ListHealth.DEAD, NO_TEST_ENTRY(name=listed))
    return HEALTHY


def read_answer(blocklist: BlockList, answer: Answer) -> ListEntry | Unknown | ListState | None:
    """What an answer says: a listing, None for no listing, an answer nobody knows, or that the list is not healthy."""
    if isinstance(answer, Failed):
        # A refusal in DNS itself is one of the resolver: of a list it would tell that nobody could answer.
        health = ListHealth.NOT_ASKED if answer.reason is Reason.OFFLINE else ListHealth.UNREACHABLE
        return ListState(health, answer.question, unknown_from(answer))
    if isinstance(answer, Absent):
        return None
    return _read_values(blocklist, answer)


def _read_values(blocklist: BlockList, answer: Found) -> ListEntry | Unknown | ListState:
    for value in answer.values:
        address = _address(value)
        if address is None or address not in _LISTED:
            return ListState.of(ListHealth.REWRITTEN, NOT_AN_ANSWER(answer=value[:50]))
        if value in blocklist.refusals or address in _REFUSED:
            return ListState.of(ListHealth.REFUSED, ANSWERED_REFUSAL(answer=value))
    codes = tuple(code for value in sorted(answer.values) for code in _codes(blocklist, value))
    if not codes:
        return Unknown(Reason.LIMIT, UNKNOWN_ANSWER(answer=", ".join(sorted(answer.values))[:100]))
    return ListEntry(tuple(sorted(answer.values)), tuple({code.key: code for code in codes}.values()))


def _codes(blocklist: BlockList, value: str) -> list[ListCode]:
    if (code := blocklist.codes.get(value)) is not None:
        return [code]
    last = int(value.rpartition(".")[2])
    return [code for bit, code in blocklist.bits.items() if last & bit]


def _address(value: str) -> IPv4Address | None:
    try:
        return IPv4Address(value)
    except ValueError:
        return None


MAX_FILE_OCTETS = 64_000_000
MAX_ENTRIES = 1_000_000
MAX_LINE = 4096
MAX_LISTED_TEXT = 200
_MAX_PROBLEMS = 20

NOT_AN_ENTRY = Code("blocklist-no-entry", ("text",))
TOO_MANY_ENTRIES = Code("blocklist-too-many", ("n",))

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}")
_OCTETS = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,2}(?:\.0/\d{1,2})?")
_REPLY = re.compile(r":[^:]*:")  # what rbldnsd answers; the text is behind it


class _Entries:
    """What was read so far."""

    def __init__(self) -> None:
        self.networks: dict[tuple[int, int], dict[int, PrivateEntry]] = {}
        self.names: dict[str, PrivateEntry] = {}
        self.below: dict[str, PrivateEntry] = {}
        self.count = 0

    def add(self, subject: str, entry: PrivateEntry) -> None:
        """Raises ValueError where that is neither an address nor a range nor a name."""
        networks = _networks(subject)
        for each in networks:
            length = each.prefixlen
            table = self.networks.setdefault((each.version, length), {})
            _put(table, int(each.network_address) >> (each.max_prefixlen - length), entry)
            self.count += 1
        if networks:
            return
        wild, name = subject.startswith("*."), subject.removeprefix("*.").lower()
        with_below = name.startswith(".")
        name = _a_labels(name.removeprefix(".").removesuffix("."))
        if not _NAME.fullmatch(name) or name.replace(".", "").isdecimal():
            raise ValueError(subject)
        if not wild:
            _put(self.names, name, entry)
        if wild or with_below:
            _put(self.below, name, entry)
        self.count += 1


def _put(table: dict[Any, PrivateEntry], key: Any, entry: PrivateEntry) -> None:
    """An exception to the very same entry wins, in whichever order they come."""
    if (known := table.get(key)) is None or known.listed:
        table[key] = entry


def _a_labels(name: str) -> str:
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise ValueError(name) from error


def _networks(subject: str) -> list[_Network]:
    """The ranges that a text stands for; none where it is no address. Raises ValueError for a range that is none."""
    first, dash, last = subject.partition("-")
    if dash and is_address(first):
        if "." in first and "." not in last:  # 192.0.2.1-9
            last = f"{first.rpartition('.')[0]}.{last}"
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
        if ends[0].version != ends[1].version:
            raise ValueError(subject)
        return list(ipaddress.summarize_address_range(*ends))  # type: ignore[type-var,unused-ignore]
    if _OCTETS.fullmatch(subject) and "/" not in subject and subject.count(".") < 3:
        octets = subject.split(".")
        return [ipaddress.ip_network(f"{'.'.join([*octets, *['0'] * (4 - len(octets))])}/{8 * len(octets)}")]
    address = subject.partition("/")[0]
    if not is_address(address):
        return []
    network = ipaddress.ip_network(subject, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return [ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")]
    return [network]


def read_private_list(ident: str, text: str, file: str) -> PrivateList:
    """The list in a text. Raises InputError with the lines that cannot be read, the first twenty of them."""
    entries, problems = _Entries(), []
    default = ""
    for number, row in _rows(text):
        try:
            if row.startswith("{"):
                entries.add(*_of_json(row))
            elif _is_default(row):
                default = _text(row)
            else:
                listed = not row.startswith("!")
                subject, _, rest = row.lstrip("!").strip().partition(" ")
                entries.add(subject, PrivateEntry(listed, _text(rest.strip()) or default))
        except (ValueError, RecursionError):
            problems.append(AT_LINE(file=file, line=number, detail=NOT_AN_ENTRY(text=row[:60])))
            if len(problems) == _MAX_PROBLEMS:
                break
        if entries.count > MAX_ENTRIES:
            raise InputError(AT_LINE(file=file, line=number, detail=TOO_MANY_ENTRIES(n=MAX_ENTRIES)))
    if problems:
        raise InputError(*problems)
    return PrivateList(ident, entries.networks, entries.names, entries.below)


def load_private_list(ident: str, path: Path) -> PrivateList:
    """The list in a file. Raises InputError where it cannot be read."""
    try:
        if path.stat().st_size > MAX_FILE_OCTETS:
            raise InputError(FILE_TOO_LARGE(file=str(path), n=MAX_FILE_OCTETS // 1_000_000))
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file_error(path, error)) from None
    return read_private_list(ident, text, str(path))


def _is_default(row: str) -> bool:
    """Whether a line is the reply for those that follow; an address of IPv6 may begin with a colon too."""
    return row.startswith(":") and not is_address(re.split(r"[ /-]", row, maxsplit=1)[0])


def _rows(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; those too long to be an entry as they are cut."""
    for number, line in enumerate(text.split("\n"), 1):
        row = " ".join(line[:MAX_LINE].split()) if not line.lstrip().startswith("{") else line.strip()
        if not row or row.startswith(("#", ";", "$")):
            continue
        # A remark may stand behind an entry, but is part of the text of one that has any.
        yield number, row if row.startswith(("{", ":")) else re.sub(r" [#;].*", "", row)


def _text(rest: str) -> str:
    return _REPLY.sub("", rest, count=1).removeprefix(":").strip()[:MAX_LISTED_TEXT]


def _of_json(row: str) -> tuple[str, PrivateEntry]:
    data = json.loads(row[: 16 * MAX_LINE])
    given = [data[key] for key in ("ip", "cidr", "name", "domain") if data.get(key)]
    if len(given) != 1 or not isinstance(given[0], str):
        raise ValueError(row)
    text = data.get("text") or data.get("reason") or ""
    if not isinstance(text, str):
        raise ValueError(row)
    return given[0].strip(), PrivateEntry(data.get("listed", True) is not False, text[:MAX_LISTED_TEXT])
