"""Reads what auditors look things up in from the rule folders: senders/, clients/, blocklists/ and single files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from deliverability import _yamlstrict as yamlstrict
from deliverability._resources import locate
from deliverability.model.blocklists import BlockList, ListAccess, ListCode, ListedKind, ListedRole, ListWeight
from deliverability.model.codes import Code, Detail
from deliverability.model.dns_providers import DnsProvider, HostField, LongText, Quotes
from deliverability.model.errors import InputError
from deliverability.model.knowledge import Knowledge, Measures, Outside, UnsubscribeWords
from deliverability.model.reporters import Reporter
from deliverability.model.rules import READ_AS, SourceRef
from deliverability.model.senders import ServiceSource
from deliverability.model.warm_up import StopRule, WarmUpNumbers
from deliverability.senders.catalogue import CatalogueError, load_senders, pattern

if TYPE_CHECKING:
    import pydantic

NO_ANSWERS = Code("blocklist-no-answers")
NO_BITS = Code("blocklist-no-bits")
REMOVAL_STEPS = Code("blocklist-removal-steps")
KEYED_ZONE = Code("blocklist-keyed-zone")
KEY_MISSING = Code("blocklist-key-missing")
KIND_ASKS = Code("blocklist-kind-asks")

CLIENTS = "clients"
BLOCKLISTS = "blocklists"
MEASURES = "measures.yaml"
OUTSIDE = "outside.yaml"
DNS_PROVIDERS = "dns-providers.yaml"
REPORTERS = "reporters.yaml"
MAILBOXES = "mailboxes.yaml"
UNSUBSCRIBE_WORDS = "unsubscribe-words.yaml"
WARM_UP = "warm-up.yaml"

_T = TypeVar("_T")


def load_knowledge(folders: Iterable[Path]) -> Knowledge:
    """What all folders say; a later one replaces entries of the same id, features, and each of the single files whole;
    mailbox domains are added.

    Raises CatalogueError with every problem found.
    """
    folders = tuple(folders)
    shapes = _shapes()
    problems: list[Detail] = []
    features: dict[str, str] = {}
    providers: dict[str, DnsProvider] = {}
    reporters: dict[str, Reporter] = {}
    blocklists: dict[str, BlockList] = {}
    measures, outside = Measures(), Outside()
    warm_up: WarmUpNumbers | None = None
    mailboxes: frozenset[str] = frozenset()
    unsubscribe = UnsubscribeWords()
    for folder in folders:
        for path in sorted((folder / CLIENTS).glob("*.yaml")):
            for kind, names in (_read(path, shapes.features, problems) or {}).items():
                features.update(dict.fromkeys(names, kind))
        for path in sorted((folder / BLOCKLISTS).glob("*.yaml")):
            lists = [_blocklist(each) for each in _read(path, shapes.blocklists, problems) or ()]
            blocklists.update((each.id, each) for each in lists)
        if (path := folder / MEASURES).is_file() and (shape := _read(path, shapes.measures, problems)) is not None:
            ranges = tuple(map(str, shape.sending_ranges))
            measures = Measures(**dict(shape) | {"sending_ranges": ranges})
        if (path := folder / OUTSIDE).is_file() and (shape := _read(path, shapes.outside, problems)) is not None:
            resolvers = {each.name: each.address for each in shape.resolvers}
            outside = Outside(**dict(shape) | {"resolvers": resolvers})
        if (path := folder / DNS_PROVIDERS).is_file():
            found = [_provider(each) for each in _read(path, shapes.providers, problems) or ()]
            providers.update((each.id, each) for each in found)
        if (path := folder / WARM_UP).is_file() and (shape := _read(path, shapes.warm_up, problems)) is not None:
            warm_up = _warm_up(shape)
        if (path := folder / REPORTERS).is_file():
            senders = [_reporter(each) for each in _read(path, shapes.reporters, problems) or ()]
            reporters.update((each.id, each) for each in senders)
        if (path := folder / UNSUBSCRIBE_WORDS).is_file() and (shape := _read(path, shapes.unsubscribe, problems)):
            unsubscribe = UnsubscribeWords(
                *((*known, *getattr(shape, part)) for known, part in zip(_parts(unsubscribe), _PARTS, strict=True))
            )
        if (path := folder / MAILBOXES).is_file():
            mailboxes |= frozenset(_read(path, shapes.mailboxes, problems) or ())
    try:
        services, common, selectors = load_senders(folders)
    except CatalogueError as error:
        raise CatalogueError(*error.details, *problems) from None
    if problems:
        raise CatalogueError(*problems)
    return Knowledge(
        services,
        common,
        selectors,
        features,
        measures,
        outside,
        providers,
        reporters,
        blocklists,
        warm_up,
        mailboxes,
        unsubscribe,
    )


_PARTS = ("in_link", "beside_link", "in_address")


def _parts(words: UnsubscribeWords) -> tuple[tuple[str, ...], ...]:
    return words.in_link, words.beside_link, words.in_address


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


def _blocklist(shape: Any) -> BlockList:
    listed, unlisted = TEST_ENTRIES[shape.kind]
    return BlockList(
        id=shape.id,
        name=shape.name,
        operator=shape.operator,
        zone=shape.zone.lower(),
        kind=shape.kind,
        asks=tuple(shape.asks),
        access=shape.access,
        keyed_zone=shape.keyed_zone,
        key=shape.key,
        codes={code: ListCode(each.key, each.weight, each.text) for code, each in shape.codes.items()},
        bits={bit: ListCode(each.key, each.weight, each.text) for bit, each in shape.bits.items()},
        refusals=tuple(shape.refusals),
        test_listed=shape.test_listed or listed,
        test_unlisted=shape.test_unlisted or unlisted,
        registrable=shape.registrable,
        dead=shape.dead,
        terms=shape.terms,
        remove_url=shape.remove_url,
        remove={lang: tuple(steps) for lang, steps in (shape.remove or {}).items()},
        named_by={receiver: _read_at(found) for receiver, found in shape.named_by.items()},
        sources=_read_at(shape.sources),
    )


def _read_at(shapes: Iterable[Any]) -> tuple[ServiceSource, ...]:
    return tuple(ServiceSource(each.url, each.checked, each.read_as) for each in shapes)


TEST_ENTRIES = {
    ListedKind.IP4: ("2.0.0.127", "1.0.0.127"),
    ListedKind.IP6: tuple(
        ip_address(each).reverse_pointer.removesuffix(".ip6.arpa") for each in ("::ffff:7f00:2", "::ffff:7f00:1")
    ),
    ListedKind.NAME: ("test", "invalid"),
}
"""What stands before the zone for the entry that every list has, and for that which none has (RFC 5782 section 5)."""


def _warm_up(shape: Any) -> WarmUpNumbers:
    return WarmUpNumbers(
        least=shape.least,
        days=shape.days,
        factors=shape.factors,
        most=shape.most,
        stops={key: StopRule(each.hold, each.back) for key, each in shape.stops.items()},
        sources=tuple(SourceRef(each.ref) for each in shape.sources),
    )


class _Shapes(NamedTuple):
    """The shapes of clients/*.yaml, blocklists/*.yaml and the single files."""

    features: pydantic.TypeAdapter[Any]
    measures: pydantic.TypeAdapter[Any]
    outside: pydantic.TypeAdapter[Any]
    providers: pydantic.TypeAdapter[Any]
    reporters: pydantic.TypeAdapter[Any]
    blocklists: pydantic.TypeAdapter[Any]
    warm_up: pydantic.TypeAdapter[Any]
    mailboxes: pydantic.TypeAdapter[Any]
    unsubscribe: pydantic.TypeAdapter[Any]


def _both(given: Any) -> Any:
    """One text stands for both languages."""
    return {"en": given, "ja": given} if isinstance(given, str) else given


def _shapes() -> _Shapes:
    """All of them; pydantic is loaded only where files are read."""
    import pydantic

    class Shape(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    class MeasuresShape(Shape):
        wide_ip4: int = pydantic.Field(ge=0, le=32)
        wide_ip6: int = pydantic.Field(ge=0, le=128)
        sending_ranges: tuple[pydantic.IPvAnyNetwork, ...] = ()
        signed_fields: tuple[str, ...]
        signed_core: tuple[str, ...]
        signed_one_click: tuple[str, ...]

    class ResolverShape(Shape):
        name: str
        address: str

    class OutsideShape(Shape):
        resolvers: tuple[ResolverShape, ...]
        mail_domains: tuple[str, ...] = pydantic.Field(min_length=1)
        no_names_below: tuple[str, ...] = pydantic.Field(min_length=1)
        clocks: tuple[str, ...]
        clock_seconds: int = pydantic.Field(gt=0)
        public_resolvers: tuple[str, ...] = ()

    text = Annotated[str, pydantic.Field(min_length=1)]
    words = Annotated[dict[Literal["en", "ja"], text], pydantic.BeforeValidator(_both), pydantic.Field(min_length=2)]

    class SourceShape(Shape):
        url: str = pydantic.Field(pattern=r"^https://")
        checked: str = pydantic.Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        read_as: str = pydantic.Field(pattern=f"^{READ_AS}$")

    class FieldsShape(Shape):
        name: words
        value: words

    class ProviderShape(Shape):
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

    class ReporterShape(Shape):
        id: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
        names: tuple[text, ...] = pydantic.Field(min_length=1)
        domains: tuple[str, ...] = pydantic.Field(min_length=1)
        receiver: str = ""
        sources: tuple[SourceShape, ...] = pydantic.Field(min_length=1)

    answer = Annotated[str, pydantic.Field(pattern=r"^127(\.[0-9]{1,3}){3}$")]
    zone_form = r"^(\{key\}\.)?([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}$"

    class CodeShape(Shape):
        key: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
        weight: ListWeight
        text: words

    class ListSourceShape(SourceShape):
        url: str = pydantic.Field(pattern=r"^https?://")

    class ListShape(Shape):
        id: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
        name: text
        operator: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
        zone: str = pydantic.Field(pattern=zone_form)
        keyed_zone: str = pydantic.Field(default="", pattern=zone_form + "|^$")
        key: str = pydantic.Field(default="", pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?$")
        kind: ListedKind = ListedKind.IP4
        asks: tuple[ListedRole, ...] = (ListedRole.SENDING_IP,)
        access: ListAccess = ListAccess.OWN
        codes: dict[answer, CodeShape] = pydantic.Field(default={})
        bits: dict[int, CodeShape] = pydantic.Field(default={})
        refusals: tuple[answer, ...] = ()
        test_listed: str = ""
        test_unlisted: str = ""
        registrable: bool = False
        dead: words | None = None
        terms: words | None = None
        remove_url: str = pydantic.Field(default="", pattern=r"^(https?://.*)?$")
        remove: dict[Literal["en", "ja"], list[text]] = pydantic.Field(default={})
        named_by: dict[str, list[ListSourceShape]] = pydantic.Field(default={})
        sources: tuple[ListSourceShape, ...] = pydantic.Field(min_length=1)

        @pydantic.model_validator(mode="after")
        def _can_be_asked(self) -> ListShape:
            """Of a list that is alive answers are known, and what to do about them in both languages."""
            if self.dead is not None:
                return self
            if not self.codes and not self.bits:
                raise InputError(NO_ANSWERS())
            if any(bit not in (1 << n for n in range(8)) for bit in self.bits):
                raise InputError(NO_BITS())
            if len(self.remove) != 2 or len(self.remove["en"]) != len(self.remove["ja"]):
                raise InputError(REMOVAL_STEPS())
            if bool(self.keyed_zone) != bool(self.key) or self.keyed_zone.startswith("{key}") != bool(self.keyed_zone):
                raise InputError(KEYED_ZONE())
            if self.access is ListAccess.KEY and not self.key:
                raise InputError(KEY_MISSING())
            addresses = set(self.asks) <= {ListedRole.SENDING_IP}
            if addresses is (self.kind is ListedKind.NAME) or not self.asks:
                raise InputError(KIND_ASKS())
            return self

    class StopShape(Shape):
        hold: float = pydantic.Field(gt=0, le=100)
        back: float = pydantic.Field(gt=0, le=100)

    class RefShape(Shape):
        ref: str

    class WarmUpShape(Shape):
        least: int = pydantic.Field(ge=1)
        days: int = pydantic.Field(ge=7, le=366)
        factors: dict[Literal["day", "week"], Annotated[float, pydantic.Field(gt=1, le=2)]] = pydantic.Field(
            min_length=2
        )
        most: float = pydantic.Field(ge=1)
        stops: dict[Literal["spam", "hard", "deferred"], StopShape]
        sources: tuple[RefShape, ...] = pydantic.Field(min_length=1)

    def compiles(text: str) -> str:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(str(error)) from None
        return text

    expression = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(compiles)]

    class UnsubscribeShape(Shape):
        in_link: tuple[expression, ...] = ()
        beside_link: tuple[expression, ...] = ()
        in_address: tuple[expression, ...] = ()

    return _Shapes(
        pydantic.TypeAdapter(dict[Literal["layout", "content", "look"], list[str]]),
        pydantic.TypeAdapter(MeasuresShape),
        pydantic.TypeAdapter(OutsideShape),
        pydantic.TypeAdapter(list[ProviderShape]),
        pydantic.TypeAdapter(list[ReporterShape]),
        pydantic.TypeAdapter(list[ListShape]),
        pydantic.TypeAdapter(WarmUpShape),
        pydantic.TypeAdapter(list[Annotated[str, pydantic.Field(pattern=r"^([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}$")]]),
        pydantic.TypeAdapter(UnsubscribeShape),
    )


def _read(path: Path, shape: pydantic.TypeAdapter[_T], problems: list[Detail]) -> _T | None:
    document = yamlstrict.read_file(path, problems)
    return None if document is None else yamlstrict.shaped(document, shape, problems)
