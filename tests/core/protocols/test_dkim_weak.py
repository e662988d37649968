"""Keys that are long and weak all the same, each made for the test; and healthy ones, of which nothing is said."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.codes import Code, Detail
from deliverability.core.protocols.dkim import weak
from deliverability.core.protocols.dkim.key import parse_key
from deliverability.core.protocols.dkim.weak import (
    KEY_CLOSE_PRIMES,
    KEY_DAMAGED,
    KEY_EVEN,
    KEY_EXPONENT_EVEN,
    KEY_EXPONENT_LONG,
    KEY_EXPONENT_ONE,
    KEY_EXPONENT_SMALL,
    KEY_KNOWN,
    KEY_ROCA,
    KEY_SHORT_PRIVATE,
    KEY_SMALL_FACTOR,
    KEY_SMALL_ORDER,
    Weakness,
    digest,
    known_keys,
    rsa_numbers,
    weakness,
)
from tests.signing import ed25519_key, published, rsa_key

pytestmark = pytest.mark.long

OID = bytes.fromhex("300d06092a864886f70d0101010500")
CHANCE = random.Random(26)
# p= of RFC 8463 appendix A and RFC 6376 appendix C, whose private keys stand beside them.
OF_RFC_8463 = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3Fu"
    "tACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)
OF_RFC_6376 = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631u"
    "BItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
)
ED_OF_RFC_8463 = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def prime_from(start: int, step: int = 2) -> int:
    number = start
    while any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23)) or pow(2, number - 1, number) != 1:
        number += step
    return number


@functools.cache
def some_prime(bits: int, seed: int = 0) -> int:
    return prime_from(random.Random(bits * 1000 + seed).getrandbits(bits) | 3 << (bits - 2) | 1)


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size])
        if size < 128
        else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8)
    )
    return bytes([tag]) + length + content


def number(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def key(modulus: int, exponent: int = 65537) -> bytes:
    """A SubjectPublicKeyInfo of whatever numbers."""
    return der(0x30, OID + der(0x03, b"\0" + der(0x30, number(modulus) + number(exponent))))


def healthy(bits: int) -> int:
    return rsa_key(bits).public_key().public_numbers().n


def codes(details: tuple[Detail, ...]) -> list[str]:
    return [each.code for each in details]


def broken_by(code: Code, modulus: int, exponent: int = 65537) -> None:
    found = weakness("rsa", key(modulus, exponent))
    assert codes(found.breakable) == [code.name]


# --- healthy keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1024, 2048])
def test_of_a_healthy_key_nothing_is_said(bits: int) -> None:
    assert weakness("rsa", key(healthy(bits))) == Weakness(exponent=65537)


@pytest.mark.parametrize("exponent", [257, 65537, 0x10003, 0xFFFFFFFB])
def test_other_odd_exponents_of_moderate_length_are_left_alone(exponent: int) -> None:
    assert weakness("rsa", key(healthy(1024), exponent)) == Weakness(exponent=exponent)


def test_keys_of_ed25519_have_no_exponent_and_no_factors() -> None:
    assert weakness("ed25519", ed25519_key().public_key().public_bytes_raw()) == Weakness()


@given(st.binary(max_size=200))
def test_octets_that_are_no_key_are_left_to_the_reader(octets: bytes) -> None:
    assert weakness("rsa", octets) == Weakness() or rsa_numbers(octets) is not None
    weakness("ed25519", octets)
    assert weakness("dsa", octets) == Weakness()


# --- keys that come apart ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [2, 1 << 20, 1 << 100, 1 << 500])
def test_primes_that_lie_close_together(apart: int) -> None:
    first = some_prime(1024)
    broken_by(KEY_CLOSE_PRIMES, first * prime_from(first + apart + apart % 2))


def test_the_square_of_a_prime() -> None:
    broken_by(KEY_CLOSE_PRIMES, some_prime(512) ** 2)


def test_primes_of_the_usual_distance_are_not_called_close() -> None:
    assert weakness("rsa", key(some_prime(512, 1) * some_prime(512, 2))) == Weakness(exponent=65537)


@pytest.mark.parametrize("small", [3, 5, 17, 251, 7919, 65521, 65537])
def test_a_small_factor_with_a_prime_beside_it(small: int) -> None:
    found = weakness("rsa", key(small * some_prime(1020)))
    assert found.breakable == (KEY_SMALL_FACTOR(n=small),)


def test_nothing_but_small_factors() -> None:
    found = weakness("rsa", key(3**400 * 5**100))
    assert found.breakable == (KEY_SMALL_FACTOR(n=3),)


def test_what_is_left_of_a_damaged_key_can_be_signed_with_by_nobody() -> None:
    """A letter of p= was lost: the number has small factors, but what remains is no prime."""
    found = weakness("rsa", key(3 * some_prime(512, 1) * some_prime(510, 2)))
    assert (found.breakable, found.others) == ((), (KEY_DAMAGED(n=3),))


@pytest.mark.parametrize("modulus", [2 * some_prime(1023), healthy(1024) + 1], ids=["twice a prime", "one more"])
def test_an_even_modulus(modulus: int) -> None:
    broken_by(KEY_EVEN, modulus)


def roca_prime(bits: int) -> int:
    """A prime as the faulty library made it: k · M + (65537 ^ a mod M), M the product of the first 39 primes."""
    product = math.prod(each for each in range(2, 168) if all(each % lower for lower in range(2, each)))
    while True:
        power = pow(65537, CHANCE.getrandbits(40), product)
        number = (
            CHANCE.getrandbits(bits - product.bit_length()) | 1 << (bits - product.bit_length())
        ) * product + power
        if number & 1 and pow(2, number - 1, number) == 1:
            return number


@pytest.mark.parametrize("bits", [512, 1024, 2048])
def test_the_fingerprint_of_roca(bits: int) -> None:
    broken_by(KEY_ROCA, roca_prime(bits // 2) * roca_prime(bits // 2))


def test_the_fingerprint_of_roca_in_a_key_too_long_for_the_attack() -> None:
    found = weakness("rsa", key(roca_prime(1536) * roca_prime(1536)))
    assert (found.breakable, found.others) == ((), (KEY_ROCA(),))


@pytest.mark.parametrize("private", [3, 65537, (1 << 200) + 235])
def test_a_private_exponent_that_follows_from_the_public_one(private: int) -> None:
    first, second = some_prime(512, 1), some_prime(512, 2)
    order = (first - 1) * (second - 1)
    while math.gcd(private, order) > 1:
        private += 2
    found = weakness("rsa", key(first * second, pow(private, -1, order)))
    assert codes(found.breakable) == [KEY_SHORT_PRIVATE.name]
    assert codes(found.others) == [KEY_EXPONENT_LONG.name]


def test_a_private_exponent_that_is_the_inverse_modulo_the_least_common_multiple() -> None:
    first, second = some_prime(512, 3), some_prime(512, 4)
    order = math.lcm(first - 1, second - 1)
    private = next(each for each in range((1 << 180) + 1, (1 << 180) + 999, 2) if math.gcd(each, order) == 1)
    found = weakness("rsa", key(first * second, pow(private, -1, order)))
    assert codes(found.breakable) == [KEY_SHORT_PRIVATE.name]


def test_a_key_of_hostile_length_is_not_worked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted are the powers modulo such a number: one takes seconds."""

    def refused(*_: int) -> int:
        raise AssertionError("worked at")

    monkeypatch.setattr(weak, "pow", refused, raising=False)
    monkeypatch.setattr(weak, "_factored", refused)
    long = CHANCE.getrandbits(16384) | 1 << 16383 | 1
    assert weakness("rsa", key(3 * long)) == Weakness(exponent=65537)
    assert weakness("rsa", key(healthy(1024), long)).breakable == ()


# --- exponents -----------------------------------------------------------------------------------------------------


def test_with_the_exponent_1_nobody_needs_a_key() -> None:
    broken_by(KEY_EXPONENT_ONE, healthy(2048), 1)


def test_the_exponent_1_is_told_though_the_library_reads_no_such_key() -> None:
    read = parse_key(f"v=DKIM1; k=rsa; p={base64.b64encode(key(healthy(1024), 1)).decode()}")
    assert not read.valid
    assert weakness(read.type, read.material).breakable == (KEY_EXPONENT_ONE(),)


@pytest.mark.parametrize("exponent", [3, 5, 17])
def test_a_small_exponent_is_weak_but_breaks_nothing(exponent: int) -> None:
    made = rsa.RSAPublicNumbers(exponent, healthy(2048))
    assert weakness("rsa", key(made.n, made.e)) == Weakness((), (KEY_EXPONENT_SMALL(n=exponent),), exponent)


@pytest.mark.parametrize("exponent", [2, 4, 65536])
def test_an_even_exponent(exponent: int) -> None:
    assert weakness("rsa", key(healthy(1024), exponent)) == Weakness((), (KEY_EXPONENT_EVEN(),), exponent)


@pytest.mark.parametrize("bits", [33, 64, 1000])
def test_an_exponent_that_is_longer_than_receivers_take(bits: int) -> None:
    exponent = CHANCE.getrandbits(bits) | 1 << (bits - 1) | 1
    found = weakness("rsa", key(healthy(1024), exponent))
    assert (found.breakable, found.others) == ((), (KEY_EXPONENT_LONG(bits=bits),))


# --- keys that everybody has ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "encoded", "where"),
    [
        ("rsa", OF_RFC_8463, "RFC 8463 appendix A"),
        ("rsa", OF_RFC_6376, "RFC 6376 appendix C"),
        ("ed25519", ED_OF_RFC_8463, "RFC 8032 section 7.1, RFC 8463 appendix A"),
    ],
)
def test_keys_whose_private_key_is_published(kind: str, encoded: str, where: str) -> None:
    assert weakness(kind, base64.b64decode(encoded)).breakable == (KEY_KNOWN(where=where),)


def test_a_known_key_is_known_in_every_form() -> None:
    whole = base64.b64decode(OF_RFC_8463)
    modulus, exponent = rsa_numbers(whole) or (0, 0)
    bare = der(0x30, number(modulus) + number(exponent))
    assert rsa_numbers(bare) == (modulus, exponent)
    assert digest("rsa", bare) == digest("rsa", whole) in known_keys()


def test_the_list_of_known_keys_is_extended_by_data() -> None:
    mine = hashlib.sha256(healthy(1024).to_bytes(128)).hexdigest()
    assert weakness("rsa", key(healthy(1024)), {mine: "a manual"}).breakable == (KEY_KNOWN(where="a manual"),)


@pytest.mark.parametrize("y", [0, 1, (1 << 255) - 20, (1 << 255) - 19, (1 << 255) - 18])
@pytest.mark.parametrize("sign", [0, 1])
def test_points_of_small_order(y: int, sign: int) -> None:
    octets = (y | sign << 255).to_bytes(32, "little")
    assert weakness("ed25519", octets).breakable == (KEY_SMALL_ORDER(),)


def test_points_of_order_8() -> None:
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ):
        assert weakness("ed25519", bytes.fromhex(text)).breakable == (KEY_SMALL_ORDER(),)


def test_records_are_read_as_published() -> None:
    read = parse_key(published(rsa_key(2048)))
    assert weakness(read.type, read.material) == Weakness(exponent=65537)
