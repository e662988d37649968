"""Hands an audit what receivers reported and what earlier runs saw, from the history."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.errors import set_aside
from deliverability.core.facts.base import PolicySeen, StageSeen
from deliverability.core.facts.dmarc import Dmarc, DmarcReports
from deliverability.core.facts.domain import Blocklists
from deliverability.core.facts.transport import MtaSts, MtaStsRules
from deliverability.core.inputs import Subject
from deliverability.core.model.blocklists import ListingSeen, ListsSeen
from deliverability.core.model.deliveries import CauseSeen, Deliveries
from deliverability.core.model.observed import SourceWord
from deliverability.core.model.services import Reporter, reporters_listed
from deliverability.core.model.topic import if_known
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.replies.explain import explain
from deliverability.core.replies.match import load_replies
from deliverability.core.store.deliveries import EVERY, deliveries_of, fared_domains
from deliverability.core.store.store import DamagedError, History, HistoryError, Point, kept
from deliverability.core.store.window import reported_domains, window
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.intake.addresses import to_suppress

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.model.replies import ReplyCatalogue
    from deliverability.core.model.rules import RuleSet

_RUNS = 60  # earlier ones that are looked at


def with_lists_seen(subject: Subject, history: History, running: str = "") -> Subject:
    """The subject with what earlier runs saw of blocklists, where any are asked.

    `running`: start of a run that is not over; what it keeps is not of before. Raises HistoryError.
    """
    wanted = subject.lists_wanted
    if wanted is None:
        return subject
    return replace(subject, lists_wanted=replace(wanted, seen=_lists_seen(history, subject.domain, running)))


def with_policies_seen(subject: Subject, history: History, running: str = "") -> Subject:
    """The subject with the policies of MTA-STS that earlier runs read; `running` as above. Raises HistoryError."""
    found: dict[tuple[object, ...], PolicySeen] = {}
    for point in _points(history, subject.domain, running, "mta_sts"):
        record, rules = point.facts.of(MtaSts), point.facts.of(MtaStsRules)
        mode, mx, max_age = if_known(rules.mode), if_known(rules.policy_mx), if_known(rules.max_age)
        if (ident := if_known(record.id)) and mode and max_age is not None:
            seen = PolicySeen(ident, mode, mx or (), max_age, point.run.started)
            found.setdefault((seen.id, seen.mode, seen.mx, seen.max_age), seen)
    return replace(subject, policies_seen=tuple(found.values()))


def _lists_seen(history: History, domain: str, running: str) -> ListsSeen | None:
    """What the newest run that asked a list about a subject was answered, and since when without a break."""
    known: dict[tuple[str, str], str | None] = {}  # of a listing the day since when; None: it was not listed
    ended: set[tuple[str, str]] = set()
    points = _points(history, domain, running, "blocklists")
    for point in points:
        listed = {(each.list, each.subject) for each in if_known(point.facts.of(Blocklists).listings) or ()}
        for each in if_known(point.facts.of(Blocklists).lists) or ():
            for subject in each.answered:
                pair = each.id, subject
                if pair in ended:
                    continue
                if pair in listed:
                    known[pair] = point.run.started[:10]
                else:
                    known.setdefault(pair, None)
                    ended.add(pair)
    seen = tuple(ListingSeen(*pair, since) for pair, since in known.items() if since is not None)
    return ListsSeen(frozenset(known), seen) if points else None


def _points(history: History, domain: str, running: str, topic: str) -> list[Point]:
    """What earlier runs saw of a topic, the newest first."""
    points: list[Point] = []
    for name, source in history.subjects():
        if name == domain:
            points += history.follow(name, source, newest=_RUNS, topics=(topic,))
    before = [each for each in points if each.run.started != running]
    return sorted(before, key=lambda each: each.run.started, reverse=True)


class Observing(Struct, frozen=True):
    """How the store is looked at.

    Attributes:
        url: of the history; empty: where it is by default.
        folder: relative files of it are meant from there.
        days: length of the window.
        trust: which reports count: ``verified``, ``authenticated`` or ``any``.
        words: the user's words on sources.
        rules: the user's folders of rules, for what replies mean.
        addresses: the file of addresses that bounced or complained; None: none is kept.
        reporters: whose reports count beside those of the catalogue, by id.

    """

    url: str
    folder: Path | None
    days: int
    trust: str
    words: tuple[SourceWord, ...] = ()
    rules: tuple[Path, ...] = ()
    addresses: Path | None = None
    reporters: Mapping[str, Reporter] = field(default_factory=dict)

    @property
    def listed(self) -> Mapping[str, Reporter]:
        """Whose reports count, by id."""
        return reporters_listed(_listed(self.rules), self.reporters)


def observing(
    settings: Settings, folder: Path | None, days: int | None = None, *, history: str | None = None
) -> Observing:
    """As the settings have it; `days`: another length of the window, `history`: the URL of another one."""
    wanted = settings.feedback
    return Observing(
        history or settings.history,
        folder,
        days or wanted.days,
        wanted.trust,
        settings.source_words,
        settings.rules,
        wanted.addresses,
        settings.reporters,
    )


@contextlib.contextmanager
def one_subject(lost: Callable[[Exception], None], *but: type[Exception]) -> Iterator[None]:
    """As `set_aside`, for one subject of many: the history is gone for all of them, a row that it kept for one only."""
    with set_aside(lost, but=(HistoryError, *but)):
        try:
            yield
        except DamagedError as error:
            lost(error)


def with_observed(
    subjects: Iterable[Subject],
    how: Observing,
    now: datetime,
    lost: Callable[[Exception], None] = lambda error: None,
) -> Iterator[Subject]:
    """The subjects with what the store knows of their domains; as they are where it is not there or knows none of them.

    `lost`: is told where what is kept of one cannot be read, which then goes without. Raises HistoryError where the
    store cannot be read.
    """
    subjects = list(subjects)
    with kept(how.url, how.folder) as history:
        if history is None:
            yield from (replace(each, source_words=how.words) for each in subjects)
            return
        observer = Observer(history, how, now)
        for subject in subjects:
            if subject.domain:
                with one_subject(lost):
                    subject = with_lists_seen(observer.observed(subject), history)
            yield subject


class Observer:
    """Looks domains up in an open store. Of one without reports there is nothing to tell, and that costs nothing."""

    def __init__(self, history: History, how: Observing, now: datetime, running: str = "") -> None:
        """`running`: start of a run that is not over; what it keeps is not of before. Raises HistoryError."""
        self._history = history
        self._how = how
        self._now = int(now.timestamp())
        self._running = running
        self._reported = reported_domains(history)
        self._fared = fared_domains(history)
        self._to_suppress = self._addresses_off() if self._fared else None
        self._sources: dict[str, list[str]] = {}
        for name, source in history.subjects() if self._reported else ():
            self._sources.setdefault(name, []).append(source)

    def knows(self, domain: str) -> bool:
        """Whether anything is kept of it."""
        if not self._reported and not self._fared:
            return False
        home = registrable_domain(domain)
        return home in self._reported or home in self._fared or EVERY in self._fared

    def observed(self, subject: Subject) -> Subject:
        """The subject with what is known of its domain. Raises HistoryError."""
        how = self._how
        known = replace(subject, source_words=how.words)
        if not self.knows(subject.domain):
            return known
        home = registrable_domain(subject.domain)
        known = replace(known, deliveries=self._deliveries(home))
        if home not in self._reported:
            return known
        seen = window(self._history, home, how.days, how.trust, self._now, how.listed)
        if seen.first_report is None:
            return known
        stage, rua = self._seen_before(subject.domain)
        return replace(known, observed=seen, stage_seen=stage, rua_since=rua)

    def _deliveries(self, home: str) -> Deliveries | None:
        """What became of the mail of an organizational domain; None where nothing is kept of it."""
        became = deliveries_of(self._history, home, self._how.days, self._now)
        if became is None:
            return None
        return replace(became, known=_known(became, self._how.rules), to_suppress=self._to_suppress)

    def _addresses_off(self) -> int | None:
        """How many addresses go on a suppression list; None where none are kept."""
        if self._how.addresses is None:
            return None
        return to_suppress(self._how.addresses, self._now)

    def _seen_before(self, domain: str) -> tuple[StageSeen | None, str | None]:
        """The stage and since when, and since when there is an address for reports, as earlier runs saw them."""
        points: list[Point] = []
        for source in self._sources.get(domain, ()):
            points += self._history.follow(domain, source, newest=_RUNS, topics=("dmarc",))
        return _seen([each for each in points if each.run.started != self._running])


@lru_cache(maxsize=2)
def _listed(folders: tuple[Path, ...]) -> Mapping[str, Reporter]:
    return load_rules(folders).knowledge.reporters


@lru_cache(maxsize=2)
def _catalogue(folders: tuple[Path, ...]) -> tuple[RuleSet, ReplyCatalogue]:
    rules = load_rules(folders)
    return rules, load_replies(rule_folders(folders), rules)


def _known(became: Deliveries, folders: Sequence[Path]) -> dict[tuple[str, str], CauseSeen]:
    """What the catalogue of replies knows of the causes; by its own example of each."""
    if not became.causes:
        return {}
    rules, catalogue = _catalogue(tuple(folders))
    meanings = {each.id: each for each in catalogue.meanings}
    found: dict[tuple[str, str], CauseSeen] = {}
    for each in became.causes:
        key, meaning = (each.meaning, each.receiver), meanings.get(each.meaning)
        if meaning is None or key in found:
            continue
        explained = explain(meaning.example.encode(), catalogue, rules, each.receiver).replies
        behind = meaning.rules if meaning.rules is not None else explained[0].rules if explained else ()
        found[key] = CauseSeen(meaning.about.value, meaning.retry.value, tuple(behind))
    return found


def _seen(points: list[Point]) -> tuple[StageSeen | None, str | None]:
    points.sort(key=lambda each: each.run.started, reverse=True)
    stages = [(each.run.started, each.facts.of(Dmarc).stage) for each in points]
    known = [(started[:10], stage) for started, stage in stages if isinstance(stage, str)]
    asked = [(each.run.started[:10], bool(if_known(each.facts.of(DmarcReports).rua))) for each in points]
    stage = _streak(known)
    rua = _streak(asked)
    return StageSeen(str(stage[1]), stage[0]) if stage else None, rua[0] if rua and rua[1] else None


def _streak(seen: Sequence[tuple[str, str | bool]]) -> tuple[str, str | bool] | None:
    """The value of the newest run, and the day since when it was the same; newest first."""
    if not seen:
        return None
    newest = seen[0][1]
    since = seen[0][0]
    for day, value in seen:
        if value != newest:
            break
        since = day
    return since, newest
