"""The rule folders of a run, merged, and the exit code that its findings give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from deliverability.core.cache import cached
from deliverability.core.files import locate
from deliverability.core.model.report import Outcome, Report
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.rules.problems import RuleError
from deliverability.engine.base import catalogue
from deliverability.engine.remedies.records import REMEDIES


def exit_code(report: Report, fail_on: Severity | None, *, only_findings: bool = False) -> int:
    """0 nothing of delivery or security at or above `fail_on` (None: never) · 1 findings · 3 not all could be checked.

    0 is a claim like others (rules/claims.yaml): where it is not earned, it is 1 if what it lacks is known not to hold
    (mail that is not authenticated), else 3. An input that was not given, a message above all, is no failure unless a
    receiver's verdict on a message hangs on it. `only_findings`: what the verdicts lack is left out, for a run that
    asks for news only: it lacked that before.
    """
    code = 3 if report.bugs else 0
    if fail_on is None:
        return code
    for finding in report.findings:
        if finding.severity.rank < fail_on.rank or finding.waiver is not None or not finding.scope.counts:
            continue
        if finding.outcome is Outcome.UNMET:
            return 1
        if finding.unknown is not None and not finding.waits_for_input:
            code = 3
    return code if only_findings else code or report.verdict_code


def worst_exit_code(codes: Sequence[int]) -> int:
    """The exit code of a run over several subjects: findings (1) win over what could not be checked (3)."""
    return next((code for code in (1, 3) if code in codes), 0)


def rule_folders(extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The shipped rule folder and the user's, in the order in which they are merged."""
    return (locate("rules"), *extra)


def load_rules(extra: Sequence[Path] = ()) -> RuleSet:
    """The shipped rules with the user's folders merged over them by id. Raises RuleError."""
    return cached("rules", rule_folders(extra), lambda: read_rules(extra))


def read_rules(extra: Sequence[Path] = ()) -> RuleSet:
    """The same, read and checked anew whatever is kept. Raises RuleError."""
    from deliverability.core.rules.knowledge import load_knowledge
    from deliverability.core.rules.load import load_rules as load
    from deliverability.core.rules.profiles import load_profiles
    from deliverability.core.senders.recognise import CatalogueError

    folders = rule_folders(extra)
    rules = load(folders, catalogue(), REMEDIES)
    try:
        rules = replace(rules, knowledge=load_knowledge(folders))
    except CatalogueError as error:
        raise RuleError(*error.details) from None
    return replace(rules, profiles=load_profiles(folders, rules, catalogue()))
