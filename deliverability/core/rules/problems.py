"""What can be wrong with rule files, and the errors that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from deliverability.core import yaml as yamlstrict
from deliverability.core.cache import cached
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.yaml import TWICE, read_shape


class RuleError(FilesError):
    """Rule files that cannot be used."""


def load_guide(folders: Sequence[Path]) -> tuple[Mapping[str, Any], ...]:
    """As `read_guide`, which is done once for each state of the file."""
    return cached("guide", _guides(folders), lambda: read_guide(folders))


def read_guide(folders: Sequence[Path]) -> tuple[Mapping[str, Any], ...]:
    """The user's guide (guide.yaml) of the last folder that has one; empty without one. Raises RuleError."""
    for path in _guides(folders):
        problems: list[Detail] = []
        document = yamlstrict.read_file(path, problems)
        if document is None or read_shape(document, tuple[_Step, ...], problems) is None:
            raise RuleError(*problems)
        keys = [step["key"] for step in document.data]
        if twice := [n for n, key in enumerate(keys) if key in keys[:n]]:
            raise RuleError(*(document.at(n).problem(TWICE(name=keys[n])) for n in twice))
        return tuple(document.data)
    return ()


class _Step(Struct, frozen=True, kw_only=True):
    """The shape of a step."""

    key: str
    checklist: str = ""
    step: Mapping[str, str]
    effect: Mapping[str, str] = field(default_factory=dict)
    correction: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    shown_by: tuple[str, ...] = ()
    shown_with: Mapping[str, str] = field(default_factory=dict)


def _guides(folders: Sequence[Path]) -> list[Path]:
    """The last first."""
    return [path for folder in reversed(folders) if (path := folder / "guide.yaml").is_file()]


NO_RULE_FILES = Code("rule-no-files")
NO_RULE_FOLDER = Code("rule-no-folder", ("name",))

NO_FACT = Code("rule-no-fact", ("name",))
NO_FIELD = Code("rule-no-field", ("list", "name"))
NO_LIMIT = Code("rule-no-limit", ("name",))
NO_REMEDY = Code("rule-no-remedy", ("name",))
NO_TASK = Code("rule-no-task", ("name",))
NO_LIST = Code("rule-no-list", ("name",))
NO_ALIGNED = Code("task-no-aligned", ("fact",))

LIMIT_SHAPE = Code("rule-limit")
ONLY_WITH_EACH = Code("rule-only-with-each", ("path",))
EACH_OF = Code("rule-each-of", ("path", "type"))
MAY_BE_ABSENT = Code("rule-may-be-absent", ("rule", "fact"))

FACT_IS = Code("rule-fact-is", ("path", "type", "detail"))
TAKES_BOOL = Code("rule-takes-bool", ("op",))
TAKES_LIST = Code("rule-takes-list", ("op",))
NOT_COMPARED = Code("rule-not-compared", ("op",))
NOT_FOR_LISTS = Code("rule-not-for-lists", ("op",))
COMPARES_NUMBERS = Code("rule-compares-numbers", ("op",))
NEEDS_LIST_OR_TEXT = Code("rule-needs-list-or-text", ("op",))
NEEDS_KIND = Code("rule-needs-kind", ("op", "kind"))
NEEDS_EXPRESSION = Code("rule-needs-expression")
BAD_EXPRESSION = Code("rule-bad-expression", ("why",))
NOT_A = Code("rule-not-a", ("value", "kind"))

PREVIEW = Code("rule-preview")
INFORMATION = Code("rule-information")
ERROR_SCOPE = Code("rule-error-scope", ("scope",))

SENTENCE_CASES = Code("rule-sentence-cases")
OTHER_CASES = Code("rule-other-cases")
TOO_WIDE = Code("rule-too-wide", ("n", "most"))
HEADING_END = Code("rule-heading-end")
NOUN_WITHOUT_FACTS = Code("rule-noun-without-facts")

NO_STATEMENTS = Code("receiver-no-statements")
NO_ERROR_OF = Code("receiver-no-error-of", ("rule", "scope"))
RULE_WITHOUT_LIMIT = Code("receiver-no-limit", ("rule", "name"))
NO_OWN_PAGE = Code("receiver-no-own-page")
RECEIVER_NEEDS = Code("receiver-needs", ("fields",))
COMBINES_TAKES = Code("receiver-combines-takes", ("fields",))
COMBINES_COMBINED = Code("receiver-combines-combined", ("receiver", "other"))
COMBINES_UNKNOWN = Code("receiver-combines-unknown", ("receiver", "other"))

GRADES_ORDER = Code("grades-order")
LAST_GRADE = Code("grades-last")

NO_REQUIREMENT = Code("claim-no-requirement", ("name",))
UNUSED_REQUIREMENT = Code("claim-unused-requirement", ("name",))
