"""Rehearses drafted remedies: each is audited as if it were published, and only those that help are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import Catalogue, FactSet, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.model.answer import FindingId, PlanStep
from deliverability.core.model.report import (
    GRADES,
    Assessment,
    Care,
    FactChange,
    Finding,
    Gain,
    Outcome,
    RecordEdit,
    Remedy,
    Report,
    VerdictKind,
)
from deliverability.core.model.rules import RuleSet, Scope, Severity
from deliverability.core.net.base import Failed, Found, Resolver
from deliverability.core.net.overlay import OverlayResolver, Proposal, parse_proposal
from deliverability.core.net.ports import Ports
from deliverability.core.rules.gate import gate_of
from deliverability.core.rules.grade import assess, holding
from deliverability.core.rules.judge import Selection, judge_of
from deliverability.core.rules.plan import ReceiverStates, receiver_states, taken_by_step, touches, without
from deliverability.engine.base import Auditor, Execution, gather
from deliverability.engine.remedies.plan import TOPICS, lowers
from deliverability.engine.remedies.records import Situation
from deliverability.engine.remedies.spf_passing import Earlier, lost

if TYPE_CHECKING:
    from deliverability.core.mail.reader import Message

MAX_REHEARSALS = 40
"""Drafts that are rehearsed for one subject, so that no zone can keep the audit busy."""

SHOWN_FACTS = (
    "spf.present",
    "spf.valid",
    "spf.record_count",
    "spf.lookups",
    "spf.void_lookups",
    "spf.record_octets",
    "spf.result",
    "dkim.published",
    "dkim.result",
    "dmarc.stage",
    "dmarc.result",
    "alignment.spf_pass",
    "alignment.dkim_pass",
    "mta_sts.present",
    "tls_rpt.present",
)
"""What a remedy is said to change, where it does."""

# From best to worst: a verdict that cannot be told is worse than accepted, better than a known risk.
_CARE = tuple(Care)

_Place = tuple[str, str]
_Case = tuple[str, str]


class Basis(Struct, frozen=True):
    """What an audit was made from, so that it can be made again with other records."""

    auditors: Sequence[Auditor]
    subject: Subject
    ports: Ports
    message: Message | None
    executions: Mapping[str, Execution]


async def remedies(rehearsal: Rehearsal, report: Report) -> tuple[tuple[Remedy, ...], bool]:
    """The remedies that stood their rehearsal, in the order in which to show them, and whether all had one.

    A draft is dropped where it does not mend its finding, makes a verdict or grade of any receiver worse, leaves
    anything of severity warning or above newly unmet, or turns a result into "could not be checked". A finding is
    mended where it is met afterwards; one that vanished with what it was about is not. Three kinds of newly
    unmet findings are no harm, and are named in `opens`: those of severity info, the next step of a ladder (after
    p=none comes quarantine), what a more severe finding about the same facts had kept from applying, which is
    mended (11 lookups are an error, 10 a warning; mail that passes nowhere, mail that passes by DKIM only), and what a
    first record about mail to the domain asks for beside it (MTA-STS a host with the policy). A draft is
    dropped too where somebody who may send by SPF today no longer could, whom no remedy says that it takes away.

    Drafts for the same record set are rehearsed one on top of the other: once one is accepted, the next ones for its
    record sets are drafted from the facts that it leads to, and their `old` is its `new`. What lowers protection comes
    after all others, so that nothing builds on it, and mends its own finding only. Once the time budget of the subject
    is spent no further draft is rehearsed.
    """
    basis = rehearsal.basis
    if basis.ports.journal is not None:
        basis.ports.journal.close_to_servers()
    base = _as_published(rehearsal, report)
    accepted, complete = await _accepted(rehearsal, base)
    return _ordered(accepted, {(each.rule, each.item): each.severity for each in base.findings}), complete


async def _accepted(rehearsal: Rehearsal, base: _State) -> tuple[list[Remedy], bool]:
    meant = {(each.rule, each.item) for each in base.findings if each.outcome is Outcome.UNMET and each.waiver is None}
    services = rehearsal.rules.knowledge.services
    gate = gate_of(base.facts, base.findings, rehearsal.rules, rehearsal.selection)
    first = Situation(base.facts, base.all_unmet, services, gate=gate)
    waiting = [(topic, draft) for topic in TOPICS for draft in topic(first)] if meant else []
    published = {edit_place(edit): edit.old for _, draft in reversed(waiting) for edit in draft.edits}
    states: dict[_Place, _State] = {}
    tried: set[object] = set()
    accepted: list[Remedy] = []
    while waiting and len(tried) < MAX_REHEARSALS:
        if rehearsal.basis.ports.budget.spent:
            return accepted, False
        topic, draft = waiting.pop(next((place for place, each in enumerate(waiting) if not lowers(each[1].edits)), 0))
        places = tuple(edit_place(edit) for edit in draft.edits)
        wanted = (draft.rule, draft.item, places, tuple(edit.new for edit in draft.edits))
        proposals = proposals_for(draft.edits)
        if (draft.rule, draft.item) not in meant or not proposals or wanted in tried:
            continue
        tried.add(wanted)
        below = [states[place] for place in dict.fromkeys(places) if place in states]
        state = below[0] if below else base
        if any(each is not state for each in below):
            # It joins what was rehearsed apart: first see both together.
            joined = {place: values for each in below for place, values in each.edits.items()}
            state = await rehearsal.publish(base, joined)
        if not state.unmet(draft.rule, draft.item) or await _beside_alias(rehearsal.basis.ports.dns, draft.edits):
            continue
        after = await rehearsal.publish(state, {edit_place(edit): proposals[edit_place(edit)] for edit in draft.edits})
        if not _helps(state, after, draft) or (
            _changes_spf(base, after) and lost(base.facts, after.facts, (*accepted, draft))
        ):
            continue
        edits = tuple(replace(edit, old=_old(edit, state, published)) for edit in draft.edits)
        accepted.append(_rehearsed(replace(draft, edits=edits, lowers=lowers(edits)), state, after))
        changed = {place for place, each in states.items() if each in below} | set(places)
        states.update(dict.fromkeys(changed, after))
        stale = [each for each in waiting if _touches(each[1], changed)]
        following = Situation(after.facts, after.all_unmet, services, Earlier(base.facts, tuple(accepted)), gate)
        again = [
            (each, new)
            for each in dict.fromkeys((topic, *(other for other, _ in stale)))
            for new in each(following)
            if _touches(new, changed)
        ]
        for edit in (edit for _, new in reversed(again) for edit in new.edits):
            published.setdefault(edit_place(edit), edit.old)
        waiting = again + [each for each in waiting if each not in stale]
    return accepted, True


def _changes_spf(before: _State, after: _State) -> bool:
    return any(before.facts.facts[path] is not after.facts.facts[path] for path in ("spf.records", "spf.tree"))


class Walk(Struct, frozen=True):
    """A plan as it is carried out, step by step.

    Attributes:
        steps: the plan, each step with what it changes at its place, and the condition that its rehearsal showed.
        after: where each receiver stands once each step, and those above it, are done.
        remedies: those of the report, each with what it settles at its place in the plan; without those that do harm
            there.
        refused: the findings of steps without a record that do harm, or are needless, once the records are published.

    """

    steps: tuple[PlanStep, ...]
    after: tuple[ReceiverStates, ...]
    remedies: tuple[Remedy, ...]
    refused: frozenset[FindingId]


async def walked(plan: Sequence[PlanStep], rehearsal: Rehearsal, report: Report) -> Walk:
    """The plan carried out in its order.

    Records are audited as if they were published, on top of those of the steps above. What a step without any settles
    is taken out of what was found; the terms that it takes out of SPF are taken out of the record. What lowers
    protection gains nothing but by its own finding. Once the time budget of the subject is spent, so does each record,
    as its own rehearsal showed.
    """
    basis, rules = rehearsal.basis, rehearsal.rules
    base = state = counted = _as_published(rehearsal, report)
    receivers = tuple(each.receiver for each in report.verdicts)
    now = receiver_states(report.verdicts)
    done: set[FindingId] = set()
    steps: list[PlanStep] = []
    found: list[ReceiverStates] = []
    remaining: dict[int, Remedy] = dict(enumerate(report.remedies))
    for step in plan:
        place = next((each for each, remedy in remaining.items() if step.edits and remedy.edits == step.edits), None)
        before = state
        if place is None or basis.ports.budget.spent:
            done.update(step.findings)
        else:
            remedy, proposals = remaining[place], proposals_for(step.edits)
            state = await rehearsal.publish(before, proposals)
            remaining[place] = replace(
                remedy, settles=tuple(each for each in remedy.settles if _settles(state, remedy, each))
            )
            if not _helps(before, state, remedy):
                del remaining[place]
                state = before
            elif remedy.lowers:
                done.update(step.findings)
            else:
                counted = await rehearsal.publish(counted, proposals)
        changes = step.changes if before is state else _changes(before, state)
        steps.append(replace(step, changes=changes, condition=_condition(step, before, state) or step.condition))
        if touches(step, report.verdicts):
            now = without(counted.findings, done, receivers, counted.facts, rules)
        found.append(now)
    # A term that a step without a record takes out of SPF may be the one that a remedy counts on.
    terms = {step.number: taken_by_step(step, report, rules) for step in plan if not step.edits}
    remedies_ = tuple(remaining.values())
    refused = [
        step
        for step in plan
        if (terms.get(step.number) and lost(base.facts, state.facts, remedies_, terms[step.number]))
        or (not step.edits and _moot(step, base, state))
    ]
    return Walk(
        tuple(steps),
        tuple(found),
        remedies_,
        frozenset(each for step in refused for each in step.findings),
    )


def _moot(step: PlanStep, before: _State, after: _State) -> bool:
    """Whether the step is about mail of a domain that the plan closes, for it sends none."""
    closed = after.answer.parked and not before.answer.parked
    return closed and not step.inbound and not any(after.unmet(each.rule, each.item) for each in step.findings)


def _condition(step: PlanStep, before: _State, after: _State) -> str:
    """What has to be true before records are published by which somebody no longer passes SPF; empty: nobody does."""
    if before is after or not _changes_spf(before, after) or not lost(before.facts, after.facts, ()):
        return ""
    return "sends-nothing" if step.remedy.startswith("spf-park") else "senders-lost"


async def _beside_alias(resolver: Resolver, edits: Iterable[RecordEdit]) -> bool:
    """Whether a new record would stand beside a CNAME, where there can be no other (RFC 1034 section 3.6.2)."""
    new = [edit for edit in edits if not edit.old]
    return any(await asyncio.gather(*(_is_alias(resolver, edit) for edit in new)))


async def _is_alias(resolver: Resolver, edit: RecordEdit) -> bool:
    """Whether a CNAME stands there: the audit's own answer tells, since it came by way of it."""
    answer = await resolver.query(edit.name, edit.type)
    if edit.type == "CNAME" or isinstance(answer, Failed):
        answer = await resolver.query(edit.name, "CNAME")
        return isinstance(answer, Found)
    return bool(answer.chain)


def edit_place(edit: RecordEdit) -> _Place:
    """The record set that an edit is about."""
    return edit.name, edit.type


def proposals_for(edits: Iterable[RecordEdit]) -> dict[_Place, tuple[Proposal, ...]]:
    """The edits as ``--with`` takes them, by record set; empty where one of them cannot be said that way."""
    found: dict[_Place, tuple[Proposal, ...]] = {}
    for edit in edits:
        try:
            proposals = tuple(parse_proposal(f"{edit.name} {edit.type} {value}") for value in edit.new)
        except ValueError:
            return {}
        if not proposals or [each.value for each in proposals] != list(edit.new) or proposals[0].name != edit.name:
            return {}
        found[edit_place(edit)] = proposals
    return found


def _touches(draft: Remedy, places: set[_Place]) -> bool:
    return any(edit_place(edit) in places for edit in draft.edits)


def _old(edit: RecordEdit, state: _State, published: Mapping[_Place, tuple[str, ...]]) -> tuple[str, ...]:
    """What the edit replaces: what the remedies below it put there, else what is published."""
    place = edit_place(edit)
    if place in state.edits:
        return tuple(each.value for each in state.edits[place])
    return published.get(place, edit.old)


# --- one audit more -------------------------------------------------------------------------------------------------


class Answer(Struct, frozen=True):
    """The verdict of each receiver, also for few and for many messages; the grade; the ways a parked domain is open."""

    verdicts: Mapping[str, VerdictKind]
    by_volume: Mapping[str, tuple[VerdictKind, ...]]
    grade: str
    ways: int
    parked: bool


class _State(Struct, frozen=True, dict=True):
    """An audit with `edits` laid over what is published.

    What one audit has as the other had it, is the same object in both: such findings and facts are not compared.

    Attributes:
        answer: what it comes to.
        held: the findings that it hangs on, in any order.

    """

    edits: Mapping[_Place, tuple[Proposal, ...]]
    facts: FactSet
    executions: Mapping[str, Execution]
    findings: tuple[Finding, ...]
    answer: Answer
    held: Sequence[Finding]

    @property
    def all_unmet(self) -> list[Finding]:
        return [each for each in self.findings if each.outcome is Outcome.UNMET]

    @cached_property
    def cases(self) -> Mapping[_Case, Finding]:
        return {(each.rule, each.item): each for each in self.findings}

    def unmet(self, rule: str, item: str) -> bool:
        found = self.cases.get((rule, item))
        return found is not None and found.outcome is Outcome.UNMET


def _as_published(rehearsal: Rehearsal, report: Report) -> _State:
    """The audit itself."""
    held = holding(report.findings, report.facts, rehearsal.rules)
    executions = rehearsal.basis.executions
    return _State({}, report.facts, executions, report.findings, answer_of(report.assessment), held)


class Rehearsal(Struct, frozen=True):
    """Audits again, as far as the edits reach: other auditors and rules would give what they gave.

    What was audited once is not audited again, in whichever order the same records come together.
    """

    basis: Basis
    rules: RuleSet
    catalogue: Catalogue
    selection: Selection
    known: dict[frozenset[tuple[_Place, tuple[Proposal, ...]]], _State] = field(default_factory=dict)
    executions: dict[str, list[Execution]] = field(default_factory=dict)

    async def publish(self, state: _State, edits: Mapping[_Place, tuple[Proposal, ...]]) -> _State:
        """The audit of `state` with further record sets replaced."""
        basis = self.basis
        laid = {**state.edits, **edits}
        key = frozenset(laid.items())
        if key in self.known:
            return self.known[key]
        laid_over = (each for proposals in laid.values() for each in proposals)
        # Nobody else's name leads to a record of the domain: what failed there is not asked about again for each draft.
        overlay = OverlayResolver(basis.ports.dns, laid_over, within=basis.subject.domain)
        ports = replace(basis.ports, dns=overlay)
        gathered = await gather(
            basis.auditors,
            basis.subject,
            ports,
            basis.message,
            before=state.executions,
            earlier=self.executions,
            knowledge=self.rules.knowledge,
        )
        for name, work in gathered.executions.items():
            if work is not state.executions.get(name):
                self.executions.setdefault(name, []).append(work)
        judge = judge_of(self.rules, self.catalogue, self.selection)
        findings = judge.again(gathered.facts, state.facts, state.findings)
        receivers = self.selection.receivers or self.rules.providers
        was, now = ({id(each) for each in every} for every in (state.findings, findings))
        fresh = [each for each in findings if id(each) not in was]
        held = (*(each for each in state.held if id(each) in now), *holding(fresh, gathered.facts, self.rules))
        answer = answer_of(assess(held, receivers, gathered.facts, self.rules, self.selection))
        self.known[key] = _State(laid, gathered.facts, gathered.executions, findings, answer, held)
        return self.known[key]


def answer_of(given: Assessment) -> Answer:
    """What an assessment comes to."""
    by_volume = {
        each.receiver: tuple(case.verdict if case else each.verdict for case in (each.if_small, each.if_bulk))
        for each in given.verdicts
    }
    verdicts = {each.receiver: each.verdict for each in given.verdicts}
    return Answer(verdicts, by_volume, given.grade, len(given.ways), given.parked)


# --- better or worse ------------------------------------------------------------------------------------------------


def _helps(before: _State, after: _State, draft: Remedy) -> bool:
    """Whether the finding is mended and nothing is worse."""
    if not _settles(after, draft, FindingId(draft.rule, draft.item)):
        return False
    return not (
        worse_answer(before.answer, after.answer) or any(_worse(before, after)) or _darker(before.facts, after.facts)
    )


def _settles(after: _State, draft: Remedy, settled: FindingId) -> bool:
    """Whether a finding is met afterwards.

    That which the draft is for may also apply no longer (of a policy for all mail, none is a part), or be gone with
    what the draft removes.
    """
    found = after.cases.get((settled.rule, settled.item))
    if found is not None and found.outcome is Outcome.MET:
        return True
    if (settled.rule, settled.item) != (draft.rule, draft.item):
        return False
    return _takes_away(draft) if found is None else found.outcome is Outcome.NOT_APPLICABLE


def _takes_away(draft: Remedy) -> bool:
    """Whether the draft removes just what its finding is about: a host without an address, a dead report address."""
    return any(
        draft.item and any(draft.item in value for value in set(edit.old) - set(edit.new)) for edit in draft.edits
    )


def worse_answer(was: Answer, now: Answer) -> bool:
    """Whether a verdict, also for few or for many messages, the grade, or what a parked domain leaves open is worse."""
    if now.parked is not was.parked:
        # Sending nothing is another question, which no receiver has an answer to. What was closed has to stay so.
        return was.parked
    graded = was.grade and now.grade
    if (graded and GRADES.index(now.grade) > GRADES.index(was.grade)) or now.ways > was.ways:
        return True
    return any(
        after_mending.rank > kind.rank
        for receiver, kinds in was.by_volume.items()
        for kind, after_mending in zip(kinds, now.by_volume.get(receiver, ()), strict=False)
    )


def _worse(before: _State, after: _State) -> Iterator[Finding]:
    """Findings that are newly unmet or more severe, from warning on, and results that could not be checked any more."""
    for case, finding in after.cases.items():
        was = before.cases.get(case)
        if finding is was:
            continue
        applied = was is not None and was.outcome is not Outcome.NOT_APPLICABLE
        if not applied and finding.scope is Scope.INBOUND:
            continue
        if finding.outcome is Outcome.UNMET:
            unmet = was is not None and was.outcome is Outcome.UNMET and was.severity.rank >= finding.severity.rank
            counts = not unmet and finding.severity.rank >= Severity.WARNING.rank
            if counts and (applied or not _milder(finding, before, after)):
                yield finding
        elif finding.outcome is Outcome.UNKNOWN:
            checked = was is not None and was.outcome in (Outcome.MET, Outcome.UNMET)
            # What did not apply before may wait for an input now: a policy file is only seen with --fetch. And what is
            # told by reports may wait for those that come once the record is published.
            waits = finding.waits_for_input
            if (checked and not finding.waits_for_stored) or (not applied and not waits):
                yield finding


def _milder(finding: Finding, before: _State, after: _State) -> bool:
    """Whether a more severe finding, which saw one of its facts otherwise, kept it from applying and is mended."""
    for was in before.findings:
        if was.outcome is Outcome.UNMET and was.severity.rank > finding.severity.rank:
            now = after.cases.get((was.rule, was.item))
            mended = now is None or now.outcome is not Outcome.UNMET
            if mended and any(was.observed.get(path, value) != value for path, value in finding.observed.items()):
                return True
    return False


def _darker(before: FactSet, after: FactSet) -> bool:
    """Whether a fact that was established could not be established any more."""
    return any(
        isinstance(fact.value, Unknown)
        and not fact.value.reason.waits_for_input
        and not isinstance(before.value(path), Unknown)
        for path, fact in after.facts.items()
        if fact is not before.facts.get(path)
    )


def _rehearsed(draft: Remedy, before: _State, after: _State) -> Remedy:
    """The draft with what the rehearsal showed."""
    unmet = {(each.rule, each.item): each for each in before.findings if each.outcome is Outcome.UNMET}
    still = {(each.rule, each.item) for each in after.findings if each.outcome is Outcome.UNMET}
    met = {(each.rule, each.item) for each in after.findings if each.outcome is Outcome.MET}
    own = unmet[draft.rule, draft.item]
    settled = [case for case in sorted(unmet) if case in met and (not draft.lowers or unmet[case].remedy == own.remedy)]
    open_rules = {rule for rule, _ in still}
    return replace(
        draft,
        mends=tuple(dict.fromkeys((draft.rule, *(rule for rule, _ in settled if rule not in open_rules)))),
        settles=tuple(FindingId(*case) for case in dict.fromkeys(((draft.rule, draft.item), *settled))),
        opens=tuple(dict.fromkeys(rule for rule, _ in sorted(still - unmet.keys()))),
        changes=_changes(before, after),
        gains=tuple(
            Gain(receiver, kind, now)
            for receiver, kind in before.answer.verdicts.items()
            if (now := after.answer.verdicts.get(receiver, kind)).rank < kind.rank
        ),
    )


def _changes(before: _State, after: _State) -> tuple[FactChange, ...]:
    return tuple(
        FactChange(path, old, new)
        for path in SHOWN_FACTS
        if (old := before.facts.value(path)) != (new := after.facts.value(path))
        and not isinstance(old, Unknown)
        and not isinstance(new, Unknown)
        # A first policy makes mail that passes nothing fail it, which alone is neither gain nor loss.
        and (path, new) != ("dmarc.result", "fail")
    )


# --- the order ------------------------------------------------------------------------------------------------------


def _ordered(accepted: Sequence[Remedy], severities: Mapping[_Case, Severity]) -> tuple[Remedy, ...]:
    """What changes verdicts most first, then by severity and care; what builds on another comes after it.

    A last resort comes last, whatever it changes, and behind it what lowers protection.
    """
    keys = [
        (
            each.lowers,
            each.care is Care.LAST_RESORT,
            -sum(gain.worth for gain in each.gains),
            -severities[each.rule, each.item].rank,
            _CARE.index(each.care),
        )
        for each in accepted
    ]
    below = [
        [other for other in range(place) if _touches(accepted[other], {edit_place(edit) for edit in each.edits})]
        for place, each in enumerate(accepted)
    ]
    # A remedy is as urgent as what can only be done after it.
    for place in reversed(range(len(accepted))):
        for other in below[place]:
            keys[other] = min(keys[other], keys[place])
    left = sorted(range(len(accepted)), key=lambda place: (keys[place], place))
    ordered: list[int] = []
    while left:
        following = next(place for place in left if not set(below[place]) & set(left))
        left.remove(following)
        ordered.append(following)
    return tuple(accepted[place] for place in ordered)
