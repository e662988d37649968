"""What a report is put into words with; whoever renders reports is handed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from deliverability.model.facts import Catalogue
from deliverability.model.rules import RuleSet
from deliverability.words.phrases import Phrases, phrases

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
