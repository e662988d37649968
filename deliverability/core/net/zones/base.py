"""The normal form of zones and plans, and what its readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from msgspec import Struct

from deliverability.core.codes import ABOUT, VERBATIM, Code, Detail
from deliverability.core.errors import InputError, stop_if_interrupt
from deliverability.core.net.names import ZoneRecords, canonical, is_plain, labels_of, value_text
from deliverability.core.net.overlay import NO_NAME, parse_record
from deliverability.core.net.zones import OCTODNS_PLAN, TERRAFORM

MAX_OCTETS = 50_000_000
"""Octets of one file that is no master file."""
MAX_DEPTH = 64
"""Levels of one file that is no master file."""
STRING = 255  # octets of one TXT character-string, RFC 1035 section 3.3

ANY: Final = ""
"""In place of a type: every type at the name."""
# What answers in place of an address, and is no type of the DNS: words, and how such words begin and end.
_ALIASES = frozenset({"ALIAS", "ANAME", "FLATTEN", "FRAME", "GEO", "WEIGHTED"})
_ALIAS_BEGINS, _ALIAS_ENDS = ("CF_", "URL", "PAGE"), ("_ALIAS", "REDIRECT")
_TYPE = re.compile(r"[A-Z][A-Z0-9]{0,15}(-[A-Z0-9]+)?|TYPE[0-9]{1,5}")
_PLAIN_RDATA = frozenset({"A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT"})
_OCTAL = re.compile(r"\\([0-7]{3})")

NOT_A_TYPE = Code("zone-type-unread", ("type", "name"))
RECORD_UNREADABLE = Code("zone-record-unreadable", ("type", "name", "why"))
FIELD = Code("zone-field-missing", ("type", "name", "field"))
CNAME_BESIDE = Code("zone-cname-beside", ("name",))


class ZoneError(InputError):
    """A zone or plan cannot be used."""


class Record(Struct, frozen=True):
    """One record.

    Attributes:
        owner: its name, absolute, lower case, without a dot at its end.
        type: upper case.
        rdata: as a master file has it.
        ttl: seconds; None: the file does not say.
        place: where it stands: ``file:line``, or the address of a resource.

    """

    owner: str
    type: str
    rdata: str
    ttl: int | None = None
    place: str = ""


class UnknownRecord(Struct, frozen=True):
    """Records that are there, or will be, and that cannot be told.

    Attributes:
        owner: the name, as a Record has it.
        type: upper case; ANY: of whatever type.
        why: known after apply only, an alias, a type that is not read.
        place: where it stands.

    """

    owner: str
    type: str
    why: Detail
    place: str = ""


class ZoneInput(Struct, frozen=True):
    """What a file says of zones.

    Attributes:
        format: one of zones.FORMATS.
        origins: the names at the top of its zones, sorted.
        complete: what it does not hold does not exist.
        after: the records that there are, or will be.
        before: the records that there were, of a plan, and those that go, of a change batch; else None.
        replaces: whether its records of one name and type are all that there are, or single ones of them.
        unknown: what cannot be told of `after`.
        remarks: what its reader has to be told.
        label: the file.

    """

    format: str
    origins: tuple[str, ...]
    complete: bool
    after: tuple[Record, ...]
    before: tuple[Record, ...] | None = None
    replaces: Literal["set", "value"] = "set"
    unknown: tuple[UnknownRecord, ...] = ()
    remarks: tuple[Detail, ...] = ()
    label: str = ""

    @property
    def two_sided(self) -> bool:
        """Whether it holds all that there was before of what it changes; else only the DNS knows that."""
        return self.format in (OCTODNS_PLAN, TERRAFORM)


class Reading(Struct, frozen=True):
    """How a file is to be read, where its content does not say.

    Attributes:
        format: one of zones.FORMATS; empty: as its content shows.
        origins: zones that relative names belong to.
        tag: which of several views of one zone: a tag of dnscontrol, a target of octoDNS.

    """

    format: str = ""
    origins: tuple[str, ...] = ()
    tag: str = ""


class Source(Struct, frozen=True):
    """A file: what it is called, its octets, and what gives a file that it includes: None where it may not be read."""

    label: str
    data: bytes
    include: Callable[[str], bytes | None] | None = None

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return Path(self.label).name

    def refuse(self, detail: Detail) -> NoReturn:
        """Raises ZoneError: the whole file is the trouble."""
        raise ZoneError(ABOUT(what=self.label, detail=detail))


class Collected:
    """The records that a reader finds, each looked at once."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.unknown: list[UnknownRecord] = []

    def add(self, owner: str, rdtype: str, rdatas: Iterable[str], ttl: Any, place: str) -> None:
        """Keep records. Raises ZoneError, with the place, for what no server would load."""
        kept: list[Record] = []
        seconds = int(ttl) if isinstance(ttl, int | str) and re.fullmatch(r"\d{1,10}", str(ttl)) else None
        for rdata in rdatas:
            kept.append(Record(owner, rdtype, rdata, seconds, place))
            try:
                answer_text(kept[-1])
            except ZoneError as error:
                if rdtype in _PLAIN_RDATA:
                    raise
                # A type that mail hardly ever asks for: what cannot be read of it costs nothing else.
                self.lose(owner, rdtype, error.detail, place)
                return
        self.records += kept

    def lose(self, owner: str, rdtype: str, why: Detail, place: str) -> None:
        """Note that records cannot be told: what stands in for an address is one of both types."""
        types = ("A", "AAAA") if is_alias(rdtype) else (rdtype,)
        self.unknown += [UnknownRecord(owner, each, why, place) for each in types]


def is_alias(rdtype: str) -> bool:
    """Whether that is no type of the DNS but what a provider answers addresses for: ``Route53Provider/ALIAS``."""
    word = rdtype.rpartition("/")[2].upper()
    return word in _ALIASES or word.startswith(_ALIAS_BEGINS) or word.endswith(_ALIAS_ENDS)


def is_dns_type(rdtype: str) -> bool:
    """Whether that can be a type of the DNS; what providers invent is none."""
    if not _TYPE.fullmatch(rdtype) or is_alias(rdtype):
        return False
    import dns.rdatatype

    try:
        dns.rdatatype.from_text(rdtype)
    except (ValueError, dns.rdatatype.UnknownRdatatype):
        return False
    return True


def owner_name(name: str, zone: str, place: str) -> str:
    """The absolute name of a record of a zone: its name relative to it, or absolute with a dot at its end.

    Raises ZoneError.
    """
    text = _OCTAL.sub(lambda match: chr(int(match[1], 8)), name.strip())
    if text in ("", "@"):
        whole = zone
    elif text.endswith("."):
        whole = text
    else:
        whole = f"{text}.{zone}" if zone != "." else text
    plain = whole.removesuffix(".")
    if is_plain(plain):
        return plain
    if not labels_of(whole) and whole != ".":
        raise ZoneError(ABOUT(what=place, detail=NO_NAME(text=name)))
    return canonical(whole)


def absolute(name: str) -> str:
    """A host as a master file has it: with a dot at its end."""
    return name if name.endswith(".") else f"{name}."


def text_rdata(text: str) -> str:
    """A text as a master file has it: quoted, in character-strings of at most 255 octets."""
    octets = text.encode("utf-8", "surrogateescape")
    return " ".join(_quoted(octets[start : start + STRING]) for start in range(0, max(len(octets), 1), STRING))


def _quoted(octets: bytes) -> str:
    return '"' + "".join(_SPELT[octet] for octet in octets) + '"'


_SPELT = [
    f"\\{chr(each)}" if chr(each) in '"\\' else chr(each) if 32 <= each < 127 else f"\\{each:03d}"
    for each in range(256)
]


def answer_text(record: Record) -> tuple[str, tuple[int, ...]]:
    """The value as answers have it, and for TXT the octets of each of its character-strings. Raises ZoneError."""
    plain = record.type in _PLAIN_RDATA and ("\\" not in record.rdata or record.type == "TXT")
    try:
        if plain:
            proposal = parse_record(record.owner, record.type, record.rdata)
            return proposal.value, proposal.string_octets
        return _parsed(record.type, record.rdata)
    except InputError as error:
        raise ZoneError(_about(record, error.detail)) from None


def _about(record: Record, why: Detail) -> Detail:
    wrong = RECORD_UNREADABLE(type=record.type, name=record.owner, why=why)
    return ABOUT(what=record.place, detail=wrong) if record.place else wrong


def _parsed(rdtype: str, rdata: str) -> tuple[str, tuple[int, ...]]:
    import dns.exception
    import dns.name
    import dns.rdata

    try:
        return value_text(dns.rdata.from_text("IN", rdtype, rdata, origin=dns.name.root, relativize=False))
    except (dns.exception.DNSException, ValueError, TypeError, AttributeError, OverflowError) as error:
        stop_if_interrupt(error)
        raise InputError(VERBATIM(text=" ".join(str(error).split())[:200] or type(error).__name__)) from None


def record_sets(records: Iterable[Record]) -> Mapping[tuple[str, str], ZoneRecords]:
    """The records by name and type, as answers have them, each once."""
    found: dict[tuple[str, str], tuple[dict[str, tuple[int, ...]], int]] = {}
    places: dict[tuple[str, str], str] = {}
    for record in records:
        value, octets = answer_text(record)
        ttl = 3600 if record.ttl is None else record.ttl
        values, least = found.setdefault((record.owner, record.type), ({}, ttl))
        values[value] = octets
        places.setdefault((record.owner, record.type), record.place)
        found[record.owner, record.type] = values, min(least, ttl)
    return {
        key: ZoneRecords(tuple(values), ttl, tuple(values.values()) if key[1] == "TXT" else (), place=places[key])
        for key, (values, ttl) in found.items()
    }


def alone_beside_alias(records: Iterable[Record]) -> None:
    """Raises ZoneError where a CNAME has other records beside it, or another CNAME: no server loads that."""
    kinds: dict[str, set[str]] = {}
    for record in records:
        kinds.setdefault(record.owner, set()).add(record.type)
    for record in records:
        if record.type == "CNAME" and len(kinds[record.owner] - {"RRSIG", "NSEC"}) > 1:
            raise ZoneError(ABOUT(what=record.place, detail=CNAME_BESIDE(name=record.owner)))
