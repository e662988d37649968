"""Which of the DNS records that changed made the difference: the subject is audited again with some as they were.

That two things changed in the same week says nothing about which of them matters. So every cause that is named has been
tried: with this record of today and all the others as they were, the finding or verdict is what it is today.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from deliverability.core.facts.base import (
    NO_NAME,
    Catalogue,
    EvidenceKind,
    FactSet,
    aliases,
    is_absence,
    is_failure,
    texts,
)
from deliverability.core.model.history import RecordChange, StoredFinding
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.base import Absent, Answer, Found, Resolver
from deliverability.core.rules.conditions import paths_of
from deliverability.core.rules.grade import assess
from deliverability.core.rules.judge import Selection, judge_of
from deliverability.core.store.causes import Judged
from deliverability.core.store.diff import fails
from deliverability.engine.base import gather
from deliverability.engine.rehearse import Basis

Wait = Callable[[Coroutine[Any, Any, Judged]], Judged]
_Question = tuple[str, str]
_MOST = 16
"""Record sets that are tried one by one; of more, those of one name count as one."""
_STRING = 255  # octets of one TXT character-string, RFC 1035 section 3.3


class EarlierAnswers:
    """A resolver that gives earlier answers to some questions and asks another resolver the rest."""

    def __init__(self, base: Resolver, answers: Mapping[_Question, Answer]) -> None:
        self._base = base
        self._answers = answers

    async def query(self, name: str, rdtype: str) -> Answer:
        """The earlier answer, or that of the base."""
        earlier = self._answers.get((name.rstrip(".").lower(), rdtype.upper()))
        return earlier if earlier is not None else await self._base.query(name, rdtype)

    async def close(self) -> None:
        """Close the base."""
        await self._base.close()


class RecordTrials:
    """Judges a subject of this run as if some of its records had not changed. Each combination is audited once.

    Args:
        basis: what the subject was audited from.
        report: of the subject.
        records: what changed, by evidence id; what is not an answer of DNS cannot be tried and stays as it is today.
        before: the facts before, whose evidence holds the earlier answers.
        rules, catalogue, selection: as the report was judged.
        wait: runs a coroutine where the ports of the basis work, and waits for it.

    """

    def __init__(
        self,
        basis: Basis,
        report: Report,
        records: Mapping[str, RecordChange],
        before: FactSet,
        rules: RuleSet,
        catalogue: Catalogue,
        selection: Selection,
        wait: Wait,
    ) -> None:
        self._basis = basis
        self._report = report
        self._rules = rules
        self._catalogue = catalogue
        self._selection = selection
        self._wait = wait
        self._answers = {ident: answer for ident in records if (answer := _earlier_answer(ident, before)) is not None}
        self._units = _units(self._answers)
        today = report.facts.evidence
        not_asked = (_earlier_answer(ident, before) for ident in before.evidence if ident not in today)
        self._not_asked = {_question(each): each for each in not_asked if each is not None}
        self._tried: dict[frozenset[int], Judged] = {
            frozenset(range(len(self._units))): Judged.of(report.findings, report.verdicts)
        }

    def behind(self, seen: Callable[[Judged], Hashable]) -> frozenset[str]:
        """The records whose change makes `seen` what it is today; empty: none does.

        Each that is enough by itself; where none is, the fewest that are enough together.
        """
        every = frozenset(range(len(self._units)))
        now = seen(self._tried[every])
        if not every or seen(self._judged(frozenset())) == now:
            return frozenset()
        enough = [unit for unit in every if seen(self._judged(frozenset({unit}))) == now]
        if enough:
            return self._idents(enough)
        needed = every
        for unit in sorted(every):
            if seen(self._judged(needed - {unit})) == now:
                needed -= {unit}
        return self._idents(needed)

    def _idents(self, units: Iterable[int]) -> frozenset[str]:
        return frozenset(ident for unit in units for ident in self._units[unit])

    def _judged(self, changed: frozenset[int]) -> Judged:
        """With only these of the record sets as they are today."""
        if changed not in self._tried:
            self._tried[changed] = self._wait(self._audited(changed))
        return self._tried[changed]

    async def _audited(self, changed: frozenset[int]) -> Judged:
        kept = self._idents(changed)
        changed_back = {_question(each): each for ident, each in self._answers.items() if ident not in kept}
        answers = {**self._not_asked, **changed_back}
        basis = self._basis
        gathered = await gather(
            basis.auditors,
            basis.subject,
            replace(basis.ports, dns=EarlierAnswers(basis.ports.dns, answers)),
            basis.message,
            before=basis.executions,
            knowledge=self._rules.knowledge,
        )
        judge = judge_of(self._rules, self._catalogue, self._selection)
        findings = judge.again(gathered.facts, self._report.facts, self._report.findings)
        receivers = self._selection.receivers or self._rules.providers
        found = assess(findings, receivers, gathered.facts, self._rules, self._selection)
        return Judged.of(findings, found.verdicts)


def wait_in(loop: asyncio.AbstractEventLoop) -> Wait:
    """Runs coroutines in the loop of another thread."""

    def wait(work: Coroutine[Any, Any, Judged]) -> Judged:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    return wait


def _units(answers: Mapping[str, Answer]) -> Sequence[tuple[str, ...]]:
    if len(answers) <= _MOST:
        return [(ident,) for ident in answers]
    by_name: dict[str, list[str]] = {}
    for ident, answer in answers.items():
        by_name.setdefault(answer.name, []).append(ident)
    units = [tuple(idents) for idents in by_name.values()]
    return (
        units if len(units) <= _MOST else [*units[: _MOST - 1], tuple(i for unit in units[_MOST - 1 :] for i in unit)]
    )


def _question(answer: Answer) -> _Question:
    return answer.name, answer.rdtype


def _earlier_answer(ident: str, before: FactSet) -> Answer | None:
    """What DNS answered before; None where that is not evidence of DNS, or the look-up failed."""
    item = before.evidence.get(ident)
    if item is None or item.kind is not EvidenceKind.DNS or is_failure(item.got):
        return None
    rdtype, _, name = item.asked.partition(" ")
    chain, ttl = tuple(aliases(item.got)), item.ttl or 0
    if is_absence(item.got):
        return Absent(name, rdtype, any(map(NO_NAME.matches, item.got)), ttl, chain)
    values = tuple(texts(item.got))
    octets = tuple(map(_strings_of, values)) if rdtype == "TXT" else ()
    return Found(name, rdtype, values, ttl, chain, octets)


def _strings_of(text: str) -> tuple[int, ...]:
    """The lengths of the character-strings that a text is published in, when each is filled before the next begins."""
    length = len(text.encode("utf-8", "surrogateescape"))
    return tuple(min(_STRING, length - start) for start in range(0, length, _STRING)) or (0,)


# --- snapshots -------------------------------------------------------------------------------------------------------


def stored(finding: Finding, report: Report, rules: RuleSet) -> StoredFinding:
    """What a snapshot keeps of a finding."""
    return StoredFinding(
        finding.rule,
        finding.item,
        finding.fingerprint,
        finding.outcome,
        finding.severity,
        finding.waiver is not None,
        _failed(finding, report, rules),
    )


def _failed(finding: Finding, report: Report, rules: RuleSet) -> bool:
    """Whether a look-up failed that the finding rests on, or the condition of what a receiver says about it."""
    if finding.unknown is not None:
        return not finding.waits_for_input
    undecided = [each.receiver for each in finding.judgements if each.outcome is Outcome.UNKNOWN]
    return any(
        fails(report.facts.value(path))
        for each in undecided
        for statement in rules.statements(rules.receivers[each], finding.rule)
        for path in paths_of(statement.when)
        if not path.startswith("item.")  # a field of the item, no fact
    )
