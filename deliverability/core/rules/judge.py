"""Facts and rules to findings, under the eyes of each selected receiver; what is waived, and what bounces show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec.structs import replace

from deliverability.core.cache import Same
from deliverability.core.codes import Code
from deliverability.core.facts.base import (
    Catalogue,
    Fact,
    FactSet,
    Purpose,
    Reason,
    Unknown,
    Value,
    Waiver,
)
from deliverability.core.facts.deliveries import BounceCause, Deliveries
from deliverability.core.facts.domain import AcceptedFinding, Declared, Domain, Sending
from deliverability.core.facts.message import Message
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import Receiver, Rule, RuleSet, Severity, VolumeClass
from deliverability.core.model.rules import Selection as Selection
from deliverability.core.model.topic import Maybe, if_known, path_of
from deliverability.core.rules.claims import receivers_left_out
from deliverability.core.rules.ready import Eyes, ReadyRule, SubjectFacts, Tokens, fingerprint_of

FACT = "domain.exists"
NO_SUCH_DOMAIN = Code("no-such-domain", ("name",))


def is_absent(facts: FactSet) -> bool:
    """Whether DNS says that the audited domain does not exist, and there is no message that was sent all the same."""
    return facts.of(Domain).exists is False and facts.of(Message).present is not True


def of_absent(found: Sequence[Finding], rules: Mapping[str, Rule], facts: FactSet) -> list[Finding]:
    """The findings, where those of rules that are not about its existence are open: the right name has to be given."""
    if not is_absent(facts):
        return list(found)
    why = Unknown(Reason.NOT_CONFIGURED, NO_SUCH_DOMAIN(name=(if_known(facts.of(Declared).domain) or "")))
    return [
        replace(each, outcome=Outcome.UNKNOWN, unknown=why, judgements=())
        if each.outcome is Outcome.UNMET and FACT not in rules[each.rule].reads
        else each
        for each in found
    ]


WAIVER_FACT = path_of(Declared, "waivers")


def waived(findings: Sequence[Finding], facts: FactSet) -> tuple[Finding, ...]:
    """The findings, those that are unmet and that a waiver in force covers with that waiver."""
    in_force = [each for each in if_known(facts.of(Declared).waivers) or () if not each.expired]
    if not in_force:
        return tuple(findings)
    return tuple(_with_waiver(each, in_force) for each in findings)


def with_use(facts: FactSet, findings: Sequence[Finding]) -> FactSet:
    """The facts, with it known of each waiver whether it covers an unmet finding; where that is said, it stays so."""
    items = if_known(facts.of(Declared).waivers) or ()
    return _with_items(
        facts,
        WAIVER_FACT,
        [each if each.used is not None else replace(each, used=_used(each, findings)) for each in items],
    )


def _with_items(facts: FactSet, path: str, items: Sequence[Value]) -> FactSet:
    """The facts with these items of a list."""
    if not items:
        return facts
    return FactSet({**facts.facts, path: Fact(path, tuple(items), facts.facts[path].evidence)}, facts.evidence)


def _with_waiver(finding: Finding, items: Sequence[AcceptedFinding]) -> Finding:
    if finding.outcome is not Outcome.UNMET:
        return finding
    item = next((each for each in items if _covers(each, finding)), None)
    if item is None:
        return finding
    waiver = Waiver(
        rule=item.rule, reason=item.reason, item=item.item or "", note=item.note or "", until=item.until or ""
    )
    return replace(finding, waiver=waiver)


def _covers(item: AcceptedFinding, finding: Finding) -> bool:
    return item.rule == finding.rule and item.item in (None, "", finding.item)


def _used(item: AcceptedFinding, findings: Sequence[Finding]) -> Maybe[bool | None]:
    """Whether it covers an unmet finding; None where its rule was not judged in this run."""
    if not any(finding.rule == item.rule for finding in findings):
        return None
    covered = [finding for finding in findings if _covers(item, finding)]
    if any(finding.outcome is Outcome.UNMET for finding in covered):
        return True
    # What could not be checked may still be unmet.
    return next((finding.unknown for finding in covered if finding.unknown is not None), False)


BOUNCES = path_of(Deliveries, "bounces")


def with_unmet(facts: FactSet, findings: Sequence[Finding]) -> FactSet:
    """The facts, with it known of each cause of bounces which of the rules behind it are unmet.

    Where that is said, it stays so.
    """
    items = if_known(facts.of(Deliveries).bounces) or ()
    return _with_items(
        facts,
        BOUNCES,
        [each if each.unmet is not None else replace(each, unmet=_unmet(each, findings)) for each in items],
    )


def _unmet(item: BounceCause, findings: Sequence[Finding]) -> Maybe[tuple[str, ...]]:
    """The unmet ones in their order; why it is not known, where none is and one could not be checked."""
    rules = item.rules
    ours = [each for each in findings if each.rule in rules]
    unmet = {each.rule for each in ours if each.outcome is Outcome.UNMET}
    if not unmet:
        unknown = next((each.unknown for each in ours if each.unknown is not None), None)
        if unknown is not None:
            return unknown
    return tuple(rule for rule in rules if rule in unmet)


_OF_OTHERS = (WAIVER_FACT, BOUNCES)
_BOTH = (VolumeClass.SMALL, VolumeClass.BULK)


def judge(facts: FactSet, rules: RuleSet, catalogue: Catalogue, selection: Selection) -> tuple[Finding, ...]:
    """Every selected rule against the facts, in rule order; rules with `each` give one finding an item."""
    return judge_of(rules, catalogue, selection).findings(facts)


def open_elsewhere(facts: FactSet, rules: RuleSet, catalogue: Catalogue, selection: Selection) -> frozenset[str]:
    """The rules that only receivers left out of the selection ask for, and that are unmet or could not be checked.

    They make no findings of the run, but nothing that they are about is in order. What waits for an input is not among
    them: it keeps nothing from being in order in a run that judges these receivers, either.
    """
    others = receivers_left_out(rules, selection)
    if not others:
        return frozenset()
    chosen = [member for each in selection.receivers for member in rules.members(rules.receivers[each])]
    asked = {rule for each in chosen for rule in each.rules}
    silent = [each.id for each in rules.rules.values() if each.severity is Severity.NONE and each.id not in asked]
    theirs = tuple(filter(selection.takes, silent))
    if not theirs:
        return frozenset()
    found = judge_of(rules, catalogue, Selection(theirs, receivers=others)).bare_findings(facts)
    return frozenset(
        each.rule
        for each in found
        if each.outcome is Outcome.UNMET or (each.outcome is Outcome.UNKNOWN and not each.waits_for_input)
    )


def judge_of(rules: RuleSet, catalogue: Catalogue, selection: Selection) -> Judge:
    """The rules made ready; for the same rule set, catalogue and selection it is made once."""
    return _judge_of(Same(rules), Same(catalogue), selection)


class Judge:
    """The selected rules of a rule set made ready for any number of subjects."""

    def __init__(self, rules: RuleSet, catalogue: Catalogue, selection: Selection) -> None:
        self._rules = rules
        self._receivers = [rules.receivers[ident] for ident in selection.receivers or rules.providers]
        eyes = [Eyes(each.id, rules.members(each)) for each in self._receivers]
        ready = (
            ReadyRule(rule, eyes, catalogue[rule.each].key if rule.each and rule.each in catalogue else ())
            for rule in rules.rules.values()
            if selection.takes(rule.id)
        )
        judged = [each for each in ready if each.rule.severity is not Severity.NONE or each.looking]
        self._ready = [each for each in judged if each.rule.each not in _OF_OTHERS]
        self._last = [each for each in judged if each.rule.each in _OF_OTHERS]
        self._tokens = Tokens()
        self._volumes: dict[tuple[tuple[VolumeClass, ...], ...], int] = {}

    def findings(self, facts: FactSet) -> tuple[Finding, ...]:
        """Every rule against the facts, in rule order."""
        subject = self._subject(facts, self._volume_classes(facts))
        found = waived(self._of_absent(_findings(self._ready, subject), facts), facts)
        return (*found, *self._of_others(subject, found))

    def bare_findings(self, facts: FactSet) -> tuple[Finding, ...]:
        """The same without what was observed, evidence and fingerprints, for who looks at thousands of subjects."""
        subject = self._subject(facts, self._volume_classes(facts))
        bare = [each.bare_finding(case, subject) for each in self._ready for case in each.cases(facts)]
        found = waived(self._of_absent(bare, facts), facts)
        return (*found, *self._of_others(subject, found))

    def again(self, facts: FactSet, before: FactSet, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """The same, where `findings` are those of the facts `before`: only what reads a fact that changed is judged.

        A fact has changed also where it only rests on other evidence.
        """
        old = before.facts
        changed = {path for path, fact in facts.facts.items() if (was := old.get(path)) is not fact and was != fact}
        if not changed:
            return tuple(findings)
        volumes = self._volume_classes(facts)
        if self._volume_classes(before) != volumes:
            return self.findings(facts)
        stale = [each for each in self._ready if not changed.isdisjoint(each.reads)]
        subject = self._subject(facts, volumes, {path for each in (*stale, *self._last) for path in each.reads})
        anew: dict[str, list[Finding]] = {each.rule.id: [] for each in (*stale, *self._last)}
        for finding in waived(self._of_absent(_findings(stale, subject), facts), facts):
            anew[finding.rule].append(finding)
        # Every rule has a finding, and they stand in the same order: those of a rule take the place of its first.
        found: list[Finding] = []
        for finding in findings:
            if finding.rule not in anew:
                found.append(finding)
            else:
                found += anew[finding.rule]
                anew[finding.rule] = []
        return (*found, *self._of_others(subject, found))

    def _of_absent(self, found: Sequence[Finding], facts: FactSet) -> list[Finding]:
        return of_absent(found, self._rules.rules, facts)

    def _of_others(self, subject: SubjectFacts, found: Sequence[Finding]) -> list[Finding]:
        """The rules on waivers and on bounces: what these are about is known once everything else is judged."""
        facts = with_unmet(with_use(subject.facts, found), found)
        if facts is not subject.facts:
            subject = self._subject(facts, tuple(subject.volumes.values()))
        return _findings(self._last, subject)

    def _volume_classes(self, facts: FactSet) -> tuple[tuple[VolumeClass, ...], ...]:
        return tuple(volume_classes(each, self._rules, facts) for each in self._receivers)

    def _subject(
        self, facts: FactSet, volumes: tuple[tuple[VolumeClass, ...], ...], read: Iterable[str] | None = None
    ) -> SubjectFacts:
        """`read`: the facts that are looked at, where they are few."""
        return SubjectFacts(
            facts,
            {each.id: classes for each, classes in zip(self._receivers, volumes, strict=True)},
            self._volumes.setdefault(volumes, len(self._volumes)),
            self._tokens,
            read,
        )


def _findings(ready: Iterable[ReadyRule], subject: SubjectFacts) -> list[Finding]:
    return [each.finding(case, subject) for each in ready for case in each.cases(subject.facts)]


@lru_cache(maxsize=8)
def _judge_of(rules: Same[RuleSet], catalogue: Same[Catalogue], selection: Selection) -> Judge:
    return Judge(rules.it, catalogue.it, selection)


def volume_classes(receiver: Receiver, rules: RuleSet, facts: FactSet) -> tuple[VolumeClass, ...]:
    """Whether the sender is a bulk sender by this receiver's definition; both classes where nothing tells.

    A number that the user gave decides where the receiver publishes one, and so does a declared purpose bulk. Where it
    publishes none, `bulk_from` of the rules makes a bulk sender whatever they are for; fewer do so for the
    purpose bulk only. A combination of receivers counts everybody as a bulk sender: who satisfies it satisfies each.
    """
    purpose = facts.of(Sending).purpose
    volume = facts.of(Declared).daily_volume
    if receiver.combines:
        return (VolumeClass.BULK,)
    if purpose == Purpose.PARKED.value:
        return (VolumeClass.SMALL,)
    if isinstance(volume, int) and receiver.bulk_from is not None:
        return (VolumeClass.BULK if volume >= receiver.bulk_from else VolumeClass.SMALL,)
    if purpose == Purpose.BULK.value and (receiver.bulk_from is None or facts.of(Sending).purpose_basis == "declared"):
        return (VolumeClass.BULK,)
    if receiver.bulk_from is None:
        assumed = rules.grading.bulk_from
        if isinstance(volume, int) and assumed is not None and volume >= assumed:
            return (VolumeClass.BULK,)
        if isinstance(purpose, str):
            return (VolumeClass.SMALL,)
    return _BOTH


def fingerprint(rule_id: str, item: str, facts: FactSet) -> str:
    """What a finding is known by from run to run; `item` is empty where the rule is judged once a subject."""
    return fingerprint_of(rule_id, item, str(facts.of(Declared).domain))
