"""The public suffix list, for the RFC 7489 reading and for telling domains of different owners apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


@cache
def _list() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def registrable_domain(domain: str) -> str:
    """The organizational domain by the public suffix list (RFC 7489 section 3.2); the name itself if it is a suffix."""
    name = domain.rstrip(".").lower()
    if not all(name.split(".")):
        return name
    return str(_list().privatesuffix(name) or name)


def is_public_suffix(domain: str) -> bool:
    """Whether registrations happen directly below this name, as the list has it."""
    name = domain.rstrip(".").lower()
    return bool(name) and all(name.split(".")) and _list().privatesuffix(name) is None
