"""`deliv blocklists`: the catalogue of blocklists, and whether each answers as it should from here."""

from __future__ import annotations

import asyncio
import difflib
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from deliverability.blocklists.report import list_view, lists_json, lists_text
from deliverability.blocklists.setup import NO_BLOCKLIST, states_of
from deliverability.console.command import Command
from deliverability.console.inputs import lists_of, ports_of, read_settings
from deliverability.console.judging import speaker_of
from deliverability.console.options import (
    config_option,
    lang_option,
    plain_errors,
    resolver_option,
    rule_folders_option,
    rule_problems,
    text_or_json_option,
    zone_option,
)
from deliverability.console.output import show
from deliverability.core.codec import encode
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.model.blocklists import in_order
from deliverability.core.protocols.dnsbl import ListHealth
from deliverability.core.report.paper import Paper

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.blocklists import BlockList
    from deliverability.core.model.knowledge import Knowledge
    from deliverability.core.protocols.dnsbl import ListState

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
    with plain_errors(), rule_problems():
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

    async def go() -> list[ListState]:
        try:
            return await states_of(lists, setup.wanted, ports)
        finally:
            await ports.close()

    return asyncio.run(go())
