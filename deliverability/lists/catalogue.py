"""Reads rules/lists/*.yaml: names of roles, disposable and well-known domains, names of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from deliverability.core import yaml as yamlstrict
from deliverability.core.cache import cached
from deliverability.core.codes import Detail
from deliverability.core.errors import FilesError
from deliverability.core.model.rules import PlainSource
from deliverability.core.yaml import read_shape

FOLDER = "lists"


class ListDataError(FilesError):
    """List data that cannot be used."""


class ListData(Struct, frozen=True):
    """What an address of a list is held against.

    Attributes:
        roles: names of mailboxes that belong to a task, lower case.
        disposable: domains of mailboxes that live for minutes; names below them count, too.
        well_known: domains that many addresses are at.
        not_typos: neighbours of those that are real.
        typos: what is typed -> what is meant.
        any_dots: domains whose addresses may have dots anywhere.
        columns: address, confirmed, active, domain, number -> how such a column may be called, as
            lists.table.folded_head writes it.
        no: what says "no" in a column of confirmations.
        sources: where it is from.

    """

    roles: frozenset[str] = frozenset()
    disposable: frozenset[str] = frozenset()
    well_known: tuple[str, ...] = ()
    not_typos: frozenset[str] = frozenset()
    typos: Mapping[str, str] = field(default_factory=dict)
    any_dots: frozenset[str] = frozenset()
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    no: frozenset[str] = frozenset()
    sources: tuple[PlainSource, ...] = ()


class _Roles(Struct, frozen=True, tag_field="kind", tag="roles"):
    sources: tuple[PlainSource, ...]
    names: tuple[tuple[str, ...], ...]


class _Disposable(Struct, frozen=True, tag_field="kind", tag="disposable"):
    sources: tuple[PlainSource, ...]
    domains: str


class _WellKnown(Struct, frozen=True, tag_field="kind", tag="well-known"):
    sources: tuple[PlainSource, ...]
    domains: tuple[tuple[str, ...], ...]
    not_typos: tuple[str, ...] = ()
    typos: Mapping[str, str] = field(default_factory=dict)
    any_dots: tuple[str, ...] = ()


class _Columns(Struct, frozen=True, tag_field="kind", tag="columns"):
    sources: tuple[PlainSource, ...]
    address: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    no: tuple[str, ...] = ()


_FILE: Any = _Roles | _Disposable | _WellKnown | _Columns


def load_list_data(folders: Sequence[Path]) -> ListData:
    """What all folders say together. Raises ListDataError with every problem."""
    files = [path for folder in folders for path in sorted((folder / FOLDER).glob("*.yaml"))]
    return cached("lists", files, lambda: _read(files))


def _read(files: Iterable[Path]) -> ListData:
    problems: list[Detail] = []
    roles: set[str] = set()
    disposable: set[str] = set()
    known: list[str] = []
    not_typos: set[str] = set()
    typos: dict[str, str] = {}
    any_dots: set[str] = set()
    columns: dict[str, set[str]] = {name: set() for name in ("address", "confirmed", "active", "domain", "number")}
    no: set[str] = set()
    sources: dict[PlainSource, None] = {}
    for path in files:
        document = yamlstrict.read_file(path, problems)
        found = read_shape(document, _FILE, problems) if document else None
        sources.update(dict.fromkeys(found.sources if found else ()))
        match found:
            case _Roles(names=groups):
                roles.update(name for group in groups for name in group)
            case _Disposable(domains=text):
                disposable.update(text.split())
            case _WellKnown() as shape:
                known += [name for group in shape.domains for name in group]
                not_typos.update(shape.not_typos)
                typos.update(shape.typos)
                any_dots.update(shape.any_dots)
            case _Columns() as shape:
                for name, heads in columns.items():
                    heads.update(getattr(shape, name))
                no.update(shape.no)
    if problems:
        raise ListDataError(*problems)
    return ListData(
        *(frozenset(roles), frozenset(disposable), tuple(dict.fromkeys(known)), frozenset(not_typos), typos),
        *(frozenset(any_dots), {name: frozenset(heads) for name, heads in columns.items()}, frozenset(no)),
        tuple(sources),
    )
