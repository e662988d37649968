"""A comparison in the words of one language, as text, Markdown, JSON, SARIF and JUnit: renderings of one value."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from deliverability import __version__
from deliverability.core.codec import json_text
from deliverability.core.model.report import Report
from deliverability.core.model.rules import Severity
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.findings import FindingView, finding_views, receiver_short
from deliverability.core.report.formats.markdown import block, code, plain
from deliverability.core.report.formats.sarif import semantic_version
from deliverability.core.report.paper import Paper
from deliverability.core.report.wrap import width_of
from deliverability.core.senders.ledger import WayChange
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker
from deliverability.core.words.steps import rule_short
from deliverability.differences.changes import Change
from deliverability.differences.run import Diff, DomainDiff, VerdictPair, effect_of

SYMBOLS = {"add": "+", "remove": "-", "change": "~"}


class VerdictRow(Struct, frozen=True):
    """Receivers whose verdict changes alike.

    Attributes:
        receiver: their names.
        before, after: the verdicts.
        worse: whether it is worse.
        rules: that make the difference.
        why: what these find; of several that find the same, once.

    """

    receiver: str
    before: str
    after: str
    worse: bool
    rules: tuple[str, ...]
    why: tuple[str, ...]


class ChangeRow(Struct, frozen=True):
    """A record set that changes: a sign, its name and type, the values that go and come, its place, what it does."""

    sign: str
    name: str
    gone: tuple[str, ...]
    come: tuple[str, ...]
    place: str
    effect: str


class WayRow(Struct, frozen=True):
    """What becomes of ways of one kind: its words, and ``worse``, ``unknown`` or empty."""

    text: str
    tone: str


class FindingRow(Struct, frozen=True):
    """A finding that is new: its rule, its words, and the place of the change that it came with."""

    rule: str
    item: str
    severity: str
    message: str
    place: str
    fingerprint: str


class DomainView(Struct, frozen=True):
    """One domain.

    Attributes:
        title: the domain, how many changes, and what they come to.
        tone: ``worse``, ``unknown`` or ``good``.
        ways: what becomes of the ways by which mail leaves in its name, losses first.
        accept: how to say that a loss is meant; empty: none is.
        verdicts: of receivers that do otherwise than before.
        others: the receivers that do as before, in one line; empty: there are none.
        grade: the grade before and after, where it changes; else empty.
        changes: the record sets.
        new: findings that the change makes.
        mended: those that it mends, in one line; empty: none.
        unknown: what is left open, and how many receivers neither side can be told of.

    """

    name: str
    title: str
    tone: str
    ways: tuple[WayRow, ...]
    accept: str
    verdicts: tuple[VerdictRow, ...]
    others: str
    grade: str
    changes: tuple[ChangeRow, ...]
    new: tuple[FindingRow, ...]
    mended: str
    unknown: tuple[str, ...]


class DiffView(Struct, frozen=True):
    """All domains; `nothing`: what to say where there is none; `others`: changes that touch no mail, in one line."""

    inputs: str
    domains: tuple[DomainView, ...]
    nothing: str
    others: str
    remarks: tuple[str, ...]


def view_of(diff: Diff, speaker: Speaker) -> DiffView:
    """A comparison in words; nothing in them hides or steers."""
    say = speaker.say
    return DiffView(
        inputs=visible(say("diff.between").join(diff.inputs)),
        domains=tuple(_domain(each, speaker) for each in diff.domains),
        nothing="" if diff.domains else say("diff.nothing"),
        others=say.count("diff.others", len(diff.others)) if diff.others else "",
        remarks=tuple(visible(detail_words(each, say)) for each in diff.remarks),
    )


def _domain(domain: DomainDiff, speaker: Speaker) -> DomainView:
    say = speaker.say
    pairs = [each for each in domain.verdicts if each.before is not each.after]
    same = len(domain.verdicts) - len(pairs)
    worse = sum(each.worse for each in pairs)
    alike: dict[tuple[Any, ...], list[VerdictPair]] = {}
    for each in pairs:
        alike.setdefault((each.before, each.after, each.rules), []).append(each)
    sides = [_by_rule(report, speaker) for report in domain.reports]
    grades = [each or say("diff.no-grade") for each in domain.grade]
    name = visible(domain.name + (say("punctuation.aside", text=domain.message) if domain.message else ""))
    outcome = (
        say.count("diff.worse-at", worse)
        if worse
        else say("diff.worse")
        if domain.worse
        else say("diff.not-told")
        if domain.incomplete
        else say("diff.not-worse")
    )
    return DomainView(
        name=name,
        title=say("diff.title", domain=name, changes=say.count("diff.changes", len(domain.changes)), outcome=outcome),
        tone="worse" if domain.worse else "unknown" if domain.incomplete else "good",
        ways=tuple(_ways(domain, speaker)),
        accept=_accept(domain, say),
        verdicts=tuple(_verdict(each, sides, speaker) for each in alike.values()),
        others=_others(domain, same, say) if same else "",
        grade=say("diff.grade", before=grades[0], after=grades[1]) if domain.grade[0] != domain.grade[1] else "",
        changes=tuple(_change(each, domain, say) for each in domain.changes),
        new=tuple(_new(domain, sides[1])),
        mended=_mended(domain, speaker),
        unknown=(
            *(
                say(
                    "diff.unknown",
                    type=each.type or say("diff.any-type"),
                    name=visible(each.owner),
                    why=visible(detail_words(each.why, say)),
                )
                for each in domain.unknown
            ),
            *([say.count("diff.untold", domain.untold)] if domain.untold else []),
        ),
    )


def _ways(domain: DomainDiff, speaker: Speaker) -> Iterator[WayRow]:
    """A sentence for each kind, whatever the number of ways."""
    say = speaker.say
    groups: dict[tuple[str, bool, bool], list[WayChange]] = {}
    for each in domain.ways:
        kind = each.kind if each.kind not in _ALONE else f"{each.kind} {each.way}"
        groups.setdefault((kind, each.worse, each.accepted), []).append(each)
    for (_, worse, accepted), changes in groups.items():
        first = changes[0]
        before, after = (visible(say("value.separator").join(each)) for each in (first.before, first.after))
        text = say(
            f"diff.way.{first.kind}",
            domain=visible(domain.name),
            names=_several(_names(changes, speaker), say),
            before=before,
            after=after,
            field=say(f"diff.way.{first.way[:-2]}") if first.kind == "alignment-strict" else "",
        )
        text = say("diff.accepted", text=text) if accepted else text
        yield WayRow(text, "worse" if worse else "unknown" if first.unknown else "")


def _names(changes: Sequence[WayChange], speaker: Speaker) -> list[str]:
    """What the ways of one sentence are called."""
    if changes[0].kind == "sends-nothing":
        return [visible(term) for term in changes[0].before]
    return [_name(each, speaker) for each in changes]


def _name(change: WayChange, speaker: Speaker) -> str:
    say = speaker.say
    service = speaker.rules.knowledge.services.get(change.service)
    name = visible(change.way)
    if service is not None:
        name = say("diff.of-service", service=service.name.get(speaker.lang, service.name["en"]), term=name)
    detail = ""
    if change.kind in ("spf-lost", "spf-fewer", "spf-gained"):
        detail = _addresses(change, say)
    elif change.kind == "key-other" and change.before != change.after and change.before and change.after:
        detail = say("diff.bits", before=change.before[0], after=change.after[0])
    elif change.kind == "key-unknown":
        detail = visible(say("value.separator").join(change.after))
    return say("diff.detail", name=name, text=detail) if detail else name


def _addresses(change: WayChange, say: Phrases) -> str:
    """How many addresses it is about; of ranges of IPv6 their size. Empty where the term says it itself."""
    sizes = [each[0] for each in (change.before, change.after) if each]
    if change.kind == "spf-fewer" and len({each.isdigit() for each in sizes}) == 1:
        gone = f"{int(sizes[1]):,}" if sizes[1].isdigit() else _counted(sizes[1], say)
        return say("diff.some-of", n=gone, all=_counted(sizes[0], say))
    return _counted(sizes[-1], say) if sizes and sizes[-1] != "1" else ""


def _counted(text: str, say: Phrases) -> str:
    return say.count("diff.addresses", int(text)) if text.isdigit() else say("diff.addresses-ip6", prefix=text)


def _several(names: Sequence[str], say: Phrases) -> str:
    shown = say("value.separator").join(names[:_MOST_NAMES])
    return say("diff.more-ways", names=shown, n=f"{len(names) - _MOST_NAMES:,}") if len(names) > _MOST_NAMES else shown


def _accept(domain: DomainDiff, say: Phrases) -> str:
    """The options that accept what is worse, the first few."""
    ways = list(dict.fromkeys(each.way for each in domain.ways if each.worse))
    options = " ".join(f"--accept {visible(shlex.quote(each))}" for each in ways[:_MOST_NAMES])
    return say("diff.accept", options=options + (" …" if len(ways) > _MOST_NAMES else "")) if ways else ""


def _others(domain: DomainDiff, same: int, say: Phrases) -> str:
    kinds = {each.after for each in domain.verdicts if each.before is each.after}
    words = say.count("diff.unchanged", same)
    return words + say("punctuation.colon") + say(f"verdict.{kinds.pop().value}") if len(kinds) == 1 else words


def _by_rule(report: Report, speaker: Speaker) -> Mapping[str, list[FindingView]]:
    found: dict[str, list[FindingView]] = {}
    for each in finding_views(report, speaker):
        if each.is_unmet or each.failed:
            found.setdefault(each.rule.id, []).append(each)
    return found


def _verdict(
    pairs: Sequence[VerdictPair], sides: list[Mapping[str, list[FindingView]]], speaker: Speaker
) -> VerdictRow:
    say, pair = speaker.say, pairs[0]
    side = sides[1] if pair.after.rank >= pair.before.rank else sides[0]
    why: dict[str, list[str]] = {}
    for ident in pair.rules:
        views = side.get(ident, [])
        rule = speaker.rules.rules.get(ident)
        words = views[0].words.message if views else rule_short(rule, speaker.lang) if rule else ""
        why.setdefault(words, []).append(ident)
    return VerdictRow(
        say("value.separator").join(receiver_short(each.receiver, speaker) for each in pairs),
        say(f"verdict.{pair.before.value}"),
        say(f"verdict.{pair.after.value}"),
        pair.worse,
        pair.rules,
        tuple(f"{say('value.separator').join(idents)}  {words}".rstrip() for words, idents in why.items()),
    )


def _change(change: Change, domain: DomainDiff, say: Phrases) -> ChangeRow:
    none = not domain.ways and effect_of(change, domain) == "none"
    return ChangeRow(
        SYMBOLS[change.op],
        visible(f"{change.owner} {change.type}"),
        tuple(map(visible, change.before)),
        tuple(map(visible, change.after)),
        visible(change.place),
        say("diff.no-effect") if none else "",
    )


def _new(domain: DomainDiff, side: Mapping[str, list[FindingView]]) -> Iterator[FindingRow]:
    for change in domain.new:
        view = next((each for each in side.get(change.rule, []) if each.finding.item == change.item), None)
        if view is not None:
            asked = {each.asked for each in change.records}
            place = next(
                (each.place for each in domain.changes if f"{each.type} {each.owner}" in asked and each.place),
                domain.changes[0].place if domain.changes else "",
            )
            yield FindingRow(
                change.rule, view.item, change.severity.value, view.words.message, place, change.fingerprint
            )


def _mended(domain: DomainDiff, speaker: Speaker) -> str:
    say = speaker.say
    rules = dict.fromkeys(each.rule for each in domain.mended)
    return say("diff.mended", rules=say("value.separator").join(rules)) if rules else ""


ENDINGS: Mapping[str, str] = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".sarif": "sarif",
    ".xml": "junit",
}
_TONES = {"worse": "❌", "unknown": "❔", "good": "✅"}
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note", Severity.NONE: "none"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_FILE_LINE = re.compile(r"(?P<file>[^\n]+?):(?P<line>[0-9]{1,9})")
_ALONE = frozenset({"policy-stricter", "policy-weaker", "alignment-strict"})  # told one by one
_MOST_NAMES = 5  # of a sentence; more are counted
_MOST_LINES = 400  # of record sets in a text; more are counted


def render_text(diff: Diff, speaker: Speaker, paper: Paper) -> str:
    """For a terminal."""
    view, say = view_of(diff, speaker), speaker.say
    lines: list[str] = []
    for domain in view.domains:
        lines += [*([""] if lines else []), *_text_domain(domain, paper, speaker)]
    for text in filter(None, (view.nothing, view.others)):
        lines += [*([""] if lines else []), *paper.paragraph(text)]
    for text in view.remarks:
        lines += paper.hang(text, "! ")
    lines += ["", *paper.paragraph(say("diff.compared", inputs=view.inputs), style="dim")]
    return paper.text(lines)


def _text_domain(domain: DomainView, paper: Paper, speaker: Speaker) -> Iterator[str]:
    say = speaker.say
    tone = {"worse": "error", "unknown": "warning", "good": "met"}[domain.tone]
    yield from paper.paragraph(domain.title, style="bold" if domain.tone == "good" else tone)
    for way in domain.ways:
        yield from paper.hang(way.text, "  ! " if way.tone else "  - ")
    if domain.accept:
        yield from paper.hang(domain.accept, "    ")
    arrow, told = say("diff.arrow"), set[str]()
    for row in domain.verdicts:
        words = f"{row.before}{arrow}{row.after}"
        lead = f"  {row.receiver}  "
        yield from paper.paragraph(words, width_of(lead), lead, "error" if row.worse else "met")
        for why in row.why:  # in words once
            yield from paper.hang(why.partition("  ")[0] if why in told else why, "      ")
        told.update(row.why)
    for text in filter(None, (domain.others, domain.grade)):
        yield from paper.hang(text, "  ")
    for number, change in enumerate(domain.changes):
        if number == _MOST_LINES:
            yield "  " + say.count("diff.more", len(domain.changes) - number)
            break
        yield from _text_change(change, paper)
    shown = {rule for row in domain.verdicts for rule in row.rules}
    for each in domain.new:
        if each.rule not in shown:
            yield from paper.hang(say("diff.new", rule=each.rule, text=each.message), "  ")
    for text in filter(None, (domain.mended, *domain.unknown)):
        yield from paper.hang(text, "  ")


def _text_change(change: ChangeRow, paper: Paper) -> Iterator[str]:
    line = f"  {change.sign} {change.name}"
    for part in filter(None, (change.place, change.effect)):
        if width_of(line) + width_of(part) + 3 > paper.width:
            yield line
            line = f"     {part}"
        else:
            line = f"{line}   {part}"
    yield line
    for sign, values, style in (("-", change.gone, "error"), ("+", change.come, "met")):
        for value in values:
            yield f"      {paper.ink(f'{sign} {value}', style)}"


def render_markdown(diff: Diff, speaker: Speaker) -> str:
    """For a comment or a summary: nothing in it can become a link, an image or a mention."""
    view, say = view_of(diff, speaker), speaker.say
    parts: list[str] = []
    for domain in view.domains:
        parts += _markdown_domain(domain, speaker)
    parts += [plain(text) for text in (view.nothing, view.others) if text]
    parts += [f"> {plain(text)}" for text in view.remarks]
    parts.append(plain(say("diff.compared", inputs=view.inputs)))
    return "\n\n".join(parts) + "\n"


def _markdown_domain(domain: DomainView, speaker: Speaker) -> Iterator[str]:
    say = speaker.say
    yield f"### {_TONES[domain.tone]} {plain(domain.title)}"
    if domain.ways:
        marks = {"worse": "❌ ", "unknown": "❔ ", "": ""}
        yield "\n".join(f"- {marks[each.tone]}{plain(each.text)}" for each in domain.ways)
    if domain.accept:
        yield plain(domain.accept)
    if domain.verdicts:
        heads = [plain(say(f"diff.head.{name}")) for name in ("receiver", "before", "after", "why")]
        rows = [
            [plain(row.receiver), plain(row.before), plain(row.after), "<br>".join(map(plain, row.why))]
            for row in domain.verdicts
        ]
        lines = ["| " + " | ".join(heads) + " |", "| --- | --- | --- | --- |"]
        yield "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
    lines = [f"- {plain(text)}" for text in (domain.others, domain.grade, domain.mended, *domain.unknown) if text]
    shown = {rule for row in domain.verdicts for rule in row.rules}
    fresh = [each for each in domain.new if each.rule not in shown]
    lines += [f"- {plain(say('diff.new', rule=each.rule, text=each.message))}" for each in fresh]
    if lines:
        yield "\n".join(lines)
    for change in domain.changes[:_MOST_LINES]:
        place = f" {code(change.place)}" if change.place else ""
        effect = f" {plain(change.effect)}" if change.effect else ""
        yield f"{code(f'{change.sign} {change.name}')}{place}{effect}"
        yield block([*(f"- {each}" for each in change.gone), *(f"+ {each}" for each in change.come)], "diff")


def render_json(diff: Diff) -> str:
    """For programs."""
    return diff.to_json()


# --- SARIF ------------------------------------------------------------------------------------------------------------


def render_sarif(diff: Diff, speaker: Speaker) -> str:
    """New findings of the change as SARIF 2.1.0: each stands at the record that makes it."""
    view = view_of(diff, speaker)
    idents: dict[str, int] = {}
    results: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for domain in view.domains:
        for each in domain.new:
            index = idents.setdefault(each.rule, len(idents))
            where = "/".join(filter(None, (domain.name, each.item)))
            results.append(
                {
                    "ruleId": each.rule,
                    "ruleIndex": index,
                    "level": _LEVELS[Severity(each.severity)],
                    "message": {"text": f"{domain.name}: {each.message}"},
                    "locations": [_location(each.place, where, diff)],
                    "partialFingerprints": {"finding/v1": each.fingerprint},
                }
            )
        told = [*(each.text for each in domain.ways if each.tone), *domain.unknown]
        notes += [{"level": "warning", "message": {"text": f"{domain.name}: {text}"}} for text in told]
    rules = []
    for ident in idents:
        rule = speaker.rules.rules.get(ident)
        text = rule_short(rule, speaker.lang) if rule else ident
        rules.append({"id": ident, "shortDescription": {"text": text}})
    driver = {"name": "deliv", "semanticVersion": semantic_version(__version__), "rules": rules}
    invocation: dict[str, Any] = {"executionSuccessful": True}
    if notes:
        invocation["toolExecutionNotifications"] = notes
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _location(place: str, where: str, diff: Diff) -> dict[str, Any]:
    """Where a result stands: file and line, else the file of the change, else a path that stays the same."""
    match = _FILE_LINE.fullmatch(place)
    if match and not match["file"].startswith("["):
        file, line = match["file"], max(int(match["line"]), 1)
    else:
        file, line = diff.inputs[-1], 1
        if not Path(file).is_file():
            file = f"dns/{where}"
    region = {"region": {"startLine": line}}
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": _uri(file, where)}, **region}}
    logical = {"name": where, "kind": "resource"}
    location["logicalLocations"] = [logical, {"name": place, "kind": "resource"}] if place and not match else [logical]
    return location


def _uri(file: str, where: str) -> str:
    """A path relative to the folder that deliv runs in; a file elsewhere has none."""
    path = Path(file)
    try:
        relative = path.resolve().relative_to(Path.cwd()) if path.is_absolute() or ".." in path.parts else path
    except (ValueError, OSError, RuntimeError):
        relative = Path(f"dns/{where}")
    return quote(relative.as_posix().encode("utf-8", "surrogateescape"))


# --- JUnit ------------------------------------------------------------------------------------------------------------


def render_junit(diff: Diff, speaker: Speaker, fail_on: str) -> str:
    """A suite a domain, a case a receiver: it fails where the exit code does."""
    view, say = view_of(diff, speaker), speaker.say
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="deliv diff">']
    for domain, shown in zip(diff.domains, view.domains, strict=True):
        cases: list[str] = []
        counts = {"failure": 0, "error": 0}
        rows = {row.receiver: row for row in shown.verdicts}
        for name, row in rows.items():
            text = f"{row.before}{say('diff.arrow')}{row.after}"
            fails = row.worse and fail_on != "never" and (fail_on == "worse" or domain.failing)
            cases.append(_case(name, "failure" if fails else "", text, row.why))
            counts["failure"] += fails
        fails = domain.worse if fail_on == "worse" else domain.failing if fail_on == "error" else False
        if fails and not counts["failure"]:
            counts["failure"] += 1
            why = [each.text for each in shown.ways if each.tone == "worse"]
            why += [f"{each.rule}  {each.message}" for each in shown.new]
            cases.append(_case(shown.name, "failure", shown.title, tuple(why)))
        if domain.incomplete and fail_on != "never":
            counts["error"] += 1
            why = [each.text for each in shown.ways if each.tone == "unknown"]
            cases.append(_case(say("diff.case-unknown"), "error", shown.title, (*why, *shown.unknown)))
        if not cases:
            cases.append(_case(shown.name, "", "", ()))
        attributes = {
            "name": shown.name,
            "tests": str(len(cases)),
            "failures": str(counts["failure"]),
            "errors": str(counts["error"]),
            "time": "0",
        }
        lines += [f"<testsuite{_attributes(attributes)}>", *cases, "</testsuite>"]
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _case(name: str, kind: str, message: str, why: tuple[str, ...]) -> str:
    opening = f"<testcase{_attributes({'classname': 'deliv.diff', 'name': name, 'time': '0'})}"
    if not kind:
        return f"{opening}/>"
    text = escape(visible_lines("\n".join((message, *why))))
    return f"{opening}><{kind}{_attributes({'message': message, 'type': kind})}>{text}</{kind}></testcase>"


def visible_lines(text: str) -> str:
    """A text of several lines with what would hide or steer written out."""
    return "\n".join(map(visible, text.split("\n")))


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(visible(value))}" for name, value in values.items())


def renderers(speaker: Speaker, paper: Paper, fail_on: str) -> Mapping[str, Callable[[Diff], str]]:
    """What writes each format."""
    return {
        "text": lambda diff: render_text(diff, speaker, paper),
        "markdown": lambda diff: render_markdown(diff, speaker),
        "json": render_json,
        "sarif": lambda diff: render_sarif(diff, speaker),
        "junit": lambda diff: render_junit(diff, speaker, fail_on),
    }
