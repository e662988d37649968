"""`deliv rules`: the rules' own documentation, and the check of rule files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.cli.options import lang_option, rule_folders_option, rule_problems, text_or_json_option
from deliverability.model.codec import json_text

if TYPE_CHECKING:
    from deliverability.model.rules import Rule, RuleSet

STALE_AFTER = timedelta(days=180)


@click.command("rules")
@click.argument("which", metavar="[ID|PREFIX]", required=False)
@rule_folders_option
@lang_option
@text_or_json_option
@click.option("--check", is_flag=True, help="Validate all rule files and name sources that were not re-read for long.")
def command(which: str | None, rules: tuple[Path, ...], lang: str, style: str, check: bool) -> int:
    """List the rules, or explain those whose id begins with ID or PREFIX.

    \b
      deliv rules                      one line a rule
      deliv rules ID --lang ja         a rule's own documentation
      deliv rules --check --rules DIR  validate your rule files
    """
    from deliverability.runs.rules import load_rules

    with rule_problems():
        loaded = load_rules(rules)
    if check:
        return _check(loaded, rules)
    chosen = [rule for rule in loaded.rules.values() if which is None or rule.id.startswith(which.upper())]
    if not chosen:
        raise click.UsageError(f"no rule begins with {which!r}; `deliv rules` lists all")
    if style == "json":
        click.echo(json_text([_as_json(rule, loaded) for rule in chosen], indent=2))
    elif which is None:
        _list(chosen, lang)
    else:
        click.echo("\n\n".join(_explain(rule, loaded, lang) for rule in chosen), nl=False)
    return 0


def _check(loaded: RuleSet, folders: Sequence[Path]) -> int:
    from deliverability.feedback.catalogue import load_replies
    from deliverability.runs.rules import rule_folders

    senders = loaded.knowledge.services
    with rule_problems():
        replies = load_replies(rule_folders(folders), loaded)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    today = datetime.now(UTC).date()
    read = [(source.key, source.read_as, source.checked) for source in loaded.sources.values()]
    read += [(f"{each.id} ({at.url})", at.read_as, at.checked) for each in senders.values() for at in each.sources]
    for name, read_as, checked in read:
        if read_as == "not re-read":
            click.echo(f"not re-read: {name} stands on an earlier reading or on knowledge", err=True)
        age = today - date.fromisoformat(checked)
        if age > STALE_AFTER:
            click.echo(f"stale: {name} was last read on {checked} ({age.days} days ago)", err=True)
    click.echo(
        f"{len(loaded.rules)} rules, {len(loaded.receivers)} receivers, {len(loaded.sources)} sources, "
        f"{len(senders)} sending services, {len(replies.meanings)} replies: all valid"
        + (f", {len(loaded.warnings)} warnings" if loaded.warnings else "")
    )
    return 0


def _list(rules: Sequence[Rule], lang: str) -> None:
    topic = ""
    for rule in rules:
        if rule.topic != topic:
            topic = rule.topic
            click.echo(("\n" if rule is not rules[0] else "") + click.style(topic, bold=True))
        click.echo(f"  {rule.id:<10} {rule.severity.value:<8} {_title(rule, lang)}")


def _title(rule: Rule, lang: str) -> str:
    from deliverability.words.rules import rule_title

    return rule_title(rule, lang)


def _explain(rule: Rule, loaded: RuleSet, lang: str) -> str:
    from deliverability.render.rulepage import rule_page

    return rule_page(rule, loaded, lang, shutil.get_terminal_size((80, 24)).columns)


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
