"""The rules, replies and terms as a static site with the guide: what is checked, why, and where that stands.

No outside resource, relative links only. The one script is the search's (reports/search.js); all else works without.

The pages are reports/site_*.html; they share style.css with the reports and add site.css.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from deliverability._resources import locate
from deliverability.model.placeholders import LANGUAGES
from deliverability.model.replies import Meaning, ReplyCatalogue
from deliverability.model.rules import Rule, RuleSet
from deliverability.render.guide import GuidePage
from deliverability.render.json import SCHEMA
from deliverability.render.search import INDEX, EntryKind, SearchEntry, from_a_to_z, index
from deliverability.render.templates import environment
from deliverability.view.findings import topic_name
from deliverability.view.rulebook import Rulebook, rule_href, slug
from deliverability.words.glossary import GlossaryTerm
from deliverability.words.rules import GAP, filled_texts, rule_noun
from deliverability.words.sentences import Phrases, phrases

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


class Content(Struct, frozen=True):
    """What the site tells; `guide` is empty where nothing here reads its pages."""

    rules: RuleSet
    terms: Sequence[GlossaryTerm]
    replies: ReplyCatalogue
    guide: Sequence[GuidePage]


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
        self._book = Rulebook(self._rules, content.replies, say)
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
            {
                "key": slug(topic),
                "name": topic_name(topic, self._say),
                "rules": [self._book.line(each) for each in members],
            }
            for topic, members in self._topics.items()
        ]
        yield self._page("index.html", "site_index.html", topics=topics)
        order = [rule for members in self._topics.values() for rule in members]
        for number, rule in enumerate(order):
            before = order[number - 1].id if number else ""
            after = order[number + 1].id if number + 1 < len(order) else ""
            self._entries.append(self._rule_entry(rule))
            beside = {"before": slug(before), "after": slug(after)}
            yield self._page(rule_href(rule), "site_rule.html", rule=self._book.rule(rule), **beside)

    def _receiver_pages(self) -> Iterator[tuple[str, str]]:
        receivers = [self._book.receiver(each) for each in self._rules.receivers.values()]
        yield self._page("receivers/index.html", "site_receivers.html", receivers=receivers)
        for shown, receiver in zip(receivers, self._rules.receivers.values(), strict=True):
            names = (receiver.id, *receiver.name.values(), *receiver.short.values(), *receiver.mx_suffixes)
            self._entries.append(SearchEntry(EntryKind.RECEIVER, shown.name, shown.href, names, (shown.about,)))
            yield self._page(shown.href, "site_receiver.html", receiver=shown)

    def _reply_pages(self) -> Iterator[tuple[str, str]]:
        by_host: dict[str, list[Meaning]] = {}
        for meaning in self._content.replies.meanings:
            by_host.setdefault(meaning.receiver, []).append(meaning)
        hosts = [
            {
                "name": self._book.host(ident),
                "href": f"replies/{slug(ident)}.html",
                "replies": [*map(self._book.reply, meant)],
            }
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
        services = [self._book.service(each) for each in self._rules.knowledge.services.values()]
        services.sort(key=lambda each: each.name.casefold())
        yield self._page("services.html", "site_services.html", services=services)
        self._entries += [
            SearchEntry(EntryKind.SERVICE, each.name, f"services.html#{each.id}", (each.id,), each.facts)
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

    def _rule_entry(self, rule: Rule) -> SearchEntry:
        texts = filled_texts(rule, self._say.lang)
        every = [each for receiver in self._rules.receivers.values() for each in receiver.rules.get(rule.id, ())]
        names = (rule.id, rule.name, rule_noun(rule, self._say.lang), *(code for each in every for code in each.codes))
        words = (texts.short, texts.met, *(each.text for each in texts.unmet), texts.why, *texts.fix)
        return SearchEntry(
            EntryKind.RULE, f"{rule.id} {texts.title}", rule_href(rule), tuple(dict.fromkeys(names)), words
        )

    def _reply_entry(self, meaning: Meaning) -> SearchEntry:
        host, shown = self._book.host(meaning.receiver), self._book.reply(meaning)
        names = [_each_class(code) for code in meaning.codes]
        return SearchEntry(
            EntryKind.REPLY,
            " ".join([host, *meaning.codes, *(self._say("explain.quote", text=says) for says in meaning.says[:1])]),
            f"replies/{slug(meaning.receiver)}.html#{meaning.id}",
            (meaning.id, *(name for several in names for name in several), *meaning.says),
            (meaning.example, shown.means, *shown.steps),
        )


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
