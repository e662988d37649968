"""A report in words and in reading order, so that text, Markdown and HTML only lay it out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deliverability.model.codes import Detail
from deliverability.model.dkim import keys_of
from deliverability.model.facts import (
    Evidence,
    FactSet,
    Reason,
    Value,
    Waiver,
    records_of,
    text_of,
    texts_of,
)
from deliverability.model.placeholders import placeholders
from deliverability.model.report import (
    Case,
    Consequence,
    Finding,
    Note,
    Outcome,
    Report,
    Requirements,
    Verdict,
    VerdictKind,
)
from deliverability.model.rules import Effect, Effort, Rule, Severity, SourceRef, Statement, VolumeClass
from deliverability.view.findings import effect_words, read_words, receiver_name, statement_of, topic_name
from deliverability.view.opinion import opinion_view
from deliverability.view.parts import (
    EffectView,
    Entry,
    EvidenceView,
    GuideStep,
    Instance,
    ReasonView,
    ReportView,
    SourceView,
    UncheckedView,
    VerdictView,
    WaitingView,
)
from deliverability.view.remedies import first_steps, gain_words, remedy_views
from deliverability.view.savings import savings
from deliverability.words.details import detail_words, line_words
from deliverability.words.sentences import (
    Phrases,
    Words,
    duration,
    format_value,
    limit_spec,
    sentences,
    shortened,
    visible,
)
from deliverability.words.services import services_of
from deliverability.words.speaker import Speaker

_EFFORTS = list(Effort)
_WORST_FIRST = sorted(VerdictKind, key=lambda kind: -kind.rank)
# What they say changes how the whole report is to be read; the other notes say how it was made.
_WARNINGS = ("domain-nonexistent", "author-domain-differs", "no-author-domain", "no-from", "with-proposals", "replayed")
_HEADLINE = {"en": 130, "ja": 80}
_COUNT_ONLY = re.compile(
    r": (?:\S{1,12}|[\d,]+ of [\d,]+)\.?$"
)  # "From fields in the message: 2." says too little as a heading
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])|(?<=。)")
_LINES_SHOWN = 40
_LINE_LENGTH = 2_000


def build(report: Report, speaker: Speaker, *, prefix: str = "") -> ReportView:
    """The view of one report. `prefix` keeps anchors apart where several reports share a page."""
    say = speaker.say
    evidence = {
        ident: _evidence(each, f"{prefix}e{number}", say)
        for number, (ident, each) in enumerate(sorted(report.facts.evidence.items()), 1)
    }
    entries = _entries(report, speaker, evidence, prefix)
    unmet = [entry for entry in entries if entry.outcome == "unmet" and entry.severity != "none"]
    order = {rule: index for index, rule in enumerate(speaker.rules.rules)}
    unmet.sort(key=lambda entry: _urgency(entry, speaker, order))
    by_outcome = {name: tuple(e for e in entries if e.outcome == name) for name in ("met", "unknown", "waiting")}
    remedies, later = remedy_views(report, entries, speaker, prefix)
    first = first_steps(unmet, remedies)
    taken = {step.entry.anchor for step in first}
    return ReportView(
        domain=visible(report.domain) or say("label.no-domain"),
        message=visible(shortened(report.message)),
        started=_moment(report.run.started),
        version=report.run.version,
        sources=tuple(_run_source(source, say) for source in report.run.sources),
        facts_digest=report.facts_digest[:12],
        rules_digest=report.rules_digest[:12],
        notes=_notes(report.notes, say),
        verdicts=tuple(_verdict(each, report, entries, speaker) for each in report.verdicts),
        todo=tuple(unmet),
        savings=savings(report.facts, say),
        unchecked=_unchecked(by_outcome["unknown"]),
        waiting=_waiting(report, entries, say),
        lead=_lead(report, entries, speaker),
        grade=_grade(report, say),
        assumed=_assumed(report, say),
        parked=report.assessment.parked,
        records=_records(report.facts) if report.facts.value("message.present") is False else (),
        warnings=_notes([note for note in report.notes if note.code in _WARNINGS], say),
        remarks=_notes([note for note in report.notes if note.code not in _WARNINGS], say),
        first=first,
        then=tuple(entry for entry in unmet if entry.anchor not in taken),
        information=tuple(e for e in entries if e.outcome == "unmet" and speaker.rules.rules[e.rule].information),
        remedies=remedies,
        later=later,
        met=by_outcome["met"],
        waived=tuple(entry for entry in entries if entry.outcome == "waived"),
        opinion=opinion_view(report.second_opinion, say) if report.second_opinion else None,
        topics=_topics(entries, say),
        guide=_guide(entries, speaker),
        evidence=tuple(
            evidence[ident]
            for ident in dict.fromkeys(i for f in report.findings for i in f.evidence)
            if ident in evidence
        ),
        counts={
            **{level: sum(entry.severity == level for entry in unmet) for level in ("error", "warning", "info")},
            "met": len(by_outcome["met"]),
            "unknown": len(by_outcome["unknown"]),
            "waiting": len(by_outcome["waiting"]),
        },
    )


def _records(facts: FactSet) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The published records that mail of the domain is checked by: MX, SPF, DKIM keys, DMARC, as they stand in DNS."""
    domain = text_of(facts.value("subject.domain"))
    hosts = [f"{each.get('preference', '')} {each['host']}".strip() for each in records_of(facts.value("mx.hosts"))]
    keys = [each for each in keys_of(facts.value("dkim.keys")) if each.record]
    record = text_of(facts.value("dmarc.record"))
    found = [
        (f"{domain} MX", hosts),
        (f"{domain} TXT", texts_of(facts.value("spf.records"))),
        *((f"{each.key_name} TXT", [each.record]) for each in keys),
        (f"_dmarc.{text_of(facts.value('dmarc.location'))} TXT", [record] if record else []),
    ]
    return tuple((visible(name), tuple(visible(line) for line in lines)) for name, lines in found if lines)


def source_line(source: SourceView, say: Phrases) -> str:
    """A source without its link: title, section, when it was last read."""
    parts = [source.title]
    if source.section:
        parts.append(say("label.section", section=source.section))
    if source.checked:
        parts.append(source.checked)
    return say("site_separator").join(parts)


def _entries(report: Report, speaker: Speaker, evidence: Mapping[str, EvidenceView], prefix: str) -> tuple[Entry, ...]:
    """Findings grouped by rule and outcome where their words agree, in the order of the report."""
    say = speaker.say
    groups: dict[tuple[str, str, Words, Waiver | None], list[tuple[Finding, Words]]] = {}
    for finding in report.findings:
        rule = speaker.rules.rules.get(finding.rule)
        if rule is None:
            continue
        words = sentences(finding, rule, speaker.lang, speaker.catalogue, report.facts)
        # Steps are shown for what is unmet only; elsewhere a value in them need not keep findings apart.
        unmet = finding.outcome is Outcome.UNMET
        same = Words(words.title, "", words.why if unmet else "", words.fix if unmet else ())
        groups.setdefault((finding.rule, _outcome(finding), same, finding.waiver), []).append((finding, words))
    anchors: dict[str, int] = {}
    entries = []
    for (ident, outcome, words, waiver), members in groups.items():
        anchors[ident] = anchors.get(ident, 0) + 1
        suffix = "" if anchors[ident] == 1 else f"-{anchors[ident]}"
        anchor = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{prefix}{ident}{suffix}")
        findings = [finding for finding, _ in members]
        rule = speaker.rules.rules[ident]
        severity = max((finding.severity for finding in findings), key=lambda s: s.rank)
        told_only = rule.information and severity is Severity.INFO
        instances = tuple(_instance(f, w, rule, evidence, speaker) for f, w in members)
        failed = outcome in ("unmet", "waived")
        told = _headline(instances, say) if failed else None
        headline, rest = told or (say("label.not-met", title=words.title) if failed else words.title, "")
        entries.append(
            Entry(
                anchor=anchor,
                rule=visible(ident),
                topic=rule.topic,
                outcome=outcome,
                outcome_label=say(f"outcome.{outcome}"),
                severity=Severity.NONE.value if told_only else severity.value,
                severity_label=say("severity.information" if told_only else f"severity.{severity.value}"),
                title=words.title,
                headline=headline,
                rest=rest,
                why=members[0][1].why,
                fix=words.fix,
                instances=instances,
                effects=_effects(findings, speaker) if outcome == "unmet" else (),
                limits=tuple((name, _limit(name, value, say)) for name, value in findings[0].limits.items()),
                effort=say(f"effort.{rule.effort.value}"),
                level=say(f"level.{rule.level.value}"),
                confidence=say("label.confidence", word=say(f"confidence.{rule.confidence.value}")),
                contested=_contested(findings, rule),
                sources=(*_sources(rule, report, speaker), *_service_sources(findings, report, speaker)),
                notes=_receiver_notes(findings, speaker) if outcome == "unmet" else (),
                readings=_receiver_notes(findings, speaker, contested=True) if outcome == "unmet" else (),
                shows_instances=told is None,
                gains=gain_words([gain for finding in findings for gain in finding.gains], speaker),
                gain=sum(gain.worth for finding in findings for gain in finding.gains),
                waiver=_waiver(waiver, say) if waiver else "",
                guide=rule.guide,
            )
        )
    return tuple(entries)


def _headline(instances: Sequence[Instance], say: Phrases) -> tuple[str, str] | None:
    """The first sentence of what was found, and the rest; None where there are several or the sentence is long."""
    if len(instances) != 1:
        return None
    found = instances[0]
    first = _SENTENCE_END.split(found.message, maxsplit=1)[0]
    headline = first if _names(first, found.item) else f"{found.item}: {first}"
    if len(headline) > _HEADLINE[say.lang] or _COUNT_ONLY.search(first):
        return None
    return headline.rstrip(".;。"), found.message[len(first) :].strip()


def _names(sentence: str, item: str) -> bool:
    """Whether the sentence itself tells which item it is about (positions such as 1.2 aside)."""
    return all(part in sentence for part in item.split("/") if not re.fullmatch(r"[\d.]*", part))


def _waiver(waiver: Waiver, say: Phrases) -> str:
    """Why the user accepts a finding, until when, and their remark."""
    reason = say(f"waiver.reason.{waiver.reason}")
    told = say("waiver.until", reason=reason, date=waiver.until) if waiver.until else say("waiver.open", reason=reason)
    return f"{told} {visible(shortened(waiver.note))}".rstrip()


def _outcome(finding: Finding) -> str:
    if finding.waiver is not None:
        return "waived"
    return "waiting" if finding.waits_for_input else finding.outcome.value


def _instance(
    finding: Finding, words: Words, rule: Rule, seen: Mapping[str, EvidenceView], speaker: Speaker
) -> Instance:
    observed = []
    for path, value in finding.observed.items():
        spec = speaker.catalogue.get(f"{rule.each}[].{path[5:]}" if path.startswith("item.") else path)
        if not (spec and spec.type == "tree"):
            observed.append((visible(path), format_value(value, spec, speaker.say)))
    return Instance(
        item=visible(shortened(finding.item)),
        message=words.message,
        observed=tuple(observed),
        evidence=tuple(seen[ident] for ident in finding.evidence if ident in seen),
    )


def _evidence(evidence: Evidence, anchor: str, say: Phrases) -> EvidenceView:
    lines = [line for got in evidence.got for line in line_words(got, say).splitlines() or [""]]
    return EvidenceView(
        anchor=anchor,
        kind=say(f"evidence.{evidence.kind.value}"),
        asked=visible(shortened(evidence.asked)),
        lines=tuple(visible(shortened(line.replace("\t", " "), _LINE_LENGTH)) for line in lines[:_LINES_SHOWN]),
        more=max(0, len(lines) - _LINES_SHOWN),
        at=say("label.seen", at=_moment(evidence.at)) if evidence.at else "",
        ttl=say("label.ttl", span=duration(evidence.ttl, say)) if evidence.ttl is not None else "",
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
            said = statement_of(judgement, finding.rule, speaker)
            if judgement.outcome is not Outcome.UNMET or said is None or not (said.contested or not contested):
                continue
            if _combines(judgement.receiver, speaker) and len(finding.judgements) > 1:
                continue  # It has no words of its own, and those it speaks for are here.
            if note := said.note.get(speaker.lang, ""):
                name = receiver_name(judgement.receiver, speaker)
                notes[f"{name}{speaker.say('punctuation.colon')}{visible(note)}"] = None
    return tuple(notes)


def _combines(ident: str, speaker: Speaker) -> bool:
    receiver = speaker.rules.receivers.get(ident)
    return receiver is not None and bool(receiver.combines)


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
    told = [
        service for each in findings for service in services_of(each, speaker.rules.rules[each.rule], report.facts, say)
    ]
    return tuple(
        dict.fromkeys(
            SourceView(service.name[say.lang], "", source.url, "", read_words(source, say))
            for service in told
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


def _limit(name: str, value: Value, say: Phrases) -> str:
    return format_value(value, limit_spec(name), say)


def _urgency(entry: Entry, speaker: Speaker, order: Mapping[str, int]) -> tuple[int, ...]:
    """What alone mends most first, then severity, what receivers do, how many do it, and what is quickly done."""
    certain = [Effect(each.effect).rank for each in entry.effects if not each.only]
    rule = speaker.rules.rules[entry.rule]
    return (
        -entry.gain,
        -Severity(entry.severity).rank,
        -max(certain, default=0),
        -len(certain),
        _EFFORTS.index(rule.effort),
        order[entry.rule],
    )


def _verdict(verdict: Verdict, report: Report, entries: Sequence[Entry], speaker: Speaker) -> VerdictView:
    say = speaker.say
    name = receiver_name(verdict.receiver, speaker)
    mail = say("label.this-mail") if report.message else say("label.mail-of", domain=visible(report.domain))
    receiver = speaker.rules.receivers.get(verdict.receiver)
    reasons = _reasons(verdict.deciding, entries)
    counted = verdict.requirements
    return VerdictView(
        receiver=name,
        kind=verdict.verdict.value,
        label=_label(verdict, say),
        sentence=_sentence(verdict, report, name, mail, speaker),
        checked=_counted(counted, say),
        reasons=reasons,
        codes=tuple(dict.fromkeys(code for each in reasons if not each.unknown for code in each.codes)),
        unknown=len(verdict.open),
        remarks=_reasons(verdict.remarks, entries),
        about=visible(receiver.about.get(speaker.lang, "")) if receiver else "",
    )


def _label(verdict: Verdict, say: Phrases) -> str:
    """The badge; what is at risk says which effect."""
    if verdict.verdict is VerdictKind.AT_RISK:
        return effect_words(((each.effect, each.contested) for each in verdict.effects), say)
    return say(f"verdict.{verdict.verdict.value}")


def _counted(counted: Requirements, say: Phrases) -> str:
    """How many of the receiver's requirements are met, of those that could be checked; and how many could not."""
    checked = counted.met + counted.unmet
    if not checked:
        return say.count("verdict.checked-none", counted.open) if counted.open else say("verdict.checked-nothing")
    if counted.unmet:
        told = say("verdict.checked", n=str(checked), met=str(counted.met))
    else:
        told = say.count("verdict.checked-all", checked)
    return told + (say.count("verdict.checked-open", counted.open) if counted.open else "")


def _sentence(verdict: Verdict, report: Report, name: str, mail: str, speaker: Speaker) -> str:
    say = speaker.say
    receiver = speaker.rules.receivers.get(verdict.receiver)
    number = receiver.bulk_from if receiver else None
    many = say("verdict.from-number", n=f"{number:,}") if number else say("verdict.from-bulk")
    small, bulk = verdict.if_small, verdict.if_bulk
    if small is None or bulk is None:
        effects = effect_words(((each.effect, each.contested) for each in verdict.effects), say)
        kind = "dns-not-ready-bulk" if _for_bulk_only(verdict, report) else verdict.verdict.value
        return say(f"verdict.{kind}-sentence", receiver=name, mail=mail, effects=effects, many=many)
    key = "verdict.depends-sentence" if number else "verdict.depends-bulk-sentence"
    return say(key, receiver=name, many=many, bulk=_case(bulk, say), small=_case(small, say))


def _for_bulk_only(verdict: Verdict, report: Report) -> bool:
    """Whether DNS stands in the way of bulk senders only, where neither volume nor purpose tell which this one is."""
    if verdict.verdict is not VerdictKind.DNS_NOT_READY:
        return False
    deciding = {(each.rule, each.item) for each in verdict.effects}
    return all(
        judgement.volume is VolumeClass.BULK
        for finding in report.findings
        if (finding.rule, finding.item) in deciding
        for judgement in finding.judgements
        if judgement.receiver == verdict.receiver and judgement.outcome is Outcome.UNMET and judgement.effect.hinders
    )


def _case(case: Case, say: Phrases) -> str:
    """What happens to senders of one volume, as part of a sentence."""
    if case.verdict is VerdictKind.AT_RISK:
        return effect_words(((each.effect, each.contested) for each in case.effects), say)
    return say(f"verdict.{case.verdict.value}")


def _reasons(consequences: Iterable[Consequence], entries: Sequence[Entry]) -> tuple[ReasonView, ...]:
    reasons: dict[str, ReasonView] = {}
    for each in consequences:
        item = visible(shortened(each.item))
        entry = next((e for e in entries if e.rule == each.rule and any(i.item == item for i in e.instances)), None)
        if entry is not None and each.rule not in reasons:
            codes = tuple(visible(code) for code in dict.fromkeys(each.codes))
            unknown = each.outcome is Outcome.UNKNOWN
            reasons[each.rule] = ReasonView(entry.headline, entry.rule, entry.anchor, codes, unknown)
    return tuple(reasons.values())


def _grade(report: Report, say: Phrases) -> str:
    found = report.assessment
    if not found.open:
        return say("verdict.grade", grade=found.grade)
    return say("verdict.grade-open", grade=found.grade, checks=say.count("label.open-checks", found.open))


def _assumed(report: Report, say: Phrases) -> tuple[str, ...]:
    """What the user did not say and the answer rests on, each with the option that says it."""
    told = []
    if "purpose" in report.assumed:
        signs = say("value.separator").join(say(f"assumed.sign.{sign}") for sign in texts_of(report.assumed["signs"]))
        told.append(say(f"assumed.{report.assumed['purpose']}", signs=signs))
    if "volume" in report.assumed and report.verdicts:
        given = isinstance(report.facts.value("subject.daily_volume"), int)
        told.append(say("assumed.bulk-or-not" if given else "assumed.volume"))
    return tuple(told)


def _lead(report: Report, entries: Sequence[Entry], speaker: Speaker) -> str:
    """The answer in one sentence."""
    say = speaker.say
    found, domain = report.assessment, visible(report.domain)
    if found.parked:
        short = say("value.separator").join(_reason_titles(found.ways, entries))
        key = {True: "closed", False: "open", None: "unknown"}[found.closed]
        return say(f"answer.parked-{key}", domain=domain, short=short)
    if found.dns is not None:
        missing = dict.fromkeys(rule for each in report.verdicts for rule in each.missing)
        effects = dict.fromkeys(c.rule for each in report.verdicts for c in each.deciding)
        if effects and found.dns is not VerdictKind.CANNOT_TELL:
            told, joined = _reason_titles(effects, entries), "punctuation.clauses"
        else:
            told, joined = _not_found(report, effects or missing, entries, say), "value.separator"
        return say(f"answer.{found.dns.value}", domain=domain, short=say(joined).join(told[:2]))
    kinds = [verdict.verdict for verdict in report.verdicts if not _combines(verdict.receiver, speaker)]
    if len(kinds) < 2:
        return ""
    if len(set(kinds)) == 1:
        return say(f"answer.{kinds[0].value}-all", all=str(len(kinds)))
    parts = [say.count(f"answer.{kind.value}-count", kinds.count(kind)) for kind in _WORST_FIRST if kind in kinds]
    return say("answer.lead", all=str(len(kinds)), parts=say("answer.separator").join(parts))


def _reason_titles(rules: Iterable[str], entries: Sequence[Entry]) -> list[str]:
    """What was found about the rules, in their order."""
    open_or_unmet = [each for each in entries if each.outcome in ("unmet", "unknown", "waiting")]
    found = {rule: next((e.headline for e in open_or_unmet if e.rule == rule), "") for rule in rules}
    return [title.rstrip(".。") for title in found.values() if title]


def _not_found(report: Report, rules: Iterable[str], entries: Sequence[Entry], say: Phrases) -> list[str]:
    """What was looked for in vain, or could not be looked up, for each of the rules once; else what the rule asks."""
    details = {each.rule: each.unknown.detail for each in report.findings if each.unknown and each.unknown.detail}
    titles = {entry.rule: entry.title for entry in entries}
    found = (visible(detail_words(details[rule], say)) if rule in details else titles[rule] for rule in rules)
    return list(dict.fromkeys(found))


def _unchecked(entries: Sequence[Entry]) -> tuple[UncheckedView, ...]:
    reasons: dict[str, dict[tuple[str, str, str], None]] = {}
    for entry in entries:
        for instance in entry.instances:
            title = f"{entry.title} ({instance.item})" if instance.item else entry.title
            reasons.setdefault(instance.message, {})[(title, entry.rule, entry.anchor)] = None
    return tuple(UncheckedView(reason, tuple(rules)) for reason, rules in reasons.items())


def _waiting(report: Report, entries: Sequence[Entry], say: Phrases) -> tuple[WaitingView, ...]:
    """The inputs that were not given, the one most checks wait for first."""
    titles: dict[str, dict[str, None]] = {}
    by_rule = {entry.rule: entry.title for entry in entries}
    for finding in report.findings:
        if finding.rule not in by_rule:
            continue
        if finding.unknown is not None and finding.waits_for_input:
            message = finding.unknown.reason is Reason.NO_MESSAGE
            words = say("waiting.no-message") if message else _input(finding.unknown.detail, say)
            titles.setdefault(words, {})[by_rule[finding.rule]] = None
    ordered = sorted(titles.items(), key=lambda each: -len(each[1]))
    return tuple(WaitingView(words, tuple(rules)) for words, rules in ordered)


def _input(detail: Detail | None, say: Phrases) -> str:
    """What to give, or what was tried in vain."""
    return visible(shortened(detail_words(detail, say))) if detail else say("waiting.other")


def _topics(entries: Sequence[Entry], say: Phrases) -> tuple[tuple[str, tuple[Entry, ...]], ...]:
    """Entries by topic; in each what needs action first, what does not apply last."""
    rank = ("unmet", "unknown", "waiting", "waived", "met", "not-applicable")
    topics: dict[str, list[Entry]] = {}
    for entry in entries:
        topics.setdefault(entry.topic, []).append(entry)
    return tuple(
        (topic_name(topic, say), tuple(sorted(members, key=lambda e: (rank.index(e.outcome), _minus_rank(e)))))
        for topic, members in topics.items()
    )


def _minus_rank(entry: Entry) -> int:
    return -Severity(entry.severity).rank if entry.outcome == "unmet" else 0


def _guide(entries: Sequence[Entry], speaker: Speaker) -> tuple[GuideStep, ...]:
    say = speaker.say
    steps = []
    for step in speaker.guide:
        key = str(step.get("key", ""))
        members = [e for e in entries if key in speaker.rules.rules[e.rule].guide]
        state = _guide_state(members, step.get("shown_by") or ())
        links = tuple((e.headline, e.anchor) for e in members if e.outcome == "unmet" and e.severity != "none")
        title, text = _in_language(step.get("step"), say.lang), _in_language(step.get("correction"), say.lang)
        steps.append(GuideStep(visible(key), visible(title), visible(text), state, say(f"guide.{state}"), links))
    return tuple(steps)


def _in_language(words: Any, lang: str) -> str:
    return str(words.get(lang, "")) if isinstance(words, Mapping) else ""


def _guide_state(members: Sequence[Entry], shown_by: Sequence[str]) -> str:
    """Where a step stands. It is done only where what it asks for was itself observed, by a rule of `shown_by`."""
    if not members:
        return "manual"
    # What is only good to know keeps no step waiting.
    outcomes = {e.outcome for e in members if (e.outcome, e.severity) not in (("waiting", "info"), ("waiting", "none"))}
    outcomes = outcomes or {"waiting"}
    if any(e.outcome == "unmet" and e.severity in ("error", "warning") for e in members):
        return "todo"
    if any(e.outcome == "unmet" and e.severity == "info" for e in members):
        return "partly"
    for outcome, state in (("unknown", "unknown"), ("waiting", "waiting"), ("waived", "partly"), ("met", "done")):
        if outcome in outcomes:
            seen = not shown_by or any(e.rule in shown_by and e.outcome == "met" for e in members)
            return state if state != "done" or seen else "manual"
    return "not-applicable"


def _notes(notes: Iterable[Note], say: Phrases) -> tuple[str, ...]:
    """Every note as a sentence; those on the envelope share one, in the place of the first."""
    told: dict[str, str] = {}
    envelope: list[str] = []
    for note in notes:
        key = f"envelope.{note.code.removeprefix('envelope-')}"
        if note.code.startswith("envelope-") and key in say:
            source = str(note.values.get("source"))
            origin = say(f"envelope-source.{source}") if f"envelope-source.{source}" in say else visible(source)
            envelope.append(say(key, value=format_value(note.values.get("value"), None, say), source=origin))
            told["envelope"] = say("note.envelope", parts=say("site_separator").join(envelope))
        else:
            told[f"{note.code}{len(told)}"] = _note(note, say)
    return tuple(told.values())


def _note(note: Note, say: Phrases) -> str:
    shown = {key: _moment(format_value(value, None, say)) for key, value in note.values.items()}
    pairs = say("site_separator").join(say("note.pair", name=visible(k), value=v) for k, v in shown.items())
    key = f"note.{note.code}"
    if key in say and placeholders(say.texts[key]) <= shown.keys():
        return say(key, **shown)
    return say("note.other", code=visible(note.code), values=pairs)


def _run_source(source: str, say: Phrases) -> str:
    return say(f"run-source.{source}") if f"run-source.{source}" in say else visible(source)


def _moment(text: str | None) -> str:
    """An ISO 8601 moment in UTC as people read it; anything else as it stands."""
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?(?:Z|\+00:00)", text or "")
    return f"{match[1]} {match[2]} UTC" if match else visible(text or "")
