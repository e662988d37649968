"""Which task settles a finding: another one where what it is about is not the user's."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.model.facts import FactSet, Value, records_of
from deliverability.model.report import Finding
from deliverability.model.rules import Place, Rule, Task

_FOREIGN = "foreign"
_BEYOND = ("receiving", "provider")


def task_of(finding: Finding, rule: Rule, tasks: Mapping[str, Task], facts: FactSet) -> Task | None:
    """The task of a rule, or the one that takes its place: it is done already, or not the user's. None: it has none."""
    task = tasks.get(rule.task)
    if task is not None and task.done_by and facts.at(task.done_by) is True:
        task = tasks[task.otherwise]
    seen: set[str] = set()
    if item_of(finding, rule, facts).get("own") is not True:
        while task is not None and _owner(task, facts) == _FOREIGN and task.code not in seen:
            seen.add(task.code)
            task = tasks.get(task.unless_own.task) if task.unless_own else None
    return task


def is_nobodys(finding: Finding, rule: Rule, tasks: Mapping[str, Task], facts: FactSet) -> bool:
    """Whether there is nothing to do for the sender.

    It is the receiver's or a provider's, another's and not used, or would have to be done in the DNS of a domain that
    does not exist or is no more than a mailbox's.
    """
    if finding.used is False and item_of(finding, rule, facts).get("own") is False:
        return True
    done = task_of(finding, rule, tasks, facts)
    without_dns = facts.value("domain.exists") is False or facts.value("ownership.domain") == _FOREIGN
    if without_dns and done is not None and done.place is Place.DNS:
        return True
    task = tasks.get(rule.task)
    return task is not None and _owner(task, facts) in _BEYOND


def _owner(task: Task, facts: FactSet) -> object:
    """Whose the thing is that the task is about; None: it does not ask."""
    return facts.at(task.unless_own.fact) if task.unless_own else None


def item_of(finding: Finding, rule: Rule, facts: FactSet) -> Mapping[str, Value]:
    """The item that was judged, where it is known by its domain; else nothing."""
    items = records_of(facts.at(rule.each)) if rule.each and finding.item else ()
    return next((each for each in items if each.get("domain") == finding.item), {})
