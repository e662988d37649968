"""Logos of BIMI: SVG Tiny PS (draft-svg-tiny-ps-abrotman), as far as that shows without drawing them."""

from __future__ import annotations

import re

from deliverability.model.codes import VERBATIM, Code, Detail
from deliverability.model.errors import DetailError

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
_MAX_ERRORS = 10


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
