"""Proposed records laid over any resolver: audit before you publish."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import (
    Absent,
    Answer,
    Failed,
    Found,
    Resolver,
    Signed,
    SignedQuestion,
    SigningResolver,
)
from deliverability.core.net.names import (
    CNAME_LOOP,
    CNAME_MANY,
    MAX_CHAIN,
    canonical,
    impossible,
    labels_of,
    octets_text,
)
from deliverability.core.net.static import NOT_ASKED

NO_PROPOSAL = Code("no-proposal", ("text",))
NO_NAME = Code("no-dns-name", ("text",))
NO_NAME_FOR = Code("no-dns-name-for", ("text", "type"))
UNKNOWN_TYPE = Code("record-type-unknown", ("type", "types"))
TXT_NOT_CLOSED = Code("txt-not-closed", ("text",))
TXT_LONG = Code("txt-long", ("most", "n"))
NO_OCTET = Code("no-octet", ("text",))
NO_IP_OF_VERSION = Code("no-ip-of-version", ("text", "version", "type"))
NO_MX = Code("no-mx-value", ("text",))

MAX_STRING = 255  # octets of one TXT character-string, RFC 1035 section 3.3
_TTL = 3600
_SERVER = "proposed"
_TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT")
# What a text is, or was meant as: typing slips in front of and inside the version are forgiven.
_VERSION = re.compile(r"""[\s"'“”]*v\s*=\s*(spf\s*1|dmarc|dkim|sts|tlsrpt|bimi)""", re.IGNORECASE)
# Below these labels every TXT record is one protocol's, so a proposal replaces them all.
_OWNED_BY_PROTOCOL = frozenset({"_dmarc", "_domainkey", "_mta-sts", "_bimi"})
_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(\d{3}|.)", re.DOTALL)


class Proposal(Struct, frozen=True):
    """One proposed record: name canonical, value as Found.values has it, octets of its strings where it is TXT."""

    name: str
    rdtype: str
    value: str
    string_octets: tuple[int, ...] = ()


def parse_proposal(text: str) -> Proposal:
    """Read ``NAME TYPE VALUE``, as typed after ``--with``. A TTL and the class IN before the type are allowed.

    A TXT value is bare text, or one or more quoted strings in master-file form.

    Raises:
        InputError: with a sentence that says what to write instead.

    """
    name, rest = [*text.split(maxsplit=1), "", ""][:2]
    while match := re.match(r"(?:\d+|IN)\s+", rest, re.IGNORECASE):
        rest = rest[match.end() :]
    rdtype, *values = rest.split(maxsplit=1)[:2] or [""]
    value = values[0].strip() if values else ""
    if not rdtype or not value:
        raise InputError(NO_PROPOSAL(text=text))
    return parse_record(name, rdtype, value)


def parse_record(name: str, rdtype: str, value: str) -> Proposal:
    """A record of its three parts, as `parse_proposal` reads them. Raises InputError."""
    if re.search(r"\s", name) or not labels_of(name):
        raise InputError(NO_NAME(text=name))
    rdtype = rdtype.upper()
    if rdtype not in _TYPES:
        raise InputError(UNKNOWN_TYPE(type=rdtype, types=tuple(_TYPES)))
    if rdtype == "TXT":
        joined, octets = _txt(value)
        return Proposal(canonical(name), rdtype, joined, octets)
    return Proposal(canonical(name), rdtype, _checked(rdtype, value))


def _txt(value: str) -> tuple[str, tuple[int, ...]]:
    if value.startswith("(") and value.endswith(")"):
        value = value[1:-1].strip()
    if not value.startswith('"'):
        octets = value.encode("utf-8", "surrogateescape")
        strings = [octets[start : start + MAX_STRING] for start in range(0, len(octets), MAX_STRING)]
    else:
        strings, end = [], 0
        while match := _QUOTED.match(value, end):
            strings.append(_unescaped(match[1]))
            end = match.end()
        if value[end:].strip():
            raise InputError(TXT_NOT_CLOSED(text=value[end:].strip()[:40]))
    too_long = next((string for string in strings if len(string) > MAX_STRING), None)
    if too_long is not None:
        raise InputError(TXT_LONG(most=MAX_STRING, n=len(too_long)))
    return octets_text(b"".join(strings)), tuple(len(string) for string in strings)


def _unescaped(quoted: str) -> bytes:
    r"""The octets of a quoted string (RFC 1035 section 5.1: ``\DDD`` is an octet, ``\X`` is X)."""
    octets, end = b"", 0
    for match in _ESCAPE.finditer(quoted):
        octets += quoted[end : match.start()].encode("utf-8", "surrogateescape")
        escaped = match[1]
        if len(escaped) == 3:
            if int(escaped) > 255:
                raise InputError(NO_OCTET(text=escaped))
            octets += bytes([int(escaped)])
        else:
            octets += escaped.encode("utf-8", "surrogateescape")
        end = match.end()
    return octets + quoted[end:].encode("utf-8", "surrogateescape")


def _checked(rdtype: str, value: str) -> str:
    if rdtype in ("A", "AAAA"):
        version = 4 if rdtype == "A" else 6
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            address = None
        if address is None or address.version != version:
            raise InputError(NO_IP_OF_VERSION(text=value, version=version, type=rdtype))
        return str(address)
    if rdtype == "MX":
        match = re.fullmatch(r"(\d{1,5})\s+(\S+)", value)
        if match is None or int(match[1]) > 65535 or labels_of(match[2]) is None:
            raise InputError(NO_MX(text=value))
        return f"{int(match[1])} {canonical(match[2])}"
    if re.search(r"\s", value) or not labels_of(value):
        raise InputError(NO_NAME_FOR(text=value, type=rdtype))
    return canonical(value)


class OverlayResolver:
    """Answers as the world would if the proposed records were published.

    Proposals of one name and type add up and replace the record set there. For TXT they replace what they compete with:
    an SPF record every record that is or was meant as SPF, and so for the other records that begin with a version; at
    names that belong to one protocol (``_dmarc``, ``_domainkey``, ``_mta-sts``, ``_bimi``, ``_smtp._tls``) all; any
    other text nothing. A proposal hides a CNAME at
    its name for its type. Where the base failed, the proposal alone is the answer.

    That a new name ends a wildcard's reach over it (RFC 4592 section 2.2.1) is not modelled for other types there.

    The base may also have failed behind a CNAME that leads to a proposal: then the CNAME is asked for. With `within`
    only where the name is that domain or below it; what failed elsewhere stays so, and costs no further question.
    """

    def __init__(self, base: Resolver, proposals: Iterable[Proposal], within: str = "") -> None:
        self._base = base
        self._within = within
        self._proposals: dict[tuple[str, str], list[Proposal]] = {}
        self._names: set[str] = set()
        for proposal in proposals:
            same = self._proposals.setdefault((proposal.name, proposal.rdtype), [])
            if proposal not in same:
                same.append(proposal)
            parts = proposal.name.split(".")
            self._names.update(".".join(parts[start:]) for start in range(len(parts)))

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the proposals and the base."""
        if labels_of(name) is None:
            return impossible(name, rdtype)
        return await self._answer(canonical(name), rdtype.upper(), ())

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """What the base has signed: what is proposed nobody has signed yet."""
        if isinstance(self._base, SigningResolver):
            return await self._base.signed(name, rdtype)
        return SignedQuestion(canonical(name), rdtype.upper()).lost(Reason.OFFLINE, NOT_ASKED())

    def reaches(self, name: str, answer: Answer) -> bool:
        """Whether a question for `name` may be answered otherwise than the base, or another overlay of it, does.

        Only what leads through a proposed name may, or a name above one, and what failed on its way to one.
        """
        asked = canonical(name)
        if isinstance(answer, Failed):
            return asked in self._names or self._may_lead_here(asked)
        return not self._names.isdisjoint((asked, *answer.chain))

    async def close(self) -> None:
        """Close the base."""
        await self._base.close()

    async def _answer(self, name: str, rdtype: str, seen: tuple[str, ...]) -> Answer:
        """`seen` are the names that led here by CNAME."""
        if name in seen:
            return Failed(name, rdtype, Reason.ALIAS, CNAME_LOOP(name=name))
        if len(seen) > MAX_CHAIN:
            return Failed(name, rdtype, Reason.ALIAS, CNAME_MANY(n=MAX_CHAIN))
        proposed = self._proposals.get((name, rdtype))
        if proposed:
            return await self._replaced(name, rdtype, proposed)
        alias = self._proposals.get((name, "CNAME"))
        if alias:
            return await self._through((alias[0].value,), name, rdtype, seen)

        answer = await self._base.query(name, rdtype)
        if isinstance(answer, Failed):
            if self._may_lead_here(name) and any(kind in (rdtype, "CNAME") for _, kind in self._proposals):
                link = await self._base.query(name, "CNAME")
                if isinstance(link, Found) and rdtype != "CNAME":
                    return await self._through(link.values[:1], name, rdtype, seen)
            return answer
        for position, target in enumerate(answer.chain):
            if (target, rdtype) in self._proposals or (target, "CNAME") in self._proposals:
                return await self._through(answer.chain[: position + 1], name, rdtype, seen)
        if isinstance(answer, Absent) and answer.nxdomain and (answer.chain or (name,))[-1] in self._names:
            return replace(answer, nxdomain=False)
        return answer

    def _may_lead_here(self, name: str) -> bool:
        """Whether a CNAME that leads to a proposal may stand at a name where the base failed."""
        return not self._within or name == self._within or name.endswith(f".{self._within}")

    async def _through(self, chain: tuple[str, ...], name: str, rdtype: str, seen: tuple[str, ...]) -> Answer:
        answer = await self._answer(chain[-1], rdtype, (*seen, name, *chain[:-1]))
        if isinstance(answer, Failed):
            return replace(answer, name=name)
        return replace(answer, name=name, chain=chain + answer.chain)

    async def _replaced(self, name: str, rdtype: str, proposed: list[Proposal]) -> Found:
        values = tuple(proposal.value for proposal in proposed)
        octets = tuple(proposal.string_octets for proposal in proposed) if rdtype == "TXT" else ()
        ttl = _TTL
        if rdtype == "TXT" and not of_one_protocol(name):
            present = await self._base.query(name, rdtype)
            # Text that the base only sees through a CNAME is hidden: the name now has records of its own.
            if isinstance(present, Found) and not present.chain:
                replaced = {kind for value in values if (kind := kind_of_text(value))}
                remaining = [
                    (value, lengths)
                    for value, lengths in zip(present.values, present.string_octets, strict=False)
                    if value not in values and kind_of_text(value) not in replaced
                ]
                values = (*(value for value, _ in remaining), *values)
                octets = (*(lengths for _, lengths in remaining), *octets)
                ttl = present.ttl
        return Found(name, rdtype, values, ttl, string_octets=octets, server=_SERVER)


def kind_of_text(text: str) -> str:
    """Which kind of record a text is or was meant as; empty for texts without a version that we know."""
    match = _VERSION.match(text)
    return "".join(match[1].lower().split()) if match else ""


def of_one_protocol(name: str) -> bool:
    """Whether every TXT record at a name is one protocol's."""
    labels = name.split(".")
    return not _OWNED_BY_PROTOCOL.isdisjoint(labels) or ("_smtp", "_tls") in pairwise(labels)
