"""`deliv init`: a first settings file from what DNS tells of the domains."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, set_apart
from deliverability.console.options import (
    lang_option,
    offline_option,
    plain_errors,
    resolver_option,
    timeout_option,
    zone_option,
)
from deliverability.console.output import wrote
from deliverability.console.settings import Settings
from deliverability.console.types import DEFAULT_FILE, PathOf
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, not_written
from deliverability.core.facts.base import FactSet, Purpose
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.domain import Domain, Mx, Senders
from deliverability.core.facts.spf import Spf
from deliverability.core.files import write_whole
from deliverability.core.inputs import Subject, parse_domain
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import phrases
from deliverability.core.resources import locate
from deliverability.core.words.sentences import visible
from deliverability.engine.audit import gather_facts
from deliverability.engine.stream import stream


class Known(Struct, frozen=True):
    """What DNS tells of a domain. `purpose` is a guess and `why` its reason; both empty where nothing suggests one."""

    name: str
    selectors: tuple[str, ...]
    services: tuple[str, ...]
    purpose: str
    why: str


def known(domain: str, facts: FactSet, lang: str) -> Known:
    """What the facts of a domain tell, in the words of a language."""
    purpose, why = _guess(facts)
    say = phrases(lang)
    return Known(
        domain,
        tuple(_selectors(facts, domain)),
        tuple(_services(facts)),
        purpose,
        say(f"init.{why}") if why else "",
    )


def settings_file(domains: Sequence[Known], lang: str, today: date) -> str:
    """The text of a settings file."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - TOML, no HTML
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.filters["remark"] = visible
    template = environment.from_string((locate("reports") / f"deliv.{lang}.toml").read_text("utf-8"))
    return template.render(domains=domains, in_three_months=today + timedelta(days=90)) + "\n"


def _guess(facts: FactSet) -> tuple[str, str]:
    """A purpose, and the key of its reason."""
    null_mx, sends_nothing = facts.of(Domain).null_mx, facts.of(Spf).sends_nothing
    if sends_nothing is True:
        return Purpose.PARKED.value, "sends-nothing"
    if null_mx is True:
        return Purpose.TRANSACTIONAL.value, "receives-nothing"
    if isinstance(hosts := facts.of(Mx).hosts, tuple) and hosts:
        return Purpose.USERS.value, "receives"
    return "", ""


def _selectors(facts: FactSet, domain: str) -> list[str]:
    keys = if_known(facts.of(Dkim).keys) or ()
    return list(dict.fromkeys(key.selector for key in keys if key.present is True and key.domain == domain))


def _services(facts: FactSet) -> list[str]:
    return [each.name for each in if_known(facts.of(Senders).services) or ()]


SETTINGS_THERE = Code("settings-there", ("file",))


@click.command("init", cls=Command)
@click.argument("domains", metavar="DOMAIN...", nargs=-1, required=True)
@zone_option
@resolver_option
@offline_option
@timeout_option
@lang_option
@click.option("-o", "--output", type=PathOf("file"), default=Path(DEFAULT_FILE), show_default=True, metavar="FILE|-")
@click.option("--force", is_flag=True)
def command(domains: tuple[str, ...], lang: str, output: Path, force: bool, **params: Any) -> int:
    """Write a commented settings file, from what DNS tells of the domains."""
    with plain_errors():
        names = list(dict.fromkeys(parse_domain(name) for name in domains))
        to_stdout = str(output) == "-"
        if not to_stdout and output.exists() and not force:
            raise InputError(SETTINGS_THERE(file=str(output)))
        ports = ports_of(params, Settings())
        subjects = [Subject(name) for name in names]
        unread: list[str] = []

        def lost(subject: Subject, error: Exception) -> None:
            """One of several cannot be looked at: the settings are written for the others."""
            if len(subjects) == 1:
                raise error
            unread.append(set_apart(subject.domain, error))

        async def ask() -> list[Known]:
            try:
                found = stream(subjects, lambda subject: gather_facts(subject, ports), lost=lost)
                return [known(each.subject.domain, each.facts, lang) async for _, each in found]
            finally:
                await ports.close()

        text = settings_file(asyncio.run(ask()), lang, datetime.now(UTC).date())
        if to_stdout:
            click.echo(text, nl=False)
            return 3 if unread else 0
        try:
            write_whole(output, text, replace=force)
        except OSError as error:
            raise InputError(not_written(f"-o {output}", error)) from None
        wrote(output)
        click.echo(phrases(lang)("init.next"))
    return 3 if unread else 0
