"""The public suffix list, for the RFC 7489 reading and for telling domains of different owners apart."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deliverability.core.cache import cached

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_REMEMBERED = 8192
"""Names whose owner is remembered: an audit asks for that of the same few names again and again."""


@cache
def _list() -> PublicSuffixList:
    """The list that its package brings along, loaded when a name is first looked up."""
    return _cached("suffixes", only_icann=False)


@cache
def _icann_list() -> PublicSuffixList:
    """The part of the list that ICANN and the registries stand for, without the suffixes of hosting companies."""
    return _cached("suffixes.icann", only_icann=True)


def _cached(name: str, *, only_icann: bool) -> PublicSuffixList:
    """Reading the list takes longer than all that it is asked in a run, so it is kept as it was read."""
    import publicsuffixlist as library

    sources = [Path(library.__file__), Path(library.PSLFILE)]
    return cached(name, sources, lambda: library.PublicSuffixList(accept_unknown=False, only_icann=only_icann))


@lru_cache(_REMEMBERED)
def known_registrable_domain(domain: str) -> str | None:
    """The registrable domain; None for a public suffix and for names under no known suffix."""
    name = _name(domain)
    return str(found) if name and (found := _list().privatesuffix(name)) else None


@lru_cache(_REMEMBERED)
def registrable_domain(domain: str) -> str:
    """The organizational domain by the public suffix list (RFC 7489 section 3.2); the name itself if it is a suffix.

    Under an unknown top-level domain the list's own default holds: that domain is the suffix.
    """
    name = _name(domain)
    known = known_registrable_domain(name) if name else None
    if known or not name or _list().publicsuffix(name):
        return known or name or domain.rstrip(".").lower()
    return ".".join(name.split(".")[-2:])


@lru_cache(_REMEMBERED)
def registered_domain(domain: str) -> str:
    """The domain that was registered at a registry, whoever hands out names below it: amazonaws.com of an EC2 host.

    Suffixes of the private part of the list do not count; else as `registrable_domain`.
    """
    name = _name(domain)
    known = _icann_list().privatesuffix(name) if name else None
    return str(known) if known else registrable_domain(domain)


@lru_cache(_REMEMBERED)
def known_registered_domain(domain: str) -> str | None:
    """The same; None for a public suffix and where no registry is known: nobody can register a name below .local."""
    name = _name(domain)
    return str(found) if name and (found := _icann_list().privatesuffix(name)) else None


def is_public_suffix(domain: str) -> bool:
    """Whether registrations happen directly below this name, as the list (or its default) has it."""
    name = _name(domain)
    return name is not None and ("." not in name or _list().publicsuffix(name) == name)


def _name(domain: str) -> str | None:
    """The name in lower case without trailing dot; None where a label is empty."""
    name = domain.rstrip(".").lower()
    return name if all(name.split(".")) else None
