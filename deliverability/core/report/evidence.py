"""The evidence in words: receivers, checks by topic, and where each step of the guide stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

from deliverability.core.codes import needed
from deliverability.core.facts.base import Unknown
from deliverability.core.model.answer import Because, FindingId, GuideState, GuideStep, ReceiverEffect
from deliverability.core.model.report import GRADES, Judgement, Outcome, Report, Verdict
from deliverability.core.model.rules import Effect, Receiver, Severity, SourceRef
from deliverability.core.phrases import Phrases
from deliverability.core.report.answer import TONES, defers, kind_words, numbered_steps
from deliverability.core.report.checks import CheckView, requirement_sources, source_views
from deliverability.core.report.findings import (
    FindingIndex,
    FindingView,
    combines,
    judged_words,
    receiver_name,
    topic_name,
)
from deliverability.core.report.parts import SourceView
from deliverability.core.words.sentences import capital, visible
from deliverability.core.words.speaker import Speaker, cited, instead, judged

_TONES = {
    GuideState.DONE: "good",
    GuideState.TO_DO: "risk",
    GuideState.NOTHING_HERE: "none",
    GuideState.NOT_KNOWN: "unknown",
}


class GuideRow(Struct, frozen=True):
    """A step of the guide.

    Attributes:
        key: "G1".
        title: what the guide asks for.
        tone: good, risk, none or unknown.
        state: "done", "to do", "nothing of this kind here", "not known".
        because: why it stands there in a few words: what settles it, or what would show it.
        step_words: "steps 3 and 5", all that settle it; empty: none.
        anchor: the finding where no step settles it; empty: none.
        effect: the effect as the guide gives it; may be empty.
        correction: what holds today.

    """

    key: str
    title: str
    tone: str
    state: str
    because: str
    step_words: str
    anchor: str
    effect: str
    correction: str


class GuideView(Struct, frozen=True):
    """The guide; no rows for a parked domain, or where nothing was answered.

    Attributes:
        heading: "The guide's steps".
        summary: "9 of 16 steps done, 4 to do, 3 unknown"; what is none is left out.
        rows: the steps in their order.

    """

    heading: str
    summary: str
    rows: tuple[GuideRow, ...]


def guide_view(report: Report, findings: FindingIndex, speaker: Speaker) -> GuideView:
    """Where each step of the guide stands."""
    say = speaker.say
    texts = {str(step.get("key", "")): step for step in speaker.guide}
    steps = [each for each in report.answer.guide if each.key in texts]
    rows = tuple(_row(each, texts[each.key], report, findings, say) for each in steps)
    states = Counter(_state(each, report) for each in steps)
    return GuideView(say("guide-table.heading"), _summary(states, report, say), rows)


_OPTIONAL = "optional"
_STATES = (GuideState.DONE, GuideState.TO_DO, _OPTIONAL, GuideState.NOTHING_HERE, GuideState.NOT_KNOWN)


def _state(step: GuideStep, report: Report) -> str:
    """Where it stands; what is left to do is optional where nothing that is open is more than a remark."""
    severities = [each.severity for each in report.findings if FindingId(each.rule, each.item) in step.findings]
    remarks = step.because is Because.UNMET and {*severities} == {Severity.INFO}
    return _OPTIONAL if step.state is GuideState.TO_DO and remarks else step.state.value


def _summary(states: Mapping[str, int], report: Report, say: Phrases) -> str:
    """How many steps stand where; where all that is known is that a message would show it, only that."""
    total = str(sum(states.values()))
    found = [state for state in _STATES if states[state]]
    if report.selection.whole and not report.message and not set(found) & {*_STATES[:3]}:
        return say("guide-table.message", all=total)
    counted = [say(f"guide-table.first.{state}", n=f"{states[state]:,}", all=total) for state in found[:1]]
    counted += [say(f"guide-table.{state}", n=f"{states[state]:,}") for state in found[1:]]
    return say("value.separator").join(counted)


def _row(step: GuideStep, texts: Mapping[str, Any], report: Report, findings: FindingIndex, say: Phrases) -> GuideRow:
    to_steps = numbered_steps(step.steps, report, say)
    words = {part: _in_language(texts.get(part), say.lang) for part in ("step", "effect", "correction")}
    return GuideRow(
        key=visible(step.key),
        title=words["step"],
        tone=_TONES[step.state],
        state=say(f"guide-table.state.{_state(step, report)}"),
        because=_because(step, findings, say, _in_language(texts.get("shown_with"), say.lang), in_plan=bool(to_steps)),
        step_words=to_steps,
        anchor=findings.anchor(step.findings[0]) if step.because is Because.UNMET and not to_steps else "",
        effect=words["effect"],
        correction=words["correction"],
    )


def _because(step: GuideStep, findings: FindingIndex, say: Phrases, shown_with: str, *, in_plan: bool) -> str:
    """`shown_with`: what would show that the step is done; may be empty. `in_plan`: steps of the plan are named."""
    match step.because:
        case Because.UNMET | Because.WAIVED:
            if in_plan:
                return ""
            if step.because is Because.WAIVED:
                return say("guide-table.waived", name="".join(findings.nouns(step.findings)[:1]))
            return "".join(findings.shorts(step.findings)[:1])
        case Because.WAITS | Because.FAILED:
            return _missing(step.unknown, say)
        case Because.UNSEEN if shown_with:
            return shown_with
        case _:
            return say(f"guide-table.because.{step.because.value}")


def _missing(unknown: Unknown | None, say: Phrases) -> str:
    """What was not given, by its option; else why a look-up failed."""
    if unknown is None:
        return ""
    if (wanted := needed(unknown.detail)) is not None:
        return say("guide-table.needs", option=say(f"option.{wanted.value}"))
    return say(f"reason.{unknown.reason.value}")


def _in_language(words: Any, lang: str) -> str:
    return str(words.get(lang, "")) if isinstance(words, Mapping) else ""


_ORDER = (Outcome.UNMET, Outcome.UNKNOWN, Outcome.MET)


class RequirementView(Struct, frozen=True):
    """One published requirement of a receiver.

    Attributes:
        outcome: met, unmet, unknown or waiting.
        state: the same in a word; for an unmet one what the receiver does.
        name: what it looks at, or what is wrong.
        rule: the rule.
        anchor: the finding on a page; empty: none.

    """

    outcome: str
    state: str
    name: str
    rule: str
    anchor: str


class ReceiverListView:
    """What a receiver publishes, and where this mail or domain stands. Each text is made when it is first asked for."""

    def __init__(
        self,
        verdict: Verdict,
        receiver: Receiver,
        judged: Mapping[str, tuple[FindingView, Judgement]],
        anchors: Mapping[str, str],
        speaker: Speaker,
        *,
        deferring: bool,
    ) -> None:
        self.id, self._deferring = receiver.id, deferring
        self._verdict, self._receiver, self._speaker, self._anchors = verdict, receiver, speaker, anchors
        order = [rule for rule in receiver.rules if rule in judged] or list(judged)
        self._judged = {rule: judged[rule] for rule in order}

    @property
    def name(self) -> str:
        """Its name."""
        return receiver_name(self.id, self._speaker)

    @property
    def tone(self) -> str:
        """Of its verdict, see report.answer."""
        return TONES[self._verdict.verdict]

    @property
    def label(self) -> str:
        """Its verdict."""
        if self._deferring:
            return self._speaker.say("verdict.deferred-or-rejected")
        effects = (ReceiverEffect(each.effect, each.contested) for each in self._verdict.effects)
        return kind_words(self._verdict.verdict, effects, self._speaker.say, self._verdict.lacks)

    @property
    def count(self) -> str:
        """Met of those that could be checked, as "9 of 12"; empty where none could."""
        met, unmet = self._verdict.requirements.met, self._verdict.requirements.unmet
        return self._speaker.say("checks.of", n=f"{met:,}", all=f"{met + unmet:,}") if met + unmet else ""

    @property
    def because(self) -> str:
        """What a better verdict lacks, as a sentence without its stop; empty: what is unmet says it."""
        return capital(instead(self._verdict.lacks, self._speaker))

    @property
    def about(self) -> str:
        """What a sender should know of it."""
        return visible(self._receiver.about.get(self._speaker.lang, ""))

    @property
    def rows(self) -> tuple[RequirementView, ...]:
        """Its requirements, in its order."""
        return tuple(_requirement(*each, self._anchors, self._speaker.say) for each in self._judged.values())

    @property
    def problems(self) -> tuple[RequirementView, ...]:
        """Those that are not met, or could not be checked although everything was given."""
        return tuple(_requirement(*self._judged[rule], self._anchors, self._speaker.say) for rule in self._problems)

    @property
    def rests_on(self) -> str:
        """What a good word rests on, as "3 requirements met: SPF 2, DKIM 1"; empty where nothing is met."""
        say = self._speaker.say
        topics = Counter(self._judged[rule][0].rule.topic for rule in self._those("met"))
        words = say("value.separator").join(f"{topic_name(topic, say)} {n}" for topic, n in topics.items())
        return (
            f"{say.count('checks.requirements-met', topics.total())}{say('punctuation.colon')}{words}" if words else ""
        )

    @property
    def open(self) -> str:
        """How many wait for an input, in words; empty: none."""
        waiting = len(self._those("waiting"))
        return self._speaker.say.count("checks.requirements-waiting", waiting) if waiting else ""

    @property
    def sources(self) -> tuple[SourceView, ...]:
        """Where all of it was read, that of the problems first, then what most of it rests on."""
        return source_views(self._sources, self._speaker.rules, self._speaker.say)

    @property
    def main_sources(self) -> tuple[SourceView, ...]:
        """Where the problems were read; where there are none, what most of it rests on."""
        return source_views(self._main or self._sources[:1], self._speaker.rules, self._speaker.say)

    @property
    def more_sources(self) -> int:
        """How many there are besides the main ones."""
        return len(self._sources) - (len(self._main) or 1)

    @property
    def _problems(self) -> list[str]:
        return self._those("unmet", "unknown")

    @cached_property
    def _main(self) -> list[SourceRef]:
        return self._read(self._problems)

    @cached_property
    def _sources(self) -> list[SourceRef]:
        return list(dict.fromkeys((*self._main, *self._read(self._judged))))

    @cached_property
    def _outcomes(self) -> Mapping[str, str]:
        return {rule: _outcome(*each) for rule, each in self._judged.items()}

    def _those(self, *outcomes: str) -> list[str]:
        return [rule for rule, outcome in self._outcomes.items() if outcome in outcomes]

    def _read(self, rules: Iterable[str]) -> list[SourceRef]:
        if combines(self.id, self._speaker):
            return []
        return requirement_sources(self._receiver, rules, self._speaker.rules)


class OpenView(Struct, frozen=True):
    """What could not be checked for one reason: the reason, and what it keeps from being checked."""

    reason: str
    checks: tuple[CheckView, ...]
    separator: str

    @property
    def waits(self) -> bool:
        """It only waits for something that was not given."""
        return all(each.outcome == "waiting" for each in self.checks)

    @property
    def names(self) -> str:
        """What it keeps from being checked, by name."""
        return self.separator.join(_names(self.checks))


_LOOKED_UP = 4


class TopicView:
    """The checks of one topic; `todo` has the unmet ones, the most severe first, with what is good to know behind."""

    def __init__(self, name: str, checks: Sequence[CheckView], say: Phrases) -> None:
        self.name, self._say = name, say
        by_outcome: dict[str, list[CheckView]] = {}
        for each in checks:
            by_outcome.setdefault(each.outcome, []).append(each)
        self.todo, self.met = by_outcome.get("unmet", []), by_outcome.get("met", [])
        self._unchecked = [*by_outcome.get("unknown", []), *by_outcome.get("waiting", [])]
        self._idle = len(by_outcome.get("not-applicable", []))
        self.anchor = checks[0].topic_anchor if checks else ""

    @property
    def shown(self) -> bool:
        """Something of it applies."""
        return bool(self.todo or self.met or self._unchecked)

    @property
    def summary(self) -> str:
        """How many are what, as "2 findings to fix, 5 checks passed"."""
        say = self._say
        todo = sum(each.to_do for each in self.todo)
        open_now = Counter(each.outcome for each in self._unchecked)
        numbers = {
            "todo": todo,
            "noted": len(self.todo) - todo,
            "met": len(self.met),
            "left": open_now["unknown"],
            "waiting": open_now["waiting"],
        }
        return say("value.separator").join(say.count(f"checks.{key}", n) for key, n in numbers.items() if n)

    @cached_property
    def open(self) -> tuple[OpenView, ...]:
        """What could not be checked or waits, that with the same reason together."""
        return open_views(self._unchecked, self._say)

    @property
    def met_words(self) -> str:
        """How many are met, as "5 checks passed"."""
        return self._say.count("checks.met", len(self.met))

    @property
    def met_names(self) -> str:
        """What is met, by name; where the same is also unmet, with the domain or part of which it is met."""
        unmet = {each.rule for each in self.todo}
        return self._say("value.separator").join(
            dict.fromkeys(self._met(each, each.rule in unmet) for each in self.met)
        )

    def _met(self, check: CheckView, partly: bool) -> str:
        items = [each.item for each in check.instances if each.item] if partly else []
        aside = self._say("punctuation.aside", text=self._say("value.separator").join(items)) if items else ""
        return f"{capital(check.noun)}{aside}"

    @property
    def rests_on(self) -> str:
        """What was looked up for what is met; may be empty."""
        say = self._say
        every = list(dict.fromkeys(ident for each in self.met for ident in each.rests_on))
        more = say("value.more", n=f"{len(every) - _LOOKED_UP:,}") if len(every) > _LOOKED_UP else ""
        names = say("site_separator").join(self.met[0].asked(every[:_LOOKED_UP])) + more if every else ""
        return f"{say('label.evidence')}{say('punctuation.colon')}{names}" if names else ""

    @property
    def idle(self) -> str:
        """How many do not apply, in words; empty: none."""
        return self._say.count("label.not-applicable", self._idle) if self._idle else ""


def receiver_lists(
    report: Report, findings: Sequence[FindingView], anchors: Mapping[str, str], speaker: Speaker
) -> tuple[ReceiverListView, ...]:
    """Each receiver's own list, in their display order."""
    judged: dict[str, dict[str, tuple[FindingView, Judgement]]] = {}
    for view in findings:
        if not view.finding.counts or view.finding.used is False:
            continue  # the verdict counts neither
        for judgement in view.finding.judgements:
            if judgement.outcome not in _ORDER:
                continue
            of_it = judged.setdefault(judgement.receiver, {})
            known = of_it.get(view.rule.id)
            if known is None or _ORDER.index(judgement.outcome) < _ORDER.index(known[1].outcome):
                of_it[view.rule.id] = (view, judgement)
    deferring = {each for group in report.answer.groups if defers(group) for each in group.receivers}
    found = ((verdict, speaker.rules.receivers.get(verdict.receiver)) for verdict in report.verdicts)
    return tuple(
        ReceiverListView(
            verdict, receiver, judged.get(receiver.id, {}), anchors, speaker, deferring=receiver.id in deferring
        )
        for verdict, receiver in found
        if receiver is not None
    )


def _outcome(view: FindingView, judgement: Judgement) -> str:
    """Met, unmet, unknown or waiting."""
    waits = judgement.outcome is Outcome.UNKNOWN and view.finding.waits_for_input
    return "waiting" if waits else judgement.outcome.value


def _requirement(view: FindingView, judgement: Judgement, anchors: Mapping[str, str], say: Phrases) -> RequirementView:
    outcome = _outcome(view, judgement)
    unmet = judgement.outcome is Outcome.UNMET
    state = say(f"outcome.{outcome}")
    if unmet and judgement.effect is Effect.NOTE and judgement.severity is Severity.INFO:
        state = say("severity.info")  # a wish of the receiver, which has no effect that it could publish
    elif unmet:
        state = judged_words(judgement, say)
    return RequirementView(
        outcome=outcome,
        state=state,
        name=capital(view.words.short if unmet else view.words.noun),
        rule=visible(view.rule.id),
        anchor=anchors.get(view.rule.id, ""),
    )


def topic_views(
    topics: Iterable[tuple[str, tuple[CheckView, ...]]], say: Phrases, *, with_waiting: bool = True
) -> tuple[TopicView, ...]:
    """All checks by topic; topics of which nothing applies are left out. A parked domain has nothing that waits."""
    found = (
        TopicView(name, [each for each in checks if with_waiting or each.outcome != "waiting"], say)
        for name, checks in topics
    )
    return tuple(each for each in found if each.shown)


def open_views(checks: Iterable[CheckView], say: Phrases) -> tuple[OpenView, ...]:
    """What could not be checked, that with the same reason together."""
    reasons: dict[Unknown | None, list[CheckView]] = {}
    same: dict[int, list[CheckView]] = {}  # most are the very same object, which need not be hashed again
    for check in checks:
        unknown = check.unknown
        if id(unknown) not in same:
            same[id(unknown)] = reasons.setdefault(unknown, [])
        same[id(unknown)].append(check)
    alike: dict[str, list[CheckView]] = {}
    for of in reasons.values():
        alike.setdefault(of[0].message, []).extend(of)
    separator = say("value.separator")
    return tuple(OpenView(reason, tuple(of), separator) for reason, of in alike.items())


def _names(checks: Iterable[CheckView]) -> Iterable[str]:
    return dict.fromkeys(capital(each.noun) for each in checks)


def grade_words(report: Report, speaker: Speaker) -> str:
    """The grade, and of what; or why there is none."""
    say, found = speaker.say, report.assessment
    if found.grade:
        key = "grade" if report.message or found.parked else "grade-dns"
        return say(f"verdict.{key}", grade=found.grade)
    if filters := judged(report.selection, speaker):
        return say("verdict.no-grade-judged", judged=filters)
    return say("verdict.no-grade", reason=instead([found.ungraded] if found.ungraded else [], speaker))


def summary_words(report: Report, counts: Mapping[str, int], speaker: Speaker) -> str:
    """The one last line: grade, counts, who refuses, and the first step."""
    say, answer, found = speaker.say, report.answer, report.assessment
    todo = counts["error"] + counts["warning"] + counts["info"]
    parts = [grade_words(report, speaker)]
    parts += [say.count(f"checks.{key}", n) for key, n in (("todo", todo), ("met", counts["met"])) if n]
    parts += [say.count("summary.open", found.open)] if found.open else []
    refusing = [each for each in answer.groups if TONES[each.kind] == "bad"]
    refused = sum(len(each.receivers) for each in refusing)
    first = answer.shown[0].number if answer.shown else None
    if refused and report.message:
        everybody = sum(len(each.receivers) for each in answer.groups)
        key = "summary.deferred" if all(map(defers, refusing)) else "summary.refused"
        parts.append(say.count(key, everybody, refused=f"{refused:,}"))
    if first is not None and answer.numbered:
        parts.append(say("summary.first", step=say("plan.step.one", steps=f"{first:,}")))
    return say("summary.separator").join(parts)


def still_spam(report: Report, speaker: Speaker) -> tuple[tuple[str, str, str], ...]:
    """Where each receiver shows senders what is not judged here: name, what it offers, and its address or empty.

    Only where nothing is to mend: else that comes first.
    """
    if not report.message or "nothing-to-fix" not in report.answer.earned or report.assessment.grade != GRADES[0]:
        return ()
    return tuple(
        _for_senders(each.receiver, speaker) for each in report.verdicts if not combines(each.receiver, speaker)
    )


def _for_senders(ident: str, speaker: Speaker) -> tuple[str, str, str]:
    receiver = speaker.rules.receivers.get(ident)
    offered = receiver.for_senders if receiver else None
    name = receiver_name(ident, speaker)
    if offered is None:
        return name, speaker.say("still-spam.nothing"), ""
    return name, offered.text[speaker.lang], cited(speaker.rules.sources[offered.source], speaker.say).url
