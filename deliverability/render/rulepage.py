"""A rule's own documentation as text."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.model.rules import Rule, RuleSet
from deliverability.render.wrap import wrap
from deliverability.view.findings import basis_words, effect_words, read_words
from deliverability.words.rules import condition_words, filled, rule_title
from deliverability.words.sentences import phrases

WIDTH = 100


def rule_page(rule: Rule, rules: RuleSet, lang: str, width: int = 80) -> str:
    """What the rule asks, why, what to do, who treats it how, and where it comes from."""
    return "\n".join(_lines(rule, rules, lang, min(width, WIDTH))) + "\n"


def _lines(rule: Rule, rules: RuleSet, lang: str, width: int) -> Iterator[str]:
    say = phrases(lang)
    texts = rule.text[lang]
    yield from wrap(f"{rule.id}  {rule_title(rule, lang)}", width)
    facts = [rule.name, say(f"scope.{rule.scope.value}"), say(f"severity.{rule.severity.value}")]
    facts += [say(f"level.{rule.level.value}")]
    facts += [say(f"confidence.{rule.confidence.value}"), say("page.effort", effort=say(f"effort.{rule.effort.value}"))]
    if rule.contested:
        facts.append(say("page.contested"))
    yield from wrap(" · ".join(facts), width)
    yield from ("", say("page.why"))
    yield from _indented(filled(texts.why, rule, say), width)
    yield from ("", say("page.fix"))
    for number, step in enumerate(texts.fix, 1):
        lead = f"  {number}) "
        lines = wrap(filled(step, rule, say), width - len(lead))
        yield from (f"{lead if index == 0 else ' ' * len(lead)}{line}" for index, line in enumerate(lines))
    yield from ("", say("page.checks"))
    if rule.when is not None:
        yield from _indented(f"{say('page.when')} {condition_words(rule.when, rule)}", width)
    if rule.each is not None:
        yield from _indented(f"{say('page.each')} {rule.each}", width)
    yield from _indented(f"{say('page.require')} {condition_words(rule.require, rule)}", width)
    treated = [
        (receiver, statement) for receiver in rules.receivers.values() for statement in receiver.rules.get(rule.id, ())
    ]
    if treated:
        yield from ("", say("page.receivers"))
    for receiver, statement in treated:
        parts = [say(f"severity.{statement.severity.value}")]
        parts += [effect_words([(statement.effect, statement.contested)], say)]
        parts += [say(f"page.{statement.volume.value}")] if statement.volume.value != "any" else []
        parts += [say("page.from", date=statement.since)] if statement.since else []
        parts += [", ".join(statement.codes)] if statement.codes else []
        parts += [say("page.contested")] if statement.contested else []
        parts += [f"{say('page.when')} {condition_words(statement.when, rule)}"] if statement.when is not None else []
        yield from _indented(receiver.name[lang] + say("punctuation.colon") + " · ".join(parts), width)
        if statement.note:
            yield from _indented(statement.note[lang], width, 4)
        yield from _indented(basis_words(statement, rules, say), width, 4)
    yield from ("", say("page.sources"))
    for ref in rule.sources:
        source = rules.sources[ref.ref]
        section = say("page.section", section=ref.section) if ref.section else ""
        yield from _indented(source.title + section + say("punctuation.aside", text=read_words(source, say)), width)
        if source.url:
            yield f"    {source.url}"


def _indented(text: str, width: int, indent: int = 2) -> Iterator[str]:
    return (" " * indent + line for line in wrap(text, width - indent))
