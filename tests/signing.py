"""Keys made on the spot, messages signed and sealed with dkimpy, and a resolver that answers from a table."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
import secrets
from collections.abc import Mapping, Sequence

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dkim.canonicalization import Relaxed

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found

Rule = str | Sequence[str] | Reason


class TableResolver:
    """Answers TXT from a table: a string or several, or the reason of a failure; all else does not exist."""

    def __init__(
        self, table: Mapping[str, Rule], *, aliases: Mapping[str, str] | None = None, nodata: Sequence[str] = ()
    ) -> None:
        self.table = table
        self.aliases = aliases or {}
        self.nodata = nodata
        self.asked: list[str] = []

    async def query(self, name: str, rdtype: str) -> Answer:
        name = name.rstrip(".").lower()
        self.asked.append(name)
        target = self.aliases.get(name)
        chain = (target,) if target else ()
        rule = self.table.get(target or name)
        if rule is None and self.table.get("*") is not None and "._domainkey." in name:
            rule = self.table["*"]
        if isinstance(rule, Reason):
            return Failed(name, rdtype, rule, VERBATIM(text="by the table"))
        if rule is None or rdtype != "TXT":
            return Absent(name, rdtype, nxdomain=name not in self.nodata, chain=chain)
        return Found(name, rdtype, (rule,) if isinstance(rule, str) else tuple(rule), ttl=300, chain=chain)

    async def close(self) -> None:
        pass


@functools.cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key of this size; cryptography makes none below 1024 bits, so small ones are put together here."""
    if bits >= 1024:
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    while True:
        p, q = _prime(bits // 2), _prime(bits // 2)
        if p != q and (p * q).bit_length() == bits and math.gcd(65537, (p - 1) * (q - 1)) == 1:
            break
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key(unsafe_skip_rsa_key_validation=True)


def _prime(bits: int) -> int:
    while True:
        candidate = secrets.randbits(bits) | (3 << (bits - 2)) | 1
        if all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7, 11)):
            return candidate


@functools.cache
def ed25519_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def published(key: rsa.RSAPrivateKey | Ed25519PrivateKey, tags: str = "", *, bare: bool = False) -> str:
    """The key record of a key; `bare`: an RSAPublicKey without the SubjectPublicKeyInfo around it."""
    if isinstance(key, Ed25519PrivateKey):
        octets = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; {tags}p={base64.b64encode(octets).decode()}"
    form = PublicFormat.PKCS1 if bare else PublicFormat.SubjectPublicKeyInfo
    octets = key.public_key().public_bytes(Encoding.DER, form)
    return f"v=DKIM1; k=rsa; {tags}p={base64.b64encode(octets).decode()}"


def sign(
    message: bytes,
    key: rsa.RSAPrivateKey | Ed25519PrivateKey,
    *,
    selector: str = "s1",
    domain: str = "example.com",
    algorithm: str = "rsa-sha256",
    form: tuple[str, str] = ("relaxed", "relaxed"),
    headers: Sequence[str] | None = None,
    length: bool = False,
    identity: str | None = None,
) -> bytes:
    """The message with a DKIM-Signature of dkimpy on top."""
    if isinstance(key, Ed25519PrivateKey):
        algorithm = "ed25519-sha256"
        private = base64.b64encode(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    else:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    signer = dkim.DKIM(message, signature_algorithm=algorithm.encode())
    field = signer.sign(
        selector.encode(),
        domain.encode(),
        private,
        identity=identity.encode() if identity else None,
        canonicalize=(form[0].encode(), form[1].encode()),
        include_headers=[name.encode() for name in headers] if headers else None,
        length=length,
    )
    return bytes(field) + message


_SEALED = ("from", "to", "subject", "date", "message-id")


def seal_arc(
    message: bytes, key: rsa.RSAPrivateKey, *, domain: str, selector: str = "s1", cv: str | None = None
) -> bytes:
    """One more ARC set on top (RFC 8617 section 5.1), canonicalized by dkimpy (its own sealing needs authres)."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = [tuple(line.split(b":", 1)) for line in re.split(rb"\r\n(?![ \t])", head)]
    sets = [(name, value + b"\r\n") for name, value in fields if name.lower().startswith(b"arc-")]
    number = len(sets) // 3 + 1
    cv = cv or ("pass" if number > 1 else "none")
    named = {name.lower(): (name, value + b"\r\n") for name, value in reversed(fields)}
    common = f"i={number}; a=rsa-sha256; d={domain}; s={selector};"
    digest = base64.b64encode(hashlib.sha256(Relaxed.canonicalize_body(body)).digest()).decode()
    results = (b"ARC-Authentication-Results", f" i={number}; {domain}; spf=pass; dkim=pass\r\n".encode())
    start = f" {common} c=relaxed/relaxed; h={':'.join(_SEALED)};\r\n bh={digest}; b="
    covered = [named[name.encode()] for name in _SEALED]
    signature = (b"ARC-Message-Signature", _signed(covered, b"ARC-Message-Signature", start, key))
    below = [] if cv == "fail" else sets[::-1]
    seal_field = _signed([*below, results, signature], b"ARC-Seal", f" {common} cv={cv}; b=", key)
    lines = ((b"ARC-Seal", seal_field), signature, results)
    return b"".join(name + b":" + value for name, value in lines) + message


def _signed(covered: Sequence[tuple[bytes, ...]], name: bytes, start: str, key: rsa.RSAPrivateKey) -> bytes:
    """The value of a signature field over others and itself with b= empty."""
    pairs = Relaxed.canonicalize_headers([*covered, (name, start.encode() + b"\r\n")])
    data = b"".join(label + b":" + value for label, value in pairs).removesuffix(b"\r\n")
    return start.encode() + base64.b64encode(key.sign(data, PKCS1v15(), SHA256())) + b"\r\n"


MESSAGE = (
    b"From: Ann <ann@example.com>\r\n"
    b"To: Bob <bob@example.net>\r\n"
    b"Subject: A  picnic\r\n\tby the river\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0900\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"\r\n"
    b"Dear  Bob, \r\n"
    b"\r\n"
    b"bring\tbread.\r\n"
    b"\r\n\r\n"
)
