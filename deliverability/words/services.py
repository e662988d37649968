"""Steps in the words of the sending service that is used: "In SendGrid: Settings → Sender Authentication"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from deliverability.model.facts import FactSet, Value, records_of, text_of
from deliverability.model.report import Finding, Outcome
from deliverability.model.rules import Confidence, RuleSet, ServiceStep
from deliverability.model.senders import Alignment, Include, Service, ServiceKind
from deliverability.words.phrases import Phrases

MAX_SERVICES = 3
"""Services that one finding gets a step for; more would bury the rule's own steps."""

_Services = Mapping[str, Service]
_Step = Callable[[Service, Phrases], str]


@dataclass(frozen=True, slots=True)
class ServiceSteps:
    """Steps to stand before and behind those of the rule."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def steps_for(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> ServiceSteps:
    """Where to do it in the services that the finding is about; empty where none is known or the finding is not unmet.

    A finding about the message concerns the service that sent it, one about a key the service whose key it is, one
    about the domain the services that the domain is set up for.
    """
    steps = tuple(_told(finding, rules, facts, say))
    # Where signing is switched on is the very thing to do; the rule says it in general. The rest adds to the rule.
    signing = rules.rules[finding.rule].service in (ServiceStep.SIGN, ServiceStep.SIGN_ALL)
    return ServiceSteps(before=steps) if signing else ServiceSteps(after=steps)


def services_of(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> tuple[Service, ...]:
    """The services that the steps of the finding are about; what is said of them has its sources in the catalogue."""
    return tuple(_told(finding, rules, facts, say).values())


def _told(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> dict[str, Service]:
    """The step of each service that the finding is about."""
    task = rules.rules[finding.rule].service
    if task is None or finding.outcome is not Outcome.UNMET:
        return {}
    concerned, step = _STEPS[task]
    texts: dict[str, Service] = {}
    for service in concerned(finding, facts, rules.knowledge.services):
        if len(texts) < MAX_SERVICES and (text := step(service, say)):
            texts.setdefault(text, service)
    return texts


def _records(facts: FactSet, services: _Services) -> Iterator[tuple[Service, Mapping[str, Value]]]:
    """The services of the domain with their entries in the catalogue; those that it does not know are passed over."""
    for item in records_of(facts.value("senders.services")):
        if (ident := text_of(item.get("id"))) in services:
            yield services[ident], item


def _sender(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service that sent the message."""
    ident = facts.value("senders.message_service")
    service = services.get(ident) if isinstance(ident, str) else None
    return [service] if service else []


def _key_owner(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service whose selector the finding names (item ``example.com/s1``)."""
    selector = finding.item.rpartition("/")[2]
    return [
        service
        for service, item in _records(facts, services)
        if selector and _contains(item.get("selectors"), selector)
    ]


def _signer(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service whose key signed, else the one that sent the message."""
    return _key_owner(finding, facts, services) or _sender(finding, facts, services)


def _meant(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """The service that is the item of the finding, else the one that sent the message."""
    named = [service for service, item in _records(facts, services) if item.get("name") == finding.item]
    return named or _sender(finding, facts, services)


def _unsigned(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """Services that send for the domain and of which no key was found."""
    return [
        service
        for service, item in _records(facts, services)
        if service.kind is not ServiceKind.GATEWAY and item.get("has_key") is not True
    ]


def _authorised(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """Services that SPF lets send, the most expensive first."""
    allowed = [(service, item) for service, item in _records(facts, services) if item.get("authorised") is True]
    return [service for service, item in sorted(allowed, key=lambda pair: -_number(pair[1].get("spf_lookups")))]


def _seen(finding: Finding, facts: FactSet, services: _Services) -> list[Service]:
    """Services that DKIM or MX show."""
    return [service for service, _ in _records(facts, services)]


def _dkim(service: Service, say: Phrases) -> str:
    """Where to switch on signing with the user's own domain, and which records that asks for."""
    names = [f"`{name}._domainkey`" for name in _current(service)]
    shown = say("services.joiner").join(names)
    if not service.console:
        return say("services.dkim-names", service=_name(service, say), names=shown) if names else ""
    record = service.dkim.record if names and service.dkim.fixed else ""
    key = f"services.dkim-{record}" if record else "services.dkim"
    values = {"names": shown} if record else {}
    return _console(key, service, say, **values)


def _current(service: Service) -> tuple[str, ...]:
    if not service.dkim.fixed:
        return ()
    return tuple(each.text for each in service.dkim.selectors if each.expression is None)


def _return_path(service: Service, say: Phrases) -> str:
    """Where to give the service's mail a Return-Path of the user's domain, or that it usually has none."""
    if service.alignment is Alignment.NONE:
        return say("services.no-return-path", service=_name(service, say))
    if service.alignment is Alignment.CUSTOM_RETURN_PATH and service.console:
        return _console("services.return-path", service, say)
    return ""


def _return_path_or_include(service: Service, say: Phrases) -> str:
    return _return_path(service, say) or _include(service, say)


def _include(service: Service, say: Phrases) -> str:
    """What SPF has to contain for the service."""
    if service.include is not Include.NEEDED or not service.spf or service.spf[0].expression is not None:
        return ""
    return say("services.include", service=_name(service, say), host=service.spf[0].text)


def _spare(service: Service, say: Phrases) -> str:
    """That the service needs no look-up of this domain's SPF."""
    if service.include is Include.NOT_NEEDED:
        return say("services.not-needed", service=_name(service, say))
    if service.alignment is Alignment.CUSTOM_RETURN_PATH and service.console:
        return _console("services.spare", service, say)
    return ""


def _key(service: Service, say: Phrases) -> str:
    """Where the service renews its key."""
    return _console("services.key", service, say) if service.console else ""


def _console(key: str, service: Service, say: Phrases, **values: str) -> str:
    path = (service.console or {})[say.lang]
    text = say(key, service=_name(service, say), path=path, **values)
    return text + say("services.unconfirmed") if service.confidence is Confidence.LOW else text


def _name(service: Service, say: Phrases) -> str:
    return service.name[say.lang]


def _contains(value: Value, text: str) -> bool:
    return isinstance(value, tuple) and text in value


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0


_Concerned = Callable[[Finding, FactSet, _Services], list[Service]]

_STEPS: Mapping[ServiceStep, tuple[_Concerned, _Step]] = {
    ServiceStep.SIGN: (_meant, _dkim),
    ServiceStep.SIGN_ALL: (_unsigned, _dkim),
    ServiceStep.KEY: (_key_owner, _key),
    ServiceStep.SIGNING_KEY: (_signer, _key),
    ServiceStep.RETURN_PATH: (_sender, _return_path),
    ServiceStep.AUTHORISE: (_sender, _return_path_or_include),
    ServiceStep.INCLUDE: (_seen, _include),
    ServiceStep.SPARE: (_authorised, _spare),
}
"""Whom each step concerns and what to say."""
