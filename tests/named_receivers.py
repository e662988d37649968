"""The receivers whose deeds tests/receivers.yaml says, and the rules with no others.

One that the data do not name is held to its own file alone, so that a receiver can be added by that file. Whoever is
judged by default is named, and whoever is named is compared everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from msgspec.structs import replace

from deliverability.core.model.rules import RuleSet
from deliverability.core.yaml import read
from deliverability.engine.rules import load_rules
from tests import TESTS

DATA: dict[str, Any] = read((TESTS / "receivers.yaml").read_text("utf-8")).data
KINDS = ("rejected", "at-risk", "depends", "cannot-tell")
"""Verdicts under which a mail of the data names receivers; who is not named accepts it."""


def _names() -> Iterator[str]:
    for mail in DATA["mails"].values():
        for kind in KINDS:
            yield from mail.get(kind, ())
    for several in DATA["statements"].values():
        for each in several:
            for volume in ("any", "small", "bulk"):
                yield from each.get(volume, ())


NAMED = frozenset(_names())


@cache
def named_rules() -> RuleSet:
    """The rules as shipped, without the receivers that the data do not name, in combinations as well."""
    rules = load_rules()
    receivers = {
        ident: replace(each, combines=tuple(member for member in each.combines if member in NAMED))
        for ident, each in rules.receivers.items()
        if ident in NAMED
    }
    return replace(rules, receivers=receivers)
