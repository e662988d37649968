"""The configuration of octoDNS (1.22): which files make a zone, by the options of its YamlProvider."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import idna
import yaml
from msgspec import Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.net.names import canonical, labels_of
from deliverability.core.net.zones.base import ZoneError
from deliverability.core.net.zones.octodns import NO_YAML, SUFFIXES

NO_PROVIDER = Code("octodns-no-provider")
NO_DIRECTORY = Code("octodns-no-directory", ("provider",))
NO_ZONES = Code("octodns-no-zones")
NO_SOURCE = Code("octodns-no-source", ("zone", "source", "providers"))
NO_SHARED = Code("octodns-no-shared", ("provider", "file"))
NO_PATTERN = Code("octodns-no-pattern", ("zone", "why"))
PROCESSED = Code("octodns-processed", ("zone", "processors"))
NO_LIST = Code("octodns-sources-no-list", ("zone",))
NO_ALIASED = Code("octodns-no-aliased", ("zone", "alias"))
NO_FOLDER = Code("octodns-no-folder", ("provider", "folder"))
NO_FILES = Code("octodns-no-files", ("zone", "folder"))

DEFAULT_TTL = 3600
# Processors that leave the values of records as the files have them, and drop none that mail asks for.
_HARMLESS = frozenset(
    {
        "AcmeManagingProcessor",
        "AutoArpa",
        "ExcludeRootNsChanges",
        "EnsureTrailingDots",
        "IgnoreRootNsFilter",
        "MetaProcessor",
        "OwnershipProcessor",
        "SpfDnsLookupProcessor",
        "TtlClampProcessor",
        "TtlRestrictionFilter",
    }
)
_CLASSES = ("YamlProvider", "SplitYamlProvider", "SplitYamlAltProvider")
_SPLIT = {"SplitYamlProvider": ".", "SplitYamlAltProvider": ""}
"""Older classes, by the ending of the folders that they read; they read no other files."""


class Provider(Struct, frozen=True):
    """A YamlProvider.

    Attributes:
        folder: its `directory`.
        shared: its `shared_filename`, whose records every zone has; empty: none.
        split: its `split_extension`, on which the names of folders of split zones end; None: there are none.
        files: it reads a file for each zone (`disable_zonefile` is not set).
        replaces: its record sets take the place of those before them (`populate_should_replace`).
        escaped: a semicolon in a text is written with a backslash before it (`escaped_semicolons`).
        ttl: of records that state none (`default_ttl`).
        optional: a zone may have no files (`ignore_missing_zones`).

    """

    folder: Path
    shared: str = ""
    split: str | None = None
    files: bool = True
    replaces: bool = False
    escaped: bool = True
    ttl: int = DEFAULT_TTL
    optional: bool = False

    def paths(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        """The files of a zone, which has an A-label and perhaps another spelling, in octoDNS' order."""
        found: list[Path] = []
        for name in names:
            split = self.folder / f"{name}{self.split}" if self.split is not None else None
            if split is not None and split.is_dir():
                found += [each for each in split.iterdir() if each.suffix == SUFFIXES[0]]
            if self.files and (path := self.folder / f"{name}{SUFFIXES[0]}").is_file():
                found.append(path)
        if self.shared:
            found.append(self.folder / self.shared)
        return tuple(sorted(dict.fromkeys(found)))

    def names(self) -> Iterator[str]:
        """The zones that have files of their own, as a zone ``*`` stands for them."""
        for path in sorted(self.folder.iterdir()):
            ending = self.split if path.is_dir() else SUFFIXES[0] if self.files and path.name != self.shared else None
            if ending is not None and path.name.endswith(ending):
                name = path.name.removesuffix(ending) if ending else path.name
                if labels_of(name) and "." in name:
                    yield name


class ZonePart(Struct, frozen=True):
    """The files of one provider for a zone."""

    provider: Provider
    paths: tuple[Path, ...]


class Zone(Struct, frozen=True):
    """A zone of the configuration.

    Attributes:
        name: A-label, lower case.
        parts: what each provider has of it, in their order.
        complete: it has no other source, and no processor leaves records of the target as they are.
        templated: a processor fills in its values where they have braces.
        remarks: what its reader has to be told.

    """

    name: str
    parts: tuple[ZonePart, ...]
    complete: bool
    templated: bool = False
    remarks: tuple[Detail, ...] = ()


def zones_of(path: Path, data: bytes) -> Iterator[Zone]:
    """The zones of a configuration, with the files that octoDNS reads for each. Raises ZoneError."""
    config = _Configuration(path, data)
    found = False
    for zone in config.zones():
        found = True
        yield zone
    if not found:
        raise config.error(NO_PROVIDER() if config.elsewhere else NO_ZONES())


class _Configuration:
    """One file of configuration."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        loaded = _mapping(self._loaded(data))
        self._providers = {
            name: made
            for name, each in _mapping(loaded.get("providers")).items()
            if (made := self._provider(name, _mapping(each))) is not None
        }
        if not self._providers:
            raise self.error(NO_PROVIDER())
        self._known = frozenset(map(str, _mapping(loaded.get("providers"))))
        self._processors = _mapping(loaded.get("processors"))
        manager = _mapping(loaded.get("manager"))
        self._always = [*_list(manager.get("processors")), *_list(manager.get("post_processors"))]
        self._given = _mapping(loaded.get("zones"))
        self.elsewhere = False  # there is a zone that does not come from files

    def error(self, detail: Detail) -> ZoneError:
        """What is wrong with it."""
        return ZoneError(ABOUT(what=str(self._path), detail=detail))

    def _loaded(self, data: bytes) -> Any:
        try:
            return yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{self._path}:{mark.line + 1}" if mark else str(self._path)
            why = str(error.problem or error.context)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            place, why = str(self._path), (str(error).splitlines() or [""])[0]
        raise ZoneError(ABOUT(what=place, detail=NO_YAML(why=why)))

    def _provider(self, name: str, options: Mapping[str, Any]) -> Provider | None:
        """None for another class. Raises ZoneError where its folder is not there."""
        kind = str(options.get("class") or "").rpartition(".")[2]
        if kind not in _CLASSES:
            return None
        directory = str(options.get("directory") or "")
        if not directory:
            raise self.error(NO_DIRECTORY(provider=name))
        # octoDNS looks from where it is started, which is mostly the folder of its configuration or the one above.
        places = (self._path.parent, Path(), self._path.parent.parent)
        folder = next((found for each in places if (found := each / directory).is_dir()), None)
        if folder is None:
            raise self.error(NO_FOLDER(provider=name, folder=directory))
        shared = str(options.get("shared_filename") or "")
        if shared and not (folder / shared).is_file():
            raise self.error(NO_SHARED(provider=name, file=str(folder / shared)))
        split, ttl = options.get("split_extension"), options.get("default_ttl")
        return Provider(
            folder,
            shared,
            _SPLIT.get(kind, str(split) if split else None),
            files=kind not in _SPLIT and not options.get("disable_zonefile"),
            replaces=bool(options.get("populate_should_replace")),
            escaped=options.get("escaped_semicolons") is not False,
            ttl=ttl if isinstance(ttl, int) else DEFAULT_TTL,
            optional=bool(options.get("ignore_missing_zones")),
        )

    def zones(self) -> Iterator[Zone]:
        """Those that read from files."""
        taken = {canonical(str(name)) for name in self._given if not str(name).startswith("*")}
        for key, each in self._given.items():
            name, settings = str(key), _mapping(each)
            alias = settings.get("alias")
            if alias:
                settings = _mapping(self._given.get(alias))
                if not settings or "alias" in settings:
                    raise self.error(NO_ALIASED(zone=name, alias=str(alias)))
            sources = self._sources(name, settings)
            used = [self._providers[source] for source in sources if source in self._providers]
            if not used:
                self.elsewhere = True
                continue
            if not name.startswith("*"):
                yield self._zone(name, str(alias or name), settings, used, whole=len(used) == len(sources))
                continue
            spelled = dict.fromkeys(zone for one in used for zone in one.names())
            for zone in self._matching(name, settings, spelled):
                if canonical(zone) not in taken:
                    taken.add(canonical(zone))
                    yield self._zone(zone, zone, settings, used, whole=len(used) == len(sources))

    def _sources(self, name: str, settings: Mapping[str, Any]) -> list[str]:
        given = settings.get("sources") or []
        if not isinstance(given, list):
            raise self.error(NO_LIST(zone=name))
        for source in map(str, given):
            if source not in self._known:
                raise self.error(NO_SOURCE(zone=name, source=source, providers=tuple(sorted(self._known))))
        return [*map(str, given)]

    def _matching(self, name: str, settings: Mapping[str, Any], names: Iterable[str]) -> list[str]:
        """The names that a zone ``*`` stands for: those of its `glob` or `regex`, which see a dot at their end."""
        dotted = {f"{each.rstrip('.')}.": each for each in names}
        if settings.get("glob"):
            return [dotted[each] for each in fnmatch.filter(dotted, str(settings["glob"]))]
        if settings.get("regex"):
            try:
                pattern = re.compile(str(settings["regex"]))
            except re.error as error:
                raise self.error(NO_PATTERN(zone=name, why=str(error))) from None
            return [each for full, each in dotted.items() if pattern.search(full)]
        return [*dotted.values()]

    def _zone(
        self, name: str, written: str, settings: Mapping[str, Any], used: Sequence[Provider], *, whole: bool
    ) -> Zone:
        written = written.rstrip(".")
        parts = tuple(ZonePart(one, one.paths(_spellings(written))) for one in used)
        if not any(each.paths or each.provider.optional for each in parts):
            raise self.error(NO_FILES(zone=written, folder=str(used[0].folder)))
        processors = [*self._always, *_list(settings.get("processors"))]
        kinds = {each: str(_mapping(self._processors.get(each)).get("class") or "") for each in processors}
        changing = tuple(each for each, kind in kinds.items() if kind.rpartition(".")[2] not in _HARMLESS)
        return Zone(
            canonical(name),
            parts,
            complete=whole and not any(kinds[each].endswith("Filter") for each in changing),
            templated=any(kind.endswith(".Templating") for kind in kinds.values()),
            remarks=(PROCESSED(zone=canonical(name), processors=changing),) if changing else (),
        )


def _spellings(name: str) -> tuple[str, ...]:
    """How the files of a zone may be called: as it is written, with A-labels, in its own script."""
    ascii_name = canonical(name)
    try:
        own = idna.decode(ascii_name) if "xn--" in ascii_name else name
    except idna.IDNAError:
        own = name
    return tuple(dict.fromkeys((name, ascii_name, own)))


class _Loader(yaml.SafeLoader):
    """Files that a configuration includes are not followed: what stands there is not one of our options."""


_Loader.add_constructor("!include", lambda _loader, _node: None)


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> list[str]:
    return [*map(str, given)] if isinstance(given, list) else []
