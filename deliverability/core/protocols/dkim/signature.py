"""The DKIM-Signature field (RFC 6376 section 3.5)."""

from __future__ import annotations

import base64
import binascii
import re

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Code, Detail
from deliverability.core.names import is_within
from deliverability.core.protocols.text_record import (
    TAG_BASE64,
    TAG_MISSING,
    TAG_VALUE,
    TagList,
    colon_list,
    parse_tags,
    shorten,
    without_white_space,
)

ALGORITHMS = ("rsa-sha256", "rsa-sha1", "ed25519-sha256")

_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")
_LABEL = r"[^\x00-\x20\x7f.:/@]{1,63}"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\.?")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_QUOTED_OCTET = re.compile("=([0-9A-Fa-f]{2})")
_LONGEST_NAME = 253
_MAX_SIGNED_HEADERS = 1000
_MAX_OCTETS = 1 << 16

FIELD_LONG = Code("dkim-field-long", ("n",))
TAG_EMPTY = Code("tag-empty", ("name",))
SIGNS_MANY = Code("signs-many", ("n",))
EXPIRES_EARLY = Code("expires-early")
IDENTITY_OUTSIDE = Code("identity-outside", ("text",))
KEY_NAME_LONG = Code("key-name-long")


class Signature(Struct, frozen=True):
    """What a DKIM-Signature field says. None: the tag is missing or cannot be read; then `errors` tells.

    Attributes:
        domain: d=, lower case, as A-labels.
        selector: s=, lower case.
        identity: i= as written, or its default ``@`` and d=.
        algorithm: a=.
        header_canonicalization: simple or relaxed, first half of c=.
        body_canonicalization: simple or relaxed, second half of c=.
        signed_headers: h=, lower case, in order, repeats kept.
        body_length: l=, octets.
        timestamp: t=, seconds since 1970.
        expires: x=, seconds since 1970.
        body_hash: decoded bh=.
        value: decoded b=.
        copied: z=, the fields when they were signed, name in lower case and value, octets as surrogate escapes.
        errors: why a receiver ignores the signature; empty where it can be checked.

    """

    domain: str | None = None
    selector: str | None = None
    identity: str | None = None
    algorithm: str | None = None
    header_canonicalization: str = "simple"
    body_canonicalization: str = "simple"
    signed_headers: tuple[str, ...] = ()
    body_length: int | None = None
    timestamp: int | None = None
    expires: int | None = None
    body_hash: bytes = b""
    value: bytes = b""
    copied: tuple[tuple[str, str], ...] = ()
    errors: tuple[Detail, ...] = ()

    @property
    def canonicalization(self) -> str:
        """c= with its defaults filled in."""
        return f"{self.header_canonicalization}/{self.body_canonicalization}"

    @property
    def key_name(self) -> str | None:
        """Where the key record is published, or None where d= or s= is missing or the name would be too long."""
        if self.domain is None or self.selector is None:
            return None
        name = f"{self.selector}._domainkey.{self.domain}"
        return name if len(name) <= _LONGEST_NAME else None

    @property
    def identity_domain(self) -> str | None:
        """The domain of i=, lower case, as A-labels."""
        return _domain(self.identity.rpartition("@")[2]) if self.identity else None

    @property
    def key_type(self) -> str:
        """The key type that a= asks for."""
        return (self.algorithm or "").partition("-")[0]

    @property
    def hash_name(self) -> str:
        """The hash algorithm that a= names."""
        return (self.algorithm or "").partition("-")[2]


def parse_signature(value: bytes | str) -> Signature:
    """Read the value of a DKIM-Signature field (folded or not). Never raises; what is wrong is in `errors`."""
    if len(value) > _MAX_OCTETS:
        return Signature(errors=(FIELD_LONG(n=_MAX_OCTETS),))
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    tags = parse_tags(text)
    errors = list(tags.errors)
    errors += [TAG_MISSING(name=name) for name in _REQUIRED if tags.get(name) is None]
    if tags.get("v") not in (None, "1"):
        errors.append(odd_value(tags, "v"))

    algorithm = tags.get("a")
    if algorithm is not None and algorithm not in ALGORITHMS:
        errors.append(odd_value(tags, "a"))
    domain = _domain(tags.get("d") or "")
    selector = (tags.get("s") or "").lower()
    if "d" in tags.tags and domain is None:
        errors.append(odd_value(tags, "d"))
    if "s" in tags.tags and not _SELECTOR.fullmatch(selector):
        errors.append(odd_value(tags, "s"))
        selector = ""
    identity = tags.get("i") or (f"@{domain}" if domain else None)
    header_form, body_form = _canonicalization(tags, errors)
    queries = colon_list(tags.get("q") or "dns/txt")
    if "dns/txt" not in queries:
        errors.append(odd_value(tags, "q"))
    names = tuple(name.lower() for name in colon_list(tags.get("h") or ""))
    if len(names) > _MAX_SIGNED_HEADERS:
        errors.append(SIGNS_MANY(n=_MAX_SIGNED_HEADERS))
    timestamp, expires = _number(tags, "t", 12, errors), _number(tags, "x", 12, errors)
    if timestamp is not None and expires is not None and expires <= timestamp:
        errors.append(EXPIRES_EARLY())
    signature = Signature(
        domain=domain,
        selector=selector or None,
        identity=identity,
        algorithm=algorithm,
        header_canonicalization=header_form,
        body_canonicalization=body_form,
        signed_headers=names[:_MAX_SIGNED_HEADERS],
        body_length=_number(tags, "l", 76, errors),
        timestamp=timestamp,
        expires=expires,
        body_hash=_base64(tags, "bh", errors),
        value=_base64(tags, "b", errors),
        copied=_copied(tags.get("z") or ""),
    )
    if domain and not is_within(signature.identity_domain, domain):
        errors.append(IDENTITY_OUTSIDE(text=shorten(identity or "")))
    if domain and selector and signature.key_name is None:
        errors.append(KEY_NAME_LONG())
    return replace(signature, errors=tuple(errors))


def _domain(text: str) -> str | None:
    """A domain in lower case as A-labels (RFC 8616 allows U-labels), or None where it is none."""
    if not _DOMAIN.fullmatch(text) or len(text) > _LONGEST_NAME:
        return None
    lower = text.rstrip(".").lower()
    if lower.isascii():
        return lower
    try:
        return lower.encode("idna").decode("ascii")
    except UnicodeError:
        return None


def odd_value(tags: TagList, name: str) -> Detail:
    """A tag with a value that it cannot have."""
    return TAG_VALUE(name=name, value=shorten(tags.tags[name]))


def _canonicalization(tags: TagList, errors: list[Detail]) -> tuple[str, str]:
    text = tags.get("c")
    if text is None:
        return "simple", "simple"
    header, _, body = text.partition("/")
    body = body or "simple"
    if header not in ("simple", "relaxed") or body not in ("simple", "relaxed") or text.endswith("/"):
        errors.append(odd_value(tags, "c"))
        return "simple", "simple"
    return header, body


def _copied(text: str) -> tuple[tuple[str, str], ...]:
    """The fields of z=, in quoted-printable without white space (section 2.11)."""
    copies = (copy.partition(":") for copy in without_white_space(text).split("|"))
    return tuple((name.lower(), _QUOTED_OCTET.sub(_octet, value)) for name, colon, value in copies if colon)


def _octet(match: re.Match[str]) -> str:
    return bytes.fromhex(match[1]).decode("ascii", "surrogateescape")


def _number(tags: TagList, name: str, digits: int, errors: list[Detail]) -> int | None:
    text = tags.get(name)
    if text is None:
        return None
    if not re.fullmatch(rf"[0-9]{{1,{digits}}}", text):
        errors.append(odd_value(tags, name))
        return None
    return int(text)


def _base64(tags: TagList, name: str, errors: list[Detail]) -> bytes:
    """The octets of a base64 value; its grammar lets the padding be left out (section 2.10)."""
    text = tags.get(name)
    if text is None:
        return b""
    compact = without_white_space(text)
    padding = "" if compact.endswith("=") else "=" * (-len(compact) % 4)
    try:
        decoded = base64.b64decode(compact + padding, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        errors.append(TAG_BASE64(name=name) if text else TAG_EMPTY(name=name))
    return decoded
