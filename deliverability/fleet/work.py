"""What a worker of a fleet run does: the domains of a shard gathered and judged, and packed into its files.

A domain becomes its line of the findings; its full report can be made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct, convert, field, json, to_builtins
from msgspec.structs import replace

from deliverability import __version__
from deliverability.core.codec import digest, encode, printable
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FilesError, InputError
from deliverability.core.facts.base import FactSet, Unknown, is_failure, records_of
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.base import Absent, Found
from deliverability.core.net.clock import stamp
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.pace import Pace
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.psl import registered_domain
from deliverability.core.rules.clauses import judge_profiles
from deliverability.core.rules.grade import assess
from deliverability.core.rules.judge import Selection, fingerprint, judge_of
from deliverability.core.store.causes import Owner, changed_records
from deliverability.core.store.diff import filled
from deliverability.engine.audit import (
    Audited,
    Extras,
    audited_of,
    document_of,
    full_report,
    gather_facts,
    has_failures,
)
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.engine.stream import Places
from deliverability.fleet.manifest import ShardState
from deliverability.fleet.shards import (
    FACTS,
    FINDINGS,
    FleetFinding,
    FleetRow,
    FleetSubject,
    Lines,
    Unchecked,
    compact,
    facts_line,
    file_digest,
    lines_of,
    shard_digest,
)

CAUSE_FACTS: Mapping[str, tuple[str, ...]] = {
    "spf.lookups": (),
    "spf.include_costs": ("target", "lookups", "void_lookups"),
    "spf.dead_names": (),
    "spf.broken_includes": (),
    "takeover.names": ("use", "domain", "free", "service"),
    "dmarc.stage": (),
    "dmarc.policy": (),
    "senders.services": ("id", "authorised", "spf_lookups", "spf_terms", "selectors"),
    "dkim.keys": ("domain", "selector", "present", "type", "bits", "alias", "revoked", "testing", "own", "fingerprint"),
    "subject.waivers": ("rule", "item", "until", "expired"),
}
"""Facts that tell causes; of a list of records these fields."""


def judged_by(rules: RuleSet, selection: Selection) -> str:
    """SHA-256 (hex) of what a judgement depends on beside the facts: this program, the rules, and which of them."""
    chosen = [sorted(each) for each in (selection.select, selection.ignore, selection.receivers)]
    chosen += [[name, json.encode(rules.profiles[name]).decode()] for name in sorted(selection.profiles)]
    return digest([__version__, rules.digest, chosen, {path: list(fields) for path, fields in CAUSE_FACTS.items()}])


def row_of(
    domain: str,
    facts: FactSet,
    rules: RuleSet,
    selection: Selection,
    labels: Mapping[str, str],
    name_servers: Sequence[str] | None,
    stale: Sequence[str] = (),
) -> FleetRow:
    """The judgement of one domain."""
    findings = judge_of(rules, catalogue(), selection).bare_findings(facts)
    assessment = assess(findings, selection.receivers or rules.providers, facts, rules, selection)
    return FleetRow(
        domain=domain,
        labels=labels,
        grade=assessment.grade,
        dns=assessment.dns.value if assessment.dns else None,
        parked=assessment.parked,
        verdicts={each.receiver: each.verdict.value for each in assessment.verdicts},
        findings=tuple(_finding(each, facts) for each in findings if _is_shown(each)),
        met=_rules(each for each in findings if each.outcome is Outcome.MET),
        waiting=_rules(each for each in findings if each.outcome is Outcome.UNKNOWN and each.waits_for_input),
        not_applicable=_rules(each for each in findings if each.outcome is Outcome.NOT_APPLICABLE),
        failed=has_failures(facts),
        unchecked=tuple(sorted(_unchecked(facts), key=lambda each: each.asked)),
        name_servers=None if name_servers is None else tuple(name_servers),
        stale=tuple(stale),
        facts={path: _fact(facts, path, fields) for path, fields in CAUSE_FACTS.items()},
        profiles={
            each.profile.id: {clause.clause: clause.state.value for clause in each.clauses}
            for each in judge_profiles(selection.profiles, facts, rules, catalogue())
        },
    )


def _is_shown(finding: Finding) -> bool:
    return finding.outcome is Outcome.UNMET or (finding.outcome is Outcome.UNKNOWN and not finding.waits_for_input)


def _finding(finding: Finding, facts: FactSet) -> FleetFinding:
    return FleetFinding(
        finding.rule,
        printable(finding.item),
        finding.outcome.value,
        finding.severity.value,
        fingerprint(finding.rule, finding.item, facts),
        finding.waiver.reason if finding.waiver else "",
    )


def _rules(findings: Iterator[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.rule for each in findings))


def _fact(facts: FactSet, path: str, fields: Sequence[str]) -> Any:
    value = facts.value(path)
    if not fields or isinstance(value, Unknown):
        return encode(value)
    return [{name: encode(each.get(name)) for name in fields} for each in records_of(value)]


def _unchecked(facts: FactSet) -> Iterator[Unchecked]:
    for item in facts.evidence.values():
        if is_failure(item.got):
            yield Unchecked(printable(item.asked), *_why(item.got[0]))


def _why(line: object) -> tuple[str, str]:
    """The reason of a failure, and the server that it names; empty where it says none."""
    found = {"reason": "", "server": ""}
    waiting = [line]
    while waiting:
        detail = waiting.pop()
        if isinstance(detail, Detail):
            for name, value in detail.args:
                if name in found and isinstance(value, str):
                    found[name] = found[name] or value
                waiting.append(value)
    return found["reason"], found["server"]


class Reopened(Struct, frozen=True):
    """The report, and how many DNS answers are not what they were when the facts were gathered.

    Remedies are rehearsed on the answers of now, and therefore left out where these differ; `changed` is None where
    nobody was asked.
    """

    report: Report
    changed: int | None


async def reopened(
    stored: Audited, subject: Subject, ports: Ports | None, rules: RuleSet, selection: Selection
) -> Reopened:
    """Judge kept facts; where there are ports, with remedies."""
    changed, audited = None, stored
    if ports is not None:
        now = await gather_facts(subject, ports, Extras(remedies=True), rules.knowledge)
        changed = len(changed_records(stored.facts, now.facts, Owner(stored.subject.domain, stored.facts)))
        if not changed:
            audited = replace(stored, subject=now.subject, basis=now.basis)
    reported = await full_report(audited, rules, selection)
    return Reopened(reported.report, changed)


OTHER_PROGRAM = Code("fleet-other-program")
CRASHED = Code("fleet-crashed", ("what",))
_OWNERS = 50_000  # names whose registered domain is remembered
_READY = 10  # domains that wait for a place at least, so that none stays empty


class FleetPlan(Struct, frozen=True):
    """What all workers of a run are told. `judged`: what their judging must come to, see fleet.work.judged_by."""

    ports: PortSettings
    folders: tuple[Path, ...]
    selection: Selection
    judged: str
    rate: float = 0.0
    workers: int = 1


class Mode(StrEnum):
    """What is to be done with a shard: GATHER everything, RETRY the domains that failed, REJUDGE the facts kept."""

    GATHER = "gather"
    RETRY = "retry"
    REJUDGE = "rejudge"


class ShardTask(Struct, frozen=True):
    """One shard to do. `before`: its files as they are, but for GATHER."""

    number: int
    subjects: tuple[tuple[FleetSubject, Subject], ...]
    mode: Mode = Mode.GATHER
    before: Mapping[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ShardTask({self.number}, {self.mode!r})"


class ShardDone(Struct, frozen=True):
    """What became of a shard.

    Attributes:
        number: its number.
        state: what the manifest is to say of it; None where its worker died, twice.
        pieces: its files, where they are not written yet.
        crashes: tracebacks of errors of this program.
        died: its worker died on it, and it was begun again.

    """

    number: int
    state: ShardState | None
    pieces: Mapping[str, bytes] = field(default_factory=dict)
    crashes: tuple[str, ...] = ()
    died: bool = False

    def __repr__(self) -> str:
        return f"ShardDone({self.number}, {self.state!r})"


class _Domain(Struct, frozen=True):
    """One domain that is done: its lines, and what they come to."""

    facts: bytes
    findings: bytes
    digest: bytes
    failed: bool

    @classmethod
    def of(cls, document: Mapping[str, Any], row: FleetRow) -> _Domain:
        """Of its document and its judgement."""
        facts, timeless = facts_line(document)
        findings = compact(to_builtins(row)).encode()
        return cls(facts, findings, hashlib.sha256(timeless + findings).digest(), row.failed)


_Before = tuple[Mapping[str, Any], FleetRow]


class Workshop:
    """One process at work, on any number of shards at once: their domains share its places, cache and pace.

    Made inside a running event loop. Raises InputError where this machine has another program or other rules.
    """

    def __init__(self, plan: FleetPlan) -> None:
        try:
            self._rules: RuleSet = load_rules(plan.folders)
        except FilesError:  # whoever planned the run has read them without fault
            raise InputError(OTHER_PROGRAM()) from None
        self._selection = plan.selection
        self._judged = plan.judged
        if judged_by(self._rules, plan.selection) != plan.judged:
            raise InputError(OTHER_PROGRAM())
        self._owner = lru_cache(_OWNERS)(registered_domain)
        ports = open_ports(plan.ports)
        self._pace: Pace | None = None
        if isinstance(ports.dns, LiveResolver):
            self._pace = Pace(plan.rate / plan.workers, plan.workers, self._owner, ports.dns)
        self._ports: Ports = replace(ports, pace=self._pace)
        self._places = Places()
        self._waiting = 0
        self._moved = asyncio.Event()

    async def close(self) -> None:
        """Release sockets."""
        await self._ports.close()

    async def hungry(self) -> None:
        """Until so few domains wait for a place that another shard is welcome."""
        while self._waiting > _READY:
            self._moved.clear()
            await self._moved.wait()

    async def shard(self, task: ShardTask) -> ShardDone:
        """Do one shard."""
        facts, findings = Lines(), Lines()
        digests: list[bytes] = [b""] * len(task.subjects)
        crashes: list[str] = []
        failed = 0
        before = _before(task)
        self._waiting += len(task.subjects)

        async def one(place: int) -> None:
            nonlocal failed
            async with self._places.taken():
                self._waiting -= 1
                self._moved.set()
                subject, asked = task.subjects[place]
                domain = await self._domain(subject, asked, task.mode, before.get(subject.domain), crashes)
            digests[place] = domain.digest
            facts.put(place, domain.facts)
            findings.put(place, domain.findings)
            failed += domain.failed

        async with asyncio.TaskGroup() as group:
            for place in range(len(task.subjects)):
                group.create_task(one(place))
        pieces = {FACTS: facts.packed(), FINDINGS: findings.packed()}
        state = ShardState(
            number=task.number,
            domains=len(task.subjects),
            failed=failed,
            retried=task.mode is Mode.RETRY,
            judged=self._judged,
            digest=shard_digest(digests),
            at=stamp(self._ports.clock.now()),
            facts=file_digest(pieces[FACTS]),
            findings=file_digest(pieces[FINDINGS]),
        )
        return ShardDone(task.number, state, pieces, tuple(crashes))

    async def _domain(
        self, subject: FleetSubject, asked: Subject, mode: Mode, before: _Before | None, crashes: list[str]
    ) -> _Domain:
        """One domain, whatever becomes of it: an error of ours costs this domain only."""
        try:
            if before is None:
                return await self._gathered(subject, asked, None, crashes)
            if mode is Mode.REJUDGE:
                return self._judged_again(subject, *before)
            return await self._gathered(subject, asked, before, crashes) if before[1].failed else _Domain.of(*before)
        except InputError as error:
            lost = error.detail
        except Exception as error:
            crashes.append(f"{subject.domain}:\n{traceback.format_exc()}")
            lost = CRASHED(what=type(error).__name__)
        if before is not None:
            return _Domain.of(*before)
        about = {"domain": subject.domain, "labels": dict(subject.labels)}
        row = FleetRow(subject.domain, subject.labels, failed=True, lost=encode(lost))
        return _Domain.of({"subject": about, "lost": encode(lost), "facts": {}, "evidence": []}, row)

    async def _gathered(
        self, subject: FleetSubject, asked: Subject, before: _Before | None, crashes: list[str]
    ) -> _Domain:
        asking = asyncio.create_task(self._name_servers(subject.domain))
        try:
            with self._pace.at_work(subject.domain) if self._pace else contextlib.nullcontext():
                audited = await gather_facts(asked, self._ports, knowledge=self._rules.knowledge)
                servers = await asking
        finally:
            asking.cancel()
        crashes += (f"{subject.domain}:\n{each}" for each in audited.crashes)
        stale: tuple[str, ...] = ()
        if before is not None and before[0]["facts"]:
            facts, stale = filled(audited.facts, audited_of(before[0]).facts)
            audited = replace(audited, facts=facts)
            servers = before[1].name_servers if servers is None else servers
        document = document_of(audited)
        document["subject"] |= {"labels": dict(subject.labels), "name_servers": servers, "stale": list(stale)}
        return _Domain.of(document, self._row(subject, audited.facts, document))

    def _judged_again(self, subject: FleetSubject, document: Mapping[str, Any], row: FleetRow) -> _Domain:
        """By the rules of today. What has no facts stays as it is."""
        if document["facts"]:
            row = self._row(subject, audited_of(document).facts, document)
        return _Domain.of(document, row)

    def _row(self, subject: FleetSubject, facts: FactSet, document: Mapping[str, Any]) -> FleetRow:
        about = document["subject"]
        servers, stale = about["name_servers"], about["stale"]
        return row_of(subject.domain, facts, self._rules, self._selection, subject.labels, servers, stale)

    async def _name_servers(self, domain: str) -> tuple[str, ...] | None:
        """Of its registered domain, by which a report groups; no fact, for no rule looks at it."""
        answer = await self._ports.of_subject().dns.query(self._owner(domain), "NS")
        match answer:
            case Found():
                return tuple(sorted(answer.values))
            case Absent():
                return ()
        return None


def _before(task: ShardTask) -> dict[str, _Before]:
    """What is kept of the domains of a shard, by name."""
    if task.mode is Mode.GATHER:
        return {}
    rows = (convert(each, FleetRow) for each in lines_of(task.before[FINDINGS]))
    return {row.domain: (document, row) for document, row in zip(lines_of(task.before[FACTS]), rows, strict=True)}
