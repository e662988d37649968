"""BIMI records: text -> logo, certificate and what is wrong (draft-brand-indicators section 4.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from deliverability.model.codes import Code, Detail
from deliverability.protocols.dkim.tags import parse_tags
from deliverability.protocols.text_record import RECORDS_MANY, TAG_MISSING, VERSION_FIRST

NOT_HTTPS = Code("not-https", ("name", "value"))
NOT_SVG = Code("not-svg", ("name", "value"))

_MAX_ERRORS = 10


class BimiRecord(Struct, frozen=True):
    """The record.

    Attributes:
        text: as published.
        logo: l=, where the logo is; None where it is empty or missing.
        certificate: a=, where the certificate is; None where it is empty or missing.
        declined: the record says that no logo is to be shown (empty l= and a=).
        errors: what is wrong, one each.

    """

    text: str
    logo: str | None = None
    certificate: str | None = None
    declined: bool = False
    errors: tuple[Detail, ...] = ()


def parse_bimi(values: Sequence[str]) -> BimiRecord | None:
    """The BIMI record among the TXT records of a name; None where there is none. Never raises."""
    meant = [value for value in values if re.match(r"[\s\"'“”]*v\s*=\s*bimi", value, re.IGNORECASE)]
    if not meant:
        return None
    text = meant[0]
    tags = parse_tags(text)
    errors = [RECORDS_MANY(n=len(meant))] if len(meant) > 1 else []
    errors += tags.errors
    if next(iter(tags.tags), None) != "v" or tags.get("v") != "BIMI1":
        errors.append(VERSION_FIRST(version="BIMI1"))
    logo, certificate = tags.get("l"), tags.get("a")
    if logo is None and certificate is None:
        errors.append(TAG_MISSING(name="l"))
    for tag, value in (("l", logo), ("a", certificate)):
        if value and not is_https(value):
            errors.append(NOT_HTTPS(name=tag, value=value[:60]))
    if logo and is_https(logo) and not urlsplit(logo).path.lower().endswith((".svg", ".svgz")):
        errors.append(NOT_SVG(name="l", value=logo[:60]))
    declined = not errors and not logo and not certificate
    return BimiRecord(text, logo or None, certificate or None, declined, tuple(errors[:_MAX_ERRORS]))


def is_https(url: str) -> bool:
    """Whether a URL is of the one kind that BIMI takes."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() == "https" and bool(parts.hostname) and " " not in url
