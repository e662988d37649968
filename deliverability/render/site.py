"""The rules, replies and terms as a static site with the guide: what is checked, why, and where that stands.

No outside resource, relative links only. The one script is the search's (reports/search.js); all else works without.

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
from deliverability.model.replies import ANY, Meaning, ReplyCatalogue
from deliverability.model.rules import Receiver, Rule, RuleSet, SourceRef, Statement, VolumeClass
from deliverability.model.senders import Service
from deliverability.render.guide import GuidePage
from deliverability.render.html import environment
from deliverability.render.json import SCHEMA
from deliverability.render.search import INDEX, EntryKind, SearchEntry, from_a_to_z, index
from deliverability.view.findings import effect_words, read_words, topic_name
from deliverability.view.parts import SourceView
from deliverability.words.glossary import GlossaryTerm
from deliverability.words.rules import GAP, condition_words, filled_texts, rule_noun, rule_title
from deliverability.words.sentences import Phrases, format_value, limit_spec, phrases

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
SCRIPT = "search.js"
_NAV = (
    ("guide/index.html", "guide"),
    ("index.html", "rules"),
    ("receivers/index.html", "receivers"),
    ("replies/index.html", "replies"),
    ("services.html", "services"),
    ("verdicts.html", "verdicts"),
    ("glossary.html", "glossary"),
    ("a-z.html", "a-z"),
)
_GAP = re.compile(f"{GAP[0]}([^{GAP[1]}]*){GAP[1]}")


@dataclass(frozen=True, slots=True)
class Content:
    """What the site tells; `guide` is empty where nothing here reads its pages."""

    rules: RuleSet
    terms: Sequence[GlossaryTerm]
    replies: ReplyCatalogue
    guide: Sequence[GuidePage]


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


def pages(content: Content, version: str) -> Iterator[tuple[str, str]]:
    """Every file of the site: path with forward slashes, and text. `version` is the program's, for the foot."""
    templates = environment()
    css = [(locate("reports") / name).read_text("utf-8") for name in ("style.css", "site.css")]
    yield "style.css", "\n".join(css)
    yield SCRIPT, (locate("reports") / SCRIPT).read_text("utf-8")
    yield SCHEMA.name, SCHEMA.read_text("utf-8")
    languages = [phrases(lang) for lang in LANGUAGES]
    home = templates.get_template("site_home.html")
    yield "index.html", home.render(languages=languages, policy=CONTENT_SECURITY_POLICY)
    for say in languages:
        site = _Site(templates, content, say, version)
        for page, text in site.pages():
            yield f"{say.lang}/{page}", text


class _Site:
    """The pages of one language."""

    def __init__(self, environment: jinja2.Environment, content: Content, say: Phrases, version: str) -> None:
        self._environment = environment
        self._content = content
        self._rules = content.rules
        self._say = say
        self._version = version
        self._topics: dict[str, list[Rule]] = {}
        for rule in self._rules.rules.values():
            self._topics.setdefault(rule.topic, []).append(rule)
        self._entries: list[SearchEntry] = []

    def pages(self) -> Iterator[tuple[str, str]]:
        """Every page; the last ones list what the others hold."""
        yield from self._guide_pages()
        yield from self._rule_pages()
        yield from self._receiver_pages()
        yield from self._reply_pages()
        yield from self._list_pages()
        yield self._page("verdicts.html", "site_verdicts.html")
        kinds = {kind: self._say(f"site.kind-of.{kind.value}") for kind in EntryKind}
        yield self._page("a-z.html", "site_a_z.html", kinds=kinds, listed=from_a_to_z(self._entries))
        yield INDEX, index(self._entries, kinds)

    def _guide_pages(self) -> Iterator[tuple[str, str]]:
        guide = self._content.guide
        yield self._page("guide/index.html", "site_guide.html", guide=guide)
        for page in guide:
            href = f"guide/{page.name}.html"
            self._entries.append(SearchEntry(EntryKind.GUIDE, page.title, href, (page.name,), (page.text,)))
            yield self._page(href, "site_guide_page.html", guide_page=page)

    def _rule_pages(self) -> Iterator[tuple[str, str]]:
        topics = [
            {"key": _slug(topic), "name": topic_name(topic, self._say), "rules": [self._row(each) for each in members]}
            for topic, members in self._topics.items()
        ]
        yield self._page("index.html", "site_index.html", topics=topics)
        order = [rule for members in self._topics.values() for rule in members]
        for number, rule in enumerate(order):
            before = order[number - 1].id if number else ""
            after = order[number + 1].id if number + 1 < len(order) else ""
            shown = self._rule(rule) | {"before": _slug(before), "after": _slug(after)}
            self._entries.append(self._rule_entry(rule))
            yield self._page(_rule_page(rule), "site_rule.html", rule=shown)

    def _receiver_pages(self) -> Iterator[tuple[str, str]]:
        receivers = [self._receiver(each) for each in self._rules.receivers.values()]
        yield self._page("receivers/index.html", "site_receivers.html", receivers=receivers)
        for shown, receiver in zip(receivers, self._rules.receivers.values(), strict=True):
            names = (receiver.id, *receiver.name.values(), *receiver.short.values(), *receiver.mx_suffixes)
            self._entries.append(
                SearchEntry(EntryKind.RECEIVER, shown["name"], shown["href"], names, (shown["about"],))
            )
            yield self._page(shown["href"], "site_receiver.html", receiver=shown)

    def _reply_pages(self) -> Iterator[tuple[str, str]]:
        by_host: dict[str, list[Meaning]] = {}
        for meaning in self._content.replies.meanings:
            by_host.setdefault(meaning.receiver, []).append(meaning)
        hosts = [
            {"name": self._host(ident), "href": f"replies/{_slug(ident)}.html", "replies": [*map(self._reply, meant)]}
            for ident, meant in by_host.items()
        ]
        hosts.sort(key=lambda host: str(host["name"]).casefold())
        yield self._page("replies/index.html", "site_replies.html", hosts=hosts)
        for host in hosts:
            yield self._page(str(host["href"]), "site_reply.html", host=host)
        self._entries += [self._reply_entry(each) for each in self._content.replies.meanings]

    def _list_pages(self) -> Iterator[tuple[str, str]]:
        lang, terms = self._say.lang, self._content.terms
        names = {term.id: term.term[lang] for term in terms}
        yield self._page("glossary.html", "site_glossary.html", terms=terms, names=names)
        self._entries += [
            SearchEntry(EntryKind.TERM, term.term[lang], f"glossary.html#{term.id}", (term.id,), (term.text[lang],))
            for term in terms
        ]
        services = [self._service(each) for each in self._rules.knowledge.services.values()]
        services.sort(key=lambda each: str(each["name"]).casefold())
        yield self._page("services.html", "site_services.html", services=services)
        self._entries += [
            SearchEntry(
                EntryKind.SERVICE,
                str(each["name"]),
                f"services.html#{each['id']}",
                (str(each["id"]),),
                tuple(each["facts"]),
            )
            for each in services
        ]

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
            script=SCRIPT,
            index=INDEX,
            gaps=_gaps,
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

    def _rule_entry(self, rule: Rule) -> SearchEntry:
        texts = filled_texts(rule, self._say.lang)
        said = [each for receiver in self._rules.receivers.values() for each in receiver.rules.get(rule.id, ())]
        names = (rule.id, rule.name, rule_noun(rule, self._say.lang), *(code for each in said for code in each.codes))
        words = (texts.short, texts.met, *(each.text for each in texts.unmet), texts.why, *texts.fix)
        return SearchEntry(
            EntryKind.RULE, f"{rule.id} {texts.title}", _rule_page(rule), tuple(dict.fromkeys(names)), words
        )

    def _host(self, ident: str) -> str:
        """Who gives a reply."""
        return self._say("site.any-host") if ident == ANY else self._content.replies.hosts[ident].name[self._say.lang]

    def _reply(self, meaning: Meaning) -> dict[str, Any]:
        say = self._say
        known = [self._rules.rules[ident] for ident in meaning.rules or ()]
        return {
            "id": meaning.id,
            "title": ", ".join(meaning.codes) or say("explain.quote", text=meaning.says[0]),
            "example": meaning.example,
            "means": meaning.meaning[say.lang],
            "steps": meaning.steps[say.lang],
            "retry": say(f"explain.retry-{meaning.retry.value}"),
            "confidence": say("label.confidence", word=say(f"confidence.{meaning.confidence.value}")),
            "contested": meaning.contested,
            "rules": [self._row(rule) for rule in known],
            "sources": self._sources(meaning.sources),
        }

    def _reply_entry(self, meaning: Meaning) -> SearchEntry:
        host = self._host(meaning.receiver)
        shown = self._reply(meaning)
        names = [_each_class(code) for code in meaning.codes]
        return SearchEntry(
            EntryKind.REPLY,
            " ".join([host, *meaning.codes, *(self._say("explain.quote", text=says) for says in meaning.says[:1])]),
            f"replies/{_slug(meaning.receiver)}.html#{meaning.id}",
            (meaning.id, *(name for several in names for name in several), *meaning.says),
            (meaning.example, shown["means"], *shown["steps"]),
        )

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


def _each_class(code: str) -> tuple[str, ...]:
    """``X.7.26`` as the codes that somebody looks up, for X stands for temporary and permanent alike."""
    return tuple(code.replace("X.", f"{digit}.") for digit in "45") if "X." in code else (code,)


def _gaps(text: str) -> Markup:
    """A text in which the names that stand in place of a fact are set apart from the words."""
    from markupsafe import Markup, escape

    return Markup("").join(
        Markup("<var>{}</var>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(_GAP.split(text))
    )
