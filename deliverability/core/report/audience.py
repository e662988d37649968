"""The recipients of a sender by what receivers do with the mail, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.model.deliveries import NOBODY, Audience, Part
from deliverability.core.model.report import Report, VerdictKind
from deliverability.core.phrases import Phrases
from deliverability.core.report.answer import group_tone, kind_words
from deliverability.core.report.findings import receiver_short
from deliverability.core.words.speaker import Speaker

if TYPE_CHECKING:
    from deliverability.core.model.answer import ReceiverGroup


class AudienceRow(Struct, frozen=True):
    """A part of the recipients.

    Attributes:
        tone: as in report.answer.
        heading: what becomes of mail to them: "Refused"; or why that is not known.
        share: "61%".
        number: "7,564 at 3 domains".
        who: the receivers, each with its share; empty where none is known.

    """

    tone: str
    heading: str
    share: str
    number: str
    who: str = ""

    @property
    def line(self) -> str:
        """The heading with whom it is about."""
        return f"{self.heading} · {self.who}" if self.who else self.heading


class AudienceView(Struct, frozen=True):
    """All recipients: a sentence on those that matter most, and the rows, which together are all of them."""

    heading: str
    tone: str
    lead: str
    rows: tuple[AudienceRow, ...]
    note: str


def audience_view(report: Report, audience: Audience, speaker: Speaker) -> AudienceView:
    """The recipients of a report; rows stand as the receivers do in the answer, those without a verdict last."""
    say = speaker.say
    judged = tuple(_judged(report, audience, speaker))
    kind = judged[0][0] if judged else None
    part = sum((each for of, _, each in judged if of is kind), NOBODY)
    rows = (*(row for _, row, _ in judged), *_others(report, audience, say))
    return AudienceView(
        heading=say("audience.heading"),
        tone=rows[0].tone,
        lead=lead_words(audience, kind, part, say),
        rows=rows,
        note=say.count("audience.unreadable", audience.unreadable) if audience.unreadable else "",
    )


def lead_words(audience: Audience, kind: VerdictKind | None, part: Part, say: Phrases) -> str:
    """The share of those at receivers with this verdict; without one, none of them has any."""
    whom = say.count("audience.recipients" if audience.counted else "audience.named", audience.all.recipients)
    return say(f"audience.lead.{kind.value if kind else 'none'}", whom=whom, share=share_words(part, audience.all, say))


def _judged(report: Report, audience: Audience, speaker: Speaker) -> Iterator[tuple[VerdictKind, AudienceRow, Part]]:
    """What becomes of mail to those at receivers with a verdict; groups of the same words are one row."""
    say = speaker.say
    rows: dict[str, list[ReceiverGroup]] = {}
    for group in report.answer.groups:
        if any(ident in audience.receivers for ident in group.receivers):
            rows.setdefault(kind_words(group.kind, group.effects, say, group.lacks), []).append(group)
    for heading, groups in rows.items():
        ids = [ident for ident in audience.receivers if any(ident in group.receivers for group in groups)]
        part = sum((audience.receivers[ident] for ident in ids), NOBODY)
        who = say("punctuation.list").join(
            say(
                "audience.receiver",
                name=receiver_short(ident, speaker),
                share=share_words(audience.receivers[ident], audience.all, say),
            )
            for ident in ids
        )
        yield groups[0].kind, _row(group_tone(groups[0]), heading, part, audience, say, who), part


def _others(report: Report, audience: Audience, say: Phrases) -> Iterator[AudienceRow]:
    """Those of whom nothing is said, each with why."""
    judged = {ident for group in report.answer.groups for ident in group.receivers}
    left = sum((part for ident, part in audience.receivers.items() if ident not in judged), NOBODY)
    parts = {
        "no-verdict": left,
        "elsewhere": audience.elsewhere,
        "no-mail": audience.no_mail,
        "failed": audience.failed,
        "not-asked": audience.not_asked,
    }
    for key, part in parts.items():
        if part.domains:
            tone = "risk" if key == "no-mail" else "unknown"
            yield _row(tone, say(f"audience.{key}"), part, audience, say)


def _row(tone: str, heading: str, part: Part, audience: Audience, say: Phrases, who: str = "") -> AudienceRow:
    domains = say.count("audience.domains", part.domains)
    number = say("audience.number", n=f"{part.recipients:,}", domains=domains) if audience.counted else domains
    return AudienceRow(tone, heading, share_words(part, audience.all, say), number, who)


def share_words(part: Part, whole: Part, say: Phrases) -> str:
    """In whole percent; what is neither nothing nor everything is never called so."""
    percent = round(100 * part.recipients / whole.recipients) if whole.recipients else 0
    if percent == 0 and part.recipients:
        return say("audience.below", n="1")
    if percent == 100 and part.recipients < whole.recipients:
        return say("audience.above", n="99")
    return say("audience.percent", n=f"{percent:,}")
