"""Entries of tables, ``module:name``, which the import linter cannot see: each names something that is there."""

from __future__ import annotations

import click
import pytest

from deliverability import cli, features
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
