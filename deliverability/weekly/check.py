"""`deliv config`: is the settings file good, and its JSON Schema for editors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability.blocklists.setup import list_problems
from deliverability.console import settings as config
from deliverability.console.command import Command
from deliverability.console.inputs import subject_of_settings
from deliverability.console.judging import selection_problems
from deliverability.console.language import language
from deliverability.console.options import plain_errors, rule_problems, speaking_option
from deliverability.console.settings import at_lines, load
from deliverability.console.types import PathOf, settings_path
from deliverability.core.codes import ABOUT
from deliverability.core.errors import InputError
from deliverability.core.inputs import SecretError, parse_domain, parse_ip, parse_mail_from, parse_selector, secret
from deliverability.core.phrases import detail_words
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.lists.audience import recipients_of
from deliverability.lists.catalogue import load_list_data
from deliverability.weekly.plan import subjects

if TYPE_CHECKING:
    from deliverability.console.settings import KeyPath, MailSettings, Settings
    from deliverability.core.codes import Detail
    from deliverability.core.model.rules import RuleSet
    from deliverability.core.phrases import Phrases


@click.command("config", cls=Command)
@click.option("--check", is_flag=True)
@click.option("--schema", is_flag=True)
@click.option("--config", "named", type=PathOf("file"), metavar="FILE")
@speaking_option
def command(check: bool, schema: bool, named: Path | None) -> int:
    """Check the settings file, or print its JSON Schema."""
    if schema:
        click.echo(json.dumps(config.schema(), indent=2))
        return 0
    with plain_errors(), rule_problems():
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
