"""All drafts of remedies for one audit: topic by topic.

Drafts are made of facts and findings alone. None is shown before it was rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deliverability.model.facts import FactSet
from deliverability.model.report import Finding, Remedy
from deliverability.remedy import bimi, dkim, dmarc, hosts, spf, transport
from deliverability.remedy.spf_passing import Earlier

Topic = Callable[[FactSet, Sequence[Finding]], tuple[Remedy, ...]]

TOPICS: tuple[Topic, ...] = tuple(module.drafts for module in (spf, dkim, dmarc, transport, hosts, bimi))
"""Each drafts for findings of its own; drafts of two topics are seldom for the same record set."""


def redrafted(topic: Topic, facts: FactSet, findings: Sequence[Finding], earlier: Earlier) -> tuple[Remedy, ...]:
    """Drafts of a topic that build on remedies kept before: those of SPF must know what the earlier ones rest on."""
    return spf.drafts(facts, findings, earlier) if topic is spf.drafts else topic(facts, findings)


def drafts(facts: FactSet, findings: Sequence[Finding]) -> tuple[Remedy, ...]:
    """Drafted remedies for unmet findings, those of one record set in the order in which they build on each other."""
    return tuple(remedy for topic in TOPICS for remedy in topic(facts, findings))
