"""Two snapshots of a subject -> what is new, mended or still there, and why. May import model and history.store.

The cause is found by judging the old facts with the new rules: what differs already there is the rules' doing. What
differs once they are judged with the new settings as well is the settings'. The rest is the facts', and the evidence
that changed says whose. A look-up that failed says nothing: in its place stands what was last known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deliverability.model.facts import Evidence, EvidenceKind, FactSet, Unknown, Value
from deliverability.model.history import Cause, Change, ChangeKind, Comparison, Kept, RecordChange, Snapshot, State
from deliverability.model.report import FactChange, Finding, Gain, Outcome, Verdict, VerdictKind

_BAD = Outcome.UNMET
_GOOD = (Outcome.MET, Outcome.NOT_APPLICABLE)
_OF_MESSAGE = (EvidenceKind.HEADER, EvidenceKind.MIME)
_OF_INPUT = "subject."
_WAIVERS = "subject.waivers"
_OF_OTHER_DOMAINS = "item.same_as"  # what the history tells of the user's other domains


def compare(
    old: Snapshot | None,
    new: Snapshot,
    findings: Sequence[Finding],
    rejudged: Sequence[Finding],
    states: Mapping[str, State],
    resettled: Sequence[Finding] = (),
) -> Comparison:
    """What changed from `old` to `new`.

    Args:
        old: what was known of the subject before this run, see `last_known`, or None.
        new: the snapshot of this run, its facts as the store keeps them (`texts.without_texts`).
        findings: of this run.
        rejudged: the old facts judged with the rules of this run; empty where there is no old snapshot.
        states: what was known of each finding before this run.
        resettled: as `rejudged`, with the settings of this run; empty where they are the same.

    """
    if old is None:
        first = tuple(_first(each, new.started) for each in findings if each.outcome is _BAD)
        return Comparison(new.domain, new.source, "", first, ())
    before = {each.fingerprint: each for each in old.findings}
    under_new_rules = {each.fingerprint: each for each in rejudged}
    under_new_settings = {each.fingerprint: each.outcome for each in resettled}
    records = _records(old.facts, new.facts, _Owner(new.domain, new.facts))
    changes: list[Change] = []
    for finding in findings:
        ident = finding.fingerprint
        judged = under_new_rules.get(ident)
        causes = _Causes(old, new, finding, judged.outcome if judged else None, under_new_settings.get(ident), records)
        change = _change(finding, before.get(ident), states.get(ident), new, causes)
        if change is not None:
            changes.append(change)
    now = {each.fingerprint for each in findings}
    blind = {each.rule for each in findings if each.outcome is Outcome.UNKNOWN and not each.waits_for_input}
    for kept in old.findings:
        if kept.fingerprint not in now and kept.outcome is _BAD:
            state = states.get(kept.fingerprint)
            if kept.rule in blind:
                changes.append(_out_of_sight(kept, state, old))
            elif state is None or state.outcome is _BAD:
                changes.append(_gone(kept, under_new_rules.get(kept.fingerprint), old, new, records))
    shown = tuple(change for ident, change in records.items() if _is_dns(ident, new.facts, old.facts))
    return Comparison(new.domain, new.source, old.started, tuple(changes), _gains(old.verdicts, new.verdicts), shown)


def _first(finding: Finding, started: str) -> Change:
    return Change(
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


def _change(finding: Finding, kept: Kept | None, state: State | None, new: Snapshot, causes: _Causes) -> Change | None:
    """What became of a finding that is there now; None where there is nothing to tell."""
    known = state.outcome if state else kept.outcome if kept and kept.outcome is not Outcome.UNKNOWN else None
    since = state.since if state else new.started
    why: tuple[Cause, ...] = ()
    if finding.outcome is Outcome.UNKNOWN:
        if finding.waits_for_input or known is None:
            return None
        kind, since_then = ChangeKind.UNCHECKED, since
    elif finding.outcome is _BAD and known is _BAD:
        kind, since_then = ChangeKind.STILL, since
    elif finding.outcome is _BAD:
        kind, since_then, why = ChangeKind.NEW, new.started, causes.of()
    elif known is _BAD:
        kind = ChangeKind.MENDED if finding.outcome is Outcome.MET else ChangeKind.GONE
        since_then, why = new.started, causes.of()
    else:
        return None
    return Change(
        kind,
        finding.rule,
        finding.item,
        finding.fingerprint,
        finding.severity,
        known,
        finding.outcome,
        since=since_then,
        checked=state.checked if state and kind is ChangeKind.UNCHECKED else "",
        causes=why,
        records=causes.records() if why else (),
        facts=causes.facts() if why else (),
        waived=finding.waiver is not None,
    )


def _out_of_sight(kept: Kept, state: State | None, old: Snapshot) -> Change:
    """An item of a list that could not be read this time."""
    return Change(
        ChangeKind.UNCHECKED,
        kept.rule,
        kept.item,
        kept.fingerprint,
        kept.severity,
        kept.outcome,
        Outcome.UNKNOWN,
        since=state.since if state else old.started,
        checked=state.checked if state else old.started,
        waived=kept.waived,
    )


def _gone(
    kept: Kept, judged: Finding | None, old: Snapshot, new: Snapshot, records: Mapping[str, RecordChange]
) -> Change:
    """A finding that no longer occurs: its item is gone, or its rule is."""
    cited: tuple[RecordChange, ...] = ()
    if judged is None:
        # The facts as they were give no such finding today: the rule is gone, or the settings leave it out.
        why: tuple[Cause, ...] = (Cause.RULES if old.rules_digest != new.rules_digest else Cause.SETTINGS,)
    else:
        causes = _Causes(old, new, judged, None, None, records)
        cited = causes.records()
        why = causes.of_records() or tuple(dict.fromkeys(each.cause for each in records.values()))
        if not why:
            why = (Cause.SETTINGS if _settings_differ(old, new) else Cause.UNCLEAR,)
    return Change(
        ChangeKind.GONE,
        kept.rule,
        kept.item,
        kept.fingerprint,
        kept.severity,
        kept.outcome,
        Outcome.NOT_APPLICABLE,
        since=new.started,
        causes=why,
        records=cited,
        waived=kept.waived,
    )


class _Causes:
    """Why one finding changed."""

    def __init__(
        self,
        old: Snapshot,
        new: Snapshot,
        finding: Finding,
        under_new_rules: Outcome | None,
        under_new_settings: Outcome | None,
        records: Mapping[str, RecordChange],
    ) -> None:
        self._old = old
        self._new = new
        self._finding = finding
        self._under_new_rules = under_new_rules
        self._under_new_settings = under_new_settings
        paths = [path for path in finding.observed if not path.startswith("item.")]
        cited = dict.fromkeys(finding.evidence)
        for path in paths:
            for facts in (old.facts, new.facts):
                if fact := facts.facts.get(path):
                    cited.update(dict.fromkeys(fact.evidence))
        self._records = {ident: records[ident] for ident in cited if ident in records}
        self._paths = paths

    def records(self) -> tuple[RecordChange, ...]:
        """The evidence that the finding rests on and that is not what it was; texts of the message left out."""
        shown = (self._new.facts, self._old.facts)
        return tuple(each for ident, each in self._records.items() if _is_dns(ident, *shown))

    def facts(self) -> tuple[FactChange, ...]:
        """The facts that the finding looked at and that are not what they were; trees and lists left out."""
        found = []
        for path in self._paths:
            before, after = self._old.facts.value(path), self._new.facts.value(path)
            if before != after and _plain(before) and _plain(after):
                found.append(FactChange(path, before, after))
        return tuple(found)

    def of_records(self) -> tuple[Cause, ...]:
        """Whose the evidence is that changed and that the finding rests on."""
        return tuple(dict.fromkeys(each.cause for each in self._records.values()))

    def of(self) -> tuple[Cause, ...]:
        """The likely causes, the decisive one first."""
        outcome = self._finding.outcome
        differ = _settings_differ(self._old, self._new)
        if self._under_new_rules is outcome:
            # The facts as they were would be judged so today: the rules moved, not the domain. Where they did not
            # either, what is judged at all was chosen anew.
            if self._old.rules_digest != self._new.rules_digest:
                return (Cause.RULES,)
            return (Cause.UNCLEAR,) if self._knew() else (Cause.SETTINGS,)
        if self._under_new_settings is outcome:
            return (Cause.SETTINGS,)
        causes = dict.fromkeys(self.of_records())
        if any(path.startswith(_OF_INPUT) for path in self._paths) and differ:
            causes.setdefault(Cause.SETTINGS)
        if causes:
            return tuple(causes)
        if differ:
            return (Cause.SETTINGS,)
        if _OF_OTHER_DOMAINS in self._finding.observed:
            return (Cause.OWN_DNS,)
        # Judging gives the same for the same facts: they differ, although nothing that was seen does.
        could_tell = self._under_new_rules not in (None, Outcome.UNKNOWN)
        return (Cause.CLOCK,) if could_tell else (Cause.UNCLEAR,)

    def _knew(self) -> bool:
        return any(each.fingerprint == self._finding.fingerprint for each in self._old.findings)


def _settings_differ(old: Snapshot, new: Snapshot) -> bool:
    """Whether the user says something else about the domain; that a waiver ran out is not the user's doing."""
    return old.inputs != new.inputs or _waivers(old.facts) != _waivers(new.facts)


def _waivers(facts: FactSet) -> list[dict[str, Value]]:
    told = facts.value(_WAIVERS)
    items = told if isinstance(told, tuple) else ()
    return [
        {name: value for name, value in item.items() if name not in ("expired", "used")}
        for item in items
        if isinstance(item, Mapping)
    ]


class _Owner:
    """Whose a piece of evidence is: the domain's own, a vendor's, or the message's."""

    def __init__(self, domain: str, facts: FactSet) -> None:
        organizational = facts.value("dmarc.organizational_domain")
        self._own = {domain} | ({organizational} if isinstance(organizational, str) else set())

    def cause(self, ident: str, *sets: FactSet) -> Cause:
        """Who changed the evidence of this id."""
        item = next((facts.evidence[ident] for facts in sets if ident in facts.evidence), None)
        if item is None:
            return Cause.UNCLEAR
        if item.kind in _OF_MESSAGE:
            return Cause.MAIL
        if item.kind is EvidenceKind.DNS:
            name = item.asked.partition(" ")[2]
            chains = [_chain(facts.evidence[ident]) for facts in sets if ident in facts.evidence]
            if chains[0] and all(chain == chains[0] for chain in chains):
                name = chains[0][-1]  # the alias stands as it did: what it leads to changed
            return Cause.OWN_DNS if self._is_own(name) else Cause.VENDOR
        return Cause.OWN_DNS if any(each in item.asked for each in self._own) else Cause.VENDOR

    def _is_own(self, name: str) -> bool:
        plain = name.rstrip(".").lower()
        return any(plain == each or plain.endswith(f".{each}") for each in self._own)


def _chain(item: Evidence) -> list[str]:
    return [line.removeprefix("CNAME ") for line in item.got if line.startswith("CNAME ")]


def _records(old: FactSet, new: FactSet, owner: _Owner) -> dict[str, RecordChange]:
    """Evidence that is not what it was, by id. What failed in either run says nothing; order does not count.

    A question that only one of the runs asked is told by what led to it, which changed as well; what the message
    carries is a change of its own.
    """
    changed: dict[str, RecordChange] = {}
    failed = _failed(old) | _failed(new)
    for ident in dict.fromkeys((*old.evidence, *new.evidence)):
        before, after = old.evidence.get(ident), new.evidence.get(ident)
        both = before is not None and after is not None
        of_message = (after or before or _NOTHING).kind in _OF_MESSAGE
        if ident in failed or not (both or of_message):
            continue
        got = (before.got if before else (), after.got if after else ())
        if sorted(got[0]) != sorted(got[1]):
            asked = (after or before or _NOTHING).asked
            changed[ident] = RecordChange(asked, *got, cause=owner.cause(ident, new, old))
    return changed


_NOTHING = Evidence("", EvidenceKind.DNS, "")


_FAILURES = ("timeout", "servfail", "refused", "offline", "limit", "bug", "not-configured", "not-found")


def _failed(facts: FactSet) -> set[str]:
    """Ids of look-ups that failed: such an answer is one line that begins with the reason."""
    return {
        item.id
        for item in facts.evidence.values()
        if item.kind not in _OF_MESSAGE and len(item.got) == 1 and item.got[0].partition(":")[0] in _FAILURES
    }


def _is_dns(ident: str, *sets: FactSet) -> bool:
    return any(ident in facts.evidence and facts.evidence[ident].kind is EvidenceKind.DNS for facts in sets)


def _plain(value: Value) -> bool:
    return not isinstance(value, (Mapping, tuple, Unknown))


def _gains(old: Sequence[Verdict], new: Sequence[Verdict]) -> tuple[Gain, ...]:
    """The verdicts that are not what they were, and not merely because something could not be checked."""
    before = {each.receiver: each for each in old}
    return tuple(
        Gain(each.receiver, was.verdict, each.verdict)
        for each in new
        if (was := before.get(each.receiver)) and was.verdict is not each.verdict and _seen(was, each)
    )


_UNDECIDED = (VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY)


def _seen(was: Verdict, now: Verdict) -> bool:
    """Whether `now` differs from `was` by what was seen: all was checked, or what was found alone makes it worse."""
    if not _unchecked(now) - _unchecked(was):
        return True
    return now.verdict not in _UNDECIDED and now.verdict.rank > was.verdict.rank


def _unchecked(verdict: Verdict) -> set[tuple[str, str]]:
    return {(each.rule, each.item) for each in verdict.open}


# --- What was last known ---


def last_known(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The newest snapshot of a subject; what it could not look up is taken from the ones before it.

    Args:
        snapshots: newest first; read only as far as needed.

    """
    known: Snapshot | None = None
    for snapshot in snapshots:
        known = snapshot if known is None else _filled(known, snapshot)
        if not _failed(known.facts) and not any(_fails(fact.value) for fact in known.facts):
            break
    return known


def _filled(known: Snapshot, older: Snapshot) -> Snapshot:
    failed, failed_before = _failed(known.facts), _failed(older.facts)
    facts = dict(known.facts.facts)
    for path, fact in facts.items():
        before = older.facts.facts.get(path)
        if before is not None and _fails(fact.value) and not _fails(before.value):
            facts[path] = before
    # What was not even asked, because the question before it failed, may stand in the older one.
    evidence = {**older.facts.evidence, **known.facts.evidence}
    evidence |= {each: older.facts.evidence[each] for each in failed - failed_before if each in older.facts.evidence}
    verdicts = {each.receiver: each for each in older.verdicts}
    findings = _filled_findings(known.findings, older.findings)
    return replace(
        known,
        facts=FactSet(facts, evidence),
        findings=findings,
        assessment=replace(
            known.assessment,
            verdicts=tuple(
                each if (was := verdicts.get(each.receiver)) is None or _seen(was, each) else was
                for each in known.verdicts
            ),
        ),
        rules_digest=known.rules_digest if findings == known.findings else older.rules_digest,
    )


def _filled_findings(known: Sequence[Kept], older: Sequence[Kept]) -> tuple[Kept, ...]:
    before = {each.fingerprint: each for each in older if each.outcome is not Outcome.UNKNOWN}
    blind = {each.rule for each in known if each.outcome is Outcome.UNKNOWN}
    there = {each.fingerprint for each in known}
    lost = [each for ident, each in before.items() if each.rule in blind and ident not in there]
    return (
        *(before.get(each.fingerprint, each) if each.outcome is Outcome.UNKNOWN else each for each in known),
        *lost,
    )


def _fails(value: Value) -> bool:
    """Whether a look-up behind a value failed, at any depth."""
    if isinstance(value, Unknown):
        return not value.reason.waits_for_input
    if isinstance(value, Mapping):
        return any(map(_fails, value.values()))
    return isinstance(value, tuple) and any(map(_fails, value))
