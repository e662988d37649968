"""The contact pack in words, as text, Markdown, a page and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from msgspec import Struct

from deliverability.contact.values import PACK_SCHEMA, AskedFor, ContactChannel, ContactPack, QuotedReply, SendingHost
from deliverability.core.codec import json_text, printable
from deliverability.core.model.rules import Confidence, RuleSet
from deliverability.core.phrases import Phrases, joined, phrases
from deliverability.core.report.findings import FindingView, receiver_name
from deliverability.core.report.formats.html import CONTENT_SECURITY_POLICY, handout_css, style_sheet
from deliverability.core.report.formats.json import Json
from deliverability.core.report.formats.markdown import block, plain
from deliverability.core.report.paper import Paper
from deliverability.core.report.report import ReportView
from deliverability.core.report.templates import environment
from deliverability.core.rules.claims import may_write
from deliverability.core.words.sentences import full_day_words, row_words, visible
from deliverability.core.words.speaker import Speaker, cited, read_day_words
from deliverability.core.words.steps import rule_title

_REASONS = 5  # why something could not be checked; more of them say nothing new
_JST = timezone(timedelta(hours=9), "JST")


class ContactSection(Struct, frozen=True):
    """A part of the pack: its heading, paragraphs, items, and a text to copy, in that order; each may be empty."""

    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()


class ContactView(Struct, frozen=True):
    """The pack, safe to show.

    Attributes:
        title: what it is.
        tone: good, bad or unknown: whether to write now.
        lead: the first line, which says so.
        sections: in the order in which they are needed.
        message: the text to send, line by line; empty where there is no contact, or something is to be mended first.
        subject: of the letter.

    """

    title: str
    tone: str
    lead: str
    sections: tuple[ContactSection, ...]
    message: tuple[str, ...]
    subject: str


def contact_view(pack: ContactPack, view: ReportView, *, anyway: bool = False) -> ContactView:
    """The pack in the report's language, the letter in the receiver's; `anyway`: also while rules are unmet."""
    speaker = view.speaker
    say = speaker.say
    receiver = receiver_name(pack.contact.receiver, speaker)
    message: tuple[str, ...] = ()
    tone, lead = _lead(pack, receiver, speaker.rules, say)
    writes = pack.contact.channel is not ContactChannel.NONE
    if writes and (anyway or not pack.first):
        message = tuple(_message(pack, speaker))
    return ContactView(
        say("contact.title" if writes else "contact.title-none", domain=view.domain, receiver=receiver),
        tone,
        lead,
        tuple(_sections(pack, view.findings, speaker, message)),
        message,
        _subject(pack, phrases(pack.contact.language)) if message else "",
    )


def _lead(pack: ContactPack, receiver: str, rules: RuleSet, say: Phrases) -> tuple[str, str]:
    if pack.contact.channel is ContactChannel.NONE:
        return "unknown", say("contact.none", receiver=receiver)
    if pack.first:
        return "bad", say.count("contact.mend-first", len(pack.first), receiver=receiver)
    if may_write(len(pack.first), len(pack.unchecked), rules):
        return "good", say("contact.ready", receiver=receiver)
    return "unknown", say.count("contact.unchecked-first", len(pack.unchecked))


def _sections(
    pack: ContactPack, findings: Iterable[FindingView], speaker: Speaker, message: tuple[str, ...]
) -> Iterator[ContactSection]:
    say, lang, contact = speaker.say, speaker.lang, pack.contact
    receiver = receiver_name(contact.receiver, speaker)
    before = list(_before(pack, findings, say))
    needs = (say.count("contact.waiting", len(pack.waiting)),) if pack.waiting else ()
    if before or needs:
        yield ContactSection(say("contact.before"), needs, tuple(before))
    where = [say(f"contact.channel.{contact.channel.value}", address=contact.address), contact.note[lang]]
    if contact.scope:
        where.append(say("contact.scope", domains=joined(contact.scope, say)))
    if contact.confidence is not Confidence.HIGH:
        where.append(say("contact.not-sure"))
    if contact.recipients:
        where.append(contact.recipients[lang])
    heading = "contact.instead" if contact.channel is ContactChannel.NONE else "contact.where"
    yield ContactSection(say(heading), tuple(where), tuple(_sources(pack, speaker)))
    if message:
        form = contact.channel is not ContactChannel.MAIL
        subject = () if form else (say("contact.subject", text=_subject(pack, phrases(contact.language))), "")
        yield ContactSection(
            say("contact.fields" if form else "contact.letter"), (say("contact.look-over"),), (), (*subject, *message)
        )
    if pack.hosts:
        yield ContactSection(say("contact.hosts"), (), tuple(_host(each, say, receiver) for each in pack.hosts))
    yield from _evidence(pack, say("contact.evidence", receiver=receiver), say)


def _host(host: SendingHost, say: Phrases, receiver: str) -> str:
    """An address, and how it is known to send."""
    known = [say(f"contact.known-by.{each.value}", receiver=receiver) for each in host.known_by]
    return say("punctuation.colon").join((_named(host, say), joined(known, say)))


def _named(host: SendingHost, say: Phrases) -> str:
    return host.ip + say("punctuation.aside", text=visible(host.name)) if host.name else host.ip


def _before(pack: ContactPack, findings: Iterable[FindingView], say: Phrases) -> Iterator[str]:
    """What is unmet, with the first step; then what could not be checked, what has one reason together."""
    views = {(each.finding.rule, each.finding.item): each for each in findings}
    gap, comma = say("punctuation.gap"), say("punctuation.list")
    for finding in pack.first:
        if (view := views.get((finding.rule, finding.item))) is not None:
            yield gap.join((view.words.message, *view.words.fix[:1], f"[{finding.rule}]"))
    open_: dict[str, list[str]] = {}
    for finding in pack.unchecked:
        if (view := views.get((finding.rule, finding.item))) is not None:
            open_.setdefault(view.words.message, []).append(finding.rule)
    for message, rules in list(open_.items())[:_REASONS]:
        yield gap.join((message, f"[{comma.join(dict.fromkeys(rules))}]"))
    if len(open_) > _REASONS:
        yield say("value.more", n=f"{len(open_) - _REASONS:,}").strip()


def _sources(pack: ContactPack, speaker: Speaker) -> Iterator[str]:
    for each in pack.contact.sources:
        source = speaker.rules.sources[each.ref]
        shown = cited(source, speaker.say)
        title = shown.title + speaker.say("punctuation.aside", text=read_day_words(source, speaker.say))
        yield speaker.say("punctuation.colon").join((title, shown.url))


def _evidence(pack: ContactPack, heading: str, say: Phrases) -> Iterator[ContactSection]:
    """What the letter rests on; the names of recipients are masked."""
    left_out = (say.count("contact.of-recipients", pack.of_recipients),) if pack.of_recipients else ()
    if not pack.replies:
        yield ContactSection(heading, left_out or (say("contact.no-replies"),))
        return
    keep = () if pack.contact.channel is ContactChannel.NONE else (say("contact.keep-logs"),)
    yield ContactSection(
        heading, (say("contact.masked"), *keep, *left_out), tuple(_quoted(each, say) for each in pack.replies)
    )
    if pack.days:
        yield ContactSection(
            say("contact.by-day"),
            (),
            tuple(
                say("punctuation.colon").join(
                    (full_day_words(day.isoformat(), say), say.count("contact.replies", count))
                )
                for day, count in pack.days.items()
            ),
        )


# --- The letter, in the receiver's language ---


def _subject(pack: ContactPack, say: Phrases) -> str:
    return say("contact.letter-subject", domain=pack.domain)


def _message(pack: ContactPack, speaker: Speaker) -> Iterator[str]:
    lang = pack.contact.language
    say = phrases(lang)
    if pack.contact.channel is ContactChannel.MAIL:
        yield say("contact.greeting")
        yield ""
        yield say("contact.opening", domain=pack.domain)
        yield ""
    for ask in pack.contact.asks:
        values = tuple(_asked(ask, pack, speaker, say)) or (say(f"contact.fill.{ask.value}"),)
        label = say(f"contact.ask.{ask.value}")
        if len(values) == 1:
            yield say("punctuation.colon").join((label, values[0]))
        else:
            yield label + say("punctuation.colon").rstrip()
            yield from (f"- {each}" for each in values)
    if pack.contact.channel is ContactChannel.MAIL:
        signed = [each for each in (pack.company.contact, pack.company.name, pack.company.phone) if each]
        yield ""
        yield say("contact.closing")
        yield from (visible(each) for each in signed)


def _asked(ask: AskedFor, pack: ContactPack, speaker: Speaker, say: Phrases) -> Iterator[str]:
    """What is known of it; nothing: the user fills it in."""
    if ask is AskedFor.COMPANY and pack.company.name:
        yield visible(pack.company.name)
    elif ask is AskedFor.DOMAIN:
        yield pack.domain
    elif ask is AskedFor.ADDRESSES:
        yield from (_named(each, say) for each in pack.hosts)
    elif ask is AskedFor.REPLIES:
        yield from (_quoted(each, say) for each in pack.replies)
    elif ask is AskedFor.STARTED and pack.started is not None:
        yield _moment(pack.started, say)
    elif ask is AskedFor.DESCRIPTION and pack.replies:
        refused = sum(each.count for each in pack.replies)
        key = "contact.since" if refused > 1 else "contact.on"
        since = say(key, time=_moment(pack.started, say)) if pack.started else ""
        yield say("contact.described", domain=pack.domain, n=say.count("contact.replies", refused), since=since)
    elif ask is AskedFor.STEPS:
        for rule, day in pack.mended:
            if rule in speaker.rules.rules:
                title = rule_title(speaker.rules.rules[rule], say.lang)
                yield say("contact.mended", what=title, day=full_day_words(day.isoformat(), say))


def _quoted(reply: QuotedReply, say: Phrases) -> str:
    times = [_moment(each, say) for each in dict.fromkeys((reply.first, reply.last)) if each is not None]
    counted = say.count("contact.replies", reply.count)
    about = say("punctuation.list").join((counted, say("contact.to").join(times))) if times else counted
    return visible(reply.text) + say("punctuation.aside", text=about)


def _moment(when: datetime | date, say: Phrases) -> str:
    """In UTC and in Japan's time, for receivers there and elsewhere."""
    if not isinstance(when, datetime):
        return full_day_words(when.isoformat(), say)
    utc, jst = (f"{row_words(f'{when.astimezone(zone):%Y-%m-%dT%H:%M}', say)} {zone}" for zone in (UTC, _JST))
    return say("contact.moment", utc=utc, jst=jst)


def contact_text(view: ContactView, paper: Paper) -> str:
    """For a terminal: the letter stands as it is, to be copied."""
    lines = [paper.ink(view.title, "bold"), "", *paper.hang(view.lead, f"{paper.symbol(view.tone)} ")]
    for section in view.sections:
        lines += paper.heading(section.title)
        for text in section.paragraphs:
            lines += paper.step(text, "")
        for item in section.items:
            lines += paper.step(item, f"{paper.symbol('bullet')} ")
        if section.copy:
            lines += ["", *section.copy]
    return paper.text(lines)


def contact_markdown(view: ContactView) -> str:
    """For a ticket or a file."""
    parts = [f"# {plain(view.title)}", plain(view.lead)]
    for section in view.sections:
        parts.append(f"## {plain(section.title)}")
        parts += [plain(text) for text in section.paragraphs]
        if section.items:
            parts.append("\n".join(f"- {plain(item)}" for item in section.items))
        if section.copy:
            parts.append(block(section.copy))
    return "\n\n".join(parts) + "\n"


def contact_page(view: ContactView, lang: str) -> str:
    """A page of its own."""
    page: str = (
        environment()
        .get_template("contact.html")
        .render(
            say=phrases(lang),
            lang=lang,
            view=view,
            css=style_sheet() + handout_css(),
            policy=CONTENT_SECURITY_POLICY,
        )
    )
    return page


def contact_json(pack: ContactPack, view: ContactView, say: Phrases) -> str:
    """The pack with its values, and the words."""
    contact = pack.contact
    shape: dict[str, Json] = {
        "schema_version": PACK_SCHEMA,
        "lang": say.lang,
        "domain": pack.domain,
        "receiver": contact.receiver,
        "channel": contact.channel.value,
        "address": contact.address,
        "language": contact.language,
        "asks": [each.value for each in contact.asks],
        "scope": list(contact.scope),
        "conditions": list(contact.conditions),
        "confidence": contact.confidence.value,
        "lead": view.lead,
        "first": [{"rule": each.rule, "item": printable(each.item) or None} for each in pack.first],
        "unchecked": [{"rule": each.rule, "item": printable(each.item) or None} for each in pack.unchecked],
        "waiting": list(pack.waiting),
        "hosts": [
            {
                "ip": each.ip,
                "name": printable(each.name) if each.name else None,
                "known_by": [origin.value for origin in each.known_by],
            }
            for each in pack.hosts
        ],
        "replies": [
            {
                "text": printable(each.text),
                "count": each.count,
                "first": _iso(each.first),
                "last": _iso(each.last),
                "meaning": each.meaning or None,
            }
            for each in pack.replies
        ],
        "of_recipients": pack.of_recipients,
        "days": {day.isoformat(): count for day, count in pack.days.items()},
        "started": _iso(pack.started),
        "mended": [{"rule": rule, "day": day.isoformat()} for rule, day in pack.mended],
        "letter": {"subject": view.subject, "text": "\n".join(view.message)} if view.message else None,
    }
    return json_text(shape, indent=2) + "\n"


def _iso(when: Any) -> str | None:
    return when.isoformat() if when is not None else None
