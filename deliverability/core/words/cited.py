"""Sources as a reader of one language sees them: the edition to open, and what was read of it."""

from __future__ import annotations

from deliverability.core.model.cited import Edition, ServiceSource
from deliverability.core.model.profiles import ProfileSource
from deliverability.core.model.rules import Source
from deliverability.core.phrases import Phrases
from deliverability.core.words.dates import full_day_words
from deliverability.core.words.sentences import visible

Titled = Source | ProfileSource


def cited(source: Titled, say: Phrases) -> Edition:
    """The title and address to show: those of the Japanese edition where there is one and the reader reads Japanese."""
    edition = source.ja if say.lang == "ja" else None
    if edition is None:
        return Edition(visible(source.title or source.url), source.url)
    return Edition(visible(edition.title), edition.url or source.url)


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
