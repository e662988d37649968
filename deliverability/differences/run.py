"""Audits both sides of a change with the same answers of everybody else, clock and rules, and compares them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codec import encode, json_text
from deliverability.core.codes import Arg, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.inputs import Sample, Subject, paired
from deliverability.core.model.history import ChangeKind, Comparison, FindingChange, Snapshot, VerdictChange
from deliverability.core.model.report import Outcome, Report, Verdict, VerdictKind
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.model.topic import if_known
from deliverability.core.net.base import Answer, Failed, Resolver, Signed, SignedQuestion, SigningResolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.names import canonical
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import NOT_ASKED
from deliverability.core.net.zones.base import UnknownRecord
from deliverability.core.phrases import detail_words, phrases
from deliverability.core.rules.judge import Selection
from deliverability.core.senders.ledger import WayChange, difference, ledger_of
from deliverability.core.store.causes import Judged
from deliverability.core.store.diff import compare
from deliverability.differences.changes import Change, Touched, changes_of, touched
from deliverability.differences.sides import Sides
from deliverability.engine.audit import Audited, Extras, gather_facts, make_report
from deliverability.engine.base import catalogue
from deliverability.engine.proof import RecordTrials, stored, wait_in
from deliverability.engine.rehearse import Answer as Stand
from deliverability.engine.rehearse import answer_of, worse_answer
from deliverability.engine.samples import with_samples
from deliverability.engine.stream import stream

SCHEMA_VERSION = "1.0"
FAIL_ON = ("worse", "error", "never")
_UNTOLD = frozenset({VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY})
_BAD = frozenset({VerdictKind.REJECTED, VerdictKind.DNS_NOT_READY})


class VerdictPair(Struct, frozen=True):
    """A receiver's verdict before and after.

    Attributes:
        receiver: receiver id.
        before, after: the verdicts.
        rules: the rules that make the difference, the decisive ones first; empty where there is none.

    """

    receiver: str
    before: VerdictKind
    after: VerdictKind
    rules: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether the receiver does worse to the mail than before; what cannot be told is not said to be worse."""
        return self.after not in _UNTOLD and self.after.rank > self.before.rank


class DomainDiff(Struct, frozen=True):
    """What a change does to the mail of one domain.

    Attributes:
        name: the domain.
        changes: record sets that change and may touch its mail.
        ways: what becomes of the ways by which mail leaves in its name, and of what it declares.
        verdicts: one a receiver; none for a domain that sends nothing.
        unknown: what the change leaves open about it.
        new, mended: findings that the change makes, and those that it mends.
        grade: before and after; empty where there is none.
        worse: a way is lost or weaker, a verdict, its grade or what a domain that sends nothing leaves open is worse,
            or an error is new.
        failing: it is an error: a way is lost or weaker, a receiver refuses its mail now, or a finding that is one is
            new.
        incomplete: it could not be told whole: something is not known any more, or the change leaves it open.
        untold: receivers of which neither side can be told.
        effects: the changes (owner and type) that verdicts rest on, by receiver.
        message: the message that was audited with it; empty: none.
        reports: of both sides, for who puts them into words.

    """

    name: str
    changes: tuple[Change, ...]
    ways: tuple[WayChange, ...]
    verdicts: tuple[VerdictPair, ...]
    unknown: tuple[UnknownRecord, ...]
    new: tuple[FindingChange, ...]
    mended: tuple[FindingChange, ...]
    grade: tuple[str, str]
    worse: bool
    failing: bool
    incomplete: bool
    untold: int
    effects: Mapping[str, tuple[tuple[str, str], ...]]
    message: str
    reports: tuple[Report, Report]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        english = phrases("en")
        return {
            "name": self.name,
            **({"message": self.message} if self.message else {}),
            "worse": self.worse,
            "incomplete": self.incomplete,
            "grade": {"before": self.grade[0] or None, "after": self.grade[1] or None},
            "changes": [encode(each) | {"place": encode(each.place) or None} for each in self.changes],
            "ways": [encode(each) | {"service": each.service or None} for each in self.ways],
            "verdicts": encode(self.verdicts),
            "new": [
                {"rule": each.rule, "item": each.item or None, "severity": each.severity.value} for each in self.new
            ],
            "mended": [{"rule": each.rule, "item": each.item or None} for each in self.mended],
            "unknown": [
                {
                    "owner": each.owner,
                    "type": each.type or None,
                    "why": detail_words(each.why, english),
                    "code": each.why.code,
                    "place": each.place or None,
                }
                for each in self.unknown
            ],
        }


class Diff(Struct, frozen=True):
    """What a change does to mail.

    Attributes:
        inputs: what was compared.
        domains: those whose mail the change may touch.
        others: changes that touch the mail of no domain.
        remarks: what has to be told of the inputs.

    """

    inputs: tuple[str, ...]
    domains: tuple[DomainDiff, ...]
    others: tuple[Change, ...] = ()
    remarks: tuple[Detail, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether anything is worse."""
        return any(each.worse for each in self.domains)

    @property
    def incomplete(self) -> bool:
        """Whether something could not be told."""
        return any(each.incomplete for each in self.domains)

    def exit_code(self, fail_on: str = "worse") -> int:
        """0 nothing is worse · 1 something is, by `fail_on` (one of FAIL_ON) · 3 not all could be told."""
        if fail_on == "never":
            return 0
        if any(each.worse if fail_on == "worse" else each.failing for each in self.domains):
            return 1
        return 3 if self.incomplete else 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        others = [{"op": each.op, "owner": each.owner, "type": each.type} for each in self.others]
        return {
            "schema": SCHEMA_VERSION,
            "inputs": list(self.inputs),
            "domains": [each.to_dict() for each in self.domains],
            "others": others,
        }

    def to_json(self) -> str:
        """The JSON document."""
        return json_text(self.to_dict(), indent=2) + "\n"


class Once:
    """A resolver that asks each question once, so that both sides are told the same, failures included."""

    def __init__(self, base: Resolver) -> None:
        self._base = base
        self._answers: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._signed: dict[tuple[str, str], asyncio.Task[Signed | Failed]] = {}

    async def query(self, name: str, rdtype: str) -> Answer:
        """The answer, of now or of the first time."""
        key = canonical(name), rdtype.upper()
        if key not in self._answers:
            self._answers[key] = asyncio.ensure_future(self._base.query(*key))
        return await asyncio.shield(self._answers[key])

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """The same with signatures."""
        key = canonical(name), rdtype.upper()
        if not isinstance(self._base, SigningResolver):
            return SignedQuestion(*key).lost(Reason.OFFLINE, NOT_ASKED())
        if key not in self._signed:
            self._signed[key] = asyncio.ensure_future(self._base.signed(*key))
        return await asyncio.shield(self._signed[key])

    async def close(self) -> None:
        """Close the base."""
        for task in (*self._answers.values(), *self._signed.values()):
            task.cancel()
        await self._base.close()


SubjectOf = Callable[[str], Subject]


async def differences(
    sides: Sides,
    ports: Ports,
    rules: RuleSet,
    selection: Selection,
    subject_of: SubjectOf = Subject,
    *,
    samples: Sequence[Sample] = (),
    domains: Sequence[str] | None = None,
    accepted: Sequence[str] = (),
    ready: Callable[[int], Callable[[], None]] | None = None,
) -> Diff:
    """What a change does to the mail of the domains that it may touch.

    Args:
        sides: the change.
        ports: whom to ask about all else; closed by the caller.
        rules: that judge.
        selection: which of them, and at which receivers.
        subject_of: what is known of a domain's mail.
        samples: messages, each audited with its domain.
        domains: these only; None: all that the change may touch.
        accepted: ways, or services, that are meant to go or change; see `WayChange.way`.
        ready: told how many subjects there are, gives what is to be called for each that is done.

    Raises InputError.

    """
    base = Once(ports.dns)
    before, after = sides.resolvers(base)
    changes = await changes_of(sides, before, after)
    found = await touched(sides, changes, after)
    if domains is not None:
        given = {each.name: each for each in found}
        found = tuple(given.get(name) or Touched(name, ()) for name in dict.fromkeys(domains))
    by_name = {each.name: each for each in found}
    planned = paired([subject_of(name) for name in by_name], samples if by_name else (), subject_of(""))
    subjects = with_samples([each for each in planned if each.domain])
    clock = FixedClock(ports.clock.now())
    both = [replace(ports, dns=side, clock=clock, zones=None) for side in (before, after)]
    done = ready(len(subjects)) if ready else lambda: None

    async def work(subject: Subject) -> DomainDiff:
        wanted = Extras(remedies=True)  # what it takes to audit once more
        audits = await asyncio.gather(*(gather_facts(subject, each, wanted, rules.knowledge) for each in both))
        here = by_name[subject.domain]
        keys = _keys_of(here, audits)
        old, new = await asyncio.gather(
            *(ledger_of(here.name, audited.facts, keys, each.dns) for audited, each in zip(audits, both, strict=True))
        )
        return await _compared(here, audits, difference(old, new, accepted), rules, selection)

    made = []
    async for _, each in stream(subjects, work):
        made.append(each)
        done()
    touching = {(each.owner, each.type) for one in found for each in one.changes}
    others = tuple(each for each in changes if (each.owner, each.type) not in touching)
    return Diff(sides.inputs, tuple(made), others, sides.remarks)


def _keys_of(touched_: Touched, audits: Sequence[Audited]) -> tuple[str, ...]:
    """The names of keys that either side has, and those that change."""
    known = (key.name for each in audits for key in if_known(each.facts.of(Dkim).keys) or () if key.own)
    changing = (each.owner for each in touched_.changes if "._domainkey." in each.owner and each.owner[0] != "*")
    return tuple(dict.fromkeys(name.lower() for name in (*known, *changing)))


async def _compared(
    touched_: Touched,
    audits: Sequence[Audited],
    ways: tuple[WayChange, ...],
    rules: RuleSet,
    selection: Selection,
) -> DomainDiff:
    """Both audits of one subject, compared as two weeks of it are."""
    loop = asyncio.get_running_loop()
    before, after = audits

    def compared() -> DomainDiff:
        old, new = (make_report(replace(each, basis=None), rules, selection) for each in (before, after))
        snapshots = [_snapshot(audited, report, rules) for audited, report in ((before, old), (after, new))]
        basis = after.basis
        assert basis is not None  # noqa: S101 - every subject has a domain
        found = compare(
            snapshots[0],
            snapshots[1],
            new.findings,
            {},
            Judged.of(old.findings, old.verdicts),
            rules=rules.rules,
            trials=lambda records, facts: RecordTrials(
                basis, new, records, facts, rules, catalogue(), selection, wait_in(loop)
            ),
        )
        return _domain(touched_, ways, old, new, found)

    return await asyncio.to_thread(compared)


def _snapshot(audited: Audited, report: Report, rules: RuleSet) -> Snapshot:
    return Snapshot(
        domain=report.domain,
        source="",
        started=audited.started,
        inputs=report.inputs,
        facts=audited.facts,
        findings=tuple(stored(each, report, rules) for each in report.findings),
        assessment=report.assessment,
        rules_digest=report.rules_digest,
    )


def _domain(touched_: Touched, ways: tuple[WayChange, ...], old: Report, new: Report, found: Comparison) -> DomainDiff:
    changed = {each.receiver: each for each in found.verdicts}
    was = {each.receiver: each for each in old.verdicts}
    pairs = tuple(_pair(was[each.receiver], each, old, new) for each in new.verdicts if each.receiver in was)
    fresh = tuple(each for each in found.of(ChangeKind.NEW) if not each.waived)
    untold, lost = _untold(old), _untold(new)
    # What is open on both sides for the same reason is no change, unless what changes is the very thing that was asked.
    owners = {each.owner for each in touched_.changes}
    same = {
        ident
        for ident, causes in lost.items()
        if causes <= untold.get(ident, set()) and owners.isdisjoint(name for each in causes for name in _asked(each))
    }
    wrong = any(each.worse for each in ways) or any(each.severity is Severity.ERROR for each in fresh)
    return DomainDiff(
        touched_.name,
        touched_.changes,
        ways,
        pairs,
        touched_.unknown,
        fresh,
        found.of(ChangeKind.MENDED),
        (old.assessment.grade, new.assessment.grade),
        worse=wrong or _worse(answer_of(old.assessment), answer_of(new.assessment)),
        failing=wrong or any(each.worse and each.after in _BAD for each in pairs),
        incomplete=bool(touched_.unknown or found.of(ChangeKind.UNCHECKED) or lost.keys() - same)
        or any(each.unknown for each in ways),
        untold=len(same),
        effects={ident: _records(each) for ident, each in changed.items()},
        message=new.message,
        reports=(old, new),
    )


_Cause = tuple[str, str, Unknown | None]
"""A rule, its item, and why it could not be checked."""


def _untold(report: Report) -> Mapping[str, set[_Cause]]:
    """What keeps a receiver's verdict from being told, by receiver; none for those of which it can be."""
    why = {(each.rule, each.item): each.unknown for each in report.findings}
    return {
        each.receiver: {(one.rule, one.item, why.get((one.rule, one.item))) for one in each.open}
        for each in report.verdicts
        if each.open and each.verdict in _UNTOLD
    }


def _asked(cause: _Cause) -> Iterator[str]:
    """The names that could not be looked up."""
    waiting: list[Arg | Detail | None] = [cause[2].detail if cause[2] else None]
    while waiting:
        match waiting.pop():
            case Detail(args=args):
                waiting += [value for _, value in args]
            case tuple() as values:
                waiting += values
            case str() as text:
                yield text.lower()


def _worse(was: Stand, now: Stand) -> bool:
    """As of a remedy that does harm; but what cannot be told any more is not said to be worse."""
    verdicts = {
        ident: was.verdicts.get(ident, kind) if kind in _UNTOLD else kind for ident, kind in now.verdicts.items()
    }
    by_volume = {
        ident: tuple(
            old if kind in _UNTOLD else kind for old, kind in zip(was.by_volume.get(ident, kinds), kinds, strict=False)
        )
        for ident, kinds in now.by_volume.items()
    }
    return worse_answer(was, replace(now, verdicts=verdicts, by_volume=by_volume))


def _pair(was: Verdict, now: Verdict, old: Report, new: Report) -> VerdictPair:
    """A receiver's verdicts with the rules behind the difference: those that decide one and not the other."""
    sides = [
        {each.rule: None for each in (*verdict.deciding, *verdict.effects) if each.outcome is not Outcome.MET}
        for verdict in (was, now)
    ]
    mine, other = (sides[1], sides[0]) if now.verdict.rank >= was.verdict.rank else (sides[0], sides[1])
    lacks = {ident: None for ident in now.missing if ident not in was.missing}
    rules = tuple(ident for ident in (*mine, *lacks) if ident not in other) if was.verdict is not now.verdict else ()
    return VerdictPair(now.receiver, was.verdict, now.verdict, tuple(dict.fromkeys(rules)))


def _records(change: VerdictChange) -> tuple[tuple[str, str], ...]:
    """The record sets that a verdict was proved to rest on: owner and type."""
    pairs = (each.asked.partition(" ") for each in change.records)
    return tuple((owner.rstrip(".").lower(), rdtype) for rdtype, _, owner in pairs)


def effect_of(change: Change, domain: DomainDiff) -> Literal["verdict", "none"]:
    """Whether a verdict rests on a change."""
    keys: Iterable[tuple[str, str]] = (key for each in domain.effects.values() for key in each)
    return "verdict" if (change.owner, change.type) in keys else "none"
