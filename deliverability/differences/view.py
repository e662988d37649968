"""A comparison in the words of one language: what each of its formats shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from deliverability.core.model.report import Report
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.findings import FindingView, finding_views, receiver_short
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker
from deliverability.core.words.steps import rule_short
from deliverability.differences.changes import Change
from deliverability.differences.run import Diff, DomainDiff, VerdictPair, effect_of

SYMBOLS = {"add": "+", "remove": "-", "change": "~"}


class VerdictRow(Struct, frozen=True):
    """A receiver whose verdict changes: its name, both verdicts, whether it is worse, each rule with its finding."""

    receiver: str
    before: str
    after: str
    worse: bool
    why: tuple[str, ...]


class ChangeRow(Struct, frozen=True):
    """A record set that changes: a sign, its name and type, the values that go and come, its place, what it does."""

    sign: str
    name: str
    gone: tuple[str, ...]
    come: tuple[str, ...]
    place: str
    effect: str


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
        verdicts: of receivers that do otherwise than before.
        others: the receivers that do as before, in one line; empty: there are none.
        grade: the grade before and after, where it changes; else empty.
        changes: the record sets.
        new: findings that the change makes.
        mended: those that it mends, in one line; empty: none.
        unknown: what is left open.

    """

    name: str
    title: str
    tone: str
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
    sides = [_by_rule(report, speaker) for report in domain.reports]
    grades = [each or say("diff.no-grade") for each in domain.grade]
    name = visible(f"{domain.name} ({domain.message})" if domain.message else domain.name)
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
        verdicts=tuple(_verdict(each, sides, speaker) for each in pairs),
        others=_others(domain, same, say) if same else "",
        grade=say("diff.grade", before=grades[0], after=grades[1]) if domain.grade[0] != domain.grade[1] else "",
        changes=tuple(_change(each, domain, say) for each in domain.changes),
        new=tuple(_new(domain, sides[1])),
        mended=_mended(domain, speaker),
        unknown=tuple(
            say(
                "diff.unknown",
                type=each.type or say("diff.any-type"),
                name=visible(each.owner),
                why=visible(detail_words(each.why, say)),
            )
            for each in domain.unknown
        ),
    )


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


def _verdict(pair: VerdictPair, sides: list[Mapping[str, list[FindingView]]], speaker: Speaker) -> VerdictRow:
    say = speaker.say
    side = sides[1] if pair.after.rank >= pair.before.rank else sides[0]
    why = []
    for ident in pair.rules:
        views = side.get(ident, [])
        rule = speaker.rules.rules.get(ident)
        words = views[0].words.message if views else rule_short(rule, speaker.lang) if rule else ""
        why.append(f"{ident}  {words}".rstrip())
    return VerdictRow(
        receiver_short(pair.receiver, speaker),
        say(f"verdict.{pair.before.value}"),
        say(f"verdict.{pair.after.value}"),
        pair.worse,
        tuple(why),
    )


def _change(change: Change, domain: DomainDiff, say: Phrases) -> ChangeRow:
    none = effect_of(change, domain) == "none"
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
