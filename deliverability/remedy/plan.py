"""All drafts of remedies for one audit: topic by topic.

Drafts are made of facts and findings alone. None is shown before it was rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable

from deliverability.model.report import Remedy
from deliverability.remedy import bimi, dkim, dmarc, hosts, spf, transport
from deliverability.remedy.situation import Situation

Topic = Callable[[Situation], tuple[Remedy, ...]]

TOPICS: tuple[Topic, ...] = tuple(module.drafts for module in (spf, dkim, dmarc, transport, hosts, bimi))
"""Each drafts for findings of its own; drafts of two topics are seldom for the same record set."""


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafted remedies for unmet findings, those of one record set in the order in which they build on each other."""
    return tuple(remedy for topic in TOPICS for remedy in topic(given))
