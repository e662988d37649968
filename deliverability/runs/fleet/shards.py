"""The files of a fleet run: what a shard is written to, and how it is read again.

A folder of a run::

    facts/00017.jsonl.gz       one domain a line: {"facts": {...}, "evidence": [...], "subject": {...}}, which is what
                               `deliv facts` writes of a domain; "subject" has besides "labels" and "name_servers"
    findings/00017.jsonl.gz    one domain a line: model.fleet.FleetRow
    manifest.sqlite3           runs.fleet.manifest: what is done; manifest-2-of-3.sqlite3 of a run of one part

A shard holds 200 domains in the order of the input, and its number is its place there, whoever worked on it. So the
folders of several machines are merged by copying their files into one.
"""

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

from deliverability._files import PRIVATE, PRIVATE_FOLDER, write_whole
from deliverability.model.codes import Code
from deliverability.model.errors import InputError, file_error, reason_of, until_lost
from deliverability.model.fleet import FleetRow

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
    yield from until_lost(
        map(FleetRow.from_json, read_lines(folder, FINDINGS, number, digest, domains)), lost.append, but=(InputError,)
    )
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
