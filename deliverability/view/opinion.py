"""The second opinion in words."""

from __future__ import annotations

from deliverability.model.facts import Value
from deliverability.model.opinion import SECTIONS, Difference, SecondOpinion, Unheard
from deliverability.view.parts import DifferenceView, OpinionView
from deliverability.words.sentences import Phrases, visible


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
        where = f"{standard} {say('label.section', section=sections)}"
        reason = say("opinion.because", reason=say(f"opinion.reason.{each.reason}"), where=where)
    words = say("opinion.said", tool=tool, words=visible(each.words)) if each.words else ""
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
