"""What a weekly run tells of the reports of a domain: its sources, what became of them, and the gate.

Which source is a gap, or asked about, the findings say; nothing is judged here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.traffic import ReportPeriod, Source, Traffic, WhoReported
from deliverability.core.model.history import ChangeKind, Comparison, FindingChange
from deliverability.core.model.observed import Observed
from deliverability.core.model.report import TOPIC, Finding, Outcome, Report
from deliverability.core.model.rules import Rule, RuleSet
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.model.topic import if_known, path_of
from deliverability.core.report.traffic import sums_of
from deliverability.core.rules.gate import earliest, gate_of
from deliverability.weekly.values import GateWeek, SourceChange, SourceNote, TrafficDay, TrafficWeek

OTHER = "other"
"""Reporters that the catalogue does not have."""
SOURCES, DETAILS = path_of(Traffic, "sources"), path_of(Traffic, "details")
_SILENCE = path_of(ReportPeriod, "last_report_days")
_GAP, _CLAIM = "sign-source", "claim-source"  # tasks of rules/tasks.yaml
_BEGAN = (ChangeKind.NEW, ChangeKind.RATED)
_ENDED = (ChangeKind.MENDED, ChangeKind.GONE)


def traffic_of(
    report: Report, comparison: Comparison, before: FactSet, observed: Observed | None, rules: RuleSet
) -> TrafficWeek | None:
    """What the reports of a domain tell; None where none are read, or its own sources are not known.

    Args:
        report: of this run.
        comparison: with the run before.
        before: the facts of that.
        observed: the window.
        rules: say what a finding is about.

    """
    facts = report.facts
    period, sums = facts.of(ReportPeriod), sums_of(facts)
    reports = if_known(period.reports)
    if observed is None or reports is None or sums is None:
        return None
    known = _Sources(facts, rules)
    unmet = [each for each in report.findings if each.outcome is Outcome.UNMET and each.waiver is None]
    heard = isinstance(before.of(ReportPeriod).begin, str)
    silent = any(_SILENCE in each.observed for each in unmet)
    newest = max(observed.last_reports.values(), default=None)
    return TrafficWeek(
        begin=if_known(period.begin) or "",
        end=if_known(period.end) or "",
        reports=reports,
        classes=sums.classes,
        aligned=sums.aligned,
        uncounted=sums.uncounted,
        days=tuple(_days(facts)),
        gaps=tuple(known.note(each.item) for each in unmet if known.is_gap(each.rule)),
        asked=tuple(known.note(each.item) for each in unmet if known.is_asked(each.rule)),
        changes=tuple(known.changes(comparison.changes)) if heard else (),
        first=bool(comparison.previous) and not heard,
        silent_since=newest.isoformat() if silent and newest else None,
        silent=_silent(before, facts, observed, rules.knowledge.reporters),
        last_reports=_last_reports(observed.last_reports, rules.knowledge.reporters),
    )


def gate_week(
    report: Report, comparison: Comparison, before: FactSet, ruled: Iterable[Finding], rules: RuleSet
) -> GateWeek | None:
    """The gate of this run beside the one before; None where nothing is asked, or no rule of it was judged.

    `ruled`: what the facts `before` are judged to be by the rules of this run.
    """
    answer = gate_of(report.facts, report.findings, rules, report.selection)
    if answer is None or not is_gate_judged(report):
        return None
    was = gate_of(before, ruled, rules, report.selection) if comparison.previous else None
    day = earliest(answer, report.facts, rules, today=date.fromisoformat(report.run.started[:10]))
    return GateWeek(
        answer.to,
        answer.kind,
        was.kind if was is not None and was.to == answer.to else None,
        tuple(dict.fromkeys(each.rule for each in answer.missing)),
        day.isoformat() if day else None,
    )


def is_gate_judged(report: Report) -> bool:
    """Whether any rule of the gate was judged."""
    return any(each.topic == TOPIC for each in report.findings)


def reported_elsewhere(change: FindingChange, rules: RuleSet) -> bool:
    """Whether a change is no news as such: the answer of the gate stands for its conditions, and a source that is only
    good to know of is not mended by growing old.
    """
    rule = rules.rules.get(change.rule)
    if rule is None:
        return False
    return rule.topic == TOPIC or (rule.information and rule.each == SOURCES and change.kind in _ENDED)


class _Sources:
    """The sources of the window by key, and which rules are about what."""

    def __init__(self, facts: FactSet, rules: RuleSet) -> None:
        self._items = {each.key: each for each in if_known(facts.of(Traffic).sources) or ()}
        self._rules = rules.rules

    def note(self, key: str, change: SourceChange | None = None) -> SourceNote:
        """A source with its numbers; without them where nothing came from it."""
        item = self._items.get(key)
        return SourceNote(key, item.messages if item else 0, item.unaligned if item else 0, change)

    def is_gap(self, ident: str) -> bool:
        """Whether findings of this rule are about own sources that do not pass."""
        rule = self._about(ident)
        return rule is not None and rule.task == _GAP

    def is_asked(self, ident: str) -> bool:
        """Whether they are about sources of which only the user can say whose they are."""
        rule = self._about(ident)
        return rule is not None and rule.task == _CLAIM and not rule.information

    def is_new(self, ident: str) -> bool:
        """Whether they are about sources that are good to know of."""
        rule = self._about(ident)
        return rule is not None and rule.task == _CLAIM and rule.information

    def _about(self, ident: str) -> Rule | None:
        rule = self._rules.get(ident)
        return rule if rule is not None and rule.each == SOURCES else None

    def changes(self, changes: Iterable[FindingChange]) -> Iterator[SourceNote]:
        """What became of sources, each told once: a new one that does not pass is a gap."""
        news = [each for each in changes if not each.waived]
        began = [each for each in news if each.kind in _BEGAN]
        ended = [each for each in news if each.kind in _ENDED]
        found = (
            *((SourceChange.OPENED, each.item) for each in began if self.is_gap(each.rule)),
            *((SourceChange.ASKED, each.item) for each in began if self.is_asked(each.rule)),
            *((SourceChange.NEW, each.item) for each in began if self.is_new(each.rule)),
            *((self._ended(each.item), each.item) for each in ended if self.is_gap(each.rule)),
        )
        seen: set[str] = set()
        for change, key in found:
            if key not in seen:
                seen.add(key)
                yield self.note(key, change)

    def _ended(self, key: str) -> SourceChange:
        return SourceChange.CLOSED if key in self._items else SourceChange.GONE


def moved_sources(before: FactSet, now: FactSet) -> dict[str, str]:
    """Sources that go by another name now: as more or fewer addresses of their range send, or one got a reverse name.

    Key before -> key now. They share addresses, as far as the facts tell; one of the same standing is the likelier.
    """
    old, new = (
        {each.key: _Addresses.of(each) for each in if_known(facts.of(Traffic).sources) or ()} for facts in (before, now)
    )
    gone = {key: each for key, each in old.items() if key not in new}
    fresh = {key: each for key, each in new.items() if key not in old}
    found: dict[str, str] = {}
    for same_standing in (True, False):
        for key, was in gone.items():
            for name, source in fresh.items():
                alike = was.standing == source.standing or not same_standing
                if alike and key not in found and name not in found.values() and was.shares(source):
                    found[key] = name
    return found


class _Addresses(Struct, frozen=True):
    """The addresses of a source, as far as the facts tell: those that sent most, and the range that it is named by."""

    standing: str
    examples: frozenset[IPv4Address | IPv6Address]
    range: IPv4Network | IPv6Network | None

    @classmethod
    def of(cls, source: Source) -> _Addresses:
        network = None
        with contextlib.suppress(ValueError):  # the user may call a source anything
            network = ip_network(source.name) if "/" in source.name else None
        return cls(source.standing, frozenset(map(ip_address, source.examples)), network)

    def shares(self, other: _Addresses) -> bool:
        """Whether an address is of both."""
        if self.examples & other.examples:
            return True
        pairs = ((self.examples, other.range), (other.examples, self.range))
        return any(network is not None and ip in network for examples, network in pairs for ip in examples)


def _days(facts: FactSet) -> Iterator[TrafficDay]:
    for each in if_known(facts.of(Traffic).volume) or ():
        lost = each.messages - each.aligned
        yield TrafficDay(each.day, each.aligned, lost, each.unclaimed, each.forged, each.forwarded, each.altered)


def _silent(before: FactSet, now: FactSet, observed: Observed, catalogue: Mapping[str, Reporter]) -> Mapping[str, str]:
    """Who counted in the window before and says nothing in this one, and the day of the newest report."""
    heard = {each.id for each in if_known(now.of(WhoReported).reporters) or ()}
    days = {_ident(name, catalogue) or name: day for name, day in sorted(observed.last_reports.items())}
    return {
        each.name: day.isoformat() if (day := days.get(_ident(ident, catalogue) or ident)) else ""
        for each in if_known(before.of(WhoReported).reporters) or ()
        if each.trusted and (ident := each.id) not in heard
    }


def _last_reports(days: Mapping[str, date], catalogue: Mapping[str, Reporter]) -> Mapping[str, str]:
    found: dict[str, date] = {}
    for name, day in days.items():
        ident = _ident(name, catalogue) or OTHER
        found[ident] = max(day, found.get(ident, day))
    return {ident: found[ident].isoformat() for ident in sorted(found)}


def _ident(name: str, catalogue: Mapping[str, Reporter]) -> str:
    """The id in the catalogue; empty: it is not in there."""
    listed = reporter_named(name, catalogue)
    return listed.id if listed else ""
