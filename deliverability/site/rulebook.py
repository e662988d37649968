"""The rules, receivers, replies and services themselves in words, whatever was audited: for the docs site."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from msgspec import Struct

from deliverability.core.facts.base import Value
from deliverability.core.model.cited import ServiceSource
from deliverability.core.model.replies import ANY, Meaning, ReplyCatalogue
from deliverability.core.model.rules import Receiver, Rule, RuleSet, SourceRef, Statement, VolumeClass
from deliverability.core.model.services import Service
from deliverability.core.phrases import Phrases
from deliverability.core.report.checks import source_views
from deliverability.core.report.findings import basis_words, effect_words, topic_name
from deliverability.core.report.parts import SourceView
from deliverability.core.words.sentences import format_value, full_day_words, limit_spec
from deliverability.core.words.speaker import read_words
from deliverability.core.words.steps import condition_words, filled_texts, rule_title
from deliverability.rulebook import age_of


class RuleLine(Struct, frozen=True):
    """A rule in a list; `href` is its page, from the folder of the language."""

    id: str
    href: str
    title: str
    severity: str
    severity_words: str


class Treatment(Struct, frozen=True):
    """How a receiver treats a rule, in words; seen from the rule (`name` is the receiver's) or the other way round."""

    id: str
    name: str
    href: str
    effect: str
    effect_words: str
    severity_words: str
    volume: str
    when: str
    since: str
    codes: tuple[str, ...]
    limits: tuple[tuple[str, str], ...]
    confidence: str
    contested: bool
    note: str
    basis: str
    age: str
    sources: tuple[SourceView, ...]


class RulePage(Struct, frozen=True):
    """All that a rule says of itself, and what receivers make of it."""

    id: str
    name: str
    title: str
    severity: str
    severity_words: str
    topic: str
    topic_key: str
    level: str
    confidence: str
    effort: str
    contested: bool
    why: str
    fix: tuple[str, ...]
    met: str
    unmet: tuple[str, ...]
    when: str
    each: str
    require: str
    purposes: str
    limits: tuple[tuple[str, str], ...]
    receivers: tuple[Treatment, ...]
    sources: tuple[SourceView, ...]


class ReceiverPage(Struct, frozen=True):
    """A receiver's own checklist; `asks` is how many rules it speaks about."""

    name: str
    href: str
    about: str
    facts: tuple[str, ...]
    rules: tuple[Treatment, ...]
    asks: int
    sources: tuple[SourceView, ...]


class ReplyEntry(Struct, frozen=True):
    """A reply of the catalogue: what it means and what to do."""

    id: str
    title: str
    example: str
    means: str
    steps: tuple[str, ...]
    about: str
    retry: str
    confidence: str
    contested: bool
    rules: tuple[RuleLine, ...]
    sources: tuple[SourceView, ...]


class ServiceEntry(Struct, frozen=True):
    """A sending service: what is known of it, a line each."""

    id: str
    name: str
    facts: tuple[str, ...]
    confidence: str
    sources: tuple[SourceView, ...]


class Rulebook(Struct, frozen=True):
    """Puts rules, receivers, replies and services into the words of one language."""

    rules: RuleSet
    replies: ReplyCatalogue
    say: Phrases
    today: date

    def line(self, rule: Rule) -> RuleLine:
        """A rule as it stands in a list."""
        severity = rule.severity.value
        title = rule_title(rule, self.say.lang)
        return RuleLine(rule.id, rule_href(rule), title, severity, self.say(f"severity.{severity}"))

    def rule(self, rule: Rule) -> RulePage:
        """A rule in full."""
        say, texts, line = self.say, filled_texts(rule, self.say.lang), self.line(rule)
        return RulePage(
            id=rule.id,
            name=rule.name,
            title=line.title,
            severity=line.severity,
            severity_words=line.severity_words,
            topic=topic_name(rule.topic, say),
            topic_key=slug(rule.topic),
            level=say(f"level.{rule.level.value}"),
            confidence=self._sureness(rule.confidence.value),
            effort=say("page.effort", effort=say(f"effort.{rule.effort.value}")),
            contested=rule.contested,
            why=texts.why,
            fix=texts.fix,
            met=texts.met,
            unmet=tuple(each.text for each in texts.unmet),
            when=condition_words(rule.when, rule) if rule.when is not None else "",
            each=rule.each or "",
            require=condition_words(rule.require, rule),
            purposes=say("value.separator").join(purpose.value for purpose in rule.purpose),
            limits=self._limits(rule.limits),
            receivers=tuple(
                self._treatment(rule, receiver.id, receiver.name[say.lang], receiver_href(receiver), statement)
                for receiver in self.rules.receivers.values()
                for statement in receiver.rules.get(rule.id, ())
            ),
            sources=self._sources(rule.sources),
        )

    def receiver(self, receiver: Receiver) -> ReceiverPage:
        """A receiver in full."""
        lang = self.say.lang
        treated = tuple(
            self._treatment(rule, ident, rule_title(rule, lang), rule_href(rule), statement)
            for ident, statements in receiver.rules.items()
            if (rule := self.rules.rules.get(ident)) is not None
            for statement in statements
        )
        return ReceiverPage(
            name=receiver.name[lang],
            href=receiver_href(receiver),
            about=receiver.about.get(lang, ""),
            facts=self._facts_of(receiver),
            rules=treated,
            asks=len(receiver.rules),
            sources=self._sources(receiver.sources),
        )

    def _facts_of(self, receiver: Receiver) -> tuple[str, ...]:
        say = self.say
        names = say("value.separator").join
        if receiver.combines:
            known = [self.rules.receivers[ident] for ident in receiver.combines if ident in self.rules.receivers]
            whom = say("site.combines", names=names(each.name[say.lang] for each in known))
        elif receiver.bulk_from is not None:
            whom = say("site.bulk-from", n=f"{receiver.bulk_from:,}")
        elif any(
            statement.volume is not VolumeClass.ANY for several in receiver.rules.values() for statement in several
        ):
            whom = say("site.bulk-open")
        else:
            whom = say("site.bulk-none")
        own = (say("site.domains", names=names(receiver.domains)),) if receiver.domains else ()
        mx = (say("site.mx", names=names(receiver.mx_suffixes)),) if receiver.mx_suffixes else ()
        return (whom, *own, *mx)

    def host(self, ident: str) -> str:
        """Who gives a reply."""
        return self.say("site.any-host") if ident == ANY else self.replies.hosts[ident].name[self.say.lang]

    def reply(self, meaning: Meaning) -> ReplyEntry:
        """A reply of the catalogue in full."""
        say = self.say
        return ReplyEntry(
            id=meaning.id,
            title=", ".join(meaning.codes) or say("explain.quote", text=meaning.says[0]),
            example=meaning.example,
            means=meaning.meaning[say.lang],
            steps=tuple(meaning.steps[say.lang]),
            about=say(f"explain.about-{meaning.about.value}"),
            retry=say(f"explain.retry-{meaning.retry.value}"),
            confidence=self._sureness(meaning.confidence.value),
            contested=meaning.contested,
            rules=tuple(self.line(self.rules.rules[ident]) for ident in meaning.rules or ()),
            sources=self._sources(meaning.sources),
        )

    def service(self, service: Service) -> ServiceEntry:
        """A sending service in full."""
        say = self.say
        facts = [say(f"site.kind.{service.kind.value}")]
        if service.spf:
            facts.append(say("site.spf", names=say("value.separator").join(each.text for each in service.spf)))
        if service.alignment:
            facts.append(say(f"site.alignment.{service.alignment.value}"))
        if service.dkim.fixed_fields:
            facts.append(say("site.fixed-fields"))
        return ServiceEntry(
            id=service.id,
            name=service.name[say.lang],
            facts=tuple(facts),
            confidence=self._sureness(service.confidence.value),
            sources=tuple(
                SourceView(source.url.removeprefix("https://"), "", source.url, "", self._read(source))
                for source in service.sources
            ),
        )

    def _treatment(self, rule: Rule, ident: str, name: str, href: str, statement: Statement) -> Treatment:
        say = self.say
        return Treatment(
            id=ident,
            name=name,
            href=href,
            effect=statement.effect.value,
            effect_words=effect_words([(statement.effect, statement.contested)], say),
            severity_words=say(f"severity.{statement.severity.value}"),
            volume=say("site.everybody" if statement.volume is VolumeClass.ANY else f"page.{statement.volume.value}"),
            when=condition_words(statement.when, rule) if statement.when is not None else "",
            since=full_day_words(statement.since, say) if statement.since else "",
            codes=statement.codes,
            limits=self._limits(statement.limits),
            confidence=self._sureness(statement.confidence.value),
            contested=statement.contested,
            note=statement.note.get(say.lang, ""),
            basis=basis_words(statement, self.rules, say),
            age=self._age(statement),
            sources=self._sources(statement.sources),
        )

    def _age(self, statement: Statement) -> str:
        days = age_of(statement, self.rules, self.today)
        return self.say("page.never-reread") if days is None else self.say.count("page.age", days)

    def _read(self, source: ServiceSource) -> str:
        """When and how a page was read, and how long ago that is."""
        days = max(0, (self.today - date.fromisoformat(source.checked)).days)
        return self.say("value.separator").join((read_words(source, self.say), self.say.count("page.age", days)))

    def _sureness(self, confidence: str) -> str:
        return self.say("label.confidence", word=self.say(f"confidence.{confidence}"))

    def _limits(self, limits: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
        return tuple((name, format_value(value, limit_spec(name), self.say)) for name, value in limits.items())

    def _sources(self, refs: Sequence[SourceRef]) -> tuple[SourceView, ...]:
        return source_views(refs, self.rules, self.say)


def rule_href(rule: Rule) -> str:
    """The page of a rule, from the folder of the language."""
    return f"rules/{slug(rule.id)}.html"


def receiver_href(receiver: Receiver) -> str:
    """The page of a receiver."""
    return f"receivers/{slug(receiver.id)}.html"


def slug(text: str) -> str:
    """A name as part of a path and as an id."""
    return re.sub(r"[^A-Za-z0-9-]", "-", text)
