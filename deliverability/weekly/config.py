"""The settings file: `deliv init` writes a first one from what DNS tells of the domains, `deliv config` checks it.

Its JSON Schema, for editors, is printed as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from deliverability.blocklists.setup import list_problems
from deliverability.console import settings as config
from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, set_apart, subject_of_settings
from deliverability.console.judging import selection_problems
from deliverability.console.language import language
from deliverability.console.options import (
    lang_option,
    offline_option,
    resolver_option,
    speaking_option,
    timeout_option,
    zone_option,
)
from deliverability.console.output import wrote
from deliverability.console.settings import KeyPath, MailSettings, Settings, at_lines, load
from deliverability.console.types import DEFAULT_FILE, PathOf, settings_path
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import InputError, not_written
from deliverability.core.facts.base import FactSet, Purpose
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.domain import Domain, Mx, Senders
from deliverability.core.facts.spf import Spf
from deliverability.core.files import locate, write_whole
from deliverability.core.inputs import (
    SecretError,
    Subject,
    parse_domain,
    parse_ip,
    parse_mail_from,
    parse_selector,
    secret,
)
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, detail_words, phrases
from deliverability.core.words.sentences import visible
from deliverability.engine.audit import gather_facts
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.engine.stream import stream
from deliverability.lists.audience import recipients_of
from deliverability.lists.catalogue import load_list_data
from deliverability.weekly.messages import subjects

if TYPE_CHECKING:
    from deliverability.core.model.rules import RuleSet


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
def init_command(domains: tuple[str, ...], lang: str, output: Path, force: bool, **params: Any) -> int:
    """Write a commented settings file, from what DNS tells of the domains."""
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


@click.command("config", cls=Command)
@click.option("--check", is_flag=True)
@click.option("--schema", is_flag=True)
@click.option("--config", "named", type=PathOf("file"), metavar="FILE")
@speaking_option
def config_command(check: bool, schema: bool, named: Path | None) -> int:
    """Check the settings file, or print its JSON Schema."""
    if schema:
        click.echo(json.dumps(config.schema(), indent=2))
        return 0
    click.echo(_checked(settings_path(named), language().say))
    return 0


def _checked(file: Path, say: Phrases) -> str:
    """What the file asks for, in one line. Raises ConfigError with all that is wrong, and RuleError."""
    settings = load(file)
    wrong = list(_problems(settings, load_rules(settings.rules)))
    if wrong:
        raise at_lines(file, file.read_text("utf-8"), wrong)
    folder = file.absolute().parent
    planned = subjects(settings, folder, parse_domain, lambda domain: subject_of_settings(settings, domain))
    warnings = [
        detail_words(ABOUT(what=subject.domain, detail=each), say) for subject in planned for each in subject.problems
    ]
    email, webhook = settings.notify.email, settings.notify.webhook
    wanted = [(email.password_env, email.password_file)] if email else []
    wanted += [(webhook.secret_env, webhook.secret_file)] if webhook else []
    for variable, name in wanted:
        try:
            secret(variable, name, folder)
        except SecretError as error:
            warnings.append(detail_words(error.detail, say))
    for warning in warnings:
        click.echo(say("cli.warning", text=warning), err=True)
    domains = len({subject.domain for subject in planned})
    messages = sum(subject.picked is not None for subject in planned)
    counts = (say.count("cli.domains", domains), say.count("cli.samples", messages))
    return say("cli.settings-good", file=str(file), counts=say("value.separator").join(counts))


def _problems(settings: Settings, rules: RuleSet) -> Iterator[tuple[KeyPath, Detail]]:
    """What no type can say: names that are no domains, addresses that are none, rules that do not exist."""
    tables: list[tuple[KeyPath, MailSettings]] = [((), settings)]
    tables += [(("domain", number), each) for number, each in enumerate(settings.domain)]
    texts: list[tuple[KeyPath, Callable[[str], object], str]] = [
        (("domains",), parse_domain, name) for name in settings.domains
    ]
    texts += [(("domain", number, "name"), parse_domain, each.name) for number, each in enumerate(settings.domain)]
    for place, table in tables:
        texts += [((*place, "selectors"), parse_selector, each) for each in table.selectors]
        texts += [((*place, "sending_ips"), parse_ip, each) for each in table.sending_ips]
        texts += [((*place, "mail_from"), parse_mail_from, table.mail_from)] if table.mail_from else []
    for place, parse, text in texts:
        try:
            parse(text)
        except InputError as error:
            yield place, error.detail
    if settings.to:
        try:
            recipients_of(settings.to, load_list_data(rule_folders(settings.rules)))
        except InputError as error:
            yield ("to",), error.detail
    yield from selection_problems(settings, rules)
    yield from list_problems(settings.reputation, rules.knowledge)
