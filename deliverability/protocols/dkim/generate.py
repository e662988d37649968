"""New DKIM key pairs: the private key as files of signers hold it, and the record to publish.

cryptography is imported only when a key is made.
"""

from __future__ import annotations

import base64

from msgspec import Struct


class KeyPair(Struct, frozen=True):
    """A key pair.

    Attributes:
        type: ``rsa`` or ``ed25519``.
        bits: size of the key.
        pem: the private key as PKCS #8 in PEM form, without a passphrase: OpenDKIM, Rspamd and others read it.
        seed: of ed25519 the 32 octets of the private key as base64, which is what dkimpy reads; else empty.
        record: the key record (RFC 6376 section 3.6.1, RFC 8463 section 4).

    """

    type: str
    bits: int
    pem: bytes
    seed: bytes
    record: str = ""

    def __repr__(self) -> str:  # nothing of the private key in a log or a traceback
        return f"KeyPair({self.type!r}, {self.bits})"


def generate_rsa(bits: int) -> KeyPair:
    """A new RSA key pair of 2048 bits or more (RFC 8301 section 3.2)."""
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = generate_private_key(public_exponent=65537, key_size=bits)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair("rsa", bits, pem, b"", f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")


def generate_ed25519() -> KeyPair:
    """A new Ed25519 key pair; to be used beside RSA, because not every receiver knows it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    seed = base64.b64encode(key.private_bytes_raw()) + b"\n"
    return KeyPair("ed25519", 256, pem, seed, f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}")
