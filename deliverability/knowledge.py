"""Reads what auditors look things up in from the rule folders: senders/, clients/ and the files named below."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from deliverability import _yamlstrict as yamlstrict
from deliverability._resources import locate
from deliverability.model.codes import Detail
from deliverability.model.dns_providers import DnsProvider, HostField, LongText, Quotes
from deliverability.model.knowledge import Knowledge, Measures, Outside
from deliverability.model.reporters import Reporter
from deliverability.model.rules import READ_AS
from deliverability.model.senders import ServiceSource
from deliverability.senders.catalogue import CatalogueError, load_senders, pattern

if TYPE_CHECKING:
    import pydantic

CLIENTS = "clients"
MEASURES = "measures.yaml"
OUTSIDE = "outside.yaml"
DNS_PROVIDERS = "dns-providers.yaml"
REPORTERS = "reporters.yaml"

_T = TypeVar("_T")


def load_knowledge(folders: Iterable[Path]) -> Knowledge:
    """What all folders say; a later one replaces entries of the same id, features, the measures and whom to ask.

    Raises CatalogueError with every problem found.
    """
    folders = tuple(folders)
    shapes = _shapes()
    problems: list[Detail] = []
    features: dict[str, str] = {}
    providers: dict[str, DnsProvider] = {}
    reporters: dict[str, Reporter] = {}
    measures, outside = Measures(), Outside()
    for folder in folders:
        for path in sorted((folder / CLIENTS).glob("*.yaml")):
            for kind, names in (_read(path, shapes.features, problems) or {}).items():
                features.update(dict.fromkeys(names, kind))
        if (path := folder / MEASURES).is_file() and (shape := _read(path, shapes.measures, problems)) is not None:
            measures = Measures(**dict(shape))
        if (path := folder / OUTSIDE).is_file() and (shape := _read(path, shapes.outside, problems)) is not None:
            resolvers = {each.name: each.address for each in shape.resolvers}
            outside = Outside(**dict(shape) | {"resolvers": resolvers})
        if (path := folder / DNS_PROVIDERS).is_file():
            found = [_provider(each) for each in _read(path, shapes.providers, problems) or ()]
            providers.update((each.id, each) for each in found)
        if (path := folder / REPORTERS).is_file():
            senders = [_reporter(each) for each in _read(path, shapes.reporters, problems) or ()]
            reporters.update((each.id, each) for each in senders)
    try:
        services, common, selectors = load_senders(folders)
    except CatalogueError as error:
        raise CatalogueError(*error.details, *problems) from None
    if problems:
        raise CatalogueError(*problems)
    return Knowledge(services, common, selectors, features, measures, outside, providers, reporters)


@cache
def shipped() -> Knowledge:
    """What the shipped rule folder says, read once."""
    return load_knowledge([locate("rules")])


def _provider(shape: Any) -> DnsProvider:
    fields = shape.fields
    return DnsProvider(
        id=shape.id,
        name=shape.name,
        name_servers=tuple(pattern(each.lower(), suffix=True) for each in shape.name_servers),
        console=shape.console,
        host=shape.host,
        apex=shape.apex,
        name_field=fields.name if fields else None,
        value_field=fields.value if fields else None,
        quotes=shape.quotes,
        long=shape.long,
        longest=shape.longest,
        ttl=shape.ttl,
        note=shape.note,
        sources=tuple(ServiceSource(each.url, each.checked, each.read_as) for each in shape.sources),
    )


def _reporter(shape: Any) -> Reporter:
    return Reporter(
        id=shape.id,
        names=tuple(each.casefold() for each in shape.names),
        domains=tuple(each.lower() for each in shape.domains),
        receiver=shape.receiver,
        sources=tuple(ServiceSource(each.url, each.checked, each.read_as) for each in shape.sources),
    )


class _Shapes(NamedTuple):
    """The shapes of clients/*.yaml, measures.yaml, outside.yaml, dns-providers.yaml and reporters.yaml."""

    features: pydantic.TypeAdapter[Any]
    measures: pydantic.TypeAdapter[Any]
    outside: pydantic.TypeAdapter[Any]
    providers: pydantic.TypeAdapter[Any]
    reporters: pydantic.TypeAdapter[Any]


def _both(said: Any) -> Any:
    """One text stands for both languages."""
    return {"en": said, "ja": said} if isinstance(said, str) else said


def _shapes() -> _Shapes:
    """All of them; pydantic is loaded only where files are read."""
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

    text = Annotated[str, pydantic.Field(min_length=1)]
    words = Annotated[dict[Literal["en", "ja"], text], pydantic.BeforeValidator(_both), pydantic.Field(min_length=2)]

    class SourceShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        url: str = pydantic.Field(pattern=r"^https://")
        checked: str = pydantic.Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        read_as: str = pydantic.Field(pattern=f"^{READ_AS}$")

    class FieldsShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        name: words
        value: words

    class ProviderShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        id: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
        name: words
        name_servers: tuple[text, ...] = pydantic.Field(min_length=1)
        console: words
        fields: FieldsShape | None = None
        host: HostField = HostField.RELATIVE
        apex: str = "@"
        quotes: Quotes | None = None
        long: LongText | None = None
        longest: int | None = pydantic.Field(default=None, ge=255)
        ttl: words | None = None
        note: words | None = None
        sources: tuple[SourceShape, ...] = pydantic.Field(min_length=1)

    class ReporterShape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

        id: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
        names: tuple[text, ...] = pydantic.Field(min_length=1)
        domains: tuple[str, ...] = pydantic.Field(min_length=1)
        receiver: str = ""
        sources: tuple[SourceShape, ...] = pydantic.Field(min_length=1)

    return _Shapes(
        pydantic.TypeAdapter(dict[Literal["layout", "content", "look"], list[str]]),
        pydantic.TypeAdapter(MeasuresShape),
        pydantic.TypeAdapter(OutsideShape),
        pydantic.TypeAdapter(list[ProviderShape]),
        pydantic.TypeAdapter(list[ReporterShape]),
    )


def _read(path: Path, shape: pydantic.TypeAdapter[_T], problems: list[Detail]) -> _T | None:
    document = yamlstrict.read_file(path, problems)
    return None if document is None else yamlstrict.shaped(document, shape, problems)
