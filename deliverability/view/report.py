"""The presentation model of a report: all its words in reading order, so that the formats only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from deliverability.model.codes import Detail
from deliverability.model.facts import Reason
from deliverability.model.placeholders import placeholders
from deliverability.model.report import Note, Report
from deliverability.view import verdicts
from deliverability.view.answer import AnswerView, answer_view
from deliverability.view.checks import by_topic, by_urgency, check_views, evidence_view
from deliverability.view.diagrams import Diagrams, diagrams
from deliverability.view.evidence import ReceiverListView, TopicView, receiver_lists, summary_words, topic_views
from deliverability.view.findings import FindingIndex, FindingView, finding_views, moment
from deliverability.view.guide import GuideView, guide_view
from deliverability.view.opinion import opinion_view
from deliverability.view.parts import (
    CheckView,
    EvidenceView,
    GuideStepView,
    OpinionView,
    RemedyView,
    StepView,
    UncheckedView,
    VerdictGroupView,
    VerdictView,
    WaitingView,
)
from deliverability.view.plan import PlanView, plan_view
from deliverability.view.preview import Preview, preview
from deliverability.view.remedies import first_steps, remedy_views
from deliverability.view.savings import SavingsView, savings
from deliverability.view.trace import Traces, traces
from deliverability.words.details import detail_words
from deliverability.words.sentences import Phrases, format_value, octets, shortened, visible
from deliverability.words.speaker import Speaker

# What they say changes how the whole report is to be read; the other notes say how it was made.
_WARNINGS = ("domain-nonexistent", "author-domain-differs", "no-author-domain", "no-from", "with-proposals", "replayed")
_LEVELS = ("error", "warning", "info")


class ReportView:
    """One report in the words of one language. Each part is made when it is first asked for, and once."""

    def __init__(self, report: Report, speaker: Speaker, *, key: str = "", html: str = "") -> None:
        """Take the report.

        Args:
            report: what is shown; formats without words read it as it is.
            speaker: what it is put into words with.
            key: keeps anchors apart where several reports share a page.
            html: the HTML part of its message, for the preview.

        """
        self.report = report
        self.speaker = speaker
        self.key = key
        self._html = html
        self._prefix = f"{key}-" if key else ""

    # --- what was audited, and how ---

    @property
    def domain(self) -> str:
        """The domain, or that there is none."""
        return visible(self.report.domain) or self.speaker.say("label.no-domain")

    @property
    def message(self) -> str:
        """The name of the message; empty: none."""
        return visible(shortened(self.report.message))

    @property
    def subject(self) -> str:
        """Domain and message, as a heading of what was audited."""
        return f"{self.domain} ({visible(self.report.message)})" if self.report.message else self.domain

    @property
    def started(self) -> str:
        """When the audit began."""
        return moment(self.report.run.started)

    @property
    def version(self) -> str:
        """The version of the program."""
        return self.report.run.version

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the answers came from."""
        return tuple(_run_source(source, self.speaker.say) for source in self.report.run.sources)

    @property
    def facts_digest(self) -> str:
        """The beginning of the digest of the facts."""
        return self.report.facts_digest[:12]

    @property
    def rules_digest(self) -> str:
        """The beginning of the digest of the rules."""
        return self.report.rules_digest[:12]

    @property
    def notes(self) -> tuple[str, ...]:
        """All remarks on the run."""
        return _notes(self.report.notes, self.speaker.say)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Remarks that change how the whole report is to be read."""
        return _notes([note for note in self.report.notes if note.code in _WARNINGS], self.speaker.say)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The other remarks."""
        return _notes([note for note in self.report.notes if note.code not in _WARNINGS], self.speaker.say)

    # --- answer ---

    @cached_property
    def answer(self) -> AnswerView:
        """The answer: sentence, groups or tiles, chain, and what it rests on."""
        say = self.speaker.say
        sources = () if set(self.report.run.sources) <= {"dns", "live"} else self.sources
        meta = tuple(filter(None, (self.message or say("label.dns-only"), self.started, *sources)))
        return answer_view(self.report, self._index, self.speaker, meta=meta, remarks=self.warnings[:2])

    @cached_property
    def plan(self) -> PlanView:
        """What to do, in order."""
        return plan_view(self.report, self._index, self.speaker)

    @cached_property
    def guide_table(self) -> GuideView:
        """The steps of the guide and where each stands."""
        return guide_view(self.report, self._index, self.speaker)

    @property
    def summary(self) -> str:
        """The last line: grade, counts, who refuses, the first step."""
        return summary_words(self.report, self.counts, self.speaker.say)

    @cached_property
    def receiver_lists(self) -> tuple[ReceiverListView, ...]:
        """Each receiver's own list."""
        return receiver_lists(self.report, self.findings, self._anchors, self.speaker)

    @cached_property
    def topic_views(self) -> tuple[TopicView, ...]:
        """All checks by topic, by what became of them."""
        return topic_views(self.topics, self.speaker.say)

    @cached_property
    def _anchors(self) -> Mapping[str, str]:
        """Where each rule stands on a page, its unmet findings before the others."""
        ranked = sorted(self.checks, key=lambda check: check.to_do)
        return {check.rule: check.anchor for check in ranked if check.outcome != "not-applicable"}

    @cached_property
    def _index(self) -> FindingIndex:
        return FindingIndex(self.findings, self._anchors, self.speaker.say)

    @property
    def parked(self) -> bool:
        """The domain is judged as one that sends nothing."""
        return self.report.assessment.parked

    @cached_property
    def lead(self) -> str:
        """The answer in one sentence; empty where one receiver alone was asked about."""
        return verdicts.lead(self.report, self.checks, self.speaker)

    @property
    def grade(self) -> str:
        """The grade in words."""
        return verdicts.grade_words(self.report, self.speaker.say)

    @property
    def assumed(self) -> tuple[str, ...]:
        """What the answer rests on and the user did not say."""
        return verdicts.assumptions(self.report, self.speaker.say)

    @cached_property
    def verdicts(self) -> tuple[VerdictView, ...]:
        """What each receiver does."""
        return tuple(
            verdicts.verdict_view(each, self.report, self.checks, self.speaker) for each in self.report.verdicts
        )

    @cached_property
    def verdict_groups(self) -> tuple[VerdictGroupView, ...]:
        """The same, once for those that decide alike."""
        return verdicts.verdict_groups(self.verdicts, self.speaker.say)

    @property
    def records(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Where there was no message, the records that the answer rests on, each by its name and type."""
        facts = self.report.facts
        return verdicts.published_records(facts) if facts.value("message.present") is False else ()

    @property
    def problems(self) -> str:
        """How many errors and warnings there are."""
        say, counts = self.speaker.say, self.counts
        if not counts["error"] and not counts["warning"]:
            return say("summary.clean")
        return say("summary.problems", errors=str(counts["error"]), warnings=str(counts["warning"]))

    # --- findings ---

    @cached_property
    def findings(self) -> tuple[FindingView, ...]:
        """The findings one by one."""
        return tuple(finding_views(self.report, self.speaker))

    @cached_property
    def checks(self) -> tuple[CheckView, ...]:
        """The findings with those of one rule together, in the order of the report."""
        return check_views(self.findings, self.report, self.speaker, self._evidence, self._prefix)

    @cached_property
    def topics(self) -> tuple[tuple[str, tuple[CheckView, ...]], ...]:
        """All checks by topic."""
        return by_topic(self.checks, self.speaker.say)

    @cached_property
    def todo(self) -> tuple[CheckView, ...]:
        """What is not met and counts, the most urgent first."""
        return by_urgency((check for check in self.checks if check.to_do), self.speaker)

    @property
    def information(self) -> tuple[CheckView, ...]:
        """What is good to know."""
        rules = self.speaker.rules.rules
        return tuple(check for check in self._of("unmet") if rules[check.rule].information)

    @property
    def met(self) -> tuple[CheckView, ...]:
        """What is met."""
        return self._of("met")

    @property
    def waived(self) -> tuple[CheckView, ...]:
        """What the user accepts."""
        return self._of("waived")

    @property
    def unchecked(self) -> tuple[UncheckedView, ...]:
        """What could not be checked, by the reason."""
        return _unchecked(self._of("unknown"))

    @cached_property
    def waiting(self) -> tuple[WaitingView, ...]:
        """The inputs that were not given, the one most checks wait for first."""
        return _waiting(self.report, self.checks, self.speaker.say)

    @property
    def complete(self) -> bool:
        """Nothing failed to be checked and nothing waits."""
        return not self.unchecked and not self.waiting

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many checks there are of each kind: by severity what is to do, and met, unknown and waiting."""
        levels = {level: sum(check.severity == level for check in self.todo) for level in _LEVELS}
        return levels | {outcome: len(self._of(outcome)) for outcome in ("met", "unknown", "waiting")}

    def _of(self, outcome: str) -> tuple[CheckView, ...]:
        return tuple(check for check in self.checks if check.outcome == outcome)

    # --- plan ---

    @cached_property
    def first(self) -> tuple[StepView, ...]:
        """What to do first."""
        return first_steps(self.todo, self.remedies)

    @property
    def then(self) -> tuple[CheckView, ...]:
        """What is to do beside that."""
        taken = {step.check.anchor for step in self.first}
        return tuple(check for check in self.todo if check.anchor not in taken)

    @property
    def remedies(self) -> tuple[RemedyView, ...]:
        """The records to publish."""
        return self._remedies[0]

    @property
    def later(self) -> tuple[RemedyView, ...]:
        """Remedies for information only, which wait while mail has a fault."""
        return self._remedies[1]

    @cached_property
    def _remedies(self) -> tuple[tuple[RemedyView, ...], tuple[RemedyView, ...]]:
        return remedy_views(self.report, self.checks, self.speaker, self._prefix)

    @cached_property
    def savings(self) -> SavingsView | None:
        """What would make the message lighter."""
        return savings(self.report.facts, self.speaker.say)

    @cached_property
    def guide(self) -> tuple[GuideStepView, ...]:
        """The steps of the guide and where each stands."""
        return _guide(self.checks, self.speaker)

    # --- evidence ---

    @cached_property
    def diagrams(self) -> Diagrams:
        """Who is who, the SPF tree, the DMARC ladder, sizes."""
        return diagrams(self.report, self.speaker)

    @cached_property
    def traces(self) -> Traces:
        """How SPF and DKIM were evaluated."""
        return traces(self.report, self.speaker.say)

    @cached_property
    def opinion(self) -> OpinionView | None:
        """What other programs make of the same."""
        found = self.report.second_opinion
        return opinion_view(found, self.speaker.say) if found else None

    @cached_property
    def preview(self) -> Preview | None:
        """The message as its readers see it; None where its HTML part was not handed over."""
        return preview(self._html) if self._html else None

    @property
    def too_large(self) -> str:
        """That the message is too large for the preview; empty where it is not."""
        if self.preview is None or self.preview.document:
            return ""
        return self.speaker.say("preview.too-large", size=octets(self.preview.octets, self.speaker.say))

    @property
    def evidence(self) -> tuple[EvidenceView, ...]:
        """The observations that findings rest on, each once."""
        cited = dict.fromkeys(ident for finding in self.report.findings for ident in finding.evidence)
        return tuple(self._evidence[ident] for ident in cited if ident in self._evidence)

    @cached_property
    def _evidence(self) -> Mapping[str, EvidenceView]:
        seen = sorted(self.report.facts.evidence.items())
        return {
            ident: evidence_view(each, f"{self._prefix}e{number}", self.speaker.say)
            for number, (ident, each) in enumerate(seen, 1)
        }


def _unchecked(checks: Sequence[CheckView]) -> tuple[UncheckedView, ...]:
    reasons: dict[str, dict[tuple[str, str, str], None]] = {}
    for check in checks:
        for instance in check.instances:
            title = f"{check.headline} ({instance.item})" if instance.item else check.headline
            reasons.setdefault(instance.message, {})[(title, check.rule, check.anchor)] = None
    return tuple(UncheckedView(reason, tuple(rules)) for reason, rules in reasons.items())


def _waiting(report: Report, checks: Sequence[CheckView], say: Phrases) -> tuple[WaitingView, ...]:
    """The inputs that were not given, the one most checks wait for first."""
    names: dict[str, dict[str, str]] = {}
    by_rule = {check.rule: check.headline for check in checks if check.outcome == "waiting"}
    for finding in report.findings:
        if finding.rule not in by_rule:
            continue
        if finding.unknown is not None and finding.waits_for_input:
            message = finding.unknown.reason is Reason.NO_MESSAGE
            words = say("waiting.no-message") if message else _input(finding.unknown.detail, say)
            names.setdefault(words, {})[finding.rule] = by_rule[finding.rule]
    ordered = sorted(names.items(), key=lambda each: -len(each[1]))
    return tuple(WaitingView(words, tuple(dict.fromkeys(of.values())), len(of)) for words, of in ordered)


def _input(detail: Detail | None, say: Phrases) -> str:
    """What to give, or what was tried in vain."""
    return visible(shortened(detail_words(detail, say))) if detail else say("waiting.other")


def _guide(checks: Sequence[CheckView], speaker: Speaker) -> tuple[GuideStepView, ...]:
    say = speaker.say
    steps = []
    for step in speaker.guide:
        key = str(step.get("key", ""))
        members = [e for e in checks if key in speaker.rules.rules[e.rule].guide]
        state = _guide_state(members, step.get("shown_by") or ())
        links = tuple((e.headline, e.anchor) for e in members if e.outcome == "unmet" and e.severity != "none")
        title, text = _in_language(step.get("step"), say.lang), _in_language(step.get("correction"), say.lang)
        steps.append(GuideStepView(visible(key), visible(title), visible(text), state, say(f"guide.{state}"), links))
    return tuple(steps)


def _in_language(words: Any, lang: str) -> str:
    return str(words.get(lang, "")) if isinstance(words, Mapping) else ""


def _guide_state(members: Sequence[CheckView], shown_by: Sequence[str]) -> str:
    """Where a step stands. It is done only where what it asks for was itself observed, by a rule of `shown_by`."""
    if not members:
        return "manual"
    # What is only good to know keeps no step waiting.
    outcomes = {e.outcome for e in members if (e.outcome, e.severity) not in (("waiting", "info"), ("waiting", "none"))}
    outcomes = outcomes or {"waiting"}
    if any(e.outcome == "unmet" and e.severity in ("error", "warning") for e in members):
        return "todo"
    if any(e.outcome == "unmet" and e.severity == "info" for e in members):
        return "partly"
    for outcome, state in (("unknown", "unknown"), ("waiting", "waiting"), ("waived", "partly"), ("met", "done")):
        if outcome in outcomes:
            seen = not shown_by or any(e.rule in shown_by and e.outcome == "met" for e in members)
            return state if state != "done" or seen else "manual"
    return "not-applicable"


def _notes(notes: Iterable[Note], say: Phrases) -> tuple[str, ...]:
    """Every note as a sentence; those on the envelope share one, in the place of the first."""
    texts: dict[str, str] = {}
    envelope: list[str] = []
    for note in notes:
        key = f"envelope.{note.code.removeprefix('envelope-')}"
        if note.code.startswith("envelope-") and key in say:
            source = str(note.values.get("source"))
            origin = say(f"envelope-source.{source}") if f"envelope-source.{source}" in say else visible(source)
            envelope.append(say(key, value=format_value(note.values.get("value"), None, say), source=origin))
            texts["envelope"] = say("note.envelope", parts=say("site_separator").join(envelope))
        else:
            texts[f"{note.code}{len(texts)}"] = _note(note, say)
    return tuple(texts.values())


def _note(note: Note, say: Phrases) -> str:
    shown = {key: moment(format_value(value, None, say)) for key, value in note.values.items()}
    pairs = say("site_separator").join(say("note.pair", name=visible(k), value=v) for k, v in shown.items())
    key = f"note.{note.code}"
    if key in say and placeholders(say.texts[key]) <= shown.keys():
        return say(key, **shown)
    return say("note.other", code=visible(note.code), values=pairs)


def _run_source(source: str, say: Phrases) -> str:
    return say(f"run-source.{source}") if f"run-source.{source}" in say else visible(source)
