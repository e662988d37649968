"""`deliv blocklists`: the catalogue of block lists in words, and whether each answers as it should from here."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from deliverability.blocklists.setup import NO_BLOCKLIST, states_of
from deliverability.console.command import Command
from deliverability.console.inputs import lists_of, ports_of, read_settings, run_over
from deliverability.console.judging import speaker_of
from deliverability.console.options import (
    config_option,
    lang_option,
    resolver_option,
    rule_folders_option,
    text_or_json_option,
    zone_option,
)
from deliverability.console.output import show
from deliverability.core.codec import encode, json_text
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.model.blocklists import BlockList, ListAccess, in_order
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.protocols.dnsbl import ListHealth, ListState
from deliverability.core.report.findings import receiver_short
from deliverability.core.report.formats.json import Json
from deliverability.core.report.paper import Paper
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker, read_words

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.knowledge import Knowledge


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


NO_SUCH_LIST = Code("no-such-blocklist-near", ("name", "near"))


@click.command("blocklists", cls=Command)
@click.argument("which", metavar="[ID]...", nargs=-1)
@click.option("--check", is_flag=True)
@zone_option
@resolver_option
@config_option
@rule_folders_option
@text_or_json_option
@lang_option
def command(which: tuple[str, ...], check: bool, style: str, lang: str, **params: Any) -> int:
    """List the blocklists that can be asked, explain some, or check how they answer from here."""
    settings = read_settings(params["config"])
    speaker = speaker_of(params["rules"] or settings.rules, lang)
    lists = _chosen(which, speaker.rules.knowledge)
    states: Sequence[ListState | None] = [None] * len(lists)
    if check:
        states = _states(lists, params, settings)
    views = [
        list_view(each, speaker, state.health.value if state else "", state.reason if state else None)
        for each, state in zip(lists, states, strict=True)
    ]
    if style == "json":
        show(lists_json(views, [(each.health.value, encode(each.reason)) if each else None for each in states]))
    else:
        paper = Paper.of_terminal(shutil.get_terminal_size((80, 24)).columns)
        show(lists_text(views, paper, speaker.say, whole=bool(which) and not check))
    lost = [each for each in states if each is not None and each.health is not ListHealth.HEALTHY]
    return 3 if lost else 0


def _chosen(which: Sequence[str], knowledge: Knowledge) -> list[BlockList]:
    """The lists of these ids, all where there is none: those that are alive first. Raises InputError."""
    known = knowledge.blocklists
    for name in which:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                NO_SUCH_LIST(name=name, near=near[0]) if near else NO_BLOCKLIST(name=name, known=tuple(known))
            )
    if which:
        return [known[name] for name in which]
    return in_order(known.values())


def _states(lists: Sequence[BlockList], params: dict[str, Any], settings: Settings) -> list[ListState]:
    """How each answers; those that are no more are not asked. Raises InputError."""
    setup = lists_of(params, settings, [each.id for each in lists])
    assert setup is not None  # noqa: S101 - there is always a list
    ports = ports_of(params, settings, setup)

    return run_over(ports, states_of(lists, setup.wanted, ports))
