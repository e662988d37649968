"""Asks a block list over DNS: first whether it answers as RFC 5782 section 5 wants it, then about its subjects.

Two things are never mixed up: "not listed" is an answer of a list that has shown that it works; all else is unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_network

from msgspec import Struct

from deliverability.model.blocklists import BlockList, ListAccess, ListCode, ListedKind, key_label
from deliverability.model.codes import Code, Detail
from deliverability.model.facts import Reason, Unknown
from deliverability.ports.base import Absent, Answer, Failed, Found, unknown_from

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
