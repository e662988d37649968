"""The observations of a report as they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deliverability.model.facts import Evidence
from deliverability.view.parts import EvidenceView
from deliverability.words.dates import moment_words
from deliverability.words.details import line_words
from deliverability.words.sentences import Phrases, duration, shortened, visible

_LINES_SHOWN = 40
_LINE_LENGTH = 2_000


class Exhibits:
    """The observations of a report as they are shown, each made when it is first asked for."""

    def __init__(self, evidence: Mapping[str, Evidence], prefix: str, say: Phrases) -> None:
        self._evidence, self._say = evidence, say
        self._anchors = {ident: f"{prefix}e{number}" for number, ident in enumerate(sorted(evidence), 1)}
        self._made: dict[str, EvidenceView] = {}

    def of(self, idents: Iterable[str]) -> tuple[EvidenceView, ...]:
        """Those of these ids that there are."""
        return tuple(self._one(ident) for ident in idents if ident in self._evidence)

    def _one(self, ident: str) -> EvidenceView:
        if ident not in self._made:
            self._made[ident] = _shown(self._evidence[ident], self._anchors[ident], self._say)
        return self._made[ident]


def _shown(evidence: Evidence, anchor: str, say: Phrases) -> EvidenceView:
    """An observation as it is shown."""
    lines = [line for got in evidence.got for line in line_words(got, say).splitlines() or [""]]
    return EvidenceView(
        anchor=anchor,
        kind=say(f"evidence.{evidence.kind.value}"),
        asked=visible(shortened(evidence.asked)),
        lines=tuple(visible(shortened(line.replace("\t", " "), _LINE_LENGTH)) for line in lines[:_LINES_SHOWN]),
        more=max(0, len(lines) - _LINES_SHOWN),
        at=say("label.seen", at=visible(moment_words(evidence.at, say))) if evidence.at else "",
        ttl=say("label.ttl", span=duration(evidence.ttl, say)) if evidence.ttl is not None else "",
    )
