"""The rules, receivers, replies and services themselves in words, whatever was audited: for the docs site."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from msgspec import Struct

from deliverability.core.facts.base import Value
from deliverability.core.model.replies import ANY, Meaning, ReplyCatalogue
from deliverability.core.model.rules import (
    Condition,
    Confidence,
    Receiver,
    Rule,
    RuleSet,
    ServiceSource,
    SourceRef,
    Statement,
    Texts,
    VolumeClass,
)
from deliverability.core.model.services import Service
from deliverability.core.phrases import Phrases
from deliverability.core.report.checks import source_views
from deliverability.core.report.findings import basis_words, effect_words
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
    """How a receiver treats a rule; seen from the rule (`id` and `name` are the receiver's) or the other way round."""

    id: str
    name: str
    href: str
    rule: Rule
    statement: Statement


class Rulebook(Struct, frozen=True):
    """Puts what rules, receivers, replies and services say of themselves into the words of one language."""

    rules: RuleSet
    replies: ReplyCatalogue
    say: Phrases
    today: date

    def line(self, rule: Rule) -> RuleLine:
        """A rule as it stands in a list."""
        severity = rule.severity.value
        title = rule_title(rule, self.say.lang)
        return RuleLine(rule.id, rule_href(rule), title, severity, self.say(f"severity.{severity}"))

    def treated(self, rule: Rule) -> tuple[Treatment, ...]:
        """What receivers make of a rule."""
        return tuple(
            Treatment(receiver.id, receiver.name[self.say.lang], receiver_href(receiver), rule, statement)
            for receiver in self.rules.receivers.values()
            for statement in receiver.rules.get(rule.id, ())
        )

    def asked(self, receiver: Receiver) -> tuple[Treatment, ...]:
        """A receiver's own checklist."""
        return tuple(
            Treatment(ident, rule_title(rule, self.say.lang), rule_href(rule), rule, statement)
            for ident, statements in receiver.rules.items()
            if (rule := self.rules.rules.get(ident)) is not None
            for statement in statements
        )

    def receiver_facts(self, receiver: Receiver) -> tuple[str, ...]:
        """What is known of a receiver, a line each."""
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

    def reply_title(self, meaning: Meaning) -> str:
        """A reply by its codes, else by its words."""
        return ", ".join(meaning.codes) or self.say("explain.quote", text=meaning.says[0])

    def service_facts(self, service: Service) -> tuple[str, ...]:
        """What is known of a sending service, a line each."""
        say = self.say
        facts = [say(f"site.kind.{service.kind.value}")]
        if service.spf:
            facts.append(say("site.spf", names=say("value.separator").join(each.text for each in service.spf)))
        if service.alignment:
            facts.append(say(f"site.alignment.{service.alignment.value}"))
        if service.dkim.fixed_fields:
            facts.append(say("site.fixed-fields"))
        return tuple(facts)

    def service_sources(self, service: Service) -> tuple[SourceView, ...]:
        """Where that is from, and how long ago each page was read."""
        return tuple(
            SourceView(source.url.removeprefix("https://"), "", source.url, "", self._read(source))
            for source in service.sources
        )

    def texts(self, rule: Rule) -> Texts:
        """The texts of a rule."""
        return filled_texts(rule, self.say.lang)

    def condition(self, condition: Condition, rule: Rule) -> str:
        """When a rule applies, or what it asks for."""
        return condition_words(condition, rule)

    def effect(self, statement: Statement) -> str:
        """What a receiver does."""
        return effect_words([(statement.effect, statement.contested)], self.say)

    def volume(self, statement: Statement) -> str:
        """For whom."""
        of = statement.volume
        return self.say("site.everybody" if of is VolumeClass.ANY else f"page.{of.value}")

    def since(self, statement: Statement) -> str:
        """Since when; empty: that is not known."""
        return full_day_words(statement.since, self.say) if statement.since else ""

    def basis(self, statement: Statement) -> str:
        """In whose words."""
        return basis_words(statement, self.rules, self.say)

    def age(self, statement: Statement) -> str:
        """How long ago these were read."""
        days = age_of(statement, self.rules, self.today)
        return self.say("page.never-reread") if days is None else self.say.count("page.age", days)

    def _read(self, source: ServiceSource) -> str:
        """When and how a page was read, and how long ago that is."""
        days = max(0, (self.today - date.fromisoformat(source.checked)).days)
        return self.say("value.separator").join((read_words(source, self.say), self.say.count("page.age", days)))

    def sureness(self, confidence: Confidence) -> str:
        """How sure that is."""
        return self.say("label.confidence", word=self.say(f"confidence.{confidence.value}"))

    def limits(self, limits: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
        """The limits of a rule or a receiver with their values."""
        return tuple((name, format_value(value, limit_spec(name), self.say)) for name, value in limits.items())

    def sources(self, refs: Sequence[SourceRef]) -> tuple[SourceView, ...]:
        """Where it is from."""
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
