"""`deliv config`: is the settings file good, and its JSON Schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deliverability.cli.options import plain_errors, rule_problems
from deliverability.config import DEFAULT_FILE


@click.command("config")
@click.option("--check", is_flag=True, help="Say whether the file is good (also done without any option).")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file, for editors.")
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(DEFAULT_FILE),
    show_default=True,
    metavar="FILE",
    help="The settings file.",
)
def command(check: bool, schema: bool, file: Path) -> int:
    """Check the settings file, or print its JSON Schema.

    \b
      deliv config --check
      deliv config --schema > deliv.schema.json
    """
    from deliverability import config

    if schema:
        click.echo(json.dumps(config.schema(), indent=2))
        return 0
    with plain_errors(), rule_problems():
        click.echo(_checked(file))
    return 0


def _checked(file: Path) -> str:
    """What the file asks for, in one line. Raises ConfigError, InputError and judge.load.RuleError."""
    from deliverability.cli.inputs import options_of
    from deliverability.cli.judging import selection_of
    from deliverability.config import ConfigError, load
    from deliverability.inputs import parse_domain
    from deliverability.model.errors import InputError
    from deliverability.notify.notifier import SecretError, secret
    from deliverability.runs.rules import load_rules
    from deliverability.runs.weekly.plan import subjects
    from deliverability.words.details import detail_words
    from deliverability.words.phrases import phrases

    settings = load(file)
    rules = load_rules(settings.rules)
    try:
        selection_of(settings, rules)
    except InputError as error:
        raise ConfigError(f"{file}: {error}") from None
    folder = file.absolute().parent
    planned = subjects(settings, folder, parse_domain, lambda domain: options_of(settings, domain))
    for subject in planned:
        if subject.error:
            click.echo(f"warning: {subject.domain}: {subject.error}", err=True)
    email, webhook = settings.notify.email, settings.notify.webhook
    wanted = [(email.password_env, email.password_file)] if email else []
    wanted += [(webhook.secret_env, webhook.secret_file)] if webhook else []
    for variable, name in wanted:
        try:
            secret(variable, name, folder)
        except SecretError as error:
            click.echo(f"warning: {detail_words(error.detail, phrases('en'))}", err=True)
    domains = len({subject.domain for subject in planned})
    messages = sum(subject.picked is not None for subject in planned)
    return f"{file}: good ({_count(domains, 'domain')}, {_count(messages, 'sample message')})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
