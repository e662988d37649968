"""Reads what auditors look things up in from the rule folders: senders/, clients/, measures.yaml, outside.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from deliverability import _yamlstrict as yamlstrict
from deliverability._resources import locate
from deliverability.model.knowledge import Knowledge, Measures, Outside
from deliverability.senders.catalogue import CatalogueError, load_senders

if TYPE_CHECKING:
    import pydantic

CLIENTS = "clients"
MEASURES = "measures.yaml"
OUTSIDE = "outside.yaml"

_T = TypeVar("_T")


def load_knowledge(folders: Iterable[Path]) -> Knowledge:
    """What all folders say; a later one replaces services, features, the measures and whom to ask.

    Raises CatalogueError with every problem found.
    """
    folders = tuple(folders)
    feature_shape, measure_shape, outside_shape = _shapes()
    problems: list[str] = []
    features: dict[str, str] = {}
    measures, outside = Measures(), Outside()
    for folder in folders:
        for path in sorted((folder / CLIENTS).glob("*.yaml")):
            for kind, names in (_read(path, feature_shape, problems) or {}).items():
                features.update(dict.fromkeys(names, kind))
        if (path := folder / MEASURES).is_file() and (shape := _read(path, measure_shape, problems)) is not None:
            measures = Measures(**dict(shape))
        if (path := folder / OUTSIDE).is_file() and (shape := _read(path, outside_shape, problems)) is not None:
            resolvers = {each.name: each.address for each in shape.resolvers}
            outside = Outside(**dict(shape) | {"resolvers": resolvers})
    try:
        services, common, selectors = load_senders(folders)
    except CatalogueError as error:
        raise CatalogueError([*error.problems, *problems]) from None
    if problems:
        raise CatalogueError(problems)
    return Knowledge(services, common, selectors, features, measures, outside)


@cache
def shipped() -> Knowledge:
    """What the shipped rule folder says, read once."""
    return load_knowledge([locate("rules")])


def _shapes() -> tuple[pydantic.TypeAdapter[Any], pydantic.TypeAdapter[Any], pydantic.TypeAdapter[Any]]:
    """The shapes of clients/*.yaml, measures.yaml and outside.yaml; pydantic is loaded only where files are read."""
    import pydantic

    class MeasuresShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        wide_ip4: int = pydantic.Field(ge=0, le=32)
        wide_ip6: int = pydantic.Field(ge=0, le=128)
        signed_fields: tuple[str, ...]
        signed_core: tuple[str, ...]
        signed_one_click: tuple[str, ...]

    class ResolverShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        name: str
        address: str

    class OutsideShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        resolvers: tuple[ResolverShape, ...]
        mail_domains: tuple[str, ...] = pydantic.Field(min_length=1)
        no_names_below: tuple[str, ...] = pydantic.Field(min_length=1)
        clocks: tuple[str, ...]
        clock_seconds: int = pydantic.Field(gt=0)

    kind = Literal["layout", "content", "look"]
    return (
        pydantic.TypeAdapter(dict[kind, list[str]]),
        pydantic.TypeAdapter(MeasuresShape),
        pydantic.TypeAdapter(OutsideShape),
    )


def _read(path: Path, shape: pydantic.TypeAdapter[_T], problems: list[str]) -> _T | None:
    document = yamlstrict.read_file(path, problems)
    return None if document is None else yamlstrict.shaped(document, path, shape, problems)
