"""Composition root: builds ports, gathers facts, judges them, makes reports. The only module that sees all layers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deliverability import __version__
from deliverability._resources import locate
from deliverability.auditors import auditors, catalogue
from deliverability.inputs import parse_domain, parse_ip, parse_mail_from, parse_selector
from deliverability.model.codec import digest, encode_facts
from deliverability.model.errors import InputError
from deliverability.model.facts import (
    FactSet,
    KeySeen,
    Purpose,
    Reason,
    Subject,
    Unknown,
    Value,
    Waiver,
    records_of,
)
from deliverability.model.opinion import SecondOpinion
from deliverability.model.report import SCHEMA_VERSION, Note, Outcome, Report, Run
from deliverability.model.rules import Receiver, RuleSet, Scope, Severity

if TYPE_CHECKING:
    from deliverability.judge.engine import Selection
    from deliverability.mail.reader import Message
    from deliverability.ports.ports import Ports
    from deliverability.runs.rehearse import Stage

T = TypeVar("T")

MAX_MESSAGE_OCTETS = 150_000_000
DOMAINS_IN_FLIGHT = 50


def rule_folders(extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The shipped rule folder and the user's, in the order in which they are merged."""
    return (locate("rules"), *extra)


def load_rules(extra: Sequence[Path] = ()) -> RuleSet:
    """The shipped rules with the user's folders merged over them by id. Raises judge.load.RuleError."""
    from deliverability.judge.load import load_rules as load
    from deliverability.remedy.names import REMEDIES

    return load(rule_folders(extra), catalogue(), REMEDIES)


@dataclass(frozen=True, slots=True)
class Sample:
    """A message to audit: its name in the report, and its octets or the file to read them from."""

    name: str
    path: Path | None = None
    data: bytes | None = None

    def read(self) -> bytes:
        """The octets. Raises InputError where the file cannot be read or is too large."""
        if self.data is not None:
            return _not_too_large(self.name, self.data)
        if self.path is None:
            raise ValueError("a sample needs a path or data")
        try:
            with self.path.open("rb") as file:
                return _not_too_large(self.name, file.read(MAX_MESSAGE_OCTETS + 1))
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}") from None


def _not_too_large(name: str, data: bytes) -> bytes:
    if len(data) > MAX_MESSAGE_OCTETS:
        raise InputError(
            f"{name}: larger than {MAX_MESSAGE_OCTETS // 1_000_000} MB, which no receiver takes; give a smaller message"
        )
    return data


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about the domains and their mail, the same for every subject of a run; made clean here.

    Raises InputError where a selector, an address or the volume cannot be one.
    """

    selectors: tuple[str, ...] = ()
    sending_ips: tuple[str, ...] = ()
    mail_from: str | None = None
    helo: str | None = None
    purpose: Purpose | None = None
    daily_volume: int | None = None
    waivers: tuple[Waiver, ...] = ()
    keys_seen: tuple[KeySeen, ...] = ()

    def __post_init__(self) -> None:
        """Bring the fields into the one spelling that the audit expects."""
        made = {
            "selectors": tuple(dict.fromkeys(map(parse_selector, self.selectors))),
            "sending_ips": tuple(dict.fromkeys(map(parse_ip, self.sending_ips))),
            "mail_from": None if self.mail_from is None else parse_mail_from(self.mail_from),
            "helo": (self.helo or "").strip() or None,
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
        if self.daily_volume is not None and self.daily_volume < 0:
            raise InputError(f"{self.daily_volume} is no number of messages a day")


@dataclass(frozen=True, slots=True)
class Job:
    """One subject to audit: a domain, a message, or both. Without a domain the message's own is taken.

    Raises InputError where the domain cannot be one; see inputs.parse_domain for what is read.
    """

    domain: str | None
    sample: Sample | None = None
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        """Bring the domain into the spelling of DNS."""
        if self.domain is not None:
            object.__setattr__(self, "domain", parse_domain(self.domain))


def plan(domains: Sequence[tuple[str, Options]], samples: Sequence[Sample], options: Options) -> list[Job]:
    """Pair domains and messages: one report each.

    A single domain takes every message. Among several, a message goes to the domain that its author domain is or
    lies below; one that fits none is audited for its own author domain.
    """
    if not domains:
        return [Job(None, sample, options) for sample in samples]
    if len(domains) == 1:
        domain, own = domains[0]
        return [Job(domain, sample, own) for sample in samples] or [Job(domain, None, own)]
    taken: dict[str, list[Sample]] = {domain: [] for domain, _ in domains}
    strays: list[Sample] = []
    for sample in samples:
        author = _own_domain(_read_message(sample.read())) or ""
        fitting = [domain for domain in taken if author == domain or author.endswith(f".{domain}")]
        taken[max(fitting, key=len)].append(sample) if fitting else strays.append(sample)
    jobs = [Job(domain, sample, own) for domain, own in domains for sample in (taken[domain] or (None,))]
    return jobs + [Job(None, sample, options) for sample in strays]


@dataclass(frozen=True, slots=True)
class Audited:
    """The facts of one subject, and what has to be said beside them.

    `stage` is what remedies are rehearsed on; None where that was not asked for, or where the facts come from a file.
    `opinion`: what other programs say of the same; None where that was not asked for.
    """

    subject: Subject
    facts: FactSet = field(repr=False)  # asyncio writes out what a task returns
    started: str
    sources: tuple[str, ...]
    crashes: tuple[str, ...] = ()
    stage: Stage | None = field(default=None, repr=False)
    opinion: SecondOpinion | None = None


async def gather_facts(job: Job, run_ports: Ports, *, staged: bool = False, second_opinion: bool = False) -> Audited:
    """Collect the facts of one subject; `staged`: so that remedies can be rehearsed on them.

    `second_opinion`: ask checkdmarc and dkimpy as well, which get the same answers and ask nobody themselves.

    Raises InputError where its message or zone file cannot be read.
    """
    from deliverability.auditors.base import gather
    from deliverability.ports.clock import stamp

    message: Message | None = None
    data: bytes | None = None
    if job.sample is not None:
        data = job.sample.read()
        message = await asyncio.to_thread(_read_message, data)
    domain = job.domain or (_own_domain(message) if message else None)
    if domain and run_ports.zones is not None:
        run_ports.zones.check([domain])
    options = job.options
    subject = Subject(
        domain=domain or "",
        message=data,
        message_name=job.sample.name if job.sample else "",
        selectors=options.selectors,
        sending_ips=options.sending_ips,
        mail_from=options.mail_from,
        helo=options.helo,
        purpose=options.purpose,
        daily_volume=options.daily_volume,
        waivers=options.waivers,
        keys_seen=options.keys_seen,
    )
    ports = run_ports.of_subject() if domain else run_ports.without_domain()
    every = auditors()
    gathered = await gather(every, subject, ports, message)
    opinion = stage = None
    if domain and second_opinion:
        from deliverability.opinion.ask import second_opinion as ask

        opinion = await ask(gathered.facts, data, ports)
    if domain and staged:
        from deliverability.runs.rehearse import Stage

        stage = Stage(every, subject, ports, message, gathered.works)
    started = stamp(ports.clock.now())
    return Audited(subject, gathered.facts, started, ports.sources, gathered.crashes, stage, opinion)


def _read_message(data: bytes) -> Message:
    from deliverability.mail.reader import read

    return read(data)


def _own_domain(message: Message) -> str | None:
    """The author domain, else the domain of the Return-Path, else that of a DKIM signature; None without any."""
    from deliverability.mail.origin import own_domain

    return own_domain(message)


def make_report(audited: Audited, rules: RuleSet, selection: Selection) -> Report:
    """Judge facts and put everything a renderer needs into one report, but for remedies: see `full_report`."""
    from deliverability.judge.engine import judge
    from deliverability.judge.grade import assessed

    judged = judge(audited.facts, rules, catalogue(), selection)
    receivers = selection.receivers or rules.providers
    findings, assessment = assessed(judged, receivers, audited.facts)
    return Report(
        schema_version=SCHEMA_VERSION,
        domain=audited.subject.domain,
        message=audited.subject.message_name,
        inputs=_inputs(audited.subject),
        facts=audited.facts,
        facts_digest=digest(encode_facts(audited.facts)),
        rules_digest=rules.digest,
        findings=findings,
        assessment=assessment,
        assumed=_assumed(audited.facts, [rules.receivers[each] for each in receivers]),
        notes=_notes(audited),
        run=Run(__version__, audited.started, audited.sources),
        second_opinion=audited.opinion,
    )


def _assumed(facts: FactSet, receivers: Sequence[Receiver]) -> Mapping[str, Value]:
    """What the user did not say and the verdicts rest on."""
    from deliverability.judge.engine import volume_classes

    assumed: dict[str, Value] = {}
    if facts.value("subject.purpose_basis") == "inferred":
        assumed["purpose"] = facts.value("subject.purpose")
        assumed["signs"] = facts.value("subject.purpose_signs")
    if any(len(volume_classes(each, facts)) > 1 for each in receivers):
        assumed["volume"] = "small-or-bulk"
    return assumed


@dataclass(frozen=True, slots=True)
class Reported:
    """The report of one subject, and what was gathered for it."""

    audited: Audited = field(repr=False)
    report: Report = field(repr=False)  # asyncio writes out what a task returns


async def full_report(audited: Audited, rules: RuleSet, selection: Selection) -> Report:
    """The report with remedies, each rehearsed, where the facts were gathered for that."""
    return (await _with_remedies(audited, rules, selection))[0]


async def _with_remedies(audited: Audited, rules: RuleSet, selection: Selection) -> tuple[Report, tuple[str, ...]]:
    """The report, and the traceback where drafting or rehearsing crashed: the findings stand all the same."""
    # Large facts of hostile records take a while to be judged and written out; other subjects go on meanwhile.
    report = await asyncio.to_thread(make_report, audited, rules, selection)
    if audited.stage is None:
        return report, ()
    from deliverability.runs.rehearse import remedies

    try:
        found, complete = await remedies(audited.stage, report, rules, catalogue(), selection)
        notes = report.notes if complete else (*report.notes, Note("remedies-unfinished"))
        return replace(report, remedies=found, notes=notes), ()
    except Exception:
        import traceback

        notes = (*report.notes, Note("remedies-failed"))
        return replace(report, notes=notes), (f"remedies:\n{traceback.format_exc()}",)


def html_part(audited: Audited) -> str | None:
    """The HTML that readers of the message see, for a preview; None without any. No report holds it."""
    if audited.subject.message is None or audited.facts.value("html.present") is not True:
        return None
    from deliverability.mail.structure import body_texts

    pages = body_texts(_read_message(audited.subject.message), "text/html")
    return pages[0].part.text() if pages else None


Lost = Callable[[Job, Exception], None]
"""Told of a job that gives no result, and why."""


def audit_many(jobs: Sequence[Job], ports: Ports, lost: Lost | None = None) -> AsyncIterator[Audited]:
    """Gather for every job, side by side under a cap, giving results in the order of the jobs.

    A job that fails is told to `lost`, and the others go on; without it, its error ends all.
    """
    return _in_order(jobs, ports, lambda job: gather_facts(job, ports), lost)


def report_many(
    jobs: Sequence[Job],
    ports: Ports,
    rules: RuleSet,
    selection: Selection,
    *,
    remedies: bool = True,
    second_opinion: bool = False,
    lost: Lost | None = None,
) -> AsyncIterator[Reported]:
    """Gather, judge and rehearse for every job, as `audit_many` does; what is given back holds no stage any more."""

    async def work(job: Job) -> Reported:
        audited = await gather_facts(job, ports, staged=remedies, second_opinion=second_opinion)
        report, crashes = await _with_remedies(audited, rules, selection)
        return Reported(replace(audited, stage=None, crashes=(*audited.crashes, *crashes)), report)

    return _in_order(jobs, ports, work, lost)


async def _in_order(
    jobs: Sequence[Job], ports: Ports, work: Callable[[Job], Coroutine[Any, Any, T]], lost: Lost | None
) -> AsyncIterator[T]:
    pending: dict[int, asyncio.Task[T]] = {}
    following = 0
    try:
        for turn in range(len(jobs)):
            while following < len(jobs) and len(pending) < DOMAINS_IN_FLIGHT:
                pending[following] = asyncio.create_task(work(jobs[following]))
                following += 1
            try:
                result = await pending.pop(turn)
            except Exception as error:
                if lost is None:
                    raise
                lost(jobs[turn], error)
                continue
            yield result
    finally:
        for task in pending.values():
            task.cancel()
        await asyncio.gather(*pending.values(), return_exceptions=True)
        await ports.close()


async def audit(
    domain: str | None = None,
    *,
    message: bytes | None = None,
    ports: Ports | None = None,
    rules: RuleSet | None = None,
    options: Options | None = None,
    remedies: bool = True,
    second_opinion: bool = False,
) -> Report:
    """Audit one domain, one message, or both together: the public call for programs.

    Without `remedies` nothing is rehearsed, and the report has findings only. With `second_opinion` it lists where
    checkdmarc and dkimpy say something else on the same answers and octets.

    Raises InputError on unusable input, judge.load.RuleError on unusable rules.
    """
    from deliverability.judge.engine import Selection

    if domain is None and message is None:
        raise InputError("give a domain, a message, or both")
    sample = Sample("message", data=message) if message is not None else None
    from deliverability.ports.open import open_ports

    chosen = ports or open_ports()
    try:
        job = Job(domain, sample, options or Options())
        audited = await gather_facts(job, chosen, staged=remedies, second_opinion=second_opinion)
        return await full_report(audited, rules or load_rules(), Selection())
    finally:
        if ports is None:
            await chosen.close()


def exit_code(report: Report, fail_on: Severity | None) -> int:
    """0 nothing about delivery at or above `fail_on` (None: never) · 1 findings · 3 look-ups that matter failed.

    An input that was not given, a message above all, is no failure.
    """
    code = 3 if report.bugs else 0
    if fail_on is None:
        return code
    for finding in report.findings:
        if finding.severity.rank < fail_on.rank or finding.waiver is not None or finding.scope is not Scope.DELIVERY:
            continue
        if finding.outcome is Outcome.UNMET:
            return 1
        if finding.unknown is not None and not finding.waits_for_input:
            code = 3
    return code


def worst_exit_code(codes: Sequence[int]) -> int:
    """The exit code of a run over several subjects: findings (1) win over what could not be checked (3)."""
    return next((code for code in (1, 3) if code in codes), 0)


def _inputs(subject: Subject) -> Mapping[str, Value]:
    given: dict[str, Value] = {
        "selectors": subject.selectors,
        "sending_ips": subject.sending_ips,
        "mail_from": subject.mail_from,
        "helo": subject.helo,
        "purpose": subject.purpose.value if subject.purpose else None,
        "daily_volume": subject.daily_volume,
    }
    return {name: value for name, value in given.items() if value not in (None, ())}


def _notes(audited: Audited) -> tuple[Note, ...]:
    facts, domain = audited.facts, audited.subject.domain
    notes: list[Note] = []
    author = facts.value("message.from_domain")
    if not domain:
        notes.append(Note("no-author-domain"))
    elif isinstance(author, str) and author != domain and not author.endswith(f".{domain}"):
        notes.append(Note("author-domain-differs", {"author": author, "domain": domain}))
    elif author is None:
        notes.append(Note("no-from", {"domain": domain}))
    if facts.value("domain.exists") is False:
        notes.append(Note("domain-nonexistent", {"domain": domain}))
    if facts.value("message.present") is False:
        if facts.value("subject.parked") is not True:  # it sends none that could be shown
            notes.append(Note("no-message"))
    else:
        notes.extend(_envelope_notes(facts))
        notes.extend(_recorded_notes(facts))
    if facts.value("message.nesting_limited") is True:
        notes.append(Note("nesting-limited"))
    published = facts.value("dkim.published")
    silent = facts.value("spf.sends_nothing") is True and not facts.value("message.present")
    if domain and not silent and isinstance(published, Unknown) and published.reason is Reason.NOT_FOUND:
        notes.append(Note("probes-missed"))
    if "replay" in audited.sources:
        notes.append(Note("replayed", {"date": audited.started}))
    if "zone" in audited.sources:
        notes.append(Note("zone-only"))
    if "with" in audited.sources:
        notes.append(Note("with-proposals"))
    return tuple(notes)


def _recorded_notes(facts: FactSet) -> Iterator[Note]:
    """What the receiver of the message recorded, and where our own result is another one, the likely reason."""
    results = {method: facts.at(f"recorded.{method}") for method in ("spf", "dkim", "dmarc", "compauth")}
    told = " ".join(f"{method}={result}" for method, result in results.items() if isinstance(result, str))
    by = facts.value("recorded.by")
    if not told or not isinstance(by, str):
        return
    yield Note("recorded", {"by": by, "results": told})
    for each in records_of(facts.value("recorded.differences")):
        method = str(each["method"]).upper()
        values = {"by": by, "method": method, "recorded": each["recorded"], "ours": each["ours"]}
        yield Note(f"recorded-differs-{each['reason']}", values)


def _envelope_notes(facts: FactSet) -> list[Note]:
    """Which envelope and connecting hop the audit used, and where it read them."""
    notes: list[Note] = []
    for name in ("mail_from", "ip", "helo"):
        value = facts.at(f"envelope.{name}")
        source = facts.at(f"envelope.{name}_source")
        if isinstance(value, str) and isinstance(source, str):
            shown = value or "<>"
            notes.append(Note(f"envelope-{name.replace('_', '-')}", {"value": shown, "source": source}))
    return notes
