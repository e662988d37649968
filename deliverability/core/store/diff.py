"""Two snapshots of a subject -> what is new, mended, rated anew or still there, and why.

A look-up that failed says nothing: in its place stands what was last known, of the newest snapshot and of older ones.
Neither does a message that could not be read, where the earlier run had one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, Record, Unknown, Value, plain
from deliverability.core.facts.message import Message
from deliverability.core.model.history import (
    Cause,
    ChangeKind,
    Comparison,
    FindingChange,
    RecordChange,
    Snapshot,
    State,
    StoredFinding,
    VerdictChange,
)
from deliverability.core.model.report import Finding, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import Rule
from deliverability.core.store.causes import (
    Background,
    Causes,
    Judged,
    Owner,
    Trials,
    changed_records,
    failed,
    is_dns,
    of_verdict,
    other_settings,
)


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


_BAD = Outcome.UNMET


def compare(
    old: Snapshot | None,
    new: Snapshot,
    findings: Sequence[Finding],
    states: Mapping[str, State],
    ruled: Judged | None = None,
    settled: Judged | None = None,
    rules: Mapping[str, Rule] | None = None,
    trials: Callable[[Mapping[str, RecordChange], FactSet], Trials] | None = None,
) -> Comparison:
    """What changed from `old` to `new`.

    Args:
        old: what was known of the subject before this run, see `last_known`, or None.
        new: the snapshot of this run, its facts as the store keeps them (`texts.without_texts`).
        findings: of this run.
        states: what was known of each finding before this run.
        ruled: the old facts judged with the rules of this run and the settings of then; None without an old snapshot.
        settled: as `ruled`, with the settings of this run; None where they are the same.
        rules: of this run, by id.
        trials: of the records that changed and the facts before; proves which of them made a difference. Without it
            the causes are the likely ones.

    """
    if old is None:
        first = tuple(_first(each, new.started) for each in findings if each.outcome is _BAD)
        return Comparison(new.domain, new.source, "", first, ())
    ruled = ruled or Judged()
    records = _cited(changed_records(old.facts, new.facts, Owner(new.domain, new.facts)), old.facts, new.facts)
    proofs = trials(records, old.facts) if trials else None
    background = Background(old, new, ruled, settled or ruled, records, rules or {}, proofs)
    shown = tuple(change for ident, change in records.items() if is_dns(ident, new.facts, old.facts))
    return Comparison(
        new.domain,
        new.source,
        old.started,
        (*_changes(background, findings, states), *_lost(background, findings, states)),
        tuple(_verdicts(background, findings)),
        shown,
        settings=other_settings(old, new),
    )


def _cited(records: Mapping[str, RecordChange], *sets: FactSet) -> Mapping[str, RecordChange]:
    """Without records of others that no fact rests on: the reverse name of whoever sends in the domain's name, say."""
    cited = {ident for facts in sets for fact in facts for ident in fact.evidence}
    return {ident: each for ident, each in records.items() if ident in cited or each.cause is not Cause.VENDOR}


def message_lost(old: FactSet, new: FactSet) -> bool:
    """Whether this run has no message and the earlier one had: of the same source, so it could not be read."""
    return old.of(Message).present is True and new.of(Message).present is not True


def _first(finding: Finding, started: str) -> FindingChange:
    return FindingChange(
        ChangeKind.NEW,
        finding.rule,
        finding.item,
        finding.fingerprint,
        finding.severity,
        None,
        finding.outcome,
        since=started,
        waived=finding.waiver is not None,
    )


# --- What is judged now ---


def _changes(
    background: Background, findings: Sequence[Finding], states: Mapping[str, State]
) -> Iterator[FindingChange]:
    before = {each.fingerprint: each for each in background.old.findings}
    for finding in findings:
        ident = finding.fingerprint
        change = _change(background, finding, before.get(ident), states.get(ident))
        if change is not None:
            yield change


def _change(
    background: Background, finding: Finding, stored: StoredFinding | None, state: State | None
) -> FindingChange | None:
    """What became of a finding that is there now; None where there is nothing to tell."""
    known = state.outcome if state else stored.outcome if stored and stored.outcome is not Outcome.UNKNOWN else None
    started = background.new.started
    since = state.since if state else started
    causes = Causes(background, finding)
    why: tuple[Cause, ...] = ()
    was = None
    if finding.outcome is Outcome.UNKNOWN:
        if known is None or not _out_of_sight(background, finding):
            return None
        kind = ChangeKind.UNCHECKED
    elif finding.outcome is _BAD and known is _BAD:
        kind = ChangeKind.STILL
        if stored is not None and stored.outcome is _BAD and stored.severity is not finding.severity:
            kind, was = ChangeKind.RATED, stored.severity
            why = causes.of(lambda each: (each.outcome, each.severity))
    elif finding.outcome is _BAD:
        kind, since, why = ChangeKind.NEW, started, causes.of(_outcome)
    elif known is _BAD:
        kind = ChangeKind.MENDED if finding.outcome is Outcome.MET else ChangeKind.GONE
        since, why = started, causes.of(_outcome)
    else:
        return None
    return FindingChange(
        kind,
        finding.rule,
        finding.item,
        finding.fingerprint,
        finding.severity,
        known,
        finding.outcome,
        since=since,
        checked=state.checked if state and kind is ChangeKind.UNCHECKED else "",
        causes=why,
        records=causes.records() if why else (),
        facts=causes.facts() if why else (),
        waived=finding.waiver is not None,
        was=was,
    )


def _outcome(finding: Finding) -> Outcome:
    return finding.outcome


def _out_of_sight(background: Background, finding: Finding) -> bool:
    """Whether it could not be checked though it should have been, and not for want of something the user may give."""
    if finding.outcome is not Outcome.UNKNOWN:
        return False
    return not finding.waits_for_input or message_lost(background.old.facts, background.new.facts)


# --- What is judged no longer ---


def _lost(background: Background, findings: Sequence[Finding], states: Mapping[str, State]) -> Iterator[FindingChange]:
    now = {each.fingerprint for each in findings}
    blind = {each.rule for each in findings if _out_of_sight(background, each)}
    unanswered = failed(background.new.facts)
    for stored in background.old.findings:
        if stored.fingerprint in now or stored.outcome is not _BAD:
            continue
        state = states.get(stored.fingerprint)
        judged = background.ruled.findings.get(stored.fingerprint)
        if stored.rule in blind or (judged is not None and unanswered.intersection(judged.evidence)):
            yield _unchecked(stored, state, background.old)
        elif state is None or state.outcome is _BAD:
            yield _gone(background, stored, judged)


def _unchecked(stored: StoredFinding, state: State | None, old: Snapshot) -> FindingChange:
    """An item of a list that could not be read this time."""
    return FindingChange(
        ChangeKind.UNCHECKED,
        stored.rule,
        stored.item,
        stored.fingerprint,
        stored.severity,
        stored.outcome,
        Outcome.UNKNOWN,
        since=state.since if state else old.started,
        checked=state.checked if state else old.started,
        waived=stored.waived,
    )


def _gone(background: Background, stored: StoredFinding, judged: Finding | None) -> FindingChange:
    """A finding that no longer occurs: its item is gone, or its rule is."""
    causes = Causes(background, judged) if judged is not None else None
    cited: tuple[RecordChange, ...] = ()
    if causes is None:
        # The facts as they were give no such finding today: the rule is gone, or the settings leave it out.
        why: tuple[Cause, ...] = (Cause.RULES if background.other_rules else Cause.SETTINGS,)
    elif stored.fingerprint not in background.settled.findings:
        why = (Cause.SETTINGS,)
    else:
        left = Cause.SETTINGS if background.other_settings else Cause.UNCLEAR
        why = causes.of_reports()
        if not why:
            causes.prove(_outcome)
            likely = background.of_any_record() if background.trials is None else ()
            why = causes.of_records() or likely or (left,)
        # What a record led to is not looked up any more once that is gone.
        cited = causes.records()
        if not cited and background.trials is None and Cause.TRAFFIC not in why:
            cited = tuple(each for each in background.records.values() if each.removed)
    return FindingChange(
        ChangeKind.GONE,
        stored.rule,
        stored.item,
        stored.fingerprint,
        stored.severity,
        stored.outcome,
        Outcome.NOT_APPLICABLE,
        since=background.new.started,
        causes=why,
        records=cited,
        waived=stored.waived,
    )


# --- Verdicts ---


def _verdicts(background: Background, findings: Sequence[Finding]) -> Iterator[VerdictChange]:
    """The verdicts that are not what they were, and not merely because something could not be checked."""
    if message_lost(background.old.facts, background.new.facts):
        return
    before = {each.receiver: each for each in background.old.verdicts}
    for now in background.new.verdicts:
        was = before.get(now.receiver)
        if was is not None and was.verdict is not now.verdict and seen(was, now, background.new.findings):
            causes, records = of_verdict(background, was, now, findings)
            yield VerdictChange(now.receiver, was.verdict, now.verdict, causes, records)
