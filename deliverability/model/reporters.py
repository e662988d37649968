"""Organizations that send reports: by which names, and from which mail domains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Struct

from deliverability.model.cited import Sources
from deliverability.model.names import is_within
from deliverability.model.schema import Field, Text, lower


def _folded(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.casefold() for name in names)


class Reporter(Struct, frozen=True):
    """An entry of rules/reporters.yaml.

    Attributes:
        id: lower case.
        names: as it calls itself in reports, in lower case.
        domains: its reports come from there, or from below, as A-labels.
        receiver: the receiver of the rules that it is; empty: none of them.
        sources: where that was read.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    names: Annotated[tuple[Text, ...], Field(filled=True, after=_folded)]
    domains: Annotated[tuple[str, ...], Field(filled=True, after=lower)]
    receiver: str = ""
    sources: Sources = ()

    def sends_from(self, domain: str) -> bool:
        """Whether its reports may come from that domain (A-label, lower case)."""
        return any(is_within(domain, each) for each in self.domains)


def reporter_named(name: str, known: Mapping[str, Reporter]) -> Reporter | None:
    """The reporter of that id, or that calls itself so (as a report has it); None where it is none of them."""
    wanted = name.casefold()
    return known.get(wanted) or next((each for each in known.values() if wanted in each.names), None)
