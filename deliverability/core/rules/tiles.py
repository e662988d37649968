"""The records of the domain, one tile a kind: what stands there, and whether something is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from deliverability.core.cache import Same
from deliverability.core.facts.base import FactSet, Reason, Unknown, Value, records_of
from deliverability.core.facts.domain import Senders
from deliverability.core.model.answer import FindingId, PlanStep, Tile, TileState, TileTopic
from deliverability.core.model.claims import Lack
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import Rule, RuleSet, Scope, Severity
from deliverability.core.model.topic import if_known
from deliverability.core.rules.claims import claims_of, left_out
from deliverability.core.rules.conditions import paths_of


class _Kind(Struct, frozen=True):
    """What a tile is made of.

    Attributes:
        decides: the fact that tells whether something is published: true, or a list or text with something in it.
        shows: further facts.
        about: rules that read a fact below one of these colour the tile.
        always: it has its place also where nothing is published.
        inbound: it is about mail that the domain receives.

    """

    decides: str
    shows: tuple[str, ...]
    about: tuple[str, ...]
    always: bool = True
    inbound: bool = False


_KINDS: Mapping[TileTopic, _Kind] = {
    TileTopic.SPF: _Kind(
        "spf.present", ("spf.record", "spf.lookups", "spf.all", "spf.sends_nothing"), ("spf.identities", "spf")
    ),
    TileTopic.DKIM: _Kind("dkim.published", ("dkim.keys", "dkim.wildcard"), ("dkim.keys", "dkim.published")),
    TileTopic.DMARC: _Kind(
        "dmarc.present",
        ("dmarc.record", "dmarc.stage", "dmarc.policy", "dmarc.location", "dmarc.rua", "subject.domain"),
        ("dmarc",),
    ),
    TileTopic.MX: _Kind("domain.mx", ("mx.hosts", "domain.null_mx"), ("mx.hosts", "mx", "domain.null_mx", "domain.mx")),
    TileTopic.TLS_RPT: _Kind("tls_rpt.present", ("tls_rpt.record",), ("tls_rpt",), inbound=True),
    TileTopic.MTA_STS: _Kind("mta_sts.present", ("mta_sts.record", "mta_sts.mode"), ("mta_sts",), inbound=True),
    TileTopic.BIMI: _Kind("bimi.present", ("bimi.record",), ("bimi",), always=False),
    TileTopic.DANE: _Kind("dane.hosts", ("dane.hosts",), ("dane",), always=False, inbound=True),
    TileTopic.PTR: _Kind("identity.ips", ("identity.ips",), ("identity.ips",), always=False),
}


def tiles(
    report: Report, rules: RuleSet, plan: Sequence[PlanStep], elsewhere: Collection[str] = ()
) -> tuple[Tile, ...]:
    """The tiles of a domain, in their order; none of a kind of which no rule was judged."""
    settled = {each: step.number for step in reversed(plan) for each in step.findings}
    return tuple(_tiles(report, rules, settled, elsewhere))


def _tiles(
    report: Report, rules: RuleSet, settled: Mapping[FindingId, int], elsewhere: Collection[str]
) -> Iterator[Tile]:
    claims, facts, of_kind = claims_of(rules), report.facts, _colouring(Same(rules))
    outcomes = claims.outcomes(report.findings)
    counting = [each for each in report.findings if _counts(each, rules)]
    lists = {rules.rules[each.rule].each for each in counting}
    others = {path: _names_of_others(facts.value(path)) for path in lists if path is not None}
    for topic, kind in _KINDS.items():
        published = _published(facts.value(kind.decides))
        if isinstance(published, Unknown) and published.reason is Reason.NOT_FOUND and report.assessment.parked:
            published = False  # a domain that sends nothing has no key that only its owner could name
        if published is not True and not kind.always:
            continue
        colouring = of_kind[topic]
        missing = left_out(colouring, report.selection, elsewhere)
        if not report.selection.whole and len(missing) == len(colouring):
            continue
        about = [each for each in counting if each.rule in colouring and _is_own(each, rules.rules[each.rule], others)]
        unmet = [each for each in about if each.outcome is Outcome.UNMET and _is_severe(each)]
        unmet.sort(key=lambda each: -each.severity.rank)
        shown = [each for each in unmet if each.waiver is None]
        findings = tuple(FindingId(each.rule, each.item) for each in shown)
        grounds: dict[str, Value] = {
            "judged.left_out": missing,
            "judged.published": published,
            "judged.worst": max((each.severity for each in unmet), key=lambda one: one.rank, default=Severity.NONE),
            "judged.open": sum(each.unknown is not None and _is_open(each) for each in about),
            "judged.met": sum(each.outcome is Outcome.MET and bool(each.evidence) for each in about),
        }
        lack = claims.lack(f"tile-{topic.value}", grounds, facts, outcomes)
        state = _state(shown, published, lack)
        yield Tile(
            topic,
            state,
            {path: facts.value(path) for path in (kind.decides, *kind.shows)},
            tuple(_services(topic, facts)),
            findings,
            settled.get(findings[0]) if findings else None,
            published if isinstance(published, Unknown) else None,
            kind.inbound,
            lack if state is TileState.NEUTRAL else None,
        )


def _published(value: Value) -> bool | Unknown:
    return value if isinstance(value, Unknown) else bool(value)


def _state(unmet: Sequence[Finding], published: bool | Unknown, lack: Lack | None) -> TileState:
    """The worst that is unmet; else it is in order where nothing is lacking for that to be said."""
    worst = unmet[0].severity if unmet else Severity.NONE
    if worst is Severity.ERROR:
        return TileState.BROKEN
    if worst is Severity.WARNING:
        return TileState.FLAWED
    if isinstance(published, Unknown):
        return TileState.UNKNOWN
    if not published:
        return TileState.NOTHING
    return TileState.FINE if lack is None else TileState.NEUTRAL


def _counts(finding: Finding, rules: RuleSet) -> bool:
    """Whether it is about a tile, and not only about how things look."""
    rule = rules.rules.get(finding.rule)
    return finding.outcome is not Outcome.NOT_APPLICABLE and rule is not None and rule.scope is not Scope.DISPLAY


@lru_cache(maxsize=8)
def _colouring(rules: Same[RuleSet]) -> Mapping[TileTopic, Mapping[str, Rule]]:
    """The rules that colour each kind of tile, by id; worked out once for a rule set."""
    rules_ = {ident: each for ident, each in rules.it.rules.items() if each.scope is not Scope.DISPLAY}
    return {
        topic: {ident: each for ident, each in rules_.items() if _is_about(each, kind)}
        for topic, kind in _KINDS.items()
    }


def _is_severe(finding: Finding) -> bool:
    return finding.severity.rank >= Severity.WARNING.rank


def _is_open(finding: Finding) -> bool:
    """Whether a look-up failed, or found nothing, that might show something severe."""
    unknown = finding.unknown
    return _is_severe(finding) and unknown is not None and not unknown.reason.waits_for_input


def _names_of_others(items: Value) -> frozenset[str]:
    """The domains of a list that are not the domain's own."""
    names = (each.get("domain") for each in records_of(items) if each.get("own") is False)
    return frozenset(name for name in names if isinstance(name, str))


def _is_own(finding: Finding, rule: Rule, others: Mapping[str, frozenset[str]]) -> bool:
    """Whether it is about the domain's own zone."""
    return rule.each is None or finding.item.partition("/")[0] not in others[rule.each]


def _is_about(rule: Rule, kind: _Kind) -> bool:
    """Whether a rule judges such a record: by the list that it goes through, else by all that it asks for."""
    if rule.each is not None:
        return rule.each in kind.about
    return all(
        any(path == each or path.startswith(f"{each}.") for each in kind.about) for path in paths_of(rule.require)
    )


def _services(topic: TileTopic, facts: FactSet) -> Iterator[str]:
    """Ids of the services behind the records."""
    for each in if_known(facts.of(Senders).services) or ():
        shown = {TileTopic.SPF: each.authorised, TileTopic.DKIM: each.has_key, TileTopic.MX: each.receives}
        if shown.get(topic) is True:
            yield each.id
