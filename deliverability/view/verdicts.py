"""The verdicts of a report in words: what each receiver does, the grade, and what was assumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deliverability.model.facts import FactSet, records_of, text_of, texts_of
from deliverability.model.report import Case, Consequence, Outcome, Report, Requirements, Verdict, VerdictKind
from deliverability.model.rules import VolumeClass
from deliverability.view.findings import combines, effect_words, receiver_name
from deliverability.view.parts import CheckView, ReasonView, VerdictGroupView, VerdictView
from deliverability.words.details import detail_words
from deliverability.words.sentences import Phrases, shortened, visible
from deliverability.words.speaker import Speaker

_WORST_FIRST = sorted(VerdictKind, key=lambda kind: -kind.rank)


def lead(report: Report, checks: Sequence[CheckView], speaker: Speaker) -> str:
    """The answer in one sentence."""
    say = speaker.say
    found, domain = report.assessment, visible(report.domain)
    if found.parked:
        short = say("value.separator").join(_clauses(found.ways, checks))
        key = {True: "closed", False: "open", None: "unknown"}[found.closed]
        return say(f"answer.parked-{key}", domain=domain, short=short)
    if found.dns is not None:
        missing = dict.fromkeys(rule for each in report.verdicts for rule in each.missing)
        effects = dict.fromkeys(c.rule for each in report.verdicts for c in each.deciding)
        if effects and found.dns is not VerdictKind.CANNOT_TELL:
            reasons, joined = _clauses(effects, checks), "punctuation.clauses"
        else:
            reasons, joined = _not_found(report, effects or missing, checks, say), "value.separator"
        return say(f"answer.{found.dns.value}", domain=domain, short=say(joined).join(reasons[:2]))
    kinds = [verdict.verdict for verdict in report.verdicts if not combines(verdict.receiver, speaker)]
    if len(kinds) < 2:
        return ""
    if len(set(kinds)) == 1:
        return say(f"answer.{kinds[0].value}-all", all=str(len(kinds)))
    parts = [say.count(f"answer.{kind.value}-count", kinds.count(kind)) for kind in _WORST_FIRST if kind in kinds]
    return say("answer.lead", all=str(len(kinds)), parts=say("answer.separator").join(parts))


def verdict_view(verdict: Verdict, report: Report, checks: Sequence[CheckView], speaker: Speaker) -> VerdictView:
    """What a receiver does, and why."""
    say = speaker.say
    name = receiver_name(verdict.receiver, speaker)
    mail = say("label.this-mail") if report.message else say("label.mail-of", domain=visible(report.domain))
    receiver = speaker.rules.receivers.get(verdict.receiver)
    reasons = _reasons(verdict.deciding, checks)
    counted = verdict.requirements
    return VerdictView(
        receiver=name,
        kind=verdict.verdict.value,
        label=verdict_label(verdict, say),
        sentence=_sentence(verdict, report, name, mail, speaker),
        checked=_counted(counted, say),
        reasons=reasons,
        codes=tuple(dict.fromkeys(code for each in reasons if not each.unknown for code in each.codes)),
        unknown=len(verdict.open),
        remarks=_reasons(verdict.remarks, checks),
        about=visible(receiver.about.get(speaker.lang, "")) if receiver else "",
    )


def verdict_groups(verdicts: Iterable[VerdictView], say: Phrases) -> tuple[VerdictGroupView, ...]:
    """Verdicts that say the same for the same reasons together, in the order of the first of each."""
    groups: dict[object, list[VerdictView]] = {}
    for each in verdicts:
        key = (each.sentence.replace(each.receiver, ""), each.reasons, each.unknown)
        groups.setdefault(key, []).append(each)
    return tuple(
        VerdictGroupView(
            kind=alike[0].kind,
            sentence=alike[0].sentence.replace(
                alike[0].receiver, say("site_separator").join(each.receiver for each in alike)
            ),
            checked=alike[0].checked if len({each.checked for each in alike}) == 1 else "",
            reasons=alike[0].reasons,
        )
        for alike in groups.values()
    )


def grade_words(report: Report, say: Phrases) -> str:
    """The grade, and how many checks are open that could lower it."""
    found = report.assessment
    if not found.open:
        return say("verdict.grade", grade=found.grade)
    return say("verdict.grade-open", grade=found.grade, checks=say.count("label.open-checks", found.open))


def assumptions(report: Report, say: Phrases) -> tuple[str, ...]:
    """What the user did not say and the answer rests on, each with the option that says it."""
    assumed = []
    if "purpose" in report.assumed:
        signs = say("value.separator").join(say(f"assumed.sign.{sign}") for sign in texts_of(report.assumed["signs"]))
        assumed.append(say(f"assumed.{report.assumed['purpose']}", signs=signs))
    if "volume" in report.assumed and report.verdicts:
        given = isinstance(report.facts.value("subject.daily_volume"), int)
        assumed.append(say("assumed.bulk-or-not" if given else "assumed.volume"))
    return tuple(assumed)


def published_records(facts: FactSet) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The published records that mail of the domain is checked by: MX, SPF, DKIM keys, DMARC, as they stand in DNS."""
    domain = text_of(facts.value("subject.domain"))
    hosts = [f"{each.get('preference', '')} {each['host']}".strip() for each in records_of(facts.value("mx.hosts"))]
    keys = [each for each in records_of(facts.value("dkim.keys")) if text_of(each.get("record"))]
    record = text_of(facts.value("dmarc.record"))
    found = [
        (f"{domain} MX", hosts),
        (f"{domain} TXT", texts_of(facts.value("spf.records"))),
        *((f"{each['name']} TXT", [text_of(each.get("record"))]) for each in keys),
        (f"_dmarc.{text_of(facts.value('dmarc.location'))} TXT", [record] if record else []),
    ]
    return tuple((visible(name), tuple(visible(line) for line in lines)) for name, lines in found if lines)


def verdict_label(verdict: Verdict, say: Phrases) -> str:
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
        words = say("verdict.checked", n=str(checked), met=str(counted.met))
    else:
        words = say.count("verdict.checked-all", checked)
    return words + (say.count("verdict.checked-open", counted.open) if counted.open else "")


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


def _reasons(consequences: Iterable[Consequence], checks: Sequence[CheckView]) -> tuple[ReasonView, ...]:
    reasons: dict[str, ReasonView] = {}
    for each in consequences:
        item = visible(shortened(each.item))
        check = next((e for e in checks if e.rule == each.rule and any(i.item == item for i in e.instances)), None)
        if check is not None and each.rule not in reasons:
            codes = tuple(visible(code) for code in dict.fromkeys(each.codes))
            unknown = each.outcome is Outcome.UNKNOWN
            reasons[each.rule] = ReasonView(check.headline, check.rule, check.anchor, codes, unknown)
    return tuple(reasons.values())


def _clauses(rules: Iterable[str], checks: Sequence[CheckView]) -> list[str]:
    """What was found about the rules, in their order."""
    open_or_unmet = [each for each in checks if each.outcome in ("unmet", "unknown", "waiting")]
    found = {rule: next((e.clause for e in open_or_unmet if e.rule == rule), "") for rule in rules}
    return [clause for clause in found.values() if clause]


def _not_found(report: Report, rules: Iterable[str], checks: Sequence[CheckView], say: Phrases) -> list[str]:
    """What was looked for in vain, or could not be looked up, for each of the rules once; else its name."""
    details = {each.rule: each.unknown.detail for each in report.findings if each.unknown and each.unknown.detail}
    open_last = sorted(checks, key=lambda check: check.outcome in ("unknown", "waiting"))
    names = {check.rule: check.clause for check in open_last}
    found = (visible(detail_words(details[rule], say)) if rule in details else names[rule] for rule in rules)
    return list(dict.fromkeys(found))
