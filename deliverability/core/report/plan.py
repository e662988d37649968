"""The plan in words: what to do, where, the records, and what it changes, each step ready to be laid out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence, Set

from msgspec import Struct

from deliverability.core.facts.message import Message
from deliverability.core.model.answer import Chip, PlanStep, PolicyWait
from deliverability.core.model.claims import Lack
from deliverability.core.model.report import Care, FactChange, RecordEdit, Report, VerdictKind
from deliverability.core.model.rules import Place, Scope
from deliverability.core.phrases import Phrases, joined
from deliverability.core.report.answer import defers, in_sentence, is_named, kind_words, number_words, numbered_steps
from deliverability.core.report.findings import FindingIndex, receiver_short
from deliverability.core.report.records import Piece, diff, rdata, txt_strings
from deliverability.core.words.sentences import capital, format_value, state_words, visible
from deliverability.core.words.speaker import Speaker
from deliverability.core.words.steps import splits_itself, step_words

_NAMES_SHOWN = 3


class RecordView(Struct, frozen=True):
    """A record set to publish, change or take away; values whole.

    Attributes:
        name: where.
        type: ``TXT`` ...
        old: the values that stand there now.
        new: the values to publish; empty: take away.
        pieces: what changes from the old value to the new one, where there is one of both.
        strings: long values as the strings that a zone file and most DNS providers take; empty: none is long, or the
            provider takes them as they are.

    """

    name: str
    type: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    pieces: tuple[Piece, ...] = ()
    strings: tuple[str, ...] = ()


class ChipView(Struct, frozen=True):
    """A gain: "Gmail, Outlook.com: refused → no known obstacle, with step 2"."""

    receivers: tuple[str, ...]
    text: str


class PlanStepView(Struct, frozen=True):
    """One step.

    Attributes:
        number: the same in every output.
        mark: the number as it is shown; empty where the report numbers the steps in its own way.
        what: imperative, no full stop.
        where: "At your DNS provider".
        where_sentence: the same as a sentence; empty where `what` names the place.
        how: how to do it, a sentence each; may be empty.
        entry: how the records are entered at the DNS provider, in one paragraph; may be empty.
        records: see RecordView.
        lines: header fields as they are to stand.
        files: texts to publish beside the records, line by line.
        chips: what changes for receivers.
        settles: what else it settles, each as a clause.
        settles_count: "also settles 2 others", or empty.
        care: safe, careful or last-resort.
        care_label: the same in words; empty where it is safe.
        care_words: what to look out for; empty where it is safe.
        reason: that it is not the reason for this mail; else empty.
        condition: what has to be true first; else empty.
        builds: that its records are those which an earlier step leaves; else empty.
        changes: facts that it changes, in one line; else empty.
        hand_over: a text to send to whoever has to do it, by lines; empty where nobody else has to.
        hand_over_hint: the command that prints it; all options but those that name the subject are those of the run.
        short: what is wrong, for lists.
        anchor: the finding that it is for, on a page.
        severity: of the worst finding that it settles.
        inbound: it is about mail that the domain receives.

    """

    number: int
    mark: str
    what: str
    where: str
    where_sentence: str
    how: tuple[str, ...]
    entry: str
    records: tuple[RecordView, ...]
    lines: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    chips: tuple[ChipView, ...]
    settles: tuple[str, ...]
    settles_count: str
    care: str
    care_label: str
    care_words: str
    reason: str
    condition: str
    builds: str
    changes: str
    hand_over: tuple[str, ...]
    hand_over_hint: str
    short: str
    anchor: str
    severity: str
    inbound: bool


class PlanView(Struct, frozen=True):
    """The plan.

    Attributes:
        heading: "Three steps", "One step", "Nothing to fix."
        steps: those that stand open.
        folded: the rest that is worth doing.
        more: "5 more worth doing" with nothing behind it; empty: there are none.
        more_names: what they ask for: "4. Remove ptr from the SPF record; 5. Shorten the HTML", or empty.
        received: for mail that the domain receives.
        received_heading: "Also possible, for mail you receive"; empty: nothing is.
        received_names: what they ask for, or empty.
        policy: what comes before the next stage of DMARC; empty: nothing, or the plan has that stage.

    """

    heading: str
    steps: tuple[PlanStepView, ...]
    folded: tuple[PlanStepView, ...]
    more: str
    more_names: str
    received: tuple[PlanStepView, ...]
    received_heading: str
    received_names: str
    policy: str

    @property
    def all(self) -> tuple[PlanStepView, ...]:
        """Every step by number."""
        return (*self.steps, *self.folded, *self.received)


def plan_view(report: Report, findings: FindingIndex, speaker: Speaker, *, todo: int) -> PlanView:
    """The plan of a report in words. `todo`: how many checks ask for something to be done."""
    say, answer = speaker.say, report.answer
    writer = _Writer(report, findings, speaker)
    shown, folded, received = (
        tuple(writer.step(each) for each in steps) for steps in (answer.shown, answer.folded, answer.for_received)
    )
    needed = {number for step in answer.shown for chip in step.gains for number in chip.with_steps}
    key = "better" if not shown else "more" if needed.isdisjoint(step.number for step in folded) else "more-needed"
    more = say.count(f"plan.{key}", len(folded)) if folded else ""
    return PlanView(
        heading=_heading(len(shown), say, more=bool(folded)) if shown else _without_steps(report, todo, say),
        steps=shown,
        folded=folded,
        more=more,
        more_names=_names(folded, say, numbered=answer.numbered),
        received=received,
        received_heading=say("plan.received") if received else "",
        received_names=_names(received, say, numbered=answer.numbered),
        policy=_policy_waits(answer.policy_waits, say),
    )


def _names(steps: Sequence[PlanStepView], say: Phrases, *, numbered: bool) -> str:
    """What the steps ask for in one line, each with its number, by which others refer to it; equal ones together."""
    numbers: dict[str, list[str]] = {}
    for each in steps:
        numbers.setdefault(_brief(each.what, say), []).append(each.mark)
    names = [
        say("plan.numbered", numbers="/".join(of), name=name) if numbered else name for name, of in numbers.items()
    ]
    listed = say("punctuation.clauses").join(names[:_NAMES_SHOWN])
    rest = sum(map(len, list(numbers.values())[_NAMES_SHOWN:]))
    return listed + (say("plan.more-names", n=f"{rest:,}") if rest else "")


def _brief(what: str, say: Phrases) -> str:
    """The first sentence of a heading, without what follows a colon or stands in brackets at its end."""
    opening, closing = say("punctuation.aside").split("{text}")
    if what.endswith(closing):
        what = what.partition(opening)[0]
    for end in (say("punctuation.colon"), say("punctuation.stop") + say("punctuation.gap")):
        what = what.partition(end)[0]
    return what


_NO_STEPS = {
    "nothing-to-fix": "plan.none",
    "nothing-judged": "plan.none-judged",
    "nothing-but-waived": "plan.none-but-waived",
    "nothing-checked": "fix.nothing-incomplete",
}


def _without_steps(report: Report, todo: int, say: Phrases) -> str:
    """What is said where no step stands open: the first claim that may be made."""
    earned = report.answer.earned
    if todo:
        return say.count("plan.improvements" if "nothing-urgent" in earned else "plan.to-do", todo)
    return say(next((key for claim, key in _NO_STEPS.items() if claim in earned), "plan.not-known"))


def _heading(number: int, say: Phrases, *, more: bool) -> str:
    """Of the steps that stand open; `more`: others are folded below them."""
    if more:
        return say.count("plan.heading-first", number)
    key = f"plan.number.{number}"
    words = say(key) if key in say else str(number)
    return say("plan.heading.one" if number == 1 else "plan.heading.other", n=words)


def _policy_waits(waits: Sequence[PolicyWait], say: Phrases) -> str:
    return say(f"plan.policy.{waits[0].value}") if waits else ""


def _care_words(step: PlanStep, say: Phrases, *, told: bool) -> str:
    """What to look out for. `told`: a condition says what comes first, so only what to watch afterwards is left."""
    care = _care(step)
    if told and care in ("careful", "careful-spf", "careful-dmarc"):
        return say("care.then-dmarc" if care == "careful-dmarc" else "care.then")
    return say(f"care.{care}-hint")


def _care(step: PlanStep) -> str:
    """How careful one has to be; nothing can depend on a setting where there is none yet."""
    if step.care is not Care.CAREFUL or not step.edits:
        return step.care.value
    if not any(edit.old for edit in step.edits):
        return "careful-new"
    records = {"careful-spf": "v=spf1", "careful-dmarc": "v=dmarc1"}
    return next((key for key, tag in records.items() if any(_starts(edit, tag) for edit in step.edits)), "careful")


def _starts(edit: RecordEdit, tag: str) -> bool:
    """Whether a record is published that starts with the tag, in lower case."""
    return any(value.lower().startswith(tag) for value in edit.new)


class _Writer:
    """Puts steps into words."""

    def __init__(self, report: Report, findings: FindingIndex, speaker: Speaker) -> None:
        self._report = report
        self._findings = findings
        self._speaker = speaker
        self._say = speaker.say
        self._whole = splits_itself(report, speaker)

    def step(self, step: PlanStep) -> PlanStepView:
        """One step in words."""
        say, findings = self._say, self._findings
        words = step_words(step, self._report, self._speaker)
        shorts = findings.shorts(step.findings)
        also = tuple(capital(each) for each in shorts[1:])
        safe = step.care is Care.SAFE
        return PlanStepView(
            number=step.number,
            mark=str(step.number) if self._report.answer.numbered else "",
            what=words.what,
            where=words.where,
            where_sentence="" if words.placed else say("plan.where", where=in_sentence(words.where)),
            how=words.how,
            entry=say("punctuation.gap").join(words.entry),
            records=tuple(_record(each, whole=self._whole) for each in step.edits),
            lines=words.fields,
            files=words.files,
            chips=tuple(self._chip(each) for each in self._told(step.gains)),
            settles=also,
            settles_count=self._settles(step, also),
            care=step.care.value,
            care_label="" if safe else say(f"care.{step.care.value}"),
            care_words="" if safe else _care_words(step, say, told=bool(words.condition)),
            reason=self._reason(step),
            condition=words.condition,
            builds=self._builds(step),
            changes=say("value.separator").join(map(self._change, step.changes)),
            hand_over=words.hand_over,
            hand_over_hint=self._hint(step) if words.hand_over and self._report.answer.numbered else "",
            short="".join(shorts[:1]),
            anchor=findings.anchor(step.findings[0]) if step.findings else "",
            severity=step.severity.value,
            inbound=step.inbound,
        )

    def _settles(self, step: PlanStep, also: Sequence[str]) -> str:
        """How much else it settles; what others could do in the domain's name is said, not counted."""
        say, rules = self._say, self._speaker.rules.rules
        secure = [each for each in step.findings if each.rule in rules and rules[each.rule].scope is Scope.SECURITY]
        if not secure:
            return say.count("plan.settles", len(also)) if also else ""
        what = joined(self._findings.shorts(secure), say)
        return say("plan.settles-security", what=what)

    def _hint(self, step: PlanStep) -> str:
        report, say = self._report, self._say
        if not set(report.run.sources) <= {"dns", "live"}:
            return say("plan.hand-over-alike", n=f"{step.number:,}")
        own = bool(report.message) and report.facts.of(Message).from_domain == report.domain
        subject = [visible(report.domain)] if report.domain and not own else []
        if report.message:
            subject.append(say("plan.hand-over-mail", file=visible(shlex.quote(report.message))))
        return say("plan.hand-over", subject=" ".join(subject), n=f"{step.number:,}")

    def _reason(self, step: PlanStep) -> str:
        if not step.beside:
            return ""
        if step.checked_at:
            return self._say("plan.beside-at", at=visible(step.checked_at))
        return self._say("plan.beside")

    def _builds(self, step: PlanStep) -> str:
        """What of the plan edits its records before it: of what is done by hand the record shown knows nothing."""
        report, say = self._report, self._say
        spf = self._spf_by_hand(step) | {edit.name for edit in step.edits if _starts(edit, "v=spf1")}
        places = {*((edit.name, edit.type) for edit in step.edits), *((name, "TXT") for name in spf)}
        before = [each for each in report.answer.plan if each.number < step.number]
        edited = [each.number for each in before if any((edit.name, edit.type) in places for edit in each.edits)][-1:]
        by_hand = [each.number for each in before if self._spf_by_hand(each) & spf]
        steps = numbered_steps(sorted((*edited, *by_hand)), report, say)
        found = [say("plan.builds", steps=steps)] if steps else []
        if by_hand and steps and step.edits:
            found.append(say("plan.builds-by-hand", steps=numbered_steps(by_hand, report, say)))
        return say("punctuation.gap").join(found)

    def _spf_by_hand(self, step: PlanStep) -> Set[str]:
        """The domains whose SPF record it edits, where the reader decides how."""
        rules = self._speaker.rules.rules
        if step.edits or step.place is not Place.DNS:
            return frozenset()
        return {each.item for each in step.findings if each.rule in rules and rules[each.rule].topic == "spf"}

    def _told(self, gains: Sequence[Chip]) -> Sequence[Chip]:
        """What of the gains is shown: that something is known which was not only where nothing else is gained."""
        known = (each for each in gains if each.before is not VerdictKind.CANNOT_TELL or is_named(self._lacks(each)))
        return list(known) or gains

    def _lacks(self, chip: Chip) -> Sequence[Lack]:
        """What keeps the mail from being accepted now."""
        return next((each.lacks for each in self._report.verdicts if each.receiver in chip.receivers), ())

    def _before(self, chip: Chip, lacks: Sequence[Lack]) -> str:
        """What becomes of the mail now, as the answer has it."""
        groups = [each for each in self._report.answer.groups if not set(each.receivers).isdisjoint(chip.receivers)]
        if groups and all(map(defers, groups)):
            return self._say("verdict.deferred-or-rejected")
        return kind_words(chip.before, chip.effects, self._say, lacks)

    def _chip(self, chip: Chip) -> ChipView:
        say, lacks = self._say, self._lacks(chip)
        names = tuple(receiver_short(ident, self._speaker) for ident in chip.receivers)
        before = in_sentence(self._before(chip, lacks))
        if chip.after is None:
            after = say("chip.unknown-open" if self._report.message else "chip.unknown")
        else:
            after = in_sentence(kind_words(chip.after, chip.after_effects, say))
        change = say("chip.change", before=before, after=after)
        if chip.with_steps and not self._report.answer.numbered:
            change += say("chip.with.more")
        elif chip.with_steps:
            numbers = number_words(chip.with_steps, say)
            change += say("chip.with.one" if len(chip.with_steps) == 1 else "chip.with.other", steps=numbers)
        return ChipView(names, say("effect-of.named", name=joined(names, say), change=change))

    def _change(self, change: FactChange) -> str:
        say = self._say
        spec = self._speaker.catalogue.get(change.path)
        values = (
            state_words(change.path, value, say) or format_value(value, spec, say)
            for value in (change.before, change.after)
        )
        before, after = values
        name = say(f"fact.{change.path}") if f"fact.{change.path}" in say else visible(change.path)
        return say("effect-of.named", name=name, change=say("effect-of.change", before=before, after=after))


def _record(edit: RecordEdit, *, whole: bool) -> RecordView:
    """`whole`: long values are published as they are."""
    old, new = (tuple(visible(value) for value in values) for values in (edit.old, edit.new))
    pieces = diff(old[0], new[0]) if len(old) == len(new) == 1 else ()
    long = () if whole or edit.type != "TXT" else (value for value in edit.new if len(txt_strings(value)) > 1)
    strings = tuple(visible(rdata(edit.type, value)) for value in long)
    return RecordView(visible(edit.name), visible(edit.type), old, new, pieces, strings)
