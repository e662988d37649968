"""Key records (RFC 6376 section 3.6.1, RFC 8301, RFC 8463): reading them and checking signatures with them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.protocols.text_record import (
    TAG_BASE64,
    TAG_MISSING,
    TAG_VALUE,
    colon_list,
    parse_tags,
    shorten,
    without_white_space,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MINIMUM_RSA_BITS = 1024
"""Shorter RSA keys never make a valid signature (RFC 8301 section 3.2)."""

_ED25519_OCTETS = 32
# How the usual RSA keys begin (a SubjectPublicKeyInfo up to the modulus, whose first bit is set) and end.
_RSA_BEGINS = {
    1024: bytes.fromhex("30819f300d06092a864886f70d010101050003818d0030818902818100"),
    2048: bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100"),
    4096: bytes.fromhex("30820222300d06092a864886f70d01010105000382020f003082020a0282020100"),
}
_RSA_EXPONENT = 65537
_RSA_ENDS = bytes.fromhex("0203") + _RSA_EXPONENT.to_bytes(3)
_REMEMBERED = 256  # records: each is looked at several times

V_NOT_FIRST = Code("dkim-first")
KEY_NOT_RSA = Code("key-rsa")
KEY_OTHER_TYPE = Code("key-type")
KEY_OCTETS = Code("key-octets", ("n", "m"))
KEY_PADDING = Code("key-padding")


class KeyRecord(Struct, frozen=True):
    """One TXT record at a selector.

    Attributes:
        record: the record as published.
        type: k=, with its default filled in; ``rsa`` and ``ed25519`` are defined.
        bits: size of the key, None where there is none or it cannot be read.
        hashes: h=, the hash algorithms it may be used with; None: all.
        services: s=, the services it may be used for; ``*``: all.
        testing: t=y.
        strict: t=s, the domain of i= must be d= itself.
        revoked: p= is there and empty.
        valid: a receiver can use the record, if only to learn that the key is revoked.
        errors: what is wrong. Some, such as a v= that is not first, leave the record valid,
            because receivers overlook them.
        material: the decoded p=.

    """

    record: str
    type: str = "rsa"
    bits: int | None = None
    hashes: tuple[str, ...] | None = None
    services: tuple[str, ...] = ("*",)
    testing: bool = False
    strict: bool = False
    revoked: bool = False
    valid: bool = False
    errors: tuple[Detail, ...] = ()
    material: bytes = b""

    @property
    def usable(self) -> bool:
        """Signatures can be checked with it."""
        return self.valid and not self.revoked

    @property
    def sha1_only(self) -> bool:
        """h= allows SHA-1 and nothing that is still accepted."""
        return self.hashes is not None and "sha256" not in self.hashes and "sha1" in self.hashes


class Check(StrEnum):
    """What a public key says about a signature."""

    GOOD = "good"
    OTHER_DATA = "other-data"
    """The key made the signature, over other data."""
    OTHER_KEY = "other-key"
    """The signature is not one of this key, or was damaged. Only RSA can tell this from other data."""
    BAD = "bad"
    """Either of these."""


@lru_cache(_REMEMBERED)
def parse_key(record: str) -> KeyRecord:
    """Read a key record. Never raises; what is wrong is in `errors`."""
    parsed = parse_tags(record)
    fatal = list(parsed.errors)
    minor: list[Detail] = []
    version = parsed.get("v")
    if version is not None and version != "DKIM1":
        fatal.append(TAG_VALUE(name="v", value=shorten(version)))
    elif version is not None and next(iter(parsed.tags)) != "v":
        minor.append(V_NOT_FIRST())
    key_type = parsed.get("k") or "rsa"
    hashes = parsed.get("h")
    flags = colon_list(parsed.get("t") or "")
    material = b""
    bits: int | None = None
    encoded = parsed.get("p")
    if encoded is None:
        fatal.append(TAG_MISSING(name="p"))
    elif key_type not in ("rsa", "ed25519"):
        fatal.append(TAG_VALUE(name="k", value=shorten(key_type)))
    elif encoded:
        material, complaint = _decode(encoded)
        if complaint:
            (minor if material else fatal).append(complaint)
        if material:
            size = _bits(key_type, material)
            if isinstance(size, Detail):
                fatal.append(size)
            else:
                bits = size
    return KeyRecord(
        record=record,
        type=key_type,
        bits=bits,
        hashes=None if hashes is None else colon_list(hashes),
        services=colon_list(parsed.get("s") or "*"),
        testing="y" in flags,
        strict="s" in flags,
        revoked=encoded == "",
        valid=not fatal,
        errors=(*fatal, *minor),
        material=material,
    )


def choose_key(records: Iterable[str]) -> tuple[KeyRecord | None, int]:
    """The key record among the TXT records of a name, and how many of them are meant as key records.

    A record without p= that does not say v=DKIM1, such as SPF that a wildcard brought here, is not meant as one;
    only where there is nothing else does it count as a broken key.
    """
    keys = [parse_key(record) for record in records]
    meant = [key for key in keys if looks_like_key(key.record)]
    chosen = meant or keys[:1]
    return (chosen[0] if chosen else None), len(chosen)


@lru_cache(_REMEMBERED)
def looks_like_key(record: str) -> bool:
    """A TXT record is meant as a key record, whether or not it can be read."""
    tags = parse_tags(record).tags
    return tags.get("v", "DKIM1").strip().upper().startswith("DKIM1") and ("p" in tags or "v" in tags)


def check(key: KeyRecord, hash_name: str, signature: bytes, data: bytes) -> Check:
    """Check the signature over `data` (canonicalized header fields), hashed with sha1 or sha256.

    Keys of every size are used, so that a small one can be told from a wrong one.
    """
    digest = hashlib.new("sha1" if hash_name == "sha1" else "sha256", data, usedforsecurity=False).digest()
    return check_digest(key, hash_name, signature, digest)


def check_digest(key: KeyRecord, hash_name: str, signature: bytes, digest: bytes) -> Check:
    """As `check`, for data that is hashed already."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    algorithm = hashes.SHA1() if hash_name == "sha1" else hashes.SHA256()  # noqa: S303 (judged failed afterwards)
    try:
        if key.type == "ed25519":
            # RFC 8463 section 3: what is signed is the SHA-256 hash, not the data.
            _ed25519(key.material).verify(signature, digest)
            return Check.GOOD
        public = _rsa(key.material)
        if isinstance(public, Detail):
            return Check.OTHER_KEY
        signed = public.recover_data_from_signature(signature, PKCS1v15(), algorithm)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return Check.BAD if key.type == "ed25519" else Check.OTHER_KEY
    return Check.GOOD if signed == digest else Check.OTHER_DATA


def _decode(value: str) -> tuple[bytes, Detail | None]:
    """The octets of a base64 value, and a complaint; missing padding is repaired, as most receivers do."""
    compact = without_white_space(value)
    missing = -len(compact) % 4
    try:
        return base64.b64decode(compact + "=" * missing, validate=True), KEY_PADDING() if missing else None
    except (binascii.Error, ValueError):
        return b"", TAG_BASE64(name="p")


def _bits(key_type: str, material: bytes) -> int | Detail:
    """The size of a key, or why it is none."""
    if key_type == "rsa":
        if (usual := _usual_bits(material)) is not None:
            return usual
        key = _rsa(material)
        return key if isinstance(key, Detail) else key.key_size
    return len(material) * 8 if len(material) == _ED25519_OCTETS else KEY_OCTETS(n=len(material), m=_ED25519_OCTETS)


def _usual_bits(material: bytes) -> int | None:
    """The size of an RSA key in the form that nearly all have; others are left to cryptography, which loads slowly."""
    for bits, begins in _RSA_BEGINS.items():
        modulus = material[len(begins) : -len(_RSA_ENDS)]
        if material.startswith(begins) and material.endswith(_RSA_ENDS) and len(modulus) * 8 == bits:
            return bits if modulus[0] & 0x80 and modulus[-1] & 1 else None
    return None


def _rsa(material: bytes) -> RSAPublicKey | Detail:
    """The RSA key in a SubjectPublicKeyInfo (as everybody publishes) or a bare RSAPublicKey (as RFC 6376 says)."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

    if (bits := _usual_bits(material)) is not None:
        modulus = material[len(_RSA_BEGINS[bits]) : -len(_RSA_ENDS)]
        return RSAPublicNumbers(_RSA_EXPONENT, int.from_bytes(modulus)).public_key()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # loads all formats of keys

    try:
        key = load_der_public_key(material)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return KEY_NOT_RSA()
    return key if isinstance(key, RSAPublicKey) else KEY_OTHER_TYPE()


def _ed25519(material: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(material)
