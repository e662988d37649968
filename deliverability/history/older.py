"""Snapshots of earlier versions in the shape of today, so that the first run after an update tells no change by itself.

Before schema 2.0 SPF was judged once a subject, on the facts ``spf.*`` of the audited domain. Today each domain that a
mail is checked by is an item of ``spf.identities``: what was known is that of the item of the audited domain.
Before schema 3.0 what is wrong stood in sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from deliverability.model.codec import as_catalogued
from deliverability.model.codes import VERBATIM, Code, Detail
from deliverability.model.facts import Catalogue, Fact, FactSet, Reason, Unknown, Value, records_of
from deliverability.model.history import Snapshot, StoredFinding
from deliverability.model.report import Consequence, Verdict

IDENTITIES: Final = "spf.identities"
NOT_COLLECTED = Code("not-collected-then")
NOT_THEN = Unknown(Reason.NOT_CONFIGURED, NOT_COLLECTED())
"""What an older version did not look at."""


def renewed(snapshot: Snapshot, today: FactSet, names: Mapping[str, str], catalogue: Catalogue) -> Snapshot:
    """The snapshot with details for sentences, and with the identity of the audited domain where it has none.

    Args:
        snapshot: of any version.
        today: facts of a run of today, for the fields that an identity has.
        names: fingerprint of a finding without an item -> that of the same rule about the audited domain.
        catalogue: of today.

    """
    snapshot = replace(snapshot, facts=as_catalogued(snapshot.facts, catalogue))
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


def reworded(before: Value, after: Value) -> bool:
    """Whether one is a sentence of an older version and the other a code: nobody can tell that they differ."""
    details = isinstance(before, Detail) and isinstance(after, Detail)
    return details and VERBATIM.matches(before) is not VERBATIM.matches(after)


def _finding(stored: StoredFinding, names: Mapping[str, str], domain: str) -> StoredFinding:
    name = names.get(stored.fingerprint)
    return stored if name is None else replace(stored, item=domain, fingerprint=name)


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
