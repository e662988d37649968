"""A warm-up plan in words: where it begins and why, its steps, when to stop."""

from __future__ import annotations

from msgspec import Struct

from deliverability.model.warm_up import WarmUpPlan
from deliverability.view.findings import receiver_short
from deliverability.words.dates import full_day_words
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import visible
from deliverability.words.speaker import Speaker

_SHOWN = 4  # receivers with a column of their own


class WarmUpView(Struct, frozen=True):
    """The plan, safe to show.

    Attributes:
        title: what it is.
        basis: what it begins from.
        head: of the table.
        rows: a step each: its day, messages, and those to the receivers of the head.
        stops: when to hold or to go back.
        caution: whose numbers these are.
        sources: where their direction comes from.

    """

    title: str
    basis: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    stops: tuple[str, ...]
    caution: str
    sources: tuple[str, ...]


def warm_up_view(plan: WarmUpPlan, speaker: Speaker) -> WarmUpView:
    """The plan in the language of the speaker."""
    say = speaker.say
    named = tuple(name for name in plan.steps[0].receivers if name)[:_SHOWN]
    names = tuple(receiver_short(name, speaker) for name in named)
    rows = tuple(
        (
            full_day_words(step.day.isoformat(), say),
            f"{step.messages:,}",
            *(f"{step.receivers[name]:,}" for name in named),
        )
        for step in plan.steps
    )
    about = plan.stream or plan.domain
    return WarmUpView(
        title=say("warm-up.title", domain=visible(about), n=say.count("warm-up.messages", plan.target)),
        basis=_basis(plan, say),
        head=(say("warm-up.day"), say("warm-up.all"), *names),
        rows=rows,
        stops=tuple(
            say(f"warm-up.stop.{key}", hold=f"{stop.hold:g}", back=f"{stop.back:g}")
            for key, stop in plan.numbers.stops.items()
        ),
        caution=say("warm-up.caution"),
        sources=tuple(
            say("punctuation.colon").join((speaker.rules.sources[each.ref].title, speaker.rules.sources[each.ref].url))
            for each in plan.numbers.sources
        ),
    )


def _basis(plan: WarmUpPlan, say: Phrases) -> tuple[str, ...]:
    first, last = plan.steps[0], plan.steps[-1]
    if plan.origin:
        known = say(
            f"warm-up.known.{plan.origin}",
            days=say.count("unit.day", plan.days),
            median=f"{plan.median:,}",
            highest=f"{plan.highest:,}",
        )
    else:
        known = say("warm-up.unknown", n=f"{first.messages:,}")
    if len(plan.steps) == 1:
        return known, say("warm-up.there")
    factor = plan.numbers.factors[plan.every]
    steps = say.count("warm-up.steps", len(plan.steps))
    until = full_day_words(last.day.isoformat(), say)
    return known, say(f"warm-up.pace.{plan.every}", factor=f"{factor:g}", steps=steps, day=until)
