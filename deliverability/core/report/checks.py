"""Findings as checks: those of one rule that share outcome and words together, with all that is said about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from deliverability.core.facts.base import Unknown, Waiver
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import (
    Effect,
    Receiver,
    Rule,
    RuleSet,
    Severity,
    Source,
    SourceRef,
    Statement,
    VolumeClass,
)
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.report.findings import (
    Exhibits,
    FindingView,
    combines,
    judged_words,
    receiver_name,
    receiver_short,
    statement_of,
    topic_name,
)
from deliverability.core.report.parts import EffectView, EvidenceView, InstanceView, SourceView
from deliverability.core.words.sentences import coded, format_value, full_day_words, shortened, visible
from deliverability.core.words.services import services_of
from deliverability.core.words.speaker import Speaker, cited, read_words, section_words

_STATES = ("unmet", "unknown", "waiting", "waived", "met", "not-applicable")


class CheckView:
    """All findings of one rule that share outcome and words. Each text is made when it is first asked for.

    `title` is the requirement. `headline` says what is wrong where it is unmet, since a requirement as the heading of a
    problem would read as if all were well; it only names what could not be checked. `clause` is the same within a
    sentence. `found` is what was found, beside what the headline says; where it would not tell of what, or there are
    several, `shows_instances` asks for the findings to be listed. `effect_lines` has receivers with the same effect
    together. `notes` is what receivers say about the rule; `readings` those of them whose own pages contradict each
    other.
    """

    def __init__(
        self,
        name: str,
        topic_anchor: str,
        outcome: str,
        members: Sequence[FindingView],
        report: Report,
        speaker: Speaker,
        exhibits: Exhibits,
    ) -> None:
        self._name, self.topic_anchor, self.outcome = name, topic_anchor, outcome
        self._members, self._report, self._speaker, self._exhibits = members, report, speaker, exhibits
        self._rule, self._words = members[0].rule, members[0].words
        self.topic, self.guide = self._rule.topic, self._rule.guide

    @property
    def _say(self) -> Phrases:
        return self._speaker.say

    @property
    def _findings(self) -> list[Finding]:
        return [each.finding for each in self._members]

    @property
    def _worst(self) -> Severity:
        return max((each.finding.severity for each in self._members), key=lambda severity: severity.rank)

    @property
    def _only_known(self) -> bool:
        return self._rule.information and self._worst is Severity.INFO

    @property
    def severity(self) -> str:
        """The severity of the worst, for what is asked for; none of what is only good to know."""
        return (Severity.NONE if self._only_known else self._worst).value

    @property
    def anchor(self) -> str:
        """Where it would stand on a page by itself."""
        return _anchor(self._name)

    @property
    def to_do(self) -> bool:
        """It asks for something to be done."""
        return self.outcome == "unmet" and self.severity != "none"

    @property
    def rule(self) -> str:
        """The id of the rule."""
        return visible(self._rule.id)

    @property
    def outcome_label(self) -> str:
        """The outcome in a word."""
        return self._say(f"outcome.{self.outcome}")

    @property
    def severity_label(self) -> str:
        """The severity in a word."""
        return self._say("severity.information" if self._only_known else f"severity.{self._worst.value}")

    @property
    def title(self) -> str:
        """The requirement."""
        return self._words.title

    @property
    def headline(self) -> str:
        """What is wrong, or what it is about."""
        return self._words.title if self.outcome in ("met", "not-applicable") else self._words.heading

    @property
    def noun(self) -> str:
        """What it is about, by name."""
        return self._words.noun

    @property
    def place(self) -> str:
        """Where it is told on a page: by itself, or if it is met, with its topic; empty: nowhere by itself."""
        if self.outcome == "waiting":
            return ""
        return self.topic_anchor if self.outcome == "met" else self.anchor

    @property
    def unknown(self) -> Unknown | None:
        """Why it could not be checked."""
        return self._members[0].finding.unknown

    @property
    def rests_on(self) -> Iterable[str]:
        """The ids of the observations that it rests on."""
        return (ident for each in self._members for ident in each.finding.evidence)

    def asked(self, idents: Iterable[str]) -> tuple[str, ...]:
        """What was looked up in these observations, by name."""
        return self._exhibits.names(idents)

    @property
    def message(self) -> str:
        """What was found, of the first finding."""
        return self._words.message

    @property
    def shows_instances(self) -> bool:
        """Whether the findings are listed."""
        return len(self._members) != 1 or not _names(self.message, _item(self._members[0], self._speaker))

    @property
    def found(self) -> str:
        """What was found, beside what the headline says; empty where the findings are listed."""
        return "" if self.shows_instances else _beside(self.message, self.headline)

    @property
    def why(self) -> str:
        """What it means for delivery."""
        return self._words.why

    @property
    def fix(self) -> tuple[str, ...]:
        """What to do."""
        return self._words.fix

    @cached_property
    def instances(self) -> tuple[InstanceView, ...]:
        """The findings one by one."""
        return tuple(_instance(each, self._exhibits, self._speaker) for each in self._members)

    @property
    def evidence(self) -> tuple[EvidenceView, ...]:
        """The evidence of all instances, each piece once."""
        return tuple({each.anchor: each for instance in self.instances for each in instance.evidence}.values())

    @cached_property
    def effects(self) -> tuple[EffectView, ...]:
        """What receivers do about it."""
        return _effects(self._findings, self._speaker) if self.outcome == "unmet" else ()

    @property
    def effect_lines(self) -> tuple[str, ...]:
        """The same, receivers with the same effect together."""
        return _effect_lines(self.effects, self._say)

    @property
    def effort(self) -> str:
        """What mending costs."""
        return self._say(f"effort.{self._rule.effort.value}")

    @property
    def level(self) -> str:
        """Who says so."""
        return self._say(f"level.{self._rule.level.value}")

    @property
    def confidence(self) -> str:
        """How sure we are."""
        return self._say("label.confidence", word=self._say(f"confidence.{self._rule.confidence.value}"))

    @property
    def contested(self) -> bool:
        """Whether sources contradict each other."""
        return _contested(self._findings, self._rule)

    @property
    def contested_label(self) -> str:
        """The same in words, which lead to the readings where there are some."""
        return self._say("label.contested" if self.readings else "label.contested-alone")

    @property
    def sources(self) -> tuple[SourceView, ...]:
        """Where it comes from."""
        of_services = _service_sources(self._findings, self._report, self._speaker)
        return (*_sources(self._rule, self._report, self._speaker), *of_services)

    @property
    def notes(self) -> tuple[str, ...]:
        """What receivers say about it."""
        return _receiver_notes(self._findings, self._speaker) if self.outcome == "unmet" else ()

    @property
    def readings(self) -> tuple[str, ...]:
        """Those of the notes that are contested."""
        return _receiver_notes(self._findings, self._speaker, contested=True) if self.outcome == "unmet" else ()

    @property
    def waiver(self) -> str:
        """Why the user accepts it; empty where they do not."""
        waiver = self._members[0].finding.waiver
        return _waiver(waiver, self._say) if waiver else ""


def check_views(
    findings: Sequence[FindingView], report: Report, speaker: Speaker, exhibits: Exhibits, prefix: str
) -> tuple[CheckView, ...]:
    """Findings grouped by rule and outcome where their words agree, in the order of the report."""
    alike: dict[tuple[str, str, Waiver | None], list[FindingView]] = {}
    for each in findings:
        outcome = "waived" if each.finding.waiver is not None else each.state
        alike.setdefault((each.rule.id, outcome, each.finding.waiver), []).append(each)
    places = {id(each): place for place, each in enumerate(findings)}
    groups = [(outcome, members) for (_, outcome, _), every in alike.items() for members in _of_same_words(every)]
    anchors: dict[str, int] = {}
    topics: dict[str, str] = {}
    checks = []
    for outcome, members in sorted(groups, key=lambda group: places[id(group[1][0])]):
        ident = members[0].rule.id
        anchors[ident] = anchors.get(ident, 0) + 1
        suffix = "" if anchors[ident] == 1 else f"-{anchors[ident]}"
        topic = members[0].rule.topic
        if topic not in topics:
            topics[topic] = _anchor(f"{prefix}topic-{topic}")
        checks.append(CheckView(f"{prefix}{ident}{suffix}", topics[topic], outcome, members, report, speaker, exhibits))
    return tuple(checks)


def _anchor(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def _of_same_words(findings: Sequence[FindingView]) -> Iterable[Sequence[FindingView]]:
    """The findings of one rule and outcome, those together that read alike."""
    if len(findings) == 1:
        return (findings,)
    groups: dict[tuple[object, ...], list[FindingView]] = {}
    for each in findings:
        words = each.words
        # Steps are shown for what is unmet only; elsewhere a value in them need not keep findings apart.
        steps = (words.short, words.why, words.fix) if each.finding.outcome is Outcome.UNMET else ()
        groups.setdefault((words.title, words.noun, words.heading, steps), []).append(each)
    return groups.values()


def by_topic(checks: Iterable[CheckView], say: Phrases) -> tuple[tuple[str, tuple[CheckView, ...]], ...]:
    """Checks by topic; in each what needs action first, what does not apply last."""
    topics: dict[str, list[CheckView]] = {}
    for check in checks:
        topics.setdefault(check.topic, []).append(check)
    return tuple((topic_name(topic, say), tuple(sorted(members, key=_urgency))) for topic, members in topics.items())


def requirement_sources(receiver: Receiver, rules: Iterable[str], known: RuleSet) -> list[SourceRef]:
    """Where a receiver's statements about these rules were read, each source once, that of most of them first."""
    members = known.members(receiver)
    statements = (each for rule in rules for member in members for each in member.rules.get(rule, ()))
    refs = Counter(ref.ref for each in statements for ref in each.sources)
    return [SourceRef(ref) for ref, _ in refs.most_common()]


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
    day = full_day_words(waiver.until, say) if waiver.until else ""
    until = say("waiver.until", reason=reason, date=day) if day else say("waiver.open", reason=reason)
    return say("punctuation.gap").join(filter(None, (until, visible(shortened(waiver.note)))))


def _item(view: FindingView, speaker: Speaker) -> str:
    """What names its item, codes of a closed list in words."""
    each, parts = view.rule.each or "", view.finding.item.split("/")
    spec = speaker.catalogue.get(each)
    if spec is not None and len(parts) == len(spec.key):
        specs = [speaker.catalogue.get(f"{each}[].{key}") for key in spec.key]
        parts = [coded(part, of, speaker.say) or part for part, of in zip(parts, specs, strict=True)]
    return visible(shortened("/".join(parts)))


def _instance(view: FindingView, exhibits: Exhibits, speaker: Speaker) -> InstanceView:
    finding, rule = view.finding, view.rule
    observed = []
    for path, value in finding.observed.items():
        spec = speaker.catalogue.get(f"{rule.each}[].{path[5:]}" if path.startswith("item.") else path)
        if not (spec and spec.type == "tree"):
            observed.append((visible(path), format_value(value, spec, speaker.say)))
    return InstanceView(
        item=_item(view, speaker),
        message=view.words.message,
        observed=tuple(observed),
        evidence=exhibits.of(finding.evidence),
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
                        judged_words(judgement, say),
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
                notes[_of_receiver(judgement.receiver, visible(note), speaker)] = None
    return tuple(notes)


def _of_receiver(receiver: str, note: str, speaker: Speaker) -> str:
    """The note of a receiver with its name in front, unless it begins with that."""
    name = receiver_name(receiver, speaker)
    names = {name, receiver_short(receiver, speaker), _KIND_OF_MAIL.sub("", name)}
    begins = re.match(rf"(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])", note)
    return note if begins else f"{name}{speaker.say('punctuation.colon')}{note}"


_KIND_OF_MAIL = re.compile(r"(?: [Mm]ail|メール|（[^）]*）)$")


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
    return source_views(refs, speaker.rules, speaker.say)


def source_views(refs: Iterable[SourceRef], rules: RuleSet, say: Phrases) -> tuple[SourceView, ...]:
    """Sources; the sections of one together."""
    sections: dict[str, dict[str, None]] = {}
    for ref in refs:
        sections.setdefault(ref.ref, {}).update({ref.section: None} if ref.section else {})
    listed = {key: say("punctuation.list").join(named) for key, named in sections.items()}
    return tuple(_source(SourceRef(key, named), rules, say) for key, named in listed.items())


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


def _source(ref: SourceRef, rules: RuleSet, say: Phrases) -> SourceView:
    source = rules.sources.get(ref.ref)
    if source is None:
        return SourceView(visible(ref.ref), section_words(ref.section, say), "", "", "")
    return _known_source(source, ref.section, say.lang)


@lru_cache(maxsize=4096)
def _known_source(source: Source, section: str, lang: str) -> SourceView:
    """A page names the same few sources again and again."""
    say = phrases(lang)
    shown = cited(source, say)
    url = shown.url if shown.url.startswith(("https://", "http://")) else ""
    return SourceView(shown.title, section_words(section, say), url, visible(source.publisher), read_words(source, say))


def _urgency(check: CheckView) -> tuple[int, int]:
    unmet = check.outcome == "unmet"
    return _STATES.index(check.outcome), -Severity(check.severity).rank if unmet else 0
