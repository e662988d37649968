"""`deliv rules`: the rules' own documentation, how fresh statements are, and the check of rule files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct
from msgspec.structs import asdict

from deliverability.console.command import Command
from deliverability.console.language import columns, language
from deliverability.console.options import (
    lang_option,
    rule_folders_option,
    text_or_json_option,
)
from deliverability.core.codec import json_text
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.model.rules import Rule, RuleSet, Source, Statement
from deliverability.core.phrases import detail_words, phrases
from deliverability.core.replies.match import load_replies
from deliverability.core.report.findings import basis_words, effect_words
from deliverability.core.report.wrap import wrap
from deliverability.core.words.sentences import full_day_words
from deliverability.core.words.speaker import cited, read_words, titled
from deliverability.core.words.steps import condition_words, filled, nearest, rule_title, search
from deliverability.engine.rules import load_rules, read_rules, rule_folders
from deliverability.lists.catalogue import load_list_data

if TYPE_CHECKING:
    from deliverability.core.model.blocklists import BlockList
    from deliverability.core.model.profiles import ProfileSource
    from deliverability.core.model.rules import ServiceSource

WIDTH = 100


def rule_page(rule: Rule, rules: RuleSet, lang: str, width: int = 80) -> str:
    """What the rule asks, why, what to do, who treats it how, and where it comes from."""
    return "\n".join(_lines(rule, rules, lang, min(width, WIDTH))) + "\n"


def _lines(rule: Rule, rules: RuleSet, lang: str, width: int) -> Iterator[str]:
    say = phrases(lang)
    texts, gap = rule.text[lang], say("punctuation.gap")
    yield from wrap(f"{rule.id}  {rule_title(rule, lang)}", width)
    facts = [rule.name, say(f"scope.{rule.scope.value}"), say(f"severity.{rule.severity.value}")]
    facts += [say(f"level.{rule.level.value}")]
    facts += [say("label.confidence", word=say(f"confidence.{rule.confidence.value}"))]
    facts += [say("page.effort", effort=say(f"effort.{rule.effort.value}"))]
    if rule.contested:
        facts.append(say("page.contested"))
    yield from wrap(" · ".join(facts), width)
    yield from ("", say("page.why"))
    yield from _indented(filled(texts.why, rule, say), width)
    yield from ("", say("page.fix"))
    for number, step in enumerate(texts.steps, 1):
        lead = f"  {number}) "
        lines = wrap(filled(step, rule, say), width - len(lead))
        yield from (f"{lead if index == 0 else ' ' * len(lead)}{line}" for index, line in enumerate(lines))
    yield from ("", say("page.checks"))
    if rule.when is not None:
        yield from _indented(f"{say('page.when')}{gap}{condition_words(rule.when, rule)}", width)
    if rule.each is not None:
        yield from _indented(f"{say('page.each')}{gap}{rule.each}", width)
    yield from _indented(f"{say('page.require')}{gap}{condition_words(rule.require, rule)}", width)
    treated = [
        (receiver, statement) for receiver in rules.receivers.values() for statement in receiver.rules.get(rule.id, ())
    ]
    if treated:
        yield from ("", say("page.receivers"))
    for receiver, statement in treated:
        parts = [say(f"severity.{statement.severity.value}")]
        parts += [effect_words([(statement.effect, statement.contested)], say)]
        parts += [say(f"page.{statement.volume.value}")] if statement.volume.value != "any" else []
        parts += [say("page.from", date=full_day_words(statement.since, say))] if statement.since else []
        parts += [say("punctuation.list").join(statement.codes)] if statement.codes else []
        parts += [say("page.contested")] if statement.contested else []
        if statement.when is not None:
            parts += [f"{say('page.when')}{gap}{condition_words(statement.when, rule)}"]
        yield from _indented(receiver.name[lang] + say("punctuation.colon") + " · ".join(parts), width)
        if statement.note:
            yield from _indented(statement.note[lang], width, 4)
        yield from _indented(basis_words(statement, rules, say), width, 4)
    yield from ("", say("page.sources"))
    for ref in rule.sources:
        source = rules.sources[ref.ref]
        shown = cited(source, say)
        read = say("punctuation.aside", text=read_words(source, say))
        yield from _indented(titled(shown.title, ref.section, say) + read, width)
        if shown.url:
            yield f"    {shown.url}"


def _indented(text: str, width: int, indent: int = 2) -> Iterator[str]:
    return (" " * indent + line for line in wrap(text, width - indent))


_UNREAD = "not re-read"


class Aged(Struct, frozen=True):
    """What rests on the same sources: statements of a receiver, clauses of a profile, a service, a DNS console.

    Attributes:
        of: receiver, profile, service or dns-provider.
        name: its id.
        items: rules of the receiver, or clauses of the profile; empty for the others.
        sources: keys of sources; URLs for services and DNS providers.
        read: ISO date on which the newest of the sources was read; None: none of them was read again.
        days: days since then; None likewise.

    """

    of: str
    name: str
    items: tuple[str, ...]
    sources: tuple[str, ...]
    read: str | None
    days: int | None


def aged(rules: RuleSet, today: date, days: int) -> tuple[Aged, ...]:
    """What was not read within so many days, the oldest first; what was never read again before them."""
    found = [each for each in _all_of(rules, today) if each.days is None or each.days > days]
    return tuple(sorted(found, key=lambda each: (each.read or "", each.of, each.name)))


def _all_of(rules: RuleSet, today: date) -> Iterator[Aged]:
    def made(
        of: str, name: str, items: Iterable[str], sources: Mapping[str, Source | ProfileSource | ServiceSource]
    ) -> Aged:
        read = _last_read(sources.values())
        return Aged(of, name, tuple(items), tuple(sources), read, None if read is None else _days(read, today))

    for receiver in rules.receivers.values():
        by_sources: defaultdict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
        for rule_id, statements in receiver.rules.items():
            for statement in statements:
                by_sources[tuple(ref.ref for ref in statement.sources)][rule_id] = None
        for refs, named in by_sources.items():
            yield made("receiver", receiver.id, named, {ref: rules.sources[ref] for ref in refs})
    for profile in rules.profiles.values():
        for key, source in profile.sources.items():
            clauses = [each.id for each in profile.clauses if each.source == key]
            yield made("profile", profile.id, clauses, {key: source})
    for service in rules.knowledge.services.values():
        yield made("service", service.id, (), {each.url: each for each in service.sources})
    for provider in rules.knowledge.dns_providers.values():
        yield made("dns-provider", provider.id, (), {each.url: each for each in provider.sources})


def age_of(statement: Statement, rules: RuleSet, today: date) -> int | None:
    """Days since the newest of its sources was read; None: none of them was read again."""
    read = _last_read(rules.sources[each.ref] for each in statement.sources)
    return None if read is None else _days(read, today)


def _days(read: str, today: date) -> int:
    return max(0, (today - date.fromisoformat(read)).days)


def _last_read(sources: Iterable[Source | ProfileSource | ServiceSource]) -> str | None:
    return max((each.checked for each in sources if each.read_as != _UNREAD), default=None)


NO_RULE_ABOUT = Code("no-rule-about-it", ("text",))
NO_RULE_ABOUT_NEAR = Code("no-rule-about", ("text", "near"))
STALE_AFTER = timedelta(days=180)


@click.command("rules", cls=Command)
@click.argument("which", metavar="[ID|PREFIX|WORD]...", nargs=-1)
@rule_folders_option
@lang_option
@text_or_json_option
@click.option("--check", is_flag=True)
@click.option("--stale", type=click.IntRange(min=0), metavar="DAYS")
def command(
    which: tuple[str, ...], rules: tuple[Path, ...], lang: str, style: str, check: bool, stale: int | None
) -> int:
    """List the rules, explain some, or find those that a word is about."""
    loaded = read_rules(rules) if check else load_rules(rules)
    if check:
        return _check(loaded, rules)
    if stale is not None:
        return _stale(loaded, stale, lang, style)
    wanted = " ".join(which)
    chosen = [rule for rule in loaded.rules.values() if rule.id.startswith(wanted.upper())]
    found = [] if chosen else search(wanted, loaded.rules.values())
    if not chosen and not found:
        near = nearest(wanted, loaded.rules.values())
        raise InputError(NO_RULE_ABOUT_NEAR(text=wanted, near=near) if near else NO_RULE_ABOUT(text=wanted))
    if style == "json":
        click.echo(json_text([_as_json(rule, loaded) for rule in chosen or found], indent=2))
    elif not wanted:
        _list(chosen, lang)
    elif len(found) > 1:
        click.echo("\n".join(_line(rule, lang) for rule in found))
    else:
        chosen = chosen or found
        click.echo("\n\n".join(rule_page(rule, loaded, lang, columns()) for rule in chosen), nl=False)
    return 0


def _all_sources(blocklist: BlockList) -> tuple[ServiceSource, ...]:
    return (*blocklist.sources, *(at for found in blocklist.named_by.values() for at in found))


def _check(loaded: RuleSet, folders: Sequence[Path]) -> int:
    senders = loaded.knowledge.services
    replies = load_replies(rule_folders(folders), loaded)
    lists = load_list_data(rule_folders(folders))
    say = language().say
    for warning in loaded.warnings:
        click.echo(say("cli.warning", text=detail_words(warning, say)), err=True)
    today = datetime.now(UTC).date()
    read = [(source.key, source.read_as, source.checked) for source in loaded.sources.values()]
    read += [(f"{each.id} ({at.url})", at.read_as, at.checked) for each in senders.values() for at in each.sources]
    blocklists = loaded.knowledge.blocklists.values()
    read += [(f"{each.id} ({at.url})", at.read_as, at.checked) for each in blocklists for at in _all_sources(each)]
    read += [(each.url, each.read_as, each.checked) for each in lists.sources]
    if unread := sum(read_as == _UNREAD for _, read_as, _ in read):
        click.echo(say.count("cli.not-re-read", unread), err=True)
    for name, _, checked in read:
        age = today - date.fromisoformat(checked)
        if age > STALE_AFTER:
            ago = say.count("unit.day", age.days)
            click.echo(say("cli.stale", name=name, date=full_day_words(checked, say), age=ago), err=True)
    numbers = {
        "rules": len(loaded.rules),
        "receivers": len(loaded.receivers),
        "sources": len(loaded.sources),
        "services": len(senders),
        "replies": len(replies.meanings),
        "warnings": len(loaded.warnings),
    }
    click.echo(say("cli.rules-valid", **{name: f"{number:,}" for name, number in numbers.items()}))
    return 0


def _stale(loaded: RuleSet, days: int, lang: str, style: str) -> int:
    found = aged(loaded, datetime.now(UTC).date(), days)
    if style == "json":
        click.echo(json_text([asdict(each) for each in found], indent=2))
        return 0
    say = phrases(lang)
    for each in found:
        words = {
            "of": say(f"cli.aged-{each.of}"),
            "name": each.name,
            "sources": say("punctuation.colon") + say("punctuation.list").join(each.sources) if each.sources else "",
        }
        items = say("punctuation.aside", text=say("punctuation.list").join(each.items)) if each.items else ""
        if each.read is None or each.days is None:
            click.echo(say("cli.aged-unread", items=items, **words))
        else:
            read, ago = full_day_words(each.read, say), say.count("unit.day", each.days)
            click.echo(say("cli.aged", items=items, **words, date=read, age=ago))
    if not found:
        click.echo(say("cli.aged-none", n=f"{days:,}"))
    return 0


def _list(rules: Sequence[Rule], lang: str) -> None:
    topic = ""
    for rule in rules:
        if rule.topic != topic:
            topic = rule.topic
            click.echo(("\n" if rule is not rules[0] else "") + click.style(topic, bold=True))
        click.echo(f"  {_line(rule, lang)}")


def _line(rule: Rule, lang: str) -> str:
    return f"{rule.id:<10} {rule.severity.value:<8} {rule_title(rule, lang)}"


def _as_json(rule: Rule, loaded: RuleSet) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "topic": rule.topic,
        "since": rule.since,
        "status": rule.status.value,
        "scope": rule.scope.value,
        "severity": rule.severity.value,
        "level": rule.level.value,
        "effort": rule.effort.value,
        "confidence": rule.confidence.value,
        "contested": rule.contested,
        "purpose": [purpose.value for purpose in rule.purpose],
        "guide": list(rule.guide),
        "limits": dict(rule.limits),
        "sources": [
            {"ref": each.ref, "section": each.section, "title": source.title, "url": source.url}
            | {"checked": source.checked, "read_as": source.read_as}
            for each in rule.sources
            for source in (loaded.sources[each.ref],)
        ],
        "receivers": {
            receiver.id: [
                {
                    "severity": each.severity.value,
                    "effect": each.effect.value,
                    "contested": each.contested,
                    "volume": each.volume.value,
                    "conditional": each.when is not None,
                    "since": each.since,
                    "codes": list(each.codes),
                    "limits": dict(each.limits),
                    "word": each.word.value,
                    "quote": each.quote,
                    "sources": [ref.ref for ref in each.sources],
                }
                for each in receiver.rules[rule.id]
            ]
            for receiver in loaded.receivers.values()
            if rule.id in receiver.rules
        },
        "text": {
            lang: {"title": t.title, "short": t.short[-1].text, "noun": t.noun, "met": t.met}
            | {"unmet": [each.text for each in t.unmet], "why": t.why, "fix": list(t.steps)}
            for lang, t in rule.text.items()
        },
    }
