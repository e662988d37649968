"""DNS names and record values as the plain text our answers carry, and CNAME chasing over local data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import idna
from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed

if TYPE_CHECKING:
    import dns.name
    import dns.rdata

MAX_LABEL = 63  # octets, RFC 1035 section 2.3.4
MAX_NAME = 255  # octets on the wire, length octets and root included
MAX_TEXT = MAX_NAME - 2  # characters of a name in ASCII without a final dot
MAX_CHAIN = 8  # CNAME hops followed before the answer counts as broken

CNAME_LOOP = Code("cname-loop", ("name",))
CNAME_MANY = Code("cname-many", ("n",))

Labels = tuple[bytes, ...]

_PLAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")  # nearly every name, and as it is to be written
_PLAIN_OCTETS = re.compile(rb"[a-z0-9_.-]+")


def labels_of(name: str) -> Labels | None:
    """Split text into lower-case labels, or None where no such name can exist in DNS.

    The text comes from mails and DNS answers, so it is taken literally: a backslash is an octet like any other,
    and only the dot separates. Labels outside ASCII become A-labels (IDNA 2008 with UTS 46 mapping). The root is ().
    """
    if is_plain(name):
        return tuple(name.encode("ascii").split(b"."))
    text = name.removesuffix(".")
    if not text:
        return ()
    if len(text) > 4 * MAX_NAME:  # before any work on a hostile text
        return None
    labels = []
    for part in text.split("."):
        label = part.encode("ascii").lower() if part.isascii() else _a_label(part)
        if label is None or not 0 < len(label) <= MAX_LABEL:
            return None
        labels.append(label)
    if sum(len(label) + 1 for label in labels) + 1 > MAX_NAME:
        return None
    return tuple(labels)


def _a_label(label: str) -> bytes | None:
    try:
        return idna.encode(label, uts46=True).lower()
    except UnicodeError:  # idna.IDNAError is one
        return None


def name_text(labels: Labels) -> str:
    r"""The text of a name: lower case, no trailing dot, octets that could be misread as ``\xNN``; the root is ``.``."""
    octets = b".".join(labels).lower()
    if octets.count(b".") == len(labels) - 1 and _PLAIN_OCTETS.fullmatch(octets):
        return octets.decode("ascii")
    return ".".join(_label_text(label.lower()) for label in labels) or "."


_SPELLING = {
    octet: chr(octet) if 0x21 <= octet <= 0x7E and octet != 0x2E else f"\\x{octet:02x}" for octet in range(256)
}


def _label_text(label: bytes) -> str:
    return label.decode("latin-1").translate(_SPELLING)


def is_plain(name: str) -> bool:
    """Whether a name is one already as it is spelt in answers; others may be, too."""
    return len(name) <= MAX_TEXT and _PLAIN.fullmatch(name) is not None


def signed_type(rdtype: str) -> str:
    """How a question for records with their signatures is kept apart from one for the records alone."""
    return f"{rdtype}+RRSIG"


def canonical(name: str) -> str:
    """The spelling under which a name is kept in answers, caches and recordings."""
    if is_plain(name):
        return name
    labels = labels_of(name)
    if labels is not None:
        return name_text(labels)
    return name.lower().removesuffix(".").encode("utf-8", "backslashreplace").decode("utf-8")


def impossible(name: str, rdtype: str, at: str = "") -> Absent:
    """The answer for a name that :func:`labels_of` refuses.

    Nobody can publish such a name (empty label, label over 63 or name over 255 octets, not convertible to A-labels),
    so "it does not exist" is known without asking and is the one NXDOMAIN that no server has to confirm.
    """
    return Absent(canonical(name), rdtype.upper(), nxdomain=True, at=at)


def octets_text(octets: bytes) -> str:
    r"""Octets as UTF-8 text, with what is not UTF-8 shown as ``\xNN``."""
    return octets.decode("utf-8", "backslashreplace")


def dns_name_text(name: dns.name.Name) -> str:
    """The text of a dnspython name, as :func:`name_text` writes it."""
    return name_text(tuple(label for label in name.labels if label))


def value_text(rdata: dns.rdata.Rdata) -> tuple[str, tuple[int, ...]]:
    """One record as text (see Found.values) and, for TXT, the octets of each character-string."""
    import dns.rdatatype as types

    kind = rdata.rdtype
    # The classes of dnspython's rdata are built at run time; their attributes are not known to the type checker.
    data: object = rdata
    if kind in (types.TXT, types.SPF):
        strings: tuple[bytes, ...] = tuple(getattr(data, "strings"))  # noqa: B009
        return octets_text(b"".join(strings)), tuple(len(string) for string in strings)
    if kind in (types.CNAME, types.NS, types.PTR, types.DNAME):
        return dns_name_text(getattr(data, "target")), ()  # noqa: B009
    if kind == types.MX:
        return f"{getattr(data, 'preference')} {dns_name_text(getattr(data, 'exchange'))}", ()  # noqa: B009
    if kind == types.SOA:
        numbers = " ".join(str(getattr(data, field)) for field in ("serial", "refresh", "retry", "expire", "minimum"))
        return f"{dns_name_text(getattr(data, 'mname'))} {dns_name_text(getattr(data, 'rname'))} {numbers}", ()  # noqa: B009
    return rdata.to_text(), ()


class ZoneRecords(Struct):
    """The records of one type at one name of a zone, and where a master file has each, or another file the first."""

    values: tuple[str, ...]
    ttl: int
    string_octets: tuple[tuple[int, ...], ...]
    lines: tuple[int, ...] = ()
    place: str = ""

    def placed(self, label: str) -> str:
        """Where they are, as ``file:line``; of several texts, the first that is a record of some protocol."""
        if not self.lines:
            return self.place
        records = (line for value, line in zip(self.values, self.lines, strict=False) if value[:2].lower() == "v=")
        return f"{label}:{next(records, self.lines[0])}"


class Alias(Struct, frozen=True):
    """A CNAME met on the way: ask `target` instead."""

    target: str
    ttl: int = 0


def chase(name: str, rdtype: str, look_up: Callable[[str, str], Answer | Alias]) -> Answer:
    """Answer a question from local data, following CNAME.

    Args:
        name: canonical name.
        rdtype: the type, upper case.
        look_up: answers for one name without following anything.

    Returns:
        the answer under the asked name, with the chain. A loop or more than MAX_CHAIN hops is Failed(alias).

    """
    chain: list[str] = []
    ttls: list[int] = []
    current = name
    while True:
        step = look_up(current, rdtype)
        if isinstance(step, Failed):
            return replace(step, name=name)
        if not isinstance(step, Alias):
            return replace(step, name=name, ttl=min([*ttls, step.ttl]), chain=tuple(chain))
        if step.target == name or step.target in chain:
            return Failed(name, rdtype, Reason.ALIAS, CNAME_LOOP(name=step.target))
        if len(chain) == MAX_CHAIN:
            return Failed(name, rdtype, Reason.ALIAS, CNAME_MANY(n=MAX_CHAIN))
        chain.append(step.target)
        ttls.append(step.ttl)
        current = step.target
