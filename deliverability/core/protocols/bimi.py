"""BIMI (draft-brand-indicators-for-message-identification): discovery, record and logo."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import urlsplit
from xml.parsers import expat

from msgspec import Struct

from deliverability.core.codes import ABOUT, VERBATIM, Code, Detail, Input, needs
from deliverability.core.errors import DetailError
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import (
    Answer,
    Failed,
    Fetched,
    Found,
    HttpFetcher,
    NoPage,
    Page,
    Resolver,
    unknown_from,
    was_asked,
)
from deliverability.core.protocols.dmarc.record import organizational_domain
from deliverability.core.protocols.mta_sts import NOT_200
from deliverability.core.protocols.text_record import RECORDS_MANY, TAG_MISSING, VERSION_FIRST, parse_tags

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


MAX_LOGO_OCTETS = 32 * 1024
"""Octets that receivers advise a logo to stay below."""

SVG_SIZE = Code("svg-size", ("n", "limit"))
SVG_PACKED = Code("svg-packed")
SVG_XML = Code("svg-xml", ("why",))
SVG_DOCTYPE = Code("svg-doctype")
SVG_ENTITY = Code("svg-entity")
SVG_EXTERNAL = Code("svg-external")
SVG_ELEMENTS = Code("svg-elements", ("n",))
SVG_ROOT = Code("svg-root", ("name",))
SVG_NAMESPACE = Code("svg-namespace")
SVG_TITLE = Code("svg-title")
SVG_ELEMENT = Code("svg-element", ("name",))
SVG_ATTRIBUTE = Code("svg-attribute", ("name",))
SVG_ATTRIBUTE_ROOT = Code("svg-attribute-root", ("name",))
SVG_REFERENCE = Code("svg-reference", ("name", "value"))
SVG_PROFILE = Code("svg-profile")
SVG_VERSION = Code("svg-version")
SVG_SQUARE = Code("svg-square")

_SVG = "http://www.w3.org/2000/svg"
_FORBIDDEN = frozenset(
    (  # noqa: SIM905 (one string, because one name a line would take twenty)
        "script image foreignObject a animate animateTransform animateMotion animateColor set audio video iframe "
        "handler listener"
    ).split()
)
_MAX_ELEMENTS = 20_000


class _RefusedError(DetailError):
    """The document is not read further; the detail says why."""


def logo_errors(data: bytes) -> tuple[Detail, ...]:
    """Why an SVG is no SVG Tiny PS as far as that shows without drawing it; empty: nothing was found. Never raises.

    Root element, profile, title, size, and what the profile forbids: scripts, links, embedded pictures, references to
    other files. Entities and document types are refused, so that nothing can be expanded or loaded.
    """
    if data.startswith(b"\x1f\x8b"):
        return (SVG_PACKED(),)
    reader = _SvgReader()
    errors = reader.read(data)
    if len(data) > MAX_LOGO_OCTETS:
        errors.append(SVG_SIZE(n=len(data), limit=MAX_LOGO_OCTETS))
    return tuple(dict.fromkeys(errors))[:_MAX_ERRORS]


class _SvgReader:
    """One pass of expat over a document, keeping nothing but what is wrong with it."""

    def __init__(self) -> None:
        self._errors: list[Detail] = []
        self._depth = 0
        self._elements = 0
        self._title = False

    def read(self, data: bytes) -> list[Detail]:
        """What is wrong with the document."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.ExternalEntityRefHandler = self._external
        try:
            parser.Parse(data, True)
        except _RefusedError as refused:
            return [*self._errors, refused.detail]
        except (expat.ExpatError, ValueError, LookupError) as error:
            return [*self._errors, SVG_XML(why=VERBATIM(text=str(error)))]
        if not self._title:
            self._errors.append(SVG_TITLE())
        return self._errors

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._depth += 1
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            raise _RefusedError(SVG_ELEMENTS(n=_MAX_ELEMENTS))
        if self._depth == 1:
            self._root(namespace, local, attributes)
        elif self._depth == 2 and local == "title":
            self._title = True
        if namespace in (_SVG, "") and local in _FORBIDDEN:
            self._errors.append(SVG_ELEMENT(name=local))
        for key, value in attributes.items():
            attribute = key.rpartition(" ")[2]
            if attribute.lower().startswith("on"):
                self._errors.append(SVG_ATTRIBUTE(name=attribute[:30]))
            reference = value.strip().lower()
            if attribute == "href" and not reference.startswith("#"):
                self._errors.append(SVG_REFERENCE(name="href", value=value[:60]))
            elif "url(" in reference and "url(#" not in reference.replace("'", "").replace('"', "").replace(" ", ""):
                self._errors.append(SVG_REFERENCE(name=attribute[:30], value=value[:60]))

    def _root(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        if local != "svg" or namespace != _SVG:
            raise _RefusedError(SVG_NAMESPACE() if local == "svg" else SVG_ROOT(name=local[:40]))
        if attributes.get("baseProfile") != "tiny-ps":
            self._errors.append(SVG_PROFILE())
        if attributes.get("version") != "1.2":
            self._errors.append(SVG_VERSION())
        self._errors += [SVG_ATTRIBUTE_ROOT(name=name) for name in ("x", "y") if name in attributes]
        box = re.split(r"[\s,]+", attributes.get("viewBox", "").strip()[:100])
        if len(box) == 4 and box[2] != box[3]:
            self._errors.append(SVG_SQUARE())

    def _end(self, name: str) -> None:
        self._depth -= 1

    def _doctype(self, *declaration: object) -> None:
        raise _RefusedError(SVG_DOCTYPE())

    def _entity(self, *declaration: object) -> None:
        raise _RefusedError(SVG_ENTITY())

    def _external(self, *reference: object) -> int:
        raise _RefusedError(SVG_EXTERNAL())


HTTP_STATUS = Code("http-status", ("url", "n"))

_REDIRECTS = 3


class BimiLogo(Struct, frozen=True):
    """The logo that a record names.

    Attributes:
        octets: its size; None where none came, for a reason that every visitor would meet.
        errors: why it is no SVG Tiny PS that receivers take, one each.

    """

    octets: int | None
    errors: tuple[Detail, ...] = ()


class BimiDiscovery(Struct, frozen=True):
    """What a domain publishes for BIMI.

    Attributes:
        domain: the author domain, an A-label, lower case.
        selector: the selector asked for.
        name: name of the record; None where there is none.
        record: None: there is none; Unknown: could not be looked up.
        logo: None where no usable l= names one; Unknown where it was not fetched, for no fetcher was given or only we
            could not look.
        certificate_found: a certificate in PEM form is where a= says, not validated; None and Unknown as for the logo.
        answers: the DNS answers for the record, those of the tree walk for the organizational domain not included.
        pages: what web servers answered.

    """

    domain: str
    selector: str
    name: str | None
    record: BimiRecord | Unknown | None
    logo: BimiLogo | Unknown | None
    certificate_found: bool | Unknown | None
    answers: tuple[Answer, ...]
    pages: tuple[Fetched, ...] = ()


async def discover_bimi(
    domain: str, resolver: Resolver, http: HttpFetcher | None = None, selector: str = "default"
) -> BimiDiscovery:
    """Find record, logo and certificate for mail from a domain (an A-label), first there, then at its organization.

    Logo and certificate are fetched through `http`; without it only DNS is asked, and they stay unknown. Never raises
    for what DNS and web servers can hold.
    """
    domain = domain.rstrip(".").lower()
    name = f"{selector}._bimi.{domain}"
    answer, home = await asyncio.gather(resolver.query(name, "TXT"), organizational_domain(domain, resolver))
    answers = [answer]
    record = _record(answer)
    if record is None and isinstance(home, Unknown):
        record = home
    elif record is None and home != domain:
        name = f"{selector}._bimi.{home}"
        answers.append(await resolver.query(name, "TXT"))
        record = _record(answers[-1])
    if record is None or isinstance(record, Unknown):
        return BimiDiscovery(domain, selector, None, record, record, record, tuple(answers))
    logo, certificate = await asyncio.gather(
        _fetch(record.logo, resolver, http), _fetch(record.certificate, resolver, http)
    )
    return BimiDiscovery(
        domain,
        selector,
        name,
        record,
        _logo(logo),
        _certificate(certificate),
        tuple(answers),
        tuple(page for page in (logo, certificate) if isinstance(page, Page | NoPage)),
    )


def _record(answer: Answer) -> BimiRecord | Unknown | None:
    if isinstance(answer, Failed):
        return unknown_from(answer)
    return parse_bimi(answer.values) if isinstance(answer, Found) else None


async def _fetch(url: str | None, resolver: Resolver, http: HttpFetcher | None) -> Fetched | Unknown | None:
    if url is None or not is_https(url):
        return None
    fetched = await http.fetch(url, resolver, redirects=_REDIRECTS) if http else None
    return fetched if fetched and was_asked(fetched) else Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH))


def _logo(got: Fetched | Unknown | None) -> BimiLogo | Unknown | None:
    content = _content(got)
    if isinstance(content, bytes):
        return BimiLogo(len(content), logo_errors(content))
    return BimiLogo(None, (content,)) if isinstance(content, Detail) else content


def _certificate(got: Fetched | Unknown | None) -> bool | Unknown | None:
    content = _content(got)
    if isinstance(content, bytes):
        return b"-----BEGIN CERTIFICATE-----" in content
    return False if isinstance(content, Detail) else content


def _content(got: Fetched | Unknown | None) -> bytes | Detail | Unknown | None:
    """The file; else a detail where everybody would find it missing, Unknown where only we could not look."""
    if isinstance(got, NoPage):
        why = got.detail
        return why if got.certain else Unknown(got.reason, ABOUT(what=got.url, detail=why))
    if not isinstance(got, Page):
        return got
    if got.status >= 500:
        return Unknown(Reason.REFUSED, HTTP_STATUS(url=got.url, n=got.status))
    return got.body if got.status == 200 else NOT_200(n=got.status)
