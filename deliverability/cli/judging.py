"""What `audit`, `judge` and `demo` share: rules, selection, output and exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deliverability.app import Audited, InputError, exit_code, html_part, load_rules, make_report
from deliverability.cli.output import Outputs, Target, targets
from deliverability.config import Settings
from deliverability.judge.engine import Selection
from deliverability.model.report import Report
from deliverability.model.rules import RuleSet, Severity


@dataclass(frozen=True, slots=True)
class Judging:
    """Everything after the facts. `fail_on` None: findings never give exit code 1."""

    rules: RuleSet
    selection: Selection
    where: list[Target]
    lang: str
    fail_on: Severity | None
    folders: tuple[Path, ...]
    trace: bool

    @classmethod
    def of(cls, params: dict[str, Any], settings: Settings) -> Judging:
        """From options, then the settings file. Raises InputError and judge.load.RuleError."""
        folders = tuple(params["rules"]) or settings.rules
        rules = load_rules(folders)
        receivers = tuple(params["receiver"]) or settings.receivers
        for receiver in receivers:
            if receiver not in rules.receivers:
                raise InputError(f"--receiver {receiver}: no such receiver; known: {', '.join(rules.receivers)}")
        select = _ids("--select", tuple(params["select"]) or settings.select, rules)
        ignore = _ids("--ignore", tuple(params["ignore"]) or settings.ignore, rules)
        fail_on = params["fail_on"] or settings.fail_on or "error"
        return cls(
            rules=rules,
            selection=Selection(select, ignore, receivers),
            where=targets(params["style"], params["output"]),
            lang=params["lang"] or settings.lang or "en",
            fail_on=None if fail_on == "never" else Severity(fail_on),
            folders=folders,
            trace=params["trace"],
        )

    def outputs(self, subjects: int) -> Outputs:
        """Everything that is to be written, for that many subjects."""
        return Outputs(self.where, subjects, self.lang, self.folders, trace=self.trace, fail_on=self.fail_on)

    def take(self, audited: Audited, outputs: Outputs) -> int:
        """Judge saved facts of one subject, write its report and give its exit code; nothing of it is kept."""
        return self.write(audited, make_report(audited, self.rules, self.selection), outputs)

    def write(self, audited: Audited, report: Report, outputs: Outputs) -> int:
        """Write the report of one subject and give its exit code."""
        outputs.report(report, html_part(audited) if outputs.previews else None)
        return exit_code(report, self.fail_on)


def _ids(option: str, wanted: tuple[str, ...], rules: RuleSet) -> tuple[str, ...]:
    chosen = tuple(text.upper() for text in wanted)
    for text in chosen:
        if not any(rule_id.startswith(text) for rule_id in rules.rules):
            raise InputError(f"{option} {text}: no rule begins with it; `deliv rules` lists all")
    return chosen
