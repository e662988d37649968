"""Rules, replies and terms as a static site with the guide, and the index of its search."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from msgspec import Struct

from deliverability.core.codec import json_text
from deliverability.core.files import locate
from deliverability.core.model.replies import Meaning, ReplyCatalogue
from deliverability.core.model.rules import Rule, RuleSet
from deliverability.core.phrases import LANGUAGES, Phrases, phrases
from deliverability.core.report.findings import topic_name
from deliverability.core.report.formats.json import SCHEMA
from deliverability.core.report.templates import GlossaryTerm, environment
from deliverability.core.words.steps import GAP, filled_texts, rule_noun
from deliverability.site.rulebook import Rulebook, receiver_href, rule_href, slug

if TYPE_CHECKING:
    import jinja2
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markupsafe import Markup

# The pages in the order of a reader's needs; others follow by name.
_ORDER = (
    *("installing", "auditing", "reading", "fixing", "bounces", "reports", "watch", "doctor"),
    *("weekly", "formats", "settings", "python", "architecture"),
)
_COMMENT = ("<!--", "-->")


class GuidePage(Struct, frozen=True):
    """A page of the guide.

    Attributes:
        name: of the page, without an ending.
        lang: the language that it is written in.
        title: its first heading.
        text: what a search looks at, without marks.
        html: all of it but that heading.

    """

    name: str
    lang: str
    title: str
    text: str
    html: Markup


def guide_pages(folder: Path, lang: str = "en") -> tuple[GuidePage, ...]:
    """The pages of a folder in reading order, each in a language or, where it is not translated, in English.

    Translations have the same name in the folder of their language. Raises ModuleNotFoundError where nothing here reads
    Markdown.
    """
    from markdown_it import MarkdownIt

    # Marks of HTML are words, so that no page can bring any along.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("table_open", _table_open)
    reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    texts = {path.stem: (path.read_text("utf-8"), "en") for path in folder.glob("*.md") if path.stem.islower()}
    texts |= {path.stem: (path.read_text("utf-8"), lang) for path in (folder / lang).glob("*.md")}
    names = sorted(texts, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return tuple(_page(name, *texts[name], texts, reader) for name in names)


def _without_comments(text: str) -> str:
    """Markdown without comments, and without the line end behind each."""
    begin, end = _COMMENT
    first, *others = text.split(begin)
    pieces = [first]
    for each in others:
        inside, closed, after = each.partition(end)
        pieces.append(after.removeprefix("\n") if closed else begin + inside)
    return "".join(pieces)


def _page(name: str, text: str, lang: str, known: Collection[str], reader: MarkdownIt) -> GuidePage:
    opening, heading, closing, *tokens = reader.parse(_without_comments(text))
    if (opening.type, opening.tag, closing.type) != ("heading_open", "h1", "heading_close"):
        raise ValueError(f"{name}.md does not begin with its title")
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = _anchor(tokens[place + 1].content)
        if token.children is not None:
            token.children = _linked(token.children, known)
    words = " ".join(token.content for token in tokens if token.content)
    html = Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704
    return GuidePage(name, lang, heading.content, words, html)


def _anchor(heading: str) -> str:
    """The id of a heading, as hosts of Markdown make it: links in the pages are written for these."""
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
    return kept.strip().replace(" ", "-")


def _linked(tokens: Sequence[Token], known: Collection[str]) -> list[Token]:
    """Links to other pages of the guide lead to their HTML; those to what is not on the site are words only."""
    result: list[Token] = []
    open_link = False
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrs["href"])
            page, hash_sign, anchor = href.removeprefix("../").partition("#")
            open_link = "://" in href or page.removesuffix(".md") in known
            if "://" not in href:
                token.attrs["href"] = f"{page.removesuffix('.md')}.html{hash_sign}{anchor}"
        if not token.type.startswith("link_") or open_link:
            result.append(token)
    return result


def _table_open(renderer: Any, tokens: Sequence[Token], index: int, *_: Any) -> str:
    """A table that may be wider than the screen: it scrolls by itself, can be focused, and its head is its name."""
    head = next((token.content for token in tokens[index:] if token.type == "inline"), "")
    return str(Markup('<div class="scroll" role="region" aria-label="{}" tabindex="0"><table>\n').format(head))


INDEX = "search-index.js"


class EntryKind(StrEnum):
    """What an entry is, in the order of the page from A to Z."""

    GUIDE = "guide"
    RULE = "rule"
    RECEIVER = "receiver"
    REPLY = "reply"
    SERVICE = "service"
    TERM = "term"


class SearchEntry(Struct, frozen=True):
    """Something to be found.

    Attributes:
        title: as it is shown.
        href: where it is, from the folder of the language.
        names: ids, codes and other words that mean just this.
        words: what else it says.

    """

    kind: EntryKind
    title: str
    href: str
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def folded(text: str) -> str:
    """A text as search compares it, in the script likewise: one width of letters (NFKC), no capitals, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def from_a_to_z(entries: Iterable[SearchEntry]) -> list[tuple[EntryKind, list[SearchEntry]]]:
    """Every entry below its kind, by title."""
    by_title = sorted(entries, key=lambda entry: (folded(entry.title), entry.href))
    return [(kind, found) for kind in EntryKind if (found := [each for each in by_title if each.kind is kind])]


def index(entries: Sequence[SearchEntry], kinds: dict[EntryKind, str]) -> str:
    """The entries as a script beside the pages: a page that is opened from a folder can load nothing else.

    Of each: the word for its kind, title, address, folded title, folded names, folded words.
    """
    rows = [
        [
            kinds[each.kind],
            each.title,
            each.href,
            folded(each.title),
            [folded(name) for name in each.names],
            folded(" ".join(each.words)),
        ]
        for each in entries
    ]
    lines = ",\n".join(json_text(row) for row in rows)
    return f"globalThis.delivIndex = [\n{lines}\n];\n"


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
    """What the site tells; `guide`, by language, is empty where nothing here reads its pages."""

    rules: RuleSet
    terms: Sequence[GlossaryTerm]
    replies: ReplyCatalogue
    guide: Mapping[str, Sequence[GuidePage]]


def pages(content: Content, version: str, today: date) -> Iterator[tuple[str, str]]:
    """Every file of the site: path with forward slashes, and text.

    `version` is the program's, for the foot; how long ago statements were read is counted to `today`.
    """
    templates = environment()
    css = [(locate("reports") / name).read_text("utf-8") for name in ("style.css", "site.css")]
    yield "style.css", "\n".join(css)
    yield SCRIPT, (locate("reports") / SCRIPT).read_text("utf-8")
    yield SCHEMA.name, SCHEMA.read_text("utf-8")
    languages = [phrases(lang) for lang in LANGUAGES]
    home = templates.get_template("site_home.html")
    yield "index.html", home.render(languages=languages, policy=CONTENT_SECURITY_POLICY)
    for say in languages:
        site = _Site(templates, content, say, version, today)
        for page, text in site.pages():
            yield f"{say.lang}/{page}", text


class _Site:
    """The pages of one language."""

    def __init__(
        self, environment: jinja2.Environment, content: Content, say: Phrases, version: str, today: date
    ) -> None:
        self._environment = environment
        self._content = content
        self._rules = content.rules
        self._say = say
        self._version = version
        self._book = Rulebook(self._rules, content.replies, say, today)
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
        guide = self._content.guide.get(self._say.lang, ())
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
            topic = {"topic": topic_name(rule.topic, self._say), "topic_key": slug(rule.topic)}
            yield self._page(rule_href(rule), "site_rule.html", rule=rule, **topic, **beside)

    def _receiver_pages(self) -> Iterator[tuple[str, str]]:
        lang, receivers = self._say.lang, self._rules.receivers.values()
        yield self._page("receivers/index.html", "site_receivers.html", receivers=receivers)
        for receiver in receivers:
            name, href, about = receiver.name[lang], receiver_href(receiver), receiver.about.get(lang, "")
            names = (
                receiver.id,
                *receiver.name.values(),
                *receiver.short.values(),
                *receiver.domains,
                *receiver.mx_suffixes,
            )
            self._entries.append(SearchEntry(EntryKind.RECEIVER, name, href, names, (about,)))
            yield self._page(href, "site_receiver.html", receiver=receiver)

    def _reply_pages(self) -> Iterator[tuple[str, str]]:
        by_host: dict[str, list[Meaning]] = {}
        for meaning in self._content.replies.meanings:
            by_host.setdefault(meaning.receiver, []).append(meaning)
        hosts = [
            {
                "name": self._book.host(ident),
                "href": f"replies/{slug(ident)}.html",
                "replies": meant,
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
        services = sorted(self._rules.knowledge.services.values(), key=lambda each: each.name[lang].casefold())
        yield self._page("services.html", "site_services.html", services=services)
        self._entries += [
            SearchEntry(
                EntryKind.SERVICE,
                each.name[lang],
                f"services.html#{each.id}",
                (each.id,),
                self._book.service_facts(each),
            )
            for each in services
        ]

    def _page(self, page: str, template: str, **values: Any) -> tuple[str, str]:
        depth = page.count("/")
        text = self._environment.get_template(template).render(
            say=self._say,
            other=phrases(next(lang for lang in LANGUAGES if lang != self._say.lang)),
            rules=self._rules,
            book=self._book,
            receiver_href=receiver_href,
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
        words = (texts.met, texts.why, *(each.text for each in (*texts.short, *texts.unmet, *texts.fix)))
        return SearchEntry(
            EntryKind.RULE, f"{rule.id} {texts.title}", rule_href(rule), tuple(dict.fromkeys(names)), words
        )

    def _reply_entry(self, meaning: Meaning) -> SearchEntry:
        host, lang = self._book.host(meaning.receiver), self._say.lang
        names = [_each_class(code) for code in meaning.codes]
        return SearchEntry(
            EntryKind.REPLY,
            " ".join([host, *meaning.codes, *(self._say("explain.quote", text=says) for says in meaning.says[:1])]),
            f"replies/{slug(meaning.receiver)}.html#{meaning.id}",
            (meaning.id, *(name for several in names for name in several), *meaning.says),
            (meaning.example, meaning.meaning[lang], *meaning.steps[lang]),
        )


def _each_class(code: str) -> tuple[str, ...]:
    """``X.7.26`` as the codes that somebody looks up, for X stands for temporary and permanent alike."""
    return tuple(code.replace("X.", f"{digit}.") for digit in "45") if "X." in code else (code,)


def _gaps(text: str) -> Markup:
    """A text in which the names that stand in place of a fact are set apart from the words."""
    return Markup("").join(
        Markup("<var>{}</var>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(_GAP.split(text))
    )
