"""The answer in words: the sentence over all, groups of receivers or tiles of records, the chain, what it rests on.

Everything is ready to be laid out. `tone` is good, bad, risk, unknown or none; a renderer has a mark for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Input
from deliverability.core.facts.base import Unknown, Value, records_of, text_of, texts_of
from deliverability.core.facts.content import UnsubscribeLink
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Alignment, Dmarc, DmarcReports, DmarcVerdict
from deliverability.core.facts.domain import Declared
from deliverability.core.facts.spf import Spf, SpfVerdict
from deliverability.core.model.answer import (
    FindingId,
    Reach,
    ReceiverEffect,
    ReceiverGroup,
    Tile,
    TileState,
    TileTopic,
)
from deliverability.core.model.claims import Lack
from deliverability.core.model.report import FINE, GateKind, Outcome, Report, VerdictKind
from deliverability.core.model.rules import Effect, Severity
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, detail_words, joined
from deliverability.core.report.findings import (
    FindingIndex,
    effect_words,
    either,
    only_temporary,
    receiver_short,
    unanswered,
    unreached,
    unreached_hint,
    was_asked,
)
from deliverability.core.report.traffic import hits_words
from deliverability.core.words.sentences import format_value, shortened, visible
from deliverability.core.words.speaker import Speaker, instead, judged

TONES = {
    VerdictKind.REJECTED: "bad",
    VerdictKind.AT_RISK: "risk",
    VerdictKind.DEPENDS: "risk",
    VerdictKind.CANNOT_TELL: "unknown",
    VerdictKind.ACCEPTED: "good",
    VerdictKind.DNS_NOT_READY: "bad",
    VerdictKind.DNS_PARTLY: "unknown",
    VerdictKind.DNS_READY: "good",
}
_TILE_TONES = {
    TileState.BROKEN: "bad",
    TileState.FLAWED: "risk",
    TileState.FINE: "good",
    TileState.NEUTRAL: "none",
    TileState.UNKNOWN: "unknown",
    TileState.NOTHING: "none",
}
WORST_FIRST = ("bad", "risk", "unknown", "good", "none")
_NAMED_LACKS = ("authenticated", "nothing-waived")
_CAUSES_SHOWN = 2
_MECHANISMS_SHOWN = 3
_RECEIVERS_NAMED = 4


class ReceiverView(Struct, frozen=True):
    """A receiver of a group: its id, and its name."""

    id: str
    name: str


class GroupView(Struct, frozen=True):
    """Receivers that do the same for the same reasons.

    Attributes:
        tone: see above.
        heading: what they do: "Refused".
        line: the same with who: "Refused by Gmail, Outlook.com".
        receivers: who.
        codes: the replies that the sender would see, the permanent ones first.
        because: what is wrong, or what would have to be known; empty where nothing decides, or the group above has the
            same cause.
        clause: the same as it follows what they do: "because ...".
        anchor: the finding that decides, on a page; empty: none.
        notes: what else there is to say, each a few words: the same cause, the numbers of messages, the count of
            requirements, lesser remarks.
        steps: numbers of the steps that settle it.
        step_words: "steps 1 and 2"; empty: none.
        same_cause: the cause is that of the group above.
        in_lead: the lead names the cause, which need not be repeated beside it.

    """

    tone: str
    heading: str
    line: str
    receivers: tuple[ReceiverView, ...]
    codes: tuple[str, ...]
    because: str
    clause: str
    anchor: str
    notes: tuple[str, ...]
    steps: tuple[int, ...]
    step_words: str
    same_cause: bool
    in_lead: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the receivers."""
        return tuple(each.name for each in self.receivers)


class TileView(Struct, frozen=True):
    """One kind of record of the domain.

    Attributes:
        topic: as in TileTopic.
        name: "SPF".
        tone: see above.
        state: the same in a word, for those who see no mark.
        value: what matters of it, in a few words.
        services: "sends: Microsoft 365", or empty.
        records: the records themselves, whole.
        problem: what is wrong, as a clause, or why there is no answer; empty: nothing.
        step: number of the step that settles it; None: no step does.
        step_words: "step 3"; empty: none.
        inbound: it is about mail that the domain receives, and is drawn in grey.

    """

    topic: str
    name: str
    tone: str
    state: str
    value: str
    services: str
    records: tuple[str, ...]
    problem: str
    step: int | None
    step_words: str
    inbound: bool


class LinkView(Struct, frozen=True):
    """One name of the chain: that SPF or DKIM was checked for, with the result and whether DMARC counts it.

    Attributes:
        name: "SPF", "DKIM".
        label: "SPF passes for".
        domain: the domain; empty: none.
        result: "pass", as the protocols say it.
        tone: good where it counts for DMARC, bad where it does not, unknown where that could not be told.
        verdict: why, in two or three words: "same owner", "other owner", "does not pass".

    """

    name: str
    label: str
    domain: str
    result: str
    tone: str
    verdict: str


class ChainView(Struct, frozen=True):
    """From the name that people see over SPF and DKIM to DMARC.

    Attributes:
        label: "People see".
        author: the domain of From.
        links: SPF, then the signatures.
        more: "and 3 more signatures", or empty.
        tone: of the conclusion.
        conclusion: "DMARC passes", "DMARC fails".
        result: "passes", "fails".
        policy: "p=none, no reports".
        text: the same as one sentence, for those who see no drawing.

    """

    label: str
    author: str
    links: tuple[LinkView, ...]
    more: str
    tone: str
    conclusion: str
    result: str
    policy: str
    text: str


class AnswerView(Struct, frozen=True):
    """The answer, from top to bottom.

    Attributes:
        domain: the domain, or that there is none.
        meta: file name or "DNS only", moment, where the answers came from.
        assumed: what the user did not say, each a sentence with its reason and the option that says otherwise.
        remarks: what changes how the whole is to be read.
        tone: of the whole, for the lead.
        lead: the answer in one sentence.
        hint: what to do where nothing was answered; else empty.
        groups: receivers, worst first; empty without a message, for a parked domain, and where nothing was answered.
        tiles: the records of the domain; shown where there are no groups.
        chain: who is who; None without a message.
        waits: what would show more, each a line with the option or command.
        unanswered: the questions without an answer in one line; empty: all were answered.
        reached: whether anything was answered; where not, and without a message, nothing else is shown.

    """

    domain: str
    meta: tuple[str, ...]
    assumed: tuple[str, ...]
    remarks: tuple[str, ...]
    tone: str
    lead: str
    hint: str
    groups: tuple[GroupView, ...]
    tiles: tuple[TileView, ...]
    chain: ChainView | None
    waits: tuple[str, ...]
    unanswered: str
    reached: bool


def answer_view(
    report: Report, findings: FindingIndex, speaker: Speaker, *, meta: tuple[str, ...] = (), remarks: Iterable[str] = ()
) -> AnswerView:
    """The answer of a report in words. `meta` and `remarks` are known to who asks."""
    say, answer, domain = speaker.say, report.answer, visible(report.domain)
    together = _together(answer.groups)
    groups = tuple(_group(each, report, findings, speaker) for each in together) if report.message else ()
    tiles = tuple(_tile(each, report, findings, speaker) for each in answer.tiles)
    tones = [each.tone for each in (groups or tiles)] or ["unknown" if answer.reach is Reach.NONE else "none"]
    tone, lead = _lead(report, findings, speaker, min(tones, key=WORST_FIRST.index))
    groups = tuple(replace(each, in_lead=bool(each.because) and each.because in lead) for each in groups)
    return AnswerView(
        domain=domain or say("label.no-domain"),
        meta=meta,
        assumed=tuple(_assumed(report, speaker)),
        remarks=tuple(remarks),
        tone=tone,
        lead=lead,
        hint=unreached_hint(answer, domain, say) if answer.reach is Reach.NONE else "",
        groups=groups,
        tiles=tiles,
        chain=_chain(report, say),
        waits=tuple(_waits(report, say)),
        unanswered=unanswered(answer, say) if answer.reach is Reach.PARTLY else "",
        reached=answer.reach is not Reach.NONE,
    )


def numbered_steps(numbers: Sequence[int], report: Report, say: Phrases) -> str:
    """Steps of the plan by their numbers; empty: there is none, or the report numbers them in its own way."""
    if not numbers or not report.answer.numbered:
        return ""
    number = "one" if len(numbers) == 1 else "other"
    return say(f"plan.step.{number}", steps=number_words(numbers, say))


def number_words(numbers: Sequence[int], say: Phrases) -> str:
    """Numbers in order, three or more in a row as a range: "1, 4 to 7 and 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    shown: list[str] = []
    for run in runs:
        if len(run) > 2:
            shown.append(say("punctuation.range", first=f"{run[0]:,}", last=f"{run[-1]:,}"))
        else:
            shown += [f"{number:,}" for number in run]
    return joined(shown, say)


def is_named(lacks: Sequence[Lack]) -> bool:
    """Whether what keeps a verdict open is known and has words of its own: "depends on the filter"."""
    return bool(lacks) and lacks[0].unknown is None and lacks[0].requirement in _NAMED_LACKS


def kind_words(kind: VerdictKind, effects: Iterable[ReceiverEffect], say: Phrases, lacks: Sequence[Lack] = ()) -> str:
    """What becomes of the mail; what is at risk says by which effect, what cannot be told by what is lacking."""
    if kind is VerdictKind.CANNOT_TELL and is_named(lacks):
        return say(f"verdict.lacks.{lacks[0].requirement}")
    stated = [(each.effect, each.contested) for each in effects]
    if stated and kind in (VerdictKind.AT_RISK, VerdictKind.DNS_NOT_READY):
        return effect_words(stated, say)
    return say(f"verdict.{kind.value}")


def group_tone(group: ReceiverGroup) -> str:
    """The tone of what becomes of the mail: where no message is at hand, only a certain refusal of all mail is bad."""
    if group.kind is VerdictKind.DNS_NOT_READY and (group.bulk_only or not _refuses(group.effects)):
        return TONES[VerdictKind.AT_RISK]
    return TONES[group.kind]


def in_sentence(words: str) -> str:
    """The words of a heading within a sentence; "DNS ready" stays as it is."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


# --- the sentence ---------------------------------------------------------------------------------------------------


def _lead(report: Report, findings: FindingIndex, speaker: Speaker, tone: str) -> tuple[str, str]:
    """The tone of the whole, and the answer in one sentence."""
    say, answer, found = speaker.say, report.answer, report.assessment
    domain = visible(report.domain)
    if answer.reach is Reach.NONE:
        # What nobody wanted to ask is no failure.
        reached_tone = "bad" if was_asked(answer) else "unknown"
        return reached_tone, unreached(answer, domain, say, message=bool(report.message))
    if answer.gate is not None and answer.gate.kind is GateKind.HITS:
        return "bad", hits_words(report.facts, domain, answer.gate.to, say)
    if found.parked:
        short = findings.shorts(FindingId(rule) for rule in found.ways[:1])
        key = {True: "closed", False: "open", None: "unknown"}[found.closed]
        parked_tone = {True: "good", False: "bad", None: "unknown"}[found.closed]
        return parked_tone, say(f"answer.parked-{key}", domain=domain, short=joined(short, say))
    if not report.message and report.facts.of(Spf).sends_nothing is True:
        return "bad", say("lead.sends-nothing", domain=domain)
    broken = any(tile.state is TileState.BROKEN and tile.findings for tile in answer.tiles)
    if broken and (not answer.groups or answer.groups[0].kind in FINE):
        return tone, _of_tiles(answer.tiles, findings, say, domain)
    if not report.message and "domain-ready" in answer.earned:
        return "good", say("answer.dns-ready", domain=domain)
    filtered = bool(report.selection.select or report.selection.ignore)
    if not answer.groups or (filtered and answer.groups[0].kind in FINE):
        # Of a filtered run only those receivers have a verdict that the filter leaves alone: not the answer for all.
        return _without_receivers(report, findings, speaker)
    if not report.message and answer.groups[0].kind is VerdictKind.DNS_READY:
        names = [receiver_short(ident, speaker) for each in answer.groups for ident in each.receivers]
        return "good", say("lead.ready-at", domain=domain, receivers=joined(names, say))
    worst = answer.groups[0]
    if not report.message and worst.kind is not VerdictKind.DNS_NOT_READY:
        return tone if broken else group_tone(worst), _of_dns(worst, answer.tiles, findings, speaker, domain)
    if worst.kind is VerdictKind.DNS_NOT_READY and worst.lacks:
        lacking = instead(worst.lacks, speaker)
        return group_tone(worst), say("answer.dns-not-ready", domain=domain, short=lacking)
    return group_tone(worst), _of_groups(answer.groups, report, findings, speaker)


def _of_tiles(tiles: Sequence[Tile], findings: FindingIndex, say: Phrases, domain: str) -> str:
    """What is broken."""
    broken = findings.shorts(finding for tile in tiles if tile.state is TileState.BROKEN for finding in tile.findings)
    return say("lead.dns-broken", domain=domain, short=say("punctuation.clauses").join(broken[:_CAUSES_SHOWN]))


def _without_receivers(report: Report, findings: FindingIndex, speaker: Speaker) -> tuple[str, str]:
    """Where no receiver has a verdict, for not all of its rules were judged: what is unmet of those that were."""
    say = speaker.say
    unmet = [each for each in report.findings if each.outcome is Outcome.UNMET and each.waiver is None]
    unmet = [each for each in unmet if each.severity.rank >= Severity.WARNING.rank]
    unmet.sort(key=lambda each: -each.severity.rank)
    names = judged(report.selection, speaker)
    if not unmet:
        key = "judged" if "judged-clean" in report.answer.earned else "judged-open"
        return "none", say(f"lead.{key}", judged=names)
    shorts = findings.shorts(FindingId(each.rule, each.item) for each in unmet)
    tone = "bad" if unmet[0].severity is Severity.ERROR else "risk"
    return tone, say("lead.judged-unmet", judged=names, short=say("punctuation.clauses").join(shorts[:_CAUSES_SHOWN]))


def _of_dns(worst: ReceiverGroup, tiles: Sequence[Tile], findings: FindingIndex, speaker: Speaker, domain: str) -> str:
    """Without a message, where DNS alone decides against it at nobody."""
    say = speaker.say
    if any(tile.state is TileState.BROKEN and tile.findings for tile in tiles):
        return _of_tiles(tiles, findings, say, domain)
    missing = findings.reasons(worst.deciding)[:_CAUSES_SHOWN] or [instead(worst.lacks, speaker)]
    key = "cannot-tell" if worst.kind is VerdictKind.CANNOT_TELL else "dns-partly"
    return say(f"answer.{key}", domain=domain, short=say("value.separator").join(missing))


def _of_groups(groups: Sequence[ReceiverGroup], report: Report, findings: FindingIndex, speaker: Speaker) -> str:
    """Who does the worst, and the one cause that comes first in the plan."""
    say, worst = speaker.say, groups[0]
    alike = [
        each
        for each in groups
        if each.kind is worst.kind
        and (each.deciding[:1] == worst.deciding[:1] or each.steps[:1] == worst.steps[:1] != ())
    ]
    if worst.bulk_only:
        # One verb is said of all who are named.
        alike = [each for each in alike if each.effects == worst.effects]
    elif worst.kind is VerdictKind.DEPENDS:
        # So is one condition.
        alike = [each for each in alike if _on_same_condition(each, worst)]
    elif worst.kind is VerdictKind.DNS_NOT_READY:
        # What is said of all mail, and what is said of a certain refusal, holds for nobody else.
        alike = [each for each in alike if not each.bulk_only]
        if _refuses(worst.effects):
            alike = [each for each in alike if _refuses(each.effects)]
    of_any = [each for each in alike if worst.bulk_only and not each.bulk_only]
    alike = [each for each in alike if each not in of_any]
    alone = all(each in alike or each.kind in FINE for each in groups)
    effects = [effect for each in alike for effect in each.effects]
    names = [receiver_short(ident, speaker) for each in alike for ident in each.receivers]
    mail = say("label.this-mail") if report.message else say("label.mail-of", domain=visible(report.domain))
    number = "one" if len(names) == 1 else "other"
    short = joined(findings.shorts(worst.deciding)[:1], say)
    more = any(_has_more_reasons(each, report) for each in alike)
    reason = say("lead.reasons" if more else "lead.reason", short=short)
    who = joined(names, say) if len(names) <= _RECEIVERS_NAMED else say.count("lead.receivers", len(names))
    words = {
        "receivers": who,
        "mail": mail,
        "because": say("lead.because-more" if more else "lead.because", short=short),
        "rejects": say(f"lead.{'defers-or-rejects' if all(map(defers, alike)) else 'rejects'}.{number}"),
    }
    bulk_mail = "" if report.message else say("label.bulk-mail-of", domain=visible(report.domain))
    match worst.kind:
        case VerdictKind.ACCEPTED:
            return say.count("lead.accepted", len(names)) if len(names) > 1 else say("lead.accepted-at", **words)
        case VerdictKind.CANNOT_TELL:
            if worst.lacks and worst.lacks[0].unknown is None:
                return say(f"lead.lacks.{number}", receivers=words["receivers"], reason=instead(worst.lacks, speaker))
            reason = joined(findings.reasons(worst.deciding)[:_CAUSES_SHOWN], say) or instead(worst.lacks, speaker)
            return say(f"lead.cannot-tell.{number}", receivers=words["receivers"], reason=reason)
        case VerdictKind.DEPENDS if worst.bulk is VerdictKind.CANNOT_TELL:
            words["reason"] = joined(findings.reasons(worst.deciding)[:_CAUSES_SHOWN], say) or instead(
                worst.lacks, speaker
            )
            return say(f"lead.depends-unknown.{number}", **words, amount=_amount(worst, say))
        case VerdictKind.DEPENDS:
            return _depends(worst, words, number, say, alone=alone, bulk_mail=bulk_mail)
    if worst.bulk_only:
        named = {speaker.rules.receivers[ident].bulk_from for each in alike for ident in each.receivers}
        worst = replace(worst, bulk_from=named.pop() if len(named) == 1 else None)
        words["others"] = joined([receiver_short(ident, speaker) for each in of_any for ident in each.receivers], say)
        sentence = _depends(worst, words, number, say, alone=alone, bulk_mail=bulk_mail)
        return sentence + _besides([each for each in groups if each not in (*alike, *of_any)], speaker)
    if worst.kind is VerdictKind.REJECTED or _refuses(effects):
        sentence = say(f"lead.refused.{number}", **words)
        if worst.kind is VerdictKind.REJECTED:
            return sentence
        return sentence + _besides([each for each in groups if each not in alike], speaker)
    clauses = _at_risk_clauses(alike, speaker)
    refusing = [
        receiver_short(ident, speaker)
        for each in groups
        if each.bulk is VerdictKind.REJECTED
        for ident in each.receivers
    ]
    if refusing:
        many = "one" if len(refusing) == 1 else "other"
        return say(
            f"lead.at-risk-or-refused.{many}",
            receivers=joined(refusing, say),
            mail=mail,
            reason=reason,
            clauses=clauses,
        )
    return say("lead.at-risk", mail=mail, reason=reason, clauses=clauses)


def _on_same_condition(one: ReceiverGroup, other: ReceiverGroup) -> bool:
    """Whether the same becomes of the mail at the same volume."""
    return (one.effects, one.small, one.bulk, one.bulk_from) == (
        other.effects,
        other.small,
        other.bulk,
        other.bulk_from,
    )


def _besides(groups: Sequence[ReceiverGroup], speaker: Speaker) -> str:
    """What those do whom no sentence named yet: to all mail, then to mail in bulk."""
    say = speaker.say
    stating = [each for each in groups if each.kind is VerdictKind.DNS_NOT_READY and each.effects]
    of_all, of_bulk = ([each for each in stating if each.bulk_only is bulk] for bulk in (False, True))
    every = ""
    if of_all:
        every += say("lead.besides", clauses=_at_risk_clauses(of_all, speaker, say("lead.all-mail")))
    if of_bulk:
        every += say("lead.besides-bulk", clauses=_at_risk_clauses(of_bulk, speaker, say("lead.bulk-mail")))
    return every


def _at_risk_clauses(groups: Sequence[ReceiverGroup], speaker: Speaker, mail: str = "") -> str:
    """Who does what, a clause for each thing that is done: "Gmail may refuse it and docomo shows a warning".

    `mail`: what the mail is called in each; empty: it was named before.
    """
    say = speaker.say
    who: dict[tuple[ReceiverEffect, ...], list[str]] = {}
    for each in groups:
        who.setdefault(each.effects, []).extend(receiver_short(ident, speaker) for ident in each.receivers)
    clauses = []
    for effects, names in who.items():
        named = joined(names, say) if len(names) <= _RECEIVERS_NAMED else say.count("lead.receivers", len(names))
        does = _does(effects, "one" if len(names) == 1 else "other", say, mail)
        clauses.append(say("lead.at-risk-clause", receivers=named, does=does))
    return joined(clauses, say, "lead.at-risk-separator")


def _depends(
    group: ReceiverGroup, words: Mapping[str, str], number: str, say: Phrases, *, alone: bool, bulk_mail: str
) -> str:
    """What is done from which number of messages on; `alone`: no other receiver has anything against the mail.

    `others` among the words: receivers that do the same to any mail.
    `bulk_mail`: what mail sent in bulk is called; empty: it is a message at hand.
    """
    refused = group.bulk is VerdictKind.REJECTED or (group.bulk is None and _refuses(group.effects))
    number_of = f"{group.bulk_from:,}" if group.bulk_from else ""
    many = say("verdict.from-number", n=number_of) if number_of else say("lead.in-bulk")
    fine = alone and (group.small is None or group.small in FINE)
    bulk = "" if number_of else bulk_mail
    key = "-bulk" if bulk else ""
    words = {**words, "mail": bulk or words["mail"], "many": many}
    if refused:
        sentence = say(f"lead.depends-refused{key}.{number}", **words)
    else:
        sentence = say(f"lead.depends{key}", **words, does=_does(group.effects, number, say, words["mail"]))
    if words.get("others"):
        return sentence + say("lead.below-any", receivers=words["others"])
    below = "below-other" if not fine else "below-fine" if group.bulk_from else "otherwise-fine"
    return sentence + say(f"lead.{below}")


def _amount(group: ReceiverGroup, say: Phrases) -> str:
    return say("lead.amount", n=f"{group.bulk_from:,}") if group.bulk_from else say("lead.amount-bulk")


def _does(effects: Iterable[ReceiverEffect], number: str, say: Phrases, mail: str = "") -> str:
    """What is done to the mail, as verbs; the first of them names it where `mail` is given."""
    keys, named = _effect_keys(effects), say("lead.named", mail=mail) if mail else say("lead.unnamed")
    every = [say(f"lead.does.{key}.{number}", it=say("lead.unnamed") if n else named) for n, key in enumerate(keys)]
    return either(every, say)


def _refuses(effects: Iterable[ReceiverEffect]) -> bool:
    return any(one.effect is Effect.REJECT and not one.contested for one in effects)


def defers(group: ReceiverGroup) -> bool:
    """Whether the mail is refused, as far as the replies are known, only for a time at first."""
    return group.kind is VerdictKind.REJECTED and only_temporary(group.codes)


def _effect_keys(effects: Iterable[ReceiverEffect]) -> tuple[str, ...]:
    """Names of effects, the worst first, each once."""
    worst_first = sorted(effects, key=lambda one: (-one.effect.rank, one.contested))
    return tuple(
        dict.fromkeys("may-reject" if one.effect is Effect.REJECT else one.effect.value for one in worst_first)
    )


# --- groups and tiles -----------------------------------------------------------------------------------------------


def _together(groups: Sequence[ReceiverGroup]) -> tuple[ReceiverGroup, ...]:
    """Groups that do the same, and that the same step settles, as one: its cause is one that all of them have.

    Where they have none in common it is that of the first.
    """
    found: dict[object, ReceiverGroup] = {}
    for each in groups:
        alone = each.kind is VerdictKind.DEPENDS or (not each.steps and each.deciding)
        key = each if alone else (each.kind, each.effects, each.steps, each.bulk_only)
        first = found.get(key)
        if first is None:
            found[key] = each
        else:
            found[key] = replace(
                first,
                receivers=first.receivers + each.receivers,
                deciding=_common_first(first, each),
                codes=tuple(dict.fromkeys(first.codes + each.codes)),
                checked=first.checked + each.checked,
                met=first.met + each.met,
                remarks=first.remarks + each.remarks,
            )
    return tuple(found.values())


def _has_more_reasons(group: ReceiverGroup, report: Report) -> bool:
    """Whether the first step leaves something that decides as well."""
    return len({each.rule for each in group.deciding}) > 1 and len(_deciding_steps(group, report)) > 1


def _deciding_steps(group: ReceiverGroup, report: Report) -> tuple[int, ...]:
    """The steps for what decides; where none of those is known, all that help."""
    deciding = set(group.deciding)
    plan = [each for each in report.answer.plan if each.number in group.steps]
    return tuple(each.number for each in plan if not deciding.isdisjoint(each.findings)) or group.steps


def _step_words(group: ReceiverGroup, report: Report, say: Phrases) -> str:
    """The steps for what decides, and apart from them those for what would be left then."""
    first = _deciding_steps(group, report)
    rest = tuple(each for each in group.steps if each not in first)
    words = numbered_steps(first, report, say)
    return say("group.further", steps=words, rest=numbered_steps(rest, report, say)) if rest else words


def _common_first(one: ReceiverGroup, other: ReceiverGroup) -> tuple[FindingId, ...]:
    """What decides in either, first what decides in both; of what is not known only that, if there is any."""
    common = tuple(each for each in one.deciding if each in other.deciding)
    if one.kind is VerdictKind.CANNOT_TELL:
        return common or one.deciding
    return tuple(dict.fromkeys((*common, *one.deciding, *other.deciding)))


def _with_those_before(number: int | None, report: Report) -> tuple[int, ...]:
    """A step, with those whose record it continues; of them only those that a verdict needs beside it, if one does."""
    step = next((each for each in report.answer.plan if each.number == number), None)
    if step is None:
        return ()
    needed = [steps for steps in (group.steps for group in report.answer.groups) if step.number in steps]
    before = [each for each in step.follows if not needed or any(each in steps for steps in needed)]
    return tuple(sorted((*before, step.number)))


def _group(group: ReceiverGroup, report: Report, findings: FindingIndex, speaker: Speaker) -> GroupView:
    say = speaker.say
    receivers = tuple(ReceiverView(ident, receiver_short(ident, speaker)) for ident in group.receivers)
    heading = kind_words(group.kind, group.effects, say, group.lacks)
    if defers(group):
        heading = say("verdict.deferred-or-rejected")
    names = joined([each.name for each in receivers], say)
    may_refuse = group.kind is VerdictKind.AT_RISK and {each.effect for each in group.effects} == {Effect.REJECT}
    line = "refused-line" if may_refuse or group.kind is VerdictKind.REJECTED else "line"
    unknown = VerdictKind.CANNOT_TELL in (group.kind, group.bulk)
    lacking = "" if group.kind is VerdictKind.DEPENDS else instead(group.lacks, speaker)
    wanted = unknown and not lacking
    causes = [lacking] if lacking else findings.wanted(group.deciding)[:_CAUSES_SHOWN]
    causes = causes if unknown or lacking else findings.shorts(group.deciding)[:1]
    because = "" if group.same_cause else say("punctuation.clauses").join(causes)
    joint = "wanted" if wanted else "because-more" if _has_more_reasons(group, report) and not lacking else "because"
    return GroupView(
        tone=group_tone(group),
        heading=heading,
        line=say(f"group.{line}", heading=heading, receivers=names),
        receivers=receivers,
        codes=tuple(map(visible, sorted(group.codes, key=lambda code: only_temporary([code])))),
        because=because,
        clause=because and say(f"text.{joint}", short=because),
        anchor=findings.anchor(group.deciding[0]) if group.deciding else "",
        notes=tuple(_group_notes(group, report, say)),
        steps=_deciding_steps(group, report),
        step_words=_step_words(group, report, say),
        same_cause=group.same_cause,
    )


def _group_notes(group: ReceiverGroup, report: Report, say: Phrases) -> Iterable[str]:
    if group.same_cause:
        yield say("group.same-cause")
    if group.small is not None and group.bulk is not None:
        many = say("verdict.from-number", n=f"{group.bulk_from:,}") if group.bulk_from else say("verdict.from-bulk")
        bulk, small = kind_words(group.bulk, group.effects, say), kind_words(group.small, (), say, group.lacks)
        given = isinstance(report.facts.of(Declared).daily_volume, int)
        option = say("option.purpose" if given else "option.daily-volume")
        yield say("group.depends", many=many, bulk=in_sentence(bulk), small=in_sentence(small), option=option)
    if group.kind in FINE:
        yield say.count("group.checked", group.checked)
        if group.remarks:
            yield say.count("verdict.remarks", group.remarks)


def _tile(tile: Tile, report: Report, findings: FindingIndex, speaker: Speaker) -> TileView:
    say = speaker.say
    if tile.state is TileState.UNKNOWN and tile.why is not None:
        problem = visible(shortened(detail_words(tile.why.detail, say))) if tile.why.detail else say("value.unknown")
    elif tile.lack is not None:
        problem = instead([tile.lack], speaker)
    else:
        problem = joined(findings.shorts(tile.findings)[:1], say)
    services = [_service_name(ident, speaker) for ident in tile.services]
    key = "sends" if tile.topic is TileTopic.SPF else "by"
    return TileView(
        topic=tile.topic.value,
        name=say(f"tile.{tile.topic.value}"),
        tone=_TILE_TONES[tile.state],
        state=say(f"tile.state.{tile.state.value}"),
        value=_tile_value(tile, report, say),
        services=say(f"tile.{key}", names=joined(services, say)) if services else "",
        records=_tile_records(tile),
        problem=problem,
        step=tile.step,
        step_words=numbered_steps(_with_those_before(tile.step, report), report, say),
        inbound=tile.inbound,
    )


def _service_name(ident: str, speaker: Speaker) -> str:
    service = speaker.rules.knowledge.services.get(ident)
    return visible(service.name[speaker.lang] if service else ident)


def _tile_records(tile: Tile) -> tuple[str, ...]:
    """The records of a tile as they stand in DNS."""
    found: list[str] = []
    for path, value in tile.facts.items():
        field = path.rpartition(".")[2]
        if field == "record":
            found += [text_of(value)]
        elif field == "records":
            found += texts_of(value)
    return tuple(visible(record) for record in dict.fromkeys(found) if record)


def _tile_value(tile: Tile, report: Report, say: Phrases) -> str:
    """What matters of it in a few words."""
    facts, topic = tile.facts, tile.topic
    parts: list[str] = []
    match topic:
        case TileTopic.SPF:
            used = facts.get("spf.lookups")
            if isinstance(used, int):
                limits = (finding.limits.get("max_lookups") for finding in report.findings)
                limit = next((each for each in limits if isinstance(each, int)), None)
                parts.append(say.count("tile.lookups", used, limit=f"{limit:,}") if limit else str(used))
            if qualifier := text_of(facts.get("spf.all")):
                parts.append(f"{visible(qualifier)}all" if len(qualifier) == 1 else visible(qualifier))
        case TileTopic.DKIM:
            parts += _dkim_parts(facts, say)
        case TileTopic.DMARC:
            if stage := text_of(facts.get("dmarc.stage")):
                parts.append(say(f"tile.stage.{stage}"))
            if facts.get("dmarc.rua") == () or ("dmarc.record" in facts and "rua" not in _text(facts["dmarc.record"])):
                parts.append(say("tile.no-reports"))
        case TileTopic.MX:
            if facts.get("mx.null") is True or facts.get("domain.null_mx") is True:
                parts.append(say("tile.null-mx"))
            elif not tile.services:
                hosts = [visible(text_of(each.get("host"))) for each in records_of(facts.get("mx.hosts"))]
                parts += hosts[:1]
                parts += [say("value.more", n=f"{len(hosts) - 1:,}").strip()] if len(hosts) > 1 else []
        case _:
            if tile.inbound:
                parts.append(say("tile.nothing-inbound" if tile.state is TileState.NOTHING else "tile.inbound"))
    if not parts and tile.state is TileState.NOTHING:
        parts.append(say("tile.nothing"))
    return say("value.separator").join(parts)


def _dkim_parts(facts: Mapping[str, Value], say: Phrases) -> list[str]:
    keys = [each for path in ("dkim.keys", "dkim.published") for each in records_of(facts.get(path))]
    names = [text_of(each.get("selector")) for each in keys if each.get("present") is not False]
    names = names or list(texts_of(facts.get("dkim.published")))
    bits = sorted({each["bits"] for each in keys if isinstance(each.get("bits"), int)}, key=str)
    parts = [visible(name) for name in dict.fromkeys(filter(None, names))]
    shown = parts[:_MECHANISMS_SHOWN]
    if len(parts) > len(shown):
        shown[-1] += say("value.more", n=f"{len(parts) - len(shown):,}")
    number = facts.get("dkim.published")
    if not shown and isinstance(number, int) and not isinstance(number, bool) and number:
        shown = [say.count("tile.keys", number)]
    if bits:
        shown.append(say("tile.bits", bits=say("value.separator").join(map(str, bits))))
    if facts.get("dkim.wildcard") is True:
        shown.append(say("tile.wildcard"))
    return shown


def _text(value: Value) -> str:
    return text_of(value)


# --- what the answer rests on ---------------------------------------------------------------------------------------


def _assumed(report: Report, speaker: Speaker) -> Iterable[str]:
    """For which kind of mail the verdicts hold, with the reason and the option, where the user did not say.

    A volume is never inferred: the groups tell of it.
    """
    say, answer = speaker.say, report.answer
    for each in answer.assumed:
        if each.input is Input.PURPOSE:
            signs = joined([say(f"assumed.sign.{sign}") for sign in each.because], say)
            yield say(f"assumed.{each.value}", domain=visible(report.domain), signs=signs)
    if answer.mail.as_bulk is None:
        return
    # A link of that kind stands in notices to one person as well: it is told, and decides nothing.
    found = if_known(report.facts.of(UnsubscribeLink).body_link_words) or ()
    told = say("assumed.unstated-link", word=visible(shortened(found[0]))) if found else say("assumed.unstated")
    worse = say("punctuation.clauses").join(_as_bulk(each, speaker) for each in answer.mail.as_bulk)
    as_bulk = say("assumed.unstated-worse", worse=worse) if worse else say("assumed.unstated-same")
    yield told + say("punctuation.gap") + as_bulk


def _as_bulk(group: ReceiverGroup, speaker: Speaker) -> str:
    """What the receivers of a group would do to a newsletter."""
    say, kind, many = speaker.say, group.kind, ""
    if group.bulk is not None:
        many = say("verdict.from-number", n=f"{group.bulk_from:,}") if group.bulk_from else say("verdict.from-bulk")
        kind = group.bulk
    names = joined([receiver_short(ident, speaker) for ident in group.receivers], say)
    does = in_sentence(kind_words(kind, group.effects, say, group.lacks))
    return say("assumed.as-bulk-from" if many else "assumed.as-bulk", receivers=names, does=does, many=many)


def _waits(report: Report, say: Phrases) -> Iterable[str]:
    """What would show more: a message first, with the command; the options in one line."""
    options = []
    for each in report.answer.waits:
        if each.input is None:
            if not report.message:
                yield say.count("waits.message", each.findings) + say("waits.command", domain=visible(report.domain))
        elif not each.input.stored and f"option.{each.input.value}" in say:
            option = say(f"option.{each.input.value}")
            options.append(say.count("waits.option", each.findings, option=option))
    if options:
        yield say("waits.more", options=say("value.separator").join(options))


# --- the chain ------------------------------------------------------------------------------------------------------


def _chain(report: Report, say: Phrases) -> ChainView | None:
    """Who the mail says it is from, and who vouches for that; None without a message or without such a name."""
    facts = report.facts
    author = if_known(facts.of(Alignment).author_domain) or ""
    if not report.message or not author or report.answer.reach is Reach.NONE:
        return None
    links = [_spf_link(report, say), *_dkim_links(report, say)]
    result = if_known(facts.of(DmarcVerdict).result) or ""
    key = result if result in ("pass", "fail", "none") else "unknown"
    tone = {"pass": "good", "fail": "bad", "none": "risk", "unknown": "unknown"}[key]
    shown = tuple(links[: 1 + _MECHANISMS_SHOWN])
    more = say.count("chain.more", len(links) - len(shown)) if len(links) > len(shown) else ""
    chain = ChainView(
        label=say("chain.author"),
        author=visible(author),
        links=shown,
        more=more,
        tone=tone,
        conclusion=say("chain.conclusion", result=say(f"chain.dmarc.{key}")),
        result=say(f"chain.dmarc.{key}"),
        policy=_policy(report, say),
        text="",
    )
    parts = [
        say("chain.part", name=each.label, domain=each.domain, verdict=each.verdict) if each.domain else each.label
        for each in shown
    ]
    text = say("chain.text", author=chain.author, parts=say("punctuation.clauses").join(parts), end=chain.conclusion)
    return replace(chain, text=text)


def _spf_link(report: Report, say: Phrases) -> LinkView:
    facts = report.facts
    domain = if_known(facts.of(Alignment).mail_from_domain) or if_known(facts.of(SpfVerdict).result_domain) or ""
    fits, author = _fits(facts.of(Alignment).spf), if_known(facts.of(Alignment).author_domain)
    return _link("spf", domain, facts.of(SpfVerdict).result, fits, say, same=domain == author)


def _dkim_links(report: Report, say: Phrases) -> list[LinkView]:
    """The signatures: those that count first, then those that pass; one a domain and result."""
    found: dict[tuple[str, str], LinkView] = {}
    for each in if_known(report.facts.of(Dkim).signatures) or ():
        aligned = each.aligned if isinstance(each.aligned, bool) else None
        author = if_known(report.facts.of(Alignment).author_domain)
        link = _link("dkim", each.domain or "", each.result, aligned, say, same=each.domain == author)
        found.setdefault((link.domain, link.result), link)
    order = {"good": 0, "unknown": 2}
    links = sorted(found.values(), key=lambda link: (order.get(link.tone, 1), link.result != "pass"))
    if not links and report.facts.of(Dkim).signature_count == 0:
        links = [LinkView("DKIM", say("chain.unsigned"), "", "", "bad", say("chain.unsigned-verdict"))]
    return links


def _fits(alignment: Value) -> bool | None:
    """Whether a domain belongs to the author domain; None where that could not be told."""
    return None if isinstance(alignment, Unknown) or alignment is None else alignment in ("strict", "relaxed")


def _link(kind: str, domain: str, result: Value, fits: bool | None, say: Phrases, *, same: bool) -> LinkView:
    outcome = text_of(result)
    passes = outcome == "pass"
    if not outcome or (passes and fits is None):
        tone, verdict = "unknown", "unknown"
    elif not passes:
        tone, verdict = "bad", "fails"
    else:
        tone, verdict = ("good", "strict" if same else "same") if fits else ("bad", "other")
    label = "passes" if passes else "result" if outcome else "open"
    name = kind.upper()
    return LinkView(
        name=name,
        label=say(f"chain.{label}", name=name, result=visible(outcome)),
        domain=visible(shortened(domain)),
        result=visible(outcome),
        tone=tone,
        verdict=say(f"chain.verdict.{verdict}"),
    )


def _policy(report: Report, say: Phrases) -> str:
    """The policy that applies, and whether it asks for reports."""
    facts = report.facts
    if facts.of(Dmarc).present is False:
        return say("tile.stage.absent")
    policy = if_known(facts.of(Dmarc).effective_policy) or if_known(facts.of(Dmarc).policy) or ""
    parts = [f"p={visible(policy)}"] if policy else []
    if facts.of(DmarcReports).rua == ():
        parts.append(say("tile.no-reports"))
    return say("value.separator").join(parts) if parts else format_value(facts.of(Dmarc).policy, None, say)
