"""Where something was read: a page, the day, and the form in which it was read."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.model.schema import Field

HTTPS = Code("sender-https")
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
READ_AS = r"(original|archive ([0-9]{4}(-[0-9]{2}){0,2}|undated)|draft .+|third party|not re-read)"
"""The forms in which a source was read (see rules.Source), as a regular expression for the whole text."""


def _without_tls(url: str) -> Detail | None:
    return None if url.startswith("https://") else HTTPS()


class ServiceSource(Struct, frozen=True):
    """Where something was read, on which day (ISO 8601), and in which form (READ_AS)."""

    url: Annotated[str, Field(check=_without_tls)]
    checked: Annotated[str, Field(pattern=DAY)]
    read_as: Annotated[str, Field(pattern=READ_AS)]


class PlainSource(ServiceSource, frozen=True):
    """The same, of a page that may have no TLS."""

    url: Annotated[str, Field(pattern="https?://.*")]
    checked: Annotated[str, Field(pattern=DAY)]
    read_as: Annotated[str, Field(pattern=READ_AS)]


class Edition(Struct, frozen=True):
    """A page as it is shown to readers of one language; an empty `url` is that of the page itself."""

    title: Annotated[str, Field(filled=True)]
    url: Annotated[str, Field(pattern="(https?://.*)?")] = ""


LANGUAGE = "|".join(("bg", "cs", "de", "en", "fr", "it", "ja", "ko", "pt", "ru", "zh"))
"""The languages of pages that have a name in the words of reports (``read.language``)."""

Sources = Annotated[tuple[ServiceSource, ...], Field(filled=True, needed=True)]
