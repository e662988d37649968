"""Findings and observations one by one in words, names as they are shown, records as lines, open questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct

from deliverability.core.codes import needed
from deliverability.core.facts.base import Evidence, EvidenceKind, Reason, Unknown
from deliverability.core.model.answer import FindingId, ReportAnswer
from deliverability.core.model.report import Finding, Judgement, Outcome, Remedy, Report
from deliverability.core.model.rules import Effect, Rule, RuleSet, Severity, Statement
from deliverability.core.phrases import Phrases, detail_words, joined, line_words
from deliverability.core.report.parts import EvidenceView
from deliverability.core.report.records import rdata
from deliverability.core.words.sentences import (
    FindingWords,
    duration,
    full_day_words,
    moment_words,
    sentences,
    shortened,
    visible,
)
from deliverability.core.words.speaker import Speaker, cited, read_words


class FindingView(Struct, frozen=True):
    """One finding in words.

    `item` and everything in `words` are safe to show: nothing in them hides or steers. `records` are those to publish
    by its remedy, if there is one.
    """

    finding: Finding
    rule: Rule
    words: FindingWords
    item: str
    records: tuple[str, ...]

    @property
    def is_unmet(self) -> bool:
        """A requirement that is not met and counts."""
        return self.finding.outcome is Outcome.UNMET and self.finding.severity is not Severity.NONE

    @property
    def failed(self) -> bool:
        """It could not be checked although everything needed was given."""
        return self.finding.unknown is not None and not self.finding.waits_for_input

    @property
    def is_bug(self) -> bool:
        """It was lost to an error in this program."""
        return self.finding.unknown is not None and self.finding.unknown.reason is Reason.BUG

    @property
    def state(self) -> str:
        """The outcome, with ``waiting`` for what only needs an input."""
        return "waiting" if self.finding.waits_for_input else self.finding.outcome.value

    @property
    def waived(self) -> str:
        """Why the user accepts it, with their remark; empty where they do not."""
        waiver = self.finding.waiver
        if waiver is None:
            return ""
        return visible(": ".join(filter(None, (waiver.reason, waiver.note))))

    def effects(self) -> dict[str, tuple[Effect, tuple[str, ...]]]:
        """What each receiver surely does about it, and the replies that the sender would see."""
        return {
            each.receiver: (each.effect, tuple(visible(code) for code in each.codes))
            for each in self.finding.judgements
            if each.outcome is Outcome.UNMET and each.effect.hinders
        }


def finding_views(report: Report, speaker: Speaker) -> Iterator[FindingView]:
    """The findings in the order of the report; those whose rule is not known are left out."""
    remedies = {(each.rule, each.item): each for each in reversed(report.remedies)}
    for finding in report.findings:
        rule = speaker.rules.rules.get(finding.rule)
        if rule is not None:
            words = sentences(finding, speaker.rules, speaker.lang, speaker.catalogue, report.facts)
            remedy = remedies.get((finding.rule, finding.item))
            yield FindingView(finding, rule, words, visible(finding.item), _new_records(remedy) if remedy else ())


def receiver_name(ident: str, speaker: Speaker) -> str:
    """A receiver's display name."""
    receiver = speaker.rules.receivers.get(ident)
    return visible(receiver.name.get(speaker.lang, ident) if receiver else ident)


def receiver_short(ident: str, speaker: Speaker) -> str:
    """A receiver's name where many are named in a line."""
    receiver = speaker.rules.receivers.get(ident)
    return visible(receiver.called(speaker.lang) if receiver else ident)


def statement_of(judgement: Judgement, rule: str, speaker: Speaker) -> Statement | None:
    """What the receiver says that the judgement rests on; None where its rule file does not say it any more."""
    receiver = speaker.rules.receivers.get(judgement.receiver)
    if receiver is None:
        return None
    wanted = (judgement.effect, judgement.severity, judgement.codes, judgement.contested)
    return next(
        (
            each
            for each in speaker.rules.statements(receiver, rule)
            if (each.effect, each.severity, each.codes, each.contested) == wanted
        ),
        None,
    )


def only_temporary(codes: Sequence[str]) -> bool:
    """Whether all replies that are known are temporary ones: such mail is refused, but at first only for a time."""
    return bool(codes) and all(code.startswith("4") for code in codes)


def judged_words(judgement: Judgement, say: Phrases) -> str:
    """What a receiver does about a finding."""
    if judgement.effect is Effect.REJECT and not judgement.contested and only_temporary(judgement.codes):
        return say("verdict.deferred-or-rejected")
    return effect_words([(judgement.effect, judgement.contested)], say)


def effect_words(effects: Iterable[tuple[Effect, bool]], say: Phrases) -> str:
    """What happens to the mail, each effect (with whether it is contested) once, the worst first."""
    seen = dict.fromkeys(f"may-{effect.value}" if may and effect.hinders else effect.value for effect, may in effects)
    for each in [name for name in seen if name.removeprefix("may-") in seen and name.startswith("may-")]:
        del seen[each]
    found: list[str] = []
    for may, run in groupby(seen, key=lambda name: name.startswith("may-")):
        words = [say(f"hindrance.{name}") for name in run]
        found += [say("hindrance.may", words=either(words, say))] if may else words
    return either([*found[:1], *(word[:1].lower() + word[1:] for word in found[1:])], say)


def either(words: Sequence[str], say: Phrases) -> str:
    """Words of which one is true: "be rejected, go to spam or be delayed"."""
    first, last = words[:-1], words[-1:]
    return say("punctuation.or").join([*([say("punctuation.alternatives").join(first)] if first else []), *last])


def basis_words(statement: Statement, rules: RuleSet, say: Phrases) -> str:
    """The words that a statement rests on, whose they are, and where and when they were read."""
    parts = [say("page.quote", text=visible(statement.quote)) if statement.quote else say("page.no-quote")]
    parts.append(say(f"page.word-{statement.word.value}"))
    for ref in statement.sources:
        source = rules.sources[ref.ref]
        parts.append(cited(source, say).title)
        parts += [say("page.dated", date=full_day_words(source.dated, say))] if source.dated else []
        parts.append(read_words(source, say))
    return " · ".join(parts)


def topic_name(topic: str, say: Phrases) -> str:
    """A topic's display name; rules added by the user may bring topics of their own."""
    return say(f"topic.{topic}") if f"topic.{topic}" in say else visible(topic)


def _new_records(remedy: Remedy) -> tuple[str, ...]:
    return tuple(line for edit in remedy.edits for line in record_lines(edit.name, edit.type, edit.new))


def record_lines(name: str, kind: str, values: tuple[str, ...]) -> Iterator[str]:
    """Records in the form that ``--with`` takes: ``name type value``, text in quotes where it is a TXT record."""
    for value in values:
        yield visible(f"{name} {kind} {rdata(kind, value)}")


def combines(ident: str, speaker: Speaker) -> bool:
    """Whether a receiver stands for several others."""
    receiver = speaker.rules.receivers.get(ident)
    return receiver is not None and bool(receiver.combines)


class FindingIndex:
    """Findings by rule and item: what each goes by within a sentence, and where it stands on a page."""

    def __init__(self, findings: Iterable[FindingView], anchors: Mapping[str, str], say: Phrases) -> None:
        """Take the findings, and the anchors of rules, the unmet ones first."""
        self._say = say
        self._findings: dict[tuple[str, str], FindingView] = {}
        self._first: dict[str, FindingView] = {}
        for each in findings:
            self._findings[each.finding.rule, each.finding.item] = each
            known = self._first.get(each.finding.rule)
            if known is None or (each.is_unmet and not known.is_unmet):
                self._first[each.finding.rule] = each
        self._anchors = anchors

    def find(self, ident: FindingId) -> FindingView | None:
        """The finding; where no item is named, the first of its rule that is unmet."""
        return self._findings.get((ident.rule, ident.item)) or self._first.get(ident.rule)

    def shorts(self, idents: Iterable[FindingId]) -> tuple[str, ...]:
        """What is wrong, each as a clause, and once."""
        found = (self.find(ident) for ident in idents)
        return tuple(dict.fromkeys(each.words.short for each in found if each is not None and each.words.short))

    def nouns(self, idents: Iterable[FindingId]) -> tuple[str, ...]:
        """What they are about, without saying how that is, each once."""
        found = (self.find(ident) for ident in idents)
        return tuple(dict.fromkeys(each.words.noun for each in found if each is not None and each.words.noun))

    def reasons(self, idents: Iterable[FindingId]) -> tuple[str, ...]:
        """What was looked for in vain or could not be looked up, each once; what they are about where that is all."""
        failed, needs = self._unchecked(idents)
        return (*failed, self._say("lead.needs", what=joined(needs, self._say))) if needs else failed

    def wanted(self, idents: Iterable[FindingId]) -> tuple[str, ...]:
        """The same as a list of what would have to be known or given."""
        failed, needs = self._unchecked(idents)
        return (*failed, *needs)

    def _unchecked(self, idents: Iterable[FindingId]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What could not be looked up, and the input that is needed."""
        failed: list[str] = []
        needs: list[str] = []
        for view in filter(None, map(self.find, idents)):
            detail = view.finding.unknown.detail if view.finding.unknown is not None else None
            words = view.words.noun if detail is None else visible(shortened(detail_words(detail, self._say)))
            (failed if detail is None or needed(detail) is None else needs).append(words)
        return tuple(dict.fromkeys(filter(None, failed))), tuple(dict.fromkeys(needs))

    def anchor(self, ident: FindingId) -> str:
        """Where it stands on a page; empty: nowhere."""
        return self._anchors.get(ident.rule, "")


_LINES_SHOWN = 40
_LINE_LENGTH = 2_000


class Exhibits:
    """The observations of a report as they are shown, each made when it is first asked for."""

    def __init__(self, evidence: Mapping[str, Evidence], prefix: str, say: Phrases) -> None:
        self._evidence, self._say = evidence, say
        self._anchors = {ident: f"{prefix}e{number}" for number, ident in enumerate(sorted(evidence), 1)}
        self._made: dict[str, EvidenceView] = {}

    def of(self, idents: Iterable[str]) -> tuple[EvidenceView, ...]:
        """Those of these ids that there are."""
        return tuple(self._one(ident) for ident in idents if ident in self._evidence)

    def names(self, idents: Iterable[str]) -> tuple[str, ...]:
        """What was asked in those of these ids that there are."""
        return tuple(_asked(self._evidence[ident], self._say) for ident in idents if ident in self._evidence)

    def _one(self, ident: str) -> EvidenceView:
        if ident not in self._made:
            self._made[ident] = _shown(self._evidence[ident], self._anchors[ident], self._say)
        return self._made[ident]


def _asked(evidence: Evidence, say: Phrases) -> str:
    """What was asked, as it was; of reports and parts of the message, where it is ours to name, in words."""
    what, _, which = evidence.asked.rpartition(" ")
    match evidence.kind:
        case EvidenceKind.MIME:
            words = say("evidence.part", path=which)
        case EvidenceKind.REPORT:
            begin, _, end = which.partition("/")
            period = say("date.period", begin=full_day_words(begin, say), end=full_day_words(end, say))
            kind, _, name = what.partition(" ")
            key = f"evidence.of-{kind}"
            words = (
                say(key, name=name, period=period) if key in say else say("evidence.of-other", name=what, period=period)
            )
        case _:
            words = evidence.asked
    return visible(shortened(words))


def _shown(evidence: Evidence, anchor: str, say: Phrases) -> EvidenceView:
    """An observation as it is shown."""
    lines = [line for got in evidence.got for line in line_words(got, say).splitlines() or [""]]
    return EvidenceView(
        anchor=anchor,
        kind=say(f"evidence.{evidence.kind.value}"),
        asked=_asked(evidence, say),
        lines=tuple(visible(shortened(line.replace("\t", " "), _LINE_LENGTH)) for line in lines[:_LINES_SHOWN]),
        more=max(0, len(lines) - _LINES_SHOWN),
        at=say("label.seen", at=visible(moment_words(evidence.at, say))) if evidence.at else "",
        ttl=say("label.ttl", span=duration(evidence.ttl, say)) if evidence.ttl is not None else "",
    )


_SHOWN = 3
_NOBODY_ASKED = {"not-recorded": "not-recorded", "offline": "not-asked", "no-domain": "no-domain"}
_UNASKED = ("offline", "not-recorded", "not-asked", "no-domain")


def unanswered(answer: ReportAnswer, say: Phrases) -> str:
    """The questions without an answer and the way to get one, in one line. A reason that all share is told once."""
    shared = _shared_reason(answer)
    shown = []
    for each in answer.unanswered[:_SHOWN]:
        reason = "" if shared else say("unanswered.why", reason=say(f"reason.{_reason_of(each.unknown)}"))
        # A name of one label, such as unknown, could be read as a word of ours.
        which = "one" if "." in each.name else "label"
        shown.append(say(f"unanswered.{which}", type=each.type, name=visible(each.name)) + reason)
    if not shown:
        return ""
    names = say("value.separator").join(shown)
    if len(answer.unanswered) > len(shown):
        names += say("value.more", n=f"{len(answer.unanswered) - len(shown):,}")
    lead = say.count("unanswered.skipped" if shared in _UNASKED else "unanswered.lead", len(answer.unanswered))
    why = say("unanswered.why", reason=say(f"reason.{shared}")) if shared else ""
    again = shared if shared in (*_UNASKED, Reason.UNTOLD, Reason.ALIAS) else "again"
    # Who asks again still gets no answer by way of those CNAME records.
    fixable = not shared and any(each.unknown.reason is Reason.ALIAS for each in answer.unanswered)
    also = say("unanswered.alias-too") if fixable else ""
    return lead + why + say("punctuation.colon") + names + say(f"unanswered.{again}") + also


def _shared_reason(answer: ReportAnswer) -> str:
    """Why none of the questions has an answer; empty where that is not the same for all."""
    reasons = {_reason_of(each.unknown) for each in answer.unanswered}
    return reasons.pop() if len(reasons) == 1 else ""


def was_asked(answer: ReportAnswer) -> bool:
    """Whether anybody was asked at all: not so with the network shut off or a recording at hand."""
    return _shared_reason(answer) not in _UNASKED


def unreached(answer: ReportAnswer, domain: str, say: Phrases, *, message: bool) -> str:
    """That nothing was answered, and why; `message`: a message was read all the same."""
    shared = _shared_reason(answer)
    why = say(f"lead.unreached-{shared}", domain=domain) if shared in _UNASKED else say("lead.unreached")
    return why + say("lead.nothing-of-dns" if message else "lead.nothing")


def unreached_hint(answer: ReportAnswer, domain: str, say: Phrases) -> str:
    """What to do where nothing was answered."""
    shared = _shared_reason(answer)
    return say(f"lead.hint-{shared if shared in _UNASKED else 'unreached'}", domain=domain)


def _reason_of(unknown: Unknown) -> str:
    """Why there is no answer: as its reason, but what nobody was asked is told by where the answers came from."""
    detail = unknown.detail
    return _NOBODY_ASKED.get(detail.code, unknown.reason.value) if detail else unknown.reason.value
