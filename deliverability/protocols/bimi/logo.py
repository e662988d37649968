"""Logos of BIMI: SVG Tiny PS (draft-svg-tiny-ps-abrotman), as far as that shows without drawing them."""

from __future__ import annotations

import re

MAX_LOGO_OCTETS = 32 * 1024
"""Octets that receivers advise a logo to stay below."""

_SVG = "http://www.w3.org/2000/svg"
_FORBIDDEN = frozenset(
    (  # noqa: SIM905 (one string, because one name a line would take twenty)
        "script image foreignObject a animate animateTransform animateMotion animateColor set audio video iframe "
        "handler listener"
    ).split()
)
_MAX_ELEMENTS = 20_000
_MAX_ERRORS = 10


class _RefusedError(Exception):
    """The document is not read further; the text says why."""


def logo_errors(data: bytes) -> tuple[str, ...]:
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
