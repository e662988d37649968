"""A folder of a fleet run, read: by reports, by `deliv fleet status`, and by a run that goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import DecodeError, json

from deliverability.core.codec import decode_detail
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.files import PRIVATE, write_whole
from deliverability.core.model.deliveries import Audience
from deliverability.fleet.manifest import Manifest, ShardState, parts_in
from deliverability.fleet.shards import (
    FACTS,
    FEWER,
    FINDINGS,
    FleetRow,
    FleetStatus,
    FleetSubject,
    fleet_digest,
    read_lines,
    read_packed,
    read_rows,
)

AUDIENCE = "audience.json"
"""Whom the mail of all domains goes to, in numbers alone."""
NO_FLEET = Code("fleet-none", ("folder",))
MIXED_LISTS = Code("fleet-mixed-lists", ("folder",))
NOT_IN_FLEET = Code("fleet-no-domain", ("folder", "domain"))
NOTHING_OF = Code("fleet-nothing-of", ("domain", "detail"))
NOT_YET = Code("fleet-not-yet", ("domain",))


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[FleetFolder]:
    """A folder to read from. Raises InputError where there is no run in it, or where it mixes several."""
    with contextlib.ExitStack() as stack:
        manifests = []
        for part in parts_in(folder):
            manifest = Manifest(folder, part)
            stack.callback(manifest.close)
            if manifest.begun:
                manifests.append(manifest)
        if not manifests:
            raise InputError(NO_FLEET(folder=str(folder)))
        if len({(each.list_digest, each.size) for each in manifests}) > 1:
            raise InputError(MIXED_LISTS(folder=str(folder)))
        yield FleetFolder(folder, manifests)


def keep_audience(folder: Path, audience: Audience | None) -> None:
    """Keep it beside what is judged for it. Raises OSError."""
    file = folder / AUDIENCE
    if audience is None:
        file.unlink(missing_ok=True)
    else:
        write_whole(file, json.encode(audience), mode=PRIVATE)


def shard_fault(folder: Path, state: ShardState, domains: int) -> Detail | None:
    """What is wrong with the files of a shard of so many domains that is done; None: they are as they were written."""
    try:
        for kind, digest in ((FACTS, state.facts), (FINDINGS, state.findings)):
            read_packed(folder, kind, state.number, digest)
    except InputError as error:
        return error.detail
    if state.domains != domains:
        return FEWER(n=state.domains, of=domains)
    return None


class FleetFolder:
    """The manifests of a folder as one. What several of them have done counts as the first one says."""

    def __init__(self, folder: Path, manifests: list[Manifest]) -> None:
        self.folder = folder
        self.manifests = manifests
        states: dict[int, ShardState] = {}
        for manifest in manifests:
            for state in manifest.done():
                states.setdefault(state.number, state)
        self.done = [states[number] for number in sorted(states)]

    def check(self) -> tuple[Detail, ...]:
        """Let go of shards whose files are not as they were written; says which files, and why."""
        lost: list[Detail] = []
        sound: list[ShardState] = []
        size_of = self.manifests[0].size_of
        for state in self.done:
            wrong = shard_fault(self.folder, state, size_of(state.number))
            if wrong is None:
                sound.append(state)
            else:
                lost.append(wrong)
        self.done = sound
        return tuple(lost)

    @property
    def judged(self) -> set[str]:
        """By which program, rules and selection the shards were judged: one digest each."""
        return {each.judged for each in self.done}

    @property
    def state(self) -> str:
        """The digest of all that is done; another one where anything was done anew."""
        return fleet_digest((each.number, f"{each.digest}@{each.at}") for each in self.done)

    @property
    def day(self) -> str:
        """The day on which the newest of it was done, ISO date; empty where nothing is."""
        return max((each.at for each in self.done), default="")[:10]

    @property
    def audience(self) -> Audience | None:
        """Whom the mail of all domains goes to; None: nobody said. Raises InputError."""
        file = self.folder / AUDIENCE
        try:
            return json.decode(file.read_bytes(), type=Audience) if file.is_file() else None
        except (OSError, DecodeError) as error:
            raise InputError(ABOUT(what=str(file), detail=str(error))) from None

    def rows(self) -> Iterator[FleetRow]:
        """The judgement of every domain that is done, in the order of the input. Raises InputError."""
        for each in self.done:
            yield from read_rows(self.folder, each.number, each.findings, each.domains)

    @property
    def settings(self) -> dict[str, str]:
        """What the facts depend on beside DNS, see fleet.run.FleetJob."""
        return self.manifests[0].settings

    def subject(self, domain: str) -> FleetSubject:
        """What the list says of a domain (A-label). Raises InputError where it does not name it."""
        subjects = self.manifests[0].subjects(self._shard(domain))
        return next(each for each in subjects if each.domain == domain)

    def facts_of(self, domain: str) -> dict[str, Any]:
        """The facts of one domain (A-label) as JSON. Raises InputError where there are none."""
        shard = self._shard(domain)
        state = next((each for each in self.done if each.number == shard), None)
        if state is None:
            raise InputError(NOT_YET(domain=domain))
        documents = list(read_lines(self.folder, FACTS, shard, state.facts, state.domains))
        found: dict[str, Any] = documents[self.manifests[0].place_of(domain)]
        if (lost := decode_detail(found.get("lost"))) is not None:
            raise InputError(NOTHING_OF(domain=domain, detail=lost))
        return found

    def _shard(self, domain: str) -> int:
        shard = self.manifests[0].shard_of(domain)
        if shard is None:
            raise InputError(NOT_IN_FLEET(folder=str(self.folder), domain=domain))
        return shard

    def status(self, *, running: bool) -> FleetStatus:
        """How far it is, counting only the parts that are here."""
        first = self.manifests[0]
        parts = [each.part for each in self.manifests]
        ours = (number for number in first.shards if any(part.has(number) for part in parts))
        sessions = [each.newest_session() for each in self.manifests]
        rates = [domains / seconds for seconds, domains in sessions if seconds]
        return FleetStatus(
            domains=sum(map(first.size_of, ours)),
            done=sum(each.domains for each in self.done),
            failed=sum(each.failed for each in self.done),
            duplicates=first.duplicates,
            refused=sum(1 for _ in first.refused()),
            running=running,
            seconds=max((seconds for seconds, _ in sessions), default=0.0),
            rate=sum(rates) if running else max(rates, default=0.0),
            digest=fleet_digest((each.number, each.digest) for each in self.done),
        )
