"""The guide's steps in words: where each stands, and what settles it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from deliverability.model.answer import Because, GuideState, GuideStep
from deliverability.model.codes import needed
from deliverability.model.facts import Unknown
from deliverability.model.report import Report
from deliverability.view.answer import joined, step_words
from deliverability.view.findings import FindingIndex
from deliverability.words.sentences import Phrases, visible
from deliverability.words.speaker import Speaker

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
