"""The news of a weekly run: a sentence a domain, worst first, and what became of its records."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import is_absence, texts
from deliverability.core.model.answer import ReceiverEffect
from deliverability.core.model.history import Cause, ChangeKind, FindingChange, RecordChange, VerdictChange
from deliverability.core.model.report import FINE, GateKind, Outcome, VerdictKind
from deliverability.core.model.rules import Effect, RuleSet, Scope, Severity
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.rules.claims import earned
from deliverability.core.words.sentences import day_words, full_day_words, shortened, visible
from deliverability.weekly.values import GateWeek, Summary, WeeklyEntry

_TERM = 60


def record_news(change: RecordChange, domain: str, say: Phrases) -> str:
    """Of an audited domain: ``DMARC record is gone``, ``MX of x.example changed``."""
    what = _what(change, domain, say)
    if change.removed or is_absence(change.new):
        return say("changes.gone", what=what)
    if is_absence(change.old):
        return say("changes.there", what=what)
    old, new = (" ".join(texts(lines)).split() for lines in (change.old, change.new))
    out, come = ([term for term in one if term not in other] for one, other in ((old, new), (new, old)))
    for key, terms, others in (("out", out, come), ("come", come, out)):
        if len(terms) == 1 and not others and len(terms[0]) <= _TERM:
            return say(f"changes.{key}", what=what, term=visible(terms[0].rstrip(";")))
    if len(out) == len(come) == 1 and len(out[0]) + len(come[0]) <= _TERM:
        before, after = (visible(term.rstrip(";")) for term in (out[0], come[0]))
        return say("changes.other", what=what, before=before, after=after)
    return say("changes.changed", what=what)


def _what(change: RecordChange, domain: str, say: Phrases) -> str:
    """The record by what it is for; a plain TXT record by its name."""
    rdtype, _, name = change.asked.partition(" ")
    text = " ".join((*texts(change.old), *texts(change.new))).lower()
    shown = visible(shortened(name, _TERM))
    if rdtype == "TXT" and name.startswith("_dmarc."):
        return say("changes.dmarc")
    if rdtype == "TXT" and "._domainkey." in name:
        return say("changes.key", selector=visible(shortened(name.partition("._domainkey.")[0], _TERM)))
    if rdtype == "TXT" and "v=spf1" in text:
        return say("changes.spf") if name == domain else say("changes.spf-of", name=shown)
    return say("changes.record", type=visible(rdtype), name=shown)


SUBJECT_COLUMNS = {"en": 90, "ja": 100}
"""How wide a subject may be; a full-width character takes two."""
_AT_RISK = (VerdictKind.AT_RISK, VerdictKind.DEPENDS, VerdictKind.DNS_NOT_READY)
_NAMES = 2
_CAUSES = 2
_LISTED = 5
_NAME = 60
_WORST = (ChangeKind.NEW, ChangeKind.RATED)


class NewsKind(IntEnum):
    """What a domain has come to, the worst first."""

    SECURITY = 0
    LOWERED = 1
    REFUSED = 2
    AT_RISK = 3
    UNCHECKED = 4
    OTHER = 5
    BETTER = 6


_TONES = {
    NewsKind.SECURITY: "bad",
    NewsKind.LOWERED: "bad",
    NewsKind.REFUSED: "bad",
    NewsKind.AT_RISK: "risk",
    NewsKind.UNCHECKED: "unknown",
    NewsKind.OTHER: "none",
    NewsKind.BETTER: "good",
}


def problem_words(entry: WeeklyEntry, say: Phrases) -> str:
    """Why the subject or its message could not be read; empty: nothing the matter."""
    return say("value.separator").join(visible(detail_words(each, say)) for each in entry.problems)


class NewsView(Struct, frozen=True):
    """What is new about one domain.

    Attributes:
        kind: what it has come to.
        domain: whose news it is; empty: of all.
        sentence: for pages and mails; no full stop at its end.
        subjects: the same for a subject line, each shorter than the one before.
        place: of its entry in the run; None: it has none.

    """

    kind: NewsKind
    domain: str
    sentence: str
    subjects: tuple[str, ...]
    place: int | None = None

    @property
    def tone(self) -> str:
        """Bad, risk, unknown, none or good."""
        return _TONES[self.kind]


class RunNews(Struct, frozen=True):
    """The news of a run.

    Attributes:
        sentences: worst first; one that says so where nothing changed, or it is the first run.
        still: domains that are refused or at risk as they were, a line each.
        ranks: of each entry, the place of its news; the smaller, the worse.
        tone: good only where there is nothing to mend.

    """

    sentences: tuple[NewsView, ...]
    still: tuple[str, ...]
    ranks: tuple[int, ...]
    tone: str

    def subject(self, date: str, say: Phrases) -> str:
        """A subject line: the worst news and how much more there is; the cause goes first, then the names."""
        worst, rest = self.sentences[0], len(self.sentences) - 1
        more = say.count("news.more", rest) if rest else ""
        made = [say("news.subject-line", news=short + more, date=day_words(date, say)) for short in worst.subjects]
        return next((line for line in made if _columns(line) <= SUBJECT_COLUMNS[say.lang]), made[-1])


def run_news(summary: Summary, rules: RuleSet, say: Phrases) -> RunNews:
    """What a run has to tell."""
    writer = _Writer(rules, say)
    entries, tone = summary.entries, writer.tone(summary.entries)
    if not summary.previous:
        first = tuple(writer.first(entries))
        unchecked = first and first[0].kind is NewsKind.UNCHECKED
        return RunNews(first, (), tuple(0 for _ in entries), first[0].tone if unchecked else tone)
    found = [writer.entry(each) for each in entries]
    ranks = tuple(len(NewsKind) if news is None else news.kind for news in found)
    removed = [writer.alone("removed", NewsKind.OTHER, visible(domain)) for domain in summary.removed]
    placed = [replace(news, place=place) for place, news in enumerate(found) if news is not None]
    ordered = sorted(placed + removed, key=lambda news: news.kind)
    still = [writer.still(each) for each, rank in zip(entries, ranks, strict=True) if rank > NewsKind.AT_RISK]
    if not ordered:
        return RunNews((writer.of_all("quiet", entries),), tuple(filter(None, still)), ranks, tone)
    return RunNews(tuple(ordered), tuple(filter(None, still)), ranks, ordered[0].tone)


class _Writer:
    """Puts the news of entries into words."""

    def __init__(self, rules: RuleSet, say: Phrases) -> None:
        self._rules = rules
        self._say = say

    def entry(self, entry: WeeklyEntry) -> NewsView | None:
        """The worst that is new about a subject; None: nothing."""
        say, comparison = self._say, entry.comparison
        name = self._name(entry)
        if (secure := self._security(entry)) is not None:
            return secure
        if entry.problems or comparison is None or (entry.unchecked and not comparison.previous):
            return self._unchecked(entry, name)
        if not comparison.previous:
            return self.alone("added", NewsKind.OTHER, name)
        causes = self._causes(entry)
        if entry.policy_lowered:
            before, after = (say(f"news.stage.{each}") for each in (entry.stage_before, entry.stage))
            gone = causes if entry.stage == "absent" else ()
            return self.alone("lowered", NewsKind.LOWERED, name, gone, before=before, after=after)
        worse = [each for each in comparison.verdicts if each.after.rank > each.before.rank]
        refused = [each for each in worse if each.after is VerdictKind.REJECTED]
        if refused:
            return self._verdicts("refused", refused, name, causes, NewsKind.REFUSED)
        news = [each for each in comparison.changes if not each.waived]
        new = [each for each in news if each.kind in _WORST]
        if entry.closed == "open" and any(each.kind is ChangeKind.NEW for each in new):
            return self.alone("open", NewsKind.REFUSED, name, causes)
        at_risk = [each for each in worse if each.after in _AT_RISK]
        if at_risk:
            return self._verdicts(self._effect(entry, at_risk), at_risk, name, causes, NewsKind.AT_RISK)
        unchecked = [each for each in news if each.kind is ChangeKind.UNCHECKED]
        if entry.unchecked or (unchecked and entry.failures):
            return self._unchecked(entry, name)
        if (gate := entry.gate) is not None and gate.kind is GateKind.HITS:
            return self._gate("hits", gate, name, NewsKind.AT_RISK, self._because(causes))
        if gate is not None and gate.before is GateKind.SAFE and gate.has_news:
            key = "unconfirmed" if entry.traffic is not None and entry.traffic.only_silent else "shut"
            return self._gate(key, gate, name, NewsKind.OTHER, self._because([self._worst(entry, new)] if new else ()))
        better = [each for each in comparison.verdicts if each.after.rank < each.before.rank]
        fine = [each for each in better if each.after in FINE]
        if fine:
            return self._verdicts("better", fine, name, causes, NewsKind.BETTER)
        freed = [each for each in better if each.before is VerdictKind.REJECTED]
        if freed:
            return self._verdicts("less", freed, name, causes, NewsKind.BETTER)
        if gate is not None and gate.kind is GateKind.SAFE and gate.has_news and not new:
            return self._gate("open", gate, name, NewsKind.BETTER)
        if comparison.records:
            lines = causes or tuple(record_news(each, comparison.domain, say) for each in comparison.records[:_CAUSES])
            return self._other(name, say("value.separator").join(lines))
        if new:
            return self._other(name, self._new(entry, new))
        mended = [each for each in news if each.kind in (ChangeKind.MENDED, ChangeKind.GONE)]
        return self.alone("mended", NewsKind.BETTER, name, causes, n=len(mended)) if mended else None

    def _security(self, entry: WeeklyEntry) -> NewsView | None:
        """What others can do in the domain's name since this run: it may be used before anything else is read."""
        rules = self._rules.rules
        new = [
            each
            for each in (entry.comparison.changes if entry.comparison else ())
            if each.kind in _WORST and each.after is Outcome.UNMET and not each.waived
            if each.rule in rules and rules[each.rule].scope is Scope.SECURITY
        ]
        if not any(each.severity.rank >= Severity.WARNING.rank for each in new):
            return None
        return self.alone("security", NewsKind.SECURITY, self._name(entry), what=self._new(entry, new))

    def tone(self, entries: Sequence[WeeklyEntry]) -> str:
        """Good only where nothing is to mend."""
        return "good" if _state(entries, self._rules)[0] == "well" else "none"

    def still(self, entry: WeeklyEntry) -> str:
        """A domain that is refused or at risk as it was, in one line; empty: it is not."""
        if entry.closed == "open":
            return self._say("weekly.parked-open", domain=self._name(entry)).rstrip(".。")
        if entry.gate is not None and entry.gate.kind is GateKind.HITS:
            return self._say("news.gate.hits", domain=self._name(entry), policy=entry.gate.to, because="")
        kind, receivers = _worst(entry)
        if not receivers:
            return ""
        return self._say(f"news.still.{kind}", domain=self._name(entry), receivers=self._receivers(receivers))

    # --- one domain ---

    def _verdicts(
        self, key: str, changes: Sequence[VerdictChange], name: str, causes: Sequence[str], kind: NewsKind
    ) -> NewsView:
        say = self._say
        receivers = [each.receiver for each in changes]
        names, counted = self._receivers(receivers), say.count("news.receivers", len(receivers))
        number = "one" if len(receivers) == 1 else "other"
        whole, first = self._because(causes), self._because(causes[:1])

        def words(form: str, who: str, because: str = "") -> str:
            return say(f"news.{form}.{key}.{number}", domain=name, receivers=who, because=because)

        subjects = [words("subject", names, because) for because in (whole, first, "")]
        return NewsView(kind, name, words("body", names, whole), (*subjects, words("subject", counted)))

    def _because(self, causes: Sequence[str]) -> str:
        return self._say("punctuation.aside", text=self._say("value.separator").join(causes)) if causes else ""

    def alone(
        self, key: str, kind: NewsKind, name: str, causes: Sequence[str] = (), *, n: int = 0, **words: str
    ) -> NewsView:
        """News without receivers."""
        say = self._say
        values = {"domain": name, "n": str(n), "since": "", **words}
        whole = values | {"because": self._because(causes)}
        bare = values | {"because": ""}
        form = f"{key}.{'one' if n == 1 else 'other'}" if n else key
        subjects = tuple(say(f"news.subject.{form}", **each) for each in (whole, bare))
        return NewsView(kind, name, say(f"news.body.{form}", **whole), subjects)

    def _other(self, name: str, what: str) -> NewsView:
        words = self._say("news.other", domain=name, what=what)
        return NewsView(NewsKind.OTHER, name, words, (words, self._say("news.changed", domain=name)))

    def _gate(self, key: str, gate: GateWeek, name: str, kind: NewsKind, because: str = "") -> NewsView:
        whole, bare = (self._say(f"news.gate.{key}", domain=name, policy=gate.to, because=b) for b in (because, ""))
        sentence = self._say("news.gate.record", news=whole, domain=name) if key == "open" else whole
        return NewsView(kind, name, sentence, (whole, bare))

    def _new(self, entry: WeeklyEntry, new: Sequence[FindingChange]) -> str:
        """The worst of what is new, and how much more there is."""
        more = self._say.count("news.more", len(new) - 1) if len(new) > 1 else ""
        return self._say("news.new", what=self._worst(entry, new) + more)

    def _worst(self, entry: WeeklyEntry, new: Sequence[FindingChange]) -> str:
        """The worst of what is new, as a clause."""
        worst = max(new, key=lambda each: each.severity.rank)
        text = entry.texts.get(self._say.lang, {}).get(worst.fingerprint)
        if text is None:
            return worst.rule
        # Within a sentence, as the rule has it: a name in front keeps its capital.
        rule, first = self._rules.rules.get(worst.rule), text.title[:1].lower()
        clause = rule is not None and any(each.text[:1] == first for each in rule.text[self._say.lang].short)
        return visible(shortened(first + text.title[1:] if clause else text.title))

    def _unchecked(self, entry: WeeklyEntry, name: str) -> NewsView:
        say = self._say
        lost = entry.comparison.of(ChangeKind.UNCHECKED) if entry.comparison else ()
        days = {full_day_words(each.checked, say) for each in lost if each.checked}
        checked = full_day_words(max((each.checked for each in lost), default=""), say)
        since = say("news.since-mixed" if len(days) > 1 else "news.since", date=checked) if checked else ""
        known = any(each.verdict not in (VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY) for each in entry.verdicts)
        causes = (shortened(problem_words(entry, say), _NAME * 2),) if entry.problems else ()
        since = "" if causes else since
        if lost and (known or entry.closed) and not entry.problems:
            return self.alone("partly", NewsKind.UNCHECKED, name, n=len(lost), since=since)
        return self.alone("unchecked", NewsKind.UNCHECKED, name, causes, since=since)

    def _effect(self, entry: WeeklyEntry, changes: Sequence[VerdictChange]) -> str:
        """The worst thing that these receivers do."""
        dns = [each for each in changes if each.after is VerdictKind.DNS_NOT_READY]
        if dns and all(each.causes == (Cause.TRAFFIC,) for each in dns):
            return "at-risk"  # without a message; still, it is not DNS that is behind it
        if dns:
            return "dns"
        names = {each.receiver for each in changes}
        effects = [one for each in entry.verdicts if each.receiver in names for one in each.effects]
        worst = max(effects, key=lambda one: (one.effect.rank, not one.contested), default=ReceiverEffect(Effect.NOTE))
        if worst.effect is Effect.REJECT:
            return "may-reject"
        return worst.effect.value if worst.effect.hinders else "at-risk"

    def _causes(self, entry: WeeklyEntry) -> tuple[str, ...]:
        """What it follows from, in a few words: a record first, one that was removed before all."""
        say, comparison = self._say, entry.comparison
        if comparison is None:
            return ()
        behind = [record for each in comparison.verdicts for record in each.records]
        behind += [record for each in comparison.changes for record in each.records if not each.waived]
        records: list[RecordChange] = sorted(dict.fromkeys(behind), key=lambda each: each.removed is None)
        gone = [each for each in records if each.removed]
        lines = [record_news(each, comparison.domain, say) for each in gone or records]
        lookups = next((f for c in comparison.changes for f in c.facts if f.path == "spf.lookups"), None)
        if lookups is not None and not gone:
            lines.insert(1, say("news.lookups", before=f"{lookups.before:,}", after=f"{lookups.after:,}"))
        causes = [cause for one in comparison.verdicts for cause in one.causes]
        causes += [cause for change in comparison.changes for cause in change.causes]
        if not lines and causes and causes[0] in _PLAIN:
            lines = [say(f"news.cause.{causes[0].value}")]
        return tuple(dict.fromkeys(lines))[:_CAUSES]

    def _name(self, entry: WeeklyEntry) -> str:
        source = visible(shortened(entry.source, _NAME))
        return visible(entry.domain) + (self._say("punctuation.aside", text=source) if source else "")

    def _receivers(self, idents: Sequence[str]) -> str:
        """Two by name, more by number."""
        if len(idents) > _NAMES:
            return self._say.count("news.receivers", len(idents))
        known = self._rules.receivers
        names = [visible(known[each].called(self._say.lang)) if each in known else visible(each) for each in idents]
        return self._say("punctuation.and").join(names)

    # --- all domains ---

    def first(self, entries: Sequence[WeeklyEntry]) -> Iterator[NewsView]:
        """Of a first run: each domain that could not be checked by its name, then how the others stand."""
        for place, each in enumerate(entries):
            if (secure := self._security(each)) is not None:
                yield replace(secure, place=place)
        for place, each in enumerate(entries):
            if each.unchecked:
                yield replace(self._unchecked(each, self._name(each)), place=place)
        if checked := [each for each in entries if not each.unchecked]:
            yield self.of_all("first", checked)

    def of_all(self, form: str, entries: Sequence[WeeklyEntry]) -> NewsView:
        """Of a `first` run, or a `quiet` one: what is refused, or at risk, or that all is well."""
        say = self._say
        state, concerned = _state(entries, self._rules)
        domains = {each.domain for each in entries}
        number = len(domains)
        listed = say("value.separator").join(
            say("news.listed", domain=self._name(each), receivers=say.count("news.receivers", len(_worst(each)[1])))
            if each.verdicts and _worst(each)[1]
            else self._name(each)
            for each in concerned[:_LISTED]
        )
        if len(concerned) > _LISTED:
            listed += say("value.more", n=f"{len(concerned) - _LISTED:,}")
        who = visible(shortened(min(domains), _NAME)) if number == 1 else say.count("news.domains", number)
        values = {"domains": say.count("news.domains", number), "all": say.count("news.all", number), "list": listed}
        values |= {"who": who}
        subjects = []
        if concerned and form == "quiet":
            first, *others = concerned
            more = say.count("news.more", len(others)) if others else ""
            who = say.count("news.receivers", len(_worst(first)[1]))
            subjects = [say(f"news.subject.quiet.{state}", domain=self._name(first), receivers=who) + more]
        else:
            subjects = [say(f"news.subject.{form}.{state}", **values)]
        kind = NewsKind.BETTER if state == "well" else NewsKind.OTHER
        return NewsView(kind, "", say(f"news.body.{form}.{state}", **values), tuple(subjects))


_PLAIN = (Cause.SETTINGS, Cause.RULES, Cause.CLOCK, Cause.MAIL, Cause.TRAFFIC)


def _worst(entry: WeeklyEntry) -> tuple[str, list[str]]:
    """``refused`` or ``at-risk``, and the receivers."""
    refused = [each.receiver for each in entry.verdicts if each.verdict is VerdictKind.REJECTED]
    if refused:
        return "refused", refused
    return "at-risk", [each.receiver for each in entry.verdicts if each.verdict in _AT_RISK]


def _state(entries: Sequence[WeeklyEntry], rules: RuleSet) -> tuple[str, list[WeeklyEntry]]:
    """How all of them stand: the worst, and whose it is; well only where that claim may be made."""
    found = _by_state(entries)
    for state in ("refused", "open", "at-risk"):
        if found.get(state):
            return state, found[state]
    if any(each.counts.get(level) for each in entries for level in ("error", "warning")):
        return "to-do", []
    return ("well" if "all-well" in _claims(entries, rules) else "partly"), []


def _by_state(entries: Sequence[WeeklyEntry]) -> Mapping[str, list[WeeklyEntry]]:
    found: dict[str, list[WeeklyEntry]] = {}
    for state, each in _states(entries):
        found.setdefault(state, []).append(each)
    return found


def _states(entries: Sequence[WeeklyEntry]) -> Iterator[tuple[str, WeeklyEntry]]:
    for each in entries:
        if each.closed == "open":
            yield "open", each
        else:
            kind, receivers = _worst(each)
            if receivers:
                yield kind, each


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _claims(entries: Sequence[WeeklyEntry], rules: RuleSet) -> frozenset[str]:
    """The claims about a weekly run that may be made."""
    return earned(
        ("all-well", "no-change"),
        rules,
        subjects=len(entries),
        unchecked=sum(map(_is_unchecked, entries)),
        to_mend=sum(map(_has_to_mend, entries)),
    )


def _is_unchecked(entry: WeeklyEntry) -> bool:
    """Whether a subject could not be checked, or not completely."""
    told = bool(entry.verdicts) or entry.closed in ("closed", "open")
    return bool(entry.problems or entry.failures or entry.unchecked) or not told


def _has_to_mend(entry: WeeklyEntry) -> bool:
    against = any(each.verdict not in FINE for each in entry.verdicts)
    return against or entry.closed == "open" or any(entry.counts.get(level) for level in ("error", "warning"))
