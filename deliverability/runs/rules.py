"""The rule folders of a run: the shipped one, and the user's merged over it. What they say is kept from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deliverability._cache import cached
from deliverability._resources import locate

if TYPE_CHECKING:
    from deliverability.model.rules import RuleSet


def rule_folders(extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The shipped rule folder and the user's, in the order in which they are merged."""
    return (locate("rules"), *extra)


def load_rules(extra: Sequence[Path] = ()) -> RuleSet:
    """The shipped rules with the user's folders merged over them by id. Raises judge.files.RuleError."""
    return cached("rules", rule_folders(extra), lambda: read_rules(extra))


def read_rules(extra: Sequence[Path] = ()) -> RuleSet:
    """The same, read and checked anew whatever is kept. Raises judge.files.RuleError."""
    from msgspec.structs import replace

    from deliverability.auditors import catalogue
    from deliverability.judge.files import RuleError
    from deliverability.judge.load import load_rules as load
    from deliverability.knowledge import load_knowledge
    from deliverability.remedy.names import REMEDIES
    from deliverability.senders.catalogue import CatalogueError

    folders = rule_folders(extra)
    rules = load(folders, catalogue(), REMEDIES)
    try:
        return replace(rules, knowledge=load_knowledge(folders))
    except CatalogueError as error:
        raise RuleError(*error.details) from None
