"""BIMI discovery: the record at the domain or at its organization, and what it names on the web (section 7.2)."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from deliverability.model.codes import ABOUT, Code, Detail, Input, needs
from deliverability.model.facts import Reason, Unknown
from deliverability.ports.base import (
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
from deliverability.protocols.bimi.logo import logo_errors
from deliverability.protocols.bimi.record import BimiRecord, is_https, parse_bimi
from deliverability.protocols.dmarc.discover import organizational_domain
from deliverability.protocols.mta_sts import NOT_200

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
