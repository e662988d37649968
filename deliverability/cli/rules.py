"""`deliv rules`: the rules' own documentation, and the check of rule files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import asdict

from deliverability.cli.command import Command
from deliverability.cli.language import language
from deliverability.cli.options import (
    lang_option,
    plain_errors,
    rule_folders_option,
    rule_problems,
    text_or_json_option,
)
from deliverability.cli.terminal import columns
from deliverability.model.codec import json_text
from deliverability.model.codes import Code
from deliverability.model.errors import InputError

if TYPE_CHECKING:
    from deliverability.model.blocklists import BlockList
    from deliverability.model.cited import ServiceSource
    from deliverability.model.rules import Rule, RuleSet

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
    from deliverability.runs.rules import load_rules, read_rules
    from deliverability.words.search import nearest, search

    with plain_errors(), rule_problems():
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
        click.echo("\n\n".join(_explain(rule, loaded, lang) for rule in chosen), nl=False)
    return 0


def _all_sources(blocklist: BlockList) -> tuple[ServiceSource, ...]:
    return (*blocklist.sources, *(at for found in blocklist.named_by.values() for at in found))


def _check(loaded: RuleSet, folders: Sequence[Path]) -> int:
    from deliverability.feedback.catalogue import load_replies
    from deliverability.lists.catalogue import load_list_data
    from deliverability.runs.rules import rule_folders
    from deliverability.words.details import detail_words

    senders = loaded.knowledge.services
    with rule_problems():
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
    for name, read_as, checked in read:
        if read_as == "not re-read":
            click.echo(say("cli.not-re-read", name=name), err=True)
        age = today - date.fromisoformat(checked)
        if age > STALE_AFTER:
            click.echo(say("cli.stale", name=name, date=checked, n=str(age.days)), err=True)
    numbers = {
        "rules": len(loaded.rules),
        "receivers": len(loaded.receivers),
        "sources": len(loaded.sources),
        "services": len(senders),
        "replies": len(replies.meanings),
        "warnings": len(loaded.warnings),
    }
    click.echo(say("cli.rules-valid", **{name: str(number) for name, number in numbers.items()}))
    return 0


def _stale(loaded: RuleSet, days: int, lang: str, style: str) -> int:
    from deliverability.view.freshness import aged_statements
    from deliverability.words.sentences import phrases

    aged = aged_statements(loaded, datetime.now(UTC).date(), days)
    if style == "json":
        click.echo(json_text([asdict(each) for each in aged], indent=2))
        return 0
    say = phrases(lang)
    for each in aged:
        words = {"receiver": each.receiver, "rules": ", ".join(each.rules), "sources": ", ".join(each.sources)}
        if each.read is None:
            click.echo(say("cli.statement-unread", **words))
        else:
            click.echo(say("cli.statement-stale", **words, date=each.read, n=str(each.days)))
    if not aged:
        click.echo(say("cli.statements-fresh", n=str(days)))
    return 0


def _list(rules: Sequence[Rule], lang: str) -> None:
    topic = ""
    for rule in rules:
        if rule.topic != topic:
            topic = rule.topic
            click.echo(("\n" if rule is not rules[0] else "") + click.style(topic, bold=True))
        click.echo(f"  {_line(rule, lang)}")


def _line(rule: Rule, lang: str) -> str:
    return f"{rule.id:<10} {rule.severity.value:<8} {_title(rule, lang)}"


def _title(rule: Rule, lang: str) -> str:
    from deliverability.words.rules import rule_title

    return rule_title(rule, lang)


def _explain(rule: Rule, loaded: RuleSet, lang: str) -> str:
    from deliverability.render.rulepage import rule_page

    return rule_page(rule, loaded, lang, columns())


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
            lang: {"title": t.title, "short": t.short, "noun": t.noun, "met": t.met}
            | {"unmet": [each.text for each in t.unmet], "why": t.why, "fix": list(t.fix)}
            for lang, t in rule.text.items()
        },
    }
