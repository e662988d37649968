"""Auditors, one topic each: subject, ports and earlier facts in, facts out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.cache import cached

if TYPE_CHECKING:
    from deliverability.core.facts.base import Catalogue, FactSpec
    from deliverability.engine.base import Auditor, Context

AUDITORS = (
    "subject",
    "purpose",
    "streams",
    "message",
    "format",
    "japanese",
    "weight",
    "attachments",
    "images",
    "pdf",
    "html",
    "clients",
    "envelope",
    "forwarding",
    "addresses",
    "domain",
    "mx",
    "transport",
    "smtp",
    "spf",
    "dkim",
    "arc",
    "dmarc",
    "alignment",
    "recorded",
    "bimi",
    "identity",
    "unsubscribe",
    "senders",
    "ownership",
    "chain",
    "traffic",
    "tls_reports",
    "deliveries",
    "gmail",
    "snds",
    "gate",
    "blocklists",
    "recipients",
    "warm_up",
)
"""All by name, in the order of the catalogue; the auditor NAME is `audit` of the module NAME."""


def auditor_named(name: str) -> Auditor:
    """The auditor of that name. Raises KeyError where there is none."""
    return _by_name()[name]


@cache
def _by_name() -> Mapping[str, Auditor]:
    return {each.name: each for each in auditors()}


def _loaded(name: str) -> Auditor:
    found: Auditor = importlib.import_module(f"{__name__}.{name}").audit
    return found


class _Declared(Struct, frozen=True):
    """What is known of an auditor before its module is loaded."""

    name: str
    provides: tuple[FactSpec, ...]
    needs: tuple[str, ...]


@cache
def auditors() -> tuple[Auditor, ...]:
    """All auditors, in the order of the catalogue; the module of one that is about messages is loaded for the first."""
    declared = {each.name: each for each in cached("auditors", [], _of_message)}
    return tuple(_late(declared[name]) if name in declared else _loaded(name) for name in AUDITORS)


def _of_message() -> tuple[_Declared, ...]:
    every = map(_loaded, AUDITORS)
    return tuple(_Declared(each.name, each.provides, each.needs) for each in every if each.of_message)


def _late(declared: _Declared) -> Auditor:
    from deliverability.engine.base import Auditor

    async def run(ctx: Context) -> None:
        await _loaded(declared.name).run(ctx)

    return Auditor(declared.name, declared.provides, declared.needs, run, of_message=True)


@cache
def catalogue() -> Catalogue:
    """The fact catalogue: every fact that rule files may name."""
    from deliverability.engine.base import catalogue_of

    return catalogue_of(auditors())
