"""How a record is entered at the DNS provider: which fields take what, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.model.answer import PlanStep
from deliverability.model.dns_providers import DnsProvider, LongText
from deliverability.model.facts import text_of
from deliverability.model.report import Report
from deliverability.model.rules import Place
from deliverability.words.sentences import visible
from deliverability.words.speaker import Speaker

_ONE_STRING = 255
"""Octets of one character-string of a TXT record (RFC 1035 section 3.3)."""


def provider_at(report: Report, speaker: Speaker) -> DnsProvider | None:
    """The DNS provider of the audited domain; None where it is not known."""
    return speaker.rules.knowledge.dns_providers.get(text_of(report.facts.value("domain.dns_provider")))


def splits_itself(report: Report, speaker: Speaker) -> bool:
    """Whether the provider takes a long TXT value as one."""
    provider = provider_at(report, speaker)
    return provider is not None and provider.long is LongText.WHOLE


def entry_words(step: PlanStep, report: Report, speaker: Speaker) -> tuple[str, ...]:
    """How the records of a step are entered; a sentence each, and none that a step above has told."""
    if step.place is not Place.DNS or not step.edits:
        return ()
    provider = provider_at(report, speaker)
    fits = _names if provider else _new_names
    first = next((each.number for each in report.answer.plan if each.place is Place.DNS and fits(each)), None)
    if provider is not None:
        return tuple(_there(step, provider, _zone(report), speaker, whole=step.number == first))
    return tuple(_anywhere(step, _zone(report), speaker)) if step.number == first else ()


def _zone(report: Report) -> str:
    facts = report.facts
    return text_of(facts.value("domain.zone")) or text_of(facts.value("dmarc.organizational_domain_psl"))


def _there(step: PlanStep, provider: DnsProvider, zone: str, speaker: Speaker, *, whole: bool) -> Iterator[str]:
    """At a provider that is known; `whole`: all of it, else what differs from step to step."""
    say, lang = speaker.say, speaker.lang
    if whole:
        yield say("entry.console", console=provider.console[lang])
    field = provider.fields.name[lang] if provider.fields else say("entry.name-field")
    for name in _names(step):
        host = provider.host_of(name, zone)
        yield say("entry.host" if host else "entry.host-empty", field=field, host=visible(host))
    texts = _texts(step)
    if whole and texts and provider.quotes is not None:
        value = provider.fields.value[lang] if provider.fields else say("entry.value-field")
        yield say(f"entry.quotes-{provider.quotes.value}", field=value)
    longest = max((len(text.encode()) for text in texts), default=0)
    if longest > _ONE_STRING and provider.long is not None:
        yield say(f"entry.long-{provider.long.value}")
    if provider.longest is not None and longest > provider.longest:
        yield say("entry.too-long", n=str(longest), most=str(provider.longest))
    if whole and provider.ttl:
        yield say("entry.ttl", ttl=provider.ttl[lang])
    if whole and provider.note:
        yield provider.note[lang]


def _anywhere(step: PlanStep, zone: str, speaker: Speaker) -> Iterator[str]:
    """At a provider that is not known: what holds at most of them. A record that is there only has to be edited."""
    say = speaker.say
    below = [name.removesuffix(f".{zone}") for name in _new_names(step) if name != zone]
    yield say("entry.anywhere", zone=visible(zone))
    yield say("entry.anywhere-host", host=visible(below[0])) if below else say("entry.anywhere-apex")
    if _texts(step):
        yield say("entry.anywhere-text")


def _names(step: PlanStep) -> tuple[str, ...]:
    return tuple(dict.fromkeys(edit.name for edit in step.edits))


def _new_names(step: PlanStep) -> tuple[str, ...]:
    """The names at which nothing of the kind stands yet."""
    return tuple(dict.fromkeys(edit.name for edit in step.edits if not edit.old))


def _texts(step: PlanStep) -> tuple[str, ...]:
    return tuple(value for edit in step.edits if edit.type == "TXT" for value in edit.new)
