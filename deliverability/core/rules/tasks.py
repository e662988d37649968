"""What settles a finding: which task, and in the settings of which sending service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from deliverability.core.facts.base import FactSet, Value, records_of
from deliverability.core.facts.domain import Domain, MessageSender, Ownership, Senders, UsedService
from deliverability.core.model.report import Finding
from deliverability.core.model.rules import Place, Rule, ServiceStep, Task
from deliverability.core.model.services import Service, ServiceKind
from deliverability.core.model.topic import if_known
from deliverability.core.rules.conditions import evaluate

_Services = Mapping[str, Service]


def concerned(finding: Finding, step: ServiceStep, facts: FactSet, services: _Services) -> Sequence[Service]:
    """The services whose settings `step` is about; empty where none is known.

    A finding about the message concerns the service that sent it, one about a key the service whose key it is, one
    about the domain the services that the domain is set up for.
    """
    return _CONCERNED[step](finding, facts, services)


def _records(facts: FactSet, services: _Services) -> Iterator[tuple[Service, UsedService]]:
    """The services of the domain with their entries in the catalogue; those that it does not know are passed over."""
    for item in if_known(facts.of(Senders).services) or ():
        if item.id in services:
            yield services[item.id], item


def _sender(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service that sent the message."""
    ident = facts.of(MessageSender).message_service
    service = services.get(ident) if isinstance(ident, str) else None
    return [service] if service else []


def _key_owner(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service whose selector the finding names (item ``example.com/s1``)."""
    selector = finding.item.rpartition("/")[2]
    return [service for service, item in _records(facts, services) if selector and selector in item.selectors]


def _signer(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service whose key signed, else the one that sent the message."""
    return _key_owner(finding, facts, services) or _sender(finding, facts, services)


def _meant(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service that is the item of the finding, else the one that sent the message."""
    named = [service for service, item in _records(facts, services) if item.name == finding.item]
    return named or _sender(finding, facts, services)


def _unsigned(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """Services that send for the domain and of which no key was found."""
    return [
        service
        for service, item in _records(facts, services)
        if service.kind is not ServiceKind.GATEWAY and item.has_key is not True
    ]


def _authorised(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """Services that SPF lets send, the most expensive first."""
    allowed = [(service, item) for service, item in _records(facts, services) if item.authorised]
    return [service for service, item in sorted(allowed, key=lambda pair: -(pair[1].spf_lookups or 0))]


def _seen(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """Services that DKIM or MX show."""
    return [service for service, _ in _records(facts, services)]


_CONCERNED: Mapping[ServiceStep, Callable[[Finding, FactSet, _Services], list[Service]]] = {
    ServiceStep.SIGN: _meant,
    ServiceStep.SIGN_ALL: _unsigned,
    ServiceStep.KEY: _key_owner,
    ServiceStep.SIGNING_KEY: _signer,
    ServiceStep.RETURN_PATH: _sender,
    ServiceStep.AUTHORISE: _sender,
    ServiceStep.INCLUDE: _seen,
    ServiceStep.SPARE: _authorised,
}


_FOREIGN = "foreign"
_BEYOND = ("receiving", "provider")


def task_of(finding: Finding, rule: Rule, tasks: Mapping[str, Task], facts: FactSet) -> Task | None:
    """The task of a rule, or the one that takes its place: it is done already, or not the user's. None: it has none."""
    task = tasks.get(rule.task)
    if task is not None and task.done_by is not None and evaluate(task.done_by, facts.value, {}) is True:
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
    without_dns = facts.of(Domain).exists is False or facts.of(Ownership).domain == _FOREIGN
    if without_dns and done is not None and done.place is Place.DNS:
        return True
    task = tasks.get(rule.task)
    return task is not None and _owner(task, facts) in _BEYOND


def _owner(task: Task, facts: FactSet) -> object:
    """Whose the thing is that the task is about; None: it does not ask."""
    return facts.value(task.unless_own.fact) if task.unless_own else None


def item_of(finding: Finding, rule: Rule, facts: FactSet) -> Mapping[str, Value]:
    """The item that was judged, where it is known by its domain; else nothing."""
    items = facts.value(rule.each) if rule.each and finding.item else ()
    named = (each for each in (items if isinstance(items, tuple) else ()) if _domain_of(each) == finding.item)
    return next(iter(records_of(tuple(named))), {})


def _domain_of(item: Value) -> Value:
    return item.get("domain") if isinstance(item, Mapping) else getattr(item, "domain", None)
