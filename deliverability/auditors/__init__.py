"""Auditors: one topic each, Subject + ports + earlier facts -> facts. Each is loaded when it is first asked for."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deliverability.auditors.base import Auditor
    from deliverability.model.facts import Catalogue

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
    if name not in AUDITORS:
        raise KeyError(name)
    found: Auditor = importlib.import_module(f"{__name__}.{name}").audit
    return found


@cache
def auditors() -> tuple[Auditor, ...]:
    """All auditors, in the order of the catalogue."""
    return tuple(map(auditor_named, AUDITORS))


@cache
def catalogue() -> Catalogue:
    """The fact catalogue: every fact that rule files may name."""
    from deliverability.auditors.base import catalogue_of

    return catalogue_of(auditors())
