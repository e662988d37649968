"""What a report is put into words with: its language, and sources as a reader of that language sees them.

Where a claim cannot be made, here is what is said instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from deliverability.core.facts.base import Catalogue
from deliverability.core.model.claims import Lack
from deliverability.core.model.profiles import ProfileSource
from deliverability.core.model.rules import Edition, RuleSet, Selection, ServiceSource, Source
from deliverability.core.phrases import Phrases, joined, phrases
from deliverability.core.words.sentences import full_day_words, visible

Titled = Source | ProfileSource

_APPENDIX = re.compile(r"[A-Z](?:\.[0-9]+)*\Z")
"""A letter and numbers behind it, as RFCs count what follows their sections."""


def cited(source: Titled, say: Phrases) -> Edition:
    """The title and address to show: those of the Japanese edition where there is one and the reader reads Japanese."""
    edition = source.ja if say.lang == "ja" else None
    if edition is None:
        return Edition(visible(source.title or source.url), source.url)
    return Edition(visible(edition.title), edition.url or source.url)


def section_words(section: str, say: Phrases) -> str:
    """Which sections of a source are meant (``4.7, 5.1`` by number, or a part with a name); empty for all of it."""
    if _APPENDIX.match(section):
        return say("label.appendix", section=visible(section))
    if not section[:1].isdigit():
        return visible(section)
    numbers = section.split(", ")
    # Unlike two names, two numbers are joined as the last of many are: 「4.6、12節」, not 「4.6と12節」.
    before = say("punctuation.list").join(numbers[:-1])
    named = visible(say("punctuation.and-last").join(filter(None, (before, numbers[-1]))))
    return say("label.section.one" if len(numbers) == 1 else "label.section.other", section=named)


def titled(title: str, section: str, say: Phrases) -> str:
    """The title of a source, with the section that is meant."""
    return say("punctuation.list").join(filter(None, (title, section_words(section, say))))


def read_words(source: Titled | ServiceSource, say: Phrases) -> str:
    """When and in which form a source was read, as honestly as it is recorded, and in which language it is."""
    form, _, which = source.read_as.partition(" ")
    day = full_day_words(source.checked, say)
    if form == "archive" and which != "undated":
        words = say("read.archive", which=visible(full_day_words(which, say)), date=day)
    elif form == "draft":
        words = say("read.draft", which=visible(which), date=day)
    else:
        key = {"original": "original", "archive": "archive-undated", "third": "third-party", "not": "not-reread"}[form]
        words = say(f"read.{key}", date=day)
    return words if isinstance(source, ServiceSource) else in_language(words, source, say)


def read_day_words(source: Titled, say: Phrases) -> str:
    """The day on which a source was read, and in which language it is."""
    return in_language(say("page.read", date=full_day_words(source.checked, say)), source, say)


def in_language(words: str, source: Titled, say: Phrases) -> str:
    """Words on the reading of a source, headed by the language that was read where it is not the reader's."""
    if source.language == say.lang:
        return words
    read = say(f"read.language.{source.language}")
    translated = say.lang == "ja" and source.ja is not None and source.ja.url
    return say("read.translated" if translated else "read.in-language", language=read, read=words)


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
        ((lack.rules and each.instead_known) or each.instead).get(speaker.lang, "")
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
        parts.append(say("judged.only", names=joined(selection.select, say)))
    if selection.ignore:
        parts.append(say("judged.without", names=joined(selection.ignore, say)))
    if selection.receivers:
        known = speaker.rules.receivers
        names = [known[each].called(speaker.lang) if each in known else each for each in selection.receivers]
        listed = say("judged.receivers", names=joined(names, say))
        parts.append(listed if len(names) <= _NAMED else say.count("judged.several", len(names)))
    return say("value.separator").join(parts)
