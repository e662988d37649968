"""One subject: gather its facts, judge them, rehearse remedies, report; and its facts as kept JSON."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from deliverability import __version__
from deliverability.core.codec import decode_facts, encode_facts
from deliverability.core.codes import ONLY_SUBMITTED, PATH_OPEN, SENT_TO_YOURSELF, Code
from deliverability.core.errors import InputError
from deliverability.core.facts.base import FactSet, Reason, Unknown, Value
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.domain import Blocklists, Declared, Domain, Sending
from deliverability.core.facts.envelope import Envelope, Recorded
from deliverability.core.facts.message import Format, Message
from deliverability.core.facts.spf import Spf
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.kinds import own_domain
from deliverability.core.mail.parts import body_texts
from deliverability.core.mail.reader import Message as MailMessage
from deliverability.core.mail.reader import read
from deliverability.core.model.answer import FindingId, PlanStep, ReportAnswer
from deliverability.core.model.report import SCHEMA_VERSION, Assessment, Finding, Note, Report, Run, SecondOpinion
from deliverability.core.model.topic import if_known
from deliverability.core.net.clock import stamp
from deliverability.core.rules import plan
from deliverability.core.rules.answering import answer
from deliverability.core.rules.clauses import judge_profiles
from deliverability.core.rules.grade import assessed
from deliverability.core.rules.judge import Selection, judge, open_elsewhere
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.rehearse import Basis, Rehearsal, remedies, walked

if TYPE_CHECKING:
    from deliverability.core.model.knowledge import Knowledge
    from deliverability.core.model.rules import RuleSet
    from deliverability.core.net.ports import Ports


def notes_on(domain: str, facts: FactSet, started: str, sources: Sequence[str]) -> tuple[Note, ...]:
    """What has to be said about the run beside the findings.

    Args:
        domain: that was audited; empty: none could be.
        facts: what was found.
        started: when.
        sources: where answers came from, as the report names them.

    """
    notes: list[Note] = []
    author = facts.of(Message).from_domain
    if not domain:
        notes.append(Note("no-author-domain"))
    elif isinstance(author, str) and author != domain and not author.endswith(f".{domain}"):
        notes.append(Note("author-domain-differs", {"author": author, "domain": domain}))
    elif author is None:
        notes.append(Note("no-from", {"domain": domain}))
    if facts.of(Domain).exists is False:
        notes.append(Note("domain-nonexistent", {"domain": domain}))
    if facts.of(Message).present is False:
        if facts.of(Sending).parked is not True:  # it sends none that could be shown
            notes.append(Note("no-message"))
    else:
        notes.extend(_envelope_notes(facts))
        notes.extend(_recorded_notes(facts))
    if facts.of(Format).nesting_limited is True:
        notes.append(Note("nesting-limited"))
    published = facts.of(Dkim).published
    silent = facts.of(Spf).sends_nothing is True and not facts.of(Message).present
    if domain and not silent and isinstance(published, Unknown) and published.reason is Reason.NOT_FOUND:
        notes.append(Note("probes-missed"))
    asked = [each.name for each in (if_known(facts.of(Blocklists).lists) or ()) if each.asked]
    if asked:
        notes.append(Note("blocklists", {"lists": tuple(asked)}))
    if "replay" in sources:
        notes.append(Note("replayed", {"date": started}))
    if "zone" in sources:
        notes.append(Note("zone-only"))
    if "plan" in sources:
        notes.append(Note("plan-laid"))
    if "with" in sources:
        notes.append(Note("with-proposals"))
    return tuple(notes)


def _recorded_notes(facts: FactSet) -> Iterator[Note]:
    """What the receiver of the message recorded, and where our own result is another one, the likely reason."""
    recorded = facts.of(Recorded)
    results = {"spf": recorded.spf, "dkim": recorded.dkim, "dmarc": recorded.dmarc, "compauth": recorded.compauth}
    stated = " ".join(f"{method}={result}" for method, result in results.items() if isinstance(result, str))
    by = recorded.by
    if not stated or not isinstance(by, str):
        return
    yield Note("recorded", {"by": by, "results": stated})
    for each in if_known(recorded.differences) or ():
        method = each.method.upper()
        values = {"by": by, "method": method, "recorded": each.recorded, "ours": each.ours}
        yield Note(f"recorded-differs-{each.reason}", values)


def _envelope_notes(facts: FactSet) -> list[Note]:
    """Which envelope and connecting hop the audit used, and where it read them."""
    notes: list[Note] = []
    envelope = facts.of(Envelope)
    for name, value, source in (
        ("mail-from", envelope.mail_from, envelope.mail_from_source),
        ("ip", envelope.ip, envelope.ip_source),
        ("helo", envelope.helo, envelope.helo_source),
    ):
        if isinstance(value, str) and isinstance(source, str):
            notes.append(Note(f"envelope-{name}", {"value": value or "<>", "source": source}))
    address = envelope.ip
    if if_known(envelope.passed_on_signs):
        last, by = envelope.connecting_ip, envelope.passed_on_by
        notes.append(Note("passed-on", {"by": by or last, "ip": address, "last": last}))
    if isinstance(address, Unknown) and SENT_TO_YOURSELF.matches(address.detail):
        notes.append(Note("sent-to-yourself"))
    if isinstance(address, Unknown) and ONLY_SUBMITTED.matches(address.detail):
        notes.append(Note("only-submitted"))
    if isinstance(address, Unknown) and address.detail is not None and PATH_OPEN.matches(address.detail):
        notes.append(Note("path-open", {each: str(address.detail.arg(each)) for each in ("relay", "sent", "last")}))
    return notes


class Extras(Struct, frozen=True):
    """What is wanted beside the facts and their judgement.

    Attributes:
        remedies: each drafted and rehearsed.
        second_opinion: what checkdmarc and dkimpy say; they get the same answers and ask nobody themselves.
        html: what the readers of the message see, for a preview.
        basis: what it takes to audit the same subject once more, kept when the report is made.

    """

    remedies: bool = False
    second_opinion: bool = False
    html: bool = False
    basis: bool = False


NOTHING_MORE = Extras()
REMEDIES_UNFINISHED = "remedies-unfinished"  # of the note that time was too short to rehearse all
NO_SUBJECT = Code("no-subject")
NO_DNS_PROVIDER = Code("no-dns-provider", ("name", "known"))


class Audited(Struct, frozen=True):
    """The facts of one subject, and what has to be said beside them.

    Attributes:
        subject: what was audited.
        facts: what was found.
        started: when the audit began.
        sources: where answers came from, as the report names them.
        crashes: tracebacks of what failed by an error of this program.
        basis: what remedies are rehearsed on; None where none are wanted, or where the facts come from a file.
        opinion: what other programs say of the same; None where that was not wanted.
        html: the HTML part that the readers of the message see; None where it was not wanted, or there is none.

    """

    subject: Subject
    facts: FactSet
    started: str
    sources: tuple[str, ...]
    crashes: tuple[str, ...] = ()
    basis: Basis | None = None
    opinion: SecondOpinion | None = None
    html: str | None = None

    def __repr__(self) -> str:  # asyncio writes out what a task returns
        return f"Audited({self.subject!r})"


async def gather_facts(
    subject: Subject, run_ports: Ports, extras: Extras = NOTHING_MORE, knowledge: Knowledge | None = None
) -> Audited:
    """Collect the facts of one subject; without `knowledge` things are looked up in what is shipped.

    Raises InputError where its message or zone file cannot be read.
    """
    message: MailMessage | None = None
    data: bytes | None = None
    domain, purpose, sample = subject.domain, subject.purpose, subject.sample
    if sample is not None:
        data = sample.read()
        message = await asyncio.to_thread(read, data)
        domain = domain or own_domain(message) or ""
        purpose = sample.purpose or purpose
    if domain and run_ports.zones is not None:
        run_ports.zones.check([domain])
    if subject.dns_provider:
        _check_provider(subject.dns_provider, knowledge)
    subject = replace(subject, domain=domain, purpose=purpose)
    ports = run_ports.of_subject(domain) if domain else run_ports.without_domain()
    every = auditors()
    gathered = await gather(every, subject, ports, message, knowledge=knowledge)
    opinion = basis = None
    if domain and extras.second_opinion:
        from deliverability.engine.second_opinion.ask import second_opinion

        opinion = await second_opinion(gathered.facts, data, ports)
    if domain and extras.remedies:
        basis = Basis(every, subject, ports, message, gathered.executions)
    html = _html(message) if message and extras.html else None
    started = stamp(ports.clock.now())
    return Audited(subject, gathered.facts, started, ports.sources, gathered.crashes, basis, opinion, html)


def _check_provider(ident: str, knowledge: Knowledge | None) -> None:
    """Raises InputError where the rule folders know no such DNS provider."""
    known = (knowledge or shipped()).dns_providers
    if ident not in known:
        raise InputError(NO_DNS_PROVIDER(name=ident, known=tuple(known)))


def _html(message: MailMessage) -> str | None:
    pages = body_texts(message, "text/html")
    return pages[0].part.text() if pages else None


class JudgedFacts(Struct, frozen=True):
    """What the rules make of facts: the findings, and what they come to. All that a fleet needs of a domain."""

    findings: tuple[Finding, ...]
    assessment: Assessment


def judge_facts(facts: FactSet, rules: RuleSet, selection: Selection) -> JudgedFacts:
    """Findings, verdicts and grade, and nothing else: no plan, no answer, no digests."""
    found = judge(facts, rules, catalogue(), selection)
    return JudgedFacts(*assessed(found, selection.receivers or rules.providers, facts, rules, selection))


def make_report(audited: Audited, rules: RuleSet, selection: Selection) -> Report:
    """Judge facts and put everything a renderer needs into one report, but for remedies: see `full_report`."""
    return _answered(_judged_report(audited, rules, selection), rules)


def _judged_report(audited: Audited, rules: RuleSet, selection: Selection) -> Report:
    """The report without remedies and without its answer."""
    judged = judge_facts(audited.facts, rules, selection)
    return Report(
        schema_version=SCHEMA_VERSION,
        domain=audited.subject.domain,
        message=audited.subject.message_name,
        inputs=_inputs(audited.subject),
        facts=audited.facts,
        rules_digest=rules.digest,
        findings=judged.findings,
        assessment=judged.assessment,
        notes=notes_on(audited.subject.domain, audited.facts, audited.started, audited.sources),
        run=Run(__version__, audited.started, audited.sources),
        second_opinion=audited.opinion,
        selection=selection,
        profiles=judge_profiles(selection.profiles, audited.facts, rules, catalogue()),
    )


def _answered(report: Report, rules: RuleSet) -> Report:
    """The report with its answer; what a step gains is counted, for there is no remedy."""
    steps = plan.steps(report, rules)
    steps = plan.with_gains(steps, report.verdicts, plan.by_tally(steps, report, rules))
    return replace(report, answer=_answer(report, rules, steps))


def _answer(report: Report, rules: RuleSet, steps: Sequence[PlanStep]) -> ReportAnswer:
    elsewhere = open_elsewhere(report.facts, rules, catalogue(), report.selection)
    return answer(report, rules, steps, elsewhere)


class Reported(Struct, frozen=True):
    """The report of one subject, and what was gathered for it; no basis for remedies any more."""

    audited: Audited
    report: Report

    def __repr__(self) -> str:
        return f"Reported({self.audited!r})"


async def full_report(audited: Audited, rules: RuleSet, selection: Selection) -> Reported:
    """The report with remedies, each rehearsed, where the facts were gathered for that.

    Where drafting or rehearsing crashes, the findings stand all the same.
    """
    # Large facts of hostile records take a while to be judged and written out; other subjects go on meanwhile.
    if audited.basis is None:
        return Reported(audited, await asyncio.to_thread(make_report, audited, rules, selection))
    report = await asyncio.to_thread(_judged_report, audited, rules, selection)
    crashes = audited.crashes
    try:
        report = await _with_remedies(report, audited.basis, rules, selection)
    except Exception:
        report = _answered(replace(report, notes=(*report.notes, Note("remedies-failed"))), rules)
        crashes = (*crashes, f"remedies:\n{traceback.format_exc()}")
    return Reported(replace(audited, basis=None, crashes=crashes), report)


async def _with_remedies(report: Report, basis: Basis, rules: RuleSet, selection: Selection) -> Report:
    rehearsal = Rehearsal(basis, rules, catalogue(), selection)
    found, complete = await remedies(rehearsal, report)
    if not complete:
        report = replace(report, notes=(*report.notes, Note(REMEDIES_UNFINISHED)))
    full, refused = replace(report, remedies=found), frozenset[FindingId]()
    steps, in_order = plan.steps(full, rules), False
    while True:
        walk = await walked(steps, rehearsal, full)
        if walk.remedies != full.remedies or not walk.refused <= refused:
            # What one step leaves to another makes another plan, which is carried out anew.
            full, refused = replace(full, remedies=walk.remedies), refused | walk.refused
            steps, in_order = plan.steps(full, rules, refused), False
            continue
        gained = plan.with_gains(walk.steps, full.verdicts, walk.after)
        if in_order or [each.edits for each in gained] == [each.edits for each in steps]:
            return replace(full, answer=_answer(full, rules, gained))
        # What is folded comes later, if at all: without it the steps before have to do what they promise as well.
        steps, in_order = gained, True


async def report_on(
    subject: Subject, ports: Ports, rules: RuleSet, selection: Selection, extras: Extras = NOTHING_MORE
) -> Reported:
    """Gather, judge and rehearse. Raises InputError as `gather_facts` does."""
    audited = await gather_facts(subject, ports, extras, rules.knowledge)
    reported = await full_report(audited, rules, selection)
    if extras.basis:
        return Reported(replace(reported.audited, basis=audited.basis), reported.report)
    return reported


def _inputs(subject: Subject) -> Mapping[str, Value]:
    given: dict[str, Value] = {
        "selectors": subject.selectors,
        "sending_ips": subject.sending_ips,
        "mail_from": subject.mail_from,
        "helo": subject.helo,
        "purpose": subject.purpose.value if subject.purpose else None,
        "daily_volume": subject.daily_volume,
        "dns_provider": subject.dns_provider,
        "taken_from": subject.taken_from,
    }
    return {name: value for name, value in given.items() if value not in (None, ())}


def document_of(audited: Audited) -> dict[str, Any]:
    """The document of what was gathered: ``{"subject": {...}, "facts": {...}, "evidence": [...]}``."""
    subject = {
        "domain": audited.subject.domain,
        "message": audited.subject.message_name or None,
        "started": audited.started,
        "sources": list(audited.sources),
    }
    return {"subject": subject, **encode_facts(audited.facts)}


def audited_of(document: Any) -> Audited:
    """What was gathered, from its document. Raises ValueError, and RecursionError where it is nested too deep."""
    facts = decode_facts(document)
    about = document.get("subject") if isinstance(document.get("subject"), dict) else {}
    domain = about.get("domain") or facts.of(Declared).domain
    message = str(about.get("message") or "")
    sources = about.get("sources")
    return Audited(
        Subject(domain if isinstance(domain, str) else "", Sample(message) if message else None),
        facts,
        str(about.get("started") or ""),
        tuple(str(each) for each in sources) if isinstance(sources, list) else (),
    )


def has_failures(facts: FactSet) -> bool:
    """Whether a fact is unknown, though all that it needs was given, because a look-up failed."""
    unknown = {value.reason for fact in facts if isinstance(value := fact.value, Unknown)}
    return not all(reason.waits_for_input for reason in unknown)
