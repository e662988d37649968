"""The configuration of octoDNS (1.22): which files make a zone, by the options of its YamlProvider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from deliverability.core.codes import ABOUT, Code
from deliverability.core.net.names import canonical, labels_of
from deliverability.core.net.zones.base import ZoneError
from deliverability.core.net.zones.octodns import NO_YAML, SUFFIXES

NO_PROVIDER = Code("octodns-no-provider")
NO_FOLDER = Code("octodns-no-folder", ("provider", "folder"))
NO_FILES = Code("octodns-no-files", ("zone", "folder"))

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
        replaces: its record sets take the place of those of providers before it (`populate_should_replace`).

    """

    folder: Path
    shared: str = ""
    split: str | None = None
    files: bool = True
    replaces: bool = False

    def paths(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        """The files of a zone, which has an A-label and perhaps another spelling, in octoDNS' order."""
        found: list[Path] = []
        for name in names:
            split = self.folder / f"{name}{self.split}" if self.split is not None else None
            if split is not None and split.is_dir():
                found += [each for each in split.iterdir() if each.suffix == SUFFIXES[0]]
            if self.files and (path := self.folder / f"{name}{SUFFIXES[0]}").is_file():
                found.append(path)
        if self.shared and (path := self.folder / self.shared).is_file():
            found.append(path)
        return tuple(sorted(dict.fromkeys(found)))

    def names(self) -> Iterator[str]:
        """The zones that have files of their own, as a zone ``*`` stands for them."""
        for path in sorted(self.folder.iterdir()):
            ending = self.split if path.is_dir() else SUFFIXES[0] if self.files and path.name != self.shared else None
            if ending is not None and path.name.endswith(ending):
                name = path.name.removesuffix(ending) if ending else path.name
                if labels_of(name) and "." in name:
                    yield name


class Zone(Struct, frozen=True):
    """A zone of the configuration.

    Attributes:
        name: A-label, lower case.
        files: those of each provider; those of a later one with `replaces` take the place of record sets before.
        replaces: for each of them.
        complete: it has no other source.

    """

    name: str
    files: tuple[tuple[Path, ...], ...]
    replaces: tuple[bool, ...]
    complete: bool


def zones_of(path: Path, data: bytes) -> Iterator[Zone]:
    """The zones of a configuration, with the files that octoDNS reads for each. Raises ZoneError."""
    try:
        given = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ZoneError(ABOUT(what=str(path), detail=NO_YAML(why=first))) from None
    options = _mapping(_mapping(given).get("providers"))
    providers = {name: made for name, each in options.items() if (made := _provider(path, name, each)) is not None}
    if not providers:
        raise ZoneError(ABOUT(what=str(path), detail=NO_PROVIDER()))
    zones = _mapping(_mapping(given).get("zones"))
    named = {canonical(str(name)) for name in zones if not str(name).startswith("*")}
    for name, each in zones.items():
        settings = _mapping(each)
        alias = settings.get("alias")
        settings = _mapping(zones.get(alias)) if alias else settings
        sources = [str(source) for source in settings.get("sources") or ()]
        used = [providers[source] for source in sources if source in providers]
        if not used:
            continue
        dynamic = str(name).startswith("*")
        below = str(name)[1:].rstrip(".")
        spelled = [each for one in used for each in one.names() if canonical(each).endswith(below)]
        for zone in dict.fromkeys(spelled) if dynamic else (str(name),):
            if dynamic and canonical(zone) in named:
                continue
            written = str(alias or zone).rstrip(".")
            spellings = tuple(dict.fromkeys((written, canonical(written))))
            files = tuple(one.paths(spellings) for one in used)
            if not any(files):
                folder = str(used[0].folder)
                raise ZoneError(ABOUT(what=str(path), detail=NO_FILES(zone=written, folder=folder)))
            replaces = tuple(one.replaces for one in used)
            yield Zone(canonical(zone), files, replaces, complete=len(used) == len(sources))


def _provider(path: Path, name: str, given: Any) -> Provider | None:
    """None for another class. Raises ZoneError where its folder is not there."""
    options = _mapping(given)
    kind = str(options.get("class") or "").rpartition(".")[2]
    if kind not in _CLASSES:
        return None
    directory = str(options.get("directory") or "")
    # octoDNS looks from where it is started, which is mostly the folder of its configuration or the one above.
    places = (path.parent, Path(), path.parent.parent)
    folder = next((found for each in places if directory and (found := each / directory).is_dir()), None)
    if folder is None:
        raise ZoneError(ABOUT(what=str(path), detail=NO_FOLDER(provider=name, folder=directory)))
    split = options.get("split_extension")
    return Provider(
        folder,
        str(options.get("shared_filename") or ""),
        _SPLIT.get(kind, str(split) if split else None),
        kind not in _SPLIT and not options.get("disable_zonefile"),
        bool(options.get("populate_should_replace")),
    )


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}
