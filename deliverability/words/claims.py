"""Positive statements in words: what is said where one cannot be made, and what was judged of a run with filters."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.model.claims import Lack
from deliverability.model.rules import Selection
from deliverability.words.phrases import Phrases
from deliverability.words.speaker import Speaker


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
        parts.append(say("judged.receivers", names=_listed(names, say)))
    return say("value.separator").join(parts)


def _listed(names: Sequence[str], say: Phrases) -> str:
    return say("punctuation.list").join(names)
