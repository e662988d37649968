"""A domain and its mail for the tests of the public API."""

from __future__ import annotations

from deliverability import StaticResolver
from tests.signing import MESSAGE, published, rsa_key, sign

KEY = rsa_key(1024)
RECORDS: dict[tuple[str, str], list[str | list[str] | tuple[str | int, ...]]] = {
    ("example.com", "MX"): ["10 mail.example.com"],
    ("mail.example.com", "A"): ["192.0.2.25"],
    ("example.com", "TXT"): ["v=spf1 mx -all"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
    ("s1._domainkey.example.com", "TXT"): [(published(KEY)[:200], published(KEY)[200:])],
}
WORLD = StaticResolver(RECORDS)
SIGNED = b"Return-Path: <ann@example.com>\r\n" + sign(MESSAGE, KEY)
ZONE = """$ORIGIN example.com.
@ 60 IN SOA ns h 1 1 1 1 1
@ 60 IN NS ns
@ 60 IN TXT "v=spf1 ip4:192.0.2.25 -all"
@ 60 IN MX 10 mail
mail 60 IN A 192.0.2.25
_dmarc 60 IN TXT "v=DMARC1; p=none"
"""
