"""Block lists: what the catalogue says of each, what a user asks for, and the user's own lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Literal, NamedTuple

from msgspec import Struct, field

from deliverability.core.codes import Code, Detail
from deliverability.core.model.rules import PlainSource
from deliverability.core.model.schema import Either, Field, Text

NO_ANSWERS = Code("blocklist-no-answers")
NO_BITS = Code("blocklist-no-bits")
REMOVAL_STEPS = Code("blocklist-removal-steps")
KEYED_ZONE = Code("blocklist-keyed-zone")
KEY_MISSING = Code("blocklist-key-missing")
KIND_ASKS = Code("blocklist-kind-asks")


class ListedKind(StrEnum):
    """What a list lists: IPv4 addresses, IPv6 addresses, or names."""

    IP4 = "ip4"
    IP6 = "ip6"
    NAME = "name"


class ListedRole(StrEnum):
    """What an address or a name is to the mail, the most telling first."""

    SENDING_IP = "sending-ip"
    FROM = "from"
    MAIL_FROM = "mail-from"
    DKIM = "dkim"
    LINKS = "links"
    PTR = "ptr"


class ListWeight(StrEnum):
    """What a code says. LISTING: mail was unwanted. POLICY: none is to come. INFORMATIONAL: few act on it."""

    LISTING = "listing"
    POLICY = "policy"
    INFORMATIONAL = "informational"


class ListAccess(StrEnum):
    """Who is answered. PUBLIC: everybody. OWN: whoever asks by a resolver of their own, or has a key where there are
    any. KEY: only whoever has one. REGISTERED: whose resolver is registered with the list.
    """

    PUBLIC = "public"
    OWN = "own"
    KEY = "key"
    REGISTERED = "registered"


_NAME = "[a-z0-9]+(-[a-z0-9]+)*"


class ListCode(Struct, frozen=True):
    """What an answer of a list means: a stable name, its weight, and by language a few words."""

    key: Annotated[str, Field(pattern=_NAME)]
    weight: ListWeight
    text: Either


TEST_ENTRIES = {
    ListedKind.IP4: ("2.0.0.127", "1.0.0.127"),
    ListedKind.IP6: tuple(
        ip_address(each).reverse_pointer.removesuffix(".ip6.arpa") for each in ("::ffff:7f00:2", "::ffff:7f00:1")
    ),
    ListedKind.NAME: ("test", "invalid"),
}
"""What stands before the zone for the entry that every list has, and for that which none has (RFC 5782 section 5)."""

_Answer = Annotated[str, Field(pattern=r"127(\.[0-9]{1,3}){3}")]
_ZONE = r"(\{key\}\.)?([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}"


class BlockList(Struct, frozen=True):
    """One list of the catalogue. What could not be found out is empty or None.

    Attributes:
        id: stable name.
        name: what it is called, in every language.
        operator: whose it is; rules tell lists of one operator from others by it.
        zone: where it is asked.
        keyed_zone: where it is asked with a key, ``{key}`` standing for it.
        key: the name under which settings give the key.
        kind: what it lists.
        asks: roles of the addresses or names that it is asked about.
        access: see ListAccess.
        codes: answers (127.0.0.2) and what they mean.
        bits: where the last octet is a set of bits, what each of them means.
        refusals: answers that say that it does not answer, never listings.
        test_listed, test_unlisted: what stands before the zone for the entries of RFC 5782 section 5; empty in the
            file: as TEST_ENTRIES has it.
        registrable: it lists names as they are registered, without the hosts below them.
        dead: why it must not be asked, by language; None: it is alive.
        terms: on whose terms it may be asked, by language.
        remove_url: where a listing is looked up or taken off.
        remove: steps to be taken off, by language.
        named_by: receivers that say that they use it, and where they say so.
        sources: where all that was read.

    """

    id: Annotated[str, Field(pattern=_NAME)]
    name: Text
    operator: Annotated[str, Field(pattern=_NAME)]
    zone: Annotated[str, Field(pattern=_ZONE)]
    kind: ListedKind = ListedKind.IP4
    asks: tuple[ListedRole, ...] = (ListedRole.SENDING_IP,)
    access: ListAccess = ListAccess.OWN
    keyed_zone: Annotated[str, Field(pattern=f"({_ZONE})?")] = ""
    key: Annotated[str, Field(pattern=f"({_NAME})?")] = ""
    codes: Mapping[_Answer, ListCode] = field(default_factory=dict)
    bits: Mapping[int, ListCode] = field(default_factory=dict)
    refusals: tuple[_Answer, ...] = ()
    test_listed: str = ""
    test_unlisted: str = ""
    registrable: bool = False
    dead: Either | None = None
    terms: Either | None = None
    remove_url: Annotated[str, Field(pattern="(https?://.*)?")] = ""
    remove: Annotated[Mapping[str, tuple[Text, ...]], Field(written=Mapping[Literal["en", "ja"], tuple[Text, ...]])] = (
        field(default_factory=dict)
    )
    named_by: Mapping[str, tuple[PlainSource, ...]] = field(default_factory=dict)
    sources: Annotated[tuple[PlainSource, ...], Field(filled=True, needed=True)] = ()

    def cannot_be_asked(self) -> Detail | None:
        """Of a list that is alive answers are known, and what to do about them in both languages."""
        if self.dead is not None:
            return None
        if not self.codes and not self.bits:
            return NO_ANSWERS()
        if any(bit not in (1 << n for n in range(8)) for bit in self.bits):
            return NO_BITS()
        if len(self.remove) != 2 or len(self.remove["en"]) != len(self.remove["ja"]):
            return REMOVAL_STEPS()
        if bool(self.keyed_zone) != bool(self.key) or self.keyed_zone.startswith("{key}") != bool(self.keyed_zone):
            return KEYED_ZONE()
        if self.access is ListAccess.KEY and not self.key:
            return KEY_MISSING()
        addresses = set(self.asks) <= {ListedRole.SENDING_IP}
        return KIND_ASKS() if addresses is (self.kind is ListedKind.NAME) or not self.asks else None


class PrivateEntry(NamedTuple):
    """What a list of the user's own says of an address or a name; `listed`: False where it is an exception."""

    listed: bool
    text: str


class ListKeys(Struct, frozen=True):
    """Keys of lists, each with its name. What they are is not written out."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"ListKeys({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names."""
        return tuple(name for name, _ in self.pairs)


class PrivateList(Struct, frozen=True):
    """A list of the user's own, read from a file; the nearest entry counts.

    Attributes:
        id: ``file:`` and the file as it was named.
        networks: by IP version and length of the prefix, entries by the number of the network.
        names: entries for just that name.
        below: entries for all names below that name.

    """

    id: str
    networks: Mapping[tuple[int, int], Mapping[int, PrivateEntry]] = field(default_factory=dict)
    names: Mapping[str, PrivateEntry] = field(default_factory=dict)
    below: Mapping[str, PrivateEntry] = field(default_factory=dict)

    def __repr__(self) -> str:  # it may have a million entries
        return f"PrivateList({self.id!r})"

    def __hash__(self) -> int:
        return hash(self.id)

    def entry(self, subject: str) -> PrivateEntry | None:
        """What it says of an address or of a name in lower case; None: nothing."""
        try:
            address = ipaddress.ip_address(subject)
        except ValueError:
            return self._of_name(subject)
        width, number = address.max_prefixlen, int(address)
        lengths = sorted((length for version, length in self.networks if version == address.version), reverse=True)
        found = (self.networks[address.version, each].get(number >> (width - each)) for each in lengths)
        return next((each for each in found if each is not None), None)

    def _of_name(self, name: str) -> PrivateEntry | None:
        if (own := self.names.get(name)) is not None:
            return own
        while "." in name:
            name = name.partition(".")[2]
            if (above := self.below.get(name)) is not None:
                return above
        return None


class ListingSeen(NamedTuple):
    """A listing as an earlier run saw it: the id of the list, the address or name, and the ISO date since when."""

    list: str
    subject: str
    since: str


class ListsSeen(Struct, frozen=True):
    """What the newest earlier run saw of block lists.

    Attributes:
        asked: which list was asked about which address or name and answered.
        listings: which of them were listed, and since when.

    """

    asked: frozenset[tuple[str, str]]
    listings: tuple[ListingSeen, ...] = ()


class ListsWanted(Struct, frozen=True):
    """Which lists a user asks for.

    Attributes:
        lists: ids of the catalogue, in the order in which they are told.
        files: lists of the user's own.
        keys: names of the keys that are there; what they are, the ports alone know.
        public_resolver: the public resolver that would be asked; empty: none that is known as one.
        seen: what the newest earlier run saw, where a history is kept.

    """

    lists: tuple[str, ...] = ()
    files: tuple[PrivateList, ...] = ()
    keys: frozenset[str] = frozenset()
    public_resolver: str = ""
    seen: ListsSeen | None = None


def askable(lists: Iterable[BlockList]) -> tuple[BlockList, ...]:
    """Those that are alive and that everybody may ask who keeps to their terms, or has a key."""
    return tuple(each for each in in_order(lists) if each.dead is None and each.access is not ListAccess.REGISTERED)


def in_order(lists: Iterable[BlockList]) -> list[BlockList]:
    """Those first that receivers name, then the others that are alive, then those that are no more."""
    return sorted(lists, key=lambda each: (each.dead is not None, not each.named_by))


def key_label(name: str) -> str:
    """What stands in names for a key wherever the key itself has no business to be: everywhere but on the wire."""
    return f"key-{name}"
