"""BIMI: the logo that mailboxes may show beside the domain's mail.

Record and, with --fetch, logo.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from deliverability.auditors.base import Context, auditor, dns_id, http_id, spec, unknown_from
from deliverability.auditors.dmarc import policy_domain
from deliverability.model.facts import FactType, Reason, Unknown, Value
from deliverability.ports.base import Absent, Failed, Fetched, Found, NoPage, Page
from deliverability.ports.ports import NotAllowed
from deliverability.protocols.dkim.tags import parse_tags
from deliverability.protocols.dmarc.discover import organizational_domain

MAX_LOGO_OCTETS = 32 * 1024
"""Octets that receivers advise a logo to stay below."""

PROVIDES = (
    spec("bimi.domain", FactType.STR, "Domain it was looked up for: that of the DMARC policy."),
    spec("bimi.selector", FactType.STR, "Selector: that of BIMI-Selector in the message, else default."),
    spec("bimi.present", FactType.BOOL, "A BIMI record is published, valid or not."),
    spec("bimi.record", FactType.STR, "That record.", optional=True),
    spec("bimi.name", FactType.STR, "Name at which it stands.", optional=True),
    spec("bimi.declined", FactType.BOOL, "The record says that no logo is to be shown (empty l= and a=)."),
    spec("bimi.errors", FactType.LIST_STR, "What is wrong with the record, one term each."),
    spec("bimi.logo", FactType.STR, "l=, where the logo is.", optional=True),
    spec("bimi.certificate", FactType.STR, "a=, where the certificate is.", optional=True),
    spec("bimi.logo_octets", FactType.INT, "Size of the logo; only with --fetch.", unit="octets", optional=True),
    spec("bimi.logo_errors", FactType.LIST_STR, "Why the logo is no SVG Tiny PS; only with --fetch."),
    spec(
        "bimi.certificate_found",
        FactType.BOOL,
        "A certificate in PEM form is where a= says; it is not validated. Only with --fetch.",
        optional=True,
    ),
)

_SELECTOR = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?){0,3}", re.I)
_SELECTOR_TAG = re.compile(r"(?:^|;)\s*s\s*=\s*([^;\s]{1,200})", re.IGNORECASE)
_SVG = "http://www.w3.org/2000/svg"
_FORBIDDEN = frozenset(
    (  # noqa: SIM905 (one string, because one name a line would take twenty)
        "script image foreignObject a animate animateTransform animateMotion animateColor set audio video iframe "
        "handler listener"
    ).split()
)
_MAX_ELEMENTS = 20_000
_MAX_ERRORS = 10
_OF_LOGO = ("bimi.logo_octets", "bimi.logo_errors")


@auditor("bimi", provides=PROVIDES, needs=("message.from_domain",))
async def audit(ctx: Context) -> None:
    """Look at the domain, then at its organization; fetch what the record names only where the user asked for it."""
    domain = policy_domain(ctx.subject.domain, ctx.value("message.from_domain"))
    selector = _selector(ctx)
    ctx.put("bimi.domain", domain)
    ctx.put("bimi.selector", selector)
    name = f"{selector}._bimi.{domain}"
    answer, home = await asyncio.gather(ctx.query(name, "TXT"), organizational_domain(domain, ctx.ports.dns))
    evidence = [dns_id(name, "TXT")]
    lost: Unknown | None = None
    if isinstance(answer, Absent) or (isinstance(answer, Found) and not _meant(answer.values)):
        if isinstance(home, Unknown):
            lost = home
        elif home != domain:
            name = f"{selector}._bimi.{home}"
            answer = await ctx.query(name, "TXT")
            evidence.append(dns_id(name, "TXT"))
    if isinstance(answer, Failed):
        lost = unknown_from(answer)
    if lost is not None:
        ctx.put_all({each.path: lost for each in PROVIDES if each.path not in ctx.stated}, *evidence)
        return
    record = parse_bimi(answer.values if isinstance(answer, Found) else ())
    ctx.put_all(
        {
            "bimi.present": record.text is not None,
            "bimi.record": record.text,
            "bimi.name": name if record.text is not None else None,
            "bimi.declined": record.declined,
            "bimi.errors": record.errors,
            "bimi.logo": record.logo,
            "bimi.certificate": record.certificate,
        },
        *evidence,
    )
    await asyncio.gather(_logo(ctx, record.logo), _certificate(ctx, record.certificate))


def _selector(ctx: Context) -> str:
    field = ctx.message.first("BIMI-Selector") if ctx.message else None
    match = _SELECTOR_TAG.search(field.value[:1000]) if field else None
    return match[1].lower() if match and _SELECTOR.fullmatch(match[1]) else "default"


@dataclass(frozen=True, slots=True)
class BimiRecord:
    """What a BIMI record says; `text` None: there is none. `errors` holds one term for everything that is wrong."""

    text: str | None = None
    logo: str | None = None
    certificate: str | None = None
    declined: bool = False
    errors: tuple[str, ...] = ()


def _meant(values: Sequence[str]) -> list[str]:
    return [value for value in values if re.match(r"[\s\"'“”]*v\s*=\s*bimi", value, re.IGNORECASE)]


def parse_bimi(values: Sequence[str]) -> BimiRecord:
    """The BIMI record among the TXT records of a name (draft-brand-indicators section 4.3). Never raises."""
    meant = _meant(values)
    if not meant:
        return BimiRecord()
    text = meant[0]
    tags = parse_tags(text)
    errors = [f"{len(meant)} records; there may be one only"] if len(meant) > 1 else []
    errors += tags.errors
    if next(iter(tags.tags), None) != "v" or tags.get("v") != "BIMI1":
        errors.append("it does not begin with v=BIMI1;")
    logo, certificate = tags.get("l"), tags.get("a")
    if logo is None and certificate is None:
        errors.append("no l=")
    for tag, value in (("l", logo), ("a", certificate)):
        if value and not _is_https(value):
            errors.append(f"{tag}={value[:60]} is not an https URL")
    if logo and _is_https(logo) and not urlsplit(logo).path.lower().endswith((".svg", ".svgz")):
        errors.append(f"l={logo[:60]} does not end in .svg")
    declined = not errors and not logo and not certificate
    return BimiRecord(text, logo or None, certificate or None, declined, tuple(errors[:_MAX_ERRORS]))


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() == "https" and bool(parts.hostname) and " " not in url


async def _logo(ctx: Context, url: str | None) -> None:
    if url is None or not _is_https(url):
        ctx.put_all({"bimi.logo_octets": None, "bimi.logo_errors": ()})
        return
    fetched = await ctx.fetch(url, redirects=3)
    if isinstance(fetched, NotAllowed):
        ctx.put_all(dict.fromkeys(_OF_LOGO, fetched.unknown))
        return
    failed = _failed(fetched)
    if isinstance(failed, Unknown):
        ctx.put_all(dict.fromkeys(_OF_LOGO, failed), http_id(url))
    elif failed is not None or isinstance(fetched, NoPage):
        ctx.put_all({"bimi.logo_octets": None, "bimi.logo_errors": (failed,)}, http_id(url))
    else:
        errors = svg_errors(fetched.body)
        ctx.put_all({"bimi.logo_octets": len(fetched.body), "bimi.logo_errors": errors}, http_id(url))


async def _certificate(ctx: Context, url: str | None) -> None:
    path = "bimi.certificate_found"
    if url is None or not _is_https(url):
        ctx.put(path, None)
        return
    fetched = await ctx.fetch(url, redirects=3)
    if isinstance(fetched, NotAllowed):
        ctx.put(path, fetched.unknown)
        return
    failed = _failed(fetched)
    found: Value = failed if isinstance(failed, Unknown) else False
    if isinstance(fetched, Page) and failed is None:
        found = b"-----BEGIN CERTIFICATE-----" in fetched.body
    ctx.put(path, found, http_id(url))


def _failed(fetched: Fetched) -> str | Unknown | None:
    """Why nothing usable came: a text where everybody would see the same, Unknown where only we could not look."""
    if isinstance(fetched, Page):
        if fetched.status >= 500:
            return Unknown(Reason.REFUSED, f"{fetched.url}: HTTP status {fetched.status}")
        return None if fetched.status == 200 else f"HTTP status {fetched.status} instead of 200"
    return fetched.detail if fetched.certain else Unknown(fetched.reason, f"{fetched.url}: {fetched.detail}")


class _RefusedError(Exception):
    """The document is not read further; the text says why."""


def svg_errors(data: bytes) -> tuple[str, ...]:
    """Why an SVG is no SVG Tiny PS as far as that shows without drawing it; empty: nothing was found. Never raises.

    Root element, profile, title, size, and what the profile forbids: scripts, links, embedded pictures, references to
    other files. Entities and document types are refused, so that nothing can be expanded or loaded.
    """
    if data.startswith(b"\x1f\x8b"):
        return ("it is compressed (.svgz) and was not read",)
    reader = _SvgReader()
    errors = reader.read(data)
    if len(data) > MAX_LOGO_OCTETS:
        errors.append(f"{len(data)} octets; {MAX_LOGO_OCTETS} are the most that receivers advise")
    return tuple(dict.fromkeys(errors))[:_MAX_ERRORS]


class _SvgReader:
    """One pass of expat over a document, keeping nothing but what is wrong with it."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._depth = 0
        self._elements = 0
        self._title = False

    def read(self, data: bytes) -> list[str]:
        """What is wrong with the document."""
        from xml.parsers import expat

        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.ExternalEntityRefHandler = self._external
        try:
            parser.Parse(data, True)
        except _RefusedError as refused:
            return [*self._errors, str(refused)]
        except (expat.ExpatError, ValueError, LookupError) as error:
            return [*self._errors, f"it is not well-formed XML ({error})"]
        if not self._title:
            self._errors.append("it has no title element")
        return self._errors

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._depth += 1
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            raise _RefusedError(f"more than {_MAX_ELEMENTS} elements")
        if self._depth == 1:
            self._root(namespace, local, attributes)
        elif self._depth == 2 and local == "title":
            self._title = True
        if namespace in (_SVG, "") and local in _FORBIDDEN:
            self._errors.append(f"{local} element")
        for key, value in attributes.items():
            attribute = key.rpartition(" ")[2]
            if attribute.lower().startswith("on"):
                self._errors.append(f"{attribute[:30]} attribute")
            reference = value.strip().lower()
            if attribute == "href" and not reference.startswith("#"):
                self._errors.append(f"href={value[:60]}")
            elif "url(" in reference and "url(#" not in reference.replace("'", "").replace('"', "").replace(" ", ""):
                self._errors.append(f"{attribute[:30]}={value[:60]}")

    def _root(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        if local != "svg" or namespace != _SVG:
            where = "outside the namespace of SVG" if local == "svg" else "not svg"
            raise _RefusedError(f"its root element is {local[:40]}, {where}")
        if attributes.get("baseProfile") != "tiny-ps":
            self._errors.append("baseProfile is not tiny-ps")
        if attributes.get("version") != "1.2":
            self._errors.append("version is not 1.2")
        self._errors += [f"{name} attribute of svg" for name in ("x", "y") if name in attributes]
        box = re.split(r"[\s,]+", attributes.get("viewBox", "").strip()[:100])
        if len(box) == 4 and box[2] != box[3]:
            self._errors.append("it is not square (viewBox)")

    def _end(self, name: str) -> None:
        self._depth -= 1

    def _doctype(self, *declaration: object) -> None:
        raise _RefusedError("it has a document type declaration")

    def _entity(self, *declaration: object) -> None:
        raise _RefusedError("it declares an entity")

    def _external(self, *reference: object) -> int:
        raise _RefusedError("it refers to another file")
