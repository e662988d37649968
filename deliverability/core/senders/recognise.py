"""The catalogue of sending services (senders/*.yaml of the rule folders), and which one a name or a message belongs to.

Names are compared label by label from the right, never as parts of text: ``notsendgrid.net`` is not SendGrid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.cache import Same
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.model.schema import Field
from deliverability.core.model.services import Dkim, Pattern, Service, ServiceKind
from deliverability.core.names import is_within
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


ServiceCatalogue = Mapping[str, Service]

SPF_TERM = re.compile(
    r"(?<=\s)(?P<qualifier>[+?~-])?(?P<mechanism>include|a|mx|exists|redirect)[:=](?P<host>[\w.-]{1,253})(?=[\s/]|\Z)",
    re.ASCII | re.I,
)
"""A term of an SPF record that names a host, read without judging the rest of the record."""


class Key(Struct, frozen=True):
    """A DKIM key that is published or that signed: its domain, selector, and CNAME target where it has one."""

    domain: str
    selector: str
    alias: str | None = None


class MessageMarks(Struct, frozen=True):
    """What a message shows of who sent it.

    Attributes:
        signatures: its DKIM signatures, in its order.
        author_domain: domain shown in From, or None.
        return_domain: domain of MAIL FROM, or None.
        helo: name of the host that handed it over, or None.
        headers: names of its header fields, lower case.
        feedback_ids: values of its Feedback-ID fields.
        used: ids of the services that the domain is known to use.

    """

    signatures: tuple[Key, ...] = ()
    author_domain: str | None = None
    return_domain: str | None = None
    helo: str | None = None
    headers: frozenset[str] = frozenset()
    feedback_ids: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()


class Sighting(Struct, frozen=True):
    """A service and by what it was seen (``helo: o1.em.sendgrid.net``)."""

    service: Service
    seen_by: str


def by_spf(host: str, catalogue: ServiceCatalogue) -> Service | None:
    """The service that the target of an SPF term belongs to."""
    return _nearest(host, catalogue, _SPF)


def by_mx(host: str, catalogue: ServiceCatalogue) -> Service | None:
    """The service that an MX host belongs to."""
    return _nearest(host, catalogue, _MX)


def by_return_mx(host: str, service: Service) -> bool:
    """Whether an MX host is that of a Return-Path subdomain of the service."""
    return _fits(host, service.return_path.mx)


def by_key(key: Key, catalogue: ServiceCatalogue) -> Service | None:
    """The service that a DKIM key of somebody's own domain belongs to.

    A CNAME target decides; without one only a selector that no other service uses does.
    """
    if key.alias:
        return _nearest(key.alias, catalogue, _TARGETS)
    return _nearest(key.selector, catalogue, _OWN_SELECTORS)


def may_be_key_of(key: Key, service: Service) -> bool:
    """Whether a key at one of the service's usual selectors may be its own.

    A CNAME that leads elsewhere shows another owner; without one the name server may have resolved it itself.
    """
    return _fits(key.selector, _selectors(service)) and _may_lead_to(key, service)


def may_be_keys_of(keys: Iterable[Key], catalogue: ServiceCatalogue) -> frozenset[str]:
    """Ids of the services of which that is so for one of the keys."""
    index = _index(Same(catalogue), _selectors)
    fitting = ((key, service) for key in keys for _, _, service in index.fitting(key.selector))
    return frozenset(service.id for key, service in fitting if _may_lead_to(key, service))


def _may_lead_to(key: Key, service: Service) -> bool:
    return not key.alias or not service.dkim.targets or _fits(key.alias, service.dkim.targets)


def by_message(marks: MessageMarks, catalogue: ServiceCatalogue) -> Sighting | None:
    """The service that sent a message, by its most telling mark; None where nothing tells.

    The order: a signature of the author's domain with a key of the service, MAIL FROM, a signature of the service's
    own, a header field that only it adds, the host that handed the mail over. Gateways, which mail passes through,
    come last. A host name alone tells a mailbox host only where the domain is known to use it, since private users'
    mail comes from the same hosts.
    """
    found = list(_sightings(marks, catalogue))
    found.sort(key=lambda sighting: sighting.service.kind is ServiceKind.GATEWAY)
    return found[0] if found else None


def _sightings(marks: MessageMarks, catalogue: ServiceCatalogue) -> Iterable[Sighting]:
    for key in marks.signatures:
        if related(key.domain, marks.author_domain) and (service := by_key(key, catalogue)):
            yield Sighting(service, f"dkim: s={key.selector} d={key.domain}")
    if marks.return_domain:
        service = _nearest(marks.return_domain, catalogue, _RETURN_DOMAINS)
        if service is None and related(marks.return_domain, marks.author_domain):
            label = marks.return_domain.partition(".")[0]
            service = _nearest(label, catalogue, _RETURN_LABELS)
        if service is not None:
            yield Sighting(service, f"return-path: {marks.return_domain}")
    for key in marks.signatures:
        if service := _nearest(key.domain, catalogue, _SIGNS_AS):
            yield Sighting(service, f"dkim: d={key.domain}")
    for service in catalogue.values():
        for name in service.headers:
            if name in marks.headers:
                yield Sighting(service, f"header: {name}")
        for value in marks.feedback_ids:
            if value.rpartition(":")[2].strip().lower() in service.feedback_ids:
                yield Sighting(service, f"header: feedback-id {value}")
    if marks.helo and (service := _nearest(marks.helo, catalogue, _HELO)):
        private = service.kind in (ServiceKind.MAILBOX, ServiceKind.GATEWAY, ServiceKind.HOSTING)
        if not private or service.id in marks.used:
            yield Sighting(service, f"helo: {marks.helo}")


def related(name: str | None, other: str | None) -> bool:
    """Whether one name is the other or lies below it."""
    if not name or not other:
        return False
    return is_within(name, other) or is_within(other, name)


def _nearest(name: str, catalogue: ServiceCatalogue, patterns: _Patterns) -> Service | None:
    """The service with the longest pattern that fits `name`; the first of the catalogue where several are as long."""
    found = max(_index(Same(catalogue), patterns).fitting(name), default=None, key=lambda each: (each[0], -each[1]))
    return found[2] if found else None


_Patterns = Callable[[Service], Sequence[Pattern]]
_Fitting = tuple[int, int, Service]
"""How long the pattern is that fits, which place its service has in the catalogue, and the service."""

_SPF: _Patterns = attrgetter("spf")
_MX: _Patterns = attrgetter("mx")
_TARGETS: _Patterns = attrgetter("dkim.targets")
_OWN_SELECTORS: _Patterns = attrgetter("dkim.own")
_RETURN_DOMAINS: _Patterns = attrgetter("return_path.domains")
_RETURN_LABELS: _Patterns = attrgetter("return_path.labels")
_SIGNS_AS: _Patterns = attrgetter("signs_as")
_HELO: _Patterns = attrgetter("helo")


def _selectors(service: Service) -> Sequence[Pattern]:
    return (*service.dkim.selectors, *service.dkim.older)


@lru_cache(maxsize=64)
def _index(catalogue: Same[ServiceCatalogue], patterns: _Patterns) -> _Index:
    return _Index(catalogue.it, patterns)


class _Index:
    """One kind of pattern of all services, by what they fit."""

    def __init__(self, catalogue: ServiceCatalogue, patterns: _Patterns) -> None:
        self._whole: dict[str, list[_Fitting]] = {}
        self._ends: dict[str, list[_Fitting]] = {}
        self._odd: list[tuple[Pattern, _Fitting]] = []
        for place, service in enumerate(catalogue.values()):
            for each in patterns(service):
                fitting = (len(each.text), place, service)
                if each.expression:
                    self._odd.append((each, fitting))
                    continue
                self._whole.setdefault(each.text, []).append(fitting)
                if each.suffix:
                    self._ends.setdefault(each.text, []).append(fitting)

    def fitting(self, name: str) -> Iterator[_Fitting]:
        """Each pattern that fits `name`."""
        name = name.rstrip(".").lower()
        yield from self._whole.get(name, ())
        end = name.partition(".")[2]
        while end:
            yield from self._ends.get(end, ())
            end = end.partition(".")[2]
        if self._any_odd.fullmatch(name):
            yield from (fitting for pattern, fitting in self._odd if pattern.fits(name))

    @cached_property
    def _any_odd(self) -> re.Pattern[str]:
        """All expressions in one: hardly a name fits any of them."""
        return re.compile("|".join(f"(?:{pattern.expression})" for pattern, _ in self._odd) or "(?!)")


def _fits(name: str, patterns: Iterable[Pattern]) -> bool:
    return any(pattern.fits(name) for pattern in patterns)
