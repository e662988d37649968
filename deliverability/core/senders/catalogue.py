"""Reads the catalogue of sending services (senders/*.yaml of the rule folders), and the selectors to guess."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec.structs import replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.model.schema import Field
from deliverability.core.model.services import Dkim, Service
from deliverability.core.yaml import DEFINED, FileLine, read_shape

FOLDER = "senders"
COMMON = "selectors.yaml"
RARE = "rare-selectors.yaml"


NOTHING_FIXED = Code("sender-nothing-fixed")
NO_SUCH_SELECTOR = Code("sender-no-such-selector", ("name",))


class CatalogueError(FilesError):
    """Files of the catalogue that cannot be used."""


def load_senders(folders: Iterable[Path]) -> tuple[Mapping[str, Service], tuple[str, ...], tuple[str, ...]]:
    """The services of ``senders/*.yaml`` by id, the selectors that all are asked for, and all that are guessed.

    A later folder replaces services of the same id, and adds selectors. The fixed selectors of a service are guessed
    too, so that their absence says something. Raises CatalogueError with every problem found.
    """
    services: dict[str, Service] = {}
    selectors: dict[str, list[str]] = {COMMON: [], RARE: []}
    problems: list[Detail] = []
    for folder in folders:
        here: dict[str, FileLine] = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            document = yamlstrict.read_file(path, problems)
            if document is None:
                continue
            if path.name in selectors:
                selectors[path.name] += read_shape(document, tuple[_Selector, ...], problems) or ()
                continue
            for index in range(len(read_shape(document, tuple[Any, ...], problems) or ())):
                where = document.at(index)
                service = read_shape(document, Service, problems, index)
                if service is None:
                    continue
                if service.id in here:
                    problems.append(where.problem(DEFINED(name=service.id, place=str(here[service.id]))))
                    continue
                here[service.id] = where
                problems += [
                    document.at(index, "dkim", key).problem(detail, f"{index}.dkim.{key}")
                    for key, detail in _troubles(service.dkim)
                ]
                services[service.id] = replace(service, file=str(path))
    if problems:
        raise CatalogueError(*problems)
    fixed = (name for each in services.values() if each.dkim.fixed for name in each.dkim.names)
    common, rare = (tuple(dict.fromkeys(selectors[name])) for name in (COMMON, RARE))
    return services, common, tuple(dict.fromkeys((*common, *rare, *fixed)))


_Selector = Annotated[str, Field(pattern=r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")]


def _troubles(dkim: Dkim) -> Iterator[tuple[str, Detail]]:
    """What no field says by itself, with the key that it is about."""
    if dkim.fixed and not dkim.names:
        yield "fixed", NOTHING_FIXED()
    strange = {each.text for each in dkim.own} - {each.text for each in (*dkim.selectors, *dkim.older)}
    yield from (("own", NO_SUCH_SELECTOR(name=each)) for each in sorted(strange))
