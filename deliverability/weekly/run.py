"""One weekly run from lock to published pages; safe to kill at any moment.

It begins with the reports of receivers, which are counted once however often they are read. What is kept where while it
goes on: each subject's pages and entry in ``OUT/.run-N/``, then its snapshot in the
history. Once all are there, the start page is written, the folder becomes ``OUT/DATE``, ``OUT/latest`` points to it,
and the history marks the run as finished. A run that was killed goes on at the first step that is missing; where that
is long ago, it begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from msgspec import Struct, convert, field
from msgspec.structs import replace

from deliverability import __version__
from deliverability.core.codec import decode_detail, encode, json_text
from deliverability.core.codes import ABOUT, Detail
from deliverability.core.errors import InputError, reason_of, set_aside
from deliverability.core.facts.base import FactSet, KeySeen, Value, texts_of
from deliverability.core.facts.message import Message
from deliverability.core.files import HALF_WRITTEN, PRIVATE, PRIVATE_FOLDER, PUBLIC, WholeFile, move, write_whole
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.answer import FindingId, ReceiverEffect
from deliverability.core.model.deliveries import Audience
from deliverability.core.model.history import ChangeKind, Comparison, GateSeen, RecordChange, Snapshot, StoredFinding
from deliverability.core.model.report import Finding, Outcome, Report, Verdict
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.names import is_within
from deliverability.core.net.clock import stamp
from deliverability.core.net.ports import Ports
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.report.formats.table import START, PageStems, page_name
from deliverability.core.rules.gate import gate_of
from deliverability.core.rules.grade import assess
from deliverability.core.rules.judge import Selection, fingerprint, judge
from deliverability.core.store.causes import Judged, Trials, other_settings, waivers_of
from deliverability.core.store.diff import compare, last_known
from deliverability.core.store.observations import Observations
from deliverability.core.store.pieces import Packed, pack
from deliverability.core.store.store import DamagedError, History, HistoryError, HistoryRun, SubjectDigest
from deliverability.core.store.texts import named
from deliverability.core.words.sentences import sentences
from deliverability.core.words.speaker import Speaker
from deliverability.core.words.steps import step_words
from deliverability.engine.audit import REMEDIES_UNFINISHED, Audited, Extras, report_on
from deliverability.engine.base import catalogue
from deliverability.engine.proof import RecordTrials, Wait, stored, wait_in
from deliverability.engine.rules import exit_code, worst_exit_code
from deliverability.engine.stream import collecting_seldom, stream
from deliverability.intake.run import IntakePlan, take_in
from deliverability.observing import Observer, Observing, one_subject, with_lists_seen, with_policies_seen
from deliverability.weekly.messages import WeeklySubject
from deliverability.weekly.traffic import (
    DETAILS,
    SOURCES,
    gate_week,
    is_gate_judged,
    moved_sources,
    reported_elsewhere,
    traffic_of,
)
from deliverability.weekly.trend import certain_grade, measures_of, stage_of
from deliverability.weekly.values import SUMMARY, FindingText, ReceiverVerdict, Summary, WeeklyEntry, from_json, to_json

LATEST = "latest"
STALE_AFTER = timedelta(hours=12)
"""A run that was killed goes on within this time; after it, everything is looked up anew."""


class Pages(Protocol):
    """Writes pages. The run decides where and when."""

    def subject(self, report: Report, entry: WeeklyEntry, history: History, lang: str) -> str:
        """The full report of one subject."""
        ...

    def start(self, summary: Summary, history: History, lang: str) -> str:
        """The start page: what changed first, then every domain."""
        ...


class Plan(Struct, frozen=True):
    """What a run does.

    Attributes:
        subjects: in the order of the settings.
        output: the folder of the pages.
        keep: how many runs stay as pages; None: all.
        fail_on: severity from which on findings give exit code 1; None: never.
        audience: whom the mail goes to; None: nobody said.
        only_new: only findings that are new since the run before do.
        public: the pages may be read by everybody on this machine, as a web server needs it; else by the user alone.
        intake: reports of receivers that are read first; None: none.
        observing: how those that are kept are looked at; None: not at all.

    """

    subjects: tuple[WeeklySubject, ...]
    ports: Ports
    rules: RuleSet
    selection: Selection
    output: Path
    keep: int | None = None
    fail_on: Severity | None = Severity.ERROR
    only_new: bool = False
    public: bool = False
    intake: IntakePlan | None = None
    observing: Observing | None = None
    audience: Audience | None = None

    @property
    def page_mode(self) -> int:
        """Permissions of a page."""
        return PUBLIC if self.public else PRIVATE

    @property
    def folder_mode(self) -> int:
        """Permissions of a folder of pages."""
        return 0o755 if self.public else PRIVATE_FOLDER


def read_summary(file: Path) -> Summary:
    """A summary as it was written. Raises InputError where it cannot be read."""
    try:
        data = json.loads(file.read_text("utf-8"))
        entries = tuple(from_json(each) for each in data["subjects"])
        removed = tuple(data["removed"])
        previous, folder, version = data["previous"] or "", file.parent.name, data["version"]
        unread = tuple(each for problem in data["unread"] if (each := decode_detail(problem)) is not None)
        audience = convert(data["audience"], Audience | None)
        code = data["exit_code"]
        return Summary(data["started"], previous, entries, code, folder, removed, version, unread, audience)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(ABOUT(what=str(file), detail=str(error))) from None


async def weekly(
    plan: Plan,
    history: History,
    pages: Pages,
    tick: Callable[[str], None],
    notify: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Do one run, or go on with one that was killed, and give its summary. Hold `only_one` and the history around it.

    Args:
        plan: what to do.
        history: where runs are kept.
        pages: writes the pages.
        tick: called with the domain of each subject that is done.
        notify: writes what is to be sent, before the run counts as finished; may be called again after a kill.

    """
    now = plan.ports.clock.now()
    run = history.begin(stamp(now), __version__)
    published = _published(plan.output, run)
    if _is_stale(run, now):
        # Killed long ago. Pages that were ready are told of late; what was not ready would be told as if of today.
        if published is not None:
            _close(plan, history, run, read_summary(published / SUMMARY), notify)
            published = None
            run = history.begin(stamp(now), __version__)
        else:
            shutil.rmtree(_work(plan, run), ignore_errors=True)
            run = history.restart(run, stamp(now))
    if published is None:
        work = _work(plan, run)
        work.mkdir(PRIVATE_FOLDER, exist_ok=True)
        for half_written in work.glob(HALF_WRITTEN):
            half_written.unlink()
        unread = await _intake(plan, history, work)
        names = PageStems()
        stems = [names.of(subject.domain) for subject in plan.subjects]
        await _Subjects(plan, history, pages, run, work, _Before.of(plan, history)).go(stems, tick)
        entries = [work / f"{stem}.json" for stem in stems]
        summary = _summary(plan, history, run, entries, unread)
        for lang in LANGUAGES:
            write_whole(work / page_name(START, lang), pages.start(summary, history, lang), mode=plan.page_mode)
        _write_summary(work / SUMMARY, summary, entries)
        write_whole(work / _RUN, _mark(run), mode=PRIVATE)
        work.chmod(plan.folder_mode)
        os.sync()  # the files of the subjects, all at once, before they are published
        published = _publish(plan.output, work, run)
        return _close(plan, history, run, replace(summary, folder=published.name), notify)
    return _close(plan, history, run, read_summary(published / SUMMARY), notify)


def _close(
    plan: Plan, history: History, run: HistoryRun, summary: Summary, notify: Callable[[Summary], None]
) -> Summary:
    """What is left to do once the pages are out."""
    published = plan.output / summary.folder
    _point_latest(plan.output, published)
    notify(summary)
    history.finish(run, stamp(plan.ports.clock.now()))
    _tidy(plan.output, plan.keep, published)
    return summary


_INTAKE = ".intake"


async def _intake(plan: Plan, history: History, work: Path) -> tuple[Detail, ...]:
    """Read the reports that came; what could not be read or reached, by this run before it was killed as well.

    Nothing of that keeps the domains from being audited. Raises HistoryError where nothing can be kept at all.
    """
    if plan.intake is None:
        return ()
    file = work / _INTAKE
    problems: list[Detail] = []
    with contextlib.suppress(OSError, ValueError):
        problems = [each for one in json.loads(file.read_text("utf-8")) if (each := decode_detail(one)) is not None]
    try:
        found = await take_in(plan.intake, Observations(history))
        problems += [ABOUT(what=each.name, detail=each.detail) for each in found.problems if each.lost]
    except HistoryError:
        raise
    except InputError as error:
        problems += error.details
    except Exception as error:
        problems.append(reason_of(error))
    problems = [*dict.fromkeys(problems)][:_MOST_UNREAD]
    if problems:
        write_whole(file, json_text([encode(each) for each in problems]), mode=PRIVATE, lasting=False)
    return tuple(problems)


_MOST_UNREAD = 20


def _work(plan: Plan, run: HistoryRun) -> Path:
    return plan.output / f".run-{run.id}"


def _is_stale(run: HistoryRun, now: datetime) -> bool:
    with contextlib.suppress(ValueError):
        return now - datetime.fromisoformat(run.started) > STALE_AFTER
    return False


# --- The subjects ---


class _Before(Struct, frozen=True):
    """The finished run before: what each subject was in it, and the folder of its pages where that is still there."""

    run: HistoryRun | None = None
    subjects: Mapping[tuple[str, str], SubjectDigest] = field(default_factory=dict)
    folder: Path | None = None

    @classmethod
    def of(cls, plan: Plan, history: History) -> _Before:
        """Raises HistoryError."""
        finished = [each for each in history.runs() if each.finished]
        if not finished:
            return cls()
        run = finished[-1]
        return cls(run, history.states_of(run), _published(plan.output, run))

    def began(self, subject: WeeklySubject) -> str:
        """When it audited the subject. Raises KeyError where it did not."""
        return self.subjects[subject.domain, subject.source].started

    def entry(self, report: Report, source: str, stem: str, packed: Packed) -> WeeklyEntry | None:
        """Its entry of the subject, where it found the same, by the same rules and the same program."""
        known = self.subjects.get((report.domain, source))
        if self.run is None or self.folder is None or known is None or self.run.version != __version__:
            return None
        if (known.digest, known.rules_digest) != (packed.digest, report.rules_digest):
            return None
        entry = _read_entry(self.folder / f"{stem}.json")
        if entry is None or (entry.domain, entry.source, entry.message) != (report.domain, source, report.message):
            return None
        return entry if _says_it(entry.content, report) else None

    def take_pages(self, entry: WeeklyEntry, work: Path, mode: int) -> bool:
        """Take over the pages of an entry; whether they were all there, and readable for the same people."""
        if self.folder is None or not entry.pages:
            return False
        try:
            for name in entry.pages.values():
                if stat.S_IMODE((self.folder / name).stat().st_mode) != mode:
                    return False
                _take_over(self.folder / name, work / name)
        except OSError:
            return False
        return True


def _take_over(old: Path, new: Path) -> None:
    """The same file under another name, or a copy where the disk does not know that. Raises OSError."""
    new.unlink(missing_ok=True)
    try:
        new.hardlink_to(old)
    except OSError:
        shutil.copy2(old, new)


def _quiet(entry: WeeklyEntry) -> Comparison | None:
    """Its comparison, where that tells of nothing that changed, failed or is seen for the first time."""
    found = entry.comparison
    if found is None or not found.previous or entry.problems or entry.failures:
        return None
    if (entry.traffic and entry.traffic.has_news) or (entry.gate and entry.gate.has_news):
        return None
    news = found.verdicts or found.records or found.settings
    return None if news or any(each.kind is not ChangeKind.STILL for each in found.changes) else found


def _tells_the_same(before: WeeklyEntry, entry: WeeklyEntry) -> bool:
    """Whether a page would say what that of the run before says, which compared with another run itself."""
    if before.comparison is None or entry.comparison is None or not before.comparison.previous:
        return False
    like = replace(before.comparison, previous=entry.comparison.previous)
    return replace(before, comparison=like, exit_code=entry.exit_code) == entry


class _Subjects(Struct, frozen=True):
    plan: Plan
    history: History
    pages: Pages
    run: HistoryRun
    work: Path
    before: _Before

    async def go(self, stems: Sequence[str], tick: Callable[[str], None]) -> None:
        """Audit what this run has not audited yet; each subject is kept as soon as it is done."""
        done = self.history.recorded(self.run)
        waiting = []
        for subject, stem in zip(self.plan.subjects, stems, strict=True):
            if (subject.domain, subject.source) in done and _read_entry(self.work / f"{stem}.json"):
                tick(subject.domain)
            else:
                waiting.append((subject, stem))
        seen = self._keys_seen()
        observer = self._observer()

        async def gathered_of(each: tuple[WeeklySubject, str]) -> _Gathered:
            subject, _ = each
            lost: list[Exception] = []
            with one_subject(lost.append):  # what is kept of it is no condition for looking at it
                if observer is not None and observer.knows(subject.domain):
                    subject = replace(subject, asked=await asyncio.to_thread(observer.observed, subject.asked))
                if subject.asked.lists_wanted is not None:
                    arguments = (subject.asked, self.history, self.run.started)
                    subject = replace(subject, asked=await asyncio.to_thread(with_lists_seen, *arguments))
                if self.plan.ports.permissions.fetch:
                    arguments = (subject.asked, self.history, self.run.started)
                    subject = replace(subject, asked=await asyncio.to_thread(with_policies_seen, *arguments))
            return await _gathered(subject, self.plan, seen, tuple(map(reason_of, lost)))

        found = stream(waiting, gathered_of, ordered=False)
        wait = wait_in(asyncio.get_running_loop())
        with collecting_seldom():
            async for (subject, stem), gathered in found:
                # In a thread: while pages are written, the look-ups of the next subjects go on and do not time out.
                await asyncio.to_thread(self._keep_or_tell, subject, stem, gathered, wait)
                tick(subject.domain)

    def _observer(self) -> Observer | None:
        plan = self.plan
        if plan.observing is None:
            return None
        return Observer(self.history, plan.observing, plan.ports.clock.now(), self.run.started)

    def _keys_seen(self) -> tuple[KeySeen, ...]:
        """The keys ever seen; those that a domain had when it was last looked at count as last seen of late.

        So a domain whose look-ups failed last time, or that this run has not come to before it was killed, does not
        seem to have none.
        """
        keys = self.history.keys()
        newest: dict[str, str] = {}
        for key in keys:
            newest[key.domain] = max(key.last_seen, newest.get(key.domain, ""))
        of_late = max(newest.values(), default="")
        own = tuple(subject.domain for subject in self.plan.subjects)

        def is_current(key: KeySeen) -> bool:
            planned = any(is_within(key.domain, each) for each in own)
            return planned and key.last_seen == newest[key.domain]

        return tuple(replace(key, last_seen=of_late) if is_current(key) else key for key in keys)

    def _keep_or_tell(self, subject: WeeklySubject, stem: str, gathered: _Gathered, wait: Wait) -> None:
        """As `_keep`; what one subject is the fault of is told at it, and the others go on.

        Where nothing can be kept at all (a full disk, a database that is gone), the run ends and is gone on with later.
        """
        lost: list[Exception] = []
        with one_subject(lost.append, OSError):
            self._keep(subject, stem, gathered, wait)
        if lost:
            self._keep(subject, stem, _Gathered(problems=(reason_of(lost[0]),)), wait)

    def _keep(self, subject: WeeklySubject, stem: str, gathered: _Gathered, wait: Wait) -> None:
        audited, report = gathered.audited, gathered.report
        if audited is None or report is None:
            entry = WeeklyEntry(subject.domain, subject.source, "", problems=gathered.problems, failures=1, exit_code=3)
            _write_entry(self.work / f"{stem}.json", entry)
            return
        packed = pack(_snapshot(subject, audited, report, self.plan), self.history.key)
        renamed: Mapping[str, str] = {}
        before = None if gathered.problems else self.before.entry(report, subject.source, stem, packed)
        gone: list[str] = []
        if before is not None and (comparison := _quiet(before)) is not None:
            # All is as it was, and nothing was news then: there is nothing to compare.
            comparison = replace(comparison, previous=self.before.began(subject))
            entry = replace(before, comparison=comparison, exit_code=_exit_code(report, comparison, self.plan))
            if any(self.plan.rules.rules[each.rule].tells_dates for each in comparison.changes):
                entry = replace(entry, texts=_all_texts(report, _Compared(comparison), self.plan.rules))
        else:
            entry, gone, renamed = self._compared(subject, audited, report, packed, gathered.problems, wait)
            entry = replace(entry, pages={lang: page_name(stem, lang) for lang in LANGUAGES})
        mode = self.plan.page_mode
        same = before is not None and _tells_the_same(before, entry)
        if not (same and self.before.take_pages(entry, self.work, mode)):
            for lang, name in entry.pages.items():
                text = self.pages.subject(report, entry, self.history, lang)
                write_whole(self.work / name, text, mode=mode, lasting=False)
        _write_entry(self.work / f"{stem}.json", entry)
        self.history.record(self.run, packed, gone, renamed)

    def _compared(
        self,
        subject: WeeklySubject,
        audited: Audited,
        report: Report,
        packed: Packed,
        problems: Sequence[Detail],
        wait: Wait,
    ) -> tuple[WeeklyEntry, list[str], Mapping[str, str]]:
        """The entry without pages, the fingerprints of findings that there are no longer, and those of sources that
        go by another name now.
        """
        lost = [*problems]

        def damaged(found: DamagedError) -> None:
            lost.extend(found.details)

        compared = self._compare(packed, report, damaged, self._trials_of(audited, report, wait))
        now = {each.fingerprint for each in report.findings}
        gone = [each.fingerprint for each in compared.comparison.of(ChangeKind.GONE) if each.fingerprint not in now]
        entry = _entry(subject, audited, report, compared, self.plan)
        if lost:
            entry = replace(entry, problems=tuple(lost), exit_code=worst_exit_code((entry.exit_code, 3)))
        return entry, gone, compared.moved

    def _compare(
        self,
        packed: Packed,
        report: Report,
        damaged: Callable[[DamagedError], None],
        trials: Callable[[Mapping[str, RecordChange], FactSet], Trials] | None,
    ) -> _Compared:
        plan, snapshot = self.plan, packed.snapshot
        domain, source = snapshot.domain, snapshot.source
        earlier = self.history.earlier(self.run, packed, newest=_LOOK_BACK, damaged=damaged)
        if source and _has_message(snapshot.facts):
            # Where the message could not be read for a week, what is known of mail is what was known before.
            earlier = _with_message_first(earlier)
        old = last_known(earlier)
        moved = {} if old is None else _moved(old, snapshot, plan.rules)
        states = self.history.states(domain, source, before=self.run)
        states = {moved.get(ident, ident): state for ident, state in states.items()}
        if old is None:
            return _Compared(compare(None, snapshot, report.findings, states))
        old = _under_todays_names(old, moved)
        known = (*old.findings, *snapshot.findings)
        ruled = _judged(old.facts, plan.rules, _selection_of(old, plan), known)
        settled = None
        if other_settings(old, snapshot):
            settled = _judged(_settled(old, snapshot), plan.rules, plan.selection, known)
        comparison = compare(old, snapshot, report.findings, states, ruled, settled, plan.rules.rules, trials)
        return _Compared(comparison, old.facts, ruled, moved)

    def _trials_of(
        self, audited: Audited, report: Report, wait: Wait
    ) -> Callable[[Mapping[str, RecordChange], FactSet], Trials] | None:
        basis, plan = audited.basis, self.plan
        if basis is None:
            return None
        return lambda records, before: RecordTrials(
            basis, report, records, before, plan.rules, catalogue(), plan.selection, wait
        )


def _known_again(findings: Sequence[Finding], stored: Sequence[StoredFinding]) -> tuple[Finding, ...]:
    """Findings about facts whose texts the history did not keep, with the fingerprints that their own names gave."""
    by_name = {(each.rule, each.item): each.fingerprint for each in stored}
    return tuple(replace(each, fingerprint=by_name.get((each.rule, each.item), each.fingerprint)) for each in findings)


_LOOK_BACK = 8
"""How many runs back what a failed look-up would have said is looked for."""


class _Compared(Struct, frozen=True):
    """A comparison, and the old facts as they are judged now.

    `moved`: fingerprints of findings about sources that go by another name now, and those they have now.
    """

    comparison: Comparison
    facts: FactSet = field(default_factory=lambda: FactSet({}, {}))
    ruled: Judged = field(default_factory=Judged)
    moved: Mapping[str, str] = field(default_factory=dict)


def _moved(old: Snapshot, new: Snapshot, rules: RuleSet) -> dict[str, str]:
    """Findings about sources that go by another name now: fingerprint then -> fingerprint of the same now."""
    names = moved_sources(old.facts, new.facts)
    return {
        each.fingerprint: fingerprint(each.rule, names[each.item], new.facts)
        for each in old.findings
        if each.item in names and each.rule in rules.rules and rules.rules[each.rule].each == SOURCES
    }


def _under_todays_names(old: Snapshot, moved: Mapping[str, str]) -> Snapshot:
    if not moved:
        return old
    findings = (replace(each, fingerprint=moved.get(each.fingerprint, each.fingerprint)) for each in old.findings)
    return replace(old, findings=tuple(findings))


def _with_message_first(snapshots: Iterator[Snapshot]) -> Iterator[Snapshot]:
    """The newest snapshot that has a message and those before it; all, where none has."""
    without: list[Snapshot] = []
    for each in snapshots:
        if _has_message(each.facts):
            yield each
            yield from snapshots
            return
        without.append(each)
    yield from without


def _has_message(facts: FactSet) -> bool:
    return facts.of(Message).present is True


def _judged(facts: FactSet, rules: RuleSet, selection: Selection, known: Sequence[StoredFinding]) -> Judged:
    findings = _known_again(judge(facts, rules, catalogue(), selection), known)
    assessment = assess(findings, selection.receivers or rules.providers, facts, rules, selection)
    return Judged.of(findings, assessment.verdicts)


def _selection_of(old: Snapshot, plan: Plan) -> Selection:
    """What was judged then, of what there still is."""
    given = {name: texts_of(old.inputs.get(name)) for name in _SELECTION}
    given["receivers"] = tuple(each for each in given["receivers"] if each in plan.rules.receivers)
    return Selection(**given)


_SELECTION = ("select", "ignore", "receivers")


def _settled(old: Snapshot, new: Snapshot) -> FactSet:
    """The old facts with what the user says today; what is only inferred, or came with time, stays as it was."""
    same_waivers = waivers_of(old.facts) == waivers_of(new.facts)
    same_purpose = old.inputs.get("purpose") == new.inputs.get("purpose")

    def stays(path: str) -> bool:
        if path == "subject.waivers":
            return same_waivers
        return same_purpose and path.startswith(("subject.purpose", "subject.parked"))

    inputs = {path: fact for path, fact in new.facts.facts.items() if path.startswith("subject.") and not stays(path)}
    return FactSet({**old.facts.facts, **inputs}, old.facts.evidence)


class _Gathered(Struct, frozen=True):
    """The facts and the report of a subject, or why there are none (or none of its message)."""

    audited: Audited | None = None
    report: Report | None = None
    problems: tuple[Detail, ...] = ()


async def _gathered(
    subject: WeeklySubject, plan: Plan, seen: tuple[KeySeen, ...], lost: tuple[Detail, ...] = ()
) -> _Gathered:
    """A message that cannot be read is told, and the domain is audited without it. `lost`: what else is to be told."""
    problems = [*subject.problems, *lost]

    def tell(error: Exception) -> None:
        problems[:] = [*lost, *(error.details if isinstance(error, InputError) else (reason_of(error),))]

    async def audited(sample: Sample | None) -> _Gathered:
        asked = replace(subject.asked, sample=sample, keys_seen=seen, source_details=True)
        found = await report_on(asked, plan.ports, plan.rules, plan.selection, Extras(remedies=True, basis=True))
        return _Gathered(found.audited, replace(found.report, audience=plan.audience), tuple(problems))

    if subject.picked is not None:
        with set_aside(tell):
            return await audited(subject.picked.sample())
    with set_aside(tell):
        return await audited(None)
    return _Gathered(problems=tuple(problems))


def _snapshot(subject: WeeklySubject, audited: Audited, report: Report, plan: Plan) -> Snapshot:
    return Snapshot(
        domain=subject.domain,
        source=subject.source,
        started=audited.started,
        inputs={
            **report.inputs,
            **{name: getattr(plan.selection, name) for name in _SELECTION},
            **_of_sources(audited.subject),
        },
        facts=_without_details(audited.facts),
        findings=tuple(stored(each, report, plan.rules) for each in report.findings),
        assessment=report.assessment,
        rules_digest=report.rules_digest,
        gate=_gate(report, plan.rules),
    )


def _gate(report: Report, rules: RuleSet) -> GateSeen | None:
    answer = gate_of(report.facts, report.findings, rules, report.selection) if is_gate_judged(report) else None
    return GateSeen(answer.to, answer.kind) if answer else None


def _without_details(facts: FactSet) -> FactSet:
    """What each source sent by address and day is for the page of this run: the history has it in the reports."""
    known = facts.facts.get(DETAILS)
    if known is None or not isinstance(known.value, tuple):
        return facts
    return FactSet({**facts.facts, DETAILS: replace(known, value=())}, facts.evidence)


def _of_sources(subject: Subject) -> dict[str, Value]:
    """What the user says of sources and of rare mail, where reports are read."""
    if subject.observed is None:
        return {}
    words = tuple(f"{each.owner.value} {' '.join(each.match)} {each.domain}" for each in subject.source_words)
    return {"sources": words, "rare": subject.rare}


def _entry(subject: WeeklySubject, audited: Audited, report: Report, compared: _Compared, plan: Plan) -> WeeklyEntry:
    whole, before, ruled = compared.comparison, compared.facts, compared.ruled
    changes = tuple(each for each in whole.changes if not reported_elsewhere(each, plan.rules))
    comparison = replace(whole, changes=changes)
    compared = replace(compared, comparison=comparison)
    unmet = [each for each in report.findings if each.outcome is Outcome.UNMET and each.waiver is None]
    return WeeklyEntry(
        domain=subject.domain,
        source=subject.source,
        message=report.message,
        verdicts=tuple(_verdict(each) for each in report.verdicts),
        grade=certain_grade(report.assessment),
        comparison=comparison,
        texts=_all_texts(report, compared, plan.rules),
        counts={
            severity.value: sum(each.severity is severity for each in unmet)
            for severity in (Severity.ERROR, Severity.WARNING, Severity.INFO)
        },
        failures=len(report.failures),
        exit_code=_exit_code(report, comparison, plan),
        measures=measures_of(report.facts),
        stage=stage_of(report.facts) or "",
        stage_before=stage_of(before) or "",
        closed=_CLOSED[report.assessment.closed] if report.assessment.parked else "",
        content=_content(report),
        traffic=traffic_of(report, whole, before, audited.subject.observed, plan.rules),
        gate=gate_week(report, whole, before, ruled.findings.values(), plan.rules),
    )


def _content(report: Report) -> str:
    """What may be otherwise although the same was found: the recipients, and the advice, each as a digest."""
    remedies = [(each.rule, each.item, each.code) for each in report.remedies]
    parts = report.audience, (remedies, [each.code for each in report.notes])
    texts = (repr(each).encode("utf-8", "backslashreplace") for each in parts)
    return " ".join(hashlib.sha256(text).hexdigest()[:16] for text in texts)


def _says_it(content: str, report: Report) -> bool:
    """Whether a page that found the same says all that the report does.

    Remedies are drafted in bounded time: on a busy machine fewer may be ready. They stood their rehearsal on the same
    facts by the same rules, so that a page which has them is right, and says more.
    """
    now = _content(report)
    if any(each.code == REMEDIES_UNFINISHED for each in report.notes):
        return content.partition(" ")[0] == now.partition(" ")[0]
    return content == now


def _verdict(verdict: Verdict) -> ReceiverVerdict:
    effects = dict.fromkeys(ReceiverEffect(each.effect, each.contested) for each in verdict.effects)
    return ReceiverVerdict(verdict.receiver, verdict.verdict, tuple(effects))


_CLOSED = {True: "closed", False: "open", None: "unknown"}


def _all_texts(report: Report, compared: _Compared, rules: RuleSet) -> dict[str, dict[str, FindingText]]:
    return {lang: dict(_texts(report, compared, rules, lang)) for lang in LANGUAGES}


def _texts(report: Report, compared: _Compared, rules: RuleSet, lang: str) -> Iterator[tuple[str, FindingText]]:
    """The changes in words, by fingerprint; of what is not judged any more only what was looked at."""
    speaker = Speaker(rules, catalogue(), lang)
    now = {each.fingerprint: each for each in report.findings}
    steps = {each: step for step in report.answer.plan for each in step.findings}
    for change in compared.comparison.changes:
        ident = change.fingerprint
        if (finding := now.get(ident)) is not None:
            words = sentences(finding, rules, lang, catalogue(), report.facts)
            step = steps.get(FindingId(finding.rule, finding.item))
            first = step_words(step, report, speaker).what if step else "".join(words.fix[:1])
            yield ident, FindingText(words.heading, words.message, first)
        elif (finding := compared.ruled.findings.get(ident)) is not None:
            words = sentences(finding, rules, lang, catalogue(), compared.facts)
            yield ident, FindingText(named(words.noun, phrases(lang)("weekly.name-not-kept")), "", "")


def _exit_code(report: Report, comparison: Comparison, plan: Plan) -> int:
    """As `deliv audit`; with `only_new`, of the unmet findings only those count that are new, or were less severe."""
    if not plan.only_new or plan.fail_on is None:
        return exit_code(report, plan.fail_on)
    least = plan.fail_on.rank
    news = {
        each.fingerprint
        for each in comparison.changes
        if each.kind is ChangeKind.NEW or (each.was is not None and each.was.rank < least)
    }
    counted = [each for each in report.findings if each.outcome is not Outcome.UNMET or each.fingerprint in news]
    return exit_code(replace(report, findings=tuple(counted)), plan.fail_on, only_findings=True)


# --- The run as a whole ---


def _write_entry(path: Path, entry: WeeklyEntry) -> None:
    write_whole(path, json_text(to_json(entry)), mode=PRIVATE, lasting=False)


def _read_entry(path: Path) -> WeeklyEntry | None:
    """An entry, where it can be read; that of a run which another version began may not be."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return from_json(json.loads(path.read_text("utf-8")))
    return None


def _summary(
    plan: Plan, history: History, run: HistoryRun, files: Sequence[Path], unread: tuple[Detail, ...]
) -> Summary:
    entries = tuple(_without_unchanged(from_json(json.loads(file.read_text("utf-8")))) for file in files)
    finished = [each for each in history.runs() if each.finished and each.id != run.id]
    partly = bool(unread) or (plan.audience is not None and not plan.audience.complete)
    code = worst_exit_code([*(entry.exit_code for entry in entries), *([3] if partly else [])])
    if any(entry.unchecked for entry in entries):
        code = 3  # a domain that nobody looked at is not outweighed by what was found at others
    said = Summary(run.started, "", entries, code, version=__version__, unread=unread, audience=plan.audience)
    if not finished:
        return said
    before = {domain for domain, _ in history.recorded(finished[-1])}
    removed = tuple(sorted(before - {subject.domain for subject in plan.subjects}))
    return replace(said, previous=finished[-1].started, removed=removed)


def _without_unchanged(entry: WeeklyEntry) -> WeeklyEntry:
    """The entry without the words of what stayed as it was, which nobody is told: most of what it holds."""
    changes = entry.comparison.changes if entry.comparison else ()
    still = {each.fingerprint for each in changes if each.kind is ChangeKind.STILL}
    texts = {
        lang: {ident: text for ident, text in words.items() if ident not in still}
        for lang, words in entry.texts.items()
    }
    return replace(entry, texts=texts)


def _write_summary(path: Path, summary: Summary, entries: Sequence[Path]) -> None:
    """The JSON summary, with the entries as they were written: one after the other, for there may be thousands."""
    counts = {"new": summary.count_new, "mended": summary.count_mended}
    head = json_text(replace(summary, entries=()).to_json() | counts, indent=2)
    begin, _, end = head.partition('"subjects": []')
    file = WholeFile(path, PRIVATE)
    try:
        file.write(f'{begin}"subjects": ['.encode())
        for number, each in enumerate(entries):
            text = json_text(json.loads(each.read_text("utf-8")), indent=2).replace("\n", "\n    ")
            file.write(f"{',' if number else ''}\n    {text}".encode())
        file.write(f"\n  ]{end}\n".encode() if entries else f"]{end}\n".encode())
        file.keep()
    finally:
        file.drop()


_RUN = ".run"


def _published(output: Path, run: HistoryRun) -> Path | None:
    """The folder of the pages of a run, where they are published."""
    for folder in output.iterdir():
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith("."):
            mark = folder / _RUN
            if mark.exists() and mark.read_text() == _mark(run):
                return folder
    return None


def _mark(run: HistoryRun) -> str:
    """What a folder says of the run that it is of; in another history there may be one of the same number."""
    return f"{run.id} {run.started}"


def _publish(output: Path, work: Path, run: HistoryRun) -> Path:
    """Give the finished folder its name, in one step: the date, with a number where there is one of that day."""
    date = run.started[:10]
    same_day = [_age(each)[1] for each in output.iterdir() if _DATED.fullmatch(each.name) and each.name[:10] == date]
    target = output / (f"{date}-{max(same_day) + 1}" if same_day else date)
    move(work, target)
    return target


def _point_latest(output: Path, target: Path) -> None:
    fresh = output / ".latest"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    move(fresh, output / LATEST)


_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(?:-(\d+))?")


def _age(folder: Path) -> tuple[str, int]:
    match = _DATED.fullmatch(folder.name)
    return folder.name[:10], int(match[1] or 1) if match else 1


def _tidy(output: Path, keep: int | None, current: Path) -> None:
    """Remove pages of runs beyond the newest `keep`, and work folders of runs that are no more."""
    dated = [each for each in output.iterdir() if each.is_dir() and _DATED.fullmatch(each.name)]
    dated = [each for each in dated if (each / _RUN).exists()]
    dated.sort(key=_age)
    old = dated[: -keep or None] if keep else []
    leftovers = [each for each in output.glob(".run-*") if each.is_dir()]
    for folder in (*old, *leftovers):
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)
