"""The file of addresses: only its owner reads it, an event counts once, what is forgotten is gone from the disk."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from deliverability.core.errors import InputError
from deliverability.core.model.deliveries import AddressEvent, SuppressClass
from deliverability.core.replies.outcomes import plain_address
from deliverability.intake.addresses import AddressFile

ADDRESS, COMPLAINT, FULL = SuppressClass.ADDRESS, SuppressClass.COMPLAINT, SuppressClass.FULL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "addresses.sqlite3"


def bounce(at: int, address: str = "a@example.org", kind: SuppressClass = FULL, meaning: str = "full") -> AddressEvent:
    return AddressEvent(address, kind, at, "gmail", meaning)


def test_it_is_made_for_its_owner_alone(path: Path) -> None:
    AddressFile(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_one_that_others_may_read_or_write_is_refused(path: Path, mode: int) -> None:
    AddressFile(path).close()
    path.chmod(mode)
    with pytest.raises(InputError, match=f"mode {mode:04o}.*chmod 600"):
        AddressFile(path)


def test_other_files_are_refused_and_stay_as_they_are(path: Path, tmp_path: Path) -> None:
    path.write_text("name,address\n" * 1_000, "utf-8")
    path.chmod(0o600)
    with pytest.raises(InputError, match="is not an address file"):
        AddressFile(path)
    assert path.read_text("utf-8") == "name,address\n" * 1_000
    other = tmp_path / "other.sqlite3"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE addresses (a)")
    other.chmod(0o600)
    with pytest.raises(InputError, match="is not an address file"):
        AddressFile(other)
    with pytest.raises(InputError, match="deliv intake"):
        AddressFile(tmp_path / "none", create=False)
    with pytest.raises(InputError):
        AddressFile(tmp_path)


def test_a_file_of_an_earlier_version_keeps_its_addresses(path: Path) -> None:
    kept = AddressFile(path)
    kept.take([bounce(100)])
    kept.close()
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE addresses DROP COLUMN answered")
        database.execute("DROP TABLE unproven")
        database.execute("PRAGMA user_version = 1")
    database.close()
    for _ in range(2):
        kept = AddressFile(path)
        assert [(each.address, each.answered) for each in kept.records()] == [("a@example.org", None)]
        kept.close()


def test_what_is_unproven_is_forgotten_with_the_rest(path: Path) -> None:
    kept = AddressFile(path)
    kept.take([bounce(100)])
    kept.doubt([("1", bounce(100)), ("2", bounce(100, "b@example.org")), ("3", bounce(900, "c@example.org"))])
    kept.doubt([("2", bounce(100, "b@example.org"))])
    assert [(each.address, each.count) for each in kept.unproven()] == [("b@example.org", 1), ("c@example.org", 1)]
    assert kept.forget(["a@example.org"]) == 1
    assert kept.forget_before(900) == 1
    assert [each.address for each in kept.unproven()] == ["c@example.org"]
    kept.close()
    assert b"b@example" not in path.read_bytes()


def test_bounces_add_up_and_the_same_ones_again_change_nothing(path: Path) -> None:
    kept = AddressFile(path)
    for _ in range(2):
        kept.take([bounce(300, meaning="last"), bounce(100), bounce(200), bounce(500, kind=ADDRESS)])
    full, address = sorted(kept.records(), key=lambda each: each.kind is ADDRESS)
    assert (full.first, full.last, full.count, full.meaning) == (100, 300, 3, "last")
    assert (address.kind, address.count, address.domain) == (ADDRESS, 1, "example.org")


def test_a_delivery_is_kept_of_addresses_that_are_here_and_of_nobody_else(path: Path) -> None:
    kept = AddressFile(path)
    kept.take([], [("a@example.org", 150), ("b@example.org", 200), ("c@example.org", 200)])
    kept.take([bounce(100)], [("a@example.org", 200)])
    kept.settle()
    kept.take([bounce(50, "b@example.org")], [("a@example.org", 120)])
    kept.settle()
    assert [(each.address, each.delivered) for each in kept.records()] == [
        ("a@example.org", 200),
        ("b@example.org", None),
    ]


def test_what_is_forgotten_is_not_in_the_file_any_more(path: Path) -> None:
    kept = AddressFile(path)
    kept.take([bounce(100, "first@example.org"), bounce(100, "first@example.org", ADDRESS)])
    kept.take([bounce(100, "second@example.org"), bounce(900, "third@example.org")])
    assert kept.forget(["first@example.org", "nobody@example.org"]) == 1
    assert kept.forget_before(900) == 1
    assert [each.address for each in kept.records()] == ["third@example.org"]
    kept.close()
    octets = path.read_bytes()
    assert b"third@" in octets
    assert b"first@" not in octets
    assert b"second@" not in octets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Foo.Bar@Example.ORG", "foo.bar@example.org"),
        ("<a@example.org>", "a@example.org"),
        ("a@日本.example", "a@xn--wgv71a.example"),
        ("a..b.@docomo.ne.jp", "a..b.@docomo.ne.jp"),
        ("a+b@example.org.", "a+b@example.org"),
        ("a@localhost", ""),
        ("no address", ""),
        ('"a b"@example.org', ""),
        ("=cmd|' /C calc'!A0@example.org", ""),
        ("a\x00b@example.org", ""),
        ("a@[192.0.2.1]", ""),
        ("x" * 65 + "@example.org", ""),
        ("", ""),
    ],
)
def test_an_address_as_it_is_kept(text: str, expected: str) -> None:
    assert plain_address(text) == expected
