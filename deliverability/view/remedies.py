"""The remedies of a report in words, and what to do first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deliverability.model.placeholders import placeholders
from deliverability.model.report import Gain, Remedy, Report
from deliverability.model.rules import Scope
from deliverability.view.diff import diff
from deliverability.view.findings import receiver_name
from deliverability.view.parts import CheckView, EditView, RemedyView, StepView
from deliverability.words.sentences import format_value, shortened, visible
from deliverability.words.speaker import Speaker

FIRST = 3
"""Things that are named to be done first."""


def remedy_views(
    report: Report, checks: Sequence[CheckView], speaker: Speaker, prefix: str
) -> tuple[tuple[RemedyView, ...], tuple[RemedyView, ...]]:
    """The remedies in words, in the order of the report; apart, those for information only, while mail has a fault."""
    faulty = any(
        check.to_do and check.severity in ("error", "warning") and _delivers(check, speaker) for check in checks
    )
    now: list[RemedyView] = []
    later: list[RemedyView] = []
    for number, remedy in enumerate(report.remedies, 1):
        waits = faulty and speaker.rules.rules[remedy.rule].information
        (later if waits else now).append(_remedy(remedy, f"{prefix}remedy-{number}", checks, speaker))
    return tuple(now), tuple(later)


def _delivers(check: CheckView, speaker: Speaker) -> bool:
    return speaker.rules.rules[check.rule].scope is Scope.DELIVERY


def _remedy(remedy: Remedy, anchor: str, checks: Sequence[CheckView], speaker: Speaker) -> RemedyView:
    say = speaker.say
    shown = {key: format_value(value, None, say) for key, value in remedy.values.items()}

    def words(part: str) -> str:
        key = f"remedies.{remedy.code}.{part}"
        return say(key, **shown) if key in say and placeholders(say.texts[key]) <= shown.keys() else ""

    own = next((check for check in checks if check.rule == remedy.rule and check.to_do), None)
    changes = []
    for change in remedy.changes:
        spec = speaker.catalogue.get(change.path)
        before, after = (format_value(value, spec, say) for value in (change.before, change.after))
        name = say(f"fact.{change.path}") if f"fact.{change.path}" in say else visible(change.path)
        changes.append(say("effect-of.named", name=name, change=say("effect-of.change", before=before, after=after)))
    mends = tuple((e.anchor, e.headline) for e in checks if e.to_do and e.rule in remedy.mends)
    return RemedyView(
        remedy=remedy,
        anchor=anchor,
        rule=visible(remedy.rule),
        item=visible(shortened(remedy.item)),
        title=words("title") or (own.headline if own else visible(remedy.rule)),
        files=tuple(
            tuple(visible(line) for line in value.splitlines())
            for value in remedy.values.values()
            if isinstance(value, str) and "\n" in value.strip()
        ),
        edits=tuple(
            EditView(
                visible(edit.name),
                visible(edit.type),
                tuple(visible(value) for value in edit.old),
                tuple(visible(value) for value in edit.new),
                diff(visible(edit.old[0]), visible(edit.new[0])) if len(edit.old) == len(edit.new) == 1 else (),
            )
            for edit in remedy.edits
        ),
        care=remedy.care.value,
        care_label=say(f"care.{remedy.care.value}"),
        care_words=words("note") or say(f"care.{remedy.care.value}-hint"),
        effects=(*gain_words(remedy.gains, speaker), *changes),
        mends=mends,
        gain=sum(gain.worth for gain in remedy.gains),
    )


def gain_words(gains: Iterable[Gain], speaker: Speaker) -> tuple[str, ...]:
    """What changes for the receivers, those with the same change together."""
    say = speaker.say
    together: dict[str, dict[str, None]] = {}
    for gain in gains:
        before, after = (say(f"verdict.{kind.value}") for kind in (gain.before, gain.after))
        change = say("effect-of.change", before=before, after=after)
        together.setdefault(change, {})[receiver_name(gain.receiver, speaker)] = None
    return tuple(
        say("effect-of.named", name=say("value.separator").join(names), change=change)
        for change, names in together.items()
    )


def first_steps(unmet: Sequence[CheckView], remedies: Sequence[RemedyView]) -> tuple[StepView, ...]:
    """The three things to do first: the most urgent findings, less those that an earlier remedy mends as well.

    A remedy that continues the record of another comes after that one.
    """
    steps: list[StepView] = []
    mended: set[str] = set()
    own = {remedy.anchor: _check_of(remedy, unmet) for remedy in remedies}
    best: dict[str, RemedyView] = {}
    for remedy in remedies:
        if check := own[remedy.anchor]:
            best.setdefault(check.anchor, remedy)

    def take(check: CheckView) -> None:
        remedy = best.get(check.anchor)
        for earlier in remedies[: remedies.index(remedy)] if remedy else ():
            before = own[earlier.anchor]
            if remedy and before and before.anchor not in mended and _continues(remedy, earlier):
                take(before)
        if check.anchor not in mended:
            steps.append(StepView(check, remedy))
            mended.update([check.anchor, *(anchor for anchor, _ in remedy.mends)] if remedy else [check.anchor])

    ranked = sorted(unmet, key=lambda check: -max(check.gain, best[check.anchor].gain if check.anchor in best else 0))
    for check in ranked:
        if len(steps) >= FIRST:
            break
        # What could only be improved is no thing to do first, unless there is nothing else.
        if check.anchor not in mended and (check.severity != "info" or not steps):
            take(check)
    return tuple(steps[:FIRST])


def _check_of(remedy: RemedyView, unmet: Sequence[CheckView]) -> CheckView | None:
    for check in unmet:
        if check.rule == remedy.rule and remedy.item in ("", *(each.item for each in check.instances)):
            return check
    return None


def _continues(later: RemedyView, earlier: RemedyView) -> bool:
    """Whether a remedy edits the record that an earlier one leaves."""
    left = {(edit.name, edit.type, edit.new) for edit in earlier.edits}
    return any((edit.name, edit.type, edit.old) in left for edit in later.edits)
