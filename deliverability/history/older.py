"""Snapshots of earlier versions in the shape of today, so that the first run after an update tells no change by itself.

Before schema 2.0 SPF was judged once a subject, on the facts ``spf.*`` of the audited domain. Today each domain that a
mail is checked by is an item of ``spf.identities``: what was known is that of the item of the audited domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from deliverability.model.facts import Fact, FactSet, Reason, Unknown, Value, records_of
from deliverability.model.history import Kept, Snapshot
from deliverability.model.report import Consequence, Verdict

IDENTITIES: Final = "spf.identities"
NOT_THEN = Unknown(Reason.NOT_CONFIGURED, "not collected by the version of that run")
"""What an older version did not look at."""


def renewed(snapshot: Snapshot, today: FactSet, names: Mapping[str, str]) -> Snapshot:
    """The snapshot with the identity of the audited domain; as it is where it has identities already.

    Args:
        snapshot: of any version.
        today: facts of a run of today, for the fields that an identity has.
        names: fingerprint of a finding without an item -> that of the same rule about the audited domain.

    """
    if IDENTITIES in snapshot.facts.facts:
        return snapshot
    identity = _identity(snapshot, today)
    if identity is None:
        return snapshot
    rules = {each.rule for each in snapshot.findings if each.fingerprint in names}
    assessment = snapshot.assessment
    verdicts = tuple(_verdict(each, rules, snapshot.domain) for each in assessment.verdicts)
    return replace(
        snapshot,
        facts=FactSet({**snapshot.facts.facts, IDENTITIES: identity}, snapshot.facts.evidence),
        findings=tuple(_finding(each, names, snapshot.domain) for each in snapshot.findings),
        assessment=replace(assessment, verdicts=verdicts),
    )


def _finding(kept: Kept, names: Mapping[str, str], domain: str) -> Kept:
    name = names.get(kept.fingerprint)
    return kept if name is None else replace(kept, item=domain, fingerprint=name)


def _verdict(verdict: Verdict, rules: set[str], domain: str) -> Verdict:
    def of_domain(each: Consequence) -> Consequence:
        return replace(each, item=domain) if each.rule in rules and not each.item else each

    return replace(verdict, open=tuple(map(of_domain, verdict.open)))


def _identity(snapshot: Snapshot, today: FactSet) -> Fact | None:
    """``spf.identities`` with the audited domain alone; None where today's run has no such item to go by."""
    facts = snapshot.facts
    model = next((each for each in records_of(today.value(IDENTITIES)) if each.get("domain") == snapshot.domain), None)
    if model is None:
        return None
    sender = facts.value("envelope.mail_from_domain")
    checked = facts.value("spf.result_domain") == snapshot.domain
    own: dict[str, Value] = {
        "domain": snapshot.domain,
        "role": "mail-from" if sender == snapshot.domain else "author",
        "used": sender == snapshot.domain if isinstance(sender, str) else None,
        "own": True,
        "result": facts.value("spf.result") if checked else NOT_THEN,
        "reason": facts.value("spf.result_reason") if checked else NOT_THEN,
    }
    cited: dict[str, None] = {}
    for name in model:
        fact = facts.facts.get(f"spf.{_FORMER.get(name, name)}")
        if name not in own and name != "evidence":
            own[name] = fact.value if fact is not None else NOT_THEN
            cited.update(dict.fromkeys(fact.evidence if fact is not None else ()))
    return Fact(IDENTITIES, (own | {"evidence": tuple(cited)},), tuple(cited))


# Where all could be looked at, the lower bound was the number itself.
_FORMER = {"lookups_at_least": "lookups", "void_at_least": "void_lookups"}
