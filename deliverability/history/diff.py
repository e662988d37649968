"""Two snapshots of a subject -> what is new, mended or still there, and why. May import model and history.store.

The cause is found by judging the old facts with the new rules: what differs already there is the rules' doing; the
rest is the facts', and the evidence that changed says whose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deliverability.model.facts import Evidence, EvidenceKind, FactSet, Unknown, Value
from deliverability.model.history import Cause, Change, ChangeKind, Comparison, Kept, RecordChange, Snapshot, State
from deliverability.model.report import FactChange, Finding, Gain, Outcome, Verdict

_BAD = Outcome.UNMET
_GOOD = (Outcome.MET, Outcome.NOT_APPLICABLE)
_OF_MESSAGE = (EvidenceKind.HEADER, EvidenceKind.MIME)
_OF_INPUT = "subject."


def compare(
    old: Snapshot | None,
    new: Snapshot,
    findings: Sequence[Finding],
    rejudged: Sequence[Finding],
    states: Mapping[str, State],
) -> Comparison:
    """What changed from `old` to `new`.

    Args:
        old: the last snapshot of the subject before this run, or None.
        new: the snapshot of this run, its facts as the store keeps them (`store.without_texts`).
        findings: of this run.
        rejudged: the old facts judged with the rules of this run; empty where there is no old snapshot.
        states: what was known of each finding before this run.

    """
    if old is None:
        first = tuple(_first(each, new.started) for each in findings if each.outcome is _BAD)
        return Comparison(new.domain, new.source, "", first, ())
    before = {each.fingerprint: each for each in old.findings}
    under_new_rules = {each.fingerprint: each.outcome for each in rejudged}
    records = _records(old.facts, new.facts, _Owner(new.domain, new.facts))
    changes: list[Change] = []
    for finding in findings:
        change = _change(
            finding,
            before.get(finding.fingerprint),
            states.get(finding.fingerprint),
            new,
            _Causes(old, new, finding, under_new_rules.get(finding.fingerprint), records),
        )
        if change is not None:
            changes.append(change)
    now = {each.fingerprint for each in findings}
    changes.extend(
        _gone(each, states.get(each.fingerprint), old, new, records)
        for each in old.findings
        if each.fingerprint not in now and each.outcome is _BAD
    )
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
    )


def _gone(
    kept: Kept,
    state: State | None,
    old: Snapshot,
    new: Snapshot,
    records: Mapping[str, RecordChange],
) -> Change:
    """A finding that no longer occurs: its item is gone, or its rule is."""
    if old.rules_digest != new.rules_digest and not records:
        why: tuple[Cause, ...] = (Cause.RULES,)
    else:
        causes = dict.fromkeys(each.cause for each in records.values())
        why = tuple(causes) or (Cause.UNCLEAR,)
    return Change(
        ChangeKind.GONE,
        kept.rule,
        kept.item,
        kept.fingerprint,
        kept.severity,
        state.outcome if state else kept.outcome,
        Outcome.NOT_APPLICABLE,
        since=new.started,
        causes=why,
        records=tuple(records.values()),
    )


class _Causes:
    """Why one finding changed."""

    def __init__(
        self,
        old: Snapshot,
        new: Snapshot,
        finding: Finding,
        under_new_rules: Outcome | None,
        records: Mapping[str, RecordChange],
    ) -> None:
        self._old = old
        self._new = new
        self._finding = finding
        self._under_new_rules = under_new_rules
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

    def of(self) -> tuple[Cause, ...]:
        """The likely causes, the decisive one first."""
        finding = self._finding
        if self._under_new_rules is finding.outcome:
            # The facts as they were would be judged so today: the rules moved, not the domain.
            return (Cause.RULES,) if self._old.rules_digest != self._new.rules_digest else (Cause.UNCLEAR,)
        causes = dict.fromkeys(each.cause for each in self._records.values())
        if any(path.startswith(_OF_INPUT) for path in self._paths) and self._old.inputs != self._new.inputs:
            causes.setdefault(Cause.SETTINGS)
        if causes:
            return tuple(causes)
        was = [self._old.facts.value(path) for path in self._paths]
        if any(isinstance(value, Unknown) for value in was) or not was:
            return (Cause.SETTINGS,) if self._old.inputs != self._new.inputs else (Cause.UNCLEAR,)
        if self._old.inputs != self._new.inputs:
            return (Cause.SETTINGS,)
        return (
            (Cause.CLOCK,)
            if any(before != self._new.facts.value(path) for path, before in self._pairs())
            else (Cause.UNCLEAR,)
        )

    def _pairs(self) -> list[tuple[str, Value]]:
        return [(path, self._old.facts.value(path)) for path in self._paths]


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


_FAILURES = ("timeout", "servfail", "refused", "offline", "limit", "bug", "not-configured")


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
    """The verdicts that are not what they were."""
    before = {each.receiver: each for each in old}
    return tuple(
        Gain(each.receiver, was.verdict, was.grade, each.verdict, each.grade)
        for each in new
        if (was := before.get(each.receiver)) and (was.verdict, was.grade) != (each.verdict, each.grade)
    )
