"""A rule's own documentation as text. May import model, judge and render: told and wrap."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.judge.words import Phrases, fill, format_value, limit_spec, phrases, placeholders
from deliverability.model.facts import Value
from deliverability.model.rules import All, Any, Compare, Condition, LimitRef, Not, Rule, RuleSet, Texts
from deliverability.render.told import effect_words, read_words
from deliverability.render.wrap import wrap

WIDTH = 100


def rule_title(rule: Rule, lang: str) -> str:
    """The requirement in one line, its limits filled in and its facts shown by name."""
    return _filled(rule.text[lang].title, rule, phrases(lang))


def filled_texts(rule: Rule, lang: str) -> Texts:
    """All of a rule's words, its limits filled in and its facts shown by name."""
    say, texts = phrases(lang), rule.text[lang]
    title, met, unmet, why = (_filled(text, rule, say) for text in (texts.title, texts.met, texts.unmet, texts.why))
    return Texts(title, met, unmet, why, tuple(_filled(step, rule, say) for step in texts.fix))


def condition_words(condition: Condition, rule: Rule) -> str:
    """A condition in one line, with the limits of the rule."""
    return _shown(condition, rule)


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
    yield from _indented(_filled(texts.why, rule, say), width)
    yield from ("", say("page.fix"))
    for number, step in enumerate(texts.fix, 1):
        lead = f"  {number}) "
        lines = wrap(_filled(step, rule, say), width - len(lead))
        yield from (f"{lead if index == 0 else ' ' * len(lead)}{line}" for index, line in enumerate(lines))
    yield from ("", say("page.checks"))
    if rule.when is not None:
        yield from _indented(f"{say('page.when')} {_shown(rule.when, rule)}", width)
    if rule.each is not None:
        yield from _indented(f"{say('page.each')} {rule.each}", width)
    yield from _indented(f"{say('page.require')} {_shown(rule.require, rule)}", width)
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
        parts += [f"{say('page.when')} {_shown(statement.when, rule)}"] if statement.when is not None else []
        yield from _indented(receiver.name[lang] + say("punctuation.colon") + " · ".join(parts), width)
        if statement.note:
            yield from _indented(statement.note[lang], width, 4)
    yield from ("", say("page.sources"))
    for ref in rule.sources:
        source = rules.sources[ref.ref]
        section = say("page.section", section=ref.section) if ref.section else ""
        yield from _indented(source.title + section + say("punctuation.aside", text=read_words(source, say)), width)
        if source.url:
            yield f"    {source.url}"


def _indented(text: str, width: int, indent: int = 2) -> Iterator[str]:
    return (" " * indent + line for line in wrap(text, width - indent))


def _filled(text: str, rule: Rule, say: Phrases) -> str:
    """Limits by value, facts by name: a page is about the rule, not about one domain."""
    names = placeholders(text)
    shown = {
        name: format_value(rule.limits[name], limit_spec(name), say) if name in rule.limits else f"<{name}>"
        for name in names
    }
    return " ".join(fill(text, shown).split())


def _shown(condition: Condition, rule: Rule) -> str:
    match condition:
        case Compare():
            operand = condition.operand
            value = rule.limits[operand.name] if isinstance(operand, LimitRef) else operand
            return f"{condition.fact} {condition.op.value} {_operand(value)}"
        case Not():
            return f"not ({_shown(condition.of, rule)})"
        case All():
            return "(" + " and ".join(_shown(each, rule) for each in condition.of) + ")"
        case Any():
            return "(" + " or ".join(_shown(each, rule) for each in condition.of) + ")"


def _operand(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        shown = ", ".join(_operand(each) for each in value[:12])
        return f"[{shown}, … {len(value) - 12} more]" if len(value) > 12 else f"[{shown}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
