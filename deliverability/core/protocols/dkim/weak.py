"""Public keys that are weak though long: keys whose private key can be worked out or is known, and odd exponents.

Asks nobody. An RSA key costs half a millisecond or so: two reductions of long products by its modulus, and a hundred
steps of Fermat's method without a division; more only where one of these finds something or the exponent is huge.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cache
from itertools import compress

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.files import PACKAGE

KEY_EVEN = Code("key-even")
KEY_SMALL_FACTOR = Code("key-small-factor", ("n",))
KEY_DAMAGED = Code("key-damaged", ("n",))
KEY_CLOSE_PRIMES = Code("key-close-primes")
KEY_ROCA = Code("key-roca")
KEY_EXPONENT_ONE = Code("key-exponent-one")
KEY_EXPONENT_SMALL = Code("key-exponent-small", ("n",))
KEY_EXPONENT_EVEN = Code("key-exponent-even")
KEY_EXPONENT_LONG = Code("key-exponent-long", ("bits",))
KEY_SHORT_PRIVATE = Code("key-short-private")
KEY_KNOWN = Code("key-known", ("where",))
KEY_SMALL_ORDER = Code("key-small-order")

_KNOWN = PACKAGE / "data" / "known-keys.txt"
_MAX_BITS = 4096  # of longer keys only the exponent is looked at: whoever publishes one must not cost us seconds
_MAX_TESTED_BITS = 2048  # whether a number of that length is prime costs some ten milliseconds
_MAX_PRIME = 65537
_SMALL_EXPONENT = 17  # up to here a receiver that reads the padding carelessly can be deceived; most keys have 65537
_LONG_EXPONENT_BITS = 32  # Windows and Go take no longer ones
_FERMAT_STEPS = 128
_ROCA_MAX_BITS = 2048
"""Up to this length the attack is within reach of whoever pays some ten thousand dollars (CCS 2017)."""

# Low four bits of squares; only one number in four has such.
_SQUARE_ENDS = frozenset({0, 1, 4, 9})
_WHEEL = 63 * 65

# The eight points of small order on the curve of Ed25519, and the encodings of them that are not canonical.
_P25519 = (1 << 255) - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _P25519 - 1, _P25519, _P25519 + 1, _ORDER_8, _P25519 - _ORDER_8})


class Weakness(Struct, frozen=True):
    """What is weak about a key.

    Attributes:
        breakable: what lets anybody sign with it, one each; empty for nearly all keys.
        others: what else is weak or odd, one each: some receivers may refuse the key or be deceived.
        exponent: the public exponent of an RSA key; None for other keys, and where the octets are none.

    """

    breakable: tuple[Detail, ...] = ()
    others: tuple[Detail, ...] = ()
    exponent: int | None = None


def weakness(key_type: str, material: bytes, known: Mapping[str, str] | None = None) -> Weakness:
    """Look at the decoded p= of a key record. Never raises.

    Args:
        key_type: k=.
        material: the octets of p=.
        known: keys whose private key anybody can read: :func:`digest` of each, and where it is published; None takes
            those of data/known-keys.txt.

    """
    known = known_keys() if known is None else known
    if key_type == "ed25519":
        return _of_ed25519(material, known) if len(material) == 32 else Weakness()
    numbers = rsa_numbers(material) if key_type == "rsa" else None
    if numbers is None:
        return Weakness()
    modulus, exponent = numbers
    where = known.get(digest(key_type, material))
    breakable, others = [KEY_KNOWN(where=where)] if where else [], []
    if exponent == 1:
        breakable.append(KEY_EXPONENT_ONE())
    elif not exponent & 1:
        others.append(KEY_EXPONENT_EVEN())
    elif exponent <= _SMALL_EXPONENT:
        others.append(KEY_EXPONENT_SMALL(n=exponent))
    elif exponent.bit_length() > _LONG_EXPONENT_BITS:
        others.append(KEY_EXPONENT_LONG(bits=exponent.bit_length()))
    if 16 <= modulus.bit_length() <= _MAX_BITS and exponent.bit_length() <= _MAX_BITS:
        factored = _factored(modulus)
        (others if factored and KEY_DAMAGED.matches(factored) else breakable).extend([factored] if factored else [])
        if factored is None and _is_roca(modulus):
            (breakable if modulus.bit_length() <= _ROCA_MAX_BITS else others).append(KEY_ROCA())
        if factored is None and exponent.bit_length() > _LONG_EXPONENT_BITS and _has_short_private(modulus, exponent):
            breakable.append(KEY_SHORT_PRIVATE())
    return Weakness(tuple(breakable), tuple(others), exponent)


def digest(key_type: str, material: bytes) -> str:
    """SHA-256 (hex) that a key has in whatever form it is published: of the modulus, or of the octets of Ed25519."""
    numbers = rsa_numbers(material) if key_type == "rsa" else None
    octets = numbers[0].to_bytes((numbers[0].bit_length() + 7) // 8) if numbers else material
    return hashlib.sha256(octets).hexdigest()


def _of_ed25519(material: bytes, known: Mapping[str, str]) -> Weakness:
    where = known.get(digest("ed25519", material))
    if where:
        return Weakness((KEY_KNOWN(where=where),))
    y = int.from_bytes(material, "little") & ((1 << 255) - 1)
    return Weakness((KEY_SMALL_ORDER(),)) if y in _SMALL_ORDER else Weakness()


# --- the modulus ---------------------------------------------------------------------------------------------------


def _factored(modulus: int) -> Detail | None:
    """How the modulus comes apart; None where no cheap way finds that."""
    if not modulus & 1:
        return KEY_EVEN()
    if math.gcd(_small_primes() % modulus, modulus) > 1:
        prime = next(each for each in _primes(_MAX_PRIME + 1) if modulus % each == 0)
        rest = modulus
        while rest > 1 and (shared := math.gcd(_small_primes() % rest, rest)) > 1:
            rest //= shared
        # With a prime left over all factors are known. With anything else this is no key, but what is left of one.
        known = rest == 1 or (rest.bit_length() <= _MAX_TESTED_BITS and pow(2, rest - 1, rest) == 1)
        return KEY_SMALL_FACTOR(n=prime) if known else KEY_DAMAGED(n=prime)
    return KEY_CLOSE_PRIMES() if _are_close(modulus) else None


def _are_close(modulus: int) -> bool:
    """Fermat's method: n = a² - b² with a just above the root of n where both primes are close to it."""
    middle = math.isqrt(modulus)
    if middle * middle == modulus:
        return True
    middle += 1
    rest, step = middle * middle - modulus, 2 * middle + 1
    for _ in range(_FERMAT_STEPS):
        if rest & 15 in _SQUARE_ENDS and rest % _WHEEL in _squares() and math.isqrt(rest) ** 2 == rest:
            return True
        rest += step
        step += 2
    return False


def _is_roca(modulus: int) -> bool:
    """CVE-2017-15361: modulo many small primes, primes of the faulty library and their products are powers of 65537."""
    rest = modulus % _roca_product()
    return all(rest % prime in group for prime, group in _roca_groups().items())


def _has_short_private(modulus: int, exponent: int) -> bool:
    """Wiener's method: where the private exponent is below the fourth root of n, a convergent k/d of e/n tells phi(n).

    Then phi is e · d / k, and the primes are roots of x² - (n - phi + 1) · x + n.
    """
    k_before, k, d_before, d = 0, 1, 1, 0
    high, low = exponent, modulus
    while low:
        quotient, rest = divmod(high, low)
        high, low = low, rest
        k_before, k = k, quotient * k + k_before
        d_before, d = d, quotient * d + d_before
        if d.bit_length() > modulus.bit_length() // 4 + 1:
            return False
        if k and d:
            total = modulus - exponent * d // k + 1
            if 0 < total.bit_length() <= modulus.bit_length() // 2 + 64:
                square = total * total - 4 * modulus
                if square >= 0 and math.isqrt(square) ** 2 == square:
                    return True
    return False


# --- tables, made when the first key is looked at ------------------------------------------------------------------


def _primes(below: int) -> tuple[int, ...]:
    sieve = bytearray([1]) * below
    sieve[:2] = b"\0\0"
    for each in range(2, math.isqrt(below) + 1):
        if sieve[each]:
            sieve[each * each :: each] = bytes(len(range(each * each, below, each)))
    return tuple(compress(range(below), sieve))


@cache
def known_keys() -> Mapping[str, str]:
    """The keys of data/known-keys.txt: the digest of each, and where its private key is published."""
    lines = _KNOWN.read_text("utf-8").splitlines()
    rows = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


@cache
def _small_primes() -> int:
    """The product of all odd primes up to _MAX_PRIME."""
    factors = list(_primes(_MAX_PRIME + 1)[1:])
    while len(factors) > 1:
        factors = [math.prod(factors[start : start + 2]) for start in range(0, len(factors), 2)]
    return factors[0]


@cache
def _squares() -> frozenset[int]:
    """The squares modulo _WHEEL, 8 % of the numbers: of most others no root need be drawn."""
    return frozenset(each * each % _WHEEL for each in range(_WHEEL))


@cache
def _roca_groups() -> Mapping[int, frozenset[int]]:
    """Of each prime from 3 to 167 the powers of 65537."""
    groups = {each: frozenset(pow(65537, power, each) for power in range(each - 1)) for each in _primes(168)[1:]}
    return {prime: group for prime, group in groups.items() if len(group) < prime - 1}


@cache
def _roca_product() -> int:
    return math.prod(_roca_groups())


# --- octets --------------------------------------------------------------------------------------------------------

_INTEGER, _BITS, _SEQUENCE = 0x02, 0x03, 0x30
_RSA_OID = bytes.fromhex("06092a864886f70d010101")


def rsa_numbers(material: bytes) -> tuple[int, int] | None:
    """Modulus and exponent of a SubjectPublicKeyInfo or a bare RSAPublicKey (RFC 8017 appendix A.1.1), else None.

    Libraries refuse such numbers as the exponent 1 without a word of which; here they are told.
    """
    outer = _parts(material)
    if outer is None or len(outer) != 1 or outer[0][0] != _SEQUENCE:
        return None
    parts = _parts(outer[0][1])
    if parts and [kind for kind, _ in parts] == [_SEQUENCE, _BITS]:
        if not parts[0][1].startswith(_RSA_OID) or parts[1][1][:1] != b"\0":
            return None
        inner = _parts(parts[1][1][1:])
        if inner is None or len(inner) != 1 or inner[0][0] != _SEQUENCE:
            return None
        parts = _parts(inner[0][1])
    if parts is None or [kind for kind, _ in parts] != [_INTEGER, _INTEGER]:
        return None
    modulus, exponent = (int.from_bytes(octets) for _, octets in parts)
    return (modulus, exponent) if modulus > 1 and exponent > 0 else None


def _parts(octets: bytes) -> list[tuple[int, bytes]] | None:
    """The values that stand one after the other in DER, each with its tag; None where the lengths do not fit."""
    found: list[tuple[int, bytes]] = []
    while octets:
        if len(octets) < 2 or len(found) >= 4:
            return None
        kind, size, start = octets[0], octets[1], 2
        if size & 0x80:
            start += size & 0x7F
            if not 1 <= size & 0x7F <= 4 or len(octets) < start:
                return None
            size = int.from_bytes(octets[2:start])
        if len(octets) < start + size:
            return None
        found.append((kind, octets[start : start + size]))
        octets = octets[start + size :]
    return found
