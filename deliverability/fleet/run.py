"""One fleet run from its input to the last shard; safe to kill at any moment, and begun again it goes on.

What a killed run leaves are shards that are done and stand in the manifest, and shards of which nothing counts. So it
loses what was in flight, and ends as a run that nobody killed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.inputs import Subject
from deliverability.core.model.deliveries import Audience
from deliverability.core.net.clock import SystemClock, stamp
from deliverability.engine.stream import LOCK, is_held, only_one
from deliverability.fleet.engines import Engine
from deliverability.fleet.folder import FleetFolder, keep_audience, opened, shard_fault
from deliverability.fleet.lists import FleetList
from deliverability.fleet.manifest import FleetPart, Manifest, ShardState, parts_in
from deliverability.fleet.shards import FACTS, FINDINGS, FleetStatus, FleetSubject, read_packed
from deliverability.fleet.work import Mode, ShardTask

OTHER_SETTINGS = Code("fleet-other-settings", ("folder", "names"))
OTHER_PARTS = Code("fleet-other-parts", ("folder",))
OTHER_RULES = Code("fleet-other-rules", ("folder", "n"))


class FleetJob(Struct, frozen=True):
    """What a run is asked to do.

    Attributes:
        input: the domains.
        folder: where everything is written.
        settings: what facts depend on beside DNS, by names that the user knows.
        judged: what judging depends on, see fleet.work.judged_by.
        asked: what is to be audited for a row of the list.
        audience: whom the mail of all domains goes to; None: nobody said.
        part: which shards; all of them where others have not done theirs.
        rejudge: shards that were judged by other rules are judged again.
        retry: domains with a look-up that failed are asked about again, once, at the end.

    """

    input: FleetList
    folder: Path
    settings: Mapping[str, str]
    judged: str
    asked: Callable[[FleetSubject], Subject]
    audience: Audience | None = None
    part: FleetPart = field(default_factory=FleetPart)
    rejudge: bool = False
    retry: bool = False


class Listener(Protocol):
    """Is told how a run goes on."""

    def begun(self, left: int, before: FleetStatus) -> None:
        """So many domains are to be looked at, of all those there are; `before`: how it stood."""
        ...

    def refused(self, line: int, why: Detail) -> None:
        """A line of the input names no domain."""
        ...

    def damaged(self, why: Detail) -> None:
        """A file of a shard that was done is not as it was written; the shard is done again."""
        ...

    def done(self, domains: int) -> None:
        """So many domains more are done."""
        ...

    def crashed(self, trace: str) -> None:
        """An error of this program, with where it came about."""
        ...

    def died(self, shard: int, *, lost: bool) -> None:
        """A worker died on a shard, which was then done by another one; or `lost`, as that died as well."""
        ...


class Stop(Struct):
    """Set where somebody wants the run to end: the shards in flight are finished."""

    wanted: bool = False


class FleetEnd(Struct, frozen=True):
    """How a run ended. `stopped`: before all was done; `lost`: shards whose workers died."""

    status: FleetStatus
    stopped: bool
    lost: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether every domain was checked, and every line of the input could be read."""
        return not (self.stopped or self.lost or self.status.failed or self.status.refused)


def fleet(job: FleetJob, engine: Engine, listener: Listener, stop: Stop) -> FleetEnd:
    """Do a run, or go on with it.

    Raises InputError where the folder holds a run of another list, under other settings, or under other rules and
    nobody asked to judge again; alone.Busy where somebody is at work on it; OSError where files cannot be written.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_one(job.folder, lock=_lock(job.part)))
        parts = parts_in(job.folder)
        if job.part.of > 1 and any(part.of != job.part.of for part in parts):
            raise InputError(OTHER_PARTS(folder=str(job.folder)))
        manifest = Manifest(job.folder, job.part)
        stack.callback(manifest.close)
        try:
            _begin(job, manifest)
            with opened(job.folder):
                pass  # what is here is of one list
        except BaseException:
            if job.part not in parts:
                manifest.path.unlink(missing_ok=True)
            raise
        if job.part.of == 1:
            _adopt(job.folder, manifest, stack)
        return _Run(job, engine, listener, stop, manifest).go()


def fleet_status(folder: Path) -> FleetStatus:
    """How far the run of a folder is; shards whose files are not as they were written do not count.

    Of a run that is going on files are just being replaced, and not looked at. Raises InputError where there is none.
    """
    with opened(folder) as found:
        status = _status(found)
        if status.running:
            return status
        damaged = found.check()
        return replace(_status(found), damaged=damaged) if damaged else status


def _status(found: FleetFolder) -> FleetStatus:
    held = any(is_held(found.folder, _lock(each.part)) for each in found.manifests)
    return found.status(running=held)


def _lock(part: FleetPart) -> str:
    return LOCK if part.of == 1 else f"{LOCK}-{part.number}-of-{part.of}"


def _begin(job: FleetJob, manifest: Manifest) -> None:
    """Read the input, or see that it is the one which was begun."""
    raw = job.input.raw()
    if not manifest.begun:
        manifest.begin(job.input.lines(), raw, job.settings)
        return
    if manifest.raw != raw:
        manifest.compare(job.input.lines())
    before = manifest.settings
    names = tuple(name for name in sorted({*before, *job.settings}) if before.get(name) != job.settings.get(name))
    if names:
        raise InputError(OTHER_SETTINGS(folder=str(job.folder), names=names))


def _adopt(folder: Path, manifest: Manifest, stack: contextlib.ExitStack) -> None:
    """A run of the whole goes on where its parts ended; their manifests go."""
    others = [part for part in parts_in(folder) if part.of > 1]
    for part in others:
        stack.enter_context(only_one(folder, lock=_lock(part)))
    if not others:
        return
    with opened(folder) as found:
        manifest.adopt(found.done)
    for part in others:
        (folder / part.file).unlink()


class _Run:
    """One session of work on a folder."""

    def __init__(self, job: FleetJob, engine: Engine, listener: Listener, stop: Stop, manifest: Manifest) -> None:
        self._job = job
        self._engine = engine
        self._listener = listener
        self._stop = stop
        self._manifest = manifest
        self._damaged: list[Detail] = []
        self._states: dict[int, ShardState] = {each.number: each for each in manifest.done() if self._is_sound(each)}
        self._lost: list[int] = []

    def go(self) -> FleetEnd:
        job, manifest = self._job, self._manifest
        ours = [number for number in manifest.shards if job.part.has(number)]
        stale = [number for number in ours if number in self._states and self._states[number].judged != job.judged]
        if stale and not job.rejudge:
            raise InputError(OTHER_RULES(folder=str(job.folder), n=sum(self._states[each].domains for each in stale)))
        keep_audience(job.folder, job.audience)
        for line, why in manifest.refused():
            self._listener.refused(line, why)
        for wrong in self._damaged:
            self._listener.damaged(wrong)
        missing = [number for number in ours if number not in self._states]
        with opened(job.folder) as found:
            before = _status(found)
        self._listener.begun(sum(manifest.size_of(each) for each in (*stale, *missing)), before)
        clock = _Clock(manifest)
        self._do(clock, lambda: self._tasks(stale, missing))
        if job.retry and not self._stop.wanted:
            failed = [number for number in ours if (state := self._states.get(number)) and state.failed]
            self._do(clock, lambda: self._retries(failed))
        with opened(job.folder) as found:
            status = found.status(running=False)
        undone = any(number not in self._states and number not in self._lost for number in ours)
        return FleetEnd(status, self._stop.wanted and undone, tuple(self._lost))

    def _is_sound(self, state: ShardState) -> bool:
        """Whether the files of a shard are as they were written; what somebody took away or damaged is done again."""
        wrong = shard_fault(self._job.folder, state, self._manifest.size_of(state.number))
        if wrong is not None:
            self._damaged.append(wrong)
            self._manifest.forget(state.number)
        return wrong is None

    def _do(self, clock: _Clock, tasks: Callable[[], Iterator[ShardTask]]) -> None:
        with contextlib.closing(self._engine.map(tasks())) as finished:
            for each in finished:
                for trace in each.crashes:
                    self._listener.crashed(trace)
                if each.died:
                    self._listener.died(each.number, lost=each.state is None)
                if each.state is None:
                    self._lost.append(each.number)
                    continue
                self._manifest.finish(each.state)
                self._states[each.number] = each.state
                clock.did(each.state.domains)
                self._listener.done(each.state.domains)

    def _tasks(self, stale: list[int], missing: list[int]) -> Iterator[ShardTask]:
        """Judging again is soon done; then what nobody has looked at."""
        yield from (self._task(number, Mode.REJUDGE) for number in self._until_stopped(stale))
        yield from (self._task(number, Mode.GATHER) for number in self._until_stopped(missing))

    def _retries(self, failed: list[int]) -> Iterator[ShardTask]:
        yield from (self._task(number, Mode.RETRY) for number in self._until_stopped(failed))

    def _until_stopped(self, shards: list[int]) -> Iterator[int]:
        for number in shards:
            if self._stop.wanted:
                return
            yield number

    def _task(self, number: int, mode: Mode) -> ShardTask:
        subjects = tuple((each, self._job.asked(each)) for each in self._manifest.subjects(number))
        before = {}
        if mode is not Mode.GATHER:
            state = self._states[number]
            digests = {FACTS: state.facts, FINDINGS: state.findings}
            before = {kind: read_packed(self._job.folder, kind, number, each) for kind, each in digests.items()}
        return ShardTask(number, subjects, mode, before)


class _Clock:
    """How long a session takes, kept in the manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._session = manifest.session(stamp(SystemClock().now()))
        self._begun = time.monotonic()
        self._domains = 0

    def did(self, domains: int) -> None:
        self._domains += domains
        self._manifest.worked(self._session, time.monotonic() - self._begun, self._domains)
