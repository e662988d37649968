"""All drafts of remedies for one audit: topic by topic.

Drafts are made of facts and findings alone. None is shown before it was rehearsed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from deliverability.core.model.report import Outcome, Remedy
from deliverability.engine.remedies.situation import Situation

Topic = Callable[[Situation], tuple[Remedy, ...]]

BEGINNINGS = {
    "spf": ("spf-",),
    "dkim": ("dkim-",),
    "dmarc": ("dmarc-",),
    "transport": ("mta-sts-", "tls-rpt-"),
    "hosts": ("mx-", "ptr-"),
    "bimi": ("bimi-",),
}
"""How the names of the remedies begin that a module drafts, which is loaded for an unmet finding with such a one."""


def _topic(module: str, beginnings: tuple[str, ...]) -> Topic:
    def drafts(given: Situation) -> tuple[Remedy, ...]:
        unmet = (each for each in given.findings if each.outcome is Outcome.UNMET)
        if not any(each.remedy.startswith(beginnings) for each in unmet):
            return ()
        # A domain that does not exist is a misspelt one; at another's the user has an address and no more.
        if given.facts.value("domain.exists") is False or given.facts.value("ownership.domain") == "foreign":
            return ()
        found: tuple[Remedy, ...] = importlib.import_module(f"deliverability.remedy.{module}").drafts(given)
        return found

    return drafts


TOPICS: tuple[Topic, ...] = tuple(_topic(*each) for each in BEGINNINGS.items())
"""Each drafts for findings of its own; drafts of two topics are seldom for the same record set."""


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafted remedies for unmet findings, those of one record set in the order in which they build on each other."""
    return tuple(remedy for topic in TOPICS for remedy in topic(given))
