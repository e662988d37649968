"""Steps in the words of the sending service that is used, and how to get off a block list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from deliverability.core.facts.base import FactSet, text_of, texts_of
from deliverability.core.facts.domain import Blocklists
from deliverability.core.model.blocklists import BlockList
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import Confidence, RuleSet, ServiceStep
from deliverability.core.model.services import Alignment, Include, Service
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases
from deliverability.core.rules.tasks import concerned

MAX_SERVICES = 3
"""Services that one finding gets a step for; more would bury the rule's own steps."""

_Step = Callable[[Service, Phrases], str]


class ServiceSteps(Struct, frozen=True):
    """Steps to stand before and behind those of the rule."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def steps_for(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> ServiceSteps:
    """Where to do it in the services that the finding is about; empty where none is known or the finding is not unmet.

    A finding about the message concerns the service that sent it, one about a key the service whose key it is, one
    about the domain the services that the domain is set up for.
    """
    steps = tuple(_steps(finding, rules, facts, say))
    # Where signing is switched on is the very thing to do; the rule says it in general. The rest adds to the rule.
    signing = rules.rules[finding.rule].service in (ServiceStep.SIGN, ServiceStep.SIGN_ALL)
    return ServiceSteps(before=steps) if signing else ServiceSteps(after=steps)


def services_of(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> tuple[Service, ...]:
    """The services that the steps of the finding are about; what is said of them has its sources in the catalogue."""
    return tuple(_steps(finding, rules, facts, say).values())


def _steps(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> dict[str, Service]:
    """The step of each service that the finding is about."""
    task = rules.rules[finding.rule].service
    if task is None or finding.outcome is not Outcome.UNMET:
        return {}
    step = _STEPS[task]
    texts: dict[str, Service] = {}
    for service in concerned(finding, task, facts, rules.knowledge.services):
        if len(texts) < MAX_SERVICES and (text := step(service, say)):
            texts.setdefault(text, service)
    return texts


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
    return tuple(each.text for each in service.dkim.selectors if not each.expression)


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
    if service.include is not Include.NEEDED or not service.spf or service.spf[0].expression:
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


_STEPS: Mapping[ServiceStep, _Step] = {
    ServiceStep.SIGN: _dkim,
    ServiceStep.SIGN_ALL: _dkim,
    ServiceStep.KEY: _key,
    ServiceStep.SIGNING_KEY: _key,
    ServiceStep.RETURN_PATH: _return_path,
    ServiceStep.AUTHORISE: _return_path_or_include,
    ServiceStep.INCLUDE: _include,
    ServiceStep.SPARE: _spare,
}
"""What to say."""


LISTS = "blocklists.lists"
_KINDS = ("item.listed", "item.policy", "item.informational")
_SHOWN = 5


def removal_steps(finding: Finding, rules: RuleSet, facts: FactSet, say: Phrases) -> tuple[str, ...]:
    """What the list says of each listing that the finding is about, and how to get off it; else nothing."""
    if rules.rules[finding.rule].each != LISTS or finding.outcome is not Outcome.UNMET:
        return ()
    subjects = {each for kind in _KINDS for each in texts_of(finding.observed.get(kind))}
    ident = text_of(finding.observed.get("item.id"))
    if not subjects:
        return ()
    blocklist = rules.knowledge.blocklists.get(ident)
    steps = blocklist.remove.get(say.lang, ()) if blocklist else ()
    return (*_reasons(ident, subjects, blocklist, facts, say), *steps)


def _reasons(ident: str, hit: set[str], blocklist: BlockList | None, facts: FactSet, say: Phrases) -> Iterator[str]:
    listings = [
        each for each in (if_known(facts.of(Blocklists).listings) or ()) if each.list == ident and each.subject in hit
    ]
    for each in listings[:_SHOWN]:
        why = [meaning(blocklist, each.meaning, say), each.text]
        values = {"subject": each.subject, "why": say("punctuation.clauses").join(filter(None, why))}
        since = each.first_seen
        if values["why"]:
            yield say("blocklists.reason", **values)
        if since:
            yield say("blocklists.since", subject=values["subject"], date=since)


def meaning(blocklist: BlockList | None, key: str, say: Phrases) -> str:
    """What a code of a list means; empty where the catalogue does not say."""
    codes = (*blocklist.codes.values(), *blocklist.bits.values()) if blocklist else ()
    return next((each.text[say.lang] for each in codes if each.key == key), "")
