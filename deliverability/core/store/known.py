"""What was last known of a subject: the newest snapshot, and of older ones what it could not look up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, Record, Unknown, Value, plain
from deliverability.core.model.history import Snapshot, StoredFinding
from deliverability.core.model.report import Outcome, Verdict, VerdictKind
from deliverability.core.store.causes import failed


def last_known(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The newest snapshot of a subject; what it could not look up is taken from the ones before it.

    Args:
        snapshots: newest first; read only as far as needed.

    """
    known: Snapshot | None = None
    for snapshot in snapshots:
        known = snapshot if known is None else _filled(known, snapshot)
        if not failed(known.facts) and not any(fails(fact.value) for fact in known.facts):
            break
    return known


def _filled(known: Snapshot, older: Snapshot) -> Snapshot:
    facts, _ = filled(known.facts, older.facts)
    verdicts = {each.receiver: each for each in older.verdicts}
    findings = _filled_findings(known.findings, older.findings)
    return replace(
        known,
        facts=facts,
        findings=findings,
        assessment=replace(
            known.assessment,
            verdicts=tuple(
                each if (was := verdicts.get(each.receiver)) is None or seen(was, each, known.findings) else was
                for each in known.verdicts
            ),
        ),
        rules_digest=known.rules_digest if findings == known.findings else older.rules_digest,
    )


def filled(known: FactSet, older: FactSet) -> tuple[FactSet, tuple[str, ...]]:
    """Facts with those that could not be looked up taken from an older look-up, and the paths of these."""
    lost, lost_before = failed(known), failed(older)
    facts = dict(known.facts)
    stale = []
    for path, fact in facts.items():
        before = older.facts.get(path)
        if before is not None and fails(fact.value) and not fails(before.value):
            facts[path] = before
            stale.append(path)
    # What was not even asked, because the question before it failed, may stand in the older one.
    evidence = {**older.evidence, **known.evidence}
    evidence |= {each: older.evidence[each] for each in lost - lost_before if each in older.evidence}
    return FactSet(facts, evidence), tuple(stale)


def _filled_findings(known: Sequence[StoredFinding], older: Sequence[StoredFinding]) -> tuple[StoredFinding, ...]:
    before = {each.fingerprint: each for each in older if each.outcome is not Outcome.UNKNOWN}
    blind = {each.rule for each in known if each.outcome is Outcome.UNKNOWN}
    there = {each.fingerprint for each in known}
    lost = [each for ident, each in before.items() if each.rule in blind and ident not in there]
    return (
        *(before.get(each.fingerprint, each) if each.outcome is Outcome.UNKNOWN else each for each in known),
        *lost,
    )


def fails(value: Value) -> bool:
    """Whether a look-up behind a value failed, at any depth."""
    if isinstance(value, Unknown):
        return not value.reason.waits_for_input
    if isinstance(value, Record):
        return any(map(fails, plain(value).values()))
    return isinstance(value, tuple) and any(map(fails, value))


_UNDECIDED = (VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY)


def seen(was: Verdict, now: Verdict, findings: Iterable[StoredFinding]) -> bool:
    """Whether `now` differs from `was` by what was seen: all was checked, or what was found alone makes it worse.

    Args:
        was: the verdict before.
        now: the verdict after.
        findings: that `now` rests on.

    """
    failing = {(each.rule, each.item) for each in findings if each.failed}
    if failing and now.verdict in _UNDECIDED and was.verdict is VerdictKind.DNS_READY:
        return False  # what the claim lacks may be just what could not be looked up
    if not (_open(now) - _open(was)) & failing:
        return True
    return now.verdict not in _UNDECIDED and now.verdict.rank > was.verdict.rank


def _open(verdict: Verdict) -> set[tuple[str, str]]:
    return {(each.rule, each.item) for each in verdict.open}
