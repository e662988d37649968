"""Explained replies and piles of bounces in words, as text or JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from deliverability.core.codec import json_text, printable
from deliverability.core.model.replies import (
    EXPLANATION_SCHEMA,
    Explained,
    Explanation,
    Fit,
    Meaning,
    PileSums,
    Reply,
    ReplyKind,
    Retry,
)
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import Confidence, RuleSet, SourceRef
from deliverability.core.phrases import Phrases
from deliverability.core.report.formats.json import Json
from deliverability.core.report.paper import Paper
from deliverability.core.words.sentences import sentences, shortened, visible
from deliverability.core.words.speaker import Speaker, cited, read_day_words, titled
from deliverability.core.words.steps import rule_title


class RuleNow(Struct, frozen=True):
    """One rule behind a reply, as an audit finds it now.

    Attributes:
        rule: rule id.
        outcome: of the worst finding; NOT_APPLICABLE also where the receiver does not ask for the rule at all.
        waiting: unknown only because an input (the message, an option) was not given.
        findings: those that have this outcome.

    """

    rule: str
    outcome: Outcome
    waiting: bool
    findings: tuple[Finding, ...]


def rules_now(report: Report, rules: Sequence[str], receiver: str = "") -> tuple[RuleNow, ...]:
    """How each of `rules` stands in `report`; where `receiver` was judged, by its own limits."""
    return tuple(_rule(report, rule, receiver) for rule in rules)


def _rule(report: Report, rule: str, receiver: str) -> RuleNow:
    found = [(each, _outcome(each, receiver)) for each in report.findings if each.rule == rule]
    for outcome in (Outcome.UNMET, Outcome.UNKNOWN, Outcome.MET, Outcome.NOT_APPLICABLE):
        fitting = tuple(each for each, own in found if own is outcome)
        if fitting:
            waiting = outcome is Outcome.UNKNOWN and all(each.waits_for_input for each in fitting)
            return RuleNow(rule, outcome, waiting, fitting)
    return RuleNow(rule, Outcome.NOT_APPLICABLE, False, ())


def _outcome(finding: Finding, receiver: str) -> Outcome:
    for judgement in finding.judgements:
        if judgement.receiver == receiver:
            return judgement.outcome
    return finding.outcome


class PileRow(Struct, frozen=True):
    """All replies of one meaning.

    Attributes:
        meaning: None: what none of the catalogue fits.
        example: one of them.
        count: how many there are.
        receivers: id and number, the most frequent first; an empty id: not known.
        rules: behind it, the most telling first.
        unmet: those of them that are unmet now in any subject that was checked; empty also where none was.

    """

    meaning: Meaning | None
    example: Explained
    count: int
    receivers: tuple[tuple[str, int], ...]
    rules: tuple[str, ...]
    unmet: tuple[str, ...]


def pile_rows(explanation: Explanation, reports: Sequence[Report] = ()) -> tuple[PileRow, ...]:
    """The meanings of a pile, the most frequent first."""
    groups: dict[str, list[Explained]] = {}
    for each in explanation.replies:
        groups.setdefault(each.meaning.id if each.meaning else "", []).append(each)
    rows = [_meaning_row(each, reports) for each in groups.values()]
    return tuple(sorted(rows, key=lambda row: -row.count))


def _meaning_row(same: Sequence[Explained], reports: Sequence[Report]) -> PileRow:
    receivers: Counter[str] = Counter()
    rules: dict[str, None] = {}
    unmet: dict[str, None] = {}
    for each in same:
        receivers[each.receiver] += each.count
        rules.update(dict.fromkeys(each.rules))
        for report in reports:
            found = rules_now(report, each.rules, each.receiver)
            unmet.update((now.rule, None) for now in found if now.outcome is Outcome.UNMET)
    return PileRow(
        same[0].meaning,
        same[0],
        receivers.total(),
        tuple(receivers.most_common()),
        tuple(rules),
        tuple(unmet),
    )


_NOTHING_TO_RETRY = (ReplyKind.ACCEPTED, ReplyKind.REPORT)
_RECEIVERS = 5
_RULES = 4
_TEXT = 100
_FIRST = re.compile(r"(.+?(?:[.!?](?=\s)|。))", re.S)


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


def _pile_lines(explanation: Explanation, reports: Sequence[Report], speaker: Speaker, paper: Paper) -> Iterator[str]:
    """The meanings, most frequent first, each with its receivers, and the rules behind it that are unmet now."""
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
    yield from _foot(explanation, bool(reports), paper, say, "explain.pile.check-hint")
    yield ""
    yield from paper.step(say("explain.pile.one-hint"), "")


def _foot(explanation: Explanation, checked: bool, paper: Paper, say: Phrases, hint: str) -> Iterator[str]:
    """What was left out, and how to check the rules behind the replies."""
    if explanation.more:
        yield from ("", *paper.paragraph(say.count("explain.more", explanation.more)))
    if explanation.cut:
        yield from ("", *paper.paragraph(say("explain.cut")))
    if not checked and any(each.rules for each in explanation.replies):
        domain = explanation.sender_domain or say("explain.your-domain")
        yield from ("", *paper.step(say(hint, domain=visible(domain)), ""))


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
        parts.append(say(f"explain.pile.about-{meaning.origin}"))
        if row.example.reply.kind not in _NOTHING_TO_RETRY:
            parts.append(say(f"explain.pile.retry-{meaning.next_try}"))
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
        name = (host.name.get(say.lang) or host.id) if host else say("explain.pile.unknown")
        named.append(f"{visible(name)} {n:,}")
    rest = sum(n for _, n in row.receivers[_RECEIVERS:])
    if rest:
        named.append(say("explain.pile.rest", n=f"{rest:,}"))
    return say("value.separator").join(named)


def _sentence(text: str) -> str:
    """The first sentence: enough in a table; `deliv explain` of one reply has them all."""
    match = _FIRST.match(text)
    return match[1] if match else text


_TEXT_SHOWN = 600
_RULES_SHOWN = 12
_FINDINGS_SHOWN = 4


def explanation_text(explanation: Explanation, reports: Sequence[Report], speaker: Speaker, paper: Paper) -> str:
    """What every reply means and what to do; with `reports`, whether the rules behind it are unmet now.

    A pile is summed up by meaning. Whatever the input holds is printed with its control characters written out.
    """
    if explanation.pile is not None:
        return paper.text(_pile_lines(explanation, reports, speaker, paper))
    return paper.text(_Page(explanation, reports, speaker, paper).lines())


def explanation_json(explanation: Explanation, reports: Sequence[Report], speaker: Speaker) -> str:
    """The same as JSON: meanings in both languages, the sentences of findings in that of `speaker`."""
    shape: dict[str, Json] = {
        "schema_version": EXPLANATION_SCHEMA,
        "kind": explanation.kind,
        "problem": explanation.problem or None,
        "sender_domain": printable(explanation.sender_domain) or None,
        "replies": [_reply_json(each, explanation, reports, speaker) for each in explanation.replies],
        "more": explanation.more,
        "cut": explanation.cut,
    }
    if explanation.pile is not None:
        shape["pile"] = pile_json(explanation, reports)
    return json_text(shape, indent=2) + "\n"


class _Page:
    """Lays one explanation out."""

    def __init__(self, explanation: Explanation, reports: Sequence[Report], speaker: Speaker, paper: Paper) -> None:
        self._explanation = explanation
        self._reports = reports
        self._speaker = speaker
        self._say = speaker.say
        self._paper = paper

    def lines(self) -> Iterator[str]:
        """Everything, one reply after the other."""
        several = len(self._explanation.replies) > 1
        if several:
            yield from self._paragraph(self._say.count("explain.replies", len(self._explanation.replies)), 0)
        for number, each in enumerate(self._explanation.replies, 1):
            if several:
                rule = self._paper.symbol("rule") * max(0, self._paper.width - len(str(number)) - 2)
                yield from ("", f"{number} {rule}")
            yield from self._one(each)
        yield from _foot(self._explanation, bool(self._reports), self._paper, self._say, "explain.check-hint")

    def _one(self, explained: Explained) -> Iterator[str]:
        say, reply = self._say, explained.reply
        name = self._receiver(explained)
        key = f"explain.headline.{reply.kind.value}"
        yield from self._paragraph(say(key, receiver=name or say("explain.somebody")), 0)
        yield from self._facts(explained)
        if reply.text:
            quote = visible(shortened(reply.text, _TEXT_SHOWN))
            yield from self._paragraph(say("explain.quote", text=quote), 2)
        meaning = explained.meaning
        if meaning is None:
            yield ""
            yield from self._paragraph(say("explain.not-known"), 0)
            return
        yield from ("", say("explain.means"))
        yield from self._paragraph(meaning.meaning[say.lang], 2)
        for note in self._doubts(explained):
            yield from self._paragraph(note, 2)
        yield from ("", say("explain.about"))
        yield from self._paragraph(say(f"explain.about-{meaning.origin}"), 2)
        if reply.kind not in _NOTHING_TO_RETRY:
            yield from ("", say("explain.retry"))
            retry = meaning.next_try
            if meaning.retry is Retry.LATER and self._is_over(reply):
                retry = "by-hand"
            yield from self._paragraph(say(f"explain.retry-{retry}"), 2)
        yield from ("", say("explain.do"))
        yield from self._steps(meaning.steps[say.lang], "  ")
        if explained.rules:
            yield ""
            yield from self._behind(explained) if not self._reports else self._checked(explained)
        yield from ("", say("explain.sources"))
        for ref in meaning.sources:
            source = self._speaker.rules.sources[ref.ref]
            shown = cited(source, say)
            read = say("punctuation.aside", text=read_day_words(source, say))
            yield from self._paragraph(titled(shown.title, ref.section, say) + read, 2)
            if shown.url:
                yield f"  {shown.url}"

    def _is_over(self, reply: Reply) -> bool:
        """Whether no server tries the mail again: it was refused for good, or came back without a code."""
        bounced = self._explanation.kind in ("message", "mailbox")
        return reply.kind is ReplyKind.PERMANENT or (reply.kind is ReplyKind.UNKNOWN and bounced)

    def _receiver(self, explained: Explained) -> str:
        host = self._explanation.hosts.get(explained.receiver)
        return visible(host.name.get(self._say.lang) or host.id) if host else visible(explained.reply.host)

    def _facts(self, explained: Explained) -> Iterator[str]:
        say, reply = self._say, explained.reply
        code = " ".join(part for part in (reply.code, reply.enhanced) if part)
        parts = [say("explain.code", code=code)] if code else []
        if reply.status and not code:
            parts.append(say("explain.status", code=reply.status))
        if reply.host and explained.receiver:
            parts.append(say("explain.host", host=visible(reply.host)))
        if explained.recipients:
            shown = say("value.separator").join(visible(shortened(each, 80)) for each in explained.recipients[:3])
            rest = len(explained.recipients) - 3
            parts.append(say("explain.recipient", recipient=shown + ("…" if rest > 0 else "")))
        if reply.command:
            parts.append(say("explain.command", command=visible(reply.command)))
        if explained.count > 1:
            parts.append(say.count("explain.times", explained.count))
        if parts:
            yield from self._paragraph(say("explain.parts").join(parts), 2)
        if explained.known_by in ("wording", "recipient", "code"):
            yield from self._paragraph(
                say(f"explain.known-by-{explained.known_by}", receiver=self._receiver(explained)), 2
            )

    def _doubts(self, explained: Explained) -> Iterator[str]:
        """What keeps the meaning from being sure."""
        meaning = explained.meaning
        if meaning is None:
            return
        if explained.fit is Fit.CODE and explained.receiver:
            yield self._say("explain.by-code", receiver=self._receiver(explained))
        if meaning.confidence is not Confidence.HIGH:
            yield self._say(f"explain.confidence-{meaning.confidence.value}")

    def _behind(self, explained: Explained) -> Iterator[str]:
        yield self._say("explain.rules")
        for rule in explained.rules[:_RULES_SHOWN]:
            title = rule_title(self._speaker.rules.rules[rule], self._say.lang)
            yield from self._paragraph(f"{rule}  {title}", 4, f"  {self._paper.symbol('bullet')} ")
        if (more := len(explained.rules) - _RULES_SHOWN) > 0:
            yield from self._paragraph(self._say.count("explain.more-rules", more), 4)
        yield from self._paper.step(self._say("explain.rules-hint", rule=explained.rules[0]), "  ")

    def _checked(self, explained: Explained) -> Iterator[str]:
        """How the rules behind the reply stand, one audited subject after the other."""
        say = self._say
        for report in self._reports:
            now = rules_now(report, explained.rules, explained.receiver)
            subject = visible(report.domain or report.message)
            yield from self._paragraph(say("explain.checked", subject=subject), 0)
            yield from self._paragraph(_verdict(now, say), 2)
            quiet: dict[str, list[str]] = {}
            for each in now:
                if each.outcome is Outcome.UNMET or (each.outcome is Outcome.UNKNOWN and not each.waiting):
                    yield from self._rule_now(each, report)
                else:
                    key = "waiting" if each.waiting else each.outcome.value
                    quiet.setdefault(key, []).append(each.rule)
            for key, rules in quiet.items():
                mark = self._paper.symbol("unknown" if key == "waiting" else key)
                named = say("value.separator").join(rules)
                yield from self._paragraph(say.count(f"explain.now-{key}", len(rules), rules=named), 4, f"  {mark} ")

    def _rule_now(self, now: RuleNow, report: Report) -> Iterator[str]:
        say = self._say
        mark = f"  {self._paper.symbol(now.outcome.value)} "
        steps: tuple[str, ...] = ()
        for finding in now.findings[:_FINDINGS_SHOWN]:
            words = sentences(finding, self._speaker.rules, say.lang, self._speaker.catalogue, report.facts)
            item = visible(shortened(finding.item, 80)) if len(now.findings) > 1 else ""
            about = say("punctuation.aside", text=item) if item else ""
            yield from self._paragraph(f"{now.rule}  {words.message}{about}", 4, mark)
            steps = words.fix if now.outcome is Outcome.UNMET else ()
            yield from self._steps(steps, "    ")

    def _steps(self, steps: Sequence[str], indent: str) -> Iterator[str]:
        """What to do; numbered where it is more than one thing."""
        for number, step in enumerate(steps, 1):
            yield from self._paper.step(step, f"{indent}{number}) " if len(steps) > 1 else indent)

    def _paragraph(self, text: str, indent: int, first: str = "") -> list[str]:
        return self._paper.paragraph(" ".join(text.split()), indent, first)


def _verdict(now: Sequence[RuleNow], say: Phrases) -> str:
    """The sentence over the rules: how many are unmet now, or what follows from none being so."""
    unmet = sum(each.outcome is Outcome.UNMET for each in now)
    if unmet:
        return say.count("explain.unmet", unmet)
    if any(each.outcome is Outcome.UNKNOWN and not each.waiting for each in now):
        return say("explain.unchecked")
    if any(each.waiting for each in now):
        return say("explain.waiting")
    return say("explain.met")


def _reply_json(
    explained: Explained,
    explanation: Explanation,
    reports: Sequence[Report],
    speaker: Speaker,
) -> Json:
    reply, meaning = explained.reply, explained.meaning
    host = explanation.hosts.get(explained.receiver)
    shape: dict[str, Json] = _reply_head(reply) | {
        "recipients": [printable(each) for each in explained.recipients],
        "count": explained.count,
        "receiver": {"id": host.id, "name": dict(host.name), "known_by": explained.known_by} if host else None,
        "fit": explained.fit.value,
        "meaning": None,
        "rules": list(explained.rules),
    }
    if meaning is not None:
        shape["meaning"] = {
            "id": meaning.id,
            "retry": meaning.retry.value,
            "about": meaning.about.value,
            "confidence": meaning.confidence.value,
            "contested": meaning.contested,
            "text": {
                lang: {"means": meaning.meaning[lang], "do": list(meaning.steps[lang])} for lang in meaning.meaning
            },
            "sources": [_source(each, speaker.rules) for each in meaning.sources],
        }
    shape["now"] = [
        {
            "domain": printable(report.domain) or None,
            "message": printable(report.message) or None,
            "rules": [
                _now_json(each, report, speaker) for each in rules_now(report, explained.rules, explained.receiver)
            ],
        }
        for report in reports
    ]
    return shape


def _source(ref: SourceRef, rules: RuleSet) -> Json:
    source = rules.sources[ref.ref]
    return {
        "ref": ref.ref,
        "section": ref.section,
        "title": source.title,
        "url": source.url,
        "checked": source.checked,
    }


def _reply_head(reply: Reply) -> dict[str, Json]:
    return {
        "kind": reply.kind.value,
        "code": reply.code or None,
        "enhanced": reply.enhanced or None,
        "status": reply.status or None,
        "text": printable(reply.text),
        "host": printable(reply.host) or None,
        "command": printable(reply.command) or None,
    }


def _now_json(now: RuleNow, report: Report, speaker: Speaker) -> Json:
    findings: list[Json] = []
    for finding in now.findings:
        words = sentences(finding, speaker.rules, speaker.lang, speaker.catalogue, report.facts)
        steps: list[Json] = list(words.fix) if now.outcome is Outcome.UNMET else []
        findings.append({"item": printable(finding.item), "message": words.message, "fix": steps})
    return {"rule": now.rule, "outcome": now.outcome.value, "waits_for_input": now.waiting, "findings": findings}
