"""Replies with signatures from the records of master files: what a server of these zones would send to a validator.

Apart from ports.zone, as dnspython is loaded here at once; only where a zone is signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset
from dns.rdataclass import IN

from deliverability.core.errors import stop_if_interrupt
from deliverability.core.net.base import Absent, Found
from deliverability.core.net.names import ZoneRecords

MAX_MESSAGE = 65535
_ONE_NAME = ("CNAME", "NS", "PTR", "DNAME")


Nodes = Mapping[str, Mapping[str, ZoneRecords]]


def message(
    names: Sequence[str], rdtype: str, answer: Found | Absent, zone_of: Callable[[str], tuple[str, Nodes]]
) -> bytes | None:
    """The message with an answer; None where the text of a record does not tell its octets for certain.

    Args:
        names: the name asked, and those that lead on by CNAME.
        rdtype: the type.
        answer: what there is at the last of them.
        zone_of: apex and records of the zone that answers for a name.

    """
    made = dns.message.QueryMessage()
    made.flags |= dns.flags.QR | dns.flags.RA
    kind = dns.rdatatype.from_text(rdtype)
    made.question.append(dns.rrset.RRset(_name(names[0]), IN, kind))
    try:
        for owner in names:
            wanted = rdtype if owner == names[-1] else "CNAME"
            apex, nodes = zone_of(owner)
            source = owner if owner in nodes else _wildcard(owner, apex, nodes)
            there = nodes.get(source, {})
            made.answer += _with_signatures(owner, there, wanted)
            if source != owner or wanted not in there:
                made.authority += _denials(owner, source, apex, nodes)
    except (ValueError, dns.exception.DNSException) as error:
        stop_if_interrupt(error)
        return None
    if isinstance(answer, Absent) and answer.nxdomain:
        made.set_rcode(dns.rcode.NXDOMAIN)
    return made.to_wire(max_size=MAX_MESSAGE)


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def _wildcard(name: str, apex: str, nodes: Nodes) -> str:
    """The wildcard that would stand in for a name."""
    encloser = _encloser(name, apex, nodes)
    return "*" if encloser == "." else f"*.{encloser}"


def _encloser(name: str, apex: str, nodes: Nodes) -> str:
    above = name
    while above not in nodes and above != apex:
        above = above.partition(".")[2] or "."
    return above


def _with_signatures(owner: str, node: Mapping[str, ZoneRecords], rdtype: str) -> list[dns.rrset.RRset]:
    """The records of a type, and the signatures over them."""
    records, signatures = node.get(rdtype), node.get("RRSIG")
    if records is None:
        return []
    lengths = records.string_octets or [()] * len(records.values)
    data = [_data(rdtype, value, octets) for value, octets in zip(records.values, lengths, strict=True)]
    found = [dns.rrset.from_rdata_list(_name(owner), records.ttl, data)]
    over = [each for each in signatures.values if each.split(" ", 1)[0] == rdtype] if signatures else []
    if over:
        found.append(dns.rrset.from_text_list(_name(owner), records.ttl, "IN", "RRSIG", over))
    return found


def _data(rdtype: str, value: str, octets: Sequence[int]) -> dns.rdata.Rdata:
    """A record of its text as answers spell it. Raises ValueError where that may stand for other octets."""
    if "\\x" in value:
        raise ValueError(value)
    if rdtype == "TXT":
        whole, strings = value.encode(), []
        for length in octets:
            strings.append(whole[:length])
            whole = whole[length:]
        return dns.rdtypes.ANY.TXT.TXT(IN, dns.rdatatype.TXT, strings)
    if rdtype in _ONE_NAME:
        value = _name(value).to_text()
    elif rdtype == "MX":
        preference, host = value.split(" ")
        value = f"{preference} {_name(host)}"
    elif rdtype == "SOA":
        primary, mailbox, numbers = value.split(" ", 2)
        value = f"{_name(primary)} {_name(mailbox)} {numbers}"
    return dns.rdata.from_text(IN, rdtype, value)


def _denials(owner: str, source: str, apex: str, nodes: Nodes) -> list[dns.rrset.RRset]:
    """What proves that a name, or what it should have, is not there."""
    encloser = _encloser(owner, apex, nodes)
    names = [owner, source, encloser, _next_closer(owner, encloser)]
    hashed = [each for each, node in nodes.items() if "NSEC3" in node]
    chosen: Iterable[str]
    if hashed:
        first = nodes[hashed[0]]["NSEC3"].values[0].split(" ")
        salt = "" if first[3] == "-" else first[3]
        by_hash = sorted((each.partition(".")[0], each) for each in hashed)
        wanted = [dns.dnssec.nsec3_hash(each + ".", salt, int(first[2]), int(first[0])).lower() for each in names]
        chosen = [next((name for key, name in reversed(by_hash) if key <= each), by_hash[-1][1]) for each in wanted]
        rdtype = "NSEC3"
    else:
        plain = sorted((_name(each), each) for each, node in nodes.items() if "NSEC" in node)
        chosen = [next((name for key, name in reversed(plain) if key <= _name(each)), "") for each in (owner, source)]
        rdtype = "NSEC"
    parts = [each for name in dict.fromkeys(chosen) for each in _with_signatures(name, nodes.get(name, {}), rdtype)]
    return [*_with_signatures(apex, nodes.get(apex, {}), "SOA"), *parts]


def _next_closer(name: str, encloser: str) -> str:
    """One label more of the name than its closest encloser has."""
    labels = name.split(".")
    more = len(labels) - (0 if encloser == "." else len(encloser.split("."))) - 1
    return ".".join(labels[max(0, more) :])
