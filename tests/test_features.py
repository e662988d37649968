"""Entries of tables, ``module:name``, which the import linter cannot see: each names something that is there."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest

from deliverability import cli, features
from deliverability.cli import deliv
from deliverability.core.report.formats.table import FORMATS
from deliverability.engine.base import Auditor, auditors
from deliverability.engine.remedies.plan import BEGINNINGS
from deliverability.fleet import command as fleet

READERS = [value for name, value in vars(features).items() if name.isupper() and isinstance(value, str)]


@pytest.mark.parametrize("entry", features.AUDITORS)
def test_an_auditor(entry: str) -> None:
    assert isinstance(features.load(entry), Auditor)


@pytest.mark.parametrize("entry", [*cli.COMMANDS.values(), *fleet.COMMANDS.values()])
def test_a_command(entry: str) -> None:
    assert isinstance(features.load(entry), click.Command)


@pytest.mark.parametrize("entry", READERS)
def test_what_turns_an_option_into_what_an_audit_is_given(entry: str) -> None:
    assert callable(features.load(entry))


@pytest.mark.parametrize("entry", BEGINNINGS.values())
def test_drafts_of_a_topic(entry: str) -> None:
    assert callable(features.load(f"engine.remedies.{entry}"))


@pytest.mark.parametrize("name", [each.module for each in FORMATS])
def test_a_format(name: str) -> None:
    assert callable(features.load(f"core.report.formats.{name}:writer"))


def test_no_two_auditors_have_one_name() -> None:
    names = [each.name for each in auditors()]
    assert sorted(names) == sorted(set(names))
    assert len(names) == len(features.AUDITORS)


def commands(group: click.Group) -> Iterator[click.Command]:
    """All commands, also those below others."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from commands(command) if isinstance(command, click.Group) else (command,)


@pytest.mark.parametrize("command", list(commands(deliv)), ids=lambda command: command.name)
def test_a_command_takes_the_options_that_it_offers(command: click.Command) -> None:
    assert command.callback is not None
    taken = inspect.signature(inspect.unwrap(command.callback)).parameters
    if all(each.kind is not each.VAR_KEYWORD for each in taken.values()):
        assert set(taken) == {each.name for each in command.params if each.expose_value}
