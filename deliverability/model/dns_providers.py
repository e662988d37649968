"""DNS providers: by which name servers each is known, and how a record is entered there."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from msgspec import Struct

from deliverability.model.cited import Sources
from deliverability.model.schema import Either, Field, Text
from deliverability.model.senders import Pattern, hosts


class HostField(StrEnum):
    """What the field for the name takes. RELATIVE: the part before the zone's own name; FULL: all of the name."""

    RELATIVE = "relative"
    FULL = "full"


class Quotes(StrEnum):
    """How a TXT value is entered. WITHOUT: without quotation marks; WITH: within them."""

    WITHOUT = "without"
    WITH = "with"


class LongText(StrEnum):
    """How a TXT value of more than 255 octets is entered. WHOLE: as one; STRINGS: as quoted strings on one line."""

    WHOLE = "whole"
    STRINGS = "strings"


class FieldNames(Struct, frozen=True):
    """By language, how the fields for a record's name and value are called."""

    name: Either
    value: Either


class DnsProvider(Struct, frozen=True):
    """One DNS provider. What could not be found out is empty or None.

    Attributes:
        id: stable name.
        name: by language.
        name_servers: the servers of its users' zones.
        console: by language, where records are added.
        host: see HostField.
        apex: what stands in the field for the name of the zone itself; empty: the field is left empty.
        fields: see FieldNames.
        quotes: see Quotes.
        long: see LongText.
        longest: characters that a TXT value may have.
        ttl: by language, what to choose as TTL.
        note: by language, what else to look out for.
        sources: where that was read.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    name: Either
    name_servers: Annotated[tuple[Pattern, ...], Field(written=tuple[Text, ...], filled=True, after=hosts)]
    console: Either
    host: HostField = HostField.RELATIVE
    apex: str = "@"
    fields: FieldNames | None = None
    quotes: Quotes | None = None
    long: LongText | None = None
    longest: Annotated[int | None, Field(least=255)] = None
    ttl: Either | None = None
    note: Either | None = None
    sources: Sources = ()

    def host_of(self, name: str, zone: str) -> str:
        """What to enter for a name of the zone; empty: nothing."""
        if self.host is HostField.FULL:
            return name
        return self.apex if name == zone else name.removesuffix(f".{zone}")


def provider_of(name_servers: Iterable[str], providers: Iterable[DnsProvider]) -> DnsProvider | None:
    """The provider whose all name servers of a zone are; None where one of them is of somebody else."""
    servers = tuple(name_servers)
    if not servers:
        return None
    return next(
        (
            each
            for each in providers
            if all(any(pattern.fits(server) for pattern in each.name_servers) for server in servers)
        ),
        None,
    )
