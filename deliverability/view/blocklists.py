"""The catalogue of blocklists in words, and how each list answers from here."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from deliverability.model.blocklists import BlockList, ListAccess
from deliverability.model.codes import Detail
from deliverability.view.findings import read_words, receiver_short
from deliverability.words.details import detail_words
from deliverability.words.sentences import visible
from deliverability.words.speaker import Speaker


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
        sources=tuple(f"{each.url} ({read_words(each, say)})" for each in blocklist.sources),
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
