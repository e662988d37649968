"""`deliv sources`: who sends as you, in words, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.inputs import observed_inputs
from deliverability.console.judging import speaker_of
from deliverability.console.language import columns
from deliverability.console.options import (
    input_options,
    lang_option,
    plain_errors,
    rule_folders_option,
    rule_problems,
    text_or_json_option,
)
from deliverability.console.output import show
from deliverability.console.running import run_reports
from deliverability.console.types import NumberType
from deliverability.core.codec import encode, json_text
from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.facts.traffic import MessageSums, OwnMessages, ReportPeriod, Source, Traffic
from deliverability.core.model.report import Report
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.formats.json import Json
from deliverability.core.report.paper import Paper
from deliverability.core.report.report import ReportView
from deliverability.core.rules.judge import Selection
from deliverability.core.words.dates import full_day_words
from deliverability.core.words.sentences import visible
from deliverability.engine.audit import Audited, Extras


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
    for each in if_known(facts.of(Traffic).sources) or ():
        standing, messages, by_user = each.standing, each.messages, each.said
        asks = not by_user and (standing in ("unclaimed", "service-mixed") or _like_a_host(each))
        service = view.speaker.rules.knowledge.services.get(each.service or "")
        console = (service.console or {}).get(say.lang, "") if service is not None else ""
        rows.append(
            SourceRow(
                name=visible(each.key),
                standing=standing,
                label=say(f"standing.{standing}"),
                tone=_TONES.get(standing, "none"),
                messages=messages,
                aligned=say("sources.aligned", n=f"{each.aligned:,}", all=f"{messages:,}"),
                reasons=tuple(visible(detail_words(one, say)) for one in each.standing_by),
                addresses=_addresses(each, say),
                since=full_day_words(each.first_seen, say),
                advice=_advice(
                    "forged-asked" if asks and standing == "forged" else standing, visible(console), say, by_user
                ),
                paste=_paste(each, asked=asks),
            )
        )
    return tuple(rows)


def sources_summary(facts: FactSet, say: Phrases) -> str:
    """The window and its sums, or that nothing was read."""
    own, period = facts.of(OwnMessages), facts.of(ReportPeriod)
    numbers = {
        "own_messages": own.messages,
        "own_aligned": own.aligned,
        "forged": facts.of(MessageSums).forged,
        "reports": period.reports,
        "span_days": period.span_days,
    }
    lost = next((each for each in numbers.values() if isinstance(each, Unknown)), None)
    if lost is not None:
        return say("sources.none" if lost.reason is Reason.NOT_CONFIGURED else "sources.no-dns")
    return say("sources.summary", **{name: f"{each:,}" for name, each in numbers.items()})


def _like_a_host(source: Source) -> bool:
    """Whether it sends as a forgotten host may: steadily, or much from one address."""
    return source.standing == "forged" and (source.steady or source.largest_address >= 50)


def _addresses(source: Source, say: Phrases) -> str:
    shown = [visible(each) for each in source.examples]
    more = source.addresses - len(shown)
    return say("value.separator").join(shown) + (say("value.more", n=f"{more:,}") if more > 0 else "")


def _advice(standing: str, console: str, say: Phrases, by_user: bool) -> str:
    if by_user and standing == "forged":
        return say("sources.advice.said-not-ours")
    if standing == "service-gap" and console:
        return say("sources.advice.service-gap-at", console=console)
    return say(f"sources.advice.{standing}")


def _paste(source: Source, *, asked: bool) -> tuple[str, ...]:
    """The table for the settings with both answers, one of them commented out."""
    if not asked:
        return ()
    names = ", ".join(f'"{_quoted(each)}"' for each in source.match)
    return ("[[source]]", f"match = [{names}]", 'is = "ours"', '# is = "not-ours"')


def _quoted(text: str) -> str:
    return "".join(f"\\{char}" if char in '\\"' else char for char in visible(text))


SCHEMA_VERSION = "1.0"


def sources_text(domain: str, rows: Sequence[SourceRow], summary: str, paper: Paper, say: Phrases) -> str:
    """The table of sources, each with its reasons and what to do, and the lines to paste."""
    lines = [paper.ink(domain, "bold"), *paper.paragraph(summary), ""]
    for row in rows:
        lines += _source(row, paper, say)
    pasted = [row for row in rows if row.paste]
    if pasted:
        lines += paper.heading(say("sources.paste"))
        lines += paper.paragraph(say("sources.paste-how"))
        for row in pasted:
            lines += ["", f"# {row.name}", *row.paste]
    return paper.text(lines)


def _source(row: SourceRow, paper: Paper, say: Phrases) -> Iterator[str]:
    head = say("sources.head", name=row.name, standing=row.label, aligned=row.aligned)
    yield from paper.hang(head, f"{paper.symbol(row.tone)} ")
    yield from paper.paragraph(say("punctuation.clauses").join(row.reasons), 4, style="dim")
    yield from paper.paragraph(say("sources.where", addresses=row.addresses, since=row.since), 4, style="dim")
    yield from paper.paragraph(row.advice.replace("`", ""), 4)


def sources_json(several: Sequence[tuple[str, FactSet, Sequence[SourceRow]]]) -> str:
    """The sources as the facts have them, with the words and the lines to paste."""
    shape: list[Json] = [
        {
            "domain": domain,
            "sources": encode(facts.of(Traffic).sources),
            "words": [
                {
                    "source": row.name,
                    "standing": row.label,
                    "reasons": list(row.reasons),
                    "advice": row.advice,
                    "paste": "\n".join(row.paste) or None,
                }
                for row in rows
            ],
        }
        for domain, facts, rows in several
    ]
    return json_text({"schema_version": SCHEMA_VERSION, "domains": shape}, indent=2) + "\n"


@click.command("sources", cls=Command)
@input_options
@click.option("--days", type=NumberType(int, 1), metavar="N")
@click.option("--history", metavar="URL")
@rule_folders_option
@text_or_json_option
@lang_option
def command(days: int | None, rules: tuple[Path, ...], style: str, lang: str, **params: Any) -> int:
    """List who sends as your domain by what receivers reported, what each is, and what to do about it."""
    with plain_errors():
        inputs = observed_inputs(params, days=days)
        with rule_problems():
            speaker = speaker_of(rules or inputs.settings.rules, lang)

        def each(_: Audited, report: Report) -> tuple[str, FactSet, tuple[SourceRow, ...]]:
            return report.domain, report.facts, source_rows(ReportView(report, speaker))

        found = run_reports(inputs, speaker.rules, Selection(select=("RPT",)), each, Extras())
        if style == "json":
            show(sources_json(found))
        else:
            paper = Paper.of_terminal(columns())
            texts = (
                sources_text(domain, rows, sources_summary(facts, speaker.say), paper, speaker.say)
                for domain, facts, rows in found
            )
            show("\n".join(texts))
        lost = any(isinstance(facts.of(Traffic).sources, Unknown) for _, facts, _ in found)
        return 3 if lost else inputs.code
