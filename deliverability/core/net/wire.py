"""DNS messages as octets: questions out, replies in as plain values.

Own code, because messages were most of the work of an audit: dnspython takes 64 microseconds to write a question and
115 to 350 to read a reply, this module 2 and 10 to 40 (measured side by side), where all the rest of a question,
socket and event loop included, takes about 80. So what nearly every message consists of (RFC 1035 section 4.1, the
types of `_READ`, EDNS without options) is read here, and strictly. Whatever else a message holds (other types and
classes, repeated records, several questions, lengths or pointers that do not fit) is left to dnspython, whose reading
is the measure: this module reads a message as dnspython does, or not at all. dnspython is imported only where needed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.errors import stop_if_interrupt
from deliverability.core.net.names import MAX_LABEL, MAX_NAME, Labels, dns_name_text, name_text, octets_text, value_text

if TYPE_CHECKING:
    import dns.message

EDNS_PAYLOAD = 1232  # octets, the size that crosses every path unfragmented (DNS flag day 2020)
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

_A, _NS, _CNAME, _SOA, _PTR, _MX, _TXT, _AAAA, _OPT = 1, 2, 5, 6, 12, 15, 16, 28, 41
_READ = {_A: "A", _NS: "NS", _CNAME: "CNAME", _SOA: "SOA", _PTR: "PTR", _MX: "MX", _TXT: "TXT", _AAAA: "AAAA"}
_ASKED = {text: number for number, text in _READ.items()} | {"DS": 43, "TLSA": 52}
_IN = 1
_QR, _OPCODE, _AA, _TC, _RD, _RA, _AD, _CD, _RCODE = (
    *(0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080),
    *(0x0020, 0x0010, 0x000F),
)
_HEADER = struct.Struct("!HHHHHH")  # id, flags, and how many questions, answers, authority and additional records
_QUESTION = struct.Struct("!HH")  # type, class
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of what follows
_LENGTHS = [bytes((length,)) for length in range(MAX_LABEL + 1)]
_TO_ASKED = b"\xc0\x0c"  # the pointer to the name in the question section
_SOA_NUMBERS = struct.Struct("!IIIII")
_EDNS = b"\0" + _RECORD.pack(_OPT, EDNS_PAYLOAD, 0, 0)
_EDNS_DO = b"\0" + _RECORD.pack(_OPT, EDNS_PAYLOAD, 0x8000, 0)
_MAX_POINTERS = 10  # in one name; writers need one
_MAX_RECORDS = 500  # in one message
_MAX_TTL = 0x7FFFFFFF  # seconds; more counts as 0, RFC 2181 section 8


# None of these is ever changed; to freeze them would take as long as to read a message.
class Query(Struct):
    """One question to send.

    Attributes:
        wire: the message.
        ident: its id, random.
        asked: the question section, which a reply repeats.
        labels: the name asked.
        kind: the type asked.

    """

    wire: bytes
    ident: int
    asked: bytes
    labels: Labels
    kind: int


class RRset(Struct):
    """The records of one type at one name: `values` and `string_octets` as in Found, TTL in seconds.

    They are in an order of their own, MX by preference: a set has none (RFC 2181 section 5), and resolvers rotate it.
    """

    ttl: int
    values: tuple[str, ...]
    string_octets: tuple[tuple[int, ...], ...]


class Response(Struct):
    """What a response says.

    Attributes:
        rcode: with the upper bits of EDNS.
        truncated: TC, ask again over TCP.
        authenticated: AD, the resolver validated it with DNSSEC.
        responsible: RA or AA, the server resolves for others or knows the zone itself.
        referral: an empty answer that points elsewhere (RFC 2308 section 2.2): it says nothing about the name.
        answers: the answer section by owner and type; only the asked type and CNAME.
        others: the answer section has other records besides.
        soa: the owner of the SOA record in the authority section, the zone that says so; None without one.
        negative_ttl: seconds an absence holds (RFC 2308 section 5), None where there is no SOA that would say.
        trailing: octets follow the records that the header counts.
        errors: codes of extended errors (RFC 8914).

    """

    rcode: int
    truncated: bool
    authenticated: bool
    responsible: bool
    referral: bool
    answers: Mapping[tuple[str, str], RRset]
    others: bool
    soa: str | None
    negative_ttl: int | None
    trailing: bool
    errors: tuple[int, ...] = ()


def query(labels: Labels, rdtype: str, *, edns: bool, ident: int | None = None, signed: bool = False) -> Query:
    """Write a question for a recursive resolver.

    Args:
        labels: the name, lower case, as :func:`~deliverability.core.net.names.labels_of` gives it.
        rdtype: the type, upper case.
        edns: whether to offer EDNS (RFC 6891), and with it replies of EDNS_PAYLOAD octets.
        ident: its id, random where none is given.
        signed: whether to ask for signatures (DO), and for them even where the resolver finds them wrong (CD).

    Raises:
        ValueError: there is no such type.

    """
    kind = _ASKED.get(rdtype) or _type_number(rdtype)
    if ident is None:
        ident = int.from_bytes(os.urandom(2))  # as `secrets` does, which loads `random` and `hmac`
    name = b"".join([_LENGTHS[len(label)] + label for label in labels])
    asked = b"%b\0%b" % (name, _QUESTION.pack(kind, _IN))
    # AD asks a validating resolver to say whether the answer is authenticated (RFC 6840 section 5.7).
    if signed:
        header = _HEADER.pack(ident, _RD | _CD, 1, 0, 0, 1)
        return Query(header + asked + _EDNS_DO, ident, asked, labels, kind)
    header = _HEADER.pack(ident, _RD | _AD, 1, 0, 0, 1 if edns else 0)
    return Query(header + asked + (_EDNS if edns else b""), ident, asked, labels, kind)


def answers(wire: bytes, to: Query) -> bool:
    """Whether octets are a response to a question: its id, the response bit, and the question itself, in any case."""
    asked = wire[_HEADER.size : _HEADER.size + len(to.asked)]
    if len(wire) < _HEADER.size or asked.lower() != to.asked.lower():
        return False
    ident, flags = struct.unpack_from("!HH", wire)
    return bool(ident == to.ident and flags & _QR and not flags & _OPCODE)


def _type_number(rdtype: str) -> int:
    import dns.exception
    import dns.rdatatype

    try:
        return int(dns.rdatatype.from_text(rdtype))
    except dns.exception.DNSException:
        raise ValueError(f"there is no DNS type {rdtype}") from None


def reply(wire: bytes, to: Query) -> Response | None:
    """Read the response to a question; None where the octets are malformed or answer something else.

    A response has the id of the question, the response bit and the question itself (RFC 5452 section 9.1). Only
    an error may leave the question out.
    """
    if len(wire) < _HEADER.size:
        return None
    ident, flags = struct.unpack_from("!HH", wire)
    if ident != to.ident or not flags & _QR or flags & _OPCODE:
        return None
    try:
        return _common(wire, to)
    except (_UncommonError, struct.error, IndexError):
        return _any(wire, to)


class _UncommonError(Exception):
    """The message is malformed or holds something that this module does not read."""


def _common(wire: bytes, to: Query) -> Response:
    """Read a message of the usual kind.

    Raises:
        _UncommonError: it is none. So are struct.error and IndexError: it ends too early.

    """
    _, flags, questions, answered, authoritative, additional = _HEADER.unpack_from(wire)
    position = _HEADER.size + len(to.asked)
    repeated = wire[_HEADER.size : position]
    type_and_class = -_QUESTION.size
    records = answered + authoritative + additional
    if (
        questions != 1
        or records > _MAX_RECORDS
        # No length octet (up to 63) is a letter, so only letters are compared without case.
        or (
            repeated != to.asked
            and (
                repeated[:type_and_class].lower() != to.asked[:type_and_class]
                or repeated[type_and_class:] != to.asked[type_and_class:]
            )
        )
    ):
        raise _UncommonError
    answers: dict[tuple[str, str], dict[tuple[str, tuple[int, ...]], int]] = {}
    authority: set[int] = set()
    others = False
    soa: str | None = None
    negative_ttl: int | None = None
    options: int | None = None
    for number in range(records):
        begin = position
        if wire[begin : begin + 2] == _TO_ASKED:
            owner, position = None, begin + 2
        else:
            owner, position = _name(wire, begin, len(wire))
        kind, rdclass, ttl, length = _RECORD.unpack_from(wire, position)
        start = position + _RECORD.size
        position = start + length
        if position > len(wire):
            raise _UncommonError
        if kind == _OPT and number >= answered + authoritative and owner == () and not length and options is None:
            options = ttl
            continue
        if rdclass != _IN:
            raise _UncommonError
        ttl = ttl if ttl <= _MAX_TTL else 0
        if answered <= number < answered + authoritative:
            if kind == _SOA:
                if kind in authority:
                    raise _UncommonError
                _soa_numbers(wire, start, position)
                soa = name_text(to.labels if owner is None else owner)
                negative_ttl = min(ttl, int.from_bytes(wire[position - 4 : position], "big"))
            else:
                _value(wire, kind, start, position)
            authority.add(kind)
            continue
        value = _value(wire, kind, start, position)
        if number >= answered:
            continue
        if kind not in (to.kind, _CNAME):
            others = True
        else:
            name = name_text(to.labels if owner is None else owner)
            same = answers.setdefault((name, _READ[kind]), {})
            # Repeated records, more than one where there is one at most, text that may stand for two names.
            if value in same or (same and kind in (_CNAME, _SOA)) or "\\" in name:
                raise _UncommonError
            same[value] = ttl
    return Response(
        rcode=flags & _RCODE | (options or 0) >> 20 & 0xFF0,
        truncated=bool(flags & _TC),
        authenticated=bool(flags & _AD),
        responsible=bool(flags & (_RA | _AA)),
        referral=not answered and _NS in authority and _SOA not in authority,
        answers={key: _rrset(key[1], same) for key, same in answers.items()},
        others=others,
        soa=soa,
        negative_ttl=negative_ttl,
        trailing=position != len(wire),
    )


def _rrset(kind: str, same: Mapping[tuple[str, tuple[int, ...]], int]) -> RRset:
    """Records of one type at one name, each with its TTL, as a set."""
    if len(same) == 1:
        ((text, octets),) = same
        return RRset(min(same.values()), (text,), (octets,))
    ordered = sorted(same, key=_by_preference if kind == "MX" else None)
    return RRset(min(same.values()), tuple([text for text, _ in ordered]), tuple([octets for _, octets in ordered]))


def _by_preference(record: tuple[str, tuple[int, ...]]) -> tuple[int, str]:
    preference, _, host = record[0].partition(" ")
    return int(preference), host


def _soa_numbers(wire: bytes, start: int, end: int) -> int:
    """Where the numbers of a SOA record begin, which stand at its end."""
    _, start = _name(wire, start, end)
    _, start = _name(wire, start, end)
    if start + _SOA_NUMBERS.size != end:
        raise _UncommonError
    return start


def _name(wire: bytes, position: int, end: int) -> tuple[Labels, int]:
    """Read a name that may be compressed (RFC 1035 section 4.1.4).

    A pointer must lead backwards, and the octets it leads to end before those that led there: so no octet is read
    twice.

    Args:
        wire: the message.
        position: where the name begins.
        end: where what holds it ends.

    Returns:
        the labels as sent and the position after the name.

    """
    labels: list[bytes] = []
    length = 1  # on the wire, with the root
    begin = position
    after = 0  # known from the first pointer on
    pointers = 0
    while True:
        if position >= end:  # also after a label that ran over it
            raise _UncommonError
        size = wire[position]
        position += 1
        if size == 0:
            return tuple(labels), after or position
        if size < 0x40:
            length += size + 1
            if length > MAX_NAME:
                raise _UncommonError
            labels.append(wire[position : position + size])
            position += size
        else:
            pointers += 1
            if size < 0xC0 or position >= end or pointers > _MAX_POINTERS:
                raise _UncommonError
            target = (size & 0x3F) << 8 | wire[position]
            after = after or position + 1
            if not _HEADER.size <= target < begin:
                raise _UncommonError
            end = begin
            position = begin = target


def _value(wire: bytes, kind: int, start: int, end: int) -> tuple[str, tuple[int, ...]]:
    """One record as text, spelt as `value_text` in names does, and the octets of its strings.

    Args:
        wire: the message.
        kind: the type.
        start: where the data of the record begins.
        end: where it ends.

    """
    if kind == _TXT:
        strings = []
        while start < end:
            after = start + 1 + wire[start]
            strings.append(wire[start + 1 : after])
            start = after
        if start != end or not strings:
            raise _UncommonError
        return octets_text(b"".join(strings)), tuple(len(string) for string in strings)
    text = ""
    if kind == _A and end - start == 4:
        text = inet_ntoa(wire[start:end])
        start = end
    elif kind == _AAAA and end - start == 16:
        text = _ipv6(wire[start:end])
        start = end
    elif kind in (_NS, _CNAME, _PTR):
        name, start = _name(wire, start, end)
        text = name_text(name)
    elif kind == _MX and end - start > 2:
        name, after = _name(wire, start + 2, end)
        text = f"{int.from_bytes(wire[start : start + 2], 'big')} {name_text(name)}"
        start = after
    elif kind == _SOA:
        primary, start = _name(wire, start, end)
        mailbox, start = _name(wire, start, end)
        numbers = " ".join(str(number) for number in _SOA_NUMBERS.unpack_from(wire, start))
        text = f"{name_text(primary)} {name_text(mailbox)} {numbers}"
        start += _SOA_NUMBERS.size
    if start != end or not text:
        raise _UncommonError
    return text, ()


def _ipv6(octets: bytes) -> str:
    """An address as dnspython writes it; how systems write those that hold an IPv4 address differs."""
    if octets[0]:
        return inet_ntop(AF_INET6, octets)
    from dns.ipv6 import inet_ntoa as dnspython

    return dnspython(octets)


# --- by way of dnspython ------------------------------------------------------------------------------------------


def _any(wire: bytes, to: Query) -> Response | None:
    """Read any response."""
    import dns.message

    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, one_rr_per_rrset=True)
        if not dns.message.from_wire(to.wire).is_response(message):
            return None
        return _plain(message, trailing=_trailing(wire))
    except Exception as error:  # dnspython raises many kinds for hostile octets; to us all mean: not a reply
        stop_if_interrupt(error)
        return None


def _trailing(wire: bytes) -> bool:
    """Whether octets follow a message that is one otherwise."""
    import dns.message

    try:
        dns.message.from_wire(wire)
    except dns.message.TrailingJunk:
        return True
    return False


def _plain(message: dns.message.Message, *, trailing: bool) -> Response:
    import dns.flags
    from dns.edns import EDEOption
    from dns.rdataclass import IN
    from dns.rdatatype import NS, SOA
    from dns.rdatatype import to_text as type_text

    wanted = {"CNAME", *(type_text(asked.rdtype) for asked in message.question)}
    answers: dict[tuple[str, str], dict[tuple[str, tuple[int, ...]], int]] = {}
    others = False
    for rrset in message.answer:
        kind = type_text(rrset.rdtype)
        if rrset.rdclass != IN or kind not in wanted:
            others = True
            continue
        same = answers.setdefault((dns_name_text(rrset.name), kind), {})
        for rdata in rrset:
            value = value_text(rdata)
            same[value] = min(rrset.ttl, same.get(value, rrset.ttl))
    authority = [rrset for rrset in message.authority if rrset.rdclass == IN]
    soa = next((rrset for rrset in authority if rrset.rdtype == SOA), None)
    return Response(
        rcode=int(message.rcode()),
        truncated=bool(message.flags & dns.flags.TC),
        authenticated=bool(message.flags & dns.flags.AD),
        responsible=bool(message.flags & (dns.flags.RA | dns.flags.AA)),
        referral=not message.answer and soa is None and any(rrset.rdtype == NS for rrset in authority),
        answers={key: _rrset(key[1], same) for key, same in answers.items()},
        others=others,
        soa=None if soa is None else dns_name_text(soa.name),
        # The last field of a SOA is its minimum.
        negative_ttl=None if soa is None else min(soa.ttl, int(value_text(soa[0])[0].rsplit(" ", 1)[1])),
        trailing=trailing,
        errors=tuple(int(option.code) for option in message.options if isinstance(option, EDEOption)),
    )
