"""Facets and their texts as numbers, and the key that a history makes its digests with."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, func, insert, select, text

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.files import private
from deliverability.core.model.observed import Facet, SignatureSeen
from deliverability.core.store.tables import hash_keys, obs_facets, obs_labels

T = TypeVar("T")
_MOST_KNOWN = 4_000
_SIGNATURES = 3
LABELLED = ("header_from", "envelope_from", "dkim1", "dkim2", "dkim3", "spf", "disposition", "reason")
"""Columns of obs_facets that hold the number of a label."""


class Facets:
    """Numbers of facets as the database has them; those met lately are remembered."""

    def __init__(self) -> None:
        self._known: dict[Facet, int] = {}

    def forget(self) -> None:
        """What is remembered may no longer be in the database."""
        self._known.clear()

    def ids(self, connection: Connection, facets: Sequence[Facet]) -> list[int]:
        """The number of each; new ones are kept."""
        known = self._known
        if len(known) > _MOST_KNOWN:
            known.clear()
        # Some at a time: what a statement is made of takes many times the memory of what is in it.
        for some in in_portions(sorted({each for each in facets if each not in known})):
            known.update(_numbered(connection, some))
        return [known[each] for each in facets]


def _numbered(connection: Connection, facets: Sequence[Facet]) -> dict[Facet, int]:
    table = obs_facets
    by_key = {_key(each): each for each in facets}
    rows = connection.execute(select(table.c.key, table.c.id).where(table.c.key.in_(list(by_key))))
    found = {bytes(row.key): row.id for row in rows}
    fresh = {key: each for key, each in by_key.items() if key not in found}
    if fresh:
        labels = _labels(connection, {text for each in fresh.values() for text in _texts(each).values()})
        first = next_id(connection, table.c.id)
        rows_ = [
            {
                "id": number,
                "key": key,
                **{column: labels[text] for column, text in _texts(each).items()},
                "aligned_dkim": int(each.aligned_dkim),
                "aligned_spf": int(each.aligned_spf),
            }
            for number, (key, each) in enumerate(fresh.items(), first)
        ]
        connection.execute(insert(table), rows_)
        found.update((key, number) for number, key in enumerate(fresh, first))
    return {each: found[key] for key, each in by_key.items()}


def _key(facet: Facet) -> bytes:
    return hashlib.blake2b(repr(facet).encode("utf-8", "backslashreplace"), digest_size=16).digest()


def _texts(facet: Facet) -> dict[str, str]:
    """The texts of a facet, by the column that holds their number."""
    signatures = [" ".join(each) for each in facet.dkim[:_SIGNATURES]]
    signatures += [""] * (_SIGNATURES - len(signatures))
    return {
        "header_from": facet.header_from,
        "envelope_from": facet.envelope_from,
        **{f"dkim{number}": text for number, text in enumerate(signatures, 1)},
        "spf": f"{facet.spf_domain} {facet.spf_result}".strip(),
        "disposition": facet.disposition,
        "reason": facet.reason,
    }


def _labels(connection: Connection, texts: set[str]) -> dict[str, int]:
    table = obs_labels
    found = {"": 0}
    for some in in_portions(sorted(texts - {""})):
        rows = connection.execute(select(table.c.text, table.c.id).where(table.c.text.in_(some)))
        found.update((row.text, row.id) for row in rows)
    fresh = sorted(texts - found.keys())
    if fresh:
        first = next_id(connection, table.c.id)
        connection.execute(insert(table), [{"id": number, "text": each} for number, each in enumerate(fresh, first)])
        found.update((each, number) for number, each in enumerate(fresh, first))
    return found


def read_facets(connection: Connection, ids: Iterable[int]) -> Mapping[int, Facet]:
    """Facets by their number."""
    table = obs_facets
    rows: list[Any] = []
    for some in in_portions(sorted(ids)):
        rows += connection.execute(select(table).where(table.c.id.in_(some))).all()
    labels = {0: ""}
    for some in in_portions(sorted({getattr(row, column) for row in rows for column in LABELLED} - {0})):
        wanted = select(obs_labels.c.id, obs_labels.c.text).where(obs_labels.c.id.in_(some))
        labels.update((row.id, row.text) for row in connection.execute(wanted))

    def facet(row: Any) -> Facet:
        given = {column: labels[getattr(row, column)] for column in LABELLED}
        spf_domain, _, spf_result = given["spf"].partition(" ")
        return Facet(
            given["header_from"],
            given["envelope_from"],
            tuple(SignatureSeen(*each.split(" ")) for each in (given["dkim1"], given["dkim2"], given["dkim3"]) if each),
            spf_domain,
            spf_result,
            bool(row.aligned_dkim),
            bool(row.aligned_spf),
            given["disposition"],
            given["reason"],
        )

    return {row.id: facet(row) for row in rows}


def next_id(connection: Connection, column: Any) -> int:
    """The number of the next row of a table."""
    return int(connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one()) + 1


def in_portions(items: Sequence[T], most: int = 500) -> Iterator[Sequence[T]]:
    """Some at a time, as many as one statement takes."""
    for start in range(0, len(items), most):
        yield items[start : start + most]


OCTETS = 32
KEY_DAMAGED = Code("history-key-damaged", ("file",))


def key_file(history: Path) -> Path:
    """Where the key of a history in a file lies."""
    return history.with_name(f"{history.name}.key")


def key_beside(history: Path) -> bytes:
    """The key of a history in a file, made where there is none. Raises OSError, and InputError where it is damaged."""
    path = key_file(history)
    if not path.exists():
        # Whole or not at all, and of two processes that make one the first one's counts.
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with open(half, "xb", opener=private) as file:
                file.write(secrets.token_bytes(OCTETS))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(half, path)
        finally:
            half.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) != OCTETS:
        raise InputError(KEY_DAMAGED(file=str(path)))
    return key


def key_within(connection: Connection) -> bytes:
    """The key of a history on a server, made where there is none, in a transaction that is to write."""
    connection.execute(text("LOCK TABLE hash_keys IN EXCLUSIVE MODE"))
    key = connection.execute(select(hash_keys.c.key)).scalar()
    if key is None:
        key = secrets.token_bytes(OCTETS)
        connection.execute(insert(hash_keys).values(id=1, key=key))
    return bytes(key)
