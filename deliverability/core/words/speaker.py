"""What a report is put into words with, and what is said where a claim cannot be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from deliverability.core.facts.base import Catalogue
from deliverability.core.model.claims import Lack
from deliverability.core.model.rules import RuleSet, Selection
from deliverability.core.phrases import Phrases, phrases

Guide = Sequence[Mapping[str, Any]]
"""The steps of the guide, as rules/guide.yaml has them."""


class Speaker(Struct, frozen=True):
    """All that can be said, in one language.

    Attributes:
        rules: those that the reports were judged by: their texts, the receivers' names and statements, the sources.
        catalogue: the types and units of the facts.
        lang: en or ja.
        guide: the steps that are shown with where each stands; none: no guide is shown.

    """

    rules: RuleSet
    catalogue: Catalogue
    lang: str
    guide: Guide = ()

    @property
    def say(self) -> Phrases:
        """The phrases of the language."""
        return phrases(self.lang)


_NAMED = 8
"""Receivers that are named; of more the number is."""


def instead(lacks: Sequence[Lack], speaker: Speaker) -> str:
    """What is said instead of a claim, as a clause; empty where it is just not made."""
    found = (
        each.instead.get(speaker.lang, "")
        for lack in lacks
        if (claim := speaker.rules.claims.get(lack.claim)) is not None
        for each in claim.requires
        if each.key == lack.requirement
    )
    return next(filter(None, found), "")


def judged(selection: Selection, speaker: Speaker) -> str:
    """What a run with filters judged: "DMARC only", "all but ALN"; empty: everything."""
    say = speaker.say
    parts = []
    if selection.select:
        parts.append(say("judged.only", names=_listed(selection.select, say)))
    if selection.ignore:
        parts.append(say("judged.without", names=_listed(selection.ignore, say)))
    if selection.receivers:
        known = speaker.rules.receivers
        names = [known[each].called(speaker.lang) if each in known else each for each in selection.receivers]
        listed = say("judged.receivers", names=_listed(names, say))
        parts.append(listed if len(names) <= _NAMED else say.count("judged.several", len(names)))
    return say("value.separator").join(parts)


def _listed(names: Sequence[str], say: Phrases) -> str:
    return say("punctuation.list").join(names)
