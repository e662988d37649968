"""Reads the catalogue of sending services (senders/*.yaml of the rule folders), and the selectors to guess.

Rule files are checked by pydantic; this catalogue is read in every audit, also where no rules are, and checks its few
fields by hand in a fraction of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from deliverability import _yamlstrict as yamlstrict
from deliverability._yamlstrict import (
    DEFINED,
    FIELDS,
    LIST,
    MISSING,
    NO_SUCH_FIELD,
    NOT_ALLOWED,
    NOT_ONE_OF,
    TRUE_OR_FALSE,
)
from deliverability.model.codes import Code, Detail
from deliverability.model.rules import READ_AS, Confidence
from deliverability.model.schema import nearest
from deliverability.model.senders import Alignment, Dkim, Include, Pattern, Service, ServiceKind, ServiceSource

FOLDER = "senders"
COMMON = "selectors.yaml"
RARE = "rare-selectors.yaml"


CNAME_OR_TXT = Code("sender-record")
NOTHING_FIXED = Code("sender-nothing-fixed")
NO_SUCH_SELECTOR = Code("sender-no-such-selector", ("name",))
HTTPS = Code("sender-https")


class CatalogueError(yamlstrict.FilesError):
    """Files of the catalogue that cannot be used."""


def load_senders(folders: Iterable[Path]) -> tuple[Mapping[str, Service], tuple[str, ...], tuple[str, ...]]:
    """The services of ``senders/*.yaml`` by id, the selectors that all are asked for, and all that are guessed.

    A later folder replaces services of the same id, and adds selectors. The fixed selectors of a service are guessed
    too, so that their absence says something. Raises CatalogueError with every problem found.
    """
    reader = _Reader()
    for folder in folders:
        reader.folder(folder / FOLDER)
    if reader.problems:
        raise CatalogueError(*reader.problems)
    fixed = (name for each in reader.services.values() if each.dkim.fixed for name in each.dkim.names)
    common, rare = (tuple(dict.fromkeys(reader.selectors[name])) for name in (COMMON, RARE))
    return reader.services, common, tuple(dict.fromkeys((*common, *rare, *fixed)))


_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_#*-]{1,63}(\.[a-z0-9_#*-]{1,63})+")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LABEL = re.compile(r"[a-z0-9_#*-]{1,63}")
_FIELD = re.compile(r"[!-9;-~]{1,76}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_READ_AS = re.compile(READ_AS)
_LANGUAGES = ("en", "ja")
_Path = tuple[str | int, ...]
_Choice = TypeVar("_Choice", bound=StrEnum)


class _Reader:
    """Reads files and collects all that is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Detail] = []
        self.services: dict[str, Service] = {}
        self.selectors: dict[str, list[str]] = {COMMON: [], RARE: []}
        self._document = yamlstrict.Document(None, {})

    def folder(self, folder: Path) -> None:
        here: dict[str, yamlstrict.FileLine] = {}
        for path in sorted(folder.glob("*.yaml")):
            document = yamlstrict.read_file(path, self.problems)
            if document is None:
                continue
            self._document = document
            if path.name in self.selectors:
                self.selectors[path.name] += self._items(
                    document.data, (), lambda each, at: self._text(each, at, _NAME)
                )
                continue
            for index, item in enumerate(self._items(document.data, (), lambda each, _: each)):
                service = self._service(item, (index,))
                if service is None:
                    continue
                if service.id in here:
                    self._problem(DEFINED(name=service.id, place=str(here[service.id])), (index,))
                    continue
                here[service.id] = document.at(index)
                self.services[service.id] = service

    def _problem(self, detail: Detail, path: _Path) -> None:
        self.problems.append(self._document.at(*path).problem(detail, ".".join(map(str, path))))

    def _service(self, data: Any, path: _Path) -> Service | None:
        before = len(self.problems)
        fields = self._mapping(
            data,
            path,
            required=("id", "name", "kind", "confidence"),
            optional=(
                *("spf", "mx", "dkim", "signs_as", "return_path", "headers", "feedback_id", "helo"),
                *("include", "alignment", "console", "sources"),
            ),
        )
        if fields is None:
            return None
        returns = self._part(fields, "return_path", path, ("domains", "labels", "mx"))
        at = (*path, "return_path")
        service = Service(
            id=self._text(fields.get("id"), (*path, "id"), _ID),
            name=self._words(fields.get("name"), (*path, "name")),
            kind=self._choice(ServiceKind, fields.get("kind"), (*path, "kind")) or ServiceKind.OTHER,
            confidence=self._choice(Confidence, fields.get("confidence"), (*path, "confidence")) or Confidence.LOW,
            spf=self._patterns(fields, "spf", path, _HOST),
            mx=self._patterns(fields, "mx", path, _HOST),
            dkim=self._dkim(fields, path),
            signs_as=self._patterns(fields, "signs_as", path, _HOST),
            return_domains=self._patterns(returns, "domains", at, _HOST),
            return_labels=self._patterns(returns, "labels", at, _LABEL),
            return_mx=self._patterns(returns, "mx", at, _HOST),
            headers=self._texts(fields, "headers", path, _FIELD),
            feedback_ids=self._texts(fields, "feedback_id", path, _FIELD),
            helo=self._patterns(fields, "helo", path, _HOST),
            include=self._choice(Include, fields.get("include"), (*path, "include")),
            alignment=self._choice(Alignment, fields.get("alignment"), (*path, "alignment")),
            console=self._words(fields["console"], (*path, "console")) if "console" in fields else None,
            sources=self._sources(fields, path),
            file=self._document.file,
        )
        return service if len(self.problems) == before else None

    def _dkim(self, fields: Mapping[str, Any], path: _Path) -> Dkim:
        part = self._part(
            fields, "dkim", path, ("selectors", "older", "own", "fixed", "record", "targets", "fixed_fields")
        )
        at = (*path, "dkim")
        record = part.get("record", "")
        fixed, fixed_fields = (self._flag(part, name, at) for name in ("fixed", "fixed_fields"))
        if record not in ("", "cname", "txt"):
            self._problem(CNAME_OR_TXT(), (*at, "record"))
        dkim = Dkim(
            selectors=self._patterns(part, "selectors", at, _LABEL),
            older=self._patterns(part, "older", at, _LABEL),
            own=self._patterns(part, "own", at, _LABEL),
            fixed=fixed,
            record=record if isinstance(record, str) else "",
            targets=self._patterns(part, "targets", at, _HOST),
            fixed_fields=fixed_fields,
        )
        if dkim.fixed and not dkim.names:
            self._problem(NOTHING_FIXED(), (*at, "fixed"))
        for strange in {each.text for each in dkim.own} - {each.text for each in (*dkim.selectors, *dkim.older)}:
            self._problem(NO_SUCH_SELECTOR(name=strange), (*at, "own"))
        return dkim

    def _sources(self, fields: Mapping[str, Any], path: _Path) -> tuple[ServiceSource, ...]:
        def source(data: Any, at: _Path) -> ServiceSource | None:
            read = self._mapping(data, at, required=("url", "checked", "read_as"), optional=())
            if read is None:
                return None
            url = self._text(read.get("url"), (*at, "url"), None)
            if url and not url.startswith("https://"):
                self._problem(HTTPS(), (*at, "url"))
            checked = self._text(read.get("checked"), (*at, "checked"), _DATE)
            return ServiceSource(url, checked, self._text(read.get("read_as"), (*at, "read_as"), _READ_AS))

        found = self._items(fields.get("sources", []), (*path, "sources"), source)
        return tuple(each for each in found if each is not None)

    def _mapping(
        self, data: Any, path: _Path, required: Sequence[str], optional: Sequence[str]
    ) -> Mapping[str, Any] | None:
        if not isinstance(data, dict):
            self._problem(FIELDS(), path)
            return None
        for name in required:
            if name not in data:
                self._problem(MISSING(name=name), path)
        for name in data:
            if name not in required and name not in optional:
                self._problem(nearest(NO_SUCH_FIELD(), name, (*required, *optional)), (*path, name))
        return data

    def _flag(self, fields: Mapping[str, Any], name: str, path: _Path) -> bool:
        value = fields.get(name, False)
        if not isinstance(value, bool):
            self._problem(TRUE_OR_FALSE(), (*path, name))
        return value is True

    def _part(self, fields: Mapping[str, Any], name: str, path: _Path, known: Sequence[str]) -> Mapping[str, Any]:
        return self._mapping(fields.get(name, {}), (*path, name), (), known) or {}

    def _items(self, data: Any, path: _Path, read: Callable[[Any, _Path], Any]) -> list[Any]:
        if not isinstance(data, list):
            self._problem(LIST(), path)
            return []
        return [read(each, (*path, index)) for index, each in enumerate(data)]

    def _text(self, data: Any, path: _Path, shape: re.Pattern[str] | None) -> str:
        if not isinstance(data, str) or not data.strip() or (shape is not None and shape.fullmatch(data) is None):
            self._problem(NOT_ALLOWED(value=str(data)), path)
            return ""
        return data

    def _texts(self, fields: Mapping[str, Any], name: str, path: _Path, shape: re.Pattern[str]) -> tuple[str, ...]:
        found = self._items(fields.get(name, []), (*path, name), lambda each, at: self._text(each, at, shape))
        return tuple(each.lower() for each in found)

    def _patterns(
        self, fields: Mapping[str, Any], name: str, path: _Path, shape: re.Pattern[str]
    ) -> tuple[Pattern, ...]:
        texts = self._texts(fields, name, path, shape)
        return tuple(pattern(each, suffix=shape is _HOST) for each in texts if each)

    def _words(self, data: Any, path: _Path) -> Mapping[str, str]:
        read = self._mapping(data, path, _LANGUAGES, ())
        return (
            {lang: self._text(read[lang], (*path, lang), None) for lang in _LANGUAGES if lang in read} if read else {}
        )

    def _choice(self, among: type[_Choice], data: Any, path: _Path) -> _Choice | None:
        if data is None:
            return None
        try:
            return among(data)
        except ValueError:
            self._problem(NOT_ONE_OF(value=str(data), values=tuple(among)), path)
            return None


def pattern(text: str, *, suffix: bool) -> Pattern:
    """The pattern that a text of lower case stands for; see Pattern."""
    if "#" not in text and "*" not in text:
        return Pattern(text, suffix)
    pieces = {"#": "[0-9]", "*": "[a-z0-9_-]*"}
    return Pattern(text, suffix, "".join(pieces.get(char) or re.escape(char) for char in text))
