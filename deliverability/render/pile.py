"""A pile of bounces summed up by meaning, as text for a terminal and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from deliverability.model.codec import printable
from deliverability.model.replies import Explanation, PileSums
from deliverability.model.report import Report
from deliverability.render.answer import Json
from deliverability.render.paper import Paper
from deliverability.view.pile import PileRow, pile_rows
from deliverability.words.rules import rule_title
from deliverability.words.sentences import shortened, visible
from deliverability.words.speaker import Speaker

_RECEIVERS = 5
_RULES = 4
_TEXT = 100
_FIRST = re.compile(r"(.+?(?:[.!?](?=\s)|。))", re.S)


def pile_text(explanation: Explanation, reports: Sequence[Report], speaker: Speaker, paper: Paper) -> str:
    """The meanings, most frequent first, each with its receivers, and the rules behind it that are unmet now."""
    return paper.text(_lines(explanation, reports, speaker, paper))


def pile_json(explanation: Explanation, reports: Sequence[Report]) -> dict[str, Json]:
    """The same as values; `unmet` is null where no domain was checked."""
    sums = explanation.pile or PileSums(0, {})
    return {
        "items": sums.items,
        "without_reply": dict(sorted(sums.silent.items())),
        "unread": sums.unread,
        "meanings": [
            {
                "id": row.meaning.id if row.meaning else None,
                "about": row.meaning.about.value if row.meaning else None,
                "retry": row.meaning.retry.value if row.meaning else None,
                "count": row.count,
                "receivers": [{"id": ident or None, "count": n} for ident, n in row.receivers],
                "example": printable(shortened(row.example.reply.text, 600)),
                "rules": list(row.rules),
                "unmet": list(row.unmet) if reports else None,
            }
            for row in pile_rows(explanation, reports)
        ],
    }


def _lines(explanation: Explanation, reports: Sequence[Report], speaker: Speaker, paper: Paper) -> Iterator[str]:
    say = speaker.say
    sums = explanation.pile or PileSums(0, {})
    silent = sum(sums.silent.values())
    clauses = [say.count("explain.pile.items", sums.items)]
    clauses += [say.count("explain.pile.silent", silent)] if silent else []
    clauses += [say.count("explain.pile.unread", sums.unread)] if sums.unread else []
    yield from paper.paragraph(say("explain.pile.join").join(clauses))
    rows = pile_rows(explanation, reports)
    width = max((len(f"{row.count:,}") for row in rows), default=1)
    for row in rows:
        yield ""
        yield from _row(row, explanation, bool(reports), speaker, paper, width)
    if explanation.more:
        yield ""
        yield from paper.paragraph(say.count("explain.more", explanation.more))
    if explanation.cut:
        yield ""
        yield from paper.paragraph(say("explain.cut"))
    if not reports and any(row.rules for row in rows):
        yield ""
        domain = explanation.sender_domain or say("explain.your-domain")
        yield from paper.step(say("explain.pile.check-hint", domain=visible(domain)), "")
    yield ""
    yield from paper.step(say("explain.pile.one-hint"), "")


def _row(
    row: PileRow, explanation: Explanation, checked: bool, speaker: Speaker, paper: Paper, width: int
) -> Iterator[str]:
    say, indent = speaker.say, width + 4
    meaning = row.meaning
    text = _sentence(meaning.meaning[say.lang]) if meaning else say("explain.pile.not-known")
    yield from paper.paragraph(text, indent, f"  {row.count:>{width},}  ")
    quote = row.example.reply.text or row.example.reply.code or row.example.reply.status
    if meaning is None and quote:
        yield from paper.paragraph(say("explain.quote", text=visible(shortened(quote, _TEXT))), indent)
    parts = [_receivers(row, explanation, speaker)]
    if meaning:
        parts += [say(f"explain.pile.about-{meaning.about.value}"), say(f"explain.pile.retry-{meaning.retry.value}")]
    yield from paper.paragraph(say("explain.pile.parts").join(parts), indent)
    rules = row.unmet if checked else row.rules
    if checked and row.rules and not row.unmet:
        yield from paper.paragraph(say("explain.pile.none-unmet"), indent)
    elif rules:
        yield from paper.paragraph(say("explain.pile.unmet" if checked else "explain.pile.rules"), indent)
        for rule in rules[:_RULES]:
            title = f"{rule}  {rule_title(speaker.rules.rules[rule], say.lang)}"
            yield from paper.paragraph(title, indent + 2, " " * indent + f"{paper.symbol('bullet')} ")
        if (more := len(rules) - _RULES) > 0:
            yield from paper.paragraph(say.count("explain.more-rules", more), indent + 2)


def _receivers(row: PileRow, explanation: Explanation, speaker: Speaker) -> str:
    say = speaker.say
    named = []
    for ident, n in row.receivers[:_RECEIVERS]:
        host = explanation.hosts.get(ident)
        name = (host.name.get(say.lang) or host.id) if host else say("explain.pile.others")
        named.append(f"{visible(name)} {n:,}")
    rest = sum(n for _, n in row.receivers[_RECEIVERS:])
    if rest:
        named.append(say("explain.pile.rest", n=f"{rest:,}"))
    return say("value.separator").join(named)


def _sentence(text: str) -> str:
    """The first sentence: enough in a table; `deliv explain` of one reply has them all."""
    match = _FIRST.match(text)
    return match[1] if match else text
