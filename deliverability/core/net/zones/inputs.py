"""What is given as zones: files and folders opened for a run, or one of them in the normal form."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import NO_SUCH_FILE, InputError
from deliverability.core.net.base import Resolver
from deliverability.core.net.names import canonical, labels_of
from deliverability.core.net.overlay import NO_NAME
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones.base import FORMATS, MASTER, Reading, Source, ZoneError, ZoneInput
from deliverability.core.net.zones.other import BINARY
from deliverability.core.net.zones.over import laid_over
from deliverability.core.net.zones.read import Given, given, look

NO_FORMAT = Code("zone-format-unknown", ("name", "known"))
TEXT = "-"
"""What a text is called that is no file."""


class Zones(Struct, frozen=True):
    """What was given as zones.

    Attributes:
        whole: answers for the complete ones; None: there are none.
        parts: plans and other parts of zones.
        remarks: what has to be told of them.

    """

    whole: ZoneResolver | None
    parts: tuple[ZoneInput, ...]
    remarks: tuple[Detail, ...]

    def over(self, base: Resolver) -> Resolver:
        """The parts laid over a resolver."""
        return laid_over(base, self.parts)


def open_zones(paths: Sequence[Path | str], reading: Reading, *, keep: bool = False) -> Zones:
    """Zones and plans; a file that was named is read at once, so that a wrong one is told, one of a folder when needed.

    Raises ZoneError.
    """
    files: list[Given | ZoneInput] = []
    parts: list[ZoneInput] = []
    for path in map(Path, paths):
        for each in given([path], reading):
            if each.format == MASTER or each.origin:
                files.append(each)
                continue
            for found in each.read():
                (files if found.complete else parts).append(found)
    whole = ZoneResolver(files, keep=keep) if files else None
    if whole is not None:
        whole.check_files(str(path) for path in map(Path, paths) if path.is_file())
    remarks = [remark for each in parts for remark in each.remarks]
    return Zones(whole, tuple(parts), (*(whole.remarks if whole else ()), *remarks))


def read_zone(
    path_or_text: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the public name
    origin: str | None = None,
    tag: str | None = None,
) -> ZoneInput:
    """A zone or plan in the normal form: of a file, a folder of octoDNS, or a text with at least two lines or of JSON.

    Args:
        path_or_text: where it stands, or itself.
        format: one of FORMATS; None: as its content shows.
        origin: the zone that relative names belong to, where the file does not say.
        tag: which of several views of one zone: a tag of dnscontrol, a target of octoDNS.

    Raises:
        InputError: it cannot be used; the text says what to give instead.

    """
    reading = reading_of(format, () if origin is None else (origin,), tag)
    if isinstance(path_or_text, str) and ("\n" in path_or_text or path_or_text.lstrip()[:1] in ("{", "[")):
        label = reading.origins[0] if reading.origins else TEXT
        try:
            source = Source(label, path_or_text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise ZoneError(ABOUT(what=label, detail=BINARY())) from None
        return merged(found for found in look(source, reading).read())
    try:
        path = Path(path_or_text)
        there = path.exists()
    except (TypeError, ValueError, OSError):
        raise InputError(NO_SUCH_FILE(name=str(path_or_text)[:200])) from None
    if not there:
        raise InputError(NO_SUCH_FILE(name=str(path)))
    return merged(found for each in given([path], reading) for found in each.read())


def reading_of(name: str | None, origins: Sequence[str] = (), tag: str | None = None) -> Reading:
    """How files are to be read. Raises InputError."""
    if name and name not in FORMATS:
        raise InputError(NO_FORMAT(name=str(name), known=FORMATS))
    for origin in origins:
        if not isinstance(origin, str) or not labels_of(origin):
            raise InputError(NO_NAME(text=str(origin)))
    return Reading(name or "", tuple(map(canonical, origins)), tag or "")


def merged(inputs: Iterable[ZoneInput]) -> ZoneInput:
    """Several in one: parts of zones where one of them is a part, single values where one of them has such."""
    found = tuple(inputs)
    if len(found) == 1:
        return found[0]
    before = [each.before for each in found if each.before is not None]
    return ZoneInput(
        found[0].format,
        tuple(sorted({origin for each in found for origin in each.origins})),
        complete=all(each.complete for each in found),
        after=tuple(record for each in found for record in each.after),
        before=tuple(record for side in before for record in side) if before else None,
        replaces="value" if any(each.replaces == "value" for each in found) else "set",
        unknown=tuple(unknown for each in found for unknown in each.unknown),
        remarks=tuple(remark for each in found for remark in each.remarks),
        label=found[0].label,
    )
