"""All drafts of remedies for one audit, topic by topic, and whether an edit lets through what is stopped today.

That is a weaker policy, an end of SPF that says less, a key taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from deliverability.core.facts.domain import Domain, Ownership
from deliverability.core.model.report import Outcome, RecordEdit, Remedy
from deliverability.core.protocols.dkim.key import looks_like_key, parse_key
from deliverability.core.protocols.dmarc.record import POLICIES, DmarcRecord, is_dmarc
from deliverability.core.protocols.dmarc.record import parse as parse_dmarc
from deliverability.core.protocols.spf.record import parse as parse_spf
from deliverability.core.protocols.spf.record import select
from deliverability.engine.remedies.records import Situation
from deliverability.features import load

_ENDS = "-~?+"
"""The qualifiers of `all`, the strictest first."""


def lowers(edits: Iterable[RecordEdit]) -> bool:
    """Whether one of the edits takes protection away that is in force."""
    return any(_lowers(each) for each in edits if each.type == "TXT" and each.old)


def _lowers(edit: RecordEdit) -> bool:
    labels = edit.name.split(".")
    if labels[0] == "_dmarc":
        return _dmarc_lowers(edit.old, edit.new)
    if "_domainkey" in labels:
        return _usable_keys(edit.old) == 1 and _usable_keys(edit.new) == 0
    return _spf_lowers(edit.old, edit.new)


def _dmarc_lowers(old: Sequence[str], new: Sequence[str]) -> bool:
    was, now = _dmarc_in_force(old), _dmarc_in_force(new)
    if was is None:
        return False
    return now is None or any(after < before for before, after in zip(_strength(was), _strength(now), strict=True))


def _dmarc_in_force(values: Sequence[str]) -> DmarcRecord | None:
    records = [parse_dmarc(each) for each in values if is_dmarc(each)]
    return records[0] if len(records) == 1 and records[0].usable else None


def _strength(record: DmarcRecord) -> tuple[int, ...]:
    """What each part of a record asks for; the larger, the more is stopped or told."""
    policy = record.published_policy
    subdomains = record.subdomain_policy or policy
    absent = record.nonexistent_policy or subdomains
    stages = [POLICIES.index(each) for each in (policy, subdomains, absent)]
    counts = any(stages)
    share = record.pct if record.pct is not None and counts else 100
    whole = not (record.testing and counts)
    return (*stages, share, whole, record.adkim == "s", record.aspf == "s", bool(record.rua))


def _spf_lowers(old: Sequence[str], new: Sequence[str]) -> bool:
    was, now = _spf_end(old), _spf_end(new)
    return was is not None and now is not None and _ENDS.index(now) > _ENDS.index(was)


def _spf_end(values: Sequence[str]) -> str | None:
    """The qualifier of `all` as receivers read it, `?` where there is none; None where nothing tells."""
    records = select(values)
    record = parse_spf(records[0]) if len(records) == 1 else None
    if record is None or record.errors or record.redirect is not None:
        return None
    return record.all.qualifier if record.all is not None else "?"


def _usable_keys(values: Sequence[str]) -> int:
    return sum(looks_like_key(each) and parse_key(each).usable for each in values)


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
