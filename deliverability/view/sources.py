"""Who sends as a domain, in words: what each source is, why, what to do, and the lines for the settings."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from deliverability.model.codes import details_in
from deliverability.model.facts import FactSet, Reason, Unknown, Value, number_of, records_of, text_of
from deliverability.view.report import ReportView
from deliverability.words.dates import full_day_words
from deliverability.words.details import detail_words
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import visible


class SourceRow(Struct, frozen=True):
    """A source in words; `paste`: the lines for the settings, where only the user can say whose it is."""

    name: str
    standing: str
    label: str
    tone: str
    messages: int
    aligned: str
    reasons: tuple[str, ...]
    addresses: str
    since: str
    advice: str
    paste: tuple[str, ...]


_TONES: Mapping[str, str] = {
    "own": "good",
    "forwarder": "good",
    "own-gap": "bad",
    "service-gap": "bad",
    "service-mixed": "risk",
    "unclaimed": "risk",
    "altered": "risk",
    "forged": "none",
}


def source_rows(view: ReportView) -> tuple[SourceRow, ...]:
    """The sources of the window, those that need something first as they stand in the facts."""
    say, facts = view.speaker.say, view.report.facts
    rows = []
    for each in records_of(facts.value("traffic.sources")):
        standing, messages = text_of(each.get("standing")), number_of(each.get("messages"))
        by_user = each.get("said") is True
        asks = not by_user and (standing in ("unclaimed", "service-mixed") or _like_a_host(each))
        service = view.speaker.rules.knowledge.services.get(text_of(each.get("service")))
        console = (service.console or {}).get(say.lang, "") if service is not None else ""
        rows.append(
            SourceRow(
                name=visible(str(each.get("key"))),
                standing=standing,
                label=say(f"standing.{standing}"),
                tone=_TONES.get(standing, "none"),
                messages=messages,
                aligned=say("sources.aligned", n=f"{number_of(each.get('aligned')):,}", all=f"{messages:,}"),
                reasons=tuple(visible(detail_words(one, say)) for one in details_in(each.get("standing_by"))),
                addresses=_addresses(each, say),
                since=full_day_words(text_of(each.get("first_seen")), say),
                advice=_advice(
                    "forged-asked" if asks and standing == "forged" else standing, visible(console), say, by_user
                ),
                paste=_paste(each, asked=asks),
            )
        )
    return tuple(rows)


def sources_summary(facts: FactSet, say: Phrases) -> str:
    """The window and its sums, or that nothing was read."""
    numbers = {
        name: facts.at(f"traffic.{name}") for name in ("own.messages", "own.aligned", "forged", "reports", "span_days")
    }
    lost = next((each for each in numbers.values() if isinstance(each, Unknown)), None)
    if lost is not None:
        return say("sources.none" if lost.reason is Reason.NOT_CONFIGURED else "sources.no-dns")
    values = {name.replace("own.", "own-"): f"{number_of(each):,}" for name, each in numbers.items()}
    return say("sources.summary", **{name.replace("-", "_"): each for name, each in values.items()})


def _like_a_host(source: Mapping[str, Value]) -> bool:
    """Whether it sends as a forgotten host may: steadily, or much from one address."""
    return source.get("standing") == "forged" and (
        source.get("steady") is True or number_of(source.get("largest_address")) >= 50
    )


def _addresses(source: Mapping[str, Value], say: Phrases) -> str:
    examples = source.get("examples")
    shown = [visible(str(each)) for each in examples] if isinstance(examples, tuple) else []
    more = number_of(source.get("addresses")) - len(shown)
    return say("value.separator").join(shown) + (say("value.more", n=f"{more:,}") if more > 0 else "")


def _advice(standing: str, console: str, say: Phrases, by_user: bool) -> str:
    if by_user and standing == "forged":
        return say("sources.advice.said-not-ours")
    if standing == "service-gap" and console:
        return say("sources.advice.service-gap-at", console=console)
    return say(f"sources.advice.{standing}")


def _paste(source: Mapping[str, Value], *, asked: bool) -> tuple[str, ...]:
    """The table for the settings with both answers, one of them commented out."""
    match = source.get("match")
    if not asked or not isinstance(match, tuple):
        return ()
    names = ", ".join(f'"{_quoted(str(each))}"' for each in match)
    return ("[[source]]", f"match = [{names}]", 'is = "ours"', '# is = "not-ours"')


def _quoted(text: str) -> str:
    return "".join(f"\\{char}" if char in '\\"' else char for char in visible(text))
