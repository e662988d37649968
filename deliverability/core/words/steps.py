"""Rules and the steps of the plan in words: what to do, where, and which field of the DNS provider takes what.

Rules also by themselves, about no domain, and found by a word that people use.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import Value, texts_of
from deliverability.core.facts.dmarc import Alignment, DmarcDiscovery
from deliverability.core.facts.domain import DomainZone
from deliverability.core.model.answer import FindingId, PlanStep
from deliverability.core.model.report import Report
from deliverability.core.model.rules import All, Any, Compare, Condition, LimitRef, Not, Place, Rule, Texts
from deliverability.core.model.services import DnsProvider, LongText
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, fill, joined, phrases, placeholders
from deliverability.core.words.sentences import (
    FindingWords,
    capital,
    format_value,
    limit_spec,
    own_domain,
    sentences,
    shortened,
    visible,
)
from deliverability.core.words.speaker import Speaker

_ONE_STRING = 255
"""Octets of one character-string of a TXT record (RFC 1035 section 3.3)."""


_PLACE = re.compile(r"/[0-9]+(?:\.[0-9]+)+\Z")


def provider_at(report: Report, speaker: Speaker) -> DnsProvider | None:
    """The DNS provider of the audited domain; None where it is not known."""
    return speaker.rules.knowledge.dns_providers.get(if_known(report.facts.of(DomainZone).dns_provider) or "")


def splits_itself(report: Report, speaker: Speaker) -> bool:
    """Whether the provider takes a long TXT value as one."""
    provider = provider_at(report, speaker)
    return provider is not None and provider.long is LongText.WHOLE


def entry_words(step: PlanStep, report: Report, speaker: Speaker) -> tuple[str, ...]:
    """How the records of a step are entered; a sentence each, and none that a step above has told."""
    if step.place is not Place.DNS or not step.edits:
        return ()
    provider = provider_at(report, speaker)
    fits = _names if provider else _new_names
    first = next((each.number for each in report.answer.plan if each.place is Place.DNS and fits(each)), None)
    if provider is not None:
        return tuple(_there(step, provider, _zone(report), speaker, whole=step.number == first))
    zone = _zone(report)
    if step.number == first:
        return tuple(_anywhere(step, zone, speaker))
    at_apex = (each.number for each in report.answer.plan if each.place is Place.DNS and zone in _new_names(each))
    return (speaker.say("entry.anywhere-apex"),) if step.number == next(at_apex, None) else ()


def _zone(report: Report) -> str:
    facts = report.facts
    return if_known(facts.of(DomainZone).zone) or if_known(facts.of(DmarcDiscovery).organizational_domain_psl) or ""


def _there(step: PlanStep, provider: DnsProvider, zone: str, speaker: Speaker, *, whole: bool) -> Iterator[str]:
    """At a provider that is known; `whole`: all of it, else what differs from step to step."""
    say, lang = speaker.say, speaker.lang
    if whole:
        yield say("entry.console", console=provider.console[lang])
    field = provider.fields.name[lang] if provider.fields else say("entry.name-field")
    hosts = {name: provider.host_of(name, zone) for name in _names(step)}
    for host in hosts.values():
        if host is not None:
            yield say("entry.host" if host else "entry.host-empty", field=field, host=visible(host))
    if whole and None in hosts.values():
        yield from _most_take([name for name, host in hosts.items() if host is None], zone, say)
    texts = _texts(step)
    if whole and texts and provider.quotes is not None:
        value = provider.fields.value[lang] if provider.fields else say("entry.value-field")
        yield say(f"entry.quotes-{provider.quotes.value}", field=value)
    longest = max((len(text.encode()) for text in texts), default=0)
    if longest > _ONE_STRING and provider.long is not None:
        yield say(f"entry.long-{provider.long.value}")
    if provider.longest is not None and longest > provider.longest:
        yield say("entry.too-long", n=f"{longest:,}", most=f"{provider.longest:,}")
    if whole and provider.ttl:
        yield say("entry.ttl", ttl=provider.ttl[lang])
    if whole and provider.note:
        yield provider.note[lang]


def _anywhere(step: PlanStep, zone: str, speaker: Speaker) -> Iterator[str]:
    """At a provider that is not known: what holds at most of them. A record that is there only has to be edited."""
    yield from _most_take(_new_names(step), zone, speaker.say)
    if _texts(step):
        yield speaker.say("entry.anywhere-text")


def _most_take(names: Sequence[str], zone: str, say: Phrases) -> Iterator[str]:
    """What most providers take in the field for the name."""
    below = [name.removesuffix(f".{zone}") for name in names if name != zone]
    yield say("entry.anywhere", zone=visible(zone))
    if below:
        yield say("entry.anywhere-host", host=visible(below[0]))
    if len(below) < len(names):
        yield say("entry.anywhere-apex")


def _names(step: PlanStep) -> tuple[str, ...]:
    return tuple(dict.fromkeys(edit.name for edit in step.edits))


def _new_names(step: PlanStep) -> tuple[str, ...]:
    """The names at which nothing of the kind stands yet."""
    return tuple(dict.fromkeys(edit.name for edit in step.edits if not edit.old))


def _texts(step: PlanStep) -> tuple[str, ...]:
    return tuple(value for edit in step.edits if edit.type == "TXT" for value in edit.new)


class StepWords(Struct, frozen=True):
    """A step of the plan in one language, safe to show.

    Attributes:
        what: imperative, one line, without a final stop.
        where: the place, as it can stand alone: "At your DNS provider".
        placed: `what` names that place already.
        how: sentences on how it is done; of a remedy its note.
        condition: what has to be true first; else empty.
        entry: how its records are entered at the DNS provider, as sentences.
        fields: header fields as they are to stand.
        files: files to publish, each by its lines.
        hand_over: text to send to whoever has to do it, line by line; empty where it is the reader alone.

    """

    what: str
    where: str
    placed: bool = False
    how: tuple[str, ...] = ()
    condition: str = ""
    entry: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    files: tuple[tuple[str, ...], ...] = ()
    hand_over: tuple[str, ...] = ()


def step_words(step: PlanStep, report: Report, speaker: Speaker) -> StepWords:
    """The step in words."""
    say = speaker.say
    first = _words_of(step.findings[0], report, speaker)
    how = first.fix if first else ()
    who: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    request = ""
    asked = ""
    if step.remedy:
        what, how, asked = _of_remedy(step, speaker)
        what = what or (first.heading if first else visible(step.remedy))
    elif (task := speaker.rules.tasks.get(step.task)) is not None:
        values, texts = _values(step, report, speaker), task.text[speaker.lang]
        what, request = fill(texts.what, values), fill(texts.hand_over, values)
        who = (fill(texts.who, values),) if texts.who else ()
        fields = tuple(fill(each, values) for each in task.fields)
    else:
        what, how = (how[0] if how else visible(step.findings[0].rule)), how[1:]
    what = what.rstrip(".。")
    if not say("punctuation.gap"):
        how, who = (tuple(_ended(each, say) for each in part) for part in (how, who))
    provider = provider_at(report, speaker) if step.place is Place.DNS else None
    files = tuple(
        tuple(visible(line) for line in value.splitlines())
        for value in step.values.values()
        if isinstance(value, str) and "\n" in value.strip()
    )
    place = "web-and-dns" if files and step.place is Place.DNS else step.place.value
    where = (
        say(f"place.{place}-at", provider=provider.name[speaker.lang])
        if provider
        else say(f"place.{place}", service=_service(step, speaker), at=visible(step.at))
    )
    placed = step.place in (Place.SERVICE, Place.SERVER) and _service(step, speaker) in what
    # What is the reader's own to do needs no letter; a DNS administrator gets the records.
    asks = bool(request)
    if not asks and step.place in (Place.DNS, Place.ADDRESS, Place.ELSEWHERE):
        request = say("hand-over.request", domain=visible(report.domain), what=asked or what)
    letter: tuple[str, ...] = (request,) if request else ()
    if letter and not asks and how and (files or not step.edits):
        # Without a record to enter, or with a file besides, the letter says how it is done.
        letter += (say("hand-over.how", how=say("punctuation.gap").join(how)),)
        letter += tuple(chain.from_iterable((say("hand-over.file"), *lines) for lines in files))
    before = [each for each in report.answer.plan if each.number in step.follows and step.edits]
    same = [each for each in before if _edits_same(each, step)]
    for key, steps in (
        ("hand-over.after", same),
        ("hand-over.after-other", [each for each in before if each not in same]),
    ):
        if letter and steps:
            asks_of = (_asked(each, report, speaker) for each in steps)
            letter += (say(key, what=say("punctuation.clauses").join(asks_of)),)
    hand_over = _hand_over(letter, step, report, first, speaker, after=bool(same)) if letter else ()
    entry = entry_words(step, report, speaker)
    return StepWords(what, where, placed, how + who, _condition(step, speaker), entry, fields, files, hand_over)


def _condition(step: PlanStep, speaker: Speaker) -> str:
    """What has to be true first: of some remedies in words of their own, which take the place of the note."""
    return _remedy_text(step, "condition", speaker) or (
        speaker.say(f"plan.condition.{step.condition}") if step.condition else ""
    )


def _edits_same(one: PlanStep, other: PlanStep) -> bool:
    """Whether the two edit the same record."""
    places = ({(edit.name, edit.type) for edit in each.edits} for each in (one, other))
    return bool(set.intersection(*places))


def _ended(sentence: str, say: Phrases) -> str:
    """The sentence with a stop where it ends in a name and no space would part it from the next; a record has none."""
    return sentence + say("punctuation.stop") if sentence[-1:].isascii() and '"' not in sentence else sentence


def _of_remedy(step: PlanStep, speaker: Speaker) -> tuple[str, tuple[str, ...], str]:
    """Title, note, and what others are asked for where that is not the title; all may name the values of the remedy."""
    title, note, request = (_remedy_text(step, part, speaker) for part in ("title", "note", "request"))
    return title, (note,) if note else (), request


def _remedy_text(step: PlanStep, part: str, speaker: Speaker) -> str:
    """One text of a remedy; empty where it has none, or where that names a value that this step lacks."""
    say, key = speaker.say, f"remedies.{step.remedy}.{part}"
    shown = {key: format_value(value, None, say) for key, value in step.values.items()}
    return say(key, **shown) if key in say and placeholders(say.texts[key]) <= shown.keys() else ""


def _asked(step: PlanStep, report: Report, speaker: Speaker) -> str:
    """What a step changes, for somebody who does not have the plan."""
    if (task := speaker.rules.tasks.get(step.task)) is not None and not step.remedy:
        return fill(task.text[speaker.lang].what, _values(step, report, speaker)).rstrip(".。")
    title, _, asked = _of_remedy(step, speaker)
    return (asked or title).rstrip(".。")


def _values(step: PlanStep, report: Report, speaker: Speaker) -> dict[str, str]:
    author = report.facts.of(Alignment).author_domain
    domain = author if isinstance(author, str) and author else report.domain
    keys = _keys(step, speaker)
    names = [keys.get(each, each) for each in _without_places(texts_of(step.values.get("items")))]
    items = [visible(shortened(each)) for each in names]
    return {
        "domain": visible(domain),
        "own": visible(own_domain(report.facts)),
        "service": _service(step, speaker),
        "items": joined(items, speaker.say) or visible(domain),
    }


def _keys(step: PlanStep, speaker: Speaker) -> dict[str, str]:
    """The DNS name of the key of each finding about a domain and a selector (RFC 6376, section 3.6.2.1)."""
    found: dict[str, str] = {}
    for each in step.findings:
        entry = speaker.catalogue.get(speaker.rules.rules[each.rule].each or "")
        if entry is not None and entry.key == ("domain", "selector"):
            domain, _, selector = each.item.partition("/")
            found[each.item] = f"{selector}._domainkey.{domain}"
    return found


def _without_places(items: Sequence[str]) -> list[str]:
    """Items without the places of parts in the message, where their names alone tell them apart."""
    names = [_PLACE.sub("", each) for each in items]
    return names if len(set(names)) == len(items) and all(names) else list(items)


def _service(step: PlanStep, speaker: Speaker) -> str:
    if step.place is Place.SERVER:
        return speaker.say("place.your-server")
    service = speaker.rules.knowledge.services.get(step.services[0]) if step.services else None
    return visible(service.name[speaker.lang]) if service else speaker.say("place.your-service")


def _words_of(found: FindingId, report: Report, speaker: Speaker) -> FindingWords | None:
    if found.rule not in speaker.rules.rules:
        return None
    finding = next((each for each in report.findings if (each.rule, each.item) == (found.rule, found.item)), None)
    return sentences(finding, speaker.rules, speaker.lang, speaker.catalogue, report.facts) if finding else None


def _hand_over(
    letter: tuple[str, ...],
    step: PlanStep,
    report: Report,
    first: FindingWords | None,
    speaker: Speaker,
    *,
    after: bool,
) -> tuple[str, ...]:
    """The letter with its records, the reason and what verifies it. `after`: an earlier step edits the same record."""
    say = speaker.say
    replaced, removed = ("replace-then", "remove-then") if after else ("replace", "remove")
    records = [
        say(f"hand-over.{part}", name=visible(edit.name), type=visible(edit.type), value=visible(value))
        for edit in step.edits
        for part, values in (
            (replaced if edit.new else removed, edit.old),
            ("with" if edit.old else "record", edit.new),
        )
        for value in values
    ]
    # A header is written anew as a whole, whatever is wrong with it.
    more = (_words_of(each, report, speaker) for each in step.findings[1:] if step.place is Place.MESSAGE)
    reasons = dict.fromkeys(each.message for each in (first, *more) if each is not None)
    why = [say("hand-over.why", why=say("punctuation.gap").join(reasons))] if reasons else []
    checks = dict.fromkeys(f"dig +short {visible(edit.type)} {visible(edit.name)}" for edit in step.edits)
    lookups = [say("hand-over.check", command=command) for command in checks]
    domain = visible(report.domain)
    # What is not in DNS shows only in mail that was sent after the change.
    if report.message and step.place is not Place.DNS:
        last = say("hand-over.check-message", domain=domain)
    else:
        # A file besides the record is looked at only where it may be fetched.
        has_file = any("\n" in str(value).strip() for value in step.values.values())
        last = say("hand-over.check-file" if has_file else "hand-over.check-domain", domain=domain)
    return (*letter, *records, *why, *lookups, last)


GAP = "‹›"
"""What stands around the name of a fact where the text of a rule has no value for it."""


def rule_noun(rule: Rule, lang: str) -> str:
    """What the rule looks at, as a heading."""
    return filled(capital(rule.text[lang].noun), rule, phrases(lang))


def rule_short(rule: Rule, lang: str) -> str:
    """What is wrong where the rule is unmet, as a heading."""
    return filled(capital(rule.text[lang].short[-1].text), rule, phrases(lang))


def rule_title(rule: Rule, lang: str) -> str:
    """The requirement in one line, its limits filled in and its facts shown by name."""
    return filled(rule.text[lang].title, rule, phrases(lang))


def filled_texts(rule: Rule, lang: str) -> Texts:
    """All of a rule's words, its limits filled in and its facts shown by name."""
    say, texts = phrases(lang), rule.text[lang]
    title, noun, met, why = (filled(text, rule, say) for text in (texts.title, texts.noun, texts.met, texts.why))
    short, unmet, fix = (
        tuple(replace(each, text=filled(each.text, rule, say)) for each in part)
        for part in (texts.short, texts.unmet, texts.fix)
    )
    return Texts(title, short, noun, met, unmet, why, fix)


def filled(text: str, rule: Rule, say: Phrases) -> str:
    """Limits by value, facts by name: a page is about the rule, not about one domain."""
    shown = {name: _limit_or_name(name, rule, say) for name in placeholders(text)}
    return " ".join(fill(text, shown).split())


def _limit_or_name(name: str, rule: Rule, say: Phrases) -> str:
    if name in rule.limits:
        return format_value(rule.limits[name], limit_spec(name), say)
    key = f"gap.{name}"
    return GAP[0] + say(key if key in say else "gap.other") + GAP[1]


def condition_words(condition: Condition, rule: Rule) -> str:
    """A condition in one line, with the limits of the rule."""
    match condition:
        case Compare():
            operand = condition.operand
            value = rule.limits[operand.name] if isinstance(operand, LimitRef) else operand
            return f"{condition.fact} {condition.op.value} {_operand(value)}"
        case Not():
            return f"not ({condition_words(condition.of, rule)})"
        case All():
            return "(" + " and ".join(condition_words(each, rule) for each in condition.of) + ")"
        case Any():
            return "(" + " or ".join(condition_words(each, rule) for each in condition.of) + ")"


def _operand(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        shown = ", ".join(_operand(each) for each in value[:12])
        return f"[{shown}, … {len(value) - 12} more]" if len(value) > 12 else f"[{shown}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


_BEST, _GOOD, _FAIR = 4, 2, 1
_HEADINGS = ("title", "short", "noun")


def search(text: str, rules: Iterable[Rule]) -> list[Rule]:
    """The rules that hold every word of `text`, best first: by id and name, then by title, then by other texts."""
    words = text.casefold().split()
    scored = [(sum(scores), rule) for rule in rules if all(scores := [_score(word, rule) for word in words])]
    return [rule for _, rule in sorted(scored, key=lambda each: -each[0])]


def nearest(text: str, rules: Iterable[Rule]) -> tuple[str, ...]:
    """Up to three words that rules hold and that are spelt like `text`."""
    known = {
        word for rule in rules for _, part in _said_by(rule) for word in re.findall(r"[^\W_]{3,}", part.casefold())
    }
    return tuple(difflib.get_close_matches(text.casefold(), sorted(known), n=3))


def _score(word: str, rule: Rule) -> int:
    return max((weight for weight, text in _said_by(rule) if word in text.casefold()), default=0)


def _said_by(rule: Rule) -> Iterator[tuple[int, str]]:
    """What a rule says, each with how much it tells what the rule is about."""
    yield _BEST, f"{rule.id} {rule.name}"
    for texts in rule.text.values():
        for name in texts.__struct_fields__:
            text = getattr(texts, name)
            weight = _GOOD if name in _HEADINGS else _FAIR
            yield weight, text if isinstance(text, str) else " ".join(each.text for each in text)
