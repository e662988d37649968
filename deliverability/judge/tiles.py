"""The records of the domain, one tile a kind: what stands there, and whether something is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from deliverability.judge.conditions import paths_of
from deliverability.model.answer import FindingId, PlanStep, Tile, TileState, TileTopic
from deliverability.model.facts import FactSet, Reason, Unknown, Value, records_of, text_of
from deliverability.model.report import Finding, Outcome, Report
from deliverability.model.rules import Rule, RuleSet, Scope, Severity


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


def tiles(report: Report, rules: RuleSet, plan: Sequence[PlanStep]) -> tuple[Tile, ...]:
    """The tiles of a domain, in their order."""
    settled = {each: step.number for step in reversed(plan) for each in step.findings}
    return tuple(_tiles(report, rules, settled))


def _tiles(report: Report, rules: RuleSet, settled: Mapping[FindingId, int]) -> Iterator[Tile]:
    colouring = [each for each in report.findings if _colours(each, rules)]
    for topic, kind in _KINDS.items():
        published = _published(report.facts.at(kind.decides))
        if isinstance(published, Unknown) and published.reason is Reason.NOT_FOUND and report.assessment.parked:
            published = False  # a domain that sends nothing has no key that only its owner could name
        if published is not True and not kind.always:
            continue
        unmet = [each for each in colouring if _is_about_own(each, rules.rules[each.rule], kind, report.facts)]
        unmet.sort(key=lambda each: -each.severity.rank)
        findings = tuple(FindingId(each.rule, each.item) for each in unmet)
        yield Tile(
            topic,
            _state(unmet, published),
            {path: report.facts.at(path) for path in (kind.decides, *kind.shows)},
            tuple(_services(topic, report.facts)),
            findings,
            min((settled[each] for each in findings if each in settled), default=None),
            published if isinstance(published, Unknown) else None,
            kind.inbound,
        )


def _published(value: Value) -> bool | Unknown:
    return value if isinstance(value, Unknown) else bool(value)


def _state(unmet: Sequence[Finding], published: bool | Unknown) -> TileState:
    worst = max((each.severity for each in unmet), key=lambda severity: severity.rank, default=Severity.NONE)
    if worst is Severity.ERROR:
        return TileState.BROKEN
    if worst is Severity.WARNING:
        return TileState.FLAWED
    if isinstance(published, Unknown):
        return TileState.UNKNOWN
    return TileState.FINE if published else TileState.NOTHING


def _colours(finding: Finding, rules: RuleSet) -> bool:
    """Whether it is an open finding that colours a tile."""
    return (
        finding.outcome is Outcome.UNMET
        and finding.waiver is None
        and finding.severity.rank >= Severity.WARNING.rank
        and (rule := rules.rules.get(finding.rule)) is not None
        and rule.scope is not Scope.DISPLAY
    )


def _is_about_own(finding: Finding, rule: Rule, kind: _Kind, facts: FactSet) -> bool:
    """Whether it is about this kind of record, in the domain's own zone."""
    if not _is_about(rule, kind):
        return False
    items = records_of(facts.at(rule.each)) if rule.each else ()
    name = finding.item.partition("/")[0]
    return not any(each.get("own") is False and each.get("domain") == name for each in items)


def _is_about(rule: Rule, kind: _Kind) -> bool:
    """Whether a rule judges such a record: by the list that it goes through, else by all that it asks for."""
    if rule.each is not None:
        return rule.each in kind.about
    return all(
        any(path == each or path.startswith(f"{each}.") for each in kind.about) for path in paths_of(rule.require)
    )


def _services(topic: TileTopic, facts: FactSet) -> Iterator[str]:
    """Ids of the services behind the records."""
    shown = {TileTopic.SPF: "authorised", TileTopic.DKIM: "has_key", TileTopic.MX: "receives"}.get(topic)
    for each in records_of(facts.value("senders.services")):
        if shown is not None and each.get(shown) is True:
            yield text_of(each.get("id"))
