"""The diagrams of a report as plain values."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import Unknown, Value
from deliverability.core.facts.content import Attachments, Html
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Alignment, Dmarc
from deliverability.core.facts.envelope import Envelope, Identities, SendingHosts
from deliverability.core.facts.message import Format, Weight
from deliverability.core.facts.spf import Spf, SpfIdentities, SpfStatus, SpfTree, SpfVerdict, StepOutcome
from deliverability.core.model.report import DMARC_STAGES, GateKind, Outcome, Report
from deliverability.core.model.rules import Severity
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases
from deliverability.core.report.findings import receiver_short, statement_of
from deliverability.core.report.traffic import hits_words, sums_of, sums_words, would_words
from deliverability.core.words.sentences import format_value, octets, visible, word_of
from deliverability.core.words.speaker import Speaker

_TREE_DEPTH = 12
_TREE_TERMS = 300
_FREE_SHOWN = 6
_ATTACHMENTS_SHOWN = 30
# Base64 in lines of 76 characters: 57 octets of a file become 78 as sent.
_ENCODED, _RAW = 78, 57
# DMARC looks at neither: another name is normal there where a service sends.
_ASIDE = frozenset({"helo", "ip", "ptr"})
_CELLS = 30
_CLIP = "clip_octets"
# Below this share of the next limit the bar shows the message alone, or its parts would be specks.
_NEAR = 0.4
# Percent of a limit from which on it has a meter; octets, and percent of a limit, from which on savings are told.
_METER, _HEAVY, _HEAVY_SHARE = 50, 100_000, 20


class IdentityRow(Struct, frozen=True):
    """One name the mail gives; `result_state` and `alignment_state` are good, bad, or empty for neither.

    `edge` is how it hangs on the author domain: ``root`` for that itself, ``firm`` where DMARC counts it, ``loose``
    where the name fits and nothing vouches for it, ``broken`` where it belongs to another, ``open`` where it could not
    be compared, ``aside`` where DMARC does not look at it.
    """

    label: str
    hint: str
    value: str
    result: str
    result_state: str
    alignment: str
    alignment_state: str
    edge: str = "aside"


class TermView(Struct, frozen=True):
    """A term that costs something, is in trouble, leads to a record of its own, or decided about this mail."""

    text: str
    cost: str
    problem: str
    branch: BranchView | None
    share: float = 0.0
    matched: bool = False


class BranchView(Struct, frozen=True):
    """One record of the SPF tree; `free` joins its terms that cost nothing."""

    domain: str
    record: str
    problem: str
    terms: tuple[TermView, ...]
    free: str
    cut: bool


class SpfView(Struct, frozen=True):
    """The tree of one domain with its gauge; `percent` of the limit is None where no rule sets one.

    `about` tells whether this mail was checked against it; empty without a message. `cells` are the look-ups one by
    one: used, over (beyond the limit) or free, and `more` do not fit into the picture.
    """

    domain: str
    about: str
    gauge: str
    void: str
    percent: int | None
    over: bool
    root: BranchView
    cells: tuple[str, ...] = ()
    more: int = 0


class StageView(Struct, frozen=True):
    """A rung of the DMARC ladder: past, here or ahead."""

    key: str
    label: str
    hint: str
    state: str


class DmarcView(Struct, frozen=True):
    """The ladder and the record; `gate`: whether the next rung is safe by what receivers report, what it would do."""

    stages: tuple[StageView, ...]
    record: str
    location: str
    gate: tuple[str, ...] = ()


class PartView(Struct, frozen=True):
    """A part of a bar; `percent` of the bar's whole length, with one decimal."""

    key: str
    label: str
    words: str
    octets: int
    percent: float


class LimitView(Struct, frozen=True):
    """A limit: whose, where it is on the bar (beyond its end where `percent` is above 100), and how much is used.

    Attributes:
        words: the limit.
        who: receivers, or that it is recommended for all.
        rule: the rule that sets it.
        percent: its place on the bar.
        used: percent of the limit that the message uses, in words.
        filled: the same as a length, 100 at most.
        room: what still fits, or what is too much, as files before encoding.
        over: the message is larger.

    """

    words: str
    who: str
    rule: str
    percent: float
    used: str
    filled: float
    room: str
    over: bool


class BarView(Struct, frozen=True):
    """A size made of parts, held against limits; `attachments` are rows of name, type, size as sent, as a file.

    `limits` are all of them, `marks` those of which at least half is used. `heavy`: it is worth thinking about what
    could be saved.
    """

    total: str
    parts: tuple[PartView, ...]
    marks: tuple[LimitView, ...]
    overhead: str = ""
    attachments: tuple[tuple[str, str, str, str], ...] = ()
    more: int = 0
    heavy: bool = False
    limits: tuple[LimitView, ...] = ()


class Diagrams(Struct, frozen=True):
    """All diagrams; None or empty where the facts for one are not there."""

    identity: tuple[IdentityRow, ...]
    spf: tuple[SpfView, ...]
    dmarc: DmarcView | None
    size: BarView | None
    html: BarView | None


def diagrams(report: Report, speaker: Speaker) -> Diagrams:
    """The diagrams that the facts of `report` allow."""
    say = speaker.say
    return Diagrams(
        _identity(report, say),
        tuple(_spf(report, say)),
        _dmarc(report, say),
        _size(report, speaker),
        _html(report, speaker),
    )


def _identity(report: Report, say: Phrases) -> tuple[IdentityRow, ...]:
    facts = report.facts
    alignment, envelope = facts.of(Alignment), facts.of(Envelope)
    author = word_of(alignment.author_domain)
    rows: list[IdentityRow] = []

    def add(key: str, value: str, result: Value = None, alignment: Value = None) -> None:
        if not value:
            return
        outcome = word_of(result)
        matches = alignment if isinstance(alignment, str) else ""
        named = "nameless" if key == "helo" and matches == "none" and "." not in value else matches
        rows.append(
            IdentityRow(
                label=say(f"identity.{key}"),
                hint=say(f"identity.{key}-hint"),
                value=value,
                result=outcome,
                result_state="good" if outcome.endswith("pass") else "bad" if outcome else "",
                alignment=say(f"identity.{named}") if f"identity.{named}" in say else "",
                alignment_state={"strict": "good", "relaxed": "good", "none": "" if key in _ASIDE else "bad"}.get(
                    matches, ""
                ),
                edge=_edge(key, matches, outcome),
            )
        )

    add("author", author, alignment="reference")
    spf = word_of(facts.of(SpfVerdict).result)
    mail_from = word_of(if_known(alignment.mail_from_domain) or if_known(envelope.mail_from_domain))
    add("mail-from", mail_from, f"SPF {spf}" if spf else None, alignment.spf)
    for signature in (if_known(facts.of(Dkim).signatures) or ())[:10]:
        domain, result, aligned = word_of(signature.domain), word_of(signature.result), signature.aligned
        same = "strict" if domain == author else "relaxed"
        add(
            "dkim",
            domain,
            f"DKIM {result}" if result else None,
            (same if aligned else "none") if isinstance(aligned, bool) and author else None,
        )
    add("helo", word_of(envelope.helo), alignment=alignment.helo)
    address = word_of(envelope.ip)
    add("ip", address)
    for host in if_known(facts.of(SendingHosts).ips) or ():
        if address and host.ip == facts.of(Envelope).ip:
            confirmed = host.confirmed
            result = say("identity.confirmed" if confirmed else "identity.unconfirmed")
            add("ptr", word_of(host.name), alignment=_aligned_ptr(report))
            if rows[-1].hint == say("identity.ptr-hint") and isinstance(confirmed, bool):
                rows[-1] = replace(rows[-1], result=result, result_state="good" if confirmed else "bad")
    return tuple(rows) if len(rows) > 1 else ()


def _edge(key: str, matches: str, outcome: str) -> str:
    if key in _ASIDE:
        return "aside"
    if not matches:
        return "open"
    if matches == "reference":
        return "root"
    if matches == "none":
        return "broken"
    return "firm" if outcome.endswith("pass") else "loose"


def _aligned_ptr(report: Report) -> Value:
    chain = if_known(report.facts.of(Identities).chain) or ()
    return next((each.aligned for each in chain if each.role == "ptr"), None)


def _cells(used: int, limit: int) -> tuple[str, ...]:
    """A cell for every look-up: those within the limit, those beyond it, those left."""
    over = max(0, used - limit)
    cells = ["used"] * min(used, limit) + ["free"] * max(0, limit - used) + ["over"] * over
    return tuple(cells[:_CELLS])


def _spf(report: Report, say: Phrases) -> Iterator[SpfView]:
    """The record that this mail was checked against, with the terms that matched; then that of the audited domain."""
    facts = report.facts
    identities = {word_of(each.domain): each for each in if_known(facts.of(SpfIdentities).identities) or ()}
    checked = next((domain for domain, each in identities.items() if each.used is True), "")
    trace = if_known(facts.of(SpfVerdict).trace)
    matched = frozenset(step.term for step in (trace.steps if trace else ()) if step.outcome is StepOutcome.MATCH)
    limits = (_number(finding.limits.get("max_lookups")) for finding in report.findings)
    limit = next(filter(None, limits), None)
    used_tree = if_known(facts.of(SpfIdentities).used_tree)
    if used_tree is not None and used_tree.terms:
        identity = identities.get(checked)
        voids = (identity.void_lookups_ip4, identity.void_lookups_ip6) if identity else ()
        costs = (if_known(identity.lookups) if identity else None, max((if_known(n) or 0 for n in voids), default=0))
        yield _spf_view(used_tree, checked, say("spf.used"), costs, limit, matched, say)
    tree = if_known(facts.of(Spf).tree)
    if tree is not None and tree.terms:
        domain = word_of(facts.of(Spf).domain) or word_of(tree.domain)
        mine = checked in ("", domain)
        about = say("spf.used" if mine else "spf.unused") if checked else ""
        costs = (if_known(facts.of(Spf).lookups), if_known(facts.of(Spf).void_lookups) or 0)
        yield _spf_view(tree, domain, about, costs, limit, matched if mine else frozenset(), say)


def _spf_view(
    tree: SpfTree,
    domain: str,
    about: str,
    costs: tuple[int | None, int],
    limit: int | None,
    matched: frozenset[str],
    say: Phrases,
) -> SpfView:
    """One tree with its gauge. `costs`: look-ups (None: as the tree counts them), and those that find nothing."""
    used, void = tree.lookups if costs[0] is None else costs[0], costs[1]
    gauge = (
        say("spf.gauge", used=f"{used:,}", limit=f"{limit:,}") if limit else say("spf.gauge-plain", used=f"{used:,}")
    )
    return SpfView(
        domain=domain,
        about=about,
        gauge=gauge,
        void=say.count("spf.void", void) if void else "",
        percent=min(100, round(100 * used / limit)) if limit else None,
        over=limit is not None and used > limit,
        root=_branch(tree, say, _Drawing(_TREE_TERMS, max(used, limit or 0, 1), matched), _TREE_DEPTH),
        cells=_cells(used, limit) if limit and limit <= _CELLS else (),
        more=max(0, used - _CELLS),
    )


class _Drawing:
    """A tree in the making: how many terms may still be shown, the look-ups that fill a bar, the terms that matched."""

    def __init__(self, left: int, scale: int, matched: frozenset[str]) -> None:
        self.left = left
        self.scale = scale
        self.matched = matched


def _branch(tree: SpfTree, say: Phrases, drawing: _Drawing, depth: int) -> BranchView:
    """One record and what is below it."""
    terms: list[TermView] = []
    free: list[str] = []
    cut = False
    for term in tree.terms:
        text = word_of(term.text)
        own, total, below = term.lookups, term.total_lookups, term.tree
        problem = _status(term.status, say)
        matched = term.text in drawing.matched
        if not (own or total or problem or below or matched):
            free.append(text)
            continue
        if drawing.left <= 0:
            cut = True
            break
        drawing.left -= 1
        branch = None
        if below and below.terms:
            branch = _branch(below, say, drawing, depth - 1) if depth > 1 else None
            cut = cut or depth <= 1
        cost = say("spf.free") if not total else say("spf.here") if total == own else say("spf.below", n=f"{total:,}")
        share = min(100.0, round(100 * total / drawing.scale, 1))
        terms.append(TermView(text, cost, problem, branch, share, matched))
    shown = " ".join(free[:_FREE_SHOWN])
    if len(free) > _FREE_SHOWN:
        shown += say("value.more", n=f"{len(free) - _FREE_SHOWN:,}")
    return BranchView(
        domain=word_of(tree.domain),
        record=word_of(tree.record),
        problem=_status(tree.status, say),
        terms=tuple(terms),
        free=shown,
        cut=cut,
    )


def _status(status: SpfStatus, say: Phrases) -> str:
    """What is wrong with a term or record, in words; empty where nothing is."""
    return "" if status is SpfStatus.OK else say(f"spf.status.{status.value}")


def _dmarc(report: Report, say: Phrases) -> DmarcView | None:
    dmarc = report.facts.of(Dmarc)
    stage = dmarc.stage
    if isinstance(stage, Unknown) or stage not in DMARC_STAGES:
        return None
    here = DMARC_STAGES.index(stage)
    stages = tuple(
        StageView(
            key,
            say(f"dmarc.{key}"),
            say(f"dmarc.{key}-hint"),
            "here" if index == here else "past" if index < here else "ahead",
        )
        for index, key in enumerate(DMARC_STAGES)
    )
    location = word_of(dmarc.location)
    return DmarcView(
        stages,
        word_of(dmarc.record),
        say("dmarc.record-at", location=location) if location else "",
        _gate(report, say),
    )


def _gate(report: Report, say: Phrases) -> tuple[str, ...]:
    answer = report.answer.gate
    sums = sums_of(report.facts)
    told = sums_words(sums, say) if sums is not None else ""
    if answer is None:
        return (told,) if told else ()
    if answer.kind is GateKind.HITS:
        return tuple(filter(None, (hits_words(report.facts, visible(report.domain), answer.to, say), told)))
    headline = say(f"gate.{answer.kind.value}", domain=visible(report.domain), policy=answer.to)
    return tuple(filter(None, (headline, told, would_words(report.facts, answer.to, say))))


def _size(report: Report, speaker: Speaker) -> BarView | None:
    say = speaker.say
    facts = report.facts
    weight = facts.of(Weight)
    total = if_known(weight.size_octets)
    if not total:
        return None
    limits = _size_limits(report, speaker)
    # A message far below a limit would be a speck: then the bar is the message alone, and the meters tell the rest.
    above = min((limit for limit in limits if limit >= total), default=total)
    scale = above if total >= _NEAR * above else total
    sizes = {
        "header": if_known(facts.of(Format).header_octets) or 0,
        "plain": if_known(weight.plain_octets) or 0,
        "html": if_known(weight.html_octets) or 0,
        "inline": if_known(weight.inline_octets) or 0,
    }
    sizes["attachments"] = max(0, (if_known(weight.attachment_octets) or 0) - sizes["inline"])
    sizes["other"] = max(0, total - sum(sizes.values()))
    parts = (_part(key, say(f"size.{key}"), min(size, total), scale, say) for key, size in sizes.items())
    overhead = if_known(weight.encoding_overhead_octets)
    items = if_known(facts.of(Attachments).attachments) or ()
    marks = [_limit(limit, who, rule, total, scale, say) for limit, (who, rule) in sorted(limits.items())]
    far = bool(marks) and all(mark.filled < _METER for mark in marks)
    return BarView(
        total=say("size.far" if far else "size.total", size=octets(total, say)),
        parts=tuple(part for part in parts if part.octets),
        limits=tuple(marks),
        marks=tuple(mark for mark in marks if mark.filled >= _METER),
        heavy=total >= _HEAVY or any(mark.filled >= _HEAVY_SHARE for mark in marks),
        overhead=say("size.overhead", size=octets(overhead, say)) if overhead else "",
        attachments=tuple(
            (
                word_of(each.filename) or "—",
                word_of(each.media_type),
                _size_words(each.encoded_octets, say),
                _size_words(each.decoded_octets, say),
            )
            for each in items[:_ATTACHMENTS_SHOWN]
        ),
        more=max(0, len(items) - _ATTACHMENTS_SHOWN),
    )


def _size_limits(report: Report, speaker: Speaker) -> dict[int, tuple[str, str]]:
    """Limit -> whose it is and the rule that sets it, from the rules that judged the size and the receivers' own."""
    say = speaker.say
    whose: dict[int, list[str]] = {}
    rules: dict[int, str] = {}

    def add(limit: Value, who: str, rule: str) -> None:
        number = _number(limit)
        if number:
            names = whose.setdefault(number, [])
            if who not in names:
                names.append(who)
            rules.setdefault(number, rule)

    for finding in report.findings:
        if "message.size_octets" not in finding.observed:
            continue
        rule = speaker.rules.rules.get(finding.rule)
        for name, value in finding.limits.items():
            if not name.endswith("_octets"):
                continue
            # A rule without a severity of its own is a single receiver's.
            if rule is None or rule.severity is not Severity.NONE:
                add(value, say("size.common"), finding.rule)
            for judgement in finding.judgements:
                receiver = speaker.rules.receivers.get(judgement.receiver)
                statement = statement_of(judgement, finding.rule, speaker)
                if receiver is not None and statement is not None:
                    add(statement.limits.get(name, value), receiver.name.get(speaker.lang, receiver.id), finding.rule)
    return {limit: (say("value.separator").join(names), rules[limit]) for limit, names in whose.items()}


def _limit(limit: int, who: str, rule: str, total: int, scale: int, say: Phrases) -> LimitView:
    room = abs(limit - total) * _RAW // _ENCODED
    share = 100 * total / limit
    return LimitView(
        words=octets(limit, say),
        who=who,
        rule=rule,
        percent=_percent(limit, scale),
        used=say("size.used", percent=f"{share:.1f}" if share < 10 else f"{share:,.0f}"),
        filled=min(100.0, round(share, 1)),
        room=say("size.over" if total > limit else "size.room", size=octets(room, say)),
        over=total > limit,
    )


def clip_octets(report: Report) -> tuple[int, str] | None:
    """After how many octets of HTML the rest is hidden, and the receiver that says so."""
    for finding in report.findings:
        limit = finding.limits.get(_CLIP)
        decided = finding.outcome in (Outcome.MET, Outcome.UNMET)
        if decided and "html.octets" in finding.observed and isinstance(limit, int) and finding.judgements:
            return limit, finding.judgements[0].receiver
    return None


def _html(report: Report, speaker: Speaker) -> BarView | None:
    say = speaker.say
    html = report.facts.of(Html)
    total = if_known(html.octets)
    if not total:
        return None
    sizes = {
        "text": if_known(html.text_octets) or 0,
        "markup": if_known(html.markup_octets) or 0,
        "inline_css": if_known(html.inline_css_octets) or 0,
        "style": if_known(html.style_octets) or 0,
        "data_uri": if_known(html.data_uri_octets) or 0,
        "comment": if_known(html.comment_octets) or 0,
        "script": if_known(html.script_octets) or 0,
    }
    scale = max(total, sum(sizes.values()))
    parts = (_part(key, say(f"html.{key}"), size, scale, say) for key, size in sizes.items())
    words = say("html.total", size=octets(total, say))
    if clip := clip_octets(report):
        words += say("html.clipped", limit=octets(clip[0], say), receiver=receiver_short(clip[1], speaker))
    return BarView(words, tuple(part for part in parts if part.octets), ())


def _part(key: str, label: str, size: int, scale: int, say: Phrases) -> PartView:
    return PartView(key, label, octets(size, say), size, _percent(size, scale))


def _percent(size: int, scale: int) -> float:
    return round(100 * size / scale, 1)


def _size_words(value: Value, say: Phrases) -> str:
    number = _number(value)
    return octets(number, say) if number is not None else format_value(value, None, say)


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
