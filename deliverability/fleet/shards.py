"""What a fleet run keeps of each domain, and the files that shards are written to."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, convert, field

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError, file_error, reason_of, until_lost
from deliverability.core.facts.base import Purpose
from deliverability.core.files import PRIVATE, PRIVATE_FOLDER, write_whole


class FleetSubject(Struct, frozen=True):
    """One line of the input.

    Attributes:
        domain: A-label.
        purpose: what the domain sends; None: not given.
        daily_volume: messages a day, or None.
        selectors: DKIM selectors to look up besides those found.
        labels: what else the table says of it (``customer``, ``tier`` …); empty cells are left out.

    """

    domain: str
    purpose: Purpose | None = None
    daily_volume: int | None = None
    selectors: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class FleetFinding(Struct, frozen=True, array_like=True):
    """A rule that is unmet, or that could not be checked because a look-up failed.

    Attributes:
        rule: rule id.
        item: the item of an `each` rule, else empty.
        outcome: ``unmet`` or ``unknown``.
        severity: of the finding, see model.rules.Severity.
        fingerprint: stable across runs.
        waiver: why the user accepts it (see model.facts.Waiver), or empty.

    """

    rule: str
    item: str
    outcome: str
    severity: str
    fingerprint: str
    waiver: str = ""


class Unchecked(Struct, frozen=True, array_like=True):
    """A question that nobody answered.

    Attributes:
        asked: the question, for example ``TXT example.com``.
        reason: see model.facts.Reason.
        server: who kept silent, refused or failed; empty where that is not known.

    """

    asked: str
    reason: str
    server: str = ""


class FleetRow(Struct, frozen=True, omit_defaults=True):
    """The judgement of one domain: one line of a file of findings, in which what is empty is left out.

    Attributes:
        domain: A-label.
        labels: as the input has them.
        grade: ``A`` to ``F``.
        dns: the headline over all receivers (see model.report.VerdictKind); None for a parked domain.
        parked: the domain sends nothing.
        verdicts: receiver id -> verdict; empty for a parked domain.
        findings: what is unmet, and what could not be checked.
        met: rules that are met, each once.
        waiting: rules that wait for what nobody gave (a message above all), each once.
        not_applicable: rules that do not apply, each once.
        failed: a look-up failed, so that a fact is unknown; or nothing could be found out at all, see `lost`.
        lost: why there are no facts, as the JSON of a detail (model.codec.decode_detail); None where there are.
        unchecked: questions that nobody answered.
        name_servers: of the registered domain, in order of the alphabet; None where nobody could say.
        stale: paths of facts that failed again when they were retried, and stand as they were known before.
        profiles: the baselines that it was held against, by id: clause -> state (model.profiles.ClauseState).
        facts: path -> value, as JSON, of those that tell causes (fleet.work.CAUSE_FACTS), so that a report need
            not read them all.

    """

    domain: str
    labels: Mapping[str, str] = field(default_factory=dict)
    grade: str = ""
    dns: str | None = None
    parked: bool = False
    verdicts: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[FleetFinding, ...] = ()
    met: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    not_applicable: tuple[str, ...] = ()
    failed: bool = False
    lost: Mapping[str, Any] | None = None
    unchecked: tuple[Unchecked, ...] = ()
    name_servers: tuple[str, ...] | None = None
    stale: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, name="kept")
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class FleetStatus(Struct, frozen=True):
    """How far a fleet run is.

    Attributes:
        domains: how many there are.
        done: of them, gathered and judged.
        failed: of those done, how many have a look-up that failed.
        duplicates: lines of the input that name a domain again.
        refused: lines of the input that name none.
        running: whether a process is at work on it.
        seconds: how long the newest run has taken.
        rate: domains a second of the newest run; 0 where that cannot be told yet.
        digest: of all facts and judgements, whenever they were made (see runs.fleet.shards).
        damaged: files that are not as they were written, and why; their shards are to be done again.

    """

    domains: int
    done: int
    failed: int
    duplicates: int
    refused: int
    running: bool
    seconds: float
    rate: float
    digest: str
    damaged: tuple[Detail, ...] = ()

    @property
    def left(self) -> int:
        """How many are still to do."""
        return self.domains - self.done

    @property
    def seconds_left(self) -> float | None:
        """How long these may take at the rate so far; None where that cannot be told."""
        return self.left / self.rate if self.rate else None


SHARD = 200
"""Domains a shard: what a killed worker loses at most, and few enough files for a million domains."""
FACTS, FINDINGS = "facts", "findings"
_LEVEL = 3  # half the time of 6, for a tenth more octets
DAMAGED_SHARD = Code("fleet-damaged", ("file", "why"))
ALTERED = Code("fleet-altered", ("octets",))
FEWER = Code("fleet-fewer-lines", ("n", "of"))


def shard_file(folder: Path, kind: str, number: int) -> Path:
    """Where the facts or the findings of a shard stand."""
    return folder / kind / f"{number:05}.jsonl.gz"


class Lines:
    """Lines of one shard, taken as they come and packed in their order."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self._packed = bytearray()
        self._early: dict[int, bytes] = {}
        self._next = 0

    def put(self, place: int, line: bytes) -> None:
        """Take the line of that place, counted from 0."""
        self._early[place] = line
        while (line_now := self._early.pop(self._next, None)) is not None:
            self._packed += self._packer.compress(line_now + b"\n")
            self._next += 1

    def packed(self) -> bytes:
        """The file. Raises ValueError where a line is missing."""
        if self._early:
            raise ValueError(f"line {self._next} is missing")
        return bytes(self._packed + self._packer.flush())


def write_shard(folder: Path, number: int, pieces: Mapping[str, bytes]) -> None:
    """Write the files of a shard, each whole or not at all. Raises OSError."""
    for kind, data in pieces.items():
        path = shard_file(folder, kind, number)
        path.parent.mkdir(PRIVATE_FOLDER, exist_ok=True)
        write_whole(path, data, mode=PRIVATE)


def file_digest(octets: bytes) -> str:
    """SHA-256 (hex) of a file, which the manifest keeps of each."""
    return hashlib.sha256(octets).hexdigest()


def read_packed(folder: Path, kind: str, number: int, digest: str) -> bytes:
    """A shard's file. Raises InputError where it cannot be read, or is not what was written, which `digest` tells."""
    path = shard_file(folder, kind, number)
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise InputError(file_error(path, error)) from None
    if file_digest(octets) != digest:
        raise InputError(DAMAGED_SHARD(file=str(path), why=ALTERED(octets=len(octets))))
    return octets


def lines_of(packed: bytes) -> Iterator[Any]:
    """Each line of a shard's file. Raises OSError, EOFError, zlib.error or ValueError where it is damaged."""
    for line in gzip.decompress(packed).splitlines():
        yield json.loads(line)


def read_lines(folder: Path, kind: str, number: int, digest: str, domains: int) -> Iterator[Any]:
    """Each line of a shard's file, of so many domains. Raises InputError where it is not there or damaged."""
    lost: list[Exception] = []
    found = 0
    for line in until_lost(lines_of(read_packed(folder, kind, number, digest)), lost.append):
        found += 1
        yield line
    if lost or found != domains:
        why = reason_of(lost[0]) if lost else FEWER(n=found, of=domains)
        raise InputError(DAMAGED_SHARD(file=str(shard_file(folder, kind, number)), why=why))


def read_rows(folder: Path, number: int, digest: str, domains: int) -> Iterator[FleetRow]:
    """The judgements of a shard. Raises InputError as `read_lines` does."""
    lost: list[Exception] = []
    lines = read_lines(folder, FINDINGS, number, digest, domains)
    yield from until_lost((convert(each, FleetRow) for each in lines), lost.append, but=(InputError,))
    for error in lost:
        raise InputError(DAMAGED_SHARD(file=str(shard_file(folder, FINDINGS, number)), why=reason_of(error)))


# --- what stays the same from run to run ---


def compact(data: Any) -> str:
    """JSON in ASCII: what is written, and what a digest is made of. The order within stays: details have one."""
    with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate
        written = msgspec.json.encode(data)
        if written.isascii() and b"\x7f" not in written:  # nearly always, and in a fifth of the time
            return written.decode("ascii")
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def facts_line(document: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The line of a domain's facts, and what of it a digest is made of: not when it was seen, nor how long it keeps."""
    facts = compact(dict(sorted(document["facts"].items())))
    rest = compact({name: value for name, value in document.items() if name != "facts"})
    evidence = sorted(document["evidence"], key=itemgetter("id"))
    seen = compact([[each["id"], each["kind"], each["asked"], each["got"]] for each in evidence])
    return f'{{"facts":{facts},{rest[1:]}'.encode(), f"{facts}\n{seen}\n".encode()


def shard_digest(domains: Iterable[bytes]) -> str:
    """SHA-256 (hex) of the digests of its domains, in their order."""
    return hashlib.sha256(b"".join(domains)).hexdigest()


def fleet_digest(shards: Iterable[tuple[int, str]]) -> str:
    """SHA-256 (hex) of shards by number and digest: the same for every run that found and judged the same."""
    text = "".join(f"{number}:{digest}\n" for number, digest in sorted(shards))
    return hashlib.sha256(text.encode()).hexdigest()
