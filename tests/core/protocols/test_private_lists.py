"""Lists of the user's own: what the lines mean, what is refused, and the same answers as the slow way."""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.errors import InputError
from deliverability.core.model.blocklists import PrivateList
from deliverability.core.protocols.dnsbl import MAX_LISTED_TEXT, load_private_list, read_private_list


def read(text: str) -> PrivateList:
    return read_private_list("file:own", text, "own")


def listed(text: str, subject: str) -> bool:
    entry = read(text).entry(subject)
    return entry is not None and entry.listed


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2", "192.0.2.77", "192.0.3.77"),
        ("10", "10.200.3.4", "11.0.0.1"),
        ("192.0.2.4-192.0.2.9", "192.0.2.9", "192.0.2.10"),
        ("192.0.2.4-9", "192.0.2.4", "192.0.2.3"),
        ("192.0.2.1 :2:Spam from there", "192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::/32", "2001:db8:1::5", "2001:db9::"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("example.com", "example.com", "www.example.com"),
        ("EXAMPLE.com.", "example.com", "example.net"),
        (".example.com", "a.b.example.com", "notexample.com"),
        (".example.com", "example.com", "example.net"),
        ("*.example.com", "a.example.com", "example.com"),
        ("例え.jp", "xn--r8jz45g.jp", "xn--x.jp"),
        ('{"ip": "192.0.2.1", "reason": "x"}', "192.0.2.1", "192.0.2.2"),
        ('{"cidr": "192.0.2.0/24"}', "192.0.2.9", "192.0.3.9"),
        ('{"domain": "example.com"}', "example.com", "example.net"),
    ],
)
def test_what_a_line_lists(line: str, inside: str, outside: str) -> None:
    assert listed(line, inside)
    assert not listed(line, outside)


def test_the_nearest_entry_counts() -> None:
    text = "192.0.2.0/24\n!192.0.2.7\n192.0.2.0/28 near\n.example.com\n!good.example.com"
    assert listed(text, "192.0.2.99")
    assert not listed(text, "192.0.2.7")
    assert not listed("192.0.2.7\n!192.0.2.7", "192.0.2.7")
    assert not listed("!192.0.2.7\n192.0.2.7", "192.0.2.7")
    assert listed(text, "bad.example.com")
    assert not listed(text, "good.example.com")
    entry = read(text).entry("192.0.2.1")
    assert entry is not None
    assert entry.text == "near"


def test_a_file_of_rbldnsd() -> None:
    text = """\
$SOA 3600 ns.example.net. admin.example.net. 0 600 300 86400 300
$DATASET ip4set:main @
; remark
# remark
:127.0.0.2:See https://example.net/$
192.0.2.1        # a remark behind
192.0.2.2 :3:Own text
!192.0.2.3
"""
    entries = {n: read(text).entry(f"192.0.2.{n}") for n in (1, 2, 3)}
    assert {n: entry and (entry.listed, entry.text) for n, entry in entries.items()} == {
        1: (True, "See https://example.net/$"),
        2: (True, "Own text"),
        3: (False, "See https://example.net/$"),
    }


@pytest.mark.parametrize(
    "line",
    [
        *("192.0.2.300", "192.0.2.0/33", "not!a!name", "a..b", "-", "!", "192.0.2.9-192.0.2.1", "999.1", "x" * 70, "*"),
        *("192.0.2.1-2001:db8::1", '{"ip": 5}', '{"ip": "192.0.2.1", "name": "x"}', "{", '{"text": "x"}'),
    ],
)
def test_a_line_that_cannot_be_read_makes_the_file_unusable(line: str) -> None:
    """An entry that is lost would be a listing that nobody sees."""
    with pytest.raises(InputError) as told:
        read(f"192.0.2.1\n{line}\n")
    (detail,) = told.value.details
    assert (detail.arg("file"), detail.arg("line")) == ("own", 2)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as told:
        read("?\n192.0.2.1\n??\n")
    assert [each.arg("line") for each in told.value.details] == [1, 3]


def test_texts_are_bounded() -> None:
    entry = read(f"192.0.2.1 {'x' * 5000}").entry("192.0.2.1")
    assert entry is not None
    assert len(entry.text) == MAX_LISTED_TEXT


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("none", "binary"):
        with pytest.raises(InputError):
            load_private_list("file:x", tmp_path / name)
    (tmp_path / "good").write_bytes("\ufeff192.0.2.1\r\n192.0.2.2\r\n".encode())
    assert load_private_list("file:good", tmp_path / "good").entry("192.0.2.2")


NETWORKS = st.builds(
    lambda number, length: ipaddress.ip_network((number, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
NETWORKS6 = st.builds(
    lambda number, length: ipaddress.ip_network((number + (0x2001 << 112), length), strict=False),
    st.integers(0, 2**100),
    st.integers(4, 128),
)


@given(st.lists(st.tuples(st.booleans(), NETWORKS | NETWORKS6), max_size=6), st.data())
def test_an_address_gets_what_its_nearest_range_says(
    entries: list[tuple[bool, ipaddress.IPv4Network | ipaddress.IPv6Network]], data: st.DataObject
) -> None:
    text = "\n".join(f"{'' if good else '!'}{network}" for good, network in entries)
    found = read(text)
    ends = [each for _, network in entries for each in (network[0], network[-1])]
    address = data.draw(st.sampled_from([*ends, ipaddress.ip_address("192.0.2.1")]))
    around = [(network.prefixlen, good) for good, network in entries if address in network]
    longest = max((length for length, _ in around), default=None)
    expected = longest is not None and all(good for length, good in around if length == longest)
    entry = found.entry(str(address))
    assert (entry is not None and entry.listed) is expected


@given(st.integers(0, 2**32 - 1), st.integers(0, 5000))
def test_a_range_lists_its_ends_and_not_what_is_beside_them(first: int, span: int) -> None:
    last = min(first + span, 2**32 - 1)
    found = read(f"{ipaddress.IPv4Address(first)}-{ipaddress.IPv4Address(last)}")
    inside = {first, (first + last) // 2, last}
    outside = {each for each in (first - 1, last + 1) if 0 <= each < 2**32}
    assert all(found.entry(str(ipaddress.IPv4Address(each))) for each in inside)
    assert not any(found.entry(str(ipaddress.IPv4Address(each))) for each in outside)


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    found = None
    with contextlib.suppress(InputError):
        found = read(text)
    assert found is None or found.entry("192.0.2.1") is None or text
