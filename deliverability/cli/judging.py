"""What `audit`, `judge` and `demo` share: rules, selection, output and exit code."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deliverability.auditors import catalogue
from deliverability.cli.output import Outputs, Target, targets
from deliverability.config import Settings
from deliverability.judge.engine import Selection
from deliverability.judge.load import load_guide
from deliverability.model.errors import InputError
from deliverability.model.report import Report
from deliverability.model.rules import RuleSet, Severity
from deliverability.runs.engine import Audited, make_report
from deliverability.runs.exit import exit_code
from deliverability.runs.rules import load_rules, rule_folders
from deliverability.words.speaker import Speaker


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
    whole: bool

    @classmethod
    def of(cls, params: dict[str, Any], settings: Settings) -> Judging:
        """From options, then the settings file. Raises InputError and judge.load.RuleError."""
        folders = tuple(params["rules"]) or settings.rules
        rules = load_rules(folders)
        return cls(
            rules=rules,
            selection=selection_of(settings, rules, params),
            where=targets(params["style"], params["output"]),
            lang=params["lang"] or settings.lang or "en",
            fail_on=threshold(params["fail_on"] or settings.fail_on),
            folders=folders,
            trace=params["trace"],
            whole=params["whole"],
        )

    @property
    def speaker(self) -> Speaker:
        """What reports are put into words with; the guide has the user's folders merged over ours."""
        return Speaker(self.rules, catalogue(), self.lang, load_guide(rule_folders(self.folders)))

    def outputs(self, subjects: int) -> Outputs:
        """Everything that is to be written, for that many subjects."""
        shown = {"trace": self.trace, "whole": self.whole}
        return Outputs(self.where, subjects, self.speaker, fail_on=self.fail_on, **shown)

    def take(self, audited: Audited, outputs: Outputs) -> int:
        """Judge saved facts of one subject, write its report and give its exit code; nothing of it is kept."""
        return self.write(audited, make_report(audited, self.rules, self.selection), outputs)

    def write(self, audited: Audited, report: Report, outputs: Outputs) -> int:
        """Write the report of one subject and give its exit code."""
        outputs.report(report, audited.html)
        return exit_code(report, self.fail_on)


def threshold(fail_on: str | None) -> Severity | None:
    """From which severity on findings give exit code 1; None: never. Where only news count, it is that of errors."""
    if fail_on == "never":
        return None
    return Severity.ERROR if fail_on in (None, "new") else Severity(fail_on)


def selection_of(settings: Settings, rules: RuleSet, params: Mapping[str, Any] = MappingProxyType({})) -> Selection:
    """Which rules and receivers count: from options, then the settings file. Its waivers are looked at as well.

    Raises InputError where one names a rule or receiver that does not exist.
    """
    given = tuple(params.get("receiver", ()))
    for receiver in given or settings.receivers:
        if receiver not in rules.receivers:
            where = "--receiver" if given else "receivers"
            raise InputError(f"{where} {receiver}: no such receiver; known: {', '.join(rules.receivers)}")
    for waiver in settings.waivers:
        if waiver.rule not in rules.rules:
            near = difflib.get_close_matches(waiver.rule, rules.rules, n=1)
            hint = f"did you mean {near[0]}?" if near else "`deliv rules` lists all"
            raise InputError(f"[[waiver]] names the rule {waiver.rule!r}, which does not exist; {hint}")
    return Selection(
        _ids("select", tuple(params.get("select", ())), settings.select, rules),
        _ids("ignore", tuple(params.get("ignore", ())), settings.ignore, rules),
        given or settings.receivers,
    )


def _ids(name: str, given: tuple[str, ...], settled: tuple[str, ...], rules: RuleSet) -> tuple[str, ...]:
    chosen = tuple(text.upper() for text in given or settled)
    for text in chosen:
        if not any(rule_id.startswith(text) for rule_id in rules.rules):
            where = f"--{name}" if given else name
            raise InputError(f"{where} {text}: no rule begins with it; `deliv rules` lists all")
    return chosen
