"""DNS messages as octets. dnspython is the measure: what we write it must read, what we read it must read alike."""

from __future__ import annotations

import itertools
import struct

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import HealthCheck, assume, event, given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.net import wire
from deliverability.core.net.names import MAX_NAME
from tests.sampled import examples

pytestmark = pytest.mark.long

COMMON = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "TXT"]
UNCOMMON = ["CAA", "DNAME", "DNSKEY", "DS", "SRV", "TLSA", "TYPE65280"]
EXAMPLE = (b"example", b"com")
HEAD = 12  # octets of the header


def response(query: wire.Query, *records: str, authority: str = "", options: tuple[dns.edns.Option, ...] = ()) -> bytes:
    """What a server sends that has these records, each as ``NAME TTL TYPE DATA``."""
    message = dns.message.make_response(dns.message.from_wire(query.wire))
    for section, texts in ((message.answer, records), (message.authority, (authority,) if authority else ())):
        for text in texts:
            name, ttl, rdtype, data = text.split(" ", 3)
            section.append(dns.rrset.from_text(name, int(ttl), "IN", rdtype, data))
    message.use_edns(0, payload=1232, options=list(options))
    return message.to_wire()


def read_by_ourselves(octets: bytes, query: wire.Query) -> wire.Response | None:
    """The reading of our own reader; None where it leaves the message to dnspython."""
    try:
        return wire._common(octets, query)
    except (wire._UncommonError, struct.error, IndexError):
        return None


# --- questions ---


@pytest.mark.parametrize("edns", [True, False])
@pytest.mark.parametrize("rdtype", [*COMMON, *UNCOMMON])
@pytest.mark.parametrize("labels", [(), EXAMPLE, (b"x" * 63, b"\x00\xff. ", b"_dmarc")])
def test_a_question_is_written_as_dnspython_writes_it(labels: tuple[bytes, ...], rdtype: str, edns: bool) -> None:
    query = wire.query(labels, rdtype, edns=edns)
    theirs = dns.message.make_query(
        dns.name.Name((*labels, b"")), rdtype, use_edns=0 if edns else -1, payload=1232, flags=0x0120, id=query.ident
    )
    assert query.wire == theirs.to_wire()


def test_ids_are_not_predictable_from_each_other() -> None:
    ids = [wire.query(EXAMPLE, "A", edns=True).ident for _ in range(200)]
    assert len(set(ids)) > 190
    assert len({after - before for before, after in itertools.pairwise(ids)}) > 190


def test_a_type_that_does_not_exist_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="no DNS type NONSENSE"):
        wire.query(EXAMPLE, "NONSENSE", edns=True)


# --- what a response is ---


def test_a_response_is_read_into_plain_values() -> None:
    query = wire.query((b"www", *EXAMPLE), "A", edns=True)
    octets = response(query, "www.example.com. 60 CNAME Host.Example.NET.", "host.example.net. 30 A 192.0.2.1")
    assert wire.reply(octets, query) == wire.Response(
        rcode=wire.NOERROR,
        truncated=False,
        authenticated=False,
        responsible=False,
        referral=False,
        answers={
            ("www.example.com", "CNAME"): wire.RRset(60, ("host.example.net",), ((),)),
            ("host.example.net", "A"): wire.RRset(30, ("192.0.2.1",), ((),)),
        },
        others=False,
        soa=None,
        negative_ttl=None,
        trailing=False,
    )


@pytest.mark.parametrize(
    ("rdtype", "data"),
    [
        ("A", ("192.0.2.2", "192.0.2.10", "192.0.2.1")),
        ("MX", ("10 b.example.", "5 c.example.", "10 a.example.")),
        ("NS", ("b.example.", "a.example.")),
        ("TXT", ('"v=spf1 -all"', '"a" "b"', '"b"')),
        ("TLSA", ("3 1 0 BB", "3 1 0 AA", "2 1 0 CC")),
    ],
)
def test_the_order_of_a_record_set_says_nothing(rdtype: str, data: tuple[str, ...]) -> None:
    """RFC 2181 section 5; resolvers rotate record sets."""
    query = wire.query(EXAMPLE, rdtype, edns=True)
    first, *others = [
        wire.reply(response(query, *[f"example.com. 60 {rdtype} {value}" for value in order]), query)
        for order in itertools.permutations(data)
    ]
    assert first is not None
    assert first.answers
    assert all(other == first for other in others)


def test_mail_exchangers_stand_by_preference() -> None:
    query = wire.query(EXAMPLE, "MX", edns=True)
    octets = response(query, *[f"example.com. 60 MX {value}" for value in ("10 b.test.", "5 c.test.", "10 a.test.")])
    reply = wire.reply(octets, query)
    assert reply is not None
    assert reply.answers["example.com", "MX"].values == ("5 c.test", "10 a.test", "10 b.test")


def test_another_case_of_the_question_is_the_same_question() -> None:
    query = wire.query(EXAMPLE, "A", edns=True)
    octets = response(query, "example.com. 60 A 192.0.2.1").replace(b"\x07example\x03com", b"\x07eXaMpLe\x03COM")
    assert read_by_ourselves(octets, query) == wire.reply(response(query, "example.com. 60 A 192.0.2.1"), query)


@pytest.mark.parametrize(
    ("start", "stop", "octets"),
    [
        pytest.param(0, 2, None, id="another id"),
        pytest.param(2, 3, b"\x01", id="a question, not a response"),
        pytest.param(2, 3, b"\x91", id="another opcode"),
        pytest.param(HEAD + 1, HEAD + 2, b"f", id="another name"),
        pytest.param(HEAD + 13, HEAD + 15, b"\x00\x1c", id="another type"),
        pytest.param(HEAD + 15, HEAD + 17, b"\x00\x03", id="another class"),
        pytest.param(4, 6, b"\x00\x00", id="no question"),
        pytest.param(4, 6, b"\x00\x02", id="two questions"),
        pytest.param(HEAD - 1, None, b"", id="less than a header"),
        pytest.param(HEAD + 20, None, b"", id="cut off"),
        pytest.param(0, None, b"", id="nothing"),
    ],
)
def test_what_does_not_answer_the_question_is_no_reply(start: int, stop: int | None, octets: bytes | None) -> None:
    query = wire.query(EXAMPLE, "A", edns=True)
    good = bytearray(response(query, "example.com. 60 A 192.0.2.1"))
    assert wire.reply(bytes(good), query) is not None
    good[start:stop] = struct.pack("!H", query.ident ^ 1) if octets is None else octets
    assert wire.reply(bytes(good), query) is None


@pytest.mark.parametrize(
    ("rcode", "accepted"), [("FORMERR", True), ("SERVFAIL", True), ("REFUSED", True), ("NXDOMAIN", False)]
)
def test_only_an_error_may_leave_the_question_out(rcode: str, accepted: bool) -> None:
    query = wire.query(EXAMPLE, "A", edns=True)
    octets = struct.pack("!HHHHHH", query.ident, 0x8180 | dns.rcode.from_text(rcode), 0, 0, 0, 0)
    assert (wire.reply(octets, query) is not None) is accepted


def test_the_upper_bits_of_the_rcode_come_from_edns() -> None:
    query = wire.query(EXAMPLE, "A", edns=True)
    message = dns.message.make_response(dns.message.from_wire(query.wire))
    message.set_rcode(dns.rcode.BADVERS)
    reply = read_by_ourselves(message.to_wire(), query)
    assert reply is not None
    assert reply.rcode == wire.BADVERS


@pytest.mark.parametrize(
    ("authority", "referral", "negative_ttl"),
    [
        ("", False, None),
        ("com. 60 NS ns.example.", True, None),
        ("example.com. 300 SOA a. b. 1 2 3 4 60", False, 60),
        ("example.com. 60 SOA a. b. 1 2 3 4 300", False, 60),
        ("example.com. 60 SOA a. b. 1 2 3 4 4294967295", False, 60),
    ],
)
def test_an_absence_holds_as_long_as_the_soa_says(authority: str, referral: bool, negative_ttl: int | None) -> None:
    query = wire.query(EXAMPLE, "TXT", edns=True)
    reply = read_by_ourselves(response(query, authority=authority), query)
    assert reply is not None
    assert (reply.referral, reply.negative_ttl) == (referral, negative_ttl)


@pytest.mark.parametrize(
    "record",
    [
        'example.com. 60 TXT "v=spf1 " "-all" ""',
        r'example.com. 60 TXT "gr\195\188\195\159e" "\000\255\\"',
        r"example.com. 60 MX 10 a\.b.\255\032.example.",
        "example.com. 60 MX 0 .",
        "example.com. 60 SOA ns.example. host\\.master.example. 4294967295 1 2 3 4",
        *(
            f"example.com. 60 AAAA {address}"
            for address in ["::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1::", "2001:0:0:1:0:0:0:1"]
        ),
    ],
)
def test_values_are_spelt_alike_by_both_readers(record: str) -> None:
    query = wire.query(EXAMPLE, record.split(" ")[2], edns=True)
    octets = response(query, record)
    ours = read_by_ourselves(octets, query)
    assert ours is not None
    assert ours == wire._any(octets, query)


@pytest.mark.parametrize(
    ("rdtype", "records", "options"),
    [
        ("TLSA", ("example.com. 60 TLSA 3 1 1 " + "ab" * 32,), ()),
        ("DS", ("example.com. 60 DS 1 8 2 " + "cd" * 32,), ()),
        ("A", ("example.com. 60 DNAME example.net.", "example.com. 60 A 192.0.2.1"), ()),
        ("A", ("example.com. 60 A 192.0.2.1",), (dns.edns.EDEOption(3, "stale"),)),
        ("A", (r"a\.b.example. 60 CNAME example.com.", "example.com. 60 A 192.0.2.1"), ()),
    ],
)
def test_what_is_uncommon_is_read_by_way_of_dnspython(
    rdtype: str, records: tuple[str, ...], options: tuple[dns.edns.Option, ...]
) -> None:
    query = wire.query(EXAMPLE, rdtype, edns=True)
    octets = response(query, *records, options=options)
    assert read_by_ourselves(octets, query) is None
    reply = wire.reply(octets, query)
    assert reply is not None
    assert ("example.com", rdtype) in reply.answers


def with_records(*records: tuple[int, int, bytes]) -> tuple[bytes, wire.Query]:
    """A response to a question for A, with an A record for each class, TTL and address."""
    query = wire.query(EXAMPLE, "A", edns=False)
    head = struct.pack("!HHHHHH", query.ident, 0x8180, 1, len(records), 0, 0)
    data = (b"\xc0\x0c" + struct.pack("!HHIH", 1, *record[:2], 4) + record[2] for record in records)
    return b"".join([head, query.asked, *data]), query


@pytest.mark.parametrize("ttls", [(60, 30), (30, 60)])
def test_a_repeated_record_counts_once_with_the_smallest_ttl(ttls: tuple[int, int]) -> None:
    octets, query = with_records(*((1, ttl, b"\xc0\x00\x02\x01") for ttl in ttls))
    reply = wire.reply(octets, query)
    assert reply is not None
    assert reply.answers == {("example.com", "A"): wire.RRset(30, ("192.0.2.1",), ((),))}


@pytest.mark.parametrize("kept", range(12, 45))
def test_a_message_that_is_cut_off_is_no_reply(kept: int) -> None:
    octets, query = with_records((1, 60, b"\xc0\x00\x02\x01"))
    assert len(octets) == 45
    assert wire.reply(octets, query) is not None
    assert read_by_ourselves(octets[:kept], query) is None
    assert wire.reply(octets[:kept], query) is None


def test_records_of_another_class_are_no_answer() -> None:
    octets, query = with_records((4, 60, b"\xc0\x00\x02\x01"), (1, 60, b"\xc0\x00\x02\x02"))
    reply = wire.reply(octets, query)
    assert reply is not None
    assert reply.answers == {("example.com", "A"): wire.RRset(60, ("192.0.2.2",), ((),))}


def test_a_ttl_beyond_the_limit_counts_as_none() -> None:
    octets, query = with_records((1, 0x80000000, b"\xc0\x00\x02\x01"))
    reply = read_by_ourselves(octets, query)
    assert reply is not None
    assert reply.answers["example.com", "A"].ttl == 0


@pytest.mark.parametrize(("count", "accepted"), [(1, True), (2, False)])
def test_edns_is_spoken_once_or_not_at_all(count: int, accepted: bool) -> None:
    query = wire.query(EXAMPLE, "A", edns=True)
    option = b"\x00" + struct.pack("!HHIH", 41, 1232, 0, 0)
    octets = struct.pack("!HHHHHH", query.ident, 0x8180, 1, 0, 0, count) + query.asked + option * count
    assert (read_by_ourselves(octets, query) is not None) is accepted
    assert (wire.reply(octets, query) is not None) is accepted


# --- hostile names ---


def with_name(name: bytes) -> tuple[bytes, wire.Query, int]:
    """A response whose only record has an owner of these octets, and where these begin."""
    query = wire.query(EXAMPLE, "A", edns=False)
    head = struct.pack("!HHHHHH", query.ident, 0x8180, 1, 1, 0, 0) + query.asked
    return head + name + struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc0\x00\x02\x01", query, len(head)


def pointer(position: int) -> bytes:
    return struct.pack("!H", 0xC000 | position)


HERE = with_name(b"")[2]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(pointer(HERE), id="to itself"),
        pytest.param(b"\x01a" + pointer(HERE), id="to its own beginning"),
        pytest.param(pointer(HERE + 2) + pointer(HERE), id="two that point at each other"),
        pytest.param(pointer(HERE + 2) + b"\x01a\x00", id="forwards"),
        pytest.param(pointer(0x3FFF), id="beyond the end"),
        pytest.param(b"\x40" + b"a" * 64 + b"\x00", id="a label type that does not exist"),
        pytest.param(b"\x80a", id="another label type"),
        pytest.param(b"\x3fa", id="a label that runs over the end"),
        pytest.param((b"\x3f" + b"a" * 63) * 4 + b"\x00", id="longer than a name can be"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: bytes) -> None:
    octets, query, _ = with_name(name)
    assert read_by_ourselves(octets, query) is None
    assert wire.reply(octets, query) is None


def test_what_a_pointer_leads_to_ends_before_the_name_that_leads_there() -> None:
    octets, query, start = with_name(pointer(HERE - 1))
    assert (octets[start - 1], octets[start + 1]) == (1, 28), "labels of 1 and 28 octets, and then a root"
    with pytest.raises(wire._UncommonError):
        wire._name(octets + b"\x00" * 40, start, len(octets) + 40)
    assert wire.reply(octets + b"\x00" * 40, query) is None


def test_the_longest_name_is_read() -> None:
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00"
    assert len(longest) == MAX_NAME
    octets, query, _ = with_name(longest)
    assert read_by_ourselves(octets, query) is not None


def test_a_name_does_not_reach_over_the_end_of_its_record() -> None:
    query = wire.query(EXAMPLE, "NS", edns=False)
    head = struct.pack("!HHHHHH", query.ident, 0x8180, 1, 1, 0, 0) + query.asked + b"\xc0\x0c"
    name = b"\x02ns\xc0\x0c"
    right = head + struct.pack("!HHIH", 2, 1, 60, len(name)) + name
    assert read_by_ourselves(right, query) is not None
    for length in (0, 1, 3, 4, len(name) + 1):
        wrong = head + struct.pack("!HHIH", 2, 1, 60, length) + name + b"\x00" * 8
        assert wire.reply(wrong, query) is None


def test_many_records_are_left_to_dnspython_and_none_is_lost() -> None:
    query = wire.query(EXAMPLE, "A", edns=True)
    addresses = [f"10.0.{n // 250}.{n % 250}" for n in range(wire._MAX_RECORDS + 1)]
    message = dns.message.make_response(dns.message.from_wire(query.wire))
    message.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "A", *addresses))
    octets = message.to_wire(max_size=65535, want_shuffle=False)
    assert read_by_ourselves(octets, query) is None
    reply = wire.reply(octets, query)
    assert reply is not None
    assert reply.answers["example.com", "A"].values == tuple(sorted(addresses))


# --- against dnspython ---

octet_strings = st.binary(max_size=30) | st.binary(min_size=255, max_size=255)
labels = st.sampled_from([b"mail", b"MX", b"_dmarc", b"a.b", b"\\x2e", b"\xff", b"x" * 63]) | st.binary(
    min_size=1, max_size=10
)
owners = st.lists(labels, max_size=2).map(lambda own: dns.name.Name((*own, *EXAMPLE, b""))) | st.just(dns.name.root)
small, large = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


def rdata_of(rdtype: str) -> st.SearchStrategy[bytes]:
    """The data of a record, uncompressed."""
    name = owners.map(lambda owner: owner.to_wire() or b"")
    match rdtype:
        case "A":
            return st.binary(min_size=4, max_size=4)
        case "AAAA":
            return st.binary(min_size=16, max_size=16) | st.lists(
                st.sampled_from([b"\0\0", b"\xff\xff", b"\0\1", b"\x20\x01"]), min_size=8, max_size=8
            ).map(b"".join)
        case "CNAME" | "NS" | "PTR" | "DNAME":
            return name
        case "MX":
            return st.builds(lambda preference, host: struct.pack("!H", preference) + host, small, name)
        case "TXT":
            return st.lists(octet_strings, min_size=1, max_size=4).map(
                lambda strings: b"".join(bytes([len(string)]) + string for string in strings)
            )
        case "SOA":
            numbers = st.tuples(large, large, large, large, large).map(lambda five: struct.pack("!IIIII", *five))
            return st.builds(lambda *parts: b"".join(parts), name, name, numbers)
        case "TLSA":
            return st.binary(min_size=32, max_size=32).map(lambda digest: b"\3\1\1" + digest)
    return st.binary(max_size=20)


@st.composite
def records(draw: st.DrawFn, types: list[str]) -> dns.rrset.RRset:
    rdtype = draw(st.sampled_from(types))
    data = draw(st.lists(rdata_of(rdtype), min_size=1, max_size=3))
    try:
        rdatas = [dns.rdata.from_wire("IN", rdtype, octets, 0, len(octets)) for octets in data]
    except dns.exception.DNSException:
        assume(False)
    return dns.rrset.from_rdata_list(draw(owners), draw(large), rdatas)


@st.composite
def responses(draw: st.DrawFn, types: list[str]) -> tuple[bytes, wire.Query]:
    """A well-formed response as dnspython compresses it."""
    asked = draw(owners)
    query = wire.query(tuple(asked.canonicalize().labels[:-1]), draw(st.sampled_from(types)), edns=draw(st.booleans()))
    query = replace(query, wire=b"\0\7" + query.wire[2:], ident=7)  # the same example again next time
    message = dns.message.make_response(dns.message.from_wire(query.wire))
    message.flags |= draw(st.sampled_from([0, dns.flags.AA, dns.flags.TC, dns.flags.AD | dns.flags.RA]))
    for section in (message.answer, message.authority, message.additional):
        section.extend(draw(st.lists(records(types), max_size=3)))
    message.set_rcode(draw(st.sampled_from([0, 0, 2, 3, 5])))
    return message.to_wire(max_size=65535, want_shuffle=False), query


differential = examples(200, suppress_health_check=[HealthCheck.filter_too_much])


@differential
@given(responses(COMMON))
def test_every_message_of_the_common_types_is_read_as_dnspython_reads_it(given: tuple[bytes, wire.Query]) -> None:
    octets, query = given
    theirs = wire._any(octets, query)
    assert theirs is not None
    assert wire.reply(octets, query) == theirs
    ours = read_by_ourselves(octets, query)
    event("read by ourselves" if ours else "left to dnspython")
    assert ours in (None, theirs)


@differential
@given(responses([*COMMON, "DNAME", "TLSA", "TYPE65280"]))
def test_every_message_is_read_as_dnspython_reads_it(given: tuple[bytes, wire.Query]) -> None:
    octets, query = given
    theirs = wire._any(octets, query)
    assert theirs is not None
    assert wire.reply(octets, query) == theirs


edits = st.lists(
    st.tuples(st.sampled_from(["set", "insert", "delete"]), small, st.binary(min_size=1, max_size=3))
    | st.tuples(st.just("set"), small, small.map(lambda position: pointer(position % 200))),
    min_size=1,
    max_size=4,
)


def damaged_is_read_as_dnspython_reads_it(given: tuple[bytes, wire.Query], edits: list[tuple[str, int, bytes]]) -> None:
    octets, query = given
    damaged = bytearray(octets)
    for action, where, what in edits:
        start = where % (len(damaged) + 1)
        match action:
            case "set":
                damaged[start : start + len(what)] = what
            case "insert":
                damaged[start:start] = what
            case "delete":
                del damaged[start : start + len(what)]
    assert wire.reply(bytes(damaged), query) == wire._any(bytes(damaged), query)


@examples(150, differential)
@given(responses(COMMON), edits)
def test_damaged_messages_are_read_as_dnspython_reads_them(
    given: tuple[bytes, wire.Query], edits: list[tuple[str, int, bytes]]
) -> None:
    damaged_is_read_as_dnspython_reads_it(given, edits)


@pytest.mark.slow
@examples(600, differential)
@given(responses(COMMON), edits)
def test_many_damaged_messages_are_read_as_dnspython_reads_them(
    given: tuple[bytes, wire.Query], edits: list[tuple[str, int, bytes]]
) -> None:
    damaged_is_read_as_dnspython_reads_it(given, edits)


@examples(200, differential)
@given(st.binary(max_size=200), st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)))
def test_random_octets_are_read_as_dnspython_reads_them(octets: bytes, counts: tuple[int, int, int, int]) -> None:
    query = wire.query(EXAMPLE, "MX", edns=False)
    head = struct.pack("!HHHHHH", query.ident, 0x8180, *counts)
    for message in (octets, head + octets, head + query.asked + octets):
        assert wire.reply(message, query) == wire._any(message, query)


def test_the_comparison_notices_a_difference() -> None:
    """The readers are compared as whole values: a reader that loses one octet would be caught."""
    query = wire.query(EXAMPLE, "TXT", edns=True)
    ours = read_by_ourselves(response(query, 'example.com. 60 TXT "a" "b"'), query)
    theirs = wire._any(response(query, 'example.com. 60 TXT "ab"'), query)
    assert ours is not None
    assert theirs is not None
    assert ours != theirs
    assert ours == replace(theirs, answers={("example.com", "TXT"): wire.RRset(60, ("ab",), ((1, 1),))})
