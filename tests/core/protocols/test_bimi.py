"""BIMI by itself: the record, where it is looked for, and the logo."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability import discover_bimi
from deliverability.core.codes import ABOUT, VERBATIM, Detail, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Fetched, NoPage, Page, Resolver
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.bimi import (
    HTTP_STATUS,
    MAX_LOGO_OCTETS,
    NOT_HTTPS,
    NOT_SVG,
    SVG_ATTRIBUTE,
    SVG_DOCTYPE,
    SVG_ELEMENT,
    SVG_NAMESPACE,
    SVG_PACKED,
    SVG_PROFILE,
    SVG_REFERENCE,
    SVG_ROOT,
    SVG_SIZE,
    SVG_SQUARE,
    SVG_TITLE,
    SVG_VERSION,
    SVG_XML,
    BimiLogo,
    BimiRecord,
    logo_errors,
    parse_bimi,
)
from deliverability.core.protocols.mta_sts import NOT_200
from deliverability.core.protocols.text_record import RECORDS_MANY, TAG_MISSING, TAG_TWICE, VERSION_FIRST

LOGO, PEM = "https://brand.example/logo.svg", "https://brand.example/vmc.pem"
RECORD = f"v=BIMI1; l={LOGO}; a={PEM}"
SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    b'viewBox="0 0 64 64"><title>Example</title><defs><linearGradient id="g"/></defs>'
    b'<rect width="64" height="64" fill="url(#g)"/></svg>'
)
ZONE: dict[tuple[str, str], Any] = {
    ("default._bimi.example.com", "TXT"): [RECORD],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject"],
}


class Web:
    """A fetcher with an answer for logo and certificate, as a program may bring its own."""

    def __init__(self, logo: Fetched, pem: Fetched) -> None:
        self.pages = {LOGO: logo, PEM: pem}

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        return self.pages[url]


# --- from a program's view -----------------------------------------------------------------------------------------


async def test_record_logo_and_certificate() -> None:
    pages = Page(LOGO, 200, "image/svg+xml", SVG), Page(PEM, 200, "", b"-----BEGIN CERTIFICATE-----\n...")
    found = await discover_bimi("Example.COM.", StaticResolver(ZONE), Web(*pages))
    assert (found.domain, found.selector, found.name) == ("example.com", "default", "default._bimi.example.com")
    assert found.record == BimiRecord(RECORD, LOGO, PEM)
    assert (found.logo, found.certificate_found) == (BimiLogo(len(SVG)), True)
    assert found.pages == pages


async def test_without_a_fetcher_only_dns_is_asked() -> None:
    found = await discover_bimi("example.com", StaticResolver(ZONE))
    waiting = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH))
    assert (found.logo, found.certificate_found, found.pages) == (waiting, waiting, ())


async def test_the_organization_is_the_second_place() -> None:
    found = await discover_bimi("news.example.com", StaticResolver(ZONE))
    assert (found.domain, found.name) == ("news.example.com", "default._bimi.example.com")
    assert [answer.name for answer in found.answers] == ["default._bimi.news.example.com", "default._bimi.example.com"]


async def test_another_selector() -> None:
    resolver = StaticResolver({("brand._bimi.example.com", "TXT"): ["v=BIMI1; l=; a="]})
    found = await discover_bimi("example.com", resolver, selector="brand")
    assert found.record == BimiRecord("v=BIMI1; l=; a=", declined=True)
    assert (found.name, found.logo, found.certificate_found) == ("brand._bimi.example.com", None, None)


async def test_a_domain_without_bimi() -> None:
    found = await discover_bimi("example.com", StaticResolver({("example.com", "A"): ["192.0.2.1"]}))
    assert (found.record, found.name, found.logo, found.certificate_found) == (None, None, None, None)


@pytest.mark.parametrize("name", ["default._bimi.example.com", "_dmarc.example.com"])
@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failed_look_up_is_unknown(name: str, fault: str) -> None:
    found = await discover_bimi(
        "example.com", StaticResolver({(name, "TXT"): fault, ("example.com", "A"): ["192.0.2.1"]})
    )
    assert isinstance(found.record, Unknown)
    assert found.record.reason is Reason(fault)
    assert (found.logo, found.certificate_found) == (found.record, found.record)


async def test_what_everybody_would_miss_is_a_fault_and_what_only_we_missed_is_unknown() -> None:
    resolver = StaticResolver(ZONE)
    web = Web(
        NoPage(LOGO, Reason.REFUSED, VERBATIM(text="it leads to 10.0.0.1"), certain=True),
        Page(PEM, 404, "text/html", b""),
    )
    found = await discover_bimi("example.com", resolver, web)
    assert (found.logo, found.certificate_found) == (BimiLogo(None, (VERBATIM(text="it leads to 10.0.0.1"),)), False)
    found = await discover_bimi("example.com", resolver, Web(Page(LOGO, 404, "", b""), Page(PEM, 200, "", b"none")))
    assert (found.logo, found.certificate_found) == (BimiLogo(None, (NOT_200(n=404),)), False)
    web = Web(NoPage(LOGO, Reason.TIMEOUT, VERBATIM(text="no answer")), Page(PEM, 503, "text/html", b""))
    found = await discover_bimi("example.com", resolver, web)
    assert found.logo == Unknown(Reason.TIMEOUT, ABOUT(what=LOGO, detail=VERBATIM(text="no answer")))
    assert found.certificate_found == Unknown(Reason.REFUSED, HTTP_STATUS(url=PEM, n=503))


# --- records -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "errors"),
    [
        (RECORD, ()),
        ("v=BIMI1; l=; a=;", ()),
        (f"v=BIMI1;l={LOGO}", ()),
        ("v=BIMI1", (TAG_MISSING(name="l"),)),
        (f"v=bimi1; l={LOGO}", (VERSION_FIRST(version="BIMI1"),)),
        (f"l={LOGO}; v=BIMI1", None),
        ("v=BIMI1; l=http://b.example/l.svg", (NOT_HTTPS(name="l", value="http://b.example/l.svg"),)),
        ("v=BIMI1; l=https://b.example/l.png", (NOT_SVG(name="l", value="https://b.example/l.png"),)),
        (f"v=BIMI1; l={LOGO}; l={LOGO}", (TAG_TWICE(name="l"),)),
    ],
)
def test_records(record: str, errors: tuple[Detail, ...] | None) -> None:
    found = parse_bimi([record])
    assert (found is None) is (errors is None)
    assert (found.errors if found else None) == errors


def test_two_records_are_one_too_many() -> None:
    found = parse_bimi([RECORD, RECORD])
    assert found is not None
    assert found.errors == (RECORDS_MANY(n=2),)


# --- logos ---------------------------------------------------------------------------------------------------------


def edited(before: bytes, after: bytes) -> bytes:
    assert before in SVG
    return SVG.replace(before, after)


@pytest.mark.parametrize(
    ("svg", "errors"),
    [
        (SVG, ()),
        (edited(b'baseProfile="tiny-ps" ', b""), (SVG_PROFILE(),)),
        (edited(b'version="1.2"', b'version="1.1"'), (SVG_VERSION(),)),
        (edited(b"<title>Example</title>", b""), (SVG_TITLE(),)),
        (edited(b"0 0 64 64", b"0 0 128 64"), (SVG_SQUARE(),)),
        (edited(b"<defs>", b"<script>1</script><defs>"), (SVG_ELEMENT(name="script"),)),
        (edited(b"<defs>", b'<image href="#x"/><defs>'), (SVG_ELEMENT(name="image"),)),
        (edited(b"<rect ", b'<rect onclick="x()" '), (SVG_ATTRIBUTE(name="onclick"),)),
        (
            edited(b"url(#g)", b"url(https://evil.example/#g)"),
            (SVG_REFERENCE(name="fill", value="url(https://evil.example/#g)"),),
        ),
        (
            edited(b"<rect ", b'<rect href="https://evil.example/" '),
            (SVG_REFERENCE(name="href", value="https://evil.example/"),),
        ),
        (b"<html></html>", (SVG_ROOT(name="html"),)),
        (b"<svg></svg>", (SVG_NAMESPACE(),)),
        (b"\x1f\x8b\x08rest", (SVG_PACKED(),)),
    ],
)
def test_logos(svg: bytes, errors: tuple[Detail, ...]) -> None:
    assert logo_errors(svg) == errors


def test_a_large_logo() -> None:
    large = edited(b"</svg>", b"<!--" + b"x" * MAX_LOGO_OCTETS + b"--></svg>")
    assert logo_errors(large) == (SVG_SIZE(n=len(large), limit=32768),)


@pytest.mark.parametrize(
    "hostile",
    [
        b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>',
        b'<!DOCTYPE svg SYSTEM "file:///etc/passwd"><svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/x.dtd"><svg/>',
    ],
)
def test_document_types_and_entities_are_refused(hostile: bytes) -> None:
    assert logo_errors(hostile) == (SVG_DOCTYPE(),)


@pytest.mark.parametrize(
    "octets", [b"", b"\xff\xfe\x00", b"<svg", b"<a>" * 60_000, b"&x;", b'<?xml version="1.0" encoding="nope"?><svg/>']
)
def test_hostile_logos_give_a_result(octets: bytes) -> None:
    first, *_ = logo_errors(octets)
    assert SVG_XML.matches(first) or first == SVG_ROOT(name="a")
