"""What blocklists say and how to get off them, in words: the catalogue has them, findings only name the list."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.model.blocklists import BlockList
from deliverability.model.facts import FactSet, records_of, text_of, texts_of
from deliverability.model.report import Finding, Outcome
from deliverability.model.rules import RuleSet
from deliverability.words.phrases import Phrases

LISTS = "blocklists.lists"
_KINDS = ("item.listed", "item.policy", "item.informational")
_SHOWN = 5


def removal_steps(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> tuple[str, ...]:
    """What the list says of each listing that the finding is about, and how to get off it; else nothing."""
    if rules.rules[finding.rule].each != LISTS or finding.outcome is not Outcome.UNMET:
        return ()
    subjects = {each for kind in _KINDS for each in texts_of(finding.observed.get(kind))}
    ident = text_of(finding.observed.get("item.id"))
    if not subjects:
        return ()
    blocklist = rules.knowledge.blocklists.get(ident)
    steps = blocklist.remove.get(say.lang, ()) if blocklist else ()
    return (*_reasons(ident, subjects, blocklist, facts, say), *steps)


def _reasons(ident: str, hit: set[str], blocklist: BlockList | None, facts: FactSet, say: Phrases) -> Iterator[str]:
    listings = [
        each
        for each in records_of(facts.value("blocklists.listings"))
        if each.get("list") == ident and each.get("subject") in hit
    ]
    for each in listings[:_SHOWN]:
        why = [meaning(blocklist, text_of(each.get("meaning")), say), text_of(each.get("text"))]
        values = {"subject": text_of(each.get("subject")), "why": say("punctuation.clauses").join(filter(None, why))}
        since = text_of(each.get("first_seen"))
        if values["why"]:
            yield say("blocklists.reason", **values)
        if since:
            yield say("blocklists.since", subject=values["subject"], date=since)


def meaning(blocklist: BlockList | None, key: str, say: Phrases) -> str:
    """What a code of a list means; empty where the catalogue does not say."""
    codes = (*blocklist.codes.values(), *blocklist.bits.values()) if blocklist else ()
    return next((each.text[say.lang] for each in codes if each.key == key), "")
