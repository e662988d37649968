"""The evidence in words: receivers, checks by topic, and where each step of the guide stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from deliverability.core.codes import needed
from deliverability.core.facts.base import Unknown
from deliverability.core.model.answer import Because, GuideState, GuideStep, ReceiverEffect
from deliverability.core.model.report import GRADES, Judgement, Outcome, Report, Verdict
from deliverability.core.model.rules import Receiver
from deliverability.core.phrases import Phrases
from deliverability.core.report.answer import TONES, joined, kind_words, step_words
from deliverability.core.report.checks import CheckView, requirement_sources
from deliverability.core.report.findings import FindingIndex, FindingView, combines, effect_words, receiver_name
from deliverability.core.report.parts import SourceView
from deliverability.core.words.cited import cited
from deliverability.core.words.sentences import capital, visible
from deliverability.core.words.speaker import Speaker, instead, judged

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
        summary: "9 of 16 done, 4 to do, 3 not known"; what is none is left out.
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
    states = Counter(each.state for each in steps)
    return GuideView(say("guide-table.heading"), _summary(states, report, say), rows)


def _summary(states: Mapping[GuideState, int], report: Report, say: Phrases) -> str:
    """How many steps stand where; where all that is known is that a message would show it, only that."""
    total = str(sum(states.values()))
    whole = report.selection.whole
    if whole and not report.message and not states[GuideState.DONE] and not states[GuideState.TO_DO]:
        return say("guide-table.message", all=total)
    counted = [
        say(f"guide-table.{state.value}", n=str(states[state]), all=total) for state in GuideState if states[state]
    ]
    return say("value.separator").join(counted)


def _row(step: GuideStep, texts: Mapping[str, Any], report: Report, findings: FindingIndex, say: Phrases) -> GuideRow:
    to_steps = step_words(step.steps, report, say)
    words = {part: _in_language(texts.get(part), say.lang) for part in ("step", "effect", "correction")}
    return GuideRow(
        key=visible(step.key),
        title=words["step"],
        tone=_TONES[step.state],
        state=say(f"guide-table.state.{step.state.value}"),
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
            names = joined(findings.nouns(step.findings)[:1], say)
            return say("guide-table.waived", name=names) if step.because is Because.WAIVED else names
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


class ReceiverListView(Struct, frozen=True):
    """What a receiver publishes, in its order, and where this mail or domain stands.

    Attributes:
        id: of the receiver, for links.
        name: its name.
        tone: of its verdict, see report.answer.
        label: its verdict.
        count: "9/12", met of those that could be checked; empty where none could.
        about: what a sender should know of it.
        rows: its requirements.
        sources: where they were read.

    """

    id: str
    name: str
    tone: str
    label: str
    count: str
    about: str
    rows: tuple[RequirementView, ...]
    sources: tuple[SourceView, ...]


class OpenView(Struct, frozen=True):
    """What could not be checked for one reason: the reason, and what it keeps from being checked."""

    reason: str
    checks: tuple[CheckView, ...]

    @property
    def waits(self) -> bool:
        """It only waits for something that was not given."""
        return all(each.outcome == "waiting" for each in self.checks)


class TopicView(Struct, frozen=True):
    """The checks of one topic.

    Attributes:
        name: the topic.
        summary: "2 to do, 5 met".
        todo: unmet, the most severe first; with what is good to know behind.
        open: what could not be checked or waits, those with the same reason together.
        met: what is met.
        met_words: "5 met".
        idle: how many do not apply, in words; empty: none.

    """

    name: str
    summary: str
    todo: tuple[CheckView, ...]
    open: tuple[OpenView, ...]
    met: tuple[CheckView, ...]
    met_words: str
    idle: str


def receiver_lists(
    report: Report, findings: Sequence[FindingView], anchors: Mapping[str, str], speaker: Speaker
) -> tuple[ReceiverListView, ...]:
    """Each receiver's own list, in their display order."""
    judged: dict[str, dict[str, tuple[FindingView, Judgement]]] = {}
    for view in findings:
        for judgement in view.finding.judgements:
            if judgement.outcome not in _ORDER:
                continue
            known = judged.setdefault(judgement.receiver, {}).get(view.rule.id)
            if known is None or _ORDER.index(judgement.outcome) < _ORDER.index(known[1].outcome):
                judged[judgement.receiver][view.rule.id] = (view, judgement)
    lists = []
    for verdict in report.verdicts:
        receiver = speaker.rules.receivers.get(verdict.receiver)
        if receiver is not None:
            of_it = judged.get(receiver.id, {})
            lists.append(_list(verdict, receiver, of_it, anchors, speaker))
    return tuple(lists)


def _list(
    verdict: Verdict,
    receiver: Receiver,
    judged: Mapping[str, tuple[FindingView, Judgement]],
    anchors: Mapping[str, str],
    speaker: Speaker,
) -> ReceiverListView:
    say = speaker.say
    order = [rule for rule in receiver.rules if rule in judged] or list(judged)
    rows = tuple(_requirement(*judged[rule], anchors, say) for rule in order)
    met, unmet = verdict.requirements.met, verdict.requirements.unmet
    return ReceiverListView(
        id=receiver.id,
        name=receiver_name(receiver.id, speaker),
        tone=TONES[verdict.verdict],
        label=kind_words(
            verdict.verdict, (ReceiverEffect(e.effect, e.contested) for e in verdict.effects), say, verdict.lacks
        ),
        count=f"{met}/{met + unmet}" if met + unmet else "",
        about=visible(receiver.about.get(speaker.lang, "")),
        rows=rows,
        sources=() if combines(receiver.id, speaker) else requirement_sources(receiver, order, speaker),
    )


def _requirement(view: FindingView, judgement: Judgement, anchors: Mapping[str, str], say: Phrases) -> RequirementView:
    waits = judgement.outcome is Outcome.UNKNOWN and view.finding.waits_for_input
    outcome = "waiting" if waits else judgement.outcome.value
    unmet = judgement.outcome is Outcome.UNMET
    return RequirementView(
        outcome=outcome,
        state=effect_words([(judgement.effect, judgement.contested)], say) if unmet else say(f"outcome.{outcome}"),
        name=capital(view.words.short if unmet else view.words.noun),
        rule=visible(view.rule.id),
        anchor=anchors.get(view.rule.id, ""),
    )


def topic_views(
    topics: Iterable[tuple[str, tuple[CheckView, ...]]], say: Phrases, *, with_waiting: bool = True
) -> tuple[TopicView, ...]:
    """All checks by topic; topics of which nothing applies are left out. A parked domain has nothing that waits."""
    found = (
        _topic(name, [each for each in checks if with_waiting or each.outcome != "waiting"], say)
        for name, checks in topics
    )
    return tuple(each for each in found if each.todo or each.open or each.met)


def _topic(name: str, checks: Sequence[CheckView], say: Phrases) -> TopicView:
    by_outcome: dict[str, list[CheckView]] = {}
    for each in checks:
        by_outcome.setdefault(each.outcome, []).append(each)
    unmet, met = by_outcome.get("unmet", []), by_outcome.get("met", [])
    unchecked = [*by_outcome.get("unknown", []), *by_outcome.get("waiting", [])]
    reasons: dict[str, list[CheckView]] = {}
    for check in unchecked:
        reasons.setdefault(check.message, []).append(check)
    idle = len(by_outcome.get("not-applicable", []))
    numbers = {"todo": sum(each.to_do for each in unmet), "met": len(met), "open": len(unchecked)}
    return TopicView(
        name=name,
        summary=say("value.separator").join(say.count(f"checks.{key}", n) for key, n in numbers.items() if n),
        todo=tuple(unmet),
        open=tuple(OpenView(reason, tuple(of)) for reason, of in reasons.items()),
        met=tuple(met),
        met_words=say.count("checks.met", len(met)),
        idle=say.count("label.not-applicable", idle) if idle else "",
    )


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
    parts += [say.count("checks.left", found.open)] if found.open else []
    refused = sum(len(each.receivers) for each in answer.groups if TONES[each.kind] == "bad")
    first = answer.shown[0].number if answer.shown else None
    if refused and report.message:
        everybody = sum(len(each.receivers) for each in answer.groups)
        parts.append(say("summary.refused", n=str(refused), all=str(everybody)))
    if first is not None and answer.numbered:
        parts.append(say("summary.first", step=say("plan.step.one", steps=str(first))))
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
