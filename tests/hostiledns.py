"""Name servers that answer beside the question: what they send must not be taken for "there is no such record".

Each is a :data:`~tests.dnsserver.Reply`: of the question and the honest answer it makes what is sent instead.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.dnsserver import Reply

Message = dns.message.Message
SOA = "ns.example. root.example. 1 2 3 4 60"


def _record(message: Message, section: str, name: str, rdtype: str, data: str, rdclass: str = "IN") -> None:
    getattr(message, section).append(dns.rrset.from_text(name, 60, rdclass, rdtype, data))


def _empty(query: Message, flags: int = dns.flags.RA) -> Message:
    message = dns.message.make_response(query)
    message.flags |= flags
    return message


def _named(query: Message) -> str:
    return query.question[0].name.to_text()


def _octets(message: Message) -> bytes:
    return message.to_wire(max_size=65535)


def empty(change: Callable[[Message, str], None], *, flags: int = dns.flags.RA) -> Reply:
    """An empty answer, changed: the second argument is the name asked."""

    def reply(query: Message, honest: Message, transport: str) -> list[bytes]:
        message = _empty(query, flags)
        change(message, _named(query))
        return [_octets(message)]

    return reply


def coded(rcode: str, *, full: bool = False, soa: str | None = None) -> Reply:
    """An answer with a response code; `full`: with the honest records, `soa`: with the SOA record of that zone."""

    def reply(query: Message, honest: Message, transport: str) -> list[bytes]:
        message = honest if full else _empty(query)
        message.set_rcode(dns.rcode.from_text(rcode))
        if soa is not None:
            _record(message, "authority", _named(query) if soa == "asked" else soa, "SOA", SOA)
        return [_octets(message)]

    return reply


def cut(transports: tuple[str, ...], *, full: bool = False, soa: bool = False) -> Reply:
    """TC over these transports; over others the connection is closed."""

    def reply(query: Message, honest: Message, transport: str) -> list[bytes]:
        if transport not in transports:
            raise ConnectionResetError
        message = honest if full else _empty(query)
        message.flags |= dns.flags.TC
        if soa:
            _record(message, "authority", _named(query), "SOA", SOA)
        return [_octets(message)]

    return reply


def mangled(change: Callable[[bytes], bytes]) -> Reply:
    """The honest answer, its octets changed."""
    return lambda query, honest, transport: [change(_octets(honest))]


def extended(code: int) -> Reply:
    """An empty answer with the zone's SOA record and an extended error (RFC 8914)."""

    def reply(query: Message, honest: Message, transport: str) -> list[bytes]:
        message = _empty(query)
        _record(message, "authority", _named(query), "SOA", SOA)
        message.use_edns(0, payload=1232, options=[dns.edns.EDEOption(code)])
        return [_octets(message)]

    return reply


def _without_records(octets: bytes) -> bytes:
    """The counts of the header say that there are none; the records follow all the same."""
    return octets[:6] + bytes(6) + octets[12:]


def _another_question(query: Message, honest: Message, transport: str) -> list[bytes]:
    asked = query.question[0]
    other = dns.message.make_query("other.example.", asked.rdtype, id=query.id)
    return [_octets(_empty(other))]


def _no_question(query: Message, honest: Message, transport: str) -> list[bytes]:
    return [struct.pack("!HHHHHH", query.id, 0x8180, 0, 0, 0, 0)]


def _another_type(query: Message, honest: Message, transport: str) -> list[bytes]:
    other = dns.message.make_query(query.question[0].name, "HINFO", id=query.id)
    return [_octets(_empty(other))]


def _bad_version(query: Message, honest: Message, transport: str) -> list[bytes]:
    message = _empty(query)
    if query.edns < 0:
        message.set_rcode(dns.rcode.SERVFAIL)
    else:
        message.set_rcode(dns.rcode.BADVERS)
    return [_octets(message)]


def _two_aliases(query: Message, honest: Message, transport: str) -> list[bytes]:
    # Written by hand: dnspython keeps one alias of a name.
    octets = _octets(_empty(dns.message.make_query(query.question[0].name, query.question[0].rdtype, id=query.id)))
    records = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(target)) + target
        for target in (b"\x07nowhere\x07example\0", b"\x09elsewhere\x07example\0")
    )
    return [octets[:2] + b"\x81\x80\0\x01\0\x02\0\0\0\0" + octets[12:] + records]


def _aliases(*targets: str) -> Reply:
    """A chain of aliases from the name asked, in one reply; "asked" is that name again."""

    def reply(query: Message, honest: Message, transport: str) -> list[bytes]:
        message = _empty(query)
        owner = _named(query)
        for target in targets:
            target = _named(query) if target == "asked" else target
            _record(message, "answer", owner, "CNAME", target)
            owner = target
        return [_octets(message)]

    return reply


def _delegated_alias(query: Message, honest: Message, transport: str) -> list[bytes]:
    """DNAME without the CNAME that goes with it (RFC 6672 section 3.1)."""
    message = _empty(query)
    _record(message, "answer", query.question[0].name.parent().to_text(), "DNAME", "elsewhere.test.")
    return [_octets(message)]


def _other_class(message: Message, name: str) -> None:
    rdtype = dns.rdatatype.to_text(message.question[0].rdtype)
    data = {"MX": "10 mx.example.", "TXT": '"v=spf1 -all"', "A": "192.0.2.1"}.get(rdtype, "192.0.2.1")
    message.answer.append(dns.rrset.from_text_list(name, 60, "CH", rdtype if rdtype != "A" else "TXT", [data]))


HOSTILE: dict[str, Reply] = {
    # Truncated.
    "TC everywhere": cut(("udp", "tcp", "https")),
    "TC everywhere, with SOA": cut(("udp", "tcp", "https"), soa=True),
    "TC, no connection": cut(("udp",)),
    "TC with records, no connection": cut(("udp",), full=True),
    # Records that were not asked for.
    "A record of the name": empty(lambda m, name: _record(m, "answer", name, "AAAA", "2001:db8::1")),
    "A record of the name, with SOA": empty(
        lambda m, name: (
            _record(m, "answer", name, "AAAA", "2001:db8::1"),  # type: ignore[func-returns-value]
            _record(m, "authority", name, "SOA", SOA),
        )[0]
    ),
    "records of another name": empty(lambda m, _: _record(m, "answer", "other.example.", "A", "192.0.2.1")),
    "an alias of another name": empty(lambda m, _: _record(m, "answer", "other.example.", "CNAME", "a.example.")),
    "SOA as the answer": empty(lambda m, name: _record(m, "answer", name, "SOA", SOA)),
    "another class": empty(_other_class),
    "DNAME alone": _delegated_alias,
    # Empty answers of somebody who does not know the zone.
    "empty, neither RA nor AA": empty(lambda m, name: None, flags=0),
    "referral": empty(lambda m, name: _record(m, "authority", name, "NS", "ns.example.")),
    "referral with AA": empty(lambda m, name: _record(m, "authority", name, "NS", "a.example."), flags=dns.flags.AA),
    "referral to the root": empty(lambda m, _: _record(m, "authority", ".", "NS", "a.root-servers.net.")),
    "SOA of another zone": empty(lambda m, _: _record(m, "authority", "invalid.", "SOA", SOA)),
    "SOA of a zone below": empty(lambda m, name: _record(m, "authority", f"below.{name}", "SOA", SOA)),
    "SOA of the root": empty(lambda m, _: _record(m, "authority", ".", "SOA", SOA)),
    "SOA of a name that ends alike": empty(
        lambda m, name: _record(m, "authority", f"{name.split('.')[-2][1:]}.", "SOA", SOA)
    ),
    "SOA of another class": empty(lambda m, name: _record(m, "authority", name, "SOA", SOA, "CH"), flags=0),
    # Response codes.
    **{f"{code} with records": coded(code, full=True) for code in ("SERVFAIL", "REFUSED", "NOTIMP", "FORMERR")},
    **{f"{code} with SOA": coded(code, soa="asked") for code in ("SERVFAIL", "REFUSED", "NOTIMP", "YXDOMAIN")},
    "NXDOMAIN with records": coded("NXDOMAIN", full=True),
    "NXDOMAIN with records and SOA": coded("NXDOMAIN", full=True, soa="asked"),
    "NXDOMAIN of a zone of that name": coded("NXDOMAIN", soa="asked"),
    "NXDOMAIN of another zone": coded("NXDOMAIN", soa="invalid."),
    "NOTAUTH": coded("NOTAUTH"),
    "a code without a name": coded("11"),
    "BADVERS, then SERVFAIL": _bad_version,
    # Extended errors of an answer that was changed on the way.
    **{f"extended error {code}": extended(code) for code in (4, 15, 16, 17, 18)},
    # Not an answer to this question.
    "another question": _another_question,
    "another type in the question": _another_type,
    "no question": _no_question,
    "another id": mangled(lambda octets: bytes((octets[0] ^ 1,)) + octets[1:]),
    "not a response": mangled(lambda octets: octets[:2] + bytes((octets[2] & 0x7F,)) + octets[3:]),
    "another opcode": mangled(lambda octets: octets[:2] + bytes((octets[2] | 0x20,)) + octets[3:]),
    # Octets that are not a message, or only half of one.
    "counts of nothing": mangled(_without_records),
    "cut in the middle": mangled(lambda octets: octets[: len(octets) // 2]),
    "a record longer than the message": mangled(lambda octets: octets[:-1]),
    "one octet": mangled(lambda octets: octets[:1]),
    # Aliases.
    "an alias of itself": _aliases("asked"),
    "aliases in a circle": _aliases("one.example.", "two.example.", "asked"),
    "aliases without end": _aliases(*(f"{n}.example." for n in range(20))),
    "two aliases of one name": _two_aliases,
}
