"""The plan: one step for each remedy or task, in the order of what it changes, and what each gains where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import inf

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, Unknown, Value, records_of, text_of, texts_of
from deliverability.core.facts.dmarc import DmarcDiscovery
from deliverability.core.facts.domain import MessageSender, Senders
from deliverability.core.facts.envelope import Envelope, SendingHosts
from deliverability.core.facts.message import Message
from deliverability.core.facts.traffic import ReportPeriod
from deliverability.core.model.answer import Chip, FindingId, PlanStep, ReceiverEffect
from deliverability.core.model.report import Care, Finding, Outcome, Remedy, Report, Verdict, VerdictKind
from deliverability.core.model.rules import (
    Effect,
    Effort,
    Gate,
    Place,
    Rule,
    RuleSet,
    Scope,
    ServiceStep,
    Severity,
    Task,
)
from deliverability.core.model.topic import if_known
from deliverability.core.names import is_within
from deliverability.core.rules.grade import assess, holding
from deliverability.core.rules.tasks import concerned, is_nobodys, item_of, task_of

SHOWN = 5
"""Steps that stand open; the rest is folded."""

MAX_SERVICES = 3
"""Services that one step names."""

_EFFORT = tuple(Effort)
_UNKNOWN = frozenset({VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY})


class ReceiverState(Struct, frozen=True):
    """What becomes of the mail at one receiver."""

    kind: VerdictKind
    effects: tuple[ReceiverEffect, ...] = ()


ReceiverStates = Mapping[str, ReceiverState]


def receiver_states(verdicts: Iterable[Verdict]) -> ReceiverStates:
    """Where each receiver stands."""
    return {each.receiver: ReceiverState(each.verdict, effects_of(each)) for each in verdicts}


def effects_of(verdict: Verdict) -> tuple[ReceiverEffect, ...]:
    """The effects that make a verdict what it is, each once, the worst first."""
    unmet = (each for each in verdict.deciding if each.outcome is Outcome.UNMET)
    return tuple(dict.fromkeys(ReceiverEffect(each.effect, each.contested) for each in unmet))


def holders(verdict: Verdict) -> frozenset[FindingId]:
    """The findings that hold a verdict where it is, in either class of senders."""
    lacking = (FindingId(rule) for each in verdict.lacks for rule in each.rules)
    return frozenset((*(FindingId(each.rule, each.item) for each in verdict.effects), *lacking))


def steps(report: Report, rules: RuleSet, refused: Collection[FindingId] = ()) -> tuple[PlanStep, ...]:
    """The plan without its gains: what to do, in order and numbered. `refused`: findings that no task is to settle."""
    ordered = _ordered(list(_candidates(report, rules, refused)), report.verdicts)
    unmet = {FindingId(each.rule, each.item): each for each in report.findings if each.outcome is Outcome.UNMET}
    found: list[PlanStep] = []
    settled: set[FindingId] = set()
    numbers: dict[int, int] = {}
    for each in ordered:
        left = tuple(one for one in each.findings if one not in settled)
        task = rules.tasks.get(each.task)
        if task is not None and task.least:
            left = _strictest_first(left, task.least, unmet)
        carries = each.remedy is not None and any(each is one for other in ordered for one in other.follows)
        if not left and not carries:
            continue
        settled.update(left)
        number = len(found) + 1
        numbers[id(each)] = number
        found.append(_step(each, task, left or each.findings[:1], number, numbers, unmet, report.facts))
    return tuple(found)


def _strictest_first(
    findings: Sequence[FindingId], limit: str, unmet: Mapping[FindingId, Finding]
) -> tuple[FindingId, ...]:
    """That which was held against the smallest limit first; what has no such limit last."""

    def least(each: FindingId) -> float:
        value = unmet[each].limits.get(limit)
        return value if isinstance(value, (int, float)) else inf

    return tuple(sorted(findings, key=least))


def with_gains(
    plan: Sequence[PlanStep], verdicts: Iterable[Verdict], after: Sequence[ReceiverStates]
) -> tuple[PlanStep, ...]:
    """The plan with what changes for each receiver, and with all but the first things to do folded.

    What stands open is numbered first, then what is folded, then what concerns mail received. `after`: where the
    receivers stand once each step, and those above it, are done.
    """
    chips: dict[int, dict[Chip, list[tuple[str, Chip]]]] = {}
    for verdict in verdicts:
        receiver = verdict.receiver
        if (found := _gain(verdict, _path(receiver, after), plan)) is not None:
            number, chip = found
            alike = chip if chip.after else replace(chip, with_steps=())
            chips.setdefault(number, {}).setdefault(alike, []).append((receiver, chip))
    gaining = [
        replace(step, gains=tuple(sorted(map(_together, chips.get(step.number, {}).values()), key=_worth)))
        for step in plan
    ]
    shown = _shown(gaining)
    return _renumbered([replace(step, folded=step.number not in shown) for step in gaining])


def _together(alike: Sequence[tuple[str, Chip]]) -> Chip:
    """One chip for receivers with the same change, with every step that any of them needs."""
    steps = sorted({number for _, chip in alike for number in chip.with_steps})
    return replace(alike[0][1], receivers=tuple(receiver for receiver, _ in alike), with_steps=tuple(steps))


def _shown(plan: Sequence[PlanStep]) -> frozenset[int]:
    """The numbers of the steps that stand open, with those that they take or whose record they continue."""
    opens = {step.number for step in plan if step.gains or step.severity is Severity.ERROR}
    opens.update(number for step in plan for chip in step.gains for number in chip.with_steps)
    for step in reversed(plan):
        if step.number in opens:
            opens.update(step.follows)
    return frozenset([step.number for step in plan if step.number in opens and not step.inbound][:SHOWN])


def _renumbered(plan: Sequence[PlanStep]) -> tuple[PlanStep, ...]:
    """What stands open in front, so that its numbers follow one another; the order within each part stays."""
    ordered = sorted(plan, key=lambda step: (step.inbound, step.folded))
    new = {step.number: place for place, step in enumerate(ordered, 1)}

    def moved(numbers: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted(new[number] for number in numbers))

    return tuple(
        replace(
            step,
            number=new[step.number],
            follows=moved(step.follows),
            gains=tuple(replace(chip, with_steps=moved(chip.with_steps)) for chip in step.gains),
        )
        for step in ordered
    )


def by_tally(plan: Sequence[PlanStep], report: Report, rules: RuleSet) -> tuple[ReceiverStates, ...]:
    """Where the receivers stand after each step, by taking what it settles out of what was found."""
    now = receiver_states(report.verdicts)
    done: set[FindingId] = set()
    found: list[ReceiverStates] = []
    for step in plan:
        done.update(step.findings)
        if touches(step, report.verdicts):
            now = without(report.findings, done, tuple(now), report.facts, rules)
        found.append(now)
    return tuple(found)


def without(
    findings: Iterable[Finding], done: Collection[FindingId], receivers: Iterable[str], facts: FactSet, rules: RuleSet
) -> ReceiverStates:
    """Where the receivers stand once some findings are mended."""
    left = [_met(each) if FindingId(each.rule, each.item) in done else each for each in holding(findings, facts, rules)]
    return receiver_states(assess(left, receivers, facts, rules).verdicts)


def _met(finding: Finding) -> Finding:
    """The finding as if it were mended."""
    judgements = tuple(replace(each, outcome=Outcome.MET, unknown=None) for each in finding.judgements)
    return replace(finding, outcome=Outcome.MET, unknown=None, judgements=judgements)


def touches(step: PlanStep, verdicts: Iterable[Verdict]) -> bool:
    """Whether a step settles something that a receiver acts on."""
    return any(not holders(each).isdisjoint(step.findings) for each in verdicts)


# --- what there is to do --------------------------------------------------------------------------------------------


class _Candidate(Struct):
    """A step that has no place in the order yet.

    Attributes:
        follows: what comes before it: the remedies whose record it continues, and what settles how mail passes
            that its record is no longer to let pass.
        effort, order: the least of its rules, for ties.
        information: nothing has to be done about any of it.
        gated: it waits for the reports to be read.
        lowers: it lets through what is stopped today, so it comes after all that does not.
        takes: the terms of SPF that it takes away from those who pass by them.

    """

    place: Place
    at: str
    findings: list[FindingId]
    scope: Scope
    severity: Severity
    effort: Effort
    order: int
    remedy: Remedy | None = None
    task: str = ""
    services: tuple[str, ...] = ()
    follows: list[_Candidate] = field(default_factory=list)
    information: bool = False
    gated: bool = False
    lowers: bool = False
    takes: frozenset[str] = frozenset()

    def take(self, finding: Finding, rule: Rule, order: int) -> None:
        """One finding more that it settles."""
        self.findings.append(FindingId(finding.rule, finding.item))
        if finding.severity.rank > self.severity.rank:
            self.severity = finding.severity
        if rule.scope is Scope.SECURITY or (
            rule.scope is Scope.DELIVERY and self.scope not in (Scope.SECURITY, Scope.INBOUND)
        ):
            self.scope = rule.scope
        self.effort = min(self.effort, rule.effort, key=_EFFORT.index)
        self.order = min(self.order, order)
        self.information = self.information and rule.information


def _candidates(report: Report, rules: RuleSet, refused: Collection[FindingId]) -> Iterator[_Candidate]:
    """One for each remedy, and for each task that settles what no remedy does."""
    order = {ident: place for place, ident in enumerate(rules.rules)}
    unmet = {
        FindingId(each.rule, each.item): each
        for each in report.findings
        if each.outcome is Outcome.UNMET
        and each.waiver is None
        and each.severity is not Severity.NONE
        and each.rule in rules.rules
        and _concerns(report, rules.rules[each.rule], rules)
    }
    taken: set[FindingId] = set()
    of_remedies: list[_Candidate] = []
    for remedy in report.remedies:
        own = FindingId(remedy.rule, remedy.item)
        settled = [each for each in dict.fromkeys((own, *remedy.settles)) if each in unmet]
        if own not in unmet:
            continue
        taken.update(settled)
        candidate = _of_remedy(remedy, settled, unmet, report, rules, order)
        candidate.follows += [each for each in of_remedies if each.remedy and _same_place(each.remedy, remedy)]
        of_remedies.append(candidate)
    gone = frozenset(term for each in of_remedies for term in each.takes)
    tasks: dict[object, _Candidate] = {}
    todo: list[tuple[Finding, Task | None]] = []
    for ident, finding in unmet.items():
        rule = rules.rules[finding.rule]
        task = task_of(finding, rule, rules.tasks, report.facts)
        inbound = rule.scope is Scope.INBOUND or (task is not None and task.inbound)
        if ident in taken or (task is not None and task.gate is not None) or (rule.information and not inbound):
            continue
        terms = _taken_terms(finding, task, report.facts)
        if ident in refused or (terms and terms <= gone):
            continue
        if is_nobodys(finding, rule, rules.tasks, report.facts):
            continue
        todo.append((finding, task))
    for finding, task in sorted(todo, key=lambda each: _joins(each[0], each[1], rules)):
        cause = _cause(task, tasks.values(), unmet, report.facts, rules) if task is not None else None
        if cause is not None:
            cause.take(finding, rules.rules[finding.rule], order[finding.rule])
        else:
            _settle(finding, task, tasks, report, rules, order)
    _put_behind([*of_remedies, *tasks.values()], report.facts)
    yield from of_remedies
    yield from tasks.values()


def _joins(finding: Finding, task: Task | None, rules: RuleSet) -> tuple[bool, bool]:
    """What may be settled by the cause's step comes behind the causes, and a finding whose own task is done already
    behind those that the step is for.
    """
    return task is not None and bool(task.cause), task is not None and rules.rules[finding.rule].task != task.code


def taken_by_step(step: PlanStep, report: Report, rules: RuleSet) -> frozenset[str]:
    """The terms of SPF that a step without a record takes away."""
    task = rules.tasks.get(step.task)
    of_step = (each for each in report.findings if FindingId(each.rule, each.item) in step.findings)
    return frozenset(term for each in of_step for term in _taken_terms(each, task, report.facts))


def _taken_terms(finding: Finding, task: Task | None, facts: FactSet) -> frozenset[str]:
    """The terms of SPF that a task takes away for a finding."""
    if task is None or not task.takes:
        return frozenset()
    items = (each for each in (if_known(facts.of(Senders).services) or ()) if each.name == finding.item)
    return frozenset(term for each in items for term in getattr(each, task.takes))


def _put_behind(candidates: Sequence[_Candidate], facts: FactSet) -> None:
    """What takes a service out of SPF comes after what has that service send so that its mail passes without."""
    services = if_known(facts.of(Senders).services) or ()
    signing = [each for each in candidates if each.place is Place.SERVICE]
    for each in candidates:
        losing = {one.id for one in services if not each.takes.isdisjoint(one.spf_terms)}
        each.follows += [other for other in signing if not losing.isdisjoint(other.services)]


def _concerns(report: Report, rule: Rule, rules: RuleSet) -> bool:
    """Whether a rule is about what the report is about: of a domain that sends nothing, only who can pass as it."""
    if not report.assessment.parked:
        return True
    task = rules.tasks.get(rule.task)
    return rule.scope not in (Scope.INBOUND, Scope.DISPLAY) and not (task is not None and task.inbound)


def _of_remedy(
    remedy: Remedy,
    settled: Sequence[FindingId],
    unmet: Mapping[FindingId, Finding],
    report: Report,
    rules: RuleSet,
    order: Mapping[str, int],
) -> _Candidate:
    rule = rules.rules[remedy.rule]
    task = rules.tasks.get(rule.task)
    place, at = _place_of(remedy, report)
    scope = Scope.INBOUND if task is not None and task.inbound else rule.scope
    found = _Candidate(
        place,
        at,
        [],
        scope,
        Severity.NONE,
        rule.effort,
        order[rule.id],
        remedy=remedy,
        information=True,
        gated=task is not None and task.gate is Gate.POLICY,
        lowers=remedy.lowers,
        takes=frozenset(texts_of(remedy.values.get("taken"))),
    )
    for each in settled:
        found.take(unmet[each], rules.rules[each.rule], order[each.rule])
    return found


def _place_of(remedy: Remedy, report: Report) -> tuple[Place, str]:
    if all(edit.type == "PTR" for edit in remedy.edits):
        return Place.ADDRESS, remedy.item
    away = [edit.name for edit in remedy.edits if not _is_home(edit.name, report)]
    return (Place.ELSEWHERE, away[0].rpartition("._dmarc.")[2]) if away else (Place.DNS, "")


def _others_domain(task: Task, report: Report) -> str:
    """The domain whose records the task is about, where it is somebody else's."""
    name = text_of(report.facts.value(task.domain)) if task.domain else ""
    return "" if not name or _is_home(name, report) else name


def _is_home(name: str, report: Report) -> bool:
    """Whether a name lies in the domain that the user looks after."""
    home = report.facts.of(DmarcDiscovery).organizational_domain_psl
    return is_within(name, home if isinstance(home, str) else report.domain)


def _same_place(one: Remedy, other: Remedy) -> bool:
    places = {(each.name, each.type) for each in one.edits}
    return any((each.name, each.type) in places for each in other.edits)


def _settle(
    finding: Finding,
    task: Task | None,
    tasks: dict[object, _Candidate],
    report: Report,
    rules: RuleSet,
    order: Mapping[str, int],
) -> None:
    """Put a finding to the task that settles it, at the same place; what has none is a step of its own."""
    rule = rules.rules[finding.rule]
    place, at = Place.OWN if task is None else task.place, ""
    services: tuple[str, ...] = ()
    asked = rule.service or (ServiceStep.SIGNING_KEY if place is Place.SERVICE else None)
    if asked is not None:
        about = concerned(finding, asked, report.facts, rules.knowledge.services)
        services = tuple(dict.fromkeys(each.id for each in about))[:MAX_SERVICES]
    match place:
        case Place.SERVICE if services:
            at = services[0]
        case Place.SERVICE if _sends_itself(report):
            place = Place.SERVER
        case Place.ELSEWHERE | Place.ADDRESS:
            at = finding.item
        case Place.DNS if item_of(finding, rule, report.facts).get("own") is False:
            place, at = Place.ELSEWHERE, finding.item
        case Place.DNS if task is not None and (other := _others_domain(task, report)):
            place, at = Place.ELSEWHERE, other
    key = (task.code, place, at) if task is not None else (rule.id, place, at)
    if key not in tasks:
        inbound = task is not None and task.inbound
        tasks[key] = _Candidate(
            place,
            at,
            [],
            Scope.INBOUND if inbound else rule.scope,
            Severity.NONE,
            rule.effort,
            order[rule.id],
            task=task.code if task is not None else "",
            services=services,
            information=True,
            lowers=task is not None and task.lowers,
        )
    tasks[key].take(finding, rule, order[rule.id])
    tasks[key].takes |= _taken_terms(finding, task, report.facts)


def _sends_itself(report: Report) -> bool:
    """Whether the mail goes out by the reader's own host. Without a message nothing shows who signs."""
    facts = report.facts
    if facts.of(Message).present is not True:
        return False
    if if_known(facts.of(MessageSender).message_service):
        return False
    hosts = [each for each in (if_known(facts.of(SendingHosts).ips) or ()) if each.confirmed is True]
    return any(_is_home(if_known(each.name) or "", report) for each in hosts)


def _cause(
    task: Task,
    steps: Iterable[_Candidate],
    unmet: Mapping[FindingId, Finding],
    facts: FactSet,
    rules: RuleSet,
) -> _Candidate | None:
    """The step that mends what is wrong with the items that are aligned with the author domain, where some are.

    Without a message these are the items of the reader's own domain.
    """
    field = "own" if facts.of(Message).present is False else "aligned"
    items = (each for path in task.cause for each in records_of(facts.value(path)))
    aligned = {_name(each) for each in items if each.get(field) is True}
    found: list[tuple[int, _Candidate]] = []
    for step in steps:
        for each in step.findings:
            finding = unmet[each]
            counts = finding.used is not False and finding.severity.rank >= Severity.WARNING.rank
            if counts and each.item in aligned and rules.rules[each.rule].each in task.cause:
                found.append((finding.severity.rank, step))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _name(item: Mapping[str, Value]) -> str:
    return f"{item.get('domain')}/{item.get('selector')}"


# --- the order ------------------------------------------------------------------------------------------------------

_Key = tuple[bool, bool, bool, Fraction, Fraction, int, bool, int, int]


def _ordered(waiting: list[_Candidate], verdicts: Sequence[Verdict]) -> list[_Candidate]:
    """What frees most receivers first, each time taking the steps above as done; what continues another after it."""
    left = [_Held.of(each) for each in verdicts]
    ordered: list[_Candidate] = []
    while waiting:
        keys = {id(each): _key(each, left, waiting) for each in waiting}
        # What can only be done after another makes that one as urgent; tasks stand behind the remedies, so go twice.
        for each in (*reversed(waiting), *reversed(waiting)):
            for other in each.follows:
                if id(other) in keys:
                    keys[id(other)] = min(keys[id(other)], keys[id(each)])
        ready = (each for each in waiting if not any(id(other) in keys for other in each.follows))
        following = min(ready, key=lambda each: keys[id(each)])
        waiting = [each for each in waiting if each is not following]
        ordered.append(following)
        left = [each.without(following.findings) for each in left]
    # What others can do in the domain's name stands first, what concerns mail received last, whatever else it is.
    return sorted(ordered, key=lambda each: (each.scope is not Scope.SECURITY, each.scope is Scope.INBOUND))


class _Held(Struct, frozen=True):
    """What a receiver refuses the mail for, and what it marks or delays it for."""

    refusing: frozenset[FindingId]
    hindering: frozenset[FindingId]

    @classmethod
    def of(cls, verdict: Verdict) -> _Held:
        refuses = [each for each in verdict.effects if each.effect is Effect.REJECT and not each.contested]
        refusing = frozenset(FindingId(each.rule, each.item) for each in refuses)
        return cls(refusing, holders(verdict) - refusing)

    def without(self, done: Collection[FindingId]) -> _Held:
        return _Held(self.refusing.difference(done), self.hindering.difference(done))


def _key(candidate: _Candidate, left: Sequence[_Held], waiting: Sequence[_Candidate]) -> _Key:
    care = candidate.remedy.care if candidate.remedy else Care.SAFE
    return (
        candidate.lowers,
        care is Care.LAST_RESORT,
        candidate.information,
        -sum((_share(candidate, each.refusing, waiting) for each in left if each.refusing), Fraction()),
        -sum((_share(candidate, each.hindering, waiting) for each in left if not each.refusing), Fraction()),
        -candidate.severity.rank,
        candidate.remedy is None,
        _EFFORT.index(candidate.effort),
        candidate.order,
    )


def _share(candidate: _Candidate, held: frozenset[FindingId], waiting: Sequence[_Candidate]) -> Fraction:
    """The candidate's part in freeing a receiver: all of it, a half where it takes another step, and so on."""
    if held.isdisjoint(candidate.findings):
        return Fraction()
    needed = 1
    rest = held.difference(candidate.findings)
    for each in waiting:
        if each is not candidate and not rest.isdisjoint(each.findings):
            rest = rest.difference(each.findings)
            needed += 1
    return Fraction(1, needed + len(rest))


# --- the steps ------------------------------------------------------------------------------------------------------


def _step(
    each: _Candidate,
    task: Task | None,
    left: Sequence[FindingId],
    number: int,
    numbers: Mapping[int, int],
    unmet: Mapping[FindingId, Finding],
    facts: FactSet,
) -> PlanStep:
    reported = not isinstance(facts.of(ReportPeriod).begin, Unknown)
    own = [unmet[one] for one in left]
    # Some findings are of the domain whatever the mail is; without a message there is none that they spare.
    beside = facts.of(Message).present is True and all(one.used is False for one in own)
    checked = facts.of(Envelope).mail_from_domain if beside and own[0].topic == "spf" else None
    items = tuple(dict.fromkeys(one.item for one in own if one.item))
    if task is not None and task.items:
        items = texts_of(facts.value(task.items))
    remedy = each.remedy
    values: Mapping[str, Value] = {"items": items} if items else {}
    condition = "" if not each.gated else "reports-say-safe" if reported else "read-reports"
    if task is not None and task.takes:
        condition = "senders-lost"
    return PlanStep(
        number=number,
        place=each.place,
        findings=tuple(left),
        care=remedy.care if remedy else Care.SAFE,
        scope=each.scope,
        severity=max((one.severity for one in own), key=lambda severity: severity.rank),
        task=each.task,
        remedy=remedy.code if remedy else "",
        values=remedy.values if remedy else values,
        at=each.at,
        services=each.services,
        edits=remedy.edits if remedy else (),
        changes=remedy.changes if remedy else (),
        condition=condition,
        follows=tuple(sorted(numbers[id(other)] for other in each.follows if id(other) in numbers)),
        beside=beside,
        checked_at=checked if isinstance(checked, str) else "",
    )


# --- what it gains --------------------------------------------------------------------------------------------------


def _path(receiver: str, after: Sequence[ReceiverStates]) -> list[ReceiverState]:
    """The states of one receiver, up to where the domain counts as one that sends nothing and has none any more."""
    found: list[ReceiverState] = []
    for states in after:
        if receiver not in states:
            break
        found.append(states[receiver])
    return found


def _gain(verdict: Verdict, path: Sequence[ReceiverState], plan: Sequence[PlanStep]) -> tuple[int, Chip] | None:
    """The chip of one receiver (without its name) and the step that it stands at: the first that it takes."""
    before = ReceiverState(verdict.verdict, effects_of(verdict))
    if not path or before.kind.rank <= path[-1].kind.rank:
        return None
    held, last = holders(verdict), path[-1]
    reached = next(place for place, now in enumerate(path) if now.kind is last.kind)
    helping = [
        step.number
        for place, step in enumerate(plan[: reached + 1])
        if place == reached or not held.isdisjoint(step.findings)
    ]
    if last.kind in _UNKNOWN:
        return helping[0], Chip((), before.kind, before.effects, None, with_steps=tuple(helping[1:]))
    chip = Chip((), before.kind, before.effects, last.kind, path[reached].effects, tuple(helping[1:]))
    return helping[0], chip


def _worth(chip: Chip) -> tuple[int, int]:
    return -chip.before.rank, -len(chip.receivers)
