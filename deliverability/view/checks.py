"""Findings as checks: those of one rule that share outcome and words together, with all that is said about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deliverability.model.facts import Evidence, Waiver
from deliverability.model.report import Finding, Outcome, Report
from deliverability.model.rules import Effect, Effort, Receiver, Rule, Severity, SourceRef, Statement, VolumeClass
from deliverability.view.findings import (
    FindingView,
    combines,
    effect_words,
    moment,
    read_words,
    receiver_name,
    statement_of,
    topic_name,
)
from deliverability.view.parts import CheckView, EffectView, EvidenceView, InstanceView, SourceView
from deliverability.view.remedies import gain_words
from deliverability.words.details import line_words
from deliverability.words.sentences import FindingWords, Phrases, duration, format_value, shortened, visible
from deliverability.words.services import services_of
from deliverability.words.speaker import Speaker

_EFFORTS = list(Effort)
_LINES_SHOWN = 40
_LINE_LENGTH = 2_000
_STATES = ("unmet", "unknown", "waiting", "waived", "met", "not-applicable")


def check_views(
    findings: Sequence[FindingView], report: Report, speaker: Speaker, evidence: Mapping[str, EvidenceView], prefix: str
) -> tuple[CheckView, ...]:
    """Findings grouped by rule and outcome where their words agree, in the order of the report."""
    say = speaker.say
    groups: dict[tuple[str, str, FindingWords, Waiver | None], list[FindingView]] = {}
    for each in findings:
        # Steps are shown for what is unmet only; elsewhere a value in them need not keep findings apart.
        unmet, words = each.finding.outcome is Outcome.UNMET, each.words
        same = replace(words, message="") if unmet else replace(words, message="", short="", why="", fix=())
        outcome = "waived" if each.finding.waiver is not None else each.state
        groups.setdefault((each.rule.id, outcome, same, each.finding.waiver), []).append(each)
    anchors: dict[str, int] = {}
    checks = []
    for (ident, outcome, words, waiver), members in groups.items():
        anchors[ident] = anchors.get(ident, 0) + 1
        suffix = "" if anchors[ident] == 1 else f"-{anchors[ident]}"
        anchor = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{prefix}{ident}{suffix}")
        rule, of_check = members[0].rule, [each.finding for each in members]
        severity = max((finding.severity for finding in of_check), key=lambda s: s.rank)
        only_known = rule.information and severity is Severity.INFO
        instances = tuple(_instance(each, evidence, speaker) for each in members)
        effects = _effects(of_check, speaker) if outcome == "unmet" else ()
        headline = words.title if outcome in ("met", "not-applicable") else words.heading
        listed = len(instances) != 1 or not _names(instances[0].message, instances[0].item)
        checks.append(
            CheckView(
                anchor=anchor,
                rule=visible(ident),
                topic=rule.topic,
                outcome=outcome,
                outcome_label=say(f"outcome.{outcome}"),
                severity=Severity.NONE.value if only_known else severity.value,
                severity_label=say("severity.information" if only_known else f"severity.{severity.value}"),
                title=words.title,
                headline=headline,
                clause=words.short or words.noun,
                found="" if listed else _beside(instances[0].message, headline),
                why=members[0].words.why,
                fix=words.fix,
                instances=instances,
                effects=effects,
                effect_lines=_effect_lines(effects, say),
                effort=say(f"effort.{rule.effort.value}"),
                level=say(f"level.{rule.level.value}"),
                confidence=say("label.confidence", word=say(f"confidence.{rule.confidence.value}")),
                contested=_contested(of_check, rule),
                sources=(*_sources(rule, report, speaker), *_service_sources(of_check, report, speaker)),
                notes=_receiver_notes(of_check, speaker) if outcome == "unmet" else (),
                readings=_receiver_notes(of_check, speaker, contested=True) if outcome == "unmet" else (),
                shows_instances=listed,
                gains=gain_words([gain for finding in of_check for gain in finding.gains], speaker),
                gain=sum(gain.worth for finding in of_check for gain in finding.gains),
                waiver=_waiver(waiver, say) if waiver else "",
                guide=rule.guide,
            )
        )
    return tuple(checks)


def by_urgency(checks: Iterable[CheckView], speaker: Speaker) -> tuple[CheckView, ...]:
    """What alone mends most first, then severity, what receivers do, how many do it, and what is quickly done."""
    order = {rule: index for index, rule in enumerate(speaker.rules.rules)}

    def urgency(check: CheckView) -> tuple[int, ...]:
        certain = [Effect(each.effect).rank for each in check.effects if not each.only]
        return (
            -check.gain,
            -Severity(check.severity).rank,
            -max(certain, default=0),
            -len(certain),
            _EFFORTS.index(speaker.rules.rules[check.rule].effort),
            order[check.rule],
        )

    return tuple(sorted(checks, key=urgency))


def by_topic(checks: Iterable[CheckView], say: Phrases) -> tuple[tuple[str, tuple[CheckView, ...]], ...]:
    """Checks by topic; in each what needs action first, what does not apply last."""
    topics: dict[str, list[CheckView]] = {}
    for check in checks:
        topics.setdefault(check.topic, []).append(check)
    return tuple(
        (topic_name(topic, say), tuple(sorted(members, key=lambda c: (_STATES.index(c.outcome), _minus_rank(c)))))
        for topic, members in topics.items()
    )


def evidence_view(evidence: Evidence, anchor: str, say: Phrases) -> EvidenceView:
    """An observation as it is shown."""
    lines = [line for got in evidence.got for line in line_words(got, say).splitlines() or [""]]
    return EvidenceView(
        anchor=anchor,
        kind=say(f"evidence.{evidence.kind.value}"),
        asked=visible(shortened(evidence.asked)),
        lines=tuple(visible(shortened(line.replace("\t", " "), _LINE_LENGTH)) for line in lines[:_LINES_SHOWN]),
        more=max(0, len(lines) - _LINES_SHOWN),
        at=say("label.seen", at=moment(evidence.at)) if evidence.at else "",
        ttl=say("label.ttl", span=duration(evidence.ttl, say)) if evidence.ttl is not None else "",
    )


def requirement_sources(receiver: Receiver, rules: Iterable[str], speaker: Speaker) -> tuple[SourceView, ...]:
    """Where a receiver's statements about these rules were read, each source once."""
    statements = (each for rule in rules for each in speaker.rules.statements(receiver, rule))
    refs = dict.fromkeys(SourceRef(ref.ref) for each in statements for ref in each.sources)
    return tuple(_source(ref, speaker) for ref in refs)


def source_line(source: SourceView, say: Phrases) -> str:
    """A source without its link: title, section, when it was last read."""
    parts = [source.title]
    if source.section:
        parts.append(say("label.section", section=source.section))
    if source.checked:
        parts.append(source.checked)
    return say("site_separator").join(parts)


def _effect_lines(effects: Iterable[EffectView], say: Phrases) -> tuple[str, ...]:
    """A line for each effect, with the receivers it is true for."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in effects:
        codes = say("punctuation.aside", text=" / ".join(each.codes)) if each.codes else ""
        groups.setdefault((each.words, each.only), []).append(each.receiver + codes)
    return tuple(
        say("punctuation.list").join(names)
        + say("punctuation.colon")
        + words
        + (say("punctuation.aside", text=only) if only else "")
        for (words, only), names in groups.items()
    )


def _beside(message: str, headline: str) -> str:
    """What was found, without a first sentence that says the same as the headline."""
    rest = message.removeprefix(headline)
    return rest[1:].lstrip() if rest[:1] in (".", "。") and rest != message else message


def _names(sentence: str, item: str) -> bool:
    """Whether the sentence itself tells which item it is about (positions such as 1.2 aside)."""
    return all(part in sentence for part in item.split("/") if not re.fullmatch(r"[\d.]*", part))


def _waiver(waiver: Waiver, say: Phrases) -> str:
    """Why the user accepts a finding, until when, and their remark."""
    reason = say(f"waiver.reason.{waiver.reason}")
    until = say("waiver.until", reason=reason, date=waiver.until) if waiver.until else say("waiver.open", reason=reason)
    return f"{until} {visible(shortened(waiver.note))}".rstrip()


def _instance(view: FindingView, seen: Mapping[str, EvidenceView], speaker: Speaker) -> InstanceView:
    finding, rule = view.finding, view.rule
    observed = []
    for path, value in finding.observed.items():
        spec = speaker.catalogue.get(f"{rule.each}[].{path[5:]}" if path.startswith("item.") else path)
        if not (spec and spec.type == "tree"):
            observed.append((visible(path), format_value(value, spec, speaker.say)))
    return InstanceView(
        item=visible(shortened(finding.item)),
        message=view.words.message,
        observed=tuple(observed),
        evidence=tuple(seen[ident] for ident in finding.evidence if ident in seen),
    )


def _effects(findings: Iterable[Finding], speaker: Speaker) -> tuple[EffectView, ...]:
    """The worst effect per receiver; receivers that only take note are left out."""
    say = speaker.say
    worst: dict[str, tuple[int, EffectView]] = {}
    for finding in findings:
        for judgement in finding.judgements:
            effect = judgement.effect
            if judgement.outcome is not Outcome.UNMET or effect is Effect.NOTE:
                continue
            rank = effect.rank * 2 + (not judgement.contested)
            if (known := worst.get(judgement.receiver)) is None or rank > known[0]:
                only = "" if judgement.volume is VolumeClass.ANY else say(f"label.only-{judgement.volume.value}")
                worst[judgement.receiver] = (
                    rank,
                    EffectView(
                        receiver_name(judgement.receiver, speaker),
                        effect.value,
                        effect_words([(effect, judgement.contested)], say),
                        tuple(visible(code) for code in judgement.codes),
                        only,
                    ),
                )
    ordered = sorted(worst.values(), key=lambda each: (bool(each[1].only), -each[0]))
    return tuple(each for _, each in ordered)


def _receiver_notes(findings: Sequence[Finding], speaker: Speaker, *, contested: bool = False) -> tuple[str, ...]:
    """What the receivers say about the rule, where their statement carries a note; or only what is `contested`."""
    notes: dict[str, None] = {}
    for finding in findings:
        for judgement in finding.judgements:
            statement = statement_of(judgement, finding.rule, speaker)
            if judgement.outcome is not Outcome.UNMET or statement is None or (contested and not statement.contested):
                continue
            if combines(judgement.receiver, speaker) and len(finding.judgements) > 1:
                continue  # It has no words of its own, and those it speaks for are here.
            if note := statement.note.get(speaker.lang, ""):
                name = receiver_name(judgement.receiver, speaker)
                notes[f"{name}{speaker.say('punctuation.colon')}{visible(note)}"] = None
    return tuple(notes)


def _contested(findings: Sequence[Finding], rule: Rule) -> bool:
    """Whether sources contradict each other: those of the rule, or of a receiver that is judged here."""
    return rule.contested or any(judgement.contested for finding in findings for judgement in finding.judgements)


def _statements(rule: Rule, report: Report, speaker: Speaker) -> Iterable[Statement]:
    for verdict in report.verdicts:
        if (receiver := speaker.rules.receivers.get(verdict.receiver)) is not None:
            yield from speaker.rules.statements(receiver, rule.id)


def _sources(rule: Rule, report: Report, speaker: Speaker) -> tuple[SourceView, ...]:
    """The rule's own sources, then those of the receivers in the report; the sections of one source together."""
    refs = [*rule.sources, *(ref for each in _statements(rule, report, speaker) for ref in each.sources)]
    sections: dict[str, dict[str, None]] = {}
    for ref in refs:
        sections.setdefault(ref.ref, {}).update({ref.section: None} if ref.section else {})
    return tuple(_source(SourceRef(key, ", ".join(named)), speaker) for key, named in sections.items())


def _service_sources(findings: Iterable[Finding], report: Report, speaker: Speaker) -> tuple[SourceView, ...]:
    """Where the steps in the words of a sending service come from, under its name."""
    say = speaker.say
    concerned = [service for each in findings for service in services_of(each, speaker.rules, report.facts, say)]
    return tuple(
        dict.fromkeys(
            SourceView(service.name[say.lang], "", source.url, "", read_words(source, say))
            for service in concerned
            for source in service.sources
        )
    )


def _source(ref: SourceRef, speaker: Speaker) -> SourceView:
    source = speaker.rules.sources.get(ref.ref)
    if source is None:
        return SourceView(visible(ref.ref), visible(ref.section), "", "", "")
    url = source.url if source.url.startswith(("https://", "http://")) else ""
    return SourceView(
        visible(source.title), visible(ref.section), url, visible(source.publisher), read_words(source, speaker.say)
    )


def _minus_rank(check: CheckView) -> int:
    return -Severity(check.severity).rank if check.outcome == "unmet" else 0
