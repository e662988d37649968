"""All drafts of remedies for one audit: topic by topic.

Drafts are made of facts and findings alone. None is shown before it was rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable

from deliverability.core.facts.domain import Domain, Ownership
from deliverability.core.model.report import Outcome, Remedy
from deliverability.engine.remedies.records import Situation
from deliverability.features import load

Topic = Callable[[Situation], tuple[Remedy, ...]]

BEGINNINGS: dict[tuple[str, ...], str] = {
    ("spf-",): "spf:drafts",
    ("dkim-",): "dkim:drafts",
    ("dmarc-",): "dmarc:drafts",
    ("mta-sts-", "tls-rpt-"): "transport:transport_drafts",
    ("mx-", "ptr-"): "transport:hosts_drafts",
    ("bimi-",): "transport:bimi_drafts",
}
"""How the names of the remedies begin that a topic drafts; it is loaded where an unmet finding has such a one."""


def _topic(beginnings: tuple[str, ...], entry: str) -> Topic:
    def drafts(given: Situation) -> tuple[Remedy, ...]:
        unmet = (each for each in given.findings if each.outcome is Outcome.UNMET)
        if not any(each.remedy.startswith(beginnings) for each in unmet):
            return ()
        # A domain that does not exist is a misspelt one; at another's the user has an address and no more.
        if given.facts.of(Domain).exists is False or given.facts.of(Ownership).domain == "foreign":
            return ()
        draft: Topic = load(f"engine.remedies.{entry}")
        return draft(given)

    return drafts


TOPICS: tuple[Topic, ...] = tuple(_topic(*each) for each in BEGINNINGS.items())
"""Each drafts for findings of its own; drafts of two topics are seldom for the same record set."""


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafted remedies for unmet findings, those of one record set in the order in which they build on each other."""
    return tuple(remedy for topic in TOPICS for remedy in topic(given))
