"""The catalogue of block lists in words, and how each answers from here, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from deliverability.core.codec import json_text
from deliverability.core.codes import Detail
from deliverability.core.model.blocklists import BlockList, ListAccess
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.findings import receiver_short
from deliverability.core.report.formats.json import Json
from deliverability.core.report.paper import Paper
from deliverability.core.words.cited import read_words
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker


class ListView(Struct, frozen=True):
    """A list in words.

    Attributes:
        id: what it is asked for by.
        name: what it is called.
        about: one line: what it lists, who may ask, or that it is no more.
        tone: good, none or bad.
        facts: further lines, each with its label.
        codes: answers and what they mean.
        remove: how to get off it.
        sources: where that was read.
        answer: how it answers from here; empty: it was not asked.

    """

    id: str
    name: str
    about: str
    tone: str
    facts: tuple[tuple[str, str], ...]
    codes: tuple[tuple[str, str], ...]
    remove: tuple[str, ...]
    sources: tuple[str, ...]
    answer: str = ""


def list_view(blocklist: BlockList, speaker: Speaker, health: str = "", reason: Detail | None = None) -> ListView:
    """A list of the catalogue; with `health` also how it answers from here."""
    say, lang = speaker.say, speaker.lang
    dead = blocklist.dead
    kind = say(f"blocklists.kind.{blocklist.kind.value}")
    access = blocklist.access
    about = dead[lang] if dead else say("blocklists.about", kind=kind, access=say(f"blocklists.access.{access.value}"))
    answer = ""
    if health:
        words = say(f"coded.health.{health}")
        answer = say("punctuation.colon").join([words, visible(detail_words(reason, say))]) if reason else words
    tone = {"": "bad" if dead else "none", "healthy": "good", "not-asked": "none"}.get(health, "risk")
    return ListView(
        id=blocklist.id,
        name=blocklist.name,
        about=about,
        tone=tone,
        facts=tuple(_facts(blocklist, speaker).items()),
        codes=_codes(blocklist, lang),
        remove=blocklist.remove.get(lang, ()),
        sources=tuple(each.url + say("punctuation.aside", text=read_words(each, say)) for each in blocklist.sources),
        answer=answer,
    )


def _facts(blocklist: BlockList, speaker: Speaker) -> Mapping[str, str]:
    say, lang = speaker.say, speaker.lang
    receivers = [receiver_short(each, speaker) for each in blocklist.named_by]
    found = {
        "zone": blocklist.zone,
        "key": say("blocklists.with-key", name=blocklist.key) if blocklist.key else "",
        "terms": blocklist.terms[lang] if blocklist.terms else "",
        "named-by": say("punctuation.list").join(receivers) or say("blocklists.named-by-none"),
        "lookup": blocklist.remove_url,
    }
    if blocklist.dead is not None or blocklist.access is ListAccess.KEY:
        found.pop("named-by" if blocklist.dead is not None else "zone")
    return {say(f"blocklists.label.{key}"): value for key, value in found.items() if value}


def _codes(blocklist: BlockList, lang: str) -> tuple[tuple[str, str], ...]:
    codes = [(answer, each.text[lang]) for answer, each in blocklist.codes.items()]
    codes += [(f"127.0.0.x & {bit}", each.text[lang]) for bit, each in blocklist.bits.items()]
    return tuple(codes)


SCHEMA_VERSION = "1.0"


def lists_text(lists: Sequence[ListView], paper: Paper, say: Phrases, *, whole: bool) -> str:
    """The lists, a paragraph each; `whole`: with all that is known of them."""
    lines: list[str] = []
    for each in lists:
        lines += paper.hang(say("blocklists.head", id=each.id, name=each.name), f"{paper.symbol(each.tone)} ")
        lines += paper.paragraph(each.about, 4, style="dim")
        lines += paper.paragraph(each.answer, 4) if each.answer else []
        lines += [*_rest(each, paper, say), ""] if whole else []
    return paper.text(lines)


def _rest(each: ListView, paper: Paper, say: Phrases) -> Iterator[str]:
    for label, value in each.facts:
        yield from paper.paragraph(f"{label}{say('punctuation.colon')}{value}", 4)
    parts = {
        "codes": [f"{answer}{say('punctuation.colon')}{text}" for answer, text in each.codes],
        "remove": [f"{number}. {step}" for number, step in enumerate(each.remove, 1)],
        "sources": list(each.sources),
    }
    for name, rows in parts.items():
        if rows:
            yield ""
            yield from paper.paragraph(say(f"blocklists.label.{name}"), 4, style="bold")
            for row in rows:
                yield from paper.paragraph(row, 6)


def lists_json(lists: Sequence[ListView], health: Sequence[tuple[str, Json] | None]) -> str:
    """The same for programs; `health`: of each list how it answers and why, where it was asked."""
    shape: list[Json] = [
        {
            "id": each.id,
            "name": each.name,
            "about": each.about,
            "facts": dict(each.facts),
            "codes": dict(each.codes),
            "remove": list(each.remove),
            "sources": list(each.sources),
            "health": found[0] if found else None,
            "reason": found[1] if found else None,
        }
        for each, found in zip(lists, health, strict=True)
    ]
    return json_text({"schema_version": SCHEMA_VERSION, "lists": shape}, indent=2) + "\n"
