"""The rules as a static site: what is checked, why, how receivers treat it, and where that stands.

No script, no outside resource, relative links only.

The pages are reports/site_*.html; they share style.css with the reports and add site.css.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deliverability._resources import locate
from deliverability.model.facts import Value
from deliverability.model.placeholders import LANGUAGES
from deliverability.model.rules import Effect, Receiver, Rule, RuleSet, SourceRef, Statement, VolumeClass
from deliverability.model.senders import Service
from deliverability.render.html import environment
from deliverability.render.json import SCHEMA
from deliverability.view.findings import effect_words, read_words, topic_name
from deliverability.view.parts import SourceView
from deliverability.words.glossary import GlossaryTerm
from deliverability.words.rules import condition_words, filled_texts, rule_title
from deliverability.words.sentences import Phrases, format_value, limit_spec, phrases

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_NAV = (
    ("index.html", "rules"),
    ("receivers/index.html", "receivers"),
    ("services.html", "services"),
    ("verdicts.html", "verdicts"),
    ("glossary.html", "glossary"),
)
_EFFECTS = list(Effect)
_FACT = re.compile(r"<([A-Za-z_][\w.\[\]-]*)>")


@dataclass(frozen=True, slots=True)
class Treatment:
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
    sources: tuple[SourceView, ...]


def pages(rules: RuleSet, terms: Sequence[GlossaryTerm], version: str) -> Iterator[tuple[str, str]]:
    """Every file of the site: path with forward slashes, and text. `version` is the program's, for the foot."""
    templates = environment()
    css = [(locate("reports") / name).read_text("utf-8") for name in ("style.css", "site.css")]
    yield "style.css", "\n".join(css)
    yield SCHEMA.name, SCHEMA.read_text("utf-8")
    languages = [phrases(lang) for lang in LANGUAGES]
    home = templates.get_template("site_home.html")
    yield "index.html", home.render(languages=languages, policy=CONTENT_SECURITY_POLICY)
    for say in languages:
        site = _Site(templates, rules, terms, say, version)
        for page, text in site.pages():
            yield f"{say.lang}/{page}", text


class _Site:
    """The pages of one language."""

    def __init__(
        self, environment: jinja2.Environment, rules: RuleSet, terms: Sequence[GlossaryTerm], say: Phrases, version: str
    ) -> None:
        self._environment = environment
        self._rules = rules
        self._say = say
        self._terms = terms
        self._version = version
        self._topics: dict[str, list[Rule]] = {}
        for rule in rules.rules.values():
            self._topics.setdefault(rule.topic, []).append(rule)

    def pages(self) -> Iterator[tuple[str, str]]:
        topics = [
            {"key": _slug(topic), "name": topic_name(topic, self._say), "rules": [self._row(each) for each in members]}
            for topic, members in self._topics.items()
        ]
        yield self._page("index.html", "site_index.html", topics=topics)
        names = {term.id: term.term[self._say.lang] for term in self._terms}
        yield self._page("glossary.html", "site_glossary.html", terms=self._terms, names=names)
        yield self._page("verdicts.html", "site_verdicts.html")
        shown_services = [self._service(each) for each in self._rules.knowledge.services.values()]
        shown_services.sort(key=lambda each: str(each["name"]).casefold())
        yield self._page("services.html", "site_services.html", services=shown_services)
        receivers = [self._receiver(each) for each in self._rules.receivers.values()]
        yield self._page("receivers/index.html", "site_receivers.html", receivers=receivers)
        for receiver in receivers:
            yield self._page(receiver["href"], "site_receiver.html", receiver=receiver)
        order = [rule for members in self._topics.values() for rule in members]
        for index, rule in enumerate(order):
            before = order[index - 1].id if index else ""
            after = order[index + 1].id if index + 1 < len(order) else ""
            shown = self._rule(rule) | {"before": _slug(before), "after": _slug(after)}
            yield self._page(_rule_page(rule), "site_rule.html", rule=shown)

    def _page(self, page: str, template: str, **values: Any) -> tuple[str, str]:
        depth = page.count("/")
        text = self._environment.get_template(template).render(
            say=self._say,
            other=phrases(next(lang for lang in LANGUAGES if lang != self._say.lang)),
            rules=self._rules,
            page=page,
            root="../" * (depth + 1),
            home="../" * depth,
            nav=_NAV,
            policy=CONTENT_SECURITY_POLICY,
            facts=_facts,
            schema=SCHEMA.name,
            version=self._version,
            **values,
        )
        return page, text

    def _row(self, rule: Rule) -> Mapping[str, Any]:
        return {
            "id": rule.id,
            "href": _rule_page(rule),
            "title": rule_title(rule, self._say.lang),
            "severity": rule.severity.value,
            "severity_words": self._say(f"severity.{rule.severity.value}"),
        }

    def _rule(self, rule: Rule) -> dict[str, Any]:
        say, texts = self._say, filled_texts(rule, self._say.lang)
        treated = [
            self._treatment(rule, receiver.id, receiver.name[say.lang], _receiver_page(receiver), said)
            for receiver in self._rules.receivers.values()
            for said in receiver.rules.get(rule.id, ())
        ]
        return {
            **self._row(rule),
            "name": rule.name,
            "topic": topic_name(rule.topic, say),
            "topic_key": _slug(rule.topic),
            "level": say(f"level.{rule.level.value}"),
            "confidence": say("label.confidence", word=say(f"confidence.{rule.confidence.value}")),
            "effort": say("page.effort", effort=say(f"effort.{rule.effort.value}")),
            "contested": rule.contested,
            "why": texts.why,
            "fix": texts.fix,
            "met": texts.met,
            "unmet": tuple(each.text for each in texts.unmet),
            "when": condition_words(rule.when, rule) if rule.when is not None else "",
            "each": rule.each or "",
            "require": condition_words(rule.require, rule),
            "purposes": say("value.separator").join(purpose.value for purpose in rule.purpose),
            "limits": self._limits(rule.limits),
            "receivers": treated,
            "sources": self._sources(rule.sources),
        }

    def _receiver(self, receiver: Receiver) -> dict[str, Any]:
        say = self._say
        names = say("value.separator").join
        treated = [
            self._treatment(rule, ident, rule_title(rule, say.lang), _rule_page(rule), statement)
            for ident, statements in receiver.rules.items()
            if (rule := self._rules.rules.get(ident)) is not None
            for statement in statements
        ]
        treated.sort(key=lambda each: _EFFECTS.index(Effect(each.effect)))
        facts = []
        if receiver.combines:
            known = [self._rules.receivers[ident] for ident in receiver.combines if ident in self._rules.receivers]
            facts.append(say("site.combines", names=names(each.name[say.lang] for each in known)))
        elif receiver.bulk_from is not None:
            facts.append(say("site.bulk-from", n=f"{receiver.bulk_from:,}"))
        elif any(said.volume is not VolumeClass.ANY for several in receiver.rules.values() for said in several):
            facts.append(say("site.bulk-open"))
        else:
            facts.append(say("site.bulk-none"))
        if receiver.mx_suffixes:
            facts.append(say("site.mx", names=names(receiver.mx_suffixes)))
        return {
            "name": receiver.name[say.lang],
            "href": _receiver_page(receiver),
            "about": receiver.about.get(say.lang, ""),
            "facts": facts,
            "rules": treated,
            "asks": len(receiver.rules),
            "sources": self._sources(receiver.sources),
        }

    def _service(self, service: Service) -> dict[str, Any]:
        say = self._say
        facts = [say(f"site.kind.{service.kind.value}")]
        if service.spf:
            facts.append(say("site.spf", names=say("value.separator").join(each.text for each in service.spf)))
        if service.alignment:
            facts.append(say(f"site.alignment.{service.alignment.value}"))
        if service.dkim.fixed_fields:
            facts.append(say("site.fixed-fields"))
        return {
            "id": service.id,
            "name": service.name[say.lang],
            "facts": facts,
            "confidence": say("label.confidence", word=say(f"confidence.{service.confidence.value}")),
            "sources": [
                SourceView(source.url.removeprefix("https://"), "", source.url, "", read_words(source, say))
                for source in service.sources
            ],
        }

    def _treatment(self, rule: Rule, ident: str, name: str, href: str, said: Statement) -> Treatment:
        say = self._say
        return Treatment(
            id=ident,
            name=name,
            href=href,
            effect=said.effect.value,
            effect_words=effect_words([(said.effect, said.contested)], say),
            severity_words=say(f"severity.{said.severity.value}"),
            volume=say("site.everybody" if said.volume is VolumeClass.ANY else f"page.{said.volume.value}"),
            when=condition_words(said.when, rule) if said.when is not None else "",
            since=said.since,
            codes=said.codes,
            limits=self._limits(said.limits),
            confidence=say("label.confidence", word=say(f"confidence.{said.confidence.value}")),
            contested=said.contested,
            note=said.note.get(say.lang, ""),
            sources=self._sources(said.sources),
        )

    def _limits(self, limits: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
        return tuple((name, format_value(value, limit_spec(name), self._say)) for name, value in limits.items())

    def _sources(self, refs: Sequence[SourceRef]) -> tuple[SourceView, ...]:
        """The sections of one source together, as the reports show them."""
        sections: dict[str, dict[str, None]] = {}
        for ref in refs:
            sections.setdefault(ref.ref, {}).update({ref.section: None} if ref.section else {})
        shown = []
        for key, named in sections.items():
            source = self._rules.sources[key]
            url = source.url if source.url.startswith(("https://", "http://")) else ""
            shown.append(
                SourceView(source.title, ", ".join(named), url, source.publisher, read_words(source, self._say))
            )
        return tuple(shown)


def _rule_page(rule: Rule) -> str:
    return f"rules/{_slug(rule.id)}.html"


def _receiver_page(receiver: Receiver) -> str:
    return f"receivers/{_slug(receiver.id)}.html"


def _slug(text: str) -> str:
    """A name as part of a path and as an id."""
    return re.sub(r"[^A-Za-z0-9-]", "-", text)


def _facts(text: str) -> Markup:
    """Names of facts in angle brackets, as `filled_texts` leaves them, set apart from the words."""
    from markupsafe import Markup, escape

    return Markup("").join(
        Markup("<var>{}</var>").format(piece) if index % 2 else escape(piece)
        for index, piece in enumerate(_FACT.split(text))
    )
