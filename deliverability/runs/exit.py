"""The exit code of a run."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.model.report import Outcome, Report
from deliverability.model.rules import Scope, Severity


def exit_code(report: Report, fail_on: Severity | None, *, only_findings: bool = False) -> int:
    """0 nothing about delivery at or above `fail_on` (None: never) · 1 findings · 3 what matters could not be checked.

    0 is a claim like others (rules/claims.yaml): where it is not earned, it is 1 if what it lacks is known not to hold
    (mail that is not authenticated), else 3. An input that was not given, a message above all, is no failure unless a
    receiver's verdict on a message hangs on it. `only_findings`: what the verdicts lack is left out, for a run that
    asks for news only: it lacked that before.
    """
    code = 3 if report.bugs else 0
    if fail_on is None:
        return code
    for finding in report.findings:
        if finding.severity.rank < fail_on.rank or finding.waiver is not None or finding.scope is not Scope.DELIVERY:
            continue
        if finding.outcome is Outcome.UNMET:
            return 1
        if finding.unknown is not None and not finding.waits_for_input:
            code = 3
    return code if only_findings else code or report.verdict_code


def worst_exit_code(codes: Sequence[int]) -> int:
    """The exit code of a run over several subjects: findings (1) win over what could not be checked (3)."""
    return next((code for code in (1, 3) if code in codes), 0)
