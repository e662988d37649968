"""The presentation model of a report: all its words in reading order, so that formats only lay them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING

from deliverability.core.facts.base import Value
from deliverability.core.facts.traffic import OwnMessages
from deliverability.core.model.answer import Reach
from deliverability.core.model.report import SECTIONS, Difference, Note, Outcome, Report, SecondOpinion, Unheard
from deliverability.core.phrases import Phrases, placeholders
from deliverability.core.report.answer import AnswerView, answer_view
from deliverability.core.report.audience import AudienceView, audience_view
from deliverability.core.report.checks import CheckView, by_topic, check_views
from deliverability.core.report.evidence import (
    GuideView,
    OpenView,
    ReceiverListView,
    TopicView,
    grade_words,
    guide_view,
    open_views,
    receiver_lists,
    still_spam,
    summary_words,
    topic_views,
)
from deliverability.core.report.findings import Exhibits, FindingIndex, FindingView, finding_views, receiver_short
from deliverability.core.report.parts import DifferenceView, EvidenceView, OpinionView
from deliverability.core.report.plan import PlanView, plan_view
from deliverability.core.report.profiles import ProfileView, profile_view
from deliverability.core.words.sentences import format_value, moment_words, octets, shortened, visible
from deliverability.core.words.speaker import Speaker, judged, section_words

if TYPE_CHECKING:
    from deliverability.core.report.diagrams import Diagrams
    from deliverability.core.report.preview import Preview
    from deliverability.core.report.savings import SavingsView
    from deliverability.core.report.sources import SourcesView
    from deliverability.core.report.trace import Traces


_SENDERS = 12
"""Sources of a group that a report shows; `deliv sources` has all of them."""


def opinion_view(opinion: SecondOpinion, say: Phrases) -> OpinionView:
    """What checkdmarc and dkimpy make of the same answers and octets."""
    if opinion.differences:
        lead = say.count("opinion.lead-differ", len(opinion.differences))
    elif opinion.compared:
        lead = say.count("opinion.lead-agree", opinion.compared)
    else:
        lead = say("opinion.lead-none")
    return OpinionView(
        lead,
        tuple(_difference(each, say) for each in opinion.differences),
        tuple(_unheard(each, say) for each in opinion.unheard),
    )


def _tool(topic: str) -> str:
    return "dkimpy" if topic == "dkim" else "checkdmarc"


def _difference(each: Difference, say: Phrases) -> DifferenceView:
    tool = _tool(each.topic)
    text = say(
        "opinion.difference",
        topic=say(f"opinion.topic.{each.topic}"),
        subject=visible(each.subject),
        aspect=say(f"opinion.aspect.{each.aspect}"),
        ours=_value(each.ours, say),
        theirs=_value(each.theirs, say),
        tool=tool,
    )
    if each.reason is None:
        reason = say("opinion.unexplained")
    else:
        standard, sections = SECTIONS[each.reason]
        where = f"{standard} {section_words(sections, say)}"
        reason = say("opinion.because", reason=say(f"opinion.reason.{each.reason}"), where=where)
    words = say("opinion.said", tool=tool, words=visible(each.said)) if each.said else ""
    return DifferenceView(text, reason, words)


def _unheard(each: Unheard, say: Phrases) -> str:
    why = say(f"opinion.why.{each.why}", tool=_tool(each.topic))
    if not each.subject:
        return say("opinion.unheard-all", why=why)
    return say("opinion.unheard", topic=say(f"opinion.topic.{each.topic}"), subject=visible(each.subject), why=why)


def _value(value: Value, say: Phrases) -> str:
    """A status in words; everything else as the records write it."""
    if value is None or value == ():
        return say("opinion.value.nothing")
    if isinstance(value, tuple):
        return say("value.separator").join(visible(str(each)) for each in value)
    key = f"opinion.value.{value}"
    return say(key) if key in say else visible(str(value))


# What they say changes how the whole report is to be read; the other notes say how it was made.
_WARNINGS = (
    "domain-nonexistent",
    "author-domain-differs",
    "no-author-domain",
    "no-from",
    "with-proposals",
    "plan-laid",
    "replayed",
)
_ADDRESS_SHOWN = 60
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
        if not self.report.message:
            return self.domain
        return self.domain + self.speaker.say("punctuation.aside", text=visible(self.report.message))

    @cached_property
    def senders(self) -> SourcesView | None:
        """Who sends as the domain; None where no reports of it were read."""
        if not isinstance(self.report.facts.of(OwnMessages).messages, int):
            return None
        from deliverability.core.report.sources import sources_view

        return sources_view(self.report, self.speaker, _SENDERS)

    @property
    def started(self) -> str:
        """When the audit began."""
        return visible(moment_words(self.report.run.started, self.speaker.say))

    @property
    def version(self) -> str:
        """The version of the program."""
        return self.report.run.version

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the answers came from."""
        return tuple(_run_source(source, self.speaker.say) for source in self.report.run.sources)

    @property
    def judged(self) -> str:
        """What filters left to be judged; empty: everything was judged."""
        return judged(self.report.selection, self.speaker)

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
        given = self.report.inputs.get("taken_from")
        taken = (
            say("label.taken-from", text=visible(shortened(given, _ADDRESS_SHOWN))) if isinstance(given, str) else ""
        )
        mail = visible(shortened(PurePath(self.report.message).name)) if self.report.message else say("label.dns-only")
        limited = say("judged.label", judged=self.judged) if self.judged else ""
        meta = tuple(filter(None, (taken, mail, limited, self.started, *sources)))
        return answer_view(self.report, self._index, self.speaker, meta=meta, remarks=self.warnings[:2])

    @property
    def default_set(self) -> str:
        """That nobody chose receivers; empty where somebody did, and where none has a verdict."""
        verdicts = () if self.report.selection.receivers else self.report.verdicts
        return self.speaker.say.count("judged.default", len(verdicts)) if verdicts else ""

    @cached_property
    def plan(self) -> PlanView:
        """What to do, in order."""
        counts = self.counts
        todo = counts["error"] + counts["warning"] + counts["info"]
        return plan_view(self.report, self._index, self.speaker, todo=todo)

    @cached_property
    def guide_table(self) -> GuideView:
        """The steps of the guide and where each stands."""
        return guide_view(self.report, self._index, self.speaker)

    @cached_property
    def audience(self) -> AudienceView | None:
        """The recipients; None where none were given, and of a domain that sends nothing or told nothing."""
        found = self.report.audience
        if found is None or self.parked or self.report.answer.reach is Reach.NONE:
            return None
        return audience_view(self.report, found, self.speaker)

    @property
    def summary(self) -> str:
        """The last line: grade, counts, who refuses, the first step."""
        return summary_words(self.report, self.counts, self.speaker)

    @cached_property
    def receiver_lists(self) -> tuple[ReceiverListView, ...]:
        """Each receiver's own list."""
        return receiver_lists(self.report, self.findings, self._anchors, self.speaker)

    @cached_property
    def topic_views(self) -> tuple[TopicView, ...]:
        """All checks by topic, by what became of them."""
        return topic_views(self.topics, self.speaker.say, with_waiting=not self.parked)

    @cached_property
    def judged_topics(self) -> tuple[TopicView, ...]:
        """The same without what waits for an input."""
        return topic_views(self.topics, self.speaker.say, with_waiting=False)

    @property
    def waits(self) -> tuple[OpenView, ...]:
        """What waits for an input, by what it waits for."""
        return () if self.parked else open_views(self._of("waiting"), self.speaker.say)

    @property
    def receiver_counts(self) -> str:
        """What the line over the receivers' lists says: each with its count."""
        return " · ".join(
            f"{receiver_short(each.id, self.speaker)} {each.count}".rstrip() for each in self.receiver_lists
        )

    @property
    def summary_of_checks(self) -> str:
        """What the line over all checks says: grade and counts."""
        say, counts = self.speaker.say, self.counts
        numbers = {
            "todo": counts["error"] + counts["warning"] + counts["info"],
            "met": counts["met"],
            "left": counts["unknown"],
            "waiting": 0 if self.parked else counts["waiting"],
        }
        parts = [grade_words(self.report, self.speaker)]
        parts += [say.count(f"checks.{key}", n) for key, n in numbers.items() if n]
        graded = self.report.assessment.open
        return " · ".join([*parts, *([say.count("summary.open", graded)] if graded else [])])

    @property
    def how_parts(self) -> tuple[str, ...]:
        """What is shown of how it was checked, by name."""
        say, drawn = self.speaker.say, self.diagrams
        parts = {
            "spf": drawn.spf or self.traces.spf,
            "dkim": self.traces.dkim,
            "dmarc": drawn.dmarc,
            "size": drawn.size,
            "html": drawn.html,
            "preview": self.preview,
            "opinion": self.opinion,
        }
        return tuple(say(f"checks.part.{key}") for key, found in parts.items() if found)

    @cached_property
    def still_spam(self) -> tuple[tuple[str, str, str], ...]:
        """Where receivers show what is not judged here; empty while something is to mend."""
        return still_spam(self.report, self.speaker)

    @cached_property
    def steps_by_rule(self) -> Mapping[str, int]:
        """The number of the first step that settles something of a rule; none where the numbers are not shown."""
        steps: dict[str, int] = {}
        for step in self.report.answer.plan if self.report.answer.numbered else ():
            for rule in step.rules:
                steps.setdefault(rule, step.number)
        return steps

    @cached_property
    def _anchors(self) -> Mapping[str, str]:
        """Where each rule stands on a page, its unmet findings before the others."""
        ranked = sorted(self.checks, key=lambda check: check.to_do)
        return {check.rule: check.place for check in ranked if check.outcome != "not-applicable"}

    @cached_property
    def _index(self) -> FindingIndex:
        return FindingIndex(self.findings, self._anchors, self.speaker.say)

    @property
    def parked(self) -> bool:
        """The domain is judged as one that sends nothing."""
        return self.report.assessment.parked

    # --- findings ---

    @cached_property
    def findings(self) -> tuple[FindingView, ...]:
        """The findings one by one."""
        return tuple(finding_views(self.report, self.speaker))

    @cached_property
    def checks(self) -> tuple[CheckView, ...]:
        """The findings with those of one rule together, in the order of the report."""
        return check_views(self.findings, self.report, self.speaker, self._exhibits, self._prefix)

    @cached_property
    def topics(self) -> tuple[tuple[str, tuple[CheckView, ...]], ...]:
        """All checks by topic."""
        return by_topic(self.checks, self.speaker.say)

    @cached_property
    def todo(self) -> tuple[CheckView, ...]:
        """What is not met and counts."""
        return tuple(check for check in self.checks if check.to_do)

    @property
    def waived(self) -> tuple[CheckView, ...]:
        """What the user accepts."""
        return self._of("waived")

    @property
    def complete(self) -> bool:
        """Nothing failed to be checked and nothing waits."""
        return not self.counts["unknown"] and not self.counts["waiting"]

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many checks there are of each kind: by severity what is to do, and met, unknown and waiting."""
        levels = {level: sum(check.severity == level for check in self.todo) for level in _LEVELS}
        return levels | {outcome: len(self._of(outcome)) for outcome in ("met", "unknown", "waiting")}

    def _of(self, outcome: str) -> tuple[CheckView, ...]:
        return tuple(check for check in self.checks if check.outcome == outcome)

    # --- evidence ---

    @cached_property
    def savings(self) -> SavingsView | None:
        """What would make the message lighter, where its size is worth a thought."""
        from deliverability.core.report.savings import savings

        size = self.diagrams.size
        return savings(self.report.facts, self.speaker.say) if size is not None and size.heavy else None

    @cached_property
    def diagrams(self) -> Diagrams:
        """Who is who, the SPF tree, the DMARC ladder, sizes."""
        from deliverability.core.report.diagrams import diagrams

        return diagrams(self.report, self.speaker)

    @cached_property
    def traces(self) -> Traces:
        """How SPF and DKIM were evaluated."""
        from deliverability.core.report.trace import traces

        return traces(self.report, self.speaker.say)

    @cached_property
    def opinion(self) -> OpinionView | None:
        """What other programs make of the same."""
        found = self.report.second_opinion
        if not found:
            return None

        return opinion_view(found, self.speaker.say)

    @cached_property
    def profiles(self) -> tuple[ProfileView, ...]:
        """The baselines that it was held against, clause by clause."""
        return tuple(profile_view(each, self.speaker) for each in self.report.profiles)

    @cached_property
    def preview(self) -> Preview | None:
        """The message as its readers see it; None where its HTML part was not handed over."""
        if not self._html:
            return None
        from deliverability.core.report.preview import preview

        return preview(self._html)

    @property
    def too_large(self) -> str:
        """That the message is too large for the preview; empty where it is not."""
        if self.preview is None or self.preview.document:
            return ""
        return self.speaker.say("preview.too-large", size=octets(self.preview.octets, self.speaker.say))

    @property
    def evidence(self) -> tuple[EvidenceView, ...]:
        """The observations that findings rest on, each once."""
        return self._exhibits.of(dict.fromkeys(ident for each in self.report.findings for ident in each.evidence))

    @property
    def open_evidence(self) -> tuple[EvidenceView, ...]:
        """Those of what is not met, was not answered or is waived."""
        unmet, unknown = Outcome.UNMET, Outcome.UNKNOWN
        every = [each.finding for each in self.findings if each.finding.evidence]
        shown = (
            each for each in every if each.outcome is unmet or (each.outcome is unknown and not each.waits_for_input)
        )
        return self._exhibits.of(dict.fromkeys(ident for each in shown for ident in each.evidence))

    @cached_property
    def _exhibits(self) -> Exhibits:
        return Exhibits(self.report.facts.evidence, self._prefix, self.speaker.say)


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
    shown = {key: moment_words(format_value(value, None, say), say) for key, value in note.values.items()}
    pairs = say("site_separator").join(say("note.pair", name=visible(k), value=v) for k, v in shown.items())
    key = f"note.{note.code}"
    if key in say and placeholders(say.texts[key]) <= shown.keys():
        return say(key, **shown)
    return say("note.other", code=visible(note.code), values=pairs)


def _run_source(source: str, say: Phrases) -> str:
    return say(f"run-source.{source}") if f"run-source.{source}" in say else visible(source)
