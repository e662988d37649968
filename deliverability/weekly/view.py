"""A weekly run in the words of one language, for pages, mails, messages and the command line.

No escaping here: that is the renderer's. Characters that hide or steer something are written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from deliverability.core.facts.base import NO_NAME, Catalogue, is_absence, texts
from deliverability.core.files import locate
from deliverability.core.model.deliveries import NOBODY
from deliverability.core.model.history import Cause, ChangeKind, Comparison, FindingChange, RecordChange, VerdictChange
from deliverability.core.model.report import FactChange, Outcome, VerdictKind
from deliverability.core.model.rules import RuleSet
from deliverability.core.phrases import Phrases, detail_words, line_words
from deliverability.core.report.answer import TONES
from deliverability.core.report.audience import lead_words
from deliverability.core.report.findings import record_lines
from deliverability.core.report.records import Piece, PieceKind, diff
from deliverability.core.store.texts import named
from deliverability.core.words.sentences import capital, format_value, full_day_words, state_words, visible
from deliverability.core.words.speaker import cited
from deliverability.core.words.steps import rule_noun
from deliverability.weekly.entries import (
    BlockView,
    ChangeView,
    EntryView,
    VerdictChangeView,
    WeeklyGroupView,
    WeeklyReceiverView,
    WeeklyRecordView,
)
from deliverability.weekly.news import RunNews, problem_words, record_news, run_news
from deliverability.weekly.sends import SendsView, sends_of_all, sends_view
from deliverability.weekly.values import FindingText, Summary, WeeklyEntry

_ORDER = {"error": 0, "warning": 1, "info": 2, "none": 3}


_Root = RecordChange | Cause | None


class RunView(Struct, frozen=True):
    """A run in words.

    Attributes:
        date: of the run, as is `previous` of the one before; empty: there was none.
        day, since: the same in words.
        news: what is new, worst first.
        entries: in the order of the settings.
        removed: domains that are not audited any more.
        folder: name of the folder of its pages.
        sends: who sends as the domains, by the reports of all of them; empty: none are read.
        unread: what of the reports could not be read; empty: nothing the matter.
        audience: how many recipients are at receivers that refuse mail of a domain, or what else is the worst.

    """

    date: str
    previous: str
    day: str
    since: str
    news: RunNews
    entries: tuple[EntryView, ...]
    removed: tuple[str, ...]
    folder: str
    sends: str = ""
    unread: str = ""
    audience: tuple[str, ...] = ()

    @property
    def senders(self) -> tuple[SendsView, ...]:
        """Who sends as each domain, those with news first."""
        views = {each.domain: each.sends for each in self.entries if each.sends is not None}
        return tuple(sorted(views.values(), key=lambda each: not each.line))

    @property
    def changed(self) -> tuple[EntryView, ...]:
        """Those of which something is to tell, the worst first; of a first run nothing is."""
        return tuple(each for each in self.news_first if each.changed and not each.first)

    @property
    def news_first(self) -> tuple[EntryView, ...]:
        """The entries by what they have come to, the worst first."""
        ranked = sorted(zip(self.news.ranks, self.entries, strict=True), key=lambda each: each[0])
        return tuple(entry for _, entry in ranked)


def run_view(summary: Summary, say: Phrases, rules: RuleSet, catalogue: Catalogue) -> RunView:
    """The view of a run."""
    entries = tuple(entry_view(each, say, rules, catalogue) for each in summary.entries)
    date = summary.started[:10]
    return RunView(
        date=date,
        previous=summary.previous[:10],
        day=full_day_words(summary.started, say),
        since=full_day_words(summary.previous, say) if summary.previous else "",
        news=run_news(summary, rules, say),
        entries=entries,
        removed=tuple(visible(each) for each in summary.removed),
        folder=summary.folder or date,
        sends=sends_of_all(summary.entries, say),
        unread=_unread(summary, say),
        audience=tuple(_audience(summary, say)),
    )


_AUDIENCE_SHOWN = 3


def _audience(summary: Summary, say: Phrases) -> Iterator[str]:
    """What the recipients of each domain have to expect, the most of them first."""
    audience = summary.audience
    if audience is None:
        return
    found = []
    for entry in summary.entries:
        kinds = {each.receiver: each.verdict for each in entry.verdicts if each.receiver in audience.receivers}
        if entry.closed or not entry.verdicts:
            continue
        worst = max(kinds.values(), key=lambda kind: kind.rank, default=None)
        part = sum((audience.receivers[ident] for ident, kind in kinds.items() if kind is worst), NOBODY)
        found.append((worst, part, entry))
    found.sort(key=lambda each: (-1 if each[0] is None else each[0].rank, each[1].recipients), reverse=True)
    for worst, part, entry in found[:_AUDIENCE_SHOWN]:
        source = say("punctuation.aside", text=visible(entry.source)) if entry.source else ""
        lead = lead_words(audience, worst, part, say)
        yield f"{visible(entry.domain)}{source}{say('punctuation.colon')}{lead}"
    if len(found) > _AUDIENCE_SHOWN:
        yield say.count("weekly.more-domains", len(found) - _AUDIENCE_SHOWN)


_UNREAD_SHOWN = 3


def _unread(summary: Summary, say: Phrases) -> str:
    shown = [visible(detail_words(each, say)) for each in summary.unread[:_UNREAD_SHOWN]]
    if not shown:
        return ""
    more = len(summary.unread) - len(shown)
    what = say("value.separator").join(shown) + (say("value.more", n=f"{more:,}") if more else "")
    return say("sends.unread", what=what)


def entry_view(entry: WeeklyEntry, say: Phrases, rules: RuleSet, catalogue: Catalogue) -> EntryView:
    """The view of one subject."""
    return _EntryWords(say, rules, catalogue).entry(entry)


class _EntryWords:
    """Puts one entry into words."""

    def __init__(self, say: Phrases, rules: RuleSet, catalogue: Catalogue) -> None:
        self._say = say
        self._rules = rules
        self._catalogue = catalogue
        self._shown: set[RecordChange] = set()
        self._settings: tuple[str, ...] = ()
        self._domain = ""
        self._silent = False

    def entry(self, entry: WeeklyEntry) -> EntryView:
        """A subject in words."""
        comparison = entry.comparison or Comparison(entry.domain, entry.source, "", (), ())
        self._settings, self._domain = comparison.settings, comparison.domain
        self._silent = entry.traffic is not None and bool(entry.traffic.silent_since)
        words = entry.texts.get(self._say.lang, {})
        page = entry.pages.get(self._say.lang, "")

        def of(kind: ChangeKind, root: _Root = None) -> tuple[ChangeView, ...]:
            chosen = [each for each in comparison.of(kind) if not each.waived and self._root(each) == root]
            chosen.sort(key=lambda each: (each.before is not Outcome.UNMET, _ORDER[each.severity.value], each.rule))
            return tuple(self._change(each, words.get(each.fingerprint), page, root) for each in chosen)

        roots = self._root_records(comparison)
        groups: list[WeeklyGroupView] = []
        self._shown.update(roots)
        for root in (*roots, None, Cause.SETTINGS, Cause.RULES):
            record = self._record(root) if isinstance(root, RecordChange) else None
            verdicts = self._verdicts([each for each in comparison.verdicts if self._root(each) == root], root)
            new, rated, mended, gone = (
                of(kind, root) for kind in (ChangeKind.NEW, ChangeKind.RATED, ChangeKind.MENDED, ChangeKind.GONE)
            )
            cause = self._cause_of_all(root)
            heading = cause.rstrip(".。") or (self._say("weekly.otherwise") if groups else "")
            facts = self._facts(fact for each in (*new, *rated, *mended) for fact in each.facts)
            # A record says what its changes are about; otherwise they have to be about the same thing.
            about = {(self._topic(each), "" if record else each.item) for each in (*new, *rated)}
            covered = tuple(each for each in gone if (self._topic(each), "" if record else each.item) in about)
            gone = tuple(each for each in gone if each not in covered)
            group = WeeklyGroupView(cause, heading, record, tuple(verdicts), new, rated, mended, gone, covered, facts)
            if any((group.verdicts, new, rated, mended, gone)):
                groups.append(group)
        unchecked = of(ChangeKind.UNCHECKED)
        explained = {record.asked for change in comparison.changes for record in change.records}
        explained |= {record.asked for record in roots}
        others = [record for record in comparison.records if record.asked not in explained]
        return EntryView(
            domain=visible(entry.domain),
            source=visible(entry.source),
            message=visible(entry.message),
            page=page,
            first=entry.comparison is not None and not comparison.previous,
            error=problem_words(entry, self._say),
            answer=self._answer(entry),
            receivers=tuple(
                WeeklyReceiverView(
                    self._receiver(each.receiver),
                    TONES[each.verdict],
                    self._verdict(each.verdict),
                    self._say("weekly.legend-at-risk") if each.verdict is VerdictKind.AT_RISK else "",
                )
                for each in entry.verdicts
            ),
            grade=entry.grade,
            groups=tuple(groups),
            unchecked=unchecked,
            other_records=tuple(self._record(each) for each in others),
            counts=entry.counts,
            failures=entry.failures,
            waived=sum(each.waived for each in comparison.changes),
            unchecked_words=self._unchecked(comparison),
            block=self._block(groups, others),
            sends=sends_view(entry, self._say, self._rules),
        )

    def _block(self, groups: Sequence[WeeklyGroupView], others: Sequence[RecordChange]) -> BlockView:
        """What is told in a few lines: verdicts, the cause and its record, what to do first, how much else is new."""
        say = self._say
        first = groups[0] if groups else None
        changes = [change for group in groups for change in (*group.new, *group.rated, *group.mended, *group.gone)]
        causes = [group.cause for group in groups if group.cause]
        causes += [cause for group in groups for each in group.verdicts for cause in each.causes]
        causes += [cause for change in changes for cause in change.causes]
        record = first.record if first else None
        if record is None and others and not causes:
            record = self._record(others[0])
        unmet = [change for group in groups for change in group.unmet]
        findings = []
        if first and record and record.deleted and first.unmet:
            findings = [say.count("weekly.same-cause", len(first.unmet))]
            unmet = [change for group in groups[1:] for change in group.unmet]
        if unmet:
            title, more = unmet[0].title, len(unmet) - 1
            words = say.count("weekly.findings", more, first=title) if more else say("weekly.finding", first=title)
            findings.append(words)
        step = next((change.step for change in unmet if change.step), "")
        return BlockView(
            chips=tuple(each for group in groups for each in group.verdicts),
            cause=" ".join(causes[:1]),
            record=record,
            action=say("weekly.again", record=record.again) if record and record.again else step,
            findings=tuple(findings),
        )

    def _answer(self, entry: WeeklyEntry) -> str:
        """Of a parked domain, whether somebody can pass as it."""
        if not entry.closed:
            return ""
        return self._say(f"weekly.parked-{entry.closed}", domain=visible(entry.domain))

    def _unchecked(self, comparison: Comparison) -> str:
        """How many checks could not be completed, and when they last were."""
        lost = [each for each in comparison.of(ChangeKind.UNCHECKED) if not each.waived and self._root(each) is None]
        checked = [each.checked for each in lost]
        if not checked:
            return ""
        date = self._day(max(checked))
        if any(self._day(each) != date for each in checked):
            return self._say("weekly.unchecked-checks.mixed", n=f"{len(checked):,}", date=date)
        return self._say.count("weekly.unchecked-checks", len(checked), date=date)

    def _change(self, change: FindingChange, text: FindingText | None, page: str, root: _Root) -> ChangeView:
        say = self._say
        label, title = say(f"weekly.kind.{change.kind.value}"), self._title(change, text)
        item = "" if change.item == self._domain else visible(named(change.item, say("weekly.name-not-kept")))
        aside = say("punctuation.aside", text=item) if item else ""
        return ChangeView(
            kind=change.kind.value,
            label=label,
            severity=change.severity.value,
            rule=change.rule,
            item=item,
            title=title,
            line=f"{label}{say('punctuation.colon')}{title}{aside} [{change.rule}]",
            message=self._message(change, text),
            step=text.step if text and change.kind in (ChangeKind.NEW, ChangeKind.RATED, ChangeKind.STILL) else "",
            causes=self._causes(change, root),
            facts=tuple(each for each in change.facts if f"fact.{each.path}" in say),
            records=tuple(self._record(each) for each in change.records if self._fresh(each)),
            checked=self._day(change.checked),
            link=f"{page}#{change.rule}" if page else "",
        )

    def _facts(self, changes: Iterable[FactChange]) -> tuple[str, ...]:
        """Each change once; of words of one topic that change alike, as DMARC's policy and stage do, the first."""
        kept: dict[object, str] = {}
        for each in changes:
            words, topic = self._fact(each), each.path.rpartition(".")[0]
            kept.setdefault((topic, each.before, each.after) if isinstance(each.after, str) else words, words)
        return tuple(kept.values())

    def _topic(self, change: ChangeView) -> str:
        """The topic of its rule; of a rule that is no longer there, the rule alone."""
        rule = self._rules.rules.get(change.rule)
        return rule.topic if rule else change.rule

    def _day(self, moment: str) -> str:
        return full_day_words(moment, self._say) if moment else "—"

    def _title(self, change: FindingChange, text: FindingText | None) -> str:
        """What is wrong, or what was looked at; in general terms where the finding is not there to fill them in."""
        if text is not None:
            return text.title
        rule = self._rules.rules.get(change.rule)
        return visible(rule_noun(rule, self._say.lang)) if rule else change.rule

    def _fresh(self, record: RecordChange) -> bool:
        """Whether a record is told of for the first time in this entry; several findings may rest on one."""
        fresh = record not in self._shown
        self._shown.add(record)
        return fresh

    def _message(self, change: FindingChange, text: FindingText | None) -> str:
        if change.kind is ChangeKind.UNCHECKED:
            was = self._say(f"outcome.{change.before.value}") if change.before else ""
            return self._say("weekly.unchecked", date=self._day(change.checked), outcome=was)
        if change.kind is ChangeKind.GONE or text is None:
            return self._say("weekly.not-any-more")
        if change.kind is ChangeKind.RATED and change.was is not None:
            before, after = (self._say(f"severity.{each.value}") for each in (change.was, change.severity))
            return self._say("weekly.rated-from", before=before, after=after, message=text.message)
        return text.message

    def _root(self, change: FindingChange | VerdictChange) -> _Root:
        """What a change follows from, where all that follows from it is told together: a removed record first."""
        mine = [each for each in change.records if each.cause in change.causes]
        if mine:
            return next((each for each in mine if each.removed), mine[0])
        if change.causes == (Cause.SETTINGS,):
            return Cause.SETTINGS
        if change.causes == (Cause.RULES,) and (isinstance(change, VerdictChange) or self._is_ours(change.rule)):
            return Cause.RULES
        return None

    def _root_records(self, comparison: Comparison) -> tuple[RecordChange, ...]:
        """The records that changes follow from: removed ones first, then by the worst that came of them."""
        worst: dict[RecordChange, int] = {}
        for each in comparison.changes:
            if not each.waived and isinstance(root := self._root(each), RecordChange):
                unmet = each.kind in (ChangeKind.NEW, ChangeKind.RATED)
                rank = _ORDER[each.severity.value] if unmet else len(_ORDER)
                worst[root] = min(rank, worst.get(root, rank))
        for verdict in comparison.verdicts:
            if isinstance(root := self._root(verdict), RecordChange):
                worst.setdefault(root, len(_ORDER))
        return tuple(sorted(worst, key=lambda root: (root.removed is None, worst[root])))

    def _is_ours(self, ident: str) -> bool:
        """Whether the rule is one of those that come with the program."""
        rule = self._rules.rules.get(ident)
        return rule is not None and Path(rule.file).is_relative_to(locate("rules"))

    def _cause_of_all(self, root: _Root) -> str:
        match root:
            case RecordChange():
                return self._of_record(root)
            case Cause.SETTINGS if self._settings:
                return self._of_settings()
            case Cause():
                return self._say(f"weekly.cause.{root.value}")
            case None:
                return ""

    def _causes(self, change: FindingChange | VerdictChange, root: _Root) -> tuple[str, ...]:
        """The causes as whole sentences, but for what the heading of the group says already."""
        if root is Cause.SETTINGS or (root is Cause.RULES and isinstance(change, VerdictChange)):
            return ()
        beside = [each for each in change.records if each != root]
        causes: dict[str, None] = {}
        for cause in change.causes:
            headed = isinstance(root, RecordChange) and cause is root.cause
            if not headed or any(each.cause is cause and each.removed for each in beside):
                causes.update(dict.fromkeys(self._cause(cause, change, beside)))
        return tuple(causes)

    def _of_settings(self) -> str:
        names = [self._say(f"weekly.setting.{each}") for each in self._settings]
        return self._say("weekly.cause.settings-named", names=self._say("value.separator").join(names))

    def _cause(
        self, cause: Cause, change: FindingChange | VerdictChange, records: Sequence[RecordChange]
    ) -> tuple[str, ...]:
        """Who or what changed."""
        say = self._say
        mine = [each for each in records if each.cause is cause]
        removed = tuple(self._removed(each) for each in mine if each.removed)
        if removed and len(removed) == len(mine):
            return removed
        if cause is Cause.VENDOR and mine:
            names = [*dict.fromkeys(_name(each.asked) for each in mine)]
            return (say("weekly.cause.vendor-named", names=say("value.separator").join(names[:3])),)
        if cause is Cause.RULES:
            return (self._of_rules(change),)
        if cause is Cause.SETTINGS and self._settings:
            return (self._of_settings(),)
        if cause is Cause.CLOCK and isinstance(change, FindingChange):
            named = [self._fact(each) for each in change.facts if f"fact.{each.path}" in say]
            if named:
                return (say("weekly.cause.clock-named", what=say("value.separator").join(named)),)
        if cause is Cause.TRAFFIC and self._silent:
            return (say("weekly.cause.silence"),)
        return (say(f"weekly.cause.{cause.value}"),)

    def _of_rules(self, change: FindingChange | VerdictChange) -> str:
        if isinstance(change, VerdictChange):
            return self._say("weekly.cause.rules")
        rule = self._rules.rules.get(change.rule)
        if rule is None:
            return self._say("weekly.cause.rules-gone", rule=change.rule)
        if not self._is_ours(change.rule):
            return self._say("weekly.cause.rules-own", rule=change.rule)
        source = self._rules.sources.get(rule.sources[0].ref) if rule.sources else None
        if source is None:
            return self._say("weekly.cause.rules")
        return self._say(
            "weekly.cause.rules-named",
            rule=change.rule,
            source=cited(source, self._say).title,
            date=self._day(source.checked),
        )

    def _of_record(self, record: RecordChange) -> str:
        if record.removed:
            return self._removed(record)
        if record.cause is Cause.VENDOR:
            return self._say("weekly.cause.vendor-named", names=_name(record.asked))
        return capital(record_news(record, self._domain, self._say))

    def _removed(self, record: RecordChange) -> str:
        kind = record.removed.value if record.removed else ""
        return self._say(f"weekly.cause.removed.{kind}", name=_name(record.asked))

    def _fact(self, change: FactChange) -> str:
        spec = self._catalogue.get(change.path)
        before, after = (
            state_words(change.path, value, self._say) or format_value(value, spec, self._say)
            for value in (change.before, change.after)
        )
        return self._say("weekly.fact", name=self._say(f"fact.{change.path}"), before=before, after=after)

    def _record(self, record: RecordChange) -> WeeklyRecordView:
        old, new = (tuple(visible(line_words(line, self._say)) for line in lines) for lines in (record.old, record.new))
        lost = tuple(line for line in texts(record.old) if line not in texts(record.new))
        stood = tuple(map(visible, lost))
        gone = bool(lost) and (record.removed is not None or is_absence(record.new))
        if gone:
            deleted = self._say("weekly.deleted" if any(map(NO_NAME.matches, record.new)) else "weekly.deleted-record")
            pieces: tuple[Piece, ...] = (Piece(PieceKind.REMOVED, "\n".join(stood)),)
        else:
            deleted, pieces = "", diff("\n".join(old), "\n".join(new))
        rdtype, _, name = record.asked.partition(" ")
        again = " ".join(record_lines(name, rdtype, lost[:1])) if gone else ""
        return WeeklyRecordView(
            visible(record.asked), stood if gone else old, () if gone else new, pieces, deleted, again
        )

    def _verdicts(self, changes: Sequence[VerdictChange], root: _Root) -> Iterator[VerdictChangeView]:
        """One sentence for all receivers that changed alike."""
        alike: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
        for each in changes:
            before, after = self._verdict(each.before), self._verdict(each.after)
            key = (before, after, TONES[each.after], self._causes(each, root))
            alike.setdefault(key, []).append(self._receiver(each.receiver))
        for (before, after, tone, causes), receivers in alike.items():
            names = self._say("value.separator").join(receivers)
            words = self._say("weekly.verdict", receiver=names, before=before, after=after)
            yield VerdictChangeView(words, causes, tone)

    def _receiver(self, ident: str) -> str:
        receiver = self._rules.receivers.get(ident)
        return receiver.called(self._say.lang) if receiver else ident

    def _verdict(self, kind: VerdictKind) -> str:
        return self._say(f"verdict.{kind.value}")


def _name(asked: str) -> str:
    return visible(asked.partition(" ")[2])
